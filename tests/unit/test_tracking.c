/* Client-side caching: who is told of what. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "server_test.h"

#define WORDS_MOST 32
#define INVALIDATE "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n"

/* CLIENT, by its functions. */
static const char *client_ask(sci_session *session, const char *line)
{
    static const sci_command client = {"client", NULL, -2, 0, 0, 0, 0};
    sc_slice words[WORDS_MOST];
    size_t count = 0;
    sci_call call;
    for (const char *at = line; *at; at += *at == ' ') {
        const char *end = strchr(at, ' ');
        words[count++] = sc_bytes(at, end ? (size_t)(end - at) : strlen(at));
        at += words[count - 1].len;
    }
    sci_call_init(&call, test.server, session, &client, words, count);
    if (sci_word_is(words[1], "tracking"))
        sci_client_tracking(&call);
    else if (sci_word_is(words[1], "caching"))
        sci_client_caching(&call);
    else if (sci_word_is(words[1], "trackinginfo"))
        sci_client_trackinginfo(&call);
    else
        sci_client_getredir(&call);
    sci_tracking_command_done(session, &client);
    return session_take(session);
}

#define assert_client(session, line, expected)                                                     \
    assert_string_equal(client_ask(session, line), expected)

/* A session that hears, and one whose messages go there; then the options. */
static sci_session *listener_new(void)
{
    sci_session *listener = session_new();
    session_ask(listener, "SUBSCRIBE __redis__:invalidate");
    return listener;
}

static sci_session *tracker_new(const sci_session *listener, const char *options)
{
    sci_session *tracker = session_new();
    char line[256];
    (void)snprintf(line, sizeof line, "CLIENT TRACKING ON REDIRECT %u %s", (unsigned)listener->id,
                   options);
    line[strlen(line) - (*options == '\0')] = '\0'; /* no blank at the end */
    assert_client(tracker, line, "+OK\r\n");
    return tracker;
}

static void whoever_read_a_key_is_told_once(void **state)
{
    sci_session *listener = listener_new(), *tracker = tracker_new(listener, "");
    sci_session *writer = session_new();
    (void)state;
    session_ask(writer, "HSET k a 1");
    assert_string_equal(session_take(listener), "");
    session_ask(tracker, "HGET k a");
    session_ask(tracker, "HGET absent a");
    session_ask(writer, "HSET k a 2");
    assert_string_equal(session_take(listener), INVALIDATE "*1\r\n$1\r\nk\r\n");
    session_ask(writer, "HSET k a 3");
    assert_string_equal(session_take(listener), "");
    session_ask(writer, "HSET absent a 1");
    assert_string_equal(session_take(listener), INVALIDATE "*1\r\n$6\r\nabsent\r\n");
}

static void keys_without_a_place_of_their_own_are_tracked(void **state)
{
    sci_session *listener = listener_new(), *tracker = tracker_new(listener, "");
    sci_session *writer = session_new();
    (void)state;
    session_ask(tracker, "SINTERCARD 2 s t LIMIT 3");
    session_ask(writer, "SADD LIMIT a");
    assert_string_equal(session_take(listener), "");
    session_ask(writer, "SADD t a");
    assert_string_equal(session_take(listener), INVALIDATE "*1\r\n$1\r\nt\r\n");
    session_ask(tracker, "SINTERCARD 3 s t\r\nXREAD STREAMS t 1 2");
    session_ask(writer, "SADD t b");
    assert_string_equal(session_take(listener), "");
    session_ask(tracker, "XREAD COUNT 1 STREAMS t 1");
    session_ask(writer, "SADD t c");
    assert_string_equal(session_take(listener), INVALIDATE "*1\r\n$1\r\nt\r\n");
}

static void noloop_spares_the_writer_and_untracks_all_the_same(void **state)
{
    sci_session *listener = listener_new(), *tracker = tracker_new(listener, "NOLOOP");
    sci_session *writer = session_new();
    (void)state;
    session_ask(tracker, "HGET k a");
    session_ask(tracker, "HSET k a 1");
    assert_string_equal(session_take(listener), "");
    session_ask(writer, "HSET k a 2");
    assert_string_equal(session_take(listener), "");
}

