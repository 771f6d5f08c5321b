/* Addresses, the POSIX transport and poller on real loopback sockets, and name look-up. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "endpoint.h"
#include "fault_memory.h"
#include "folder.h"
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static fault_memory memory;
static sc_transport transport;
static sc_poller poller_table;
static sc_resolver resolver;
static size_t descriptors_before;

static int set_up(void **state)
{
    (void)state;
    fault_memory_init(&memory);
    descriptors_before = endpoint_open_descriptors();
    return 0;
}

/* Nothing is left, of memory as of descriptors. A resolver's thread that was abandoned may still be
   about to free its block. */
static int tear_down(void **state)
{
    bool is_idle;
    bool is_clean;
    (void)state;
    WAIT_REACHED(is_idle, fault_memory_live_blocks(&memory) == 0);
    is_clean = is_idle && fault_memory_is_clean(&memory);
    fault_memory_free(&memory);
    if (endpoint_open_descriptors() != descriptors_before) {
        fprintf(stderr, "%zu descriptors are open, %zu were\n", endpoint_open_descriptors(),
                descriptors_before);
        return -1;
    }
    return is_clean ? 0 : -1;
}

/* -- Addresses -- */

static void numeric_addresses_are_read_and_printed(void **state)
{
    static const struct {
        const char *host, *printed;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1:7"},
        {"255.255.255.255", "255.255.255.255:7"},
        {"::", "[::]:7"},
        {"::1", "[::1]:7"},
        {"1::", "[1::]:7"},
        {"2001:DB8:0:0:8:800:200C:417A", "[2001:db8::8:800:200c:417a]:7"},
        {"2001:db8:0:1:1:1:1:1", "[2001:db8:0:1:1:1:1:1]:7"},
        {"2001:0:0:1:0:0:0:1", "[2001:0:0:1::1]:7"},
        {"2001:db8:0:0:1:0:0:1", "[2001:db8::1:0:0:1]:7"},
        {"1:2:3:4:5:6:7::", "[1:2:3:4:5:6:7:0]:7"},
        {"::2:3:4:5:6:7:8", "[0:2:3:4:5:6:7:8]:7"},
        {"::ffff:1.2.3.4", "[::ffff:1.2.3.4]:7"},
        {"1:2:3:4:5:6:7.8.9.10", "[1:2:3:4:5:6:708:90a]:7"},
        {"fe80::1%3", "[fe80::1%3]:7"},
        {"fe80::1%4294967295", "[fe80::1%4294967295]:7"},
    };
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(cases); i++) {
        sc_address address;
        char printed[SCI_ADDRESS_TEXT_BYTES];
        if (!sci_address_parse(cases[i].host, 7, &address))
            fail_msg("%s is a numeric address", cases[i].host);
        sci_address_to_text(&address, printed);
        assert_string_equal(printed, cases[i].printed);
    }
}

static void what_is_no_numeric_address_is_a_name(void **state)
{
    static const char *const names[] = {"",
                                        "localhost",
                                        "1",
                                        "1.2.3",
                                        "1.2.3.4.5",
                                        "1.2.3.256",
                                        "01.2.3.4",
                                        "1.2.3.4 ",
                                        "1..3.4",
                                        "1.2.3.4%1",
                                        ":",
                                        ":::",
                                        "1:",
                                        ":1",
                                        "1:2:3:4:5:6:7",
                                        "1:2:3:4:5:6:7:8:9",
                                        "1::2::3",
                                        "1:2:3:4:5:6:7:8::",
                                        "12345::",
                                        "::g",
                                        "::1.2.3",
                                        "1.2.3.4::",
                                        "::1.2.3.4:5",
                                        "fe80::1%",
                                        "fe80::1%x",
                                        "fe80::1%4294967296",
                                        "1:2:3:4:5:6:7:1.2.3.4",
                                        "[::1]"};
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(names); i++) {
        sc_address address;
        if (sci_address_parse(names[i], 7, &address))
            fail_msg("%s is no numeric address", names[i]);
    }
}

static void the_longest_texts_fit(void **state)
{
    sc_address address;
    char printed[SCI_ADDRESS_TEXT_BYTES];
    (void)state;
    assert_true(
        sci_address_parse("1111:1111:1111:1111:1111:1111:1111:1111%4294967295", 65535, &address));
    sci_address_to_text(&address, printed);
    assert_string_equal(printed, "[1111:1111:1111:1111:1111:1111:1111:1111%4294967295]:65535");
    memset(&address, 'a', sizeof(address)); /* a path without an end, as a port might pass it */
    address.family = SC_FAMILY_UNIX;
    sci_address_to_text(&address, printed);
    assert_int_equal(strlen(printed), SC_PATH_BYTES);
    assert_int_equal(sci_address_unix("", &address), SC_ERR_URL);
}

/* -- Transport -- */

static void address_of(const endpoint *where, sc_address *address)
{
    if (where->kind == WIRE_UNIX)
        assert_int_equal(sci_address_unix(where->path, address), SC_OK);
    else
        assert_true(sci_address_parse("127.0.0.1", where->port, address));
}

/* Dial and see it through. */
static sc_status dial(const sc_address *address, void **stream)
{
    unsigned interest = 0;
    sc_status status = transport.dial(NULL, &memory.table, address, "localhost", stream);
    if (status != SC_OK)
        return status;
    while ((status = transport.progress(*stream, &interest)) == SC_AGAIN) {
        struct pollfd fd;
        assert_int_equal(interest, SC_WRITABLE);
        fd.fd = (int)transport.descriptor(*stream);
        fd.events = POLLOUT;
        assert_int_equal(poll(&fd, 1, WAIT_WATCHDOG_MS), 1);
    }
    if (status != SC_OK) {
        transport.hangup(*stream, true);
        *stream = NULL;
    }
    return status;
}

static int take(int listener)
{
    int peer = -1;
    WAIT_UNTIL((peer = endpoint_take(listener)) >= 0);
    return peer;
}

typedef struct pair {
    endpoint where;
    int listener;
    int peer; /* non-blocking */
    void *stream;
} pair;

static void pair_open(pair *both, wire kind)
{
    sc_address address;
    both->listener = endpoint_listen(&both->where, kind, 8);
    address_of(&both->where, &address);
    assert_int_equal(dial(&address, &both->stream), SC_OK);
    both->peer = take(both->listener);
}

static void pair_close(pair *both)
{
    if (both->stream)
        transport.hangup(both->stream, true);
    if (both->peer >= 0)
        close(both->peer);
    close(both->listener);
}

/* Until something else than "not now". */
static sc_status receive(void *stream, void *buffer, size_t cap, size_t *received)
{
    sc_status status;
    WAIT_UNTIL((status = transport.receive(stream, buffer, cap, received)) != SC_AGAIN);
    return status;
}

