#pragma once
/* Version, linkage and the few types that everything shares. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SC_VERSION_MAJOR 0
#define SC_VERSION_MINOR 1
#define SC_VERSION_PATCH 0
#define SC_VERSION_TEXT "0.1.0"

/* SMARTCACHE_STATIC: every function becomes private to the file that includes the header with
   SMARTCACHE_IMPLEMENTATION. Default: off, one file implements and any number declare. */
#if defined(SMARTCACHE_STATIC) && (defined(__GNUC__) || defined(__clang__))
#define SC_API static __attribute__((unused))
#elif defined(SMARTCACHE_STATIC)
#define SC_API static
#else
#define SC_API extern
#endif

/* Lets the compiler check a format string against its arguments. */
#if defined(__GNUC__) || defined(__clang__)
#define SC_PRINTF(format_index, first_argument)                                                    \
    __attribute__((format(printf, format_index, first_argument)))
#define SC_SENTINEL __attribute__((sentinel))
#else
#define SC_PRINTF(format_index, first_argument)
#define SC_SENTINEL
#endif

/* Bytes with a length, borrowed: whoever made the slice owns what it points to. The bytes may
   hold anything, NUL included; `data` may be NULL when `len` is 0. */
typedef struct sc_slice {
    const char *data;
    size_t len; /* bytes */
} sc_slice;

/* A slice over `len` bytes at `data`. */
static inline sc_slice sc_bytes(const void *data, size_t len)
{
    sc_slice slice;
    slice.data = (const char *)data;
    slice.len = len;
    return slice;
}

/* A slice over a C string, without its NUL. NULL gives the empty slice. */
static inline sc_slice sc_text(const char *text)
{
    sc_slice slice;
    size_t len = 0;
    if (text)
        while (text[len])
            len++;
    slice.data = text;
    slice.len = len;
    return slice;
}
