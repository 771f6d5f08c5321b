/* The network: streams of bytes that arrive later, in pieces, or not at all; listeners; a poller. */

#include "world.h"

#include <stdlib.h>
#include <string.h>

#define PORT 6379
#define ENDS_MAX 65536
#define STREAM_BYTES ((size_t)64 * 1024) /* that a stream holds before it takes no more */
#define SOON_NS (5 * SIM_NS_PER_MS)
#define PIECES_MAX 5

typedef struct chunk {
    struct chunk *next;
    int64_t arrival_ns;
    size_t len;
    size_t taken;
    char data[];
} chunk;

/* One side of a connection. */
typedef struct end {
    int id;
    sim_process *owner; /* NULL: gone */
    struct end *peer;   /* NULL: gone */
    chunk *first;       /* on their way to this side */
    chunk *last;
    size_t queued;
    int64_t last_arrival_ns;
    int64_t lag_ns;   /* all that comes to this side comes so much later */
    int64_t ready_ns; /* connected, or refused, from here on */
    bool is_refused;
    bool is_accepted;
    int64_t over_ns; /* the peer has closed or reset, from here on */
    bool is_reset;
    struct end *next_pending; /* of a listener */
} end;

typedef struct listener {
    sim_process *owner;
    int server;
    end *pending;
    int id;
    struct listener *next;
} listener;

typedef struct watched {
    sc_descriptor descriptor;
    unsigned interest;
    void *tag;
} watched;

typedef struct poller {
    sim_process *owner;
    watched *watches;
    size_t count;
    size_t cap;
    size_t turn;
    bool is_woken;
} poller;

typedef struct hole {
    int64_t until_ns;
} hole;

/* What can be watched, by descriptor: an end or a listener. */
static struct {
    end *as_end;
    listener *as_listener;
} things[ENDS_MAX];
static int thing_count;
static int free_things[ENDS_MAX]; /* their numbers are used again */
static int free_count;
static listener *listeners;
static hole holes[2][SIM_PROCESSES][SIM_PROCESSES]; /* [sender is a server][client][server] */

static hole *hole_of(const sim_process *from, const sim_process *to)
{
    return from->is_server ? &holes[1][to->id][from->id] : &holes[0][from->id][to->id];
}

