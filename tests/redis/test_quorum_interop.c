/* One lock over three servers between this library and npm's redlock, in both directions. */
#include "node.h"
#include "quorum_test.h"

#define HELD "{\"ok\":true}"
#define REFUSED "{\"ok\":false}"

static void start(node *program)
{
    char others[64];
    snprintf(others, sizeof others, "%u,%u", (unsigned)fixture_endpoint(servers[1], WIRE_TCP)->port,
             (unsigned)fixture_endpoint(servers[2], WIRE_TCP)->port);
    node_start(program, "tests/interop/lock.js", others);
}

static const char *tell(node *program, const char *op, int ttl_ms, int wait_ms)
{
    char line[200];
    snprintf(line, sizeof line,
             "{\"op\":\"%s\",\"kind\":\"quorum\",\"name\":\"job\",\"ttl\":%d,\"wait\":%d}", op,
             ttl_ms, wait_ms);
    return node_ask(program, line);
}

static void each_respects_what_the_other_holds(void **state)
{
    sc_quorum_config config = quorum_config();
    node program;
    voter mine;
    (void)state;
    NEEDS_NODE();
    start(&program);
    voter_open(&mine, false, &config);
    assert_status(SC_OK, sc_quorum_try(mine.quorum));
    assert_string_equal(tell(&program, "acquire", 100000, 0), REFUSED);
    assert_true(sc_quorum_remaining_ms(mine.quorum) > 0);
    assert_status(SC_OK, sc_quorum_extend(mine.quorum, 0)); /* it has taken nothing from us */
    assert_status(SC_OK, sc_quorum_release(mine.quorum));
    assert_string_equal(tell(&program, "acquire", 100000, WAIT_WATCHDOG_MS), HELD);
    assert_status(SC_HELD, sc_quorum_try(mine.quorum));
    assert_string_equal(tell(&program, "extend", 200000, 0), HELD);
    assert_status(SC_HELD, sc_quorum_acquire(mine.quorum, 30));
    assert_string_equal(tell(&program, "release", 0, 0), HELD);
    assert_status(SC_OK, sc_quorum_acquire(mine.quorum, -1));
    voter_close(&mine);
    node_end(&program);
}

/* By a majority, while one server is another's. */
static void a_majority_is_enough_for_both(void **state)
{
    sc_quorum_config config = quorum_config();
    node program;
    voter mine;
    (void)state;
    NEEDS_NODE();
    start(&program);
    voter_open(&mine, false, &config);
    block(1);
    assert_status(SC_OK, sc_quorum_acquire(mine.quorum, -1));
    assert_string_equal(tell(&program, "acquire", 100000, 0), REFUSED);
    assert_status(SC_OK, sc_quorum_release(mine.quorum));
    assert_string_equal(tell(&program, "acquire", 100000, WAIT_WATCHDOG_MS), HELD);
    unblock(1);
    assert_status(SC_HELD, sc_quorum_try(mine.quorum));
    voter_close(&mine);
    node_end(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        quorum_unit_test(each_respects_what_the_other_holds),
        quorum_unit_test(a_majority_is_enough_for_both),
    };
    signal(SIGPIPE, SIG_IGN); /* a node program may be gone */
    return run_quorum_tests("quorum locks shared with node", tests);
}
