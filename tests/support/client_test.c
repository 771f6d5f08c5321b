/* Shared by the tests on a real server. */
#include "client_test.h"
#include "folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* With a thread of the client's, sc_poll only waits: short turns, so that measured times hold. */
#define POLL_TURN_MS 1

client_test test;

static int test_failed;

void test_begin(wire kind)
{
    test.kind = kind;
}

int test_end(int failed)
{
    test_failed += failed;
    return test_failed;
}

int test_group_setup(void **state)
{
    (void)state;
    test_folder();
    test.server = fixture_start(NULL);
    return test.server ? 0 : -1;
}

int test_group_teardown(void **state)
{
    (void)state;
    fixture_free(test.server);
    test.server = NULL;
    return 0;
}

int test_setup_bare(void **state)
{
    (void)state;
    test.memory = (fault_memory *)malloc(sizeof *test.memory);
    if (!test.memory)
        return -1;
    fault_memory_init(test.memory);
    /* A test that failed may have left the server stopped. */
    if (fixture_pid(test.server))
        fixture_continue(test.server);
    else if (!fixture_restart(test.server))
        return -1;
    fixture_command(test.server, "FLUSHALL", (const char *)NULL);
    fixture_command(test.server, "SCRIPT", "FLUSH", (const char *)NULL);
    test.descriptors = endpoint_open_descriptors();
    test.client = NULL;
    return 0;
}

int test_teardown_bare(void **state)
{
    bool is_clean;
    size_t left;
    (void)state;
    is_clean = fault_memory_is_clean(test.memory);
    left = endpoint_open_descriptors();
    if (left > test.descriptors) {
        fprintf(stderr, "%zu descriptors were left open\n", left - test.descriptors);
        is_clean = false;
    }
    if (is_clean) { /* else somebody may still use it */
        fault_memory_free(test.memory);
        free(test.memory);
    }
    return is_clean ? 0 : -1;
}

int test_setup(void **state)
{
    sc_config config;
    if (test_setup_bare(state) != 0)
        return -1;
    config = test_config(test_url());
    if (sc_open(&config, &test.client) != SC_OK) {
        fprintf(stderr, "sc_open: %s\n", sc_error_text());
        return -1;
    }
    return 0;
}

int test_teardown(void **state)
{
    sc_status status = sc_close(test.client);
    if (status != SC_OK)
        fprintf(stderr, "sc_close gave %s: %s\n", sc_status_name(status), sc_error_text());
    test.client = NULL;
    return test_teardown_bare(state) == 0 && status == SC_OK ? 0 : -1;
}

sc_config test_config(const char *url)
{
    sc_config config;
    memset(&config, 0, sizeof config);
    config.url = url;
    config.timeout_ms = WAIT_WATCHDOG_MS;
    config.memory = &test.memory->table;
    config.transport = test.transport;
    return config;
}

const char *test_url(void)
{
    return test.url ? test.url : fixture_url(test.server, test.kind);
}

sc_client *test_open(const sc_config *config)
{
    sc_client *client = NULL;
    assert_status(SC_OK, sc_open(config, &client));
    assert_non_null(client);
    return client;
}

sc_client *test_open_url(const char *url)
{
    sc_config config = test_config(url);
    return test_open(&config);
}

#define MAX_WORDS 32

static size_t test_words_list(sc_slice *words, size_t cap, va_list arguments)
{
    size_t count = 0;
    const char *word;
    while ((word = va_arg(arguments, const char *)) != NULL) {
        assert_true(count < cap);
        words[count++] = sc_text(word);
    }
    return count;
}

size_t test_words(sc_slice *words, size_t cap, ...)
{
    size_t count;
    va_list arguments;
    va_start(arguments, cap);
    count = test_words_list(words, cap, arguments);
    va_end(arguments);
    return count;
}

sc_status test_call(sc_client *client, const sc_call_options *options, sc_reply **reply, ...)
{
    sc_slice words[MAX_WORDS];
    size_t count;
    va_list arguments;
    va_start(arguments, reply);
    count = test_words_list(words, MAX_WORDS, arguments);
    va_end(arguments);
    return sc_command(client, words, count, options, reply);
}

void test_expect_integer(sc_client *client, int64_t expected, ...)
{
    sc_slice words[MAX_WORDS];
    size_t count;
    sc_reply *reply = NULL;
    int64_t number = 0;
    va_list arguments;
    va_start(arguments, expected);
    count = test_words_list(words, MAX_WORDS, arguments);
    va_end(arguments);
    assert_status(SC_OK, sc_command(client, words, count, NULL, &reply));
    assert_status(SC_OK, sc_item_integer(sc_reply_item(reply), &number));
    sc_reply_release(reply);
    assert_int_equal(number, expected);
}

void test_expect_text(sc_client *client, const char *expected, ...)
{
    sc_slice words[MAX_WORDS];
    size_t count;
    sc_reply *reply = NULL;
    sc_slice bytes;
    va_list arguments;
    va_start(arguments, expected);
    count = test_words_list(words, MAX_WORDS, arguments);
    va_end(arguments);
    assert_status(SC_OK, sc_command(client, words, count, NULL, &reply));
    assert_status(SC_OK, sc_item_bytes(sc_reply_item(reply), &bytes));
    assert_slice_text(bytes, expected);
    sc_reply_release(reply);
}

void outcome_take(void *user, sc_status status, sc_reply *reply)
{
    outcome *result = (outcome *)user;
    const sc_item *item = sc_reply_item(reply);
    sc_slice slice = sc_item_slice(item);
    result->status = status;
    result->has_reply = reply != NULL;
    result->count = sc_reply_count(reply);
    result->kind = sc_item_kind(item);
    if (result->kind == SC_INTEGER)
        (void)sc_item_integer(item, &result->integer);
    result->len = slice.len;
    if (slice.len)
        memcpy(result->text, slice.data,
               slice.len < sizeof result->text ? slice.len : sizeof result->text - 1);
    snprintf(result->words, sizeof result->words, "%s", status < 0 ? sc_error_text() : "");
    __atomic_add_fetch(&result->calls, 1, __ATOMIC_RELEASE);
}

bool outcome_is_in(const outcome *result)
{
    return __atomic_load_n(&result->calls, __ATOMIC_ACQUIRE) > 0;
}

void outcome_wait(sc_client *client, const outcome *result)
{
    int64_t end_ms = wait_now_ms() + WAIT_WATCHDOG_MS;
    while (!outcome_is_in(result)) {
        assert_status(SC_OK, sc_poll(client, POLL_TURN_MS));
        if (wait_now_ms() > end_ms)
            fail_msg("a callback did not come");
    }
}
