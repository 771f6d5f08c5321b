/* Threads, mutexes, gates and the fork guard on POSIX. */

#include "base/thread.h"

#include "base/platform_system.h"

#ifndef SMARTCACHE_NO_THREADS

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>

#define SCI_NS_PER_S INT64_C(1000000000)

/* A gate's word counts raises in steps of 2; bit 0 says that somebody may sleep, so that raising a
   gate where nobody waits costs no system call. A raise is one atomic step, and the gate's memory
   is not looked at after it: who sees the raise may free the gate. */
#define SCI_GATE_STEP 2u

/* Says that somebody will sleep. False when the gate was raised since `ticket` was read. */
static bool sci_gate_announce(sci_gate *gate, uint32_t ticket)
{
    uint32_t word = sci_atomic_load_acquire(&gate->word);
    while (!((word ^ ticket) & ~SCI_GATE_SLEEPERS)) {
        if (word & SCI_GATE_SLEEPERS)
            return true;
        if (sci_atomic_replace(&gate->word, &word, word | SCI_GATE_SLEEPERS))
            return true;
    }
    return false;
}

/* Raises the gate for all sleepers; true when there may be some. */
static bool sci_gate_raise_for_all(sci_gate *gate)
{
    uint32_t word = sci_atomic_load_acquire(&gate->word);
    uint32_t raised;
    do {
        raised = (word & ~SCI_GATE_SLEEPERS) + SCI_GATE_STEP;
    } while (!sci_atomic_replace(&gate->word, &word, raised));
    return (word & SCI_GATE_SLEEPERS) != 0;
}

/* Raises the gate for one sleeper. The mark stays, for others may sleep on. */
static bool sci_gate_raise_for_one(sci_gate *gate)
{
    return (sci_atomic_add(&gate->word, SCI_GATE_STEP) & SCI_GATE_SLEEPERS) != 0;
}

#if defined(__linux__)

/* From <linux/futex.h>, which a libc other than the system's own may not find. */
#define SCI_FUTEX_WAIT_PRIVATE (0 | 128)
#define SCI_FUTEX_WAKE_PRIVATE (1 | 128)

/* The kernel's timespec for SYS_futex, which is not libc's where that has a 64-bit time_t on a
   32-bit machine. Relative times fit either way. */
typedef struct sci_futex_time {
#if defined(__x86_64__) && defined(__ILP32__)
    int64_t seconds, nanoseconds;
#else
    long seconds, nanoseconds;
#endif
} sci_futex_time;

typedef struct sci_futex_time64 {
    int64_t seconds, nanoseconds;
} sci_futex_time64;

/* Sleep while the word is `expected`; relative time, -1: for ever. May return early. */
static void sci_futex_wait(sci_atomic_u32 *word, uint32_t expected, int64_t timeout_ns)
{
    /* Waking early is allowed, so a very long time may be cut. */
    int64_t seconds = sci_min_i64(timeout_ns / SCI_NS_PER_S, INT32_MAX);
#if defined(SYS_futex)
    sci_futex_time time;
    time.seconds = (long)seconds;
    time.nanoseconds = (long)(timeout_ns % SCI_NS_PER_S);
    if (syscall(SYS_futex, &word->value, SCI_FUTEX_WAIT_PRIVATE, expected,
                timeout_ns < 0 ? NULL : &time, NULL, 0) == 0 ||
        errno != ENOSYS)
        return;
#endif
#if defined(SYS_futex_time64)
    /* 32-bit kernels without the system calls of 32-bit time. */
    sci_futex_time64 time64;
    time64.seconds = seconds;
    time64.nanoseconds = timeout_ns % SCI_NS_PER_S;
    (void)syscall(SYS_futex_time64, &word->value, SCI_FUTEX_WAIT_PRIVATE, expected,
                  timeout_ns < 0 ? NULL : &time64, NULL, 0);
#endif
}

