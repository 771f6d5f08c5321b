/* A connection's life. One attempt has one deadline, over the look-up, every address, and the
 * prelude. */

#include "client/life.h"

#include "base/error.h"
#include "base/number.h"
#include "client/conn.h"
#include "client/embedded.h"
#include "client/subscriber.h"
#include "client/wire.h"
#include "net/address.h"
#include "resp/writer.h"

/* Bound of the back-off's doubling, so that the shift stays in range. */
#define SCI_LIFE_DOUBLINGS 16
/* Who waits for another to serve dials again after a millisecond, and two, and so on up to 16. */
#define SCI_LIFE_MOMENT_NS (1 * SCI_NS_PER_MS)
#define SCI_LIFE_MOMENT_DOUBLINGS 4
/* The place of a server in this process. */
#define SCI_LIFE_EMBEDDED "the embedded server"

SCI_PRIVATE void sci_conn_peer_text(const sci_conn *conn, char *text, size_t cap)
{
    const sci_url *url = &conn->client->url;
    if (sci_client_is_embedded(conn->client))
        (void)sci_format(text, cap, "%s", url->path ? url->path : SCI_LIFE_EMBEDDED);
    else if (url->scheme == SCI_SCHEME_UNIX)
        (void)sci_format(text, cap, "%s", url->path);
    else if (conn->address_index > 0) {
        char numeric[SCI_ADDRESS_TEXT_BYTES];
        sci_address_to_text(&conn->addresses[conn->address_index - 1], numeric);
        (void)sci_format(text, cap, "%s (%s)", url->host, numeric);
    } else {
        (void)sci_format(text, cap, "%s:%u", url->host, (unsigned)url->port);
    }
}

/* xorshift64* (Marsaglia 2003; Vigna 2016). */
SCI_PRIVATE uint64_t sci_life_random(sc_client *client)
{
    uint64_t x = client->jitter;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    client->jitter = x;
    return x * 2685821657736338717u;
}

/* Exponential back-off with full jitter (Brooker, "Exponential Backoff And Jitter", 2015). */
static int64_t sci_conn_backoff_ns(sci_conn *conn)
{
    const sc_config *config = &conn->client->config;
    uint32_t doublings = conn->failures - 1;
    int64_t bound_ms = config->backoff_min_ms;
    for (uint32_t i = 0;
         i < doublings && i < SCI_LIFE_DOUBLINGS && bound_ms < config->backoff_max_ms; i++)
        bound_ms *= 2;
    bound_ms = sci_min_i64(bound_ms, config->backoff_max_ms);
    uint64_t bound_ns = (uint64_t)bound_ms * SCI_NS_PER_MS;
    return (int64_t)(sci_life_random(conn->client) % (bound_ns + 1));
}

static void sci_conn_forget_lookup(sci_conn *conn)
{
    sc_lookup *lookup = conn->lookup;
    if (!lookup)
        return;
    conn->lookup = NULL;
    if (sci_link_is_in_list(&conn->lookup_watch.link))
        sci_watch_retire(&conn->client->loop, &conn->lookup_watch);
    sci_lookup_abandon(lookup);
}

SCI_PRIVATE void sci_conn_abandon(sci_conn *conn)
{
    sci_timer_cancel(&conn->client->loop, &conn->life_timer);
    sci_conn_forget_lookup(conn);
    sci_wire_detach(conn);
    conn->state = SCI_CONN_DOWN;
    conn->is_checking = false;
    conn->is_paused = false;
    conn->has_refused_set = false;
    conn->probe_ns = 0;
    conn->probe_countdown = 0;
}

/* The words are copied first: `text` may be the thread's detail text, which abandoning could
 * change. */
static void sci_conn_note_failure(sci_conn *conn, sc_status status, const char *text)
{
    conn->failure_status = status;
    (void)sci_format(conn->failure_text, sizeof conn->failure_text, "%s", text);
}

