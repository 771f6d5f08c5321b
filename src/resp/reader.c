/* An incremental, zero-copy, strict reader of RESP2, on two paths. Elements that are whole, valid,
   short and no arrays are taken in a tight loop that keeps nothing but its position. Anything else
   (arrays, long lines, what is cut short, what is wrong) goes through a state machine that can stop
   at any byte, goes on there, and knows the words for each error. */

#include "resp/reader.h"

#define SCI_READER_DEFAULT_DEPTH 32
#define SCI_READER_DEFAULT_ELEMENTS 16777216
#define SCI_READER_DEFAULT_BULK_BYTES ((size_t)512 << 20)
#define SCI_READER_DEFAULT_REPLY_BYTES ((size_t)1 << 30)

/* Above this a size cannot be that of an object, and sums could wrap. */
#define SCI_READER_MOST_BYTES (SIZE_MAX / 4)
/* Above this a node's span would not fit. */
#define SCI_READER_MOST_ELEMENTS (UINT32_MAX / 2)

/* Digits of the largest 64-bit integer. */
#define SCI_READER_DIGITS 19
/* Longest text that the tight loop looks through byte by byte. */
#define SCI_READER_SHORT_TEXT 32

enum {
    SCI_READER_AT_TYPE, /* a type byte comes next; 0, as in a fresh reader */
    SCI_READER_IN_TEXT,
    SCI_READER_IN_NUMBER,
    SCI_READER_IN_BULK,
    SCI_READER_IN_STREAM,
    SCI_READER_FAILED
};

/* The bytes of one call. */
typedef struct sci_reader_cursor {
    const char *data;
    const char *at;  /* first byte not consumed */
    const char *end; /* where the bytes end, or the reply's limit */
    bool is_cut;     /* it is the limit: bytes follow that the reply may not use */
} sci_reader_cursor;

/* MARK: Set-up */

static size_t sci_reader_limit(size_t wanted, size_t by_default, size_t most)
{
    return sci_min_size(wanted ? wanted : by_default, most);
}

SCI_PRIVATE void sci_reader_init(sci_reader *reader, const sc_limits *limits)
{
    sc_limits wanted;
    memset(&wanted, 0, sizeof wanted);
    if (limits)
        wanted = *limits;
    memset(reader, 0, sizeof *reader);
    reader->limits.max_depth =
        sci_reader_limit(wanted.max_depth, SCI_READER_DEFAULT_DEPTH, SCI_READER_DEPTH_CAP);
    reader->limits.max_elements = sci_reader_limit(wanted.max_elements, SCI_READER_DEFAULT_ELEMENTS,
                                                   SCI_READER_MOST_ELEMENTS);
    reader->limits.max_bulk_bytes = sci_reader_limit(
        wanted.max_bulk_bytes, SCI_READER_DEFAULT_BULK_BYTES, SCI_READER_MOST_BYTES);
    reader->limits.max_reply_bytes = sci_reader_limit(
        wanted.max_reply_bytes, SCI_READER_DEFAULT_REPLY_BYTES, SCI_READER_MOST_BYTES);
}

SCI_PRIVATE void sci_reader_target(sci_reader *reader, sci_items *items)
{
    sci_assert(sci_reader_is_idle(reader));
    reader->items = items;
}

SCI_PRIVATE void sci_reader_stream(sci_reader *reader, sci_bulk_sink sink, void *user)
{
    sci_assert(sci_reader_is_idle(reader));
    reader->sink = sink;
    reader->sink_user = user;
}

SCI_PRIVATE size_t sci_reader_missing(const sci_reader *reader)
{
    return reader->phase == SCI_READER_IN_BULK ? reader->bulk_len + 2 : 0;
}

SCI_PRIVATE bool sci_reader_is_idle(const sci_reader *reader)
{
    return reader->reply_bytes == 0 && reader->phase != SCI_READER_FAILED;
}

/* MARK: Errors */

