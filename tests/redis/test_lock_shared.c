/* Locks with several holders: counting semaphores and read/write locks. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "lock_test.h"
#include "node.h"

typedef enum share { PERMIT, READER, WRITER } share;

#define PERMITS 2

static void open_share(contender *self, sc_client *client, const sc_lock_config *config, share what)
{
    sc_lock_config own = *config;
    memset(self, 0, sizeof *self);
    own.on_lost = contender_lost;
    own.user = self;
    if (what == PERMIT)
        assert_status(SC_OK, sc_semaphore_open(client, &own, PERMITS, &self->lock));
    else
        assert_status(SC_OK, sc_rwlock_open(client, &own, what == WRITER, &self->lock));
}

static void open_key(contender *self, share what)
{
    sc_lock_config config = lock_config("pool");
    open_share(self, test.client, &config, what);
}

static bool holds(const char *key, const contender *self)
{
    const char *reply =
        fixture_command(test.server, "ZSCORE", key, self->lock->token, (const char *)NULL);
    return reply[0] == '$' && reply[1] != '-';
}

/* --- semaphores */

static void a_semaphore_has_so_many_holders_and_no_more(void **state)
{
    contender all[PERMITS + 1];
    (void)state;
    for (size_t i = 0; i <= PERMITS; i++) {
        open_key(&all[i], PERMIT);
        assert_status(i < PERMITS ? SC_OK : SC_HELD, sc_lock_try(all[i].lock));
    }
    assert_true(holds("pool", &all[0]) && holds("pool", &all[1]));
    assert_true(sc_lock_fencing_token(all[1].lock) > sc_lock_fencing_token(all[0].lock));
    assert_status(SC_OK, sc_lock_extend(all[0].lock, 0));
    assert_status(SC_OK, sc_lock_release(all[0].lock));
    assert_true(!holds("pool", &all[0]) && holds("pool", &all[1]));
    assert_status(SC_OK, sc_lock_try(all[2].lock));
    assert_status(SC_HELD, sc_lock_try(all[0].lock));
    for (size_t i = 0; i <= PERMITS; i++)
        contender_close(&all[i]);
    assert_int_equal(fixture_number("EXISTS", "pool"), 0);
}

static void a_wrong_number_of_permits_is_refused(void **state)
{
    sc_lock_config config = lock_config("pool");
    sc_lock *lock = NULL;
    (void)state;
    assert_status(SC_ERR_ARGUMENT, sc_semaphore_open(test.client, &config, 0, &lock));
    assert_error_text_has("0 permits");
    assert_status(SC_ERR_ARGUMENT, sc_semaphore_open(test.client, NULL, 1, &lock));
    assert_status(SC_ERR_ARGUMENT, sc_rwlock_open(test.client, NULL, true, &lock));
    assert_null(lock);
}

static void each_permit_that_is_given_back_wakes_one(void **state)
{
    sc_client *other = test_open_url(test_url());
    sc_lock_config config = lock_config("pool");
    contender mine[PERMITS];
    contender theirs[2 * PERMITS];
    (void)state;
    for (size_t i = 0; i < PERMITS; i++) {
        open_key(&mine[i], PERMIT);
        assert_status(SC_OK, sc_lock_try(mine[i].lock));
    }
    for (size_t i = 0; i < COUNT_OF(theirs); i++) {
        open_share(&theirs[i], other, &config, PERMIT);
        contender_start(&theirs[i], -1);
        WAIT_UNTIL(contender_sleeps(&theirs[i]));
    }
    uint64_t before = commands_of(other);
    assert_status(SC_OK, sc_lock_release(mine[0].lock));
    WAIT_UNTIL(contender_is_done(&theirs[0]));
    contender_join(&theirs[0], SC_OK);
    assert_int_equal(commands_of(other) - before, 1);
    assert_status(SC_OK, sc_lock_release(mine[1].lock));
    for (size_t i = 0; i < COUNT_OF(theirs); i++) {
        if (i > 0)
            contender_join(&theirs[i], SC_OK);
        contender_close(&theirs[i]);
    }
    for (size_t i = 0; i < PERMITS; i++)
        contender_close(&mine[i]);
    assert_status(SC_OK, sc_close(other));
}

