/* Jobs when something goes wrong: another leads, readers come at any time, the server restarts, the
   process dies or forks, memory runs out; and without threads. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "job_test.h"
#include "support/processes.h"
#include "support/proxy.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void stats_of(const builder *self, sc_job_stats *stats)
{
    assert_status(SC_OK, sc_job_stats_get(self->job, stats));
}

/* --- another leads */

/* Takes the place of the leader on the server, who does not know of it. */
static void depose_on_server(void)
{
    fixture_command(test.server, "SET", "head", "another's", (const char *)NULL);
    fixture_command(test.server, "SET", "sc:fence{head}", "9000000000000000", (const char *)NULL);
}

static void the_swap_of_a_deposed_leader_is_refused(void **state)
{
    builder self;
    sc_job_config config = builder_config(&self);
    (void)state;
    builder_open(&self, leader.election, &config);
    builder_await(&self, 1, SC_OK);
    builder_set(&self.generation, 1);
    builder_set(&self.holds_at, 2);
    assert_status(SC_OK, sc_job_trigger(self.job));
    WAIT_UNTIL(told(&self.held) == 1);
    depose_on_server();
    assert_true(sc_is_leader(leader.election)); /* as it believes */
    builder_set(&self.holds_at, BUILDER_NEVER);
    builder_await(&self, 2, SC_LOST);
    builder_expect(3, 0);
    assert_true(no_shadows());
    WAIT_UNTIL(!sc_is_leader(leader.election)); /* the refusal made it look */
    assert_status(SC_HELD, sc_job_trigger(self.job));
    assert_error_text_has("\"work\"");
    assert_status(SC_HELD, sc_job_drop(self.job));
    builder_expect(3, 0);
}

/* The same value of the lock in a later term: a late repeat of its acquire (tests/model,
   SWAP_CHECKS_NAME). */
static void the_swap_compares_the_term_and_not_the_name_alone(void **state)
{
    builder self;
    sc_job_config config = builder_config(&self);
    (void)state;
    self.holds_at = 2;
    builder_open(&self, leader.election, &config);
    WAIT_UNTIL(told(&self.held) == 1);
    fixture_command(test.server, "INCR", "sc:fence{head}", (const char *)NULL);
    builder_set(&self.holds_at, 0); /* the next term's build, which may follow, is held up */
    builder_await(&self, 1, SC_LOST);
    builder_expect(0, 0);
    builder_set(&self.holds_at, BUILDER_NEVER);
    builder_close(&self);
}

/* A leader for longer than a fence is kept has none, and is no less the leader. */
static void a_fence_that_has_run_out_is_no_other_term(void **state)
{
    builder self;
    sc_job_config config = builder_config(&self);
    (void)state;
    self.holds_at = 2;
    builder_open(&self, leader.election, &config);
    WAIT_UNTIL(told(&self.held) == 1);
    fixture_command(test.server, "DEL", "sc:fence{head}", (const char *)NULL);
    builder_set(&self.holds_at, BUILDER_NEVER);
    builder_await(&self, 1, SC_OK);
    builder_expect(3, 0);
    builder_close(&self);
}

static void who_resigns_stops_building_and_the_next_goes_on(void **state)
{
    sc_client *other = stranger();
    candidate next;
    builder mine;
    builder theirs;
    sc_job_stats stats;
    sc_job_config config = builder_config(&mine);
    (void)state;
    mine.rows = 100000;
    mine.holds_at = 5000;
    candidate_follow(&next, other, "bob");
    builder_open(&mine, leader.election, &config);
    config = builder_config(&theirs);
    theirs.generation = 5;
    builder_open(&theirs, next.election, &config);
    WAIT_UNTIL(told(&mine.held) == 1);
    stats_of(&theirs, &stats);
    assert_false(stats.is_leading);
    assert_int_equal(stats.due_in_ms, -1);
    assert_status(SC_OK, sc_election_resign(leader.election));
    builder_await(&theirs, 1, SC_OK); /* it had never been built: at once */
    builder_set(&mine.holds_at, BUILDER_NEVER);
    builder_await(&mine, 1, SC_LOST);
    assert_int_equal(mine.refused, SC_LOST);
    builder_expect(3, 5);
    assert_true(no_shadows());
    stats_of(&mine, &stats);
    assert_false(stats.is_leading);
    builder_close(&mine);
    builder_close(&theirs);
    candidate_close_all(&next, other);
}

