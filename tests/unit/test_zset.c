/* Commands of sorted sets, without a socket: what they answer and change, whom they wake, and that
   they change all or nothing. tests/differential compares them with redis-server's. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "server_test.h"

/* A reply in short: "[a 1 (nil) -ERR ...]", strings as they are. */
static const char *brief_value(const char *at, char **to)
{
    const char *end = strstr(at, "\r\n");
    assert_non_null(end);
    long number = strtol(at + 1, NULL, 10);
    if (*at == '$' && number >= 0) {
        memcpy(*to, end + 2, (size_t)number);
        *to += number;
        return end + 2 + number + 2;
    }
    if (*at == '*' && number >= 0) {
        *(*to)++ = '[';
        at = end + 2;
        for (long i = 0; i < number; i++) {
            if (i > 0)
                *(*to)++ = ' ';
            at = brief_value(at, to);
        }
        *(*to)++ = ']';
        return at;
    }
    if (number < 0 && (*at == '$' || *at == '*')) {
        *to += sprintf(*to, "(nil)");
    } else {
        size_t skipped = *at == ':' || *at == '+';
        memcpy(*to, at + skipped, (size_t)(end - at) - skipped);
        *to += (size_t)(end - at) - skipped;
    }
    return end + 2;
}

static const char *brief(const char *reply)
{
    static char text[SERVER_TEST_REPLY_BYTES];
    char *to = text;
    while (*reply)
        reply = brief_value(reply, &to);
    *to = '\0';
    return text;
}

typedef struct exchange {
    const char *line;
    const char *reply; /* in short */
} exchange;

static void exchange_all(const exchange *exchanges, size_t count)
{
    sci_session *session = session_new();
    for (size_t i = 0; i < count; i++) {
        const char *reply = brief(session_ask(session, exchanges[i].line));
        if (strcmp(reply, exchanges[i].reply) != 0)
            fail_msg("%s was answered by %s, not by %s", exchanges[i].line, reply,
                     exchanges[i].reply);
    }
}

#define EXCHANGE(...)                                                                              \
    do {                                                                                           \
        static const exchange exchanges[] = {__VA_ARGS__};                                         \
        (void)state;                                                                               \
        exchange_all(exchanges, SCI_COUNT(exchanges));                                             \
    } while (0)

/* --- Changing */

static void zadd_counts_what_is_new(void **state)
{
    EXCHANGE({"ZADD k 1 a 2 b", "2"}, {"ZADD k 3 a 4 c 5 c", "1"}, {"ZADD k CH 3 a 6 b 7 d", "2"},
             {"ZRANGE k 0 -1 WITHSCORES", "[a 3 c 5 b 6 d 7]"});
}

static void options_of_zadd_say_who_is_changed(void **state)
{
    EXCHANGE(
        {"ZADD k XX 1 a", "0"}, {"ZCARD k", "0"}, {"ZADD k NX 1 a", "1"}, {"ZADD k NX 2 a", "0"},
        {"ZADD k XX CH 2 a 3 b", "1"}, {"ZADD k GT CH 1 a 9 c", "1"}, {"ZADD k LT CH 1 a", "1"},
        {"ZADD k LT CH 1 a", "0"},
        {"ZADD k nx xx 1 a", "-ERR XX and NX options at the same time are not compatible"},
        {"ZADD k gt lt 1 a", "-ERR GT, LT, and/or NX options at the same time are not compatible"},
        {"ZADD k incr 1 a 2 b", "-ERR INCR option supports a single increment-element pair"},
        {"ZADD k 1 a 2", "-ERR syntax error"}, {"ZADD k x a", "-ERR value is not a valid float"},
        {"ZADD k nan a", "-ERR value is not a valid float"});
}

static void a_score_is_increased_and_answered(void **state)
{
    EXCHANGE({"ZINCRBY k 1.5 a", "1.5"}, {"ZADD k INCR 2 a", "3.5"},
             {"ZADD k NX INCR 2 a", "(nil)"}, {"ZADD k GT INCR -2 a", "(nil)"},
             {"ZADD k inf i", "1"},
             {"ZINCRBY k -inf i", "-ERR resulting score is not a number (NaN)"},
             {"ZSCORE k i", "inf"}, {"ZSCORE k a", "3.5"});
}

