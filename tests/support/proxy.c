/* A proxy with faults: one thread, one poll loop, two queues of pieces a connection. */
#include "proxy.h"
#include "wait.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE_BYTES 65536
/* More is left in the kernel, so that pressure reaches the sender. */
#define MAX_QUEUED_BYTES (1u << 20)
#define WORD_BYTES 64

typedef struct proxy_piece {
    struct proxy_piece *next;
    int64_t due_ms;
    size_t len;
    size_t passed;
    char *data; /* owned */
} proxy_piece;

typedef struct proxy_lane {
    int from;
    int to;
    proxy_piece *first;
    proxy_piece *last;
    size_t queued; /* bytes */
    unsigned direction;
} proxy_lane;

typedef struct proxy_pair {
    proxy_lane lanes[2]; /* to the server, to the client */
    bool is_over;
    bool is_subscriber;
    bool loses_reply;
    struct proxy_pair *next;
} proxy_pair;

struct proxy {
    endpoint where;
    endpoint server;
    int listener;
    int wake[2];
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    bool is_stopping;
    bool refuses;
    bool loses;
    char lost_word[WORD_BYTES];
    char *lost_bytes; /* owned: of the piece that had it */
    size_t lost_len;
    unsigned black_holes;
    int64_t delay_ms;
    size_t taken;
    size_t open;
    size_t lost;
    size_t bytes_to_server;
    proxy_pair *pairs;
};

static void *proxy_alloc(size_t size)
{
    void *block = calloc(1, size);
    if (!block) {
        fprintf(stderr, "proxy: no memory\n");
        exit(1);
    }
    return block;
}

/* True when `word` stands in the bytes, in any case of letters. */
static bool proxy_has_word(const char *data, size_t len, const char *word)
{
    size_t word_len = strlen(word);
    size_t at;
    size_t i;
    for (at = 0; at + word_len <= len; at++) {
        for (i = 0; i < word_len; i++)
            if (toupper((unsigned char)data[at + i]) != toupper((unsigned char)word[i]))
                break;
        if (i == word_len)
            return true;
    }
    return false;
}

/* Let the peers see the end now; the thread closes. */
static void proxy_cut_pair(proxy_pair *pair)
{
    if (pair->is_over)
        return;
    pair->is_over = true;
    shutdown(pair->lanes[0].from, SHUT_RDWR);
    shutdown(pair->lanes[1].from, SHUT_RDWR);
}

static void proxy_keep_lost(proxy *relay, const proxy_piece *piece)
{
    free(relay->lost_bytes);
    relay->lost_bytes = (char *)proxy_alloc(piece->len);
    memcpy(relay->lost_bytes, piece->data, piece->len);
    relay->lost_len = piece->len;
}

static void proxy_look_at(proxy *relay, proxy_pair *pair, const proxy_lane *lane,
                          const proxy_piece *piece)
{
    if (lane->direction == PROXY_TO_SERVER) {
        relay->bytes_to_server += piece->len;
        if (proxy_has_word(piece->data, piece->len, "SUBSCRIBE\r\n"))
            pair->is_subscriber = true;
        if (relay->loses && proxy_has_word(piece->data, piece->len, relay->lost_word)) {
            relay->loses = false;
            pair->loses_reply = true;
            proxy_keep_lost(relay, piece);
        }
    } else if (pair->loses_reply) {
        relay->lost++;
        proxy_cut_pair(pair);
    }
}

static void proxy_take_bytes(proxy *relay, proxy_pair *pair, proxy_lane *lane)
{
    char buffer[PIECE_BYTES];
    proxy_piece *piece;
    ssize_t received = recv(lane->from, buffer, sizeof buffer, 0);
    if (received < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (received <= 0) {
        /* Pass the end on only after what came before it. */
        if (!lane->first)
            proxy_cut_pair(pair);
        return;
    }
    piece = (proxy_piece *)proxy_alloc(sizeof *piece);
    piece->data = (char *)proxy_alloc((size_t)received);
    memcpy(piece->data, buffer, (size_t)received);
    piece->len = (size_t)received;
    piece->due_ms = wait_now_ms() + relay->delay_ms;
    if (lane->last)
        lane->last->next = piece;
    else
        lane->first = piece;
    lane->last = piece;
    lane->queued += piece->len;
    proxy_look_at(relay, pair, lane, piece);
}

static bool proxy_is_held(const proxy *relay, const proxy_lane *lane)
{
    return (relay->black_holes & lane->direction) != 0;
}

static void proxy_pass(proxy *relay, proxy_pair *pair, proxy_lane *lane)
{
    while (lane->first && !pair->is_over && !proxy_is_held(relay, lane) &&
           lane->first->due_ms <= wait_now_ms()) {
        proxy_piece *piece = lane->first;
        ssize_t sent = send(lane->to, piece->data + piece->passed, piece->len - piece->passed,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno != EAGAIN && errno != EINTR)
                proxy_cut_pair(pair);
            return;
        }
        piece->passed += (size_t)sent;
        lane->queued -= (size_t)sent;
        if (piece->passed < piece->len)
            return;
        lane->first = piece->next;
        if (!lane->first)
            lane->last = NULL;
        free(piece->data);
        free(piece);
    }
}

