/* A connection's queue: places for what was asked, bytes to be sent, deadlines. */

#include "client/conn.h"

#include "base/error.h"
#include "client/life.h"
#include "client/wait.h"
#include "client/wire.h"

#define SCI_CONN_FIRST_SLOTS 8
/* An output buffer above this is given back once it is empty. */
#define SCI_CONN_KEEP_OUTPUT (64u * 1024u)
/* Commands gathered while replies are under way are sent at the latest when so many bytes wait. */
#define SCI_CONN_GATHER_BYTES (64u * 1024u)
/* A connection unused for so long is looked at before it is used, since the server may have closed
 * it. */
#define SCI_CONN_STALE_NS ((int64_t)1000 * SCI_NS_PER_MS)
/* An idempotent op is sent again so many times at most: it may be what kills the connection. */
#define SCI_OP_RESENDS 3

SCI_PRIVATE sci_conn *sci_conn_create(sc_client *client, sci_conn_kind kind)
{
    sci_conn *conn = (sci_conn *)sci_alloc_zeroed(&client->memory, sizeof *conn);
    if (!conn)
        return NULL;
    conn->client = client;
    conn->kind = kind;
    conn->earliest_ns = SCI_NEVER;
    conn->deadline_timer.fire = sci_conn_deadline_fire;
    conn->life_timer.fire = sci_conn_life_fire;
    sci_list_init(&conn->link);
    sci_list_init(&conn->lookup_watch.link);
    sci_bytes_init(&conn->out, &client->memory);
    sci_list_append(&client->conns, &conn->link);
    return conn;
}

SCI_PRIVATE void sci_conn_free(sci_conn *conn)
{
    sc_client *client = conn->client;
    sci_conn_abandon(conn);
    sci_conn_fail_all(conn, SC_ERR_CLOSED, NULL);
    sci_timer_cancel(&client->loop, &conn->deadline_timer);
    sci_bytes_free(&conn->out);
    sci_free(&client->memory, conn->slots, conn->slot_cap * sizeof(sci_slot));
    sci_free(&client->memory, conn->addresses, conn->address_count * sizeof(sc_address));
    sci_list_remove(&conn->link);
    sci_free(&client->memory, conn, sizeof *conn);
}

/* Slot `index`, counted from the oldest. */
static sci_slot *sci_conn_slot(const sci_conn *conn, uint32_t index)
{
    return &conn->slots[(conn->slot_head + index) & (conn->slot_cap - 1)];
}

static sc_status sci_conn_reserve_slot(sci_conn *conn)
{
    if (conn->slot_count < conn->slot_cap)
        return SC_OK;
    uint32_t cap = conn->slot_cap ? 2 * conn->slot_cap : SCI_CONN_FIRST_SLOTS;
    sci_slot *slots =
        (sci_slot *)sci_resize(&conn->client->memory, NULL, 0, cap * sizeof(sci_slot));
    if (!slots)
        return SC_ERR_MEMORY;
    for (uint32_t i = 0; i < conn->slot_count; i++)
        slots[i] = *sci_conn_slot(conn, i);
    sci_free(&conn->client->memory, conn->slots, conn->slot_cap * sizeof(sci_slot));
    conn->slots = slots;
    conn->slot_cap = cap;
    conn->slot_head = 0;
    return SC_OK;
}

SCI_PRIVATE void sci_op_finish(sci_op *op, sc_status status, const char *text)
{
    sci_assert(!op->is_queued);
    /* What is known of the last copy says nothing of those before. */
    bool is_unsent = sc_not_executed(status) && status != SC_ERR_CLOSED;
    op->status = op->resends && is_unsent ? SC_ERR_DISCONNECTED : status;
    if (text && *text) {
        sc_value_release(op->error_text);
        if (sc_value_create(&op->conn->client->memory, sc_text(text), &op->error_text) != SC_OK)
            op->error_text = NULL; /* the status still says what happened */
    }
    op->complete(op);
}

SCI_PRIVATE void sci_op_wake(sci_op *op)
{
    sci_waiter_finish(op->conn->client, &op->waiter);
}

/* Take the oldest slot out; its reply, if it has one, goes back to the op or is dropped. */
static sci_op *sci_conn_pop(sci_conn *conn)
{
    sci_slot *slot = sci_conn_slot(conn, 0);
    sci_op *op = slot->op;
    conn->slot_head = (conn->slot_head + 1) & (conn->slot_cap - 1);
    conn->slot_count--;
    conn->head_sequence++;
    if (op)
        op->is_queued = false;
    else
        sc_reply_release(slot->reply);
    return op;
}

