/* A session: bytes in, commands executed, bytes out. */

#include "server/session.h"

#include "base/error.h"
#include "resp/writer.h"
#include "server/dispatch.h"
#include "server/pubsub.h"
#include "server/tracking.h"
#include "server/transaction.h"
#include "server/wait.h"

#define SCI_SESSION_LINE_BYTES ((size_t)64 << 10)
#define SCI_SESSION_WORDS ((size_t)INT32_MAX)
/* Emptied buffers above this are given back. */
#define SCI_SESSION_KEEP_BYTES ((size_t)64 << 10)
/* A session that waits, or is to send first, takes no more than so much ahead. */
#define SCI_SESSION_AHEAD_BYTES ((size_t)1 << 20)

SCI_PRIVATE void sci_session_notify(sci_session *session)
{
    if (session->is_notified || !session->notify)
        return;
    session->is_notified = true;
    session->notify(session->notify_user);
}

static sc_slice sci_session_id_bytes(const uint64_t *id)
{
    return sc_bytes((const char *)id, sizeof *id);
}

SCI_PRIVATE sci_session *sci_session_find(const sc_server *server, uint64_t id)
{
    const sci_map *map = &server->sessions_by_id;
    const sc_slice key = sci_session_id_bytes(&id);
    sci_map_node *node = sci_map_find(map, key, sci_map_hash(map, key));
    sci_session *session = node ? SCI_CONTAINER(node, sci_session, by_id) : NULL;
    return session && !session->is_broken ? session : NULL;
}

static void sci_session_set_peer(sci_session *session, const char *peer)
{
    (void)sci_format(session->address, sizeof session->address, "%s", peer);
}

SCI_PRIVATE sci_session *sci_session_open(sc_server *server, const char *peer, bool is_trusted,
                                          void (*notify)(void *user), void *notify_user)
{
    sci_request_limits limits;
    if (server->session_count >= server->config.max_clients) {
        server->stats.rejected++;
        (void)sc_fail(SC_ERR_LIMIT, "ERR max number of clients reached");
        return NULL;
    }
    sci_session *session = (sci_session *)sci_alloc_zeroed(&server->memory, sizeof *session);
    if (!session)
        return NULL;
    limits.max_words = SCI_SESSION_WORDS;
    limits.max_bulk_bytes = server->config.max_bulk_bytes;
    limits.max_line_bytes = SCI_SESSION_LINE_BYTES;
    session->server = server;
    session->id = ++server->last_session;
    session->db = &server->dbs[0];
    session->notify = notify;
    session->notify_user = notify_user;
    session->is_trusted = is_trusted;
    session->is_authenticated = is_trusted || !server->password;
    session->descriptor = -1;
    session->created_ms = session->active_ms = sci_server_wall_ms(server);
    sci_session_set_peer(session, peer);
    sci_bytes_init(&session->in, &server->memory);
    sci_bytes_init(&session->out, &server->memory);
    sci_request_init(&session->request, &server->memory, &limits);
    sci_bytes_init(&session->transaction.queued, &server->memory);
    sci_list_init(&session->watches);
    for (int kind = 0; kind < SCI_CHANNEL_KINDS; kind++)
        sci_list_init(&session->subscriptions[kind]);
    sci_list_init(&session->tracking.prefixes);
    sci_wait_init(session);
    sci_list_init(&session->resume);
    sci_list_init(&session->writer);
    sci_list_init(&session->link);
    sci_list_append(&server->sessions, &session->link);
    sc_slice id = sci_session_id_bytes(&session->id);
    sci_map_put(&server->sessions_by_id, &session->by_id, id,
                sci_map_hash(&server->sessions_by_id, id));
    server->session_count++;
    server->stats.connections++;
    return session;
}

SCI_PRIVATE void sci_session_close(sci_session *session)
{
    sc_server *server = session->server;
    sci_wait_leave(session);
    sci_transaction_discard(session);
    sci_pubsub_leave(session);
    sci_tracking_leave(session);
    sci_list_remove(&session->resume);
    sci_list_remove(&session->writer);
    sci_list_remove(&session->link);
    sci_map_remove(&server->sessions_by_id, &session->by_id);
    server->session_count--;
    sci_bytes_free(&session->in);
    sci_bytes_free(&session->out);
    sci_bytes_free(&session->transaction.queued);
    sci_bytes_free(&session->wait.command);
    sci_request_free(&session->request);
    sci_free_text(&server->memory, session->name);
    sci_free(&server->memory, session, sizeof *session);
}

SCI_PRIVATE void sci_session_end(sci_session *session)
{
    session->is_ended = true;
    sci_bytes_reset(&session->in, 0);
    sci_wait_leave(session);
}

SCI_PRIVATE void sci_session_kill(sci_session *session)
{
    session->is_broken = true;
    sci_session_end(session);
    sci_transaction_discard(session);
    sci_pubsub_leave(session);
    sci_tracking_leave(session);
    sci_session_notify(session);
}

/* Answer what could not be understood, and hang up. */
static void sci_session_refuse(sci_session *session, sc_status status)
{
    sc_slice words = sc_text(status == SC_ERR_PROTOCOL ? sc_error_text() : "OOM out of memory");
    sc_status added =
        sci_bytes_append_text(&session->out, status == SC_ERR_PROTOCOL ? "-ERR " : "-");
    if (added == SC_OK)
        added = sci_bytes_append(&session->out, words);
    if (added == SC_OK)
        added = sci_bytes_append_text(&session->out, "\r\n");
    session->is_broken |= added != SC_OK;
    sci_session_end(session);
}

