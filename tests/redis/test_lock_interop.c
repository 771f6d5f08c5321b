/* One lock between this library and npm's redlock and redis-semaphore, in both directions. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "lock_test.h"
#include "node.h"

/* A package's lock: the name that it is given, the key that this makes. */
typedef struct package {
    const char *kind;
    const char *key;
    bool tells; /* an extension or release of what is not held any more is refused */
} package;

static const package packages[] = {{"redlock", "job", true}, {"mutex", "mutex:job", false}};

static const char *tell(node *program, const package *with, const char *op, int ttl_ms, int wait_ms)
{
    char line[200];
    snprintf(line, sizeof line,
             "{\"op\":\"%s\",\"kind\":\"%s\",\"name\":\"job\",\"ttl\":%d,\"wait\":%d}", op,
             with->kind, ttl_ms, wait_ms);
    return node_ask(program, line);
}

#define HELD "{\"ok\":true}"
#define REFUSED "{\"ok\":false}"

static void each_respects_what_the_other_holds(void **state)
{
    node program;
    (void)state;
    NEEDS_NODE();
    node_start(&program, "tests/interop/lock.js", NULL);
    for (size_t i = 0; i < COUNT_OF(packages); i++) {
        const package *with = &packages[i];
        contender mine;
        contender_open_key(&mine, test.client, with->key);
        assert_status(SC_OK, sc_lock_try(mine.lock));
        assert_string_equal(tell(&program, with, "acquire", 100000, 0), REFUSED);
        expect_holder(with->key, &mine);
        assert_status(SC_OK, sc_lock_release(mine.lock));
        assert_string_equal(tell(&program, with, "acquire", 100000, WAIT_WATCHDOG_MS), HELD);
        assert_status(SC_HELD, sc_lock_try(mine.lock));
        assert_string_equal(tell(&program, with, "release", 0, 0), HELD);
        assert_status(SC_OK, sc_lock_try(mine.lock));
        contender_close(&mine);
    }
    node_end(&program);
}

static void who_waits_gets_what_the_other_releases(void **state)
{
    node program;
    (void)state;
    NEEDS_NODE();
    node_start(&program, "tests/interop/lock.js", NULL);
    for (size_t i = 0; i < COUNT_OF(packages); i++) {
        const package *with = &packages[i];
        sc_lock_config config = lock_config(with->key);
        contender mine;
        config.poll_ms = 10; /* it sends no message */
        contender_open(&mine, test.client, &config);
        assert_string_equal(tell(&program, with, "acquire", 100000, WAIT_WATCHDOG_MS), HELD);
        contender_start(&mine, -1);
        WAIT_UNTIL(contender_sleeps(&mine));
        assert_string_equal(tell(&program, with, "release", 0, 0), HELD);
        contender_join(&mine, SC_OK);
        char line[200];
        snprintf(line, sizeof line,
                 "{\"op\":\"acquire\",\"kind\":\"%s\",\"name\":\"job\",\"ttl\":100000,"
                 "\"wait\":%d}",
                 with->kind, WAIT_WATCHDOG_MS);
        node_tell(&program, line);
        assert_status(SC_OK, sc_lock_release(mine.lock));
        assert_string_equal(node_read(&program), HELD);
        assert_status(SC_HELD, sc_lock_try(mine.lock));
        contender_close(&mine);
    }
    node_end(&program);
}

static void a_lease_of_the_other_that_ends_is_taken_over(void **state)
{
    node program;
    (void)state;
    NEEDS_NODE();
    node_start(&program, "tests/interop/lock.js", NULL);
    for (size_t i = 0; i < COUNT_OF(packages); i++) {
        const package *with = &packages[i];
        contender mine;
        contender_open_key(&mine, test.client, with->key); /* no poll bound helps */
        assert_string_equal(tell(&program, with, "acquire", 2000, WAIT_WATCHDOG_MS), HELD);
        assert_status(SC_OK, sc_lock_acquire(mine.lock, -1));
        /* it does not take from us what it has lost */
        assert_string_equal(tell(&program, with, "release", 0, 0), with->tells ? REFUSED : HELD);
        if (with->tells)
            assert_string_equal(tell(&program, with, "extend", 1000, 0), REFUSED);
        expect_holder(with->key, &mine);
        contender_close(&mine);
    }
    node_end(&program);
}

/* Of a key that the other has taken over, nothing is released, renewed or made anew. */
static void we_do_not_take_from_the_other_what_we_have_lost(void **state)
{
    node program;
    (void)state;
    NEEDS_NODE();
    node_start(&program, "tests/interop/lock.js", NULL);
    for (size_t i = 0; i < COUNT_OF(packages); i++) {
        const package *with = &packages[i];
        contender mine;
        contender_open_key(&mine, test.client, with->key);
        assert_status(SC_OK, sc_lock_try(mine.lock));
        fixture_command(test.server, "DEL", with->key, (const char *)NULL);
        assert_string_equal(tell(&program, with, "acquire", 100000, WAIT_WATCHDOG_MS), HELD);
        assert_status(SC_LOST, i ? sc_lock_extend(mine.lock, 0) : sc_lock_release(mine.lock));
        assert_status(SC_HELD, sc_lock_try(mine.lock));
        if (with->tells)
            assert_string_equal(tell(&program, with, "extend", 100000, 0), HELD);
        contender_close(&mine);
        assert_int_equal(fixture_number("EXISTS", with->key), 1);
    }
    node_end(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        client_unit_test(each_respects_what_the_other_holds),
        client_unit_test(who_waits_gets_what_the_other_releases),
        client_unit_test(a_lease_of_the_other_that_ends_is_taken_over),
        client_unit_test(we_do_not_take_from_the_other_what_we_have_lost),
    };
    signal(SIGPIPE, SIG_IGN); /* a node program may be gone */
    return run_on_both_wires("locks shared with node", tests);
}
