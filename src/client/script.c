/* Lua scripts. */

#include "client/script.h"

#include "base/number.h"
#include "base/platform.h"
#include "base/sha1.h"
#include "client/conn.h"
#include "client/wait.h"
#include "resp/writer.h"

SC_API sc_status sc_script_create(const sc_memory *memory, const char *source, sc_script **script)
{
    sc_memory platform;
    *script = NULL;
    if (!source || !*source)
        return sc_fail(SC_ERR_ARGUMENT, "the script is empty");
    if (!memory) {
        if (!sci_platform_memory(&platform))
            return sc_fail(SC_ERR_ARGUMENT, "this build has no allocator of its own: pass one");
        memory = &platform;
    }
    sc_script *created = (sc_script *)sci_alloc_zeroed(memory, sizeof *created);
    char *copy = created ? sci_copy_text(memory, sc_text(source)) : NULL;
    if (!copy) {
        sci_free(memory, created, sizeof *created);
        return SC_ERR_MEMORY;
    }
    created->memory = *memory;
    created->owned = copy;
    sci_script_init(created, copy);
    *script = created;
    return SC_OK;
}

SC_API void sc_script_free(sc_script *script)
{
    if (!script)
        return;
    sc_memory memory = script->memory;
    sci_free_text(&memory, script->owned);
    sci_free(&memory, script, sizeof *script);
}

SC_API const char *sc_script_sha1(const sc_script *script)
{
    return script->sha1;
}

SCI_PRIVATE void sci_script_init(sc_script *script, const char *source)
{
    script->source = sc_text(source);
    sci_sha1(script->source, script->sha1);
}

static sc_status sci_eval_write(sci_bytes *out, const sci_eval_op *eval)
{
    char number[SCI_I64_TEXT_BYTES];
    sc_slice source =
        eval->is_full ? eval->script->source : sc_bytes(eval->script->sha1, SCI_SHA1_HEX_LEN);
    sc_status status = sci_write_array_header(out, 3 + eval->key_count + eval->arg_count);
    if (status == SC_OK)
        status = sci_write_bulk(out, sc_text(eval->is_full ? "EVAL" : "EVALSHA"));
    if (status == SC_OK)
        status = sci_write_bulk(out, source);
    if (status == SC_OK)
        status = sci_write_bulk(
            out, sc_bytes(number, sci_u64_to_text((uint64_t)eval->key_count, number)));
    for (size_t i = 0; i < eval->key_count && status == SC_OK; i++)
        status = sci_write_bulk(out, eval->keys[i]);
    for (size_t i = 0; i < eval->arg_count && status == SC_OK; i++)
        status = sci_write_bulk(out, eval->args[i]);
    return status;
}

static sc_status sci_eval_write_set(sci_bytes *out, const sci_eval_op *eval)
{
    const sc_slice words[7] = {sc_text("SET"), eval->keys[1], eval->args[0], sc_text("IFEQ"),
                               eval->args[0],  sc_text("PX"), eval->args[1]};
    return sci_write_command(out, words, SCI_COUNT(words));
}

SCI_PRIVATE sc_status sci_eval_encode(sci_op *op, sci_bytes *out)
{
    sci_eval_op *eval = SCI_CONTAINER(op, sci_eval_op, op);
    eval->is_set = eval->script->is_renewal && !op->conn->has_refused_set;
    return eval->is_set ? sci_eval_write_set(out, eval) : sci_eval_write(out, eval);
}

/* Is it to be asked in other words? A server that was restarted, or never saw the script, gets its
   text; one that knows no IFEQ (before Redis 8.4 and Valkey 8.1), or allows no SET, the script. */
static bool sci_eval_rewords(sci_eval_op *eval)
{
    const sci_op *op = &eval->op;
    if (op->status != SC_OK || sc_item_kind(sc_reply_item(op->view)) != SC_ERROR)
        return false;
    if (eval->is_set) {
        op->conn->has_refused_set = true;
        return true;
    }
    sc_slice error = sc_item_slice(sc_reply_item(op->view));
    if (eval->is_full || error.len < 8 || memcmp(error.data, "NOSCRIPT", 8) != 0)
        return false;
    eval->is_full = true;
    return true;
}

static void sci_eval_complete(sci_op *op)
{
    sci_eval_op *eval = SCI_CONTAINER(op, sci_eval_op, op);
    if (sci_eval_rewords(eval)) {
        if (op->reply)
            sci_reply_reset(op->reply);
        sci_conn_submit(op->conn, op, sci_loop_now_ns(&op->conn->client->loop));
    } else {
        eval->done(eval);
    }
}

SCI_PRIVATE sc_status sci_eval_integer(const sci_eval_op *eval, int64_t *number)
{
    const sc_item *item = sc_reply_item(eval->op.view);
    if (!eval->is_set)
        return sc_item_integer(item, number);
    *number = sc_item_kind(item) != SC_NIL;
    return SC_OK;
}

