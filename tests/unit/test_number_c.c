/* Numbers as C's library reads and prints them and as x87 adds them: against libc, which is slow but
   trusted, and against what Redis 7.0 answers. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <errno.h>
#include <float.h>
#include <math.h>

#include "resp_test.h"

/* Fewer where an emulator runs them. */
#ifndef RANDOM_DOUBLES
#define RANDOM_DOUBLES 60000
#endif
#ifndef RANDOM_TEXTS
#define RANDOM_TEXTS 10000
#endif
#define LONG_TEXTS 60

static double double_of(uint64_t bits)
{
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* --- doubles to 17 digits */

static void check_seventeen(double number)
{
    char text[SCI_SEVENTEEN_TEXT_BYTES];
    char expected[64];
    size_t len = sci_double_to_text_17(number, text);
    snprintf(expected, sizeof expected, "%.17g", number);
    assert_int_equal(len, strlen(text));
    if (strcmp(text, expected) != 0)
        fail_msg("%a gave %s, not %s", number, text, expected);
}

typedef struct score {
    const char *number;
    const char *text;
} score;

static const score scores[] = {
    {"0", "0"},
    {"-0.0", "-0"},
    {"1", "1"},
    {"3.14", "3.1400000000000001"},
    {"100000", "100000"},
    {"1e5", "100000"},
    {"1e15", "1000000000000000"},
    {"1e16", "10000000000000000"},
    {"99999999999999999", "1e+17"},
    {"1e17", "1e+17"},
    {"123456789012345678", "1.2345678901234568e+17"},
    {"1e21", "1e+21"},
    {"1e100", "1e+100"},
    {"1.7976931348623157e308", "1.7976931348623157e+308"},
    {"2.2250738585072014e-308", "2.2250738585072014e-308"},
    {"4e-324", "4.9406564584124654e-324"},
    {"1e-5", "1.0000000000000001e-05"},
    {"0.0001", "0.0001"},
    {"0.0001234", "0.00012339999999999999"},
    {"123456.789", "123456.789"},
    {"0.1", "0.10000000000000001"},
    {"0.5", "0.5"},
    {"-2.5", "-2.5"},
    {"-1e-10", "-1e-10"},
    {"inf", "inf"},
    {"-inf", "-inf"},
    {"9007199254740993", "9007199254740992"},
    {"1234567890123456.7", "1234567890123456.8"},
    {"4503599627370497.5", "4503599627370498"},
    {"5e-324", "4.9406564584124654e-324"},
    {"0.3", "0.29999999999999999"},
    {"2.5e-7", "2.4999999999999999e-07"},
    {"1e22", "1e+22"},
    {"1e23", "9.9999999999999992e+22"},
    {"9.9999999999999999e22", "9.9999999999999992e+22"},
    {"123456789.123456789", "123456789.12345679"},
    {"562949953421312.125", "562949953421312.12"},
    {"0x1.fffffffffffffp-1022", "4.4501477170144023e-308"},
};

static void scores_look_as_redis_prints_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(scores); i++) {
        char text[SCI_SEVENTEEN_TEXT_BYTES];
        double number = 0;
        bool is_out_of_range;
        assert_true(sci_text_to_double_as_c(sc_text(scores[i].number), &number, &is_out_of_range));
        sci_double_to_text_17(number, text);
        assert_string_equal(text, scores[i].text);
    }
}

static void random_doubles_look_as_printf_prints_them(void **state)
{
    (void)state;
    uint64_t seed = 17;
    for (int i = 0; i < RANDOM_DOUBLES; i++) {
        uint64_t random = next_random(&seed);
        double number = double_of(random);
        if (!isnan(number))
            check_seventeen(number);
        check_seventeen((double)(int64_t)random / 1024);
        check_seventeen((double)(random % 100000) / 1000);
        /* Few bits: exact halves are among them. */
        int bits = (int)(next_random(&seed) % 54);
        int exponent = (int)(next_random(&seed) % 2100) - 1080;
        check_seventeen(ldexp((double)(random >> (11 + bits % 50)), exponent));
        check_seventeen(ldexp((double)(random >> 11), -bits));
    }
}

