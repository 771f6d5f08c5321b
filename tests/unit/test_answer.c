/* A command's words and its answers: numbers, time-outs, patterns and RESP2. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "fault_memory.h"
#include "resp_test.h"

/* A call with words, and what it has been answered. */
typedef struct asked {
    fault_memory memory;
    sci_session session;
    sci_command command;
    sci_bytes out;
    sc_slice argv[4];
    sci_call call;
    char text[TRANSCRIPT_BYTES];
} asked;

static void asked_init(asked *asked)
{
    memset(asked, 0, sizeof *asked);
    fault_memory_init(&asked->memory);
    sci_bytes_init(&asked->out, &asked->memory.table);
    asked->command.name = "client";
    asked->call.command = &asked->command;
    asked->call.session = &asked->session;
    asked->call.out = &asked->out;
    asked->call.argv = asked->argv;
    asked->call.argc = SCI_COUNT(asked->argv);
}

static void asked_free(asked *asked)
{
    sci_bytes_free(&asked->out);
    assert_true(fault_memory_is_clean(&asked->memory));
    fault_memory_free(&asked->memory);
}

/* What was answered since the last time. */
static const char *answered(asked *asked)
{
    sc_slice out = sci_bytes_slice(&asked->out);
    assert_true(out.len < sizeof asked->text);
    if (out.len > 0)
        memcpy(asked->text, out.data, out.len);
    asked->text[out.len] = '\0';
    sci_bytes_reset(&asked->out, SIZE_MAX);
    return asked->text;
}

/* --- answers */

static void answers_are_resp2(void **state)
{
    (void)state;
    asked a;
    asked_init(&a);
    sci_answer_ok(&a.call);
    assert_string_equal(answered(&a), "+OK\r\n");
    sci_answer_simple(&a.call, "QUEUED");
    assert_string_equal(answered(&a), "+QUEUED\r\n");
    sci_answer_i64(&a.call, INT64_MIN);
    assert_string_equal(answered(&a), ":-9223372036854775808\r\n");
    sci_answer_bulk(&a.call, sc_text("a\r\nb"));
    assert_string_equal(answered(&a), "$4\r\na\r\nb\r\n");
    sci_answer_bulk(&a.call, sc_bytes(NULL, 0));
    assert_string_equal(answered(&a), "$0\r\n\r\n");
    sci_answer_text(&a.call, "none");
    assert_string_equal(answered(&a), "$4\r\nnone\r\n");
    sci_answer_i64_bulk(&a.call, -12);
    assert_string_equal(answered(&a), "$3\r\n-12\r\n");
    sci_answer_double(&a.call, 0.1);
    assert_string_equal(answered(&a), "$19\r\n0.10000000000000001\r\n");
    sci_answer_nil(&a.call, SCI_NIL_BULK);
    sci_answer_nil(&a.call, SCI_NIL_ARRAY);
    assert_string_equal(answered(&a), "$-1\r\n*-1\r\n");
    sci_answer_array(&a.call, 1234567);
    assert_string_equal(answered(&a), "*1234567\r\n");
    asked_free(&a);
}

