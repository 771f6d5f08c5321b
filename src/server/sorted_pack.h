#pragma once
/* Few small members of a sorted set in one block, in order, each with its length before and its
   size behind. Looking up goes through them one by one. */

#include "base/memory.h"

#define SCI_SORTED_PACK_MEMBERS 128
#define SCI_SORTED_PACK_MEMBER_BYTES 64

typedef struct sci_sorted_pack {
    unsigned char *data; /* owned */
    uint32_t len;
    uint32_t cap;
    uint32_t count;
    bool has_negative_zeros; /* not: -0 is put as 0 */
} sci_sorted_pack;

/* Leaves an empty one. Nothing is owned before the first is put. */
SCI_PRIVATE void sci_sorted_pack_free(const sc_memory *memory, sci_sorted_pack *packed);
SCI_PRIVATE sc_status sci_sorted_pack_copy(const sc_memory *memory, sci_sorted_pack *copy,
                                           const sci_sorted_pack *packed);
/* Where the member is; `len` when it is not there. */
SCI_PRIVATE size_t sci_sorted_pack_find(const sci_sorted_pack *packed, sc_slice member);
/* The member that begins, or ends, at `offset`, which moves over it; false at the end. */
SCI_PRIVATE bool sci_sorted_pack_next(const sci_sorted_pack *packed, size_t *offset,
                                      sc_slice *member, double *score);
SCI_PRIVATE bool sci_sorted_pack_previous(const sci_sorted_pack *packed, size_t *offset,
                                          sc_slice *member, double *score);
SCI_PRIVATE size_t sci_sorted_pack_offset_of(const sci_sorted_pack *packed, size_t rank);
SCI_PRIVATE size_t sci_sorted_pack_rank_of(const sci_sorted_pack *packed, size_t offset);
/* A member that is not there, and for which there is room (see the limits above). SC_ERR_MEMORY
   leaves all as it was. */
SCI_PRIVATE sc_status sci_sorted_pack_insert(const sc_memory *memory, sci_sorted_pack *packed,
                                             sc_slice member, double score);
/* The member at `offset`. */
SCI_PRIVATE void sci_sorted_pack_set_score(sci_sorted_pack *packed, size_t offset, double score);
/* The members from one offset up to another. */
SCI_PRIVATE void sci_sorted_pack_cut(const sc_memory *memory, sci_sorted_pack *packed, size_t start,
                                     size_t end);
/* Make each -0 a 0. */
SCI_PRIVATE void sci_sorted_pack_drop_signs(sci_sorted_pack *packed);
