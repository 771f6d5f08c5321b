/* How a connection ends, and what becomes of the calls: servers that die and lie, full queues,
   reconnects, forks, closing. */
#include "connection_test.h"
#include "support/fake_server.h"
#include "support/processes.h"
#include "support/proxy.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* --- losses */

static void a_killed_server_is_noticed_and_its_successor_used(void **state)
{
    sc_config config = test_config(test_url());
    sc_client *client;
    sc_status status;
    (void)state;
    quick_backoff(&config);
    client = test_open(&config);
    test_expect_text(client, "OK", "SET", "k", "v", (const char *)NULL);
    fixture_kill(test.server);
    status = get(client, NULL, NULL);
    assert_true(status == SC_ERR_DISCONNECTED || status == SC_ERR_CONNECT);
    assert_status(SC_ERR_CONNECT, get(client, NULL, NULL));
    assert_true(fixture_restart(test.server));
    until_it_answers(client);
    assert_status(SC_OK, sc_close(client));
}

static void a_call_may_wait_until_the_server_is_back(void **state)
{
    sc_config config = test_config(test_url());
    sc_client *client;
    sc_slice words[2];
    sc_stats stats;
    outcome result;
    (void)state;
    memset(&result, 0, sizeof result);
    quick_backoff(&config);
    config.wait_while_down = true;
    config.polled = true; /* and so notices at once */
    client = test_open(&config);
    fixture_stop(test.server);
    words[0] = sc_text("GET");
    words[1] = sc_text("k");
    WAIT_UNTIL((sc_poll(client, 1), sc_stats_get(client, &stats), stats.connections == 0));
    assert_status(SC_OK, sc_command_async(client, words, 2, NULL, outcome_take, &result));
    WAIT_UNTIL((sc_poll(client, 1), sc_stats_get(client, &stats), stats.connect_failures >= 2));
    assert_false(outcome_is_in(&result));
    assert_true(fixture_restart(test.server));
    outcome_wait(client, &result);
    assert_status(SC_OK, result.status);
    assert_int_equal(result.kind, SC_NIL);
    assert_status(SC_OK, sc_close(client));
}

static void a_call_under_way_when_the_server_dies_may_have_been_executed(void **state)
{
    sc_config config = test_config(test_url());
    sc_client *client = test_open(&config);
    sc_call_options options;
    sc_slice words[3];
    outcome shared;
    outcome dedicated;
    (void)state;
    memset(&options, 0, sizeof options);
    memset(&shared, 0, sizeof shared);
    memset(&dedicated, 0, sizeof dedicated);
    options.dedicated = true;
    words[0] = sc_text("BLPOP");
    words[1] = sc_text("list");
    words[2] = sc_text("0");
    assert_status(SC_OK, sc_command_async(client, words, 3, &options, outcome_take, &dedicated));
    WAIT_UNTIL((sc_poll(client, 1), fixture_info(test.server, "blocked_clients") == 1));
    fixture_pause(test.server);
    words[0] = sc_text("PING");
    assert_status(SC_OK, sc_command_async(client, words, 1, NULL, outcome_take, &shared));
    assert_status(SC_OK, sc_poll(client, 0));
    fixture_kill(test.server);
    outcome_wait(client, &shared);
    outcome_wait(client, &dedicated);
    assert_status(SC_ERR_DISCONNECTED, shared.status);
    assert_status(SC_ERR_DISCONNECTED, dedicated.status);
    assert_false(sc_not_executed(SC_ERR_DISCONNECTED));
    assert_status(SC_OK, sc_close(client));
    assert_true(fixture_restart(test.server));
}

static void a_connection_that_was_killed_is_made_anew(void **state)
{
    sc_config config = test_config(test_url());
    sc_client *client;
    sc_stats stats;
    int round;
    (void)state;
    quick_backoff(&config);
    client = test_open(&config);
    for (round = 1; round <= 50; round++) {
        assert_int_equal(fixture_cut_clients(test.server, "normal"), round == 1 ? 2 : 1);
        until_it_answers(client);
        sc_stats_get(client, &stats);
        assert_int_equal(stats.connects, round + 1);
        assert_int_equal(stats.connections, 1);
    }
    assert_status(SC_OK, sc_close(client));
}