static void errors_are_one_line(void **state)
{
    (void)state;
    asked a;
    asked_init(&a);
    sci_answer_error(&a.call, "ERR unknown command '%.*s', really", 7, "a\r\nb\nc!x");
    assert_string_equal(answered(&a), "-ERR unknown command 'a  b c!', really\r\n");
    sci_answer_wrong_type(&a.call);
    assert_string_equal(answered(&a),
                        "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    sci_answer_syntax_error(&a.call);
    assert_string_equal(answered(&a), "-ERR syntax error\r\n");
    sci_answer_wrong_arity(&a.call);
    assert_string_equal(answered(&a), "-ERR wrong number of arguments for 'client' command\r\n");
    sci_answer_no_memory(&a.call);
    assert_string_equal(answered(&a), "-OOM out of memory\r\n");
    asked_free(&a);
}

static void a_subcommand_is_unknown_or_has_other_arguments(void **state)
{
    (void)state;
    static char long_word[300];
    char expected[400];
    asked a;
    asked_init(&a);
    a.argv[1] = sc_text("FOO\n");
    sci_answer_unknown_subcommand(&a.call);
    assert_string_equal(answered(&a), "-ERR unknown subcommand 'FOO '. Try CLIENT HELP.\r\n");
    a.argv[1] = sc_text("Kill");
    sci_answer_wrong_subcommand(&a.call);
    assert_string_equal(answered(&a), "-ERR unknown subcommand or wrong number of arguments for "
                                      "'Kill'. Try CLIENT HELP.\r\n");
    a.call.subcommand = sci_subcommand_find(a.call.command, a.argv[1]);
    sci_answer_wrong_arity(&a.call);
    assert_string_equal(answered(&a),
                        "-ERR wrong number of arguments for 'client|kill' command\r\n");
    a.argv[1] = sc_text("kill|list");
    sci_answer_unknown_subcommand(&a.call);
    assert_string_equal(answered(&a), "-ERR unknown subcommand 'kill|list'. Try CLIENT HELP.\r\n");
    memset(long_word, 'x', sizeof long_word);
    a.argv[1] = sc_bytes(long_word, sizeof long_word);
    sci_answer_unknown_subcommand(&a.call);
    snprintf(expected, sizeof expected, "-ERR unknown subcommand '%.128s'. Try CLIENT HELP.\r\n",
             long_word);
    assert_string_equal(answered(&a), expected);
    asked_free(&a);
}

static void an_array_may_be_counted_at_its_end(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 9, 10, 11, 99, 100, 1234};
    for (size_t i = 0; i < SCI_COUNT(counts); i++) {
        asked a;
        transcript expected;
        asked_init(&a);
        memset(&expected, 0, sizeof expected);
        put(&expected, "+before\r\n*2\r\n*%zu\r\n", counts[i]);
        sci_answer_simple(&a.call, "before");
        size_t outer = sci_answer_array_begin(&a.call);
        size_t inner = sci_answer_array_begin(&a.call);
        for (size_t element = 0; element < counts[i]; element++) {
            sci_answer_i64(&a.call, 7);
            put(&expected, ":7\r\n");
        }
        sci_answer_array_end(&a.call, inner, counts[i]);
        sci_answer_ok(&a.call);
        put(&expected, "+OK\r\n");
        sci_answer_array_end(&a.call, outer, 2);
        assert_string_equal(answered(&a), expected.text);
        assert_false(a.session.is_broken);
        asked_free(&a);
    }
}

static void answer_everything(sci_call *call)
{
    static char large[4000];
    memset(large, 'x', sizeof large);
    size_t mark = sci_answer_array_begin(call);
    for (int i = 0; i < 10; i++)
        sci_answer_bulk(call, sc_bytes(large, sizeof large));
    sci_answer_array_end(call, mark, 10);
    sci_answer_array(call, 3);
    sci_answer_error(call, "ERR %s", "no");
    sci_answer_nil(call, SCI_NIL_BULK);
    sci_answer_i64(call, 1);
}

static void a_session_that_cannot_be_answered_is_broken(void **state)
{
    (void)state;
    bool has_failed = true;
    for (size_t fail_at = 1; has_failed; fail_at++) {
        asked a;
        asked_init(&a);
        fault_memory_fail(&a.memory, fail_at, true);
        answer_everything(&a.call);
        has_failed = fault_memory_failures(&a.memory) > 0;
        assert_int_equal(a.session.is_broken, has_failed);
        asked_free(&a);
        assert_true(fail_at < 20);
    }
}

static void what_the_log_brings_has_no_session_to_break(void **state)
{
    (void)state;
    asked a;
    asked_init(&a);
    a.call.session = NULL;
    fault_memory_fail(&a.memory, 1, true);
    answer_everything(&a.call);
    assert_true(fault_memory_failures(&a.memory) > 0);
    asked_free(&a);
}

/* --- words */

static void words_are_the_same_in_any_case(void **state)
{
    (void)state;
    assert_true(sci_word_is(sc_text("withscores"), "withscores"));
    assert_true(sci_word_is(sc_text("WithScores"), "withscores"));
    assert_true(sci_word_is(sc_text("NO-EVICT"), "no-evict"));
    assert_true(sci_word_is(sc_bytes(NULL, 0), ""));
    assert_false(sci_word_is(sc_text("withscore"), "withscores"));
    assert_false(sci_word_is(sc_text("withscoress"), "withscores"));
    assert_false(sci_word_is(sc_text("\x14"
                                     "x"),
                             "4x"));
    assert_false(sci_word_is(sc_bytes("nx\0", 3), "nx"));
}

