/* How a connection comes about: opening, credentials, the prelude, names and addresses. */
#include "connection_test.h"
#include "support/fake_server.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define URL_BYTES 256

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

/* --- descriptors */

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
        bare_unit_test(every_descriptor_closes_on_exec),
        bare_unit_test(every_address_of_a_name_is_tried),
        bare_unit_test(a_name_that_is_not_known_is_an_error_with_words),
        bare_unit_test(a_name_look_up_that_hangs_costs_the_connect_timeout),
        bare_unit_test(localhost_is_found_by_the_platforms_look_up),
    };
    return run_on_both_wires("connections", tests);
}
