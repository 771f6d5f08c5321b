#pragma once
/* Numbers as wide integers times powers of two, what lies between texts and floating point. */

#include "base/double.h"

/* `bits` below 128. */
static inline sci_u128 sci_u128_shift_right(sci_u128 value, unsigned bits)
{
    if (bits >= 64) {
        value.low = value.high >> (bits - 64);
        value.high = 0;
    } else if (bits > 0) {
        value.low = value.low >> bits | value.high << (64 - bits);
        value.high >>= bits;
    }
    return value;
}

static inline sci_u128 sci_u128_shift_left(sci_u128 value, unsigned bits)
{
    if (bits >= 64) {
        value.high = value.low << (bits - 64);
        value.low = 0;
    } else if (bits > 0) {
        value.high = value.high << bits | value.low >> (64 - bits);
        value.low <<= bits;
    }
    return value;
}

static inline int sci_u128_compare(sci_u128 a, sci_u128 b)
{
    if (a.high != b.high)
        return a.high < b.high ? -1 : 1;
    return a.low == b.low ? 0 : a.low < b.low ? -1 : 1;
}

static inline sci_u128 sci_u128_add(sci_u128 a, sci_u128 b)
{
    a.low += b.low;
    a.high += b.high + (a.low < b.low);
    return a;
}

static inline sci_u128 sci_u128_subtract(sci_u128 a, sci_u128 b)
{
    a.high -= b.high + (a.low < b.low);
    a.low -= b.low;
    return a;
}

static inline bool sci_u128_is_zero(sci_u128 value)
{
    return value.high == 0 && value.low == 0;
}

/* Any `bits`; the last bit is also set when any was lost. */
static inline sci_u128 sci_u128_shift_right_sticky(sci_u128 value, unsigned bits)
{
    sci_u128 shifted;
    shifted.high = shifted.low = 0;
    if (bits < 128)
        shifted = sci_u128_shift_right(value, bits);
    bool is_lost = bits < 128 ? sci_u128_compare(sci_u128_shift_left(shifted, bits), value) != 0
                              : !sci_u128_is_zero(value);
    shifted.low |= is_lost;
    return shifted;
}

/* value / 2^bits, rounded (half to even); any `bits`. */
SCI_PRIVATE sci_u128 sci_u128_round(sci_u128 value, unsigned bits);

/* A number in two parts: mantissa * 2^exponent, or a bit more when the mantissa's last bit is
   set. */
typedef struct sci_binary {
    sci_u128 mantissa;
    int64_t exponent;
    bool is_negative;
} sci_binary;

/* C's hexadecimal numbers, "0x1.8p3". False when the whole text is not one. */
SCI_PRIVATE bool sci_binary_parse(sci_binary *binary, sc_slice text);
/* Nearest (half to even) of those whose mantissas have up to `bits` bits, 64 at most, and exponents
   of at least `least`. Returns the mantissa. */
SCI_PRIVATE uint64_t sci_binary_round(sci_binary binary, unsigned bits, int64_t least,
                                      int64_t *exponent);
/* "inf" and "infinity" in any case, with a sign. */
SCI_PRIVATE bool sci_text_is_infinity(sc_slice text, bool *is_negative);