static void the_next_leader_builds_when_it_is_due_or_a_key_is_missing(void **state)
{
    sc_client *other = stranger();
    candidate next;
    builder mine;
    builder theirs;
    sc_job_stats stats;
    sc_job_config config = builder_config(&mine);
    (void)state;
    builder_open(&mine, leader.election, &config);
    builder_await(&mine, 1, SC_OK);
    candidate_open_name(&next, other, "bob");
    config = builder_config(&theirs);
    builder_open(&theirs, next.election, &config);
    assert_status(SC_OK, sc_election_resign(leader.election));
    candidate_win(&next);
    WAIT_UNTIL(sc_job_stats_get(theirs.job, &stats) == SC_OK && stats.due_in_ms >= 0);
    assert_true(stats.due_in_ms > NEVER_MS - WAIT_WATCHDOG_MS && stats.due_in_ms <= NEVER_MS);
    assert_int_equal(told(&theirs.fetches), 0); /* it has just been built */
    assert_status(SC_OK, sc_election_resign(next.election));
    fixture_command(test.server, "DEL", "zset", (const char *)NULL);
    candidate_win(&next);
    builder_await(&theirs, 1, SC_OK); /* one is missing */
    builder_expect(3, 0);
    builder_close(&mine);
    builder_close(&theirs);
    candidate_close_all(&next, other);
}

/* --- readers */

typedef struct readers {
    uint32_t stops; /* atomic, as the next ones */
    uint32_t torn;
    uint64_t reads;
    int64_t rows; /* the size in an even generation; in an odd one half of it */
    char what[256];
} readers;

static void reader_say(readers *self, const char *what, int64_t number, int64_t other)
{
    if (__atomic_add_fetch(&self->torn, 1, __ATOMIC_ACQ_REL) == 1)
        snprintf(self->what, sizeof self->what, "%s: %lld, %lld", what, (long long)number,
                 (long long)other);
}

static int64_t reader_generation(sc_slice row)
{
    char text[96];
    snprintf(text, sizeof text, "%.*s", (int)row.len, row.len ? row.data : "");
    const char *at = strstr(text, "\"g\":");
    return at ? atoll(at + 4) : -1;
}

/* All in one transaction: sizes and generations of all keys. */
static void reader_compare(readers *self, sc_pipeline *pipeline)
{
    sc_reply *reply = NULL;
    sc_pipeline_add_strings(pipeline, "LLEN", "list", (const char *)NULL);
    sc_pipeline_add_strings(pipeline, "HLEN", "hash", (const char *)NULL);
    sc_pipeline_add_strings(pipeline, "SCARD", "set", (const char *)NULL);
    sc_pipeline_add_strings(pipeline, "LINDEX", "list", "-1", (const char *)NULL);
    sc_pipeline_add_strings(pipeline, "HGET", "hash", "k7", (const char *)NULL);
    sc_pipeline_add_strings(pipeline, "SRANDMEMBER", "set", (const char *)NULL);
    sc_pipeline_add_strings(pipeline, "GETRANGE", "string", "0", "80", (const char *)NULL);
    if (sc_pipeline_exec(pipeline, NULL, &reply) != SC_OK) {
        reader_say(self, sc_error_text(), 0, 0);
        return;
    }
    const sc_item *all = sc_reply_item(reply);
    int64_t generation = reader_generation(sc_item_slice(sc_item_at(all, 3)));
    int64_t expected = generation % 2 ? self->rows / 2 : self->rows;
    for (size_t i = 0; i < 3; i++) {
        int64_t size = -1;
        (void)sc_item_integer(sc_item_at(all, i), &size);
        if (size != expected)
            reader_say(self, "a size", size, expected);
    }
    for (size_t i = 4; i < 7; i++) {
        int64_t other = reader_generation(sc_item_slice(sc_item_at(all, i)));
        if (other != generation)
            reader_say(self, "generations", other, generation);
    }
    sc_reply_release(reply);
}

