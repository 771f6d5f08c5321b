/* Decimal numbers as text has them, in parts. */

#include "base/double.h"

SCI_PRIVATE const char *sci_number_parse_sign(const char *at, const char *end, bool *is_negative)
{
    *is_negative = at < end && *at == '-';
    return at < end && (*at == '-' || *at == '+') ? at + 1 : at;
}

/* An exponent's absolute value is cut here: far outside every double, and far from overflow even
   when a text of the greatest length is added. */
#define SCI_DECIMAL_EXPONENT_CUT (INT64_MAX / 4)

SCI_PRIVATE const char *sci_number_parse_exponent(const char *at, const char *end,
                                                  int64_t *exponent)
{
    bool is_negative;
    at = sci_number_parse_sign(at, end, &is_negative);
    if (at == end || !sci_is_digit(*at))
        return NULL;
    int64_t value = 0;
    for (; at < end && sci_is_digit(*at); at++) {
        if (value < SCI_DECIMAL_EXPONENT_CUT / 10)
            value = value * 10 + (*at - '0');
    }
    *exponent += is_negative ? -value : value;
    return at;
}

/* Take the digits at `at`; `point` is 1 for those after the point. Returns the end. */
static const char *sci_decimal_parse_digits(sci_decimal *decimal, const char *at, const char *end,
                                            int point, unsigned *count)
{
    for (; at < end && sci_is_digit(*at); at++) {
        unsigned digit = (unsigned)(*at - '0');
        if (*count == 0 && digit > 0)
            decimal->significant.data = at;
        if (*count < SCI_DECIMAL_DIGITS) {
            decimal->digits = decimal->digits * 10 + digit;
            decimal->exponent -= point;
            *count += decimal->digits > 0;
        } else {
            decimal->exponent += 1 - point;
            decimal->is_cut = decimal->is_cut || digit > 0;
        }
    }
    return at;
}

/* A sign, digits, and a point with digits. Returns the end, NULL when it is none of that. */
static const char *sci_decimal_parse_mantissa(sci_decimal *decimal, const char *at, const char *end,
                                              sci_decimal_rules rules)
{
    bool is_json = rules == SCI_DECIMAL_JSON;
    unsigned count = 0;
    if (is_json && at < end && *at == '+')
        return NULL;
    at = sci_number_parse_sign(at, end, &decimal->is_negative);
    const char *whole = at;
    at = sci_decimal_parse_digits(decimal, at, end, 0, &count);
    size_t whole_digits = (size_t)(at - whole), fraction_digits = 0;
    if (is_json && (whole_digits == 0 || (whole_digits > 1 && *whole == '0')))
        return NULL;
    if (at < end && *at == '.') {
        const char *fraction = ++at;
        at = sci_decimal_parse_digits(decimal, at, end, 1, &count);
        fraction_digits = (size_t)(at - fraction);
        if (is_json && fraction_digits == 0)
            return NULL;
    }
    if (whole_digits + fraction_digits == 0)
        return NULL;
    if (decimal->significant.data)
        decimal->significant.len = (size_t)(at - decimal->significant.data);
    return at;
}

SCI_PRIVATE bool sci_decimal_parse(sci_decimal *decimal, sc_slice text, sci_decimal_rules rules)
{
    const char *end = text.data + text.len;
    memset(decimal, 0, sizeof *decimal);
    const char *at = sci_decimal_parse_mantissa(decimal, text.data, end, rules);
    if (at && at < end && (*at == 'e' || *at == 'E'))
        at = sci_number_parse_exponent(at + 1, end, &decimal->exponent);
    return at && at == end;
}

SCI_PRIVATE unsigned sci_decimal_exact_digits(const sci_decimal *decimal, size_t most, sci_big *big)
{
    unsigned count = 0;
    bool is_more = false;
    uint32_t chunk = 0, scale = 1;
    sci_big_set(big, 0);
    for (size_t i = 0; i < decimal->significant.len && !is_more; i++) {
        char c = decimal->significant.data[i];
        if (c == '.')
            continue;
        if (count == most) {
            is_more = c != '0';
            continue;
        }
        chunk = chunk * 10 + (uint32_t)(c - '0');
        scale *= 10;
        count++;
        if (scale == 1000000000) {
            sci_big_multiply_add(big, scale, chunk);
            chunk = 0;
            scale = 1;
        }
    }
    sci_big_multiply_add(big, scale, chunk);
    if (is_more) {
        sci_big_multiply_add(big, 10, 1);
        count++;
    }
    return count;
}
