/* Get-or-load without blocking, loads that end later, and closing while loads are under way. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "stranger.h"

#include "support/cache_test.h"
#include "support/flights.h"

#include <stdio.h>
#include <stdlib.h>

#define CALLS 100
#define THREADS 8

static void ask(sc_cache *cache, const char *key, source *from, const sc_load_options *options,
                arrival *result)
{
    memset(result, 0, sizeof *result);
    assert_status(SC_OK, sc_get_or_load_async(cache, sc_text(key), source_load, from, options,
                                              arrival_take, result));
}

/* A load that answers SC_PENDING; who ends it takes `load`. */
typedef struct pending {
    sc_load *load; /* atomic */
    uint32_t loads;
} pending;

static sc_status pending_load(sc_load *load, void *user)
{
    pending *self = (pending *)user;
    __atomic_add_fetch(&self->loads, 1, __ATOMIC_ACQ_REL);
    __atomic_store_n(&self->load, load, __ATOMIC_RELEASE);
    return SC_PENDING;
}

static sc_load *pending_look(const pending *self)
{
    return __atomic_load_n(&self->load, __ATOMIC_ACQUIRE);
}

static void pending_wait(sc_client *client, const pending *self)
{
    int64_t end_ms = wait_now_ms() + WAIT_WATCHDOG_MS;
    while (!pending_look(self)) {
        assert_status(SC_OK, sc_poll(client, 1));
        if (wait_now_ms() > end_ms)
            fail_msg("the loader was not called");
    }
}

typedef struct finisher {
    pthread_t thread;
    sc_load *load;
    sc_status status;
} finisher;

static void *finisher_run(void *argument)
{
    finisher *self = (finisher *)argument;
    sc_status status = self->status;
    if (status == SC_OK)
        status = sc_load_write_text(self->load, "later");
    else if (status < 0)
        status = sc_fail(status, "failed later");
    sc_load_finish(self->load, status);
    return NULL;
}

/* End a load on a thread of its own. */
static void finish_elsewhere(sc_load *load, sc_status status)
{
    finisher other;
    other.load = load;
    other.status = status;
    assert_int_equal(pthread_create(&other.thread, NULL, finisher_run, &other), 0);
    pthread_join(other.thread, NULL);
}

/* --- without blocking */

static void an_asynchronous_caller_gets_value_miss_and_error(void **state)
{
    sc_cache *cache = cache_open(test.client, "p:");
    source from;
    arrival result;
    (void)state;
    memset(&from, 0, sizeof from);
    ask(cache, "key", &from, NULL, &result);
    arrival_wait(test.client, &result);
    assert_status(SC_OK, result.status);
    assert_string_equal(result.text, "load 1");
    ask(cache, "key", &from, NULL, &result); /* a hit */
    arrival_wait(test.client, &result);
    assert_string_equal(result.text, "load 1");
    server_expect("p:key", "load 1");
    from.status = SC_MISS;
    ask(cache, "missing", &from, NULL, &result);
    arrival_wait(test.client, &result);
    assert_status(SC_MISS, result.status);
    from.status = SC_ERR_LOADER;
    from.words = "in words";
    ask(cache, "failing", &from, NULL, &result);
    arrival_wait(test.client, &result);
    assert_status(SC_ERR_LOADER, result.status);
    assert_non_null(strstr(result.words, "in words"));
    assert_int_equal(result.calls, 1);
    sc_cache_close(cache);
}

