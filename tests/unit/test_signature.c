/* Arguments of wrapped functions, and the signatures that are made of them. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "fault_memory.h"
#include "folder.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Real answers of npm's sigmund: chosen ones, and all of them where they are at hand. */
#define CHOSEN_CASES "tests/unit/data/sigmund.jsonl"
#define ALL_CASES "../shared/data/sigmund.jsonl"
#define LINE_BYTES 65536
#define CHOSEN_COUNT 150

typedef sc_status (*signature)(const sc_arg *args, size_t arg_count, sci_bytes *out);

static sc_memory platform_memory(void)
{
    sc_memory memory;
    assert_true(sci_platform_memory(&memory));
    return memory;
}

static void assert_slice_is(sc_slice slice, sc_slice expected)
{
    if (!sci_slice_equal(slice, expected))
        fail_msg("got %.*s, expected %.*s", (int)slice.len, slice.data, (int)expected.len,
                 expected.data);
}

/* The signature as a new block, which follows bytes that must stay. */
static sci_bytes sign(signature function, const sc_arg *args, size_t arg_count)
{
    sc_memory memory = platform_memory();
    sci_bytes out;
    sci_bytes_init(&out, &memory);
    assert_int_equal(sci_bytes_append_text(&out, "name:"), SC_OK);
    sc_status status = function(args, arg_count, &out);
    if (status != SC_OK)
        fail_msg("%s: %s", sc_status_name(status), sc_error_text());
    assert_slice_is(sc_bytes(sci_bytes_slice(&out).data, 5), sc_text("name:"));
    sci_bytes_consume(&out, 5);
    return out;
}

static void check_args(signature function, const sc_arg *args, size_t arg_count, sc_slice expected)
{
    sci_bytes out = sign(function, args, arg_count);
    assert_slice_is(sci_bytes_slice(&out), expected);
    sci_bytes_free(&out);
}

static void check_arg(signature function, sc_arg arg, const char *expected)
{
    check_args(function, &arg, 1, sc_text(expected));
}

/* A JSON array through sci_args_from_json. */
static sci_bytes sign_json(signature function, sc_slice json)
{
    sc_memory memory = platform_memory();
    sci_args args;
    sc_status status = sci_args_from_json(&memory, json, &args);
    if (status != SC_OK)
        fail_msg("%.*s: %s", (int)json.len, json.data, sc_error_text());
    sci_bytes out = sign(function, args.at, args.count);
    sci_args_free(&args);
    return out;
}

static void check_json(signature function, const char *json, const char *expected)
{
    sci_bytes out = sign_json(function, sc_text(json));
    assert_slice_is(sci_bytes_slice(&out), sc_text(expected));
    sci_bytes_free(&out);
}

/* One JSON value as it is, without being taken apart before. */
static void check_value(signature function, const char *json, const char *expected)
{
    check_arg(function, sc_arg_json(sc_text(json)), expected);
}

/* --- sigmund */

/* One line: {"args": [...], "sig": "..."}. */
static void check_line(sc_slice line)
{
    static char unescaped[LINE_BYTES];
    sci_json_reader reader;
    sci_json_token token;
    sc_slice args = sc_text("");
    sc_slice expected = sc_text("");

    sci_json_begin(&reader, line);
    assert_int_equal(sci_json_next(&reader, &token), SC_OK);
    while (sci_json_next(&reader, &token) == SC_OK && token.kind == SCI_JSON_KEY) {
        bool is_args = sci_slice_equal(token.raw, sc_text("args"));
        assert_int_equal(sci_json_next(&reader, &token), SC_OK);
        size_t start = reader.at - 1;
        while (is_args && reader.depth > 1)
            assert_int_equal(sci_json_next(&reader, &token), SC_OK);
        if (is_args)
            args = sc_bytes(line.data + start, reader.at - start);
        else
            expected = sc_bytes(unescaped, sci_json_unescape(&token, unescaped));
    }
    assert_int_equal(token.kind, SCI_JSON_OBJECT_END);

    sci_bytes out = sign_json(sci_signature_sigmund, args);
    if (!sci_slice_equal(sci_bytes_slice(&out), expected))
        fail_msg("%.*s\ngives %.*s\nnot   %.*s", (int)args.len, args.data, (int)sci_bytes_len(&out),
                 out.data + out.start, (int)expected.len, expected.data);
    sci_bytes_free(&out);
}

static size_t check_file(const char *path)
{
    static char line[LINE_BYTES];
    size_t count = 0;
    FILE *file = fopen(path, "rb");
    if (!file)
        return 0;
    while (fgets(line, sizeof line, file)) {
        check_line(sc_bytes(line, strcspn(line, "\r\n")));
        count++;
    }
    fclose(file);
    return count;
}

static void sigmund_gives_what_node_gives(void **state)
{
    (void)state;
    assert_int_equal(check_file(CHOSEN_CASES), CHOSEN_COUNT);
}

