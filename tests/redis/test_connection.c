/* The life of a connection: servers that refuse, die, stop, lie and stay silent. */
#include "support/client_test.h"
#include "support/fake_server.h"
#include "support/processes.h"
#include "support/proxy.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define URL_BYTES 256

/* A call until it succeeds: after a loss, back-off may refuse some. */
static void until_it_answers(sc_client *client)
{
    sc_status status = SC_OK;
    bool reached;
    WAIT_REACHED(reached,
                 (status = sc_command_strings(client, NULL, "PING", (const char *)NULL)) == SC_OK);
    if (!reached)
        fail_msg("still %s: %s", sc_status_name(status), sc_error_text());
}

static void quick_backoff(sc_config *config)
{
    config->backoff_min_ms = 1;
    config->backoff_max_ms = 10;
}

static sc_status get(sc_client *client, const sc_call_options *options, sc_reply **reply)
{
    return test_call(client, options, reply, "GET", "k", (const char *)NULL);
}

/* --- no server */

static void nobody_there(endpoint *where)
{
    if (test.kind == WIRE_TCP) {
        endpoint_set_tcp(where, endpoint_free_port());
    } else {
        char path[108];
        endpoint_fresh_path(path);
        endpoint_set_unix(where, path);
    }
}

static void an_address_where_nobody_listens_is_named(void **state)
{
    endpoint where;
    sc_config config;
    sc_client *client = NULL;
    char port[8];
    (void)state;
    nobody_there(&where);
    config = test_config(where.url);
    assert_status(SC_ERR_CONNECT, sc_open(&config, &client));
    assert_null(client);
    assert_true(sc_not_executed(SC_ERR_CONNECT));
    snprintf(port, sizeof port, "%u", (unsigned)where.port);
    assert_error_text_has(test.kind == WIRE_TCP ? port : where.path);
}

static void a_lazy_client_connects_with_its_first_call(void **state)
{
    endpoint where;
    sc_config config;
    sc_client *client;
    int64_t before = fixture_info(test.server, "total_connections_received");
    (void)state;
    config = test_config(test_url());
    config.lazy = true;
    client = test_open(&config);
    assert_int_equal(fixture_info(test.server, "total_connections_received"), before);
    test_expect_text(client, "PONG", "PING", (const char *)NULL);
    assert_int_equal(fixture_info(test.server, "total_connections_received"), before + 1);
    assert_status(SC_OK, sc_close(client));
    nobody_there(&where);
    config.url = where.url;
    client = test_open(&config);
    assert_status(SC_ERR_CONNECT, sc_command_strings(client, NULL, "PING", (const char *)NULL));
    assert_status(SC_OK, sc_close(client));
}

#define HASTY_CALLS 1000

static void a_server_that_is_down_is_not_stormed(void **state)
{
    endpoint where;
    sc_config config;
    sc_client *client;
    sc_stats stats;
    int i;
    (void)state;
    nobody_there(&where);
    config = test_config(where.url);
    config.lazy = true;
    config.backoff_min_ms = WAIT_WATCHDOG_MS;
    config.backoff_max_ms = WAIT_WATCHDOG_MS;
    client = test_open(&config);
    for (i = 0; i < HASTY_CALLS; i++)
        assert_status(SC_ERR_CONNECT, sc_command_strings(client, NULL, "PING", (const char *)NULL));
    sc_stats_get(client, &stats);
    assert_in_range(stats.connect_failures, 1, HASTY_CALLS / 100);
    assert_status(SC_OK, sc_close(client));
}

static void a_call_that_waits_for_a_server_ends_with_its_deadline(void **state)
{
    endpoint where;
    sc_config config;
    sc_client *client;
    sc_call_options options;
    sc_status status;
    int64_t begin_ms;
    (void)state;
    nobody_there(&where);
    config = test_config(where.url);
    config.lazy = true;
    config.wait_while_down = true;
    client = test_open(&config);
    memset(&options, 0, sizeof options);
    options.timeout_ms = 100;
    begin_ms = wait_now_ms();
    status = get(client, &options, NULL);
    assert_true(status < 0 && sc_not_executed(status));
    assert_true(wait_now_ms() - begin_ms >= options.timeout_ms - 1);
    assert_status(SC_OK, sc_close(client));
}

/* --- credentials and databases */

typedef struct guarded {
    fixture *server;
    char url[URL_BYTES];
} guarded;

