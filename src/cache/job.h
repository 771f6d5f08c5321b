#pragma once
/* Jobs. A job has a time at which it is due (job_time.c) and at most one run: one build. A run's
   rows are encoded by the thread that fetches them (job_rows.c), and sent in pieces on a connection
   of the run's own to shadow keys, which one script swaps for the keys (job_chunk.c, job_build.c).

   All is locked but what is said to be the fetching thread's. */

#include "api/job.h"
#include "base/hash.h"
#include "cache/cron.h"
#include "client/script.h"
#include "coord/election.h"

#define SCI_JOB_KEYS 16
#define SCI_JOB_RETRIES 3
#define SCI_JOB_RETRY_MIN_MS 1000
#define SCI_JOB_RETRY_MAX_MS 60000
#define SCI_JOB_SHADOW_TTL_MS 60000
#define SCI_JOB_LEAST_SHADOW_TTL_MS 100
#define SCI_JOB_PROGRESS_MS 1000
#define SCI_JOB_WORKERS 64
/* Of each duration: 50 years, as of timers. */
#define SCI_JOB_LONGEST_MS ((int64_t)50 * 366 * 86400 * 1000)
/* For the claim of a task that is not bound to a time: later than all that have been claimed. */
#define SCI_JOB_ANY_TIME ((int64_t)1 << 53)

/* A piece is sent when it has so many rows, so that no command of it holds up the server for long,
   or so many bytes. */
#define SCI_JOB_CHUNK_ROWS 1000
#define SCI_JOB_CHUNK_BYTES (128u * 1024u)
/* Sent and not answered, at most. */
#define SCI_JOB_FLIGHT_BYTES (1024u * 1024u)

/* --- Workers (job_worker.c) */

/* The threads that run a client's fetch functions. From its first job to its last. */
typedef struct sci_workers {
    sc_client *client;
    size_t users;   /* jobs, and threads */
    size_t count;   /* threads now */
    sci_link queue; /* of runs */
} sci_workers;

/* --- Rows (job_rows.c) */

/* One key of a job, and what of the piece that is being made goes there. */
typedef struct sci_job_target {
    sc_slice key;    /* in the job's block */
    sc_slice shadow; /* in `names` */
    sci_bytes names; /* of a run */
    sc_job_type type;
    sci_bytes body;    /* words of the one command with most rows; of a string the text itself */
    sci_bytes singles; /* of a hash: commands of one row each */
    int64_t size; /* of the shadow, as its type counts; of a set what the server has answered */
} sci_job_target;

/* A row that may have the id of an earlier one. Behind it stands the id. */
typedef struct sci_job_doubt {
    int64_t row;
    size_t len;
} sci_job_doubt;

#define SCI_JOB_FILTERS 4

/* Which ids have been seen: it may wrongly say that one has (a Bloom filter: Bloom, "Space/time
   trade-offs in hash coding with allowable errors", 1970). Such rows are sent one by one, so that
   the server's answer tells of each whether it was new; all others are new for certain. */
typedef struct sci_job_filter {
    sc_memory memory;
    sci_hash_seed seed;
    unsigned char *bits[SCI_JOB_FILTERS]; /* each eight times the size of the one before */
    size_t count;
    size_t added; /* to the last one */
    bool is_full; /* there is no memory for more: everything may have been seen */
} sci_job_filter;

/* What the fetching thread works on. */
typedef struct sci_job_rows {
    const sc_job *job;
    sci_job_target targets[SCI_JOB_KEYS];
    size_t target_count;
    bool has_hash;
    int64_t row;       /* taken */
    int64_t first_row; /* of this piece, from 0 */
    size_t bytes;      /* of this piece, about */
    size_t doubt_count;
    sci_bytes doubts;
    sci_bytes id;     /* of a row, where it stands escaped in it */
    sci_bytes member; /* a name that does */
    sci_job_filter filter;
} sci_job_rows;

SCI_PRIVATE void sci_job_rows_init(sci_job_rows *rows, const sc_job *job, const sc_memory *memory);
SCI_PRIVATE void sci_job_rows_free(sci_job_rows *rows);
/* Unlocked: put a row into the piece. SC_ERR_ARGUMENT names the row; SC_ERR_MEMORY. After an error
   the piece is good for nothing. */
SCI_PRIVATE sc_status sci_job_rows_add(sci_job_rows *rows, const sc_job_row *row);
/* Unlocked: no more rows come. */
SCI_PRIVATE sc_status sci_job_rows_finish(sci_job_rows *rows);
static inline bool sci_job_rows_is_full(const sci_job_rows *rows, size_t chunk_bytes)
{
    return rows->bytes >= chunk_bytes || rows->row - rows->first_row >= SCI_JOB_CHUNK_ROWS;
}
/* How many commands the piece is. */
SCI_PRIVATE uint32_t sci_job_rows_commands(const sci_job_rows *rows);
/* Append them. SC_ERR_MEMORY. */
SCI_PRIVATE sc_status sci_job_rows_write(const sci_job_rows *rows, sci_bytes *out);
/* Begin the next piece. */
SCI_PRIVATE void sci_job_rows_next(sci_job_rows *rows);
/* The command that gives a type's size, as sci_job_target.size. */
SCI_PRIVATE const char *sci_job_size_command(sc_job_type type);

