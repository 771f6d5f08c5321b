/* In a libuv program: a thousand get-or-loads without blocking, while the loop serves its own timer.
   The client is one descriptor to the loop (ports/smartcache_epoll.h, Linux); values are computed on
   libuv's thread pool.

       cc -O2 -I. -Iports examples/libuv_loop.c -o libuv_loop -luv -pthread
       ./libuv_loop [URL]

   Without a URL: the environment's SMARTCACHE_URL, else redis://localhost. */

#define SMARTCACHE_IMPLEMENTATION
#define SMARTCACHE_EPOLL_IMPLEMENTATION
#include "smartcache_epoll.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

/* Each key is asked for ten times at once, and loaded once. */
enum { REQUESTS = 1000, KEYS = 100, TICK_MS = 1, LOAD_MS = 5, TTL_MS = 10000 };

typedef struct program {
    uv_loop_t loop;
    uv_poll_t client_ready;
    uv_timer_t ticker;
    sc_client *client;
    int ticks;
    int loads;
    int values;
    int failures;
} program;

/* --- loading */

typedef struct job {
    uv_work_t work; /* first: it is cast */
    sc_load *load;
} job;

/* On a thread of the pool. */
static void compute(uv_work_t *work)
{
    sc_load *load = ((job *)work)->load;
    sc_slice key = sc_load_key(load);
    usleep(LOAD_MS * 1000); /* a query, or a calculation */
    (void)sc_load_write_text(load, "value of ");
    sc_load_finish(load, sc_load_write(load, key.data, key.len));
}

static void free_job(uv_work_t *work, int status)
{
    (void)status;
    free(work);
}

/* A callback: it runs in the loop, and must not take long. */
static sc_status begin_load(sc_load *load, void *user)
{
    program *self = (program *)user;
    job *begun = (job *)malloc(sizeof *begun);
    if (!begun)
        return SC_ERR_MEMORY;
    begun->load = load;
    self->loads++;
    if (uv_queue_work(&self->loop, &begun->work, compute, free_job) != 0) {
        free(begun);
        return sc_fail(SC_ERR_LOADER, "the thread pool takes no work");
    }
    return SC_PENDING;
}

/* --- the loop */

/* With nothing left to watch, uv_run returns. */
static void end_if_done(program *self)
{
    if (self->values + self->failures < REQUESTS || uv_is_closing((uv_handle_t *)&self->ticker))
        return;
    uv_close((uv_handle_t *)&self->client_ready, NULL);
    uv_close((uv_handle_t *)&self->ticker, NULL);
}

static void on_value(void *user, sc_status status, sc_value *value)
{
    program *self = (program *)user;
    if (status == SC_OK && sc_value_bytes(value).len > 0)
        self->values++;
    else if (self->failures++ == 0)
        fprintf(stderr, "%s: %s\n", sc_status_name(status), sc_error_text());
    end_if_done(self);
}

static void on_client_ready(uv_poll_t *poll, int status, int events)
{
    program *self = (program *)poll->data;
    (void)events;
    if (status == 0 && sc_epoll_run(self->client) == SC_OK)
        return;
    fprintf(stderr, "the client does not run: %s\n",
            status ? uv_strerror(status) : sc_error_text());
    self->failures = REQUESTS;
    end_if_done(self);
}

static void on_tick(uv_timer_t *timer)
{
    ((program *)timer->data)->ticks++;
}

static int watch(program *self)
{
    int error = uv_poll_init(&self->loop, &self->client_ready, sc_epoll_fd(self->client));
    if (error == 0)
        error = uv_poll_start(&self->client_ready, UV_READABLE, on_client_ready);
    if (error == 0)
        error = uv_timer_init(&self->loop, &self->ticker);
    if (error == 0)
        error = uv_timer_start(&self->ticker, on_tick, TICK_MS, TICK_MS);
    self->client_ready.data = self;
    self->ticker.data = self;
    if (error != 0)
        fprintf(stderr, "the loop: %s\n", uv_strerror(error));
    return error;
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
    (void)snprintf(prefix, sizeof prefix, "libuv:%ld:", (long)getpid());
    config.prefix = prefix;
    config.load.ttl_ms = TTL_MS;
    sc_status status = sc_cache_open(self->client, &config, &cache);
    if (status == SC_OK)
        status = ask(self, cache);
    if (status != SC_OK)
        fprintf(stderr, "%s: %s\n", sc_status_name(status), sc_error_text());
    else if (watch(self) == 0)
        (void)uv_run(&self->loop, UV_RUN_DEFAULT);
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
    int error = uv_loop_init(&self.loop);
    if (error != 0) {
        fprintf(stderr, "the loop: %s\n", uv_strerror(error));
        return 1;
    }
    sc_status status = open_client(&self, url);
    if (status != SC_OK)
        fprintf(stderr, "open: %s: %s\n", sc_status_name(status), sc_error_text());
    int is_right = status == SC_OK && run(&self);
    (void)sc_close(self.client);
    (void)uv_loop_close(&self.loop);
    return is_right ? 0 : 1;
}