static void a_reply_that_was_lost_is_an_unknown_outcome_and_nothing_is_repeated(void **state)
{
    proxy *relay = proxy_start(test.kind, fixture_endpoint(test.server, test.kind));
    sc_client *client = test_open_url(proxy_url(relay));
    (void)state;
    proxy_lose_reply(relay, "INCR");
    assert_status(SC_ERR_DISCONNECTED,
                  sc_command_strings(client, NULL, "INCR", "n", (const char *)NULL));
    assert_int_equal(proxy_lost_replies(relay), 1);
    until_it_answers(client);
    test_expect_integer(test.client, 1, "GET", "n", (const char *)NULL);
    assert_status(SC_OK, sc_close(client));
    proxy_stop(relay);
}

static void an_idempotent_call_whose_reply_was_lost_is_sent_again(void **state)
{
    proxy *relay = proxy_start(test.kind, fixture_endpoint(test.server, test.kind));
    sc_client *client = test_open_url(proxy_url(relay));
    sc_call_options options;
    sc_reply *reply = NULL;
    int64_t number = 0;
    (void)state;
    memset(&options, 0, sizeof options);
    options.idempotent = true;
    proxy_lose_reply(relay, "INCR"); /* no idempotent command, so that repeating shows */
    assert_status(SC_OK, test_call(client, &options, &reply, "INCR", "n", (const char *)NULL));
    assert_status(SC_OK, sc_item_integer(sc_reply_item(reply), &number));
    assert_int_equal(number, 2);
    assert_int_equal(proxy_lost_replies(relay), 1);
    assert_int_equal(proxy_connections(relay), 2);
    sc_reply_release(reply);
    assert_status(SC_OK, sc_close(client));
    proxy_stop(relay);
}

/* The second copy is not sent, and the first one was executed. */
static void a_call_that_could_not_be_sent_again_is_an_unknown_outcome(void **state)
{
    proxy *relay = proxy_start(test.kind, fixture_endpoint(test.server, test.kind));
    sc_client *client = test_open_url(proxy_url(relay));
    sc_call_options options;
    (void)state;
    memset(&options, 0, sizeof options);
    options.idempotent = true;
    until_it_answers(client);
    proxy_refuse(relay, true);
    proxy_lose_reply(relay, "INCR");
    assert_status(SC_ERR_DISCONNECTED,
                  test_call(client, &options, NULL, "INCR", "n", (const char *)NULL));
    test_expect_integer(test.client, 1, "GET", "n", (const char *)NULL);
    assert_status(SC_OK, sc_close(client));
    proxy_stop(relay);
}

static void of_calls_in_one_packet_only_the_idempotent_are_sent_again(void **state)
{
    proxy *relay = proxy_start(test.kind, fixture_endpoint(test.server, test.kind));
    sc_client *client = test_open_url(proxy_url(relay));
    sc_call_options options;
    sc_slice words[2];
    outcome results[20];
    size_t i;
    (void)state;
    memset(&options, 0, sizeof options);
    memset(results, 0, sizeof results);
    words[0] = sc_text("INCR");
    proxy_black_hole(relay, PROXY_TO_SERVER); /* all are sent before any is answered */
    proxy_lose_reply(relay, "INCR");
    for (i = 0; i < COUNT_OF(results); i++) {
        options.idempotent = i % 2 == 1;
        words[1] = sc_text(i % 2 == 1 ? "often" : "once");
        assert_status(SC_OK,
                      sc_command_async(client, words, 2, &options, outcome_take, &results[i]));
    }
    WAIT_UNTIL((sc_poll(client, 1), proxy_bytes_to_server(relay) >= COUNT_OF(results) * 20));
    proxy_black_hole(relay, 0);
    for (i = 0; i < COUNT_OF(results); i++) {
        outcome_wait(client, &results[i]);
        assert_status(i % 2 == 1 ? SC_OK : SC_ERR_DISCONNECTED, results[i].status);
        assert_int_equal(results[i].calls, 1);
    }
    assert_status(SC_OK, sc_close(client));
    proxy_stop(relay);
}

