/* Commands of connections: AUTH, HELLO, SELECT, RESET, CLIENT, ACL, over sessions. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "server_test.h"

#define HELLO_OF(id)                                                                               \
    "*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:2\r\n" \
    "$2\r\nid\r\n:" id "\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"     \
    "$7\r\nmodules\r\n*0\r\n"
#define WRONG_PASSWORD "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
#define BAD_NAME "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"

static int setup_with_password(void **state)
{
    if (server_test_setup(state) != 0)
        return -1;
    sci_server_free(test.server);
    sc_server_config config = server_test_config();
    config.password = "secret";
    return sci_server_create(&config, &test.server) == SC_OK ? 0 : -1;
}

/* The value of `name` in a line of CLIENT LIST. */
static const char *field_of(const char *line, const char *name)
{
    static char value[200];
    char pattern[40];
    (void)snprintf(pattern, sizeof pattern, " %s=", name);
    const char *at = strstr(line, pattern);
    assert_non_null(at);
    at += strlen(pattern);
    size_t len = strcspn(at, " \n");
    assert_true(len < sizeof value);
    memcpy(value, at, len);
    value[len] = '\0';
    return value;
}

#define assert_field(session, name, expected)                                                      \
    assert_string_equal(field_of(session_ask(session, "CLIENT INFO"), name), expected)

/* --- AUTH, HELLO, RESET */

static void a_password_is_asked_for_until_it_is_given(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "PING", "-NOAUTH Authentication required.\r\n");
    assert_reply(session, "AUTH wrong!", WRONG_PASSWORD);
    assert_reply(session, "AUTH secre", WRONG_PASSWORD);
    assert_reply(session, "AUTH other secret", WRONG_PASSWORD);
    assert_reply(session, "AUTH a b c", "-ERR syntax error\r\n");
    assert_reply(session, "AUTH default secret", "+OK\r\n");
    assert_reply(session, "PING", "+PONG\r\n");
    assert_reply(session, "AUTH wrong", WRONG_PASSWORD);
    assert_reply(session, "PING", "+PONG\r\n");
    assert_reply(session, "RESET", "+RESET\r\n");
    assert_reply(session, "PING", "-NOAUTH Authentication required.\r\n");
}

static void who_is_trusted_needs_no_password_after_reset_either(void **state)
{
    sci_session *session = sci_session_open(test.server, "here", true, NULL, NULL);
    (void)state;
    assert_reply(session, "RESET", "+RESET\r\n");
    assert_reply(session, "PING", "+PONG\r\n");
}

static void hello_takes_the_password_too(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_memory_equal(session_ask(session, "HELLO"), "-NOAUTH HELLO must be called", 28);
    assert_reply(session, "HELLO 2 AUTH default wrong", WRONG_PASSWORD);
    assert_reply(session, "HELLO 2 AUTH default secret SETNAME joe", HELLO_OF("1"));
    assert_reply(session, "CLIENT GETNAME", "$3\r\njoe\r\n");
}

static void no_password_is_asked_for_where_there_is_none(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "AUTH x",
                 "-ERR AUTH <password> called without any password configured for the default "
                 "user. Are you sure your configuration is correct?\r\n");
    assert_reply(session, "AUTH default x", "+OK\r\n");
    assert_reply(session, "AUTH joe x", WRONG_PASSWORD);
}

static void hello_speaks_the_second_protocol_alone(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "HELLO", HELLO_OF("1"));
    assert_reply(session, "HELLO 2", HELLO_OF("1"));
    assert_reply(session, "HELLO 3", "-NOPROTO unsupported protocol version\r\n");
    assert_reply(session, "HELLO two",
                 "-ERR Protocol version is not an integer or out of range\r\n");
    assert_reply(session, "HELLO 2 AUTH a", "-ERR Syntax error in HELLO option 'AUTH'\r\n");
    assert_reply(session, "HELLO 2 SETNAME \"a b\"", BAD_NAME);
}

static void options_of_hello_take_effect_in_their_order(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "HELLO 2 SETNAME a SETNAME b more",
                 "-ERR Syntax error in HELLO option 'more'\r\n");
    assert_reply(session, "CLIENT GETNAME", "$1\r\nb\r\n");
    assert_reply(session, "HELLO 2 AUTH joe x more", WRONG_PASSWORD);
}

