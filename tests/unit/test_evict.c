/* What goes when memory is full, and what goes when its time is over. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "server_test.h"

#define KEYS 2000
#define MINUTE_MS 60000

/* What an entry of put() takes, and about its part of the table. */
#define ENTRY_BYTES (128 + 7 * sizeof(void *))

/* About so many of the values that put() makes fit. */
static void limit_memory(sc_eviction eviction, size_t entries)
{
    test.server->config.eviction = eviction;
    test.server->config.max_memory_bytes = test.server->data.used + entries * ENTRY_BYTES;
}

static bool put(sci_session *session, size_t number, const char *more)
{
    char line[256];
    snprintf(line, sizeof line, "SET key-%zu %0*zu%s%s", number, 100, number, more ? " " : "",
             more ? more : "");
    const char *reply = session_ask(session, line);
    if (strcmp(reply, "+OK\r\n") == 0)
        return true;
    assert_string_equal(reply, "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
    return false;
}

static bool is_there(size_t number)
{
    char key[32];
    size_t len = (size_t)snprintf(key, sizeof key, "key-%zu", number);
    return sci_db_find(&test.server->dbs[0], sc_bytes(key, len)) != NULL;
}

/* Of the keys from `first` on. */
static size_t count_there(size_t first, size_t end)
{
    size_t count = 0;
    for (size_t i = first; i < end; i++)
        count += is_there(i);
    return count;
}

static void tick_to(int64_t now_ms)
{
    test.now_ms = now_ms;
    (void)sci_server_tick(test.server);
}

static void look(sci_session *session, size_t number)
{
    char line[64];
    snprintf(line, sizeof line, "GET key-%zu", number);
    (void)session_ask(session, line);
}

static void without_a_policy_writes_are_refused_and_deleting_makes_room(void **state)
{
    sci_session *session = session_new();
    size_t count = 0;
    (void)state;
    limit_memory(SC_EVICTION_NONE, 100);
    while (put(session, count, NULL))
        count++;
    assert_in_range(count, 50, 500);
    assert_reply(session, "STRLEN key-0", ":100\r\n");
    assert_reply(session, "DEL key-0 key-1 key-2", ":3\r\n");
    assert_true(put(session, 0, NULL));
    assert_int_equal(test.server->stats.evicted, 0);
}

static void any_policy_keeps_the_data_within_the_bound(void **state)
{
    (void)state;
    for (int policy = SC_EVICTION_ALLKEYS_LRU; policy <= SC_EVICTION_VOLATILE_TTL; policy++) {
        sci_session *session = session_new();
        limit_memory((sc_eviction)policy, 300);
        for (size_t i = 0; i < KEYS; i++) {
            assert_true(put(session, i, "EX 1000"));
            /* What came last came after the look at the bound. */
            assert_true(test.server->data.used <
                        test.server->config.max_memory_bytes + 100 * ENTRY_BYTES);
        }
        assert_in_range(sci_db_count(&test.server->dbs[0]), 200, 500);
        assert_int_equal(test.server->stats.evicted + sci_db_count(&test.server->dbs[0]), KEYS);
        sci_db_clear(&test.server->dbs[0]);
        test.server->stats.evicted = 0;
        sci_session_close(session);
    }
}

static void volatile_policies_leave_what_does_not_expire(void **state)
{
    (void)state;
    for (int policy = SC_EVICTION_VOLATILE_LRU; policy <= SC_EVICTION_VOLATILE_TTL; policy++) {
        sci_session *session = session_new();
        limit_memory((sc_eviction)policy, 300);
        for (size_t i = 0; i < 200; i++)
            assert_true(put(session, i, i < 100 ? NULL : "EX 1000"));
        size_t next = 200;
        while (put(session, next, NULL))
            next++;
        assert_int_equal(count_there(0, 100), 100);
        assert_int_equal(count_there(100, 200), 0);
        assert_int_equal(count_there(200, next), next - 200);
        sci_db_clear(&test.server->dbs[0]);
        sci_session_close(session);
    }
}

/* Of two groups that came alternately, the second is read again and again; then others come. How
   many of each are left? */
static void compete(sc_eviction eviction, int64_t pause_ms, size_t *unread, size_t *read)
{
    sci_session *session = session_new();
    limit_memory(eviction, 400);
    for (size_t i = 0; i < 300; i++) {
        assert_true(put(session, i, NULL));
        tick_to(test.now_ms + 100);
    }
    for (size_t round = 0; round < 30; round++) {
        for (size_t i = 1; i < 300; i += 2)
            look(session, i);
        tick_to(test.now_ms + 100);
    }
    tick_to(test.now_ms + pause_ms);
    for (size_t i = 300; i < 600; i++) {
        assert_true(put(session, i, NULL));
        tick_to(test.now_ms + 100);
    }
    *unread = *read = 0;
    for (size_t i = 0; i < 300; i++)
        *(i % 2 ? read : unread) += is_there(i);
}

static void least_recently_used_keeps_what_was_read(void **state)
{
    size_t unread, read;
    (void)state;
    compete(SC_EVICTION_ALLKEYS_LRU, 0, &unread, &read);
    assert_true(unread < 30);
    assert_true(read > 100);
}

static void least_frequently_used_keeps_what_is_read_often(void **state)
{
    size_t unread, read;
    (void)state;
    compete(SC_EVICTION_ALLKEYS_LFU, 0, &unread, &read);
    assert_int_equal(read, 150);
    assert_true(unread < 130);
}

static void what_was_read_often_long_ago_is_no_better_than_the_rest(void **state)
{
    size_t unread, read;
    (void)state;
    compete(SC_EVICTION_ALLKEYS_LFU, 60 * MINUTE_MS, &unread, &read);
    assert_true(read < 100);
}

static void first_in_first_out_does_not_care_who_was_read(void **state)
{
    size_t unread, read;
    (void)state;
    compete(SC_EVICTION_ALLKEYS_FIFO, 0, &unread, &read);
    assert_in_range(read, 10, 90);
    assert_in_range(unread, 10, 90);
    assert_true(count_there(0, 150) < 20);
    assert_true(count_there(300, 600) > 280);
}

static void what_expires_first_goes_first(void **state)
{
    sci_session *session = session_new();
    (void)state;
    limit_memory(SC_EVICTION_VOLATILE_TTL, 300);
    for (size_t i = 0; i < 200; i++) {
        char more[32];
        snprintf(more, sizeof more, "EX %zu", 1000 + (i * 77) % 200);
        assert_true(put(session, i, more));
    }
    for (size_t next = 200; test.server->stats.evicted < 50; next++)
        assert_true(put(session, next, NULL));
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(is_there(i), (i * 77) % 200 >= test.server->stats.evicted);
}

static void databases_share_the_memory(void **state)
{
    sci_session *session = session_new();
    (void)state;
    limit_memory(SC_EVICTION_ALLKEYS_RANDOM, 300);
    for (size_t i = 0; i < KEYS; i++) {
        session->db = &test.server->dbs[i % 2];
        assert_true(put(session, i, NULL));
    }
    assert_in_range(sci_db_count(&test.server->dbs[0]), 50, 350);
    assert_in_range(sci_db_count(&test.server->dbs[1]), 50, 350);
}

static void who_subscribed_is_told_of_an_evicted_key(void **state)
{
    sci_session *session = session_new(), *listener = session_new();
    (void)state;
    test.server->notified_events = SCI_EVENT_KEYEVENT | SCI_EVENT_EVICTED;
    (void)session_ask(listener, "SUBSCRIBE __keyevent@0__:evicted");
    limit_memory(SC_EVICTION_VOLATILE_TTL, 10);
    assert_true(put(session, 0, "EX 1000"));
    for (size_t i = 1; i < 100; i++)
        (void)put(session, i, NULL);
    assert_string_equal(session_take(listener),
                        "*3\r\n$7\r\nmessage\r\n$22\r\n__keyevent@0__:evicted\r\n$5\r\nkey-0\r\n");
}

static void the_last_accesses_are_known(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_true(put(session, 0, NULL));
    tick_to(test.now_ms + 5 * MINUTE_MS);
    assert_reply(session, "OBJECT IDLETIME key-0", ":300\r\n");
    assert_reply(session, "EXISTS key-0", ":1\r\n");
    assert_reply(session, "OBJECT IDLETIME key-0", ":0\r\n");
    /* The clock is set back. */
    tick_to(test.now_ms - 3 * MINUTE_MS);
    assert_reply(session, "OBJECT IDLETIME key-0", ":0\r\n");
}

static void frequencies_grow_with_accesses_and_decay_with_time(void **state)
{
    sci_session *session = session_new();
    long counter;
    (void)state;
    test.server->config.eviction = SC_EVICTION_ALLKEYS_LFU;
    assert_true(put(session, 0, NULL));
    assert_reply(session, "OBJECT FREQ key-0", ":5\r\n");
    for (size_t i = 0; i < 1000; i++)
        look(session, 0);
    counter = strtol(session_ask(session, "OBJECT FREQ key-0") + 1, NULL, 10);
    assert_in_range(counter, 10, 40);
    tick_to(test.now_ms + 3 * MINUTE_MS);
    assert_int_equal(strtol(session_ask(session, "OBJECT FREQ key-0") + 1, NULL, 10), counter - 3);
    tick_to(test.now_ms + 300 * MINUTE_MS);
    assert_reply(session, "OBJECT FREQ key-0", ":0\r\n");
}

/* --- expiry */

static void an_expired_key_is_gone_with_its_memory_and_an_event(void **state)
{
    sci_session *session = session_new(), *listener = session_new();
    (void)state;
    test.server->notified_events = SCI_EVENT_KEYEVENT | SCI_EVENT_EXPIRED;
    (void)session_ask(listener, "SUBSCRIBE __keyevent@0__:expired");
    assert_true(put(session, 0, NULL));
    size_t used = test.server->data.used;
    assert_true(put(session, 1, "PX 50"));
    tick_to(test.now_ms + 49);
    assert_string_equal(session_take(listener), "");
    tick_to(test.now_ms + 1);
    assert_string_equal(session_take(listener),
                        "*3\r\n$7\r\nmessage\r\n$22\r\n__keyevent@0__:expired\r\n$5\r\nkey-1\r\n");
    assert_int_equal(test.server->stats.expired, 1);
    /* But the array of expiry times. */
    assert_in_range(test.server->data.used, used, used + 512);
}

static void a_tick_says_when_the_next_key_expires(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_int_equal(sci_expire_slice(test.server, 1000000), -1);
    assert_true(put(session, 0, "PX 500"));
    session->db = &test.server->dbs[3];
    assert_true(put(session, 1, "PX 300"));
    assert_int_equal(sci_expire_slice(test.server, 1000000), 300);
    assert_true(put(session, 2, "PXAT 9999999999999"));
    tick_to(test.now_ms + 500);
    /* Not longer, since the wall clock may be set. */
    assert_int_equal(sci_expire_slice(test.server, 1000000), 1000);
}

static int64_t running_ns(void *user)
{
    *(int64_t *)user += 10000;
    return *(int64_t *)user;
}

static void many_that_expire_together_go_in_bounded_slices(void **state)
{
    sci_session *session = session_new();
    int64_t time_ns = 0;
    size_t slices = 0;
    (void)state;
    for (size_t i = 0; i < KEYS; i++) {
        session->db = &test.server->dbs[i % 4];
        assert_true(put(session, i, "PX 10"));
    }
    test.server->clock.monotonic_ns = running_ns;
    test.server->clock.user = &time_ns;
    test.server->now_ms += 10;
    while (sci_expire_slice(test.server, 30000) == 0) {
        slices++;
        assert_true(test.server->stats.expired <= slices * 4 * 4 * 32);
    }
    assert_int_equal(test.server->stats.expired, KEYS);
    assert_true(slices >= KEYS / (4 * 4 * 32));
}

static void a_key_that_is_read_expires_to_the_millisecond(void **state)
{
    sci_session *session = session_new();
    (void)state;
    assert_reply(session, "SET a 1 PX 100", "+OK\r\n");
    test.now_ms += 99;
    assert_reply(session, "PTTL a", ":1\r\n");
    assert_reply(session, "GET a", "$1\r\n1\r\n");
    test.now_ms += 1;
    assert_reply(session, "GET a", "$-1\r\n");
    assert_int_equal(test.server->stats.expired, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        server_unit_test(without_a_policy_writes_are_refused_and_deleting_makes_room),
        server_unit_test(any_policy_keeps_the_data_within_the_bound),
        server_unit_test(volatile_policies_leave_what_does_not_expire),
        server_unit_test(least_recently_used_keeps_what_was_read),
        server_unit_test(least_frequently_used_keeps_what_is_read_often),
        server_unit_test(what_was_read_often_long_ago_is_no_better_than_the_rest),
        server_unit_test(first_in_first_out_does_not_care_who_was_read),
        server_unit_test(what_expires_first_goes_first),
        server_unit_test(databases_share_the_memory),
        server_unit_test(who_subscribed_is_told_of_an_evicted_key),
        server_unit_test(the_last_accesses_are_known),
        server_unit_test(frequencies_grow_with_accesses_and_decay_with_time),
        server_unit_test(an_expired_key_is_gone_with_its_memory_and_an_event),
        server_unit_test(a_tick_says_when_the_next_key_expires),
        server_unit_test(many_that_expire_together_go_in_bounded_slices),
        server_unit_test(a_key_that_is_read_expires_to_the_millisecond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
