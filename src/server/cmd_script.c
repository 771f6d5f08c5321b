/* EVAL, EVALSHA and SCRIPT for the library's own scripts, whose Lua texts stand in scripts.h. */

#include "server/commands.h"
#include "server/dispatch.h"
#include "server/evict.h"
#include "server/log.h"
#include "server/script_run.h"
#include "server/scripts.h"
#include "server/subcommand.h"
#include "server/tracking.h"

typedef struct sci_native_script {
    const char *text;
    size_t keys; /* at least so many */
    size_t args;
    void (*run)(sci_script_run *run);
} sci_native_script;

SCI_PRIVATE bool sci_script_do(sci_script_run *run, const sc_slice *words, size_t count)
{
    sci_call *outer = run->call;
    sci_call call;
    const sci_command *command = sci_command_find(outer->server, words[0]);
    sci_call_init(&call, outer->server, outer->session, command, words, count);
    call.db = outer->db;
    call.out = &run->answer;
    call.now_ms = outer->now_ms;
    call.is_in_transaction = true;
    sci_bytes_reset(&run->answer, SIZE_MAX);
    if ((command->flags & SCI_CMD_DENYOOM) && !sci_evict_make_room(outer->server)) {
        sci_answer_error(outer, "OOM command not allowed when used memory > 'maxmemory'.");
        return false;
    }
    sci_call_run(&call);
    sc_slice answer = sci_bytes_slice(&run->answer);
    if (answer.len && answer.data[0] != '-')
        return true;
    if (answer.len < 3 || sci_bytes_append(outer->out, answer) != SC_OK)
        sci_answer_no_memory(outer);
    return false;
}

SCI_PRIVATE bool sci_script_get(sci_script_run *run, size_t key, sc_slice *text)
{
    sci_entry *entry;
    *text = sc_bytes(NULL, 0);
    if (run->call->session) /* a script that reads has read all of its keys */
        sci_tracking_note_keys(run->call->session, run->keys, run->key_count);
    if (!sci_typed_for_read(run->call, run->keys[key], SCI_STRING, &entry))
        return false;
    if (entry)
        *text = sc_bytes(sci_entry_string(entry).len ? sci_entry_string(entry).data : "",
                         sci_entry_string(entry).len);
    return true;
}

SCI_PRIVATE bool sci_script_set(sci_script_run *run, size_t key, sc_slice value, sc_slice life_ms)
{
    const sc_slice words[5] = {sc_text("SET"), run->keys[key], value, sc_text("PX"), life_ms};
    return sci_script_do(run, words, life_ms.len ? 5 : 3);
}

SCI_PRIVATE bool sci_script_publish(sci_script_run *run, sc_slice channel, sc_slice message)
{
    const sc_slice words[3] = {sc_text("PUBLISH"), channel, message};
    return sci_script_do(run, words, 3);
}

static bool sci_script_renew_lease(sci_script_run *run, sc_slice life_ms)
{
    const sc_slice words[3] = {sc_text("PEXPIRE"), run->keys[SCI_SCRIPT_LEASE], life_ms};
    return sci_script_do(run, words, 3);
}

SCI_PRIVATE int64_t sci_script_ttl_ms(const sci_script_run *run, size_t key)
{
    const sci_call *call = run->call;
    const sci_entry *entry = sci_db_find(call->db, run->keys[key]);
    int64_t until_ms = entry ? sci_db_expiry_ms(call->db, entry) : -1;
    return until_ms < 0 ? -1 : until_ms - call->now_ms;
}

SCI_PRIVATE bool sci_script_join(sci_script_run *run, sci_bytes *joined, const sc_slice *pieces,
                                 size_t count)
{
    sc_status status = SC_OK;
    sci_bytes_init(joined, &run->call->server->memory);
    for (size_t i = 0; i < count && status == SC_OK; i++)
        status = sci_bytes_append(joined, pieces[i]);
    if (status == SC_OK)
        return true;
    sci_bytes_free(joined);
    sci_answer_no_memory(run->call);
    return false;
}

