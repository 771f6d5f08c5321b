/* What has to see the inside of the library: the server's program, with faults in its commands, and
   the lease of a load. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "leaders.h"
#include "locks.h"
#include "refresh.h"

#include <stdlib.h>

#define SERVER_POLL_MS 1000
#define NOSCRIPT_CHANCE 0.2
#define PUBLISH_CHANCE 0.2
/* Of a question for a permit: the command, the script, 4 keys and their number, 8 arguments. */
#define QUESTION_WORDS 15

typedef struct server_actor {
    sim_process *self;
    sc_server *server;
    uint64_t looked_at; /* the job's keys were, after so many commands */
    int64_t refuses_until_ns;
    sim_fault refuses_why;
} server_actor;

/* --- leases, as both sides see them */

void sim_lease_look(sc_load *handle, sim_lease_view *view)
{
    const sci_lease *lease = &SCI_CONTAINER(handle, sci_flight, load)->lease;
    /* `until_ns` stays as it was until the renewal is answered. */
    if (lease->is_renewing && lease->renewed_ns >= lease->until_ns)
        sim_fail("a lease is renewed %.1f ms after its end",
                 (double)(lease->renewed_ns - lease->until_ns) / 1e6);
    memcpy(view->token, lease->token, sizeof lease->token);
    view->is_held = lease->is_held;
    view->until_ns = lease->until_ns;
    view->asked_ns =
        lease->until_ns - (lease->life_ms - SCI_LEASE_DRIFT_MS(lease->life_ms)) * SIM_NS_PER_MS;
}

void sim_lock_look(const sc_lock *lock, sim_hold_view *view)
{
    if (lock->is_held && lock->is_renewing && lock->renewed_ns >= lock->until_ns)
        sim_fail("a lock is renewed %.1f ms after its end",
                 (double)(lock->renewed_ns - lock->until_ns) / 1e6);
    memcpy(view->token, lock->token, sci_min_size(lock->token_len, sizeof view->token - 1));
    view->is_held = lock->is_held;
    view->is_idle = !lock->is_held && !lock->acquirer && !lock->is_asking && !lock->is_leaving &&
                    !lock->is_renewing && !lock->leaves_again;
    view->is_waiting = lock->acquirer && lock->phase > SCI_LOCK_ASKING;
    view->until_ns = lock->until_ns;
    view->begun_ns = lock->asked_ns;
    view->latest_ns = sci_max_i64(lock->asked_ns, lock->renewed_ns);
}

void sim_leader_look(const sc_election *election, sim_hold_view *view)
{
    sim_lock_look(election->lock, view);
    view->is_held = sc_is_leader(election);
}

bool sim_is_connected(const sc_client *client)
{
    return client->shared->state == SCI_CONN_READY;
}

static server_actor *server_that_serves(void)
{
    for (int i = 0; i < sim.process_count; i++) {
        server_actor *a = (server_actor *)sim.processes[i]->actor;
        if (sim.processes[i]->is_server && a && a->server)
            return a;
    }
    return NULL;
}

/* Where the holder's token is. */
static sc_slice lease_key(int key)
{
    static sci_names names[SIM_KEYS];
    static sc_memory memory;
    if (key >= SIM_KEYS)
        return sc_text(sim_key_names[key]);
    if (!memory.resize) {
        sci_platform_memory(&memory);
        for (int i = 0; i < SIM_KEYS; i++) {
            sci_names_init(&names[i], &memory);
            (void)sci_names_derive(&names[i], sc_text(sim_key_names[i]));
        }
    }
    return names[key].lease;
}

static const sci_sorted *shares_of(const server_actor *a, int key)
{
    const sci_entry *entry = sci_db_find(&a->server->dbs[0], sc_text(sim_key_names[key]));
    return entry && entry->type == SCI_ZSET ? (const sci_sorted *)entry->value.object : NULL;
}

/* By the world's clock. */
static int64_t share_until_ns(const server_actor *a, double score)
{
    int64_t left_ms = (int64_t)score - a->self->clock.wall_ms(a->self->clock.user);
    return sim.now_ns + left_ms * SIM_NS_PER_MS;
}

