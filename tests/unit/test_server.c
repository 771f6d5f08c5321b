/* The embedded server's core: sessions, dispatch, transactions, waiting, native scripts. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "server_test.h"

#define TOKEN_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define TOKEN_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* --- dispatch */

static void an_unknown_command_is_quoted(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "nonsense a b",
                 "-ERR unknown command 'nonsense', with args beginning with: 'a' 'b' \r\n");
    assert_reply(session, "nonsense",
                 "-ERR unknown command 'nonsense', with args beginning with: \r\n");
}

static void a_wrong_number_of_words_is_refused(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "MULTI now", "-ERR wrong number of arguments for 'multi' command\r\n");
    assert_reply(session, "GET", "-ERR wrong number of arguments for 'get' command\r\n");
}

static void commands_that_come_byte_by_byte_are_executed_once(void **state)
{
    static const char text[] = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n1\n\r\nINCR b\r\n*2\r\n$3\r\n"
                               "GET\r\n$1\r\na\r\n";
    sci_session *session = session_new();
    (void)state;
    for (size_t i = 0; i < sizeof text - 1; i++)
        sci_session_feed(session, sc_bytes(text + i, 1));
    assert_string_equal(session_take(session), "+OK\r\n:1\r\n$2\r\n1\n\r\n");
}

static void what_is_no_command_ends_the_session(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "*1\r\nGET", "-ERR Protocol error: expected '$', got 'G'\r\n");
    assert_true(session->is_ended);
    assert_true(sci_session_is_over(session));
    assert_reply(session, "PING", "");
}

static void without_the_password_nothing_is_executed(void **state)
{
    sc_server_config config;
    (void)state;
    sci_server_free(test.server);
    config = server_test_config();
    config.password = "secret";
    assert_int_equal(sci_server_create(&config, &test.server), SC_OK);
    sci_session *session = session_new();
    assert_reply(session, "GET a", "-NOAUTH Authentication required.\r\n");
    assert_reply(session, "AUTH wrong",
                 "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    assert_reply(session, "AUTH secret", "+OK\r\n");
    assert_reply(session, "GET a", "$-1\r\n");
}

static void sessions_beyond_the_limit_are_refused(void **state)
{
    sc_server_config config;
    (void)state;
    sci_server_free(test.server);
    config = server_test_config();
    config.max_clients = 1;
    assert_int_equal(sci_server_create(&config, &test.server), SC_OK);
    sci_session *session = session_new();
    assert_null(sci_session_open(test.server, "second", false, NULL, NULL));
    assert_string_equal(sc_error_text(), "ERR max number of clients reached");
    sci_session_close(session);
    assert_non_null(session_new());
}

static void a_session_whose_answers_are_not_taken_executes_no_more(void **state)
{
    sc_server_config config;
    (void)state;
    sci_server_free(test.server);
    config = server_test_config();
    config.max_output_bytes = 64;
    assert_int_equal(sci_server_create(&config, &test.server), SC_OK);
    sci_session *session = session_new();
    assert_reply(session, "SET a 0", "+OK\r\n");
    for (int i = 0; i < 40; i++)
        sci_session_feed(session, sc_text("INCR a\r\n"));
    assert_true(sci_bytes_len(&session->out) < 128);
    size_t replies = 0;
    while (sci_bytes_len(&session->out) > 0) {
        const char *out = session_take(session);
        for (const char *at = strchr(out, ':'); at; at = strchr(at + 1, ':'))
            replies++;
        sci_session_run(session);
    }
    assert_int_equal(replies, 40);
}

/* --- transactions */

static void a_transaction_is_executed_at_once(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "MULTI", "+OK\r\n");
    assert_reply(session, "SET a 1", "+QUEUED\r\n");
    assert_reply(session, "INCR a", "+QUEUED\r\n");
    assert_reply(session, "LPUSH a x", "+QUEUED\r\n");
    assert_reply(session, "EXEC",
                 "*3\r\n+OK\r\n:2\r\n-WRONGTYPE Operation against a key holding the wrong kind of "
                 "value\r\n");
    assert_reply(session, "EXEC", "-ERR EXEC without MULTI\r\n");
}

