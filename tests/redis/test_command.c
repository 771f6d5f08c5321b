/* Commands and their replies, on a real redis-server. */
#include "support/client_test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* --- replies */

static const sc_item *answer(sc_reply **reply)
{
    assert_int_equal(sc_reply_count(*reply), 1);
    return sc_reply_item(*reply);
}

static void a_simple_string_comes_back(void **state)
{
    sc_reply *reply = NULL;
    (void)state;
    assert_status(SC_OK, sc_command_strings(test.client, &reply, "PING", (const char *)NULL));
    assert_int_equal(sc_item_kind(answer(&reply)), SC_SIMPLE);
    assert_status(SC_OK, sc_item_expect(sc_reply_item(reply), "PONG"));
    assert_status(SC_ERR_TYPE, sc_item_expect(sc_reply_item(reply), "OK"));
    sc_reply_release(reply);
}

static void an_integer_comes_back_in_its_whole_range(void **state)
{
    (void)state;
    test_expect_text(test.client, "OK", "SET", "least", "-9223372036854775807", (const char *)NULL);
    test_expect_integer(test.client, INT64_MIN, "DECR", "least", (const char *)NULL);
    test_expect_text(test.client, "OK", "SET", "most", "9223372036854775806", (const char *)NULL);
    test_expect_integer(test.client, INT64_MAX, "INCR", "most", (const char *)NULL);
    /* A string that is an integer is one, too. */
    test_expect_integer(test.client, INT64_MIN, "GET", "least", (const char *)NULL);
}

static void a_string_comes_back_and_an_empty_one_is_no_nil(void **state)
{
    sc_reply *reply = NULL;
    (void)state;
    test_expect_text(test.client, "OK", "SET", "k", "", (const char *)NULL);
    assert_status(SC_OK, sc_command_strings(test.client, &reply, "GET", "k", (const char *)NULL));
    assert_int_equal(sc_item_kind(answer(&reply)), SC_STRING);
    assert_false(sc_item_is_nil(sc_reply_item(reply)));
    assert_int_equal(sc_item_slice(sc_reply_item(reply)).len, 0);
    sc_reply_release(reply);
}

static void what_is_not_there_is_nil(void **state)
{
    sc_reply *reply = NULL;
    sc_slice bytes;
    sc_value *value = NULL;
    (void)state;
    assert_status(SC_OK,
                  sc_command_strings(test.client, &reply, "GET", "none", (const char *)NULL));
    assert_int_equal(sc_item_kind(answer(&reply)), SC_NIL);
    assert_status(SC_MISS, sc_item_bytes(sc_reply_item(reply), &bytes));
    assert_status(SC_MISS, sc_item_value(reply, sc_reply_item(reply), &value));
    assert_null(value);
    sc_reply_release(reply);
}

static void an_array_comes_back_with_arrays_nils_and_errors_inside(void **state)
{
    static const char source[] = "return {1, {'two', false, {}}, redis.error_reply('MINE own'), "
                                 "redis.status_reply('FINE'), 'last'}";
    sc_reply *reply = NULL;
    const sc_item *top;
    const sc_item *inner;
    const sc_item *element;
    size_t count = 0;
    int64_t number = 0;
    (void)state;
    assert_status(SC_OK,
                  sc_command_strings(test.client, &reply, "EVAL", source, "0", (const char *)NULL));
    top = answer(&reply);
    assert_int_equal(sc_item_kind(top), SC_ARRAY);
    assert_int_equal(sc_item_count(top), 5);
    assert_status(SC_OK, sc_item_integer(sc_item_at(top, 0), &number));
    assert_int_equal(number, 1);
    inner = sc_item_at(top, 1);
    assert_int_equal(sc_item_count(inner), 3);
    assert_slice_text(sc_item_slice(sc_item_at(inner, 0)), "two");
    assert_true(sc_item_is_nil(sc_item_at(inner, 1)));
    assert_int_equal(sc_item_kind(sc_item_at(inner, 2)), SC_ARRAY);
    assert_int_equal(sc_item_count(sc_item_at(inner, 2)), 0);
    assert_int_equal(sc_item_kind(sc_item_at(top, 2)), SC_ERROR);
    assert_status(SC_ERR_REPLY, sc_item_check(sc_item_at(top, 2)));
    assert_error_text_has("MINE own");
    assert_int_equal(sc_item_kind(sc_item_at(top, 3)), SC_SIMPLE);
    assert_slice_text(sc_item_slice(sc_item_at(top, 4)), "last");
    assert_null(sc_item_at(top, 5));
    for (element = sc_item_first(top); element; element = sc_item_next(top, element))
        count++;
    assert_int_equal(count, 5);
    sc_reply_release(reply);
}

