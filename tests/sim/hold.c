/* Who holds a lock, or leads, and what must hold of both. */

#include "hold.h"

#include <string.h>

#define SLACK_MS 60
#define NUMBERS 64 /* that are remembered */

static struct {
    int epoch;
    int64_t highest[SIM_HELD]; /* that programs were given */
    int64_t alone[SIM_HELD];   /* the same, of those who share with nobody */
    int64_t granted[SIM_HELD]; /* by the server */
    int64_t last[SIM_HELD];    /* the same, since it has forgotten anything */
    int64_t given[SIM_HELD][NUMBERS];
    int count[SIM_HELD];
} numbers;

void sim_holds_begin(void)
{
    memset(&numbers, 0, sizeof numbers);
}

/* --- numbers */

/* A number is above the last one, and at least the server's time: it may come again only when the
   server has forgotten the last one, and its clock was set back. */
void sim_holds_loss(void)
{
    int epoch = numbers.epoch + 1;
    memset(numbers.last, 0, sizeof numbers.last);
    if (!(sim.faults >> SIM_SERVER_CLOCK & 1u))
        return;
    memset(&numbers, 0, sizeof numbers);
    numbers.epoch = epoch;
}

void sim_hold_granted(int key, int64_t number)
{
    sim_note("%s is granted: %lld", sim_key_names[key], (long long)number);
    if (number <= numbers.granted[key])
        sim_fail("%s is granted with the number %lld after %lld", sim_key_names[key],
                 (long long)number, (long long)numbers.granted[key]);
    numbers.granted[key] = numbers.last[key] = number;
}

int64_t sim_hold_last_granted(int key)
{
    return numbers.last[key];
}

void sim_hold_asks(sim_hold *hold)
{
    hold->number = 0;
    hold->floor = numbers.highest[hold->key];
    hold->epoch = numbers.epoch;
}

/* A register that checks numbers: none comes twice, and none that is not above all that were out
   when its holder began to ask. */
void sim_hold_numbered(sim_hold *hold, int64_t number)
{
    int key = hold->key;
    int *count = &numbers.count[key];
    sim_note("%s is held: %lld", sim_key_names[key], (long long)number);
    if (hold->epoch != numbers.epoch)
        return;
    if (number <= hold->floor)
        sim_fail("c%d has %s with the number %lld after %lld", hold->process->id,
                 sim_key_names[key], (long long)number, (long long)hold->floor);
    for (int i = 0; i < NUMBERS && i < *count; i++)
        if (numbers.given[key][i] == number)
            sim_fail("%s has two holdings with the number %lld", sim_key_names[key],
                     (long long)number);
    numbers.given[key][(*count)++ % NUMBERS] = number;
    if (number > numbers.highest[key])
        numbers.highest[key] = number;
    if (number > numbers.alone[key] && hold->limit == 1)
        numbers.alone[key] = number;
    hold->number = number;
}

/* While it is held, the register has taken nothing from anybody whom it excludes. */
static void check_overtaken(const sim_hold *hold)
{
    int64_t other = (hold->limit == 1 ? numbers.highest : numbers.alone)[hold->key];
    if (hold->number && hold->epoch == numbers.epoch && other > hold->number)
        sim_fail("c%d has %s with the number %lld, and %lld is out", hold->process->id,
                 sim_key_names[hold->key], (long long)hold->number, (long long)other);
}

void sim_hold_begins(sim_hold *hold)
{
    hold->well_until_ns = sim_local_ns(hold->process);
    hold->well_stalled_ns = hold->process->stalled_ns;
    hold->gone_ns = 0;
}

/* --- what must hold */

int64_t sim_all_stalled_ns(void)
{
    int64_t stalled_ns = 0;
    for (int i = 0; i < sim.process_count; i++)
        if (!sim.processes[i]->is_server)
            stalled_ns += sim.processes[i]->stalled_ns;
    return stalled_ns;
}

bool sim_is_quiet(void)
{
    const unsigned harmless = 1u << SIM_SPLIT | 1u << SIM_SERVER_SLOW | 1u << SIM_SERVER_PAUSE |
                              1u << SIM_NOSCRIPT | 1u << SIM_PUBLISH_TWICE;
    return !(sim.faults & ~harmless);
}

/* Does it believe to have it, and is nothing lost that the server was told? */
static bool believes(const sim_hold *hold)
{
    if (!hold->seen.is_held)
        return false;
    int64_t local_ns = sim_local_ns(hold->process);
    if (local_ns >= hold->seen.until_ns)
        return false;
    return !sim_ledger_is_lost(sim.now_ns - (local_ns - hold->asked_ns), hold->confirmed_ns, true);
}

static bool look_at_server(const sim_hold *hold, char token[SIM_TOKEN_BYTES], int64_t *until_ns)
{
    if (!SIM_IS_SHARED(hold->key))
        return sim_lease_at_server(hold->key, token, until_ns);
    memcpy(token, hold->seen.token, SIM_TOKEN_BYTES);
    return sim_share_at_server(hold->key, token, until_ns);
}