static void bytes_go_both_ways(void **state)
{
    (void)state;
    for (wire kind = WIRE_TCP; kind <= WIRE_UNIX; kind++) {
        pair both;
        char buffer[16];
        size_t count = 0;
        ssize_t got = -1;
        pair_open(&both, kind);
        assert_int_equal(transport.receive(both.stream, buffer, sizeof(buffer), &count), SC_AGAIN);
        assert_int_equal(count, 0);
        assert_int_equal(transport.transmit(both.stream, "ping", 4, &count), SC_OK);
        assert_int_equal(count, 4);
        WAIT_UNTIL((got = recv(both.peer, buffer, sizeof(buffer), 0)) > 0);
        assert_int_equal(got, 4);
        assert_memory_equal(buffer, "ping", 4);
        assert_int_equal(send(both.peer, "pong!", 5, 0), 5);
        assert_int_equal(receive(both.stream, buffer, sizeof(buffer), &count), SC_OK);
        assert_int_equal(count, 5);
        assert_memory_equal(buffer, "pong!", 5);
        pair_close(&both);
    }
}

static void ipv6_is_dialled_like_ipv4(void **state)
{
    struct sockaddr_in6 in6;
    socklen_t len = sizeof(in6);
    sc_address address;
    void *stream;
    int listener = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
    (void)state;
    memset(&in6, 0, sizeof(in6));
    in6.sin6_family = AF_INET6;
    in6.sin6_addr.s6_addr[15] = 1;
    if (listener < 0 || bind(listener, (struct sockaddr *)&in6, sizeof(in6)) != 0) {
        if (listener >= 0)
            close(listener);
        skip();
    }
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&in6, &len), 0);
    assert_true(sci_address_parse("::1", ntohs(in6.sin6_port), &address));
    assert_int_equal(dial(&address, &stream), SC_OK);
    close(take(listener));
    transport.hangup(stream, true);
    close(listener);
    assert_int_equal(dial(&address, &stream), SC_ERR_CONNECT);
    assert_non_null(strstr(sc_error_text(), "[::1]:"));
    assert_non_null(strstr(sc_error_text(), ": connection refused"));
}

static void waiting_for_bytes_ends_with_or_without_them(void **state)
{
    pair both;
    char buffer[16];
    size_t count = 1;
    (void)state;
    pair_open(&both, WIRE_TCP);
    assert_non_null(transport.receive_soon);
    assert_int_equal(transport.receive_soon(both.stream, buffer, sizeof(buffer), &count), SC_AGAIN);
    assert_int_equal(count, 0);
    assert_int_equal(send(both.peer, "late", 4, 0), 4);
    assert_int_equal(transport.receive_soon(both.stream, buffer, sizeof(buffer), &count), SC_OK);
    assert_int_equal(count, 4);
    close(both.peer);
    both.peer = -1;
    assert_int_equal(transport.receive_soon(both.stream, buffer, sizeof(buffer), &count), SC_END);
    pair_close(&both);
}

static void a_refused_connection_names_the_address(void **state)
{
    endpoint where;
    sc_address address;
    void *stream;
    char expected[64];
    (void)state;
    endpoint_set_tcp(&where, endpoint_free_port());
    address_of(&where, &address);
    assert_int_equal(dial(&address, &stream), SC_ERR_CONNECT);
    snprintf(expected, sizeof(expected), "127.0.0.1:%u: connection refused", (unsigned)where.port);
    assert_string_equal(sc_error_text(), expected);
}

static void a_missing_unix_socket_is_named(void **state)
{
    endpoint where;
    char path[108];
    char expected[160];
    sc_address address;
    void *stream;
    (void)state;
    endpoint_fresh_path(path);
    endpoint_set_unix(&where, path);
    address_of(&where, &address);
    assert_int_equal(dial(&address, &stream), SC_ERR_CONNECT);
    snprintf(expected, sizeof(expected), "%s: no such file", path);
    assert_string_equal(sc_error_text(), expected);
    memset(address.path, 'a', sizeof(address.path)); /* no end */
    assert_int_equal(dial(&address, &stream), SC_ERR_CONNECT);
    assert_non_null(strstr(sc_error_text(), ": the path is too long"));
}

static void an_unknown_family_is_refused(void **state)
{
    sc_address address;
    void *stream;
    (void)state;
    memset(&address, 0, sizeof(address));
    assert_int_equal(dial(&address, &stream), SC_ERR_CONNECT);
    assert_null(stream);
}

/* A Unix socket's connect does not wait for room in the queue: it says so. */
static void a_full_queue_of_a_unix_socket_is_no_hang(void **state)
{
    endpoint where;
    sc_address address;
    void *streams[64];
    size_t count = 0;
    sc_status status = SC_OK;
    int listener = endpoint_listen(&where, WIRE_UNIX, 0);
    (void)state;
    address_of(&where, &address);
    while (count < SCI_COUNT(streams) && (status = dial(&address, &streams[count])) == SC_OK)
        count++;
    assert_int_equal(status, SC_ERR_CONNECT);
    assert_non_null(strstr(sc_error_text(), "queue of new connections is full"));
    while (count > 0)
        transport.hangup(streams[--count], true);
    close(listener);
}