static void numbers_are_checked(void **state)
{
    (void)state;
    asked a;
    int64_t integer = 0;
    double number = 0;
    sci_extended extended;
    asked_init(&a);
    a.argv[1] = sc_text("-12");
    a.argv[2] = sc_text("1e2");
    a.argv[3] = sc_text(" 1");
    assert_true(sci_arg_i64(&a.call, 1, &integer));
    assert_int_equal(integer, -12);
    assert_false(sci_arg_i64(&a.call, 2, &integer));
    assert_string_equal(answered(&a), "-ERR value is not an integer or out of range\r\n");
    assert_true(sci_arg_double(&a.call, 2, &number));
    assert_true(number == 100);
    assert_false(sci_arg_double(&a.call, 3, &number));
    assert_string_equal(answered(&a), "-ERR value is not a valid float\r\n");
    assert_true(sci_arg_extended(&a.call, 2, &extended));
    assert_false(sci_arg_extended(&a.call, 3, &extended));
    assert_string_equal(answered(&a), "-ERR value is not a valid float\r\n");
    assert_false(sci_word_to_double(sc_text("1e400"), &number));
    assert_false(sci_word_to_double(sc_text("nan"), &number));
    asked_free(&a);
}

typedef struct timed {
    const char *word;
    int64_t ms;
    const char *error;
} timed;

static const timed timeouts[] = {
    {"0", 0, NULL},
    {"1", 1000, NULL},
    {"0.1", 100, NULL},
    {"0.0001", 1, NULL},
    {"1.0005", 1001, NULL},
    {"1e-300", 1, NULL},
    {"-0.0001", 0, NULL},
    {"-0.001", 0, NULL},
    {"0x10", 16000, NULL},
    {"9223372036854774", INT64_MAX / 4 / 1000000, NULL},
    {"-1", 0, "ERR timeout is negative"},
    {"-inf", 0, "ERR timeout is negative"},
    {"inf", 0, "ERR timeout is negative"},
    {"1e30", 0, "ERR timeout is negative"},
    {"abc", 0, "ERR timeout is not a float or out of range"},
    {"", 0, "ERR timeout is not a float or out of range"},
    {"1 ", 0, "ERR timeout is not a float or out of range"},
    {"nan", 0, "ERR timeout is not a float or out of range"},
    {"1e5000", 0, "ERR timeout is not a float or out of range"},
};

static void timeouts_are_seconds(void **state)
{
    (void)state;
    asked a;
    asked_init(&a);
    for (size_t i = 0; i < SCI_COUNT(timeouts); i++) {
        int64_t ms = 0;
        char error[80] = "";
        a.argv[3] = sc_text(timeouts[i].word);
        assert_int_equal(sci_arg_timeout(&a.call, 3, &ms), timeouts[i].error == NULL);
        assert_int_equal(ms, timeouts[i].ms);
        if (timeouts[i].error)
            snprintf(error, sizeof error, "-%s\r\n", timeouts[i].error);
        assert_string_equal(answered(&a), error);
    }
    asked_free(&a);
}

/* --- patterns */

typedef struct matched {
    const char *pattern;
    size_t pattern_len;
    const char *text;
    size_t text_len;
    bool is_match;
} matched;

