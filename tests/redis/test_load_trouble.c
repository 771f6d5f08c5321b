/* Get-or-load where something goes wrong: a process dies, a message is lost, a key is invalidated,
   the server goes, the client is closed. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "stranger.h"

#include "support/cache_test.h"
#include "support/flights.h"
#include "support/processes.h"
#include "support/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 16

/* --- the loading process dies */

#define TAKEOVER_LEASE_MS 300
#define TAKEOVER_SLACK_MS 100
#define TAKEOVER_TRIES 3
#define TAKEOVER_THREADS 4
#define TAKEOVER_PROCESSES 3

enum takeover_counter { TAKEOVER_LOADING, TAKEOVER_LOADS, TAKEOVER_RIGHT };

typedef struct takeover_thread {
    pthread_t thread;
    processes *shared;
    size_t process;
    sc_cache *cache;
} takeover_thread;

static sc_status takeover_load(sc_load *load, void *user)
{
    takeover_thread *self = (takeover_thread *)user;
    if (self->process == 0) {
        processes_add(self->shared, TAKEOVER_LOADING, 1);
        for (;;)
            pause();
    }
    processes_note(self->shared, self->process, 0, 0);
    processes_add(self->shared, TAKEOVER_LOADS, 1);
    return sc_load_write_text(load, "taken over");
}

static void *takeover_thread_run(void *argument)
{
    takeover_thread *self = (takeover_thread *)argument;
    sc_load_options options = load_options();
    sc_value *value = NULL;
    options.lease_ms = TAKEOVER_LEASE_MS;
    if (sc_get_or_load(self->cache, sc_text("key"), takeover_load, self, &options, &value) ==
            SC_OK &&
        strcmp(sc_value_bytes(value).data, "taken over") == 0)
        processes_add(self->shared, TAKEOVER_RIGHT, 1);
    sc_value_release(value);
    return NULL;
}

static int takeover_process(processes *shared, size_t index, void *user)
{
    takeover_thread threads[TAKEOVER_THREADS];
    sc_config config = test_config(test_url());
    sc_client *client = NULL;
    sc_cache *cache = NULL;
    size_t i;
    (void)user;
    if (sc_open(&config, &client) != SC_OK || sc_cache_open(client, NULL, &cache) != SC_OK)
        return 1;
    if (index > 0 && !processes_wait_for(shared, TAKEOVER_LOADING, 1))
        return 1;
    for (i = 0; i < TAKEOVER_THREADS; i++) {
        threads[i].shared = shared;
        threads[i].process = index;
        threads[i].cache = cache;
        if (pthread_create(&threads[i].thread, NULL, takeover_thread_run, &threads[i]) != 0)
            return 1;
    }
    for (i = 0; i < TAKEOVER_THREADS; i++)
        pthread_join(threads[i].thread, NULL);
    sc_cache_close(cache);
    return sc_close(client) == SC_OK && fault_memory_is_clean(test.memory) ? 0 : 1;
}

/* How long after the kill another one loads. */
static int64_t take_over(void)
{
    processes *shared = processes_start(TAKEOVER_PROCESSES, takeover_process, NULL);
    int64_t killed_ns;
    int64_t took_ns;
    bool is_good;
    WAIT_UNTIL(processes_read(shared, TAKEOVER_LOADING) == 1);
    /* The others wait for its message. */
    WAIT_UNTIL(fixture_clients(test.server, "pubsub") == TAKEOVER_PROCESSES - 1);
    processes_kill(shared, 0);
    killed_ns = wait_now_ns();
    is_good = processes_join(shared);
    assert_true(is_good);
    assert_int_equal(processes_read(shared, TAKEOVER_LOADS), 1);
    assert_int_equal(processes_read(shared, TAKEOVER_RIGHT),
                     (TAKEOVER_PROCESSES - 1) * TAKEOVER_THREADS);
    took_ns = processes_note_at(shared, 0).at_ns - killed_ns;
    processes_free(shared);
    fixture_command(test.server, "FLUSHALL", (const char *)NULL);
    return took_ns;
}