static void an_array_that_is_not_there_is_nil(void **state)
{
    sc_call_options options;
    sc_reply *reply = NULL;
    (void)state;
    memset(&options, 0, sizeof options);
    options.dedicated = true;
    assert_status(SC_OK, test_call(test.client, &options, &reply, "BLPOP", "none", "0.01",
                                   (const char *)NULL));
    assert_int_equal(sc_item_kind(answer(&reply)), SC_NIL);
    sc_reply_release(reply);
}

static void a_field_is_found_in_a_flat_array_of_pairs(void **state)
{
    sc_reply *reply = NULL;
    double number = 0;
    (void)state;
    test_expect_integer(test.client, 2, "HSET", "h", "name", "size", "size", "2.5",
                        (const char *)NULL);
    assert_status(SC_OK,
                  sc_command_strings(test.client, &reply, "HGETALL", "h", (const char *)NULL));
    assert_slice_text(sc_item_slice(sc_item_find(answer(&reply), sc_text("name"))), "size");
    /* "size" is also a value; only names count. */
    assert_status(SC_OK,
                  sc_item_double(sc_item_find(sc_reply_item(reply), sc_text("size")), &number));
    assert_true(number > 2.4999 && number < 2.5001);
    assert_null(sc_item_find(sc_reply_item(reply), sc_text("2.5")));
    sc_reply_release(reply);
}

static void a_reply_that_nobody_wants_is_checked_and_dropped(void **state)
{
    (void)state;
    assert_status(SC_OK,
                  sc_command_strings(test.client, NULL, "SET", "k", "v", (const char *)NULL));
    assert_status(SC_ERR_REPLY,
                  sc_command_strings(test.client, NULL, "LPUSH", "k", "v", (const char *)NULL));
    assert_error_text_has("WRONGTYPE");
    test_expect_text(test.client, "v", "GET", "k", (const char *)NULL);
}

static void an_error_of_the_server_comes_with_its_words_and_no_reply(void **state)
{
    int marker = 0;
    sc_reply *reply = (sc_reply *)(void *)&marker;
    (void)state;
    assert_status(SC_ERR_REPLY, sc_command_strings(test.client, &reply, "NOSUCHTHING", "with",
                                                   "words", (const char *)NULL));
    assert_null(reply);
    assert_error_text_has("unknown command");
    test_expect_text(test.client, "PONG", "PING", (const char *)NULL);
}

static void a_command_without_words_is_refused(void **state)
{
    sc_reply *reply = NULL;
    (void)state;
    assert_status(SC_ERR_ARGUMENT, sc_command(test.client, NULL, 0, NULL, &reply));
    assert_null(reply);
    assert_status(SC_ERR_ARGUMENT,
                  sc_command_async(test.client, NULL, 0, NULL, outcome_take, NULL));
    test_expect_text(test.client, "PONG", "PING", (const char *)NULL);
}

static void a_reply_outlives_its_client(void **state)
{
    sc_client *client = test_open_url(test_url());
    sc_reply *reply = NULL;
    (void)state;
    assert_status(SC_OK,
                  sc_command_strings(client, &reply, "ECHO", "still here", (const char *)NULL));
    assert_ptr_equal(sc_reply_retain(reply), reply);
    sc_reply_release(reply);
    assert_status(SC_OK, sc_close(client));
    assert_slice_text(sc_item_slice(sc_reply_item(reply)), "still here");
    sc_reply_release(reply);
}

static void a_value_of_a_reply_outlives_the_reply(void **state)
{
    sc_reply *reply = NULL;
    sc_value *value = NULL;
    (void)state;
    assert_status(SC_OK,
                  sc_command_strings(test.client, &reply, "ECHO", "kept", (const char *)NULL));
    assert_status(SC_OK, sc_item_value(reply, sc_reply_item(reply), &value));
    sc_reply_release(reply);
    assert_slice_text(sc_value_bytes(value), "kept");
    sc_value_release(value);
}

