/* Pipelines and transactions. */

#include <stdarg.h>

#include "base/number.h"
#include "client/command.h"
#include "client/conn.h"
#include "client/life.h"
#include "client/wait.h"
#include "resp/writer.h"

/* A pipeline's buffer above this is given back after a run. */
#define SCI_PIPELINE_KEEP_BYTES (256u * 1024u)
/* Words of sc_pipeline_add_strings that need no allocation. */
#define SCI_PIPELINE_STACK_WORDS 16

struct sc_pipeline {
    sc_client *client; /* retained */
    sci_bytes bytes;   /* whole commands */
    size_t count;
    sci_bytes words; /* of the command being built */
    size_t word_count;
    sc_status status; /* the first error while adding */
    sci_conn *conn;   /* borrowed while keys are watched */
};

SC_API sc_status sc_pipeline_open(sc_client *client, sc_pipeline **pipeline)
{
    *pipeline = NULL;
    if (!client)
        return sc_fail(SC_ERR_ARGUMENT, "the client is NULL");
    sc_pipeline *opened = (sc_pipeline *)sci_alloc_zeroed(&client->memory, sizeof *opened);
    if (!opened)
        return SC_ERR_MEMORY;
    sci_client_retain(client);
    opened->client = client;
    sci_bytes_init(&opened->bytes, &client->memory);
    sci_bytes_init(&opened->words, &client->memory);
    *pipeline = opened;
    return SC_OK;
}

static sc_status sci_pipeline_keep(sc_pipeline *pipeline, sc_status status)
{
    if (status < 0 && pipeline->status == SC_OK)
        pipeline->status = status;
    return status;
}

/* Close the command that is being built, if one is. */
static sc_status sci_pipeline_end_command(sc_pipeline *pipeline)
{
    if (pipeline->word_count == 0)
        return SC_OK;
    sc_status status = sci_write_array_header(&pipeline->bytes, pipeline->word_count);
    if (status == SC_OK)
        status = sci_bytes_append(&pipeline->bytes, sci_bytes_slice(&pipeline->words));
    sci_bytes_reset(&pipeline->words, SCI_PIPELINE_KEEP_BYTES);
    pipeline->word_count = 0;
    if (status == SC_OK)
        pipeline->count++;
    return sci_pipeline_keep(pipeline, status);
}

SC_API sc_status sc_pipeline_add(sc_pipeline *pipeline, const sc_slice *argv, size_t argc)
{
    sc_status status = pipeline->word_count ? sci_pipeline_end_command(pipeline) : SC_OK;
    if (status == SC_OK)
        status = sci_command_check(argv, argc);
    if (status == SC_OK)
        status = sci_write_command(&pipeline->bytes, argv, argc);
    if (status != SC_OK)
        return sci_pipeline_keep(pipeline, status);
    pipeline->count++;
    return SC_OK;
}

SC_API sc_status sc_pipeline_add_strings(sc_pipeline *pipeline, ...)
{
    va_list words;
    sc_status status = SC_OK;
    bool is_first = true;
    va_start(words, pipeline);
    for (const char *word = va_arg(words, const char *); word && status == SC_OK;
         word = va_arg(words, const char *)) {
        status = is_first ? sc_pipeline_begin(pipeline, word) : sc_pipeline_text(pipeline, word);
        is_first = false;
    }
    va_end(words);
    return status;
}

static sc_status sci_pipeline_word(sc_pipeline *pipeline, sc_slice word)
{
    sc_status status = sci_write_bulk(&pipeline->words, word);
    if (status == SC_OK)
        pipeline->word_count++;
    return sci_pipeline_keep(pipeline, status);
}

/* What stands in one encoded bulk, `$LEN CRLF TEXT CRLF`. */
static sc_slice sci_bulk_text(sc_slice bulk)
{
    const char *text = (const char *)memchr(bulk.data, '\n', bulk.len) + 1;
    return sc_bytes(text, bulk.len - 2 - (size_t)(text - bulk.data));
}

SC_API sc_status sc_pipeline_begin(sc_pipeline *pipeline, const char *command)
{
    sc_slice word = sc_text(command);
    sc_status status = sci_pipeline_end_command(pipeline);
    if (status == SC_OK)
        status = sci_pipeline_keep(pipeline, sci_command_check(&word, 1));
    return status == SC_OK ? sci_pipeline_word(pipeline, word) : status;
}

SC_API sc_status sc_pipeline_bytes(sc_pipeline *pipeline, sc_slice word)
{
    if (pipeline->word_count == 0)
        return sci_pipeline_keep(pipeline,
                                 sc_fail(SC_ERR_ARGUMENT, "a word before sc_pipeline_begin"));
    if (pipeline->word_count == 1) {
        sc_slice command[2]; /* some are refused for their second word */
        command[0] = sci_bulk_text(sci_bytes_slice(&pipeline->words));
        command[1] = word;
        sc_status status = sci_pipeline_keep(pipeline, sci_command_check(command, 2));
        if (status != SC_OK)
            return status;
    }
    return sci_pipeline_word(pipeline, word);
}

