#pragma once
/* The node of a parsed reply. A reply is its nodes in pre-order: an array's elements follow it. */

#include "api/reply.h"
#include "base/memory.h"

struct sc_item {
    union {
        const char *text; /* string, simple, error: a slice of the receive buffer */
        int64_t integer;
    } is;
    size_t len;    /* bytes of text, or elements of an array */
    uint32_t kind; /* sc_kind */
    uint32_t span; /* nodes of this subtree, this one included: the next sibling is `span` on */
};

/* A growable array of nodes: first the caller's inline ones, then an owned block. */
typedef struct sci_items {
    sc_memory memory;
    sc_item *at;
    uint32_t count;
    uint32_t cap;
    sc_item *inline_items; /* borrowed; may be NULL */
    uint32_t inline_cap;
} sci_items;

SCI_PRIVATE void sci_items_init(sci_items *items, const sc_memory *memory, sc_item *inline_items,
                                uint32_t inline_cap);
SCI_PRIVATE void sci_items_free(sci_items *items);
/* Forget the nodes and an owned block above `keep_cap` nodes. */
SCI_PRIVATE void sci_items_reset(sci_items *items, uint32_t keep_cap);
/* Room for one more; used by the reader. SC_ERR_MEMORY leaves all as it was. */
SCI_PRIVATE sc_status sci_items_grow(sci_items *items);