/* --- Runs (job_build.c) */

/* A piece under way: what is expected of its answers. */
typedef struct sci_job_chunk {
    sci_op op;
    sci_link link; /* in the run's chunks */
    sc_job_run *run;
    bool is_busy;  /* under way */
    bool is_first; /* a transaction that also makes the shadows end by themselves */
    size_t bytes;
    int64_t rows;
    uint32_t bodies; /* targets with a command for most rows: a bit each */
    size_t doubt_count;
    sci_bytes doubts;
} sci_job_chunk;

struct sc_job_run {
    sc_job *job;            /* a reference */
    sci_link link;          /* in the workers' queue */
    sci_post post;          /* of a fetch that runs as a callback */
    sci_job_rows rows;      /* the fetching thread's; but its sets' sizes are locked */
    sci_atomic_u32 is_over; /* it has ended, well or not: no more rows */

    sc_status status;
    char words[SC_ERROR_TEXT_BYTES];
    uintptr_t fetcher; /* the thread in the function that fetches, 0: none */
    bool is_fetched;   /* no more rows come */
    bool is_kept;      /* the shadows are there, and are to be renewed */
    bool is_swapping;  /* that question is under way, or was */
    bool is_swapped;
    bool has_shadows; /* perhaps there are some */
    bool is_clearing; /* they are being deleted, or were */
    bool is_renewing;
    bool wants_room;     /* sc_job_rows said SC_AGAIN */
    size_t ops;          /* under way; and posts */
    size_t flight_bytes; /* of chunks under way */
    int64_t sent_rows;
    int64_t begun_ns;
    int64_t due_ms;     /* wall clock */
    sci_conn *conn;     /* borrowed; NULL when the client has closed */
    sci_waiter *waiter; /* of who waits for room */
    sci_post room_post;
    sci_link chunks; /* all, owned */
    sci_timer limit_timer;
    sci_timer renew_timer;
    sci_timer progress_timer;

    char build[SCI_TOKEN_LEN + 1];
    bool is_asked; /* by sc_job_trigger */
    int64_t term;
    sci_bytes leader; /* the value of the election's key, at the beginning */
    char term_text[SCI_I64_TEXT_BYTES];
    char rows_text[SCI_I64_TEXT_BYTES];
    char ttl_text[SCI_I64_TEXT_BYTES];
    char due_text[SCI_I64_TEXT_BYTES];
    char seen_text[SCI_I64_TEXT_BYTES];
    char sizes[SCI_JOB_KEYS][SCI_I64_TEXT_BYTES];
    sc_slice script_keys[3 + 2 * SCI_JOB_KEYS];
    sc_slice script_args[6 + 2 * SCI_JOB_KEYS];
    sci_eval_op question; /* the claim, later the swap */
    sci_op renewal;
    sci_op clearing;
};

/* Begin a build, which was due at this time by the wall clock, or was asked for; the job's `run`. Ends
   by sci_job_ended, perhaps at once. After an error nothing has begun. */
SCI_PRIVATE sc_status sci_job_run_begin(sc_job *job, int64_t due_ms, bool is_asked);
/* The function is about to be called: its time runs. */
SCI_PRIVATE void sci_job_run_limit(sc_job_run *run);
/* End it with this and the words of sc_error_text, unless it has ended. */
SCI_PRIVATE void sci_job_run_fail(sc_job_run *run, sc_status status);
/* The fetch has returned. */
SCI_PRIVATE void sci_job_run_fetched(sc_job_run *run, sc_status status);
/* The client closes. */
SCI_PRIVATE void sci_job_run_close(sc_job_run *run);
/* In a forked child. */
SCI_PRIVATE void sci_job_run_forked(sc_job_run *run);

static inline bool sci_run_is_over(const sc_job_run *run)
{
    return sci_atomic_load_acquire(&run->is_over) != 0;
}
/* It has ended; what is under way is still waited for. Words of anything but SC_OK in
   sc_error_text. */
SCI_PRIVATE void sci_run_over(sc_job_run *run, sc_status status);
/* Go on, if nothing is under way. Nothing of the run is used afterwards. */
SCI_PRIVATE void sci_run_settle(sc_job_run *run);
/* Who waits for room looks again. */
SCI_PRIVATE void sci_run_make_room(sc_job_run *run);
/* An op of the run's, which counts itself out when it completes; the run may be gone then. */
SCI_PRIVATE void sci_run_submit(sc_job_run *run, sci_conn *conn, sci_op *op);

/* --- Shadows (job_chunk.c) */