static void a_connection_cut_in_the_middle_of_a_reply_is_a_loss(void **state)
{
    fake_step steps[4];
    fake_step after[1];
    fake_script scripts[2];
    fake_server *server;
    sc_client *client;
    int round;
    (void)state;
    for (round = 0; round < 2; round++) {
        steps[0] = fake_expect("GET");
        steps[1] = fake_reply("*3\r\n$3\r\nabc\r\n$100\r\nhalf of");
        steps[2] = round ? fake_reset() : fake_close();
        after[0] = fake_serve();
        scripts[0].steps = steps;
        scripts[0].count = 3;
        scripts[0].is_literal = false;
        scripts[1].steps = after;
        scripts[1].count = 1;
        scripts[1].is_literal = false;
        server = fake_server_start(test.kind, scripts, 2);
        client = test_open_url(fake_server_url(server));
        assert_status(SC_ERR_DISCONNECTED, get(client, NULL, NULL));
        until_it_answers(client);
        assert_status(SC_OK, sc_close(client));
        fake_server_stop(server);
    }
}

/* --- lies */

static void a_reply_that_is_no_resp_ends_the_connection(void **state)
{
    static const char *const lies[] = {"HELLO\r\n", "$3\r\nabcXX", "*-7\r\n",    ":12a\r\n",
                                       "$-2\r\n",   "+OK\n\r\n",   "*1\r\n?\r\n"};
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(lies); i++) {
        fake_step steps[3];
        fake_step after[1];
        fake_script scripts[2];
        fake_server *server;
        sc_client *client;
        sc_status status;
        steps[0] = fake_expect("GET");
        steps[1] = fake_reply(lies[i]);
        steps[2] = fake_expect("NEVER");
        after[0] = fake_serve();
        scripts[0].steps = steps;
        scripts[0].count = 3;
        scripts[0].is_literal = false;
        scripts[1].steps = after;
        scripts[1].count = 1;
        scripts[1].is_literal = false;
        server = fake_server_start(test.kind, scripts, 2);
        client = test_open_url(fake_server_url(server));
        status = get(client, NULL, NULL);
        if (status != SC_ERR_PROTOCOL)
            fail_msg("%s gave %s", lies[i], sc_status_name(status));
        until_it_answers(client);
        assert_int_equal(fake_server_connections(server), 2);
        assert_status(SC_OK, sc_close(client));
        fake_server_stop(server);
    }
}

static void a_reply_in_pieces_is_put_together(void **state)
{
    static const char whole[] = "*4\r\n$5\r\nab\r\nc\r\n:-12\r\n*2\r\n+in\r\n$-1\r\n$0\r\n\r\n";
    size_t piece;
    (void)state;
    for (piece = 1; piece < sizeof whole; piece++) {
        fake_step steps[2];
        fake_script script;
        fake_server *server;
        sc_client *client;
        sc_reply *reply = NULL;
        const sc_item *top;
        int64_t number = 0;
        steps[0] = fake_expect("GET");
        steps[1] = fake_reply_in_pieces(whole, piece);
        script.steps = steps;
        script.count = 2;
        script.is_literal = false;
        server = fake_server_start(test.kind, &script, 1);
        client = test_open_url(fake_server_url(server));
        assert_status(SC_OK, get(client, NULL, &reply));
        top = sc_reply_item(reply);
        assert_int_equal(sc_item_count(top), 4);
        assert_slice_text(sc_item_slice(sc_item_at(top, 0)), "ab\r\nc");
        assert_status(SC_OK, sc_item_integer(sc_item_at(top, 1), &number));
        assert_int_equal(number, -12);
        assert_slice_text(sc_item_slice(sc_item_at(sc_item_at(top, 2), 0)), "in");
        assert_true(sc_item_is_nil(sc_item_at(sc_item_at(top, 2), 1)));
        assert_int_equal(sc_item_kind(sc_item_at(top, 3)), SC_STRING);
        sc_reply_release(reply);
        assert_status(SC_OK, sc_close(client));
        fake_server_stop(server);
    }
}

