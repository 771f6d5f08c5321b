/* A stream as a whole: copied, dumped, measured. */

#include "server/memory.h"
#include "server/stream.h"

SCI_PRIVATE void sci_stream_release(const sc_memory *memory, void *object)
{
    (void)memory;
    sci_stream_free((sci_stream *)object);
}

SCI_PRIVATE void *sci_stream_copy(const sc_memory *memory, const void *object)
{
    const sci_stream *stream = (const sci_stream *)object;
    sci_stream *copy = sci_stream_create(memory);
    if (!copy)
        return NULL;
    if (sci_stream_copy_chunks(copy, stream) != SC_OK) {
        sci_stream_free(copy);
        return NULL;
    }
    copy->length = stream->length;
    copy->entries_added = stream->entries_added;
    copy->last_id = stream->last_id;
    copy->first_id = stream->first_id;
    copy->max_deleted_id = stream->max_deleted_id;
    return copy;
}

SCI_PRIVATE size_t sci_stream_bytes(const void *object)
{
    const sci_stream *stream = (const sci_stream *)object;
    return sci_counted_block(sizeof *stream) + stream->chunk_bytes +
           (stream->cap ? sci_counted_block(stream->cap * sizeof *stream->chunks) : 0);
}

/* --- Dumping */

/* Words of a command, each with room for an integer's digits. */
typedef struct sci_stream_words {
    const sc_memory *memory;
    sc_slice *at; /* owned */
    char *texts;  /* in the same block */
    size_t cap;
} sci_stream_words;

static size_t sci_stream_words_size(size_t cap)
{
    return cap * (sizeof(sc_slice) + SCI_I64_TEXT_BYTES);
}

static void sci_stream_words_free(sci_stream_words *words)
{
    sci_free(words->memory, words->at, sci_stream_words_size(words->cap));
}

/* What they were is lost. */
static sc_status sci_stream_words_reserve(sci_stream_words *words, size_t count)
{
    if (count <= words->cap)
        return SC_OK;
    sc_slice *at = (sc_slice *)sci_resize(words->memory, NULL, 0, sci_stream_words_size(count));
    if (!at)
        return SC_ERR_MEMORY;
    sci_stream_words_free(words);
    words->at = at;
    words->texts = (char *)(at + count);
    words->cap = count;
    return SC_OK;
}

static sc_status sci_stream_dump_entry(sci_stream_cursor *cursor, sci_stream_words *words,
                                       sc_slice key, sci_dump *dump)
{
    enum { HEAD_WORDS = 3 };
    char id[SCI_STREAM_ID_TEXT_BYTES];
    size_t count = HEAD_WORDS + 2 * cursor->place.fields;
    sc_status status = sci_stream_words_reserve(words, count);
    if (status != SC_OK)
        return status;
    words->at[0] = sc_text("XADD");
    words->at[1] = key;
    words->at[2] = sc_bytes(id, sci_stream_id_to_text(cursor->place.id, id));
    for (size_t i = HEAD_WORDS; i < count; i++)
        words->at[i] = sci_stream_word(cursor, words->texts + i * SCI_I64_TEXT_BYTES);
    return dump->command(dump, words->at, count);
}

static sc_status sci_stream_dump_entries(const sci_stream *stream, sc_slice key, sci_dump *dump)
{
    sci_stream_words words = {&stream->memory, NULL, NULL, 0};
    sci_stream_cursor cursor;
    sc_status status = SC_OK;
    sci_stream_seek(&cursor, stream, sci_stream_lowest, sci_stream_highest, false);
    while (status == SC_OK && sci_stream_next(&cursor))
        status = sci_stream_dump_entry(&cursor, &words, key, dump);
    sci_stream_words_free(&words);
    return status;
}

/* What makes a key without an entry: one that is trimmed away at once. */
static sc_status sci_stream_dump_empty(sc_slice key, sci_dump *dump)
{
    sc_slice argv[7] = {sc_text("XADD"), key,          sc_text("MAXLEN"), sc_text("0"),
                        sc_text("0-1"),  sc_text("x"), sc_text("y")};
    return dump->command(dump, argv, SCI_COUNT(argv));
}

static sc_status sci_stream_dump_ids(const sci_stream *stream, sc_slice key, sci_dump *dump)
{
    enum { LAST_ID_WORDS = 3 };
    char last_id[SCI_STREAM_ID_TEXT_BYTES], max_deleted_id[SCI_STREAM_ID_TEXT_BYTES];
    char added[SCI_I64_TEXT_BYTES];
    sc_slice last = sc_bytes(last_id, sci_stream_id_to_text(stream->last_id, last_id));
    sc_slice max_deleted =
        sc_bytes(max_deleted_id, sci_stream_id_to_text(stream->max_deleted_id, max_deleted_id));
    sc_slice argv[7] = {sc_text("XSETID"),
                        key,
                        last,
                        sc_text("ENTRIESADDED"),
                        sc_bytes(added, sci_u64_to_text(stream->entries_added, added)),
                        sc_text("MAXDELETEDID"),
                        max_deleted};
    if (sci_stream_id_compare(stream->last_id, stream->max_deleted_id) >= 0)
        return dump->command(dump, argv, SCI_COUNT(argv));
    /* The last id was set back since: this cannot be said at once. */
    argv[2] = max_deleted;
    sc_status status = dump->command(dump, argv, SCI_COUNT(argv));
    argv[2] = last;
    return status == SC_OK ? dump->command(dump, argv, LAST_ID_WORDS) : status;
}

SCI_PRIVATE sc_status sci_stream_dump(const void *object, sc_slice key, sci_dump *dump)
{
    const sci_stream *stream = (const sci_stream *)object;
    sc_status status = stream->length > 0 ? sci_stream_dump_entries(stream, key, dump)
                                          : sci_stream_dump_empty(key, dump);
    return status == SC_OK ? sci_stream_dump_ids(stream, key, dump) : status;
}

/* --- What Redis's radix tree would be */

/* How many leading bytes two ids have in common, as sixteen bytes each, the highest first. */
static size_t sci_stream_id_common(sci_stream_id a, sci_stream_id b)
{
    bool is_ms = a.ms != b.ms;
    uint64_t difference = is_ms ? a.ms ^ b.ms : a.seq ^ b.seq;
    size_t common = is_ms ? 0 : sizeof a.ms;
    for (; difference >> 56 == 0; difference <<= 8)
        common++;
    return common;
}

/* Depths count from 1. A node stands at the root, where ids branch, below each branch, and at each
   id; where two of those are the same place, as when a branch or an id follows its branch at once,
   it is one. `open` are the branches over the id that was last looked at. */
SCI_PRIVATE size_t sci_stream_radix_nodes(const sci_stream *stream)
{
    enum { LEAF = 17 };
    size_t open[LEAF];
    size_t top = 0, nodes = 1, left = 0;
    open[0] = 0;
    for (size_t i = 0; i < stream->count; i++) {
        const sci_stream_chunk *const *chunk =
            (const sci_stream_chunk *const *)stream->chunks + stream->first + i;
        bool is_end = i + 1 == stream->count;
        size_t right = is_end ? 0 : 1 + sci_stream_id_common(chunk[0]->base, chunk[1]->base);
        nodes += LEAF != sci_max_size(left, right) + 1;
        for (; open[top] > right; top--)
            nodes += open[top] != sci_max_size(open[top - 1], right) + 1;
        if (right > open[top]) {
            open[++top] = right;
            nodes++;
        }
        nodes += !is_end;
        left = right;
    }
    return nodes;
}
