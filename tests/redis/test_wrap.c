/* Wrapped functions, among our own processes and with those of the node package. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "node.h"
#include "support/cache_test.h"
#include "support/processes.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- a function */

typedef struct work {
    uint32_t runs;    /* atomic */
    uint32_t is_held; /* atomic */
    sc_status status;
    const char *result;
} work;

static sc_status work_run(sc_load *load, const sc_arg *args, size_t arg_count, void *user)
{
    work *self = (work *)user;
    bool is_released;
    (void)args;
    (void)arg_count;
    __atomic_add_fetch(&self->runs, 1, __ATOMIC_ACQ_REL);
    WAIT_REACHED(is_released, !__atomic_load_n(&self->is_held, __ATOMIC_ACQUIRE));
    if (!is_released || self->status < 0)
        return sc_fail(SC_ERR_LOADER, "the work failed");
    return sc_load_write_text(load, self->result ? self->result : "{\"from\":\"C\"}");
}

static uint32_t work_runs(const work *self)
{
    return __atomic_load_n(&self->runs, __ATOMIC_ACQUIRE);
}

static void work_hold(work *self, bool is_held)
{
    __atomic_store_n(&self->is_held, is_held, __ATOMIC_RELEASE);
}

static sc_wrap_config wrap_config(work *self, bool interop)
{
    sc_wrap_config config;
    memset(&config, 0, sizeof config);
    config.key = "report";
    config.function = work_run;
    config.user = self;
    config.interop = interop;
    return config;
}

static sc_wrapped *wrap(const sc_wrap_config *config)
{
    sc_wrapped *wrapped = NULL;
    assert_status(SC_OK, sc_wrap(test.client, config, &wrapped));
    return wrapped;
}

static void expect_call(sc_wrapped *wrapped, const char *json, const char *result)
{
    sc_value *value = NULL;
    assert_status(SC_OK, sc_call_json(wrapped, json, &value));
    assert_slice_text(sc_value_bytes(value), result);
    sc_value_release(value);
}

typedef struct call_thread {
    pthread_t thread;
    sc_wrapped *wrapped;
    const char *json;
    sc_status status;
    char text[CALLER_TEXT_BYTES];
} call_thread;

static void *call_run(void *argument)
{
    call_thread *self = (call_thread *)argument;
    sc_value *value = NULL;
    self->status = sc_call_json(self->wrapped, self->json, &value);
    snprintf(self->text, sizeof self->text, "%s", value ? sc_value_bytes(value).data : "");
    sc_value_release(value);
    return NULL;
}

static void call_start(call_thread *self, sc_wrapped *wrapped, const char *json)
{
    self->wrapped = wrapped;
    self->json = json;
    assert_int_equal(pthread_create(&self->thread, NULL, call_run, self), 0);
}

static void call_expect(call_thread *self, const char *text)
{
    pthread_join(self->thread, NULL);
    assert_status(SC_OK, self->status);
    assert_string_equal(self->text, text);
}

/* --- our own */

#define FLEET_PROCESSES 4
#define FLEET_THREADS 4

typedef struct fleet_thread {
    pthread_t thread;
    processes *shared;
    sc_wrapped *wrapped;
} fleet_thread;

static sc_status fleet_work(sc_load *load, const sc_arg *args, size_t arg_count, void *user)
{
    int64_t number = 0;
    (void)arg_count;
    processes_add((processes *)user, 0, 1);
    if (sc_arg_get_integer(&args[0], &number) != SC_OK || number != 6)
        return sc_fail(SC_ERR_LOADER, "wrong arguments");
    /* Nobody may be done before all have begun. */
    if (!processes_wait_for((processes *)user, 1, FLEET_PROCESSES * FLEET_THREADS))
        return SC_ERR_LOADER;
    return sc_load_write_text(load, "result");
}

static void *fleet_thread_run(void *argument)
{
    fleet_thread *self = (fleet_thread *)argument;
    sc_value *value = NULL;
    processes_add(self->shared, 1, 1);
    if (sc_call_json(self->wrapped, "[6, {\"a\": [1, 2]}]", &value) == SC_OK &&
        strcmp(sc_value_bytes(value).data, "result") == 0)
        processes_add(self->shared, 2, 1);
    sc_value_release(value);
    return NULL;
}

