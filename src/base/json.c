/* A strict pull reader of JSON (RFC 8259), and the unescaping of its strings. */

#include "base/json.h"

#include "base/number.h"

/* What the grammar allows next; the reader's `expect`. */
enum {
    SCI_JSON_EXPECT_VALUE,
    SCI_JSON_EXPECT_VALUE_OR_END, /* after '[' */
    SCI_JSON_EXPECT_KEY,          /* after ',' in an object */
    SCI_JSON_EXPECT_KEY_OR_END,   /* after '{' */
    SCI_JSON_EXPECT_COLON,
    SCI_JSON_EXPECT_COMMA_OR_END,
    SCI_JSON_EXPECT_NOTHING /* the value is complete */
};

SCI_PRIVATE void sci_json_begin(sci_json_reader *reader, sc_slice text)
{
    memset(reader, 0, sizeof *reader);
    reader->text = text;
    reader->expect = SCI_JSON_EXPECT_VALUE;
}

/* The next byte, or -1 at the end of the text. */
static inline int sci_json_peek(const sci_json_reader *reader)
{
    if (reader->at == reader->text.len)
        return -1;
    return (unsigned char)reader->text.data[reader->at];
}

static sc_status sci_json_fail(const sci_json_reader *reader, const char *expected)
{
    int found = sci_json_peek(reader);
    if (found < 0)
        return sc_fail(SC_ERR_ARGUMENT, "JSON ends at byte %zu where %s was expected", reader->at,
                       expected);
    if (found > ' ' && found < 0x7f)
        return sc_fail(SC_ERR_ARGUMENT, "JSON, byte %zu: %s was expected, not '%c'", reader->at,
                       expected, found);
    return sc_fail(SC_ERR_ARGUMENT, "JSON, byte %zu: %s was expected, not the byte 0x%x",
                   reader->at, expected, (unsigned)found);
}

static void sci_json_skip_space(sci_json_reader *reader)
{
    for (;;) {
        int c = sci_json_peek(reader);
        if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
            return;
        reader->at++;
    }
}

/* MARK: Strings */

/* Offset of the first byte from `at` on that is no plain ASCII character of a string. Eight bytes
   at a time while there are (see "Determine if a word has a byte less than n", Bit Twiddling
   Hacks). */
static size_t sci_json_skip_plain(sc_slice text, size_t at)
{
    const uint64_t ones = UINT64_MAX / 255;
    const uint64_t highs = ones << 7;
    while (text.len - at >= 8) {
        uint64_t word;
        memcpy(&word, text.data + at, sizeof word);
        uint64_t quote = word ^ (ones * '"');
        uint64_t escape = word ^ (ones * '\\');
        uint64_t special = (word - ones * 0x20) | (quote - ones) | (escape - ones) | word;
        if (special & highs)
            break;
        at += 8;
    }
    for (; at < text.len; at++) {
        unsigned char c = (unsigned char)text.data[at];
        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
            break;
    }
    return at;
}

/* Bytes of the UTF-8 sequence that begins with `first`, which is not ASCII, and the range of its
   second byte (Unicode, table 3-7). 0 when no sequence begins so. */
static size_t sci_json_utf8_shape(unsigned first, unsigned *second_min, unsigned *second_max)
{
    *second_min = 0x80;
    *second_max = 0xbf;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef) {
        if (first == 0xe0)
            *second_min = 0xa0; /* shorter sequences exist */
        if (first == 0xed)
            *second_max = 0x9f; /* surrogates */
        return 3;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        if (first == 0xf0)
            *second_min = 0x90; /* shorter sequences exist */
        if (first == 0xf4)
            *second_max = 0x8f; /* past U+10FFFF */
        return 4;
    }
    return 0;
}

static sc_status sci_json_skip_utf8(sci_json_reader *reader)
{
    unsigned min, max;
    size_t len = sci_json_utf8_shape((unsigned)sci_json_peek(reader), &min, &max);
    if (len == 0)
        return sci_json_fail(reader, "UTF-8");
    reader->at++;
    for (size_t i = 1; i < len; i++) {
        int c = sci_json_peek(reader);
        if (c < (int)min || c > (int)max)
            return sci_json_fail(reader, "the rest of a UTF-8 character");
        reader->at++;
        min = 0x80;
        max = 0xbf;
    }
    return SC_OK;
}

static sc_status sci_json_skip_escape(sci_json_reader *reader)
{
    reader->at++; /* the backslash */
    int c = sci_json_peek(reader);
    if (c <= 0 || !strchr("\"\\/bfnrtu", c))
        return sci_json_fail(reader, "one of \" \\ / b f n r t u");
    reader->at++;
    if (c != 'u')
        return SC_OK;
    for (int i = 0; i < 4; i++) {
        if (sci_hex_digit(sci_json_peek(reader)) < 0)
            return sci_json_fail(reader, "a hexadecimal digit");
        reader->at++;
    }
    return SC_OK;
}