static void many_asynchronous_callers_share_one_load(void **state)
{
    static arrival results[CALLS];
    static arrival elsewhere[CALLS];
    sc_cache *cache = cache_open(test.client, NULL);
    stranger other = stranger_open(NULL);
    pending load;
    size_t i;
    (void)state;
    memset(&load, 0, sizeof load);
    memset(results, 0, sizeof results);
    memset(elsewhere, 0, sizeof elsewhere);
    for (i = 0; i < CALLS; i++) {
        assert_status(SC_OK, sc_get_or_load_async(cache, sc_text("key"), pending_load, &load, NULL,
                                                  arrival_take, &results[i]));
        assert_status(SC_OK, sc_get_or_load_async(other.cache, sc_text("key"), pending_load, &load,
                                                  NULL, arrival_take, &elsewhere[i]));
    }
    assert_status(SC_OK, sc_start(test.client));
    assert_status(SC_OK, sc_start(other.client));
    WAIT_UNTIL(pending_look(&load) != NULL && flights_joined(cache, "key") == CALLS &&
               flights_joined(other.cache, "key") == CALLS);
    finish_elsewhere(pending_look(&load), SC_OK);
    for (i = 0; i < CALLS; i++) {
        arrival_wait(test.client, &results[i]);
        arrival_wait(other.client, &elsewhere[i]);
        assert_string_equal(results[i].text, "later");
        assert_string_equal(elsewhere[i].text, "later");
        assert_int_equal(results[i].calls, 1);
    }
    assert_int_equal(load.loads, 1);
    stranger_close(&other);
    sc_cache_close(cache);
}

static void asynchronous_and_blocking_callers_share_one_load(void **state)
{
    caller blocking[THREADS];
    arrival results[THREADS];
    sc_cache *cache = cache_open(test.client, NULL);
    source from;
    size_t i;
    (void)state;
    assert_status(SC_OK, sc_start(test.client));
    memset(&from, 0, sizeof from);
    source_hold(&from);
    ask(cache, "key", &from, NULL, &results[0]);
    WAIT_UNTIL(source_running(&from) == 1);
    callers_start(blocking, THREADS, cache, "key", &from, NULL);
    for (i = 1; i < THREADS; i++)
        ask(cache, "key", &from, NULL, &results[i]);
    WAIT_UNTIL(flights_joined(cache, "key") == 2 * THREADS);
    source_release(&from);
    callers_join(blocking, THREADS);
    callers_expect(blocking, THREADS, SC_OK, "load 1");
    for (i = 0; i < THREADS; i++) {
        arrival_wait(test.client, &results[i]);
        assert_string_equal(results[i].text, "load 1");
    }
    /* And the other way round: a blocking caller loads. */
    source_hold(&from);
    callers_start(blocking, 1, cache, "other", &from, NULL);
    WAIT_UNTIL(source_running(&from) == 1);
    for (i = 0; i < THREADS; i++)
        ask(cache, "other", &from, NULL, &results[i]);
    source_release(&from);
    callers_join(blocking, 1);
    for (i = 0; i < THREADS; i++) {
        arrival_wait(test.client, &results[i]);
        assert_string_equal(results[i].text, "load 2");
    }
    assert_int_equal(source_loads(&from), 2);
    sc_cache_close(cache);
}

static void a_pending_load_is_ended_on_another_thread(void **state)
{
    static const sc_status ends[] = {SC_OK, SC_MISS, SC_ERR_LOADER};
    sc_cache *cache = cache_open(test.client, NULL);
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(ends); i++) {
        pending load;
        arrival result;
        char key[16];
        memset(&load, 0, sizeof load);
        memset(&result, 0, sizeof result);
        snprintf(key, sizeof key, "key%zu", i);
        assert_status(SC_OK, sc_get_or_load_async(cache, sc_text(key), pending_load, &load, NULL,
                                                  arrival_take, &result));
        pending_wait(test.client, &load);
        assert_slice_text(sc_load_key(load.load), key);
        assert_false(arrival_is_in(&result));
        finish_elsewhere(load.load, ends[i]);
        arrival_wait(test.client, &result);
        assert_status(ends[i], result.status);
        if (ends[i] == SC_OK)
            assert_string_equal(result.text, "later");
        if (ends[i] < 0)
            assert_non_null(strstr(result.words, "failed later"));
    }
    sc_cache_close(cache);
}

typedef struct blocked {
    pthread_t thread;
    sc_cache *cache;
    pending *load;
    const sc_load_options *options; /* NULL: the cache's */
    sc_status status;
    uint32_t is_back; /* atomic */
    char text[CALLER_TEXT_BYTES];
} blocked;

