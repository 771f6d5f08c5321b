/* Integers from and to text. */

#include "base/number.h"

SCI_PRIVATE size_t sci_u64_to_text(uint64_t number, char text[SCI_I64_TEXT_BYTES])
{
    char digits[SCI_I64_TEXT_BYTES];
    size_t at = sizeof digits;
    while (number > UINT32_MAX) {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    }
    /* 32-bit machines divide these much faster. */
    uint32_t rest = (uint32_t)number;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    size_t len = sizeof digits - at;
    memcpy(text, digits + at, len);
    text[len] = '\0';
    return len;
}

SCI_PRIVATE size_t sci_i64_to_text(int64_t number, char text[SCI_I64_TEXT_BYTES])
{
    if (number >= 0)
        return sci_u64_to_text((uint64_t)number, text);
    text[0] = '-';
    /* 19 digits at most, so the NUL after them fits. */
    char digits[SCI_I64_TEXT_BYTES];
    size_t len = sci_u64_to_text(0 - (uint64_t)number, digits);
    memcpy(text + 1, digits, len + 1);
    return len + 1;
}

SCI_PRIVATE bool sci_text_to_i64(sc_slice text, int64_t *number)
{
    size_t at = 0;
    bool is_negative = text.len > 0 && text.data[0] == '-';
    if (is_negative)
        at++;
    size_t digits = text.len - at;
    if (digits == 0 || digits > 19)
        return false;
    if (text.data[at] == '0' && (digits > 1 || is_negative))
        return false;
    /* 19 digits cannot overflow 64 bits without a sign. */
    uint64_t magnitude = 0;
    for (; at < text.len; at++) {
        if (!sci_is_digit(text.data[at]))
            return false;
        magnitude = magnitude * 10 + (uint64_t)(text.data[at] - '0');
    }
    if (magnitude > (uint64_t)INT64_MAX + is_negative)
        return false;
    if (!is_negative)
        *number = (int64_t)magnitude;
    else
        *number = -(int64_t)(magnitude - 1) - 1;
    return true;
}
