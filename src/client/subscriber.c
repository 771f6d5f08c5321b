/* Channels on the subscriber's connection. The server answers commands in order, so a channel is
   confirmed when as many answers have come as commands were sent up to its own. */

#include "client/subscriber.h"

#include "base/error.h"
#include "client/conn.h"
#include "client/life.h"
#include "resp/writer.h"

typedef struct sci_channel {
    sci_map_node node;
    sci_link link; /* in the subscriber's `all` */
    sci_link listeners;
    bool is_pattern;
    bool is_confirmed;
    uint64_t confirmed_by; /* the number of the command that subscribed it */
    size_t block_bytes;    /* of this struct and the name behind it */
} sci_channel;

struct sci_subscriber {
    sc_client *client;
    sci_conn *conn; /* owned by the client's list */
    sci_map channels;
    sci_map patterns;
    sci_link all;     /* channels and patterns */
    sci_link pending; /* listeners that have heard neither READY nor FAILED */
    uint64_t sent;    /* commands that will be answered, on this wire */
    uint64_t answered;
    bool is_checking; /* a PING is unanswered */
};

static sc_status sci_subscriber_create(sc_client *client)
{
    sci_subscriber *subscriber =
        (sci_subscriber *)sci_alloc_zeroed(&client->memory, sizeof *subscriber);
    if (!subscriber)
        return SC_ERR_MEMORY;
    subscriber->client = client;
    subscriber->conn = sci_conn_create(client, SCI_CONN_SUBSCRIBER);
    if (!subscriber->conn) {
        sci_free(&client->memory, subscriber, sizeof *subscriber);
        return SC_ERR_MEMORY;
    }
    subscriber->conn->subscriber = subscriber;
    sci_list_init(&subscriber->all);
    sci_list_init(&subscriber->pending);
    sci_map_init(&subscriber->channels, &client->memory, client->hash_seed);
    sci_map_init(&subscriber->patterns, &client->memory, client->hash_seed);
    client->subscriber = subscriber;
    return SC_OK;
}

static sci_map *sci_subscriber_map(sci_subscriber *subscriber, bool is_pattern)
{
    return is_pattern ? &subscriber->patterns : &subscriber->channels;
}

static sci_channel *sci_subscriber_find(sci_subscriber *subscriber, sc_slice name, bool is_pattern)
{
    sci_map *map = sci_subscriber_map(subscriber, is_pattern);
    sci_map_node *node = sci_map_find(map, name, sci_map_hash(map, name));
    return node ? SCI_CONTAINER(node, sci_channel, node) : NULL;
}

/* Write [P](UN)SUBSCRIBE. Without memory the connection is given up: the next one starts afresh. */
static void sci_subscriber_send(sci_subscriber *subscriber, const char *command, sc_slice name)
{
    sc_slice words[2];
    words[0] = sc_text(command);
    words[1] = name;
    if (sci_write_command(&subscriber->conn->out, words, 2) != SC_OK) {
        sci_conn_drop(subscriber->conn, SC_ERR_MEMORY, NULL);
        return;
    }
    subscriber->sent++;
}

static void sci_channel_subscribe(sci_subscriber *subscriber, sci_channel *channel)
{
    channel->is_confirmed = false;
    channel->confirmed_by = subscriber->sent + 1;
    sci_subscriber_send(subscriber, channel->is_pattern ? "PSUBSCRIBE" : "SUBSCRIBE",
                        channel->node.key);
}

