/* Connections of a server: accepted, received from, sent to. All that is ready is received and
   executed first; then the log is committed once, and then answers are sent. */

#include "server/host.h"

#include "base/error.h"
#include "net/address.h"
#include "server/session.h"

/* Connections taken in one turn of the loop. */
#define SCI_VISIT_ACCEPTS 64
/* Times that one connection is received from in one turn, so that others have theirs. */
#define SCI_VISIT_RECEIVES 16
/* How long a door is left alone when a connection could not be taken. */
#define SCI_VISIT_PAUSE_NS (100 * (int64_t)SCI_SERVER_NS_PER_MS)

/* The server's lock: look at this one before the next wait. */
static void sci_visit_is_due(sci_visit *visit)
{
    if (!sci_link_is_in_list(&visit->due))
        sci_list_append(&visit->host->due, &visit->due);
}

/* The server's lock: what another session, or time, did to this one. */
static void sci_visit_notify(void *user)
{
    sci_visit *visit = (sci_visit *)user;
    sci_host *host = visit->host;
    sci_visit_is_due(visit);
    if (host->is_awake)
        return;
    host->is_awake = true;
    sci_loop_interrupt(host->loop);
}

/* The server's lock. The loop lets go of the rest when nobody waits. */
static void sci_visit_end(sci_visit *visit)
{
    sci_list_remove(&visit->due);
    if (visit->session)
        sci_session_close(visit->session);
    visit->session = NULL;
    sci_list_remove(&visit->link);
    sci_watch_retire(visit->host->loop, &visit->watch);
}

static void sci_visit_release(sci_watch *watch)
{
    sci_visit *visit = SCI_CONTAINER(watch, sci_visit, watch);
    sci_host *host = visit->host;
    host->table.streams.hangup(visit->stream, true);
    sci_free(&host->memory, visit, sizeof *visit);
}

/* Into the host's buffer while nothing is left over from before, so that idle connections have none
   of their own. */
static sc_status sci_visit_receive_once(sci_visit *visit, bool *has_more)
{
    sci_host *host = visit->host;
    sci_session *session = visit->session;
    size_t cap = SCI_HOST_RECEIVE_BYTES;
    size_t received = 0;
    bool is_fresh = sci_bytes_len(&session->in) == 0;
    char *room = is_fresh ? host->buffer : sci_session_room(session, cap, &cap);
    if (!room)
        return SC_OK; /* no memory: the session has ended */
    sc_status status = host->table.streams.receive(visit->stream, room, cap, &received);
    if (status != SC_OK)
        return status;
    if (is_fresh)
        sci_session_feed(session, sc_bytes(room, received));
    else
        sci_session_received(session, received);
    *has_more = received == cap ||
                (host->table.streams.pending && host->table.streams.pending(visit->stream));
    return SC_OK;
}

/* The server's lock. */
static void sci_visit_receive(sci_visit *visit)
{
    sc_status status = SC_OK;
    bool has_more = true;
    for (int i = 0; i < SCI_VISIT_RECEIVES && has_more && status == SC_OK; i++) {
        has_more = false;
        if (sci_session_wants_input(visit->session))
            status = sci_visit_receive_once(visit, &has_more);
    }
    if (status == SC_END)
        sci_session_end(visit->session); /* it may still listen */
    else if (status != SC_OK && status != SC_AGAIN)
        visit->session->is_broken = true;
}

static void sci_visit_settle(sci_watch *watch, unsigned ready)
{
    sci_visit *visit = SCI_CONTAINER(watch, sci_visit, watch);
    sc_server *server = visit->host->server;
    sci_mutex_lock(&server->lock);
    visit->host->is_awake = true;
    if (ready & SCI_WATCH_FAILED)
        visit->session->is_broken = true;
    if (ready & (SC_WRITABLE | SC_HANGUP))
        visit->is_stalled = false;
    if (ready & (SC_READABLE | SC_HANGUP))
        sci_visit_receive(visit);
    sci_visit_is_due(visit);
    sci_mutex_unlock(&server->lock);
}

/* The server's lock. Send what there is; false when the stream is lost. */
static bool sci_visit_transmit(sci_visit *visit)
{
    sci_session *session = visit->session;
    sc_slice output = sci_session_output(session);
    size_t sent = 0;
    if (output.len == 0 || visit->is_stalled)
        return true;
    sc_status status =
        visit->host->table.streams.transmit(visit->stream, output.data, output.len, &sent);
    if (status != SC_OK && status != SC_AGAIN)
        return false;
    visit->is_stalled = sent < output.len;
    if (sent)
        sci_session_sent(session, sent);
    return true;
}

/* The server's lock: what was executed has been committed. */
static void sci_visit_turn(sci_visit *visit)
{
    sci_session *session = visit->session;
    unsigned interest = 0;
    bool was_pausing = session->is_pausing;
    session->is_notified = false;
    if (!sci_visit_transmit(visit) || sci_session_is_over(session)) {
        sci_visit_end(visit);
        return;
    }
    if (was_pausing && !session->is_pausing) {
        sci_session_run(session);
        sci_visit_is_due(visit);
    }
    if (visit->is_stalled)
        interest |= SC_WRITABLE;
    if (sci_session_wants_input(session))
        interest |= SC_READABLE;
    sci_watch_want(visit->host->loop, &visit->watch, interest);
}