static void reset_leaves_nothing_as_it_was(void **state)
{
    sci_session *session = session_new();
    sci_session *other = session_new();
    (void)state;
    assert_reply(session, "SELECT 3", "+OK\r\n");
    assert_reply(session, "CLIENT SETNAME joe", "+OK\r\n");
    assert_reply(session, "CLIENT TRACKING on", "+OK\r\n");
    assert_reply(session, "WATCH k", "+OK\r\n");
    assert_reply(session, "MULTI", "+OK\r\n");
    assert_reply(session, "RESET", "+RESET\r\n");
    assert_reply(session, "EXEC", "-ERR EXEC without MULTI\r\n");
    assert_reply(session, "SUBSCRIBE c", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    assert_reply(session, "RESET", "+RESET\r\n");
    assert_reply(other, "PUBLISH c m", ":0\r\n");
    const char *line = session_ask(session, "CLIENT INFO");
    assert_string_equal(field_of(line, "db"), "0");
    assert_string_equal(field_of(line, "name"), "");
    assert_string_equal(field_of(line, "flags"), "N");
    assert_string_equal(field_of(line, "redir"), "-1");
}

/* --- SELECT, PING, ECHO, QUIT */

static void a_session_has_the_database_that_it_selects(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "SELECT 15", "+OK\r\n");
    assert_reply(session, "SET k v", "+OK\r\n");
    assert_reply(session, "SELECT 16", "-ERR DB index is out of range\r\n");
    assert_reply(session, "SELECT -1", "-ERR DB index is out of range\r\n");
    assert_reply(session, "SELECT x", "-ERR value is not an integer or out of range\r\n");
    assert_reply(session, "SELECT 2147483648",
                 "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n");
    assert_reply(session, "GET k", "$1\r\nv\r\n");
    sci_session_feed(session, sc_text("MULTI\r\nSELECT 0\r\nGET k\r\nEXEC\r\n"));
    assert_string_equal(session_take(session), "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n$-1\r\n");
}

static void ping_answers_as_a_message_to_a_subscriber(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "PING", "+PONG\r\n");
    assert_reply(session, "PING a", "$1\r\na\r\n");
    assert_reply(session, "PING a b", "-ERR wrong number of arguments for 'ping' command\r\n");
    assert_reply(session, "ECHO a", "$1\r\na\r\n");
    (void)session_ask(session, "SUBSCRIBE c");
    assert_reply(session, "PING", "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    assert_reply(session, "PING a", "*2\r\n$4\r\npong\r\n$1\r\na\r\n");
    assert_reply(session, "CLIENT ID",
                 "-ERR Can't execute 'client|id': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / "
                 "QUIT / RESET are allowed in this context\r\n");
}

static void who_quits_is_answered_and_no_more(void **state)
{
    sci_session *session = session_new();
    (void)state;
    sci_session_feed(session, sc_text("MULTI\r\nQUIT now\r\nPING\r\n"));
    assert_false(sci_session_is_over(session));
    assert_string_equal(session_take(session), "+OK\r\n+OK\r\n");
    assert_true(sci_session_is_over(session));
}

/* --- Names, lists */

static void a_name_is_kept_until_it_is_emptied(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "CLIENT GETNAME", "$-1\r\n");
    assert_reply(session, "CLIENT SETNAME joe", "+OK\r\n");
    assert_reply(session, "CLIENT SETNAME \"a b\"", BAD_NAME);
    assert_reply(session, "CLIENT SETNAME \"a\\x80\"", BAD_NAME);
    assert_reply(session, "CLIENT GETNAME", "$3\r\njoe\r\n");
    assert_reply(session, "CLIENT SETNAME \"\"", "+OK\r\n");
    assert_reply(session, "CLIENT GETNAME", "$-1\r\n");
}

