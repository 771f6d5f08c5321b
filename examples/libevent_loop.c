/* In a libevent program: a thousand get-or-loads without blocking, while the loop serves its own
   timer. The client is one descriptor to the loop (ports/smartcache_epoll.h, Linux), and one thread
   does it all.

       cc -O2 -I. -Iports examples/libevent_loop.c -o libevent_loop -levent_core -pthread
       ./libevent_loop [URL]

   Without a URL: the environment's SMARTCACHE_URL, else redis://localhost. */

#define SMARTCACHE_IMPLEMENTATION
#define SMARTCACHE_EPOLL_IMPLEMENTATION
#include "smartcache_epoll.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Each key is asked for ten times at once, and loaded once. */
enum { REQUESTS = 1000, KEYS = 100, TICK_US = 1000, LOAD_US = 100000, TTL_MS = 10000 };

typedef struct program {
    struct event_base *base;
    sc_client *client;
    int ticks;
    int loads;
    int values;
    int failures;
} program;

/* --- loading */

/* What the load waited for is there: an answer from another server, say. */
static void end_load(evutil_socket_t none, short what, void *argument)
{
    sc_load *load = (sc_load *)argument;
    sc_slice key = sc_load_key(load);
    (void)none;
    (void)what;
    (void)sc_load_write_text(load, "value of ");
    sc_load_finish(load, sc_load_write(load, key.data, key.len));
}

/* A callback: it runs in the loop, and must not block it. */
static sc_status begin_load(sc_load *load, void *user)
{
    program *self = (program *)user;
    const struct timeval delay = {0, LOAD_US};
    self->loads++;
    if (event_base_once(self->base, -1, EV_TIMEOUT, end_load, load, &delay) != 0)
        return sc_fail(SC_ERR_LOADER, "libevent takes no timer");
    return SC_PENDING;
}

/* --- the loop */

static void on_value(void *user, sc_status status, sc_value *value)
{
    program *self = (program *)user;
    if (status == SC_OK && sc_value_bytes(value).len > 0)
        self->values++;
    else if (self->failures++ == 0)
        fprintf(stderr, "%s: %s\n", sc_status_name(status), sc_error_text());
    if (self->values + self->failures == REQUESTS)
        (void)event_base_loopbreak(self->base);
}

static void on_client_ready(evutil_socket_t fd, short what, void *argument)
{
    program *self = (program *)argument;
    (void)fd;
    (void)what;
    if (sc_epoll_run(self->client) == SC_OK)
        return;
    fprintf(stderr, "the client does not run: %s\n", sc_error_text());
    (void)event_base_loopbreak(self->base);
}

static void on_tick(evutil_socket_t none, short what, void *argument)
{
    (void)none;
    (void)what;
    ((program *)argument)->ticks++;
}

/* Serve the client and the loop's own timer until all values are there. */
static void serve(program *self)
{
    const struct timeval interval = {0, TICK_US};
    struct event *client_ready = event_new(self->base, sc_epoll_fd(self->client),
                                           EV_READ | EV_PERSIST, on_client_ready, self);
    struct event *ticker = event_new(self->base, -1, EV_PERSIST, on_tick, self);
    if (client_ready && ticker && event_add(client_ready, NULL) == 0 &&
        event_add(ticker, &interval) == 0)
        (void)event_base_dispatch(self->base);
    else
        fprintf(stderr, "libevent takes no event\n");
    if (client_ready)
        event_free(client_ready);
    if (ticker)
        event_free(ticker);
}

/* --- the program */

static sc_status open_client(program *self, const char *url)
{
    sc_poller poller;
    sc_config config;
    memset(&config, 0, sizeof config);
    sc_epoll_poller(&poller);
    config.url = url;
    config.poller = &poller;
    config.polled = true; /* the loop drives it */
    return sc_open(&config, &self->client);
}

static sc_status ask(program *self, sc_cache *cache)
{
    sc_status status = SC_OK;
    for (int i = 0; i < REQUESTS && status == SC_OK; i++) {
        char key[16];
        int len = snprintf(key, sizeof key, "%d", i % KEYS);
        status = sc_get_or_load_async(cache, sc_bytes(key, (size_t)len), begin_load, self, NULL,
                                      on_value, self);
    }
    return status;
}

/* Returns whether everything was as it should be. */
static int run(program *self)
{
    char prefix[32]; /* of this run: nothing is there yet */
    sc_cache_config config;
    sc_cache *cache = NULL;
    memset(&config, 0, sizeof config);
    (void)snprintf(prefix, sizeof prefix, "libevent:%ld:", (long)getpid());
    config.prefix = prefix;
    config.load.ttl_ms = TTL_MS;
    sc_status status = sc_cache_open(self->client, &config, &cache);
    if (status == SC_OK)
        status = ask(self, cache);
    if (status == SC_OK)
        serve(self);
    else
        fprintf(stderr, "%s: %s\n", sc_status_name(status), sc_error_text());
    sc_cache_close(cache);
    printf("%d requests: %d values from %d loads, while the loop's timer ticked %s\n", REQUESTS,
           self->values, self->loads, self->ticks > 0 ? "on" : "not at all");
    printf("ticks: %d\n", self->ticks);
    return self->values == REQUESTS && self->loads == KEYS && self->ticks > 0;
}

int main(int argc, char **argv)
{
    program self;
    memset(&self, 0, sizeof self);
    const char *url = argc > 1 ? argv[1] : getenv("SMARTCACHE_URL");
    self.base = event_base_new();
    if (!self.base) {
        fprintf(stderr, "libevent gives no loop\n");
        return 1;
    }
    sc_status status = open_client(&self, url);
    if (status != SC_OK)
        fprintf(stderr, "open: %s: %s\n", sc_status_name(status), sc_error_text());
    int is_right = status == SC_OK && run(&self);
    (void)sc_close(self.client);
    event_base_free(self.base);
    return is_right ? 0 : 1;
}
