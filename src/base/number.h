#pragma once
/* Numbers from and to text, independent of locale and of libc. */

#include "base/prelude.h"

#define SCI_I64_TEXT_BYTES 21    /* "-9223372036854775808" and a NUL */
#define SCI_DOUBLE_TEXT_BYTES 32 /* the longest JavaScript Number text and a NUL */

static inline bool sci_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The value of a hexadecimal digit, -1 for any other character. */
static inline int sci_hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decimal digits of `number`, NUL-terminated; returns the length. */
SCI_PRIVATE size_t sci_i64_to_text(int64_t number, char text[SCI_I64_TEXT_BYTES]);
SCI_PRIVATE size_t sci_u64_to_text(uint64_t number, char text[SCI_I64_TEXT_BYTES]);
/* The whole slice must be one decimal integer in range, without leading zeros; "-0" and "+1" are
   none. */
SCI_PRIVATE bool sci_text_to_i64(sc_slice text, int64_t *number);
/* The whole slice must be one decimal floating-point number, as JSON writes them, or inf, -inf,
   nan, -nan as Redis prints them; correctly rounded (round half to even). Too large gives an
   infinity, too small a zero. */
SCI_PRIVATE bool sci_text_to_double(sc_slice text, double *number);
/* The shortest text that reads back as `number`, in the form of ECMAScript Number::toString
   (ECMA-262 section 6.1.6.1.20): "100000000000000000000", "1e+21", "1e-7", "NaN", "Infinity".
   Returns the length. */
SCI_PRIVATE size_t sci_double_to_text(double number, char text[SCI_DOUBLE_TEXT_BYTES]);
