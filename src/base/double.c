/* Doubles from and to text.

   Text to double is the algorithm of Eisel and Lemire (D. Lemire, "Number parsing at a gigabyte per
   second", 2021; without its fallback: N. Mushtak, D. Lemire, "Fast number parsing without
   fallback", 2023). Double to text is Schubfach (R. Giulietti, "The Schubfach way to render
   doubles", 2020). Both want the powers of ten to 128 bits, which are made from a table of every
   28th. */

#include "base/double.h"

#include <float.h>

/* MARK: Powers of ten */

#define SCI_POWER_STEP 28
#define SCI_POWER_FIRST (-364)

/* The first 192 bits, cut, of 10^-364, 10^-336, ... 10^336. (floor(10^power * 2^n), for the n that
   gives 192 bits.) */
static const uint64_t sci_power_table[][3] = {
    {UINT64_C(0xe1afa13afbd14d6d), UINT64_C(0x82189c09a3a1ec21), UINT64_C(0x7a43516213c7e04c)},
    {UINT64_C(0xe3e27a444d8d98b7), UINT64_C(0xfd1b1b2308169b25), UINT64_C(0x363b1f2c568dc3e2)},
    {UINT64_C(0xe61acf033d1a45df), UINT64_C(0x6fb92487298e33bd), UINT64_C(0xadd7728c20b99bd1)},
    {UINT64_C(0xe858ad248f5c22c9), UINT64_C(0xd1b3400f8f9cff68), UINT64_C(0xf910f9f648232f14)},
    {UINT64_C(0xea9c227723ee8bcb), UINT64_C(0x465e15a979c1cadc), UINT64_C(0x0a0ce827eac11f2d)},
    {UINT64_C(0xece53cec4a314ebd), UINT64_C(0xa4f8bf5635246428), UINT64_C(0x4609ac5c7899ca36)},
    {UINT64_C(0xef340a98172aace4), UINT64_C(0x86fb897116c87c34), UINT64_C(0x9c39c1da4c49278d)},
    {UINT64_C(0xf18899b1bc3f8ca1), UINT64_C(0xdc44e6c3cb279ac1), UINT64_C(0xf80f36174730ca34)},
    {UINT64_C(0xf3e2f893dec3f126), UINT64_C(0x5a89dba3c3efccfa), UINT64_C(0xd8ecb58659be9c90)},
    {UINT64_C(0xf64335bcf065d37d), UINT64_C(0x4d4617b5ff4a16d5), UINT64_C(0xaa09501d5954a559)},
    {UINT64_C(0xf8a95fcf88747d94), UINT64_C(0x75a44c6397ce912a), UINT64_C(0x33cca6c06b07b74d)},
    {UINT64_C(0xfb158592be068d2e), UINT64_C(0xeed6e2f0f0d56712), UINT64_C(0xac2e4f162cfad40a)},
    {UINT64_C(0xfd87b5f28300ca0d), UINT64_C(0x8bca9d6e188853fc), UINT64_C(0x76dcb60081ce0fa5)},
    {UINT64_C(0x8000000000000000), UINT64_C(0x0000000000000000), UINT64_C(0x0000000000000000)},
    {UINT64_C(0x813f3978f8940984), UINT64_C(0x4000000000000000), UINT64_C(0x0000000000000000)},
    {UINT64_C(0x82818f1281ed449f), UINT64_C(0xbff8f10e7a8921a4), UINT64_C(0x2000000000000000)},
    {UINT64_C(0x83c7088e1aab65db), UINT64_C(0x792667c6da79e0fa), UINT64_C(0x0861d3ee22d1cc53)},
    {UINT64_C(0x850fadc09923329e), UINT64_C(0x03e2cf6bc604ddb0), UINT64_C(0x74a7ef0198791097)},
    {UINT64_C(0x865b86925b9bc5c2), UINT64_C(0x0b8a2392ba45a9b2), UINT64_C(0x5c6658d409fb8bf7)},
    {UINT64_C(0x87aa9aff79042286), UINT64_C(0x90fb44d2f05d0842), UINT64_C(0xfb118fc9c217a1d2)},
    {UINT64_C(0x88fcf317f22241e2), UINT64_C(0x441fece3bdf81f03), UINT64_C(0x12f274928400100d)},
    {UINT64_C(0x8a5296ffe33cc92f), UINT64_C(0x82bd6b70d99aaa6f), UINT64_C(0xbc10c5c5cda97c8d)},
    {UINT64_C(0x8bab8eefb6409c1a), UINT64_C(0x1ad089b6c2f7548e), UINT64_C(0x25c7b885ba466e37)},
    {UINT64_C(0x8d07e33455637eb2), UINT64_C(0xdb0b487b6423e1e8), UINT64_C(0x7ec63730f500b406)},
    {UINT64_C(0x8e679c2f5e44ff8f), UINT64_C(0x570f09eaa7ea7648), UINT64_C(0x5961db50c6d2b886)},
    {UINT64_C(0x8fcac257558ee4e6), UINT64_C(0x213a4f0aa5e8a7b1), UINT64_C(0x949063d8a46f0c0e)},
};

