/* Every allocation fails in turn, once and for good, through the public calls: the call says so or
   gets by, nothing leaks, and the client works afterwards. The client is polled, so that each run
   allocates alike. */
#include "support/cache_test.h"

#include <stdio.h>
#include <stdlib.h>

#define REQUESTS_MAX 3000

typedef sc_status (*scenario)(sc_client *client);

static bool is_documented(sc_status status)
{
    return status == SC_OK || status == SC_ERR_MEMORY;
}

static sc_client *open_polled(void)
{
    sc_config config = test_config(test_url());
    config.polled = true;
    return test_open(&config);
}

/* True when a failure was met, so that there may be a later one. */
static bool fail_one(const char *name, scenario run, size_t request, bool for_good)
{
    sc_client *client = open_polled();
    sc_status status;
    size_t failures;
    fault_memory_restart_counts(test.memory);
    fault_memory_fail(test.memory, request, for_good);
    status = run(client);
    failures = fault_memory_failures(test.memory);
    fault_memory_fail(test.memory, 0, false);
    if (failures ? !is_documented(status) : status != SC_OK)
        fail_msg("%s, request %zu failing %s: %s, %s", name, request,
                 for_good ? "for good" : "once", sc_status_name(status), sc_error_text());
    WAIT_UNTIL(test_call(client, NULL, NULL, "PING", (const char *)NULL) == SC_OK);
    status = run(client);
    if (status != SC_OK)
        fail_msg("%s after request %zu failed %s: %s, %s", name, request,
                 for_good ? "for good" : "once", sc_status_name(status), sc_error_text());
    assert_status(SC_OK, sc_close(client));
    if (!fault_memory_is_clean(test.memory))
        fail_msg("%s, request %zu failing %s: a leak", name, request,
                 for_good ? "for good" : "once");
    fixture_command(test.server, "FLUSHALL", (const char *)NULL);
    return failures > 0;
}

static void fail_each(const char *name, scenario run)
{
    size_t request = 1;
    while (fail_one(name, run, request, false) && request < REQUESTS_MAX)
        request++;
    assert_true(request > 1); /* it does allocate */
    for (request = 1; fail_one(name, run, request, true); request++)
        assert_true(request < REQUESTS_MAX);
}

/* --- the client's calls */

static sc_status run_open(sc_client *client)
{
    sc_config config = test_config(test_url());
    sc_client *other = NULL;
    sc_status status;
    (void)client;
    config.polled = true;
    status = sc_open(&config, &other);
    return sc_close(other) == SC_OK ? status : SC_ERR_IO;
}

static sc_status run_command(sc_client *client)
{
    sc_reply *reply = NULL;
    sc_status status = sc_command_strings(client, &reply, "ECHO", "text", (const char *)NULL);
    sc_reply_release(reply);
    return status;
}

static sc_status run_dedicated(sc_client *client)
{
    sc_call_options options;
    memset(&options, 0, sizeof options);
    options.dedicated = true;
    return test_call(client, &options, NULL, "PING", (const char *)NULL);
}

static sc_status run_pipeline(sc_client *client)
{
    sc_pipeline *pipeline = NULL;
    sc_reply *replies = NULL;
    sc_status status = sc_pipeline_open(client, &pipeline);
    if (status == SC_OK) {
        (void)sc_pipeline_add_strings(pipeline, "SET", "key", "value", (const char *)NULL);
        (void)sc_pipeline_add_strings(pipeline, "GET", "key", (const char *)NULL);
        status = sc_pipeline_run(pipeline, NULL, &replies);
    }
    sc_reply_release(replies);
    sc_pipeline_close(pipeline);
    return status;
}

static sc_status run_transaction(sc_client *client)
{
    sc_pipeline *pipeline = NULL;
    sc_reply *replies = NULL;
    sc_slice key = sc_text("key");
    sc_status status = sc_pipeline_open(client, &pipeline);
    if (status == SC_OK)
        status = sc_pipeline_watch(pipeline, &key, 1, NULL);
    if (status == SC_OK) {
        (void)sc_pipeline_add_strings(pipeline, "SET", "key", "value", (const char *)NULL);
        status = sc_pipeline_exec(pipeline, NULL, &replies);
    }
    sc_reply_release(replies);
    sc_pipeline_close(pipeline);
    return status;
}

