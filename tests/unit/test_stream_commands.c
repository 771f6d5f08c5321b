/* The commands of streams, over sessions. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "server_test.h"

#define NOT_AN_ID "-ERR Invalid stream ID specified as stream command argument\r\n"
#define NOT_A_NUMBER "-ERR value is not an integer or out of range\r\n"
#define WRONG_TYPE "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
#define TOO_SMALL                                                                                  \
    "-ERR The ID specified in XADD is equal or smaller than the target stream top item\r\n"
#define BOTH_BOUNDS                                                                                \
    "-ERR syntax error, MAXLEN and MINID options at the same time are not compatible\r\n"
#define WORD(text) "$1\r\n" text "\r\n"
#define ID(text) "$3\r\n" text "\r\n"
#define ENTRY(id, field, value) "*2\r\n" ID(id) "*2\r\n" WORD(field) WORD(value)

/* Entries 1-0, 2-0 ... whose field f has the value v. */
static void add_entries(sci_session *session, const char *key, int count)
{
    for (int i = 1; i <= count; i++) {
        char line[100];
        (void)snprintf(line, sizeof line, "XADD %s %d-0 f v", key, i);
        assert_int_equal(session_ask(session, line)[0], '$');
    }
}

/* --- XADD */

static void an_entry_gets_the_id_that_was_asked_for(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "XADD s 5-3 a b", ID("5-3"));
    assert_reply(session, "XADD s 6 a b", ID("6-0"));
    assert_reply(session, "XADD s 6-* a b", ID("6-1"));
    assert_reply(session, "XADD s 7-* a b", ID("7-0"));
    assert_reply(session, "XADD s 7-0 a b", TOO_SMALL);
    assert_reply(session, "XADD s 3-* a b", TOO_SMALL);
    assert_reply(session, "XLEN s", ":4\r\n");
}

static void an_id_of_the_clock_never_goes_back(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "XADD s * a b", "$15\r\n1700000000000-0\r\n");
    assert_reply(session, "XADD s * a b", "$15\r\n1700000000000-1\r\n");
    test.now_ms -= 1000;
    assert_reply(session, "XADD s * a b", "$15\r\n1700000000000-2\r\n");
    test.now_ms += 2000;
    assert_reply(session, "XADD s * a b", "$15\r\n1700000001000-0\r\n");
}

static void ids_end_at_the_highest(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "XADD s 0-0 a b",
                 "-ERR The ID specified in XADD must be greater than 0-0\r\n");
    assert_reply(session, "XADD s 5-18446744073709551615 a b", "$22\r\n5-18446744073709551615\r\n");
    assert_reply(session, "XADD s 5-* a b", TOO_SMALL);
    assert_reply(session, "XADD s 18446744073709551615-18446744073709551615 a b",
                 "$41\r\n18446744073709551615-18446744073709551615\r\n");
    assert_reply(
        session, "XADD s * a b",
        "-ERR The stream has exhausted the last possible ID, unable to add more items\r\n");
}

static void wrong_words_of_xadd_change_nothing(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "XADD s 1-x a b", NOT_AN_ID);
    assert_reply(session, "XADD s - a b", NOT_AN_ID);
    assert_reply(session, "XADD s 18446744073709551616 a b", NOT_AN_ID);
    assert_reply(session, "XADD s 1 a b c",
                 "-ERR wrong number of arguments for 'xadd' command\r\n");
    assert_reply(session, "XADD s MAXLEN 1 NOMKSTREAM",
                 "-ERR wrong number of arguments for 'xadd' command\r\n");
    assert_reply(session, "XADD s MAXLEN x 1 a b", NOT_A_NUMBER);
    assert_reply(session, "XADD s MAXLEN -1 1 a b", "-ERR The MAXLEN argument must be >= 0.\r\n");
    assert_reply(session, "XADD s MAXLEN 1 MINID 1 1 a b", BOTH_BOUNDS);
    assert_reply(session, "XADD s LIMIT 1 1 a b",
                 "-ERR syntax error, LIMIT cannot be used without specifying a trimming "
                 "strategy\r\n");
    assert_reply(session, "XADD s MAXLEN 1 LIMIT 1 1 a b",
                 "-ERR syntax error, LIMIT cannot be used without the special ~ option\r\n");
    assert_reply(session, "XADD s NOMKSTREAM 1 a b", "$-1\r\n");
    assert_reply(session, "XLEN s", ":0\r\n");
}

