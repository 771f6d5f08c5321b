/* The client: opening, closing, its thread, and what every call passes through. */

#include "client/client.h"

#include <stdarg.h>

#include "base/error.h"
#include "base/platform.h"
#include "client/conn.h"
#include "client/embedded.h"
#include "client/life.h"
#include "client/subscriber.h"
#include "client/wait.h"
#include "net/posix.h"

#define SCI_DEFAULT_URL "redis://localhost:6379"
#define SCI_DEFAULT_TIMEOUT_MS 5000
#define SCI_DEFAULT_BACKOFF_MIN_MS 50
#define SCI_DEFAULT_BACKOFF_MAX_MS 2000
#define SCI_DEFAULT_IDLE_CHECK_MS 30000
#define SCI_DEFAULT_MAX_OUTPUT_BYTES ((size_t)64 * 1024 * 1024)
#define SCI_DEFAULT_RECEIVE_BUFFER_BYTES ((size_t)16 * 1024)
#define SCI_LEAST_RECEIVE_BUFFER_BYTES 256
/* Dedicated connections kept for the next who wants one. */
#define SCI_IDLE_CONNS 4
/* What sc_open gives its first call beyond the attempt's own deadline. */
#define SCI_OPEN_MARGIN_MS 50
/* So long sc_close waits for answers to what gives locks back. */
#define SCI_LAST_WORDS_MS 40
/* How often sc_close looks whether the callers have left. */
#define SCI_CLOSE_LOOK_NS (1 * SCI_NS_PER_MS)

/* Durations. */

static int64_t sci_default_i64(int64_t value, int64_t fallback)
{
    return value ? value : fallback;
}

SCI_PRIVATE int64_t sci_client_deadline_ns(const sc_client *client, int64_t timeout_ms,
                                           int64_t now_ns)
{
    int64_t ms = timeout_ms ? timeout_ms : client->config.timeout_ms;
    if (ms < 0 || ms >= (SCI_NEVER - now_ns) / SCI_NS_PER_MS)
        return SCI_NEVER;
    return now_ns + ms * SCI_NS_PER_MS;
}

SCI_PRIVATE void sci_client_log(sc_client *client, sc_log_level level, const char *format, ...)
{
    char text[SC_ERROR_TEXT_BYTES];
    const sc_logger *logger = &client->logger;
    if (!logger->write_line || level > (logger->level ? logger->level : SC_LOG_WARNING))
        return;
    va_list arguments;
    va_start(arguments, format);
    (void)sci_format_list(text, sizeof text, format, arguments);
    va_end(arguments);
    logger->write_line(logger->user, level, text);
}

/* Opening. */

static sc_status sci_config_check(const sc_config *config)
{
    if (config->timeout_ms < -1)
        return sc_fail(SC_ERR_ARGUMENT,
                       "sc_config.timeout_ms is %lld; it wants milliseconds, 0 or -1",
                       (long long)config->timeout_ms);
    if (config->connect_timeout_ms < -1)
        return sc_fail(SC_ERR_ARGUMENT,
                       "sc_config.connect_timeout_ms is %lld; it wants milliseconds, 0 or -1",
                       (long long)config->connect_timeout_ms);
    if (config->backoff_min_ms < 0 || config->backoff_max_ms < 0)
        return sc_fail(SC_ERR_ARGUMENT,
                       "sc_config.backoff_min_ms and backoff_max_ms want milliseconds");
    if (config->idle_check_ms < -1)
        return sc_fail(SC_ERR_ARGUMENT, "sc_config.idle_check_ms wants milliseconds, 0 or -1");
    if (config->receive_buffer_bytes &&
        config->receive_buffer_bytes < SCI_LEAST_RECEIVE_BUFFER_BYTES)
        return sc_fail(SC_ERR_ARGUMENT,
                       "sc_config.receive_buffer_bytes is %zu; it wants at least %d",
                       config->receive_buffer_bytes, SCI_LEAST_RECEIVE_BUFFER_BYTES);
    return SC_OK;
}

