/* Get-or-load where nothing goes wrong but the load itself: one loads, all get the result. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "support/cache_test.h"
#include "support/flights.h"
#include "support/processes.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define THREADS 16
#define LARGE_BYTES ((size_t)64 * 1024 * 1024)

/* Another process, as far as the library can tell: nothing is shared but the server. */
typedef struct stranger {
    sc_client *client;
    sc_cache *cache;
} stranger;

static stranger stranger_open(const char *prefix)
{
    stranger other;
    other.client = test_open_url(test_url());
    other.cache = cache_open(other.client, prefix);
    return other;
}

static void stranger_close(stranger *other)
{
    sc_cache_close(other->cache);
    assert_status(SC_OK, sc_close(other->client));
}

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
    source_hold(&failing);
    callers_start(&unlucky, 1, cache, "key", &failing, &options);
    WAIT_UNTIL(source_running(&failing) == 1);
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

/* --- bytes */

static void an_empty_value_is_a_value(void **state)
{
    caller here[THREADS];
    caller there[THREADS];
    sc_cache *cache = cache_open(test.client, NULL);
    stranger other = stranger_open(NULL);
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    from.value = sc_bytes("", 0);
    source_hold(&from);
    callers_start(here, THREADS, cache, "key", &from, NULL);
    callers_start(there, THREADS, other.cache, "key", &from, NULL);
    WAIT_UNTIL(flights_joined(cache, "key") == THREADS &&
               flights_joined(other.cache, "key") == THREADS && source_running(&from) == 1);
    source_release(&from);
    callers_join(here, THREADS);
    callers_join(there, THREADS);
    callers_expect(here, THREADS, SC_OK, "");
    callers_expect(there, THREADS, SC_OK, "");
    cache_expect(cache, "key", &from, NULL, "");
    assert_int_equal(source_loads(&from), 1);
    server_expect("key", "");
    stranger_close(&other);
    sc_cache_close(cache);
}

/* Bytes that differ along the value. */
static char *large_make(size_t len)
{
    char *bytes = (char *)malloc(len);
    uint32_t x = 1;
    size_t i;
    assert_non_null(bytes);
    for (i = 0; i < len; i++) {
        x = x * 1664525u + 1013904223u;
        bytes[i] = (char)(x >> 24);
    }
    return bytes;
}

typedef struct large_caller {
    pthread_t thread;
    sc_cache *cache;
    source *from;
    const sc_load_options *options;
    sc_status status;
    sc_value *value;
    char words[SC_ERROR_TEXT_BYTES];
} large_caller;

static void *large_run(void *argument)
{
    large_caller *self = (large_caller *)argument;
    self->status = sc_get_or_load(self->cache, sc_text("large"), source_load, self->from,
                                  self->options, &self->value);
    snprintf(self->words, sizeof self->words, "%s", self->status < 0 ? sc_error_text() : "");
    return NULL;
}

static void share_a_large_value(size_t len, const sc_load_options *options)
{
    char *bytes = large_make(len);
    sc_cache *cache = cache_open(test.client, NULL);
    stranger other = stranger_open(NULL);
    large_caller callers[4];
    source from;
    size_t i;
    memset(&from, 0, sizeof from);
    memset(callers, 0, sizeof callers);
    from.value = sc_bytes(bytes, len);
    source_hold(&from);
    for (i = 0; i < COUNT_OF(callers); i++) {
        callers[i].cache = i % 2 ? other.cache : cache;
        callers[i].from = &from;
        callers[i].options = options;
        assert_int_equal(pthread_create(&callers[i].thread, NULL, large_run, &callers[i]), 0);
    }
    WAIT_UNTIL(flights_joined(cache, "large") == 2 && flights_joined(other.cache, "large") == 2);
    WAIT_UNTIL(flights_listen(cache, "large") || flights_listen(other.cache, "large"));
    source_release(&from);
    for (i = 0; i < COUNT_OF(callers); i++) {
        sc_slice got;
        pthread_join(callers[i].thread, NULL);
        if (callers[i].status != SC_OK)
            fail_msg("caller %zu: %s, %s", i, sc_status_name(callers[i].status), callers[i].words);
        got = sc_value_bytes(callers[i].value);
        assert_int_equal(got.len, len);
        assert_int_equal(memcmp(got.data, bytes, len), 0); /* assert_memory_equal would be slow */
        sc_value_release(callers[i].value);
    }
    assert_int_equal(source_loads(&from), 1);
    stranger_close(&other);
    sc_cache_close(cache);
    free(bytes);
}

