/* Commands about the server: databases as a whole, configuration, INFO, COMMAND, and the end. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "server_test.h"

#define assert_reply_has(session, line, part)                                                      \
    do {                                                                                           \
        const char *reply_ = session_ask(session, line);                                           \
        if (!strstr(reply_, part))                                                                 \
            fail_msg("%s was answered by %s, which has no %s", line, reply_, part);                \
    } while (0)

/* --- Databases */

static void flushing_empties_one_database_or_all(void **state)
{
    sci_session *session = session_new(), *other = session_new();
    (void)state;
    other->db = &test.server->dbs[1];
    assert_reply(session, "SADD a x", ":1\r\n");
    assert_reply(other, "SADD b y", ":1\r\n");
    assert_reply(session, "FLUSHDB", "+OK\r\n");
    assert_reply(session, "DBSIZE", ":0\r\n");
    assert_reply(other, "DBSIZE", ":1\r\n");
    assert_reply(session, "FLUSHALL ASYNC", "+OK\r\n");
    assert_reply(other, "DBSIZE", ":0\r\n");
    assert_reply(session, "FLUSHALL SLOWLY", "-ERR syntax error\r\n");
    assert_int_equal(test.server->data.used, 0);
}

static void a_flush_breaks_the_transaction_of_who_watches(void **state)
{
    sci_session *session = session_new(), *other = session_new();
    (void)state;
    assert_reply(other, "SADD a x", ":1\r\n");
    assert_reply(session, "WATCH a", "+OK\r\n");
    assert_reply(other, "FLUSHDB", "+OK\r\n");
    assert_reply(session, "MULTI", "+OK\r\n");
    assert_reply(session, "EXEC", "*-1\r\n");
}

static void databases_are_exchanged(void **state)
{
    sci_session *session = session_new(), *other = session_new();
    (void)state;
    other->db = &test.server->dbs[3];
    assert_reply(session, "SADD a x", ":1\r\n");
    assert_reply(session, "SWAPDB 0 3", "+OK\r\n");
    assert_reply(session, "SCARD a", ":0\r\n");
    assert_reply(other, "SCARD a", ":1\r\n");
    assert_reply(session, "SWAPDB x 3", "-ERR invalid first DB index\r\n");
    assert_reply(session, "SWAPDB 0 3000000000", "-ERR invalid second DB index\r\n");
    assert_reply(session, "SWAPDB 0 16", "-ERR DB index is out of range\r\n");
    assert_reply(session, "SWAPDB 0 -1", "-ERR DB index is out of range\r\n");
}

static void an_exchange_serves_who_waits_for_a_key_that_comes(void **state)
{
    sci_session *session = session_new(), *other = session_new(), *waiting = session_new();
    (void)state;
    other->db = &test.server->dbs[1];
    assert_reply(waiting, "BZPOPMIN k 0", "");
    assert_reply(other, "ZADD k 1 a", ":1\r\n");
    assert_reply(session, "SWAPDB 0 1", "+OK\r\n");
    assert_string_equal(session_take(waiting), "*3\r\n$1\r\nk\r\n$1\r\na\r\n$1\r\n1\r\n");
}

static void an_exchange_breaks_the_transaction_of_who_watches_what_goes_or_comes(void **state)
{
    static const char *const keys[] = {"WATCH goes", "WATCH comes", "WATCH neither"};
    static const char *const replies[] = {"*-1\r\n", "*-1\r\n", "*0\r\n"};
    sci_session *session = session_new(), *other = session_new();
    (void)state;
    other->db = &test.server->dbs[1];
    for (size_t i = 0; i < SCI_COUNT(keys); i++) {
        (void)session_ask(session, "FLUSHALL");
        (void)session_ask(session, "SADD goes x");
        (void)session_ask(other, "SADD comes x");
        assert_reply(session, keys[i], "+OK\r\n");
        assert_reply(other, "SWAPDB 1 0", "+OK\r\n");
        assert_reply(session, "MULTI", "+OK\r\n");
        assert_reply(session, "EXEC", replies[i]);
    }
}

