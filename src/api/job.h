#pragma once
/* Jobs: caches that are built and rebuilt in the background by the leader of a fleet, and swapped in
   at once; and tasks that one process of a fleet does. */

#include "api/election.h"
#include "api/timer.h"

/* A job of one process: while its election has made it the leader, it builds; else it is ready to.
   Any thread may use it. */
typedef struct sc_job sc_job;
/* One build that is under way. */
typedef struct sc_job_run sc_job_run;

/* What a build makes of its rows under a key. */
typedef enum sc_job_type {
    SC_JOB_STRING = 1, /* one string: the JSON array of all rows, which must be JSON each */
    SC_JOB_LIST,       /* the rows, in their order */
    SC_JOB_HASH,       /* the rows by their ids */
    SC_JOB_SET,        /* the rows; equal ones are one */
    SC_JOB_SORTED_SET  /* the rows by their scores; equal ones are one */
} sc_job_type;

typedef struct sc_job_key {
    sc_slice key;
    sc_job_type type;
} sc_job_key;

/* One row of a result. All is copied by the call that takes it. */
typedef struct sc_job_row {
    sc_slice value;
    sc_slice id;  /* for hashes; with sc_job_config.id_prop that is taken from the value instead */
    double score; /* for sorted sets; with score_prop that is taken from the value instead */
} sc_job_row;

/* Fetch the data: give each row to sc_job_add, then return SC_OK; anything else, with words by
   sc_fail, makes the build fail, and what was there stays. On a thread of the client's pool
   (sc_job_workers), without locks; without such threads (`polled`, SMARTCACHE_NO_THREADS) inside of
   sc_poll and blocking calls, which it holds up. It may call anything but sc_job_close, sc_job_drop
   and sc_close. A child that it forks must exit without returning from it. */
typedef sc_status (*sc_job_fetch)(sc_job_run *run, void *user);
/* The same for programs that must not block: begin to fetch. The rows come by sc_job_rows, the end
   by sc_job_done, each from any thread, one at a time. As callbacks run. An error return is as
   sc_job_done with it, which is not to be called then. */
typedef sc_status (*sc_job_start)(sc_job_run *run, void *user);
/* After sc_job_rows gave SC_AGAIN: there is room again, or the build has ended. */
typedef void (*sc_on_job_room)(sc_job_run *run, void *user);

/* How a job does. */
typedef struct sc_job_stats {
    bool is_leading;  /* this process builds it */
    bool is_building; /* now */
    bool is_paused;
    uint64_t builds;   /* that went well, in this process */
    uint64_t failures; /* that did not */
    int64_t rows;      /* of the last good one; while it is building: given to the server so far */
    int64_t last_ms;   /* when the last good one ended, milliseconds since 1970 UTC; 0: none */
    int64_t failed_ms; /* when the last bad one ended; 0: none */
    int64_t duration_ms;             /* of the last one */
    int64_t due_in_ms;               /* until the next one; -1: none is planned here */
    sc_status status;                /* of the last one; SC_OK also before the first */
    char words[SC_ERROR_TEXT_BYTES]; /* of anything but SC_OK */
} sc_job_stats;

/* A build has ended, well or not (`stats->status`). As callbacks run. The next one begins when this
   has returned. May call anything but sc_close. */
typedef void (*sc_on_job_end)(void *user, sc_job *job, const sc_job_stats *stats);
/* A build goes on: so many rows have been given to the server. As callbacks run. */
typedef void (*sc_on_job_progress)(void *user, sc_job *job, int64_t rows);

/* Zeros: the defaults. All is copied. In a cluster, the names of the election, of the job and of its
   keys must have one hash tag. */