bool sim_share_at_server(int key, char token[SIM_TOKEN_BYTES], int64_t *until_ns)
{
    const server_actor *a = server_that_serves();
    const sci_sorted *shares = a ? shares_of(a, key) : NULL;
    double score;
    if (shares && sci_sorted_find(shares, sc_text(token), &score))
        *until_ns = share_until_ns(a, score);
    else
        *token = '\0';
    return a != NULL;
}

/* When a place is free, by the server's clock; a writer's is when nobody is there. 0: it is. */
static double shares_full_until(const server_actor *a, int key)
{
    const sci_sorted *shares = shares_of(a, key);
    size_t limit = key == SIM_PERMITS ? (size_t)sim.permits : 1;
    sci_sorted_walk walk;
    sc_slice member;
    double score;
    if (!shares || sci_sorted_count(shares) < limit)
        return 0;
    /* In the order of their ends: the last `limit` of them are in the way. */
    sci_sorted_walk_begin(&walk, shares, sci_sorted_count(shares) - limit, false);
    return sci_sorted_walk_next(&walk, &member, &score) ? score : 0;
}

bool sim_lease_at_server(int key, char token[SIM_TOKEN_BYTES], int64_t *until_ns)
{
    const server_actor *a = server_that_serves();
    *token = '\0';
    *until_ns = 0;
    if (!a)
        return false;
    if (SIM_IS_SHARED(key)) {
        *until_ns = share_until_ns(a, shares_full_until(a, key));
        strcpy(token, *until_ns > sim.now_ns ? "full" : "");
        return true;
    }
    const sci_db *db = &a->server->dbs[0];
    sci_entry *entry = sci_db_find(&a->server->dbs[0], lease_key(key));
    if (!entry || entry->type != SCI_STRING)
        return true;
    size_t len = sci_min_size(sci_entry_string(entry).len, SIM_TOKEN_BYTES - 1);
    memcpy(token, sci_entry_string(entry).data, len);
    token[len] = '\0';
    int64_t left_ms = sci_db_expiry_ms(db, entry) - a->self->clock.wall_ms(a->self->clock.user);
    *until_ns = sim.now_ns + left_ms * SIM_NS_PER_MS;
    return true;
}

/* --- commands that go wrong */

static server_actor *actor_of(const sci_call *call)
{
    for (int i = 0; i < sim.process_count; i++) {
        server_actor *a = (server_actor *)sim.processes[i]->actor;
        if (sim.processes[i]->is_server && a && a->server == call->server)
            return a;
    }
    return NULL;
}

typedef struct hooked {
    const char *name;
    bool is_about_leases;
    const sci_command *original;
    sci_command command;
} hooked;

static void run_hooked(sci_call *call);
static hooked hooks[] = {
    {"evalsha", true, NULL, {0}}, {"eval", true, NULL, {0}},  {"publish", false, NULL, {0}},
    {"set", true, NULL, {0}},     {"incr", false, NULL, {0}}, {"del", true, NULL, {0}},
};

static hooked *hook_of(const sci_command *command)
{
    for (size_t i = 0; i < SCI_COUNT(hooks); i++)
        if (&hooks[i].command == command)
            return &hooks[i];
    return NULL;
}

static bool is_refused(const server_actor *a, sci_call *call)
{
    if (sim.now_ns >= a->refuses_until_ns || !(call->command->flags & SCI_CMD_WRITE))
        return false;
    if (a->refuses_why == SIM_READONLY)
        sci_answer_error(call, "READONLY You can't write against a read only replica.");
    else
        sci_answer_error(call, "OOM command not allowed when used memory > 'maxmemory'.");
    return true;
}

/* In every other seed the servers are of before IFEQ. */
static bool is_unknown(const hooked *hook, const sci_call *call)
{
    return sim.options.seed % 2 == 1 && !strcmp(hook->name, "set") && call->argc > 3 &&
           sci_slice_equal(call->argv[3], sc_text("IFEQ"));
}

