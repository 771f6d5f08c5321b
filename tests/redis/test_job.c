/* Jobs on a server that is well: what is built, when, and by whom. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "job_test.h"

/* --- what is built */

static void a_job_is_built_at_once_where_it_leads(void **state)
{
    builder self;
    sc_job_config config = builder_config(&self);
    (void)state;
    builder_open(&self, leader.election, &config);
    builder_await(&self, 1, SC_OK);
    builder_expect(3, 0);
    assert_string_equal(fixture_command(test.server, "GET", "string", (const char *)NULL),
                        "$73\r\n[{\"id\":\"k0\",\"n\":0,\"g\":0},{\"id\":\"k1\",\"n\":1,\"g\":0},"
                        "{\"id\":\"k2\",\"n\":2,\"g\":0}]\r\n");
    assert_int_equal(fixture_number("PTTL", "list"), -1);
    assert_true(no_shadows());
    assert_int_equal(self.stats.builds, 1);
    assert_int_equal(self.stats.rows, 3);
    assert_true(self.stats.is_leading);
    assert_false(self.stats.is_building);
    builder_close(&self);
    builder_expect(3, 0); /* the data stay */
}

static void a_rebuild_replaces_all_and_rows_that_vanished_are_gone(void **state)
{
    builder self;
    sc_job_config config = builder_config(&self);
    (void)state;
    self.rows = 5000; /* more than a chunk */
    builder_open(&self, leader.election, &config);
    builder_await(&self, 1, SC_OK);
    builder_expect(5000, 0);
    builder_again(&self, 17, SC_OK);
    builder_expect(17, 1);
    builder_again(&self, 1000, SC_OK); /* exactly a chunk */
    builder_expect(1000, 2);
    assert_true(no_shadows());
    builder_close(&self);
}

static void an_empty_result_is_kept_out_or_clears(void **state)
{
    builder self;
    sc_job_config config = builder_config(&self);
    (void)state;
    builder_open(&self, leader.election, &config);
    builder_await(&self, 1, SC_OK);
    builder_again(&self, 0, SC_OK);
    assert_int_equal(self.stats.rows, 0);
    builder_expect(3, 0);
    builder_close(&self);
    config = builder_config(&self);
    config.clear_when_empty = true;
    builder_open(&self, leader.election, &config);
    builder_await(&self, 1, SC_OK);
    builder_again(&self, 0, SC_OK);
    builder_expect(0, 0);
    builder_close(&self);
}

static void a_result_may_end_by_itself(void **state)
{
    builder self;
    sc_job_config config = builder_config(&self);
    (void)state;
    config.ttl_ms = 500000;
    builder_open(&self, leader.election, &config);
    builder_await(&self, 1, SC_OK);
    for (size_t i = 0; i < COUNT_OF(builder_keys); i++) {
        int64_t left_ms = fixture_number("PTTL", builder_keys[i].key.data);
        assert_true(left_ms > 60000 && left_ms <= 500000);
    }
    builder_close(&self);
}

/* --- rows that are refused */

typedef struct refusal {
    const char *const *rows;
    size_t count;
    const char *words;
} refusal;

static sc_status fetch_texts(sc_job_run *run, void *user)
{
    const refusal *self = (const refusal *)user;
    sc_status status = SC_OK;
    for (size_t i = 0; i < self->count && status == SC_OK; i++) {
        sc_job_row row;
        memset(&row, 0, sizeof row);
        row.value = sc_text(self->rows[i]);
        status = sc_job_add(run, &row);
    }
    return status;
}

