/* Streams over chunks of packed entries. */

#include "server/stream.h"

#include "server/memory.h"

#define SCI_STREAM_FIRST_CHUNKS 4
/* A chunk keeps as much unused room when entries go. */
#define SCI_STREAM_CHUNK_SLACK 64

SCI_PRIVATE sci_stream *sci_stream_create(const sc_memory *memory)
{
    sci_stream *stream = (sci_stream *)sci_alloc_zeroed(memory, sizeof *stream);
    if (stream)
        stream->memory = *memory;
    return stream;
}

static size_t sci_stream_array_bytes(const sci_stream *stream)
{
    return stream->cap * sizeof(sci_stream_chunk *);
}

static sci_stream_chunk *sci_stream_chunk_at(const sci_stream *stream, size_t index)
{
    return stream->chunks[stream->first + index];
}

static void sci_stream_account(sci_stream *stream, const sci_stream_chunk *chunk, size_t old_bytes)
{
    size_t bytes = chunk ? sci_counted_block(sci_stream_chunk_block(chunk)) : 0;
    stream->chunk_bytes += bytes - old_bytes;
}

static void sci_stream_chunk_free(sci_stream *stream, sci_stream_chunk *chunk)
{
    size_t block = sci_stream_chunk_block(chunk);
    stream->chunk_bytes -= sci_counted_block(block);
    sci_free(&stream->memory, chunk, block);
}

SCI_PRIVATE void sci_stream_free(sci_stream *stream)
{
    sc_memory memory = stream->memory;
    for (size_t i = 0; i < stream->count; i++)
        sci_stream_chunk_free(stream, sci_stream_chunk_at(stream, i));
    sci_free(&memory, stream->chunks, sci_stream_array_bytes(stream));
    sci_free(&memory, stream, sizeof *stream);
}

/* --- The array of chunks */

static sc_status sci_stream_array_resize(sci_stream *stream, size_t cap)
{
    sci_stream_chunk **chunks = (sci_stream_chunk **)sci_resize(
        &stream->memory, stream->chunks, sci_stream_array_bytes(stream), cap * sizeof *chunks);
    if (!chunks)
        return SC_ERR_MEMORY;
    stream->chunks = chunks;
    stream->cap = cap;
    return SC_OK;
}

static void sci_stream_array_to_front(sci_stream *stream)
{
    if (stream->first > 0 && stream->count > 0)
        memmove(stream->chunks, stream->chunks + stream->first,
                stream->count * sizeof *stream->chunks);
    stream->first = 0;
}

/* Room for one more at the end. Chunks move to the front only when at least as many have gone
   there: moving is paid for by those. */
static sc_status sci_stream_array_reserve(sci_stream *stream)
{
    if (stream->first + stream->count < stream->cap)
        return SC_OK;
    if (stream->first > stream->count) {
        sci_stream_array_to_front(stream);
        return SC_OK;
    }
    size_t grown = stream->cap + stream->cap / 2;
    return sci_stream_array_resize(stream, sci_max_size(grown, SCI_STREAM_FIRST_CHUNKS));
}

static void sci_stream_array_shrink(sci_stream *stream)
{
    if (stream->count >= stream->cap / 4 || stream->cap <= SCI_STREAM_FIRST_CHUNKS)
        return;
    sci_stream_array_to_front(stream);
    (void)sci_stream_array_resize(stream, stream->cap / 2);
}

static void sci_stream_chunk_drop(sci_stream *stream, size_t index)
{
    sci_stream_chunk **at = stream->chunks + stream->first;
    size_t behind = stream->count - 1 - index;
    sci_stream_chunk_free(stream, at[index]);
    if (behind < index) {
        memmove(at + index, at + index + 1, behind * sizeof *at);
    } else {
        memmove(at + 1, at, index * sizeof *at);
        stream->first++;
    }
    stream->count--;
    sci_stream_array_shrink(stream);
}

/* The chunk in which `id` would stand, if at all. */
static size_t sci_stream_chunk_find(const sci_stream *stream, sci_stream_id id)
{
    size_t low = 0, high = stream->count; /* the first chunk whose base is above `id` */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sci_stream_id_compare(sci_stream_chunk_at(stream, middle)->base, id) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? low - 1 : 0;
}

static void sci_stream_chunk_tighten(sci_stream *stream, size_t index)
{
    sci_stream_chunk **chunk = &stream->chunks[stream->first + index];
    size_t old_bytes = sci_counted_block(sci_stream_chunk_block(*chunk));
    *chunk = sci_stream_chunk_trim(&stream->memory, *chunk);
    sci_stream_account(stream, *chunk, old_bytes);
}

SCI_PRIVATE sc_status sci_stream_copy_chunks(sci_stream *stream, const sci_stream *from)
{
    if (from->count > 0 && sci_stream_array_resize(stream, from->count) != SC_OK)
        return SC_ERR_MEMORY;
    for (size_t i = 0; i < from->count; i++) {
        sci_stream_chunk *chunk =
            sci_stream_chunk_copy(&stream->memory, sci_stream_chunk_at(from, i));
        if (!chunk)
            return SC_ERR_MEMORY;
        sci_stream_account(stream, chunk, 0);
        stream->chunks[stream->count++] = chunk;
    }
    return SC_OK;
}

