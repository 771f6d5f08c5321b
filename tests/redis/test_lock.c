/* Distributed locks while the server is well: exclusion, fencing tokens, waiting, waking, order. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "lock_test.h"

#define WAITERS 8

static void status_take(void *user, sc_lock *lock, sc_status status)
{
    (void)lock;
    *(sc_status *)user = status;
}

/* --- holding */

static void one_holds_and_another_is_told_so(void **state)
{
    sc_client *other = stranger();
    contender mine;
    contender theirs;
    (void)state;
    contender_open_key(&mine, test.client, "job");
    contender_open_key(&theirs, other, "job");
    assert_status(SC_OK, sc_lock_try(mine.lock));
    expect_holder("job", &mine);
    assert_status(SC_HELD, sc_lock_try(theirs.lock));
    assert_error_text_has("\"job\"");
    assert_int_equal(sc_lock_remaining_ms(theirs.lock), 0);
    assert_int_equal(sc_lock_fencing_token(theirs.lock), 0);
    assert_status(SC_OK, sc_lock_release(mine.lock));
    assert_int_equal(sc_lock_remaining_ms(mine.lock), 0);
    expect_holder("job", NULL);
    assert_status(SC_OK, sc_lock_try(theirs.lock));
    expect_holder("job", &theirs);
    contender_close(&theirs);
    expect_holder("job", NULL);
    contender_close(&mine);
    assert_status(SC_OK, sc_close(other));
}

static void a_lock_that_nobody_wants_is_two_commands_and_leaves_its_counter(void **state)
{
    contender mine;
    uint64_t before;
    (void)state;
    contender_open_key(&mine, test.client, "job");
    assert_status(SC_OK, sc_lock_acquire(mine.lock, 0));
    assert_status(SC_OK, sc_lock_release(mine.lock)); /* scripts are known from here on */
    before = commands_of(test.client);
    assert_status(SC_OK, sc_lock_acquire(mine.lock, 0));
    assert_status(SC_OK, sc_lock_release(mine.lock));
    assert_int_equal(commands_of(test.client) - before, 2);
    assert_int_equal(fixture_number("EXISTS", "sc:fence{job}"), 1);
    const char *const dbsize[2] = {"DBSIZE", NULL};
    assert_int_equal(fixture_integer(test.server, dbsize), 1);
    contender_close(&mine);
}

static void the_lease_has_the_time_asked_for_less_the_drift(void **state)
{
    sc_lock_config config = lock_config("job");
    contender mine;
    (void)state;
    config.ttl_ms = 1000000;
    contender_open(&mine, test.client, &config);
    int64_t before_ns = wait_now_ns();
    assert_status(SC_OK, sc_lock_try(mine.lock));
    int64_t left_ms = fixture_number("PTTL", "job");
    assert_true(left_ms > 0 && left_ms <= 1000000);
    assert_true(sc_lock_remaining_ms(mine.lock) <= 1000000 - 10000 - 2);
    assert_true(mine.lock->until_ns - before_ns >=
                989998 * (int64_t)1000000); /* from the request */
    assert_true(mine.lock->asked_ns + 989998 * (int64_t)1000000 == mine.lock->until_ns);
    contender_close(&mine);
}

static void keys_of_any_form_share_their_slot_with_what_belongs_to_them(void **state)
{
    static const char *const keys[] = {"a", "{tag}b", "a}b", "{}", "{", "a{b}c", "x y\r\n\"z"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        contender mine;
        contender_open_key(&mine, test.client, keys[i]);
        for (size_t k = 0; k < 4; k++)
            assert_int_equal(sci_hash_slot(mine.lock->names.keys[k]),
                             sci_hash_slot(sc_text(keys[i])));
        assert_status(SC_OK, sc_lock_try(mine.lock));
        expect_holder(keys[i], &mine);
        contender_close(&mine);
        expect_holder(keys[i], NULL);
    }
}

