/* Allocation through the caller's table, with words when it fails. */

#include "base/memory.h"

SCI_PRIVATE void *sci_resize(const sc_memory *memory, void *block, size_t old_size, size_t new_size)
{
    sci_assert(new_size > 0);
    void *resized = memory->resize(memory->user, block, old_size, new_size);
    if (SCI_UNLIKELY(!resized))
        (void)sc_fail(SC_ERR_MEMORY, "out of memory: %zu bytes could not be allocated", new_size);
    return resized;
}

SCI_PRIVATE void *sci_alloc_zeroed(const sc_memory *memory, size_t size)
{
    void *block = sci_resize(memory, NULL, 0, size);
    if (block)
        memset(block, 0, size);
    return block;
}

SCI_PRIVATE void sci_free(const sc_memory *memory, void *block, size_t size)
{
    if (block)
        (void)memory->resize(memory->user, block, size, 0);
}

SCI_PRIVATE char *sci_copy_text(const sc_memory *memory, sc_slice text)
{
    char *copy = (char *)sci_resize(memory, NULL, 0, text.len + 1);
    if (!copy)
        return NULL;
    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return copy;
}

SCI_PRIVATE void sci_free_text(const sc_memory *memory, char *text)
{
    if (text)
        sci_free(memory, text, strlen(text) + 1);
}

SCI_PRIVATE void sci_free_secret_text(const sc_memory *memory, char *text)
{
    if (!text)
        return;
    size_t size = strlen(text) + 1;
    /* Volatile: a memset before freeing would be optimised away. */
    volatile char *wiped = text;
    for (size_t i = 0; i < size; i++)
        wiped[i] = 0;
    sci_free(memory, text, size);
}
