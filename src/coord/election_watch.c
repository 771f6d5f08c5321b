/* Elections: who leads, and what the server tells of it. */

#include "coord/election.h"

#include "client/conn.h"
#include "resp/writer.h"

/* What every op of an election has in common. Sending lets go of the lock. */
static void sci_election_submit(sc_election *election, sci_op *op,
                                sc_status (*encode)(sci_op *op, sci_bytes *out),
                                void (*complete)(sci_op *op))
{
    sc_client *client = election->client;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    memset(op, 0, sizeof *op);
    op->encode = encode;
    op->complete = complete;
    op->replies = 1;
    op->is_idempotent = true;
    op->deadline_ns = sci_client_deadline_ns(client, 0, now_ns);
    sci_election_retain(election);
    sci_conn_submit(client->shared, op, now_ns);
}

/* The answer, or NULL; what is said of an error is dropped: it is tried again. */
static const sc_item *sci_election_answer(sci_op *op)
{
    const sc_item *item = op->status == SC_OK ? sc_reply_item(op->view) : NULL;
    sc_value_release(op->error_text);
    op->error_text = NULL;
    return item && sc_item_kind(item) != SC_ERROR ? item : NULL;
}

/* Speaking. */

static sc_status sci_election_encode_announcement(sci_op *op, sci_bytes *out)
{
    const sc_election *election = SCI_CONTAINER(op, sc_election, announce_op);
    sc_slice words[3];
    words[0] = sc_text("PUBLISH");
    words[1] = election->channel;
    words[2] = election->state == SCI_ELECTION_LEADING ? election->name : sc_bytes("", 0);
    return sci_write_command(out, words, 3);
}

static void sci_election_announced(sci_op *op)
{
    sc_election *election = SCI_CONTAINER(op, sc_election, announce_op);
    (void)sci_election_answer(op);
    election->is_announcing = false;
    if (election->announces)
        sci_election_step_soon(election);
    sci_election_release(election);
}

/* That nobody leads is said when the key is gone. */
SCI_PRIVATE void sci_election_speak(sc_election *election)
{
    if (!election->announces || election->is_announcing || election->state >= SCI_ELECTION_STOPPING)
        return;
    election->announces = false;
    election->is_announcing = true;
    sci_election_submit(election, &election->announce_op, sci_election_encode_announcement,
                        sci_election_announced);
}

/* Looking. */

SCI_PRIVATE void sci_election_know(sc_election *election, sc_slice name, int64_t term)
{
    sc_value *leader = NULL;
    if (sci_slice_equal(sc_value_bytes(election->leader), name) && election->leader_term == term &&
        (name.len || !election->leader))
        return;
    if (name.len && sc_value_create(&election->client->memory, name, &leader) != SC_OK)
        return; /* the next look finds it */
    sc_value_release(election->leader);
    election->leader = leader;
    election->leader_term = term;
    if (!election->config.on_leader_changed)
        return;
    election->has_news = true;
    sci_election_post(election);
}

/* The leader's name in the key's value: behind the token. Other libraries' have the name alone. */
static sc_slice sci_election_name_in(const sc_election *election, sc_slice value)
{
    if (election->config.interop || value.len <= SCI_TOKEN_LEN + 1 ||
        value.data[SCI_TOKEN_LEN] != ':')
        return value;
    return sc_bytes(value.data + SCI_TOKEN_LEN + 1, value.len - SCI_TOKEN_LEN - 1);
}

static sc_status sci_election_encode_look(sci_op *op, sci_bytes *out)
{
    const sc_election *election = SCI_CONTAINER(op, sc_election, read_op);
    sc_slice words[3];
    words[0] = sc_text("MGET");
    words[1] = election->keys[0];
    words[2] = election->keys[1];
    return sci_write_command(out, words, 3);
}

/* Who leads knows it better than an answer that may be older. */
static void sci_election_looked(sci_op *op)
{
    sc_election *election = SCI_CONTAINER(op, sc_election, read_op);
    const sc_item *answer = sci_election_answer(op);
    int64_t term = 0;
    election->is_reading = false;
    if (answer && !election->reads && election->state != SCI_ELECTION_LEADING) {
        sc_slice name = sci_election_name_in(election, sc_item_slice(sc_item_at(answer, 1)));
        if (name.len && !election->config.interop)
            (void)sc_item_integer(sc_item_at(answer, 0), &term);
        sci_election_know(election, name, term);
    }
    if (election->reads)
        sci_election_step_soon(election);
    sci_election_release(election);
}

SCI_PRIVATE void sci_election_look(sc_election *election)
{
    if (!election->reads || election->is_reading)
        return;
    election->reads = false;
    if (election->state == SCI_ELECTION_LEADING)
        return;
    election->is_reading = true;
    sci_election_submit(election, &election->read_op, sci_election_encode_look,
                        sci_election_looked);
}

static void sci_election_look_soon(sc_election *election)
{
    election->reads = true;
    sci_election_step_soon(election);
}

/* Notifications: https://redis.io/docs/latest/develop/pubsub/keyspace-notifications/ */

/* K: by key; g, x, e: deleted, expired, evicted; A is all of them. `flags` gets what is on and what
   is lacking; false when nothing is, or there is no room. */