static void a_list_has_a_line_for_each_client(void **state)
{
    sci_session *session = session_new();
    sci_session *other = session_new();
    (void)state;
    (void)session_ask(other, "SUBSCRIBE c d");
    test.now_ms += 5000;
    const char *list = session_ask(session, "CLIENT LIST");
    const char *second = strstr(list, "\nid=2 ");
    assert_non_null(strstr(list, "\nid=1 addr=test "));
    assert_non_null(second);
    assert_string_equal(field_of(list, "cmd"), "client|list");
    assert_string_equal(field_of(second, "cmd"), "subscribe");
    assert_string_equal(field_of(second, "flags"), "P");
    assert_string_equal(field_of(second, "sub"), "2");
    assert_string_equal(field_of(second, "idle"), "5");
    list = session_ask(session, "CLIENT LIST TYPE pubsub");
    assert_null(strstr(list, "\nid=1 "));
    assert_non_null(strstr(list, "\nid=2 "));
    list = session_ask(session, "CLIENT LIST ID 9 1");
    assert_non_null(strstr(list, "\nid=1 "));
    assert_null(strstr(list, "\nid=2 "));
    assert_reply(session, "CLIENT LIST TYPE master", "$0\r\n\r\n");
    assert_reply(session, "CLIENT LIST TYPE foo", "-ERR Unknown client type 'foo'\r\n");
    assert_reply(session, "CLIENT LIST ID 1 x", "-ERR Invalid client ID\r\n");
    assert_reply(session, "CLIENT LIST now", "-ERR syntax error\r\n");
}

static void letters_tell_what_a_client_does(void **state)
{
    sci_session *session = session_new();
    sci_session *other = session_new();
    (void)state;
    assert_field(session, "flags", "N");
    assert_reply(session, "WATCH k", "+OK\r\n");
    assert_reply(other, "SET k v", "+OK\r\n");
    assert_field(session, "flags", "d");
    assert_reply(session, "CLIENT NO-EVICT on", "+OK\r\n");
    assert_reply(session, "CLIENT NO-TOUCH on", "+OK\r\n");
    assert_reply(session, "CLIENT TRACKING on BCAST", "+OK\r\n");
    assert_field(session, "flags", "tBdeT");
    assert_reply(session, "CLIENT NO-EVICT maybe", "-ERR syntax error\r\n");
    assert_reply(session, "CLIENT NO-EVICT off", "+OK\r\n");
    assert_field(session, "flags", "tBdT");
    assert_reply(session, "MULTI", "+OK\r\n");
    assert_reply(session, "PING", "+QUEUED\r\n");
    const char *line = session_ask(other, "CLIENT LIST ID 1");
    assert_string_equal(field_of(line, "flags"), "xtBdT");
    assert_string_equal(field_of(line, "multi"), "0"); /* nothing is kept for what will fail */
}

static void a_transaction_is_told_until_its_end(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "MULTI\r\nCLIENT INFO", "+OK\r\n+QUEUED\r\n");
    const char *line = session_ask(session, "EXEC");
    assert_string_equal(field_of(line, "flags"), "x");
    assert_string_equal(field_of(line, "multi"), "1");
    line = session_ask(session, "CLIENT INFO");
    assert_string_equal(field_of(line, "flags"), "N");
    assert_string_equal(field_of(line, "multi"), "-1");
}

static void a_client_whose_wait_is_over_is_told_apart_until_it_goes_on(void **state)
{
    sci_session *session = session_new(), *waiting = session_new();
    (void)state;
    assert_reply(waiting, "BLPOP k 0", "");
    const char *line = session_ask(session, "CLIENT LIST ID 2");
    assert_string_equal(field_of(line, "flags"), "b");
    line = session_ask(session, "RPUSH k v\r\nCLIENT LIST ID 2");
    assert_string_equal(field_of(line, "flags"), "u");
    line = session_ask(session, "CLIENT LIST ID 2");
    assert_string_equal(field_of(line, "flags"), "N");
}

