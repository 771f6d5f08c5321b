/* When jobs are due: intervals, retries, cron, and tasks of a fleet; by a clock that the test moves. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "job_test.h"

#include <time.h>

#define SECOND_NS ((int64_t)1000000000)
#define MINUTE_MS ((int64_t)60000)

static int64_t wall_begin_ms; /* when moved_ns was 0 */

static int64_t moving_wall_ms(void *user)
{
    return wall_begin_ms + moved_now_ns(user) / SCI_NS_PER_MS;
}

/* One process of a fleet: a client, which takes part in an election, with a job. */
typedef struct member {
    sc_client *client;
    candidate leader;
    builder built;
} member;

static member fleet[2];

static int setup(void **state)
{
    static sc_clock clock;
    clock.monotonic_ns = moved_now_ns;
    clock.wall_ms = moving_wall_ms;
    if (test_setup_bare(state) != 0)
        return 1;
    moved_ns = 1000 * SECOND_NS;
    /* begin 10 s after a full minute, by about the server's clock */
    wall_begin_ms = ((int64_t)time(NULL) / 60 * 60 + 10) * 1000 - moved_ns / SCI_NS_PER_MS;
    for (size_t i = 0; i < 2; i++) {
        static const char *const names[2] = {"alice", "bob"};
        sc_config config = test_config(test_url());
        config.clock = &clock;
        config.polled = true;
        config.idle_check_ms = -1;
        config.timeout_ms = -1;
        fleet[i].client = test_open(&config);
        sc_election_config election = election_config(names[i]);
        candidate_open(&fleet[i].leader, fleet[i].client, &election);
    }
    return 0;
}

static int teardown(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        sc_job_close(fleet[i].built.job);
        candidate_close(&fleet[i].leader);
        (void)sc_close(fleet[i].client);
        memset(&fleet[i], 0, sizeof fleet[i]);
    }
    return test_teardown_bare(state);
}

static void poll_fleet(void)
{
    for (size_t i = 0; i < 2; i++)
        assert_status(SC_OK, sc_poll(fleet[i].client, 0));
}

#define POLL_UNTIL(condition) WAIT_UNTIL((poll_fleet(), condition))

static void move_ms(int64_t ms)
{
    __atomic_add_fetch(&moved_ns, ms * SCI_NS_PER_MS, __ATOMIC_ACQ_REL);
    poll_fleet();
}

static void win(size_t who)
{
    candidate_campaign(&fleet[who].leader);
    POLL_UNTIL(sc_is_leader(fleet[who].leader.election));
}

static void resign(size_t who)
{
    assert_status(SC_OK, sc_election_resign(fleet[who].leader.election));
    POLL_UNTIL(fixture_number("EXISTS", "head") == 0);
}

static sc_job_stats stats_of(size_t who)
{
    sc_job_stats stats;
    assert_status(SC_OK, sc_job_stats_get(fleet[who].built.job, &stats));
    return stats;
}

static void register_job(size_t who, const sc_job_config *config)
{
    builder_open(&fleet[who].built, fleet[who].leader.election, config);
}

static void await_ends(size_t who, uint32_t ends)
{
    POLL_UNTIL(told(&fleet[who].built.ends) >= ends && stats_of(who).due_in_ms >= 0);
    assert_int_equal(told(&fleet[who].built.ends), ends);
}

/* The first one leads, and has built it once. */
static void lead_and_build(const sc_job_config *config)
{
    win(0);
    register_job(0, config);
    await_ends(0, 1);
}

/* --- intervals */

static void an_interval_counts_from_the_end(void **state)
{
    sc_job_config config = builder_config(&fleet[0].built);
    (void)state;
    config.interval_ms = 10000;
    lead_and_build(&config);
    assert_int_equal(stats_of(0).due_in_ms, 10000);
    move_ms(9999);
    assert_int_equal(stats_of(0).due_in_ms, 1);
    assert_int_equal(told(&fleet[0].built.fetches), 1);
    move_ms(3001); /* late */
    await_ends(0, 2);
    assert_int_equal(stats_of(0).due_in_ms, 10000);
    assert_status(SC_OK, sc_job_set_interval(fleet[0].built.job, 4000));
    assert_int_equal(stats_of(0).due_in_ms, 4000);
    assert_status(SC_OK, sc_job_pause(fleet[0].built.job));
    move_ms(50000);
    assert_int_equal(told(&fleet[0].built.fetches), 2);
    assert_status(SC_OK, sc_job_resume(fleet[0].built.job));
    await_ends(0, 3);
}

