/* A server's sockets, thread and opening, on real sockets. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "folder.h"
#include "net_test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_BYTES 4096
#define MANY 100
#define LARGE 300000

/* A server with a Unix socket and its place. */
typedef struct served {
    sc_server *server;
    endpoint at;
    char places[512];
    sc_server_config config;
} served;

static served unit;

/* Places: a fresh Unix socket. */
static void prepare(void)
{
    char path[108];
    memset(&unit, 0, sizeof(unit));
    endpoint_fresh_path(path);
    endpoint_set_unix(&unit.at, path);
    snprintf(unit.places, sizeof(unit.places), "%s", unit.at.url);
    unit.config.memory = &memory.table;
    unit.config.listen_on = unit.places;
}

static void begin(void)
{
    sc_status status = sc_server_open(&unit.config, &unit.server);
    if (status != SC_OK)
        fail_msg("sc_server_open gave %s: %s", sc_status_name(status), sc_error_text());
}

static void serve(void)
{
    prepare();
    begin();
}

static void end(void)
{
    sc_server_close(unit.server);
    unit.server = NULL;
}

/* Opening fails with this status, and words that have `part`; nothing stays. */
static void refused(sc_status expected, const char *part)
{
    sc_server *server = (sc_server *)&unit;
    sc_status status = sc_server_open(&unit.config, &server);
    if (status != expected || !strstr(sc_error_text(), part))
        fail_msg("%s: %s", sc_status_name(status), sc_error_text());
    assert_null(server);
    assert_int_equal(fault_memory_live_blocks(&memory), 0);
}

static int dial_at(const endpoint *where)
{
    int peer = endpoint_dial(where);
    assert_true(peer >= 0);
    return peer;
}

static int dial(void)
{
    return dial_at(&unit.at);
}

static void say(int peer, const char *text)
{
    size_t len = strlen(text);
    while (len > 0) {
        ssize_t sent = send(peer, text, len, MSG_NOSIGNAL);
        assert_true(sent > 0);
        text += sent;
        len -= (size_t)sent;
    }
}

/* The next bytes are these. */
static void hear(int peer, const char *expected)
{
    char text[TEXT_BYTES];
    size_t want = strlen(expected);
    size_t have = 0;
    assert_true(want < sizeof(text));
    while (have < want) {
        ssize_t received = recv(peer, text + have, want - have, 0);
        if (received <= 0)
            fail_msg("after \"%.*s\" the connection ended, \"%s\" was expected", (int)have, text,
                     expected);
        have += (size_t)received;
    }
    text[have] = '\0';
    assert_string_equal(text, expected);
}

static void hear_end(int peer)
{
    char byte;
    ssize_t received = recv(peer, &byte, 1, 0);
    assert_true(received == 0 || (received < 0 && errno == ECONNRESET));
    close(peer);
}

static void ask(int peer, const char *text, const char *answer)
{
    say(peer, text);
    hear(peer, answer);
}

static size_t clients(void)
{
    sc_server_info info;
    sc_server_info_get(unit.server, &info);
    return info.clients;
}

static bool exists(const char *path)
{
    struct stat there;
    return lstat(path, &there) == 0;
}

static sc_client *open_inside(bool polled)
{
    sc_config config;
    sc_client *client = NULL;
    memset(&config, 0, sizeof(config));
    config.server = unit.server;
    config.memory = &memory.table;
    config.polled = polled;
    if (sc_open(&config, &client) != SC_OK)
        fail_msg("%s", sc_error_text());
    return client;
}

/* --- Serving */