static void sci_conn_mind_deadline(sci_conn *conn, const sci_op *op)
{
    if (op->deadline_ns >= conn->earliest_ns)
        return;
    conn->earliest_ns = op->deadline_ns;
    sci_timer_arm(&conn->client->loop, &conn->deadline_timer, op->deadline_ns);
}

/* Encode the op at the end of the queue. Leaves everything as it was on an error. */
static sc_status sci_conn_enqueue(sci_conn *conn, sci_op *op)
{
    const sc_config *config = &conn->client->config;
    size_t before = sci_bytes_len(&conn->out);
    size_t waiting = before + (conn->wire ? sci_bytes_len(&conn->wire->sending) : 0);
    sc_status status = sci_conn_reserve_slot(conn);
    if (status == SC_OK)
        status = op->encode(op, &conn->out);
    size_t bytes = sci_bytes_len(&conn->out) - before;
    if (status == SC_OK && waiting > 0 && waiting + bytes > config->max_output_bytes)
        status = sc_fail(SC_ERR_FULL,
                         "%zu bytes of commands wait to be sent and %zu more would pass "
                         "max_output_bytes (%zu)",
                         waiting, bytes, config->max_output_bytes);
    if (status != SC_OK) {
        conn->out.end -= bytes;
        return status;
    }
    op->sequence = conn->head_sequence + conn->slot_count;
    bool is_resent = op->waiter.is_sleeping; /* then its thread stays at its gate */
    if (conn->kind == SCI_CONN_SHARED && !is_resent)
        op->waiter.gate = conn->batch % SCI_CLIENT_OP_GATES;
    op->is_queued = true;
    sci_slot *slot = &conn->slots[(conn->slot_head + conn->slot_count) & (conn->slot_cap - 1)];
    slot->op = op;
    slot->reply = op->reply;
    slot->bytes = bytes;
    slot->replies = op->replies;
    conn->slot_count++;
    conn->gathered++;
    conn->client->stats.commands += op->replies;
    sci_conn_mind_deadline(conn, op);
    return SC_OK;
}

/* Commands gather while replies are due within microseconds, until as many have gathered as are
   under way: then many share a system call, and the server has the next batch before it is through
   with one. On a slow network they do not gather, since a command would wait a round trip for
   nothing. */
static bool sci_conn_should_send(const sci_conn *conn)
{
    return !conn->client->says_last_words &&
           (conn->gathered >= conn->slot_count - conn->gathered || !conn->gathers ||
            sci_bytes_len(&conn->out) >= SCI_CONN_GATHER_BYTES);
}

/* What lay in the socket while nobody called is handled first: a server that closed an idle
   connection says so there. */
static void sci_conn_freshen(sci_conn *conn, int64_t now_ns)
{
    if (now_ns - conn->active_ns > SCI_CONN_STALE_NS)
        sci_conn_receive_now(conn);
    conn->heard_ns = now_ns;
}

/* Put the op into the queue, or finish it with the reason why it cannot be there; then false. */
static bool sci_conn_admit(sci_conn *conn, sci_op *op, int64_t now_ns)
{
    if (conn->client->is_closing) {
        sci_op_finish(op, SC_ERR_CLOSED, NULL);
        return false;
    }
    if (conn->state == SCI_CONN_READY && conn->slot_count == 0)
        sci_conn_freshen(conn, now_ns);
    conn->active_ns = now_ns;
    if (conn->state == SCI_CONN_DOWN && (conn->is_bound || !sci_conn_may_connect(conn, now_ns))) {
        sci_op_finish(op, conn->is_bound ? SC_ERR_NOT_SENT : conn->failure_status,
                      conn->failure_text);
        return false;
    }
    sc_status status = sci_conn_enqueue(conn, op);
    if (status != SC_OK)
        sci_op_finish(op, status, sc_error_text());
    return status == SC_OK;
}

