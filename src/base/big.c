/* Exact integers. */

#include "base/big.h"

/* 5^0 to 5^13. */
static const uint32_t sci_five_table[] = {1,       5,        25,        125,       625,
                                          3125,    15625,    78125,     390625,    1953125,
                                          9765625, 48828125, 244140625, 1220703125};

SCI_PRIVATE uint64_t sci_power_of_five(unsigned power)
{
    if (power < 14)
        return sci_five_table[power];
    return sci_five_table[power - 14] * UINT64_C(6103515625);
}

SCI_PRIVATE void sci_big_init(sci_big *big, uint32_t *words, size_t cap)
{
    big->count = 0;
    big->cap = cap;
    big->words = words;
}

SCI_PRIVATE void sci_big_multiply_add(sci_big *big, uint32_t factor, uint32_t addend)
{
    uint64_t carry = addend;
    for (size_t i = 0; i < big->count; i++) {
        carry += (uint64_t)big->words[i] * factor;
        big->words[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry > 0) {
        sci_assert(big->count < big->cap);
        big->words[big->count++] = (uint32_t)carry;
    }
}

SCI_PRIVATE void sci_big_set(sci_big *big, uint64_t value)
{
    big->count = 0;
    for (; value > 0; value >>= 32)
        big->words[big->count++] = (uint32_t)value;
}

SCI_PRIVATE void sci_big_multiply_power_of_five(sci_big *big, unsigned power)
{
    for (; power >= 13; power -= 13)
        sci_big_multiply_add(big, sci_five_table[13], 0);
    sci_big_multiply_add(big, sci_five_table[power], 0);
}

SCI_PRIVATE void sci_big_shift(sci_big *big, unsigned bits)
{
    size_t words = bits / 32;
    sci_big_multiply_add(big, UINT32_C(1) << bits % 32, 0);
    if (words == 0 || big->count == 0)
        return;
    sci_assert(big->count + words <= big->cap);
    memmove(big->words + words, big->words, big->count * sizeof big->words[0]);
    memset(big->words, 0, words * sizeof big->words[0]);
    big->count += words;
}

SCI_PRIVATE int sci_big_compare(const sci_big *a, const sci_big *b)
{
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    for (size_t i = a->count; i > 0; i--) {
        if (a->words[i - 1] != b->words[i - 1])
            return a->words[i - 1] < b->words[i - 1] ? -1 : 1;
    }
    return 0;
}
