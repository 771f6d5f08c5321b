/* One call at a time, client and server on one core: GET of 16 bytes and SET of 64, next to hiredis
   and to send and recv of the same bytes. */

#include "bench.h"

#define SET_VALUE_BYTES 64

/* The words of a command, and its bytes and the reply's, as they go over the wire. */
typedef struct call {
    const char *words[3];
    size_t lens[3];
    size_t count;
    char request[256];
    size_t request_len;
    size_t reply_len;
} call;

typedef struct ends {
    const call *what;
    sc_client *client;
    redisContext *hiredis;
    int raw;
} ends;

static void run_ours(void *user, size_t operations)
{
    const ends *to = (const ends *)user;
    sc_slice argv[3];
    for (size_t i = 0; i < to->what->count; i++)
        argv[i] = sc_bytes(to->what->words[i], to->what->lens[i]);
    while (operations--) {
        sc_reply *reply;
        bench_must(sc_command(to->client, argv, to->what->count, NULL, &reply) == SC_OK, "command");
        bench_must(sc_item_slice(sc_reply_item(reply)).len > 0, "an empty reply");
        sc_reply_release(reply);
    }
}

static void run_hiredis(void *user, size_t operations)
{
    const ends *to = (const ends *)user;
    const char *argv[3];
    memcpy(argv, to->what->words, sizeof argv);
    while (operations--) {
        redisReply *reply =
            (redisReply *)redisCommandArgv(to->hiredis, (int)to->what->count, argv, to->what->lens);
        bench_must(reply && reply->len > 0, "hiredis: an empty reply");
        freeReplyObject(reply);
    }
}

static void run_raw(void *user, size_t operations)
{
    const ends *to = (const ends *)user;
    while (operations--)
        bench_raw_exchange(to->raw, to->what->request, to->what->request_len, to->what->reply_len);
}

static void compare(const char *name, const call *what, bool is_tcp)
{
    char text[64];
    ends to;
    to.what = what;
    to.client = bench_open(is_tcp);
    to.hiredis = bench_open_hiredis(is_tcp);
    to.raw = bench_open_raw(is_tcp);
    bench_store_value(to.client);
    bench_side ours = bench_side_of("ours", run_ours, &to);
    bench_side hiredis = bench_side_of("hiredis", run_hiredis, &to);
    bench_side raw = bench_side_of("raw", run_raw, &to);
    bench_side *sides[] = {&ours, &raw, &hiredis};
    bench_compare(sides, 3);
    bench_line_latency(name, &ours, &raw, 1.05);
    bench_line_latency(name, &ours, &hiredis, 1.00);
    snprintf(text, sizeof text, "%s_cpu", name);
    bench_line_cpu(text, &ours, &hiredis, 1.00);
    sc_close(to.client);
    redisFree(to.hiredis);
    close(to.raw);
}

static void add_word(call *what, const char *word)
{
    what->words[what->count] = word;
    what->lens[what->count++] = strlen(word);
}

static void encode(call *what, size_t reply_len)
{
    char *at = what->request;
    at += sprintf(at, "*%zu\r\n", what->count);
    for (size_t i = 0; i < what->count; i++)
        at += sprintf(at, "$%zu\r\n%s\r\n", what->lens[i], what->words[i]);
    what->request_len = (size_t)(at - what->request);
    what->reply_len = reply_len;
}

int main(void)
{
    char value[SET_VALUE_BYTES + 1];
    call get;
    call set;
    memset(&get, 0, sizeof get);
    memset(&set, 0, sizeof set);
    memset(value, 'v', SET_VALUE_BYTES);
    value[SET_VALUE_BYTES] = '\0';
    add_word(&get, "GET");
    add_word(&get, BENCH_KEY);
    encode(&get, strlen("$16\r\n") + BENCH_VALUE_BYTES + strlen("\r\n"));
    add_word(&set, "SET");
    add_word(&set, "key:2");
    add_word(&set, value);
    encode(&set, strlen("+OK\r\n"));
    bench_put(BENCH_ONE_CORE);
    compare("get_16_unix", &get, false);
    compare("get_16_tcp", &get, true);
    compare("set_64_unix", &set, false);
    compare("set_64_tcp", &set, true);
    return 0;
}
