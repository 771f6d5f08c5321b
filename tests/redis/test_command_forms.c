/* Other forms of commands: scripts, scans, uploads and downloads, blocking and asynchronous
   commands. */
#include "pattern.h"
#include "support/client_test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* --- scripts */

static const char echo_source[] = "return {KEYS[1], ARGV[1], ARGV[2]}";

static void a_script_runs_also_when_the_server_forgot_it(void **state)
{
    sc_script *script = NULL;
    sc_slice key = sc_text("k");
    sc_slice args[2];
    int round;
    (void)state;
    args[0] = sc_bytes("a\0b", 3);
    args[1] = sc_text("");
    assert_status(SC_OK, sc_script_create(&test.memory->table, echo_source, &script));
    for (round = 0; round < 4; round++) {
        sc_reply *reply = NULL;
        assert_status(SC_OK, sc_eval(test.client, script, &key, 1, args, 2, NULL, &reply));
        assert_int_equal(sc_reply_count(reply), 1);
        assert_int_equal(sc_item_count(sc_reply_item(reply)), 3);
        assert_slice_text(sc_item_slice(sc_item_at(sc_reply_item(reply), 0)), "k");
        assert_int_equal(sc_item_slice(sc_item_at(sc_reply_item(reply), 1)).len, 3);
        sc_reply_release(reply);
        if (round % 2 == 1)
            test_expect_text(test.client, "OK", "SCRIPT", "FLUSH", (const char *)NULL);
    }
    sc_script_free(script);
}

static void a_scripts_sha1_is_the_servers(void **state)
{
    sc_script *script = NULL;
    (void)state;
    assert_status(SC_OK, sc_script_create(&test.memory->table, echo_source, &script));
    test_expect_text(test.client, sc_script_sha1(script), "SCRIPT", "LOAD", echo_source,
                     (const char *)NULL);
    sc_script_free(script);
}

static void an_error_of_a_script_comes_with_its_words(void **state)
{
    sc_script *script = NULL;
    sc_reply *reply = NULL;
    (void)state;
    assert_status(SC_OK, sc_script_create(&test.memory->table,
                                          "return redis.error_reply('MINE own')", &script));
    assert_status(SC_ERR_REPLY, sc_eval(test.client, script, NULL, 0, NULL, 0, NULL, &reply));
    assert_null(reply);
    assert_error_text_has("MINE own");
    sc_script_free(script);
    assert_status(SC_OK, sc_script_create(&test.memory->table, "this is no Lua", &script));
    assert_status(SC_ERR_REPLY, sc_eval(test.client, script, NULL, 0, NULL, 0, NULL, &reply));
    assert_error_text_has("compiling");
    sc_script_free(script);
}

#define SCRIPT_CALLS 200

static void scripts_run_asynchronously_while_the_server_forgets_them(void **state)
{
    static outcome results[SCRIPT_CALLS];
    sc_script *script = NULL;
    size_t i;
    (void)state;
    memset(results, 0, sizeof results);
    assert_status(SC_OK, sc_script_create(&test.memory->table, "return redis.call('INCR', KEYS[1])",
                                          &script));
    for (i = 0; i < SCRIPT_CALLS; i++) {
        sc_slice key = sc_text("n");
        assert_status(SC_OK, sc_eval_async(test.client, script, &key, 1, NULL, 0, NULL,
                                           outcome_take, &results[i]));
        if (i % 50 == 25)
            fixture_command(test.server, "SCRIPT", "FLUSH", (const char *)NULL);
    }
    for (i = 0; i < SCRIPT_CALLS; i++) {
        outcome_wait(test.client, &results[i]);
        assert_status(SC_OK, results[i].status);
        assert_int_equal(results[i].kind, SC_INTEGER);
        assert_int_equal(results[i].calls, 1);
    }
    /* Each ran once, whichever way. */
    test_expect_integer(test.client, SCRIPT_CALLS, "GET", "n", (const char *)NULL);
    sc_script_free(script);
}

/* --- scans */

#define SCAN_KEYS 10000

static void fill(const char *source)
{
    char count[16];
    snprintf(count, sizeof count, "%d", SCAN_KEYS);
    assert_status(SC_OK, sc_command_strings(test.client, NULL, "EVAL", source, "0", count,
                                            (const char *)NULL));
}