static sc_status sci_json_read_string(sci_json_reader *reader, sci_json_token *token)
{
    size_t start = ++reader->at;
    token->is_plain = true;
    for (;;) {
        reader->at = sci_json_skip_plain(reader->text, reader->at);
        int c = sci_json_peek(reader);
        sc_status status = SC_OK;
        if (c == '"') {
            token->raw = sc_bytes(reader->text.data + start, reader->at - start);
            reader->at++;
            return SC_OK;
        }
        if (c == '\\') {
            token->is_plain = false;
            status = sci_json_skip_escape(reader);
        } else if (c >= 0x80) {
            status = sci_json_skip_utf8(reader);
        } else if (c < 0) {
            status = sci_json_fail(reader, "the closing quote");
        } else {
            status = sci_json_fail(reader, "an escape, as control characters need,");
        }
        if (status != SC_OK)
            return status;
    }
}

/* MARK: Numbers and words */

/* At least one digit. */
static sc_status sci_json_skip_digits(sci_json_reader *reader)
{
    int c = sci_json_peek(reader);
    if (c < '0' || c > '9')
        return sci_json_fail(reader, "a digit");
    do {
        reader->at++;
        c = sci_json_peek(reader);
    } while (c >= '0' && c <= '9');
    return SC_OK;
}

static sc_status sci_json_read_number(sci_json_reader *reader, sci_json_token *token)
{
    size_t start = reader->at;
    sc_status status = SC_OK;
    if (sci_json_peek(reader) == '-')
        reader->at++;
    /* A zero stands alone; a digit after it is the next token, which the grammar does not allow. */
    if (sci_json_peek(reader) == '0')
        reader->at++;
    else
        status = sci_json_skip_digits(reader);
    if (status == SC_OK && sci_json_peek(reader) == '.') {
        reader->at++;
        status = sci_json_skip_digits(reader);
    }
    int c = sci_json_peek(reader);
    if (status == SC_OK && (c == 'e' || c == 'E')) {
        reader->at++;
        c = sci_json_peek(reader);
        if (c == '+' || c == '-')
            reader->at++;
        status = sci_json_skip_digits(reader);
    }
    token->kind = SCI_JSON_NUMBER;
    token->raw = sc_bytes(reader->text.data + start, reader->at - start);
    return status;
}

static sc_status sci_json_read_word(sci_json_reader *reader, sci_json_token *token,
                                    const char *word, sci_json_kind kind)
{
    for (const char *c = word; *c; c++) {
        if (sci_json_peek(reader) != *c)
            return sci_json_fail(reader, word);
        reader->at++;
    }
    token->kind = kind;
    return SC_OK;
}

/* MARK: Structure */

static bool sci_json_in_object(const sci_json_reader *reader)
{
    unsigned level = reader->depth - 1;
    return (reader->is_object[level / 8] >> level % 8 & 1) != 0;
}

/* A value or an end was read: say what can follow it. */
static void sci_json_value_done(sci_json_reader *reader)
{
    reader->expect = reader->depth > 0 ? SCI_JSON_EXPECT_COMMA_OR_END : SCI_JSON_EXPECT_NOTHING;
}

static sc_status sci_json_open(sci_json_reader *reader, sci_json_token *token, bool is_object)
{
    unsigned level = reader->depth;
    if (level == SCI_JSON_DEPTH)
        return sc_fail(SC_ERR_LIMIT, "JSON, byte %zu: nested deeper than %d levels", reader->at,
                       SCI_JSON_DEPTH);
    unsigned bit = 1u << level % 8;
    unsigned bits = reader->is_object[level / 8];
    reader->is_object[level / 8] = (unsigned char)(is_object ? bits | bit : bits & ~bit);
    reader->depth++;
    reader->at++;
    reader->expect = is_object ? SCI_JSON_EXPECT_KEY_OR_END : SCI_JSON_EXPECT_VALUE_OR_END;
    token->kind = is_object ? SCI_JSON_OBJECT_BEGIN : SCI_JSON_ARRAY_BEGIN;
    return SC_OK;
}

static sc_status sci_json_close(sci_json_reader *reader, sci_json_token *token)
{
    token->kind = sci_json_in_object(reader) ? SCI_JSON_OBJECT_END : SCI_JSON_ARRAY_END;
    reader->depth--;
    reader->at++;
    sci_json_value_done(reader);
    return SC_OK;
}

static sc_status sci_json_read_scalar(sci_json_reader *reader, sci_json_token *token)
{
    switch (sci_json_peek(reader)) {
    case '"':
        token->kind = SCI_JSON_STRING;
        return sci_json_read_string(reader, token);
    case 'n':
        return sci_json_read_word(reader, token, "null", SCI_JSON_NULL);
    case 't':
        return sci_json_read_word(reader, token, "true", SCI_JSON_TRUE);
    case 'f':
        return sci_json_read_word(reader, token, "false", SCI_JSON_FALSE);
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return sci_json_read_number(reader, token);
    default:
        return sci_json_fail(
            reader, reader->expect == SCI_JSON_EXPECT_VALUE_OR_END ? "a value or ']'" : "a value");
    }
}