static sci_channel *sci_channel_create(sci_subscriber *subscriber, sc_slice name, bool is_pattern)
{
    size_t block_bytes = sizeof(sci_channel) + name.len;
    sci_channel *channel =
        (sci_channel *)sci_alloc_zeroed(&subscriber->client->memory, block_bytes);
    if (!channel)
        return NULL;
    char *own_name = (char *)(channel + 1);
    if (name.len)
        memcpy(own_name, name.data, name.len);
    channel->block_bytes = block_bytes;
    channel->is_pattern = is_pattern;
    sci_list_init(&channel->listeners);
    sci_list_init(&channel->link);
    sci_list_append(&subscriber->all, &channel->link);
    sci_map *map = sci_subscriber_map(subscriber, is_pattern);
    sc_slice key = sc_bytes(own_name, name.len);
    sci_map_put(map, &channel->node, key, sci_map_hash(map, key));
    return channel;
}

/* Bring the connection up, or the channel's subscription onto it. */
static void sci_subscriber_bring_up(sci_subscriber *subscriber, sci_channel *channel)
{
    sci_conn *conn = subscriber->conn;
    int64_t now_ns = sci_loop_now_ns(&subscriber->client->loop);
    if (conn->state == SCI_CONN_READY) {
        sci_channel_subscribe(subscriber, channel);
        sci_conn_flush(conn);
    } else if (conn->state == SCI_CONN_DOWN && !sci_timer_is_armed(&conn->life_timer)) {
        sci_conn_connect(conn, now_ns);
    }
}

static void sci_listener_confirm(sci_listener *listener)
{
    listener->is_confirmed = true;
    sci_list_remove(&listener->pending_link);
    listener->event(listener, SCI_LISTEN_READY, NULL);
}

SCI_PRIVATE sc_status sci_listener_add(sc_client *client, sci_listener *listener, sc_slice name,
                                       bool is_pattern)
{
    if (client->is_closing)
        return sc_fail(SC_ERR_CLOSED, "the client was closed");
    if (!client->subscriber && sci_subscriber_create(client) != SC_OK)
        return SC_ERR_MEMORY;
    sci_subscriber *subscriber = client->subscriber;
    sci_channel *channel = sci_subscriber_find(subscriber, name, is_pattern);
    bool is_new = !channel;
    if (is_new)
        channel = sci_channel_create(subscriber, name, is_pattern);
    if (!channel)
        return SC_ERR_MEMORY;
    sci_list_init(&listener->link);
    sci_list_append(&channel->listeners, &listener->link);
    sci_list_init(&listener->pending_link);
    sci_list_append(&subscriber->pending, &listener->pending_link);
    listener->channel = channel;
    listener->is_confirmed = false;
    if (is_new) {
        sci_subscriber_bring_up(subscriber, channel);
    } else if (channel->is_confirmed) {
        sci_listener_confirm(listener);
    }
    return SC_OK;
}

SCI_PRIVATE void sci_listener_remove(sc_client *client, sci_listener *listener)
{
    sci_channel *channel = listener->channel;
    sci_subscriber *subscriber = client->subscriber;
    if (!channel)
        return;
    listener->channel = NULL;
    sci_list_remove(&listener->link);
    sci_list_remove(&listener->pending_link);
    if (!sci_list_is_empty(&channel->listeners) || !subscriber)
        return;
    sci_map_remove(sci_subscriber_map(subscriber, channel->is_pattern), &channel->node);
    sci_list_remove(&channel->link);
    /* Not while closing: sending would let go of the lock before every call has ended. */
    if (subscriber->conn->state == SCI_CONN_READY && !client->is_closing) {
        sci_subscriber_send(subscriber, channel->is_pattern ? "PUNSUBSCRIBE" : "UNSUBSCRIBE",
                            channel->node.key);
        sci_conn_flush(subscriber->conn);
    }
    sci_free(&client->memory, channel, channel->block_bytes);
}

static void sci_listener_tell(sci_listener *listener, const sci_channel *channel,
                              sci_listen_event event, const sc_message *message)
{
    switch (event) {
    case SCI_LISTEN_READY:
        if (!listener->is_confirmed && channel->is_confirmed)
            sci_listener_confirm(listener);
        return;
    case SCI_LISTEN_MESSAGE:
        if (listener->is_confirmed)
            listener->event(listener, event, message);
        return;
    case SCI_LISTEN_FAILED:
    case SCI_LISTEN_REFUSED:
        listener->event(listener, event, NULL);
        return;
    }
}