SCI_PRIVATE void sci_conn_submit(sci_conn *conn, sci_op *op, int64_t now_ns)
{
    op->conn = conn;
    op->is_queued = false;
    if (!sci_conn_admit(conn, op, now_ns))
        return;
    /* Sending lets go of the lock: the op may have ended, and be gone, afterwards. */
    bool needs_receiver = !op->is_watched && !op->is_attended;
    if (conn->state == SCI_CONN_DOWN) {
        sci_conn_connect(conn, now_ns);
    } else if (conn->state == SCI_CONN_READY) {
        if (conn->slot_count == 1 && conn->probe_countdown-- == 0) {
            conn->probe_ns = now_ns;
            conn->probe_countdown = SCI_CONN_PROBE_EVERY;
        }
        if (sci_conn_should_send(conn))
            sci_conn_flush(conn);
        if (needs_receiver && conn->wire && conn->wire->receiver == SCI_RECEIVER_NONE)
            sci_loop_wake(&conn->client->loop);
    }
}

/* Replies: which op, and is it complete? */

SCI_PRIVATE sc_reply *sci_conn_reply_target(sci_conn *conn, sci_op **op, uint32_t **replies)
{
    *op = NULL;
    *replies = NULL;
    if (conn->state == SCI_CONN_READY && conn->kind != SCI_CONN_SUBSCRIBER && conn->slot_count) {
        sci_slot *slot = sci_conn_slot(conn, 0);
        *op = slot->op;
        *replies = &slot->replies;
        if (slot->reply)
            return slot->reply;
    }
    return &conn->wire->scratch;
}

SCI_PRIVATE void sci_conn_reply_is_in(sci_conn *conn, sc_reply *reply)
{
    sci_assert(conn->slot_count > 0 && sci_conn_slot(conn, 0)->replies == 1);
    sci_op *op = sci_conn_pop(conn);
    if (!op) {
        conn->client->stats.late_replies++;
        return;
    }
    op->view = reply;
    sci_op_finish(op, SC_OK, NULL);
}

/* Deadlines. */

/* Whether slot `index` has not left the output buffer, and where it stands in it. */
static bool sci_conn_is_unsent(const sci_conn *conn, uint32_t index, size_t *offset)
{
    uint32_t first = conn->slot_count - conn->gathered;
    *offset = 0;
    if (index < first)
        return false;
    for (uint32_t i = first; i < index; i++)
        *offset += sci_conn_slot(conn, i)->bytes;
    return true;
}

/* Take an unsent slot and its bytes out of the middle. */
static void sci_conn_cut(sci_conn *conn, uint32_t index, size_t offset)
{
    sci_bytes_cut(&conn->out, offset, sci_conn_slot(conn, index)->bytes);
    for (uint32_t i = index + 1; i < conn->slot_count; i++) {
        sci_slot *moved = sci_conn_slot(conn, i);
        if (moved->op)
            moved->op->sequence--;
        *sci_conn_slot(conn, i - 1) = *moved;
    }
    conn->slot_count--;
    conn->gathered--;
}

SCI_PRIVATE void sci_conn_expire(sci_conn *conn, sci_op *op, int64_t now_ns)
{
    char text[SC_ERROR_TEXT_BYTES];
    char peer[SC_ERROR_TEXT_BYTES / 2];
    sc_client *client = conn->client;
    uint32_t index = (uint32_t)(op->sequence - conn->head_sequence);
    size_t offset;
    sci_assert(op->is_queued && index < conn->slot_count);
    sci_conn_peer_text(conn, peer, sizeof peer);
    client->stats.timeouts++;
    op->is_queued = false;
    if (sci_conn_is_unsent(conn, index, &offset)) {
        sci_conn_cut(conn, index, offset);
        (void)sci_format(text, sizeof text, "not sent to %s before the deadline (timeout_ms): %s",
                         peer,
                         conn->state == SCI_CONN_READY ? "the connection was busy"
                         : conn->failures              ? conn->failure_text
                                                       : "the connection was not ready");
        sci_op_finish(op, SC_ERR_NOT_SENT, text);
        return;
    }
    sci_slot *slot = sci_conn_slot(conn, index);
    slot->op = NULL;
    op->reply = NULL; /* the slot's: the late reply still goes there */
    (void)sci_format(text, sizeof text, "no reply from %s before the deadline (timeout_ms)", peer);
    sci_op_finish(op, SC_ERR_TIMEOUT, text);
    bool is_silent = client->config.timeout_ms >= 0 &&
                     now_ns - conn->heard_ns >= client->config.timeout_ms * SCI_NS_PER_MS;
    if (conn->wire && (is_silent || conn->kind == SCI_CONN_DEDICATED))
        sci_conn_drop(conn, SC_ERR_DISCONNECTED, "the server was silent for too long (timeout_ms)");
}

