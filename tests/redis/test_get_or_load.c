/* Get-or-load where nothing goes wrong but the load itself: one loads, all get the result. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "stranger.h"
#include "support/cache_test.h"
#include "support/flights.h"
#include "support/processes.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define THREADS 16

/* --- the stampede */

#define STAMPEDE_PROCESSES 8
#define STAMPEDE_ROUNDS 200
#define STAMPEDE_LOAD_US 1000

typedef struct stampede {
    pthread_barrier_t barrier; /* of all threads of all processes */
    uint32_t loads[STAMPEDE_ROUNDS];
    uint32_t wrong; /* answers that were not the value */
    char first_wrong[SC_ERROR_TEXT_BYTES];
} stampede;

typedef struct stampede_thread {
    pthread_t thread;
    stampede *all;
    sc_cache *cache;
    unsigned round;
} stampede_thread;

static sc_status stampede_load(sc_load *load, void *user)
{
    stampede_thread *self = (stampede_thread *)user;
    char text[32];
    __atomic_add_fetch(&self->all->loads[self->round], 1, __ATOMIC_ACQ_REL);
    usleep(STAMPEDE_LOAD_US);
    snprintf(text, sizeof text, "value %u", self->round);
    return sc_load_write_text(load, text);
}

static void stampede_ask(stampede_thread *self)
{
    char key[32];
    char text[32];
    sc_value *value = NULL;
    sc_status status;
    snprintf(key, sizeof key, "round:%u", self->round);
    snprintf(text, sizeof text, "value %u", self->round);
    status = sc_get_or_load(self->cache, sc_text(key), stampede_load, self, NULL, &value);
    if (status != SC_OK || strcmp(sc_value_bytes(value).data, text) != 0) {
        if (__atomic_fetch_add(&self->all->wrong, 1, __ATOMIC_ACQ_REL) == 0)
            snprintf(self->all->first_wrong, sizeof self->all->first_wrong, "round %u: %s, %.300s",
                     self->round, sc_status_name(status),
                     status == SC_OK ? sc_value_bytes(value).data : sc_error_text());
    }
    sc_value_release(value);
}

static void *stampede_thread_run(void *argument)
{
    stampede_thread *self = (stampede_thread *)argument;
    for (self->round = 0; self->round < STAMPEDE_ROUNDS; self->round++) {
        pthread_barrier_wait(&self->all->barrier);
        stampede_ask(self);
    }
    return NULL;
}

static int stampede_process(processes *shared, size_t index, void *user)
{
    stampede_thread threads[THREADS];
    sc_config config = test_config(test_url());
    sc_client *client = NULL;
    sc_cache *cache = NULL;
    size_t i;
    (void)shared;
    (void)index;
    /* Without these all would hang at the barrier: the join's watchdog says so then. */
    if (sc_open(&config, &client) != SC_OK || sc_cache_open(client, NULL, &cache) != SC_OK)
        return 1;
    for (i = 0; i < THREADS; i++) {
        threads[i].all = (stampede *)user;
        threads[i].cache = cache;
        if (pthread_create(&threads[i].thread, NULL, stampede_thread_run, &threads[i]) != 0)
            return 1;
    }
    for (i = 0; i < THREADS; i++)
        pthread_join(threads[i].thread, NULL);
    sc_cache_close(cache);
    return sc_close(client) == SC_OK && fault_memory_is_clean(test.memory) ? 0 : 1;
}

static void of_8_processes_with_16_threads_one_loads_in_each_of_200_rounds(void **state)
{
    pthread_barrierattr_t attributes;
    stampede *all = (stampede *)mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    processes *shared;
    bool is_good;
    size_t i;
    (void)state;
    assert_ptr_not_equal(all, MAP_FAILED);
    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&all->barrier, &attributes, STAMPEDE_PROCESSES * THREADS);
    shared = processes_start(STAMPEDE_PROCESSES, stampede_process, all);
    is_good = processes_join(shared);
    processes_free(shared);
    assert_true(is_good);
    if (all->wrong)
        fail_msg("%u wrong answers; %s", all->wrong, all->first_wrong);
    for (i = 0; i < STAMPEDE_ROUNDS; i++)
        if (all->loads[i] != 1)
            fail_msg("round %zu: %u loads", i, all->loads[i]);
    munmap(all, sizeof *all);
}

