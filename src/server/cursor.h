#pragma once
/* Cursors of walks through a hash table that may change its size meanwhile (SCAN, HSCAN ...). A
   bucket holds the hashes that agree in their last bits, and so one stretch of the line on which
   hashes stand in the order of their reversed bits, however many buckets there are. A cursor is the
   point on that line up to which all has been visited. */

#include "base/prelude.h"

static inline uint64_t sci_cursor_reversed(uint64_t bits)
{
    uint64_t mask = ~UINT64_C(0);
    for (unsigned width = 32; width > 0; width /= 2) {
        mask ^= mask << width;
        bits = ((bits >> width) & mask) | ((bits << width) & ~mask);
    }
    return bits;
}

/* The cursor after the bucket of all hashes that agree with `cursor` in the bits of `mask`. */
static inline uint64_t sci_cursor_next(uint64_t cursor, uint64_t mask)
{
    return sci_cursor_reversed(sci_cursor_reversed(cursor | ~mask) + 1);
}
