#pragma once
/* Threads, mutexes and gates. Under SMARTCACHE_NO_THREADS (default: off; saves about 1 KiB) they
   are empty and nothing waits. */

#include "base/atomic.h"

/* The bit of a gate's word that says that somebody may sleep; the bits above count raises. */
#define SCI_GATE_SLEEPERS 1u

#ifdef SMARTCACHE_NO_THREADS
#define SCI_THREAD_LOCAL
typedef struct sci_mutex {
    char unused;
} sci_mutex;
typedef struct sci_gate {
    sci_atomic_u32 word;
} sci_gate;
typedef struct sci_thread {
    char unused;
} sci_thread;
#else
#include <pthread.h>
/* Where this is not defined (tcc among others), sci_thread_text stands in. */
#if defined(__GNUC__) || defined(__clang__)
#define SCI_THREAD_LOCAL __thread
#elif defined(__cplusplus)
#define SCI_THREAD_LOCAL thread_local
#elif __STDC_VERSION__ >= 201112L && !defined(__STDC_NO_THREADS__) && !defined(__TINYC__)
#define SCI_THREAD_LOCAL _Thread_local
#endif

/* On Linux a futex, since a call locks several times and rarely meets anybody: two instructions
   each way (mutex3 of Drepper, "Futexes Are Tricky", 2011). */
typedef struct sci_mutex {
#if defined(__linux__)
    sci_atomic_u32 word; /* 0 free, 1 held, 2 held and somebody may sleep */
#else
    pthread_mutex_t mutex;
#endif
} sci_mutex;

/* Where threads wait for others: a word that is raised, and a queue of sleepers. On Linux a futex
   (man 2 futex), so that one system call wakes any number without their meeting at a mutex, and no
   system call is made while nobody sleeps. Who has seen it raised may free it at once, even if the
   raising call has not returned. */
typedef struct sci_gate {
    sci_atomic_u32 word; /* private to thread.c */
#if !defined(__linux__)
    pthread_mutex_t mutex;
    pthread_cond_t condition;
#endif
} sci_gate;

typedef struct sci_thread {
    pthread_t handle;
} sci_thread;
#endif

SCI_PRIVATE void sci_mutex_init(sci_mutex *mutex);
SCI_PRIVATE void sci_mutex_free(sci_mutex *mutex);
#if defined(__linux__) && !defined(SMARTCACHE_NO_THREADS)
SCI_PRIVATE void sci_mutex_lock_slowly(sci_mutex *mutex);
SCI_PRIVATE void sci_mutex_wake(sci_mutex *mutex);

static inline void sci_mutex_lock(sci_mutex *mutex)
{
    if (SCI_UNLIKELY(!sci_atomic_swap_if(&mutex->word, 0, 1)))
        sci_mutex_lock_slowly(mutex);
}

static inline void sci_mutex_unlock(sci_mutex *mutex)
{
    if (SCI_UNLIKELY(sci_atomic_exchange(&mutex->word, 0) == 2))
        sci_mutex_wake(mutex);
}

/* Lock, or false when it is held. */
static inline bool sci_mutex_try_lock(sci_mutex *mutex)
{
    return sci_atomic_swap_if(&mutex->word, 0, 1);
}
#else
SCI_PRIVATE bool sci_mutex_try_lock(sci_mutex *mutex);
SCI_PRIVATE void sci_mutex_lock(sci_mutex *mutex);
SCI_PRIVATE void sci_mutex_unlock(sci_mutex *mutex);
#endif

SCI_PRIVATE void sci_gate_init(sci_gate *gate);
SCI_PRIVATE void sci_gate_free(sci_gate *gate);
/* Read this before testing the condition one would wait for. It differs after each raise. */
static inline uint32_t sci_gate_ticket(const sci_gate *gate)
{
    return sci_atomic_load_acquire(&gate->word) & ~SCI_GATE_SLEEPERS;
}
/* Sleep until the gate has been raised since `ticket` was read, or `timeout_ns` passed (-1: for
   ever). May return early. */
SCI_PRIVATE void sci_gate_wait(sci_gate *gate, uint32_t ticket, int64_t timeout_ns);
/* Raise the gate and wake one sleeper, or all. Waiters that read the ticket before do not sleep.
   After wake_one, each raise until the next wake_all makes a system call. */
SCI_PRIVATE void sci_gate_wake_one(sci_gate *gate);
SCI_PRIVATE void sci_gate_wake_all(sci_gate *gate);

/* Start a thread with all signals blocked but those of its own faults (signals belong to the
   application, and so does its crash handler). SC_ERR_UNSUPPORTED without threads, SC_ERR_MEMORY
   when the system has no room for one. */
SCI_PRIVATE sc_status sci_thread_start(sci_thread *thread, void *(*run)(void *), void *argument);
/* As above for a thread that nobody joins. */
SCI_PRIVATE sc_status sci_thread_start_detached(void *(*run)(void *), void *argument);
SCI_PRIVATE void sci_thread_join(sci_thread *thread);
#if !defined(SCI_THREAD_LOCAL)
/* This thread's SC_ERROR_TEXT_BYTES, empty at first; NULL when there is no memory. */
SCI_PRIVATE char *sci_thread_text(void);
#endif

/* A number that differs between the living threads of a process; 1 without threads. */
SCI_PRIVATE uintptr_t sci_thread_self(void);

/* Tells a forked child from its parent without a system call where the kernel can
   (MADV_WIPEONFORK, Linux 4.14), else by process id. */
typedef struct sci_fork_guard {
    sci_atomic_u32 *page; /* owned mapping, or NULL: use process_id */
    long process_id;
} sci_fork_guard;

SCI_PRIVATE void sci_fork_guard_init(sci_fork_guard *guard);
SCI_PRIVATE void sci_fork_guard_free(sci_fork_guard *guard);
/* True in a child that has not called sci_fork_guard_reset since the fork. */
SCI_PRIVATE bool sci_fork_guard_is_child(const sci_fork_guard *guard);
SCI_PRIVATE void sci_fork_guard_reset(sci_fork_guard *guard);
