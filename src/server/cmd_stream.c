/* Commands that change streams, and the table of all of them. */

#include "server/cmd_stream.h"

#include "server/commands.h"
#include "server/server.h"
#include "server/subcommand.h"

/* Redis bounds approximate trimming by default: a hundred nodes. */
#define SCI_STREAM_TRIM_LIMIT (100 * SCI_STREAM_CHUNK_ENTRIES)

/* --- Options of XADD and XTRIM */

typedef struct sci_stream_options {
    sci_stream_trim trim;
    int64_t limit;
    bool has_limit;
    bool is_xadd;
    bool must_exist; /* NOMKSTREAM */
    bool has_id;     /* or else the server makes one */
    bool has_seq;    /* or else the server completes it */
    sci_stream_id id;
    size_t id_at; /* argv[id_at] is the id; the fields follow */
} sci_stream_options;

/* MAXLEN or MINID at argv[*i]; *i is left at its value. False after answering why not. */
static bool sci_stream_options_bound(sci_call *call, size_t *i, sci_stream_options *options)
{
    sci_stream_trim *trim = &options->trim;
    bool is_length = sci_word_is(call->argv[*i], "maxlen");
    if (trim->by != SCI_STREAM_UNBOUND) {
        sci_answer_error(call, "ERR syntax error, MAXLEN and MINID options at the same time are "
                               "not compatible");
        return false;
    }
    sc_slice next = call->argv[++*i];
    bool is_approximate = sci_word_is(next, "~");
    if (*i + 1 < call->argc && (is_approximate || sci_word_is(next, "="))) {
        trim->is_approximate = is_approximate;
        ++*i;
    }
    trim->by = is_length ? SCI_STREAM_MAXLEN : SCI_STREAM_MINID;
    if (!is_length)
        return sci_arg_stream_id(call, *i, &trim->min_id);
    int64_t length;
    if (!sci_arg_i64(call, *i, &length))
        return false;
    trim->max_length = (uint64_t)length;
    if (length >= 0)
        return true;
    sci_answer_error(call, "ERR The MAXLEN argument must be >= 0.");
    return false;
}

static bool sci_stream_options_limit(sci_call *call, size_t i, sci_stream_options *options)
{
    if (!sci_arg_i64(call, i, &options->limit))
        return false;
    options->has_limit = true;
    if (options->limit >= 0)
        return true;
    sci_answer_error(call, "ERR The LIMIT argument must be >= 0.");
    return false;
}

static bool sci_stream_options_id(sci_call *call, size_t i, sci_stream_options *options)
{
    options->has_id = !sci_word_is(call->argv[i], "*");
    if (!options->has_id || sci_stream_id_parse(call->argv[i], 0, &options->id, &options->has_seq))
        return true;
    sci_answer_stream_id_error(call);
    return false;
}

/* The option, or XADD's id, at argv[*i]; *i is left at its last word. False after answering what is
   wrong. */
static bool sci_stream_options_word(sci_call *call, size_t *i, sci_stream_options *options)
{
    sc_slice word = call->argv[*i];
    bool has_more = *i + 1 < call->argc;
    if (has_more && (sci_word_is(word, "maxlen") || sci_word_is(word, "minid")))
        return sci_stream_options_bound(call, i, options);
    if (has_more && sci_word_is(word, "limit"))
        return sci_stream_options_limit(call, ++*i, options);
    if (!options->is_xadd) {
        sci_answer_syntax_error(call);
        return false;
    }
    if (sci_word_is(word, "nomkstream")) {
        options->must_exist = true;
        return true;
    }
    options->id_at = *i;
    return sci_stream_options_id(call, *i, options);
}

/* What the options mean together. False after answering why they do not fit. */
static bool sci_stream_options_check(sci_call *call, sci_stream_options *options)
{
    sci_stream_trim *trim = &options->trim;
    if (options->limit > 0 && trim->by == SCI_STREAM_UNBOUND) {
        sci_answer_error(call, "ERR syntax error, LIMIT cannot be used without specifying a "
                               "trimming strategy");
        return false;
    }
    if (!options->is_xadd && trim->by == SCI_STREAM_UNBOUND) {
        sci_answer_error(call, "ERR syntax error, XTRIM must be called with a trimming strategy");
        return false;
    }
    if (call->is_loading)
        return true; /* a log says exactly what to trim */
    if (options->has_limit && !trim->is_approximate) {
        sci_answer_error(call, "ERR syntax error, LIMIT cannot be used without the special ~ "
                               "option");
        return false;
    }
    if (trim->is_approximate)
        trim->limit = options->has_limit ? options->limit : SCI_STREAM_TRIM_LIMIT;
    return true;
}