/* The attempt is over, without a connection. */
static void sci_conn_attempt_failed(sci_conn *conn)
{
    sc_client *client = conn->client;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    sci_conn_abandon(conn);
    client->stats.connect_failures++;
    conn->failures++;
    conn->next_attempt_ns = now_ns + sci_conn_backoff_ns(conn);
    sci_client_log(client, SC_LOG_WARNING, "%s; next attempt in %lld ms", conn->failure_text,
                   (long long)((conn->next_attempt_ns - now_ns) / SCI_NS_PER_MS));
    if (conn->kind == SCI_CONN_SUBSCRIBER)
        sci_subscriber_failed(conn->subscriber);
    if (!client->config.wait_while_down || conn->failure_status == SC_ERR_AUTH)
        sci_conn_fail_all(conn, conn->failure_status, conn->failure_text);
    bool is_wanted = conn->slot_count > 0 || (conn->kind == SCI_CONN_SUBSCRIBER &&
                                              sci_subscriber_is_wanted(conn->subscriber));
    if (is_wanted && conn->state == SCI_CONN_DOWN && !client->is_closing)
        sci_timer_arm(&client->loop, &conn->life_timer, conn->next_attempt_ns);
}

/* The words for the whole attempt, from those for its last step. */
static void sci_conn_fail_step(sci_conn *conn, sc_status status, const char *text)
{
    char peer[SC_ERROR_TEXT_BYTES / 2];
    char whole[SC_ERROR_TEXT_BYTES];
    sci_conn_peer_text(conn, peer, sizeof peer);
    (void)sci_format(whole, sizeof whole, "cannot connect to %s: %s", peer, text);
    sci_conn_note_failure(conn, status, whole);
}

static void sci_conn_send_prelude(sci_conn *conn);

/* Nobody serves, and somebody is about to: dial again in a moment. False: that is not the case, or
   the attempt's time is up. */
static bool sci_conn_postpone(sci_conn *conn, sc_status status)
{
#ifndef SMARTCACHE_NO_SERVER
    bool is_gone = status == SC_ERR_DISCONNECTED && sci_client_is_sharing(conn->client);
    sci_loop *loop = &conn->client->loop;
    int64_t now_ns = sci_loop_now_ns(loop);
    if ((status != SC_HELD && !is_gone) || now_ns >= conn->attempt_deadline_ns)
        return false;
    int64_t due_ns = now_ns + ((int64_t)SCI_LIFE_MOMENT_NS << conn->moments);
    if (conn->moments < SCI_LIFE_MOMENT_DOUBLINGS)
        conn->moments++;
    sci_wire_detach(conn);
    conn->state = SCI_CONN_HELD;
    conn->address_index = 0;
    sci_timer_arm(loop, &conn->life_timer, sci_min_i64(due_ns, conn->attempt_deadline_ns));
    return true;
#else
    (void)conn;
    (void)status;
    return false;
#endif
}

/* Dial one address after another until one is under way or connected. */
static void sci_conn_dial_next(sci_conn *conn)
{
    sc_client *client = conn->client;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    while (conn->address_index < conn->address_count && now_ns < conn->attempt_deadline_ns) {
        int64_t left = (int64_t)(conn->address_count - conn->address_index);
        const sc_address *address = &conn->addresses[conn->address_index++];
        void *stream = NULL;
        sci_wire_detach(conn);
        sc_status status = client->transport.dial(client->transport.user, &client->memory, address,
                                                  client->url.host, &stream);
        if (status == SC_OK && !(conn->wire = sci_wire_create(conn, stream)))
            status = SC_ERR_MEMORY;
        if (status == SC_OK) {
            conn->state = SCI_CONN_DIALING;
            status = client->transport.progress(stream, &conn->wire->dial_wants);
        }
        if (status == SC_OK) {
            sci_conn_send_prelude(conn);
            return;
        }
        if (status == SC_AGAIN) {
            int64_t share_ns = conn->attempt_deadline_ns == SCI_NEVER
                                   ? SCI_NEVER
                                   : now_ns + (conn->attempt_deadline_ns - now_ns) / left;
            sci_timer_arm(&client->loop, &conn->life_timer, share_ns);
            sci_loop_wake(&client->loop);
            return;
        }
        sci_conn_fail_step(conn, status == SC_ERR_MEMORY ? status : SC_ERR_CONNECT,
                           sc_error_text());
        if (sci_conn_postpone(conn, status))
            return;
        now_ns = sci_loop_now_ns(&client->loop);
    }
    sci_conn_attempt_failed(conn);
}