/* Who has it, as it sees it, has it at the server too. */
static void check_server(const sim_hold *hold)
{
    char token[SIM_TOKEN_BYTES];
    int64_t until_ns;
    if (!look_at_server(hold, token, &until_ns))
        return;
    if (strcmp(token, hold->seen.token) != 0)
        sim_fail("c%d has %s by %.3s; at the server %.3s has it", hold->process->id,
                 sim_key_names[hold->key], hold->seen.token, *token ? token : "nobody");
    else if (until_ns < sim.now_ns)
        sim_fail("c%d has %s; at the server it has ended", hold->process->id,
                 sim_key_names[hold->key]);
}

/* What is not used is given back: a question without an answer may have taken it. */
static void check_leftover(const sim_hold *hold)
{
    char token[SIM_TOKEN_BYTES];
    int64_t until_ns;
    if (!hold->seen.is_idle || !*hold->seen.token ||
        (sim.faults & (1u << SIM_DELAY | 1u << SIM_BLACK_HOLE)))
        return;
    int64_t local_ns = sim_local_ns(hold->process);
    int64_t begun_ns = sim.now_ns - (local_ns - hold->seen.begun_ns);
    if (local_ns >= hold->seen.until_ns || !look_at_server(hold, token, &until_ns) ||
        strcmp(token, hold->seen.token) != 0 ||
        sim_ledger_is_lost(begun_ns - SIM_NS_PER_S, sim.now_ns, false))
        return;
    sim_fail("c%d leaves %s behind, %.3s", hold->process->id, sim_key_names[hold->key], token);
}

static void check_crowd(const sim_hold *hold, sim_holders *holders)
{
    const sim_hold **last = &holders->last[hold->key];
    int *count = &holders->count[hold->key];
    int *most = &holders->most[hold->key];
    if (!*count || hold->limit < *most)
        *most = hold->limit;
    if (++*count > *most)
        sim_fail("%s is held by c%d and by c%d: by %d at once, not %d", sim_key_names[hold->key],
                 (*last)->process->id, hold->process->id, *count, *most);
    *last = hold;
}

void sim_hold_check(sim_hold *hold, sim_holders *holders)
{
    if (believes(hold)) {
        check_crowd(hold, holders);
        check_overtaken(hold);
        check_server(hold);
    }
    check_leftover(hold);
}

/* It does not run, and it is not yet counted for how long. */
static bool is_kept(const sim_process *process)
{
    return process->paused_until_ns >= sim.now_ns || process->asleep_until_ns >= sim.now_ns;
}

void sim_hold_check_told(sim_hold *hold, bool is_holding)
{
    const sim_process *process = hold->process;
    int64_t local_ns = sim_local_ns(process);
    if (!is_holding || (hold->seen.is_held && local_ns < hold->seen.until_ns)) {
        hold->well_until_ns = hold->seen.is_held ? hold->seen.until_ns : local_ns;
        hold->well_stalled_ns = process->stalled_ns;
        hold->gone_ns = 0;
        return;
    }
    if (!hold->gone_ns)
        hold->gone_ns = local_ns < hold->well_until_ns ? local_ns : hold->well_until_ns;
    if (is_kept(process))
        return;
    int64_t late_ns = local_ns - hold->gone_ns - (process->stalled_ns - hold->well_stalled_ns);
    if (late_ns > SLACK_MS * SIM_NS_PER_MS)
        sim_fail("c%d was not told for %.1f ms that it has lost %s", process->id,
                 (double)late_ns / 1e6, sim_key_names[hold->key]);
}

void sim_hold_check_wait(const sim_hold *hold, int64_t free_ns, const sim_call *call,
                         int64_t all_stalled_ns, int64_t more_ms)
{
    if (is_kept(hold->process))
        return;
    int64_t from_ns = free_ns;
    bool is_held = from_ns > sim.now_ns;
    if (from_ns < call->begin_ns)
        from_ns = call->begin_ns;
    if (from_ns < sim_overcome_ns(hold->process))
        from_ns = sim_overcome_ns(hold->process);
    if (is_held || from_ns >= sim.now_ns)
        return;
    int64_t bound_ns = sim_call_grace_ns(call);
    if (sim_is_quiet())
        bound_ns += sim_all_stalled_ns() - all_stalled_ns;
    else
        bound_ns += more_ms * SIM_NS_PER_MS;
    if (sim.now_ns - from_ns > bound_ns)
        sim_fail("c%d waits for %s, which is free for %.1f ms", hold->process->id,
                 sim_key_names[hold->key], (double)(sim.now_ns - from_ns) / 1e6);
}

void sim_hold_see(sim_hold *hold, const sim_hold_view *view)
{
    const sim_hold_view *seen = &hold->seen;
    if (view->is_held && (!seen->is_held || strcmp(seen->token, view->token) != 0)) {
        hold->asked_ns = view->begun_ns;
        hold->confirmed_ns = sim.now_ns;
    } else if (view->is_held && view->until_ns > seen->until_ns) {
        hold->asked_ns = seen->latest_ns;
        hold->confirmed_ns = sim.now_ns;
    }
    hold->seen = *view;
}