static bool sci_stream_options_parse(sci_call *call, sci_stream_options *options, bool is_xadd)
{
    memset(options, 0, sizeof *options);
    options->is_xadd = is_xadd;
    for (size_t i = 2; i < call->argc && options->id_at == 0; i++)
        if (!sci_stream_options_word(call, &i, options))
            return false;
    if (options->id_at == 0)
        options->id_at = call->argc;
    return sci_stream_options_check(call, options);
}

/* --- XADD */

/* The words that the log gets instead of those that came. */
typedef struct sci_xadd_log {
    sc_slice few[24];
    sc_slice *words; /* `few`, or owned; NULL: the log takes them as they came */
    size_t cap;
} sci_xadd_log;

/* False: no memory. */
static bool sci_xadd_log_reserve(sci_call *call, const sci_stream_options *options,
                                 sci_xadd_log *log)
{
    enum { HEAD_WORDS = 5 };
    bool is_exact = options->has_id && options->has_seq && !options->trim.is_approximate;
    log->words = NULL;
    if (is_exact || !call->server->log || call->is_loading)
        return true;
    log->cap = HEAD_WORDS + call->argc - options->id_at;
    log->words = log->few;
    if (log->cap > SCI_COUNT(log->few))
        log->words =
            (sc_slice *)sci_resize(&call->server->memory, NULL, 0, log->cap * sizeof(sc_slice));
    return log->words != NULL;
}

static void sci_xadd_log_free(sci_call *call, sci_xadd_log *log)
{
    if (log->words != log->few)
        sci_free(&call->server->memory, log->words, log->cap * sizeof(sc_slice));
}

/* The id that it got, and as many entries as were left: a replay must give the same. */
static void sci_xadd_log_write(sci_call *call, const sci_stream_options *options,
                               const sci_stream *stream, sci_xadd_log *log)
{
    char id[SCI_STREAM_ID_TEXT_BYTES], length[SCI_I64_TEXT_BYTES];
    size_t count = 0, fields = call->argc - options->id_at - 1;
    if (!log->words)
        return;
    log->words[count++] = sc_text("XADD");
    log->words[count++] = call->argv[1];
    if (options->trim.by != SCI_STREAM_UNBOUND) {
        log->words[count++] = sc_text("MAXLEN");
        log->words[count++] = sc_bytes(length, sci_u64_to_text(stream->length, length));
    }
    log->words[count++] = sc_bytes(id, sci_stream_id_to_text(options->id, id));
    memcpy(log->words + count, call->argv + options->id_at + 1, fields * sizeof(sc_slice));
    sci_log_instead(call, log->words, count + fields);
}

/* Make or complete the new entry's id. False after answering why it cannot be. */
static bool sci_xadd_choose_id(sci_call *call, sci_stream_id last, sci_stream_options *options)
{
    sci_stream_id *id = &options->id;
    if (sci_stream_id_compare(last, sci_stream_highest) == 0) {
        sci_answer_error(call, "ERR The stream has exhausted the last possible ID, unable to add "
                               "more items");
        return false;
    }
    bool is_possible = true;
    if (!options->has_id) {
        *id = sci_stream_id_of((uint64_t)call->now_ms, 0);
        if (id->ms <= last.ms) {
            *id = last;
            (void)sci_stream_id_step(id, true);
        }
    } else if (!options->has_seq && id->ms == last.ms) {
        is_possible = last.seq < UINT64_MAX;
        id->seq = last.seq + 1;
    }
    if (is_possible && sci_stream_id_compare(*id, last) > 0)
        return true;
    sci_answer_error(call, "ERR The ID specified in XADD is equal or smaller than the target "
                           "stream top item");
    return false;
}

/* Append to the key's stream, which is made when there is none. */
static sc_status sci_xadd_append(sci_call *call, sci_stream **stream, const sci_stream_item *item)
{
    if (*stream)
        return sci_stream_append(*stream, item);
    sci_stream *created = sci_stream_create(&call->db->memory);
    if (!created)
        return SC_ERR_MEMORY;
    sc_status status = sci_stream_append(created, item);
    if (status == SC_OK && !sci_entry_add(call, call->argv[1], SCI_STREAM, created))
        status = SC_ERR_MEMORY;
    if (status == SC_OK)
        *stream = created;
    else
        sci_stream_free(created);
    return status;
}