static int fleet_process(processes *shared, size_t index, void *user)
{
    fleet_thread threads[FLEET_THREADS];
    sc_config config = test_config(test_url());
    sc_wrap_config wrapping;
    sc_client *client = NULL;
    sc_wrapped *wrapped = NULL;
    size_t i;
    (void)index;
    (void)user;
    memset(&wrapping, 0, sizeof wrapping);
    wrapping.key = "multiply";
    wrapping.function = fleet_work;
    wrapping.user = shared;
    if (sc_open(&config, &client) != SC_OK || sc_wrap(client, &wrapping, &wrapped) != SC_OK)
        return 1;
    for (i = 0; i < FLEET_THREADS; i++) {
        threads[i].shared = shared;
        threads[i].wrapped = wrapped;
        if (pthread_create(&threads[i].thread, NULL, fleet_thread_run, &threads[i]) != 0)
            return 1;
    }
    for (i = 0; i < FLEET_THREADS; i++)
        pthread_join(threads[i].thread, NULL);
    sc_wrapped_close(wrapped);
    return sc_close(client) == SC_OK && fault_memory_is_clean(test.memory) ? 0 : 1;
}

static void of_4_processes_with_4_threads_one_computes(void **state)
{
    processes *shared = processes_start(FLEET_PROCESSES, fleet_process, NULL);
    (void)state;
    assert_true(processes_join(shared));
    assert_int_equal(processes_read(shared, 0), 1);
    assert_int_equal(processes_read(shared, 2), FLEET_PROCESSES * FLEET_THREADS);
    processes_free(shared);
}

static void different_arguments_have_different_results(void **state)
{
    static const char *const lists[] = {"[]",     "[1]",        "[\"1\"]", "[1,2]", "[[1,2]]",
                                        "[true]", "[\"true\"]", "[null]",  "[{}]",  "[\"\"]"};
    work self;
    sc_wrap_config config = wrap_config(&self, false);
    sc_wrapped *wrapped = wrap(&config);
    uint32_t i;
    (void)state;
    memset(&self, 0, sizeof self);
    for (i = 0; i < COUNT_OF(lists); i++) {
        expect_call(wrapped, lists[i], "{\"from\":\"C\"}");
        expect_call(wrapped, lists[i], "{\"from\":\"C\"}");
        assert_int_equal(work_runs(&self), i + 1);
    }
    sc_wrapped_close(wrapped);
}

static void the_same_arguments_given_in_any_way_are_one_key(void **state)
{
    work self;
    sc_wrap_config config = wrap_config(&self, false);
    sc_wrapped *wrapped = wrap(&config);
    sc_arg args[2];
    sc_value *value = NULL;
    arrival result;
    (void)state;
    memset(&self, 0, sizeof self);
    memset(&result, 0, sizeof result);
    args[0] = sc_arg_text("foo");
    args[1] = sc_arg_json(sc_text("{\"b\":1,\"a\":[true]}"));
    assert_status(SC_OK, sc_call(wrapped, args, 2, &value));
    sc_value_release(value);
    expect_call(wrapped, " [ \"foo\" , {\"a\": [true], \"b\": 1} ]", "{\"from\":\"C\"}");
    assert_status(SC_OK, sc_call_async(wrapped, args, 2, arrival_take, &result));
    arrival_wait(test.client, &result);
    assert_status(SC_OK, result.status);
    assert_int_equal(work_runs(&self), 1);
    assert_status(SC_OK, sc_call_invalidate(wrapped, args, 2));
    assert_status(SC_OK, sc_call(wrapped, args, 2, &value));
    sc_value_release(value);
    assert_int_equal(work_runs(&self), 2);
    sc_wrapped_close(wrapped);
}

static void a_result_stands_under_the_key_that_is_told(void **state)
{
    work self;
    sc_wrap_config config = wrap_config(&self, false);
    sc_wrapped *wrapped;
    sc_arg arg = sc_arg_integer(7);
    sc_value *key = NULL;
    (void)state;
    memset(&self, 0, sizeof self);
    config.key_prefix = "app";
    config.key_separator = "/";
    wrapped = wrap(&config);
    expect_call(wrapped, "[7]", "{\"from\":\"C\"}");
    assert_status(SC_OK, sc_call_key(wrapped, &arg, 1, &key));
    assert_memory_equal(sc_value_bytes(key).data, "app/", 4);
    server_expect(sc_value_bytes(key).data, "{\"from\":\"C\"}");
    server_expect_keys(1);
    sc_value_release(key);
    sc_wrapped_close(wrapped);
}

