/* Flights: the lease, the wait, and the load. */

#include "cache/flight.h"

#include "base/error.h"
#include "base/number.h"
#include "cache/outcome.h"
#include "client/conn.h"

/* How long a flight that stores no value leaves its result for those who wait for it: they may be
   between asking and subscribing. */
#define SCI_RESULT_LIFE_MS 5000
/* A larger payload is not published: who waits is told to read. */
#define SCI_PUBLISH_BYTES (64u * 1024u)

typedef enum sci_flight_state {
    SCI_FLIGHT_ACQUIRING,
    SCI_FLIGHT_SUBSCRIBING,
    SCI_FLIGHT_WAITING,
    SCI_FLIGHT_LOADING,
    SCI_FLIGHT_STORING,
    SCI_FLIGHT_DONE
} sci_flight_state;

/* An outcome that no question to the server stands behind. */
#define SCI_FLIGHT_ANY_ASK UINT32_MAX

/* The wait's two ears: our channel, and that of the bare value. */
#define SCI_FLIGHT_EARS 2

typedef struct sci_ear {
    sci_listener listener;
    sci_flight *flight;
    bool is_raw;
} sci_ear;

struct sci_flight {
    sci_map_node node; /* in cache->flights until it is done or detached */
    sci_link all_link; /* in cache->all until it is freed */
    sc_cache *cache;   /* one reference */
    sci_flight_state state;
    size_t references; /* until done; each op under way; the running loader */
    bool is_in_map;
    bool is_interop;
    sci_names names;
    sc_value *shown; /* the key as the loader sees it: owned */
    sci_link joiners;
    sci_lease lease;
    char awaited[SCI_TOKEN_LEN + 1]; /* whose load is waited for, or "" */
    uint32_t asks;                   /* questions and stores sent to the server */
    uint32_t held_ask;               /* the last question whose answer was that another loads */
    bool asks_again;                 /* a message came while asking */
    int64_t poll_ms;
    sci_ear ears[SCI_FLIGHT_EARS];
    sci_timer timer;    /* ends a wait */
    sci_joiner *loader; /* who runs the loader */
    uintptr_t loader_thread;
    sc_load load;
    sci_outcome outcome; /* of the loader, while storing */
};

static void sci_flight_acquire(sci_flight *flight);
static void sci_flight_listen_event(sci_listener *listener, sci_listen_event event,
                                    const sc_message *message);
static void sci_flight_fire(sci_timer *timer);
static void sci_flight_asked(sci_lease *lease, sc_status status, sci_lease_answer answer,
                             sc_slice payload, int64_t left_ms);
static void sci_flight_stored(sci_lease *lease, bool is_stored);
static void sci_flight_renewal_begins(sci_lease *lease);
static void sci_flight_renewal_ends(sci_lease *lease, bool is_lost);

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

static void sci_flight_release(sci_flight *flight)
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
    flight->is_interop = target->is_interop;
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

static void sci_flight_detach(sci_flight *flight)
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

static void sci_joiner_end(sci_joiner *joiner, const sci_outcome *outcome)
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

/* Lets go of the lock for a moment: what is read of the flight before may have changed after. */
static void sci_flight_stop_listening(sci_flight *flight)
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
    target.is_interop = flight->is_interop;
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

/* What is being loaded is out of date, or may be: the loader's own caller keeps it; the others, and
   later ones, begin anew. */
static void sci_flight_retry_others(sci_flight *flight)
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

/* The flight is over. The outcome is for those who had joined before question or store `ask` was
   sent: it was not out of date when the server saw that. Who joined later may know of an
   invalidation after it, and asks again. */
static void sci_flight_resolve(sci_flight *flight, const sci_outcome *outcome, uint32_t ask)
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

static void sci_flight_fail(sci_flight *flight, sc_status status, const char *text)
{
    sci_outcome outcome;
    sci_outcome_init(&outcome, status);
    (void)sc_value_create(&flight->cache->client->memory, sc_text(text), &outcome.error_text);
    sci_flight_resolve(flight, &outcome, SCI_FLIGHT_ANY_ASK);
    sci_outcome_free(&outcome);
}

/* Asking the server. */

/* Those who block will receive on this connection, or need not. */
static void sci_flight_expect(sci_flight *flight, sci_conn *conn)
{
    for (sci_link *link = flight->joiners.next; link != &flight->joiners; link = link->next) {
        sci_joiner *joiner = SCI_CONTAINER(link, sci_joiner, link);
        if (joiner->is_blocking)
            sci_waiter_expect(flight->cache->client, &joiner->waiter, conn);
    }
}

static bool sci_flight_is_attended(const sci_flight *flight)
{
    const sci_link *first = flight->joiners.next;
    return first != &flight->joiners && SCI_CONTAINER(first, sci_joiner, link)->is_blocking;
}

