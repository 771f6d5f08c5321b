/* Quorum locks over three servers: what is promised while they are well, and while some are not. */
#include "quorum_test.h"

#include "support/processes.h"
#include "support/proxy.h"

#include <stdlib.h>
#include <unistd.h>

/* --- while all is well */

static void it_is_held_on_all_servers_and_given_back_on_all(void **state)
{
    sc_quorum_config config = quorum_config();
    char value[64];
    voter mine;
    (void)state;
    voter_open(&mine, false, &config);
    assert_int_equal(sc_quorum_remaining_ms(mine.quorum), 0);
    assert_int_equal(sc_quorum_fencing_token(mine.quorum), 0);
    assert_status(SC_ERR_ARGUMENT, sc_quorum_release(mine.quorum));
    assert_status(SC_OK, sc_quorum_try(mine.quorum));
    assert_true(sc_quorum_remaining_ms(mine.quorum) > 0);
    assert_true(sc_quorum_remaining_ms(mine.quorum) <= FAR_MS - FAR_MS / 100 - 2);
    assert_true(sc_quorum_fencing_token(mine.quorum) > 0);
    assert_status(SC_ERR_DEADLOCK, sc_quorum_try(mine.quorum));
    WAIT_UNTIL(count_held() == SERVERS); /* the third may come later */
    snprintf(value, sizeof value, "%s",
             fixture_command(servers[0], "GET", "job", (const char *)NULL));
    for (size_t i = 1; i < SERVERS; i++)
        assert_string_equal(fixture_command(servers[i], "GET", "job", (const char *)NULL), value);
    assert_status(SC_OK, sc_quorum_extend(mine.quorum, 0));
    assert_status(SC_OK, sc_quorum_release(mine.quorum));
    assert_int_equal(sc_quorum_remaining_ms(mine.quorum), 0);
    WAIT_UNTIL(count_held() == 0);
    voter_close(&mine);
    assert_int_equal(voter_losses(&mine), 0);
}

static void who_waits_gets_it_when_it_is_given_back(void **state)
{
    sc_quorum_config config = quorum_config();
    voter mine;
    voter theirs;
    (void)state;
    voter_open(&mine, false, &config);
    voter_open(&theirs, false, &config);
    assert_status(SC_OK, sc_quorum_try(mine.quorum));
    int64_t first = sc_quorum_fencing_token(mine.quorum);
    assert_status(SC_HELD, sc_quorum_try(theirs.quorum));
    assert_status(SC_HELD, sc_quorum_acquire(theirs.quorum, 20));
    voter_start(&theirs, -1);
    assert_status(SC_OK, sc_quorum_release(mine.quorum));
    voter_join(&theirs, SC_OK);
    assert_true(sc_quorum_fencing_token(theirs.quorum) > first);
    voter_close(&mine);
    voter_close(&theirs);
    WAIT_UNTIL(count_held() == 0);
}

static void it_is_renewed_by_itself(void **state)
{
    sc_quorum_config config = quorum_config();
    voter mine;
    (void)state;
    config.ttl_ms = 1500;
    voter_open(&mine, false, &config);
    do { /* a machine that stands still for so long loses it */
        assert_status(SC_OK, sc_quorum_acquire(mine.quorum, -1));
        int64_t begin_ms = wait_now_ms();
        while (sc_quorum_remaining_ms(mine.quorum) > 0 && wait_now_ms() < begin_ms + 4000)
            wait_a_moment();
    } while (sc_quorum_remaining_ms(mine.quorum) == 0);
    assert_status(SC_OK, sc_quorum_release(mine.quorum));
    voter_close(&mine);
}

static void without_threads_the_calls_drive_all_clients(void **state)
{
    sc_quorum_config config = quorum_config();
    voter mine;
    voter theirs;
    (void)state;
    voter_open(&mine, true, &config);
    voter_open(&theirs, true, &config);
    assert_status(SC_OK, sc_quorum_acquire(mine.quorum, -1));
    assert_status(SC_HELD, sc_quorum_acquire(theirs.quorum, 30));
    assert_status(SC_OK, sc_quorum_extend(mine.quorum, 0));
    assert_status(SC_OK, sc_quorum_release(mine.quorum));
    assert_status(SC_OK, sc_quorum_acquire(theirs.quorum, -1));
    voter_close(&mine);
    voter_close(&theirs);
    WAIT_UNTIL(count_held() == 0);
}

