/* TLS on a real redis-server: certificates, words, sessions, everything that a client does. */
#define SMARTCACHE_OPENSSL_IMPLEMENTATION
#define SMARTCACHE_EPOLL_IMPLEMENTATION
#include "openssl_test.h"

#include "fake_server.h"
#include "processes.h"
#include "proxy.h"
#include "smartcache_epoll.h"

#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGE_BYTES ((size_t)64 * 1024 * 1024)

/* The server as most tests want it. */
static void set_server(const char *option, const char *value)
{
    assert_string_equal(
        fixture_command(test.server, "CONFIG", "SET", option, value, (const char *)NULL),
        "+OK\r\n");
}

/* Its private key is read again with the certificate, so that one goes first without effect. */
static void set_certificate(const certificate *shown)
{
    const char *words[] = {"CONFIG",         "SET",          "tls-cert-file",
                           shown->cert_file, "tls-key-file", shown->key_file};
    size_t lens[COUNT_OF(words)];
    size_t i;
    for (i = 0; i < COUNT_OF(words); i++)
        lens[i] = strlen(words[i]);
    assert_string_equal(fixture_command_bytes(test.server, COUNT_OF(words), words, lens, NULL),
                        "+OK\r\n");
}

static int setup(void **state)
{
    if (test_setup_bare(state) != 0)
        return -1;
    set_certificate(&tls_certificates.server);
    set_server("tls-auth-clients", "no");
    set_server("tls-protocols", "");
    set_server("tls-session-caching", "yes");
    return 0;
}

#define tls_unit_test(function) cmocka_unit_test_setup_teardown(function, setup, test_teardown_bare)

/* One attempt to connect as `options` say, to `url`; the result of sc_open. */
static sc_status try_url(const sc_openssl_options *options, const char *url)
{
    sc_openssl *tls = tls_create(options);
    sc_config config = test_config(url);
    sc_transport transport;
    sc_client *client = NULL;
    sc_status status;
    sc_openssl_transport(tls, &transport);
    config.transport = &transport;
    status = sc_open(&config, &client);
    if (status == SC_OK)
        test_expect_text(client, "PONG", "PING", (const char *)NULL);
    if (status == SC_OK)
        assert_status(SC_OK, sc_close(client));
    sc_openssl_free(tls);
    return status;
}

/* The server's URL with another host. */
static const char *url_of(const char *host)
{
    static char url[128];
    snprintf(url, sizeof url, "rediss://%s:%u", host,
             (unsigned)fixture_tls_endpoint(test.server)->port);
    return url;
}

/* --- the server's certificate */

static void a_name_in_the_certificate_is_taken(void **state)
{
    sc_openssl_options options = tls_options();
    (void)state;
    assert_status(SC_OK, try_url(&options, url_of("localhost")));
}

static void an_address_in_the_certificate_is_taken(void **state)
{
    sc_openssl_options options = tls_options();
    (void)state;
    assert_status(SC_OK, try_url(&options, url_of("127.0.0.1")));
    options.server_name = "::1%eth0"; /* the interface is this machine's affair */
    assert_status(SC_OK, try_url(&options, url_of("127.0.0.1")));
    options.server_name = "::2";
    assert_status(SC_ERR_CONNECT, try_url(&options, url_of("127.0.0.1")));
    assert_error_text_has("not for \"::2\"");
}

static void a_name_that_the_certificate_does_not_bear_is_refused(void **state)
{
    sc_openssl_options options = tls_options();
    (void)state;
    set_certificate(&tls_certificates.elsewhere);
    assert_status(SC_ERR_CONNECT, try_url(&options, url_of("localhost")));
    assert_error_text_has("the server's certificate is not for \"localhost\"");
    assert_error_text_has("sc_openssl_options.server_name");
}

static void an_address_that_the_certificate_does_not_bear_is_refused(void **state)
{
    sc_openssl_options options = tls_options();
    (void)state;
    set_certificate(&tls_certificates.elsewhere);
    assert_status(SC_ERR_CONNECT, try_url(&options, url_of("127.0.0.1")));
    assert_error_text_has("the server's certificate is not for \"127.0.0.1\"");
}