static void proxy_free_pair(proxy_pair *pair)
{
    int i;
    for (i = 0; i < 2; i++) {
        proxy_lane *lane = &pair->lanes[i];
        close(lane->from);
        while (lane->first) {
            proxy_piece *piece = lane->first;
            lane->first = piece->next;
            free(piece->data);
            free(piece);
        }
    }
    free(pair);
}

static void proxy_sweep(proxy *relay, bool all)
{
    proxy_pair **at = &relay->pairs;
    while (*at) {
        proxy_pair *pair = *at;
        if (!pair->is_over && !all) {
            at = &pair->next;
            continue;
        }
        *at = pair->next;
        proxy_free_pair(pair);
        relay->open--;
    }
}

static void proxy_take(proxy *relay)
{
    int client;
    while ((client = endpoint_take(relay->listener)) >= 0) {
        int server = relay->refuses ? -1 : endpoint_dial(&relay->server);
        proxy_pair *pair;
        if (server < 0) {
            close(client);
            continue;
        }
        fcntl(server, F_SETFL, O_NONBLOCK);
        pair = (proxy_pair *)proxy_alloc(sizeof *pair);
        pair->lanes[0].from = client;
        pair->lanes[0].to = server;
        pair->lanes[0].direction = PROXY_TO_SERVER;
        pair->lanes[1].from = server;
        pair->lanes[1].to = client;
        pair->lanes[1].direction = PROXY_TO_CLIENT;
        pair->next = relay->pairs;
        relay->pairs = pair;
        relay->open++;
        relay->taken++;
    }
}

/* What to poll a lane's two ends for; a delay limits the wait. */
static void proxy_interest(const proxy *relay, const proxy_lane *lane, struct pollfd *from,
                           struct pollfd *to, int *timeout_ms)
{
    if (lane->queued < MAX_QUEUED_BYTES)
        from->events |= POLLIN;
    if (!lane->first || proxy_is_held(relay, lane))
        return;
    if (lane->first->due_ms > wait_now_ms()) {
        int64_t left_ms = lane->first->due_ms - wait_now_ms();
        if (*timeout_ms < 0 || left_ms < *timeout_ms)
            *timeout_ms = (int)left_ms;
        return;
    }
    to->events |= POLLOUT;
}

/* One turn of the loop; locked but for the wait. */
static void proxy_turn(proxy *relay)
{
    proxy_pair *pair;
    int timeout_ms = -1;
    char drained[64];
    nfds_t i = 2;
    nfds_t count = 2 + 2 * (nfds_t)relay->open;
    struct pollfd *polled = (struct pollfd *)proxy_alloc(count * sizeof *polled);
    polled[0].fd = relay->wake[0];
    polled[0].events = POLLIN;
    polled[1].fd = relay->listener;
    polled[1].events = POLLIN;
    for (pair = relay->pairs; pair; pair = pair->next, i += 2) {
        polled[i].fd = pair->lanes[0].from;
        polled[i + 1].fd = pair->lanes[1].from;
        proxy_interest(relay, &pair->lanes[0], &polled[i], &polled[i + 1], &timeout_ms);
        proxy_interest(relay, &pair->lanes[1], &polled[i + 1], &polled[i], &timeout_ms);
    }
    pthread_mutex_unlock(&relay->lock);
    if (poll(polled, count, timeout_ms) < 0)
        for (i = 0; i < count; i++)
            polled[i].revents = 0;
    pthread_mutex_lock(&relay->lock);
    if (polled[0].revents)
        while (read(relay->wake[0], drained, sizeof drained) > 0)
            continue;
    for (pair = relay->pairs, i = 2; pair; pair = pair->next, i += 2) {
        if (!pair->is_over && polled[i].revents & (POLLIN | POLLHUP | POLLERR))
            proxy_take_bytes(relay, pair, &pair->lanes[0]);
        if (!pair->is_over && polled[i + 1].revents & (POLLIN | POLLHUP | POLLERR))
            proxy_take_bytes(relay, pair, &pair->lanes[1]);
        proxy_pass(relay, pair, &pair->lanes[0]);
        proxy_pass(relay, pair, &pair->lanes[1]);
    }
    free(polled);
    proxy_sweep(relay, false);
    proxy_take(relay);
}

static void *proxy_run(void *argument)
{
    proxy *relay = (proxy *)argument;
    pthread_mutex_lock(&relay->lock);
    while (!relay->is_stopping)
        proxy_turn(relay);
    proxy_sweep(relay, true);
    pthread_mutex_unlock(&relay->lock);
    return NULL;
}

static void proxy_wake(proxy *relay)
{
    if (write(relay->wake[1], "", 1) < 0 && errno != EAGAIN)
        perror("proxy");
}