/* `at` is the offending byte. */
static sc_status sci_reader_refuse(const sci_reader *reader, const sci_reader_cursor *cursor,
                                   const char *at, const char *expected)
{
    return sc_fail(
        SC_ERR_PROTOCOL, "byte 0x%x at offset %zu of the server's reply, where %s was expected",
        (unsigned)(unsigned char)*at, reader->reply_bytes + (size_t)(at - cursor->data), expected);
}

static sc_status sci_reader_refuse_number(const sci_reader *reader, const sci_reader_cursor *cursor)
{
    return sc_fail(SC_ERR_PROTOCOL,
                   "the number after byte 0x%x at offset %zu of the server's reply is out of range",
                   (unsigned)(unsigned char)reader->type,
                   reader->reply_bytes + (size_t)(cursor->at - cursor->data));
}

static sc_status sci_reader_refuse_limit(const char *what, size_t limit, const char *field)
{
    return sc_fail(SC_ERR_LIMIT, "the server's reply has more than %zu %s: raise sc_limits.%s",
                   limit, what, field);
}

static sc_status sci_reader_refuse_text(const sci_reader *reader)
{
    return sci_reader_refuse_limit("bytes in one string", reader->limits.max_bulk_bytes,
                                   "max_bulk_bytes");
}

static sc_status sci_reader_refuse_reply(const sci_reader *reader)
{
    return sci_reader_refuse_limit("bytes in all", reader->limits.max_reply_bytes,
                                   "max_reply_bytes");
}

/* The window ends before the token does. */
static sc_status sci_reader_suspend(const sci_reader *reader, const sci_reader_cursor *cursor)
{
    return cursor->is_cut ? sci_reader_refuse_reply(reader) : SC_AGAIN;
}

/* MARK: Whole elements, quickly */

/* A canonical number below 10^18 and its line end; returns what follows, or NULL. */
static inline const char *sci_reader_quick_number(const char *at, const char *end, uint64_t *number)
{
    const char *first = at;
    uint64_t value = 0; /* wraps around only where it is not used */
    for (; at < end; at++) {
        unsigned digit = (unsigned)(unsigned char)*at - '0';
        if (digit > 9)
            break;
        value = value * 10 + digit;
    }
    size_t digits = (size_t)(at - first);
    if (digits == 0 || digits >= SCI_READER_DIGITS || (digits > 1 && *first == '0') ||
        end - at < 2 || memcmp(at, "\r\n", 2) != 0)
        return NULL;
    *number = value;
    return at + 2;
}

static inline const char *sci_reader_quick_bulk(const char *at, const char *end,
                                                size_t max_bulk_bytes, sc_item *item)
{
    uint64_t len;
    const char *text = sci_reader_quick_number(at, end, &len);
    if (!text) {
        if (end - at < 4 || memcmp(at, "-1\r\n", 4) != 0)
            return NULL;
        item->is.text = NULL;
        item->len = 0;
        item->kind = SC_NIL;
        return at + 4;
    }
    size_t have = (size_t)(end - text);
    if (len > max_bulk_bytes || have < 2 || len > have - 2 || memcmp(text + len, "\r\n", 2) != 0)
        return NULL;
    item->is.text = text;
    item->len = (size_t)len;
    item->kind = SC_STRING;
    return text + len + 2;
}

/* The sign is a branch of its own: were the position computed from it, the processor could not run
   ahead to the next element. */
static inline const char *sci_reader_quick_integer(const char *at, const char *end, sc_item *item)
{
    uint64_t magnitude;
    const char *after = sci_reader_quick_number(at, end, &magnitude);
    if (after) {
        item->is.integer = (int64_t)magnitude;
    } else {
        if (at == end || *at != '-')
            return NULL;
        after = sci_reader_quick_number(at + 1, end, &magnitude);
        if (!after || magnitude == 0)
            return NULL;
        item->is.integer = -(int64_t)magnitude;
    }
    item->len = 0;
    item->kind = SC_INTEGER;
    return after;
}

