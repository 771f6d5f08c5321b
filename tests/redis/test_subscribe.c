/* Publish/subscribe: what arrives, what is told about gaps, and what unsubscribing guarantees. */
#include "support/client_test.h"
#include "support/proxy.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define INBOX_TEXT_BYTES 600

/* What one subscription got. */
typedef struct inbox {
    pthread_mutex_t lock;
    size_t messages;
    size_t gaps;
    size_t wrong; /* statuses that are neither, messages that are missing or not, callbacks that
                     overlap */
    bool is_inside;
    char channel[64];
    char pattern[64];
    char payload[INBOX_TEXT_BYTES];
    size_t payload_len;
    int64_t last;      /* the payload as a number */
    size_t disordered; /* numbers that are not greater than the one before */
    /* What the callback is to do: */
    sc_client *client;      /* unsubscribe itself from this one */
    sc_subscription self;   /* which */
    sc_status unsubscribed; /* the result */
    uint32_t *blocks_until; /* atomic: stay inside until it is 1 */
} inbox;

static void inbox_init(inbox *box)
{
    memset(box, 0, sizeof *box);
    pthread_mutex_init(&box->lock, NULL);
    box->last = INT64_MIN;
}

static void inbox_copy(char *to, size_t cap, sc_slice from)
{
    size_t len = from.len < cap - 1 ? from.len : cap - 1;
    if (len)
        memcpy(to, from.data, len);
    to[len] = '\0';
}

static void inbox_keep(inbox *box, const sc_message *message)
{
    char *end;
    int64_t number;
    box->messages++;
    inbox_copy(box->channel, sizeof box->channel, message->channel);
    inbox_copy(box->pattern, sizeof box->pattern, message->pattern);
    inbox_copy(box->payload, sizeof box->payload, message->payload);
    box->payload_len = message->payload.len;
    number = strtoll(box->payload, &end, 10);
    if (end != box->payload) {
        if (number <= box->last)
            box->disordered++;
        box->last = number;
    }
}

static void inbox_take(void *user, sc_status status, const sc_message *message)
{
    inbox *box = (inbox *)user;
    sc_client *client;
    sc_status result = SC_PENDING;
    pthread_mutex_lock(&box->lock);
    if (box->is_inside)
        box->wrong++;
    box->is_inside = true;
    if (status == SC_OK && message)
        inbox_keep(box, message);
    else if (status == SC_GAP && !message)
        box->gaps++;
    else
        box->wrong++;
    client = box->client;
    pthread_mutex_unlock(&box->lock);
    if (box->blocks_until) {
        bool reached;
        WAIT_REACHED(reached, __atomic_load_n(box->blocks_until, __ATOMIC_ACQUIRE));
        (void)reached;
    }
    if (client)
        result = sc_unsubscribe(client, box->self);
    pthread_mutex_lock(&box->lock);
    box->unsubscribed = result;
    box->is_inside = false;
    pthread_mutex_unlock(&box->lock);
}

static size_t inbox_look(inbox *box, const size_t *number)
{
    size_t seen;
    pthread_mutex_lock(&box->lock);
    seen = *number;
    pthread_mutex_unlock(&box->lock);
    return seen;
}

static sc_status inbox_unsubscribed(inbox *box)
{
    sc_status seen;
    pthread_mutex_lock(&box->lock);
    seen = box->unsubscribed;
    pthread_mutex_unlock(&box->lock);
    return seen;
}

static size_t inbox_messages(inbox *box)
{
    return inbox_look(box, &box->messages);
}

static size_t inbox_gaps(inbox *box)
{
    return inbox_look(box, &box->gaps);
}

static sc_subscription subscribe(sc_client *client, const char *channel, inbox *box)
{
    sc_subscription subscription = 0;
    assert_status(SC_OK, sc_subscribe(client, sc_text(channel), inbox_take, box, &subscription));
    assert_true(subscription != 0);
    return subscription;
}

/* From outside, so that nothing but the subscription is in question; returns the receivers. */
static int64_t publish(const char *channel, const char *payload)
{
    const char *words[4];
    words[0] = "PUBLISH";
    words[1] = channel;
    words[2] = payload;
    words[3] = NULL;
    return fixture_integer(test.server, words);
}

