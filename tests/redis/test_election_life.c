/* Elections: the end of a leadership by the clock, deleted keys, forking, closing, memory. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "election_test.h"
#include "support/processes.h"

#include <unistd.h>

#define MS INT64_C(1000000)

static void move_clock(int64_t to_ns)
{
    __atomic_store_n(&moved_ns, to_ns, __ATOMIC_RELEASE);
}

/* --- the end by the clock */

static void who_cannot_renew_stops_before_the_lease_ends(void **state)
{
    sc_client *client = open_with_moved_clock();
    sc_election_config config = election_config("alice");
    candidate mine;
    (void)state;
    config.ttl_ms = 300000;
    int64_t asked_ns = moved_ns;
    candidate_lead(&mine, client, &config);
    WAIT_UNTIL(sc_poll(client, 1) == SC_OK && told(&mine.elections) == 1);
    int64_t stop_ns = asked_ns + (300000 - 3002 - 30000) * MS; /* drift, and the margin */
    fixture_pause(test.server);
    move_clock(asked_ns + 100000 * MS);
    assert_status(SC_OK, sc_poll(client, 0));
    assert_true(mine.election->lock->is_renewing);
    move_clock(stop_ns - 1);
    assert_status(SC_OK, sc_poll(client, 0));
    assert_true(sc_is_leader(mine.election));
    assert_int_equal(mine.resignations, 0);
    move_clock(stop_ns);
    assert_false(sc_is_leader(mine.election)); /* known without a poll */
    assert_int_equal(sc_election_term(mine.election), 0);
    WAIT_UNTIL(sc_poll(client, 0) == SC_OK && mine.resignations == 1);
    assert_int_equal(mine.reason, SC_RESIGNED_UNRENEWED);
    fixture_continue(test.server);
    int64_t term = candidate_term(&mine);
    WAIT_UNTIL(sc_poll(client, 1) == SC_OK && mine.elections == 2);
    assert_true(candidate_term(&mine) > term);
    assert_true(sc_is_leader(mine.election));
    candidate_close_all(&mine, client);
}

static void a_leader_that_slept_knows_it_at_its_first_look(void **state)
{
    sc_client *client = open_with_moved_clock();
    sc_election_config config = election_config("alice");
    candidate mine;
    (void)state;
    config.ttl_ms = 300000;
    config.stop_margin_ms = -1;
    int64_t asked_ns = moved_ns;
    candidate_lead(&mine, client, &config);
    move_clock(asked_ns + 296998 * MS - 1);
    assert_true(sc_is_leader(mine.election));
    move_clock(asked_ns + 296998 * MS);
    assert_false(sc_is_leader(mine.election));
    candidate_close_all(&mine, client);
}

static void a_leader_renews_and_keeps_its_term(void **state)
{
    sc_client *client = open_with_moved_clock();
    sc_election_config config = election_config("alice");
    candidate mine;
    (void)state;
    config.ttl_ms = 300000;
    candidate_lead(&mine, client, &config);
    int64_t term = sc_election_term(mine.election);
    for (int round = 0; round < 7; round++) { /* more than two lives */
        move_clock(moved_ns + 100000 * MS);
        assert_status(SC_OK, sc_poll(client, 0));
        WAIT_UNTIL(sc_poll(client, 1) == SC_OK && !mine.election->lock->is_renewing);
        assert_int_equal(sc_election_term(mine.election), term);
    }
    assert_int_equal(mine.resignations, 0);
    candidate_close_all(&mine, client);
}

/* The server may tell of the deleted key before the process has looked at its clock. */
static void a_lease_that_is_over_is_not_renewed_when_the_key_is_deleted(void **state)
{
    sc_client *client = open_with_moved_clock();
    sc_election_config config = election_config("alice");
    candidate mine;
    sc_message deleted;
    (void)state;
    memset(&deleted, 0, sizeof deleted);
    deleted.payload = sc_text("del");
    candidate_lead(&mine, client, &config);
    sc_lock *lock = mine.election->lock;
    sci_listener *listener = &mine.election->event_listener;
    move_clock(lock->until_ns);
    sci_loop_lock(&client->loop);
    listener->event(listener, SCI_LISTEN_MESSAGE, &deleted);
    assert_false(lock->is_renewing);
    sci_client_unlock(client);
    candidate_close_all(&mine, client);
}

/* --- deleted keys */

static void set_events(const char *flags)
{
    fixture_command(test.server, "CONFIG", "SET", "notify-keyspace-events", flags,
                    (const char *)NULL);
}

static bool events_have(const char *flags)
{
    const char *reply =
        fixture_command(test.server, "CONFIG", "GET", "notify-keyspace-events", (const char *)NULL);
    const char *value = strstr(reply, "events\r\n");
    value = value ? strchr(value + 8, '\n') : NULL;
    for (const char *flag = flags; value && *flag; flag++)
        if (!strchr(value, *flag))
            return false;
    return value != NULL;
}