static void a_value_of_64_mib_is_stored_and_shared(void **state)
{
    const char *words[3];
    (void)state;
    share_a_large_value(LARGE_BYTES, NULL);
    words[0] = "STRLEN";
    words[1] = "large";
    words[2] = NULL;
    assert_int_equal(fixture_integer(test.server, words), LARGE_BYTES);
}

static void values_around_what_a_message_carries_are_shared(void **state)
{
    size_t len;
    (void)state;
    for (len = 64 * 1024 - 1; len <= 64 * 1024 + 1; len++) {
        share_a_large_value(len, NULL);
        fixture_command(test.server, "FLUSHALL", (const char *)NULL);
    }
}

static void a_large_value_without_a_ttl_is_shared(void **state)
{
    sc_load_options options = load_options();
    (void)state;
    options.ttl_ms = SC_TTL_NONE;
    share_a_large_value(1024 * 1024, &options);
    server_expect("large", NULL);
}

static void keys_and_values_hold_every_byte(void **state)
{
    sc_cache *cache = cache_open(test.client, "p\r\n");
    stranger other = stranger_open("p\r\n");
    char every[256];
    source from;
    size_t i;
    (void)state;
    for (i = 0; i < sizeof every; i++)
        every[i] = (char)i;
    for (i = 0; i < sizeof every; i++) {
        sc_value *value = NULL;
        sc_slice key = i == 0 ? sc_bytes(every, sizeof every) : sc_bytes(&every[i], 1);
        memset(&from, 0, sizeof from);
        from.value = sc_bytes(every, sizeof every);
        assert_status(SC_OK, sc_get_or_load(cache, key, source_load, &from, NULL, &value));
        sc_value_release(value);
        assert_status(SC_OK, sc_get_or_load(other.cache, key, source_load, &from, NULL, &value));
        assert_int_equal(sc_value_bytes(value).len, sizeof every);
        assert_memory_equal(sc_value_bytes(value).data, every, sizeof every);
        sc_value_release(value);
        assert_int_equal(source_loads(&from), 1);
        assert_status(SC_OK, sc_get(other.cache, key, &value));
        sc_value_release(value);
        assert_status(SC_OK, sc_invalidate(cache, key));
        assert_status(SC_MISS, sc_get(other.cache, key, &value));
    }
    stranger_close(&other);
    sc_cache_close(cache);
}

static void the_empty_key_is_a_key(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    source from;
    (void)state;
    memset(&from, 0, sizeof from);
    cache_expect(cache, "", &from, NULL, "load 1");
    cache_expect(cache, "", &from, NULL, "load 1");
    server_expect("", "load 1");
    assert_status(SC_OK, sc_invalidate(cache, sc_text("")));
    server_expect("", NULL);
    sc_cache_close(cache);
}

/* --- what a loader does */

static sc_status load_in_pieces(sc_load *load, void *user)
{
    int i;
    (void)user;
    for (i = 0; i < 1000; i++) {
        sc_status status = sc_load_write(load, "0123456789", 10);
        if (status != SC_OK)
            return status;
    }
    return sc_load_write_text(load, "end");
}

static void a_value_is_written_in_pieces(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    sc_value *value = NULL;
    (void)state;
    assert_status(SC_OK, sc_get_or_load(cache, sc_text("key"), load_in_pieces, NULL, NULL, &value));
    assert_int_equal(sc_value_bytes(value).len, 10003);
    assert_memory_equal(sc_value_bytes(value).data + 9999, "9end", 4);
    sc_value_release(value);
    sc_cache_close(cache);
}

static sc_status load_by_taking(sc_load *load, void *user)
{
    sc_value *first = NULL;
    (void)sc_load_write_text(load, "not this");
    if (sc_value_create(&test.memory->table, sc_text("nor this"), &first) != SC_OK)
        return SC_ERR_MEMORY;
    sc_load_take(load, first);
    sc_load_take(load, sc_value_retain((sc_value *)user));
    return SC_OK;
}

