/* The JSON reader: what it takes, what it refuses and with which words, and what strings mean. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* The JSON parsing test suite (https://github.com/nst/JSONTestSuite), where it lies by the tree. */
#define SUITE_FOLDER "../shared/data/json"

/* A copy that ends where the block ends, so that a sanitizer sees every byte read too many. */
static sc_slice tight_copy(sc_slice text)
{
    char *copy = (char *)malloc(text.len ? text.len : 1);
    assert_non_null(copy);
    if (text.len)
        memcpy(copy, text.data, text.len);
    return sc_bytes(copy, text.len);
}

static void free_copy(sc_slice text)
{
    free((void *)(uintptr_t)text.data);
}

static sc_status check_text(sc_slice text)
{
    sc_slice copy = tight_copy(text);
    sc_status status = sci_json_check(copy);
    free_copy(copy);
    return status;
}

static void check_suite_file(const char *name)
{
    char path[1024];
    static char content[1 << 20];
    (void)snprintf(path, sizeof path, SUITE_FOLDER "/%s", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = fread(content, 1, sizeof content, file);
    assert_true(len < sizeof content);
    assert_int_equal(fclose(file), 0);
    sc_status status = check_text(sc_bytes(content, len));
    if (name[0] == 'y' && status != SC_OK)
        fail_msg("%s was refused: %s", name, sc_error_text());
    if (name[0] == 'n' && status == SC_OK)
        fail_msg("%s was taken", name);
    if (status != SC_OK && status != SC_ERR_ARGUMENT && status != SC_ERR_LIMIT)
        fail_msg("%s: %s", name, sc_status_name(status));
}

static void the_test_suite_is_taken_and_refused_as_it_says(void **state)
{
    (void)state;
    DIR *folder = opendir(SUITE_FOLDER);
    if (!folder) {
        print_message("no " SUITE_FOLDER ": the suite is left out\n");
        skip();
    }
    int files = 0;
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        if (!strstr(entry->d_name, ".json"))
            continue;
        check_suite_file(entry->d_name);
        files++;
    }
    (void)closedir(folder);
    assert_true(files > 0);
}

static void valid_texts_are_taken(void **state)
{
    (void)state;
    static const char *const texts[] = {"null",
                                        "true",
                                        "false",
                                        "0",
                                        "-0",
                                        "-1.5e-10",
                                        "1E+2",
                                        "10.01e0",
                                        "\"\"",
                                        "\"a\"",
                                        "[]",
                                        "{}",
                                        " [ ] ",
                                        "\t\r\n{ }\n",
                                        "[1,2,[3,[]],{}]",
                                        "[{},[1,2]]",
                                        "[[],{\"a\":1}]",
                                        "{\"a\":1,\"a\":2}",
                                        "{\"\":{\"\":[]}}",
                                        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
                                        "\"\\ud83d\\ude00\"",
                                        "\"\\ud800\"",
                                        "\"\\uDC00x\"",
                                        "\"\x7f\"",
                                        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
                                        "123456789012345678901234567890",
                                        "[\"a\" , \"b\" ]",
                                        "{ \"a\" : [ true , null ] }"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (check_text(sc_text(texts[i])) != SC_OK)
            fail_msg("%s was refused: %s", texts[i], sc_error_text());
    }
}