static void sigmund_gives_what_node_gives_in_all_shared_cases(void **state)
{
    (void)state;
    if (check_file(ALL_CASES) == 0) {
        print_message("skipped: there is no " ALL_CASES "\n");
        skip();
    }
}

static void sigmund_of_c_values_is_that_of_the_json_values(void **state)
{
    (void)state;
    const sc_arg args[] = {sc_arg_null(),          sc_arg_bool(true),       sc_arg_bool(false),
                           sc_arg_integer(-42),    sc_arg_double(0.1),      sc_arg_double(-0.0),
                           sc_arg_text("a \"b\""), sc_arg_text(NULL),       sc_arg_double(1e21),
                           sc_arg_double(NAN),     sc_arg_double(-INFINITY)};
    check_args(sci_signature_sigmund, args, SCI_COUNT(args),
               sc_text("{0null1true2false3-4240.1506a \"b\"7null81e+219NaN10-Infinity"));
    check_args(sci_signature_sigmund, NULL, 0, sc_text("{"));
}

static void sigmund_keeps_all_digits_of_a_c_integer_and_rounds_those_of_json(void **state)
{
    (void)state;
    check_arg(sci_signature_sigmund, sc_arg_integer(INT64_MAX), "{09223372036854775807");
    check_json(sci_signature_sigmund, "[9223372036854775807]", "{09223372036854776000");
    check_json(sci_signature_sigmund, "[9007199254740993, 1e400, -1e400, 1e-400]",
               "{090071992547409921Infinity2-Infinity30");
}

static void sigmund_orders_members_as_javascript_does(void **state)
{
    (void)state;
    check_value(sci_signature_sigmund,
                "{\"b\":1,\"10\":2,\"9\":3,\"a\":4,\"01\":5,\"-1\":6,\"1.5\":7}",
                "{0{93102b1a4015-161.57");
    /* The largest array index is 2^32 - 2. */
    check_value(sci_signature_sigmund,
                "{\"b\":0,\"4294967295\":2,\"4294967294\":1,\"4294967296\":3,\"7\":1}",
                "{0{7142949672941b04294967295242949672963");
    check_value(sci_signature_sigmund, "{\"\\u005fa\":1,\"\\u0031\":2}", "{0{12");
}

static void sigmund_takes_the_last_value_of_a_repeated_name_at_its_first_place(void **state)
{
    (void)state;
    check_value(sci_signature_sigmund, "{\"a\":1,\"b\":2,\"\\u0061\":3}", "{0{a3b2");
    check_value(sci_signature_sigmund, "{\"a\":{\"x\":[1]},\"b\":2,\"a\":{\"y\":[2]},\"b\":{}}",
                "{0{a{y{02b{");
}

static void sigmund_joins_surrogates_across_strings_and_replaces_lone_ones(void **state)
{
    (void)state;
    check_value(sci_signature_sigmund, "{\"\\ud83d\":\"\\ude00\"}", "{0{\xF0\x9F\x98\x80");
    check_value(sci_signature_sigmund, "{\"a\":\"\\uD83D\",\"\\uDE00\":1}",
                "{0{a\xF0\x9F\x98\x80"
                "1");
    check_json(sci_signature_sigmund, "[\"\\ud83d\\ude00\", \"\\ud83d\", \"\\ude00\"]",
               "{0\xF0\x9F\x98\x80"
               "1\xEF\xBF\xBD"
               "2\xEF\xBF\xBD");
    check_json(sci_signature_sigmund, "[\"\\ud83d\\ud83d\\ude00x\"]",
               "{0\xEF\xBF\xBD\xF0\x9F\x98\x80x");
    check_json(sci_signature_sigmund, "[\"\\ud83d\"]", "{0\xEF\xBF\xBD");
}

static void sigmund_leaves_bytes_that_are_not_utf8_as_they_are(void **state)
{
    (void)state;
    sc_arg arg = sc_arg_bytes(sc_bytes("\xff\0\x80", 3));
    check_args(sci_signature_sigmund, &arg, 1, sc_bytes("{0\xff\0\x80", 5));
}

/* --- sigmund on random arguments, against node itself */

#define NODE_PACKAGE "build/interop/node_modules/sigmund/package.json"
#define RANDOM_LINES 20000
#define RANDOM_DEPTH 13

/* xorshift64* (S. Vigna, 2016): the same numbers in every run. */
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(2685821657736338717);
}

static size_t random_below(uint64_t *seed, size_t limit)
{
    return (size_t)(next_random(seed) >> 32) % limit;
}

static void write_random_string(FILE *file, uint64_t *seed)
{
    static const char *const pieces[] = {"a",
                                         "b",
                                         "_",
                                         "0",
                                         "1",
                                         "9",
                                         "10",
                                         "42",
                                         "429496729",
                                         "-",
                                         "{",
                                         "null",
                                         "\\u0061",
                                         "\\u005f",
                                         "\\ud83d",
                                         "\\uDE00",
                                         "\\ud800",
                                         "\\u0031",
                                         "\\n",
                                         "\\\\ud83d",
                                         "\\/",
                                         "\\\"",
                                         "\\u0000",
                                         "\\ufffd",
                                         "\xC3\xA9",
                                         "\xE2\x82\xAC",
                                         "\xF0\x9F\x98\x80",
                                         " "};
    fputc('"', file);
    for (size_t count = random_below(seed, 4); count > 0; count--)
        fputs(pieces[random_below(seed, SCI_COUNT(pieces))], file);
    fputc('"', file);
}

