#pragma once
/* Members of a sorted set in their order: a B+-tree (Bayer and McCreight, 1972; Comer, "The
   ubiquitous B-tree", 1979) whose inner nodes count what is below each child, so that ranks are
   found in O(log n). Keys carry the score, so that a member's bytes are looked at only where scores
   are equal. */

#include "server/sorted_index.h"

typedef struct sci_rank_key {
    double score;
    sci_sorted_member *member;
} sci_rank_key;

typedef struct sci_sorted_tree_node sci_sorted_tree_node;

typedef struct sci_sorted_tree {
    sc_memory memory;
    sci_sorted_tree_node *root; /* owned */
    unsigned height;            /* levels above the leaves */
    size_t count;
    size_t bytes; /* of memory, all in all */
} sci_sorted_tree;

/* A place between keys, at one leaf. */
typedef struct sci_sorted_tree_at {
    const sci_sorted_tree_node *leaf;
    size_t index;
} sci_sorted_tree_at;

/* Does the key come before the place that is looked for? True for the first keys, then false. */
typedef bool sci_sorted_tree_before(const void *user, const sci_rank_key *key);

/* SC_ERR_MEMORY: there is nothing to be freed. */
SCI_PRIVATE sc_status sci_sorted_tree_init(sci_sorted_tree *tree, const sc_memory *memory);
/* Members belong to the caller. */
SCI_PRIVATE void sci_sorted_tree_free(sci_sorted_tree *tree);
/* A key that is not there yet. SC_ERR_MEMORY leaves all as it was. */
SCI_PRIVATE sc_status sci_sorted_tree_insert(sci_sorted_tree *tree, const sci_rank_key *key);
/* A key that is there. */
SCI_PRIVATE void sci_sorted_tree_remove(sci_sorted_tree *tree, const sci_rank_key *key);
/* Give a key that is there another score. SC_ERR_MEMORY leaves all as it was. */
SCI_PRIVATE sc_status sci_sorted_tree_move(sci_sorted_tree *tree, const sci_rank_key *key,
                                           double score);
/* How many keys are before. */
SCI_PRIVATE size_t sci_sorted_tree_rank(const sci_sorted_tree *tree, sci_sorted_tree_before *before,
                                        const void *user);
/* How many keys are less. */
SCI_PRIVATE size_t sci_sorted_tree_rank_of(const sci_sorted_tree *tree, const sci_rank_key *key);
/* The place before the key of that rank, which may be the count. */
SCI_PRIVATE sci_sorted_tree_at sci_sorted_tree_seek(const sci_sorted_tree *tree, size_t rank);
/* The key after, or before, a place, which moves over it; NULL at the end. */
SCI_PRIVATE const sci_rank_key *sci_sorted_tree_next(sci_sorted_tree_at *at);
SCI_PRIVATE const sci_rank_key *sci_sorted_tree_previous(sci_sorted_tree_at *at);