static void a_stray_reply_does_not_shift_those_after_it(void **state)
{
    fake_step steps[5];
    fake_script script;
    fake_server *server;
    sc_client *client;
    int round;
    (void)state;
    steps[0] = fake_expect("ECHO");
    steps[1] = fake_reply("$3\r\none\r\n+STRAY\r\n");
    steps[2] = fake_expect("ECHO");
    steps[3] = fake_reply("$3\r\ntwo\r\n");
    steps[4] = fake_repeat(2);
    script.steps = steps;
    script.count = 5;
    script.is_literal = false;
    server = fake_server_start(test.kind, &script, 1);
    client = test_open_url(fake_server_url(server));
    for (round = 0; round < 20; round++) {
        sc_reply *reply = NULL;
        sc_status status = sc_command_strings(client, &reply, "ECHO", "any", (const char *)NULL);
        if (status == SC_OK && sc_item_expect(sc_reply_item(reply), "one") != SC_OK)
            assert_status(SC_OK, sc_item_expect(sc_reply_item(reply), "two"));
        sc_reply_release(reply);
    }
    assert_true(fake_server_connections(server) > 1);
    assert_status(SC_OK, sc_close(client));
    fake_server_stop(server);
}

/* --- pressure */

#define OUTPUT_LIMIT_BYTES ((size_t)1 << 20)
#define PRESSURE_VALUE_BYTES 50000
#define PRESSURE_CALLS 2000

static void a_full_output_queue_refuses_and_loses_nothing(void **state)
{
    static outcome results[PRESSURE_CALLS];
    static char value[PRESSURE_VALUE_BYTES];
    sc_config config = test_config(test_url());
    sc_client *client;
    sc_slice words[3];
    sc_status status = SC_OK;
    size_t queued = 0;
    size_t i;
    (void)state;
    memset(results, 0, sizeof results);
    memset(value, 'v', sizeof value);
    config.max_output_bytes = OUTPUT_LIMIT_BYTES;
    client = test_open(&config);
    words[0] = sc_text("APPEND");
    words[1] = sc_text("k");
    words[2] = sc_bytes(value, sizeof value);
    fixture_pause(test.server);
    while (queued < PRESSURE_CALLS) {
        status = sc_command_async(client, words, 3, NULL, outcome_take, &results[queued]);
        if (status != SC_OK)
            break;
        assert_status(SC_OK, sc_poll(client, 0));
        if (outcome_is_in(&results[queued])) { /* or its callback tells */
            status = results[queued].status;
            assert_non_null(strstr(results[queued].words, "max_output_bytes"));
            break;
        }
        queued++;
    }
    assert_status(SC_ERR_FULL, status);
    assert_true(sc_not_executed(SC_ERR_FULL));
    assert_status(SC_ERR_FULL, sc_command(client, words, 3, NULL, NULL));
    assert_error_text_has("max_output_bytes");
    fixture_continue(test.server);
    for (i = 0; i < queued; i++) {
        outcome_wait(client, &results[i]);
        assert_status(SC_OK, results[i].status);
        assert_int_equal(results[i].integer, (i + 1) * sizeof value);
    }
    test_expect_integer(client, (int64_t)(queued * sizeof value), "STRLEN", "k",
                        (const char *)NULL);
    assert_status(SC_OK, sc_close(client));
}

#define RECONNECTS 10000
#define SETTLED 200

