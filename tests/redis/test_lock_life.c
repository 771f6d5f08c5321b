/* Distributed locks while the server is well: losing, renewing, closing, forking, callbacks. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "lock_test.h"
#include "support/processes.h"

#include <unistd.h>

/* --- losing */

static void a_lock_that_is_anothers_on_the_server_is_not_released_from_it(void **state)
{
    contender mine;
    (void)state;
    contender_open_key(&mine, test.client, "job");
    assert_status(SC_OK, sc_lock_try(mine.lock));
    fixture_command(test.server, "SET", "job", "another's", (const char *)NULL);
    assert_status(SC_LOST, sc_lock_release(mine.lock));
    assert_error_text_has("\"job\"");
    assert_string_equal(fixture_command(test.server, "GET", "job", (const char *)NULL),
                        "$9\r\nanother's\r\n");
    contender_close(&mine);
}

static void an_extension_finds_that_the_lock_is_lost_and_the_callback_comes_once(void **state)
{
    contender mine;
    (void)state;
    contender_open_key(&mine, test.client, "job");
    assert_status(SC_OK, sc_lock_try(mine.lock));
    assert_status(SC_OK, sc_lock_extend(mine.lock, 500000));
    int64_t left_ms = fixture_number("PTTL", "job");
    assert_true(left_ms > 0 && left_ms <= 500000);
    assert_true(sc_lock_remaining_ms(mine.lock) <= 500000 - 5000 - 2);
    fixture_command(test.server, "DEL", "job", (const char *)NULL);
    assert_status(SC_LOST, sc_lock_extend(mine.lock, 0));
    WAIT_UNTIL(contender_losses(&mine) == 1);
    assert_int_equal(sc_lock_remaining_ms(mine.lock), 0);
    assert_int_equal(sc_lock_fencing_token(mine.lock), 0);
    expect_holder("job", NULL); /* extending has not made it anew */
    assert_status(SC_LOST, sc_lock_release(mine.lock));
    assert_status(SC_LOST, sc_lock_extend(mine.lock, 0));
    assert_status(SC_OK, sc_lock_acquire(mine.lock, 0)); /* contend again */
    contender_close(&mine);
    assert_int_equal(contender_losses(&mine), 1);
}

static void without_renewal_a_lease_ends_and_that_is_told_once(void **state)
{
    sc_lock_config config = lock_config("job");
    contender mine;
    (void)state;
    config.ttl_ms = 30;
    config.no_renewal = true;
    contender_open(&mine, test.client, &config);
    assert_status(SC_OK, sc_lock_acquire(mine.lock, -1));
    WAIT_UNTIL(contender_losses(&mine) == 1);
    assert_int_equal(sc_lock_remaining_ms(mine.lock), 0);
    assert_status(SC_LOST, sc_lock_release(mine.lock));
    contender_close(&mine);
    assert_int_equal(contender_losses(&mine), 1);
}

static void the_callback_comes_before_the_lease_can_be_anothers_and_not_sooner(void **state)
{
    sc_client *client = open_with_moved_clock();
    sc_lock_config config = lock_config("job");
    contender mine;
    (void)state;
    config.ttl_ms = 1000000;
    config.no_renewal = true;
    contender_open(&mine, client, &config);
    int64_t asked_ns = moved_ns;
    assert_status(SC_OK, sc_lock_try(mine.lock));
    __atomic_store_n(&moved_ns, asked_ns + 989998 * (int64_t)1000000 - 1, __ATOMIC_RELEASE);
    assert_status(SC_OK, sc_poll(client, 0));
    assert_int_equal(contender_losses(&mine), 0);
    assert_true(sc_lock_fencing_token(mine.lock) > 0);
    __atomic_store_n(&moved_ns, asked_ns + 989998 * (int64_t)1000000, __ATOMIC_RELEASE);
    assert_int_equal(sc_lock_fencing_token(mine.lock), 0); /* known without a poll */
    assert_status(SC_OK, sc_poll(client, 0));
    assert_int_equal(contender_losses(&mine), 1);
    assert_int_equal(contender_losses(&mine), 1);
    contender_close_all(&mine, client);
}

