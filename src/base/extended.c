/* 80-bit floating point in integers. */

#include "base/extended.h"

#include "base/binary.h"

#define SCI_EXTENDED_BITS 64
#define SCI_EXTENDED_LEAST_EXPONENT (-16445)
#define SCI_EXTENDED_MOST_EXPONENT 16320
/* Numbers of 10^4933 and more are too large, those below 10^-4952 round to 0. */
#define SCI_EXTENDED_MOST_POINT 4933
#define SCI_EXTENDED_LEAST_POINT (-4952)
/* Bits of a quotient: the mantissa's, the one that decides about rounding, and some more, since the
   first may be 0. */
#define SCI_EXTENDED_QUOTIENT_BITS 67
/* Enough for 5^10071, what 5119 digits after a point and 4952 zeros are divided by, a bit more. */
#define SCI_EXTENDED_BIG_WORDS 736
#define SCI_EXTENDED_DECIMALS 17

/* MARK: More of exact integers */

static void sci_big_set_u128(sci_big *big, sci_u128 value)
{
    sci_big_set(big, value.low);
    for (; value.high > 0 && big->count < 2; big->count++)
        big->words[big->count] = 0;
    for (; value.high > 0; value.high >>= 32)
        big->words[big->count++] = (uint32_t)value.high;
}

/* a - b, which is not below 0. */
static void sci_big_subtract(sci_big *a, const sci_big *b)
{
    uint64_t borrow = 0;
    for (size_t i = 0; i < a->count; i++) {
        uint64_t taken = borrow + (i < b->count ? b->words[i] : 0);
        borrow = a->words[i] < taken;
        a->words[i] = (uint32_t)(a->words[i] - taken);
    }
    sci_assert(borrow == 0);
    while (a->count > 0 && a->words[a->count - 1] == 0)
        a->count--;
}

