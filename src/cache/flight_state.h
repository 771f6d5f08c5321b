#pragma once
/* What the parts of a flight share: flight.c has its beginning, its callers and its end,
   flight_ask.c the questions to the server and the wait, flight_store.c the load and what is left
   of it. */

#include "cache/flight.h"
#include "cache/outcome.h"

typedef enum sci_flight_state {
    SCI_FLIGHT_ACQUIRING,
    SCI_FLIGHT_SUBSCRIBING,
    SCI_FLIGHT_WAITING,
    SCI_FLIGHT_LOADING,
    SCI_FLIGHT_STORING,
    SCI_FLIGHT_DONE
} sci_flight_state;

/* An outcome that no question to the server stands behind. */
#define SCI_FLIGHT_ANY_ASK UINT32_MAX

/* The wait's two ears: our channel, and that of the bare value. */
#define SCI_FLIGHT_EARS 2

typedef struct sci_ear {
    sci_listener listener;
    sci_flight *flight;
    bool is_raw;
} sci_ear;

struct sci_flight {
    sci_map_node node; /* in cache->flights until it is done or detached */
    sci_link all_link; /* in cache->all until it is freed */
    sc_cache *cache;   /* one reference */
    sci_flight_state state;
    size_t references; /* until done; each op under way; the running loader */
    bool is_in_map;
    sc_status (*judge)(sc_slice value); /* the target's; may be NULL */
    sci_names names;
    sc_value *shown; /* the key as the loader sees it: owned */
    sci_link joiners;
    sci_lease lease;
    char awaited[SCI_TOKEN_LEN + 1]; /* whose load is waited for, or "" */
    uint32_t asks;                   /* questions and stores sent to the server */
    uint32_t load_ask;               /* who joined before had done so when the load began */
    uint32_t held_ask;               /* the last question whose answer was that another loads */
    bool asks_again;                 /* a message came while asking */
    int64_t poll_ms;
    sci_ear ears[SCI_FLIGHT_EARS];
    sci_timer timer;    /* ends a wait */
    sci_joiner *loader; /* who runs the loader */
    uintptr_t loader_thread;
    sc_load load;
    sci_outcome outcome; /* of the loader, while storing */
};

/* flight.c */

SCI_PRIVATE void sci_flight_release(sci_flight *flight);
/* Nobody may join any longer. */
SCI_PRIVATE void sci_flight_detach(sci_flight *flight);
/* Lets go of the lock for a moment: what is read of the flight before may have changed after. */
SCI_PRIVATE void sci_flight_stop_listening(sci_flight *flight);
SCI_PRIVATE void sci_joiner_end(sci_joiner *joiner, const sci_outcome *outcome);
/* What is being loaded is out of date, or may be: the loader's own caller keeps it; the others, and
   later ones, begin anew. */
SCI_PRIVATE void sci_flight_retry_others(sci_flight *flight);
/* The flight is over. The outcome is for those who had joined before question or store `ask` was
   sent: it was not out of date when the server saw that. Who joined later may know of an
   invalidation after it, and asks again. */
SCI_PRIVATE void sci_flight_resolve(sci_flight *flight, const sci_outcome *outcome, uint32_t ask);
SCI_PRIVATE void sci_flight_fail(sci_flight *flight, sc_status status, const char *text);
/* Those who block will receive on this connection, or need not (NULL). */
SCI_PRIVATE void sci_flight_expect(sci_flight *flight, sci_conn *conn);
/* The first caller blocks and is at work now: it will receive by itself. */
SCI_PRIVATE bool sci_flight_is_attended(const sci_flight *flight);

/* flight_ask.c */

SCI_PRIVATE void sci_flight_acquire(sci_flight *flight);
/* The server cannot be asked. Who wants the error gets it; for the others one loads without a
   lease, and nothing is stored. */
SCI_PRIVATE void sci_flight_outage(sci_flight *flight, sc_status status, const char *text);
SCI_PRIVATE void sci_flight_asked(sci_lease *lease, sc_status status, sci_lease_answer answer,
                                  sc_slice payload, int64_t left_ms);
SCI_PRIVATE void sci_flight_listen_event(sci_listener *listener, sci_listen_event event,
                                         const sc_message *message);
SCI_PRIVATE void sci_flight_fire(sci_timer *timer);
/* Every channel that is listened to is confirmed, our own among them. */
SCI_PRIVATE bool sci_flight_hears(const sci_flight *flight);

/* flight_store.c */

SCI_PRIVATE void sci_flight_start_loading(sci_flight *flight);
/* Nobody wants the lease that we just got. */
SCI_PRIVATE void sci_flight_give_back(sci_flight *flight);
SCI_PRIVATE void sci_flight_stored(sci_lease *lease, bool is_stored);
SCI_PRIVATE void sci_flight_renewal_begins(sci_lease *lease);
SCI_PRIVATE void sci_flight_renewal_ends(sci_lease *lease, bool is_lost);
