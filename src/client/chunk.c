/* Receive buffers. */

#include "client/chunk.h"

SCI_PRIVATE sci_chunk *sci_chunk_create(const sc_memory *memory, size_t cap)
{
    sci_chunk *chunk = (sci_chunk *)sci_resize(memory, NULL, 0, sizeof *chunk + cap);
    if (!chunk)
        return NULL;
    chunk->references.value = 1;
    chunk->memory = *memory;
    chunk->cap = cap;
    return chunk;
}

SCI_PRIVATE sci_chunk *sci_chunk_resize(sci_chunk *chunk, size_t cap)
{
    sci_assert(!sci_chunk_is_shared(chunk));
    sc_memory memory = chunk->memory;
    chunk =
        (sci_chunk *)sci_resize(&memory, chunk, sizeof *chunk + chunk->cap, sizeof *chunk + cap);
    if (chunk)
        chunk->cap = cap;
    return chunk;
}

SCI_PRIVATE void sci_chunk_release(sci_chunk *chunk)
{
    if (!chunk || sci_atomic_subtract(&chunk->references, 1) != 1)
        return;
    sc_memory memory = chunk->memory;
    sci_free(&memory, chunk, sizeof *chunk + chunk->cap);
}