static void server_name_stands_above_the_url(void **state)
{
    sc_openssl_options options = tls_options();
    (void)state;
    options.server_name = "redis.example";
    assert_status(SC_ERR_CONNECT, try_url(&options, url_of("127.0.0.1")));
    assert_error_text_has("\"redis.example\"");
    set_certificate(&tls_certificates.elsewhere);
    assert_status(SC_OK, try_url(&options, url_of("127.0.0.1")));
    options.server_name = "redis.example."; /* the root's dot */
    assert_status(SC_OK, try_url(&options, url_of("127.0.0.1")));
    options.server_name = "any.wild.example";
    assert_status(SC_OK, try_url(&options, url_of("127.0.0.1")));
}

static void a_wildcard_stands_for_one_label(void **state)
{
    sc_openssl_options options = tls_options();
    (void)state;
    set_certificate(&tls_certificates.elsewhere);
    options.server_name = "one.two.wild.example";
    assert_status(SC_ERR_CONNECT, try_url(&options, url_of("127.0.0.1")));
    assert_error_text_has("not for \"one.two.wild.example\"");
}

static void an_authority_that_is_not_trusted_is_refused(void **state)
{
    sc_openssl_options options = tls_options();
    (void)state;
    options.ca_file = tls_certificates.stranger.cert_file;
    assert_status(SC_ERR_CONNECT, try_url(&options, url_of("127.0.0.1")));
    assert_error_text_has("the server's certificate is refused: ");
    assert_error_text_has("sc_openssl_options.ca_file");
    options.ca_file = NULL; /* the system's know nothing of it */
    assert_status(SC_ERR_CONNECT, try_url(&options, url_of("127.0.0.1")));
    assert_error_text_has("sc_openssl_options.ca_file");
}

static void an_expired_certificate_is_refused(void **state)
{
    sc_openssl_options options = tls_options();
    (void)state;
    set_certificate(&tls_certificates.expired);
    assert_status(SC_ERR_CONNECT, try_url(&options, url_of("127.0.0.1")));
    assert_error_text_has("certificate has expired");
}

static void a_folder_of_authorities_is_searched(void **state)
{
    sc_openssl_options options;
    char folder[CERTIFICATE_PATH_BYTES];
    char link_path[CERTIFICATE_PATH_BYTES + 32];
    (void)state;
    memset(&options, 0, sizeof options);
    snprintf(folder, sizeof folder, "%s/authorities", test_folder());
    assert_int_equal(mkdir(folder, 0700), 0);
    options.ca_dir = folder;
    assert_status(SC_ERR_CONNECT, try_url(&options, url_of("127.0.0.1")));
    snprintf(link_path, sizeof link_path, "%s/%08lx.0", folder,
             X509_NAME_hash(X509_get_subject_name(tls_certificates.authority.x509)));
    assert_int_equal(symlink(tls_certificates.authority.cert_file, link_path), 0);
    assert_status(SC_OK, try_url(&options, url_of("127.0.0.1")));
}

static void the_insecure_switch_trusts_any_server(void **state)
{
    sc_openssl_options options;
    (void)state;
    memset(&options, 0, sizeof options);
    options.insecure_trust_any_server = true;
    set_certificate(&tls_certificates.elsewhere);
    assert_status(SC_OK, try_url(&options, url_of("127.0.0.1")));
}

/* --- the client's certificate */

static void client_certificate_on(const char *protocols)
{
    sc_openssl_options options = tls_options();
    set_server("tls-auth-clients", "yes");
    set_server("tls-protocols", protocols);
    assert_status(SC_ERR_CONNECT, try_url(&options, url_of("127.0.0.1")));
    assert_error_text_has("TLS: the server refuses: ");
    assert_error_text_has("set sc_openssl_options.cert_file and key_file");
    options.cert_file = tls_certificates.client.cert_file;
    options.key_file = tls_certificates.client.key_file;
    assert_status(SC_OK, try_url(&options, url_of("127.0.0.1")));
}

static void a_server_that_wants_a_client_certificate_gets_it(void **state)
{
    (void)state;
    client_certificate_on("TLSv1.3");
}

static void a_server_of_tls_1_2_that_wants_a_client_certificate_gets_it(void **state)
{
    (void)state;
    client_certificate_on("TLSv1.2");
}

static void a_client_certificate_of_a_stranger_is_refused_with_the_servers_words(void **state)
{
    sc_openssl_options options = tls_options();
    (void)state;
    set_server("tls-auth-clients", "yes");
    options.cert_file = tls_certificates.stranger.cert_file;
    options.key_file = tls_certificates.stranger.key_file;
    assert_status(SC_ERR_CONNECT, try_url(&options, url_of("127.0.0.1")));
    assert_error_text_has("TLS: the server refuses: ");
}