#define LARGE_BYTES ((size_t)16 << 20)

/* Bytes that repeat with no power of two. */
static char pattern_at(size_t offset)
{
    return (char)(offset % 251);
}

static void a_large_value_goes_and_comes_whole(void **state)
{
    sc_slice words[3];
    sc_reply *reply = NULL;
    sc_slice bytes;
    size_t i;
    char *large = (char *)malloc(LARGE_BYTES);
    (void)state;
    assert_non_null(large);
    for (i = 0; i < LARGE_BYTES; i++)
        large[i] = pattern_at(i);
    words[0] = sc_text("SET");
    words[1] = sc_text("large");
    words[2] = sc_bytes(large, LARGE_BYTES);
    assert_status(SC_OK, sc_command(test.client, words, 3, NULL, NULL));
    words[0] = sc_text("GET");
    assert_status(SC_OK, sc_command(test.client, words, 2, NULL, &reply));
    bytes = sc_item_slice(sc_reply_item(reply));
    assert_int_equal(bytes.len, LARGE_BYTES);
    assert_true(memcmp(bytes.data, large, LARGE_BYTES) == 0);
    sc_reply_release(reply);
    free(large);
}

#define BYTE_VALUES 256

static void keys_and_values_hold_every_byte(void **state)
{
    char all[BYTE_VALUES];
    sc_slice words[3];
    int i;
    (void)state;
    for (i = 0; i < BYTE_VALUES; i++)
        all[i] = (char)i;
    /* Each byte alone, all of them, and none, as a key and as a value. */
    for (i = 0; i < BYTE_VALUES + 2; i++) {
        sc_reply *reply = NULL;
        sc_slice bytes = i < BYTE_VALUES ? sc_bytes(all + i, 1)
                                         : sc_bytes(all, i == BYTE_VALUES ? BYTE_VALUES : 0);
        words[0] = sc_text("SET");
        words[1] = bytes;
        words[2] = bytes;
        assert_status(SC_OK, sc_command(test.client, words, 3, NULL, NULL));
        words[0] = sc_text("GET");
        assert_status(SC_OK, sc_command(test.client, words, 2, NULL, &reply));
        assert_int_equal(sc_item_slice(sc_reply_item(reply)).len, bytes.len);
        if (bytes.len)
            assert_memory_equal(sc_item_slice(sc_reply_item(reply)).data, bytes.data, bytes.len);
        sc_reply_release(reply);
    }
    test_expect_integer(test.client, BYTE_VALUES + 2, "DBSIZE", (const char *)NULL);
}

/* --- limits on replies */

static void a_reply_beyond_a_limit_ends_its_call_and_not_the_client(void **state)
{
    sc_config config = test_config(test_url());
    sc_client *client;
    sc_reply *reply = NULL;
    (void)state;
    config.limits.max_bulk_bytes = 1000;
    config.limits.max_elements = 10;
    config.limits.max_depth = 3;
    client = test_open(&config);
    test_expect_text(test.client, "OK", "SET", "small", "v", (const char *)NULL);
    test_expect_integer(test.client, 1001, "SETRANGE", "big", "1000", "x", (const char *)NULL);
    assert_status(SC_ERR_LIMIT,
                  sc_command_strings(client, &reply, "GET", "big", (const char *)NULL));
    assert_null(reply);
    assert_error_text_has("max_bulk_bytes");
    test_expect_text(client, "v", "GET", "small", (const char *)NULL);
    assert_status(SC_ERR_LIMIT,
                  sc_command_strings(client, &reply, "EVAL", "return {1,2,3,4,5,6,7,8,9,10,11,12}",
                                     "0", (const char *)NULL));
    assert_error_text_has("max_elements");
    test_expect_text(client, "v", "GET", "small", (const char *)NULL);
    assert_status(SC_ERR_LIMIT, sc_command_strings(client, &reply, "EVAL", "return {{{{{1}}}}}",
                                                   "0", (const char *)NULL));
    assert_error_text_has("max_depth");
    test_expect_text(client, "v", "GET", "small", (const char *)NULL);
    assert_status(SC_OK, sc_close(client));
}

