/* One leader among processes of this library and of npm's smart-redis, in both directions. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "election_test.h"
#include "node.h"

#define KEY "CACHE_MASTER_KEYsample"
#define START "{\"op\":\"start\",\"key\":\"sample\",\"host\":\"there\",\"check\":%d}"
#define MASTER "{\"ok\":true,\"master\":true}"
#define NO_MASTER "{\"ok\":true,\"master\":false}"

static sc_election_config interop_config(const char *name)
{
    sc_election_config config = election_config(name);
    config.key = sc_text(KEY);
    config.interop = true;
    return config;
}

static const char *start(node *program, int check_ms)
{
    char line[200];
    snprintf(line, sizeof line, START, check_ms);
    return node_ask(program, line);
}

static bool key_is(const char *value)
{
    char expected[100];
    const char *reply = fixture_command(test.server, "GET", KEY, (const char *)NULL);
    snprintf(expected, sizeof expected, "$%zu\r\n%s\r\n", strlen(value), value);
    return strcmp(reply, expected) == 0;
}

static bool is_master(node *program)
{
    return strcmp(node_ask(program, "{\"op\":\"master\"}"), MASTER) == 0;
}

/* Its configuration of the server tells us, and our deletion tells it: nobody polls. */
static void mastership_goes_from_one_to_the_other_and_back(void **state)
{
    sc_election_config config = interop_config("here");
    candidate mine;
    node program;
    (void)state;
    NEEDS_NODE();
    node_start(&program, "tests/interop/master.js", NULL);
    assert_string_equal(start(&program, NEVER_MS), MASTER);
    assert_true(key_is("there"));
    candidate_open(&mine, test.client, &config);
    candidate_campaign(&mine);
    WAIT_UNTIL(candidate_waits(&mine));
    WAIT_UNTIL(leader_is(&mine, "there"));
    node_ask(&program, "{\"op\":\"exit\"}"); /* DEL */
    assert_status(SC_OK, sc_election_await(mine.election, -1));
    assert_true(key_is("here"));
    assert_string_equal(start(&program, NEVER_MS), NO_MASTER);
    assert_true(sc_is_leader(mine.election));
    assert_true(key_is("here"));
    assert_status(SC_OK, sc_election_resign(mine.election));
    WAIT_UNTIL(is_master(&program));
    assert_true(key_is("there"));
    WAIT_UNTIL(leader_is(&mine, "there"));
    assert_false(sc_is_leader(mine.election));
    assert_status(SC_OK, sc_election_campaign(mine.election));
    WAIT_UNTIL(candidate_waits(&mine));
    assert_true(key_is("there"));
    candidate_close(&mine); /* takes nothing away */
    assert_true(key_is("there"));
    node_end(&program);
    fixture_command(test.server, "CONFIG", "SET", "notify-keyspace-events", "", (const char *)NULL);
}

static void without_events_each_finds_the_key_gone_by_looking(void **state)
{
    sc_election_config config = interop_config("here");
    candidate mine;
    node program;
    (void)state;
    NEEDS_NODE();
    config.poll_ms = 10;
    node_start(&program, "tests/interop/master.js", NULL);
    assert_string_equal(start(&program, 10), MASTER);
    fixture_command(test.server, "CONFIG", "SET", "notify-keyspace-events", "", (const char *)NULL);
    candidate_open(&mine, test.client, &config);
    candidate_campaign(&mine);
    WAIT_UNTIL(candidate_waits(&mine));
    node_ask(&program, "{\"op\":\"exit\"}");
    assert_status(SC_OK, sc_election_await(mine.election, -1));
    assert_string_equal(start(&program, 10), NO_MASTER);
    fixture_command(test.server, "CONFIG", "SET", "notify-keyspace-events", "", (const char *)NULL);
    candidate_close(&mine);
    WAIT_UNTIL(is_master(&program));
    node_end(&program);
}

/* It takes the key away from whoever has it: who leads hears of it, and does no longer. */
static void a_key_that_the_other_took_over_is_left_alone(void **state)
{
    sc_election_config config = interop_config("here");
    candidate mine;
    node program;
    (void)state;
    NEEDS_NODE();
    node_start(&program, "tests/interop/master.js", NULL);
    candidate_open(&mine, test.client, &config);
    candidate_win(&mine);
    WAIT_UNTIL(candidate_listens(&mine));
    assert_string_equal(start(&program, NEVER_MS), NO_MASTER);
    /* one transaction hands it over */
    fixture_command(test.server, "MULTI", (const char *)NULL);
    fixture_command(test.server, "DEL", KEY, (const char *)NULL);
    fixture_command(test.server, "SET", KEY, "there", "EX", "7200", "NX", (const char *)NULL);
    fixture_command(test.server, "EXEC", (const char *)NULL);
    WAIT_UNTIL(told(&mine.resignations) == 1);
    assert_int_equal(mine.reason, SC_RESIGNED_LOST);
    WAIT_UNTIL(is_master(&program));
    WAIT_UNTIL(candidate_waits(&mine));
    assert_true(key_is("there"));
    candidate_close(&mine);
    assert_true(key_is("there"));
    node_end(&program);
    fixture_command(test.server, "CONFIG", "SET", "notify-keyspace-events", "", (const char *)NULL);
}

/* Processes of this library may share a host: the name tells them not apart, the token does. */
static void two_of_one_name_are_not_both_the_leader(void **state)
{
    sc_election_config config = interop_config("");
    sc_client *other = stranger();
    candidate mine;
    candidate theirs;
    (void)state;
    candidate_open(&mine, test.client, &config);
    candidate_open(&theirs, other, &config);
    candidate_win(&mine);
    candidate_campaign(&theirs);
    WAIT_UNTIL(candidate_waits(&theirs));
    assert_true(sc_is_leader(mine.election));
    assert_status(SC_OK, sc_election_resign(theirs.election));
    assert_int_equal(fixture_number("EXISTS", KEY), 1);
    candidate_campaign(&theirs);
    WAIT_UNTIL(candidate_waits(&theirs));
    candidate_close(&mine);
    assert_status(SC_OK, sc_election_await(theirs.election, -1));
    assert_true(sc_election_term(theirs.election) > candidate_term(&mine));
    candidate_close(&theirs);
    assert_status(SC_OK, sc_close(other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        client_unit_test(mastership_goes_from_one_to_the_other_and_back),
        client_unit_test(without_events_each_finds_the_key_gone_by_looking),
        client_unit_test(a_key_that_the_other_took_over_is_left_alone),
        client_unit_test(two_of_one_name_are_not_both_the_leader),
    };
    signal(SIGPIPE, SIG_IGN); /* a node program may be gone */
    return run_on_both_wires("elections shared with node", tests);
}