typedef struct ending {
    int calls;
    sc_status status;
    sc_status nested;
} ending;

static void end_taken(void *user, sc_quorum *quorum, sc_status status)
{
    ending *end = (ending *)user;
    end->status = status;
    end->calls++;
    end->nested = sc_quorum_extend(quorum, 0); /* may not block here */
}

static void await_end(voter *self, const ending *end, sc_status expected)
{
    for (size_t i = 0; !end->calls; i = (i + 1) % SERVERS)
        assert_status(SC_OK, sc_poll(self->clients[i], 1));
    assert_int_equal(end->calls, 1);
    assert_int_equal(end->status, expected);
    assert_int_equal(end->nested, SC_ERR_DEADLOCK);
}

static void everything_goes_without_blocking_too(void **state)
{
    sc_quorum_config config = quorum_config();
    ending ends[6];
    voter mine;
    (void)state;
    memset(ends, 0, sizeof ends);
    voter_open(&mine, true, &config);
    assert_status(SC_OK, sc_quorum_try_async(mine.quorum, end_taken, &ends[0]));
    assert_int_equal(ends[0].calls, 0);
    await_end(&mine, &ends[0], SC_OK);
    assert_status(SC_OK, sc_quorum_extend_async(mine.quorum, 0, end_taken, &ends[1]));
    await_end(&mine, &ends[1], SC_OK);
    assert_status(SC_OK, sc_quorum_release_async(mine.quorum, end_taken, &ends[2]));
    await_end(&mine, &ends[2], SC_OK);
    block(0);
    block(1);
    assert_status(SC_OK, sc_quorum_acquire_async(mine.quorum, -1, end_taken, &ends[3]));
    assert_status(SC_ERR_ARGUMENT, sc_quorum_try_async(mine.quorum, end_taken, NULL));
    assert_status(SC_OK, sc_quorum_release_async(mine.quorum, NULL, NULL));
    await_end(&mine, &ends[3], SC_ERR_CANCELLED);
    assert_status(SC_OK, sc_quorum_acquire_async(mine.quorum, -1, end_taken, &ends[4]));
    sc_quorum_close(mine.quorum);
    await_end(&mine, &ends[4], SC_ERR_CANCELLED);
    for (size_t i = 0; i < SERVERS; i++)
        assert_status(SC_OK, sc_close(mine.clients[i]));
}

static void wrong_arguments_are_named(void **state)
{
    sc_quorum_config config = quorum_config();
    sc_quorum *quorum;
    voter mine;
    (void)state;
    voter_open(&mine, true, &config);
    sc_client *twice[2] = {mine.clients[0], mine.clients[0]};
    assert_status(SC_ERR_ARGUMENT, sc_quorum_open(twice, 2, &config, &quorum));
    assert_error_text_has("are one");
    assert_status(SC_ERR_ARGUMENT, sc_quorum_open(mine.clients, 0, &config, &quorum));
    config.ttl_ms = 9;
    assert_status(SC_ERR_ARGUMENT, sc_quorum_open(mine.clients, SERVERS, &config, &quorum));
    assert_error_text_has("ttl_ms");
    config.key = sc_text("");
    assert_status(SC_ERR_ARGUMENT, sc_quorum_open(mine.clients, SERVERS, &config, &quorum));
    assert_error_text_has("key");
    assert_null(quorum);
    assert_status(SC_ERR_ARGUMENT, sc_quorum_try(NULL));
    voter_close(&mine);
}

/* --- fencing tokens */

/* The counters of the servers run apart: that of the third is far ahead. A majority with it, then
   one without it. */