/* --- pipelines */

#define PIPELINE_COMMANDS 1000
#define PIPELINE_WRONG 500

static void a_pipeline_answers_each_command_in_order(void **state)
{
    sc_pipeline *pipeline = NULL;
    sc_reply *replies = NULL;
    int64_t number;
    size_t i;
    (void)state;
    assert_status(SC_OK, sc_pipeline_open(test.client, &pipeline));
    for (i = 0; i < PIPELINE_COMMANDS; i++)
        assert_status(SC_OK,
                      i == PIPELINE_WRONG
                          ? sc_pipeline_add_strings(pipeline, "LPUSH", "n", "x", (const char *)NULL)
                          : sc_pipeline_add_strings(pipeline, "INCR", "n", (const char *)NULL));
    assert_int_equal(sc_pipeline_count(pipeline), PIPELINE_COMMANDS);
    assert_status(SC_OK, sc_pipeline_run(pipeline, NULL, &replies));
    assert_int_equal(sc_pipeline_count(pipeline), 0);
    assert_int_equal(sc_reply_count(replies), PIPELINE_COMMANDS);
    for (i = 0; i < PIPELINE_COMMANDS; i++) {
        if (i == PIPELINE_WRONG) {
            assert_int_equal(sc_item_kind(sc_reply_at(replies, i)), SC_ERROR);
            continue;
        }
        assert_status(SC_OK, sc_item_integer(sc_reply_at(replies, i), &number));
        assert_int_equal(number, i < PIPELINE_WRONG ? i + 1 : i);
    }
    assert_null(sc_reply_at(replies, PIPELINE_COMMANDS));
    sc_reply_release(replies);
    sc_pipeline_close(pipeline);
}

static void a_pipeline_with_nothing_in_it_answers_nothing(void **state)
{
    sc_pipeline *pipeline = NULL;
    sc_reply *replies = NULL;
    (void)state;
    assert_status(SC_OK, sc_pipeline_open(test.client, &pipeline));
    assert_status(SC_OK, sc_pipeline_run(pipeline, NULL, &replies));
    assert_int_equal(sc_reply_count(replies), 0);
    sc_reply_release(replies);
    sc_pipeline_close(pipeline);
}

static void a_pipeline_is_built_word_by_word(void **state)
{
    sc_pipeline *pipeline = NULL;
    sc_reply *replies = NULL;
    int64_t number = 0;
    double real = 0;
    (void)state;
    assert_status(SC_OK, sc_pipeline_open(test.client, &pipeline));
    assert_status(SC_OK, sc_pipeline_begin(pipeline, "SET"));
    assert_status(SC_OK, sc_pipeline_bytes(pipeline, sc_bytes("a\0b", 3)));
    assert_status(SC_OK, sc_pipeline_integer(pipeline, INT64_MIN));
    assert_status(SC_OK, sc_pipeline_begin(pipeline, "GET"));
    assert_status(SC_OK, sc_pipeline_bytes(pipeline, sc_bytes("a\0b", 3)));
    assert_status(SC_OK, sc_pipeline_begin(pipeline, "ZADD"));
    assert_status(SC_OK, sc_pipeline_text(pipeline, "z"));
    assert_status(SC_OK, sc_pipeline_double(pipeline, 0.1));
    assert_status(SC_OK, sc_pipeline_text(pipeline, "m"));
    assert_status(SC_OK, sc_pipeline_add_strings(pipeline, "ZSCORE", "z", "m", (const char *)NULL));
    assert_int_equal(sc_pipeline_count(pipeline), 4);
    assert_status(SC_OK, sc_pipeline_run(pipeline, NULL, &replies));
    assert_int_equal(sc_reply_count(replies), 4);
    assert_status(SC_OK, sc_item_integer(sc_reply_at(replies, 1), &number));
    assert_true(number == INT64_MIN);
    assert_status(SC_OK, sc_item_double(sc_reply_at(replies, 3), &real));
    assert_true(real > 0.0999999 && real < 0.1000001);
    sc_reply_release(replies);
    sc_pipeline_close(pipeline);
}

