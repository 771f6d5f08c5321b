/* How long nobody leads: five processes campaign, and the one that leads exits, gets SIGTERM, is killed,
   is stopped, or is cut off from the server, so many times each; and that no two led at once, by a
   register that refuses terms from before. `takeover [ROUNDS [TTL_MS]]`; by hand 300 rounds. */

#include "bench.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define TAKEOVER_WORKERS 5
#define TAKEOVER_ROUNDS 15
#define TAKEOVER_MOST_ROUNDS 10000
#define TAKEOVER_TTL_MS 300
#define TAKEOVER_KEY "bench:leader"
#define TAKEOVER_LOOK_US 200
/* What a new process takes until it waits in the queue. */
#define TAKEOVER_SETTLE_US 30000
#define TAKEOVER_EXIT_AIM_MS 5.0
#define TAKEOVER_CRASH_MARGIN_MS 50.0

/* In memory that all processes share; all atomic. */
typedef struct shared {
    int64_t term; /* of the last who was elected, as it was told; set after the next two */
    int64_t leader;
    int64_t elected_ns;
    int64_t gave_up_ns;
    int64_t fence; /* the register's: the highest term that wrote */
    int64_t overlaps;
    int32_t exits[TAKEOVER_WORKERS];
    int32_t is_cut[TAKEOVER_WORKERS];
} shared;

typedef enum ending {
    ENDS_BY_EXIT,
    ENDS_BY_SIGTERM,
    ENDS_BY_KILL,
    ENDS_BY_STOP,
    ENDS_CUT_OFF
} ending;

static shared *common;
static size_t own_index; /* of this worker */
static pid_t workers[TAKEOVER_WORKERS];
static sc_transport platform;
static int64_t ttl_ms = TAKEOVER_TTL_MS;

