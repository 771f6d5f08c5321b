/* A client in another event loop, by the one descriptor on epoll: time-outs, servers that die,
   subscriptions, get-or-load, and forked children. */

#define SMARTCACHE_EPOLL_IMPLEMENTATION
#include "epoll_host.h"

#include <stdio.h>
#include <sys/wait.h>

#define COMMANDS 1000u
#define KEYS 100

/* --- time and trouble */

static void time_outs_fire_against_a_server_that_stands_still(void **state)
{
    host loop = host_open();
    tally late = tally_of(&loop, "GET", "key");
    tally next = tally_of(&loop, "GET", "key");
    sc_call_options options;
    (void)state;
    memset(&options, 0, sizeof options);
    fixture_pause(test.server);
    for (int64_t i = 0; i < 10; i++) {
        options.timeout_ms = 100 - 10 * i; /* each earlier than those before */
        tally_start(&late, &options, tally_take);
    }
    HOST_UNTIL(&loop, tally_ended(&late) == 10);
    assert_int_equal(late.status, SC_ERR_TIMEOUT);
    host_until_quiet(&loop);
    fixture_continue(test.server);
    tally_start(&next, NULL, tally_take);
    HOST_UNTIL(&loop, tally_ended(&next) == 1);
    assert_int_equal(next.status, SC_OK);
    host_close(&loop);
}

static void count_line(void *user, sc_log_level level, const char *text)
{
    (void)level;
    if (strstr(text, "next attempt"))
        ++*(uint32_t *)user;
}

static void commands_wait_out_a_server_that_was_killed(void **state)
{
    sc_poller poller;
    sc_config config = host_config(&poller);
    sc_logger logger;
    uint32_t attempts = 0;
    (void)state;
    memset(&logger, 0, sizeof logger);
    logger.user = &attempts;
    logger.write_line = count_line;
    config.logger = &logger;
    config.wait_while_down = true;
    host loop = host_start(&config);
    tally counter = tally_of(&loop, "INCR", "counter");
    tally_start(&counter, NULL, tally_take);
    HOST_UNTIL(&loop, tally_ended(&counter) == 1);
    fixture_kill(test.server);
    host_until_quiet(&loop); /* it has heard */
    for (int i = 0; i < 100; i++)
        tally_start(&counter, NULL, tally_take);
    HOST_UNTIL(&loop, attempts >= 3); /* each told by the descriptor, as nothing else is */
    assert_true(fixture_restart(test.server));
    HOST_UNTIL(&loop, tally_ended(&counter) == 101);
    assert_int_equal(counter.status, SC_OK);
    assert_string_equal(fixture_command(test.server, "GET", "counter", (const char *)NULL),
                        "$3\r\n100\r\n");
    host_until_quiet(&loop);
    host_close(&loop);
}

static void no_callback_runs_inside_a_call_that_does_not_block(void **state)
{
    sc_poller poller;
    sc_config config = host_config(&poller);
    (void)state;
    config.backoff_min_ms = config.backoff_max_ms = INT64_C(1000) * 3600;
    host loop = host_start(&config);
    tally refused = tally_of(&loop, "GET", "key");
    fixture_kill(test.server);
    host_until_quiet(&loop);
    tally_start(&refused, NULL, tally_take);
    HOST_UNTIL(&loop, tally_ended(&refused) == 1);
    tally_start(&refused, NULL, tally_take); /* in the back-off: it fails at once */
    assert_int_equal(tally_ended(&refused), 1);
    HOST_UNTIL(&loop, tally_ended(&refused) == 2);
    assert_int_equal(refused.status, SC_ERR_CONNECT);
    host_close(&loop);
}

/* Callbacks of one run that are no end in sight. */
#define ENDLESS 10000u

static void one_run_ends_although_callbacks_fail_and_start_again_at_once(void **state)
{
    sc_poller poller;
    sc_config config = host_config(&poller);
    (void)state;
    config.backoff_min_ms = config.backoff_max_ms = INT64_C(1000) * 3600;
    host loop = host_start(&config);
    tally refused = tally_of(&loop, "GET", "key");
    fixture_kill(test.server);
    host_until_quiet(&loop);
    refused.wanted = ENDLESS;
    tally_start(&refused, NULL, take_and_start_another);
    HOST_UNTIL(&loop, tally_ended(&refused) > 0);
    assert_in_range(tally_ended(&refused), 1, ENDLESS - 1);
    refused.wanted = 0;
    HOST_UNTIL(&loop, tally_ended(&refused) == refused.started);
    host_close(&loop);
}

/* A look-up that ends on a thread of its own, after the host has gone to sleep. */
typedef struct slow_resolver {
    pthread_t thread;
    sc_lookup *lookup;
    sc_address address;
    uint32_t may_end; /* atomic */
} slow_resolver;

static void *slow_resolver_run(void *argument)
{
    slow_resolver *self = (slow_resolver *)argument;
    while (!__atomic_load_n(&self->may_end, __ATOMIC_ACQUIRE))
        wait_a_moment();
    sc_lookup_done(self->lookup, SC_OK, &self->address, 1);
    return NULL;
}

