#pragma once
/* A lock over several independent servers: held by who has it on a majority of them, so that it
   outlives the loss of a minority. The algorithm is Redlock (S. Sanfilippo, "Distributed Locks with
   Redis", redis.io), whose keys and values these are, with what M. Kleppmann found missing in it
   ("How to do distributed locking", 2016): a fencing token for each holding. */

#include "api/client.h"

/* A contender, as sc_lock is one: any thread may use it. */
typedef struct sc_quorum sc_quorum;

/* The lock was lost: no majority could be renewed in time, or has it any more. Once for each lock
   lost, begun before its leases can be another's if the program lets it. It may call anything but
   sc_close and the calls that block. */
typedef void (*sc_on_quorum_lost)(void *user, sc_quorum *quorum);

/* Zeros: the defaults. */
typedef struct sc_quorum_config {
    sc_slice key;      /* on each server, as it is: required; copied */
    int64_t ttl_ms;    /* life of the leases: 30,000; at least 10 */
    int64_t wait_ms;   /* how long sc_quorum_acquire tries: 60,000; -1: for ever */
    int64_t server_ms; /* how long one server is waited for in a round, connecting included: a tenth
                           of ttl_ms, 1,000 at most. A server that is slower counts as one that is
                           down */
    int64_t retry_ms; /* who did not get it tries again after a random time of about so long, and up
                           to four times that after some rounds: 200 */
    int64_t
        restart_ms;  /* a server that started less than so long ago is not asked, since it may have
                           forgotten whom it had given the lock to: the longest ttl_ms of all who use
                           the key. It tells by INFO. 0: servers keep their data (appendfsync always)
                           and are asked at once */
    bool no_renewal; /* the leases end after ttl_ms; default: renewed each third of it */
    sc_on_quorum_lost on_lost; /* default: none */
    void *user;                /* for on_lost */
} sc_quorum_config;

/* Make a contender; nothing is asked yet. `clients` are of independent servers, not of one server
   and its replicas: an odd number of 3 or more is of use, 1 to 63 are taken; none twice. Both the
   array and `config` are copied. The caller closes it before any of the clients. SC_ERR_ARGUMENT
   names the field; SC_ERR_MEMORY. Does not block. */
SC_API sc_status sc_quorum_open(sc_client *const *clients, size_t count,
                                const sc_quorum_config *config, sc_quorum **quorum);
/* Gives the lock back if it is held, and ends an acquire that is under way. Afterwards on_lost does
   not run any more. NULL is fine. Blocks until every server has answered the farewell, or been
   waited for: up to 2 server_ms; in a callback of one of the clients not at all. */
SC_API void sc_quorum_close(sc_quorum *quorum);

/* Take the lock, trying for up to `wait_ms` (0: the handle's; -1: for ever). All servers are asked
   at once; who has a majority then raises the lock's counter on a majority above the highest of
   it, which is the fencing token, and holds the lock. Who fails gives back what it got.
     SC_OK             held: until sc_quorum_release, or on_lost
     SC_HELD           no majority could be had, though a majority of the servers answered
     SC_ERR_DEADLOCK   this handle holds it, or a callback of one of the clients calls
     SC_ERR_ARGUMENT   another thread is acquiring by this handle
     SC_ERR_CANCELLED  sc_quorum_release or sc_quorum_close meanwhile
     any other         of the last server that failed, since a majority did not answer: the words say
                       how many did
   On all servers that may have taken the lock, whatever they answered, it is given back.
   Any thread. Blocks up to wait_ms and one round: 2 server_ms.

   The calls that block, and the asynchronous ones, need each client to be driven: by its thread,
   which they start as locks do, or, with sc_config.polled or without threads, by sc_poll on each
   client; the calls that block then do that themselves, in turns of a millisecond. */
SC_API sc_status sc_quorum_acquire(sc_quorum *quorum, int64_t wait_ms);
/* The same in one round; SC_HELD. */
SC_API sc_status sc_quorum_try(sc_quorum *quorum);
/* Give it back on all servers, without waiting for more than a majority of them. SC_OK: it was
   ours on a majority; SC_LOST: it had been lost before;
   SC_ERR_ARGUMENT: not held. After another error, that of the last server that failed, the giving
   back is tried again until the lease ends. While the handle acquires: that ends with
   SC_ERR_CANCELLED. Blocks up to server_ms. */
SC_API sc_status sc_quorum_release(sc_quorum *quorum);
/* Make the leases last `ttl_ms` (0: the handle's) from now on a majority; so do later renewals.
   SC_OK; SC_LOST; SC_ERR_ARGUMENT; errors of servers, after which the lock is what it was, or
   shorter when `ttl_ms` is. Blocks up to 2 server_ms. */
SC_API sc_status sc_quorum_extend(sc_quorum *quorum, int64_t ttl_ms);

/* How long it is held for certain, in milliseconds, if nothing renews it; 0: not held. Counted from
   before the first server was asked, less 1 % and 2 ms for clocks that run apart. No I/O. */
SC_API int64_t sc_quorum_remaining_ms(sc_quorum *quorum);
/* The number of this holding: above that of every earlier one of this key on these servers. 0: not
   held. No I/O. */
SC_API int64_t sc_quorum_fencing_token(sc_quorum *quorum);

/* Called once when it ends, in the thread, or the sc_poll, of one of the clients. The words of
   anything but SC_OK are in sc_error_text. */
typedef void (*sc_on_quorum)(void *user, sc_quorum *quorum, sc_status status);

/* The same without blocking, as those of sc_lock. `on_end` may be NULL. */
SC_API sc_status sc_quorum_acquire_async(sc_quorum *quorum, int64_t wait_ms, sc_on_quorum on_end,
                                         void *user);
SC_API sc_status sc_quorum_try_async(sc_quorum *quorum, sc_on_quorum on_end, void *user);
SC_API sc_status sc_quorum_release_async(sc_quorum *quorum, sc_on_quorum on_end, void *user);
SC_API sc_status sc_quorum_extend_async(sc_quorum *quorum, int64_t ttl_ms, sc_on_quorum on_end,
                                        void *user);