static void without_a_ttl_nothing_is_stored(void **state)
{
    work self;
    sc_wrap_config config = wrap_config(&self, false);
    sc_wrapped *wrapped;
    sc_arg arg = sc_arg_integer(7);
    sc_value *key = NULL;
    (void)state;
    memset(&self, 0, sizeof self);
    config.ttl_ms = SC_TTL_NONE;
    wrapped = wrap(&config);
    expect_call(wrapped, "[7]", "{\"from\":\"C\"}");
    assert_status(SC_OK, sc_call_key(wrapped, &arg, 1, &key));
    server_expect(sc_value_bytes(key).data, NULL);
    expect_call(wrapped, "[7]", "{\"from\":\"C\"}");
    assert_int_equal(work_runs(&self), 2);
    sc_value_release(key);
    sc_wrapped_close(wrapped);
}

static void errors_and_wrong_arguments_come_with_words(void **state)
{
    work self;
    sc_wrap_config config = wrap_config(&self, false);
    sc_wrapped *wrapped = wrap(&config);
    sc_wrapped *none = NULL;
    sc_arg args[2];
    sc_value *value = NULL;
    (void)state;
    memset(&self, 0, sizeof self);
    self.status = SC_ERR_LOADER;
    assert_status(SC_ERR_LOADER, sc_call_json(wrapped, "[1]", &value));
    assert_error_text_has("the work failed");
    args[0] = sc_arg_integer(1);
    args[1] = sc_arg_json(sc_text("{\"a\":"));
    assert_status(SC_ERR_ARGUMENT, sc_call(wrapped, args, 2, &value));
    assert_error_text_has("argument");
    assert_null(value);
    assert_status(SC_ERR_ARGUMENT, sc_call_json(wrapped, "{}", &value));
    assert_status(SC_ERR_ARGUMENT, sc_call_json(wrapped, "[1,]", &value));
    assert_int_equal(work_runs(&self), 1);
    config.key = NULL;
    assert_status(SC_ERR_ARGUMENT, sc_wrap(test.client, &config, &none));
    assert_error_text_has("key");
    config = wrap_config(&self, false);
    config.function = NULL;
    assert_status(SC_ERR_ARGUMENT, sc_wrap(test.client, &config, &none));
    assert_error_text_has("function");
    config = wrap_config(&self, false);
    config.lock_timeout_ms = -5;
    assert_status(SC_ERR_ARGUMENT, sc_wrap(test.client, &config, &none));
    sc_wrapped_close(NULL);
    sc_wrapped_close(wrapped);
}

/* --- with node */

#define CALL_NODE "{\"op\":\"call\",\"id\":1,\"name\":\"report\",\"args\":[\"foo\",1],"

static void the_names_are_those_of_the_package(void **state)
{
    node program;
    work self;
    sc_wrap_config config = wrap_config(&self, true);
    sc_wrapped *wrapped;
    sc_arg args[2];
    sc_value *key = NULL;
    (void)state;
    NEEDS_NODE();
    wrapped = wrap(&config);
    node_start(&program, "tests/interop/promise.js", NULL);
    args[0] = sc_arg_text("foo");
    args[1] = sc_arg_integer(1);
    assert_status(SC_OK, sc_call_key(wrapped, args, 2, &key));
    node_ask(&program, "{\"op\":\"keys\",\"id\":1,\"name\":\"report\",\"args\":[\"foo\",1]}");
    assert_non_null(strstr(program.line, sc_value_bytes(key).data));
    sc_value_release(key);
    node_end(&program);
    sc_wrapped_close(wrapped);
}

static void c_waits_while_node_works(void **state)
{
    static const char *const results[] = {"{\"rows\":3}", "0", "null", "false", "\"\""};
    size_t i;
    (void)state;
    NEEDS_NODE();
    for (i = 0; i < COUNT_OF(results); i++) {
        node program;
        char line[256];
        work self;
        sc_wrap_config config = wrap_config(&self, true);
        sc_wrapped *wrapped = wrap(&config);
        call_thread waiting;
        memset(&self, 0, sizeof self);
        node_start(&program, "tests/interop/promise.js", NULL);
        snprintf(line, sizeof line, CALL_NODE "\"work_ms\":300,\"result\":%s}", results[i]);
        node_tell(&program, line);
        WAIT_UNTIL(strcmp(fixture_command(test.server, "DBSIZE", (const char *)NULL), ":1\r\n") ==
                   0);
        call_start(&waiting, wrapped, "[\"foo\",1]");
        call_expect(&waiting, results[i]);
        node_read(&program);
        assert_non_null(strstr(program.line, "\"worked\":true"));
        expect_call(wrapped, "[\"foo\",1]", results[i]); /* falsy ones too are found */
        assert_int_equal(work_runs(&self), 0);
        node_end(&program);
        sc_wrapped_close(wrapped);
        fixture_command(test.server, "FLUSHALL", (const char *)NULL);
    }
}

