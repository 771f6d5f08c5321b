/* The log when the disk is full, fails, is slow; when memory is short. And its syncs. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "log_test.h"
#include "wait.h"

#include <unistd.h>

#define REFUSED "-MISCONF Errors writing to the log: "

static size_t size_of(const char *name)
{
    size_t size;
    assert_non_null(disk_look(&on.disk, name, &size));
    return size;
}

static void assert_refuses(const char *line, const char *why)
{
    const char *reply = log_ask(line);
    assert_non_null(reply);
    if (strncmp(reply, REFUSED, strlen(REFUSED)) != 0 || !strstr(reply, why))
        fail_msg("%s: %s", line, reply);
}

/* Cut off without an answer. */
static void assert_unanswered(const char *line)
{
    assert_null(log_ask(line));
}

static void fill_the_disk(void)
{
    disk_set_room(&on.disk, 0);
}

/* Without room in advance. */
static void open_without_reserve(void)
{
    on.disk.has_no_reserve = true;
    log_open();
}

/* A command with a long value. */
static const char *ask_long(const char *command, const char *key, size_t size)
{
    static char line[4096];
    size_t len = (size_t)snprintf(line, sizeof line, "%s %s ", command, key);
    assert_true(len + size < sizeof line);
    memset(line + len, 'v', size);
    line[len + size] = '\0';
    return line;
}

/* --- a full disk */

static void on_a_full_disk_writes_are_refused_and_change_nothing(void **state)
{
    (void)state;
    log_open();
    log_do("SET a 1");
    fill_the_disk();
    /* What was reserved is there for all, for the shorter ones a little longer. */
    while (log_ask(ask_long("SET", "b", 4000))[0] != '-')
        continue;
    while (log_ask("SET b 1")[0] != '-')
        continue;
    uint64_t before = log_state();
    size_t size = size_of("log");
    assert_refuses("SET a 2", "no space left on the disk");
    assert_log_reply("GET a", "$1\r\n1\r\n");
    assert_true(log_state() == before);
    assert_int_equal(size_of("log"), size);
    const char *words = NULL;
    assert_int_equal(sci_log_failed_ms(test.server->log, &words), test.now_ms);
    assert_non_null(strstr(words, "no space left on the disk"));
    assert_noted("cannot be written, writes are refused: no space left on the disk");
    log_kill();
    log_open();
    assert_true(log_state() == before);
}

static void with_room_again_writes_are_taken_again(void **state)
{
    (void)state;
    log_open();
    fill_the_disk();
    while (log_ask(ask_long("APPEND", "a", 4000))[0] != '-')
        continue;
    disk_set_room(&on.disk, 1000000);
    assert_refuses("SET a 1", "no space left"); /* it is asked now and then only */
    log_advance(100);
    log_do("SET a 1");
    assert_int_equal(sci_log_failed_ms(test.server->log, NULL), 0);
    assert_noted("can be written again");
}

static void without_anybody_asking_it_sees_that_there_is_room(void **state)
{
    (void)state;
    log_open();
    fill_the_disk();
    while (log_ask(ask_long("APPEND", "a", 4000))[0] != '-')
        continue;
    log_pass(1000);
    assert_true(sci_log_failed_ms(test.server->log, NULL) != 0);
    disk_set_room(&on.disk, 1000000);
    log_pass(200);
    assert_int_equal(sci_log_failed_ms(test.server->log, NULL), 0);
}

static void little_room_is_used_to_the_end(void **state)
{
    (void)state;
    log_open();
    log_do("SET a 1");
    disk_set_room(&on.disk, 3000);
    size_t written = 0;
    while (log_ask(ask_long("SET", "a", 1000))[0] == '+')
        written += 1000;
    assert_true(written > (size_t)200 << 10);
    assert_true(disk_room(&on.disk) < 3000);
}

