/* A scripted server: one thread, one poll loop, a small state machine a connection. */
#include "fake_server.h"
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_BYTES 65536
#define DEAF_QUEUE_TRIES 4096

typedef struct fake_record {
    char *text; /* owned: the words joined by blanks */
    size_t word_len;
} fake_record;

typedef struct fake_connection {
    int descriptor;
    const fake_script *script;
    size_t step;
    size_t replied; /* bytes of the current FAKE_REPLY, or of `aside`, that are out */
    int64_t due_ms; /* of the current FAKE_DELAY; 0: not begun */
    char *in;       /* owned: bytes received and not parsed */
    size_t in_len;
    size_t in_cap;
    const char *aside; /* the reply to a command that was answered aside; NULL: none */
    bool is_over;
    struct fake_connection *next;
} fake_connection;

struct fake_server {
    endpoint where;
    int listener;
    int wake[2];
    int *fillers; /* connections that fill a deaf server's queue; owned */
    size_t filler_count;
    fake_script *scripts; /* owned, their steps too */
    size_t script_count;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* guards all below */
    bool is_stopping;
    size_t gate;
    size_t taken;
    size_t open;
    size_t mismatches;
    fake_record *records; /* owned */
    size_t record_count;
    size_t record_cap;
    fake_connection *connections; /* the thread's */
};

static fake_step fake_make(fake_action action, const char *text, size_t len, int64_t number)
{
    fake_step step;
    step.action = action;
    step.text = text;
    step.len = len;
    step.number = number;
    return step;
}

fake_step fake_expect(const char *first_word)
{
    return fake_make(FAKE_EXPECT, first_word, 0, 0);
}

fake_step fake_exactly(const char *words)
{
    return fake_make(FAKE_EXACTLY, words, 0, 0);
}

fake_step fake_reply(const char *text)
{
    return fake_make(FAKE_REPLY, text, strlen(text), 0);
}

fake_step fake_reply_bytes(const char *data, size_t len)
{
    return fake_make(FAKE_REPLY, data, len, 0);
}

fake_step fake_reply_in_pieces(const char *text, size_t piece)
{
    return fake_make(FAKE_REPLY, text, strlen(text), (int64_t)piece);
}

fake_step fake_delay(int64_t ms)
{
    return fake_make(FAKE_DELAY, NULL, 0, ms);
}

fake_step fake_gate(void)
{
    return fake_make(FAKE_GATE, NULL, 0, 0);
}

fake_step fake_silence(void)
{
    return fake_make(FAKE_SILENCE, NULL, 0, 0);
}

fake_step fake_serve(void)
{
    return fake_make(FAKE_SERVE, NULL, 0, 0);
}

fake_step fake_close(void)
{
    return fake_make(FAKE_CLOSE, NULL, 0, 0);
}

fake_step fake_reset(void)
{
    return fake_make(FAKE_RESET, NULL, 0, 0);
}

fake_step fake_repeat(int64_t step)
{
    return fake_make(FAKE_REPEAT, NULL, 0, step);
}

static void *fake_grow(void *block, size_t size)
{
    void *grown = realloc(block, size);
    if (!grown) {
        fprintf(stderr, "fake server: no memory\n");
        exit(1);
    }
    return grown;
}

/* Parse one command at the front of `in`. >0: bytes of it, with a record made; 0: not complete;
   <0: these bytes are no command. */
static long fake_parse(const char *in, size_t len, fake_record *record)
{
    char *end;
    size_t at;
    size_t used = 0;
    long words;
    long i;
    const char *line_end = (const char *)memchr(in, '\n', len);
    if (len > 0 && *in != '*')
        return -1;
    if (!line_end)
        return 0;
    words = strtol(in + 1, &end, 10);
    if (words < 1 || *end != '\r')
        return -1;
    at = (size_t)(line_end - in) + 1;
    record->text = (char *)fake_grow(NULL, len + 1);
    record->word_len = 0;
    for (i = 0; i < words; i++) {
        long word_len;
        line_end = at < len ? (const char *)memchr(in + at, '\n', len - at) : NULL;
        if (!line_end)
            break;
        word_len = in[at] == '$' ? strtol(in + at + 1, &end, 10) : -1;
        if (word_len < 0 || *end != '\r') {
            free(record->text);
            return -1;
        }
        at = (size_t)(line_end - in) + 1;
        if (len - at < (size_t)word_len + 2)
            break;
        if (i > 0)
            record->text[used++] = ' ';
        memcpy(record->text + used, in + at, (size_t)word_len);
        used += (size_t)word_len;
        if (i == 0)
            record->word_len = used;
        at += (size_t)word_len + 2;
    }
    if (i < words) {
        free(record->text);
        return 0;
    }
    record->text[used] = '\0';
    return (long)at;
}