/* The word is only an address here: its memory may be gone. */
static void sci_futex_wake(sci_atomic_u32 *word, int count)
{
#if defined(SYS_futex)
    if (syscall(SYS_futex, &word->value, SCI_FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0) >= 0 ||
        errno != ENOSYS)
        return;
#endif
#if defined(SYS_futex_time64)
    (void)syscall(SYS_futex_time64, &word->value, SCI_FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
#endif
}

SCI_PRIVATE void sci_mutex_init(sci_mutex *mutex)
{
    mutex->word.value = 0;
}

SCI_PRIVATE void sci_mutex_free(sci_mutex *mutex)
{
    (void)mutex;
}

/* Whoever has slept takes it as "somebody may sleep", since it cannot know that nobody does. */
SCI_PRIVATE void sci_mutex_lock_slowly(sci_mutex *mutex)
{
    while (sci_atomic_exchange(&mutex->word, 2) != 0)
        sci_futex_wait(&mutex->word, 2, -1);
}

SCI_PRIVATE void sci_mutex_wake(sci_mutex *mutex)
{
    sci_futex_wake(&mutex->word, 1);
}

SCI_PRIVATE void sci_gate_init(sci_gate *gate)
{
    gate->word.value = 0;
}

SCI_PRIVATE void sci_gate_free(sci_gate *gate)
{
    (void)gate;
}

SCI_PRIVATE void sci_gate_wait(sci_gate *gate, uint32_t ticket, int64_t timeout_ns)
{
    if (timeout_ns == 0 || !sci_gate_announce(gate, ticket))
        return;
    sci_futex_wait(&gate->word, ticket | SCI_GATE_SLEEPERS, timeout_ns);
}

SCI_PRIVATE void sci_gate_wake_one(sci_gate *gate)
{
    if (sci_gate_raise_for_one(gate))
        sci_futex_wake(&gate->word, 1);
}

SCI_PRIVATE void sci_gate_wake_all(sci_gate *gate)
{
    if (sci_gate_raise_for_all(gate))
        sci_futex_wake(&gate->word, INT_MAX);
}

#else /* not Linux */

SCI_PRIVATE void sci_mutex_init(sci_mutex *mutex)
{
    (void)pthread_mutex_init(&mutex->mutex, NULL);
}

SCI_PRIVATE void sci_mutex_free(sci_mutex *mutex)
{
    (void)pthread_mutex_destroy(&mutex->mutex);
}

SCI_PRIVATE void sci_mutex_lock(sci_mutex *mutex)
{
    (void)pthread_mutex_lock(&mutex->mutex);
}

SCI_PRIVATE bool sci_mutex_try_lock(sci_mutex *mutex)
{
    return pthread_mutex_trylock(&mutex->mutex) == 0;
}

SCI_PRIVATE void sci_mutex_unlock(sci_mutex *mutex)
{
    (void)pthread_mutex_unlock(&mutex->mutex);
}

SCI_PRIVATE void sci_gate_init(sci_gate *gate)
{
    gate->word.value = 0;
    (void)pthread_mutex_init(&gate->mutex, NULL);
#if defined(__APPLE__)
    (void)pthread_cond_init(&gate->condition, NULL);
#else
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&gate->condition, &attributes);
    (void)pthread_condattr_destroy(&attributes);
#endif
}

SCI_PRIVATE void sci_gate_free(sci_gate *gate)
{
    /* Whoever raised it may still be between the raise and the unlocking. */
    (void)pthread_mutex_lock(&gate->mutex);
    (void)pthread_mutex_unlock(&gate->mutex);
    (void)pthread_cond_destroy(&gate->condition);
    (void)pthread_mutex_destroy(&gate->mutex);
}

/* Wait on the condition, the mutex being held, for a relative time. */
static void sci_gate_wait_locked(sci_gate *gate, int64_t timeout_ns)
{
    struct timespec until;
    int64_t seconds = sci_min_i64(timeout_ns / SCI_NS_PER_S, INT32_MAX / 2);
    if (timeout_ns < 0) {
        (void)pthread_cond_wait(&gate->condition, &gate->mutex);
        return;
    }
#if defined(__APPLE__)
    until.tv_sec = (time_t)seconds;
    until.tv_nsec = (long)(timeout_ns % SCI_NS_PER_S);
    (void)pthread_cond_timedwait_relative_np(&gate->condition, &gate->mutex, &until);
#else
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)seconds;
    until.tv_nsec += (long)(timeout_ns % SCI_NS_PER_S);
    if (until.tv_nsec >= SCI_NS_PER_S) {
        until.tv_nsec -= (long)SCI_NS_PER_S;
        until.tv_sec++;
    }
    (void)pthread_cond_timedwait(&gate->condition, &gate->mutex, &until);
