/* Lists in chunks. An element is its length, its bytes, and its length once more backwards, so that
   a chunk can be gone through both ways. A length is 7 bits a byte, the lowest first; the highest
   bit says that more follow. */

#include "server/deque.h"

#include "base/error.h"

/* What a chunk has of elements at most, unless it is a single one. */
#define SCI_DEQUE_CHUNK_BYTES 4096u
#define SCI_DEQUE_LEAST_CAP 24u
/* A chunk this full is not shifted to make room at one end: that would cost too often. */
#define SCI_DEQUE_SHIFTED_BYTES(cap) ((cap) - (cap) / 4)
/* With fewer places there might be no room at both ends. */
#define SCI_DEQUE_LEAST_ROW 4u
/* A row of at least so many that is nearly empty gets smaller. */
#define SCI_DEQUE_LARGE_ROW 64u
/* Lengths of up to 32 bits take so many bytes. */
#define SCI_DEQUE_LEN_BYTES 5u
#define SCI_DEQUE_MOST_BYTES (UINT32_MAX - 2 * SCI_DEQUE_LEN_BYTES)

/* MARK: Elements */

static inline uint32_t sci_deque_len_bytes(size_t len)
{
    uint32_t bytes = 1;
    for (; len > 127; len >>= 7)
        bytes++;
    return bytes;
}

/* What an element of `len` bytes takes. */
static inline size_t sci_deque_size(size_t len)
{
    return len + 2 * (size_t)sci_deque_len_bytes(len);
}

static void sci_deque_encode(char *at, sc_slice element)
{
    char *end = at + sci_deque_size(element.len);
    size_t len = element.len;
    for (; len > 127; len >>= 7) {
        char bits = (char)(unsigned char)(len | 0x80);
        *at++ = bits;
        *--end = bits;
    }
    *at++ = (char)len;
    *--end = (char)len;
    if (element.len > 0)
        memmove(at, element.data, element.len);
}

static inline sc_slice sci_deque_decode(const char *at)
{
    size_t len = 0;
    unsigned shift = 0;
    unsigned char bits;
    do {
        bits = (unsigned char)*at++;
        len |= (size_t)(bits & 0x7f) << shift;
        shift += 7;
    } while (bits & 0x80);
    return sc_bytes(at, len);
}

/* The element that ends at `end`. */
static inline sc_slice sci_deque_decode_back(const char *end)
{
    size_t len = 0;
    unsigned shift = 0;
    unsigned char bits;
    do {
        bits = (unsigned char)*--end;
        len |= (size_t)(bits & 0x7f) << shift;
        shift += 7;
    } while (bits & 0x80);
    return sc_bytes(end - len, len);
}

/* MARK: The row of chunks */

static inline sci_deque_chunk *sci_deque_row(sci_deque *deque)
{
    return deque->chunk_cap ? deque->chunks.many + deque->chunk_first : &deque->chunks.only;
}

static inline const sci_deque_chunk *sci_deque_chunks(const sci_deque *deque)
{
    return deque->chunk_cap ? deque->chunks.many + deque->chunk_first : &deque->chunks.only;
}

static inline uint32_t sci_deque_used(const sci_deque_chunk *chunk)
{
    return chunk->end - chunk->start;
}

/* Chunks to the middle of a row of `cap`, which is this one or a larger one. */
static sc_status sci_deque_spread(sci_deque *deque, uint32_t cap)
{
    sci_deque_chunk only = deque->chunks.only;
    uint32_t first = (cap - deque->chunk_count) / 2;
    if (cap > deque->chunk_cap) {
        sci_deque_chunk *many = (sci_deque_chunk *)sci_resize(
            deque->memory, deque->chunk_cap ? deque->chunks.many : NULL,
            deque->chunk_cap * sizeof *many, cap * sizeof *many);
        if (!many)
            return SC_ERR_MEMORY;
        if (deque->chunk_cap == 0)
            many[0] = only;
        deque->chunks.many = many;
        deque->chunk_cap = cap;
    }
    memmove(deque->chunks.many + first, deque->chunks.many + deque->chunk_first,
            deque->chunk_count * sizeof(sci_deque_chunk));
    deque->chunk_first = first;
    return SC_OK;
}

