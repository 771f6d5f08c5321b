#pragma once
/* The sorted set: members in the order of their scores, and of their bytes where those are equal.
   A small one is one block of packed members; a larger one a B+-tree that counts, and an index by
   bytes. Ranks count from 0. Functions that take `memory` take the same one for the same set. */

#include "server/keyspace.h"
#include "server/sorted_full.h"

typedef struct sci_sorted sci_sorted;

/* `seed` outlives the set and its copies. NULL: no memory. */
SCI_PRIVATE sci_sorted *sci_sorted_new(const sc_memory *memory, const sci_hash_seed *seed);
/* In a packed set -0 becomes 0, as it does in Redis; except where `keeps` was said, until it is taken
   back: in sets that no database has. */
SCI_PRIVATE void sci_sorted_keep_signs(sci_sorted *set, bool keeps);
/* An empty set is about to get so many members: more than a packed one takes keep their -0. */
SCI_PRIVATE void sci_sorted_expect(sci_sorted *set, size_t count);
SCI_PRIVATE size_t sci_sorted_count(const sci_sorted *set);
SCI_PRIVATE bool sci_sorted_is_packed(const sci_sorted *set);
SCI_PRIVATE bool sci_sorted_find(const sci_sorted *set, sc_slice member, double *score);
SCI_PRIVATE bool sci_sorted_rank(const sci_sorted *set, sc_slice member, size_t *rank);
/* Add a member, or change its score, which is not NaN. SC_ERR_MEMORY leaves all as it was. */
SCI_PRIVATE sc_status sci_sorted_put(const sc_memory *memory, sci_sorted *set, sc_slice member,
                                     double score);
/* The same for all members of `changes`, all or none, in a set that is not packed. None of them is in
   it with that very score. */
SCI_PRIVATE sc_status sci_sorted_put_all(sci_sorted *set, const sci_sorted *changes);
/* Exchange what two sets hold. */
SCI_PRIVATE void sci_sorted_swap(sci_sorted *a, sci_sorted *b);
/* False: it was not there. */
SCI_PRIVATE bool sci_sorted_remove(const sc_memory *memory, sci_sorted *set, sc_slice member);
/* Remove ranks `start` up to, but not, `end`. */
SCI_PRIVATE void sci_sorted_remove_range(const sc_memory *memory, sci_sorted *set, size_t start,
                                         size_t end);

/* One end of a range, by score or by bytes. */
typedef struct sci_sorted_bound {
    double score;
    sc_slice bytes;
    int infinite; /* by bytes: -1 before all, 1 after all, 0: at `bytes` */
    bool is_exclusive;
} sci_sorted_bound;

typedef struct sci_sorted_range {
    sci_sorted_bound least, most;
    bool is_by_bytes; /* of members that all have the same score */
} sci_sorted_range;

/* The ranks that are in the range: `*start` up to, but not, `*end`. A range of bytes in a set with
   several scores is some range; in a packed set, the one that Redis finds going that way. */
SCI_PRIVATE void sci_sorted_find_range(const sci_sorted *set, const sci_sorted_range *range,
                                       bool is_backward, size_t *start, size_t *end);

/* Goes through members in order, or backwards, until the set is changed. */
typedef struct sci_sorted_walk {
    const sci_sorted *set;
    sci_sorted_tree_at at;
    size_t offset; /* where the set is packed */
    bool is_backward;
} sci_sorted_walk;

/* The first is the one at `rank`. */
SCI_PRIVATE void sci_sorted_walk_begin(sci_sorted_walk *walk, const sci_sorted *set, size_t rank,
                                       bool is_backward);
/* False at the end. `member` is valid until the set is changed. */
SCI_PRIVATE bool sci_sorted_walk_next(sci_sorted_walk *walk, sc_slice *member, double *score);

/* Visit some members; returns the next cursor, 0 at the end. Members that are there from the first
   step (cursor 0) to the last are visited at least once. `visit` must not change the set. */
typedef void sci_sorted_visit(void *user, sc_slice member, double score);
SCI_PRIVATE uint64_t sci_sorted_scan(const sci_sorted *set, uint64_t cursor,
                                     sci_sorted_visit *visit, void *user);

/* For sci_type_table. */
SCI_PRIVATE void sci_sorted_release(const sc_memory *memory, void *object);
SCI_PRIVATE void *sci_sorted_copy(const sc_memory *memory, const void *object);
SCI_PRIVATE sc_status sci_sorted_dump(const void *object, sc_slice key, sci_dump *dump);
SCI_PRIVATE size_t sci_sorted_bytes(const void *object);