SC_API sc_status sc_pipeline_text(sc_pipeline *pipeline, const char *word)
{
    return sc_pipeline_bytes(pipeline, sc_text(word));
}

SC_API sc_status sc_pipeline_integer(sc_pipeline *pipeline, int64_t word)
{
    char text[SCI_I64_TEXT_BYTES];
    return sc_pipeline_bytes(pipeline, sc_bytes(text, sci_i64_to_text(word, text)));
}

SC_API sc_status sc_pipeline_double(sc_pipeline *pipeline, double word)
{
    char text[SCI_DOUBLE_TEXT_BYTES];
    size_t len = sci_double_to_text(word, text);
    if (text[0] == 'I')
        return sc_pipeline_text(pipeline, "inf");
    if (len > 1 && text[1] == 'I')
        return sc_pipeline_text(pipeline, "-inf");
    return sc_pipeline_bytes(pipeline, sc_bytes(text, len));
}

SC_API size_t sc_pipeline_count(const sc_pipeline *pipeline)
{
    return pipeline->count + (pipeline->word_count > 0);
}

/* Let a watching connection go; its watch ends with it. */
static void sci_pipeline_unwatch(sc_pipeline *pipeline, bool is_consumed)
{
    sci_conn *conn = pipeline->conn;
    if (!conn)
        return;
    pipeline->conn = NULL;
    sc_client *client = pipeline->client;
    if (sci_client_enter(client) != SC_OK)
        return; /* sc_close has freed it */
    if (!is_consumed)
        sci_conn_abandon(conn);
    sci_client_return_conn(conn);
    sci_client_leave(client);
}

static void sci_pipeline_empty(sc_pipeline *pipeline)
{
    sci_bytes_reset(&pipeline->bytes, SCI_PIPELINE_KEEP_BYTES);
    sci_bytes_reset(&pipeline->words, SCI_PIPELINE_KEEP_BYTES);
    pipeline->count = 0;
    pipeline->word_count = 0;
    pipeline->status = SC_OK;
}

SC_API void sc_pipeline_clear(sc_pipeline *pipeline)
{
    sci_pipeline_unwatch(pipeline, false);
    sci_pipeline_empty(pipeline);
}

SC_API void sc_pipeline_close(sc_pipeline *pipeline)
{
    if (!pipeline)
        return;
    sc_client *client = pipeline->client;
    sc_pipeline_clear(pipeline);
    sci_bytes_free(&pipeline->bytes);
    sci_bytes_free(&pipeline->words);
    sci_free(&client->memory, pipeline, sizeof *pipeline);
    sci_client_release(client);
}

/* Running. */

static sc_status sci_pipeline_finish_building(sc_pipeline *pipeline)
{
    (void)sci_pipeline_end_command(pipeline);
    if (pipeline->status == SC_OK && pipeline->count > UINT32_MAX - 2)
        pipeline->status = sc_fail(SC_ERR_LIMIT, "a pipeline takes at most 4294967293 commands");
    return pipeline->status;
}

typedef struct sci_pipeline_op {
    sci_op op;
    sc_slice bytes;
    bool is_atomic;
} sci_pipeline_op;

static sc_status sci_pipeline_write(sci_bytes *out, sc_slice bytes, bool is_atomic)
{
    sc_slice multi = sc_text("MULTI");
    sc_slice exec = sc_text("EXEC");
    size_t before = sci_bytes_len(out);
    sc_status status = is_atomic ? sci_write_command(out, &multi, 1) : SC_OK;
    if (status == SC_OK)
        status = sci_bytes_append(out, bytes);
    if (status == SC_OK && is_atomic)
        status = sci_write_command(out, &exec, 1);
    if (status != SC_OK)
        sci_bytes_cut(out, before, sci_bytes_len(out) - before);
    return status;
}

static sc_status sci_pipeline_encode(sci_op *op, sci_bytes *out)
{
    sci_pipeline_op *run = SCI_CONTAINER(op, sci_pipeline_op, op);
    return sci_pipeline_write(out, run->bytes, run->is_atomic);
}

/* Of MULTI's OK, the QUEUEDs and EXEC's answer, show the last; or say why nothing was executed. */
static sc_status sci_transaction_finish(sc_reply *reply)
{
    size_t count = reply->count;
    const sc_item *last = sc_reply_at(reply, count - 1);
    if (sc_item_kind(last) == SC_ARRAY) {
        reply->first = (size_t)(last - reply->items.at);
        reply->count = 1;
        return SC_OK;
    }
    if (sc_item_is_nil(last))
        return SC_CONFLICT;
    for (size_t i = 0; i < count; i++) {
        sc_status status = sc_item_check(sc_reply_at(reply, i));
        if (status != SC_OK)
            return status; /* what was refused says more than EXECABORT */
    }
    return sc_fail(SC_ERR_PROTOCOL, "EXEC was answered by neither an array nor nil");
}

