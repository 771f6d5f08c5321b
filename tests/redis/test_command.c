/* Commands and their replies, pipelines, transactions. */
#include "pattern.h"
#include "support/client_test.h"

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
    if (fixture_is_embedded())
        skip();
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
    if (fixture_is_embedded())
        skip();
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
        client_unit_test(commands_that_would_change_a_shared_connection_are_refused),
        client_unit_test(client_reply_off_is_refused),
        client_unit_test(the_counts_tell_what_happened),
    };
    return run_on_both_wires("commands", tests);
}