static void guarded_start(guarded *self)
{
    static const char *const arguments[] = {"--requirepass", "p@ss:w/rd%1", NULL};
    self->server = fixture_start(arguments);
    assert_non_null(self->server);
    assert_string_equal(fixture_command(self->server, "AUTH", "p@ss:w/rd%1", (const char *)NULL),
                        "+OK\r\n");
    assert_string_equal(fixture_command(self->server, "ACL", "SETUSER", "alice", "on", ">wonder",
                                        "~*", "&*", "+@all", (const char *)NULL),
                        "+OK\r\n");
}

static void password_and_database_come_from_the_url(void **state)
{
    guarded self;
    sc_client *client;
    (void)state;
    guarded_start(&self);
    fixture_url_with(self.server, test.kind, ":p%40ss%3Aw%2Frd%251", 3, self.url, sizeof self.url);
    client = test_open_url(self.url);
    test_expect_text(client, "OK", "SET", "k", "in 3", (const char *)NULL);
    fixture_command(self.server, "SELECT", "3", (const char *)NULL);
    assert_string_equal(fixture_command(self.server, "GET", "k", (const char *)NULL),
                        "$4\r\nin 3\r\n");
    /* And again on the next connection. */
    fixture_cut_clients(self.server, "normal");
    until_it_answers(client);
    test_expect_text(client, "in 3", "GET", "k", (const char *)NULL);
    assert_status(SC_OK, sc_close(client));
    fixture_url_with(self.server, test.kind, "alice:wonder", 0, self.url, sizeof self.url);
    client = test_open_url(self.url);
    test_expect_text(client, "alice", "ACL", "WHOAMI", (const char *)NULL);
    assert_status(SC_OK, sc_close(client));
    fixture_free(self.server);
}

static void user_password_and_name_of_the_configuration_win(void **state)
{
    guarded self;
    sc_config config;
    sc_client *client;
    (void)state;
    guarded_start(&self);
    fixture_url_with(self.server, test.kind, "nobody:wrong", 0, self.url, sizeof self.url);
    config = test_config(self.url);
    config.user = "alice";
    config.password = "wonder";
    config.client_name = "mad-hatter";
    client = test_open(&config);
    test_expect_text(client, "alice", "ACL", "WHOAMI", (const char *)NULL);
    test_expect_text(client, "mad-hatter", "CLIENT", "GETNAME", (const char *)NULL);
    assert_status(SC_OK, sc_close(client));
    fixture_free(self.server);
}

static void wrong_credentials_are_refused_without_showing_them(void **state)
{
    static const char *const logins[] = {":looking-glass", "alice:looking-glass",
                                         "nobody:looking-glass"};
    guarded self;
    size_t i;
    (void)state;
    guarded_start(&self);
    for (i = 0; i < COUNT_OF(logins); i++) {
        sc_config config;
        sc_client *client = NULL;
        fixture_url_with(self.server, test.kind, logins[i], 0, self.url, sizeof self.url);
        config = test_config(self.url);
        config.wait_while_down = i % 2 == 1; /* waiting does not help */
        assert_status(SC_ERR_AUTH, sc_open(&config, &client));
        assert_null(client);
        assert_error_text_has("AUTH");
        assert_null(strstr(sc_error_text(), "looking-glass"));
    }
    fixture_free(self.server);
}

static void a_missing_password_is_an_error_of_credentials(void **state)
{
    guarded self;
    sc_config config;
    sc_client *client = NULL;
    (void)state;
    guarded_start(&self);
    config = test_config(fixture_url(self.server, test.kind));
    assert_status(SC_ERR_AUTH, sc_open(&config, &client));
    assert_error_text_has("password");
    fixture_free(self.server);
}

static void a_database_that_is_not_there_is_named(void **state)
{
    char url[URL_BYTES];
    sc_config config;
    sc_client *client = NULL;
    (void)state;
    fixture_url_with(test.server, test.kind, NULL, 99, url, sizeof url);
    config = test_config(url);
    assert_status(SC_ERR_CONNECT, sc_open(&config, &client));
    assert_null(client);
    assert_error_text_has("SELECT");
    assert_error_text_has("out of range");
}

#define FEW_CLIENTS 4