static void a_chosen_command_is_the_next_one_or_the_next_transaction(void **state)
{
    sci_session *listener = listener_new(), *tracker = tracker_new(listener, "OPTIN");
    sci_session *writer = session_new();
    (void)state;
    session_ask(tracker, "HGET unchosen a");
    assert_client(tracker, "CLIENT CACHING YES", "+OK\r\n");
    assert_client(tracker, "CLIENT GETREDIR", ":1\r\n"); /* CLIENT does not use it up */
    session_ask(tracker, "HGET chosen a");
    session_ask(tracker, "HGET unchosen a");
    session_ask(writer, "HSET unchosen a 1");
    session_ask(writer, "HSET chosen a 1");
    assert_string_equal(session_take(listener), INVALIDATE "*1\r\n$6\r\nchosen\r\n");
    assert_client(tracker, "CLIENT CACHING YES", "+OK\r\n");
    session_ask(tracker, "MULTI");
    session_ask(tracker, "HGET a a");
    session_ask(tracker, "HGET b a");
    session_ask(tracker, "EXEC");
    session_ask(tracker, "HGET unchosen a");
    session_ask(writer, "HSET unchosen a 2");
    session_ask(writer, "HSET b a 1");
    assert_string_equal(session_take(listener), INVALIDATE "*1\r\n$1\r\nb\r\n");
    assert_client(tracker, "CLIENT CACHING YES", "+OK\r\n");
    session_ask(tracker, "NONSENSE");
    session_ask(tracker, "HGET a a");
    session_ask(writer, "HSET a a 1");
    assert_string_equal(session_take(listener), INVALIDATE "*1\r\n$1\r\na\r\n");
}

static void a_command_opted_out_is_not_tracked(void **state)
{
    sci_session *listener = listener_new(), *tracker = tracker_new(listener, "OPTOUT");
    sci_session *writer = session_new();
    (void)state;
    assert_client(tracker, "CLIENT CACHING NO", "+OK\r\n");
    session_ask(tracker, "HGET out a");
    session_ask(tracker, "HGET in a");
    session_ask(writer, "HSET out a 1");
    session_ask(writer, "HSET in a 1");
    assert_string_equal(session_take(listener), INVALIDATE "*1\r\n$2\r\nin\r\n");
}

static void what_a_transaction_changed_is_told_though_it_turned_tracking_off(void **state)
{
    sci_session *listener = listener_new(), *tracker = tracker_new(listener, "");
    (void)state;
    session_ask(tracker, "MULTI\r\nHGET k a\r\nHSET k a 1\r\nCLIENT TRACKING off");
    session_ask(tracker, "EXEC");
    assert_string_equal(session_take(listener), INVALIDATE "*1\r\n$1\r\nk\r\n");
    assert_reply(tracker, "CLIENT GETREDIR", ":-1\r\n");
}

static void what_a_transaction_changed_is_told_though_it_flushed(void **state)
{
    sci_session *listener = listener_new(), *tracker = tracker_new(listener, "");
    (void)state;
    session_ask(tracker, "MULTI\r\nHGET k a\r\nHSET k a 1\r\nCLIENT TRACKING off\r\nFLUSHDB");
    session_ask(tracker, "EXEC");
    assert_string_equal(session_take(listener), INVALIDATE "*1\r\n$1\r\nk\r\n");
    session_ask(tracker_new(listener, ""), "MULTI\r\nFLUSHDB\r\nCLIENT TRACKING off\r\nEXEC");
    assert_string_equal(session_take(listener), INVALIDATE "$-1\r\n");
}

static void prefixes_are_told_all_at_once_before_output_is_sent(void **state)
{
    sci_session *listener = listener_new();
    sci_session *tracker = tracker_new(listener, "BCAST PREFIX user: PREFIX order:");
    sci_session *writer = session_new();
    (void)state;
    sci_session_feed(writer, sc_text("HSET user:1 a 1\r\nHSET other a 1\r\nHSET user:2 a 1\r\n"
                                     "HSET order:1 a 1\r\nHSET user:1 a 2\r\n"));
    assert_string_equal(session_take(listener),
                        INVALIDATE "*1\r\n$7\r\norder:1\r\n" INVALIDATE
                                   "*2\r\n$6\r\nuser:1\r\n$6\r\nuser:2\r\n");
    session_ask(tracker, "HSET user:3 a 1");
    assert_string_equal(session_take(listener), INVALIDATE "*1\r\n$6\r\nuser:3\r\n");
}

static void noloop_with_prefixes_leaves_out_ones_own_keys(void **state)
{
    sci_session *listener = listener_new();
    sci_session *tracker = tracker_new(listener, "BCAST NOLOOP");
    sci_session *writer = session_new();
    (void)state;
    sci_session_feed(tracker, sc_text("HSET a a 1\r\nHSET b a 1\r\n"));
    sci_session_feed(writer, sc_text("HSET b a 2\r\nHSET c a 1\r\n"));
    assert_string_equal(session_take(listener), INVALIDATE "*2\r\n$1\r\nb\r\n$1\r\nc\r\n");
}