static void members_are_removed_and_an_empty_set_is_gone(void **state)
{
    EXCHANGE({"ZADD k 1 a 2 b 3 c 4 d 5 e 6 f", "6"}, {"ZREM k a x", "1"}, {"ZREM none a", "0"},
             {"ZREMRANGEBYRANK k 0 0", "1"}, {"ZREMRANGEBYRANK k 7 9", "0"},
             {"ZREMRANGEBYSCORE k (3 4", "1"},
             {"ZREMRANGEBYSCORE k x 4", "-ERR min or max is not a float"},
             {"ZREMRANGEBYLEX k [c [e", "2"}, {"ZRANGE k 0 -1", "[f]"}, {"ZPOPMIN k", "[f 6]"},
             {"ZADD k XX 1 a", "0"}, {"SCARD k", "0"});
}

/* --- Asking */

static void scores_and_ranks_are_told(void **state)
{
    EXCHANGE({"ZADD k 1 a 2 b 3 c", "3"}, {"ZSCORE k b", "2"}, {"ZSCORE k x", "(nil)"},
             {"ZMSCORE k a x c", "[1 (nil) 3]"}, {"ZMSCORE none a", "[(nil)]"}, {"ZRANK k c", "2"},
             {"ZREVRANK k c", "0"}, {"ZRANK k x", "(nil)"}, {"ZCOUNT k (1 +inf", "2"},
             {"ZCOUNT k 1 x", "-ERR min or max is not a float"}, {"ZLEXCOUNT k - +", "3"},
             {"ZLEXCOUNT k a +", "-ERR min or max not valid string range item"}, {"SADD s a", "1"},
             {"ZCARD s", "-WRONGTYPE Operation against a key holding the wrong kind of value"});
}

static void ranges_go_both_ways_by_rank_score_and_bytes(void **state)
{
    EXCHANGE({"ZADD k 1 a 2 b 3 c 4 d", "4"}, {"ZRANGE k 1 2", "[b c]"},
             {"ZRANGE k -2 -1 REV WITHSCORES", "[b 2 a 1]"}, {"ZRANGE k 3 1", "[]"},
             {"ZRANGE k (1 3 BYSCORE", "[b c]"}, {"ZRANGE k 3 (1 BYSCORE REV", "[c b]"},
             {"ZRANGE k -inf inf BYSCORE LIMIT 1 2", "[b c]"},
             {"ZRANGE k inf -inf BYSCORE REV LIMIT 1 2", "[c b]"},
             {"ZRANGE k inf -inf BYSCORE REV LIMIT 1 -1", "[c b a]"},
             {"ZRANGE k 0 9 BYSCORE LIMIT -1 2", "[]"}, {"ZRANGE k [b (d BYLEX", "[b c]"},
             {"ZREVRANGE k 0 1", "[d c]"}, {"ZRANGEBYSCORE k 2 3 WITHSCORES", "[b 2 c 3]"},
             {"ZREVRANGEBYSCORE k 3 2", "[c b]"}, {"ZRANGEBYLEX k [c +", "[c d]"},
             {"ZREVRANGEBYLEX k (c -", "[b a]"}, {"ZRANGE none 0 -1", "[]"},
             {"ZRANGE k 0 -1 LIMIT 0 1",
              "-ERR syntax error, LIMIT is only supported in combination "
              "with either BYSCORE or BYLEX"},
             {"ZRANGE k - + BYLEX WITHSCORES",
              "-ERR syntax error, WITHSCORES not supported in combination with BYLEX"});
}

static void a_range_is_stored_in_place_of_anything(void **state)
{
    EXCHANGE({"ZADD k 1 a 2 b 3 c", "3"}, {"SADD d x", "1"}, {"ZRANGESTORE d k 0 1", "2"},
             {"ZRANGE d 0 -1 WITHSCORES", "[a 1 b 2]"}, {"ZRANGESTORE k k 2 (0 BYSCORE REV", "2"},
             {"ZRANGE k 0 -1", "[a b]"}, {"ZRANGESTORE d k 5 9", "0"}, {"ZCARD d", "0"});
}

