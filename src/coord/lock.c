/* Locks: opening, closing, and the calls. */

#include "coord/lock.h"

#include "base/error.h"
#include "base/number.h"
#include "client/conn.h"
#include "server/scripts.h"

SCI_PRIVATE sc_status sci_lock_say(const sc_lock *lock, sc_status status, const char *what)
{
    sc_slice key = lock->names.keys[1];
    return sc_fail(status, "the lock \"%.*s\" %s", (int)sci_min_size(key.len, 100), key.data, what);
}

/* Calls' ends. */

static void sci_wish_run(sci_post *post)
{
    sci_wish *wish = SCI_CONTAINER(post, sci_wish, post);
    sc_lock *lock = wish->lock;
    sc_client *client = lock->client;
    sc_slice words = sc_value_bytes(wish->words);
    if (words.len)
        sci_error_text_set(words.data, words.len);
    if (wish->on_end)
        wish->on_end(wish->user, lock, wish->status);
    sc_value_release(wish->words);
    sci_client_retain(client);
    sci_loop_lock(&client->loop);
    sci_free(&client->memory, wish, sizeof *wish);
    sci_lock_release_reference(lock);
    sci_client_unlock(client);
    sci_client_release(client);
}

SCI_PRIVATE void sci_lock_changed(sc_lock *lock)
{
    if (lock->changed)
        lock->changed(lock);
}

SCI_PRIVATE void sci_wish_end(sc_lock *lock, sci_wish **wish, sc_status status)
{
    sci_wish *ending = *wish;
    if (!ending)
        return;
    *wish = NULL;
    ending->status = status;
    ending->is_done = true;
    if (status != SC_OK)
        (void)sc_value_create(&lock->client->memory, sc_text(sc_error_text()), &ending->words);
    if (ending->is_async)
        sci_loop_post(&lock->client->loop, &ending->post);
    else
        sci_waiter_finish(lock->client, &ending->waiter);
    sci_lock_changed(lock);
}

/* Locked on entry and exit. */
static sc_status sci_wish_await(sc_client *client, sci_wish *wish)
{
    while (!wish->is_done)
        (void)sci_waiter_wait_locked(client, &wish->waiter, SCI_NEVER);
    sc_slice words = sc_value_bytes(wish->words);
    if (words.len)
        sci_error_text_set(words.data, words.len);
    sc_value_release(wish->words);
    return wish->status;
}

/* What is asked of a lock. `wish` is not ended before this returns an error, and then never. */
typedef sc_status (*sci_lock_start)(sc_lock *lock, sci_wish *wish, int64_t ms);

static sc_status sci_lock_call(sc_lock *lock, sci_lock_start start, int64_t ms)
{
    sci_wish wish;
    sci_gate gate; /* thousands may wait, of whom a release wakes one */
    sc_client *client = lock ? lock->client : NULL;
    sc_status status = sci_client_enter(client);
    if (status != SC_OK)
        return status;
    memset(&wish, 0, sizeof wish);
    sci_gate_init(&gate);
    sci_waiter_init(&wish.waiter, 0);
    wish.waiter.own_gate = &gate;
    status = start(lock, &wish, ms);
    if (status == SC_PENDING)
        status = sci_wish_await(client, &wish);
    sci_gate_free(&gate);
    sci_client_leave_call(client);
    return status;
}

static sc_status sci_lock_call_async(sc_lock *lock, sci_lock_start start, int64_t ms,
                                     sc_on_lock on_end, void *user)
{
    sc_client *client = lock ? lock->client : NULL;
    sci_wish *wish = client ? (sci_wish *)sci_alloc_zeroed(&client->memory, sizeof *wish) : NULL;
    if (client && !wish)
        return SC_ERR_MEMORY;
    sc_status status = sci_client_enter(client);
    if (status != SC_OK) {
        if (client)
            sci_free(&client->memory, wish, sizeof *wish);
        return status;
    }
    wish->is_async = true;
    wish->lock = lock;
    wish->on_end = on_end;
    wish->user = user;
    wish->post.run = sci_wish_run;
    sci_list_init(&wish->post.link);
    lock->references++;
    status = start(lock, wish, ms);
    if (status >= 0 && status != SC_PENDING) {
        sci_wish *ended = wish;
        sci_wish_end(lock, &ended, status);
    } else if (status < 0) {
        sci_free(&client->memory, wish, sizeof *wish);
        lock->references--;
    }
    sci_client_leave(client);
    return status < 0 ? status : SC_OK;
}