static void an_encrypted_key_is_opened_by_its_password(void **state)
{
    sc_openssl_options options = tls_options();
    (void)state;
    set_server("tls-auth-clients", "yes");
    options.cert_file = tls_certificates.locked.cert_file;
    options.key_file = tls_certificates.locked.key_file;
    options.key_password = CERTIFICATE_PASSWORD;
    assert_status(SC_OK, try_url(&options, url_of("127.0.0.1")));
}

/* --- options */

static void refuse(const sc_openssl_options *options, const char *first, const char *second)
{
    sc_openssl *tls = (sc_openssl *)1;
    assert_status(SC_ERR_ARGUMENT, sc_openssl_create(options, &tls));
    assert_null(tls);
    assert_error_text_has(first);
    assert_error_text_has(second);
}

static void wrong_options_are_refused_by_name(void **state)
{
    sc_openssl_options options = tls_options();
    (void)state;
    options.ca_file = "/nowhere/ca.pem";
    refuse(&options, "ca_file \"/nowhere/ca.pem\"", "No such file");
    options.ca_file = tls_certificates.authority.key_file; /* a PEM file without a certificate */
    refuse(&options, "ca_file", "no certificate");
    options = tls_options();
    options.cert_file = "/nowhere/client.pem";
    refuse(&options, "cert_file \"/nowhere/client.pem\"", "No such file");
    options.cert_file = tls_certificates.client.cert_file;
    refuse(&options, "key_file", "the key of cert_file"); /* cert_file has none in it */
    options.key_file = "/nowhere/client.key";
    refuse(&options, "key_file \"/nowhere/client.key\"", "No such file");
    options.key_file = tls_certificates.server.key_file;
    refuse(&options, "key_file", "key values mismatch");
    options.cert_file = tls_certificates.locked.cert_file;
    options.key_file = tls_certificates.locked.key_file;
    refuse(&options, "key_file", "key_password");
    options.key_password = "open";
    refuse(&options, "key_file", "key_password");
    options.cert_file = NULL;
    refuse(&options, "key_file", "cert_file");
}

static void without_a_host_a_server_name_is_needed(void **state)
{
    sc_openssl_options options = tls_options();
    char url[160];
    (void)state;
    snprintf(url, sizeof url, "unix://%s/none.sock", test_folder());
    assert_status(SC_ERR_CONNECT, try_url(&options, url));
    assert_error_text_has("sc_openssl_options.server_name");
    options.server_name = "localhost";
    assert_status(SC_ERR_CONNECT, try_url(&options, url));
    assert_error_text_has("no such file"); /* of the transport below */
}

static void rediss_without_a_transport_is_refused(void **state)
{
    sc_config config = test_config(tls_url);
    sc_client *client = NULL;
    (void)state;
    config.transport = NULL;
    assert_status(SC_ERR_UNSUPPORTED, sc_open(&config, &client));
    assert_error_text_has("smartcache_openssl.h");
}

/* --- handshakes that do not end well */

static void a_server_without_tls_is_told_from_one_with(void **state)
{
    fake_step steps[2];
    fake_script script;
    fake_server *server;
    sc_openssl_options options = tls_options();
    (void)state;
    memset(&script, 0, sizeof script);
    steps[0] = fake_reply("-ERR Protocol error: expected '$'\r\n");
    steps[1] = fake_silence();
    script.steps = steps;
    script.count = COUNT_OF(steps);
    script.is_literal = true;
    server = fake_server_start(WIRE_TCP, &script, 1);
    assert_status(SC_ERR_CONNECT, try_url(&options, fake_server_url(server)));
    assert_error_text_has("the server answers without TLS");
    fake_server_stop(server);
}

static void a_server_that_stays_silent_is_given_up_at_the_deadline(void **state)
{
    fake_step steps[1];
    fake_script script;
    fake_server *server;
    sc_config config;
    sc_client *client = NULL;
    (void)state;
    memset(&script, 0, sizeof script);
    steps[0] = fake_silence();
    script.steps = steps;
    script.count = COUNT_OF(steps);
    server = fake_server_start(WIRE_TCP, &script, 1);
    config = test_config(fake_server_url(server));
    config.connect_timeout_ms = 50;
    assert_status(SC_ERR_CONNECT, sc_open(&config, &client));
    assert_error_text_has("connect_timeout_ms");
    fake_server_stop(server);
}

