/* The tester: lists of random steps, one after the other, each from an empty state. */
#include "differential.h"
#include "meant.h"
#include "shrink.h"

#include "redis_fixture.h"
#include "wait.h"

#include <stdlib.h>
#include <string.h>

#define STEPS_A_LIST 5000
#define SHOWN_STEPS 60

void options_init(options *wanted)
{
    const char *seed = getenv("SEED"); /* `make differential SEED=1` */
    memset(wanted, 0, sizeof *wanted);
    wanted->program = "build/smartcache-server";
    wanted->seed = seed && *seed ? strtoull(seed, NULL, 10) : (uint64_t)wait_now_ns();
    wanted->commands = 1000000;
    wanted->differences = 3;
}

/* Fast timers, since redis looks at time-outs of blocked clients with them. */
static fixture *start_redis(void)
{
    static const char *const arguments[] = {"--hz", "500", "--notify-keyspace-events", "KEA", NULL};
    fixture *server = fixture_start(arguments);
    if (!server)
        die("redis-server does not start");
    return server;
}

static uint64_t list_seed(const options *wanted, uint64_t number)
{
    chance mixer;
    if (number == 0)
        return wanted->seed;
    mixer.state = wanted->seed + number * 0x632be59bd9b4e019u;
    return chance_next(&mixer) & 0xffffffffffffu;
}

static void print_reply(const char *name, const char *bytes, size_t len)
{
    reply one;
    one.at = bytes;
    one.len = bytes ? len : 0;
    printf("  %-6s ", name);
    reply_print(stdout, one);
    putchar('\n');
}

/* For --script. */
static void save_steps(const step *const *list, size_t count, uint64_t seed)
{
    char path[96];
    FILE *file;
    size_t i;
    snprintf(path, sizeof path, "build/differential-%llu.txt", (unsigned long long)seed);
    file = fopen(path, "w");
    if (!file)
        return;
    for (i = 0; i < count; i++)
        step_print(file, list[i]);
    fclose(file);
    printf("the same: --script %s\n", path);
}

static void print_difference(run *runner, const step *const *list, size_t count, uint64_t seed,
                             const options *wanted)
{
    const difference *found = &runner->found;
    size_t i;
    printf("\nDIFFERENCE in %s", found->where);
    if (found->after) {
        printf(" to, or after: ");
        step_show(stdout, found->after);
    } else {
        putchar('\n');
    }
    print_reply(runner->sides[0].name, found->replies[0], found->lens[0]);
    print_reply(runner->sides[1].name, found->replies[1], found->lens[1]);
    printf("%zu steps (connection and words):\n", count);
    for (i = 0; i < count && i < SHOWN_STEPS; i++)
        step_show(stdout, list[i]);
    if (count > SHOWN_STEPS)
        printf("... %zu more\n", count - SHOWN_STEPS);
    save_steps(list, count, seed);
    printf("again: --seed %llu%s%s\n", (unsigned long long)seed, wanted->only ? " --only " : "",
           wanted->only ? wanted->only->name : "");
    fflush(stdout);
}

/* False: it has been seen before. */
static bool is_new(const difference *found, char seen[][256], size_t *seen_count, size_t cap)
{
    char text[256];
    command_name name;
    size_t i;
    memset(&name, 0, sizeof name);
    if (found->after && strncmp(found->where, "the reply", 9) == 0)
        name = name_of_step(found->after);
    snprintf(text, sizeof text, "%.12s %s %s %.24s %.24s", found->where, name.name, name.sub,
             found->replies[0] ? "reply" : "", found->replies[1] ? "reply" : "");
    for (i = 0; i < *seen_count; i++)
        if (strcmp(seen[i], text) == 0)
            return false;
    if (*seen_count < cap)
        memcpy(seen[(*seen_count)++], text, sizeof text);
    return true;
}

static void run_list(run *runner, steps *list, uint64_t seed, const options *wanted,
                     outcome *result)
{
    static char seen[64][256];
    static size_t seen_count;
    const step **pointers = (const step **)malloc((list->count + 1) * sizeof *pointers);
    size_t count = list->count;
    size_t i;
    if (!pointers)
        die("no memory");
    for (i = 0; i < count; i++)
        pointers[i] = &list->at[i];
    bool is_equal = run_steps(runner, pointers, count);
    result->commands += runner->sent;
    if (!is_equal) {
        result->lists_differ++;
        if (wanted->plant || is_new(&runner->found, seen, &seen_count, 64)) {
            result->differences++;
            count = shrink(runner, pointers, count, &list->memory);
            result->shortest = count;
            print_difference(runner, pointers, count, seed, wanted);
        } else {
            printf("the like again: %s, seed %llu\n", runner->found.where,
                   (unsigned long long)seed);
        }
    }
    free((void *)pointers);
}

static void run_random_lists(run *runner, const options *wanted, outcome *result)
{
    catalogue known;
    steps list;
    uint64_t number;
    int64_t end_ms = wait_now_ms() + (int64_t)(wanted->seconds * 1000);
    memset(&list, 0, sizeof list);
    catalogue_init(&known, &runner->sides[0], &runner->sides[1], stdout);
    result->absent = known.absent;
    for (number = 0;
         result->commands < wanted->commands && (wanted->seconds <= 0 || wait_now_ms() < end_ms) &&
         result->differences < wanted->differences;
         number++) {
        uint64_t left = wanted->commands - result->commands;
        uint64_t seed = list_seed(wanted, number);
        steps_clear(&list);
        stream_make(&list, &known, seed, left < STEPS_A_LIST ? (size_t)left : STEPS_A_LIST,
                    wanted->only);
        run_list(runner, &list, seed, wanted, result);
    }
    steps_free(&list);
    catalogue_free(&known);
}

static void run_script(run *runner, const options *wanted, outcome *result)
{
    steps list;
    memset(&list, 0, sizeof list);
    steps_load(&list, wanted->script);
    run_list(runner, &list, 0, wanted, result);
    steps_free(&list);
}

void differential(const options *wanted, outcome *result)
{
    fixture *redis = wanted->redis ? NULL : start_redis();
    bool is_redis = wanted->ours && strcmp(wanted->ours, "redis") == 0;
    fixture *other = is_redis ? start_redis() : NULL;
    run runner;
    memset(result, 0, sizeof *result);
    run_init(&runner);
    side_init(&runner.sides[0], "redis", redis ? fixture_url(redis, WIRE_UNIX) : wanted->redis);
    if (other)
        side_init(&runner.sides[1], "ours", fixture_url(other, WIRE_UNIX));
    else if (wanted->ours)
        side_init(&runner.sides[1], "ours", wanted->ours);
    else
        side_init_program(&runner.sides[1], "ours", wanted->program);
    if (!side_reset(&runner.sides[0]) || !side_reset(&runner.sides[1]))
        die("a server takes no connections");
    runner.plant = wanted->plant;
    runner.trace = wanted->is_verbose ? stdout : NULL;
    if (wanted->script)
        run_script(&runner, wanted, result);
    else
        run_random_lists(&runner, wanted, result);
    result->compared = runner.compared;
    run_free(&runner);
    fixture_free(other);
    fixture_free(redis);
}
