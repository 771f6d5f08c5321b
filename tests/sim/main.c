/* Swarms of seeds: `sim [--seconds N] [--seed S] [--count N] [--faults NAME,NAME | none] [--clients N]
   [--duration MS] [--trace] [--quick]`. Each seed runs twice, and both runs must be the same. A seed that
   fails is shrunk: fewer kinds of faults, fewer clients, a shorter run. --quick: once each, and only
   the number of seeds until one fails is printed, or "none". */

#define _GNU_SOURCE
#include "world.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WATCHDOG_S 120

/* What a child says of its run. */
typedef struct verdict {
    bool is_well;
    bool has_ended; /* it did not crash */
    uint64_t hash;
    uint64_t events;
    int64_t virtual_ns;
    int64_t failure_ns;
    unsigned faults;
    int clients;
    char failure[512];
} verdict;

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void run_here(const sim_options *options, verdict *result)
{
    result->is_well = sim_run(options);
    result->has_ended = true;
    result->hash = sim.hash;
    result->events = sim.events;
    result->virtual_ns = sim.now_ns;
    result->failure_ns = sim.failure_ns;
    result->faults = sim.faults;
    result->clients = sim.client_count;
    memcpy(result->failure, sim.failure, sizeof result->failure);
}

/* In a process of its own, so that a crash is a verdict too. */
static verdict run_apart(const sim_options *options)
{
    verdict result;
    int ends[2];
    int status = 0;
    memset(&result, 0, sizeof result);
    if (pipe(ends) != 0)
        exit(2);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        verdict said;
        memset(&said, 0, sizeof said);
        alarm(WATCHDOG_S);
        run_here(options, &said);
        fflush(stdout);
        _exit(write(ends[1], &said, sizeof said) == (ssize_t)sizeof said ? 0 : 2);
    }
    close(ends[1]);
    size_t got = 0;
    while (got < sizeof result) {
        ssize_t count = read(ends[0], (char *)&result + got, sizeof result - got);
        if (count <= 0)
            break;
        got += (size_t)count;
    }
    close(ends[0]);
    waitpid(child, &status, 0);
    if (got < sizeof result) {
        memset(&result, 0, sizeof result);
        snprintf(result.failure, sizeof result.failure, "the run crashed (signal %d, status %d)",
                 WIFSIGNALED(status) ? WTERMSIG(status) : 0, WEXITSTATUS(status));
    }
    return result;
}

static verdict run_twice(const sim_options *options)
{
    verdict first = run_apart(options);
    if (!first.is_well)
        return first;
    verdict second = run_apart(options);
    if (second.is_well && second.hash != first.hash) {
        second.is_well = false;
        snprintf(second.failure, sizeof second.failure,
                 "two runs of the same seed differ (%" PRIu64 " and %" PRIu64 " events)",
                 first.events, second.events);
    }
    return second;
}

/* --- shrinking */

static bool still_fails(const sim_options *options, verdict *last)
{
    verdict result = run_twice(options);
    if (result.is_well)
        return false;
    *last = result;
    return true;
}

static sim_options shrink(sim_options options, verdict *last)
{
    options.faults &= last->has_ended ? last->faults : SIM_ALL_FAULTS;
    for (int fault = 0; fault < SIM_FAULTS; fault++) {
        sim_options fewer = options;
        fewer.faults &= ~(1u << fault);
        if (fewer.faults != options.faults && still_fails(&fewer, last))
            options = fewer;
    }
    for (int clients = 1; clients < last->clients; clients++) {
        sim_options fewer = options;
        fewer.clients = clients;
        if (still_fails(&fewer, last)) {
            options = fewer;
            break;
        }
    }
    for (int64_t ms = 1000; ms < last->failure_ns / SIM_NS_PER_MS; ms *= 2) {
        sim_options shorter = options;
        shorter.duration_ms = ms;
        if (still_fails(&shorter, last)) {
            options = shorter;
            break;
        }
    }
    return options;
}

static void print_options(const sim_options *options)
{
    printf("--seed %" PRIu64, options->seed);
    if (options->clients)
        printf(" --clients %d", options->clients);
    if (options->duration_ms)
        printf(" --duration %" PRId64, options->duration_ms);
    printf(" --faults ");
    const char *comma = "";
    for (int fault = 0; fault < SIM_FAULTS; fault++) {
        if (!(options->faults >> fault & 1u))
            continue;
        printf("%s%s", comma, sim_fault_name((sim_fault)fault));
        comma = ",";
    }
    printf("%s\n", *comma ? "" : "none");
}

