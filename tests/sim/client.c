/* A program that uses the library: gets and loads, changes, commands whose replies name their call,
   a counter, messages with numbers. */

#include "leaders.h"
#include "locks.h"

#include <stdlib.h>
#include <string.h>

#define CALLS 64         /* asynchronous ones under way at most */
#define LOAD_MAX_MS 3000 /* that a loader takes */
#define WAIT_MS 12000
#define RECOVERY_MS 60000 /* after the last fault all must work again within it */
#define FILLER_BYTES ((size_t)100 * 1024)
#define PUBLISHED_MAX 4096
#define COUNTED_MAX 4096

typedef struct pending_load {
    sc_load *load;
    int id;
    int key;
    int64_t due_ns;
    char *text;
} pending_load;

typedef struct async_call {
    sim_call call;
    uint64_t troubles; /* of the connection, when it began */
    bool was_connected;
    struct actor *actor;
    int key;
    char tag[32];
    bool is_used;
} async_call;

typedef struct actor {
    sim_process *self;
    sc_client *client;
    sc_cache *cache;
    sc_load_options load;
    sim_contenders *contenders;
    sim_candidate *candidate;
    int64_t timeout_ms;
    async_call calls[CALLS];
    pending_load pending[CALLS];
    size_t under_way;
    uint64_t troubles;     /* that were noted; 2 at first */
    sc_status load_status; /* of the last get-or-load that ended */
    uint64_t tags;
    /* the counter */
    int64_t counted_ns[COUNTED_MAX][2]; /* INCRs that were answered: begin and end */
    int counted;
    int64_t uncertain; /* of unknown outcome */
    /* messages to ourselves */
    sc_subscription subscription;
    bool is_subscribed;
    bool is_published[PUBLISHED_MAX]; /* answered: the server has sent it on */
    int64_t published_ns[PUBLISHED_MAX];
    int published;
    int heard;      /* the last one's number, -1 */
    int64_t gap_ns; /* when the last gap was told; SIM_NEVER: the first is to come */
} actor;

const char *const sim_key_names[SIM_HELD] = {"alpha",     "{tag}beta", "gamma}",  "lock",
                                             "{tag}lock", "leader",    "permits", "{tag}readers"};

static int key_of(sc_slice name)
{
    for (int i = 0; i < SIM_KEYS; i++)
        if (name.len == strlen(sim_key_names[i]) && !memcmp(name.data, sim_key_names[i], name.len))
            return i;
    return -1;
}

/* One key is hot. */
static int draw_key(actor *a)
{
    int64_t draw = sim_between(&a->self->random, 0, 2 * SIM_KEYS - 1);
    return draw < SIM_KEYS ? (int)draw : 0;
}

/* --- loading */

static char *make_text(actor *a, int key, char maker, int id, size_t *len)
{
    size_t filler = 0;
    if (sim_chance(&a->self->random, 0.05))
        filler = (size_t)sim_between(&a->self->random, 1, (int64_t)FILLER_BYTES);
    char *text = (char *)malloc(64 + filler);
    *len = sim_value_make(text, 64, key, maker, id);
    memset(text + *len, '.', filler);
    *len += filler;
    text[*len] = '\0';
    return text;
}

static sc_status finish_how(actor *a, sc_load *load, const char *text)
{
    if (sim_chance(&a->self->random, 0.06))
        return sc_fail(SC_ERR_LOADER, "the source is out of order");
    if (sim_chance(&a->self->random, 0.06))
        return SC_MISS;
    return sc_load_write_text(load, text);
}

static sc_status load_value(sc_load *load, void *user)
{
    actor *a = (actor *)user;
    int key = key_of(sc_load_key(load));
    size_t len;
    int id = sim_load_begins(a->self, key, load);
    char *text = make_text(a, key, 'L', id, &len);
    size_t place = 0;
    while (place < CALLS && a->pending[place].load)
        place++;
    if (place == CALLS || sim_chance(&a->self->random, 0.3)) {
        sc_status status = finish_how(a, load, text);
        sim_load_ends(id);
        free(text);
        return status;
    }
    pending_load *p = &a->pending[place];
    p->load = load;
    p->id = id;
    p->key = key;
    p->due_ns =
        sim.now_ns + sim_spread(&a->self->random, SIM_NS_PER_MS, LOAD_MAX_MS * SIM_NS_PER_MS);
    p->text = text;
    return SC_PENDING;
}

