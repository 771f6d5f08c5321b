#pragma once
/* What the ways between numbers and their texts share. */

#include "base/big.h"
#include "base/number.h"

/* MARK: Powers of ten */

#define SCI_POWER_MIN (-342)
#define SCI_POWER_MAX 340

/* The first 128 bits, cut, of 10^power. */
SCI_PRIVATE sci_u128 sci_power_of_ten(int power);

/* floor(value / 2^bits); compilers shift negative numbers arithmetically. */
static inline int sci_floor_shift(int value, unsigned bits)
{
    return value >> bits;
}

/* floor(log2(10^power)) */
static inline int sci_log2_of_power(int power)
{
    return sci_floor_shift(power * 1741647, 19);
}

/* floor(log10(2^power)) */
static inline int sci_log10_of_power(int power)
{
    return sci_floor_shift(power * 1262611, 22);
}

/* MARK: Doubles as bits */

#define SCI_DOUBLE_MANTISSA_BITS 52
#define SCI_DOUBLE_HIDDEN_BIT (UINT64_C(1) << SCI_DOUBLE_MANTISSA_BITS)
#define SCI_DOUBLE_EXPONENT_MAX 0x7ff
#define SCI_DOUBLE_LEAST_EXPONENT (-1074)
#define SCI_DOUBLE_INFINITY ((uint64_t)SCI_DOUBLE_EXPONENT_MAX << SCI_DOUBLE_MANTISSA_BITS)
#define SCI_DOUBLE_NAN (SCI_DOUBLE_INFINITY | SCI_DOUBLE_HIDDEN_BIT >> 1)
#define SCI_DOUBLE_SIGN (UINT64_C(1) << 63)

SCI_STATIC_ASSERT(sizeof(double) == sizeof(uint64_t), double_has_64_bits);

static inline double sci_double_from_bits(uint64_t bits)
{
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static inline uint64_t sci_double_to_bits(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

/* The double as an integer mantissa and the power of two that it is multiplied with. */
static inline uint64_t sci_double_split(uint64_t bits, int *exponent)
{
    uint64_t mantissa = bits & (SCI_DOUBLE_HIDDEN_BIT - 1);
    int biased = (int)(bits >> SCI_DOUBLE_MANTISSA_BITS & SCI_DOUBLE_EXPONENT_MAX);
    if (biased > 0)
        mantissa |= SCI_DOUBLE_HIDDEN_BIT;
    else
        biased = 1;
    *exponent = biased - 1 + SCI_DOUBLE_LEAST_EXPONENT;
    return mantissa;
}

/* MARK: Numbers as text has them */

/* 19 digits always fit 64 bits. */
#define SCI_DECIMAL_DIGITS 19

typedef struct sci_decimal {
    bool is_negative;
    bool is_cut;          /* digits other than 0 follow those in `digits` */
    uint64_t digits;      /* the first 19 significant ones */
    int64_t exponent;     /* the number is digits * 10^exponent, or a bit more when cut */
    sc_slice significant; /* from the first digit that is not 0; may hold a point */
} sci_decimal;

typedef enum sci_decimal_rules {
    SCI_DECIMAL_JSON, /* RFC 8259 section 6 */
    SCI_DECIMAL_C     /* as strtod: also "+1", "01", ".5" and "1." */
} sci_decimal_rules;

/* A sign, or none, at `at`; returns what follows. */
SCI_PRIVATE const char *sci_number_parse_sign(const char *at, const char *end, bool *is_negative);
/* What follows the letter of an exponent, added to `*exponent`, which stays far from overflow.
   Returns the end, NULL when there is none. */
SCI_PRIVATE const char *sci_number_parse_exponent(const char *at, const char *end,
                                                  int64_t *exponent);
/* False when the whole text is not one number. */
SCI_PRIVATE bool sci_decimal_parse(sci_decimal *decimal, sc_slice text, sci_decimal_rules rules);
/* All digits that matter as one integer, at most `most` and one that stands for more; returns how
   many they are. */
SCI_PRIVATE unsigned sci_decimal_exact_digits(const sci_decimal *decimal, size_t most,
                                              sci_big *big);

/* Correctly rounded; too large gives an infinity, too small a zero. */
SCI_PRIVATE double sci_decimal_to_double(const sci_decimal *decimal);

/* MARK: Text from numbers */

static inline char *sci_text_put(char *at, const char *text, size_t len)
{
    memcpy(at, text, len);
    return at + len;
}

/* The digits with a point behind `point` of them (0 or less: zeros are put before, more than there
   are: behind), as ECMAScript's Number::toString has it. Returns the end. */
SCI_PRIVATE char *sci_shortest_put(char *at, const char *digits, size_t len, int point);