/* Tell every listener of a channel. A listener may remove itself and others meanwhile: the list is
   walked by taking it apart, and a guard in it keeps the channel. */
static void sci_channel_tell(sci_subscriber *subscriber, sci_channel *channel,
                             sci_listen_event event, const sc_message *message)
{
    sci_link untold;
    sci_listener guard;
    memset(&guard, 0, sizeof guard);
    sci_list_init(&untold);
    sci_list_move_all(&untold, &channel->listeners);
    sci_list_init(&guard.link);
    sci_list_init(&guard.pending_link);
    sci_list_append(&channel->listeners, &guard.link);
    guard.channel = channel;
    for (sci_link *link = sci_list_take_first(&untold); link; link = sci_list_take_first(&untold)) {
        sci_list_append(&channel->listeners, link);
        sci_listener_tell(SCI_CONTAINER(link, sci_listener, link), channel, event, message);
    }
    sci_listener_remove(subscriber->client, &guard);
}

SCI_PRIVATE void sci_subscriber_ready(sci_subscriber *subscriber)
{
    subscriber->sent = 0;
    subscriber->answered = 0;
    subscriber->is_checking = false;
    sci_bytes_reset(&subscriber->conn->out, 0);
    for (sci_link *link = subscriber->all.next; link != &subscriber->all; link = link->next)
        sci_channel_subscribe(subscriber, SCI_CONTAINER(link, sci_channel, link));
}

SCI_PRIVATE void sci_subscriber_lost(sci_subscriber *subscriber)
{
    for (sci_link *link = subscriber->all.next; link != &subscriber->all; link = link->next) {
        sci_channel *channel = SCI_CONTAINER(link, sci_channel, link);
        channel->is_confirmed = false;
        for (sci_link *each = channel->listeners.next; each != &channel->listeners;
             each = each->next)
            SCI_CONTAINER(each, sci_listener, link)->is_confirmed = false;
    }
}

SCI_PRIVATE void sci_subscriber_failed(sci_subscriber *subscriber)
{
    for (sci_link *link = sci_list_take_first(&subscriber->pending); link;
         link = sci_list_take_first(&subscriber->pending)) {
        sci_listener *listener = SCI_CONTAINER(link, sci_listener, pending_link);
        listener->event(listener, SCI_LISTEN_FAILED, NULL);
    }
}

SCI_PRIVATE const char *sci_subscriber_failure(const sc_client *client, sc_status *status)
{
    const sci_conn *conn = client->subscriber->conn;
    *status = conn->failure_status;
    return conn->failure_text;
}

SCI_PRIVATE bool sci_subscriber_is_wanted(const sci_subscriber *subscriber)
{
    return subscriber->channels.count + subscriber->patterns.count > 0;
}

SCI_PRIVATE void sci_subscriber_check(sci_subscriber *subscriber)
{
    sci_conn *conn = subscriber->conn;
    sc_slice word = sc_text("PING");
    if (subscriber->is_checking) {
        sci_conn_drop(conn, SC_ERR_DISCONNECTED, "the subscriber's connection did not answer PING");
        return;
    }
    if (sci_write_command(&conn->out, &word, 1) != SC_OK)
        return; /* the next check will do */
    subscriber->is_checking = true;
    sci_conn_flush(conn);
}

static void sci_subscriber_answer(sci_subscriber *subscriber, sc_slice name, bool is_pattern,
                                  bool is_subscribed)
{
    subscriber->answered++;
    sci_channel *channel = sci_subscriber_find(subscriber, name, is_pattern);
    if (!is_subscribed || !channel || channel->confirmed_by != subscriber->answered)
        return;
    channel->is_confirmed = true;
    sci_channel_tell(subscriber, channel, SCI_LISTEN_READY, NULL);
}