static void expect_refusal(const char *const *rows, size_t count, const char *words)
{
    refusal self;
    builder seen;
    sc_job_stats stats;
    sc_job *job;
    sc_job_config config = builder_config(&seen);
    self.rows = rows;
    self.count = count;
    self.words = words;
    config.fetch = fetch_texts;
    config.user = &self;
    config.on_end = NULL;
    assert_status(SC_OK, sc_job_open(leader.election, &config, &job));
    WAIT_UNTIL(sc_job_stats_get(job, &stats) == SC_OK && stats.builds + stats.failures == 1 &&
               !stats.is_building);
    assert_int_equal(stats.status, words ? SC_ERR_ARGUMENT : SC_OK);
    if (words && !strstr(stats.words, words))
        fail_msg("\"%s\" does not say \"%s\"", stats.words, words);
    sc_job_close(job);
    assert_true(no_shadows());
}

static void rows_without_what_is_needed_are_named(void **state)
{
    static const char *const none[] = {"{\"id\":1,\"n\":1}", "{\"n\":2,\"x\":{\"id\":3}}"};
    static const char *const object[] = {"{\"id\":{},\"n\":1}"};
    static const char *const score[] = {"{\"id\":1,\"n\":\"1\"}"};
    static const char *const empty[] = {"{\"id\":\"\",\"n\":1}"};
    static const char *const broken[] = {"{\"n\":1,\"id\":1}", "{\"n\":2,\"id\":2}",
                                         "{\"n\":3,id}"};
    static const char *const plain[] = {"hello"};
    (void)state;
    expect_refusal(none, 2, "row 2 of the job \"work\" has no string or number \"id\" (id_prop)");
    expect_refusal(object, 1, "row 1 of the job \"work\" has no string or number \"id\"");
    expect_refusal(empty, 1, "row 1 of the job \"work\" has no string or number \"id\"");
    expect_refusal(score, 1, "row 1 of the job \"work\" has no number \"n\" (score_prop)");
    expect_refusal(broken, 3, "row 3 of the job \"work\" is not JSON");
    expect_refusal(plain, 1, "row 1 of the job \"work\" is not JSON");
    assert_int_equal(fixture_number("EXISTS", "list"), 0);
}

static void ids_are_found_in_every_form(void **state)
{
    static const char *const rows[] = {"{\"n\":1,\"i\\u0064\":\"a\\u0062\",\"z\":[1,{\"n\":2}]}",
                                       "{\"x\":{\"id\":9,\"n\":9},\"id\":12.50,\"n\":-1e3}"};
    (void)state;
    expect_refusal(rows, 2, NULL);
    assert_string_equal(fixture_command(test.server, "HEXISTS", "hash", "ab", (const char *)NULL),
                        ":1\r\n");
    assert_string_equal(
        fixture_command(test.server, "HEXISTS", "hash", "12.50", (const char *)NULL), ":1\r\n");
    assert_string_equal(fixture_command(test.server, "ZSCORE", "zset", rows[1], (const char *)NULL),
                        "$5\r\n-1000\r\n");
}

static void an_id_that_comes_twice_is_named(void **state)
{
    static const char *const rows[] = {"{\"id\":\"a\",\"n\":1}", "{\"id\":\"b\",\"n\":1}",
                                       "{\"n\":1,\"id\":\"a\"}"};
    (void)state;
    expect_refusal(rows, 3, "row 3 of the job \"work\" has the id of an earlier one: a");
    assert_int_equal(fixture_number("EXISTS", "hash"), 0);
}

/* Far apart, in a result that the first filters are too small for. */
static sc_status fetch_with_duplicate(sc_job_run *run, void *user)
{
    const int64_t *last = (const int64_t *)user;
    sc_status status = SC_OK;
    for (int64_t i = 0; i <= *last && status == SC_OK; i++) {
        char id[24];
        sc_job_row row;
        memset(&row, 0, sizeof row);
        snprintf(id, sizeof id, "%lld", (long long)(i == *last ? 5 : i));
        row.id = sc_text(id);
        row.value = row.id;
        status = sc_job_add(run, &row);
    }
    return status;
}