/* An empty chunk at place `at` of the row, to be filled. */
static sc_status sci_deque_open(sci_deque *deque, uint32_t at)
{
    uint32_t count = deque->chunk_count;
    bool is_near_front = at < count - at;
    if (count > 0 || deque->chunk_cap > 0) {
        bool has_room =
            is_near_front ? deque->chunk_first > 0 : deque->chunk_first + count < deque->chunk_cap;
        uint32_t cap = deque->chunk_cap;
        if (count >= SCI_DEQUE_SHIFTED_BYTES(cap))
            cap = cap ? cap * 2 : SCI_DEQUE_LEAST_ROW;
        if (!has_room && sci_deque_spread(deque, cap) != SC_OK)
            return SC_ERR_MEMORY;
        sci_deque_chunk *row = sci_deque_row(deque);
        if (is_near_front) {
            memmove(row - 1, row, at * sizeof *row);
            deque->chunk_first--;
        } else {
            memmove(row + at + 1, row + at, (count - at) * sizeof *row);
        }
    }
    memset(sci_deque_row(deque) + at, 0, sizeof(sci_deque_chunk));
    deque->chunk_count++;
    return SC_OK;
}

static void sci_deque_shrink_row(sci_deque *deque)
{
    uint32_t cap = deque->chunk_cap / 2;
    if (deque->chunk_cap < SCI_DEQUE_LARGE_ROW || deque->chunk_count > cap / 4)
        return;
    memmove(deque->chunks.many + cap / 4, sci_deque_row(deque),
            deque->chunk_count * sizeof(sci_deque_chunk));
    deque->chunk_first = cap / 4;
    sci_deque_chunk *many = (sci_deque_chunk *)sci_resize(
        deque->memory, deque->chunks.many, deque->chunk_cap * sizeof *many, cap * sizeof *many);
    if (!many)
        return;
    deque->chunks.many = many;
    deque->chunk_cap = cap;
}

/* Take a chunk out of the row, with its memory. */
static void sci_deque_close(sci_deque *deque, uint32_t at)
{
    sci_deque_chunk *row = sci_deque_row(deque);
    sci_free(deque->memory, row[at].data, row[at].cap);
    if (at < deque->chunk_count - 1 - at) {
        memmove(row + 1, row, at * sizeof *row);
        deque->chunk_first++;
    } else {
        memmove(row + at, row + at + 1, (deque->chunk_count - 1 - at) * sizeof *row);
    }
    deque->chunk_count--;
    sci_deque_shrink_row(deque);
}

/* MARK: Room in a chunk */

/* Elements to where `start` is then, in a block of `cap` bytes. */
static sc_status sci_deque_move(sci_deque *deque, sci_deque_chunk *chunk, uint32_t cap,
                                uint32_t start)
{
    uint32_t used = sci_deque_used(chunk);
    if (cap != chunk->cap) {
        char *data = (char *)sci_resize(deque->memory, chunk->data, chunk->cap, cap);
        if (!data)
            return SC_ERR_MEMORY;
        chunk->data = data;
        chunk->cap = cap;
    }
    if (used > 0)
        memmove(chunk->data + start, chunk->data + chunk->start, used);
    chunk->start = start;
    chunk->end = start + used;
    return SC_OK;
}

static uint32_t sci_deque_grown_cap(uint32_t cap, uint32_t needed)
{
    cap = cap > SCI_DEQUE_CHUNK_BYTES / 2 ? SCI_DEQUE_CHUNK_BYTES : cap * 2;
    if (cap < SCI_DEQUE_LEAST_CAP)
        cap = SCI_DEQUE_LEAST_CAP;
    return cap < needed ? needed : cap;
}

/* Room for `size` bytes on one side of a chunk. SC_AGAIN: they belong into another. */
static sc_status sci_deque_room(sci_deque *deque, sci_deque_chunk *chunk, sci_deque_side side,
                                uint32_t size)
{
    uint32_t used = sci_deque_used(chunk);
    uint32_t room = side == SCI_DEQUE_FRONT ? chunk->start : chunk->cap - chunk->end;
    if (room >= size && (used == 0 || used + size <= SCI_DEQUE_CHUNK_BYTES))
        return SC_OK;
    if (used > 0 && (size > SCI_DEQUE_CHUNK_BYTES || used + size > SCI_DEQUE_CHUNK_BYTES))
        return SC_AGAIN;
    uint32_t cap = chunk->cap;
    uint32_t needed = used + size;
    if (needed <= SCI_DEQUE_SHIFTED_BYTES(cap)) {
        uint32_t half = (cap - needed) / 2;
        return sci_deque_move(deque, chunk, cap, side == SCI_DEQUE_FRONT ? size + half : half);
    }
    if (cap >= SCI_DEQUE_CHUNK_BYTES && used > 0)
        return SC_AGAIN;
    cap = sci_deque_grown_cap(cap, needed);
    /* Elements first move within the block that is there, which is the smaller one. */
    sc_status status = sci_deque_move(deque, chunk, cap, 0);
    if (status == SC_OK && side == SCI_DEQUE_FRONT)
        status = sci_deque_move(deque, chunk, cap, cap - used);
    return status;
}

