/* Numbers from and to text: against libc, which is slow but trusted, and on the cases that are
   known to be hard. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Fewer where an emulator runs them. */
#ifndef RANDOM_DOUBLES
#define RANDOM_DOUBLES 1000000
#endif
#ifndef RANDOM_TEXTS
#define RANDOM_TEXTS 500000
#endif

/* xorshift64* (S. Vigna, 2016): the same numbers in every run. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static uint64_t bits_of(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

static double double_of(uint64_t bits)
{
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static void check_parse_like_libc(const char *text)
{
    double number = 0;
    if (!sci_text_to_double(sc_text(text), &number))
        fail_msg("\"%s\" was refused", text);
    double expected = strtod(text, NULL);
    if (bits_of(number) != bits_of(expected))
        fail_msg("\"%s\" gave %.17g, not %.17g", text, number, expected);
}

/* --- integers */

static void integers_are_written_as_printf_writes_them(void **state)
{
    (void)state;
    static const int64_t cases[] = {0,
                                    1,
                                    -1,
                                    9,
                                    10,
                                    -10,
                                    99,
                                    100,
                                    INT32_MAX,
                                    INT32_MIN,
                                    INT64_MAX,
                                    INT64_MIN,
                                    INT64_MIN + 1,
                                    UINT32_MAX,
                                    4294967296,
                                    999999999,
                                    1000000000,
                                    -999999999999999999};
    uint64_t seed = 7;
    for (size_t i = 0; i < 20000; i++) {
        int64_t number = i < sizeof cases / sizeof cases[0]
                             ? cases[i]
                             : (int64_t)(next_random(&seed) >> (next_random(&seed) % 64));
        char expected[32];
        char text[SCI_I64_TEXT_BYTES];
        size_t len = sci_i64_to_text(number, text);
        assert_int_equal(len, snprintf(expected, sizeof expected, "%lld", (long long)number));
        assert_string_equal(text, expected);
        int64_t back = ~number;
        assert_true(sci_text_to_i64(sc_text(text), &back));
        assert_true(back == number);
    }
    char text[SCI_I64_TEXT_BYTES];
    assert_int_equal(sci_u64_to_text(UINT64_MAX, text), 20);
    assert_string_equal(text, "18446744073709551615");
}

static void what_is_no_canonical_integer_is_refused(void **state)
{
    (void)state;
    static const char *const refused[] = {"",
                                          "-",
                                          "+1",
                                          "-0",
                                          "00",
                                          "01",
                                          "-01",
                                          "1 ",
                                          " 1",
                                          "1.0",
                                          "1e3",
                                          "0x1",
                                          "a",
                                          "--1",
                                          "1-",
                                          "9223372036854775808",
                                          "-9223372036854775809",
                                          "18446744073709551616",
                                          "99999999999999999999",
                                          "10000000000000000000000000000000000000000"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        int64_t number = 42;
        if (sci_text_to_i64(sc_text(refused[i]), &number))
            fail_msg("\"%s\" was taken", refused[i]);
        assert_true(number == 42);
    }
    int64_t number = 0;
    assert_false(sci_text_to_i64(sc_bytes(NULL, 0), &number));
    assert_false(sci_text_to_i64(sc_bytes("1\0", 2), &number));
    assert_true(sci_text_to_i64(sc_text("-9223372036854775808"), &number));
    assert_true(number == INT64_MIN);
}

/* --- text to double */

