#pragma once
/* What the tests of get-or-load share: loaders that count and can be held, threads that ask, and
   asynchronous outcomes. */

#include "client_test.h"

#include <pthread.h>

/* Where values come from. Zeros: each load gives the text "load N", N being its number. One source
   serves any number of threads. */
typedef struct source {
    uint32_t loads;        /* begun; atomic */
    uint32_t running;      /* now; atomic */
    uint32_t most_running; /* at once */
    uint32_t is_held;      /* loads wait until it is 0; atomic */
    uint32_t is_voided;    /* some load found itself void before it ended; atomic */
    sc_status status;      /* what loads return */
    const char *words;     /* of an error */
    sc_slice value;        /* instead of the text, when `data` is not NULL */
    int64_t pause_ms;      /* how long a load takes */
    int64_t ttl_ms;        /* by sc_load_set_ttl, when not 0 */
} source;

/* A loader that asks for its own key; `user`: the cache. */
sc_status load_asking_for_itself(sc_load *load, void *user);

/* An sc_loader; `user` is the source. */
sc_status source_load(sc_load *load, void *user);
void source_hold(source *from);
void source_release(source *from);
uint32_t source_loads(const source *from);
uint32_t source_running(const source *from);

#define CALLER_TEXT_BYTES 64

/* A thread that calls sc_get_or_load once. */
typedef struct caller {
    pthread_t thread;
    sc_cache *cache;
    sc_slice key;
    source *from;
    const sc_load_options *options;
    uint32_t is_done; /* atomic */
    sc_status status;
    size_t len;
    char text[CALLER_TEXT_BYTES]; /* the value's first bytes */
    char words[SC_ERROR_TEXT_BYTES];
} caller;

void callers_start(caller *callers, size_t count, sc_cache *cache, const char *key, source *from,
                   const sc_load_options *options);
/* Start one that loads: when this returns its loader runs, and is held until source_release. */
void caller_load(caller *self, sc_cache *cache, const char *key, source *from,
                 const sc_load_options *options);
void callers_join(caller *callers, size_t count);
size_t callers_done(const caller *callers, size_t count);
/* Each ended so: SC_OK with this value, or another status with these words in its text (NULL: any).
 */
void callers_expect(const caller *callers, size_t count, sc_status status, const char *text);

/* How an asynchronous call ended. */
typedef struct arrival {
    uint32_t calls; /* of the callback; atomic */
    sc_status status;
    size_t len;
    char text[CALLER_TEXT_BYTES];
    char words[SC_ERROR_TEXT_BYTES];
} arrival;

/* An sc_on_value; `user` is the arrival. */
void arrival_take(void *user, sc_status status, sc_value *value);
bool arrival_is_in(const arrival *result);
/* Wait for it, driving the client. Asserts. */
void arrival_wait(sc_client *client, const arrival *result);

/* A cache that must come about. */
sc_cache *cache_open(sc_client *client, const char *prefix);
/* Zeros. */
sc_load_options load_options(void);
/* Ask on this thread; the value must be this text. */
void cache_expect(sc_cache *cache, const char *key, source *from, const sc_load_options *options,
                  const char *text);
/* The stored value must be this text, or be missing (NULL). Asks by the fixture, not the client. */
void server_expect(const char *key, const char *text);
void server_expect_keys(int64_t count);
