/* What is true, and what must hold. */

#include "ledger.h"

#include <stdlib.h>
#include <string.h>

#define SLACK_MS 60
#define AGE_NS (120 * SIM_NS_PER_S)

static struct {
    sim_load *loads;
    int load_count;
    int load_cap;
    sim_change *changes;
    int change_count;
    int change_cap;
} ledger;

void sim_ledger_begin(void)
{
    ledger.load_count = 0;
    ledger.change_count = 0;
}

static void *grow(void *block, int *cap, size_t size)
{
    *cap = *cap ? 2 * *cap : 256;
    block = realloc(block, (size_t)*cap * size);
    if (!block)
        abort();
    return block;
}

/* --- loads: one at a time for a key */

static bool still_has_lease(const sim_load *load)
{
    return load->is_running && load->is_leased && !load->is_superseded && load->process->is_alive &&
           sim_local_ns(load->process) < load->lease_until_ns;
}

/* Faults after which a lease may be another's although its holder cannot know. */
static bool leases_are_sound(void)
{
    return !sim.has_lost_data && !sim.has_stepped_clock;
}

/* Was the key changed since, or may it be at this moment? No call takes longer than AGE_NS, so that
   the old ones need not be looked at. */
static bool is_changed_since(int key, int64_t since_ns)
{
    for (int i = ledger.change_count - 1; i >= 0; i--) {
        if (ledger.changes[i].key == key && ledger.changes[i].end_ns >= since_ns)
            return true;
        if (ledger.changes[i].begin_ns < since_ns - AGE_NS)
            return false;
    }
    return false;
}

/* The oldest that may matter still. */
static int first_load(void)
{
    int i = ledger.load_count;
    while (i > 0 && ledger.loads[i - 1].begin_ns > sim.now_ns - AGE_NS)
        i--;
    return i;
}

int sim_load_begins(const sim_process *process, int key, bool is_leased, int64_t asked_ns)
{
    for (int i = first_load(); i < ledger.load_count; i++) {
        const sim_load *other = &ledger.loads[i];
        if (is_leased && other->key == key && still_has_lease(other) && leases_are_sound())
            sim_fail("two loads of key %d at once: load %d of c%d still has its lease", key, i,
                     other->process->id);
    }
    if (ledger.load_count == ledger.load_cap)
        ledger.loads = (sim_load *)grow(ledger.loads, &ledger.load_cap, sizeof(sim_load));
    sim_load *load = &ledger.loads[ledger.load_count];
    memset(load, 0, sizeof *load);
    load->key = key;
    load->process = process;
    load->begin_ns = sim.now_ns;
    load->is_leased = is_leased;
    load->is_running = true;
    load->is_superseded = is_changed_since(key, asked_ns);
    sim_note("load %d of key %d begins%s", ledger.load_count, key, is_leased ? "" : " unleased");
    return ledger.load_count++;
}

void sim_load_lease(int load, int64_t lease_until_ns)
{
    ledger.loads[load].lease_until_ns = lease_until_ns;
}

void sim_load_ends(int load, bool is_result)
{
    ledger.loads[load].is_running = false;
    ledger.loads[load].is_result = is_result;
    ledger.loads[load].end_ns = sim.now_ns;
    sim_note("load %d ends", load);
}

/* Faults that a wait need not feel, but for a lost message, after which it looks by itself. */
#define HARMLESS                                                                                   \
    (1u << SIM_SPLIT | 1u << SIM_PUBLISH_DROP | 1u << SIM_PUBLISH_TWICE | 1u << SIM_CLIENT_CLOCK)
#define ROUND_TRIPS 8 /* from the loader's end to the last waiter's */

void sim_wait_check(const sim_process *process, int key, int64_t begin_ns, int64_t poll_ms,
                    int64_t stalled_ns)
{
    int64_t bound_ns = ROUND_TRIPS * 2 * sim.latency_ns + SLACK_MS * SIM_NS_PER_MS + stalled_ns;
    if (sim.faults >> SIM_PUBLISH_DROP & 1u)
        bound_ns += poll_ms * SIM_NS_PER_MS;
    if (sim.faults & ~HARMLESS || sim.slowness > 0)
        return;
    if (is_changed_since(key, begin_ns))
        return;
    /* Who joins a load of its own process waits for its end, also when another process has made it
       void. */
    for (int i = first_load(); i < ledger.load_count; i++)
        if (ledger.loads[i].key == key && ledger.loads[i].process == process &&
            (ledger.loads[i].is_running || ledger.loads[i].end_ns >= begin_ns))
            return;
    for (int i = first_load(); i < ledger.load_count; i++) {
        const sim_load *load = &ledger.loads[i];
        if (load->key == key && load->is_leased && load->is_result && !load->is_superseded &&
            !load->is_running && load->end_ns > begin_ns && sim.now_ns - load->end_ns > bound_ns) {
            sim_fail("c%d waited for key %d for %.1f ms after load %d was over", process->id, key,
                     (double)(sim.now_ns - load->end_ns) / 1e6, i);
            return;
        }
    }
}

/* --- changes */