static inline const char *sci_reader_quick_text(const char *at, const char *end,
                                                size_t max_bulk_bytes, sc_kind kind, sc_item *item)
{
    const char *text = at;
    const char *stop = end - at > SCI_READER_SHORT_TEXT ? at + SCI_READER_SHORT_TEXT : end;
    /* One comparison a byte: control characters below CR are left to the state machine. */
    while (at < stop && (unsigned char)*at > '\r')
        at++;
    if (end - at < 2 || memcmp(at, "\r\n", 2) != 0 || (size_t)(at - text) > max_bulk_bytes)
        return NULL;
    item->is.text = text;
    item->len = (size_t)(at - text);
    item->kind = (uint32_t)kind;
    return at + 2;
}

/* One element that is whole, valid, short and no array; returns what follows it, or NULL: then the
   state machine has to look. */
static inline const char *sci_reader_quick(const char *at, const char *end, size_t max_bulk_bytes,
                                           sc_item *item)
{
    if (at == end)
        return NULL;
    item->span = 1;
    switch (*at) {
    case '$':
        return sci_reader_quick_bulk(at + 1, end, max_bulk_bytes, item);
    case ':':
        return sci_reader_quick_integer(at + 1, end, item);
    case '+':
        return sci_reader_quick_text(at + 1, end, max_bulk_bytes, SC_SIMPLE, item);
    case '-':
        return sci_reader_quick_text(at + 1, end, max_bulk_bytes, SC_ERROR, item);
    default:
        return NULL;
    }
}

/* An open array's node keeps what a stack would: the elements still to come, and in `span` the node
   of the array around it. */
static sc_item *sci_reader_innermost(const sci_reader *reader)
{
    return &reader->items->at[reader->innermost];
}

/* As many elements of the innermost array as that can take. */
static void sci_reader_elements(sci_reader *reader, sci_reader_cursor *cursor)
{
    sci_items *items = reader->items;
    sc_item *array = sci_reader_innermost(reader);
    size_t room = sci_min_size((size_t)array->is.integer, items->cap - items->count);
    sc_item *first = items->at + items->count;
    sc_item *item = first;
    const char *at = cursor->at;
    for (; room > 0; room--, item++) {
        const char *after = sci_reader_quick(at, cursor->end, reader->limits.max_bulk_bytes, item);
        if (!after)
            break;
        at = after;
    }
    cursor->at = at;
    array->is.integer -= item - first;
    items->count += (uint32_t)(item - first);
}

/* MARK: The state machine */

/* A new last node, counted as an element of the innermost array; NULL when there is no memory. */
static sc_item *sci_reader_append(sci_reader *reader, sc_kind kind, const char *text, size_t len)
{
    sci_items *items = reader->items;
    if (items->count == items->cap && sci_items_grow(items) != SC_OK)
        return NULL;
    sc_item *item = &items->at[items->count++];
    item->is.text = text;
    item->len = len;
    item->kind = (uint32_t)kind;
    item->span = 1;
    if (reader->depth > 0)
        sci_reader_innermost(reader)->is.integer--;
    reader->phase = SCI_READER_AT_TYPE;
    return item;
}

static sc_status sci_reader_text(sci_reader *reader, sci_reader_cursor *cursor)
{
    const char *text = cursor->at + 1;
    size_t have = (size_t)(cursor->end - text);
    bool is_too_long = have > reader->limits.max_bulk_bytes;
    const char *stop = is_too_long ? text + reader->limits.max_bulk_bytes + 1 : cursor->end;
    const char *at = cursor->at + reader->scanned;
    const char *cr = (const char *)memchr(at, '\r', (size_t)(stop - at));
    const char *lf = (const char *)memchr(at, '\n', (size_t)((cr ? cr : stop) - at));
    if (lf)
        return sci_reader_refuse(reader, cursor, lf, "CR before it");
    reader->scanned = (size_t)((cr ? cr : stop) - cursor->at);
    if (!cr && is_too_long)
        return sci_reader_refuse_text(reader);
    if (!cr || cr + 1 == cursor->end)
        return sci_reader_suspend(reader, cursor);
    if (cr[1] != '\n')
        return sci_reader_refuse(reader, cursor, cr + 1, "LF after CR");
    if (!sci_reader_append(reader, reader->type == '+' ? SC_SIMPLE : SC_ERROR, text,
                           (size_t)(cr - text)))
        return SC_ERR_MEMORY;
    cursor->at = cr + 2;
    return SC_OK;
}

