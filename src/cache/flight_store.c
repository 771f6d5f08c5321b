/* A flight's load, and what it leaves on the server. */

#include "cache/flight_state.h"

#include "client/conn.h"

/* How long a flight that stores no value leaves its result for those who wait for it: they may be
   between asking and subscribing. */
#define SCI_RESULT_LIFE_MS 5000
/* A larger payload is not published: who waits is told to read. */
#define SCI_PUBLISH_BYTES (64u * 1024u)

/* Loading. */

SCI_PRIVATE void sci_flight_start_loading(sci_flight *flight)
{
    sc_client *client = flight->cache->client;
    sci_joiner *joiner = SCI_CONTAINER(flight->joiners.next, sci_joiner, link);
    sci_timer_cancel(&client->loop, &flight->timer);
    flight->state = SCI_FLIGHT_LOADING;
    flight->load_ask = ++flight->asks;
    flight->loader = joiner;
    flight->references += 2; /* one given back by sci_flight_loaded, one below */
    flight->load.ttl_ms = joiner->options.ttl_ms;
    sci_flight_expect(flight, NULL);
    if (flight->lease.is_held) {
        sci_client_want_thread(client);
        sci_lease_keep(&flight->lease);
    }
    joiner->must_load = true;
    if (joiner->is_blocking)
        sci_waiter_finish(client, &joiner->waiter);
    else
        joiner->load(joiner);
    sci_flight_stop_listening(flight);
    sci_flight_release(flight);
}

SCI_PRIVATE sc_load *sci_flight_loader_begins(sci_flight *flight)
{
    flight->references++;
    flight->loader_thread = sci_thread_self();
    return &flight->load;
}

SCI_PRIVATE void sci_flight_loader_ends(sci_flight *flight, sc_status status)
{
    flight->loader_thread = 0;
    if (status != SC_PENDING)
        sci_flight_loaded(flight, status);
    sci_flight_release(flight);
}

SCI_PRIVATE sc_client *sci_flight_client(const sci_flight *flight)
{
    return flight->cache->client;
}

SCI_PRIVATE void sci_flight_renewal_begins(sci_lease *lease)
{
    SCI_CONTAINER(lease, sci_flight, lease)->references++;
}

SCI_PRIVATE void sci_flight_renewal_ends(sci_lease *lease, bool is_lost)
{
    sci_flight *flight = SCI_CONTAINER(lease, sci_flight, lease);
    if (is_lost && flight->state == SCI_FLIGHT_LOADING) {
        sci_atomic_store_release(&flight->load.is_void, 1);
        sci_client_log(flight->cache->client, SC_LOG_INFO,
                       "the lease of \"%.*s\" was lost or invalidated",
                       (int)sci_min_size(flight->names.value.len, 100), flight->names.value.data);
    }
    sci_flight_release(flight);
}

/* Storing. */

SCI_PRIVATE void sci_flight_stored(sci_lease *lease, bool is_stored)
{
    sci_flight *flight = SCI_CONTAINER(lease, sci_flight, lease);
    uint32_t ask = SCI_FLIGHT_ANY_ASK; /* an outage: nobody can be asked */
    if (lease->is_lost)
        sci_flight_retry_others(flight);
    if (is_stored)
        ask = flight->asks;
    else if (lease->is_refused)
        ask = flight->load_ask; /* it says nothing of invalidations since the load began */
    sci_flight_resolve(flight, &flight->outcome, ask);
    sci_flight_release(flight);
}

/* Leave what `kind` and the outcome call for on the server, tell who waits, and give the lease
 * back. */
static void sci_flight_store(sci_flight *flight, char kind, int64_t ttl_ms, const char *flag,
                             int64_t result_life_ms, bool is_published)
{
    sci_lease_store store;
    memset(&store, 0, sizeof store);
    store.kind = kind;
    store.payload = sci_outcome_payload(&flight->outcome);
    store.ttl_ms = ttl_ms;
    store.flag = flag;
    store.result_life_ms = result_life_ms;
    store.is_published = is_published;
    store.is_attended = sci_flight_is_attended(flight);
    memcpy(flight->awaited, flight->lease.token, sizeof flight->awaited);
    flight->asks++;
    flight->references++;
    sci_flight_expect(flight, flight->cache->client->shared);
    sci_lease_give_back(&flight->lease, &store);
}

SCI_PRIVATE void sci_flight_give_back(sci_flight *flight)
{
    sci_flight_detach(flight); /* nobody may join what does not load */
    sci_flight_store(flight, 'x', SC_TTL_NONE, "", 0, true);
}

/* What a success leaves on the server. */
static void sci_flight_store_value(sci_flight *flight)
{
    sc_slice value = sc_value_bytes(flight->outcome.value);
    bool is_small = value.len <= SCI_PUBLISH_BYTES;
    int64_t ttl_ms = flight->load.ttl_ms;
    if (ttl_ms == SC_TTL_NONE)
        sci_flight_store(flight, 'v', ttl_ms, "S", SCI_RESULT_LIFE_MS, is_small);
    else
        sci_flight_store(flight, 'v', ttl_ms, "", 0, is_small);
}

/* What a failure, or "there is none", leaves. */
static void sci_flight_store_negative(sci_flight *flight)
{
    const sc_load_options *options = &flight->loader->options;
    bool is_error = flight->outcome.status < 0;
    char kind = is_error ? 'e' : 'm';
    if (is_error && options->private_errors)
        sci_flight_store(flight, 'x', SC_TTL_NONE, "", 0, true);
    else if (options->negative_ttl_ms > 0)
        sci_flight_store(flight, kind, SC_TTL_NONE, "N", options->negative_ttl_ms, true);
    else
        sci_flight_store(flight, kind, SC_TTL_NONE, "S", SCI_RESULT_LIFE_MS, true);
}

SCI_PRIVATE void sci_flight_loaded(sci_flight *flight, sc_status status)
{
    if (flight->state != SCI_FLIGHT_LOADING) { /* closed, or forked, meanwhile */
        sci_flight_release(flight);
        return;
    }
    sci_lease_let_go(&flight->lease);
    sci_outcome_from_load(&flight->outcome, &flight->load, status, flight->judge,
                          &flight->cache->client->memory);
    flight->state = SCI_FLIGHT_STORING;
    if (flight->lease.is_lost)
        sci_flight_retry_others(flight);
    if (!flight->lease.is_held)
        sci_flight_resolve(flight, &flight->outcome, SCI_FLIGHT_ANY_ASK);
    else if (flight->outcome.status == SC_OK)
        sci_flight_store_value(flight);
    else
        sci_flight_store_negative(flight);
    sci_flight_release(flight);
}