#endif
}

SCI_PRIVATE void sci_gate_wait(sci_gate *gate, uint32_t ticket, int64_t timeout_ns)
{
    if (timeout_ns == 0)
        return;
    (void)pthread_mutex_lock(&gate->mutex);
    if (sci_gate_announce(gate, ticket))
        sci_gate_wait_locked(gate, timeout_ns);
    (void)pthread_mutex_unlock(&gate->mutex);
}

SCI_PRIVATE void sci_gate_wake_one(sci_gate *gate)
{
    (void)pthread_mutex_lock(&gate->mutex);
    if (sci_gate_raise_for_one(gate))
        (void)pthread_cond_signal(&gate->condition);
    (void)pthread_mutex_unlock(&gate->mutex);
}

SCI_PRIVATE void sci_gate_wake_all(sci_gate *gate)
{
    (void)pthread_mutex_lock(&gate->mutex);
    if (sci_gate_raise_for_all(gate))
        (void)pthread_cond_broadcast(&gate->condition);
    (void)pthread_mutex_unlock(&gate->mutex);
}

#endif

/* Create a thread that begins with the signal mask of sci_thread_start. */
static sc_status sci_thread_create(pthread_t *handle, const pthread_attr_t *attributes,
                                   void *(*run)(void *), void *argument)
{
    /* A fault of the thread's own must still reach the application's crash handler. */
    static const int own_faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    sigset_t blocked, before;
    (void)sigfillset(&blocked);
    for (size_t i = 0; i < SCI_COUNT(own_faults); i++)
        (void)sigdelset(&blocked, own_faults[i]);
    (void)pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int error = pthread_create(handle, attributes, run, argument);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return sc_fail(
            SC_ERR_MEMORY,
            "the system could not start a thread (errno %d): raise its limits on threads "
            "or memory, or build with SMARTCACHE_NO_THREADS",
            error);
    return SC_OK;
}

SCI_PRIVATE sc_status sci_thread_start(sci_thread *thread, void *(*run)(void *), void *argument)
{
    return sci_thread_create(&thread->handle, NULL, run, argument);
}

SCI_PRIVATE sc_status sci_thread_start_detached(void *(*run)(void *), void *argument)
{
    pthread_t handle;
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0)
        return sc_fail(SC_ERR_MEMORY, "out of memory: the attributes of a thread");
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sc_status status = sci_thread_create(&handle, &attributes, run, argument);
    (void)pthread_attr_destroy(&attributes);
    return status;
}

SCI_PRIVATE void sci_thread_join(sci_thread *thread)
{
    (void)pthread_join(thread->handle, NULL);
}

SCI_PRIVATE uintptr_t sci_thread_self(void)
{
    return (uintptr_t)pthread_self();
}

#if !defined(SCI_THREAD_LOCAL)
static pthread_key_t sci_thread_text_key;
static pthread_once_t sci_thread_text_once = PTHREAD_ONCE_INIT;
static bool sci_thread_text_has_key;

static void sci_thread_text_make_key(void)
{
    sci_thread_text_has_key = pthread_key_create(&sci_thread_text_key, free) == 0;
}

SCI_PRIVATE char *sci_thread_text(void)
{
    (void)pthread_once(&sci_thread_text_once, sci_thread_text_make_key);
    if (!sci_thread_text_has_key)
        return NULL;
    char *text = (char *)pthread_getspecific(sci_thread_text_key);
    if (text)
        return text;
    text = (char *)calloc(1, SC_ERROR_TEXT_BYTES);
    if (text && pthread_setspecific(sci_thread_text_key, text) != 0) {
        free(text);
        text = NULL;
    }
    return text;
}
#endif

#else /* SMARTCACHE_NO_THREADS */

SCI_PRIVATE void sci_mutex_init(sci_mutex *mutex)
{
    mutex->unused = 0;
}

SCI_PRIVATE void sci_mutex_free(sci_mutex *mutex)
{
    (void)mutex;
}

