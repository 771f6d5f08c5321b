/* Commands on hashes. */

#include "server/collection.h"
#include "server/commands.h"
#include "server/scan.h"

static bool sci_hash_for_read(sci_call *call, sci_members **hash)
{
    return sci_collection_for_read(call, 1, SCI_HASH, hash);
}

static void sci_answer_field(sci_call *call, const sci_members *hash, sc_slice field)
{
    const sci_member *member = hash ? sci_members_find(hash, field) : NULL;
    if (member)
        sci_answer_bulk(call, sci_member_value(member));
    else
        sci_answer_nil(call, SCI_NIL_BULK);
}

/* --- Reading */

static void sci_command_hget(sci_call *call)
{
    sci_members *hash;
    if (sci_hash_for_read(call, &hash))
        sci_answer_field(call, hash, call->argv[2]);
}

static void sci_command_hmget(sci_call *call)
{
    sci_members *hash;
    if (!sci_hash_for_read(call, &hash))
        return;
    sci_answer_array(call, call->argc - 2);
    for (size_t i = 2; i < call->argc; i++)
        sci_answer_field(call, hash, call->argv[i]);
}

static void sci_hash_list(sci_call *call, bool with_names, bool with_values)
{
    sci_members *hash;
    sci_members_iterator iterator = {0, 0};
    if (!sci_hash_for_read(call, &hash))
        return;
    sci_answer_array(call, hash ? hash->count * ((size_t)with_names + with_values) : 0);
    for (const sci_member *member; hash && (member = sci_members_next(hash, &iterator));) {
        if (with_names)
            sci_answer_bulk(call, sci_member_name(member));
        if (with_values)
            sci_answer_bulk(call, sci_member_value(member));
    }
}

static void sci_command_hgetall(sci_call *call)
{
    sci_hash_list(call, true, true);
}

static void sci_command_hkeys(sci_call *call)
{
    sci_hash_list(call, true, false);
}

static void sci_command_hvals(sci_call *call)
{
    sci_hash_list(call, false, true);
}

static void sci_command_hlen(sci_call *call)
{
    sci_members *hash;
    if (sci_hash_for_read(call, &hash))
        sci_answer_i64(call, hash ? hash->count : 0);
}

static void sci_command_hstrlen(sci_call *call)
{
    sci_members *hash;
    if (!sci_hash_for_read(call, &hash))
        return;
    const sci_member *member = hash ? sci_members_find(hash, call->argv[2]) : NULL;
    sci_answer_i64(call, member ? (int64_t)sci_member_value(member).len : 0);
}

static void sci_command_hexists(sci_call *call)
{
    sci_members *hash;
    if (sci_hash_for_read(call, &hash))
        sci_answer_i64(call, hash && sci_members_find(hash, call->argv[2]));
}

/* --- Chance and walks */

static bool sci_hrandfield_options(sci_call *call, int64_t *count, bool *with_values)
{
    if (!sci_collection_arg_count(call, 2, count))
        return false;
    *with_values = call->argc == 4;
    if (call->argc > 4 || (*with_values && !sci_word_is(call->argv[3], "withvalues"))) {
        sci_answer_syntax_error(call);
        return false;
    }
    if (*with_values && (*count < -INT64_MAX / 2 || *count > INT64_MAX / 2)) {
        sci_answer_error(call, "ERR value is out of range");
        return false;
    }
    return true;
}

static void sci_command_hrandfield(sci_call *call)
{
    sci_members *hash;
    int64_t count = 0;
    bool with_values = false;
    if (call->argc > 2 && !sci_hrandfield_options(call, &count, &with_values))
        return;
    if (!sci_hash_for_read(call, &hash))
        return;
    if (call->argc == 2)
        sci_collection_answer_one(call, hash);
    else
        sci_collection_answer_some(call, hash, count, with_values);
}

static void sci_hscan_visit(void *user, sci_member *member)
{
    sci_scan *scan = (sci_scan *)user;
    if (!sci_scan_wants(scan, sci_member_name(member)))
        return;
    sci_answer_bulk(scan->call, sci_member_name(member));
    sci_answer_bulk(scan->call, sci_member_value(member));
    scan->answers += 2;
}