/* Opening and closing. */

SCI_PRIVATE void sci_lock_release_reference(sc_lock *lock)
{
    sc_client *client = lock->client;
    if (--lock->references > 0)
        return;
    sci_list_remove(&lock->close_hook.link);
    sci_list_remove(&lock->fork_hook.link);
    sci_bytes_free(&lock->names.block);
    sci_free(&client->memory, lock, sizeof *lock);
    sci_client_release(client);
}

static void sci_lock_leaving(sci_close_hook *hook)
{
    sc_lock *lock = SCI_CONTAINER(hook, sc_lock, close_hook);
    lock->is_hasty = true;
    if (lock->is_held)
        sci_lock_leave(lock);
    else
        sci_lock_cancel(lock, sc_fail(SC_ERR_CLOSED, "the client was closed"));
}

static void sci_lock_closing(sci_close_hook *hook)
{
    sci_lock_stop(SCI_CONTAINER(hook, sc_lock, close_hook));
}

/* The child holds nothing, and calls under way are the parent's. The loop's timers are gone. */
static void sci_lock_forked(sci_fork_hook *hook)
{
    sc_lock *lock = SCI_CONTAINER(hook, sc_lock, fork_hook);
    lock->references = lock->is_closed ? 0 : 1;
    lock->acquirer = lock->releaser = lock->extender = NULL;
    lock->is_asking = lock->is_leaving = lock->is_renewing = lock->is_stale = false;
    lock->leaves_again = false;
    lock->renews_again = lock->is_held = lock->is_lost = lock->is_telling = false;
    lock->losses = 0;
    lock->has_id = false;
    sci_list_init(&lock->lost_post.link);
    memset(&lock->wait_timer.node, 0, sizeof lock->wait_timer.node);
    memset(&lock->hold_timer.node, 0, sizeof lock->hold_timer.node);
    sci_listener_remove(lock->client, &lock->listener);
}

static void sci_lock_tell_lost(sci_post *post)
{
    sc_lock *lock = SCI_CONTAINER(post, sc_lock, lost_post);
    sc_client *client = lock->client;
    sci_client_retain(client);
    sci_loop_lock(&client->loop);
    for (; lock->losses > 0 && !lock->is_closed; lock->losses--) {
        lock->is_telling = true;
        sci_client_unlock(client);
        lock->config.on_lost(lock->config.user, lock);
        sci_loop_lock(&client->loop);
        lock->is_telling = false;
        if (lock->telling_waiter)
            sci_waiter_finish(client, lock->telling_waiter);
    }
    sci_lock_release_reference(lock);
    sci_client_unlock(client);
    sci_client_release(client);
}

static sc_status sci_lock_configure(sc_lock *lock, const sc_lock_config *given)
{
    static const char of[] = "sc_lock_config";
    sc_lock_config *config = &lock->config;
    *config = *given;
    config->key = sc_bytes(NULL, 0);
    if (!config->ttl_ms)
        config->ttl_ms = SCI_LOCK_DEFAULT_TTL_MS;
    if (!config->wait_ms)
        config->wait_ms = SCI_LOCK_DEFAULT_WAIT_MS;
    if (!config->poll_ms)
        config->poll_ms = SCI_LOCK_DEFAULT_POLL_MS;
    sc_status status = sci_check_ms(of, "ttl_ms", config->ttl_ms, SCI_LOCK_LEAST_TTL_MS, INT32_MAX);
    if (status == SC_OK)
        status = sci_check_ms(of, "wait_ms", config->wait_ms, -1, INT32_MAX);
    if (status == SC_OK)
        status = sci_check_ms(of, "poll_ms", config->poll_ms, 1, INT32_MAX);
    (void)sci_i64_to_text(config->ttl_ms, lock->ttl_text);
    (void)sci_i64_to_text(config->poll_ms * SCI_LOCK_PLACE_POLLS, lock->place_text);
    return status;
}

