/* TLS: GET of 16 bytes one call at a time, and a value of 16 MiB up and down, next to bare OpenSSL
   (SSL_write and SSL_read of the same bytes on a blocking socket), to hiredis with TLS where it is
   installed, and to the same without TLS. */

#include "bench.h"

#define SMARTCACHE_OPENSSL_IMPLEMENTATION
#include "../ports/smartcache_openssl.h"

#ifdef BENCH_HIREDIS_SSL
#include <hiredis/hiredis_ssl.h>
#endif

#define LARGE_BYTES ((size_t)16 << 20)
#define LARGE_KEY "large"

typedef struct ends {
    sc_client *client;
    sc_client *plain;
    redisContext *hiredis;
    SSL *bare;
    char *bytes; /* LARGE_BYTES, and room for the words around them */
} ends;

static int tls_port(void)
{
    return atoi(bench_environment("BENCH_TLS_PORT"));
}

static sc_client *open_tls(const sc_transport *transport)
{
    char url[64];
    sc_config config;
    sc_client *client;
    snprintf(url, sizeof url, "rediss://127.0.0.1:%d", tls_port());
    memset(&config, 0, sizeof config);
    config.url = url;
    config.transport = transport;
    bench_must(sc_open(&config, &client) == SC_OK, "no client");
    return client;
}

static SSL *open_bare(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    bench_must(context &&
                   SSL_CTX_load_verify_locations(context, bench_environment("BENCH_TLS_CA"), NULL),
               "OpenSSL: no context");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL *bare = SSL_new(context);
    bench_must(bare && SSL_set_fd(bare, bench_open_port(tls_port())) && SSL_connect(bare) == 1,
               "OpenSSL: no connection");
    SSL_CTX_free(context);
    return bare;
}

static redisContext *open_hiredis(void)
{
#ifdef BENCH_HIREDIS_SSL
    redisContext *hiredis = redisConnect("127.0.0.1", tls_port());
    redisSSLContext *context =
        redisCreateSSLContext(bench_environment("BENCH_TLS_CA"), NULL, NULL, NULL, NULL, NULL);
    bench_must(hiredis && context && redisInitiateSSLWithContext(hiredis, context) == REDIS_OK,
               "hiredis: no connection");
    redisFreeSSLContext(context);
    return hiredis;
#else
    return NULL;
#endif
}

static void exchange_bare(SSL *bare, const char *request, size_t request_len, char *reply,
                          size_t reply_len)
{
    bench_must(SSL_write(bare, request, (int)request_len) == (int)request_len, "SSL_write");
    while (reply_len) {
        int got = SSL_read(bare, reply, (int)reply_len);
        bench_must(got > 0, "SSL_read");
        reply += got;
        reply_len -= (size_t)got;
    }
}

/* --- one call at a time */

static void get(sc_client *client, const char *key, size_t expected, size_t operations)
{
    sc_slice argv[2];
    argv[0] = sc_text("GET");
    argv[1] = sc_text(key);
    while (operations--) {
        sc_reply *reply;
        bench_must(sc_command(client, argv, 2, NULL, &reply) == SC_OK, "GET");
        bench_must(sc_item_slice(sc_reply_item(reply)).len == expected, "a wrong reply");
        sc_reply_release(reply);
    }
}

static void run_get(void *user, size_t operations)
{
    get(((ends *)user)->client, BENCH_KEY, BENCH_VALUE_BYTES, operations);
}

static void run_get_plain(void *user, size_t operations)
{
    get(((ends *)user)->plain, BENCH_KEY, BENCH_VALUE_BYTES, operations);
}

static void run_get_bare(void *user, size_t operations)
{
    static const char request[] = "*2\r\n$3\r\nGET\r\n$5\r\n" BENCH_KEY "\r\n";
    char reply[64];
    while (operations--)
        exchange_bare(((ends *)user)->bare, request, sizeof request - 1, reply,
                      strlen("$16\r\n") + BENCH_VALUE_BYTES + strlen("\r\n"));
}

static void run_get_hiredis(void *user, size_t operations)
{
    while (operations--) {
        redisReply *reply = (redisReply *)redisCommand(((ends *)user)->hiredis, "GET " BENCH_KEY);
        bench_must(reply && reply->len == BENCH_VALUE_BYTES, "hiredis: a wrong reply");
        freeReplyObject(reply);
    }
}

static void compare_round_trips(ends *to)
{
    bench_side ours = bench_side_of("ours", run_get, to);
    bench_side bare = bench_side_of("openssl", run_get_bare, to);
    bench_side plain = bench_side_of("plain", run_get_plain, to);
    bench_side hiredis = bench_side_of("hiredis", run_get_hiredis, to);
    bench_side *sides[] = {&ours, &bare, &plain, &hiredis};
    bench_compare(sides, to->hiredis ? 4 : 3);
    bench_line_latency("tls_get_16", &ours, &bare, 1.10);
    bench_line_latency("tls_get_16", &ours, &plain, 1.50);
    if (to->hiredis)
        bench_line_latency("tls_get_16", &ours, &hiredis, 1.00);
}

/* --- bulk */

static void run_large_get(void *user, size_t operations)
{
    get(((ends *)user)->client, LARGE_KEY, LARGE_BYTES, operations);
}

static void run_large_get_plain(void *user, size_t operations)
{
    get(((ends *)user)->plain, LARGE_KEY, LARGE_BYTES, operations);
}

