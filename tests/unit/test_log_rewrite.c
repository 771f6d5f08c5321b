/* Rewriting the log: when, what, and that it does no harm. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "log_test.h"
#include "wait.h"

#define MANY 3000 /* keys: many slices of a walk */

static size_t size_of(const char *name)
{
    size_t size;
    return disk_look(&on.disk, name, &size) ? size : 0;
}

static void feed(const char *lines)
{
    sci_session *session = session_new();
    sci_session_feed(session, sc_text(lines));
    sci_server_commit(test.server);
    sci_session_close(session);
}

static void make_many(void)
{
    char line[64];
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(line, sizeof line, "RPUSH l%d a b c\n", i);
        feed(line);
    }
}

static void begin(void)
{
    assert_int_equal(sci_log_rewrite(test.server->log), SC_OK);
    assert_true(sci_log_is_rewriting(test.server->log));
}

static void tick(int times)
{
    for (int i = 0; i < times; i++)
        (void)sci_server_tick(test.server);
}

static void finish(void)
{
    for (int i = 0; sci_log_is_rewriting(test.server->log); i++) {
        assert_true(i < 100000);
        tick(1);
    }
}

/* What is loaded now must be what there is. */
static void reopen_and_compare(void)
{
    uint64_t before = log_state();
    log_kill();
    log_open();
    assert_true(log_state() == before);
}

static void the_past_goes_and_the_data_stay(void **state)
{
    (void)state;
    log_open();
    for (int i = 0; i < 1000; i++)
        log_do("INCR a");
    log_do("SET b 1 PX 5000");
    log_do("SELECT 3");
    log_do("HSET h f v");
    size_t before = size_of("log");
    begin();
    finish();
    assert_true(size_of("log") < before / 50);
    assert_noted("the log log was rewritten: ");
    assert_int_equal(size_of("log.rewrite"), 0);
    log_do("HSET h g w");
    reopen_and_compare();
    assert_log_reply("GET a", "$4\r\n1000\r\n");
    assert_log_reply("PTTL b", ":5000\r\n");
}

static void an_empty_server_has_an_empty_log(void **state)
{
    (void)state;
    log_open();
    size_t empty = size_of("log");
    log_do("SET a 1");
    log_do("DEL a");
    begin();
    finish();
    assert_int_equal(size_of("log"), empty);
    log_do("SET b 1");
    reopen_and_compare();
}

static void it_begins_when_the_log_has_doubled(void **state)
{
    (void)state;
    on.rewrite_bytes = 10000;
    log_open();
    while (size_of("log") < 9900)
        log_do("INCR a");
    log_pass(0);
    assert_false(strstr(on.notes, "rewritten") != NULL);
    log_do("INCR a");
    log_do("INCR a");
    log_pass(0);
    assert_noted("rewritten");
    make_many();
    log_pass(0);
    on.notes[0] = '\0';
    size_t base = test.server->log->rewriting.base_bytes;
    assert_true(base > 10000);
    while (size_of("log") < 2 * base - 200)
        log_do("INCR a");
    log_pass(0);
    assert_string_equal(on.notes, "");
    while (size_of("log") < 2 * base)
        log_do("INCR a");
    log_pass(0);
    assert_noted("rewritten");
}

static void a_log_of_the_past_is_rewritten_when_it_is_opened(void **state)
{
    (void)state;
    log_open();
    for (int i = 0; i < 500; i++)
        log_do("INCR a");
    log_close();
    on.rewrite_bytes = 10000;
    log_open();
    log_pass(0);
    assert_noted("rewritten");
    assert_true(size_of("log") < 500);
}

static void one_at_a_time(void **state)
{
    (void)state;
    log_open();
    make_many();
    begin();
    assert_refused(sci_log_rewrite(test.server->log), SC_HELD, "under way");
    finish();
    begin();
    finish();
}