static void a_value_is_handed_over_without_a_copy(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    sc_value *given = NULL;
    sc_value *value = NULL;
    (void)state;
    assert_status(SC_OK, sc_value_create(&test.memory->table, sc_text("given"), &given));
    assert_status(SC_OK,
                  sc_get_or_load(cache, sc_text("key"), load_by_taking, given, NULL, &value));
    assert_ptr_equal(value, given);
    server_expect("key", "given");
    sc_value_release(value);
    sc_value_release(given);
    sc_cache_close(cache);
}

static sc_status load_and_fail_after_taking(sc_load *load, void *user)
{
    sc_load_take(load, sc_value_retain((sc_value *)user));
    return sc_fail(SC_ERR_LOADER, "after all");
}

static void what_a_failed_loader_made_is_dropped(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    sc_value *given = NULL;
    sc_value *value = NULL;
    (void)state;
    assert_status(SC_OK, sc_value_create(&test.memory->table, sc_text("given"), &given));
    assert_status(SC_ERR_LOADER, sc_get_or_load(cache, sc_text("key"), load_and_fail_after_taking,
                                                given, NULL, &value));
    assert_error_text_has("after all");
    assert_null(value);
    server_expect("key", NULL);
    sc_value_release(given);
    sc_cache_close(cache);
}

static void a_loader_gives_a_value_its_own_ttl(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    source from;
    int64_t ttl_ms = 0;
    (void)state;
    memset(&from, 0, sizeof from);
    from.ttl_ms = 100000;
    cache_expect(cache, "short", &from, NULL, "load 1");
    assert_status(SC_OK, sc_ttl(cache, sc_text("short"), &ttl_ms));
    assert_in_range(ttl_ms, 1, 100000);
    from.ttl_ms = SC_TTL_FOREVER;
    cache_expect(cache, "for ever", &from, NULL, "load 2");
    assert_status(SC_OK, sc_ttl(cache, sc_text("for ever"), &ttl_ms));
    assert_true(ttl_ms == SC_TTL_FOREVER);
    from.ttl_ms = SC_TTL_NONE;
    cache_expect(cache, "not at all", &from, NULL, "load 3");
    server_expect("not at all", NULL);
    from.ttl_ms = 0;
    cache_expect(cache, "default", &from, NULL, "load 4");
    assert_status(SC_OK, sc_ttl(cache, sc_text("default"), &ttl_ms));
    assert_in_range(ttl_ms, 1000001, 1800000);
    sc_cache_close(cache);
}

static void a_ttl_beyond_what_the_server_takes_still_stores(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    source from;
    int64_t ttl_ms = 0;
    (void)state;
    memset(&from, 0, sizeof from);
    from.ttl_ms = INT64_MAX - 1;
    cache_expect(cache, "key", &from, NULL, "load 1");
    cache_expect(cache, "key", &from, NULL, "load 1");
    assert_status(SC_OK, sc_ttl(cache, sc_text("key"), &ttl_ms));
    sc_cache_close(cache);
}

static sc_status load_calling_the_cache(sc_load *load, void *user)
{
    sc_cache *cache = (sc_cache *)user;
    sc_value *inner = NULL;
    source from;
    sc_status status;
    memset(&from, 0, sizeof from);
    status = sc_get_or_load(cache, sc_text("inner"), source_load, &from, NULL, &inner);
    if (status == SC_OK)
        status = sc_load_write_text(load, sc_value_bytes(inner).data);
    sc_value_release(inner);
    return status;
}

static void a_loader_may_ask_for_other_keys(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    sc_value *value = NULL;
    (void)state;
    assert_status(SC_OK, sc_get_or_load(cache, sc_text("outer"), load_calling_the_cache, cache,
                                        NULL, &value));
    assert_slice_text(sc_value_bytes(value), "load 1");
    sc_value_release(value);
    server_expect("inner", "load 1");
    sc_cache_close(cache);
}

static sc_status load_asking_for_itself(sc_load *load, void *user)
{
    sc_cache *cache = (sc_cache *)user;
    sc_value *value = NULL;
    sc_status status =
        sc_get_or_load(cache, sc_load_key(load), load_asking_for_itself, user, NULL, &value);
    sc_value_release(value);
    return status;
}

