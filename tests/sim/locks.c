/* Contenders for locks: what they do, and what must hold of the locks of all processes. */

#include "locks.h"

#include <stdlib.h>
#include <string.h>

#define CONTENDERS 3 /* of a process */
#define SLACK_MS 60
#define FENCES 64     /* tokens that are remembered */
#define PLACE_POLLS 3 /* a dead one stands in the queue for so long */
#define CHECK_WAIT_MS 50000

typedef enum lock_op { LOCK_ACQUIRE, LOCK_RELEASE, LOCK_EXTEND, LOCK_OPS } lock_op;

typedef struct contender {
    sim_process *process;
    sim_contenders *owner;
    sc_lock *lock; /* NULL: not open */
    int key;
    bool is_fair;
    int64_t wait_ms;
    sim_call calls[LOCK_OPS];
    bool is_cancelled;      /* the acquire that is under way */
    int64_t floor;          /* fencing tokens up to this one were out when it began */
    bool is_numbered;       /* and the server has not forgotten them since */
    int64_t all_stalled_ns; /* of all programs, when it began */
    bool is_holding;        /* as the program knows: neither given back nor told of the loss */
    int64_t release_ns;     /* when it wants to give it back */
    bool is_verified;       /* it got the lock when all was calm */
    /* as seen between two steps */
    sim_lock_view seen;
    int64_t asked_ns;      /* by the process's clock: what has made the lease last until then */
    int64_t confirmed_ns;  /* when the process heard of it */
    int64_t well_until_ns; /* it was held, until then, and what had kept the process by then */
    int64_t well_stalled_ns;
    int64_t gone_ns; /* since when it is not, by the process's clock; 0: it is */
} contender;

struct sim_contenders {
    sim_process *process;
    sc_client *client;
    int64_t timeout_ms;
    bool is_retired;
    contender each[CONTENDERS];
};

static struct {
    sim_contenders *all[SIM_PROCESSES];
    int count;
    int64_t highest[SIM_LOCKS]; /* token of the acquires that have ended */
    int64_t granted[SIM_LOCKS]; /* by the server */
    int64_t fences[SIM_LOCKS][FENCES];
    int fence_count[SIM_LOCKS];
} locks;

void sim_locks_begin(void)
{
    memset(&locks, 0, sizeof locks);
}

/* A token is above the last one, and at least the server's time: it may come again only when the
   server has forgotten the last one, and its clock was set back. */
void sim_locks_loss(void)
{
    if (!(sim.faults >> SIM_SERVER_CLOCK & 1u))
        return;
    memset(locks.highest, 0, sizeof locks.highest);
    memset(locks.granted, 0, sizeof locks.granted);
    memset(locks.fence_count, 0, sizeof locks.fence_count);
    for (int i = 0; i < locks.count; i++)
        for (int j = 0; j < CONTENDERS; j++)
            locks.all[i]->each[j].is_numbered = false;
}

void sim_lock_granted(int key, int64_t fence)
{
    int lock = key - SIM_KEYS;
    sim_note("lock %d is granted: %lld", lock, (long long)fence);
    if (fence <= locks.granted[lock])
        sim_fail("lock %d has the fencing token %lld after %lld", lock, (long long)fence,
                 (long long)locks.granted[lock]);
    locks.granted[lock] = fence;
}

static int64_t all_stalled_ns(void)
{
    int64_t stalled_ns = 0;
    for (int i = 0; i < sim.process_count; i++)
        if (!sim.processes[i]->is_server)
            stalled_ns += sim.processes[i]->stalled_ns;
    return stalled_ns;
}

/* --- what must hold */

static bool has_faults_but(unsigned allowed)
{
    return (sim.faults & ~allowed) != 0;
}

/* Does it believe to hold the lock, and is nothing lost that it was told? */
static bool believes(const contender *c)
{
    int64_t local_ns = sim_local_ns(c->process);
    if (!c->seen.is_held || local_ns >= c->seen.until_ns)
        return false;
    return !sim_ledger_is_lost(sim.now_ns - (local_ns - c->asked_ns), c->confirmed_ns, true);
}

