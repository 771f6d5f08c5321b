/* Contenders for locks: what they do, and what must hold of the locks of all processes. */

#include "locks.h"

#include <stdlib.h>
#include <string.h>

#define CONTENDERS 3 /* of a process */
#define CHECK_WAIT_MS 50000

typedef enum lock_op { LOCK_ACQUIRE, LOCK_RELEASE, LOCK_EXTEND, LOCK_OPS } lock_op;

typedef struct contender {
    sim_process *process;
    sim_contenders *owner;
    sc_lock *lock; /* NULL: not open */
    bool is_fair;
    int64_t wait_ms;
    sim_call calls[LOCK_OPS];
    bool is_cancelled;      /* the acquire that is under way */
    int64_t all_stalled_ns; /* of all programs, when it began */
    bool is_holding;        /* as the program knows: neither given back nor told of the loss */
    int64_t release_ns;     /* when it wants to give it back */
    bool is_verified;       /* it got the lock when all was calm */
    sim_hold hold;
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
    int64_t written_ns; /* when somebody wrote last, or wanted to */
} locks;

void sim_locks_begin(void)
{
    memset(&locks, 0, sizeof locks);
}

/* --- what must hold */

static void look(contender *c)
{
    sim_hold_view view;
    memset(&view, 0, sizeof view);
    sim_lock_look(c->lock, &view);
    sim_hold_see(&c->hold, &view);
}

static bool is_writer(const contender *c)
{
    return c->hold.key == SIM_READERS && c->hold.limit == 1;
}

/* A lock that is free does not stay so while it is waited for: the one who is woken takes it, or
   who waits looks by itself at its poll bound. To readers it is free while nobody writes. */
static void check_wait(const contender *c)
{
    const sim_call *call = &c->calls[LOCK_ACQUIRE];
    if (!call->is_under_way || !c->hold.seen.is_waiting)
        return;
    if (c->is_fair && !sim_is_quiet())
        return; /* others are before it, who may have trouble of their own */
    int64_t free_ns = c->hold.key == SIM_READERS && !is_writer(c) ? locks.written_ns
                                                                  : sim_lease_end_ns(c->hold.key);
    sim_hold_check_wait(&c->hold, free_ns, call, c->all_stalled_ns, sim.poll_ms);
}

static void look_at_all(void)
{
    for (int i = 0; i < locks.count; i++)
        for (int j = 0; j < CONTENDERS && locks.all[i]->process->is_alive; j++) {
            contender *c = &locks.all[i]->each[j];
            /* What there is to see changes by the process's own steps alone: it is in its memory,
               and asks no clock. What holds of it is looked at after every step. */
            if (c->lock && c->process == sim.last)
                look(c);
            if (c->lock && is_writer(c) &&
                (c->calls[LOCK_ACQUIRE].is_under_way || !c->hold.seen.is_idle))
                locks.written_ns = sim.now_ns;
        }
}

void sim_locks_step(void)
{
    sim_holders holders;
    memset(&holders, 0, sizeof holders);
    look_at_all();
    for (int i = 0; i < locks.count; i++)
        for (int j = 0; j < CONTENDERS && locks.all[i]->process->is_alive; j++) {
            contender *c = &locks.all[i]->each[j];
            if (!c->lock)
                continue;
            sim_hold_check(&c->hold, &holders);
            sim_hold_check_told(&c->hold, c->is_holding);
            check_wait(c);
        }
}

/* --- what they do */

static void acquire(contender *c, int64_t wait_ms);

static void on_lost(void *user, sc_lock *lock)
{
    contender *c = (contender *)user;
    sim_note("has lost lock %d", c->hold.key - SIM_KEYS);
    if (lock != c->lock || !c->is_holding)
        sim_fail("c%d was told of the loss of lock %d, which it did not hold", c->process->id,
                 c->hold.key - SIM_KEYS);
    look(c);
    if (c->hold.seen.is_held)
        sim_fail("c%d was told of the loss of lock %d, and holds it", c->process->id,
                 c->hold.key - SIM_KEYS);
    sim_hold_check_told(&c->hold, true);
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
        sim_fail("c%d: %s of lock %d ended with %s: %s", c->process->id, what,
                 c->hold.key - SIM_KEYS, sc_status_name(status), sc_error_text());
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
        sim_hold_numbered(&c->hold, fence);
    if (lock != c->lock) /* closed meanwhile */
        return;
    c->is_holding = true;
    c->is_verified = c->owner->is_retired;
    sim_hold_begins(&c->hold);
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
    c->all_stalled_ns = sim_all_stalled_ns();
    sim_hold_asks(&c->hold);
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
    bool is_held = c->hold.seen.is_held && sim_local_ns(c->process) < c->hold.seen.until_ns;
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

static int draw_lock(sim_random *random)
{
    if (sim.permits && sim_chance(random, 0.6))
        return sim_chance(random, 0.5) ? SIM_PERMITS : SIM_READERS;
    return SIM_KEYS + (int)sim_between(random, 0, SIM_LOCKS - 1);
}

static sc_status open_lock(contender *c, const sc_lock_config *config)
{
    sc_client *client = c->owner->client;
    c->hold.limit = 1;
    if (c->hold.key == SIM_PERMITS) {
        c->hold.limit = sim.permits;
        return sc_semaphore_open(client, config, sim.permits, &c->lock);
    }
    if (c->hold.key == SIM_READERS) {
        bool writes = sim_chance(&c->process->random, 0.3);
        c->hold.limit = writes ? 1 : INT32_MAX;
        return sc_rwlock_open(client, config, writes, &c->lock);
    }
    return sc_lock_open(client, config, &c->lock);
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
    c->hold.key = draw_lock(random);
    c->is_fair = (sim.fair >> (c->hold.key - SIM_KEYS) & 1u) != 0;
    config.key = sc_text(sim_key_names[c->hold.key]);
    config.ttl_ms = sim.lock_ms;
    config.poll_ms = sim.poll_ms;
    config.no_renewal = sim_chance(random, 0.2);
    config.fair = c->is_fair;
    config.on_lost = on_lost;
    config.user = c;
    memset(&c->hold.seen, 0, sizeof c->hold.seen);
    sc_status status = open_lock(c, &config);
    sim_trace("opens contender %d of %s, at most %d", (int)(c - c->owner->each),
              sim_key_names[c->hold.key], c->hold.limit);
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

/* A dead holder's lease lasts longer when the server's clock was set back. */
static bool is_stuck(const contender *c)
{
    return (sim.faults >> SIM_SERVER_CLOCK & 1u) && !c->is_holding &&
           sim_lease_end_ns(c->hold.key) > sim.calm_ns + 2 * sim.lock_ms * SIM_NS_PER_MS;
}

void sim_contenders_retire(sim_contenders *all)
{
    if (!all)
        return;
    all->is_retired = true;
    for (int i = 0; i < CONTENDERS; i++) {
        contender *c = &all->each[i];
        c->release_ns = sim.now_ns;
        if (c->calls[LOCK_ACQUIRE].is_under_way && is_stuck(c))
            cancel(c); /* it may wait for ever */
    }
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
        all->each[i].hold.process = process;
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
