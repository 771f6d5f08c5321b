/* Quorum locks: opening, closing, and the calls. */

#include "coord/quorum.h"

#include "base/error.h"
#include "coord/lock.h"
#include "server/scripts.h"

SCI_PRIVATE sc_status sci_quorum_say(const sc_quorum *quorum, sc_status status, const char *what)
{
    sc_slice key = quorum->keys[1];
    return sc_fail(status, "the quorum lock \"%.*s\" %s", (int)sci_min_size(key.len, 100), key.data,
                   what);
}

/* Calls' ends. */

SCI_PRIVATE void sci_quorum_end(sc_quorum *quorum, sci_quorum_wish **wish, sc_status status)
{
    sci_quorum_wish *ending = *wish;
    if (!ending)
        return;
    *wish = NULL;
    ending->status = status;
    if (status != SC_OK)
        (void)sci_format(ending->words, sizeof ending->words, "%s", sc_error_text());
    if (ending->is_async)
        sci_list_append(&quorum->ended, &ending->link);
    ending->is_done = true; /* a blocking call looks with the mutex held */
    sci_gate_wake_all(&quorum->gate);
}

static void sci_quorum_run_wish(sc_quorum *quorum, sci_quorum_wish *wish)
{
    sc_memory memory = quorum->memory;
    if (*wish->words)
        sci_error_text_set(wish->words, strlen(wish->words));
    if (wish->on_end)
        wish->on_end(wish->user, quorum, wish->status);
    sci_free(&memory, wish, sizeof *wish);
    sci_quorum_release_reference(quorum);
}

SCI_PRIVATE void sci_quorum_tell(sc_quorum *quorum)
{
    sci_mutex_lock(&quorum->mutex);
    if (quorum->is_telling) {
        sci_mutex_unlock(&quorum->mutex);
        return;
    }
    quorum->is_telling = true;
    quorum->teller = sci_thread_self();
    for (;;) {
        bool is_lost = quorum->losses > 0 && !quorum->is_closed;
        sci_link *link = is_lost ? NULL : sci_list_take_first(&quorum->ended);
        if (is_lost)
            quorum->losses--;
        else if (!link)
            break;
        sci_mutex_unlock(&quorum->mutex);
        if (is_lost)
            quorum->config.on_lost(quorum->config.user, quorum);
        else
            sci_quorum_run_wish(quorum, SCI_CONTAINER(link, sci_quorum_wish, link));
        sci_mutex_lock(&quorum->mutex);
    }
    quorum->is_telling = false;
    quorum->teller = 0;
    sci_gate_wake_all(&quorum->gate);
    sci_mutex_unlock(&quorum->mutex);
}

/* Opening and closing. */

static size_t sci_quorum_bytes(size_t count)
{
    return sizeof(sc_quorum) + (count - 1) * sizeof(sci_quorum_member);
}

static void sci_quorum_free(sc_quorum *quorum)
{
    sc_memory memory = quorum->memory;
    for (size_t i = 0; i < quorum->count; i++) {
        sc_client *client = quorum->members[i].client;
        sci_loop_lock(&client->loop);
        sci_timer_cancel(&client->loop, &quorum->members[i].timer);
        sci_client_unlock(client);
        if (i > 0)
            sci_client_release(client);
    }
    sc_client *first = quorum->members[0].client;
    sci_bytes_free(&quorum->names);
    sci_gate_free(&quorum->gate);
    sci_mutex_free(&quorum->mutex);
    sci_fork_guard_free(&quorum->fork_guard);
    sci_free(&memory, quorum, sci_quorum_bytes(quorum->count));
    sci_client_release(first);
}

SCI_PRIVATE void sci_quorum_release_reference(sc_quorum *quorum)
{
    sci_mutex_lock(&quorum->mutex);
    bool is_last = --quorum->references == 0;
    sci_mutex_unlock(&quorum->mutex);
    if (is_last)
        sci_quorum_free(quorum);
}