static void every_power_of_ten_looks_as_printf_prints_it(void **state)
{
    (void)state;
    for (int power = -330; power <= 310; power++) {
        char text[16];
        snprintf(text, sizeof text, "1e%d", power);
        double number = strtod(text, NULL);
        check_seventeen(number);
        check_seventeen(nextafter(number, 0));
        check_seventeen(nextafter(number, INFINITY));
    }
}

static void a_number_that_is_none_is_nan(void **state)
{
    (void)state;
    char text[SCI_SEVENTEEN_TEXT_BYTES];
    assert_int_equal(sci_double_to_text_17((double)NAN, text), 3);
    assert_string_equal(text, "nan");
}

/* --- texts */

/* Redis's string2d. */
static bool libc_double(const char *text, double *number)
{
    char *end;
    errno = 0;
    *number = strtod(text, &end);
    bool is_range = errno == ERANGE && (isinf(*number) || *number == 0.0);
    return text[0] && !strchr(" \t\n\v\f\r", text[0]) && *end == '\0' && !is_range &&
           !isnan(*number);
}

static bool our_double(const char *text, double *number)
{
    bool is_out_of_range;
    return sci_text_to_double_as_c(sc_text(text), number, &is_out_of_range) && !is_out_of_range;
}

static void check_double(const char *text)
{
    double number = 0, expected = 0;
    bool is_number = our_double(text, &number);
    if (is_number != libc_double(text, &expected))
        fail_msg("\"%.60s\" was %s", text, is_number ? "taken" : "refused");
    if (is_number && memcmp(&number, &expected, sizeof number) != 0)
        fail_msg("\"%.60s\" gave %a, not %a", text, number, expected);
}

/* Where long double is x87's format, libc says what is right. */
#if LDBL_MANT_DIG == 64
/* Redis's string2ld. */
static bool libc_extended(const char *text, long double *number)
{
    char *end;
    size_t len = strlen(text);
    errno = 0;
    *number = strtold(text, &end);
    bool is_range = errno == ERANGE && (isinf(*number) || *number == 0.0L);
    return len > 0 && len < 5120 && !strchr(" \t\n\v\f\r", text[0]) && *end == '\0' && !is_range &&
           !isnan(*number);
}

static long double long_double_of(const sci_extended *number)
{
    if (number->kind == SCI_EXTENDED_NAN)
        return (long double)NAN;
    long double magnitude = sci_extended_is_finite(number)
                                ? ldexpl((long double)number->mantissa, number->exponent)
                                : (long double)INFINITY;
    return number->is_negative ? -magnitude : magnitude;
}

/* "%.17Lf" without trailing zeros. */
static void print_long_double(long double number, char *text, size_t cap)
{
    int len = snprintf(text, cap, "%.17Lf", number);
    while (text[len - 1] == '0')
        len--;
    if (text[len - 1] == '.')
        len--;
    text[len] = '\0';
    if (strcmp(text, "-0") == 0)
        memcpy(text, "0", 2);
}

static void check_extended(const char *text)
{
    static char printed[SCI_EXTENDED_TEXT_BYTES], expected_text[SCI_EXTENDED_TEXT_BYTES + 64];
    sci_extended number;
    long double expected = 0;
    bool is_number = sci_text_to_extended(sc_text(text), &number);
    if (is_number != libc_extended(text, &expected))
        fail_msg("\"%.60s\" was %s", text, is_number ? "taken" : "refused");
    if (is_number && long_double_of(&number) != expected)
        fail_msg("\"%.60s\" gave %La, not %La", text, long_double_of(&number), expected);
    if (!is_number || !sci_extended_is_finite(&number))
        return;
    print_long_double(expected, expected_text, sizeof expected_text);
    assert_int_equal(sci_extended_to_text(&number, printed), strlen(expected_text));
    assert_string_equal(printed, expected_text);
    sci_extended thousandfold = sci_extended_multiply(&number, 1000);
    expected *= 1000;
    assert_true(long_double_of(&thousandfold) == expected);
    if (fabsl(expected) < 9.2e18L)
        assert_true(sci_extended_ceiling(&thousandfold) == (int64_t)ceill(expected));
}

