#pragma once
/* Small things that every room uses. */

#include "api/platform.h"

#include <string.h>

#if !defined(SMARTCACHE_NO_THREADS) && defined(SMARTCACHE_NO_POSIX)
#define SMARTCACHE_NO_THREADS
#endif

/* Functions that rooms share. The product is one translation unit, so there they are static;
   `make layers` compiles each room alone and sets this to extern. */
#ifndef SCI_PRIVATE
#define SCI_PRIVATE static
#endif

/* SMARTCACHE_ASSERT: check the library's own invariants and abort on a broken one. Default: off. */
#ifdef SMARTCACHE_ASSERT
#include <assert.h>
#define sci_assert(condition) assert(condition)
#else
#define sci_assert(condition) ((void)0)
#endif

#if defined(__cplusplus)
#define SCI_STATIC_ASSERT(condition, name) static_assert(condition, #name)
#else
#define SCI_STATIC_ASSERT(condition, name) typedef char sci_static_##name[(condition) ? 1 : -1]
#endif

#define SCI_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The struct of `type` whose `member` `pointer` points to. */
#define SCI_CONTAINER(pointer, type, member)                                                       \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#if defined(__GNUC__) || defined(__clang__)
#define SCI_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define SCI_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#else
#define SCI_LIKELY(condition) (condition)
#define SCI_UNLIKELY(condition) (condition)
#endif

static inline size_t sci_min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t sci_max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static inline int64_t sci_max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}
static inline int64_t sci_min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline bool sci_slice_equal(sc_slice a, sc_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* By bytes, a beginning before what goes on: negative, 0 or positive. */
static inline int sci_slice_compare(sc_slice a, sc_slice b)
{
    size_t shared = sci_min_size(a.len, b.len);
    int order = shared ? memcmp(a.data, b.data, shared) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}
