/* How threads wait. The lone caller receives its own reply by one system call. Of many callers one
   receives for all; who drives the poller does so for timers and all other connections. */

#include "client/wait.h"

#include "base/error.h"
#include "client/conn.h"
#include "client/life.h"

SCI_PRIVATE void sci_waiter_init(sci_waiter *waiter, uint32_t gate)
{
    memset(waiter, 0, sizeof *waiter);
    sci_list_init(&waiter->link);
    waiter->gate = SCI_CLIENT_OP_GATES + gate % SCI_CLIENT_WAIT_GATES;
}

/* Wake it; if it shares its gate, when the lock is let go, together with all who sleep there. Its own
   gate is raised while it cannot leave: the lock is held, and it is not said to be done yet. */
static void sci_waiter_raise(sc_client *client, sci_waiter *waiter)
{
    if (waiter->own_gate)
        sci_gate_wake_all(waiter->own_gate);
    else
        client->raised |= 1u << waiter->gate;
}

/* Who was called to drive and does not, since what it waited for is there, calls another. */
static void sci_waiter_pass_call(sc_client *client, sci_waiter *waiter)
{
    if (!waiter->is_called)
        return;
    waiter->is_called = false;
    if (!client->loop.driver)
        sci_client_call_driver(client);
}

SCI_PRIVATE void sci_waiter_finish(sc_client *client, sci_waiter *waiter)
{
    if (waiter->is_sleeping) {
        waiter->is_sleeping = false;
        sci_list_remove(&waiter->link);
        sci_waiter_raise(client, waiter);
    }
    sci_waiter_pass_call(client, waiter);
    if (waiter->is_driving)
        sci_loop_wake(&client->loop);
    sci_atomic_store_release(&waiter->is_done, 1); /* from here on the waiter may be gone */
}

/* Wake those who were raised or called while the lock was held. */
static void sci_client_wake(sc_client *client, uint32_t raised, uint32_t called)
{
    for (uint32_t gate = 0; raised | called; gate++, raised >>= 1, called >>= 1) {
        if (raised & 1u)
            sci_gate_wake_all(&client->gates[gate]);
        else if (called & 1u)
            sci_gate_wake_one(&client->gates[gate]);
    }
}

SCI_PRIVATE void sci_client_unlock(sc_client *client)
{
    bool has_callbacks = !sci_list_is_empty(&client->loop.posts);
    uint32_t raised = client->raised;
    uint32_t called = client->called;
    if (SCI_LIKELY(!(raised | called) && !has_callbacks)) {
        sci_loop_unlock(&client->loop);
        return;
    }
    client->raised = 0;
    client->called = 0;
    if (has_callbacks && client->thread_waiter.is_sleeping)
        raised |= 1u << client->thread_waiter.gate;
    sci_loop_unlock(&client->loop);
    sci_client_wake(client, raised, called);
}

SCI_PRIVATE sc_status sci_client_step(sc_client *client, int64_t max_wait_ns)
{
    sci_conn_flush(client->shared);
    sci_client_check_lookups(client);
    sci_client_wake(client, client->raised, client->called);
    client->raised = 0;
    client->called = 0;
    sc_status status = sci_loop_step(&client->loop, max_wait_ns);
    sci_client_check_lookups(client);
    return status;
}

/* Another caller receives on this connection, and will pass it on when it leaves. */
static bool sci_conn_has_receiver(const sci_conn *conn)
{
    return conn && conn->wire && conn->wire->receiver == SCI_RECEIVER_CALLER;
}

SCI_PRIVATE void sci_client_call_driver(sc_client *client)
{
    for (sci_link *link = client->sleepers.next; link != &client->sleepers; link = link->next) {
        sci_waiter *sleeper = SCI_CONTAINER(link, sci_waiter, link);
        if (sci_conn_has_receiver(sleeper->conn))
            continue;
        sleeper->is_called = true;
        sci_waiter_raise(client, sleeper);
        return;
    }
}

SCI_PRIVATE void sci_client_stop_driving(sc_client *client)
{
    sci_loop_drive_end(&client->loop);
    sci_client_call_driver(client);
}

/* Sleep at the gate. False: finished, and not locked any more. */
static bool sci_waiter_sleep(sc_client *client, sci_waiter *waiter, int64_t timeout_ns)
{
    sci_gate *gate = waiter->own_gate ? waiter->own_gate : &client->gates[waiter->gate];
    uint32_t ticket = sci_gate_ticket(gate);
    sci_waiter_pass_call(client, waiter);
    waiter->is_sleeping = true;
    sci_list_append(&client->sleepers, &waiter->link);
    sci_client_unlock(client);
    sci_gate_wait(gate, ticket, waiter->is_minded ? -1 : timeout_ns);
    if (sci_atomic_load_acquire(&waiter->is_done))
        return false;
    sci_loop_lock(&client->loop);
    if (waiter->is_sleeping) {
        waiter->is_sleeping = false;
        sci_list_remove(&waiter->link);
    }
    return true;
}