static void a_server_with_too_many_clients_is_tried_again(void **state)
{
    static const char *const arguments[] = {"--maxclients", "4", "--requirepass", "secret", NULL};
    fixture *server = fixture_start(arguments);
    sc_client *clients[FEW_CLIENTS];
    sc_client *one_more = NULL;
    sc_config config;
    char url[URL_BYTES];
    int i;
    (void)state;
    assert_non_null(server);
    fixture_command(server, "AUTH", "secret", (const char *)NULL);
    fixture_url_with(server, test.kind, ":secret", 0, url, sizeof url);
    config = test_config(url);
    quick_backoff(&config);
    for (i = 0; i < FEW_CLIENTS - 1; i++) /* the fixture's connection is one */
        clients[i] = test_open(&config);
    /* That is no matter of credentials, though the words come in the place of AUTH's answer. */
    assert_status(SC_ERR_CONNECT, sc_open(&config, &one_more));
    assert_error_text_has("max number of clients");
    config.lazy = true;
    one_more = test_open(&config);
    assert_status(SC_ERR_CONNECT, sc_command_strings(one_more, NULL, "PING", (const char *)NULL));
    assert_status(SC_OK, sc_close(clients[0]));
    until_it_answers(one_more);
    for (i = 1; i < FEW_CLIENTS - 1; i++)
        assert_status(SC_OK, sc_close(clients[i]));
    assert_status(SC_OK, sc_close(one_more));
    fixture_free(server);
}

/* --- the prelude */

static sc_status open_on(const fake_step *steps, size_t count, sc_client **client)
{
    fake_script script;
    fake_server *server;
    sc_config config;
    char url[URL_BYTES];
    sc_status status;
    const char *at;
    script.steps = steps;
    script.count = count;
    script.is_literal = true;
    server = fake_server_start(test.kind, &script, 1);
    at = strstr(fake_server_url(server), "://") + 3;
    snprintf(url, sizeof url,
             test.kind == WIRE_TCP ? "redis://:secret@%s/7" : "unix://:secret@%s?db=7", at);
    config = test_config(url);
    config.client_name = "tester";
    status = sc_open(&config, client);
    if (status == SC_OK)
        assert_status(SC_OK, sc_close(*client));
    assert_int_equal(fake_server_mismatches(server), 0);
    fake_server_stop(server);
    return status;
}

static void each_answer_of_the_prelude_is_checked(void **state)
{
    static const char *const words[] = {"AUTH secret", "SELECT 7", "CLIENT SETNAME tester"};
    static const char *const wrong[] = {"-ERR mad\r\n", ":1\r\n", "$2\r\nXY\r\n", "*0\r\n",
                                        "+WHAT\r\n"};
    size_t bad;
    size_t kind;
    (void)state;
    for (bad = 0; bad < COUNT_OF(words); bad++) {
        for (kind = 0; kind < COUNT_OF(wrong); kind++) {
            fake_step steps[16];
            sc_client *client = NULL;
            sc_status status;
            size_t count = 0;
            size_t i;
            for (i = 0; i < COUNT_OF(words); i++) {
                steps[count++] = fake_exactly(words[i]);
                steps[count++] = fake_reply(i == bad ? wrong[kind] : "+OK\r\n");
            }
            steps[count++] = fake_serve();
            status = open_on(steps, count, &client);
            if (status != (bad == 0 ? SC_ERR_AUTH : SC_ERR_CONNECT))
                fail_msg("%s answered by %.10s gave %s", words[bad], wrong[kind],
                         sc_status_name(status));
        }
    }
}

static void a_good_prelude_goes_in_one_packet_before_any_command(void **state)
{
    fake_step steps[16];
    sc_client *client = NULL;
    size_t count = 0;
    (void)state;
    /* Nothing is answered before all three have come. */
    steps[count++] = fake_exactly("AUTH secret");
    steps[count++] = fake_exactly("SELECT 7");
    steps[count++] = fake_exactly("CLIENT SETNAME tester");
    steps[count++] = fake_reply("+OK\r\n+OK\r\n+OK\r\n");
    steps[count++] = fake_serve();
    assert_status(SC_OK, open_on(steps, count, &client));
}

static void a_server_that_is_no_redis_is_refused(void **state)
{
    fake_step steps[4];
    sc_client *client = NULL;
    (void)state;
    steps[0] = fake_expect("AUTH");
    steps[1] = fake_reply("HTTP/1.1 400 Bad Request\r\n\r\n");
    steps[2] = fake_expect("NEVER");
    assert_status(SC_ERR_CONNECT, open_on(steps, 2, &client));
}