static void xadd_trims_what_it_leaves_over(void **state)
{
    sci_session *session = session_new();
    (void)state;
    add_entries(session, "s", 9);
    assert_reply(session, "XADD s MAXLEN 3 10-0 a b", "$4\r\n10-0\r\n");
    assert_reply(session, "XLEN s", ":3\r\n");
    assert_reply(session, "XADD s MINID = 10 11-0 a b", "$4\r\n11-0\r\n");
    assert_reply(session, "XLEN s", ":2\r\n");
    assert_reply(session, "XADD s MAXLEN ~ 1 12-0 a b", "$4\r\n12-0\r\n");
    assert_reply(session, "XLEN s", ":3\r\n");
    assert_reply(session, "XADD s MAXLEN 0 13-0 a b", "$4\r\n13-0\r\n");
    assert_reply(session, "XLEN s", ":0\r\n");
}

static void a_key_of_another_type_is_refused(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "SADD key x", ":1\r\n");
    assert_reply(session, "XADD key 1 a b", WRONG_TYPE);
    assert_reply(session, "XLEN key", WRONG_TYPE);
    assert_reply(session, "XRANGE key - +", WRONG_TYPE);
    assert_reply(session, "XDEL key x", WRONG_TYPE);
    assert_reply(session, "XTRIM key MAXLEN 1", WRONG_TYPE);
    assert_reply(session, "XSETID key 1", WRONG_TYPE);
    assert_reply(session, "XREAD STREAMS key x", WRONG_TYPE);
    assert_reply(session, "XINFO STREAM key", WRONG_TYPE);
}

/* --- Ranges */

static void a_range_has_the_entries_between_its_ends(void **state)
{
    sci_session *session = session_new();
    (void)state;
    add_entries(session, "s", 4);
    assert_reply(session, "XRANGE s 2 3", "*2\r\n" ENTRY("2-0", "f", "v") ENTRY("3-0", "f", "v"));
    assert_reply(session, "XRANGE s (2 (4-0", "*1\r\n" ENTRY("3-0", "f", "v"));
    assert_reply(session, "XREVRANGE s + 3",
                 "*2\r\n" ENTRY("4-0", "f", "v") ENTRY("3-0", "f", "v"));
    assert_reply(session, "XREVRANGE s + - COUNT 1", "*1\r\n" ENTRY("4-0", "f", "v"));
    assert_reply(session, "XRANGE s - + COUNT 0", "*-1\r\n");
    assert_reply(session, "XRANGE s - + COUNT -5", "*-1\r\n");
    assert_reply(session, "XRANGE none - +", "*0\r\n");
    assert_reply(session, "XRANGE s 3 2", "*0\r\n");
}

static void wrong_ends_of_a_range_are_refused(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "XRANGE s ( +", NOT_AN_ID);
    assert_reply(session, "XRANGE s (- +", NOT_AN_ID);
    assert_reply(session, "XRANGE s - (0-0", "-ERR invalid end ID for the interval\r\n");
    assert_reply(session, "XREVRANGE s + (18446744073709551615-18446744073709551615",
                 "-ERR invalid start ID for the interval\r\n");
    assert_reply(session, "XRANGE s - + COUNT", "-ERR syntax error\r\n");
    assert_reply(session, "XRANGE s - + COUNT x", NOT_A_NUMBER);
}

static void parts_of_ids_are_read_as_c_reads_numbers(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "XADD s \" +05-\\t007\" a b", ID("5-7"));
    assert_reply(session, "XADD s 5--03 a b", "$22\r\n5-18446744073709551613\r\n");
    assert_reply(session, "XADD s 6--3 a b", NOT_AN_ID);
    assert_reply(session, "XADD s 6-- a b", NOT_AN_ID);
    assert_reply(session, "XADD s \"6\\x00-9\" a b", ID("6-0"));
}

