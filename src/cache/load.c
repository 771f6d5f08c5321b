/* Get-or-load: ask, join the flight for a missing key, run the loader when it falls to this caller.
 */

#include "cache/load.h"

#include "base/error.h"
#include "client/conn.h"

/* The loader's side. */

SC_API sc_slice sc_load_key(const sc_load *load)
{
    return load->key;
}

SC_API sc_status sc_load_write(sc_load *load, const void *data, size_t len)
{
    sc_status status = sci_bytes_append(&load->bytes, sc_bytes(data, len));
    if (status != SC_OK)
        load->write_status = status;
    return status;
}

SC_API sc_status sc_load_write_text(sc_load *load, const char *text)
{
    sc_slice bytes = sc_text(text);
    return sc_load_write(load, bytes.data, bytes.len);
}

SC_API void sc_load_take(sc_load *load, sc_value *value)
{
    sc_value_release(load->taken);
    load->taken = value;
}

SC_API void sc_load_set_ttl(sc_load *load, int64_t ttl_ms)
{
    if (ttl_ms > 0 || ttl_ms == SC_TTL_NONE)
        load->ttl_ms = ttl_ms > SCI_LONGEST_MS ? SC_TTL_FOREVER : ttl_ms;
}

SC_API bool sc_load_is_void(const sc_load *load)
{
    return sci_atomic_load_acquire(&load->is_void) != 0;
}

/* Locks by itself: the client may be closed, and even its handle gone, while a load was pending. */
SC_API void sc_load_finish(sc_load *load, sc_status status)
{
    sci_flight *flight = load->flight;
    sc_client *client = sci_flight_client(flight);
    sci_client_retain(client);
    sci_loop_lock(&client->loop);
    sci_flight_loaded(flight, status);
    sci_client_unlock(client);
    sci_client_release(client);
}

/* Locked on entry and exit: run the loader on this thread, without the lock. `joiner` may be gone
   afterwards. */
static void sci_joiner_run_loader(sc_client *client, sci_joiner *joiner, sci_flight *flight)
{
    sc_load *load = sci_flight_loader_begins(flight);
    sci_client_unlock(client);
    sc_status status = joiner->loader(load, joiner->user);
    sci_loop_lock(&client->loop);
    sci_flight_loader_ends(flight, status);
}

/* Blocking. */

static void sci_joiner_init(sci_joiner *joiner, sc_loader loader, void *user,
                            const sc_load_options *options)
{
    memset(joiner, 0, sizeof *joiner);
    sci_list_init(&joiner->link);
    joiner->loader = loader;
    joiner->user = user;
    joiner->options = *options;
}

/* Locked on entry and exit: until the flight has ended, or the deadline. */
static sc_status sci_joiner_await(sc_client *client, sci_joiner *joiner, sc_slice key,
                                  int64_t deadline_ns)
{
    while (!joiner->is_done) {
        bool is_finished = sci_waiter_wait_locked(client, &joiner->waiter, deadline_ns);
        if (joiner->is_done)
            break;
        if (joiner->must_load) {
            joiner->must_load = false;
            sci_waiter_init(&joiner->waiter, joiner->waiter.gate);
            sci_joiner_run_loader(client, joiner, joiner->flight);
            deadline_ns = SCI_NEVER; /* what it has loaded it keeps */
        } else if (!is_finished && !client->is_closing) {
            sci_flight_leave(joiner); /* the flight may be gone */
            return sc_fail(SC_ERR_NOT_SENT,
                           "another caller was still loading \"%.*s\" after %lld ms (wait_ms)",
                           (int)sci_min_size(key.len, 100), key.data,
                           (long long)joiner->options.wait_ms);
        }
    }
    if (joiner->status < 0) {
        sc_slice words = sc_value_bytes(joiner->error_text);
        if (!words.len)
            words = sc_text(sc_status_message(joiner->status));
        sci_error_text_set(words.data, words.len);
    }
    sc_value_release(joiner->error_text);
    return joiner->status;
}

/* Locked on entry and exit. */
static sc_status sci_load_in_flight(sc_cache *cache, const sci_target *target, sci_joiner *joiner,
                                    sc_status failure, sc_value **value)
{
    sc_client *client = cache->client;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    int64_t deadline_ns = sci_client_deadline_ns(client, joiner->options.wait_ms, now_ns);
    joiner->is_blocking = true;
    sci_waiter_init(&joiner->waiter, (uint32_t)((uintptr_t)joiner >> 8));
    sc_status status = sci_flight_join(cache, target, joiner, failure);
    if (status == SC_OK)
        status = sci_joiner_await(client, joiner, target->key, deadline_ns);
    *value = joiner->value;
    return status;
}

