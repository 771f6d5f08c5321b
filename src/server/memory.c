/* Memory that is counted. */

#include "server/memory.h"

/* glibc keeps small blocks that were freed apart, until a large one is asked for; then it joins all
   of them, which takes 0.3 s for a million. Asked now and then, it never has many. */
#define SCI_COUNTED_JOIN_PERIOD 256
#define SCI_COUNTED_LARGE_BYTES 4096

static void sci_counted_join(sci_counted *counted)
{
    const sc_memory *source = &counted->source;
    void *large = source->resize(source->user, NULL, 0, SCI_COUNTED_LARGE_BYTES);
    sci_free(source, large, SCI_COUNTED_LARGE_BYTES);
    counted->freed = 0;
}

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
    if (new_size == 0 && ++counted->freed == SCI_COUNTED_JOIN_PERIOD)
        sci_counted_join(counted);
    return resized;
}

SCI_PRIVATE void sci_counted_init(sci_counted *counted, const sc_memory *source)
{
    counted->table.user = counted;
    counted->table.resize = sci_counted_resize;
    counted->source = *source;
    counted->used = 0;
    counted->peak = 0;
    counted->freed = 0;
}
