#pragma once
/* A chunk of a stream: up to a hundred entries, packed one after the other in one block. Ids are
   differences from the chunk's first, field names that are those of its first entry are left out,
   and what reads as an integer is kept as one. */

#include "base/memory.h"
#include "base/number.h"

typedef struct sci_stream_id {
    uint64_t ms;
    uint64_t seq;
} sci_stream_id;

static inline sci_stream_id sci_stream_id_of(uint64_t ms, uint64_t seq)
{
    sci_stream_id id;
    id.ms = ms;
    id.seq = seq;
    return id;
}

static inline int sci_stream_id_compare(sci_stream_id a, sci_stream_id b)
{
    if (a.ms != b.ms)
        return a.ms < b.ms ? -1 : 1;
    if (a.seq != b.seq)
        return a.seq < b.seq ? -1 : 1;
    return 0;
}

static const sci_stream_id sci_stream_lowest = {0, 0};
static const sci_stream_id sci_stream_highest = {UINT64_MAX, UINT64_MAX};

/* Redis's defaults (stream-node-max-entries, stream-node-max-bytes): approximate trimming, which
   drops whole chunks, then drops here what it drops there. */
#define SCI_STREAM_CHUNK_ENTRIES 100
#define SCI_STREAM_CHUNK_BYTES 4096

/* The packed bytes follow the struct. */
typedef struct sci_stream_chunk {
    sci_stream_id base; /* of the first entry that it ever had */
    sci_stream_id last; /* of the last one that it ever had */
    uint32_t used;      /* of the packed bytes: the first entry's fields, then the entries */
    uint32_t cap;
    uint32_t node_bytes; /* what Redis would count for it, deleted entries included */
    uint8_t count;       /* entries */
    uint8_t deleted;     /* entries that it had besides */
} sci_stream_chunk;

/* An entry that is to be appended: its id, and fields and values in turns. */
typedef struct sci_stream_item {
    sci_stream_id id;
    const sc_slice *words;
    size_t count; /* of words */
} sci_stream_item;

/* Where an entry stands, unpacked as far as its words. */
typedef struct sci_stream_place {
    sci_stream_id id;
    size_t fields;        /* how many */
    const char *field_at; /* the first field, where they are shared; NULL: they alternate with the
                             values */
    const char *word_at;
} sci_stream_place;

static inline size_t sci_stream_chunk_block(const sci_stream_chunk *chunk)
{
    return sizeof *chunk + chunk->cap;
}
static inline const char *sci_stream_chunk_data(const sci_stream_chunk *chunk)
{
    return (const char *)(chunk + 1);
}

/* Does Redis begin another node for this one? */
SCI_PRIVATE bool sci_stream_chunk_is_full(const sci_stream_chunk *chunk,
                                          const sci_stream_item *item);
/* Append to `chunk` (NULL: a new one is made), which is not full, and return it; it may move. NULL
   when there is no memory, or the item is too large (SC_ERR_LIMIT in `*status`): the chunk is as it
   was. */
SCI_PRIVATE sci_stream_chunk *sci_stream_chunk_append(const sc_memory *memory,
                                                      sci_stream_chunk *chunk,
                                                      const sci_stream_item *item,
                                                      sc_status *status);
/* Give back what is not used. It may move. */
SCI_PRIVATE sci_stream_chunk *sci_stream_chunk_trim(const sc_memory *memory,
                                                    sci_stream_chunk *chunk);
/* NULL when there is no memory. */
SCI_PRIVATE sci_stream_chunk *sci_stream_chunk_copy(const sc_memory *memory,
                                                    const sci_stream_chunk *chunk);

/* Offset of the first entry. The last one ends at chunk->used. */
SCI_PRIVATE size_t sci_stream_chunk_first(const sci_stream_chunk *chunk);
/* Unpack an entry's head. */
SCI_PRIVATE void sci_stream_chunk_place(const sci_stream_chunk *chunk, size_t offset,
                                        sci_stream_place *place);
/* The same, and the offset of the entry behind it. */
SCI_PRIVATE size_t sci_stream_chunk_step(const sci_stream_chunk *chunk, size_t offset,
                                         sci_stream_place *place);
/* Remove `count` entries that stand from `begin` to `end`. */
SCI_PRIVATE void sci_stream_chunk_remove(sci_stream_chunk *chunk, size_t begin, size_t end,
                                         size_t count);
/* The word at `*at`, which moves behind it. `text` holds it when it is an integer. */
SCI_PRIVATE sc_slice sci_stream_word_take(const char **at, char text[SCI_I64_TEXT_BYTES]);