static void a_key_of_another_type_is_an_error(void **state)
{
    contender mine;
    (void)state;
    fixture_command(test.server, "RPUSH", "job", "element", (const char *)NULL);
    contender_open_key(&mine, test.client, "job");
    assert_status(SC_ERR_REPLY, sc_lock_try(mine.lock));
    assert_error_text_has("WRONGTYPE");
    contender_close(&mine);
    assert_int_equal(fixture_number("LLEN", "job"), 1);
}

static void a_handle_holds_once_unless_it_is_reentrant(void **state)
{
    sc_lock_config config = lock_config("job");
    contender mine;
    (void)state;
    contender_open(&mine, test.client, &config);
    assert_status(SC_OK, sc_lock_try(mine.lock));
    assert_status(SC_ERR_DEADLOCK, sc_lock_acquire(mine.lock, 0));
    assert_error_text_has("reentrant");
    contender_close(&mine);
    config.reentrant = true;
    contender_open(&mine, test.client, &config);
    assert_status(SC_OK, sc_lock_try(mine.lock));
    int64_t fence = sc_lock_fencing_token(mine.lock);
    assert_status(SC_OK, sc_lock_acquire(mine.lock, 0));
    assert_int_equal(sc_lock_fencing_token(mine.lock), fence);
    assert_status(SC_OK, sc_lock_release(mine.lock));
    expect_holder("job", &mine);
    assert_status(SC_OK, sc_lock_release(mine.lock));
    expect_holder("job", NULL);
    contender_close(&mine);
}

static void what_is_not_held_cannot_be_released_nor_extended(void **state)
{
    contender mine;
    (void)state;
    contender_open_key(&mine, test.client, "job");
    assert_status(SC_ERR_ARGUMENT, sc_lock_release(mine.lock));
    assert_error_text_has("\"job\" is not held");
    assert_status(SC_ERR_ARGUMENT, sc_lock_extend(mine.lock, 0));
    contender_close(&mine);
    sc_lock_close(NULL);
}

static void wrong_options_are_named(void **state)
{
    sc_lock_config config;
    sc_lock *lock = NULL;
    (void)state;
    assert_status(SC_ERR_ARGUMENT, sc_lock_open(test.client, NULL, &lock));
    config = lock_config("");
    assert_status(SC_ERR_ARGUMENT, sc_lock_open(test.client, &config, &lock));
    assert_error_text_has("sc_lock_config.key");
    assert_status(SC_ERR_ARGUMENT, sc_lock_open(NULL, &config, &lock));
    config = lock_config("job");
    config.ttl_ms = 9;
    assert_status(SC_ERR_ARGUMENT, sc_lock_open(test.client, &config, &lock));
    assert_error_text_has("ttl_ms");
    config = lock_config("job");
    config.wait_ms = -2;
    assert_status(SC_ERR_ARGUMENT, sc_lock_open(test.client, &config, &lock));
    assert_error_text_has("wait_ms");
    config = lock_config("job");
    config.poll_ms = -1;
    assert_status(SC_ERR_ARGUMENT, sc_lock_open(test.client, &config, &lock));
    assert_error_text_has("poll_ms");
    assert_null(lock);
    assert_status(SC_ERR_ARGUMENT, sc_lock_try(NULL));
    assert_int_equal(sc_lock_remaining_ms(NULL), 0);
}

/* --- waiting */

static void a_waiter_gets_the_lock_by_the_message_of_its_release(void **state)
{
    sc_client *other = stranger();
    contender mine;
    contender theirs;
    (void)state;
    contender_open_key(&mine, test.client, "job");
    contender_open_key(&theirs, other, "job");
    assert_status(SC_OK, sc_lock_try(mine.lock));
    contender_start(&theirs, -1);
    WAIT_UNTIL(contender_sleeps(&theirs));
    assert_status(SC_OK, sc_lock_release(mine.lock));
    contender_join(&theirs, SC_OK);
    expect_holder("job", &theirs);
    contender_close(&theirs);
    contender_close(&mine);
    assert_status(SC_OK, sc_close(other));
}