static void a_connection_that_is_cut_in_the_handshake_is_made_again(void **state)
{
    proxy *relay = proxy_start(WIRE_TCP, fixture_tls_endpoint(test.server));
    sc_openssl_options options = tls_options();
    (void)state;
    proxy_lose_reply(relay, NULL); /* the server's first answer: the middle of the handshake */
    assert_status(SC_ERR_CONNECT, try_url(&options, proxy_url(relay)));
    assert_error_text_has("closed during the handshake");
    assert_int_equal(proxy_lost_replies(relay), 1);
    assert_status(SC_OK, try_url(&options, proxy_url(relay)));
    proxy_stop(relay);
}

static void a_connection_that_is_cut_later_is_lost_and_made_again(void **state)
{
    proxy *relay = proxy_start(WIRE_TCP, fixture_tls_endpoint(test.server));
    sc_client *client = test_open_url(proxy_url(relay));
    sc_call_options again;
    uint64_t resumed;
    (void)state;
    memset(&again, 0, sizeof again);
    again.idempotent = true;
    test_expect_text(client, "PONG", "PING", (const char *)NULL);
    resumed = sc_openssl_resumptions(tls_shared);
    proxy_lose_reply(relay, NULL);
    assert_status(SC_ERR_DISCONNECTED,
                  sc_command_strings(client, NULL, "GET", "k", (const char *)NULL));
    assert_error_text_has("without close_notify");
    assert_status(SC_OK, test_call(client, &again, NULL, "GET", "k", (const char *)NULL));
    assert_int_equal(sc_openssl_resumptions(tls_shared), resumed + 1);
    assert_status(SC_OK, sc_close(client));
    proxy_stop(relay);
}

static void a_server_that_closes_says_so(void **state)
{
    sc_client *client = test_open_url(tls_url);
    (void)state;
    assert_int_equal(fixture_cut_clients(test.server, "normal"), 1);
    assert_status(SC_ERR_DISCONNECTED,
                  sc_command_strings(client, NULL, "BLPOP", "k", "60", (const char *)NULL));
    assert_error_text_has("the server closed the connection");
    assert_status(SC_OK, sc_close(client));
}

/* --- sessions */

static void reconnect_on(const char *protocols)
{
    sc_openssl_options options = tls_options();
    sc_openssl *tls = tls_create(&options);
    sc_config config = test_config(tls_url);
    sc_transport transport;
    sc_client *client;
    uint64_t round;
    set_server("tls-protocols", protocols);
    sc_openssl_transport(tls, &transport);
    config.transport = &transport;
    config.wait_while_down = true;
    client = test_open(&config);
    test_expect_text(client, "PONG", "PING", (const char *)NULL);
    for (round = 0; round < 3; round++) {
        sc_call_options again;
        memset(&again, 0, sizeof again);
        again.idempotent = true;
        assert_int_equal(sc_openssl_resumptions(tls), round);
        assert_int_equal(fixture_cut_clients(test.server, "normal"), 1);
        assert_status(SC_OK, test_call(client, &again, NULL, "PING", (const char *)NULL));
    }
    assert_int_equal(sc_openssl_resumptions(tls), 3);
    assert_status(SC_OK, sc_close(client));
    /* another client of the same object resumes it as well; another name does not */
    client = test_open(&config);
    assert_int_equal(sc_openssl_resumptions(tls), 4);
    assert_status(SC_OK, sc_close(client));
    config.url = url_of("localhost");
    client = test_open(&config);
    assert_int_equal(sc_openssl_resumptions(tls), 4);
    assert_status(SC_OK, sc_close(client));
    sc_openssl_free(tls);
}

static void a_reconnect_resumes_the_session(void **state)
{
    (void)state;
    reconnect_on("TLSv1.3");
}

static void a_reconnect_resumes_the_session_of_tls_1_2(void **state)
{
    (void)state;
    reconnect_on("TLSv1.2");
}