/* On the connection that watches; anything that breaks the watch is a conflict. */
static sc_status sci_pipeline_run_watched(sc_pipeline *pipeline, sci_op *op,
                                          const sc_call_options *options, sc_reply **reply)
{
    sc_client *client = pipeline->client;
    sc_status status = sci_client_enter(client);
    if (status == SC_OK) {
        op->complete = sci_op_wake;
        status = sci_op_run(client, pipeline->conn, op, options ? options->timeout_ms : 0);
        sci_client_leave_call(client);
    }
    sci_pipeline_unwatch(pipeline, status == SC_OK);
    *reply = op->reply;
    if (status != SC_OK) {
        sc_reply_release(op->reply);
        *reply = NULL;
    }
    return status == SC_ERR_NOT_SENT ? SC_CONFLICT : status;
}

static sc_status sci_pipeline_run(sc_pipeline *pipeline, const sc_call_options *options,
                                  bool is_atomic, sc_reply **reply)
{
    sci_pipeline_op run;
    sc_status status = sci_pipeline_finish_building(pipeline);
    if (status != SC_OK)
        return status;
    memset(&run, 0, sizeof run);
    run.op.reply = sci_reply_create(&pipeline->client->memory);
    if (!run.op.reply)
        return SC_ERR_MEMORY;
    if (pipeline->count == 0 && !is_atomic) {
        *reply = run.op.reply;
        return SC_OK;
    }
    run.op.encode = sci_pipeline_encode;
    run.op.replies = (uint32_t)pipeline->count + (is_atomic ? 2 : 0);
    run.bytes = sci_bytes_slice(&pipeline->bytes);
    run.is_atomic = is_atomic;
    return pipeline->conn && is_atomic ? sci_pipeline_run_watched(pipeline, &run.op, options, reply)
                                       : sci_command_run(pipeline->client, &run.op, options, reply);
}

SC_API sc_status sc_pipeline_run(sc_pipeline *pipeline, const sc_call_options *options,
                                 sc_reply **replies)
{
    sc_reply *reply = NULL;
    sc_status status = sci_pipeline_run(pipeline, options, false, &reply);
    sci_pipeline_unwatch(pipeline, false);
    sci_pipeline_empty(pipeline);
    if (replies)
        *replies = reply;
    else
        sc_reply_release(reply);
    return status;
}

SC_API sc_status sc_pipeline_exec(sc_pipeline *pipeline, const sc_call_options *options,
                                  sc_reply **replies)
{
    sc_reply *reply = NULL;
    sc_status status = sci_pipeline_run(pipeline, options, true, &reply);
    sci_pipeline_unwatch(pipeline, false);
    sci_pipeline_empty(pipeline);
    if (status == SC_OK)
        status = sci_transaction_finish(reply);
    if (status != SC_OK || !replies) {
        sc_reply_release(reply);
        reply = NULL;
    }
    if (replies)
        *replies = reply;
    return status;
}

/* Asynchronous. */

/* The watching connection goes back with the op. */
static void sci_pipeline_async_complete(sci_op *op)
{
    if (op->status == SC_ERR_NOT_SENT)
        op->status = SC_CONFLICT;
    sci_async_complete(op);
}

static sc_status sci_pipeline_start(sc_pipeline *pipeline, const sc_call_options *options,
                                    sc_on_reply on_reply, void *user, bool is_atomic)
{
    sc_status status = sci_pipeline_finish_building(pipeline);
    sci_async *async =
        status == SC_OK ? sci_async_create(pipeline->client, options, on_reply, user) : NULL;
    if (status == SC_OK && !async)
        status = SC_ERR_MEMORY;
    if (status == SC_OK)
        status = sci_pipeline_write(&async->bytes, sci_bytes_slice(&pipeline->bytes), is_atomic);
    if (status != SC_OK) {
        if (async)
            sci_async_free(async);
        return status;
    }
    sci_conn *watching = is_atomic ? pipeline->conn : NULL;
    async->op.replies = (uint32_t)pipeline->count + (is_atomic ? 2 : 0);
    async->is_many = true;
    async->finish = is_atomic ? sci_transaction_finish : NULL;
    if (watching) {
        async->is_dedicated = true;
        async->op.is_idempotent = false;
        async->op.complete = sci_pipeline_async_complete;
        pipeline->conn = NULL;
    }
    return sci_async_start(async, watching);
}