/* Walk it; mark in `seen` the numbers after the colon, also in the values. Returns the elements. */
static size_t walk(const sc_scan_config *config, unsigned char seen[SCAN_KEYS])
{
    sc_scan *scan = NULL;
    sc_slice element;
    sc_slice value;
    sc_status status;
    size_t count = 0;
    memset(seen, 0, SCAN_KEYS);
    assert_status(SC_OK, sc_scan_open(test.client, config, &scan));
    while ((status = sc_scan_next(scan, &element, &value)) == SC_OK) {
        char text[32];
        long number;
        assert_true(element.len > 2 && element.len < sizeof text);
        memcpy(text, element.data, element.len);
        text[element.len] = '\0';
        number = strtol(text + 2, NULL, 10);
        assert_in_range(number, 0, SCAN_KEYS - 1);
        seen[number] = 1;
        if (config->command && strcmp(config->command, "HSCAN") == 0) {
            assert_int_equal(value.len, element.len);
            assert_memory_equal(value.data + 2, element.data + 2, element.len - 2);
        } else {
            assert_int_equal(value.len, 0);
        }
        count++;
    }
    assert_status(SC_END, status);
    assert_status(SC_END, sc_scan_next(scan, &element, &value));
    sc_scan_close(scan);
    return count;
}

static size_t marked(const unsigned char seen[SCAN_KEYS])
{
    size_t count = 0;
    size_t i;
    for (i = 0; i < SCAN_KEYS; i++)
        count += seen[i];
    return count;
}

static void a_scan_visits_every_key(void **state)
{
    static unsigned char seen[SCAN_KEYS];
    sc_scan_config config;
    (void)state;
    fill("for i = 0, ARGV[1] - 1 do redis.call('SET', 'k:' .. i, i) end");
    memset(&config, 0, sizeof config);
    assert_true(walk(&config, seen) >= SCAN_KEYS);
    assert_int_equal(marked(seen), SCAN_KEYS);
    config.count = 1000;
    config.match = sc_text("k:*7");
    walk(&config, seen);
    assert_int_equal(marked(seen), SCAN_KEYS / 10);
}

static void a_scan_keeps_to_the_type_that_was_asked_for(void **state)
{
    static unsigned char seen[SCAN_KEYS];
    sc_scan_config config;
    (void)state;
    test_expect_text(test.client, "OK", "SET", "s:1", "v", (const char *)NULL);
    test_expect_integer(test.client, 1, "RPUSH", "l:2", "v", (const char *)NULL);
    memset(&config, 0, sizeof config);
    config.type = sc_text("list");
    assert_int_equal(walk(&config, seen), 1);
    assert_int_equal(seen[2], 1);
}

static void a_scan_of_a_hash_gives_fields_and_values(void **state)
{
    static unsigned char seen[SCAN_KEYS];
    sc_scan_config config;
    (void)state;
    fill("for i = 0, ARGV[1] - 1 do redis.call('HSET', 'h', 'f:' .. i, 'v:' .. i) end");
    memset(&config, 0, sizeof config);
    config.command = "HSCAN";
    config.key = sc_text("h");
    assert_true(walk(&config, seen) >= SCAN_KEYS);
    assert_int_equal(marked(seen), SCAN_KEYS);
}

static void a_scan_of_nothing_ends_at_once(void **state)
{
    sc_scan_config config;
    sc_scan *scan = NULL;
    sc_slice element;
    (void)state;
    memset(&config, 0, sizeof config);
    config.command = "SSCAN";
    config.key = sc_text("none");
    assert_status(SC_OK, sc_scan_open(test.client, &config, &scan));
    assert_status(SC_END, sc_scan_next(scan, &element, NULL));
    sc_scan_close(scan);
}

static void a_scan_goes_on_after_an_error(void **state)
{
    sc_scan_config config;
    sc_scan *scan = NULL;
    sc_slice element;
    sc_slice score;
    (void)state;
    memset(&config, 0, sizeof config);
    config.command = "ZSCAN";
    config.key = sc_text("z");
    test_expect_text(test.client, "OK", "SET", "z", "no sorted set", (const char *)NULL);
    assert_status(SC_OK, sc_scan_open(test.client, &config, &scan));
    assert_status(SC_ERR_REPLY, sc_scan_next(scan, &element, &score));
    assert_error_text_has("WRONGTYPE");
    test_expect_integer(test.client, 1, "DEL", "z", (const char *)NULL);
    test_expect_integer(test.client, 1, "ZADD", "z", "1.5", "m", (const char *)NULL);
    assert_status(SC_OK, sc_scan_next(scan, &element, &score));
    assert_slice_text(element, "m");
    assert_slice_text(score, "1.5");
    assert_status(SC_END, sc_scan_next(scan, &element, &score));
    sc_scan_close(scan);
}

