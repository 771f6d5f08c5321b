/* A leader, of three processes, and a SQLite table that takes writes of the leader of its time alone.

   Three workers campaign. The one that leads writes, with its term, to a table that refuses terms
   older than the newest it has seen. This process observes who leads, and tells each leader in turn
   to end: it gives the leadership back as SIGTERM comes, and the next one leads at once, not when a
   lease has ended.

       cc -O2 -I. -o leader examples/leader.c -pthread -lsqlite3
       ./leader [redis://localhost:6379]

   Any Redis or Valkey will do, and no other program has to take part. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 3
#define MOMENT_US 5000

static const char *url;
static char file[] = "/tmp/leader.XXXXXX";
static const char *const names[WORKERS] = {"worker 1", "worker 2", "worker 3"};

static int fail(sc_status status)
{
    fprintf(stderr, "%s: %s\n", sc_status_name(status), sc_error_text());
    return 1;
}

static sqlite3 *open_database(void)
{
    sqlite3 *database = NULL;
    if (sqlite3_open(file, &database) != SQLITE_OK ||
        sqlite3_busy_timeout(database, 10000) != SQLITE_OK ||
        sqlite3_exec(database,
                     "CREATE TABLE IF NOT EXISTS totals"
                     " (id INTEGER PRIMARY KEY, who TEXT, term INTEGER)",
                     NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", file, sqlite3_errmsg(database));
        exit(1);
    }
    return database;
}

/* The fence: a row is added in the same statement as its term is compared with all before. */
static void write_total(sqlite3 *database, const char *who, int64_t term)
{
    sqlite3_stmt *insert = NULL;
    const char *sql = "INSERT INTO totals (who, term) SELECT ?1, ?2"
                      " WHERE ?2 >= (SELECT coalesce(max(term), 0) FROM totals)";
    if (sqlite3_prepare_v2(database, sql, -1, &insert, NULL) == SQLITE_OK &&
        sqlite3_bind_text(insert, 1, who, -1, SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_bind_int64(insert, 2, term) == SQLITE_OK)
        (void)sqlite3_step(insert);
    sqlite3_finalize(insert);
}

static int count(sqlite3 *database, const char *sql, const char *who)
{
    sqlite3_stmt *query = NULL;
    int number = -1;
    if (sqlite3_prepare_v2(database, sql, -1, &query, NULL) == SQLITE_OK &&
        (!who || sqlite3_bind_text(query, 1, who, -1, SQLITE_STATIC) == SQLITE_OK) &&
        sqlite3_step(query) == SQLITE_ROW)
        number = sqlite3_column_int(query, 0);
    sqlite3_finalize(query);
    return number;
}

static sc_status take_part(const char *name, sc_on_leader_changed on_leader_changed, void *user,
                           sc_client **client, sc_election **election)
{
    sc_config config = {0};
    sc_election_config options = {0};
    config.url = url;
    options.key = sc_text("leader:totals");
    options.name = sc_text(name);
    options.on_leader_changed = on_leader_changed;
    options.user = user;
    sc_status status = sc_open(&config, client);
    if (status == SC_OK)
        status = sc_election_open(*client, &options, election);
    return status;
}

/* Writes while it leads. SIGTERM gives the leadership back, and then ends it as ever. */
static int work(const char *name)
{
    sc_client *client = NULL;
    sc_election *election = NULL;
    sc_status status = take_part(name, NULL, NULL, &client, &election);
    if (status == SC_OK)
        status = sc_release_on_signal(client);
    if (status == SC_OK)
        status = sc_election_campaign(election);
    if (status != SC_OK)
        return fail(status);
    sqlite3 *database = open_database();
    for (;;) {
        int64_t term = sc_election_term(election); /* no I/O */
        if (term)
            write_total(database, name, term);
        usleep(MOMENT_US);
    }
}

static void print_leader(void *user, sc_election *election, sc_slice name, int64_t term)
{
    (void)user;
    (void)election;
    (void)term;
    if (name.len)
        printf("%.*s leads\n", (int)name.len, name.data);
}

/* The worker that leads, and not one of those that have ended. */
static int leading_worker(sc_election *election, const pid_t workers[WORKERS])
{
    for (;;) {
        sc_value *leader = NULL;
        if (sc_election_leader(election, &leader, NULL) == SC_OK) {
            sc_slice name = sc_value_bytes(leader);
            for (int i = 0; i < WORKERS; i++)
                if (workers[i] && name.len == strlen(names[i]) &&
                    memcmp(name.data, names[i], name.len) == 0) {
                    sc_value_release(leader);
                    return i;
                }
        }
        sc_value_release(leader);
        usleep(MOMENT_US);
    }
}

static int end(int result, const pid_t workers[WORKERS])
{
    for (int i = 0; i < WORKERS; i++)
        if (workers[i])
            kill(workers[i], SIGKILL);
    while (wait(NULL) > 0)
        continue;
    unlink(file);
    return result;
}

int main(int argc, char **argv)
{
    pid_t workers[WORKERS];
    sc_client *client = NULL;
    sc_election *election = NULL;
    url = argc > 1 ? argv[1] : NULL;
    int descriptor = mkstemp(file);
    if (descriptor < 0)
        return 1;
    close(descriptor);
    sqlite3_close(open_database());
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = fork();
        if (workers[i] == 0)
            return work(names[i]);
    }
    sc_status status = take_part("observer", print_leader, NULL, &client, &election);
    if (status != SC_OK)
        return end(fail(status), workers);
    sqlite3 *database = open_database();
    for (int round = 0; round < WORKERS; round++) {
        int leader = leading_worker(election, workers);
        while (count(database, "SELECT count(*) FROM totals WHERE who = ?1", names[leader]) == 0)
            usleep(MOMENT_US);
        kill(workers[leader], SIGTERM);
        waitpid(workers[leader], NULL, 0);
        workers[leader] = 0;
    }
    printf("leaders that wrote: %d\n",
           count(database, "SELECT count(DISTINCT who) FROM totals", NULL));
    printf("rows whose term is lower than one before: %d\n",
           count(database,
                 "SELECT count(*) FROM totals a, totals b"
                 " WHERE a.id < b.id AND a.term > b.term",
                 NULL));
    sqlite3_close(database);
    sc_election_close(election);
    sc_close(client);
    return end(0, workers);
}