static void sci_subscriber_message(sci_subscriber *subscriber, const sc_item *item, bool is_pattern)
{
    sc_message message;
    size_t at = 1;
    memset(&message, 0, sizeof message);
    if (is_pattern)
        message.pattern = sc_item_slice(sc_item_at(item, at++));
    message.channel = sc_item_slice(sc_item_at(item, at++));
    message.payload = sc_item_slice(sc_item_at(item, at));
    sci_channel *channel =
        sci_subscriber_find(subscriber, is_pattern ? message.pattern : message.channel, is_pattern);
    if (channel && channel->is_confirmed)
        sci_channel_tell(subscriber, channel, SCI_LISTEN_MESSAGE, &message);
}

/* An error answers one command: the channel that asked is refused, the others stand. */
static void sci_subscriber_refused(sci_subscriber *subscriber, const sc_item *item)
{
    sci_conn *conn = subscriber->conn;
    subscriber->answered++;
    conn->failure_status = sc_item_check(item);
    (void)sci_format(conn->failure_text, sizeof conn->failure_text, "%s", sc_error_text());
    for (sci_link *link = subscriber->all.next; link != &subscriber->all; link = link->next) {
        sci_channel *channel = SCI_CONTAINER(link, sci_channel, link);
        if (channel->confirmed_by == subscriber->answered) {
            sci_channel_tell(subscriber, channel, SCI_LISTEN_REFUSED, NULL);
            return;
        }
    }
}

SCI_PRIVATE void sci_subscriber_reply(sci_subscriber *subscriber, const sc_item *item)
{
    sc_slice kind = sc_item_slice(sc_item_at(item, 0));
    sc_slice name = sc_item_slice(sc_item_at(item, 1));
    if (sci_slice_equal(kind, sc_text("message")))
        sci_subscriber_message(subscriber, item, false);
    else if (sci_slice_equal(kind, sc_text("pmessage")))
        sci_subscriber_message(subscriber, item, true);
    else if (sci_slice_equal(kind, sc_text("subscribe")))
        sci_subscriber_answer(subscriber, name, false, true);
    else if (sci_slice_equal(kind, sc_text("psubscribe")))
        sci_subscriber_answer(subscriber, name, true, true);
    else if (sci_slice_equal(kind, sc_text("unsubscribe")) ||
             sci_slice_equal(kind, sc_text("punsubscribe")))
        sci_subscriber_answer(subscriber, name, kind.data[0] == 'p', false);
    else if (sci_slice_equal(kind, sc_text("pong")) || sc_item_expect(item, "PONG") == SC_OK)
        subscriber->is_checking = false;
    else if (sc_item_kind(item) == SC_ERROR && subscriber->answered < subscriber->sent)
        sci_subscriber_refused(subscriber, item);
    else
        sci_conn_drop(subscriber->conn, SC_ERR_PROTOCOL,
                      "the server sent what is no message to a subscriber");
}

SCI_PRIVATE void sci_subscriber_free(sci_subscriber *subscriber)
{
    sc_client *client = subscriber->client;
    for (sci_link *link = sci_list_take_first(&subscriber->all); link;
         link = sci_list_take_first(&subscriber->all)) {
        sci_channel *channel = SCI_CONTAINER(link, sci_channel, link);
        for (sci_link *each = sci_list_take_first(&channel->listeners); each;
             each = sci_list_take_first(&channel->listeners)) {
            sci_listener *listener = SCI_CONTAINER(each, sci_listener, link);
            sci_list_remove(&listener->pending_link);
            listener->channel = NULL;
        }
        sci_free(&client->memory, channel, channel->block_bytes);
    }
    sci_map_free(&subscriber->channels);
    sci_map_free(&subscriber->patterns);
    sci_free(&client->memory, subscriber, sizeof *subscriber);
}