static void node_waits_while_c_works(void **state)
{
    node program;
    work self;
    sc_wrap_config config = wrap_config(&self, true);
    sc_wrapped *wrapped;
    call_thread working;
    (void)state;
    NEEDS_NODE();
    memset(&self, 0, sizeof self);
    wrapped = wrap(&config);
    work_hold(&self, true);
    node_start(&program, "tests/interop/promise.js", NULL);
    call_start(&working, wrapped, "[\"foo\",1]");
    WAIT_UNTIL(work_runs(&self) == 1);
    node_tell(&program, CALL_NODE "\"result\":\"node's own\"}");
    WAIT_UNTIL(strstr(fixture_command(test.server, "PUBSUB", "CHANNELS", "distributed-promise:*",
                                      (const char *)NULL),
                      "notif:report") != NULL);
    work_hold(&self, false);
    call_expect(&working, "{\"from\":\"C\"}");
    assert_string_equal(node_read(&program),
                        "{\"id\":1,\"worked\":false,\"result\":{\"from\":\"C\"}}");
    assert_string_equal(node_ask(&program, CALL_NODE "\"result\":1}"),
                        "{\"id\":1,\"worked\":false,\"result\":{\"from\":\"C\"}}");
    node_end(&program);
    sc_wrapped_close(wrapped);
}

static void c_takes_over_when_nodes_lock_ends(void **state)
{
    static const bool kills[] = {false, true};
    size_t i;
    (void)state;
    NEEDS_NODE();
    for (i = 0; i < COUNT_OF(kills); i++) {
        node program;
        work self;
        sc_wrap_config config = wrap_config(&self, true);
        sc_wrapped *wrapped = wrap(&config);
        memset(&self, 0, sizeof self);
        node_start(&program, "tests/interop/promise.js", "{\"lockTimeout\":300}");
        node_tell(&program, CALL_NODE "\"throws\":true,\"result\":1}");
        WAIT_UNTIL(strcmp(fixture_command(test.server, "DBSIZE", (const char *)NULL), ":1\r\n") ==
                   0);
        if (kills[i])
            node_kill(&program);
        expect_call(wrapped, "[\"foo\",1]", "{\"from\":\"C\"}");
        assert_int_equal(work_runs(&self), 1);
        if (!kills[i])
            node_end(&program);
        sc_wrapped_close(wrapped);
        fixture_command(test.server, "FLUSHALL", (const char *)NULL);
    }
}

typedef struct heard {
    uint32_t messages; /* atomic */
} heard;

static void hear(void *user, sc_status status, const sc_message *message)
{
    (void)message;
    if (status == SC_OK)
        __atomic_add_fetch(&((heard *)user)->messages, 1, __ATOMIC_ACQ_REL);
}

static void our_errors_and_what_is_no_json_never_reach_nodes_channel(void **state)
{
    work self;
    heard channel;
    sc_wrap_config config = wrap_config(&self, true);
    sc_wrapped *wrapped = wrap(&config);
    sc_subscription subscription = 0;
    sc_value *value = NULL;
    (void)state;
    memset(&self, 0, sizeof self);
    memset(&channel, 0, sizeof channel);
    assert_status(SC_OK, sc_psubscribe(test.client, sc_text("distributed-promise:notif:*"), hear,
                                       &channel, &subscription));
    self.status = SC_ERR_LOADER;
    assert_status(SC_ERR_LOADER, sc_call_json(wrapped, "[1]", &value));
    self.status = SC_OK;
    self.result = "no json";
    assert_true(sc_call_json(wrapped, "[1]", &value) < 0);
    assert_error_text_has("JSON");
    assert_int_equal(channel.messages, 0);
    self.result = "\"json\"";
    expect_call(wrapped, "[1]", "\"json\"");
    WAIT_UNTIL(__atomic_load_n(&channel.messages, __ATOMIC_ACQUIRE) > 0);
    assert_int_equal(channel.messages, 1); /* in order: nothing came before it */
    assert_status(SC_OK, sc_unsubscribe(test.client, subscription));
    sc_wrapped_close(wrapped);
}

