/* Distributed locks: what an acquire and a release cost when nobody contends, and what comes of it
   when many contend for one: how often it is granted, how long it is free from the release of one
   to the return of the next one's acquire, and how evenly the grants fall. Beside it the naive way:
   SET NX PX, tried again each 1, 10 and 50 ms, and a script that compares and deletes.

   1,000 contenders are threads of one process, or of eight; then there are eight processes of one
   thread each. They hold it for no time and ask again at once (`greedy`); or they hold it for 2 ms,
   in which all others come to wait, and do not ask again before another has had it (`turns`).
   Hand-over is compared by the second: in the first, who tries again each 50 ms leaves the lock to
   one for all the while. Fairness is Jain's index over the contenders' grants: 1 when all have as
   many, 1/n when one has all. `asked` are commands a grant. Two who held it at once, or a fencing
   token that did not rise, are printed and end with status 1.

   `lock [ROUND_MS]`: the time of a round, 500; the crowds of 1,000 have six rounds at once. */

#include "bench.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define LOCK_KEY "bench:lock"
#define LOCK_TTL_MS "30000"
#define LOCK_ROUND_MS 500
#define LOCK_ROUNDS 3
#define LOCK_CROWD_ROUNDS 6 /* as long as so many, in one */
#define LOCK_CROWD 1000
#define LOCK_PROCESSES 8
/* Until all wait in the queue: not measured. */
#define LOCK_SETTLE_NS 200e6
#define LOCK_CROWD_SETTLE_NS 1000e6
#define LOCK_LOOK_US 100
#define LOCK_HOLD_US 2000
#define LOCK_STACK_BYTES ((size_t)128 * 1024)
#define LOCK_MOST_SAMPLES ((size_t)1 << 21)

/* Who contends, and how. */
typedef struct match {
    const char *name;
    size_t processes;
    size_t threads;     /* of each process */
    bool is_fair;       /* ours, first come first served */
    useconds_t poll_us; /* 0: ours; else the peer, which tries again so often */
    bool takes_turns;
    double handover_aim; /* of ours, next to this peer */
    double rate_aim;
} match;

typedef struct score {
    uint64_t grants;
    double longest_wait_ns;
} score;

/* In memory that all processes share. */
typedef struct arena {
    /* atomic */
    size_t ready;
    int64_t begin_ns; /* 0: not yet */
    uint64_t turn;    /* so many grants */
    uint64_t wrong;
    uint64_t commands;
    int64_t cpu_ns;
    int64_t from_ns; /* set before begin_ns, as the next one */
    int64_t until_ns;
    /* the holder's alone */
    volatile uint64_t counter;
    volatile size_t last_holder;
    volatile double released_ns;
    volatile int64_t fence;
    volatile size_t samples;
    volatile uint64_t measured; /* grants from from_ns to until_ns */
    score scores[LOCK_CROWD];
    float handover_us[LOCK_MOST_SAMPLES];
} arena;

/* What came of the rounds of a match. */
typedef struct outcome {
    double seconds;
    uint64_t measured;
    uint64_t grants;
    uint64_t commands;
    double cpu_ns;
    double server_ns;
    size_t samples;
    float *handover_us; /* owned; all rounds' */
    double longest_wait_ns;
    uint64_t grants_of[LOCK_CROWD];
    double round_rate[LOCK_ROUNDS];
    double round_handover_us[LOCK_ROUNDS]; /* medians */
} outcome;

static arena *common;
static double round_ns = LOCK_ROUND_MS * 1e6;
static uint64_t all_wrong;

