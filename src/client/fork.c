/* A forked child has its parent's memory but neither its threads nor any right to its sockets: it
   lets both go and connects anew. Calls that were under way belong to the parent. */

#include "client/conn.h"
#include "client/embedded.h"
#include "client/life.h"
#include "client/subscriber.h"
#include "client/wait.h"
#include "client/wire.h"

/* The child's copy of a socket is closed without a word to the peer. When another thread was inside
   a system call, or in the middle of a change, what it worked on is left alone: a leak in the
   child, where a free could damage the heap. */
static void sci_wire_abandon_in_child(sci_wire *wire, bool is_intact)
{
    sc_client *client = wire->client;
    client->transport.hangup(wire->stream, false);
    if (!is_intact || wire->users > 0)
        return;
    sci_bytes_free(&wire->sending);
    sci_chunk_release(wire->chunk);
    sci_reply_reset(&wire->scratch);
    sci_items_free(&wire->scratch.items);
    sci_free(&client->memory, wire, sizeof *wire);
}

static void sci_conn_reset_in_child(sci_conn *conn, bool is_intact)
{
    if (conn->lookup)
        sci_lookup_abandon_in_child(conn->lookup);
    conn->lookup = NULL;
    sci_list_init(&conn->lookup_watch.link);
    if (conn->wire)
        sci_wire_abandon_in_child(conn->wire, is_intact);
    conn->wire = NULL;
    conn->state = SCI_CONN_DOWN;
    conn->failures = 0;
    conn->slot_count = 0;
    conn->gathered = 0;
    conn->slot_head = 0;
    conn->is_checking = false;
    conn->earliest_ns = SCI_NEVER;
    if (is_intact) {
        sci_bytes_reset(&conn->out, 0);
    } else {
        sci_bytes_init(&conn->out, &conn->client->memory);
        conn->slots = NULL;
        conn->slot_cap = 0;
    }
    memset(&conn->life_timer.node, 0, sizeof conn->life_timer.node);
    memset(&conn->deadline_timer.node, 0, sizeof conn->deadline_timer.node);
}

/* A poller and a lock of the child's own. */
static void sci_loop_reset_in_child(sci_loop *loop)
{
    sc_poller *table = &loop->poller_table;
    table->destroy(loop->poller);
    loop->poller = NULL;
    (void)table->create(table->user, &loop->memory, &loop->poller);
    sci_mutex_init(&loop->lock);
    sci_loop_clear(loop);
}

SCI_PRIVATE void sci_client_after_fork(sc_client *client)
{
    /* held: another thread of the parent was in the middle of a change */
    bool is_intact = sci_mutex_try_lock(&client->loop.lock);
    sci_fork_guard_reset(&client->fork_guard);
#ifndef SMARTCACHE_NO_SERVER
    sci_embedded_after_fork(client);
#endif
    for (sci_link *link = client->conns.next; link != &client->conns; link = link->next) {
        sci_conn *conn = SCI_CONTAINER(link, sci_conn, link);
        sci_conn_reset_in_child(conn, is_intact);
        conn->is_borrowed = false;
    }
    sci_loop_reset_in_child(&client->loop);
#ifndef SMARTCACHE_NO_SERVER
    sci_embedded_begin(client);
#endif
    for (size_t i = 0; i < SCI_CLIENT_GATES; i++)
        sci_gate_init(&client->gates[i]);
    sci_list_init(&client->sleepers);
    sci_waiter_init(&client->thread_waiter, 0);
    client->thread_waiter.gate = SCI_CLIENT_GATES - 1;
    client->callers.value = 0;
    client->raised = 0;
    client->called = 0;
    client->has_thread = false;
    client->has_returned = true;
    client->stats.connections = 0;
    if (client->subscriber)
        sci_subscriber_lost(client->subscriber);
    for (sci_link *link = client->fork_hooks.next; link != &client->fork_hooks; link = link->next) {
        sci_fork_hook *hook = SCI_CONTAINER(link, sci_fork_hook, link);
        hook->forked(hook);
    }
}