/* --- XDEL, XTRIM, XSETID */

static void deleted_entries_are_gone_and_remembered(void **state)
{
    sci_session *session = session_new();
    (void)state;
    add_entries(session, "s", 3);
    assert_reply(session, "XDEL s 3 x", NOT_AN_ID);
    assert_reply(session, "XDEL s 3 3 9 1-0", ":2\r\n");
    assert_reply(session, "XDEL none x", ":0\r\n");
    assert_reply(session, "XRANGE s - +", "*1\r\n" ENTRY("2-0", "f", "v"));
    assert_reply(session, "XADD s 3-0 a b", TOO_SMALL);
    assert_reply(
        session, "XINFO STREAM s",
        "*20\r\n$6\r\nlength\r\n:1\r\n$15\r\nradix-tree-keys\r\n:1\r\n"
        "$16\r\nradix-tree-nodes\r\n:2\r\n$17\r\nlast-generated-id\r\n" ID(
            "3-0") "$20\r\nmax-deleted-entry-id\r\n" ID("3-0") "$13\r\nentries-added\r\n:3\r\n"
                                                               "$23\r\nrecorded-first-entry-"
                                                               "id\r\n" ID(
                                                                   "2-0") "$6\r\ngroups\r\n:0\r\n"
                                                                          "$11\r\nfirst-"
                                                                          "entry\r\n" ENTRY(
                                                                              "2-0", "f",
                                                                              "v") "$10\r\nlast-"
                                                                                   "entry\r"
                                                                                   "\n" ENTRY("2-0",
                                                                                              "f",
                                                                                              "v"));
}

static void an_emptied_stream_stays(void **state)
{
    sci_session *session = session_new();
    (void)state;
    add_entries(session, "s", 1);
    assert_reply(session, "XDEL s 1", ":1\r\n");
    assert_reply(
        session, "XINFO STREAM s FULL",
        "*18\r\n$6\r\nlength\r\n:0\r\n$15\r\nradix-tree-keys\r\n:0\r\n"
        "$16\r\nradix-tree-nodes\r\n:1\r\n$17\r\nlast-generated-id\r\n" ID(
            "1-0") "$20\r\nmax-deleted-entry-id\r\n" ID("1-0") "$13\r\nentries-added\r\n:1\r\n"
                                                               "$23\r\nrecorded-first-entry-"
                                                               "id\r\n" ID(
                                                                   "0-0") "$7\r\nentries\r\n*0\r\n$"
                                                                          "6\r\ngroups\r\n*0\r\n");
}

static void trimming_says_how_many_went(void **state)
{
    sci_session *session = session_new();
    (void)state;
    add_entries(session, "s", 250);
    assert_reply(session, "XTRIM s MAXLEN ~ 100", ":100\r\n");
    assert_reply(session, "XTRIM s MAXLEN ~ 0 LIMIT 99", ":0\r\n");
    assert_reply(session, "XTRIM s MINID = 105", ":4\r\n");
    assert_reply(session, "XTRIM s MAXLEN 1", ":145\r\n");
    assert_reply(session, "XTRIM none MAXLEN 1", ":0\r\n");
    assert_reply(session, "XTRIM s LIMIT 0 x", "-ERR syntax error\r\n");
    assert_reply(session, "XTRIM s LIMIT 0",
                 "-ERR syntax error, XTRIM must be called with a trimming strategy\r\n");
}