static void a_loader_that_asks_for_its_own_key_is_told_so(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    sc_value *value = NULL;
    source from;
    (void)state;
    assert_status(SC_ERR_DEADLOCK, sc_get_or_load(cache, sc_text("key"), load_asking_for_itself,
                                                  cache, NULL, &value));
    assert_error_text_has("key");
    assert_null(value);
    memset(&from, 0, sizeof from);
    cache_expect(cache, "key", &from, NULL, "load 1");
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
    options.lease_ms = 100;
    from.pause_ms = 500;
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
    source_hold(&from);
    callers_start(&loading, 1, cache, "key", &from, &options);
    WAIT_UNTIL(source_running(&from) == 1);
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
    source_hold(&from);
    callers_start(&loading, 1, cache, "key", &from, NULL);
    WAIT_UNTIL(source_running(&from) == 1);
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

/* --- plain operations */

static void set_get_delete_touch_and_ttl_do_what_they_say(void **state)
{
    sc_cache *cache = cache_open(test.client, "p:");
    sc_slice key = sc_text("key");
    sc_value *value = NULL;
    int64_t ttl_ms = 1;
    (void)state;
    assert_status(SC_MISS, sc_get(cache, key, &value));
    assert_null(value);
    assert_status(SC_MISS, sc_delete(cache, key));
    assert_status(SC_MISS, sc_touch(cache, key, 0));
    assert_status(SC_MISS, sc_touch(cache, key, SC_TTL_FOREVER));
    assert_status(SC_MISS, sc_ttl(cache, key, &ttl_ms));
    assert_int_equal(ttl_ms, 0);
    assert_status(SC_OK, sc_set(cache, key, sc_text("value"), 0));
    server_expect("p:key", "value");
    assert_status(SC_OK, sc_get(cache, key, &value));
    assert_slice_text(sc_value_bytes(value), "value");
    sc_value_release(value);
    assert_status(SC_OK, sc_ttl(cache, key, &ttl_ms));
    assert_in_range(ttl_ms, 1000001, 1800000);
    assert_status(SC_OK, sc_touch(cache, key, 90000));
    assert_status(SC_OK, sc_ttl(cache, key, &ttl_ms));
    assert_in_range(ttl_ms, 1, 90000);
    assert_status(SC_OK, sc_touch(cache, key, SC_TTL_FOREVER));
    assert_status(SC_OK, sc_touch(cache, key, SC_TTL_FOREVER)); /* had none already */
    assert_status(SC_OK, sc_ttl(cache, key, &ttl_ms));
    assert_true(ttl_ms == SC_TTL_FOREVER);
    assert_status(SC_OK, sc_touch(cache, key, 0));
    assert_status(SC_OK, sc_ttl(cache, key, &ttl_ms));
    assert_in_range(ttl_ms, 1000001, 1800000);
    assert_status(SC_OK, sc_set(cache, key, sc_text(""), SC_TTL_FOREVER));
    assert_status(SC_OK, sc_ttl(cache, key, &ttl_ms));
    assert_true(ttl_ms == SC_TTL_FOREVER);
    assert_status(SC_OK, sc_delete(cache, key));
    server_expect_keys(0);
    sc_cache_close(cache);
}

static void get_works_asynchronously(void **state)
{
    sc_cache *cache = cache_open(test.client, "p:");
    arrival missing;
    arrival found;
    (void)state;
    memset(&missing, 0, sizeof missing);
    memset(&found, 0, sizeof found);
    assert_status(SC_OK, sc_set(cache, sc_text("key"), sc_text("value"), 0));
    assert_status(SC_OK, sc_get_async(cache, sc_text("none"), arrival_take, &missing));
    assert_status(SC_OK, sc_get_async(cache, sc_text("key"), arrival_take, &found));
    assert_status(SC_OK, sc_get_async(cache, sc_text("key"), NULL, NULL));
    arrival_wait(test.client, &missing);
    arrival_wait(test.client, &found);
    assert_status(SC_MISS, missing.status);
    assert_status(SC_OK, found.status);
    assert_string_equal(found.text, "value");
    sc_cache_close(cache);
}

static void expect_refused(const sc_load_options *options, const char *field)
{
    sc_cache *cache = cache_open(test.client, NULL);
    sc_cache_config config;
    sc_cache *none = NULL;
    sc_value *value = NULL;
    arrival unused;
    source from;
    memset(&from, 0, sizeof from);
    memset(&unused, 0, sizeof unused);
    memset(&config, 0, sizeof config);
    config.load = *options;
    assert_status(SC_ERR_ARGUMENT,
                  sc_get_or_load(cache, sc_text("key"), source_load, &from, options, &value));
    assert_error_text_has(field);
    assert_status(SC_ERR_ARGUMENT, sc_get_or_load_async(cache, sc_text("key"), source_load, &from,
                                                        options, arrival_take, &unused));
    assert_error_text_has(field);
    assert_status(SC_ERR_ARGUMENT, sc_cache_open(test.client, &config, &none));
    assert_error_text_has(field);
    assert_null(none);
    assert_int_equal(source_loads(&from), 0);
    assert_int_equal(unused.calls, 0);
    sc_cache_close(cache);
}

static void wrong_options_are_refused_by_name(void **state)
{
    sc_load_options options = load_options();
    (void)state;
    options.ttl_ms = -2;
    expect_refused(&options, "TTL");
    options = load_options();
    options.negative_ttl_ms = -1;
    expect_refused(&options, "negative_ttl_ms");
    options = load_options();
    options.lease_ms = 1;
    expect_refused(&options, "lease_ms");
    options = load_options();
    options.wait_ms = -2;
    expect_refused(&options, "wait_ms");
    options = load_options();
    options.poll_ms = -1;
    expect_refused(&options, "poll_ms");
}

static void wrong_arguments_are_refused(void **state)
{
    sc_cache *cache = cache_open(test.client, NULL);
    sc_cache *none = NULL;
    sc_value *value = NULL;
    (void)state;
    assert_status(SC_ERR_ARGUMENT, sc_cache_open(NULL, NULL, &none));
    assert_status(SC_ERR_ARGUMENT, sc_get_or_load(cache, sc_text("key"), NULL, NULL, NULL, &value));
    assert_status(SC_ERR_ARGUMENT,
                  sc_get_or_load_async(cache, sc_text("key"), NULL, NULL, NULL, NULL, NULL));
    assert_status(SC_ERR_ARGUMENT, sc_set(cache, sc_text("key"), sc_text("v"), SC_TTL_NONE));
    assert_status(SC_ERR_ARGUMENT, sc_set(cache, sc_text("key"), sc_text("v"), -7));
    assert_status(SC_ERR_ARGUMENT, sc_set(cache, sc_text("key"), sc_text("v"), INT64_MAX - 1));
    assert_status(SC_ERR_ARGUMENT, sc_touch(cache, sc_text("key"), SC_TTL_NONE));
    server_expect_keys(0);
    sc_cache_close(NULL);
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
        client_unit_test(a_negative_ttl_ends),
        client_unit_test(an_empty_value_is_a_value),
        client_unit_test(a_value_of_64_mib_is_stored_and_shared),
        client_unit_test(values_around_what_a_message_carries_are_shared),
        client_unit_test(a_large_value_without_a_ttl_is_shared),
        client_unit_test(keys_and_values_hold_every_byte),
        client_unit_test(the_empty_key_is_a_key),
        client_unit_test(a_value_is_written_in_pieces),
        client_unit_test(a_value_is_handed_over_without_a_copy),
        client_unit_test(what_a_failed_loader_made_is_dropped),
        client_unit_test(a_loader_gives_a_value_its_own_ttl),
        client_unit_test(a_ttl_beyond_what_the_server_takes_still_stores),
        client_unit_test(a_loader_may_ask_for_other_keys),
        client_unit_test(a_loader_that_asks_for_its_own_key_is_told_so),
        client_unit_test(a_lease_is_renewed_while_the_loader_runs),
        client_unit_test(who_waits_gives_up_after_wait_ms),
        client_unit_test(some_give_up_and_the_others_still_get_the_value),
        client_unit_test(set_get_delete_touch_and_ttl_do_what_they_say),
        client_unit_test(get_works_asynchronously),
        client_unit_test(wrong_options_are_refused_by_name),
        client_unit_test(wrong_arguments_are_refused),
    };
    return run_on_both_wires("get-or-load", tests);
}
