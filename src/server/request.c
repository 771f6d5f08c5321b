/* Commands in, on two paths: a short one that is whole in the buffer is taken in one go, which keeps
   nothing; anything else goes through a state machine that can stop at any byte. */

#include "server/request.h"

#include "base/number.h"

/* What a command may have to be taken in one go: a count of one digit, lengths of up to three. */
#define SCI_REQUEST_QUICK_WORDS 9
#define SCI_REQUEST_QUICK_BULK 999
/* The shortest word on the wire: "$0" and two line ends. */
#define SCI_REQUEST_LEAST_WORD 6

#if defined(__GNUC__) || defined(__clang__)
#define SCI_REQUEST_APART __attribute__((noinline))
#else
#define SCI_REQUEST_APART
#endif

#define SCI_REQUEST_FIRST_WORDS 16
/* More than this is given back after the command. */
#define SCI_REQUEST_KEPT_WORDS 1024
#define SCI_REQUEST_KEPT_BYTES 1024

/* What Redis takes from those who have not said their password. */
#define SCI_REQUEST_STRANGER_WORDS 10
#define SCI_REQUEST_STRANGER_BULK 16384

SCI_PRIVATE void sci_request_init(sci_request *request, const sc_memory *memory,
                                  const sci_request_limits *limits)
{
    memset(request, 0, sizeof *request);
    request->memory = *memory;
    request->limits = *limits;
    sci_bytes_init(&request->line, memory);
}

static void sci_request_free_words(sci_request *request)
{
    sci_free(&request->memory, request->words, request->word_cap * sizeof request->words[0]);
    request->words = NULL;
    request->word_cap = 0;
    request->quick_words = 0;
}

SCI_PRIVATE void sci_request_free(sci_request *request)
{
    sci_request_free_words(request);
    sci_bytes_free(&request->line);
}

SCI_PRIVATE size_t sci_request_missing(const sci_request *request, size_t len)
{
    return request->has_bulk ? request->at + request->bulk_len + 2 - len : 0;
}

static sc_status sci_request_refuse(const char *what)
{
    return sc_fail(SC_ERR_PROTOCOL, "Protocol error: %s", what);
}

static sc_status sci_request_grow(sci_request *request)
{
    size_t cap = sci_max_size(SCI_REQUEST_FIRST_WORDS, request->word_cap * 2);
    sc_slice *words =
        (sc_slice *)sci_resize(&request->memory, request->words,
                               request->word_cap * sizeof(sc_slice), cap * sizeof(sc_slice));
    if (!words)
        return SC_ERR_MEMORY;
    request->words = words;
    request->word_cap = cap;
    if (request->limits.max_words >= SCI_REQUEST_QUICK_WORDS &&
        request->limits.max_bulk_bytes >= SCI_REQUEST_QUICK_BULK)
        request->quick_words = SCI_REQUEST_QUICK_WORDS;
    return SC_OK;
}

/* MARK: Whole commands, quickly */

/* A length of one to three digits before a CR, of which it is known that five bytes can be read. */
static inline const char *sci_request_quick_len(const char *at, size_t *len)
{
    size_t value = (size_t)(unsigned char)*at - '0';
    if (value > 9)
        return NULL;
    if (at[1] != '\r') {
        const char *last = at + 2;
        do {
            size_t digit = (size_t)(unsigned char)*++at - '0';
            if (digit > 9 || value == 0 || at > last)
                return NULL;
            value = value * 10 + digit;
        } while (at[1] != '\r');
    }
    *len = value;
    return at + 3;
}

/* Returns what follows the command, or NULL: then the state machine has to look. */
static inline const char *sci_request_quick(sci_request *request, const char *at, const char *end)
{
    if (end - at < 4 || at[0] != '*' || at[2] != '\r')
        return NULL;
    size_t count = (size_t)(unsigned char)at[1] - '0';
    if (count - 1 >= request->quick_words)
        return NULL;
    at += 4;
    sc_slice *word = request->words;
    request->word_count = count;
    for (; count > 0; count--, word++) {
        if (end - at < SCI_REQUEST_LEAST_WORD || *at != '$')
            return NULL;
        size_t len;
        at = sci_request_quick_len(at + 1, &len);
        if (!at || (size_t)(end - at) < len + 2)
            return NULL;
        word->data = at;
        word->len = len;
        at += len + 2;
    }
    return at;
}

/* MARK: The state machine */