/* Loads that are ready; -1 when there is none to come, else when. */
static int64_t finish_loads(actor *a)
{
    int64_t next_ns = -1;
    for (size_t i = 0; i < CALLS; i++) {
        pending_load *p = &a->pending[i];
        if (!p->load)
            continue;
        if (p->due_ns > sim.now_ns) {
            if (next_ns < 0 || p->due_ns < next_ns)
                next_ns = p->due_ns;
            continue;
        }
        pending_load done = *p;
        sc_status status = finish_how(a, done.load, done.text);
        p->load = NULL;
        sim_load_ends(done.id);
        sc_load_finish(done.load, status);
        free(done.text);
    }
    return next_ns;
}

/* --- asynchronous calls */

/* Times that the server could not be asked, or gave no answer. */
static uint64_t count_troubles(const actor *a)
{
    sc_stats stats;
    sc_stats_get(a->client, &stats);
    return stats.connects + stats.connect_failures + stats.timeouts;
}

/* Its two first connections are no trouble. */
static void note_troubles(actor *a)
{
    sc_stats stats;
    sc_stats_get(a->client, &stats);
    uint64_t troubles = (stats.connects > 2 ? stats.connects : 2) + stats.connect_failures +
                        stats.timeouts + fault_memory_failures(&a->self->memory);
    if (troubles != a->troubles)
        sim_trouble(a->self, sim.now_ns);
    a->troubles = troubles;
}

static async_call *take_call(actor *a, const char *what, int64_t bound_ms)
{
    for (size_t i = 0; i < CALLS; i++) {
        if (a->calls[i].is_used)
            continue;
        async_call *c = &a->calls[i];
        c->is_used = true;
        c->actor = a;
        c->troubles = count_troubles(a);
        c->was_connected = sim_is_connected(a->client);
        a->under_way++;
        sim_call_begins(&c->call, what, bound_ms);
        return c;
    }
    return NULL;
}

static void end_call(async_call *c, sc_status status)
{
    sim_call_ends(&c->call, status);
    c->actor->under_way--;
    c->is_used = false;
}

static void on_value(void *user, sc_status status, sc_value *value)
{
    async_call *c = (async_call *)user;
    /* In an outage those who ask share a load, however old: nobody can tell whether the key was
       invalidated. */
    bool is_outage = !c->was_connected || !sim_is_connected(c->actor->client) ||
                     count_troubles(c->actor) != c->troubles;
    if (status == SC_OK)
        sim_value_check("get-or-load", c->key, sc_value_bytes(value),
                        is_outage ? 0 : c->call.begin_ns);
    note_troubles(c->actor);
    sim_wait_check(&c->call, c->key);
    c->actor->load_status = status;
    end_call(c, status);
}

static int64_t load_bound_ms(const actor *a)
{
    /* the wait, the questions around it, the own loader's time, a blocking call in between */
    return a->load.wait_ms + 4 * a->timeout_ms + 2 * LOAD_MAX_MS;
}

static void get_or_load(actor *a)
{
    async_call *c = take_call(a, "get-or-load", load_bound_ms(a));
    if (!c)
        return;
    c->key = draw_key(a);
    sc_load_options options = a->load;
    if (sim_chance(&a->self->random, 0.5))
        options.outage = SC_OUTAGE_ERROR;
    options.private_errors = sim_chance(&a->self->random, 0.2);
    sc_status status = sc_get_or_load_async(a->cache, sc_text(sim_key_names[c->key]), load_value, a,
                                            &options, on_value, c);
    if (status != SC_OK)
        end_call(c, status);
}

/* The reply must be this call's. */
static void on_echo(void *user, sc_status status, sc_reply *reply)
{
    async_call *c = (async_call *)user;
    sc_slice text = sc_item_slice(sc_reply_item(reply));
    if (status == SC_OK && (text.len != strlen(c->tag) || memcmp(text.data, c->tag, text.len) != 0))
        sim_fail("the reply \"%.*s\" came for the call \"%s\"", (int)text.len, text.data, c->tag);
    end_call(c, status);
}

static void echo(actor *a)
{
    async_call *c = take_call(a, "echo", a->timeout_ms);
    sc_call_options options = {0};
    sc_slice words[2];
    if (!c)
        return;
    snprintf(c->tag, sizeof c->tag, "c%d-%llu", a->self->id, (unsigned long long)++a->tags);
    words[0] = sc_text("ECHO");
    words[1] = sc_text(c->tag);
    options.idempotent = sim_chance(&a->self->random, 0.5);
    sc_status status = sc_command_async(a->client, words, 2, &options, on_echo, c);
    if (status != SC_OK)
        end_call(c, status);
}