static void a_session_that_a_server_has_forgotten_costs_a_full_handshake(void **state)
{
    sc_openssl_options options = tls_options();
    sc_openssl *tls = tls_create(&options);
    sc_config config = test_config(tls_url);
    sc_transport transport;
    sc_client *client;
    (void)state;
    sc_openssl_transport(tls, &transport);
    config.transport = &transport;
    client = test_open(&config);
    fixture_kill(test.server);
    assert_true(fixture_restart(test.server));
    assert_status(SC_OK, sc_close(client));
    client = test_open(&config);
    test_expect_text(client, "PONG", "PING", (const char *)NULL);
    assert_int_equal(sc_openssl_resumptions(tls), 0);
    assert_status(SC_OK, sc_close(client));
    sc_openssl_free(tls);
}

/* A server that asks for client certificates and does not cache sessions breaks off when one is
   resumed: OpenSSL calls it "session id context uninitialized". */
static void break_off_on(const char *protocols)
{
    sc_openssl_options options = tls_options();
    sc_config config = test_config(tls_url);
    sc_transport transport;
    sc_openssl *tls;
    sc_client *client = NULL;
    size_t failures = 0;
    int round;
    options.cert_file = tls_certificates.client.cert_file;
    options.key_file = tls_certificates.client.key_file;
    tls = tls_create(&options);
    set_server("tls-protocols", protocols);
    set_server("tls-auth-clients", "yes");
    set_server("tls-session-caching", "no");
    sc_openssl_transport(tls, &transport);
    config.transport = &transport;
    for (round = 0; round < 4; round++) {
        if (sc_open(&config, &client) != SC_OK) {
            assert_error_text_has("TLS: the server refuses: ");
            failures++;
            continue;
        }
        test_expect_text(client, "PONG", "PING", (const char *)NULL);
        assert_status(SC_OK, sc_close(client));
    }
    assert_true(failures <= 1);
    assert_int_equal(sc_openssl_resumptions(tls), 0);
    sc_openssl_free(tls);
}

static void a_server_that_breaks_off_when_a_session_is_resumed_is_not_asked_again(void **state)
{
    (void)state;
    break_off_on("TLSv1.3");
}

static void a_server_of_tls_1_2_that_breaks_off_likewise_is_not_asked_again(void **state)
{
    (void)state;
    break_off_on("TLSv1.2");
}

/* --- what clients do */

static void sixty_four_mebibytes_go_both_ways(void **state)
{
    sc_client *client = test_open_url(tls_url);
    char *value = (char *)malloc(LARGE_BYTES);
    uint32_t x = 1;
    sc_slice argv[3];
    sc_slice bytes;
    sc_reply *reply = NULL;
    size_t i;
    (void)state;
    assert_non_null(value);
    for (i = 0; i < LARGE_BYTES; i++) {
        x = x * 1664525u + 1013904223u;
        value[i] = (char)(x >> 24);
    }
    argv[0] = sc_text("SET");
    argv[1] = sc_text("large");
    argv[2] = sc_bytes(value, LARGE_BYTES);
    assert_status(SC_OK, sc_command(client, argv, 3, NULL, NULL));
    argv[0] = sc_text("GET");
    assert_status(SC_OK, sc_command(client, argv, 2, NULL, &reply));
    bytes = sc_item_slice(sc_reply_item(reply));
    assert_int_equal(bytes.len, LARGE_BYTES);
    assert_true(memcmp(bytes.data, value, LARGE_BYTES) == 0);
    sc_reply_release(reply);
    free(value);
    assert_status(SC_OK, sc_close(client));
}

/* Values in small pieces, so that most of a record of TLS waits inside. */

typedef struct piecewise {
    size_t at;
    size_t wrong;
} piecewise;

static char piecewise_byte(size_t at)
{
    return (char)(at * 31 + at / 997);
}

static sc_status piecewise_fill(void *user, void *buffer, size_t cap, size_t *filled)
{
    piecewise *self = (piecewise *)user;
    size_t i;
    *filled = cap;
    for (i = 0; i < cap; i++)
        ((char *)buffer)[i] = piecewise_byte(self->at++);
    return SC_OK;
}

static sc_status piecewise_check(void *user, size_t total, sc_slice piece)
{
    piecewise *self = (piecewise *)user;
    size_t i;
    (void)total;
    for (i = 0; i < piece.len; i++)
        self->wrong += piece.data[i] != piecewise_byte(self->at++);
    return SC_OK;
}

#define PIECEWISE_BYTES ((size_t)3 * 1024 * 1024 + 17)

