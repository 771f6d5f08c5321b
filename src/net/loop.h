#pragma once
/* The scheduler: a poller, timers, and the callbacks that are due. One mutex guards a client and
   its loop; "locked" below means that the caller holds it. One thread at a time drives. */

#include "base/heap.h"
#include "base/list.h"
#include "base/thread.h"
#include "net/lookup.h"

typedef struct sci_loop sci_loop;

typedef struct sci_timer {
    sci_heap_node node;                    /* key: due time, monotonic nanoseconds */
    void (*fire)(struct sci_timer *timer); /* locked; may free the timer's owner */
} sci_timer;

/* Beside the poller's readiness: the poller could not watch the descriptor: `failure`, with words in
   sc_error_text. */
#define SCI_WATCH_FAILED 8u

/* A descriptor that its owner wants to hear about. */
typedef struct sci_watch {
    sci_link link;            /* in one of the loop's lists */
    sc_descriptor descriptor; /* -1: none, the poller does not hear of it */
    unsigned polled;          /* the interest that the poller knows */
    bool is_retired;          /* to be forgotten and released as soon as nobody waits on it */
    /* Locked. The interest for the next wait, 0 for none. NULL: a steady watch, whose owner tells by
       sci_watch_want, so that a step costs nothing for those that nothing happens to. */
    unsigned (*prepare)(struct sci_watch *watch);
    /* Locked. After each wait: what is ready, 0 for nothing. For a steady watch only when there is
       something. */
    void (*settle)(struct sci_watch *watch, unsigned ready);
    /* Locked. A retired watch is let go: close the descriptor, free the owner. */
    void (*release)(struct sci_watch *watch);
#ifndef SMARTCACHE_NO_SERVER
    unsigned wanted; /* of a steady one: the interest */
#endif
    unsigned ready;    /* private to loop.c */
    sc_status failure; /* with SCI_WATCH_FAILED */
} sci_watch;

#ifndef SMARTCACHE_NO_SERVER
/* What is to run at the end of each step, before the next wait. */
typedef struct sci_hook {
    sci_link link;                      /* in loop->hooks */
    void (*run)(struct sci_hook *hook); /* locked */
} sci_hook;
#endif

/* Of scheduled_until, beside monotonic nanoseconds. */
#define SCI_LOOP_AT_ONCE INT64_MIN
#define SCI_LOOP_AT_NO_TIME INT64_MAX

/* A user's callback that is due. Run in order, one at a time, without the lock. */
typedef struct sci_post {
    sci_link link;
    void (*run)(struct sci_post *post); /* unlocked; may free the post */
} sci_post;

struct sci_loop {
    sci_mutex lock;
    sc_clock clock;
    sc_memory memory;
    sc_poller poller_table;
    void *poller; /* owned */
    sci_heap timers;
    sci_link watches;
#ifndef SMARTCACHE_NO_SERVER
    sci_link steady;  /* watches to which nothing happens */
    sci_link changed; /* of which the poller has to be told */
    sci_link ready;   /* which are to be settled */
    sci_link hooks;
#endif
    sci_link posts;
    uintptr_t driver;        /* the thread that drives, 0: nobody */
    uintptr_t dispatcher;    /* the thread that runs callbacks, 0: nobody */
    bool is_waiting;         /* the driver is inside the poller, without the lock */
    bool is_woken;           /* the poller has been told to return */
    bool is_settled;         /* nothing has happened since the poller was told what is wanted */
    int64_t waiting_until;   /* monotonic ns, while is_waiting */
    int64_t scheduled_until; /* when the poller's own loop is to call, while nobody drives */
};

SCI_PRIVATE sc_status sci_loop_init(sci_loop *loop, const sc_memory *memory, const sc_clock *clock,
                                    const sc_poller *poller);
/* Forget whatever there was: watches, timers, callbacks, who drives. */
SCI_PRIVATE void sci_loop_clear(sci_loop *loop);
/* Nobody drives any more; releases retired watches. */
SCI_PRIVATE void sci_loop_free(sci_loop *loop);

static inline int64_t sci_loop_now_ns(const sci_loop *loop)
{
    return loop->clock.monotonic_ns(loop->clock.user);
}
static inline void sci_loop_lock(sci_loop *loop)
{
    sci_mutex_lock(&loop->lock);
}
static inline void sci_loop_unlock(sci_loop *loop)
{
    sci_mutex_unlock(&loop->lock);
}

/* All below: locked. */

/* (Re-)arm; wakes the driver when it sleeps past `due_ns`. */
SCI_PRIVATE void sci_timer_arm(sci_loop *loop, sci_timer *timer, int64_t due_ns);
SCI_PRIVATE void sci_timer_cancel(sci_loop *loop, sci_timer *timer);
static inline bool sci_timer_is_armed(const sci_timer *timer)
{
    return timer->node.is_in_heap;
}

/* Add a watch. */
SCI_PRIVATE void sci_watch_add(sci_loop *loop, sci_watch *watch);
#ifndef SMARTCACHE_NO_SERVER
/* The interest of a steady watch from the next wait on. */
SCI_PRIVATE void sci_watch_want(sci_loop *loop, sci_watch *watch, unsigned interest);
SCI_PRIVATE void sci_hook_add(sci_loop *loop, sci_hook *hook);
static inline void sci_hook_remove(sci_hook *hook)
{
    sci_list_remove(&hook->link);
}
#endif
/* Forget a watch: `release` is called now, or when the driver comes back from its wait. */
SCI_PRIVATE void sci_watch_retire(sci_loop *loop, sci_watch *watch);
/* Make the poller's wait, or else its next one, return at once. Any thread, locked or not. */
SCI_PRIVATE void sci_loop_interrupt(sci_loop *loop);
/* Make the driver ask `prepare` again, if it is waiting. */
SCI_PRIVATE void sci_loop_wake(sci_loop *loop);

/* Queue a callback; wakes the driver, if it is waiting. */
SCI_PRIVATE void sci_loop_post(sci_loop *loop, sci_post *post);

/* Take the driver's place if nobody has it. */
SCI_PRIVATE bool sci_loop_drive_begin(sci_loop *loop);
/* Wait up to `max_wait_ns` (-1: as long as timers allow), settle watches, fire timers. Unlocks
   while it waits. Only for the driver. SC_OK, or the poller's error. */
SCI_PRIVATE sc_status sci_loop_step(sci_loop *loop, int64_t max_wait_ns);
SCI_PRIVATE void sci_loop_drive_end(sci_loop *loop);
/* Run the callbacks that are due, unless another thread, or a caller of this one, is doing so.
   Unlocks around each. True when one was run. */
SCI_PRIVATE bool sci_loop_dispatch(sci_loop *loop);