SC_API sc_status sc_pipeline_run_async(sc_pipeline *pipeline, const sc_call_options *options,
                                       sc_on_reply on_reply, void *user)
{
    if (sc_pipeline_count(pipeline) == 0 && pipeline->status == SC_OK)
        return sc_fail(SC_ERR_ARGUMENT, "the pipeline is empty");
    sc_status status = sci_pipeline_start(pipeline, options, on_reply, user, false);
    sci_pipeline_unwatch(pipeline, false);
    sci_pipeline_empty(pipeline);
    return status;
}

SC_API sc_status sc_pipeline_exec_async(sc_pipeline *pipeline, const sc_call_options *options,
                                        sc_on_reply on_reply, void *user)
{
    sc_status status = sci_pipeline_start(pipeline, options, on_reply, user, true);
    sci_pipeline_unwatch(pipeline, false);
    sci_pipeline_empty(pipeline);
    return status;
}

/* Watching. */

typedef struct sci_watch_op {
    sci_op op;
    const sc_slice *keys;
    size_t count;
} sci_watch_op;

static sc_status sci_watch_write(sci_bytes *out, const sc_slice *keys, size_t count)
{
    size_t before = sci_bytes_len(out);
    sc_status status = sci_write_array_header(out, count + 1);
    if (status == SC_OK)
        status = sci_write_bulk(out, sc_text("WATCH"));
    for (size_t i = 0; i < count && status == SC_OK; i++)
        status = sci_write_bulk(out, keys[i]);
    if (status != SC_OK)
        sci_bytes_cut(out, before, sci_bytes_len(out) - before);
    return status;
}

static sc_status sci_watch_encode(sci_op *op, sci_bytes *out)
{
    sci_watch_op *run = SCI_CONTAINER(op, sci_watch_op, op);
    return sci_watch_write(out, run->keys, run->count);
}

/* Locked: the pipeline's connection of its own. */
static sc_status sci_pipeline_borrow(sc_pipeline *pipeline)
{
    if (!pipeline->conn)
        pipeline->conn = sci_client_borrow_conn(pipeline->client);
    return pipeline->conn ? SC_OK : SC_ERR_MEMORY;
}

/* From a complete: the watch stands on this wire and no other. */
static void sci_watch_complete(sci_op *op)
{
    op->conn->is_bound = op->status == SC_OK;
    sci_op_wake(op);
}

SC_API sc_status sc_pipeline_watch(sc_pipeline *pipeline, const sc_slice *keys, size_t count,
                                   const sc_call_options *options)
{
    sc_client *client = pipeline->client;
    sci_watch_op run;
    if (count == 0)
        return sc_fail(SC_ERR_ARGUMENT, "no keys to watch");
    memset(&run, 0, sizeof run);
    run.op.encode = sci_watch_encode;
    run.op.complete = sci_watch_complete;
    run.op.replies = 1;
    run.op.reply = sci_reply_create(&client->memory);
    run.keys = keys;
    run.count = count;
    if (!run.op.reply)
        return SC_ERR_MEMORY;
    sc_status status = sci_client_enter(client);
    if (status == SC_OK) {
        status = sci_pipeline_borrow(pipeline);
        if (status == SC_OK)
            status = sci_op_run(client, pipeline->conn, &run.op, options ? options->timeout_ms : 0);
        sci_client_leave_call(client);
    }
    if (status == SC_OK)
        status = sc_item_expect(sc_reply_item(run.op.reply), "OK");
    if (status != SC_OK)
        sci_pipeline_unwatch(pipeline, false);
    sc_reply_release(run.op.reply);
    return status;
}

static void sci_watch_async_complete(sci_op *op)
{
    op->conn->is_bound = op->status == SC_OK;
    sci_async_complete(op);
}

SC_API sc_status sc_pipeline_watch_async(sc_pipeline *pipeline, const sc_slice *keys, size_t count,
                                         const sc_call_options *options, sc_on_reply on_reply,
                                         void *user)
{
    sc_client *client = pipeline->client;
    if (count == 0)
        return sc_fail(SC_ERR_ARGUMENT, "no keys to watch");
    sci_async *async = sci_async_create(client, options, on_reply, user);
    if (!async)
        return SC_ERR_MEMORY;
    async->op.complete = sci_watch_async_complete;
    async->is_dedicated = false; /* the pipeline gives the connection back */
    async->op.is_idempotent = false;
    sc_status status = sci_watch_write(&async->bytes, keys, count);
    if (status == SC_OK)
        status = sci_client_enter(client);
    if (status != SC_OK) {
        sci_async_free(async);
        return status;
    }
    status = sci_pipeline_borrow(pipeline);
    sci_client_leave(client);
    if (status == SC_OK)
        return sci_async_start(async, pipeline->conn);
    sci_async_free(async);
    return status;
}