static void check_sum(const char *a_text, const char *b_text)
{
    sci_extended a, b;
    if (!sci_text_to_extended(sc_text(a_text), &a) || !sci_text_to_extended(sc_text(b_text), &b))
        return;
    sci_extended sum = sci_extended_add(&a, &b);
    long double expected = long_double_of(&a) + long_double_of(&b);
    if (long_double_of(&sum) != expected && !(isnan(expected) && sum.kind == SCI_EXTENDED_NAN))
        fail_msg("%s + %s gave %La, not %La", a_text, b_text, long_double_of(&sum), expected);
}
#else
static void check_extended(const char *text)
{
    (void)text;
}

static void check_sum(const char *a_text, const char *b_text)
{
    (void)a_text;
    (void)b_text;
}
#endif

static const char *const texts[] = {
    "0x10",
    "0x",
    "0x.8",
    "0x1p4",
    "0x1p",
    "0x1.8p-1",
    "1e5",
    " 1",
    "1 ",
    "\t1",
    "infinity",
    "inf",
    "+inf",
    "-INF",
    "Infinit",
    "iNfInItY",
    "in",
    "infi",
    "1e400",
    "-1e400",
    "1e-400",
    "4e-324",
    "2e-324",
    "3e-324",
    "1e",
    "1e+",
    "e5",
    ".5",
    "5.",
    ".",
    "",
    "+1",
    "--1",
    "+-1",
    "-0",
    "0",
    "00012",
    "-",
    "+",
    "1_000",
    "1,5",
    "1.2.3",
    "1d5",
    "0x1p1024",
    "0x1p-1075",
    "0x1.0000000000001p-1075",
    "0x1p-1074",
    "0x1.fffffffffffffp1023",
    "0x1.fffffffffffff8p1023",
    "0x1.fffffffffffff7fffp1023",
    "0x-1",
    "-0x1",
    "0x1.p1",
    "0x.p1",
    "0x0p5000",
    "0X1P+3",
    "1.7976931348623158e308",
    "1.7976931348623159e308",
    "1e4932",
    "1.2e4932",
    "1.18e4932",
    "3.6e-4951",
    "1.8e-4951",
    "1.9e-4951",
    "1.83e-4951",
    "1e-4951",
    "1e-4952",
    "1e-4953",
    "1e4933",
    "1e4934",
    "0x1p-16445",
    "0x1p-16446",
    "0x1.1p-16446",
    "0x1p16383",
    "0x1p16384",
    "0x1.fffffffffffffffep16383",
    "0x1.ffffffffffffffffp16383",
    "0x1.fffffffffffffffefp16383",
    "0x12345678123456781234567812345678123p-200",
    "0x.000000000000000000000000000000000000001p20",
    "-0.001",
    "0.001",
    "9007199254740993",
    "9007199254740992.5",
    "18446744073709551615.5",
    "0e99999999999999999999",
    "1e99999999999999999999",
    "1e-99999999999999999999",
    "0x0p99999999999999999999",
    "0x1p99999999999999999999",
    "0x1p-99999999999999999999",
};

static void texts_are_taken_and_refused_as_libc_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(texts); i++) {
        check_double(texts[i]);
        check_extended(texts[i]);
    }
    for (size_t i = 0; i < SCI_COUNT(texts); i++)
        for (size_t j = 0; j < SCI_COUNT(texts); j++)
            check_sum(texts[i], texts[j]);
}

static void put_random_text(char *out, size_t cap, uint64_t *seed)
{
    unsigned long long a = next_random(seed), b = next_random(seed), c = next_random(seed);
    int small = (int)(next_random(seed) % 700) - 350;
    switch (next_random(seed) % 6) {
    case 0:
        snprintf(out, cap, "%.*Lg", (int)(a % 40) + 1,
                 (long double)(int64_t)b / (long double)(1ull << (c % 64)));
        break;
    case 1:
        snprintf(out, cap, "%s%u.%0*u", a % 2 ? "-" : "", (unsigned)(b % 1000), (int)(a % 9) + 1,
                 (unsigned)(c % 1000));
        break;
    case 2:
        snprintf(out, cap, "%lluE%d", a, (int)(b % 10000) - 5000);
        break;
    case 3:
        snprintf(out, cap, "%llu%llu.%llu%llue%d", a, b, c, a, small);
        break;
    case 4:
        snprintf(out, cap, "0x%llx.%llxp%d", a, b, small * 3);
        break;
    default: {
        size_t len = 1 + (size_t)(a % 12);
        for (size_t i = 0; i < len; i++)
            out[i] = "0123456789.e+-xXpPinf "[next_random(seed) % 22];
        out[len] = '\0';
    }
    }
}