static sc_status sci_quorum_configure(sc_quorum *quorum, const sc_quorum_config *given)
{
    static const char of[] = "sc_quorum_config";
    sc_quorum_config *config = &quorum->config;
    *config = *given;
    config->key = sc_bytes(NULL, 0);
    if (!config->ttl_ms)
        config->ttl_ms = SCI_QUORUM_DEFAULT_TTL_MS;
    if (!config->wait_ms)
        config->wait_ms = SCI_QUORUM_DEFAULT_WAIT_MS;
    if (!config->retry_ms)
        config->retry_ms = SCI_QUORUM_DEFAULT_RETRY_MS;
    if (!config->server_ms)
        config->server_ms = config->ttl_ms > 10 * SCI_QUORUM_MOST_SERVER_MS
                                ? SCI_QUORUM_MOST_SERVER_MS
                                : config->ttl_ms / 10 + 1;
    sc_status status =
        sci_check_ms(of, "ttl_ms", config->ttl_ms, SCI_QUORUM_LEAST_TTL_MS, INT32_MAX);
    if (status == SC_OK)
        status = sci_check_ms(of, "wait_ms", config->wait_ms, -1, INT32_MAX);
    if (status == SC_OK)
        status = sci_check_ms(of, "server_ms", config->server_ms, 1, INT32_MAX);
    if (status == SC_OK)
        status = sci_check_ms(of, "retry_ms", config->retry_ms, 1, INT32_MAX);
    return status == SC_OK ? sci_check_ms(of, "restart_ms", config->restart_ms, 0, INT32_MAX)
                           : status;
}

static sc_status sci_quorum_check(sc_client *const *clients, size_t count,
                                  const sc_quorum_config *config)
{
    if (!clients || !config || !config->key.len)
        return sc_fail(SC_ERR_ARGUMENT, "%s",
                       clients && config ? "sc_quorum_config.key is empty"
                                         : "sc_quorum_open needs clients and a config");
    if (count < 1 || count > SCI_QUORUM_MOST)
        return sc_fail(SC_ERR_ARGUMENT, "a quorum lock is over 1 to %d servers, not %zu",
                       SCI_QUORUM_MOST, count);
    for (size_t i = 0; i < count; i++) {
        if (!clients[i])
            return sc_fail(SC_ERR_ARGUMENT, "client %zu of the quorum lock is NULL", i);
        for (size_t j = 0; j < i; j++)
            if (clients[i] == clients[j])
                return sc_fail(SC_ERR_ARGUMENT, "clients %zu and %zu of the quorum lock are one", j,
                               i);
    }
    return SC_OK;
}

static sc_quorum *sci_quorum_create(sc_client *const *clients, size_t count)
{
    sc_quorum *quorum = (sc_quorum *)sci_alloc_zeroed(&clients[0]->memory, sci_quorum_bytes(count));
    if (!quorum)
        return NULL;
    quorum->memory = clients[0]->memory;
    quorum->clock = clients[0]->loop.clock;
    quorum->references = 1;
    quorum->count = count;
    quorum->need = count / 2 + 1;
    for (size_t i = 0; i < count; i++) {
        sci_client_retain(clients[i]);
        sci_quorum_member_init(&quorum->members[i], quorum, clients[i]);
    }
    sci_bytes_init(&quorum->names, &quorum->memory);
    sci_list_init(&quorum->ended);
    sci_mutex_init(&quorum->mutex);
    sci_gate_init(&quorum->gate);
    sci_fork_guard_init(&quorum->fork_guard);
    sci_script_init(&quorum->scripts[SCI_QUORUM_LOCK], SCI_SCRIPT_LOCK);
    sci_script_init(&quorum->scripts[SCI_QUORUM_FENCE], SCI_SCRIPT_FENCE);
    sci_renewal_init(&quorum->scripts[SCI_QUORUM_RENEW]);
    sci_script_init(&quorum->scripts[SCI_QUORUM_LEAVE], SCI_SCRIPT_UNLOCK);
    return quorum;
}

SC_API sc_status sc_quorum_open(sc_client *const *clients, size_t count,
                                const sc_quorum_config *config, sc_quorum **quorum)
{
    *quorum = NULL;
    sc_status status = sci_quorum_check(clients, count, config);
    sc_quorum *created = status == SC_OK ? sci_quorum_create(clients, count) : NULL;
    if (!created)
        return status == SC_OK ? SC_ERR_MEMORY : status;
    status = sci_quorum_configure(created, config);
    if (status == SC_OK)
        status = sci_lock_name_keys(&created->names, config->key, created->keys, &created->wake);
    if (status == SC_OK)
        *quorum = created;
    else
        sci_quorum_free(created);
    return status;
}