/* Drive for one turn. */
static void sci_waiter_drive(sc_client *client, sci_waiter *waiter, int64_t timeout_ns)
{
    waiter->is_called = false;
    waiter->is_driving = true;
    (void)sci_client_step(client, timeout_ns);
    waiter->is_driving = false;
    sci_client_stop_driving(client);
    if (!client->has_thread)
        (void)sci_loop_dispatch(&client->loop);
}

SCI_PRIVATE bool sci_waiter_wait(sc_client *client, sci_waiter *waiter, int64_t deadline_ns,
                                 bool *is_locked)
{
    *is_locked = true;
    while (!sci_atomic_load_acquire(&waiter->is_done)) {
        sci_conn *conn = waiter->conn;
        if (conn && conn->slot_count && sci_conn_receive_soon(conn))
            continue;
        if (sci_atomic_load_acquire(&waiter->is_done))
            return true;
        int64_t now_ns = sci_loop_now_ns(&client->loop);
        if (now_ns >= deadline_ns || client->is_closing) {
            sci_waiter_pass_call(client, waiter);
            return false;
        }
        int64_t timeout_ns = deadline_ns == SCI_NEVER ? -1 : deadline_ns - now_ns;
        if (!sci_conn_has_receiver(conn) && sci_loop_drive_begin(&client->loop)) {
            sci_waiter_drive(client, waiter, timeout_ns);
            continue;
        }
        if (conn)
            sci_conn_pass_on(conn); /* nobody receives: the driver has to look again */
        if (!sci_waiter_sleep(client, waiter, timeout_ns)) {
            *is_locked = false;
            return true;
        }
    }
    return true;
}

SCI_PRIVATE bool sci_waiter_wait_locked(sc_client *client, sci_waiter *waiter, int64_t deadline_ns)
{
    bool is_locked;
    bool is_done = sci_waiter_wait(client, waiter, deadline_ns, &is_locked);
    if (!is_locked)
        sci_loop_lock(&client->loop);
    return is_done;
}

SCI_PRIVATE void sci_waiter_expect(sc_client *client, sci_waiter *waiter, sci_conn *conn)
{
    waiter->conn = conn;
    if (waiter->is_sleeping && !client->loop.driver)
        sci_waiter_raise(client, waiter); /* it may be the one who has to drive now */
}

SCI_PRIVATE bool sci_op_submit_and_wait(sc_client *client, sci_conn *conn, sci_op *op,
                                        int64_t timeout_ms)
{
    bool is_locked;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    op->deadline_ns = sci_client_deadline_ns(client, timeout_ms, now_ns);
    op->is_watched = true;
    sci_list_init(&op->waiter.link); /* the rest is zero, as the op */
    op->waiter.conn = conn;
    op->waiter.is_minded = conn->kind == SCI_CONN_SHARED;
    op->waiter.gate = SCI_CLIENT_OP_GATES;
    sci_conn_submit(conn, op, now_ns);
    if (!sci_waiter_wait(client, &op->waiter, op->deadline_ns, &is_locked)) {
        sci_assert(!client->is_closing); /* closing ends every op */
        sci_conn_expire(conn, op, sci_loop_now_ns(&client->loop));
        sci_conn_pass_on(conn);
    }
    return is_locked;
}

SCI_PRIVATE sc_status sci_op_result(sci_op *op)
{
    if (op->status >= 0)
        return op->status;
    sc_slice text = sc_value_bytes(op->error_text);
    if (!text.len)
        text = sc_text(sc_status_message(op->status));
    sci_error_text_set(text.data, text.len);
    sc_value_release(op->error_text);
    op->error_text = NULL;
    return op->status;
}

SCI_PRIVATE sc_status sci_op_run(sc_client *client, sci_conn *conn, sci_op *op, int64_t timeout_ms)
{
    if (!sci_op_submit_and_wait(client, conn, op, timeout_ms))
        sci_loop_lock(&client->loop);
    return sci_op_result(op);
}

SCI_PRIVATE sc_status sci_op_call(sc_client *client, sci_op *op, int64_t timeout_ms)
{
    sc_status status = sci_client_enter(client);
    if (status != SC_OK)
        return status;
    if (sci_op_submit_and_wait(client, client->shared, op, timeout_ms))
        sci_client_leave_call(client);
    else
        sci_client_left(client);
    return SCI_LIKELY(op->status >= 0) ? op->status : sci_op_result(op);
}

SCI_PRIVATE void *sci_client_thread(void *argument)
{
    sc_client *client = (sc_client *)argument;
    sci_waiter *waiter = &client->thread_waiter;
    sci_loop_lock(&client->loop);
    while (!client->thread_stops) {
        (void)sci_loop_dispatch(&client->loop);
        if (client->thread_stops)
            break;
        if (sci_loop_drive_begin(&client->loop)) {
            (void)sci_client_step(client, -1);
            if (sci_list_is_empty(&client->loop.posts))
                sci_loop_drive_end(&client->loop);
            else
                sci_client_stop_driving(client); /* callbacks may take long */
        } else {
            (void)sci_waiter_sleep(client, waiter, -1);
        }
    }
    sci_client_unlock(client);
    return NULL;
}