/* One that only its lease's end takes away, as that of a crashed process. */
static void permits_of_crashed_holders_come_back_when_their_leases_end(void **state)
{
    contender mine;
    contender theirs;
    (void)state;
    const char *reply = fixture_command(test.server, "TIME", (const char *)NULL);
    long long second = atoll(strchr(reply, '$') + 5);
    char soon[32];
    snprintf(soon, sizeof soon, "%lld", second * 1000 + 1500);
    fixture_command(test.server, "ZADD", "pool", soon, "crashed", (const char *)NULL);
    open_key(&mine, PERMIT);
    open_key(&theirs, PERMIT);
    assert_status(SC_OK, sc_lock_try(mine.lock));
    assert_status(SC_OK, sc_lock_acquire(theirs.lock, -1)); /* no poll bound, no message */
    assert_int_equal(fixture_number("ZCARD", "pool"), PERMITS);
    contender_close(&mine);
    contender_close(&theirs);
}

static void a_permit_that_was_taken_away_is_lost_and_not_made_anew(void **state)
{
    contender mine;
    (void)state;
    open_key(&mine, PERMIT);
    assert_status(SC_OK, sc_lock_try(mine.lock));
    fixture_command(test.server, "DEL", "pool", (const char *)NULL);
    assert_status(SC_LOST, sc_lock_extend(mine.lock, 0));
    WAIT_UNTIL(contender_losses(&mine) == 1);
    assert_int_equal(fixture_number("EXISTS", "pool"), 0);
    contender_close(&mine);
}

/* --- readers and writers */

static void readers_are_many_and_a_writer_is_alone(void **state)
{
    contender readers[3];
    contender writers[2];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        open_key(&readers[i], READER);
        assert_status(SC_OK, sc_lock_try(readers[i].lock));
    }
    for (size_t i = 0; i < 2; i++) {
        open_key(&writers[i], WRITER);
        assert_status(SC_HELD, sc_lock_try(writers[i].lock));
    }
    for (size_t i = 0; i < 3; i++)
        assert_status(SC_OK, sc_lock_release(readers[i].lock));
    assert_status(SC_OK, sc_lock_try(writers[0].lock));
    assert_status(SC_HELD, sc_lock_try(writers[1].lock));
    assert_status(SC_HELD, sc_lock_try(readers[0].lock));
    assert_status(SC_OK, sc_lock_release(writers[0].lock));
    assert_status(SC_OK, sc_lock_try(readers[0].lock));
    for (size_t i = 0; i < 3; i++)
        contender_close(&readers[i]);
    for (size_t i = 0; i < 2; i++)
        contender_close(&writers[i]);
}

static void readers_that_come_after_a_writer_wait_for_it_and_then_go_together(void **state)
{
    contender first;
    contender writer;
    contender later[4];
    (void)state;
    open_key(&first, READER);
    open_key(&writer, WRITER);
    assert_status(SC_OK, sc_lock_try(first.lock));
    contender_start(&writer, -1);
    WAIT_UNTIL(contender_sleeps(&writer));
    for (size_t i = 0; i < 4; i++) {
        open_key(&later[i], READER);
        assert_status(SC_HELD, sc_lock_try(later[i].lock));
        contender_start(&later[i], -1);
        WAIT_UNTIL(contender_sleeps(&later[i]));
    }
    contender_close(&first);
    contender_join(&writer, SC_OK);
    for (size_t i = 0; i < 4; i++)
        assert_false(contender_is_done(&later[i]));
    contender_close(&writer); /* wakes one, who wakes the next, ... */
    for (size_t i = 0; i < 4; i++)
        contender_join(&later[i], SC_OK);
    assert_int_equal(fixture_number("ZCARD", "pool"), 4);
    for (size_t i = 0; i < 4; i++)
        contender_close(&later[i]);
}