static void a_token_is_above_those_of_other_majorities(void **state)
{
    sc_quorum_config config = quorum_config();
    const int64_t ahead = INT64_C(5000000000000000);
    voter mine;
    (void)state;
    fixture_command(servers[2], "SET", "sc:fence{job}", "5000000000000000", (const char *)NULL);
    voter_open(&mine, false, &config);
    block(0);
    assert_status(SC_OK, sc_quorum_try(mine.quorum)); /* by the second and the third */
    int64_t first = sc_quorum_fencing_token(mine.quorum);
    assert_true(first > ahead);
    assert_status(SC_OK, sc_quorum_release(mine.quorum));
    WAIT_UNTIL(number_at(2, "EXISTS", "job") == 0);
    unblock(0);
    block(2);
    assert_status(SC_OK, sc_quorum_try(mine.quorum)); /* by the first and the second */
    int64_t second = sc_quorum_fencing_token(mine.quorum);
    assert_true(second > first);
    assert_status(SC_OK, sc_quorum_release(mine.quorum));
    WAIT_UNTIL(number_at(1, "EXISTS", "job") == 0);
    unblock(2);
    block(1);
    assert_status(SC_OK, sc_quorum_try(mine.quorum)); /* by the first and the third */
    assert_true(sc_quorum_fencing_token(mine.quorum) > second);
    voter_close(&mine);
}

/* --- servers that are down, slow, or new */

static void a_minority_that_is_down_is_not_missed(void **state)
{
    sc_quorum_config config = quorum_config();
    voter mine;
    (void)state;
    fixture_stop(servers[1]);
    voter_open(&mine, false, &config);
    assert_status(SC_OK, sc_quorum_try(mine.quorum));
    assert_status(SC_OK, sc_quorum_extend(mine.quorum, 0));
    assert_status(SC_OK, sc_quorum_release(mine.quorum));
    voter_close(&mine);
    assert_true(fixture_restart(servers[1]));
    WAIT_UNTIL(count_held() == 0);
}

static void a_majority_that_is_down_is_named(void **state)
{
    sc_quorum_config config = quorum_config();
    voter mine;
    (void)state;
    fixture_stop(servers[1]);
    fixture_stop(servers[2]);
    voter_open(&mine, false, &config);
    assert_true(sc_quorum_acquire(mine.quorum, 30) < 0);
    assert_error_text_has("1 of 3 servers answered, 2 are needed");
    assert_int_equal(sc_quorum_remaining_ms(mine.quorum), 0);
    WAIT_UNTIL(number_at(0, "EXISTS", "job") == 0);
    assert_true(fixture_restart(servers[1]));
    assert_status(SC_OK, sc_quorum_acquire(mine.quorum, -1));
    voter_close(&mine);
    assert_true(fixture_restart(servers[2]));
    WAIT_UNTIL(count_held() == 0);
}

/* And where it took the lock after all, that is given back when it goes on. */
static void a_server_that_stands_still_is_waited_for_no_longer_than_said(void **state)
{
    sc_quorum_config config = quorum_config();
    voter mine;
    (void)state;
    config.server_ms = 100;
    config.ttl_ms = 20000; /* the farewell is said again after a tenth */
    voter_open(&mine, false, &config);
    do { /* a busy machine may be slower than that itself */
        (void)sc_quorum_release(mine.quorum);
    } while (sc_quorum_acquire(mine.quorum, -1) != SC_OK);
    assert_status(SC_OK, sc_quorum_release(mine.quorum));
    WAIT_UNTIL(count_held() == 0);
    fixture_pause(servers[1]);
    assert_status(SC_OK, sc_quorum_acquire(mine.quorum, -1));
    (void)sc_quorum_release(mine.quorum);
    fixture_continue(servers[1]);
    WAIT_UNTIL(count_held() == 0);
    voter_close(&mine);
}

static void what_was_got_in_vain_is_given_back(void **state)
{
    sc_quorum_config config = quorum_config();
    voter mine;
    (void)state;
    voter_open(&mine, false, &config);
    block(0);
    block(1);
    do { /* two that refuse may be quicker than the third is asked */
        assert_status(SC_HELD, sc_quorum_try(mine.quorum));
    } while (number_at(2, "EXISTS", "sc:fence{job}") == 0);
    WAIT_UNTIL(number_at(2, "EXISTS", "job") == 0);
    unblock(0);
    unblock(1);
    voter_close(&mine);
}