/* The first 128 bits, cut, of 10^power. (For all powers between the limits that was compared with
   exact arithmetic: the bits cut from the table never carry so far.) */
SCI_PRIVATE sci_u128 sci_power_of_ten(int power)
{
    sci_assert(power >= SCI_POWER_MIN && power <= SCI_POWER_MAX);
    unsigned offset = (unsigned)(power - SCI_POWER_FIRST);
    const uint64_t *base = sci_power_table[offset / SCI_POWER_STEP];
    uint64_t factor = sci_power_of_five(offset % SCI_POWER_STEP);
    factor <<= sci_leading_zeros(factor);

    sci_u128 low = sci_u128_multiply(base[2], factor);
    sci_u128 middle = sci_u128_multiply(base[1], factor);
    sci_u128 high = sci_u128_multiply(base[0], factor);
    uint64_t third = middle.low + low.high;
    uint64_t carry = third < low.high;
    uint64_t second = high.low + middle.high;
    uint64_t carry_2 = second < middle.high;
    second += carry;
    carry_2 += second < carry;
    uint64_t first = high.high + carry_2;

    sci_u128 result;
    if (first >> 63) {
        result.high = first;
        result.low = second;
    } else {
        result.high = first << 1 | second >> 63;
        result.low = second << 1 | third >> 63;
    }
    return result;
}

/* MARK: Text to double */

/* The exact decimal form of what lies halfway between two doubles has at most 768 digits, so one
   digit more and whether something follows decide any comparison. */
#define SCI_DOUBLE_EXACT_DIGITS 769
/* Enough for those digits, and for 5^1093 times 54 bits, the largest that a comparison needs. */
#define SCI_DOUBLE_BIG_WORDS 96

/* Bits of the double nearest to digits * 10^power, after Eisel and Lemire. */
static uint64_t sci_decimal_nearest(uint64_t digits, int64_t power)
{
    if (digits == 0 || power < SCI_POWER_MIN)
        return 0;
    if (power > DBL_MAX_10_EXP)
        return SCI_DOUBLE_INFINITY;
    int q = (int)power;
    unsigned zeros = sci_leading_zeros(digits);
    uint64_t w = digits << zeros;
    sci_u128 ten = sci_power_of_ten(q);
    if (q < 0 && q >= -27) {
        /* The proof wants these reciprocals rounded up. */
        ten.low++;
        ten.high += ten.low == 0;
    }

    sci_u128 product = sci_u128_multiply(w, ten.high);
    /* 55 bits of the product are used; when those below are all 1 a carry might reach them. */
    if ((product.high & 0x1ff) == 0x1ff) {
        sci_u128 more = sci_u128_multiply(w, ten.low);
        product.low += more.high;
        product.high += product.low < more.high;
    }
    unsigned upper = (unsigned)(product.high >> 63);
    unsigned shift = upper + 64 - SCI_DOUBLE_MANTISSA_BITS - 3;
    uint64_t mantissa = product.high >> shift;
    int biased = sci_log2_of_power(q) + 63 + (int)upper - (int)zeros + 1023;

    if (biased <= 0) {
        if (biased <= -63)
            return 0;
        mantissa >>= 1 - biased;
        mantissa = (mantissa + (mantissa & 1)) >> 1;
        /* Should it have been rounded up to the hidden bit, that bit is the exponent 1. */
        return mantissa;
    }
    /* Exactly halfway can only be for these powers; then to even. */
    if (product.low <= 1 && q >= -4 && q <= 23 && (mantissa & 3) == 1 &&
        mantissa << shift == product.high)
        mantissa &= ~UINT64_C(1);
    mantissa = (mantissa + (mantissa & 1)) >> 1;
    /* A mantissa rounded up to 2^53 carries into the exponent by the addition. */
    uint64_t bits =
        ((uint64_t)biased << SCI_DOUBLE_MANTISSA_BITS) + mantissa - SCI_DOUBLE_HIDDEN_BIT;
    return bits < SCI_DOUBLE_INFINITY ? bits : SCI_DOUBLE_INFINITY;
}