static int64_t subscribers_of(const char *channel)
{
    const char *reply =
        fixture_command(test.server, "PUBSUB", "NUMSUB", channel, (const char *)NULL);
    const char *at = strrchr(reply, ':');
    assert_non_null(at);
    return strtoll(at + 1, NULL, 10);
}

static void a_message_published_after_subscribing_arrives(void **state)
{
    inbox box;
    sc_subscription subscription;
    (void)state;
    inbox_init(&box);
    subscription = subscribe(test.client, "news", &box);
    /* The server has confirmed: nobody waits here for anything. */
    assert_int_equal(publish("news", "hello"), 1);
    WAIT_UNTIL(inbox_messages(&box) == 1);
    assert_string_equal(box.channel, "news");
    assert_string_equal(box.pattern, "");
    assert_string_equal(box.payload, "hello");
    assert_int_equal(publish("other", "not for us"), 0);
    assert_int_equal(publish("news", "again"), 1);
    WAIT_UNTIL(inbox_messages(&box) == 2);
    assert_int_equal(box.gaps, 0);
    assert_int_equal(box.wrong, 0);
    assert_status(SC_OK, sc_unsubscribe(test.client, subscription));
}

static void the_confirmation_is_waited_for_every_time(void **state)
{
    int round;
    (void)state;
    for (round = 0; round < 100; round++) {
        inbox box;
        sc_subscription subscription;
        inbox_init(&box);
        subscription = subscribe(test.client, "news", &box);
        assert_int_equal(publish("news", "hello"), 1);
        WAIT_UNTIL(inbox_messages(&box) == 1);
        assert_status(SC_OK, sc_unsubscribe(test.client, subscription));
    }
}

static void a_pattern_gets_what_matches(void **state)
{
    inbox box;
    sc_subscription subscription = 0;
    (void)state;
    inbox_init(&box);
    assert_status(SC_OK,
                  sc_psubscribe(test.client, sc_text("news.*"), inbox_take, &box, &subscription));
    assert_int_equal(publish("news.art", "painted"), 1);
    WAIT_UNTIL(inbox_messages(&box) == 1);
    assert_string_equal(box.channel, "news.art");
    assert_string_equal(box.pattern, "news.*");
    assert_string_equal(box.payload, "painted");
    assert_int_equal(publish("old.art", "faded"), 0);
    assert_status(SC_OK, sc_unsubscribe(test.client, subscription));
    WAIT_UNTIL(publish("news.art", "unheard") == 0);
    assert_int_equal(inbox_messages(&box), 1);
}

static void a_channel_and_a_pattern_of_the_same_name_are_two_things(void **state)
{
    inbox plain;
    inbox glob;
    sc_subscription first;
    sc_subscription second = 0;
    (void)state;
    inbox_init(&plain);
    inbox_init(&glob);
    first = subscribe(test.client, "a*", &plain);
    assert_status(SC_OK, sc_psubscribe(test.client, sc_text("a*"), inbox_take, &glob, &second));
    assert_int_equal(publish("a*", "both"), 2);
    WAIT_UNTIL(inbox_messages(&plain) == 1 && inbox_messages(&glob) == 1);
    assert_int_equal(publish("ab", "the pattern's"), 1);
    WAIT_UNTIL(inbox_messages(&glob) == 2);
    assert_int_equal(inbox_messages(&plain), 1);
    assert_status(SC_OK, sc_unsubscribe(test.client, first));
    WAIT_UNTIL(publish("a*", "still the pattern's") == 1);
    WAIT_UNTIL(inbox_messages(&glob) >= 3);
    assert_int_equal(inbox_messages(&plain), 1);
    assert_status(SC_OK, sc_unsubscribe(test.client, second));
}

#define SHARERS 50

