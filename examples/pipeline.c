/* Pipelines: many commands in one round trip; the same as a transaction that watches a key; and the
   two neighbours, a script and a scan.

       cc -O2 -I. examples/pipeline.c -o pipeline -pthread
       ./pipeline [URL]

   Without a URL: the environment's SMARTCACHE_URL, else redis://localhost. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { KEYS = 1000, ATTEMPTS = 5 };

#define PREFIX "example:pipeline:"
#define KEY_ACCOUNT PREFIX "account"

static void failed(const char *what, sc_status status)
{
    fprintf(stderr, "%s: %s: %s\n", what, sc_status_name(status), sc_error_text());
}

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void name_key(char *key, size_t cap, int i)
{
    snprintf(key, cap, PREFIX "key:%d", i);
}

/* One after the other: a round trip each. */
static sc_status set_one_by_one(sc_client *client)
{
    sc_status status = SC_OK;
    for (int i = 0; i < KEYS && status == SC_OK; i++) {
        char key[64];
        name_key(key, sizeof key, i);
        status = sc_command_strings(client, NULL, "SET", key, "1", "EX", "60", (const char *)NULL);
    }
    return status;
}

/* All together. Adding fails for want of memory alone, and the run returns that, too. */
static sc_status set_in_a_pipeline(sc_client *client)
{
    sc_pipeline *pipeline = NULL;
    sc_reply *replies = NULL;
    sc_status status = sc_pipeline_open(client, &pipeline);
    for (int i = 0; i < KEYS && status == SC_OK; i++) {
        char key[64];
        name_key(key, sizeof key, i);
        sc_pipeline_begin(pipeline, "SET");
        sc_pipeline_text(pipeline, key);
        sc_pipeline_integer(pipeline, i);
        sc_pipeline_text(pipeline, "EX");
        sc_pipeline_integer(pipeline, 60);
    }
    if (status == SC_OK)
        status = sc_pipeline_run(pipeline, NULL, &replies);
    /* Each command has an answer of its own; an error among them is not an error of the run. */
    for (size_t i = 0; i < sc_reply_count(replies) && status == SC_OK; i++)
        status = sc_item_expect(sc_reply_at(replies, i), "OK");
    sc_reply_release(replies);
    sc_pipeline_close(pipeline);
    return status;
}

/* Take 30 from an account if there is so much, whoever else writes to it: watch, read, write.
   `meddle` writes in between, once, so that the first attempt has to fail. */
static sc_status withdraw(sc_client *client, bool meddle, int *attempts)
{
    sc_slice key = sc_text(KEY_ACCOUNT);
    sc_pipeline *pipeline = NULL;
    sc_status status = sc_pipeline_open(client, &pipeline);
    for (*attempts = 1; status == SC_OK; ++*attempts) {
        sc_reply *reply = NULL;
        int64_t balance = 0;
        status = sc_pipeline_watch(pipeline, &key, 1, NULL);
        if (status == SC_OK)
            status = sc_command_strings(client, &reply, "GET", KEY_ACCOUNT, (const char *)NULL);
        if (status == SC_OK)
            status = sc_item_integer(sc_reply_item(reply), &balance);
        sc_reply_release(reply);
        if (status == SC_OK && balance < 30)
            status = sc_fail(SC_ERR_ARGUMENT, "the account holds %lld only", (long long)balance);
        if (status == SC_OK && meddle && *attempts == 1)
            status =
                sc_command_strings(client, NULL, "INCRBY", KEY_ACCOUNT, "5", (const char *)NULL);
        if (status != SC_OK)
            break;
        sc_pipeline_add_strings(pipeline, "DECRBY", KEY_ACCOUNT, "30", (const char *)NULL);
        status = sc_pipeline_exec(pipeline, NULL, NULL);
        if (status == SC_OK)
            break;
        if (status == SC_CONFLICT && *attempts < ATTEMPTS)
            status = SC_OK; /* somebody wrote to it: read again */
    }
    sc_pipeline_close(pipeline);
    return status;
}

/* Compare and delete in one step on the server, known there by its SHA-1. */
static sc_status delete_if(sc_client *client, const char *expected, int64_t *deleted)
{
    static const char source[] = "if redis.call('GET', KEYS[1]) == ARGV[1] then return "
                                 "redis.call('DEL', KEYS[1]) end return 0";
    sc_slice key = sc_text(KEY_ACCOUNT);
    sc_slice arg = sc_text(expected);
    sc_script *script = NULL;
    sc_reply *reply = NULL;
    sc_status status = sc_script_create(NULL, source, &script);
    if (status == SC_OK)
        status = sc_eval(client, script, &key, 1, &arg, 1, NULL, &reply);
    if (status == SC_OK)
        status = sc_item_integer(sc_reply_item(reply), deleted);
    sc_reply_release(reply);
    sc_script_free(script);
    return status;
}

/* Walk over the keys in pages and remove them. */
static sc_status remove_all(sc_client *client, int *removed)
{
    sc_scan_config config = {0};
    sc_scan *scan = NULL;
    sc_slice words[2];
    config.match = sc_text(PREFIX "*");
    words[0] = sc_text("UNLINK");
    sc_status status = sc_scan_open(client, &config, &scan);
    while (status == SC_OK) {
        status = sc_scan_next(scan, &words[1], NULL);
        if (status == SC_OK)
            status = sc_command(client, words, 2, NULL, NULL);
        if (status == SC_OK)
            ++*removed;
    }
    sc_scan_close(scan);
    return status == SC_END ? SC_OK : status;
}

static sc_status show(sc_client *client)
{
    int attempts = 0;
    int removed = 0;
    int64_t deleted = 0;
    double began_ms = now_ms();
    sc_status status = set_one_by_one(client);
    double between_ms = now_ms();
    if (status == SC_OK)
        status = set_in_a_pipeline(client);
    if (status != SC_OK)
        return status;
    printf("%d commands one by one: %.1f ms; in a pipeline: %.1f ms\n", KEYS, between_ms - began_ms,
           now_ms() - between_ms);

    status = sc_command_strings(client, NULL, "SET", KEY_ACCOUNT, "100", (const char *)NULL);
    if (status == SC_OK)
        status = withdraw(client, true, &attempts);
    if (status != SC_OK)
        return status;
    printf("the transaction was executed at attempt %d\n", attempts);

    status = delete_if(client, "75", &deleted);
    if (status != SC_OK)
        return status;
    printf("the script deleted %" PRId64 " account of 75\n", deleted);

    status = remove_all(client, &removed);
    if (status == SC_OK)
        printf("the scan found %d keys\n", removed);
    return status;
}

int main(int argc, char **argv)
{
    sc_config config = {0};
    sc_client *client = NULL;
    config.url = argc > 1 ? argv[1] : getenv("SMARTCACHE_URL");
    sc_status status = sc_open(&config, &client);
    if (status == SC_OK)
        status = show(client);
    if (status != SC_OK)
        failed("pipeline", status);
    sc_close(client);
    return status == SC_OK ? 0 : 1;
}
