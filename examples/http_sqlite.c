/* An HTTP endpoint over SQLite whose query runs once, however many requests arrive at once, in
   however many of these servers.

       cc -O2 -I. examples/http_sqlite.c -o http_sqlite -lmicrohttpd -lsqlite3 -pthread
       ./http_sqlite [URL [PORT [DATABASE]]]

   Then: curl http://127.0.0.1:3000/ (genres and their tracks), /genres/7 (the longest tracks of a
   genre), /stats (queries run so far); curl -X DELETE http://127.0.0.1:3000/ after the data
   changed. Ends on SIGINT and SIGTERM, with the requests under way answered.

   URL: default the environment's SMARTCACHE_URL, else redis://localhost. PORT: default 3000; 0
   takes a free one. DATABASE: default a file in a temporary folder, removed at the end; a file that
   is not there is made, with tables as in the chinook sample and 300,000 tracks. Needs
   libmicrohttpd 0.9.73 or newer and SQLite 3.38 or newer. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    DEFAULT_PORT = 3000,
    MAX_CONNECTIONS = 1024,
    CONNECTION_TIMEOUT_S = 30,
    THREAD_STACK_BYTES = 256 * 1024,
    TTL_MS = 60 * 1000,
    WAIT_MS = 20 * 1000,
    NONE_TTL_MS = 2 * 1000, /* "there is no such genre" */
    DRAIN_MS = 5 * 1000,    /* at the end, for the requests under way */
    PATH_BYTES = 512
};

/* The keys; a genre's is KEY_GENRE and its number. */
#define KEY_REPORT "report"
#define KEY_GENRE "genre:"

typedef struct server {
    const char *database;
    sc_client *client;
    sc_cache *cache;
    pthread_mutex_t lock; /* over the counts */
    uint64_t requests;
    uint64_t queries;
    int under_way;
} server;

static void count(server *s, uint64_t *counter)
{
    pthread_mutex_lock(&s->lock);
    ++*counter;
    pthread_mutex_unlock(&s->lock);
}

/* --- the database */

static const char schema_and_rows[] =
    "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
    "BEGIN;"
    "CREATE TABLE genres (GenreId INTEGER PRIMARY KEY, Name TEXT NOT NULL);"
    "CREATE TABLE albums (AlbumId INTEGER PRIMARY KEY, Title TEXT NOT NULL, ArtistId INTEGER NOT "
    "NULL);"
    "CREATE TABLE tracks (TrackId INTEGER PRIMARY KEY, Name TEXT NOT NULL, AlbumId INTEGER,"
    " MediaTypeId INTEGER NOT NULL, GenreId INTEGER, Composer TEXT, Milliseconds INTEGER NOT NULL,"
    " Bytes INTEGER, UnitPrice NUMERIC NOT NULL);"
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25)"
    " INSERT INTO genres SELECT i, 'Genre ' || i FROM n;"
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000)"
    " INSERT INTO albums SELECT i, 'Album ' || i, i * 7919 % 4000 + 1 FROM n;"
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)"
    " INSERT INTO tracks SELECT i, 'Track ' || i, i / 12 + 1, i % 5 + 1, i * 31 % 25 + 1,"
    " 'Composer ' || (i * 104729 % 9000), 90000 + i * 48271 % 400000, 2000000 + i * 16807 % "
    "9000000,"
    " CASE i % 9 WHEN 0 THEN 1.99 ELSE 0.99 END FROM n;"
    "COMMIT;";

/* SQLite writes the JSON itself. */
static const char report_query[] =
    "SELECT json_group_array(json_object('genre', Name, 'tracks', tracks, 'artists', artists,"
    " 'hours', hours, 'price', price, 'longest', longest)) FROM ("
    " SELECT g.Name, count(*) AS tracks, count(DISTINCT a.ArtistId) AS artists,"
    "  round(sum(t.Milliseconds) / 3600000.0, 1) AS hours, round(sum(t.UnitPrice), 2) AS price,"
    "  max(t.Milliseconds) AS longest"
    " FROM tracks t JOIN albums a USING (AlbumId) JOIN genres g USING (GenreId)"
    " GROUP BY g.GenreId ORDER BY tracks DESC, g.Name)";

