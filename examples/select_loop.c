/* A program with one thread that waits in one select for all: a line chat over publish/subscribe.
   The client's poller is the port on select(2), with the terminal added to what it waits for; the
   program's own timer is the time-out of sc_poll.

       cc -O2 -I. -Iports examples/select_loop.c -o select_loop
       ./select_loop [URL [NAME]]

   Type lines; end with ^D. Without a URL: the environment's SMARTCACHE_URL, else redis://localhost.
 */

#define SMARTCACHE_NO_THREADS
#define SMARTCACHE_IMPLEMENTATION
#define SMARTCACHE_SELECT_IMPLEMENTATION
#include "smartcache_select.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define CHANNEL "example:chat"

enum { LINE_BYTES = 512, TICK_MS = 5000, PATIENCE_MS = 10000 };

/* The port's table is used as it is, but for two functions: what the client waits with also waits
   for standard input. */
static struct console {
    sc_poller select;
    void *poller; /* the client's */
    int is_ready; /* there is input, or its end */
} console;

static sc_status console_create(void *user, const sc_memory *memory, void **poller)
{
    sc_status status = console.select.create(user, memory, poller);
    if (status != SC_OK)
        return status;
    status = console.select.watch(*poller, STDIN_FILENO, SC_READABLE, &console);
    if (status != SC_OK)
        console.select.destroy(*poller);
    console.poller = *poller;
    return status;
}

static sc_status console_wait(void *poller, int64_t timeout_ms, sc_event *events, size_t cap,
                              size_t *count)
{
    sc_status status = console.select.wait(poller, timeout_ms, events, cap, count);
    for (size_t i = 0; i < *count; i++) {
        if (events[i].tag != &console)
            continue;
        events[i] = events[--*count]; /* the client must not see what is not its own */
        console.is_ready = 1;
        /* Not again before it was read, or a blocking call would spin here. */
        (void)console.select.watch(poller, STDIN_FILENO, 0, NULL);
        break;
    }
    return status;
}

static void console_poller(sc_poller *table)
{
    sc_select_poller(&console.select);
    *table = console.select;
    table->create = console_create;
    table->wait = console_wait;
}

typedef struct chat {
    sc_client *client;
    const char *name;
    char input[LINE_BYTES]; /* the line that is being read */
    size_t input_len;
    int sent;     /* lines of our own */
    int answered; /* of them */
    int heard;    /* lines of all */
    int is_over;  /* no more input */
    sc_status status;
} chat;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Callbacks run inside sc_poll, on this one thread. */
static void on_message(void *user, sc_status status, const sc_message *message)
{
    chat *self = (chat *)user;
    if (status == SC_GAP) {
        printf("-- the connection was lost and is back\n");
        return;
    }
    if (status != SC_OK)
        return;
    printf("%.*s\n", (int)message->payload.len, message->payload.data);
    self->heard++;
}

static void on_published(void *user, sc_status status, sc_reply *reply)
{
    chat *self = (chat *)user;
    (void)reply;
    self->answered++;
    if (status != SC_OK)
        fprintf(stderr, "not said: %s\n", sc_error_text());
}

static void say(chat *self)
{
    char text[LINE_BYTES + 64];
    sc_slice words[3];
    int len =
        snprintf(text, sizeof text, "%.40s: %.*s", self->name, (int)self->input_len, self->input);
    self->input_len = 0;
    words[0] = sc_text("PUBLISH");
    words[1] = sc_text(CHANNEL);
    words[2] = sc_bytes(text, (size_t)len);
    self->status = sc_command_async(self->client, words, 3, NULL, on_published, self);
    if (self->status == SC_OK)
        self->sent++;
}

static void read_console(chat *self)
{
    char bytes[LINE_BYTES];
    ssize_t count = read(STDIN_FILENO, bytes, sizeof bytes);
    console.is_ready = 0;
    self->is_over = count <= 0;
    for (ssize_t i = 0; i < count && self->status == SC_OK; i++) {
        if (bytes[i] == '\n' || self->input_len == sizeof self->input)
            say(self);
        if (bytes[i] != '\n')
            self->input[self->input_len++] = bytes[i];
    }
    if (!self->is_over)
        (void)console.select.watch(console.poller, STDIN_FILENO, SC_READABLE, &console);
}

/* The input has ended, and what was said has been heard, but for what a lost connection took. */
static int is_done(const chat *self, int64_t patience_end_ms)
{
    return self->is_over && self->answered == self->sent &&
           (self->heard >= self->sent || now_ms() >= patience_end_ms);
}

static void run(chat *self)
{
    int64_t tick_ms = now_ms() + TICK_MS;
    int64_t patience_end_ms = INT64_MAX;
    while (self->status == SC_OK) {
        int64_t left_ms = tick_ms - now_ms();
        /* Calls that wait look at the console, too: there may be input from before. */
        if (console.is_ready)
            read_console(self);
        if (self->is_over && patience_end_ms == INT64_MAX)
            patience_end_ms = now_ms() + PATIENCE_MS;
        if (self->status != SC_OK || is_done(self, patience_end_ms))
            return;
        self->status = sc_poll(self->client, left_ms > 0 ? left_ms : 0);
        if (now_ms() >= tick_ms) {
            printf("-- %d lines so far\n", self->heard);
            tick_ms += TICK_MS;
        }
    }
}

int main(int argc, char **argv)
{
    sc_poller poller;
    sc_config config = {0};
    sc_subscription subscription = 0;
    chat self = {0};

    setvbuf(stdout, NULL, _IOLBF, 0);
    console_poller(&poller);
    self.name = argc > 2 ? argv[2] : "somebody";
    config.url = argc > 1 ? argv[1] : getenv("SMARTCACHE_URL");
    config.poller = &poller;
    config.polled = true;
    self.status = sc_open(&config, &self.client);
    if (self.status == SC_OK)
        self.status = sc_subscribe(self.client, sc_text(CHANNEL), on_message, &self, &subscription);
    if (self.status == SC_OK)
        run(&self);
    if (self.status != SC_OK)
        fprintf(stderr, "chat: %s: %s\n", sc_status_name(self.status), sc_error_text());
    sc_close(self.client);
    printf("-- said %d, heard %d\n", self.sent, self.heard);
    return self.status == SC_OK ? 0 : 1;
}