static void many_subscriptions_share_a_channel_and_one_connection(void **state)
{
    static inbox boxes[SHARERS];
    sc_subscription subscriptions[SHARERS];
    size_t i;
    (void)state;
    for (i = 0; i < SHARERS; i++) {
        inbox_init(&boxes[i]);
        subscriptions[i] = subscribe(test.client, "news", &boxes[i]);
    }
    assert_int_equal(subscribers_of("news"), 1);
    assert_int_equal(fixture_clients(test.server, "pubsub"), 1);
    assert_int_equal(publish("news", "1"), 1);
    for (i = 0; i < SHARERS; i++)
        WAIT_UNTIL(inbox_messages(&boxes[i]) == 1);
    /* The channel stays as long as anybody is there. */
    for (i = 0; i < SHARERS - 1; i++)
        assert_status(SC_OK, sc_unsubscribe(test.client, subscriptions[i]));
    assert_int_equal(publish("news", "2"), 1);
    WAIT_UNTIL(inbox_messages(&boxes[SHARERS - 1]) == 2);
    for (i = 0; i < SHARERS - 1; i++)
        assert_int_equal(inbox_messages(&boxes[i]), 1);
    assert_status(SC_OK, sc_unsubscribe(test.client, subscriptions[SHARERS - 1]));
    WAIT_UNTIL(subscribers_of("news") == 0);
}

#define CHANNELS 1000

static void a_thousand_channels_are_told_apart(void **state)
{
    static inbox boxes[CHANNELS];
    static sc_subscription subscriptions[CHANNELS];
    char name[32];
    size_t i;
    (void)state;
    for (i = 0; i < CHANNELS; i++) {
        inbox_init(&boxes[i]);
        snprintf(name, sizeof name, "channel%zu", i);
        subscriptions[i] = subscribe(test.client, name, &boxes[i]);
    }
    for (i = 0; i < CHANNELS; i++) {
        snprintf(name, sizeof name, "channel%zu", i);
        assert_int_equal(publish(name, name), 1);
    }
    for (i = 0; i < CHANNELS; i++) {
        snprintf(name, sizeof name, "channel%zu", i);
        WAIT_UNTIL(inbox_messages(&boxes[i]) == 1);
        assert_string_equal(boxes[i].payload, name);
    }
    for (i = 0; i < CHANNELS; i++)
        assert_status(SC_OK, sc_unsubscribe(test.client, subscriptions[i]));
}

#define ORDERED_MESSAGES 5000

static void messages_come_in_order_and_none_is_lost(void **state)
{
    inbox box;
    sc_subscription subscription;
    int i;
    (void)state;
    inbox_init(&box);
    subscription = subscribe(test.client, "news", &box);
    for (i = 0; i < ORDERED_MESSAGES; i++) {
        char payload[16];
        snprintf(payload, sizeof payload, "%d", i);
        assert_int_equal(publish("news", payload), 1);
    }
    WAIT_UNTIL(inbox_messages(&box) == ORDERED_MESSAGES);
    assert_int_equal(box.disordered, 0);
    assert_int_equal(box.wrong, 0);
    assert_status(SC_OK, sc_unsubscribe(test.client, subscription));
}

#define BYTE_VALUES 256

static void channels_and_messages_hold_every_byte(void **state)
{
    char all[BYTE_VALUES];
    const char *words[3];
    size_t lens[3];
    inbox box;
    sc_subscription subscription = 0;
    int i;
    (void)state;
    for (i = 0; i < BYTE_VALUES; i++)
        all[i] = (char)i;
    inbox_init(&box);
    assert_status(SC_OK, sc_subscribe(test.client, sc_bytes(all, sizeof all), inbox_take, &box,
                                      &subscription));
    words[0] = "PUBLISH";
    lens[0] = strlen(words[0]);
    words[1] = all;
    lens[1] = sizeof all;
    words[2] = all;
    lens[2] = sizeof all;
    assert_string_equal(fixture_command_bytes(test.server, 3, words, lens, NULL), ":1\r\n");
    WAIT_UNTIL(inbox_messages(&box) == 1);
    assert_int_equal(box.payload_len, sizeof all);
    assert_memory_equal(box.payload, all, sizeof all);
    lens[2] = 0; /* and none */
    assert_string_equal(fixture_command_bytes(test.server, 3, words, lens, NULL), ":1\r\n");
    WAIT_UNTIL(inbox_messages(&box) == 2);
    assert_int_equal(box.payload_len, 0);
    assert_status(SC_OK, sc_unsubscribe(test.client, subscription));
}

