#pragma once
/* MULTI, EXEC and WATCH. Locked. */

#include "server/server.h"

/* A command was refused, by an error that stands `answered` bytes behind the front of what is to be
   sent: a transaction will fail, or, if it is EXEC, has failed. */
SCI_PRIVATE void sci_transaction_refuse(sci_call *call, size_t answered);
/* +QUEUED */
SCI_PRIVATE void sci_transaction_queue(sci_call *call);
/* Forget what was queued and watched. */
SCI_PRIVATE void sci_transaction_discard(sci_session *session);
/* A key has changed: who watches it will not EXEC. */
SCI_PRIVATE void sci_watch_key_changed(sc_server *server, sci_db *db, sc_slice key);
/* All keys of a database (NULL: of all) are about to go, or to be exchanged with others: to be
   called before; whose watched key is there, or comes, will not EXEC. */
SCI_PRIVATE void sci_watch_flushed(sc_server *server, sci_db *db);