static void random_texts_are_read_and_added_as_libc_does(void **state)
{
    (void)state;
    uint64_t seed = 80;
    for (int i = 0; i < RANDOM_TEXTS; i++) {
        char a[160], b[160];
        put_random_text(a, sizeof a, &seed);
        put_random_text(b, sizeof b, &seed);
        check_double(a);
        check_extended(a);
        check_sum(a, b);
    }
}

static void long_texts_are_read_as_libc_does(void **state)
{
    (void)state;
    uint64_t seed = 5120;
    for (int i = 0; i < LONG_TEXTS; i++) {
        static char text[6000];
        size_t len = 1 + (size_t)(next_random(&seed) % 5125);
        for (size_t j = 0; j < len; j++)
            text[j] = (char)('0' + next_random(&seed) % 10);
        text[len] = '\0';
        if (next_random(&seed) % 4)
            text[next_random(&seed) % len] = '.';
        if (len > 20 && next_random(&seed) % 2)
            sprintf(text + len - 10, "e-%d", (int)(next_random(&seed) % 9000));
        check_double(text);
        check_extended(text);
    }
}

/* What lies halfway between two numbers, and next to that. */
static void halfway_cases_are_rounded_as_libc_does(void **state)
{
    (void)state;
    uint64_t seed = 2;
    for (int i = 0; i < 1000; i++) {
        char text[64];
        unsigned long long mantissa = next_random(&seed) | 1ull << 63;
        int exponent = (int)(next_random(&seed) % 200) - 100;
        static const char *const tails[] = {"8", "80000000000000000001", "7fffffffffffffff", "0"};
        snprintf(text, sizeof text, "0x%llx.%sp%d", mantissa, tails[i % 4], exponent);
        check_extended(text);
        snprintf(text, sizeof text, "0x%llx.%sp%d", mantissa >> 11, tails[i % 4], exponent);
        check_double(text);
        snprintf(text, sizeof text, "%llu.5", mantissa >> (i % 3));
        check_extended(text);
    }
}

/* --- adding */

typedef struct increment {
    const char *from;
    const char *by;
    const char *to; /* NULL: one of them is refused */
} increment;

static const increment increments[] = {
    {"0", "0x10", "16"},
    {"0", "1e-4950", "0"},
    {"0", "1e-4951", NULL},
    {"0", "3.6e-4951", "0"},
    {"0", "1e-5000", NULL},
    {"0", "1.2e4932", NULL},
    {"0.1", "0.2", "0.3"},
    {"10.50", "0.1", "10.6"},
    {"3.0e3", "5.0e3", "8000"},
    {"-0", "-0", "0"},
    {"0", "-1e-18", "0"},
    {"0", "5e-18", "0"},
    {"0", "1.5e-17", "0.00000000000000002"},
    {"0", "2.5e-17", "0.00000000000000002"},
    {"1e17", "0.5", "100000000000000000.5"},
    {"1", "1e-19", "1"},
    {"12345678901234567890", "0.5", "12345678901234567890"},
    {"18446744073709551615", "1", "18446744073709551616"},
    {"18446744073709551615", "-0.75", "18446744073709551614"},
    {".5", "+.5", "1"},
    {"5.", "0", "5"},
    {"0", "0x.1p-3", "0.0078125"},
    {"0", "0x1p-16446", NULL},
    {"0", "0x1.1p-16446", "0"},
    {"1.1", "2.2", "3.3"},
    {"3", "-3.0000000000000001", "-0.0000000000000001"},
    {"1e300", "-1e300", "0"},
    {"1e20", "1e-5", "100000000000000000000"},
    {"123456.789", "0.001", "123456.78999999999999915"},
    {"-1.5", "1.5", "0"},
    {"0.00000000000000001", "0", "0.00000000000000001"},
    {"99999999999999999.99", "0.01", "100000000000000000"},
    {"1e63", "1", "999999999999999999965225407341472151966654053379893968647487488"},
    {"5192296858534827628530496329220096", "1", "5192296858534827628530496329220096"},
};