/* Where an element of `size` bytes may stand between the chunks number `between` - 1 and `between`:
   at the end of the one, at the beginning of the other, or in a new one. */
static sc_status sci_deque_find_room(sci_deque *deque, uint32_t between, uint32_t size,
                                     uint32_t *chunk, sci_deque_side *side)
{
    sci_deque_chunk *row = sci_deque_row(deque);
    sc_status status = SC_AGAIN;
    *side = SCI_DEQUE_BACK;
    *chunk = between - 1;
    if (between > 0)
        status = sci_deque_room(deque, row + *chunk, *side, size);
    if (status != SC_AGAIN)
        return status;
    *chunk = between;
    *side = between == 0 ? SCI_DEQUE_FRONT : SCI_DEQUE_BACK;
    if (between < deque->chunk_count) {
        *side = SCI_DEQUE_FRONT;
        status = sci_deque_room(deque, row + *chunk, *side, size);
    }
    if (status != SC_AGAIN)
        return status;
    if (sci_deque_open(deque, between) != SC_OK)
        return SC_ERR_MEMORY;
    status = sci_deque_room(deque, sci_deque_row(deque) + between, *side, size);
    if (status != SC_OK)
        sci_deque_close(deque, between);
    return status;
}

static sc_status sci_deque_check(size_t len)
{
    if (len <= SCI_DEQUE_MOST_BYTES)
        return SC_OK;
    return sc_fail(SC_ERR_MEMORY, "out of memory: an element of %zu bytes is too large", len);
}

static sc_status sci_deque_insert_between(sci_deque *deque, uint32_t between, sc_slice element,
                                          sci_deque_at *at)
{
    sci_deque_side side;
    uint32_t size = (uint32_t)sci_deque_size(element.len);
    if (sci_deque_find_room(deque, between, size, &at->chunk, &side) != SC_OK)
        return SC_ERR_MEMORY;
    sci_deque_chunk *chunk = sci_deque_row(deque) + at->chunk;
    if (side == SCI_DEQUE_FRONT) {
        chunk->start -= size;
        at->offset = chunk->start;
    } else {
        at->offset = chunk->end;
        chunk->end += size;
    }
    sci_deque_encode(chunk->data + at->offset, element);
    chunk->count++;
    deque->count++;
    return SC_OK;
}

/* MARK: Lists */

SCI_PRIVATE sci_deque *sci_deque_new(const sc_memory *memory)
{
    sci_deque *deque = (sci_deque *)sci_alloc_zeroed(memory, sizeof *deque);
    if (deque)
        deque->memory = memory;
    return deque;
}

SCI_PRIVATE void sci_deque_release(const sc_memory *memory, void *object)
{
    sci_deque *deque = (sci_deque *)object;
    sci_deque_chunk *row = sci_deque_row(deque);
    for (uint32_t i = 0; i < deque->chunk_count; i++)
        sci_free(memory, row[i].data, row[i].cap);
    if (deque->chunk_cap)
        sci_free(memory, deque->chunks.many, deque->chunk_cap * sizeof *row);
    sci_free(memory, deque, sizeof *deque);
}

static bool sci_deque_copy_chunk(const sc_memory *memory, sci_deque_chunk *to,
                                 const sci_deque_chunk *from)
{
    uint32_t used = sci_deque_used(from);
    to->data = (char *)sci_resize(memory, NULL, 0, used);
    if (!to->data)
        return false;
    memcpy(to->data, from->data + from->start, used);
    to->start = 0;
    to->end = to->cap = used;
    to->count = from->count;
    return true;
}

