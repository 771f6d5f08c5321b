#pragma once
/* Leader election: one process of a fleet leads, and another takes over when it stops, dies or
   cannot be reached. */

#include "api/client.h"

/* One who takes part: it leads, campaigns, or only observes. Any thread may use it. */
typedef struct sc_election sc_election;

/* Why a leadership ended. */
typedef enum sc_resignation {
    SC_RESIGNED_ASKED = 1, /* sc_election_resign, sc_election_close */
    SC_RESIGNED_UNRENEWED, /* the server could not be reached in time */
    SC_RESIGNED_LOST,      /* the key on the server was deleted, or is another's */
    SC_RESIGNED_CLOSED     /* the client was closed, or a signal came (sc_release_on_signal) */
} sc_resignation;

/* Callbacks run as sc_on_reply does, one at a time, in the order of what happened, and may call
   anything but sc_close. */

/* It leads, until sc_on_resigned. `term`: the fencing token (sc_election_term). What came and went
   before it could be told is left out. */
typedef void (*sc_on_elected)(void *user, sc_election *election, int64_t term);
/* It leads no longer: once for each sc_on_elected, begun stop_margin_ms before the lease ends at the
   latest, if the program lets it. The key is given back, and campaigning begins anew, when it has
   returned: so what belongs to the leader alone should be over by then. */
typedef void (*sc_on_resigned)(void *user, sc_election *election, sc_resignation reason);
/* Another leads, perhaps oneself: `name` as that one's config says, empty while nobody does; valid
   during the call. `term` 0: not known (nobody, or another library's). */
typedef void (*sc_on_leader_changed)(void *user, sc_election *election, sc_slice name,
                                     int64_t term);

/* Zeros: the defaults. */
typedef struct sc_election_config {
    sc_slice key;  /* on the server, as it is: required; copied. While somebody leads its value is a
                     random string, ":" and the leader's name */
    sc_slice name; /* tells this process from others; copied. Default: host:pid, with `interop` the
                      host's name; required where there is no POSIX */
    int64_t ttl_ms; /* life of the lease, renewed each third of it: 15,000; at least 10. A leader
                       that crashed is followed when it ends */
    int64_t stop_margin_ms; /* on_resigned comes so long before the lease ends, if it cannot be
                               renewed: ttl_ms / 10; at most ttl_ms / 2; -1: 0 */
    int64_t poll_ms; /* who does not lead asks again at least so often, should a message be lost:
                        1,000 */
    bool interop;    /* the key has the leader's name alone as its value, as npm's smart-redis keeps
                        it ("CACHE_MASTER_KEY" and its masterCacheKey). Those processes are told
                        apart by their hosts' names alone */
    /* The server tells of deleted keys (notify-keyspace-events): it is asked what is on, and K, g, x
       and e are added (CONFIG SET). Default: its configuration is neither read nor changed; such
       events are used where they are on already. */
    bool configure_notifications;
    sc_on_elected on_elected; /* default of each: none */
    sc_on_resigned on_resigned;
    sc_on_leader_changed on_leader_changed;
    void *user; /* for these */
} sc_election_config;

/* Take part; from now on it observes, and does not campaign yet. `config` is copied. The caller
   closes it, before or after the client. Starts the client's thread, unless `polled`: then all goes
   on inside sc_poll and blocking calls. SC_ERR_ARGUMENT names the field; SC_ERR_MEMORY. Does not
   block. */
SC_API sc_status sc_election_open(sc_client *client, const sc_election_config *config,
                                  sc_election **election);

/* Resigns, and ends. Afterwards no callback of it runs any more, its own excepted; on_resigned is
   not called if this is. NULL is fine. Blocks as sc_election_resign, and for a callback that runs on
   another thread. */
SC_API void sc_election_close(sc_election *election);

/* Want to lead, from now on until sc_election_resign: whenever a leadership is lost, and whenever the
   server cannot be reached, it tries again, with a new term each time. SC_OK; SC_ERR_CLOSED. Any
   thread. Does not block. */
SC_API sc_status sc_election_campaign(sc_election *election);
/* Wait up to `wait_ms` (-1: for ever) until it leads.
     SC_OK             it leads, or did a moment ago
     SC_HELD           another leads
     SC_ERR_ARGUMENT   it does not campaign
     SC_ERR_CANCELLED  sc_election_resign or sc_election_close by another thread
     another error     it could not ask: the last attempt's
   Any thread, but not in a callback of the same client (SC_ERR_DEADLOCK). */
SC_API sc_status sc_election_await(sc_election *election, int64_t wait_ms);
/* Lead no longer and campaign no longer: on_resigned runs, then the key is given back, and one who
   campaigns gets it at once. SC_OK; another status: the server did not answer: the lease ends by
   itself, if it is not given back before, which is tried. Any thread. Blocks for on_resigned, and up
   to the client's timeout_ms; in a callback of the same client it does not block, and all that comes
   later. */
SC_API sc_status sc_election_resign(sc_election *election);

/* It leads for certain: by the clock, stop_margin_ms before the lease can end at the latest, also
   after the process was stopped or the machine slept. Asks the clock and nobody else, takes no lock.
   False for NULL and in a forked child. Any thread. */
SC_API bool sc_is_leader(const sc_election *election);
/* The number of this leadership, above that of every earlier one of this key; 0: it does not lead.
   It is the fencing token to send along with writes: see sc_lock_fencing_token. As sc_is_leader. */
SC_API int64_t sc_election_term(const sc_election *election);
/* Who led as far as is known: `*name` is the caller's (sc_value_release), and NULL unless SC_OK;
   `*term` may be 0, as in sc_on_leader_changed. Either may be NULL. SC_MISS: nobody, or not known
   yet. Any thread. Does not block. */
SC_API sc_status sc_election_leader(sc_election *election, sc_value **name, int64_t *term);
