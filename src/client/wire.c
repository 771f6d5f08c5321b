/* Sockets, buffers and readers of connections. */

#include "client/wire.h"

#include "client/conn.h"
#include "client/life.h"
#include "client/subscriber.h"
#include "client/wait.h"

/* The first receive asks for little, so that an idle client is small; full ones double it. */
#define SCI_WIRE_FIRST_ASK 2048
/* Less room than this at the end of a buffer is not worth a system call. */
#define SCI_WIRE_LEAST_ROOM 512
/* An empty buffer of more than so many receives, left by a large value, is given back. */
#define SCI_WIRE_KEEP_ASKS 8

/* Bytes wait inside the stream (TLS), where the poller cannot see them. */
static bool sci_wire_is_pending(const sci_wire *wire)
{
    const sc_transport *table = &wire->client->transport;
    return table->pending && table->pending(wire->stream);
}

static unsigned sci_wire_prepare(sci_watch *watch)
{
    sci_wire *wire = SCI_CONTAINER(watch, sci_wire, watch);
    sci_conn *conn = wire->conn;
    unsigned interest = 0;
    if (!conn)
        return 0;
    if (conn->state == SCI_CONN_DIALING)
        return wire->dial_wants;
    bool is_due = conn->state == SCI_CONN_PRELUDE || conn->kind == SCI_CONN_SUBSCRIBER ||
                  conn->slot_count > 0 || conn->client->config.polled;
    if (is_due && !conn->is_paused && wire->receiver == SCI_RECEIVER_NONE) {
        wire->receiver = SCI_RECEIVER_LOOP;
        interest |= SC_READABLE;
        if (sci_wire_is_pending(wire)) /* the wait ends at once, and settling receives */
            sci_loop_interrupt(&wire->client->loop);
    }
    if (wire->is_stalled)
        interest |= SC_WRITABLE;
    return interest;
}

static void sci_wire_settle(sci_watch *watch, unsigned ready)
{
    sci_wire *wire = SCI_CONTAINER(watch, sci_wire, watch);
    sci_conn *conn = wire->conn;
    if (wire->receiver == SCI_RECEIVER_LOOP) {
        wire->receiver = SCI_RECEIVER_NONE;
        if (conn && sci_wire_is_pending(wire)) {
            ready |= SC_READABLE;
            sci_loop_wake(&wire->client->loop); /* the poller has not told of it */
        }
    }
    if (wire->is_stalled && watch->descriptor < 0)
        ready |= SC_WRITABLE; /* trying will tell */
    if (!conn || !ready)
        return;
    if (ready & SCI_WATCH_FAILED) {
        sci_conn_drop(conn, watch->failure, NULL);
        return;
    }
    if (conn->state == SCI_CONN_DIALING) {
        sci_conn_dial_ready(conn);
        return;
    }
    wire->users++;
    if (ready & (SC_WRITABLE | SC_HANGUP)) {
        wire->is_stalled = false;
        sci_conn_flush(conn);
    }
    if (wire->conn == conn && (ready & (SC_READABLE | SC_HANGUP)) && !conn->is_paused)
        sci_conn_receive_now(conn);
    sci_wire_leave(wire);
}

static void sci_wire_release(sci_watch *watch)
{
    sci_wire *wire = SCI_CONTAINER(watch, sci_wire, watch);
    sc_client *client = wire->client;
    sci_assert(wire->users == 0 && !wire->conn);
    client->transport.hangup(wire->stream, true);
    sci_bytes_free(&wire->sending);
    sci_chunk_release(wire->chunk);
    sci_reply_reset(&wire->scratch);
    sci_items_free(&wire->scratch.items);
    client->stats.connections--;
    sci_free(&client->memory, wire, sizeof *wire);
}

/* On any thread: the driver has to look at a stream that the poller does not know. */
static void sci_wire_attended(void *loop)
{
    sci_loop_interrupt((sci_loop *)loop);
}

SCI_PRIVATE sci_wire *sci_wire_create(sci_conn *conn, void *stream)
{
    sc_client *client = conn->client;
    sci_wire *wire = (sci_wire *)sci_alloc_zeroed(&client->memory, sizeof *wire);
    if (!wire) {
        client->transport.hangup(stream, true);
        return NULL;
    }
    wire->client = client;
    wire->conn = conn;
    wire->stream = stream;
    wire->ask = sci_min_size(SCI_WIRE_FIRST_ASK, client->config.receive_buffer_bytes);
    sci_bytes_init(&wire->sending, &client->memory);
    sci_reply_init(&wire->scratch, &client->memory);
    sci_reader_init(&wire->reader, &client->config.limits);
    wire->watch.descriptor = client->transport.descriptor(stream);
    if (wire->watch.descriptor < 0 && client->transport.attend)
        client->transport.attend(stream, sci_wire_attended, &client->loop);
    wire->watch.prepare = sci_wire_prepare;
    wire->watch.settle = sci_wire_settle;
    wire->watch.release = sci_wire_release;
    client->stats.connections++;
    sci_watch_add(&client->loop, &wire->watch);
    return wire;
}

