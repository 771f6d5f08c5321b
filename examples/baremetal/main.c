/* A board without an operating system as a member of the fleet. It keeps a setting, shares what it
   loads and what others load, and takes orders by publish/subscribe:

       report    get the report; it is loaded by whoever is asked first, and once
       measure   begin a measurement, which others may wait for as well
       trigger   the measurement is done
       stop      end

   After each it says what it has by RPUSH to example:board:answers. The command line is the URL of
   the server. README.md tells how to build and run it. */

#include "board.h"
#include "network.h"

#include "smartcache_lwip.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX "example:board:"
#define CHANNEL_ORDERS PREFIX "orders"
#define KEY_ANSWERS PREFIX "answers"
#define KEY_SETTING PREFIX "setting"
#define KEY_LOG PREFIX "log"

enum { PATIENCE_S = 60, TURN_MS = 1000, LOG_BYTES = 200 * 1024, ORDER_BYTES = 16 };

/* Everything there is. An order is taken by the main loop, since it blocks and a callback of the
   client should not. */
typedef struct program {
    sc_client *client;
    sc_cache *cache;
    sc_subscription orders;
    char order[ORDER_BYTES]; /* "" when there is none */
    sc_load *measurement;    /* under way, or NULL */
    bool is_done;            /* with the measurement, and its value is published */
} program;

static int failed(const char *what, sc_status status)
{
    printf("%s: %s: %s\n", what, sc_status_name(status), sc_error_text());
    return EXIT_FAILURE;
}

static void print_usage(const char *when)
{
    board_usage usage;
    board_usage_get(&usage);
    printf("memory %s: client %u bytes in %u blocks, at most %u; heap %u; stack %u\n", when,
           (unsigned)usage.used_bytes, (unsigned)usage.blocks, (unsigned)usage.most_bytes,
           (unsigned)usage.heap_bytes, (unsigned)usage.stack_bytes);
}

/* The tables and sizes of a small device; what is left out has the default. */
static sc_status open_client(const char *url, sc_client **client)
{
    sc_transport transport;
    sc_poller poller;
    sc_config config;
    memset(&config, 0, sizeof config);
    sc_lwip_transport(&transport);
    sc_lwip_poller(&poller);
    config.url = url;
    config.client_name = "board";
    config.polled = true;
    config.receive_buffer_bytes = 1024;
    config.max_output_bytes = 16 * 1024;
    config.memory = &board_memory;
    config.clock = &board_clock;
    config.random = &board_random;
    config.transport = &transport;
    config.poller = &poller;
    return sc_open(&config, client);
}

static sc_status set_and_get(sc_client *client)
{
    sc_reply *reply = NULL;
    sc_status status =
        sc_command_strings(client, NULL, "SET", KEY_SETTING, "21.5", (const char *)NULL);
    if (status == SC_OK)
        status = sc_command_strings(client, &reply, "GET", KEY_SETTING, (const char *)NULL);
    if (status == SC_OK) {
        sc_slice setting = sc_item_slice(sc_reply_item(reply));
        printf("the setting is %.*s\n", (int)setting.len, setting.data);
    }
    sc_reply_release(reply);
    return status;
}

/* Position and check sum of a log that is larger than the board's memory. */
typedef struct log_position {
    uint32_t noise;
    size_t bytes;
    uint32_t sum;
} log_position;

static void log_add(log_position *log, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        log->sum = log->sum * 31 + (unsigned char)bytes[i];
    log->bytes += len;
}

static sc_status next_log_bytes(void *user, void *buffer, size_t cap, size_t *filled)
{
    log_position *log = (log_position *)user;
    char *bytes = (char *)buffer;
    *filled = cap < LOG_BYTES - log->bytes ? cap : LOG_BYTES - log->bytes;
    for (size_t i = 0; i < *filled; i++) {
        log->noise = log->noise * 1664525u + 1013904223u;
        bytes[i] = (char)(log->noise >> 24);
    }
    log_add(log, bytes, *filled);
    return SC_OK;
}

static sc_status take_log_bytes(void *user, size_t total, sc_slice piece)
{
    (void)total;
    log_add((log_position *)user, piece.data, piece.len);
    return SC_OK;
}

/* A value that never stands in memory whole, there and back. */
static sc_status stream_log(sc_client *client)
{
    log_position sent = {0, 0, 0};
    log_position received = {0, 0, 0};
    sc_slice words[2];
    words[0] = sc_text("SET");
    words[1] = sc_text(KEY_LOG);
    sc_status status = sc_upload(client, words, 2, LOG_BYTES, next_log_bytes, &sent, NULL, NULL);
    words[0] = sc_text("GET");
    if (status == SC_OK)
        status = sc_download(client, words, 2, take_log_bytes, &received, NULL);
    if (status == SC_OK && (received.bytes != LOG_BYTES || received.sum != sent.sum))
        status = sc_fail(SC_ERR_PROTOCOL, "the log came back as %zu other bytes", received.bytes);
    if (status == SC_OK)
        printf("the log of %u bytes came back as it was\n", (unsigned)received.bytes);
    return status;
}

static sc_status load_calibration(sc_load *load, void *user)
{
    int *runs = (int *)user;
    ++*runs;
    return sc_load_write_text(load, "0.982 -0.14");
}

/* Nobody else asks: the first call runs the loader, the second finds what it stored. */
static sc_status load_alone(sc_cache *cache)
{
    sc_status status = SC_OK;
    int runs = 0;
    for (int i = 0; i < 2 && status == SC_OK; i++) {
        sc_value *value = NULL;
        status =
            sc_get_or_load(cache, sc_text("calibration"), load_calibration, &runs, NULL, &value);
        if (status == SC_OK)
            printf("the calibration is %s; loads so far: %d\n", sc_value_bytes(value).data, runs);
        sc_value_release(value);
    }
    return status;
}