static void every_place_is_served(void **state)
{
    endpoint tcp;
    int local, remote;
    unsigned port;
    (void)state;
    prepare();
    snprintf(unit.places, sizeof(unit.places), "  %s\tredis://127.0.0.1:0\n", unit.at.url);
    begin();
    assert_string_equal(sc_server_url(unit.server, 0), unit.at.url);
    assert_int_equal(sscanf(sc_server_url(unit.server, 1), "redis://127.0.0.1:%u", &port), 1);
    assert_null(sc_server_url(unit.server, 2));
    endpoint_set_tcp(&tcp, (uint16_t)port);
    local = dial();
    remote = dial_at(&tcp);
    ask(local, "SET key value\r\n", "+OK\r\n");
    ask(remote, "GET key\r\n", "$5\r\nvalue\r\n");
    close(local);
    close(remote);
    end();
    assert_false(exists(unit.at.path));
}

static void a_path_with_odd_characters_has_an_url(void **state)
{
    sc_config config;
    sc_client *client;
    (void)state;
    prepare();
    snprintf(unit.places, sizeof(unit.places), "unix://%s/a%%20b%%25%%3f%%e4", test_folder());
    begin();
    assert_string_equal(sc_server_url(unit.server, 0), unit.places);
    memset(&config, 0, sizeof(config));
    config.url = sc_server_url(unit.server, 0);
    assert_int_equal(sc_open(&config, &client), SC_OK);
    sc_close(client);
    end();
}

static void a_polled_server_serves_when_it_is_polled(void **state)
{
    int peer;
    (void)state;
    prepare();
    unit.config.polled = true;
    begin();
    peer = dial();
    say(peer, "PING\r\n");
    while (recv(peer, NULL, 0, MSG_DONTWAIT | MSG_PEEK) < 0)
        assert_int_equal(sc_server_poll(unit.server, 1), SC_OK);
    hear(peer, "+PONG\r\n");
    assert_int_equal(sc_server_poll(unit.server, 0), SC_OK);
    close(peer);
    end();
}

static void only_a_polled_server_is_polled(void **state)
{
    (void)state;
    serve();
    assert_int_equal(sc_server_poll(unit.server, 0), SC_ERR_ARGUMENT);
    assert_non_null(strstr(sc_error_text(), "polled"));
    end();
}

static void many_connections_are_served_at_once(void **state)
{
    int peers[MANY];
    (void)state;
    serve();
    for (size_t i = 0; i < MANY; i++)
        peers[i] = dial();
    for (size_t i = 0; i < MANY; i++) {
        char text[64];
        snprintf(text, sizeof(text), "SET k%zu v%zu\r\nGET k%zu\r\n", i, i, i);
        say(peers[i], text);
    }
    for (size_t i = 0; i < MANY; i++) {
        char text[64];
        snprintf(text, sizeof(text), "+OK\r\n$%d\r\nv%zu\r\n", i < 10 ? 2 : 3, i);
        hear(peers[i], text);
    }
    assert_int_equal(clients(), MANY);
    for (size_t i = 0; i < MANY; i++)
        close(peers[i]);
    WAIT_UNTIL(clients() == 0);
    end();
}

static void who_is_too_many_is_told_so(void **state)
{
    int peers[3];
    (void)state;
    prepare();
    unit.config.max_clients = 2;
    begin();
    for (size_t i = 0; i < 2; i++) {
        peers[i] = dial();
        ask(peers[i], "PING\r\n", "+PONG\r\n");
    }
    peers[2] = dial();
    hear(peers[2], "-ERR max number of clients reached\r\n");
    hear_end(peers[2]);
    close(peers[0]);
    WAIT_UNTIL(clients() == 1);
    peers[0] = dial();
    ask(peers[0], "PING\r\n", "+PONG\r\n");
    close(peers[0]);
    close(peers[1]);
    end();
}

static void commands_may_come_in_any_pieces(void **state)
{
    static const char text[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nab\r\nc\r\n*2\r\n$3\r\nGET\r\n"
                               "$1\r\nk\r\n";
    (void)state;
    serve();
    for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
        int peer = dial();
        assert_int_equal(send(peer, text, cut, 0), cut);
        usleep(100); /* so that it is mostly two pieces; either way is right */
        say(peer, text + cut);
        hear(peer, "+OK\r\n$5\r\nab\r\nc\r\n");
        close(peer);
    }
    end();
}