static int64_t load(const int64_t *at)
{
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

/* --- the peer */

typedef struct naive {
    redisContext *context;
    char token[48];
    char release_sha1[41];
    unsigned seed;
    uint64_t commands;
} naive;

static redisReply *naive_ask(naive *self, int argc, const char **argv)
{
    redisReply *reply = (redisReply *)redisCommandArgv(self->context, argc, argv, NULL);
    bench_must(reply && reply->type != REDIS_REPLY_ERROR, "hiredis: a reply");
    self->commands++;
    return reply;
}

static void naive_open(naive *self, size_t index)
{
    static const char release[] = "if redis.call('GET',KEYS[1])==ARGV[1] then "
                                  "return redis.call('DEL',KEYS[1]) else return 0 end";
    const char *argv[] = {"SCRIPT", "LOAD", release};
    memset(self, 0, sizeof *self);
    self->context = bench_open_hiredis(false);
    self->seed = (unsigned)index + 1;
    snprintf(self->token, sizeof self->token, "token:%zu", index);
    redisReply *reply = naive_ask(self, 3, argv);
    snprintf(self->release_sha1, sizeof self->release_sha1, "%s", reply->str);
    freeReplyObject(reply);
    self->commands = 0;
}

static bool naive_try(naive *self)
{
    const char *argv[] = {"SET", LOCK_KEY, self->token, "NX", "PX", LOCK_TTL_MS};
    redisReply *reply = naive_ask(self, 6, argv);
    bool is_granted = reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    return is_granted;
}

/* The first pause is of any length: else all who began to wait together try together. */
static void naive_wait(naive *self, useconds_t poll_us)
{
    useconds_t pause_us = 1 + (useconds_t)rand_r(&self->seed) % poll_us;
    while (!naive_try(self)) {
        usleep(pause_us);
        pause_us = poll_us;
    }
}

static void naive_release(naive *self)
{
    const char *argv[] = {"EVALSHA", self->release_sha1, "1", LOCK_KEY, self->token};
    redisReply *reply = naive_ask(self, 5, argv);
    bench_must(reply->integer == 1, "the naive lock was lost");
    freeReplyObject(reply);
}

/* --- ours */

static sc_lock *ours_open(sc_client *client, bool is_fair)
{
    sc_lock_config config;
    sc_lock *lock;
    memset(&config, 0, sizeof config);
    config.key = sc_text(LOCK_KEY);
    config.fair = is_fair;
    bench_must(sc_lock_open(client, &config, &lock) == SC_OK, "no lock");
    return lock;
}

/* --- a contender */

typedef struct contender {
    const match *in;
    size_t index; /* among all */
    sc_lock *lock;
    naive peer;
    pthread_t thread;
} contender;

static void contender_acquire(contender *self)
{
    if (self->lock)
        bench_must(sc_lock_acquire(self->lock, -1) == SC_OK, "acquire");
    else
        naive_wait(&self->peer, self->in->poll_us);
}

static void contender_release(contender *self)
{
    if (self->lock)
        bench_must(sc_lock_release(self->lock) == SC_OK, "release");
    else
        naive_release(&self->peer);
}

static void complain(const char *what, size_t one, size_t other)
{
    __atomic_add_fetch(&common->wrong, 1, __ATOMIC_ACQ_REL);
    printf("# WRONG: %s (contenders %zu and %zu)\n", what, one, other);
    fflush(stdout);
}

static void contender_check_fence(const contender *self)
{
    int64_t fence = self->lock ? sc_lock_fencing_token(self->lock) : common->fence + 1;
    if (fence <= common->fence)
        complain("the fencing token did not rise", self->index, common->last_holder);
    common->fence = fence;
}

/* From one to another: who takes it twice has handed nothing over. */
static void contender_note(const contender *self, double asked_ns, double granted_ns)
{
    score *own = &common->scores[self->index];
    if (granted_ns < (double)common->from_ns || granted_ns >= (double)common->until_ns)
        return;
    own->grants++;
    common->measured++;
    if (granted_ns - asked_ns > own->longest_wait_ns)
        own->longest_wait_ns = granted_ns - asked_ns;
    if (common->last_holder != self->index && common->released_ns > 0 &&
        common->samples < LOCK_MOST_SAMPLES)
        common->handover_us[common->samples++] = (float)((granted_ns - common->released_ns) / 1e3);
}

/* Held: the counter is read when entering and written when leaving, so that one who came between is
   seen. */
static void contender_hold(const contender *self, double asked_ns)
{
    double granted_ns = bench_now_ns();
    uint64_t seen = common->counter;
    contender_note(self, asked_ns, granted_ns);
    contender_check_fence(self);
    common->last_holder = self->index;
    __atomic_add_fetch(&common->turn, 1, __ATOMIC_ACQ_REL);
    if (self->in->takes_turns)
        usleep(LOCK_HOLD_US);
    if (common->counter != seen || common->last_holder != self->index)
        complain("two held the lock", self->index, common->last_holder);
    common->counter = seen + 1;
    common->released_ns = bench_now_ns();
}

static void contender_await_another(uint64_t turn)
{
    while (__atomic_load_n(&common->turn, __ATOMIC_ACQUIRE) == turn &&
           bench_now_ns() < (double)common->until_ns)
        usleep(LOCK_LOOK_US);
}

static void *contender_run(void *argument)
{
    contender *self = (contender *)argument;
    __atomic_add_fetch(&common->ready, 1, __ATOMIC_ACQ_REL);
    while (!load(&common->begin_ns))
        usleep(200 * LOCK_LOOK_US);
    while (bench_now_ns() < (double)common->until_ns) {
        double asked_ns = bench_now_ns();
        contender_acquire(self);
        contender_hold(self, asked_ns);
        uint64_t turn = __atomic_load_n(&common->turn, __ATOMIC_ACQUIRE);
        contender_release(self);
        if (self->in->takes_turns)
            contender_await_another(turn);
    }
    return NULL;
}

/* --- a process of contenders */

static void contender_open(contender *self, const match *in, sc_client *client, size_t index)
{
    memset(self, 0, sizeof *self);
    self->in = in;
    self->index = index;
    if (client)
        self->lock = ours_open(client, in->is_fair);
    else
        naive_open(&self->peer, index);
}

static uint64_t contender_close(contender *self)
{
    uint64_t commands = self->peer.commands;
    sc_lock_close(self->lock);
    if (self->peer.context)
        redisFree(self->peer.context);
    return commands;
}

static void process_start(contender *all, const match *in, sc_client *client, size_t process)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, LOCK_STACK_BYTES);
    for (size_t i = 0; i < in->threads; i++) {
        contender_open(&all[i], in, client, process * in->threads + i);
        bench_must(pthread_create(&all[i].thread, &attributes, contender_run, &all[i]) == 0,
                   "no thread");
    }
    pthread_attr_destroy(&attributes);
}