static void *blocked_run(void *argument)
{
    blocked *self = (blocked *)argument;
    sc_value *value = NULL;
    self->status = sc_get_or_load(self->cache, sc_text("key"), pending_load, self->load,
                                  self->options, &value);
    snprintf(self->text, sizeof self->text, "%.*s", (int)sc_value_bytes(value).len,
             value ? sc_value_bytes(value).data : "");
    sc_value_release(value);
    __atomic_store_n(&self->is_back, 1, __ATOMIC_RELEASE);
    return NULL;
}

static bool client_is_in_its_poller(sc_client *client)
{
    sci_loop_lock(&client->loop);
    bool is_waiting = client->loop.is_waiting;
    sci_client_unlock(client);
    return is_waiting;
}

/* No timer is near that would wake it by chance. */
static void the_end_of_a_pending_load_wakes_its_caller_from_the_poller(void **state)
{
    sc_config config = test_config(test_url());
    sc_load_options options = load_options();
    sc_client *client;
    sc_cache *cache;
    blocked caller;
    pending load;
    (void)state;
    memset(&load, 0, sizeof load);
    memset(&caller, 0, sizeof caller);
    config.timeout_ms = -1;
    config.idle_check_ms = -1;
    options.wait_ms = -1;
    options.lease_ms = 10 * WAIT_WATCHDOG_MS;
    client = test_open(&config);
    cache = cache_open(client, NULL);
    caller.cache = cache;
    caller.load = &load;
    caller.options = &options;
    assert_int_equal(pthread_create(&caller.thread, NULL, blocked_run, &caller), 0);
    WAIT_UNTIL(pending_look(&load) != NULL && client_is_in_its_poller(client));
    finish_elsewhere(load.load, SC_OK);
    WAIT_UNTIL(__atomic_load_n(&caller.is_back, __ATOMIC_ACQUIRE));
    pthread_join(caller.thread, NULL);
    assert_status(SC_OK, caller.status);
    assert_string_equal(caller.text, "later");
    sc_cache_close(cache);
    assert_status(SC_OK, sc_close(client));
}

static void a_blocking_callers_load_may_be_pending_too(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    blocked callers[THREADS];
    pending load;
    size_t i;
    (void)state;
    memset(&load, 0, sizeof load);
    memset(callers, 0, sizeof callers);
    for (i = 0; i < THREADS; i++) {
        callers[i].cache = cache;
        callers[i].load = &load;
        assert_int_equal(pthread_create(&callers[i].thread, NULL, blocked_run, &callers[i]), 0);
    }
    WAIT_UNTIL(pending_look(&load) != NULL && flights_joined(cache, "key") == THREADS);
    finish_elsewhere(load.load, SC_OK);
    for (i = 0; i < THREADS; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_status(SC_OK, callers[i].status);
        assert_string_equal(callers[i].text, "later");
    }
    assert_int_equal(load.loads, 1);
    sc_cache_close(cache);
}

static void an_asynchronous_waiter_gives_up_after_wait_ms(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    stranger other = stranger_open(NULL);
    sc_load_options options = load_options();
    pending load;
    arrival loading;
    arrival here;
    arrival there;
    (void)state;
    memset(&load, 0, sizeof load);
    memset(&loading, 0, sizeof loading);
    options.wait_ms = 50;
    assert_status(SC_OK, sc_get_or_load_async(cache, sc_text("key"), pending_load, &load, &options,
                                              arrival_take, &loading));
    pending_wait(test.client, &load);
    memset(&here, 0, sizeof here);
    memset(&there, 0, sizeof there);
    assert_status(SC_OK, sc_get_or_load_async(cache, sc_text("key"), pending_load, &load, &options,
                                              arrival_take, &here));
    assert_status(SC_OK, sc_get_or_load_async(other.cache, sc_text("key"), pending_load, &load,
                                              &options, arrival_take, &there));
    arrival_wait(test.client, &here);
    arrival_wait(other.client, &there);
    assert_status(SC_ERR_NOT_SENT, here.status);
    assert_status(SC_ERR_NOT_SENT, there.status);
    assert_non_null(strstr(there.words, "wait_ms"));
    assert_false(arrival_is_in(&loading));
    finish_elsewhere(load.load, SC_OK);
    arrival_wait(test.client, &loading);
    assert_status(SC_OK, loading.status);
    stranger_close(&other);
    sc_cache_close(cache);
}