static void known_hard_texts_are_read_correctly_rounded(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0", "-0", "0.0", "0e0", "0e999999999999999999999", "-0.000e-5", "1", "-1", "0.1", "123456",
        "1e22", "1e23", "1e-22", "1e-23", "9007199254740991", "9007199254740992",
        "9007199254740993", "9007199254740994", "9007199254740995", "9007199254740993.0000000001",
        "9007199254740992.9999999999", "18014398509481989", "1e308", "1.7976931348623157e308",
        /* halfway between the greatest double and infinity, and its neighbours */
        "1.7976931348623158e308", "1.7976931348623159e308",
        "179769313486231580793728971405303415e273", "179769313486231580793728971405303416e273",
        "1e309", "-1e309", "1e400", "1e999999999999999999", "1e-999999999999999999",
        "12345678901234567890e-400",
        /* the least subnormal, half of it, and the edge to normal numbers */
        "5e-324", "4.9406564584124654e-324", "2.4703282292062327e-324", "2.4703282292062328e-324",
        "2.47032822920623272e-324", "3e-324", "2e-324", "1e-323", "2.2250738585072011e-308",
        "2.2250738585072012e-308", "2.2250738585072014e-308",
        "2.225073858507201136057409796709131975"
        "934819546351645648023426109724822222021076945516529523908135087914149158913039621106870086"
        "43"
        "869459464552765720740782062174337998814106326732925355228688137214901298112245145188984905"
        "72"
        "223072852551331557550159143974763979834118019993239625482890171070818506906306666559949382"
        "75"
        "772572015763062690663332647565300009245888316433037779791869612049497390377829704905051080"
        "60"
        "994073026293712895895000358379996720725430436028407889577179615094551674824347103070260914"
        "46"
        "215722898802581825451803257070188608721131280795122334262883686223215037756666225039825343"
        "35"
        "974568884423900265498198385487948292206894721689831099698365846814022854243330660339850886"
        "44"
        "580400103493397042756718644338377048603786162277173854562306587467901408672332763671875123"
        "4567"
        "890123456789012345678901e-308",
        /* from the papers and test suites on the matter */
        "6929495644600919.5", "3.2378839133029012895883524125015321748630094485e-16",
        "8."
        "988465674311580536566680721305029496276241413130815897397134275615404541548669375241369800"
        "60240969e307",
        "0.000000000000000000000000000000000000000000000000000000000000000000000000123",
        "1.00000000000000011102230246251565404236316680908203125",
        "1.00000000000000011102230246251565404236316680908203124",
        "1.00000000000000011102230246251565404236316680908203126",
        "1.00000000000000033306690738754696212708950042724609375", "8.10109172351e-10",
        "1090544144181609348671888949248", "1090544144181609348835077142190",
        "7.0420557077594588669468784"
        "357561207962098443483187940792729600000e59",
        "1.2345678901234567890123456789012345678901e-290", "1e-324", "9.5e-323",
        "6.631236846766476e-316", "3.237883913302901e-319", "4.8726570057e288",
        "65613616999999977120e-20", "2.480887557e-307", "1448997445238699", "459926601011.15e13",
        "5.0216813883093451685872615018317e271", "31e19",
        "9355950000000000000.00"
        "000000000000000000000000000000001844674407370955161600000184467440737095516161844674407370"
        "955"
        "161407370955161618446744073709551616000184467440737095516166000001844674407370955161618446"
        "744"
        "073709551614073709551616184467440737095516160001844674407370955161601844674407370955674451"
        "616"
        "184467440737095516140737095516161844674407370955161600018446744073709551616018446744073709"
        "5"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        check_parse_like_libc(texts[i]);
}

static void check_parsed_as(const char *text, double expected)
{
    double number = 0;
    assert_true(sci_text_to_double(sc_text(text), &number));
    if (bits_of(number) != bits_of(expected))
        fail_msg("%.40s... was read as %a, not %a", text, number, expected);
}

/* Exact decimal digits of what lies halfway between random doubles: the nearest, and a trace above
   and below. */
static void halfway_cases_round_to_even_and_a_trace_decides(void **state)
{
    (void)state;
    uint64_t seed = 11;
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = next_random(&seed) >> 1;
        if (i % 4 == 0)
            bits %= UINT64_C(1) << 53; /* subnormal and the least normal ones */
        if (i % 4 == 1)
            bits = (UINT64_C(1) << 52) * (1023 + bits % 70) +
                   bits % 1024; /* small integers and such */
        if (bits >= UINT64_C(0x7fe) << 52)
            continue;
        double lower = double_of(bits);
        double upper = double_of(bits + 1);
        /* Exact where long double is wider than double; elsewhere the hard texts must do. */
        long double middle = ((long double)lower + (long double)upper) / 2;
        if (middle == (long double)lower || middle == (long double)upper)
            continue;
        char text[1200];
        int len = snprintf(text, sizeof text - 8, "%.1100Le", middle);
        assert_true(len > 0 && len < (int)sizeof text - 8);
        check_parsed_as(text, bits % 2 == 0 ? lower : upper);

        char *exponent = strchr(text, 'e');
        char tail[8];
        memcpy(tail, exponent, strlen(exponent) + 1);
        /* a 1 behind all the zeros */
        *exponent = '1';
        memcpy(exponent + 1, tail, strlen(tail) + 1);
        check_parsed_as(text, upper);
        /* the last digit one less, and nines behind it */
        char *last = exponent - 1;
        while (*last == '0' || *last == '.')
            last--;
        (*last)--;
        for (char *c = last + 1; c <= exponent; c++)
            *c = *c == '.' ? '.' : '9';
        check_parsed_as(text, lower);
    }
}