static void a_refused_command_fails_the_transaction(void **state)
{
    sci_session *session = session_new();
    (void)state;
    session_ask(session, "MULTI");
    session_ask(session, "SET a 1");
    assert_reply(session, "GET", "-ERR wrong number of arguments for 'get' command\r\n");
    assert_reply(session, "EXEC",
                 "-EXECABORT Transaction discarded because of previous errors.\r\n");
    assert_reply(session, "GET a", "$-1\r\n");
}

static void a_transaction_that_will_fail_keeps_nothing(void **state)
{
    sci_session *session = session_new();
    (void)state;
    session_ask(session, "MULTI");
    assert_reply(session, "SET a 1", "+QUEUED\r\n");
    session_ask(session, "GET");
    assert_reply(session, "SET b 1", "+QUEUED\r\n");
    assert_int_equal(session->transaction.count, 1);
    session_ask(session, "DISCARD");
    session_ask(session, "WATCH a");
    session_ask(session_new(), "SET a 2");
    session_ask(session, "MULTI");
    assert_reply(session, "SET b 1", "+QUEUED\r\n");
    assert_int_equal(session->transaction.count, 0);
    assert_reply(session, "EXEC", "*-1\r\n");
}

static void an_exec_that_is_refused_ends_the_transaction(void **state)
{
    sci_session *session = session_new();
    (void)state;
    session_ask(session, "MULTI");
    session_ask(session, "SET a 1");
    assert_reply(
        session, "EXEC now",
        "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' "
        "command\r\n");
    assert_reply(session, "EXEC", "-ERR EXEC without MULTI\r\n");
    session_ask(session, "SUBSCRIBE a");
    assert_reply(session, "EXEC",
                 "-EXECABORT Transaction discarded because of: Can't execute 'exec': only "
                 "(P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this "
                 "context\r\n");
}

static void a_watched_key_that_changed_stops_the_transaction(void **state)
{
    sci_session *session = session_new();
    sci_session *other = session_new();
    (void)state;
    assert_reply(session, "WATCH a b", "+OK\r\n");
    assert_reply(other, "SET b 1", "+OK\r\n");
    session_ask(session, "MULTI");
    session_ask(session, "SET a 2");
    assert_reply(session, "EXEC", "*-1\r\n");
    assert_reply(session, "GET a", "$-1\r\n");
}

static void a_watched_key_of_another_database_is_another_key(void **state)
{
    sci_session *session = session_new();
    sci_session *other = session_new();
    (void)state;
    assert_reply(session, "WATCH a", "+OK\r\n");
    assert_reply(other, "SELECT 1", "+OK\r\n");
    assert_reply(other, "SET a 1", "+OK\r\n");
    session_ask(session, "MULTI");
    session_ask(session, "SET a 2");
    assert_reply(session, "EXEC", "*1\r\n+OK\r\n");
}

static void a_watched_key_that_expired_stops_the_transaction(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "SET a 1 PX 100", "+OK\r\n");
    assert_reply(session, "WATCH a", "+OK\r\n");
    test.now_ms += 101;
    session_ask(session, "MULTI");
    session_ask(session, "SET b 2");
    assert_reply(session, "EXEC", "*-1\r\n");
}

static void unwatch_and_discard_forget_what_was_watched(void **state)
{
    sci_session *session = session_new();
    sci_session *other = session_new();
    (void)state;
    session_ask(session, "WATCH a");
    session_ask(session, "UNWATCH");
    session_ask(other, "SET a 1");
    session_ask(session, "MULTI");
    assert_reply(session, "EXEC", "*0\r\n");
    session_ask(session, "WATCH a");
    session_ask(session, "MULTI");
    assert_reply(session, "DISCARD", "+OK\r\n");
    session_ask(other, "SET a 2");
    session_ask(session, "MULTI");
    assert_reply(session, "EXEC", "*0\r\n");
}

static void a_closed_session_leaves_its_watches(void **state)
{
    sci_session *session = session_new();
    (void)state;
    session_ask(session, "WATCH a b c");
    sci_session_close(session);
    assert_int_equal(test.server->watched.count, 0);
}

/* --- waiting */