/* Divide, and return the remainder. */
static uint32_t sci_big_divide(sci_big *big, uint32_t divisor)
{
    uint64_t rest = 0;
    for (size_t i = big->count; i > 0; i--) {
        rest = rest << 32 | big->words[i - 1];
        big->words[i - 1] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
    while (big->count > 0 && big->words[big->count - 1] == 0)
        big->count--;
    return (uint32_t)rest;
}

/* 0 for 0 */
static size_t sci_big_bits(const sci_big *big)
{
    if (big->count == 0)
        return 0;
    return big->count * 32 + 32 - sci_leading_zeros(big->words[big->count - 1]);
}

/* The highest 128 bits, the first of them set; the last one is also set when any bit below is. Not
   for 0. */
static sci_u128 sci_big_top(const sci_big *big)
{
    uint32_t top[5] = {0, 0, 0, 0, 0};
    size_t count = sci_min_size(big->count, SCI_COUNT(top));
    for (size_t i = 0; i < count; i++)
        top[i] = big->words[big->count - 1 - i];
    unsigned zeros = sci_leading_zeros(top[0]) - 32;
    sci_u128 result;
    result.high = (uint64_t)top[0] << 32 | top[1];
    result.low = (uint64_t)top[2] << 32 | top[3];
    result = sci_u128_shift_left(result, zeros);
    uint64_t rest = (uint64_t)top[4] << zeros;
    result.low |= rest >> 32;
    bool is_more = (uint32_t)rest != 0;
    for (size_t i = count; i < big->count && !is_more; i++)
        is_more = big->words[big->count - 1 - i] != 0;
    result.low |= is_more;
    return result;
}

/* MARK: Text to extended */

static sci_extended sci_extended_of(sci_binary binary)
{
    sci_extended result;
    int64_t exponent;
    result.mantissa =
        sci_binary_round(binary, SCI_EXTENDED_BITS, SCI_EXTENDED_LEAST_EXPONENT, &exponent);
    bool is_finite = result.mantissa == 0 || exponent <= SCI_EXTENDED_MOST_EXPONENT;
    result.kind = is_finite ? SCI_EXTENDED_FINITE : SCI_EXTENDED_INFINITE;
    result.exponent = is_finite ? (int)exponent : 0;
    result.is_negative = binary.is_negative;
    return result;
}

/* The quotient's first bits, the last of which is also set when there are more. Both numbers are
   changed. */
static sci_binary sci_extended_divide(sci_big *number, sci_big *divisor)
{
    sci_binary quotient;
    size_t number_bits = sci_big_bits(number), divisor_bits = sci_big_bits(divisor);
    memset(&quotient, 0, sizeof quotient);
    quotient.exponent =
        (int64_t)number_bits - (int64_t)divisor_bits - (SCI_EXTENDED_QUOTIENT_BITS - 1);
    if (number_bits < divisor_bits)
        sci_big_shift(number, (unsigned)(divisor_bits - number_bits));
    else
        sci_big_shift(divisor, (unsigned)(number_bits - divisor_bits));
    for (int i = 0; i < SCI_EXTENDED_QUOTIENT_BITS; i++) {
        quotient.mantissa = sci_u128_shift_left(quotient.mantissa, 1);
        if (sci_big_compare(number, divisor) >= 0) {
            sci_big_subtract(number, divisor);
            quotient.mantissa.low |= 1;
        }
        sci_big_multiply_add(number, 2, 0);
    }
    quotient.mantissa.low |= number->count > 0;
    return quotient;
}

/* A decimal that is not 0, and neither far too large nor too small. */
static sci_binary sci_extended_binary(const sci_decimal *decimal)
{
    uint32_t number_words[SCI_EXTENDED_BIG_WORDS], divisor_words[SCI_EXTENDED_BIG_WORDS];
    sci_big number, divisor;
    sci_binary binary;
    int ten = (int)decimal->exponent;
    sci_big_init(&number, number_words, SCI_EXTENDED_BIG_WORDS);
    sci_big_init(&divisor, divisor_words, SCI_EXTENDED_BIG_WORDS);
    if (decimal->is_cut) {
        unsigned count = sci_decimal_exact_digits(decimal, SCI_EXTENDED_MAX_TEXT, &number);
        ten += SCI_DECIMAL_DIGITS - (int)count;
    } else {
        sci_big_set(&number, decimal->digits);
    }
    if (ten >= 0) {
        sci_big_multiply_power_of_five(&number, (unsigned)ten);
        binary.mantissa = sci_big_top(&number);
        binary.exponent = (int64_t)sci_big_bits(&number) - 128;
    } else {
        sci_big_set(&divisor, 1);
        sci_big_multiply_power_of_five(&divisor, (unsigned)-ten);
        binary = sci_extended_divide(&number, &divisor);
    }
    binary.exponent += ten;
    binary.is_negative = decimal->is_negative;
    return binary;
}

static bool sci_extended_from_decimal(const sci_decimal *decimal, sci_extended *number)
{
    char digits[SCI_I64_TEXT_BYTES];
    memset(number, 0, sizeof *number);
    number->is_negative = decimal->is_negative;
    number->exponent = SCI_EXTENDED_LEAST_EXPONENT;
    if (decimal->digits == 0)
        return true;
    int64_t point = decimal->exponent + (int64_t)sci_u64_to_text(decimal->digits, digits);
    if (point > SCI_EXTENDED_MOST_POINT || point < SCI_EXTENDED_LEAST_POINT)
        return false;
    *number = sci_extended_of(sci_extended_binary(decimal));
    return sci_extended_is_finite(number) && number->mantissa != 0;
}

SCI_PRIVATE bool sci_text_to_extended(sc_slice text, sci_extended *number)
{
    sci_decimal decimal;
    sci_binary binary;
    if (text.len == 0 || text.len > SCI_EXTENDED_MAX_TEXT)
        return false;
    if (sci_decimal_parse(&decimal, text, SCI_DECIMAL_C))
        return sci_extended_from_decimal(&decimal, number);
    if (sci_binary_parse(&binary, text)) {
        *number = sci_extended_of(binary);
        return sci_extended_is_finite(number) &&
               (number->mantissa != 0 || sci_u128_is_zero(binary.mantissa));
    }
    memset(number, 0, sizeof *number);
    number->kind = SCI_EXTENDED_INFINITE;
    return sci_text_is_infinity(text, &number->is_negative);
}

/* MARK: Arithmetic */

static sci_extended sci_extended_add_special(const sci_extended *a, const sci_extended *b)
{
    sci_extended result = sci_extended_is_finite(a) ? *b : *a;
    if (a->kind == SCI_EXTENDED_NAN || b->kind == SCI_EXTENDED_NAN ||
        (a->kind == b->kind && a->is_negative != b->is_negative))
        result.kind = SCI_EXTENDED_NAN;
    return result;
}

SCI_PRIVATE sci_extended sci_extended_add(const sci_extended *a, const sci_extended *b)
{
    /* One bit for the carry, the mantissa, and 63 for what is shifted out. */
    enum { SPARE = 63 };
    if (!sci_extended_is_finite(a) || !sci_extended_is_finite(b))
        return sci_extended_add_special(a, b);
    if (a->exponent < b->exponent) {
        const sci_extended *greater = b;
        b = a;
        a = greater;
    }
    sci_u128 left, right;
    left.high = right.high = 0;
    left.low = a->mantissa;
    right.low = b->mantissa;
    left = sci_u128_shift_left(left, SPARE);
    right = sci_u128_shift_right_sticky(sci_u128_shift_left(right, SPARE),
                                        (unsigned)(a->exponent - b->exponent));
    sci_binary sum;
    sum.exponent = (int64_t)a->exponent - SPARE;
    sum.is_negative = a->is_negative;
    if (a->is_negative == b->is_negative) {
        sum.mantissa = sci_u128_add(left, right);
    } else if (sci_u128_compare(left, right) >= 0) {
        sum.mantissa = sci_u128_subtract(left, right);
    } else {
        sum.mantissa = sci_u128_subtract(right, left);
        sum.is_negative = b->is_negative;
    }
    return sci_extended_of(sum);
}

SCI_PRIVATE sci_extended sci_extended_multiply(const sci_extended *a, uint32_t factor)
{
    if (!sci_extended_is_finite(a))
        return *a;
    sci_binary product;
    product.mantissa = sci_u128_multiply(a->mantissa, factor);
    product.exponent = a->exponent;
    product.is_negative = a->is_negative;
    return sci_extended_of(product);
}

SCI_PRIVATE int64_t sci_extended_ceiling(const sci_extended *number)
{
    uint64_t whole = number->mantissa;
    bool has_fraction = false;
    if (number->mantissa != 0 && number->exponent < 0) {
        unsigned cut = (unsigned)-number->exponent;
        whole = cut < 64 ? number->mantissa >> cut : 0;
        has_fraction = cut >= 64 || whole << cut != number->mantissa;
    }
    bool is_too_large = number->kind == SCI_EXTENDED_INFINITE ||
                        (number->mantissa != 0 && number->exponent > 0) || whole > INT64_MAX;
    if (number->is_negative)
        return is_too_large ? INT64_MIN : -(int64_t)whole;
    if (is_too_large || (has_fraction && whole == INT64_MAX))
        return INT64_MAX;
    return (int64_t)whole + has_fraction;
}

/* MARK: Extended to text */

/* |number| * 10^17, rounded to an integer. */
static void sci_extended_scale(const sci_extended *number, sci_big *scaled)
{
    int two = number->exponent + SCI_EXTENDED_DECIMALS;
    sci_u128 product =
        sci_u128_multiply(number->mantissa, sci_power_of_five(SCI_EXTENDED_DECIMALS));
    if (two < 0)
        product = sci_u128_round(product, (unsigned)-two);
    sci_big_set_u128(scaled, product);
    if (two > 0)
        sci_big_shift(scaled, (unsigned)two);
}

/* Decimal digits, nine at a time from the last; returns where they begin. */
static char *sci_extended_put_digits(sci_big *number, char *end)
{
    char *at = end;
    while (number->count > 0) {
        uint32_t nine = sci_big_divide(number, UINT32_C(1000000000));
        for (int i = 0; i < 9; i++, nine /= 10)
            *--at = (char)('0' + nine % 10);
    }
    while (end - at > SCI_EXTENDED_DECIMALS + 1 && *at == '0')
        at++;
    while (end - at < SCI_EXTENDED_DECIMALS + 1)
        *--at = '0';
    return at;
}

SCI_PRIVATE size_t sci_extended_to_text(const sci_extended *number,
                                        char text[SCI_EXTENDED_TEXT_BYTES])
{
    uint32_t words[SCI_EXTENDED_BIG_WORDS];
    char digits[SCI_EXTENDED_TEXT_BYTES + 9];
    sci_big scaled;
    char *end = digits + sizeof digits;
    sci_assert(sci_extended_is_finite(number));
    sci_big_init(&scaled, words, SCI_EXTENDED_BIG_WORDS);
    sci_extended_scale(number, &scaled);
    bool is_zero = scaled.count == 0;
    const char *first = sci_extended_put_digits(&scaled, end);
    const char *point = end - SCI_EXTENDED_DECIMALS;
    const char *last = end;
    while (last > point && last[-1] == '0')
        last--;
    char *at = text;
    if (number->is_negative && !is_zero)
        *at++ = '-';
    memcpy(at, first, (size_t)(point - first));
    at += point - first;
    if (last > point) {
        *at++ = '.';
        memcpy(at, point, (size_t)(last - point));
        at += last - point;
    }
    *at = '\0';
    return (size_t)(at - text);
}