static void random_digits_are_read_as_libc_reads_them(void **state)
{
    (void)state;
    uint64_t seed = 13;
    for (int i = 0; i < RANDOM_TEXTS; i++) {
        char text[64];
        size_t len = 0;
        unsigned digits = 1 + (unsigned)(next_random(&seed) % 24);
        unsigned point = (unsigned)(next_random(&seed) % 32);
        if (next_random(&seed) % 2)
            text[len++] = '-';
        for (unsigned d = 0; d < digits; d++) {
            if (d > 0 && d == point)
                text[len++] = '.';
            unsigned digit = (unsigned)(next_random(&seed) % 10);
            if (d == 0 && digit == 0 && digits > 1 && point != 1)
                digit = 1; /* no leading zero */
            text[len++] = (char)('0' + digit);
        }
        int spread = next_random(&seed) % 2 ? 700 : 60;
        int exponent = (int)(next_random(&seed) % (unsigned)spread) - spread / 2;
        (void)snprintf(text + len, sizeof text - len, "e%d", exponent);
        check_parse_like_libc(text);
    }
}

static void every_power_of_ten_is_read_correctly(void **state)
{
    (void)state;
    for (int power = -400; power <= 400; power++) {
        static const char *const mantissas[] = {
            "1", "9", "9999999999999999999", "18446744073709551615", "5", "1234567890123456789"};
        for (size_t i = 0; i < sizeof mantissas / sizeof mantissas[0]; i++) {
            char text[64];
            (void)snprintf(text, sizeof text, "%se%+d", mantissas[i], power);
            check_parse_like_libc(text);
        }
    }
}

static void long_texts_keep_their_value(void **state)
{
    (void)state;
    enum { ZEROS = 100000 };
    char *text = (char *)malloc(ZEROS + 64);
    double number;
    assert_non_null(text);
    /* 0.000...01e100001 = 1 */
    memset(text, '0', ZEROS + 2);
    text[1] = '.';
    (void)snprintf(text + ZEROS + 2, 62, "1e%d", ZEROS + 1);
    assert_true(sci_text_to_double(sc_text(text), &number));
    assert_true(bits_of(number) == bits_of(1));
    /* 1000...0e-100000 = 1 */
    memset(text, '0', ZEROS + 1);
    text[0] = '1';
    (void)snprintf(text + ZEROS + 1, 62, "e-%d", ZEROS);
    assert_true(sci_text_to_double(sc_text(text), &number));
    assert_true(bits_of(number) == bits_of(1));
    /* 2^53 + 1, then a 1 far behind the point: a trace above halfway */
    int len = snprintf(text, ZEROS, "9007199254740993.");
    memset(text + len, '0', ZEROS - 100);
    (void)snprintf(text + len + ZEROS - 100, 8, "1");
    assert_true(sci_text_to_double(sc_text(text), &number));
    assert_true(bits_of(number) == bits_of(9007199254740994.0));
    text[len + ZEROS - 100] = '0';
    assert_true(sci_text_to_double(sc_text(text), &number));
    assert_true(bits_of(number) == bits_of(9007199254740992.0));
    free(text);
}

static void what_is_no_json_number_is_refused(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "",      "-",   "+1",   ".5",  "1.",       "1.e5",  "01",    "-01", "00",
        "1e",    "1e+", "1e-",  "e5",  "1 ",       " 1",    "0x10",  "1,5", "1.5.5",
        "1e5.5", "--1", "INF",  "NaN", "Infinity", "infin", "-",     "1f",  "nan(1)",
        "+inf",  "- 1", "1e 5", "1_0", "-.5",      "1-",    "1e5e5", "-e1", "--inf"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        double number = 42;
        if (sci_text_to_double(sc_text(refused[i]), &number))
            fail_msg("\"%s\" was taken", refused[i]);
        assert_true(bits_of(number) == bits_of(42));
    }
    double number;
    assert_false(sci_text_to_double(sc_bytes("1\0", 2), &number));
    /* the byte after the slice must not be read */
    assert_true(sci_text_to_double(sc_bytes("125", 2), &number));
    assert_true(bits_of(number) == bits_of(12));
}