static void our_falsy_result_is_shared_and_not_stored(void **state)
{
    work self;
    sc_wrap_config config = wrap_config(&self, true);
    sc_wrapped *wrapped = wrap(&config);
    sc_arg arg = sc_arg_integer(1);
    sc_value *key = NULL;
    (void)state;
    memset(&self, 0, sizeof self);
    self.result = "null";
    expect_call(wrapped, "[1]", "null");
    assert_status(SC_OK, sc_call_key(wrapped, &arg, 1, &key));
    server_expect(sc_value_bytes(key).data, NULL);
    sc_value_release(key);
    sc_wrapped_close(wrapped);
}

static void node_clients_read_what_we_store_and_we_what_they_store(void **state)
{
    /* The key is "k\0\xff" and the value "\0\x01\xfe\r\n", in base64. */
    static const char *const clients[] = {"redis", "ioredis"};
    static const char value_bytes[] = "\0\x01\xfe\r\n";
    const sc_slice key = sc_bytes("k\0\xff", 3);
    const sc_slice bytes = sc_bytes(value_bytes, sizeof value_bytes - 1);
    sc_cache *cache;
    node program;
    size_t i;
    (void)state;
    NEEDS_NODE();
    cache = cache_open(test.client, NULL);
    node_start(&program, "tests/interop/client.js", NULL);
    for (i = 0; i < COUNT_OF(clients); i++) {
        char line[256];
        sc_value *value = NULL;
        int64_t ttl_ms = 0;
        long long ttl = 0;
        assert_status(SC_OK, sc_set(cache, key, bytes, 60000));
        snprintf(line, sizeof line, "{\"op\":\"get\",\"client\":\"%s\",\"key\":\"awD/\"}",
                 clients[i]);
        assert_string_equal(node_ask(&program, line), "{\"ok\":true,\"value\":\"AAH+DQo=\"}");
        snprintf(line, sizeof line, "{\"op\":\"ttl\",\"client\":\"%s\",\"key\":\"awD/\"}",
                 clients[i]);
        node_ask(&program, line);
        assert_int_equal(sscanf(program.line, "{\"ok\":true,\"ttl\":%lld}", &ttl), 1);
        assert_in_range(ttl, 1, 60000);
        assert_status(SC_OK, sc_delete(cache, key));
        snprintf(line, sizeof line,
                 "{\"op\":\"set\",\"client\":\"%s\",\"key\":\"awD/\",\"value\":\"AAH+DQo=\","
                 "\"px\":50000}",
                 clients[i]);
        assert_string_equal(node_ask(&program, line), "{\"ok\":true}");
        assert_status(SC_OK, sc_get(cache, key, &value));
        assert_int_equal(sc_value_bytes(value).len, bytes.len);
        assert_memory_equal(sc_value_bytes(value).data, bytes.data, bytes.len);
        sc_value_release(value);
        assert_status(SC_OK, sc_ttl(cache, key, &ttl_ms));
        assert_in_range(ttl_ms, 1, 50000);
    }
    node_end(&program);
    sc_cache_close(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        bare_unit_test(of_4_processes_with_4_threads_one_computes),
        client_unit_test(different_arguments_have_different_results),
        client_unit_test(the_same_arguments_given_in_any_way_are_one_key),
        client_unit_test(a_result_stands_under_the_key_that_is_told),
        client_unit_test(without_a_ttl_nothing_is_stored),
        client_unit_test(errors_and_wrong_arguments_come_with_words),
        client_unit_test(the_names_are_those_of_the_package),
        client_unit_test(c_waits_while_node_works),
        client_unit_test(node_waits_while_c_works),
        client_unit_test(c_takes_over_when_nodes_lock_ends),
        client_unit_test(our_errors_and_what_is_no_json_never_reach_nodes_channel),
        client_unit_test(our_falsy_result_is_shared_and_not_stored),
        client_unit_test(node_clients_read_what_we_store_and_we_what_they_store),
    };
    signal(SIGPIPE, SIG_IGN); /* a node program may be gone */
    return run_on_both_wires("wrapped functions", tests);
}