/* What the flight with this token left, or any when it is marked for everybody. */
static bool sci_script_is_result_for(sc_slice result, sc_slice token, bool wants_errors)
{
    if (!wants_errors && result.len > 33 && result.data[33] == 'e')
        return false;
    return result.len &&
           (result.data[0] == 'N' || (result.len > 32 && token.len == 32 &&
                                      memcmp(result.data + 1, token.data, token.len) == 0));
}

static void sci_script_answer_held(sci_script_run *run, sc_slice holder)
{
    sci_call *call = run->call;
    sci_answer_array(call, 3);
    sci_answer_i64(call, 4);
    sci_answer_bulk(call, holder);
    sci_answer_i64(call, sci_script_ttl_ms(run, SCI_SCRIPT_LEASE));
}

/* The same question's, or that of an earlier copy of it. */
static bool sci_script_is_earlier(sc_slice holder, sc_slice token)
{
    size_t last = token.len - 1;
    return token.len && holder.len == token.len && memcmp(holder.data, token.data, last) == 0 &&
           holder.data[last] <= token.data[last];
}

static void sci_script_acquire(sci_script_run *run)
{
    sci_call *call = run->call;
    sc_slice value, result, holder;
    if (!sci_script_get(run, SCI_SCRIPT_VALUE, &value))
        return;
    if (value.data) {
        sci_answer_array(call, 2);
        sci_answer_i64(call, 1);
        sci_answer_bulk(call, value);
        return;
    }
    if (!sci_script_get(run, SCI_SCRIPT_RESULT, &result))
        return;
    if (sci_script_is_result_for(result, run->args[2],
                                 !sci_slice_equal(run->args[3], sc_text("1")))) {
        sci_answer_array(call, 2);
        sci_answer_i64(call, 2);
        sci_answer_bulk(call, result);
        return;
    }
    if (!sci_script_get(run, SCI_SCRIPT_LEASE, &holder))
        return;
    if (holder.data && !sci_script_is_earlier(holder, run->args[0])) {
        sci_script_answer_held(run, holder);
        return;
    }
    if (sci_script_set(run, SCI_SCRIPT_LEASE, run->args[0], run->args[1])) {
        sci_answer_array(call, 1);
        sci_answer_i64(call, 3);
    }
}

static bool sci_script_leave_result(sci_script_run *run)
{
    const sc_slice *args = run->args;
    const sc_slice pieces[4] = {args[3], args[0], args[6], args[2]};
    sci_bytes joined;
    if (args[3].len == 0)
        return true;
    if (!sci_script_join(run, &joined, pieces, 4))
        return false;
    bool is_set = sci_script_set(run, SCI_SCRIPT_RESULT, sci_bytes_slice(&joined), args[4]);
    sci_bytes_free(&joined);
    return is_set;
}

static bool sci_script_tell(sci_script_run *run)
{
    const sc_slice *args = run->args;
    bool has_payload = sci_slice_equal(args[7], sc_text("1"));
    const sc_slice pieces[3] = {has_payload ? args[6] : sc_text("r"), args[0],
                                has_payload ? args[2] : sc_bytes(NULL, 0)};
    sci_bytes joined;
    if (!sci_script_join(run, &joined, pieces, 3))
        return false;
    bool is_told = sci_script_publish(run, args[5], sci_bytes_slice(&joined)) &&
                   (args[8].len == 0 || sci_script_publish(run, args[8], args[2]));
    sci_bytes_free(&joined);
    return is_told;
}

static bool sci_script_store_value(sci_script_run *run)
{
    const sc_slice *args = run->args;
    if (sci_slice_equal(args[1], sc_text("0")))
        return true;
    bool is_forever = sci_slice_equal(args[1], sc_text("-1"));
    return sci_script_set(run, SCI_SCRIPT_VALUE, args[2], is_forever ? sc_bytes(NULL, 0) : args[1]);
}