/* Two servers take the lock, and nobody hears of it. */
static void what_was_taken_unheard_is_given_back(void **state)
{
    sc_quorum_config config = quorum_config();
    const char *urls[SERVERS] = {fixture_url(servers[0], test.kind)};
    proxy *relays[SERVERS] = {NULL};
    voter mine;
    (void)state;
    config.server_ms = 300;
    config.ttl_ms = 100000; /* again at a tenth */
    for (size_t i = 1; i < SERVERS; i++) {
        relays[i] = proxy_start(test.kind, fixture_endpoint(servers[i], test.kind));
        urls[i] = proxy_url(relays[i]);
        fixture_command(servers[i], "FLUSHALL", (const char *)NULL);
    }
    voter_open_at(&mine, urls, false, &config);
    do {
        (void)sc_quorum_release(mine.quorum);
    } while (sc_quorum_acquire(mine.quorum, -1) != SC_OK); /* scripts are known */
    (void)sc_quorum_release(mine.quorum);
    WAIT_UNTIL(count_held() == 0);
    for (size_t i = 1; i < SERVERS; i++)
        proxy_black_hole(relays[i], PROXY_TO_CLIENT);
    assert_true(sc_quorum_try(mine.quorum) < 0);
    for (size_t i = 1; i < SERVERS; i++)
        proxy_black_hole(relays[i], 0);
    WAIT_UNTIL(count_held() == 0);
    voter_close(&mine);
    for (size_t i = 1; i < SERVERS; i++)
        proxy_stop(relays[i]);
}

static void a_server_that_was_started_not_long_ago_is_not_asked(void **state)
{
    sc_quorum_config config = quorum_config();
    voter mine;
    (void)state;
    config.restart_ms = FAR_MS;
    voter_open(&mine, false, &config);
    assert_true(sc_quorum_try(mine.quorum) < 0);
    assert_error_text_has("0 of 3 servers answered");
    assert_error_text_has("restart_ms");
    voter_close(&mine);
    assert_int_equal(number_at(0, "EXISTS", "sc:fence{job}"), 0);
    config.restart_ms = 2000;
    voter_open(&mine, false, &config);
    assert_status(SC_OK, sc_quorum_acquire(mine.quorum, -1));
    voter_close(&mine);
}

/* --- several */

static uint32_t inside; /* atomic */
static uint32_t overlaps;
static int64_t last_fence;
static uint32_t disorders;

static void *take_turns(void *argument)
{
    voter *self = (voter *)argument;
    for (int i = 0; i < 8; i++) {
        self->status = sc_quorum_acquire(self->quorum, -1);
        if (self->status != SC_OK)
            return NULL;
        if (__atomic_add_fetch(&inside, 1, __ATOMIC_ACQ_REL) != 1)
            __atomic_add_fetch(&overlaps, 1, __ATOMIC_ACQ_REL);
        int64_t fence = sc_quorum_fencing_token(self->quorum);
        if (__atomic_exchange_n(&last_fence, fence, __ATOMIC_ACQ_REL) >= fence)
            __atomic_add_fetch(&disorders, 1, __ATOMIC_ACQ_REL);
        __atomic_sub_fetch(&inside, 1, __ATOMIC_ACQ_REL);
        self->status = sc_quorum_release(self->quorum);
    }
    return NULL;
}

/* All ask at once: votes are split, and pauses at random bring an end of it. */
static void split_votes_end_with_one_winner(void **state)
{
    sc_quorum_config config = quorum_config();
    voter voters[4];
    (void)state;
    inside = overlaps = disorders = 0;
    last_fence = 0;
    for (size_t i = 0; i < COUNT_OF(voters); i++)
        voter_open(&voters[i], false, &config);
    for (size_t i = 0; i < COUNT_OF(voters); i++)
        assert_int_equal(pthread_create(&voters[i].thread, NULL, take_turns, &voters[i]), 0);
    for (size_t i = 0; i < COUNT_OF(voters); i++)
        voter_join(&voters[i], SC_OK);
    assert_int_equal(overlaps, 0);
    assert_int_equal(disorders, 0);
    for (size_t i = 0; i < COUNT_OF(voters); i++)
        voter_close(&voters[i]);
    WAIT_UNTIL(count_held() == 0);
}