static void fill_with_many(sci_session *session, const char *key, int count)
{
    char line[64];
    for (int i = 0; i < count; i++) {
        snprintf(line, sizeof line, "ZADD %s %d member:%d", key, i * 7919 % 1000, i);
        (void)session_ask(session, line);
    }
}

/* Redis stores a range by rank that is known to be large in a full set from the start, any other in a
   packed one, which knows no -0. */
static void a_large_range_by_rank_keeps_the_sign_of_0(void **state)
{
    sci_session *session = session_new();
    (void)state;
    fill_with_many(session, "k", 128);
    assert_string_equal(brief(session_ask(session, "ZADD k -0 a -1 b")), "2");
    assert_string_equal(brief(session_ask(session, "ZRANGESTORE d k 1 129")), "129");
    assert_string_equal(brief(session_ask(session, "ZSCORE d a")), "-0");
    assert_string_equal(brief(session_ask(session, "ZRANGESTORE d k 1 128")), "128");
    assert_string_equal(brief(session_ask(session, "ZSCORE d a")), "0");
    assert_string_equal(brief(session_ask(session, "ZRANGESTORE d k -0.5 +inf BYSCORE")), "129");
    assert_string_equal(brief(session_ask(session, "ZSCORE d a")), "0");
}

static void a_scan_shows_members_and_scores(void **state)
{
    EXCHANGE({"ZADD k 1 a 2.5 ab 3 b", "3"}, {"ZSCAN k 0", "[0 [a 1 ab 2.5 b 3]]"},
             {"ZSCAN k 0 MATCH a* COUNT 100", "[0 [a 1 ab 2.5]]"}, {"ZSCAN none 0", "[0 []]"},
             {"ZSCAN k x", "-ERR invalid cursor"});
}

static void members_are_drawn_by_chance(void **state)
{
    EXCHANGE({"ZADD k 1 a 2 b", "2"}, {"ZRANDMEMBER k 5", "[b a]"},
             {"ZRANDMEMBER k 5 WITHSCORES", "[b 2 a 1]"}, {"ZRANDMEMBER k 0", "[]"},
             {"ZRANDMEMBER none", "(nil)"}, {"ZRANDMEMBER none 2", "[]"}, {"ZREM k b", "1"},
             {"ZRANDMEMBER k", "a"}, {"ZRANDMEMBER k -3", "[a a a]"});
}

static void each_member_is_drawn_about_as_often(void **state)
{
    size_t drawn[10] = {0};
    sci_session *session = session_new();
    (void)state;
    (void)session_ask(session, "ZADD k 0 0 1 1 2 2 3 3 4 4 5 5 6 6 7 7 8 8 9 9");
    for (size_t i = 0; i < 3000; i++) {
        const char *line = i % 3 == 0   ? "ZRANDMEMBER k"
                           : i % 3 == 1 ? "ZRANDMEMBER k 2"
                                        : "ZRANDMEMBER k 6";
        for (const char *at = brief(session_ask(session, line)); *at; at++)
            if (*at >= '0' && *at <= '9')
                drawn[*at - '0']++;
    }
    for (size_t i = 0; i < 10; i++)
        assert_in_range(drawn[i], 800, 1000);
}

/* --- Several sets */

static void sets_are_united_intersected_and_subtracted(void **state)
{
    EXCHANGE({"ZADD a 1 x 2 y 3 z", "3"}, {"ZADD b 10 y 20 z 30 w", "3"}, {"SADD s z q", "2"},
             {"ZUNION 2 a b WITHSCORES", "[x 1 y 12 z 23 w 30]"},
             {"ZUNION 2 a b WEIGHTS 2 -1 AGGREGATE MIN WITHSCORES", "[w -30 z -20 y -10 x 2]"},
             {"ZINTER 2 a b AGGREGATE MAX WITHSCORES", "[y 10 z 20]"},
             {"ZINTER 3 a b s WITHSCORES", "[z 24]"}, {"ZDIFF 2 a s WITHSCORES", "[x 1 y 2]"},
             {"ZINTERCARD 2 a b", "2"}, {"ZINTERCARD 2 a b LIMIT 1", "1"},
             {"ZUNIONSTORE d 2 a s", "4"}, {"ZRANGE d 0 -1 WITHSCORES", "[q 1 x 1 y 2 z 4]"},
             {"ZINTERSTORE d 2 a none", "0"}, {"ZCARD d", "0"}, {"ZDIFFSTORE a 1 a", "3"},
             {"ZUNION 0 a", "-ERR at least 1 input key is needed for 'zunion' command"},
             {"ZUNION 2 a", "-ERR syntax error"},
             {"ZUNION 1 a WEIGHTS x", "-ERR weight value is not a float"},
             {"ZINTERCARD 1 a LIMIT -1", "-ERR LIMIT can't be negative"});
}

