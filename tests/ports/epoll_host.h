#pragma once
/* A host with an event loop of its own: it waits on the client's one descriptor, for ever, and makes
   the one call when it is readable. Nothing else drives the client, and no deadline helps out: a lost
   wake-up is a host that waits until the watchdog ends it. */

#include "smartcache_epoll.h"

#include "client_test.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A descriptor is expected to be quiet after so many calls at most. */
#define QUIET_RUNS 100

/* --- the host */

typedef struct host {
    sc_client *client;
    int fd;        /* of the client */
    int bell;      /* of the host: callbacks that run on other threads ring it */
    size_t runs;   /* calls of sc_epoll_run */
    size_t others; /* times that something else than the client woke it */
} host;

static inline sc_config host_config(sc_poller *poller)
{
    sc_config config = test_config(test_url());
    sc_epoll_poller(poller);
    config.poller = poller;
    config.polled = true;
    config.timeout_ms = -1;
    config.idle_check_ms = -1;
    config.backoff_min_ms = 1;
    config.backoff_max_ms = 10;
    return config;
}

static inline host host_start(const sc_config *config)
{
    host self;
    memset(&self, 0, sizeof self);
    self.client = test_open(config);
    self.fd = sc_epoll_fd(self.client);
    self.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(self.fd >= 0);
    assert_true(self.bell >= 0);
    return self;
}

static inline host host_open(void)
{
    sc_poller poller;
    sc_config config = host_config(&poller);
    return host_start(&config);
}

static inline void host_close(host *self)
{
    assert_status(SC_OK, sc_close(self->client));
    close(self->bell);
}

/* Any thread. */
static inline void host_ring(const host *self)
{
    const uint64_t one = 1;
    if (write(self->bell, &one, sizeof one) != (ssize_t)sizeof one)
        abort();
}

/* One turn of the host's loop, which waits for ever. */
static inline void host_turn(host *self)
{
    struct pollfd looked[2];
    uint64_t rung;
    memset(looked, 0, sizeof looked);
    looked[0].fd = self->fd;
    looked[0].events = POLLIN;
    looked[1].fd = self->bell;
    looked[1].events = POLLIN;
    int ready = poll(looked, 2, WAIT_WATCHDOG_MS);
    if (ready == 0)
        fail_msg("a wake-up is lost: the client's descriptor stays unreadable");
    if (looked[1].revents) {
        self->others++;
        assert_int_equal(read(self->bell, &rung, sizeof rung), sizeof rung);
    }
    if (looked[0].revents) {
        self->runs++;
        assert_status(SC_OK, sc_epoll_run(self->client));
    }
}

#define HOST_UNTIL(self, condition)                                                                \
    do {                                                                                           \
        while (!(condition))                                                                       \
            host_turn(self);                                                                       \
    } while (0)

static inline bool host_is_readable(const host *self)
{
    struct pollfd looked;
    memset(&looked, 0, sizeof looked);
    looked.fd = self->fd;
    looked.events = POLLIN;
    return poll(&looked, 1, 0) == 1;
}

/* What is due is done, and then the loop may sleep. */
static inline void host_until_quiet(host *self)
{
    size_t runs = 0;
    while (host_is_readable(self)) {
        if (runs++ == QUIET_RUNS)
            fail_msg("the descriptor is readable for ever");
        host_turn(self);
    }
}

/* --- commands */

/* Asynchronous commands and how many have ended how. */
typedef struct tally {
    host *loop;
    uint32_t started;
    uint32_t wanted;  /* callbacks start more until so many were started */
    uint32_t ended;   /* atomic */
    sc_status status; /* the last that was not SC_OK */
    pthread_t thread;
    const char *words[3];
} tally;

static inline uint32_t tally_ended(const tally *self)
{
    return __atomic_load_n(&self->ended, __ATOMIC_ACQUIRE);
}

static inline void tally_start(tally *self, const sc_call_options *options, sc_on_reply on_reply)
{
    sc_slice argv[3];
    size_t argc = 0;
    while (argc < 3 && self->words[argc]) {
        argv[argc] = sc_text(self->words[argc]);
        argc++;
    }
    self->started++;
    assert_status(SC_OK, sc_command_async(self->loop->client, argv, argc, options, on_reply, self));
}

static inline void tally_take(void *user, sc_status status, sc_reply *reply)
{
    tally *self = (tally *)user;
    (void)reply;
    if (status != SC_OK)
        self->status = status;
    __atomic_add_fetch(&self->ended, 1, __ATOMIC_ACQ_REL);
    host_ring(self->loop);
}

static inline tally tally_of(host *loop, const char *command, const char *key)
{
    tally self;
    memset(&self, 0, sizeof self);
    self.loop = loop;
    self.words[0] = command;
    self.words[1] = key;
    return self;
}

static inline void take_and_start_another(void *user, sc_status status, sc_reply *reply)
{
    tally *self = (tally *)user;
    tally_take(user, status, reply);
    if (self->started < self->wanted)
        tally_start(self, NULL, take_and_start_another);
}
