/* Packed entries of a stream.

   A chunk: how many fields its first entry has, and those; then each entry: by how many
   milliseconds its id is past the chunk's, the sequence number (where the milliseconds are the
   same: by how much it is past), how many fields it has itself (0: those of the chunk), and its
   words. Numbers are in groups of seven bits, the lowest first. A word begins with a number: twice
   its length, and its bytes follow; or, odd, an integer, its sign in the next bit. */

#include "server/stream_chunk.h"

/* Longest number in groups of seven bits. */
#define SCI_STREAM_NUMBER_BYTES 10
/* First room for packed bytes, so that a short stream stays small. */
#define SCI_STREAM_FIRST_CAP 80
/* Redis's limit (STREAM_LISTPACK_MAX_SIZE). */
#define SCI_STREAM_ITEM_BYTES ((size_t)1 << 30)
/* Integers of this size are kept as such: two bits are needed besides. */
#define SCI_STREAM_INTEGER_MAX ((int64_t)1 << 61)

/* --- Numbers and words */

static size_t sci_stream_number_bytes(uint64_t number)
{
    size_t bytes = 1;
    for (; number >= 0x80; number >>= 7)
        bytes++;
    return bytes;
}

static char *sci_stream_number_put(char *at, uint64_t number)
{
    for (; number >= 0x80; number >>= 7)
        *at++ = (char)(unsigned char)((number & 0x7f) | 0x80);
    *at++ = (char)number;
    return at;
}

static uint64_t sci_stream_number_take(const char **at)
{
    const unsigned char *byte = (const unsigned char *)*at;
    uint64_t number = *byte & 0x7f;
    for (unsigned shift = 7; *byte & 0x80; shift += 7)
        number |= (uint64_t)(*++byte & 0x7f) << shift;
    *at = (const char *)(byte + 1);
    return number;
}

/* What stands before a word's bytes, or, for an integer, for all of it. */
static uint64_t sci_stream_word_head(sc_slice word, bool *is_integer)
{
    int64_t number = 0;
    *is_integer = word.len > 0 && word.data[0] <= '9' && sci_text_to_i64(word, &number) &&
                  number < SCI_STREAM_INTEGER_MAX && number > -SCI_STREAM_INTEGER_MAX;
    if (!*is_integer)
        return (uint64_t)word.len << 1;
    return number < 0 ? ((uint64_t)(-(number + 1)) << 2) + 3 : ((uint64_t)number << 2) + 1;
}

static size_t sci_stream_word_bytes(sc_slice word)
{
    bool is_integer;
    uint64_t head = sci_stream_word_head(word, &is_integer);
    return sci_stream_number_bytes(head) + (is_integer ? 0 : word.len);
}

static char *sci_stream_word_put(char *at, sc_slice word)
{
    bool is_integer;
    at = sci_stream_number_put(at, sci_stream_word_head(word, &is_integer));
    if (is_integer || word.len == 0)
        return at;
    memcpy(at, word.data, word.len);
    return at + word.len;
}

SCI_PRIVATE sc_slice sci_stream_word_take(const char **at, char text[SCI_I64_TEXT_BYTES])
{
    uint64_t head = sci_stream_number_take(at);
    if (head & 1) {
        int64_t half = (int64_t)(head >> 2);
        return sc_bytes(text, sci_i64_to_text(head & 2 ? -half - 1 : half, text));
    }
    sc_slice word = sc_bytes(*at, (size_t)(head >> 1));
    *at += word.len;
    return word;
}

static const char *sci_stream_word_skip(const char *at)
{
    uint64_t head = sci_stream_number_take(&at);
    return head & 1 ? at : at + (size_t)(head >> 1);
}

/* --- What Redis would count (a listpack's elements: head, bytes, and the length again behind) */

static size_t sci_stream_node_element(size_t bytes)
{
    if (bytes <= 127)
        return bytes + 1;
    if (bytes < 16383)
        return bytes + 2;
    if (bytes < 2097151)
        return bytes + 3;
    return bytes < 268435455 ? bytes + 4 : bytes + 5;
}

static size_t sci_stream_node_integer(int64_t number)
{
    static const int64_t limits[] = {1 << 12, 1 << 15, 1 << 23, (int64_t)1 << 31};
    if (number >= 0 && number <= 127)
        return sci_stream_node_element(1);
    size_t bytes = 2;
    for (size_t i = 0; i < SCI_COUNT(limits); i++, bytes++)
        if (number >= -limits[i] && number < limits[i])
            return sci_stream_node_element(bytes);
    return sci_stream_node_element(9);
}

static size_t sci_stream_node_word(sc_slice word)
{
    int64_t number;
    if (sci_text_to_i64(word, &number))
        return sci_stream_node_integer(number);
    if (word.len < 64)
        return sci_stream_node_element(word.len + 1);
    return sci_stream_node_element(word.len + (word.len < 4096 ? 2 : 5));
}

#define SCI_STREAM_NODE_EMPTY 7 /* a listpack's head and its end */