/* Send the piece that has been made, if there is any of it. */
SCI_PRIVATE void sci_run_send(sc_job_run *run);
/* How much may be under way, and in one chunk. */
SCI_PRIVATE size_t sci_run_flight_bytes(const sc_job_run *run);
SCI_PRIVATE size_t sci_run_chunk_bytes(const sc_job_run *run);
/* SC_LOST, with words: that target's is not what was built. */
SCI_PRIVATE sc_status sci_run_lost_shadow(const sc_job_run *run, size_t target);
/* The shadows' lives are renewed by this timer. */
SCI_PRIVATE void sci_run_arm_renewal(sc_job_run *run);
SCI_PRIVATE void sci_run_renew_fire(sci_timer *timer);

/* --- Jobs (job.c) */

struct sc_job {
    sc_client *client;     /* retained */
    sc_election *election; /* retained */
    size_t references;     /* the handle's, the run's, each post's, the question's */
    sc_job_config config;  /* no zeros; its keys, texts and files are not used */
    sci_bytes block;       /* names and keys */
    sc_slice name;
    sc_slice state; /* its key on the server */
    sc_slice id_prop;
    sc_slice score_prop;
    sci_job_target *targets; /* owned: keys and types alone */
    size_t target_count;
    sc_script scripts[3]; /* swap, claim, drop */
    sci_close_hook close_hook;
    sci_fork_hook fork_hook;
    sci_election_listener listener;
    bool is_closed;

    sc_job_run *run; /* NULL: it is not building */
    sc_job_stats stats;
    sci_post end_post;
    sci_post progress_post;
    bool is_end_due; /* on_end is to be called, before the next build */
    bool is_progress_due;
    bool is_telling;    /* in a callback */
    sci_waiter *closer; /* finished when the run, or a callback, is over */

    /* job_time.c */
    bool has_cron;
    sci_cron cron;
    sci_zone zone;   /* owned */
    int64_t term;    /* in which it leads; 0: it does not */
    bool is_asking;  /* when it was built last */
    bool is_leading; /* and that is known */
    bool is_paused;
    bool is_triggered; /* now, or once more after the run */
    bool is_due;       /* it is planned */
    bool is_walled;    /* for due_ms by the wall clock; else for due_ns */
    int64_t due_ns;
    int64_t due_ms;
    int64_t seen_ms;      /* cron: what was due until then is done with */
    int64_t base_ns;      /* what the interval counts from */
    int64_t attempt;      /* failures in a row */
    int64_t ended_term;   /* of the last run */
    int64_t tick_ms;      /* cron: what a retry is for */
    sci_timer timer;      /* of the next build */
    sci_timer step_timer; /* the election has changed */
    sci_op question;
};

/* sc_fail: "the job "name" " and what about it. */
SCI_PRIVATE sc_status sci_job_say(const sc_job *job, sc_status status, const char *what);
SCI_PRIVATE void sci_job_release(sc_job *job);
/* The run is over. */
SCI_PRIVATE void sci_job_ended(sc_job *job, const sc_job_run *run);
/* It could not begin: words in sc_error_text. */
SCI_PRIVATE void sci_job_not_begun(sc_job *job, sc_status status);
/* on_progress is to be called. */
SCI_PRIVATE void sci_job_progress(sc_job *job);

/* --- job_worker.c */

/* A job begins, and ends, to use the client's workers. SC_ERR_MEMORY. */
SCI_PRIVATE sc_status sci_workers_use(sc_client *client);
SCI_PRIVATE void sci_workers_let_go(sc_client *client);
SCI_PRIVATE void sci_workers_forked(sc_client *client);
/* Call the run's function, on a thread or as a callback. */
SCI_PRIVATE void sci_job_run_fetch(sc_job_run *run);

/* --- job_time.c */

/* Not locked. SC_ERR_ARGUMENT and others: a wrong expression or zone. */
SCI_PRIVATE sc_status sci_job_time_init(sc_job *job, const sc_job_config *config);
/* The job is registered; perhaps it leads already. */
SCI_PRIVATE void sci_job_time_begin(sc_job *job);
/* Nothing will be due any more. */
SCI_PRIVATE void sci_job_time_stop(sc_job *job);
SCI_PRIVATE void sci_job_time_forked(sc_job *job);
/* The election is not what it was, perhaps: look, soon. */
SCI_PRIVATE void sci_job_listen_event(sci_election_listener *listener, bool is_elected);
/* A build has ended so, and been told of: plan the next one, unless what is planned is of a later
   term. */
SCI_PRIVATE void sci_job_plan_next(sc_job *job, sc_status status);
/* Begin what is due, or arm the timer. */
SCI_PRIVATE void sci_job_mind(sc_job *job);
SCI_PRIVATE void sci_job_change_interval(sc_job *job, int64_t interval_ms);
/* -1: nothing is planned. */
SCI_PRIVATE int64_t sci_job_due_in_ms(const sc_job *job);
