/* Memory that is counted. */

#include "server/memory.h"

static void *sci_counted_resize(void *user, void *block, size_t old_size, size_t new_size)
{
    sci_counted *counted = (sci_counted *)user;
    void *resized = counted->source.resize(counted->source.user, block, old_size, new_size);
    if (!resized && new_size > 0)
        return NULL;
    if (new_size > 0)
        counted->used += sci_counted_block(new_size);
    if (block)
        counted->used -= sci_counted_block(old_size);
    if (counted->used > counted->peak)
        counted->peak = counted->used;
    return resized;
}

SCI_PRIVATE void sci_counted_init(sci_counted *counted, const sc_memory *source)
{
    counted->table.user = counted;
    counted->table.resize = sci_counted_resize;
    counted->source = *source;
    counted->used = 0;
    counted->peak = 0;
}