static void a_killed_loader_is_replaced_by_one_other_when_its_lease_ends(void **state)
{
    int64_t bound_ns = (int64_t)(TAKEOVER_LEASE_MS + TAKEOVER_SLACK_MS) * 1000000;
    int64_t best_ns = INT64_MAX;
    int i;
    (void)state;
    for (i = 0; i < TAKEOVER_TRIES; i++) {
        int64_t took_ns = take_over();
        if (took_ns < best_ns)
            best_ns = took_ns;
    }
    if (best_ns > bound_ns)
        fail_msg("another loaded %d ms after the kill at best", (int)(best_ns / 1000000));
}

/* --- messages are lost */

static void a_waiter_gets_the_value_when_its_subscription_is_cut_before_the_publish(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    stranger other = stranger_open(NULL);
    caller here;
    caller there[THREADS];
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    caller_load(&here, cache, "key", &from, NULL);
    callers_start(there, THREADS, other.cache, "key", &from, NULL);
    WAIT_UNTIL(flights_joined(other.cache, "key") == THREADS && flights_listen(other.cache, "key"));
    assert_int_equal(fixture_cut_clients(test.server, "pubsub"), 1);
    source_release(&from);
    callers_join(&here, 1);
    callers_join(there, THREADS);
    callers_expect(there, THREADS, SC_OK, "load 1");
    assert_int_equal(source_loads(&from), 1);
    stranger_close(&other);
    sc_cache_close(cache);
}

static void a_waiter_gets_the_value_when_the_publish_is_lost(void **state)
{
    proxy *relay = proxy_start(test.kind, fixture_endpoint(test.server, test.kind));
    sc_cache *cache = cache_open(test.client, NULL);
    stranger other = stranger_open_at(proxy_url(relay), NULL);
    sc_load_options options = load_options();
    caller here;
    caller there[THREADS];
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    options.poll_ms = 50;
    caller_load(&here, cache, "key", &from, NULL);
    callers_start(there, THREADS, other.cache, "key", &from, &options);
    WAIT_UNTIL(flights_joined(other.cache, "key") == THREADS && flights_listen(other.cache, "key"));
    /* From here on no connection can be made, so no message will ever come. */
    proxy_refuse(relay, true);
    assert_int_equal(proxy_cut_subscribers(relay), 1);
    source_release(&from);
    callers_join(&here, 1);
    callers_join(there, THREADS);
    callers_expect(there, THREADS, SC_OK, "load 1");
    assert_int_equal(source_loads(&from), 1);
    stranger_close(&other);
    proxy_stop(relay);
    sc_cache_close(cache);
}

/* With nothing stored, what waiters read again is the result that the flight left. */
static void waiters_share_an_unstored_result_when_the_publish_is_lost(void **state)
{
    static const sc_status ends[] = {SC_OK, SC_MISS, SC_ERR_LOADER};
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(ends); i++) {
        proxy *relay = proxy_start(test.kind, fixture_endpoint(test.server, test.kind));
        sc_cache *cache = cache_open(test.client, NULL);
        stranger other = stranger_open_at(proxy_url(relay), NULL);
        sc_load_options options = load_options();
        caller here;
        caller there[THREADS];
        source from;
        memset(&from, 0, sizeof from);
        options.poll_ms = 50;
        options.ttl_ms = SC_TTL_NONE;
        from.status = ends[i];
        from.words = "the words";
        caller_load(&here, cache, "key", &from, &options);
        callers_start(there, THREADS, other.cache, "key", &from, &options);
        WAIT_UNTIL(flights_joined(other.cache, "key") == THREADS &&
                   flights_listen(other.cache, "key"));
        proxy_refuse(relay, true);
        proxy_cut_subscribers(relay);
        source_release(&from);
        callers_join(&here, 1);
        callers_join(there, THREADS);
        callers_expect(there, THREADS, ends[i], ends[i] == SC_OK ? "load 1" : NULL);
        if (ends[i] < 0)
            callers_expect(there, THREADS, ends[i], "the words");
        assert_int_equal(source_loads(&from), 1);
        stranger_close(&other);
        proxy_stop(relay);
        sc_cache_close(cache);
    }
}