static void a_wrong_word_of_a_pipeline_is_told_by_the_run_which_sends_nothing(void **state)
{
    sc_pipeline *pipeline = NULL;
    sc_reply *replies = NULL;
    (void)state;
    assert_status(SC_OK, sc_pipeline_open(test.client, &pipeline));
    assert_status(SC_OK, sc_pipeline_add_strings(pipeline, "SET", "k", "v", (const char *)NULL));
    assert_status(SC_ERR_ARGUMENT, sc_pipeline_add(pipeline, NULL, 0));
    assert_status(SC_ERR_ARGUMENT, sc_pipeline_run(pipeline, NULL, &replies));
    assert_null(replies);
    test_expect_integer(test.client, 0, "EXISTS", "k", (const char *)NULL);
    /* It is empty and good again. */
    assert_status(SC_OK, sc_pipeline_add_strings(pipeline, "PING", (const char *)NULL));
    assert_status(SC_OK, sc_pipeline_run(pipeline, NULL, &replies));
    assert_int_equal(sc_reply_count(replies), 1);
    sc_reply_release(replies);
    sc_pipeline_close(pipeline);
}

static void a_word_without_a_command_is_refused(void **state)
{
    sc_pipeline *pipeline = NULL;
    (void)state;
    assert_status(SC_OK, sc_pipeline_open(test.client, &pipeline));
    assert_status(SC_ERR_ARGUMENT, sc_pipeline_text(pipeline, "word"));
    sc_pipeline_clear(pipeline);
    assert_int_equal(sc_pipeline_count(pipeline), 0);
    sc_pipeline_close(pipeline);
}

static void a_pipeline_that_runs_asynchronously_may_be_closed_meanwhile(void **state)
{
    sc_pipeline *pipeline = NULL;
    outcome result;
    (void)state;
    memset(&result, 0, sizeof result);
    assert_status(SC_OK, sc_pipeline_open(test.client, &pipeline));
    assert_status(SC_OK, sc_pipeline_add_strings(pipeline, "ECHO", "first", (const char *)NULL));
    assert_status(SC_OK, sc_pipeline_add_strings(pipeline, "ECHO", "second", (const char *)NULL));
    assert_status(SC_OK, sc_pipeline_run_async(pipeline, NULL, outcome_take, &result));
    sc_pipeline_close(pipeline);
    outcome_wait(test.client, &result);
    assert_status(SC_OK, result.status);
    assert_int_equal(result.count, 2);
    assert_string_equal(result.text, "first");
    assert_int_equal(result.calls, 1);
}

/* --- transactions */

static void a_transaction_answers_with_one_array(void **state)
{
    sc_pipeline *pipeline = NULL;
    sc_reply *reply = NULL;
    const sc_item *results;
    int64_t number = 0;
    (void)state;
    assert_status(SC_OK, sc_pipeline_open(test.client, &pipeline));
    assert_status(SC_OK, sc_pipeline_add_strings(pipeline, "SET", "k", "1", (const char *)NULL));
    assert_status(SC_OK, sc_pipeline_add_strings(pipeline, "LPUSH", "k", "x", (const char *)NULL));
    assert_status(SC_OK, sc_pipeline_add_strings(pipeline, "INCR", "k", (const char *)NULL));
    assert_status(SC_OK, sc_pipeline_exec(pipeline, NULL, &reply));
    assert_int_equal(sc_pipeline_count(pipeline), 0);
    assert_int_equal(sc_reply_count(reply), 1);
    results = sc_reply_item(reply);
    assert_int_equal(sc_item_count(results), 3);
    assert_status(SC_OK, sc_item_expect(sc_item_at(results, 0), "OK"));
    assert_int_equal(sc_item_kind(sc_item_at(results, 1)), SC_ERROR);
    assert_status(SC_OK, sc_item_integer(sc_item_at(results, 2), &number));
    assert_int_equal(number, 2);
    sc_reply_release(reply);
    sc_pipeline_close(pipeline);
}