SCI_PRIVATE void sci_visits_turn(sci_host *host)
{
    sc_server *server = host->server;
    sci_mutex_lock(&server->lock);
    if (!sci_list_is_empty(&host->due))
        sci_ticker_note(server);
    while (!sci_list_is_empty(&host->due)) {
        sci_link round;
        sci_list_init(&round);
        sci_list_move_all(&round, &host->due);
        sci_server_commit(server);
        for (sci_link *link = sci_list_take_first(&round); link; link = sci_list_take_first(&round))
            sci_visit_turn(SCI_CONTAINER(link, sci_visit, due));
    }
    host->is_awake = false;
    sci_mutex_unlock(&server->lock);
}

SCI_PRIVATE void sci_visits_end(sci_host *host)
{
    sci_mutex_lock(&host->server->lock);
    while (!sci_list_is_empty(&host->visits))
        sci_visit_end(SCI_CONTAINER(host->visits.next, sci_visit, link));
    sci_mutex_unlock(&host->server->lock);
}

/* --- Doors */

/* As CLIENT LIST prints it: a Unix socket has the path of the server's end. */
static void sci_door_peer_text(const sci_door *door, const sc_address *peer,
                               char text[SCI_ADDRESS_TEXT_BYTES])
{
    if (peer->family == SC_FAMILY_UNIX)
        (void)sci_format(text, SCI_ADDRESS_TEXT_BYTES, "%s:0", door->address.path);
    else
        sci_address_to_text(peer, text);
}

/* The server's lock: a session for a visitor; else why not has been told. */
static sci_session *sci_door_open_session(sci_door *door, sci_visit *visit, const sc_address *peer)
{
    char text[SCI_ADDRESS_TEXT_BYTES];
    sci_door_peer_text(door, peer, text);
    sci_session *session =
        sci_session_open(door->host->server, text, false, sci_visit_notify, visit);
    if (!session) {
        char line[SC_ERROR_TEXT_BYTES];
        size_t sent;
        size_t len = sci_format(line, sizeof line, "-%s\r\n", sc_error_text());
        (void)door->host->table.streams.transmit(visit->stream, line, len, &sent);
        return NULL;
    }
    session->descriptor = visit->watch.descriptor;
    sci_door_peer_text(door, &door->address, text);
    (void)sci_format(session->laddress, sizeof session->laddress, "%s", text);
    return session;
}

static void sci_door_take(sci_door *door, void *stream, const sc_address *peer)
{
    sci_host *host = door->host;
    sci_visit *visit = (sci_visit *)sci_alloc_zeroed(&host->memory, sizeof *visit);
    if (!visit) {
        host->table.streams.hangup(stream, true);
        return;
    }
    visit->host = host;
    visit->stream = stream;
    visit->watch.descriptor = host->table.streams.descriptor(stream);
    visit->watch.settle = sci_visit_settle;
    visit->watch.release = sci_visit_release;
    sci_list_init(&visit->link);
    sci_list_init(&visit->due);
    sci_mutex_lock(&host->server->lock);
    visit->session = sci_door_open_session(door, visit, peer);
    sci_mutex_unlock(&host->server->lock);
    if (!visit->session) {
        sci_visit_release(&visit->watch);
        return;
    }
    sci_list_append(&host->visits, &visit->link);
    sci_watch_add(host->loop, &visit->watch);
    sci_watch_want(host->loop, &visit->watch, SC_READABLE);
}

static void sci_door_reopen(sci_timer *timer)
{
    sci_door *door = SCI_CONTAINER(timer, sci_door, pause);
    sci_watch_want(door->host->loop, &door->watch, SC_READABLE);
}

SCI_PRIVATE void sci_door_settle(sci_watch *watch, unsigned ready)
{
    sci_door *door = SCI_CONTAINER(watch, sci_door, watch);
    sci_host *host = door->host;
    sc_status status = ready & SCI_WATCH_FAILED ? watch->failure : SC_OK;
    for (int i = 0; i < SCI_VISIT_ACCEPTS && status == SC_OK; i++) {
        sc_address peer;
        void *stream;
        status = host->table.accept_stream(door->listener, &stream, &peer);
        if (status == SC_OK)
            sci_door_take(door, stream, &peer);
    }
    if (status == SC_OK || status == SC_AGAIN)
        return;
    sci_mutex_lock(&host->server->lock);
    sci_server_log(host->server, SC_LOG_WARNING, "%s takes no connection: %s", door->url,
                   sc_error_text());
    sci_mutex_unlock(&host->server->lock);
    door->pause.fire = sci_door_reopen;
    sci_watch_want(host->loop, watch, 0);
    sci_timer_arm(host->loop, &door->pause, sci_loop_now_ns(host->loop) + SCI_VISIT_PAUSE_NS);
}
