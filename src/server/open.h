#pragma once
/* Opening a server with its log and places. */

#include "server/host.h"

/* Where to listen. */
typedef struct sci_places {
    sc_address at[SCI_HOST_DOORS];
    size_t count;
} sci_places;

/* As sc_server_open, at `places` instead of config->listen_on. `loop` NULL: a loop of its own; else
   another's, locked, and config->polled. */
SCI_PRIVATE sc_status sci_server_open_at(const sc_server_config *config, const sci_places *places,
                                         sci_loop *loop, sc_server **server);

/* In a forked child, before anything else: the data go on as the child's own copy, without sessions;
   log, sockets and thread are the parent's. */
SCI_PRIVATE void sci_server_after_fork(sc_server *server);
/* The same, if it is a forked child and has not done so. */
static inline void sci_server_mind_fork(sc_server *server)
{
    if (server->has_fork_guard && sci_fork_guard_is_child(&server->fork_guard))
        sci_server_after_fork(server);
}
/* Can a place be reached from other hosts? */
SCI_PRIVATE bool sci_place_is_public(const sc_address *address);