static void report(const sim_options *options, verdict result)
{
    printf("seed %" PRIu64 " fails: %s\n", options->seed, result.failure);
    printf("shrinking ...\n");
    sim_options small = shrink(*options, &result);
    printf("the smallest run that fails: %s\n", result.failure);
    printf("to replay: build/sim/sim --trace ");
    print_options(&small);
    printf("--- the end of its trace\n");
    fflush(stdout);
    char command[1024];
    snprintf(command, sizeof command, "tail -n 60");
    FILE *tail = popen(command, "w");
    if (!tail)
        return;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        verdict said;
        dup2(fileno(tail), STDOUT_FILENO);
        small.is_traced = true;
        alarm(WATCHDOG_S);
        run_here(&small, &said);
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    pclose(tail);
}

/* --- options */

static unsigned faults_of(const char *names)
{
    unsigned faults = 0;
    char copy[512];
    snprintf(copy, sizeof copy, "%s", names);
    for (char *name = strtok(copy, ","); name; name = strtok(NULL, ",")) {
        int fault = 0;
        while (fault < SIM_FAULTS && strcmp(name, sim_fault_name((sim_fault)fault)) != 0)
            fault++;
        if (fault < SIM_FAULTS)
            faults |= 1u << fault;
        else if (strcmp(name, "none") != 0 && strcmp(name, "all") != 0)
            fprintf(stderr, "sim: there is no fault \"%s\"\n", name), exit(2);
        if (!strcmp(name, "all"))
            faults = SIM_ALL_FAULTS;
    }
    return faults;
}

typedef struct arguments {
    sim_options options;
    double seconds;
    uint64_t count;
    bool has_seed;
    bool is_quick;
} arguments;

static arguments parse(int argc, char **argv)
{
    arguments a;
    memset(&a, 0, sizeof a);
    a.options.faults = SIM_ALL_FAULTS;
    a.seconds = 10;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--trace")) {
            a.options.is_traced = true;
            continue;
        }
        if (!strcmp(argv[i], "--quick")) {
            a.is_quick = true;
            continue;
        }
        if (!strcmp(argv[i], "--seconds"))
            a.seconds = atof(value);
        else if (!strcmp(argv[i], "--seed"))
            a.options.seed = strtoull(value, NULL, 10), a.has_seed = true;
        else if (!strcmp(argv[i], "--count"))
            a.count = strtoull(value, NULL, 10);
        else if (!strcmp(argv[i], "--faults"))
            a.options.faults = faults_of(value);
        else if (!strcmp(argv[i], "--clients"))
            a.options.clients = atoi(value);
        else if (!strcmp(argv[i], "--duration"))
            a.options.duration_ms = atoll(value);
        else
            fprintf(stderr, "sim: unknown option %s\n", argv[i]), exit(2);
        i++;
    }
    return a;
}

static int run_quickly(sim_options options, double seconds)
{
    double begin_s = now_s();
    for (int seeds = 1; now_s() - begin_s < seconds; seeds++, options.seed++) {
        if (run_apart(&options).is_well)
            continue;
        printf("%d\n", seeds);
        return 0;
    }
    printf("none\n");
    return 0;
}

int main(int argc, char **argv)
{
    arguments a = parse(argc, argv);
    if (a.is_quick)
        return run_quickly(a.options, a.seconds);
    if (a.options.is_traced) {
        verdict result;
        memset(&result, 0, sizeof result);
        run_here(&a.options, &result);
        printf("%s\n", result.is_well ? "clean" : result.failure);
        return result.is_well ? 0 : 1;
    }
    if (!a.has_seed)
        a.options.seed = (uint64_t)time(NULL) * 1000;
    if (a.has_seed && !a.count)
        a.count = 1;
    double begin_s = now_s();
    double virtual_s = 0;
    uint64_t events = 0;
    uint64_t seeds = 0;
    for (; a.count ? seeds < a.count : now_s() - begin_s < a.seconds; seeds++, a.options.seed++) {
        verdict result = run_twice(&a.options);
        if (!result.is_well) {
            printf("sim: after %" PRIu64 " seeds, %.1f s\n", seeds + 1, now_s() - begin_s);
            report(&a.options, result);
            printf("0 passed, 1 failed\n");
            return 1;
        }
        virtual_s += 2 * (double)result.virtual_ns / 1e9;
        events += 2 * result.events;
    }
    double took_s = now_s() - begin_s;
    printf("sim: %" PRIu64 " seeds from %" PRIu64
           ", each twice, in %.1f s: %.1f seeds/s, %.0f h of "
           "virtual time, %.1f M events, clean\n",
           seeds, a.options.seed - seeds, took_s, (double)seeds / took_s, virtual_s / 3600,
           (double)events / 1e6);
    return 0;
}
