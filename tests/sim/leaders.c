/* Candidates of an election: what they do, and what must hold of all of them. */

#include "leaders.h"
#include "refresh.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_MS 500 /* after an attempt that failed, at most */
#define NAME_AT 33   /* in the key's value: behind a token and ":" */

struct sim_candidate {
    sim_process *process;
    sc_client *client;
    int64_t timeout_ms;
    char name[8];
    sc_election *election; /* NULL: not open */
    sim_refresh *refresh;
    int64_t margin_ms;
    bool wants;     /* to lead */
    bool is_told;   /* that it leads, and not of the end */
    int64_t term;   /* as it was told */
    bool has_asked; /* for the end, since it was told */
    bool is_retired;
    bool is_client_closing;
    sim_hold hold;
    sim_call wait;          /* since it, or another, had the key last */
    int64_t all_stalled_ns; /* of all programs, then */
};

static struct {
    sim_candidate *all[SIM_PROCESSES];
    int count;
} leaders;

void sim_leaders_begin(void)
{
    memset(&leaders, 0, sizeof leaders);
}

/* --- what must hold */

/* `is_held` is what sc_is_leader says, and `until_ns` when it must say no at the latest. */
static void look(sim_candidate *c, const sc_election *election)
{
    sim_hold_view view;
    memset(&view, 0, sizeof view);
    sim_leader_look(election, &view);
    view.until_ns -= c->margin_ms * SIM_NS_PER_MS;
    if (strcmp(view.token, c->hold.seen.token) != 0)
        sim_hold_asks(&c->hold);
    sim_hold_see(&c->hold, &view);
}

static void wait_anew(sim_candidate *c, int64_t all_stalled_ns)
{
    sim_call_restart(&c->wait, c->process);
    c->all_stalled_ns = all_stalled_ns;
}

/* While nobody has the key, one who wants it gets it: at the latest when it looks by itself. */
static void check_takeover(sim_candidate *c, int64_t all_stalled_ns)
{
    if (!c->wants || c->is_told || sim_lease_end_ns(SIM_LEADER) > sim.now_ns) {
        wait_anew(c, all_stalled_ns);
        return;
    }
    sim_hold_check_wait(&c->hold, sim_lease_end_ns(SIM_LEADER), &c->wait, c->all_stalled_ns,
                        sim.poll_ms + c->timeout_ms + RETRY_MS);
}

void sim_leaders_step(void)
{
    sim_holders holders;
    memset(&holders, 0, sizeof holders);
    int64_t stalled_ns = leaders.count ? sim_all_stalled_ns() : 0;
    for (int i = 0; i < leaders.count; i++) {
        sim_candidate *c = leaders.all[i];
        if (!c->process->is_alive || !c->election)
            continue;
        /* What there is to see changes by the process's own steps alone, as of locks; but who
           leads is asked with the clock, and time makes no leader. */
        if (c->process == sim.last || c->hold.seen.is_held)
            look(c, c->election);
        sim_hold_check(&c->hold, &holders);
        sim_hold_check_told(&c->hold, c->is_told);
        check_takeover(c, stalled_ns);
    }
}

/* --- what they are told */

static void campaign(sim_candidate *c, sc_election *election)
{
    sim_note("campaigns");
    wait_anew(c, sim_all_stalled_ns());
    c->wants = true;
    if (sc_election_campaign(election) != SC_OK)
        sim_fail("c%d does not campaign: %s", c->process->id, sc_error_text());
}

static void on_elected(void *user, sc_election *election, int64_t term)
{
    sim_candidate *c = (sim_candidate *)user;
    look(c, election);
    if (c->is_told || !c->wants)
        sim_fail("c%d is told of its election, %s", c->process->id,
                 c->is_told ? "again" : "and has not asked for it");
    if (sc_election_term(election) != term && sim_local_ns(c->process) < c->hold.seen.until_ns)
        sim_fail("c%d is told that it leads in term %lld; it is %lld", c->process->id,
                 (long long)term, (long long)sc_election_term(election));
    sim_hold_numbered(&c->hold, term);
    sim_hold_begins(&c->hold);
    c->is_told = true;
    c->term = term;
    c->has_asked = false;
    if (c->is_retired || !sim_chance(&c->process->random, 0.05))
        return;
    c->wants = false;
    c->has_asked = true;
    (void)sc_election_resign(election);
}