static const char genre_query[] =
    "SELECT CASE WHEN count(*) > 0 THEN json_group_array(json_object('track', Name, 'milliseconds',"
    " Milliseconds)) END FROM (SELECT Name, Milliseconds FROM tracks WHERE GenreId = ?1"
    " ORDER BY Milliseconds DESC, TrackId LIMIT 10)";

/* Makes the database under another name first, so that nobody ever sees half of it. */
static int make_database(const char *path)
{
    char draft[PATH_BYTES + 32];
    sqlite3 *db = NULL;
    snprintf(draft, sizeof draft, "%s.%ld", path, (long)getpid());
    int made = sqlite3_open(draft, &db) == SQLITE_OK &&
               sqlite3_exec(db, schema_and_rows, NULL, NULL, NULL) == SQLITE_OK;
    if (!made)
        fprintf(stderr, "%s: %s\n", draft, db ? sqlite3_errmsg(db) : "out of memory");
    sqlite3_close(db);
    if (made && rename(draft, path) != 0) {
        perror(path);
        made = 0;
    }
    if (!made)
        remove(draft);
    return made;
}

/* Run a query that gives one JSON text, or NULL for "there is none". A connection of its own costs
   little beside a query that needs a cache, and lets any number of keys be loaded at once. */
static sc_status run_query(server *s, const char *query, int64_t parameter, sc_load *load)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    sc_status status;

    count(s, &s->queries);
    int code = sqlite3_open_v2(s->database, &db, SQLITE_OPEN_READONLY, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(db, query, -1, &statement, NULL);
    if (code == SQLITE_OK && sqlite3_bind_parameter_count(statement) > 0)
        code = sqlite3_bind_int64(statement, 1, parameter);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code != SQLITE_ROW)
        status =
            sc_fail(SC_ERR_LOADER, "%s: %s", s->database, db ? sqlite3_errmsg(db) : "no memory");
    else if (sqlite3_column_type(statement, 0) == SQLITE_NULL)
        status = SC_MISS;
    else
        status = sc_load_write(load, sqlite3_column_text(statement, 0),
                               (size_t)sqlite3_column_bytes(statement, 0));
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return status;
}

/* The loader of every key: the key says which query. */
static sc_status load(sc_load *load, void *user)
{
    sc_slice key = sc_load_key(load); /* bytes, without a NUL at their end */
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)key.len, key.data);
    if (strncmp(name, KEY_GENRE, sizeof KEY_GENRE - 1) == 0)
        return run_query((server *)user, genre_query,
                         strtoll(name + sizeof KEY_GENRE - 1, NULL, 10), load);
    return run_query((server *)user, report_query, 0, load);
}