static void who_waits_is_served_in_the_order_of_arrival(void **state)
{
    sci_session *first = session_new();
    sci_session *second = session_new();
    sci_session *giver = session_new();
    (void)state;
    assert_reply(first, "BLPOP l 0", "");
    assert_reply(second, "BLPOP l 0", "");
    assert_reply(giver, "RPUSH l x", ":1\r\n");
    assert_string_equal(session_take(first), "*2\r\n$1\r\nl\r\n$1\r\nx\r\n");
    assert_string_equal(session_take(second), "");
    assert_reply(giver, "RPUSH l y z", ":2\r\n");
    assert_string_equal(session_take(second), "*2\r\n$1\r\nl\r\n$1\r\ny\r\n");
    assert_reply(giver, "LRANGE l 0 -1", "*1\r\n$1\r\nz\r\n");
    assert_int_equal(test.server->waits.count, 0);
}

static void what_follows_a_wait_is_executed_afterwards(void **state)
{
    sci_session *waiter = session_new();
    sci_session *giver = session_new();
    (void)state;
    assert_reply(waiter, "BLPOP l 0\r\nINCR n\r\nBLPOP m 0\r\nINCR n", "");
    assert_reply(giver, "GET n", "$-1\r\n");
    assert_reply(giver, "RPUSH l x", ":1\r\n");
    assert_string_equal(session_take(waiter), "*2\r\n$1\r\nl\r\n$1\r\nx\r\n:1\r\n");
    assert_reply(giver, "RPUSH m y", ":1\r\n");
    assert_string_equal(session_take(waiter), "*2\r\n$1\r\nm\r\n$1\r\ny\r\n:2\r\n");
}

static void what_came_with_the_gift_is_executed_before_what_follows_a_wait(void **state)
{
    sci_session *waiter = session_new();
    sci_session *giver = session_new();
    (void)state;
    assert_reply(waiter, "BLPOP l 0\r\nINCR n", "");
    assert_reply(giver, "RPUSH l x\r\nINCR n", ":1\r\n:1\r\n");
    assert_string_equal(session_take(waiter), "*2\r\n$1\r\nl\r\n$1\r\nx\r\n:2\r\n");
}

/* Each command that follows serves those that wait for it before the next. */
static void what_follows_a_wait_serves_others_at_once(void **state)
{
    sci_session *first = session_new();
    sci_session *second = session_new();
    sci_session *giver = session_new();
    (void)state;
    assert_reply(second, "BLPOP m 0", "");
    assert_reply(first, "BLPOP l 0\r\nRPUSH m y\r\nLLEN m", "");
    assert_reply(giver, "RPUSH l x", ":1\r\n");
    assert_string_equal(session_take(first), "*2\r\n$1\r\nl\r\n$1\r\nx\r\n:1\r\n:0\r\n");
    assert_string_equal(session_take(second), "*2\r\n$1\r\nm\r\n$1\r\ny\r\n");
}

static void the_key_that_was_ready_first_serves(void **state)
{
    sci_session *waiter = session_new();
    sci_session *giver = session_new();
    (void)state;
    session_ask(waiter, "BLPOP a b 0");
    session_ask(giver, "MULTI");
    session_ask(giver, "RPUSH b 1");
    session_ask(giver, "RPUSH a 2");
    session_ask(giver, "EXEC");
    assert_string_equal(session_take(waiter), "*2\r\n$1\r\nb\r\n$1\r\n1\r\n");
}

static void a_key_of_two_databases_is_ready_in_both(void **state)
{
    sci_session *waiters[2] = {session_new(), session_new()};
    sci_session *giver = session_new();
    (void)state;
    session_ask(waiters[0], "BLPOP k 0");
    session_ask(waiters[1], "SELECT 1\r\nBLPOP k 0");
    session_ask(giver, "MULTI\r\nSELECT 2\r\nRPUSH k a\r\nSELECT 1\r\nRPUSH k b\r\nSELECT 0");
    session_ask(giver, "RPUSH k c\r\nEXEC");
    assert_string_equal(session_take(waiters[0]), "*2\r\n$1\r\nk\r\n$1\r\nc\r\n");
    assert_string_equal(session_take(waiters[1]), "*2\r\n$1\r\nk\r\n$1\r\nb\r\n");
}

static void a_key_of_another_type_serves_nobody(void **state)
{
    sci_session *waiter = session_new();
    sci_session *giver = session_new();
    (void)state;
    session_ask(waiter, "BLPOP a 0");
    session_ask(giver, "ZADD a 1 x");
    assert_string_equal(session_take(waiter), "");
    session_ask(giver, "DEL a");
    session_ask(giver, "RPUSH a 1");
    assert_string_equal(session_take(waiter), "*2\r\n$1\r\na\r\n$1\r\n1\r\n");
}