static void write_random_number(FILE *file, uint64_t *seed)
{
    switch (random_below(seed, 4)) {
    case 0:
        fprintf(file, "%d", (int)random_below(seed, 20) - 10);
        break;
    case 1:
        fprintf(file, "%s%llu", random_below(seed, 2) ? "-" : "",
                (unsigned long long)(next_random(seed) >> random_below(seed, 64)));
        break;
    case 2:
        fprintf(file, "%d.%0*dE%+d", (int)random_below(seed, 100), (int)random_below(seed, 9) + 1,
                (int)random_below(seed, 10000), (int)random_below(seed, 700) - 350);
        break;
    default:
        fprintf(file, "%.*f", (int)random_below(seed, 20),
                (double)next_random(seed) / (double)(next_random(seed) | 1));
        break;
    }
}

static void write_random_scalar(FILE *file, uint64_t *seed)
{
    static const char *const literals[] = {"null", "true", "false", "-0", "\"\""};
    size_t kind = random_below(seed, 3);
    if (kind == 0)
        fputs(literals[random_below(seed, SCI_COUNT(literals))], file);
    else if (kind == 1)
        write_random_number(file, seed);
    else
        write_random_string(file, seed);
}

/* A chain of containers, so that the depth limit is met, with a few siblings on each level. */
static void write_random_array(FILE *file, uint64_t *seed, size_t depth)
{
    char closing[RANDOM_DEPTH + 1];
    size_t level = 0;
    for (; level <= depth; level++) {
        bool is_object = level > 0 && random_below(seed, 3) > 0;
        closing[level] = is_object ? '}' : ']';
        fputc(is_object ? '{' : '[', file);
        for (size_t count = random_below(seed, 5); count > 0; count--) {
            if (is_object) {
                write_random_string(file, seed);
                fputs(": ", file);
            }
            write_random_scalar(file, seed);
            if (count > 1 || level < depth)
                fputc(',', file);
            else
                break;
        }
        if (level == depth)
            break;
        if (is_object) {
            write_random_string(file, seed);
            fputc(':', file);
        }
    }
    for (; level > 0; level--) {
        fputc(closing[level], file);
        if (random_below(seed, 3) > 0) {
            if (closing[level - 1] == '}') {
                fputc(',', file);
                write_random_string(file, seed);
                fputc(':', file);
            } else {
                fputc(',', file);
            }
            write_random_scalar(file, seed);
        }
    }
    fputs("]\n", file);
}

static bool is_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file)
        fclose(file);
    return file != NULL;
}

static void check_random_lines(FILE *arguments, FILE *answers)
{
    static char json[LINE_BYTES], answer[LINE_BYTES], expected[LINE_BYTES];
    size_t count = 0;
    while (fgets(json, sizeof json, arguments) && fgets(answer, sizeof answer, answers)) {
        sci_json_token token;
        sci_json_reader reader;
        sci_json_begin(&reader, sc_bytes(answer, strcspn(answer, "\n")));
        assert_int_equal(sci_json_next(&reader, &token), SC_OK);
        size_t len = sci_json_unescape(&token, expected);
        sci_bytes out = sign_json(sci_signature_sigmund, sc_bytes(json, strcspn(json, "\n")));
        if (!sci_slice_equal(sci_bytes_slice(&out), sc_bytes(expected, len)))
            fail_msg("%sgives %.*s\nnot   %.*s", json, (int)sci_bytes_len(&out),
                     out.data + out.start, (int)len, expected);
        sci_bytes_free(&out);
        count++;
    }
    assert_int_equal(count, RANDOM_LINES);
}

static void sigmund_gives_what_node_gives_for_random_arguments(void **state)
{
    (void)state;
    char arguments_path[256], answers_path[256], command[768];
    uint64_t seed = UINT64_C(20261120);
    if (!is_file(NODE_PACKAGE)) {
        print_message("skipped: there is no " NODE_PACKAGE ", tests/setup.sh installs it\n");
        skip();
    }
    (void)snprintf(arguments_path, sizeof arguments_path, "%s/arguments", test_folder());
    (void)snprintf(answers_path, sizeof answers_path, "%s/answers", test_folder());
    FILE *arguments = fopen(arguments_path, "w+b");
    assert_non_null(arguments);
    for (size_t i = 0; i < RANDOM_LINES; i++)
        write_random_array(arguments, &seed, random_below(&seed, RANDOM_DEPTH));
    assert_int_equal(fflush(arguments), 0);

    (void)snprintf(command, sizeof command, "node tests/interop/sigmund.js <'%s' >'%s'",
                   arguments_path, answers_path);
    assert_int_equal(system(command), 0);
    FILE *answers = fopen(answers_path, "rb");
    assert_non_null(answers);
    rewind(arguments);
    check_random_lines(arguments, answers);
    fclose(answers);
    fclose(arguments);
}

