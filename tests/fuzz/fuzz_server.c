/* The embedded server without sockets: no command, nor any sequence of them, on three connections,
   with little memory, at any time, breaks it, leaks, or takes long.

   The first 3 bytes of an input steer: the bound on memory, the policy, what is notified. The rest
   are lines, whose first byte says what they are:

     a b c      a command as a person types it, on that connection
     0 ... 9    time passes: 10 to the power of so many milliseconds
     ~          the allocation with the number that the next byte is fails, counted from now
     all else   bytes, with the line's end, on the connection that was last used

   The last is how RESP comes. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <stdlib.h>

#define STEER_BYTES 3
#define SESSIONS 3
/* So that no input takes long. */
#define MAX_LINES 200
#define MAX_INPUT_BYTES 8192
#define MAX_BULK_BYTES ((size_t)32 << 10)
#define MAX_OUTPUT_BYTES ((size_t)256 << 10)
#define MEMORY_BYTES ((size_t)8 << 20)
#define MAX_TICKS 100
#define NS_PER_MS 1000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct machine {
    sc_memory memory;
    sc_clock clock;
    sc_random random;
    size_t live_bytes;
    size_t fail_in; /* 1: the next request for memory fails; 0: none will */
    int64_t now_ms;
    sc_server *server;
    sci_session *sessions[SESSIONS];
    size_t last;
} machine;

static void must(bool condition)
{
    if (!condition)
        abort();
}

/* --- What the server stands on */

/* The sanitizer knows what leaks; here, how much there may be at once. */
static void *resize(void *user, void *block, size_t old_size, size_t new_size)
{
    machine *self = (machine *)user;
    if (new_size == 0) {
        free(block);
        self->live_bytes -= old_size;
        return NULL;
    }
    must(new_size < SIZE_MAX / 2);
    if (self->live_bytes - old_size + new_size > MEMORY_BYTES && new_size > old_size)
        return NULL;
    if (self->fail_in > 0 && --self->fail_in == 0)
        return NULL;
    void *resized = realloc(block, new_size);
    must(resized != NULL);
    self->live_bytes += new_size - old_size;
    return resized;
}

static int64_t monotonic_ns(void *user)
{
    return ((const machine *)user)->now_ms * NS_PER_MS;
}

static int64_t wall_ms(void *user)
{
    return ((const machine *)user)->now_ms;
}

/* The same in every run. */
static sc_status fill(void *user, void *buffer, size_t len)
{
    (void)user;
    memset(buffer, 42, len);
    return SC_OK;
}

static void begin(machine *self, const uint8_t *steer)
{
    sc_server_config config;
    memset(self, 0, sizeof *self);
    memset(&config, 0, sizeof config);
    self->memory.user = self->clock.user = self;
    self->memory.resize = resize;
    self->clock.monotonic_ns = monotonic_ns;
    self->clock.wall_ms = wall_ms;
    self->random.fill = fill;
    self->now_ms = INT64_C(1700000000000);
    config.memory = &self->memory;
    config.clock = &self->clock;
    config.random = &self->random;
    config.max_memory_bytes = steer[0] % 8 ? (size_t)512 << steer[0] % 8 : 0;
    config.eviction = (sc_eviction)(steer[1] % (SC_EVICTION_VOLATILE_TTL + 1));
    config.max_bulk_bytes = MAX_BULK_BYTES;
    config.max_output_bytes = MAX_OUTPUT_BYTES;
    config.databases = 3;
    must(sci_server_create(&config, &self->server) == SC_OK);
    if (steer[2] & 1)
        must(sci_events_from_text(sc_text("KEA"), &self->server->notified_events));
}

/* --- Connections */

static sci_session *session_at(machine *self, size_t index)
{
    if (!self->sessions[index])
        self->sessions[index] = sci_session_open(self->server, "fuzz", false, NULL, NULL);
    return self->sessions[index];
}

/* What is to be sent has been; those that are over are closed. */
static void drain(machine *self)
{
    sci_server_commit(self->server);
    for (size_t i = 0; i < SESSIONS; i++) {
        sci_session *session = self->sessions[i];
        if (!session)
            continue;
        sci_session_sent(session, sci_session_output(session).len);
        sci_session_run(session);
        if (!sci_session_is_over(session))
            continue;
        sci_session_close(session);
        self->sessions[i] = NULL;
    }
}

static void feed(machine *self, const uint8_t *bytes, size_t len, const char *end)
{
    sci_session *session = session_at(self, self->last);
    if (session && sci_session_wants_input(session))
        sci_session_feed(session, sc_bytes((const char *)bytes, len));
    session = session_at(self, self->last);
    if (session && sci_session_wants_input(session))
        sci_session_feed(session, sc_text(end));
    drain(self);
}

static void pass(machine *self, int power)
{
    int64_t ms = 1;
    while (power-- > 0)
        ms *= 10;
    self->now_ms += ms;
    for (size_t i = 0; i < MAX_TICKS && sci_server_tick(self->server) <= monotonic_ns(self); i++)
        drain(self);
    drain(self);
}

static void line(machine *self, const uint8_t *bytes, size_t len)
{
    int first = len > 0 ? bytes[0] : '\n';
    if (first >= 'a' && first < 'a' + SESSIONS) {
        self->last = (size_t)(first - 'a');
        feed(self, bytes + 1, len - 1, "\r\n");
    } else if (first >= '0' && first <= '9') {
        pass(self, first - '0');
    } else if (first == '~' && len > 1) {
        self->fail_in = bytes[1];
    } else {
        feed(self, bytes, len, "\n");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    machine self;
    if (size < STEER_BYTES || size > MAX_INPUT_BYTES)
        return 0;
    begin(&self, data);
    size_t at = STEER_BYTES;
    for (size_t lines = 0; at < size && lines < MAX_LINES; lines++) {
        const uint8_t *end = (const uint8_t *)memchr(data + at, '\n', size - at);
        size_t len = end ? (size_t)(end - data) - at : size - at;
        line(&self, data + at, len);
        at += len + 1;
    }
    sci_server_free(self.server);
    must(self.live_bytes == 0);
    return 0;
}