static void a_wait_ends_with_its_time(void **state)
{
    sci_session *waiter = session_new();
    (void)state;
    session_ask(waiter, "BLPOP a 0.5");
    assert_int_equal(sci_server_tick(test.server), (test.now_ms + 500) * 1000000);
    assert_string_equal(session_take(waiter), "");
    test.now_ms += 500;
    (void)sci_server_tick(test.server);
    assert_string_equal(session_take(waiter), "*-1\r\n");
    assert_int_equal(test.server->waits.count, 0);
    assert_reply(waiter, "PING", "+PONG\r\n");
}

static void nothing_waits_inside_a_transaction(void **state)
{
    sci_session *session = session_new();
    (void)state;
    session_ask(session, "MULTI");
    session_ask(session, "BLPOP a 0");
    assert_reply(session, "EXEC", "*1\r\n*-1\r\n");
}

static void a_chain_of_waits_is_served_through(void **state)
{
    sci_session *mover = session_new();
    sci_session *popper = session_new();
    sci_session *giver = session_new();
    (void)state;
    session_ask(popper, "BLPOP b 0");
    session_ask(mover, "BLMOVE a b LEFT RIGHT 0");
    session_ask(giver, "RPUSH a x");
    assert_string_equal(session_take(mover), "$1\r\nx\r\n");
    assert_string_equal(session_take(popper), "*2\r\n$1\r\nb\r\n$1\r\nx\r\n");
}

static void a_session_that_closes_while_it_waits_leaves_nothing(void **state)
{
    sci_session *waiter = session_new();
    sci_session *giver = session_new();
    (void)state;
    session_ask(waiter, "BLPOP a b c 10");
    sci_session_close(waiter);
    assert_int_equal(test.server->waits.count, 0);
    assert_null(sci_heap_first(&test.server->timeouts));
    assert_reply(giver, "RPUSH a x", ":1\r\n");
    assert_reply(giver, "LLEN a", ":1\r\n");
}

/* --- the library's own scripts */

static const char *run_script(sci_session *session, const char *text, const char *words)
{
    char line[2048];
    char name[SCI_SHA1_HEX_BYTES];
    sci_sha1(sc_text(text), name);
    snprintf(line, sizeof line, "EVALSHA %s 3 {k} lease{k} result{k} %s", name, words);
    return session_ask(session, line);
}

static void a_free_lease_is_taken_once(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_string_equal(run_script(session, SCI_SCRIPT_ACQUIRE, TOKEN_A " 1000 \"\" 0"),
                        "*1\r\n:3\r\n");
    test.now_ms += 400;
    assert_string_equal(run_script(session, SCI_SCRIPT_ACQUIRE, TOKEN_B " 1000 \"\" 0"),
                        "*3\r\n:4\r\n$32\r\n" TOKEN_A "\r\n:600\r\n");
    assert_string_equal(run_script(session, SCI_SCRIPT_ACQUIRE, TOKEN_A " 1000 \"\" 0"),
                        "*1\r\n:3\r\n");
    assert_reply(session, "PTTL lease{k}", ":1000\r\n");
}

static void only_the_holder_stores_and_renews(void **state)
{
    sci_session *session = session_new();
    (void)state;
    run_script(session, SCI_SCRIPT_ACQUIRE, TOKEN_A " 1000 \"\" 0");
    assert_string_equal(run_script(session, SCI_SCRIPT_RENEW, TOKEN_B " 5000"), ":0\r\n");
    assert_string_equal(run_script(session, SCI_SCRIPT_RENEW, TOKEN_A " 5000"), ":1\r\n");
    assert_reply(session, "PTTL lease{k}", ":5000\r\n");
    assert_string_equal(
        run_script(session, SCI_SCRIPT_STORE, TOKEN_B " 9000 v S 1000 done v 1 \"\""), ":0\r\n");
    assert_reply(session, "GET {k}", "$-1\r\n");
    assert_string_equal(
        run_script(session, SCI_SCRIPT_STORE, TOKEN_A " 9000 v S 1000 done v 1 raw"), ":1\r\n");
    assert_reply(session, "GET {k}", "$1\r\nv\r\n");
    assert_reply(session, "PTTL {k}", ":9000\r\n");
    assert_reply(session, "EXISTS lease{k}", ":0\r\n");
    assert_reply(session, "GET result{k}", "$35\r\nS" TOKEN_A "vv\r\n");
    assert_string_equal(run_script(session, SCI_SCRIPT_ACQUIRE, TOKEN_B " 1000 \"\" 0"),
                        "*2\r\n:1\r\n$1\r\nv\r\n");
}

