/* A job that the leader builds: what its programs do, and what readers may see of it. */

#include "refresh.h"

#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 40 /* inside.c can tell 64 apart */
#define INTERVAL_MAX_MS 5000
#define FETCH_MAX_MS 3000
#define BUILD_BYTES 40

const char *const sim_job_name = "rebuild";
const char *const sim_job_list = "rows";
const char *const sim_job_table = "table";

struct sim_refresh {
    sim_process *process;
    int64_t timeout_ms;
    sc_job *job; /* NULL: not open */
    bool is_paused;
    bool is_retired;
    uint64_t builds; /* when all had come to rest */
    /* the build */
    sc_job_run *run; /* NULL: none */
    int64_t begun_ns;
    int64_t generation;
    size_t count;
    size_t given;
    bool is_bad;    /* it is to fail */
    int64_t due_ns; /* SIM_NEVER: when there is room */
    int64_t made;   /* the last one that was given whole, and was not empty */
};

static struct {
    int64_t generations; /* that have begun */
    int64_t seen;        /* at the server; 0: none */
    int64_t highest;     /* of those */
    int64_t seen_ns;
    char build[BUILD_BYTES]; /* that was swapped in last */
} refreshes;

void sim_refreshes_begin(void)
{
    memset(&refreshes, 0, sizeof refreshes);
}

void sim_row_make(char *text, size_t cap, int64_t generation, size_t index, size_t count)
{
    snprintf(text, cap, "%lld:%zu/%zu", (long long)generation, index, count);
}

/* --- what must hold */

/* All of one build or all of another, and never an earlier one than before. */
void sim_refresh_seen(const sim_rows_view *view)
{
    bool is_there = view->has_list && view->has_table;
    bool is_lost = sim_ledger_is_lost(refreshes.seen_ns, sim.now_ns, false);
    if (view->has_list != view->has_table || (is_there && !view->is_whole))
        sim_fail("a reader would see parts of builds: %s %s", view->has_list ? "a list" : "no list",
                 view->has_table ? "and a table" : "and no table");
    if (!is_there && refreshes.seen && !sim.clears && !is_lost)
        sim_fail("a reader would miss build %lld", (long long)refreshes.seen);
    if (is_there && view->generation < refreshes.seen && !is_lost)
        sim_fail("build %lld comes after build %lld", (long long)view->generation,
                 (long long)refreshes.seen);
    if (is_there && view->generation != refreshes.seen)
        sim_note("build %lld is there", (long long)view->generation);
    if (is_there || is_lost)
        refreshes.seen = is_there ? view->generation : 0;
    if (refreshes.seen > refreshes.highest)
        refreshes.highest = refreshes.seen;
    if (!is_there && sim.clears)
        refreshes.seen = 0;
    refreshes.seen_ns = sim.now_ns;
}

void sim_refresh_shadow(int64_t left_ms)
{
    if (left_ms < 0)
        sim_fail("a shadow has no end");
    if (left_ms > sim.shadow_ms && !(sim.faults >> SIM_SERVER_CLOCK & 1u))
        sim_fail("a shadow ends in %lld ms, not in %lld", (long long)left_ms,
                 (long long)sim.shadow_ms);
}

/* By nobody but who was elected last. */
void sim_refresh_swapped(sc_slice build, int64_t term)
{
    int64_t last = sim_hold_last_granted(SIM_LEADER);
    char text[BUILD_BYTES];
    snprintf(text, sizeof text, "%.*s", (int)build.len, build.len ? build.data : "");
    if (!strcmp(text, refreshes.build))
        return;
    sim_note("build %.3s is swapped in, in term %lld", text, (long long)term);
    if (*text && last && term != last)
        sim_fail("a build is swapped in of term %lld, in term %lld", (long long)term,
                 (long long)last);
    memcpy(refreshes.build, text, sizeof text);
}

/* --- what they build */

static sc_status start(sc_job_run *run, void *user)
{
    sim_refresh *r = (sim_refresh *)user;
    sim_random *random = &r->process->random;
    if (r->run)
        sim_fail("c%d builds twice at a time", r->process->id);
    r->generation = ++refreshes.generations;
    r->count =
        !r->is_retired && sim_chance(random, 0.1) ? 0 : (size_t)sim_between(random, 1, ROWS_MAX);
    r->given = 0;
    r->is_bad = !r->is_retired && sim_chance(random, 0.1);
    r->begun_ns = sim.now_ns;
    sim_note("build %lld begins: %zu rows", (long long)r->generation, r->count);
    if (r->is_bad && sim_chance(random, 0.5))
        return sc_fail(SC_ERR_LOADER, "the source is out of order");
    r->run = run;
    r->due_ns = sim.now_ns;
    if (sim_chance(random, 0.5))
        r->due_ns += sim_spread(random, SIM_NS_PER_MS, FETCH_MAX_MS * SIM_NS_PER_MS);
    return SC_OK;
}

static void finish(sim_refresh *r, sc_status status)
{
    sc_job_run *run = r->run;
    sim_note("build %lld is given: %s", (long long)r->generation, sc_status_name(status));
    r->run = NULL;
    r->made = status == SC_OK && r->count ? r->generation : 0;
    sc_job_done(run, status);
}

static void on_room(sc_job_run *run, void *user)
{
    sim_refresh *r = (sim_refresh *)user;
    if (run == r->run)
        r->due_ns = sim.now_ns;
}

