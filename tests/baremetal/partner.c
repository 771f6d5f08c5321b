/* The POSIX program of tests/baremetal_run: it gives the board of examples/baremetal its orders and
   shares loads with it. `partner URL`; prints what it has, ends with status 0 when all was as it
   has to be. Nothing here depends on how fast either side is. */

#include "smartcache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PREFIX "example:board:"
#define REPORT "1302 orders, made by the partner"
#define MEASUREMENT "17.25 mV"

enum { PATIENCE_MS = 100 * 1000, LOOK_MS = 5 };

typedef struct program {
    sc_client *client;
    sc_cache *cache;
    int report_loads;
    int measurement_loads;
    bool has_measurement;
    sc_status measurement_status;
    char measurement[64];
} program;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Poll until the command's answer, an integer or an array's length, is not 0. */
static sc_status ask_until(program *self, const char *one, const char *two, const char *three)
{
    int64_t deadline_ms = now_ms() + PATIENCE_MS;
    for (;;) {
        sc_reply *reply = NULL;
        int64_t count = 0;
        sc_status status =
            sc_command_strings(self->client, &reply, one, two, three, (const char *)NULL);
        if (status == SC_OK && sc_item_kind(sc_reply_item(reply)) == SC_ARRAY)
            count = (int64_t)sc_item_count(sc_reply_item(reply));
        else if (status == SC_OK)
            status = sc_item_integer(sc_reply_item(reply), &count);
        sc_reply_release(reply);
        if (status != SC_OK || count)
            return status;
        if (now_ms() > deadline_ms)
            return sc_fail(SC_ERR_TIMEOUT, "%s %s %s: nothing in %d ms", one, two, three,
                           PATIENCE_MS);
        status = sc_poll(self->client, LOOK_MS);
        if (status != SC_OK)
            return status;
    }
}

/* Until the board hears it. */
static sc_status order(program *self, const char *word)
{
    printf("order: %s\n", word);
    return ask_until(self, "PUBLISH", PREFIX "orders", word);
}

static sc_status expect_answer(program *self, const char *expected)
{
    sc_slice words[3];
    sc_call_options options;
    sc_reply *reply = NULL;
    memset(&options, 0, sizeof options);
    options.dedicated = true;
    options.timeout_ms = PATIENCE_MS;
    words[0] = sc_text("BLPOP");
    words[1] = sc_text(PREFIX "answers");
    words[2] = sc_text("0");
    sc_status status = sc_command(self->client, words, 3, &options, &reply);
    if (status == SC_OK) {
        sc_slice answer = sc_item_slice(sc_item_at(sc_reply_item(reply), 1));
        printf("answer: %.*s\n", (int)answer.len, answer.data);
        if (answer.len != strlen(expected) || memcmp(answer.data, expected, answer.len) != 0)
            status = sc_fail(SC_ERR_LOADER, "the board answered \"%.*s\", not \"%s\"",
                             (int)answer.len, answer.data, expected);
    }
    sc_reply_release(reply);
    return status;
}

/* A slow loader: it ends when the board has been told to ask for the same, and waits. */
static sc_status load_report(sc_load *load, void *user)
{
    program *self = (program *)user;
    self->report_loads++;
    sc_status status = order(self, "report");
    if (status == SC_OK)
        status = ask_until(self, "PUBSUB", "CHANNELS", "*report*");
    return status == SC_OK ? sc_load_write_text(load, REPORT) : status;
}

static sc_status share_report(program *self)
{
    sc_value *report = NULL;
    sc_status status =
        sc_get_or_load(self->cache, sc_text("report"), load_report, self, NULL, &report);
    if (status == SC_OK)
        printf("the report: %s; loads here: %d\n", sc_value_bytes(report).data, self->report_loads);
    sc_value_release(report);
    return status == SC_OK ? expect_answer(self, REPORT) : status;
}

static sc_status load_measurement(sc_load *load, void *user)
{
    ((program *)user)->measurement_loads++;
    return sc_load_write_text(load, "made by the partner");
}

static void on_measurement(void *user, sc_status status, sc_value *value)
{
    program *self = (program *)user;
    self->measurement_status = status;
    if (status == SC_OK)
        (void)snprintf(self->measurement, sizeof self->measurement, "%s",
                       sc_value_bytes(value).data);
    self->has_measurement = true;
}

static sc_status share_measurement(program *self)
{
    sc_status status = order(self, "measure");
    if (status == SC_OK)
        status = expect_answer(self, "measuring");
    if (status == SC_OK)
        status = sc_get_or_load_async(self->cache, sc_text("measurement"), load_measurement, self,
                                      NULL, on_measurement, self);
    if (status == SC_OK)
        status = ask_until(self, "PUBSUB", "CHANNELS", "*measurement*");
    if (status == SC_OK)
        status = order(self, "trigger");
    while (status == SC_OK && !self->has_measurement)
        status = sc_poll(self->client, PATIENCE_MS);
    if (status == SC_OK)
        status = self->measurement_status;
    if (status != SC_OK)
        return status;
    printf("the measurement: %s; loads here: %d\n", self->measurement, self->measurement_loads);
    return expect_answer(self, "measured");
}

int main(int argc, char **argv)
{
    static program self;
    sc_config config;
    sc_cache_config cache_config;
    memset(&config, 0, sizeof config);
    memset(&cache_config, 0, sizeof cache_config);
    setvbuf(stdout, NULL, _IOLBF, 0);
    config.url = argc > 1 ? argv[1] : NULL;
    config.polled = true;
    cache_config.prefix = PREFIX;

    sc_status status = sc_open(&config, &self.client);
    if (status == SC_OK)
        status = sc_cache_open(self.client, &cache_config, &self.cache);
    if (status == SC_OK)
        status = share_report(&self);
    if (status == SC_OK)
        status = share_measurement(&self);
    if (status == SC_OK)
        status = order(&self, "stop");
    if (status != SC_OK)
        printf("%s: %s\n", sc_status_name(status), sc_error_text());
    sc_cache_close(self.cache);
    sc_close(self.client);
    return status == SC_OK && self.report_loads == 1 && self.measurement_loads == 0 ? 0 : 1;
}
