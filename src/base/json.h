#pragma once
/* A pull reader over one JSON text (RFC 8259): a token at a time, no allocation, no recursion,
   strict. It checks the whole grammar, UTF-8 included. */

#include "base/prelude.h"

#define SCI_JSON_DEPTH 128 /* deepest nesting; deeper is SC_ERR_LIMIT */

typedef enum sci_json_kind {
    SCI_JSON_END, /* the text is complete */
    SCI_JSON_NULL,
    SCI_JSON_FALSE,
    SCI_JSON_TRUE,
    SCI_JSON_NUMBER,
    SCI_JSON_STRING,
    SCI_JSON_KEY, /* a member's name; its value comes next */
    SCI_JSON_ARRAY_BEGIN,
    SCI_JSON_ARRAY_END,
    SCI_JSON_OBJECT_BEGIN,
    SCI_JSON_OBJECT_END
} sci_json_kind;

typedef struct sci_json_token {
    sci_json_kind kind;
    sc_slice raw;  /* number: its text; string and key: what stands between the quotes, escaped */
    bool is_plain; /* string and key: raw has no escapes */
} sci_json_token;

typedef struct sci_json_reader {
    sc_slice text;
    size_t at; /* offset of the next byte; at an error, of the offending one */
    unsigned depth;
    unsigned char expect;                        /* private to json.c */
    unsigned char is_object[SCI_JSON_DEPTH / 8]; /* one bit a level */
} sci_json_reader;

SCI_PRIVATE void sci_json_begin(sci_json_reader *reader, sc_slice text);
/* SC_OK with the next token; SC_ERR_ARGUMENT with the offset and what was expected in the detail
   text; SC_ERR_LIMIT when nested too deep. */
SCI_PRIVATE sc_status sci_json_next(sci_json_reader *reader, sci_json_token *token);
/* Write the characters of a string or key token as UTF-8 into `out`, which has room for raw.len
   bytes; returns the length. Lone surrogates become U+FFFD. */
SCI_PRIVATE size_t sci_json_unescape(const sci_json_token *token, char *out);
/* What a backslash and `letter` stand for; not for u. */
SCI_PRIVATE char sci_json_escaped(char letter);
/* SC_OK when `text` is one complete JSON value; else as sci_json_next. */
SCI_PRIVATE sc_status sci_json_check(sc_slice text);
