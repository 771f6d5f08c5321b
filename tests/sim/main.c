/* Swarms of seeds: `sim [--seconds N] [--seed S] [--count N] [--jobs N] [--faults NAME,NAME | none]
   [--clients N] [--duration MS] [--trace] [--quick] [--all]`. Each seed runs twice, and both runs must be
   the same. A seed that fails is shrunk: fewer kinds of faults, fewer clients, a shorter run. --quick:
   once each, and only the number of seeds until one fails is printed, or "none". --all: go on after a
   seed that fails, and name them all. As many seeds at a time as there are processors. */

#define _GNU_SOURCE
#include "world.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WATCHDOG_S 30
#define JOBS_MAX 64

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

typedef struct arguments {
    sim_options options;
    double seconds;
    uint64_t count;
    int jobs;
    bool has_seed;
    bool has_seconds;
    bool is_quick;
    bool goes_on;
} arguments;

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

/* A run in a process of its own, so that a crash is a verdict too. */
typedef struct apart {
    pid_t process; /* 0: none */
    int end;
    sim_options options;
    size_t got;
    double begin_s;
    verdict said;
} apart;

/* `runs`: so often; the runs must be the same. In one process, so that what depends on addresses
   shows. */
static verdict run_times(const sim_options *options, int runs)
{
    verdict result;
    memset(&result, 0, sizeof result);
    run_here(options, &result);
    for (int i = 1; i < runs && result.is_well; i++) {
        uint64_t hash = result.hash;
        uint64_t events = result.events;
        run_here(options, &result);
        if (result.is_well && result.hash != hash) {
            result.is_well = false;
            snprintf(result.failure, sizeof result.failure,
                     "two runs of the same seed differ (%" PRIu64 " and %" PRIu64 " events)",
                     events, result.events);
        }
    }
    return result;
}

static void apart_start(apart *run, const sim_options *options, int runs)
{
    int ends[2];
    memset(run, 0, sizeof *run);
    if (pipe(ends) != 0)
        exit(2);
    fflush(stdout);
    run->options = *options;
    run->begin_s = now_s();
    run->process = fork();
    if (run->process == 0) {
        struct itimerval watchdog = {{0, 0}, {WATCHDOG_S, 0}};
        setitimer(ITIMER_PROF, &watchdog, NULL); /* of its own time, however busy the machine */
        verdict said = run_times(options, runs);
        fflush(stdout);
        _exit(write(ends[1], &said, sizeof said) == (ssize_t)sizeof said ? 0 : 2);
    }
    close(ends[1]);
    run->end = ends[0];
}

/* Something came from it. True: it is over, and `said` is its verdict. */
static bool apart_hear(apart *run)
{
    int status = 0;
    ssize_t count = read(run->end, (char *)&run->said + run->got, sizeof run->said - run->got);
    run->got += count > 0 ? (size_t)count : 0;
    if (count > 0 && run->got < sizeof run->said)
        return false;
    close(run->end);
    waitpid(run->process, &status, 0);
    run->process = 0;
    if (run->got < sizeof run->said) {
        memset(&run->said, 0, sizeof run->said);
        snprintf(run->said.failure, sizeof run->said.failure,
                 "the run crashed (signal %d, status %d)",
                 WIFSIGNALED(status) ? WTERMSIG(status) : 0, WEXITSTATUS(status));
    }
    return true;
}

static void apart_stop(apart *run)
{
    if (run->process == 0)
        return;
    kill(run->process, SIGKILL);
    close(run->end);
    waitpid(run->process, NULL, 0);
    run->process = 0;
}

static verdict run_twice(const sim_options *options)
{
    apart run;
    apart_start(&run, options, 2);
    while (!apart_hear(&run))
        ;
    return run.said;
}

/* --- a swarm */

typedef struct swarm {
    apart runs[JOBS_MAX];
    int jobs;
    uint64_t seeds; /* that were clean */
    uint64_t failures;
    uint64_t events;
    double virtual_s;
    double longest_s;
    uint64_t longest_seed;
    bool has_failed;
    sim_options failed; /* of those that failed the one with the lowest seed */
    verdict failure;
} swarm;

static void swarm_take(swarm *all, const apart *run, bool goes_on)
{
    double took_s = now_s() - run->begin_s;
    if (took_s > all->longest_s) {
        all->longest_s = took_s;
        all->longest_seed = run->options.seed;
    }
    all->events += run->said.events;
    all->virtual_s += (double)run->said.virtual_ns / 1e9;
    all->seeds += run->said.is_well;
    if (run->said.is_well)
        return;
    if (goes_on)
        printf("seed %" PRIu64 " fails: %s\n", run->options.seed, run->said.failure);
    if (!all->has_failed || run->options.seed < all->failed.seed) {
        all->failed = run->options;
        all->failure = run->said;
    }
    all->has_failed = true;
    all->failures++;
}