/* The number lies between the neighbours `lower` and the next one, compare it with their middle. */
static uint64_t sci_decimal_nearest_exact(const sci_decimal *decimal, uint64_t lower)
{
    uint32_t number_words[SCI_DOUBLE_BIG_WORDS], middle_words[SCI_DOUBLE_BIG_WORDS];
    sci_big number, middle;
    sci_big_init(&number, number_words, SCI_DOUBLE_BIG_WORDS);
    sci_big_init(&middle, middle_words, SCI_DOUBLE_BIG_WORDS);
    int two;
    uint64_t mantissa = sci_double_split(lower, &two);
    unsigned count = sci_decimal_exact_digits(decimal, SCI_DOUBLE_EXACT_DIGITS, &number);
    int ten = (int)decimal->exponent + SCI_DECIMAL_DIGITS - (int)count;
    sci_big_set(&middle, 2 * mantissa + 1);
    two -= 1;
    /* number * 5^ten * 2^ten against middle * 2^two, without negative powers */
    if (ten >= 0)
        sci_big_multiply_power_of_five(&number, (unsigned)ten);
    else
        sci_big_multiply_power_of_five(&middle, (unsigned)-ten);
    if (ten >= two)
        sci_big_shift(&number, (unsigned)(ten - two));
    else
        sci_big_shift(&middle, (unsigned)(two - ten));
    int order = sci_big_compare(&number, &middle);
    if (order == 0)
        return lower + (lower & 1);
    return order > 0 ? lower + 1 : lower;
}

/* True when one exact multiplication or division gives the answer (W. Clinger, 1990). */
static bool sci_decimal_simple(const sci_decimal *decimal, double *number)
{
    /* Where doubles are computed in wider registers the result would be rounded twice. */
#if FLT_EVAL_METHOD == 0 || FLT_EVAL_METHOD == 1
    if (decimal->is_cut || decimal->digits > 2 * SCI_DOUBLE_HIDDEN_BIT || decimal->exponent < -22 ||
        decimal->exponent > 22)
        return false;
    unsigned power = (unsigned)(decimal->exponent < 0 ? -decimal->exponent : decimal->exponent);
    uint64_t five = sci_power_of_five(power);
    double ten = (double)five * (double)(UINT32_C(1) << power);
    double digits = (double)decimal->digits;
    *number = decimal->exponent < 0 ? digits / ten : digits * ten;
    return true;
#else
    (void)decimal;
    (void)number;
    return false;
#endif
}

static bool sci_text_to_special(sc_slice text, double *number)
{
    uint64_t sign = 0;
    if (text.len > 0 && text.data[0] == '-') {
        sign = SCI_DOUBLE_SIGN;
        text.data++;
        text.len--;
    }
    if (sci_slice_equal(text, sc_text("inf")))
        *number = sci_double_from_bits(SCI_DOUBLE_INFINITY | sign);
    else if (sci_slice_equal(text, sc_text("nan")))
        *number = sci_double_from_bits(SCI_DOUBLE_NAN);
    else
        return false;
    return true;
}

SCI_PRIVATE double sci_decimal_to_double(const sci_decimal *decimal)
{
    double number;
    if (sci_decimal_simple(decimal, &number))
        return decimal->is_negative ? -number : number;
    uint64_t bits = sci_decimal_nearest(decimal->digits, decimal->exponent);
    if (decimal->is_cut && sci_decimal_nearest(decimal->digits + 1, decimal->exponent) != bits)
        bits = sci_decimal_nearest_exact(decimal, bits);
    return sci_double_from_bits(decimal->is_negative ? bits | SCI_DOUBLE_SIGN : bits);
}

SCI_PRIVATE bool sci_text_to_double(sc_slice text, double *number)
{
    sci_decimal decimal;
    if (text.len == 0)
        return false;
    if (!sci_decimal_parse(&decimal, text, SCI_DECIMAL_JSON))
        return sci_text_to_special(text, number);
    *number = sci_decimal_to_double(&decimal);
    return true;
}

/* MARK: Double to text */

typedef struct sci_shortest {
    uint64_t digits;
    int exponent; /* the number is digits * 10^exponent */
} sci_shortest;

/* floor(ten * factor / 2^128), its last bit set when something was cut off. `ten` may be a little
   too great, which the paper shows to do no harm. */
static uint64_t sci_shortest_round_to_odd(sci_u128 ten, uint64_t factor)
{
    sci_u128 low = sci_u128_multiply(ten.low, factor);
    sci_u128 high = sci_u128_multiply(ten.high, factor);
    uint64_t middle = high.low + low.high;
    uint64_t result = high.high + (middle < low.high);
    return result | (middle > 1);
}