static void a_polled_client_needs_no_thread(void **state)
{
    sc_config config = test_config(test_url());
    sc_cache *cache = cache_open(test.client, NULL);
    sc_client *client;
    sc_cache *polled;
    source from;
    pending load;
    arrival result;
    arrival held;
    caller elsewhere;
    (void)state;
    config.polled = true;
    client = test_open(&config);
    polled = cache_open(client, NULL);
    memset(&from, 0, sizeof from);
    cache_expect(polled, "blocking", &from, NULL, "load 1");
    ask(polled, "key", &from, NULL, &result);
    arrival_wait(client, &result);
    assert_string_equal(result.text, "load 2");
    /* It waits for another process. */
    caller_load(&elsewhere, cache, "third", &from, NULL);
    ask(polled, "third", &from, NULL, &result);
    while (!flights_listen(polled, "third"))
        assert_status(SC_OK, sc_poll(client, 1));
    source_release(&from);
    callers_join(&elsewhere, 1);
    arrival_wait(client, &result);
    assert_string_equal(result.text, "load 3");
    /* And another process waits for it. */
    memset(&load, 0, sizeof load);
    memset(&held, 0, sizeof held);
    assert_status(SC_OK, sc_get_or_load_async(polled, sc_text("fourth"), pending_load, &load, NULL,
                                              arrival_take, &held));
    pending_wait(client, &load);
    callers_start(&elsewhere, 1, cache, "fourth", &from, NULL);
    WAIT_UNTIL(flights_listen(cache, "fourth"));
    finish_elsewhere(load.load, SC_OK);
    arrival_wait(client, &held);
    callers_join(&elsewhere, 1);
    callers_expect(&elsewhere, 1, SC_OK, "later");
    sc_cache_close(polled);
    assert_status(SC_OK, sc_close(client));
    sc_cache_close(cache);
}

static void a_polled_client_renews_its_lease_while_a_load_is_pending(void **state)
{
    sc_config config = test_config(test_url());
    sc_load_options options = load_options();
    sc_client *client;
    sc_cache *cache;
    pending load;
    arrival result;
    int64_t until_ms;
    (void)state;
    config.polled = true;
    client = test_open(&config);
    cache = cache_open(client, NULL);
    memset(&load, 0, sizeof load);
    memset(&result, 0, sizeof result);
    options.lease_ms = 200;
    assert_status(SC_OK, sc_get_or_load_async(cache, sc_text("key"), pending_load, &load, &options,
                                              arrival_take, &result));
    pending_wait(client, &load);
    for (until_ms = wait_now_ms() + 3 * options.lease_ms; wait_now_ms() < until_ms;)
        assert_status(SC_OK, sc_poll(client, 5));
    assert_false(sc_load_is_void(load.load));
    finish_elsewhere(load.load, SC_OK);
    arrival_wait(client, &result);
    server_expect("key", "later");
    sc_cache_close(cache);
    assert_status(SC_OK, sc_close(client));
}

/* A callback that asks for another key, a chain of them. */
typedef struct chain {
    sc_cache *cache;
    source *from;
    uint32_t left; /* atomic */
    sc_status status;
} chain;

static void chain_take(void *user, sc_status status, sc_value *value)
{
    chain *self = (chain *)user;
    char key[16];
    uint32_t left = __atomic_load_n(&self->left, __ATOMIC_ACQUIRE);
    (void)value;
    if (status == SC_OK && left > 1) {
        snprintf(key, sizeof key, "key%u", (unsigned)left);
        status = sc_get_or_load_async(self->cache, sc_text(key), source_load, self->from, NULL,
                                      chain_take, self);
    }
    self->status = status;
    __atomic_store_n(&self->left, status == SC_OK ? left - 1 : 0, __ATOMIC_RELEASE);
}

