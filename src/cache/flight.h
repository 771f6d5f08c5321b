#pragma once
/* A flight: one process's one attempt at one missing key. Its callers join it; it takes the lease
   or waits for who has it; when it has it, one of the joiners loads for all. All locked.

     ACQUIRING -> LOADING -> STORING -> done       the lease is ours
     ACQUIRING -> SUBSCRIBING -> ACQUIRING -> WAITING -> ACQUIRING ...   it is another's

   Between the second ACQUIRING and the end of WAITING the channel is confirmed, so that no message
   can fall into a gap; and should one be lost, the lease's end and the poll bound wake it. */

#include "cache/cache.h"
#include "client/subscriber.h"
#include "client/wait.h"
#include "coord/lease.h"

typedef struct sci_flight sci_flight;

/* What is asked for: a key, and where its lease and channel are. */
typedef struct sci_target {
    sc_slice key;   /* on the server */
    sc_slice shown; /* as the loader sees it */
    /* Fill in the names; NULL: derived from the key. */
    sc_status (*name)(const struct sci_target *target, sci_names *names);
    const void *owner; /* for `name` */
    /* Of what the loader made: SC_OK; SC_MISS: share it and store nothing; or an error, with words.
       NULL: any bytes will do. */
    sc_status (*judge)(sc_slice value);
} sci_target;

/* A caller of get-or-load. On its stack, or within an asynchronous call. */
typedef struct sci_joiner {
    sci_link link;      /* in flight->joiners */
    sci_flight *flight; /* NULL: not yet, or no more */
    sc_loader loader;
    void *user;
    sc_load_options options;
    uint32_t asks_before; /* flight->asks when it joined */
    sci_waiter waiter;    /* of a blocking caller: finished for `must_load` as for the end */
    bool is_blocking;
    bool must_load; /* this caller runs its loader now */
    bool is_done;
    sc_status status;
    sc_value *value;      /* owned once done */
    sc_value *error_text; /* owned once done */
    /* Asynchronous callers, locked: run the loader soon; the end has come. */
    void (*load)(struct sci_joiner *joiner);
    void (*done)(struct sci_joiner *joiner);
} sci_joiner;

struct sc_load {
    sc_slice key; /* as the loader sees it */
    sci_bytes bytes;
    sc_value *taken;
    sc_status write_status; /* the first failure of sc_load_write */
    int64_t ttl_ms;
    sci_atomic_u32 is_void;
    sci_flight *flight;
};

/* Join the flight for `target`, or begin one. `failure` not SC_OK: the server could not be asked
   just now (words in sc_error_text), so do not ask again. SC_OK: the joiner will be done; else it
   is not joined. */
SCI_PRIVATE sc_status sci_flight_join(sc_cache *cache, const sci_target *target, sci_joiner *joiner,
                                      sc_status failure);
/* The flight for a key, or NULL. */
SCI_PRIVATE sci_flight *sci_flight_find(sc_cache *cache, sc_slice key);
/* A flight that may be joined without asking the server: it is loading, or waits for who does. */
SCI_PRIVATE bool sci_flight_is_under_way(sc_cache *cache, sc_slice key);
/* The caller does not wait any longer. Not while it must load. */
SCI_PRIVATE void sci_flight_leave(sci_joiner *joiner);
/* Before and after the loader of a joiner that must load is called on this thread, where asking for
   the same key again would never end. `status` of the loader: SC_PENDING, or it has ended (words of
   an error in sc_error_text). Between the two the flight stays. */
SCI_PRIVATE sc_load *sci_flight_loader_begins(sci_flight *flight);
SCI_PRIVATE void sci_flight_loader_ends(sci_flight *flight, sc_status status);
SCI_PRIVATE sc_client *sci_flight_client(const sci_flight *flight);
/* The loader has ended; words of an error in sc_error_text. */
SCI_PRIVATE void sci_flight_loaded(sci_flight *flight, sc_status status);
/* The key was invalidated on the server: who waits begins anew. */
SCI_PRIVATE void sci_flight_invalidate(sc_cache *cache, sc_slice key);
/* End all: closing, and in a forked child. */
SCI_PRIVATE void sci_flights_close(sc_cache *cache);
SCI_PRIVATE void sci_flights_forget(sc_cache *cache);