static void what_is_no_subcommand_fails_a_transaction(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "CLIENT", "-ERR wrong number of arguments for 'client' command\r\n");
    assert_reply(session, "CLIENT nope", "-ERR unknown subcommand 'nope'. Try CLIENT HELP.\r\n");
    assert_field(session, "cmd", "client|info");
    sci_session_feed(session, sc_text("MULTI\r\nCLIENT nope\r\nCLIENT ID 1\r\nEXEC\r\n"));
    assert_string_equal(session_take(session),
                        "+OK\r\n-ERR unknown subcommand 'nope'. Try CLIENT HELP.\r\n"
                        "-ERR wrong number of arguments for 'client|id' command\r\n"
                        "-EXECABORT Transaction discarded because of previous errors.\r\n");
}

/* --- KILL */

static void a_killed_client_is_gone_at_once(void **state)
{
    sci_session *session = session_new();
    sci_session *other = session_new();
    (void)state;
    (void)session_ask(other, "SUBSCRIBE c");
    sci_session_feed(other, sc_text("PING\r\n"));
    assert_reply(session, "CLIENT KILL ID 2", ":1\r\n");
    assert_true(sci_session_is_over(other));
    assert_string_equal(session_take(other), "");
    assert_reply(session, "PUBLISH c m", ":0\r\n");
    assert_null(strstr(session_ask(session, "CLIENT LIST"), "id=2 "));
    assert_reply(session, "CLIENT KILL ID 2", ":0\r\n");
}

static void filters_choose_whom_to_kill(void **state)
{
    sci_session *session = session_new();
    sci_session *subscriber = session_new();
    (void)state;
    (void)session_ask(subscriber, "SUBSCRIBE c");
    assert_reply(session, "CLIENT KILL TYPE normal", ":0\r\n");
    assert_reply(session, "CLIENT KILL TYPE pubsub ADDR elsewhere", ":0\r\n");
    assert_reply(session, "CLIENT KILL LADDR elsewhere", ":0\r\n");
    assert_reply(session, "CLIENT KILL USER joe", "-ERR No such user 'joe'\r\n");
    assert_reply(session, "CLIENT KILL TYPE foo", "-ERR Unknown client type 'foo'\r\n");
    assert_reply(session, "CLIENT KILL ID 0", "-ERR client-id should be greater than 0\r\n");
    assert_reply(session, "CLIENT KILL ID 2 TYPE", "-ERR syntax error\r\n");
    assert_reply(session, "CLIENT KILL SKIPME maybe", "-ERR syntax error\r\n");
    assert_reply(session, "CLIENT KILL nobody", "-ERR No such client\r\n");
    assert_reply(session, "CLIENT KILL TYPE pubsub ADDR test USER default SKIPME yes", ":1\r\n");
    assert_true(sci_session_is_over(subscriber));
}

static void who_kills_itself_is_answered_first(void **state)
{
    sci_session *session = session_new();
    (void)state;
    sci_session_feed(session, sc_text("CLIENT KILL ID 1 SKIPME no\r\nPING\r\n"));
    assert_false(sci_session_is_over(session));
    assert_string_equal(session_take(session), ":1\r\n");
    assert_true(sci_session_is_over(session));
}

static void a_transaction_that_ends_its_client_is_done_and_not_answered(void **state)
{
    sci_session *session = session_new();
    (void)state;
    session_ask(session, "MULTI\r\nCLIENT KILL ID 1 SKIPME no\r\nSET k v");
    assert_reply(session, "EXEC", "*2\r\n:1\r\n"); /* cut, as from Redis */
    assert_true(sci_session_is_over(session));
    assert_reply(session_new(), "GET k", "$1\r\nv\r\n");
}

static void a_client_that_waits_can_be_killed(void **state)
{
    sci_session *session = session_new();
    sci_session *waiting = session_new();
    (void)state;
    assert_reply(waiting, "BLPOP k 0", "");
    assert_reply(session, "CLIENT KILL ID 2", ":1\r\n");
    assert_reply(session, "RPUSH k v", ":1\r\n");
    assert_reply(session, "LLEN k", ":1\r\n");
}

/* --- REPLY */

static void who_wants_no_replies_gets_none(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "CLIENT REPLY off", "");
    assert_reply(session, "SET k v", "");
    assert_reply(session, "NONSENSE", "");
    assert_reply(session, "CLIENT REPLY skip", "");
    assert_reply(session, "CLIENT REPLY on", "+OK\r\n");
    assert_reply(session, "GET k", "$1\r\nv\r\n");
    assert_reply(session, "CLIENT REPLY maybe", "-ERR syntax error\r\n");
}