int sim_change_begins(sim_change_kind kind, int key)
{
    if (ledger.change_count == ledger.change_cap)
        ledger.changes = (sim_change *)grow(ledger.changes, &ledger.change_cap, sizeof(sim_change));
    sim_change *change = &ledger.changes[ledger.change_count];
    change->kind = kind;
    change->key = key;
    change->begin_ns = sim.now_ns;
    change->end_ns = SIM_NEVER;
    change->status = SC_PENDING;
    change->may_come_again = false;
    /* It may be executed at any time from now on, perhaps long after its call has ended. */
    for (int i = first_load(); i < ledger.load_count; i++)
        if (ledger.loads[i].key == key)
            ledger.loads[i].is_superseded = true;
    return ledger.change_count++;
}

void sim_change_ends(int change, sc_status status, bool may_come_again)
{
    ledger.changes[change].end_ns = sim.now_ns;
    ledger.changes[change].may_come_again = may_come_again;
    ledger.changes[change].status = status;
    /* Loads that began while it was under way may have been before it at the server. */
    for (int i = first_load(); i < ledger.load_count; i++)
        if (ledger.loads[i].key == ledger.changes[change].key)
            ledger.loads[i].is_superseded = true;
}

/* --- values */

size_t sim_value_make(char *text, size_t cap, int key, char maker, int id)
{
    return (size_t)snprintf(text, cap, "%d%c%d:", key, maker, id);
}

/* Was the value's making over before the change began? Then the change has taken it away. */
static bool is_older(char maker, int id, const sim_change *change)
{
    if (maker == 'L')
        return ledger.loads[id].begin_ns < change->begin_ns;
    const sim_change *set = &ledger.changes[id];
    return set->status == SC_OK && !set->may_come_again && set->end_ns < change->begin_ns;
}

void sim_value_check(const char *who, int key, sc_slice value, int64_t begin_ns)
{
    char text[48];
    int its_key;
    char maker;
    int id;
    size_t len = value.len < sizeof text - 1 ? value.len : sizeof text - 1;
    memcpy(text, value.data, len);
    text[len] = '\0';
    if (sscanf(text, "%d%c%d:", &its_key, &maker, &id) != 3 || (maker != 'L' && maker != 'S') ||
        id < 0 || id >= (maker == 'L' ? ledger.load_count : ledger.change_count)) {
        sim_fail("%s: \"%s\" is no value of ours", who, text);
        return;
    }
    if (its_key != key) {
        sim_fail("%s: the value of key %d came for key %d", who, its_key, key);
        return;
    }
    if (maker == 'L' && !ledger.loads[id].is_leased) {
        if (strcmp(who, "get-or-load") != 0)
            sim_fail("%s: key %d has load %d, which had no lease", who, key, id);
        return;
    }
    int64_t made_ns = maker == 'L' ? ledger.loads[id].begin_ns : ledger.changes[id].begin_ns;
    for (int i = ledger.change_count - 1; i >= 0 && !sim.has_lost_data; i--) {
        const sim_change *change = &ledger.changes[i];
        if (change->begin_ns < made_ns)
            break;
        if (change->key != key || change->status != SC_OK || change->end_ns >= begin_ns ||
            (maker == 'S' && id == i) || !is_older(maker, id, change))
            continue;
        sim_fail("%s: key %d has a value (%c%d) from before change %d, which had returned", who,
                 key, maker, id, i);
        return;
    }
}

/* --- calls */

void sim_call_begins(sim_call *call, const char *what, int64_t bound_ms)
{
    call->what = what;
    call->process = sim.current;
    call->begin_ns = sim.now_ns;
    call->local_ns = sim_local_ns(sim.current);
    call->stalled_ns = sim.current->stalled_ns;
    call->bound_ms = bound_ms;
    call->is_under_way = true;
    sim_note("%s", what);
}

void sim_call_ends(sim_call *call, sc_status status)
{
    const sim_process *process = call->process;
    int64_t stalled_ns = process->stalled_ns - call->stalled_ns;
    int64_t took_ns = sim_local_ns(process) - call->local_ns;
    sim_note("%s: %s after %.1f ms", call->what, sc_status_name(status), (double)took_ns / 1e6);
    if (!call->is_under_way)
        sim_fail("%s: it ended twice", call->what);
    call->is_under_way = false;
    if (took_ns > (call->bound_ms + SLACK_MS) * SIM_NS_PER_MS + stalled_ns)
        sim_fail("%s: it took %.1f ms, and its deadline was %lld ms (%.1f ms without a turn)",
                 call->what, (double)took_ns / 1e6, (long long)call->bound_ms,
                 (double)stalled_ns / 1e6);
}

void sim_ledger_check_end(void)
{
    for (int i = 0; i < sim.process_count; i++)
        if (sim.processes[i]->is_alive && !sim.processes[i]->is_done)
            sim_fail("%s%d has not come to its end %lld s after the last fault",
                     sim.processes[i]->is_server ? "S" : "c", sim.processes[i]->id,
                     (long long)((sim.end_ns - sim.calm_ns) / SIM_NS_PER_S));
}