static void a_connection_to_oneself_is_refused(void **state)
{
    struct sockaddr_in in;
    socklen_t len = sizeof(in);
    unsigned interest;
    sci_posix_stream *stream = (sci_posix_stream *)sci_alloc_zeroed(&memory.table, sizeof(*stream));
    (void)state;
    memset(&in, 0, sizeof(in));
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    stream->memory = memory.table;
    stream->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(stream->fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(getsockname(stream->fd, (struct sockaddr *)&in, &len), 0);
    assert_int_equal(connect(stream->fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_true(sci_address_parse("127.0.0.1", ntohs(in.sin_port), &stream->address));
    assert_int_equal(transport.progress(stream, &interest), SC_ERR_CONNECT);
    assert_non_null(strstr(sc_error_text(), ": connection refused"));
    transport.hangup(stream, true);
}

static void a_half_closed_peer_still_receives(void **state)
{
    (void)state;
    for (wire kind = WIRE_TCP; kind <= WIRE_UNIX; kind++) {
        pair both;
        char buffer[8];
        size_t count;
        ssize_t got = -1;
        pair_open(&both, kind);
        assert_int_equal(send(both.peer, "bye", 3, 0), 3);
        assert_int_equal(shutdown(both.peer, SHUT_WR), 0);
        assert_int_equal(receive(both.stream, buffer, sizeof(buffer), &count), SC_OK);
        assert_int_equal(count, 3);
        assert_int_equal(receive(both.stream, buffer, sizeof(buffer), &count), SC_END);
        assert_int_equal(receive(both.stream, buffer, sizeof(buffer), &count), SC_END);
        assert_int_equal(transport.transmit(both.stream, "more", 4, &count), SC_OK);
        WAIT_UNTIL((got = recv(both.peer, buffer, sizeof(buffer), 0)) > 0);
        assert_int_equal(got, 4);
        pair_close(&both);
    }
}

/* SIGPIPE has its default action here: it would end the program. */
static void sending_to_a_closed_peer_is_an_error_and_no_signal(void **state)
{
    (void)state;
    for (wire kind = WIRE_TCP; kind <= WIRE_UNIX; kind++) {
        pair both;
        size_t count;
        sc_status status = SC_OK;
        pair_open(&both, kind);
        close(both.peer);
        both.peer = -1;
        WAIT_UNTIL((status = transport.transmit(both.stream, "x", 1, &count)) != SC_OK);
        assert_int_equal(status, SC_ERR_DISCONNECTED);
        assert_int_equal(count, 0);
        status = transport.transmit(both.stream, "x", 1, &count);
        assert_int_equal(status, SC_ERR_DISCONNECTED);
        assert_non_null(strstr(sc_error_text(), ": the peer has closed the connection"));
        pair_close(&both);
    }
}

static void a_reset_names_the_address(void **state)
{
    pair both;
    char buffer[8];
    char expected[64];
    size_t count;
    (void)state;
    pair_open(&both, WIRE_TCP);
    endpoint_reset(both.peer);
    both.peer = -1;
    assert_int_equal(receive(both.stream, buffer, sizeof(buffer), &count), SC_ERR_DISCONNECTED);
    snprintf(expected, sizeof(expected), "127.0.0.1:%u: connection reset by the peer",
             (unsigned)both.where.port);
    assert_string_equal(sc_error_text(), expected);
    pair_close(&both);
}

static void a_full_socket_says_not_now(void **state)
{
    pair both;
    size_t count;
    size_t total = 0;
    size_t chunk = (size_t)1 << 20;
    sc_status status;
    char *block = (char *)calloc(1, chunk);
    (void)state;
    pair_open(&both, WIRE_TCP);
    while ((status = transport.transmit(both.stream, block, chunk, &count)) == SC_OK)
        total += count;
    assert_int_equal(status, SC_AGAIN);
    assert_int_equal(count, 0);
    assert_true(total > 0);
    free(block);
    pair_close(&both);
}

static void descriptors_close_on_exec(void **state)
{
    pair both;
    void *poller;
    void *dialling;
    sci_poll_set *set;
    sc_address address;
    (void)state;
    pair_open(&both, WIRE_TCP);
    address_of(&both.where, &address);
    assert_int_equal(transport.dial(NULL, &memory.table, &address, "h", &dialling), SC_OK);
    assert_true(fcntl((int)transport.descriptor(dialling), F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl((int)transport.descriptor(dialling), F_GETFL) & O_NONBLOCK);
    transport.hangup(dialling, true);
    assert_true(fcntl((int)transport.descriptor(both.stream), F_GETFD) & FD_CLOEXEC);
    pair_close(&both);
    assert_int_equal(poller_table.create(NULL, &memory.table, &poller), SC_OK);
    set = (sci_poll_set *)poller;
    assert_true(fcntl(set->fds[0].fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(set->wake_fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(set->fds[0].fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(set->wake_fd, F_GETFL) & O_NONBLOCK);
    poller_table.destroy(poller);
}

/* As after a fork: the descriptor is open twice. */
static void only_an_orderly_hangup_tells_the_peer(void **state)
{
    (void)state;
    for (int orderly = 0; orderly <= 1; orderly++) {
        pair both;
        char buffer[8];
        ssize_t got = -1;
        int other;
        pair_open(&both, WIRE_TCP);
        other = dup((int)transport.descriptor(both.stream));
        transport.hangup(both.stream, orderly != 0);
        both.stream = NULL;
        if (orderly) {
            WAIT_UNTIL((got = recv(both.peer, buffer, sizeof(buffer), 0)) == 0);
        } else {
            assert_int_equal(send(other, "alive", 5, 0), 5);
            WAIT_UNTIL((got = recv(both.peer, buffer, sizeof(buffer), 0)) > 0);
            assert_int_equal(got, 5);
        }
        close(other);
        pair_close(&both);
    }
}

static void on_alarm(int number)
{
    (void)number;
}

/* Signals without SA_RESTART, all the time. */
static void disturb(bool is_on)
{
    struct sigaction action;
    struct itimerval often;
    memset(&action, 0, sizeof(action));
    memset(&often, 0, sizeof(often));
    action.sa_handler = on_alarm;
    if (is_on) {
        often.it_interval.tv_usec = often.it_value.tv_usec = 1000;
        sigaction(SIGALRM, &action, NULL);
        setitimer(ITIMER_REAL, &often, NULL);
    } else {
        setitimer(ITIMER_REAL, &often, NULL);
        signal(SIGALRM, SIG_DFL);
    }
}

static void a_signal_ends_waiting_for_bytes_without_an_error(void **state)
{
    pair both;
    char buffer[8];
    size_t count;
    (void)state;
    pair_open(&both, WIRE_TCP);
    disturb(true);
    for (int i = 0; i < 20; i++)
        assert_int_equal(transport.receive_soon(both.stream, buffer, sizeof(buffer), &count),
                         SC_AGAIN);
    disturb(false);
    pair_close(&both);
}

#define BULK_BYTES ((size_t)64 << 20)
#define BULK_CHUNK ((size_t)256 << 10)

/* Byte `at` of the stream; the period is prime, so that a shift cannot hide. */
static unsigned char bulk_byte(size_t at)
{
    return (unsigned char)(at % 251);
}

typedef struct bulk {
    size_t sent, echoed, received;
    char *out, *in, *echo;
    size_t echo_len;
} bulk;

/* The peer sends back what it gets. */
static void bulk_echo(bulk *b, int peer)
{
    if (b->echo_len == 0) {
        ssize_t got = recv(peer, b->echo, BULK_CHUNK, 0);
        if (got > 0)
            b->echo_len = (size_t)got;
    }
    if (b->echo_len > 0) {
        ssize_t put = send(peer, b->echo, b->echo_len, MSG_NOSIGNAL);
        if (put > 0) {
            memmove(b->echo, b->echo + put, b->echo_len - (size_t)put);
            b->echo_len -= (size_t)put;
            b->echoed += (size_t)put;
        }
    }
}

static void bulk_step(bulk *b, void *stream)
{
    size_t count = 0;
    sc_status status;
    if (b->sent < BULK_BYTES) {
        size_t phase = b->sent % 251; /* `out` repeats the pattern with room for any phase */
        status = transport.transmit(stream, b->out + phase,
                                    sci_min_size(BULK_CHUNK, BULK_BYTES - b->sent), &count);
        assert_true(status == SC_OK || status == SC_AGAIN);
        b->sent += count;
    }
    status = transport.receive(stream, b->in, BULK_CHUNK, &count);
    assert_true(status == SC_OK || status == SC_AGAIN);
    if (count > 0)
        assert_memory_equal(b->in, b->out + b->received % 251, count);
    b->received += count;
}

static void large_bulks_go_both_ways_amid_signals(void **state)
{
    (void)state;
    for (wire kind = WIRE_TCP; kind <= WIRE_UNIX; kind++) {
        pair both;
        bulk b;
        memset(&b, 0, sizeof(b));
        b.out = (char *)malloc(BULK_CHUNK + 251);
        b.in = (char *)malloc(BULK_CHUNK);
        b.echo = (char *)malloc(BULK_CHUNK);
        for (size_t i = 0; i < BULK_CHUNK + 251; i++)
            b.out[i] = (char)bulk_byte(i);
        pair_open(&both, kind);
        disturb(true);
        while (b.received < BULK_BYTES) {
            bulk_step(&b, both.stream);
            bulk_echo(&b, both.peer);
        }
        disturb(false);
        assert_int_equal(b.sent, BULK_BYTES);
        assert_int_equal(b.echoed, BULK_BYTES);
        pair_close(&both);
        free(b.out);
        free(b.in);
        free(b.echo);
    }
}

static void a_dial_without_memory_leaves_nothing(void **state)
{
    endpoint where;
    sc_address address;
    void *stream = &where;
    int listener = endpoint_listen(&where, WIRE_TCP, 8);
    (void)state;
    address_of(&where, &address);
    fault_memory_fail(&memory, 1, false);
    assert_int_equal(dial(&address, &stream), SC_ERR_MEMORY);
    assert_null(stream);
    close(listener);
}

static void a_dial_without_a_free_descriptor_says_so(void **state)
{
    endpoint where;
    sc_address address;
    void *stream;
    struct rlimit limit;
    struct rlimit none;
    (void)state;
    endpoint_set_tcp(&where, 1);
    address_of(&where, &address);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    sc_status status = dial(&address, &stream);
    setrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(status, SC_ERR_CONNECT);
    assert_non_null(strstr(sc_error_text(), "ulimit -n"));
}

static void an_unlisted_errno_is_given_by_number(void **state)
{
    char unlisted[SCI_POSIX_ERROR_BYTES];
    (void)state;
    assert_string_equal(sci_posix_error_text(INT_MIN, unlisted), "errno -2147483648");
    assert_string_equal(sci_posix_error_text(ECONNREFUSED, unlisted), "connection refused");
}

/* -- Poller -- */

#define EVENTS 64

static void *poller_open(void)
{
    void *poller;
    assert_int_equal(poller_table.create(NULL, &memory.table, &poller), SC_OK);
    return poller;
}

/* Look without waiting. */
static size_t look(void *poller, sc_event *events, size_t cap)
{
    size_t count = 1;
    assert_int_equal(poller_table.wait(poller, 0, events, cap, &count), SC_OK);
    return count;
}

static void readiness_is_told_as_it_is(void **state)
{
    void *poller = poller_open();
    sc_event events[EVENTS];
    int ends[2];
    char byte;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(poller_table.watch(poller, ends[0], SC_READABLE, ends), SC_OK);
    assert_int_equal(look(poller, events, EVENTS), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(look(poller, events, EVENTS), 1);
    assert_ptr_equal(events[0].tag, ends);
    assert_int_equal(events[0].ready, SC_READABLE);

    assert_int_equal(poller_table.watch(poller, ends[0], SC_READABLE | SC_WRITABLE, &byte), SC_OK);
    assert_int_equal(look(poller, events, EVENTS), 1);
    assert_ptr_equal(events[0].tag, &byte);
    assert_int_equal(events[0].ready, SC_READABLE | SC_WRITABLE);

    assert_int_equal(poller_table.watch(poller, ends[0], SC_WRITABLE, ends), SC_OK);
    assert_int_equal(look(poller, events, EVENTS), 1);
    assert_int_equal(events[0].ready, SC_WRITABLE);

    close(ends[1]);
    assert_int_equal(look(poller, events, EVENTS), 1);
    assert_true(events[0].ready & SC_HANGUP);

    assert_int_equal(poller_table.watch(poller, ends[0], 0, NULL), SC_OK);
    assert_int_equal(look(poller, events, EVENTS), 0);
    assert_int_equal(poller_table.watch(poller, ends[0], 0, NULL), SC_OK); /* once more is fine */
    close(ends[0]);
    poller_table.destroy(poller);
}

static void a_closed_descriptor_is_a_hangup(void **state)
{
    void *poller = poller_open();
    sc_event events[EVENTS];
    int fd = dup(0);
    (void)state;
    assert_int_equal(poller_table.watch(poller, fd, SC_READABLE, &fd), SC_OK);
    close(fd);
    assert_int_equal(look(poller, events, EVENTS), 1);
    assert_int_equal(events[0].ready, SC_HANGUP);
    assert_int_equal(poller_table.watch(poller, fd, 0, NULL), SC_OK);
    assert_int_equal(look(poller, events, EVENTS), 0);
    poller_table.destroy(poller);
}

static void what_is_no_descriptor_is_refused(void **state)
{
    void *poller = poller_open();
    (void)state;
    assert_int_equal(poller_table.watch(poller, -1, SC_READABLE, NULL), SC_ERR_ARGUMENT);
#if INTPTR_MAX > INT_MAX
    assert_int_equal(poller_table.watch(poller, (sc_descriptor)INT_MAX + 1, SC_READABLE, NULL),
                     SC_ERR_ARGUMENT);
#endif
    poller_table.destroy(poller);
}

#define CROWD 1000

/* Room for the crowd; false when this system has none. */
static bool raise_descriptor_limit(rlim_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    if (limit.rlim_cur >= wanted)
        return true;
    limit.rlim_cur = wanted;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static void a_thousand_descriptors_each_have_their_turn(void **state)
{
    void *poller;
    sc_event events[7]; /* no divisor of 1000 */
    static int fds[CROWD];
    static int seen[CROWD];
    int ends[2];
    (void)state;
    if (!raise_descriptor_limit(CROWD + 200))
        skip();
    poller = poller_open();
    memset(seen, 0, sizeof(seen));
    assert_int_equal(pipe(ends), 0);
    for (int i = 0; i < CROWD; i++) {
        fds[i] = dup(ends[0]);
        assert_true(fds[i] >= 0);
        assert_int_equal(poller_table.watch(poller, fds[i], SC_READABLE, &seen[i]), SC_OK);
    }
    assert_int_equal(look(poller, events, SCI_COUNT(events)), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    /* All stay ready: after one round of full arrays everybody was told at least once. */
    for (int round = 0; round < CROWD / 7 + 1; round++) {
        size_t count = look(poller, events, SCI_COUNT(events));
        assert_int_equal(count, SCI_COUNT(events));
        for (size_t i = 0; i < count; i++)
            ++*(int *)events[i].tag;
    }
    for (int i = 0; i < CROWD; i++)
        assert_in_range(seen[i], 1, 2);
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(poller_table.watch(poller, fds[i], 0, NULL), SC_OK);
        close(fds[i]);
    }
    assert_int_equal(look(poller, events, SCI_COUNT(events)), 0);
    poller_table.destroy(poller);
    close(ends[0]);
    close(ends[1]);
}

/* Adding and forgetting in any order, against an array that knows. */
static void the_index_agrees_with_a_plain_list(void **state)
{
    void *poller = poller_open();
    static bool is_watched[CROWD];
    static sc_event events[CROWD];
    static int fds[CROWD];
    int ends[2];
    uint32_t random = 12345;
    size_t watched = 0;
    int crowd = 100;
    (void)state;
    memset(is_watched, 0, sizeof(is_watched));
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    /* Numbers with gaps and with equal low bits, so that they collide in the index. */
    for (int i = 0; i < crowd; i++) {
        fds[i] = fcntl(ends[0], F_DUPFD, i % 3 == 0 ? 32 * (i / 3 % 20) + 100 : 100);
        assert_true(fds[i] >= 0);
    }
    for (int step = 0; step < 5000; step++) {
        int i;
        random = random * 1664525u + 1013904223u;
        i = (int)(random >> 8) % crowd;
        is_watched[i] = !is_watched[i];
        watched = is_watched[i] ? watched + 1 : watched - 1;
        assert_int_equal(
            poller_table.watch(poller, fds[i], is_watched[i] ? SC_READABLE : 0, &fds[i]), SC_OK);
        if (step % 50 == 0) {
            bool was_told[CROWD] = {false};
            assert_int_equal(look(poller, events, CROWD), watched);
            for (size_t k = 0; k < watched; k++) {
                size_t at = (size_t)((int *)events[k].tag - fds);
                assert_true(is_watched[at]);
                assert_false(was_told[at]);
                was_told[at] = true;
            }
        }
    }
    poller_table.destroy(poller);
    for (int i = 0; i < crowd; i++)
        close(fds[i]);
    close(ends[0]);
    close(ends[1]);
}

static void wakes_before_a_wait_end_it_once(void **state)
{
    void *poller = poller_open();
    sc_event events[EVENTS];
    size_t count = 1;
    (void)state;
    for (int i = 0; i < 1000; i++)
        poller_table.wake(poller);
    assert_int_equal(poller_table.wait(poller, INT64_MAX, events, EVENTS, &count), SC_OK);
    assert_int_equal(count, 0);
    /* The wakes are used up: only a new one is seen. */
    assert_int_equal(poll(((sci_poll_set *)poller)->fds, 1, 0), 0);
    poller_table.wake(poller);
    assert_int_equal(poller_table.wait(poller, -1, events, EVENTS, &count), SC_OK);
    poller_table.destroy(poller);
}

static void a_wake_does_not_hide_what_is_ready(void **state)
{
    void *poller = poller_open();
    sc_event events[EVENTS];
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(poller_table.watch(poller, ends[1], SC_WRITABLE, ends), SC_OK);
    poller_table.wake(poller);
    assert_int_equal(look(poller, events, EVENTS), 1);
    assert_ptr_equal(events[0].tag, ends);
    poller_table.destroy(poller);
    close(ends[0]);
    close(ends[1]);
}

typedef struct waker {
    void *poller;
    sci_atomic_u32 asked;
} waker;

#define WAKES 500

static void *wake_when_asked(void *argument)
{
    waker *w = (waker *)argument;
    for (uint32_t i = 1; i <= WAKES; i++) {
        while (sci_atomic_load_acquire(&w->asked) < i)
            sched_yield();
        poller_table.wake(w->poller);
    }
    return NULL;
}

static void another_thread_wakes_the_waiter(void **state)
{
    waker w;
    pthread_t thread;
    sc_event events[EVENTS];
    (void)state;
    memset(&w, 0, sizeof(w));
    w.poller = poller_open();
    assert_int_equal(pthread_create(&thread, NULL, wake_when_asked, &w), 0);
    for (uint32_t i = 1; i <= WAKES; i++) {
        size_t count = 1;
        sci_atomic_store_release(&w.asked, i);
        assert_int_equal(poller_table.wait(w.poller, -1, events, EVENTS, &count), SC_OK);
        assert_int_equal(count, 0);
    }
    pthread_join(thread, NULL);
    poller_table.destroy(w.poller);
}

static void *write_after_a_moment(void *argument)
{
    wait_a_moment();
    assert_int_equal(write(*(int *)argument, "x", 1), 1);
    return NULL;
}

/* 2^32 ms is 0 to who keeps 32 bits of it. */
static void a_very_long_timeout_waits(void **state)
{
    void *poller = poller_open();
    sc_event events[EVENTS];
    size_t count = 0;
    pthread_t thread;
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(poller_table.watch(poller, ends[0], SC_READABLE, ends), SC_OK);
    assert_int_equal(pthread_create(&thread, NULL, write_after_a_moment, &ends[1]), 0);
    assert_int_equal(poller_table.wait(poller, INT64_C(1) << 32, events, EVENTS, &count), SC_OK);
    assert_int_equal(count, 1);
    pthread_join(thread, NULL);
    poller_table.destroy(poller);
    close(ends[0]);
    close(ends[1]);
}

static void a_signal_ends_a_wait_without_an_error(void **state)
{
    void *poller = poller_open();
    sc_event events[EVENTS];
    size_t count = 1;
    (void)state;
    disturb(true);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(poller_table.wait(poller, -1, events, EVENTS, &count), SC_OK);
        assert_int_equal(count, 0);
    }
    disturb(false);
    poller_table.destroy(poller);
}

static void a_poller_without_memory_leaves_nothing(void **state)
{
    void *poller = NULL;
    int ends[2];
    int fds[SCI_POLL_FIRST_CAP];
    sc_event events[EVENTS];
    (void)state;
    for (size_t request = 1; request <= 2; request++) {
        fault_memory_fail(&memory, request, false);
        assert_int_equal(poller_table.create(NULL, &memory.table, &poller), SC_ERR_MEMORY);
        assert_null(poller);
    }
    fault_memory_fail(&memory, 0, false);
    poller = poller_open();
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    for (size_t i = 0; i < SCI_COUNT(fds); i++) {
        fds[i] = dup(ends[0]);
        fault_memory_fail(&memory, 1, true);
        /* The wake-up descriptor has a place too, so the last one needs more room. */
        assert_int_equal(poller_table.watch(poller, fds[i], SC_READABLE, &fds[i]),
                         i < SCI_COUNT(fds) - 1 ? SC_OK : SC_ERR_MEMORY);
        fault_memory_fail(&memory, 0, false);
    }
    assert_int_equal(look(poller, events, EVENTS), SCI_COUNT(fds) - 1);
    assert_int_equal(poller_table.watch(poller, fds[SCI_COUNT(fds) - 1], SC_READABLE, fds), SC_OK);
    assert_int_equal(look(poller, events, EVENTS), SCI_COUNT(fds));
    poller_table.destroy(poller);
    for (size_t i = 0; i < SCI_COUNT(fds); i++)
        close(fds[i]);
    close(ends[0]);
    close(ends[1]);
}

/* -- Name look-up -- */

static void count_notify(void *user)
{
    sci_atomic_add((sci_atomic_u32 *)user, 1);
}

/* See a look-up through, as the loop does. */
static void finish(sc_lookup *lookup)
{
    if (lookup->descriptor >= 0) {
        while (!sci_lookup_is_done(lookup)) {
            struct pollfd fd;
            fd.fd = (int)lookup->descriptor;
            fd.events = POLLIN;
            assert_true(poll(&fd, 1, WAIT_WATCHDOG_MS) == 1 || errno == EINTR);
            sci_lookup_advance(lookup);
        }
    }
    WAIT_UNTIL(sci_lookup_is_done(lookup));
}

static void localhost_is_a_loopback_address(void **state)
{
    sc_lookup *lookup;
    sci_atomic_u32 notified = {0};
    (void)state;
    assert_int_equal(sci_lookup_start(&memory.table, &resolver, "localhost", 6379, count_notify,
                                      &notified, &lookup),
                     SC_OK);
    finish(lookup);
    assert_int_equal(lookup->status, SC_OK);
    assert_in_range(lookup->count, 1, SCI_LOOKUP_ADDRESSES);
    for (size_t i = 0; i < lookup->count; i++) {
        char text[SCI_ADDRESS_TEXT_BYTES];
        sci_address_to_text(&lookup->addresses[i], text);
        assert_true(strcmp(text, "127.0.0.1:6379") == 0 || strcmp(text, "[::1]:6379") == 0);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(&lookup->addresses[i], &lookup->addresses[k],
                                    sizeof(lookup->addresses[0]));
    }
    WAIT_UNTIL(sci_atomic_load_acquire(&notified) == 1);
    sci_lookup_advance(lookup); /* too late, and no harm */
    sci_lookup_abandon(lookup);
    assert_int_equal(notified.value, 1);
}

static void a_name_that_cannot_exist_fails_with_words(void **state)
{
    sc_lookup *lookup;
    sci_atomic_u32 notified = {0};
    (void)state;
    assert_int_equal(sci_lookup_start(&memory.table, &resolver, "no-such-host.invalid", 6379,
                                      count_notify, &notified, &lookup),
                     SC_OK);
    finish(lookup);
    assert_int_equal(lookup->status, SC_ERR_RESOLVE);
    assert_int_equal(lookup->count, 0);
    assert_ptr_equal(strstr(lookup->error_text, "host \"no-such-host.invalid\": "),
                     lookup->error_text);
    sci_lookup_abandon(lookup);
}

static void an_address_is_listed_once(void **state)
{
    sc_address addresses[2];
    sc_address other;
    (void)state;
    assert_true(sci_address_parse("10.0.0.1", 1, &addresses[0]));
    assert_true(sci_address_parse("::1", 1, &addresses[1]));
    assert_true(sci_address_parse("fe80::1%2", 1, &other));
    assert_true(sci_resolve_is_listed(addresses, 2, &addresses[1]));
    assert_false(sci_resolve_is_listed(addresses, 1, &addresses[1]));
    assert_false(sci_resolve_is_listed(addresses, 2, &other));
}

/* A resolver of the test's: does what `play` says. */
typedef struct play {
    sc_status resolve_status; /* what resolve returns; not SC_OK: it does not finish */
    sc_status status;
    size_t count;
    size_t calls;
    sc_lookup *kept; /* not finished at once */
    bool keeps;
} play;

static void play_addresses(sc_address *addresses, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_true(sci_address_parse("10.0.0.0", 1, &addresses[i]));
        addresses[i].ip[3] = (uint8_t)i;
    }
}

static sc_status play_resolve(void *user, sc_lookup *lookup, const char *host, uint16_t port)
{
    play *p = (play *)user;
    sc_address addresses[SCI_LOOKUP_ADDRESSES * 2];
    (void)port;
    p->calls++;
    if (p->resolve_status != SC_OK)
        return sc_fail(p->resolve_status, "the test's resolver refuses %s", host);
    if (p->keeps) {
        p->kept = lookup;
        return SC_OK;
    }
    play_addresses(addresses, p->count);
    sc_lookup_done(lookup,
                   p->status < SC_OK ? sc_fail(p->status, "the test's resolver fails for %s", host)
                                     : p->status,
                   addresses, p->count);
    return SC_OK;
}

static sc_status play_start(play *p, const char *host, sci_atomic_u32 *notified, sc_lookup **lookup)
{
    sc_resolver table;
    table.user = p;
    table.resolve = play_resolve;
    return sci_lookup_start(&memory.table, &table, host, 6379, count_notify, notified, lookup);
}

static void a_numeric_host_needs_no_resolver(void **state)
{
    play p;
    sc_lookup *lookup;
    sci_atomic_u32 notified = {0};
    char text[SCI_ADDRESS_TEXT_BYTES];
    (void)state;
    memset(&p, 0, sizeof(p));
    assert_int_equal(play_start(&p, "::1", &notified, &lookup), SC_OK);
    assert_true(sci_lookup_is_done(lookup));
    assert_int_equal(lookup->count, 1);
    sci_address_to_text(&lookup->addresses[0], text);
    assert_string_equal(text, "[::1]:6379");
    assert_int_equal(notified.value, 1);
    assert_int_equal(p.calls, 0);
    sci_lookup_abandon(lookup);
}

static void the_words_of_a_failing_resolver_reach_the_owner(void **state)
{
    play p;
    sc_lookup *lookup;
    sci_atomic_u32 notified = {0};
    (void)state;
    memset(&p, 0, sizeof(p));
    p.status = SC_ERR_IO;
    assert_int_equal(play_start(&p, "h", &notified, &lookup), SC_OK);
    assert_int_equal(lookup->status, SC_ERR_IO);
    assert_string_equal(lookup->error_text, "the test's resolver fails for h");
    sci_lookup_abandon(lookup);
}

static void a_resolver_that_cannot_begin_leaves_nothing(void **state)
{
    play p;
    sc_lookup *lookup;
    sci_atomic_u32 notified = {0};
    (void)state;
    memset(&p, 0, sizeof(p));
    p.resolve_status = SC_ERR_UNSUPPORTED;
    assert_int_equal(play_start(&p, "h", &notified, &lookup), SC_ERR_UNSUPPORTED);
    assert_null(lookup);
    assert_string_equal(sc_error_text(), "the test's resolver refuses h");
    assert_int_equal(notified.value, 0);
    sci_lookup_abandon(NULL);
}

static void success_needs_an_address_and_takes_sixteen_at_most(void **state)
{
    play p;
    sc_lookup *lookup;
    sci_atomic_u32 notified = {0};
    (void)state;
    memset(&p, 0, sizeof(p));
    assert_int_equal(play_start(&p, "h", &notified, &lookup), SC_OK);
    assert_int_equal(lookup->status, SC_ERR_RESOLVE);
    assert_string_equal(lookup->error_text, "host \"h\": the resolver found no address");
    sci_lookup_abandon(lookup);

    p.status = SC_MISS;
    p.count = 1;
    assert_int_equal(play_start(&p, "h", &notified, &lookup), SC_OK);
    assert_int_equal(lookup->status, SC_ERR_RESOLVE);
    assert_non_null(strstr(lookup->error_text, "SC_MISS"));
    sci_lookup_abandon(lookup);

    p.status = SC_OK;
    p.count = SCI_LOOKUP_ADDRESSES * 2;
    assert_int_equal(play_start(&p, "h", &notified, &lookup), SC_OK);
    assert_int_equal(lookup->status, SC_OK);
    assert_int_equal(lookup->count, SCI_LOOKUP_ADDRESSES);
    assert_int_equal(lookup->addresses[15].ip[3], 15);
    sci_lookup_abandon(lookup);
}

static void who_abandons_first_is_not_notified(void **state)
{
    play p;
    sc_lookup *lookup;
    sc_address address;
    sci_atomic_u32 notified = {0};
    (void)state;
    memset(&p, 0, sizeof(p));
    p.keeps = true;
    play_addresses(&address, 1);
    assert_int_equal(play_start(&p, "h", &notified, &lookup), SC_OK);
    assert_false(sci_lookup_is_done(lookup));
    sci_lookup_abandon(lookup);
    assert_int_equal(fault_memory_live_blocks(&memory), 2); /* the resolver's turn: it may look */
    assert_string_equal(p.kept->host, "h");
    sc_lookup_done(p.kept, SC_OK, &address, 1);
    assert_int_equal(notified.value, 0);
    assert_int_equal(fault_memory_live_blocks(&memory), 0);

    assert_int_equal(play_start(&p, "h", &notified, &lookup), SC_OK);
    sci_lookup_abandon_in_child(lookup);
    sc_lookup_done(p.kept, SC_OK, &address, 1);
    assert_int_equal(notified.value, 0);
}

static void a_look_up_without_memory_leaves_nothing(void **state)
{
    sc_lookup *lookup;
    sc_status status = SC_ERR_MEMORY;
    sci_atomic_u32 notified = {0};
    (void)state;
    for (size_t request = 1; status == SC_ERR_MEMORY; request++) {
        assert_in_range(request, 1, 10);
        fault_memory_fail(&memory, request, false);
        status = sci_lookup_start(&memory.table, &resolver, "localhost", 1, count_notify, &notified,
                                  &lookup);
        fault_memory_fail(&memory, 0, false);
        if (status == SC_ERR_MEMORY)
            assert_int_equal(fault_memory_live_blocks(&memory), 0);
    }
    assert_int_equal(status, SC_OK);
    finish(lookup);
    sci_lookup_abandon(lookup);
}

#ifndef SMARTCACHE_NO_THREADS

/* An owner that may be gone: a notify after that is what must never happen. */
typedef struct owner {
    sci_atomic_u32 notified, is_gone, violations;
} owner;

static void notify_owner(void *user)
{
    owner *o = (owner *)user;
    if (sci_atomic_load_acquire(&o->is_gone))
        sci_atomic_add(&o->violations, 1);
    sci_atomic_add(&o->notified, 1);
    sched_yield(); /* time for the owner to leave in the middle */
    if (sci_atomic_load_acquire(&o->is_gone))
        sci_atomic_add(&o->violations, 1);
}

typedef struct race {
    pthread_barrier_t start;
    sc_lookup *lookup;
    unsigned finisher_spins, owner_spins;
    bool ends;
} race;

static void spin(unsigned turns)
{
    for (volatile unsigned i = 0; i < turns; i++)
        continue;
}

static void *finish_in_a_race(void *argument)
{
    race *r = (race *)argument;
    sc_address address;
    play_addresses(&address, 1);
    for (;;) {
        pthread_barrier_wait(&r->start);
        if (r->ends)
            return NULL;
        spin(r->finisher_spins);
        sc_lookup_done(r->lookup, SC_OK, &address, 1);
        pthread_barrier_wait(&r->start);
    }
}

#define RACES 3000

static void an_owner_may_leave_at_any_moment(void **state)
{
    race r;
    pthread_t thread;
    uint32_t random = 1;
    (void)state;
    memset(&r, 0, sizeof(r));
    pthread_barrier_init(&r.start, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, finish_in_a_race, &r), 0);
    for (int i = 0; i < RACES; i++) {
        play p;
        sc_resolver table;
        owner o;
        sc_lookup *lookup;
        memset(&p, 0, sizeof(p));
        memset(&o, 0, sizeof(o));
        p.keeps = true;
        table.user = &p;
        table.resolve = play_resolve;
        assert_int_equal(sci_lookup_start(&memory.table, &table, "h", 1, notify_owner, &o, &lookup),
                         SC_OK);
        random = random * 1664525u + 1013904223u;
        r.lookup = p.kept;
        r.finisher_spins = random >> 8 & 0x3ff;
        r.owner_spins = random >> 18 & 0x3ff;
        pthread_barrier_wait(&r.start);
        spin(r.owner_spins);
        sci_lookup_abandon(lookup);
        sci_atomic_store_release(&o.is_gone, 1);
        pthread_barrier_wait(&r.start);
        assert_int_equal(o.violations.value, 0);
        assert_in_range(o.notified.value, 0, 1);
        assert_int_equal(fault_memory_live_blocks(&memory), 0);
    }
    r.ends = true;
    pthread_barrier_wait(&r.start);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&r.start);
}

static void an_owner_that_stays_is_always_notified(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        owner o;
        sc_lookup *lookup;
        memset(&o, 0, sizeof(o));
        assert_int_equal(
            sci_lookup_start(&memory.table, &resolver, "localhost", 1, notify_owner, &o, &lookup),
            SC_OK);
        WAIT_UNTIL(sci_atomic_load_acquire(&o.notified) == 1);
        assert_true(sci_lookup_is_done(lookup));
        sci_lookup_abandon(lookup);
        sci_atomic_store_release(&o.is_gone, 1);
        assert_int_equal(o.violations.value, 0);
    }
}

static void owners_may_leave_the_system_s_resolver(void **state)
{
    static owner owners[200];
    uint32_t random = 1;
    (void)state;
    memset(owners, 0, sizeof(owners));
    for (size_t i = 0; i < SCI_COUNT(owners); i++) {
        sc_lookup *lookup;
        assert_int_equal(sci_lookup_start(&memory.table, &resolver, "localhost", 1, notify_owner,
                                          &owners[i], &lookup),
                         SC_OK);
        random = random * 1664525u + 1013904223u;
        spin(random >> 14 & 0x3ffff);
        sci_lookup_abandon(lookup);
        sci_atomic_store_release(&owners[i].is_gone, 1);
    }
    WAIT_UNTIL(fault_memory_live_blocks(&memory) == 0);
    for (size_t i = 0; i < SCI_COUNT(owners); i++)
        assert_int_equal(owners[i].violations.value, 0);
}

static void look_at_signal_mask(void *user)
{
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    if (sigismember(&now, SIGUSR1) == 1 && sigismember(&now, SIGINT) == 1 &&
        sigismember(&now, SIGCHLD) == 1)
        sci_atomic_add((sci_atomic_u32 *)user, 1);
}

static void the_resolver_s_thread_takes_no_signals(void **state)
{
    sc_lookup *lookup;
    sci_atomic_u32 blocked = {0};
    (void)state;
    assert_int_equal(sci_lookup_start(&memory.table, &resolver, "localhost", 1, look_at_signal_mask,
                                      &blocked, &lookup),
                     SC_OK);
    WAIT_UNTIL(sci_lookup_is_done(lookup));
    sci_lookup_abandon(lookup);
    assert_int_equal(blocked.value, 1);
}

#else /* the helper process */

static volatile sig_atomic_t children_signals;

static void on_child(int number)
{
    (void)number;
    children_signals++;
}

/* Children that ended and were not reaped. */
static bool has_zombies(void)
{
    siginfo_t info;
    memset(&info, 0, sizeof(info));
    assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), 0);
    return info.si_pid != 0; /* the folder's remover is a child that still runs */
}

static void resolve_one(void)
{
    sc_lookup *lookup;
    sci_atomic_u32 notified = {0};
    assert_int_equal(sci_lookup_start(&memory.table, &resolver, "localhost", 1, count_notify,
                                      &notified, &lookup),
                     SC_OK);
    assert_true(lookup->descriptor >= 0);
    assert_true(fcntl((int)lookup->descriptor, F_GETFD) & FD_CLOEXEC);
    finish(lookup);
    assert_int_equal(lookup->status, SC_OK);
    assert_int_equal(notified.value, 1);
    sci_lookup_abandon(lookup);
}

static void the_helper_leaves_neither_zombie_nor_signal(void **state)
{
    sigset_t before;
    sigset_t after;
    (void)state;
    children_signals = 0;
    signal(SIGCHLD, on_child);
    sigprocmask(SIG_SETMASK, NULL, &before);
    for (int i = 0; i < 20; i++)
        resolve_one();
    sigprocmask(SIG_SETMASK, NULL, &after);
    signal(SIGCHLD, SIG_DFL);
    assert_int_equal(sigismember(&after, SIGCHLD), sigismember(&before, SIGCHLD));
    assert_false(has_zombies());
#ifdef __linux__
    assert_int_equal(children_signals, 0);
#endif
}

/* A child of the application that ends meanwhile is told of, whenever that was. */
static void the_application_s_children_are_still_told_of(void **state)
{
    (void)state;
    signal(SIGCHLD, on_child);
    for (int i = 0; i < 50; i++) {
        pid_t child;
        children_signals = 0;
        child = fork();
        if (child == 0) {
            usleep((useconds_t)(i * 20));
            _exit(7);
        }
        resolve_one();
        WAIT_UNTIL(children_signals > 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
    }
    signal(SIGCHLD, SIG_DFL);
}

static void an_application_that_ignores_its_children_can_resolve(void **state)
{
    (void)state;
    signal(SIGCHLD, SIG_IGN);
    resolve_one();
    signal(SIGCHLD, SIG_DFL);
}

static void a_helper_that_dies_is_an_error(void **state)
{
    sc_lookup *lookup;
    sci_atomic_u32 notified = {0};
    int ends[2];
    (void)state;
    assert_int_equal(sci_lookup_start(&memory.table, &resolver, "localhost", 1, count_notify,
                                      &notified, &lookup),
                     SC_OK);
    /* In the helper's place: an end that closes after half an answer. */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(dup2(ends[0], (int)lookup->descriptor), (int)lookup->descriptor);
    close(ends[0]);
    assert_int_equal(write(ends[1], "half", 4), 4);
    sci_lookup_advance(lookup);
    assert_false(sci_lookup_is_done(lookup));
    close(ends[1]);
    finish(lookup);
    assert_int_equal(lookup->status, SC_ERR_RESOLVE);
    assert_non_null(strstr(lookup->error_text, "the helper process ended before it answered"));
    sci_lookup_abandon(lookup);
}

static void an_owner_may_leave_the_helper(void **state)
{
    sci_atomic_u32 notified = {0};
    (void)state;
    for (int i = 0; i < 20; i++) {
        sc_lookup *lookup;
        assert_int_equal(sci_lookup_start(&memory.table, &resolver, "localhost", 1, count_notify,
                                          &notified, &lookup),
                         SC_OK);
        sci_lookup_abandon(lookup);
    }
    assert_int_equal(notified.value, 0);
    assert_false(has_zombies());
}

/* An application that reaps whatever ends leaves us without a child, and that is all. */
static void an_application_that_reaps_every_child_can_resolve(void **state)
{
    sc_lookup *lookup;
    sci_atomic_u32 notified = {0};
    pid_t helper;
    (void)state;
    assert_int_equal(sci_lookup_start(&memory.table, &resolver, "localhost", 1, count_notify,
                                      &notified, &lookup),
                     SC_OK);
    helper = ((sci_resolve_helper *)lookup->helper)->process;
    assert_int_equal(kill(helper, SIGKILL), 0);
    assert_int_equal(waitpid(helper, NULL, 0), helper);
    finish(lookup);
    assert_true(lookup->status == SC_OK || lookup->status == SC_ERR_RESOLVE);
    sci_lookup_abandon(lookup);
}

/* What a forked child lets go of is still its parent's to use. */
static void a_forked_child_lets_go_without_ending_the_helper(void **state)
{
    sc_lookup *lookup;
    sci_atomic_u32 notified = {0};
    pid_t child;
    (void)state;
    assert_int_equal(sci_lookup_start(&memory.table, &resolver, "localhost", 1, count_notify,
                                      &notified, &lookup),
                     SC_OK);
    child = fork();
    if (child == 0) {
        sci_lookup_abandon_in_child(lookup);
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    finish(lookup);
    assert_int_equal(lookup->status, SC_OK);
    sci_lookup_abandon(lookup);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(numeric_addresses_are_read_and_printed),
        TEST(what_is_no_numeric_address_is_a_name),
        TEST(the_longest_texts_fit),
        TEST(bytes_go_both_ways),
        TEST(ipv6_is_dialled_like_ipv4),
        TEST(waiting_for_bytes_ends_with_or_without_them),
        TEST(a_refused_connection_names_the_address),
        TEST(a_missing_unix_socket_is_named),
        TEST(an_unknown_family_is_refused),
        TEST(a_full_queue_of_a_unix_socket_is_no_hang),
        TEST(a_connection_to_oneself_is_refused),
        TEST(a_half_closed_peer_still_receives),
        TEST(sending_to_a_closed_peer_is_an_error_and_no_signal),
        TEST(a_reset_names_the_address),
        TEST(a_full_socket_says_not_now),
        TEST(descriptors_close_on_exec),
        TEST(only_an_orderly_hangup_tells_the_peer),
        TEST(a_signal_ends_waiting_for_bytes_without_an_error),
        TEST(large_bulks_go_both_ways_amid_signals),
        TEST(a_dial_without_memory_leaves_nothing),
        TEST(a_dial_without_a_free_descriptor_says_so),
        TEST(an_unlisted_errno_is_given_by_number),
        TEST(readiness_is_told_as_it_is),
        TEST(a_closed_descriptor_is_a_hangup),
        TEST(what_is_no_descriptor_is_refused),
        TEST(a_thousand_descriptors_each_have_their_turn),
        TEST(the_index_agrees_with_a_plain_list),
        TEST(wakes_before_a_wait_end_it_once),
        TEST(a_wake_does_not_hide_what_is_ready),
        TEST(another_thread_wakes_the_waiter),
        TEST(a_very_long_timeout_waits),
        TEST(a_signal_ends_a_wait_without_an_error),
        TEST(a_poller_without_memory_leaves_nothing),
        TEST(localhost_is_a_loopback_address),
        TEST(a_name_that_cannot_exist_fails_with_words),
        TEST(an_address_is_listed_once),
        TEST(a_numeric_host_needs_no_resolver),
        TEST(the_words_of_a_failing_resolver_reach_the_owner),
        TEST(a_resolver_that_cannot_begin_leaves_nothing),
        TEST(success_needs_an_address_and_takes_sixteen_at_most),
        TEST(who_abandons_first_is_not_notified),
        TEST(a_look_up_without_memory_leaves_nothing),
#ifndef SMARTCACHE_NO_THREADS
        TEST(an_owner_may_leave_at_any_moment),
        TEST(an_owner_that_stays_is_always_notified),
        TEST(owners_may_leave_the_system_s_resolver),
        TEST(the_resolver_s_thread_takes_no_signals),
#else
        TEST(the_helper_leaves_neither_zombie_nor_signal),
        TEST(the_application_s_children_are_still_told_of),
        TEST(an_application_that_ignores_its_children_can_resolve),
        TEST(a_helper_that_dies_is_an_error),
        TEST(an_owner_may_leave_the_helper),
        TEST(an_application_that_reaps_every_child_can_resolve),
        TEST(a_forked_child_lets_go_without_ending_the_helper),
#endif
    };
    (void)test_folder();
    if (!sci_posix_transport(&transport) || !sci_posix_poller(&poller_table) ||
        !sci_posix_resolver(&resolver))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