static void slices_are_short(void **state)
{
    (void)state;
    log_open();
    make_many();
    begin();
    int slices = 0;
    while (sci_log_is_rewriting(test.server->log)) {
        size_t before = size_of("log.rewrite");
        tick(1);
        size_t after = size_of("log.rewrite");
        assert_true(after < before + 100000);
        slices++;
    }
    assert_true(slices > 10);
}

static void what_is_changed_before_its_turn_is_written_before(void **state)
{
    (void)state;
    log_open();
    make_many();
    for (int ticks = 0; ticks < 24; ticks += 3) {
        begin();
        tick(ticks);
        for (int i = 0; i < MANY; i += 7) {
            char line[256];
            (void)snprintf(line, sizeof line,
                           "RPUSH l%d d\nLPOP l%d\nDEL l%d\nRENAME l%d m%d\nCOPY l%d c%d REPLACE\n"
                           "LMOVE l%d new%d LEFT LEFT\nRPUSH fresh%d a\n",
                           i, i + 1, i + 2, i + 3, i, i + 4, i, i + 5, i, i);
            feed(line);
        }
        finish();
        reopen_and_compare();
    }
}

static void what_is_only_read_is_written_before_too(void **state)
{
    (void)state;
    log_open();
    make_many();
    log_do("SADD a 1 2 3");
    log_do("SADD b 2 3 4");
    log_do("ZADD z 1 x 2 y");
    log_do("SET s abc");
    begin();
    log_do("SINTERSTORE i a b");
    log_do("SUNIONSTORE u a b");
    log_do("ZUNIONSTORE zu 2 z a");
    log_do("ZRANGESTORE zr z 0 0");
    log_do("COPY s t");
    finish();
    reopen_and_compare();
    assert_log_reply("SCARD i", ":2\r\n");
    assert_log_reply("GET t", "$3\r\nabc\r\n");
}

static void flushing_in_the_middle(void **state)
{
    static const char *const flushes[] = {"FLUSHALL", "FLUSHDB", "SELECT 1\nFLUSHDB\n"};
    (void)state;
    log_open();
    for (size_t i = 0; i < SCI_COUNT(flushes); i++) {
        make_many();
        feed("SELECT 1\nSET a 1\n");
        begin();
        tick(5);
        feed(flushes[i]);
        feed("RPUSH l1 new\nSET b 1\n");
        tick(2);
        feed("RPUSH l1 newer\n");
        finish();
        reopen_and_compare();
    }
}

static void exchanging_databases_in_the_middle(void **state)
{
    (void)state;
    log_open();
    make_many();
    feed("SELECT 5\nRPUSH l1 five\nSELECT 9\nSET nine 9\n");
    for (int ticks = 1; ticks < 25; ticks += 4) {
        begin();
        tick(ticks);
        feed("SWAPDB 0 5\nRPUSH l1 x\nSWAPDB 5 9\nSELECT 9\nRPUSH l1 y\n");
        tick(3);
        feed("SWAPDB 0 9\nRPUSH l1 z\n");
        finish();
        reopen_and_compare();
    }
}

static void transactions_in_the_middle(void **state)
{
    (void)state;
    log_open();
    make_many();
    begin();
    tick(3);
    feed("MULTI\nRPUSH l5 x\nRPUSH l2500 y\nSELECT 2\nSET a 1\nEXEC\n");
    tick(3);
    feed("MULTI\nDEL l7\nRPUSH l7 z\nEXEC\n");
    finish();
    reopen_and_compare();
}

static void a_long_entry_is_written_in_pieces(void **state)
{
    char line[128];
    (void)state;
    log_open();
    for (int i = 0; i < 20000; i++) {
        (void)snprintf(line, sizeof line, "RPUSH long %040d\nHSET map f%d %040d\n", i, i, i);
        feed(line);
    }
    begin();
    finish();
    assert_true(size_of("log") > 1500000);
    reopen_and_compare();
}