/* Who has a lock, as it sees it, has it at the server too. */
static void check_server(const contender *c)
{
    char token[SIM_TOKEN_BYTES];
    int64_t until_ns;
    if (!sim_lease_at_server(c->key, token, &until_ns))
        return;
    if (strcmp(token, c->seen.token) != 0)
        sim_fail("c%d has lock %d by %.3s; at the server %.3s has it", c->process->id,
                 c->key - SIM_KEYS, c->seen.token, *token ? token : "nobody");
    else if (until_ns < sim.now_ns)
        sim_fail("c%d has lock %d; at the server it has ended", c->process->id, c->key - SIM_KEYS);
}

/* What is not used is given back: a question without an answer may have taken the lock. */
static void check_leftover(const contender *c)
{
    char token[SIM_TOKEN_BYTES];
    int64_t until_ns;
    int64_t begun_ns = sim.now_ns - (sim_local_ns(c->process) - c->seen.begun_ns);
    if (!c->seen.is_idle || !*c->seen.token || sim_local_ns(c->process) >= c->seen.until_ns ||
        (sim.faults & (1u << SIM_DELAY | 1u << SIM_BLACK_HOLE)) ||
        !sim_lease_at_server(c->key, token, &until_ns) || strcmp(token, c->seen.token) != 0 ||
        sim_ledger_is_lost(begun_ns - SIM_NS_PER_S, sim.now_ns, false))
        return;
    sim_fail("c%d leaves lock %d behind, %.3s", c->process->id, c->key - SIM_KEYS, token);
}

/* It does not run, and it is not yet counted for how long. */
static bool is_kept(const sim_process *process)
{
    return process->paused_until_ns >= sim.now_ns || process->asleep_until_ns >= sim.now_ns;
}

/* The program is told of a loss, and in time. */
static void check_told(contender *c)
{
    const sim_process *process = c->process;
    int64_t local_ns = sim_local_ns(process);
    if (!c->is_holding || (c->seen.is_held && local_ns < c->seen.until_ns)) {
        c->well_until_ns = c->seen.is_held ? c->seen.until_ns : local_ns;
        c->well_stalled_ns = process->stalled_ns;
        c->gone_ns = 0;
        return;
    }
    if (!c->gone_ns)
        c->gone_ns = local_ns < c->well_until_ns ? local_ns : c->well_until_ns;
    if (is_kept(process))
        return;
    int64_t late_ns = local_ns - c->gone_ns - (process->stalled_ns - c->well_stalled_ns);
    if (late_ns > SLACK_MS * SIM_NS_PER_MS)
        sim_fail("c%d was not told for %.1f ms that it has lost lock %d", process->id,
                 (double)late_ns / 1e6, c->key - SIM_KEYS);
}

/* A lock that is free does not stay so while it is waited for: the one who is woken takes it, or
   who waits looks by itself at its poll bound. */
static void check_wait(const contender *c)
{
    const sim_call *call = &c->calls[LOCK_ACQUIRE];
    if (!call->is_under_way || !c->seen.is_waiting || is_kept(c->process))
        return;
    int64_t from_ns = sim_lease_end_ns(c->key);
    bool is_held = from_ns > sim.now_ns;
    if (from_ns < call->begin_ns)
        from_ns = call->begin_ns;
    if (from_ns < sim_overcome_ns(c->process))
        from_ns = sim_overcome_ns(c->process);
    if (is_held || from_ns >= sim.now_ns)
        return;
    int64_t bound_ns = sim_call_grace_ns(call);
    bool is_quiet =
        !has_faults_but(1u << SIM_SPLIT | 1u << SIM_SERVER_SLOW | 1u << SIM_SERVER_PAUSE |
                        1u << SIM_NOSCRIPT | 1u << SIM_PUBLISH_TWICE);
    if (is_quiet)
        bound_ns += all_stalled_ns() - c->all_stalled_ns;
    else if (c->is_fair)
        return; /* others are before it, who may have trouble of their own */
    else
        bound_ns += sim.poll_ms * SIM_NS_PER_MS;
    if (sim.now_ns - from_ns > bound_ns)
        sim_fail("c%d waits for lock %d, which is free for %.1f ms", c->process->id,
                 c->key - SIM_KEYS, (double)(sim.now_ns - from_ns) / 1e6);
}