static void one_reply_can_be_skipped(void **state)
{
    sci_session *session = session_new();
    sci_session *other = session_new();
    (void)state;
    assert_reply(session, "CLIENT REPLY skip", "");
    assert_reply(session, "PING", "");
    assert_reply(session, "PING", "+PONG\r\n");
    assert_reply(session, "CLIENT REPLY skip", "");
    assert_reply(session, "BLPOP k 0", "");
    assert_reply(other, "RPUSH k v", ":1\r\n");
    assert_reply(session, "PING", "+PONG\r\n");
}

static void messages_come_without_replies(void **state)
{
    sci_session *session = session_new();
    sci_session *other = session_new();
    (void)state;
    assert_reply(session, "CLIENT REPLY off", "");
    assert_reply(session, "SUBSCRIBE c", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    assert_reply(other, "PUBLISH c m", ":1\r\n");
    assert_string_equal(session_take(session), "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n");
    assert_reply(session, "RESET", "+RESET\r\n");
}

/* --- UNBLOCK */

static void a_wait_can_be_ended_by_others(void **state)
{
    sci_session *session = session_new();
    sci_session *waiting = session_new();
    (void)state;
    assert_reply(session, "CLIENT UNBLOCK 2", ":0\r\n");
    assert_reply(waiting, "BLPOP k 0", "");
    assert_reply(session, "CLIENT UNBLOCK 2 now",
                 "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n");
    assert_reply(session, "CLIENT UNBLOCK 2", ":1\r\n");
    assert_string_equal(session_take(waiting), "*-1\r\n");
    assert_reply(waiting, "BLPOP k 0", "");
    assert_reply(session, "CLIENT UNBLOCK 2 error", ":1\r\n");
    assert_string_equal(session_take(waiting),
                        "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
    assert_reply(waiting, "PING", "+PONG\r\n");
    assert_reply(session, "CLIENT UNBLOCK 2 error now",
                 "-ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT "
                 "HELP.\r\n");
}

/* --- PAUSE */

static void a_pause_puts_commands_off(void **state)
{
    sci_session *session = session_new();
    sci_session *other = session_new();
    (void)state;
    assert_reply(session, "CLIENT PAUSE 100", "+OK\r\n");
    assert_reply(session, "PING", "");
    sci_session_feed(other, sc_text("SET k v\r\nGET k\r\n"));
    assert_string_equal(session_take(other), "");
    assert_true(sci_server_tick(test.server) <= (test.now_ms + 100) * 1000000);
    test.now_ms += 99;
    (void)sci_server_tick(test.server);
    assert_string_equal(session_take(other), "");
    test.now_ms += 1;
    (void)sci_server_tick(test.server);
    assert_string_equal(session_take(session), "+PONG\r\n");
    assert_string_equal(session_take(other), "+OK\r\n$1\r\nv\r\n");
    assert_reply(session, "PING", "+PONG\r\n");
}

static void a_pause_of_writes_lets_reads_through(void **state)
{
    sci_session *session = session_new();
    sci_session *writer = session_new();
    sci_session *publisher = session_new();
    (void)state;
    assert_reply(session, "CLIENT PAUSE 100 WRITE", "+OK\r\n");
    assert_reply(writer, "MULTI", "+OK\r\n");
    assert_reply(writer, "SET k v", "");
    assert_reply(publisher, "PUBLISH c m", "");
    assert_reply(session, "GET k", "$-1\r\n");
    assert_string_equal(field_of(session_ask(session, "CLIENT LIST ID 2"), "flags"), "xb");
    assert_reply(session, "CLIENT UNBLOCK 2", ":0\r\n");
    assert_reply(session, "CLIENT UNPAUSE", "+OK\r\n");
    assert_string_equal(session_take(writer), "+QUEUED\r\n");
    assert_string_equal(session_take(publisher), ":0\r\n");
    assert_reply(session, "CLIENT PAUSE 100 WRITE", "+OK\r\n");
    assert_reply(writer, "EXEC", "");
    assert_reply(session, "CLIENT UNPAUSE", "+OK\r\n");
    assert_string_equal(session_take(writer), "*1\r\n+OK\r\n");
}

static void pauses_in_a_pause_are_put_off_too(void **state)
{
    sci_session *session = session_new();
    sci_session *other = session_new();
    sci_session *last = session_new();
    (void)state;
    assert_reply(session, "CLIENT PAUSE 100", "+OK\r\n");
    assert_reply(other, "CLIENT PAUSE 100", "");
    assert_reply(last, "PING", "");
    test.now_ms += 100;
    (void)sci_server_tick(test.server);
    assert_string_equal(session_take(other), "+OK\r\n");
    assert_string_equal(session_take(last), "");
    test.now_ms += 100;
    (void)sci_server_tick(test.server);
    assert_string_equal(session_take(last), "+PONG\r\n");
}

static void the_longer_and_the_stronger_pause_holds(void **state)
{
    sci_session *session = session_new();
    sci_session *other = session_new();
    (void)state;
    assert_reply(session, "CLIENT PAUSE 100 WRITE", "+OK\r\n");
    assert_reply(session, "CLIENT PAUSE 50 ALL", "+OK\r\n");
    assert_reply(other, "PING", "");
    test.now_ms += 60;
    (void)sci_server_tick(test.server);
    assert_string_equal(session_take(other), "");
    test.now_ms += 40;
    (void)sci_server_tick(test.server);
    assert_string_equal(session_take(other), "+PONG\r\n");
}

static void who_leaves_in_a_pause_is_forgotten(void **state)
{
    sci_session *session = session_new();
    sci_session *other = session_new();
    sci_session *killed = session_new();
    (void)state;
    assert_reply(session, "CLIENT PAUSE 100 WRITE", "+OK\r\n");
    assert_reply(other, "SET k v", "");
    assert_reply(killed, "SET k v", "");
    assert_reply(session, "CLIENT KILL ID 3", ":1\r\n");
    sci_session_close(other);
    assert_reply(session, "CLIENT UNPAUSE", "+OK\r\n");
    assert_reply(session, "EXISTS k", ":0\r\n");
}

static void wrong_pauses_are_refused(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "CLIENT PAUSE x", "-ERR timeout is not an integer or out of range\r\n");
    assert_reply(session, "CLIENT PAUSE -1", "-ERR timeout is negative\r\n");
    assert_reply(session, "CLIENT PAUSE 1 NONE", "-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n");
    assert_reply(session, "CLIENT PAUSE 0", "+OK\r\n");
    assert_reply(session, "PING", "+PONG\r\n");
}

static void a_command_that_cannot_be_put_off_is_refused(void **state)
{
    sci_session *session = session_new();
    sci_session *other = session_new();
    (void)state;
    (void)session_ask(other, "ECHO 1");
    assert_reply(session, "CLIENT PAUSE 100", "+OK\r\n");
    fault_memory_fail(&test.memory, 1, true);
    assert_reply(other, "SET k v", "-OOM out of memory\r\n");
    fault_memory_fail(&test.memory, 0, false);
    assert_reply(other, "SET k v", "");
    fault_memory_fail(&test.memory, 1, true);
    test.now_ms += 100;
    (void)sci_server_tick(test.server);
    fault_memory_fail(&test.memory, 0, false);
    assert_string_equal(session_take(other), "-OOM out of memory\r\n");
    assert_reply(other, "SET k v", "+OK\r\n");
}

/* --- ACL, the log */

static void there_is_one_user(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "ACL WHOAMI", "$7\r\ndefault\r\n");
    assert_reply(session, "ACL USERS", "*1\r\n$7\r\ndefault\r\n");
    assert_reply(session, "ACL LIST", "*1\r\n$34\r\nuser default on nopass ~* &* +@all\r\n");
    assert_reply(session, "ACL GETUSER joe", "$-1\r\n");
    assert_memory_equal(session_ask(session, "ACL GETUSER default"), "*12\r\n$5\r\nflags", 14);
    assert_memory_equal(session_ask(session, "ACL CAT"), "*21\r\n$8\r\nkeyspace\r\n", 19);
    assert_reply(session, "ACL CAT nothing", "-ERR Unknown category 'nothing'\r\n");
    assert_reply(
        session, "ACL CAT nothing more",
        "-ERR unknown subcommand or wrong number of arguments for 'CAT'. Try ACL HELP.\r\n");
    assert_reply(session, "ACL SETUSER joe",
                 "-ERR unknown subcommand 'SETUSER'. Try ACL HELP.\r\n");
}

