/* Starts, steers and stops a redis-server. */
#include "redis_fixture.h"
#include "folder.h"
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif

#define MAX_ARGUMENTS 64
#define MAX_WORDS 64
#define START_TRIES 20
#define STOP_PATIENCE_MS 5000
#define FIRST_REPLY_BYTES 4096

struct fixture {
    pid_t pid; /* 0: does not run */
    char folder[108];
    char log[128];
    endpoint tcp;
    endpoint tls;    /* port 0: it speaks none */
    bool speaks_tls; /* its arguments name a certificate */
    endpoint local;
    char *arguments[MAX_ARGUMENTS]; /* owned copies, NULL-terminated */
    int control;                    /* -1: not connected */
    char *reply;                    /* owned */
    size_t reply_len;
    size_t reply_cap;
};

static void fixture_die(const fixture *server, const char *what)
{
    fprintf(stderr, "redis fixture at %s: %s\n", server->local.path, what);
    exit(1);
}

static void fixture_show_log(const fixture *server)
{
    char line[512];
    FILE *log = fopen(server->log, "r");
    fprintf(stderr, "redis-server did not start; its log:\n");
    if (!log)
        return;
    while (fgets(line, sizeof line, log))
        fprintf(stderr, "  %s", line);
    fclose(log);
}

static bool fixture_log_has(const fixture *server, const char *text)
{
    char line[512];
    bool has = false;
    FILE *log = fopen(server->log, "r");
    if (!log)
        return false;
    while (!has && fgets(line, sizeof line, log))
        has = strstr(line, text) != NULL;
    fclose(log);
    return has;
}

bool fixture_is_embedded(void)
{
    return getenv("FIXTURE_SERVER") != NULL;
}

/* The words for another server that FIXTURE_SERVER names: tools/smartcache-server. */
static void fixture_exec_other(const fixture *server, const char *program)
{
    const char *command[MAX_ARGUMENTS + 8];
    size_t count = 0;
    command[count++] = program;
    command[count++] = "--listen";
    command[count++] = server->tcp.url;
    command[count++] = "--listen";
    command[count++] = server->local.url;
    for (size_t i = 0; server->arguments[i]; i++)
        command[count++] = server->arguments[i];
    command[count] = NULL;
    execv(program, (char *const *)(uintptr_t)command);
    fprintf(stderr, "%s cannot be run: %s\n", program, strerror(errno));
    _exit(127);
}

/* In the child: never returns. */
static void fixture_exec(const fixture *server, pid_t parent)
{
    const char *command[MAX_ARGUMENTS + 24];
    char port[16];
    char tls_port[16];
    size_t count = 0;
    size_t i;
    int log = open(server->log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
#if defined(__linux__)
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
#else
    (void)parent;
#endif
    if (log < 0)
        _exit(1);
    dup2(log, 1);
    dup2(log, 2);
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0); /* Ctrl-C ends the test, and the test's end the server */
    if (getenv("FIXTURE_SERVER"))
        fixture_exec_other(server, getenv("FIXTURE_SERVER"));
    snprintf(port, sizeof port, "%u", (unsigned)server->tcp.port);
    command[count++] = "redis-server";
    command[count++] = "--port";
    command[count++] = port;
    command[count++] = "--bind";
    command[count++] = "127.0.0.1";
    if (server->tls.port) {
        snprintf(tls_port, sizeof tls_port, "%u", (unsigned)server->tls.port);
        command[count++] = "--tls-port";
        command[count++] = tls_port;
    }
    command[count++] = "--unixsocket";
    command[count++] = server->local.path;
    command[count++] = "--dir";
    command[count++] = server->folder;
    command[count++] = "--save";
    command[count++] = "";
    command[count++] = "--appendonly";
    command[count++] = "no";
    command[count++] = "--daemonize";
    command[count++] = "no";
    command[count++] = "--enable-debug-command";
    command[count++] = "yes";
    for (i = 0; server->arguments[i]; i++)
        command[count++] = server->arguments[i];
    command[count] = NULL;
    execvp(command[0], (char *const *)(uintptr_t)command);
    fprintf(stderr, "redis-server cannot be run: %s; install it (Debian: redis-server)\n",
            strerror(errno));
    _exit(127);
}

static void fixture_hang_up(fixture *server)
{
    if (server->control >= 0)
        close(server->control);
    server->control = -1;
}

static bool fixture_transmit(int descriptor, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(descriptor, data, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        data += sent;
        len -= (size_t)sent;
    }
    return true;
}

/* The length of the first whole reply in `data`; 0 when it is not complete. */
static size_t fixture_reply_end(const char *data, size_t len)
{
    size_t pending = 1;
    size_t at = 0;
    while (pending > 0) {
        const char *line = data + at;
        const char *end = at < len ? (const char *)memchr(line, '\n', len - at) : NULL;
        long number;
        if (!end)
            return 0;
        at = (size_t)(end - data) + 1;
        number = strtol(line + 1, NULL, 10);
        pending--;
        if (*line == '$' && number >= 0)
            at += (size_t)number + 2;
        else if (*line == '*' && number > 0)
            pending += (size_t)number;
        if (at > len)
            return 0;
    }
    return at;
}

