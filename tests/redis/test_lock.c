/* Distributed locks while the server is well: exclusion, waiting, waking, order, tokens,
   renewal. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "lock_test.h"
#include "support/processes.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define WAITERS 8

/* Another client, which shares nothing with the first. */
static sc_client *stranger(void)
{
    return test_open_url(test_url());
}

/* A clock that the test moves, so that no machine is too slow for it. */
static int64_t moved_ns;
static int64_t moved_now_ns(void *user)
{
    (void)user;
    return __atomic_load_n(&moved_ns, __ATOMIC_ACQUIRE);
}
static int64_t moved_wall_ms(void *user)
{
    (void)user;
    return 1000000;
}

static sc_client *open_with_moved_clock(void)
{
    static sc_clock clock;
    sc_config config = test_config(test_url());
    clock.monotonic_ns = moved_now_ns;
    clock.wall_ms = moved_wall_ms;
    moved_ns = 1000000000;
    config.clock = &clock;
    config.polled = true;
    config.idle_check_ms = -1;
    config.timeout_ms = -1;
    return test_open(&config);
}

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
    assert_status(SC_OK, sc_lock_try(mine.lock));
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
    contender_close(&mine);
    assert_status(SC_OK, sc_close(client));
}

static void a_lock_is_renewed_while_it_is_held(void **state)
{
    sc_client *client = open_with_moved_clock();
    sc_lock_config config = lock_config("job");
    contender mine;
    (void)state;
    config.ttl_ms = 300000;
    contender_open(&mine, client, &config);
    assert_status(SC_OK, sc_lock_try(mine.lock));
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
    contender_close(&mine);
    assert_status(SC_OK, sc_close(client));
}

/* An extension that comes while a renewal is under way counts by its own request. */
static void an_extension_during_a_renewal_is_asked_for_after_it(void **state)
{
    sc_client *client = open_with_moved_clock();
    sc_lock_config config = lock_config("job");
    contender mine;
    (void)state;
    config.ttl_ms = 300000;
    contender_open(&mine, client, &config);
    assert_status(SC_OK, sc_lock_try(mine.lock));
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
    contender_close(&mine);
    assert_status(SC_OK, sc_close(client));
}

static void a_lease_is_not_renewed_past_its_end(void **state)
{
    sc_client *client = open_with_moved_clock();
    sc_lock_config config = lock_config("job");
    contender mine;
    (void)state;
    config.ttl_ms = 1000000;
    contender_open(&mine, client, &config);
    assert_status(SC_OK, sc_lock_try(mine.lock));
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
    sc_client *client = open_with_moved_clock();
    sc_lock_config config = lock_config("job");
    contender mine;
    (void)state;
    config.ttl_ms = 1000000;
    contender_open(&mine, client, &config);
    assert_status(SC_OK, sc_lock_try(mine.lock));
    assert_status(SC_OK, sc_lock_extend_async(mine.lock, 10000, NULL, NULL));
    assert_int_equal(sc_lock_remaining_ms(mine.lock), 10000 - 100 - 2); /* no answer needed */
    WAIT_UNTIL(sc_poll(client, 1) == SC_OK && !mine.lock->is_renewing);
    assert_int_equal(sc_lock_remaining_ms(mine.lock), 10000 - 100 - 2);
    contender_close(&mine);
    assert_status(SC_OK, sc_close(client));
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
    contender_close(&mine);
    assert_status(SC_OK, sc_close(client));
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
    contender_close(&mine);
    assert_status(SC_OK, sc_close(client));
}

/* --- many */

#define CROWD_PROCESSES 4
#define CROWD_THREADS 6
#define CROWD_ROUNDS 25

typedef struct crowd {
    uint32_t inside;   /* at once; atomic */
    uint32_t overlaps; /* atomic */
    uint32_t entries;
    int64_t last_fence;
    uint32_t backwards;
    bool is_fair;
} crowd;

static void *crowd_thread(void *argument)
{
    contender *self = (contender *)argument;
    crowd *all = (crowd *)self->lock->config.user;
    for (int round = 0; round < CROWD_ROUNDS; round++) {
        self->status = sc_lock_acquire(self->lock, -1);
        if (self->status != SC_OK)
            break;
        if (__atomic_fetch_add(&all->inside, 1, __ATOMIC_ACQ_REL) != 0)
            __atomic_add_fetch(&all->overlaps, 1, __ATOMIC_ACQ_REL);
        int64_t fence = sc_lock_fencing_token(self->lock);
        if (fence <= all->last_fence)
            all->backwards++;
        all->last_fence = fence;
        all->entries++;
        __atomic_fetch_sub(&all->inside, 1, __ATOMIC_ACQ_REL);
        self->status = sc_lock_release(self->lock);
        if (self->status != SC_OK)
            break;
    }
    return NULL;
}

static int crowd_process(processes *shared, size_t index, void *user)
{
    contender threads[CROWD_THREADS];
    sc_config config = test_config(test_url());
    sc_lock_config lock = lock_config("job");
    sc_client *client = NULL;
    bool is_good = true;
    (void)shared;
    (void)index;
    lock.user = user;
    lock.fair = ((crowd *)user)->is_fair;
    if (sc_open(&config, &client) != SC_OK)
        return 1;
    for (size_t i = 0; i < CROWD_THREADS; i++)
        if (sc_lock_open(client, &lock, &threads[i].lock) != SC_OK ||
            pthread_create(&threads[i].thread, NULL, crowd_thread, &threads[i]) != 0)
            return 2;
    for (size_t i = 0; i < CROWD_THREADS; i++) {
        pthread_join(threads[i].thread, NULL);
        is_good = is_good && threads[i].status == SC_OK;
        sc_lock_close(threads[i].lock);
    }
    return sc_close(client) == SC_OK && is_good ? 0 : 3;
}

/* The poll bound never comes: a single lost wake-up would hang it. */
static void meet(bool is_fair)
{
    crowd *all =
        (crowd *)mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(all, MAP_FAILED);
    memset(all, 0, sizeof *all);
    all->is_fair = is_fair;
    processes *shared = processes_start(CROWD_PROCESSES, crowd_process, all);
    bool is_good = processes_join(shared);
    processes_free(shared);
    assert_true(is_good);
    assert_int_equal(all->overlaps, 0);
    assert_int_equal(all->backwards, 0);
    assert_int_equal(all->entries, CROWD_PROCESSES * CROWD_THREADS * CROWD_ROUNDS);
    expect_holder("job", NULL);
    assert_int_equal(fixture_number("ZCARD", "sc:queue{job}"), 0);
    munmap(all, sizeof *all);
}

static void of_a_crowd_one_is_inside_at_a_time_and_no_release_goes_unheard(void **state)
{
    (void)state;
    meet(false);
}

static void a_fair_crowd_does_the_same(void **state)
{
    (void)state;
    meet(true);
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
        bare_unit_test(of_a_crowd_one_is_inside_at_a_time_and_no_release_goes_unheard),
        bare_unit_test(a_fair_crowd_does_the_same),
    };
    return run_on_both_wires("locks", tests);
}
