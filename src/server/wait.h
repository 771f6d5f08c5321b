#pragma once
/* Sessions that wait for keys (BLPOP, XREAD BLOCK ...): sci_wait_for_keys and sci_key_ready are in
   command.h. Locked. */

#include "server/server.h"

static inline bool sci_wait_is_on(const sci_session *session)
{
    return sci_bytes_len(&session->wait.command) > 0;
}
SCI_PRIVATE void sci_wait_init(sci_session *session);
/* Run again the commands of those whose keys have become ready, who has waited longest first.
   Called after each command or transaction, outside of any. */
SCI_PRIVATE void sci_wait_serve(sc_server *server);
/* Run what sessions whose wait is over have received meanwhile, in the order in which it was over.
   As in Redis, all that was received together with the command that ended it is executed before. */
SCI_PRIVATE void sci_wait_resume(sc_server *server);
/* The keys of a database are others now. */
SCI_PRIVATE void sci_wait_db_changed(sc_server *server, sci_db *db);
/* Answer nil to those whose time is up. */
SCI_PRIVATE void sci_wait_expire(sc_server *server, int64_t now_ns);
/* End a wait as if its time was up (CLIENT UNBLOCK id TIMEOUT), or with an error reply. The session
   goes on at the next sci_wait_resume. */
SCI_PRIVATE void sci_wait_end(sci_session *session, const char *error);
/* End it without an answer: the session closes. */
SCI_PRIVATE void sci_wait_leave(sci_session *session);
/* During a retried command: is `key` one that was waited for, and not the one that is ready? Then
   it counts as absent. */
SCI_PRIVATE bool sci_wait_hides(const sci_call *call, sc_slice key);
