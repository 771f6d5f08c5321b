/* One kind of operation, so many times: bench/instructions runs it under callgrind with two counts
   and subtracts, so that starting and connecting do not count. `work SIDE CASE TIMES`. */

#include "bench.h"

#define BATCH 64
#define PIECE_BYTES ((size_t)16 * 1024)
#define INLINE_ITEMS 8
#define KEEP_ITEMS 256

typedef struct ends {
    sc_client *client;
    sc_cache *cache;
    redisContext *hiredis;
} ends;

static const char *const get_words[] = {"GET", BENCH_KEY};
static const char *const set_words[] = {"SET", BENCH_KEY, "0123456789abcdef"};

static void call_ours(const ends *to, const char *const *words, size_t count)
{
    sc_slice argv[3];
    sc_reply *reply;
    for (size_t i = 0; i < count; i++)
        argv[i] = sc_text(words[i]);
    bench_must(sc_command(to->client, argv, count, NULL, &reply) == SC_OK, "command");
    sc_reply_release(reply);
}

static void call_hiredis(const ends *to, const char *const *words, size_t count)
{
    const char *argv[3];
    size_t lens[3];
    for (size_t i = 0; i < count; i++) {
        argv[i] = words[i];
        lens[i] = strlen(words[i]);
    }
    void *reply = redisCommandArgv(to->hiredis, (int)count, argv, lens);
    bench_must(reply != NULL, "hiredis: no reply");
    freeReplyObject(reply);
}

static void get_ours(const ends *to, size_t times)
{
    while (times--)
        call_ours(to, get_words, 2);
}

static void get_hiredis(const ends *to, size_t times)
{
    while (times--)
        call_hiredis(to, get_words, 2);
}

static void set_ours(const ends *to, size_t times)
{
    while (times--)
        call_ours(to, set_words, 3);
}

static void set_hiredis(const ends *to, size_t times)
{
    while (times--)
        call_hiredis(to, set_words, 3);
}

static void batch_ours(const ends *to, size_t times)
{
    sc_pipeline *pipeline;
    sc_slice argv[2];
    argv[0] = sc_text("GET");
    argv[1] = sc_text(BENCH_KEY);
    bench_must(sc_pipeline_open(to->client, &pipeline) == SC_OK, "no pipeline");
    for (; times >= BATCH; times -= BATCH) {
        sc_reply *replies;
        for (size_t i = 0; i < BATCH; i++)
            bench_must(sc_pipeline_add(pipeline, argv, 2) == SC_OK, "add");
        bench_must(sc_pipeline_run(pipeline, NULL, &replies) == SC_OK, "run");
        bench_must(sc_reply_count(replies) == BATCH, "replies");
        sc_reply_release(replies);
    }
    sc_pipeline_close(pipeline);
}

static void batch_hiredis(const ends *to, size_t times)
{
    const char *argv[2] = {"GET", BENCH_KEY};
    size_t lens[2] = {3, strlen(BENCH_KEY)};
    for (; times >= BATCH; times -= BATCH) {
        for (size_t i = 0; i < BATCH; i++)
            redisAppendCommandArgv(to->hiredis, 2, argv, lens);
        for (size_t i = 0; i < BATCH; i++) {
            void *reply;
            bench_must(redisGetReply(to->hiredis, &reply) == REDIS_OK, "hiredis: no reply");
            freeReplyObject(reply);
        }
    }
}

static sc_status must_not_load(sc_load *load, void *user)
{
    (void)load;
    (void)user;
    return SC_ERR_LOADER;
}

static void hit_ours(const ends *to, size_t times)
{
    while (times--) {
        sc_value *value;
        bench_must(sc_get_or_load(to->cache, sc_text(BENCH_KEY), must_not_load, NULL, NULL,
                                  &value) == SC_OK,
                   "sc_get_or_load");
        sc_value_release(value);
    }
}

/* --- reading replies, in pieces as from a socket */

