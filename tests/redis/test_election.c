/* Elections while the server is well: leading, following, resigning, observing. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "election_test.h"

/* --- leading */

static void one_leads_and_the_key_says_who(void **state)
{
    candidate mine;
    char expected[64];
    (void)state;
    candidate_open_name(&mine, test.client, "alice");
    assert_false(sc_is_leader(mine.election));
    assert_int_equal(sc_election_term(mine.election), 0);
    candidate_win(&mine);
    assert_true(sc_is_leader(mine.election));
    assert_int_equal(sc_election_term(mine.election), candidate_term(&mine));
    const char *reply = fixture_command(test.server, "GET", "head", (const char *)NULL);
    snprintf(expected, sizeof expected, "$%d\r\n%.32s:alice\r\n", 38, mine.election->lock->token);
    assert_string_equal(reply, expected);
    reply = fixture_command(test.server, "GET", "sc:fence{head}", (const char *)NULL);
    snprintf(expected, sizeof expected, "$16\r\n%lld\r\n", (long long)candidate_term(&mine));
    assert_string_equal(reply, expected);
    assert_int_equal(mine.elections, 1);
    assert_int_equal(mine.resignations, 0);
    assert_status(SC_OK, sc_election_await(mine.election, 0));
    candidate_close(&mine);
    assert_int_equal(fixture_number("EXISTS", "head"), 0);
    assert_int_equal(mine.resignations, 1);
    assert_int_equal(mine.reason, SC_RESIGNED_ASKED);
}

static void who_resigns_is_followed_by_the_message_of_it(void **state)
{
    sc_client *other = stranger();
    candidate mine;
    candidate theirs;
    (void)state;
    candidate_open_name(&mine, test.client, "alice");
    candidate_win(&mine);
    candidate_follow(&theirs, other, "bob");
    assert_status(SC_HELD, sc_election_await(theirs.election, 0));
    assert_error_text_has("\"head\"");
    assert_status(SC_OK, sc_election_resign(mine.election));
    assert_int_equal(mine.resignations, 1);
    assert_int_equal(mine.reason, SC_RESIGNED_ASKED);
    assert_false(sc_is_leader(mine.election));
    assert_status(SC_OK, sc_election_await(theirs.election, -1));
    assert_true(sc_is_leader(theirs.election));
    assert_true(sc_election_term(theirs.election) > candidate_term(&mine));
    assert_status(SC_ERR_ARGUMENT, sc_election_await(mine.election, 0));
    candidate_campaign(&mine); /* and back */
    WAIT_UNTIL(candidate_waits(&mine));
    candidate_close(&theirs);
    assert_status(SC_OK, sc_election_await(mine.election, -1));
    WAIT_UNTIL(told(&mine.elections) == 2);
    candidate_close(&mine);
    assert_status(SC_OK, sc_close(other));
}

static void the_key_is_kept_until_the_resigned_has_stopped(void **state)
{
    sc_client *other = stranger();
    candidate mine;
    candidate theirs;
    (void)state;
    candidate_open_name(&mine, test.client, "alice");
    candidate_win(&mine);
    candidate_follow(&theirs, other, "bob");
    mine.holds_up = 1;
    sci_loop_lock(&test.client->loop);
    sci_election_doubt(mine.election);
    sci_client_unlock(test.client);
    WAIT_UNTIL(told(&mine.resignations) == 1);
    for (int turn = 0; turn < 20; turn++) /* the client's thread is in the callback */
        assert_status(SC_OK, sc_poll(test.client, 1));
    bool leads = sc_is_leader(mine.election);
    int64_t is_kept = fixture_number("EXISTS", "head");
    bool is_followed = sc_is_leader(theirs.election);
    assert_status(SC_OK, sc_election_resign(theirs.election));
    __atomic_store_n(&mine.holds_up, 0, __ATOMIC_RELEASE);
    assert_false(leads);
    assert_int_equal(is_kept, 1);
    assert_false(is_followed);
    assert_status(SC_OK, sc_election_await(mine.election, -1)); /* by itself, anew */
    WAIT_UNTIL(told(&mine.elections) == 2);
    assert_int_equal(mine.reason, SC_RESIGNED_LOST);
    candidate_close(&mine);
    candidate_close_all(&theirs, other);
}

static void observers_learn_who_leads_by_messages(void **state)
{
    sc_client *other = stranger();
    candidate mine;
    candidate theirs;
    (void)state;
    candidate_open_name(&theirs, other, "bob");
    WAIT_UNTIL(candidate_listens(&theirs));
    assert_true(leader_is(&theirs, ""));
    candidate_open_name(&mine, test.client, "alice");
    candidate_win(&mine);
    WAIT_UNTIL(told(&theirs.changes) == 1);
    assert_string_equal(theirs.leader, "alice");
    assert_int_equal(theirs.leader_term, candidate_term(&mine));
    assert_true(leader_is(&theirs, "alice"));
    assert_true(leader_is(&mine, "alice"));
    WAIT_UNTIL(told(&mine.changes) == 1);
    assert_status(SC_OK, sc_election_resign(mine.election));
    WAIT_UNTIL(leader_is(&theirs, ""));
    WAIT_UNTIL(told(&theirs.changes) == 2);
    assert_string_equal(theirs.leader, "");
    candidate_win(&theirs);
    WAIT_UNTIL(leader_is(&mine, "bob"));
    assert_int_equal(theirs.resignations, 0);
    candidate_close(&theirs);
    candidate_close(&mine);
    assert_status(SC_OK, sc_close(other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        client_unit_test(one_leads_and_the_key_says_who),
        client_unit_test(who_resigns_is_followed_by_the_message_of_it),
        client_unit_test(the_key_is_kept_until_the_resigned_has_stopped),
        client_unit_test(observers_learn_who_leads_by_messages),
    };
    return run_on_both_wires("elections", tests);
}