static void messages_of_others_on_the_channel_do_no_harm(void **state)
{
    static const char *const messages[] = {
        "", "v", "hello", "x", "r", "e-18 not ours", "z0123456789abcdef0123456789abcdef"};
    sc_cache *cache = cache_open(test.client, NULL);
    stranger other = stranger_open(NULL);
    caller here;
    caller there[4];
    source from;
    size_t i;
    (void)state;
    memset(&from, 0, sizeof from);
    caller_load(&here, cache, "key", &from, NULL);
    callers_start(there, COUNT_OF(there), other.cache, "key", &from, NULL);
    WAIT_UNTIL(flights_listen(other.cache, "key"));
    for (i = 0; i < COUNT_OF(messages); i++)
        fixture_command(test.server, "PUBLISH", "sc:done{key}", messages[i], (const char *)NULL);
    source_release(&from);
    callers_join(&here, 1);
    callers_join(there, COUNT_OF(there));
    callers_expect(there, COUNT_OF(there), SC_OK, "load 1");
    assert_int_equal(source_loads(&from), 1);
    stranger_close(&other);
    sc_cache_close(cache);
}

static void a_reply_lost_after_the_lease_was_taken_costs_no_second_load(void **state)
{
    static const char *const words[] = {"EVALSHA", "GET"};
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(words); i++) {
        proxy *relay = proxy_start(test.kind, fixture_endpoint(test.server, test.kind));
        stranger other = stranger_open_at(proxy_url(relay), NULL);
        source from;
        memset(&from, 0, sizeof from);
        cache_expect(other.cache, "scripts are known now", &from, NULL, "load 1");
        proxy_lose_reply(relay, words[i]);
        cache_expect(other.cache, "key", &from, NULL, "load 2");
        assert_int_equal(proxy_lost_replies(relay), 1);
        server_expect("key", "load 2");
        fixture_command(test.server, "FLUSHALL", (const char *)NULL);
        stranger_close(&other);
        proxy_stop(relay);
    }
}

/* A question that was sent again after its reply was lost, and whose first copy comes once more when
   the key was invalidated meanwhile: the load that it began is void nevertheless. */
static void a_late_copy_of_the_question_does_not_bring_a_void_load_back(void **state)
{
    proxy *relay = proxy_start(test.kind, fixture_endpoint(test.server, test.kind));
    stranger other = stranger_open_at(proxy_url(relay), NULL);
    sc_cache *cache = cache_open(test.client, NULL);
    caller loading;
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    cache_expect(other.cache, "scripts are known now", &from, NULL, "load 1");
    proxy_lose_reply(relay, "EVALSHA");
    caller_load(&loading, other.cache, "key", &from, NULL);
    assert_int_equal(proxy_lost_replies(relay), 1);
    assert_status(SC_OK, sc_invalidate(cache, sc_text("key")));
    assert_true(proxy_repeat_lost(relay));
    source_release(&from);
    callers_join(&loading, 1);
    server_expect("key", NULL);
    stranger_close(&other);
    sc_cache_close(cache);
    proxy_stop(relay);
}

/* --- invalidation and setting during a load */

typedef enum changer { BY_THE_SAME_CACHE, BY_ANOTHER_PROCESS } changer;

typedef struct change_case {
    sc_cache *cache;
    stranger other;
    source stale;
    source fresh;
    caller loading;
    caller here[4];
    caller there[4];
} change_case;

/* One loads what will be stale; four threads of its client and four of another's wait. */
static void change_begin(change_case *self)
{
    memset(self, 0, sizeof *self);
    self->cache = cache_open(test.client, NULL);
    self->other = stranger_open(NULL);
    self->stale.value = sc_text("stale");
    self->fresh.value = sc_text("fresh");
    caller_load(&self->loading, self->cache, "key", &self->stale, NULL);
    callers_start(self->here, COUNT_OF(self->here), self->cache, "key", &self->fresh, NULL);
    callers_start(self->there, COUNT_OF(self->there), self->other.cache, "key", &self->fresh, NULL);
    WAIT_UNTIL(flights_joined(self->cache, "key") == 1 + COUNT_OF(self->here) &&
               flights_joined(self->other.cache, "key") == COUNT_OF(self->there) &&
               flights_listen(self->other.cache, "key"));
}

static void change_end(change_case *self)
{
    source_release(&self->stale);
    callers_join(&self->loading, 1);
    callers_join(self->here, COUNT_OF(self->here));
    callers_join(self->there, COUNT_OF(self->there));
    stranger_close(&self->other);
    sc_cache_close(self->cache);
}