static void a_scan_of_the_wrong_kind_is_refused(void **state)
{
    sc_scan_config config;
    sc_scan *scan = NULL;
    (void)state;
    memset(&config, 0, sizeof config);
    config.command = "GET";
    assert_status(SC_ERR_ARGUMENT, sc_scan_open(test.client, &config, &scan));
    assert_null(scan);
}

/* --- upload and download */

#define STREAM_BYTES ((size_t)64 << 20)
/* What the library may have at once while 64 MiB pass through it. */
#define STREAM_MEMORY_BYTES ((size_t)1 << 20)

typedef struct stream {
    size_t at;      /* bytes passed */
    size_t total;   /* for the source: to give; for the sink: as told */
    size_t give_up; /* fail at this offset; 0: never */
    size_t pings;   /* quick commands run meanwhile */
    size_t pieces;
    bool is_wrong;
} stream;

static sc_status stream_source(void *user, void *buffer, size_t cap, size_t *filled)
{
    stream *flow = (stream *)user;
    size_t len = flow->total - flow->at < cap ? flow->total - flow->at : cap;
    size_t i;
    if (flow->give_up && flow->at >= flow->give_up)
        return sc_fail(SC_ERR_CANCELLED, "enough");
    for (i = 0; i < len; i++)
        ((char *)buffer)[i] = pattern_at(flow->at + i);
    flow->at += len;
    *filled = len;
    if (flow->pieces++ % 64 == 0 &&
        sc_command_strings(test.client, NULL, "PING", (const char *)NULL) == SC_OK)
        flow->pings++;
    return SC_OK;
}

static sc_status stream_sink(void *user, size_t total, sc_slice piece)
{
    stream *flow = (stream *)user;
    size_t i;
    flow->total = total;
    flow->pieces++;
    if (flow->give_up && flow->at >= flow->give_up)
        return sc_fail(SC_ERR_CANCELLED, "enough");
    for (i = 0; i < piece.len; i++)
        if (piece.data[i] != pattern_at(flow->at + i))
            flow->is_wrong = true;
    flow->at += piece.len;
    return SC_OK;
}

static sc_status upload(stream *flow, const char *key, size_t total, sc_reply **reply)
{
    sc_slice words[2];
    words[0] = sc_text("SET");
    words[1] = sc_text(key);
    memset(flow, 0, sizeof *flow);
    flow->total = total;
    return sc_upload(test.client, words, 2, total, stream_source, flow, NULL, reply);
}

static sc_status download(stream *flow, const char *key, size_t give_up)
{
    sc_slice words[2];
    words[0] = sc_text("GET");
    words[1] = sc_text(key);
    memset(flow, 0, sizeof *flow);
    flow->give_up = give_up;
    return sc_download(test.client, words, 2, stream_sink, flow, NULL);
}

static void a_large_value_passes_through_little_memory(void **state)
{
    stream flow;
    sc_reply *reply = NULL;
    size_t before;
    (void)state;
    fault_memory_restart_counts(test.memory);
    before = fault_memory_live_bytes(test.memory);
    assert_status(SC_OK, upload(&flow, "large", STREAM_BYTES, &reply));
    assert_status(SC_OK, sc_item_expect(sc_reply_item(reply), "OK"));
    sc_reply_release(reply);
    assert_int_equal(flow.at, STREAM_BYTES);
    assert_true(flow.pings > 0); /* others pass it */
    test_expect_integer(test.client, (int64_t)STREAM_BYTES, "STRLEN", "large", (const char *)NULL);
    assert_status(SC_OK, download(&flow, "large", 0));
    assert_int_equal(flow.at, STREAM_BYTES);
    assert_int_equal(flow.total, STREAM_BYTES);
    assert_false(flow.is_wrong);
    if (fault_memory_peak_bytes(test.memory) - before > STREAM_MEMORY_BYTES)
        fail_msg("%zu bytes were in use at once", fault_memory_peak_bytes(test.memory) - before);
}