static void large_values_go_in_and_out(void **state)
{
    char *value = (char *)malloc(LARGE);
    char *heard = (char *)malloc(LARGE);
    size_t have = 0;
    char header[64];
    int peer;
    (void)state;
    for (size_t i = 0; i < LARGE; i++)
        value[i] = (char)('a' + i % 23);
    serve();
    peer = dial();
    snprintf(header, sizeof(header), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n", LARGE);
    say(peer, header);
    for (size_t sent = 0; sent < LARGE;) {
        ssize_t count = send(peer, value + sent, LARGE - sent, 0);
        assert_true(count > 0);
        sent += (size_t)count;
    }
    ask(peer, "\r\n", "+OK\r\n");
    snprintf(header, sizeof(header), "$%d\r\n", LARGE);
    ask(peer, "GET k\r\n", header);
    while (have < LARGE) {
        ssize_t count = recv(peer, heard + have, LARGE - have, 0);
        assert_true(count > 0);
        have += (size_t)count;
    }
    hear(peer, "\r\n");
    assert_memory_equal(value, heard, LARGE);
    close(peer);
    end();
    free(value);
    free(heard);
}

/* Who asks and does not listen is served up to a bound, and the rest when it listens. */
static void who_does_not_read_is_not_read_from(void **state)
{
    enum { ASKED = 2000, VALUE = 10000 };
    static char value[VALUE + 1];
    static char heard[VALUE + 32];
    int peer;
    size_t asked = 0;
    (void)state;
    prepare();
    unit.config.max_output_bytes = 100000;
    begin();
    peer = dial();
    memset(value, 'v', VALUE);
    say(peer, "SET k ");
    say(peer, value);
    ask(peer, "\r\n", "+OK\r\n");
    while (asked < ASKED) {
        ssize_t count = send(peer, "GET k\r\n", 7, MSG_DONTWAIT);
        if (count == 7)
            asked++;
        else if (count > 0)
            say(peer, &"GET k\r\n"[count]), asked++;
        else
            break;
    }
    /* The server has not gathered what it was asked for. */
    assert_true(fault_memory_peak_bytes(&memory) < 3000000);
    for (size_t i = 0; i < asked; i++) {
        size_t have = 0;
        const size_t want = 8 + VALUE + 2; /* "$10000\r\n", the value, its end */
        while (have < want) {
            ssize_t count = recv(peer, heard + have, want - have, 0);
            assert_true(count > 0);
            have += (size_t)count;
        }
        assert_memory_equal(heard, "$10000\r\nvvv", 11);
    }
    ask(peer, "PING\r\n", "+PONG\r\n");
    close(peer);
    end();
}

static void half_a_connection_gets_its_answers(void **state)
{
    int peer;
    (void)state;
    serve();
    peer = dial();
    say(peer, "SET k v\r\nGET k\r\n");
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    hear(peer, "+OK\r\n$1\r\nv\r\n");
    hear_end(peer);
    end();
}

static void quit_is_answered_and_ends(void **state)
{
    int peer;
    (void)state;
    serve();
    peer = dial();
    ask(peer, "QUIT\r\n", "+OK\r\n");
    hear_end(peer);
    WAIT_UNTIL(clients() == 0);
    end();
}

static void what_is_no_command_is_answered_and_ends(void **state)
{
    int peer;
    (void)state;
    serve();
    peer = dial();
    say(peer, "*1\r\nfoo\r\n");
    hear(peer, "-ERR Protocol error: expected '$', got 'f'\r\n");
    hear_end(peer);
    end();
}

/* --- What one does to another */

static void messages_reach_who_is_quiet(void **state)
{
    int listener, speaker;
    sc_client *inside;
    (void)state;
    serve();
    listener = dial();
    speaker = dial();
    ask(listener, "SUBSCRIBE news\r\n", "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    ask(speaker, "PUBLISH news hello\r\n", ":1\r\n");
    hear(listener, "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n");
    inside = open_inside(false);
    assert_int_equal(sc_command_strings(inside, NULL, "PUBLISH", "news", "inside", (char *)NULL),
                     SC_OK);
    hear(listener, "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$6\r\ninside\r\n");
    sc_close(inside);
    close(listener);
    close(speaker);
    end();
}

static void who_waits_is_served_by_another(void **state)
{
    int waiter, other;
    sc_client *inside;
    (void)state;
    serve();
    waiter = dial();
    other = dial();
    inside = open_inside(false);
    for (int i = 0; i < 3; i++) {
        say(waiter, "BLPOP list 0\r\n");
        ask(other, "RPUSH list one\r\n", ":1\r\n");
        hear(waiter, "*2\r\n$4\r\nlist\r\n$3\r\none\r\n");
        say(waiter, "BLPOP list 0\r\n");
        assert_int_equal(sc_command_strings(inside, NULL, "RPUSH", "list", "two", (char *)NULL),
                         SC_OK);
        hear(waiter, "*2\r\n$4\r\nlist\r\n$3\r\ntwo\r\n");
    }
    sc_close(inside);
    close(waiter);
    close(other);
    end();
}

static void waiting_has_an_end(void **state)
{
    int waiter;
    (void)state;
    serve();
    waiter = dial();
    ask(waiter, "BLPOP list 0.02\r\n", "*-1\r\n");
    ask(waiter, "BLPOP list 0.02\r\nPING\r\n", "*-1\r\n+PONG\r\n");
    close(waiter);
    end();
}

/* Nobody touches the key, and nothing else happens. */
static void a_quiet_server_tells_what_expires(void **state)
{
    int listener, other;
    sc_client *inside;
    (void)state;
    prepare();
    unit.config.notify = "Ex";
    begin();
    listener = dial();
    other = dial();
    ask(listener, "SUBSCRIBE __keyevent@0__:expired\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$22\r\n__keyevent@0__:expired\r\n:1\r\n");
    ask(other, "SET one 1 PX 30\r\n", "+OK\r\n");
    hear(listener, "*3\r\n$7\r\nmessage\r\n$22\r\n__keyevent@0__:expired\r\n$3\r\none\r\n");
    inside = open_inside(false);
    assert_int_equal(sc_command_strings(inside, NULL, "SET", "two", "2", "PX", "30", (char *)NULL),
                     SC_OK);
    hear(listener, "*3\r\n$7\r\nmessage\r\n$22\r\n__keyevent@0__:expired\r\n$3\r\ntwo\r\n");
    sc_close(inside);
    close(listener);
    close(other);
    end();
}

typedef struct storm {
    pthread_t thread;
    size_t index;
    sc_status status;
} storm;

static void *storm_run(void *user)
{
    storm *self = (storm *)user;
    sc_config config;
    sc_client *client = NULL;
    memset(&config, 0, sizeof(config));
    if (self->index % 2)
        config.server = unit.server;
    else
        config.url = unit.at.url;
    self->status = sc_open(&config, &client);
    for (int i = 0; i < 500 && self->status == SC_OK; i++)
        self->status = sc_command_strings(client, NULL, "INCR", "counter", (char *)NULL);
    sc_close(client);
    return NULL;
}

static void threads_inside_and_processes_outside_share_it(void **state)
{
    storm storms[6];
    int peer;
    (void)state;
    serve();
    for (size_t i = 0; i < SCI_COUNT(storms); i++) {
        storms[i].index = i;
        assert_int_equal(pthread_create(&storms[i].thread, NULL, storm_run, &storms[i]), 0);
    }
    for (size_t i = 0; i < SCI_COUNT(storms); i++) {
        pthread_join(storms[i].thread, NULL);
        assert_int_equal(storms[i].status, SC_OK);
    }
    peer = dial();
    ask(peer, "GET counter\r\n", "$4\r\n3000\r\n");
    close(peer);
    end();
}

/* --- The end */

static void closing_cuts_clients_off(void **state)
{
    int idle, waiting;
    (void)state;
    serve();
    idle = dial();
    waiting = dial();
    ask(idle, "PING\r\n", "+PONG\r\n");
    say(waiting, "BLPOP list 0\r\n");
    end();
    hear_end(idle);
    hear_end(waiting);
    assert_false(exists(unit.at.path));
}

static void a_stopped_server_serves_nobody(void **state)
{
    int peer;
    sc_client *inside;
    (void)state;
    serve();
    peer = dial();
    inside = open_inside(false);
    ask(peer, "PING\r\n", "+PONG\r\n");
    sc_server_stop(unit.server);
    hear_end(peer);
    WAIT_UNTIL(!exists(unit.at.path));
    assert_int_not_equal(sc_command_strings(inside, NULL, "PING", (char *)NULL), SC_OK);
    assert_int_equal(sc_command_strings(inside, NULL, "PING", (char *)NULL), SC_ERR_CONNECT);
    assert_non_null(strstr(sc_error_text(), "stopped"));
    sc_close(inside);
    end();
}

static void a_stopped_server_ends_its_polling(void **state)
{
    (void)state;
    prepare();
    unit.config.polled = true;
    begin();
    assert_int_equal(sc_server_poll(unit.server, 0), SC_OK);
    sc_server_stop(unit.server);
    assert_int_equal(sc_server_poll(unit.server, -1), SC_END);
    assert_false(exists(unit.at.path));
    end();
}

static void a_server_opens_again_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        int peer;
        serve();
        peer = dial();
        ask(peer, "PING\r\n", "+PONG\r\n");
        end();
        hear_end(peer);
    }
}