static void closing_ends_an_acquire_on_another_thread(void **state)
{
    sc_quorum_config config = quorum_config();
    voter mine;
    (void)state;
    voter_open(&mine, false, &config);
    block(0);
    block(1);
    voter_start(&mine, -1);
    WAIT_UNTIL(number_at(2, "EXISTS", "sc:fence{job}") == 1);
    assert_status(SC_OK, sc_quorum_release(mine.quorum));
    voter_join(&mine, SC_ERR_CANCELLED);
    voter_close(&mine);
    WAIT_UNTIL(number_at(2, "EXISTS", "job") == 0);
}

/* --- losing */

static void a_lock_lost_on_a_majority_is_told_once(void **state)
{
    sc_quorum_config config = quorum_config();
    voter mine;
    (void)state;
    voter_open(&mine, false, &config);
    assert_status(SC_OK, sc_quorum_try(mine.quorum));
    WAIT_UNTIL(count_held() == SERVERS);
    unblock(0);
    assert_status(SC_OK, sc_quorum_extend(mine.quorum, 0)); /* two have it */
    block(1);
    assert_status(SC_LOST, sc_quorum_extend(mine.quorum, 0));
    WAIT_UNTIL(voter_losses(&mine) == 1);
    assert_int_equal(sc_quorum_fencing_token(mine.quorum), 0);
    assert_status(SC_LOST, sc_quorum_release(mine.quorum));
    WAIT_UNTIL(number_at(2, "EXISTS", "job") == 0);
    assert_int_equal(number_at(1, "EXISTS", "job"), 1); /* another's */
    unblock(1);
    assert_status(SC_OK, sc_quorum_acquire(mine.quorum, -1));
    voter_close(&mine);
    assert_int_equal(voter_losses(&mine), 1);
}

static void a_majority_that_goes_costs_the_lock_before_its_leases_end(void **state)
{
    sc_quorum_config config = quorum_config();
    voter mine;
    (void)state;
    config.ttl_ms = 1000;
    config.server_ms = 200;
    voter_open(&mine, false, &config);
    assert_status(SC_OK, sc_quorum_acquire(mine.quorum, -1));
    fixture_pause(servers[1]);
    fixture_pause(servers[2]);
    WAIT_UNTIL(voter_losses(&mine) > 0);
    assert_int_equal(sc_quorum_remaining_ms(mine.quorum), 0);
    fixture_continue(servers[1]);
    fixture_continue(servers[2]);
    voter_close(&mine);
    assert_int_equal(voter_losses(&mine), 1);
}

static int hold_for_ever(processes *shared, size_t index, void *user)
{
    (void)index;
    if (sc_quorum_acquire((sc_quorum *)user, -1) != SC_OK)
        return 1;
    processes_set(shared, 0, sc_quorum_fencing_token((sc_quorum *)user));
    for (;;)
        pause();
}

/* By a child, whose clients are its own. */
static void the_lock_of_a_killed_holder_is_free_when_its_leases_end(void **state)
{
    sc_quorum_config config = quorum_config();
    voter mine;
    (void)state;
    config.ttl_ms = 3000;
    config.no_renewal = true;
    voter_open(&mine, true, &config);
    processes *shared = processes_start(1, hold_for_ever, mine.quorum);
    assert_true(processes_wait_for(shared, 0, 1));
    processes_kill(shared, 0);
    int64_t fence = processes_read(shared, 0);
    assert_true(processes_join(shared));
    processes_free(shared);
    assert_int_equal(sc_quorum_remaining_ms(mine.quorum), 0);
    assert_status(SC_OK, sc_quorum_acquire(mine.quorum, -1));
    assert_true(sc_quorum_fencing_token(mine.quorum) > fence);
    voter_close(&mine);
}

