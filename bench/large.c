/* A value of 64 MiB up and down, whole and in pieces, next to hiredis. Client and server on two
 * cores. */

#include "bench.h"

#define LARGE_BYTES ((size_t)64 << 20)
#define LARGE_KEY "large"

typedef struct ends {
    sc_client *client;
    redisContext *hiredis;
    char *bytes;
    size_t at; /* in an upload or download */
} ends;

static void run_set(void *user, size_t operations)
{
    const ends *to = (const ends *)user;
    sc_slice argv[3];
    argv[0] = sc_text("SET");
    argv[1] = sc_text(LARGE_KEY);
    argv[2] = sc_bytes(to->bytes, LARGE_BYTES);
    while (operations--)
        bench_must(sc_command(to->client, argv, 3, NULL, NULL) == SC_OK, "SET");
}

static sc_status give(void *user, void *buffer, size_t cap, size_t *filled)
{
    ends *to = (ends *)user;
    *filled = LARGE_BYTES - to->at < cap ? LARGE_BYTES - to->at : cap;
    memcpy(buffer, to->bytes + to->at, *filled);
    to->at += *filled;
    return SC_OK;
}

static void run_upload(void *user, size_t operations)
{
    ends *to = (ends *)user;
    sc_slice argv[2];
    argv[0] = sc_text("SET");
    argv[1] = sc_text(LARGE_KEY);
    while (operations--) {
        to->at = 0;
        bench_must(sc_upload(to->client, argv, 2, LARGE_BYTES, give, to, NULL, NULL) == SC_OK,
                   "upload");
    }
}

static void run_set_hiredis(void *user, size_t operations)
{
    const ends *to = (const ends *)user;
    const char *argv[3] = {"SET", LARGE_KEY, to->bytes};
    size_t lens[3] = {3, strlen(LARGE_KEY), LARGE_BYTES};
    while (operations--) {
        redisReply *reply = (redisReply *)redisCommandArgv(to->hiredis, 3, argv, lens);
        bench_must(reply && reply->type == REDIS_REPLY_STATUS, "hiredis: SET");
        freeReplyObject(reply);
    }
}

static void run_get(void *user, size_t operations)
{
    const ends *to = (const ends *)user;
    sc_slice argv[2];
    argv[0] = sc_text("GET");
    argv[1] = sc_text(LARGE_KEY);
    while (operations--) {
        sc_reply *reply;
        bench_must(sc_command(to->client, argv, 2, NULL, &reply) == SC_OK, "GET");
        bench_must(sc_item_slice(sc_reply_item(reply)).len == LARGE_BYTES, "a reply");
        sc_reply_release(reply);
    }
}

/* Into memory of the program's, as a download into a file would be. */
static sc_status take(void *user, size_t total, sc_slice piece)
{
    ends *to = (ends *)user;
    if (to->at + piece.len > total)
        return SC_ERR_PROTOCOL;
    memcpy(to->bytes + to->at, piece.data, piece.len);
    to->at += piece.len;
    return SC_OK;
}

static void run_download(void *user, size_t operations)
{
    ends *to = (ends *)user;
    sc_slice argv[2];
    argv[0] = sc_text("GET");
    argv[1] = sc_text(LARGE_KEY);
    while (operations--) {
        to->at = 0;
        bench_must(sc_download(to->client, argv, 2, take, to, NULL) == SC_OK, "download");
        bench_must(to->at == LARGE_BYTES, "a download is short");
    }
}

static void run_get_hiredis(void *user, size_t operations)
{
    const ends *to = (const ends *)user;
    const char *argv[2] = {"GET", LARGE_KEY};
    size_t lens[2] = {3, strlen(LARGE_KEY)};
    while (operations--) {
        redisReply *reply = (redisReply *)redisCommandArgv(to->hiredis, 2, argv, lens);
        bench_must(reply && reply->len == LARGE_BYTES, "hiredis: GET");
        freeReplyObject(reply);
    }
}

static void line(const char *name, const bench_side *ours, const bench_side *peer)
{
    char text[64];
    double mb = (double)LARGE_BYTES / 1e6;
    bench_line(name, "MB/s", mb * 1e9 / ours->wall_ns, peer->name, mb * 1e9 / peer->wall_ns,
               1 / bench_wall_ratio(ours, peer), true, 1.00);
    snprintf(text, sizeof text, "%s_cpu", name);
    bench_line(text, "ms", ours->cpu_ns / 1e6, peer->name, peer->cpu_ns / 1e6,
               bench_cpu_ratio(ours, peer), false, 1.00);
}

static void compare(const char *whole_name, const char *pieces_name, bench_side whole,
                    bench_side pieces, bench_side hiredis)
{
    bench_side *sides[] = {&whole, &pieces, &hiredis};
    for (size_t i = 0; i < 3; i++)
        sides[i]->operations = 1;
    bench_compare(sides, 3);
    line(whole_name, &whole, &hiredis);
    line(pieces_name, &pieces, &hiredis);
}

int main(void)
{
    ends to;
    to.client = bench_open(false);
    to.hiredis = bench_open_hiredis(false);
    to.bytes = (char *)malloc(LARGE_BYTES);
    bench_must(to.bytes != NULL, "no memory");
    memset(to.bytes, 'v', LARGE_BYTES);
    bench_put(BENCH_TWO_CORES);
    compare("set_64MiB", "upload_64MiB", bench_side_of("ours", run_set, &to),
            bench_side_of("ours", run_upload, &to), bench_side_of("hiredis", run_set_hiredis, &to));
    compare("get_64MiB", "download_64MiB", bench_side_of("ours", run_get, &to),
            bench_side_of("ours", run_download, &to),
            bench_side_of("hiredis", run_get_hiredis, &to));
    bench_must(sc_command_strings(to.client, NULL, "DEL", LARGE_KEY, (const char *)NULL) == SC_OK,
               "DEL");
    redisFree(to.hiredis);
    sc_close(to.client);
    free(to.bytes);
    return 0;
}