static void invalid_texts_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        " ",
                                        "nul",
                                        "nulL",
                                        "True",
                                        "truefalse",
                                        "01",
                                        "-",
                                        "-01",
                                        "1.",
                                        ".5",
                                        "+1",
                                        "1e",
                                        "1e+",
                                        "1.5.5",
                                        "0x1",
                                        "NaN",
                                        "Infinity",
                                        "-Infinity",
                                        "[",
                                        "]",
                                        "[1",
                                        "[1,",
                                        "[1,]",
                                        "[,1]",
                                        "[1 2]",
                                        "[1]]",
                                        "[1}",
                                        "{",
                                        "}",
                                        "{\"a\"",
                                        "{\"a\":",
                                        "{\"a\":1",
                                        "{\"a\":1,",
                                        "{\"a\":1,}",
                                        "{\"a\"}",
                                        "{\"a\",1}",
                                        "{a:1}",
                                        "{1:1}",
                                        "{'a':1}",
                                        "{\"a\":1]",
                                        "{,}",
                                        "{\"a\"::1}",
                                        "1 2",
                                        "\"",
                                        "\"a",
                                        "\"\\",
                                        "\"\\\"",
                                        "\"\\x\"",
                                        "\"\\u\"",
                                        "\"\\u12\"",
                                        "\"\\u123g\"",
                                        "\"\\U1234\"",
                                        "\"\n\"",
                                        "\"\t\"",
                                        "'a'",
                                        "//",
                                        "[1] //",
                                        "/**/1",
                                        "\xef\xbb\xbf[]",
                                        "\xff",
                                        "\"\x80\"",
                                        "\"\xc3\"",
                                        "\"\xc0\x80\"",
                                        "\"\xed\xa0\x80\"",
                                        "\"\xf4\x90\x80\x80\"",
                                        "\"\xf5\x80\x80\x80\"",
                                        "\"\xe2\x82\"",
                                        "\"\xe0\x80\x80\"",
                                        "[\xc2\xa0]",
                                        "\f1",
                                        "1\v",
                                        "[1;2]",
                                        "\"a\"b",
                                        "[\"a\"\"b\"]"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (check_text(sc_text(texts[i])) != SC_ERR_ARGUMENT)
            fail_msg("%s was taken", texts[i]);
    }
    assert_int_equal(check_text(sc_bytes("1\0", 2)), SC_ERR_ARGUMENT);
    assert_int_equal(check_text(sc_bytes("\"\0\"", 3)), SC_ERR_ARGUMENT);
    assert_int_equal(check_text(sc_bytes("\"\\\0\"", 4)), SC_ERR_ARGUMENT);
}

static void an_error_names_the_byte_and_what_was_expected(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *words;
    } cases[] = {{"[1 2]", "JSON, byte 3: ',' or ']' was expected, not '2'"},
                 {"{\"a\" 1}", "JSON, byte 5: ':' was expected, not '1'"},
                 {"{\"a\":1 \"b\"", "JSON, byte 7: ',' or '}' was expected, not '\"'"},
                 {"{1:2}", "JSON, byte 1: a key in quotes or '}' was expected, not '1'"},
                 {"{\"a\":1,}", "JSON, byte 7: a key in quotes was expected, not '}'"},
                 {"[,]", "JSON, byte 1: a value or ']' was expected, not ','"},
                 {"[1,]", "JSON, byte 3: a value was expected, not ']'"},
                 {"  ", "JSON ends at byte 2 where a value was expected"},
                 {"\"abc", "JSON ends at byte 4 where the closing quote was expected"},
                 {"nulo", "JSON, byte 3: null was expected, not 'o'"},
                 {"-x", "JSON, byte 1: a digit was expected, not 'x'"},
                 {"1 x", "JSON, byte 2: the end of the text was expected, not 'x'"},
                 {"\"a\xff\"", "JSON, byte 2: UTF-8 was expected, not the byte 0xff"},
                 {"\"\\u12x4\"", "JSON, byte 5: a hexadecimal digit was expected, not 'x'"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(check_text(sc_text(cases[i].text)), SC_ERR_ARGUMENT);
        assert_string_equal(sc_error_text(), cases[i].words);
    }
}