static void look(contender *c)
{
    sim_lock_view view;
    memset(&view, 0, sizeof view);
    sim_lock_look(c->lock, &view);
    if (view.is_held && (!c->seen.is_held || strcmp(c->seen.token, view.token) != 0)) {
        c->asked_ns = view.begun_ns;
        c->confirmed_ns = sim.now_ns;
    } else if (view.is_held && view.until_ns > c->seen.until_ns) {
        c->asked_ns = c->seen.latest_ns;
        c->confirmed_ns = sim.now_ns;
    }
    c->seen = view;
}

static void check_contender(contender *c, const contender *holders[SIM_LOCKS])
{
    const contender **holder = &holders[c->key - SIM_KEYS];
    look(c);
    if (believes(c)) {
        if (*holder)
            sim_fail("lock %d is held by c%d and by c%d", c->key - SIM_KEYS, (*holder)->process->id,
                     c->process->id);
        *holder = c;
        check_server(c);
    }
    check_leftover(c);
    check_told(c);
    check_wait(c);
}

void sim_locks_step(void)
{
    const contender *holders[SIM_LOCKS] = {NULL};
    for (int i = 0; i < locks.count; i++)
        for (int j = 0; j < CONTENDERS && locks.all[i]->process->is_alive; j++)
            if (locks.all[i]->each[j].lock)
                check_contender(&locks.all[i]->each[j], holders);
}

/* A register that checks tokens: none comes twice, and none that is not above all that were out
   when its holder began to ask. */
static void note_fence(const contender *c, int64_t fence)
{
    int lock = c->key - SIM_KEYS;
    sim_note("lock %d is held: %lld", lock, (long long)fence);
    if (!c->is_numbered)
        return;
    if (fence <= c->floor)
        sim_fail("c%d has lock %d with the fencing token %lld after %lld", c->process->id, lock,
                 (long long)fence, (long long)c->floor);
    for (int i = 0; i < FENCES && i < locks.fence_count[lock]; i++)
        if (locks.fences[lock][i] == fence)
            sim_fail("lock %d has two holdings with the fencing token %lld", lock,
                     (long long)fence);
    locks.fences[lock][locks.fence_count[lock]++ % FENCES] = fence;
    if (fence > locks.highest[lock])
        locks.highest[lock] = fence;
}

/* --- what they do */

static void acquire(contender *c, int64_t wait_ms);

static void on_lost(void *user, sc_lock *lock)
{
    contender *c = (contender *)user;
    sim_note("has lost lock %d", c->key - SIM_KEYS);
    if (lock != c->lock || !c->is_holding)
        sim_fail("c%d was told of the loss of lock %d, which it did not hold", c->process->id,
                 c->key - SIM_KEYS);
    look(c);
    if (c->seen.is_held)
        sim_fail("c%d was told of the loss of lock %d, and holds it", c->process->id,
                 c->key - SIM_KEYS);
    check_told(c);
    c->is_holding = false;
    if (!c->owner->is_retired && sim_chance(&c->process->random, 0.3))
        acquire(c, c->wait_ms);
}

static bool is_trouble(sc_status status)
{
    return status < 0 && status != SC_ERR_DEADLOCK && status != SC_ERR_ARGUMENT &&
           status != SC_ERR_UNSUPPORTED && status != SC_ERR_CANCELLED;
}

static void check_end(const contender *c, const char *what, sc_status status, bool is_expected)
{
    if (!is_expected && !is_trouble(status))
        sim_fail("c%d: %s of lock %d ended with %s: %s", c->process->id, what, c->key - SIM_KEYS,
                 sc_status_name(status), sc_error_text());
}

static void on_acquired(void *user, sc_lock *lock, sc_status status)
{
    contender *c = (contender *)user;
    sim_call *call = &c->calls[LOCK_ACQUIRE];
    bool has_waited = sim_local_ns(c->process) - call->local_ns >= c->wait_ms * SIM_NS_PER_MS;
    sim_call_ends(call, status);
    check_end(c, "the acquire", status,
              status == SC_OK || (status == SC_HELD && c->wait_ms >= 0 && has_waited) ||
                  (status == SC_ERR_CANCELLED && c->is_cancelled));
    if (status != SC_OK)
        return;
    int64_t fence = lock == c->lock ? sc_lock_fencing_token(lock) : 0;
    if (fence)
        note_fence(c, fence);
    if (lock != c->lock) /* closed meanwhile */
        return;
    c->is_holding = true;
    c->is_verified = c->owner->is_retired;
    c->well_until_ns = sim_local_ns(c->process);
    c->well_stalled_ns = c->process->stalled_ns;
    c->gone_ns = 0;
    c->release_ns =
        sim.now_ns + sim_spread(&c->process->random, 1, 3 * sim.lock_ms) * SIM_NS_PER_MS;
    if (c->owner->is_retired)
        c->release_ns = sim.now_ns;
}