/* --- HTTP */

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned http_status,
                               struct MHD_Response *response)
{
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    if (http_status == MHD_HTTP_SERVICE_UNAVAILABLE || http_status == MHD_HTTP_GATEWAY_TIMEOUT)
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    if (http_status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, DELETE");
    enum MHD_Result queued = MHD_queue_response(connection, http_status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result respond_text(struct MHD_Connection *connection, unsigned http_status,
                                    const char *text)
{
    return respond(
        connection, http_status,
        MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY));
}

static void release_value(void *value)
{
    sc_value_release((sc_value *)value);
}

/* The value's bytes go to the socket without a copy; the response keeps the reference. */
static enum MHD_Result respond_value(struct MHD_Connection *connection, sc_value *value)
{
    sc_slice bytes = sc_value_bytes(value);
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback_cls(
        bytes.len, (void *)bytes.data, release_value, value);
    if (!response)
        sc_value_release(value);
    return respond(connection, MHD_HTTP_OK, response);
}

/* The words are for the log; a stranger gets the class of the error. */
static enum MHD_Result respond_error(struct MHD_Connection *connection, const char *url,
                                     sc_status status)
{
    if (status == SC_MISS)
        return respond_text(connection, MHD_HTTP_NOT_FOUND, "{\"error\": \"not found\"}\n");
    fprintf(stderr, "%s: %s: %s\n", url, sc_status_name(status), sc_error_text());
    switch (status) {
    case SC_ERR_NOT_SENT: /* another's query takes longer than WAIT_MS */
    case SC_ERR_TIMEOUT:
        return respond_text(connection, MHD_HTTP_GATEWAY_TIMEOUT, "{\"error\": \"timeout\"}\n");
    case SC_ERR_CONNECT:
    case SC_ERR_DISCONNECTED:
    case SC_ERR_RESOLVE:
    case SC_ERR_FULL:
    case SC_ERR_CLOSED:
        return respond_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
                            "{\"error\": \"unavailable\"}\n");
    default:
        return respond_text(connection, MHD_HTTP_INTERNAL_SERVER_ERROR,
                            "{\"error\": \"internal\"}\n");
    }
}

static enum MHD_Result respond_stats(server *s, struct MHD_Connection *connection)
{
    char text[128];
    pthread_mutex_lock(&s->lock);
    snprintf(text, sizeof text, "{\"queries\": %" PRIu64 ", \"requests\": %" PRIu64 "}\n",
             s->queries, s->requests);
    pthread_mutex_unlock(&s->lock);
    return respond_text(connection, MHD_HTTP_OK, text);
}

/* The key for a path, in `key`; 0 when the path names nothing. */
static int key_of_path(const char *path, char *key, size_t cap)
{
    static const char genres[] = "/genres/";
    const char *number = path + sizeof genres - 1;
    if (strcmp(path, "/") == 0) {
        snprintf(key, cap, "%s", KEY_REPORT);
        return 1;
    }
    if (strncmp(path, genres, sizeof genres - 1) != 0)
        return 0;
    size_t digits = strspn(number, "0123456789");
    if (digits == 0 || digits > 9 || number[digits] != '\0')
        return 0;
    snprintf(key, cap, "%s%ld", KEY_GENRE, strtol(number, NULL, 10)); /* 007 and 7 are one key */
    return 1;
}

static enum MHD_Result serve(server *s, struct MHD_Connection *connection, const char *path,
                             const char *method)
{
    char key[64];
    sc_value *value = NULL;
    if (strcmp(path, "/stats") == 0)
        return respond_stats(s, connection);
    if (!key_of_path(path, key, sizeof key))
        return respond_error(connection, path, SC_MISS);
    if (strcmp(method, MHD_HTTP_METHOD_DELETE) == 0) {
        sc_status status = sc_invalidate(s->cache, sc_text(key));
        return status < 0 ? respond_error(connection, path, status)
                          : respond_text(connection, MHD_HTTP_OK, "{}\n");
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0)
        return respond_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "{\"error\": \"method\"}\n");
    count(s, &s->requests);
    /* The one line that this example is about. */
    sc_status status = sc_get_or_load(s->cache, sc_text(key), load, s, NULL, &value);
    return status == SC_OK ? respond_value(connection, value)
                           : respond_error(connection, path, status);
}

/* What libmicrohttpd keeps for a request: that its headers came, then that it is counted as under
   way. */
static char headers_came;
static char is_under_way;

/* On a thread of the connection's own, so it may block. */
static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **request)
{
    server *s = (server *)user;
    (void)version;
    (void)upload;
    if (!*request) { /* the second call comes with the whole request */
        *request = &headers_came;
        return MHD_YES;
    }
    if (*upload_len > 0) { /* a body, which nothing here wants */
        *upload_len = 0;
        return MHD_YES;
    }
    pthread_mutex_lock(&s->lock);
    s->under_way++;
    pthread_mutex_unlock(&s->lock);
    *request = &is_under_way;
    return serve(s, connection, path, method);
}

static void on_completed(void *user, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode code)
{
    server *s = (server *)user;
    (void)connection;
    (void)code;
    if (*request != &is_under_way)
        return;
    pthread_mutex_lock(&s->lock);
    s->under_way--;
    pthread_mutex_unlock(&s->lock);
}

/* --- the program */