static void an_id_that_comes_again_after_many_is_named(void **state)
{
    static const sc_job_key key = {{"hash", 4}, SC_JOB_HASH};
    builder self;
    int64_t last = 60000;
    sc_job *job;
    sc_job_stats stats;
    sc_job_config config = builder_config(&self);
    (void)state;
    config.keys = &key;
    config.key_count = 1;
    config.id_prop = config.score_prop = NULL;
    config.fetch = fetch_with_duplicate;
    config.user = &last;
    config.on_end = NULL;
    assert_status(SC_OK, sc_job_open(leader.election, &config, &job));
    WAIT_UNTIL(sc_job_stats_get(job, &stats) == SC_OK && stats.failures == 1 && !stats.is_building);
    if (!strstr(stats.words, "row 60001 of the job \"work\" has the id of an earlier one: 5"))
        fail_msg("%s", stats.words);
    sc_job_close(job);
    assert_true(no_shadows());
}

/* --- failing */

static void a_fetch_that_fails_leaves_what_was_there(void **state)
{
    builder self;
    sc_job_config config = builder_config(&self);
    (void)state;
    builder_open(&self, leader.election, &config);
    builder_await(&self, 1, SC_OK);
    self.fails = SC_ERR_LOADER;
    builder_again(&self, 4000, SC_ERR_LOADER);
    assert_string_equal(self.stats.words, "the table is locked");
    assert_int_equal(self.stats.failures, 1);
    assert_int_equal(self.stats.builds, 1);
    assert_int_equal(self.stats.rows, 3); /* of the good one */
    builder_expect(3, 0);
    assert_true(no_shadows());
    self.fails = SC_OK;
    builder_again(&self, 5, SC_OK);
    builder_expect(5, 2);
    assert_string_equal(self.stats.words, "");
    builder_close(&self);
}

static void a_failure_is_tried_again(void **state)
{
    builder self;
    sc_job_config config = builder_config(&self);
    (void)state;
    config.retries = 4;
    config.retry_min_ms = 1;
    config.retry_max_ms = 3;
    self.fails = SC_ERR_LOADER;
    builder_open(&self, leader.election, &config);
    WAIT_UNTIL(told(&self.ends) == 5); /* one, and four more */
    sc_job_stats stats;
    WAIT_UNTIL(sc_job_stats_get(self.job, &stats) == SC_OK && stats.due_in_ms > NEVER_MS / 2);
    assert_int_equal(told(&self.fetches), 5);
    builder_close(&self);
}

static void a_fetch_that_takes_too_long_is_given_up(void **state)
{
    builder self;
    sc_job_config config = builder_config(&self);
    (void)state;
    config.fetch_timeout_ms = NEVER_MS;
    self.rows = 2000;
    self.holds_at = 1500;
    builder_open(&self, leader.election, &config);
    WAIT_UNTIL(told(&self.held) == 1);
    sc_job_run *run = self.job->run;
    sci_loop_lock(&test.client->loop); /* the time has come */
    sci_timer_arm(&test.client->loop, &run->limit_timer, sci_loop_now_ns(&test.client->loop));
    sci_client_unlock(test.client);
    WAIT_UNTIL(sci_run_is_over(run));
    sc_job_stats stats;
    assert_status(SC_OK, sc_job_stats_get(self.job, &stats));
    assert_true(stats.is_building); /* the function has not returned: no other begins */
    assert_status(SC_OK, sc_job_trigger(self.job));
    assert_int_equal(told(&self.fetches), 1);
    builder_set(&self.holds_at, BUILDER_NEVER);
    WAIT_UNTIL(told(&self.ends) >= 2); /* the trigger's */
    assert_int_equal(told(&self.fetches), 2);
    builder_close(&self);
    if (!strstr(self.refusal, "fetch_timeout_ms"))
        fail_msg("\"%s\"", self.refusal);
    assert_true(no_shadows());
}

/* --- asking */