SCI_PRIVATE void sci_mutex_lock(sci_mutex *mutex)
{
    (void)mutex;
}

SCI_PRIVATE bool sci_mutex_try_lock(sci_mutex *mutex)
{
    (void)mutex;
    return true;
}

SCI_PRIVATE void sci_mutex_unlock(sci_mutex *mutex)
{
    (void)mutex;
}

SCI_PRIVATE void sci_gate_init(sci_gate *gate)
{
    gate->word.value = 0;
}

SCI_PRIVATE void sci_gate_free(sci_gate *gate)
{
    (void)gate;
}

SCI_PRIVATE void sci_gate_wait(sci_gate *gate, uint32_t ticket, int64_t timeout_ns)
{
    (void)gate;
    (void)ticket;
    (void)timeout_ns;
}

SCI_PRIVATE void sci_gate_wake_one(sci_gate *gate)
{
    (void)gate;
}

SCI_PRIVATE void sci_gate_wake_all(sci_gate *gate)
{
    (void)gate;
}

SCI_PRIVATE sc_status sci_thread_start(sci_thread *thread, void *(*run)(void *), void *argument)
{
    thread->unused = 0;
    return sci_thread_start_detached(run, argument);
}

SCI_PRIVATE sc_status sci_thread_start_detached(void *(*run)(void *), void *argument)
{
    (void)run;
    (void)argument;
    return sc_fail(SC_ERR_UNSUPPORTED, "there are no threads: built with SMARTCACHE_NO_THREADS");
}

SCI_PRIVATE void sci_thread_join(sci_thread *thread)
{
    (void)thread;
}

SCI_PRIVATE uintptr_t sci_thread_self(void)
{
    return 1;
}

#endif

#ifndef SMARTCACHE_NO_POSIX

/* A part of a page; the kernel rounds up. */
#define SCI_FORK_GUARD_BYTES sizeof(sci_atomic_u32)

#if defined(__linux__)
/* A page that reads 0 in a forked child, or NULL. */
static sci_atomic_u32 *sci_fork_guard_map(void)
{
    void *page = mmap(NULL, SCI_FORK_GUARD_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | SCI_MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    /* Emulators exist that answer 0 to any advice: then the advice counts for nothing. */
    bool is_honest = madvise(page, SCI_FORK_GUARD_BYTES, -1) != 0;
    if (is_honest && madvise(page, SCI_FORK_GUARD_BYTES, SCI_MADV_WIPEONFORK) == 0)
        return (sci_atomic_u32 *)page;
    (void)munmap(page, SCI_FORK_GUARD_BYTES);
    return NULL;
}
#else
static sci_atomic_u32 *sci_fork_guard_map(void)
{
    return NULL;
}
#endif

SCI_PRIVATE void sci_fork_guard_init(sci_fork_guard *guard)
{
    guard->page = sci_fork_guard_map();
    sci_fork_guard_reset(guard);
}

SCI_PRIVATE void sci_fork_guard_free(sci_fork_guard *guard)
{
    if (guard->page)
        (void)munmap(guard->page, SCI_FORK_GUARD_BYTES);
    guard->page = NULL;
}

SCI_PRIVATE bool sci_fork_guard_is_child(const sci_fork_guard *guard)
{
    if (guard->page)
        return sci_atomic_load_relaxed(guard->page) == 0;
    return (long)getpid() != guard->process_id;
}

SCI_PRIVATE void sci_fork_guard_reset(sci_fork_guard *guard)
{
    guard->process_id = (long)getpid();
    if (guard->page)
        sci_atomic_store_relaxed(guard->page, 1);
}

#else /* SMARTCACHE_NO_POSIX: nothing forks */

SCI_PRIVATE void sci_fork_guard_init(sci_fork_guard *guard)
{
    guard->page = NULL;
    guard->process_id = 0;
}

SCI_PRIVATE void sci_fork_guard_free(sci_fork_guard *guard)
{
    (void)guard;
}

SCI_PRIVATE bool sci_fork_guard_is_child(const sci_fork_guard *guard)
{
    (void)guard;
    return false;
}

SCI_PRIVATE void sci_fork_guard_reset(sci_fork_guard *guard)
{
    (void)guard;
}

#endif
