/* Flights: their beginning, their callers, and their end. */

#include "cache/flight_state.h"

#include "base/error.h"
#include "base/number.h"
#include "client/conn.h"

/* Making and freeing. */

static void sci_flight_free(sci_flight *flight)
{
    sc_cache *cache = flight->cache;
    const sc_memory *memory = &cache->client->memory;
    sci_list_remove(&flight->all_link);
    sci_assert(!flight->is_in_map && sci_list_is_empty(&flight->joiners));
    sci_names_free(&flight->names);
    sc_value_release(flight->shown);
    sc_value_release(flight->load.taken);
    sci_bytes_free(&flight->load.bytes);
    sci_outcome_free(&flight->outcome);
    sci_lease_free(&flight->lease);
    sci_free(memory, flight, sizeof *flight);
    sci_cache_release(cache);
}

SCI_PRIVATE void sci_flight_release(sci_flight *flight)
{
    if (--flight->references == 0)
        sci_flight_free(flight);
}

static sc_status sci_flight_set_names(sci_flight *flight, const sci_target *target)
{
    sc_status status = target->name ? target->name(target, &flight->names)
                                    : sci_names_derive(&flight->names, target->key);
    if (status == SC_OK)
        status = sc_value_create(&flight->cache->client->memory, target->shown, &flight->shown);
    flight->load.key = sc_value_bytes(flight->shown);
    return status;
}

static sci_flight *sci_flight_create(sc_cache *cache, const sci_target *target,
                                     const sc_load_options *options)
{
    sc_client *client = cache->client;
    sci_flight *flight = (sci_flight *)sci_alloc_zeroed(&client->memory, sizeof *flight);
    if (!flight)
        return NULL;
    cache->references++;
    flight->cache = cache;
    flight->references = 1;
    flight->judge = target->judge;
    flight->poll_ms = options->poll_ms;
    flight->timer.fire = sci_flight_fire;
    flight->load.flight = flight;
    sci_list_init(&flight->joiners);
    sci_list_init(&flight->all_link);
    sci_list_append(&cache->all, &flight->all_link);
    sci_names_init(&flight->names, &client->memory);
    sci_bytes_init(&flight->load.bytes, &client->memory);
    for (size_t i = 0; i < SCI_FLIGHT_EARS; i++) {
        flight->ears[i].flight = flight;
        flight->ears[i].listener.event = sci_flight_listen_event;
        flight->ears[i].is_raw = i == 1;
    }
    sc_status status = sci_flight_set_names(flight, target);
    if (status == SC_OK)
        status = sci_lease_init(&flight->lease, client, &cache->scripts, &flight->names,
                                options->lease_ms);
    if (status != SC_OK) {
        sci_flight_release(flight);
        return NULL;
    }
    flight->lease.asked = sci_flight_asked;
    flight->lease.stored = sci_flight_stored;
    flight->lease.renewal_begins = sci_flight_renewal_begins;
    flight->lease.renewal_ends = sci_flight_renewal_ends;
    return flight;
}

SCI_PRIVATE void sci_flight_detach(sci_flight *flight)
{
    if (!flight->is_in_map)
        return;
    flight->is_in_map = false;
    sci_map_remove(&flight->cache->flights, &flight->node);
}

static void sci_flight_put(sci_flight *flight)
{
    sci_map *map = &flight->cache->flights;
    sc_slice key = flight->names.value;
    flight->is_in_map = true;
    sci_map_put(map, &flight->node, key, sci_map_hash(map, key));
}

/* Ends. */

SCI_PRIVATE void sci_joiner_end(sci_joiner *joiner, const sci_outcome *outcome)
{
    sci_flight *flight = joiner->flight;
    sc_client *client = flight->cache->client;
    joiner->flight = NULL;
    if (joiner->must_load)
        flight->references--; /* its loader will not run; others keep the flight */
    joiner->must_load = false;
    joiner->is_done = true;
    joiner->status = outcome->status;
    joiner->value = sc_value_retain(outcome->value);
    joiner->error_text = sc_value_retain(outcome->error_text);
    if (joiner->is_blocking)
        sci_waiter_finish(client, &joiner->waiter);
    else
        joiner->done(joiner);
}

SCI_PRIVATE void sci_flight_stop_listening(sci_flight *flight)
{
    sc_client *client = flight->cache->client;
    sci_timer_cancel(&client->loop, &flight->timer);
    for (size_t i = 0; i < SCI_FLIGHT_EARS; i++)
        sci_listener_remove(client, &flight->ears[i].listener);
}