/* --- gaps */

static void a_lost_connection_is_a_gap_and_the_subscription_stands_again(void **state)
{
    sc_config config = test_config(test_url());
    sc_client *client;
    inbox box;
    inbox pattern_box;
    sc_subscription subscription;
    sc_subscription pattern = 0;
    size_t round;
    (void)state;
    config.backoff_min_ms = 1;
    config.backoff_max_ms = 10;
    client = test_open(&config);
    inbox_init(&box);
    inbox_init(&pattern_box);
    subscription = subscribe(client, "news", &box);
    assert_status(SC_OK, sc_psubscribe(client, sc_text("n*"), inbox_take, &pattern_box, &pattern));
    for (round = 1; round <= 10; round++) {
        assert_int_equal(fixture_cut_clients(test.server, "pubsub"), 1);
        WAIT_UNTIL(inbox_gaps(&box) == round && inbox_gaps(&pattern_box) == round);
        /* When the gap is told, the subscription is confirmed. */
        assert_int_equal(publish("news", "after the gap"), 2);
        WAIT_UNTIL(inbox_messages(&box) == round && inbox_messages(&pattern_box) == round);
    }
    assert_int_equal(box.wrong, 0);
    assert_status(SC_OK, sc_unsubscribe(client, subscription));
    assert_status(SC_OK, sc_unsubscribe(client, pattern));
    assert_status(SC_OK, sc_close(client));
}

#define FAILING_REQUESTS 24 /* more than a connection and its subscription ask for */

static void a_gap_is_told_also_without_memory(void **state)
{
    sc_config config = test_config(test_url());
    sc_client *client;
    inbox box;
    sc_subscription subscription;
    (void)state;
    config.backoff_min_ms = 1;
    config.backoff_max_ms = 10;
    client = test_open(&config);
    inbox_init(&box);
    subscription = subscribe(client, "news", &box);
    for (size_t request = 1; request <= FAILING_REQUESTS; request++) {
        size_t gaps = inbox_gaps(&box);
        fault_memory_fail(test.memory, request, false);
        assert_int_equal(fixture_cut_clients(test.server, "pubsub"), 1);
        WAIT_UNTIL(inbox_gaps(&box) > gaps);
        fault_memory_fail(test.memory, 0, false);
        WAIT_UNTIL(publish("news", "after the gap") == 1);
    }
    assert_int_equal(box.wrong, 0);
    assert_status(SC_OK, sc_unsubscribe(client, subscription));
    assert_status(SC_OK, sc_close(client));
}

static void a_restarted_server_is_subscribed_again(void **state)
{
    sc_config config = test_config(test_url());
    sc_client *client;
    inbox box;
    sc_subscription subscription;
    (void)state;
    config.backoff_min_ms = 1;
    config.backoff_max_ms = 10;
    client = test_open(&config);
    inbox_init(&box);
    subscription = subscribe(client, "news", &box);
    fixture_kill(test.server);
    assert_true(fixture_restart(test.server));
    WAIT_UNTIL(inbox_gaps(&box) == 1);
    assert_int_equal(publish("news", "new times"), 1);
    WAIT_UNTIL(inbox_messages(&box) == 1);
    assert_status(SC_OK, sc_unsubscribe(client, subscription));
    assert_status(SC_OK, sc_close(client));
}