/* The end of the line that begins at request->at, which `mark` stands for. */
static sc_status sci_request_line_end(sci_request *request, const char *data, size_t len, char mark,
                                      const char *too_big, size_t *line_end)
{
    size_t room = request->limits.max_line_bytes;
    bool is_too_big = len - request->at > room;
    size_t stop = is_too_big ? request->at + room + 1 : len;
    size_t from = sci_max_size(request->scanned, request->at);
    const char *found = from < stop ? (const char *)memchr(data + from, mark, stop - from) : NULL;
    if (found) {
        *line_end = (size_t)(found - data);
        return SC_OK;
    }
    request->scanned = stop;
    return is_too_big ? sci_request_refuse(too_big) : SC_AGAIN;
}

/* The number in the header at request->at, whose first byte says of what it is; *is_valid: it is
   one. SC_OK: request->at stands behind the line. */
static sc_status sci_request_header(sci_request *request, const char *data, size_t len,
                                    const char *too_big, int64_t *number, bool *is_valid)
{
    size_t cr = 0;
    sc_status status = sci_request_line_end(request, data, len, '\r', too_big, &cr);
    if (status != SC_OK)
        return status;
    request->scanned = cr;
    if (len - cr < 2)
        return SC_AGAIN;
    /* An empty line has no first byte. */
    size_t first = sci_min_size(request->at + 1, cr);
    *is_valid = sci_text_to_i64(sc_bytes(data + first, cr - first), number);
    request->at = cr + 2;
    return SC_OK;
}

static sc_status sci_request_begin(sci_request *request, const char *data, size_t len)
{
    int64_t count = 0;
    bool is_valid = false;
    sc_status status =
        sci_request_header(request, data, len, "too big mbulk count string", &count, &is_valid);
    if (status != SC_OK)
        return status;
    if (!is_valid || (count > 0 && (uint64_t)count > request->limits.max_words))
        return sci_request_refuse("invalid multibulk length");
    if (request->is_stranger && count > SCI_REQUEST_STRANGER_WORDS)
        return sci_request_refuse("unauthenticated multibulk length");
    request->expected = count > 0 ? (size_t)count : 0;
    return SC_OK;
}

static sc_status sci_request_bulk_header(sci_request *request, const char *data, size_t len)
{
    int64_t bulk_len = 0;
    bool is_valid = false;
    size_t first = request->at;
    sc_status status =
        sci_request_header(request, data, len, "too big bulk count string", &bulk_len, &is_valid);
    if (status != SC_OK)
        return status;
    char kind = data[first];
    if (kind != '$')
        return sc_fail(SC_ERR_PROTOCOL, "Protocol error: expected '$', got '%c'",
                       kind == '\r' || kind == '\n' ? ' ' : kind);
    if (!is_valid || bulk_len < 0 || (uint64_t)bulk_len > request->limits.max_bulk_bytes)
        return sci_request_refuse("invalid bulk length");
    if (request->is_stranger && bulk_len > SCI_REQUEST_STRANGER_BULK)
        return sci_request_refuse("unauthenticated bulk length");
    request->bulk_len = (size_t)bulk_len;
    request->has_bulk = true;
    return SC_OK;
}

static sc_status sci_request_word(sci_request *request, const char *data, size_t len)
{
    if (!request->has_bulk) {
        sc_status status = sci_request_bulk_header(request, data, len);
        if (status != SC_OK)
            return status;
    }
    size_t rest = len - request->at;
    if (rest < 2 || rest - 2 < request->bulk_len)
        return SC_AGAIN;
    if (request->word_count == request->word_cap && sci_request_grow(request) != SC_OK)
        return SC_ERR_MEMORY;
    sc_slice *word = &request->words[request->word_count++];
    word->data = (const char *)(uintptr_t)request->at;
    word->len = request->bulk_len;
    request->at += request->bulk_len + 2;
    request->has_bulk = false;
    return SC_OK;
}

static sc_status sci_request_array(sci_request *request, const char *data, size_t len)
{
    if (request->expected == 0) {
        sc_status status = sci_request_begin(request, data, len);
        if (status != SC_OK)
            return status;
    }
    while (request->word_count < request->expected) {
        sc_status status = sci_request_word(request, data, len);
        if (status != SC_OK)
            return status;
    }
    for (size_t i = 0; i < request->word_count; i++)
        request->words[i].data = data + (uintptr_t)request->words[i].data;
    return SC_OK;
}

/* MARK: Typed lines */

typedef struct sci_typed {
    const char *at;
    const char *end;
    char *to; /* where words go, unquoted: no longer than they were */
} sci_typed;

static inline bool sci_typed_is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A closing quote at `at` must be followed by a blank or nothing. */
static bool sci_typed_close(sci_typed *line)
{
    line->at++;
    return line->at == line->end || sci_typed_is_blank(*line->at);
}

