/* The embedded server next to redis-server: redis-benchmark with 50 connections on a Unix socket,
   each server on a core of its own; GET inside of the process; memory for a million keys. */

#include "bench.h"

#define ROUNDS 9
#define MILLION 1000000
#define FILL_BATCH 1000
#define KEY_BYTES 16
#define VALUE_BYTES 64
#define KIB 1024.0

typedef struct contender {
    const char *name;
    const char *unix_path;
    pid_t process;
} contender;

static contender own;
static contender redis;

static double rate_of(const contender *server, size_t operations, const char *arguments)
{
    bench_put_server(BENCH_TWO_CORES, server->process);
    return bench_redis_benchmark(server->unix_path, operations, arguments);
}

static void compare_rates(const char *name, size_t operations, const char *arguments)
{
    double ours[ROUNDS];
    double theirs[ROUNDS];
    double ratios[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++) {
        ours[i] = rate_of(&own, operations, arguments) / 1e3;
        theirs[i] = rate_of(&redis, operations, arguments) / 1e3;
        ratios[i] = ours[i] / theirs[i];
    }
    bench_line(name, "k/s", bench_median(ours, ROUNDS), redis.name, bench_median(theirs, ROUNDS),
               bench_median(ratios, ROUNDS), true, 1.00);
}

/* --- in the process */

static void run_get(void *user, size_t operations)
{
    sc_client *client = (sc_client *)user;
    sc_slice argv[2];
    argv[0] = sc_text("GET");
    argv[1] = sc_text(BENCH_KEY);
    while (operations--) {
        sc_reply *reply;
        bench_must(sc_command(client, argv, 2, NULL, &reply) == SC_OK, "GET");
        sc_reply_release(reply);
    }
}

static void measure_in_process(void)
{
    sc_config config;
    sc_client *client;
    memset(&config, 0, sizeof config);
    config.url = "embedded:";
    bench_must(sc_open(&config, &client) == SC_OK, "no embedded server");
    bench_store_value(client);
    bench_put(BENCH_ONE_CORE);
    bench_side ours = bench_side_of("ours", run_get, client);
    bench_side *sides[] = {&ours};
    bench_compare(sides, 1);
    bench_line("in_process_get_16", "ns", ours.wall_ns, "bound", 300, ours.wall_ns / 300, false,
               1.00);
    sc_close(client);
}

/* --- memory */

static double resident_kib(pid_t process)
{
    char path[64];
    char line[256];
    double kib = 0;
    snprintf(path, sizeof path, "/proc/%ld/status", (long)process);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, "VmRSS:", 6))
            kib = atof(line + 6);
    bench_must(file && kib > 0, "no VmRSS");
    fclose(file);
    return kib;
}

/* Bytes of memory that a million strings take, by the process's resident size. */
static double bytes_a_key(const contender *server)
{
    char value[VALUE_BYTES + 1];
    char key[KEY_BYTES + 1];
    double before_kib = resident_kib(server->process);
    redisContext *context = redisConnectUnix(server->unix_path);
    bench_must(context && !context->err, "hiredis: no connection");
    memset(value, 'v', VALUE_BYTES);
    value[VALUE_BYTES] = '\0';
    for (size_t i = 0; i < MILLION; i += FILL_BATCH) {
        for (size_t j = 0; j < FILL_BATCH; j++) {
            snprintf(key, sizeof key, "key:%012zu", i + j);
            redisAppendCommand(context, "SET %s %s", key, value);
        }
        for (size_t j = 0; j < FILL_BATCH; j++) {
            void *reply;
            bench_must(redisGetReply(context, &reply) == REDIS_OK, "SET");
            freeReplyObject(reply);
        }
    }
    double bytes = (resident_kib(server->process) - before_kib) * KIB / MILLION;
    freeReplyObject(redisCommand(context, "FLUSHALL"));
    redisFree(context);
    return bytes;
}

static void compare_memory(void)
{
    double ours = bytes_a_key(&own);
    double theirs = bytes_a_key(&redis);
    bench_line("memory_a_key_16_64", "B", ours, redis.name, theirs, ours / theirs, false, 1.00);
}

int main(void)
{
    own.name = "ours";
    own.unix_path = bench_environment("BENCH_OWN_UNIX");
    own.process = (pid_t)atoi(bench_environment("BENCH_OWN_PID"));
    redis.name = "redis-server";
    redis.unix_path = bench_environment("BENCH_UNIX");
    redis.process = (pid_t)atoi(bench_environment("BENCH_SERVER_PID"));
    compare_rates("server_get_c50", 60000, "-c 50 -t get");
    compare_rates("server_set_c50", 60000, "-c 50 -t set");
    compare_rates("server_get_c50_P16", 600000, "-c 50 -P 16 -t get");
    compare_rates("server_set_c50_P16", 600000, "-c 50 -P 16 -t set");
    measure_in_process();
    compare_memory();
    return 0;
}
