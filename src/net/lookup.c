/* Name look-ups: the meeting of a resolver that finishes when it can and an owner that may lose
   patience at any moment. Two references keep the block alive for both; three bits, each set once,
   decide whether the owner is notified, and who lets go last: a resolver that comes before the owner
   leaves its reference to it, so that nothing of the owner's memory is in use once it has left. */

#include "net/lookup.h"

#include "base/error.h"
#include "net/address.h"

/* Set by one atomic addition each, so whoever comes second sees the other's bit. */
#define SCI_LOOKUP_FINISHING 1u /* the resolver came: it notifies unless abandoned before */
#define SCI_LOOKUP_ABANDONED 2u /* the owner left: it waits when a notify had begun before */
#define SCI_LOOKUP_NOTIFIED 4u  /* the notify has returned */
/* An owner that waits for the resolver looks again so often. */
#define SCI_LOOKUP_MOMENT_NS 1000000

static void sci_lookup_unref(sc_lookup *lookup)
{
    sc_memory memory = lookup->memory;
    if (sci_atomic_subtract(&lookup->references, 1) != 1)
        return;
    sci_gate_free(&lookup->notified);
    sci_free_text(&memory, lookup->host);
    sci_free(&memory, lookup, sizeof(*lookup));
}

/* What a resolver answered, made fit for the owner: words for every error, never success without
   an address, never a status that is neither. */
static void sci_lookup_store(sc_lookup *lookup, sc_status status, const sc_address *addresses,
                             size_t count)
{
    if (status == SC_OK && count == 0)
        status =
            sc_fail(SC_ERR_RESOLVE, "host \"%s\": the resolver found no address", lookup->host);
    else if (status > SC_OK)
        status = sc_fail(SC_ERR_RESOLVE,
                         "host \"%s\": the resolver finished with %s, which is "
                         "neither SC_OK nor an error",
                         lookup->host, sc_status_name(status));
    lookup->status = status;
    if (status == SC_OK) {
        lookup->count = sci_min_size(count, SCI_LOOKUP_ADDRESSES);
        memcpy(lookup->addresses, addresses, lookup->count * sizeof(addresses[0]));
    } else {
        const char *text = sc_error_text();
        size_t len = sci_min_size(strlen(text), sizeof(lookup->error_text) - 1);
        memcpy(lookup->error_text, text, len);
        lookup->error_text[len] = '\0';
    }
}

SC_API void sc_lookup_done(sc_lookup *lookup, sc_status status, const sc_address *addresses,
                           size_t count)
{
    sci_assert(!sci_lookup_is_done(lookup));
    sci_lookup_store(lookup, status, addresses, count);
    sci_atomic_store_release(&lookup->is_done, 1);
    if (sci_atomic_add(&lookup->state, SCI_LOOKUP_FINISHING) & SCI_LOOKUP_ABANDONED) {
        sci_lookup_unref(lookup);
        return;
    }
    if (lookup->notify)
        lookup->notify(lookup->notify_user);
    /* All is the owner's from here on. Only one that abandons in between sleeps at the gate. */
    if (sci_atomic_add(&lookup->state, SCI_LOOKUP_NOTIFIED) & SCI_LOOKUP_ABANDONED) {
        sci_gate_wake_all(&lookup->notified);
        sci_lookup_unref(lookup);
    }
}

SCI_PRIVATE sc_status sci_lookup_start(const sc_memory *memory, const sc_resolver *resolver,
                                       const char *host, uint16_t port, void (*notify)(void *user),
                                       void *notify_user, sc_lookup **lookup)
{
    sc_lookup *self = (sc_lookup *)sci_alloc_zeroed(memory, sizeof(*self));
    sc_address address;
    sc_status status;
    *lookup = NULL;
    if (!self)
        return SC_ERR_MEMORY;
    self->host = sci_copy_text(memory, sc_text(host));
    if (!self->host) {
        sci_free(memory, self, sizeof(*self));
        return SC_ERR_MEMORY;
    }
    self->memory = *memory;
    self->port = port;
    self->notify = notify;
    self->notify_user = notify_user;
    self->descriptor = -1;
    sci_gate_init(&self->notified);
    sci_atomic_store_release(&self->references, 2);

    if (sci_address_parse(self->host, port, &address)) {
        sc_lookup_done(self, SC_OK, &address, 1);
    } else {
        status = resolver->resolve(resolver->user, self, self->host, port);
        if (status != SC_OK) {
            sci_lookup_unref(self);
            sci_lookup_unref(self);
            return status;
        }
    }
    *lookup = self;
    return SC_OK;
}

/* Let go of what the resolver keeps here for the owner's thread to drive. What nobody will drive
   any more is finished here, after the owner's bit is set, so without a notify. */
static void sci_lookup_release(sc_lookup *lookup)
{
    if (!lookup->release)
        return;
    lookup->release(lookup);
    if (!sci_lookup_is_done(lookup))
        sc_lookup_done(lookup, SC_ERR_CANCELLED, NULL, 0);
}

/* The resolver has its answer, and is about to let go: it has a few instructions left, and the
   notify. */
static void sci_lookup_await_resolver(sc_lookup *lookup)
{
    while (sci_atomic_load_acquire(&lookup->references) > 1) {
        uint32_t ticket = sci_gate_ticket(&lookup->notified);
        if (sci_atomic_load_acquire(&lookup->references) > 1)
            sci_gate_wait(&lookup->notified, ticket, SCI_LOOKUP_MOMENT_NS);
    }
}

SCI_PRIVATE void sci_lookup_abandon(sc_lookup *lookup)
{
    uint32_t state;
    if (!lookup)
        return;
    state = sci_atomic_add(&lookup->state, SCI_LOOKUP_ABANDONED);
    if (state & SCI_LOOKUP_NOTIFIED)
        sci_lookup_unref(lookup);
    else if (sci_lookup_is_done(lookup))
        sci_lookup_await_resolver(lookup);
    sci_lookup_release(lookup);
    sci_lookup_unref(lookup);
}

SCI_PRIVATE void sci_lookup_abandon_in_child(sc_lookup *lookup)
{
    if (!lookup)
        return;
    if (sci_atomic_add(&lookup->state, SCI_LOOKUP_ABANDONED) & SCI_LOOKUP_NOTIFIED)
        sci_lookup_unref(lookup);
    sci_lookup_release(lookup);
    sci_lookup_unref(lookup);
}

SCI_PRIVATE void sci_lookup_advance(sc_lookup *lookup)
{
    if (lookup->advance && !sci_lookup_is_done(lookup))
        lookup->advance(lookup);
}