static void readers_behind_a_writer_that_gives_up_go_on(void **state)
{
    contender first;
    contender writer;
    contender later;
    (void)state;
    open_key(&first, READER);
    open_key(&writer, WRITER);
    open_key(&later, READER);
    assert_status(SC_OK, sc_lock_try(first.lock));
    contender_start(&writer, -1);
    WAIT_UNTIL(contender_sleeps(&writer));
    contender_start(&later, -1);
    WAIT_UNTIL(contender_sleeps(&later));
    assert_status(SC_OK, sc_lock_release(writer.lock));
    contender_join(&writer, SC_ERR_CANCELLED);
    contender_join(&later, SC_OK);
    contender_close(&first);
    contender_close(&writer);
    contender_close(&later);
}

/* --- with npm's redis-semaphore */

static const char *tell(node *program, const char *op, int wait_ms)
{
    char line[200];
    snprintf(line, sizeof line,
             "{\"op\":\"%s\",\"kind\":\"semaphore\",\"name\":\"pool\",\"ttl\":100000,\"limit\":%d,"
             "\"wait\":%d}",
             op, PERMITS, wait_ms);
    return node_ask(program, line);
}

static void a_semaphore_is_shared_with_redis_semaphore(void **state)
{
    sc_lock_config config = lock_config("semaphore:pool");
    contender mine[2];
    node program;
    (void)state;
    NEEDS_NODE();
    if (fixture_is_embedded())
        skip(); /* it runs no scripts of others */
    config.ttl_ms = 100000;
    config.interop = true;
    config.poll_ms = 10;
    node_start(&program, "tests/interop/lock.js", NULL);
    for (size_t i = 0; i < 2; i++)
        open_share(&mine[i], test.client, &config, PERMIT);
    assert_status(SC_OK, sc_lock_try(mine[0].lock));
    assert_string_equal(tell(&program, "acquire", WAIT_WATCHDOG_MS), "{\"ok\":true}");
    assert_status(SC_HELD, sc_lock_try(mine[1].lock));
    assert_true(holds("semaphore:pool", &mine[0]));
    contender_start(&mine[1], -1);
    WAIT_UNTIL(contender_sleeps(&mine[1]));
    assert_string_equal(tell(&program, "release", 0), "{\"ok\":true}");
    contender_join(&mine[1], SC_OK);
    assert_string_equal(tell(&program, "acquire", 0), "{\"ok\":false}");
    assert_status(SC_OK, sc_lock_extend(mine[0].lock, 0));
    assert_status(SC_OK, sc_lock_release(mine[0].lock));
    assert_string_equal(tell(&program, "acquire", WAIT_WATCHDOG_MS), "{\"ok\":true}");
    assert_true(holds("semaphore:pool", &mine[1]));
    for (size_t i = 0; i < 2; i++)
        contender_close(&mine[i]);
    node_end(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        client_unit_test(a_semaphore_has_so_many_holders_and_no_more),
        client_unit_test(a_wrong_number_of_permits_is_refused),
        client_unit_test(each_permit_that_is_given_back_wakes_one),
        client_unit_test(permits_of_crashed_holders_come_back_when_their_leases_end),
        client_unit_test(a_permit_that_was_taken_away_is_lost_and_not_made_anew),
        client_unit_test(readers_are_many_and_a_writer_is_alone),
        client_unit_test(readers_that_come_after_a_writer_wait_for_it_and_then_go_together),
        client_unit_test(readers_behind_a_writer_that_gives_up_go_on),
        client_unit_test(a_semaphore_is_shared_with_redis_semaphore),
    };
    signal(SIGPIPE, SIG_IGN); /* a node program may be gone */
    return run_on_both_wires("locks with several holders", tests);
}
