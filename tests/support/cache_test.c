/* Shared by the tests of get-or-load. */
#include "cache_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define POLL_TURN_MS 1

static uint32_t look(const uint32_t *number)
{
    return __atomic_load_n(number, __ATOMIC_ACQUIRE);
}

static void source_note_running(source *from, uint32_t running)
{
    uint32_t most = look(&from->most_running);
    while (running > most &&
           !__atomic_compare_exchange_n(&from->most_running, &most, running, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        continue;
}

static void source_pause(int64_t ms)
{
    struct timespec left;
    left.tv_sec = (time_t)(ms / 1000);
    left.tv_nsec = (long)(ms % 1000) * 1000000;
    nanosleep(&left, NULL);
}

static sc_status source_write(source *from, sc_load *load, uint32_t number)
{
    char text[CALLER_TEXT_BYTES];
    if (from->ttl_ms)
        sc_load_set_ttl(load, from->ttl_ms);
    if (from->value.data)
        return sc_load_write(load, from->value.data, from->value.len);
    snprintf(text, sizeof text, "load %u", (unsigned)number);
    return sc_load_write_text(load, text);
}

sc_status source_load(sc_load *load, void *user)
{
    source *from = (source *)user;
    sc_status status = from->status;
    bool is_released;
    uint32_t number = __atomic_add_fetch(&from->loads, 1, __ATOMIC_ACQ_REL);
    source_note_running(from, __atomic_add_fetch(&from->running, 1, __ATOMIC_ACQ_REL));
    WAIT_REACHED(is_released, !look(&from->is_held));
    if (from->pause_ms)
        source_pause(from->pause_ms);
    if (sc_load_is_void(load))
        __atomic_store_n(&from->is_voided, 1, __ATOMIC_RELEASE);
    if (!is_released)
        status = sc_fail(SC_ERR_LOADER, "the test did not release this load");
    else if (status < 0)
        status = sc_fail(status, "%s", from->words ? from->words : "no words");
    else if (status == SC_OK)
        status = source_write(from, load, number);
    __atomic_sub_fetch(&from->running, 1, __ATOMIC_ACQ_REL);
    return status;
}

sc_status load_asking_for_itself(sc_load *load, void *user)
{
    sc_cache *cache = (sc_cache *)user;
    sc_value *value = NULL;
    sc_status status =
        sc_get_or_load(cache, sc_load_key(load), load_asking_for_itself, user, NULL, &value);
    sc_value_release(value);
    return status;
}

void source_hold(source *from)
{
    __atomic_store_n(&from->is_held, 1, __ATOMIC_RELEASE);
}

void source_release(source *from)
{
    __atomic_store_n(&from->is_held, 0, __ATOMIC_RELEASE);
}

uint32_t source_loads(const source *from)
{
    return look(&from->loads);
}

uint32_t source_running(const source *from)
{
    return look(&from->running);
}

static size_t copy_text(char *text, size_t cap, sc_slice bytes)
{
    size_t len = bytes.len < cap ? bytes.len : cap - 1;
    if (len)
        memcpy(text, bytes.data, len);
    text[len] = '\0';
    return bytes.len;
}

static void *caller_run(void *argument)
{
    caller *self = (caller *)argument;
    sc_value *value = NULL;
    self->status =
        sc_get_or_load(self->cache, self->key, source_load, self->from, self->options, &value);
    snprintf(self->words, sizeof self->words, "%s", self->status < 0 ? sc_error_text() : "");
    self->len = copy_text(self->text, sizeof self->text, sc_value_bytes(value));
    sc_value_release(value);
    __atomic_store_n(&self->is_done, 1, __ATOMIC_RELEASE);
    return NULL;
}

void callers_start(caller *callers, size_t count, sc_cache *cache, const char *key, source *from,
                   const sc_load_options *options)
{
    size_t i;
    memset(callers, 0, count * sizeof *callers);
    for (i = 0; i < count; i++) {
        callers[i].cache = cache;
        callers[i].key = sc_text(key);
        callers[i].from = from;
        callers[i].options = options;
        assert_int_equal(pthread_create(&callers[i].thread, NULL, caller_run, &callers[i]), 0);
    }
}

void caller_load(caller *self, sc_cache *cache, const char *key, source *from,
                 const sc_load_options *options)
{
    source_hold(from);
    callers_start(self, 1, cache, key, from, options);
    WAIT_UNTIL(source_running(from) == 1);
}

void callers_join(caller *callers, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++)
        pthread_join(callers[i].thread, NULL);
}

size_t callers_done(const caller *callers, size_t count)
{
    size_t done = 0;
    size_t i;
    for (i = 0; i < count; i++)
        done += look(&callers[i].is_done);
    return done;
}

void callers_expect(const caller *callers, size_t count, sc_status status, const char *text)
{
    size_t i;
    for (i = 0; i < count; i++) {
        const caller *each = &callers[i];
        if (each->status != status)
            fail_msg("thread %zu got %s (%s), not %s", i, sc_status_name(each->status), each->words,
                     sc_status_name(status));
        if (text && status == SC_OK)
            assert_string_equal(each->text, text);
        else if (text && !strstr(each->words, text))
            fail_msg("thread %zu: \"%s\" does not say \"%s\"", i, each->words, text);
    }
}

void arrival_take(void *user, sc_status status, sc_value *value)
{
    arrival *result = (arrival *)user;
    result->status = status;
    result->len = copy_text(result->text, sizeof result->text, sc_value_bytes(value));
    snprintf(result->words, sizeof result->words, "%s", status < 0 ? sc_error_text() : "");
    __atomic_add_fetch(&result->calls, 1, __ATOMIC_RELEASE);
}

bool arrival_is_in(const arrival *result)
{
    return look(&result->calls) > 0;
}

void arrival_wait(sc_client *client, const arrival *result)
{
    int64_t end_ms = wait_now_ms() + WAIT_WATCHDOG_MS;
    while (!arrival_is_in(result)) {
        assert_status(SC_OK, sc_poll(client, POLL_TURN_MS));
        if (wait_now_ms() > end_ms)
            fail_msg("a callback did not come");
    }
}

sc_cache *cache_open(sc_client *client, const char *prefix)
{
    sc_cache_config config;
    sc_cache *cache = NULL;
    memset(&config, 0, sizeof config);
    config.prefix = prefix;
    config.load.wait_ms = -1; /* however long a load takes */
    assert_status(SC_OK, sc_cache_open(client, &config, &cache));
    assert_non_null(cache);
    return cache;
}

sc_load_options load_options(void)
{
    sc_load_options options;
    memset(&options, 0, sizeof options);
    return options;
}

void cache_expect(sc_cache *cache, const char *key, source *from, const sc_load_options *options,
                  const char *text)
{
    sc_value *value = NULL;
    assert_status(SC_OK, sc_get_or_load(cache, sc_text(key), source_load, from, options, &value));
    assert_slice_text(sc_value_bytes(value), text);
    sc_value_release(value);
}

void server_expect(const char *key, const char *text)
{
    const char *reply = fixture_command(test.server, "GET", key, (const char *)NULL);
    char expected[CALLER_TEXT_BYTES + 16];
    if (text)
        snprintf(expected, sizeof expected, "$%zu\r\n%s\r\n", strlen(text), text);
    else
        snprintf(expected, sizeof expected, "$-1\r\n");
    assert_string_equal(reply, expected);
}

void server_expect_keys(int64_t count)
{
    const char *words[2];
    words[0] = "DBSIZE";
    words[1] = NULL;
    assert_int_equal(fixture_integer(test.server, words), count);
}
