/* Nodes: the growable array that the reader fills, and the public accessors that need no more than
   a node. */

#include "resp/item.h"

#include "base/number.h"

/* Nodes of the first owned block. */
#define SCI_ITEMS_FIRST_CAP 16
/* Bytes of an error that go into a detail text. */
#define SCI_ITEM_SHOWN_BYTES 256

/* MARK: Growable nodes */

SCI_PRIVATE void sci_items_init(sci_items *items, const sc_memory *memory, sc_item *inline_items,
                                uint32_t inline_cap)
{
    items->memory = *memory;
    items->inline_items = inline_items;
    items->inline_cap = inline_items ? inline_cap : 0;
    items->at = inline_items;
    items->count = 0;
    items->cap = items->inline_cap;
}

SCI_PRIVATE void sci_items_free(sci_items *items)
{
    if (items->at != items->inline_items)
        sci_free(&items->memory, items->at, (size_t)items->cap * sizeof(sc_item));
    items->at = items->inline_items;
    items->count = 0;
    items->cap = items->inline_cap;
}

SCI_PRIVATE void sci_items_reset(sci_items *items, uint32_t keep_cap)
{
    items->count = 0;
    if (items->cap > keep_cap && items->at != items->inline_items)
        sci_items_free(items);
}

SCI_PRIVATE sc_status sci_items_grow(sci_items *items)
{
    bool is_inline = items->at == items->inline_items;
    uint64_t cap = (uint64_t)items->cap * 2;
    if (cap < SCI_ITEMS_FIRST_CAP)
        cap = SCI_ITEMS_FIRST_CAP;
    if (cap > UINT32_MAX || cap > SIZE_MAX / sizeof(sc_item))
        return sc_fail(SC_ERR_MEMORY, "out of memory: replies of more than %u nodes are too large",
                       (unsigned)items->cap);
    size_t old_bytes = is_inline ? 0 : items->cap * sizeof(sc_item);
    sc_item *grown = (sc_item *)sci_resize(&items->memory, is_inline ? NULL : items->at, old_bytes,
                                           (size_t)cap * sizeof(sc_item));
    if (!grown)
        return SC_ERR_MEMORY;
    if (is_inline && items->count > 0)
        memcpy(grown, items->inline_items, items->count * sizeof(sc_item));
    items->at = grown;
    items->cap = (uint32_t)cap;
    return SC_OK;
}

/* MARK: Accessors */

static const char *sci_item_kind_name(const sc_item *item)
{
    static const char *const names[] = {"missing",  "nil",        "a string", "a simple string",
                                        "an error", "an integer", "an array"};
    return names[item ? item->kind : 0];
}

static bool sci_item_is_text(const sc_item *item)
{
    return item && (item->kind == SC_STRING || item->kind == SC_SIMPLE);
}

/* A streamed string has gone elsewhere: its node has a length and no bytes. */
static sc_slice sci_item_text(const sc_item *item)
{
    return sc_bytes(item->is.text, item->is.text ? item->len : 0);
}

/* Why an item is not the `wanted` one. */
static sc_status sci_item_refuse(const sc_item *item, const char *wanted)
{
    if (item && item->kind == SC_NIL)
        return SC_MISS;
    if (item && item->kind == SC_ERROR)
        return sc_item_check(item);
    return sc_fail(SC_ERR_TYPE, "the reply is %s, not %s", sci_item_kind_name(item), wanted);
}

SC_API sc_kind sc_item_kind(const sc_item *item)
{
    return item ? (sc_kind)item->kind : SC_NIL;
}

SC_API bool sc_item_is_nil(const sc_item *item)
{
    return !item || item->kind == SC_NIL;
}

SC_API sc_slice sc_item_slice(const sc_item *item)
{
    if (sci_item_is_text(item) || (item && item->kind == SC_ERROR))
        return sci_item_text(item);
    return sc_bytes(NULL, 0);
}

SC_API sc_status sc_item_bytes(const sc_item *item, sc_slice *bytes)
{
    bool is_text = sci_item_is_text(item);
    *bytes = is_text ? sci_item_text(item) : sc_bytes(NULL, 0);
    return is_text ? SC_OK : sci_item_refuse(item, "a string");
}

SC_API sc_status sc_item_integer(const sc_item *item, int64_t *number)
{
    *number = 0;
    if (item && item->kind == SC_INTEGER) {
        *number = item->is.integer;
        return SC_OK;
    }
    if (!sci_item_is_text(item))
        return sci_item_refuse(item, "an integer");
    if (!sci_text_to_i64(sci_item_text(item), number))
        return sc_fail(SC_ERR_TYPE, "the reply is %s that is no integer of 64 bits",
                       sci_item_kind_name(item));
    return SC_OK;
}

SC_API sc_status sc_item_double(const sc_item *item, double *number)
{
    *number = 0;
    if (item && item->kind == SC_INTEGER) {
        *number = (double)item->is.integer;
        return SC_OK;
    }
    if (!sci_item_is_text(item))
        return sci_item_refuse(item, "a number");
    if (!sci_text_to_double(sci_item_text(item), number))
        return sc_fail(SC_ERR_TYPE, "the reply is %s that is no number", sci_item_kind_name(item));
    return SC_OK;
}

SC_API sc_status sc_item_expect(const sc_item *item, const char *text)
{
    if (!sci_item_is_text(item))
        return sci_item_refuse(item, "a string");
    sc_slice bytes = sci_item_text(item);
    if (sci_slice_equal(bytes, sc_text(text)))
        return SC_OK;
    return sc_fail(SC_ERR_TYPE, "the reply is \"%.*s\", not \"%s\"",
                   (int)sci_min_size(bytes.len, SCI_ITEM_SHOWN_BYTES), bytes.data ? bytes.data : "",
                   text);
}

SC_API sc_status sc_item_check(const sc_item *item)
{
    if (!item)
        return sci_item_refuse(item, "an answer");
    if (item->kind != SC_ERROR)
        return SC_OK;
    return sc_fail(SC_ERR_REPLY, "%.*s", (int)sci_min_size(item->len, SC_ERROR_TEXT_BYTES),
                   item->is.text);
}

SC_API size_t sc_item_count(const sc_item *item)
{
    return item && item->kind == SC_ARRAY ? item->len : 0;
}

SC_API const sc_item *sc_item_at(const sc_item *item, size_t index)
{
    if (index >= sc_item_count(item))
        return NULL;
    if (item->span - 1 == item->len) /* every element is one node */
        return item + 1 + index;
    const sc_item *element = item + 1;
    while (index--)
        element += element->span;
    return element;
}

SC_API const sc_item *sc_item_first(const sc_item *array)
{
    return sc_item_count(array) > 0 ? array + 1 : NULL;
}

SC_API const sc_item *sc_item_next(const sc_item *array, const sc_item *element)
{
    if (!array || !element)
        return NULL;
    const sc_item *next = element + element->span;
    return next < array + array->span ? next : NULL;
}

SC_API const sc_item *sc_item_find(const sc_item *array, sc_slice name)
{
    const sc_item *key = sc_item_first(array);
    while (key) {
        const sc_item *value = sc_item_next(array, key);
        if (sci_item_is_text(key) && sci_slice_equal(sci_item_text(key), name))
            return value;
        key = sc_item_next(array, value);
    }
    return NULL;
}
