/* Growable bytes: a queue of bytes that grows at the end and is consumed at the front. */

#include "base/bytes.h"

#include "base/number.h"

#define SCI_BYTES_FIRST_CAP 512

SCI_PRIVATE void sci_bytes_init(sci_bytes *bytes, const sc_memory *memory)
{
    bytes->memory = *memory;
    bytes->data = NULL;
    bytes->start = 0;
    bytes->end = 0;
    bytes->cap = 0;
}

SCI_PRIVATE void sci_bytes_free(sci_bytes *bytes)
{
    sci_free(&bytes->memory, bytes->data, bytes->cap);
    bytes->data = NULL;
    bytes->start = 0;
    bytes->end = 0;
    bytes->cap = 0;
}

static void sci_bytes_move_to_front(sci_bytes *bytes)
{
    size_t len = sci_bytes_len(bytes);
    if (bytes->start == 0)
        return;
    if (len > 0)
        memmove(bytes->data, bytes->data + bytes->start, len);
    bytes->start = 0;
    bytes->end = len;
}

static sc_status sci_bytes_grow(sci_bytes *bytes, size_t needed_cap)
{
    size_t grown_cap = bytes->cap + bytes->cap / 2;
    if (grown_cap < bytes->cap)
        grown_cap = needed_cap;
    size_t cap = sci_max_size(sci_max_size(grown_cap, needed_cap), SCI_BYTES_FIRST_CAP);
    char *data = (char *)sci_resize(&bytes->memory, bytes->data, bytes->cap, cap);
    if (!data)
        return SC_ERR_MEMORY;
    bytes->data = data;
    bytes->cap = cap;
    return SC_OK;
}

SCI_PRIVATE sc_status sci_bytes_reserve(sci_bytes *bytes, size_t extra)
{
    if (SCI_LIKELY(bytes->cap - bytes->end >= extra))
        return SC_OK;
    size_t len = sci_bytes_len(bytes);
    if (extra > SIZE_MAX / 2 - len)
        return sc_fail(SC_ERR_MEMORY, "out of memory: a buffer of %zu + %zu bytes is too large",
                       len, extra);
    bool fits = bytes->cap - len >= extra;
    /* Moving is paid for by the bytes consumed since the last time; a nearly full buffer that moved
       for each small append would cost quadratic time. */
    bool move_is_cheap = len / 2 <= bytes->start;
    if (!(fits && move_is_cheap)) {
        sc_status status = sci_bytes_grow(bytes, len + extra);
        if (status != SC_OK && !fits)
            return status;
    }
    sci_bytes_move_to_front(bytes);
    return SC_OK;
}

SCI_PRIVATE sc_status sci_bytes_append(sci_bytes *bytes, sc_slice slice)
{
    sc_status status = sci_bytes_reserve(bytes, slice.len);
    if (status != SC_OK)
        return status;
    if (slice.len > 0)
        memcpy(bytes->data + bytes->end, slice.data, slice.len);
    bytes->end += slice.len;
    return SC_OK;
}

SCI_PRIVATE sc_status sci_bytes_append_text(sci_bytes *bytes, const char *text)
{
    return sci_bytes_append(bytes, sc_text(text));
}

SCI_PRIVATE sc_status sci_bytes_append_i64(sci_bytes *bytes, int64_t number)
{
    char text[SCI_I64_TEXT_BYTES];
    size_t len = sci_i64_to_text(number, text);
    return sci_bytes_append(bytes, sc_bytes(text, len));
}

SCI_PRIVATE sc_status sci_bytes_append_char(sci_bytes *bytes, char c)
{
    sc_status status = sci_bytes_reserve(bytes, 1);
    if (status != SC_OK)
        return status;
    bytes->data[bytes->end++] = c;
    return SC_OK;
}

SCI_PRIVATE void sci_bytes_consume(sci_bytes *bytes, size_t count)
{
    sci_assert(count <= sci_bytes_len(bytes));
    bytes->start += count;
    if (bytes->start == bytes->end) {
        bytes->start = 0;
        bytes->end = 0;
    }
}

SCI_PRIVATE void sci_bytes_cut(sci_bytes *bytes, size_t offset, size_t count)
{
    sci_assert(offset <= sci_bytes_len(bytes) && count <= sci_bytes_len(bytes) - offset);
    if (offset == 0) {
        sci_bytes_consume(bytes, count);
        return;
    }
    size_t from = bytes->start + offset + count;
    if (count > 0 && from < bytes->end)
        memmove(bytes->data + bytes->start + offset, bytes->data + from, bytes->end - from);
    bytes->end -= count;
}

SCI_PRIVATE void sci_bytes_reset(sci_bytes *bytes, size_t keep_cap)
{
    bytes->start = 0;
    bytes->end = 0;
    if (bytes->cap > keep_cap)
        sci_bytes_free(bytes);
}