static void a_lock_is_renewed_while_it_is_held(void **state)
{
    contender mine;
    sc_client *client = contender_hold_by_moved_clock(&mine, 300000);
    (void)state;
    int64_t fence = sc_lock_fencing_token(mine.lock);
    for (int round = 0; round < 7; round++) { /* more than two lives */
        moved_ns += 100000 * (int64_t)1000000;
        assert_status(SC_OK, sc_poll(client, 0));
        WAIT_UNTIL(sc_poll(client, 1) == SC_OK && !mine.lock->is_renewing);
        assert_int_equal(sc_lock_remaining_ms(mine.lock), 300000 - 3000 - 2);
    }
    assert_int_equal(sc_lock_fencing_token(mine.lock), fence);
    assert_int_equal(contender_losses(&mine), 0);
    expect_holder("job", &mine);
    contender_close_all(&mine, client);
}

/* An extension that comes while a renewal is under way counts by its own request. */
static void an_extension_during_a_renewal_is_asked_for_after_it(void **state)
{
    contender mine;
    sc_client *client = contender_hold_by_moved_clock(&mine, 300000);
    (void)state;
    assert_status(SC_OK, sc_lock_extend_async(mine.lock, 0, NULL, NULL));
    assert_true(mine.lock->is_renewing);
    sci_wish *first = mine.lock->extender;
    assert_non_null(first);
    assert_status(SC_ERR_ARGUMENT, sc_lock_extend_async(mine.lock, 900000, NULL, NULL));
    assert_error_text_has("another call");
    WAIT_UNTIL(sc_poll(client, 1) == SC_OK && !mine.lock->is_renewing);
    moved_ns += 100000 * (int64_t)1000000;
    assert_status(SC_OK, sc_poll(client, 0)); /* a renewal by itself */
    uint64_t before = commands_of(client);
    if (mine.lock->is_renewing) {
        assert_status(SC_OK, sc_lock_extend_async(mine.lock, 900000, NULL, NULL));
        /* the renewal's answer grants what the renewal asked for */
        WAIT_UNTIL(sc_poll(client, 0) == SC_OK && commands_of(client) == before + 1);
        if (mine.lock->is_renewing)
            assert_int_equal(sc_lock_remaining_ms(mine.lock), 300000 - 3000 - 2);
        WAIT_UNTIL(sc_poll(client, 1) == SC_OK && !mine.lock->is_renewing);
        assert_int_equal(commands_of(client) - before, 1);
    } else {
        assert_status(SC_OK, sc_lock_extend(mine.lock, 900000));
    }
    assert_int_equal(sc_lock_remaining_ms(mine.lock), 900000 - 9000 - 2);
    int64_t left_ms = fixture_number("PTTL", "job");
    assert_true(left_ms > 300000 && left_ms <= 900000);
    contender_close_all(&mine, client);
}

static void a_lease_is_not_renewed_past_its_end(void **state)
{
    contender mine;
    sc_client *client = contender_hold_by_moved_clock(&mine, 1000000);
    (void)state;
    moved_ns += 1000000 * (int64_t)1000000; /* as after a pause of the process */
    for (int turn = 0; turn < 100 && contender_losses(&mine) == 0; turn++)
        assert_status(SC_OK, sc_poll(client, 10));
    assert_int_equal(contender_losses(&mine), 1);
    assert_int_equal(sc_lock_remaining_ms(mine.lock), 0);
    /* what the server still has is given back, not kept */
    WAIT_UNTIL(sc_poll(client, 1) == SC_OK && fixture_number("EXISTS", "job") == 0);
    contender_close(&mine);
    assert_int_equal(contender_losses(&mine), 1);
    assert_status(SC_OK, sc_close(client));
}

static void a_shorter_extension_counts_from_when_it_is_sent(void **state)
{
    contender mine;
    sc_client *client = contender_hold_by_moved_clock(&mine, 1000000);
    (void)state;
    assert_status(SC_OK, sc_lock_extend_async(mine.lock, 10000, NULL, NULL));
    assert_int_equal(sc_lock_remaining_ms(mine.lock), 10000 - 100 - 2); /* no answer needed */
    WAIT_UNTIL(sc_poll(client, 1) == SC_OK && !mine.lock->is_renewing);
    assert_int_equal(sc_lock_remaining_ms(mine.lock), 10000 - 100 - 2);
    contender_close_all(&mine, client);
}

/* --- closing, forking, callbacks */

static void closing_ends_what_waits_and_gives_back_what_is_held(void **state)
{
    contender mine;
    contender theirs;
    (void)state;
    contender_open_key(&mine, test.client, "job");
    contender_open_key(&theirs, test.client, "job");
    assert_status(SC_OK, sc_lock_try(mine.lock));
    contender_start(&theirs, -1);
    WAIT_UNTIL(contender_sleeps(&theirs));
    sc_lock_close(theirs.lock);
    contender_join(&theirs, SC_ERR_CANCELLED);
    WAIT_UNTIL(fixture_number("ZCARD", "sc:queue{job}") == 0);
    contender_close(&mine);
    expect_holder("job", NULL);
}