static void sci_flight_give_back(sci_flight *flight);
static void sci_flight_start_loading(sci_flight *flight);
static void sci_flight_wait(sci_flight *flight, sc_slice holder, int64_t left_ms);

/* The server cannot be asked. Who wants the error gets it; for the others one loads without a
   lease, and nothing is stored. */
static void sci_flight_outage(sci_flight *flight, sc_status status, const char *text)
{
    sci_outcome outcome;
    sci_outcome_init(&outcome, status);
    (void)sc_value_create(&flight->cache->client->memory, sc_text(text), &outcome.error_text);
    for (sci_link *link = flight->joiners.next, *next; link != &flight->joiners; link = next) {
        sci_joiner *joiner = SCI_CONTAINER(link, sci_joiner, link);
        next = link->next;
        if (joiner->options.outage == SC_OUTAGE_LOAD && status != SC_ERR_CLOSED &&
            status != SC_ERR_MEMORY)
            continue;
        sci_list_remove(link);
        sci_joiner_end(joiner, &outcome);
    }
    if (sci_list_is_empty(&flight->joiners)) {
        sci_flight_resolve(flight, &outcome, SCI_FLIGHT_ANY_ASK);
    } else {
        sci_atomic_store_release(&flight->load.is_void, 1);
        sci_flight_start_loading(flight);
    }
    sci_outcome_free(&outcome);
}

static void sci_flight_answered(sci_flight *flight, sci_lease_answer answer, sc_slice payload,
                                int64_t left_ms)
{
    const sc_memory *memory = &flight->cache->client->memory;
    sci_outcome outcome;
    sci_outcome_init(&outcome, SC_OK);
    if (answer == SCI_LEASE_VALUE)
        sci_outcome_set_value(&outcome, memory, payload);
    else if (answer != SCI_LEASE_RESULT || !sci_outcome_from_result(&outcome, memory, payload)) {
        sci_flight_wait(flight, payload, left_ms);
        return;
    }
    sci_flight_resolve(flight, &outcome, flight->asks);
    sci_outcome_free(&outcome);
}

static void sci_flight_asked(sci_lease *lease, sc_status status, sci_lease_answer answer,
                             sc_slice payload, int64_t left_ms)
{
    sci_flight *flight = SCI_CONTAINER(lease, sci_flight, lease);
    bool is_wanted = flight->state != SCI_FLIGHT_DONE && !sci_list_is_empty(&flight->joiners);
    if (status == SC_OK && answer == SCI_LEASE_GRANTED && is_wanted)
        sci_flight_start_loading(flight);
    else if (status == SC_OK && answer == SCI_LEASE_GRANTED)
        sci_flight_give_back(flight);
    else if (flight->state != SCI_FLIGHT_DONE && status == SC_OK)
        sci_flight_answered(flight, answer, payload, left_ms);
    else if (flight->state != SCI_FLIGHT_DONE)
        sci_flight_outage(flight, status, sc_error_text());
    sci_flight_release(flight);
}

static void sci_flight_acquire(sci_flight *flight)
{
    sc_client *client = flight->cache->client;
    flight->state = SCI_FLIGHT_ACQUIRING;
    flight->asks_again = false;
    flight->asks++;
    flight->references++;
    sci_timer_cancel(&client->loop, &flight->timer);
    sci_flight_expect(flight, client->shared);
    sci_lease_acquire(&flight->lease, flight->awaited, sci_flight_is_attended(flight));
}

/* Waiting for another's load. */

static bool sci_flight_hears(const sci_flight *flight)
{
    for (size_t i = 0; i < SCI_FLIGHT_EARS; i++)
        if (flight->ears[i].listener.channel && !flight->ears[i].listener.is_confirmed)
            return false;
    return flight->ears[0].listener.channel != NULL;
}

static void sci_flight_arm(sci_flight *flight, int64_t wait_ms)
{
    sci_loop *loop = &flight->cache->client->loop;
    sci_timer_arm(loop, &flight->timer, sci_loop_now_ns(loop) + wait_ms * SCI_NS_PER_MS);
}

/* Begin to listen; what is confirmed already says so within the call. */
static void sci_flight_subscribe(sci_flight *flight)
{
    sc_client *client = flight->cache->client;
    flight->state = SCI_FLIGHT_SUBSCRIBING;
    sci_flight_arm(flight, flight->poll_ms);
    sci_client_want_thread(client);
    flight->references++; /* listening may end the flight */
    sci_listener *raw = &flight->ears[1].listener;
    sci_listener *own = &flight->ears[0].listener;
    /* our own channel last: with it confirmed, the flight asks again. Without memory the timer does
     */
    if (flight->names.raw_channel.len && !raw->channel)
        (void)sci_listener_add(client, raw, flight->names.raw_channel, false);
    if (flight->state == SCI_FLIGHT_SUBSCRIBING && !own->channel)
        (void)sci_listener_add(client, own, flight->names.channel, false);
    sci_flight_release(flight);
}