static void a_deleted_key_is_taken_at_once_where_the_server_tells(void **state)
{
    sc_client *other = stranger();
    candidate mine;
    candidate theirs;
    (void)state;
    set_events("Kg");
    candidate_open_name(&theirs, other, "bob");
    fixture_command(test.server, "SET", "head", "someone", (const char *)NULL);
    candidate_campaign(&theirs);
    WAIT_UNTIL(candidate_waits(&theirs));
    WAIT_UNTIL(leader_is(&theirs, "someone"));
    fixture_command(test.server, "DEL", "head", (const char *)NULL);
    assert_status(SC_OK, sc_election_await(theirs.election, -1));
    candidate_follow(&mine, test.client, "alice");
    fixture_command(test.server, "DEL", "head", (const char *)NULL);
    WAIT_UNTIL(told(&theirs.resignations) == 1); /* so does who led */
    assert_int_equal(theirs.reason, SC_RESIGNED_LOST);
    assert_status(SC_OK, sc_election_resign(theirs.election)); /* it campaigns anew, and may win */
    assert_status(SC_OK, sc_election_await(mine.election, -1));
    assert_true(sc_election_term(mine.election) > candidate_term(&theirs));
    candidate_close(&mine);
    candidate_close(&theirs);
    assert_status(SC_OK, sc_close(other));
    set_events("");
}

static void the_servers_configuration_is_not_looked_at_unless_asked(void **state)
{
    candidate mine;
    (void)state;
    if (fixture_is_embedded())
        return;
    fixture_command(test.server, "CONFIG", "RESETSTAT", (const char *)NULL);
    candidate_open_name(&mine, test.client, "alice");
    candidate_win(&mine);
    WAIT_UNTIL(candidate_listens(&mine));
    candidate_close(&mine);
    const char *stats = fixture_command(test.server, "INFO", "commandstats", (const char *)NULL);
    assert_non_null(strstr(stats, "config|resetstat"));
    assert_null(strstr(stats, "config|get"));
    assert_null(strstr(stats, "config|set"));
}

static void flags_are_added_to_those_that_are_on(void **state)
{
    sc_election_config config = election_config("alice");
    candidate mine;
    (void)state;
    config.configure_notifications = true;
    set_events("Elt");
    candidate_open(&mine, test.client, &config);
    WAIT_UNTIL(events_have("EltKgxe"));
    candidate_close(&mine);
    set_events("AE");
    candidate_open(&mine, test.client, &config);
    WAIT_UNTIL(events_have("AKE"));
    candidate_close(&mine);
    set_events("");
}

/* --- forking, closing */

static int child_is_no_leader(processes *shared, size_t index, void *user)
{
    candidate *mine = (candidate *)user;
    (void)shared;
    (void)index;
    if (sc_is_leader(mine->election) || sc_election_term(mine->election) != 0)
        return 1;
    if (sc_election_await(mine->election, 0) != SC_ERR_ARGUMENT)
        return 2;
    if (sc_election_campaign(mine->election) != SC_OK ||
        sc_election_await(mine->election, 50) != SC_HELD)
        return 3;
    if (sc_is_leader(mine->election))
        return 4;
    if (sc_election_resign(mine->election) != SC_OK)
        return 5;
    sc_election_close(mine->election);
    return 0;
}

static void a_forked_child_is_no_leader_and_the_parent_is(void **state)
{
    candidate mine;
    (void)state;
    sc_client *client = candidate_lead_polled(&mine, "alice");
    processes *shared = processes_start(1, child_is_no_leader, &mine);
    bool is_good = processes_join(shared);
    processes_free(shared);
    assert_true(is_good);
    assert_true(sc_is_leader(mine.election));
    assert_int_equal(fixture_number("EXISTS", "head"), 1);
    candidate_close(&mine);
    assert_int_equal(fixture_number("EXISTS", "head"), 0);
    assert_status(SC_OK, sc_close(client));
}

static void a_client_may_be_closed_before_its_elections(void **state)
{
    sc_client *other = stranger();
    candidate mine;
    candidate theirs;
    (void)state;
    candidate_open_name(&mine, other, "alice");
    candidate_win(&mine);
    candidate_follow(&theirs, other, "bob");
    assert_status(SC_OK, sc_close(other));
    WAIT_UNTIL(fixture_number("EXISTS", "head") == 0);
    assert_int_equal(mine.resignations, 1);
    assert_int_equal(mine.reason, SC_RESIGNED_CLOSED);
    assert_false(sc_is_leader(mine.election));
    assert_status(SC_ERR_CLOSED, sc_election_campaign(mine.election));
    assert_status(SC_ERR_CLOSED, sc_election_await(theirs.election, 0));
    assert_status(SC_ERR_CLOSED, sc_election_resign(theirs.election));
    candidate_close(&theirs);
    candidate_close(&mine);
    assert_int_equal(theirs.elections, 0);
}

/* A callback that does what it may. */
typedef struct busy {
    uint32_t ended; /* atomic */
    bool closes;
} busy;

static void busy_elected(void *user, sc_election *election, int64_t term)
{
    busy *self = (busy *)user;
    (void)term;
    if (sc_election_await(election, 0) != SC_ERR_DEADLOCK)
        return;
    if (self->closes)
        sc_election_close(election);
    else if (sc_election_resign(election) != SC_OK)
        return;
    tell(&self->ended);
}

