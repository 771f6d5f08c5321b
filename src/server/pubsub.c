/* Channels and patterns: a node a name, a link a subscription. */

#include "server/pubsub.h"

#include "base/number.h"
#include "resp/writer.h"
#include "server/session.h"

/* Exists while somebody subscribes. Its name follows this struct. */
typedef struct sci_server_channel {
    sci_map_node node;    /* in server->channels[kind] */
    sci_link subscribers; /* sci_channel_link.of_channel */
    sci_link pattern;     /* in server->patterns, for a pattern */
} sci_server_channel;

typedef struct sci_channel_link {
    sci_link of_session;
    sci_link of_channel;
    sci_session *session;
    sci_server_channel *channel;
} sci_channel_link;

static sc_slice sci_channel_name(const sci_server_channel *channel)
{
    return channel->node.key;
}

static sci_server_channel *sci_channel_find(const sc_server *server, sci_channel_kind kind,
                                            sc_slice name)
{
    const sci_map *map = &server->channels[kind];
    if (map->count == 0)
        return NULL;
    sci_map_node *node = sci_map_find(map, name, sci_map_hash(map, name));
    return node ? SCI_CONTAINER(node, sci_server_channel, node) : NULL;
}

static sci_server_channel *sci_channel_get(sc_server *server, sci_channel_kind kind, sc_slice name)
{
    sci_server_channel *channel = sci_channel_find(server, kind, name);
    if (channel)
        return channel;
    sci_map *map = &server->channels[kind];
    uint64_t hash = sci_map_hash(map, name);
    channel = (sci_server_channel *)sci_map_make(map, sizeof *channel, name, hash);
    if (!channel)
        return NULL;
    sci_list_init(&channel->subscribers);
    sci_list_init(&channel->pattern);
    if (kind == SCI_PATTERN)
        sci_list_append(&server->patterns, &channel->pattern);
    return channel;
}

static void sci_channel_release(sc_server *server, sci_channel_kind kind,
                                sci_server_channel *channel)
{
    if (!sci_list_is_empty(&channel->subscribers))
        return;
    sci_list_remove(&channel->pattern);
    sci_map_unmake(&server->channels[kind], sizeof *channel, &channel->node);
}

/* Goes through both lists at once, to the end of the shorter one. */
static sci_channel_link *sci_channel_link_find(const sci_session *session, sci_channel_kind kind,
                                               const sci_server_channel *channel)
{
    if (!channel)
        return NULL;
    const sci_link *channels = &session->subscriptions[kind], *of_session = channels->next;
    const sci_link *sessions = &channel->subscribers, *of_channel = sessions->next;
    while (of_session != channels && of_channel != sessions) {
        sci_channel_link *one = SCI_CONTAINER(of_session, sci_channel_link, of_session);
        sci_channel_link *other = SCI_CONTAINER(of_channel, sci_channel_link, of_channel);
        if (one->channel == channel)
            return one;
        if (other->session == session)
            return other;
        of_session = of_session->next;
        of_channel = of_channel->next;
    }
    return NULL;
}

static void sci_channel_link_end(sci_channel_link *subscription, sci_channel_kind kind)
{
    sci_session *session = subscription->session;
    sci_server_channel *channel = subscription->channel;
    sci_list_remove(&subscription->of_session);
    sci_list_remove(&subscription->of_channel);
    session->subscription_count[kind]--;
    sci_free(&session->server->memory, subscription, sizeof *subscription);
    sci_channel_release(session->server, kind, channel);
}

SCI_PRIVATE sc_status sci_subscribe_to(sci_session *session, sci_channel_kind kind, sc_slice name)
{
    sc_server *server = session->server;
    sci_server_channel *channel = sci_channel_get(server, kind, name);
    if (!channel)
        return SC_ERR_MEMORY;
    if (sci_channel_link_find(session, kind, channel))
        return SC_OK;
    sci_channel_link *subscription =
        (sci_channel_link *)sci_alloc_zeroed(&server->memory, sizeof *subscription);
    if (!subscription) {
        sci_channel_release(server, kind, channel);
        return SC_ERR_MEMORY;
    }
    subscription->session = session;
    subscription->channel = channel;
    sci_list_init(&subscription->of_session);
    sci_list_init(&subscription->of_channel);
    sci_list_append(&session->subscriptions[kind], &subscription->of_session);
    sci_list_append(&channel->subscribers, &subscription->of_channel);
    session->subscription_count[kind]++;
    return SC_OK;
}

