/* Get-or-load: four processes miss one key together; one computes the value, all get it. Then what
   a second call, a failing loader, "there is none" and an invalidation look like.

       cc -O2 -I. examples/get_or_load.c -o get_or_load -pthread
       ./get_or_load [URL]

   Without a URL: the environment's SMARTCACHE_URL, else redis://localhost. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSES = 4, QUERY_MS = 300 };

/* How a child tells its parent that it ran the loader. */
enum { GOT_IT = 0, FAILED = 1, LOADED_IT = 10 };

static int failed(const char *what, sc_status status)
{
    fprintf(stderr, "%s: %s: %s\n", what, sc_status_name(status), sc_error_text());
    return FAILED;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Stands for a slow query. `user` is the pointer that the caller of sc_get_or_load gave. */
static sc_status load_report(sc_load *load, void *user)
{
    struct timespec query = {0, QUERY_MS * 1000000L};
    int *runs = (int *)user;
    ++*runs;
    nanosleep(&query, NULL);
    sc_load_set_ttl(load, 60 * 1000); /* else the cache's: 30 minutes */
    return sc_load_write_text(load, "42 orders, 1,302.50 in all");
}

/* An error and its words reach everybody who waited for this load. */
static sc_status load_and_fail(sc_load *load, void *user)
{
    (void)user;
    return sc_fail(SC_ERR_LOADER, "the table of \"%.*s\" is locked", (int)sc_load_key(load).len,
                   sc_load_key(load).data);
}

static sc_status load_nothing(sc_load *load, void *user)
{
    int *runs = (int *)user;
    (void)load;
    ++*runs;
    return SC_MISS;
}

static sc_status open_cache(const char *url, sc_client **client, sc_cache **cache)
{
    sc_config config = {0};
    sc_cache_config cache_config = {0};
    config.url = url;
    cache_config.prefix = "example:get_or_load:";
    sc_status status = sc_open(&config, client);
    return status == SC_OK ? sc_cache_open(*client, &cache_config, cache) : status;
}

/* What each of the processes does. */
static int ask(const char *url, sc_slice key)
{
    sc_client *client = NULL;
    sc_cache *cache = NULL;
    sc_value *report = NULL;
    int runs = 0;
    int64_t began_ms = now_ms();

    sc_status status = open_cache(url, &client, &cache);
    if (status == SC_OK)
        status = sc_get_or_load(cache, key, load_report, &runs, NULL, &report);
    if (status == SC_OK)
        printf("process %ld has \"%s\" after %" PRId64 " ms%s\n", (long)getpid(),
               sc_value_bytes(report).data, now_ms() - began_ms, runs ? ": it ran the loader" : "");
    else
        failed("get or load", status);
    sc_value_release(report);
    sc_cache_close(cache);
    sc_close(client);
    return status != SC_OK ? FAILED : runs ? LOADED_IT : GOT_IT;
}

/* Returns how many of the processes ran the loader, or -1. */
static int ask_from_many_processes(const char *url, sc_slice key)
{
    int loads = 0;
    bool all_well = true;
    for (int i = 0; i < PROCESSES; i++) {
        pid_t child = fork();
        if (child == 0)
            exit(ask(url, key));
        all_well = all_well && child > 0;
    }
    for (int status; wait(&status) > 0;) {
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : FAILED;
        loads += code == LOADED_IT;
        all_well = all_well && code != FAILED;
    }
    return all_well ? loads : -1;
}

/* The other outcomes, one after the other. */
static sc_status show_outcomes(sc_cache *cache, sc_slice key)
{
    sc_load_options remember = {0};
    sc_value *value = NULL;
    int64_t ttl_ms = 0;
    int runs = 0;
    int misses = 0;

    sc_status status = sc_get_or_load(cache, key, load_report, &runs, NULL, &value);
    sc_value_release(value);
    if (status == SC_OK)
        status = sc_ttl(cache, key, &ttl_ms);
    if (status != SC_OK)
        return status;
    printf("a later call ran the loader %d times; the value lives %" PRId64 " s more\n", runs,
           (ttl_ms + 999) / 1000);

    sc_status load_failed =
        sc_get_or_load(cache, sc_text("prices"), load_and_fail, NULL, NULL, &value);
    printf("a failing loader: %s: %s\n", sc_status_name(load_failed), sc_error_text());

    remember.negative_ttl_ms = 1000;
    for (int i = 0; i < 2; i++) {
        status = sc_get_or_load(cache, sc_text("user:0"), load_nothing, &misses, &remember, &value);
        if (status != SC_MISS)
            return status;
    }
    printf("asked twice for what there is not: the loader ran %d time\n", misses);

    /* The source has changed: whoever asks after this returns gets what was loaded after it. */
    status = sc_invalidate(cache, sc_text("user:0"));
    if (status == SC_OK)
        status = sc_invalidate(cache, key);
    if (status == SC_OK)
        printf("after the invalidation: %s\n", sc_status_message(sc_get(cache, key, &value)));
    return status;
}

int main(int argc, char **argv)
{
    const char *url = argc > 1 ? argv[1] : getenv("SMARTCACHE_URL");
    sc_client *client = NULL;
    sc_cache *cache = NULL;
    char key[32];

    setvbuf(stdout, NULL, _IOLBF, 0); /* lines of several processes */
    snprintf(key, sizeof key, "report:%ld", (long)getpid());
    int loads = ask_from_many_processes(url, sc_text(key));
    if (loads < 0)
        return FAILED;
    printf("%d processes asked at once; loads: %d\n", PROCESSES, loads);

    sc_status status = open_cache(url, &client, &cache);
    if (status == SC_OK)
        status = show_outcomes(cache, sc_text(key));
    if (status != SC_OK)
        failed("the outcomes", status);
    sc_cache_close(cache);
    sc_close(client);
    return status == SC_OK ? 0 : FAILED;
}
