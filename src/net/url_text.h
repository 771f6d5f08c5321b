#pragma once
/* Reading a URL's text: spans, percent-encoding, and messages. */

#include "net/url.h"

typedef struct sci_url_parser {
    const char *text;
    size_t len;
    size_t at;      /* the next byte to look at */
    unsigned seen;  /* SCI_URL_HAS_... */
    bool is_secret; /* from here on the text may be a password's */
#ifndef SMARTCACHE_NO_SERVER
    bool is_place; /* where to listen: a port may be 0 */
#endif
    sci_url *url;
} sci_url_parser;

/* A span of the text. */
typedef struct sci_url_span {
    size_t start, end;
} sci_url_span;

static inline sci_url_span sci_url_span_of(size_t start, size_t end)
{
    sci_url_span span;
    span.start = start;
    span.end = end;
    return span;
}

/* Offset of the first `c` in the span; its end when there is none. */
SCI_PRIVATE size_t sci_url_find(const sci_url_parser *parser, sci_url_span span, char c);
/* Before an '@' stand user and password, also when a character that should have been encoded has
   cut them in two. */
SCI_PRIVATE bool sci_url_is_hidden(const sci_url_parser *parser, size_t at);
/* Fail at an offset: what stands there, and what was expected. */
SCI_PRIVATE sc_status sci_url_fail(const sci_url_parser *parser, size_t at, const char *expected);
/* Take one character, plain or percent-encoded, from the front of a span that is not empty. */
SCI_PRIVATE sc_status sci_url_take(const sci_url_parser *parser, sci_url_span *span,
                                   char *character);
/* Decode a span into a new text; an empty one gives NULL. */
SCI_PRIVATE sc_status sci_url_decode(const sci_url_parser *parser, sci_url_span span, char **text);
/* Take decimal digits from the front of a span: one at least, `max` at most. */
SCI_PRIVATE sc_status sci_url_take_number(const sci_url_parser *parser, sci_url_span *span,
                                          int64_t max, const char *expected, int64_t *number);