/* Take in one more byte of a number, the `position`th after the type byte. */
static sc_status sci_reader_digit(sci_reader *reader, const sci_reader_cursor *cursor,
                                  const char *at)
{
    size_t position = (size_t)(at - cursor->at) - 1;
    unsigned digit = (unsigned)(unsigned char)*at - '0';
    if (*at == '-' && position == 0) {
        reader->is_negative = true;
        return SC_OK;
    }
    size_t digits = position - reader->is_negative;
    if (digit > 9)
        return sci_reader_refuse(reader, cursor, at, digits ? "a digit or CR" : "a digit");
    if (digits > 0 && reader->number == 0)
        return sci_reader_refuse(reader, cursor, at, "no digit after a leading zero");
    if (digits == 0 && reader->is_negative && digit == 0)
        return sci_reader_refuse(reader, cursor, at, "a digit from 1 to 9");
    if (digits == SCI_READER_DIGITS)
        return sci_reader_refuse_number(reader, cursor);
    reader->number = reader->number * 10 + digit;
    return SC_OK;
}

/* A line of digits. SC_OK: it is whole, `cursor` stands behind it. */
static sc_status sci_reader_number(sci_reader *reader, sci_reader_cursor *cursor)
{
    const char *at = cursor->at + reader->scanned;
    for (; at < cursor->end && *at != '\r'; at++) {
        sc_status status = sci_reader_digit(reader, cursor, at);
        if (status != SC_OK)
            return status;
    }
    reader->scanned = (size_t)(at - cursor->at);
    if (at < cursor->end && reader->scanned == (reader->is_negative ? 2u : 1u))
        return sci_reader_refuse(reader, cursor, at, "a digit");
    if (cursor->end - at < 2)
        return sci_reader_suspend(reader, cursor);
    if (at[1] != '\n')
        return sci_reader_refuse(reader, cursor, at + 1, "LF after CR");
    bool is_length = reader->type != ':';
    if (reader->number > (uint64_t)INT64_MAX + (reader->is_negative ? 1u : 0u) ||
        (is_length && reader->is_negative && reader->number != 1))
        return sci_reader_refuse_number(reader, cursor);
    cursor->at = at + 2;
    return SC_OK;
}

static sc_status sci_reader_integer(sci_reader *reader)
{
    sc_item *item = sci_reader_append(reader, SC_INTEGER, NULL, 0);
    if (!item)
        return SC_ERR_MEMORY;
    /* The smallest integer has no positive counterpart. */
    item->is.integer =
        reader->is_negative ? -(int64_t)(reader->number - 1) - 1 : (int64_t)reader->number;
    return SC_OK;
}

/* The end of a bulk of which `left` bytes are not consumed. */
static sc_status sci_reader_bulk_end(sci_reader *reader, sci_reader_cursor *cursor, size_t left,
                                     const char *text)
{
    size_t have = (size_t)(cursor->end - cursor->at);
    if (have > left && cursor->at[left] != '\r')
        return sci_reader_refuse(reader, cursor, cursor->at + left, "CR after a bulk string");
    if (have < left + 2)
        return sci_reader_suspend(reader, cursor);
    if (cursor->at[left + 1] != '\n')
        return sci_reader_refuse(reader, cursor, cursor->at + left + 1, "LF after CR");
    if (!sci_reader_append(reader, SC_STRING, text, reader->bulk_len))
        return SC_ERR_MEMORY;
    cursor->at += left + 2;
    return SC_OK;
}

static sc_status sci_reader_bulk(sci_reader *reader, sci_reader_cursor *cursor)
{
    return sci_reader_bulk_end(reader, cursor, reader->bulk_len, cursor->at);
}

