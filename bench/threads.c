/* Threads that each do one GET of 16 bytes after the other: all on one client of ours, next to
   hiredis with a connection a thread. */

#include "bench.h"

#include <pthread.h>

#define MOST_THREADS 64

typedef struct crowd {
    size_t threads;
    sc_client *client;
    redisContext *contexts[MOST_THREADS];
    size_t left; /* operations nobody has taken: all threads end together */
} crowd;

typedef struct member {
    crowd *of;
    redisContext *context;
    pthread_t thread;
} member;

static bool take(crowd *of)
{
    size_t left = __atomic_load_n(&of->left, __ATOMIC_RELAXED);
    while (left)
        if (__atomic_compare_exchange_n(&of->left, &left, left - 1, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
            return true;
    return false;
}

static void *member_ours(void *user)
{
    const member *self = (const member *)user;
    sc_slice argv[2];
    argv[0] = sc_text("GET");
    argv[1] = sc_text(BENCH_KEY);
    while (take(self->of)) {
        sc_reply *reply;
        bench_must(sc_command(self->of->client, argv, 2, NULL, &reply) == SC_OK, "GET");
        bench_must(sc_item_slice(sc_reply_item(reply)).len == BENCH_VALUE_BYTES, "a reply");
        sc_reply_release(reply);
    }
    return NULL;
}

static void *member_hiredis(void *user)
{
    const member *self = (const member *)user;
    const char *argv[2] = {"GET", BENCH_KEY};
    size_t lens[2] = {3, strlen(BENCH_KEY)};
    while (take(self->of)) {
        redisReply *reply = (redisReply *)redisCommandArgv(self->context, 2, argv, lens);
        bench_must(reply && reply->len == BENCH_VALUE_BYTES, "hiredis: a reply");
        freeReplyObject(reply);
    }
    return NULL;
}

static void run_crowd(crowd *of, size_t operations, void *(*body)(void *))
{
    member members[MOST_THREADS];
    of->left = operations;
    for (size_t i = 0; i < of->threads; i++) {
        members[i].of = of;
        members[i].context = of->contexts[i];
        bench_must(pthread_create(&members[i].thread, NULL, body, &members[i]) == 0, "no thread");
    }
    for (size_t i = 0; i < of->threads; i++)
        pthread_join(members[i].thread, NULL);
}

static void run_ours(void *user, size_t operations)
{
    run_crowd((crowd *)user, operations, member_ours);
}

static void run_hiredis(void *user, size_t operations)
{
    run_crowd((crowd *)user, operations, member_hiredis);
}

static void compare(crowd *of, size_t threads, bool is_pinned, double aim)
{
    char name[64];
    bench_side ours = bench_side_of("ours", run_ours, of);
    bench_side hiredis = bench_side_of("hiredis", run_hiredis, of);
    bench_side *sides[] = {&ours, &hiredis};
    bench_put(is_pinned ? BENCH_TWO_CORES : BENCH_ANYWHERE);
    of->threads = threads;
    bench_compare(sides, 2);
    snprintf(name, sizeof name, "threads_%zu%s", threads, is_pinned ? "" : "_unpinned");
    bench_line_rate(name, &ours, &hiredis, aim);
    snprintf(name, sizeof name, "threads_%zu%s_cpu", threads, is_pinned ? "" : "_unpinned");
    bench_line_cpu(name, &ours, &hiredis, 1.00);
}

int main(void)
{
    crowd all;
    memset(&all, 0, sizeof all);
    all.client = bench_open(false);
    bench_store_value(all.client);
    for (size_t i = 0; i < MOST_THREADS; i++)
        all.contexts[i] = bench_open_hiredis(false);
    for (int pinned = 1; pinned >= 0; pinned--) {
        compare(&all, 4, pinned, 1.00);
        compare(&all, 16, pinned, 1.00);
        compare(&all, 64, pinned, 3.00);
    }
    for (size_t i = 0; i < MOST_THREADS; i++)
        redisFree(all.contexts[i]);
    sc_close(all.client);
    return 0;
}
