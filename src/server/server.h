#pragma once
/* The embedded server's structs: a keyspace, its sessions, and what happens between them. No input
   or output of its own but the log: sessions are fed bytes and give bytes (see session.h), by
   whatever carries them.

   One mutex, server->lock, guards all of it; "locked" means that the caller holds it. It is a leaf:
   while it is held nothing is called that takes another lock (`notify` of a session only wakes). */

#include "api/server.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/sha1.h"
#include "base/thread.h"
#include "server/command.h"
#include "server/memory.h"
#include "server/request.h"
#include "server/ticker.h"

#define SCI_SERVER_NS_PER_MS 1000000

typedef struct sci_log sci_log;
typedef struct sci_watch_link sci_watch_link;

/* Commands that MULTI has gathered, one after the other, each encoded as it came. */
typedef struct sci_transaction {
    sci_bytes queued;
    size_t count;
    unsigned flags; /* of all of them */
    bool is_open;   /* between MULTI and EXEC or DISCARD */
    bool is_failed; /* a command was refused: EXEC will be */
} sci_transaction;

/* A session that waits for keys. */
typedef struct sci_wait {
    sci_link keys;       /* sci_wait_link */
    sci_heap_node timer; /* in server->timeouts; key: monotonic ns */
    sci_bytes command;   /* what runs again, encoded; empty: the session waits for nothing */
    sci_nil nil;
    bool is_held; /* it has not run yet: CLIENT PAUSE has put it off */
} sci_wait;

typedef enum sci_channel_kind {
    SCI_CHANNEL,
    SCI_PATTERN,
    SCI_SHARD_CHANNEL,
    SCI_CHANNEL_KINDS
} sci_channel_kind;

/* What CLIENT TRACKING has set. */
typedef struct sci_tracking {
    bool is_on;
    bool is_broadcasting;
    bool opts_in;
    bool opts_out;
    bool no_loop;
    bool is_chosen;         /* CLIENT CACHING was said, which holds for the next command */
    bool has_lost_redirect; /* a message could not be delivered */
    uint64_t redirect;      /* id of the session that gets the messages; 0: none does. It stays
                               when it is turned off */
    sci_link prefixes;      /* private to tracking.c */
} sci_tracking;

struct sci_session {
    sci_link link;      /* in server->sessions */
    sci_map_node by_id; /* in server->sessions_by_id */
    sci_link resume;    /* in server->resumed, or server->pause.held */
    sci_link writer;    /* in server->writers */
    sc_server *server;
    uint64_t id;
    sci_db *db;
    sci_bytes in; /* received, not executed yet */
    sci_request request;
    sci_bytes out;
    /* Locked: `out` has got bytes, or the session has ended, outside of sci_session_feed. It may
       only wake somebody. */
    void (*notify)(void *user);
    void *notify_user;
    bool is_trusted; /* needs no password */
    bool is_authenticated;
    bool is_ended;    /* no more is executed; close it when `out` has been sent */
    bool is_broken;   /* `out` is not to be sent any more: close at once */
    bool is_notified; /* since its carrier last looked */
    bool is_internal; /* the server's own: not listed, not counted */
    bool is_pausing;  /* its output is too large: nothing is executed until it was sent */
    bool is_muted;    /* CLIENT REPLY OFF: answers go to server->unheard */
    bool skips_next;  /* CLIENT REPLY SKIP: the next one does */
    bool skips_now;   /* this one does */
    bool no_evict;
    bool no_touch;
    char *name;        /* owned, or NULL */
    char address[128]; /* of the peer, for CLIENT LIST */
    char laddress[128];
    sc_descriptor descriptor; /* for CLIENT LIST; -1: none */
    int64_t created_ms;
    int64_t active_ms;
    const sci_command *last_command;
    const sci_subcommand *last_subcommand;
    size_t commands;
    sci_transaction transaction;
    sci_link watches; /* sci_watch_link */
    bool has_lost_watch;
    sci_wait wait;
    sci_link subscriptions[SCI_CHANNEL_KINDS]; /* private to pubsub.c */
    size_t subscription_count[SCI_CHANNEL_KINDS];
    sci_tracking tracking;
};

typedef struct sci_server_stats {
    uint64_t connections;
    uint64_t rejected;
    uint64_t commands;
    uint64_t hits;
    uint64_t misses;
    uint64_t expired;
    uint64_t evicted;
    uint64_t bytes_in;
    uint64_t bytes_out;
    int64_t started_ms;
    int64_t saved_ms; /* when SAVE or BGSAVE was last asked for; at first, started_ms */
} sci_server_stats;

#define SCI_SERVER_ID_BYTES 41
/* What CLIENT PAUSE has set. */
typedef struct sci_pause {
    int64_t until_ns; /* monotonic; 0: there is none */
    bool stops_all;   /* or else what may change data */
    sci_link held;    /* sci_session.resume: their commands were put off */
} sci_pause;