static void a_client_may_be_closed_before_its_locks(void **state)
{
    sc_client *other = stranger();
    contender mine;
    contender theirs;
    (void)state;
    contender_open_key(&mine, other, "job");
    contender_open_key(&theirs, other, "job");
    assert_status(SC_OK, sc_lock_try(mine.lock));
    contender_start(&theirs, -1);
    WAIT_UNTIL(contender_sleeps(&theirs));
    assert_status(SC_OK, sc_close(other));
    pthread_join(theirs.thread, NULL);
    assert_int_equal(theirs.status, SC_ERR_CLOSED);
    assert_int_equal(sc_lock_remaining_ms(mine.lock), 0);
    assert_status(SC_ERR_CLOSED, sc_lock_try(mine.lock));
    contender_close(&mine);
    contender_close(&theirs);
    assert_int_equal(contender_losses(&mine), 0);
}

static void a_client_that_is_closed_gives_its_locks_back(void **state)
{
    sc_client *other = stranger();
    contender mine[3];
    contender waiting;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        static const char *const keys[3] = {"job 1", "job 2", "job 3"};
        contender_open_key(&mine[i], other, keys[i]);
        assert_status(SC_OK, sc_lock_try(mine[i].lock));
    }
    contender_open_key(&waiting, test.client, "job 2");
    contender_start(&waiting, -1);
    WAIT_UNTIL(contender_sleeps(&waiting));
    assert_status(SC_OK, sc_close(other));
    contender_join(&waiting, SC_OK); /* by the message */
    WAIT_UNTIL(fixture_number("EXISTS", "job 1") == 0 && fixture_number("EXISTS", "job 3") == 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(sc_lock_remaining_ms(mine[i].lock), 0);
        contender_close(&mine[i]);
        assert_int_equal(contender_losses(&mine[i]), 0);
    }
    contender_close(&waiting);
}

static int child_holds_nothing(processes *shared, size_t index, void *user)
{
    contender *mine = (contender *)user;
    (void)shared;
    (void)index;
    if (sc_lock_remaining_ms(mine->lock) != 0 || sc_lock_fencing_token(mine->lock) != 0)
        return 1;
    if (sc_lock_release(mine->lock) != SC_ERR_ARGUMENT)
        return 2;
    if (sc_lock_try(mine->lock) != SC_HELD)
        return 3;
    if (sc_lock_acquire(mine->lock, 10) != SC_HELD)
        return 4;
    sc_lock_close(mine->lock);
    return 0;
}

/* Without threads: the thread sanitizer knows none in a child. */
static void a_forked_child_holds_nothing_and_the_parent_all(void **state)
{
    sc_config config = test_config(test_url());
    contender mine;
    (void)state;
    config.polled = true;
    sc_client *client = test_open(&config);
    contender_open_key(&mine, client, "job");
    assert_status(SC_OK, sc_lock_try(mine.lock));
    processes *shared = processes_start(1, child_holds_nothing, &mine);
    bool is_good = processes_join(shared);
    processes_free(shared);
    assert_true(is_good);
    expect_holder("job", &mine);
    assert_status(SC_OK, sc_lock_extend(mine.lock, 0));
    assert_status(SC_OK, sc_lock_release(mine.lock));
    contender_close_all(&mine, client);
}

typedef struct ending {
    uint32_t calls; /* atomic */
    sc_status status;
    char words[SC_ERROR_TEXT_BYTES];
} ending;

static void ending_take(void *user, sc_lock *lock, sc_status status)
{
    ending *self = (ending *)user;
    (void)lock;
    self->status = status;
    snprintf(self->words, sizeof self->words, "%s", sc_error_text());
    __atomic_add_fetch(&self->calls, 1, __ATOMIC_ACQ_REL);
}

static void ending_expect(ending *self, sc_client *client, sc_status status)
{
    WAIT_UNTIL(__atomic_load_n(&self->calls, __ATOMIC_ACQUIRE) > 0 ||
               (sc_poll(client, 1) == SC_OK && false));
    assert_int_equal(self->calls, 1);
    if (self->status != status)
        fail_msg("%s (%s), not %s", sc_status_name(self->status), self->words,
                 sc_status_name(status));
    memset(self, 0, sizeof *self);
}