static void a_callback_may_ask_for_another_key(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    source from;
    chain links;
    (void)state;
    memset(&from, 0, sizeof from);
    links.cache = cache;
    links.from = &from;
    links.left = CALLS;
    links.status = SC_OK;
    assert_status(SC_OK, sc_get_or_load_async(cache, sc_text("key"), source_load, &from, NULL,
                                              chain_take, &links));
    assert_status(SC_OK, sc_start(test.client));
    WAIT_UNTIL(__atomic_load_n(&links.left, __ATOMIC_ACQUIRE) == 0);
    assert_status(SC_OK, links.status);
    assert_int_equal(source_loads(&from), CALLS);
    sc_cache_close(cache);
}

/* --- closing */

static void a_cache_may_be_closed_while_its_loads_go_on(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    pending load;
    arrival loading;
    arrival waiting;
    (void)state;
    memset(&load, 0, sizeof load);
    memset(&loading, 0, sizeof loading);
    memset(&waiting, 0, sizeof waiting);
    assert_status(SC_OK, sc_get_or_load_async(cache, sc_text("key"), pending_load, &load, NULL,
                                              arrival_take, &loading));
    assert_status(SC_OK, sc_get_or_load_async(cache, sc_text("key"), pending_load, &load, NULL,
                                              arrival_take, &waiting));
    assert_status(SC_OK, sc_get_async(cache, sc_text("other"), NULL, NULL));
    sc_cache_close(cache);
    pending_wait(test.client, &load);
    finish_elsewhere(load.load, SC_OK);
    arrival_wait(test.client, &loading);
    arrival_wait(test.client, &waiting);
    assert_string_equal(loading.text, "later");
    assert_string_equal(waiting.text, "later");
    server_expect("key", "later");
}

typedef enum closing { CLIENT_CACHE_LOAD, CLIENT_LOAD_CACHE, CACHE_CLIENT_LOAD } closing;

/* Close with a pending load, one who waits here and one who waits for another process. */
static void close_in_order(closing order, bool has_thread)
{
    sc_client *client = test_open_url(test_url());
    sc_cache *cache = cache_open(client, NULL);
    sc_cache *elsewhere = cache_open(test.client, NULL);
    pending load;
    pending held;
    arrival results[4];
    size_t i;
    memset(&load, 0, sizeof load);
    memset(&held, 0, sizeof held);
    memset(results, 0, sizeof results);
    if (has_thread)
        assert_status(SC_OK, sc_start(client));
    assert_status(SC_OK, sc_get_or_load_async(elsewhere, sc_text("there"), pending_load, &held,
                                              NULL, arrival_take, &results[3]));
    pending_wait(test.client, &held);
    assert_status(SC_OK, sc_get_or_load_async(cache, sc_text("key"), pending_load, &load, NULL,
                                              arrival_take, &results[0]));
    pending_wait(client, &load);
    assert_status(SC_OK, sc_get_or_load_async(cache, sc_text("key"), pending_load, &load, NULL,
                                              arrival_take, &results[1]));
    assert_status(SC_OK, sc_get_or_load_async(cache, sc_text("there"), pending_load, &load, NULL,
                                              arrival_take, &results[2]));
    if (order == CACHE_CLIENT_LOAD)
        sc_cache_close(cache);
    assert_status(SC_OK, sc_close(client));
    for (i = 0; i < 3; i++) {
        assert_int_equal(results[i].calls, 1);
        assert_status(SC_ERR_CLOSED, results[i].status);
    }
    assert_true(sc_load_is_void(load.load));
    if (order == CLIENT_CACHE_LOAD)
        sc_cache_close(cache);
    finish_elsewhere(load.load, SC_OK);
    if (order == CLIENT_LOAD_CACHE)
        sc_cache_close(cache);
    finish_elsewhere(held.load, SC_OK);
    arrival_wait(test.client, &results[3]);
    sc_cache_close(elsewhere);
    fixture_command(test.server, "FLUSHALL", (const char *)NULL);
}