static void sci_script_store(sci_script_run *run)
{
    const sc_slice del[2] = {sc_text("DEL"), run->keys[SCI_SCRIPT_LEASE]};
    sc_slice holder;
    if (!sci_script_get(run, SCI_SCRIPT_LEASE, &holder))
        return;
    if (!holder.data || !sci_slice_equal(holder, run->args[0])) {
        sci_answer_i64(run->call, 0);
        return;
    }
    if (sci_script_do(run, del, 2) && sci_script_store_value(run) && sci_script_leave_result(run) &&
        sci_script_tell(run))
        sci_answer_i64(run->call, 1);
}

static void sci_script_renew(sci_script_run *run)
{
    sc_slice holder;
    if (!sci_script_get(run, SCI_SCRIPT_LEASE, &holder))
        return;
    bool is_ours = holder.data && sci_slice_equal(holder, run->args[0]);
    if (!is_ours || sci_script_renew_lease(run, run->args[1]))
        sci_answer_i64(run->call, is_ours);
}

static const sci_native_script *sci_native_scripts(void)
{
    static const sci_native_script scripts[SCI_SERVER_SCRIPTS] = {
        {SCI_SCRIPT_ACQUIRE, 3, 4, sci_script_acquire},
        {SCI_SCRIPT_STORE, 3, 9, sci_script_store},
        {SCI_SCRIPT_RENEW, 3, 2, sci_script_renew},
        {SCI_SCRIPT_LOCK, 4, 5, sci_script_lock},
        {SCI_SCRIPT_UNLOCK, 4, 4, sci_script_unlock},
        {SCI_SCRIPT_FENCE, 3, 2, sci_script_fence},
        {SCI_SCRIPT_LEAD, 4, 5, sci_script_lead},
        {SCI_SCRIPT_UNLEAD, 4, 4, sci_script_unlead},
        {SCI_SCRIPT_RENEW_LEAD, 4, 2, sci_script_renew_lead},
        {SCI_SCRIPT_SHARE, 4, 8, sci_script_share},
        {SCI_SCRIPT_UNSHARE, 4, 4, sci_script_unshare},
        {SCI_SCRIPT_RENEW_SHARE, 3, 3, sci_script_renew_share},
        {SCI_SCRIPT_SWAP, 3, 6, sci_script_swap},
        {SCI_SCRIPT_CLAIM, 3, 5, sci_script_claim},
        {SCI_SCRIPT_DROP, 3, 2, sci_script_drop},
    };
    return scripts;
}

SCI_PRIVATE void sci_script_names_init(sc_server *server)
{
    for (size_t i = 0; i < SCI_SERVER_SCRIPTS; i++)
        sci_sha1(sc_text(sci_native_scripts()[i].text), server->script_names[i]);
}

/* By its SHA-1 in any case; NULL: unknown. */
static const sci_native_script *sci_script_find(const sc_server *server, sc_slice name)
{
    for (size_t i = 0; i < SCI_SERVER_SCRIPTS; i++)
        if (sci_word_is(name, server->script_names[i]))
            return &sci_native_scripts()[i];
    return NULL;
}

/* argv[2] is the number of keys, which must be there. */
static bool sci_script_key_count(sci_call *call, size_t *keys)
{
    int64_t count;
    if (!sci_arg_i64(call, 2, &count))
        return false;
    if (count < 0) {
        sci_answer_error(call, "ERR Number of keys can't be negative");
        return false;
    }
    if ((uint64_t)count > call->argc - 3) {
        sci_answer_error(call, "ERR Number of keys can't be greater than number of args");
        return false;
    }
    *keys = (size_t)count;
    return true;
}