static sc_status run_eval(sc_client *client)
{
    sc_script *script = NULL;
    sc_reply *reply = NULL;
    sc_status status = sc_script_create(&test.memory->table, "return {ARGV[1], ARGV[1]}", &script);
    sc_slice arg = sc_text("argument");
    if (status == SC_OK)
        status = sc_eval(client, script, NULL, 0, &arg, 1, NULL, &reply);
    sc_reply_release(reply);
    sc_script_free(script);
    return status;
}

static sc_status run_scan(sc_client *client)
{
    sc_scan *scan = NULL;
    sc_slice element;
    sc_status status;
    fixture_command(test.server, "MSET", "a", "1", "b", "2", "c", "3", (const char *)NULL);
    status = sc_scan_open(client, NULL, &scan);
    while (status == SC_OK)
        status = sc_scan_next(scan, &element, NULL);
    sc_scan_close(scan);
    return status == SC_END ? SC_OK : status;
}

static sc_status give(void *user, void *buffer, size_t cap, size_t *filled)
{
    (void)user;
    memset(buffer, 'x', cap);
    *filled = cap;
    return SC_OK;
}

static sc_status take(void *user, size_t total, sc_slice piece)
{
    (void)user;
    (void)total;
    (void)piece;
    return SC_OK;
}

static sc_status run_transfer(sc_client *client)
{
    sc_slice words[2];
    sc_status status;
    words[0] = sc_text("SET");
    words[1] = sc_text("large");
    status = sc_upload(client, words, 2, 300000, give, NULL, NULL, NULL);
    words[0] = sc_text("GET");
    return status == SC_OK ? sc_download(client, words, 2, take, NULL, NULL) : status;
}

static void on_message(void *user, sc_status status, const sc_message *message)
{
    (void)user;
    (void)status;
    (void)message;
}

static sc_status run_subscribe(sc_client *client)
{
    sc_subscription subscription = 0;
    sc_status status = sc_subscribe(client, sc_text("channel"), on_message, NULL, &subscription);
    if (status == SC_OK)
        status = sc_unsubscribe(client, subscription);
    return status;
}

static sc_status run_command_async(sc_client *client)
{
    outcome result;
    sc_slice words[2];
    sc_status status;
    memset(&result, 0, sizeof result);
    words[0] = sc_text("ECHO");
    words[1] = sc_text("text");
    status = sc_command_async(client, words, 2, NULL, outcome_take, &result);
    if (status != SC_OK)
        return status;
    outcome_wait(client, &result);
    return result.status;
}

/* --- the cache's */

/* Runs `use` on a cache of its own. */
static sc_status with_cache(sc_client *client, sc_status (*use)(sc_client *client, sc_cache *cache))
{
    sc_cache_config config;
    sc_cache *cache = NULL;
    sc_status status;
    memset(&config, 0, sizeof config);
    config.prefix = "prefix:";
    status = sc_cache_open(client, &config, &cache);
    if (status == SC_OK)
        status = use(client, cache);
    sc_cache_close(cache);
    return status;
}

static sc_status load(sc_cache *cache, const char *key, const sc_load_options *options,
                      sc_status end)
{
    source from;
    sc_value *value = NULL;
    sc_status status;
    memset(&from, 0, sizeof from);
    from.status = end;
    from.words = "the loader failed";
    status = sc_get_or_load(cache, sc_text(key), source_load, &from, options, &value);
    sc_value_release(value);
    return status == end ? SC_OK : status;
}

static sc_status use_load(sc_client *client, sc_cache *cache)
{
    (void)client;
    return load(cache, "key", NULL, SC_OK);
}

static sc_status use_load_odd_key(sc_client *client, sc_cache *cache)
{
    (void)client;
    return load(cache, "{}", NULL, SC_OK);
}

static sc_status use_failing_load(sc_client *client, sc_cache *cache)
{
    (void)client;
    return load(cache, "key", NULL, SC_ERR_LOADER);
}

static sc_status use_unstored_load(sc_client *client, sc_cache *cache)
{
    sc_load_options options = load_options();
    (void)client;
    options.ttl_ms = SC_TTL_NONE;
    return load(cache, "key", &options, SC_OK);
}

static sc_status use_hit(sc_client *client, sc_cache *cache)
{
    (void)client;
    fixture_command(test.server, "SET", "prefix:key", "value", (const char *)NULL);
    return load(cache, "key", NULL, SC_OK);
}