SCI_PRIVATE void sci_conn_dial_ready(sci_conn *conn)
{
    sc_client *client = conn->client;
    sc_status status = client->transport.progress(conn->wire->stream, &conn->wire->dial_wants);
    if (status == SC_OK) {
        sci_conn_send_prelude(conn);
    } else if (status != SC_AGAIN) {
        sci_conn_fail_step(conn, SC_ERR_CONNECT, sc_error_text());
        if (!sci_conn_postpone(conn, status))
            sci_conn_dial_next(conn);
    }
}

/* Keep the addresses of this attempt, and no room for more: mostly there is one. */
static sc_status sci_conn_take_addresses(sci_conn *conn, const sc_address *addresses, size_t count)
{
    sc_address *kept = (sc_address *)sci_resize(&conn->client->memory, conn->addresses,
                                                conn->address_count * sizeof(sc_address),
                                                count * sizeof(sc_address));
    if (!kept)
        return SC_ERR_MEMORY;
    memcpy(kept, addresses, count * sizeof(sc_address));
    conn->addresses = kept;
    conn->address_count = count;
    return SC_OK;
}

/* The first address, when there are any. */
static void sci_conn_dial_taken(sci_conn *conn, sc_status status)
{
    if (status == SC_OK) {
        sci_conn_dial_next(conn);
        return;
    }
    sci_conn_fail_step(conn, status, sc_error_text());
    sci_conn_attempt_failed(conn);
}

/* Look-up. */

/* Runs on any thread, perhaps with the lock held: it only makes the driver look. */
static void sci_conn_lookup_notify(void *user)
{
    sci_loop_interrupt((sci_loop *)user);
}

static unsigned sci_conn_lookup_prepare(sci_watch *watch)
{
    (void)watch;
    return SC_READABLE;
}

static void sci_conn_lookup_settle(sci_watch *watch, unsigned ready)
{
    sci_conn *conn = SCI_CONTAINER(watch, sci_conn, lookup_watch);
    if (ready)
        sci_lookup_advance(conn->lookup);
}

static void sci_conn_lookup_release(sci_watch *watch)
{
    (void)watch; /* sci_lookup_abandon closes the descriptor */
}

SCI_PRIVATE void sci_conn_check_lookup(sci_conn *conn)
{
    sc_lookup *lookup = conn->lookup;
    if (conn->state != SCI_CONN_RESOLVING || !sci_lookup_is_done(lookup))
        return;
    if (lookup->status != SC_OK) {
        sci_conn_fail_step(conn, lookup->status, lookup->error_text);
        sci_conn_attempt_failed(conn);
        return;
    }
    sc_status status = sci_conn_take_addresses(conn, lookup->addresses, lookup->count);
    if (status == SC_OK)
        sci_conn_forget_lookup(conn);
    sci_conn_dial_taken(conn, status);
}

static void sci_conn_resolve(sci_conn *conn)
{
    sc_client *client = conn->client;
    sc_status status =
        sci_lookup_start(&client->memory, &client->resolver, client->url.host, client->url.port,
                         sci_conn_lookup_notify, &client->loop, &conn->lookup);
    if (status != SC_OK) {
        sci_conn_fail_step(conn, status, sc_error_text());
        sci_conn_attempt_failed(conn);
        return;
    }
    conn->state = SCI_CONN_RESOLVING;
    sci_timer_arm(&client->loop, &conn->life_timer, conn->attempt_deadline_ns);
    if (conn->lookup->descriptor >= 0) {
        conn->lookup_watch.descriptor = conn->lookup->descriptor;
        conn->lookup_watch.prepare = sci_conn_lookup_prepare;
        conn->lookup_watch.settle = sci_conn_lookup_settle;
        conn->lookup_watch.release = sci_conn_lookup_release;
        sci_watch_add(&client->loop, &conn->lookup_watch);
    }
    sci_conn_check_lookup(conn); /* numeric hosts are done at once */
}

/* A Unix socket; a server in this process has none. */
static sc_status sci_conn_local_address(const sc_client *client, sc_address *address)
{
    if (!sci_client_is_embedded(client))
        return sci_address_unix(client->url.path, address);
    memset(address, 0, sizeof *address);
    address->family = SC_FAMILY_UNIX;
    return SC_OK;
}