static void on_released(void *user, sc_lock *lock, sc_status status)
{
    contender *c = (contender *)user;
    (void)lock;
    sim_call_ends(&c->calls[LOCK_RELEASE], status);
    check_end(c, "the release", status, status == SC_OK || status == SC_LOST);
}

static void on_extended(void *user, sc_lock *lock, sc_status status)
{
    contender *c = (contender *)user;
    (void)lock;
    sim_call_ends(&c->calls[LOCK_EXTEND], status);
    check_end(c, "the extension", status, status == SC_OK || status == SC_LOST);
}

/* What of the one before is still under way comes first: its question, and the farewell. */
static void acquire(contender *c, int64_t wait_ms)
{
    sim_call *call = &c->calls[LOCK_ACQUIRE];
    if (call->is_under_way)
        return;
    c->wait_ms = wait_ms;
    c->is_cancelled = false;
    c->floor = locks.highest[c->key - SIM_KEYS];
    c->is_numbered = true;
    c->all_stalled_ns = all_stalled_ns();
    sim_call_begins(call, "acquire", wait_ms < 0 ? INT32_MAX : wait_ms + 3 * c->owner->timeout_ms);
    sc_status status = wait_ms == 0 ? sc_lock_try_async(c->lock, on_acquired, c)
                                    : sc_lock_acquire_async(c->lock, wait_ms, on_acquired, c);
    if (status != SC_OK) {
        sim_call_ends(call, status);
        check_end(c, "the acquire", status, false);
    }
}

static void release(contender *c)
{
    sim_call *call = &c->calls[LOCK_RELEASE];
    if (call->is_under_way)
        return;
    look(c);
    bool is_held = c->seen.is_held && sim_local_ns(c->process) < c->seen.until_ns;
    sim_call_begins(call, "release", c->owner->timeout_ms);
    c->is_holding = c->is_holding && !is_held;
    sc_status status = sc_lock_release_async(c->lock, on_released, c);
    if (status != SC_OK) {
        c->is_holding = c->is_holding || is_held;
        sim_call_ends(call, status);
        check_end(c, "the release", status, false);
    }
}

static void extend(contender *c)
{
    sim_call *call = &c->calls[LOCK_EXTEND];
    if (call->is_under_way)
        return;
    int64_t ttl_ms = sim_chance(&c->process->random, 0.5)
                         ? 0
                         : sim_spread(&c->process->random, 50, 2 * sim.lock_ms);
    sim_call_begins(call, "extend", 2 * c->owner->timeout_ms);
    sc_status status = sc_lock_extend_async(c->lock, ttl_ms, on_extended, c);
    if (status != SC_OK) {
        sim_call_ends(call, status);
        check_end(c, "the extension", status, false);
    }
}

static void cancel(contender *c)
{
    sim_note("cancels");
    c->is_cancelled = true;
    (void)sc_lock_release_async(c->lock, NULL, NULL);
}

static void shut(contender *c)
{
    sc_lock *lock = c->lock;
    sim_note("closes");
    c->lock = NULL;
    c->is_cancelled = true;
    c->is_holding = false;
    sc_lock_close(lock);
}

