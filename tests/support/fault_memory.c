/* A counting, checking, failing allocator. Each block carries its size in front. */
#include "fault_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_MAGIC 0x5ca1ab1eu
#define SHOWN_LEAKS 20

struct fault_block {
    fault_block *next;
    fault_block *previous;
    size_t size;
    size_t request; /* which request made it */
    uint32_t magic;
};

/* The header, rounded up to what any type is aligned to. */
#define ALIGNMENT 16u
#define HEADER_BYTES ((sizeof(fault_block) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT)

static void fault_link(fault_memory *memory, fault_block *block)
{
    block->previous = NULL;
    block->next = memory->blocks;
    if (memory->blocks)
        memory->blocks->previous = block;
    memory->blocks = block;
}

static void fault_unlink(fault_memory *memory, fault_block *block)
{
    if (block->previous)
        block->previous->next = block->next;
    else
        memory->blocks = block->next;
    if (block->next)
        block->next->previous = block->previous;
}

static bool fault_is_due(fault_memory *memory)
{
    memory->requests++;
    if (!memory->fail_at || memory->requests < memory->fail_at)
        return false;
    if (memory->requests > memory->fail_at && !memory->fail_for_good)
        return false;
    memory->failures++;
    return true;
}

/* Locked. */
static void *fault_resize_locked(fault_memory *memory, void *old, size_t old_size, size_t new_size)
{
    fault_block *block = old ? (fault_block *)(void *)((char *)old - HEADER_BYTES) : NULL;
    fault_block *made = NULL;
    if (block && block->magic != BLOCK_MAGIC) {
        fprintf(stderr, "fault memory: a block of another allocator, or freed before\n");
        abort();
    }
    if (old_size != (block ? block->size : 0)) {
        fprintf(stderr, "fault memory: a block of %zu bytes was told to have %zu\n",
                block ? block->size : 0, old_size);
        memory->wrong_sizes++;
    }
    if (new_size > 0) {
        /* Always another block, so that a pointer kept to the old one shows. */
        if (fault_is_due(memory))
            return NULL;
        made = (fault_block *)malloc(HEADER_BYTES + new_size);
        if (!made)
            return NULL;
        made->magic = BLOCK_MAGIC;
        made->size = new_size;
        made->request = memory->requests;
        memset((char *)made + HEADER_BYTES, 0xa5, new_size);
        if (block)
            memcpy((char *)made + HEADER_BYTES, old,
                   block->size < new_size ? block->size : new_size);
        fault_link(memory, made);
        memory->live_blocks++;
        memory->live_bytes += new_size;
    }
    if (block) {
        fault_unlink(memory, block);
        memory->live_blocks--;
        memory->live_bytes -= block->size;
        memset((char *)block + HEADER_BYTES, 0xdd, block->size);
        block->magic = 0;
        free(block);
    }
    /* After the old one is gone: a real allocator's caller has no more than the larger of both,
     * too. */
    if (memory->live_bytes > memory->peak_bytes)
        memory->peak_bytes = memory->live_bytes;
    return made ? (char *)made + HEADER_BYTES : NULL;
}

static void *fault_resize(void *user, void *block, size_t old_size, size_t new_size)
{
    fault_memory *memory = (fault_memory *)user;
    void *made;
    pthread_mutex_lock(&memory->lock);
    made = fault_resize_locked(memory, block, old_size, new_size);
    pthread_mutex_unlock(&memory->lock);
    return made;
}

void fault_memory_init(fault_memory *memory)
{
    memset(memory, 0, sizeof *memory);
    pthread_mutex_init(&memory->lock, NULL);
    memory->table.user = memory;
    memory->table.resize = fault_resize;
}

void fault_memory_free(fault_memory *memory)
{
    while (memory->blocks) {
        fault_block *block = memory->blocks;
        fault_unlink(memory, block);
        free(block);
    }
    pthread_mutex_destroy(&memory->lock);
}

void fault_memory_fail(fault_memory *memory, size_t request, bool for_good)
{
    pthread_mutex_lock(&memory->lock);
    memory->fail_at = request ? memory->requests + request : 0;
    memory->fail_for_good = for_good;
    pthread_mutex_unlock(&memory->lock);
}

void fault_memory_restart_counts(fault_memory *memory)
{
    pthread_mutex_lock(&memory->lock);
    memory->requests = 0;
    memory->failures = 0;
    memory->fail_at = 0;
    memory->peak_bytes = memory->live_bytes;
    pthread_mutex_unlock(&memory->lock);
}

static size_t fault_look(fault_memory *memory, const size_t *number)
{
    size_t seen;
    pthread_mutex_lock(&memory->lock);
    seen = *number;
    pthread_mutex_unlock(&memory->lock);
    return seen;
}

size_t fault_memory_requests(fault_memory *memory)
{
    return fault_look(memory, &memory->requests);
}

size_t fault_memory_failures(fault_memory *memory)
{
    return fault_look(memory, &memory->failures);
}

size_t fault_memory_live_bytes(fault_memory *memory)
{
    return fault_look(memory, &memory->live_bytes);
}

size_t fault_memory_live_blocks(fault_memory *memory)
{
    return fault_look(memory, &memory->live_blocks);
}

size_t fault_memory_peak_bytes(fault_memory *memory)
{
    return fault_look(memory, &memory->peak_bytes);
}

bool fault_memory_is_clean(fault_memory *memory)
{
    const fault_block *block;
    size_t shown = 0;
    bool is_clean;
    pthread_mutex_lock(&memory->lock);
    is_clean = memory->live_blocks == 0 && memory->wrong_sizes == 0;
    if (!is_clean)
        fprintf(stderr, "fault memory: %zu blocks with %zu bytes leaked, %zu wrong sizes\n",
                memory->live_blocks, memory->live_bytes, memory->wrong_sizes);
    for (block = memory->blocks; block && shown < SHOWN_LEAKS; block = block->next, shown++)
        fprintf(stderr, "  %zu bytes from request %zu\n", block->size, block->request);
    pthread_mutex_unlock(&memory->lock);
    return is_clean;
}
