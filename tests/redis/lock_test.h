#pragma once
/* What the tests of locks share: handles with counted losses, threads that acquire, looks into a
   contender. Only for a program that implements the library. */

#include "support/client_test.h"

#include <pthread.h>
#include <stdio.h>

#define NEVER_MS 1000000000 /* so long that only a message, or the end of a lease, wakes */

/* A handle, and what its callbacks have said. */
typedef struct contender {
    sc_lock *lock;
    uint32_t losses; /* atomic */
    int64_t lost_at_ns;
    pthread_t thread;
    int64_t wait_ms;
    uint32_t is_done; /* atomic */
    sc_status status;
    int64_t fence;
    char words[SC_ERROR_TEXT_BYTES];
} contender;

static inline void contender_lost(void *user, sc_lock *lock)
{
    contender *self = (contender *)user;
    (void)lock;
    self->lost_at_ns = wait_now_ns();
    __atomic_add_fetch(&self->losses, 1, __ATOMIC_ACQ_REL);
}

static inline uint32_t contender_losses(const contender *self)
{
    return __atomic_load_n(&self->losses, __ATOMIC_ACQUIRE);
}

static inline sc_lock_config lock_config(const char *key)
{
    sc_lock_config config;
    memset(&config, 0, sizeof config);
    config.key = sc_text(key);
    config.poll_ms = NEVER_MS;
    config.ttl_ms = NEVER_MS;
    return config;
}

/* A handle that must come about; `config` without on_lost. */
static inline void contender_open(contender *self, sc_client *client, const sc_lock_config *config)
{
    sc_lock_config own = *config;
    memset(self, 0, sizeof *self);
    own.on_lost = contender_lost;
    own.user = self;
    assert_status(SC_OK, sc_lock_open(client, &own, &self->lock));
    assert_non_null(self->lock);
}

static inline void contender_open_key(contender *self, sc_client *client, const char *key)
{
    sc_lock_config config = lock_config(key);
    contender_open(self, client, &config);
}

static inline void contender_close(contender *self)
{
    sc_lock_close(self->lock);
    self->lock = NULL;
}

static inline void *contender_run(void *argument)
{
    contender *self = (contender *)argument;
    self->status = sc_lock_acquire(self->lock, self->wait_ms);
    if (self->status == SC_OK) /* else the handle may be closed */
        self->fence = sc_lock_fencing_token(self->lock);
    snprintf(self->words, sizeof self->words, "%s", sc_error_text());
    __atomic_store_n(&self->is_done, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* Acquire on a thread. */
static inline void contender_start(contender *self, int64_t wait_ms)
{
    self->wait_ms = wait_ms;
    self->is_done = 0;
    assert_int_equal(pthread_create(&self->thread, NULL, contender_run, self), 0);
}

static inline bool contender_is_done(const contender *self)
{
    return __atomic_load_n(&self->is_done, __ATOMIC_ACQUIRE) != 0;
}

static inline void contender_join(contender *self, sc_status expected)
{
    pthread_join(self->thread, NULL);
    if (self->status != expected)
        fail_msg("acquiring ended with %s (%s), not %s", sc_status_name(self->status), self->words,
                 sc_status_name(expected));
}

/* It has been told that another holds the lock, stands in the queue, and sleeps. */
static inline bool contender_sleeps(const contender *self)
{
    sc_lock *lock = self->lock;
    sci_loop_lock(&lock->client->loop);
    bool sleeps = lock->acquirer && lock->phase == SCI_LOCK_WAITING && lock->is_queued &&
                  lock->listener.is_confirmed;
    sci_client_unlock(lock->client);
    return sleeps;
}

/* The key's value must be that of a contender, or be missing. */
static inline void expect_holder(const char *key, const contender *holder)
{
    char expected[64];
    const char *reply = fixture_command(test.server, "GET", key, (const char *)NULL);
    if (holder)
        snprintf(expected, sizeof expected, "$%d\r\n%s\r\n", SCI_TOKEN_LEN, holder->lock->token);
    else
        snprintf(expected, sizeof expected, "$-1\r\n");
    assert_string_equal(reply, expected);
}

static inline int64_t fixture_number(const char *command, const char *key)
{
    const char *const words[3] = {command, key, NULL};
    return fixture_integer(test.server, words);
}

static inline uint64_t commands_of(sc_client *client)
{
    sc_stats stats;
    sc_stats_get(client, &stats);
    return stats.commands;
}

/* Another client, which shares nothing with the first. */
static inline sc_client *stranger(void)
{
    return test_open_url(test_url());
}

/* A clock that the test moves, so that no machine is too slow for it. */
static int64_t moved_ns;
static inline int64_t moved_now_ns(void *user)
{
    (void)user;
    return __atomic_load_n(&moved_ns, __ATOMIC_ACQUIRE);
}

static inline int64_t moved_wall_ms(void *user)
{
    (void)user;
    return 1000000;
}

static inline sc_client *open_with_moved_clock(void)
{
    static sc_clock clock;
    sc_config config = test_config(test_url());
    clock.monotonic_ns = moved_now_ns;
    clock.wall_ms = moved_wall_ms;
    moved_ns = 1000000000;
    config.clock = &clock;
    config.polled = true;
    config.idle_check_ms = -1;
    config.timeout_ms = -1;
    return test_open(&config);
}

/* A client of its own with such a clock, and a lock held there. */
static inline sc_client *contender_hold_by_moved_clock(contender *self, int64_t ttl_ms)
{
    sc_client *client = open_with_moved_clock();
    sc_lock_config config = lock_config("job");
    config.ttl_ms = ttl_ms;
    contender_open(self, client, &config);
    assert_status(SC_OK, sc_lock_try(self->lock));
    return client;
}

static inline void contender_close_all(contender *self, sc_client *client)
{
    contender_close(self);
    assert_status(SC_OK, sc_close(client));
}
