/* A flight's questions to the server, and its wait for another's load. */

#include "cache/flight_state.h"

#include "base/error.h"
#include "client/conn.h"

static void sci_flight_wait(sci_flight *flight, sc_slice holder, int64_t left_ms);

SCI_PRIVATE void sci_flight_outage(sci_flight *flight, sc_status status, const char *text)
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

SCI_PRIVATE void sci_flight_asked(sci_lease *lease, sc_status status, sci_lease_answer answer,
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

/* Does anybody take the error of another's load? Who does not would ask again and again while one
   is remembered. */
static bool sci_flight_wants_errors(const sci_flight *flight)
{
    for (sci_link *link = flight->joiners.next; link != &flight->joiners; link = link->next)
        if (!SCI_CONTAINER(link, sci_joiner, link)->options.private_errors)
            return true;
    return false;
}

SCI_PRIVATE void sci_flight_acquire(sci_flight *flight)
{
    sc_client *client = flight->cache->client;
    flight->state = SCI_FLIGHT_ACQUIRING;
    flight->asks_again = false;
    flight->asks++;
    flight->references++;
    sci_timer_cancel(&client->loop, &flight->timer);
    sci_flight_expect(flight, client->shared);
    sci_lease_acquire(&flight->lease, flight->awaited, sci_flight_wants_errors(flight),
                      sci_flight_is_attended(flight));
}

/* Waiting for another's load. */

SCI_PRIVATE bool sci_flight_hears(const sci_flight *flight)
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

SCI_PRIVATE void sci_flight_listen_event(sci_listener *listener, sci_listen_event event,
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

SCI_PRIVATE void sci_flight_fire(sci_timer *timer)
{
    sci_flight_acquire(SCI_CONTAINER(timer, sci_flight, timer));
}