static void invalidate_during_a_load(changer who)
{
    change_case self;
    change_begin(&self);
    assert_status(SC_OK, sc_invalidate(who == BY_THE_SAME_CACHE ? self.cache : self.other.cache,
                                       sc_text("key")));
    /* Who waited elsewhere does not wait for the stale load any more. */
    callers_join(self.there, COUNT_OF(self.there));
    callers_expect(self.there, COUNT_OF(self.there), SC_OK, "fresh");
    memset(self.there, 0, sizeof self.there);
    callers_start(self.there, COUNT_OF(self.there), self.other.cache, "key", &self.fresh, NULL);
    if (who == BY_THE_SAME_CACHE) {
        callers_join(self.here, COUNT_OF(self.here));
        callers_expect(self.here, COUNT_OF(self.here), SC_OK, "fresh");
        callers_start(self.here, COUNT_OF(self.here), self.cache, "key", &self.fresh, NULL);
    }
    change_end(&self);
    callers_expect(&self.loading, 1, SC_OK, "stale");
    callers_expect(self.here, COUNT_OF(self.here), SC_OK, "fresh");
    callers_expect(self.there, COUNT_OF(self.there), SC_OK, "fresh");
    assert_int_equal(source_loads(&self.stale), 1);
    assert_int_equal(source_loads(&self.fresh), 1);
    server_expect("key", "fresh");
}

static void a_load_that_was_invalidated_is_not_stored_and_who_waited_begins_anew(void **state)
{
    (void)state;
    invalidate_during_a_load(BY_THE_SAME_CACHE);
}

static void a_load_that_another_process_invalidated_is_not_stored_nor_shared(void **state)
{
    (void)state;
    invalidate_during_a_load(BY_ANOTHER_PROCESS);
}

static void a_load_that_was_invalidated_while_nobody_waited_is_not_stored(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    stranger other = stranger_open(NULL);
    caller loading;
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    caller_load(&loading, cache, "key", &from, NULL);
    assert_status(SC_OK, sc_invalidate(other.cache, sc_text("key")));
    source_release(&from);
    callers_join(&loading, 1);
    callers_expect(&loading, 1, SC_OK, "load 1");
    server_expect_keys(0);
    stranger_close(&other);
    sc_cache_close(cache);
}

static void a_loader_learns_that_its_load_is_void(void **state)
{
    sc_load_options options = load_options();
    caller loading;
    source from;
    changer who;
    (void)state;
    options.lease_ms = 60;
    for (who = BY_THE_SAME_CACHE; who <= BY_ANOTHER_PROCESS; who = (changer)(who + 1)) {
        sc_cache *cache = cache_open(test.client, NULL);
        stranger other = stranger_open(NULL);
        memset(&from, 0, sizeof from);
        caller_load(&loading, cache, "key", &from, &options);
        assert_status(
            SC_OK, sc_invalidate(who == BY_THE_SAME_CACHE ? cache : other.cache, sc_text("key")));
        from.pause_ms = 5 * options.lease_ms;
        source_release(&from);
        callers_join(&loading, 1);
        assert_true(from.is_voided);
        server_expect_keys(0);
        stranger_close(&other);
        sc_cache_close(cache);
    }
}

static void set_during_a_load(changer who)
{
    change_case self;
    sc_cache *setter;
    change_begin(&self);
    setter = who == BY_THE_SAME_CACHE ? self.cache : self.other.cache;
    assert_status(SC_OK, sc_set(setter, sc_text("key"), sc_text("set"), 0));
    cache_expect(setter, "key", &self.fresh, NULL, "set");
    callers_join(self.there, COUNT_OF(self.there));
    callers_expect(self.there, COUNT_OF(self.there), SC_OK, "set");
    callers_start(self.there, COUNT_OF(self.there), self.other.cache, "key", &self.fresh, NULL);
    change_end(&self);
    callers_expect(&self.loading, 1, SC_OK, "stale");
    callers_expect(self.here, COUNT_OF(self.here), SC_OK, "set");
    callers_expect(self.there, COUNT_OF(self.there), SC_OK, "set");
    assert_int_equal(source_loads(&self.fresh), 0);
    server_expect("key", "set");
}