/* The key whose lease the command is about; -1: none. */
static int key_of_lease(const hooked *hook, const sci_call *call)
{
    size_t place = hook->name[0] == 'e' ? 4 : 1; /* of the scripts: KEYS[2] */
    int count = !strcmp(hook->name, "del") ? SIM_KEYS : SIM_HELD;
    for (int key = 0; key < count && place < call->argc; key++)
        if (sci_slice_equal(call->argv[place], lease_key(key)))
            return key;
    return -1;
}

/* The number of the last grant. */
static int64_t fence_of(const server_actor *a, int key)
{
    char name[32];
    int64_t fence = 0;
    bool has_tag = sim_key_names[key][0] == '{';
    snprintf(name, sizeof name, has_tag ? "sc:fence:%s" : "sc:fence{%s}", sim_key_names[key]);
    sci_entry *entry = sci_db_find(&a->server->dbs[0], sc_text(name));
    if (entry)
        (void)sci_text_to_i64(sci_entry_string(entry), &fence);
    return fence;
}

int64_t sim_term_at_server(void)
{
    const server_actor *a = server_that_serves();
    return a ? fence_of(a, SIM_LEADER) : 0;
}

/* Who has swapped in what is there. */
static void look_at_swap(const server_actor *a)
{
    char name[40];
    int64_t term = 0;
    snprintf(name, sizeof name, "sc:job{%s}", sim_job_name);
    const sci_entry *entry = sci_db_find(&a->server->dbs[0], sc_text(name));
    const sci_members *state = entry ? (const sci_members *)entry->value.object : NULL;
    const sci_member *build = state ? sci_members_find(state, sc_text("build")) : NULL;
    const sci_member *its_term = state ? sci_members_find(state, sc_text("term")) : NULL;
    if (its_term)
        (void)sci_text_to_i64(sci_member_value(its_term), &term);
    sim_refresh_swapped(build ? sci_member_value(build) : sc_bytes(NULL, 0), term);
}

/* A permit whose holder's lease has ended is free to who asks next, unless others are before it. */
static void check_refused(const server_actor *a, const sci_call *call)
{
    if (call->argc == QUESTION_WORDS && !(sim.fair >> (SIM_PERMITS - SIM_KEYS) & 1u) &&
        shares_full_until(a, SIM_PERMITS) <= (double)call->now_ms)
        sim_fail("a permit is refused, and there is one");
}

/* What the commands that take and give leases do to them. */
static void run_and_follow(const server_actor *a, const hooked *hook, sci_call *call)
{
    char before[SIM_TOKEN_BYTES];
    char after[SIM_TOKEN_BYTES];
    int64_t until_ns;
    int64_t number = 0;
    int key = call->is_in_transaction || !hook->is_about_leases ? -1 : key_of_lease(hook, call);
    if (key >= 0)
        (void)sim_lease_at_server(key, before, &until_ns);
    if (key >= SIM_KEYS)
        number = fence_of(a, key);
    hook->original->run(call);
    if (key < 0)
        return;
    if (!strcmp(hook->name, "del"))
        sim_lease_invalidated(key, before);
    sim_lease_changed(key);
    (void)sim_lease_at_server(key, after, &until_ns);
    if (key >= SIM_KEYS && number != fence_of(a, key))
        sim_hold_granted(key, fence_of(a, key));
    else if (key == SIM_PERMITS)
        check_refused(a, call);
    if (key == SIM_LEADER && sim.refreshes)
        look_at_swap(a);
    sim_trace("%s: the lease of key %d was %.3s's, is %.3s's", hook->name, key,
              *before ? before : "-", *after ? after : "-");
}