static void sci_client_resolve_config(sc_client *client, const sc_config *config)
{
    sc_config *own = &client->config;
    *own = *config;
    if (!own->timeout_ms)
        own->timeout_ms =
            client->url.timeout_ms >= 0 ? client->url.timeout_ms : SCI_DEFAULT_TIMEOUT_MS;
    if (!own->connect_timeout_ms)
        own->connect_timeout_ms =
            client->url.connect_timeout_ms >= 0 ? client->url.connect_timeout_ms : own->timeout_ms;
    own->backoff_min_ms = sci_default_i64(own->backoff_min_ms, SCI_DEFAULT_BACKOFF_MIN_MS);
    own->backoff_max_ms = sci_default_i64(own->backoff_max_ms, SCI_DEFAULT_BACKOFF_MAX_MS);
    own->idle_check_ms = sci_default_i64(own->idle_check_ms, SCI_DEFAULT_IDLE_CHECK_MS);
    if (!own->max_output_bytes)
        own->max_output_bytes = SCI_DEFAULT_MAX_OUTPUT_BYTES;
    if (!own->receive_buffer_bytes)
        own->receive_buffer_bytes = SCI_DEFAULT_RECEIVE_BUFFER_BYTES;
}

/* An option of sc_config that stands above the URL's. */
static sc_status sci_client_override(sc_client *client, char **own, const char *option)
{
    if (!option)
        return SC_OK;
    char *copy = sci_copy_text(&client->memory, sc_text(option));
    if (!copy)
        return SC_ERR_MEMORY;
    sci_free_secret_text(&client->memory, *own);
    *own = copy;
    return SC_OK;
}

static sc_status sci_client_configure(sc_client *client, const sc_config *config)
{
    const char *url = SCI_DEFAULT_URL;
    sc_status status = sci_config_check(config);
#ifndef SMARTCACHE_NO_SERVER
    if (config->server)
        url = "embedded:";
#endif
    if (config->url)
        url = config->url;
    if (status == SC_OK)
        status = sci_url_parse(&client->memory, url, &client->url);
    if (status != SC_OK)
        return status;
    status = sci_client_override(client, &client->url.user, config->user);
    if (status == SC_OK)
        status = sci_client_override(client, &client->url.password, config->password);
    if (status == SC_OK)
        status = sci_client_override(client, &client->url.name, config->client_name);
    if (status != SC_OK)
        return status;
    if (client->url.user && !client->url.password)
        return sc_fail(SC_ERR_ARGUMENT,
                       "a user without a password: add it to the URL or set sc_config.password");
    if (client->url.scheme == SCI_SCHEME_REDISS && !config->transport)
        return sc_fail(
            SC_ERR_UNSUPPORTED,
            "rediss:// needs a TLS transport: set sc_config.transport to that of a TLS port, such "
            "as ports/smartcache_openssl.h");
    sci_client_resolve_config(client, config);
    return SC_OK;
}

/* The tables that everything asks the outside world through. */
static sc_status sci_client_tables(sc_client *client, const sc_config *config, sc_clock *clock,
                                   sc_poller *poller)
{
    const char *lacking = NULL;
    if (config->clock)
        *clock = *config->clock;
    else if (!sci_platform_clock(clock))
        lacking = "clock";
    if (config->random)
        client->random = *config->random;
    else if (!sci_platform_random(&client->random))
        lacking = "random";
    if (config->transport)
        client->transport = *config->transport;
    else if (!sci_config_is_embedded(config, &client->url) &&
             !sc_platform_transport(&client->transport))
        lacking = "transport";
    if (config->poller)
        *poller = *config->poller;
    else if (!sc_platform_poller(poller))
        lacking = "poller";
    if (config->resolver)
        client->resolver = *config->resolver;
    else
        (void)sc_platform_resolver(&client->resolver); /* without one, hosts have to be numeric */
    if (config->logger)
        client->logger = *config->logger;
    if (lacking)
        return sc_fail(SC_ERR_ARGUMENT, "this build has no %s of its own: set sc_config.%s",
                       lacking, lacking);
    return SC_OK;
}

static sc_status sci_client_seed(sc_client *client)
{
    sc_status status =
        client->random.fill(client->random.user, &client->hash_seed, sizeof client->hash_seed);
    if (status == SC_OK)
        status = client->random.fill(client->random.user, &client->jitter, sizeof client->jitter);
    client->jitter |= 1; /* xorshift's state must not be 0 */
    return status;
}

static void sci_client_free(sc_client *client)
{
    sc_memory memory = client->memory;
#ifndef SMARTCACHE_NO_SERVER
    sci_embedded_close(client);
#endif
    sci_url_free(&client->url);
    sci_free(&memory, client, sizeof *client);
}