static void a_wait_ends_with_its_time(void **state)
{
    contender mine;
    contender theirs;
    (void)state;
    contender_open_key(&mine, test.client, "job");
    contender_open_key(&theirs, test.client, "job");
    assert_status(SC_OK, sc_lock_try(mine.lock));
    int64_t before_ms = wait_now_ms();
    assert_status(SC_HELD, sc_lock_acquire(theirs.lock, 20));
    assert_true(wait_now_ms() - before_ms >= 20);
    assert_error_text_has("(wait_ms)");
    WAIT_UNTIL(fixture_number("ZCARD", "sc:queue{job}") == 0);
    WAIT_UNTIL(fixture_number("HLEN", "sc:alive{job}") == 0);
    contender_close(&theirs);
    contender_close(&mine);
}

/* Nobody tells; but the last look is at the deadline. */
static void a_lock_that_became_free_unheard_is_found_at_the_end_of_the_wait(void **state)
{
    contender theirs;
    (void)state;
    fixture_command(test.server, "SET", "job", "someone's", (const char *)NULL);
    contender_open_key(&theirs, test.client, "job");
    contender_start(&theirs, 1000);
    WAIT_UNTIL(contender_sleeps(&theirs) || contender_is_done(&theirs));
    fixture_command(test.server, "DEL", "job", (const char *)NULL);
    contender_join(&theirs, SC_OK);
    contender_close(&theirs);
}

static void who_holds_without_an_end_is_looked_at_each_poll_bound(void **state)
{
    sc_lock_config config = lock_config("job");
    contender theirs;
    (void)state;
    fixture_command(test.server, "SET", "job", "someone's", (const char *)NULL);
    config.poll_ms = 5;
    contender_open(&theirs, test.client, &config);
    contender_start(&theirs, -1);
    WAIT_UNTIL(contender_sleeps(&theirs));
    fixture_command(test.server, "DEL", "job", (const char *)NULL);
    contender_join(&theirs, SC_OK);
    contender_close(&theirs);
}

static void a_lease_that_ends_unheard_is_taken_over_at_its_end(void **state)
{
    contender theirs;
    (void)state;
    fixture_command(test.server, "SET", "job", "someone's", "PX", "100", (const char *)NULL);
    contender_open_key(&theirs, test.client, "job");
    assert_status(SC_OK, sc_lock_acquire(theirs.lock, -1));
    contender_close(&theirs);
}

static void a_release_wakes_one_and_the_others_sleep_on(void **state)
{
    sc_client *other = stranger();
    contender mine;
    contender theirs[WAITERS];
    size_t done = 0;
    (void)state;
    contender_open_key(&mine, test.client, "job");
    assert_status(SC_OK, sc_lock_try(mine.lock));
    for (size_t i = 0; i < WAITERS; i++) {
        contender_open_key(&theirs[i], other, "job");
        contender_start(&theirs[i], -1);
        WAIT_UNTIL(contender_sleeps(&theirs[i]));
    }
    uint64_t before = commands_of(other);
    assert_status(SC_OK, sc_lock_release(mine.lock));
    for (size_t round = 1; round <= WAITERS; round++) {
        contender *holder = NULL;
        WAIT_UNTIL(({
            for (size_t i = 0; i < WAITERS; i++)
                if (contender_is_done(&theirs[i]) && theirs[i].lock)
                    holder = &theirs[i];
            holder != NULL;
        }));
        /* each round: one question, and the farewell of the one before */
        assert_int_equal(commands_of(other) - before, 2 * round - 1);
        contender_join(holder, SC_OK);
        expect_holder("job", holder);
        done++;
        contender_close(holder);
    }
    assert_int_equal(done, WAITERS);
    contender_close(&mine);
    assert_status(SC_OK, sc_close(other));
}

