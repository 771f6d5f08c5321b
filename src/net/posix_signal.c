/* SIGINT, SIGTERM and exit, for those who hold something.

   The handler writes a byte to a pipe and returns; a thread reads it, has everything given up, sets
   what was set before, and sends the signal again. So whoever was interrupted goes on meanwhile, and
   lets go of locks that giving up needs. */

#include "net/posix_signal.h"

#if !defined(SMARTCACHE_NO_POSIX) && !defined(SMARTCACHE_NO_THREADS)

#include "base/error.h"
#include "base/platform_system.h"
#include "base/thread.h"
#include "net/posix.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

/* The system's sa_handler is a macro that has its own name in it. */
#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdisabled-macro-expansion"
#endif

/* All owners together wait so long at most. */
#define SCI_SIGNAL_WAIT_MS 40
#define SCI_SIGNALS 2
/* The byte that ends the thread. */
#define SCI_SIGNAL_END 0

static const int sci_signal_numbers[SCI_SIGNALS] = {SIGINT, SIGTERM};

/* The one thing in the library that all clients of a process share, and its only global that is
   written: a handler gets no argument. Zeros at first. */
typedef struct sci_signal_state {
#if defined(__linux__)
    sci_mutex lock;
#else
    pthread_mutex_t lock;
#endif
    long process_id; /* whose all this is; 0: nobody's */
    sci_signal_hook *hooks;
    uint32_t round;
    bool is_at_exit; /* registered, also for children */
    bool has_thread;
    sci_thread thread;
    int pipe_ends[2]; /* to be read, and written to */
    bool is_set[SCI_SIGNALS];
    bool is_passed[SCI_SIGNALS]; /* acted upon, and what was before set again */
    struct sigaction before[SCI_SIGNALS];
} sci_signal_state;

#if defined(__linux__)
static sci_signal_state sci_signals;
static void sci_signals_lock(void)
{
    sci_mutex_lock(&sci_signals.lock);
}
static void sci_signals_unlock(void)
{
    sci_mutex_unlock(&sci_signals.lock);
}
#else
static sci_signal_state sci_signals = {PTHREAD_MUTEX_INITIALIZER, 0, NULL, 0, false, false};
static void sci_signals_lock(void)
{
    (void)pthread_mutex_lock(&sci_signals.lock);
}
static void sci_signals_unlock(void)
{
    (void)pthread_mutex_unlock(&sci_signals.lock);
}
#endif

/* Giving up. */

/* The next one of this round, its owner retained; false: there is none. */
static bool sci_signals_next(uint32_t round, sci_signal_hook *found)
{
    bool has_found = false;
    sci_signals_lock();
    for (sci_signal_hook *hook = sci_signals.hooks; hook && !has_found; hook = hook->next) {
        if (hook->round == round)
            continue;
        hook->round = round;
        *found = *hook;
        has_found = true;
        hook->retain(hook->owner);
    }
    sci_signals_unlock();
    return has_found;
}

static uint32_t sci_signals_new_round(void)
{
    sci_signals_lock();
    uint32_t round = ++sci_signals.round;
    sci_signals_unlock();
    return round;
}

static void sci_signals_give_up(void)
{
    sci_signal_hook hook;
    int64_t left_ms = SCI_SIGNAL_WAIT_MS;
    uint32_t round = sci_signals_new_round();
    while (sci_signals_next(round, &hook))
        hook.give_up(hook.owner);
    round = sci_signals_new_round();
    while (sci_signals_next(round, &hook))
        hook.await(hook.owner, &left_ms);
}

/* The handlers. */

static void sci_signal_handle(int number);

/* Set what was before, unless somebody has set another handler since, which may call ours; true when
   it was done. */
static bool sci_signal_restore(size_t at)
{
    struct sigaction now;
    int number = sci_signal_numbers[at];
    if (!sci_signals.is_set[at])
        return false;
    sci_signals.is_set[at] = false;
    return sigaction(number, NULL, &now) == 0 && now.sa_handler == sci_signal_handle &&
           sigaction(number, &sci_signals.before[at], NULL) == 0;
}

/* Async-signal-safe (man 7 signal-safety). A child has the handlers and nothing else. */
static void sci_signal_handle(int number)
{
    int error = errno;
    unsigned char byte = (unsigned char)number;
    if (sci_signals.process_id == (long)getpid()) {
        if ((write)(sci_signals.pipe_ends[1], &byte, 1) == 1) {
            errno = error;
            return;
        }
    }
    for (size_t i = 0; i < SCI_SIGNALS; i++)
        if (sci_signal_numbers[i] == number && sigaction(number, &sci_signals.before[i], NULL) == 0)
            (void)raise(number); /* when this has returned */
    errno = error;
}

/* Also one that came again before the first was passed on. */
static bool sci_signal_pass(size_t at)
{
    if (sci_signal_restore(at))
        sci_signals.is_passed[at] = true;
    return sci_signals.is_passed[at];
}