static void a_value_set_during_a_load_stays_and_is_what_who_waits_gets(void **state)
{
    (void)state;
    set_during_a_load(BY_THE_SAME_CACHE);
}

static void a_value_set_by_another_process_during_a_load_stays_too(void **state)
{
    (void)state;
    set_during_a_load(BY_ANOTHER_PROCESS);
}

static void a_delete_during_a_load_lets_it_store(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    caller loading;
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    caller_load(&loading, cache, "key", &from, NULL);
    assert_status(SC_MISS, sc_delete(cache, sc_text("key")));
    source_release(&from);
    callers_join(&loading, 1);
    server_expect("key", "load 1");
    sc_cache_close(cache);
}

/* Who asks after an invalidation joins others here that wait for what was before it, and the word
   of that is still on its way: they may have it, the late one may not. */
static void who_joins_after_an_invalidation_gets_nothing_from_before(bool loads_here)
{
    proxy *relay = proxy_start(test.kind, fixture_endpoint(test.server, test.kind));
    sc_cache *cache = cache_open(test.client, NULL);
    stranger other = stranger_open_at(proxy_url(relay), NULL);
    sc_load_options options = load_options();
    caller loading;
    caller early;
    caller late;
    source from;
    source before;
    memset(&from, 0, sizeof from);
    memset(&before, 0, sizeof before);
    cache_expect(other.cache, "scripts are known now", &before, NULL, "load 1");
    options.poll_ms = 60000;
    caller_load(&loading, loads_here ? other.cache : cache, "key", &from, &options);
    callers_start(&early, 1, other.cache, "key", &from, &options);
    if (loads_here)
        WAIT_UNTIL(flights_joined(other.cache, "key") == 2);
    else
        WAIT_UNTIL(flights_listen(other.cache, "key"));
    proxy_black_hole(relay, PROXY_TO_CLIENT);
    source_release(&from);
    WAIT_UNTIL(strstr(fixture_command(test.server, "GET", "key", (const char *)NULL), "load 1"));
    assert_status(SC_OK, sc_invalidate(cache, sc_text("key")));
    callers_start(&late, 1, other.cache, "key", &from, &options);
    WAIT_UNTIL(flights_joined(other.cache, "key") == (loads_here ? 3u : 2u));
    proxy_black_hole(relay, 0);
    callers_join(&loading, 1);
    callers_join(&early, 1);
    callers_join(&late, 1);
    callers_expect(&loading, 1, SC_OK, "load 1");
    callers_expect(&early, 1, SC_OK, "load 1");
    callers_expect(&late, 1, SC_OK, "load 2");
    stranger_close(&other);
    proxy_stop(relay);
    sc_cache_close(cache);
}

static void who_joins_after_an_invalidation_gets_no_message_from_before(void **state)
{
    (void)state;
    who_joins_after_an_invalidation_gets_nothing_from_before(false);
}

static void who_joins_after_an_invalidation_gets_nothing_stored_before(void **state)
{
    (void)state;
    who_joins_after_an_invalidation_gets_nothing_from_before(true);
}

/* The server refuses the store, and so does not say whether the key was invalidated meanwhile: it was,
   and who asked after that knows. */
static void who_joins_after_an_invalidation_gets_nothing_that_was_refused(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    caller before;
    caller after;
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    caller_load(&before, cache, "report", &from, NULL);
    fixture_command(test.server, "DEL", "sc:lease{report}", (const char *)NULL);
    callers_start(&after, 1, cache, "report", &from, NULL);
    WAIT_UNTIL(flights_joined(cache, "report") == 2);
    fixture_command(test.server, "ACL", "SETUSER", "default", "-eval", "-evalsha",
                    (const char *)NULL);
    source_release(&from);
    callers_join(&before, 1);
    callers_join(&after, 1);
    fixture_command(test.server, "ACL", "SETUSER", "default", "+@all", (const char *)NULL);
    callers_expect(&before, 1, SC_OK, "load 1");
    callers_expect(&after, 1, SC_OK, "load 2");
    sc_cache_close(cache);
}

/* Readers and an invalidator race: after an invalidation no read may see what was loaded before. */
#define RACE_READERS 6
#define RACE_INVALIDATIONS 300