static void *reader_run(void *argument)
{
    readers *self = (readers *)argument;
    sc_client *client = stranger();
    sc_pipeline *pipeline;
    if (sc_pipeline_open(client, &pipeline) != SC_OK)
        return NULL;
    while (!told(&self->stops)) {
        reader_compare(self, pipeline);
        __atomic_add_fetch(&self->reads, 1, __ATOMIC_ACQ_REL);
    }
    sc_pipeline_close(pipeline);
    (void)sc_close(client);
    return NULL;
}

static void readers_never_see_a_part_or_a_mixture_or_nothing(void **state)
{
    enum { READERS = 2, BUILDS = 60, ROWS = 3000 };
    pthread_t threads[READERS];
    readers all;
    builder self;
    sc_job_config config = builder_config(&self);
    (void)state;
    memset(&all, 0, sizeof all);
    all.rows = ROWS;
    self.rows = ROWS;
    builder_open(&self, leader.election, &config);
    builder_await(&self, 1, SC_OK);
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader_run, &all), 0);
    for (int64_t i = 1; i <= BUILDS && !told(&all.torn); i++)
        builder_again(&self, i % 2 ? ROWS / 2 : ROWS, SC_OK);
    WAIT_UNTIL(__atomic_load_n(&all.reads, __ATOMIC_ACQUIRE) > BUILDS || told(&all.torn));
    __atomic_store_n(&all.stops, 1, __ATOMIC_RELEASE);
    for (size_t i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    if (all.torn)
        fail_msg("%u torn reads of %llu: %s", all.torn, (unsigned long long)all.reads, all.what);
    builder_close(&self);
}

/* --- the server */

static void a_build_that_lost_a_part_on_the_server_is_not_swapped_in(void **state)
{
    builder self;
    sc_job_config config = builder_config(&self);
    (void)state;
    self.rows = 4000;
    self.holds_at = 3000;
    builder_open(&self, leader.election, &config);
    WAIT_UNTIL(told(&self.held) == 1);
    WAIT_UNTIL(!no_shadows());
    /* the leader's keys are as they were; what was built is not */
    const char *shadow = self.job->run->rows.targets[1].shadow.data;
    char name[128];
    snprintf(name, sizeof name, "%.*s", (int)self.job->run->rows.targets[1].shadow.len, shadow);
    assert_string_equal(fixture_command(test.server, "DEL", name, (const char *)NULL), ":1\r\n");
    builder_set(&self.holds_at, BUILDER_NEVER);
    builder_await(&self, 1, SC_LOST);
    if (!strstr(self.stats.words, "\"list\""))
        fail_msg("%s", self.stats.words);
    builder_expect(0, 0);
    assert_true(no_shadows());
    builder_close(&self);
}

static void a_server_that_was_flushed_gets_no_part_of_a_result(void **state)
{
    builder self;
    sc_job_config config = builder_config(&self);
    (void)state;
    self.rows = 4000;
    self.holds_at = 3000;
    builder_open(&self, leader.election, &config);
    WAIT_UNTIL(told(&self.held) == 1);
    WAIT_UNTIL(!no_shadows());
    fixture_command(test.server, "FLUSHDB", (const char *)NULL);
    builder_set(&self.holds_at, 0); /* another build, which may follow, is held up */
    builder_await(&self, 1, SC_LOST);
    assert_int_equal(fixture_number("EXISTS", "list"), 0);
    WAIT_UNTIL(no_shadows());
    builder_set(&self.holds_at, BUILDER_NEVER);
    builder_close(&self);
}