/* --- hits and misses */

static void what_is_stored_is_not_loaded_again(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    stranger other = stranger_open(NULL);
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    cache_expect(cache, "key", &from, NULL, "load 1");
    cache_expect(cache, "key", &from, NULL, "load 1");
    cache_expect(other.cache, "key", &from, NULL, "load 1");
    assert_int_equal(source_loads(&from), 1);
    stranger_close(&other);
    sc_cache_close(cache);
}

static void a_value_stands_raw_under_its_very_key_and_nothing_else_stays(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    cache_expect(cache, "key", &from, NULL, "load 1");
    server_expect("key", "load 1");
    server_expect_keys(1);
    sc_cache_close(cache);
}

static void a_miss_is_three_commands_and_a_hit_is_one(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    sc_stats before;
    sc_stats after;
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    cache_expect(cache, "scripts are known from here on", &from, NULL, "load 1");
    sc_stats_get(test.client, &before);
    cache_expect(cache, "key", &from, NULL, "load 2");
    sc_stats_get(test.client, &after);
    assert_int_equal(after.commands - before.commands, 3);
    cache_expect(cache, "key", &from, NULL, "load 2");
    sc_stats_get(test.client, &before);
    assert_int_equal(before.commands - after.commands, 1);
    sc_cache_close(cache);
}

static sc_status load_own_key(sc_load *load, void *user)
{
    sc_slice key = sc_load_key(load);
    (void)user;
    return sc_load_write(load, key.data, key.len);
}

static void the_loader_sees_the_key_without_the_prefix(void **state)
{
    sc_cache *cache = cache_open(test.client, "app:");
    sc_value *value = NULL;
    (void)state;
    assert_status(SC_OK, sc_get_or_load(cache, sc_text("key"), load_own_key, NULL, NULL, &value));
    assert_slice_text(sc_value_bytes(value), "key");
    sc_value_release(value);
    server_expect("app:key", "key");
    server_expect_keys(1);
    sc_cache_close(cache);
}

static void a_prefix_and_a_key_of_any_length_go_together(void **state)
{
    enum { LONG = 5000 };
    char *prefix = (char *)malloc(LONG + 1);
    char *key = (char *)malloc(LONG + 1);
    sc_cache *cache;
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    memset(prefix, 'p', LONG);
    memset(key, 'k', LONG);
    prefix[LONG] = key[LONG] = '\0';
    cache = cache_open(test.client, prefix);
    cache_expect(cache, key, &from, NULL, "load 1");
    cache_expect(cache, key, &from, NULL, "load 1");
    cache_expect(cache, "short", &from, NULL, "load 2");
    assert_status(SC_OK, sc_delete(cache, sc_text(key)));
    assert_status(SC_MISS, sc_delete(cache, sc_text(key)));
    sc_cache_close(cache);
    free(prefix);
    free(key);
}

static void caches_with_different_prefixes_share_nothing(void **state)
{
    sc_cache *one = cache_open(test.client, "one:");
    sc_cache *two = cache_open(test.client, "two:");
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    cache_expect(one, "key", &from, NULL, "load 1");
    cache_expect(two, "key", &from, NULL, "load 2");
    sc_cache_close(one);
    sc_cache_close(two);
}

/* --- waiting */

