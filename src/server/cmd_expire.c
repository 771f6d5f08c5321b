/* When keys expire. */

#include "server/commands.h"
#include "server/server.h"

typedef struct sci_expire_options {
    bool only_new, only_old, only_later, only_earlier; /* NX XX GT LT */
} sci_expire_options;

/* argv[3] and on. False after answering. */
static bool sci_expire_parse(sci_call *call, sci_expire_options *options)
{
    memset(options, 0, sizeof *options);
    for (size_t i = 3; i < call->argc; i++) {
        sc_slice word = call->argv[i];
        if (sci_word_is(word, "nx")) {
            options->only_new = true;
        } else if (sci_word_is(word, "xx")) {
            options->only_old = true;
        } else if (sci_word_is(word, "gt")) {
            options->only_later = true;
        } else if (sci_word_is(word, "lt")) {
            options->only_earlier = true;
        } else {
            sci_answer_error(call, "ERR Unsupported option %.*s",
                             (int)sci_min_size(word.len, SC_ERROR_TEXT_BYTES), word.data);
            return false;
        }
    }
    if (options->only_new && (options->only_old || options->only_later || options->only_earlier)) {
        sci_answer_error(call,
                         "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if (options->only_later && options->only_earlier) {
        sci_answer_error(call, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

/* argv[2], from now on or from 1970, in ms since 1970. It may be in the past. False after
   answering. */
static bool sci_expire_time(sci_call *call, bool is_seconds, bool is_absolute, int64_t *at_ms)
{
    int64_t number, base = is_absolute ? 0 : call->now_ms;
    if (!sci_arg_i64(call, 2, &number))
        return false;
    bool fits = !is_seconds || (number <= INT64_MAX / 1000 && number >= INT64_MIN / 1000);
    if (fits && is_seconds)
        number *= 1000;
    if (!fits || number > INT64_MAX - base) {
        sci_answer_error(call, "ERR invalid expire time in '%s' command", call->command->name);
        return false;
    }
    *at_ms = number + base;
    return true;
}

/* `old_ms` -1: it does not expire, as if it did at the end of time. */
static bool sci_expire_is_wanted(const sci_expire_options *options, int64_t old_ms, int64_t at_ms)
{
    if (options->only_new && old_ms >= 0)
        return false;
    if (options->only_old && old_ms < 0)
        return false;
    if (options->only_later && (old_ms < 0 || at_ms <= old_ms))
        return false;
    return !(options->only_earlier && old_ms >= 0 && at_ms >= old_ms);
}

static void sci_expire_delete(sci_call *call, sc_slice key, sci_entry *entry)
{
    sc_slice words[2];
    words[0] = sc_text("DEL");
    words[1] = key;
    sci_entry_delete(call, entry);
    sci_changed(call, key, SCI_EVENT_GENERIC, "del");
    sci_log_instead(call, words, SCI_COUNT(words));
}

static void sci_expire_log(sci_call *call, sc_slice key, int64_t at_ms)
{
    char digits[SCI_I64_TEXT_BYTES];
    sc_slice words[3];
    words[0] = sc_text("PEXPIREAT");
    words[1] = key;
    words[2] = sc_bytes(digits, sci_i64_to_text(at_ms, digits));
    sci_log_instead(call, words, SCI_COUNT(words));
}

static void sci_expire(sci_call *call, bool is_seconds, bool is_absolute)
{
    sc_slice key = call->argv[1];
    sci_expire_options options;
    int64_t at_ms;
    if (!sci_expire_parse(call, &options) ||
        !sci_expire_time(call, is_seconds, is_absolute, &at_ms))
        return;
    sci_entry *entry = sci_entry_for_write(call, key);
    if (!entry || !sci_expire_is_wanted(&options, sci_db_expiry_ms(call->db, entry), at_ms)) {
        sci_answer_i64(call, 0);
        return;
    }
    if (at_ms <= call->now_ms && !call->is_loading) {
        sci_expire_delete(call, key, entry);
        sci_answer_i64(call, 1);
        return;
    }
    if (sci_db_expire_at(call->db, entry, sci_max_i64(at_ms, 0)) != SC_OK) {
        sci_answer_no_memory(call);
        return;
    }
    sci_changed(call, key, SCI_EVENT_GENERIC, "expire");
    sci_expire_log(call, key, at_ms);
    sci_answer_i64(call, 1);
}

static void sci_command_expire(sci_call *call)
{
    sci_expire(call, true, false);
}

static void sci_command_pexpire(sci_call *call)
{
    sci_expire(call, false, false);
}

static void sci_command_expireat(sci_call *call)
{
    sci_expire(call, true, true);
}

static void sci_command_pexpireat(sci_call *call)
{
    sci_expire(call, false, true);
}

static void sci_command_persist(sci_call *call)
{
    sci_entry *entry = sci_entry_for_write(call, call->argv[1]);
    bool did_expire = entry && entry->expiry;
    if (did_expire) {
        sci_db_persist(call->db, entry);
        sci_changed(call, call->argv[1], SCI_EVENT_GENERIC, "persist");
    }
    sci_answer_i64(call, did_expire);
}

/* --- Asking */

/* When argv[1] expires, seen from `base_ms`; -1: never, -2: there is no such key. Seconds are
   rounded. */
static void sci_expiry_answer(sci_call *call, int64_t base_ms, bool is_seconds)
{
    const sci_entry *entry = sci_entry_for_read(call, call->argv[1]);
    int64_t answer = entry ? sci_db_expiry_ms(call->db, entry) : -2;
    if (answer >= 0) {
        answer = sci_max_i64(answer - base_ms, 0);
        if (is_seconds)
            answer = answer / 1000 + (answer % 1000 >= 500);
    }
    sci_answer_i64(call, answer);
}

static void sci_command_ttl(sci_call *call)
{
    sci_expiry_answer(call, call->now_ms, true);
}

static void sci_command_pttl(sci_call *call)
{
    sci_expiry_answer(call, call->now_ms, false);
}

static void sci_command_expiretime(sci_call *call)
{
    sci_expiry_answer(call, 0, true);
}

static void sci_command_pexpiretime(sci_call *call)
{
    sci_expiry_answer(call, 0, false);
}

SCI_PRIVATE sci_command_list sci_expire_commands(void)
{
    static const sci_command commands[] = {
        {"expire", sci_command_expire, -3, SCI_CMD_WRITE | SCI_CMD_FAST, 1, 1, 1},
        {"pexpire", sci_command_pexpire, -3, SCI_CMD_WRITE | SCI_CMD_FAST, 1, 1, 1},
        {"expireat", sci_command_expireat, -3, SCI_CMD_WRITE | SCI_CMD_FAST, 1, 1, 1},
        {"pexpireat", sci_command_pexpireat, -3, SCI_CMD_WRITE | SCI_CMD_FAST, 1, 1, 1},
        {"persist", sci_command_persist, 2, SCI_CMD_WRITE | SCI_CMD_FAST, 1, 1, 1},
        {"ttl", sci_command_ttl, 2, SCI_CMD_READONLY | SCI_CMD_FAST, 1, 1, 1},
        {"pttl", sci_command_pttl, 2, SCI_CMD_READONLY | SCI_CMD_FAST, 1, 1, 1},
        {"expiretime", sci_command_expiretime, 2, SCI_CMD_READONLY | SCI_CMD_FAST, 1, 1, 1},
        {"pexpiretime", sci_command_pexpiretime, 2, SCI_CMD_READONLY | SCI_CMD_FAST, 1, 1, 1},
    };
    sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