static sc_status slow_resolve(void *user, sc_lookup *lookup, const char *name, uint16_t port)
{
    slow_resolver *self = (slow_resolver *)user;
    (void)name;
    self->lookup = lookup;
    self->address.family = SC_FAMILY_IPV4;
    self->address.port = port;
    memcpy(self->address.ip, "\x7f\0\0\1", 4);
    return pthread_create(&self->thread, NULL, slow_resolver_run, self) == 0 ? SC_OK
                                                                             : SC_ERR_RESOLVE;
}

static void a_name_that_another_thread_looks_up_wakes_the_host(void **state)
{
    sc_poller poller;
    sc_config config = host_config(&poller);
    sc_resolver resolver;
    slow_resolver slow;
    char url[64];
    (void)state;
    memset(&slow, 0, sizeof slow);
    memset(&resolver, 0, sizeof resolver);
    resolver.user = &slow;
    resolver.resolve = slow_resolve;
    const char *port = strrchr(fixture_url(test.server, WIRE_TCP), ':');
    (void)snprintf(url, sizeof url, "redis://cache.example%s", port);
    config.url = url;
    config.resolver = &resolver;
    config.lazy = true;
    host loop = host_start(&config);
    tally first = tally_of(&loop, "GET", "key");
    tally_start(&first, NULL, tally_take);
    host_until_quiet(&loop);
    __atomic_store_n(&slow.may_end, 1, __ATOMIC_RELEASE);
    HOST_UNTIL(&loop, tally_ended(&first) == 1);
    assert_int_equal(first.status, SC_OK);
    pthread_join(slow.thread, NULL);
    host_close(&loop);
}

typedef struct ear {
    uint32_t messages;
    uint32_t gaps;
} ear;

static void ear_hear(void *user, sc_status status, const sc_message *message)
{
    ear *self = (ear *)user;
    if (status == SC_OK && message)
        self->messages++;
    else if (status == SC_GAP)
        self->gaps++;
}

static void messages_come_and_subscriptions_are_made_again(void **state)
{
    host loop = host_open();
    ear heard;
    sc_subscription subscription;
    (void)state;
    memset(&heard, 0, sizeof heard);
    assert_status(
        SC_OK, sc_subscribe_async(loop.client, sc_text("news"), ear_hear, &heard, &subscription));
    HOST_UNTIL(&loop, heard.gaps == 1); /* it stands */
    for (uint32_t round = 1; round <= 3; round++) {
        for (int i = 0; i < 100; i++)
            fixture_command(test.server, "PUBLISH", "news", "item", (const char *)NULL);
        HOST_UNTIL(&loop, heard.messages == 100 * round);
        assert_int_equal(fixture_cut_clients(test.server, "pubsub"), 1);
        HOST_UNTIL(&loop, heard.gaps == 1 + round);
    }
    assert_status(SC_OK, sc_unsubscribe(loop.client, subscription));
    host_close(&loop);
}

/* --- get or load */

/* Loads that another thread ends, in the order in which they came. */
typedef struct workshop {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    sc_load *loads[KEYS];
    size_t taken;
    size_t finished;
    size_t wanted;
} workshop;

static sc_status workshop_load(sc_load *load, void *user)
{
    workshop *self = (workshop *)user;
    pthread_mutex_lock(&self->lock);
    self->loads[self->taken++] = load;
    pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->lock);
    return SC_PENDING;
}