static void run_large_get_bare(void *user, size_t operations)
{
    static const char request[] = "*2\r\n$3\r\nGET\r\n$5\r\n" LARGE_KEY "\r\n";
    ends *to = (ends *)user;
    while (operations--)
        exchange_bare(to->bare, request, sizeof request - 1, to->bytes,
                      strlen("$16777216\r\n") + LARGE_BYTES + strlen("\r\n"));
}

static void run_large_get_hiredis(void *user, size_t operations)
{
    while (operations--) {
        redisReply *reply = (redisReply *)redisCommand(((ends *)user)->hiredis, "GET " LARGE_KEY);
        bench_must(reply && reply->len == LARGE_BYTES, "hiredis: a wrong reply");
        freeReplyObject(reply);
    }
}

static void set(sc_client *client, const char *bytes, size_t operations)
{
    sc_slice argv[3];
    argv[0] = sc_text("SET");
    argv[1] = sc_text(LARGE_KEY);
    argv[2] = sc_bytes(bytes, LARGE_BYTES);
    while (operations--)
        bench_must(sc_command(client, argv, 3, NULL, NULL) == SC_OK, "SET");
}

static void run_large_set(void *user, size_t operations)
{
    set(((ends *)user)->client, ((ends *)user)->bytes, operations);
}

static void run_large_set_plain(void *user, size_t operations)
{
    set(((ends *)user)->plain, ((ends *)user)->bytes, operations);
}

static void run_large_set_bare(void *user, size_t operations)
{
    static const char head[] = "*3\r\n$3\r\nSET\r\n$5\r\n" LARGE_KEY "\r\n$16777216\r\n";
    ends *to = (ends *)user;
    char reply[8];
    while (operations--) {
        exchange_bare(to->bare, head, sizeof head - 1, reply, 0);
        exchange_bare(to->bare, to->bytes, LARGE_BYTES, reply, 0);
        exchange_bare(to->bare, "\r\n", 2, reply, strlen("+OK\r\n"));
    }
}

static void run_large_set_hiredis(void *user, size_t operations)
{
    ends *to = (ends *)user;
    while (operations--) {
        redisReply *reply =
            (redisReply *)redisCommand(to->hiredis, "SET " LARGE_KEY " %b", to->bytes, LARGE_BYTES);
        bench_must(reply && reply->type == REDIS_REPLY_STATUS, "hiredis: SET");
        freeReplyObject(reply);
    }
}

static void line(const char *name, const bench_side *ours, const bench_side *peer, double aim)
{
    double mb = (double)LARGE_BYTES / 1e6;
    bench_line(name, "MB/s", mb * 1e9 / ours->wall_ns, peer->name, mb * 1e9 / peer->wall_ns,
               1 / bench_wall_ratio(ours, peer), true, aim);
}

/* Ours, bare OpenSSL, plain, and hiredis. */
static void compare_bulk(const char *name, ends *to, void (*const *runs)(void *, size_t))
{
    static const char *const names[] = {"ours", "openssl", "plain", "hiredis"};
    static const double aims[] = {0, 0.90, 0.30, 1.00};
    bench_side sides[4];
    bench_side *all[4];
    size_t count = to->hiredis ? 4 : 3;
    for (size_t i = 0; i < count; i++) {
        sides[i] = bench_side_of(names[i], runs[i], to);
        sides[i].operations = 1;
        all[i] = &sides[i];
    }
    bench_compare(all, count);
    for (size_t i = 1; i < count; i++)
        line(name, &sides[0], &sides[i], aims[i]);
}

int main(void)
{
    static void (*const gets[])(void *, size_t) = {run_large_get, run_large_get_bare,
                                                   run_large_get_plain, run_large_get_hiredis};
    static void (*const sets[])(void *, size_t) = {run_large_set, run_large_set_bare,
                                                   run_large_set_plain, run_large_set_hiredis};
    sc_openssl_options options;
    sc_openssl *tls;
    sc_transport transport;
    ends to;
    memset(&options, 0, sizeof options);
    options.ca_file = bench_environment("BENCH_TLS_CA");
    bench_must(sc_openssl_create(&options, &tls) == SC_OK, "no TLS");
    sc_openssl_transport(tls, &transport);
    to.client = open_tls(&transport);
    to.plain = bench_open(true);
    to.hiredis = open_hiredis();
    to.bare = open_bare();
    to.bytes = (char *)malloc(LARGE_BYTES + 64);
    bench_must(to.bytes != NULL, "no memory");
    memset(to.bytes, 'v', LARGE_BYTES);
    bench_store_value(to.plain);
    bench_put(BENCH_ONE_CORE);
    compare_round_trips(&to);
    bench_put(BENCH_TWO_CORES);
    compare_bulk("tls_set_16MiB", &to, sets);
    compare_bulk("tls_get_16MiB", &to, gets);
    bench_must(sc_command_strings(to.plain, NULL, "DEL", LARGE_KEY, (const char *)NULL) == SC_OK,
               "DEL");
    close(SSL_get_fd(to.bare));
    SSL_free(to.bare);
    if (to.hiredis)
        redisFree(to.hiredis);
    sc_close(to.plain);
    sc_close(to.client);
    sc_openssl_free(tls);
    free(to.bytes);
    return 0;
}
