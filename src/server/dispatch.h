#pragma once
/* From words to a command's function, with all that is checked before and told after. Locked. */

#include "server/server.h"

SCI_PRIVATE void sci_command_index_init(sc_server *server);
/* The names of the library's own scripts. */
SCI_PRIVATE void sci_script_names_init(sc_server *server);
/* NULL when there is none. */
SCI_PRIVATE const sci_command *sci_command_find(const sc_server *server, sc_slice name);
/* Execute, or queue, or refuse what a session asks. */
SCI_PRIVATE void sci_command_dispatch(sci_session *session, const sc_slice *argv, size_t argc);
/* Fill in a call for a session (NULL: the server's own doing). */
SCI_PRIVATE void sci_call_init(sci_call *call, sc_server *server, sci_session *session,
                               const sci_command *command, const sc_slice *argv, size_t argc);
/* Run a call's command and tell the log. For what a session asked, transactions and retries. */
SCI_PRIVATE void sci_call_run(sci_call *call);
/* True, or false after answering: the right number of words? */
SCI_PRIVATE bool sci_call_has_arity(sci_call *call);
/* Delete an entry that has expired or is evicted: the log, WATCH, tracking, event, statistics are
   the caller's or this one's as `event_class` says: SCI_EVENT_EXPIRED, SCI_EVENT_EVICTED. */
SCI_PRIVATE void sci_entry_vanish(sc_server *server, sci_db *db, sci_entry *entry,
                                  unsigned event_class);