/* The child holds nothing, and calls under way are the parent's. Its clients begin anew, too. */
static void sci_quorum_after_fork(sc_quorum *quorum)
{
    sci_fork_guard_reset(&quorum->fork_guard);
    sci_mutex_init(&quorum->mutex);
    sci_gate_init(&quorum->gate);
    sci_list_init(&quorum->ended);
    quorum->references = 1;
    quorum->acquirer = quorum->releaser = quorum->extender = quorum->closer = NULL;
    quorum->phase = SCI_QUORUM_RESTING;
    quorum->losses = 0;
    quorum->is_lost = quorum->is_telling = false;
    *quorum->next_token = '\0';
    quorum->round++;
    for (size_t i = 0; i < quorum->count; i++)
        sci_quorum_member_init(&quorum->members[i], quorum, quorum->members[i].client);
}

/* SC_ERR_DEADLOCK: a callback of one of the clients, which is to run what the call waits for. */
static sc_status sci_quorum_check_thread(const sc_quorum *quorum)
{
    for (size_t i = 0; i < quorum->count; i++) {
        sc_client *client = quorum->members[i].client;
        if (sci_client_enter(client) != SC_OK)
            continue;
        bool is_callback = client->loop.dispatcher == sci_thread_self();
        sci_client_leave(client);
        if (is_callback)
            return sci_quorum_say(quorum, SC_ERR_DEADLOCK,
                                  "cannot be waited for in a callback of its clients");
    }
    return SC_OK;
}

/* The calls. */

/* What is asked of a quorum lock, mutex held. SC_PENDING: `wish` will be ended. */
typedef sc_status (*sci_quorum_start)(sc_quorum *quorum, sci_quorum_wish *wish, int64_t ms);

/* Drive the clients that have no thread of their own, a short turn each. False: all have one. */
static bool sci_quorum_drive(const sc_quorum *quorum)
{
    bool has_driven = false;
    for (size_t i = 0; i < quorum->count; i++) {
        sc_client *client = quorum->members[i].client;
        if (sci_client_enter(client) != SC_OK)
            continue;
        bool has_thread = client->has_thread;
        sci_client_leave(client);
        if (has_thread)
            continue;
        has_driven = true;
        (void)sc_poll(client, 1);
    }
    return has_driven;
}

static sc_status sci_quorum_await(sc_quorum *quorum, sci_quorum_wish *wish)
{
    sci_mutex_lock(&quorum->mutex);
    while (!wish->is_done) {
        uint32_t ticket = sci_gate_ticket(&quorum->gate);
        sci_mutex_unlock(&quorum->mutex);
        if (!sci_quorum_drive(quorum))
            sci_gate_wait(&quorum->gate, ticket, -1);
        sci_mutex_lock(&quorum->mutex);
    }
    sci_mutex_unlock(&quorum->mutex);
    if (*wish->words)
        sci_error_text_set(wish->words, strlen(wish->words));
    return wish->status;
}

static sc_status sci_quorum_enter(sc_quorum *quorum)
{
    if (!quorum)
        return sc_fail(SC_ERR_ARGUMENT, "the quorum lock is NULL");
    if (sci_fork_guard_is_child(&quorum->fork_guard))
        sci_quorum_after_fork(quorum);
    return SC_OK;
}

static sc_status sci_quorum_wait_for(sc_quorum *quorum, sci_quorum_start start, int64_t ms)
{
    sci_quorum_wish wish;
    sc_status status = sci_quorum_enter(quorum);
    if (status == SC_OK)
        status = sci_quorum_check_thread(quorum);
    if (status != SC_OK)
        return status;
    memset(&wish, 0, sizeof wish);
    sci_mutex_lock(&quorum->mutex);
    status = start(quorum, &wish, ms);
    sci_mutex_unlock(&quorum->mutex);
    sci_quorum_advance(quorum);
    return status == SC_PENDING ? sci_quorum_await(quorum, &wish) : status;
}