/* Some rows; then perhaps it takes a while until there are more. */
static void give(sim_refresh *r)
{
    sim_random *random = &r->process->random;
    size_t until = r->given + (size_t)sim_between(random, 0, (int64_t)(r->count - r->given));
    sc_status status = SC_OK;
    while (r->given < until && status == SC_OK) {
        char text[64];
        char id[24];
        size_t taken;
        sc_job_row row;
        memset(&row, 0, sizeof row);
        sim_row_make(text, sizeof text, r->generation, r->given, r->count);
        snprintf(id, sizeof id, "%zu", r->given);
        row.value = sc_text(text);
        row.id = sc_text(id);
        status = sc_job_rows(r->run, &row, 1, &taken);
        r->given += taken;
    }
    r->due_ns =
        status == SC_AGAIN ? SIM_NEVER : sim.now_ns + sim_spread(random, 1, 200 * SIM_NS_PER_MS);
    if (status != SC_OK && status != SC_AGAIN)
        finish(r, status);
    else if (r->given == r->count)
        finish(r, r->is_bad ? sc_fail(SC_ERR_LOADER, "the source breaks down") : SC_OK);
}

int64_t sim_refresh_due(sim_refresh *r)
{
    while (r && r->run && r->due_ns <= sim.now_ns)
        give(r);
    return r && r->run && r->due_ns != SIM_NEVER ? r->due_ns : -1;
}

/* What it says is there has been there. */
static void on_end(void *user, sc_job *job, const sc_job_stats *stats)
{
    sim_refresh *r = (sim_refresh *)user;
    (void)job;
    sim_note("the build has ended: %s", sc_status_name(stats->status));
    if (r->run)
        sim_fail("c%d is told that a build has ended which it is making", r->process->id);
    if (stats->status == SC_OK && r->made > refreshes.highest &&
        !sim_ledger_is_lost(r->begun_ns, sim.now_ns, false))
        sim_fail("c%d is told that build %lld is there; the last one that was is %lld",
                 r->process->id, (long long)r->made, (long long)refreshes.highest);
    if (stats->status == SC_OK && stats->rows != (int64_t)r->count)
        sim_fail("c%d has built %zu rows, and is told of %lld", r->process->id, r->count,
                 (long long)stats->rows);
}

/* --- what they do */

static void open_job(sim_refresh *r, sc_election *election)
{
    sc_job_config config;
    sc_job_key keys[2];
    memset(&config, 0, sizeof config);
    keys[0].key = sc_text(sim_job_list);
    keys[0].type = SC_JOB_LIST;
    keys[1].key = sc_text(sim_job_table);
    keys[1].type = SC_JOB_HASH;
    config.name = sim_job_name;
    config.keys = keys;
    config.key_count = 2;
    config.start = start;
    config.on_room = on_room;
    config.user = r;
    config.interval_ms = sim_spread(&r->process->random, 100, INTERVAL_MAX_MS);
    config.fixed_rate = sim_chance(&r->process->random, 0.3);
    config.clear_when_empty = sim.clears;
    config.shadow_ttl_ms = sim.shadow_ms;
    config.on_end = on_end;
    r->is_paused = false;
    sc_status status = sc_job_open(election, &config, &r->job);
    if (status != SC_OK && status != SC_ERR_MEMORY)
        sim_fail("c%d opens no job: %s", r->process->id, sc_error_text());
}

static void set_paused(sim_refresh *r, bool is_paused)
{
    sc_status status = is_paused ? sc_job_pause(r->job) : sc_job_resume(r->job);
    r->is_paused = is_paused;
    if (status != SC_OK)
        sim_fail("c%d cannot %s its job", r->process->id, is_paused ? "pause" : "resume");
}

void sim_refresh_act(sim_refresh *r, sc_election *election)
{
    sim_random *random = &r->process->random;
    if (!r->job)
        open_job(r, election);
    else if (sim_chance(random, 0.05))
        sim_refresh_close(r);
    else if (sim_chance(random, r->is_paused ? 0.5 : 0.1))
        set_paused(r, !r->is_paused);
    else if (sim_chance(random, 0.3))
        (void)sc_job_trigger(r->job);
}

void sim_refresh_retire(sim_refresh *r)
{
    sc_job_stats stats;
    if (!r)
        return;
    r->is_retired = true;
    if (!r->job)
        return;
    set_paused(r, false);
    (void)sc_job_stats_get(r->job, &stats);
    r->builds = stats.builds;
}

bool sim_refresh_check(sim_refresh *r, const sc_election *election)
{
    sc_job_stats stats;
    if (!r || !r->job || !sc_is_leader(election))
        return true;
    return sc_job_stats_get(r->job, &stats) == SC_OK && stats.builds > r->builds;
}

/* The build that is being made ends first: the job waits for that. */
void sim_refresh_close(sim_refresh *r)
{
    sim_call call;
    if (!r || !r->job)
        return;
    sim_call_begins(&call, "close the job", 2 * r->timeout_ms);
    sc_job *job = r->job;
    r->job = NULL;
    if (r->run)
        finish(r, sc_fail(SC_ERR_CANCELLED, "the job is to be closed"));
    sc_job_close(job);
    sim_call_ends(&call, SC_OK);
    if (r->run)
        sim_fail("c%d builds for a job that is closed", r->process->id);
}

sim_refresh *sim_refresh_open(sim_process *process, int64_t timeout_ms)
{
    if (!sim.refreshes)
        return NULL;
    sim_refresh *r = (sim_refresh *)calloc(1, sizeof *r);
    r->process = process;
    r->timeout_ms = timeout_ms;
    return r;
}

void sim_refresh_free(sim_refresh *r)
{
    free(r);
}