static void a_transaction_with_a_command_that_is_not_queued_does_nothing(void **state)
{
    sc_pipeline *pipeline = NULL;
    sc_reply *reply = NULL;
    (void)state;
    assert_status(SC_OK, sc_pipeline_open(test.client, &pipeline));
    assert_status(SC_OK, sc_pipeline_add_strings(pipeline, "SET", "k", "1", (const char *)NULL));
    assert_status(SC_OK, sc_pipeline_add_strings(pipeline, "NOSUCHTHING", (const char *)NULL));
    assert_status(SC_ERR_REPLY, sc_pipeline_exec(pipeline, NULL, &reply));
    assert_null(reply);
    assert_error_text_has("NOSUCHTHING");
    test_expect_integer(test.client, 0, "EXISTS", "k", (const char *)NULL);
    sc_pipeline_close(pipeline);
}

static void watch(sc_pipeline *pipeline, const char *key)
{
    sc_slice keys[1];
    keys[0] = sc_text(key);
    assert_status(SC_OK, sc_pipeline_watch(pipeline, keys, 1, NULL));
}

static void a_watched_key_that_changed_is_a_conflict_and_nothing_is_executed(void **state)
{
    sc_pipeline *pipeline = NULL;
    sc_reply *reply = NULL;
    (void)state;
    assert_status(SC_OK, sc_pipeline_open(test.client, &pipeline));
    watch(pipeline, "k");
    test_expect_text(test.client, "OK", "SET", "k", "other", (const char *)NULL);
    assert_status(SC_OK, sc_pipeline_add_strings(pipeline, "SET", "k", "mine", (const char *)NULL));
    assert_status(SC_CONFLICT, sc_pipeline_exec(pipeline, NULL, &reply));
    assert_null(reply);
    test_expect_text(test.client, "other", "GET", "k", (const char *)NULL);
    /* Again, now in peace. */
    watch(pipeline, "k");
    assert_status(SC_OK, sc_pipeline_add_strings(pipeline, "SET", "k", "mine", (const char *)NULL));
    assert_status(SC_OK, sc_pipeline_exec(pipeline, NULL, &reply));
    sc_reply_release(reply);
    test_expect_text(test.client, "mine", "GET", "k", (const char *)NULL);
    sc_pipeline_close(pipeline);
}

static void watches_of_two_pipelines_do_not_meet(void **state)
{
    sc_pipeline *first = NULL;
    sc_pipeline *second = NULL;
    (void)state;
    assert_status(SC_OK, sc_pipeline_open(test.client, &first));
    assert_status(SC_OK, sc_pipeline_open(test.client, &second));
    watch(first, "a");
    watch(second, "b");
    test_expect_text(test.client, "OK", "SET", "a", "1", (const char *)NULL);
    assert_status(SC_OK, sc_pipeline_add_strings(first, "SET", "c", "1", (const char *)NULL));
    assert_status(SC_OK, sc_pipeline_add_strings(second, "SET", "d", "1", (const char *)NULL));
    assert_status(SC_OK, sc_pipeline_exec(second, NULL, NULL));
    assert_status(SC_CONFLICT, sc_pipeline_exec(first, NULL, NULL));
    test_expect_integer(test.client, 1, "EXISTS", "c", "d", (const char *)NULL);
    sc_pipeline_close(first);
    sc_pipeline_close(second);
}

static void what_was_cleared_or_run_is_not_watched_any_more(void **state)
{
    sc_pipeline *pipeline = NULL;
    int round;
    (void)state;
    assert_status(SC_OK, sc_pipeline_open(test.client, &pipeline));
    for (round = 0; round < 2; round++) {
        watch(pipeline, "k");
        assert_status(SC_OK, sc_pipeline_add_strings(pipeline, "GET", "k", (const char *)NULL));
        if (round == 0)
            sc_pipeline_clear(pipeline);
        else
            assert_status(SC_OK, sc_pipeline_run(pipeline, NULL, NULL));
        test_expect_text(test.client, "OK", "SET", "k", "other", (const char *)NULL);
        assert_int_equal(sc_pipeline_count(pipeline), 0);
        assert_status(SC_OK,
                      sc_pipeline_add_strings(pipeline, "SET", "k", "mine", (const char *)NULL));
        assert_status(SC_OK, sc_pipeline_exec(pipeline, NULL, NULL));
        test_expect_text(test.client, "mine", "GET", "k", (const char *)NULL);
    }
    sc_pipeline_close(pipeline);
}