/* Rows of which nobody knows whether they have arrived are in no result. */
static void a_piece_without_an_answer_fails_the_build_which_is_tried_again(void **state)
{
    proxy *relay = proxy_start(test.kind, fixture_endpoint(test.server, test.kind));
    sc_client *client = test_open_url(proxy_url(relay));
    candidate mine;
    builder self;
    sc_job_stats stats;
    sc_job_config config = builder_config(&self);
    (void)state;
    config.retries = 1000;
    config.retry_min_ms = config.retry_max_ms = 1;
    self.rows = 4000;
    candidate_close(&leader);
    candidate_open_name(&mine, client, "bob");
    candidate_win(&mine);
    proxy_lose_reply(relay, "RPUSH");
    builder_open(&self, mine.election, &config);
    WAIT_UNTIL(sc_job_stats_get(self.job, &stats) == SC_OK && stats.builds == 1);
    assert_int_equal(proxy_lost_replies(relay), 1);
    assert_true(stats.failures > 0);
    builder_expect(4000, 0);
    assert_true(no_shadows());
    builder_close(&self);
    candidate_close_all(&mine, client);
    proxy_stop(relay);
    candidate_open_name(&leader, test.client, "alice");
}

static void a_server_without_memory_keeps_what_was_there(void **state)
{
    builder self;
    sc_job_config config = builder_config(&self);
    (void)state;
    builder_open(&self, leader.election, &config);
    builder_await(&self, 1, SC_OK);
    fixture_command(test.server, "CONFIG", "SET", "maxmemory", "1", (const char *)NULL);
    builder_again(&self, 3000, SC_ERR_REPLY);
    fixture_command(test.server, "CONFIG", "SET", "maxmemory", "0", (const char *)NULL);
    if (!strstr(self.stats.words, "OOM"))
        fail_msg("%s", self.stats.words);
    builder_expect(3, 0);
    assert_true(no_shadows());
    builder_again(&self, 5, SC_OK);
    builder_expect(5, 2);
    builder_close(&self);
}

static void an_election_may_be_closed_before_its_jobs(void **state)
{
    builder self;
    sc_job_stats stats;
    sc_job_config config = builder_config(&self);
    (void)state;
    self.holds_at = 2;
    builder_open(&self, leader.election, &config);
    WAIT_UNTIL(told(&self.held) == 1);
    candidate_close(&leader);
    WAIT_UNTIL(sci_run_is_over(self.job->run));
    builder_set(&self.holds_at, BUILDER_NEVER);
    builder_await(&self, 1, SC_LOST);
    stats_of(&self, &stats);
    assert_false(stats.is_leading);
    assert_status(SC_HELD, sc_job_trigger(self.job));
    builder_close(&self);
    candidate_open_name(&leader, test.client, "alice");
}

/* --- processes */

/* Gives rows, sees to it that they are on the server, and dies without a word. */
static sc_status fetch_and_die(sc_job_run *run, void *user)
{
    sc_client *client = (sc_client *)user;
    for (int64_t i = 0; i < 4000; i++) {
        char text[96];
        sc_job_row row;
        memset(&row, 0, sizeof row);
        row.value = builder_row(text, sizeof text, i, 0);
        if (sc_job_add(run, &row) != SC_OK)
            _exit(1);
    }
    while (run->flight_bytes > 0)
        if (sc_poll(client, 1) != SC_OK)
            _exit(2);
    _exit(0);
}

/* Without threads: the thread sanitizer knows none in a child. */
static int child_dies_while_building(processes *shared, size_t index, void *user)
{
    candidate mine;
    builder self;
    sc_job_config config = builder_config(&self);
    (void)index;
    (void)user;
    (void)shared;
    sc_client *client = candidate_lead_polled(&mine, "child");
    config.shadow_ttl_ms = 1000;
    config.fetch = fetch_and_die;
    config.user = client;
    builder_open(&self, mine.election, &config);
    for (;;)
        if (sc_poll(client, 1) != SC_OK)
            _exit(3);
}

static void what_a_crashed_build_leaves_ends_by_itself(void **state)
{
    (void)state;
    processes *shared = processes_start(1, child_dies_while_building, NULL);
    bool is_good = processes_join(shared);
    processes_free(shared);
    assert_true(is_good);
    WAIT_UNTIL(no_shadows());
}

