#pragma once
/* Floating point with 64 bits of mantissa: the 80-bit format of x87 processors, in which Redis adds
   for INCRBYFLOAT on them. Done in integers, so that every machine gives those results. */

#include "base/prelude.h"

typedef enum sci_extended_kind {
    SCI_EXTENDED_FINITE,
    SCI_EXTENDED_INFINITE,
    SCI_EXTENDED_NAN
} sci_extended_kind;

typedef struct sci_extended {
    uint64_t mantissa; /* its first bit is set, unless the exponent is the least, as in 0 */
    int exponent;      /* mantissa * 2^exponent */
    bool is_negative;
    sci_extended_kind kind;
} sci_extended;

static inline bool sci_extended_is_finite(const sci_extended *number)
{
    return number->kind == SCI_EXTENDED_FINITE;
}

/* Longer texts are refused, as Redis does. */
#define SCI_EXTENDED_MAX_TEXT 5119

/* As strtold in C's own locale, correctly rounded: the whole slice, no blanks, no NaN, nothing that
   is too large or rounds to 0 but is not. */
SCI_PRIVATE bool sci_text_to_extended(sc_slice text, sci_extended *number);
/* Nearest, half to even. */
SCI_PRIVATE sci_extended sci_extended_add(const sci_extended *a, const sci_extended *b);
SCI_PRIVATE sci_extended sci_extended_multiply(const sci_extended *a, uint32_t factor);
/* The least integer that is not below the number; cut to what 64 bits hold. */
SCI_PRIVATE int64_t sci_extended_ceiling(const sci_extended *number);

/* 4,933 digits before the point, 17 after it, the sign, the point and a NUL. */
#define SCI_EXTENDED_TEXT_BYTES 4953
/* As C's "%.17Lf" without trailing zeros: "0.3", "-1.5", "1000000000000000000000", never "-0".
   Returns the length. Of a finite number. */
SCI_PRIVATE size_t sci_extended_to_text(const sci_extended *number,
                                        char text[SCI_EXTENDED_TEXT_BYTES]);
