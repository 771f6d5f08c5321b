/* Distributed locks where something goes wrong: replies and messages are lost, the server stands
   still, goes or restarts, processes stop or die, users may not do everything. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "lock_test.h"
#include "support/processes.h"
#include "support/proxy.h"

#include <unistd.h>

static sc_client *open_at(const char *url, int64_t timeout_ms)
{
    sc_config config = test_config(url);
    config.timeout_ms = timeout_ms;
    config.backoff_min_ms = 1;
    config.backoff_max_ms = 5;
    return test_open(&config);
}

/* --- replies */

/* What a renewal is called that this server answers. */
static const char *renewal_word(void)
{
    const char *reply =
        fixture_command(test.server, "SET", "unset", "x", "IFEQ", "x", (const char *)NULL);
    return *reply == '-' ? "EVALSHA" : "SET";
}

static void a_reply_lost_after_the_lock_was_taken_is_asked_for_again(void **state)
{
    proxy *relay = proxy_start(test.kind, fixture_endpoint(test.server, test.kind));
    sc_client *client = open_at(proxy_url(relay), WAIT_WATCHDOG_MS);
    contender mine;
    (void)state;
    contender_open_key(&mine, client, "job");
    assert_status(SC_OK, sc_lock_try(mine.lock)); /* scripts are known from here on */
    assert_status(SC_OK, sc_lock_release(mine.lock));
    proxy_lose_reply(relay, "EVALSHA");
    assert_status(SC_OK, sc_lock_try(mine.lock));
    assert_int_equal(proxy_lost_replies(relay), 1);
    expect_holder("job", &mine);
    proxy_lose_reply(relay, renewal_word());
    assert_status(SC_OK, sc_lock_extend(mine.lock, 0));
    assert_int_equal(proxy_lost_replies(relay), 2);
    contender_close(&mine);
    expect_holder("job", NULL);
    assert_status(SC_OK, sc_close(client));
    proxy_stop(relay);
}

/* The second telling finds the lock gone: then it is not known whether the first one found it. */
static void a_reply_lost_after_the_release_leaves_the_lock_free(void **state)
{
    proxy *relay = proxy_start(test.kind, fixture_endpoint(test.server, test.kind));
    sc_client *client = open_at(proxy_url(relay), WAIT_WATCHDOG_MS);
    contender mine;
    (void)state;
    contender_open_key(&mine, client, "job");
    assert_status(SC_OK, sc_lock_try(mine.lock));
    assert_status(SC_OK, sc_lock_release(mine.lock));
    assert_status(SC_OK, sc_lock_try(mine.lock));
    proxy_lose_reply(relay, "EVALSHA");
    sc_status status = sc_lock_release(mine.lock);
    assert_true(status == SC_OK || status == SC_LOST);
    expect_holder("job", NULL);
    contender_close(&mine);
    assert_int_equal(contender_losses(&mine), 0);
    assert_status(SC_OK, sc_close(client));
    proxy_stop(relay);
}

static void a_lock_whose_taking_is_not_known_is_given_back(void **state)
{
    proxy *relay = proxy_start(test.kind, fixture_endpoint(test.server, test.kind));
    sc_client *client = open_at(proxy_url(relay), 300);
    sc_lock_config config = lock_config("job");
    contender mine;
    (void)state;
    config.ttl_ms = WAIT_WATCHDOG_MS * 2; /* nothing else ends it in time; again at a tenth */
    contender_open(&mine, client, &config);
    fixture_command(test.server, "SCRIPT", "LOAD", SCI_SCRIPT_LOCK, (const char *)NULL);
    proxy_black_hole(relay, PROXY_TO_CLIENT);
    sc_status status = sc_lock_try(mine.lock);
    assert_true(status == SC_ERR_TIMEOUT || status == SC_ERR_DISCONNECTED);
    assert_int_equal(sc_lock_remaining_ms(mine.lock), 0);
    WAIT_UNTIL(fixture_number("EXISTS", "sc:fence{job}") == 1); /* it was taken */
    proxy_black_hole(relay, 0);
    WAIT_UNTIL(fixture_number("EXISTS", "job") == 0);
    contender_close(&mine);
    assert_status(SC_OK, sc_close(client));
    proxy_stop(relay);
}

/* Each answer comes when the lease that it grants has ended. */
static void an_acquire_whose_lease_is_shorter_than_the_way_ends_in_time(void **state)
{
    proxy *relay = proxy_start(test.kind, fixture_endpoint(test.server, test.kind));
    sc_client *client = open_at(proxy_url(relay), WAIT_WATCHDOG_MS);
    sc_lock_config config = lock_config("job");
    contender mine;
    (void)state;
    config.ttl_ms = 20;
    contender_open(&mine, client, &config);
    proxy_delay(relay, 50);
    assert_status(SC_HELD, sc_lock_acquire(mine.lock, 300));
    assert_status(SC_HELD, sc_lock_try(mine.lock));
    proxy_delay(relay, 0);
    WAIT_UNTIL(fixture_number("EXISTS", "job") == 0);
    contender_close(&mine);
    assert_int_equal(contender_losses(&mine), 0);
    assert_status(SC_OK, sc_close(client));
    proxy_stop(relay);
}