typedef struct race {
    sc_cache *cache[2];
    uint32_t version; /* of the source; atomic */
    uint32_t certain; /* every version below was invalidated; atomic */
    uint32_t is_over;
    uint32_t stale_reads;
    uint32_t failures;
    char why[SC_ERROR_TEXT_BYTES + 32]; /* of the first failure */
} race;

static sc_status race_load(sc_load *load, void *user)
{
    const race *all = (const race *)user;
    uint32_t version = __atomic_load_n(&all->version, __ATOMIC_ACQUIRE);
    return sc_load_write(load, &version, sizeof version);
}

typedef struct race_reader {
    pthread_t thread;
    race *all;
    sc_cache *cache;
} race_reader;

static void *race_read(void *argument)
{
    race_reader *self = (race_reader *)argument;
    race *all = self->all;
    while (!__atomic_load_n(&all->is_over, __ATOMIC_ACQUIRE)) {
        uint32_t certain = __atomic_load_n(&all->certain, __ATOMIC_ACQUIRE);
        uint32_t version = 0;
        sc_value *value = NULL;
        sc_status status =
            sc_get_or_load(self->cache, sc_text("key"), race_load, all, NULL, &value);
        if (status == SC_OK)
            memcpy(&version, sc_value_bytes(value).data, sizeof version);
        else if (__atomic_fetch_add(&all->failures, 1, __ATOMIC_ACQ_REL) == 0)
            snprintf(all->why, sizeof all->why, "%s: %s", sc_status_name(status), sc_error_text());
        if (value && version < certain)
            __atomic_add_fetch(&all->stale_reads, 1, __ATOMIC_ACQ_REL);
        sc_value_release(value);
    }
    return NULL;
}