static uint64_t sci_hscan_step(sci_scan *scan, uint64_t cursor, const void *table)
{
    return sci_members_walk((const sci_members *)table, cursor, sci_hscan_visit, scan);
}

static void sci_command_hscan(sci_call *call)
{
    sci_scan scan;
    sci_members *hash;
    if (!sci_scan_begin(&scan, call, 2) || !sci_hash_for_read(call, &hash))
        return;
    if (!hash)
        sci_scan_answer_none(call);
    else if (sci_scan_options(&scan, 3, false))
        sci_scan_run(&scan, sci_hscan_step, hash);
}

/* --- Changing */

/* False after answering. */
static bool sci_hash_put(sci_call *call, const sc_slice *words, size_t count, size_t *added)
{
    sci_entry *entry;
    sci_members *hash;
    return sci_collection_for_write(call, 1, SCI_HASH, &entry, &hash) &&
           sci_collection_put(call, call->argv[1], SCI_HASH, entry, words, count, added);
}

/* HSET and HMSET */
static bool sci_hash_set(sci_call *call, size_t *added)
{
    if (call->argc % 2 == 1) {
        sci_answer_wrong_arity(call);
        return false;
    }
    if (!sci_hash_put(call, call->argv + 2, (call->argc - 2) / 2, added))
        return false;
    sci_changed(call, call->argv[1], SCI_EVENT_HASH, "hset");
    return true;
}

static void sci_command_hset(sci_call *call)
{
    size_t added;
    if (sci_hash_set(call, &added))
        sci_answer_i64(call, (int64_t)added);
}

static void sci_command_hmset(sci_call *call)
{
    size_t added;
    if (sci_hash_set(call, &added))
        sci_answer_ok(call);
}

static void sci_command_hsetnx(sci_call *call)
{
    sci_entry *entry;
    sci_members *hash;
    size_t added;
    if (!sci_collection_for_write(call, 1, SCI_HASH, &entry, &hash))
        return;
    if (hash && sci_members_find(hash, call->argv[2])) {
        sci_answer_i64(call, 0);
        return;
    }
    if (!sci_collection_put(call, call->argv[1], SCI_HASH, entry, call->argv + 2, 1, &added))
        return;
    sci_changed(call, call->argv[1], SCI_EVENT_HASH, "hset");
    sci_answer_i64(call, 1);
}

static void sci_command_hdel(sci_call *call)
{
    sci_entry *entry;
    sci_members *hash;
    int64_t removed = 0;
    if (!sci_collection_for_write(call, 1, SCI_HASH, &entry, &hash))
        return;
    for (size_t i = 2; hash && i < call->argc; i++)
        removed += sci_members_remove(hash, call->argv[i]);
    if (removed > 0)
        sci_collection_shrunk(call, call->argv[1], entry, SCI_EVENT_HASH, "hdel");
    sci_answer_i64(call, removed);
}

/* The number's text becomes the value of field argv[2]. False after answering. */
static bool sci_hash_put_number(sci_call *call, sci_entry *entry, sc_slice text, const char *event)
{
    sc_slice words[2];
    size_t added;
    words[0] = call->argv[2];
    words[1] = text;
    if (!sci_collection_put(call, call->argv[1], SCI_HASH, entry, words, 1, &added))
        return false;
    sci_changed(call, call->argv[1], SCI_EVENT_HASH, event);
    return true;
}

static void sci_command_hincrby(sci_call *call)
{
    sci_entry *entry;
    sci_members *hash;
    int64_t number = 0, delta;
    char digits[SCI_I64_TEXT_BYTES];
    if (!sci_arg_i64(call, 3, &delta) ||
        !sci_collection_for_write(call, 1, SCI_HASH, &entry, &hash))
        return;
    const sci_member *member = hash ? sci_members_find(hash, call->argv[2]) : NULL;
    if (member && !sci_text_to_i64(sci_member_value(member), &number)) {
        sci_answer_error(call, "ERR hash value is not an integer");
        return;
    }
    if (delta < 0 ? number < INT64_MIN - delta : number > INT64_MAX - delta) {
        sci_answer_error(call, "ERR increment or decrement would overflow");
        return;
    }
    number += delta;
    if (sci_hash_put_number(call, entry, sc_bytes(digits, sci_i64_to_text(number, digits)),
                            "hincrby"))
        sci_answer_i64(call, number);
}

