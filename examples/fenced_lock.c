/* A lock, and a resource that a holder from before cannot harm: a SQLite table that refuses fencing
   tokens older than the newest it has seen.

   A process takes the lock and is stopped in the middle of its work, for longer than its lease. Another
   one takes over and writes. The first wakes, believes that it still holds the lock, and writes: the
   table knows better.

       cc -O2 -I. -o fenced_lock examples/fenced_lock.c -pthread -lsqlite3
       ./fenced_lock [redis://localhost:6379]

   Any Redis or Valkey will do, and no other program has to take part. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *url;
static char file[] = "/tmp/fenced_lock.XXXXXX";

static sqlite3 *open_database(void)
{
    sqlite3 *database = NULL;
    if (sqlite3_open(file, &database) != SQLITE_OK ||
        sqlite3_exec(database,
                     "CREATE TABLE IF NOT EXISTS stock"
                     " (item TEXT PRIMARY KEY, amount INTEGER, fence INTEGER);"
                     "INSERT OR IGNORE INTO stock VALUES ('tea', 10, 1)",
                     NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", file, sqlite3_errmsg(database));
        exit(1);
    }
    return database;
}

/* The whole trick: the row keeps the highest token, and a write with a lower one finds no row. Token
   and write go in one statement. A token of 0, of who holds nothing, is too low from the start. True
   when it was taken. */
static bool sell_one(sqlite3 *database, int64_t fencing_token)
{
    sqlite3_stmt *update = NULL;
    const char *sql = "UPDATE stock SET amount = amount - 1, fence = ?1"
                      " WHERE item = 'tea' AND fence <= ?1";
    bool is_taken = sqlite3_prepare_v2(database, sql, -1, &update, NULL) == SQLITE_OK &&
                    sqlite3_bind_int64(update, 1, fencing_token) == SQLITE_OK &&
                    sqlite3_step(update) == SQLITE_DONE && sqlite3_changes(database) == 1;
    sqlite3_finalize(update);
    return is_taken;
}

static int amount(sqlite3 *database)
{
    sqlite3_stmt *query = NULL;
    int left = -1;
    if (sqlite3_prepare_v2(database, "SELECT amount FROM stock WHERE item = 'tea'", -1, &query,
                           NULL) == SQLITE_OK &&
        sqlite3_step(query) == SQLITE_ROW)
        left = sqlite3_column_int(query, 0);
    sqlite3_finalize(query);
    return left;
}

static void take_lock(sc_client **client, sc_lock **lock)
{
    sc_config config = {0};
    sc_lock_config options = {0};
    config.url = url;
    options.key = sc_text("fenced_lock:stock");
    options.ttl_ms = 2000; /* renewed while the process runs */
    sc_status status = sc_open(&config, client);
    if (status == SC_OK)
        status = sc_lock_open(*client, &options, lock);
    if (status == SC_OK)
        status = sc_lock_acquire(*lock, 0);
    if (status != SC_OK) {
        fprintf(stderr, "%s: %s\n", sc_status_name(status), sc_error_text());
        exit(1);
    }
}

/* Takes the lock, is stopped just before it writes, and writes when it goes on. */
static int slow_process(void)
{
    sc_client *client = NULL;
    sc_lock *lock = NULL;
    sqlite3 *database = open_database();
    take_lock(&client, &lock);
    int64_t fencing_token = sc_lock_fencing_token(lock);
    raise(SIGSTOP);
    bool is_taken = sell_one(database, fencing_token);
    printf("the first holder wakes and writes: %s\n", is_taken ? "taken!" : "refused");
    printf("its lock says: %s\n", sc_lock_release(lock) == SC_LOST ? "lost" : "held!");
    fflush(stdout);
    sqlite3_close(database);
    sc_lock_close(lock);
    sc_close(client);
    return is_taken;
}

int main(int argc, char **argv)
{
    sc_client *client = NULL;
    sc_lock *lock = NULL;
    int status = 0;
    url = argc > 1 ? argv[1] : NULL;
    int descriptor = mkstemp(file);
    if (descriptor < 0)
        return 1;
    close(descriptor);
    pid_t slow = fork();
    if (slow == 0)
        return slow_process();
    waitpid(slow, &status, WUNTRACED);
    if (!WIFSTOPPED(status)) {
        unlink(file);
        return 1;
    }
    printf("the first holder is stopped in the middle of its work\n");
    sqlite3 *database = open_database();
    take_lock(&client, &lock); /* when the lease has ended */
    printf("the second holder writes: %s\n",
           sell_one(database, sc_lock_fencing_token(lock)) ? "taken" : "refused!");
    fflush(stdout);
    kill(slow, SIGCONT);
    waitpid(slow, &status, 0);
    printf("sold: %d\n", 10 - amount(database));
    sqlite3_close(database);
    sc_lock_close(lock);
    sc_close(client);
    unlink(file);
    return 0;
}