static sc_status answer(program *self, const char *text)
{
    return sc_command_strings(self->client, NULL, "RPUSH", KEY_ANSWERS, text, (const char *)NULL);
}

/* Runs when nobody else is loading the report and it is not stored. */
static sc_status load_report(sc_load *load, void *user)
{
    (void)user;
    return sc_load_write_text(load, "made by the board");
}

static sc_status get_report(program *self)
{
    sc_value *report = NULL;
    sc_status status =
        sc_get_or_load(self->cache, sc_text("report"), load_report, NULL, NULL, &report);
    if (status == SC_OK) {
        printf("the report: %s\n", sc_value_bytes(report).data);
        status = answer(self, sc_value_bytes(report).data);
    }
    sc_value_release(report);
    return status;
}

/* The sensor needs a while: the load stays open, and its lease is renewed whenever the main loop
   polls. */
static sc_status begin_measurement(sc_load *load, void *user)
{
    ((program *)user)->measurement = load;
    return SC_PENDING;
}

static void on_measurement(void *user, sc_status status, sc_value *value)
{
    program *self = (program *)user;
    if (status == SC_OK)
        printf("the measurement: %s\n", sc_value_bytes(value).data);
    else
        (void)failed("the measurement", status);
    self->is_done = true;
}

/* Answers when the lease is the board's, from when on others wait for it. */
static sc_status measure(program *self)
{
    self->is_done = false;
    sc_status status = sc_get_or_load_async(self->cache, sc_text("measurement"), begin_measurement,
                                            self, NULL, on_measurement, self);
    while (status == SC_OK && !self->measurement && !self->is_done)
        status = sc_poll(self->client, TURN_MS);
    return status == SC_OK ? answer(self, "measuring") : status;
}

static sc_status trigger(program *self)
{
    sc_load *load = self->measurement;
    if (!load)
        return answer(self, "there is nothing to trigger");
    self->measurement = NULL;
    sc_status status = sc_load_write_text(load, "17.25 mV");
    sc_load_finish(load, status);
    status = SC_OK;
    while (status == SC_OK && !self->is_done)
        status = sc_poll(self->client, TURN_MS);
    return status == SC_OK ? answer(self, "measured") : status;
}

static void on_order(void *user, sc_status status, const sc_message *message)
{
    program *self = (program *)user;
    if (status == SC_OK && message->payload.len < sizeof self->order) {
        memcpy(self->order, message->payload.data, message->payload.len);
        self->order[message->payload.len] = '\0';
    } else if (status != SC_OK) {
        printf("orders may have been lost: %s\n", sc_status_name(status));
    }
}

/* SC_END: there will be no more. */
static sc_status carry_out(program *self, const char *order)
{
    printf("order: %s\n", order);
    if (strcmp(order, "report") == 0)
        return get_report(self);
    if (strcmp(order, "measure") == 0)
        return measure(self);
    if (strcmp(order, "trigger") == 0)
        return trigger(self);
    if (strcmp(order, "stop") == 0)
        return SC_END;
    return answer(self, "unknown order");
}

/* The main loop of a program that has nothing else to do. */
static sc_status take_orders(program *self)
{
    char order[ORDER_BYTES];
    int64_t deadline_ns = board_monotonic_ns() + PATIENCE_S * 1000000000ll;
    sc_status status =
        sc_subscribe(self->client, sc_text(CHANNEL_ORDERS), on_order, self, &self->orders);
    if (status == SC_OK)
        print_usage("idle, subscribed");
    while (status == SC_OK) {
        status = sc_poll(self->client, TURN_MS);
        if (status == SC_OK && self->order[0]) {
            memcpy(order, self->order, sizeof order);
            self->order[0] = '\0';
            status = carry_out(self, order);
        } else if (status == SC_OK && board_monotonic_ns() > deadline_ns) {
            status = sc_fail(SC_ERR_TIMEOUT, "no order to stop came within %d s", PATIENCE_S);
        }
    }
    return status == SC_END ? SC_OK : status;
}

static int run(program *self, const char *url)
{
    sc_cache_config cache_config;
    memset(&cache_config, 0, sizeof cache_config);
    cache_config.prefix = PREFIX;

    sc_status status = open_client(url, &self->client);
    if (status != SC_OK)
        return failed("open", status);
    print_usage("idle, one connection");
    status = sc_cache_open(self->client, &cache_config, &self->cache);
    if (status == SC_OK)
        status = set_and_get(self->client);
    if (status == SC_OK)
        status = stream_log(self->client);
    if (status == SC_OK)
        status = load_alone(self->cache);
    if (status == SC_OK)
        status = take_orders(self);
    if (status != SC_OK)
        return failed("the program", status);
    print_usage("at the end");
    return EXIT_SUCCESS;
}

int main(void)
{
    static program self;
    const char *url = board_arguments();
    if (!url[0]) {
        printf("the URL of the server is missing on the command line\n");
        return EXIT_FAILURE;
    }
    const char *words = network_start();
    if (words) {
        printf("the network: %s\n", words);
        return EXIT_FAILURE;
    }
    printf("the address is %s\n", network_address());
    int exit_status = run(&self, url);
    if (self.orders)
        (void)sc_unsubscribe(self.client, self.orders);
    sc_cache_close(self.cache);
    sc_close(self.client);
    board_usage left;
    board_usage_get(&left);
    if (left.blocks) {
        printf("%u blocks of memory were not freed\n", (unsigned)left.blocks);
        return EXIT_FAILURE;
    }
    return exit_status;
}
