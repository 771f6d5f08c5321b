#pragma once
/* A connection's life: look-up, addresses, prelude, ready, loss, back-off, idle check. All locked.
 */

#include "client/client.h"

/* Begin an attempt. From SCI_CONN_DOWN. */
SCI_PRIVATE void sci_conn_connect(sci_conn *conn, int64_t now_ns);
/* True when a call may start an attempt now or wait for one; else why not, as the op's end. */
SCI_PRIVATE bool sci_conn_may_connect(sci_conn *conn, int64_t now_ns);
/* The wire is lost: end what was sent, and connect again when there is more to send. The words are
   sc_error_text's when `text` is NULL. */
SCI_PRIVATE void sci_conn_drop(sci_conn *conn, sc_status status, const char *text);
/* A reply in the prelude. */
SCI_PRIVATE void sci_conn_prelude_reply(sci_conn *conn, const sc_item *item);
/* The descriptor of a dialing wire is ready. */
SCI_PRIVATE void sci_conn_dial_ready(sci_conn *conn);
/* Look-ups that have been answered go on. */
SCI_PRIVATE void sci_conn_check_lookup(sci_conn *conn);
/* Where it connects to, for messages. */
SCI_PRIVATE void sci_conn_peer_text(const sci_conn *conn, char *text, size_t cap);
/* End whatever stands or is under way, without another attempt; the queue stays. */
SCI_PRIVATE void sci_conn_abandon(sci_conn *conn);
/* `fire` of life_timer. */
SCI_PRIVATE void sci_conn_life_fire(sci_timer *timer);
/* A number that spreads retries and timers, and hides nothing. */
SCI_PRIVATE uint64_t sci_life_random(sc_client *client);