static void no_read_after_an_invalidation_sees_what_was_before(void **state)
{
    stranger other = stranger_open(NULL);
    race_reader readers[RACE_READERS];
    race all;
    uint32_t i;
    (void)state;
    memset(&all, 0, sizeof all);
    all.cache[0] = cache_open(test.client, NULL);
    all.cache[1] = other.cache;
    for (i = 0; i < RACE_READERS; i++) {
        readers[i].all = &all;
        readers[i].cache = all.cache[i % 2];
        assert_int_equal(pthread_create(&readers[i].thread, NULL, race_read, &readers[i]), 0);
    }
    for (i = 1; i <= RACE_INVALIDATIONS; i++) {
        __atomic_store_n(&all.version, i, __ATOMIC_RELEASE);
        assert_status(SC_OK, sc_invalidate(all.cache[i % 2], sc_text("key")));
        __atomic_store_n(&all.certain, i, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&all.is_over, 1, __ATOMIC_RELEASE);
    for (i = 0; i < RACE_READERS; i++)
        pthread_join(readers[i].thread, NULL);
    assert_string_equal(all.why, "");
    assert_int_equal(all.failures, 0);
    assert_int_equal(all.stale_reads, 0);
    stranger_close(&other);
    sc_cache_close(all.cache[0]);
}

/* --- the server goes */

#define OUTAGE_THREADS 64

static void an_outage_costs_one_load_at_a_time_and_no_error(void **state)
{
    static caller callers[OUTAGE_THREADS];
    sc_cache *cache = cache_open(test.client, NULL);
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    fixture_kill(test.server);
    source_hold(&from);
    callers_start(callers, OUTAGE_THREADS, cache, "key", &from, NULL);
    WAIT_UNTIL(flights_joined(cache, "key") == OUTAGE_THREADS && source_running(&from) == 1);
    source_release(&from);
    callers_join(callers, OUTAGE_THREADS);
    callers_expect(callers, OUTAGE_THREADS, SC_OK, "load 1");
    assert_int_equal(from.most_running, 1);
    assert_int_equal(source_loads(&from), 1);
    /* Later ones load again, since nothing could be stored, and the server's return ends it. */
    cache_expect(cache, "key", &from, NULL, "load 2");
    assert_true(fixture_restart(test.server));
    {
        sc_value *value = NULL;
        WAIT_UNTIL(sc_get(cache, sc_text("key"), &value) == SC_MISS);
    }
    cache_expect(cache, "key", &from, NULL, "load 3");
    cache_expect(cache, "key", &from, NULL, "load 3");
    sc_cache_close(cache);
}

static void an_outage_is_an_error_for_who_asks_for_that(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    sc_load_options options = load_options();
    caller callers[THREADS];
    source from;
    size_t i;
    (void)state;
    memset(&from, 0, sizeof from);
    options.outage = SC_OUTAGE_ERROR;
    fixture_kill(test.server);
    callers_start(callers, THREADS, cache, "key", &from, &options);
    callers_join(callers, THREADS);
    for (i = 0; i < THREADS; i++) {
        assert_true(callers[i].status < 0);
        assert_true(callers[i].words[0] != '\0');
    }
    assert_int_equal(source_loads(&from), 0);
    assert_true(fixture_restart(test.server));
    sc_cache_close(cache);
}

static void a_server_that_stands_still_costs_one_load_at_a_time(void **state)
{
    static caller callers[OUTAGE_THREADS];
    sc_config config = test_config(test_url());
    sc_client *client;
    sc_cache *cache;
    source from;
    (void)state;
    config.timeout_ms = 200;
    client = test_open(&config);
    cache = cache_open(client, NULL);
    memset(&from, 0, sizeof from);
    fixture_pause(test.server);
    source_hold(&from);
    callers_start(callers, OUTAGE_THREADS, cache, "key", &from, NULL);
    WAIT_UNTIL(flights_joined(cache, "key") == OUTAGE_THREADS && source_running(&from) == 1);
    source_release(&from);
    callers_join(callers, OUTAGE_THREADS);
    callers_expect(callers, OUTAGE_THREADS, SC_OK, "load 1");
    assert_int_equal(from.most_running, 1);
    assert_int_equal(source_loads(&from), 1);
    fixture_continue(test.server);
    sc_cache_close(cache);
    assert_status(SC_OK, sc_close(client));
}

static void a_server_that_goes_during_a_load_takes_nobodys_value(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    caller callers[THREADS];
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    source_hold(&from);
    callers_start(callers, THREADS, cache, "key", &from, NULL);
    WAIT_UNTIL(flights_joined(cache, "key") == THREADS && source_running(&from) == 1);
    fixture_kill(test.server);
    source_release(&from);
    callers_join(callers, THREADS);
    callers_expect(callers, THREADS, SC_OK, "load 1");
    assert_int_equal(source_loads(&from), 1);
    assert_true(fixture_restart(test.server));
    sc_cache_close(cache);
}

static void a_server_that_goes_while_others_wait_lets_one_of_them_load(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    stranger other = stranger_open(NULL);
    sc_load_options options = load_options();
    caller loading;
    caller there[THREADS];
    source from;
    source second;
    (void)state;
    memset(&from, 0, sizeof from);
    memset(&second, 0, sizeof second);
    options.poll_ms = 50;
    caller_load(&loading, cache, "key", &from, &options);
    callers_start(there, THREADS, other.cache, "key", &second, &options);
    WAIT_UNTIL(flights_joined(other.cache, "key") == THREADS && flights_listen(other.cache, "key"));
    fixture_kill(test.server);
    callers_join(there, THREADS);
    callers_expect(there, THREADS, SC_OK, "load 1");
    assert_int_equal(source_loads(&second), 1);
    source_release(&from);
    callers_join(&loading, 1);
    callers_expect(&loading, 1, SC_OK, "load 1");
    assert_true(fixture_restart(test.server));
    stranger_close(&other);
    sc_cache_close(cache);
}

static void a_server_that_restarts_empty_during_a_load_does_no_harm(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    stranger other = stranger_open(NULL);
    caller loading;
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    caller_load(&loading, cache, "key", &from, NULL);
    assert_true(fixture_restart(test.server));
    source_release(&from);
    callers_join(&loading, 1);
    callers_expect(&loading, 1, SC_OK, "load 1"); /* its lease was gone: not stored */
    server_expect("key", NULL);
    stranger_close(&other);
    sc_cache_close(cache);
}

static void a_key_of_another_type_is_an_error_and_no_load(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    sc_value *value = NULL;
    source from;
    arrival result;
    (void)state;
    memset(&from, 0, sizeof from);
    memset(&result, 0, sizeof result);
    fixture_command(test.server, "LPUSH", "key", "element", (const char *)NULL);
    assert_status(SC_ERR_REPLY,
                  sc_get_or_load(cache, sc_text("key"), source_load, &from, NULL, &value));
    assert_error_text_has("WRONGTYPE");
    assert_status(SC_ERR_REPLY, sc_get(cache, sc_text("key"), &value));
    assert_error_text_has("WRONGTYPE");
    assert_status(SC_OK, sc_get_or_load_async(cache, sc_text("key"), source_load, &from, NULL,
                                              arrival_take, &result));
    arrival_wait(test.client, &result);
    assert_status(SC_ERR_REPLY, result.status);
    assert_non_null(strstr(result.words, "WRONGTYPE"));
    assert_int_equal(source_loads(&from), 0);
    /* Setting and invalidating replace it. */
    assert_status(SC_OK, sc_set(cache, sc_text("key"), sc_text("set"), 0));
    server_expect("key", "set");
    sc_cache_close(cache);
}

static void scripts_that_the_server_forgets_are_sent_again(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    sc_load_options options = load_options();
    caller loading;
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    cache_expect(cache, "scripts are known now", &from, NULL, "load 1");
    fixture_command(test.server, "SCRIPT", "FLUSH", (const char *)NULL);
    source_hold(&from);
    options.lease_ms = 60;
    callers_start(&loading, 1, cache, "key", &from, &options);
    WAIT_UNTIL(source_running(&from) == 1);
    fixture_command(test.server, "SCRIPT", "FLUSH", (const char *)NULL);
    from.pause_ms = 3 * options.lease_ms; /* renewals meet it */
    source_release(&from);
    callers_join(&loading, 1);
    callers_expect(&loading, 1, SC_OK, "load 2");
    assert_false(from.is_voided);
    server_expect("key", "load 2");
    sc_cache_close(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        bare_unit_test(a_killed_loader_is_replaced_by_one_other_when_its_lease_ends),
        client_unit_test(a_waiter_gets_the_value_when_its_subscription_is_cut_before_the_publish),
        client_unit_test(a_waiter_gets_the_value_when_the_publish_is_lost),
        client_unit_test(waiters_share_an_unstored_result_when_the_publish_is_lost),
        client_unit_test(messages_of_others_on_the_channel_do_no_harm),
        client_unit_test(a_reply_lost_after_the_lease_was_taken_costs_no_second_load),
        client_unit_test(a_late_copy_of_the_question_does_not_bring_a_void_load_back),
        client_unit_test(a_load_that_was_invalidated_is_not_stored_and_who_waited_begins_anew),
        client_unit_test(a_load_that_another_process_invalidated_is_not_stored_nor_shared),
        client_unit_test(a_load_that_was_invalidated_while_nobody_waited_is_not_stored),
        client_unit_test(a_loader_learns_that_its_load_is_void),
        client_unit_test(a_value_set_during_a_load_stays_and_is_what_who_waits_gets),
        client_unit_test(a_value_set_by_another_process_during_a_load_stays_too),
        client_unit_test(a_delete_during_a_load_lets_it_store),
        client_unit_test(who_joins_after_an_invalidation_gets_no_message_from_before),
        client_unit_test(who_joins_after_an_invalidation_gets_nothing_stored_before),
        client_unit_test(who_joins_after_an_invalidation_gets_nothing_that_was_refused),
        client_unit_test(no_read_after_an_invalidation_sees_what_was_before),
        client_unit_test(an_outage_costs_one_load_at_a_time_and_no_error),
        client_unit_test(an_outage_is_an_error_for_who_asks_for_that),
        client_unit_test(a_server_that_stands_still_costs_one_load_at_a_time),
        client_unit_test(a_server_that_goes_during_a_load_takes_nobodys_value),
        client_unit_test(a_server_that_goes_while_others_wait_lets_one_of_them_load),
        client_unit_test(a_server_that_restarts_empty_during_a_load_does_no_harm),
        client_unit_test(a_key_of_another_type_is_an_error_and_no_load),
        client_unit_test(scripts_that_the_server_forgets_are_sent_again),
    };
    return run_on_both_wires("get-or-load in trouble", tests);
}