static void callbacks_may_resign_and_close(void **state)
{
    (void)state;
    for (int closes = 0; closes < 2; closes++) {
        sc_election_config config = election_config("alice");
        sc_election *election = NULL;
        busy self;
        memset(&self, 0, sizeof self);
        self.closes = closes != 0;
        config.on_elected = busy_elected;
        config.user = &self;
        assert_status(SC_OK, sc_election_open(test.client, &config, &election));
        assert_status(SC_OK, sc_election_campaign(election));
        WAIT_UNTIL(told(&self.ended) == 1);
        WAIT_UNTIL(fixture_number("EXISTS", "head") == 0);
        if (!closes)
            sc_election_close(election);
    }
}

static void wrong_options_are_named(void **state)
{
    sc_election *election = NULL;
    sc_election_config config = election_config("alice");
    (void)state;
    assert_status(SC_ERR_ARGUMENT, sc_election_open(test.client, NULL, &election));
    assert_status(SC_ERR_ARGUMENT, sc_election_open(NULL, &config, &election));
    config.key = sc_bytes(NULL, 0);
    assert_status(SC_ERR_ARGUMENT, sc_election_open(test.client, &config, &election));
    assert_error_text_has("sc_election_config.key");
    config = election_config("alice");
    config.ttl_ms = 9;
    assert_status(SC_ERR_ARGUMENT, sc_election_open(test.client, &config, &election));
    assert_error_text_has("ttl_ms");
    config = election_config("alice");
    config.ttl_ms = 1000;
    config.stop_margin_ms = 501;
    assert_status(SC_ERR_ARGUMENT, sc_election_open(test.client, &config, &election));
    assert_error_text_has("stop_margin_ms");
    config = election_config("alice");
    config.poll_ms = -1;
    assert_status(SC_ERR_ARGUMENT, sc_election_open(test.client, &config, &election));
    assert_error_text_has("poll_ms");
    assert_null(election);
    assert_status(SC_ERR_ARGUMENT, sc_election_campaign(NULL));
    assert_status(SC_ERR_ARGUMENT, sc_election_resign(NULL));
    assert_status(SC_ERR_ARGUMENT, sc_election_await(NULL, 0));
    assert_false(sc_is_leader(NULL));
    sc_election_close(NULL);
}

static void a_name_that_is_not_given_is_of_host_and_process(void **state)
{
    sc_election_config config = election_config("");
    candidate mine;
    char suffix[32];
    (void)state;
    candidate_open(&mine, test.client, &config);
    candidate_win(&mine);
    snprintf(suffix, sizeof suffix, ":%ld\r\n", (long)getpid());
    const char *reply = fixture_command(test.server, "GET", "head", (const char *)NULL);
    assert_non_null(strstr(reply, suffix));
    candidate_close(&mine);
}

/* --- memory */

/* Whatever fails once is tried again. */
static void an_allocation_that_fails_ends_no_campaign(void **state)
{
    sc_config options = test_config(test_url());
    size_t failures = 1;
    (void)state;
    options.polled = true;
    for (size_t request = 1; failures > 0; request++) {
        sc_election_config config = election_config("alice");
        candidate mine;
        sc_client *client = test_open(&options);
        memset(&mine, 0, sizeof mine);
        config.on_elected = candidate_elected;
        config.on_leader_changed = candidate_changed;
        config.user = &mine;
        fault_memory_restart_counts(test.memory);
        fault_memory_fail(test.memory, request, false);
        sc_status status = sc_election_open(client, &config, &mine.election);
        if (status == SC_OK) {
            candidate_campaign(&mine);
            assert_status(SC_OK, sc_election_await(mine.election, -1));
            assert_status(SC_OK, sc_election_resign(mine.election));
        } else {
            assert_int_equal(status, SC_ERR_MEMORY);
            assert_null(mine.election);
        }
        failures = fault_memory_failures(test.memory);
        fault_memory_fail(test.memory, 0, false);
        candidate_close(&mine);
        assert_status(SC_OK, sc_close(client));
        assert_int_equal(fixture_number("EXISTS", "head"), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        bare_unit_test(who_cannot_renew_stops_before_the_lease_ends),
        bare_unit_test(a_leader_that_slept_knows_it_at_its_first_look),
        bare_unit_test(a_leader_renews_and_keeps_its_term),
        bare_unit_test(a_lease_that_is_over_is_not_renewed_when_the_key_is_deleted),
        client_unit_test(a_deleted_key_is_taken_at_once_where_the_server_tells),
        client_unit_test(the_servers_configuration_is_not_looked_at_unless_asked),
        client_unit_test(flags_are_added_to_those_that_are_on),
        bare_unit_test(a_forked_child_is_no_leader_and_the_parent_is),
        client_unit_test(a_client_may_be_closed_before_its_elections),
        client_unit_test(callbacks_may_resign_and_close),
        client_unit_test(wrong_options_are_named),
        client_unit_test(a_name_that_is_not_given_is_of_host_and_process),
        bare_unit_test(an_allocation_that_fails_ends_no_campaign),
    };
    return run_on_both_wires("the life of elections", tests);
}
