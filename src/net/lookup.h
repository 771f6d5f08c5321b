#pragma once
/* A name look-up that its owner may abandon: whoever finishes last frees it. */

#include "base/memory.h"
#include "base/thread.h"

/* Addresses tried at most; more are ignored. */
#define SCI_LOOKUP_ADDRESSES 16

struct sc_lookup {
    sc_memory memory;
    sci_atomic_u32 references; /* the owner's and the resolver's */
    sci_atomic_u32 is_done;
    /* Called once, by the finishing thread, unless abandoned; must only wake the owner. */
    void (*notify)(void *user);
    void *notify_user;
    sci_atomic_u32 state; /* private to lookup.c: guards notify against abandoning */
    sci_gate notified;    /* private to lookup.c: raised when a notify has returned */
    char *host;           /* owned copy */
    uint16_t port;        /* as asked for; the resolver puts it into every address */

    /* For resolvers without a thread; set in sci_lookup_start, constant after it. The owner watches
       `descriptor` for SC_READABLE when it is not negative, calls sci_lookup_advance when it is
       ready, and stops watching before sci_lookup_abandon, which closes it. */
    sc_descriptor descriptor;                /* -1: nothing to watch */
    void *helper;                            /* the resolver's own */
    void (*advance)(struct sc_lookup *self); /* NULL: nothing to do */
    void (*release)(struct sc_lookup *self); /* frees `helper`; NULL when there is none */

    sc_status status; /* valid once is_done */
    char error_text[SC_ERROR_TEXT_BYTES];
    size_t count;
    sc_address addresses[SCI_LOOKUP_ADDRESSES];
};

/* Begin. SC_OK: `*lookup` belongs to the caller until sci_lookup_abandon. A numeric `host` is done
   at once, without the resolver; then, as with any quick resolver, `notify` runs before this
   returns. The block is freed by whoever lets go last: with a resolver that runs in a thread that
   can be after the owner is gone, so `memory` must outlive it too. */
SCI_PRIVATE sc_status sci_lookup_start(const sc_memory *memory, const sc_resolver *resolver,
                                       const char *host, uint16_t port, void (*notify)(void *user),
                                       void *notify_user, sc_lookup **lookup);
/* After this `notify` is not running and will not be called. Waits only for a notify that runs at
   this moment, so never call it from one. NULL is fine. */
SCI_PRIVATE void sci_lookup_abandon(sc_lookup *lookup);
/* As above for a forked child: never waits, since the thread that runs the notify was not copied.
   What only that thread could have freed stays allocated in the child. */
SCI_PRIVATE void sci_lookup_abandon_in_child(sc_lookup *lookup);
/* Go on with a look-up whose descriptor is readable; never blocks. Also fine for any other. */
SCI_PRIVATE void sci_lookup_advance(sc_lookup *lookup);
static inline bool sci_lookup_is_done(const sc_lookup *lookup)
{
    return sci_atomic_load_acquire(&lookup->is_done) != 0;
}