SCI_PRIVATE sc_status sci_lock_name_keys(sci_bytes *block, sc_slice key, sc_slice keys[4],
                                         sc_slice *wake)
{
    static const char *const kinds[] = {"sc:fence", "sc:queue", "sc:alive", "sc:wake"};
    sc_slice made[1 + SCI_COUNT(kinds)];
    sc_status status = sci_names_build(block, key, kinds, SCI_COUNT(kinds), made);
    if (status != SC_OK)
        return status;
    keys[0] = made[1];
    keys[1] = made[0];
    keys[2] = made[2];
    keys[3] = made[3];
    *wake = made[4];
    return SC_OK;
}

static sc_status sci_lock_name(sc_lock *lock, sc_slice key)
{
    char no_id[SCI_TOKEN_LEN + 1];
    sci_lock_names *names = &lock->names;
    sci_bytes_init(&names->block, &lock->client->memory);
    memset(no_id, '-', sizeof no_id);
    /* the slices stay true since nothing moves */
    sc_status status = sci_bytes_reserve(
        &names->block, SCI_LOCK_NAMES * (key.len + SCI_NAME_BYTES) + SCI_TOKEN_LEN);
    if (status == SC_OK)
        status = sci_lock_name_keys(&names->block, key, names->keys, &names->wake);
    if (status == SC_OK)
        status = sci_bytes_append(&names->block, sc_bytes(no_id, SCI_TOKEN_LEN));
    if (status != SC_OK)
        return status;
    names->id = sc_bytes(names->wake.data + names->wake.len, SCI_TOKEN_LEN);
    return SC_OK;
}

static sc_lock *sci_lock_create(sc_client *client)
{
    sc_lock *lock = (sc_lock *)sci_alloc_zeroed(&client->memory, sizeof *lock);
    if (!lock)
        return NULL;
    lock->client = client;
    lock->references = 1;
    sci_client_retain(client);
    lock->close_hook.leaving = sci_lock_leaving;
    lock->close_hook.closing = sci_lock_closing;
    lock->fork_hook.forked = sci_lock_forked;
    lock->wait_timer.fire = sci_lock_fire_wait;
    lock->hold_timer.fire = sci_lock_fire_hold;
    lock->listener.event = sci_lock_listen_event;
    lock->lost_post.run = sci_lock_tell_lost;
    sci_list_init(&lock->close_hook.link);
    sci_list_init(&lock->fork_hook.link);
    sci_list_init(&lock->lost_post.link);
    lock->token = lock->own_token;
    lock->token_len = SCI_TOKEN_LEN;
    return lock;
}

SCI_PRIVATE sc_status sci_lock_make(sc_client *client, const sc_lock_config *config,
                                    const char *take, const char *give, const char *renew,
                                    sc_lock **lock)
{
    *lock = NULL;
    if (!client || !config || !config->key.len)
        return sc_fail(SC_ERR_ARGUMENT, "%s",
                       client ? "sc_lock_config.key is empty" : "the client is NULL");
    sc_lock *created = sci_lock_create(client);
    if (!created)
        return SC_ERR_MEMORY;
    sci_script_init(&created->scripts[0], take);
    sci_script_init(&created->scripts[1], give);
    if (renew)
        sci_script_init(&created->scripts[2], renew);
    else
        sci_renewal_init(&created->scripts[2]);
    sc_status status = sci_lock_configure(created, config);
    if (status == SC_OK)
        status = sci_lock_name(created, config->key);
    if (status == SC_OK)
        status = sci_client_enter(client);
    if (status != SC_OK) {
        sci_lock_release_reference(created);
        return status;
    }
    sci_list_append(&client->close_hooks, &created->close_hook.link);
    sci_list_append(&client->fork_hooks, &created->fork_hook.link);
    sci_client_leave(client);
    *lock = created;
    return SC_OK;
}

SC_API sc_status sc_lock_open(sc_client *client, const sc_lock_config *config, sc_lock **lock)
{
    return sci_lock_make(client, config, SCI_SCRIPT_LOCK, SCI_SCRIPT_UNLOCK, NULL, lock);
}