static void who_gives_up_when_it_was_woken_wakes_the_next(void **state)
{
    sc_client *other = stranger();
    contender theirs[2];
    (void)state;
    fixture_command(test.server, "SET", "job", "someone's", (const char *)NULL);
    for (size_t i = 0; i < 2; i++) {
        contender_open_key(&theirs[i], other, "job");
        contender_start(&theirs[i], -1);
        WAIT_UNTIL(contender_sleeps(&theirs[i]));
    }
    /* free, but nobody has heard of it: it looks as for one who was woken and did not come */
    fixture_command(test.server, "DEL", "job", (const char *)NULL);
    assert_status(SC_OK, sc_lock_release(theirs[0].lock));
    contender_join(&theirs[0], SC_ERR_CANCELLED);
    contender_join(&theirs[1], SC_OK);
    contender_close(&theirs[0]);
    contender_close(&theirs[1]);
    assert_status(SC_OK, sc_close(other));
}

static void the_fair_get_it_in_the_order_of_their_coming(void **state)
{
    sc_lock_config config = lock_config("job");
    sc_client *other = stranger();
    contender mine;
    contender theirs[WAITERS];
    contender late;
    (void)state;
    config.fair = true;
    contender_open(&mine, test.client, &config);
    contender_open(&late, test.client, &config);
    assert_status(SC_OK, sc_lock_try(mine.lock));
    for (size_t i = 0; i < WAITERS; i++) {
        contender_open(&theirs[i], i % 2 ? other : test.client, &config);
        contender_start(&theirs[i], -1);
        WAIT_UNTIL(contender_sleeps(&theirs[i]));
    }
    contender_close(&mine);
    for (size_t i = 0; i < WAITERS; i++) {
        contender_join(&theirs[i], SC_OK);
        assert_status(SC_HELD, sc_lock_try(late.lock));
        contender_close(&theirs[i]);
    }
    assert_status(SC_OK, sc_lock_try(late.lock));
    contender_close(&late);
    assert_status(SC_OK, sc_close(other));
}

static void who_comes_later_does_not_pass_the_fair_when_the_lock_is_free(void **state)
{
    sc_lock_config config = lock_config("job");
    contender first;
    contender late;
    (void)state;
    config.fair = true;
    fixture_command(test.server, "SET", "job", "someone's", (const char *)NULL);
    contender_open(&first, test.client, &config);
    contender_open(&late, test.client, &config);
    contender_start(&first, -1);
    WAIT_UNTIL(contender_sleeps(&first));
    fixture_command(test.server, "DEL", "job", (const char *)NULL); /* the first does not know */
    assert_status(SC_HELD, sc_lock_try(late.lock));
    assert_status(SC_OK, sc_lock_release(first.lock)); /* it gives up */
    contender_join(&first, SC_ERR_CANCELLED);
    WAIT_UNTIL(fixture_number("ZCARD", "sc:queue{job}") == 0);
    assert_status(SC_OK, sc_lock_try(late.lock));
    contender_close(&late);
    contender_close(&first);
}

static void a_place_of_one_who_is_gone_does_not_stand_for_long(void **state)
{
    sc_lock_config config = lock_config("job");
    contender late;
    (void)state;
    config.fair = true;
    config.poll_ms = 5;
    fixture_command(test.server, "ZADD", "sc:queue{job}", "1", "dead", (const char *)NULL);
    fixture_command(test.server, "ZADD", "sc:queue{job}", "2", "dead too", (const char *)NULL);
    fixture_command(test.server, "HSET", "sc:alive{job}", "dead", "1000", (const char *)NULL);
    contender_open(&late, test.client, &config);
    assert_status(SC_OK, sc_lock_try(late.lock));
    assert_int_equal(fixture_number("ZCARD", "sc:queue{job}"), 0);
    contender_close(&late);
}

