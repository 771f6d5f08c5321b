#pragma once
/* What the tests of the lwIP port share: the ways from stock lwIP, inside of the program, to a
   redis-server on the host, and the builds of the port. */

#include "smartcache.h"

#include "cache_test.h"
#include "client_test.h"
#include "folder.h"
#include "port.h"
#include "rig.h"

#include <stdio.h>

/* How lwIP reaches the host. */
typedef struct way {
    const char *name;
    const char *host; /* what lwIP calls the host's loopback */
    bool is_relayed;
} way;

static const way by_relay = {"lwIP over its loopback and a relay", "127.0.0.1", true};
static const way by_relay_6 = {"lwIP over its IPv6 loopback and a relay", "[::1]", true};
static const way by_slirp = {"lwIP over libslirp", RIG_SLIRP_HOST, false};
static const way by_tap = {"lwIP over a tap device", RIG_TAP_HOST, false};

/* How the port was built. */
typedef struct build {
    const char *name;
    void (*transport)(sc_transport *table);
    void (*poller)(sc_poller *table);
    void (*resolver)(sc_resolver *table);
} build;

static const build full = {"poll", sc_lwip_transport, sc_lwip_poller, sc_lwip_resolver};
static const build small = {"select, no loopback", port_small_transport, port_small_poller,
                            port_small_resolver};

static struct {
    const way *by;
    const build *of;
    sc_transport transport;
    sc_poller poller;
    sc_resolver resolver;
    char url[128];
    size_t sockets; /* of lwIP, in use before the test */
} lwip;

static inline void choose(const way *by, const build *of)
{
    lwip.by = by;
    lwip.of = of;
    of->transport(&lwip.transport);
    of->poller(&lwip.poller);
    of->resolver(&lwip.resolver);
}

static inline uint16_t server_port(void)
{
    return fixture_endpoint(test.server, WIRE_TCP)->port;
}

static inline const char *url_of(const char *host, unsigned port)
{
    snprintf(lwip.url, sizeof lwip.url, "redis://%s:%u", host, port);
    return lwip.url;
}

static inline sc_config lwip_config(const char *url)
{
    sc_config config = test_config(url);
    config.backoff_min_ms = 1;
    config.backoff_max_ms = 10;
    config.transport = &lwip.transport;
    config.poller = &lwip.poller;
    config.resolver = &lwip.resolver;
    return config;
}

static inline sc_client *lwip_open(void)
{
    sc_config config = lwip_config(url_of(lwip.by->host, server_port()));
    return test_open(&config);
}

/* --- groups */

static inline int group_setup(void **state)
{
    static const char *const everywhere[] = {"--bind", "0.0.0.0", "--protected-mode", "no", NULL};
    (void)state;
    test_begin(WIRE_TCP);
    test_folder();
    test.server = fixture_start(lwip.by == &by_tap ? everywhere : NULL);
    if (test.server && lwip.by->is_relayed)
        rig_relay(server_port());
    return test.server ? 0 : -1;
}

/* libslirp's and the relay's sockets end when they notice: those of the host are not counted. */
static inline int setup(void **state)
{
    rig_lose(0);
    rig_cut(false);
    if (test_setup_bare(state) != 0)
        return -1;
    test.descriptors = SIZE_MAX;
    lwip.sockets = rig_sockets_in_use();
    return 0;
}

static inline int teardown(void **state)
{
    bool is_clean = true;
    if (!lwip.by->is_relayed) {
        WAIT_REACHED(is_clean, rig_sockets_in_use() <= lwip.sockets);
        if (!is_clean)
            fprintf(stderr, "sockets of lwIP were left open\n");
    }
    return test_teardown_bare(state) == 0 && is_clean ? 0 : -1;
}

#define lwip_unit_test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

static inline void until_it_answers(sc_client *client)
{
    WAIT_UNTIL(sc_command_strings(client, NULL, "PING", (const char *)NULL) == SC_OK);
}