static sc_status sci_json_read_value(sci_json_reader *reader, sci_json_token *token)
{
    int c = sci_json_peek(reader);
    if (c == '[' || c == '{')
        return sci_json_open(reader, token, c == '{');
    if (c == ']' && reader->expect == SCI_JSON_EXPECT_VALUE_OR_END)
        return sci_json_close(reader, token);
    sc_status status = sci_json_read_scalar(reader, token);
    if (status == SC_OK)
        sci_json_value_done(reader);
    return status;
}

static sc_status sci_json_read_key(sci_json_reader *reader, sci_json_token *token)
{
    int c = sci_json_peek(reader);
    bool may_end = reader->expect == SCI_JSON_EXPECT_KEY_OR_END;
    if (c == '}' && may_end)
        return sci_json_close(reader, token);
    if (c != '"')
        return sci_json_fail(reader, may_end ? "a key in quotes or '}'" : "a key in quotes");
    token->kind = SCI_JSON_KEY;
    reader->expect = SCI_JSON_EXPECT_COLON;
    return sci_json_read_string(reader, token);
}

SCI_PRIVATE sc_status sci_json_next(sci_json_reader *reader, sci_json_token *token)
{
    memset(token, 0, sizeof *token);
    sci_json_skip_space(reader);
    int c = sci_json_peek(reader);
    if (reader->expect == SCI_JSON_EXPECT_COMMA_OR_END) {
        bool is_object = sci_json_in_object(reader);
        if (c == (is_object ? '}' : ']'))
            return sci_json_close(reader, token);
        if (c != ',')
            return sci_json_fail(reader, is_object ? "',' or '}'" : "',' or ']'");
        reader->expect = is_object ? SCI_JSON_EXPECT_KEY : SCI_JSON_EXPECT_VALUE;
        reader->at++;
        sci_json_skip_space(reader);
    } else if (reader->expect == SCI_JSON_EXPECT_COLON) {
        if (c != ':')
            return sci_json_fail(reader, "':'");
        reader->expect = SCI_JSON_EXPECT_VALUE;
        reader->at++;
        sci_json_skip_space(reader);
    }

    switch (reader->expect) {
    case SCI_JSON_EXPECT_NOTHING:
        token->kind = SCI_JSON_END;
        return c < 0 ? SC_OK : sci_json_fail(reader, "the end of the text");
    case SCI_JSON_EXPECT_KEY:
    case SCI_JSON_EXPECT_KEY_OR_END:
        return sci_json_read_key(reader, token);
    default:
        return sci_json_read_value(reader, token);
    }
}

SCI_PRIVATE sc_status sci_json_check(sc_slice text)
{
    sci_json_reader reader;
    sci_json_token token;
    sci_json_begin(&reader, text);
    for (;;) {
        sc_status status = sci_json_next(&reader, &token);
        if (status != SC_OK || token.kind == SCI_JSON_END)
            return status;
    }
}

/* MARK: Unescaping */

/* The four hexadecimal digits at `at`; the reader has checked them. */
static uint32_t sci_json_code_unit(const char *at)
{
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++)
        unit = unit * 16 + (uint32_t)sci_hex_digit((unsigned char)at[i]);
    return unit;
}

static char *sci_json_put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        *out++ = (char)code;
        return out;
    }
    if (code < 0x800) {
        *out++ = (char)(0xc0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *out++ = (char)(0xe0 | code >> 12);
        } else {
            *out++ = (char)(0xf0 | code >> 18);
            *out++ = (char)(0x80 | (code >> 12 & 0x3f));
        }
        *out++ = (char)(0x80 | (code >> 6 & 0x3f));
    }
    *out++ = (char)(0x80 | (code & 0x3f));
    return out;
}

#define SCI_JSON_REPLACEMENT 0xfffd /* stands for what cannot be written in UTF-8 */

/* The character whose \uXXXX begins at `*at`, a second one included when they are a pair. */
static uint32_t sci_json_take_code(const char **at, const char *end)
{
    uint32_t high = sci_json_code_unit(*at + 2);
    *at += 6;
    if (high < 0xd800 || high > 0xdfff)
        return high;
    if (high > 0xdbff || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
        return SCI_JSON_REPLACEMENT;
    uint32_t low = sci_json_code_unit(*at + 2);
    if (low < 0xdc00 || low > 0xdfff)
        return SCI_JSON_REPLACEMENT;
    *at += 6;
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

SCI_PRIVATE char sci_json_escaped(char letter)
{
    switch (letter) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return letter;
    }
}

SCI_PRIVATE size_t sci_json_unescape(const sci_json_token *token, char *out)
{
    if (token->is_plain) {
        if (token->raw.len > 0)
            memcpy(out, token->raw.data, token->raw.len);
        return token->raw.len;
    }
    const char *at = token->raw.data;
    const char *end = at + token->raw.len;
    char *start = out;
    while (at < end) {
        if (*at != '\\') {
            *out++ = *at++;
        } else if (at[1] == 'u') {
            out = sci_json_put_utf8(out, sci_json_take_code(&at, end));
        } else {
            *out++ = sci_json_escaped(at[1]);
            at += 2;
        }
    }
    return (size_t)(out - start);
}