static void threads_and_another_client_wait_for_one_load(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    stranger other = stranger_open(NULL);
    caller here[THREADS];
    caller there[THREADS];
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    source_hold(&from);
    callers_start(here, THREADS, cache, "key", &from, NULL);
    WAIT_UNTIL(flights_joined(cache, "key") == THREADS && source_running(&from) == 1);
    callers_start(there, THREADS, other.cache, "key", &from, NULL);
    WAIT_UNTIL(flights_joined(other.cache, "key") == THREADS && flights_listen(other.cache, "key"));
    source_release(&from);
    callers_join(here, THREADS);
    callers_join(there, THREADS);
    callers_expect(here, THREADS, SC_OK, "load 1");
    callers_expect(there, THREADS, SC_OK, "load 1");
    assert_int_equal(source_loads(&from), 1);
    stranger_close(&other);
    sc_cache_close(cache);
}

/* Hold a load, let other threads of this client and of another wait for it, then let it end with
   `status` and `words`. */
static void share_an_end(const sc_load_options *options, sc_status status, const char *words,
                         source *from, caller *here, caller *there)
{
    sc_cache *cache = cache_open(test.client, NULL);
    stranger other = stranger_open(NULL);
    memset(from, 0, sizeof *from);
    from->status = status;
    from->words = words;
    source_hold(from);
    callers_start(here, THREADS, cache, "key", from, options);
    WAIT_UNTIL(flights_joined(cache, "key") == THREADS && source_running(from) == 1);
    callers_start(there, THREADS, other.cache, "key", from, options);
    WAIT_UNTIL(flights_joined(other.cache, "key") == THREADS && flights_listen(other.cache, "key"));
    source_release(from);
    callers_join(here, THREADS);
    callers_join(there, THREADS);
    stranger_close(&other);
    sc_cache_close(cache);
}

static void a_failed_load_fails_for_all_who_waited_with_its_words(void **state)
{
    caller here[THREADS];
    caller there[THREADS];
    source from;
    (void)state;
    share_an_end(NULL, SC_ERR_LOADER, "table users is locked", &from, here, there);
    callers_expect(here, THREADS, SC_ERR_LOADER, "table users is locked");
    callers_expect(there, THREADS, SC_ERR_LOADER, "table users is locked");
    assert_int_equal(source_loads(&from), 1);
    server_expect("key", NULL);
}

static void a_loader_may_fail_with_any_error(void **state)
{
    caller here[THREADS];
    caller there[THREADS];
    source from;
    (void)state;
    share_an_end(NULL, SC_ERR_IO, "disk: \"a:\" 100 % gone", &from, here, there);
    callers_expect(here, THREADS, SC_ERR_IO, "disk: \"a:\" 100 % gone");
    callers_expect(there, THREADS, SC_ERR_IO, "disk: \"a:\" 100 % gone");
    assert_int_equal(source_loads(&from), 1);
}

static void that_there_is_none_is_shared(void **state)
{
    caller here[THREADS];
    caller there[THREADS];
    source from;
    (void)state;
    share_an_end(NULL, SC_MISS, NULL, &from, here, there);
    callers_expect(here, THREADS, SC_MISS, NULL);
    callers_expect(there, THREADS, SC_MISS, NULL);
    assert_int_equal(source_loads(&from), 1);
    server_expect("key", NULL);
}

static void a_failure_that_was_shared_is_not_remembered(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    source from;
    sc_value *value = NULL;
    (void)state;
    memset(&from, 0, sizeof from);
    from.status = SC_ERR_LOADER;
    assert_status(SC_ERR_LOADER,
                  sc_get_or_load(cache, sc_text("key"), source_load, &from, NULL, &value));
    assert_null(value);
    from.status = SC_MISS;
    assert_status(SC_MISS, sc_get_or_load(cache, sc_text("key"), source_load, &from, NULL, &value));
    from.status = SC_OK;
    cache_expect(cache, "key", &from, NULL, "load 3");
    sc_cache_close(cache);
}

