#pragma once
/* A session: one connection's state. Whatever carries its bytes feeds it and takes its output. All
   of it locked. */

#include "server/server.h"

/* `peer` is for people, such as "127.0.0.1:40312" or a socket's path; `trusted` peers need no
   password (in the same process). NULL: no memory, or too many sessions (then sc_error_text has
   the line that the peer should be told). */
SCI_PRIVATE sci_session *sci_session_open(sc_server *server, const char *peer, bool is_trusted,
                                          void (*notify)(void *user), void *notify_user);
/* NULL: there is none, or it was killed. */
SCI_PRIVATE sci_session *sci_session_find(const sc_server *server, uint64_t id);
/* The connection is gone. */
SCI_PRIVATE void sci_session_close(sci_session *session);

/* Take bytes and execute the commands that are whole. */
SCI_PRIVATE void sci_session_feed(sci_session *session, sc_slice bytes);
/* The same without copying: room for at least `least` bytes to receive into (NULL: no memory, the
   session has ended), and how many were received. */
SCI_PRIVATE char *sci_session_room(sci_session *session, size_t least, size_t *cap);
SCI_PRIVATE void sci_session_received(sci_session *session, size_t len);
/* Go on executing what was received: after output was sent, or a wait ended. */
SCI_PRIVATE void sci_session_run(sci_session *session);

/* Output to be sent, after sci_server_commit; then how much of it was. */
static inline sc_slice sci_session_output(const sci_session *session)
{
    return session->is_broken ? sc_bytes(NULL, 0) : sci_bytes_slice(&session->out);
}
SCI_PRIVATE void sci_session_sent(sci_session *session, size_t len);
/* Does it take more bytes now? Not while its output is too large, or it waits for a key with much
   in `in`. */
SCI_PRIVATE bool sci_session_wants_input(const sci_session *session);
/* Close the connection now? */
static inline bool sci_session_is_over(const sci_session *session)
{
    return session->is_broken || (session->is_ended && sci_bytes_len(&session->out) == 0);
}
/* End it at once, as if the connection was lost. */
SCI_PRIVATE void sci_session_kill(sci_session *session);
/* Answers are sent again. */
static inline void sci_session_unmute(sci_session *session)
{
    session->is_muted = false;
    session->skips_next = false;
    session->skips_now = false;
}
/* A command has been answered, or would have been. */
static inline void sci_session_answered(sci_session *session)
{
    session->skips_now = session->skips_next;
    session->skips_next = false;
}
/* End it: what it has been answered is still sent. */
SCI_PRIVATE void sci_session_end(sci_session *session);
/* Wake who carries it. */
SCI_PRIVATE void sci_session_notify(sci_session *session);
