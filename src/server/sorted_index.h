#pragma once
/* Members of a sorted set by their bytes: extendible hashing (Fagin, Nievergelt, Pippenger, Strong,
   "Extendible hashing: a fast access method for dynamic files", 1979). A directory by the hash's
   first bits leads to small pages; one that is full is split in two, and two that are nearly empty
   become one. So it grows and shrinks a page at a time, and no command waits for all members to be
   moved. A walk goes through the pages in the order of their hashes: its cursor is a place in the
   hash's range, and stands for the same whatever was split or joined since. */

#include "base/hash.h"
#include "base/memory.h"
#include "server/memory.h"

/* A member is one block: this, and its length and bytes, see sci_sorted_member_bytes. */
typedef struct sci_sorted_member {
    double score;
} sci_sorted_member;

/* The length takes a byte, or, where that is 255, four more. */
#define SCI_SORTED_MEMBER_LONG 255
#define SCI_SORTED_MEMBER_LEN_MAX UINT32_MAX

static inline sc_slice sci_sorted_member_bytes(const sci_sorted_member *member)
{
    const unsigned char *at = (const unsigned char *)(member + 1);
    uint32_t len = *at++;
    if (len == SCI_SORTED_MEMBER_LONG) {
        memcpy(&len, at, sizeof len);
        at += sizeof len;
    }
    return sc_bytes(at, len);
}

typedef struct sci_sorted_page sci_sorted_page;

typedef struct sci_sorted_index {
    sc_memory memory;
    const sci_hash_seed *seed;
    sci_sorted_page **pages; /* owned: 2^depth, several to one page whose depth is less */
    unsigned depth;
    size_t deepest; /* pages whose depth that is */
    size_t bytes;   /* of memory, all in all */
} sci_sorted_index;

/* `seed` outlives the index. SC_ERR_MEMORY: there is nothing to be freed. */
SCI_PRIVATE sc_status sci_sorted_index_init(sci_sorted_index *index, const sc_memory *memory,
                                            const sci_hash_seed *seed);
/* Members belong to the caller. */
SCI_PRIVATE void sci_sorted_index_free(sci_sorted_index *index);
/* NULL when it is not there. */
SCI_PRIVATE sci_sorted_member *sci_sorted_index_find(const sci_sorted_index *index, sc_slice bytes);
/* A member that is not there yet. SC_ERR_MEMORY leaves all members as they were. */
SCI_PRIVATE sc_status sci_sorted_index_put(sci_sorted_index *index, sci_sorted_member *member);
/* A member that is there. */
SCI_PRIVATE void sci_sorted_index_remove(sci_sorted_index *index, sci_sorted_member *member);
/* Visit one page's members; returns the next cursor, 0 at the end. Cursors are below 2^28. Members
   that are there from the first step (cursor 0) to the last are visited at least once. `visit` must
   not change the index. */
SCI_PRIVATE uint64_t sci_sorted_index_walk(const sci_sorted_index *index, uint64_t cursor,
                                           void (*visit)(void *user,
                                                         const sci_sorted_member *member),
                                           void *user);
