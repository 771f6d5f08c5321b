/* Streams inside of the process. */

#include "server/pipe.h"

#include "base/error.h"
#include "server/session.h"

/* How CLIENT LIST names the peer. */
#define SCI_PIPE_PEER "in-process"

typedef struct sci_pipe {
    sc_memory memory;
    sc_server *server;
    /* The server's lock: */
    sci_session *session; /* owned */
    void (*ready)(void *user);
    void *ready_user;
    bool is_hungry; /* nothing was found: `ready` is to be called when there is something */
    bool is_full;   /* a transmit found no room */
} sci_pipe;

/* The server's lock. */
static bool sci_pipe_has_output(const sci_pipe *pipe)
{
    return sci_session_output(pipe->session).len > 0 || sci_session_is_over(pipe->session);
}

/* The server's lock: wake who waits, if there is what it waits for. */
static void sci_pipe_tell(sci_pipe *pipe)
{
    bool is_due = (pipe->is_hungry && sci_pipe_has_output(pipe)) ||
                  (pipe->is_full && sci_session_wants_input(pipe->session));
    if (SCI_LIKELY(!is_due) || !pipe->ready)
        return;
    pipe->is_hungry = false;
    pipe->is_full = false;
    pipe->ready(pipe->ready_user);
}

static void sci_pipe_notify(void *user)
{
    sci_pipe *pipe = (sci_pipe *)user;
    pipe->session->is_notified = false;
    sci_pipe_tell(pipe);
}

SCI_PRIVATE sc_status sci_pipe_dial(void *server, const sc_memory *memory,
                                    const sc_address *address, const char *host, void **stream)
{
    (void)address;
    (void)host;
    *stream = NULL;
    if (((sc_server *)server)->is_torn)
        return sc_fail(SC_ERR_CONNECT,
                       "the process was forked while another of its threads changed "
                       "the server's data: this child has no server");
    if (sci_atomic_load_acquire(&((sc_server *)server)->is_stopped))
        return sc_fail(SC_ERR_CONNECT, "the server was stopped");
    sci_pipe *pipe = (sci_pipe *)sci_alloc_zeroed(memory, sizeof *pipe);
    if (!pipe)
        return SC_ERR_MEMORY;
    pipe->memory = *memory;
    pipe->server = (sc_server *)server;
    sci_mutex_lock(&pipe->server->lock);
    pipe->session = sci_session_open(pipe->server, SCI_PIPE_PEER, true, sci_pipe_notify, pipe);
    sci_mutex_unlock(&pipe->server->lock);
    if (!pipe->session) {
        sci_free(memory, pipe, sizeof *pipe);
        return SC_ERR_CONNECT;
    }
    *stream = pipe;
    return SC_OK;
}

static sc_status sci_pipe_progress(void *stream, unsigned *interest)
{
    (void)stream;
    *interest = 0;
    return SC_OK;
}

static sc_status sci_pipe_transmit(void *stream, const void *data, size_t len, size_t *sent)
{
    sci_pipe *pipe = (sci_pipe *)stream;
    sc_server *server = pipe->server;
    sci_session *session = pipe->session;
    sc_status status = SC_OK;
    *sent = 0;
    sci_mutex_lock(&server->lock);
    if (SCI_LIKELY(sci_session_wants_input(session))) {
        sci_session_feed(session, sc_bytes(data, len));
        sci_server_commit(server);
        sci_ticker_note(server);
        *sent = len;
    } else if (session->is_ended || session->is_broken) {
        status = sc_fail(SC_ERR_DISCONNECTED, "the embedded server has ended the connection");
    } else {
        pipe->is_full = true;
        status = SC_AGAIN;
    }
    sci_pipe_tell(pipe);
    sci_mutex_unlock(&server->lock);
    return status;
}

/* The server's lock: room in the output may be what the session waits for. */
static void sci_pipe_resume(sci_pipe *pipe)
{
    sci_session_run(pipe->session);
    sci_server_commit(pipe->server);
    sci_pipe_tell(pipe);
}

static sc_status sci_pipe_receive(void *stream, void *buffer, size_t cap, size_t *received)
{
    sci_pipe *pipe = (sci_pipe *)stream;
    sci_session *session = pipe->session;
    sc_status status = SC_OK;
    *received = 0;
    sci_mutex_lock(&pipe->server->lock);
    sci_server_commit(pipe->server); /* another may have brought this output, and not yet done so */
    sc_slice output = sci_session_output(session);
    if (SCI_LIKELY(output.len > 0)) {
        bool was_pausing = session->is_pausing;
        *received = sci_min_size(output.len, cap);
        memcpy(buffer, output.data, *received);
        sci_session_sent(session, *received);
        if (was_pausing && !session->is_pausing)
            sci_pipe_resume(pipe);
    } else if (sci_session_is_over(session)) {
        status = SC_END;
    } else {
        pipe->is_hungry = true;
        status = SC_AGAIN;
    }
    sci_mutex_unlock(&pipe->server->lock);
    return status;
}

static bool sci_pipe_pending(void *stream)
{
    sci_pipe *pipe = (sci_pipe *)stream;
    sci_mutex_lock(&pipe->server->lock);
    bool has_output = sci_pipe_has_output(pipe);
    pipe->is_hungry |= !has_output;
    sci_mutex_unlock(&pipe->server->lock);
    return has_output;
}

static sc_descriptor sci_pipe_descriptor(void *stream)
{
    (void)stream;
    return -1;
}

static void sci_pipe_attend(void *stream, void (*ready)(void *user), void *user)
{
    sci_pipe *pipe = (sci_pipe *)stream;
    sci_mutex_lock(&pipe->server->lock);
    pipe->ready = ready;
    pipe->ready_user = user;
    sci_mutex_unlock(&pipe->server->lock);
}

static void sci_pipe_hangup(void *stream, bool orderly)
{
    sci_pipe *pipe = (sci_pipe *)stream;
    sc_memory memory = pipe->memory;
    if (orderly) { /* else the session has gone with the fork */
        sci_mutex_lock(&pipe->server->lock);
        sci_session_close(pipe->session);
        sci_mutex_unlock(&pipe->server->lock);
    }
    sci_free(&memory, pipe, sizeof *pipe);
}

SCI_PRIVATE void sci_pipe_transport(sc_transport *table, sc_server *server)
{
    memset(table, 0, sizeof *table);
    table->user = server;
    table->dial = sci_pipe_dial;
    table->progress = sci_pipe_progress;
    table->transmit = sci_pipe_transmit;
    table->receive = sci_pipe_receive;
    table->receive_soon = sci_pipe_receive;
    table->pending = sci_pipe_pending;
    table->descriptor = sci_pipe_descriptor;
    table->hangup = sci_pipe_hangup;
    table->attend = sci_pipe_attend;
}