/* Four receive buffers a piece, a piece each way, room to grow, and the connection. */
#define SMALL_BUFFER_BYTES ((size_t)512)
#define SMALL_MEMORY_BYTES ((size_t)32 << 10)

static void a_small_receive_buffer_makes_transfers_small(void **state)
{
    stream flow;
    sc_config config = test_config(test_url());
    size_t before;
    (void)state;
    config.receive_buffer_bytes = SMALL_BUFFER_BYTES;
    assert_status(SC_OK, sc_close(test.client));
    test.client = test_open(&config);
    fault_memory_restart_counts(test.memory);
    before = fault_memory_live_bytes(test.memory);
    assert_status(SC_OK, upload(&flow, "large", STREAM_BYTES / 256, NULL));
    assert_true(flow.pieces >= STREAM_BYTES / 256 / (4 * SMALL_BUFFER_BYTES));
    assert_status(SC_OK, download(&flow, "large", 0));
    assert_int_equal(flow.at, STREAM_BYTES / 256);
    assert_false(flow.is_wrong);
    if (fault_memory_peak_bytes(test.memory) - before > SMALL_MEMORY_BYTES)
        fail_msg("%zu bytes were in use at once", fault_memory_peak_bytes(test.memory) - before);
}

static void an_empty_value_goes_up_and_comes_down(void **state)
{
    stream flow;
    (void)state;
    assert_status(SC_OK, upload(&flow, "empty", 0, NULL));
    test_expect_text(test.client, "", "GET", "empty", (const char *)NULL);
    assert_status(SC_OK, download(&flow, "empty", 0));
    assert_int_equal(flow.pieces, 1);
    assert_int_equal(flow.total, 0);
}

static void an_upload_that_gives_up_stores_nothing(void **state)
{
    stream flow;
    sc_slice words[2];
    sc_reply *reply = NULL;
    (void)state;
    words[0] = sc_text("SET");
    words[1] = sc_text("k");
    memset(&flow, 0, sizeof flow);
    flow.total = STREAM_BYTES;
    flow.give_up = STREAM_BYTES / 2;
    assert_status(SC_ERR_CANCELLED,
                  sc_upload(test.client, words, 2, flow.total, stream_source, &flow, NULL, &reply));
    assert_null(reply);
    assert_error_text_has("enough");
    test_expect_integer(test.client, 0, "EXISTS", "k", (const char *)NULL);
    /* And its connection is not used again. */
    assert_status(SC_OK, upload(&flow, "k", 10, NULL));
    test_expect_integer(test.client, 10, "STRLEN", "k", (const char *)NULL);
}

static void a_download_that_gives_up_leaves_nothing_to_the_next(void **state)
{
    stream flow;
    (void)state;
    assert_status(SC_OK, upload(&flow, "large", STREAM_BYTES / 8, NULL));
    assert_status(SC_OK, upload(&flow, "small", 10, NULL));
    assert_status(SC_ERR_CANCELLED, download(&flow, "large", STREAM_BYTES / 16));
    assert_error_text_has("enough");
    assert_status(SC_OK, download(&flow, "small", 0));
    assert_int_equal(flow.at, 10);
    assert_false(flow.is_wrong);
}

static void a_download_of_what_is_no_string_says_so(void **state)
{
    stream flow;
    sc_slice words[4];
    (void)state;
    assert_status(SC_MISS, download(&flow, "none", 0));
    assert_int_equal(flow.pieces, 0);
    test_expect_integer(test.client, 1, "RPUSH", "list", "v", (const char *)NULL);
    assert_status(SC_ERR_REPLY, download(&flow, "list", 0));
    assert_error_text_has("WRONGTYPE");
    words[0] = sc_text("LRANGE");
    words[1] = sc_text("list");
    words[2] = sc_text("0");
    words[3] = sc_text("-1");
    assert_status(SC_ERR_TYPE, sc_download(test.client, words, 4, stream_sink, &flow, NULL));
    assert_int_equal(flow.pieces, 0);
}

static void an_upload_that_the_server_refuses_says_so(void **state)
{
    stream flow;
    sc_slice words[2];
    sc_reply *reply = NULL;
    (void)state;
    test_expect_text(test.client, "OK", "SET", "k", "no list", (const char *)NULL);
    words[0] = sc_text("LPUSH");
    words[1] = sc_text("k");
    memset(&flow, 0, sizeof flow);
    flow.total = 100000;
    assert_status(SC_ERR_REPLY,
                  sc_upload(test.client, words, 2, flow.total, stream_source, &flow, NULL, &reply));
    assert_null(reply);
    assert_error_text_has("WRONGTYPE");
}

