/* The cache: get-or-load on a hit next to a bare GET, what a miss costs on the wire, and how long
   those who wait for another's load wait after it was published. */

#include "bench.h"

#include <pthread.h>

#define WAITERS 64
#define WAITER_CLIENTS 8
#define WAITER_ROUNDS 11
#define WAITER_BOUND_MS 2.0
/* So long a loader takes that all waiters are waiting when it ends. */
#define LOADER_TAKES_US 30000
#define MISS_ROUNDS 11

/* --- a hit */

typedef struct ends {
    sc_client *client;
    sc_cache *cache;
} ends;

static sc_status must_not_load(sc_load *load, void *user)
{
    (void)user;
    return sc_fail(SC_ERR_LOADER, "a miss of %.*s", (int)sc_load_key(load).len,
                   sc_load_key(load).data);
}

static void run_bare_get(void *user, size_t operations)
{
    const ends *to = (const ends *)user;
    sc_slice argv[2];
    argv[0] = sc_text("GET");
    argv[1] = sc_text(BENCH_KEY);
    while (operations--) {
        sc_reply *reply;
        bench_must(sc_command(to->client, argv, 2, NULL, &reply) == SC_OK, "GET");
        bench_must(sc_item_slice(sc_reply_item(reply)).len == BENCH_VALUE_BYTES, "a reply");
        sc_reply_release(reply);
    }
}

static void run_get(void *user, size_t operations)
{
    const ends *to = (const ends *)user;
    while (operations--) {
        sc_value *value;
        bench_must(sc_get(to->cache, sc_text(BENCH_KEY), &value) == SC_OK, "sc_get");
        bench_must(sc_value_bytes(value).len == BENCH_VALUE_BYTES, "a value");
        sc_value_release(value);
    }
}

static void run_get_or_load(void *user, size_t operations)
{
    const ends *to = (const ends *)user;
    while (operations--) {
        sc_value *value;
        bench_must(sc_get_or_load(to->cache, sc_text(BENCH_KEY), must_not_load, NULL, NULL,
                                  &value) == SC_OK,
                   "sc_get_or_load");
        bench_must(sc_value_bytes(value).len == BENCH_VALUE_BYTES, "a value");
        sc_value_release(value);
    }
}

static void compare_hit(ends *to)
{
    bench_side hit = bench_side_of("get_or_load", run_get_or_load, to);
    bench_side get = bench_side_of("sc_get", run_get, to);
    bench_side bare = bench_side_of("sc_command", run_bare_get, to);
    bench_side *sides[] = {&hit, &get, &bare};
    bench_put(BENCH_ONE_CORE);
    bench_compare(sides, 3);
    bench_line_latency("hit", &hit, &bare, 1.10);
    bench_line_latency("hit", &hit, &get, 1.10);
    bench_line_cpu("hit_cpu", &hit, &bare, 1.10);
}

/* --- a miss */

static sc_status load_at_once(sc_load *load, void *user)
{
    (void)user;
    return sc_load_write_text(load, "0123456789abcdef");
}

/* The winner's commands, as many of them as were sent in one go counting once. */
static void count_round_trips(ends *to)
{
    double sends[MISS_ROUNDS];
    for (size_t round = 0; round < MISS_ROUNDS; round++) {
        char key[32];
        sc_stats before;
        sc_stats after;
        sc_value *value;
        snprintf(key, sizeof key, "miss:%zu", round);
        sc_stats_get(to->client, &before);
        bench_must(sc_get_or_load(to->cache, sc_text(key), load_at_once, NULL, NULL, &value) ==
                       SC_OK,
                   "a miss");
        sc_stats_get(to->client, &after);
        sc_value_release(value);
        sends[round] = (double)(after.sends - before.sends);
    }
    double count = bench_median(sends, MISS_ROUNDS);
    bench_line("miss_round_trips", "", count, "get+acquire+store", 3, count / 3, false, 1.00);
}

/* --- waiters */

