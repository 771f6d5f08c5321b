#pragma once
/* The client's structs. A client has connections; a connection (sci_conn) has an identity, a queue
   and, while it stands, a wire (sci_wire): one incarnation with its socket, buffers and reader.

   One mutex, the loop's, guards all of it; "locked" means that the caller holds it. It is let go
   for system calls, during which the wire's `users` keeps the socket open. */

#include "api/subscribe.h"
#include "base/bytes.h"
#include "base/map.h"
#include "client/reply.h"
#include "net/loop.h"
#include "net/url.h"
#include "resp/reader.h"

#define SCI_NS_PER_MS 1000000
#define SCI_NEVER INT64_MAX /* a deadline that does not come */

/* Gates that waiting threads share: a batch of replies raises one, not one a thread. The first are
   for ops on the shared connection, by batch; the next for other waits; the last is that of the
   client's thread. */
#define SCI_CLIENT_OP_GATES 4
#define SCI_CLIENT_WAIT_GATES 3
#define SCI_CLIENT_GATES (SCI_CLIENT_OP_GATES + SCI_CLIENT_WAIT_GATES + 1)

typedef struct sci_conn sci_conn;
typedef struct sci_subscriber sci_subscriber;

/* A thread that waits for something of the client's. On that thread's stack. */
typedef struct sci_waiter {
    sci_gate *own_gate; /* of a thread that is woken alone; NULL: `gate`, which it shares */
    sci_link link;      /* in client->sleepers, while it sleeps */
    sci_atomic_u32 is_done;
    uint32_t gate;    /* of the client's */
    bool is_sleeping; /* at its gate */
    bool is_driving;  /* inside the poller */
    bool is_called;   /* to drive, because nobody did */
    bool is_minded;   /* its deadline is the shared connection's to mind: it sleeps without a
                         time-out,   since a timer costs as much as the sleep */
    sci_conn *conn;   /* where the answer is expected, or NULL */
} sci_waiter;

/* A command, or some in one go, and what is to be done with the replies. Owned by whoever started
   it; not to be freed before `complete` was called. */
typedef struct sci_op {
    /* Locked, exactly once, when the replies are in (`status` SC_OK) or will not be. May start
     * others. */
    void (*complete)(struct sci_op *op);
    /* Append the commands' bytes; called again when an idempotent op is sent again. */
    sc_status (*encode)(struct sci_op *op, sci_bytes *out);
    sc_reply *reply;      /* where replies go; NULL: the wire's scratch, valid during `complete` */
    const sc_reply *view; /* during `complete` with SC_OK: the replies */
    sci_bulk_sink sink;   /* takes the bytes of a bulk reply in pieces, locked; may be NULL */
    void *sink_user;
    int64_t deadline_ns; /* monotonic, or SCI_NEVER */
    uint32_t replies;    /* expected */
    uint32_t resends;    /* times that it was sent again */
    bool is_idempotent;
    bool is_watched;  /* a thread waits for it */
    bool is_attended; /* not watched, but a thread is about to wait on the connection */
    bool is_queued;
    sci_conn *conn;
    uint64_t sequence; /* its place in the connection's queue */
    sc_status status;
    sc_value *error_text; /* owned: words for an error; may be NULL */
    sci_waiter waiter;    /* used when is_watched */
} sci_op;

/* A place in the queue of what was asked. When its op is gone (the call timed out), it remains as a
   tombstone so that the late reply finds nobody else. */
typedef struct sci_slot {
    sci_op *op;       /* NULL: a tombstone */
    sc_reply *reply;  /* owned until the replies are in; NULL: scratch */
    size_t bytes;     /* of the encoded commands */
    uint32_t replies; /* still to come */
} sci_slot;

typedef enum sci_conn_kind {
    SCI_CONN_SHARED,    /* pipelined by all threads */
    SCI_CONN_DEDICATED, /* one op or one owner at a time */
    SCI_CONN_SUBSCRIBER
} sci_conn_kind;

typedef enum sci_conn_state {
    SCI_CONN_DOWN, /* nothing under way; after a failure next_attempt_ns bounds the next try */
    SCI_CONN_RESOLVING,
    SCI_CONN_DIALING,
    SCI_CONN_HELD,    /* somebody is about to serve: dial again in a moment */
    SCI_CONN_PRELUDE, /* AUTH, SELECT, CLIENT SETNAME are being answered */
    SCI_CONN_READY
} sci_conn_state;