static void ten_thousand_reconnects_leak_nothing(void **state)
{
    fake_step steps[3];
    fake_script script;
    fake_server *server;
    sc_config config;
    sc_client *client;
    sc_call_options options;
    size_t bytes = 0;
    size_t descriptors = 0;
    size_t round;
    (void)state;
    steps[0] = fake_expect("GET");
    steps[1] = fake_reply("$1\r\nv\r\n");
    steps[2] = fake_close();
    script.steps = steps;
    script.count = 3;
    script.is_literal = false;
    server = fake_server_start(test.kind, &script, 1);
    config = test_config(fake_server_url(server));
    quick_backoff(&config);
    client = test_open(&config);
    memset(&options, 0, sizeof options);
    options.idempotent = true; /* may be sent just when the connection ends */
    for (round = 0; fake_server_connections(server) < RECONNECTS; round++) {
        assert_status(SC_OK, get(client, &options, NULL));
        if (round == SETTLED) {
            WAIT_UNTIL(fake_server_open_connections(server) <= 1);
            bytes = fault_memory_live_bytes(test.memory);
            descriptors = endpoint_open_descriptors();
        }
    }
    WAIT_UNTIL(fake_server_open_connections(server) <= 1);
    /* A connection more or less may be open at the moment. */
    assert_in_range(endpoint_open_descriptors(), 0, descriptors + 2);
    if (fault_memory_live_bytes(test.memory) > bytes + 65536)
        fail_msg("%zu bytes after %d connections, %zu after %d", bytes, SETTLED,
                 fault_memory_live_bytes(test.memory), RECONNECTS);
    assert_int_equal(fake_server_mismatches(server), 0);
    assert_status(SC_OK, sc_close(client));
    fake_server_stop(server);
}

/* --- the process around it */

static void a_peer_that_is_gone_does_not_kill_the_process(void **state)
{
    fake_step steps[1];
    fake_script script;
    fake_server *server;
    sc_config config;
    sc_client *client;
    void (*before)(int);
    int i;
    (void)state;
    before = signal(SIGPIPE, SIG_DFL);
    steps[0] = fake_serve();
    script.steps = steps;
    script.count = 1;
    script.is_literal = true;
    server = fake_server_start(test.kind, &script, 1);
    config = test_config(fake_server_url(server));
    quick_backoff(&config);
    client = test_open(&config);
    fake_server_stop(server);
    for (i = 0; i < 100; i++) {
        sc_status status = get(client, NULL, NULL);
        assert_true(status == SC_ERR_DISCONNECTED || status == SC_ERR_CONNECT);
    }
    signal(SIGPIPE, before);
    assert_status(SC_OK, sc_close(client));
}

#define FORK_CHILDREN 10
#define FORK_CALLS 50
#define FORK_THREADS 4

enum { FORK_STOPS, FORK_WRONG, FORK_PARENT_CALLS, FORK_ID };

static sc_client *forked_client;

/* Echo a text that no other caller uses; 1 when that is what comes back. */
static int echoes(sc_client *client, int who, int call)
{
    char text[64];
    sc_reply *reply = NULL;
    sc_slice words[2];
    int is_right;
    snprintf(text, sizeof text, "%d.%d.%d", (int)getpid(), who, call);
    words[0] = sc_text("ECHO");
    words[1] = sc_text(text);
    is_right = sc_command(client, words, 2, NULL, &reply) == SC_OK &&
               sc_item_expect(sc_reply_item(reply), text) == SC_OK;
    if (!is_right)
        fprintf(stderr, "no echo in process %d: %s\n", (int)getpid(), sc_error_text());
    sc_reply_release(reply);
    return is_right;
}

static int forked_child(processes *shared, size_t index, void *user)
{
    sc_reply *reply = NULL;
    int64_t id = 0;
    int call;
    (void)user;
    for (call = 0; call < FORK_CALLS; call++)
        if (!echoes(forked_client, (int)index, call))
            return 1;
    if (sc_command_strings(forked_client, &reply, "CLIENT", "ID", (const char *)NULL) != SC_OK ||
        sc_item_integer(sc_reply_item(reply), &id) != SC_OK)
        return 2;
    sc_reply_release(reply);
    if (id == processes_read(shared, FORK_ID))
        return 3; /* it speaks on its parent's socket */
    return sc_close(forked_client) == SC_OK ? 0 : 4;
}

typedef struct forking_thread {
    pthread_t thread;
    uint32_t *stops; /* atomic */
    int number;
    int calls;
    int wrong;
} forking_thread;