static void private_errors_are_each_callers_own(void **state)
{
    caller here[THREADS];
    caller there[THREADS];
    source from;
    sc_load_options options = load_options();
    (void)state;
    options.private_errors = true;
    share_an_end(&options, SC_ERR_LOADER, "mine alone", &from, here, there);
    callers_expect(here, THREADS, SC_ERR_LOADER, "mine alone");
    callers_expect(there, THREADS, SC_ERR_LOADER, "mine alone");
    assert_int_equal(source_loads(&from), 2 * THREADS);
    assert_int_equal(from.most_running, 1);
}

static void after_a_private_error_one_of_those_who_waited_loads_for_the_others(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    sc_load_options options = load_options();
    caller unlucky;
    caller others[THREADS];
    source failing;
    source working;
    (void)state;
    memset(&failing, 0, sizeof failing);
    memset(&working, 0, sizeof working);
    failing.status = SC_ERR_LOADER;
    options.private_errors = true;
    caller_load(&unlucky, cache, "key", &failing, &options);
    callers_start(others, THREADS, cache, "key", &working, &options);
    WAIT_UNTIL(flights_joined(cache, "key") == THREADS + 1);
    source_release(&failing);
    callers_join(&unlucky, 1);
    callers_join(others, THREADS);
    callers_expect(&unlucky, 1, SC_ERR_LOADER, NULL);
    callers_expect(others, THREADS, SC_OK, "load 1");
    assert_int_equal(source_loads(&failing), 1);
    assert_int_equal(source_loads(&working), 1);
    sc_cache_close(cache);
}

static void without_a_ttl_the_value_is_shared_and_not_stored(void **state)
{
    caller here[THREADS];
    caller there[THREADS];
    source from;
    sc_cache *cache;
    sc_load_options options = load_options();
    (void)state;
    options.ttl_ms = SC_TTL_NONE;
    share_an_end(&options, SC_OK, NULL, &from, here, there);
    callers_expect(here, THREADS, SC_OK, "load 1");
    callers_expect(there, THREADS, SC_OK, "load 1");
    assert_int_equal(source_loads(&from), 1);
    server_expect("key", NULL);
    cache = cache_open(test.client, NULL);
    cache_expect(cache, "key", &from, &options, "load 2");
    cache_expect(cache, "key", &from, &options, "load 3");
    server_expect("key", NULL);
    sc_cache_close(cache);
}

static void a_negative_ttl_remembers_that_there_is_none(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    stranger other = stranger_open(NULL);
    sc_load_options options = load_options();
    sc_value *value = NULL;
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    from.status = SC_MISS;
    options.negative_ttl_ms = WAIT_WATCHDOG_MS;
    assert_status(SC_MISS,
                  sc_get_or_load(cache, sc_text("key"), source_load, &from, &options, &value));
    assert_status(SC_MISS,
                  sc_get_or_load(cache, sc_text("key"), source_load, &from, &options, &value));
    assert_status(
        SC_MISS, sc_get_or_load(other.cache, sc_text("key"), source_load, &from, &options, &value));
    assert_int_equal(source_loads(&from), 1);
    from.status = SC_OK;
    assert_status(SC_OK, sc_invalidate(other.cache, sc_text("key")));
    cache_expect(cache, "key", &from, &options, "load 2");
    stranger_close(&other);
    sc_cache_close(cache);
}

static void a_negative_ttl_remembers_a_failure_and_its_words(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    stranger other = stranger_open(NULL);
    sc_load_options options = load_options();
    sc_value *value = NULL;
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    from.status = SC_ERR_LOADER;
    from.words = "table users is locked";
    options.negative_ttl_ms = WAIT_WATCHDOG_MS;
    assert_status(SC_ERR_LOADER,
                  sc_get_or_load(cache, sc_text("key"), source_load, &from, &options, &value));
    assert_status(SC_ERR_LOADER, sc_get_or_load(other.cache, sc_text("key"), source_load, &from,
                                                &options, &value));
    assert_error_text_has("table users is locked");
    assert_int_equal(source_loads(&from), 1);
    /* A value that is set ends it. */
    assert_status(SC_OK, sc_set(cache, sc_text("key"), sc_text("set"), 0));
    cache_expect(other.cache, "key", &from, &options, "set");
    assert_status(SC_OK, sc_delete(cache, sc_text("key")));
    from.status = SC_OK;
    cache_expect(other.cache, "key", &from, &options, "load 2");
    stranger_close(&other);
    sc_cache_close(cache);
}