static uint64_t process_end(contender *all, const match *in, sc_client *client)
{
    sc_stats stats;
    uint64_t commands = 0;
    memset(&stats, 0, sizeof stats);
    for (size_t i = 0; i < in->threads; i++)
        pthread_join(all[i].thread, NULL);
    if (client)
        sc_stats_get(client, &stats);
    for (size_t i = 0; i < in->threads; i++)
        commands += contender_close(&all[i]);
    sc_close(client);
    return commands + stats.commands;
}

static void process_run(const match *in, size_t process)
{
    static contender all[LOCK_CROWD];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sc_client *client = in->poll_us ? NULL : bench_open(false);
    process_start(all, in, client, process);
    while (!load(&common->begin_ns))
        usleep(LOCK_LOOK_US);
    double cpu_begin_ns = bench_cpu_ns();
    uint64_t commands = process_end(all, in, client);
    __atomic_add_fetch(&common->cpu_ns, (int64_t)(bench_cpu_ns() - cpu_begin_ns), __ATOMIC_ACQ_REL);
    __atomic_add_fetch(&common->commands, commands, __ATOMIC_ACQ_REL);
    exit(0);
}

/* --- a round */

static double server_cpu_ns(void)
{
    clockid_t clock;
    bench_must(clock_getcpuclockid((pid_t)atoi(bench_environment("BENCH_SERVER_PID")), &clock) == 0,
               "no clock of the server");
    return bench_clock_ns(clock);
}

static void round_begin(const match *in, double measured_ns)
{
    bool is_crowd = in->processes * in->threads == LOCK_CROWD;
    while (__atomic_load_n(&common->ready, __ATOMIC_ACQUIRE) < in->processes * in->threads)
        usleep(LOCK_LOOK_US);
    double now_ns = bench_now_ns();
    common->from_ns = (int64_t)(now_ns + (is_crowd ? LOCK_CROWD_SETTLE_NS : LOCK_SETTLE_NS));
    common->until_ns = common->from_ns + (int64_t)measured_ns;
    __atomic_store_n(&common->begin_ns, (int64_t)now_ns, __ATOMIC_RELEASE);
}

static int compare_floats(const void *a, const void *b)
{
    float left = *(const float *)a;
    float right = *(const float *)b;
    return left < right ? -1 : left > right;
}

static double part_of(float *numbers, size_t count, double part)
{
    qsort(numbers, count, sizeof *numbers, compare_floats);
    return count ? (double)numbers[(size_t)((double)(count - 1) * part)] : 0;
}

static void outcome_add_samples(outcome *to)
{
    size_t samples = to->samples + common->samples;
    to->handover_us = (float *)realloc(to->handover_us, (samples + 1) * sizeof *to->handover_us);
    bench_must(to->handover_us != NULL, "no memory");
    memcpy(to->handover_us + to->samples, common->handover_us,
           common->samples * sizeof *to->handover_us);
    to->samples = samples;
}

static void round_add(outcome *to, size_t round, double measured_ns, double server_ns)
{
    if (common->counter != common->turn)
        complain("a write was lost", 0, 0);
    to->seconds += measured_ns / 1e9;
    to->measured += common->measured;
    to->grants += common->counter;
    to->commands += common->commands;
    to->cpu_ns += (double)common->cpu_ns;
    to->server_ns += server_ns;
    to->round_rate[round] = (double)common->measured / (measured_ns / 1e9);
    outcome_add_samples(to);
    to->round_handover_us[round] = part_of(common->handover_us, common->samples, 0.5);
    for (size_t i = 0; i < LOCK_CROWD; i++) {
        const score *of = &common->scores[i];
        to->grants_of[i] += of->grants;
        if (of->longest_wait_ns > to->longest_wait_ns)
            to->longest_wait_ns = of->longest_wait_ns;
    }
    all_wrong += common->wrong;
}

