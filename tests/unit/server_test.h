#pragma once
/* A server without sockets, on a clock that stands, and sessions that are fed by hand. For tests
   that have the implementation in them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fault_memory.h"

#define SERVER_TEST_REPLY_BYTES 65536

typedef struct server_test {
    fault_memory memory;
    sc_clock clock;
    int64_t now_ms; /* both clocks; a test moves it */
    sc_random random;
    uint64_t random_state; /* the same numbers in each run */
    sc_server *server;
    char reply[SERVER_TEST_REPLY_BYTES];
} server_test;

static server_test test;

static int64_t server_test_monotonic_ns(void *user)
{
    return ((const server_test *)user)->now_ms * 1000000;
}

static int64_t server_test_wall_ms(void *user)
{
    return ((const server_test *)user)->now_ms;
}

/* Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016. */
static sc_status server_test_random(void *user, void *bytes, size_t len)
{
    uint64_t state = ((server_test *)user)->random_state;
    for (size_t i = 0; i < len; i++) {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        ((unsigned char *)bytes)[i] = (unsigned char)(state * UINT64_C(2685821657736338717) >> 56);
    }
    ((server_test *)user)->random_state = state;
    return SC_OK;
}

/* The configuration that tests begin with. */
static sc_server_config server_test_config(void)
{
    sc_server_config config;
    memset(&config, 0, sizeof config);
    test.clock.user = &test;
    test.clock.monotonic_ns = server_test_monotonic_ns;
    test.clock.wall_ms = server_test_wall_ms;
    test.random.user = &test;
    test.random.fill = server_test_random;
    config.memory = &test.memory.table;
    config.clock = &test.clock;
    config.random = &test.random;
    return config;
}

static inline int server_test_setup(void **state)
{
    (void)state;
    memset(&test, 0, sizeof test);
    test.now_ms = 1700000000000;
    test.random_state = 1;
    fault_memory_init(&test.memory);
    sc_server_config config = server_test_config();
    return sci_server_create(&config, &test.server) == SC_OK ? 0 : -1;
}

static inline int server_test_teardown(void **state)
{
    (void)state;
    if (test.server)
        sci_server_free(test.server);
    bool is_clean = fault_memory_is_clean(&test.memory);
    fault_memory_free(&test.memory);
    return is_clean ? 0 : -1;
}

static inline sci_session *session_new(void)
{
    sci_session *session = sci_session_open(test.server, "test", false, NULL, NULL);
    assert_non_null(session);
    return session;
}

/* What a session has to say, NUL-terminated. Taken from it. */
static inline const char *session_take(sci_session *session)
{
    sci_server_commit(test.server);
    sc_slice out = sci_session_output(session);
    assert_true(out.len < sizeof test.reply);
    if (out.len)
        memcpy(test.reply, out.data, out.len);
    test.reply[out.len] = '\0';
    sci_session_sent(session, out.len);
    return test.reply;
}

/* Feed a line of words, as a person types it, and take the answer. */
static inline const char *session_ask(sci_session *session, const char *line)
{
    char text[4096];
    int len = snprintf(text, sizeof text, "%s\r\n", line);
    assert_true(len > 0 && (size_t)len < sizeof text);
    sci_session_feed(session, sc_bytes(text, (size_t)len));
    return session_take(session);
}

#define assert_reply(session, line, expected)                                                      \
    assert_string_equal(session_ask(session, line), expected)

#define server_unit_test(function)                                                                 \
    cmocka_unit_test_setup_teardown(function, server_test_setup, server_test_teardown)