static struct MHD_Daemon *start_http(server *s, unsigned port)
{
    struct sockaddr_in loopback;
    memset(&loopback, 0, sizeof loopback);
    loopback.sin_family = AF_INET;
    loopback.sin_port = htons((uint16_t)port);
    loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return MHD_start_daemon(
        MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
            MHD_USE_ERROR_LOG,
        (uint16_t)port, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR,
        (struct sockaddr *)&loopback, MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTION_TIMEOUT_S, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)THREAD_STACK_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_END);
}

/* No new connections; the requests under way get their answers, but not for ever. */
static void stop_http(server *s, struct MHD_Daemon *daemon)
{
    struct timespec pause = {0, 10 * 1000000L};
    MHD_socket listening = MHD_quiesce_daemon(daemon);
    for (int waited_ms = 0; waited_ms < DRAIN_MS; waited_ms += 10) {
        pthread_mutex_lock(&s->lock);
        int under_way = s->under_way;
        pthread_mutex_unlock(&s->lock);
        if (under_way == 0)
            break;
        nanosleep(&pause, NULL);
    }
    MHD_stop_daemon(daemon);
    if (listening != MHD_INVALID_SOCKET)
        close(listening);
}

static sc_status open_cache(server *s, const char *url)
{
    sc_config config = {0};
    sc_cache_config cache_config = {0};
    config.url = url;
    cache_config.prefix = "example:http_sqlite:";
    cache_config.load.ttl_ms = TTL_MS;
    cache_config.load.negative_ttl_ms = NONE_TTL_MS;
    cache_config.load.wait_ms = WAIT_MS;
    sc_status status = sc_open(&config, &s->client);
    return status == SC_OK ? sc_cache_open(s->client, &cache_config, &s->cache) : status;
}

/* Serve until one of `signals`, which all threads leave to this one. */
static int run(server *s, const char *url, unsigned port, const sigset_t *signals)
{
    int received = 0;
    struct MHD_Daemon *daemon = NULL;
    sc_status status = open_cache(s, url);
    if (status != SC_OK)
        fprintf(stderr, "open: %s: %s\n", sc_status_name(status), sc_error_text());
    else if (!(daemon = start_http(s, port)))
        fprintf(stderr, "port %u of 127.0.0.1 cannot be served\n", port);
    if (daemon) {
        const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
        printf("serving http://127.0.0.1:%u/\n", info ? info->port : port);
        fflush(stdout);
        sigwait(signals, &received);
        stop_http(s, daemon);
        printf("stopped; %" PRIu64 " queries for %" PRIu64 " requests\n", s->queries, s->requests);
    }
    sc_cache_close(s->cache);
    sc_close(s->client);
    return daemon ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *url = argc > 1 ? argv[1] : getenv("SMARTCACHE_URL");
    long port = argc > 2 ? strtol(argv[2], NULL, 10) : DEFAULT_PORT;
    const char *parent = getenv("TMPDIR");
    char folder[PATH_BYTES] = "";
    char path[PATH_BYTES + 16];
    server s;
    sigset_t signals;

    memset(&s, 0, sizeof s);
    pthread_mutex_init(&s.lock, NULL);
    /* Before any thread starts, so that each inherits it and the signals wait for sigwait. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);

    if (port < 0 || port > 65535) {
        fprintf(stderr, "port %ld: expected 0 to 65535\n", port);
        return 2;
    }
    if (argc > 3) {
        snprintf(path, sizeof path, "%s", argv[3]);
    } else {
        snprintf(folder, sizeof folder, "%s/http_sqlite.XXXXXX",
                 parent && *parent ? parent : "/tmp");
        if (!mkdtemp(folder)) {
            perror(folder);
            return 1;
        }
        snprintf(path, sizeof path, "%s/chinook.db", folder);
    }
    s.database = path;
    int code =
        access(path, R_OK) == 0 || make_database(path) ? run(&s, url, (unsigned)port, &signals) : 1;
    if (folder[0]) {
        remove(path);
        rmdir(folder);
    }
    pthread_mutex_destroy(&s.lock);
    return code;
}