static void sci_xadd_execute(sci_call *call, const sci_stream_options *options, sci_stream *stream)
{
    sc_slice key = call->argv[1];
    sci_stream_item item;
    sci_xadd_log log;
    item.id = options->id;
    item.words = call->argv + options->id_at + 1;
    item.count = call->argc - options->id_at - 1;
    sc_status status = SC_ERR_MEMORY;
    if (sci_xadd_log_reserve(call, options, &log))
        status = sci_xadd_append(call, &stream, &item);
    if (status == SC_OK) {
        sci_answer_stream_id(call, item.id);
        sci_changed(call, key, SCI_EVENT_STREAM, "xadd");
        if (sci_stream_cut(stream, &options->trim) > 0)
            sci_notify(call, SCI_EVENT_STREAM, "xtrim", key);
        sci_xadd_log_write(call, options, stream, &log);
        sci_key_ready(call, key);
    } else if (status == SC_ERR_LIMIT) {
        sci_answer_error(call, "ERR Elements are too large to be stored");
    } else {
        sci_answer_no_memory(call);
    }
    sci_xadd_log_free(call, &log);
}

static void sci_cmd_xadd(sci_call *call)
{
    sci_stream_options options;
    sci_entry *entry;
    if (!sci_stream_options_parse(call, &options, true))
        return;
    size_t words = call->argc - sci_min_size(call->argc, options.id_at + 1);
    if (words < 2 || words % 2) {
        sci_answer_wrong_arity(call);
        return;
    }
    if (options.has_id && options.has_seq &&
        sci_stream_id_compare(options.id, sci_stream_lowest) == 0) {
        sci_answer_error(call, "ERR The ID specified in XADD must be greater than 0-0");
        return;
    }
    if (!sci_typed_for_write(call, call->argv[1], SCI_STREAM, &entry))
        return;
    if (!entry && options.must_exist) {
        sci_answer_nil(call, SCI_NIL_BULK);
        return;
    }
    sci_stream *stream = entry ? (sci_stream *)entry->value.object : NULL;
    if (sci_xadd_choose_id(call, stream ? stream->last_id : sci_stream_lowest, &options))
        sci_xadd_execute(call, &options, stream);
}

/* --- XTRIM, XDEL, XSETID */

/* The stream that a command changes; NULL: none, false after answering. */
static bool sci_stream_for_write(sci_call *call, sci_stream **stream)
{
    sci_entry *entry;
    if (!sci_typed_for_write(call, call->argv[1], SCI_STREAM, &entry))
        return false;
    *stream = entry ? (sci_stream *)entry->value.object : NULL;
    return true;
}

static void sci_cmd_xtrim(sci_call *call)
{
    sci_stream_options options;
    sci_stream *stream;
    sc_slice key = call->argv[1];
    if (!sci_stream_options_parse(call, &options, false) || !sci_stream_for_write(call, &stream))
        return;
    uint64_t removed = stream ? sci_stream_cut(stream, &options.trim) : 0;
    sci_answer_i64(call, (int64_t)removed);
    if (removed == 0)
        return;
    sci_changed(call, key, SCI_EVENT_STREAM, "xtrim");
    if (options.trim.is_approximate) {
        char length[SCI_I64_TEXT_BYTES];
        sc_slice argv[4] = {sc_text("XTRIM"), key, sc_text("MAXLEN"),
                            sc_bytes(length, sci_u64_to_text(stream->length, length))};
        sci_log_instead(call, argv, SCI_COUNT(argv));
    }
}

static void sci_cmd_xdel(sci_call *call)
{
    sci_stream *stream;
    sci_stream_id id;
    int64_t deleted = 0;
    if (!sci_stream_for_write(call, &stream))
        return;
    for (size_t i = 2; i < call->argc && stream; i++)
        if (!sci_arg_stream_id(call, i, &id))
            return;
    for (size_t i = 2; i < call->argc && stream; i++) {
        (void)sci_stream_id_parse(call->argv[i], 0, &id, NULL);
        deleted += sci_stream_delete(stream, id);
    }
    if (deleted > 0)
        sci_changed(call, call->argv[1], SCI_EVENT_STREAM, "xdel");
    sci_answer_i64(call, deleted);
}