static sc_status sci_reader_streamed(sci_reader *reader, sci_reader_cursor *cursor)
{
    size_t left = reader->bulk_len - reader->bulk_streamed;
    size_t piece = sci_min_size(left, (size_t)(cursor->end - cursor->at));
    if (piece > 0) {
        const char *from = cursor->at;
        cursor->at += piece;
        reader->bulk_streamed += piece;
        sc_status status = reader->sink(reader->sink_user, reader->bulk_len, sc_bytes(from, piece));
        if (status != SC_OK)
            return status;
    }
    if (piece < left)
        return sci_reader_suspend(reader, cursor);
    return sci_reader_bulk_end(reader, cursor, 0, NULL);
}

/* A bulk's header is consumed. */
static sc_status sci_reader_begin_bulk(sci_reader *reader, sci_reader_cursor *cursor)
{
    if (reader->is_negative)
        return sci_reader_append(reader, SC_NIL, NULL, 0) ? SC_OK : SC_ERR_MEMORY;
    if (reader->number > reader->limits.max_bulk_bytes)
        return sci_reader_refuse_text(reader);
    reader->bulk_len = (size_t)reader->number;
    reader->bulk_streamed = 0;
    size_t consumed = reader->reply_bytes + (size_t)(cursor->at - cursor->data);
    if (reader->bulk_len + 2 > reader->limits.max_reply_bytes - consumed)
        return sci_reader_refuse_reply(reader);
    if (!reader->sink || reader->depth > 0) {
        reader->phase = SCI_READER_IN_BULK;
        return sci_reader_bulk(reader, cursor);
    }
    reader->phase = SCI_READER_IN_STREAM;
    if (reader->bulk_len == 0) {
        sc_status status = reader->sink(reader->sink_user, 0, sc_bytes(cursor->at, 0));
        if (status != SC_OK)
            return status;
    }
    return sci_reader_streamed(reader, cursor);
}

/* An array's header is consumed. */
static sc_status sci_reader_open_array(sci_reader *reader)
{
    if (reader->is_negative)
        return sci_reader_append(reader, SC_NIL, NULL, 0) ? SC_OK : SC_ERR_MEMORY;
    if (reader->depth >= reader->limits.max_depth)
        return sci_reader_refuse_limit("nested arrays", reader->limits.max_depth, "max_depth");
    if (reader->number > reader->limits.max_elements - reader->reply_elements)
        return sci_reader_refuse_limit("elements", reader->limits.max_elements, "max_elements");
    size_t count = (size_t)reader->number;
    sc_item *array = sci_reader_append(reader, SC_ARRAY, NULL, count);
    if (!array)
        return SC_ERR_MEMORY;
    array->is.integer = (int64_t)count;
    array->span = reader->innermost;
    reader->innermost = reader->items->count - 1;
    reader->depth++;
    reader->reply_elements += count;
    return SC_OK;
}

static sc_status sci_reader_numbered(sci_reader *reader, sci_reader_cursor *cursor)
{
    sc_status status = sci_reader_number(reader, cursor);
    if (status != SC_OK)
        return status;
    if (reader->type == '$')
        return sci_reader_begin_bulk(reader, cursor);
    if (reader->type == '*')
        return sci_reader_open_array(reader);
    return sci_reader_integer(reader);
}

static sc_status sci_reader_begin_line(sci_reader *reader, sci_reader_cursor *cursor)
{
    if (cursor->at == cursor->end)
        return sci_reader_suspend(reader, cursor);
    reader->type = *cursor->at;
    reader->scanned = 1;
    reader->number = 0;
    reader->is_negative = false;
    switch (reader->type) {
    case '+':
    case '-':
        reader->phase = SCI_READER_IN_TEXT;
        return sci_reader_text(reader, cursor);
    case ':':
    case '$':
    case '*':
        reader->phase = SCI_READER_IN_NUMBER;
        return sci_reader_numbered(reader, cursor);
    default:
        return sci_reader_refuse(reader, cursor, cursor->at, "one of + - : $ *");
    }
}

