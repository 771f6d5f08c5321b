#pragma once
/* Receive buffers: blocks that replies keep alive as long as they point into them. */

#include "base/atomic.h"
#include "base/memory.h"

typedef struct sci_chunk {
    sci_atomic_u32 references; /* the receiver's and each reply's */
    sc_memory memory;
    size_t cap; /* bytes after the header */
} sci_chunk;

static inline char *sci_chunk_data(sci_chunk *chunk)
{
    return (char *)(chunk + 1);
}

/* NULL when there is no memory. */
SCI_PRIVATE sci_chunk *sci_chunk_create(const sc_memory *memory, size_t cap);
/* Only for the sole holder. On NULL the chunk is as it was. */
SCI_PRIVATE sci_chunk *sci_chunk_resize(sci_chunk *chunk, size_t cap);
SCI_PRIVATE void sci_chunk_release(sci_chunk *chunk); /* NULL is fine */
static inline sci_chunk *sci_chunk_retain(sci_chunk *chunk)
{
    (void)sci_atomic_add(&chunk->references, 1);
    return chunk;
}
static inline bool sci_chunk_is_shared(const sci_chunk *chunk)
{
    return sci_atomic_load_acquire(&chunk->references) != 1;
}