/* The lease is another's, and ends soon. */
static sc_status use_wait(sc_client *client, sc_cache *cache)
{
    sc_load_options options = load_options();
    (void)client;
    options.poll_ms = 2;
    fixture_command(test.server, "SET", "sc:lease{prefix:key}", "another's", "PX", "5",
                    (const char *)NULL);
    return load(cache, "key", &options, SC_OK);
}

static sc_status use_load_async(sc_client *client, sc_cache *cache)
{
    source from;
    arrival result;
    sc_status status;
    memset(&from, 0, sizeof from);
    memset(&result, 0, sizeof result);
    status = sc_get_or_load_async(cache, sc_text("key"), source_load, &from, NULL, arrival_take,
                                  &result);
    if (status != SC_OK)
        return status;
    arrival_wait(client, &result);
    return result.status;
}

static sc_status use_set_get_invalidate(sc_client *client, sc_cache *cache)
{
    sc_value *value = NULL;
    int64_t ttl_ms;
    sc_status status = sc_set(cache, sc_text("key"), sc_text("value"), 0);
    (void)client;
    if (status == SC_OK)
        status = sc_get(cache, sc_text("key"), &value);
    sc_value_release(value);
    if (status == SC_OK)
        status = sc_ttl(cache, sc_text("key"), &ttl_ms);
    if (status == SC_OK)
        status = sc_touch(cache, sc_text("key"), 5000);
    if (status == SC_OK)
        status = sc_invalidate(cache, sc_text("key"));
    return status;
}

static sc_status use_get_async(sc_client *client, sc_cache *cache)
{
    arrival result;
    sc_status status;
    memset(&result, 0, sizeof result);
    fixture_command(test.server, "SET", "prefix:key", "value", (const char *)NULL);
    status = sc_get_async(cache, sc_text("key"), arrival_take, &result);
    if (status != SC_OK)
        return status;
    arrival_wait(client, &result);
    return result.status;
}

