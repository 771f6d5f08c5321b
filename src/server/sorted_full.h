#pragma once
/* Many members of a sorted set: a block each, found by the tree in their order and by the index
   from their bytes. */

#include "server/sorted_tree.h"

typedef struct sci_sorted_full {
    sc_memory memory;
    sci_sorted_tree tree;
    sci_sorted_index index;
    size_t member_bytes; /* that the members take of memory */
} sci_sorted_full;

/* NULL: no memory. */
SCI_PRIVATE sci_sorted_full *sci_sorted_full_new(const sc_memory *memory,
                                                 const sci_hash_seed *seed);
SCI_PRIVATE void sci_sorted_full_free(sci_sorted_full *full);
/* NULL: it is not there. */
SCI_PRIVATE sci_sorted_member *sci_sorted_full_find(const sci_sorted_full *full, sc_slice bytes);
/* Add a member, or change its score. SC_ERR_MEMORY leaves all as it was. */
SCI_PRIVATE sc_status sci_sorted_full_put(sci_sorted_full *full, sc_slice bytes, double score);
/* A member that is there. */
SCI_PRIVATE void sci_sorted_full_remove(sci_sorted_full *full, sci_sorted_member *member);
/* What was given of memory, this struct included. */
SCI_PRIVATE size_t sci_sorted_full_bytes(const sci_sorted_full *full);

static inline sci_rank_key sci_sorted_member_key(sci_sorted_member *member)
{
    sci_rank_key key;
    key.score = member->score;
    key.member = member;
    return key;
}

/* The same as sci_sorted_full_put in two steps, so that several members are put all or not at all.
   The first may fail, and leaves all as it was; each that has not is followed by `finish` or `undo`
   before anything else is done with the set. A member that is there does not have that score
   already, and is named once. */
SCI_PRIVATE sc_status sci_sorted_full_prepare(sci_sorted_full *full, sc_slice bytes, double score);
SCI_PRIVATE void sci_sorted_full_finish(sci_sorted_full *full, sc_slice bytes, double score);
SCI_PRIVATE void sci_sorted_full_undo(sci_sorted_full *full, sc_slice bytes, double score);
