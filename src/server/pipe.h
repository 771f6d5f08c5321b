#pragma once
/* A transport whose streams are sessions of a server in this process: no system call, no copy but
   into the receiver's buffer. What is transmitted is executed then and there, by the thread that
   transmits. */

#include "server/server.h"

/* `server` is `user` of the table. */
SCI_PRIVATE void sci_pipe_transport(sc_transport *table, sc_server *server);
/* The functions, for a transport that has streams of other kinds too. */
SCI_PRIVATE sc_status sci_pipe_dial(void *server, const sc_memory *memory,
                                    const sc_address *address, const char *host, void **stream);