static void closing_in_the_middle_leaves_the_old_log(void **state)
{
    (void)state;
    log_open();
    make_many();
    uint64_t before = log_state();
    begin();
    tick(3);
    log_close();
    assert_int_equal(size_of("log.rewrite"), 0);
    log_open();
    assert_true(log_state() == before);
}

static void a_crash_at_any_time_loses_nothing(void **state)
{
    (void)state;
    log_open();
    make_many();
    for (uint64_t bytes = 0;; bytes += 7919) {
        uint64_t before = log_state();
        begin();
        disk_die_after(&on.disk, bytes);
        for (int i = 0; i < 200 && sci_log_is_rewriting(test.server->log); i++)
            tick(1);
        bool was_done = !on.disk.is_dead;
        log_kill();
        disk_crash(&on.disk, bytes % 2 ? bytes : 0);
        log_open();
        assert_true(log_state() == before);
        if (was_done)
            break;
    }
}

static void each_failure_gives_it_up_without_harm(void **state)
{
    (void)state;
    log_open();
    make_many();
    for (size_t call = 1;; call++) {
        on.notes[0] = '\0';
        /* Not what commits need: that is another story. */
        disk_fail(&on.disk, DISK_ALL & ~(1u << DISK_REMOVE), call, false);
        sc_status status = sci_log_rewrite(test.server->log);
        if (status == SC_OK)
            finish();
        else
            assert_int_equal(status, SC_ERR_IO);
        disk_fail(&on.disk, 0, 0, false);
        assert_int_equal(size_of("log.rewrite"), 0);
        if (strstr(on.notes, "rewritten")) {
            assert_true(call > 5);
            break;
        }
        assert_noted("was given up: the disk failed as it was asked to");
        log_do("INCR a");
        reopen_and_compare();
    }
    log_do("INCR a");
    reopen_and_compare();
}

static void each_missing_block_gives_it_up_without_harm(void **state)
{
    (void)state;
    log_open();
    for (int i = 0; i < 20; i++)
        feed("RPUSH l a\nHSET h f 1\nSADD s 1 2\nZADD z 1 m\n");
    for (size_t request = 1;; request++) {
        on.notes[0] = '\0';
        fault_memory_fail(&test.memory, request, false);
        sc_status status = sci_log_rewrite(test.server->log);
        if (status == SC_OK)
            finish();
        else
            assert_int_equal(status, SC_ERR_MEMORY);
        fault_memory_fail(&test.memory, 0, false);
        assert_int_equal(size_of("log.rewrite"), 0);
        if (strstr(on.notes, "rewritten"))
            break;
        assert_noted("was given up: out of memory");
        log_do("INCR a");
    }
    reopen_and_compare();
}

static void on_a_full_disk_it_makes_way_for_the_log(void **state)
{
    (void)state;
    log_open();
    make_many();
    log_do("SET a 1");
    /* What is left is for one of the two. */
    disk_set_room(&on.disk, 30000);
    begin();
    tick(5);
    while (sci_log_is_rewriting(test.server->log) || size_of("log.rewrite") > 0) {
        feed(
            "APPEND a vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv\n");
        tick(1);
        assert_true(size_of("log") < 10000000);
    }
    assert_noted("was given up: no space left on the disk");
    assert_int_equal(sci_log_failed_ms(test.server->log, NULL), 0);
    reopen_and_compare();
}

static void after_a_failure_it_waits_before_it_tries_again(void **state)
{
    (void)state;
    on.rewrite_bytes = 5000;
    log_open();
    disk_fail(&on.disk, 1u << DISK_RENAME, 1, true);
    while (size_of("log") < 6000)
        log_do("INCR a");
    log_pass(30000);
    size_t tries = disk_calls(&on.disk, DISK_RENAME);
    assert_in_range(tries, 3, 8);
    disk_fail(&on.disk, 0, 0, false);
    log_pass(60000);
    assert_noted("rewritten");
    assert_int_equal(disk_calls(&on.disk, DISK_RENAME), tries + 1);
}