static void *workshop_run(void *argument)
{
    workshop *self = (workshop *)argument;
    pthread_mutex_lock(&self->lock);
    while (self->finished < self->wanted) {
        while (self->finished == self->taken)
            pthread_cond_wait(&self->changed, &self->lock);
        sc_load *load = self->loads[self->finished++];
        pthread_mutex_unlock(&self->lock);
        sc_load_finish(load, sc_load_write_text(load, "made elsewhere"));
        pthread_mutex_lock(&self->lock);
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

static void take_value(void *user, sc_status status, sc_value *value)
{
    if (status == SC_OK && sc_value_bytes(value).len != strlen("made elsewhere"))
        status = SC_ERR_TYPE;
    tally_take(user, status, NULL);
}

static void loads_end_on_another_thread_while_the_host_sleeps(void **state)
{
    host loop = host_open();
    tally results = tally_of(&loop, NULL, NULL);
    sc_cache *cache = NULL;
    workshop others;
    (void)state;
    memset(&others, 0, sizeof others);
    others.wanted = KEYS;
    pthread_mutex_init(&others.lock, NULL);
    pthread_cond_init(&others.changed, NULL);
    assert_status(SC_OK, sc_cache_open(loop.client, NULL, &cache));
    assert_int_equal(pthread_create(&others.thread, NULL, workshop_run, &others), 0);
    for (uint32_t i = 0; i < COMMANDS; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key:%u", i % KEYS);
        assert_status(SC_OK, sc_get_or_load_async(cache, sc_text(key), workshop_load, &others, NULL,
                                                  take_value, &results));
    }
    HOST_UNTIL(&loop, tally_ended(&results) == COMMANDS);
    pthread_join(others.thread, NULL);
    assert_int_equal(results.status, SC_OK);
    assert_int_equal(others.taken, KEYS);
    host_until_quiet(&loop);
    pthread_cond_destroy(&others.changed);
    pthread_mutex_destroy(&others.lock);
    sc_cache_close(cache);
    host_close(&loop);
}

/* The descriptor's own timer: nothing but it makes the host renew. */
static void the_host_renews_a_lease_while_the_load_is_pending(void **state)
{
    sc_poller poller;
    sc_config config = host_config(&poller);
    sc_load_options options;
    sc_stats before;
    sc_stats after;
    workshop others;
    (void)state;
    host loop = host_start(&config);
    tally results = tally_of(&loop, NULL, NULL);
    sc_cache *cache = NULL;
    memset(&others, 0, sizeof others);
    memset(&options, 0, sizeof options);
    options.lease_ms = 300;
    pthread_mutex_init(&others.lock, NULL);
    pthread_cond_init(&others.changed, NULL);
    assert_status(SC_OK, sc_cache_open(loop.client, NULL, &cache));
    assert_status(SC_OK, sc_get_or_load_async(cache, sc_text("key"), workshop_load, &others,
                                              &options, take_value, &results));
    HOST_UNTIL(&loop, others.taken == 1);
    host_until_quiet(&loop);
    sc_stats_get(loop.client, &before);
    after = before;
    /* a machine that sleeps through the lease loses it, and is told so by the same timer */
    while (after.commands < before.commands + 3 && !sc_load_is_void(others.loads[0])) {
        host_turn(&loop);
        sc_stats_get(loop.client, &after);
    }
    others.wanted = 1;
    assert_int_equal(pthread_create(&others.thread, NULL, workshop_run, &others), 0);
    HOST_UNTIL(&loop, tally_ended(&results) == 1);
    pthread_join(others.thread, NULL);
    assert_int_equal(results.status, SC_OK);
    pthread_cond_destroy(&others.changed);
    pthread_mutex_destroy(&others.lock);
    sc_cache_close(cache);
    host_close(&loop);
}

/* --- fork */

/* In the child: 0 when all is as it should be, else the number of what is not. */
static int child_run(host *loop)
{
    tally counter = tally_of(loop, "INCR", "counter");
    struct pollfd looked;
    sc_slice argv[2];
    alarm(2 * WAIT_WATCHDOG_MS / 1000);
    loop->fd = sc_epoll_fd(loop->client);
    if (loop->fd < 0)
        return 1;
    argv[0] = sc_text("INCR");
    argv[1] = sc_text("counter");
    if (sc_command_async(loop->client, argv, 2, NULL, tally_take, &counter) != SC_OK)
        return 2;
    while (tally_ended(&counter) == 0) {
        memset(&looked, 0, sizeof looked);
        looked.fd = loop->fd;
        looked.events = POLLIN;
        if (poll(&looked, 1, WAIT_WATCHDOG_MS) != 1 || looked.revents != POLLIN)
            return 3;
        if (sc_epoll_run(loop->client) != SC_OK)
            return 4;
    }
    return counter.status == SC_OK && sc_close(loop->client) == SC_OK ? 0 : 5;
}

static void a_forked_child_has_an_instance_of_its_own(void **state)
{
    host loop = host_open();
    ear heard;
    sc_subscription subscription;
    int status = 0;
    (void)state;
    memset(&heard, 0, sizeof heard);
    assert_status(
        SC_OK, sc_subscribe_async(loop.client, sc_text("news"), ear_hear, &heard, &subscription));
    HOST_UNTIL(&loop, heard.gaps == 1);
    host_until_quiet(&loop);
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(child_run(&loop));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    /* the parent's watches and timers are as they were */
    fixture_command(test.server, "PUBLISH", "news", "item", (const char *)NULL);
    HOST_UNTIL(&loop, heard.messages == 1);
    tally counter = tally_of(&loop, "INCR", "counter");
    tally_start(&counter, NULL, tally_take);
    HOST_UNTIL(&loop, tally_ended(&counter) == 1);
    assert_int_equal(heard.gaps, 1);
    host_close(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        bare_unit_test(time_outs_fire_against_a_server_that_stands_still),
        bare_unit_test(commands_wait_out_a_server_that_was_killed),
        bare_unit_test(no_callback_runs_inside_a_call_that_does_not_block),
        bare_unit_test(one_run_ends_although_callbacks_fail_and_start_again_at_once),
        bare_unit_test(a_name_that_another_thread_looks_up_wakes_the_host),
        bare_unit_test(messages_come_and_subscriptions_are_made_again),
        bare_unit_test(loads_end_on_another_thread_while_the_host_sleeps),
        bare_unit_test(the_host_renews_a_lease_while_the_load_is_pending),
        bare_unit_test(a_forked_child_has_an_instance_of_its_own),
    };
    return run_on_both_wires("epoll in trouble", tests);
}