/* --- blocking commands */

#define BLOCKED_THREADS 4
#define QUICK_COMMANDS 100

typedef struct blocked {
    pthread_t thread;
    sc_status status;
    char key[16];
    char popped[16];
} blocked;

static void *blocked_run(void *argument)
{
    blocked *self = (blocked *)argument;
    sc_call_options options;
    sc_reply *reply = NULL;
    sc_slice words[3];
    sc_slice popped;
    memset(&options, 0, sizeof options);
    options.dedicated = true;
    words[0] = sc_text("BLPOP");
    words[1] = sc_text(self->key);
    words[2] = sc_text("0");
    self->status = sc_command(test.client, words, 3, &options, &reply);
    popped = sc_item_slice(sc_item_at(sc_reply_item(reply), 1));
    if (popped.len < sizeof self->popped)
        memcpy(self->popped, popped.len ? popped.data : "", popped.len);
    sc_reply_release(reply);
    return NULL;
}

static void blocking_commands_do_not_hold_up_others(void **state)
{
    blocked threads[BLOCKED_THREADS];
    int i;
    (void)state;
    memset(threads, 0, sizeof threads);
    for (i = 0; i < BLOCKED_THREADS; i++) {
        snprintf(threads[i].key, sizeof threads[i].key, "list%d", i);
        assert_int_equal(pthread_create(&threads[i].thread, NULL, blocked_run, &threads[i]), 0);
    }
    WAIT_UNTIL(fixture_info(test.server, "blocked_clients") == BLOCKED_THREADS);
    for (i = 0; i < QUICK_COMMANDS; i++)
        test_expect_text(test.client, "PONG", "PING", (const char *)NULL);
    assert_int_equal(fixture_info(test.server, "blocked_clients"), BLOCKED_THREADS);
    for (i = 0; i < BLOCKED_THREADS; i++)
        test_expect_integer(test.client, 1, "RPUSH", threads[i].key, threads[i].key,
                            (const char *)NULL);
    for (i = 0; i < BLOCKED_THREADS; i++) {
        pthread_join(threads[i].thread, NULL);
        assert_status(SC_OK, threads[i].status);
        assert_string_equal(threads[i].popped, threads[i].key);
    }
}

static void a_blocking_command_works_asynchronously(void **state)
{
    sc_call_options options;
    sc_slice words[3];
    outcome result;
    (void)state;
    memset(&options, 0, sizeof options);
    memset(&result, 0, sizeof result);
    options.dedicated = true;
    words[0] = sc_text("BLPOP");
    words[1] = sc_text("list");
    words[2] = sc_text("0");
    assert_status(SC_OK, sc_command_async(test.client, words, 3, &options, outcome_take, &result));
    test_expect_integer(test.client, 1, "RPUSH", "list", "v", (const char *)NULL);
    outcome_wait(test.client, &result);
    assert_status(SC_OK, result.status);
    assert_int_equal(result.kind, SC_ARRAY);
}

/* --- asynchronous commands */

#define ASYNC_COMMANDS 1000

static void asynchronous_commands_are_answered_once_and_in_order(void **state)
{
    static outcome results[ASYNC_COMMANDS];
    sc_slice words[2];
    size_t i;
    (void)state;
    memset(results, 0, sizeof results);
    words[0] = sc_text("INCR");
    words[1] = sc_text("n");
    for (i = 0; i < ASYNC_COMMANDS; i++)
        assert_status(SC_OK,
                      sc_command_async(test.client, words, 2, NULL, outcome_take, &results[i]));
    for (i = 0; i < ASYNC_COMMANDS; i++) {
        outcome_wait(test.client, &results[i]);
        assert_status(SC_OK, results[i].status);
        assert_int_equal(results[i].integer, i + 1);
    }
    test_expect_text(test.client, "PONG", "PING", (const char *)NULL);
    for (i = 0; i < ASYNC_COMMANDS; i++)
        assert_int_equal(results[i].calls, 1);
}

static void an_asynchronous_command_that_nobody_waits_for_is_executed(void **state)
{
    sc_slice words[2];
    (void)state;
    words[0] = sc_text("INCR");
    words[1] = sc_text("n");
    assert_status(SC_OK, sc_command_async(test.client, words, 2, NULL, NULL, NULL));
    /* The same connection, so in order. */
    test_expect_integer(test.client, 2, "INCR", "n", (const char *)NULL);
}

