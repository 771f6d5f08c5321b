/* Single commands, blocking and asynchronous. */

#include "client/command.h"

#include <stdarg.h>

#include "base/error.h"
#include "client/conn.h"
#include "client/wait.h"
#include "resp/writer.h"

/* Words of sc_command_strings that need no allocation. */
#define SCI_COMMAND_STACK_WORDS 16

static bool sci_command_word_is(sc_slice word, const char *upper)
{
    for (size_t i = 0; i < word.len; i++) {
        char c = word.data[i];
        if (c >= 'a' && c <= 'z')
            c = (char)(c - 'a' + 'A');
        if (c != upper[i] || !upper[i])
            return false;
    }
    return upper[word.len] == '\0';
}

/* Commands after which a connection's replies mean something else, or its state is not what the
   other threads rely on. */
static const char *sci_command_refusal(const sc_slice *argv, size_t argc)
{
    static const struct {
        const char *word;
        const char *advice;
    } refused[] = {{"SUBSCRIBE", "use sc_subscribe"},
                   {"PSUBSCRIBE", "use sc_psubscribe"},
                   {"SSUBSCRIBE", "use sc_subscribe"},
                   {"UNSUBSCRIBE", "use sc_unsubscribe"},
                   {"PUNSUBSCRIBE", "use sc_unsubscribe"},
                   {"SUNSUBSCRIBE", "use sc_unsubscribe"},
                   {"MULTI", "use sc_pipeline_exec"},
                   {"EXEC", "use sc_pipeline_exec"},
                   {"DISCARD", "use sc_pipeline_clear"},
                   {"WATCH", "use sc_pipeline_watch"},
                   {"UNWATCH", "use sc_pipeline_clear"},
                   {"SELECT", "set the database in the URL"},
                   {"AUTH", "set the password in the URL"},
                   {"HELLO", "the client speaks RESP2"},
                   {"MONITOR", "it never ends"},
                   {"SYNC", "it never ends"},
                   {"PSYNC", "it never ends"},
                   {"QUIT", "use sc_close"},
                   {"RESET", "use sc_close"},
                   {"READONLY", "it changes the connection"},
                   {"READWRITE", "it changes the connection"},
                   {"ASKING", "it changes the connection"}};
    for (size_t i = 0; i < SCI_COUNT(refused); i++)
        if (sci_command_word_is(argv[0], refused[i].word))
            return refused[i].advice;
    if (argc > 1 && sci_command_word_is(argv[0], "CLIENT") && sci_command_word_is(argv[1], "REPLY"))
        return "replies would be missing";
    return NULL;
}

/* The letters that refused commands begin with, so that GET and SET pass by one look. */
static bool sci_command_may_be_refused(sc_slice word)
{
    static const char first_two[] = "SUPSSSUNPUMUEXDIWASEAUHEMOSYQUREASCL";
    if (word.len < 4)
        return false;
    char a = (char)(word.data[0] & ~0x20);
    char b = (char)(word.data[1] & ~0x20);
    for (size_t i = 0; i + 1 < sizeof first_two; i += 2)
        if (first_two[i] == a && first_two[i + 1] == b)
            return true;
    return false;
}

SCI_PRIVATE sc_status sci_command_check(const sc_slice *argv, size_t argc)
{
    if (argc == 0 || !argv || argv[0].len == 0)
        return sc_fail(SC_ERR_ARGUMENT, "a command needs at least one word");
    if (!sci_command_may_be_refused(argv[0]))
        return SC_OK;
    const char *advice = sci_command_refusal(argv, argc);
    if (!advice)
        return SC_OK;
    return sc_fail(SC_ERR_ARGUMENT, "%.*s is not for a connection that is shared: %s",
                   (int)argv[0].len, argv[0].data, advice);
}

/* Blocking. */