static void a_fixed_rate_keeps_its_grid(void **state)
{
    sc_job_config config = builder_config(&fleet[0].built);
    (void)state;
    config.interval_ms = 10000;
    config.fixed_rate = true;
    lead_and_build(&config);
    move_ms(13000); /* 3 s late */
    await_ends(0, 2);
    assert_int_equal(stats_of(0).due_in_ms, 7000);
    move_ms(47000); /* what was passed over is left out */
    await_ends(0, 3);
    assert_int_equal(stats_of(0).due_in_ms, 10000);
}

static void retries_wait_below_a_bound_that_doubles(void **state)
{
    sc_job_config config = builder_config(&fleet[0].built);
    (void)state;
    config.interval_ms = 1000000;
    config.retries = 0; /* the default */
    fleet[0].built.fails = SC_ERR_LOADER;
    win(0);
    register_job(0, &config);
    for (uint32_t attempt = 0; attempt < 3; attempt++) {
        await_ends(0, attempt + 1);
        assert_true(stats_of(0).due_in_ms <= 1000 << attempt);
        move_ms(1000 << attempt);
    }
    await_ends(0, 4);
    assert_int_equal(stats_of(0).due_in_ms, 1000000); /* the regular time */
    fleet[0].built.fails = SC_OK;
    move_ms(1000000);
    await_ends(0, 5);
    assert_int_equal(stats_of(0).status, SC_OK);
}

static void the_next_leader_waits_for_the_rest_of_the_interval(void **state)
{
    sc_job_config config = builder_config(&fleet[0].built);
    (void)state;
    config.interval_ms = 1000000;
    lead_and_build(&config);
    config = builder_config(&fleet[1].built);
    config.interval_ms = 1000000;
    register_job(1, &config);
    resign(0);
    win(1);
    POLL_UNTIL(stats_of(1).due_in_ms >= 0);
    int64_t due_in_ms = stats_of(1).due_in_ms; /* by the server's clock, which was not moved */
    assert_true(due_in_ms > 1000000 - WAIT_WATCHDOG_MS && due_in_ms <= 1000000);
    assert_int_equal(told(&fleet[1].built.fetches), 0);
    move_ms(due_in_ms);
    await_ends(1, 1);
}

/* Due in the same moment in which the election ends, before the job has heard of it. */
static void what_is_due_when_the_election_is_closed_is_not_begun(void **state)
{
    sc_job_config config = builder_config(&fleet[0].built);
    (void)state;
    config.interval_ms = 10000;
    lead_and_build(&config);
    candidate_close(&fleet[0].leader);
    sc_job *job = fleet[0].built.job;
    sci_loop_lock(&fleet[0].client->loop);
    job->term = job->ended_term; /* as if it had not heard of it */
    job->is_leading = true;
    job->is_triggered = true;
    sci_job_mind(job);
    assert_null(job->run);
    job->term = 0;
    job->is_leading = job->is_triggered = false;
    sci_client_unlock(fleet[0].client);
}

/* --- cron */

static void a_cache_by_cron_is_built_at_once_and_then_when_due(void **state)
{
    sc_job_config config = builder_config(&fleet[0].built);
    (void)state;
    config.interval_ms = 0;
    config.cron = "* * * * *";
    lead_and_build(&config);
    assert_int_equal(stats_of(0).due_in_ms, 50000);
    move_ms(49999);
    assert_int_equal(told(&fleet[0].built.fetches), 1);
    move_ms(1);
    await_ends(0, 2);
    assert_int_equal(fleet[0].built.due_ms % MINUTE_MS, 0);
    assert_int_equal(stats_of(0).due_in_ms, MINUTE_MS);
    assert_status(SC_ERR_ARGUMENT, sc_job_set_interval(fleet[0].built.job, 5));
    /* the next leader: what was due since the fleet built it is due at once */
    config = builder_config(&fleet[1].built);
    config.interval_ms = 0;
    config.cron = "* * * * *";
    register_job(1, &config);
    resign(0);
    move_ms(10 * MINUTE_MS);
    win(1);
    await_ends(1, 1);
}

static sc_job_config task_config(builder *self)
{
    sc_job_config config = builder_config(self);
    config.keys = NULL;
    config.key_count = 0;
    config.interval_ms = 0;
    config.cron = "* * * * *";
    config.id_prop = config.score_prop = NULL;
    self->rows = 0;
    return config;
}