static void play_round(const match *in, outcome *to, size_t round, double measured_ns)
{
    pid_t children[LOCK_PROCESSES];
    memset(common, 0, sizeof *common);
    for (size_t i = 0; i < in->processes; i++) {
        children[i] = fork();
        bench_must(children[i] >= 0, "fork");
        if (children[i] == 0)
            process_run(in, i);
    }
    double server_begin_ns = server_cpu_ns();
    round_begin(in, measured_ns);
    for (size_t i = 0; i < in->processes; i++) {
        int status;
        bench_must(waitpid(children[i], &status, 0) == children[i] && status == 0,
                   "a process of contenders failed");
    }
    round_add(to, round, measured_ns, server_cpu_ns() - server_begin_ns);
}

/* --- what came of it */

/* Jain, Chiu and Hawe, "A quantitative measure of fairness", 1984. */
static double fairness(const uint64_t *grants, size_t count)
{
    double sum = 0;
    double squares = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)grants[i];
        squares += (double)grants[i] * (double)grants[i];
    }
    return squares > 0 ? sum * sum / ((double)count * squares) : 0;
}

static void print_head(void)
{
    printf("# %-26s %8s | %8s %9s %9s %5s | %5s %6s %6s %8s | %5s %7s %7s\n", "contenders",
           "grants", "handover", "p99", "max", "same", "Jain", "least", "most", "wait", "asked",
           "client", "server");
    printf("# %-26s %8s | %8s %9s %9s %5s | %5s %6s %6s %8s | %5s %7s %7s\n", "", "1/s", "us", "us",
           "us", "%", "", "", "", "max ms", "each", "us each", "us each");
    fflush(stdout); /* else each child has it, too */
}

static void print_outcome(const match *in, outcome *of)
{
    char name[64];
    size_t contenders = in->processes * in->threads;
    double grants = (double)of->grants;
    uint64_t least = of->grants_of[0];
    uint64_t most = least;
    for (size_t i = 1; i < contenders; i++) {
        least = of->grants_of[i] < least ? of->grants_of[i] : least;
        most = of->grants_of[i] > most ? of->grants_of[i] : most;
    }
    snprintf(name, sizeof name, "%zux%zu %s %s", in->processes, in->threads, in->name,
             in->takes_turns ? "turns" : "greedy");
    printf(
        "# %-26s %8.0f | %8.0f %9.0f %9.0f %5.1f | %5.3f %6llu %6llu %8.1f | %5.1f %7.1f %7.1f\n",
        name, (double)of->measured / of->seconds, part_of(of->handover_us, of->samples, 0.5),
        part_of(of->handover_us, of->samples, 0.99), part_of(of->handover_us, of->samples, 1),
        of->measured ? 100 - 100 * (double)of->samples / (double)of->measured : 0,
        fairness(of->grants_of, contenders), (unsigned long long)least, (unsigned long long)most,
        of->longest_wait_ns / 1e6, (double)of->commands / grants, of->cpu_ns / 1e3 / grants,
        of->server_ns / 1e3 / grants);
    fflush(stdout);
}

/* --- crowds of 1,000 */

static void bench_crowd(size_t processes, bool is_fair)
{
    static outcome of;
    match in;
    memset(&in, 0, sizeof in);
    in.name = is_fair ? "ours_fair" : "ours";
    in.processes = processes;
    in.threads = LOCK_CROWD / processes;
    in.is_fair = is_fair;
    memset(&of, 0, sizeof of);
    play_round(&in, &of, 0, LOCK_CROWD_ROUNDS * round_ns);
    print_outcome(&in, &of);
    free(of.handover_us);
}

/* --- eight processes, side by side */

#define LOCK_SIDES 5
#define LOCK_PEERS_AT 2 /* before them, ours and ours_fair */