static bool fake_is_word(const fake_record *record, const char *word)
{
    return strlen(word) == record->word_len &&
           strncasecmp(record->text, word, record->word_len) == 0;
}

/* The reply to what a script need not spell out, or NULL. */
static const char *fake_aside(const fake_record *record)
{
    if (fake_is_word(record, "PING"))
        return "+PONG\r\n";
    if (fake_is_word(record, "AUTH") || fake_is_word(record, "SELECT") ||
        fake_is_word(record, "CLIENT"))
        return "+OK\r\n";
    return NULL;
}

/* Take the next command off the connection's bytes; locked. False: there is none yet. */
static bool fake_next_command(fake_server *server, fake_connection *connection, fake_record *record)
{
    long used = fake_parse(connection->in, connection->in_len, record);
    if (used < 0) {
        server->mismatches++;
        connection->is_over = true;
    }
    if (used <= 0)
        return false;
    connection->in_len -= (size_t)used;
    memmove(connection->in, connection->in + used, connection->in_len);
    if (server->record_count == server->record_cap) {
        server->record_cap = server->record_cap ? server->record_cap * 2 : 64;
        server->records =
            (fake_record *)fake_grow(server->records, server->record_cap * sizeof *server->records);
    }
    server->records[server->record_count++] = *record;
    return true;
}

/* Transmit `data` from `replied` on, one piece at most. True when all is out. */
static bool fake_transmit(fake_connection *connection, const char *data, size_t len, size_t piece)
{
    size_t rest = len - connection->replied;
    ssize_t sent;
    if (rest == 0)
        return true;
    sent = send(connection->descriptor, data + connection->replied,
                piece && piece < rest ? piece : rest, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR)
            connection->is_over = true;
        return false;
    }
    connection->replied += (size_t)sent;
    return connection->replied == len;
}

static bool fake_finish_aside(fake_connection *connection)
{
    if (!connection->aside)
        return true;
    if (!fake_transmit(connection, connection->aside, strlen(connection->aside), 0))
        return false;
    connection->aside = NULL;
    connection->replied = 0;
    return true;
}

/* A step that waits for a command. True: go on with the next step. */
static bool fake_meet(fake_server *server, fake_connection *connection, const fake_step *step)
{
    fake_record record;
    const char *aside;
    while (!connection->is_over && fake_finish_aside(connection) &&
           fake_next_command(server, connection, &record)) {
        if (step->action == FAKE_SERVE) {
            aside = fake_aside(&record);
            connection->aside = aside ? aside : "+OK\r\n";
            continue;
        }
        if (step->action == FAKE_EXACTLY ? strcmp(record.text, step->text) == 0
                                         : step->text && fake_is_word(&record, step->text))
            return true;
        connection->aside = connection->script->is_literal ? NULL : fake_aside(&record);
        if (connection->aside)
            continue;
        if (step->action == FAKE_EXPECT && !step->text)
            return true;
        fprintf(stderr, "fake server: got \"%s\" for \"%s\"\n", record.text, step->text);
        server->mismatches++;
        connection->is_over = true;
    }
    return false;
}

/* Do one step, or a part of it; locked. True: go on with the step that is now current. */
static bool fake_advance(fake_server *server, fake_connection *connection)
{
    const fake_step *step;
    if (connection->is_over || connection->step >= connection->script->count)
        return false;
    step = &connection->script->steps[connection->step];
    switch (step->action) {
    case FAKE_EXPECT:
    case FAKE_EXACTLY:
    case FAKE_SERVE:
        if (!fake_meet(server, connection, step))
            return false;
        break;
    case FAKE_REPLY:
        if (!fake_transmit(connection, step->text, step->len, (size_t)step->number))
            return false;
        break;
    case FAKE_DELAY:
        if (!connection->due_ms)
            connection->due_ms = wait_now_ms() + step->number;
        if (wait_now_ms() < connection->due_ms)
            return false;
        break;
    case FAKE_GATE:
        if (server->gate == 0)
            return false;
        server->gate--;
        break;
    case FAKE_RESET:
        endpoint_reset(connection->descriptor);
        connection->descriptor = -1;
        connection->is_over = true;
        return false;
    case FAKE_CLOSE:
        connection->is_over = true;
        return false;
    case FAKE_REPEAT:
        connection->step = (size_t)step->number;
        return true;
    case FAKE_SILENCE:
    default:
        return false;
    }
    connection->step++;
    connection->replied = 0;
    connection->due_ms = 0;
    return true;
}