/* At most `limit` hold it. */
static sc_status sci_lock_open_shared(sc_client *client, const sc_lock_config *config,
                                      int64_t limit, sc_lock **lock)
{
    sc_status status = sci_lock_make(client, config, SCI_SCRIPT_SHARE, SCI_SCRIPT_UNSHARE,
                                     SCI_SCRIPT_RENEW_SHARE, lock);
    if (status != SC_OK)
        return status;
    (*lock)->is_shared = true;
    (void)sci_i64_to_text(limit, (*lock)->limit_text);
    (void)sci_i64_to_text((*lock)->config.interop ? (*lock)->config.ttl_ms : 0,
                          (*lock)->shift_text);
    return SC_OK;
}

SC_API sc_status sc_semaphore_open(sc_client *client, const sc_lock_config *config, int64_t permits,
                                   sc_lock **lock)
{
    *lock = NULL;
    if (permits < 1 || permits > INT32_MAX)
        return sc_fail(SC_ERR_ARGUMENT, "%lld permits: a semaphore has 1 or more",
                       (long long)permits);
    return sci_lock_open_shared(client, config, permits, lock);
}

/* Readers are any number, unless a writer is there; a writer is the only one. In the order of their
   coming, since readers that pass by would keep writers out for ever. */
SC_API sc_status sc_rwlock_open(sc_client *client, const sc_lock_config *config, bool writes,
                                sc_lock **lock)
{
    sc_status status = sci_lock_open_shared(client, config, writes ? 1 : INT32_MAX, lock);
    if (status != SC_OK)
        return status;
    (*lock)->is_writer = writes;
    (*lock)->config.fair = true;
    return SC_OK;
}

/* Locked: wait until on_lost, which runs on another thread, has returned. */
static void sci_lock_await_telling(sc_lock *lock)
{
    sc_client *client = lock->client;
    sci_waiter waiter;
    if (!lock->is_telling || client->loop.dispatcher == sci_thread_self())
        return;
    sci_waiter_init(&waiter, 0);
    lock->telling_waiter = &waiter;
    while (lock->is_telling && !sci_waiter_wait_locked(client, &waiter, SCI_NEVER) &&
           !client->is_closing)
        continue;
    lock->telling_waiter = NULL;
}

SC_API void sc_lock_close(sc_lock *lock)
{
    if (!lock)
        return;
    sc_client *client = lock->client;
    sci_client_retain(client);
    if (sci_client_enter(client) == SC_OK) {
        bool is_held = sci_lock_is_held(lock);
        lock->depth = 1;
        sci_client_leave(client);
        if (is_held)
            (void)sc_lock_release(lock);
    }
    sci_loop_lock(&client->loop);
    lock->is_closed = true;
    sci_lock_cancel(lock, sci_lock_say(lock, SC_ERR_CANCELLED, "is not wanted any more"));
    sci_lock_await_telling(lock);
    sci_listener_remove(client, &lock->listener);
    sci_lock_release_reference(lock);
    sci_client_unlock(client);
    sci_client_release(client);
}

/* The calls. */

static sc_status sci_lock_start_acquire(sc_lock *lock, sci_wish *wish, int64_t wait_ms)
{
    if (lock->acquirer)
        return sci_lock_say(lock, SC_ERR_ARGUMENT,
                            "is being acquired by this handle: give each thread its own");
    if (sci_lock_is_held(lock) && !lock->config.reentrant)
        return sci_lock_say(lock, SC_ERR_DEADLOCK,
                            "is held by this handle already (sc_lock_config.reentrant)");
    if (lock->is_held) {
        lock->depth++;
        return SC_OK;
    }
    if (wait_ms > INT32_MAX)
        wait_ms = -1;
    lock->deadline_ns =
        wait_ms < 0 ? SCI_NEVER : sci_loop_now_ns(&lock->client->loop) + wait_ms * SCI_NS_PER_MS;
    lock->acquirer = wish;
    sci_lock_begin(lock);
    return SC_PENDING;
}

static sc_status sci_lock_not_held(sc_lock *lock)
{
    return sci_lock_say(lock, lock->is_lost ? SC_LOST : SC_ERR_ARGUMENT,
                        "is not held by this handle");
}