/* --- Trouble */

static void a_lack_of_descriptors_passes(void **state)
{
    struct rlimit before, none;
    int first, second;
    (void)state;
    serve();
    first = dial();
    ask(first, "PING\r\n", "+PONG\r\n");
    second = dial();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    close(second);
    ask(first, "PING\r\n", "+PONG\r\n");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    second = dial();
    ask(second, "PING\r\n", "+PONG\r\n");
    close(first);
    close(second);
    end();
}

static void opening_survives_every_lack_of_memory(void **state)
{
    size_t failures = 0;
    (void)state;
    prepare();
    snprintf(unit.places, sizeof(unit.places), "%s redis://127.0.0.1:0", unit.at.url);
    for (size_t request = 1;; request++) {
        sc_status status;
        fault_memory_fail(&memory, request, false);
        status = sc_server_open(&unit.config, &unit.server);
        fault_memory_fail(&memory, 0, false);
        if (status == SC_OK)
            break;
        assert_int_equal(status, SC_ERR_MEMORY);
        assert_null(unit.server);
        assert_int_equal(fault_memory_live_blocks(&memory), 0);
        assert_false(exists(unit.at.path));
        failures++;
    }
    assert_true(failures > 8);
    end();
}

/* Whatever is missing, the server goes on, and serves when there is memory again. */
static void serving_survives_every_lack_of_memory(void **state)
{
    static const char text[] = "SET k v\r\nRPUSH l a b c\r\nGET k\r\nQUIT\r\n";
    int peer;
    (void)state;
    serve();
    for (size_t request = 1; request < 40; request++) {
        char byte;
        fault_memory_fail(&memory, request, request % 2);
        peer = dial();
        (void)send(peer, text, sizeof(text) - 1, MSG_NOSIGNAL); /* it may be hung up already */
        while (recv(peer, &byte, 1, 0) > 0)
            continue;
        close(peer);
        fault_memory_fail(&memory, 0, false);
    }
    peer = dial();
    ask(peer, "SET k v\r\nGET k\r\n", "+OK\r\n$1\r\nv\r\n");
    close(peer);
    end();
}

