#pragma once
/* A connection's queue and bytes: asking, sending, receiving, expiring. All locked. */

#include "client/client.h"

/* NULL when there is no memory. */
SCI_PRIVATE sci_conn *sci_conn_create(sc_client *client, sci_conn_kind kind);
/* Drop what stands and free. Ops in its queue end with SC_ERR_CLOSED. */
SCI_PRIVATE void sci_conn_free(sci_conn *conn);

/* Queue an op and send it when the time has come; connects when down. Ends with op->complete in
   every case, perhaps before this returns. */
SCI_PRIVATE void sci_conn_submit(sci_conn *conn, sci_op *op, int64_t now_ns);
/* Send what is queued, if nobody is sending. Unlocks around the system call. */
SCI_PRIVATE void sci_conn_flush(sci_conn *conn);
/* Ready, and nothing is left to be sent. */
SCI_PRIVATE bool sci_conn_is_drained(const sci_conn *conn);
/* Receiving was paused: go on with what is in the buffer. */
SCI_PRIVATE void sci_conn_resume(sci_conn *conn);
/* A waiting caller receives for all: one bounded wait, then all replies that came. False when none
   came soon, or when receiving is another's. Unlocks around the system call. */
SCI_PRIVATE bool sci_conn_receive_soon(sci_conn *conn);
/* Receive without waiting, and handle what came. */
SCI_PRIVATE void sci_conn_receive_now(sci_conn *conn);
/* Nobody receives although replies are due: get a waiter, or the driver, to do it. */
SCI_PRIVATE void sci_conn_pass_on(sci_conn *conn);
/* End a queued op whose deadline has passed: unsent bytes are cut out, sent ones leave a tombstone.
 */
SCI_PRIVATE void sci_conn_expire(sci_conn *conn, sci_op *op, int64_t now_ns);

/* End an op. `text` may be NULL. Takes no op that is queued. */
SCI_PRIVATE void sci_op_finish(sci_op *op, sc_status status, const char *text);
/* `complete` of an op that a thread waits for. */
SCI_PRIVATE void sci_op_wake(sci_op *op);

/* For wire.c: where the next reply's nodes go. `*op`: who asked, or NULL; `*replies`: how many it
   still waits for, or NULL when nobody asked. */
SCI_PRIVATE sc_reply *sci_conn_reply_target(sci_conn *conn, sci_op **op, uint32_t **replies);
/* All replies of the oldest op are in. */
SCI_PRIVATE void sci_conn_reply_is_in(sci_conn *conn, sc_reply *reply);

/* For life.c: what is done with the queue when the wire ended. */
/* Fail what was sent (`status` for the oldest, if it tells more than that the connection is gone),
   queue idempotent ops anew. */
SCI_PRIVATE void sci_conn_fail_sent(sci_conn *conn, sc_status status, const char *text);
/* Fail everything that is queued. */
SCI_PRIVATE void sci_conn_fail_all(sci_conn *conn, sc_status status, const char *text);
/* `fire` of deadline_timer. */
SCI_PRIVATE void sci_conn_deadline_fire(sci_timer *timer);
