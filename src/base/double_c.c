/* Doubles as C's library reads and prints them. */

#include "base/double_c.h"

#include "base/binary.h"

/* MARK: Text to double, as strtod */

static double sci_binary_to_double(sci_binary binary)
{
    int64_t exponent;
    uint64_t mantissa = sci_binary_round(binary, SCI_DOUBLE_MANTISSA_BITS + 1,
                                         SCI_DOUBLE_LEAST_EXPONENT, &exponent);
    uint64_t bits = mantissa;
    if (mantissa >= SCI_DOUBLE_HIDDEN_BIT) {
        int64_t biased = exponent - SCI_DOUBLE_LEAST_EXPONENT + 1;
        bits = biased < SCI_DOUBLE_EXPONENT_MAX ? mantissa - SCI_DOUBLE_HIDDEN_BIT +
                                                      ((uint64_t)biased << SCI_DOUBLE_MANTISSA_BITS)
                                                : SCI_DOUBLE_INFINITY;
    }
    return sci_double_from_bits(binary.is_negative ? bits | SCI_DOUBLE_SIGN : bits);
}

SCI_PRIVATE bool sci_text_to_double_as_c(sc_slice text, double *number, bool *is_out_of_range)
{
    sci_decimal decimal;
    sci_binary binary;
    bool is_negative = false, is_zero = false;
    *is_out_of_range = false;
    if (sci_decimal_parse(&decimal, text, SCI_DECIMAL_C)) {
        *number = sci_decimal_to_double(&decimal);
        is_zero = decimal.digits == 0;
    } else if (sci_binary_parse(&binary, text)) {
        *number = sci_binary_to_double(binary);
        is_zero = binary.mantissa.high == 0 && binary.mantissa.low == 0;
    } else {
        if (!sci_text_is_infinity(text, &is_negative))
            return false;
        *number = sci_double_from_bits(SCI_DOUBLE_INFINITY | (is_negative ? SCI_DOUBLE_SIGN : 0));
        return true;
    }
    uint64_t magnitude = sci_double_to_bits(*number) & ~SCI_DOUBLE_SIGN;
    *is_out_of_range = magnitude == SCI_DOUBLE_INFINITY || (magnitude == 0 && !is_zero);
    return true;
}

/* MARK: Double to 17 digits, as "%.17g" */

#define SCI_SEVENTEEN_DIGITS 17
/* Enough for 5^340 times 53 bits, and for what that is compared with. */
#define SCI_SEVENTEEN_BIG_WORDS 40
#define SCI_SEVENTEEN_ABOVE UINT64_C(100000000000000000)
/* Below this many digits before the point an integer stands as it is. */
#define SCI_SEVENTEEN_INTEGER 1e17

/* mantissa * 2^two * 10^ten against digits + 1/2 */
static int sci_seventeen_compare_half(uint64_t mantissa, int two, int ten, uint64_t digits)
{
    uint32_t number_words[SCI_SEVENTEEN_BIG_WORDS], half_words[SCI_SEVENTEEN_BIG_WORDS];
    sci_big number, half;
    sci_big_init(&number, number_words, SCI_SEVENTEEN_BIG_WORDS);
    sci_big_init(&half, half_words, SCI_SEVENTEEN_BIG_WORDS);
    sci_big_set(&number, mantissa);
    sci_big_set(&half, 2 * digits + 1);
    if (ten >= 0)
        sci_big_multiply_power_of_five(&number, (unsigned)ten);
    else
        sci_big_multiply_power_of_five(&half, (unsigned)-ten);
    int shift = two + ten + 1;
    if (shift >= 0)
        sci_big_shift(&number, (unsigned)shift);
    else
        sci_big_shift(&half, (unsigned)-shift);
    return sci_big_compare(&number, &half);
}