static sc_status sci_quorum_begin(sc_quorum *quorum, sci_quorum_start start, int64_t ms,
                                  sc_on_quorum on_end, void *user)
{
    sc_status status = sci_quorum_enter(quorum);
    if (status != SC_OK)
        return status;
    sci_quorum_wish *wish =
        (sci_quorum_wish *)sci_alloc_zeroed(&quorum->memory, sizeof(sci_quorum_wish));
    if (!wish)
        return SC_ERR_MEMORY;
    wish->is_async = true;
    wish->on_end = on_end;
    wish->user = user;
    sci_list_init(&wish->link);
    sci_mutex_lock(&quorum->mutex);
    status = start(quorum, wish, ms);
    if (status >= 0)
        quorum->references++;
    if (status >= 0 && status != SC_PENDING) {
        sci_quorum_wish *ended = wish;
        sci_quorum_end(quorum, &ended, status);
    }
    sci_mutex_unlock(&quorum->mutex);
    if (status < 0)
        sci_free(&quorum->memory, wish, sizeof *wish);
    else
        sci_quorum_advance(quorum);
    return status < 0 ? status : SC_OK;
}

static sc_status sci_quorum_start_acquire(sc_quorum *quorum, sci_quorum_wish *wish, int64_t wait_ms)
{
    int64_t now_ns = sci_quorum_now_ns(quorum);
    if (quorum->acquirer)
        return sci_quorum_say(quorum, SC_ERR_ARGUMENT,
                              "is being acquired by this handle: give each thread its own");
    if (sci_quorum_is_held(quorum, now_ns))
        return sci_quorum_say(quorum, SC_ERR_DEADLOCK, "is held by this handle already");
    quorum->is_lost = false;
    quorum->acquirer = wish;
    quorum->failures = 0;
    quorum->next_round_ns = now_ns;
    quorum->deadline_ns =
        wait_ms < 0 || wait_ms > INT32_MAX ? SCI_NEVER : now_ns + wait_ms * SCI_NS_PER_MS;
    return SC_PENDING;
}

static sc_status sci_quorum_not_held(const sc_quorum *quorum)
{
    return sci_quorum_say(quorum, quorum->is_lost ? SC_LOST : SC_ERR_ARGUMENT,
                          "is not held by this handle");
}

static void sci_quorum_cancel(sc_quorum *quorum)
{
    if (!quorum->acquirer)
        return;
    if (quorum->phase != SCI_QUORUM_RESTING)
        sci_quorum_leave(quorum);
    sci_quorum_end(quorum, &quorum->acquirer,
                   sci_quorum_say(quorum, SC_ERR_CANCELLED, "is not wanted any more"));
}

static sc_status sci_quorum_start_release(sc_quorum *quorum, sci_quorum_wish *wish,
                                          int64_t unused_ms)
{
    (void)unused_ms;
    if (quorum->acquirer) {
        sci_quorum_cancel(quorum);
        return SC_OK;
    }
    if (!sci_quorum_is_held(quorum, sci_quorum_now_ns(quorum)))
        return sci_quorum_not_held(quorum);
    sci_quorum_end(quorum, &quorum->extender,
                   sci_quorum_say(quorum, SC_LOST, "was given back meanwhile"));
    quorum->releaser = wish;
    quorum->failure = SC_OK;
    sci_quorum_leave(quorum);
    return SC_PENDING;
}

static sc_status sci_quorum_start_extend(sc_quorum *quorum, sci_quorum_wish *wish, int64_t ttl_ms)
{
    if (!ttl_ms)
        ttl_ms = quorum->config.ttl_ms;
    sc_status status =
        sci_check_ms("sc_quorum_extend", "ttl_ms", ttl_ms, SCI_QUORUM_LEAST_TTL_MS, INT32_MAX);
    if (status != SC_OK)
        return status;
    if (!sci_quorum_is_held(quorum, sci_quorum_now_ns(quorum)))
        return sci_quorum_not_held(quorum);
    if (quorum->extender)
        return sci_quorum_say(quorum, SC_ERR_ARGUMENT, "is being extended by another call");
    quorum->extender = wish;
    quorum->next_life_ms = ttl_ms;
    quorum->is_renewing = false; /* what was under way has another life */
    return SC_PENDING;
}

static int64_t sci_quorum_wait_ms(const sc_quorum *quorum, int64_t wait_ms)
{
    return quorum && !wait_ms ? quorum->config.wait_ms : wait_ms;
}

/* The clients may be closed right afterwards, and what they have not sent by then is dropped. */
static void sci_quorum_await_farewells(sc_quorum *quorum)
{
    sci_quorum_wish wish;
    if (sci_quorum_check_thread(quorum) != SC_OK)
        return;
    memset(&wish, 0, sizeof wish);
    sci_mutex_lock(&quorum->mutex);
    quorum->closer = &wish;
    sci_quorum_decide(quorum, sci_quorum_now_ns(quorum));
    sci_mutex_unlock(&quorum->mutex);
    (void)sci_quorum_await(quorum, &wish);
}