static void everything_goes_without_blocking_too(void **state)
{
    sc_config config = test_config(test_url());
    sc_client *client;
    contender mine;
    contender theirs;
    ending end;
    ending waited;
    (void)state;
    memset(&end, 0, sizeof end);
    memset(&waited, 0, sizeof waited);
    config.polled = true;
    client = test_open(&config);
    contender_open_key(&mine, client, "job");
    contender_open_key(&theirs, client, "job");
    assert_status(SC_OK, sc_lock_try_async(mine.lock, ending_take, &end));
    ending_expect(&end, client, SC_OK);
    assert_status(SC_OK, sc_lock_try_async(theirs.lock, ending_take, &end));
    ending_expect(&end, client, SC_HELD);
    assert_status(SC_ERR_DEADLOCK, sc_lock_try_async(mine.lock, ending_take, &end));
    assert_status(SC_OK, sc_lock_extend_async(mine.lock, 0, ending_take, &end));
    ending_expect(&end, client, SC_OK);
    assert_status(SC_OK, sc_lock_acquire_async(theirs.lock, -1, ending_take, &waited));
    WAIT_UNTIL(sc_poll(client, 1) == SC_OK && contender_sleeps(&theirs));
    assert_status(SC_OK, sc_lock_release_async(mine.lock, ending_take, &end));
    ending_expect(&end, client, SC_OK);
    ending_expect(&waited, client, SC_OK);
    assert_status(SC_OK, sc_lock_release_async(theirs.lock, NULL, NULL));
    /* at once again: it comes after the farewell */
    assert_status(SC_OK, sc_lock_acquire_async(theirs.lock, 0, ending_take, &end));
    ending_expect(&end, client, SC_OK);
    expect_holder("job", &theirs);
    assert_status(SC_OK, sc_lock_release_async(theirs.lock, ending_take, &end));
    sc_lock_close(theirs.lock); /* the call goes on without it */
    ending_expect(&end, client, SC_OK);
    contender_close_all(&mine, client);
}

/* The second acquire waits for the question of the first, which nobody wants any more. */
static void what_is_cancelled_twice_while_it_is_asked_for_is_given_back(void **state)
{
    sc_client *client = open_with_moved_clock();
    contender mine;
    ending first;
    ending second;
    (void)state;
    memset(&first, 0, sizeof first);
    memset(&second, 0, sizeof second);
    contender_open_key(&mine, client, "job");
    assert_status(SC_OK, sc_lock_acquire_async(mine.lock, -1, ending_take, &first));
    assert_true(mine.lock->is_asking);
    assert_status(SC_OK, sc_lock_release_async(mine.lock, NULL, NULL));
    assert_status(SC_OK, sc_lock_acquire_async(mine.lock, -1, ending_take, &second));
    assert_status(SC_OK, sc_lock_release_async(mine.lock, NULL, NULL));
    ending_expect(&first, client, SC_ERR_CANCELLED);
    ending_expect(&second, client, SC_ERR_CANCELLED);
    WAIT_UNTIL(sc_poll(client, 1) == SC_OK && !mine.lock->is_asking && !mine.lock->is_leaving);
    assert_false(mine.lock->is_held);
    expect_holder("job", NULL);
    contender_close_all(&mine, client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        client_unit_test(a_lock_that_is_anothers_on_the_server_is_not_released_from_it),
        client_unit_test(an_extension_finds_that_the_lock_is_lost_and_the_callback_comes_once),
        client_unit_test(without_renewal_a_lease_ends_and_that_is_told_once),
        bare_unit_test(the_callback_comes_before_the_lease_can_be_anothers_and_not_sooner),
        bare_unit_test(a_lock_is_renewed_while_it_is_held),
        bare_unit_test(an_extension_during_a_renewal_is_asked_for_after_it),
        bare_unit_test(a_lease_is_not_renewed_past_its_end),
        bare_unit_test(a_shorter_extension_counts_from_when_it_is_sent),
        client_unit_test(closing_ends_what_waits_and_gives_back_what_is_held),
        client_unit_test(a_client_may_be_closed_before_its_locks),
        client_unit_test(a_client_that_is_closed_gives_its_locks_back),
        bare_unit_test(a_forked_child_holds_nothing_and_the_parent_all),
        bare_unit_test(everything_goes_without_blocking_too),
        bare_unit_test(what_is_cancelled_twice_while_it_is_asked_for_is_given_back),
    };
    return run_on_both_wires("the life of locks", tests);
}
