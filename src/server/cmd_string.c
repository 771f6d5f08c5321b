/* Strings as a whole: GET, SET and their relatives. */

#include "server/cmd_string.h"

#include "server/commands.h"

SCI_PRIVATE bool sci_string_store(sci_call *call, sci_entry **entry, sc_slice key, sc_slice value)
{
    sci_entry *stored = sci_db_set_string(call->db, *entry, key, value);
    if (!stored) {
        sci_answer_no_memory(call);
        return false;
    }
    if (!*entry)
        sci_entry_is_new(call, stored);
    *entry = stored;
    return true;
}

SCI_PRIVATE char *sci_string_open(sci_call *call, sci_entry **entry, sc_slice key, size_t len)
{
    bool is_new = !*entry;
    char *bytes = sci_db_resize_string(call->db, entry, key, len);
    if (!bytes)
        sci_answer_no_memory(call);
    else if (is_new)
        sci_entry_is_new(call, *entry);
    return bytes;
}

SCI_PRIVATE bool sci_string_may_have(sci_call *call, size_t len, size_t more)
{
    size_t most = call->server->config.max_bulk_bytes;
    if (len <= most && more <= most - len)
        return true;
    sci_answer_error(call, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    return false;
}

/* --- Options of SET and GETEX */

typedef struct sci_time_option {
    const char *name;
    bool is_seconds, is_absolute;
} sci_time_option;

static const sci_time_option sci_time_options[] = {
    {"ex", true, false},
    {"px", false, false},
    {"exat", true, true},
    {"pxat", false, true},
};

typedef enum sci_set_condition {
    SCI_SET_ALWAYS,
    SCI_SET_IF_ABSENT,  /* NX */
    SCI_SET_IF_PRESENT, /* XX */
    SCI_SET_IF_EQUAL    /* IFEQ */
} sci_set_condition;

typedef struct sci_set_options {
    sci_set_condition condition;
    sc_slice equal;              /* for SCI_SET_IF_EQUAL */
    const sci_time_option *time; /* or NULL */
    size_t time_at;              /* the word with its number */
    bool gives_old;              /* GET */
    bool keeps_expiry;           /* KEEPTTL */
    bool persists;               /* PERSIST */
} sci_set_options;

static const sci_time_option *sci_time_option_find(sc_slice word)
{
    for (size_t i = 0; i < SCI_COUNT(sci_time_options); i++) {
        if (sci_word_is(word, sci_time_options[i].name))
            return &sci_time_options[i];
    }
    return NULL;
}

/* EX and the like at argv[*i], with a number after it. The same one may come again. */
static bool sci_set_time(const sci_call *call, sci_set_options *options, size_t *i)
{
    const sci_time_option *time = sci_time_option_find(call->argv[*i]);
    if (!time || options->keeps_expiry || options->persists || *i + 1 == call->argc ||
        (options->time && options->time != time))
        return false;
    options->time = time;
    options->time_at = ++*i;
    return true;
}

static bool sci_set_condition_of(const sci_call *call, sci_set_options *options, size_t *i)
{
    sc_slice word = call->argv[*i];
    sci_set_condition condition = SCI_SET_ALWAYS;
    if (sci_word_is(word, "nx"))
        condition = SCI_SET_IF_ABSENT;
    else if (sci_word_is(word, "xx"))
        condition = SCI_SET_IF_PRESENT;
    else if (sci_word_is(word, "ifeq") && *i + 1 < call->argc)
        condition = SCI_SET_IF_EQUAL;
    if (condition == SCI_SET_ALWAYS ||
        (options->condition != SCI_SET_ALWAYS && options->condition != condition))
        return false;
    options->condition = condition;
    if (condition == SCI_SET_IF_EQUAL)
        options->equal = call->argv[++*i];
    return true;
}

/* The words of SET from argv[3] on. False after answering. */
static bool sci_set_parse(sci_call *call, sci_set_options *options)
{
    memset(options, 0, sizeof *options);
    for (size_t i = 3; i < call->argc; i++) {
        sc_slice word = call->argv[i];
        if (sci_set_condition_of(call, options, &i) || sci_set_time(call, options, &i))
            continue;
        if (sci_word_is(word, "get")) {
            options->gives_old = true;
        } else if (sci_word_is(word, "keepttl") && !options->time) {
            options->keeps_expiry = true;
        } else {
            sci_answer_syntax_error(call);
            return false;
        }
    }
    return true;
}

/* The words of GETEX from argv[2] on. */
static bool sci_getex_parse(sci_call *call, sci_set_options *options)
{
    memset(options, 0, sizeof *options);
    for (size_t i = 2; i < call->argc; i++) {
        if (sci_set_time(call, options, &i))
            continue;
        if (!sci_word_is(call->argv[i], "persist") || options->time) {
            sci_answer_syntax_error(call);
            return false;
        }
        options->persists = true;
    }
    return true;
}

/* argv[i] as a time of that kind: milliseconds since 1970. False after answering. */
static bool sci_arg_expiry(sci_call *call, size_t i, const sci_time_option *time, int64_t *at_ms)
{
    int64_t number;
    if (!sci_arg_i64(call, i, &number))
        return false;
    bool fits = number > 0 && (!time->is_seconds || number <= INT64_MAX / 1000);
    if (fits && time->is_seconds)
        number *= 1000;
    if (fits && !time->is_absolute) {
        fits = number <= INT64_MAX - call->now_ms;
        number += fits ? call->now_ms : 0;
    }
    if (!fits)
        sci_answer_error(call, "ERR invalid expire time in '%s' command", call->command->name);
    *at_ms = number;
    return fits;
}

/* --- Setting */

/* Without what depends on time or on what was there. */
static void sci_set_log(sci_call *call, sc_slice key, sc_slice value, int64_t at_ms, bool keeps)
{
    char digits[SCI_I64_TEXT_BYTES];
    sc_slice words[5];
    size_t count = 3;
    words[0] = sc_text("SET");
    words[1] = key;
    words[2] = value;
    if (at_ms >= 0) {
        words[count++] = sc_text("PXAT");
        words[count++] = sc_bytes(digits, sci_i64_to_text(at_ms, digits));
    } else if (keeps) {
        words[count++] = sc_text("KEEPTTL");
    }
    sci_log_instead(call, words, count);
}

typedef enum sci_set_outcome {
    SCI_SET_DONE,
    SCI_SET_REFUSED, /* by the condition */
    SCI_SET_FAILED   /* an error was answered */
} sci_set_outcome;

/* Does the condition hold? */
static sci_set_outcome sci_set_judge(sci_call *call, const sci_set_options *options,
                                     const sci_entry *entry)
{
    bool holds = true;
    switch (options->condition) {
    case SCI_SET_ALWAYS:
        break;
    case SCI_SET_IF_ABSENT:
        holds = !entry;
        break;
    case SCI_SET_IF_PRESENT:
        holds = entry != NULL;
        break;
    case SCI_SET_IF_EQUAL:
        if (entry && entry->type != SCI_STRING) {
            sci_answer_wrong_type(call);
            return SCI_SET_FAILED;
        }
        holds = entry && sci_slice_equal(sci_entry_string(entry), options->equal);
        break;
    }
    return holds ? SCI_SET_DONE : SCI_SET_REFUSED;
}

/* `at_ms` -1: no expiry. */
static sci_set_outcome sci_set(sci_call *call, const sci_set_options *options, sc_slice key,
                               sc_slice value, int64_t at_ms)
{
    sci_entry *entry = sci_entry_for_write(call, key);
    sci_set_outcome outcome = sci_set_judge(call, options, entry);
    if (outcome != SCI_SET_DONE)
        return outcome;
    if (at_ms >= 0 && sci_db_reserve_expiry(call->db) != SC_OK) {
        sci_answer_no_memory(call);
        return SCI_SET_FAILED;
    }
    if (!sci_string_store(call, &entry, key, value))
        return SCI_SET_FAILED;
    if (at_ms >= 0)
        (void)sci_db_expire_at(call->db, entry, at_ms);
    else if (!options->keeps_expiry)
        sci_db_persist(call->db, entry);
    sci_changed(call, key, SCI_EVENT_STRING, "set");
    if (at_ms >= 0)
        sci_notify(call, SCI_EVENT_GENERIC, "expire", key);
    if (at_ms >= 0 || options->condition != SCI_SET_ALWAYS || options->gives_old)
        sci_set_log(call, key, value, at_ms, options->keeps_expiry);
    return SCI_SET_DONE;
}

/* Answer with the string under `key`, or nil. False after answering that it is none. */
static bool sci_string_answer(sci_call *call, sc_slice key, sci_entry **entry)
{
    if (!sci_typed_for_read(call, key, SCI_STRING, entry))
        return false;
    if (*entry)
        sci_answer_bulk(call, sci_entry_string(*entry));
    else
        sci_answer_nil(call, SCI_NIL_BULK);
    return true;
}

/* The same as sci_set, but it answers with the old value. */
static void sci_set_and_get(sci_call *call, const sci_set_options *options, sc_slice value,
                            int64_t at_ms)
{
    sc_slice key = call->argv[1];
    sci_entry *entry;
    size_t answered = sci_bytes_len(call->out);
    if (!sci_string_answer(call, key, &entry))
        return;
    size_t end = sci_bytes_len(call->out);
    if (sci_set(call, options, key, value, at_ms) == SCI_SET_FAILED)
        sci_bytes_cut(call->out, answered, end - answered);
}

static void sci_command_get(sci_call *call)
{
    sci_entry *entry;
    (void)sci_string_answer(call, call->argv[1], &entry);
}

static void sci_command_set(sci_call *call)
{
    sci_set_options options;
    int64_t at_ms = -1;
    if (!sci_set_parse(call, &options) ||
        (options.time && !sci_arg_expiry(call, options.time_at, options.time, &at_ms)))
        return;
    if (options.gives_old) {
        sci_set_and_get(call, &options, call->argv[2], at_ms);
        return;
    }
    sci_set_outcome outcome = sci_set(call, &options, call->argv[1], call->argv[2], at_ms);
    if (outcome == SCI_SET_DONE)
        sci_answer_ok(call);
    else if (outcome == SCI_SET_REFUSED)
        sci_answer_nil(call, SCI_NIL_BULK);
}

static void sci_command_setnx(sci_call *call)
{
    sci_set_options options = {SCI_SET_IF_ABSENT, {NULL, 0}, NULL, 0, false, false, false};
    sci_set_outcome outcome = sci_set(call, &options, call->argv[1], call->argv[2], -1);
    if (outcome != SCI_SET_FAILED)
        sci_answer_i64(call, outcome == SCI_SET_DONE);
}

static const sci_set_options sci_set_plainly = {SCI_SET_ALWAYS, {NULL, 0}, NULL, 0,
                                                false,          false,     false};

static void sci_set_for(sci_call *call, const sci_time_option *time)
{
    int64_t at_ms;
    if (sci_arg_expiry(call, 2, time, &at_ms) &&
        sci_set(call, &sci_set_plainly, call->argv[1], call->argv[3], at_ms) == SCI_SET_DONE)
        sci_answer_ok(call);
}

static void sci_command_setex(sci_call *call)
{
    sci_set_for(call, &sci_time_options[0]);
}

static void sci_command_psetex(sci_call *call)
{
    sci_set_for(call, &sci_time_options[1]);
}

static void sci_command_getset(sci_call *call)
{
    sci_set_options options = sci_set_plainly;
    options.gives_old = true;
    sci_set_and_get(call, &options, call->argv[2], -1);
}

/* Delete what was read before; as DEL. */
static void sci_string_delete(sci_call *call, sc_slice key)
{
    sc_slice words[2];
    words[0] = sc_text("DEL");
    words[1] = key;
    sci_entry_delete(call, sci_entry_for_write(call, key));
    sci_changed(call, key, SCI_EVENT_GENERIC, "del");
    sci_log_instead(call, words, SCI_COUNT(words));
}

static void sci_command_getdel(sci_call *call)
{
    sci_entry *entry;
    if (sci_string_answer(call, call->argv[1], &entry) && entry)
        sci_string_delete(call, call->argv[1]);
}

/* --- GETEX */

static void sci_getex_persist(sci_call *call, sc_slice key)
{
    sc_slice words[2];
    sci_entry *entry = sci_entry_for_write(call, key);
    if (!entry->expiry)
        return;
    words[0] = sc_text("PERSIST");
    words[1] = key;
    sci_db_persist(call->db, entry);
    sci_changed(call, key, SCI_EVENT_GENERIC, "persist");
    sci_log_instead(call, words, SCI_COUNT(words));
}

static bool sci_getex_expire(sci_call *call, sc_slice key, int64_t at_ms)
{
    char digits[SCI_I64_TEXT_BYTES];
    sc_slice words[3];
    if (sci_db_expire_at(call->db, sci_entry_for_write(call, key), at_ms) != SC_OK) {
        sci_answer_no_memory(call);
        return false;
    }
    words[0] = sc_text("PEXPIREAT");
    words[1] = key;
    words[2] = sc_bytes(digits, sci_i64_to_text(at_ms, digits));
    sci_changed(call, key, SCI_EVENT_GENERIC, "expire");
    sci_log_instead(call, words, SCI_COUNT(words));
    return true;
}

static void sci_command_getex(sci_call *call)
{
    sc_slice key = call->argv[1];
    sci_set_options options;
    sci_entry *entry;
    int64_t at_ms = -1;
    if (!sci_getex_parse(call, &options) || !sci_typed_for_read(call, key, SCI_STRING, &entry))
        return;
    if (!entry) {
        sci_answer_nil(call, SCI_NIL_BULK);
        return;
    }
    if (options.time && !sci_arg_expiry(call, options.time_at, options.time, &at_ms))
        return;
    bool is_over = options.time && at_ms <= call->now_ms && !call->is_loading;
    if (options.time && !is_over && !sci_getex_expire(call, key, at_ms))
        return;
    sci_answer_bulk(call, sci_entry_string(entry));
    if (is_over)
        sci_string_delete(call, key);
    else if (options.persists)
        sci_getex_persist(call, key);
}

/* --- Several */

static void sci_command_mget(sci_call *call)
{
    sci_answer_array(call, call->argc - 1);
    for (size_t i = 1; i < call->argc; i++) {
        const sci_entry *entry = sci_entry_for_read(call, call->argv[i]);
        if (entry && entry->type == SCI_STRING)
            sci_answer_bulk(call, sci_entry_string(entry));
        else
            sci_answer_nil(call, SCI_NIL_BULK);
    }
}

/* Entries for all pairs of argv, linked in their order. False when there is no memory. */
static bool sci_mset_prepare(sci_call *call, sci_entry **first)
{
    sci_entry **end = first;
    *first = NULL;
    for (size_t i = 1; i < call->argc; i += 2) {
        *end = sci_db_prepare_string(call->db, call->argv[i], call->argv[i + 1]);
        if (!*end)
            break;
        (*end)->next = NULL;
        end = &(*end)->next;
        if (i + 2 == call->argc)
            return true;
    }
    while (*first) {
        sci_entry *next = (*first)->next;
        sci_db_discard_string(call->db, *first);
        *first = next;
    }
    return false;
}

/* Set all pairs of argv, or none: false after answering that there is no memory. */
static bool sci_mset(sci_call *call)
{
    sci_entry *prepared;
    if (!sci_mset_prepare(call, &prepared)) {
        sci_answer_no_memory(call);
        return false;
    }
    for (size_t i = 1; i < call->argc; i += 2) {
        sci_entry *next = prepared->next;
        sci_entry *entry = sci_entry_for_write(call, call->argv[i]);
        if (entry)
            sci_db_persist(call->db, entry);
        sci_db_put_string(call->db, entry, prepared);
        if (!entry)
            sci_entry_is_new(call, prepared);
        sci_changed(call, call->argv[i], SCI_EVENT_STRING, "set");
        prepared = next;
    }
    return true;
}

static bool sci_mset_has_pairs(sci_call *call)
{
    if (call->argc % 2 == 1)
        return true;
    sci_answer_wrong_arity(call);
    return false;
}

static void sci_command_mset(sci_call *call)
{
    if (sci_mset_has_pairs(call) && sci_mset(call))
        sci_answer_ok(call);
}

static void sci_command_msetnx(sci_call *call)
{
    if (!sci_mset_has_pairs(call))
        return;
    for (size_t i = 1; i < call->argc; i += 2) {
        if (sci_entry_for_write(call, call->argv[i])) {
            sci_answer_i64(call, 0);
            return;
        }
    }
    if (sci_mset(call))
        sci_answer_i64(call, 1);
}

SCI_PRIVATE sci_command_list sci_string_commands(void)
{
    static const sci_command commands[] = {
        {"get", sci_command_get, 2, SCI_CMD_READONLY | SCI_CMD_FAST, 1, 1, 1},
        {"set", sci_command_set, -3, SCI_CMD_WRITE | SCI_CMD_DENYOOM, 1, 1, 1},
        {"setnx", sci_command_setnx, 3, SCI_CMD_WRITE | SCI_CMD_DENYOOM | SCI_CMD_FAST, 1, 1, 1},
        {"setex", sci_command_setex, 4, SCI_CMD_WRITE | SCI_CMD_DENYOOM, 1, 1, 1},
        {"psetex", sci_command_psetex, 4, SCI_CMD_WRITE | SCI_CMD_DENYOOM, 1, 1, 1},
        {"getset", sci_command_getset, 3, SCI_CMD_WRITE | SCI_CMD_DENYOOM | SCI_CMD_FAST, 1, 1, 1},
        {"getdel", sci_command_getdel, 2, SCI_CMD_WRITE | SCI_CMD_FAST, 1, 1, 1},
        {"getex", sci_command_getex, -2, SCI_CMD_WRITE | SCI_CMD_FAST, 1, 1, 1},
        {"mget", sci_command_mget, -2, SCI_CMD_READONLY | SCI_CMD_FAST, 1, -1, 1},
        {"mset", sci_command_mset, -3, SCI_CMD_WRITE | SCI_CMD_DENYOOM, 1, -1, 2},
        {"msetnx", sci_command_msetnx, -3, SCI_CMD_WRITE | SCI_CMD_DENYOOM, 1, -1, 2},
    };
    sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