static void redis_words_for_special_numbers_are_read(void **state)
{
    (void)state;
    double number;
    assert_true(sci_text_to_double(sc_text("inf"), &number));
    assert_true(isinf(number) && number > 0);
    assert_true(sci_text_to_double(sc_text("-inf"), &number));
    assert_true(isinf(number) && number < 0);
    assert_true(sci_text_to_double(sc_text("nan"), &number));
    assert_true(isnan(number));
    assert_true(sci_text_to_double(sc_text("-nan"), &number));
    assert_true(isnan(number));
}

/* Both directions stand on these. The digest is FNV-1a's, word by word, over floor(10^power * 2^n)
   with n so that it has 128 bits; computed elsewhere, in integers of any size. */
static void all_powers_of_ten_are_exact_to_128_bits(void **state)
{
    (void)state;
    uint64_t digest = UINT64_C(0xcbf29ce484222325);
    for (int power = SCI_POWER_MIN; power <= SCI_POWER_MAX; power++) {
        sci_u128 ten = sci_power_of_ten(power);
        digest = (digest ^ ten.high) * UINT64_C(0x100000001b3);
        digest = (digest ^ ten.low) * UINT64_C(0x100000001b3);
    }
    assert_true(digest == UINT64_C(0xb6e03b8e279d31d2));
}

/* --- double to text */

static void check_text(double number, const char *expected)
{
    char text[SCI_DOUBLE_TEXT_BYTES];
    size_t len = sci_double_to_text(number, text);
    assert_string_equal(text, expected);
    assert_int_equal(len, strlen(expected));
}

/* What node prints for each. */
static void numbers_look_as_javascript_prints_them(void **state)
{
    (void)state;
    check_text(0, "0");
    check_text(double_of(UINT64_C(1) << 63), "0");
    check_text(1, "1");
    check_text(-1, "-1");
    check_text(0.5, "0.5");
    check_text(-0.5, "-0.5");
    check_text(1.5, "1.5");
    check_text(0.1, "0.1");
    check_text(0.1 + 0.2, "0.30000000000000004");
    check_text(1.0 / 3, "0.3333333333333333");
    check_text(100, "100");
    check_text(123456789, "123456789");
    check_text(123456789.125, "123456789.125");
    check_text(1e20, "100000000000000000000");
    check_text(123456789012345680000.0, "123456789012345680000");
    check_text(1e21, "1e+21");
    check_text(1.5e21, "1.5e+21");
    check_text(-1.2345e+25, "-1.2345e+25");
    check_text(999999999999999900000.0, "999999999999999900000");
    check_text(1e-5, "0.00001");
    check_text(1e-6, "0.000001");
    check_text(1.5e-6, "0.0000015");
    check_text(1e-7, "1e-7");
    check_text(1.25e-7, "1.25e-7");
    check_text(-1.5e-10, "-1.5e-10");
    check_text(9007199254740991.0, "9007199254740991");
    check_text(9007199254740992.0, "9007199254740992");
    check_text(9007199254740994.0, "9007199254740994");
    check_text(5e-324, "5e-324");
    check_text(2.2250738585072014e-308, "2.2250738585072014e-308");
    check_text(1.7976931348623157e308, "1.7976931348623157e+308");
    check_text(-1.7976931348623157e308, "-1.7976931348623157e+308");
    check_text(-1.2345678901234567e-6, "-0.0000012345678901234567");
    check_text(2e-44, "2e-44");
    check_text(9.109383632044565e-31, "9.109383632044565e-31");
    check_text(5.684341886080801e-14,
               "5.684341886080801e-14"); /* 2^-44: the interval is lopsided */
    check_text(9007199254740993e3, "9007199254740993000");
    check_text(1.0 / 0.0, "Infinity");
    check_text(-1.0 / 0.0, "-Infinity");
    check_text(nan(""), "NaN");
}

/* Number of significant digits in a text of ours. */
static int digits_in(const char *text)
{
    int count = 0, zeros = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9')
            continue;
        if (*text == '0') {
            zeros += count > 0;
        } else {
            count += zeros + 1;
            zeros = 0;
        }
    }
    return count;
}

