/* Publish and subscribe, and keyspace events. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "server_test.h"

static void a_message_goes_to_the_channel_and_to_patterns(void **state)
{
    sci_session *one = session_new(), *two = session_new(), *writer = session_new();
    (void)state;
    assert_reply(one, "SUBSCRIBE news news",
                 "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"
                 "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    assert_reply(two, "PSUBSCRIBE n* *s",
                 "*3\r\n$10\r\npsubscribe\r\n$2\r\nn*\r\n:1\r\n"
                 "*3\r\n$10\r\npsubscribe\r\n$2\r\n*s\r\n:2\r\n");
    assert_reply(writer, "PUBLISH news hello", ":3\r\n");
    assert_string_equal(session_take(one), "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n");
    assert_string_equal(session_take(two),
                        "*4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$5\r\nhello\r\n"
                        "*4\r\n$8\r\npmessage\r\n$2\r\n*s\r\n$4\r\nnews\r\n$5\r\nhello\r\n");
    assert_reply(writer, "PUBLISH nothing hello", ":1\r\n");
}

static void a_shard_channel_is_another(void **state)
{
    sci_session *one = session_new(), *writer = session_new();
    (void)state;
    assert_reply(one, "SSUBSCRIBE news", "*3\r\n$10\r\nssubscribe\r\n$4\r\nnews\r\n:1\r\n");
    assert_reply(writer, "PUBLISH news hello", ":0\r\n");
    assert_reply(writer, "SPUBLISH news hello", ":1\r\n");
    assert_string_equal(session_take(one), "*3\r\n$8\r\nsmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n");
    assert_reply(writer, "PUBSUB SHARDNUMSUB news", "*2\r\n$4\r\nnews\r\n:1\r\n");
    assert_reply(writer, "PUBSUB CHANNELS", "*0\r\n");
}

static void unsubscribing_without_names_takes_all(void **state)
{
    sci_session *one = session_new(), *writer = session_new();
    (void)state;
    assert_reply(one, "UNSUBSCRIBE", "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n");
    session_ask(one, "SUBSCRIBE a b");
    session_ask(one, "PSUBSCRIBE c");
    assert_reply(one, "UNSUBSCRIBE",
                 "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:2\r\n"
                 "*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:1\r\n");
    assert_reply(one, "PUNSUBSCRIBE d c",
                 "*3\r\n$12\r\npunsubscribe\r\n$1\r\nd\r\n:1\r\n"
                 "*3\r\n$12\r\npunsubscribe\r\n$1\r\nc\r\n:0\r\n");
    assert_reply(writer, "PUBLISH c x", ":0\r\n");
    assert_int_equal(test.server->channels[SCI_PATTERN].count, 0);
}

static void while_subscribed_little_else_is_allowed(void **state)
{
    sci_session *one = session_new();
    (void)state;
    session_ask(one, "SUBSCRIBE a");
    assert_reply(
        one, "HGET a b",
        "-ERR Can't execute 'hget': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / "
        "RESET are allowed in this context\r\n");
    session_ask(one, "UNSUBSCRIBE a");
    assert_reply(one, "HGET a b", "$-1\r\n");
}

/* Of many channels and of many sessions each is found, and each goes. */
static void many_subscriptions_are_kept_apart(void **state)
{
    enum { sessions = 20, channels = 50 };
    sci_session *all[sessions], *writer = session_new();
    char line[64];
    (void)state;
    for (int i = 0; i < sessions; i++) {
        all[i] = session_new();
        for (int j = 0; j < channels; j++) {
            (void)snprintf(line, sizeof line, "SUBSCRIBE c%d", j * (i % 3 + 1));
            session_ask(all[i], line);
        }
        assert_int_equal(all[i]->subscription_count[SCI_CHANNEL], channels);
    }
    assert_reply(writer, "PUBLISH c6 x", ":20\r\n");
    assert_reply(writer, "PUBLISH c8 x", ":14\r\n");
    for (int i = 0; i < sessions; i += 2)
        assert_int_not_equal(*session_ask(all[i], "UNSUBSCRIBE c6"), '-');
    assert_reply(writer, "PUBLISH c6 x", ":10\r\n");
    for (int i = 0; i < sessions; i++)
        sci_session_close(all[i]);
    assert_int_equal(test.server->channels[SCI_CHANNEL].count, 0);
}