SCI_PRIVATE void sci_unsubscribe_from(sci_session *session, sci_channel_kind kind, sc_slice name)
{
    const sci_server_channel *channel = sci_channel_find(session->server, kind, name);
    sci_channel_link *subscription = sci_channel_link_find(session, kind, channel);
    if (subscription)
        sci_channel_link_end(subscription, kind);
}

SCI_PRIVATE bool sci_subscription_first(const sci_session *session, sci_channel_kind kind,
                                        sc_slice *name)
{
    const sci_link *list = &session->subscriptions[kind];
    if (sci_list_is_empty(list))
        return false;
    *name = sci_channel_name(SCI_CONTAINER(list->next, sci_channel_link, of_session)->channel);
    return true;
}

SCI_PRIVATE void sci_pubsub_leave(sci_session *session)
{
    for (int kind = 0; kind < SCI_CHANNEL_KINDS; kind++) {
        sci_link *list = &session->subscriptions[kind];
        while (!sci_list_is_empty(list))
            sci_channel_link_end(SCI_CONTAINER(list->next, sci_channel_link, of_session),
                                 (sci_channel_kind)kind);
    }
}

SCI_PRIVATE void sci_channels_visit(const sc_server *server, sci_channel_kind kind,
                                    void (*visit)(void *user, sc_slice name), void *user)
{
    const sci_map *map = &server->channels[kind];
    for (size_t i = 0; i < map->bucket_count; i++)
        for (const sci_map_node *node = map->buckets[i]; node; node = node->next)
            visit(user, node->key);
}

SCI_PRIVATE size_t sci_channel_subscribers(const sc_server *server, sci_channel_kind kind,
                                           sc_slice name)
{
    const sci_server_channel *channel = sci_channel_find(server, kind, name);
    size_t count = 0;
    if (!channel)
        return 0;
    for (const sci_link *link = channel->subscribers.next; link != &channel->subscribers;
         link = link->next)
        count++;
    return count;
}

/* --- Publishing */

SCI_PRIVATE void sci_session_check_output(sci_session *session)
{
    if (sci_bytes_len(&session->out) <= session->server->config.max_output_bytes ||
        session->is_broken)
        return;
    sci_server_log(session->server, SC_LOG_WARNING,
                   "%s does not take its messages: it is cut off (max_output_bytes)",
                   session->address);
    session->is_broken = true;
    sci_bytes_reset(&session->out, 0);
    sci_session_end(session);
}

SCI_PRIVATE sci_bytes *sci_session_give_begin(sci_session *session)
{
    return session->is_broken || session->is_ended ? NULL : &session->out;
}

SCI_PRIVATE void sci_session_give_end(sci_session *session, sc_status status)
{
    if (status != SC_OK) {
        session->is_broken = true; /* a message that is lost would be a lie */
        sci_session_end(session);
    }
    sci_session_check_output(session);
    sci_session_notify(session);
}

static void sci_session_give(sci_session *session, const sc_slice *words, size_t count)
{
    sci_bytes *out = sci_session_give_begin(session);
    if (out)
        sci_session_give_end(session, sci_write_command(out, words, count));
}

static size_t sci_channel_give(const sci_server_channel *channel, const sc_slice *words,
                               size_t count)
{
    size_t receivers = 0;
    for (sci_link *link = channel->subscribers.next; link != &channel->subscribers;
         link = link->next) {
        sci_session_give(SCI_CONTAINER(link, sci_channel_link, of_channel)->session, words, count);
        receivers++;
    }
    return receivers;
}

static size_t sci_publish_to_patterns(sc_server *server, sc_slice name, sc_slice message)
{
    size_t receivers = 0;
    for (sci_link *link = server->patterns.next; link != &server->patterns; link = link->next) {
        const sci_server_channel *pattern = SCI_CONTAINER(link, sci_server_channel, pattern);
        if (!sci_glob_match(sci_channel_name(pattern), name, false))
            continue;
        const sc_slice words[4] = {sc_text("pmessage"), sci_channel_name(pattern), name, message};
        receivers += sci_channel_give(pattern, words, 4);
    }
    return receivers;
}