static void the_last_id_can_be_set(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "XSETID s 5", "-ERR no such key\r\n");
    add_entries(session, "s", 2);
    assert_reply(session, "XSETID s 1-9",
                 "-ERR The ID specified in XSETID is smaller than the target stream top item\r\n");
    assert_reply(session, "XSETID s 5 ENTRIESADDED 1",
                 "-ERR The entries_added specified in XSETID is smaller than the target stream "
                 "length\r\n");
    assert_reply(session, "XSETID s 5 ENTRIESADDED -1", "-ERR entries_added must be positive\r\n");
    assert_reply(session, "XSETID s 5 MAXDELETEDID 6",
                 "-ERR The ID specified in XSETID is smaller than the provided "
                 "max_deleted_entry_id\r\n");
    assert_reply(session, "XSETID s 5 MAXDELETEDID", "-ERR syntax error\r\n");
    assert_reply(session, "XSETID s 5 ENTRIESADDED 7 MAXDELETEDID 4", "+OK\r\n");
    assert_reply(session, "XADD s 5-* a b", ID("5-1"));
}

/* --- XREAD */

static void xread_answers_what_is_above_the_ids(void **state)
{
    sci_session *session = session_new();
    (void)state;
    add_entries(session, "s", 3);
    add_entries(session, "t", 1);
    assert_reply(session, "XREAD COUNT 1 STREAMS s none t 1 0 0",
                 "*2\r\n*2\r\n" WORD("s") "*1\r\n" ENTRY("2-0", "f", "v") "*2\r\n" WORD(
                     "t") "*1\r\n" ENTRY("1-0", "f", "v"));
    assert_reply(session, "XREAD STREAMS s t $ 1", "*-1\r\n");
    assert_reply(session, "XDEL s 3", ":1\r\n");
    assert_reply(session, "XREAD STREAMS s 2", "*-1\r\n");
}

static void wrong_words_of_xread_are_refused(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "XREAD STREAMS a b 0",
                 "-ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be "
                 "specified.\r\n");
    assert_reply(session, "XREAD BLOCK x STREAMS a 0",
                 "-ERR timeout is not an integer or out of range\r\n");
    assert_reply(session, "XREAD BLOCK -1 STREAMS a 0", "-ERR timeout is negative\r\n");
    assert_reply(session, "XREAD COUNT x STREAMS a 0", NOT_A_NUMBER);
    assert_reply(session, "XREAD NOACK STREAMS a 0",
                 "-ERR The NOACK option is only supported by XREADGROUP. You called XREAD "
                 "instead.\r\n");
    assert_reply(session, "XREAD GROUP g c STREAMS a >",
                 "-ERR The GROUP option is only supported by XREADGROUP. You called XREAD "
                 "instead.\r\n");
    assert_reply(session, "XREAD STREAMS a >",
                 "-ERR The > ID can be specified only when calling XREADGROUP using the GROUP "
                 "<group> <consumer> option.\r\n");
    assert_reply(session, "XREAD STREAMS a *", NOT_AN_ID);
    assert_reply(session, "XREAD COUNT 1 BLOCK 1", "-ERR syntax error\r\n");
}

static void a_reader_waits_for_what_is_added(void **state)
{
    sci_session *reader = session_new();
    sci_session *writer = session_new();
    (void)state;
    add_entries(writer, "s", 1);
    assert_reply(reader, "XREAD BLOCK 0 STREAMS none s $ $", "");
    assert_reply(writer, "XDEL s 1", ":1\r\n");
    assert_string_equal(session_take(reader), "");
    assert_reply(writer, "XADD s 2 a b", ID("2-0"));
    assert_string_equal(session_take(reader),
                        "*1\r\n*2\r\n" WORD("s") "*1\r\n" ENTRY("2-0", "a", "b"));
}

static void a_reader_is_answered_by_the_first_key_that_is_ready(void **state)
{
    sci_session *reader = session_new();
    sci_session *writer = session_new();
    (void)state;
    assert_reply(reader, "XREAD BLOCK 0 STREAMS s t 0 0", "");
    sci_session_feed(writer, sc_text("MULTI\r\nXADD t 1 a b\r\nXADD s 1 a b\r\nEXEC\r\n"));
    assert_string_equal(session_take(reader),
                        "*1\r\n*2\r\n" WORD("t") "*1\r\n" ENTRY("1-0", "a", "b"));
}

