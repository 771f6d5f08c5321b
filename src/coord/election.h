#pragma once
/* Who takes part in an election. All locked, but what says otherwise.

   It stands on a lock's contender (lock.h), which asks, waits, renews and gives back:

     IDLE -> CONTENDING -> LEADING -> STOPPING -> LEAVING -> IDLE or CONTENDING
                                         \-> IDLE or CONTENDING (the lease is gone already)

   While STOPPING the program is told, and the lease is kept, unrenewed, until it has been. What
   follows from a change of the lock is done by a step, which is a timer that is due at once, since
   nothing can be asked in the middle of that change.

   All who take part listen to one channel, on which the elected speaks, and look at the key when
   anything was said, when the subscription stands, and each poll bound. */

#include "api/election.h"
#include "coord/lock.h"

#define SCI_ELECTION_DEFAULT_TTL_MS 15000
#define SCI_ELECTION_DEFAULT_MARGIN_PART 10
/* A campaign that failed is tried again after a random time of so much at most. */
#define SCI_ELECTION_RETRY_MS 500
/* Room for a name that is not given: of the host, and the process. */
#define SCI_ELECTION_NAME_BYTES 300

typedef enum sci_election_state {
    SCI_ELECTION_IDLE,
    SCI_ELECTION_CONTENDING,
    SCI_ELECTION_LEADING,
    SCI_ELECTION_STOPPING,
    SCI_ELECTION_LEAVING
} sci_election_state;

/* Until when it leads, and the term, in words that need no lock. */
typedef struct sci_election_view {
    sci_atomic_u32 words[4];
} sci_election_view;

/* Who wants to know at once: a job. Taken out of the list by its owner. */
typedef struct sci_election_listener {
    sci_link link; /* in election->listeners */
    /* Within a change of the lock: it may only look, arm timers and post. */
    void (*changed)(struct sci_election_listener *listener, bool is_elected);
} sci_election_listener;

struct sc_election {
    sc_client *client;         /* retained */
    sc_lock *lock;             /* owned; NULL when closed */
    size_t references;         /* the handle's, each op's, the post's, other rooms' */
    sc_election_config config; /* no zeros; its slices are not used */
    bool is_closed;
    bool wants; /* to lead */
    sci_election_state state;
    sc_resignation reason;
    int64_t term;      /* of LEADING and STOPPING */
    int64_t told_term; /* on_elected said so, on_resigned is owed; 0: none */
    sci_wish wish;     /* of the lock's acquire, and of its farewell */
    sci_timer step_timer;
    sci_timer stop_timer;
    sci_timer read_timer;
    sci_link waiters; /* threads that wait for another state */
    sci_link listeners;
    sci_atomic_u32 view_version;
    sci_election_view views[2]; /* by the version's last bit */

    sci_bytes names;
    sc_slice keys[2]; /* fence, lock */
    sc_slice channel;
    sc_slice event_channel;
    sc_slice name; /* in the lock's block */
    bool has_default_name;
    sci_listener channel_listener;
    sci_listener event_listener;

    sci_op read_op;
    sci_op announce_op;
    sci_op notify_op;
    bool is_reading;
    bool reads; /* it is to read, again */
    bool is_announcing;
    bool announces;
    bool is_notifying; /* the server's configuration is being asked or set */
    char flags[40];    /* of notify-keyspace-events, to be set; empty: asked for */
    sc_value *leader;  /* owned: the name; NULL: nobody, or not known */
    int64_t leader_term;
    bool has_news; /* on_leader_changed is owed */

    sci_post post;
    bool is_posted;
    bool is_telling; /* in a callback */
    sci_close_hook close_hook;
    sci_fork_hook fork_hook;
};

/* --- election.c */

SCI_PRIVATE void sci_election_retain(sc_election *election);
SCI_PRIVATE void sci_election_release(sc_election *election);
/* Threads that wait look again. */
SCI_PRIVATE void sci_election_wake(sc_election *election);
/* What sc_is_leader sees: 0, 0 for no. */
SCI_PRIVATE void sci_election_show(sc_election *election, int64_t until_ns, int64_t term);

/* --- election_state.c */

/* Campaign, if that is wanted and nothing is under way. */
SCI_PRIVATE void sci_election_go_on(sc_election *election);
/* Lead no longer. */
SCI_PRIVATE void sci_election_stop(sc_election *election, sc_resignation reason);
/* Take a step soon. */
SCI_PRIVATE void sci_election_step_soon(sc_election *election);
SCI_PRIVATE void sci_election_fire_step(sci_timer *timer);
SCI_PRIVATE void sci_election_fire_stop(sci_timer *timer);
/* The lock's. */
SCI_PRIVATE void sci_election_lock_changed(sc_lock *lock);
SCI_PRIVATE void sci_election_tell(sci_post *post);
/* Callbacks are owed. */
SCI_PRIVATE void sci_election_post(sc_election *election);

/* --- election_watch.c */

/* Listen, and look for the first time. What cannot be listened to is looked at each poll bound. */
SCI_PRIVATE void sci_election_watch(sc_election *election);
SCI_PRIVATE void sci_election_unwatch(sc_election *election);
/* Say on the channel that something has changed; look who leads: if it is to be done, and is not
   being done. */
SCI_PRIVATE void sci_election_speak(sc_election *election);
SCI_PRIVATE void sci_election_look(sc_election *election);
/* This one leads: `name` empty for nobody. */
SCI_PRIVATE void sci_election_know(sc_election *election, sc_slice name, int64_t term);
SCI_PRIVATE void sci_election_fire_read(sci_timer *timer);

/* --- for other rooms */

/* It leads for certain, at this moment. */
static inline bool sci_election_leads(const sc_election *election)
{
    return sc_election_term(election) > 0;
}

/* Its keys, for a script that writes as the leader: fence and lock. The first has the term as its
   value, the second sci_election_value's bytes, while nobody else was elected. A script that
   changes what belongs to the leader compares both, and the term above all (tests/model,
   SWAP_CHECKS_NAME). */
static inline void sci_election_keys(const sc_election *election, sc_slice keys[2])
{
    keys[0] = election->keys[0];
    keys[1] = election->keys[1];
}

/* Valid while it leads. */
static inline sc_slice sci_election_value(const sc_election *election)
{
    return election->config.interop ? election->name
                                    : sc_bytes(election->lock->token, election->lock->token_len);
}

/* Who listens is told until it is taken out of the list. A room that keeps an election beyond its
   call retains it: the struct stays, and a closed one never leads. */
static inline void sci_election_listen(sc_election *election, sci_election_listener *listener)
{
    sci_list_append(&election->listeners, &listener->link);
}

/* A script said that term or value are others: step down, and campaign anew. */
static inline void sci_election_doubt(sc_election *election)
{
    if (election->state == SCI_ELECTION_LEADING)
        sci_election_stop(election, SC_RESIGNED_LOST);
}
