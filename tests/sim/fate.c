/* When what goes wrong. */

#include "ledger.h"

#include <string.h>

typedef struct plan {
    sim_random random;
    int64_t due_ns;
    int64_t mean_ms; /* between two */
} plan;

static plan plans[SIM_FAULTS];
static int64_t first_due_ns; /* of all of them */

/* Faults that are drawn where they happen, not here. */
static bool is_planned(int fault)
{
    return fault != SIM_SPLIT && fault != SIM_DELAY && fault != SIM_PUBLISH_DROP &&
           fault != SIM_PUBLISH_TWICE && fault != SIM_NOSCRIPT;
}

static void plan_next(plan *p)
{
    p->due_ns = sim.now_ns + sim_between(&p->random, 1, 2 * p->mean_ms) * SIM_NS_PER_MS;
    if (p->due_ns >= sim.calm_ns)
        p->due_ns = SIM_NEVER;
}

static void find_first(void)
{
    first_due_ns = SIM_NEVER;
    for (int fault = 0; fault < SIM_FAULTS; fault++)
        if (plans[fault].due_ns < first_due_ns)
            first_due_ns = plans[fault].due_ns;
}

void sim_fate_begin(void)
{
    for (int fault = 0; fault < SIM_FAULTS; fault++) {
        plan *p = &plans[fault];
        p->random = sim_random_of(sim.options.seed, 100 + (uint64_t)fault);
        p->mean_ms = sim_spread(&p->random, 500, 60000);
        p->due_ns = SIM_NEVER;
        if (is_planned(fault) && sim_has((sim_fault)fault))
            plan_next(p);
    }
    find_first();
}

int64_t sim_fate_due_ns(void)
{
    return first_due_ns;
}

static sim_process **draw_process(plan *p, bool is_server)
{
    sim_process **candidates[SIM_PROCESSES];
    int count = 0;
    for (int i = 0; i < sim.process_count; i++)
        if (sim.processes[i]->is_server == is_server && sim.processes[i]->is_alive &&
            !sim.processes[i]->is_done)
            candidates[count++] = &sim.processes[i];
    return count ? candidates[sim_between(&p->random, 0, count - 1)] : NULL;
}

static int64_t draw_until_ns(plan *p, int64_t most_ms)
{
    int64_t until_ns = sim.now_ns + sim_spread(&p->random, 1, most_ms) * SIM_NS_PER_MS;
    return until_ns < sim.calm_ns ? until_ns : sim.calm_ns;
}

/* The server of a process that was killed starts again. */
static void restart_server(sim_process **place, plan *p)
{
    int id = (*place)->id;
    sim_process *dead = *place;
    *place = sim_process_start(id, true, sim_server_program);
    (*place)->wake_ns = draw_until_ns(p, 3000);
    (*place)->is_waiting = false;
    (*place)->wall_offset_ms = dead->wall_offset_ms; /* its host's */
    sim_trouble(NULL, (*place)->wake_ns);
    sim_process_bury(dead);
}

#define SYNC_EVERY_MS 3000 /* a second, and what the disk and a busy server may add */

/* A server that syncs each second loses what was written since, and no more; one that always syncs
   loses nothing that it has answered. */
static void crash_host(int server, plan *p)
{
    int64_t since_ns = sim_disk_crash(server, &p->random);
    int64_t idle_ns = since_ns > sim.troubled_ns ? since_ns : sim.troubled_ns;
    if (since_ns == SIM_NEVER || sim.sync == SC_SYNC_ALWAYS)
        return;
    if (sim.sync == SC_SYNC_EVERY_SECOND && sim.now_ns - idle_ns > SYNC_EVERY_MS * SIM_NS_PER_MS)
        sim_fail("S%d has not synced for %.1f ms", server, (double)(sim.now_ns - idle_ns) / 1e6);
    sim_ledger_loss(since_ns, false);
}

static void kill_server(sim_process **place, plan *p, sim_fault how)
{
    int id = (*place)->id;
    bool is_silent = how == SIM_HOST_CRASH && sim_chance(&p->random, 0.5);
    sim_note("%s", sim_fault_name(how));
    sim_process_kill(*place, is_silent);
    if (how == SIM_HOST_CRASH)
        crash_host(id, p);
    if (how == SIM_SERVER_EMPTY) {
        sim_disk_erase(id);
        sim_ledger_loss(0, false);
    }
    int64_t old_ns = how == SIM_SERVER_OLD ? sim_disk_bring_old(id) : SIM_NEVER;
    if (old_ns != SIM_NEVER)
        sim_ledger_loss(old_ns, false);
    restart_server(place, p);
}

