/* Clients whose server is in the same process. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "folder.h"
#include "net_test.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define LARGE ((size_t)3 * 1024 * 1024)
#define TEXT_BYTES 256

static sc_config config;

static int begin(void **state)
{
    memset(&config, 0, sizeof(config));
    config.url = "embedded:";
    config.memory = &memory.table;
    return set_up(state);
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, tear_down)

#define must(call)                                                                                 \
    do {                                                                                           \
        sc_status must_status_ = (call);                                                           \
        if (must_status_ != SC_OK)                                                                 \
            fail_msg("%s gave %s: %s", #call, sc_status_name(must_status_), sc_error_text());      \
    } while (0)

static sc_client *open_client(void)
{
    sc_client *client = NULL;
    must(sc_open(&config, &client));
    return client;
}

/* Opening fails, with words that have `part`. */
static void refused(const char *url, sc_status expected, const char *part)
{
    sc_client *client = (sc_client *)&config;
    config.url = url;
    sc_status status = sc_open(&config, &client);
    if (status != expected || !strstr(sc_error_text(), part))
        fail_msg("%s: %s, \"%s\"", url, sc_status_name(status), sc_error_text());
    assert_null(client);
    assert_int_equal(fault_memory_live_blocks(&memory), 0);
}

#define run(client, ...) must(sc_command_strings(client, NULL, __VA_ARGS__, (const char *)NULL))

static void expect_text(sc_client *client, const char *key, const char *expected)
{
    sc_reply *reply = NULL;
    sc_slice bytes;
    must(sc_command_strings(client, &reply, "GET", key, (const char *)NULL));
    must(sc_item_bytes(sc_reply_item(reply), &bytes));
    assert_int_equal(bytes.len, strlen(expected));
    assert_memory_equal(bytes.data, expected, bytes.len);
    sc_reply_release(reply);
}

static int64_t integer_of(sc_client *client, const char *command, const char *key)
{
    sc_reply *reply = NULL;
    int64_t number = -1;
    must(sc_command_strings(client, &reply, command, key, (const char *)NULL));
    must(sc_item_integer(sc_reply_item(reply), &number));
    sc_reply_release(reply);
    return number;
}

/* --- Alone */

static void a_command_is_answered_without_a_system_call_on_a_socket(void **state)
{
    size_t before = endpoint_open_descriptors();
    sc_client *client = open_client();
    (void)state;
    run(client, "SET", "key", "value");
    expect_text(client, "key", "value");
    assert_true(endpoint_open_descriptors() <= before + 1); /* the poller's own */
    sc_close(client);
}

static void each_client_has_a_server_of_its_own(void **state)
{
    sc_client *one = open_client();
    sc_client *two = open_client();
    (void)state;
    run(one, "SET", "key", "1");
    assert_int_equal(integer_of(two, "EXISTS", "key"), 0);
    sc_close(one);
    sc_close(two);
}

static void errors_have_the_servers_words(void **state)
{
    sc_client *client = open_client();
    (void)state;
    run(client, "SET", "key", "text");
    assert_int_equal(sc_command_strings(client, NULL, "INCR", "key", (const char *)NULL),
                     SC_ERR_REPLY);
    assert_string_equal(sc_error_text(), "ERR value is not an integer or out of range");
    assert_int_equal(sc_command_strings(client, NULL, "NONSENSE", (const char *)NULL),
                     SC_ERR_REPLY);
    run(client, "PING");
    sc_close(client);
}

static void options_of_the_url_are_the_servers(void **state)
{
    sc_client *client;
    (void)state;
    config.url = "embedded:?databases=2&db=1&name=me&maxmemory=1mb&policy=noeviction";
    client = open_client();
    run(client, "SET", "key", "value");
    char *value = (char *)calloc(1, LARGE);
    sc_slice words[3] = {sc_text("SET"), sc_text("large"), sc_bytes(value, LARGE)};
    must(sc_command(client, words, 3, NULL, NULL)); /* memory is full only now */
    assert_int_equal(sc_command_strings(client, NULL, "SET", "a", "b", (const char *)NULL),
                     SC_ERR_REPLY);
    assert_non_null(strstr(sc_error_text(), "maxmemory"));
    free(value);
    sc_close(client);
}