static void a_reader_hears_of_an_entry_that_is_gone_already(void **state)
{
    sci_session *reader = session_new();
    sci_session *writer = session_new();
    (void)state;
    assert_reply(reader, "XREAD BLOCK 0 STREAMS s 0", "");
    sci_session_feed(writer, sc_text("MULTI\r\nXADD s 1 a b\r\nXDEL s 1\r\nEXEC\r\n"));
    assert_string_equal(session_take(reader), "*1\r\n*2\r\n" WORD("s") "*0\r\n");
}

static void a_reader_waits_past_ids_that_it_has_seen(void **state)
{
    sci_session *reader = session_new();
    sci_session *writer = session_new();
    (void)state;
    assert_reply(reader, "XREAD BLOCK 100 STREAMS s 5", "");
    assert_reply(writer, "XADD s 4 a b", ID("4-0"));
    assert_string_equal(session_take(reader), "");
    test.now_ms += 101;
    (void)sci_server_tick(test.server);
    assert_string_equal(session_take(reader), "*-1\r\n");
}

static void nobody_waits_in_a_transaction(void **state)
{
    sci_session *session = session_new();
    (void)state;
    sci_session_feed(session, sc_text("MULTI\r\nXREAD BLOCK 0 STREAMS s $\r\nEXEC\r\n"));
    assert_string_equal(session_take(session), "+OK\r\n+QUEUED\r\n*1\r\n*-1\r\n");
}

/* --- XINFO */

static void a_stream_has_no_groups(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "XINFO GROUPS s", "-ERR no such key\r\n");
    add_entries(session, "s", 1);
    assert_reply(session, "XINFO GROUPS s", "*0\r\n");
    assert_reply(session, "XINFO CONSUMERS s g",
                 "-NOGROUP No such consumer group 'g' for key name 's'\r\n");
}

static void wrong_words_of_xinfo_are_refused(void **state)
{
    sci_session *session = session_new();
    (void)state;
    add_entries(session, "s", 1);
    assert_reply(session, "XINFO nope", "-ERR unknown subcommand 'nope'. Try XINFO HELP.\r\n");
    assert_reply(session, "XINFO STREAM",
                 "-ERR wrong number of arguments for 'xinfo|stream' command\r\n");
    assert_reply(session, "XINFO STREAM s FULL COUNT",
                 "-ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO "
                 "HELP.\r\n");
    assert_reply(session, "XINFO STREAM s FULL COUNT x", NOT_A_NUMBER);
    assert_reply(session, "XINFO STREAM none what", "-ERR no such key\r\n");
    assert_memory_equal(session_ask(session, "XINFO HELP"), "*9\r\n+XINFO <subcommand>", 22);
}

/* --- Events, transactions, memory */

static void changes_are_told_as_events(void **state)
{
    sci_session *session = session_new();
    sci_session *listener = session_new();
    (void)state;
    test.server->notified_events = SCI_EVENT_KEYEVENT | SCI_EVENT_STREAM;
    (void)session_ask(listener, "PSUBSCRIBE *");
#define EVENT(channel_bytes, name)                                                                 \
    "*4\r\n$8\r\npmessage\r\n" WORD("*") "$" channel_bytes "\r\n__keyevent@0__:" name              \
                                         "\r\n" WORD("s")
    (void)session_ask(session, "XADD s MAXLEN 0 1 a b");
    assert_string_equal(session_take(listener), EVENT("19", "xadd") EVENT("20", "xtrim"));
    (void)session_ask(session, "XADD s 2 a b");
    (void)session_ask(session, "XDEL s 2 3");
    (void)session_ask(session, "XDEL s 2 3");
    assert_string_equal(session_take(listener), EVENT("19", "xadd") EVENT("19", "xdel"));
    (void)session_ask(session, "XTRIM s MAXLEN 0");
    (void)session_ask(session, "XSETID s 9");
    assert_string_equal(session_take(listener), EVENT("21", "xsetid"));
}