static void infinities_that_cancel_each_other_out_are_0(void **state)
{
    EXCHANGE({"ZADD a inf x -0 y", "2"}, {"ZADD b -inf x", "1"},
             {"ZUNION 2 a b WITHSCORES", "[x 0 y 0]"},
             {"ZUNION 1 a WEIGHTS 0 WITHSCORES", "[x 0 y 0]"},
             {"ZUNION 1 a WEIGHTS -1 WITHSCORES", "[x -inf y -0]"});
}

/* --- Popping and waiting */

static void members_are_popped_from_both_ends(void **state)
{
    EXCHANGE({"ZADD k 1 a 2 b 3 c 4 d 5 e", "5"}, {"ZPOPMIN k", "[a 1]"},
             {"ZPOPMAX k 2", "[e 5 d 4]"}, {"ZPOPMIN k 0", "[]"}, {"ZPOPMIN none", "[]"},
             {"ZPOPMIN k -1", "-ERR value is out of range, must be positive"},
             {"ZMPOP 2 none k MIN COUNT 1", "[k [[b 2]]]"}, {"BZPOPMAX none k 0", "[k c 3]"},
             {"ZMPOP 1 k MAX", "(nil)"}, {"ZMPOP 1 k FIRST", "-ERR syntax error"},
             {"ZMPOP 0 k MIN", "-ERR numkeys should be greater than 0"},
             {"ZMPOP 1 k MIN COUNT 0", "-ERR count should be greater than 0"},
             {"BZMPOP 0 1 k MIN COUNT", "-ERR syntax error"});
}

static void who_has_waited_longest_is_served_first(void **state)
{
    sci_session *first = session_new(), *second = session_new(), *third = session_new();
    sci_session *giver = session_new();
    (void)state;
    assert_string_equal(brief(session_ask(first, "BZPOPMIN k j 0")), "");
    assert_string_equal(brief(session_ask(second, "BZMPOP 0 1 k MAX COUNT 2")), "");
    assert_string_equal(brief(session_ask(third, "BZPOPMAX k 0")), "");
    assert_string_equal(brief(session_ask(giver, "ZADD k 1 a 2 b 3 c")), "3");
    assert_string_equal(brief(session_take(first)), "[k a 1]");
    assert_string_equal(brief(session_take(second)), "[k [[c 3] [b 2]]]");
    assert_string_equal(brief(session_take(third)), "");
    assert_string_equal(brief(session_ask(giver, "ZINTERSTORE k 1 none")), "0");
    assert_string_equal(brief(session_ask(giver, "SADD s z")), "1");
    assert_string_equal(brief(session_ask(giver, "ZUNIONSTORE k 1 s")), "1");
    assert_string_equal(brief(session_take(third)), "[k z 1]");
    assert_string_equal(brief(session_ask(giver, "ZCARD k")), "0");
}

static void who_waits_in_vain_gets_nil(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_string_equal(brief(session_ask(session, "BZPOPMIN k 0.5")), "");
    test.now_ms += 500;
    (void)sci_server_tick(test.server);
    assert_string_equal(brief(session_take(session)), "(nil)");
    assert_string_equal(brief(session_ask(session, "BZPOPMIN k -1")), "-ERR timeout is negative");
}