/* --- canonical */

static void canonical_is_a_readable_json_array(void **state)
{
    (void)state;
    const sc_arg args[] = {sc_arg_text("foo"), sc_arg_integer(1), sc_arg_null(),
                           sc_arg_json(sc_text(" { \"b\" : [ true , {} ] , \"a\" : [ ] } ")),
                           sc_arg_bool(false)};
    check_args(sci_signature_canonical, args, SCI_COUNT(args),
               sc_text("[\"foo\",1,null,{\"a\":[],\"b\":[true,{}]},false]"));
    check_args(sci_signature_canonical, NULL, 0, sc_text("[]"));
}

static void canonical_tells_a_number_from_its_text(void **state)
{
    (void)state;
    check_json(sci_signature_canonical, "[1]", "[1]");
    check_json(sci_signature_canonical, "[\"1\"]", "[\"1\"]");
    check_arg(sci_signature_canonical, sc_arg_text("null"), "[\"null\"]");
    check_arg(sci_signature_canonical, sc_arg_double(NAN), "[NaN]");
    check_arg(sci_signature_canonical, sc_arg_text("NaN"), "[\"NaN\"]");
}

static void canonical_numbers_are_their_exact_decimal_values(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"1", "1"},
        {"1.0", "1"},
        {"10e-1", "1"},
        {"0.001e3", "1"},
        {"-0", "0"},
        {"-0.0e99999999999999999999", "0"},
        {"100", "100"},
        {"-1.50", "-1.5"},
        {"1E2", "100"},
        {"12.34e1", "123.4"},
        {"12.34e2", "1234"},
        {"12.34e3", "12340"},
        {"0.1", "0.1"},
        {"0.10000000000000001", "0.10000000000000001"},
        {"0.000001", "0.000001"},
        {"0.0000001", "1e-7"},
        {"0.00000012", "1.2e-7"},
        {"1e-000007", "1e-7"},
        {"123456789012345678901", "123456789012345678901"},
        {"1234567890123456789012", "1.234567890123456789012e+21"},
        {"100000000000000000000", "100000000000000000000"},
        {"1000000000000000000000", "1e+21"},
        {"9007199254740993", "9007199254740993"},
        {"18446744073709551615", "18446744073709551615"},
        {"18446744073709551616", "18446744073709551616"},
        {"1e999", "1e+999"},
        {"1e-999999999999999", "1e-999999999999999"},
        {"10203.0405060", "10203.040506"},
    };
    for (size_t i = 0; i < SCI_COUNT(cases); i++) {
        char json[64], expected[64];
        (void)snprintf(json, sizeof json, "[%s]", cases[i][0]);
        (void)snprintf(expected, sizeof expected, "[%s]", cases[i][1]);
        check_json(sci_signature_canonical, json, expected);
        check_value(sci_signature_canonical, cases[i][0], expected);
    }
}

static void canonical_c_numbers_are_those_of_json(void **state)
{
    (void)state;
    check_arg(sci_signature_canonical, sc_arg_integer(INT64_MIN), "[-9223372036854775808]");
    check_arg(sci_signature_canonical, sc_arg_integer(9007199254740993), "[9007199254740993]");
    check_arg(sci_signature_canonical, sc_arg_double(1.0), "[1]");
    check_arg(sci_signature_canonical, sc_arg_double(-0.0), "[0]");
    check_arg(sci_signature_canonical, sc_arg_double(0.1), "[0.1]");
    check_arg(sci_signature_canonical, sc_arg_double(1e-7), "[1e-7]");
    check_arg(sci_signature_canonical, sc_arg_double(1e22), "[1e+22]");
    /* 2^60, whose shortest decimal is another integer's, and -2^63. */
    check_arg(sci_signature_canonical, sc_arg_double(1152921504606846976.0),
              "[1152921504606846976]");
    check_arg(sci_signature_canonical, sc_arg_double(-9223372036854775808.0),
              "[-9223372036854775808]");
}

static void canonical_sorts_members_and_takes_the_last_of_a_name(void **state)
{
    (void)state;
    check_value(sci_signature_canonical, "{\"b\":1,\"a\":2}", "[{\"a\":2,\"b\":1}]");
    check_value(sci_signature_canonical, "{\"10\":1,\"9\":2,\"\":3}",
                "[{\"\":3,\"10\":1,\"9\":2}]");
    check_value(sci_signature_canonical, "{\"a\":1,\"ab\":2,\"\\u0061\":{\"z\":1}}",
                "[{\"a\":{\"z\":1},\"ab\":2}]");
    /* By code point: U+FFFD before U+1F600, though its UTF-16 units are greater. */
    check_value(sci_signature_canonical, "{\"\\ud83d\\ude00\":1,\"\\ufffd\":2}",
                "[{\"\xEF\xBF\xBD\":2,\"\xF0\x9F\x98\x80\":1}]");
}