/* --- Appending */

/* What an item will take. */
typedef struct sci_stream_size {
    size_t packed;
    size_t node;
    bool is_sharing; /* the chunk's fields */
} sci_stream_size;

static bool sci_stream_item_is_sharing(const sci_stream_chunk *chunk, const sci_stream_item *item)
{
    if (!chunk)
        return true;
    char text[SCI_I64_TEXT_BYTES];
    const char *at = sci_stream_chunk_data(chunk);
    if (sci_stream_number_take(&at) != item->count / 2)
        return false;
    for (size_t i = 0; i < item->count; i += 2)
        if (!sci_slice_equal(sci_stream_word_take(&at, text), item->words[i]))
            return false;
    return true;
}

/* An id's two numbers, as they are packed. Differences wrap around: the last id can be set back, to
   before all that a chunk once had. */
static sci_stream_id sci_stream_id_pack(sci_stream_id base, sci_stream_id id)
{
    return sci_stream_id_of(id.ms - base.ms, id.ms == base.ms ? id.seq - base.seq : id.seq);
}

static void sci_stream_measure(const sci_stream_chunk *chunk, const sci_stream_item *item,
                               sci_stream_size *size)
{
    size_t fields = item->count / 2;
    size_t packed_fields = sci_stream_number_bytes(fields), packed_values = 0;
    size_t node_fields = sci_stream_node_integer((int64_t)fields), node_values = 0;
    for (size_t i = 0; i < item->count; i += 2) {
        packed_fields += sci_stream_word_bytes(item->words[i]);
        node_fields += sci_stream_node_word(item->words[i]);
        packed_values += sci_stream_word_bytes(item->words[i + 1]);
        node_values += sci_stream_node_word(item->words[i + 1]);
    }
    sci_stream_id base = chunk ? chunk->base : item->id;
    sci_stream_id id = sci_stream_id_pack(base, item->id);
    size->is_sharing = sci_stream_item_is_sharing(chunk, item);
    bool has_fields = !chunk || !size->is_sharing;
    size->packed = sci_stream_number_bytes(id.ms) + sci_stream_number_bytes(id.seq) +
                   packed_values + (has_fields ? packed_fields : 0) + (size->is_sharing ? 1 : 0);
    /* Flags, the two differences, and how many elements that were. */
    size_t elements = size->is_sharing ? fields + 3 : 2 * fields + 4;
    size->node = sci_stream_node_integer(0) +
                 sci_stream_node_integer((int64_t)(item->id.ms - base.ms)) +
                 sci_stream_node_integer((int64_t)(item->id.seq - base.seq)) + node_values +
                 (has_fields ? node_fields : 0) + sci_stream_node_integer((int64_t)elements);
    /* A new node counts its entries, those deleted, and ends its fields. */
    if (!chunk)
        size->node += SCI_STREAM_NODE_EMPTY + 3 * sci_stream_node_integer(0);
}

static size_t sci_stream_item_bytes(const sci_stream_item *item)
{
    size_t bytes = 0;
    for (size_t i = 0; i < item->count; i++)
        bytes += item->words[i].len;
    return bytes;
}

SCI_PRIVATE bool sci_stream_chunk_is_full(const sci_stream_chunk *chunk,
                                          const sci_stream_item *item)
{
    return chunk->count + chunk->deleted >= SCI_STREAM_CHUNK_ENTRIES ||
           chunk->node_bytes + sci_stream_item_bytes(item) >= SCI_STREAM_CHUNK_BYTES;
}

static sci_stream_chunk *sci_stream_chunk_resize(const sc_memory *memory, sci_stream_chunk *chunk,
                                                 size_t cap)
{
    size_t old = chunk ? sci_stream_chunk_block(chunk) : 0;
    sci_stream_chunk *resized =
        (sci_stream_chunk *)sci_resize(memory, chunk, old, sizeof *chunk + cap);
    if (resized)
        resized->cap = (uint32_t)cap;
    return resized;
}

static sci_stream_chunk *sci_stream_chunk_begin(const sc_memory *memory,
                                                const sci_stream_item *item, size_t cap)
{
    sci_stream_chunk *chunk = sci_stream_chunk_resize(memory, NULL, cap);
    if (!chunk)
        return NULL;
    chunk->base = item->id;
    chunk->node_bytes = 0;
    chunk->count = 0;
    chunk->deleted = 0;
    char *begin = (char *)(chunk + 1);
    char *at = sci_stream_number_put(begin, item->count / 2);
    for (size_t i = 0; i < item->count; i += 2)
        at = sci_stream_word_put(at, item->words[i]);
    chunk->used = (uint32_t)(at - begin);
    return chunk;
}

