#pragma once
/* Bytes for large values. */

#include <stddef.h>

/* Bytes that repeat with no power of two. */
static inline char pattern_at(size_t offset)
{
    return (char)(offset % 251);
}
