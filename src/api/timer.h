#pragma once
/* Timers: a callback later, again and again, or when a cron expression is due. */

#include "api/client.h"

/* A timer; 0 is none. A stale id is harmless: ids are not used twice. */
typedef uint64_t sc_timer;

/* Called when a timer is due, as callbacks run (sc_on_reply), and never twice at a time for one
   timer. `due_ms` is when it was due: of sc_cron by the wall clock, milliseconds since 1970 UTC; of
   the others by sc_clock.monotonic_ns, in milliseconds. May call anything but sc_close;
   sc_timer_cancel(client, timer) ends it. */
typedef void (*sc_on_timer)(void *user, sc_timer timer, int64_t due_ms);

/* The functions that make a timer start the client's thread, unless `polled`: then callbacks run
   inside sc_poll and blocking calls. Timers end with the client, and are not inherited by forked
   children, in which their ids are stale. `*timer` is set before `on_due` can run. Any thread.
   SC_ERR_MEMORY, SC_ERR_CLOSED; SC_ERR_ARGUMENT names the field. */

/* Call `on_due` once, `delay_ms` from now (0: as soon as callbacks run). `timer` may be NULL. Does
   not block. */
SC_API sc_status sc_after(sc_client *client, int64_t delay_ms, sc_on_timer on_due, void *user,
                          sc_timer *timer);

/* Zeros: the defaults. */
typedef struct sc_every_config {
    int64_t interval_ms; /* required, at least 1 */
    int64_t first_ms;    /* until the first time: interval_ms; -1: at once */
    bool after_end; /* the interval begins when the callback has returned. Default: a fixed rate, by
                        the time that it was due. What is due while the callback runs, or while the
                        machine sleeps, is not made up for: the next is the first later than now */
    int64_t jitter_ms;  /* each time is up to so much later, at random, so that a fleet does not do
                          all at once; it does not add up at a fixed rate. Default: 0 */
    sc_on_timer on_due; /* required */
    void *user;
} sc_every_config;

/* Call `config->on_due` again and again. `config` is copied; `timer` may be NULL. Does not block. */
SC_API sc_status sc_every(sc_client *client, const sc_every_config *config, sc_timer *timer);

/* Zeros: the defaults. */
typedef struct sc_cron_config {
    const char *expression; /* required: minute hour day-of-month month weekday, or six fields with
                               seconds first, or @hourly and the like: "Timers and cron" in the
                               manual */
    const char *zone; /* "Europe/Berlin", a POSIX TZ string, "+02:00", or "local": the system's, by
                         TZ or /etc/localtime. Default: UTC */
    const char *zone_folder; /* of time zone files: /usr/share/zoneinfo */
    const sc_files *files;   /* where they are read: the platform's */
    sc_on_timer on_due;      /* required, but for sc_cron_next */
    void *user;
} sc_cron_config;

/* Call `config->on_due` when the expression is due on the wall clock (sc_clock.wall_ms), which is
   looked at once a minute at least, so that it may be set:
     set forward, or the machine slept, or the callback ran for long: what was passed over is due
     together, once, with `due_ms` of the first
     set back by up to three hours: nothing is due twice; it goes on when the clock shows later times
     than it had shown
     set back further: it goes on from the time that the clock shows
   What happens when daylight saving time begins and ends is in the manual. The zone is read once,
   now. `config` is copied; `timer` may be NULL. SC_ERR_ARGUMENT with the expression's offset and what
   was expected there, also when it would never be due, or what is wrong with the zone;
   SC_ERR_UNSUPPORTED: there are no time zone files; SC_ERR_IO. Blocks as `files` does. */
SC_API sc_status sc_cron(sc_client *client, const sc_cron_config *config, sc_timer *timer);

/* The first time after `after_ms` at which the expression is due; both in milliseconds since 1970
   UTC. No client, and no clock but the zone's. `memory` NULL: the platform's. `*next_ms` is as it
   was after an error: those of sc_cron. Any thread. Blocks as `files` does. */
SC_API sc_status sc_cron_next(const sc_cron_config *config, const sc_memory *memory,
                              int64_t after_ms, int64_t *next_ms);

/* End a timer. When it returns, its callback is not running and will not run any more (from within
   callbacks of this client it returns at once). SC_MISS for a stale id. */
SC_API sc_status sc_timer_cancel(sc_client *client, sc_timer timer);
