/* What is true, and what must hold. */

#include "leaders.h"
#include "locks.h"
#include "refresh.h"

#include <stdlib.h>
#include <string.h>

#define SLACK_MS 60
#define AGE_NS (120 * SIM_NS_PER_S) /* no load takes longer */
#define VOIDED 256 /* tokens of leases that were taken away, of which a process may not know yet */

/* The server forgot, from then until then; or its clock was set. */
typedef struct loss {
    int64_t from_ns;
    int64_t to_ns;
    bool is_clock;
} loss;

static struct {
    sim_load *loads;
    int load_count;
    int load_cap;
    int *running; /* loads */
    int running_count;
    int running_cap;
    sim_change *changes;
    int change_count;
    int change_cap;
    loss *losses; /* in the order of their ends */
    int loss_count;
    int loss_cap;
    char voided[VOIDED][SIM_TOKEN_BYTES];
    int voided_count;
    int64_t lease_end_ns[SIM_HELD]; /* when the key's last lease ended, or will */
} ledger;

void sim_ledger_begin(void)
{
    ledger.load_count = 0;
    ledger.running_count = 0;
    ledger.change_count = 0;
    ledger.loss_count = 0;
    ledger.voided_count = 0;
    memset(ledger.lease_end_ns, 0, sizeof ledger.lease_end_ns);
    sim_holds_begin();
    sim_locks_begin();
    sim_leaders_begin();
    sim_refreshes_begin();
}

static void *grow(void *block, int count, int *cap, size_t size)
{
    if (count < *cap)
        return block;
    *cap = *cap ? 2 * *cap : 256;
    block = realloc(block, (size_t)*cap * size);
    if (!block)
        abort();
    return block;
}

/* --- what the server forgot */

void sim_ledger_loss(int64_t from_ns, bool is_clock)
{
    ledger.losses = (loss *)grow(ledger.losses, ledger.loss_count, &ledger.loss_cap, sizeof(loss));
    loss *added = &ledger.losses[ledger.loss_count++];
    added->from_ns = from_ns;
    added->to_ns = sim.now_ns;
    added->is_clock = is_clock;
    sim_note("%s since %.6f is lost", is_clock ? "what leases had" : "what was written",
             (double)from_ns / 1e9);
    if (!is_clock)
        sim_holds_loss();
}

bool sim_ledger_is_lost(int64_t begin_ns, int64_t end_ns, bool with_clock)
{
    for (int i = ledger.loss_count - 1; i >= 0 && ledger.losses[i].to_ns >= begin_ns; i--)
        if (ledger.losses[i].from_ns <= end_ns && (with_clock || !ledger.losses[i].is_clock))
            return true;
    return false;
}

/* --- leases */

static bool is_voided(const char *token)
{
    for (int i = 0; i < VOIDED && i < ledger.voided_count; i++)
        if (!strcmp(ledger.voided[i], token))
            return true;
    return false;
}

void sim_lease_invalidated(int key, const char *token)
{
    for (int i = 0; i < ledger.running_count; i++) {
        sim_load *load = &ledger.loads[ledger.running[i]];
        if (load->key == key)
            load->is_void = true;
    }
    if (*token)
        snprintf(ledger.voided[ledger.voided_count++ % VOIDED], SIM_TOKEN_BYTES, "%s", token);
}

void sim_lease_changed(int key)
{
    char token[SIM_TOKEN_BYTES];
    int64_t until_ns;
    if (!sim_lease_at_server(key, token, &until_ns))
        return;
    if (*token && until_ns > sim.now_ns)
        ledger.lease_end_ns[key] = until_ns;
    else if (ledger.lease_end_ns[key] > sim.now_ns)
        ledger.lease_end_ns[key] = sim.now_ns;
}

int64_t sim_lease_end_ns(int key)
{
    return ledger.lease_end_ns[key];
}

/* May it load on its own, as its process sees it? */
static bool has_lease(sim_load *load, sim_lease_view *view)
{
    if (!load->process->is_alive || load->is_void)
        return false;
    sim_lease_look(load->handle, view);
    if (load->until_ns != view->until_ns) {
        load->until_ns = view->until_ns;
        load->confirmed_ns = sim.now_ns;
    }
    int64_t local_ns = sim_local_ns(load->process);
    if (!view->is_held || local_ns >= view->until_ns)
        return false;
    return !sim_ledger_is_lost(sim.now_ns - (local_ns - view->asked_ns), load->confirmed_ns, true);
}