proxy *proxy_start(wire kind, const endpoint *server)
{
    proxy *relay = (proxy *)proxy_alloc(sizeof *relay);
    relay->server = *server;
    relay->listener = endpoint_listen(&relay->where, kind, 128);
    pthread_mutex_init(&relay->lock, NULL);
    if (pipe(relay->wake) != 0) {
        perror("proxy");
        exit(1);
    }
    fcntl(relay->wake[0], F_SETFD, FD_CLOEXEC);
    fcntl(relay->wake[1], F_SETFD, FD_CLOEXEC);
    fcntl(relay->wake[0], F_SETFL, O_NONBLOCK);
    fcntl(relay->wake[1], F_SETFL, O_NONBLOCK);
    if (pthread_create(&relay->thread, NULL, proxy_run, relay) != 0) {
        fprintf(stderr, "proxy: no thread\n");
        exit(1);
    }
    return relay;
}

void proxy_stop(proxy *relay)
{
    if (!relay)
        return;
    pthread_mutex_lock(&relay->lock);
    relay->is_stopping = true;
    pthread_mutex_unlock(&relay->lock);
    proxy_wake(relay);
    pthread_join(relay->thread, NULL);
    close(relay->listener);
    close(relay->wake[0]);
    close(relay->wake[1]);
    if (relay->where.kind == WIRE_UNIX)
        unlink(relay->where.path);
    pthread_mutex_destroy(&relay->lock);
    free(relay->lost_bytes);
    free(relay);
}

const char *proxy_url(const proxy *relay)
{
    return relay->where.url;
}

/* Cut subscribers, others, or both. */
static size_t proxy_cut_some(proxy *relay, bool subscribers, bool others)
{
    size_t count = 0;
    proxy_pair *pair;
    pthread_mutex_lock(&relay->lock);
    for (pair = relay->pairs; pair; pair = pair->next)
        if (!pair->is_over && (pair->is_subscriber ? subscribers : others)) {
            proxy_cut_pair(pair);
            count++;
        }
    pthread_mutex_unlock(&relay->lock);
    proxy_wake(relay);
    return count;
}

size_t proxy_cut(proxy *relay)
{
    return proxy_cut_some(relay, true, true);
}

size_t proxy_cut_subscribers(proxy *relay)
{
    return proxy_cut_some(relay, true, false);
}

size_t proxy_cut_others(proxy *relay)
{
    return proxy_cut_some(relay, false, true);
}

void proxy_refuse(proxy *relay, bool refuses)
{
    pthread_mutex_lock(&relay->lock);
    relay->refuses = refuses;
    pthread_mutex_unlock(&relay->lock);
}

void proxy_black_hole(proxy *relay, unsigned directions)
{
    pthread_mutex_lock(&relay->lock);
    relay->black_holes = directions;
    pthread_mutex_unlock(&relay->lock);
    proxy_wake(relay);
}

void proxy_delay(proxy *relay, int64_t ms)
{
    pthread_mutex_lock(&relay->lock);
    relay->delay_ms = ms;
    pthread_mutex_unlock(&relay->lock);
}

void proxy_lose_reply(proxy *relay, const char *word)
{
    pthread_mutex_lock(&relay->lock);
    snprintf(relay->lost_word, sizeof relay->lost_word, "%s", word ? word : "");
    relay->loses = true;
    pthread_mutex_unlock(&relay->lock);
}

bool proxy_repeat_lost(proxy *relay)
{
    char answer[64];
    int descriptor;
    bool is_answered = false;
    pthread_mutex_lock(&relay->lock);
    descriptor = relay->lost_len ? endpoint_dial(&relay->server) : -1;
    if (descriptor >= 0) {
        is_answered = send(descriptor, relay->lost_bytes, relay->lost_len, MSG_NOSIGNAL) ==
                          (ssize_t)relay->lost_len &&
                      recv(descriptor, answer, sizeof answer, 0) > 0;
        close(descriptor);
    }
    pthread_mutex_unlock(&relay->lock);
    return is_answered;
}

static size_t proxy_look(proxy *relay, const size_t *number)
{
    size_t seen;
    pthread_mutex_lock(&relay->lock);
    seen = *number;
    pthread_mutex_unlock(&relay->lock);
    return seen;
}

size_t proxy_lost_replies(proxy *relay)
{
    return proxy_look(relay, &relay->lost);
}

size_t proxy_connections(proxy *relay)
{
    return proxy_look(relay, &relay->taken);
}

size_t proxy_open_connections(proxy *relay)
{
    return proxy_look(relay, &relay->open);
}

size_t proxy_bytes_to_server(proxy *relay)
{
    return proxy_look(relay, &relay->bytes_to_server);
}

size_t proxy_open_subscribers(proxy *relay)
{
    size_t count = 0;
    proxy_pair *pair;
    pthread_mutex_lock(&relay->lock);
    for (pair = relay->pairs; pair; pair = pair->next)
        count += pair->is_subscriber && !pair->is_over ? 1u : 0u;
    pthread_mutex_unlock(&relay->lock);
    return count;
}