static void sci_flight_wait(sci_flight *flight, sc_slice holder, int64_t left_ms)
{
    memset(flight->awaited, 0, sizeof flight->awaited);
    if (holder.len == SCI_TOKEN_LEN)
        memcpy(flight->awaited, holder.data, SCI_TOKEN_LEN);
    flight->held_ask = flight->asks;
    sci_flight_expect(flight, NULL);
    if (sci_list_is_empty(&flight->joiners)) {
        sci_flight_fail(flight, SC_ERR_CANCELLED, "nobody waits any longer");
    } else if (!flight->ears[0].listener.channel) {
        sci_flight_subscribe(flight);
    } else if (flight->asks_again) {
        sci_flight_acquire(flight);
    } else {
        bool has_end = left_ms >= 0 && left_ms < flight->poll_ms;
        flight->state = SCI_FLIGHT_WAITING;
        sci_flight_arm(flight, has_end ? left_ms + 1 : flight->poll_ms);
    }
}

static void sci_flight_hear(sci_flight *flight, const sci_ear *ear, sc_slice payload)
{
    const sc_memory *memory = &flight->cache->client->memory;
    sci_outcome outcome;
    sci_outcome_init(&outcome, SC_OK);
    bool is_whole = true;
    if (ear->is_raw)
        sci_outcome_set_value(&outcome, memory, payload);
    else
        is_whole = sci_outcome_from_message(&outcome, memory, payload, flight->awaited);
    if (is_whole) /* whoever held the lease at that question had not stored before it */
        sci_flight_resolve(flight, &outcome, flight->held_ask);
    else if (flight->state == SCI_FLIGHT_ACQUIRING)
        flight->asks_again = true;
    else
        sci_flight_acquire(flight);
    sci_outcome_free(&outcome);
}

static void sci_flight_listen_event(sci_listener *listener, sci_listen_event event,
                                    const sc_message *message)
{
    sci_ear *ear = SCI_CONTAINER(listener, sci_ear, listener);
    sci_flight *flight = ear->flight;
    bool is_waiting =
        flight->state == SCI_FLIGHT_SUBSCRIBING || flight->state == SCI_FLIGHT_WAITING;
    if (event == SCI_LISTEN_MESSAGE && (is_waiting || flight->state == SCI_FLIGHT_ACQUIRING))
        sci_flight_hear(flight, ear, message->payload);
    else if (event == SCI_LISTEN_READY && is_waiting && sci_flight_hears(flight))
        sci_flight_acquire(flight); /* for the first time, or after a gap */
    else if (event == SCI_LISTEN_READY && flight->state == SCI_FLIGHT_ACQUIRING)
        flight->asks_again = true;
}

/* Loading. */

static void sci_flight_start_loading(sci_flight *flight)
{
    sc_client *client = flight->cache->client;
    sci_joiner *joiner = SCI_CONTAINER(flight->joiners.next, sci_joiner, link);
    sci_timer_cancel(&client->loop, &flight->timer);
    flight->state = SCI_FLIGHT_LOADING;
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

SCI_PRIVATE sc_load *sci_flight_load(sci_flight *flight)
{
    flight->loader_thread = sci_thread_self();
    return &flight->load;
}

SCI_PRIVATE sc_load *sci_flight_load_pending(sci_flight *flight)
{
    return &flight->load;
}

SCI_PRIVATE sc_client *sci_flight_client(const sci_flight *flight)
{
    return flight->cache->client;
}

static void sci_flight_renewal_begins(sci_lease *lease)
{
    SCI_CONTAINER(lease, sci_flight, lease)->references++;
}

static void sci_flight_renewal_ends(sci_lease *lease, bool is_lost)
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

static void sci_flight_fire(sci_timer *timer)
{
    sci_flight_acquire(SCI_CONTAINER(timer, sci_flight, timer));
}

/* Storing. */

static void sci_flight_stored(sci_lease *lease, bool is_stored)
{
    sci_flight *flight = SCI_CONTAINER(lease, sci_flight, lease);
    if (lease->is_lost)
        sci_flight_retry_others(flight);
    sci_flight_resolve(flight, &flight->outcome, is_stored ? flight->asks : SCI_FLIGHT_ANY_ASK);
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

/* Nobody wants the lease that we just got. */
static void sci_flight_give_back(sci_flight *flight)
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
    if (flight->is_interop && sci_outcome_is_falsy(value))
        ttl_ms = SC_TTL_NONE; /* the other package takes such a value for a miss */
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
    flight->loader_thread = 0;
    if (flight->state != SCI_FLIGHT_LOADING) { /* closed, or forked, meanwhile */
        sci_flight_release(flight);
        return;
    }
    sci_lease_let_go(&flight->lease);
    sci_outcome_from_load(&flight->outcome, &flight->load, status, flight->is_interop,
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

/* Joining and leaving. */

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