static void a_log_has_no_commands_of_connections(void **state)
{
    static const char *const lines[] = {"CLIENT", "RESET", "QUIT", "SUBSCRIBE", "HELLO", "AUTH"};
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(lines); i++) {
        sc_slice argv[] = {sc_text(lines[i]), sc_text("ID")};
        int db = 0;
        assert_int_equal(sci_command_replay(test.server, &db, argv, SCI_COUNT(argv)),
                         SC_ERR_PROTOCOL);
    }
    sc_slice select[] = {sc_text("SELECT"), sc_text("3")};
    int db = 0;
    assert_int_equal(sci_command_replay(test.server, &db, select, 2), SC_OK);
    assert_int_equal(db, 3);
}

static void a_name_or_list_without_memory_is_refused(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "CLIENT SETNAME joe", "+OK\r\n");
    fault_memory_fail(&test.memory, 1, true);
    assert_reply(session, "CLIENT SETNAME joan", "-OOM out of memory\r\n");
    assert_reply(session, "CLIENT LIST", "-OOM out of memory\r\n");
    assert_reply(session, "CLIENT INFO", "-OOM out of memory\r\n");
    fault_memory_fail(&test.memory, 0, false);
    assert_reply(session, "CLIENT GETNAME", "$3\r\njoe\r\n");
}