static char sci_typed_escaped(char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return c;
    }
}

/* What follows an opening "; false when it is not closed well. */
static bool sci_typed_quoted(sci_typed *line)
{
    while (line->at < line->end && *line->at != '"') {
        char c = *line->at++;
        size_t rest = (size_t)(line->end - line->at);
        if (c == '\\' && rest >= 3 && *line->at == 'x' && sci_hex_digit(line->at[1]) >= 0 &&
            sci_hex_digit(line->at[2]) >= 0) {
            c = (char)(sci_hex_digit(line->at[1]) * 16 + sci_hex_digit(line->at[2]));
            line->at += 3;
        } else if (c == '\\' && rest > 0) {
            c = sci_typed_escaped(*line->at++);
        }
        *line->to++ = c;
    }
    return line->at < line->end && sci_typed_close(line);
}

/* What follows an opening '. */
static bool sci_typed_single_quoted(sci_typed *line)
{
    while (line->at < line->end && *line->at != '\'') {
        if (*line->at == '\\' && line->end - line->at > 1 && line->at[1] == '\'')
            line->at++;
        *line->to++ = *line->at++;
    }
    return line->at < line->end && sci_typed_close(line);
}

/* One word, up to a blank; quotes may begin anywhere and end it. A vertical tab and a form feed are
   blanks between words only. */
static bool sci_typed_word(sci_typed *line)
{
    for (; line->at < line->end; line->at++) {
        char c = *line->at;
        if (c == ' ' || c == '\t' || c == '\r')
            return true;
        if (c == '"' || c == '\'') {
            line->at++;
            return c == '"' ? sci_typed_quoted(line) : sci_typed_single_quoted(line);
        }
        *line->to++ = c;
    }
    return true;
}

static sc_status sci_request_split(sci_request *request, const char *at, size_t len)
{
    sci_bytes *out = &request->line;
    sci_bytes_reset(out, SCI_REQUEST_KEPT_BYTES);
    if (sci_bytes_reserve(out, len) != SC_OK)
        return SC_ERR_MEMORY;
    sci_typed line;
    line.at = at;
    line.end = at + len;
    line.to = out->data;
    for (;;) {
        while (line.at < line.end && sci_typed_is_blank(*line.at))
            line.at++;
        if (line.at == line.end)
            return SC_OK;
        if (request->word_count == request->word_cap && sci_request_grow(request) != SC_OK)
            return SC_ERR_MEMORY;
        const char *first = line.to;
        if (!sci_typed_word(&line))
            return sci_request_refuse("unbalanced quotes in request");
        request->words[request->word_count++] = sc_bytes(first, (size_t)(line.to - first));
    }
}

static sc_status sci_request_typed(sci_request *request, const char *data, size_t len)
{
    size_t lf = 0;
    sc_status status =
        sci_request_line_end(request, data, len, '\n', "too big inline request", &lf);
    if (status != SC_OK)
        return status;
    request->scanned = lf;
    status = sci_request_split(request, data, lf > 0 && data[lf - 1] == '\r' ? lf - 1 : lf);
    if (status == SC_OK)
        request->at = lf + 1;
    else
        request->word_count = 0;
    return status;
}

/* MARK: Reading */

SCI_PRIVATE void sci_request_rest(sci_request *request)
{
    request->word_count = 0;
    if (request->word_cap > SCI_REQUEST_KEPT_WORDS)
        sci_request_free_words(request);
    if (request->line.cap > SCI_REQUEST_KEPT_BYTES)
        sci_bytes_free(&request->line);
}

/* Apart, so that the quick path need not save what only this one uses. */
SCI_REQUEST_APART static sc_status sci_request_go_on(sci_request *request, const char *data,
                                                     size_t len, size_t *used)
{
    if (request->expected == 0) {
        sci_request_rest(request);
        if (len == 0)
            return SC_AGAIN;
    }
    sc_status status = request->expected > 0 || data[0] == '*'
                           ? sci_request_array(request, data, len)
                           : sci_request_typed(request, data, len);
    if (status != SC_OK)
        return status;
    *used = request->at;
    request->at = 0;
    request->scanned = 0;
    request->expected = 0;
    return SC_OK;
}

SCI_PRIVATE sc_status sci_request_read(sci_request *request, const char *data, size_t len,
                                       size_t *used)
{
    const char *after =
        request->expected == 0 ? sci_request_quick(request, data, data + len) : NULL;
    if (SCI_UNLIKELY(!after))
        return sci_request_go_on(request, data, len, used);
    *used = (size_t)(after - data);
    request->scanned = 0;
    return SC_OK;
}