/* By itself, without another call. */
static void the_giving_back_is_tried_again_until_it_is_answered(void **state)
{
    proxy *relay = proxy_start(test.kind, fixture_endpoint(test.server, test.kind));
    sc_client *client = open_at(proxy_url(relay), 100);
    sc_lock_config config = lock_config("job");
    contender mine;
    (void)state;
    config.ttl_ms = 120000; /* again each 12 s: shortened below */
    contender_open(&mine, client, &config);
    assert_status(SC_OK, sc_lock_try(mine.lock));
    mine.lock->life_ms = 500;
    proxy_black_hole(relay, PROXY_TO_SERVER);
    assert_true(sc_lock_release(mine.lock) < 0);
    expect_holder("job", &mine);
    proxy_cut(relay); /* what was said is lost */
    proxy_black_hole(relay, 0);
    WAIT_UNTIL(fixture_number("EXISTS", "job") == 0);
    contender_close(&mine);
    assert_status(SC_OK, sc_close(client));
    proxy_stop(relay);
}

static void scripts_that_the_server_forgets_are_sent_again(void **state)
{
    contender mine;
    (void)state;
    contender_open_key(&mine, test.client, "job");
    for (int round = 0; round < 2; round++) {
        fixture_command(test.server, "SCRIPT", "FLUSH", (const char *)NULL);
        assert_status(SC_OK, sc_lock_try(mine.lock));
        fixture_command(test.server, "SCRIPT", "FLUSH", (const char *)NULL);
        assert_status(SC_OK, sc_lock_extend(mine.lock, 0));
        fixture_command(test.server, "SCRIPT", "FLUSH", (const char *)NULL);
        assert_status(SC_OK, sc_lock_release(mine.lock));
    }
    contender_close(&mine);
}

/* --- messages */

static void a_waiter_whose_subscription_was_cut_asks_when_it_stands_again(void **state)
{
    proxy *relay = proxy_start(test.kind, fixture_endpoint(test.server, test.kind));
    sc_client *other = open_at(proxy_url(relay), WAIT_WATCHDOG_MS);
    contender mine;
    contender theirs;
    (void)state;
    contender_open_key(&mine, test.client, "job");
    contender_open_key(&theirs, other, "job");
    assert_status(SC_OK, sc_lock_try(mine.lock));
    contender_start(&theirs, -1);
    WAIT_UNTIL(contender_sleeps(&theirs));
    proxy_refuse(relay, true);
    proxy_cut_subscribers(relay);
    WAIT_UNTIL(!contender_sleeps(&theirs));
    assert_status(SC_OK, sc_lock_release(mine.lock)); /* nobody hears it */
    proxy_refuse(relay, false);
    contender_join(&theirs, SC_OK);
    contender_close(&theirs);
    contender_close(&mine);
    assert_status(SC_OK, sc_close(other));
    proxy_stop(relay);
}

/* Workers begin before this process has threads: the thread sanitizer knows none in a child. */
enum waiting { WAITING, HOLDING };

/* The woken one can say nothing, and holds nobody up for longer than the poll bound. */
static int stopped_waiter(processes *shared, size_t index, void *user)
{
    sc_config config = test_config(test_url());
    sc_lock_config lock = lock_config("job");
    sc_client *client = NULL;
    contender self;
    (void)index;
    lock.fair = *(const bool *)user;
    lock.poll_ms = lock.fair ? 500 : NEVER_MS;
    memset(&self, 0, sizeof self);
    if (!processes_wait_for(shared, HOLDING, 1) || sc_open(&config, &client) != SC_OK ||
        sc_lock_open(client, &lock, &self.lock) != SC_OK ||
        pthread_create(&self.thread, NULL, contender_run, &self) != 0)
        return 1;
    while (!contender_sleeps(&self))
        wait_a_moment();
    processes_add(shared, WAITING, 1);
    for (;;)
        pause();
}

static void wake_one_that_is_stopped(bool is_fair)
{
    sc_lock_config config = lock_config("job");
    contender mine;
    contender theirs;
    config.poll_ms = 20;
    config.fair = is_fair;
    processes *shared = processes_start(1, stopped_waiter, &is_fair);
    contender_open(&mine, test.client, &config);
    contender_open(&theirs, test.client, &config);
    assert_status(SC_OK, sc_lock_try(mine.lock));
    processes_add(shared, HOLDING, 1);
    assert_true(processes_wait_for(shared, WAITING, 1));
    processes_pause(shared, 0);
    contender_start(&theirs, -1);
    WAIT_UNTIL(contender_sleeps(&theirs));
    assert_status(SC_OK, sc_lock_release(mine.lock));
    contender_join(&theirs, SC_OK);
    processes_kill(shared, 0);
    (void)processes_join(shared);
    processes_free(shared);
    contender_close(&theirs);
    contender_close(&mine);
}