/* Looking for watched keys may give a database another table. */
static void an_exchange_keeps_all_keys_while_a_table_grows(void **state)
{
    enum { KEYS = 16, WATCHING = 2 };
    sci_session *session = session_new();
    sci_session *watching[WATCHING] = {session_new(), session_new()};
    char line[32];
    (void)state;
    for (int i = 0; i < KEYS; i++) {
        for (size_t k = 0; k < WATCHING; k++) {
            snprintf(line, sizeof line, "WATCH k%d", i);
            assert_reply(watching[k], line, "+OK\r\n");
        }
    }
    for (int i = 0; i < KEYS; i++) {
        snprintf(line, sizeof line, "SET k%d v", i);
        assert_reply(session, line, "+OK\r\n");
    }
    assert_reply(session, "SWAPDB 0 1", "+OK\r\n");
    assert_reply(session, "SELECT 1", "+OK\r\n");
    for (int i = 0; i < KEYS; i++) {
        snprintf(line, sizeof line, "GET k%d", i);
        assert_reply(session, line, "$1\r\nv\r\n");
    }
}

/* --- Configuration */

static void configuration_is_told_by_pattern(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "CONFIG GET maxmemory", "*2\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n");
    assert_reply(session, "CONFIG GET MaxMem*y",
                 "*4\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n$16\r\nmaxmemory-policy\r\n"
                 "$10\r\nnoeviction\r\n");
    assert_reply(session, "CONFIG GET nothing", "*0\r\n");
    assert_reply(session, "CONFIG GET",
                 "-ERR wrong number of arguments for 'config|get' command\r\n");
    assert_reply(session, "CONFIG nothing",
                 "-ERR unknown subcommand 'nothing'. Try CONFIG HELP.\r\n");
}

static void configuration_is_set_as_it_is_told(void **state)
{
    static const char *const values[][2] = {{"maxmemory", "100mb"},
                                            {"maxmemory-policy", "allkeys-lfu"},
                                            {"notify-keyspace-events", "KEg"},
                                            {"appendfsync", "always"},
                                            {"maxclients", "77"},
                                            {"timeout", "5"},
                                            {"requirepass", "secret"},
                                            {"proto-max-bulk-len", "2mb"},
                                            {"client-query-buffer-limit", "3mb"},
                                            {"auto-aof-rewrite-min-size", "1gb"}};
    static const char *const told[] = {"104857600", "allkeys-lfu", "gKE",    "always",
                                       "77",        "5",           "secret", "2097152",
                                       "3145728",   "1073741824"};
    sci_session *session = session_new();
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(values); i++) {
        char line[128], value[128];
        snprintf(line, sizeof line, "CONFIG SET %s %s", values[i][0], values[i][1]);
        assert_reply(session, line, "+OK\r\n");
        snprintf(line, sizeof line, "CONFIG GET %s", values[i][0]);
        snprintf(value, sizeof value, "\r\n%s\r\n", told[i]);
        assert_reply_has(session, line, value);
    }
    assert_int_equal(session->request.limits.max_bulk_bytes, 2 << 20);
}

static void a_wrong_configuration_changes_nothing(void **state)
{
    static const struct {
        const char *words;
        const char *what;
        const char *why;
    } wrong[] = {
        {"maxmemory x", "maxmemory", "argument must be a memory value"},
        {"maxclients 0", "maxclients", "argument must be between 1 and 4294967295 inclusive"},
        {"maxclients x", "maxclients", "argument couldn't be parsed into an integer"},
        {"appendonly maybe", "appendonly", "argument must be 'yes' or 'no'"},
        {"databases 3", "databases", "can't set immutable config"},
        {"maxmemory 1mb maxmemory 2mb", "maxmemory", "duplicate parameter"},
        {"maxmemory 1mb timeout -1", "timeout",
         "argument must be between 0 and 2147483647 inclusive"},
        {"notify-keyspace-events q", "notify-keyspace-events",
         "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."},
    };
    sci_session *session = session_new();
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(wrong); i++) {
        char line[128], reply[256];
        snprintf(line, sizeof line, "CONFIG SET %s", wrong[i].words);
        snprintf(reply, sizeof reply,
                 "-ERR CONFIG SET failed (possibly related to argument '%s') - %s\r\n",
                 wrong[i].what, wrong[i].why);
        assert_reply(session, line, reply);
    }
    assert_reply(session, "CONFIG SET maxmemory 1mb nothing 2",
                 "-ERR Unknown option or number of arguments for CONFIG SET - 'nothing'\r\n");
    assert_int_equal(test.server->config.max_memory_bytes, 0);
}

