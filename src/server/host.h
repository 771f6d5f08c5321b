#pragma once
/* What carries a server's bytes to and from the outside: places where it listens, connections, a
   loop that waits for them, and a thread that drives the loop.

   The loop's lock guards all of it but what is said to be guarded by the server's. The loop's is
   taken first. */

#include "net/loop.h"
#include "server/server.h"

#define SCI_HOST_DOORS 4
/* What is received at once, when nothing says that more is to come. */
#define SCI_HOST_RECEIVE_BYTES ((size_t)16 * 1024)

typedef struct sci_host sci_host;

/* A place where it listens. */
typedef struct sci_door {
    sci_watch watch;
    sci_host *host;
    void *listener; /* owned; NULL: closed */
    sc_address address;
    char *url;       /* owned; as sc_server_url tells it */
    sci_timer pause; /* until it is tried again, after a failure that passes */
} sci_door;

typedef struct sci_visit {
    sci_watch watch;
    sci_link link; /* in host->visits */
    sci_link due;  /* the server's lock: in host->due */
    sci_host *host;
    void *stream;         /* owned */
    sci_session *session; /* owned, until it is over; the server's lock */
    bool is_stalled;      /* the stream takes no more now */
} sci_visit;

struct sci_host {
    sc_server *server;
    sc_memory memory;
    sc_listener table;
    sci_loop *loop; /* `own`, or a client's */
    sci_loop own;
    bool has_own_loop;
    sci_door doors[SCI_HOST_DOORS];
    size_t door_count;
    sci_link visits;
    sci_link due;  /* the server's lock: those to look at before the next wait */
    bool is_awake; /* the server's lock: `due` will be looked at before the next wait */
    sci_hook hook;
    sci_minder minder;
    char *buffer; /* owned: SCI_HOST_RECEIVE_BYTES */
    sci_thread thread;
    bool has_thread;
    bool is_stopping;
};

/* A host without places, over a loop of its own (`loop` NULL) or another's, locked. `server->host` is
   set. Tables come from `config`. */
SCI_PRIVATE sc_status sci_host_create(sc_server *server, const sc_server_config *config,
                                      sci_loop *loop);
/* Before there is a thread, or with another's loop locked. */
SCI_PRIVATE sc_status sci_host_listen(sci_host *host, const sc_address *address);
SCI_PRIVATE sc_status sci_host_start_thread(sci_host *host);
/* Let visitors go, stop listening, stop the thread; free. The log is closed in between: who is let
   go finds it free. With another's loop locked. */
SCI_PRIVATE void sci_host_free(sci_host *host);
/* In a forked child: close its copies of descriptors without a word. `is_intact` false: the rest may
   have been in the middle of a change, and is left alone. */
SCI_PRIVATE void sci_host_abandon(sci_host *host, bool is_intact);

/* The first door of that kind; NULL: there is none. */
SCI_PRIVATE const sci_door *sci_server_door(const sc_server *server, bool is_unix);

/* For host.c and visit.c. */
/* Somebody is at the door. */
SCI_PRIVATE void sci_door_settle(sci_watch *watch, unsigned ready);
/* Send what is due, and look whether visitors go. */
SCI_PRIVATE void sci_visits_turn(sci_host *host);
SCI_PRIVATE void sci_visits_end(sci_host *host);