static void piecewise_transfer(sc_client *client)
{
    sc_slice argv[2];
    piecewise up;
    piecewise down;
    memset(&up, 0, sizeof up);
    memset(&down, 0, sizeof down);
    argv[0] = sc_text("SET");
    argv[1] = sc_text("pieces");
    assert_status(SC_OK,
                  sc_upload(client, argv, 2, PIECEWISE_BYTES, piecewise_fill, &up, NULL, NULL));
    argv[0] = sc_text("GET");
    assert_status(SC_OK, sc_download(client, argv, 2, piecewise_check, &down, NULL));
    assert_int_equal(down.at, PIECEWISE_BYTES);
    assert_int_equal(down.wrong, 0);
}

static void what_waits_inside_a_record_is_not_forgotten(void **state)
{
    sc_config config = test_config(tls_url);
    sc_client *client;
    (void)state;
    config.receive_buffer_bytes = 1024;
    client = test_open(&config);
    piecewise_transfer(client);
    assert_status(SC_OK, sc_start(client)); /* and with another thread that waits for the socket */
    piecewise_transfer(client);
    assert_status(SC_OK, sc_close(client));
}

static void values_arrive_through_a_transport_that_cannot_wait(void **state)
{
    sc_openssl_options options = tls_options();
    sc_config config = test_config(tls_url);
    sc_transport inner;
    sc_transport transport;
    sc_openssl *tls;
    (void)state;
    assert_true(sc_platform_transport(&inner));
    inner.receive_soon = NULL;
    options.transport = &inner;
    tls = tls_create(&options);
    sc_openssl_transport(tls, &transport);
    assert_null(transport.receive_soon);
    config.transport = &transport;
    config.receive_buffer_bytes = 1024;
    test.client = test_open(&config);
    piecewise_transfer(test.client);
    assert_status(SC_OK, sc_start(test.client));
    piecewise_transfer(test.client);
    assert_status(SC_OK, sc_close(test.client));
    sc_openssl_free(tls);
}

/* The poller does not see what lies inside TLS, and the program's loop waits for the poller alone. No
   timer is near that would hide a lapse. */
static void one_descriptor_tells_of_what_waits_inside_a_record(void **state)
{
    static const char script[] = "for i = 1, 3000 do redis.call('RPUSH', KEYS[1], i) end";
    sc_config config = test_config(tls_url);
    sc_poller poller;
    sc_slice words[4];
    outcome result;
    (void)state;
    fixture_command(test.server, "EVAL", script, "1", "list", (const char *)NULL);
    words[0] = sc_text("LRANGE");
    words[1] = sc_text("list");
    words[2] = sc_text("0");
    words[3] = sc_text("-1");
    sc_epoll_poller(&poller);
    config.poller = &poller;
    config.polled = true;
    config.receive_buffer_bytes = 256;
    config.timeout_ms = -1;
    config.idle_check_ms = -1;
    test.client = test_open(&config);
    memset(&result, 0, sizeof result);
    assert_status(SC_OK, sc_command_async(test.client, words, 4, NULL, outcome_take, &result));
    while (!outcome_is_in(&result)) {
        struct pollfd host = {sc_epoll_fd(test.client), POLLIN, 0};
        assert_int_equal(poll(&host, 1, WAIT_WATCHDOG_MS), 1);
        assert_status(SC_OK, sc_epoll_run(test.client));
    }
    assert_status(SC_OK, result.status);
    assert_status(SC_OK, sc_close(test.client));
}

/* The inner stream gives and takes one byte at a time. */

static sc_transport whole;

static sc_status bytewise_transmit(void *stream, const void *data, size_t len, size_t *sent)
{
    (void)len;
    return whole.transmit(stream, data, 1, sent);
}

static sc_status bytewise_receive(void *stream, void *buffer, size_t cap, size_t *received)
{
    (void)cap;
    return whole.receive(stream, buffer, 1, received);
}

static sc_status bytewise_receive_soon(void *stream, void *buffer, size_t cap, size_t *received)
{
    (void)cap;
    return whole.receive_soon(stream, buffer, 1, received);
}

static void tls_goes_over_a_transport_of_single_bytes(void **state)
{
    sc_openssl_options options = tls_options();
    sc_config config = test_config(tls_url);
    sc_transport bytewise;
    sc_transport transport;
    sc_openssl *tls;
    sc_client *client;
    int i;
    (void)state;
    assert_true(sc_platform_transport(&whole));
    bytewise = whole;
    bytewise.transmit = bytewise_transmit;
    bytewise.receive = bytewise_receive;
    bytewise.receive_soon = bytewise_receive_soon;
    options.transport = &bytewise;
    tls = tls_create(&options);
    sc_openssl_transport(tls, &transport);
    config.transport = &transport;
    client = test_open(&config);
    for (i = 1; i <= 10; i++)
        test_expect_integer(client, i, "INCR", "n", (const char *)NULL);
    assert_status(SC_OK, sc_close(client));
    sc_openssl_free(tls);
}