static void who_wants_private_errors_loads_although_one_is_remembered(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    stranger other = stranger_open(NULL);
    sc_load_options options = load_options();
    sc_load_options private_options = load_options();
    sc_value *value = NULL;
    source failing;
    source from;
    (void)state;
    memset(&failing, 0, sizeof failing);
    memset(&from, 0, sizeof from);
    failing.status = SC_ERR_LOADER;
    failing.words = "table users is locked";
    options.negative_ttl_ms = WAIT_WATCHDOG_MS;
    private_options.private_errors = true;
    private_options.wait_ms = WAIT_WATCHDOG_MS / 4;
    assert_status(SC_ERR_LOADER,
                  sc_get_or_load(cache, sc_text("key"), source_load, &failing, &options, &value));
    from.status = SC_ERR_LOADER;
    assert_status(SC_ERR_LOADER, sc_get_or_load(other.cache, sc_text("key"), source_load, &from,
                                                &private_options, &value));
    assert_int_equal(source_loads(&from), 1);
    /* Its own failure leaves that of others as it was. */
    assert_status(SC_ERR_LOADER,
                  sc_get_or_load(cache, sc_text("key"), source_load, &failing, &options, &value));
    assert_error_text_has("table users is locked");
    assert_int_equal(source_loads(&failing), 1);
    from.status = SC_OK;
    cache_expect(other.cache, "key", &from, &private_options, "load 2");
    stranger_close(&other);
    sc_cache_close(cache);
}

static void who_wants_private_errors_takes_that_there_is_none(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    sc_load_options options = load_options();
    sc_value *value = NULL;
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    from.status = SC_MISS;
    options.negative_ttl_ms = WAIT_WATCHDOG_MS;
    options.private_errors = true;
    assert_status(SC_MISS,
                  sc_get_or_load(cache, sc_text("key"), source_load, &from, &options, &value));
    assert_status(SC_MISS,
                  sc_get_or_load(cache, sc_text("key"), source_load, &from, &options, &value));
    assert_int_equal(source_loads(&from), 1);
    sc_cache_close(cache);
}

static void a_negative_ttl_ends(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    sc_load_options options = load_options();
    sc_value *value = NULL;
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    from.status = SC_MISS;
    options.negative_ttl_ms = 20;
    assert_status(SC_MISS,
                  sc_get_or_load(cache, sc_text("key"), source_load, &from, &options, &value));
    WAIT_UNTIL(strcmp(fixture_command(test.server, "DBSIZE", (const char *)NULL), ":0\r\n") == 0);
    from.status = SC_OK;
    cache_expect(cache, "key", &from, &options, "load 2");
    sc_cache_close(cache);
}

/* --- leases and waits */

static void a_lease_is_renewed_while_the_loader_runs(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    stranger other = stranger_open(NULL);
    sc_load_options options = load_options();
    caller here;
    caller there[4];
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    options.lease_ms = 1000;
    from.pause_ms = 2000;
    callers_start(&here, 1, cache, "key", &from, &options);
    WAIT_UNTIL(source_running(&from) == 1);
    callers_start(there, COUNT_OF(there), other.cache, "key", &from, &options);
    callers_join(&here, 1);
    callers_join(there, COUNT_OF(there));
    callers_expect(&here, 1, SC_OK, "load 1");
    callers_expect(there, COUNT_OF(there), SC_OK, "load 1");
    assert_int_equal(source_loads(&from), 1);
    assert_false(from.is_voided);
    server_expect("key", "load 1");
    stranger_close(&other);
    sc_cache_close(cache);
}