static bool open_contender(contender *c)
{
    sim_random *random = &c->process->random;
    sc_lock_config config;
    bool has_calls = false;
    for (int i = 0; i < LOCK_OPS; i++)
        has_calls = has_calls || c->calls[i].is_under_way;
    if (c->lock || has_calls) /* of the one that was closed */
        return c->lock != NULL;
    memset(&config, 0, sizeof config);
    c->key = SIM_KEYS + (int)sim_between(random, 0, SIM_LOCKS - 1);
    c->is_fair = (sim.fair >> (c->key - SIM_KEYS) & 1u) != 0;
    config.key = sc_text(sim_key_names[c->key]);
    config.ttl_ms = sim.lock_ms;
    config.poll_ms = sim.poll_ms;
    config.no_renewal = sim_chance(random, 0.2);
    config.fair = c->is_fair;
    config.on_lost = on_lost;
    config.user = c;
    memset(&c->seen, 0, sizeof c->seen);
    sc_status status = sc_lock_open(c->owner->client, &config, &c->lock);
    if (status != SC_OK && status != SC_ERR_MEMORY)
        sim_fail("c%d opens no lock: %s", c->process->id, sc_error_text());
    return status == SC_OK;
}

static int64_t draw_wait_ms(sim_random *random)
{
    if (sim_chance(random, 0.2))
        return 0;
    return sim_chance(random, 0.05) ? -1 : sim_spread(random, 50, 16000);
}

void sim_contenders_act(sim_contenders *all)
{
    sim_random *random = &all->process->random;
    contender *c = &all->each[sim_between(random, 0, CONTENDERS - 1)];
    bool is_acquiring = c->calls[LOCK_ACQUIRE].is_under_way;
    if (!open_contender(c))
        return;
    if (sim_chance(random, 0.03))
        shut(c);
    else if (c->is_holding && sim_chance(random, 0.3))
        extend(c);
    else if (is_acquiring && sim_chance(random, 0.1))
        cancel(c);
    else if (!is_acquiring && !c->is_holding)
        acquire(c, draw_wait_ms(random));
}

int64_t sim_contenders_due(sim_contenders *all)
{
    int64_t next_ns = -1;
    for (int i = 0; all && i < CONTENDERS; i++) {
        contender *c = &all->each[i];
        if (!c->is_holding || c->calls[LOCK_RELEASE].is_under_way)
            continue;
        if (c->release_ns <= sim.now_ns)
            release(c);
        else if (next_ns < 0 || c->release_ns < next_ns)
            next_ns = c->release_ns;
    }
    return next_ns;
}

size_t sim_contenders_under_way(const sim_contenders *all)
{
    size_t count = 0;
    for (int i = 0; all && i < CONTENDERS; i++) {
        count += all->each[i].is_holding;
        for (int op = 0; op < LOCK_OPS; op++)
            count += all->each[i].calls[op].is_under_way;
    }
    return count;
}

void sim_contenders_retire(sim_contenders *all)
{
    if (!all)
        return;
    all->is_retired = true;
    for (int i = 0; i < CONTENDERS; i++)
        all->each[i].release_ns = sim.now_ns;
}

/* A dead holder's lease lasts longer when the server's clock was set back. */
static bool is_stuck(const contender *c)
{
    return (sim.faults >> SIM_SERVER_CLOCK & 1u) && !c->is_holding &&
           sim_lease_end_ns(c->key) > sim.calm_ns + 2 * sim.lock_ms * SIM_NS_PER_MS;
}

bool sim_contenders_check(sim_contenders *all)
{
    bool is_well = true;
    for (int i = 0; i < CONTENDERS; i++) {
        contender *c = &all->each[i];
        if (!c->lock || c->is_verified || is_stuck(c))
            continue;
        is_well = false;
        if (!c->is_holding)
            acquire(c, CHECK_WAIT_MS);
    }
    return is_well;
}

sim_contenders *sim_contenders_open(sim_process *process, sc_client *client, int64_t timeout_ms)
{
    if (!(sim.locking > 0))
        return NULL;
    sim_contenders *all = (sim_contenders *)calloc(1, sizeof *all);
    all->process = process;
    all->client = client;
    all->timeout_ms = timeout_ms;
    for (int i = 0; i < CONTENDERS; i++) {
        all->each[i].process = process;
        all->each[i].owner = all;
    }
    locks.all[locks.count++] = all;
    return all;
}

void sim_contenders_close(sim_contenders *all)
{
    for (int i = 0; all && i < CONTENDERS; i++)
        if (all->each[i].lock)
            shut(&all->each[i]);
}

/* Once the run is over. */
void sim_contenders_free(sim_contenders *all)
{
    free(all);
}
