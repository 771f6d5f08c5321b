/* Pipelined GET of 16 bytes, client and server on two cores: a batch is sent in one go, then all
   its replies are read. Next to hiredis (redisAppendCommandArgv, redisGetReply), redis-benchmark,
   and send and recv of the same bytes. */

#include "bench.h"

#include <sys/resource.h>

#define MOST_DEPTH 1000
#define REDIS_BENCHMARK_OPERATIONS 200000
#define REDIS_BENCHMARK_RUNS 7

typedef struct ends {
    size_t depth;
    sc_pipeline *pipeline;
    redisContext *hiredis;
    int raw;
    char *request;
    size_t request_len;
} ends;

/* Whole batches only. */
static size_t batches(const ends *to, size_t operations)
{
    return (operations + to->depth - 1) / to->depth;
}

static void run_ours(void *user, size_t operations)
{
    const ends *to = (const ends *)user;
    sc_slice argv[2];
    argv[0] = sc_text("GET");
    argv[1] = sc_text(BENCH_KEY);
    for (size_t left = batches(to, operations); left; left--) {
        sc_reply *replies;
        for (size_t i = 0; i < to->depth; i++)
            bench_must(sc_pipeline_add(to->pipeline, argv, 2) == SC_OK, "add");
        bench_must(sc_pipeline_run(to->pipeline, NULL, &replies) == SC_OK, "run");
        for (size_t i = 0; i < to->depth; i++)
            bench_must(sc_item_slice(sc_reply_at(replies, i)).len == BENCH_VALUE_BYTES, "a reply");
        sc_reply_release(replies);
    }
}

static void run_hiredis(void *user, size_t operations)
{
    const ends *to = (const ends *)user;
    const char *argv[2] = {"GET", BENCH_KEY};
    size_t lens[2] = {3, strlen(BENCH_KEY)};
    for (size_t left = batches(to, operations); left; left--) {
        for (size_t i = 0; i < to->depth; i++)
            redisAppendCommandArgv(to->hiredis, 2, argv, lens);
        for (size_t i = 0; i < to->depth; i++) {
            void *reply;
            bench_must(redisGetReply(to->hiredis, &reply) == REDIS_OK, "hiredis: no reply");
            bench_must(((redisReply *)reply)->len == BENCH_VALUE_BYTES, "hiredis: a reply");
            freeReplyObject(reply);
        }
    }
}

static void run_raw(void *user, size_t operations)
{
    const ends *to = (const ends *)user;
    size_t reply_len = strlen("$16\r\n\r\n") + BENCH_VALUE_BYTES;
    for (size_t left = batches(to, operations); left; left--)
        bench_raw_exchange(to->raw, to->request, to->request_len, to->depth * reply_len);
}

/* Another process, with its own start and end: CPU of the child, the rate as it says. */
static void measure_redis_benchmark(size_t depth, bench_side *side)
{
    double rates[REDIS_BENCHMARK_RUNS];
    double cpu_ns[REDIS_BENCHMARK_RUNS];
    char arguments[128];
    snprintf(arguments, sizeof arguments, "-c 1 -P %zu GET %s", depth, BENCH_KEY);
    for (size_t run = 0; run < REDIS_BENCHMARK_RUNS; run++) {
        struct rusage before;
        struct rusage after;
        getrusage(RUSAGE_CHILDREN, &before);
        rates[run] = bench_redis_benchmark(bench_environment("BENCH_UNIX"),
                                           REDIS_BENCHMARK_OPERATIONS, arguments);
        getrusage(RUSAGE_CHILDREN, &after);
        double cpu_s = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec) +
                       (double)(after.ru_stime.tv_sec - before.ru_stime.tv_sec) +
                       (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec) / 1e6 +
                       (double)(after.ru_stime.tv_usec - before.ru_stime.tv_usec) / 1e6;
        cpu_ns[run] = cpu_s * 1e9 / REDIS_BENCHMARK_OPERATIONS;
    }
    side->wall_ns = 1e9 / bench_median(rates, REDIS_BENCHMARK_RUNS);
    side->cpu_ns = bench_median(cpu_ns, REDIS_BENCHMARK_RUNS);
}

static void compare(sc_client *client, size_t depth)
{
    static const char get[] = "*2\r\n$3\r\nGET\r\n$5\r\n" BENCH_KEY "\r\n";
    char name[64];
    ends to;
    to.depth = depth;
    to.hiredis = bench_open_hiredis(false);
    to.raw = bench_open_raw(false);
    to.request_len = depth * strlen(get);
    to.request = (char *)malloc(to.request_len + 1);
    bench_must(to.request != NULL, "no memory");
    for (size_t i = 0; i < depth; i++)
        memcpy(to.request + i * strlen(get), get, sizeof get);
    bench_must(sc_pipeline_open(client, &to.pipeline) == SC_OK, "no pipeline");

    bench_side ours = bench_side_of("ours", run_ours, &to);
    bench_side hiredis = bench_side_of("hiredis", run_hiredis, &to);
    bench_side raw = bench_side_of("raw", run_raw, &to);
    bench_side benchmark = bench_side_of("redis-benchmark", NULL, NULL);
    bench_side *sides[] = {&ours, &hiredis, &raw};
    bench_compare(sides, 3);
    measure_redis_benchmark(depth, &benchmark);
    snprintf(name, sizeof name, "pipeline_%zu_cpu", depth);
    bench_line_cpu(name, &ours, &hiredis, 1.0 / 3);
    bench_line_cpu(name, &ours, &benchmark, 1.0 / 3);
    printf("# %s of send and recv alone: %.2fus\n", name, raw.cpu_ns / 1e3);
    snprintf(name, sizeof name, "pipeline_%zu", depth);
    bench_line_rate(name, &ours, &hiredis, 1.00);
    bench_line_rate(name, &ours, &benchmark, 1.00);
    bench_line_rate(name, &ours, &raw, 0.90);
    sc_pipeline_close(to.pipeline);
    redisFree(to.hiredis);
    close(to.raw);
    free(to.request);
}

int main(void)
{
    sc_client *client = bench_open(false);
    bench_store_value(client);
    bench_put(BENCH_TWO_CORES);
    compare(client, 64);
    compare(client, MOST_DEPTH);
    sc_close(client);
    return 0;
}