static void numbers_are_incremented_as_redis_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(increments); i++) {
        static char text[SCI_EXTENDED_TEXT_BYTES];
        sci_extended from, by;
        bool are_numbers = sci_text_to_extended(sc_text(increments[i].from), &from) &&
                           sci_text_to_extended(sc_text(increments[i].by), &by);
        assert_int_equal(are_numbers, increments[i].to != NULL);
        if (!are_numbers)
            continue;
        sci_extended sum = sci_extended_add(&from, &by);
        sci_extended_to_text(&sum, text);
        assert_string_equal(text, increments[i].to);
    }
}

static void infinity_is_added_as_usual(void **state)
{
    (void)state;
    sci_extended infinite, negative, one, most;
    assert_true(sci_text_to_extended(sc_text("inf"), &infinite));
    assert_true(sci_text_to_extended(sc_text("-inf"), &negative));
    assert_true(sci_text_to_extended(sc_text("1"), &one));
    assert_true(sci_text_to_extended(sc_text("0x1p16383"), &most));
    assert_int_equal(sci_extended_add(&infinite, &one).kind, SCI_EXTENDED_INFINITE);
    assert_true(sci_extended_add(&one, &negative).is_negative);
    assert_int_equal(sci_extended_add(&infinite, &infinite).kind, SCI_EXTENDED_INFINITE);
    assert_int_equal(sci_extended_add(&infinite, &negative).kind, SCI_EXTENDED_NAN);
    assert_int_equal(sci_extended_add(&most, &most).kind, SCI_EXTENDED_INFINITE);
    sci_extended none = sci_extended_add(&infinite, &negative);
    assert_int_equal(sci_extended_add(&one, &none).kind, SCI_EXTENDED_NAN);
    assert_int_equal(sci_extended_multiply(&negative, 3).kind, SCI_EXTENDED_INFINITE);
}

static void a_ceiling_is_cut_to_64_bits(void **state)
{
    (void)state;
    static const struct {
        const char *number;
        int64_t ceiling;
    } cases[] = {
        {"0", 0},
        {"0.1", 1},
        {"-0.1", 0},
        {"-0.9", 0},
        {"-1.1", -1},
        {"1e-4900", 1},
        {"9223372036854775806.5", INT64_MAX},
        {"9223372036854775807", INT64_MAX},
        {"9223372036854775808", INT64_MAX},
        {"1e30", INT64_MAX},
        {"inf", INT64_MAX},
        {"-9223372036854775807", -INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
        {"-1e30", INT64_MIN},
        {"-inf", INT64_MIN},
        {"4611686018427387903.5", INT64_C(1) << 62},
    };
    for (size_t i = 0; i < SCI_COUNT(cases); i++) {
        sci_extended number;
        assert_true(sci_text_to_extended(sc_text(cases[i].number), &number));
        assert_true(sci_extended_ceiling(&number) == cases[i].ceiling);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_look_as_redis_prints_them),
        cmocka_unit_test(random_doubles_look_as_printf_prints_them),
        cmocka_unit_test(every_power_of_ten_looks_as_printf_prints_it),
        cmocka_unit_test(a_number_that_is_none_is_nan),
        cmocka_unit_test(texts_are_taken_and_refused_as_libc_does),
        cmocka_unit_test(random_texts_are_read_and_added_as_libc_does),
        cmocka_unit_test(long_texts_are_read_as_libc_does),
        cmocka_unit_test(halfway_cases_are_rounded_as_libc_does),
        cmocka_unit_test(numbers_are_incremented_as_redis_does),
        cmocka_unit_test(infinity_is_added_as_usual),
        cmocka_unit_test(a_ceiling_is_cut_to_64_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