/* After sc_client.loop exists. */
static sc_status sci_client_start_life(sc_client *client)
{
    sci_list_init(&client->conns);
    sci_list_init(&client->sleepers);
    sci_list_init(&client->subscriptions);
    sci_list_init(&client->close_hooks);
    sci_list_init(&client->fork_hooks);
    sci_waiter_init(&client->thread_waiter, 0);
    client->thread_waiter.gate = SCI_CLIENT_GATES - 1;
    for (size_t i = 0; i < SCI_CLIENT_GATES; i++)
        sci_gate_init(&client->gates[i]);
    client->references.value = 1;
    sci_fork_guard_init(&client->fork_guard);
#ifndef SMARTCACHE_NO_SERVER
    sci_embedded_begin(client);
#endif
    client->shared = sci_conn_create(client, SCI_CONN_SHARED);
    return client->shared ? SC_OK : SC_ERR_MEMORY;
}

static sc_status sci_client_create(const sc_config *config, sc_client **created)
{
    sc_memory memory;
    sc_clock clock;
    sc_poller poller;
    if (config->memory)
        memory = *config->memory;
    else if (!sci_platform_memory(&memory))
        return sc_fail(SC_ERR_ARGUMENT,
                       "this build has no memory of its own: set sc_config.memory");
    sc_client *client = (sc_client *)sci_alloc_zeroed(&memory, sizeof *client);
    if (!client)
        return SC_ERR_MEMORY;
    client->memory = memory;
    sc_status status = sci_client_configure(client, config);
    if (status == SC_OK)
        status = sci_client_tables(client, config, &clock, &poller);
    if (status == SC_OK)
        status = sci_client_seed(client);
#ifndef SMARTCACHE_NO_SERVER
    if (status == SC_OK && sci_config_is_embedded(config, &client->url))
        status = sci_embedded_open(client, config, &clock);
#endif
    if (status == SC_OK)
        status = sci_loop_init(&client->loop, &client->memory, &clock, &poller);
    if (status != SC_OK) {
        sci_client_free(client);
        return status;
    }
    *created = client;
    return sci_client_start_life(client);
}

SCI_PRIVATE sc_status sci_client_ping(sc_client *client, int64_t timeout_ms)
{
    sc_slice word = sc_text("PING");
    sc_call_options options;
    memset(&options, 0, sizeof options);
    options.timeout_ms = timeout_ms;
    options.idempotent = true;
    return sc_command(client, &word, 1, &options, NULL);
}

/* The first connection, so that a wrong password is known now. */
static sc_status sci_client_connect(sc_client *client)
{
    int64_t timeout_ms = client->config.connect_timeout_ms;
    if (timeout_ms > 0) /* the attempt ends first, and says more */
        timeout_ms += SCI_OPEN_MARGIN_MS;
    sc_status status = sci_client_ping(client, timeout_ms);
    return status == SC_ERR_NOT_SENT || status == SC_ERR_TIMEOUT ? SC_ERR_CONNECT : status;
}

SC_API sc_status sc_open(const sc_config *config, sc_client **client)
{
    sc_config defaults;
    *client = NULL;
    memset(&defaults, 0, sizeof defaults);
    if (!config)
        config = &defaults;
    sc_client *created = NULL;
    sc_status status = sci_client_create(config, &created);
    if (status == SC_OK && !config->lazy)
        status = sci_client_connect(created);
    if (status != SC_OK) {
        if (created) {
            char text[SC_ERROR_TEXT_BYTES];
            size_t len = sci_format(text, sizeof text, "%s", sc_error_text());
            (void)sc_close(created);
            sci_error_text_set(text, len);
        }
        return status;
    }
    *client = created;
    return SC_OK;
}

/* Calls. */

SCI_PRIVATE sc_status sci_client_enter(sc_client *client)
{
    if (SCI_UNLIKELY(!client))
        return sc_fail(SC_ERR_ARGUMENT, "the client is NULL");
    if (SCI_UNLIKELY(sci_fork_guard_is_child(&client->fork_guard)))
        sci_client_after_fork(client);
    (void)sci_atomic_add(&client->callers, 1);
    sci_loop_lock(&client->loop);
    if (SCI_LIKELY(!client->is_closing))
        return SC_OK;
    sci_client_unlock(client);
    sci_client_left(client);
    return sc_fail(SC_ERR_CLOSED, "the client was closed");
}

SCI_PRIVATE void sci_client_left(sc_client *client)
{
    (void)sci_atomic_subtract(&client->callers, 1);
}