static void sci_stream_chunk_put(sci_stream_chunk *chunk, const sci_stream_item *item,
                                 const sci_stream_size *size)
{
    char *begin = (char *)(chunk + 1);
    char *at = begin + chunk->used;
    sci_stream_id id = sci_stream_id_pack(chunk->base, item->id);
    at = sci_stream_number_put(at, id.ms);
    at = sci_stream_number_put(at, id.seq);
    at = sci_stream_number_put(at, size->is_sharing ? 0 : item->count / 2);
    size_t step = size->is_sharing ? 2 : 1;
    for (size_t i = step - 1; i < item->count; i += step)
        at = sci_stream_word_put(at, item->words[i]);
    chunk->used = (uint32_t)(at - begin);
    chunk->node_bytes += (uint32_t)size->node;
    chunk->last = item->id;
    chunk->count++;
}

SCI_PRIVATE sci_stream_chunk *sci_stream_chunk_append(const sc_memory *memory,
                                                      sci_stream_chunk *chunk,
                                                      const sci_stream_item *item,
                                                      sc_status *status)
{
    *status = SC_ERR_LIMIT;
    /* So are all sums below within 32 bits. */
    if (item->count > SCI_STREAM_ITEM_BYTES / SCI_STREAM_NUMBER_BYTES ||
        sci_stream_item_bytes(item) > SCI_STREAM_ITEM_BYTES)
        return NULL;
    *status = SC_ERR_MEMORY;
    sci_stream_size size;
    sci_stream_measure(chunk, item, &size);
    size_t used = chunk ? chunk->used : 0;
    size_t cap = chunk ? chunk->cap : 0;
    if (cap - used < size.packed) {
        size_t doubled = sci_max_size(2 * cap, SCI_STREAM_FIRST_CAP);
        cap = sci_max_size(used + size.packed, sci_min_size(doubled, SCI_STREAM_CHUNK_BYTES));
        sci_stream_chunk *grown_chunk = chunk ? sci_stream_chunk_resize(memory, chunk, cap)
                                              : sci_stream_chunk_begin(memory, item, cap);
        if (!grown_chunk)
            return NULL;
        chunk = grown_chunk;
    }
    sci_stream_chunk_put(chunk, item, &size);
    *status = SC_OK;
    return chunk;
}

SCI_PRIVATE sci_stream_chunk *sci_stream_chunk_trim(const sc_memory *memory,
                                                    sci_stream_chunk *chunk)
{
    if (chunk->cap == chunk->used)
        return chunk;
    sci_stream_chunk *trimmed = sci_stream_chunk_resize(memory, chunk, chunk->used);
    return trimmed ? trimmed : chunk;
}

SCI_PRIVATE sci_stream_chunk *sci_stream_chunk_copy(const sc_memory *memory,
                                                    const sci_stream_chunk *chunk)
{
    sci_stream_chunk *copy = sci_stream_chunk_resize(memory, NULL, chunk->used);
    if (!copy)
        return NULL;
    uint32_t cap = copy->cap;
    memcpy(copy, chunk, sizeof *chunk + chunk->used);
    copy->cap = cap;
    return copy;
}

/* --- Reading and removing */

SCI_PRIVATE size_t sci_stream_chunk_first(const sci_stream_chunk *chunk)
{
    const char *at = sci_stream_chunk_data(chunk);
    for (uint64_t left = sci_stream_number_take(&at); left > 0; left--)
        at = sci_stream_word_skip(at);
    return (size_t)(at - sci_stream_chunk_data(chunk));
}

SCI_PRIVATE void sci_stream_chunk_place(const sci_stream_chunk *chunk, size_t offset,
                                        sci_stream_place *place)
{
    const char *at = sci_stream_chunk_data(chunk) + offset;
    uint64_t ms = sci_stream_number_take(&at);
    uint64_t seq = sci_stream_number_take(&at);
    place->id = sci_stream_id_of(chunk->base.ms + ms, ms == 0 ? chunk->base.seq + seq : seq);
    place->fields = (size_t)sci_stream_number_take(&at);
    place->word_at = at;
    place->field_at = NULL;
    if (place->fields == 0) {
        place->field_at = sci_stream_chunk_data(chunk);
        place->fields = (size_t)sci_stream_number_take(&place->field_at);
    }
}

SCI_PRIVATE size_t sci_stream_chunk_step(const sci_stream_chunk *chunk, size_t offset,
                                         sci_stream_place *place)
{
    sci_stream_chunk_place(chunk, offset, place);
    const char *at = place->word_at;
    for (size_t left = place->field_at ? place->fields : 2 * place->fields; left > 0; left--)
        at = sci_stream_word_skip(at);
    return (size_t)(at - sci_stream_chunk_data(chunk));
}

SCI_PRIVATE void sci_stream_chunk_remove(sci_stream_chunk *chunk, size_t begin, size_t end,
                                         size_t count)
{
    char *data = (char *)(chunk + 1);
    if (end < chunk->used)
        memmove(data + begin, data + end, chunk->used - end);
    chunk->used -= (uint32_t)(end - begin);
    chunk->count = (uint8_t)(chunk->count - count);
    chunk->deleted = (uint8_t)(chunk->deleted + count);
}