static void who_waits_gives_up_after_wait_ms(void **state)
{
    sc_cache *cache = cache_open(test.client, "prefix:");
    stranger other = stranger_open("prefix:");
    sc_load_options options = load_options();
    caller loading;
    caller here[4];
    caller there[4];
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    options.wait_ms = 50;
    caller_load(&loading, cache, "key", &from, &options);
    callers_start(here, COUNT_OF(here), cache, "key", &from, &options);
    callers_start(there, COUNT_OF(there), other.cache, "key", &from, &options);
    callers_join(here, COUNT_OF(here));
    callers_join(there, COUNT_OF(there));
    callers_expect(here, COUNT_OF(here), SC_ERR_NOT_SENT, "wait_ms");
    callers_expect(there, COUNT_OF(there), SC_ERR_NOT_SENT, "key");
    /* Who loads is not hurried. */
    assert_int_equal(callers_done(&loading, 1), 0);
    source_release(&from);
    callers_join(&loading, 1);
    callers_expect(&loading, 1, SC_OK, "load 1");
    assert_int_equal(source_loads(&from), 1);
    stranger_close(&other);
    sc_cache_close(cache);
}

static void some_give_up_and_the_others_still_get_the_value(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    stranger other = stranger_open(NULL);
    sc_load_options options = load_options();
    caller loading;
    caller hasty[4];
    caller patient[4];
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    options.wait_ms = 50;
    caller_load(&loading, cache, "key", &from, NULL);
    callers_start(hasty, COUNT_OF(hasty), other.cache, "key", &from, &options);
    callers_start(patient, COUNT_OF(patient), other.cache, "key", &from, NULL);
    callers_join(hasty, COUNT_OF(hasty));
    source_release(&from);
    callers_join(&loading, 1);
    callers_join(patient, COUNT_OF(patient));
    callers_expect(hasty, COUNT_OF(hasty), SC_ERR_NOT_SENT, NULL);
    callers_expect(patient, COUNT_OF(patient), SC_OK, "load 1");
    stranger_close(&other);
    sc_cache_close(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        bare_unit_test(of_8_processes_with_16_threads_one_loads_in_each_of_200_rounds),
        client_unit_test(what_is_stored_is_not_loaded_again),
        client_unit_test(a_value_stands_raw_under_its_very_key_and_nothing_else_stays),
        client_unit_test(a_miss_is_three_commands_and_a_hit_is_one),
        client_unit_test(the_loader_sees_the_key_without_the_prefix),
        client_unit_test(a_prefix_and_a_key_of_any_length_go_together),
        client_unit_test(caches_with_different_prefixes_share_nothing),
        client_unit_test(threads_and_another_client_wait_for_one_load),
        client_unit_test(a_failed_load_fails_for_all_who_waited_with_its_words),
        client_unit_test(a_loader_may_fail_with_any_error),
        client_unit_test(that_there_is_none_is_shared),
        client_unit_test(a_failure_that_was_shared_is_not_remembered),
        client_unit_test(private_errors_are_each_callers_own),
        client_unit_test(after_a_private_error_one_of_those_who_waited_loads_for_the_others),
        client_unit_test(without_a_ttl_the_value_is_shared_and_not_stored),
        client_unit_test(a_negative_ttl_remembers_that_there_is_none),
        client_unit_test(a_negative_ttl_remembers_a_failure_and_its_words),
        client_unit_test(who_wants_private_errors_loads_although_one_is_remembered),
        client_unit_test(who_wants_private_errors_takes_that_there_is_none),
        client_unit_test(a_negative_ttl_ends),
        client_unit_test(a_lease_is_renewed_while_the_loader_runs),
        client_unit_test(who_waits_gives_up_after_wait_ms),
        client_unit_test(some_give_up_and_the_others_still_get_the_value),
    };
    return run_on_both_wires("get-or-load", tests);
}