static void a_pipeline_closed_with_a_watch_leaves_no_watch_behind(void **state)
{
    int round;
    (void)state;
    /* Whoever gets its connection next must not inherit it. */
    for (round = 0; round < 10; round++) {
        sc_pipeline *pipeline = NULL;
        assert_status(SC_OK, sc_pipeline_open(test.client, &pipeline));
        watch(pipeline, "k");
        sc_pipeline_close(pipeline);
        test_expect_text(test.client, "OK", "SET", "k", "other", (const char *)NULL);
        assert_status(SC_OK, sc_pipeline_open(test.client, &pipeline));
        watch(pipeline, "unrelated");
        assert_status(SC_OK,
                      sc_pipeline_add_strings(pipeline, "SET", "k", "mine", (const char *)NULL));
        assert_status(SC_OK, sc_pipeline_exec(pipeline, NULL, NULL));
        sc_pipeline_close(pipeline);
    }
}

static void transactions_and_watches_work_asynchronously(void **state)
{
    sc_pipeline *pipeline = NULL;
    sc_slice keys[1];
    outcome watched;
    outcome executed;
    (void)state;
    memset(&watched, 0, sizeof watched);
    memset(&executed, 0, sizeof executed);
    keys[0] = sc_text("k");
    assert_status(SC_OK, sc_pipeline_open(test.client, &pipeline));
    assert_status(SC_OK, sc_pipeline_watch_async(pipeline, keys, 1, NULL, outcome_take, &watched));
    outcome_wait(test.client, &watched);
    assert_status(SC_OK, watched.status);
    test_expect_text(test.client, "OK", "SET", "k", "other", (const char *)NULL);
    assert_status(SC_OK, sc_pipeline_add_strings(pipeline, "SET", "k", "mine", (const char *)NULL));
    assert_status(SC_OK, sc_pipeline_exec_async(pipeline, NULL, outcome_take, &executed));
    outcome_wait(test.client, &executed);
    assert_status(SC_CONFLICT, executed.status);
    assert_false(executed.has_reply);
    memset(&executed, 0, sizeof executed);
    assert_status(SC_OK, sc_pipeline_add_strings(pipeline, "INCR", "n", (const char *)NULL));
    assert_status(SC_OK, sc_pipeline_exec_async(pipeline, NULL, outcome_take, &executed));
    outcome_wait(test.client, &executed);
    assert_status(SC_OK, executed.status);
    assert_int_equal(executed.kind, SC_ARRAY);
    sc_pipeline_close(pipeline);
}

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

/* --- what is refused */

static void commands_that_would_change_a_shared_connection_are_refused(void **state)
{
    static const char *const refused[][2] = {
        {"SUBSCRIBE", "c"},    {"PSUBSCRIBE", "c*"},  {"SSUBSCRIBE", "c"}, {"UNSUBSCRIBE", "c"},
        {"PUNSUBSCRIBE", "c"}, {"SUNSUBSCRIBE", "c"}, {"MONITOR", NULL},   {"SYNC", NULL},
        {"PSYNC", "?"},        {"MULTI", NULL},       {"EXEC", NULL},      {"DISCARD", NULL},
        {"WATCH", "k"},        {"UNWATCH", NULL},     {"SELECT", "1"},     {"AUTH", "secret"},
        {"HELLO", "3"},        {"RESET", NULL},       {"QUIT", NULL},      {"subscribe", "c"},
        {"Multi", NULL},
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(refused); i++) {
        sc_slice words[2];
        size_t count = refused[i][1] ? 2 : 1;
        sc_pipeline *pipeline = NULL;
        sc_reply *reply = NULL;
        sc_status status;
        words[0] = sc_text(refused[i][0]);
        words[1] = sc_text(refused[i][1]);
        status = sc_command(test.client, words, count, NULL, &reply);
        if (status != SC_ERR_ARGUMENT)
            fail_msg("%s gave %s", refused[i][0], sc_status_name(status));
        assert_null(reply);
        status = sc_command_async(test.client, words, count, NULL, outcome_take, NULL);
        if (status != SC_ERR_ARGUMENT)
            fail_msg("%s gave %s, asynchronously", refused[i][0], sc_status_name(status));
        assert_status(SC_OK, sc_pipeline_open(test.client, &pipeline));
        (void)sc_pipeline_add(pipeline, words, count);
        status = sc_pipeline_run(pipeline, NULL, &reply);
        if (status != SC_ERR_ARGUMENT)
            fail_msg("%s gave %s, in a pipeline", refused[i][0], sc_status_name(status));
        sc_pipeline_close(pipeline);
    }
    test_expect_text(test.client, "PONG", "PING", (const char *)NULL);
}