static void fake_take(fake_server *server)
{
    fake_connection *connection;
    int descriptor;
    while ((descriptor = endpoint_take(server->listener)) >= 0) {
        size_t index = server->taken++;
        connection = (fake_connection *)fake_grow(NULL, sizeof *connection);
        memset(connection, 0, sizeof *connection);
        connection->descriptor = descriptor;
        connection->script =
            &server->scripts[index < server->script_count ? index : server->script_count - 1];
        connection->next = server->connections;
        server->connections = connection;
        server->open++;
    }
}

static void fake_take_bytes(fake_connection *connection)
{
    ssize_t received;
    if (connection->in_cap - connection->in_len < RECEIVE_BYTES) {
        connection->in_cap = connection->in_len + 2 * RECEIVE_BYTES;
        connection->in = (char *)fake_grow(connection->in, connection->in_cap);
    }
    received = recv(connection->descriptor, connection->in + connection->in_len, RECEIVE_BYTES, 0);
    if (received > 0)
        connection->in_len += (size_t)received;
    else if (received == 0 || (errno != EAGAIN && errno != EINTR))
        connection->is_over = true;
}

/* Close what is over; locked. */
static void fake_sweep(fake_server *server, bool all)
{
    fake_connection **at = &server->connections;
    while (*at) {
        fake_connection *connection = *at;
        if (!connection->is_over && !all) {
            at = &connection->next;
            continue;
        }
        *at = connection->next;
        if (connection->descriptor >= 0)
            close(connection->descriptor);
        free(connection->in);
        free(connection);
        server->open--;
    }
}

/* What a connection waits for: poll events, and the delay that limits the wait. */
static short fake_interest(const fake_connection *connection, int *timeout_ms)
{
    const fake_step *step;
    if (connection->step >= connection->script->count)
        return 0;
    step = &connection->script->steps[connection->step];
    if (step->action == FAKE_REPLY || connection->aside)
        return POLLOUT;
    if (step->action == FAKE_SILENCE)
        return 0;
    if (step->action == FAKE_DELAY) {
        int64_t left_ms = connection->due_ms - wait_now_ms();
        if (left_ms < 0)
            left_ms = 0;
        if (*timeout_ms < 0 || left_ms < *timeout_ms)
            *timeout_ms = (int)left_ms;
    }
    return POLLIN;
}

/* One turn of the loop; locked but for the wait. */
static void fake_turn(fake_server *server)
{
    fake_connection *connection;
    int timeout_ms = -1;
    nfds_t count = 2;
    nfds_t i;
    char drained[64];
    struct pollfd *polled = (struct pollfd *)fake_grow(NULL, (server->open + 2) * sizeof *polled);
    polled[0].fd = server->wake[0];
    polled[0].events = POLLIN;
    polled[1].fd = server->listener;
    polled[1].events = POLLIN;
    for (connection = server->connections; connection; connection = connection->next) {
        polled[count].fd = connection->descriptor;
        polled[count].events = fake_interest(connection, &timeout_ms);
        /* Without interest a hang-up would be reported for ever. */
        if (polled[count].events == 0)
            polled[count].fd = -1;
        count++;
    }
    pthread_mutex_unlock(&server->lock);
    if (poll(polled, count, timeout_ms) < 0)
        for (i = 0; i < count; i++)
            polled[i].revents = 0;
    pthread_mutex_lock(&server->lock);
    if (polled[0].revents)
        while (read(server->wake[0], drained, sizeof drained) > 0)
            continue;
    i = 2;
    for (connection = server->connections; connection; connection = connection->next, i++) {
        if (polled[i].events & POLLIN && polled[i].revents)
            fake_take_bytes(connection);
        while (fake_advance(server, connection))
            continue;
    }
    free(polled);
    fake_sweep(server, false);
    fake_take(server);
}

