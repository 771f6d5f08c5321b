/* What get-or-load carries: any bytes, large values, what a loader may do; and the plain operations
   on a cache. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "stranger.h"
#include "support/cache_test.h"
#include "support/flights.h"

#include <stdio.h>
#include <stdlib.h>

#define THREADS 16
#define LARGE_BYTES ((size_t)64 * 1024 * 1024)

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
        client_unit_test(set_get_delete_touch_and_ttl_do_what_they_say),
        client_unit_test(get_works_asynchronously),
        client_unit_test(wrong_options_are_refused_by_name),
        client_unit_test(wrong_arguments_are_refused),
    };
    return run_on_both_wires("loaded values", tests);
}