static void client_cache_and_pending_loads_end_in_any_order(void **state)
{
    (void)state;
    close_in_order(CLIENT_CACHE_LOAD, false);
    close_in_order(CLIENT_LOAD_CACHE, false);
    close_in_order(CACHE_CLIENT_LOAD, false);
    close_in_order(CLIENT_CACHE_LOAD, true);
    close_in_order(CLIENT_LOAD_CACHE, true);
    close_in_order(CACHE_CLIENT_LOAD, true);
}

static void *close_run(void *argument)
{
    return sc_close((sc_client *)argument) == SC_OK ? NULL : argument;
}

static void closing_ends_those_who_wait_and_waits_for_who_loads(void **state)
{
    sc_client *client = test_open_url(test_url());
    sc_cache *cache = cache_open(client, NULL);
    sc_cache *elsewhere = cache_open(test.client, NULL);
    caller loading;
    caller here[THREADS];
    caller there;
    caller abroad[THREADS];
    source from;
    source held;
    pthread_t closer;
    void *problem = NULL;
    (void)state;
    memset(&from, 0, sizeof from);
    memset(&held, 0, sizeof held);
    source_hold(&from);
    caller_load(&there, elsewhere, "there", &held, NULL);
    callers_start(&loading, 1, cache, "key", &from, NULL);
    WAIT_UNTIL(source_running(&from) == 1);
    callers_start(here, THREADS, cache, "key", &from, NULL);
    callers_start(abroad, THREADS, cache, "there", &from, NULL);
    WAIT_UNTIL(flights_joined(cache, "key") == THREADS + 1 && flights_listen(cache, "there"));
    assert_int_equal(pthread_create(&closer, NULL, close_run, client), 0);
    callers_join(here, THREADS);
    callers_join(abroad, THREADS);
    callers_expect(here, THREADS, SC_ERR_CLOSED, NULL);
    callers_expect(abroad, THREADS, SC_ERR_CLOSED, NULL);
    assert_int_equal(callers_done(&loading, 1), 0);
    source_release(&from);
    callers_join(&loading, 1);
    assert_int_equal(source_loads(&from), 1);
    pthread_join(closer, &problem);
    assert_null(problem);
    sc_cache_close(cache);
    source_release(&held);
    callers_join(&there, 1);
    callers_expect(&there, 1, SC_OK, "load 1");
    sc_cache_close(elsewhere);
}

static void a_cache_whose_client_is_closed_says_so(void **state)
{
    sc_client *client = test_open_url(test_url());
    sc_cache *cache = cache_open(client, NULL);
    sc_value *value = NULL;
    source from;
    arrival result;
    int64_t ttl_ms;
    (void)state;
    memset(&from, 0, sizeof from);
    memset(&result, 0, sizeof result);
    assert_status(SC_OK, sc_close(client));
    assert_status(SC_ERR_CLOSED,
                  sc_get_or_load(cache, sc_text("key"), source_load, &from, NULL, &value));
    assert_status(SC_ERR_CLOSED, sc_get_or_load_async(cache, sc_text("key"), source_load, &from,
                                                      NULL, arrival_take, &result));
    assert_status(SC_ERR_CLOSED, sc_get(cache, sc_text("key"), &value));
    assert_status(SC_ERR_CLOSED, sc_get_async(cache, sc_text("key"), arrival_take, &result));
    assert_status(SC_ERR_CLOSED, sc_set(cache, sc_text("key"), sc_text("v"), 0));
    assert_status(SC_ERR_CLOSED, sc_delete(cache, sc_text("key")));
    assert_status(SC_ERR_CLOSED, sc_invalidate(cache, sc_text("key")));
    assert_status(SC_ERR_CLOSED, sc_touch(cache, sc_text("key"), 0));
    assert_status(SC_ERR_CLOSED, sc_ttl(cache, sc_text("key"), &ttl_ms));
    assert_int_equal(source_loads(&from), 0);
    assert_int_equal(result.calls, 0);
    sc_cache_close(cache);
}

/* Again and again: threads that load and wait on few keys, and a close at a random moment. */
#define STORM_ROUNDS 60