typedef struct sc_job_config {
    const char *name;       /* required; one job of a fleet has it */
    const sc_job_key *keys; /* none: a task, of which nothing is stored but when it was done */
    size_t key_count;       /* at most 16 */
    sc_job_fetch fetch;     /* required, or `start` */
    sc_job_start start;
    sc_on_job_room on_room; /* required with `start`, unless it is a task */
    void *user;             /* for all functions here */

    int64_t interval_ms; /* from a build's end to the next one's begin; required, or `cron` */
    bool fixed_rate;     /* from begin to begin; what is due while it builds is left out */
    const char *cron;    /* built when this is due instead, as sc_cron_config.expression; a task is
                            begun once in the fleet for each time that it is due, and not again
                            should that process die as it begins */
    const char *zone;    /* these as in sc_cron_config */
    const char *zone_folder;
    const sc_files *files;

    const char *id_prop; /* the rows are JSON objects: the id is this member, a string or number */
    const char *score_prop; /* and the score is this one, a number */
    int64_t ttl_ms;        /* of the result: none. Longer than the interval, if readers are never to
                               miss it */
    bool clear_when_empty; /* no rows: the keys are deleted. Default: what was there stays */
    int64_t fetch_timeout_ms; /* of one build: none. Its next row is refused then */
    int64_t retries; /* after a failure, before the next regular time: 3; of tasks 0; -1: none */
    int64_t retry_min_ms; /* they wait a random time below a bound that doubles: from 1,000 */
    int64_t retry_max_ms; /* to 60,000 */
    int64_t
        shadow_ttl_ms; /* what a crashed build leaves is gone after this: 60,000; at least 100 */

    sc_on_job_end on_end;
    sc_on_job_progress on_progress;
    int64_t progress_ms; /* between calls of on_progress: 1,000 */
} sc_job_config;

/* Register a job with an election. Where this process leads, it is built at once (a task with
   `cron` when that is due); when it becomes the leader, as soon as it is due by when the fleet
   built it last, or at once when a key of it is missing; then each interval. The caller closes it,
   before or after election and client. SC_ERR_ARGUMENT names the field, SC_ERR_MEMORY; those of
   sc_cron. Blocks as `files` does. */
SC_API sc_status sc_job_open(sc_election *election, const sc_job_config *config, sc_job **job);
/* End it here; the data stay. A build that is under way is given up. NULL is fine. Blocks until
   `fetch` and callbacks have returned, or, with `start`, until sc_job_done; a callback of the job
   itself excepted. */
SC_API void sc_job_close(sc_job *job);
/* The same, and delete its keys and what is known about it, if this process leads. SC_HELD: it does
   not, and nothing is deleted; those of sc_command. It is closed in every case. Blocks also up to
   the client's timeout_ms. */
SC_API sc_status sc_job_drop(sc_job *job);

/* Build now; while it is building: once more afterwards. Also while it is paused. SC_HELD: another
   process leads, or none. Any thread. Does not block. */
SC_API sc_status sc_job_trigger(sc_job *job);
/* Begin no build any more, until it is resumed; then at once if one was due. One that is under way
   goes on. Any thread. Does not block. */
SC_API sc_status sc_job_pause(sc_job *job);
SC_API sc_status sc_job_resume(sc_job *job);
/* From the last build's end (`fixed_rate`: begin) on. SC_ERR_ARGUMENT: not at least 1 ms, or the job
   has `cron`. Any thread. Does not block. */
SC_API sc_status sc_job_set_interval(sc_job *job, int64_t interval_ms);
/* Any thread. Never blocks. `*stats` is zeroed after SC_ERR_CLOSED. */
SC_API sc_status sc_job_stats_get(sc_job *job, sc_job_stats *stats);

/* Give one row to the build. Anything but SC_OK ends it: return that from `fetch`.
     SC_LOST            this process leads no more
     SC_ERR_TIMEOUT     fetch_timeout_ms
     SC_ERR_CANCELLED   the job was closed
     SC_ERR_ARGUMENT    the row has no id, another row has it, or the like: the words name it
     and those of sc_command
   Rows are sent in pieces of up to 1,000 rows or 128 KiB, of which 1 MiB is under way at most; all
   that a build uses is less than 8 MiB, beside a row that is larger itself. On the thread that
   `fetch` was called on. Blocks while too much is under way. */
SC_API sc_status sc_job_add(sc_job_run *run, const sc_job_row *row);
/* The same for some rows, without blocking. `*taken`: so many were. SC_AGAIN: not all; on_room tells
   when to go on. After an error sc_job_done is still to be called. */
SC_API sc_status sc_job_rows(sc_job_run *run, const sc_job_row *rows, size_t count, size_t *taken);
/* The end of what `start` began; `run` is no more. `status` other than SC_OK, with words by sc_fail:
   the build fails. Does not block. */
SC_API void sc_job_done(sc_job_run *run, sc_status status);
/* When it was due, in milliseconds since 1970 UTC: for a task by `cron`, this very time. */
SC_API int64_t sc_job_due_ms(const sc_job_run *run);

/* How many fetch functions of this client's jobs run at a time: 1. Others wait. Threads are started
   when there is work, and end after it. 1 to 64. SC_ERR_MEMORY, SC_ERR_ARGUMENT. */
SC_API sc_status sc_job_workers(sc_client *client, size_t count);
