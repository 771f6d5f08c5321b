/* Uploads and downloads: one large string in pieces, on a connection of its own, in bounded memory.
 */

#include "base/error.h"
#include "client/command.h"
#include "client/conn.h"
#include "client/life.h"
#include "client/wait.h"
#include "client/wire.h"
#include "resp/writer.h"

/* What a source is asked for at once, and about what a sink is given: this many times what one
   receive asks for. */
#define SCI_TRANSFER_PIECE_RECEIVES 4

typedef struct sci_transfer sci_transfer;

struct sci_transfer {
    sci_op op;
    sc_client *client;
    sci_conn *conn; /* borrowed */
    const sc_slice *argv;
    size_t argc;
    /* Locked on entry and exit: move the bytes. */
    sc_status (*run)(sci_transfer *transfer);
    sci_waiter *waiter; /* of the thread that moves them, while it waits */
    size_t total;       /* of the string: the last word of an upload, the reply of a download */
    sc_source source;   /* upload */
    sc_sink sink;       /* download */
    void *user;
    sci_bytes piece; /* download: what the sink has not been given */
    bool has_begun;  /* download: `total` is known */
};

/* Of an upload all but the last word's bytes. */
static sc_status sci_transfer_encode(sci_op *op, sci_bytes *out)
{
    sci_transfer *transfer = SCI_CONTAINER(op, sci_transfer, op);
    sc_status status = sci_write_array_header(out, transfer->argc + (transfer->source ? 1 : 0));
    for (size_t i = 0; i < transfer->argc && status == SC_OK; i++)
        status = sci_write_bulk(out, transfer->argv[i]);
    if (status == SC_OK && transfer->source)
        status = sci_write_bulk_header(out, transfer->total);
    return status;
}

static void sci_transfer_complete(sci_op *op)
{
    sci_transfer *transfer = SCI_CONTAINER(op, sci_transfer, op);
    if (transfer->waiter)
        sci_waiter_finish(transfer->client, transfer->waiter);
    sci_op_wake(op);
}

static size_t sci_transfer_piece_bytes(const sci_transfer *transfer)
{
    size_t receive_bytes = transfer->client->config.receive_buffer_bytes;
    return sci_min_size(receive_bytes, SIZE_MAX / SCI_TRANSFER_PIECE_RECEIVES) *
           SCI_TRANSFER_PIECE_RECEIVES;
}

static bool sci_transfer_is_done(const sci_transfer *transfer)
{
    return sci_atomic_load_acquire(&transfer->op.waiter.is_done) != 0;
}

/* Locked: until somebody finishes `transfer->waiter`; false at the deadline. */
static bool sci_transfer_wait(sci_transfer *transfer)
{
    sci_waiter waiter;
    sci_waiter_init(&waiter, 0);
    waiter.conn = transfer->conn;
    transfer->waiter = &waiter;
    transfer->conn->drain_waiter = transfer->source ? &waiter : NULL;
    bool is_done = sci_waiter_wait_locked(transfer->client, &waiter, transfer->op.deadline_ns);
    transfer->waiter = NULL;
    transfer->conn->drain_waiter = NULL;
    return is_done;
}