SCI_PRIVATE sc_status sci_get_or_load(sc_cache *cache, const sci_target *target, sc_loader loader,
                                      void *user, const sc_load_options *options, sc_value **value)
{
    sc_client *client = cache->client;
    sci_get_op get;
    sci_joiner joiner;
    *value = NULL;
    if (!loader)
        return sc_fail(SC_ERR_ARGUMENT, "the loader is NULL");
    sc_status status = sci_client_enter(client);
    if (status != SC_OK)
        return status;
    get.result = SC_MISS;
    if (!sci_flight_is_under_way(cache, target->key)) {
        sci_get_init(&get, target->key, sci_get_wake);
        bool is_locked = sci_op_submit_and_wait(client, client->shared, &get.op, 0);
        (void)sci_op_result(&get.op);
        if (get.result == SC_OK) {
            *value = get.value;
            if (is_locked)
                sci_client_leave_call(client);
            else
                sci_client_left(client);
            return SC_OK;
        }
        if (!is_locked)
            sci_loop_lock(&client->loop);
    }
    if (get.result == SC_MISS || sci_load_is_outage(get.result)) {
        sci_joiner_init(&joiner, loader, user, options);
        status = sci_load_in_flight(cache, target, &joiner,
                                    get.result == SC_MISS ? SC_OK : get.result, value);
    } else {
        status = get.result;
    }
    sci_client_leave_call(client);
    return status;
}

SCI_PRIVATE bool sci_load_is_outage(sc_status status)
{
    return status < 0 && status != SC_ERR_REPLY && status != SC_ERR_TYPE &&
           status != SC_ERR_CLOSED && status != SC_ERR_MEMORY && status != SC_ERR_ARGUMENT &&
           status != SC_ERR_LIMIT;
}

/* Asynchronous. */

typedef struct sci_load_call {
    sci_joiner joiner;
    sci_get_op get;
    sci_post load_post;
    sci_post done_post;
    sci_timer timer; /* wait_ms */
    sc_cache *cache; /* a reference */
    sci_target target;
    sci_flight *loading; /* whose loader this call runs */
    sc_on_value on_value;
    void *on_value_user;
    void (*finished)(void *user);
    size_t block_bytes; /* of this struct and the keys behind it */
} sci_load_call;

static void sci_load_call_run_done(sci_post *post)
{
    sci_load_call *call = SCI_CONTAINER(post, sci_load_call, done_post);
    sci_joiner *joiner = &call->joiner;
    sc_client *client = call->cache->client;
    if (joiner->status < 0) {
        sc_slice words = sc_value_bytes(joiner->error_text);
        if (!words.len)
            words = sc_text(sc_status_message(joiner->status));
        sci_error_text_set(words.data, words.len);
    }
    if (call->on_value)
        call->on_value(call->on_value_user, joiner->status,
                       joiner->status == SC_OK ? joiner->value : NULL);
    if (call->finished)
        call->finished(joiner->user);
    sc_value_release(joiner->value);
    sc_value_release(joiner->error_text);
    sci_loop_lock(&client->loop);
    sci_cache_release(call->cache);
    sci_free(&client->memory, call, call->block_bytes);
    sci_client_unlock(client);
}

/* Locked. */
static void sci_load_call_done(sci_joiner *joiner)
{
    sci_load_call *call = SCI_CONTAINER(joiner, sci_load_call, joiner);
    sci_loop *loop = &call->cache->client->loop;
    sci_timer_cancel(loop, &call->timer);
    sci_loop_post(loop, &call->done_post);
}

/* Locked: ends a call that is in no flight. `value` is taken over. */
static void sci_load_call_end(sci_load_call *call, sc_status status, sc_value *value)
{
    sci_joiner *joiner = &call->joiner;
    joiner->is_done = true;
    joiner->status = status;
    joiner->value = value;
    if (status < 0)
        (void)sc_value_create(&call->cache->client->memory, sc_text(sc_error_text()),
                              &joiner->error_text);
    sci_load_call_done(joiner);
}

static void sci_load_call_run_loader(sci_post *post)
{
    sci_load_call *call = SCI_CONTAINER(post, sci_load_call, load_post);
    sc_client *client = call->cache->client;
    sci_client_retain(client);
    sci_loop_lock(&client->loop);
    sci_joiner_run_loader(client, &call->joiner, call->loading);
    sci_client_unlock(client);
    sci_client_release(client);
}

