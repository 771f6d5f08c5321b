#pragma once
/* Memory that is counted, so that the server knows what its data take. */

#include "base/memory.h"

typedef struct sci_counted {
    sc_memory table;  /* give this one on; it must not be moved */
    sc_memory source; /* where the memory comes from */
    size_t used;      /* bytes asked for and not given back, and what the allocator adds to each */
    size_t peak;
    unsigned freed; /* blocks since the allocator was last given an occasion to join them */
} sci_counted;

/* What allocators keep beside each block and round it up to, as far as one can know: a word in
   front, and multiples of two words. */
static inline size_t sci_counted_block(size_t size)
{
    const size_t word = sizeof(size_t);
    const size_t least = 4 * word;
    const size_t block = (size + word + 2 * word - 1) / (2 * word) * (2 * word);
    return block < least ? least : block;
}

SCI_PRIVATE void sci_counted_init(sci_counted *counted, const sc_memory *source);
