/* SHA-1 on the examples of its standard and around the sizes of its blocks. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MILLION 1000000

static void check(sc_slice bytes, const char *expected)
{
    char hex[SCI_SHA1_HEX_BYTES];
    sci_sha1(bytes, hex);
    assert_string_equal(hex, expected);
}

/* `count` letters in a block of exactly that size, so that a sanitizer sees a byte too many. */
static void check_letters(size_t count, const char *expected)
{
    char *letters = (char *)malloc(count);
    assert_true(letters || count == 0);
    for (size_t i = 0; i < count; i++)
        letters[i] = 'a';
    check(sc_bytes(letters, count), expected);
    free(letters);
}

static void the_examples_of_the_standard_come_out(void **state)
{
    (void)state;
    check(sc_text("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    check(sc_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
          "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    check_letters(MILLION, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

/* Expected values: sha1sum of GNU coreutils. */
static void padding_is_right_around_the_ends_of_blocks(void **state)
{
    (void)state;
    static const struct {
        size_t count;
        const char *expected;
    } cases[] = {
        {0, "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {1, "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"},
        {55, "c1c8bbdc22796e28c0e15163d20899b65621d65a"},
        {56, "c2db330f6083854c99d4b5bfb6e8f29f201be699"},
        {57, "f08f24908d682555111be7ff6f004e78283d989a"},
        {63, "03f09f5b158a7a8cdad920bddc29b81c18a551f5"},
        {64, "0098ba824b5c16427bd7a1122a5a442a25ec644d"},
        {65, "11655326c708d70319be2610e8a57d9a5b959d3b"},
        {119, "ee971065aaa017e0632a8ca6c77bb3bf8b1dfc56"},
        {120, "f34c1488385346a55709ba056ddd08280dd4c6d6"},
        {121, "fa6b5a6f8ac27182f838fe7841ec6d2aef3ade29"},
        {128, "ad5b3fdbcb526778c2839d2f151ea753995e26a0"},
    };
    for (size_t i = 0; i < SCI_COUNT(cases); i++)
        check_letters(cases[i].count, cases[i].expected);
}

static void bytes_above_127_and_nul_count(void **state)
{
    (void)state;
    check(sc_bytes("\0\xff\x80", 3), "e4bc8a01806054986edd720593bc12f760eca5b9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_standard_come_out),
        cmocka_unit_test(padding_is_right_around_the_ends_of_blocks),
        cmocka_unit_test(bytes_above_127_and_nul_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