static void a_lost_data_connection_is_no_gap(void **state)
{
    sc_config config;
    sc_client *client;
    proxy *relay = proxy_start(test.kind, fixture_endpoint(test.server, test.kind));
    inbox box;
    sc_subscription subscription;
    (void)state;
    config = test_config(proxy_url(relay));
    config.backoff_min_ms = 1;
    config.backoff_max_ms = 10;
    client = test_open(&config);
    inbox_init(&box);
    subscription = subscribe(client, "news", &box);
    assert_int_equal(proxy_cut_others(relay), 1);
    WAIT_UNTIL(sc_command_strings(client, NULL, "PING", (const char *)NULL) == SC_OK);
    assert_int_equal(publish("news", "still"), 1);
    WAIT_UNTIL(inbox_messages(&box) == 1);
    assert_int_equal(box.gaps, 0);
    assert_status(SC_OK, sc_unsubscribe(client, subscription));
    assert_status(SC_OK, sc_close(client));
    proxy_stop(relay);
}

static void a_silent_subscription_is_checked_and_made_again(void **state)
{
    sc_config config;
    sc_client *client;
    proxy *relay = proxy_start(test.kind, fixture_endpoint(test.server, test.kind));
    inbox box;
    sc_subscription subscription;
    size_t connections;
    (void)state;
    config = test_config(proxy_url(relay));
    config.idle_check_ms = 20;
    config.timeout_ms = 300;
    config.connect_timeout_ms = 300;
    config.backoff_min_ms = 1;
    config.backoff_max_ms = 10;
    client = test_open(&config);
    inbox_init(&box);
    WAIT_UNTIL(sc_subscribe(client, sc_text("news"), inbox_take, &box, &subscription) == SC_OK);
    connections = proxy_connections(relay);
    /* Half-open: the peer is there, and nothing comes from it. */
    proxy_black_hole(relay, PROXY_BOTH);
    WAIT_UNTIL(proxy_connections(relay) > connections);
    proxy_black_hole(relay, 0);
    WAIT_UNTIL(inbox_gaps(&box) >= 1);
    WAIT_UNTIL(publish("news", "heard") >= 1 && inbox_messages(&box) >= 1);
    assert_status(SC_OK, sc_unsubscribe(client, subscription));
    assert_status(SC_OK, sc_close(client));
    proxy_stop(relay);
}

static void subscribing_without_a_server_is_an_error_and_leaves_nothing(void **state)
{
    sc_config config = test_config(test_url());
    sc_client *client;
    inbox box;
    sc_subscription subscription = 0;
    (void)state;
    config.lazy = true;
    config.backoff_min_ms = 1;
    config.backoff_max_ms = 10;
    client = test_open(&config);
    inbox_init(&box);
    fixture_stop(test.server);
    assert_status(SC_ERR_CONNECT,
                  sc_subscribe(client, sc_text("news"), inbox_take, &box, &subscription));
    assert_int_equal(subscription, 0);
    assert_true(fixture_restart(test.server));
    WAIT_UNTIL(sc_subscribe(client, sc_text("other"), inbox_take, &box, &subscription) == SC_OK);
    assert_int_equal(publish("news", "nobody wants it"), 0);
    assert_int_equal(inbox_messages(&box), 0);
    assert_status(SC_OK, sc_close(client));
}

static void a_subscription_that_the_server_refuses_is_an_error(void **state)
{
    sc_config config = test_config(test_url());
    sc_client *client;
    inbox box;
    sc_subscription subscription = 0;
    (void)state;
    if (fixture_is_embedded())
        skip();
    fixture_command(test.server, "ACL", "SETUSER", "deaf", "on", ">pw", "~*", "resetchannels",
                    "&allowed", "+@all", (const char *)NULL);
    config.user = "deaf";
    config.password = "pw";
    client = test_open(&config);
    inbox_init(&box);
    assert_status(SC_ERR_REPLY,
                  sc_subscribe(client, sc_text("news"), inbox_take, &box, &subscription));
    assert_error_text_has("NOPERM");
    assert_int_equal(subscription, 0);
    subscription = subscribe(client, "allowed", &box);
    assert_int_equal(publish("allowed", "heard"), 1);
    WAIT_UNTIL(inbox_messages(&box) == 1);
    assert_status(SC_OK, sc_close(client));
    fixture_command(test.server, "ACL", "DELUSER", "deaf", (const char *)NULL);
}

/* --- asynchronous */

