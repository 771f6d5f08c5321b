/* Wrapped functions: a function gets a name, and calling it with arguments runs it in one process
   of the fleet; callers with the same arguments get the same result.

       cc -O2 -I. examples/wrapped_function.c -o wrapped_function -pthread
       ./wrapped_function [URL]

   Without a URL: the environment's SMARTCACHE_URL, else redis://localhost. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSES = 4, WORK_MS = 300 };
enum { GOT_IT = 0, FAILED = 1, COMPUTED_IT = 10 };

static int failed(const char *what, sc_status status)
{
    fprintf(stderr, "%s: %s: %s\n", what, sc_status_name(status), sc_error_text());
    return FAILED;
}

/* sales(city, year): what the program would have called directly. */
static sc_status sales(sc_load *load, const sc_arg *args, size_t arg_count, void *user)
{
    struct timespec work = {0, WORK_MS * 1000000L};
    int *runs = (int *)user;
    sc_slice city;
    int64_t year = 0;
    char result[128];

    if (arg_count != 2)
        return sc_fail(SC_ERR_ARGUMENT, "sales(city, year) takes 2 arguments, not %zu", arg_count);
    sc_status status = sc_arg_get_bytes(&args[0], &city);
    if (status == SC_OK)
        status = sc_arg_get_integer(&args[1], &year);
    if (status != SC_OK)
        return status;
    ++*runs;
    nanosleep(&work, NULL);
    int len = snprintf(result, sizeof result,
                       "{\"city\": \"%.*s\", \"year\": %" PRId64 ", \"sales\": %zu}", (int)city.len,
                       city.data, year, city.len * 1000);
    if (len < 0 || (size_t)len >= sizeof result)
        return sc_fail(SC_ERR_LIMIT, "the city's name has %zu bytes, which is too long", city.len);
    return sc_load_write(load, result, (size_t)len);
}

static sc_status wrap_sales(const char *url, int *runs, sc_client **client, sc_wrapped **wrapped)
{
    sc_config config = {0};
    sc_wrap_config wrap = {0};
    config.url = url;
    wrap.key = "example_sales";
    wrap.function = sales;
    wrap.user = runs;
    wrap.ttl_ms = 60 * 1000;
    sc_status status = sc_open(&config, client);
    return status == SC_OK ? sc_wrap(*client, &wrap, wrapped) : status;
}

/* The same call in each of the processes. */
static int call(const char *url, int64_t year)
{
    sc_client *client = NULL;
    sc_wrapped *wrapped = NULL;
    sc_value *result = NULL;
    sc_arg args[2];
    int runs = 0;
    args[0] = sc_arg_text("Bern");
    args[1] = sc_arg_integer(year);

    sc_status status = wrap_sales(url, &runs, &client, &wrapped);
    if (status == SC_OK)
        status = sc_call(wrapped, args, 2, &result);
    if (status == SC_OK)
        printf("process %ld has %s%s\n", (long)getpid(), sc_value_bytes(result).data,
               runs ? ": it computed it" : "");
    else
        failed("sales", status);
    sc_value_release(result);
    sc_wrapped_close(wrapped);
    sc_close(client);
    return status != SC_OK ? FAILED : runs ? COMPUTED_IT : GOT_IT;
}

static int call_in_many_processes(const char *url, int64_t year)
{
    int computations = 0;
    bool all_well = true;
    for (int i = 0; i < PROCESSES; i++) {
        pid_t child = fork();
        if (child == 0)
            exit(call(url, year));
        all_well = all_well && child > 0;
    }
    for (int status; wait(&status) > 0;) {
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : FAILED;
        computations += code == COMPUTED_IT;
        all_well = all_well && code != FAILED;
    }
    return all_well ? computations : -1;
}

/* Arguments as JSON text, the key for a look by redis-cli, and forgetting a result. */
static sc_status show_more(sc_wrapped *wrapped, int64_t year)
{
    sc_value *result = NULL;
    sc_value *key = NULL;
    char json[64];
    sc_arg args[2];
    args[0] = sc_arg_text("Bern");
    args[1] = sc_arg_integer(year);
    snprintf(json, sizeof json, "[\"Bern\", %" PRId64 "]", year);

    sc_status status = sc_call_json(wrapped, json, &result);
    if (status == SC_OK)
        printf("sales%s is stored: %s\n", json, sc_value_bytes(result).data);
    sc_value_release(result);
    if (status == SC_OK)
        status = sc_call_key(wrapped, args, 2, &key);
    if (status == SC_OK)
        printf("under the key %s\n", sc_value_bytes(key).data);
    sc_value_release(key);
    return status == SC_OK ? sc_call_invalidate(wrapped, args, 2) : status;
}

int main(int argc, char **argv)
{
    const char *url = argc > 1 ? argv[1] : getenv("SMARTCACHE_URL");
    int64_t year = 1900 + (int64_t)(getpid() % 1000); /* arguments that nobody asked for before */
    sc_client *client = NULL;
    sc_wrapped *wrapped = NULL;
    int runs = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    int computations = call_in_many_processes(url, year);
    if (computations < 0)
        return FAILED;
    printf("%d processes called sales(\"Bern\", %" PRId64 "); computations: %d\n", PROCESSES, year,
           computations);

    sc_status status = wrap_sales(url, &runs, &client, &wrapped);
    if (status == SC_OK)
        status = show_more(wrapped, year);
    if (status != SC_OK)
        failed("sales", status);
    sc_wrapped_close(wrapped);
    sc_close(client);
    return status == SC_OK && runs == 0 ? 0 : FAILED;
}
