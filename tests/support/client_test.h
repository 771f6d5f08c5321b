#pragma once
/* What the tests on a real server share: a server a group, a client a test, and asserts with words.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smartcache.h"

#include "fault_memory.h"
#include "redis_fixture.h"
#include "wait.h"

/* Fails with the library's words. */
#define assert_status(expected, call)                                                              \
    do {                                                                                           \
        sc_status assert_got_ = (call);                                                            \
        if (assert_got_ != (expected))                                                             \
            fail_msg("%s gave %s (%s), not %s", #call, sc_status_name(assert_got_),                \
                     sc_error_text(), sc_status_name(expected));                                   \
    } while (0)

#define assert_slice_text(slice, text)                                                             \
    do {                                                                                           \
        sc_slice assert_slice_ = (slice);                                                          \
        assert_int_equal(assert_slice_.len, strlen(text));                                         \
        assert_memory_equal(assert_slice_.data, text, strlen(text));                               \
    } while (0)

#define assert_error_text_has(part)                                                                \
    do {                                                                                           \
        if (!strstr(sc_error_text(), part))                                                        \
            fail_msg("\"%s\" does not say \"%s\"", sc_error_text(), part);                         \
    } while (0)

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The state that all tests of a program share. */
typedef struct client_test {
    wire kind;
    fixture *server;
    fault_memory *memory; /* counts what `client` and others made by test_open use */
    sc_client *client;    /* opened anew for each test */
    /* Where tests go, and through what: NULL: the server's plain address, the platform's own. */
    const char *url;
    const sc_transport *transport;
    size_t descriptors; /* open before it was */
} client_test;

extern client_test test;

/* For a group: a server; each group gives the wire's kind first. */
int test_group_setup(void **state);
int test_group_teardown(void **state);
/* For a test: an empty server and a client; afterwards nothing may have leaked. */
int test_setup(void **state);
int test_teardown(void **state);
/* The same without a client. */
int test_setup_bare(void **state);
int test_teardown_bare(void **state);

#define client_unit_test(function)                                                                 \
    cmocka_unit_test_setup_teardown(function, test_setup, test_teardown)
#define bare_unit_test(function)                                                                   \
    cmocka_unit_test_setup_teardown(function, test_setup_bare, test_teardown_bare)

/* Run `tests` once over TCP and once over a Unix socket; the value for main to return. */
#define run_on_both_wires(name, tests)                                                             \
    (test_begin(WIRE_TCP),                                                                         \
     test_end(cmocka_run_group_tests_name(name " over TCP", tests, test_group_setup,               \
                                          test_group_teardown)),                                   \
     test_begin(WIRE_UNIX),                                                                        \
     test_end(cmocka_run_group_tests_name(name " over a Unix socket", tests, test_group_setup,     \
                                          test_group_teardown)))
void test_begin(wire kind);
int test_end(int failed);

/* A configuration for `url` with counted memory, and a time-out that only a hang reaches. */
sc_config test_config(const char *url);
const char *test_url(void);
/* A client that must come about. */
sc_client *test_open(const sc_config *config);
sc_client *test_open_url(const char *url);

/* sc_command on C strings, ended by (const char *)NULL. */
sc_status test_call(sc_client *client, const sc_call_options *options, sc_reply **reply, ...);
/* Must answer with this integer, string or simple string. */
void test_expect_integer(sc_client *client, int64_t expected, ...);
void test_expect_text(sc_client *client, const char *expected, ...);
/* Fill `words` from C strings; returns their number. */
size_t test_words(sc_slice *words, size_t cap, ...);

/* How an asynchronous call ended. */
#define OUTCOME_TEXT_BYTES 256
typedef struct outcome {
    uint32_t calls; /* of the callback; atomic */
    sc_status status;
    bool has_reply;
    sc_kind kind;
    int64_t integer;
    size_t count; /* top-level items */
    size_t len;
    char text[OUTCOME_TEXT_BYTES];   /* the first bytes of a string, simple string or error */
    char words[SC_ERROR_TEXT_BYTES]; /* sc_error_text */
} outcome;

/* An sc_on_reply; `user` is the outcome. */
void outcome_take(void *user, sc_status status, sc_reply *reply);
bool outcome_is_in(const outcome *result);
/* Wait for it, driving the client. Asserts. */
void outcome_wait(sc_client *client, const outcome *result);
