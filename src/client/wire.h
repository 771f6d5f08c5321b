#pragma once
/* One incarnation of a connection: socket, buffers, reader. All locked. */

#include "client/client.h"

typedef sc_status sci_transport_receive(void *stream, void *buffer, size_t cap, size_t *received);

/* A reply faster than this means a near server: commands gather meanwhile. */
#define SCI_CONN_PROMPT_NS 400000
/* Lone commands between two measurements of that. */
#define SCI_CONN_PROBE_EVERY 16

/* For a stream that is being dialed; takes it over. NULL when there is no memory: the stream is
 * hung up. */
SCI_PRIVATE sci_wire *sci_wire_create(sci_conn *conn, void *stream);
/* Part from the connection; the socket is closed as soon as nobody uses it. */
SCI_PRIVATE void sci_wire_detach(sci_conn *conn);
/* End of a use: `users` goes down, and a detached wire goes with the last. */
SCI_PRIVATE void sci_wire_leave(sci_wire *wire);
/* Hand `sending` to the socket, unlocked. True when some was taken and the wire still stands; else
   it is stalled, or the connection was dropped. The caller holds a use. */
SCI_PRIVATE bool sci_wire_transmit(sci_wire *wire);
/* Receive once by `receive`, unlocked. True when bytes came and the wire still stands; a failure
   has dropped the connection. The caller holds a use. */
SCI_PRIVATE bool sci_wire_receive(sci_wire *wire, sci_transport_receive *receive);
/* Read the replies that are in the buffer. */
SCI_PRIVATE void sci_wire_handle(sci_wire *wire);