/* The first connections are told that the server is loading its data; then it is done. */
static void a_server_that_is_loading_is_waited_for(void **state)
{
    fake_step loading[3];
    fake_step loaded[1];
    fake_script scripts[3];
    fake_server *server;
    sc_config config;
    sc_client *client;
    sc_call_options options;
    char url[URL_BYTES];
    int round;
    (void)state;
    for (round = 0; round < 2; round++) { /* without and with a password */
        const char *at;
        loading[0] = fake_expect(NULL);
        loading[1] = fake_reply("-LOADING Redis is loading the dataset in memory\r\n");
        loading[2] = fake_repeat(0);
        loaded[0] = fake_serve();
        scripts[0].steps = loading;
        scripts[0].count = 3;
        scripts[0].is_literal = true;
        scripts[1] = scripts[0];
        scripts[2].steps = loaded;
        scripts[2].count = 1;
        scripts[2].is_literal = true;
        server = fake_server_start(test.kind, scripts, 3);
        at = strstr(fake_server_url(server), "://") + 3;
        snprintf(url, sizeof url, "%s://%s%s", test.kind == WIRE_TCP ? "redis" : "unix",
                 round == 1 ? ":secret@" : "", at);
        config = test_config(url);
        config.lazy = true;
        config.wait_while_down = true;
        quick_backoff(&config);
        client = test_open(&config);
        memset(&options, 0, sizeof options);
        assert_status(SC_OK, get(client, &options, NULL));
        assert_int_equal(fake_server_connections(server), 3);
        assert_status(SC_OK, sc_close(client));
        fake_server_stop(server);
    }
}

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

/* --- silence */

static fake_server *silent_server(const fake_step *steps, size_t count)
{
    fake_script script;
    script.steps = steps;
    script.count = count;
    script.is_literal = true;
    return fake_server_start(test.kind, &script, 1);
}

static void a_peer_that_is_silent_from_the_start_costs_the_connect_timeout(void **state)
{
    fake_step step = fake_silence();
    fake_server *server = silent_server(&step, 1);
    sc_config config = test_config(fake_server_url(server));
    sc_client *client = NULL;
    (void)state;
    config.connect_timeout_ms = 50;
    assert_status(SC_ERR_CONNECT, sc_open(&config, &client));
    assert_null(client);
    assert_error_text_has("connect_timeout_ms");
    fake_server_stop(server);
}

static void a_server_that_never_accepts_costs_the_connect_timeout(void **state)
{
    fake_server *server = fake_server_start_deaf(test.kind);
    sc_config config = test_config(fake_server_url(server));
    sc_client *client = NULL;
    (void)state;
    config.connect_timeout_ms = 50;
    assert_status(SC_ERR_CONNECT, sc_open(&config, &client));
    assert_null(client);
    fake_server_stop(server);
}

static void an_idle_connection_that_does_not_answer_is_given_up(void **state)
{
    fake_step steps[6];
    fake_server *server;
    sc_config config;
    sc_client *client;
    (void)state;
    steps[0] = fake_exactly("PING"); /* the prelude's */
    steps[1] = fake_reply("+PONG\r\n");
    steps[2] = fake_expect("GET");
    steps[3] = fake_reply("$-1\r\n");
    steps[4] = fake_exactly("PING"); /* the check's */
    steps[5] = fake_expect("NEVER");
    server = silent_server(steps, 6);
    config = test_config(fake_server_url(server));
    config.idle_check_ms = 20;
    config.timeout_ms = 50;
    config.connect_timeout_ms = WAIT_WATCHDOG_MS;
    config.lazy = true; /* else opening may ask more */
    client = test_open(&config);
    assert_status(SC_OK, sc_start(client));
    (void)get(client, NULL, NULL);
    WAIT_UNTIL(fake_server_commands(server) == 3);
    WAIT_UNTIL(fake_server_open_connections(server) == 0);
    assert_status(SC_OK, sc_close(client));
    fake_server_stop(server);
}

static void an_idle_connection_that_answers_is_kept(void **state)
{
    fake_step step = fake_serve();
    fake_server *server = silent_server(&step, 1);
    sc_config config = test_config(fake_server_url(server));
    sc_client *client;
    (void)state;
    config.idle_check_ms = 5;
    client = test_open(&config);
    assert_status(SC_OK, sc_start(client));
    WAIT_UNTIL(fake_server_commands_of(server, "PING") >= 10);
    assert_int_equal(fake_server_connections(server), 1);
    assert_status(SC_OK, sc_close(client));
    fake_server_stop(server);
}