SCI_PRIVATE void sci_eval_init(sci_eval_op *eval, const sc_script *script, const sc_slice *keys,
                               size_t key_count, const sc_slice *args, size_t arg_count,
                               void (*done)(sci_eval_op *eval))
{
    memset(eval, 0, sizeof *eval);
    eval->op.encode = sci_eval_encode;
    eval->op.complete = sci_eval_complete;
    eval->op.replies = 1;
    eval->script = script;
    eval->keys = keys;
    eval->key_count = key_count;
    eval->args = args;
    eval->arg_count = arg_count;
    eval->done = done;
}

static void sci_eval_wake(sci_eval_op *eval)
{
    sci_op_wake(&eval->op);
}

SC_API sc_status sc_eval(sc_client *client, const sc_script *script, const sc_slice *keys,
                         size_t key_count, const sc_slice *args, size_t arg_count,
                         const sc_call_options *options, sc_reply **reply)
{
    sci_eval_op eval;
    sc_reply *own = NULL;
    sc_reply **result = reply ? reply : &own;
    *result = NULL;
    if (!client || !script)
        return sc_fail(SC_ERR_ARGUMENT, "the %s is NULL", client ? "script" : "client");
    sci_eval_init(&eval, script, keys, key_count, args, arg_count, sci_eval_wake);
    eval.op.reply = sci_reply_create(&client->memory);
    if (!eval.op.reply)
        return SC_ERR_MEMORY;
    sc_status status = sci_command_run(client, &eval.op, options, result);
    if (status == SC_OK)
        status = sci_reply_check(result);
    sc_reply_release(own);
    return status;
}

/* An asynchronous call keeps copies of its words, should the server want the script's text. */
typedef struct sci_eval_async {
    sci_eval_op eval;
    sci_async *async;
    sc_memory memory;
    size_t block_bytes; /* of this struct with slices and bytes behind it */
} sci_eval_async;

static void sci_eval_async_done(sci_eval_op *eval)
{
    sci_eval_async *call = SCI_CONTAINER(eval, sci_eval_async, eval);
    sci_async *async = call->async;
    async->op.conn = eval->op.conn;
    async->op.reply = eval->op.reply;
    async->op.status = eval->op.status;
    async->op.error_text = eval->op.error_text;
    sci_free(&call->memory, call, call->block_bytes);
    sci_async_complete(&async->op);
}

static sci_eval_async *sci_eval_async_create(const sc_memory *memory, const sc_script *script,
                                             const sc_slice *keys, size_t key_count,
                                             const sc_slice *args, size_t arg_count)
{
    size_t count = key_count + arg_count;
    size_t bytes = sizeof(sci_eval_async) + count * sizeof(sc_slice);
    for (size_t i = 0; i < count; i++)
        bytes += i < key_count ? keys[i].len : args[i - key_count].len;
    sci_eval_async *call = (sci_eval_async *)sci_alloc_zeroed(memory, bytes);
    if (!call)
        return NULL;
    sc_slice *slices = (sc_slice *)(void *)(call + 1);
    char *at = (char *)(slices + count);
    for (size_t i = 0; i < count; i++) {
        sc_slice word = i < key_count ? keys[i] : args[i - key_count];
        if (word.len)
            memcpy(at, word.data, word.len);
        slices[i] = sc_bytes(at, word.len);
        at += word.len;
    }
    sci_eval_init(&call->eval, script, slices, key_count, slices + key_count, arg_count,
                  sci_eval_async_done);
    call->memory = *memory;
    call->block_bytes = bytes;
    return call;
}

SC_API sc_status sc_eval_async(sc_client *client, const sc_script *script, const sc_slice *keys,
                               size_t key_count, const sc_slice *args, size_t arg_count,
                               const sc_call_options *options, sc_on_reply on_reply, void *user)
{
    if (!client || !script)
        return sc_fail(SC_ERR_ARGUMENT, "the %s is NULL", client ? "script" : "client");
    sci_async *async = sci_async_create(client, options, on_reply, user);
    sci_eval_async *call =
        async ? sci_eval_async_create(&client->memory, script, keys, key_count, args, arg_count)
              : NULL;
    sc_status status = call ? sci_client_enter(client) : SC_ERR_MEMORY;
    if (status != SC_OK) {
        if (call)
            sci_free(&client->memory, call, call->block_bytes);
        if (async)
            sci_async_free(async);
        return status;
    }
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    sci_conn *conn = async->is_dedicated ? sci_client_borrow_conn(client) : client->shared;
    if (conn) {
        call->async = async;
        call->eval.op.reply = async->op.reply;
        call->eval.op.is_idempotent = async->op.is_idempotent;
        call->eval.op.deadline_ns =
            sci_client_deadline_ns(client, options ? options->timeout_ms : 0, now_ns);
        async->op.reply = NULL;
        sci_conn_submit(conn, &call->eval.op, now_ns);
    } else {
        sci_free(&client->memory, call, call->block_bytes);
        sci_async_free(async);
        status = SC_ERR_MEMORY;
    }
    sci_client_leave(client);
    return status;
}