static void wrong_options_are_refused_with_words(void **state)
{
    static sc_transport transport;
    (void)state;
    refused("embedded:?maxmemory=much", SC_ERR_URL, "maxmemory=much, expected a size");
    refused("embedded:?policy=best", SC_ERR_URL, "policy=best, expected one of");
    refused("embedded:?databases=0", SC_ERR_URL, "databases=0, expected a number");
    refused("embedded:?sync=always", SC_ERR_URL, "there is no log without one");
    refused("embedded:?databases=2&db=2", SC_ERR_CONNECT, "out of range");
    config.transport = &transport;
    refused("embedded:", SC_ERR_ARGUMENT, "sc_config.transport");
}

static void a_pipeline_and_a_transaction_are_answered(void **state)
{
    sc_client *client = open_client();
    sc_pipeline *pipeline;
    sc_reply *replies = NULL;
    (void)state;
    must(sc_pipeline_open(client, &pipeline));
    for (int i = 0; i < 1000; i++)
        must(sc_pipeline_add_strings(pipeline, "INCR", "n", (const char *)NULL));
    must(sc_pipeline_run(pipeline, NULL, &replies));
    assert_int_equal(sc_reply_count(replies), 1000);
    sc_reply_release(replies);
    sc_slice key = sc_text("n");
    must(sc_pipeline_watch(pipeline, &key, 1, NULL));
    run(client, "INCR", "n");
    must(sc_pipeline_add_strings(pipeline, "DEL", "n", (const char *)NULL));
    assert_int_equal(sc_pipeline_exec(pipeline, NULL, NULL), SC_CONFLICT);
    must(sc_pipeline_add_strings(pipeline, "INCR", "n", (const char *)NULL));
    must(sc_pipeline_exec(pipeline, NULL, &replies));
    sc_reply_release(replies);
    expect_text(client, "n", "1002");
    sc_pipeline_close(pipeline);
    sc_close(client);
}

typedef struct large {
    size_t at;
    bool is_right;
} large;

static char large_byte(size_t at)
{
    return (char)(at * 7 + at / 1000);
}

static sc_status large_source(void *user, void *buffer, size_t cap, size_t *filled)
{
    large *self = (large *)user;
    for (size_t i = 0; i < cap; i++)
        ((char *)buffer)[i] = large_byte(self->at++);
    *filled = cap;
    return SC_OK;
}

static sc_status large_sink(void *user, size_t total, sc_slice piece)
{
    large *self = (large *)user;
    self->is_right &= total == LARGE;
    for (size_t i = 0; i < piece.len; i++)
        self->is_right &= piece.data[i] == large_byte(self->at++);
    return SC_OK;
}

static void large_values_go_in_and_out(void **state)
{
    sc_client *client = open_client();
    large moved = {0, true};
    sc_slice words[2] = {sc_text("SET"), sc_text("large")};
    sc_reply *reply = NULL;
    sc_slice bytes;
    (void)state;
    must(sc_upload(client, words, 2, LARGE, large_source, &moved, NULL, NULL));
    assert_int_equal(moved.at, LARGE);
    words[0] = sc_text("GET");
    moved.at = 0;
    must(sc_download(client, words, 2, large_sink, &moved, NULL));
    assert_int_equal(moved.at, LARGE);
    assert_true(moved.is_right);
    must(sc_command(client, words, 2, NULL, &reply));
    must(sc_item_bytes(sc_reply_item(reply), &bytes));
    assert_int_equal(bytes.len, LARGE);
    for (size_t i = 0; i < LARGE; i++)
        moved.is_right &= bytes.data[i] == large_byte(i);
    assert_true(moved.is_right);
    sc_reply_release(reply);
    sc_close(client);
}

