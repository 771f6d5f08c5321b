/* RESP2 replies: no input breaks the reader, no byte past the end is read, pieces give what the
   whole gives, and a whole reply is nothing but the bytes it was read from.

   The last 5 bytes of an input steer: 4 lengths of pieces, in turn, then the mode. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <stdlib.h>

#define PIECE_LENGTHS 4
#define STEER_BYTES (PIECE_LENGTHS + 1)
#define MODE_SMALL_LIMITS 1u
#define MODE_STREAM 2u
#define MODE_INLINE 4u
#define INLINE_ITEMS 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct reading {
    sci_reader reader;
    sci_items items;
    sc_item inline_items[INLINE_ITEMS];
    const char *data;
    size_t len;
    size_t consumed;
    size_t replies;
    size_t streamed; /* bytes that went to the sink */
    uint64_t streamed_hash;
    sc_status status;
    char words[SC_ERROR_TEXT_BYTES];
} reading;

static void must(bool condition)
{
    if (!condition)
        abort();
}

static sc_status take_piece(void *user, size_t total, sc_slice piece)
{
    reading *run = (reading *)user;
    must(piece.len <= total && (piece.len > 0 || total == 0));
    for (size_t i = 0; i < piece.len; i++)
        run->streamed_hash = run->streamed_hash * 1099511628211u + (unsigned char)piece.data[i];
    run->streamed += piece.len;
    return SC_OK;
}

static void begin(reading *run, const char *data, size_t len, unsigned mode)
{
    sc_memory memory;
    sc_limits limits;
    memset(run, 0, sizeof *run);
    memset(&limits, 0, sizeof limits);
    if (mode & MODE_SMALL_LIMITS) {
        limits.max_depth = 3;
        limits.max_elements = 6;
        limits.max_bulk_bytes = 12;
        limits.max_reply_bytes = 48;
    }
    must(sci_platform_memory(&memory));
    sci_items_init(&run->items, &memory, mode & MODE_INLINE ? run->inline_items : NULL,
                   INLINE_ITEMS);
    sci_reader_init(&run->reader, &limits);
    sci_reader_target(&run->reader, &run->items);
    if (mode & MODE_STREAM)
        sci_reader_stream(&run->reader, take_piece, run);
    run->data = data;
    run->len = len;
    run->status = SC_AGAIN;
}

/* Does the text of a whole reply stand at `at`? Returns what follows. */
static const char *match_item(const sc_item *item, const char *at)
{
    char header[2 + SCI_I64_TEXT_BYTES];
    static const char types[] = {0, '$', '$', '+', '-', ':', '*'};
    if (item->kind == SC_NIL) {
        must(memcmp(at, "$-1\r\n", 5) == 0 || memcmp(at, "*-1\r\n", 5) == 0);
        return at + 5;
    }
    size_t len = 1;
    header[0] = types[item->kind];
    if (item->kind == SC_INTEGER)
        len += sci_i64_to_text(item->is.integer, header + 1);
    else if (item->kind == SC_STRING || item->kind == SC_ARRAY)
        len += sci_u64_to_text(item->len, header + 1);
    must(memcmp(at, header, len) == 0);
    at += len;
    if (item->kind == SC_STRING) {
        must(memcmp(at, "\r\n", 2) == 0);
        at += 2;
    }
    if (item->kind == SC_STRING || item->kind == SC_SIMPLE || item->kind == SC_ERROR) {
        must(item->is.text == at || item->is.text == NULL);
        at += item->len;
    }
    must(memcmp(at, "\r\n", 2) == 0);
    at += 2;
    size_t elements = 0;
    for (const sc_item *e = sc_item_first(item); e; e = sc_item_next(item, e), elements++)
        at = match_item(e, at);
    must(elements == sc_item_count(item));
    return at;
}

/* One call on a copy that ends where the piece ends; new nodes are led back to the input. */
static void read_copy(reading *run, size_t end)
{
    size_t have = end - run->consumed;
    size_t used = 0;
    uint32_t old_count = run->items.count;
    char *copy = (char *)malloc(have + !have);
    must(copy != NULL);
    memcpy(copy, run->data + run->consumed, have);
    run->status = sci_reader_read(&run->reader, copy, have, &used);
    must(used <= have);
    for (uint32_t i = old_count; i < run->items.count; i++) {
        sc_item *item = &run->items.at[i];
        bool is_text = item->kind == SC_STRING || item->kind == SC_SIMPLE || item->kind == SC_ERROR;
        if (is_text && item->is.text) {
            must(item->is.text >= copy && item->is.text + item->len + 2 <= copy + used);
            item->is.text = run->data + run->consumed + (item->is.text - copy);
        }
    }
    free(copy);
    run->consumed += used;
}

/* Read all replies that `end` bytes hold. */
static void show(reading *run, size_t end)
{
    size_t start = run->consumed;
    while (run->status == SC_AGAIN || run->status == SC_OK) {
        read_copy(run, end);
        if (run->status == SC_AGAIN)
            return;
        if (run->status == SC_OK) {
            const sc_item *item = &run->items.at[run->reader.reply_start];
            must(run->reader.reply_start + item->span == run->items.count);
            run->replies++;
            if (end == run->len && start == 0) {
                must(match_item(item, run->data + start) == run->data + run->consumed);
                start = run->consumed;
            }
        }
    }
    must(run->items.count == run->reader.reply_start);
    must(strlen(sc_error_text()) < sizeof run->words);
    memcpy(run->words, sc_error_text(), strlen(sc_error_text()));
}

static void compare(const reading *whole, const reading *pieces)
{
    must(whole->status == pieces->status);
    must(strcmp(whole->words, pieces->words) == 0);
    must(whole->replies == pieces->replies);
    must(whole->streamed == pieces->streamed && whole->streamed_hash == pieces->streamed_hash);
    must(whole->status != SC_AGAIN || whole->consumed == pieces->consumed);
    must(whole->items.count == pieces->items.count);
    for (uint32_t i = 0; i < whole->items.count; i++) {
        const sc_item *a = &whole->items.at[i];
        const sc_item *b = &pieces->items.at[i];
        must(a->kind == b->kind && a->len == b->len && a->span == b->span);
        must(a->kind == SC_INTEGER ? a->is.integer == b->is.integer : a->is.text == b->is.text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static reading whole;
    static reading pieces;
    if (size < STEER_BYTES)
        return 0;
    size_t len = size - STEER_BYTES;
    unsigned mode = data[size - 1];
    begin(&whole, (const char *)data, len, mode);
    show(&whole, len);
    begin(&pieces, (const char *)data, len, mode);
    for (size_t end = 0, turn = 0; end < len; turn++) {
        size_t piece = (size_t)data[len + turn % PIECE_LENGTHS];
        end = sci_min_size(len, end + (piece ? piece : 1));
        show(&pieces, end);
    }
    if (len == 0)
        show(&pieces, len);
    compare(&whole, &pieces);
    sci_items_free(&whole.items);
    sci_items_free(&pieces.items);
    return 0;
}