static void on_counted(void *user, sc_status status, sc_reply *reply)
{
    async_call *c = (async_call *)user;
    actor *a = c->actor;
    (void)reply;
    if (status == SC_OK) {
        a->counted_ns[a->counted][0] = c->call.begin_ns;
        a->counted_ns[a->counted++][1] = sim.now_ns;
    } else if (status == SC_ERR_TIMEOUT || status == SC_ERR_DISCONNECTED ||
               status == SC_ERR_PROTOCOL || status == SC_ERR_MEMORY)
        a->uncertain++;
    else if (status != SC_ERR_REPLY && !sc_not_executed(status))
        sim_fail("INCR ended with %s, which says nothing", sc_status_name(status));
    end_call(c, status);
}

static void counter_name(const actor *a, char *name, size_t cap)
{
    snprintf(name, cap, "count:%d", a->self->id);
}

static void count(actor *a)
{
    char name[32];
    sc_slice words[2];
    async_call *c = a->counted < COUNTED_MAX - CALLS ? take_call(a, "incr", a->timeout_ms) : NULL;
    if (!c)
        return;
    counter_name(a, name, sizeof name);
    words[0] = sc_text("INCR");
    words[1] = sc_text(name);
    sc_status status = sc_command_async(a->client, words, 2, NULL, on_counted, c);
    if (status != SC_OK)
        end_call(c, status);
}

/* --- blocking calls */

static void invalidate(actor *a)
{
    sim_call call;
    int key = draw_key(a);
    int change = sim_change_begins(SIM_INVALIDATE, key);
    uint64_t troubles = count_troubles(a);
    sim_call_begins(&call, "invalidate", a->timeout_ms);
    sc_status status = sc_invalidate(a->cache, sc_text(sim_key_names[key]));
    sim_call_ends(&call, status);
    sim_change_ends(change, status, count_troubles(a) != troubles);
}

static void set(actor *a)
{
    sim_call call;
    size_t len;
    int key = draw_key(a);
    int change = sim_change_begins(SIM_SET, key);
    char *text = make_text(a, key, 'S', change, &len);
    uint64_t troubles = count_troubles(a);
    sim_call_begins(&call, "set", a->timeout_ms);
    sc_status status = sc_set(a->cache, sc_text(sim_key_names[key]), sc_bytes(text, len), 0);
    sim_call_ends(&call, status);
    sim_change_ends(change, status, count_troubles(a) != troubles);
    free(text);
}

static void get(actor *a)
{
    sim_call call;
    sc_value *value = NULL;
    int key = draw_key(a);
    sim_call_begins(&call, "get", a->timeout_ms);
    sc_status status = sc_get(a->cache, sc_text(sim_key_names[key]), &value);
    if (status == SC_OK)
        sim_value_check("get", key, sc_value_bytes(value), call.begin_ns);
    sim_call_ends(&call, status);
    sc_value_release(value);
}

/* --- messages */

static void on_message(void *user, sc_status status, const sc_message *message)
{
    actor *a = (actor *)user;
    char text[32] = "";
    if (status != SC_OK) {
        a->gap_ns = sim.now_ns;
        sim_note("a gap");
        return;
    }
    memcpy(text, message->payload.data,
           message->payload.len < sizeof text - 1 ? message->payload.len : sizeof text - 1);
    int number = atoi(text);
    sim_note("message %d", number);
    for (int i = a->heard + 1; i < number; i++)
        if (a->is_published[i] && a->published_ns[i] > a->gap_ns &&
            !(sim.faults >> SIM_PUBLISH_DROP & 1u))
            sim_fail("message %d of c%d got lost, and no gap was told of", i, a->self->id);
    if (number <= a->heard && a->is_published[number] && !(sim.faults >> SIM_PUBLISH_TWICE & 1u))
        sim_fail("message %d of c%d came after message %d", number, a->self->id, a->heard);
    if (number > a->heard)
        a->heard = number;
}

static void publish(actor *a)
{
    sim_call call;
    char channel[32];
    char text[32];
    sc_reply *reply = NULL;
    if (a->published == PUBLISHED_MAX)
        return;
    int number = a->published++;
    a->published_ns[number] = sim.now_ns;
    snprintf(channel, sizeof channel, "news:%d", a->self->id);
    snprintf(text, sizeof text, "%d", number);
    sim_call_begins(&call, "publish", a->timeout_ms);
    sc_status status =
        sc_command_strings(a->client, &reply, "PUBLISH", channel, text, (const char *)NULL);
    a->is_published[number] = status == SC_OK;
    sim_call_ends(&call, status);
    sc_reply_release(reply);
}