/* The next node, or the rest of the one at which the last call stopped. */
static sc_status sci_reader_step(sci_reader *reader, sci_reader_cursor *cursor)
{
    switch (reader->phase) {
    case SCI_READER_AT_TYPE:
        return sci_reader_begin_line(reader, cursor);
    case SCI_READER_IN_TEXT:
        return sci_reader_text(reader, cursor);
    case SCI_READER_IN_NUMBER:
        return sci_reader_numbered(reader, cursor);
    case SCI_READER_IN_BULK:
        return sci_reader_bulk(reader, cursor);
    case SCI_READER_IN_STREAM:
        return sci_reader_streamed(reader, cursor);
    default:
        return sc_fail(SC_ERR_PROTOCOL, "the server's reply was refused before");
    }
}

/* MARK: Replies */

/* Close the arrays that have all their elements. True when none is open: the reply is whole. */
static bool sci_reader_close_arrays(sci_reader *reader)
{
    while (reader->depth > 0) {
        sc_item *array = sci_reader_innermost(reader);
        if (array->is.integer > 0)
            return false;
        uint32_t around = array->span;
        array->is.text = NULL;
        array->span = reader->items->count - reader->innermost;
        reader->innermost = around;
        reader->depth--;
    }
    return true;
}

static void sci_reader_fail(sci_reader *reader)
{
    reader->items->count = reader->reply_start;
    reader->depth = 0;
    reader->phase = SCI_READER_FAILED;
}

/* Read until the reply is whole (SC_OK) or cannot be. */
static sc_status sci_reader_advance(sci_reader *reader, sci_reader_cursor *cursor)
{
    for (;;) {
        if (reader->depth > 0 && reader->phase == SCI_READER_AT_TYPE) {
            sci_reader_elements(reader, cursor);
            if (sci_reader_close_arrays(reader))
                return SC_OK;
        }
        sc_status status = sci_reader_step(reader, cursor);
        if (status != SC_OK || reader->depth == 0)
            return status;
    }
}

/* Any reply, from where the last call stopped; returns the bytes consumed. Not through a pointer:
   whoever inlines the quick path keeps its count in a register. */
static size_t sci_reader_resume(sci_reader *reader, const char *data, size_t len, sc_status *status)
{
    size_t allowed = reader->limits.max_reply_bytes - reader->reply_bytes;
    sci_reader_cursor cursor;
    cursor.data = data;
    cursor.at = data;
    cursor.end = data + sci_min_size(len, allowed);
    cursor.is_cut = len > allowed;
    *status = sci_reader_advance(reader, &cursor);
    size_t consumed = (size_t)(cursor.at - data);
    reader->reply_bytes += consumed;
    if (*status == SC_OK) {
        reader->reply_bytes = 0;
        reader->reply_elements = 0;
    } else if (*status != SC_AGAIN) {
        sci_reader_fail(reader);
    }
    return consumed;
}

/* A reply that is one whole element, quickly; 0 when it is not. */
static inline size_t sci_reader_quick_reply(sci_reader *reader, const char *data, size_t len)
{
    sci_items *items = reader->items;
    if (reader->phase != SCI_READER_AT_TYPE || reader->sink || items->count == items->cap)
        return 0;
    const char *end = data + sci_min_size(len, reader->limits.max_reply_bytes);
    const char *after =
        sci_reader_quick(data, end, reader->limits.max_bulk_bytes, &items->at[items->count]);
    if (!after)
        return 0;
    items->count++;
    return (size_t)(after - data);
}

SCI_PRIVATE sc_status sci_reader_read(sci_reader *reader, const char *data, size_t len,
                                      size_t *used)
{
    *used = 0;
    if (len == 0)
        return SC_AGAIN;
    if (reader->depth == 0) {
        reader->reply_start = reader->items->count;
        *used = sci_reader_quick_reply(reader, data, len);
        if (SCI_LIKELY(*used > 0))
            return SC_OK;
    }
    sc_status status;
    *used = sci_reader_resume(reader, data, len, &status);
    return status;
}