static void what_waits_has_a_deadline(void **state)
{
    sc_client *client = open_client();
    sc_call_options options;
    sc_slice words[3] = {sc_text("BLPOP"), sc_text("list"), sc_text("0")};
    sc_reply *reply = NULL;
    (void)state;
    memset(&options, 0, sizeof(options));
    options.dedicated = true;
    options.timeout_ms = 30;
    assert_int_equal(sc_command(client, words, 3, &options, NULL), SC_ERR_TIMEOUT);
    words[2] = sc_text("0.02"); /* the server's own */
    options.timeout_ms = WAIT_WATCHDOG_MS;
    must(sc_command(client, words, 3, &options, &reply));
    assert_int_equal(sc_item_kind(sc_reply_item(reply)), SC_NIL);
    sc_reply_release(reply);
    sc_close(client);
}

static void time_goes_on_while_nobody_waits(void **state)
{
    sc_client *client = open_client();
    sc_server *server = client->embedded->server;
    size_t keys = 1;
    int64_t end_ms = wait_now_ms() + WAIT_WATCHDOG_MS;
    (void)state;
    run(client, "SET", "short", "1", "PX", "20");
    while (keys > 0) { /* commands that do not touch it */
        sc_server_info info;
        run(client, "EXISTS", "other");
        sc_server_info_get(server, &info);
        keys = info.keys;
        assert_true(wait_now_ms() < end_ms);
    }
    sc_close(client);
}

typedef struct outcome {
    uint32_t calls;
    sc_status status;
    char text[TEXT_BYTES];
} outcome;

static void on_reply(void *user, sc_status status, sc_reply *reply)
{
    outcome *self = (outcome *)user;
    sc_slice bytes = sc_item_slice(sc_reply_item(reply));
    self->status = status;
    snprintf(self->text, sizeof(self->text), "%.*s", (int)bytes.len, bytes.data);
    __atomic_add_fetch(&self->calls, 1, __ATOMIC_RELEASE);
}

static void on_message(void *user, sc_status status, const sc_message *message)
{
    outcome *self = (outcome *)user;
    if (status != SC_OK)
        return;
    snprintf(self->text, sizeof(self->text), "%.*s", (int)message->payload.len,
             message->payload.data);
    __atomic_add_fetch(&self->calls, 1, __ATOMIC_RELEASE);
}

static bool is_in(const outcome *self, uint32_t calls)
{
    return __atomic_load_n(&self->calls, __ATOMIC_ACQUIRE) >= calls;
}

/* Drive until it is in. */
static void poll_until(sc_client *client, const outcome *self, uint32_t calls)
{
    int64_t end_ms = wait_now_ms() + WAIT_WATCHDOG_MS;
    while (!is_in(self, calls)) {
        must(sc_poll(client, 10));
        assert_true(wait_now_ms() < end_ms);
    }
}

static void a_program_that_polls_gets_its_answers(void **state)
{
    sc_client *client;
    outcome answer, heard;
    sc_slice words[3] = {sc_text("SET"), sc_text("k"), sc_text("v")};
    sc_subscription subscription;
    (void)state;
    memset(&answer, 0, sizeof(answer));
    memset(&heard, 0, sizeof(heard));
    config.polled = true;
    client = open_client();
    must(sc_command_async(client, words, 3, NULL, on_reply, &answer));
    poll_until(client, &answer, 1);
    assert_int_equal(answer.status, SC_OK);
    must(sc_subscribe(client, sc_text("news"), on_message, &heard, &subscription));
    run(client, "PUBLISH", "news", "one");
    poll_until(client, &heard, 1);
    assert_string_equal(heard.text, "one");
    run(client, "CONFIG", "SET", "notify-keyspace-events", "Ex");
    must(
        sc_subscribe(client, sc_text("__keyevent@0__:expired"), on_message, &heard, &subscription));
    run(client, "SET", "gone", "1", "PX", "20"); /* while the program waits and does nothing */
    poll_until(client, &heard, 2);
    assert_string_equal(heard.text, "gone");
    sc_close(client);
}

static sc_status make(sc_load *load, void *user)
{
    ++*(int *)user;
    return sc_load_write_text(load, "made");
}