#define password_test(function)                                                                    \
    cmocka_unit_test_setup_teardown(function, setup_with_password, server_test_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        password_test(a_password_is_asked_for_until_it_is_given),
        password_test(who_is_trusted_needs_no_password_after_reset_either),
        password_test(hello_takes_the_password_too),
        server_unit_test(no_password_is_asked_for_where_there_is_none),
        server_unit_test(hello_speaks_the_second_protocol_alone),
        server_unit_test(options_of_hello_take_effect_in_their_order),
        server_unit_test(reset_leaves_nothing_as_it_was),
        server_unit_test(a_session_has_the_database_that_it_selects),
        server_unit_test(ping_answers_as_a_message_to_a_subscriber),
        server_unit_test(who_quits_is_answered_and_no_more),
        server_unit_test(a_name_is_kept_until_it_is_emptied),
        server_unit_test(a_list_has_a_line_for_each_client),
        server_unit_test(letters_tell_what_a_client_does),
        server_unit_test(a_transaction_is_told_until_its_end),
        server_unit_test(a_client_whose_wait_is_over_is_told_apart_until_it_goes_on),
        server_unit_test(what_is_no_subcommand_fails_a_transaction),
        server_unit_test(a_killed_client_is_gone_at_once),
        server_unit_test(filters_choose_whom_to_kill),
        server_unit_test(who_kills_itself_is_answered_first),
        server_unit_test(a_transaction_that_ends_its_client_is_done_and_not_answered),
        server_unit_test(a_client_that_waits_can_be_killed),
        server_unit_test(who_wants_no_replies_gets_none),
        server_unit_test(one_reply_can_be_skipped),
        server_unit_test(messages_come_without_replies),
        server_unit_test(a_wait_can_be_ended_by_others),
        server_unit_test(a_pause_puts_commands_off),
        server_unit_test(a_pause_of_writes_lets_reads_through),
        server_unit_test(pauses_in_a_pause_are_put_off_too),
        server_unit_test(the_longer_and_the_stronger_pause_holds),
        server_unit_test(who_leaves_in_a_pause_is_forgotten),
        server_unit_test(wrong_pauses_are_refused),
        server_unit_test(a_command_that_cannot_be_put_off_is_refused),
        server_unit_test(there_is_one_user),
        server_unit_test(a_log_has_no_commands_of_connections),
        server_unit_test(a_name_or_list_without_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