static void whoever_does_not_take_its_messages_is_cut_off(void **state)
{
    sc_server_config config;
    (void)state;
    sci_server_free(test.server);
    config = server_test_config();
    config.max_output_bytes = 500;
    assert_int_equal(sci_server_create(&config, &test.server), SC_OK);
    sci_session *slow = session_new(), *quick = session_new(), *writer = session_new();
    session_ask(slow, "SUBSCRIBE a");
    session_ask(quick, "SUBSCRIBE a");
    for (int i = 0; i < 40; i++) {
        session_ask(writer, "PUBLISH a 0123456789");
        session_take(quick);
    }
    assert_true(slow->is_broken);
    assert_true(sci_session_is_over(slow));
    assert_false(quick->is_broken);
    assert_reply(writer, "PUBLISH a x", ":2\r\n"); /* until its connection is closed */
}

/* What is published while a set is filled, popped and gone; SPOP by chance. */
static void changes_of_keys_are_events(void **state)
{
    sci_session *listener = session_new(), *writer = session_new();
    (void)state;
    assert_true(sci_events_from_text(sc_text("Eg$sh"), &test.server->notified_events));
    session_ask(listener, "PSUBSCRIBE __key*");
    session_ask(writer, "SADD s a");
    session_ask(writer, "SADD s a");
    session_ask(writer, "SPOP s 5");
    const char *event = "*4\r\n$8\r\npmessage\r\n$6\r\n__key*\r\n$%zu\r\n__keyevent@0__:%s\r\n"
                        "$1\r\ns\r\n";
    char expected[512];
    size_t len = 0;
    static const char *const names[] = {"sadd", "spop", "del"};
    for (size_t i = 0; i < SCI_COUNT(names); i++)
        len += (size_t)snprintf(expected + len, sizeof expected - len, event,
                                strlen(names[i]) + strlen("__keyevent@0__:"), names[i]);
    assert_string_equal(session_take(listener), expected);
}

static void classes_of_events_are_read_and_written(void **state)
{
    static const char *const texts[][2] = {
        {"KEA", "AKE"}, {"", ""},     {"E", "E"},     {"g$lshzxetd", "A"}, {"Kn", "nK"},
        {"Em", "Em"},   {"KA", "AK"}, {"xeK", "xeK"}, {"mAKE", "AKEm"},
    };
    unsigned events;
    char text[SCI_EVENTS_TEXT_BYTES];
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(texts); i++) {
        assert_true(sci_events_from_text(sc_text(texts[i][0]), &events));
        assert_int_equal(sci_events_to_text(events, text), strlen(texts[i][1]));
        assert_string_equal(text, texts[i][1]);
    }
    assert_false(sci_events_from_text(sc_text("KEq"), &events));
}

static void subscribing_without_memory_leaves_nothing(void **state)
{
    (void)state;
    for (size_t request = 1, failures = 1; failures > 0; request++) {
        sci_session *session = session_new();
        fault_memory_restart_counts(&test.memory);
        fault_memory_fail(&test.memory, request, true);
        session_ask(session, "SUBSCRIBE a");
        fault_memory_fail(&test.memory, 0, false);
        failures = fault_memory_failures(&test.memory);
        sci_session_close(session);
        assert_int_equal(test.server->channels[SCI_CHANNEL].count, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        server_unit_test(a_message_goes_to_the_channel_and_to_patterns),
        server_unit_test(a_shard_channel_is_another),
        server_unit_test(unsubscribing_without_names_takes_all),
        server_unit_test(while_subscribed_little_else_is_allowed),
        server_unit_test(many_subscriptions_are_kept_apart),
        server_unit_test(whoever_does_not_take_its_messages_is_cut_off),
        server_unit_test(changes_of_keys_are_events),
        server_unit_test(classes_of_events_are_read_and_written),
        server_unit_test(subscribing_without_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
