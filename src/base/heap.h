#pragma once
/* A pairing heap (Fredman, Sedgewick, Sleator, Tarjan, 1986), intrusive: it never allocates, so
   arming a timer cannot fail. Insert O(1), remove O(log n) amortised. */

#include "base/prelude.h"

typedef struct sci_heap_node {
    struct sci_heap_node *child;    /* first child */
    struct sci_heap_node *next;     /* next sibling */
    struct sci_heap_node *previous; /* previous sibling, or the parent for a first child */
    int64_t key;                    /* smallest first */
    bool is_in_heap;
} sci_heap_node;

typedef struct sci_heap {
    sci_heap_node *root;
} sci_heap;

/* `node` must not be in a heap. */
SCI_PRIVATE void sci_heap_insert(sci_heap *heap, sci_heap_node *node, int64_t key);
/* Fine for a node that is in no heap. */
SCI_PRIVATE void sci_heap_remove(sci_heap *heap, sci_heap_node *node);

/* The node with the smallest key, or NULL. */
static inline sci_heap_node *sci_heap_first(const sci_heap *heap)
{
    return heap->root;
}