SC_API void sc_quorum_close(sc_quorum *quorum)
{
    if (!quorum)
        return;
    if (sci_quorum_enter(quorum) != SC_OK)
        return;
    if (sc_quorum_remaining_ms(quorum) > 0 && sc_quorum_release(quorum) == SC_ERR_DEADLOCK)
        (void)sc_quorum_release_async(quorum, NULL, NULL);
    sci_mutex_lock(&quorum->mutex);
    quorum->is_closed = true;
    sci_quorum_cancel(quorum);
    for (size_t i = 0; i < quorum->count; i++) { /* for the last time */
        sci_quorum_member *member = &quorum->members[i];
        member->leaves = member->leaves || member->leave_at_ns;
        member->leave_at_ns = 0;
    }
    while (quorum->is_telling && quorum->teller != sci_thread_self()) {
        uint32_t ticket = sci_gate_ticket(&quorum->gate);
        sci_mutex_unlock(&quorum->mutex);
        sci_gate_wait(&quorum->gate, ticket, -1);
        sci_mutex_lock(&quorum->mutex);
    }
    sci_mutex_unlock(&quorum->mutex);
    sci_quorum_advance(quorum);
    sci_quorum_await_farewells(quorum);
    sci_quorum_release_reference(quorum);
}

SC_API sc_status sc_quorum_acquire(sc_quorum *quorum, int64_t wait_ms)
{
    return sci_quorum_wait_for(quorum, sci_quorum_start_acquire,
                               sci_quorum_wait_ms(quorum, wait_ms));
}

SC_API sc_status sc_quorum_try(sc_quorum *quorum)
{
    return sci_quorum_wait_for(quorum, sci_quorum_start_acquire, 0);
}

SC_API sc_status sc_quorum_release(sc_quorum *quorum)
{
    return sci_quorum_wait_for(quorum, sci_quorum_start_release, 0);
}

SC_API sc_status sc_quorum_extend(sc_quorum *quorum, int64_t ttl_ms)
{
    return sci_quorum_wait_for(quorum, sci_quorum_start_extend, ttl_ms);
}

SC_API sc_status sc_quorum_acquire_async(sc_quorum *quorum, int64_t wait_ms, sc_on_quorum on_end,
                                         void *user)
{
    return sci_quorum_begin(quorum, sci_quorum_start_acquire, sci_quorum_wait_ms(quorum, wait_ms),
                            on_end, user);
}

SC_API sc_status sc_quorum_try_async(sc_quorum *quorum, sc_on_quorum on_end, void *user)
{
    return sci_quorum_begin(quorum, sci_quorum_start_acquire, 0, on_end, user);
}

SC_API sc_status sc_quorum_release_async(sc_quorum *quorum, sc_on_quorum on_end, void *user)
{
    return sci_quorum_begin(quorum, sci_quorum_start_release, 0, on_end, user);
}

SC_API sc_status sc_quorum_extend_async(sc_quorum *quorum, int64_t ttl_ms, sc_on_quorum on_end,
                                        void *user)
{
    return sci_quorum_begin(quorum, sci_quorum_start_extend, ttl_ms, on_end, user);
}

/* The state without a word to anybody. */
static int64_t sci_quorum_look_at(sc_quorum *quorum, bool wants_fence)
{
    if (sci_quorum_enter(quorum) != SC_OK)
        return 0;
    sci_mutex_lock(&quorum->mutex);
    int64_t left_ns =
        quorum->phase == SCI_QUORUM_HELD ? quorum->until_ns - sci_quorum_now_ns(quorum) : 0;
    int64_t fence = left_ns > 0 ? quorum->fence : 0;
    sci_mutex_unlock(&quorum->mutex);
    return wants_fence ? fence : sci_max_i64(left_ns, 0) / SCI_NS_PER_MS;
}

SC_API int64_t sc_quorum_remaining_ms(sc_quorum *quorum)
{
    return sci_quorum_look_at(quorum, false);
}

SC_API int64_t sc_quorum_fencing_token(sc_quorum *quorum)
{
    return sci_quorum_look_at(quorum, true);
}
