/* A cache that builds and refreshes itself: the rows of a SQLite table as a list and as a hash, built
   in the background by whichever process leads, and swapped in at once.

   The sample of npm's smart-redis (Apache-2.0, https://www.npmjs.com/package/smart-redis) in C: the
   same keys and types, the same values. What its register() calls dataFetchingFn, cacheKeys,
   redisDataTypes, refreshInterval, idProp and name are `fetch`, `keys`, `interval_ms`, `id_prop` and
   `name` here.

       cc -O2 -I. -o refresh examples/refresh.c -pthread -lsqlite3
       ./refresh [redis://localhost:6379]

   Start it twice: one builds, the other takes over when it ends. This one ends by itself, after it
   has changed the table and seen the cache follow. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char file[] = "/tmp/refresh.XXXXXX";

static void must(bool is_fine, const char *what)
{
    if (is_fine)
        return;
    fprintf(stderr, "%s: %s\n", what, sc_error_text());
    exit(1);
}

static void change(const char *sql)
{
    sqlite3 *database = NULL;
    must(sqlite3_open(file, &database) == SQLITE_OK &&
             sqlite3_busy_timeout(database, 5000) == SQLITE_OK &&
             sqlite3_exec(database, sql, NULL, NULL, NULL) == SQLITE_OK,
         sqlite3_errmsg(database));
    sqlite3_close(database);
}

/* On a thread of the client's. Each row goes on as it comes: none of this grows with the table. */
static sc_status fetch(sc_job_run *run, void *user)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *query = NULL;
    sc_status status = SC_OK;
    int step = SQLITE_ERROR;
    (void)user;
    if (sqlite3_open(file, &database) == SQLITE_OK &&
        sqlite3_busy_timeout(database, 5000) == SQLITE_OK &&
        sqlite3_prepare_v2(database,
                           "SELECT json_object('id', id, 'value', value) FROM report ORDER BY id",
                           -1, &query, NULL) == SQLITE_OK)
        step = sqlite3_step(query);
    for (; step == SQLITE_ROW && status == SC_OK; step = sqlite3_step(query)) {
        sc_job_row row = {0};
        row.value = sc_text((const char *)sqlite3_column_text(query, 0));
        status = sc_job_add(run, &row);
    }
    if (status == SC_OK && step != SQLITE_DONE) /* what is in the cache stays */
        status = sc_fail(SC_ERR_LOADER, "%s: %s", file, sqlite3_errmsg(database));
    sqlite3_finalize(query);
    sqlite3_close(database);
    return status;
}

static void ended(void *user, sc_job *job, const sc_job_stats *stats)
{
    (void)user;
    (void)job;
    if (stats->status != SC_OK)
        printf("not built, the old one stays: %s\n", stats->words);
}

/* Prints the hash when it has so many fields. */
static bool shows(sc_client *client, size_t fields)
{
    sc_reply *reply = NULL;
    must(sc_command_strings(client, &reply, "HGETALL", "sample-key-hash", (const char *)NULL) ==
             SC_OK,
         "HGETALL");
    const sc_item *all = sc_reply_item(reply);
    bool is_it = sc_item_count(all) == 2 * fields;
    for (size_t i = 0; is_it && i + 1 < sc_item_count(all); i += 2) {
        sc_slice id = sc_item_slice(sc_item_at(all, i));
        sc_slice row = sc_item_slice(sc_item_at(all, i + 1));
        printf("  %.*s: %.*s\n", (int)id.len, id.data, (int)row.len, row.data);
    }
    sc_reply_release(reply);
    return is_it;
}

static void await_fields(sc_client *client, size_t fields)
{
    while (!shows(client, fields))
        usleep(20000);
}

int main(int argc, char **argv)
{
    const sc_job_key keys[2] = {{sc_text("sample-key-list"), SC_JOB_LIST},
                                {sc_text("sample-key-hash"), SC_JOB_HASH}};
    sc_config config = {0};
    sc_election_config election_config = {0};
    sc_job_config job_config = {0};
    sc_client *client = NULL;
    sc_election *election = NULL;
    sc_job *job = NULL;
    int descriptor = mkstemp(file);
    if (descriptor < 0)
        return 1;
    close(descriptor);
    change("CREATE TABLE report (id TEXT PRIMARY KEY, value TEXT);"
           "INSERT INTO report VALUES ('id1', 'value1'), ('id2', 'value2')");

    config.url = argc > 1 ? argv[1] : NULL;
    must(sc_open(&config, &client) == SC_OK, "no client");
    election_config.key = sc_text("sample-key");
    must(sc_election_open(client, &election_config, &election) == SC_OK, "no election");
    job_config.name = "sampleCacheName";
    job_config.keys = keys;
    job_config.key_count = 2;
    job_config.fetch = fetch;
    job_config.id_prop = "id";
    job_config.interval_ms = 100;
    job_config.on_end = ended;
    must(sc_job_open(election, &job_config, &job) == SC_OK, "no job");
    must(sc_election_campaign(election) == SC_OK, "no campaign");

    printf("built:\n");
    await_fields(client, 2);
    change("DELETE FROM report WHERE id = 'id2';"
           "UPDATE report SET value = 'changed' WHERE id = 'id1';"
           "INSERT INTO report VALUES ('id3', 'value3'), ('id4', 'value4')");
    printf("the table has changed:\n");
    await_fields(client, 3);

    sc_job_stats stats;
    must(sc_job_stats_get(job, &stats) == SC_OK, "no statistics");
    printf("%s: %lld rows\n", stats.builds > 1 ? "built again and again" : "another builds",
           (long long)stats.rows);
    sc_job_close(job);
    sc_election_close(election);
    (void)sc_close(client);
    unlink(file);
    return 0;
}