static size_t piece_of(const char *reply, char *piece)
{
    size_t len = strlen(reply);
    size_t replies = PIECE_BYTES / len;
    for (size_t i = 0; i < replies; i++)
        memcpy(piece + i * len, reply, len);
    return replies;
}

static void parse_ours(const char *reply, size_t times)
{
    static char piece[PIECE_BYTES];
    sc_item inline_items[INLINE_ITEMS];
    sc_memory memory;
    sci_reader reader;
    sci_items items;
    size_t replies = piece_of(reply, piece);
    bench_must(sci_platform_memory(&memory), "no memory table");
    sci_items_init(&items, &memory, inline_items, INLINE_ITEMS);
    sci_reader_init(&reader, NULL);
    while (times) {
        size_t start = 0;
        for (size_t i = 0; i < replies && times; i++, times--) {
            size_t used;
            sci_reader_target(&reader, &items);
            bench_must(sci_reader_read(&reader, piece + start, PIECE_BYTES - start, &used) == SC_OK,
                       "parse");
            start += used;
            sci_items_reset(&items, KEEP_ITEMS);
        }
    }
    sci_items_free(&items);
}

static void parse_hiredis(const char *reply, size_t times)
{
    static char piece[PIECE_BYTES];
    redisReader *reader = redisReaderCreate();
    size_t len = strlen(reply);
    size_t replies = piece_of(reply, piece);
    while (times) {
        size_t count = replies < times ? replies : times;
        bench_must(redisReaderFeed(reader, piece, count * len) == REDIS_OK, "hiredis: feed");
        for (size_t i = 0; i < count; i++) {
            void *result;
            bench_must(redisReaderGetReply(reader, &result) == REDIS_OK && result,
                       "hiredis: parse");
            freeReplyObject(result);
        }
        times -= count;
    }
    redisReaderFree(reader);
}

static bool parse(bool is_ours, const char *name, size_t times)
{
    static char array[4096] = "*100\r\n";
    char bulk[2048];
    const char *reply = NULL;
    if (!strcmp(name, "parse_ok"))
        reply = "+OK\r\n";
    else if (!strcmp(name, "parse_integer"))
        reply = ":123456\r\n";
    else if (!strcmp(name, "parse_bulk_16"))
        reply = "$16\r\n0123456789abcdef\r\n";
    if (!strcmp(name, "parse_bulk_64") || !strcmp(name, "parse_bulk_1024")) {
        int len = atoi(name + strlen("parse_bulk_"));
        snprintf(bulk, sizeof bulk, "$%d\r\n%0*d\r\n", len, len, 7);
        reply = bulk;
    } else if (!strcmp(name, "parse_array_100x16")) {
        for (int i = 0; i < 100; i++)
            strcat(array, "$16\r\n0123456789abcdef\r\n");
        reply = array;
    }
    if (!reply)
        return false;
    (is_ours ? parse_ours : parse_hiredis)(reply, times);
    return true;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run[2])(const ends *to, size_t times); /* ours, hiredis */
    } calls[] = {{"get_16", {get_ours, get_hiredis}},
                 {"get_16_batch_64", {batch_ours, batch_hiredis}},
                 {"set_16", {set_ours, set_hiredis}},
                 {"hit_16", {hit_ours, get_hiredis}}};
    bench_must(argc == 4, "usage: work ours|hiredis CASE TIMES");
    bool is_ours = !strcmp(argv[1], "ours");
    size_t times = (size_t)atol(argv[3]);
    if (parse(is_ours, argv[2], times))
        return 0;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        ends to;
        if (strcmp(calls[i].name, argv[2]) != 0)
            continue;
        to.client = bench_open(false);
        bench_store_value(to.client);
        bench_must(sc_cache_open(to.client, NULL, &to.cache) == SC_OK, "no cache");
        to.hiredis = bench_open_hiredis(false);
        calls[i].run[!is_ours](&to, times);
        redisFree(to.hiredis);
        sc_cache_close(to.cache);
        sc_close(to.client);
        return 0;
    }
    bench_must(false, "there is no such case");
}
