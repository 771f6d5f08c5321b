#pragma once
/* What the tests of RESP2 share: replies as text, and reading in pieces. */

#include "smartcache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Some, so that the quick path has room from the first reply on; few, so that arrays grow. */
#define INLINE_ITEMS 3
#define TRANSCRIPT_BYTES 8192

/* xorshift64* (S. Vigna, 2016): the same numbers in every run. */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

/* --- what was read, as text */

typedef struct transcript {
    char text[TRANSCRIPT_BYTES];
    size_t len;
} transcript;

static inline void put(transcript *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(out->text + out->len, sizeof out->text - out->len, format, arguments);
    va_end(arguments);
    assert_true(len >= 0 && (size_t)len < sizeof out->text - out->len);
    out->len += (size_t)len;
}

static inline void put_bytes(transcript *out, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];
        put(out, c >= ' ' && c < 127 ? "%c" : "\\%02x", c);
    }
}

/* `shift` leads from where the reader found a text to where it is kept. */
static inline void put_item(transcript *out, const sc_item *item, ptrdiff_t shift)
{
    switch (sc_item_kind(item)) {
    case SC_NIL:
        put(out, "nil");
        break;
    case SC_INTEGER:
        put(out, ":%lld", (long long)item->is.integer);
        break;
    case SC_ARRAY:
        put(out, "[");
        for (const sc_item *e = sc_item_first(item); e; e = sc_item_next(item, e)) {
            put_item(out, e, shift);
            put(out, sc_item_next(item, e) ? " " : "");
        }
        put(out, "]");
        break;
    default:
        put(out, item->kind == SC_STRING ? "$" : item->kind == SC_SIMPLE ? "+" : "-");
        put_bytes(out, item->is.text + shift, item->len);
    }
}

/* --- reading in pieces */

typedef struct piecewise {
    sc_memory memory;
    sc_limits limits;
    const char *input;
    size_t len;
    char *view; /* what the reader sees; `input` itself, or a copy with the seen bytes spoilt */
    size_t consumed;
    size_t shown;
    sc_status status;
    sci_reader reader;
    sci_items items;
    sc_item inline_items[INLINE_ITEMS];
    transcript out;
} piecewise;

static inline void piecewise_init(piecewise *run, const char *input, size_t len,
                                  const sc_limits *limits)
{
    memset(run, 0, sizeof *run);
    assert_true(sci_platform_memory(&run->memory));
    run->input = input;
    run->len = len;
    run->status = SC_AGAIN;
    sci_items_init(&run->items, &run->memory, run->inline_items, INLINE_ITEMS);
    sci_reader_init(&run->reader, limits);
    sci_reader_target(&run->reader, &run->items);
}

static inline void piecewise_free(piecewise *run)
{
    sci_items_free(&run->items);
    if (run->view)
        free(run->view);
}

/* The reader must not look at what it has seen: but for the last byte, it is line ends that fit
   nowhere. */
static inline void spoil_seen(piecewise *run)
{
    if (!run->view) {
        run->view = (char *)malloc(run->len + 1);
        assert_non_null(run->view);
        memcpy(run->view, run->input, run->len);
    }
    if (run->shown > 1)
        memset(run->view, '\n', run->shown - 1);
}

/* Show the input up to `end`; replies go to the transcript. */
static inline void piecewise_show(piecewise *run, size_t end)
{
    const char *base = run->view ? run->view : run->input;
    while (run->status == SC_AGAIN || run->status == SC_OK) {
        size_t used = 0;
        run->status =
            sci_reader_read(&run->reader, base + run->consumed, end - run->consumed, &used);
        run->consumed += used;
        assert_true(run->consumed <= end);
        if (run->status == SC_OK) {
            const sc_item *item = &run->items.at[run->reader.reply_start];
            assert_int_equal(run->items.count - run->reader.reply_start, item->span);
            assert_true(sci_reader_is_idle(&run->reader));
            put_item(&run->out, item, run->input - base);
            put(&run->out, "\n");
        } else if (run->status == SC_AGAIN) {
            break;
        } else {
            put(&run->out, "%s: %s\n", sc_status_name(run->status), sc_error_text());
            assert_int_equal(run->items.count, run->reader.reply_start);
        }
    }
    run->shown = end;
}

#define BYTES(text) (text), sizeof(text) - 1