static int child_leads_nothing(processes *shared, size_t index, void *user)
{
    builder *self = (builder *)user;
    sc_job_stats stats;
    (void)shared;
    (void)index;
    if (sc_job_stats_get(self->job, &stats) != SC_OK || stats.is_leading || stats.is_building)
        return 1;
    if (sc_job_trigger(self->job) != SC_HELD)
        return 2;
    sc_job_close(self->job);
    return 0;
}

/* --- without threads */

static void builder_poll(sc_client *client, const builder *self, uint32_t ends)
{
    WAIT_UNTIL(told(&self->ends) >= ends || (sc_poll(client, 1) == SC_OK && false));
}

static void a_forked_child_builds_nothing(void **state)
{
    candidate mine;
    builder self;
    sc_job_config job = builder_config(&self);
    (void)state;
    sc_client *client = candidate_lead_polled(&mine, "alice");
    builder_open(&self, mine.election, &job);
    builder_poll(client, &self, 1);
    processes *shared = processes_start(1, child_leads_nothing, &self);
    bool is_good = processes_join(shared);
    processes_free(shared);
    assert_true(is_good);
    assert_status(SC_OK, sc_job_trigger(self.job));
    builder_poll(client, &self, 2);
    assert_int_equal(self.stats.status, SC_OK);
    builder_close(&self);
    candidate_close_all(&mine, client);
}

/* A polled fetch gives its rows inside of sc_poll. */
static void without_threads_a_fetch_runs_inside_of_poll(void **state)
{
    candidate mine;
    builder self;
    sc_job_config job = builder_config(&self);
    (void)state;
    sc_client *client = candidate_lead_polled(&mine, "alice");
    self.rows = 30000;
    builder_open(&self, mine.election, &job);
    builder_poll(client, &self, 1);
    assert_int_equal(self.stats.status, SC_OK);
    assert_int_equal(fixture_number("LLEN", "list"), 30000);
    builder_close(&self);
    candidate_close_all(&mine, client);
}

/* A source that gives some rows at a time. */
typedef struct source {
    builder seen;
    sc_job_run *run;
    int64_t given;
    uint32_t pauses;
    sc_status status;
} source;

static void source_go_on(source *self)
{
    while (self->given < self->seen.rows && self->status == SC_OK) {
        char texts[10][96];
        sc_job_row rows[10];
        size_t taken;
        size_t count = sci_min_size(10, (size_t)(self->seen.rows - self->given));
        memset(rows, 0, sizeof rows);
        for (size_t i = 0; i < count; i++)
            rows[i].value = builder_row(texts[i], sizeof texts[i], self->given + (int64_t)i, 0);
        self->status = sc_job_rows(self->run, rows, count, &taken);
        self->given += (int64_t)taken;
    }
    if (self->status == SC_AGAIN) {
        self->pauses++;
        self->status = SC_OK;
        return;
    }
    sc_job_run *run = self->run;
    self->run = NULL;
    sc_job_done(run, self->status);
}

static sc_status source_start(sc_job_run *run, void *user)
{
    source *self = (source *)user;
    self->run = run;
    self->given = 0;
    self->status = SC_OK;
    tell(&self->seen.fetches);
    if (self->seen.fails != SC_OK)
        return sc_fail(self->seen.fails, "the table is locked");
    source_go_on(self);
    return SC_OK;
}

static void source_on_room(sc_job_run *run, void *user)
{
    source *self = (source *)user;
    if (self->run == run)
        source_go_on(self);
}