static void who_was_woken_and_has_gone_is_passed_over_at_once(void **state)
{
    contender mine;
    contender theirs;
    (void)state;
    contender_open_key(&mine, test.client, "job");
    contender_open_key(&theirs, test.client, "job");
    assert_status(SC_OK, sc_lock_try(mine.lock));
    fixture_command(test.server, "ZADD", "sc:queue{job}", "1", "nobody listens",
                    (const char *)NULL);
    contender_start(&theirs, -1);
    WAIT_UNTIL(contender_sleeps(&theirs));
    assert_status(SC_OK, sc_lock_release(mine.lock));
    contender_join(&theirs, SC_OK);
    contender_close(&theirs);
    contender_close(&mine);
}

/* The message overtakes the answer that says that the lock is held. */
static void a_message_that_comes_while_asking_is_not_forgotten(void **state)
{
    sc_client *client = open_with_moved_clock();
    contender theirs;
    char before[64];
    sc_status ended = SC_PENDING;
    (void)state;
    fixture_command(test.server, "SET", "job", "someone's", (const char *)NULL);
    contender_open_key(&theirs, client, "job");
    assert_status(SC_OK, sc_lock_acquire_async(theirs.lock, -1, status_take, &ended));
    WAIT_UNTIL(sc_poll(client, 1) == SC_OK && contender_sleeps(&theirs));
    const char *id = theirs.lock->names.id.data;
    char who[SCI_TOKEN_LEN + 1];
    snprintf(who, sizeof who, "%.*s", SCI_TOKEN_LEN, id);
    snprintf(before, sizeof before, "%s",
             fixture_command(test.server, "HGET", "sc:alive{job}", who, (const char *)NULL));
    wait_a_moment();
    sci_loop_lock(&client->loop);
    sci_lock_fire_wait(&theirs.lock->wait_timer);
    sci_client_unlock(client);
    /* the server has answered, and nobody has read it */
    WAIT_UNTIL(strcmp(before, fixture_command(test.server, "HGET", "sc:alive{job}", who,
                                              (const char *)NULL)) != 0);
    fixture_command(test.server, "DEL", "job", (const char *)NULL);
    sci_loop_lock(&client->loop);
    assert_int_equal(theirs.lock->phase, SCI_LOCK_ASKING);
    sci_lock_listen_event(&theirs.lock->listener, SCI_LISTEN_MESSAGE, NULL);
    sci_client_unlock(client);
    WAIT_UNTIL(sc_poll(client, 1) == SC_OK && ended != SC_PENDING);
    assert_int_equal(ended, SC_OK);
    contender_close(&theirs);
    assert_status(SC_OK, sc_close(client));
}

static void who_only_tries_takes_no_place_in_the_queue(void **state)
{
    contender mine;
    contender theirs;
    (void)state;
    contender_open_key(&mine, test.client, "job");
    contender_open_key(&theirs, test.client, "job");
    assert_status(SC_OK, sc_lock_try(mine.lock));
    assert_status(SC_HELD, sc_lock_acquire(theirs.lock, 20)); /* it listens from here on */
    assert_non_null(theirs.lock->listener.channel);
    WAIT_UNTIL(fixture_number("ZCARD", "sc:queue{job}") == 0);
    uint64_t before = commands_of(test.client);
    assert_status(SC_HELD, sc_lock_try(theirs.lock));
    assert_int_equal(commands_of(test.client) - before, 1);
    assert_int_equal(fixture_number("ZCARD", "sc:queue{job}"), 0);
    contender_close(&theirs);
    contender_close(&mine);
}

static void one_handle_is_one_contender(void **state)
{
    contender mine;
    contender theirs;
    (void)state;
    contender_open_key(&mine, test.client, "job");
    contender_open_key(&theirs, test.client, "job");
    assert_status(SC_OK, sc_lock_try(mine.lock));
    contender_start(&theirs, -1);
    WAIT_UNTIL(contender_sleeps(&theirs));
    assert_status(SC_ERR_ARGUMENT, sc_lock_try(theirs.lock));
    assert_error_text_has("each thread its own");
    assert_status(SC_OK, sc_lock_release(theirs.lock));
    contender_join(&theirs, SC_ERR_CANCELLED);
    WAIT_UNTIL(fixture_number("ZCARD", "sc:queue{job}") == 0);
    contender_close(&theirs);
    contender_close(&mine);
}