/* The server's thread was in the middle of a change at the moment of the fork. */
#define TORN 2

/* What a forked child ends with: 0 when its copy of the data goes on, without sockets. */
static int run_forked(sc_client *inside)
{
    bool is_right = sc_command_strings(inside, NULL, "SET", "k", "child", (char *)NULL) == SC_OK;
    if (unit.server->is_torn)
        return TORN;
    is_right &= sc_server_url(unit.server, 0) == NULL;
    is_right &= sc_close(inside) == SC_OK;
    sc_server_close(unit.server);
    is_right &= exists(unit.at.path);
    return is_right ? 0 : 1;
}

static void a_forked_child_leaves_the_parents_clients_alone(void **state)
{
    int peer, status;
    sc_client *inside;
    (void)state;
    serve();
    peer = dial();
    inside = open_inside(false);
    ask(peer, "SET k parent\r\n", "+OK\r\n");
    /* A thread that has replied may still be at it; it soon rests, as nobody asks for anything. */
    int64_t end_ms = wait_now_ms() + WAIT_WATCHDOG_MS;
    do {
        pid_t child = fork();
        if (child == 0)
            _exit(run_forked(inside));
        assert_int_equal(waitpid(child, &status, 0), child);
    } while (WIFEXITED(status) && WEXITSTATUS(status) == TORN && wait_now_ms() < end_ms);
    assert_int_equal(status, 0);
    ask(peer, "GET k\r\n", "$6\r\nparent\r\n");
    assert_int_equal(sc_command_strings(inside, NULL, "PING", (char *)NULL), SC_OK);
    sc_close(inside);
    close(peer);
    end();
}