typedef struct heard {
    uint32_t count; /* atomic */
    uint32_t wrong; /* atomic */
} heard;

static void hear(void *user, sc_status status, const sc_message *message)
{
    heard *all = (heard *)user;
    if (status != SC_OK || message->payload.len != 5)
        __atomic_add_fetch(&all->wrong, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&all->count, 1, __ATOMIC_RELEASE);
}

static void messages_arrive(void **state)
{
    sc_client *client = test_open_url(tls_url);
    sc_subscription subscription;
    heard all;
    int i;
    (void)state;
    memset(&all, 0, sizeof all);
    assert_status(SC_OK, sc_subscribe(client, sc_text("news"), hear, &all, &subscription));
    for (i = 0; i < 100; i++)
        test_expect_integer(client, 1, "PUBLISH", "news", "hello", (const char *)NULL);
    WAIT_UNTIL(__atomic_load_n(&all.count, __ATOMIC_ACQUIRE) == 100);
    assert_int_equal(all.wrong, 0);
    assert_status(SC_OK, sc_unsubscribe(client, subscription));
    assert_status(SC_OK, sc_close(client));
}

#define LOADERS 8

typedef struct load_one {
    pthread_t thread;
    sc_cache *cache;
    uint32_t *loads; /* atomic */
    sc_status status;
    bool is_right;
} load_one;

static sc_status load_value(sc_load *load, void *user)
{
    __atomic_add_fetch((uint32_t *)user, 1, __ATOMIC_RELAXED);
    return sc_load_write_text(load, "loaded under TLS");
}

static void *load_run(void *argument)
{
    load_one *self = (load_one *)argument;
    sc_value *value = NULL;
    self->status = sc_get_or_load(self->cache, sc_text("k"), load_value, self->loads, NULL, &value);
    self->is_right =
        self->status == SC_OK && strcmp(sc_value_bytes(value).data, "loaded under TLS") == 0;
    sc_value_release(value);
    return NULL;
}

/* Several clients, one object; half of the threads on each. */
static void threads_on_two_clients_load_once(void **state)
{
    sc_client *clients[2];
    sc_cache *caches[2];
    load_one all[LOADERS];
    uint32_t loads = 0;
    size_t i;
    (void)state;
    for (i = 0; i < 2; i++) {
        clients[i] = test_open_url(tls_url);
        assert_status(SC_OK, sc_cache_open(clients[i], NULL, &caches[i]));
    }
    for (i = 0; i < LOADERS; i++) {
        all[i].cache = caches[i % 2];
        all[i].loads = &loads;
        assert_int_equal(pthread_create(&all[i].thread, NULL, load_run, &all[i]), 0);
    }
    for (i = 0; i < LOADERS; i++)
        pthread_join(all[i].thread, NULL);
    for (i = 0; i < LOADERS; i++)
        assert_true(all[i].is_right);
    assert_int_equal(loads, 1);
    for (i = 0; i < 2; i++) {
        sc_cache_close(caches[i]);
        assert_status(SC_OK, sc_close(clients[i]));
    }
}

static sc_client *forked_client;

static int forked_child(processes *shared, size_t index, void *user)
{
    const int64_t *parents_id = (const int64_t *)user;
    sc_reply *reply = NULL;
    int64_t id = 0;
    (void)shared;
    (void)index;
    if (sc_command_strings(forked_client, &reply, "CLIENT", "ID", (const char *)NULL) != SC_OK ||
        sc_item_integer(sc_reply_item(reply), &id) != SC_OK || id == *parents_id)
        return 1;
    sc_reply_release(reply);
    return sc_close(forked_client) == SC_OK ? 0 : 2;
}

