#pragma once
/* Opening a server's log and places. */

#include "server/server.h"

/* For a server that was just created: open the log, listen, and start a thread if it is to have one.
   `loop` NULL: a loop of its own. After an error sc_server_close frees what there is. */
SCI_PRIVATE sc_status sci_server_start(sc_server *server, const sc_server_config *config,
                                       sci_loop *loop, bool has_thread);
