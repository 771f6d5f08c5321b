/* Threads: one client for all of them. Commands that are under way together share one connection
   and are sent together; a missing value is computed by one thread.

       cc -O2 -I. examples/threads.c -o threads -pthread
       ./threads [URL]

   Without a URL: the environment's SMARTCACHE_URL, else redis://localhost. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { THREADS = 32, COMMANDS_A_THREAD = 500, QUERY_MS = 200 };

#define KEY_COUNTER "example:threads:counter"
#define KEY_PRICES "example:threads:prices"

typedef struct shared {
    sc_client *client;
    sc_cache *cache;
    pthread_mutex_t lock; /* over the two counts */
    int loads;
    int failures;
} shared;

static void failed(const char *what, sc_status status)
{
    fprintf(stderr, "%s: %s: %s\n", what, sc_status_name(status), sc_error_text());
}

static void add_one(shared *all, int *count)
{
    pthread_mutex_lock(&all->lock);
    ++*count;
    pthread_mutex_unlock(&all->lock);
}

static sc_status load_prices(sc_load *load, void *user)
{
    struct timespec query = {0, QUERY_MS * 1000000L};
    shared *all = (shared *)user;
    add_one(all, &all->loads);
    nanosleep(&query, NULL);
    return sc_load_write_text(load, "{\"tea\": 3.2, \"coffee\": 4.1}");
}

/* Every function of a client and of a cache may be called by all threads at once. */
static void *work(void *user)
{
    shared *all = (shared *)user;
    sc_value *prices = NULL;
    sc_status status = SC_OK;
    for (int i = 0; i < COMMANDS_A_THREAD && status == SC_OK; i++)
        status = sc_command_strings(all->client, NULL, "INCR", KEY_COUNTER, (const char *)NULL);
    if (status == SC_OK)
        status = sc_get_or_load(all->cache, sc_text(KEY_PRICES), load_prices, all, NULL, &prices);
    if (status != SC_OK) {
        failed("a thread", status); /* the words are this thread's own */
        add_one(all, &all->failures);
    }
    sc_value_release(prices);
    return NULL;
}

static void print_counts(const shared *all)
{
    sc_stats stats;
    sc_reply *reply = NULL;
    int64_t counted = 0;
    sc_stats_get(all->client, &stats);
    printf("%d threads, %d commands each: %" PRIu64 " commands went out in %" PRIu64
           " sends on %zu connections\n",
           THREADS, COMMANDS_A_THREAD, stats.commands, stats.sends, stats.connections);
    sc_status status =
        sc_command_strings(all->client, &reply, "GET", KEY_COUNTER, (const char *)NULL);
    if (status == SC_OK)
        status = sc_item_integer(sc_reply_item(reply), &counted);
    if (status == SC_OK)
        printf("the counter stands at %" PRId64 "\n", counted);
    else
        failed("GET", status);
    sc_reply_release(reply);
    printf("%d threads asked for a missing value; loads: %d\n", THREADS, all->loads);
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    int started = 0;
    sc_config config = {0};
    shared all = {0};

    config.url = argc > 1 ? argv[1] : getenv("SMARTCACHE_URL");
    pthread_mutex_init(&all.lock, NULL);
    sc_status status = sc_open(&config, &all.client);
    if (status == SC_OK)
        status = sc_cache_open(all.client, NULL, &all.cache);
    if (status == SC_OK)
        status = sc_command_strings(all.client, NULL, "DEL", KEY_COUNTER, KEY_PRICES,
                                    (const char *)NULL);
    if (status != SC_OK) {
        failed("open", status);
        sc_close(all.client);
        return 1;
    }
    while (started < THREADS && pthread_create(&threads[started], NULL, work, &all) == 0)
        started++;
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (started == THREADS && all.failures == 0)
        print_counts(&all);
    (void)sc_command_strings(all.client, NULL, "DEL", KEY_COUNTER, KEY_PRICES, (const char *)NULL);
    sc_cache_close(all.cache);
    sc_close(all.client);
    pthread_mutex_destroy(&all.lock);
    return started == THREADS && all.failures == 0 ? 0 : 1;
}