static void a_document_comes_in_tokens(void **state)
{
    (void)state;
    static const struct {
        sci_json_kind kind;
        const char *raw;
    } expected[] = {
        {SCI_JSON_OBJECT_BEGIN, ""}, {SCI_JSON_KEY, "a"},         {SCI_JSON_ARRAY_BEGIN, ""},
        {SCI_JSON_NUMBER, "1"},      {SCI_JSON_NUMBER, "-2.5e3"}, {SCI_JSON_ARRAY_END, ""},
        {SCI_JSON_KEY, "b\\n"},      {SCI_JSON_OBJECT_BEGIN, ""}, {SCI_JSON_OBJECT_END, ""},
        {SCI_JSON_KEY, "c"},         {SCI_JSON_TRUE, ""},         {SCI_JSON_KEY, "d"},
        {SCI_JSON_STRING, "x"},      {SCI_JSON_KEY, "e"},         {SCI_JSON_NULL, ""},
        {SCI_JSON_KEY, "f"},         {SCI_JSON_FALSE, ""},        {SCI_JSON_OBJECT_END, ""},
        {SCI_JSON_END, ""},          {SCI_JSON_END, ""}};
    sci_json_reader reader;
    sci_json_token token;
    sci_json_begin(&reader, sc_text("{\"a\":[1, -2.5e3],\"b\\n\":{},\"c\":true,\"d\":\"x\","
                                    "\"e\":null,\"f\":false}\n"));
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_int_equal(sci_json_next(&reader, &token), SC_OK);
        assert_int_equal(token.kind, expected[i].kind);
        assert_true(sci_slice_equal(token.raw, sc_text(expected[i].raw)));
    }
}

static void nesting_ends_at_its_limit(void **state)
{
    (void)state;
    char text[2 * SCI_JSON_DEPTH + 2];
    memset(text, '[', SCI_JSON_DEPTH);
    memset(text + SCI_JSON_DEPTH, ']', SCI_JSON_DEPTH);
    assert_int_equal(check_text(sc_bytes(text, 2 * SCI_JSON_DEPTH)), SC_OK);
    memset(text, '[', SCI_JSON_DEPTH + 1);
    memset(text + SCI_JSON_DEPTH + 1, ']', SCI_JSON_DEPTH + 1);
    assert_int_equal(check_text(sc_bytes(text, sizeof text)), SC_ERR_LIMIT);
    assert_string_equal(sc_error_text(), "JSON, byte 128: nested deeper than 128 levels");
}

/* Objects and arrays in turn: each level remembers which it is, also after its neighbours closed.
 */
static void levels_do_not_mix_up(void **state)
{
    (void)state;
    char text[2048];
    size_t len = 0;
    for (int level = 0; level < SCI_JSON_DEPTH; level++)
        len += (size_t)snprintf(text + len, sizeof text - len, level % 3 ? "{\"k\":" : "[");
    len += (size_t)snprintf(text + len, sizeof text - len, "0");
    for (int level = SCI_JSON_DEPTH - 1; level >= 0; level--)
        len += (size_t)snprintf(text + len, sizeof text - len, level % 3 ? "}" : "]");
    assert_int_equal(check_text(sc_bytes(text, len)), SC_OK);
    for (size_t i = len - SCI_JSON_DEPTH; i < len; i++) {
        text[i] = text[i] == '}' ? ']' : '}';
        assert_int_equal(check_text(sc_bytes(text, len)), SC_ERR_ARGUMENT);
        text[i] = text[i] == '}' ? ']' : '}';
    }
}

static void a_document_cut_anywhere_is_refused(void **state)
{
    (void)state;
    static const char text[] =
        "{\"key\": [1.25e-3, \"caf\xc3\xa9 \\u00e9 \\\\\", true, null, {\"x\":[]}]}";
    for (size_t len = 0; len < sizeof text - 1; len++)
        assert_int_equal(check_text(sc_bytes(text, len)), SC_ERR_ARGUMENT);
    assert_int_equal(check_text(sc_bytes(text, sizeof text - 1)), SC_OK);
}

/* --- strings */

