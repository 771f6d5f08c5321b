#pragma once
/* Channels, patterns, and who hears of them. Locked. */

#include "server/server.h"

/* SC_ERR_MEMORY; twice is as once. */
SCI_PRIVATE sc_status sci_subscribe_to(sci_session *session, sci_channel_kind kind, sc_slice name);
/* Fine when it is not subscribed. */
SCI_PRIVATE void sci_unsubscribe_from(sci_session *session, sci_channel_kind kind, sc_slice name);
/* The name of one subscription; false: there is none. */
SCI_PRIVATE bool sci_subscription_first(const sci_session *session, sci_channel_kind kind,
                                        sc_slice *name);
/* Channels that have subscribers: calls `visit` for each. */
SCI_PRIVATE void sci_channels_visit(const sc_server *server, sci_channel_kind kind,
                                    void (*visit)(void *user, sc_slice name), void *user);
SCI_PRIVATE size_t sci_channel_subscribers(const sc_server *server, sci_channel_kind kind,
                                           sc_slice name);

/* Send to all who subscribed; returns how many got it. Those that do not take their messages and
   have more than max_output_bytes waiting are ended. `kind`: SCI_CHANNEL (patterns get it too) or
   SCI_SHARD_CHANNEL. */
SCI_PRIVATE size_t sci_publish(sc_server *server, sci_channel_kind kind, sc_slice channel,
                               sc_slice message);
/* For a message to a session: the bytes to append it to, NULL: it takes no more; then whether that
   worked. */
SCI_PRIVATE sci_bytes *sci_session_give_begin(sci_session *session);
SCI_PRIVATE void sci_session_give_end(sci_session *session, sc_status status);
/* Has a session been sent more than it takes? Then it is ended. */
SCI_PRIVATE void sci_session_check_output(sci_session *session);
/* Forget a session's subscriptions, without a word: it ends, or RESET. */
SCI_PRIVATE void sci_pubsub_leave(sci_session *session);
static inline bool sci_pubsub_is_subscribed(const sci_session *session)
{
    return session->subscription_count[SCI_CHANNEL] + session->subscription_count[SCI_PATTERN] +
               session->subscription_count[SCI_SHARD_CHANNEL] >
           0;
}

/* The classes of notify-keyspace-events to and from its letters. False: one is none of them. */
#define SCI_EVENT_LETTERS "Ag$lshzxeKEtmdn"
#define SCI_EVENTS_TEXT_BYTES 20
SCI_PRIVATE bool sci_events_from_text(sc_slice letters, unsigned *events);
SCI_PRIVATE size_t sci_events_to_text(unsigned events, char text[SCI_EVENTS_TEXT_BYTES]);