SCI_PRIVATE void *sci_deque_copy(const sc_memory *memory, const void *object)
{
    const sci_deque *from = (const sci_deque *)object;
    sci_deque *to = sci_deque_new(memory);
    if (!to)
        return NULL;
    if (from->chunk_count > 1) {
        uint32_t cap =
            from->chunk_count > SCI_DEQUE_LEAST_ROW ? from->chunk_count : SCI_DEQUE_LEAST_ROW;
        to->chunks.many =
            (sci_deque_chunk *)sci_resize(memory, NULL, 0, cap * sizeof(sci_deque_chunk));
        to->chunk_cap = to->chunks.many ? cap : 0;
    }
    bool is_whole = from->chunk_count <= 1 || to->chunk_cap > 0;
    for (; is_whole && to->chunk_count < from->chunk_count; to->chunk_count += is_whole)
        is_whole = sci_deque_copy_chunk(memory, sci_deque_row(to) + to->chunk_count,
                                        sci_deque_chunks(from) + to->chunk_count);
    to->count = from->count;
    if (is_whole)
        return to;
    sci_deque_release(memory, to);
    return NULL;
}

SCI_PRIVATE size_t sci_deque_bytes(const void *object)
{
    const sci_deque *deque = (const sci_deque *)object;
    const sci_deque_chunk *row = sci_deque_chunks(deque);
    size_t bytes = sizeof *deque + deque->chunk_cap * sizeof *row;
    for (uint32_t i = 0; i < deque->chunk_count; i++)
        bytes += row[i].cap;
    return bytes;
}

SCI_PRIVATE sc_status sci_deque_dump(const void *object, sc_slice key, sci_dump *dump)
{
    enum { ELEMENTS = 64, BYTES = 65536 };
    const sci_deque *deque = (const sci_deque *)object;
    sc_slice argv[2 + ELEMENTS];
    sci_deque_at at = sci_deque_seek(deque, 0);
    sc_status status = SC_OK;
    argv[0] = sc_text("RPUSH");
    argv[1] = key;
    for (bool is_more = true; is_more && status == SC_OK;) {
        size_t count = 0, bytes = 0;
        while (count < ELEMENTS && bytes < BYTES) {
            is_more = sci_deque_next(deque, &at, &argv[2 + count]);
            if (!is_more)
                break;
            bytes += argv[2 + count++].len;
        }
        if (count > 0)
            status = dump->command(dump, argv, 2 + count);
    }
    return status;
}

/* MARK: Both ends */

static uint32_t sci_deque_edge(const sci_deque *deque, sci_deque_side side)
{
    return side == SCI_DEQUE_FRONT ? 0 : deque->chunk_count;
}

SCI_PRIVATE sc_status sci_deque_reserve(sci_deque *deque, sci_deque_side side, size_t len)
{
    uint32_t chunk;
    if (sci_deque_check(len) != SC_OK)
        return SC_ERR_MEMORY;
    return sci_deque_find_room(deque, sci_deque_edge(deque, side), (uint32_t)sci_deque_size(len),
                               &chunk, &side);
}

SCI_PRIVATE sc_status sci_deque_push(sci_deque *deque, sci_deque_side side, sc_slice element)
{
    sci_deque_at at;
    if (sci_deque_check(element.len) != SC_OK)
        return SC_ERR_MEMORY;
    return sci_deque_insert_between(deque, sci_deque_edge(deque, side), element, &at);
}

SCI_PRIVATE sc_slice sci_deque_peek(const sci_deque *deque, sci_deque_side side)
{
    const sci_deque_chunk *row = sci_deque_chunks(deque);
    sci_assert(deque->count > 0);
    if (side == SCI_DEQUE_FRONT)
        return sci_deque_decode(row->data + row->start);
    row += deque->chunk_count - 1;
    return sci_deque_decode_back(row->data + row->end);
}

SCI_PRIVATE void sci_deque_drop(sci_deque *deque, sci_deque_side side, size_t count)
{
    sci_assert(count <= deque->count);
    deque->count -= count;
    while (count > 0) {
        uint32_t number = side == SCI_DEQUE_FRONT ? 0 : deque->chunk_count - 1;
        sci_deque_chunk *chunk = sci_deque_row(deque) + number;
        if (count >= chunk->count) {
            count -= chunk->count;
            sci_deque_close(deque, number);
            continue;
        }
        chunk->count -= (uint32_t)count;
        for (; count > 0; count--) {
            if (side == SCI_DEQUE_FRONT)
                chunk->start +=
                    (uint32_t)sci_deque_size(sci_deque_decode(chunk->data + chunk->start).len);
            else
                chunk->end -=
                    (uint32_t)sci_deque_size(sci_deque_decode_back(chunk->data + chunk->end).len);
        }
    }
}

/* MARK: Places */

