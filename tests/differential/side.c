/* One server and the connections to it. */
#include "side.h"

#include "wait.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 30000
#define END_PATIENCE_MS 2000
#define FIRST_BYTES 65536

void side_init(side *server, const char *name, const char *url)
{
    unsigned line;
    memset(server, 0, sizeof *server);
    server->name = name;
    for (line = 0; line < LINE_COUNT; line++)
        server->lines[line].descriptor = -1;
    if (strncmp(url, "unix://", 7) == 0) {
        endpoint_set_unix(&server->where, url + 7);
    } else if (strncmp(url, "redis://", 8) == 0 && strrchr(url, ':') > url + 5) {
        endpoint_set_tcp(&server->where, (uint16_t)atoi(strrchr(url, ':') + 1));
    } else {
        die("%s: an address is unix:///path or redis://127.0.0.1:port", url);
    }
}

void side_init_program(side *server, const char *name, const char *program)
{
    char path[108];
    char url[128];
    endpoint_fresh_path(path);
    snprintf(url, sizeof url, "unix://%s", path);
    side_init(server, name, url);
    server->program = program;
}

static bool side_has_died(side *server)
{
    if (!server->pid || waitpid(server->pid, &server->end, WNOHANG) != server->pid)
        return false;
    server->pid = 0;
    return true;
}

bool side_was_lost(side *server, char *how, size_t cap)
{
    int64_t end_ms = wait_now_ms() + END_PATIENCE_MS;
    if (!server->program || server->lines[LINE_CONTROL].descriptor < 0)
        return false;
    side_drain(server, LINE_CONTROL);
    if (!server->lines[LINE_CONTROL].has_ended)
        return false;
    while (server->pid && !side_has_died(server) && wait_now_ms() < end_ms)
        wait_a_moment();
    if (server->pid)
        return false; /* it closes connections, and lives */
    if (WIFSIGNALED(server->end))
        snprintf(how, cap, "was ended by signal %d", WTERMSIG(server->end));
    else
        snprintf(how, cap, "ended with status %d", WEXITSTATUS(server->end));
    return true;
}

/* False: it does not start. */
static bool side_start(side *server)
{
    pid_t parent = getpid();
    int64_t end_ms = wait_now_ms() + WAIT_WATCHDOG_MS;
    unlink(server->where.path);
    server->pid = fork();
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            execl(server->program, server->program, "--listen", server->where.url, "--notify",
                  "KEA", (char *)NULL);
        _exit(127);
    }
    if (server->pid < 0)
        die("fork: %s", strerror(errno));
    while (!side_has_died(server) && wait_now_ms() < end_ms) {
        int descriptor = endpoint_dial(&server->where);
        if (descriptor >= 0) {
            close(descriptor);
            return true;
        }
        wait_a_moment();
    }
    return false;
}

static void line_close(line_end *end)
{
    if (end->descriptor >= 0)
        close(end->descriptor);
    end->descriptor = -1;
    end->has_ended = false;
    end->in_at = end->in_len = end->out_len = end->whole = 0;
    end->id = 0;
}

void side_hang_up(side *server)
{
    unsigned line;
    for (line = 0; line < LINE_COUNT; line++)
        line_close(&server->lines[line]);
}

void side_free(side *server)
{
    unsigned line;
    side_hang_up(server);
    for (line = 0; line < LINE_COUNT; line++) {
        free(server->lines[line].in);
        free(server->lines[line].out);
    }
    if (server->pid && !side_has_died(server)) {
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
    }
}

static bool line_connect(side *server, unsigned line)
{
    line_end *end = &server->lines[line];
    line_close(end);
    end->descriptor = endpoint_dial(&server->where);
    return end->descriptor >= 0;
}

bool side_reopen(side *server, unsigned line)
{
    static const char *const id_words[] = {"CLIENT", "ID", NULL};
    static const char *const listen_words[] = {"PSUBSCRIBE", "__key*__:*", NULL};
    reply id;
    if (!line_connect(server, line))
        return false;
    id = side_ask(server, line, id_words);
    if (id.len == 0)
        return false;
    reply_is_integer(id, &server->lines[line].id);
    return line != LINE_LISTENER || side_ask(server, line, listen_words).len > 0;
}

bool side_reset(side *server)
{
    static const char *const setups[][5] = {
        {"FLUSHALL", NULL},
        {"CONFIG", "SET", "notify-keyspace-events", "KEA", NULL},
        {"SCRIPT", "FLUSH", NULL}};
    unsigned line;
    size_t i;
    if (server->lines[LINE_CONTROL].descriptor >= 0) {
        for (line = 0; line < LINE_CONTROL; line++)
            line_close(&server->lines[line]);
        side_barrier(server);
    }
    side_has_died(server);
    if (server->program && !server->pid && !side_start(server))
        return false;
    if (!side_reopen(server, LINE_CONTROL))
        return false;
    for (i = 0; i < sizeof setups / sizeof setups[0]; i++)
        side_ask(server, LINE_CONTROL, setups[i]);
    for (line = 0; line < LINE_CONTROL; line++)
        if (!side_reopen(server, line))
            return false;
    return true;
}

void side_write(side *server, unsigned line, const char *bytes, size_t len)
{
    line_end *end = &server->lines[line];
    if (end->out_cap - end->out_len < len) {
        end->out_cap = (end->out_cap + len) * 2 + FIRST_BYTES;
        end->out = (char *)realloc(end->out, end->out_cap);
        if (!end->out)
            die("no memory");
    }
    memcpy(end->out + end->out_len, bytes, len);
    end->out_len += len;
}