static void storing_publishes_on_both_channels(void **state)
{
    sci_session *session = session_new();
    sci_session *listener = session_new();
    (void)state;
    session_ask(listener, "SUBSCRIBE done raw");
    run_script(session, SCI_SCRIPT_ACQUIRE, TOKEN_A " 1000 \"\" 0");
    run_script(session, SCI_SCRIPT_STORE, TOKEN_A " -1 v \"\" 0 done v 1 raw");
    assert_string_equal(session_take(listener),
                        "*3\r\n$7\r\nmessage\r\n$4\r\ndone\r\n$34\r\nv" TOKEN_A "v\r\n"
                        "*3\r\n$7\r\nmessage\r\n$3\r\nraw\r\n$1\r\nv\r\n");
    assert_reply(session, "PTTL {k}", ":-1\r\n");
}

static void a_result_is_for_those_who_wait_for_its_token(void **state)
{
    sci_session *session = session_new();
    (void)state;
    run_script(session, SCI_SCRIPT_ACQUIRE, TOKEN_A " 1000 \"\" 0");
    run_script(session, SCI_SCRIPT_STORE, TOKEN_A " 0 gone S 1000 done e 1 \"\"");
    assert_string_equal(run_script(session, SCI_SCRIPT_ACQUIRE, TOKEN_B " 1000 " TOKEN_A " 0"),
                        "*2\r\n:2\r\n$38\r\nS" TOKEN_A "egone\r\n");
    assert_string_equal(run_script(session, SCI_SCRIPT_ACQUIRE, TOKEN_B " 1000 \"\" 0"),
                        "*1\r\n:3\r\n");
}

static void a_remembered_error_is_not_for_who_wants_no_others(void **state)
{
    sci_session *session = session_new();
    (void)state;
    run_script(session, SCI_SCRIPT_ACQUIRE, TOKEN_A " 1000 \"\" 0");
    run_script(session, SCI_SCRIPT_STORE, TOKEN_A " 0 gone N 1000 done e 1 \"\"");
    assert_string_equal(run_script(session, SCI_SCRIPT_ACQUIRE, TOKEN_B " 1000 \"\" 0"),
                        "*2\r\n:2\r\n$38\r\nN" TOKEN_A "egone\r\n");
    assert_string_equal(run_script(session, SCI_SCRIPT_ACQUIRE, TOKEN_B " 1000 " TOKEN_A " 1"),
                        "*1\r\n:3\r\n");
    run_script(session, SCI_SCRIPT_STORE, TOKEN_B " 0 \"\" N 1000 done m 1 \"\"");
    assert_string_equal(run_script(session, SCI_SCRIPT_ACQUIRE, TOKEN_A " 1000 \"\" 1"),
                        "*2\r\n:2\r\n$34\r\nN" TOKEN_B "m\r\n");
}

static void other_scripts_are_refused_with_words(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "EVALSHA abc 0", "-NOSCRIPT No matching script. Please use EVAL.\r\n");
    assert_reply(session, "EVALSHA abc x", "-NOSCRIPT No matching script. Please use EVAL.\r\n");
    assert_reply(session, "EVALSHA 0123456789012345678901234567890123456789 x",
                 "-ERR value is not an integer or out of range\r\n");
    assert_non_null(strstr(session_ask(session, "EVAL \"return 1\" 0"),
                           "runs no Lua but the scripts of smartcache itself"));
    assert_reply(session, "EVAL x 1",
                 "-ERR Number of keys can't be greater than number of args\r\n");
    assert_reply(session, "EVAL x -1", "-ERR Number of keys can't be negative\r\n");
}

/* --- memory */