typedef enum sci_receiver {
    SCI_RECEIVER_NONE,
    SCI_RECEIVER_LOOP,  /* the driver polls for it */
    SCI_RECEIVER_CALLER /* a waiting caller is in receive_soon */
} sci_receiver;

/* One incarnation of a connection. Heap-allocated; freed when it is detached and nobody uses it. */
typedef struct sci_wire {
    sci_watch watch;
    sc_client *client;
    sci_conn *conn; /* NULL: detached, on its way out */
    void *stream;   /* owned */
    uint32_t users; /* threads in a system call on the stream */
    sci_receiver receiver;
    bool is_sending;     /* a thread is in transmit with `sending` */
    bool is_stalled;     /* the socket takes no more now */
    bool is_slow;        /* the reply waited for does not come promptly: leave it to the loop */
    unsigned dial_wants; /* interest while dialing */
    sci_bytes sending;   /* handed over for transmission */
    sci_chunk *chunk;    /* receive buffer, NULL while idle */
    size_t start;        /* first byte not consumed */
    size_t end;
    size_t ask;      /* what a receive asks for: grows up to the configured size */
    bool was_filled; /* the last receive filled the room: there may be more */
    bool has_items;  /* the unfinished reply has nodes that point into `chunk` */
    sc_reply scratch;
    sci_reader reader;
} sci_wire;

struct sci_conn {
    sc_client *client;
    sci_link link; /* in client->conns */
    sci_conn_kind kind;
    sci_conn_state state;
    bool is_borrowed; /* a dedicated one that somebody uses */
    bool is_bound;    /* its owner relies on this very wire (WATCH, a transfer): what is queued does
                         not survive it */
    sci_wire *wire;   /* while dialing, in the prelude, and ready */

    /* what was asked, oldest first: a ring */
    sci_slot *slots;
    uint32_t slot_cap; /* a power of two, or 0 */
    uint32_t slot_head;
    uint32_t slot_count;
    uint32_t gathered;      /* the last so many are not handed over: their bytes are in `out` */
    uint64_t head_sequence; /* of the slot at the head */
    sci_bytes out;          /* encoded, not handed over yet: of the last slots */
    uint32_t batch;         /* counts hand-overs; chooses gates */
    int64_t earliest_ns;    /* no later than the first deadline */
    sci_timer deadline_timer;

    /* pacing */
    bool gathers;             /* replies come so fast that commands had better gather meanwhile */
    int64_t probe_ns;         /* when the measured command was sent, 0: none is */
    uint32_t probe_countdown; /* lone commands until the next measurement; 0: now */
    int64_t active_ns;        /* last use */
    int64_t heard_ns;         /* when the server was last known to be alive */

    /* life */
    sc_lookup *lookup;
    sci_watch lookup_watch; /* resolvers without threads have a descriptor */
    sc_address *addresses;  /* owned: of the last attempt, in the order to try */
    size_t address_count;
    size_t address_index;
    sci_timer life_timer; /* attempt's deadline, back-off, idle check */
    int64_t attempt_deadline_ns;
    int64_t next_attempt_ns;
    uint32_t failures; /* attempts in a row */
#ifndef SMARTCACHE_NO_SERVER
    uint32_t moments; /* of SCI_CONN_HELD in this attempt */
#endif
    uint32_t prelude_step;
    sc_status failure_status;
    char failure_text[SC_ERROR_TEXT_BYTES];
    bool is_checking; /* the PING of the idle check is under way */
    sci_op check_op;
    sci_waiter *drain_waiter; /* finished when nothing is left to be sent */
    bool is_paused;           /* a download's consumer is busy: receive nothing meanwhile */
    bool has_refused_set;     /* SET ... IFEQ: renewals go by a script (script.c) */

    /* for SCI_CONN_SUBSCRIBER */
    sci_subscriber *subscriber;
};

/* Who wants to end things in order when the client closes: a cache with loads under way, a lock. */
typedef struct sci_close_hook {
    sci_link link; /* in client->close_hooks */
    /* Locked. Before anything has ended, to say last words whose answers nobody waits for; may be
       NULL. The client may go on afterwards (sc_release_on_signal). */
    void (*leaving)(struct sci_close_hook *hook);
    void (*closing)(struct sci_close_hook *hook); /* locked */
    uint32_t round;                               /* private to client.c */
} sci_close_hook;

/* Who has threads of the parent's waiting: a cache with its flights. */
typedef struct sci_fork_hook {
    sci_link link;                              /* in client->fork_hooks */
    void (*forked)(struct sci_fork_hook *hook); /* in the child, the only thread, before any lock */
} sci_fork_hook;