static void canonical_keeps_every_string_distinct(void **state)
{
    (void)state;
    check_json(sci_signature_canonical,
               "[\"\\u0041\\/\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u000b\\u007f\"]",
               "[\"A/\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u000b\x7f\"]");
    check_json(sci_signature_canonical, "[\"\\ud83d\\uDE00\\u00e9\"]",
               "[\"\xF0\x9F\x98\x80\xC3\xA9\"]");
    check_json(sci_signature_canonical, "[\"\\uD83D\"]", "[\"\\ud83d\"]");
    check_json(sci_signature_canonical, "[\"\\udc00\"]", "[\"\\udc00\"]");
    check_json(sci_signature_canonical, "[\"\\ufffd\"]", "[\"\xEF\xBF\xBD\"]");
    check_arg(sci_signature_canonical, sc_arg_bytes(sc_bytes("\0\xff", 2)), "[\"\\u0000\\xff\"]");
    check_arg(sci_signature_canonical, sc_arg_text("\\xff"), "[\"\\\\xff\"]");
    /* Overlong, a surrogate in UTF-8, past U+10FFFF, and cut off. */
    check_arg(sci_signature_canonical, sc_arg_text("\xC0\x80"), "[\"\\xc0\\x80\"]");
    check_arg(sci_signature_canonical, sc_arg_text("\xE0\x9F\x80"), "[\"\\xe0\\x9f\\x80\"]");
    check_arg(sci_signature_canonical, sc_arg_text("\xED\xA0\x80"), "[\"\\xed\\xa0\\x80\"]");
    check_arg(sci_signature_canonical, sc_arg_text("\xF4\x90\x80\x80"),
              "[\"\\xf4\\x90\\x80\\x80\"]");
    check_arg(sci_signature_canonical, sc_arg_text("\xF0\x9F\x98"), "[\"\\xf0\\x9f\\x98\"]");
    check_arg(sci_signature_canonical, sc_arg_text("\xE2\x82x"), "[\"\\xe2\\x82x\"]");
}

static void canonical_is_the_same_for_a_value_however_it_is_given(void **state)
{
    (void)state;
    const sc_arg args[] = {sc_arg_text("caf\xC3\xA9\n"), sc_arg_integer(5), sc_arg_bool(true),
                           sc_arg_null(), sc_arg_double(2.5)};
    sci_bytes from_c = sign(sci_signature_canonical, args, SCI_COUNT(args));
    check_json(sci_signature_canonical, "[\"caf\\u00e9\\n\", 5e0, true, null, 25e-1]",
               "[\"caf\xC3\xA9\\n\",5,true,null,2.5]");
    sci_bytes again = sign_json(sci_signature_canonical, sci_bytes_slice(&from_c));
    assert_slice_is(sci_bytes_slice(&again), sci_bytes_slice(&from_c));
    sci_bytes_free(&again);
    sci_bytes_free(&from_c);
}

/* "aaa...": a signature of `len` bytes in all. */
static void sign_letters(size_t len, sci_bytes *out)
{
    char text[512];
    const size_t brackets_and_quotes = 4;
    assert_true(len < sizeof text);
    memset(text, 'a', len);
    text[len - brackets_and_quotes] = '\0';
    sc_arg arg = sc_arg_text(text);
    *out = sign(sci_signature_canonical, &arg, 1);
}

static void a_long_signature_is_cut_and_hashed(void **state)
{
    (void)state;
    sci_bytes out;
    sign_letters(SCI_SIGNATURE_LONG_BYTES, &out);
    assert_int_equal(sci_bytes_len(&out), SCI_SIGNATURE_LONG_BYTES);
    sci_bytes_free(&out);

    sign_letters(SCI_SIGNATURE_LONG_BYTES + 1, &out);
    char expected[256];
    memset(expected, 'a', sizeof expected);
    memcpy(expected, "[\"", 2);
    /* printf '["%0197d"]' 0 | tr 0 a | sha1sum */
    memcpy(expected + SCI_SIGNATURE_HEAD_BYTES, "#14a9153400ae02430165544de123347c",
           1 + SCI_SIGNATURE_HASH_DIGITS);
    assert_slice_is(sci_bytes_slice(&out),
                    sc_bytes(expected, SCI_SIGNATURE_HEAD_BYTES + 1 + SCI_SIGNATURE_HASH_DIGITS));
    sci_bytes_free(&out);
}

static void a_long_signature_is_cut_between_characters(void **state)
{
    (void)state;
    char text[301];
    for (size_t i = 0; i + 3 < sizeof text; i += 3)
        memcpy(text + i, "\xE2\x82\xAC", 3); /* U+20AC */
    text[sizeof text - 1] = '\0';
    sc_arg arg = sc_arg_text(text);
    sci_bytes out = sign(sci_signature_canonical, &arg, 1);
    /* 2 bytes and 39 characters are 119; the 40th would end at 122. */
    assert_int_equal(sci_bytes_len(&out), 119 + 1 + SCI_SIGNATURE_HASH_DIGITS);
    assert_int_equal(out.data[out.start + 119], '#');
    sci_bytes_free(&out);
}