/* Dedicated connections that nobody uses: the fit ones are kept, up to a few. */
static void sci_client_sweep(sc_client *client)
{
    size_t kept = 0;
    client->has_returned = false;
    for (sci_link *link = client->conns.next, *next; link != &client->conns; link = next) {
        sci_conn *conn = SCI_CONTAINER(link, sci_conn, link);
        next = link->next;
        if (conn->kind != SCI_CONN_DEDICATED || conn->is_borrowed)
            continue;
        if (conn->state != SCI_CONN_READY || conn->slot_count > 0 || ++kept > SCI_IDLE_CONNS)
            sci_conn_free(conn);
    }
}

SCI_PRIVATE void sci_client_leave(sc_client *client)
{
    if (client->has_returned)
        sci_client_sweep(client);
    sci_client_unlock(client);
    sci_client_left(client);
}

SCI_PRIVATE void sci_client_leave_call(sc_client *client)
{
    if (!client->has_thread && !sci_list_is_empty(&client->loop.posts))
        (void)sci_loop_dispatch(&client->loop);
    sci_client_leave(client);
}

SCI_PRIVATE sci_conn *sci_client_borrow_conn(sc_client *client)
{
    sci_conn *found = NULL;
    for (sci_link *link = client->conns.next; link != &client->conns; link = link->next) {
        sci_conn *conn = SCI_CONTAINER(link, sci_conn, link);
        if (conn->kind == SCI_CONN_DEDICATED && !conn->is_borrowed && conn->slot_count == 0 &&
            conn->state == SCI_CONN_READY)
            found = conn;
    }
    if (!found)
        found = sci_conn_create(client, SCI_CONN_DEDICATED);
    if (found)
        found->is_borrowed = true;
    return found;
}

SCI_PRIVATE void sci_client_return_conn(sci_conn *conn)
{
    if (!conn)
        return;
    conn->is_borrowed = false;
    conn->is_bound = false;
    conn->is_paused = false;
    conn->client->has_returned = true;
}

SCI_PRIVATE void sci_client_check_lookups(sc_client *client)
{
    for (bool has_found = true; has_found;) {
        has_found = false;
        for (sci_link *link = client->conns.next; link != &client->conns && !has_found;
             link = link->next) {
            sci_conn *conn = SCI_CONTAINER(link, sci_conn, link);
            has_found = conn->state == SCI_CONN_RESOLVING && sci_lookup_is_done(conn->lookup);
            if (has_found)
                sci_conn_check_lookup(conn); /* unlocks: the list may have changed */
        }
    }
}

/* The thread. */

static sc_status sci_client_start_thread(sc_client *client)
{
    if (client->has_thread)
        return SC_OK;
    sc_status status = sci_thread_start(&client->thread, sci_client_thread, client);
    client->has_thread = status == SC_OK;
    return status;
}

SCI_PRIVATE void sci_client_want_thread(sc_client *client)
{
    if (!client->config.polled && !client->is_closing)
        (void)sci_client_start_thread(client);
}

SC_API sc_status sc_start(sc_client *client)
{
    sc_status status = sci_client_enter(client);
    if (status != SC_OK)
        return status;
    status = sci_client_start_thread(client);
    sci_client_leave(client);
    return status;
}

SC_API sc_status sc_poll(sc_client *client, int64_t timeout_ms)
{
    sc_status status = sci_client_enter(client);
    if (status != SC_OK)
        return status;
    int64_t timeout_ns =
        timeout_ms < 0 || timeout_ms > INT64_MAX / SCI_NS_PER_MS ? -1 : timeout_ms * SCI_NS_PER_MS;
    if (sci_loop_drive_begin(&client->loop)) {
        status = sci_client_step(client, timeout_ns);
        sci_client_stop_driving(client);
    } else {
        sci_waiter waiter; /* nobody finishes it */
        int64_t now_ns = sci_loop_now_ns(&client->loop);
        sci_waiter_init(&waiter, 0);
        (void)sci_waiter_wait_locked(client, &waiter,
                                     timeout_ns < 0 ? SCI_NEVER : now_ns + timeout_ns);
    }
    sci_client_leave_call(client);
    return status;
}

SC_API void *sc_client_poller(const sc_client *client, const sc_poller *table)
{
    const sci_loop *loop = &client->loop;
    return loop->poller_table.create == table->create ? loop->poller : NULL;
}

SC_API void sc_stats_get(sc_client *client, sc_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    if (sci_client_enter(client) != SC_OK)
        return;
    *stats = client->stats;
    for (sci_link *link = client->conns.next; link != &client->conns; link = link->next)
        stats->unanswered += SCI_CONTAINER(link, sci_conn, link)->slot_count;
    sci_client_leave(client);
}

