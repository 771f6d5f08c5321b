#pragma once
/* The board and nothing of its network: time, sleep, random, memory, words and the exit status. */

#include "smartcache.h"

#include <stdio.h>

/* What smartcache asks of the world, for sc_config. */
extern const sc_memory board_memory;
extern const sc_clock board_clock;
extern const sc_random board_random;

/* The command line without its first word; "" when there is none. It lives as long as the program.
 */
const char *board_arguments(void);

int64_t board_monotonic_ns(void);
uint32_t board_random_u32(void);

/* Let the processor sleep until an interrupt: the next tick, at most 1 ms away, or the network
   controller's. `is_idle` is asked with interrupts held back, so that none is missed. */
void board_sleep(bool (*is_idle)(void));
/* From now on the network controller's interrupt ends a sleep, once. */
void board_wake_on_network(void);

/* Say what went wrong and end the program with status 70. */
void board_panic(const char *words) __attribute__((noreturn));

/* What a program needs of memory. */
typedef struct board_usage {
    size_t used_bytes;  /* given out by board_memory, now */
    size_t most_bytes;  /* and at the most since the start */
    size_t blocks;      /* their number, now */
    size_t heap_bytes;  /* taken by malloc for all and everything, its own book-keeping included */
    size_t stack_bytes; /* deepest stack since the start */
} board_usage;
void board_usage_get(board_usage *usage);