/* --- errors and limits */

/* Fails with words that hold `words`, and leaves what was in `out` before. */
static void check_refused(signature function, const sc_arg *args, size_t arg_count,
                          sc_status expected, const char *words)
{
    sc_memory memory = platform_memory();
    sci_bytes out;
    sci_bytes_init(&out, &memory);
    assert_int_equal(sci_bytes_append_text(&out, "before"), SC_OK);
    assert_int_equal(function(args, arg_count, &out), expected);
    if (!strstr(sc_error_text(), words))
        fail_msg("\"%s\" does not say \"%s\"", sc_error_text(), words);
    assert_slice_is(sci_bytes_slice(&out), sc_text("before"));
    sci_bytes_free(&out);
}

static void an_error_names_the_argument_and_what_is_wrong(void **state)
{
    (void)state;
    static const signature both[] = {sci_signature_sigmund, sci_signature_canonical};
    sc_arg args[] = {sc_arg_integer(1), sc_arg_json(sc_text("{\"a\":1,}")), sc_arg_null()};
    for (size_t i = 0; i < SCI_COUNT(both); i++) {
        args[1] = sc_arg_json(sc_text("{\"a\":1,}"));
        check_refused(both[i], args, 3, SC_ERR_ARGUMENT, "byte 7");
        check_refused(both[i], args, 3, SC_ERR_ARGUMENT, "argument 2 of 3");
        args[1] = sc_arg_json(sc_text(""));
        check_refused(both[i], args, 3, SC_ERR_ARGUMENT, "argument 2 of 3");
        args[1] = sc_arg_json(sc_text("1 2"));
        check_refused(both[i], args, 3, SC_ERR_ARGUMENT, "argument 2 of 3");
        args[1].kind = 99;
        check_refused(both[i], args, 3, SC_ERR_ARGUMENT, "sc_arg");
        check_refused(both[i], NULL, 3, SC_ERR_ARGUMENT, "args is NULL");
    }
    sc_arg huge = sc_arg_json(sc_text("[1e1234567890123456]"));
    check_refused(sci_signature_canonical, &huge, 1, SC_ERR_LIMIT, "exponent");
}

static void nesting_is_allowed_up_to_the_limit_and_refused_above(void **state)
{
    (void)state;
    char nested[2 * (SCI_JSON_DEPTH + 1)];
    memset(nested, '[', SCI_JSON_DEPTH + 1);
    memset(nested + SCI_JSON_DEPTH + 1, ']', SCI_JSON_DEPTH + 1);

    sc_arg arg = sc_arg_json(sc_bytes(nested + 1, 2 * SCI_JSON_DEPTH));
    sci_bytes out = sign(sci_signature_sigmund, &arg, 1);
    assert_slice_is(sci_bytes_slice(&out), sc_text("{0{0{0{0{0{0{0{0{0{0"));
    sci_bytes_free(&out);
    out = sign(sci_signature_canonical, &arg, 1);
    assert_int_equal(sci_bytes_len(&out), SCI_SIGNATURE_HEAD_BYTES + 1 + SCI_SIGNATURE_HASH_DIGITS);
    sci_bytes_free(&out);

    arg = sc_arg_json(sc_bytes(nested, sizeof nested));
    check_refused(sci_signature_sigmund, &arg, 1, SC_ERR_LIMIT, "argument 1 of 1");
    check_refused(sci_signature_canonical, &arg, 1, SC_ERR_LIMIT, "argument 1 of 1");
}

/* --- lists of arguments */

static void the_elements_of_a_json_array_become_arguments(void **state)
{
    (void)state;
    static const char json[] =
        " [ null , true , -7 , 1.5 , \"plain\" , \"es\\u0063aped\" , { \"a\" : [ 1 ] } ,"
        " [ ] , 9007199254740993 , \"\\ud800\" ] ";
    sc_memory memory = platform_memory();
    sci_args args;
    bool truth = false;
    int64_t integer = 0;
    double number = 0;
    sc_slice bytes;
    assert_int_equal(sci_args_from_json(&memory, sc_text(json), &args), SC_OK);
    assert_int_equal(args.count, 10);
    assert_true(sc_arg_is_null(&args.at[0]));
    assert_int_equal(sc_arg_get_bool(&args.at[1], &truth), SC_OK);
    assert_true(truth);
    assert_int_equal(sc_arg_get_integer(&args.at[2], &integer), SC_OK);
    assert_int_equal(integer, -7);
    assert_int_equal(sc_arg_get_double(&args.at[3], &number), SC_OK);
    assert_true(number > 1.4 && number < 1.6);
    assert_int_equal(sc_arg_get_bytes(&args.at[4], &bytes), SC_OK);
    assert_slice_is(bytes, sc_text("plain"));
    assert_true(bytes.data > json && bytes.data < json + sizeof json); /* borrowed */
    assert_int_equal(sc_arg_get_bytes(&args.at[5], &bytes), SC_OK);
    assert_slice_is(bytes, sc_text("escaped"));
    assert_int_equal(sc_arg_get_json(&args.at[6], &bytes), SC_OK);
    assert_slice_is(bytes, sc_text("{ \"a\" : [ 1 ] }"));
    assert_int_equal(sc_arg_get_json(&args.at[7], &bytes), SC_OK);
    assert_slice_is(bytes, sc_text("[ ]"));
    assert_int_equal(sc_arg_get_integer(&args.at[8], &integer), SC_OK);
    assert_true(integer == 9007199254740993);
    assert_int_equal(sc_arg_get_json(&args.at[9], &bytes), SC_OK);
    assert_slice_is(bytes, sc_text("\"\\ud800\""));
    sci_args_free(&args);
}