static void subscribe(actor *a)
{
    char channel[32];
    if (a->is_subscribed)
        return;
    snprintf(channel, sizeof channel, "news:%d", a->self->id);
    a->gap_ns = SIM_NEVER; /* what was sent before is none of ours */
    a->is_subscribed =
        sc_subscribe_async(a->client, sc_text(channel), on_message, a, &a->subscription) == SC_OK;
}

/* --- the program */

static bool open_all(actor *a)
{
    sim_process *self = a->self;
    char url[64];
    sc_config config;
    sc_cache_config options;
    memset(&config, 0, sizeof config);
    memset(&options, 0, sizeof options);
    sim_net_url(0, url, sizeof url);
    a->timeout_ms = sim_between(&self->random, 300, SIM_TIMEOUT_MAX_MS);
    config.url = url;
    config.lazy = true;
    config.polled = true;
    config.timeout_ms = a->timeout_ms;
    config.connect_timeout_ms = SIM_CONNECT_MS;
    config.backoff_max_ms = SIM_BACKOFF_MAX_MS;
    config.idle_check_ms = 3000;
    config.wait_while_down = sim_chance(&self->random, 0.5);
    config.memory = &self->memory.table;
    config.clock = &self->clock;
    config.random = &self->entropy;
    config.transport = &self->transport;
    config.poller = &self->poller;
    a->load.ttl_ms = sim_spread(&self->random, 500, 60000);
    a->load.negative_ttl_ms = sim_chance(&self->random, 0.5) ? 0 : 2000;
    a->load.lease_ms = sim.lease_ms;
    a->load.wait_ms = WAIT_MS;
    a->load.poll_ms = sim.poll_ms;
    options.load = a->load;
    sc_status status = sc_open(&config, &a->client);
    if (status == SC_OK)
        status = sc_cache_open(a->client, &options, &a->cache);
    if (status == SC_OK)
        a->contenders = sim_contenders_open(self, a->client, a->timeout_ms);
    if (status == SC_OK)
        a->candidate = sim_candidate_open(self, a->client, a->timeout_ms);
    if (status != SC_OK && status != SC_ERR_MEMORY)
        sim_fail("c%d cannot begin: %s", self->id, sc_error_text());
    return status == SC_OK;
}

static void act(actor *a)
{
    if (a->contenders && sim_chance(&a->self->random, sim.locking)) {
        sim_contenders_act(a->contenders);
        return;
    }
    if (a->candidate && sim_chance(&a->self->random, sim.leading)) {
        sim_candidate_act(a->candidate);
        return;
    }
    switch (sim_between(&a->self->random, 0, 15)) {
    case 0:
        invalidate(a);
        break;
    case 1:
        set(a);
        break;
    case 2:
    case 3:
        get(a);
        break;
    case 4:
    case 5:
        publish(a);
        break;
    case 6:
        subscribe(a);
        break;
    case 7:
    case 8:
    case 9:
        echo(a);
        break;
    case 10:
        count(a);
        break;
    default:
        get_or_load(a);
        break;
    }
}

/* -1 is never. */
static int64_t earlier(int64_t one_ns, int64_t other_ns)
{
    return one_ns < 0 || (other_ns >= 0 && other_ns < one_ns) ? other_ns : one_ns;
}

/* Let time pass, and the library do its work. */
static void drive(actor *a, int64_t ms)
{
    int64_t until_ns = sim.now_ns + ms * SIM_NS_PER_MS;
    do {
        int64_t next_ns = earlier(finish_loads(a), sim_contenders_due(a->contenders));
        next_ns = earlier(next_ns, sim_candidate_due(a->candidate));
        if (next_ns < 0 || next_ns > until_ns)
            next_ns = until_ns;
        int64_t wait_ns = next_ns > sim.now_ns ? next_ns - sim.now_ns : 0;
        (void)sc_poll(a->client, wait_ns / SIM_NS_PER_MS + (wait_ns > 0));
        note_troubles(a);
        if (sim_chance(&a->self->random, 0.02))
            sim_sleep(sim_spread(&a->self->random, 1000, SIM_NS_PER_MS));
    } while (sim.now_ns < until_ns && !sim.has_failed);
}

/* Those of the answered INCRs that no server has lost. */
static int64_t count_kept(const actor *a)
{
    int64_t kept = 0;
    for (int i = 0; i < a->counted; i++)
        kept += !sim_ledger_is_lost(a->counted_ns[i][0], a->counted_ns[i][1], false);
    return kept;
}