static void a_trigger_during_a_build_builds_once_more(void **state)
{
    builder self;
    sc_job_config config = builder_config(&self);
    (void)state;
    self.holds_at = 1;
    builder_open(&self, leader.election, &config);
    WAIT_UNTIL(told(&self.held) == 1);
    for (size_t i = 0; i < 3; i++)
        assert_status(SC_OK, sc_job_trigger(self.job));
    builder_set(&self.generation, 7);
    builder_set(&self.holds_at, BUILDER_NEVER);
    builder_await(&self, 2, SC_OK);
    builder_expect(3, 7);
    assert_int_equal(told(&self.fetches), 2);
    builder_close(&self);
}

static void a_paused_job_is_built_when_it_goes_on(void **state)
{
    builder self;
    sc_job_config config = builder_config(&self);
    (void)state;
    config.interval_ms = 1;
    self.holds_at = 1;
    builder_open(&self, leader.election, &config);
    WAIT_UNTIL(told(&self.held) == 1);
    assert_status(SC_OK, sc_job_pause(self.job));
    builder_set(&self.holds_at, BUILDER_NEVER);
    builder_await(&self, 1, SC_OK); /* the one under way goes on */
    sc_job_stats stats;
    WAIT_UNTIL(sc_job_stats_get(self.job, &stats) == SC_OK && !stats.is_building);
    assert_true(stats.is_paused);
    assert_int_equal(stats.due_in_ms, -1);
    builder_again(&self, 3, SC_OK); /* when asked, also while it is paused */
    assert_status(SC_OK, sc_job_resume(self.job));
    WAIT_UNTIL(told(&self.ends) >= 4);
    builder_close(&self);
}

static void an_interval_is_changed_while_it_waits(void **state)
{
    builder self;
    sc_job_config config = builder_config(&self);
    (void)state;
    builder_open(&self, leader.election, &config);
    builder_await(&self, 1, SC_OK);
    assert_status(SC_ERR_ARGUMENT, sc_job_set_interval(self.job, 0));
    assert_status(SC_OK, sc_job_set_interval(self.job, 1));
    WAIT_UNTIL(told(&self.ends) >= 4);
    builder_close(&self);
    config = builder_config(&self);
    config.interval_ms = 1;
    config.fixed_rate = true;
    builder_open(&self, leader.election, &config);
    WAIT_UNTIL(told(&self.ends) >= 3);
    builder_close(&self);
}

static void progress_is_told(void **state)
{
    builder self;
    sc_job_config config = builder_config(&self);
    (void)state;
    config.on_progress = builder_progress;
    config.progress_ms = 1;
    self.rows = 5000;
    self.holds_at = 4500;
    builder_open(&self, leader.election, &config);
    WAIT_UNTIL(told(&self.progresses) > 1 && builder_get(&self.progress_rows) > 3000);
    builder_set(&self.holds_at, BUILDER_NEVER);
    builder_await(&self, 1, SC_OK);
    builder_close(&self);
}

static void a_dropped_job_leaves_nothing(void **state)
{
    builder self;
    sc_job_config config = builder_config(&self);
    (void)state;
    builder_open(&self, leader.election, &config);
    builder_await(&self, 1, SC_OK);
    assert_int_equal(fixture_number("EXISTS", "sc:job{work}"), 1);
    assert_status(SC_OK, sc_job_drop(self.job));
    builder_expect(0, 0);
    assert_int_equal(fixture_number("EXISTS", "sc:job{work}"), 0);
}

static void closing_gives_up_what_is_being_built(void **state)
{
    builder self;
    sc_job_config config = builder_config(&self);
    (void)state;
    self.rows = 3000;
    self.holds_at = 2500;
    builder_open(&self, leader.election, &config);
    WAIT_UNTIL(told(&self.held) == 1);
    assert_int_equal(told(&self.returns), 0);
    sc_job *job = self.job;
    pthread_t thread;
    assert_int_equal(
        pthread_create(&thread, NULL, (void *(*)(void *))(void (*)(void))sc_job_close, job), 0);
    WAIT_UNTIL(sci_atomic_load_acquire(&job->run->is_over));
    builder_set(&self.holds_at, BUILDER_NEVER);
    pthread_join(thread, NULL);
    assert_int_equal(told(&self.returns), 1); /* before it was closed */
    assert_int_equal(self.refused, SC_ERR_CANCELLED);
    assert_int_equal(told(&self.ends), 0);
    assert_true(no_shadows());
}

