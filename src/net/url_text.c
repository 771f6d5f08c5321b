/* Reading a URL's text. Messages say where, what stands there and what was expected, and keep silent
   about whatever may be a part of a password. */

#include "net/url_text.h"

#include "base/error.h"
#include "base/number.h"

SCI_PRIVATE size_t sci_url_find(const sci_url_parser *parser, sci_url_span span, char c)
{
    const void *found =
        span.start < span.end ? memchr(parser->text + span.start, c, span.end - span.start) : NULL;
    return found ? (size_t)((const char *)found - parser->text) : span.end;
}

SCI_PRIVATE bool sci_url_is_hidden(const sci_url_parser *parser, size_t at)
{
    return parser->is_secret ||
           sci_url_find(parser, sci_url_span_of(at, parser->len), '@') < parser->len;
}

SCI_PRIVATE sc_status sci_url_fail(const sci_url_parser *parser, size_t at, const char *expected)
{
    char found[32];
    const char *hint = "";
    unsigned char c = at < parser->len ? (unsigned char)parser->text[at] : 0;
    if (at >= parser->len) {
        sci_format(found, sizeof(found), "the end");
    } else if (sci_url_is_hidden(parser, at)) {
        sci_format(found, sizeof(found), "a character that is not shown");
        hint = "; in a user or password percent-encode all but letters and digits ('@' is %40)";
    } else if (c > ' ' && c < 0x7f) {
        sci_format(found, sizeof(found), "'%c'", (int)c);
    } else {
        sci_format(found, sizeof(found), "byte %u", (unsigned)c);
    }
    return sc_fail(SC_ERR_URL, "URL, offset %zu: found %s, expected %s%s", at, found, expected,
                   hint);
}

SCI_PRIVATE sc_status sci_url_take(const sci_url_parser *parser, sci_url_span *span,
                                   char *character)
{
    char c = parser->text[span->start];
    if ((unsigned char)c <= ' ' || c == 0x7f)
        return sci_url_fail(parser, span->start,
                            "spaces and control characters percent-encoded, such as %20");
    if (c != '%') {
        *character = c;
        span->start++;
        return SC_OK;
    }
    for (size_t i = 1; i <= 2; i++)
        if (span->start + i >= span->end || sci_hex_digit(parser->text[span->start + i]) < 0)
            return sci_url_fail(parser, sci_min_size(span->start + i, span->end),
                                "two hexadecimal digits after '%' (a '%' itself is %25)");
    c = (char)(sci_hex_digit(parser->text[span->start + 1]) * 16 +
               sci_hex_digit(parser->text[span->start + 2]));
    if (c == '\0')
        return sci_url_fail(parser, span->start, "any byte but %00");
    *character = c;
    span->start += 3;
    return SC_OK;
}

SCI_PRIVATE sc_status sci_url_decode(const sci_url_parser *parser, sci_url_span span, char **text)
{
    sci_url_span rest = span;
    size_t len = 0;
    char c;
    *text = NULL;
    for (; rest.start < rest.end; len++) {
        sc_status status = sci_url_take(parser, &rest, &c);
        if (status != SC_OK)
            return status;
    }
    if (len == 0)
        return SC_OK;
    *text = (char *)sci_alloc_zeroed(&parser->url->memory, len + 1);
    if (!*text)
        return SC_ERR_MEMORY;
    rest = span;
    for (size_t i = 0; i < len; i++)
        (void)sci_url_take(parser, &rest, &(*text)[i]);
    return SC_OK;
}

SCI_PRIVATE sc_status sci_url_take_number(const sci_url_parser *parser, sci_url_span *span,
                                          int64_t max, const char *expected, int64_t *number)
{
    size_t first = span->start;
    int64_t value = 0;
    while (span->start < span->end) {
        sci_url_span next = *span;
        char c = '\0';
        sc_status status = sci_url_take(parser, &next, &c);
        if (status != SC_OK)
            return status;
        if (c < '0' || c > '9')
            break;
        if (value > (max - (c - '0')) / 10)
            return sci_url_fail(parser, span->start, expected);
        value = value * 10 + (c - '0');
        *span = next;
    }
    if (span->start == first)
        return sci_url_fail(parser, first, expected);
    *number = value;
    return SC_OK;
}