/* All signals are blocked here. */
static void *sci_signal_run(void *argument)
{
    unsigned char byte = SCI_SIGNAL_END;
    (void)argument;
    for (;;) {
        ssize_t got = (read)(sci_signals.pipe_ends[0], &byte, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got != 1 || byte == SCI_SIGNAL_END)
            return NULL;
        sci_signals_give_up();
        sci_signals_lock();
        bool is_passed = sci_signal_pass(sci_signal_numbers[0] == byte ? 0 : 1);
        sci_signals_unlock();
        if (is_passed)
            (void)kill(getpid(), byte);
    }
}

static void sci_signal_exit(void)
{
    unsigned char byte = SCI_SIGNAL_END;
    if (sci_signals.process_id != (long)getpid())
        return;
    sci_signals_give_up();
    if (sci_signals.has_thread && (write)(sci_signals.pipe_ends[1], &byte, 1) == 1) {
        sci_signals.has_thread = false;
        sci_thread_join(&sci_signals.thread);
    }
}

static void sci_signal_set(size_t at)
{
    struct sigaction own;
    struct sigaction *before = &sci_signals.before[at];
    if (sci_signals.is_set[at] || sigaction(sci_signal_numbers[at], NULL, before) != 0 ||
        before->sa_handler == SIG_IGN || before->sa_handler == sci_signal_handle)
        return;
    memset(&own, 0, sizeof own);
    own.sa_handler = sci_signal_handle;
    own.sa_flags = SA_RESTART;
    (void)sigemptyset(&own.sa_mask);
    sci_signals.is_passed[at] = false;
    sci_signals.is_set[at] = sigaction(sci_signal_numbers[at], &own, NULL) == 0;
}

/* Beginning and ending. */

/* In a child: what it has inherited is forgotten, but for what was set before the handlers. */
static void sci_signals_forget(void)
{
    if (!sci_signals.process_id || sci_signals.process_id == (long)getpid())
        return;
    if (sci_signals.has_thread) {
        (void)(close)(sci_signals.pipe_ends[0]);
        (void)(close)(sci_signals.pipe_ends[1]);
    }
    sci_signals.has_thread = false;
    sci_signals.hooks = NULL;
    sci_signals.process_id = 0;
}

static sc_status sci_signals_start(void)
{
    char unlisted[SCI_POSIX_ERROR_BYTES];
    int *ends = sci_signals.pipe_ends;
    if (sci_signals.has_thread)
        return SC_OK;
    if (pipe(ends) != 0)
        return sc_fail(SC_ERR_IO, "no pipe for signals: %s", sci_posix_error_text(errno, unlisted));
    sc_status status = SC_OK;
    if (!sci_posix_descriptor_prepare(ends[0], false) ||
        !sci_posix_descriptor_prepare(ends[1], true))
        status =
            sc_fail(SC_ERR_IO, "the pipe for signals: %s", sci_posix_error_text(errno, unlisted));
    if (status == SC_OK && !sci_signals.is_at_exit && atexit(sci_signal_exit) != 0)
        status = sc_fail(SC_ERR_MEMORY, "atexit has no room for a function");
    sci_signals.is_at_exit = sci_signals.is_at_exit || status == SC_OK;
    if (status == SC_OK)
        status = sci_thread_start(&sci_signals.thread, sci_signal_run, NULL);
    sci_signals.has_thread = status == SC_OK;
    if (status != SC_OK) {
        (void)(close)(ends[0]);
        (void)(close)(ends[1]);
    }
    return status;
}

SCI_PRIVATE sc_status sci_signals_add(sci_signal_hook *hook)
{
    /* a child's own lock: another thread of the parent may have held it */
    if (sci_signals.process_id && sci_signals.process_id != (long)getpid())
        memset(&sci_signals.lock, 0, sizeof sci_signals.lock);
    sci_signals_lock();
    sci_signals_forget();
    sc_status status = sci_signals_start();
    if (status == SC_OK) {
        sci_signals.process_id = (long)getpid();
        hook->round = sci_signals.round;
        hook->next = sci_signals.hooks;
        sci_signals.hooks = hook;
        for (size_t i = 0; i < SCI_SIGNALS; i++)
            sci_signal_set(i);
    }
    sci_signals_unlock();
    return status;
}

SCI_PRIVATE void sci_signals_remove(sci_signal_hook *hook)
{
    if (sci_signals.process_id != (long)getpid())
        return;
    sci_signals_lock();
    sci_signal_hook **at = &sci_signals.hooks;
    while (*at && *at != hook)
        at = &(*at)->next;
    bool is_there = *at != NULL;
    if (is_there)
        *at = hook->next;
    for (size_t i = 0; is_there && !sci_signals.hooks && i < SCI_SIGNALS; i++)
        (void)sci_signal_restore(i);
    sci_signals_unlock();
}

#if defined(__clang__)
#pragma clang diagnostic pop
#endif

#endif