static void a_value_is_loaded_once_and_kept(void **state)
{
    sc_client *client = open_client();
    sc_cache *cache;
    sc_value *value = NULL;
    int loads = 0;
    (void)state;
    must(sc_cache_open(client, NULL, &cache));
    for (int i = 0; i < 3; i++) {
        must(sc_get_or_load(cache, sc_text("key"), make, &loads, NULL, &value));
        assert_string_equal(sc_value_bytes(value).data, "made");
        sc_value_release(value);
    }
    assert_int_equal(loads, 1);
    must(sc_invalidate(cache, sc_text("key")));
    must(sc_get_or_load(cache, sc_text("key"), make, &loads, NULL, &value));
    sc_value_release(value);
    assert_int_equal(loads, 2);
    sc_cache_close(cache);
    sc_close(client);
}

/* --- A server of the program's */

static void clients_share_the_programs_server(void **state)
{
    sc_server_config server;
    sc_client *one, *two;
    (void)state;
    memset(&server, 0, sizeof(server));
    server.memory = &memory.table;
    must(sc_server_open(&server, &config.server));
    config.url = NULL;
    one = open_client();
    config.url = "redis://nowhere.invalid:1/3?name=two"; /* its host is not used */
    two = open_client();
    run(one, "SET", "key", "1");
    run(two, "SET", "key", "2");
    expect_text(one, "key", "1");
    expect_text(two, "key", "2");
    sc_close(one);
    sc_close(two);
    sc_server_close(config.server);
}

/* A session that the server has ended is made anew. */
static void a_client_that_was_cut_off_comes_back(void **state)
{
    sc_client *client = open_client();
    sc_server *server = client->embedded->server;
    (void)state;
    run(client, "SET", "key", "value");
    sci_mutex_lock(&server->lock);
    sci_session_end(SCI_CONTAINER(server->sessions.next, sci_session, link));
    sci_mutex_unlock(&server->lock);
    (void)sc_command_strings(client, NULL, "PING", (const char *)NULL); /* may notice it */
    expect_text(client, "key", "value");
    sc_close(client);
}

static void opening_survives_every_lack_of_memory(void **state)
{
    size_t failures = 0;
    (void)state;
    for (size_t request = 1;; request++) {
        sc_client *client = NULL;
        fault_memory_fail(&memory, request, false);
        sc_status status = sc_open(&config, &client);
        fault_memory_fail(&memory, 0, false);
        if (status == SC_OK) {
            sc_close(client);
            break;
        }
        assert_null(client);
        assert_int_equal(fault_memory_live_blocks(&memory), 0);
        failures++;
    }
    assert_true(failures > 8);
}

/* --- Forks */

static void in_child(bool (*check)(sc_client *client), sc_client *client)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(check(client) ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static bool child_has_its_own_copy(sc_client *client)
{
    bool is_right = sc_command_strings(client, NULL, "INCR", "n", (const char *)NULL) == SC_OK;
    sc_reply *reply = NULL;
    sc_slice bytes = sc_bytes(NULL, 0);
    is_right &= sc_command_strings(client, &reply, "GET", "n", (const char *)NULL) == SC_OK;
    is_right &= sc_item_bytes(sc_reply_item(reply), &bytes) == SC_OK;
    is_right &= bytes.len == 1 && bytes.data[0] == '2';
    sc_reply_release(reply);
    return sc_close(client) == SC_OK && is_right;
}

static void a_forked_child_goes_on_with_a_copy(void **state)
{
    sc_client *client = open_client();
    (void)state;
    run(client, "INCR", "n");
    in_child(child_has_its_own_copy, client);
    in_child(child_has_its_own_copy, client);
    expect_text(client, "n", "1");
    sc_close(client);
}

#ifndef SMARTCACHE_NO_THREADS

/* --- Threads */

#define THREADS 8
#define ROUNDS 300

typedef struct worker {
    pthread_t thread;
    sc_client *client;
    bool *stops;
    size_t index;
    bool is_right;
} worker;

static void *count_up(void *user)
{
    worker *self = (worker *)user;
    char own[32];
    self->is_right = true;
    snprintf(own, sizeof(own), "own%zu", self->index);
    for (int64_t i = 1; i <= ROUNDS; i++) {
        sc_reply *reply = NULL;
        int64_t number = 0;
        self->is_right &=
            sc_command_strings(self->client, NULL, "INCR", "all", (const char *)NULL) == SC_OK;
        self->is_right &=
            sc_command_strings(self->client, &reply, "INCR", own, (const char *)NULL) == SC_OK;
        self->is_right &= sc_item_integer(sc_reply_item(reply), &number) == SC_OK && number == i;
        sc_reply_release(reply);
    }
    return NULL;
}

static void start_all(worker *workers, size_t count, sc_client *client, void *(*routine)(void *))
{
    for (size_t i = 0; i < count; i++) {
        workers[i].client = client;
        workers[i].index = i;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, routine, &workers[i]), 0);
    }
}