/* Closing. */

SCI_PRIVATE void sci_client_retain(sc_client *client)
{
    (void)sci_atomic_add(&client->references, 1);
}

SCI_PRIVATE void sci_client_release(sc_client *client)
{
    if (sci_atomic_subtract(&client->references, 1) != 1)
        return;
    sci_loop_free(&client->loop);
    for (size_t i = 0; i < SCI_CLIENT_GATES; i++)
        sci_gate_free(&client->gates[i]);
    sci_fork_guard_free(&client->fork_guard);
    sci_client_free(client);
}

/* In one go: of what comes in a second one, a server hears nothing if it could not answer the first,
   since nobody is there any more. Hooks may come and go meanwhile: after each it begins anew, with
   those that it has not asked yet. */
SCI_PRIVATE bool sci_client_say_last_words(sc_client *client)
{
    uint32_t round = ++client->last_round;
    sci_conn *conn = client->shared; /* NULL: it never opened */
    client->says_last_words = true;
    for (sci_link *link = client->close_hooks.next; link != &client->close_hooks;) {
        sci_close_hook *hook = SCI_CONTAINER(link, sci_close_hook, link);
        link = link->next;
        if (!hook->leaving || hook->round == round)
            continue;
        hook->round = round;
        hook->leaving(hook);
        link = client->close_hooks.next;
    }
    client->says_last_words = false;
    bool says_some = conn && conn->state == SCI_CONN_READY && sci_bytes_len(&conn->out) > 0;
    if (conn)
        sci_conn_flush(conn);
    return says_some;
}

/* Everything under way ends with SC_ERR_CLOSED. */
static void sci_client_end_all(sc_client *client)
{
    client->is_closing = true;
    for (sci_link *link = sci_list_take_first(&client->close_hooks); link;
         link = sci_list_take_first(&client->close_hooks)) {
        sci_close_hook *hook = SCI_CONTAINER(link, sci_close_hook, link);
        hook->closing(hook);
    }
    for (sci_link *link = client->conns.next; link != &client->conns; link = link->next) {
        sci_conn *conn = SCI_CONTAINER(link, sci_conn, link);
        sci_conn_abandon(conn);
        sci_conn_fail_all(conn, SC_ERR_CLOSED, "the client was closed");
    }
}

/* The other threads' calls end by themselves; this waits until they have left. */
static void sci_client_await_callers(sc_client *client)
{
    sci_gate pause;
    sci_gate_init(&pause);
    while (sci_atomic_load_acquire(&client->callers) > 0)
        sci_gate_wait(&pause, sci_gate_ticket(&pause), SCI_CLOSE_LOOK_NS);
    sci_gate_free(&pause);
}

SC_API sc_status sc_close(sc_client *client)
{
    if (!client)
        return SC_OK;
    if (sci_fork_guard_is_child(&client->fork_guard))
        sci_client_after_fork(client);
    sci_loop_lock(&client->loop);
    if (client->loop.dispatcher == sci_thread_self()) {
        sci_client_unlock(client);
        return sc_fail(SC_ERR_DEADLOCK, "sc_close was called from a callback of the same client");
    }
    if (sci_client_say_last_words(client)) {
        sci_client_unlock(client);
        (void)sci_client_ping(client, SCI_LAST_WORDS_MS);
        sci_loop_lock(&client->loop);
        (void)sci_client_say_last_words(client); /* of what was taken meanwhile */
    }
    sci_client_end_all(client);
    client->thread_stops = true;
    client->raised |= 1u << client->thread_waiter.gate;
    sci_loop_wake(&client->loop);
    bool has_thread = client->has_thread;
    sci_client_unlock(client);
    if (has_thread)
        sci_thread_join(&client->thread);
    sci_client_await_callers(client);
    sci_loop_lock(&client->loop);
    client->has_thread = false;
    while (sci_loop_dispatch(&client->loop))
        continue;
    sci_subscriptions_end_all(client);
    while (!sci_list_is_empty(&client->conns))
        sci_conn_free(SCI_CONTAINER(client->conns.next, sci_conn, link));
    if (client->subscriber)
        sci_subscriber_free(client->subscriber);
    client->subscriber = NULL;
    client->shared = NULL;
#ifndef SMARTCACHE_NO_SERVER
    sci_embedded_end(client);
#endif
    sci_client_unlock(client);
#ifndef SMARTCACHE_NO_SERVER
    sci_embedded_close(client);
#endif
    sci_client_release(client);
    return SC_OK;
}
