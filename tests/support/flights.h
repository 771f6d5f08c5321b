#pragma once
/* A look into the flights of a cache, for tests that wait until callers wait. Only for a program
   that implements the library. */

#include "smartcache.h"

/* Callers that have joined a flight for a key (as it is on the server), who loads included. */
static inline size_t flights_joined(sc_cache *cache, const char *key)
{
    sc_client *client = cache->client;
    size_t count = 0;
    sci_loop_lock(&client->loop);
    const sci_flight *flight = sci_flight_find(cache, sc_text(key));
    const sci_link *link = flight ? flight->joiners.next : NULL;
    for (; flight && link != &flight->joiners; link = link->next)
        count++;
    sci_client_unlock(client);
    return count;
}

/* True when the flight for a key waits for another's load, its channel confirmed. */
static inline bool flights_listen(sc_cache *cache, const char *key)
{
    sc_client *client = cache->client;
    sci_loop_lock(&client->loop);
    const sci_flight *flight = sci_flight_find(cache, sc_text(key));
    bool listens = flight && flight->state == SCI_FLIGHT_WAITING && sci_flight_hears(flight);
    sci_client_unlock(client);
    return listens;
}