static void write_header(side *server, unsigned line, char type, size_t number)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%c%zu\r\n", type, number);
    side_write(server, line, text, (size_t)len);
}

static void write_bulk(side *server, unsigned line, const char *bytes, size_t len)
{
    write_header(server, line, '$', len);
    side_write(server, line, bytes, len);
    side_write(server, line, "\r\n", 2);
}

static void write_word(side *server, unsigned line, word one)
{
    char text[32];
    unsigned whose;
    if (one.len != ID_MARK_LEN || memcmp(one.at, ID_MARK, ID_MARK_LEN - 1) != 0) {
        write_bulk(server, line, one.at, one.len);
        return;
    }
    whose = (unsigned)(one.at[ID_MARK_LEN - 1] - '0');
    snprintf(text, sizeof text, "%lld",
             whose < LINE_COUNT ? (long long)server->lines[whose].id : 0LL);
    write_bulk(server, line, text, strlen(text));
}

static void write_words(side *server, unsigned line, const word *words, size_t count)
{
    size_t i;
    write_header(server, line, '*', count);
    for (i = 0; i < count; i++)
        write_word(server, line, words[i]);
}

void side_write_step(side *server, const step *one)
{
    if (one->is_raw)
        side_write(server, one->line, one->argv[0].at, one->argv[0].len);
    else
        write_words(server, one->line, one->argv, one->argc);
}

void side_write_words(side *server, unsigned line, const char *const *words)
{
    size_t count = 0;
    size_t i;
    while (words[count])
        count++;
    write_header(server, line, '*', count);
    for (i = 0; i < count; i++)
        write_bulk(server, line, words[i], strlen(words[i]));
}

void side_flush(side *server, unsigned line)
{
    line_end *end = &server->lines[line];
    size_t done = 0;
    while (done < end->out_len && end->descriptor >= 0) {
        ssize_t sent = send(end->descriptor, end->out + done, end->out_len - done, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            break; /* receiving will tell of the end */
        done += (size_t)sent;
    }
    end->out_len = 0;
}

static void line_make_room(line_end *end)
{
    if (end->in_at > 0 && end->in_at == end->in_len)
        end->in_at = end->in_len = 0;
    if (end->in_at > end->in_cap / 2) {
        memmove(end->in, end->in + end->in_at, end->in_len - end->in_at);
        end->in_len -= end->in_at;
        end->in_at = 0;
    }
    if (end->in_cap - end->in_len >= FIRST_BYTES)
        return;
    end->in_cap = end->in_cap * 2 + FIRST_BYTES;
    end->in = (char *)realloc(end->in, end->in_cap);
    if (!end->in)
        die("no memory");
}

void side_drain(side *server, unsigned line)
{
    line_end *end = &server->lines[line];
    while (end->descriptor >= 0 && !end->has_ended) {
        ssize_t received;
        line_make_room(end);
        received =
            recv(end->descriptor, end->in + end->in_len, end->in_cap - end->in_len, MSG_DONTWAIT);
        if (received < 0 && errno == EINTR)
            continue;
        if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (received <= 0)
            end->has_ended = true;
        else
            end->in_len += (size_t)received;
    }
}

reply side_peek(side *server, unsigned line)
{
    line_end *end = &server->lines[line];
    reply found = {NULL, 0};
    size_t have = end->in_len - end->in_at;
    if (!end->whole && have > 0)
        end->whole = reply_end(end->in + end->in_at, have);
    if (end->whole) {
        found.at = end->in + end->in_at;
        found.len = end->whole == SIZE_MAX ? have : end->whole;
    }
    return found;
}

void side_take(side *server, unsigned line, reply taken)
{
    line_end *end = &server->lines[line];
    end->in_at += taken.len;
    end->whole = 0;
}

bool sides_wait(side *sides, unsigned line, const bool wants[2], int timeout_ms)
{
    struct pollfd polled[2];
    nfds_t count = 0;
    size_t i;
    int ready;
    for (i = 0; i < 2; i++) {
        line_end *end = &sides[i].lines[line];
        if (!wants[i] || end->has_ended || end->descriptor < 0)
            continue;
        polled[count].fd = end->descriptor;
        polled[count].events = POLLIN;
        polled[count++].revents = 0;
    }
    if (count == 0)
        return false;
    do
        ready = poll(polled, count, timeout_ms);
    while (ready < 0 && errno == EINTR);
    for (i = 0; i < 2; i++)
        if (wants[i])
            side_drain(&sides[i], line);
    return ready > 0;
}

reply side_wait(side *server, unsigned line)
{
    line_end *end = &server->lines[line];
    reply found = side_peek(server, line);
    while (found.len == 0 && end->descriptor >= 0 && !end->has_ended) {
        struct pollfd polled;
        polled.fd = end->descriptor;
        polled.events = POLLIN;
        if (poll(&polled, 1, PATIENCE_MS) == 0)
            break;
        side_drain(server, line);
        found = side_peek(server, line);
    }
    if (found.len > 0)
        side_take(server, line, found);
    return found;
}

reply side_ask(side *server, unsigned line, const char *const *words)
{
    side_write_words(server, line, words);
    side_flush(server, line);
    return side_wait(server, line);
}

reply side_ask_words(side *server, unsigned line, const word *words, size_t count)
{
    write_words(server, line, words, count);
    side_flush(server, line);
    return side_wait(server, line);
}

/* Twice: the first may be answered before another's reply is written that was executed with it. */
bool side_barrier(side *server)
{
    static const char *const ping[] = {"PING", NULL};
    return side_ask(server, LINE_CONTROL, ping).len > 0 &&
           side_ask(server, LINE_CONTROL, ping).len > 0;
}
