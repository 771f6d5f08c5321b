#pragma once
/* What the tests of quorum locks share: three servers, and contenders with a client for each. */

#include "support/client_test.h"

#include <pthread.h>
#include <stdio.h>

#define SERVERS 3
#define FAR_MS 1000000000

static fixture *servers[SERVERS]; /* the first is the group's own */

typedef struct voter {
    sc_client *clients[SERVERS];
    sc_quorum *quorum;
    uint32_t losses; /* atomic */
    /* of a thread that acquires */
    pthread_t thread;
    int64_t wait_ms;
    sc_status status;
    uint32_t is_done; /* atomic */
    char words[SC_ERROR_TEXT_BYTES];
} voter;

static inline void voter_lost(void *user, sc_quorum *quorum)
{
    (void)quorum;
    __atomic_add_fetch(&((voter *)user)->losses, 1, __ATOMIC_ACQ_REL);
}

static inline uint32_t voter_losses(const voter *self)
{
    return __atomic_load_n(&self->losses, __ATOMIC_ACQUIRE);
}

/* Long lives, so that nothing ends by itself. */
static inline sc_quorum_config quorum_config(void)
{
    sc_quorum_config config;
    memset(&config, 0, sizeof config);
    config.key = sc_text("job");
    config.ttl_ms = FAR_MS;
    config.server_ms = WAIT_WATCHDOG_MS;
    config.retry_ms = 5;
    return config;
}

static inline void voter_open_at(voter *self, const char *const *urls, bool is_polled,
                                 const sc_quorum_config *config)
{
    sc_quorum_config own = *config;
    memset(self, 0, sizeof *self);
    for (size_t i = 0; i < SERVERS; i++) {
        sc_config client = test_config(urls[i]);
        client.polled = is_polled;
        client.lazy = true;
        client.backoff_min_ms = 1;
        client.backoff_max_ms = 5;
        self->clients[i] = test_open(&client);
    }
    own.on_lost = voter_lost;
    own.user = self;
    assert_status(SC_OK, sc_quorum_open(self->clients, SERVERS, &own, &self->quorum));
}

static inline void voter_open(voter *self, bool is_polled, const sc_quorum_config *config)
{
    const char *urls[SERVERS];
    for (size_t i = 0; i < SERVERS; i++)
        urls[i] = fixture_url(servers[i], test.kind);
    voter_open_at(self, urls, is_polled, config);
}

static inline void voter_close(voter *self)
{
    sc_quorum_close(self->quorum);
    for (size_t i = 0; i < SERVERS; i++)
        assert_status(SC_OK, sc_close(self->clients[i]));
}

static inline void *voter_run(void *argument)
{
    voter *self = (voter *)argument;
    self->status = sc_quorum_acquire(self->quorum, self->wait_ms);
    snprintf(self->words, sizeof self->words, "%s", sc_error_text());
    __atomic_store_n(&self->is_done, 1, __ATOMIC_RELEASE);
    return NULL;
}

static inline void voter_start(voter *self, int64_t wait_ms)
{
    self->wait_ms = wait_ms;
    self->is_done = 0;
    assert_int_equal(pthread_create(&self->thread, NULL, voter_run, self), 0);
}

static inline void voter_join(voter *self, sc_status expected)
{
    pthread_join(self->thread, NULL);
    if (self->status != expected)
        fail_msg("acquiring ended with %s (%s), not %s", sc_status_name(self->status), self->words,
                 sc_status_name(expected));
}

static inline int64_t number_at(size_t server, const char *command, const char *key)
{
    const char *const words[3] = {command, key, NULL};
    return fixture_integer(servers[server], words);
}

/* On how many servers somebody holds it. */
static inline int64_t count_held(void)
{
    int64_t count = 0;
    for (size_t i = 0; i < SERVERS; i++)
        count += number_at(i, "EXISTS", "job");
    return count;
}

static inline void block(size_t server)
{
    fixture_command(servers[server], "SET", "job", "another's", (const char *)NULL);
}

static inline void unblock(size_t server)
{
    fixture_command(servers[server], "DEL", "job", (const char *)NULL);
}

static inline int quorum_setup(void **state)
{
    for (size_t i = 1; i < SERVERS; i++)
        fixture_command(servers[i], "FLUSHALL", (const char *)NULL);
    return test_setup_bare(state);
}

static inline int quorum_group_setup(void **state)
{
    int failed = test_group_setup(state);
    servers[0] = test.server;
    for (size_t i = 1; i < SERVERS && !failed; i++) {
        servers[i] = fixture_start(NULL);
        failed = servers[i] == NULL;
    }
    return failed;
}

static inline int quorum_group_teardown(void **state)
{
    for (size_t i = 1; i < SERVERS; i++)
        fixture_free(servers[i]);
    return test_group_teardown(state);
}

#define quorum_unit_test(function)                                                                 \
    cmocka_unit_test_setup_teardown(function, quorum_setup, test_teardown_bare)

#define run_quorum_tests(name, tests)                                                              \
    (test_begin(WIRE_TCP), test_end(cmocka_run_group_tests_name(name, tests, quorum_group_setup,   \
                                                                quorum_group_teardown)))