typedef struct sci_xsetid {
    sci_stream_id id;
    sci_stream_id max_deleted_id;
    int64_t entries_added; /* -1: as it is */
} sci_xsetid;

/* The option at argv[i] and its value. False after answering what is wrong. */
static bool sci_xsetid_option(sci_call *call, size_t i, sci_xsetid *set)
{
    bool has_value = i + 1 < call->argc;
    if (has_value && sci_word_is(call->argv[i], "entriesadded")) {
        if (!sci_arg_i64(call, i + 1, &set->entries_added))
            return false;
        if (set->entries_added >= 0)
            return true;
        sci_answer_error(call, "ERR entries_added must be positive");
        return false;
    }
    if (has_value && sci_word_is(call->argv[i], "maxdeletedid")) {
        if (!sci_arg_stream_id(call, i + 1, &set->max_deleted_id))
            return false;
        if (sci_stream_id_compare(set->id, set->max_deleted_id) >= 0)
            return true;
        sci_answer_error(call, "ERR The ID specified in XSETID is smaller than the provided "
                               "max_deleted_entry_id");
        return false;
    }
    sci_answer_syntax_error(call);
    return false;
}

/* What is wrong with setting so, in words; NULL: nothing. */
static const char *sci_xsetid_check(const sci_xsetid *set, const sci_stream *stream)
{
    if (!stream)
        return "no such key";
    if (stream->length == 0)
        return NULL;
    if (sci_stream_id_compare(set->id, sci_stream_top_id(stream)) < 0)
        return "The ID specified in XSETID is smaller than the target stream top item";
    if (set->entries_added >= 0 && stream->length > (uint64_t)set->entries_added)
        return "The entries_added specified in XSETID is smaller than the target stream length";
    return NULL;
}

static void sci_cmd_xsetid(sci_call *call)
{
    sci_xsetid set = {{0, 0}, {0, 0}, -1};
    sci_stream *stream;
    if (!sci_arg_stream_id(call, 2, &set.id))
        return;
    for (size_t i = 3; i < call->argc; i += 2)
        if (!sci_xsetid_option(call, i, &set))
            return;
    if (!sci_stream_for_write(call, &stream))
        return;
    const char *wrong = sci_xsetid_check(&set, stream);
    if (wrong) {
        sci_answer_error(call, "ERR %s", wrong);
        return;
    }
    sci_stream_set_last_id(stream, set.id);
    if (set.entries_added >= 0)
        stream->entries_added = (uint64_t)set.entries_added;
    if (sci_stream_id_compare(set.max_deleted_id, sci_stream_lowest) != 0)
        stream->max_deleted_id = set.max_deleted_id;
    sci_answer_ok(call);
    call->changes++; /* for the log alone: to WATCH and tracking it is no change in Redis */
    sci_notify(call, SCI_EVENT_STREAM, "xsetid", call->argv[1]);
}

SCI_PRIVATE sci_command_list sci_stream_commands(void)
{
    static const sci_command commands[] = {
        {"xadd", sci_cmd_xadd, -5, SCI_CMD_WRITE | SCI_CMD_DENYOOM | SCI_CMD_FAST, 1, 1, 1},
        {"xdel", sci_cmd_xdel, -3, SCI_CMD_WRITE | SCI_CMD_FAST, 1, 1, 1},
        {"xinfo", sci_subcommand_run, -2, SCI_CMD_READONLY | SCI_CMD_CONTAINER, 2, 2, 1},
        {"xlen", sci_cmd_xlen, 2, SCI_CMD_READONLY | SCI_CMD_FAST, 1, 1, 1},
        {"xrange", sci_cmd_xrange, -4, SCI_CMD_READONLY, 1, 1, 1},
        {"xread", sci_cmd_xread, -4, SCI_CMD_READONLY | SCI_CMD_BLOCKING, 0, 0, 0},
        {"xrevrange", sci_cmd_xrevrange, -4, SCI_CMD_READONLY, 1, 1, 1},
        {"xsetid", sci_cmd_xsetid, -3, SCI_CMD_WRITE | SCI_CMD_DENYOOM | SCI_CMD_FAST, 1, 1, 1},
        {"xtrim", sci_cmd_xtrim, -4, SCI_CMD_WRITE, 1, 1, 1},
    };
    sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
