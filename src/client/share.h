#pragma once
/* A server that the processes of a user on one host share: `embedded:/folder/name`. Who finds nobody
   at the Unix socket tries the lock of the log, and who gets it loads the log and serves, until it
   exits; the others connect by the socket. Locked by the client's lock. */

#include "client/client.h"
#include "server/open.h"

typedef struct sci_share {
    sc_client *client;
    sc_memory memory;
    sci_places places;       /* the Unix socket */
    char *log_path;          /* owned */
    sc_server_config config; /* of a server here */
    sc_clock clock;          /* `config`'s */
    sc_transport outer;
    sc_transport inside;
    sc_server *server; /* owned; NULL: another process serves, or nobody */

    /* The thread that becomes the server, since loading the log takes time. What it writes is valid
       once it is done. */
    sci_thread thread;
    bool has_thread; /* it has not been joined */
    sci_atomic_u32 is_done;
    sc_server *opened;
    sc_status status;
    char words[SC_ERROR_TEXT_BYTES];
    char held[SC_ERROR_TEXT_BYTES]; /* why the one before did not become it; or empty */
} sci_share;

/* `config`: what the url says; its tables are copied. SC_ERR_URL, SC_ERR_UNSUPPORTED, SC_ERR_MEMORY.
 */
SCI_PRIVATE sc_status sci_share_open(sc_client *client, const sc_server_config *config,
                                     sci_share **share);
/* Its streams are those of the socket, or those of the server in this process. Dialling gives
   SC_HELD when somebody is about to serve. */
SCI_PRIVATE void sci_share_transport(sci_share *share, sc_transport *table);
/* NULL is fine. Unlocked, when there are no streams any more. */
SCI_PRIVATE void sci_share_close(sci_share *share);
SCI_PRIVATE void sci_share_after_fork(sci_share *share);