static void threads_share_a_client(void **state)
{
    worker workers[THREADS];
    char expected[32];
    sc_client *client = open_client();
    (void)state;
    start_all(workers, THREADS, client, count_up);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_true(workers[i].is_right);
    }
    snprintf(expected, sizeof(expected), "%d", THREADS * ROUNDS);
    expect_text(client, "all", expected);
    sc_close(client);
}

static void *pop_one(void *user)
{
    worker *self = (worker *)user;
    sc_call_options options;
    sc_reply *reply = NULL;
    sc_slice words[3] = {sc_text("BLPOP"), sc_text("list"), sc_text("0")};
    memset(&options, 0, sizeof(options));
    options.dedicated = true;
    options.timeout_ms = WAIT_WATCHDOG_MS;
    self->is_right = sc_command(self->client, words, 3, &options, &reply) == SC_OK &&
                     sc_item_count(sc_reply_item(reply)) == 2;
    sc_reply_release(reply);
    return NULL;
}

static void threads_wait_for_each_other(void **state)
{
    worker workers[THREADS];
    sc_client *client = open_client();
    (void)state;
    start_all(workers, THREADS, client, pop_one);
    for (size_t i = 0; i < THREADS; i++)
        run(client, "RPUSH", "list", "one");
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_true(workers[i].is_right);
    }
    sc_close(client);
}

/* The client's thread waits, and nothing wakes it but the server. */
static void messages_reach_the_clients_thread(void **state)
{
    sc_client *client = open_client();
    outcome heard;
    sc_subscription subscription;
    (void)state;
    memset(&heard, 0, sizeof(heard));
    run(client, "CONFIG", "SET", "notify-keyspace-events", "Ex");
    must(sc_subscribe(client, sc_text("news"), on_message, &heard, &subscription));
    must(
        sc_subscribe(client, sc_text("__keyevent@0__:expired"), on_message, &heard, &subscription));
    for (uint32_t i = 1; i <= 20; i++) {
        run(client, "PUBLISH", "news", "again");
        WAIT_UNTIL(is_in(&heard, i));
    }
    run(client, "SET", "gone", "1", "PX", "20");
    WAIT_UNTIL(is_in(&heard, 21));
    assert_string_equal(heard.text, "gone");
    sc_close(client);
}

typedef struct loading {
    pthread_t thread;
    sc_cache *cache;
    int *loads;
    bool is_right;
} loading;

static sc_status make_slowly(sc_load *load, void *user)
{
    __atomic_add_fetch((int *)user, 1, __ATOMIC_RELAXED);
    usleep(20000);
    return sc_load_write_text(load, "slow");
}

static void *load_slowly(void *user)
{
    loading *self = (loading *)user;
    sc_value *value = NULL;
    self->is_right = sc_get_or_load(self->cache, sc_text("slow"), make_slowly, self->loads, NULL,
                                    &value) == SC_OK;
    sc_value_release(value);
    return NULL;
}

/* Two clients of one server are as two processes: who does not load waits for a message. */
static void a_load_is_shared_between_clients(void **state)
{
    loading callers[4];
    sc_client *clients[2];
    sc_cache *caches[2];
    sc_server_config server;
    int loads = 0;
    (void)state;
    memset(&server, 0, sizeof(server));
    server.memory = &memory.table;
    must(sc_server_open(&server, &config.server));
    for (size_t i = 0; i < 2; i++) {
        clients[i] = open_client();
        must(sc_cache_open(clients[i], NULL, &caches[i]));
    }
    for (size_t i = 0; i < SCI_COUNT(callers); i++) {
        callers[i].cache = caches[i % 2];
        callers[i].loads = &loads;
        pthread_create(&callers[i].thread, NULL, load_slowly, &callers[i]);
    }
    for (size_t i = 0; i < SCI_COUNT(callers); i++) {
        pthread_join(callers[i].thread, NULL);
        assert_true(callers[i].is_right);
    }
    assert_int_equal(loads, 1);
    for (size_t i = 0; i < 2; i++) {
        sc_cache_close(caches[i]);
        sc_close(clients[i]);
    }
    sc_server_close(config.server);
}