static bool fixture_exchange(fixture *server, const char *request, size_t len)
{
    server->reply_len = 0;
    if (server->control < 0)
        server->control = endpoint_dial(&server->local);
    if (server->control < 0 || !fixture_transmit(server->control, request, len))
        return false;
    for (;;) {
        ssize_t received;
        if (server->reply_len + 1 >= server->reply_cap) {
            size_t cap = server->reply_cap ? server->reply_cap * 2 : FIRST_REPLY_BYTES;
            char *grown = (char *)realloc(server->reply, cap);
            if (!grown)
                fixture_die(server, "no memory");
            server->reply = grown;
            server->reply_cap = cap;
        }
        received = recv(server->control, server->reply + server->reply_len,
                        server->reply_cap - server->reply_len - 1, 0);
        if (received < 0 && errno == EINTR)
            continue;
        if (received <= 0)
            return false;
        server->reply_len += (size_t)received;
        server->reply[server->reply_len] = '\0';
        if (fixture_reply_end(server->reply, server->reply_len) == server->reply_len)
            return true;
    }
}

static bool fixture_answers(fixture *server)
{
    static const char ping[] = "*1\r\n$4\r\nPING\r\n";
    if (fixture_exchange(server, ping, sizeof ping - 1) &&
        strncmp(server->reply, "-LOADING", 8) != 0)
        return true;
    fixture_hang_up(server);
    return false;
}

static bool fixture_has_ended(fixture *server)
{
    pid_t ended = waitpid(server->pid, NULL, WNOHANG);
    if (ended != server->pid)
        return false;
    server->pid = 0;
    return true;
}

/* True: it answers. False: it has ended. */
static bool fixture_launch(fixture *server)
{
    int64_t end_ms = wait_now_ms() + WAIT_WATCHDOG_MS;
    pid_t parent = getpid();
    unlink(server->local.path);
    server->pid = fork();
    if (server->pid == 0)
        fixture_exec(server, parent);
    if (server->pid < 0)
        fixture_die(server, strerror(errno));
    while (!fixture_answers(server)) {
        if (fixture_has_ended(server))
            return false;
        if (wait_now_ms() > end_ms) {
            fixture_kill(server);
            return false;
        }
        wait_a_moment();
    }
    return true;
}

static void fixture_copy_arguments(fixture *server, const char *const *arguments)
{
    size_t i;
    for (i = 0; arguments && arguments[i]; i++) {
        if (i + 1 == MAX_ARGUMENTS)
            fixture_die(server, "too many arguments");
        server->arguments[i] = strdup(arguments[i]);
        if (!server->arguments[i])
            fixture_die(server, "no memory");
        server->speaks_tls |= strcmp(arguments[i], "--tls-cert-file") == 0;
    }
}

fixture *fixture_start(const char *const *arguments)
{
    int try_number;
    fixture *server = (fixture *)calloc(1, sizeof *server);
    if (!server)
        return NULL;
    server->control = -1;
    endpoint_fresh_path(server->folder);
    if (mkdir(server->folder, 0700) != 0)
        fixture_die(server, strerror(errno));
    snprintf(server->log, sizeof server->log, "%s/log", server->folder);
    {
        char path[108];
        endpoint_fresh_path(path);
        endpoint_set_unix(&server->local, path);
    }
    fixture_copy_arguments(server, arguments);
    for (try_number = 0; try_number < START_TRIES; try_number++) {
        endpoint_set_tcp(&server->tcp, endpoint_free_port());
        if (server->speaks_tls)
            endpoint_set_tcp(&server->tls, endpoint_free_port());
        if (fixture_launch(server))
            return server;
        if (!fixture_log_has(server, "Address already in use"))
            break;
    }
    fixture_show_log(server);
    fixture_free(server);
    return NULL;
}

void fixture_free(fixture *server)
{
    size_t i;
    if (!server)
        return;
    fixture_stop(server);
    for (i = 0; server->arguments[i]; i++)
        free(server->arguments[i]);
    free(server->reply);
    free(server);
}

const endpoint *fixture_endpoint(const fixture *server, wire kind)
{
    return kind == WIRE_TCP ? &server->tcp : &server->local;
}

const endpoint *fixture_tls_endpoint(const fixture *server)
{
    return &server->tls;
}

const char *fixture_url(const fixture *server, wire kind)
{
    return fixture_endpoint(server, kind)->url;
}

void fixture_url_with(const fixture *server, wire kind, const char *login, int db, char *url,
                      size_t cap)
{
    const char *at = login ? "@" : "";
    if (!login)
        login = "";
    if (kind == WIRE_TCP)
        snprintf(url, cap, "redis://%s%s127.0.0.1:%u/%d", login, at, (unsigned)server->tcp.port,
                 db);
    else
        snprintf(url, cap, "unix://%s%s%s?db=%d", login, at, server->local.path, db);
}