/* When all is calm everything works. */
static bool check_recovery(actor *a)
{
    sim_call call;
    sc_reply *reply = NULL;
    int64_t number = -1;
    char name[32];
    counter_name(a, name, sizeof name);
    sim_call_begins(&call, "the last look", a->timeout_ms);
    sc_status status =
        sc_command_strings(a->client, &reply, "INCRBY", name, "0", (const char *)NULL);
    if (status == SC_OK)
        (void)sc_item_integer(sc_reply_item(reply), &number);
    sim_call_ends(&call, status);
    sc_reply_release(reply);
    if (status == SC_OK && (number < count_kept(a) || number > a->counted + a->uncertain))
        sim_fail("c%d was told of %d counts, %lld of which cannot be lost, and of %lld more nobody "
                 "knows; the server has %lld",
                 a->self->id, a->counted, (long long)count_kept(a), (long long)a->uncertain,
                 (long long)number);
    return status == SC_OK;
}

static bool check_loads(actor *a)
{
    get_or_load(a);
    while (a->under_way > 0 && !sim.has_failed)
        drive(a, 100);
    return a->load_status == SC_OK || a->load_status == SC_MISS || a->load_status == SC_ERR_LOADER;
}

static bool check_locks(actor *a)
{
    if (!a->contenders)
        return true;
    bool is_well = sim_contenders_check(a->contenders);
    while (sim_contenders_under_way(a->contenders) > 0 && !sim.has_failed)
        drive(a, 100);
    return is_well && sim_contenders_check(a->contenders);
}

static bool check_elections(actor *a)
{
    return sim_candidate_check(a->candidate);
}

static bool check_messages(actor *a)
{
    if (!a->is_subscribed || a->published == PUBLISHED_MAX)
        return true;
    publish(a);
    drive(a, 200);
    return a->heard == a->published - 1;
}

static size_t count_under_way(const actor *a)
{
    return a->under_way + sim_contenders_under_way(a->contenders);
}

static void come_to_an_end(actor *a)
{
    int64_t until_ns = sim.now_ns + RECOVERY_MS * SIM_NS_PER_MS;
    fault_memory_fail(&a->self->memory, 0, false);
    sim_contenders_retire(a->contenders);
    sim_candidate_retire(a->candidate);
    while (count_under_way(a) > 0 && sim.now_ns < until_ns && !sim.has_failed)
        drive(a, 100);
    if (count_under_way(a) > 0)
        sim_fail("c%d has %zu calls under way %d s after the last fault", a->self->id,
                 count_under_way(a), RECOVERY_MS / 1000);
    static const char *const names[5] = {"commands", "loads", "messages", "elections", "locks"};
    bool (*const checks[5])(actor * a) = {check_recovery, check_loads, check_messages,
                                          check_elections, check_locks};
    for (int i = 0; i < 5; i++) {
        while (!checks[i](a) && !sim.has_failed) {
            if (sim.now_ns >= until_ns)
                sim_fail("c%d: %s do not work %d s after the last fault: %s", a->self->id, names[i],
                         RECOVERY_MS / 1000, sc_error_text());
            drive(a, 200);
        }
    }
}

void sim_client_program(sim_process *self)
{
    actor *a = (actor *)calloc(1, sizeof *a);
    self->actor = a;
    a->self = self;
    a->heard = -1;
    a->troubles = 2;
    while (!open_all(a) && !sim.has_failed) {
        sc_close(a->client);
        a->client = NULL;
        sim_sleep(SIM_NS_PER_S);
    }
    while (sim.now_ns < sim.calm_ns && !sim.has_failed) {
        act(a);
        drive(a, sim_between(&self->random, 0, 2 * sim.pace_ms));
    }
    if (!sim.has_failed)
        come_to_an_end(a);
    sc_cache_close(a->cache);
    sim_contenders_close(a->contenders);
    sim_candidate_leave(a->candidate);
    (void)sc_close(a->client);
    sim_candidate_close(a->candidate);
    if (!sim.has_failed)
        sim_note("has come to its end");
}

void sim_client_free(sim_process *process)
{
    actor *a = (actor *)process->actor;
    for (size_t i = 0; a && i < CALLS; i++)
        if (a->pending[i].load)
            free(a->pending[i].text);
    if (a)
        sim_contenders_free(a->contenders);
    if (a)
        sim_candidate_free(a->candidate);
    free(a);
}