static void a_task_is_done_once_in_the_fleet_for_each_time(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        sc_job_config config = task_config(&fleet[i].built);
        if (i == 0)
            win(0);
        register_job(i, &config);
    }
    assert_int_equal(told(&fleet[0].built.fetches), 0); /* not before its time */
    assert_int_equal(stats_of(0).due_in_ms, 50000);
    move_ms(50000);
    await_ends(0, 1);
    int64_t first_ms = fleet[0].built.due_ms;
    assert_int_equal(first_ms % MINUTE_MS, 0);
    resign(0); /* the next leader knows that it has been done */
    win(1);
    POLL_UNTIL(stats_of(1).due_in_ms >= 0);
    assert_int_equal(stats_of(1).due_in_ms, MINUTE_MS);
    assert_int_equal(told(&fleet[1].built.fetches), 0);
    move_ms(MINUTE_MS);
    await_ends(1, 1);
    assert_int_equal(fleet[1].built.due_ms, first_ms + MINUTE_MS);
    /* nobody leads for three times: they are due together, once, as the first */
    resign(1);
    move_ms(3 * MINUTE_MS + 1000);
    win(0);
    await_ends(0, 2);
    assert_int_equal(fleet[0].built.due_ms, first_ms + 2 * MINUTE_MS);
    assert_int_equal(stats_of(0).due_in_ms, MINUTE_MS - 1000);
    resign(0);
    win(1);
    POLL_UNTIL(stats_of(1).due_in_ms >= 0);
    assert_int_equal(stats_of(1).due_in_ms, MINUTE_MS - 1000);
    assert_int_equal(told(&fleet[1].built.fetches), 1);
}

/* Whatever the leader believes: the claim is what counts. */
static void a_time_that_has_been_claimed_is_left_to_who_did(void **state)
{
    char seen[24];
    sc_job_config config = task_config(&fleet[0].built);
    (void)state;
    win(0);
    register_job(0, &config);
    snprintf(seen, sizeof seen, "%lld", (long long)(moving_wall_ms(NULL) + 50000));
    fixture_command(test.server, "HSET", "sc:job{work}", "seen", seen, (const char *)NULL);
    move_ms(50000);
    POLL_UNTIL(stats_of(0).due_in_ms == MINUTE_MS);
    assert_int_equal(told(&fleet[0].built.fetches), 0);
    assert_int_equal(told(&fleet[0].built.ends), 0);
    assert_int_equal(stats_of(0).failures, 0);
    move_ms(MINUTE_MS);
    await_ends(0, 1);
    assert_int_equal(stats_of(0).builds, 1);
}

static void a_deposed_leader_begins_no_task(void **state)
{
    sc_job_config config = task_config(&fleet[0].built);
    (void)state;
    win(0);
    register_job(0, &config);
    fixture_command(test.server, "SET", "head", "another's", (const char *)NULL);
    move_ms(50000);
    POLL_UNTIL(told(&fleet[0].built.ends) == 1);
    assert_int_equal(fleet[0].built.stats.status, SC_LOST);
    assert_int_equal(told(&fleet[0].built.fetches), 0);
    POLL_UNTIL(!sc_is_leader(fleet[0].leader.election));
}

static void a_task_is_not_tried_again_unless_that_is_wanted(void **state)
{
    sc_job_config config = task_config(&fleet[0].built);
    (void)state;
    config.retries = 0;
    fleet[0].built.fails = SC_ERR_LOADER;
    win(0);
    register_job(0, &config);
    move_ms(50000);
    await_ends(0, 1);
    assert_int_equal(stats_of(0).due_in_ms, MINUTE_MS);
    sc_job_close(fleet[0].built.job);
    config = task_config(&fleet[0].built);
    config.retries = 1;
    fleet[0].built.fails = SC_ERR_LOADER;
    register_job(0, &config);
    move_ms(MINUTE_MS);
    await_ends(0, 1);
    assert_true(stats_of(0).due_in_ms <= 1000);
    move_ms(1000);
    await_ends(0, 2);
    assert_int_equal(stats_of(0).due_in_ms, MINUTE_MS - 1000);
}

/* A task takes no rows, and says so. */
static void a_task_takes_no_rows(void **state)
{
    sc_job_config config = task_config(&fleet[0].built);
    (void)state;
    fleet[0].built.rows = 1;
    win(0);
    register_job(0, &config);
    move_ms(50000);
    await_ends(0, 1);
    assert_int_equal(stats_of(0).status, SC_ERR_ARGUMENT);
}

#define time_test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        time_test(an_interval_counts_from_the_end),
        time_test(a_fixed_rate_keeps_its_grid),
        time_test(retries_wait_below_a_bound_that_doubles),
        time_test(the_next_leader_waits_for_the_rest_of_the_interval),
        time_test(what_is_due_when_the_election_is_closed_is_not_begun),
        time_test(a_cache_by_cron_is_built_at_once_and_then_when_due),
        time_test(a_task_is_done_once_in_the_fleet_for_each_time),
        time_test(a_time_that_has_been_claimed_is_left_to_who_did),
        time_test(a_deposed_leader_begins_no_task),
        time_test(a_task_is_not_tried_again_unless_that_is_wanted),
        time_test(a_task_takes_no_rows),
    };
    test_begin(WIRE_UNIX);
    return test_end(cmocka_run_group_tests_name("when jobs are due", tests, test_group_setup,
                                                test_group_teardown));
}