/* Locked: submit on a connection of its own, move, and wait for the end. */
static sc_status sci_transfer_perform(sci_transfer *transfer, int64_t timeout_ms)
{
    sc_client *client = transfer->client;
    char words[SC_ERROR_TEXT_BYTES];
    sci_conn *conn = sci_client_borrow_conn(client);
    if (!conn)
        return SC_ERR_MEMORY;
    transfer->conn = conn;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    transfer->op.deadline_ns = sci_client_deadline_ns(client, timeout_ms, now_ns);
    transfer->op.is_watched = true;
    sci_waiter_init(&transfer->op.waiter, 0);
    sci_conn_submit(conn, &transfer->op, now_ns);
    sc_status status = transfer->run(transfer);
    if (status != SC_OK) { /* the connection is in the middle of something */
        (void)sci_format(words, sizeof words, "%s", sc_error_text());
        sci_conn_abandon(conn);
        sci_conn_fail_all(conn, SC_ERR_CANCELLED, NULL);
        (void)sci_op_result(&transfer->op);
        sci_error_text_set(words, strlen(words));
    } else {
        bool is_in_time =
            true; /* an upload's wait also ends when the last bytes are on their way */
        while (is_in_time && !sci_transfer_is_done(transfer))
            is_in_time = sci_transfer_wait(transfer);
        if (!sci_transfer_is_done(transfer))
            sci_conn_expire(conn, &transfer->op, sci_loop_now_ns(&client->loop));
        status = sci_op_result(&transfer->op);
    }
    sci_client_return_conn(conn);
    return status;
}

static sc_status sci_transfer_run(sc_client *client, sci_transfer *transfer, const sc_slice *argv,
                                  size_t argc, const sc_call_options *options)
{
    sc_status status = sci_command_check(argv, argc);
    if (status != SC_OK)
        return status;
    transfer->client = client;
    transfer->argv = argv;
    transfer->argc = argc;
    transfer->op.encode = sci_transfer_encode;
    transfer->op.complete = sci_transfer_complete;
    transfer->op.replies = 1;
    transfer->op.reply = sci_reply_create(&client->memory);
    if (!transfer->op.reply)
        return SC_ERR_MEMORY;
    status = sci_client_enter(client);
    if (status == SC_OK) {
        status = sci_transfer_perform(transfer, options ? options->timeout_ms : 0);
        sci_client_leave_call(client);
    }
    return status;
}

/* Upload. */

/* Locked: what was queued is on its way, so that the queue never holds more than a piece. False
   when the op has ended or its deadline passed. */
static bool sci_upload_drain(sci_transfer *transfer)
{
    sci_conn *conn = transfer->conn;
    while (!sci_transfer_is_done(transfer)) {
        sci_conn_flush(conn);
        if (sci_conn_is_drained(conn)) {
            conn->is_bound = true; /* from the first byte on */
            return true;
        }
        if (!sci_transfer_is_done(transfer) && !sci_transfer_wait(transfer))
            return false;
    }
    return false;
}

static sc_status sci_upload_move(sci_transfer *transfer)
{
    sc_client *client = transfer->client;
    size_t left = transfer->total;
    sc_status status = SC_OK;
    size_t piece_bytes = sci_transfer_piece_bytes(transfer);
    char *piece = (char *)sci_resize(&client->memory, NULL, 0, piece_bytes);
    if (!piece)
        return SC_ERR_MEMORY;
    while (left > 0 && status == SC_OK && sci_upload_drain(transfer)) {
        size_t filled = 0;
        size_t cap = sci_min_size(left, piece_bytes);
        sci_client_unlock(client);
        status = transfer->source(transfer->user, piece, cap, &filled);
        if (status == SC_OK && (filled == 0 || filled > cap))
            status =
                sc_fail(SC_ERR_ARGUMENT, "the source filled %zu of at most %zu bytes", filled, cap);
        sci_loop_lock(&client->loop);
        if (status != SC_OK || sci_transfer_is_done(transfer))
            break;
        left -= filled;
        status = sci_bytes_append(&transfer->conn->out, sc_bytes(piece, filled));
    }
    if (status == SC_OK && left == 0 && sci_upload_drain(transfer)) {
        status = sci_bytes_append_text(&transfer->conn->out, "\r\n");
        sci_conn_flush(transfer->conn);
    }
    sci_free(&client->memory, piece, piece_bytes);
    return status;
}