static sc_status sci_lock_start_release(sc_lock *lock, sci_wish *wish, int64_t unused_ms)
{
    (void)unused_ms;
    if (lock->acquirer) {
        sci_lock_cancel(lock, sci_lock_say(lock, SC_ERR_CANCELLED, "is not wanted any more"));
        return SC_OK;
    }
    if (!sci_lock_is_held(lock))
        return sci_lock_not_held(lock);
    if (--lock->depth > 0)
        return SC_OK;
    lock->releaser = wish;
    sci_lock_leave(lock);
    return SC_PENDING;
}

static sc_status sci_lock_start_extend(sc_lock *lock, sci_wish *wish, int64_t ttl_ms)
{
    if (!ttl_ms)
        ttl_ms = lock->config.ttl_ms;
    sc_status status =
        sci_check_ms("sc_lock_extend", "ttl_ms", ttl_ms, SCI_LOCK_LEAST_TTL_MS, INT32_MAX);
    if (status != SC_OK)
        return status;
    if (!sci_lock_is_held(lock))
        return sci_lock_not_held(lock);
    if (lock->extender)
        return sci_lock_say(lock, SC_ERR_ARGUMENT, "is being extended by another call");
    lock->extender = wish;
    lock->next_life_ms = (int32_t)ttl_ms;
    sci_lock_renew(lock);
    return SC_PENDING;
}

static int64_t sci_lock_wait_ms(const sc_lock *lock, int64_t wait_ms)
{
    return lock && !wait_ms ? lock->config.wait_ms : wait_ms;
}

SC_API sc_status sc_lock_acquire(sc_lock *lock, int64_t wait_ms)
{
    return sci_lock_call(lock, sci_lock_start_acquire, sci_lock_wait_ms(lock, wait_ms));
}

SC_API sc_status sc_lock_try(sc_lock *lock)
{
    return sci_lock_call(lock, sci_lock_start_acquire, 0);
}

SC_API sc_status sc_lock_release(sc_lock *lock)
{
    return sci_lock_call(lock, sci_lock_start_release, 0);
}

SC_API sc_status sc_lock_extend(sc_lock *lock, int64_t ttl_ms)
{
    return sci_lock_call(lock, sci_lock_start_extend, ttl_ms);
}

SC_API sc_status sc_lock_acquire_async(sc_lock *lock, int64_t wait_ms, sc_on_lock on_end,
                                       void *user)
{
    return sci_lock_call_async(lock, sci_lock_start_acquire, sci_lock_wait_ms(lock, wait_ms),
                               on_end, user);
}

SC_API sc_status sc_lock_try_async(sc_lock *lock, sc_on_lock on_end, void *user)
{
    return sci_lock_call_async(lock, sci_lock_start_acquire, 0, on_end, user);
}

SC_API sc_status sc_lock_release_async(sc_lock *lock, sc_on_lock on_end, void *user)
{
    return sci_lock_call_async(lock, sci_lock_start_release, 0, on_end, user);
}

SC_API sc_status sc_lock_extend_async(sc_lock *lock, int64_t ttl_ms, sc_on_lock on_end, void *user)
{
    return sci_lock_call_async(lock, sci_lock_start_extend, ttl_ms, on_end, user);
}

/* The state without a word to anybody: 0 where there is nothing to be told. */
static int64_t sci_lock_look(sc_lock *lock, bool wants_fence)
{
    sc_client *client = lock ? lock->client : NULL;
    if (sci_client_enter(client) != SC_OK)
        return 0;
    int64_t left_ns = lock->is_held ? lock->until_ns - sci_loop_now_ns(&client->loop) : 0;
    int64_t fence = left_ns > 0 ? lock->fence : 0;
    sci_client_leave(client);
    return wants_fence ? fence : sci_max_i64(left_ns, 0) / SCI_NS_PER_MS;
}

SC_API int64_t sc_lock_remaining_ms(sc_lock *lock)
{
    return sci_lock_look(lock, false);
}

SC_API int64_t sc_lock_fencing_token(sc_lock *lock)
{
    return sci_lock_look(lock, true);
}