static void an_empty_json_array_gives_no_arguments(void **state)
{
    (void)state;
    sc_memory memory = platform_memory();
    sci_args args;
    assert_int_equal(sci_args_from_json(&memory, sc_text("[]"), &args), SC_OK);
    assert_int_equal(args.count, 0);
    sci_args_free(&args);
    assert_int_equal(sci_args_copy(&memory, NULL, 0, &args), SC_OK);
    assert_int_equal(args.count, 0);
    sci_args_free(&args);
}

static void what_is_no_json_array_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",          "1",         "{}",     "\"a\"",
                                        "[",         "[1",        "[1,]",   "[1] 2",
                                        "[{\"a\"}]", "[\"\\q\"]", "[\xff]", "[01]"};
    sc_memory memory = platform_memory();
    sci_args args;
    for (size_t i = 0; i < SCI_COUNT(texts); i++)
        if (sci_args_from_json(&memory, sc_text(texts[i]), &args) != SC_ERR_ARGUMENT)
            fail_msg("%s was accepted", texts[i]);
}

static void a_copy_of_arguments_borrows_nothing(void **state)
{
    (void)state;
    char text[] = "text";
    char json[] = "[1,2]";
    const sc_arg from[] = {sc_arg_text(text), sc_arg_integer(3), sc_arg_text(""),
                           sc_arg_json(sc_text(json))};
    sc_memory memory = platform_memory();
    sci_args copy;
    assert_int_equal(sci_args_copy(&memory, from, SCI_COUNT(from), &copy), SC_OK);
    memset(text, 'x', sizeof text);
    memset(json, 'x', sizeof json);
    check_args(sci_signature_canonical, copy.at, copy.count, sc_text("[\"text\",3,\"\",[1,2]]"));
    sci_args_free(&copy);
}

static void arguments_answer_only_to_what_they_are(void **state)
{
    (void)state;
    bool truth;
    int64_t integer = 0;
    double number = 0;
    sc_slice bytes;
    sc_arg text = sc_arg_text("5");
    sc_arg half = sc_arg_double(0.5);
    sc_arg huge = sc_arg_double(1e300);
    sc_arg object = sc_arg_json(sc_text("{}"));
    sc_arg escaped = sc_arg_json(sc_text("\"\\n\""));
    sc_arg whole = sc_arg_json(sc_text(" 2.0 "));
    sc_arg string = sc_arg_json(sc_text("\"s\""));
    sc_arg null_json = sc_arg_json(sc_text("null"));

    assert_int_equal(sc_arg_get_integer(&text, &integer), SC_ERR_TYPE);
    assert_int_equal(sc_arg_get_bool(&text, &truth), SC_ERR_TYPE);
    assert_int_equal(sc_arg_get_double(&text, &number), SC_ERR_TYPE);
    assert_int_equal(sc_arg_get_json(&text, &bytes), SC_ERR_TYPE);
    assert_int_equal(sc_arg_get_integer(&half, &integer), SC_ERR_TYPE);
    assert_int_equal(sc_arg_get_integer(&huge, &integer), SC_ERR_TYPE);
    assert_int_equal(sc_arg_get_bytes(&half, &bytes), SC_ERR_TYPE);
    assert_int_equal(sc_arg_get_double(&object, &number), SC_ERR_TYPE);
    assert_int_equal(sc_arg_get_bytes(&escaped, &bytes), SC_ERR_TYPE);
    assert_int_equal(sc_arg_get_integer(&whole, &integer), SC_OK);
    assert_int_equal(integer, 2);
    assert_int_equal(sc_arg_get_bytes(&string, &bytes), SC_OK);
    assert_slice_is(bytes, sc_text("s"));
    assert_true(sc_arg_is_null(&null_json));
    assert_false(sc_arg_is_null(&object));
}

/* --- memory */

#define FAULT_JSON "[\"a\\nb\", {\"b\": [1, {\"c\": 2}], \"a\": \"x\", \"a\": 3}, 1.5]"