static void a_session_that_asks_nothing_is_ended(void **state)
{
    sci_session *idle = session_new(), *waiting = session_new(), *busy = session_new();
    (void)state;
    assert_reply(busy, "CONFIG SET timeout 10", "+OK\r\n");
    assert_reply(waiting, "BZPOPMIN k 0", "");
    for (int second = 0; second < 12; second++) {
        test.now_ms += 1000;
        assert_true(sci_server_tick(test.server) <= (test.now_ms + 1000) * 1000000);
        assert_reply(busy, "DBSIZE", ":0\r\n");
    }
    assert_true(idle->is_ended);
    assert_false(waiting->is_ended);
    assert_false(busy->is_ended);
}

static void statistics_begin_anew(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "SCARD nothing", ":0\r\n");
    assert_reply_has(session, "INFO stats", "keyspace_misses:1\r\n");
    assert_reply(session, "CONFIG RESETSTAT", "+OK\r\n");
    assert_reply_has(session, "INFO stats", "keyspace_misses:0\r\n");
}

/* --- Telling of itself */

static void info_has_the_sections_that_are_asked_for(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "SADD a x", ":1\r\n");
    assert_reply(session, "INFO keyspace cluster nothing",
                 "$76\r\n# Cluster\r\ncluster_enabled:0\r\n\r\n# Keyspace\r\n"
                 "db0:keys=1,expires=0,avg_ttl=0\r\n\r\n");
    assert_reply(session, "INFO nothing", "$0\r\n\r\n");
    assert_reply_has(session, "INFO", "redis_version:7.0.15\r\n");
    assert_reply_has(session, "INFO everything", "# Commandstats\r\n");
    assert_null(strstr(session_ask(session, "INFO"), "# Commandstats"));
}

static void sizes_are_told_for_people(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } sizes[] = {{0, "0B"},
                 {1023, "1023B"},
                 {1024, "1.00K"},
                 {1536, "1.50K"},
                 {104857600, "100.00M"},
                 {1073741823, "1024.00M"},
                 {UINT64_C(1) << 40, "1.00T"},
                 {UINT64_MAX, "16384.00P"}};
    char text[SCI_INFO_HUMAN_BYTES];
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(sizes); i++)
        assert_string_equal(sci_info_human(sizes[i].bytes, text), sizes[i].text);
}

static void the_memory_of_a_key_is_told(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "SADD a x", ":1\r\n");
    assert_reply_has(session, "MEMORY USAGE a SAMPLES 0", ":");
    assert_reply(session, "MEMORY USAGE b", "$-1\r\n");
    assert_reply(session, "MEMORY USAGE a SAMPLES -1", "-ERR syntax error\r\n");
    assert_reply(session, "MEMORY PURGE", "+OK\r\n");
    assert_reply_has(session, "MEMORY HELP", "+USAGE <key> [SAMPLES <count>]\r\n");
    assert_reply_has(session, "DEBUG OBJECT a", "encoding:hashtable ");
    assert_reply_has(session, "MEMORY STATS", "keys.count\r\n:1\r\n");
}

static void commands_are_told_with_their_keys(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "COMMAND GETKEYS ZUNIONSTORE d 2 a b WEIGHTS 1 2",
                 "*3\r\n$1\r\nd\r\n$1\r\na\r\n$1\r\nb\r\n");
    assert_reply(session, "COMMAND GETKEYS XREAD STREAMS a 1 2", "*1\r\n$1\r\na\r\n");
    assert_reply(session, "COMMAND GETKEYS ZADD k 1 a", "*1\r\n$1\r\nk\r\n");
    assert_reply(session, "COMMAND GETKEYS BZPOPMIN a b 0", "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    assert_reply(session, "COMMAND GETKEYS EVALSHA a 0", "*0\r\n");
    assert_reply(session, "COMMAND GETKEYS ZUNION 0 a",
                 "-ERR Invalid arguments specified for command\r\n");
    assert_reply(session, "COMMAND GETKEYS ZUNION x a",
                 "-ERR Invalid arguments specified for command\r\n");
    assert_reply(session, "COMMAND GETKEYS ZUNION 2 a",
                 "-ERR Invalid arguments specified for command\r\n");
    assert_reply(session, "COMMAND GETKEYS ZADD k",
                 "-ERR Invalid number of arguments specified for command\r\n");
    assert_reply(session, "COMMAND GETKEYS nothing a", "-ERR Invalid command specified\r\n");
    assert_reply(session, "COMMAND GETKEYS DBSIZE a", "-ERR The command has no key arguments\r\n");
    assert_reply_has(session, "COMMAND INFO zadd",
                     "*1\r\n*10\r\n$4\r\nzadd\r\n:-4\r\n*3\r\n+write\r\n"
                     "+denyoom\r\n+fast\r\n:1\r\n:1\r\n:1\r\n");
    assert_reply(session, "COMMAND INFO nothing", "*1\r\n*-1\r\n");
    assert_reply(session, "COMMAND LIST FILTERBY PATTERN zunionst*",
                 "*1\r\n$11\r\nzunionstore\r\n");
}