/* The characters of the string that is `text`, NUL-terminated. */
static size_t unescape(const char *text, bool *is_plain, char *out)
{
    sci_json_reader reader;
    sci_json_token token;
    sci_json_begin(&reader, sc_text(text));
    assert_int_equal(sci_json_next(&reader, &token), SC_OK);
    assert_int_equal(token.kind, SCI_JSON_STRING);
    *is_plain = token.is_plain;
    size_t len = sci_json_unescape(&token, out);
    assert_true(len <= token.raw.len);
    out[len] = '\0';
    return len;
}

static void strings_are_unescaped_to_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *characters;
        bool is_plain;
    } cases[] = {{"\"\"", "", true},
                 {"\"plain caf\xc3\xa9\"", "plain caf\xc3\xa9", true},
                 {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", false},
                 {"\"a\\u0041b\"", "aAb", false},
                 {"\"\\u007f\\u0080\\u07ff\\u0800\\uFFff\"",
                  "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf", false},
                 {"\"\\uD83D\\uDE00\\ud800\\udc00\\udbff\\udfff\"",
                  "\xf0\x9f\x98\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", false},
                 /* surrogates without their other half */
                 {"\"\\ud800\"", "\xef\xbf\xbd", false},
                 {"\"\\udc00\\ud800x\"", "\xef\xbf\xbd\xef\xbf\xbdx", false},
                 {"\"\\ud800\\u0041\"",
                  "\xef\xbf\xbd"
                  "A",
                  false},
                 {"\"\\ud800\\ud800\\udc00\"", "\xef\xbf\xbd\xf0\x90\x80\x80", false},
                 {"\"\\ud800\\n\\udc00\"", "\xef\xbf\xbd\n\xef\xbf\xbd", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[128];
        bool is_plain;
        size_t len = unescape(cases[i].text, &is_plain, out);
        assert_string_equal(out, cases[i].characters);
        assert_int_equal(len, strlen(cases[i].characters));
        assert_int_equal(is_plain, cases[i].is_plain);
    }
    char out[8];
    bool is_plain;
    assert_int_equal(unescape("\"\\u0000\"", &is_plain, out), 1);
    assert_int_equal(out[0], 0);
}

/* The reader looks at eight bytes at a time: each special byte must be seen at each place. */
static void the_end_of_a_string_is_found_at_every_offset(void **state)
{
    (void)state;
    static const unsigned char refused[] = {0x00, 0x01, 0x0a, 0x1f, 0x80, 0xff, 0xc3};
    for (size_t len = 0; len < 40; len++) {
        char text[48];
        memset(text, 'a', sizeof text);
        text[0] = '"';
        text[len + 1] = '"';
        sci_json_reader reader;
        sci_json_token token;
        sci_json_begin(&reader, sc_bytes(text, sizeof text));
        assert_int_equal(sci_json_next(&reader, &token), SC_OK);
        assert_int_equal(token.raw.len, len);
        assert_int_equal(check_text(sc_bytes(text, len + 2)), SC_OK);
        for (size_t at = 1; at <= len; at++) {
            for (size_t i = 0; i < sizeof refused; i++) {
                text[at] = (char)refused[i];
                assert_int_equal(check_text(sc_bytes(text, len + 2)), SC_ERR_ARGUMENT);
            }
            text[at] = 'a';
        }
    }
}

/* Length of the UTF-8 form of a code point, written to `out`. */
static size_t encode(uint32_t code, unsigned char *out)
{
    if (code < 0x800) {
        out[0] = (unsigned char)(0xc0 | code >> 6);
        out[1] = (unsigned char)(0x80 | (code & 0x3f));
        return 2;
    }
    size_t at = 0;
    if (code < 0x10000) {
        out[at++] = (unsigned char)(0xe0 | code >> 12);
    } else {
        out[at++] = (unsigned char)(0xf0 | code >> 18);
        out[at++] = (unsigned char)(0x80 | (code >> 12 & 0x3f));
    }
    out[at++] = (unsigned char)(0x80 | (code >> 6 & 0x3f));
    out[at++] = (unsigned char)(0x80 | (code & 0x3f));
    return at;
}

static void exactly_the_code_points_are_utf8(void **state)
{
    (void)state;
    /* Up to what four bytes could hold. */
    for (uint32_t code = 0x80; code <= 0x1fffff; code++) {
        unsigned char text[8] = {'"'};
        size_t len = encode(code, text + 1);
        text[len + 1] = '"';
        bool is_character = code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
        sc_status status = sci_json_check(sc_bytes(text, len + 2));
        if ((status == SC_OK) != is_character)
            fail_msg("U+%04X: %s", (unsigned)code, sc_status_name(status));
    }
}

static void overlong_utf8_is_refused(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x10000; code++) {
        unsigned char four[] = {'"',
                                0xf0,
                                (unsigned char)(0x80 | code >> 12),
                                (unsigned char)(0x80 | (code >> 6 & 0x3f)),
                                (unsigned char)(0x80 | (code & 0x3f)),
                                '"'};
        assert_int_equal(sci_json_check(sc_bytes(four, sizeof four)), SC_ERR_ARGUMENT);
        if (code >= 0x800)
            continue;
        unsigned char three[] = {'"', 0xe0, (unsigned char)(0x80 | code >> 6),
                                 (unsigned char)(0x80 | (code & 0x3f)), '"'};
        assert_int_equal(sci_json_check(sc_bytes(three, sizeof three)), SC_ERR_ARGUMENT);
    }
}