pid_t fixture_pid(const fixture *server)
{
    return server->pid;
}

static void fixture_reap(fixture *server)
{
    while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    server->pid = 0;
}

void fixture_stop(fixture *server)
{
    int64_t end_ms = wait_now_ms() + STOP_PATIENCE_MS;
    fixture_hang_up(server);
    if (!server->pid)
        return;
    kill(server->pid, SIGCONT);
    kill(server->pid, SIGTERM);
    while (!fixture_has_ended(server)) {
        if (wait_now_ms() > end_ms) {
            fixture_kill(server);
            return;
        }
        wait_a_moment();
    }
}

void fixture_kill(fixture *server)
{
    fixture_hang_up(server);
    if (!server->pid)
        return;
    kill(server->pid, SIGKILL);
    fixture_reap(server);
}

void fixture_pause(fixture *server)
{
    int how;
    kill(server->pid, SIGSTOP);
    while (waitpid(server->pid, &how, WUNTRACED) < 0 && errno == EINTR)
        continue;
}

void fixture_continue(fixture *server)
{
    kill(server->pid, SIGCONT);
}

bool fixture_restart(fixture *server)
{
    int64_t end_ms = wait_now_ms() + WAIT_WATCHDOG_MS;
    fixture_stop(server);
    while (!fixture_launch(server)) {
        if (!fixture_log_has(server, "Address already in use") || wait_now_ms() > end_ms) {
            fixture_show_log(server);
            return false;
        }
        wait_a_moment();
    }
    return true;
}

const char *fixture_command_bytes(fixture *server, size_t argc, const char *const *words,
                                  const size_t *lens, size_t *reply_len)
{
    size_t cap = 32;
    size_t len = 0;
    size_t i;
    char *request;
    bool is_ok;
    for (i = 0; i < argc; i++)
        cap += lens[i] + 32;
    request = (char *)malloc(cap);
    if (!request)
        fixture_die(server, "no memory");
    len += (size_t)snprintf(request, cap, "*%zu\r\n", argc);
    for (i = 0; i < argc; i++) {
        len += (size_t)snprintf(request + len, cap - len, "$%zu\r\n", lens[i]);
        memcpy(request + len, words[i], lens[i]);
        len += lens[i];
        memcpy(request + len, "\r\n", 2);
        len += 2;
    }
    is_ok = fixture_exchange(server, request, len);
    if (!is_ok) { /* the connection is an old one, perhaps */
        fixture_hang_up(server);
        is_ok = fixture_exchange(server, request, len);
    }
    free(request);
    if (!is_ok)
        fixture_die(server, "no answer on the control connection");
    if (reply_len)
        *reply_len = server->reply_len;
    return server->reply;
}

const char *fixture_command(fixture *server, ...)
{
    const char *words[MAX_WORDS];
    size_t lens[MAX_WORDS];
    size_t argc = 0;
    const char *word;
    va_list arguments;
    va_start(arguments, server);
    while ((word = va_arg(arguments, const char *)) != NULL && argc < MAX_WORDS) {
        words[argc] = word;
        lens[argc++] = strlen(word);
    }
    va_end(arguments);
    return fixture_command_bytes(server, argc, words, lens, NULL);
}

int64_t fixture_integer(fixture *server, const char *const *words)
{
    size_t lens[MAX_WORDS];
    size_t argc = 0;
    const char *reply;
    while (words[argc]) {
        lens[argc] = strlen(words[argc]);
        argc++;
    }
    reply = fixture_command_bytes(server, argc, words, lens, NULL);
    if (*reply != ':')
        fixture_die(server, reply);
    return strtoll(reply + 1, NULL, 10);
}

int64_t fixture_info(fixture *server, const char *field)
{
    const char *at = fixture_command(server, "INFO", "everything", (const char *)NULL);
    size_t len = strlen(field);
    while ((at = strchr(at, '\n')) != NULL) {
        at++;
        if (strncmp(at, field, len) == 0 && at[len] == ':')
            return strtoll(at + len + 1, NULL, 10);
    }
    return -1;
}

size_t fixture_clients(fixture *server, const char *type)
{
    size_t count = 0;
    const char *at = fixture_command(server, "CLIENT", "LIST", "TYPE", type, (const char *)NULL);
    while ((at = strstr(at, "id=")) != NULL) {
        count++;
        at += 3;
        at += strcspn(at, "\n");
    }
    return strcmp(type, "normal") == 0 && count > 0 ? count - 1 : count;
}

size_t fixture_cut_clients(fixture *server, const char *type)
{
    const char *words[8];
    words[0] = "CLIENT";
    words[1] = "KILL";
    words[2] = "TYPE";
    words[3] = type;
    words[4] = "SKIPME";
    words[5] = "yes";
    words[6] = NULL;
    return (size_t)fixture_integer(server, words);
}