static void a_woken_waiter_that_stands_still_does_not_strand_the_rest(void **state)
{
    (void)state;
    wake_one_that_is_stopped(false);
}

static void a_fair_waiter_that_stands_still_loses_its_place(void **state)
{
    (void)state;
    wake_one_that_is_stopped(true);
}

static void a_killed_waiter_is_passed_over_by_the_release(void **state)
{
    bool is_fair = true;
    sc_lock_config config = lock_config("job");
    contender mine;
    contender theirs;
    (void)state;
    config.fair = true;
    processes *shared = processes_start(1, stopped_waiter, &is_fair);
    contender_open(&mine, test.client, &config);
    contender_open(&theirs, test.client, &config);
    assert_status(SC_OK, sc_lock_try(mine.lock));
    processes_add(shared, HOLDING, 1);
    assert_true(processes_wait_for(shared, WAITING, 1));
    contender_start(&theirs, -1); /* its poll bound never comes */
    WAIT_UNTIL(contender_sleeps(&theirs));
    processes_kill(shared, 0);
    WAIT_UNTIL(fixture_clients(test.server, "pubsub") == 1);
    assert_status(SC_OK, sc_lock_release(mine.lock));
    contender_join(&theirs, SC_OK);
    (void)processes_join(shared);
    processes_free(shared);
    contender_close(&theirs);
    contender_close(&mine);
}

static int killed_holder(processes *shared, size_t index, void *user)
{
    sc_config config = test_config(test_url());
    sc_lock_config lock = lock_config("job");
    sc_client *client = NULL;
    sc_lock *held = NULL;
    (void)index;
    (void)user;
    lock.ttl_ms = 2000;
    if (sc_open(&config, &client) != SC_OK || sc_lock_open(client, &lock, &held) != SC_OK ||
        sc_lock_try(held) != SC_OK)
        return 1;
    processes_set(shared, 1, sc_lock_fencing_token(held));
    processes_add(shared, 0, 1);
    for (;;)
        pause();
}

static void the_lock_of_a_killed_holder_is_free_when_its_lease_ends(void **state)
{
    contender theirs;
    (void)state;
    processes *shared = processes_start(1, killed_holder, NULL);
    assert_true(processes_wait_for(shared, 0, 1));
    contender_open_key(&theirs, test.client, "job");
    contender_start(&theirs, -1);
    WAIT_UNTIL(contender_sleeps(&theirs));
    processes_kill(shared, 0);
    contender_join(&theirs, SC_OK); /* no poll bound helps */
    assert_true(theirs.fence > processes_read(shared, 1));
    (void)processes_join(shared);
    processes_free(shared);
    contender_close(&theirs);
}

/* --- the server */

static void a_server_that_stands_still_costs_the_lock_and_that_is_told_once(void **state)
{
    sc_lock_config config = lock_config("job");
    contender mine;
    (void)state;
    config.ttl_ms = 300;
    contender_open(&mine, test.client, &config);
    assert_status(SC_OK, sc_lock_try(mine.lock));
    fixture_pause(test.server);
    WAIT_UNTIL(contender_losses(&mine) == 1);
    assert_true(mine.lost_at_ns >= mine.lock->asked_ns);
    assert_int_equal(sc_lock_remaining_ms(mine.lock), 0);
    fixture_continue(test.server);
    assert_status(SC_OK, sc_lock_acquire(mine.lock, -1));
    contender_close(&mine);
    assert_int_equal(contender_losses(&mine), 1);
}

static void a_server_that_restarts_empty_costs_the_lock_and_no_token_comes_again(void **state)
{
    sc_config config = test_config(test_url());
    sc_lock_config lock = lock_config("job");
    contender mine;
    (void)state;
    config.wait_while_down = true;
    config.backoff_max_ms = 20;
    sc_client *client = test_open(&config);
    lock.ttl_ms = 600;
    contender_open(&mine, client, &lock);
    assert_status(SC_OK, sc_lock_try(mine.lock));
    int64_t fence = sc_lock_fencing_token(mine.lock);
    fixture_kill(test.server);
    assert_true(fixture_restart(test.server));
    WAIT_UNTIL(contender_losses(&mine) == 1);
    assert_status(SC_OK, sc_lock_acquire(mine.lock, -1));
    assert_true(sc_lock_fencing_token(mine.lock) > fence);
    contender_close(&mine);
    assert_status(SC_OK, sc_close(client));
}