static void *forking_thread_run(void *argument)
{
    forking_thread *self = (forking_thread *)argument;
    while (!__atomic_load_n(self->stops, __ATOMIC_ACQUIRE))
        self->wrong += !echoes(forked_client, 1000 + self->number, self->calls++);
    return NULL;
}

/* Children that were forked while the parent's threads are in the middle of calls. */
static void forked_children_use_connections_of_their_own(void **state)
{
    forking_thread threads[FORK_THREADS];
    sc_config config = test_config(test_url());
    sc_reply *reply = NULL;
    uint32_t stops = 0;
    int64_t id = 0;
    int round;
    int i;
    (void)state;
    config.memory = NULL; /* libc's is whole after a fork, whatever other threads did */
    for (round = 0; round < 2; round++) { /* without and with a thread of its own */
        forked_client = test_open(&config);
        if (round)
            assert_status(SC_OK, sc_start(forked_client));
        assert_status(
            SC_OK, sc_command_strings(forked_client, &reply, "CLIENT", "ID", (const char *)NULL));
        assert_status(SC_OK, sc_item_integer(sc_reply_item(reply), &id));
        sc_reply_release(reply);
        memset(threads, 0, sizeof threads);
        stops = 0;
        for (i = 0; i < FORK_THREADS; i++) {
            threads[i].number = i;
            threads[i].stops = &stops;
            assert_int_equal(
                pthread_create(&threads[i].thread, NULL, forking_thread_run, &threads[i]), 0);
        }
        for (i = 0; i < FORK_CHILDREN; i++) {
            processes *child = processes_start(1, forked_child, &id);
            processes_set(child, FORK_ID, id);
            assert_true(processes_join(child));
            processes_free(child);
        }
        __atomic_store_n(&stops, 1, __ATOMIC_RELEASE);
        for (i = 0; i < FORK_THREADS; i++) {
            pthread_join(threads[i].thread, NULL);
            assert_int_equal(threads[i].wrong, 0);
        }
        /* The parent is still on its first connection. */
        test_expect_integer(forked_client, id, "CLIENT", "ID", (const char *)NULL);
        assert_status(SC_OK, sc_close(forked_client));
    }
}

static sc_poller whole_poller;
static bool refuses_pollers;

static sc_status create_poller_at_times(void *user, const sc_memory *memory, void **poller)
{
    *poller = NULL;
    if (refuses_pollers)
        return sc_fail(SC_ERR_IO, "no descriptor is left");
    return whole_poller.create(user, memory, poller);
}

static int child_short_of_descriptors(processes *shared, size_t index, void *user)
{
    sc_call_options options;
    (void)shared;
    (void)user;
    memset(&options, 0, sizeof options);
    options.timeout_ms = 50;
    refuses_pollers = true;
    if (test_call(forked_client, &options, NULL, "PING", (const char *)NULL) >= 0)
        return 1;
    refuses_pollers = false;
    if (!echoes(forked_client, (int)index, 0))
        return 2;
    return sc_close(forked_client) == SC_OK ? 0 : 3;
}

static void a_forked_child_that_is_short_of_descriptors_gets_a_poller_later(void **state)
{
    sc_config config = test_config(test_url());
    sc_poller poller;
    processes *child;
    (void)state;
    assert_true(sc_platform_poller(&whole_poller));
    poller = whole_poller;
    poller.create = create_poller_at_times;
    config.poller = &poller;
    config.memory = NULL;
    forked_client = test_open(&config);
    child = processes_start(1, child_short_of_descriptors, NULL);
    assert_true(processes_join(child));
    processes_free(child);
    assert_true(echoes(forked_client, 0, 0));
    assert_status(SC_OK, sc_close(forked_client));
}

/* --- closing */

#define CLOSED_THREADS 8
#define CLOSED_ASYNC 50

typedef struct closed_call {
    pthread_t thread;
    sc_client *client;
    bool is_dedicated;
    sc_status status;
} closed_call;

