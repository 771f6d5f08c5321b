#pragma once
/* Memory for tests: counts, checks the sizes it is told, and fails when asked. */

#include "smartcache.h"

#include <pthread.h>

typedef struct fault_block fault_block;

typedef struct fault_memory {
    sc_memory table; /* for sc_config.memory */
    pthread_mutex_t lock;
    fault_block *blocks; /* live */
    size_t requests;     /* calls that asked for memory, also in vain */
    size_t failures;     /* of them */
    size_t fail_at;      /* the request that fails, counted from 1; 0: none */
    bool fail_for_good;  /* and all after it */
    size_t live_blocks;
    size_t live_bytes;
    size_t peak_bytes;
    size_t wrong_sizes; /* times that a block's size was told wrong */
} fault_memory;

void fault_memory_init(fault_memory *memory);
/* Frees what leaked. */
void fault_memory_free(fault_memory *memory);
/* Fail the `request`-th request from now (1: the next), once or from then on; 0: none any more. */
void fault_memory_fail(fault_memory *memory, size_t request, bool for_good);
/* Start counting requests and failures again, and the peak from what is live. */
void fault_memory_restart_counts(fault_memory *memory);
size_t fault_memory_requests(fault_memory *memory);
size_t fault_memory_failures(fault_memory *memory);
size_t fault_memory_live_bytes(fault_memory *memory);
size_t fault_memory_live_blocks(fault_memory *memory);
size_t fault_memory_peak_bytes(fault_memory *memory);
/* True when nothing is live and every size was right; else says on stderr what is wrong. */
bool fault_memory_is_clean(fault_memory *memory);