SCI_PRIVATE void sci_conn_deadline_fire(sci_timer *timer)
{
    sci_conn *conn = SCI_CONTAINER(timer, sci_conn, deadline_timer);
    int64_t now_ns = sci_loop_now_ns(&conn->client->loop);
    conn->earliest_ns = SCI_NEVER;
    for (bool has_expired = true; has_expired;) {
        has_expired = false;
        for (uint32_t i = 0; i < conn->slot_count; i++) {
            sci_op *op = sci_conn_slot(conn, i)->op;
            if (!op || op->deadline_ns > now_ns)
                continue;
            sci_conn_expire(conn, op, now_ns); /* may change the queue: look again from the start */
            has_expired = true;
            break;
        }
    }
    for (uint32_t i = 0; i < conn->slot_count; i++) {
        sci_op *op = sci_conn_slot(conn, i)->op;
        if (op)
            sci_conn_mind_deadline(conn, op);
    }
}

/* Loss. */

static void sci_conn_queue_again(sci_conn *conn, sci_op *op)
{
    if (op->reply)
        sci_reply_reset(op->reply);
    op->resends++;
    sc_status status = sci_conn_enqueue(conn, op);
    if (status != SC_OK)
        sci_op_finish(op, status, sc_error_text());
}

SCI_PRIVATE void sci_conn_fail_sent(sci_conn *conn, sc_status status, const char *text)
{
    uint32_t sent = conn->slot_count - conn->gathered;
    /* what is sent again, or started by a `complete`, goes to the end of the queue */
    for (uint32_t i = 0; i < sent; i++) {
        bool is_own_fault = i == 0 && (status == SC_ERR_PROTOCOL || status == SC_ERR_LIMIT ||
                                       status == SC_ERR_MEMORY || status == SC_ERR_CLOSED);
        sci_op *op = sci_conn_pop(conn);
        if (!op)
            continue;
        if (op->is_idempotent && !is_own_fault && op->resends < SCI_OP_RESENDS &&
            !conn->client->is_closing)
            sci_conn_queue_again(conn, op);
        else
            sci_op_finish(
                op, is_own_fault || status == SC_ERR_CLOSED ? status : SC_ERR_DISCONNECTED, text);
    }
}

SCI_PRIVATE void sci_conn_fail_all(sci_conn *conn, sc_status status, const char *text)
{
    uint32_t count = conn->slot_count;
    conn->gathered = 0;
    sci_bytes_reset(&conn->out, SCI_CONN_KEEP_OUTPUT);
    while (count-- > 0) {
        sci_op *op = sci_conn_pop(conn);
        if (op)
            sci_op_finish(op, status, text);
    }
}

/* Sending and receiving on behalf of the queue. */

SCI_PRIVATE bool sci_conn_is_drained(const sci_conn *conn)
{
    return conn->state == SCI_CONN_READY && sci_bytes_len(&conn->out) == 0 &&
           sci_bytes_len(&conn->wire->sending) == 0;
}

/* Wake who waits until all is sent. */
static void sci_conn_tell_drained(sci_conn *conn)
{
    if (conn->drain_waiter && sci_conn_is_drained(conn)) {
        sci_waiter_finish(conn->client, conn->drain_waiter);
        conn->drain_waiter = NULL;
    }
}

SCI_PRIVATE void sci_conn_flush(sci_conn *conn)
{
    sci_wire *wire = conn->wire;
    if (!wire || wire->is_sending || wire->is_stalled ||
        (conn->state != SCI_CONN_READY && conn->state != SCI_CONN_PRELUDE))
        return;
    wire->is_sending = true;
    wire->users++;
    while (wire->conn == conn) {
        if (sci_bytes_len(&wire->sending) == 0) {
            if (conn->state != SCI_CONN_READY || sci_bytes_len(&conn->out) == 0)
                break;
            if (wire->sending.cap > SCI_CONN_KEEP_OUTPUT)
                sci_bytes_free(&wire->sending);
            sci_bytes_swap(&conn->out, &wire->sending);
            conn->batch++;
            conn->gathered = 0;
        }
        if (!sci_wire_transmit(wire))
            break;
        if (sci_bytes_len(&wire->sending) == 0 &&
            (sci_bytes_len(&conn->out) == 0 || !sci_conn_should_send(conn)))
            break;
    }
    wire->is_sending = false;
    sci_conn_tell_drained(conn);
    sci_wire_leave(wire);
}

