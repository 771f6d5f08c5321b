#pragma once
/* Distributed locks: one holder in the fleet at a time, for a bounded time that is renewed while it
   lives, with a fencing token for each grant. */

#include "api/client.h"

/* A contender for one lock: it holds it, waits for it, or does neither. Any thread may use it, but
   it is one contender: threads that are to exclude each other have a handle each. */
typedef struct sc_lock sc_lock;

/* The lock was lost: the lease could not be renewed, or it is not ours on the server any more.
   Once for each lock lost, as callbacks run (sc_on_reply), begun before the lease can be
   another's if the program lets it. What it protects must not be touched any more. It may call
   anything but sc_close: sc_lock_acquire contends anew, for a new fencing token. */
typedef void (*sc_on_lock_lost)(void *user, sc_lock *lock);

/* Zeros: the defaults. */
typedef struct sc_lock_config {
    sc_slice key; /* on the server, as it is: required; copied. While the lock is held it has the
                       holder's token, a random string, as its value */
    int64_t
        ttl_ms; /* life of the lease: 30,000; at least 10. A crashed holder blocks for so long */
    int64_t wait_ms; /* how long sc_lock_acquire waits for who holds it: 60,000; -1: for ever */
    int64_t poll_ms; /* who waits asks again at least so often, should a message be lost, and for
                        holders that send none (other libraries): 1,000 */
    bool no_renewal; /* the lease ends after ttl_ms; default: renewed each third of it */
    bool fair;       /* first come, first served, among handles that say so all; who dies in the
                        queue holds up the others for at most 3 poll_ms. Default: whoever asks first
                        when it is free */
    bool reentrant;  /* a handle that holds the lock may acquire it again, and releases it as often;
                        default: SC_ERR_DEADLOCK */
    bool interop;    /* sc_semaphore_open: as npm's redis-semaphore keeps it */
    sc_on_lock_lost on_lost; /* default: none */
    void *user;              /* for on_lost */
} sc_lock_config;

/* Make a contender; nothing is asked yet. `config` is copied. The caller closes it, before or after
   the client. SC_ERR_ARGUMENT names the field; SC_ERR_MEMORY. Does not block. */
SC_API sc_status sc_lock_open(sc_client *client, const sc_lock_config *config, sc_lock **lock);

/* A contender for one of the `permits` of a counting semaphore: all that is said of locks here
   holds for one permit. Each has a lease of its own, so that those of crashed holders come back.
   All who use a key should say the same number; one who says less gets a permit when fewer are
   out. The key is a sorted set of the holders' tokens, by when their leases end. With `interop`
   it is that of npm's redis-semaphore (key "semaphore:" and the name), which has when they
   began: all must then use the same ttl_ms (lockTimeout), and the other processes' clocks must
   be those of the server. */
SC_API sc_status sc_semaphore_open(sc_client *client, const sc_lock_config *config, int64_t permits,
                                   sc_lock **lock);
/* A contender for a read/write lock, to write or to read: any number of readers hold it, or one
   writer alone. First come, first served, as `fair`: readers that come after a writer wait for it.
   Each has a lease and a fencing token of its own. The key is a sorted set, as a semaphore's. */
SC_API sc_status sc_rwlock_open(sc_client *client, const sc_lock_config *config, bool writes,
                                sc_lock **lock);

/* Gives the lock back if it is held, and ends an acquire that is under way. Afterwards no
   callback of it runs any more, its own excepted. NULL is fine. Blocks as sc_lock_release, and for
   on_lost if that runs on another thread. A client that is closed first gives its locks back, too,
   but does not wait for the server's answer. */
SC_API void sc_lock_close(sc_lock *lock);

/* Take the lock, waiting up to `wait_ms` (0: the handle's; -1: for ever) while another holds it.
     SC_OK             held: until sc_lock_release, or on_lost
     SC_HELD           another held it all the time, or each answer came later than the lease lasts
     SC_ERR_DEADLOCK   this handle holds it, and is not `reentrant`
     SC_ERR_ARGUMENT   another thread is acquiring by this handle
     SC_ERR_CANCELLED  sc_lock_release or sc_lock_close by another thread
     SC_ERR_UNSUPPORTED  the server runs no scripts: the words say what it lacks
     and those of sc_command. Whatever the outcome of the question that failed, a lock that it may
     have taken is given back.
   Any thread. Blocks up to wait_ms, and for a question up to the client's timeout_ms. */
SC_API sc_status sc_lock_acquire(sc_lock *lock, int64_t wait_ms);
/* The same without waiting: one round trip; SC_HELD. */
SC_API sc_status sc_lock_try(sc_lock *lock);
/* Give it back, and wake one who waits. SC_OK; SC_LOST: it had been lost before, or the server's
   answer was lost and the second one cannot tell; SC_ERR_ARGUMENT: this handle does not hold it.
   On another error the lease ends by itself, if it is not given back before: that is tried again.
   While the handle acquires: that ends with SC_ERR_CANCELLED. Any thread. Blocks up to the client's
   timeout_ms. */
SC_API sc_status sc_lock_release(sc_lock *lock);
/* Make the lease last `ttl_ms` (0: the handle's) from now; so do later renewals. SC_OK; SC_LOST,
   and on_lost is called; SC_ERR_ARGUMENT: not held, or another thread is extending it. After
   another error the lease is what it was, or shorter when `ttl_ms` is. Blocks up to the client's
   timeout_ms. */
SC_API sc_status sc_lock_extend(sc_lock *lock, int64_t ttl_ms);

/* How long it is held for certain, in milliseconds, if nothing renews it; 0: not held. The time is
   counted from before the request was sent, less 1 % and 2 ms for clocks that run apart. Asks the
   clock and nobody else. Any thread. */
SC_API int64_t sc_lock_remaining_ms(sc_lock *lock);
/* The number of this holding: above that of every earlier one of this key, also after the lease has
   expired or the server was restarted. A resource that refuses a token below the highest it has
   seen cannot be changed by a holder that was overtaken unawares. 0: not held. Any thread. */
SC_API int64_t sc_lock_fencing_token(sc_lock *lock);

/* Called once when it ends, as sc_on_reply is. The words of anything but SC_OK are in
   sc_error_text. */
typedef void (*sc_on_lock)(void *user, sc_lock *lock, sc_status status);

/* The same without blocking. An error return means that `on_end` will not be called; it may be
   NULL. The handle may be closed meanwhile. */
SC_API sc_status sc_lock_acquire_async(sc_lock *lock, int64_t wait_ms, sc_on_lock on_end,
                                       void *user);
SC_API sc_status sc_lock_try_async(sc_lock *lock, sc_on_lock on_end, void *user);
SC_API sc_status sc_lock_release_async(sc_lock *lock, sc_on_lock on_end, void *user);
SC_API sc_status sc_lock_extend_async(sc_lock *lock, int64_t ttl_ms, sc_on_lock on_end, void *user);
