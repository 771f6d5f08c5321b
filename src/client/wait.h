#pragma once
/* How threads wait: each takes over what work there is, receiving or driving, and sleeps only while
   another does it. All locked. */

#include "client/client.h"

SCI_PRIVATE void sci_waiter_init(sci_waiter *waiter, uint32_t gate);
/* Whatever it waits for is there. */
SCI_PRIVATE void sci_waiter_finish(sc_client *client, sci_waiter *waiter);
/* Wait until finished (true) or `deadline_ns` (false). `*is_locked` false: it was finished, and the
   lock is not held any more. */
SCI_PRIVATE bool sci_waiter_wait(sc_client *client, sci_waiter *waiter, int64_t deadline_ns,
                                 bool *is_locked);
/* The same, locked in any case. */
SCI_PRIVATE bool sci_waiter_wait_locked(sc_client *client, sci_waiter *waiter, int64_t deadline_ns);
/* Where the answer is expected from now on: NULL when not on a connection that callers receive on.
 */
SCI_PRIVATE void sci_waiter_expect(sc_client *client, sci_waiter *waiter, sci_conn *conn);
/* Submit an op and wait for its end. False: the lock is not held any more. */
SCI_PRIVATE bool sci_op_submit_and_wait(sc_client *client, sci_conn *conn, sci_op *op,
                                        int64_t timeout_ms);
/* The same from within a call that goes on: locked in any case. The status and words are the op's.
 */
SCI_PRIVATE sc_status sci_op_run(sc_client *client, sci_conn *conn, sci_op *op, int64_t timeout_ms);
/* The end of an op as this thread's: status and words. */
SCI_PRIVATE sc_status sci_op_result(sci_op *op);
/* A whole call with one op on the shared connection: enter, run, leave. */
SCI_PRIVATE sc_status sci_op_call(sc_client *client, sci_op *op, int64_t timeout_ms);
/* One turn of the driver: send, wait up to `max_wait_ns` (-1: as long as it takes), handle. */
SCI_PRIVATE sc_status sci_client_step(sc_client *client, int64_t max_wait_ns);
/* Nobody drives: wake one of those who sleep and have no receiver at work for them. */
SCI_PRIVATE void sci_client_call_driver(sc_client *client);
/* Give up the driver's place, and find another among those who wait. */
SCI_PRIVATE void sci_client_stop_driving(sc_client *client);
/* The client's own thread. */
SCI_PRIVATE void *sci_client_thread(void *client);