SCI_PRIVATE void sci_wire_detach(sci_conn *conn)
{
    sci_wire *wire = conn->wire;
    if (!wire)
        return;
    conn->wire = NULL;
    wire->conn = NULL;
    if (wire->users == 0)
        sci_watch_retire(&conn->client->loop, &wire->watch);
}

SCI_PRIVATE void sci_wire_leave(sci_wire *wire)
{
    sci_assert(wire->users > 0);
    if (--wire->users == 0 && !wire->conn)
        sci_watch_retire(&wire->client->loop, &wire->watch);
}

SCI_PRIVATE bool sci_wire_transmit(sci_wire *wire)
{
    sc_client *client = wire->client;
    sci_conn *conn = wire->conn;
    sc_slice bytes = sci_bytes_slice(&wire->sending);
    size_t sent = 0;
    /* sending does not block; the lock is let go only so that others may add commands meanwhile */
    bool is_alone = sci_atomic_load_acquire(&client->callers) <= 1;
    if (!is_alone)
        sci_client_unlock(client);
    sc_status status = client->transport.transmit(wire->stream, bytes.data, bytes.len, &sent);
    if (!is_alone)
        sci_loop_lock(&client->loop);
    if (wire->conn != conn)
        return false;
    if (status == SC_OK) {
        sci_bytes_consume(&wire->sending, sent);
        client->stats.sends++;
        client->stats.bytes_sent += sent;
        return true;
    }
    if (status == SC_AGAIN) {
        wire->is_stalled = true;
        sci_loop_wake(&client->loop);
    } else if (conn->state == SCI_CONN_PRELUDE) {
        /* a server that takes no more clients says so and closes: receiving tells */
        sci_bytes_reset(&wire->sending, 0);
    } else {
        sci_conn_drop(conn, status, NULL);
    }
    return false;
}

/* What the unfinished token needs from `start` on, as far as it may be asked for: memory follows
   the bytes that came, not the lengths that were announced. */
static size_t sci_wire_wanted(const sci_wire *wire)
{
    size_t have = wire->end - wire->start;
    size_t missing = sci_reader_missing(&wire->reader);
    if (missing <= have)
        return have + wire->ask;
    return sci_min_size(missing, sci_max_size(wire->ask, 2 * have));
}

/* A fresh chunk that begins with the bytes that are not consumed. */
static sc_status sci_wire_move(sci_wire *wire, size_t cap)
{
    sci_chunk *chunk = sci_chunk_create(&wire->client->memory, cap);
    if (!chunk)
        return SC_ERR_MEMORY;
    sci_op *op;
    uint32_t *replies;
    if (wire->chunk && wire->has_items &&
        sci_reply_pin(sci_conn_reply_target(wire->conn, &op, &replies), wire->chunk) != SC_OK) {
        sci_chunk_release(chunk);
        return SC_ERR_MEMORY;
    }
    size_t have = wire->end - wire->start;
    if (have)
        memcpy(sci_chunk_data(chunk), sci_chunk_data(wire->chunk) + wire->start, have);
    sci_chunk_release(wire->chunk);
    wire->chunk = chunk;
    wire->has_items = false;
    wire->start = 0;
    wire->end = have;
    return SC_OK;
}

/* Whether the chunk's room is enough to go on with. */
static bool sci_wire_has_room(const sci_wire *wire, size_t missing)
{
    size_t room = wire->chunk->cap - wire->end;
    if (missing > 0)
        return wire->start + missing <= wire->chunk->cap;
    return room >= sci_min_size(SCI_WIRE_LEAST_ROOM, wire->ask / 4);
}

/* Begin at the front again of a chunk that nobody needs, unless it is too small or too large. */
static sc_status sci_wire_restart(sci_wire *wire)
{
    wire->start = 0;
    wire->end = 0;
    if (wire->chunk->cap >= wire->ask && wire->chunk->cap <= SCI_WIRE_KEEP_ASKS * wire->ask)
        return SC_OK;
    return sci_wire_move(wire, wire->ask);
}

