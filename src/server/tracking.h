#pragma once
/* Client-side caching: who read which keys, and telling them when those change. Messages are those
   of RESP2: they go to the session that CLIENT TRACKING ... REDIRECT names, while it subscribes to
   anything. Locked. */

#include "server/server.h"

/* A read-only command of a session with tracking has run, on the keys that its table row says. */
SCI_PRIVATE void sci_tracking_note_read(sci_call *call);
/* A session with tracking has read these keys. */
SCI_PRIVATE void sci_tracking_note_keys(sci_session *session, const sc_slice *keys, size_t count);
/* A key has changed, expired or was evicted; `by` is the session that did it, or NULL. */
SCI_PRIVATE void sci_tracking_key_changed(sc_server *server, sc_slice key, const sci_session *by);
/* All keys are gone. */
SCI_PRIVATE void sci_tracking_flushed(sc_server *server, const sci_session *by);
/* Tell those that track prefixes what has changed since the last time. */
SCI_PRIVATE void sci_tracking_tell_prefixes(sc_server *server);
/* A command has been answered, queued or refused (NULL: there is none of that name): CLIENT CACHING
   holds for one. */
SCI_PRIVATE void sci_tracking_command_done(sci_session *session, const sci_command *command);
/* Forget a session: it ends, RESET, or tracking off. */
SCI_PRIVATE void sci_tracking_leave(sci_session *session);
/* Forget who read what. */
SCI_PRIVATE void sci_tracking_forget_keys(sc_server *server);

/* Track keys that begin with `prefix`. SC_ERR_MEMORY; twice is as once. */
SCI_PRIVATE sc_status sci_tracking_add_prefix(sci_session *session, sc_slice prefix);
/* One by one, in the order of their bytes; `*at` NULL at first. False at the end. */
SCI_PRIVATE bool sci_tracking_next_prefix(const sci_session *session, const sci_link **at,
                                          sc_slice *prefix);

/* CLIENT TRACKING, CACHING, TRACKINGINFO, GETREDIR. */
SCI_PRIVATE void sci_client_tracking(sci_call *call);
SCI_PRIVATE void sci_client_caching(sci_call *call);
SCI_PRIVATE void sci_client_trackinginfo(sci_call *call);
SCI_PRIVATE void sci_client_getredir(sci_call *call);
