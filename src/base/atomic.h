#pragma once
/* Atomic integers with the memory order in the name. */

#include "base/prelude.h"

/* Reference counts and flags are 32 bits wide on every target. */
typedef struct sci_atomic_u32 {
    uint32_t value;
} sci_atomic_u32;

static inline uint32_t sci_atomic_load_acquire(const sci_atomic_u32 *atomic)
{
    return __atomic_load_n(&atomic->value, __ATOMIC_ACQUIRE);
}

static inline void sci_atomic_store_release(sci_atomic_u32 *atomic, uint32_t value)
{
    __atomic_store_n(&atomic->value, value, __ATOMIC_RELEASE);
}

/* Both return the value before. */
static inline uint32_t sci_atomic_add(sci_atomic_u32 *atomic, uint32_t amount)
{
    return __atomic_fetch_add(&atomic->value, amount, __ATOMIC_ACQ_REL);
}

static inline uint32_t sci_atomic_subtract(sci_atomic_u32 *atomic, uint32_t amount)
{
    return __atomic_fetch_sub(&atomic->value, amount, __ATOMIC_ACQ_REL);
}

/* Set to `value` if it is `expected`; true when it was. */
static inline bool sci_atomic_swap_if(sci_atomic_u32 *atomic, uint32_t expected, uint32_t value)
{
    return __atomic_compare_exchange_n(&atomic->value, &expected, value, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

/* Set to `value`; returns what it was. */
static inline uint32_t sci_atomic_exchange(sci_atomic_u32 *atomic, uint32_t value)
{
    return __atomic_exchange_n(&atomic->value, value, __ATOMIC_ACQ_REL);
}