static void client_reply_off_is_refused(void **state)
{
    sc_reply *reply = NULL;
    (void)state;
    /* It would leave every later command without an answer. */
    assert_status(SC_ERR_ARGUMENT, sc_command_strings(test.client, &reply, "CLIENT", "REPLY", "OFF",
                                                      (const char *)NULL));
    assert_status(SC_ERR_ARGUMENT, sc_command_strings(test.client, &reply, "client", "reply",
                                                      "skip", (const char *)NULL));
    assert_status(SC_OK,
                  sc_command_strings(test.client, &reply, "CLIENT", "ID", (const char *)NULL));
    sc_reply_release(reply);
}

/* --- counts */

static void the_counts_tell_what_happened(void **state)
{
    sc_stats before;
    sc_stats after;
    (void)state;
    sc_stats_get(test.client, &before);
    test_expect_text(test.client, "PONG", "PING", (const char *)NULL);
    sc_stats_get(test.client, &after);
    assert_int_equal(after.commands - before.commands, 1);
    assert_int_equal(after.sends - before.sends, 1);
    assert_int_equal(after.bytes_sent - before.bytes_sent, strlen("*1\r\n$4\r\nPING\r\n"));
    assert_int_equal(after.bytes_received - before.bytes_received, strlen("+PONG\r\n"));
    assert_int_equal(after.connects, 1);
    assert_int_equal(after.connections, 1);
    assert_int_equal(after.unanswered, 0);
    assert_int_equal(after.timeouts, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        client_unit_test(a_simple_string_comes_back),
        client_unit_test(an_integer_comes_back_in_its_whole_range),
        client_unit_test(a_string_comes_back_and_an_empty_one_is_no_nil),
        client_unit_test(what_is_not_there_is_nil),
        client_unit_test(an_array_comes_back_with_arrays_nils_and_errors_inside),
        client_unit_test(an_array_that_is_not_there_is_nil),
        client_unit_test(a_field_is_found_in_a_flat_array_of_pairs),
        client_unit_test(a_reply_that_nobody_wants_is_checked_and_dropped),
        client_unit_test(an_error_of_the_server_comes_with_its_words_and_no_reply),
        client_unit_test(a_command_without_words_is_refused),
        client_unit_test(a_reply_outlives_its_client),
        client_unit_test(a_value_of_a_reply_outlives_the_reply),
        client_unit_test(a_large_value_goes_and_comes_whole),
        client_unit_test(keys_and_values_hold_every_byte),
        client_unit_test(a_reply_beyond_a_limit_ends_its_call_and_not_the_client),
        client_unit_test(a_pipeline_answers_each_command_in_order),
        client_unit_test(a_pipeline_with_nothing_in_it_answers_nothing),
        client_unit_test(a_pipeline_is_built_word_by_word),
        client_unit_test(a_wrong_word_of_a_pipeline_is_told_by_the_run_which_sends_nothing),
        client_unit_test(a_word_without_a_command_is_refused),
        client_unit_test(a_pipeline_that_runs_asynchronously_may_be_closed_meanwhile),
        client_unit_test(a_transaction_answers_with_one_array),
        client_unit_test(a_transaction_with_a_command_that_is_not_queued_does_nothing),
        client_unit_test(a_watched_key_that_changed_is_a_conflict_and_nothing_is_executed),
        client_unit_test(watches_of_two_pipelines_do_not_meet),
        client_unit_test(what_was_cleared_or_run_is_not_watched_any_more),
        client_unit_test(a_pipeline_closed_with_a_watch_leaves_no_watch_behind),
        client_unit_test(transactions_and_watches_work_asynchronously),
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
        client_unit_test(commands_that_would_change_a_shared_connection_are_refused),
        client_unit_test(client_reply_off_is_refused),
        client_unit_test(the_counts_tell_what_happened),
    };
    return run_on_both_wires("commands", tests);
}