static void every_command_is_told(void **state)
{
    char count[32];
    sci_session *session = session_new();
    (void)state;
    strcpy(count, session_ask(session, "COMMAND COUNT"));
    count[0] = '*';
    assert_memory_equal(session_ask(session, "COMMAND LIST"), count, strlen(count));
    assert_memory_equal(session_ask(session, "COMMAND"), count, strlen(count));
}

static void what_is_not_here_is_told_so(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "ROLE", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
    assert_reply(session, "WAIT 1 100", ":0\r\n");
    assert_reply(session, "WAIT 1 -1", "-ERR timeout is negative\r\n");
    assert_reply(session, "SLOWLOG GET", "*0\r\n");
    assert_reply(session, "SLOWLOG LEN", ":0\r\n");
    assert_reply(session, "LATENCY LATEST", "*0\r\n");
    assert_reply_has(session, "SAVE", "-ERR this server keeps its data in memory alone");
    assert_reply_has(session, "BGREWRITEAOF", "-ERR this server keeps its data in memory alone");
    assert_reply(session, "LASTSAVE", ":1700000000\r\n");
    assert_reply(session, "TIME", "*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n");
}

/* --- The end */

static void a_shutdown_stops_a_server_that_listens(void **state)
{
    sc_server_config config = server_test_config();
    sc_server *server;
    (void)state;
    config.listen_on = "redis://127.0.0.1:0";
    config.polled = true;
    config.clock = NULL;
    assert_int_equal(sc_server_open(&config, &server), SC_OK);
    sci_session *session = sci_session_open(server, "test", false, NULL, NULL);
    assert_reply(session, "SHUTDOWN SAVE NOSAVE", "-ERR syntax error\r\n");
    assert_reply(session, "SHUTDOWN SOON", "-ERR syntax error\r\n");
    assert_reply(session, "SHUTDOWN ABORT", "-ERR No shutdown in progress.\r\n");
    assert_int_equal(sc_server_poll(server, 0), SC_OK);
    assert_reply(session, "SHUTDOWN NOSAVE NOW FORCE", "");
    assert_true(session->is_ended);
    assert_int_equal(sc_server_poll(server, 0), SC_END);
    sci_session_close(session);
    sc_server_close(server);
}

static void a_shutdown_is_refused_where_nobody_expects_it(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply_has(session, "SHUTDOWN", "-ERR this server lives in a program");
    assert_false(session->is_ended);
}

static void who_sleeps_lets_others_ask(void **state)
{
    sci_session *sleeper = session_new(), *other = session_new();
    (void)state;
    assert_reply(sleeper, "DEBUG SLEEP 0.2", "");
    assert_reply(other, "DBSIZE", ":0\r\n");
    test.now_ms += 200;
    (void)sci_server_tick(test.server);
    assert_string_equal(session_take(sleeper), "+OK\r\n");
    assert_reply(sleeper, "DEBUG SLEEP 0", "+OK\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        server_unit_test(flushing_empties_one_database_or_all),
        server_unit_test(a_flush_breaks_the_transaction_of_who_watches),
        server_unit_test(databases_are_exchanged),
        server_unit_test(an_exchange_serves_who_waits_for_a_key_that_comes),
        server_unit_test(an_exchange_breaks_the_transaction_of_who_watches_what_goes_or_comes),
        server_unit_test(an_exchange_keeps_all_keys_while_a_table_grows),
        server_unit_test(configuration_is_told_by_pattern),
        server_unit_test(configuration_is_set_as_it_is_told),
        server_unit_test(a_wrong_configuration_changes_nothing),
        server_unit_test(a_session_that_asks_nothing_is_ended),
        server_unit_test(statistics_begin_anew),
        server_unit_test(info_has_the_sections_that_are_asked_for),
        server_unit_test(sizes_are_told_for_people),
        server_unit_test(the_memory_of_a_key_is_told),
        server_unit_test(commands_are_told_with_their_keys),
        server_unit_test(every_command_is_told),
        server_unit_test(what_is_not_here_is_told_so),
        server_unit_test(a_shutdown_stops_a_server_that_listens),
        server_unit_test(a_shutdown_is_refused_where_nobody_expects_it),
        server_unit_test(who_sleeps_lets_others_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
