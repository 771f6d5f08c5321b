/* CLIENT PAUSE. A command that is put off stands where a waiting one does (sci_wait.command), so
   that its session executes nothing else meanwhile. */

#include "server/pause.h"

#include "resp/writer.h"
#include "server/dispatch.h"
#include "server/session.h"
#include "server/wait.h"

SCI_PRIVATE void sci_pause_begin(sc_server *server, int64_t duration_ms, bool stops_all)
{
    if (duration_ms == 0)
        return;
    int64_t now_ns = sci_server_now_ns(server);
    int64_t most_ms = (INT64_MAX - now_ns) / SCI_SERVER_NS_PER_MS;
    int64_t until_ns = now_ns + sci_min_i64(duration_ms, most_ms) * SCI_SERVER_NS_PER_MS;
    server->pause.stops_all |= stops_all;
    server->pause.until_ns = sci_max_i64(server->pause.until_ns, until_ns);
}

SCI_PRIVATE void sci_pause_end(sc_server *server)
{
    server->pause.until_ns = 0;
    server->pause.stops_all = false;
    sci_list_move_all(&server->resumed, &server->pause.held);
}

SCI_PRIVATE int64_t sci_pause_tick(sc_server *server, int64_t now_ns)
{
    if (!sci_pause_is_on(server))
        return INT64_MAX;
    if (now_ns < server->pause.until_ns)
        return server->pause.until_ns;
    sci_pause_end(server);
    sci_wait_resume(server);
    return INT64_MAX;
}

SCI_PRIVATE void sci_pause_hold(sci_call *call)
{
    sci_session *session = call->session;
    if (sci_write_command(&session->wait.command, call->argv, call->argc) != SC_OK) {
        sci_wait_leave(session);
        sci_answer_no_memory(call);
        return;
    }
    session->wait.is_held = true;
    sci_list_remove(&session->resume);
    sci_list_append(&call->server->pause.held, &session->resume);
}

SCI_PRIVATE void sci_pause_release(sci_session *session)
{
    sci_request request;
    sci_bytes command;
    size_t used = 0;
    if (!session->wait.is_held)
        return;
    session->wait.is_held = false;
    sci_bytes_init(&command, &session->server->memory);
    sci_bytes_swap(&command, &session->wait.command);
    sci_request_init(&request, &session->server->memory, &session->request.limits);
    sc_slice bytes = sci_bytes_slice(&command);
    if (sci_request_read(&request, bytes.data, bytes.len, &used) == SC_OK) {
        sci_command_dispatch(session, request.words, request.word_count);
    } else { /* its bytes are our own: there is no memory */
        sci_call call;
        sci_call_init(&call, session->server, session, NULL, NULL, 0);
        sci_answer_no_memory(&call);
    }
    sci_session_notify(session);
    sci_request_free(&request);
    sci_bytes_free(&command);
}