static int child_holds_nothing(processes *shared, size_t index, void *user)
{
    sc_quorum *quorum = (sc_quorum *)user;
    (void)shared;
    (void)index;
    if (sc_quorum_remaining_ms(quorum) != 0 || sc_quorum_fencing_token(quorum) != 0)
        return 1;
    return sc_quorum_try(quorum) == SC_HELD ? 0 : 2;
}

static void a_forked_child_holds_nothing_and_the_parent_all(void **state)
{
    sc_quorum_config config = quorum_config();
    voter mine;
    (void)state;
    voter_open(&mine, true, &config);
    assert_status(SC_OK, sc_quorum_try(mine.quorum));
    processes *shared = processes_start(1, child_holds_nothing, mine.quorum);
    bool is_good = processes_join(shared);
    processes_free(shared);
    assert_true(is_good);
    assert_true(sc_quorum_remaining_ms(mine.quorum) > 0);
    assert_status(SC_OK, sc_quorum_extend(mine.quorum, 0));
    assert_status(SC_OK, sc_quorum_release(mine.quorum));
    voter_close(&mine);
}

/* --- without memory */

/* Each allocation in turn: the call says so or gets by, and afterwards all works. */
static void nothing_breaks_without_memory(void **state)
{
    sc_quorum_config config = quorum_config();
    size_t request = 0;
    size_t failures = 1;
    (void)state;
    while (failures > 0) {
        voter mine;
        sc_quorum *other = NULL;
        voter_open(&mine, true, &config);
        fault_memory_restart_counts(test.memory);
        fault_memory_fail(test.memory, ++request, false);
        sc_status opened = sc_quorum_open(mine.clients, SERVERS, &config, &other);
        assert_true(opened == SC_OK || opened == SC_ERR_MEMORY);
        ending end;
        memset(&end, 0, sizeof end);
        sc_status status = sc_quorum_try_async(mine.quorum, end_taken, &end);
        while (status == SC_OK && !end.calls)
            for (size_t i = 0; i < SERVERS; i++)
                (void)sc_poll(mine.clients[i], 1);
        if (end.calls && end.status == SC_OK)
            (void)sc_quorum_extend(mine.quorum, 0);
        failures = fault_memory_failures(test.memory);
        fault_memory_fail(test.memory, 0, false);
        (void)sc_quorum_release(mine.quorum);
        assert_status(SC_OK, sc_quorum_acquire(mine.quorum, -1));
        sc_quorum_close(other);
        voter_close(&mine);
        WAIT_UNTIL(count_held() == 0);
    }
    assert_true(request > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        quorum_unit_test(it_is_held_on_all_servers_and_given_back_on_all),
        quorum_unit_test(who_waits_gets_it_when_it_is_given_back),
        quorum_unit_test(it_is_renewed_by_itself),
        quorum_unit_test(without_threads_the_calls_drive_all_clients),
        quorum_unit_test(everything_goes_without_blocking_too),
        quorum_unit_test(wrong_arguments_are_named),
        quorum_unit_test(a_token_is_above_those_of_other_majorities),
        quorum_unit_test(a_minority_that_is_down_is_not_missed),
        quorum_unit_test(a_majority_that_is_down_is_named),
        quorum_unit_test(a_server_that_stands_still_is_waited_for_no_longer_than_said),
        quorum_unit_test(what_was_got_in_vain_is_given_back),
        quorum_unit_test(what_was_taken_unheard_is_given_back),
        quorum_unit_test(a_server_that_was_started_not_long_ago_is_not_asked),
        quorum_unit_test(split_votes_end_with_one_winner),
        quorum_unit_test(closing_ends_an_acquire_on_another_thread),
        quorum_unit_test(a_lock_lost_on_a_majority_is_told_once),
        quorum_unit_test(a_majority_that_goes_costs_the_lock_before_its_leases_end),
        quorum_unit_test(the_lock_of_a_killed_holder_is_free_when_its_leases_end),
        quorum_unit_test(a_forked_child_holds_nothing_and_the_parent_all),
        quorum_unit_test(nothing_breaks_without_memory),
    };
    return run_quorum_tests("quorum locks", tests);
}