static void an_asynchronous_error_comes_with_its_words(void **state)
{
    sc_slice words[1];
    outcome result;
    (void)state;
    memset(&result, 0, sizeof result);
    words[0] = sc_text("NOSUCHTHING");
    assert_status(SC_OK, sc_command_async(test.client, words, 1, NULL, outcome_take, &result));
    outcome_wait(test.client, &result);
    assert_status(SC_ERR_REPLY, result.status);
    assert_false(result.has_reply);
    assert_non_null(strstr(result.words, "NOSUCHTHING"));
}

typedef struct chain {
    uint32_t is_done; /* atomic */
    int left;
    sc_status status;
    sc_reply *kept;
} chain;

/* From within the callback: another asynchronous call, and at the end a blocking one. */
static void chain_link(void *user, sc_status status, sc_reply *reply)
{
    chain *self = (chain *)user;
    sc_slice words[2];
    words[0] = sc_text("INCR");
    words[1] = sc_text("n");
    if (status == SC_OK && --self->left > 0)
        status = sc_command_async(test.client, words, 2, NULL, chain_link, self);
    else if (status == SC_OK)
        status = sc_command_strings(test.client, NULL, "SET", "done", "1", (const char *)NULL);
    if (self->left > 0 && status == SC_OK)
        return;
    self->status = status;
    self->kept = sc_reply_retain(reply);
    __atomic_store_n(&self->is_done, 1, __ATOMIC_RELEASE);
}

static void a_callback_may_call_the_client_and_keep_the_reply(void **state)
{
    sc_slice words[2];
    chain links;
    int64_t number = 0;
    int64_t end_ms = wait_now_ms() + WAIT_WATCHDOG_MS;
    (void)state;
    memset(&links, 0, sizeof links);
    links.left = 10;
    words[0] = sc_text("INCR");
    words[1] = sc_text("n");
    assert_status(SC_OK, sc_command_async(test.client, words, 2, NULL, chain_link, &links));
    while (!__atomic_load_n(&links.is_done, __ATOMIC_ACQUIRE)) {
        assert_status(SC_OK, sc_poll(test.client, 50));
        assert_true(wait_now_ms() < end_ms);
    }
    assert_status(SC_OK, links.status);
    assert_status(SC_OK, sc_item_integer(sc_reply_item(links.kept), &number));
    assert_int_equal(number, 10);
    sc_reply_release(links.kept);
    test_expect_text(test.client, "1", "GET", "done", (const char *)NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        client_unit_test(a_script_runs_also_when_the_server_forgot_it),
        client_unit_test(a_scripts_sha1_is_the_servers),
        client_unit_test(an_error_of_a_script_comes_with_its_words),
        client_unit_test(scripts_run_asynchronously_while_the_server_forgets_them),
        client_unit_test(a_scan_visits_every_key),
        client_unit_test(a_scan_keeps_to_the_type_that_was_asked_for),
        client_unit_test(a_scan_of_a_hash_gives_fields_and_values),
        client_unit_test(a_scan_of_nothing_ends_at_once),
        client_unit_test(a_scan_goes_on_after_an_error),
        client_unit_test(a_scan_of_the_wrong_kind_is_refused),
        client_unit_test(a_large_value_passes_through_little_memory),
        client_unit_test(a_small_receive_buffer_makes_transfers_small),
        client_unit_test(an_empty_value_goes_up_and_comes_down),
        client_unit_test(an_upload_that_gives_up_stores_nothing),
        client_unit_test(a_download_that_gives_up_leaves_nothing_to_the_next),
        client_unit_test(a_download_of_what_is_no_string_says_so),
        client_unit_test(an_upload_that_the_server_refuses_says_so),
        client_unit_test(blocking_commands_do_not_hold_up_others),
        client_unit_test(a_blocking_command_works_asynchronously),
        client_unit_test(asynchronous_commands_are_answered_once_and_in_order),
        client_unit_test(an_asynchronous_command_that_nobody_waits_for_is_executed),
        client_unit_test(an_asynchronous_error_comes_with_its_words),
        client_unit_test(a_callback_may_call_the_client_and_keep_the_reply),
    };
    return run_on_both_wires("forms of commands", tests);
}