SCI_PRIVATE sci_deque_at sci_deque_seek(const sci_deque *deque, size_t index)
{
    const sci_deque_chunk *row = sci_deque_chunks(deque);
    sci_deque_at at;
    sc_slice element;
    at.chunk = at.offset = 0;
    sci_assert(index <= deque->count);
    if (deque->chunk_count == 0)
        return at;
    if (index < deque->count / 2) {
        while (index >= row[at.chunk].count)
            index -= row[at.chunk++].count;
    } else {
        size_t behind = deque->count - index;
        at.chunk = deque->chunk_count - 1;
        while (behind > row[at.chunk].count)
            behind -= row[at.chunk--].count;
        index = row[at.chunk].count - behind;
    }
    const sci_deque_chunk *chunk = row + at.chunk;
    if (index < chunk->count / 2) {
        at.offset = chunk->start;
        for (; index > 0; index--)
            (void)sci_deque_next(deque, &at, &element);
    } else {
        at.offset = chunk->end;
        for (; index < chunk->count; index++)
            (void)sci_deque_previous(deque, &at, &element);
    }
    return at;
}

/* A place at a chunk's end is one at the next one's beginning. */
static inline void sci_deque_settle(const sci_deque *deque, sci_deque_at *at)
{
    const sci_deque_chunk *row = sci_deque_chunks(deque);
    if (at->offset == row[at->chunk].end && at->chunk + 1 < deque->chunk_count) {
        at->chunk++;
        at->offset = row[at->chunk].start;
    }
}

SCI_PRIVATE bool sci_deque_next(const sci_deque *deque, sci_deque_at *at, sc_slice *element)
{
    const sci_deque_chunk *chunk = sci_deque_chunks(deque) + at->chunk;
    if (deque->count == 0 || at->offset == chunk->end)
        return false;
    *element = sci_deque_decode(chunk->data + at->offset);
    at->offset += (uint32_t)sci_deque_size(element->len);
    sci_deque_settle(deque, at);
    return true;
}

SCI_PRIVATE bool sci_deque_previous(const sci_deque *deque, sci_deque_at *at, sc_slice *element)
{
    const sci_deque_chunk *row = sci_deque_chunks(deque);
    if (deque->count == 0)
        return false;
    if (at->offset == row[at->chunk].start) {
        if (at->chunk == 0)
            return false;
        at->chunk--;
        at->offset = row[at->chunk].end;
    }
    *element = sci_deque_decode_back(row[at->chunk].data + at->offset);
    at->offset -= (uint32_t)sci_deque_size(element->len);
    return true;
}

/* MARK: Changes in the middle */

/* The chunk ends at `*at`, which is inside of it; what follows goes to a new one. */
static sc_status sci_deque_split(sci_deque *deque, sci_deque_at *at)
{
    if (sci_deque_open(deque, at->chunk + 1) != SC_OK)
        return SC_ERR_MEMORY;
    sci_deque_chunk *lower = sci_deque_row(deque) + at->chunk;
    sci_deque_chunk *upper = lower + 1;
    sci_deque_chunk tail = *lower;
    tail.start = at->offset;
    tail.count = 0;
    for (uint32_t i = tail.start; i < tail.end; tail.count++)
        i += (uint32_t)sci_deque_size(sci_deque_decode(tail.data + i).len);
    if (!sci_deque_copy_chunk(deque->memory, upper, &tail)) {
        sci_deque_close(deque, at->chunk + 1);
        return SC_ERR_MEMORY;
    }
    lower->end = at->offset;
    lower->count -= tail.count;
    at->chunk++;
    at->offset = upper->start;
    return SC_OK;
}

/* A gap of `size` bytes at `*at`, inside of a chunk that may take them. */
static sc_status sci_deque_part(sci_deque *deque, sci_deque_at *at, uint32_t size)
{
    sci_deque_chunk *chunk = sci_deque_row(deque) + at->chunk;
    uint32_t before = at->offset - chunk->start;
    uint32_t behind = chunk->end - at->offset;
    if (chunk->start < size && chunk->cap - chunk->end < size) {
        sc_status status = sci_deque_room(deque, chunk, SCI_DEQUE_BACK, size);
        if (status == SC_AGAIN)
            status = sci_deque_move(deque, chunk, chunk->cap, 0);
        if (status != SC_OK)
            return status;
        at->offset = chunk->start + before;
    }
    bool has_front = chunk->start >= size, has_back = chunk->cap - chunk->end >= size;
    if (has_front && (before < behind || !has_back)) {
        memmove(chunk->data + chunk->start - size, chunk->data + chunk->start, before);
        chunk->start -= size;
        at->offset -= size;
    } else {
        memmove(chunk->data + at->offset + size, chunk->data + at->offset, behind);
        chunk->end += size;
    }
    return SC_OK;
}