static void setting_the_last_id_disturbs_no_watch(void **state)
{
    sci_session *session = session_new();
    sci_session *other = session_new();
    (void)state;
    add_entries(session, "s", 1);
    assert_reply(session, "WATCH s", "+OK\r\n");
    assert_reply(other, "XSETID s 9", "+OK\r\n");
    sci_session_feed(session, sc_text("MULTI\r\nXLEN s\r\nEXEC\r\n"));
    assert_string_equal(session_take(session), "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n");
    assert_reply(session, "WATCH s", "+OK\r\n");
    assert_reply(other, "XADD s 10 a b", "$4\r\n10-0\r\n");
    sci_session_feed(session, sc_text("MULTI\r\nXLEN s\r\nEXEC\r\n"));
    assert_string_equal(session_take(session), "+OK\r\n+QUEUED\r\n*-1\r\n");
}

/* Let each request for memory of a command fail in turn, until it goes well. */
static void ask_without_memory(sci_session *session, const char *line, const char *key,
                               const char *length_before)
{
    char ask_length[100];
    /* Words and answers have room already: only the command itself may fail. */
    (void)session_ask(session,
                      "ECHO 1 2 3 4 5 6 7 8 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    (void)snprintf(ask_length, sizeof ask_length, "XLEN %s", key);
    for (size_t request = 1;; request++) {
        fault_memory_fail(&test.memory, request, true);
        const char *answer = session_ask(session, line);
        fault_memory_fail(&test.memory, 0, false);
        if (answer[0] != '-')
            return;
        assert_string_equal(answer, "-OOM out of memory\r\n");
        assert_reply(session, ask_length, length_before);
    }
}

static void an_entry_without_memory_is_refused(void **state)
{
    sci_session *session = session_new();
    (void)state;
    ask_without_memory(session, "XADD s 1-0 a b", "s", ":0\r\n");
    assert_reply(session, "XLEN s", ":1\r\n");
    ask_without_memory(session,
                       "XADD s 2-0 a xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                       "s", ":1\r\n");
    assert_reply(session, "XLEN s", ":2\r\n");
}

static void who_cannot_wait_for_want_of_memory_is_told_so(void **state)
{
    sci_session *session = session_new();
    sci_session *writer = session_new();
    (void)state;
    add_entries(writer, "s", 1);
    ask_without_memory(session, "XREAD BLOCK 0 STREAMS s t $ $", "s", ":1\r\n");
    assert_reply(writer, "XADD s 2 a b", ID("2-0"));
    assert_string_equal(session_take(session),
                        "*1\r\n*2\r\n" WORD("s") "*1\r\n" ENTRY("2-0", "a", "b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        server_unit_test(an_entry_gets_the_id_that_was_asked_for),
        server_unit_test(an_id_of_the_clock_never_goes_back),
        server_unit_test(ids_end_at_the_highest),
        server_unit_test(wrong_words_of_xadd_change_nothing),
        server_unit_test(xadd_trims_what_it_leaves_over),
        server_unit_test(a_key_of_another_type_is_refused),
        server_unit_test(a_range_has_the_entries_between_its_ends),
        server_unit_test(wrong_ends_of_a_range_are_refused),
        server_unit_test(parts_of_ids_are_read_as_c_reads_numbers),
        server_unit_test(deleted_entries_are_gone_and_remembered),
        server_unit_test(an_emptied_stream_stays),
        server_unit_test(trimming_says_how_many_went),
        server_unit_test(the_last_id_can_be_set),
        server_unit_test(xread_answers_what_is_above_the_ids),
        server_unit_test(wrong_words_of_xread_are_refused),
        server_unit_test(a_reader_waits_for_what_is_added),
        server_unit_test(a_reader_is_answered_by_the_first_key_that_is_ready),
        server_unit_test(a_reader_hears_of_an_entry_that_is_gone_already),
        server_unit_test(a_reader_waits_past_ids_that_it_has_seen),
        server_unit_test(nobody_waits_in_a_transaction),
        server_unit_test(a_stream_has_no_groups),
        server_unit_test(wrong_words_of_xinfo_are_refused),
        server_unit_test(changes_are_told_as_events),
        server_unit_test(setting_the_last_id_disturbs_no_watch),
        server_unit_test(an_entry_without_memory_is_refused),
        server_unit_test(who_cannot_wait_for_want_of_memory_is_told_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
