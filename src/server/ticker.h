#pragma once
/* When the server's tick is due, and who sees to it: the server's own thread, or the loops of clients
   of this process. Locked by the server's lock, where nothing else is said. */

#include "api/server.h"
#include "net/loop.h"

typedef struct sci_ticker {
    int64_t due_ns;    /* when a tick is to run, monotonic; INT64_MAX: none is due */
    bool is_far;       /* what commands bring may be due before due_ns */
    uint32_t unlooked; /* times that sci_ticker_note did not look at the clock */
    sci_link minders;
} sci_ticker;

/* Somebody who waits in a loop, and runs the tick when it is due. */
typedef struct sci_minder {
    sci_link link; /* in ticker->minders */
    sc_server *server;
    sci_loop *loop;
    sci_hook hook;
    sci_timer timer;
    bool is_due;
} sci_minder;

SCI_PRIVATE void sci_ticker_init(sci_ticker *ticker);
/* Run the tick now, and commit what it did. */
SCI_PRIVATE void sci_ticker_run(sc_server *server);
/* Commands have been executed: what they brought may be due earlier, and nobody may be minding. */
SCI_PRIVATE void sci_ticker_note(sc_server *server);

/* With the loop's lock, without the server's. */
SCI_PRIVATE void sci_minder_begin(sci_minder *minder, sc_server *server, sci_loop *loop);
SCI_PRIVATE void sci_minder_end(sci_minder *minder);