typedef struct crowd {
    sc_cache *caches[WAITER_CLIENTS]; /* each on a client of its own, as processes would be */
    sc_client *clients[WAITER_CLIENTS];
    size_t clients_used;
    char key[32];
    size_t loads;
    double loaded_ns; /* the loader has returned; publishing follows */
    double returned_ns[WAITERS];
    pthread_barrier_t returned; /* nobody ends, which takes longer, before all have returned */
} crowd;

typedef struct waiter {
    crowd *of;
    size_t index;
    pthread_t thread;
} waiter;

static sc_status load_slowly(sc_load *load, void *user)
{
    crowd *of = (crowd *)user;
    usleep(LOADER_TAKES_US);
    __atomic_add_fetch(&of->loads, 1, __ATOMIC_RELAXED);
    sc_status status = sc_load_write_text(load, "0123456789abcdef");
    of->loaded_ns = bench_now_ns();
    return status;
}

static void *wait_for_it(void *user)
{
    waiter *self = (waiter *)user;
    crowd *of = self->of;
    sc_value *value;
    bench_must(sc_get_or_load(of->caches[self->index % of->clients_used], sc_text(of->key),
                              load_slowly, of, NULL, &value) == SC_OK,
               "a waiter");
    of->returned_ns[self->index] = bench_now_ns();
    pthread_barrier_wait(&of->returned);
    sc_value_release(value);
    return NULL;
}

/* Milliseconds from the loader's end to the last waiter's return. */
static double wait_once(crowd *of, size_t round)
{
    waiter waiters[WAITERS];
    double last_ns = 0;
    snprintf(of->key, sizeof of->key, "wait:%zu:%zu", of->clients_used, round);
    of->loads = 0;
    for (size_t i = 0; i < WAITERS; i++) {
        waiters[i].of = of;
        waiters[i].index = i;
        bench_must(pthread_create(&waiters[i].thread, NULL, wait_for_it, &waiters[i]) == 0,
                   "no thread");
    }
    for (size_t i = 0; i < WAITERS; i++) {
        pthread_join(waiters[i].thread, NULL);
        if (of->returned_ns[i] > last_ns)
            last_ns = of->returned_ns[i];
    }
    bench_must(of->loads == 1, "one load was expected");
    return (last_ns - of->loaded_ns) / 1e6;
}

static void measure_waiters(crowd *of, const char *name, size_t clients)
{
    double took_ms[WAITER_ROUNDS];
    of->clients_used = clients;
    for (size_t round = 0; round < WAITER_ROUNDS; round++)
        took_ms[round] = wait_once(of, round);
    double median_ms = bench_median(took_ms, WAITER_ROUNDS);
    bench_line(name, "ms", median_ms, "bound", WAITER_BOUND_MS, median_ms / WAITER_BOUND_MS, false,
               1.00);
}

static void compare_waiters(void)
{
    crowd all;
    memset(&all, 0, sizeof all);
    pthread_barrier_init(&all.returned, NULL, WAITERS);
    bench_put(BENCH_ANYWHERE);
    for (size_t i = 0; i < WAITER_CLIENTS; i++) {
        all.clients[i] = bench_open(false);
        bench_must(sc_cache_open(all.clients[i], NULL, &all.caches[i]) == SC_OK, "no cache");
    }
    measure_waiters(&all, "waiters_64_on_one_client", 1);
    measure_waiters(&all, "waiters_64_on_8_clients", WAITER_CLIENTS);
    for (size_t i = 0; i < WAITER_CLIENTS; i++) {
        sc_cache_close(all.caches[i]);
        sc_close(all.clients[i]);
    }
    pthread_barrier_destroy(&all.returned);
}

int main(void)
{
    ends to;
    to.client = bench_open(false);
    bench_store_value(to.client);
    bench_must(sc_cache_open(to.client, NULL, &to.cache) == SC_OK, "no cache");
    compare_hit(&to);
    count_round_trips(&to);
    sc_cache_close(to.cache);
    sc_close(to.client);
    compare_waiters();
    return 0;
}
