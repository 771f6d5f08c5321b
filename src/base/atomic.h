#pragma once
/* Atomic integers with the memory order in the name. */

#include "base/prelude.h"

/* gcc and clang have functions of their own, C11 has a header, tcc on x86 takes assembly, whose
   locked instructions order everything. One thread on a processor without atomic instructions does
   with plain integers. */
#if (defined(__GNUC__) || defined(__clang__)) &&                                                   \
    (!defined(SMARTCACHE_NO_THREADS) || __GCC_ATOMIC_INT_LOCK_FREE == 2)
typedef uint32_t sci_atomic_word;
#define SCI_ATOMIC_LOAD(at, order) __atomic_load_n(at, __ATOMIC_##order)
#define SCI_ATOMIC_STORE(at, value, order) __atomic_store_n(at, value, __ATOMIC_##order)
#define SCI_ATOMIC_ADD(at, amount) __atomic_fetch_add(at, amount, __ATOMIC_ACQ_REL)
#define SCI_ATOMIC_EXCHANGE(at, value) __atomic_exchange_n(at, value, __ATOMIC_ACQ_REL)
#define SCI_ATOMIC_REPLACE(at, expected, value, order, order_if_not)                               \
    __atomic_compare_exchange_n(at, expected, value, false, __ATOMIC_##order,                      \
                                __ATOMIC_##order_if_not)
#elif !defined(SMARTCACHE_NO_THREADS) && !defined(__TINYC__) && !defined(__cplusplus) &&           \
    __STDC_VERSION__ >= 201112L && !defined(__STDC_NO_ATOMICS__)
#include <stdatomic.h>
typedef _Atomic uint32_t sci_atomic_word;
#define SCI_ATOMIC_LOAD(at, order) atomic_load(at)
#define SCI_ATOMIC_STORE(at, value, order) atomic_store(at, value)
#define SCI_ATOMIC_ADD(at, amount) atomic_fetch_add(at, amount)
#define SCI_ATOMIC_EXCHANGE(at, value) atomic_exchange(at, value)
#define SCI_ATOMIC_REPLACE(at, expected, value, order, order_if_not)                               \
    atomic_compare_exchange_strong(at, expected, value)
#else
typedef volatile uint32_t sci_atomic_word;
#define SCI_ATOMIC_LOAD(at, order) (*(at))
#define SCI_ATOMIC_STORE(at, value, order) ((void)(*(at) = (value)))
#define SCI_ATOMIC_ADD(at, amount) sci_atomic_word_add(at, amount)
#define SCI_ATOMIC_EXCHANGE(at, value) sci_atomic_word_exchange(at, value)
#define SCI_ATOMIC_REPLACE(at, expected, value, order, order_if_not)                               \
    sci_atomic_word_replace(at, expected, value)

#if !defined(SMARTCACHE_NO_THREADS) &&                                                             \
    (!defined(__TINYC__) || !(defined(__x86_64__) || defined(__i386__)))
#error "smartcache knows no atomic operations of this compiler: define SMARTCACHE_NO_THREADS"
#endif

static inline uint32_t sci_atomic_word_add(sci_atomic_word *at, uint32_t amount)
{
#if defined(SMARTCACHE_NO_THREADS)
    uint32_t before = *at;
    *at = before + amount;
    return before;
#else
    __asm__ __volatile__("lock; xaddl %0, %1" : "=r"(amount), "+m"(*at) : "0"(amount) : "memory");
    return amount;
#endif
}

static inline uint32_t sci_atomic_word_exchange(sci_atomic_word *at, uint32_t value)
{
#if defined(SMARTCACHE_NO_THREADS)
    uint32_t before = *at;
    *at = value;
    return before;
#else
    __asm__ __volatile__("xchgl %0, %1" : "=r"(value), "+m"(*at) : "0"(value) : "memory");
    return value;
#endif
}

static inline bool sci_atomic_word_replace(sci_atomic_word *at, uint32_t *expected, uint32_t value)
{
    uint32_t before;
#if defined(SMARTCACHE_NO_THREADS)
    before = *at;
    if (before == *expected)
        *at = value;
#else
    __asm__ __volatile__("lock; cmpxchgl %2, %1"
                         : "=a"(before), "+m"(*at)
                         : "r"(value), "0"(*expected)
                         : "memory");
#endif
    bool is_replaced = before == *expected;
    *expected = before;
    return is_replaced;
}
#endif

/* Reference counts and flags are 32 bits wide on every target. */
typedef struct sci_atomic_u32 {
    sci_atomic_word value;
} sci_atomic_u32;

static inline uint32_t sci_atomic_load_relaxed(const sci_atomic_u32 *atomic)
{
    return SCI_ATOMIC_LOAD(&atomic->value, RELAXED);
}

static inline uint32_t sci_atomic_load_acquire(const sci_atomic_u32 *atomic)
{
    return SCI_ATOMIC_LOAD(&atomic->value, ACQUIRE);
}

static inline void sci_atomic_store_relaxed(sci_atomic_u32 *atomic, uint32_t value)
{
    SCI_ATOMIC_STORE(&atomic->value, value, RELAXED);
}

static inline void sci_atomic_store_release(sci_atomic_u32 *atomic, uint32_t value)
{
    SCI_ATOMIC_STORE(&atomic->value, value, RELEASE);
}

/* Both return the value before. */
static inline uint32_t sci_atomic_add(sci_atomic_u32 *atomic, uint32_t amount)
{
    return SCI_ATOMIC_ADD(&atomic->value, amount);
}

static inline uint32_t sci_atomic_subtract(sci_atomic_u32 *atomic, uint32_t amount)
{
    return SCI_ATOMIC_ADD(&atomic->value, 0u - amount);
}

/* Set to `value` if it is `expected`; true when it was. */
static inline bool sci_atomic_swap_if(sci_atomic_u32 *atomic, uint32_t expected, uint32_t value)
{
    return SCI_ATOMIC_REPLACE(&atomic->value, &expected, value, ACQUIRE, RELAXED);
}

/* Set to `value` if it is `*expected`; else false, and `*expected` is what it is. */
static inline bool sci_atomic_replace(sci_atomic_u32 *atomic, uint32_t *expected, uint32_t value)
{
    return SCI_ATOMIC_REPLACE(&atomic->value, expected, value, ACQ_REL, ACQUIRE);
}

/* Set to `value`; returns what it was. */
static inline uint32_t sci_atomic_exchange(sci_atomic_u32 *atomic, uint32_t value)
{
    return SCI_ATOMIC_EXCHANGE(&atomic->value, value);
}