static void *closed_call_run(void *argument)
{
    closed_call *self = (closed_call *)argument;
    sc_call_options options;
    sc_slice words[3];
    memset(&options, 0, sizeof options);
    options.dedicated = self->is_dedicated;
    words[0] = sc_text(self->is_dedicated ? "BLPOP" : "GET");
    words[1] = sc_text("k");
    words[2] = sc_text("0");
    self->status = sc_command(self->client, words, self->is_dedicated ? 3 : 2, &options, NULL);
    return NULL;
}

static void closing_ends_the_calls_that_are_under_way(void **state)
{
    int with_thread;
    (void)state;
    for (with_thread = 0; with_thread < 2; with_thread++) {
        static outcome results[CLOSED_ASYNC];
        closed_call calls[CLOSED_THREADS];
        sc_client *client = test_open_url(test_url());
        sc_slice words[2];
        sc_stats stats;
        int i;
        memset(results, 0, sizeof results);
        memset(calls, 0, sizeof calls);
        if (with_thread)
            assert_status(SC_OK, sc_start(client));
        for (i = 0; i < CLOSED_THREADS; i += 2) {
            calls[i].client = client;
            calls[i].is_dedicated = true;
            assert_int_equal(pthread_create(&calls[i].thread, NULL, closed_call_run, &calls[i]), 0);
        }
        WAIT_UNTIL(fixture_info(test.server, "blocked_clients") == CLOSED_THREADS / 2);
        fixture_pause(test.server);
        for (i = 1; i < CLOSED_THREADS; i += 2) {
            calls[i].client = client;
            assert_int_equal(pthread_create(&calls[i].thread, NULL, closed_call_run, &calls[i]), 0);
        }
        words[0] = sc_text("GET");
        words[1] = sc_text("k");
        for (i = 0; i < CLOSED_ASYNC; i++)
            assert_status(SC_OK,
                          sc_command_async(client, words, 2, NULL, outcome_take, &results[i]));
        WAIT_UNTIL(
            (sc_stats_get(client, &stats), stats.unanswered >= CLOSED_THREADS + CLOSED_ASYNC));
        assert_status(SC_OK, sc_close(client));
        for (i = 0; i < CLOSED_ASYNC; i++) {
            assert_int_equal(results[i].calls, 1);
            assert_status(SC_ERR_CLOSED, results[i].status);
        }
        for (i = 0; i < CLOSED_THREADS; i++) {
            pthread_join(calls[i].thread, NULL);
            assert_status(SC_ERR_CLOSED, calls[i].status);
        }
        fixture_continue(test.server);
    }
}

static void closing_nothing_is_fine(void **state)
{
    (void)state;
    assert_status(SC_OK, sc_close(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        bare_unit_test(a_killed_server_is_noticed_and_its_successor_used),
        bare_unit_test(a_call_may_wait_until_the_server_is_back),
        bare_unit_test(a_call_under_way_when_the_server_dies_may_have_been_executed),
        client_unit_test(a_connection_that_was_killed_is_made_anew),
        client_unit_test(a_reply_that_was_lost_is_an_unknown_outcome_and_nothing_is_repeated),
        client_unit_test(an_idempotent_call_whose_reply_was_lost_is_sent_again),
        client_unit_test(a_call_that_could_not_be_sent_again_is_an_unknown_outcome),
        client_unit_test(of_calls_in_one_packet_only_the_idempotent_are_sent_again),
        bare_unit_test(a_connection_cut_in_the_middle_of_a_reply_is_a_loss),
        bare_unit_test(a_reply_that_is_no_resp_ends_the_connection),
        bare_unit_test(a_reply_in_pieces_is_put_together),
        bare_unit_test(a_stray_reply_does_not_shift_those_after_it),
        bare_unit_test(a_full_output_queue_refuses_and_loses_nothing),
        bare_unit_test(ten_thousand_reconnects_leak_nothing),
        bare_unit_test(a_peer_that_is_gone_does_not_kill_the_process),
        bare_unit_test(forked_children_use_connections_of_their_own),
        bare_unit_test(a_forked_child_that_is_short_of_descriptors_gets_a_poller_later),
        bare_unit_test(closing_ends_the_calls_that_are_under_way),
        bare_unit_test(closing_nothing_is_fine),
    };
    return run_on_both_wires("outages", tests);
}