static void black_hole(plan *p)
{
    sim_process **client = draw_process(p, false);
    sim_process **server = draw_process(p, true);
    if (!client || !server)
        return;
    int64_t until_ns = draw_until_ns(p, 10000);
    int which = (int)sim_between(&p->random, 1, 3);
    sim_note("black hole c%d %s S%d until %.3f", (*client)->id,
             which == 1   ? ">"
             : which == 2 ? "<"
                          : "<>",
             (*server)->id, (double)until_ns / 1e9);
    sim_trouble(*client, until_ns);
    if (which & 1)
        sim_net_black_hole(*client, *server, until_ns);
    if (which & 2)
        sim_net_black_hole(*server, *client, until_ns);
}

static void on_client(plan *p, sim_fault fault)
{
    sim_process **place = draw_process(p, false);
    if (!place)
        return;
    sim_process *client = *place;
    switch (fault) {
    case SIM_CUT:
        (void)sim_net_cut(client, &p->random);
        sim_trouble(client, sim.now_ns);
        break;
    case SIM_CLIENT_PAUSE:
        sim_process_pause(client, draw_until_ns(p, 20000));
        sim_trouble(client, client->paused_until_ns);
        sim_note("c%d pauses", client->id);
        break;
    case SIM_CLIENT_KILL:
        sim_note("c%d is killed", client->id);
        sim_process_kill(client, sim_chance(&p->random, 0.5));
        break;
    case SIM_CLIENT_CLOCK:
        client->wall_offset_ms += sim_between(&p->random, -3600000, 3600000);
        sim_note("c%d's wall clock jumps", client->id);
        break;
    case SIM_ALLOCATION:
        fault_memory_fail(&client->memory, (size_t)sim_spread(&p->random, 1, 300), false);
        sim_trouble(client, sim.now_ns);
        break;
    default:
        break;
    }
}

static void on_server(plan *p, sim_fault fault)
{
    sim_process **place = draw_process(p, true);
    if (!place)
        return;
    sim_process *server = *place;
    switch (fault) {
    case SIM_SERVER_SLOW:
    case SIM_SERVER_PAUSE:
        sim_process_pause(server, draw_until_ns(p, fault == SIM_SERVER_SLOW ? 200 : 8000));
        sim_trouble(NULL, server->paused_until_ns);
        sim_note("S%d pauses", server->id);
        break;
    case SIM_SERVER_CLOCK:
        server->wall_offset_ms += sim_between(&p->random, -20000, 20000);
        sim_ledger_loss(0, true);
        /* Who waits for a lease that has ended by it looks by itself. */
        sim_trouble(NULL, sim.now_ns + sim.poll_ms * SIM_NS_PER_MS);
        for (int key = 0; key < SIM_HELD; key++)
            sim_lease_changed(key);
        sim_note("S%d's wall clock steps", server->id);
        break;
    case SIM_READONLY:
    case SIM_OUT_OF_MEMORY:
        sim_server_refuse(server, fault, draw_until_ns(p, 5000));
        break;
    case SIM_SERVER_OLD:
        if (sim_chance(&p->random, 0.5)) {
            sim_disk_keep_old(server->id);
            break;
        }
        kill_server(place, p, fault);
        break;
    default:
        kill_server(place, p, fault);
        break;
    }
}

void sim_fate_act(void)
{
    for (int fault = 0; fault < SIM_FAULTS; fault++) {
        plan *p = &plans[fault];
        if (p->due_ns > sim.now_ns)
            continue;
        if (fault == SIM_BLACK_HOLE)
            black_hole(p);
        else if (fault == SIM_CUT || (fault >= SIM_CLIENT_PAUSE && fault <= SIM_CLIENT_CLOCK) ||
                 fault == SIM_ALLOCATION)
            on_client(p, (sim_fault)fault);
        else
            on_server(p, (sim_fault)fault);
        plan_next(p);
    }
    find_first();
}