SCI_PRIVATE bool sci_conn_may_connect(sci_conn *conn, int64_t now_ns)
{
    return conn->failures == 0 || now_ns >= conn->next_attempt_ns ||
           (conn->client->config.wait_while_down && conn->failure_status != SC_ERR_AUTH);
}

SCI_PRIVATE void sci_conn_connect(sci_conn *conn, int64_t now_ns)
{
    sc_client *client = conn->client;
    sci_assert(conn->state == SCI_CONN_DOWN);
    if (conn->failures > 0 && now_ns < conn->next_attempt_ns) {
        sci_timer_arm(&client->loop, &conn->life_timer, conn->next_attempt_ns);
        return;
    }
    conn->attempt_deadline_ns =
        sci_client_deadline_ns(client, client->config.connect_timeout_ms, now_ns);
    conn->address_index = 0;
#ifndef SMARTCACHE_NO_SERVER
    conn->moments = 0;
#endif
    if (client->url.scheme != SCI_SCHEME_UNIX && !sci_client_is_embedded(client)) {
        sci_conn_resolve(conn);
        return;
    }
    sc_address address;
    sc_status status = sci_conn_local_address(client, &address);
    if (status == SC_OK)
        status = sci_conn_take_addresses(conn, &address, 1);
    sci_conn_dial_taken(conn, status);
}

/* Prelude: one command at least, so that an error which the server sends unasked (too many clients,
   still loading) is never taken for the answer to a call. */

typedef enum sci_prelude_step {
    SCI_PRELUDE_AUTH,
    SCI_PRELUDE_SELECT,
    SCI_PRELUDE_NAME,
    SCI_PRELUDE_PING
} sci_prelude_step;

/* The words of `step`, 0 when the configuration does not call for it. */
static size_t sci_prelude_words(const sc_client *client, uint32_t step, sc_slice words[3],
                                char number[SCI_I64_TEXT_BYTES])
{
    const sci_url *url = &client->url;
    size_t count = 0;
    switch ((sci_prelude_step)step) {
    case SCI_PRELUDE_AUTH:
        if (!url->password)
            return 0;
        words[count++] = sc_text("AUTH");
        if (url->user)
            words[count++] = sc_text(url->user);
        words[count++] = sc_text(url->password);
        return count;
    case SCI_PRELUDE_SELECT:
        if (url->db == 0)
            return 0;
        words[count++] = sc_text("SELECT");
        words[count++] = sc_bytes(number, sci_i64_to_text(url->db, number));
        return count;
    case SCI_PRELUDE_NAME:
        if (!url->name)
            return 0;
        words[count++] = sc_text("CLIENT");
        words[count++] = sc_text("SETNAME");
        words[count++] = sc_text(url->name);
        return count;
    case SCI_PRELUDE_PING:
        words[count++] = sc_text("PING");
        return count;
    }
    return 0;
}

#define SCI_PRELUDE_STEPS (SCI_PRELUDE_PING + 1)

/* The first step from `step` on that is called for. */
static uint32_t sci_prelude_from(const sc_client *client, uint32_t step)
{
    sc_slice words[3];
    char number[SCI_I64_TEXT_BYTES];
    while (step < SCI_PRELUDE_STEPS && !sci_prelude_words(client, step, words, number))
        step++;
    return step;
}

static void sci_conn_send_prelude(sci_conn *conn)
{
    sc_client *client = conn->client;
    sc_slice words[3];
    char number[SCI_I64_TEXT_BYTES];
    sc_status status = SC_OK;
    for (uint32_t step = 0; step < SCI_PRELUDE_STEPS && status == SC_OK; step++) {
        size_t count = sci_prelude_words(client, step, words, number);
        if (count)
            status = sci_write_command(&conn->wire->sending, words, count);
    }
    if (status != SC_OK) {
        sci_conn_fail_step(conn, status, sc_error_text());
        sci_conn_attempt_failed(conn);
        return;
    }
    conn->state = SCI_CONN_PRELUDE;
    conn->prelude_step = sci_prelude_from(client, 0);
    sci_timer_arm(&client->loop, &conn->life_timer, conn->attempt_deadline_ns);
    sci_loop_wake(&client->loop);
    sci_conn_flush(conn);
}

