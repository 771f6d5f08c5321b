/* Commands that read streams. */

#include "server/cmd_stream.h"

#include "server/commands.h"
#include "server/server.h"
#include "server/subcommand.h"

/* --- Ids in words */

/* Longest word that Redis takes for an id. */
#define SCI_STREAM_ID_WORD_BYTES 127

static bool sci_is_c_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* As Redis reads a part of an id: an integer that is not negative, or else whatever C's strtoull
   takes, which knows blanks, signs and leading zeros, and negates modulo 2^64. */
static bool sci_stream_part_parse(sc_slice word, uint64_t *part)
{
    int64_t number;
    if (sci_text_to_i64(word, &number)) {
        *part = (uint64_t)number;
        return number >= 0;
    }
    size_t at = 0;
    while (at < word.len && sci_is_c_space(word.data[at]))
        at++;
    bool is_negative = at < word.len && word.data[at] == '-';
    if (at < word.len && (is_negative || word.data[at] == '+'))
        at++;
    if (at == word.len)
        return false;
    uint64_t value = 0;
    for (; at < word.len; at++) {
        if (!sci_is_digit(word.data[at]))
            return false;
        uint64_t digit = (uint64_t)(word.data[at] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *part = is_negative ? 0 - value : value;
    return true;
}

SCI_PRIVATE bool sci_stream_id_parse(sc_slice word, uint64_t missing_seq, sci_stream_id *id,
                                     bool *has_seq)
{
    if (word.len == 0 || word.len > SCI_STREAM_ID_WORD_BYTES)
        return false;
    const char *end = (const char *)memchr(word.data, '\0', word.len);
    if (end)
        word.len = (size_t)(end - word.data);
    if (has_seq)
        *has_seq = true;
    id->seq = missing_seq;
    const char *dash = word.len ? (const char *)memchr(word.data, '-', word.len) : NULL;
    size_t ms_len = dash ? (size_t)(dash - word.data) : word.len;
    if (!sci_stream_part_parse(sc_bytes(word.data, ms_len), &id->ms))
        return false;
    if (!dash)
        return true;
    sc_slice seq = sc_bytes(dash + 1, word.len - ms_len - 1);
    if (!has_seq || !sci_word_is(seq, "*"))
        return sci_stream_part_parse(seq, &id->seq);
    *has_seq = false;
    id->seq = 0;
    return true;
}

SCI_PRIVATE bool sci_stream_id_step(sci_stream_id *id, bool is_up)
{
    uint64_t edge = is_up ? UINT64_MAX : 0;
    uint64_t step = is_up ? 1 : UINT64_MAX;
    if (id->seq == edge) {
        if (id->ms == edge)
            return false;
        id->ms += step;
    }
    id->seq += step;
    return true;
}

SCI_PRIVATE void sci_answer_stream_id_error(sci_call *call)
{
    sci_answer_error(call, "ERR Invalid stream ID specified as stream command argument");
}

SCI_PRIVATE bool sci_arg_stream_id(sci_call *call, size_t i, sci_stream_id *id)
{
    if (sci_stream_id_parse(call->argv[i], 0, id, NULL))
        return true;
    sci_answer_stream_id_error(call);
    return false;
}

/* --- Answers */

SCI_PRIVATE void sci_answer_stream_id(sci_call *call, sci_stream_id id)
{
    char text[SCI_STREAM_ID_TEXT_BYTES];
    sci_answer_bulk(call, sc_bytes(text, sci_stream_id_to_text(id, text)));
}

SCI_PRIVATE void sci_answer_stream_entry(sci_call *call, sci_stream_cursor *cursor)
{
    char text[SCI_I64_TEXT_BYTES];
    size_t words = 2 * cursor->place.fields;
    sci_answer_array(call, 2);
    sci_answer_stream_id(call, cursor->place.id);
    sci_answer_array(call, words);
    for (; words > 0; words--)
        sci_answer_bulk(call, sci_stream_word(cursor, text));
}

SCI_PRIVATE void sci_answer_stream_range(sci_call *call, sci_stream_cursor *cursor, int64_t most)
{
    size_t mark = sci_answer_array_begin(call);
    size_t count = 0;
    while ((most == 0 || count < (uint64_t)most) && sci_stream_next(cursor)) {
        sci_answer_stream_entry(call, cursor);
        count++;
    }
    sci_answer_array_end(call, mark, count);
}

/* --- XLEN, XRANGE, XREVRANGE */

SCI_PRIVATE void sci_cmd_xlen(sci_call *call)
{
    sci_entry *entry;
    if (!sci_typed_for_read(call, call->argv[1], SCI_STREAM, &entry))
        return;
    sci_answer_i64(call, entry ? (int64_t)((const sci_stream *)entry->value.object)->length : 0);
}

/* argv[i] as an end of a range: an id, "(" and an id that is excluded, "-" or "+". False after
   answering why not. */
static bool sci_arg_stream_bound(sci_call *call, size_t i, bool is_start, sci_stream_id *id)
{
    sc_slice word = call->argv[i];
    bool is_excluded = word.len > 1 && word.data[0] == '(';
    if (sci_word_is(word, "-")) {
        *id = sci_stream_lowest;
        return true;
    }
    if (sci_word_is(word, "+")) {
        *id = sci_stream_highest;
        return true;
    }
    if (is_excluded)
        word = sc_bytes(word.data + 1, word.len - 1);
    if (!sci_stream_id_parse(word, is_start ? 0 : UINT64_MAX, id, NULL)) {
        sci_answer_stream_id_error(call);
        return false;
    }
    if (!is_excluded || sci_stream_id_step(id, is_start))
        return true;
    sci_answer_error(call, "ERR invalid %s ID for the interval", is_start ? "start" : "end");
    return false;
}

/* Options from argv[4] on: COUNT. False after answering why not. */
static bool sci_arg_stream_count(sci_call *call, int64_t *count)
{
    for (size_t i = 4; i < call->argc; i += 2) {
        if (!sci_word_is(call->argv[i], "count") || i + 1 == call->argc) {
            sci_answer_syntax_error(call);
            return false;
        }
        if (!sci_arg_i64(call, i + 1, count))
            return false;
        *count = sci_max_i64(*count, 0);
    }
    return true;
}

static void sci_stream_answer_interval(sci_call *call, bool is_reverse)
{
    sci_stream_id from, to;
    sci_stream_cursor cursor;
    sci_entry *entry;
    int64_t count = -1;
    if (!sci_arg_stream_bound(call, is_reverse ? 3 : 2, true, &from) ||
        !sci_arg_stream_bound(call, is_reverse ? 2 : 3, false, &to) ||
        !sci_arg_stream_count(call, &count) ||
        !sci_typed_for_read(call, call->argv[1], SCI_STREAM, &entry))
        return;
    if (!entry) {
        sci_answer_array(call, 0);
        return;
    }
    if (count == 0) {
        sci_answer_nil(call, SCI_NIL_ARRAY);
        return;
    }
    sci_stream_seek(&cursor, (const sci_stream *)entry->value.object, from, to, is_reverse);
    sci_answer_stream_range(call, &cursor, sci_max_i64(count, 0));
}

SCI_PRIVATE void sci_cmd_xrange(sci_call *call)
{
    sci_stream_answer_interval(call, false);
}

SCI_PRIVATE void sci_cmd_xrevrange(sci_call *call)
{
    sci_stream_answer_interval(call, true);
}

/* --- XREAD */

typedef struct sci_xread {
    int64_t count;
    int64_t timeout_ms; /* -1: do not wait */
    size_t first;       /* argv[first] is the first key */
    size_t keys;        /* how many; as many ids follow */
    bool has_dollar;    /* some id is "$" */
} sci_xread;

/* BLOCK's milliseconds. False after answering why not. */
static bool sci_xread_arg_timeout(sci_call *call, size_t i, sci_xread *xread)
{
    if (!sci_text_to_i64(call->argv[i], &xread->timeout_ms)) {
        sci_answer_error(call, "ERR timeout is not an integer or out of range");
        return false;
    }
    if (xread->timeout_ms >= 0)
        return true;
    sci_answer_error(call, "ERR timeout is negative");
    return false;
}

/* The option at argv[*i], with its value; *i is left at its last word. False after answering why
   not. */
static bool sci_xread_option(sci_call *call, size_t *i, sci_xread *xread)
{
    sc_slice word = call->argv[*i];
    size_t more = call->argc - *i - 1;
    if (sci_word_is(word, "block") && more)
        return sci_xread_arg_timeout(call, ++*i, xread);
    if (sci_word_is(word, "count") && more) {
        bool is_number = sci_arg_i64(call, ++*i, &xread->count);
        xread->count = sci_max_i64(xread->count, 0);
        return is_number;
    }
    bool is_group = sci_word_is(word, "group") && more >= 2;
    if (is_group || sci_word_is(word, "noack"))
        sci_answer_error(call,
                         "ERR The %s option is only supported by XREADGROUP. You called XREAD "
                         "instead.",
                         is_group ? "GROUP" : "NOACK");
    else
        sci_answer_syntax_error(call);
    return false;
}

static bool sci_xread_parse(sci_call *call, sci_xread *xread)
{
    xread->count = 0;
    xread->timeout_ms = -1;
    xread->has_dollar = false;
    for (size_t i = 1; i < call->argc; i++) {
        if (!sci_word_is(call->argv[i], "streams") || i + 1 == call->argc) {
            if (!sci_xread_option(call, &i, xread))
                return false;
            continue;
        }
        xread->first = i + 1;
        xread->keys = (call->argc - xread->first) / 2;
        if ((call->argc - xread->first) % 2 == 0)
            return true;
        sci_answer_error(call, "ERR Unbalanced XREAD list of streams: for each stream key an ID or "
                               "'$' must be specified.");
        return false;
    }
    sci_answer_syntax_error(call);
    return false;
}

/* All ids, before anything is answered: false after answering what is wrong with one, or with its
   key. */
static bool sci_xread_check(sci_call *call, sci_xread *xread)
{
    for (size_t i = xread->first; i < xread->first + xread->keys; i++) {
        sci_entry *entry;
        sci_stream_id id;
        sc_slice word = call->argv[i + xread->keys];
        if (!sci_typed_for_read(call, call->argv[i], SCI_STREAM, &entry))
            return false;
        if (sci_word_is(word, "$")) {
            xread->has_dollar = true;
        } else if (sci_word_is(word, ">")) {
            sci_answer_error(call, "ERR The > ID can be specified only when calling XREADGROUP "
                                   "using the GROUP <group> <consumer> option.");
            return false;
        } else if (!sci_arg_stream_id(call, i + xread->keys, &id)) {
            return false;
        }
    }
    return true;
}

/* Answer key i's entries from `from` on. */
static void sci_xread_answer_stream(sci_call *call, const sci_xread *xread, size_t i,
                                    const sci_stream *stream, sci_stream_id from)
{
    sci_stream_cursor cursor;
    sci_stream_seek(&cursor, stream, from, sci_stream_highest, false);
    sci_answer_array(call, 2);
    sci_answer_bulk(call, call->argv[i]);
    sci_answer_stream_range(call, &cursor, xread->count);
}

/* Answer what is there now; false: there is nothing. */
static bool sci_xread_answer(sci_call *call, const sci_xread *xread)
{
    size_t mark = 0, count = 0;
    for (size_t i = xread->first; i < xread->first + xread->keys; i++) {
        sci_stream_id id;
        sci_entry *entry = sci_entry_for_read(call, call->argv[i]);
        if (!entry || !sci_stream_id_parse(call->argv[i + xread->keys], 0, &id, NULL))
            continue; /* "$": there cannot be anything */
        const sci_stream *stream = (const sci_stream *)entry->value.object;
        if (sci_stream_id_compare(stream->last_id, id) <= 0 ||
            sci_stream_id_compare(sci_stream_top_id(stream), id) <= 0)
            continue;
        (void)sci_stream_id_step(&id, true);
        if (count++ == 0)
            mark = sci_answer_array_begin(call);
        sci_xread_answer_stream(call, xread, i, stream, id);
    }
    if (count > 0)
        sci_answer_array_end(call, mark, count);
    return count > 0;
}

/* Wait, with the ids of now in place of "$". */
static void sci_xread_wait(sci_call *call, const sci_xread *xread)
{
    const sc_memory *memory = &call->server->memory;
    const sc_slice *keys = call->argv + xread->first;
    size_t word_bytes = call->argc * sizeof(sc_slice);
    size_t size = word_bytes + xread->keys * SCI_STREAM_ID_TEXT_BYTES;
    if (!xread->has_dollar) {
        sci_wait_for_keys(call, keys, xread->keys, xread->timeout_ms, SCI_NIL_ARRAY, call->argv,
                          call->argc);
        return;
    }
    sc_slice *argv = (sc_slice *)sci_resize(memory, NULL, 0, size);
    if (!argv) {
        sci_answer_no_memory(call);
        return;
    }
    char *text = (char *)argv + word_bytes;
    memcpy(argv, call->argv, word_bytes);
    for (size_t i = xread->first + xread->keys; i < call->argc; i++) {
        if (!sci_word_is(argv[i], "$"))
            continue;
        const sci_entry *entry = sci_db_find(call->db, argv[i - xread->keys]);
        const sci_stream *stream = entry ? (const sci_stream *)entry->value.object : NULL;
        sci_stream_id id = stream ? stream->last_id : sci_stream_lowest;
        argv[i] = sc_bytes(text, sci_stream_id_to_text(id, text));
        text += SCI_STREAM_ID_TEXT_BYTES;
    }
    sci_wait_for_keys(call, keys, xread->keys, xread->timeout_ms, SCI_NIL_ARRAY, argv, call->argc);
    sci_free(memory, argv, size);
}

/* A key is ready: it alone is answered, even when what was added to it is gone again; as in Redis,
   no look-up is counted. */
static void sci_xread_retry(sci_call *call, const sci_xread *xread)
{
    size_t i = xread->first;
    sci_stream_id id;
    while (!sci_slice_equal(call->argv[i], call->ready_key))
        i++;
    const sci_entry *entry = sci_db_find(call->db, call->ready_key);
    (void)sci_stream_id_parse(call->argv[i + xread->keys], 0, &id, NULL);
    if (entry && entry->type == SCI_STREAM) {
        const sci_stream *stream = (const sci_stream *)entry->value.object;
        if (sci_stream_id_compare(stream->last_id, id) > 0) {
            (void)sci_stream_id_step(&id, true);
            sci_answer_array(call, 1);
            sci_xread_answer_stream(call, xread, i, stream, id);
            return;
        }
    }
    sci_xread_wait(call, xread);
}

SCI_PRIVATE void sci_cmd_xread(sci_call *call)
{
    sci_xread xread;
    if (!sci_xread_parse(call, &xread))
        return;
    if (call->is_retried)
        sci_xread_retry(call, &xread);
    else if (!sci_xread_check(call, &xread) || sci_xread_answer(call, &xread))
        return;
    else if (xread.timeout_ms < 0)
        sci_answer_nil(call, SCI_NIL_ARRAY);
    else
        sci_xread_wait(call, &xread);
}

/* --- XINFO */

static void sci_xinfo_help(sci_call *call)
{
    static const char *const lines[] = {
        "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CONSUMERS <key> <groupname>",
        "    Show consumers of <groupname>.",
        "GROUPS <key>",
        "    Show the stream consumer groups.",
        "STREAM <key> [FULL [COUNT <count>]",
        "    Show information about the stream.",
    };
    sci_answer_help(call, lines, SCI_COUNT(lines));
}

/* Which is there: NULL after answering that it is not. */
static const sci_stream *sci_xinfo_key(sci_call *call)
{
    sci_entry *entry;
    if (!sci_typed_for_read(call, call->argv[2], SCI_STREAM, &entry))
        return NULL;
    if (entry)
        return (const sci_stream *)entry->value.object;
    sci_answer_error(call, "ERR no such key");
    return NULL;
}

/* XINFO STREAM's options. False after answering what is wrong. */
static bool sci_xinfo_parse(sci_call *call, bool *is_full, int64_t *count)
{
    enum { OPTIONS = 3, STANDARD_COUNT = 10 };
    size_t options = call->argc - OPTIONS;
    *is_full = options > 0;
    *count = STANDARD_COUNT;
    if (options == 0)
        return true;
    if (options == 2 || options > 3 || !sci_word_is(call->argv[OPTIONS], "full") ||
        (options == 3 && !sci_word_is(call->argv[OPTIONS + 1], "count"))) {
        sci_answer_wrong_subcommand(call);
        return false;
    }
    if (options == 3 && !sci_arg_i64(call, OPTIONS + 2, count))
        return false;
    if (*count < 0)
        *count = STANDARD_COUNT;
    return true;
}

static void sci_xinfo_answer_edge(sci_call *call, const sci_stream *stream, bool is_last)
{
    sci_stream_cursor cursor;
    sci_stream_seek(&cursor, stream, sci_stream_lowest, sci_stream_highest, is_last);
    sci_answer_text(call, is_last ? "last-entry" : "first-entry");
    if (sci_stream_next(&cursor))
        sci_answer_stream_entry(call, &cursor);
    else
        sci_answer_nil(call, SCI_NIL_BULK);
}

static void sci_xinfo_answer_number(sci_call *call, const char *name, uint64_t number)
{
    sci_answer_text(call, name);
    sci_answer_i64(call, (int64_t)number);
}

static void sci_xinfo_answer_id(sci_call *call, const char *name, sci_stream_id id)
{
    sci_answer_text(call, name);
    sci_answer_stream_id(call, id);
}

static void sci_xinfo_stream(sci_call *call)
{
    bool is_full;
    int64_t count;
    const sci_stream *stream = sci_xinfo_key(call);
    if (!stream || !sci_xinfo_parse(call, &is_full, &count))
        return;
    sci_answer_array(call, is_full ? 2 * 9 : 2 * 10);
    sci_xinfo_answer_number(call, "length", stream->length);
    sci_xinfo_answer_number(call, "radix-tree-keys", stream->count);
    sci_xinfo_answer_number(call, "radix-tree-nodes", sci_stream_radix_nodes(stream));
    sci_xinfo_answer_id(call, "last-generated-id", stream->last_id);
    sci_xinfo_answer_id(call, "max-deleted-entry-id", stream->max_deleted_id);
    sci_xinfo_answer_number(call, "entries-added", stream->entries_added);
    sci_xinfo_answer_id(call, "recorded-first-entry-id", stream->first_id);
    if (!is_full) {
        sci_xinfo_answer_number(call, "groups", 0);
        sci_xinfo_answer_edge(call, stream, false);
        sci_xinfo_answer_edge(call, stream, true);
        return;
    }
    sci_stream_cursor cursor;
    sci_stream_seek(&cursor, stream, sci_stream_lowest, sci_stream_highest, false);
    sci_answer_text(call, "entries");
    sci_answer_stream_range(call, &cursor, count);
    sci_answer_text(call, "groups");
    sci_answer_array(call, 0);
}

/* What a stream without consumer groups answers. */
static void sci_xinfo_groups(sci_call *call)
{
    if (sci_xinfo_key(call))
        sci_answer_array(call, 0);
}

static void sci_xinfo_consumers(sci_call *call)
{
    sc_slice key = call->argv[2], group = call->argv[3];
    if (sci_xinfo_key(call))
        sci_answer_error(call, "NOGROUP No such consumer group '%.*s' for key name '%.*s'",
                         (int)group.len, group.data, (int)key.len, key.data);
}

SCI_PRIVATE sci_subcommand_list sci_xinfo_subcommands(void)
{
    static const sci_subcommand subcommands[] = {
        {"consumers", sci_xinfo_consumers, 4},
        {"groups", sci_xinfo_groups, 3},
        {"help", sci_xinfo_help, 2},
        {"stream", sci_xinfo_stream, -3},
    };
    sci_subcommand_list list = {subcommands, SCI_COUNT(subcommands)};
    return list;
}