static void an_asynchronous_subscription_tells_by_a_gap_that_it_stands(void **state)
{
    inbox box;
    inbox pattern_box;
    sc_subscription subscription = 0;
    sc_subscription pattern = 0;
    (void)state;
    inbox_init(&box);
    inbox_init(&pattern_box);
    assert_status(
        SC_OK, sc_subscribe_async(test.client, sc_text("news"), inbox_take, &box, &subscription));
    assert_status(
        SC_OK, sc_psubscribe_async(test.client, sc_text("n*"), inbox_take, &pattern_box, &pattern));
    WAIT_UNTIL(inbox_gaps(&box) == 1 && inbox_gaps(&pattern_box) == 1);
    assert_int_equal(publish("news", "hello"), 2);
    WAIT_UNTIL(inbox_messages(&box) == 1 && inbox_messages(&pattern_box) == 1);
    /* One on a channel that is already there, too. */
    {
        inbox second_box;
        sc_subscription second = 0;
        inbox_init(&second_box);
        assert_status(SC_OK, sc_subscribe_async(test.client, sc_text("news"), inbox_take,
                                                &second_box, &second));
        WAIT_UNTIL(inbox_gaps(&second_box) == 1);
        assert_int_equal(publish("news", "again"), 2);
        WAIT_UNTIL(inbox_messages(&second_box) == 1);
        assert_int_equal(inbox_gaps(&box), 1);
        assert_status(SC_OK, sc_unsubscribe(test.client, second));
    }
    assert_status(SC_OK, sc_unsubscribe(test.client, subscription));
    assert_status(SC_OK, sc_unsubscribe(test.client, pattern));
}

static void an_asynchronous_subscription_waits_for_its_server(void **state)
{
    sc_config config = test_config(test_url());
    sc_client *client;
    inbox box;
    sc_subscription subscription = 0;
    sc_stats stats;
    (void)state;
    config.lazy = true;
    config.backoff_min_ms = 1;
    config.backoff_max_ms = 10;
    client = test_open(&config);
    inbox_init(&box);
    fixture_stop(test.server);
    assert_status(SC_OK,
                  sc_subscribe_async(client, sc_text("news"), inbox_take, &box, &subscription));
    WAIT_UNTIL((sc_stats_get(client, &stats), stats.connect_failures >= 3));
    assert_true(fixture_restart(test.server));
    WAIT_UNTIL(inbox_gaps(&box) == 1);
    assert_int_equal(publish("news", "hello"), 1);
    WAIT_UNTIL(inbox_messages(&box) == 1);
    assert_status(SC_OK, sc_unsubscribe(client, subscription));
    assert_status(SC_OK, sc_close(client));
}

/* --- ends */

static void a_stale_subscription_is_a_miss(void **state)
{
    inbox box;
    sc_subscription subscription;
    (void)state;
    inbox_init(&box);
    assert_status(SC_MISS, sc_unsubscribe(test.client, 0));
    subscription = subscribe(test.client, "news", &box);
    assert_status(SC_OK, sc_unsubscribe(test.client, subscription));
    assert_status(SC_MISS, sc_unsubscribe(test.client, subscription));
    assert_true(subscribe(test.client, "news", &box) != subscription);
    assert_status(SC_MISS, sc_unsubscribe(test.client, subscription));
    assert_int_equal(publish("news", "the new one's"), 1);
    WAIT_UNTIL(inbox_messages(&box) == 1);
}

typedef struct flood {
    pthread_t thread;
    uint32_t stops; /* atomic */
    sc_client *client;
} flood;

/* Publishes without a pause, on a client of its own. */
static void *flood_run(void *argument)
{
    flood *self = (flood *)argument;
    while (!__atomic_load_n(&self->stops, __ATOMIC_ACQUIRE))
        (void)sc_command_strings(self->client, NULL, "PUBLISH", "news", "1", (const char *)NULL);
    return NULL;
}