/* --- fencing */

static void each_holding_has_a_higher_token_whatever_becomes_of_the_counter(void **state)
{
    contender mine;
    int64_t last = 0;
    (void)state;
    contender_open_key(&mine, test.client, "job");
    for (int round = 0; round < 6; round++) {
        assert_status(SC_OK, sc_lock_acquire(mine.lock, 0));
        assert_true(sc_lock_fencing_token(mine.lock) > last);
        last = sc_lock_fencing_token(mine.lock);
        if (round == 2)
            fixture_command(test.server, "DEL", "sc:fence{job}", (const char *)NULL);
        if (round == 3) /* lost, and not given back */
            fixture_command(test.server, "SET", "job", "another's", (const char *)NULL);
        assert_status(round == 3 ? SC_LOST : SC_OK, sc_lock_release(mine.lock));
        fixture_command(test.server, "DEL", "job", (const char *)NULL);
        wait_a_moment(); /* more than a microsecond */
    }
    contender_close(&mine);
}

static void a_token_follows_a_counter_that_is_ahead_of_the_time(void **state)
{
    contender mine;
    (void)state;
    /* a year or so ahead */
    int64_t ahead = 2100000000000000;
    fixture_command(test.server, "SET", "sc:fence{job}", "2100000000000000", (const char *)NULL);
    contender_open_key(&mine, test.client, "job");
    assert_status(SC_OK, sc_lock_try(mine.lock));
    assert_int_equal(sc_lock_fencing_token(mine.lock), ahead + 1);
    assert_string_equal(fixture_command(test.server, "GET", "sc:fence{job}", (const char *)NULL),
                        "$16\r\n2100000000000001\r\n");
    /* kept until the time has passed it */
    assert_true(fixture_number("PTTL", "sc:fence{job}") > 86400000 + 1000000);
    contender_close(&mine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        client_unit_test(one_holds_and_another_is_told_so),
        client_unit_test(a_lock_that_nobody_wants_is_two_commands_and_leaves_its_counter),
        client_unit_test(the_lease_has_the_time_asked_for_less_the_drift),
        client_unit_test(keys_of_any_form_share_their_slot_with_what_belongs_to_them),
        client_unit_test(a_key_of_another_type_is_an_error),
        client_unit_test(a_handle_holds_once_unless_it_is_reentrant),
        client_unit_test(what_is_not_held_cannot_be_released_nor_extended),
        client_unit_test(wrong_options_are_named),
        client_unit_test(a_waiter_gets_the_lock_by_the_message_of_its_release),
        client_unit_test(a_wait_ends_with_its_time),
        client_unit_test(a_lock_that_became_free_unheard_is_found_at_the_end_of_the_wait),
        client_unit_test(who_holds_without_an_end_is_looked_at_each_poll_bound),
        client_unit_test(a_lease_that_ends_unheard_is_taken_over_at_its_end),
        client_unit_test(a_release_wakes_one_and_the_others_sleep_on),
        client_unit_test(who_gives_up_when_it_was_woken_wakes_the_next),
        client_unit_test(the_fair_get_it_in_the_order_of_their_coming),
        client_unit_test(who_comes_later_does_not_pass_the_fair_when_the_lock_is_free),
        client_unit_test(a_place_of_one_who_is_gone_does_not_stand_for_long),
        client_unit_test(who_was_woken_and_has_gone_is_passed_over_at_once),
        bare_unit_test(a_message_that_comes_while_asking_is_not_forgotten),
        client_unit_test(who_only_tries_takes_no_place_in_the_queue),
        client_unit_test(one_handle_is_one_contender),
        client_unit_test(each_holding_has_a_higher_token_whatever_becomes_of_the_counter),
        client_unit_test(a_token_follows_a_counter_that_is_ahead_of_the_time),
    };
    return run_on_both_wires("locks", tests);
}