static void a_command_that_alone_is_too_long_is_refused_alone(void **state)
{
    char *long_value = (char *)malloc(2000000);
    (void)state;
    assert_non_null(long_value);
    disk_set_room(&on.disk, 1000000);
    log_open();
    size_t len = (size_t)sprintf(long_value, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1900000\r\n");
    memset(long_value + len, 'v', 1900000);
    memcpy(long_value + len + 1900000, "\r\n", 2);
    sci_session *session = session_new();
    sci_session_feed(session, sc_bytes(long_value, len + 1900002));
    assert_int_equal(strncmp(session_take(session), REFUSED, strlen(REFUSED)), 0);
    free(long_value);
    log_do("SET a 1");
    assert_int_equal(sci_log_failed_ms(test.server->log, NULL), 0);
}

static void room_that_was_reserved_is_given_back(void **state)
{
    (void)state;
    log_open();
    log_do("SET a 1");
    assert_true(disk_room(&on.disk) < LOG_TEST_ROOM - 100000);
    log_close();
    assert_int_equal(disk_room(&on.disk), LOG_TEST_ROOM - size_of("log"));
}

static void a_full_disk_that_was_not_foreseen_answers_nobody(void **state)
{
    (void)state;
    open_without_reserve();
    log_do("SET a 1");
    uint64_t before = log_state();
    size_t size = size_of("log");
    disk_set_room(&on.disk, 50);
    assert_unanswered("SET a 2");
    assert_int_equal(size_of("log"), size); /* the half that fitted was cut off */
    assert_refuses("SET a 3", "no space left on the disk");
    log_kill();
    log_open();
    assert_true(log_state() == before);
}

static void what_could_not_be_written_is_written_later_in_order(void **state)
{
    (void)state;
    open_without_reserve();
    log_do("SET a 1");
    disk_set_room(&on.disk, 50);
    assert_unanswered("APPEND a 2");
    log_advance(100);
    assert_refuses("APPEND a x", "no space left on the disk");
    disk_set_room(&on.disk, 100000);
    log_advance(100);
    log_do("APPEND a 3");
    assert_log_reply("GET a", "$3\r\n123\r\n");
    log_kill();
    log_open();
    assert_log_reply("GET a", "$3\r\n123\r\n");
}

/* --- a disk that fails */

static void a_sync_that_fails_takes_the_batch_back(void **state)
{
    (void)state;
    log_open();
    log_do("SET a 1");
    size_t size = size_of("log");
    disk_fail(&on.disk, 1u << DISK_SYNC, 1, false);
    assert_unanswered("APPEND a 2");
    assert_int_equal(size_of("log"), size);
    assert_refuses("APPEND a x", "the disk failed as it was asked to");
    log_advance(100);
    log_do("APPEND a 3");
    log_kill();
    log_open();
    assert_log_reply("GET a", "$3\r\n123\r\n");
}

static void readers_of_what_failed_are_answered(void **state)
{
    sci_session *reader;
    (void)state;
    log_open();
    reader = session_new();
    disk_fail(&on.disk, 1u << DISK_APPEND, 1, true);
    sci_session_feed(reader, sc_text("GET a\r\n"));
    assert_unanswered("SET a 1");
    assert_string_equal(session_take(reader), "$-1\r\n");
    disk_fail(&on.disk, 0, 0, false);
}

static void half_a_batch_that_cannot_be_cut_is_cut_before_the_next(void **state)
{
    (void)state;
    log_open();
    log_do("SET a 1");
    disk_fail(&on.disk, 1u << DISK_APPEND | 1u << DISK_CUT, 1, true);
    assert_unanswered("APPEND a 2");
    log_advance(100);
    assert_refuses("APPEND a x", "the disk failed");
    disk_fail(&on.disk, 0, 0, false);
    log_advance(100);
    log_do("APPEND a 3");
    log_kill();
    on.notes[0] = '\0';
    log_open();
    assert_string_equal(on.notes, "");
    assert_log_reply("GET a", "$3\r\n123\r\n");
}

static void after_a_failed_sync_of_a_second_all_is_written_anew(void **state)
{
    (void)state;
    on.sync = SC_SYNC_EVERY_SECOND;
    log_open();
    log_do("SET a 1");
    disk_fail(&on.disk, 1u << DISK_SYNC | 1u << DISK_RENAME, 1, true);
    log_pass(100);
    assert_refuses("SET a 2", "the disk failed");
    log_pass(5000);
    assert_refuses("SET a 2", "the disk failed");
    disk_fail(&on.disk, 0, 0, false);
    log_pass(61000);
    log_do("SET b 2");
    log_pass(2000);
    uint64_t before = log_state();
    /* What that sync was for has never come to the disk, only what was written anew. */
    log_kill();
    disk_crash(&on.disk, 0);
    log_open();
    assert_true(log_state() == before);
}

static void a_folder_that_cannot_be_synced_holds_answers_back(void **state)
{
    (void)state;
    log_open();
    log_do("SET a 1");
    assert_int_equal(sci_log_rewrite(test.server->log), SC_OK);
    disk_fail(&on.disk, 1u << DISK_SYNC_FOLDER, 1, true);
    log_pass(0);
    assert_false(sci_log_is_rewriting(test.server->log));
    assert_unanswered("SET a 2");
    disk_fail(&on.disk, 0, 0, false);
    log_advance(100);
    log_do("SET a 3");
    log_kill();
    disk_crash(&on.disk, 0);
    log_open();
    assert_log_reply("GET a", "$1\r\n3\r\n");
}

/* --- memory */

static void a_command_that_is_lost_for_want_of_memory_stops_all_until_written_anew(void **state)
{
    (void)state;
    log_open();
    log_do("SET a 1");
    uint64_t before = log_state();
    sc_slice words[] = {sc_text("SET"), sc_text("b"), sc_text("2")};
    fault_memory_fail(&test.memory, 1, true);
    test.server->log->live.pending.memory.resize(test.memory.table.user, NULL, 0, 0);
    sci_bytes_free(&test.server->log->live.pending);
    sci_log_append(test.server->log, 0, words, 3);
    fault_memory_fail(&test.memory, 0, false);
    assert_int_equal(sci_log_commit(test.server->log), SC_ERR_IO);
    assert_non_null(strstr(sc_error_text(), "out of memory"));
    assert_refuses("SET c 3", "out of memory");
    size_t size = size_of("log");
    sci_log_append(test.server->log, 0, words, 3);
    assert_int_equal(sci_log_commit(test.server->log), SC_ERR_IO);
    assert_int_equal(size_of("log"), size);
    log_pass(0);
    log_do("SET c 3");
    assert_true(log_state() != before);
    before = log_state();
    log_kill();
    log_open();
    assert_true(log_state() == before);
}

/* --- syncs */

static void always_syncs_each_batch_before_it_is_answered(void **state)
{
    (void)state;
    log_open();
    for (int i = 0; i < 5; i++) {
        size_t syncs = disk_calls(&on.disk, DISK_SYNC);
        log_do("INCR a");
        assert_int_equal(disk_calls(&on.disk, DISK_SYNC), syncs + 1);
    }
    size_t syncs = disk_calls(&on.disk, DISK_SYNC);
    log_do("GET a");
    assert_int_equal(disk_calls(&on.disk, DISK_SYNC), syncs);
    uint64_t before = log_state();
    log_kill();
    disk_crash(&on.disk, 0);
    log_open();
    assert_true(log_state() == before);
}

static void every_second_syncs_once_a_second_when_there_is_something(void **state)
{
    (void)state;
    on.sync = SC_SYNC_EVERY_SECOND;
    log_open();
    log_pass(1000);
    size_t syncs = disk_calls(&on.disk, DISK_SYNC);
    for (int i = 0; i < 100; i++) {
        log_do("INCR a");
        log_pass(50);
    }
    assert_in_range(disk_calls(&on.disk, DISK_SYNC) - syncs, 5, 6);
    log_pass(2000);
    syncs = disk_calls(&on.disk, DISK_SYNC);
    log_pass(10000);
    assert_int_equal(disk_calls(&on.disk, DISK_SYNC), syncs);
    log_do("INCR a");
    log_pass(1000);
    uint64_t before = log_state();
    log_do("INCR a");
    log_kill();
    disk_crash(&on.disk, 0);
    log_open();
    assert_true(log_state() == before);
}

static void every_second_syncs_what_expired_although_nothing_else_comes(void **state)
{
    (void)state;
    on.sync = SC_SYNC_EVERY_SECOND;
    log_open();
    log_do("SET a 1 PX 5000");
    log_pass(4999);
    size_t syncs = disk_calls(&on.disk, DISK_SYNC);
    log_advance(1);
    int64_t end_ms = test.now_ms + 1000;
    sci_ticker_run(test.server);
    while (disk_calls(&on.disk, DISK_SYNC) == syncs) {
        assert_in_range(test.server->ticker.due_ns / 1000000, test.now_ms, end_ms);
        log_advance(test.server->ticker.due_ns / 1000000 - test.now_ms);
        sci_ticker_run(test.server);
    }
    assert_log_reply("GET a", "$-1\r\n");
}

static void never_syncs_at_the_beginning_and_the_end(void **state)
{
    (void)state;
    on.sync = SC_SYNC_NEVER;
    log_open();
    size_t syncs = disk_calls(&on.disk, DISK_SYNC);
    log_do("INCR a");
    log_pass(100000);
    assert_int_equal(disk_calls(&on.disk, DISK_SYNC), syncs);
    uint64_t before = log_state();
    log_close();
    disk_crash(&on.disk, 0);
    log_open();
    assert_true(log_state() == before);
}

static void a_slow_sync_stops_nobody_at_first(void **state)
{
    (void)state;
    on.sync = SC_SYNC_EVERY_SECOND;
    on.has_thread = true;
    log_open();
    disk_stop_syncs(&on.disk, true);
    log_do("SET a 1");
    WAIT_UNTIL(disk_syncs_waiting(&on.disk) == 1);
    for (int i = 0; i < 10; i++)
        log_do("INCR a");
    log_advance(1900);
    log_do("INCR a");
    disk_stop_syncs(&on.disk, false);
    WAIT_UNTIL(disk_syncs_waiting(&on.disk) == 0);
}

static void a_sync_that_does_not_end_refuses_writers_and_not_readers(void **state)
{
    (void)state;
    on.sync = SC_SYNC_EVERY_SECOND;
    on.has_thread = true;
    log_open();
    disk_stop_syncs(&on.disk, true);
    log_do("SET a 1");
    WAIT_UNTIL(disk_syncs_waiting(&on.disk) == 1);
    log_advance(5001);
    (void)sci_server_tick(test.server);
    assert_refuses("INCR a", "the disk has not finished a sync for 5 seconds");
    assert_log_reply("GET a", "$1\r\n1\r\n");
    disk_stop_syncs(&on.disk, false);
    WAIT_UNTIL(disk_syncs_waiting(&on.disk) == 0);
    WAIT_UNTIL((log_pass(1000), sci_log_syncer_is_idle(&test.server->log->syncer)));
    log_do("INCR a");
}

static void *end_the_slow_sync(void *user)
{
    (void)user;
    usleep(50000);
    disk_stop_syncs(&on.disk, false);
    return NULL;
}

static void who_writes_waits_for_a_sync_of_two_seconds(void **state)
{
    pthread_t thread;
    (void)state;
    on.sync = SC_SYNC_EVERY_SECOND;
    on.has_thread = true;
    log_open();
    disk_stop_syncs(&on.disk, true);
    log_do("SET a 1");
    WAIT_UNTIL(disk_syncs_waiting(&on.disk) == 1);
    log_advance(3000);
    assert_int_equal(pthread_create(&thread, NULL, end_the_slow_sync, NULL), 0);
    log_do("INCR a");
    assert_int_equal(disk_syncs_waiting(&on.disk), 0);
    pthread_join(thread, NULL);
}

static void the_thread_syncs_without_anybody_calling(void **state)
{
    (void)state;
    on.sync = SC_SYNC_EVERY_SECOND;
    on.has_thread = true;
    log_open();
    size_t syncs = disk_calls(&on.disk, DISK_SYNC);
    log_do("SET a 1");
    WAIT_UNTIL(disk_calls(&on.disk, DISK_SYNC) == syncs + 1);
    WAIT_UNTIL((log_pass(1000), sci_log_syncer_is_idle(&test.server->log->syncer)));
    log_kill();
    disk_crash(&on.disk, 0);
    log_open();
    assert_log_reply("GET a", "$1\r\n1\r\n");
}

static void a_failure_that_the_thread_met_is_known_here(void **state)
{
    (void)state;
    on.sync = SC_SYNC_EVERY_SECOND;
    on.has_thread = true;
    log_open();
    disk_fail(&on.disk, 1u << DISK_SYNC | 1u << DISK_RENAME, 1, true);
    log_do("SET a 1");
    WAIT_UNTIL(sci_log_syncer_look(&test.server->log->syncer).status != SC_OK);
    log_pass(10);
    assert_refuses("SET a 2", "the disk failed");
    disk_fail(&on.disk, 0, 0, false);
    log_advance(100000);
    WAIT_UNTIL((log_pass(10), !sci_log_failed_ms(test.server->log, NULL)));
    log_do("SET a 2");
}

static void the_promise_can_be_changed_at_any_time(void **state)
{
    static const sc_sync promises[] = {SC_SYNC_ALWAYS, SC_SYNC_EVERY_SECOND, SC_SYNC_NEVER,
                                       SC_SYNC_ALWAYS, SC_SYNC_NEVER,        SC_SYNC_EVERY_SECOND};
    (void)state;
    on.sync = SC_SYNC_EVERY_SECOND;
    for (int threads = 0; threads < 2; threads++) {
        on.has_thread = threads != 0;
        log_open();
        for (size_t i = 0; i < SCI_COUNT(promises); i++) {
            log_do("INCR a");
            sci_log_configure(test.server->log, promises[i], UINT64_MAX);
            /* It begins with all on the disk. */
            assert_int_equal(test.server->log->live.durable, size_of("log"));
            size_t syncs = disk_calls(&on.disk, DISK_SYNC);
            log_do("INCR a");
            size_t more = disk_calls(&on.disk, DISK_SYNC) - syncs;
            if (promises[i] != SC_SYNC_EVERY_SECOND)
                assert_int_equal(more, promises[i] == SC_SYNC_ALWAYS ? 1 : 0);
        }
        WAIT_UNTIL((log_pass(1000), test.server->log->live.durable == size_of("log")));
        uint64_t before = log_state();
        log_kill();
        disk_crash(&on.disk, 0);
        log_open();
        assert_true(log_state() == before);
        log_close();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        log_unit_test(on_a_full_disk_writes_are_refused_and_change_nothing),
        log_unit_test(with_room_again_writes_are_taken_again),
        log_unit_test(without_anybody_asking_it_sees_that_there_is_room),
        log_unit_test(little_room_is_used_to_the_end),
        log_unit_test(a_command_that_alone_is_too_long_is_refused_alone),
        log_unit_test(room_that_was_reserved_is_given_back),
        log_unit_test(a_full_disk_that_was_not_foreseen_answers_nobody),
        log_unit_test(what_could_not_be_written_is_written_later_in_order),
        log_unit_test(a_sync_that_fails_takes_the_batch_back),
        log_unit_test(readers_of_what_failed_are_answered),
        log_unit_test(half_a_batch_that_cannot_be_cut_is_cut_before_the_next),
        log_unit_test(after_a_failed_sync_of_a_second_all_is_written_anew),
        log_unit_test(a_folder_that_cannot_be_synced_holds_answers_back),
        log_unit_test(a_command_that_is_lost_for_want_of_memory_stops_all_until_written_anew),
        log_unit_test(always_syncs_each_batch_before_it_is_answered),
        log_unit_test(every_second_syncs_once_a_second_when_there_is_something),
        log_unit_test(every_second_syncs_what_expired_although_nothing_else_comes),
        log_unit_test(never_syncs_at_the_beginning_and_the_end),
        log_unit_test(a_slow_sync_stops_nobody_at_first),
        log_unit_test(a_sync_that_does_not_end_refuses_writers_and_not_readers),
        log_unit_test(who_writes_waits_for_a_sync_of_two_seconds),
        log_unit_test(the_thread_syncs_without_anybody_calling),
        log_unit_test(a_failure_that_the_thread_met_is_known_here),
        log_unit_test(the_promise_can_be_changed_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