/* Texts put together from what JSON is made of: whatever comes, the reader ends inside the text,
   says the same twice, and hands out slices of it. */
static void random_texts_are_read_inside_their_bounds(void **state)
{
    (void)state;
    static const char *const pieces[] = {"[",  "]",    "{",   "}",    ",", ":",    "\"a\"",
                                         "\"", "\\",   "\\u", "d83d", "0", "-1",   ".5",
                                         "e9", "null", "tru", "true", " ", "\xc3", "\xa9"};
    uint32_t random = 1;
    for (int i = 0; i < 200000; i++) {
        char text[64];
        size_t len = 0;
        for (int piece = 0; piece < 9; piece++) {
            random = random * 1664525u + 1013904223u;
            const char *next = pieces[(random >> 16) % (sizeof pieces / sizeof pieces[0])];
            memcpy(text + len, next, strlen(next));
            len += strlen(next);
        }
        sc_slice copy = tight_copy(sc_bytes(text, len));
        sci_json_reader reader;
        sci_json_token token;
        sci_json_begin(&reader, copy);
        sc_status status = SC_OK;
        int tokens = 0;
        do {
            status = sci_json_next(&reader, &token);
            assert_true(reader.at <= len);
            assert_true(tokens++ <= (int)len + 1);
            char out[64];
            if (status == SC_OK && (token.kind == SCI_JSON_STRING || token.kind == SCI_JSON_KEY))
                assert_true(sci_json_unescape(&token, out) <= token.raw.len);
        } while (status == SC_OK && token.kind != SCI_JSON_END);
        assert_int_equal(sci_json_check(copy), status);
        free_copy(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_test_suite_is_taken_and_refused_as_it_says),
        cmocka_unit_test(valid_texts_are_taken),
        cmocka_unit_test(invalid_texts_are_refused),
        cmocka_unit_test(an_error_names_the_byte_and_what_was_expected),
        cmocka_unit_test(a_document_comes_in_tokens),
        cmocka_unit_test(nesting_ends_at_its_limit),
        cmocka_unit_test(levels_do_not_mix_up),
        cmocka_unit_test(a_document_cut_anywhere_is_refused),
        cmocka_unit_test(strings_are_unescaped_to_utf8),
        cmocka_unit_test(the_end_of_a_string_is_found_at_every_offset),
        cmocka_unit_test(exactly_the_code_points_are_utf8),
        cmocka_unit_test(overlong_utf8_is_refused),
        cmocka_unit_test(random_texts_are_read_inside_their_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