#define SCI_SERVER_SCRIPTS 15
/* An entry that may be evicted next, as it was when it was sampled; private to evict.c. */
typedef struct sci_evict_candidate {
    int db;
    uint32_t hash;
    uint32_t access;
} sci_evict_candidate;

#define SCI_EVICT_CANDIDATES 16

#define SCI_SERVER_COMMAND_SLOTS 1024 /* more than twice the commands there are */

struct sc_server {
    sci_mutex lock;
    sc_memory memory;
    sci_counted data; /* what databases and their objects take */
    sc_clock clock;
    sc_logger logger;
    uint64_t random_state[2];
    sci_hash_seed hash_seed;
    sci_evict_candidate candidates[SCI_EVICT_CANDIDATES];
    size_t candidate_count;
    sc_server_config config;  /* numbers and enums, resolved; its pointers are not used */
    char *password;           /* owned; NULL: none is asked for */
    unsigned notified_events; /* SCI_EVENT_* that are published */

    sci_db *dbs;
    int db_count;
    const sci_command *commands[SCI_SERVER_COMMAND_SLOTS];

    char script_names[SCI_SERVER_SCRIPTS][SCI_SHA1_HEX_BYTES]; /* private to cmd_script.c */

    sci_link sessions;
    sci_map sessions_by_id;
    size_t session_count;
    uint64_t last_session;
    int64_t now_ms;         /* wall clock at the start of the command or tick that runs */
    int64_t idle_timeout_s; /* a session that asks nothing for so long is ended; 0: never */
    int64_t idle_look_ns;   /* when it is looked for them next */
    bool is_expiry_lazy;    /* only what is looked up expires (DEBUG SET-ACTIVE-EXPIRE 0) */
    char run_id[SCI_SERVER_ID_BYTES]; /* 40 hexadecimal digits by chance and a NUL */

    sci_heap timeouts;   /* sci_wait.timer */
    sci_map waits;       /* key -> sessions that wait, private to wait.c */
    sci_link ready_keys; /* of them */
    sci_link resumed;    /* sessions whose wait is over */
    uint64_t last_round; /* of serving those that wait */
    bool is_resuming;
    sci_pause pause;
    sci_bytes unheard; /* answers of those who want none */
    sci_map watched;   /* key -> sci_watch_link, private to transaction.c */

    sci_map channels[SCI_CHANNEL_KINDS]; /* private to pubsub.c */
    sci_link patterns;                   /* those of SCI_PATTERN, for publishing */
    struct sci_members *tracked;         /* private to tracking.c, as these: */
    struct sci_members *own_changes;
    bool is_own_flush;
    uint64_t own_changes_by;
    sci_link prefixes;
    sci_link changed_prefixes;

    sci_link writers; /* sessions that have written since the last sci_server_commit */
    sci_log *log;     /* owned; NULL: memory alone */
    sci_server_stats stats;
    sci_ticker ticker;
    struct sci_host *host;     /* owned: sockets and the thread; NULL: none */
    sci_atomic_u32 is_stopped; /* it is to serve nobody any more: SHUTDOWN, sc_server_stop */
    sci_fork_guard fork_guard;
    bool has_fork_guard; /* not for one that its only client looks after */
    bool is_torn;        /* a forked child's copy, made in the middle of a change */
};

/* Locked. Names what this server is to a person: INFO's redis_version. */
#define SCI_SERVER_REDIS_VERSION "7.0.15"

/* Run what is due: expiry, time-outs of waits, the log, tidying; a bounded slice of each. Locked.
   Returns the monotonic time at which it should be called again, INT64_MAX: when something has
   happened. */
SCI_PRIVATE int64_t sci_server_tick(sc_server *server);
/* Locked. To be called before any session's output is sent on: what was executed is in the log as
   safely as the configuration asks. After a failure the sessions that wrote have ended. */
SCI_PRIVATE void sci_server_commit(sc_server *server);
SCI_PRIVATE void sci_server_log(sc_server *server, sc_log_level level, const char *format, ...)
    SC_PRINTF(3, 4);
static inline int64_t sci_server_wall_ms(const sc_server *server)
{
    return server->clock.wall_ms(server->clock.user);
}
static inline int64_t sci_server_now_ns(const sc_server *server)
{
    return server->clock.monotonic_ns(server->clock.user);
}
/* The memory that a server would use. */
SCI_PRIVATE sc_status sci_server_take_memory(const sc_server_config *config, sc_memory *memory);
/* A server without sockets and threads; the public functions add those. */
SCI_PRIVATE sc_status sci_server_create(const sc_server_config *config, sc_server **server);
SCI_PRIVATE void sci_server_free(sc_server *server);