/* Noloop: the change is that of who pushed, also where another has waited for it. */
static void an_element_for_one_that_waits_changes_its_list_once(void **state)
{
    sci_session *listener = listener_new();
    sci_session *pusher = tracker_new(listener, "BCAST NOLOOP");
    sci_session *waiting = session_new();
    (void)state;
    assert_reply(waiting, "BLPOP l 0", "");
    assert_reply(pusher, "RPUSH l x", ":1\r\n");
    assert_string_equal(session_take(listener), "");
    assert_string_equal(session_take(waiting), "*2\r\n$1\r\nl\r\n$1\r\nx\r\n");
    assert_reply(waiting, "BLMPOP 0 1 l LEFT", "");
    assert_reply(pusher, "RPUSH l x", ":1\r\n");
    assert_string_equal(session_take(listener), INVALIDATE "*1\r\n$1\r\nl\r\n");
    assert_reply(waiting, "BLMOVE l m LEFT LEFT 0", "*2\r\n$1\r\nl\r\n*1\r\n$1\r\nx\r\n");
    assert_reply(pusher, "RPUSH l x", ":1\r\n");
    assert_string_equal(session_take(listener), INVALIDATE "*1\r\n$1\r\nm\r\n");
}

static void a_flush_is_told_as_nil(void **state)
{
    sci_session *listener = listener_new(), *tracker = tracker_new(listener, "");
    sci_session *writer = session_new();
    (void)state;
    session_ask(tracker, "HGET k a");
    sci_tracking_flushed(test.server, NULL);
    assert_string_equal(session_take(listener), INVALIDATE "$-1\r\n");
    session_ask(writer, "HSET k a 1");
    assert_string_equal(session_take(listener), "");
}

static void a_target_that_does_not_subscribe_misses_messages(void **state)
{
    sci_session *listener = listener_new(), *tracker = tracker_new(listener, "");
    sci_session *writer = session_new();
    (void)state;
    session_ask(listener, "UNSUBSCRIBE");
    session_ask(tracker, "HGET k a");
    session_ask(writer, "HSET k a 1");
    assert_string_equal(session_take(listener), "");
    session_ask(listener, "SUBSCRIBE anything");
    session_ask(tracker, "HGET k a");
    session_ask(writer, "HSET k a 2");
    assert_string_equal(session_take(listener), INVALIDATE "*1\r\n$1\r\nk\r\n");
}

static void a_target_that_is_gone_is_told_by_trackinginfo(void **state)
{
    sci_session *listener = listener_new(), *tracker = tracker_new(listener, "");
    sci_session *writer = session_new();
    (void)state;
    sci_session_close(listener);
    session_ask(tracker, "HGET k a");
    session_ask(writer, "HSET k a 1");
    assert_client(tracker, "CLIENT TRACKINGINFO",
                  "*6\r\n$5\r\nflags\r\n*2\r\n$2\r\non\r\n$15\r\nbroken_redirect\r\n"
                  "$8\r\nredirect\r\n:1\r\n$8\r\nprefixes\r\n*0\r\n");
}

/* Before whoever carries it has closed it. */
static void a_target_that_was_killed_is_gone(void **state)
{
    sci_session *listener = listener_new(), *tracker = tracker_new(listener, "BCAST");
    (void)state;
    session_ask(tracker, "HSET k a 1\r\nCLIENT KILL ID 1");
    assert_client(tracker, "CLIENT TRACKINGINFO",
                  "*6\r\n$5\r\nflags\r\n*3\r\n$2\r\non\r\n$5\r\nbcast\r\n$15\r\n"
                  "broken_redirect\r\n$8\r\nredirect\r\n:1\r\n$8\r\nprefixes\r\n"
                  "*1\r\n$0\r\n\r\n");
    assert_reply(tracker, "CLIENT TRACKING on BCAST REDIRECT 1",
                 "-ERR The client ID you want redirect to does not exist\r\n");
}

static void trackinginfo_lists_prefixes_in_order(void **state)
{
    sci_session *listener = listener_new();
    sci_session *tracker = tracker_new(listener, "PREFIX user: BCAST PREFIX order: NOLOOP");
    (void)state;
    assert_client(
        tracker, "CLIENT TRACKINGINFO",
        "*6\r\n$5\r\nflags\r\n*3\r\n$2\r\non\r\n$5\r\nbcast\r\n$6\r\nnoloop\r\n"
        "$8\r\nredirect\r\n:1\r\n$8\r\nprefixes\r\n*2\r\n$6\r\norder:\r\n$5\r\nuser:\r\n");
    assert_client(tracker, "CLIENT TRACKING OFF", "+OK\r\n");
    assert_client(tracker, "CLIENT TRACKINGINFO",
                  "*6\r\n$5\r\nflags\r\n*1\r\n$3\r\noff\r\n"
                  "$8\r\nredirect\r\n:-1\r\n$8\r\nprefixes\r\n*0\r\n");
}

