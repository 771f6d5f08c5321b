/* Who drives when somebody stops driving: looked at from inside, since from outside it takes a race. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static sc_client *client;

static int open_client(void **state)
{
    sc_config config;
    (void)state;
    memset(&config, 0, sizeof config);
    config.url = "redis://127.0.0.1:1";
    config.lazy = true; /* nothing is connected */
    return sc_open(&config, &client) == SC_OK ? 0 : -1;
}

static int close_client(void **state)
{
    (void)state;
    return sc_close(client) == SC_OK ? 0 : -1;
}

/* As a thread that sleeps at a gate of its own. */
static void fall_asleep(sci_waiter *waiter, uint32_t gate)
{
    sci_waiter_init(waiter, gate);
    waiter->is_sleeping = true;
    sci_list_append(&client->sleepers, &waiter->link);
}

static void wake_up(sci_waiter *waiter)
{
    waiter->is_sleeping = false;
    sci_list_remove(&waiter->link);
}

/* Which gates were raised since the last time. */
static uint32_t take_raised(void)
{
    uint32_t raised = client->raised;
    client->raised = 0;
    return raised;
}

/* Two sleepers, and what became of them; nothing is asserted while the lock is held. */
typedef struct pair {
    sci_waiter first;
    sci_waiter second;
    uint32_t called; /* gates raised by the first call */
    uint32_t passed; /* and afterwards */
    bool first_called;
    bool second_called;
} pair;

static void pair_begin(pair *self)
{
    memset(self, 0, sizeof *self);
    sci_loop_lock(&client->loop);
    fall_asleep(&self->first, 0);
    fall_asleep(&self->second, 1);
}

static void pair_end(pair *self)
{
    self->first_called = self->first.is_called;
    self->second_called = self->second.is_called;
    if (self->first.is_sleeping)
        wake_up(&self->first);
    if (self->second.is_sleeping)
        wake_up(&self->second);
    (void)take_raised();
    sci_client_unlock(client);
}

static void who_stops_driving_calls_one_sleeper(void **state)
{
    pair both;
    bool drives;
    (void)state;
    pair_begin(&both);
    drives = sci_loop_drive_begin(&client->loop);
    sci_client_stop_driving(client);
    both.called = take_raised();
    pair_end(&both);
    assert_true(drives);
    assert_true(both.first_called);
    assert_false(both.second_called);
    assert_int_equal(both.called, 1u << both.first.gate);
}

/* The call must not be lost with a thread that has no more reason to drive. */
static void who_was_called_and_is_done_first_calls_the_next(void **state)
{
    pair both;
    (void)state;
    pair_begin(&both);
    sci_client_call_driver(client);
    both.called = take_raised();
    sci_waiter_finish(client, &both.first); /* its reply comes before it is awake */
    both.passed = take_raised();
    pair_end(&both);
    assert_int_equal(both.called, 1u << both.first.gate);
    assert_true(both.second_called);
    assert_int_equal(both.passed, 1u << both.first.gate | 1u << both.second.gate);
}

static void nobody_is_called_while_somebody_drives(void **state)
{
    pair both;
    bool drives;
    (void)state;
    pair_begin(&both);
    sci_client_call_driver(client);
    drives = sci_loop_drive_begin(&client->loop); /* a third was quicker */
    sci_waiter_finish(client, &both.first);
    sci_loop_drive_end(&client->loop);
    pair_end(&both);
    assert_true(drives);
    assert_false(both.second_called);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_stops_driving_calls_one_sleeper, open_client,
                                        close_client),
        cmocka_unit_test_setup_teardown(who_was_called_and_is_done_first_calls_the_next,
                                        open_client, close_client),
        cmocka_unit_test_setup_teardown(nobody_is_called_while_somebody_drives, open_client,
                                        close_client),
    };
    return cmocka_run_group_tests_name("who drives", tests, NULL, NULL);
}