static sc_status sci_wire_make_room(sci_wire *wire)
{
    sci_chunk *chunk = wire->chunk;
    if (!chunk)
        return sci_wire_move(wire, wire->ask);
    bool is_free = !wire->has_items && !sci_chunk_is_shared(chunk);
    if (wire->start == wire->end && is_free)
        return sci_wire_restart(wire);
    size_t missing = sci_reader_missing(&wire->reader);
    if (sci_wire_has_room(wire, missing))
        return SC_OK;
    if (wire->start == 0 && wire->end < chunk->cap && missing > 0)
        return SC_OK; /* fill what is there before growing */
    size_t wanted = sci_wire_wanted(wire);
    if (wire->start == 0 && is_free && wanted > chunk->cap) {
        chunk = sci_chunk_resize(chunk, wanted);
        if (!chunk)
            return SC_ERR_MEMORY;
        wire->chunk = chunk;
        return SC_OK;
    }
    return sci_wire_move(wire, wanted);
}

SCI_PRIVATE bool sci_wire_receive(sci_wire *wire, sci_transport_receive *receive)
{
    sc_client *client = wire->client;
    sci_conn *conn = wire->conn;
    size_t received = 0;
    if (sci_wire_make_room(wire) != SC_OK) {
        sci_conn_drop(conn, SC_ERR_MEMORY, NULL);
        return false;
    }
    char *room = sci_chunk_data(wire->chunk) + wire->end;
    size_t cap = wire->chunk->cap - wire->end;
    sci_client_unlock(client);
    sc_status status = receive(wire->stream, room, cap, &received);
    sci_loop_lock(&client->loop);
    if (wire->conn != conn)
        return false;
    if (status == SC_OK) {
        wire->end += received;
        wire->was_filled = received == cap;
        if (wire->was_filled)
            wire->ask = sci_min_size(2 * wire->ask, client->config.receive_buffer_bytes);
        client->stats.bytes_received += received;
        return true;
    }
    if (status == SC_END)
        sci_conn_drop(conn, SC_ERR_DISCONNECTED, "the server closed the connection");
    else if (status != SC_AGAIN)
        sci_conn_drop(conn, status, NULL);
    return false;
}

/* Whether anything in the reply points into the receive buffer. */
static bool sci_wire_has_text(const sc_reply *reply)
{
    return reply->items.count > 1 ||
           (reply->items.count == 1 && reply->items.at[0].kind != SC_INTEGER &&
            reply->items.at[0].kind != SC_NIL);
}

/* One whole reply stands in `target`, and with it all that its op waits for. */
static void sci_wire_deliver(sci_wire *wire, sc_reply *target)
{
    sci_conn *conn = wire->conn;
    const sc_item *item = &target->items.at[wire->reader.reply_start];
    bool is_scratch = target == &wire->scratch;
    if (conn->state == SCI_CONN_PRELUDE) {
        sci_conn_prelude_reply(conn, item);
    } else if (conn->kind == SCI_CONN_SUBSCRIBER) {
        sci_subscriber_reply(conn->subscriber, item);
    } else if (conn->slot_count == 0) {
        sci_conn_drop(conn, SC_ERR_PROTOCOL, "the server sent a reply that nobody asked for");
    } else if (!is_scratch && sci_wire_has_text(target) &&
               sci_reply_pin(target, wire->chunk) != SC_OK) {
        sci_conn_drop(conn, SC_ERR_MEMORY, NULL);
    } else {
        sci_conn_reply_is_in(conn, target); /* unless scratch, it may be gone now */
    }
    if (is_scratch)
        sci_reply_reset(&wire->scratch);
    wire->has_items = false;
}

SCI_PRIVATE void sci_wire_handle(sci_wire *wire)
{
    sci_conn *conn = wire->conn;
    sc_reply *target = NULL;  /* for the reply that is read, while it is known */
    uint32_t *replies = NULL; /* how many its op still waits for */
    while (wire->conn == conn && wire->start < wire->end && !conn->is_paused) {
        size_t used = 0;
        if (!target) {
            sci_op *op;
            target = sci_conn_reply_target(conn, &op, &replies);
            if (sci_reader_is_idle(&wire->reader)) {
                sci_reader_target(&wire->reader, &target->items);
                sci_reader_stream(&wire->reader, op ? op->sink : NULL, op ? op->sink_user : NULL);
            }
        }
        sc_status status = sci_reader_read(&wire->reader, sci_chunk_data(wire->chunk) + wire->start,
                                           wire->end - wire->start, &used);
        wire->start += used;
        if (SCI_UNLIKELY(status != SC_OK)) {
            wire->has_items = target->items.count > 0;
            if (status != SC_AGAIN)
                sci_conn_drop(conn, status, NULL);
            return;
        }
        target->count++;
        wire->has_items = true;
        if (replies && *replies > 1) { /* of a pipeline: on with the next */
            --*replies;
            continue;
        }
        sci_wire_deliver(wire, target);
        target = NULL;
    }
}