typedef struct storm_thread {
    pthread_t thread;
    sc_cache *cache;
    unsigned seed;
    sc_status status; /* the first that was neither SC_OK nor SC_ERR_CLOSED */
} storm_thread;

static sc_status storm_load(sc_load *load, void *user)
{
    (void)user;
    return sc_load_write_text(load, "value");
}

static void *storm_run(void *argument)
{
    storm_thread *self = (storm_thread *)argument;
    sc_load_options options = load_options();
    options.ttl_ms = SC_TTL_NONE; /* so that each is a miss */
    self->status = SC_OK;
    for (;;) {
        sc_value *value = NULL;
        char key[8];
        sc_status status;
        self->seed = self->seed * 1664525u + 1013904223u;
        snprintf(key, sizeof key, "k%u", (self->seed >> 24) % 3);
        status = sc_get_or_load(self->cache, sc_text(key), storm_load, NULL, &options, &value);
        sc_value_release(value);
        if (status == SC_ERR_CLOSED)
            return NULL;
        if (status != SC_OK) {
            self->status = status;
            return NULL;
        }
    }
}

static void closing_at_any_moment_ends_all(void **state)
{
    unsigned round;
    (void)state;
    for (round = 0; round < STORM_ROUNDS; round++) {
        storm_thread threads[2][THREADS / 2];
        stranger side[2];
        int64_t until_ns;
        size_t i;
        size_t k;
        for (k = 0; k < 2; k++) {
            side[k] = stranger_open(NULL);
            for (i = 0; i < THREADS / 2; i++) {
                threads[k][i].cache = side[k].cache;
                threads[k][i].seed = round * 16 + (unsigned)(k * 8 + i);
                assert_int_equal(
                    pthread_create(&threads[k][i].thread, NULL, storm_run, &threads[k][i]), 0);
            }
        }
        until_ns = wait_now_ns() + (int64_t)round * 300000;
        while (wait_now_ns() < until_ns)
            wait_a_moment();
        for (k = 0; k < 2; k++)
            assert_status(SC_OK, sc_close(side[k].client));
        for (k = 0; k < 2; k++) {
            for (i = 0; i < THREADS / 2; i++) {
                pthread_join(threads[k][i].thread, NULL);
                assert_status(SC_OK, threads[k][i].status);
            }
            sc_cache_close(side[k].cache);
        }
    }
}

static void a_callback_that_asks_for_the_key_that_it_loads_is_told_so(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    arrival result;
    (void)state;
    memset(&result, 0, sizeof result);
    assert_status(SC_OK, sc_get_or_load_async(cache, sc_text("key"), load_asking_for_itself, cache,
                                              NULL, arrival_take, &result));
    arrival_wait(test.client, &result);
    assert_status(SC_ERR_DEADLOCK, result.status);
    sc_cache_close(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        client_unit_test(an_asynchronous_caller_gets_value_miss_and_error),
        client_unit_test(many_asynchronous_callers_share_one_load),
        client_unit_test(asynchronous_and_blocking_callers_share_one_load),
        client_unit_test(a_pending_load_is_ended_on_another_thread),
        client_unit_test(a_blocking_callers_load_may_be_pending_too),
        client_unit_test(the_end_of_a_pending_load_wakes_its_caller_from_the_poller),
        client_unit_test(an_asynchronous_waiter_gives_up_after_wait_ms),
        client_unit_test(a_polled_client_needs_no_thread),
        client_unit_test(a_polled_client_renews_its_lease_while_a_load_is_pending),
        client_unit_test(a_callback_may_ask_for_another_key),
        client_unit_test(a_cache_may_be_closed_while_its_loads_go_on),
        client_unit_test(client_cache_and_pending_loads_end_in_any_order),
        client_unit_test(closing_ends_those_who_wait_and_waits_for_who_loads),
        client_unit_test(a_cache_whose_client_is_closed_says_so),
        client_unit_test(closing_at_any_moment_ends_all),
        client_unit_test(a_callback_that_asks_for_the_key_that_it_loads_is_told_so),
    };
    return run_on_both_wires("asynchronous get-or-load", tests);
}
