#pragma once
/* What the tests of elections share: candidates with counted callbacks. Only for a program that
   implements the library. */

#include "lock_test.h"

#define CANDIDATE_NAME_BYTES 64

/* A handle, and what its callbacks have said. */
typedef struct candidate {
    sc_election *election;
    uint32_t elections; /* atomic, as the next ones */
    uint32_t resignations;
    uint32_t changes;
    int64_t term;           /* atomic */
    int64_t resigned_at_ns; /* by the client's clock */
    sc_resignation reason;
    char leader[CANDIDATE_NAME_BYTES];
    int64_t leader_term;
    uint32_t holds_up; /* atomic: on_resigned does not return */
} candidate;

static inline uint32_t told(const uint32_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

static inline void tell(uint32_t *counter)
{
    __atomic_add_fetch(counter, 1, __ATOMIC_ACQ_REL);
}

static inline void candidate_elected(void *user, sc_election *election, int64_t term)
{
    candidate *self = (candidate *)user;
    (void)election;
    __atomic_store_n(&self->term, term, __ATOMIC_RELEASE);
    tell(&self->elections);
}

static inline void candidate_resigned(void *user, sc_election *election, sc_resignation reason)
{
    candidate *self = (candidate *)user;
    const sci_loop *loop = &election->client->loop;
    self->reason = reason;
    self->resigned_at_ns = sci_loop_now_ns(loop);
    tell(&self->resignations);
    while (told(&self->holds_up))
        wait_a_moment();
}

static inline void candidate_changed(void *user, sc_election *election, sc_slice name, int64_t term)
{
    candidate *self = (candidate *)user;
    (void)election;
    snprintf(self->leader, sizeof self->leader, "%.*s", (int)name.len, name.len ? name.data : "");
    self->leader_term = term;
    tell(&self->changes);
}

static inline sc_election_config election_config(const char *name)
{
    sc_election_config config;
    memset(&config, 0, sizeof config);
    config.key = sc_text("head");
    config.name = sc_text(name);
    config.poll_ms = NEVER_MS;
    config.ttl_ms = NEVER_MS;
    return config;
}

static inline void candidate_open(candidate *self, sc_client *client,
                                  const sc_election_config *config)
{
    sc_election_config own = *config;
    memset(self, 0, sizeof *self);
    own.on_elected = candidate_elected;
    own.on_resigned = candidate_resigned;
    own.on_leader_changed = candidate_changed;
    own.user = self;
    assert_status(SC_OK, sc_election_open(client, &own, &self->election));
    assert_non_null(self->election);
}

static inline void candidate_open_name(candidate *self, sc_client *client, const char *name)
{
    sc_election_config config = election_config(name);
    candidate_open(self, client, &config);
}

static inline void candidate_close(candidate *self)
{
    sc_election_close(self->election);
    self->election = NULL;
}

static inline void candidate_campaign(candidate *self)
{
    assert_status(SC_OK, sc_election_campaign(self->election));
}

/* It campaigns, was elected and has been told. */
static inline void candidate_win(candidate *self)
{
    uint32_t before = told(&self->elections);
    candidate_campaign(self);
    assert_status(SC_OK, sc_election_await(self->election, -1));
    WAIT_UNTIL(told(&self->elections) == before + 1);
}

/* The term that was told last. */
static inline int64_t candidate_term(const candidate *self)
{
    return __atomic_load_n(&self->term, __ATOMIC_ACQUIRE);
}

/* What is said from now on is heard. */
static inline bool candidate_listens(const candidate *self)
{
    sc_client *client = self->election->client;
    sci_loop_lock(&client->loop);
    bool listens = self->election->channel_listener.is_confirmed &&
                   self->election->event_listener.is_confirmed;
    sci_client_unlock(client);
    return listens;
}

/* It has been told that another leads, stands in the queue, and sleeps. */
static inline bool candidate_waits(const candidate *self)
{
    sc_lock *lock = self->election->lock;
    sci_loop_lock(&lock->client->loop);
    bool waits = lock->acquirer && lock->phase == SCI_LOCK_WAITING && lock->is_queued &&
                 lock->listener.is_confirmed;
    sci_client_unlock(lock->client);
    return waits && candidate_listens(self);
}

/* Campaign behind one that leads. */
static inline void candidate_follow(candidate *self, sc_client *client, const char *name)
{
    candidate_open_name(self, client, name);
    candidate_campaign(self);
    WAIT_UNTIL(candidate_waits(self));
}

/* Open, and lead, on a client that nobody else drives. */
static inline void candidate_lead(candidate *self, sc_client *client,
                                  const sc_election_config *config)
{
    candidate_open(self, client, config);
    candidate_campaign(self);
    assert_status(SC_OK, sc_election_await(self->election, -1));
}

/* The same on a client of its own, which is polled. */
static inline sc_client *candidate_lead_polled(candidate *self, const char *name)
{
    sc_config config = test_config(test_url());
    sc_election_config election = election_config(name);
    config.polled = true;
    sc_client *client = test_open(&config);
    candidate_lead(self, client, &election);
    return client;
}

static inline void candidate_close_all(candidate *self, sc_client *client)
{
    candidate_close(self);
    assert_status(SC_OK, sc_close(client));
}

static inline bool leader_is(candidate *self, const char *name)
{
    sc_value *leader = NULL;
    sc_status status = sc_election_leader(self->election, &leader, NULL);
    sc_slice bytes = sc_value_bytes(leader);
    bool is_it = status == SC_OK
                     ? bytes.len == strlen(name) && memcmp(bytes.data, name, bytes.len) == 0
                     : name[0] == '\0';
    sc_value_release(leader);
    return is_it;
}