static void end_free(end *e)
{
    for (chunk *c = e->first, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    things[e->id].as_end = NULL;
    free_things[free_count++] = e->id;
    free(e);
}

/* A number for a new thing. */
static int thing_new(void)
{
    if (free_count > 0)
        return free_things[--free_count];
    if (thing_count == ENDS_MAX) {
        fprintf(stderr, "sim: too many connections at once\n");
        exit(2);
    }
    return thing_count++;
}

void sim_net_reset(void)
{
    for (int i = 0; i < thing_count; i++) {
        if (things[i].as_end)
            end_free(things[i].as_end);
        free(things[i].as_listener);
        things[i].as_listener = NULL;
    }
    thing_count = 0;
    free_count = 0;
    listeners = NULL;
    memset(holes, 0, sizeof holes);
}

void sim_net_url(int server, char *url, size_t cap)
{
    snprintf(url, cap, "redis://127.0.0.%d:%d", server + 1, PORT);
}

static end *end_new(sim_process *owner)
{
    end *e = (end *)calloc(1, sizeof *e);
    e->id = thing_new();
    e->owner = owner;
    e->over_ns = SIM_NEVER;
    things[e->id].as_end = e;
    return e;
}

static int64_t draw_latency(sim_process *from)
{
    return sim.latency_ns / 2 + sim_between(&from->jitter, 0, sim.latency_ns);
}

/* What is more than usual, on a connection that has a lag. */
static int64_t draw_delay(sim_process *from, sim_process *to, int64_t lag_ns)
{
    int64_t delay_ns = sim_has(SIM_DELAY) ? lag_ns : 0;
    if (sim_has(SIM_DELAY) && sim_chance(&from->jitter, 0.02))
        delay_ns += sim_spread(&from->jitter, SIM_NS_PER_MS, SIM_DELAY_MAX_NS);
    from->delayed_ns += delay_ns;
    if (to)
        to->delayed_ns += delay_ns;
    return delay_ns;
}

/* When what is sent now is there. */
static int64_t draw_arrival(sim_process *from, sim_process *to, int64_t lag_ns)
{
    int64_t arrival_ns = sim.now_ns + draw_latency(from) + draw_delay(from, to, lag_ns);
    int64_t until_ns = to ? hole_of(from, to)->until_ns : 0;
    if (until_ns == SIM_NEVER)
        return SIM_NEVER;
    return arrival_ns > until_ns ? arrival_ns : until_ns + draw_latency(from);
}

/* A process may lose its turn wherever it calls the system. */
static void maybe_yield(sim_process *self)
{
    if (sim_has(SIM_CLIENT_PAUSE) && sim_chance(&self->jitter, 0.01))
        sim_sleep(sim_spread(&self->jitter, SIM_NS_PER_US, 100 * SIM_NS_PER_MS));
}

/* --- streams */

static int64_t draw_lag(sim_process *self)
{
    if (!sim_has(SIM_DELAY) || !sim_chance(&self->jitter, 0.3))
        return 0;
    return sim_spread(&self->jitter, SIM_NS_PER_MS, SIM_DELAY_MAX_NS);
}

static sc_status stream_dial(void *user, const sc_memory *memory, const sc_address *address,
                             const char *host, void **stream)
{
    sim_process *self = (sim_process *)user;
    int server = address->ip[3] - 1;
    listener *at = listeners;
    (void)memory;
    (void)host;
    while (at && !(at->server == server && at->owner->is_alive))
        at = at->next;
    end *mine = end_new(self);
    mine->lag_ns = draw_lag(self);
    mine->ready_ns = draw_arrival(self, at ? at->owner : NULL, 0);
    if (mine->ready_ns != SIM_NEVER)
        mine->ready_ns += sim.latency_ns;
    mine->is_refused = at == NULL;
    if (at && mine->ready_ns != SIM_NEVER) {
        end *theirs = end_new(at->owner);
        theirs->ready_ns = mine->ready_ns;
        theirs->lag_ns = draw_lag(self);
        theirs->is_accepted = false;
        theirs->peer = mine;
        mine->peer = theirs;
        end **last = &at->pending;
        while (*last)
            last = &(*last)->next_pending;
        *last = theirs;
        sim_wake(at->owner, theirs->ready_ns);
    }
    sim_note("dials S%d%s", server, at ? "" : " (nobody listens)");
    *stream = mine;
    return SC_OK;
}

static sc_status stream_progress(void *stream, unsigned *interest)
{
    end *e = (end *)stream;
    *interest = SC_WRITABLE;
    if (e->is_reset && e->over_ns <= sim.now_ns)
        return sc_fail(SC_ERR_CONNECT, "connection reset");
    if (sim.now_ns < e->ready_ns)
        return SC_AGAIN;
    if (e->is_refused)
        return sc_fail(SC_ERR_CONNECT, "connection refused");
    return SC_OK;
}

static void chunk_add(end *to, const char *data, size_t len, int64_t arrival_ns)
{
    chunk *c = (chunk *)malloc(sizeof *c + len);
    c->next = NULL;
    c->len = len;
    c->taken = 0;
    c->arrival_ns = arrival_ns > to->last_arrival_ns ? arrival_ns : to->last_arrival_ns;
    to->last_arrival_ns = c->arrival_ns;
    memcpy(c->data, data, len);
    if (to->last)
        to->last->next = c;
    else
        to->first = c;
    to->last = c;
    to->queued += len;
}

static void send_pieces(end *from, const char *data, size_t len)
{
    sim_process *self = from->owner;
    end *to = from->peer;
    int pieces = 1;
    if (sim_has(SIM_SPLIT) && len > 1 && sim_chance(&self->jitter, 0.3))
        pieces = (int)sim_between(&self->jitter, 2, PIECES_MAX);
    for (; pieces > 1 && len > 1; pieces--) {
        size_t piece = (size_t)sim_between(&self->jitter, 1, (int64_t)len - 1);
        chunk_add(to, data, piece, draw_arrival(self, to->owner, to->lag_ns));
        data += piece;
        len -= piece;
    }
    chunk_add(to, data, len, draw_arrival(self, to->owner, to->lag_ns));
    if (to->owner && to->first->arrival_ns != SIM_NEVER)
        sim_wake(to->owner, to->first->arrival_ns);
}

static sc_status stream_transmit(void *stream, const void *data, size_t len, size_t *sent)
{
    end *e = (end *)stream;
    maybe_yield(e->owner);
    if (e->over_ns <= sim.now_ns && e->is_reset)
        return sc_fail(SC_ERR_DISCONNECTED, "connection reset");
    if (!e->peer) { /* nobody is there who could say so */
        *sent = len;
        return SC_OK;
    }
    if (e->peer->queued >= STREAM_BYTES)
        return SC_AGAIN;
    size_t most = STREAM_BYTES - e->peer->queued;
    *sent = len < most ? len : most;
    sim_mix((uint64_t)e->id, *sent);
    send_pieces(e, (const char *)data, *sent);
    return SC_OK;
}

/* What has arrived; nothing that was to arrive after a reset does. */
static chunk *chunk_here(end *e)
{
    chunk *c = e->first;
    if (!c || c->arrival_ns > sim.now_ns)
        return NULL;
    if (e->is_reset && c->arrival_ns > e->over_ns)
        return NULL;
    return c;
}

static void chunk_take(end *e, char *buffer, size_t cap, size_t *received)
{
    chunk *c = chunk_here(e);
    size_t len = c->len - c->taken;
    if (len > cap)
        len = cap;
    memcpy(buffer, c->data + c->taken, len);
    c->taken += len;
    e->queued -= len;
    *received = len;
    if (c->taken == c->len) {
        e->first = c->next;
        if (!e->first)
            e->last = NULL;
        free(c);
    }
    if (e->peer && e->peer->owner)
        sim_wake(e->peer->owner, sim.now_ns); /* there is room again */
}

static sc_status stream_receive(void *stream, void *buffer, size_t cap, size_t *received)
{
    end *e = (end *)stream;
    maybe_yield(e->owner);
    *received = 0;
    if (chunk_here(e)) {
        chunk_take(e, (char *)buffer, cap, received);
        sim_mix(UINT64_C(1) << 32 | (uint64_t)e->id, *received);
        return SC_OK;
    }
    if (e->over_ns > sim.now_ns)
        return SC_AGAIN;
    if (e->is_reset)
        return sc_fail(SC_ERR_DISCONNECTED, "connection reset");
    return e->first ? SC_AGAIN : SC_END;
}

/* When something happens to be received; SIM_NEVER. */
static int64_t readable_ns(const end *e)
{
    int64_t at_ns = e->over_ns;
    if (e->first && e->first->arrival_ns < at_ns)
        at_ns = e->first->arrival_ns;
    if (e->first && !e->is_reset && e->over_ns <= sim.now_ns)
        at_ns = e->first->arrival_ns; /* the end comes after the bytes */
    return at_ns;
}

static sc_status stream_receive_soon(void *stream, void *buffer, size_t cap, size_t *received)
{
    end *e = (end *)stream;
    int64_t until_ns = sim.now_ns + SOON_NS;
    while (readable_ns(e) > sim.now_ns && sim.now_ns < until_ns) {
        int64_t at_ns = readable_ns(e);
        e->owner->is_waiting = true;
        sim_yield_until(at_ns < until_ns ? at_ns : until_ns);
    }
    return stream_receive(stream, buffer, cap, received);
}

static sc_descriptor stream_descriptor(void *stream)
{
    return ((const end *)stream)->id;
}

/* The peer hears that it is over: in order (FIN), or by a reset. */
static void end_tell_peer(end *e, bool is_reset)
{
    end *peer = e->peer;
    if (!peer)
        return;
    peer->peer = NULL;
    e->peer = NULL;
    int64_t over_ns = draw_arrival(e->owner, peer->owner, peer->lag_ns);
    if (!is_reset && over_ns < peer->last_arrival_ns)
        over_ns = peer->last_arrival_ns;
    if (over_ns < peer->over_ns) {
        peer->over_ns = over_ns;
        peer->is_reset = is_reset;
    }
    if (peer->owner && over_ns != SIM_NEVER)
        sim_wake(peer->owner, over_ns);
}

static void stream_hangup(void *stream, bool orderly)
{
    end *e = (end *)stream;
    (void)orderly;
    end_tell_peer(e, false);
    end_free(e);
}

/* --- faults */

void sim_net_black_hole(const sim_process *from, const sim_process *to, int64_t until_ns)
{
    hole_of(from, to)->until_ns = until_ns;
    for (int i = 0; i < thing_count; i++) {
        end *e = things[i].as_end;
        if (!e || e->owner != to || !e->peer || e->peer->owner != from)
            continue;
        int64_t late_ns = until_ns == SIM_NEVER ? SIM_NEVER : until_ns + sim.latency_ns;
        for (chunk *c = e->first; c; c = c->next)
            if (c->arrival_ns > sim.now_ns && c->arrival_ns < late_ns)
                c->arrival_ns = late_ns;
        if (e->last && e->last->arrival_ns > e->last_arrival_ns)
            e->last_arrival_ns = e->last->arrival_ns;
        if (e->over_ns != SIM_NEVER && e->over_ns > sim.now_ns && e->over_ns < late_ns)
            e->over_ns = late_ns;
    }
}

bool sim_net_cut(sim_process *client, sim_random *random)
{
    end *candidates[64];
    int count = 0;
    for (int i = 0; i < thing_count && count < 64; i++) {
        end *e = things[i].as_end;
        if (e && e->owner == client && e->peer && e->peer->owner)
            candidates[count++] = e;
    }
    if (count == 0)
        return false;
    end *e = candidates[sim_between(random, 0, count - 1)];
    end *peer = e->peer;
    int64_t mine_ns = sim.now_ns + sim_spread(random, 0, 10 * SIM_NS_PER_MS);
    int64_t theirs_ns = sim.now_ns + sim_spread(random, 0, 10 * SIM_NS_PER_MS);
    sim_note("cut c%d's connection %d", client->id, e->id);
    e->over_ns = mine_ns;
    e->is_reset = true;
    sim_wake(e->owner, mine_ns);
    peer->over_ns = theirs_ns;
    peer->is_reset = true;
    sim_wake(peer->owner, theirs_ns);
    /* What was sent before the reset may still come; nothing after it goes anywhere. */
    e->peer = NULL;
    peer->peer = NULL;
    return true;
}

void sim_net_process_gone(sim_process *process, bool is_silent)
{
    for (int i = 0; i < thing_count; i++) {
        end *e = things[i].as_end;
        if (!e || e->owner != process)
            continue;
        if (is_silent && e->peer) {
            e->peer->peer = NULL; /* it will never hear a word */
            e->peer = NULL;
        } else {
            end_tell_peer(e, true);
        }
        end_free(e);
    }
    for (listener **at = &listeners; *at;) {
        listener *l = *at;
        if (l->owner != process) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        things[l->id].as_listener = NULL;
        free(l);
    }
}

/* --- listeners */

static sc_status listener_open(void *user, const sc_memory *memory, sc_address *address,
                               void **made)
{
    sim_process *self = (sim_process *)user;
    listener *l = (listener *)calloc(1, sizeof *l);
    (void)memory;
    l->owner = self;
    l->server = address->ip[3] - 1;
    l->id = thing_new();
    things[l->id].as_listener = l;
    l->next = listeners;
    listeners = l;
    *made = l;
    return SC_OK;
}

static sc_status listener_accept(void *made, void **stream, sc_address *peer)
{
    listener *l = (listener *)made;
    end *e = l->pending;
    if (!e || e->ready_ns > sim.now_ns)
        return SC_AGAIN;
    l->pending = e->next_pending;
    e->next_pending = NULL;
    e->is_accepted = true;
    memset(peer, 0, sizeof *peer);
    peer->family = SC_FAMILY_IPV4;
    peer->ip[0] = 127;
    peer->ip[3] = (uint8_t)(e->peer && e->peer->owner ? e->peer->owner->id : 255);
    peer->port = (uint16_t)e->id;
    *stream = e;
    return SC_OK;
}

static sc_descriptor listener_descriptor(void *made)
{
    return ((const listener *)made)->id;
}

static void listener_shut(void *made, bool orderly)
{
    listener *l = (listener *)made;
    listener **at = &listeners;
    (void)orderly;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    for (end *e = l->pending, *next; e; e = next) {
        next = e->next_pending;
        stream_hangup(e, true);
    }
    things[l->id].as_listener = NULL;
    free(l);
}

/* --- the poller */

static sc_status poller_create(void *user, const sc_memory *memory, void **made)
{
    poller *p = (poller *)calloc(1, sizeof *p);
    (void)memory;
    p->owner = (sim_process *)user;
    *made = p;
    return SC_OK;
}

static void poller_destroy(void *made)
{
    poller *p = (poller *)made;
    free(p->watches);
    free(p);
}

static sc_status poller_watch(void *made, sc_descriptor descriptor, unsigned interest, void *tag)
{
    poller *p = (poller *)made;
    size_t i = 0;
    while (i < p->count && p->watches[i].descriptor != descriptor)
        i++;
    if (interest == 0) {
        if (i < p->count)
            p->watches[i] = p->watches[--p->count];
        return SC_OK;
    }
    if (i == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 8;
        p->watches = (watched *)realloc(p->watches, p->cap * sizeof *p->watches);
    }
    if (i == p->count)
        p->count++;
    p->watches[i].descriptor = descriptor;
    p->watches[i].interest = interest;
    p->watches[i].tag = tag;
    return SC_OK;
}

/* What a thing is ready for, of `interest`; and when it will be. */
static unsigned thing_ready(sc_descriptor descriptor, unsigned interest, int64_t *next_ns)
{
    const listener *l = things[descriptor].as_listener;
    const end *e = things[descriptor].as_end;
    unsigned ready = 0;
    *next_ns = SIM_NEVER;
    if (l) {
        *next_ns = l->pending ? l->pending->ready_ns : SIM_NEVER;
        return *next_ns <= sim.now_ns ? SC_READABLE : 0;
    }
    if (!e)
        return 0;
    if (interest & SC_READABLE) {
        *next_ns = readable_ns(e);
        if (*next_ns <= sim.now_ns)
            ready |= SC_READABLE;
    }
    if (interest & SC_WRITABLE) {
        bool has_room = !e->peer || e->peer->queued < STREAM_BYTES;
        if (e->ready_ns <= sim.now_ns && has_room)
            ready |= SC_WRITABLE;
        else if (e->ready_ns > sim.now_ns && e->ready_ns < *next_ns)
            *next_ns = e->ready_ns;
        if (e->over_ns > sim.now_ns && e->over_ns < *next_ns)
            *next_ns = e->over_ns;
    }
    if (e->over_ns <= sim.now_ns && e->is_reset)
        ready |= SC_HANGUP;
    return ready;
}

static size_t poller_collect(poller *p, sc_event *events, size_t cap, int64_t *next_ns)
{
    size_t count = 0;
    *next_ns = SIM_NEVER;
    if (p->count)
        p->turn = (p->turn + 1) % p->count;
    for (size_t i = 0, at = p->turn; i < p->count && count < cap; i++) {
        const watched *w = &p->watches[at];
        at = at + 1 < p->count ? at + 1 : 0;
        int64_t thing_ns;
        unsigned ready = thing_ready(w->descriptor, w->interest, &thing_ns);
        if (thing_ns < *next_ns)
            *next_ns = thing_ns;
        if (!ready)
            continue;
        events[count].tag = w->tag;
        events[count].ready = ready;
        count++;
    }
    return count;
}

static sc_status poller_wait(void *made, int64_t timeout_ms, sc_event *events, size_t cap,
                             size_t *count)
{
    poller *p = (poller *)made;
    int64_t until_ns = SIM_NEVER;
    if (timeout_ms >= 0)
        until_ns = sim.now_ns + sim_world_delay_ns(p->owner, timeout_ms * SIM_NS_PER_MS);
    for (;;) {
        int64_t next_ns;
        *count = poller_collect(p, events, cap, &next_ns);
        if (*count > 0 || p->is_woken || sim.now_ns >= until_ns)
            break;
        p->owner->is_waiting = true;
        sim_yield_until(next_ns < until_ns ? next_ns : until_ns);
    }
    p->is_woken = false;
    return SC_OK;
}

static void poller_wake(void *made)
{
    poller *p = (poller *)made;
    p->is_woken = true;
    sim_wake(p->owner, sim.now_ns);
}

void sim_net_tables(sim_process *process)
{
    sc_transport *streams = &process->transport;
    streams->user = process;
    streams->dial = stream_dial;
    streams->progress = stream_progress;
    streams->transmit = stream_transmit;
    streams->receive = stream_receive;
    if (sim_chance(&process->jitter, 0.5))
        streams->receive_soon = stream_receive_soon;
    streams->descriptor = stream_descriptor;
    streams->hangup = stream_hangup;
    process->listener.user = process;
    process->listener.open = listener_open;
    process->listener.accept_stream = listener_accept;
    process->listener.descriptor = listener_descriptor;
    process->listener.shut = listener_shut;
    process->listener.streams = *streams;
    process->poller.user = process;
    process->poller.create = poller_create;
    process->poller.destroy = poller_destroy;
    process->poller.watch = poller_watch;
    process->poller.wait = poller_wait;
    process->poller.wake = poller_wake;
}