/* The digits alone, from the first that is not 0. */
static void copy_digits(char *digits, const char *text)
{
    size_t len = 0;
    for (; *text && *text != 'e'; text++) {
        if ((*text >= '1' && *text <= '9') || (*text == '0' && len > 0))
            digits[len++] = *text;
    }
    digits[len] = '\0';
}

/* True when no text with `digits` digits is read as `number`: neither the nearest of that length
   nor its neighbours. */
static bool nothing_shorter_works(double number, int digits)
{
    char text[40];
    if (digits == 0)
        return true;
    (void)snprintf(text, sizeof text, "%.*e", digits - 1, number);
    return bits_of(strtod(text, NULL)) != bits_of(number);
}

static void check_round_trip(uint64_t bits)
{
    double number = double_of(bits);
    char text[SCI_DOUBLE_TEXT_BYTES];
    char nearest[40];
    if (isnan(number) || isinf(number) || bits << 1 == 0)
        return;
    size_t len = sci_double_to_text(number, text);
    double back = 0;
    if (len != strlen(text) || bits_of(strtod(text, NULL)) != bits)
        fail_msg("%a was written as \"%s\", which libc reads as another", number, text);
    if (!sci_text_to_double(sc_bytes(text, len), &back) || bits_of(back) != bits)
        fail_msg("%a was written as \"%s\" and read back as %a", number, text, back);
    int digits = digits_in(text);
    if (!nothing_shorter_works(number, digits - 1))
        fail_msg("%a has a shorter form than \"%s\"", number, text);
    /* Of the texts with that many digits, the nearest. At a power of two the nearest may lie
       outside of what rounds to the number. */
    (void)snprintf(nearest, sizeof nearest, "%.*e", digits - 1, number);
    if (bits_of(strtod(nearest, NULL)) == bits && digits_in(nearest) == digits) {
        char ours[40], theirs[40];
        copy_digits(ours, text);
        copy_digits(theirs, nearest);
        if (memcmp(ours, theirs, (size_t)digits) != 0)
            fail_msg("%a was written as \"%s\", but \"%s\" is nearer", number, text, nearest);
    }
}

static void random_doubles_come_back_from_their_shortest_text(void **state)
{
    (void)state;
    uint64_t seed = 17;
    for (int i = 0; i < RANDOM_DOUBLES / 2; i++)
        check_round_trip(next_random(&seed));
    /* what programs hold: few digits, few decimals */
    for (int i = 0; i < RANDOM_DOUBLES / 2; i++) {
        double number = (double)(next_random(&seed) % 1000000000);
        static const double scales[] = {1, 10, 100, 1000, 1e6, 1e9, 1e15, 1e-3, 1e-12, 1e-20};
        check_round_trip(bits_of(number / scales[next_random(&seed) % 10]));
    }
}

static void every_power_of_two_and_its_neighbours_come_back(void **state)
{
    (void)state;
    for (uint64_t exponent = 0; exponent < 0x7ff; exponent++) {
        uint64_t bits = exponent << 52;
        for (uint64_t near = 0; near < 40; near++) {
            check_round_trip(bits + near);
            check_round_trip(bits + (UINT64_C(1) << 52) - 1 - near);
        }
    }
    for (uint64_t bit = 0; bit < 52; bit++)
        check_round_trip(UINT64_C(1) << bit); /* subnormal */
    for (uint64_t near = 0; near < 2000; near++) {
        check_round_trip(bits_of((double)((UINT64_C(1) << 53) - 1000 + near)));
        check_round_trip(near + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_written_as_printf_writes_them),
        cmocka_unit_test(what_is_no_canonical_integer_is_refused),
        cmocka_unit_test(known_hard_texts_are_read_correctly_rounded),
        cmocka_unit_test(halfway_cases_round_to_even_and_a_trace_decides),
        cmocka_unit_test(random_digits_are_read_as_libc_reads_them),
        cmocka_unit_test(every_power_of_ten_is_read_correctly),
        cmocka_unit_test(long_texts_keep_their_value),
        cmocka_unit_test(what_is_no_json_number_is_refused),
        cmocka_unit_test(redis_words_for_special_numbers_are_read),
        cmocka_unit_test(all_powers_of_ten_are_exact_to_128_bits),
        cmocka_unit_test(numbers_look_as_javascript_prints_them),
        cmocka_unit_test(random_doubles_come_back_from_their_shortest_text),
        cmocka_unit_test(every_power_of_two_and_its_neighbours_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
