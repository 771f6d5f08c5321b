/* Walks over what is in a table, some of it at a time. */

#include "server/scan.h"

#include "server/server.h"

#define SCI_SCAN_COUNT 10
/* Steps that find nothing do not go on for ever: so many for each element asked for. */
#define SCI_SCAN_STEPS 10

/* As strtoul reads it, since that is what Redis takes for a cursor: "" is 0, "-1" the largest. */
static bool sci_scan_read_cursor(sc_slice word, uint64_t *cursor)
{
    const char *nul = word.len ? (const char *)memchr(word.data, '\0', word.len) : NULL;
    const size_t len = nul ? (size_t)(nul - word.data) : word.len;
    const bool is_negative = len > 0 && word.data[0] == '-';
    const size_t start = is_negative || (len > 0 && word.data[0] == '+');
    uint64_t number = 0;
    if (start == 1 && len == 1)
        return false;
    for (size_t i = start; i < len; i++) {
        const unsigned digit = (unsigned)(unsigned char)word.data[i] - '0';
        if (digit > 9 || number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *cursor = is_negative ? 0 - number : number;
    return true;
}

SCI_PRIVATE bool sci_scan_begin(sci_scan *scan, sci_call *call, size_t cursor_at)
{
    memset(scan, 0, sizeof *scan);
    scan->call = call;
    scan->count = SCI_SCAN_COUNT;
    if (sci_scan_read_cursor(call->argv[cursor_at], &scan->cursor))
        return true;
    sci_answer_error(call, "ERR invalid cursor");
    return false;
}

SCI_PRIVATE bool sci_scan_options(sci_scan *scan, size_t from, bool has_type)
{
    sci_call *call = scan->call;
    for (size_t i = from; i < call->argc; i += 2) {
        const bool has_value = i + 1 < call->argc;
        if (has_value && sci_word_is(call->argv[i], "count")) {
            if (!sci_arg_i64(call, i + 1, &scan->count))
                return false;
            if (scan->count >= 1)
                continue;
        } else if (has_value && sci_word_is(call->argv[i], "match")) {
            scan->pattern = call->argv[i + 1];
            continue;
        } else if (has_value && has_type && sci_word_is(call->argv[i], "type")) {
            scan->type = call->argv[i + 1];
            continue;
        }
        sci_answer_syntax_error(call);
        return false;
    }
    return true;
}

SCI_PRIVATE void sci_scan_answer_none(sci_call *call)
{
    sci_answer_array(call, 2);
    sci_answer_text(call, "0");
    sci_answer_array(call, 0);
}

SCI_PRIVATE bool sci_scan_wants(sci_scan *scan, sc_slice name)
{
    scan->seen++;
    /* Alone, a star matches the empty name too. */
    return !scan->pattern.data || sci_slice_equal(scan->pattern, sc_text("*")) ||
           sci_glob_match(scan->pattern, name, false);
}

static void sci_scan_answer_cursor(sci_call *call, uint64_t cursor)
{
    char digits[SCI_I64_TEXT_BYTES];
    sci_answer_bulk(call, sc_bytes(digits, sci_u64_to_text(cursor, digits)));
}

SCI_PRIVATE void sci_scan_run(sci_scan *scan,
                              uint64_t (*step)(sci_scan *scan, uint64_t cursor, const void *table),
                              const void *table)
{
    sci_call *call = scan->call;
    sci_bytes *out = call->out;
    sci_bytes elements;
    uint64_t cursor = scan->cursor;
    const uint64_t wanted = (uint64_t)scan->count;
    uint64_t steps = wanted > UINT64_MAX / SCI_SCAN_STEPS ? UINT64_MAX : wanted * SCI_SCAN_STEPS;
    sci_bytes_init(&elements, &call->server->memory);
    /* The cursor comes first and is known last. */
    call->out = &elements;
    do
        cursor = step(scan, cursor, table);
    while (cursor != 0 && --steps > 0 && scan->seen < wanted);
    call->out = out;
    sci_answer_array(call, 2);
    sci_scan_answer_cursor(call, cursor);
    sci_answer_array(call, scan->answers);
    /* Half a reply cannot be made up for. */
    if (sci_bytes_append(out, sci_bytes_slice(&elements)) != SC_OK && call->session)
        call->session->is_broken = true;
    sci_bytes_free(&elements);
}
