/* Commands of hashes and sets: what the random commands of tests/differential cannot see. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "server_memory_test.h"

static const char *const filling[] = {
    "HSET h a 1 b 2 c three", "SADD s a b c d e f", "SADD t d e f g", "SADD u f", "SADD str x",
};

/* All that the keys hold. */
static const char *const all_keys[] = {"HGETALL h",  "HGETALL H",  "HGETALL n",  "SMEMBERS s",
                                       "SMEMBERS t", "SMEMBERS S", "SMEMBERS m", "SMEMBERS d"};

/* A long hash and a long set besides: tables, not packed. */
static void fill(sci_session *session)
{
    char line[128];
    for (size_t i = 0; i < SCI_COUNT(filling); i++)
        session_ask(session, filling[i]);
    for (int i = 0; i < 300; i++) {
        (void)snprintf(line, sizeof line, "HSET H field:%d value:%d", i, i);
        session_ask(session, line);
        (void)snprintf(line, sizeof line, "SADD S member:%d", i);
        session_ask(session, line);
    }
}

static const server_memory_test memory_test = {fill, all_keys, SCI_COUNT(all_keys), "SMOVE"};

static void without_memory_a_command_changes_nothing(void **state)
{
    static const char *const lines[] = {
        "HSET h a 5 new 6 c 7 another 8 x 9 y 10 z 11 aa 12 bb 13 cc 14",
        "HSET H field:1 5 new 6 field:2 7 another 8 x 9 y 10 z 11 aa 12 bb 13 cc 14",
        "HSET n field value",
        "HSETNX h new a_value_that_is_longer_than_those_that_are_packed_into_one_block_together",
        "HINCRBY h a 5",
        "HINCRBYFLOAT h b 0.5",
        "SADD s a b g h i j k l m n o p q r",
        "SADD m a_member",
        "SMOVE s t a",
        "SMOVE S m member:17",
        "SUNIONSTORE d s t S",
        "SUNIONSTORE s t S",
        "SINTERSTORE d s t",
        "SDIFFSTORE d S s t u",
        "SDIFF S s t u",
        "SUNION s t",
        "HSCAN H 0 COUNT 100",
        "SPOP S 20",
    };
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(lines); i++)
        server_memory_test_command(&memory_test, lines[i]);
}

static void an_emptied_hash_or_set_is_gone(void **state)
{
    sci_session *session = session_new();
    (void)state;
    session_ask(session, "HSET h a 1 b 2");
    assert_reply(session, "HDEL h a b c", ":2\r\n");
    assert_null(sci_db_find(session->db, sc_text("h")));
    session_ask(session, "SADD s a b");
    assert_reply(session, "SREM s a b", ":2\r\n");
    assert_null(sci_db_find(session->db, sc_text("s")));
    session_ask(session, "SADD s a");
    assert_reply(session, "SPOP s", "$1\r\na\r\n");
    assert_null(sci_db_find(session->db, sc_text("s")));
}

/* Every command that can be logged, as the commands that make the state again. */
typedef struct dumped {
    sci_dump dump;
    char text[SERVER_TEST_REPLY_BYTES];
    size_t len;
    size_t commands;
    size_t longest; /* words */
} dumped;

static sc_status dumped_take(sci_dump *dump, const sc_slice *argv, size_t argc)
{
    dumped *to = (dumped *)dump;
    to->commands++;
    to->longest = sci_max_size(to->longest, argc);
    for (size_t i = 0; i < argc; i++) {
        int len = snprintf(to->text + to->len, sizeof to->text - to->len, "%.*s%s",
                           (int)argv[i].len, argv[i].data, i + 1 < argc ? " " : "\n");
        to->len += (size_t)len;
        assert_true(to->len < sizeof to->text);
    }
    return SC_OK;
}

static void a_dump_makes_the_same_again_in_bounded_pieces(void **state)
{
    sci_session *session = session_new();
    static dumped to;
    static char before[SERVER_MEMORY_TEST_STATE_BYTES], after[SERVER_MEMORY_TEST_STATE_BYTES];
    (void)state;
    fill(session);
    server_memory_test_state(&memory_test, before);
    memset(&to, 0, sizeof to);
    to.dump.command = dumped_take;
    static const char *const keys[] = {"h", "H", "s", "t", "S"};
    for (size_t i = 0; i < SCI_COUNT(keys); i++) {
        sci_entry *entry = sci_db_find(session->db, sc_text(keys[i]));
        assert_int_equal(sci_entry_dump(session->db, entry, &to.dump), SC_OK);
    }
    assert_true(to.commands > 8 && to.longest < 140);
    server_test_restart();
    session = session_new();
    for (char *line = to.text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        assert_int_equal(session_ask(session, line)[0], ':');
    }
    server_memory_test_state(&memory_test, after);
    assert_string_equal(after, before);
}

static void more_random_members_than_a_session_takes_end_it(void **state)
{
    sc_server_config config;
    (void)state;
    sci_server_free(test.server);
    config = server_test_config();
    config.max_output_bytes = 4096;
    assert_int_equal(sci_server_create(&config, &test.server), SC_OK);
    sci_session *session = session_new();
    session_ask(session, "SADD s a b c");
    session_ask(session, "HSET h a b");
    sci_session *other = session_new();
    session_ask(session, "SRANDMEMBER s -9223372036854775807");
    assert_true(session->is_broken);
    session_ask(other, "HRANDFIELD h -4611686018427387903 WITHVALUES");
    assert_true(other->is_broken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        server_unit_test(without_memory_a_command_changes_nothing),
        server_unit_test(an_emptied_hash_or_set_is_gone),
        server_unit_test(a_dump_makes_the_same_again_in_bounded_pieces),
        server_unit_test(more_random_members_than_a_session_takes_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