static void run_hooked(sci_call *call)
{
    const hooked *hook = hook_of(call->command);
    server_actor *a = call->is_loading ? NULL : actor_of(call);
    sim_random *random = a ? &a->self->jitter : NULL;
    if (a && !call->is_in_transaction && is_refused(a, call))
        return;
    if (a && !strcmp(hook->name, "evalsha") && sim_has(SIM_NOSCRIPT) &&
        sim_chance(random, NOSCRIPT_CHANCE)) {
        sci_answer_error(call, "NOSCRIPT No matching script. Please use EVAL.");
        return;
    }
    if (a && is_unknown(hook, call)) {
        sci_answer_error(call, "ERR syntax error");
        return;
    }
    if (a && !strcmp(hook->name, "publish")) {
        if (sim_has(SIM_PUBLISH_DROP) && sim_chance(random, PUBLISH_CHANCE)) {
            sci_answer_i64(call, 1);
            return;
        }
        if (sim_has(SIM_PUBLISH_TWICE) && sim_chance(random, PUBLISH_CHANCE))
            (void)sci_publish(call->server, SCI_CHANNEL, call->argv[1], call->argv[2]);
    }
    if (a)
        run_and_follow(a, hook, call);
    else
        hook->original->run(call);
}

static void hook_commands(sc_server *server)
{
    for (size_t i = 0; i < SCI_COUNT(hooks); i++) {
        for (size_t slot = 0; slot < SCI_SERVER_COMMAND_SLOTS; slot++) {
            const sci_command *command = server->commands[slot];
            if (!command || strcmp(command->name, hooks[i].name) != 0)
                continue;
            hooks[i].original = command;
            hooks[i].command = *command;
            hooks[i].command.run = run_hooked;
            server->commands[slot] = &hooks[i].command;
        }
    }
}

/* --- the server's program */

/* Nothing out of date may ever be there. */
static void check_store(const sc_server *server)
{
    for (int key = 0; key < SIM_KEYS; key++) {
        sci_entry *entry = sci_db_find(&server->dbs[0], sc_text(sim_key_names[key]));
        if (entry && entry->type == SCI_STRING)
            sim_value_check("the store", key, sci_entry_string(entry), sim.now_ns);
    }
}

/* The rows of a build, as its first one says of it. They are looked at after every command, and so
   not made as text anew, but for the number of each. */
typedef struct build_rows {
    size_t count;
    char before[SCI_I64_TEXT_BYTES + 1]; /* of each row: what comes before its number */
    char behind[SCI_I64_TEXT_BYTES + 1];
    size_t before_len;
    size_t behind_len;
} build_rows;

static void rows_begin(build_rows *rows, int64_t generation, size_t count)
{
    rows->count = count;
    rows->before_len = sci_i64_to_text(generation, rows->before);
    rows->before[rows->before_len++] = ':';
    rows->behind[0] = '/';
    rows->behind_len = 1 + sci_i64_to_text((int64_t)count, rows->behind + 1);
}

/* Is it the row with this number? */
static bool is_row(const build_rows *rows, sc_slice row, sc_slice number)
{
    return row.len == rows->before_len + number.len + rows->behind_len &&
           !memcmp(row.data, rows->before, rows->before_len) &&
           !memcmp(row.data + rows->before_len, number.data, number.len) &&
           !memcmp(row.data + row.len - rows->behind_len, rows->behind, rows->behind_len);
}

/* In their order. */
static bool is_list_whole(const sci_deque *list, const build_rows *rows)
{
    sci_deque_at at = sci_deque_seek(list, 0);
    sc_slice row;
    char id[SCI_I64_TEXT_BYTES];
    for (int64_t i = 0; sci_deque_next(list, &at, &row); i++)
        if (!is_row(rows, row, sc_bytes(id, sci_i64_to_text(i, id))))
            return false;
    return true;
}

/* As many as there are, each under a number of its own. */
static bool is_table_whole(const sci_members *table, const build_rows *rows)
{
    sci_members_iterator at = {0, 0};
    uint64_t seen = 0;
    const sci_member *member;
    if (table->count != rows->count || rows->count > 64)
        return false;
    while ((member = sci_members_next(table, &at)) != NULL) {
        sc_slice name = sci_member_name(member);
        int64_t i;
        if (!sci_text_to_i64(name, &i) || i < 0 || i >= (int64_t)rows->count || (seen >> i & 1u) ||
            !is_row(rows, sci_member_value(member), name))
            return false;
        seen |= UINT64_C(1) << i;
    }
    return true;
}