static void use_all(const sc_memory *memory, sc_status *status)
{
    sci_args args, copy;
    sci_bytes out;
    *status = sci_args_from_json(memory, sc_text(FAULT_JSON), &args);
    if (*status != SC_OK)
        return;
    *status = sci_args_copy(memory, args.at, args.count, &copy);
    if (*status == SC_OK) {
        sci_bytes_init(&out, memory);
        *status = sci_signature_sigmund(copy.at, copy.count, &out);
        if (*status == SC_OK)
            *status = sci_signature_canonical(copy.at, copy.count, &out);
        else
            assert_int_equal(sci_bytes_len(&out), 0);
        sci_bytes_free(&out);
        sci_args_free(&copy);
    }
    sci_args_free(&args);
}

static void every_failing_allocation_is_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    fault_memory memory;
    sc_status status;
    fault_memory_init(&memory);
    use_all(&memory.table, &status);
    assert_int_equal(status, SC_OK);
    size_t requests = fault_memory_requests(&memory);
    assert_true(requests >= 7);
    for (size_t i = 1; i <= 2 * requests; i++) {
        fault_memory_fail(&memory, (i + 1) / 2, i % 2 == 0);
        use_all(&memory.table, &status);
        assert_int_equal(status, SC_ERR_MEMORY);
        assert_true(fault_memory_is_clean(&memory));
    }
    fault_memory_fail(&memory, 0, false);
    use_all(&memory.table, &status);
    assert_int_equal(status, SC_OK);
    fault_memory_free(&memory);
}

/* Members that come in an order that is bad for sorting; n^2 of them would take minutes. */
static void many_members_are_ordered_in_good_time(void **state)
{
    (void)state;
    const int count = 200000;
    sc_memory memory = platform_memory();
    sci_bytes json, out;
    char member[32];
    sci_bytes_init(&json, &memory);
    assert_int_equal(sci_bytes_append_char(&json, '{'), SC_OK);
    for (int i = 0; i < count; i++) {
        int len = snprintf(member, sizeof member, "%s\"k%d\":%d", i ? "," : "", (count - i) / 2, i);
        assert_int_equal(sci_bytes_append(&json, sc_bytes(member, (size_t)len)), SC_OK);
    }
    assert_int_equal(sci_bytes_append_char(&json, '}'), SC_OK);
    sc_arg arg = sc_arg_json(sci_bytes_slice(&json));
    out = sign(sci_signature_canonical, &arg, 1);
    assert_slice_is(sc_bytes(out.data + out.start, 22), sc_text("[{\"k0\":199999,\"k1\":199"));
    sci_bytes_free(&out);
    out = sign(sci_signature_sigmund, &arg, 1);
    assert_slice_is(sc_bytes(out.data + out.start, 21), sc_text("{0{k1000000k999992k99"));
    sci_bytes_free(&out);
    sci_bytes_free(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sigmund_gives_what_node_gives),
        cmocka_unit_test(sigmund_gives_what_node_gives_in_all_shared_cases),
        cmocka_unit_test(sigmund_of_c_values_is_that_of_the_json_values),
        cmocka_unit_test(sigmund_keeps_all_digits_of_a_c_integer_and_rounds_those_of_json),
        cmocka_unit_test(sigmund_orders_members_as_javascript_does),
        cmocka_unit_test(sigmund_takes_the_last_value_of_a_repeated_name_at_its_first_place),
        cmocka_unit_test(sigmund_joins_surrogates_across_strings_and_replaces_lone_ones),
        cmocka_unit_test(sigmund_leaves_bytes_that_are_not_utf8_as_they_are),
        cmocka_unit_test(sigmund_gives_what_node_gives_for_random_arguments),
        cmocka_unit_test(canonical_is_a_readable_json_array),
        cmocka_unit_test(canonical_tells_a_number_from_its_text),
        cmocka_unit_test(canonical_numbers_are_their_exact_decimal_values),
        cmocka_unit_test(canonical_c_numbers_are_those_of_json),
        cmocka_unit_test(canonical_sorts_members_and_takes_the_last_of_a_name),
        cmocka_unit_test(canonical_keeps_every_string_distinct),
        cmocka_unit_test(canonical_is_the_same_for_a_value_however_it_is_given),
        cmocka_unit_test(a_long_signature_is_cut_and_hashed),
        cmocka_unit_test(a_long_signature_is_cut_between_characters),
        cmocka_unit_test(an_error_names_the_argument_and_what_is_wrong),
        cmocka_unit_test(nesting_is_allowed_up_to_the_limit_and_refused_above),
        cmocka_unit_test(the_elements_of_a_json_array_become_arguments),
        cmocka_unit_test(an_empty_json_array_gives_no_arguments),
        cmocka_unit_test(what_is_no_json_array_is_refused),
        cmocka_unit_test(a_copy_of_arguments_borrows_nothing),
        cmocka_unit_test(arguments_answer_only_to_what_they_are),
        cmocka_unit_test(every_failing_allocation_is_an_error_and_leaks_nothing),
        cmocka_unit_test(many_members_are_ordered_in_good_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