#define CACHE_SCENARIO(name)                                                                       \
    static sc_status run_##name(sc_client *client)                                                 \
    {                                                                                              \
        return with_cache(client, use_##name);                                                     \
    }
CACHE_SCENARIO(load)
CACHE_SCENARIO(load_odd_key)
CACHE_SCENARIO(failing_load)
CACHE_SCENARIO(unstored_load)
CACHE_SCENARIO(hit)
CACHE_SCENARIO(wait)
CACHE_SCENARIO(load_async)
CACHE_SCENARIO(set_get_invalidate)
CACHE_SCENARIO(get_async)

/* --- wrapped functions */

static sc_status multiply(sc_load *load, const sc_arg *args, size_t arg_count, void *user)
{
    (void)args;
    (void)arg_count;
    (void)user;
    return sc_load_write_text(load, "42");
}

static sc_status run_wrapped(sc_client *client)
{
    sc_wrap_config config;
    sc_wrapped *wrapped = NULL;
    sc_value *value = NULL;
    sc_value *key = NULL;
    sc_arg args[2];
    arrival result;
    sc_status status;
    memset(&config, 0, sizeof config);
    memset(&result, 0, sizeof result);
    config.key = "multiply";
    config.function = multiply;
    args[0] = sc_arg_integer(6);
    args[1] = sc_arg_json(sc_text("{\"by\":[7]}"));
    status = sc_wrap(client, &config, &wrapped);
    if (status == SC_OK)
        status = sc_call(wrapped, args, 2, &value);
    sc_value_release(value);
    if (status == SC_OK)
        status = sc_call_json(wrapped, "[6, {\"by\": 7}]", &value);
    if (status == SC_OK)
        sc_value_release(value);
    if (status == SC_OK)
        status = sc_call_key(wrapped, args, 2, &key);
    sc_value_release(key);
    if (status == SC_OK)
        status = sc_call_invalidate(wrapped, args, 2);
    if (status == SC_OK) {
        status = sc_call_async(wrapped, args, 2, arrival_take, &result);
        if (status == SC_OK) {
            arrival_wait(client, &result);
            status = result.status;
        }
    }
    sc_wrapped_close(wrapped);
    return status;
}

/* --- locks */

static void lock_ended(void *user, sc_lock *lock, sc_status status)
{
    (void)lock;
    *(sc_status *)user = status;
}

/* One waits while the other holds. */
static sc_status hand_over(sc_client *client, sc_lock *mine, sc_lock *theirs)
{
    sc_status waited = SC_PENDING;
    sc_status status = sc_lock_try(mine);
    if (status != SC_OK)
        return status;
    status = sc_lock_acquire_async(theirs, -1, lock_ended, &waited);
    if (status != SC_OK)
        return status;
    status = sc_lock_extend(mine, 0);
    if (status == SC_OK)
        status = sc_poll(client, 5);
    if (status == SC_OK)
        status = sc_lock_release(mine);
    fixture_command(test.server, "DEL", "lock", (const char *)NULL); /* it may be there still */
    while (waited == SC_PENDING && sc_poll(client, 5) == SC_OK)
        continue;
    if (status == SC_OK && waited == SC_OK)
        waited = sc_lock_release(theirs) < 0 ? SC_ERR_MEMORY : SC_OK;
    return status == SC_OK ? waited : status;
}

static sc_status run_lock(sc_client *client)
{
    sc_lock_config config;
    sc_lock *mine = NULL;
    sc_lock *theirs = NULL;
    sc_status status;
    memset(&config, 0, sizeof config);
    config.key = sc_text("lock");
    config.poll_ms = 10;
    config.fair = true;
    fixture_command(test.server, "FLUSHALL", (const char *)NULL);
    status = sc_lock_open(client, &config, &mine);
    if (status == SC_OK)
        status = sc_lock_open(client, &config, &theirs);
    if (status == SC_OK)
        status = hand_over(client, mine, theirs);
    sc_lock_close(theirs);
    sc_lock_close(mine);
    return status;
}

#define ALLOCATION_TEST(name)                                                                      \
    static void name##_survives_every_failing_allocation(void **state)                             \
    {                                                                                              \
        (void)state;                                                                               \
        fail_each(#name, run_##name);                                                              \
    }
ALLOCATION_TEST(open)
ALLOCATION_TEST(command)
ALLOCATION_TEST(dedicated)
ALLOCATION_TEST(pipeline)
ALLOCATION_TEST(transaction)
ALLOCATION_TEST(eval)
ALLOCATION_TEST(scan)
ALLOCATION_TEST(transfer)
ALLOCATION_TEST(subscribe)
ALLOCATION_TEST(command_async)
ALLOCATION_TEST(load)
ALLOCATION_TEST(load_odd_key)
ALLOCATION_TEST(failing_load)
ALLOCATION_TEST(unstored_load)
ALLOCATION_TEST(hit)
ALLOCATION_TEST(wait)
ALLOCATION_TEST(load_async)
ALLOCATION_TEST(set_get_invalidate)
ALLOCATION_TEST(get_async)
ALLOCATION_TEST(wrapped)
ALLOCATION_TEST(lock)

int main(void)
{
    const struct CMUnitTest tests[] = {
        bare_unit_test(open_survives_every_failing_allocation),
        bare_unit_test(command_survives_every_failing_allocation),
        bare_unit_test(dedicated_survives_every_failing_allocation),
        bare_unit_test(pipeline_survives_every_failing_allocation),
        bare_unit_test(transaction_survives_every_failing_allocation),
        bare_unit_test(eval_survives_every_failing_allocation),
        bare_unit_test(scan_survives_every_failing_allocation),
        bare_unit_test(transfer_survives_every_failing_allocation),
        bare_unit_test(subscribe_survives_every_failing_allocation),
        bare_unit_test(command_async_survives_every_failing_allocation),
        bare_unit_test(load_survives_every_failing_allocation),
        bare_unit_test(load_odd_key_survives_every_failing_allocation),
        bare_unit_test(failing_load_survives_every_failing_allocation),
        bare_unit_test(unstored_load_survives_every_failing_allocation),
        bare_unit_test(hit_survives_every_failing_allocation),
        bare_unit_test(wait_survives_every_failing_allocation),
        bare_unit_test(load_async_survives_every_failing_allocation),
        bare_unit_test(set_get_invalidate_survives_every_failing_allocation),
        bare_unit_test(get_async_survives_every_failing_allocation),
        bare_unit_test(wrapped_survives_every_failing_allocation),
        bare_unit_test(lock_survives_every_failing_allocation),
    };
    return run_on_both_wires("failing allocations", tests);
}