/* The number times 10^ten, rounded (half to even). */
static uint64_t sci_seventeen_scaled(uint64_t mantissa, int two, int ten)
{
    unsigned zeros = sci_leading_zeros(mantissa);
    uint64_t w = mantissa << zeros;
    sci_u128 power = sci_power_of_ten(ten);
    /* The first 128 bits of the product, too small by less than 2. */
    sci_u128 product = sci_u128_multiply(w, power.high);
    uint64_t more = sci_u128_multiply(w, power.low).high;
    product.low += more;
    product.high += product.low < more;
    unsigned cut = (unsigned)(63 - (two - (int)zeros) - sci_log2_of_power(ten));
    uint64_t digits = sci_u128_shift_right(product, cut).low;
    sci_u128 rest = sci_u128_shift_right(sci_u128_shift_left(product, 128 - cut), 128 - cut);
    sci_u128 half;
    half.high = UINT64_C(1) << (cut - 65);
    half.low = 0;
    int order = sci_u128_compare(rest, half);
    if (order <= 0) {
        rest.low += 2;
        rest.high += rest.low < 2;
        if (sci_u128_compare(rest, half) > 0)
            order = sci_seventeen_compare_half(mantissa, two, ten, digits);
    }
    return digits + (order > 0 || (order == 0 && (digits & 1)));
}

/* 17 digits; the first of them stands for 10^*exponent, which is one more than the estimate where
   there were 18, or where rounding made them 18. */
static uint64_t sci_seventeen_of(uint64_t bits, int *exponent)
{
    int two;
    uint64_t mantissa = sci_double_split(bits, &two);
    *exponent = sci_log10_of_power(two + 63 - (int)sci_leading_zeros(mantissa));
    uint64_t digits = sci_seventeen_scaled(mantissa, two, SCI_SEVENTEEN_DIGITS - 1 - *exponent);
    if (digits < SCI_SEVENTEEN_ABOVE)
        return digits;
    ++*exponent;
    return sci_seventeen_scaled(mantissa, two, SCI_SEVENTEEN_DIGITS - 1 - *exponent);
}

static char *sci_seventeen_put_exponent(char *at, int exponent)
{
    char digits[SCI_I64_TEXT_BYTES];
    int magnitude = exponent < 0 ? -exponent : exponent;
    size_t len = sci_i64_to_text(magnitude, digits);
    *at++ = 'e';
    *at++ = exponent < 0 ? '-' : '+';
    if (magnitude < 10)
        *at++ = '0';
    return sci_text_put(at, digits, len);
}

static char *sci_seventeen_put(char *at, const char *digits, int exponent)
{
    size_t len = SCI_SEVENTEEN_DIGITS;
    while (len > 1 && digits[len - 1] == '0')
        len--;
    if (exponent >= -4 && exponent < SCI_SEVENTEEN_DIGITS)
        return sci_shortest_put(at, digits, len, exponent + 1);
    *at++ = digits[0];
    if (len > 1) {
        *at++ = '.';
        at = sci_text_put(at, digits + 1, len - 1);
    }
    return sci_seventeen_put_exponent(at, exponent);
}

SCI_PRIVATE size_t sci_double_to_text_17(double number, char text[SCI_SEVENTEEN_TEXT_BYTES])
{
    uint64_t bits = sci_double_to_bits(number);
    uint64_t magnitude = bits & ~SCI_DOUBLE_SIGN;
    char *at = text;
    if (bits != magnitude && magnitude <= SCI_DOUBLE_INFINITY)
        *at++ = '-';
    double positive = sci_double_from_bits(magnitude);
    if (magnitude >= SCI_DOUBLE_INFINITY) {
        at = sci_text_put(at, magnitude > SCI_DOUBLE_INFINITY ? "nan" : "inf", 3);
    } else if (positive < SCI_SEVENTEEN_INTEGER && positive == (double)(int64_t)positive) {
        at += sci_i64_to_text((int64_t)positive, at);
    } else {
        int exponent;
        char digits[SCI_I64_TEXT_BYTES];
        (void)sci_u64_to_text(sci_seventeen_of(magnitude, &exponent), digits);
        at = sci_seventeen_put(at, digits, exponent);
    }
    *at = '\0';
    return (size_t)(at - text);
}