static void no_callback_runs_after_unsubscribing(void **state)
{
    flood stream;
    int round;
    (void)state;
    memset(&stream, 0, sizeof stream);
    stream.client = test_open_url(test_url());
    assert_int_equal(pthread_create(&stream.thread, NULL, flood_run, &stream), 0);
    for (round = 0; round < 200; round++) {
        /* From the heap, so that a sanitizer sees a callback that comes too late. */
        inbox *box = (inbox *)malloc(sizeof *box);
        sc_subscription subscription;
        assert_non_null(box);
        inbox_init(box);
        subscription = subscribe(test.client, "news", box);
        WAIT_UNTIL(inbox_messages(box) >= 1);
        assert_status(SC_OK, sc_unsubscribe(test.client, subscription));
        assert_false(box->is_inside);
        assert_int_equal(box->wrong, 0);
        pthread_mutex_destroy(&box->lock);
        memset(box, 0xee, sizeof *box);
        free(box);
    }
    __atomic_store_n(&stream.stops, 1, __ATOMIC_RELEASE);
    pthread_join(stream.thread, NULL);
    assert_status(SC_OK, sc_close(stream.client));
}

typedef struct unsubscriber {
    pthread_t thread;
    sc_subscription subscription;
    uint32_t returned; /* atomic */
    sc_status status;
} unsubscriber;