/* Who has a lease, as it sees it, has it at the server too. */
static void check_lease(sim_load *load, int id, const sim_lease_view *view)
{
    char token[SIM_TOKEN_BYTES];
    int64_t until_ns;
    if (!sim_lease_at_server(load->key, token, &until_ns))
        return;
    if (strcmp(token, view->token) != 0)
        sim_fail("load %d of c%d has the lease of key %d, %.3s; at the server %.3s has it", id,
                 load->process->id, load->key, view->token, *token ? token : "nobody");
    else if (until_ns < sim.now_ns)
        sim_fail("load %d of c%d has the lease of key %d; at the server it has ended", id,
                 load->process->id, load->key);
}

void sim_ledger_step(void)
{
    int holder[SIM_KEYS];
    for (int key = 0; key < SIM_KEYS; key++)
        holder[key] = -1;
    for (int i = 0; i < ledger.running_count; i++) {
        int id = ledger.running[i];
        sim_load *load = &ledger.loads[id];
        sim_lease_view view;
        if (!load->is_leased || !has_lease(load, &view))
            continue;
        if (holder[load->key] >= 0)
            sim_fail(
                "two loads of key %d at once: load %d of c%d and load %d of c%d have its lease",
                load->key, holder[load->key], ledger.loads[holder[load->key]].process->id, id,
                load->process->id);
        holder[load->key] = id;
        check_lease(load, id, &view);
    }
    sim_locks_step();
    sim_leaders_step();
}

/* --- loads */

int sim_load_begins(const sim_process *process, int key, sc_load *handle)
{
    sim_lease_view view;
    int id = ledger.load_count++;
    ledger.loads = (sim_load *)grow(ledger.loads, id, &ledger.load_cap, sizeof(sim_load));
    ledger.running =
        (int *)grow(ledger.running, ledger.running_count, &ledger.running_cap, sizeof(int));
    sim_load *load = &ledger.loads[id];
    memset(load, 0, sizeof *load);
    sim_lease_look(handle, &view);
    load->key = key;
    load->process = process;
    load->handle = handle;
    load->begin_ns = sim.now_ns;
    load->is_leased = view.is_held;
    load->is_running = true;
    load->is_void = is_voided(view.token);
    ledger.running[ledger.running_count++] = id;
    sim_note("load %d of key %d begins%s %.3s", id, key, view.is_held ? "" : " unleased",
             view.token);
    sim_ledger_step(); /* it may end without any other step */
    return id;
}

void sim_load_ends(int load)
{
    int i = 0;
    while (ledger.running[i] != load)
        i++;
    ledger.running[i] = ledger.running[--ledger.running_count];
    ledger.loads[load].is_running = false;
    ledger.loads[load].handle = NULL;
    ledger.loads[load].end_ns = sim.now_ns;
    sim_note("load %d ends", load);
}

/* --- changes */

int sim_change_begins(sim_change_kind kind, int key)
{
    ledger.changes = (sim_change *)grow(ledger.changes, ledger.change_count, &ledger.change_cap,
                                        sizeof(sim_change));
    sim_change *change = &ledger.changes[ledger.change_count];
    change->kind = kind;
    change->key = key;
    change->begin_ns = sim.now_ns;
    change->end_ns = SIM_NEVER;
    change->status = SC_PENDING;
    change->may_come_again = false;
    return ledger.change_count++;
}