static void a_client_may_be_closed_before_its_jobs(void **state)
{
    sc_client *other = stranger();
    candidate mine;
    builder self;
    sc_job_config config = builder_config(&self);
    (void)state;
    candidate_close(&leader);
    candidate_open_name(&mine, other, "bob");
    candidate_win(&mine);
    builder_open(&self, mine.election, &config);
    builder_await(&self, 1, SC_OK);
    assert_status(SC_OK, sc_close(other));
    assert_status(SC_ERR_CLOSED, sc_job_trigger(self.job));
    builder_close(&self);
    candidate_close(&mine);
    candidate_open_name(&leader, test.client, "alice");
}

static void a_wrong_configuration_names_the_field(void **state)
{
    builder self;
    sc_job *job;
    sc_job_config good = builder_config(&self);
    sc_job_key keys[2] = {{{"a", 1}, SC_JOB_LIST}, {{"a", 1}, SC_JOB_HASH}};
    (void)state;
#define REFUSES(change, words)                                                                     \
    do {                                                                                           \
        sc_job_config config = good;                                                               \
        change;                                                                                    \
        assert_status(SC_ERR_ARGUMENT, sc_job_open(leader.election, &config, &job));               \
        assert_error_text_has(words);                                                              \
        assert_null(job);                                                                          \
    } while (0)
    REFUSES(config.name = "", "name is empty");
    REFUSES(config.fetch = NULL, "fetch or start");
    REFUSES(config.interval_ms = 0, "interval_ms or cron");
    REFUSES(config.interval_ms = -1, "interval_ms is -1");
    REFUSES(config.cron = "* * * * *", "interval_ms or cron");
    REFUSES((config.interval_ms = 0, config.cron = "61 * * * *"), "byte 0");
    REFUSES(config.ttl_ms = -1, "ttl_ms is -1");
    REFUSES(config.shadow_ttl_ms = 99, "shadow_ttl_ms is 99");
    REFUSES(config.key_count = 17, "key_count is 17");
    REFUSES((config.keys = keys, config.key_count = 2), "keys[0] and [1] are the same");
    keys[1].type = (sc_job_type)0;
    keys[1].key = sc_text("b");
    REFUSES((config.keys = keys, config.key_count = 2), "keys[1].type");
#undef REFUSES
    assert_status(SC_ERR_ARGUMENT, sc_job_open(NULL, &good, &job));
    assert_status(SC_ERR_ARGUMENT, sc_job_workers(test.client, 0));
    assert_status(SC_ERR_ARGUMENT, sc_job_workers(test.client, 65));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        job_test(a_job_is_built_at_once_where_it_leads),
        job_test(a_rebuild_replaces_all_and_rows_that_vanished_are_gone),
        job_test(an_empty_result_is_kept_out_or_clears),
        job_test(a_result_may_end_by_itself),
        job_test(rows_without_what_is_needed_are_named),
        job_test(ids_are_found_in_every_form),
        job_test(an_id_that_comes_twice_is_named),
        job_test(an_id_that_comes_again_after_many_is_named),
        job_test(a_fetch_that_fails_leaves_what_was_there),
        job_test(a_failure_is_tried_again),
        job_test(a_fetch_that_takes_too_long_is_given_up),
        job_test(a_trigger_during_a_build_builds_once_more),
        job_test(a_paused_job_is_built_when_it_goes_on),
        job_test(an_interval_is_changed_while_it_waits),
        job_test(progress_is_told),
        job_test(a_dropped_job_leaves_nothing),
        job_test(closing_gives_up_what_is_being_built),
        job_test(a_client_may_be_closed_before_its_jobs),
        job_test(a_wrong_configuration_names_the_field),
    };
    return run_on_both_wires("jobs", tests);
}
