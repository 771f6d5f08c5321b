#pragma once
/* Signals that end the process, and its exit: those who hold something are asked to give it up, on
   a thread of their own, since a signal handler may do next to nothing. */

#include "base/prelude.h"

#if !defined(SMARTCACHE_NO_POSIX) && !defined(SMARTCACHE_NO_THREADS)
/* Somebody who holds something. */
typedef struct sci_signal_hook {
    struct sci_signal_hook *next; /* private, as the next one */
    uint32_t round;
    void *owner;
    /* Under a lock of this room's: keep the owner for one call of either of the others. */
    void (*retain)(void *owner);
    void (*give_up)(void *owner); /* what is held; then let go of the owner */
    /* Wait up to `*left_ms` until all that was given up is heard of, and take from them; then let
       go of the owner. */
    void (*await)(void *owner, int64_t *left_ms);
} sci_signal_hook;

/* From now on; the first one sets the handlers. SC_ERR_MEMORY, SC_ERR_IO. */
SCI_PRIVATE sc_status sci_signals_add(sci_signal_hook *hook);
/* The last one restores what was set before. Fine for one that is not there. Does not wait for its
   functions. */
SCI_PRIVATE void sci_signals_remove(sci_signal_hook *hook);
#endif
