/* Commands of lists: what Redis 7.0 answers, what waits are told, events, and what happens without
   memory. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "folder.h"
#include "server_memory_test.h"

typedef struct fact {
    const char *line;
    const char *reply;
} fact;

/* In this order, from an empty server. */
static const fact facts[] = {
    {"RPUSH l a b c b a", ":5\r\n"},
    {"LPUSH l x y", ":7\r\n"},
    {"SADD s m", ":1\r\n"},
    {"LPUSH s a", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
    {"LPUSHX none a", ":0\r\n"},
    {"RPUSHX l z", ":8\r\n"},
    {"LPOP l", "$1\r\ny\r\n"},
    {"RPOP l", "$1\r\nz\r\n"},
    {"LPOP l 0", "*0\r\n"},
    {"LPOP l 2", "*2\r\n$1\r\nx\r\n$1\r\na\r\n"},
    {"RPOP l 99", "*4\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nb\r\n"},
    {"LLEN l", ":0\r\n"},
    {"LPOP l", "$-1\r\n"},
    {"LPOP l 2", "*-1\r\n"},
    {"LPOP l x", "-ERR value is out of range, must be positive\r\n"},
    {"LPOP s -1", "-ERR value is out of range, must be positive\r\n"},
    {"LPOP s", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
    {"LPOP l 1 2", "-ERR wrong number of arguments for 'lpop' command\r\n"},
    {"RPUSH l a b c b a", ":5\r\n"},
    {"LINDEX l 0", "$1\r\na\r\n"},
    {"LINDEX l -1", "$1\r\na\r\n"},
    {"LINDEX l 5", "$-1\r\n"},
    {"LINDEX l x", "-ERR value is not an integer or out of range\r\n"},
    {"LINDEX none x", "$-1\r\n"},
    {"LINDEX s x", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
    {"LSET l 1 B", "+OK\r\n"},
    {"LSET l -6 x", "-ERR index out of range\r\n"},
    {"LSET l 5 x", "-ERR index out of range\r\n"},
    {"LSET none x x", "-ERR no such key\r\n"},
    {"LSET l x x", "-ERR value is not an integer or out of range\r\n"},
    {"LRANGE l 0 -1", "*5\r\n$1\r\na\r\n$1\r\nB\r\n$1\r\nc\r\n$1\r\nb\r\n$1\r\na\r\n"},
    {"LRANGE l -100 1", "*2\r\n$1\r\na\r\n$1\r\nB\r\n"},
    {"LRANGE l 3 1", "*0\r\n"},
    {"LRANGE l 1 -9223372036854775808", "*0\r\n"},
    {"LRANGE s x 1", "-ERR value is not an integer or out of range\r\n"},
    {"LRANGE none 0 1", "*0\r\n"},
    {"LINSERT l BEFORE c 1", ":6\r\n"},
    {"LINSERT l after c 2", ":7\r\n"},
    {"LINSERT l after zz 2", ":-1\r\n"},
    {"LINSERT none foo c 2", "-ERR syntax error\r\n"},
    {"LINSERT none before c 2", ":0\r\n"},
    {"LINSERT s before c 2",
     "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
    {"LREM l 1 a", ":1\r\n"},
    {"LREM l -1 B", ":1\r\n"},
    {"LREM l 0 zz", ":0\r\n"},
    {"LREM none x a", "-ERR value is not an integer or out of range\r\n"},
    {"LREM l 0 b", ":1\r\n"},
    {"LTRIM l 1 -2", "+OK\r\n"},
    {"LTRIM none x 1", "-ERR value is not an integer or out of range\r\n"},
    {"LTRIM none 0 1", "+OK\r\n"},
    {"LRANGE l 0 -1", "*2\r\n$1\r\nc\r\n$1\r\n2\r\n"},
    {"LTRIM l 5 1", "+OK\r\n"},
    {"LLEN l", ":0\r\n"},
    {"RPUSH l a b c 1 2 3 c c", ":8\r\n"},
    {"LPOS l c", ":2\r\n"},
    {"LPOS l c RANK 2", ":6\r\n"},
    {"LPOS l c RANK -1", ":7\r\n"},
    {"LPOS l c COUNT 2", "*2\r\n:2\r\n:6\r\n"},
    {"LPOS l c COUNT 0", "*3\r\n:2\r\n:6\r\n:7\r\n"},
    {"LPOS l c COUNT 0 RANK -2", "*2\r\n:6\r\n:2\r\n"},
    {"LPOS l c COUNT 0 MAXLEN 5", "*1\r\n:2\r\n"},
    {"LPOS l c RANK -9223372036854775808", ":7\r\n"},
    {"LPOS l c RANK 0", "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the "
                        "second ... or use negative to start from the end of the list\r\n"},
    {"LPOS l c RANK x", "-ERR value is not an integer or out of range\r\n"},
    {"LPOS l c COUNT -1", "-ERR COUNT can't be negative\r\n"},
    {"LPOS l c MAXLEN -1", "-ERR MAXLEN can't be negative\r\n"},
    {"LPOS l c MAXLEN", "-ERR syntax error\r\n"},
    {"LPOS l zz", "$-1\r\n"},
    {"LPOS none c", "$-1\r\n"},
    {"LPOS none c COUNT 1", "*0\r\n"},
    {"LPOS s c FOO 1", "-ERR syntax error\r\n"},
    {"LMOVE l m LEFT RIGHT", "$1\r\na\r\n"},
    {"LMOVE l m right left", "$1\r\nc\r\n"},
    {"LMOVE l l left right", "$1\r\nb\r\n"},
    {"LMOVE l l left left", "$1\r\nc\r\n"},
    {"LMOVE none l left foo", "-ERR syntax error\r\n"},
    {"LMOVE none s left left", "$-1\r\n"},
    {"LMOVE l s left left",
     "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
    {"RPOPLPUSH l m", "$1\r\nb\r\n"},
    {"RPOPLPUSH none m", "$-1\r\n"},
    {"LRANGE l 0 -1", "*5\r\n$1\r\nc\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\nc\r\n"},
    {"LRANGE m 0 -1", "*3\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\na\r\n"},
    {"LMPOP 2 none l LEFT COUNT 2", "*2\r\n$1\r\nl\r\n*2\r\n$1\r\nc\r\n$1\r\n1\r\n"},
    {"LMPOP 1 l RIGHT", "*2\r\n$1\r\nl\r\n*1\r\n$1\r\nc\r\n"},
    {"LMPOP 1 none LEFT", "*-1\r\n"},
    {"LMPOP 0 l LEFT", "-ERR numkeys should be greater than 0\r\n"},
    {"LMPOP 2 l LEFT", "-ERR syntax error\r\n"},
    {"LMPOP 1 l UP", "-ERR syntax error\r\n"},
    {"LMPOP 1 l LEFT COUNT 0", "-ERR count should be greater than 0\r\n"},
    {"LMPOP 1 l LEFT COUNT 1 COUNT 1", "-ERR syntax error\r\n"},
    {"LMPOP 1 s LEFT", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
    {"BLPOP none l 0", "*2\r\n$1\r\nl\r\n$1\r\n2\r\n"},
    {"BRPOP l none 0", "*2\r\n$1\r\nl\r\n$1\r\n3\r\n"},
    {"BLPOP l x", "-ERR timeout is not a float or out of range\r\n"},
    {"BLPOP s 0", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
    {"RPUSH l v w", ":2\r\n"},
    {"BLMOVE l m left right 0", "$1\r\nv\r\n"},
    {"BLMOVE l m left right -1", "-ERR timeout is negative\r\n"},
    {"BLMOVE l m left up x", "-ERR syntax error\r\n"},
    {"BRPOPLPUSH l m 0", "$1\r\nw\r\n"},
    {"BRPOPLPUSH m s 0", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
    {"BLMPOP 0 2 none m LEFT COUNT 2", "*2\r\n$1\r\nm\r\n*2\r\n$1\r\nw\r\n$1\r\nb\r\n"},
    {"BLMPOP x 0 m LEFT", "-ERR numkeys should be greater than 0\r\n"},
    {"BLMPOP x 1 m LEFT", "-ERR timeout is not a float or out of range\r\n"},
    {"LRANGE m 0 -1", "*3\r\n$1\r\nc\r\n$1\r\na\r\n$1\r\nv\r\n"},
};

static void lists_answer_as_in_redis(void **state)
{
    (void)state;
    sci_session *session = session_new();
    for (size_t i = 0; i < SCI_COUNT(facts); i++) {
        const char *reply = session_ask(session, facts[i].line);
        if (strcmp(reply, facts[i].reply) != 0)
            fail_msg("%s gave %s, not %s", facts[i].line, reply, facts[i].reply);
    }
}

static void a_popped_list_that_is_empty_is_gone(void **state)
{
    (void)state;
    static const char *const takes[] = {
        "LPOP l",
        "RPOP l 9",
        "LTRIM l 1 0",
        "LREM l 0 a",
        "LMOVE l m LEFT LEFT",
        "RPOPLPUSH l m",
        "LMPOP 1 l LEFT COUNT 3",
        "BLPOP l 0",
    };
    sci_session *session = session_new();
    for (size_t i = 0; i < SCI_COUNT(takes); i++) {
        session_ask(session, "RPUSH l a");
        session_ask(session, takes[i]);
        assert_reply(session, "EXISTS l", ":0\r\n");
    }
}

/* --- waiting */

static void what_waits_for_a_list_is_served_like_what_does_not(void **state)
{
    (void)state;
    static const fact waits[] = {
        {"BLPOP w k 0", "*2\r\n$1\r\nk\r\n$1\r\na\r\n"},
        {"BRPOP k w 0", "*2\r\n$1\r\nk\r\n$1\r\nc\r\n"},
        {"BLMPOP 0 2 w k LEFT COUNT 2", "*2\r\n$1\r\nk\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n"},
        {"BLMPOP 0 1 k RIGHT", "*2\r\n$1\r\nk\r\n*1\r\n$1\r\nc\r\n"},
        {"BLMOVE k t LEFT RIGHT 0", "$1\r\na\r\n"},
        {"BLMOVE k k LEFT RIGHT 0", "$1\r\na\r\n"},
        {"BRPOPLPUSH k t 0", "$1\r\nc\r\n"},
        {"BLMOVE k str LEFT RIGHT 0",
         "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
    };
    sci_session *giver = session_new();
    session_ask(giver, "SADD str x");
    for (size_t i = 0; i < SCI_COUNT(waits); i++) {
        sci_session *waiter = session_new();
        assert_reply(waiter, waits[i].line, "");
        session_ask(giver, "RPUSH k a b c");
        assert_string_equal(session_take(waiter), waits[i].reply);
        session_ask(giver, "LTRIM k 1 0");
        sci_session_close(waiter);
    }
}

static void a_wait_that_is_over_answers_a_nil_array(void **state)
{
    (void)state;
    static const char *const waits[] = {"BLPOP a b 0.1", "BLMPOP 0.1 1 a LEFT",
                                        "BLMOVE a b LEFT LEFT 0.1", "BRPOPLPUSH a b 0.1"};
    sci_session *session = session_new();
    for (size_t i = 0; i < SCI_COUNT(waits); i++) {
        assert_reply(session, waits[i], "");
        test.now_ms += 100;
        (void)sci_server_tick(test.server);
        assert_string_equal(session_take(session), "*-1\r\n");
    }
}

static void where_nothing_may_wait_moves_answer_another_nil(void **state)
{
    (void)state;
    sci_session *session = session_new();
    session_ask(session, "MULTI");
    session_ask(session, "BLPOP a b 0");
    session_ask(session, "BLMPOP 0 1 a LEFT");
    session_ask(session, "BLMOVE a b LEFT LEFT 0");
    session_ask(session, "BRPOPLPUSH a b 0");
    assert_reply(session, "EXEC", "*4\r\n*-1\r\n*-1\r\n$-1\r\n$-1\r\n");
}

/* --- the log */

static size_t read_file(const char *path, char *bytes, size_t cap)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = fread(bytes, 1, cap - 1, file);
    fclose(file);
    bytes[len] = '\0';
    return len;
}

static void open_log(const char *path)
{
    sc_files files;
    sci_log_config config;
    memset(&config, 0, sizeof config);
    assert_true(sc_platform_files(&files));
    config.path = path;
    config.files = &files;
    config.sync = SC_SYNC_NEVER;
    assert_int_equal(sci_log_open(test.server, &config, &test.server->log), SC_OK);
}

static void the_log_gets_what_does_not_wait(void **state)
{
    (void)state;
    static const fact logged[] = {
        {"BLPOP w k 0", "*2\r\n$4\r\nLPOP\r\n$1\r\nk\r\n"},
        {"BRPOP k w 0", "*2\r\n$4\r\nRPOP\r\n$1\r\nk\r\n"},
        {"LMPOP 2 w k RIGHT COUNT 9", "*3\r\n$4\r\nRPOP\r\n$1\r\nk\r\n$1\r\n3\r\n"},
        {"BLMPOP 0 1 k LEFT COUNT 2", "*3\r\n$4\r\nLPOP\r\n$1\r\nk\r\n$1\r\n2\r\n"},
        {"BLMOVE k t LEFT RIGHT 0",
         "*5\r\n$5\r\nLMOVE\r\n$1\r\nk\r\n$1\r\nt\r\n$4\r\nLEFT\r\n$5\r\nRIGHT\r\n"},
        {"BRPOPLPUSH k t 0", "*3\r\n$9\r\nRPOPLPUSH\r\n$1\r\nk\r\n$1\r\nt\r\n"},
    };
    static char bytes[16384];
    for (int is_waiting = 0; is_waiting < 2; is_waiting++) {
        for (size_t i = 0; i < SCI_COUNT(logged); i++) {
            char path[512];
            (void)snprintf(path, sizeof path, "%s/log-%d-%zu", test_folder(), is_waiting, i);
            server_test_restart();
            open_log(path);
            sci_session *giver = session_new();
            sci_session *taker = session_new();
            bool is_blocking = logged[i].line[0] == 'B';
            if (is_waiting && is_blocking)
                session_ask(taker, logged[i].line);
            session_ask(giver, "RPUSH k a b c");
            if (!is_waiting || !is_blocking)
                session_ask(taker, logged[i].line);
            assert_true(read_file(path, bytes, sizeof bytes) > 0);
            if (!strstr(bytes, logged[i].reply))
                fail_msg("%s is in the log as %s", logged[i].line, bytes);
            assert_null(strstr(bytes, "MPOP"));
            assert_null(strstr(bytes, "\nB"));
        }
    }
}

/* --- memory */

#define LONG_ELEMENT                                                                               \
    "an_element_that_is_longer_than_any_room_that_a_small_list_may_have_left_for_it_at_its_ends"

static void fill(sci_session *session)
{
    char line[128];
    session_ask(session, "RPUSH l a b c d e f g");
    session_ask(session, "RPUSH m 1");
    for (int i = 0; i < 400; i++) {
        (void)snprintf(line, sizeof line, "RPUSH L element-number-%d", i);
        session_ask(session, line);
    }
}

static const char *const all_keys[] = {"LRANGE l 0 -1", "LRANGE m 0 -1", "LRANGE n 0 -1",
                                       "LRANGE L 0 -1"};
static const server_memory_test memory_test = {fill, all_keys, SCI_COUNT(all_keys), NULL};

static void without_memory_a_command_changes_nothing(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "LPUSH n x y z",
        "RPUSH l x " LONG_ELEMENT " y",
        "LPUSH l x " LONG_ELEMENT " y",
        "LPUSH L x " LONG_ELEMENT " y",
        "LINSERT l BEFORE d " LONG_ELEMENT,
        "LINSERT L AFTER element-number-200 " LONG_ELEMENT,
        "LSET l 3 " LONG_ELEMENT,
        "LSET L 200 " LONG_ELEMENT,
        "LMOVE l n LEFT RIGHT",
        "LMOVE L l LEFT RIGHT",
        "LMOVE L L LEFT RIGHT",
        "LMOVE l l RIGHT LEFT",
        "BLMOVE L m LEFT LEFT 0",
    };
    for (size_t i = 0; i < SCI_COUNT(lines); i++)
        server_memory_test_command(&memory_test, lines[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        server_unit_test(lists_answer_as_in_redis),
        server_unit_test(a_popped_list_that_is_empty_is_gone),
        server_unit_test(what_waits_for_a_list_is_served_like_what_does_not),
        server_unit_test(a_wait_that_is_over_answers_a_nil_array),
        server_unit_test(where_nothing_may_wait_moves_answer_another_nil),
        server_unit_test(the_log_gets_what_does_not_wait),
        server_unit_test(without_memory_a_command_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