static void no_idle_check_is_made_when_it_is_off(void **state)
{
    fake_step step = fake_serve();
    fake_server *server = silent_server(&step, 1);
    sc_config config = test_config(fake_server_url(server));
    sc_client *checking;
    sc_client *quiet;
    (void)state;
    config.idle_check_ms = -1;
    quiet = test_open(&config);
    assert_status(SC_OK, sc_start(quiet));
    config.idle_check_ms = 5;
    checking = test_open(&config);
    assert_status(SC_OK, sc_start(checking));
    assert_status(SC_OK, sc_close(quiet));
    WAIT_UNTIL(fake_server_commands_of(server, "PING") >= 10);
    assert_status(SC_OK, sc_close(checking));
    fake_server_stop(server);
}

/* --- time-outs */

#define BOUND_MS 20 /* of lateness; the project's promise */
#define BOUND_TRIES 20

typedef sc_status (*timed_call)(const char *url, int64_t timeout_ms);

static sc_client *timed_client; /* on a paused server */

static sc_status timed_blocking(const char *url, int64_t timeout_ms)
{
    sc_call_options options;
    (void)url;
    memset(&options, 0, sizeof options);
    options.timeout_ms = timeout_ms;
    return get(timed_client, &options, NULL);
}

static sc_status timed_async(const char *url, int64_t timeout_ms)
{
    sc_call_options options;
    sc_slice words[1];
    outcome result;
    (void)url;
    memset(&options, 0, sizeof options);
    memset(&result, 0, sizeof result);
    options.timeout_ms = timeout_ms;
    words[0] = sc_text("PING");
    assert_status(SC_OK, sc_command_async(timed_client, words, 1, &options, outcome_take, &result));
    outcome_wait(timed_client, &result);
    return result.status;
}

static sc_status timed_open(const char *url, int64_t timeout_ms)
{
    sc_config config = test_config(url);
    sc_client *client = NULL;
    config.connect_timeout_ms = timeout_ms;
    return sc_open(&config, &client);
}

/* The best of some tries is on time, so that a busy machine does not matter; none is early. */
static void expect_on_time(timed_call call, const char *url, sc_status expected)
{
    static const int64_t timeouts_ms[] = {30, 100};
    size_t i;
    int try_number;
    for (i = 0; i < COUNT_OF(timeouts_ms); i++) {
        int64_t best_ns = INT64_MAX;
        for (try_number = 0; try_number < BOUND_TRIES && best_ns > BOUND_MS * (int64_t)1000000;
             try_number++) {
            int64_t begin_ns = wait_now_ns();
            int64_t late_ns;
            sc_status status;
            status = call(url, timeouts_ms[i]);
            /* A command may wait for the answer to an earlier one before it is sent. */
            if (status != SC_ERR_NOT_SENT || expected != SC_ERR_TIMEOUT)
                assert_status(expected, status);
            late_ns = wait_now_ns() - begin_ns - timeouts_ms[i] * 1000000;
            assert_true(late_ns >= 0);
            if (late_ns < best_ns)
                best_ns = late_ns;
        }
        if (best_ns > BOUND_MS * (int64_t)1000000)
            fail_msg("a time-out of %d ms came %d ms late at best", (int)timeouts_ms[i],
                     (int)(best_ns / 1000000));
    }
}

static void time_outs_come_when_they_were_asked_for(void **state)
{
    fake_step step = fake_silence();
    fake_server *server = silent_server(&step, 1);
    int with_thread;
    (void)state;
    expect_on_time(timed_open, fake_server_url(server), SC_ERR_CONNECT);
    fake_server_stop(server);
    for (with_thread = 0; with_thread < 2; with_thread++) {
        timed_client = test_open_url(test_url());
        if (with_thread)
            assert_status(SC_OK, sc_start(timed_client));
        test_expect_text(timed_client, "PONG", "PING", (const char *)NULL);
        fixture_pause(test.server);
        expect_on_time(timed_blocking, NULL, SC_ERR_TIMEOUT);
        expect_on_time(timed_async, NULL, SC_ERR_TIMEOUT);
        fixture_continue(test.server);
        test_expect_text(timed_client, "PONG", "PING", (const char *)NULL);
        assert_status(SC_OK, sc_close(timed_client));
    }
}

static void a_reply_that_comes_late_is_dropped(void **state)
{
    sc_call_options options;
    sc_stats stats;
    (void)state;
    memset(&options, 0, sizeof options);
    options.timeout_ms = 30;
    fixture_pause(test.server);
    assert_status(SC_ERR_TIMEOUT,
                  test_call(test.client, &options, NULL, "ECHO", "late", (const char *)NULL));
    sc_stats_get(test.client, &stats);
    assert_int_equal(stats.timeouts, 1);
    fixture_continue(test.server);
    test_expect_text(test.client, "mine", "ECHO", "mine", (const char *)NULL);
    sc_stats_get(test.client, &stats);
    assert_int_equal(stats.late_replies, 1);
    assert_int_equal(stats.connects, 1); /* on the same connection */
    assert_int_equal(stats.unanswered, 0);
}