static void print_ratios(const match *sides, const outcome *of)
{
    char text[64];
    for (size_t i = LOCK_PEERS_AT; i < LOCK_SIDES; i++) {
        double slower[LOCK_ROUNDS];
        double oftener[LOCK_ROUNDS];
        for (size_t round = 0; round < LOCK_ROUNDS; round++) {
            slower[round] = of[0].round_handover_us[round] / of[i].round_handover_us[round];
            oftener[round] = of[0].round_rate[round] / of[i].round_rate[round];
        }
        snprintf(text, sizeof text, "lock_8_handover_%s", sides[i].name);
        bench_line(text, "us", bench_median(of[0].round_handover_us, LOCK_ROUNDS), sides[i].name,
                   bench_median(of[i].round_handover_us, LOCK_ROUNDS),
                   bench_median(slower, LOCK_ROUNDS), false, sides[i].handover_aim);
        snprintf(text, sizeof text, "lock_8_rate_%s", sides[i].name);
        bench_line(text, "/s", bench_median(of[0].round_rate, LOCK_ROUNDS), sides[i].name,
                   bench_median(of[i].round_rate, LOCK_ROUNDS), bench_median(oftener, LOCK_ROUNDS),
                   true, sides[i].rate_aim);
    }
}

static void bench_eight(bool takes_turns)
{
    static outcome of[LOCK_SIDES];
    match sides[LOCK_SIDES] = {
        {"ours", LOCK_PROCESSES, 1, false, 0, takes_turns, 0, 0},
        {"ours_fair", LOCK_PROCESSES, 1, true, 0, takes_turns, 0, 0},
        {"set_nx_1ms", LOCK_PROCESSES, 1, false, 1000, takes_turns, 1.50, 0.90},
        {"set_nx_10ms", LOCK_PROCESSES, 1, false, 10000, takes_turns, 0.50, 1.00},
        {"set_nx_50ms", LOCK_PROCESSES, 1, false, 50000, takes_turns, 0.20, 2.00}};
    memset(of, 0, sizeof of);
    for (size_t round = 0; round < LOCK_ROUNDS; round++)
        for (size_t i = 0; i < LOCK_SIDES; i++)
            play_round(&sides[i], &of[i], round, round_ns);
    for (size_t i = 0; i < LOCK_SIDES; i++)
        print_outcome(&sides[i], &of[i]);
    if (takes_turns)
        print_ratios(sides, of);
    for (size_t i = 0; i < LOCK_SIDES; i++)
        free(of[i].handover_us);
}

/* --- nobody contends */

static void pairs_of_ours(void *user, size_t operations)
{
    sc_lock *lock = (sc_lock *)user;
    while (operations--) {
        bench_must(sc_lock_acquire(lock, -1) == SC_OK, "acquire");
        bench_must(sc_lock_release(lock) == SC_OK, "release");
    }
}

static void pairs_of_naive(void *user, size_t operations)
{
    naive *peer = (naive *)user;
    while (operations--) {
        bench_must(naive_try(peer), "the naive lock is held");
        naive_release(peer);
    }
}

/* Commands of a pair, each of which waits for its answer. */
static double commands_of_pairs(sc_client *client, sc_lock *lock)
{
    sc_stats before;
    sc_stats after;
    sc_stats_get(client, &before);
    pairs_of_ours(lock, 1000);
    sc_stats_get(client, &after);
    return (double)(after.commands - before.commands) / 1000;
}

static void bench_uncontended(void)
{
    naive peer;
    sc_client *client = bench_open(false);
    sc_lock *lock = ours_open(client, false);
    naive_open(&peer, 0);
    bench_side ours = bench_side_of("ours", pairs_of_ours, lock);
    bench_side theirs = bench_side_of("set_nx", pairs_of_naive, &peer);
    bench_side *sides[] = {&ours, &theirs};
    bench_put(BENCH_ONE_CORE);
    bench_compare(sides, 2);
    bench_line_latency("lock_uncontended", &ours, &theirs, 2.00);
    bench_line_cpu("lock_uncontended_cpu", &ours, &theirs, 1.50);
    double commands = commands_of_pairs(client, lock);
    bench_line("lock_uncontended_round_trips", "", commands, theirs.name, 2, commands / 2, false,
               1.00);
    redisFree(peer.context);
    sc_lock_close(lock);
    sc_close(client);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        round_ns = atof(argv[1]) * 1e6;
    bench_must(round_ns > 0, "wrong arguments");
    common = (arena *)mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                           -1, 0);
    bench_must(common != MAP_FAILED, "no memory");
    bench_uncontended();
    bench_put(BENCH_ANYWHERE);
    print_head();
    bench_crowd(1, false);
    bench_crowd(1, true);
    bench_crowd(LOCK_PROCESSES, false);
    bench_crowd(LOCK_PROCESSES, true);
    bench_eight(false);
    bench_eight(true);
    printf("# two held the lock, or a token did not rise: %llu times\n",
           (unsigned long long)all_wrong);
    return all_wrong > 0;
}
