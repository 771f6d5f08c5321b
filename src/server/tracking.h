#pragma once
/* Client-side caching: who read which keys, and telling them when those change. Locked. */

#include "server/server.h"

/* A read-only command of a session with tracking has run, on the keys that its table row says. */
SCI_PRIVATE void sci_tracking_note_read(sci_call *call);
/* A key has changed, expired or was evicted; `by` is the session that did it, or NULL. */
SCI_PRIVATE void sci_tracking_key_changed(sc_server *server, sc_slice key, const sci_session *by);
/* All keys are gone. */
SCI_PRIVATE void sci_tracking_flushed(sc_server *server);
/* Forget a session: it ends, RESET, or tracking off. */
SCI_PRIVATE void sci_tracking_leave(sci_session *session);