/* --- Appending and deleting */

SCI_PRIVATE sc_status sci_stream_append(sci_stream *stream, const sci_stream_item *item)
{
    sci_assert(sci_stream_id_compare(item->id, stream->last_id) > 0);
    sci_stream_chunk *last = stream->count ? sci_stream_chunk_at(stream, stream->count - 1) : NULL;
    bool is_new = !last || sci_stream_chunk_is_full(last, item);
    if (is_new && sci_stream_array_reserve(stream) != SC_OK)
        return SC_ERR_MEMORY;
    size_t old_bytes = is_new ? 0 : sci_counted_block(sci_stream_chunk_block(last));
    sc_status status;
    sci_stream_chunk *chunk =
        sci_stream_chunk_append(&stream->memory, is_new ? NULL : last, item, &status);
    if (!chunk)
        return status;
    sci_stream_account(stream, chunk, old_bytes);
    if (is_new && last)
        sci_stream_chunk_tighten(stream, stream->count - 1);
    stream->count += is_new;
    stream->chunks[stream->first + stream->count - 1] = chunk;
    stream->last_id = item->id;
    stream->entries_added++;
    if (++stream->length == 1)
        stream->first_id = item->id;
    return SC_OK;
}

static void sci_stream_find_first_id(sci_stream *stream)
{
    stream->first_id = sci_stream_lowest;
    for (size_t i = 0; i < stream->count; i++) {
        const sci_stream_chunk *chunk = sci_stream_chunk_at(stream, i);
        if (chunk->count > 0) {
            sci_stream_place place;
            sci_stream_chunk_place(chunk, sci_stream_chunk_first(chunk), &place);
            stream->first_id = place.id;
            return;
        }
    }
}

static void sci_stream_chunk_cut_out(sci_stream *stream, size_t index, size_t begin, size_t end,
                                     size_t count)
{
    sci_stream_chunk *chunk = sci_stream_chunk_at(stream, index);
    sci_stream_chunk_remove(chunk, begin, end, count);
    stream->length -= count;
    if (chunk->cap > 2 * chunk->used + SCI_STREAM_CHUNK_SLACK)
        sci_stream_chunk_tighten(stream, index);
}

SCI_PRIVATE bool sci_stream_delete(sci_stream *stream, sci_stream_id id)
{
    if (stream->length == 0)
        return false;
    size_t index = sci_stream_chunk_find(stream, id);
    const sci_stream_chunk *chunk = sci_stream_chunk_at(stream, index);
    size_t begin = 0, end = sci_stream_chunk_first(chunk);
    int order = -1;
    while (order < 0 && end < chunk->used) {
        sci_stream_place place;
        begin = end;
        end = sci_stream_chunk_step(chunk, begin, &place);
        order = sci_stream_id_compare(place.id, id);
    }
    if (order != 0)
        return false;
    sci_stream_chunk_cut_out(stream, index, begin, end, 1);
    if (sci_stream_chunk_at(stream, index)->count == 0)
        sci_stream_chunk_drop(stream, index);
    if (sci_stream_id_compare(id, stream->first_id) == 0)
        sci_stream_find_first_id(stream);
    if (sci_stream_id_compare(id, stream->max_deleted_id) > 0)
        stream->max_deleted_id = id;
    return true;
}

/* --- Trimming */

static bool sci_stream_chunk_is_over(const sci_stream *stream, const sci_stream_chunk *chunk,
                                     const sci_stream_trim *trim)
{
    if (trim->by == SCI_STREAM_MINID)
        return sci_stream_id_compare(chunk->last, trim->min_id) < 0;
    return stream->length - chunk->count >= trim->max_length;
}

/* Remove those entries of the first chunk that are over. It stays, even when all of them are: Redis
   leaves such a node too, and counts it. */
static uint64_t sci_stream_cut_chunk(sci_stream *stream, const sci_stream_trim *trim)
{
    const sci_stream_chunk *chunk = sci_stream_chunk_at(stream, 0);
    size_t begin = sci_stream_chunk_first(chunk), end = begin, count = 0;
    while (end < chunk->used) {
        sci_stream_place place;
        size_t next = sci_stream_chunk_step(chunk, end, &place);
        if (trim->by == SCI_STREAM_MINID ? sci_stream_id_compare(place.id, trim->min_id) >= 0
                                         : stream->length - count <= trim->max_length)
            break;
        end = next;
        count++;
    }
    sci_stream_chunk_cut_out(stream, 0, begin, end, count);
    return count;
}