static const char *const busy_lines[] = {
    "SET a 1",
    "SET long 0123456789012345678901234567890123456789",
    "APPEND long more",
    "RPUSH l 1 2 3",
    "SADD s 1 2 3",
    "HSET h a 1 b 2",
    "ZADD z 1 a 2 b",
    "XADD x * a 1",
    "SET t 1 PX 1000",
    "WATCH a l",
    "MULTI",
    "INCR a",
    "LPOP l",
    "EXEC",
    "SUBSCRIBE c",
    "UNSUBSCRIBE c",
    "RENAME a b",
    "COPY h h2",
};

/* Every allocation of a busy session fails in turn: nothing leaks, and the server goes on. */
static void any_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t request = 1;; request++) {
        sci_session *session = session_new();
        fault_memory_restart_counts(&test.memory);
        fault_memory_fail(&test.memory, request, false);
        for (size_t i = 0; i < sizeof busy_lines / sizeof busy_lines[0]; i++)
            if (!session->is_ended && !session->is_broken)
                session_ask(session, busy_lines[i]);
        bool has_failed = fault_memory_failures(&test.memory) > 0;
        fault_memory_fail(&test.memory, 0, false);
        sci_session_close(session);
        sci_session *after = session_new();
        assert_reply(after, "SET ok 1", "+OK\r\n");
        session_ask(after, "FLUSHALL");
        sci_session_close(after);
        assert_int_equal(test.server->watched.count, 0);
        if (!has_failed)
            break;
    }
}

static void a_server_that_gets_no_memory_is_not_made(void **state)
{
    (void)state;
    sci_server_free(test.server);
    test.server = NULL;
    sc_server_config config = server_test_config();
    for (size_t request = 1;; request++) {
        fault_memory_restart_counts(&test.memory);
        fault_memory_fail(&test.memory, request, true);
        sc_status status = sci_server_create(&config, &test.server);
        fault_memory_fail(&test.memory, 0, false);
        if (status == SC_OK)
            break;
        assert_int_equal(status, SC_ERR_MEMORY);
        assert_null(test.server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        server_unit_test(an_unknown_command_is_quoted),
        server_unit_test(a_wrong_number_of_words_is_refused),
        server_unit_test(commands_that_come_byte_by_byte_are_executed_once),
        server_unit_test(what_is_no_command_ends_the_session),
        server_unit_test(without_the_password_nothing_is_executed),
        server_unit_test(sessions_beyond_the_limit_are_refused),
        server_unit_test(a_session_whose_answers_are_not_taken_executes_no_more),
        server_unit_test(a_transaction_is_executed_at_once),
        server_unit_test(a_refused_command_fails_the_transaction),
        server_unit_test(a_transaction_that_will_fail_keeps_nothing),
        server_unit_test(an_exec_that_is_refused_ends_the_transaction),
        server_unit_test(a_watched_key_that_changed_stops_the_transaction),
        server_unit_test(a_watched_key_of_another_database_is_another_key),
        server_unit_test(a_watched_key_that_expired_stops_the_transaction),
        server_unit_test(unwatch_and_discard_forget_what_was_watched),
        server_unit_test(a_closed_session_leaves_its_watches),
        server_unit_test(who_waits_is_served_in_the_order_of_arrival),
        server_unit_test(what_follows_a_wait_is_executed_afterwards),
        server_unit_test(what_came_with_the_gift_is_executed_before_what_follows_a_wait),
        server_unit_test(what_follows_a_wait_serves_others_at_once),
        server_unit_test(the_key_that_was_ready_first_serves),
        server_unit_test(a_key_of_two_databases_is_ready_in_both),
        server_unit_test(a_key_of_another_type_serves_nobody),
        server_unit_test(a_wait_ends_with_its_time),
        server_unit_test(nothing_waits_inside_a_transaction),
        server_unit_test(a_chain_of_waits_is_served_through),
        server_unit_test(a_session_that_closes_while_it_waits_leaves_nothing),
        server_unit_test(a_free_lease_is_taken_once),
        server_unit_test(only_the_holder_stores_and_renews),
        server_unit_test(storing_publishes_on_both_channels),
        server_unit_test(a_result_is_for_those_who_wait_for_its_token),
        server_unit_test(a_remembered_error_is_not_for_who_wants_no_others),
        server_unit_test(other_scripts_are_refused_with_words),
        server_unit_test(any_allocation_may_fail),
        server_unit_test(a_server_that_gets_no_memory_is_not_made),
    };
    return cmocka_run_group_tests_name("server", tests, NULL, NULL);
}