static void *unsubscriber_run(void *argument)
{
    unsubscriber *self = (unsubscriber *)argument;
    self->status = sc_unsubscribe(test.client, self->subscription);
    __atomic_store_n(&self->returned, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void unsubscribing_waits_for_a_callback_that_runs(void **state)
{
    inbox box;
    unsubscriber other;
    uint32_t may_leave = 0;
    int i;
    (void)state;
    inbox_init(&box);
    memset(&other, 0, sizeof other);
    box.blocks_until = &may_leave;
    other.subscription = subscribe(test.client, "news", &box);
    assert_int_equal(publish("news", "hello"), 1);
    WAIT_UNTIL(inbox_messages(&box) == 1);
    assert_int_equal(pthread_create(&other.thread, NULL, unsubscriber_run, &other), 0);
    for (i = 0; i < 50; i++) { /* it has every chance to return too early */
        wait_a_moment();
        assert_int_equal(__atomic_load_n(&other.returned, __ATOMIC_ACQUIRE), 0);
    }
    __atomic_store_n(&may_leave, 1, __ATOMIC_RELEASE);
    pthread_join(other.thread, NULL);
    assert_status(SC_OK, other.status);
    assert_false(box.is_inside);
}

static void a_callback_may_end_its_own_subscription(void **state)
{
    inbox box;
    (void)state;
    inbox_init(&box);
    box.unsubscribed = SC_PENDING;
    /* No message comes before the id is there. */
    box.self = subscribe(test.client, "news", &box);
    pthread_mutex_lock(&box.lock);
    box.client = test.client;
    pthread_mutex_unlock(&box.lock);
    assert_int_equal(publish("news", "1"), 1);
    WAIT_UNTIL(subscribers_of("news") == 0);
    publish("news", "2");
    test_expect_text(test.client, "PONG", "PING", (const char *)NULL);
    WAIT_UNTIL(inbox_unsubscribed(&box) != SC_PENDING);
    assert_status(SC_OK, inbox_unsubscribed(&box));
    assert_int_equal(box.wrong, 0);
    assert_int_equal(inbox_messages(&box), 1);
    assert_status(SC_MISS, sc_unsubscribe(test.client, box.self));
}

typedef struct caller_box {
    uint32_t is_done; /* atomic */
    sc_status status;
    inbox inner;
    sc_subscription subscription;
} caller_box;

/* A callback that uses the client in every way that may block. */
static void calling_take(void *user, sc_status status, const sc_message *message)
{
    caller_box *self = (caller_box *)user;
    if (status != SC_OK || !message || __atomic_load_n(&self->is_done, __ATOMIC_ACQUIRE))
        return;
    self->status =
        sc_command_strings(test.client, NULL, "SET", "from", "inside", (const char *)NULL);
    if (self->status == SC_OK)
        self->status = sc_subscribe(test.client, sc_text("inner"), inbox_take, &self->inner,
                                    &self->subscription);
    __atomic_store_n(&self->is_done, 1, __ATOMIC_RELEASE);
}

static void a_callback_may_call_and_subscribe(void **state)
{
    caller_box self;
    sc_subscription subscription = 0;
    (void)state;
    memset(&self, 0, sizeof self);
    inbox_init(&self.inner);
    assert_status(SC_OK,
                  sc_subscribe(test.client, sc_text("news"), calling_take, &self, &subscription));
    assert_int_equal(publish("news", "1"), 1);
    WAIT_UNTIL(__atomic_load_n(&self.is_done, __ATOMIC_ACQUIRE));
    assert_status(SC_OK, self.status);
    test_expect_text(test.client, "inside", "GET", "from", (const char *)NULL);
    assert_int_equal(publish("inner", "2"), 1);
    WAIT_UNTIL(inbox_messages(&self.inner) == 1);
}

static void a_program_that_polls_gets_its_messages_inside_sc_poll(void **state)
{
    sc_config config = test_config(test_url());
    sc_client *client;
    inbox box;
    sc_subscription subscription;
    int64_t end_ms = wait_now_ms() + WAIT_WATCHDOG_MS;
    (void)state;
    config.polled = true;
    client = test_open(&config);
    inbox_init(&box);
    subscription = subscribe(client, "news", &box);
    assert_int_equal(publish("news", "1"), 1);
    wait_a_moment();
    assert_int_equal(inbox_messages(&box), 0);
    while (inbox_messages(&box) < 1 && wait_now_ms() < end_ms)
        assert_status(SC_OK, sc_poll(client, 100));
    assert_int_equal(inbox_messages(&box), 1);
    assert_status(SC_OK, sc_unsubscribe(client, subscription));
    assert_status(SC_OK, sc_close(client));
}

static void subscriptions_end_with_their_client(void **state)
{
    sc_client *client = test_open_url(test_url());
    inbox box;
    size_t seen;
    (void)state;
    inbox_init(&box);
    subscribe(client, "news", &box);
    assert_int_equal(publish("news", "1"), 1);
    WAIT_UNTIL(inbox_messages(&box) == 1);
    assert_status(SC_OK, sc_close(client));
    WAIT_UNTIL(subscribers_of("news") == 0);
    seen = inbox_messages(&box);
    publish("news", "2");
    assert_int_equal(inbox_messages(&box), seen);
    assert_int_equal(box.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        client_unit_test(a_message_published_after_subscribing_arrives),
        client_unit_test(the_confirmation_is_waited_for_every_time),
        client_unit_test(a_pattern_gets_what_matches),
        client_unit_test(a_channel_and_a_pattern_of_the_same_name_are_two_things),
        client_unit_test(many_subscriptions_share_a_channel_and_one_connection),
        client_unit_test(a_thousand_channels_are_told_apart),
        client_unit_test(messages_come_in_order_and_none_is_lost),
        client_unit_test(channels_and_messages_hold_every_byte),
        bare_unit_test(a_lost_connection_is_a_gap_and_the_subscription_stands_again),
        bare_unit_test(a_restarted_server_is_subscribed_again),
        bare_unit_test(a_gap_is_told_also_without_memory),
        bare_unit_test(a_lost_data_connection_is_no_gap),
        bare_unit_test(a_silent_subscription_is_checked_and_made_again),
        bare_unit_test(subscribing_without_a_server_is_an_error_and_leaves_nothing),
        bare_unit_test(a_subscription_that_the_server_refuses_is_an_error),
        client_unit_test(an_asynchronous_subscription_tells_by_a_gap_that_it_stands),
        bare_unit_test(an_asynchronous_subscription_waits_for_its_server),
        client_unit_test(a_stale_subscription_is_a_miss),
        client_unit_test(no_callback_runs_after_unsubscribing),
        client_unit_test(unsubscribing_waits_for_a_callback_that_runs),
        client_unit_test(a_callback_may_end_its_own_subscription),
        client_unit_test(a_callback_may_call_and_subscribe),
        bare_unit_test(a_program_that_polls_gets_its_messages_inside_sc_poll),
        bare_unit_test(subscriptions_end_with_their_client),
    };
    return run_on_both_wires("subscriptions", tests);
}