SCI_PRIVATE uint64_t sci_stream_cut(sci_stream *stream, const sci_stream_trim *trim)
{
    uint64_t removed = 0;
    if (trim->by == SCI_STREAM_UNBOUND)
        return 0;
    while (stream->count > 0) {
        const sci_stream_chunk *chunk = sci_stream_chunk_at(stream, 0);
        if (trim->by == SCI_STREAM_MAXLEN && stream->length <= trim->max_length)
            break;
        if (trim->limit > 0 && removed + chunk->count > (uint64_t)trim->limit)
            break;
        if (!sci_stream_chunk_is_over(stream, chunk, trim)) {
            if (!trim->is_approximate)
                removed += sci_stream_cut_chunk(stream, trim);
            break;
        }
        removed += chunk->count;
        stream->length -= chunk->count;
        sci_stream_chunk_drop(stream, 0);
    }
    if (removed > 0)
        sci_stream_find_first_id(stream);
    return removed;
}

SCI_PRIVATE void sci_stream_set_last_id(sci_stream *stream, sci_stream_id id)
{
    /* What is appended to an empty chunk must not be below its base. */
    if (stream->length == 0 && stream->count > 0 &&
        sci_stream_id_compare(id, sci_stream_chunk_at(stream, 0)->base) < 0)
        sci_stream_chunk_drop(stream, 0);
    stream->last_id = id;
}

SCI_PRIVATE sci_stream_id sci_stream_top_id(const sci_stream *stream)
{
    sci_stream_cursor cursor;
    sci_stream_seek(&cursor, stream, sci_stream_lowest, sci_stream_highest, true);
    return sci_stream_next(&cursor) ? cursor.place.id : sci_stream_lowest;
}

/* --- Walking */

SCI_PRIVATE void sci_stream_seek(sci_stream_cursor *cursor, const sci_stream *stream,
                                 sci_stream_id from, sci_stream_id to, bool is_reverse)
{
    size_t index = sci_stream_chunk_find(stream, is_reverse ? to : from);
    cursor->stream = stream;
    cursor->from = from;
    cursor->to = to;
    cursor->is_reverse = is_reverse;
    cursor->chunk = NULL;
    cursor->offset = 0;
    cursor->offset_count = 0;
    cursor->words_left = 0;
    if (is_reverse)
        cursor->chunks_left = stream->count ? index + 1 : 0;
    else
        cursor->chunks_left = stream->count - index;
}

static bool sci_stream_next_upward(sci_stream_cursor *cursor)
{
    const sci_stream *stream = cursor->stream;
    for (;;) {
        if (!cursor->chunk || cursor->offset == cursor->chunk->used) {
            if (cursor->chunks_left == 0)
                return false;
            cursor->chunk = sci_stream_chunk_at(stream, stream->count - cursor->chunks_left--);
            cursor->offset = sci_stream_chunk_first(cursor->chunk);
            continue;
        }
        cursor->offset = sci_stream_chunk_step(cursor->chunk, cursor->offset, &cursor->place);
        if (sci_stream_id_compare(cursor->place.id, cursor->from) >= 0)
            return sci_stream_id_compare(cursor->place.id, cursor->to) <= 0;
    }
}

/* Note where those entries of the next chunk stand that are in the range. */
static void sci_stream_enter_downward(sci_stream_cursor *cursor)
{
    const sci_stream_chunk *chunk = sci_stream_chunk_at(cursor->stream, --cursor->chunks_left);
    size_t offset = sci_stream_chunk_first(chunk);
    cursor->chunk = chunk;
    while (offset < chunk->used) {
        size_t end = sci_stream_chunk_step(chunk, offset, &cursor->place);
        if (sci_stream_id_compare(cursor->place.id, cursor->to) > 0)
            return;
        if (sci_stream_id_compare(cursor->place.id, cursor->from) >= 0)
            cursor->offsets[cursor->offset_count++] = (uint32_t)offset;
        else
            cursor->chunks_left = 0;
        offset = end;
    }
}

static bool sci_stream_next_downward(sci_stream_cursor *cursor)
{
    while (cursor->offset_count == 0) {
        if (cursor->chunks_left == 0)
            return false;
        sci_stream_enter_downward(cursor);
    }
    size_t offset = cursor->offsets[--cursor->offset_count];
    sci_stream_chunk_place(cursor->chunk, offset, &cursor->place);
    return true;
}

SCI_PRIVATE bool sci_stream_next(sci_stream_cursor *cursor)
{
    if (!(cursor->is_reverse ? sci_stream_next_downward(cursor) : sci_stream_next_upward(cursor)))
        return false;
    cursor->words_left = 2 * cursor->place.fields;
    return true;
}

SCI_PRIVATE sc_slice sci_stream_word(sci_stream_cursor *cursor, char text[SCI_I64_TEXT_BYTES])
{
    sci_assert(cursor->words_left > 0);
    bool is_field = cursor->words_left-- % 2 == 0;
    bool is_shared = is_field && cursor->place.field_at;
    return sci_stream_word_take(is_shared ? &cursor->place.field_at : &cursor->place.word_at, text);
}

SCI_PRIVATE size_t sci_stream_id_to_text(sci_stream_id id, char text[SCI_STREAM_ID_TEXT_BYTES])
{
    size_t len = sci_u64_to_text(id.ms, text);
    text[len++] = '-';
    return len + sci_u64_to_text(id.seq, text + len);
}