/* 10^power to 128 bits, rounded up. */
static sci_u128 sci_shortest_power(int power)
{
    sci_u128 ten = sci_power_of_ten(power);
    bool is_exact = power >= 0 && power <= 55; /* 5^55 < 2^128 < 5^56 */
    if (!is_exact) {
        ten.low++;
        ten.high += ten.low == 0;
    }
    return ten;
}

/* Schubfach. The names are the paper's: vb is four times the number, vbl and vbr its interval's
   ends, in units of 10^k. */
static sci_shortest sci_shortest_of(uint64_t bits)
{
    sci_shortest result;
    int q;
    uint64_t c = sci_double_split(bits, &q);
    /* At a power of two the lower neighbour is nearer than the upper one. */
    bool is_lower_nearer = c == SCI_DOUBLE_HIDDEN_BIT && q > -1074;
    int k = sci_floor_shift(q * 1262611 - (is_lower_nearer ? 524031 : 0), 22);
    unsigned h = (unsigned)(q + sci_log2_of_power(-k) + 1);
    sci_u128 ten = sci_shortest_power(-k);
    uint64_t vbl = sci_shortest_round_to_odd(ten, (4 * c - 2 + is_lower_nearer) << h);
    uint64_t vb = sci_shortest_round_to_odd(ten, (4 * c) << h);
    uint64_t vbr = sci_shortest_round_to_odd(ten, (4 * c + 2) << h);
    /* Ends of the interval round to an even mantissa only. */
    uint64_t lower = vbl + (c & 1);
    uint64_t upper = vbr - (c & 1);

    uint64_t s = vb / 4;
    if (s >= 10) {
        uint64_t shorter = s / 10;
        bool is_low_inside = lower <= 40 * shorter;
        bool is_high_inside = 40 * shorter + 40 <= upper;
        if (is_low_inside != is_high_inside) {
            result.digits = shorter + is_high_inside;
            result.exponent = k + 1;
            return result;
        }
    }
    bool is_low_inside = lower <= 4 * s;
    bool is_high_inside = 4 * s + 4 <= upper;
    bool is_up = is_high_inside;
    if (is_low_inside == is_high_inside) {
        uint64_t middle = 4 * s + 2;
        is_up = vb > middle || (vb == middle && (s & 1) != 0);
    }
    result.digits = s + is_up;
    result.exponent = k;
    return result;
}

static char *sci_text_put_zeros(char *at, int count)
{
    for (; count > 0; count--)
        *at++ = '0';
    return at;
}

SCI_PRIVATE char *sci_shortest_put(char *at, const char *digits, size_t len, int point)
{
    int count = (int)len;
    if (point >= count && point <= 21) {
        at = sci_text_put(at, digits, len);
        return sci_text_put_zeros(at, point - count);
    }
    if (point > 0 && point <= 21) {
        at = sci_text_put(at, digits, (size_t)point);
        *at++ = '.';
        return sci_text_put(at, digits + point, len - (size_t)point);
    }
    if (point > -6 && point <= 0) {
        at = sci_text_put(at, "0.", 2);
        at = sci_text_put_zeros(at, -point);
        return sci_text_put(at, digits, len);
    }
    *at++ = digits[0];
    if (len > 1) {
        *at++ = '.';
        at = sci_text_put(at, digits + 1, len - 1);
    }
    char exponent[SCI_I64_TEXT_BYTES];
    size_t exponent_len = sci_i64_to_text(point - 1, exponent);
    *at++ = 'e';
    if (point - 1 > 0)
        *at++ = '+';
    return sci_text_put(at, exponent, exponent_len);
}

SCI_PRIVATE size_t sci_double_to_text(double number, char text[SCI_DOUBLE_TEXT_BYTES])
{
    uint64_t bits = sci_double_to_bits(number);
    uint64_t magnitude = bits & ~SCI_DOUBLE_SIGN;
    char *at = text;
    if (magnitude > SCI_DOUBLE_INFINITY) {
        at = sci_text_put(at, "NaN", 3);
    } else if (magnitude == 0) {
        *at++ = '0';
    } else {
        if (bits != magnitude)
            *at++ = '-';
        if (magnitude == SCI_DOUBLE_INFINITY) {
            at = sci_text_put(at, "Infinity", 8);
        } else {
            sci_shortest shortest = sci_shortest_of(magnitude);
            char digits[SCI_I64_TEXT_BYTES];
            size_t len = sci_u64_to_text(shortest.digits, digits);
            int point = (int)len + shortest.exponent;
            while (digits[len - 1] == '0')
                len--;
            at = sci_shortest_put(at, digits, len, point);
        }
    }
    *at = '\0';
    return (size_t)(at - text);
}