static bool sci_session_may_execute(const sci_session *session)
{
    return !session->is_ended && !session->is_broken && !session->is_pausing &&
           !sci_wait_is_on(session);
}

/* Execute what is whole of `data`; returns how much that was. */
static size_t sci_session_execute(sci_session *session, const char *data, size_t len)
{
    sc_server *server = session->server;
    size_t done = 0;
    while (done < len && sci_session_may_execute(session)) {
        size_t used = 0;
        session->request.is_stranger = !session->is_authenticated;
        sc_status status = sci_request_read(&session->request, data + done, len - done, &used);
        if (status == SC_AGAIN)
            break;
        if (status != SC_OK) {
            sci_session_refuse(session, status);
            return len;
        }
        done += used;
        if (session->request.word_count)
            sci_command_dispatch(session, session->request.words, session->request.word_count);
        session->is_pausing = sci_bytes_len(&session->out) > server->config.max_output_bytes;
    }
    if (done == len)
        sci_request_rest(&session->request);
    return session->is_ended ? len : done;
}

static void sci_session_begin(sci_session *session)
{
    sc_server *server = session->server;
    server->now_ms = sci_server_wall_ms(server);
    session->active_ms = server->now_ms;
}

/* What is left over is too long for a command. */
static void sci_session_check_size(sci_session *session)
{
    if (sci_bytes_len(&session->in) <= session->server->config.max_request_bytes)
        return;
    (void)sc_fail(SC_ERR_PROTOCOL, "Protocol error: a command of more than %zu bytes",
                  session->server->config.max_request_bytes);
    sci_session_refuse(session, SC_ERR_PROTOCOL);
}

static void sci_session_execute_received(sci_session *session)
{
    sci_bytes *in = &session->in;
    if (sci_bytes_len(in) == 0 || !sci_session_may_execute(session))
        return;
    sci_session_begin(session);
    sc_slice bytes = sci_bytes_slice(in);
    size_t done = sci_session_execute(session, bytes.data, bytes.len);
    if (session->is_ended)
        return;
    sci_bytes_consume(in, done);
    if (sci_bytes_len(in) == 0)
        sci_bytes_reset(in, SCI_SESSION_KEEP_BYTES);
    else
        sci_session_check_size(session);
}

static void sci_session_resume_others(sci_session *session)
{
    if (SCI_UNLIKELY(!sci_list_is_empty(&session->server->resumed)))
        sci_wait_resume(session->server);
}

SCI_PRIVATE void sci_session_run(sci_session *session)
{
    sci_session_execute_received(session);
    sci_session_resume_others(session);
}

static void sci_session_take(sci_session *session, sc_slice bytes)
{
    if (session->is_ended)
        return;
    if (sci_bytes_len(&session->in) == 0 && sci_session_may_execute(session)) {
        sci_session_begin(session);
        size_t done = sci_session_execute(session, bytes.data, bytes.len);
        bytes = sc_bytes(bytes.data + done, bytes.len - done);
        if (session->is_ended || bytes.len == 0)
            return;
    }
    if (sci_bytes_append(&session->in, bytes) != SC_OK)
        sci_session_refuse(session, SC_ERR_MEMORY);
    else
        sci_session_execute_received(session);
}

SCI_PRIVATE void sci_session_feed(sci_session *session, sc_slice bytes)
{
    session->server->stats.bytes_in += bytes.len;
    sci_session_take(session, bytes);
    sci_session_resume_others(session);
}

SCI_PRIVATE char *sci_session_room(sci_session *session, size_t least, size_t *cap)
{
    sci_bytes *in = &session->in;
    size_t missing = sci_request_missing(&session->request, sci_bytes_len(in));
    /* Memory follows the bytes that came, not the lengths that were announced. */
    least = sci_max_size(least, sci_min_size(missing, sci_bytes_len(in)));
    if (sci_bytes_reserve(in, least) != SC_OK) {
        sci_session_refuse(session, SC_ERR_MEMORY);
        return NULL;
    }
    *cap = in->cap - in->end;
    return in->data + in->end;
}

SCI_PRIVATE void sci_session_received(sci_session *session, size_t len)
{
    session->server->stats.bytes_in += len;
    session->in.end += len;
    sci_session_run(session);
}

SCI_PRIVATE void sci_session_sent(sci_session *session, size_t len)
{
    session->server->stats.bytes_out += len;
    sci_bytes_consume(&session->out, len);
    if (sci_bytes_len(&session->out) == 0)
        sci_bytes_reset(&session->out, SCI_SESSION_KEEP_BYTES);
    if (session->is_pausing &&
        sci_bytes_len(&session->out) <= session->server->config.max_output_bytes / 2)
        session->is_pausing = false;
}

SCI_PRIVATE bool sci_session_wants_input(const sci_session *session)
{
    return !session->is_ended && !session->is_broken &&
           (sci_session_may_execute(session) ||
            sci_bytes_len(&session->in) < SCI_SESSION_AHEAD_BYTES);
}