static sc_status sci_flight_copy_names(const sci_target *target, sci_names *names)
{
    return sci_names_copy(names, (const sci_names *)target->owner);
}

/* These try again, together. `awaited`: a load whose result they may still have, or "". */
static void sci_flight_retry(sci_flight *flight, sci_link *joiners, const char *awaited)
{
    const sci_joiner *first = SCI_CONTAINER(joiners->next, sci_joiner, link);
    sci_target target;
    memset(&target, 0, sizeof target);
    target.key = flight->names.value;
    target.shown = sc_value_bytes(flight->shown);
    target.name = sci_flight_copy_names;
    target.owner = &flight->names;
    target.judge = flight->judge;
    sci_flight *next = sci_flight_create(flight->cache, &target, &first->options);
    sci_outcome no_memory;
    sci_outcome_init(&no_memory, SC_ERR_MEMORY);
    for (sci_link *link = sci_list_take_first(joiners); link; link = sci_list_take_first(joiners)) {
        sci_joiner *joiner = SCI_CONTAINER(link, sci_joiner, link);
        if (next) {
            joiner->flight = next;
            joiner->asks_before = 0;
            sci_list_append(&next->joiners, link);
        } else {
            sci_joiner_end(joiner, &no_memory);
        }
    }
    if (!next)
        return;
    memcpy(next->awaited, awaited, strlen(awaited) + 1);
    if (!sci_flight_find(flight->cache, next->names.value))
        sci_flight_put(next);
    sci_flight_acquire(next);
}

SCI_PRIVATE void sci_flight_retry_others(sci_flight *flight)
{
    sci_link others;
    sci_list_init(&others);
    sci_flight_detach(flight);
    sci_list_move_all(&others, &flight->joiners);
    if (flight->loader) {
        sci_list_remove(&flight->loader->link);
        sci_list_append(&flight->joiners, &flight->loader->link);
    }
    if (!sci_list_is_empty(&others))
        sci_flight_retry(flight, &others, "");
}

SCI_PRIVATE void sci_flight_resolve(sci_flight *flight, const sci_outcome *outcome, uint32_t ask)
{
    sci_link retrying;
    sci_link late;
    if (flight->state == SCI_FLIGHT_DONE)
        return;
    flight->state = SCI_FLIGHT_DONE;
    sci_list_init(&retrying);
    sci_list_init(&late);
    sci_flight_detach(flight);
    sci_timer_cancel(&flight->cache->client->loop, &flight->timer);
    for (sci_link *link = sci_list_take_first(&flight->joiners); link;
         link = sci_list_take_first(&flight->joiners)) {
        sci_joiner *joiner = SCI_CONTAINER(link, sci_joiner, link);
        if (outcome->is_from_loader && outcome->status < 0 && joiner->options.private_errors &&
            joiner != flight->loader)
            sci_list_append(&retrying, link);
        else if (joiner->asks_before >= ask && joiner != flight->loader)
            sci_list_append(&late, link);
        else
            sci_joiner_end(joiner, outcome);
    }
    flight->loader = NULL;
    if (!sci_list_is_empty(&late))
        sci_flight_retry(flight, &late, flight->awaited);
    if (!sci_list_is_empty(&retrying))
        sci_flight_retry(flight, &retrying, "");
    sci_flight_stop_listening(flight);
    sci_flight_release(flight);
}

SCI_PRIVATE void sci_flight_fail(sci_flight *flight, sc_status status, const char *text)
{
    sci_outcome outcome;
    sci_outcome_init(&outcome, status);
    (void)sc_value_create(&flight->cache->client->memory, sc_text(text), &outcome.error_text);
    sci_flight_resolve(flight, &outcome, SCI_FLIGHT_ANY_ASK);
    sci_outcome_free(&outcome);
}

/* Joining and leaving. */

SCI_PRIVATE void sci_flight_expect(sci_flight *flight, sci_conn *conn)
{
    for (sci_link *link = flight->joiners.next; link != &flight->joiners; link = link->next) {
        sci_joiner *joiner = SCI_CONTAINER(link, sci_joiner, link);
        if (joiner->is_blocking)
            sci_waiter_expect(flight->cache->client, &joiner->waiter, conn);
    }
}

SCI_PRIVATE bool sci_flight_is_attended(const sci_flight *flight)
{
    const sci_link *first = flight->joiners.next;
    if (first == &flight->joiners)
        return false;
    const sci_joiner *joiner = SCI_CONTAINER(first, sci_joiner, link);
    return joiner->is_blocking && !joiner->waiter.is_sleeping && !joiner->waiter.is_driving;
}