/* Is this why? */
static bool is_reason(const sim_candidate *c, sc_resignation reason)
{
    char token[SIM_TOKEN_BYTES];
    int64_t until_ns;
    switch (reason) {
    case SC_RESIGNED_ASKED:
        return c->has_asked;
    case SC_RESIGNED_UNRENEWED:
        return sim_local_ns(c->process) >= c->hold.seen.until_ns;
    case SC_RESIGNED_LOST:
        return !sim_lease_at_server(c->hold.key, token, &until_ns) ||
               strcmp(token, c->hold.seen.token) != 0 ||
               c->term != sim_term_at_server() || /* its question came twice */
               sim_ledger_is_lost(sim.now_ns - SIM_NS_PER_S * 60, sim.now_ns, true);
    case SC_RESIGNED_CLOSED:
        return c->is_client_closing;
    }
    return false;
}

static void on_resigned(void *user, sc_election *election, sc_resignation reason)
{
    sim_candidate *c = (sim_candidate *)user;
    sim_note("leads no more: %d", (int)reason);
    if (!c->is_told)
        sim_fail("c%d is told that it leads no more, and did not", c->process->id);
    if (sc_is_leader(election))
        sim_fail("c%d is told that it leads no more, and does", c->process->id);
    look(c, election);
    if (!is_reason(c, reason))
        sim_fail("c%d leads no more, and that is not because of %d", c->process->id, (int)reason);
    sim_hold_check_told(&c->hold, true);
    c->is_told = false;
    if (!c->wants && !c->is_retired && sim_chance(&c->process->random, 0.3))
        campaign(c, election);
}

static void on_leader_changed(void *user, sc_election *election, sc_slice name, int64_t term)
{
    const sim_candidate *c = (const sim_candidate *)user;
    (void)election;
    sim_note("the leader is %.*s: %lld", (int)name.len, name.data, (long long)term);
    if (name.len ? name.data[0] != 'c' || name.len != 2 : term != 0)
        sim_fail("c%d is told of the leader \"%.*s\"", c->process->id, (int)name.len, name.data);
}

/* --- what they do */

static void resign(sim_candidate *c)
{
    sim_call call;
    sim_call_begins(&call, "resign", c->timeout_ms);
    c->wants = false;
    c->has_asked = true;
    sc_status status = sc_election_resign(c->election);
    sim_call_ends(&call, status);
    if (status > 0 || status == SC_ERR_DEADLOCK || status == SC_ERR_CLOSED)
        sim_fail("c%d has resigned: %s", c->process->id, sc_status_name(status));
    if (!c->wants && (c->is_told || sc_is_leader(c->election)))
        sim_fail("c%d has resigned, and still leads", c->process->id);
}

static void shut(sim_candidate *c)
{
    sim_call call;
    sc_election *election = c->election;
    if (sim_chance(&c->process->random, 0.5))
        sim_refresh_close(c->refresh);
    sim_call_begins(&call, "close the election", c->timeout_ms);
    c->election = NULL;
    c->wants = false;
    c->has_asked = true;
    sc_election_close(election);
    sim_call_ends(&call, SC_OK);
    if (c->is_told && !c->is_client_closing)
        sim_fail("c%d has closed its election, and was not told that it leads no more",
                 c->process->id);
    c->is_told = false;
    c->wants = false; /* also when it was told to campaign meanwhile */
}