/* What SCAN MATCH of Redis 7.0 said. */
static const matched patterns[] = {
    {BYTES("*"), BYTES("a"), true},
    {BYTES("**"), BYTES("a"), true},
    {BYTES("**"), BYTES(""), false},
    {BYTES(""), BYTES(""), true},
    {BYTES(""), BYTES("a"), false},
    {BYTES("user:*:name"), BYTES("user:12:name"), true},
    {BYTES("user:*:name"), BYTES("user:12:names"), false},
    {BYTES("h[a-e]llo"), BYTES("hello"), true},
    {BYTES("h[^e]llo"), BYTES("hello"), false},
    {BYTES("h\\*llo"), BYTES("h*llo"), true},
    {BYTES("*[aA-a\377\?"), BYTES("A]"), true},
    {BYTES("*[[\?a-*]"), BYTES("[]"), true},
    {BYTES("*[^\?-"), BYTES("a[\377][A"), true},
    {BYTES("[*\000B\\\?\?"), BYTES("B"), true},
    {BYTES("[ab\200\\"), BYTES("a"), true},
    {BYTES("[^\\*-[B["), BYTES("]"), true},
    {BYTES("\?b[*-b"), BYTES("Bbb"), true},
    {BYTES("[*^-A"), BYTES("B"), true},
    {BYTES("[^---Aa-"), BYTES("B"), true},
    {BYTES("*\?*\?A"), BYTES("\\[^-AA"), true},
    {BYTES("[bAa*"), BYTES("b"), true},
    {BYTES("[a**aBb"), BYTES("B"), true},
    {BYTES("[\200*-^[]*"), BYTES("]\000a*^["), true},
    {BYTES("[b-\\"), BYTES("^"), true},
    {BYTES("*[-["), BYTES("\377\200\000[a["), true},
    {BYTES("[\?*^b[["), BYTES("*"), true},
    {BYTES("[^ba\200]"), BYTES("["), true},
    {BYTES("*[\200ab]"), BYTES("b\377\377][b"), true},
    {BYTES("[^\\[b"), BYTES("\\"), true},
    {BYTES("[\377ba\?-^a"), BYTES("\377"), true},
    {BYTES("*[BB-\200"), BYTES("\200"), true},
    {BYTES("[--a[\377"), BYTES("\377"), true},
    {BYTES("[A-\\[\200*\\"), BYTES("\\"), true},
    {BYTES("*[\\^Aa"), BYTES("\000\\^"), true},
    {BYTES("*[^a\\-a"), BYTES("bb"), true},
    {BYTES("[^\\^*\377*b"), BYTES("-"), true},
    {BYTES("**-*"), BYTES("\377]-"), true},
    {BYTES("*-[--^\?"), BYTES("\\-A"), true},
    {BYTES("[a\?\\*A"), BYTES("A"), true},
    {BYTES("*[^\\^"), BYTES("Bb]*"), true},
    {BYTES("*a*a\?*"), BYTES("BaBa^["), true},
    {BYTES("\?[^b["), BYTES("\200]"), true},
    {BYTES("[\200-[]*"), BYTES("B["), true},
    {BYTES("[ba-*\?*"), BYTES("\\"), true},
    {BYTES("*[a*[bB^"), BYTES("[*"), true},
    {BYTES("[-\200a"), BYTES("-"), true},
    {BYTES("**[bAb"), BYTES("*\200*b"), true},
    {BYTES("[ab--b\\b"), BYTES("]"), true},
    {BYTES("[BA[b"), BYTES("["), true},
    {BYTES("[A-\377\000*\\]"), BYTES("\000"), true},
    {BYTES("*[[\\*"), BYTES("*"), true},
    {BYTES("[^-]*\?"), BYTES("^^"), true},
    {BYTES("*[-[*]"), BYTES("A\377\377-"), true},
    {BYTES("[*-^^]*"), BYTES("^^"), true},
    {BYTES("[\200\377b\\-b"), BYTES("-"), true},
    {BYTES("*****"), BYTES("A"), true},
    {BYTES("[\\\377-A\\]b"), BYTES("-"), true},
    {BYTES("[-b\377[]*"), BYTES("[*-*"), true},
    {BYTES("\?[-*\000[*a"), BYTES("\000*"), true},
    {BYTES("**[[a\200"), BYTES("\200[a"), true},
    {BYTES("*^**"), BYTES("^\377\\*[["), true},
    {BYTES("[b\?\000a\\\?\?"), BYTES("a"), true},
    {BYTES("*[a-*"), BYTES("\\-A"), true},
    {BYTES("[Aaa"), BYTES("A"), true},
    {BYTES("a\?[^\\ab"), BYTES("aAA"), true},
    {BYTES("\?*\\*"), BYTES("\\\000Aa\377*"), true},
    {BYTES("[[a^\?-b\200"), BYTES("\\"), true},
    {BYTES("*\?*\?"), BYTES("[[\\-A"), true},
    {BYTES("[****Aa\\"), BYTES("*"), true},
    {BYTES("\?*[\\*"), BYTES("ab-b\000*"), true},
    {BYTES("]--\?aA"), BYTES(""), false},
    {BYTES("aA-\\^"), BYTES("]"), false},
    {BYTES("^a\?\200[\\A-"), BYTES("AA*"), false},
    {BYTES("[^\\]aa"), BYTES(""), false},
    {BYTES("^A*][a"), BYTES("]-\000*\\"), false},
    {BYTES("A\200a^\000"), BYTES("*AAB\000*"), false},
    {BYTES("b\\[^-B-"), BYTES("a[\200b-"), false},
    {BYTES("]A]a"), BYTES("]\377AA]"), false},
    {BYTES("-bb]"), BYTES(""), false},
    {BYTES("*b[*\?[a"), BYTES("-"), false},
    {BYTES("\200][\?A*"), BYTES("\200bb*\000\\"), false},
    {BYTES("\377\\-*b-Aa"), BYTES("BAa"), false},
    {BYTES("[]aa\200b*["), BYTES(""), false},
    {BYTES("a[A[^\?"), BYTES("\377]"), false},
    {BYTES("a\377\?b^]"), BYTES(""), false},
    {BYTES("]aabba\000b"), BYTES("]\\"), false},
    {BYTES("\?[-]\200"), BYTES("^\200\\a"), false},
    {BYTES("-^b\?--"), BYTES("]^*"), false},
    {BYTES("*\?-\\a]^"), BYTES(""), false},
    {BYTES("b[*Aa\377["), BYTES(""), false},
    {BYTES("]A]A\000\?\?a"), BYTES("\000\377\377-"), false},
    {BYTES("\?a\000]\377"), BYTES("\377b*["), false},
    {BYTES("\\B[["), BYTES("b\000]ab"), false},
    {BYTES("[Ba]\?"), BYTES("*^\377\\]"), false},
    {BYTES("^*^*\\aa]"), BYTES("["), false},
    {BYTES("b*[[b]"), BYTES(""), false},
    {BYTES("bb-a\?*b-"), BYTES("\\"), false},
    {BYTES("-[ABb["), BYTES("-"), false},
    {BYTES("-[A*"), BYTES("B-[**\000"), false},
    {BYTES("*a\\]B-Bb"), BYTES("\000A\377^^B"), false},
    {BYTES("^a\?]"), BYTES("a\\\200"), false},
    {BYTES("\\--\\"), BYTES(""), false},
    {BYTES("bA*-a]]A"), BYTES("[-A[-"), false},
    {BYTES("]a]^Bb^"), BYTES("^^A[*"), false},
    {BYTES("*ab*bb]"), BYTES("B-"), false},
    {BYTES("*[-a^]aa"), BYTES("\377"), false},
    {BYTES("a-[]--*"), BYTES("*"), false},
    {BYTES("*\377\200*a^]["), BYTES("\\\377\200*\000"), false},
    {BYTES("]\\]\?"), BYTES("B"), false},
    {BYTES("*[a]\200"), BYTES("^^B]"), false},
    {BYTES("b^^-]"), BYTES("]^B"), false},
    {BYTES("*a[*-"), BYTES("A**-"), false},
    {BYTES("a[A\200"), BYTES("]"), false},
    {BYTES("b-\\\\"), BYTES("\000"), false},
    {BYTES("\377*[b*a]-"), BYTES("B\377"), false},
    {BYTES("\377ab\\"), BYTES("bab]\000"), false},
    {BYTES("b[]\?]]]"), BYTES(""), false},
    {BYTES("-\?-A^]^"), BYTES("\200a\\"), false},
    {BYTES("**A^-\\A*"), BYTES("[a"), false},
    {BYTES("Baaab[*"), BYTES("a"), false},
};