/* --- Configuration */

static void wrong_configurations_are_refused_with_words(void **state)
{
    static const struct {
        const char *places;
        sc_status status;
        const char *words;
    } cases[] = {
        {"127.0.0.1:6379", SC_ERR_URL, "sc_server_config.listen_on: URL, offset 0: the scheme"},
        {"redis://127.0.0.1:65536", SC_ERR_URL, "a port from"},
        {"redis://example.com", SC_ERR_URL, "\"example.com\" is no numeric address"},
        {"redis://user@localhost", SC_ERR_URL, "a place has no user"},
        {"redis://localhost/1", SC_ERR_URL, "a place has no database"},
        {"redis://localhost?name=a", SC_ERR_URL, "a place has no options"},
        {"rediss://localhost", SC_ERR_UNSUPPORTED, "rediss:// needs a listener of TLS"},
        {"redis://0.0.0.0:0", SC_ERR_ARGUMENT, "set sc_server_config.password"},
        {"redis://[::]:0", SC_ERR_ARGUMENT, "set sc_server_config.password"},
        {"unix:///a unix:///b unix:///c unix:///d unix:///e", SC_ERR_ARGUMENT, "more than 4"},
        {"unix:///none/of/this", SC_ERR_IO, "/none/of/this: no such file"},
        {"embedded:", SC_ERR_URL, "is no place"},
    };
    (void)state;
    prepare();
    for (size_t i = 0; i < SCI_COUNT(cases); i++) {
        snprintf(unit.places, sizeof(unit.places), "%s", cases[i].places);
        refused(cases[i].status, cases[i].words);
    }
    unit.config.listen_on = NULL;
    unit.config.notify = "Kq";
    refused(SC_ERR_ARGUMENT, "sc_server_config.notify");
    unit.config.notify = NULL;
    unit.config.databases = -1;
    refused(SC_ERR_ARGUMENT, "sc_server_config.databases");
    unit.config.databases = 0;
    unit.config.eviction = (sc_eviction)99;
    refused(SC_ERR_ARGUMENT, "sc_server_config.eviction");
    unit.config.eviction = SC_EVICTION_NONE;
    unit.config.sync = (sc_sync)99;
    refused(SC_ERR_ARGUMENT, "sc_server_config.sync");
}

static void a_place_that_is_taken_is_held(void **state)
{
    sc_server *first;
    (void)state;
    serve();
    first = unit.server;
    assert_int_equal(sc_server_open(&unit.config, &unit.server), SC_HELD);
    assert_null(unit.server);
    unit.server = first;
    end();
}