static void a_source_that_must_not_block_gives_rows_as_there_is_room(void **state)
{
    candidate mine;
    source self;
    (void)state;
    memset(&self, 0, sizeof self);
    sc_job_config job = builder_config(&self.seen);
    sc_client *client = candidate_lead_polled(&mine, "alice");
    job.fetch = NULL;
    job.start = source_start;
    job.on_room = source_on_room;
    self.seen.rows = 50000;
    builder_open(&self.seen, mine.election, &job);
    builder_poll(client, &self.seen, 1);
    if (self.seen.stats.status != SC_OK)
        fail_msg("%s", self.seen.stats.words);
    assert_true(self.pauses > 0);
    assert_int_equal(fixture_number("LLEN", "list"), 50000);
    assert_int_equal(fixture_number("HLEN", "hash"), 50000);
    self.seen.fails = SC_ERR_LOADER;
    assert_status(SC_OK, sc_job_trigger(self.seen.job));
    builder_poll(client, &self.seen, 2);
    assert_int_equal(self.seen.stats.status, SC_ERR_LOADER);
    assert_string_equal(self.seen.stats.words, "the table is locked");
    builder_close(&self.seen);
    candidate_close_all(&mine, client);
}

/* Has its run for as long as the test wants. */
static sc_status source_keep(sc_job_run *run, void *user)
{
    ((source *)user)->run = run;
    tell(&((source *)user)->seen.fetches);
    return SC_OK;
}

static void a_source_may_outlive_the_client(void **state)
{
    candidate mine;
    source self;
    char text[96];
    sc_job_row row;
    size_t taken;
    sc_client *client = stranger();
    (void)state;
    memset(&self, 0, sizeof self);
    memset(&row, 0, sizeof row);
    sc_job_config job = builder_config(&self.seen);
    candidate_close(&leader);
    candidate_open_name(&mine, client, "bob");
    candidate_win(&mine);
    job.fetch = NULL;
    job.start = source_keep;
    job.on_room = source_on_room;
    builder_open(&self.seen, mine.election, &job);
    WAIT_UNTIL(told(&self.seen.fetches) == 1);
    row.value = builder_row(text, sizeof text, 1, 0);
    assert_status(SC_OK, sc_job_rows(self.run, &row, 1, &taken));
    assert_status(SC_OK, sc_close(client));
    assert_status(SC_ERR_CLOSED, sc_job_rows(self.run, &row, 1, &taken));
    assert_int_equal(taken, 0);
    builder_close(&self.seen); /* does not wait for what cannot be heard */
    sc_job_done(self.run, SC_OK);
    candidate_close(&mine);
    candidate_open_name(&leader, test.client, "alice");
}

static void count_call(void *user, sc_timer timer, int64_t due_ms)
{
    (void)timer;
    (void)due_ms;
    tell((uint32_t *)user);
}

static void a_slow_fetch_holds_up_nothing_but_those_that_wait_for_its_thread(void **state)
{
    static const sc_job_key key = {{"other", 5}, SC_JOB_LIST};
    builder slow;
    builder quick;
    uint32_t calls = 0;
    sc_job_config config = builder_config(&slow);
    (void)state;
    slow.holds_at = 1;
    builder_open(&slow, leader.election, &config);
    WAIT_UNTIL(told(&slow.held) == 1);
    config = builder_config(&quick);
    config.name = "quick";
    config.keys = &key;
    config.key_count = 1;
    builder_open(&quick, leader.election, &config);
    assert_status(SC_OK, sc_after(test.client, 0, count_call, &calls, NULL));
    WAIT_UNTIL(told(&calls) == 1);             /* callbacks go on */
    assert_int_equal(told(&quick.fetches), 0); /* one thread */
    builder_close(&quick);                     /* while it waits for one */
    assert_int_equal(told(&quick.fetches), 0);
    assert_status(SC_OK, sc_job_workers(test.client, 2));
    builder_open(&quick, leader.election, &config);
    builder_await(&quick, 1, SC_OK); /* two */
    assert_int_equal(told(&slow.returns), 0);
    builder_close(&quick);
    builder_set(&slow.holds_at, BUILDER_NEVER);
    builder_await(&slow, 1, SC_OK);
    builder_close(&slow);
}