static bool sci_answer_begins(sc_slice answer, const char *prefix)
{
    sc_slice text = sc_text(prefix);
    return answer.len >= text.len && memcmp(answer.data, text.data, text.len) == 0;
}

/* Errors that say that the server serves nobody now, whatever was asked. */
static bool sci_answer_is_passing(sc_slice answer)
{
    static const char *const passing[] = {"LOADING",  "MASTERDOWN",  "BUSY",
                                          "TRYAGAIN", "CLUSTERDOWN", "ERR max number of clients"};
    for (size_t i = 0; i < SCI_COUNT(passing); i++)
        if (sci_answer_begins(answer, passing[i]))
            return true;
    return false;
}

static void sci_conn_prelude_refused(sci_conn *conn, const char *command, sc_slice answer)
{
    char text[SC_ERROR_TEXT_BYTES];
    const char *advice = "";
    sc_status status = SC_ERR_CONNECT;
    bool wants_password = sci_answer_begins(answer, "NOAUTH");
    if (sci_answer_is_passing(answer)) {
        advice = ": the server takes no clients now";
    } else if (conn->prelude_step == SCI_PRELUDE_AUTH || wants_password) {
        status = SC_ERR_AUTH;
        advice = wants_password ? ": set the password, in the URL or as sc_config.password"
                                : ": check user and password, in the URL or sc_config";
    } else if (conn->prelude_step == SCI_PRELUDE_SELECT) {
        advice = ": change the database number in the URL";
    } else if (conn->prelude_step == SCI_PRELUDE_NAME) {
        advice = ": change sc_config.client_name";
    }
    (void)sci_format(text, sizeof text, "%s was answered by \"%.*s\"%s", command,
                     (int)sci_min_size(answer.len, 200), answer.data, advice);
    sci_conn_fail_step(conn, status, text);
    if (status == SC_ERR_AUTH)
        sci_conn_attempt_failed(conn);
    else
        sci_conn_dial_next(conn);
}

static void sci_conn_is_ready(sci_conn *conn)
{
    sc_client *client = conn->client;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    conn->state = SCI_CONN_READY;
    conn->failures = 0;
    conn->active_ns = now_ns;
    conn->heard_ns = now_ns;
    client->stats.connects++;
    sci_timer_cancel(&client->loop, &conn->life_timer);
    if (client->config.idle_check_ms >= 0)
        sci_timer_arm(&client->loop, &conn->life_timer,
                      now_ns + client->config.idle_check_ms * SCI_NS_PER_MS);
    const char *place = client->url.path ? client->url.path : client->url.host;
    sci_client_log(client, SC_LOG_INFO, "connected to %s", place ? place : SCI_LIFE_EMBEDDED);
    if (conn->kind == SCI_CONN_SUBSCRIBER)
        sci_subscriber_ready(conn->subscriber);
    sci_conn_flush(conn);
    sci_conn_pass_on(conn);
}

SCI_PRIVATE void sci_conn_prelude_reply(sci_conn *conn, const sc_item *item)
{
    static const char *const names[SCI_PRELUDE_STEPS] = {"AUTH", "SELECT", "CLIENT SETNAME",
                                                         "PING"};
    const char *expected = conn->prelude_step == SCI_PRELUDE_PING ? "PONG" : "OK";
    if (sc_item_expect(item, expected) != SC_OK) {
        sc_slice answer = sc_item_slice(item);
        if (sc_item_kind(item) != SC_ERROR && sc_item_kind(item) != SC_SIMPLE)
            answer = sc_text("something that is no status");
        sci_conn_prelude_refused(conn, names[conn->prelude_step], answer);
        return;
    }
    conn->prelude_step = sci_prelude_from(conn->client, conn->prelude_step + 1);
    if (conn->prelude_step == SCI_PRELUDE_STEPS)
        sci_conn_is_ready(conn);
}

/* Loss. */