typedef struct sci_embedded sci_embedded;

struct sc_client {
    sci_loop loop; /* its mutex guards everything */
    sc_memory memory;
    sc_random random;
    sc_transport transport;
    sc_resolver resolver;
    sc_logger logger;
    sci_url url;
    sc_config config; /* durations and limits resolved; its pointers are not used */

    sci_atomic_u32 references; /* the handle, caches, subscriptions' owners */
    sci_atomic_u32 callers;    /* threads inside a call */
    bool is_closing;
    sci_fork_guard fork_guard;

#ifndef SMARTCACHE_NO_SERVER
    sci_embedded *embedded; /* owned; NULL: the server is elsewhere */
#endif

    sci_conn *shared;  /* owned */
    sci_link conns;    /* all */
    bool has_returned; /* a dedicated connection was given back: sweep when leaving */
    sci_link close_hooks;
    uint32_t last_round; /* of last words */
    bool says_last_words;
    sci_link fork_hooks;
    struct sci_workers *workers; /* owned by its users; NULL: there are no jobs */
    uint32_t worker_threads;     /* at most; 0: the default */
    struct sci_alarms *alarms;  /* owned by itself, through its hooks; NULL until the first timer */
    sci_subscriber *subscriber; /* owned; NULL until the first subscription */
    sci_link subscriptions;
    uint64_t last_subscription; /* id */
    sci_hash_seed hash_seed;
    uint64_t jitter; /* state of xorshift64* for back-off and timers */

    sci_gate gates[SCI_CLIENT_GATES];
    uint32_t raised;   /* gates whose sleepers are woken when the lock is let go: a bit each */
    uint32_t called;   /* gates of which one sleeper is woken, whichever, to take over receiving */
    sci_link sleepers; /* waiters at their gates */

    sci_thread thread;
    sci_waiter thread_waiter; /* never finished: it only sleeps while another drives */
    bool has_thread;
    bool thread_stops;

    sc_stats stats;
};

/* The calls below are made by the public functions of this and higher rooms. */

/* Begin a call: count the caller, lock. SC_ERR_CLOSED (unlocked, not counted) when the client
 * closes. */
SCI_PRIVATE sc_status sci_client_enter(sc_client *client);
/* End a call: unlock. No callback runs, so that a call that does not block may be made anywhere. */
SCI_PRIVATE void sci_client_leave(sc_client *client);
/* End a call that may block: before, run callbacks that are due, unless the client's thread does. */
SCI_PRIVATE void sci_client_leave_call(sc_client *client);
/* The same when the lock is not held any more. The client may be gone right afterwards. */
SCI_PRIVATE void sci_client_left(sc_client *client);
/* Let the lock go, then wake the waiters whose gates were raised meanwhile. */
SCI_PRIVATE void sci_client_unlock(sc_client *client);
/* The reference count of the struct; the last release frees it. */
SCI_PRIVATE void sci_client_retain(sc_client *client);
SCI_PRIVATE void sci_client_release(sc_client *client);
/* Locked: everything that is held is given back; true: and the server is about to hear of it. */
SCI_PRIVATE bool sci_client_say_last_words(sc_client *client);
/* Not locked: until the server has answered everything before, or so long. */
SCI_PRIVATE sc_status sci_client_ping(sc_client *client, int64_t timeout_ms);
/* Locked: start the client's thread, unless the program polls. Failing is no error: callers drive.
 */
SCI_PRIVATE void sci_client_want_thread(sc_client *client);
SCI_PRIVATE void sci_client_log(sc_client *client, sc_log_level level, const char *format, ...)
    SC_PRINTF(3, 4);
/* Locked. The deadline `timeout_ms` (0: the client's own, -1: none) from now. */
SCI_PRIVATE int64_t sci_client_deadline_ns(const sc_client *client, int64_t timeout_ms,
                                           int64_t now_ns);
/* Locked. A dedicated connection, and its return; one that is not fit for reuse is closed. Neither
   frees a connection at once, since its functions may still be on the stack. NULL: no memory. */
SCI_PRIVATE sci_conn *sci_client_borrow_conn(sc_client *client);
SCI_PRIVATE void sci_client_return_conn(sci_conn *conn);
/* Locked. Go on with connections whose look-up is answered. */
SCI_PRIVATE void sci_client_check_lookups(sc_client *client);
/* In a forked child, before the first lock: let go of the parent's sockets, threads and calls. */
SCI_PRIVATE void sci_client_after_fork(sc_client *client);