static void *keep_busy(void *user)
{
    worker *self = (worker *)user;
    self->is_right = true;
    while (!__atomic_load_n(self->stops, __ATOMIC_ACQUIRE))
        self->is_right &=
            sc_command_strings(self->client, NULL, "INCR", "n", (const char *)NULL) == SC_OK;
    return NULL;
}

static bool child_has_a_server(sc_client *client)
{
    bool is_right = true;
    for (int i = 0; i < 10; i++)
        is_right &= sc_command_strings(client, NULL, "INCR", "mine", (const char *)NULL) == SC_OK;
    return sc_close(client) == SC_OK && is_right;
}

/* Whatever the other threads are in the middle of. */
static void a_fork_among_busy_threads_has_a_server(void **state)
{
    worker workers[2];
    bool stops = false;
    sc_client *client;
    (void)state;
    config.memory = NULL; /* the counted one has a lock of its own */
    client = open_client();
    for (size_t i = 0; i < SCI_COUNT(workers); i++)
        workers[i].stops = &stops;
    start_all(workers, SCI_COUNT(workers), client, keep_busy);
    for (int i = 0; i < 50; i++)
        in_child(child_has_a_server, client);
    __atomic_store_n(&stops, true, __ATOMIC_RELEASE);
    for (size_t i = 0; i < SCI_COUNT(workers); i++) {
        pthread_join(workers[i].thread, NULL);
        assert_true(workers[i].is_right);
    }
    sc_close(client);
}

/* The lock is held in the child for ever: by a thread that it does not have. */
static bool child_has_an_empty_server(sc_client *client)
{
    sc_reply *reply = NULL;
    bool is_right = sc_command_strings(client, &reply, "DBSIZE", (const char *)NULL) == SC_OK;
    int64_t keys = -1;
    is_right &= sc_item_integer(sc_reply_item(reply), &keys) == SC_OK && keys == 0;
    sc_reply_release(reply);
    return child_has_a_server(client) && is_right;
}

static void a_fork_in_the_middle_of_a_change_has_an_empty_server(void **state)
{
    sc_client *client = open_client();
    sc_server *server = client->embedded->server;
    (void)state;
    run(client, "SET", "key", "value");
    sci_mutex_lock(&server->lock);
    in_child(child_has_an_empty_server, client);
    sci_mutex_unlock(&server->lock);
    expect_text(client, "key", "value");
    sc_close(client);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_command_is_answered_without_a_system_call_on_a_socket),
        TEST(each_client_has_a_server_of_its_own),
        TEST(errors_have_the_servers_words),
        TEST(options_of_the_url_are_the_servers),
        TEST(wrong_options_are_refused_with_words),
        TEST(a_pipeline_and_a_transaction_are_answered),
        TEST(large_values_go_in_and_out),
        TEST(what_waits_has_a_deadline),
        TEST(time_goes_on_while_nobody_waits),
        TEST(a_program_that_polls_gets_its_answers),
        TEST(a_value_is_loaded_once_and_kept),
        TEST(clients_share_the_programs_server),
        TEST(a_client_that_was_cut_off_comes_back),
        TEST(opening_survives_every_lack_of_memory),
        TEST(a_forked_child_goes_on_with_a_copy),
#ifndef SMARTCACHE_NO_THREADS
        TEST(threads_share_a_client),
        TEST(threads_wait_for_each_other),
        TEST(messages_reach_the_clients_thread),
        TEST(a_load_is_shared_between_clients),
        TEST(a_fork_among_busy_threads_has_a_server),
        TEST(a_fork_in_the_middle_of_a_change_has_an_empty_server),
#endif
    };
    test_folder();
    return cmocka_run_group_tests_name("embedded", tests, NULL, NULL);
}