SCI_PRIVATE sci_flight *sci_flight_find(sc_cache *cache, sc_slice key)
{
    if (cache->flights.count == 0)
        return NULL;
    sci_map_node *node = sci_map_find(&cache->flights, key, sci_map_hash(&cache->flights, key));
    return node ? SCI_CONTAINER(node, sci_flight, node) : NULL;
}

SCI_PRIVATE bool sci_flight_is_under_way(sc_cache *cache, sc_slice key)
{
    const sci_flight *flight = sci_flight_find(cache, key);
    return flight && flight->state != SCI_FLIGHT_ACQUIRING;
}

SCI_PRIVATE sc_status sci_flight_join(sc_cache *cache, const sci_target *target, sci_joiner *joiner,
                                      sc_status failure)
{
    sci_flight *flight = sci_flight_find(cache, target->key);
    bool is_new = !flight;
    if (flight && flight->loader_thread == sci_thread_self())
        return sc_fail(SC_ERR_DEADLOCK, "the loader of \"%.*s\" asks for the same key",
                       (int)sci_min_size(target->key.len, 100), target->key.data);
    if (is_new)
        flight = sci_flight_create(cache, target, &joiner->options);
    if (!flight)
        return SC_ERR_MEMORY;
    sci_list_init(&joiner->link);
    sci_list_append(&flight->joiners, &joiner->link);
    joiner->flight = flight;
    joiner->asks_before = flight->asks;
    if (!is_new) {
        bool is_asking =
            flight->state == SCI_FLIGHT_ACQUIRING || flight->state == SCI_FLIGHT_STORING;
        if (joiner->is_blocking)
            sci_waiter_expect(cache->client, &joiner->waiter,
                              is_asking ? cache->client->shared : NULL);
        return SC_OK;
    }
    sci_flight_put(flight);
    if (failure == SC_OK) {
        sci_flight_acquire(flight);
    } else {
        char words[SC_ERROR_TEXT_BYTES];
        (void)sci_format(words, sizeof words, "%s", sc_error_text());
        sci_flight_outage(flight, failure, words);
    }
    return SC_OK;
}

SCI_PRIVATE void sci_flight_leave(sci_joiner *joiner)
{
    sci_flight *flight = joiner->flight;
    sci_assert(flight && !joiner->must_load);
    joiner->flight = NULL;
    sci_list_remove(&joiner->link);
    bool is_waiting =
        flight->state == SCI_FLIGHT_SUBSCRIBING || flight->state == SCI_FLIGHT_WAITING;
    if (is_waiting && sci_list_is_empty(&flight->joiners))
        sci_flight_fail(flight, SC_ERR_CANCELLED, "nobody waits any longer");
}

SCI_PRIVATE void sci_flight_invalidate(sc_cache *cache, sc_slice key)
{
    sci_flight *flight = sci_flight_find(cache, key);
    if (!flight || (flight->state != SCI_FLIGHT_LOADING && flight->state != SCI_FLIGHT_STORING))
        return; /* it has still to ask, or hears of it */
    sci_atomic_store_release(&flight->load.is_void, 1);
    sci_flight_retry_others(flight);
}

SCI_PRIVATE void sci_flights_close(sc_cache *cache)
{
    sci_link ending;
    sci_list_init(&ending);
    sci_list_move_all(&ending, &cache->all);
    for (sci_link *link = sci_list_take_first(&ending); link; link = sci_list_take_first(&ending)) {
        sci_flight *flight = SCI_CONTAINER(link, sci_flight, all_link);
        sci_list_append(&cache->all, link);
        sci_atomic_store_release(&flight->load.is_void, 1);
        sci_flight_fail(flight, SC_ERR_CLOSED, "the client was closed");
    }
}

/* The joiners are the parent's threads: nobody is told. The loop's timers are gone already. */
SCI_PRIVATE void sci_flights_forget(sc_cache *cache)
{
    for (sci_link *link = cache->all.next; link != &cache->all; link = link->next) {
        sci_flight *flight = SCI_CONTAINER(link, sci_flight, all_link);
        flight->state = SCI_FLIGHT_DONE;
        sci_atomic_store_release(&flight->load.is_void, 1);
        memset(&flight->timer.node, 0, sizeof flight->timer.node);
        memset(&flight->lease.timer.node, 0, sizeof flight->lease.timer.node);
        sci_list_init(&flight->joiners);
        sci_flight_detach(flight);
        sci_flight_stop_listening(flight);
    }
}