static void patterns_match_as_in_redis(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(patterns); i++) {
        const matched *m = &patterns[i];
        bool is_match = sci_glob_match(sc_bytes(m->pattern, m->pattern_len),
                                       sc_bytes(m->text, m->text_len), false);
        if (is_match != m->is_match)
            fail_msg("pattern %zu, \"%s\" on \"%s\"", i, m->pattern, m->text);
    }
}

static void case_can_be_ignored(void **state)
{
    (void)state;
    assert_true(sci_glob_match(sc_text("MAX*[A-C]"), sc_text("maxmemoryb"), true));
    assert_false(sci_glob_match(sc_text("MAX*[A-C]"), sc_text("maxmemoryb"), false));
    assert_false(sci_glob_match(sc_text("[\\A]"), sc_text("a"), true));
}

/* Exponential where each star is gone back to. */
static void many_stars_take_no_longer(void **state)
{
    (void)state;
    static char pattern[400];
    static char text[2000];
    for (size_t i = 0; i < sizeof pattern; i += 2)
        memcpy(pattern + i, "*a", 2);
    pattern[sizeof pattern - 1] = 'b';
    memset(text, 'a', sizeof text);
    assert_false(
        sci_glob_match(sc_bytes(pattern, sizeof pattern), sc_bytes(text, sizeof text), false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_resp2),
        cmocka_unit_test(errors_are_one_line),
        cmocka_unit_test(a_subcommand_is_unknown_or_has_other_arguments),
        cmocka_unit_test(an_array_may_be_counted_at_its_end),
        cmocka_unit_test(a_session_that_cannot_be_answered_is_broken),
        cmocka_unit_test(what_the_log_brings_has_no_session_to_break),
        cmocka_unit_test(words_are_the_same_in_any_case),
        cmocka_unit_test(numbers_are_checked),
        cmocka_unit_test(timeouts_are_seconds),
        cmocka_unit_test(patterns_match_as_in_redis),
        cmocka_unit_test(case_can_be_ignored),
        cmocka_unit_test(many_stars_take_no_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
