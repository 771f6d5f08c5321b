/* Replies: ownership. What stands in them is read by the functions of resp/item. */

#include "client/reply.h"

/* Nodes that a reset reply keeps room for. */
#define SCI_REPLY_KEEP_ITEMS 256

SCI_PRIVATE void sci_reply_init(sc_reply *reply, const sc_memory *memory)
{
    reply->references.value = 1;
    reply->memory = *memory;
    sci_items_init(&reply->items, memory, reply->inline_items, SCI_REPLY_INLINE_ITEMS);
    reply->first = 0;
    reply->count = 0;
    reply->pins = reply->inline_pins;
    reply->pin_count = 0;
    reply->pin_cap = SCI_REPLY_INLINE_PINS;
}

static void sci_reply_unpin_all(sc_reply *reply)
{
    for (size_t i = 0; i < reply->pin_count; i++)
        sci_chunk_release(reply->pins[i]);
    if (reply->pins != reply->inline_pins)
        sci_free(&reply->memory, reply->pins, reply->pin_cap * sizeof(sci_chunk *));
    reply->pins = reply->inline_pins;
    reply->pin_count = 0;
    reply->pin_cap = SCI_REPLY_INLINE_PINS;
}

SCI_PRIVATE void sci_reply_reset(sc_reply *reply)
{
    sci_items_reset(&reply->items, SCI_REPLY_KEEP_ITEMS);
    reply->first = 0;
    reply->count = 0;
    if (reply->pin_count)
        sci_reply_unpin_all(reply);
}

SCI_PRIVATE sc_reply *sci_reply_create(const sc_memory *memory)
{
    sc_reply *reply = (sc_reply *)sci_resize(memory, NULL, 0, sizeof *reply);
    if (reply)
        sci_reply_init(reply, memory);
    return reply;
}

SCI_PRIVATE sc_status sci_reply_pin(sc_reply *reply, sci_chunk *chunk)
{
    if (reply->pin_count && reply->pins[reply->pin_count - 1] == chunk)
        return SC_OK;
    if (reply->pin_count == reply->pin_cap) {
        size_t old_size = reply->pin_cap * sizeof(sci_chunk *);
        bool was_inline = reply->pins == reply->inline_pins;
        sci_chunk **grown =
            (sci_chunk **)sci_resize(&reply->memory, was_inline ? NULL : reply->pins,
                                     was_inline ? 0 : old_size, 2 * old_size);
        if (!grown)
            return SC_ERR_MEMORY;
        if (was_inline)
            memcpy(grown, reply->inline_pins, old_size);
        reply->pins = grown;
        reply->pin_cap *= 2;
    }
    reply->pins[reply->pin_count++] = sci_chunk_retain(chunk);
    return SC_OK;
}

SC_API sc_reply *sc_reply_retain(sc_reply *reply)
{
    if (reply)
        (void)sci_atomic_add(&reply->references, 1);
    return reply;
}

SC_API void sc_reply_release(sc_reply *reply)
{
    if (!reply || sci_atomic_subtract(&reply->references, 1) != 1)
        return;
    sc_memory memory = reply->memory;
    if (reply->items.at != reply->inline_items)
        sci_items_free(&reply->items);
    if (reply->pin_count)
        sci_reply_unpin_all(reply);
    sci_free(&memory, reply, sizeof *reply);
}

SC_API size_t sc_reply_count(const sc_reply *reply)
{
    return reply ? reply->count : 0;
}

SC_API const sc_item *sc_reply_at(const sc_reply *reply, size_t index)
{
    if (!reply || index >= reply->count)
        return NULL;
    if (reply->first == 0 && reply->items.count == reply->count) /* no arrays */
        return &reply->items.at[index];
    const sc_item *item = reply->items.at + reply->first;
    while (index--)
        item += item->span;
    return item;
}

SC_API const sc_item *sc_reply_item(const sc_reply *reply)
{
    return sc_reply_at(reply, 0);
}

SC_API sc_status sc_item_value(const sc_reply *reply, const sc_item *item, sc_value **value)
{
    sc_slice bytes;
    *value = NULL;
    sc_status status = sc_item_bytes(item, &bytes);
    return status == SC_OK ? sc_value_create(&reply->memory, bytes, value) : status;
}