/* Whether commands should gather is decided by how long a lone command's reply takes. */
static void sci_conn_measure(sci_conn *conn)
{
    if (!conn->probe_ns)
        return;
    conn->gathers = sci_loop_now_ns(&conn->client->loop) - conn->probe_ns < SCI_CONN_PROMPT_NS;
    conn->probe_ns = 0;
}

/* Receive once and handle what came, as the one receiver. True when something came. */
static bool sci_conn_receive_once(sci_conn *conn, sci_transport_receive *receive)
{
    sci_wire *wire = conn->wire;
    wire->receiver = SCI_RECEIVER_CALLER;
    bool has_received = sci_wire_receive(wire, receive);
    if (has_received) {
        sci_conn_measure(conn);
        sci_wire_handle(wire);
    }
    wire->receiver = SCI_RECEIVER_NONE;
    return has_received;
}

/* Replies made room for what gathered, and somebody has to receive the rest. */
static void sci_conn_received(sci_conn *conn, sci_wire *wire)
{
    if (wire->conn == conn && sci_bytes_len(&conn->out))
        sci_conn_flush(conn);
    if (wire->conn == conn && conn->slot_count)
        sci_conn_pass_on(conn);
    sci_wire_leave(wire);
}

SCI_PRIVATE bool sci_conn_receive_soon(sci_conn *conn)
{
    sci_wire *wire = conn->wire;
    sci_transport_receive *receive = conn->client->transport.receive_soon;
    if (!receive || conn->state != SCI_CONN_READY || conn->is_paused || wire->is_slow ||
        wire->is_stalled || wire->receiver != SCI_RECEIVER_NONE)
        return false;
    wire->users++;
    bool has_received = sci_conn_receive_once(conn, receive);
    wire->is_slow = !has_received;
    sci_conn_received(conn, wire);
    return has_received;
}

SCI_PRIVATE void sci_conn_receive_now(sci_conn *conn)
{
    sci_wire *wire = conn->wire;
    sc_client *client = conn->client;
    if (wire->receiver == SCI_RECEIVER_CALLER)
        return;
    wire->users++;
    for (bool has_more = true; has_more && wire->conn == conn && !conn->is_paused;) {
        has_more = sci_conn_receive_once(conn, client->transport.receive);
        if (has_more && wire->conn == conn) {
            wire->is_slow = false;
            conn->heard_ns = sci_loop_now_ns(&client->loop);
            has_more = wire->was_filled ||
                       (client->transport.pending && client->transport.pending(wire->stream));
        }
    }
    sci_conn_received(conn, wire);
}

SCI_PRIVATE void sci_conn_resume(sci_conn *conn)
{
    sci_wire *wire = conn->wire;
    if (!wire || wire->receiver == SCI_RECEIVER_CALLER)
        return;
    wire->users++;
    wire->receiver = SCI_RECEIVER_CALLER;
    sci_wire_handle(wire);
    wire->receiver = SCI_RECEIVER_NONE;
    sci_wire_leave(wire);
}

SCI_PRIVATE void sci_conn_pass_on(sci_conn *conn)
{
    sci_wire *wire = conn->wire;
    sc_client *client = conn->client;
    if (!wire || wire->receiver != SCI_RECEIVER_NONE || conn->slot_count == 0)
        return;
    if (client->loop.driver) {
        sci_loop_wake(&client->loop); /* it includes this connection in its next wait */
        return;
    }
    for (uint32_t i = 0; i < conn->slot_count; i++) {
        sci_op *op = sci_conn_slot(conn, i)->op;
        if (!op || !op->is_watched)
            continue;
        if (op->waiter.is_sleeping && conn->kind == SCI_CONN_SHARED)
            client->called |= 1u << op->waiter.gate; /* all who sleep there can receive here */
        else if (op->waiter.is_sleeping)
            client->raised |= 1u << op->waiter.gate;
        return; /* else it is awake, and about to look for itself */
    }
    sci_loop_wake(&client->loop); /* a program that polls has to be told */
    sci_client_call_driver(client);
}
