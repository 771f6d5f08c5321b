/* The port for lwIP: the contract of transports and pollers, in both builds, and its clock. */

#include "lwip_host.h"

#include "port_conformance.h"

#include <unistd.h>

/* --- time */

static void the_clock_counts_on_when_lwips_wraps(void **state)
{
    sc_lwip_time time;
    sc_clock clock;
    int64_t before_ns;
    int64_t after_ns;
    (void)state;
    memset(&time, 0, sizeof time);
    time.wall_ms = 1000;
    sc_lwip_clock(&clock, &time);
    before_ns = clock.monotonic_ns(clock.user);
    assert_true(clock.wall_ms(clock.user) >= before_ns / 1000000 + 1000);
    time.last_ms = UINT32_MAX; /* lwIP's clock stood at its end a moment ago */
    after_ns = clock.monotonic_ns(clock.user);
    assert_true(after_ns - before_ns >= (int64_t)UINT32_MAX * 1000000);
    assert_true(clock.monotonic_ns(clock.user) >= after_ns);
}

static void a_client_runs_on_lwips_clock(void **state)
{
    sc_config config = lwip_config(url_of(lwip.by->host, server_port()));
    sc_call_options quick;
    sc_lwip_time time;
    sc_clock clock;
    sc_client *client;
    (void)state;
    memset(&time, 0, sizeof time);
    memset(&quick, 0, sizeof quick);
    quick.timeout_ms = 50;
    sc_lwip_clock(&clock, &time);
    config.clock = &clock;
    client = test_open(&config);
    test_expect_text(client, "PONG", "PING", (const char *)NULL);
    fixture_pause(test.server);
    assert_status(SC_ERR_TIMEOUT, test_call(client, &quick, NULL, "PING", (const char *)NULL));
    fixture_continue(test.server);
    assert_status(SC_OK, sc_close(client));
}

/* --- the contract */

static void *peer_listen(void *user, bool is_refusing, sc_address *address)
{
    static port_transport_subject host;
    const uint8_t slirp[4] = {10, 0, 2, 2};
    void *listener;
    port_posix_peers(&host);
    listener = host.peer_listen(user, is_refusing, address);
    memcpy(address->ip, slirp, sizeof slirp);
    return listener;
}

static bool pair_open(void *user, port_pair *pair)
{
    int ends[2];
    (void)user;
    if (!rig_pair(ends))
        return false;
    pair->watched = ends[0];
    pair->other = ends[1];
    return true;
}

static void pair_fill(port_pair *pair)
{
    rig_send_byte((int)pair->other);
}

static void pair_drain(port_pair *pair)
{
    rig_empty((int)pair->watched);
}

static void pair_choke(port_pair *pair)
{
    rig_choke((int)pair->watched);
}

static void pair_relieve(port_pair *pair)
{
    rig_empty((int)pair->other);
}

static void pair_finish(port_pair *pair)
{
    rig_close((int)pair->other);
    pair->other = -1;
}

static void pair_close_watched(port_pair *pair)
{
    rig_close((int)pair->watched);
}

static void pair_close_other(port_pair *pair)
{
    if (pair->other >= 0)
        pair_finish(pair);
}

#define PAIRS 12 /* of two sockets each, and lwIP keeps those just closed for a while */

static int contract(const build *of)
{
    port_transport_subject transport;
    port_poller_subject poller;
    char name[2][64];
    memset(&transport, 0, sizeof transport);
    memset(&poller, 0, sizeof poller);
    choose(&by_slirp, of);
    rig_lose(0);
    rig_cut(false);
    snprintf(name[0], sizeof name[0], "lwIP's transport (%s)", of->name);
    snprintf(name[1], sizeof name[1], "lwIP's poller (%s)", of->name);
    transport.name = name[0];
    transport.transport = lwip.transport;
    transport.poller = lwip.poller;
    transport.has_threads = true;
    port_posix_peers(&transport);
    transport.peer_listen = peer_listen;
    poller.name = name[1];
    poller.poller = lwip.poller;
    poller.max_pairs = PAIRS;
    poller.has_threads = true;
    poller.pair_open = pair_open;
    poller.pair_fill = pair_fill;
    poller.pair_drain = pair_drain;
    poller.pair_choke = pair_choke;
    poller.pair_relieve = pair_relieve;
    poller.pair_finish = pair_finish;
    poller.pair_close_watched = pair_close_watched;
    poller.pair_close_other = pair_close_other;
    return port_conformance_transport(&transport) + port_conformance_poller(&poller);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        lwip_unit_test(the_clock_counts_on_when_lwips_wraps),
        lwip_unit_test(a_client_runs_on_lwips_clock),
    };
    rig_start();
    rig_slirp();
    choose(&by_slirp, &full);
    test_end(cmocka_run_group_tests_name("lwIP's clock", tests, group_setup, test_group_teardown));
    test_end(contract(&full) + contract(&small));
    return test_end(0) != 0;
}