static bool sci_notify_merge(sc_slice on, char *flags, size_t cap)
{
    static const char wanted[] = "Kgxe";
    bool has_all = on.len && memchr(on.data, 'A', on.len);
    size_t len = on.len;
    if (on.len + sizeof wanted > cap)
        return false;
    if (on.len)
        memcpy(flags, on.data, on.len);
    for (const char *flag = wanted; *flag; flag++)
        if (!memchr(flags, *flag, len) && !(has_all && *flag != 'K'))
            flags[len++] = *flag;
    flags[len] = '\0';
    return len > on.len;
}

static void sci_notify_ask(sc_election *election);

static sc_status sci_notify_encode(sci_op *op, sci_bytes *out)
{
    const sc_election *election = SCI_CONTAINER(op, sc_election, notify_op);
    bool sets = election->flags[0] != '\0';
    sc_slice words[4];
    words[0] = sc_text("CONFIG");
    words[1] = sc_text(sets ? "SET" : "GET");
    words[2] = sc_text("notify-keyspace-events");
    words[3] = sc_text(election->flags);
    return sci_write_command(out, words, sets ? 4 : 3);
}

static void sci_notify_answered(sci_op *op)
{
    sc_election *election = SCI_CONTAINER(op, sc_election, notify_op);
    const sc_item *answer = sci_election_answer(op);
    bool was_set = election->flags[0] != '\0';
    if (!answer)
        sci_client_log(election->client, SC_LOG_WARNING,
                       "the server's notify-keyspace-events could not be %s: deleted keys of "
                       "elections are noticed each poll_ms only",
                       was_set ? "set" : "read");
    election->flags[0] = '\0';
    election->is_notifying = false;
    if (answer && !was_set &&
        sci_notify_merge(sc_item_slice(sc_item_at(answer, 1)), election->flags,
                         sizeof election->flags))
        sci_notify_ask(election);
    sci_election_release(election);
}

static void sci_notify_ask(sc_election *election)
{
    election->is_notifying = true;
    sci_election_submit(election, &election->notify_op, sci_notify_encode, sci_notify_answered);
}

static bool sci_event_deletes(sc_slice event)
{
    static const char *const deleting[] = {"del", "expired", "evicted", "rename_from"};
    for (size_t i = 0; i < SCI_COUNT(deleting); i++)
        if (sci_slice_equal(event, sc_text(deleting[i])))
            return true;
    return false;
}

/* The key was deleted: who waits asks, who leads finds out whether it still does. */
static void sci_election_deleted(sc_election *election)
{
    sc_lock *lock = election->lock;
    if (election->state == SCI_ELECTION_CONTENDING)
        sci_lock_listen_event(&lock->listener, SCI_LISTEN_MESSAGE, NULL);
    else if (election->state == SCI_ELECTION_LEADING && sci_lock_may_renew(lock))
        sci_lock_renew(lock);
}

static void sci_election_event(sci_listener *listener, sci_listen_event event,
                               const sc_message *message)
{
    sc_election *election = SCI_CONTAINER(listener, sc_election, event_listener);
    if (event == SCI_LISTEN_READY && election->config.configure_notifications &&
        !election->is_notifying) {
        sci_notify_ask(election);
        return;
    }
    if (event != SCI_LISTEN_MESSAGE)
        return;
    if (!sci_slice_equal(message->payload, sc_text("expire"))) /* else a renewal */
        sci_election_look_soon(election);
    if (sci_event_deletes(message->payload))
        sci_election_deleted(election);
}

/* Listening. */

static void sci_election_heard(sci_listener *listener, sci_listen_event event,
                               const sc_message *message)
{
    sc_election *election = SCI_CONTAINER(listener, sc_election, channel_listener);
    (void)message;
    if (event == SCI_LISTEN_MESSAGE || event == SCI_LISTEN_READY)
        sci_election_look_soon(election);
}

static void sci_election_hear(sc_election *election, sci_listener *listener, sc_slice channel)
{
    if (!listener->channel)
        (void)sci_listener_add(election->client, listener, channel, false);
}

/* Also to listen where there was no memory for it before. */
SCI_PRIVATE void sci_election_fire_read(sci_timer *timer)
{
    sc_election *election = SCI_CONTAINER(timer, sc_election, read_timer);
    sci_loop *loop = &election->client->loop;
    if (election->is_closed)
        return;
    sci_timer_arm(loop, timer, sci_loop_now_ns(loop) + election->config.poll_ms * SCI_NS_PER_MS);
    sci_election_look_soon(election);
    sci_election_retain(election); /* sending lets go of the lock */
    sci_election_hear(election, &election->channel_listener, election->channel);
    if (!election->is_closed)
        sci_election_hear(election, &election->event_listener, election->event_channel);
    sci_election_release(election);
}

SCI_PRIVATE void sci_election_watch(sc_election *election)
{
    election->channel_listener.event = sci_election_heard;
    election->event_listener.event = sci_election_event;
    sci_election_fire_read(&election->read_timer);
}

SCI_PRIVATE void sci_election_unwatch(sc_election *election)
{
    sci_listener_remove(election->client, &election->channel_listener);
    sci_listener_remove(election->client, &election->event_listener);
}