static void a_waiter_waits_out_a_restart_if_its_client_does(void **state)
{
    sc_config config = test_config(test_url());
    contender theirs;
    (void)state;
    config.wait_while_down = true;
    config.backoff_max_ms = 20;
    sc_client *client = test_open(&config);
    sc_lock_config lock = lock_config("job");
    lock.poll_ms = 50;
    contender_open(&theirs, client, &lock);
    fixture_command(test.server, "SET", "job", "someone's", (const char *)NULL);
    contender_start(&theirs, -1);
    WAIT_UNTIL(contender_sleeps(&theirs));
    fixture_kill(test.server);
    assert_true(fixture_restart(test.server));
    contender_join(&theirs, SC_OK);
    contender_close(&theirs);
    assert_status(SC_OK, sc_close(client));
}

static void without_a_server_acquiring_fails_with_its_words(void **state)
{
    contender mine;
    (void)state;
    sc_client *client = open_at(test_url(), WAIT_WATCHDOG_MS);
    contender_open_key(&mine, client, "job");
    fixture_stop(test.server);
    sc_status status;
    WAIT_UNTIL((status = sc_lock_try(mine.lock)) == SC_ERR_CONNECT);
    assert_true(strlen(sc_error_text()) > 0);
    contender_close(&mine);
    assert_status(SC_OK, sc_close(client));
    assert_true(fixture_restart(test.server));
}

/* --- users with few rights */

static sc_client *open_limited(const char *rule)
{
    char url[300];
    fixture_command(test.server, "ACL", "SETUSER", "limited", "reset", "on", ">secret", "~*", "&*",
                    "+@all", rule, (const char *)NULL);
    fixture_url_with(test.server, test.kind, "limited:secret", 0, url, sizeof url);
    return open_at(url, WAIT_WATCHDOG_MS);
}

static void a_server_that_runs_no_scripts_is_named_as_such(void **state)
{
    contender mine;
    (void)state;
    if (fixture_is_embedded())
        return;
    sc_client *client = open_limited("-@scripting");
    contender_open_key(&mine, client, "job");
    assert_status(SC_ERR_UNSUPPORTED, sc_lock_try(mine.lock));
    assert_error_text_has("EVALSHA");
    assert_error_text_has("NOPERM");
    contender_close(&mine);
    assert_status(SC_OK, sc_close(client));
}

static void who_may_not_listen_asks_each_poll_bound(void **state)
{
    sc_lock_config config = lock_config("job");
    contender theirs;
    (void)state;
    if (fixture_is_embedded())
        return;
    sc_client *client = open_limited("resetchannels");
    config.poll_ms = 5;
    config.fair = true;
    contender_open(&theirs, client, &config);
    fixture_command(test.server, "SET", "job", "someone's", (const char *)NULL);
    contender_start(&theirs, -1);
    WAIT_UNTIL(fixture_number("ZCARD", "sc:queue{job}") == 1);
    fixture_command(test.server, "DEL", "job", (const char *)NULL);
    contender_join(&theirs, SC_OK);
    assert_status(SC_OK, sc_lock_release(theirs.lock));
    contender_close(&theirs);
    assert_status(SC_OK, sc_close(client));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        client_unit_test(a_reply_lost_after_the_lock_was_taken_is_asked_for_again),
        client_unit_test(a_reply_lost_after_the_release_leaves_the_lock_free),
        client_unit_test(a_lock_whose_taking_is_not_known_is_given_back),
        client_unit_test(an_acquire_whose_lease_is_shorter_than_the_way_ends_in_time),
        client_unit_test(the_giving_back_is_tried_again_until_it_is_answered),
        client_unit_test(scripts_that_the_server_forgets_are_sent_again),
        client_unit_test(a_waiter_whose_subscription_was_cut_asks_when_it_stands_again),
        client_unit_test(a_woken_waiter_that_stands_still_does_not_strand_the_rest),
        client_unit_test(a_fair_waiter_that_stands_still_loses_its_place),
        client_unit_test(a_killed_waiter_is_passed_over_by_the_release),
        client_unit_test(the_lock_of_a_killed_holder_is_free_when_its_lease_ends),
        client_unit_test(a_server_that_stands_still_costs_the_lock_and_that_is_told_once),
        bare_unit_test(a_server_that_restarts_empty_costs_the_lock_and_no_token_comes_again),
        bare_unit_test(a_waiter_waits_out_a_restart_if_its_client_does),
        bare_unit_test(without_a_server_acquiring_fails_with_its_words),
        client_unit_test(a_server_that_runs_no_scripts_is_named_as_such),
        client_unit_test(who_may_not_listen_asks_each_poll_bound),
    };
    return run_on_both_wires("locks in trouble", tests);
}