static void a_job_needs_no_server_elsewhere(void **state)
{
    candidate mine;
    builder self;
    sc_job_config config = builder_config(&self);
    sc_client *client = test_open_url("embedded:");
    (void)state;
    self.rows = 20000;
    candidate_open_name(&mine, client, "bob");
    candidate_win(&mine);
    builder_open(&self, mine.election, &config);
    builder_await(&self, 1, SC_OK);
    builder_again(&self, 12345, SC_OK);
    test_expect_integer(client, 12345, "HLEN", "hash", (const char *)NULL);
    test_expect_integer(client, 12345, "LLEN", "list", (const char *)NULL);
    builder_close(&self);
    candidate_close_all(&mine, client);
}

/* --- memory */

static void out_of_memory_fails_a_build_and_nothing_else(void **state)
{
    builder self;
    sc_job_config config = builder_config(&self);
    size_t failed = 0;
    (void)state;
    self.rows = 3000;
    builder_open(&self, leader.election, &config);
    builder_await(&self, 1, SC_OK);
    for (size_t request = 1; request < 400; request++) {
        uint32_t ends = told(&self.ends);
        fault_memory_restart_counts(test.memory);
        fault_memory_fail(test.memory, request, false);
        sc_status status = sc_job_trigger(self.job);
        assert_true(status == SC_OK);
        WAIT_UNTIL(told(&self.ends) > ends);
        bool is_over = fault_memory_failures(test.memory) == 0;
        fault_memory_fail(test.memory, 0, false);
        failed += self.stats.status != SC_OK;
        assert_int_equal(fixture_number("LLEN", "list"), 3000);
        assert_int_equal(fixture_number("HLEN", "hash"), 3000);
        if (is_over)
            break;
        WAIT_UNTIL(sc_is_leader(leader.election));
    }
    assert_true(failed > 0);
    builder_again(&self, 5, SC_OK);
    builder_expect(5, 1);
    builder_close(&self);
}

static void out_of_memory_refuses_a_job_cleanly(void **state)
{
    builder self;
    sc_job_config config = builder_config(&self);
    sc_status status = SC_ERR_MEMORY;
    (void)state;
    config.interval_ms = 0;
    config.cron = "0 0 1 1 *";
    config.zone = "CET-1CEST,M3.5.0,M10.5.0/3";
    config.keys = NULL; /* a task, which is not due */
    config.key_count = 0;
    for (size_t request = 1; status == SC_ERR_MEMORY; request++) {
        fault_memory_restart_counts(test.memory);
        fault_memory_fail(test.memory, request, false);
        status = sc_job_open(leader.election, &config, &self.job);
        fault_memory_fail(test.memory, 0, false);
        assert_true((self.job != NULL) == (status == SC_OK));
    }
    assert_status(SC_OK, status);
    builder_close(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        job_test(the_swap_of_a_deposed_leader_is_refused),
        job_test(the_swap_compares_the_term_and_not_the_name_alone),
        job_test(a_fence_that_has_run_out_is_no_other_term),
        job_test(who_resigns_stops_building_and_the_next_goes_on),
        job_test(the_next_leader_builds_when_it_is_due_or_a_key_is_missing),
        job_test(readers_never_see_a_part_or_a_mixture_or_nothing),
        job_test(a_build_that_lost_a_part_on_the_server_is_not_swapped_in),
        job_test(a_server_that_was_flushed_gets_no_part_of_a_result),
        job_test(a_piece_without_an_answer_fails_the_build_which_is_tried_again),
        job_test(a_server_without_memory_keeps_what_was_there),
        job_test(an_election_may_be_closed_before_its_jobs),
        bare_unit_test(what_a_crashed_build_leaves_ends_by_itself),
        bare_unit_test(a_forked_child_builds_nothing),
        bare_unit_test(without_threads_a_fetch_runs_inside_of_poll),
        bare_unit_test(a_source_that_must_not_block_gives_rows_as_there_is_room),
        job_test(a_source_may_outlive_the_client),
        job_test(a_slow_fetch_holds_up_nothing_but_those_that_wait_for_its_thread),
        job_test(a_job_needs_no_server_elsewhere),
        job_test(out_of_memory_fails_a_build_and_nothing_else),
        job_test(out_of_memory_refuses_a_job_cleanly),
    };
    return run_on_both_wires("jobs in trouble", tests);
}