/* Wait for one run to end. False: none is under way. */
static bool swarm_wait(swarm *all, bool goes_on)
{
    struct pollfd ends[JOBS_MAX];
    int count = 0;
    for (int i = 0; i < all->jobs; i++) {
        ends[i].fd = all->runs[i].process ? all->runs[i].end : -1;
        ends[i].events = POLLIN;
        ends[i].revents = 0;
        count += all->runs[i].process != 0;
    }
    if (count == 0 || poll(ends, (nfds_t)all->jobs, -1) < 0)
        return count > 0;
    for (int i = 0; i < all->jobs; i++) {
        if (!ends[i].revents)
            continue;
        if (apart_hear(&all->runs[i]))
            swarm_take(all, &all->runs[i], goes_on);
    }
    return true;
}

static bool swarm_has_enough(const arguments *a, uint64_t started, double took_s)
{
    if (a->count && started == a->count)
        return true;
    return (!a->count || a->has_seconds) && took_s >= a->seconds;
}

/* Seeds from options.seed on, in time or in number, until one fails: which then is the first that
   does. */
static void swarm_run(swarm *all, sim_options options, const arguments *a)
{
    double begin_s = now_s();
    uint64_t started = 0;
    for (;;) {
        bool is_over = swarm_has_enough(a, started, now_s() - begin_s);
        if (all->has_failed && !a->goes_on) {
            is_over = true;
            for (int i = 0; i < all->jobs; i++)
                if (all->runs[i].options.seed > all->failed.seed)
                    apart_stop(&all->runs[i]);
        }
        for (int i = 0; i < all->jobs && !is_over; i++) {
            if (all->runs[i].process)
                continue;
            apart_start(&all->runs[i], &options, a->is_quick ? 1 : 2);
            options.seed++;
            started++;
            is_over = a->count && started == a->count;
        }
        if (!swarm_wait(all, a->goes_on))
            return;
    }
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

static arguments parse(int argc, char **argv)
{
    arguments a;
    memset(&a, 0, sizeof a);
    a.options.faults = SIM_ALL_FAULTS;
    a.seconds = 10;
    a.jobs = (int)sysconf(_SC_NPROCESSORS_ONLN);
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
        if (!strcmp(argv[i], "--all")) {
            a.goes_on = true;
            continue;
        }
        if (!strcmp(argv[i], "--seconds"))
            a.seconds = atof(value), a.has_seconds = true;
        else if (!strcmp(argv[i], "--seed"))
            a.options.seed = strtoull(value, NULL, 10), a.has_seed = true;
        else if (!strcmp(argv[i], "--count"))
            a.count = strtoull(value, NULL, 10);
        else if (!strcmp(argv[i], "--jobs"))
            a.jobs = atoi(value);
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
    a.jobs = a.jobs < 1 ? 1 : a.jobs > JOBS_MAX ? JOBS_MAX : a.jobs;
    if (!a.has_seed)
        a.options.seed = (uint64_t)time(NULL) * 1000;
    if (a.has_seed && !a.count && !a.has_seconds)
        a.count = 1;
    return a;
}

static int trace(const sim_options *options)
{
    verdict result;
    memset(&result, 0, sizeof result);
    run_here(options, &result);
    printf("%s\n", result.is_well ? "clean" : result.failure);
    return result.is_well ? 0 : 1;
}

int main(int argc, char **argv)
{
    arguments a = parse(argc, argv);
    static swarm all;
    if (a.options.is_traced)
        return trace(&a.options);
    double begin_s = now_s();
    all.jobs = a.jobs;
    swarm_run(&all, a.options, &a);
    double took_s = now_s() - begin_s;
    if (a.is_quick && !all.has_failed)
        printf("none\n");
    else if (a.is_quick)
        printf("%" PRIu64 "\n", all.failed.seed - a.options.seed + 1);
    if (a.is_quick)
        return 0;
    printf("sim: %" PRIu64 " seeds from %" PRIu64 ", each twice, in %.1f s: %.1f seeds/s, "
           "%.0f h of virtual time, %.1f M events; the longest took %.1f s (%" PRIu64 ")\n",
           all.seeds, a.options.seed, took_s, (double)all.seeds / took_s, 2 * all.virtual_s / 3600,
           2 * (double)all.events / 1e6, all.longest_s, all.longest_seed);
    if (all.has_failed && !a.goes_on)
        report(&all.failed, all.failure);
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", all.seeds, all.failures);
    return all.has_failed ? 1 : 0;
}
