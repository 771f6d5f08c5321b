#pragma once
/* Channels, patterns, and who hears of them. Locked. */

#include "server/server.h"

/* Send to all who subscribed; returns how many got it. Those that do not take their messages and
   have more than max_output_bytes waiting are ended. */
SCI_PRIVATE size_t sci_publish(sc_server *server, sc_slice channel, sc_slice message);
/* Forget a session's subscriptions, without a word: it ends, or RESET. */
SCI_PRIVATE void sci_pubsub_leave(sci_session *session);
static inline bool sci_pubsub_is_subscribed(const sci_session *session)
{
    return session->channel_count + session->pattern_count > 0;
}
