/* A pairing heap: the root is the smallest; each node has a list of children, none smaller. */

#include "base/heap.h"

/* Join two trees (either may be NULL); the root of the result is detached from siblings. */
static sci_heap_node *sci_heap_meld(sci_heap_node *a, sci_heap_node *b)
{
    if (!a)
        return b;
    if (!b)
        return a;
    sci_heap_node *parent = b->key < a->key ? b : a;
    sci_heap_node *child = parent == a ? b : a;
    child->previous = parent;
    child->next = parent->child;
    if (child->next)
        child->next->previous = child;
    parent->child = child;
    parent->next = NULL;
    parent->previous = NULL;
    return parent;
}

/* Join a list of siblings to one tree: pairs from left to right, then those from right to left.
   That order is what makes removal O(log n) amortised. */
static sci_heap_node *sci_heap_meld_siblings(sci_heap_node *first)
{
    sci_heap_node *pairs = NULL; /* linked by `next`, the last pair first */
    while (first) {
        sci_heap_node *a = first;
        sci_heap_node *b = a->next;
        first = b ? b->next : NULL;
        sci_heap_node *pair = sci_heap_meld(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    sci_heap_node *root = NULL;
    while (pairs) {
        sci_heap_node *next = pairs->next;
        root = sci_heap_meld(root, pairs);
        pairs = next;
    }
    if (root) {
        root->next = NULL;
        root->previous = NULL;
    }
    return root;
}

SCI_PRIVATE void sci_heap_insert(sci_heap *heap, sci_heap_node *node, int64_t key)
{
    sci_assert(!node->is_in_heap);
    node->child = NULL;
    node->next = NULL;
    node->previous = NULL;
    node->key = key;
    node->is_in_heap = true;
    heap->root = sci_heap_meld(heap->root, node);
}

SCI_PRIVATE void sci_heap_remove(sci_heap *heap, sci_heap_node *node)
{
    if (!node->is_in_heap)
        return;
    sci_heap_node *rest = sci_heap_meld_siblings(node->child);
    if (node == heap->root) {
        heap->root = rest;
    } else {
        if (node->previous->child == node)
            node->previous->child = node->next;
        else
            node->previous->next = node->next;
        if (node->next)
            node->next->previous = node->previous;
        heap->root = sci_heap_meld(heap->root, rest);
    }
    node->child = NULL;
    node->next = NULL;
    node->previous = NULL;
    node->is_in_heap = false;
}