SCI_PRIVATE sc_status sci_deque_insert(sci_deque *deque, sci_deque_at *at, sc_slice element)
{
    if (sci_deque_check(element.len) != SC_OK)
        return SC_ERR_MEMORY;
    size_t size = sci_deque_size(element.len);
    const sci_deque_chunk *chunk = sci_deque_chunks(deque) + at->chunk;
    bool is_inside = deque->count > 0 && at->offset > chunk->start && at->offset < chunk->end;
    if (is_inside && sci_deque_used(chunk) + size > SCI_DEQUE_CHUNK_BYTES) {
        if (sci_deque_split(deque, at) != SC_OK)
            return SC_ERR_MEMORY;
        is_inside = false;
    }
    if (!is_inside) {
        chunk = sci_deque_chunks(deque) + at->chunk;
        bool is_behind = deque->count > 0 && at->offset == chunk->end;
        return sci_deque_insert_between(deque, at->chunk + is_behind, element, at);
    }
    if (sci_deque_part(deque, at, (uint32_t)size) != SC_OK)
        return SC_ERR_MEMORY;
    sci_deque_chunk *parted = sci_deque_row(deque) + at->chunk;
    sci_deque_encode(parted->data + at->offset, element);
    parted->count++;
    deque->count++;
    return SC_OK;
}

SCI_PRIVATE void sci_deque_remove(sci_deque *deque, sci_deque_at *at)
{
    sci_deque_chunk *chunk = sci_deque_row(deque) + at->chunk;
    uint32_t size = (uint32_t)sci_deque_size(sci_deque_decode(chunk->data + at->offset).len);
    uint32_t before = at->offset - chunk->start;
    uint32_t behind = chunk->end - at->offset - size;
    deque->count--;
    if (--chunk->count == 0) {
        sci_deque_close(deque, at->chunk);
        if (at->chunk == deque->chunk_count && at->chunk > 0)
            at->offset = sci_deque_chunks(deque)[--at->chunk].end;
        else
            at->offset = deque->count > 0 ? sci_deque_chunks(deque)[at->chunk].start : 0;
        return;
    }
    if (before < behind) {
        memmove(chunk->data + chunk->start + size, chunk->data + chunk->start, before);
        chunk->start += size;
        at->offset += size;
    } else {
        memmove(chunk->data + at->offset, chunk->data + at->offset + size, behind);
        chunk->end -= size;
    }
    sci_deque_settle(deque, at);
}

SCI_PRIVATE sc_status sci_deque_set(sci_deque *deque, sci_deque_at at, sc_slice element)
{
    char *place = sci_deque_row(deque)[at.chunk].data + at.offset;
    sc_slice before;
    if (sci_deque_decode(place).len == element.len) {
        sci_deque_encode(place, element);
        return SC_OK;
    }
    if (sci_deque_insert(deque, &at, element) != SC_OK)
        return SC_ERR_MEMORY;
    (void)sci_deque_next(deque, &at, &before);
    sci_deque_remove(deque, &at);
    return SC_OK;
}

SCI_PRIVATE void sci_deque_tidy(sci_deque *deque)
{
    sci_deque_chunk *row = sci_deque_row(deque);
    uint32_t kept = 0; /* the last chunk that stays; those between it and `i` are gone */
    for (uint32_t i = 1; i < deque->chunk_count; i++) {
        uint32_t used = sci_deque_used(row + i);
        sci_deque_chunk *to = row + kept;
        bool is_joined =
            (uint64_t)sci_deque_used(to) + used <= SCI_DEQUE_SHIFTED_BYTES(SCI_DEQUE_CHUNK_BYTES) &&
            sci_deque_room(deque, to, SCI_DEQUE_BACK, used) == SC_OK;
        if (!is_joined) {
            row[++kept] = row[i];
            continue;
        }
        memcpy(to->data + to->end, row[i].data + row[i].start, used);
        to->end += used;
        to->count += row[i].count;
        sci_free(deque->memory, row[i].data, row[i].cap);
    }
    if (deque->chunk_count > 0)
        deque->chunk_count = kept + 1;
}