static void nobody_waits_inside_a_transaction(void **state)
{
    EXCHANGE({"MULTI", "OK"}, {"BZPOPMIN k 0", "QUEUED"}, {"BZMPOP 0 1 k MIN", "QUEUED"},
             {"EXEC", "[(nil) (nil)]"});
}

/* --- Without memory */

#define NO_MEMORY "-OOM"

/* Everything that the keys a to d hold. */
static void assert_state(sci_session *session, char state[SERVER_TEST_REPLY_BYTES], bool is_kept)
{
    char text[SERVER_TEST_REPLY_BYTES] = "";
    static const char *const lines[] = {"ZRANGE a 0 -1 WITHSCORES", "ZRANGE b 0 -1 WITHSCORES",
                                        "ZRANGE c 0 -1 WITHSCORES", "SMEMBERS d"};
    for (size_t i = 0; i < SCI_COUNT(lines); i++)
        strcat(text, brief(session_ask(session, lines[i])));
    if (is_kept)
        assert_string_equal(text, state);
    strcpy(state, text);
}

/* Each request for memory of a command fails in turn: it is refused and nothing has changed, until
   it succeeds. */
static void fail_everywhere(const char *line)
{
    static char state[SERVER_TEST_REPLY_BYTES];
    bool is_done = false;
    for (size_t at = 1; !is_done; at++) {
        sci_session *session = session_new();
        assert_state(session, state, false);
        fault_memory_fail(&test.memory, at, true);
        const char *reply = brief(session_ask(session, line));
        fault_memory_fail(&test.memory, 0, false);
        is_done = reply[0] != '-' && !session->is_broken;
        if (!is_done && !session->is_broken)
            assert_memory_equal(reply, NO_MEMORY, strlen(NO_MEMORY));
        bool is_unknown = session->is_broken;
        sci_session_close(session);
        session = session_new();
        if (!is_done && !is_unknown)
            assert_state(session, state, true);
        sci_session_close(session);
        assert_true(at < 2000);
    }
}

static void a_command_without_memory_changes_nothing(void **state)
{
    static const char *const lines[] = {
        "ZADD a 1 one",
        "ZADD a 5 member:1 6 member:2 7 new:1 8 new:2 9 member:3",
        "ZADD b 5 member:1 6 member:2 7 new:1 8 new:2 9 member:3 9 new:3 9 new:4",
        "ZADD c 1 one 2 two",
        "ZRANGESTORE c b 0 100",
        "ZUNIONSTORE c 3 a b d",
        "ZINTERSTORE c 2 a b WEIGHTS 1 2",
        "ZDIFFSTORE c 2 b a",
        "ZUNION 2 a b",
        "ZRANDMEMBER b 20",
        "ZSCAN a 0",
        "ZREMRANGEBYRANK b 0 100",
    };
    sci_session *session = session_new();
    (void)state;
    fill_with_many(session, "a", 30);
    fill_with_many(session, "b", 300);
    (void)session_ask(session, "SADD d member:1 x y");
    for (size_t i = 0; i < SCI_COUNT(lines); i++)
        fail_everywhere(lines[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        server_unit_test(zadd_counts_what_is_new),
        server_unit_test(options_of_zadd_say_who_is_changed),
        server_unit_test(a_score_is_increased_and_answered),
        server_unit_test(members_are_removed_and_an_empty_set_is_gone),
        server_unit_test(scores_and_ranks_are_told),
        server_unit_test(ranges_go_both_ways_by_rank_score_and_bytes),
        server_unit_test(a_range_is_stored_in_place_of_anything),
        server_unit_test(a_large_range_by_rank_keeps_the_sign_of_0),
        server_unit_test(a_scan_shows_members_and_scores),
        server_unit_test(members_are_drawn_by_chance),
        server_unit_test(each_member_is_drawn_about_as_often),
        server_unit_test(sets_are_united_intersected_and_subtracted),
        server_unit_test(infinities_that_cancel_each_other_out_are_0),
        server_unit_test(members_are_popped_from_both_ends),
        server_unit_test(who_has_waited_longest_is_served_first),
        server_unit_test(who_waits_in_vain_gets_nil),
        server_unit_test(nobody_waits_inside_a_transaction),
        server_unit_test(a_command_without_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
