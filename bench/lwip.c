/* lwIP, over libslirp: GET of 16 bytes one call at a time, next to lwip_send and lwip_recv of the
   same bytes on a blocking socket of the same stack; and with the poller in place of the receive
   that waits. */

#include "bench.h"

#include "../ports/smartcache_lwip.h"
#include "../tests/lwip/rig.h"

#define GET_REQUEST "*2\r\n$3\r\nGET\r\n$5\r\n" BENCH_KEY "\r\n"
#define GET_REPLY_BYTES (sizeof "$16\r\n" - 1 + BENCH_VALUE_BYTES + sizeof "\r\n" - 1)

typedef struct ends {
    sc_client *client;
    sc_client *polling;
    int bare;
} ends;

static void get(sc_client *client, size_t operations)
{
    while (operations--) {
        sc_reply *reply;
        bench_must(sc_command_strings(client, &reply, "GET", BENCH_KEY, (const char *)NULL) ==
                       SC_OK,
                   "GET");
        bench_must(sc_item_slice(sc_reply_item(reply)).len == BENCH_VALUE_BYTES, "a wrong reply");
        sc_reply_release(reply);
    }
}

static void run_ours(void *user, size_t operations)
{
    get(((const ends *)user)->client, operations);
}

static void run_polling(void *user, size_t operations)
{
    get(((const ends *)user)->polling, operations);
}

static void run_bare(void *user, size_t operations)
{
    int bare = ((const ends *)user)->bare;
    while (operations--)
        bench_must(rig_exchange(bare, GET_REQUEST, sizeof GET_REQUEST - 1, GET_REPLY_BYTES),
                   "bare lwIP: no reply");
}

static sc_client *open_over_lwip(bool receives_soon)
{
    char url[64];
    sc_config config;
    sc_transport transport;
    sc_poller poller;
    sc_client *client;
    sc_lwip_transport(&transport);
    sc_lwip_poller(&poller);
    if (!receives_soon)
        transport.receive_soon = NULL;
    snprintf(url, sizeof url, "redis://" RIG_SLIRP_HOST ":%d", bench_port());
    memset(&config, 0, sizeof config);
    config.url = url;
    config.transport = &transport;
    config.poller = &poller;
    bench_must(sc_open(&config, &client) == SC_OK, "no client");
    return client;
}

int main(void)
{
    ends to;
    bench_put(BENCH_ONE_CORE);
    rig_start();
    rig_slirp();
    to.client = open_over_lwip(true);
    to.polling = open_over_lwip(false);
    to.bare = rig_dial(RIG_SLIRP_HOST, (uint16_t)bench_port());
    bench_store_value(to.client);
    bench_side ours = bench_side_of("ours", run_ours, &to);
    bench_side polling = bench_side_of("ours", run_polling, &to);
    bench_side bare = bench_side_of("lwip", run_bare, &to);
    bench_side *sides[] = {&ours, &polling, &bare};
    bench_compare(sides, 3);
    bench_line_latency("lwip_get_16", &ours, &bare, 1.05);
    bench_line_latency("lwip_get_16_polling", &polling, &bare, 1.20);
    sc_close(to.client);
    sc_close(to.polling);
    return 0;
}
