#pragma once
/* What all timers of the public interface share: an id, a due time on the loop, a callback, and an
   end. All locked, but for making one. */

#include "api/timer.h"
#include "base/map.h"
#include "client/client.h"

/* Of each duration: 50 years, so that a few of them and now are nanoseconds in an
   int64_t. */
#define SCI_ALARM_LONGEST_MS ((int64_t)50 * 366 * 86400 * 1000)

typedef struct sci_alarm sci_alarm;

/* What kind of timer it is. Function pointers, so that a program has only the kinds that it uses. */
typedef struct sci_alarm_kind {
    size_t size; /* of the struct that begins with the alarm */
    /* The loop's time has come. True: the callback is due. False: it has been armed again. */
    bool (*ring)(sci_alarm *alarm);
    /* The callback has returned: arm it again. NULL: it is due once. */
    void (*again)(sci_alarm *alarm);
    void (*end)(sci_alarm *alarm); /* free what it has beyond itself; NULL: nothing */
} sci_alarm_kind;

/* A client's alarms, from the first one on. */
typedef struct sci_alarms {
    sc_client *client;
    sci_map by_id;
    sci_link all;
    uint64_t last_id;
    sci_close_hook close_hook;
    sci_fork_hook fork_hook;
} sci_alarms;

struct sci_alarm {
    sci_map_node node; /* key: `id` */
    sc_timer id;
    const sci_alarm_kind *kind;
    sc_client *client;
    sci_link link; /* in alarms->all */
    sci_timer timer;
    sci_post post;
    int64_t due_ms; /* what the callback is told */
    bool is_posted; /* it is due, and has not begun to run */
    bool is_cancelled;
    uintptr_t runner;   /* the thread that is in the callback, 0: none */
    sci_waiter *waiter; /* who cancels it, and waits until the callback has returned */
    sc_on_timer on_due;
    void *user;
};

/* Unlocked. Zeroed but for what is common. NULL: no memory. */
SCI_PRIVATE sci_alarm *sci_alarm_make(sc_client *client, const sci_alarm_kind *kind,
                                      sc_on_timer on_due, void *user);
/* Enter the client and give the alarm its id, with which `*timer` (may be NULL) is set before
   anything can be due. Locked then, and the caller arms it and leaves. After an error it is freed,
   and not locked. */
SCI_PRIVATE sc_status sci_alarm_enter(sci_alarm *alarm, sc_timer *timer);
SCI_PRIVATE void sci_alarm_arm(sci_alarm *alarm, int64_t at_ns);