static void strangers_need_the_password(void **state)
{
    endpoint tcp;
    unsigned port;
    int peer;
    (void)state;
    prepare();
    snprintf(unit.places, sizeof(unit.places), "redis://0.0.0.0:0");
    unit.config.password = "secret";
    begin();
    assert_int_equal(sscanf(sc_server_url(unit.server, 0), "redis://0.0.0.0:%u", &port), 1);
    endpoint_set_tcp(&tcp, (uint16_t)port);
    peer = dial_at(&tcp);
    ask(peer, "GET k\r\n", "-NOAUTH Authentication required.\r\n");
    ask(peer, "AUTH secret\r\n", "+OK\r\n");
    ask(peer, "GET k\r\n", "$-1\r\n");
    close(peer);
    sc_close(open_inside(false)); /* who is in the process needs none */
    end();
}

static void a_server_without_places_is_for_this_process(void **state)
{
    sc_client *inside;
    sc_server_info info;
    (void)state;
    prepare();
    unit.config.listen_on = NULL;
    begin();
    assert_null(sc_server_url(unit.server, 0));
    inside = open_inside(false);
    assert_int_equal(sc_command_strings(inside, NULL, "SET", "a", "b", (char *)NULL), SC_OK);
    assert_int_equal(sc_command_strings(inside, NULL, "GET", "a", (char *)NULL), SC_OK);
    sc_server_info_get(unit.server, &info);
    assert_int_equal(info.keys, 1);
    assert_int_equal(info.clients, 1);
    assert_int_equal(info.connections, 1);
    assert_int_equal(info.hits, 1);
    assert_true(info.memory_bytes > 0);
    assert_true(info.commands >= 3);
    sc_close(inside);
    end();
}

static void what_is_logged_is_there_again(void **state)
{
    char path[128];
    sc_client *inside;
    sc_reply *reply = NULL;
    (void)state;
    prepare();
    snprintf(path, sizeof(path), "%s/kept.log", test_folder());
    unit.config.listen_on = NULL;
    unit.config.log_path = path;
    for (int i = 0; i < 3; i++) {
        int64_t count = 0;
        begin();
        inside = open_inside(false);
        assert_int_equal(sc_command_strings(inside, &reply, "INCR", "opened", (char *)NULL), SC_OK);
        assert_int_equal(sc_item_integer(sc_reply_item(reply), &count), SC_OK);
        assert_int_equal(count, i + 1);
        sc_reply_release(reply);
        sc_close(inside);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_place_is_served),
        TEST(a_path_with_odd_characters_has_an_url),
        TEST(a_polled_server_serves_when_it_is_polled),
        TEST(only_a_polled_server_is_polled),
        TEST(many_connections_are_served_at_once),
        TEST(who_is_too_many_is_told_so),
        TEST(commands_may_come_in_any_pieces),
        TEST(large_values_go_in_and_out),
        TEST(who_does_not_read_is_not_read_from),
        TEST(half_a_connection_gets_its_answers),
        TEST(quit_is_answered_and_ends),
        TEST(what_is_no_command_is_answered_and_ends),
        TEST(messages_reach_who_is_quiet),
        TEST(who_waits_is_served_by_another),
        TEST(waiting_has_an_end),
        TEST(a_quiet_server_tells_what_expires),
        TEST(threads_inside_and_processes_outside_share_it),
        TEST(closing_cuts_clients_off),
        TEST(a_stopped_server_serves_nobody),
        TEST(a_stopped_server_ends_its_polling),
        TEST(a_server_opens_again_at_once),
        TEST(a_lack_of_descriptors_passes),
        TEST(opening_survives_every_lack_of_memory),
        TEST(serving_survives_every_lack_of_memory),
        TEST(a_forked_child_leaves_the_parents_clients_alone),
        TEST(wrong_configurations_are_refused_with_words),
        TEST(a_place_that_is_taken_is_held),
        TEST(strangers_need_the_password),
        TEST(a_server_without_places_is_for_this_process),
        TEST(what_is_logged_is_there_again),
    };
    test_folder();
    return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