static void wrong_options_are_refused(void **state)
{
    static const char *const wrong[][2] = {
        {"REDIRECT", "syntax error"},
        {"FOO", "syntax error"},
        {"REDIRECT 77", "The client ID you want redirect to does not exist"},
        {"REDIRECT x", "value is not an integer or out of range"},
        {"REDIRECT 1 REDIRECT 1", "A client can only redirect to a single other client"},
        {"PREFIX a", "PREFIX option requires BCAST mode to be enabled"},
        {"OPTIN OPTOUT", "You can't specify both OPTIN mode and OPTOUT mode"},
        {"BCAST OPTIN", "OPTIN and OPTOUT are not compatible with BCAST"},
        {"BCAST PREFIX a PREFIX ab",
         "Prefix 'a' overlaps with another provided prefix 'ab'. Prefixes for a single client must "
         "not overlap."},
    };
    sci_session *session = session_new();
    char line[128], expected[256];
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(wrong); i++) {
        (void)snprintf(line, sizeof line, "CLIENT TRACKING ON %s", wrong[i][0]);
        (void)snprintf(expected, sizeof expected, "-ERR %s\r\n", wrong[i][1]);
        assert_client(session, line, expected);
        assert_false(session->tracking.is_on);
    }
    assert_client(session, "CLIENT CACHING YES",
                  "-ERR CLIENT CACHING can be called only when the client is in tracking mode with "
                  "OPTIN or OPTOUT mode enabled\r\n");
    assert_client(session, "CLIENT TRACKING ON BCAST PREFIX ab", "+OK\r\n");
    assert_client(session, "CLIENT TRACKING ON BCAST PREFIX abc",
                  "-ERR Prefix 'abc' overlaps with an existing prefix 'ab'. Prefixes for a single "
                  "client must not overlap.\r\n");
}

static void a_session_that_is_gone_takes_up_no_place_for_ever(void **state)
{
    sci_session *listener = listener_new();
    (void)state;
    for (int i = 0; i < 300; i++) {
        sci_session *tracker = tracker_new(listener, "");
        session_ask(tracker, "HGET k a");
        sci_session_close(tracker);
    }
    const sci_member *member = sci_members_find(test.server->tracked, sc_text("k"));
    assert_true(sci_member_value(member).len <= 4 * sizeof(uint64_t));
}

/* Whatever has no memory, nobody keeps a value that has changed. */
static void without_memory_more_is_told_not_less(void **state)
{
    static const char *const kinds[] = {"", "BCAST", "BCAST PREFIX k"};
    (void)state;
    for (size_t kind = 0; kind < SCI_COUNT(kinds); kind++) {
        for (size_t request = 1, failures = 1; failures > 0; request++) {
            sci_session *listener = listener_new(), *tracker = tracker_new(listener, kinds[kind]);
            sci_session *writer = session_new();
            session_ask(writer, "HSET k a 1");
            session_take(listener);
            fault_memory_restart_counts(&test.memory);
            fault_memory_fail(&test.memory, request, false);
            bool is_read = session_ask(tracker, "HGET k a")[0] == '$';
            bool is_told = session_take(listener)[0] == '*' || listener->is_broken;
            bool is_changed = session_ask(writer, "HSET k a 2")[0] == ':' || writer->is_broken;
            is_told |= session_take(listener)[0] == '*' || listener->is_broken;
            failures = fault_memory_failures(&test.memory);
            fault_memory_fail(&test.memory, 0, false);
            assert_true(is_told || !is_changed || !is_read);
            sci_session_close(listener);
            sci_session_close(tracker);
            sci_session_close(writer);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        server_unit_test(whoever_read_a_key_is_told_once),
        server_unit_test(keys_without_a_place_of_their_own_are_tracked),
        server_unit_test(noloop_spares_the_writer_and_untracks_all_the_same),
        server_unit_test(a_chosen_command_is_the_next_one_or_the_next_transaction),
        server_unit_test(a_command_opted_out_is_not_tracked),
        server_unit_test(what_a_transaction_changed_is_told_though_it_turned_tracking_off),
        server_unit_test(what_a_transaction_changed_is_told_though_it_flushed),
        server_unit_test(prefixes_are_told_all_at_once_before_output_is_sent),
        server_unit_test(noloop_with_prefixes_leaves_out_ones_own_keys),
        server_unit_test(an_element_for_one_that_waits_changes_its_list_once),
        server_unit_test(a_flush_is_told_as_nil),
        server_unit_test(a_target_that_does_not_subscribe_misses_messages),
        server_unit_test(a_target_that_is_gone_is_told_by_trackinginfo),
        server_unit_test(a_target_that_was_killed_is_gone),
        server_unit_test(trackinginfo_lists_prefixes_in_order),
        server_unit_test(wrong_options_are_refused),
        server_unit_test(a_session_that_is_gone_takes_up_no_place_for_ever),
        server_unit_test(without_memory_more_is_told_not_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
