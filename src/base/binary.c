/* Numbers as wide integers times powers of two. */

#include "base/binary.h"

SCI_PRIVATE sci_u128 sci_u128_round(sci_u128 value, unsigned bits)
{
    sci_u128 rounded, rest, half;
    rounded.high = rounded.low = half.low = 0;
    half.high = UINT64_C(1) << 63;
    rest = value;
    if (bits == 0)
        return value;
    if (bits > 128)
        return rounded;
    if (bits < 128) {
        rounded = sci_u128_shift_right(value, bits);
        rest = sci_u128_shift_left(value, 128 - bits);
    }
    int order = sci_u128_compare(rest, half);
    if (order > 0 || (order == 0 && (rounded.low & 1))) {
        rounded.low++;
        rounded.high += rounded.low == 0;
    }
    return rounded;
}

/* Digits at `at`; what is below the mantissa's bits only sets the last of them. Returns the end. */
static const char *sci_binary_parse_digits(sci_binary *binary, const char *at, const char *end,
                                           int point)
{
    for (; at < end && sci_hex_digit(*at) >= 0; at++) {
        uint64_t digit = (uint64_t)sci_hex_digit(*at);
        if (binary->mantissa.high >> 60 == 0) {
            binary->mantissa = sci_u128_shift_left(binary->mantissa, 4);
            binary->mantissa.low |= digit;
            binary->exponent -= 4 * point;
        } else {
            binary->exponent += 4 - 4 * point;
            binary->mantissa.low |= digit > 0;
        }
    }
    return at;
}

SCI_PRIVATE bool sci_binary_parse(sci_binary *binary, sc_slice text)
{
    const char *end = text.data + text.len;
    memset(binary, 0, sizeof *binary);
    const char *at = sci_number_parse_sign(text.data, end, &binary->is_negative);
    if (end - at < 3 || at[0] != '0' || (at[1] != 'x' && at[1] != 'X'))
        return false;
    const char *whole = at + 2;
    at = sci_binary_parse_digits(binary, whole, end, 0);
    size_t digits = (size_t)(at - whole);
    if (at < end && *at == '.') {
        const char *fraction = ++at;
        at = sci_binary_parse_digits(binary, at, end, 1);
        digits += (size_t)(at - fraction);
    }
    if (digits == 0)
        return false;
    if (at < end && (*at == 'p' || *at == 'P'))
        at = sci_number_parse_exponent(at + 1, end, &binary->exponent);
    return at && at == end;
}

SCI_PRIVATE uint64_t sci_binary_round(sci_binary binary, unsigned bits, int64_t least,
                                      int64_t *exponent)
{
    sci_u128 m = binary.mantissa;
    *exponent = least;
    if (sci_u128_is_zero(m))
        return 0;
    unsigned zeros = m.high ? sci_leading_zeros(m.high) : 64 + sci_leading_zeros(m.low);
    unsigned cut = 128 - bits;
    int64_t unit = binary.exponent - (int64_t)zeros + cut;
    if (unit < least)
        cut += (unsigned)sci_min_i64(least - unit, 128);
    else
        *exponent = unit;
    m = sci_u128_round(sci_u128_shift_left(m, zeros), cut);
    if (m.high > 0 || (bits < 64 && m.low >> bits > 0)) {
        m.low = UINT64_C(1) << (bits - 1);
        ++*exponent;
    }
    return m.low;
}

SCI_PRIVATE bool sci_text_is_infinity(sc_slice text, bool *is_negative)
{
    static const char name[] = "infinity";
    const char *end = text.data + text.len;
    const char *at = sci_number_parse_sign(text.data, end, is_negative);
    size_t len = (size_t)(end - at);
    if (len != 3 && len != sizeof name - 1)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((at[i] | 0x20) != name[i])
            return false;
    return true;
}