static sc_status sci_command_run_dedicated(sc_client *client, sci_op *op, int64_t timeout_ms)
{
    sc_status status = sci_client_enter(client);
    if (status != SC_OK)
        return status;
    sci_conn *conn = sci_client_borrow_conn(client);
    status = conn ? sci_op_run(client, conn, op, timeout_ms) : SC_ERR_MEMORY;
    sci_client_return_conn(conn);
    sci_client_leave_call(client);
    return status;
}

SCI_PRIVATE sc_status sci_reply_check(sc_reply **reply)
{
    const sc_item *item = sc_reply_item(*reply);
    if (SCI_LIKELY(item && item->kind != SC_ERROR))
        return SC_OK;
    sc_status status = sc_item_check(item);
    sc_reply_release(*reply);
    *reply = NULL;
    return status;
}

SCI_PRIVATE sc_status sci_command_run(sc_client *client, sci_op *op, const sc_call_options *options,
                                      sc_reply **reply)
{
    int64_t timeout_ms = options ? options->timeout_ms : 0;
    op->complete = op->complete ? op->complete : sci_op_wake;
    op->is_idempotent = options && options->idempotent;
    sc_status status = options && options->dedicated
                           ? sci_command_run_dedicated(client, op, timeout_ms)
                           : sci_op_call(client, op, timeout_ms);
    *reply = op->reply;
    if (status != SC_OK) {
        sc_reply_release(op->reply);
        *reply = NULL;
    }
    return status;
}

typedef struct sci_command_op {
    sci_op op;
    const sc_slice *argv;
    size_t argc;
} sci_command_op;

static sc_status sci_command_encode(sci_op *op, sci_bytes *out)
{
    sci_command_op *command = SCI_CONTAINER(op, sci_command_op, op);
    return sci_write_command(out, command->argv, command->argc);
}

SC_API sc_status sc_command(sc_client *client, const sc_slice *argv, size_t argc,
                            const sc_call_options *options, sc_reply **reply)
{
    sci_command_op command;
    sc_reply *own = NULL;
    sc_reply **result = reply ? reply : &own;
    *result = NULL;
    if (!client)
        return sc_fail(SC_ERR_ARGUMENT, "the client is NULL");
    sc_status status = sci_command_check(argv, argc);
    if (status != SC_OK)
        return status;
    memset(&command, 0, sizeof command);
    command.op.encode = sci_command_encode;
    command.op.replies = 1;
    command.op.reply = sci_reply_create(&client->memory);
    command.argv = argv;
    command.argc = argc;
    if (!command.op.reply)
        return SC_ERR_MEMORY;
    status = sci_command_run(client, &command.op, options, result);
    if (status == SC_OK)
        status = sci_reply_check(result);
    if (own)
        sc_reply_release(own);
    return status;
}

SC_API sc_status sc_command_strings(sc_client *client, sc_reply **reply, ...)
{
    sc_slice few[SCI_COMMAND_STACK_WORDS];
    sc_slice *argv = few;
    size_t argc = 0;
    va_list words;
    if (reply)
        *reply = NULL;
    if (!client)
        return sc_fail(SC_ERR_ARGUMENT, "the client is NULL");
    va_start(words, reply);
    while (va_arg(words, const char *))
        argc++;
    va_end(words);
    if (argc > SCI_COUNT(few))
        argv = (sc_slice *)sci_resize(&client->memory, NULL, 0, argc * sizeof *argv);
    if (!argv)
        return SC_ERR_MEMORY;
    few[0] = sc_bytes(NULL, 0); /* no words at all: refused below */
    va_start(words, reply);
    for (size_t i = 0; i < argc; i++)
        argv[i] = sc_text(va_arg(words, const char *));
    va_end(words);
    sc_status status = sc_command(client, argv, argc, NULL, reply);
    if (argv != few)
        sci_free(&client->memory, argv, argc * sizeof *argv);
    return status;
}

/* Asynchronous. */

