#pragma once
/* Exact integers for what lies between numbers and their texts: of 128 bits, and of as many words as
   the caller has. */

#include "base/prelude.h"

typedef struct sci_u128 {
    uint64_t high, low;
} sci_u128;

static inline sci_u128 sci_u128_multiply(uint64_t a, uint64_t b)
{
    sci_u128 product;
#if defined(__SIZEOF_INT128__)
    __extension__ typedef unsigned __int128 sci_wide;
    sci_wide wide = (sci_wide)a * b;
    product.high = (uint64_t)(wide >> 64);
    product.low = (uint64_t)wide;
#else
    uint64_t a_low = (uint32_t)a, a_high = a >> 32;
    uint64_t b_low = (uint32_t)b, b_high = b >> 32;
    uint64_t low = a_low * b_low;
    uint64_t middle = a_high * b_low + (low >> 32);
    uint64_t middle_2 = a_low * b_high + (uint32_t)middle;
    product.high = a_high * b_high + (middle >> 32) + (middle_2 >> 32);
    product.low = middle_2 << 32 | (uint32_t)low;
#endif
    return product;
}

static inline unsigned sci_leading_zeros(uint64_t word)
{
#if defined(__GNUC__) || defined(__clang__)
    return (unsigned)__builtin_clzll(word);
#else
    unsigned count = 0;
    for (; !(word >> 63); word <<= 1)
        count++;
    return count;
#endif
}

/* 5^power, for powers up to 27. */
SCI_PRIVATE uint64_t sci_power_of_five(unsigned power);

typedef struct sci_big {
    size_t count;    /* words in use; the last is not 0 */
    size_t cap;      /* what the caller knows to be enough */
    uint32_t *words; /* the caller's; the lowest first */
} sci_big;

SCI_PRIVATE void sci_big_init(sci_big *big, uint32_t *words, size_t cap); /* 0 */
SCI_PRIVATE void sci_big_set(sci_big *big, uint64_t value);
SCI_PRIVATE void sci_big_multiply_add(sci_big *big, uint32_t factor, uint32_t addend);
SCI_PRIVATE void sci_big_multiply_power_of_five(sci_big *big, unsigned power);
SCI_PRIVATE void sci_big_shift(sci_big *big, unsigned bits); /* to the left */
SCI_PRIVATE int sci_big_compare(const sci_big *a, const sci_big *b);