static int64_t load(const int64_t *at)
{
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

/* --- a worker */

/* What one that is cut off says is lost. */
static sc_status transmit(void *stream, const void *data, size_t len, size_t *sent)
{
    if (!__atomic_load_n(&common->is_cut[own_index], __ATOMIC_ACQUIRE))
        return platform.transmit(stream, data, len, sent);
    *sent = len;
    return SC_OK;
}

static void elected(void *user, sc_election *election, int64_t term)
{
    (void)user;
    (void)election;
    int64_t now_ns = (int64_t)bench_now_ns();
    __atomic_store_n(&common->leader, (int64_t)own_index, __ATOMIC_RELEASE);
    __atomic_store_n(&common->elected_ns, now_ns, __ATOMIC_RELEASE);
    __atomic_store_n(&common->term, term, __ATOMIC_RELEASE);
}

/* Who is refused and leads even then has met another leader. */
static void write_fenced(sc_election *election)
{
    int64_t term = sc_election_term(election);
    int64_t seen = load(&common->fence);
    while (term && seen < term)
        if (__atomic_compare_exchange_n(&common->fence, &seen, term, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            return;
    if (term && seen > term && sc_election_term(election) == term)
        __atomic_add_fetch(&common->overlaps, 1, __ATOMIC_ACQ_REL);
}

static void work(size_t index)
{
    char url[256];
    sc_config config;
    sc_election_config options;
    sc_client *client;
    sc_election *election;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    own_index = index;
    snprintf(url, sizeof url, "unix://%s", bench_environment("BENCH_UNIX"));
    memset(&config, 0, sizeof config);
    memset(&options, 0, sizeof options);
    bench_must(sc_platform_transport(&platform), "no transport");
    sc_transport cuttable = platform;
    cuttable.transmit = transmit;
    config.url = url;
    config.transport = &cuttable;
    options.key = sc_text(TAKEOVER_KEY);
    options.ttl_ms = ttl_ms;
    options.on_elected = elected;
    bench_must(sc_open(&config, &client) == SC_OK, "no client");
    bench_must(sc_release_on_signal(client) == SC_OK, "no signals");
    bench_must(sc_election_open(client, &options, &election) == SC_OK, "no election");
    bench_must(sc_election_campaign(election) == SC_OK, "no campaign");
    while (!__atomic_load_n(&common->exits[index], __ATOMIC_ACQUIRE)) {
        write_fenced(election);
        usleep(TAKEOVER_LOOK_US);
    }
    __atomic_store_n(&common->gave_up_ns, (int64_t)bench_now_ns(), __ATOMIC_RELEASE);
    sc_election_close(election);
    sc_close(client);
    exit(0);
}

/* --- rounds */

static void start_worker(size_t index)
{
    common->exits[index] = 0;
    common->is_cut[index] = 0;
    workers[index] = fork();
    bench_must(workers[index] >= 0, "fork");
    if (workers[index] == 0)
        work(index);
}

static void end_worker(size_t index)
{
    kill(workers[index], SIGKILL);
    kill(workers[index], SIGCONT);
    waitpid(workers[index], NULL, 0);
}

/* Another term than this one. */
static void await_leader(int64_t term)
{
    double begin_ns = bench_now_ns();
    while (load(&common->term) == term) {
        bench_must(bench_now_ns() - begin_ns < 60e9, "nobody leads");
        usleep(TAKEOVER_LOOK_US);
    }
}

/* The milliseconds in which nobody led, as its successor was told. */
static double take_over(ending how)
{
    int64_t term = load(&common->term);
    size_t leader = (size_t)load(&common->leader);
    double begin_ns = bench_now_ns();
    if (how == ENDS_BY_EXIT)
        __atomic_store_n(&common->exits[leader], 1, __ATOMIC_RELEASE);
    else if (how == ENDS_CUT_OFF)
        __atomic_store_n(&common->is_cut[leader], 1, __ATOMIC_RELEASE);
    else
        kill(workers[leader], how == ENDS_BY_SIGTERM ? SIGTERM
                              : how == ENDS_BY_KILL  ? SIGKILL
                                                     : SIGSTOP);
    await_leader(term);
    double took_ns = (double)load(&common->elected_ns) -
                     (how == ENDS_BY_EXIT ? (double)load(&common->gave_up_ns) : begin_ns);
    if (how == ENDS_BY_STOP) {
        kill(workers[leader], SIGCONT); /* it goes on writing, if it believes that it leads */
        usleep(10 * TAKEOVER_LOOK_US);
    }
    end_worker(leader);
    start_worker(leader);
    /* at any time between two renewals */
    usleep(TAKEOVER_SETTLE_US + (useconds_t)(rand() % (int)(ttl_ms * 1000 / 3)));
    return took_ns / 1e6;
}

static void measure(const char *name, ending how, size_t rounds)
{
    static double took_ms[TAKEOVER_MOST_ROUNDS];
    char text[64];
    bool is_clean = how <= ENDS_BY_SIGTERM;
    double bound_ms = is_clean ? TAKEOVER_EXIT_AIM_MS : (double)ttl_ms + TAKEOVER_CRASH_MARGIN_MS;
    for (size_t i = 0; i < rounds; i++)
        took_ms[i] = take_over(how);
    qsort(took_ms, rounds, sizeof *took_ms, bench_compare_doubles);
    double p99_ms = took_ms[rounds - 1 - rounds / 100];
    double worst_ms = is_clean ? p99_ms : took_ms[rounds - 1];
    printf("# %s: %zu times, median %.2f ms, p99 %.2f ms, max %.2f ms (%.2f of the TTL)\n", name,
           rounds, took_ms[rounds / 2], p99_ms, took_ms[rounds - 1],
           took_ms[rounds - 1] / (double)ttl_ms);
    snprintf(text, sizeof text, "takeover_%s_%s", name, is_clean ? "p99" : "max");
    bench_line(text, "ms", worst_ms, is_clean ? "aim" : "ttl_and_50", bound_ms, worst_ms / bound_ms,
               false, 1.00);
}

int main(int argc, char **argv)
{
    size_t rounds = argc > 1 ? (size_t)atoi(argv[1]) : TAKEOVER_ROUNDS;
    if (argc > 2)
        ttl_ms = atoi(argv[2]);
    bench_must(rounds > 0 && rounds <= TAKEOVER_MOST_ROUNDS && ttl_ms >= 30, "wrong arguments");
    common = (shared *)mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bench_must(common != MAP_FAILED, "no memory");
    bench_put(BENCH_ANYWHERE);
    for (size_t i = 0; i < TAKEOVER_WORKERS; i++)
        start_worker(i);
    await_leader(0);
    usleep(TAKEOVER_SETTLE_US);
    measure("exit", ENDS_BY_EXIT, rounds);
    measure("sigterm", ENDS_BY_SIGTERM, rounds);
    measure("killed", ENDS_BY_KILL, rounds);
    measure("stopped", ENDS_BY_STOP, rounds);
    measure("cut_off", ENDS_CUT_OFF, rounds);
    for (size_t i = 0; i < TAKEOVER_WORKERS; i++)
        end_worker(i);
    printf("# two led at once: %lld times\n", (long long)load(&common->overlaps));
    bench_must(load(&common->overlaps) == 0, "two led at once");
    return 0;
}