void sim_change_ends(int change, sc_status status, bool may_come_again)
{
    ledger.changes[change].end_ns = sim.now_ns;
    ledger.changes[change].may_come_again = may_come_again;
    ledger.changes[change].status = status;
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

/* A number of digits alone; NULL: there is none. */
static const char *number_read(const char *at, const char *end, int *number)
{
    const char *begin = at;
    *number = 0;
    for (; at < end && *at >= '0' && *at <= '9' && at - begin < 9; at++)
        *number = 10 * *number + (*at - '0');
    return at == begin ? NULL : at;
}

/* What sim_value_make has made. */
static bool value_read(sc_slice value, int *key, char *maker, int *id)
{
    const char *end = value.data + value.len;
    const char *at = number_read(value.data, end, key);
    if (!at || at == end)
        return false;
    *maker = *at;
    at = number_read(at + 1, end, id);
    return at && at < end && *at == ':' && (*maker == 'L' || *maker == 'S') &&
           *id < (*maker == 'L' ? ledger.load_count : ledger.change_count);
}

void sim_value_check(const char *who, int key, sc_slice value, int64_t begin_ns)
{
    int its_key;
    char maker;
    int id;
    if (!value_read(value, &its_key, &maker, &id)) {
        sim_fail("%s: \"%.*s\" is no value of ours", who, value.len < 48 ? (int)value.len : 48,
                 value.len ? value.data : "");
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
    for (int i = ledger.change_count - 1; i >= 0; i--) {
        const sim_change *change = &ledger.changes[i];
        if (change->begin_ns < made_ns)
            break;
        if (change->key != key || change->status != SC_OK || change->end_ns >= begin_ns ||
            (maker == 'S' && id == i) || !is_older(maker, id, change) ||
            sim_ledger_is_lost(change->begin_ns, change->end_ns, false))
            continue;
        sim_fail("%s: key %d has a value (%c%d) from before change %d, which had returned", who,
                 key, maker, id, i);
        return;
    }
}

/* --- calls */

void sim_call_restart(sim_call *call, sim_process *process)
{
    call->process = process;
    call->begin_ns = sim.now_ns;
    call->local_ns = sim_local_ns(process);
    call->stalled_ns = process->stalled_ns;
    call->server_stalled_ns = sim.server_stalled_ns;
    call->delayed_ns = process->delayed_ns;
}

void sim_call_begins(sim_call *call, const char *what, int64_t bound_ms)
{
    sim_call_restart(call, sim.current);
    call->what = what;
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

/* --- waits */

/* From the end of a load to that of the last wait for it: a dial and its prelude, the question, the
   subscription with its own dial, the question again, a script that had to be sent whole. */
#define ROUND_TRIPS 14
/* A fault is over for a client when its connections are known to be dead and made again, and those
   calls have ended that were under way. */
#define OVERCOME_MS (2 * SIM_TIMEOUT_MAX_MS + SIM_CONNECT_MS + SIM_BACKOFF_MAX_MS)

/* When the last load of the key that this process may have waited for was over. */
static int64_t free_since_ns(const sim_call *call, int key)
{
    int64_t free_ns = call->begin_ns;
    if (ledger.lease_end_ns[key] > free_ns)
        free_ns = ledger.lease_end_ns[key] < sim.now_ns ? ledger.lease_end_ns[key] : sim.now_ns;
    for (int i = ledger.load_count - 1; i >= 0; i--) {
        const sim_load *load = &ledger.loads[i];
        if (load->begin_ns < call->begin_ns - AGE_NS)
            break;
        if (load->key != key || load->process != call->process)
            continue;
        /* Also without a lease: those who ask meanwhile share it. */
        int64_t end_ns = load->is_running ? sim.now_ns : load->end_ns;
        if (end_ns > free_ns)
            free_ns = end_ns;
    }
    return free_ns;
}

int64_t sim_call_grace_ns(const sim_call *call)
{
    const sim_process *process = call->process;
    int64_t grace_ns = ROUND_TRIPS * 2 * (sim.latency_ns + sim.latency_ns / 2) +
                       SLACK_MS * SIM_NS_PER_MS + process->stalled_ns - call->stalled_ns +
                       sim.server_stalled_ns - call->server_stalled_ns + process->delayed_ns -
                       call->delayed_ns;
    if (sim.faults >> SIM_DELAY & 1u)
        grace_ns += 2 * SIM_DELAY_MAX_NS; /* what was on its way */
    return grace_ns;
}

int64_t sim_overcome_ns(const sim_process *process)
{
    int64_t troubled_ns =
        sim.troubled_ns > process->troubled_ns ? sim.troubled_ns : process->troubled_ns;
    return troubled_ns + OVERCOME_MS * SIM_NS_PER_MS;
}

void sim_wait_check(const sim_call *call, int key)
{
    int64_t bound_ns = sim_call_grace_ns(call);
    if (sim.faults >> SIM_PUBLISH_DROP & 1u)
        bound_ns += sim.poll_ms * SIM_NS_PER_MS;
    int64_t from_ns = free_since_ns(call, key);
    if (from_ns < sim_overcome_ns(call->process))
        from_ns = sim_overcome_ns(call->process);
    if (sim.now_ns - from_ns > bound_ns)
        sim_fail("c%d waited for key %d for %.1f ms after its last load was over, not %.1f",
                 call->process->id, key, (double)(sim.now_ns - from_ns) / 1e6,
                 (double)bound_ns / 1e6);
}

void sim_ledger_check_end(void)
{
    for (int i = 0; i < sim.process_count; i++)
        if (sim.processes[i]->is_alive && !sim.processes[i]->is_done)
            sim_fail("%s%d has not come to its end %lld s after the last fault",
                     sim.processes[i]->is_server ? "S" : "c", sim.processes[i]->id,
                     (long long)((sim.end_ns - sim.calm_ns) / SIM_NS_PER_S));
}