static void open_election(sim_candidate *c)
{
    sim_random *random = &c->process->random;
    sc_election_config config;
    sim_refresh_close(c->refresh); /* that of the one before */
    memset(&config, 0, sizeof config);
    memset(&c->hold.seen, 0, sizeof c->hold.seen);
    c->margin_ms = sim_chance(random, 0.3) ? sim_spread(random, 1, sim.lead_ms / 2) : 0;
    config.key = sc_text(sim_key_names[SIM_LEADER]);
    config.name = sc_text(c->name);
    config.ttl_ms = sim.lead_ms;
    config.stop_margin_ms = c->margin_ms;
    if (!c->margin_ms)
        c->margin_ms = sim.lead_ms / 10;
    if (sim_chance(random, 0.1)) {
        config.stop_margin_ms = -1;
        c->margin_ms = 0;
    }
    config.poll_ms = sim.poll_ms;
    config.configure_notifications = sim_chance(random, 0.2);
    config.on_elected = on_elected;
    config.on_resigned = on_resigned;
    config.on_leader_changed = on_leader_changed;
    config.user = c;
    sc_status status = sc_election_open(c->client, &config, &c->election);
    if (status != SC_OK && status != SC_ERR_MEMORY)
        sim_fail("c%d opens no election: %s", c->process->id, sc_error_text());
}

void sim_candidate_act(sim_candidate *c)
{
    sim_random *random = &c->process->random;
    if (!c->election)
        open_election(c);
    else if (c->refresh && sim_chance(random, 0.5))
        sim_refresh_act(c->refresh, c->election);
    else if (sim_chance(random, 0.05))
        shut(c);
    else if (!c->wants)
        campaign(c, c->election);
    else if (sim_chance(random, 0.2))
        resign(c);
}

int64_t sim_candidate_due(sim_candidate *c)
{
    return c ? sim_refresh_due(c->refresh) : -1;
}

void sim_candidate_retire(sim_candidate *c)
{
    if (!c)
        return;
    c->is_retired = true;
    sim_refresh_retire(c->refresh);
}

/* A dead leader's lease lasts longer when the server's clock was set back. */
static bool is_stuck(void)
{
    return (sim.faults >> SIM_SERVER_CLOCK & 1u) &&
           sim_lease_end_ns(SIM_LEADER) > sim.calm_ns + 2 * sim.lead_ms * SIM_NS_PER_MS;
}

bool sim_candidate_check(sim_candidate *c)
{
    char value[SIM_TOKEN_BYTES];
    char name[8];
    int64_t until_ns;
    int64_t term;
    sc_value *known;
    if (!c || !c->election || is_stuck())
        return true;
    if (!sim_lease_at_server(SIM_LEADER, value, &until_ns) || (c->wants && !*value))
        return false;
    sc_status status = sc_election_leader(c->election, &known, &term);
    sc_slice text = sc_value_bytes(known);
    snprintf(name, sizeof name, "%.*s", (int)text.len, text.len ? text.data : "");
    sc_value_release(known);
    if (status != SC_OK)
        return status == SC_MISS && !*value;
    return sim_refresh_check(c->refresh, c->election) && strlen(value) > NAME_AT &&
           !strcmp(name, value + NAME_AT) &&
           (term == sim_term_at_server() || sc_is_leader(c->election));
}

sim_candidate *sim_candidate_open(sim_process *process, sc_client *client, int64_t timeout_ms)
{
    if (!(sim.leading > 0))
        return NULL;
    sim_candidate *c = (sim_candidate *)calloc(1, sizeof *c);
    c->process = process;
    c->client = client;
    c->timeout_ms = timeout_ms;
    c->hold.process = process;
    c->hold.key = SIM_LEADER;
    c->hold.limit = 1;
    c->refresh = sim_refresh_open(process, timeout_ms);
    snprintf(c->name, sizeof c->name, "c%d", process->id);
    leaders.all[leaders.count++] = c;
    return c;
}

void sim_candidate_leave(sim_candidate *c)
{
    if (c && c->election && sim_chance(&c->process->random, 0.7))
        shut(c);
    else if (c)
        c->is_client_closing = true;
}

void sim_candidate_close(sim_candidate *c)
{
    if (c)
        sim_refresh_close(c->refresh);
    if (c && c->election)
        shut(c);
}

/* Once the run is over. */
void sim_candidate_free(sim_candidate *c)
{
    if (c)
        sim_refresh_free(c->refresh);
    free(c);
}
