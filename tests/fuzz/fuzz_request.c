/* Commands: no input breaks the reader, no byte past the end is read, pieces give what the whole
   gives, and the words of an array are where its headers say.

   The last 5 bytes of an input steer: 4 lengths of pieces, in turn, then the mode. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <stdlib.h>

#define PIECE_LENGTHS 4
#define STEER_BYTES (PIECE_LENGTHS + 1)
#define MODE_SMALL_LIMITS 1u
#define MODE_STRANGER 2u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct reading {
    sci_request request;
    const char *data;
    size_t consumed;
    size_t commands;
    size_t words;
    uint64_t hash; /* of all words */
    sc_status status;
    char text[SC_ERROR_TEXT_BYTES];
} reading;

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void begin(reading *run, const char *data, unsigned mode)
{
    sc_memory memory;
    sci_request_limits limits;
    memset(run, 0, sizeof *run);
    limits.max_words = mode & MODE_SMALL_LIMITS ? 5 : 1000;
    limits.max_bulk_bytes = mode & MODE_SMALL_LIMITS ? 12 : 100000;
    limits.max_line_bytes = mode & MODE_SMALL_LIMITS ? 24 : 1000;
    must(sci_platform_memory(&memory));
    sci_request_init(&run->request, &memory, &limits);
    run->request.is_stranger = (mode & MODE_STRANGER) != 0;
    run->data = data;
    run->status = SC_AGAIN;
}

static void mix(reading *run, sc_slice word)
{
    run->words++;
    for (size_t i = 0; i <= word.len; i++)
        run->hash =
            (run->hash ^ (i < word.len ? (unsigned char)word.data[i] : 0x100u)) * 1099511628211u;
}

/* Words of an array lie one after the other, a header and a line end between them. */
static void check_words(const reading *run, const char *at, size_t used)
{
    const char *end = at + used;
    bool is_typed = *at != '*';
    for (size_t i = 0; i < run->request.word_count; i++) {
        sc_slice word = run->request.words[i];
        must(word.len <= run->request.limits.max_bulk_bytes || is_typed);
        if (is_typed)
            continue;
        must(word.data >= at + 4 && word.data + word.len + 2 <= end);
        at = word.data + word.len + 2;
    }
    must(is_typed || run->request.word_count == 0 || at == end);
}

/* Each call sees a block of its own that ends where the bytes do. */
static void show(reading *run, size_t end)
{
    while (run->status == SC_OK || run->status == SC_AGAIN) {
        size_t len = end - run->consumed;
        size_t used = 0;
        char *block = (char *)malloc(len ? len : 1);
        must(block != NULL);
        memcpy(block, run->data + run->consumed, len);
        run->status = sci_request_read(&run->request, block, len, &used);
        if (run->status == SC_OK) {
            must(used > 0 && used <= len);
            check_words(run, block, used);
            for (size_t i = 0; i < run->request.word_count; i++)
                mix(run, run->request.words[i]);
            run->commands++;
            run->consumed += used;
        }
        if (run->status == SC_ERR_PROTOCOL)
            memcpy(run->text, sc_error_text(), strlen(sc_error_text()));
        if (run->status == SC_AGAIN)
            must(sci_request_missing(&run->request, len) <= run->request.limits.max_bulk_bytes + 2);
        free(block);
        if (run->status == SC_AGAIN)
            return;
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
    begin(&whole, (const char *)data, mode);
    show(&whole, len);
    begin(&pieces, (const char *)data, mode);
    for (size_t end = 0, turn = 0; end < len; turn++) {
        size_t piece = (size_t)data[len + turn % PIECE_LENGTHS];
        end = sci_min_size(len, end + (piece ? piece : 1));
        show(&pieces, end);
    }
    must(whole.status == pieces.status || len == 0);
    must(strcmp(whole.text, pieces.text) == 0);
    must(whole.commands == pieces.commands && whole.consumed == pieces.consumed);
    must(whole.words == pieces.words && whole.hash == pieces.hash);
    sci_request_free(&whole.request);
    sci_request_free(&pieces.request);
    return 0;
}