SC_API sc_status sc_upload(sc_client *client, const sc_slice *argv, size_t argc, size_t total,
                           sc_source source, void *user, const sc_call_options *options,
                           sc_reply **reply)
{
    sci_transfer transfer;
    if (reply)
        *reply = NULL;
    if (!client || !source)
        return sc_fail(SC_ERR_ARGUMENT, "the %s is NULL", client ? "source" : "client");
    memset(&transfer, 0, sizeof transfer);
    transfer.run = sci_upload_move;
    transfer.total = total;
    transfer.source = source;
    transfer.user = user;
    sc_status status = sci_transfer_run(client, &transfer, argv, argc, options);
    if (status == SC_OK)
        status = sci_reply_check(&transfer.op.reply);
    if (status == SC_OK && reply)
        *reply = transfer.op.reply;
    else
        sc_reply_release(transfer.op.reply);
    return status;
}

/* Download. */

/* Locked, from the reader: keep the piece for the sink, which runs without the lock, and when there
   is enough receive no more until it was taken. */
static sc_status sci_download_keep(void *user, size_t total, sc_slice piece)
{
    sci_transfer *transfer = (sci_transfer *)user;
    sci_conn *conn = transfer->conn;
    transfer->total = total;
    transfer->has_begun = true;
    conn->is_bound = true;
    sc_status status = sci_bytes_append(&transfer->piece, piece);
    conn->is_paused = sci_bytes_len(&transfer->piece) >= sci_transfer_piece_bytes(transfer);
    if (conn->is_paused && transfer->waiter)
        sci_waiter_finish(transfer->client, transfer->waiter);
    return status;
}

/* Locked on entry and exit: give the sink what is there. */
static sc_status sci_download_give(sci_transfer *transfer)
{
    sc_client *client = transfer->client;
    sci_bytes taken = transfer->piece;
    sci_bytes_init(&transfer->piece, &client->memory);
    sci_client_unlock(client);
    sc_status status = transfer->sink(transfer->user, transfer->total, sci_bytes_slice(&taken));
    sci_bytes_free(&taken);
    sci_loop_lock(&client->loop);
    transfer->conn->is_paused = false;
    return status;
}

static sc_status sci_download_move(sci_transfer *transfer)
{
    sci_conn *conn = transfer->conn;
    sc_status status = SC_OK;
    size_t given = 0;
    while (status == SC_OK) {
        bool is_done = sci_transfer_is_done(transfer);
        size_t len = sci_bytes_len(&transfer->piece);
        if (is_done && (transfer->op.status != SC_OK || !transfer->has_begun ||
                        (len == 0 && given == transfer->total && given > 0)))
            return SC_OK;
        if (is_done || conn->is_paused) {
            given += len;
            status = sci_download_give(transfer);
            if (is_done)
                return status;
            sci_conn_resume(conn);
        } else if (!sci_transfer_wait(transfer)) {
            return SC_OK; /* the deadline: minded by the caller */
        }
    }
    return status;
}

SC_API sc_status sc_download(sc_client *client, const sc_slice *argv, size_t argc, sc_sink sink,
                             void *user, const sc_call_options *options)
{
    sci_transfer transfer;
    if (!client || !sink)
        return sc_fail(SC_ERR_ARGUMENT, "the %s is NULL", client ? "sink" : "client");
    memset(&transfer, 0, sizeof transfer);
    sci_bytes_init(&transfer.piece, &client->memory);
    transfer.run = sci_download_move;
    transfer.sink = sink;
    transfer.user = user;
    transfer.op.sink = sci_download_keep;
    transfer.op.sink_user = &transfer;
    sc_status status = sci_transfer_run(client, &transfer, argv, argc, options);
    const sc_item *item = sc_reply_item(transfer.op.reply);
    if (status == SC_OK && !transfer.has_begun) {
        status = sc_item_kind(item) == SC_NIL ? SC_MISS : sc_item_check(item);
        if (status == SC_OK)
            status = sc_fail(SC_ERR_TYPE, "the reply is no string: there is nothing to download");
    }
    sci_bytes_free(&transfer.piece);
    sc_reply_release(transfer.op.reply);
    return status;
}