static void a_forked_child_has_a_connection_of_its_own(void **state)
{
    sc_config config = test_config(tls_url);
    sc_reply *reply = NULL;
    processes *child;
    int64_t id = 0;
    (void)state;
    config.memory = NULL;
    forked_client = test_open(&config);
    assert_status(SC_OK,
                  sc_command_strings(forked_client, &reply, "CLIENT", "ID", (const char *)NULL));
    assert_status(SC_OK, sc_item_integer(sc_reply_item(reply), &id));
    sc_reply_release(reply);
    child = processes_start(1, forked_child, &id);
    assert_true(processes_join(child));
    processes_free(child);
    test_expect_integer(forked_client, id, "CLIENT", "ID", (const char *)NULL);
    assert_status(SC_OK, sc_close(forked_client));
}

/* Whatever allocation of the client's memory fails: an error, no leak, and then all is well. */
static void every_allocation_may_fail(void **state)
{
    size_t request = 0;
    sc_status status = SC_ERR_MEMORY;
    (void)state;
    while (status != SC_OK) {
        sc_config config = test_config(tls_url);
        sc_client *client = NULL;
        fault_memory_fail(test.memory, ++request, false);
        status = sc_open(&config, &client);
        if (status == SC_OK)
            status = sc_command_strings(client, NULL, "ECHO", "hello", (const char *)NULL);
        if (status == SC_OK && fault_memory_failures(test.memory) > 0)
            status = SC_ERR_MEMORY; /* it did without */
        fault_memory_fail(test.memory, 0, false);
        fault_memory_restart_counts(test.memory);
        assert_true(status == SC_OK || status == SC_ERR_MEMORY || status == SC_ERR_CONNECT ||
                    status == SC_ERR_DISCONNECTED);
        assert_status(SC_OK, sc_close(client));
        assert_int_equal(fault_memory_live_blocks(test.memory), 0);
    }
    assert_true(request > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        tls_unit_test(a_name_in_the_certificate_is_taken),
        tls_unit_test(an_address_in_the_certificate_is_taken),
        tls_unit_test(a_name_that_the_certificate_does_not_bear_is_refused),
        tls_unit_test(an_address_that_the_certificate_does_not_bear_is_refused),
        tls_unit_test(server_name_stands_above_the_url),
        tls_unit_test(a_wildcard_stands_for_one_label),
        tls_unit_test(an_authority_that_is_not_trusted_is_refused),
        tls_unit_test(an_expired_certificate_is_refused),
        tls_unit_test(a_folder_of_authorities_is_searched),
        tls_unit_test(the_insecure_switch_trusts_any_server),
        tls_unit_test(a_server_that_wants_a_client_certificate_gets_it),
        tls_unit_test(a_server_of_tls_1_2_that_wants_a_client_certificate_gets_it),
        tls_unit_test(a_client_certificate_of_a_stranger_is_refused_with_the_servers_words),
        tls_unit_test(an_encrypted_key_is_opened_by_its_password),
        tls_unit_test(wrong_options_are_refused_by_name),
        tls_unit_test(without_a_host_a_server_name_is_needed),
        tls_unit_test(rediss_without_a_transport_is_refused),
        tls_unit_test(a_server_without_tls_is_told_from_one_with),
        tls_unit_test(a_server_that_stays_silent_is_given_up_at_the_deadline),
        tls_unit_test(a_connection_that_is_cut_in_the_handshake_is_made_again),
        tls_unit_test(a_connection_that_is_cut_later_is_lost_and_made_again),
        tls_unit_test(a_server_that_closes_says_so),
        tls_unit_test(a_reconnect_resumes_the_session),
        tls_unit_test(a_reconnect_resumes_the_session_of_tls_1_2),
        tls_unit_test(a_session_that_a_server_has_forgotten_costs_a_full_handshake),
        tls_unit_test(a_server_that_breaks_off_when_a_session_is_resumed_is_not_asked_again),
        tls_unit_test(a_server_of_tls_1_2_that_breaks_off_likewise_is_not_asked_again),
        tls_unit_test(sixty_four_mebibytes_go_both_ways),
        tls_unit_test(what_waits_inside_a_record_is_not_forgotten),
        tls_unit_test(values_arrive_through_a_transport_that_cannot_wait),
        tls_unit_test(one_descriptor_tells_of_what_waits_inside_a_record),
        tls_unit_test(tls_goes_over_a_transport_of_single_bytes),
        tls_unit_test(messages_arrive),
        tls_unit_test(threads_on_two_clients_load_once),
        tls_unit_test(a_forked_child_has_a_connection_of_its_own),
        tls_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("TLS on redis-server", tests, tls_group_setup,
                                       tls_group_teardown);
}