SCI_PRIVATE void sci_conn_drop(sci_conn *conn, sc_status status, const char *text)
{
    sc_client *client = conn->client;
    char words[SC_ERROR_TEXT_BYTES];
    (void)sci_format(words, sizeof words, "%s", text ? text : sc_error_text());
    if (conn->state != SCI_CONN_READY) {
        sci_conn_fail_step(conn, status == SC_ERR_MEMORY ? status : SC_ERR_CONNECT, words);
        if (!sci_conn_postpone(conn, status))
            sci_conn_dial_next(conn);
        return;
    }
    sci_conn_fail_step(conn, status, words);
    (void)sci_format(conn->failure_text, sizeof conn->failure_text, "connection lost: %s", words);
    sci_client_log(client, SC_LOG_INFO, "%s", conn->failure_text);
    sci_conn_abandon(conn);
    char lost[SC_ERROR_TEXT_BYTES];
    memcpy(lost, conn->failure_text, sizeof lost);
    sci_conn_fail_sent(conn, status, lost);
    if (conn->is_bound)
        sci_conn_fail_all(conn, SC_ERR_NOT_SENT, lost);
    if (conn->kind == SCI_CONN_SUBSCRIBER)
        sci_subscriber_lost(conn->subscriber);
    bool is_wanted = conn->slot_count > 0 || (conn->kind == SCI_CONN_SUBSCRIBER &&
                                              sci_subscriber_is_wanted(conn->subscriber));
    if (is_wanted && conn->state == SCI_CONN_DOWN && !client->is_closing)
        sci_conn_connect(conn, sci_loop_now_ns(&client->loop));
}

/* Idle check. */

static sc_status sci_conn_encode_ping(sci_op *op, sci_bytes *out)
{
    sc_slice word = sc_text("PING");
    (void)op;
    return sci_write_command(out, &word, 1);
}

static void sci_conn_checked(sci_op *op)
{
    sci_conn *conn = op->conn;
    conn->is_checking = false;
    sc_value_release(op->error_text);
    op->error_text = NULL;
    if (op->status == SC_ERR_TIMEOUT && conn->state == SCI_CONN_READY)
        sci_conn_drop(conn, SC_ERR_DISCONNECTED, "the idle connection did not answer PING");
}

/* Ask a silent connection whether it still stands. */
static void sci_conn_check_idle(sci_conn *conn)
{
    sc_client *client = conn->client;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    int64_t check_ns = client->config.idle_check_ms * SCI_NS_PER_MS;
    int64_t quiet_ns =
        now_ns - (conn->heard_ns > conn->active_ns ? conn->heard_ns : conn->active_ns);
    if (quiet_ns < check_ns) {
        sci_timer_arm(&client->loop, &conn->life_timer, now_ns + check_ns - quiet_ns);
        return;
    }
    sci_timer_arm(&client->loop, &conn->life_timer, now_ns + check_ns);
    if (conn->kind == SCI_CONN_SUBSCRIBER) {
        sci_subscriber_check(conn->subscriber);
    } else if (!conn->is_checking && conn->slot_count == 0) {
        sci_op *op = &conn->check_op;
        memset(op, 0, sizeof *op);
        op->complete = sci_conn_checked;
        op->encode = sci_conn_encode_ping;
        op->replies = 1;
        op->deadline_ns = sci_client_deadline_ns(client, 0, now_ns);
        conn->is_checking = true;
        sci_conn_submit(conn, op, now_ns);
    }
}

SCI_PRIVATE void sci_conn_life_fire(sci_timer *timer)
{
    sci_conn *conn = SCI_CONTAINER(timer, sci_conn, life_timer);
    int64_t now_ns = sci_loop_now_ns(&conn->client->loop);
    switch (conn->state) {
    case SCI_CONN_DOWN:
        sci_conn_connect(conn, now_ns);
        return;
    case SCI_CONN_RESOLVING:
        sci_conn_fail_step(conn, SC_ERR_RESOLVE,
                           "the name was not resolved before the deadline (connect_timeout_ms)");
        sci_conn_attempt_failed(conn);
        return;
    case SCI_CONN_DIALING:
        sci_conn_fail_step(conn, SC_ERR_CONNECT,
                           "no answer before the deadline (connect_timeout_ms)");
        sci_conn_dial_next(conn);
        return;
    case SCI_CONN_HELD:
        sci_conn_dial_next(conn);
        return;
    case SCI_CONN_PRELUDE:
        sci_conn_fail_step(conn, SC_ERR_CONNECT,
                           "connected, but the server did not answer before the deadline "
                           "(connect_timeout_ms)");
        sci_conn_dial_next(conn);
        return;
    case SCI_CONN_READY:
        sci_conn_check_idle(conn);
        return;
    }
}