/* argv[3]; false after answering. */
static bool sci_hincrbyfloat_delta(sci_call *call, sci_extended *delta)
{
    if (!sci_arg_extended(call, 3, delta))
        return false;
    if (sci_extended_is_finite(delta))
        return true;
    sci_answer_error(call, "ERR value is NaN or Infinity");
    return false;
}

/* The result is logged: whoever loads it may compute otherwise. */
static void sci_hincrbyfloat_log(sci_call *call, sc_slice text)
{
    sc_slice words[4];
    words[0] = sc_text("HSET");
    words[1] = call->argv[1];
    words[2] = call->argv[2];
    words[3] = text;
    sci_log_instead(call, words, SCI_COUNT(words));
}

static void sci_command_hincrbyfloat(sci_call *call)
{
    sci_entry *entry;
    sci_members *hash;
    sci_extended number, delta;
    char text[SCI_EXTENDED_TEXT_BYTES];
    if (!sci_hincrbyfloat_delta(call, &delta) ||
        !sci_collection_for_write(call, 1, SCI_HASH, &entry, &hash))
        return;
    const sci_member *member = hash ? sci_members_find(hash, call->argv[2]) : NULL;
    if (!sci_text_to_extended(member ? sci_member_value(member) : sc_text("0"), &number)) {
        sci_answer_error(call, "ERR hash value is not a float");
        return;
    }
    number = sci_extended_add(&number, &delta);
    if (!sci_extended_is_finite(&number)) {
        sci_answer_error(call, "ERR increment would produce NaN or Infinity");
        return;
    }
    const sc_slice result = sc_bytes(text, sci_extended_to_text(&number, text));
    if (!sci_hash_put_number(call, entry, result, "hincrbyfloat"))
        return;
    sci_hincrbyfloat_log(call, result);
    sci_answer_bulk(call, result);
}

#define SCI_CMD_GROWS (SCI_CMD_WRITE | SCI_CMD_DENYOOM | SCI_CMD_FAST)
#define SCI_CMD_READS_FAST (SCI_CMD_READONLY | SCI_CMD_FAST)

SCI_PRIVATE sci_command_list sci_hash_commands(void)
{
    static const sci_command commands[] = {
        {"hset", sci_command_hset, -4, SCI_CMD_GROWS, 1, 1, 1},
        {"hsetnx", sci_command_hsetnx, 4, SCI_CMD_GROWS, 1, 1, 1},
        {"hmset", sci_command_hmset, -4, SCI_CMD_GROWS, 1, 1, 1},
        {"hget", sci_command_hget, 3, SCI_CMD_READS_FAST, 1, 1, 1},
        {"hmget", sci_command_hmget, -3, SCI_CMD_READS_FAST, 1, 1, 1},
        {"hgetall", sci_command_hgetall, 2, SCI_CMD_READONLY, 1, 1, 1},
        {"hdel", sci_command_hdel, -3, SCI_CMD_WRITE | SCI_CMD_FAST, 1, 1, 1},
        {"hlen", sci_command_hlen, 2, SCI_CMD_READS_FAST, 1, 1, 1},
        {"hstrlen", sci_command_hstrlen, 3, SCI_CMD_READS_FAST, 1, 1, 1},
        {"hexists", sci_command_hexists, 3, SCI_CMD_READS_FAST, 1, 1, 1},
        {"hkeys", sci_command_hkeys, 2, SCI_CMD_READONLY, 1, 1, 1},
        {"hvals", sci_command_hvals, 2, SCI_CMD_READONLY, 1, 1, 1},
        {"hincrby", sci_command_hincrby, 4, SCI_CMD_GROWS, 1, 1, 1},
        {"hincrbyfloat", sci_command_hincrbyfloat, 4, SCI_CMD_GROWS, 1, 1, 1},
        {"hrandfield", sci_command_hrandfield, -2, SCI_CMD_READONLY, 1, 1, 1},
        {"hscan", sci_command_hscan, -3, SCI_CMD_READONLY, 1, 1, 1},
    };
    const sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