#define MIXED_THREADS 8
#define MIXED_ROUNDS 60

typedef struct mixed {
    pthread_t threads[MIXED_THREADS];
    uint32_t stops;    /* atomic */
    uint32_t answered; /* atomic */
    uint32_t late;     /* atomic: calls that timed out */
    uint32_t wrong;    /* atomic: replies that were another's */
    uint32_t others;   /* atomic: other statuses */
    uint32_t next;     /* atomic: numbers the threads */
} mixed;

static void *mixed_run(void *argument)
{
    mixed *self = (mixed *)argument;
    uint32_t thread = __atomic_fetch_add(&self->next, 1, __ATOMIC_RELAXED);
    uint32_t call;
    for (call = 0; !__atomic_load_n(&self->stops, __ATOMIC_ACQUIRE); call++) {
        sc_call_options options;
        sc_slice words[2];
        sc_reply *reply = NULL;
        char text[32];
        sc_status status;
        memset(&options, 0, sizeof options);
        /* A few are patient, so that they outlast every pause. */
        options.timeout_ms =
            (thread + call) % 4 == 0 ? WAIT_WATCHDOG_MS : 1 + (thread * 7 + call) % 40;
        snprintf(text, sizeof text, "%u.%u", thread, call);
        words[0] = sc_text("ECHO");
        words[1] = sc_text(text);
        status = sc_command(test.client, words, 2, &options, &reply);
        if (status == SC_OK && sc_item_expect(sc_reply_item(reply), text) == SC_OK)
            __atomic_add_fetch(&self->answered, 1, __ATOMIC_RELEASE);
        else if (status == SC_OK)
            __atomic_add_fetch(&self->wrong, 1, __ATOMIC_RELEASE);
        else if (status == SC_ERR_TIMEOUT || status == SC_ERR_NOT_SENT)
            __atomic_add_fetch(&self->late, 1, __ATOMIC_RELEASE);
        else
            __atomic_add_fetch(&self->others, 1, __ATOMIC_RELEASE);
        sc_reply_release(reply);
    }
    return NULL;
}

static void a_late_reply_never_reaches_another_call(void **state)
{
    mixed self;
    int i;
    (void)state;
    memset(&self, 0, sizeof self);
    for (i = 0; i < MIXED_THREADS; i++)
        assert_int_equal(pthread_create(&self.threads[i], NULL, mixed_run, &self), 0);
    for (i = 0; i < MIXED_ROUNDS; i++) {
        uint32_t late;
        uint32_t answered;
        fixture_pause(test.server);
        late = __atomic_load_n(&self.late, __ATOMIC_ACQUIRE);
        WAIT_UNTIL(__atomic_load_n(&self.late, __ATOMIC_ACQUIRE) >= late + 2);
        fixture_continue(test.server);
        answered = __atomic_load_n(&self.answered, __ATOMIC_ACQUIRE);
        WAIT_UNTIL(__atomic_load_n(&self.answered, __ATOMIC_ACQUIRE) >= answered + 20);
    }
    __atomic_store_n(&self.stops, 1, __ATOMIC_RELEASE);
    for (i = 0; i < MIXED_THREADS; i++)
        pthread_join(self.threads[i], NULL);
    assert_int_equal(self.wrong, 0);
    assert_int_equal(self.others, 0);
}