/* Locked. */
static void sci_load_call_load(sci_joiner *joiner)
{
    sci_load_call *call = SCI_CONTAINER(joiner, sci_load_call, joiner);
    sci_loop *loop = &call->cache->client->loop;
    sci_timer_cancel(loop, &call->timer);
    joiner->must_load = false;
    call->loading = joiner->flight;
    sci_loop_post(loop, &call->load_post);
}

static void sci_load_call_expire(sci_timer *timer)
{
    sci_load_call *call = SCI_CONTAINER(timer, sci_load_call, timer);
    sci_flight_leave(&call->joiner);
    (void)sc_fail(SC_ERR_NOT_SENT,
                  "another caller was still loading \"%.*s\" after %lld ms (wait_ms)",
                  (int)sci_min_size(call->target.key.len, 100), call->target.key.data,
                  (long long)call->joiner.options.wait_ms);
    sci_load_call_end(call, SC_ERR_NOT_SENT, NULL);
}

/* Locked. */
static void sci_load_call_join(sci_load_call *call, sc_status failure)
{
    sc_client *client = call->cache->client;
    int64_t deadline_ns = sci_client_deadline_ns(client, call->joiner.options.wait_ms,
                                                 sci_loop_now_ns(&client->loop));
    if (deadline_ns != SCI_NEVER)
        sci_timer_arm(&client->loop, &call->timer, deadline_ns);
    sc_status status = sci_flight_join(call->cache, &call->target, &call->joiner, failure);
    if (status != SC_OK)
        sci_load_call_end(call, status, NULL);
}

static void sci_load_call_got(sci_get_op *get)
{
    sci_load_call *call = SCI_CONTAINER(get, sci_load_call, get);
    sc_slice words = sc_value_bytes(get->op.error_text);
    if (words.len)
        sci_error_text_set(words.data, words.len);
    sc_value_release(get->op.error_text);
    get->op.error_text = NULL;
    if (get->result == SC_MISS)
        sci_load_call_join(call, SC_OK);
    else if (sci_load_is_outage(get->result))
        sci_load_call_join(call, get->result);
    else
        sci_load_call_end(call, get->result, get->value);
}

static sc_slice sci_load_call_copy(char **at, sc_slice bytes)
{
    char *copy = *at;
    if (bytes.len)
        memcpy(copy, bytes.data, bytes.len);
    *at += bytes.len;
    return sc_bytes(copy, bytes.len);
}

static sci_load_call *sci_load_call_create(sc_cache *cache, const sci_target *target)
{
    size_t block_bytes = sizeof(sci_load_call) + target->key.len + target->shown.len;
    sci_load_call *call = (sci_load_call *)sci_alloc_zeroed(&cache->client->memory, block_bytes);
    if (!call)
        return NULL;
    char *at = (char *)(call + 1);
    call->block_bytes = block_bytes;
    call->cache = cache;
    call->target = *target;
    call->target.key = sci_load_call_copy(&at, target->key);
    call->target.shown = sci_load_call_copy(&at, target->shown);
    call->load_post.run = sci_load_call_run_loader;
    call->done_post.run = sci_load_call_run_done;
    sci_list_init(&call->load_post.link);
    sci_list_init(&call->done_post.link);
    call->timer.fire = sci_load_call_expire;
    return call;
}

SCI_PRIVATE sc_status sci_get_or_load_async(sc_cache *cache, const sci_target *target,
                                            sc_loader loader, void *user,
                                            const sc_load_options *options, sc_on_value on_value,
                                            void *on_value_user, void (*finished)(void *user))
{
    sc_client *client = cache->client;
    if (!loader)
        return sc_fail(SC_ERR_ARGUMENT, "the loader is NULL");
    sci_load_call *call = sci_load_call_create(cache, target);
    sc_status status = call ? sci_client_enter(client) : SC_ERR_MEMORY;
    if (status != SC_OK) {
        if (call)
            sci_free(&client->memory, call, call->block_bytes);
        return status;
    }
    cache->references++;
    sci_joiner_init(&call->joiner, loader, user, options);
    call->joiner.load = sci_load_call_load;
    call->joiner.done = sci_load_call_done;
    call->on_value = on_value;
    call->on_value_user = on_value_user;
    call->finished = finished;
    if (sci_flight_is_under_way(cache, target->key)) {
        sci_load_call_join(call, SC_OK);
    } else {
        int64_t now_ns = sci_loop_now_ns(&client->loop);
        sci_get_init(&call->get, call->target.key, sci_load_call_got);
        call->get.op.deadline_ns = sci_client_deadline_ns(client, 0, now_ns);
        sci_conn_submit(client->shared, &call->get.op, now_ns);
    }
    sci_client_leave(client);
    return SC_OK;
}