static void *fake_run(void *argument)
{
    fake_server *server = (fake_server *)argument;
    pthread_mutex_lock(&server->lock);
    while (!server->is_stopping)
        fake_turn(server);
    fake_sweep(server, true);
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

static fake_server *fake_create(void)
{
    fake_server *server = (fake_server *)fake_grow(NULL, sizeof *server);
    memset(server, 0, sizeof *server);
    pthread_mutex_init(&server->lock, NULL);
    if (pipe(server->wake) != 0) {
        perror("fake server");
        exit(1);
    }
    fcntl(server->wake[0], F_SETFD, FD_CLOEXEC);
    fcntl(server->wake[1], F_SETFD, FD_CLOEXEC);
    fcntl(server->wake[0], F_SETFL, O_NONBLOCK);
    fcntl(server->wake[1], F_SETFL, O_NONBLOCK);
    return server;
}

fake_server *fake_server_start(wire kind, const fake_script *scripts, size_t count)
{
    size_t i;
    fake_server *server = fake_create();
    server->listener = endpoint_listen(&server->where, kind, 128);
    server->scripts = (fake_script *)fake_grow(NULL, count * sizeof *scripts);
    server->script_count = count;
    for (i = 0; i < count; i++) {
        size_t size = scripts[i].count * sizeof *scripts[i].steps;
        fake_step *steps = (fake_step *)fake_grow(NULL, size ? size : 1);
        if (size)
            memcpy(steps, scripts[i].steps, size);
        server->scripts[i] = scripts[i];
        server->scripts[i].steps = steps;
    }
    if (pthread_create(&server->thread, NULL, fake_run, server) != 0) {
        fprintf(stderr, "fake server: no thread\n");
        exit(1);
    }
    server->has_thread = true;
    return server;
}

/* A connection that has not come about within this time will not. */
#define DEAF_PATIENCE_MS 200

fake_server *fake_server_start_deaf(wire kind)
{
    fake_server *server = fake_create();
    server->listener = endpoint_listen(&server->where, kind, 0);
    server->fillers = (int *)fake_grow(NULL, DEAF_QUEUE_TRIES * sizeof *server->fillers);
    while (server->filler_count < DEAF_QUEUE_TRIES) {
        struct pollfd polled;
        int descriptor = endpoint_dial_begin(&server->where);
        if (descriptor < 0)
            break; /* a Unix socket's queue is full */
        server->fillers[server->filler_count++] = descriptor;
        polled.fd = descriptor;
        polled.events = POLLOUT;
        if (poll(&polled, 1, DEAF_PATIENCE_MS) == 0)
            break;
    }
    return server;
}

static void fake_wake(fake_server *server)
{
    if (write(server->wake[1], "", 1) < 0 && errno != EAGAIN)
        perror("fake server");
}

void fake_server_stop(fake_server *server)
{
    size_t i;
    if (!server)
        return;
    if (server->has_thread) {
        pthread_mutex_lock(&server->lock);
        server->is_stopping = true;
        pthread_mutex_unlock(&server->lock);
        fake_wake(server);
        pthread_join(server->thread, NULL);
    }
    close(server->listener);
    close(server->wake[0]);
    close(server->wake[1]);
    if (server->where.kind == WIRE_UNIX)
        unlink(server->where.path);
    for (i = 0; i < server->filler_count; i++)
        close(server->fillers[i]);
    for (i = 0; i < server->script_count; i++)
        free((void *)(uintptr_t)server->scripts[i].steps);
    for (i = 0; i < server->record_count; i++)
        free(server->records[i].text);
    free(server->fillers);
    free(server->scripts);
    free(server->records);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

const char *fake_server_url(const fake_server *server)
{
    return server->where.url;
}

void fake_server_open_gate(fake_server *server, size_t count)
{
    pthread_mutex_lock(&server->lock);
    server->gate += count;
    pthread_mutex_unlock(&server->lock);
    fake_wake(server);
}

static size_t fake_look(fake_server *server, const size_t *number)
{
    size_t seen;
    pthread_mutex_lock(&server->lock);
    seen = *number;
    pthread_mutex_unlock(&server->lock);
    return seen;
}

size_t fake_server_connections(fake_server *server)
{
    return fake_look(server, &server->taken);
}

size_t fake_server_open_connections(fake_server *server)
{
    return fake_look(server, &server->open);
}

size_t fake_server_commands(fake_server *server)
{
    return fake_look(server, &server->record_count);
}

size_t fake_server_mismatches(fake_server *server)
{
    return fake_look(server, &server->mismatches);
}

size_t fake_server_commands_of(fake_server *server, const char *word)
{
    size_t count = 0;
    size_t i;
    pthread_mutex_lock(&server->lock);
    for (i = 0; i < server->record_count; i++)
        count += fake_is_word(&server->records[i], word) ? 1u : 0u;
    pthread_mutex_unlock(&server->lock);
    return count;
}

bool fake_server_command(fake_server *server, size_t index, char *text, size_t cap)
{
    bool is_there;
    pthread_mutex_lock(&server->lock);
    is_there = index < server->record_count;
    if (is_there)
        snprintf(text, cap, "%s", server->records[index].text);
    pthread_mutex_unlock(&server->lock);
    return is_there;
}
