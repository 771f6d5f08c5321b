#pragma once
/* Growable bytes: a queue of bytes that grows at the end and is consumed at the front. */

#include "base/memory.h"

typedef struct sci_bytes {
    sc_memory memory;
    char *data;   /* owned; NULL while cap is 0 */
    size_t start; /* first byte not consumed */
    size_t end;   /* one past the last byte */
    size_t cap;
} sci_bytes;

SCI_PRIVATE void sci_bytes_init(sci_bytes *bytes, const sc_memory *memory);
SCI_PRIVATE void sci_bytes_free(sci_bytes *bytes); /* frees the block and leaves an empty object */
/* Make room for `extra` bytes after the end (moving what is there to the front where that is
   enough). Capacity grows at least by half, and from 512. SC_ERR_MEMORY leaves all as it was. */
SCI_PRIVATE sc_status sci_bytes_reserve(sci_bytes *bytes, size_t extra);
SCI_PRIVATE sc_status sci_bytes_append(sci_bytes *bytes, sc_slice slice);
SCI_PRIVATE sc_status sci_bytes_append_text(sci_bytes *bytes, const char *text);
SCI_PRIVATE sc_status sci_bytes_append_i64(sci_bytes *bytes, int64_t number); /* decimal */
SCI_PRIVATE sc_status sci_bytes_append_char(sci_bytes *bytes, char c);
/* Take `count` bytes off the front; an emptied object starts at 0 again. */
SCI_PRIVATE void sci_bytes_consume(sci_bytes *bytes, size_t count);
/* Remove `count` bytes that begin `offset` bytes after the front. */
SCI_PRIVATE void sci_bytes_cut(sci_bytes *bytes, size_t offset, size_t count);
/* Forget the content and, when the capacity is above `keep_cap`, the block. */
SCI_PRIVATE void sci_bytes_reset(sci_bytes *bytes, size_t keep_cap);

/* Exchange the content of two objects with the same memory. */
static inline void sci_bytes_swap(sci_bytes *a, sci_bytes *b)
{
    char *data = a->data;
    size_t start = a->start, end = a->end, cap = a->cap;
    a->data = b->data;
    a->start = b->start;
    a->end = b->end;
    a->cap = b->cap;
    b->data = data;
    b->start = start;
    b->end = end;
    b->cap = cap;
}

static inline size_t sci_bytes_len(const sci_bytes *bytes)
{
    return bytes->end - bytes->start;
}

static inline sc_slice sci_bytes_slice(const sci_bytes *bytes)
{
    return sc_bytes(bytes->data ? bytes->data + bytes->start : NULL, bytes->end - bytes->start);
}