static void sci_script_run_native(sci_call *call, const sci_native_script *script, size_t keys)
{
    sci_script_run run;
    size_t args = call->argc - 3 - keys;
    if (keys < script->keys || args < script->args) {
        sci_answer_error(call, "ERR this script of smartcache takes %zu keys and %zu arguments",
                         script->keys, script->args);
        return;
    }
    run.call = call;
    run.keys = call->argv + 3;
    run.key_count = keys;
    run.args = run.keys + keys;
    run.arg_count = args;
    sci_bytes_init(&run.answer, &call->server->memory);
    if (call->server->log)
        sci_log_begin(call->server->log);
    script->run(&run);
    if (call->server->log)
        sci_log_end(call->server->log);
    sci_bytes_free(&run.answer);
}

static void sci_script_refuse(sci_call *call, const char name[SCI_SHA1_HEX_BYTES])
{
    sci_answer_error(call,
                     "ERR this embedded server runs no Lua but the scripts of smartcache itself; "
                     "%s is not one of them",
                     name);
}

static void sci_command_eval(sci_call *call)
{
    char name[SCI_SHA1_HEX_BYTES];
    size_t keys;
    if (!sci_script_key_count(call, &keys))
        return;
    sci_sha1(call->argv[1], name);
    const sci_native_script *script = sci_script_find(call->server, sc_text(name));
    if (script)
        sci_script_run_native(call, script, keys);
    else
        sci_script_refuse(call, name);
}

/* What cannot be a script's name is none, before anything else is looked at. */
static void sci_command_evalsha(sci_call *call)
{
    size_t keys = 0;
    bool may_be_name = call->argv[1].len == SCI_SHA1_HEX_BYTES - 1;
    if (may_be_name && !sci_script_key_count(call, &keys))
        return;
    const sci_native_script *script = sci_script_find(call->server, call->argv[1]);
    if (script)
        sci_script_run_native(call, script, keys);
    else
        sci_answer_error(call, "NOSCRIPT No matching script. Please use EVAL.");
}

static void sci_script_load(sci_call *call)
{
    char name[SCI_SHA1_HEX_BYTES];
    sci_sha1(call->argv[2], name);
    if (sci_script_find(call->server, sc_text(name)))
        sci_answer_text(call, name);
    else
        sci_script_refuse(call, name);
}

static void sci_script_exists(sci_call *call)
{
    sci_answer_array(call, call->argc - 2);
    for (size_t i = 2; i < call->argc; i++)
        sci_answer_i64(call, sci_script_find(call->server, call->argv[i]) != NULL);
}

static void sci_script_flush(sci_call *call)
{
    if (call->argc == 2 || (call->argc == 3 && (sci_word_is(call->argv[2], "sync") ||
                                                sci_word_is(call->argv[2], "async"))))
        sci_answer_ok(call);
    else
        sci_answer_error(call, "ERR SCRIPT FLUSH only support SYNC|ASYNC option");
}

static void sci_script_kill(sci_call *call)
{
    sci_answer_error(call, "NOTBUSY No scripts in execution right now.");
}

SCI_PRIVATE sci_subcommand_list sci_script_subcommands(void)
{
    static const sci_subcommand subcommands[] = {
        {"exists", sci_script_exists, -3},
        {"flush", sci_script_flush, -2},
        {"kill", sci_script_kill, 2},
        {"load", sci_script_load, 3},
    };
    sci_subcommand_list list = {subcommands, SCI_COUNT(subcommands)};
    return list;
}

SCI_PRIVATE sci_command_list sci_script_commands(void)
{
    static const sci_command commands[] = {
        {"eval", sci_command_eval, -3, SCI_CMD_NOSCRIPT | SCI_CMD_WRITE, 0, 0, 0},
        {"evalsha", sci_command_evalsha, -3, SCI_CMD_NOSCRIPT | SCI_CMD_WRITE, 0, 0, 0},
        {"script", sci_subcommand_run, -2, SCI_CMD_NOSCRIPT | SCI_CMD_CONTAINER, 0, 0, 0},
    };
    sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