/* What readers of the job's keys would see. */
static void check_rows(sc_server *server)
{
    sim_rows_view view;
    const sci_entry *list = sci_db_find(&server->dbs[0], sc_text(sim_job_list));
    const sci_entry *table = sci_db_find(&server->dbs[0], sc_text(sim_job_table));
    memset(&view, 0, sizeof view);
    view.has_list = list != NULL;
    view.has_table = table != NULL;
    if (list && table) {
        const sci_deque *rows = (const sci_deque *)list->value.object;
        build_rows build;
        view.generation = strtoll(sci_deque_peek(rows, SCI_DEQUE_FRONT).data, NULL, 10);
        rows_begin(&build, view.generation, rows->count);
        view.is_whole = is_list_whole(rows, &build) &&
                        is_table_whole((const sci_members *)table->value.object, &build);
    }
    sim_refresh_seen(&view);
}

static void check_shadow(void *user, sci_entry *entry)
{
    const server_actor *a = (const server_actor *)user;
    sc_slice key = sci_entry_key(entry);
    if (key.len < 7 || memcmp(key.data, "sc:new:", 7) != 0)
        return;
    int64_t end_ms = sci_db_expiry_ms(&a->server->dbs[0], entry);
    int64_t left_ms = end_ms - a->self->clock.wall_ms(a->self->clock.user);
    sim_refresh_shadow(end_ms < 0 ? -1 : left_ms < 0 ? 0 : left_ms);
}

static void check_job(server_actor *a)
{
    uint64_t cursor = 0;
    if (a->server->stats.commands == a->looked_at)
        return;
    a->looked_at = a->server->stats.commands;
    check_rows(a->server);
    do
        cursor = sci_db_walk(&a->server->dbs[0], cursor, check_shadow, a);
    while (cursor);
}

static bool is_needed(void)
{
    for (int i = 0; i < sim.process_count; i++)
        if (!sim.processes[i]->is_server && sim.processes[i]->is_alive &&
            !sim.processes[i]->is_done)
            return true;
    return false;
}

static void log_line(void *user, sc_log_level level, const char *text)
{
    (void)user;
    (void)level;
    sim_note("log: %s", text);
}

void sim_server_program(sim_process *self)
{
    server_actor *a = (server_actor *)calloc(1, sizeof *a);
    char url[64];
    sc_server_config config;
    sc_logger logger;
    memset(&config, 0, sizeof config);
    memset(&logger, 0, sizeof logger);
    logger.write_line = log_line;
    self->actor = a;
    a->self = self;
    sim_net_url(self->id, url, sizeof url);
    config.listen_on = url;
    config.log_path = "store.log";
    config.sync = sim.sync;
    config.rewrite_min_bytes = 64 * 1024;
    config.polled = true;
    config.memory = &self->memory.table;
    config.clock = &self->clock;
    config.random = &self->entropy;
    config.listener = &self->listener;
    config.poller = &self->poller;
    config.files = &self->files;
    config.logger = &logger;
    if (sc_server_open(&config, &a->server) != SC_OK) {
        sim_fail("S%d does not open: %s", self->id, sc_error_text());
        return;
    }
    hook_commands(a->server);
    a->looked_at = UINT64_MAX;
    sim_note("serves");
    if (sim.refreshes)
        look_at_swap(a); /* what was lost with the log was swapped in before */
    for (int key = 0; key < SIM_HELD; key++)
        sim_lease_changed(key);
    while (is_needed() && !sim.has_failed) {
        sc_status status = sc_server_poll(a->server, SERVER_POLL_MS);
        if (status != SC_OK)
            sim_fail("S%d: %s", self->id, sc_error_text());
        check_store(a->server);
        if (sim.refreshes)
            check_job(a);
    }
    sc_server_close(a->server);
    a->server = NULL;
}

void sim_server_free(sim_process *process)
{
    free(process->actor);
}

void sim_server_refuse(sim_process *process, sim_fault why, int64_t until_ns)
{
    server_actor *a = (server_actor *)process->actor;
    if (!a)
        return;
    sim_note("S%d answers writes by %s", process->id, sim_fault_name(why));
    sim_trouble(NULL, until_ns);
    a->refuses_why = why;
    a->refuses_until_ns = until_ns;
}