static void sci_async_run(sci_post *post)
{
    sci_async *async = SCI_CONTAINER(post, sci_async, post);
    sc_reply *reply = async->op.reply;
    sc_status status = async->status;
    if (status == SC_OK && async->finish)
        status = async->finish(reply);
    else if (status == SC_OK && !async->is_many)
        status = sc_item_check(sc_reply_item(reply));
    else if (status < 0) {
        sc_slice text = sc_value_bytes(async->op.error_text);
        if (!text.len)
            text = sc_text(sc_status_message(status));
        sci_error_text_set(text.data, text.len);
    }
    if (async->on_reply)
        async->on_reply(async->user, status, status == SC_OK ? reply : NULL);
    sci_async_free(async);
}

SCI_PRIVATE void sci_async_complete(sci_op *op)
{
    sci_async *async = SCI_CONTAINER(op, sci_async, op);
    async->status = op->status;
    if (async->is_dedicated)
        sci_client_return_conn(op->conn);
    sci_loop_post(&async->client->loop, &async->post);
}

SCI_PRIVATE sc_status sci_async_encode(sci_op *op, sci_bytes *out)
{
    return sci_bytes_append(out, sci_bytes_slice(&SCI_CONTAINER(op, sci_async, op)->bytes));
}

SCI_PRIVATE sci_async *sci_async_create(sc_client *client, const sc_call_options *options,
                                        sc_on_reply on_reply, void *user)
{
    sci_async *async = (sci_async *)sci_alloc_zeroed(&client->memory, sizeof *async);
    if (!async)
        return NULL;
    async->client = client;
    async->on_reply = on_reply;
    async->user = user;
    async->is_dedicated = options && options->dedicated;
    sci_bytes_init(&async->bytes, &client->memory);
    sci_list_init(&async->post.link);
    async->post.run = sci_async_run;
    async->op.complete = sci_async_complete;
    async->op.encode = sci_async_encode;
    async->op.replies = 1;
    async->op.is_idempotent = options && options->idempotent;
    async->op.deadline_ns = options ? options->timeout_ms : 0; /* until it starts */
    async->op.reply = sci_reply_create(&client->memory);
    if (!async->op.reply) {
        sci_async_free(async);
        return NULL;
    }
    return async;
}

SCI_PRIVATE void sci_async_free(sci_async *async)
{
    sc_memory memory = async->client->memory;
    sc_reply_release(async->op.reply);
    sc_value_release(async->op.error_text);
    sci_bytes_free(&async->bytes);
    sci_free(&memory, async, sizeof *async);
}

SCI_PRIVATE sc_status sci_async_start(sci_async *async, sci_conn *conn)
{
    sc_client *client = async->client;
    sc_status status = sci_client_enter(client);
    if (status != SC_OK) {
        sci_async_free(async);
        return status;
    }
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    async->op.deadline_ns = sci_client_deadline_ns(client, async->op.deadline_ns, now_ns);
    if (!conn)
        conn = async->is_dedicated ? sci_client_borrow_conn(client) : client->shared;
    if (conn) {
        sci_conn_submit(conn, &async->op, now_ns);
    } else {
        sci_async_free(async);
        status = SC_ERR_MEMORY;
    }
    sci_client_leave(client);
    return status;
}

SC_API sc_status sc_command_async(sc_client *client, const sc_slice *argv, size_t argc,
                                  const sc_call_options *options, sc_on_reply on_reply, void *user)
{
    if (!client)
        return sc_fail(SC_ERR_ARGUMENT, "the client is NULL");
    sc_status status = sci_command_check(argv, argc);
    if (status != SC_OK)
        return status;
    sci_async *async = sci_async_create(client, options, on_reply, user);
    if (!async)
        return SC_ERR_MEMORY;
    status = sci_write_command(&async->bytes, argv, argc);
    if (status == SC_OK)
        return sci_async_start(async, NULL);
    sci_async_free(async);
    return status;
}