/* The marks of entries are numbers up to 255. */
static void hundreds_of_rewritings_lose_nothing(void **state)
{
    (void)state;
    log_open();
    feed("SET rarely 1\nRPUSH l a b\n");
    for (int i = 0; i < 600; i++) {
        begin();
        if (i % 3 == 0) {
            sci_rewriting_give_up(test.server->log, "the test");
        } else {
            tick(i % 4);
            feed("INCR often\n");
            finish();
        }
        if (i % 50 == 49)
            reopen_and_compare();
        on.notes[0] = '\0';
    }
    reopen_and_compare();
    begin();
    finish();
    reopen_and_compare();
    assert_log_reply("GET rarely", "$1\r\n1\r\n");
}

static void many_that_fail_do_not_hide_what_was_not_written(void **state)
{
    (void)state;
    log_open();
    make_many();
    for (int i = 0; i < 520; i++) {
        begin();
        tick(i % 3);
        sci_rewriting_give_up(test.server->log, "the test");
        on.notes[0] = '\0';
    }
    begin();
    finish();
    reopen_and_compare();
}

static void with_a_thread_the_long_sync_stops_nobody(void **state)
{
    (void)state;
    on.has_thread = true;
    on.sync = SC_SYNC_EVERY_SECOND;
    log_open();
    make_many();
    WAIT_UNTIL((log_pass(1000), sci_log_syncer_is_idle(&test.server->log->syncer)));
    begin();
    disk_stop_syncs(&on.disk, true);
    WAIT_UNTIL((log_pass(10), disk_syncs_waiting(&on.disk) > 0));
    for (int i = 0; i < 20; i++) {
        log_do("INCR a");
        tick(1);
    }
    assert_true(sci_log_is_rewriting(test.server->log));
    disk_stop_syncs(&on.disk, false);
    WAIT_UNTIL((log_pass(10), !sci_log_is_rewriting(test.server->log)));
    log_do("INCR a");
    reopen_and_compare();
}

static void with_a_thread_closing_waits_for_the_long_sync(void **state)
{
    (void)state;
    on.has_thread = true;
    on.sync = SC_SYNC_NEVER;
    log_open();
    make_many();
    uint64_t before = log_state();
    for (int i = 0; i < 10; i++) {
        begin();
        for (int ticks = 0; ticks < 30 + i; ticks++)
            tick(1);
        log_close();
        log_open();
        assert_true(log_state() == before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        log_unit_test(the_past_goes_and_the_data_stay),
        log_unit_test(an_empty_server_has_an_empty_log),
        log_unit_test(it_begins_when_the_log_has_doubled),
        log_unit_test(a_log_of_the_past_is_rewritten_when_it_is_opened),
        log_unit_test(one_at_a_time),
        log_unit_test(slices_are_short),
        log_unit_test(what_is_changed_before_its_turn_is_written_before),
        log_unit_test(what_is_only_read_is_written_before_too),
        log_unit_test(flushing_in_the_middle),
        log_unit_test(exchanging_databases_in_the_middle),
        log_unit_test(transactions_in_the_middle),
        log_unit_test(a_long_entry_is_written_in_pieces),
        log_unit_test(closing_in_the_middle_leaves_the_old_log),
        log_unit_test(a_crash_at_any_time_loses_nothing),
        log_unit_test(each_failure_gives_it_up_without_harm),
        log_unit_test(each_missing_block_gives_it_up_without_harm),
        log_unit_test(on_a_full_disk_it_makes_way_for_the_log),
        log_unit_test(after_a_failure_it_waits_before_it_tries_again),
        log_unit_test(hundreds_of_rewritings_lose_nothing),
        log_unit_test(many_that_fail_do_not_hide_what_was_not_written),
        log_unit_test(with_a_thread_the_long_sync_stops_nobody),
        log_unit_test(with_a_thread_closing_waits_for_the_long_sync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