static void one_late_call_does_not_end_others(void **state)
{
    sc_call_options options;
    sc_slice words[2];
    outcome patient;
    outcome hasty;
    (void)state;
    memset(&options, 0, sizeof options);
    memset(&patient, 0, sizeof patient);
    memset(&hasty, 0, sizeof hasty);
    words[0] = sc_text("ECHO");
    fixture_pause(test.server);
    options.timeout_ms = 30;
    words[1] = sc_text("hasty");
    assert_status(SC_OK, sc_command_async(test.client, words, 2, &options, outcome_take, &hasty));
    options.timeout_ms = 0;
    words[1] = sc_text("patient");
    assert_status(SC_OK, sc_command_async(test.client, words, 2, &options, outcome_take, &patient));
    outcome_wait(test.client, &hasty);
    assert_status(SC_ERR_TIMEOUT, hasty.status);
    assert_false(outcome_is_in(&patient));
    fixture_continue(test.server);
    outcome_wait(test.client, &patient);
    assert_status(SC_OK, patient.status);
    assert_string_equal(patient.text, "patient");
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

#define MAX_DESCRIPTOR 1024

static void every_descriptor_closes_on_exec(void **state)
{
    bool was_open[MAX_DESCRIPTOR];
    sc_client *client;
    int descriptor;
    int found = 0;
    (void)state;
    for (descriptor = 0; descriptor < MAX_DESCRIPTOR; descriptor++)
        was_open[descriptor] = fcntl(descriptor, F_GETFD) >= 0;
    client = test_open_url(test_url());
    assert_status(SC_OK, sc_start(client));
    test_expect_text(client, "PONG", "PING", (const char *)NULL);
    for (descriptor = 0; descriptor < MAX_DESCRIPTOR; descriptor++) {
        int flags = fcntl(descriptor, F_GETFD);
        if (was_open[descriptor] || flags < 0)
            continue;
        found++;
        assert_true(flags & FD_CLOEXEC);
    }
    assert_true(found > 0);
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

/* --- names and addresses */

typedef struct name_table {
    sc_address addresses[3];
    size_t count;
    sc_status status;
    sc_lookup *kept; /* when `status` is SC_PENDING */
    int calls;
} name_table;

static sc_status name_resolve(void *user, sc_lookup *lookup, const char *host, uint16_t port)
{
    name_table *names = (name_table *)user;
    size_t i;
    names->calls++;
    if (strcmp(host, "the.server") != 0)
        return sc_fail(SC_ERR_RESOLVE, "asked for %s", host);
    for (i = 0; i < names->count; i++)
        names->addresses[i].port = names->addresses[i].port ? names->addresses[i].port : port;
    if (names->status == SC_PENDING)
        names->kept = lookup;
    else if (names->status == SC_OK)
        sc_lookup_done(lookup, SC_OK, names->addresses, names->count);
    else
        sc_lookup_done(lookup, sc_fail(names->status, "no such name"), NULL, 0);
    return SC_OK;
}

static void set_loopback(sc_address *address, uint16_t port)
{
    memset(address, 0, sizeof *address);
    address->family = SC_FAMILY_IPV4;
    address->port = port;
    address->ip[0] = 127;
    address->ip[3] = 1;
}

static sc_config named_config(name_table *names, sc_resolver *resolver, char url[URL_BYTES])
{
    sc_config config;
    memset(names, 0, sizeof *names);
    memset(resolver, 0, sizeof *resolver);
    resolver->user = names;
    resolver->resolve = name_resolve;
    snprintf(url, URL_BYTES, "redis://the.server:%u",
             (unsigned)fixture_endpoint(test.server, WIRE_TCP)->port);
    config = test_config(url);
    config.resolver = resolver;
    return config;
}

static void every_address_of_a_name_is_tried(void **state)
{
    name_table names;
    sc_resolver resolver;
    char url[URL_BYTES];
    sc_config config = named_config(&names, &resolver, url);
    fake_step steps[2];
    fake_script script;
    fake_server *refusing;
    sc_client *client;
    (void)state;
    /* One where nobody listens, one that refuses in the prelude, and the right one. */
    steps[0] = fake_expect(NULL);
    steps[1] = fake_reply("-ERR go away\r\n");
    script.steps = steps;
    script.count = 2;
    script.is_literal = true;
    refusing = fake_server_start(WIRE_TCP, &script, 1);
    set_loopback(&names.addresses[0], endpoint_free_port());
    set_loopback(&names.addresses[1],
                 (uint16_t)strtoul(strrchr(fake_server_url(refusing), ':') + 1, NULL, 10));
    set_loopback(&names.addresses[2], 0);
    names.count = 3;
    client = test_open(&config);
    test_expect_text(client, "PONG", "PING", (const char *)NULL);
    assert_int_equal(fake_server_connections(refusing), 1);
    assert_status(SC_OK, sc_close(client));
    fake_server_stop(refusing);
}

static void a_name_that_is_not_known_is_an_error_with_words(void **state)
{
    name_table names;
    sc_resolver resolver;
    char url[URL_BYTES];
    sc_config config = named_config(&names, &resolver, url);
    sc_client *client = NULL;
    (void)state;
    names.status = SC_ERR_RESOLVE;
    assert_status(SC_ERR_RESOLVE, sc_open(&config, &client));
    assert_null(client);
    assert_error_text_has("no such name");
    assert_error_text_has("the.server");
}

static void a_name_look_up_that_hangs_costs_the_connect_timeout(void **state)
{
    name_table names;
    sc_resolver resolver;
    char url[URL_BYTES];
    sc_config config = named_config(&names, &resolver, url);
    sc_client *client = NULL;
    sc_address late;
    (void)state;
    names.status = SC_PENDING;
    config.connect_timeout_ms = 50;
    assert_status(SC_ERR_RESOLVE, sc_open(&config, &client));
    assert_null(client);
    /* It ends when nobody waits any more. */
    assert_non_null(names.kept);
    set_loopback(&late, 1);
    sc_lookup_done(names.kept, SC_OK, &late, 1);
}

static void localhost_is_found_by_the_platforms_look_up(void **state)
{
    char url[URL_BYTES];
    sc_client *client;
    (void)state;
    snprintf(url, sizeof url, "redis://localhost:%u",
             (unsigned)fixture_endpoint(test.server, WIRE_TCP)->port);
    client = test_open_url(url);
    test_expect_text(client, "PONG", "PING", (const char *)NULL);
    assert_status(SC_OK, sc_close(client));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        bare_unit_test(an_address_where_nobody_listens_is_named),
        bare_unit_test(a_lazy_client_connects_with_its_first_call),
        bare_unit_test(a_server_that_is_down_is_not_stormed),
        bare_unit_test(a_call_that_waits_for_a_server_ends_with_its_deadline),
        bare_unit_test(password_and_database_come_from_the_url),
        bare_unit_test(user_password_and_name_of_the_configuration_win),
        bare_unit_test(wrong_credentials_are_refused_without_showing_them),
        bare_unit_test(a_missing_password_is_an_error_of_credentials),
        bare_unit_test(a_database_that_is_not_there_is_named),
        bare_unit_test(a_server_with_too_many_clients_is_tried_again),
        bare_unit_test(each_answer_of_the_prelude_is_checked),
        bare_unit_test(a_good_prelude_goes_in_one_packet_before_any_command),
        bare_unit_test(a_server_that_is_no_redis_is_refused),
        bare_unit_test(a_server_that_is_loading_is_waited_for),
        bare_unit_test(a_killed_server_is_noticed_and_its_successor_used),
        bare_unit_test(a_call_may_wait_until_the_server_is_back),
        bare_unit_test(a_call_under_way_when_the_server_dies_may_have_been_executed),
        client_unit_test(a_connection_that_was_killed_is_made_anew),
        client_unit_test(a_reply_that_was_lost_is_an_unknown_outcome_and_nothing_is_repeated),
        client_unit_test(an_idempotent_call_whose_reply_was_lost_is_sent_again),
        client_unit_test(of_calls_in_one_packet_only_the_idempotent_are_sent_again),
        bare_unit_test(a_connection_cut_in_the_middle_of_a_reply_is_a_loss),
        bare_unit_test(a_reply_that_is_no_resp_ends_the_connection),
        bare_unit_test(a_reply_in_pieces_is_put_together),
        bare_unit_test(a_stray_reply_does_not_shift_those_after_it),
        bare_unit_test(a_peer_that_is_silent_from_the_start_costs_the_connect_timeout),
        bare_unit_test(a_server_that_never_accepts_costs_the_connect_timeout),
        bare_unit_test(an_idle_connection_that_does_not_answer_is_given_up),
        bare_unit_test(an_idle_connection_that_answers_is_kept),
        bare_unit_test(no_idle_check_is_made_when_it_is_off),
        bare_unit_test(time_outs_come_when_they_were_asked_for),
        client_unit_test(a_reply_that_comes_late_is_dropped),
        client_unit_test(a_late_reply_never_reaches_another_call),
        client_unit_test(one_late_call_does_not_end_others),
        bare_unit_test(a_full_output_queue_refuses_and_loses_nothing),
        bare_unit_test(ten_thousand_reconnects_leak_nothing),
        bare_unit_test(a_peer_that_is_gone_does_not_kill_the_process),
        bare_unit_test(every_descriptor_closes_on_exec),
        bare_unit_test(forked_children_use_connections_of_their_own),
        bare_unit_test(closing_ends_the_calls_that_are_under_way),
        bare_unit_test(closing_nothing_is_fine),
        bare_unit_test(every_address_of_a_name_is_tried),
        bare_unit_test(a_name_that_is_not_known_is_an_error_with_words),
        bare_unit_test(a_name_look_up_that_hangs_costs_the_connect_timeout),
        bare_unit_test(localhost_is_found_by_the_platforms_look_up),
    };
    return run_on_both_wires("connections", tests);
}