SCI_PRIVATE size_t sci_publish(sc_server *server, sci_channel_kind kind, sc_slice channel,
                               sc_slice message)
{
    const sci_server_channel *found = sci_channel_find(server, kind, channel);
    const char *word = kind == SCI_SHARD_CHANNEL ? "smessage" : "message";
    const sc_slice words[3] = {sc_text(word), channel, message};
    size_t receivers = found ? sci_channel_give(found, words, 3) : 0;
    if (kind == SCI_CHANNEL)
        receivers += sci_publish_to_patterns(server, channel, message);
    return receivers;
}

/* --- Keyspace events */

static void sci_notify_on(sci_call *call, const char *prefix, sc_slice suffix, sc_slice message)
{
    sci_bytes name;
    sci_bytes_init(&name, &call->server->memory);
    sc_status status = sci_bytes_append_text(&name, prefix);
    if (status == SC_OK)
        status = sci_bytes_append_i64(&name, call->db->index);
    if (status == SC_OK)
        status = sci_bytes_append_text(&name, "__:");
    if (status == SC_OK)
        status = sci_bytes_append(&name, suffix);
    if (status == SC_OK) /* events are fire-and-forget: without memory one is lost */
        (void)sci_publish(call->server, SCI_CHANNEL, sci_bytes_slice(&name), message);
    sci_bytes_free(&name);
}

SCI_PRIVATE void sci_notify(sci_call *call, unsigned event_class, const char *event, sc_slice key)
{
    const sc_server *server = call->server;
    if (SCI_LIKELY(!(server->notified_events & event_class)) || call->is_loading)
        return;
    if (server->channels[SCI_CHANNEL].count + server->channels[SCI_PATTERN].count == 0)
        return;
    if (server->notified_events & SCI_EVENT_KEYSPACE)
        sci_notify_on(call, "__keyspace@", key, sc_text(event));
    if (server->notified_events & SCI_EVENT_KEYEVENT)
        sci_notify_on(call, "__keyevent@", sc_text(event), key);
}

typedef struct sci_event_letter {
    char letter;
    unsigned events;
} sci_event_letter;

#define SCI_EVENTS_ALL                                                                             \
    (SCI_EVENT_GENERIC | SCI_EVENT_STRING | SCI_EVENT_LIST | SCI_EVENT_SET | SCI_EVENT_HASH |      \
     SCI_EVENT_ZSET | SCI_EVENT_EXPIRED | SCI_EVENT_EVICTED | SCI_EVENT_STREAM | SCI_EVENT_MODULE)

/* In the order in which Redis prints them; "n" counts as one of those that A stands for. */
static const sci_event_letter *sci_event_letters(size_t *count)
{
    static const sci_event_letter letters[] = {
        {'A', SCI_EVENTS_ALL},     {'g', SCI_EVENT_GENERIC},  {'$', SCI_EVENT_STRING},
        {'l', SCI_EVENT_LIST},     {'s', SCI_EVENT_SET},      {'h', SCI_EVENT_HASH},
        {'z', SCI_EVENT_ZSET},     {'x', SCI_EVENT_EXPIRED},  {'e', SCI_EVENT_EVICTED},
        {'t', SCI_EVENT_STREAM},   {'d', SCI_EVENT_MODULE},   {'n', SCI_EVENT_NEW},
        {'K', SCI_EVENT_KEYSPACE}, {'E', SCI_EVENT_KEYEVENT}, {'m', SCI_EVENT_MISS},
    };
    *count = SCI_COUNT(letters);
    return letters;
}

SCI_PRIVATE bool sci_events_from_text(sc_slice letters, unsigned *events)
{
    size_t count;
    const sci_event_letter *known = sci_event_letters(&count);
    unsigned found = 0;
    for (size_t i = 0; i < letters.len; i++) {
        size_t at = 0;
        while (at < count && known[at].letter != letters.data[i])
            at++;
        if (at == count)
            return false;
        found |= known[at].events;
    }
    *events = found;
    return true;
}

SCI_PRIVATE size_t sci_events_to_text(unsigned events, char text[SCI_EVENTS_TEXT_BYTES])
{
    size_t count;
    size_t len = 0;
    const sci_event_letter *known = sci_event_letters(&count);
    bool has_all = (events & SCI_EVENTS_ALL) == SCI_EVENTS_ALL;
    for (size_t i = 0; i < count; i++) {
        bool is_in_all = (known[i].events & (SCI_EVENTS_ALL | SCI_EVENT_NEW)) != 0;
        if (i == 0 ? has_all : (events & known[i].events) && !(has_all && is_in_all))
            text[len++] = known[i].letter;
    }
    text[len] = '\0';
    return len;
}
