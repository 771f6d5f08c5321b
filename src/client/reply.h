#pragma once
/* The block behind sc_reply: nodes, and the receive buffers that they point into. */

#include "client/chunk.h"
#include "resp/item.h"

#define SCI_REPLY_INLINE_ITEMS 8
#define SCI_REPLY_INLINE_PINS 2

struct sc_reply {
    sci_atomic_u32 references;
    sc_memory memory;
    sci_items items;
    size_t first;     /* index of the first item to be shown */
    size_t count;     /* top-level items, as far as complete */
    sci_chunk **pins; /* `inline_pins`, or an owned array; each one reference */
    size_t pin_count;
    size_t pin_cap;
    sci_chunk *inline_pins[SCI_REPLY_INLINE_PINS];
    sc_item inline_items[SCI_REPLY_INLINE_ITEMS];
};

/* One that lives inside another struct and is not counted. */
SCI_PRIVATE void sci_reply_init(sc_reply *reply, const sc_memory *memory);
/* Forget the content: nodes, pins, large blocks. */
SCI_PRIVATE void sci_reply_reset(sc_reply *reply);
SCI_PRIVATE sc_reply *sci_reply_create(const sc_memory *memory);
/* Keep `chunk` as long as the reply lives. */
SCI_PRIVATE sc_status sci_reply_pin(sc_reply *reply, sci_chunk *chunk);
