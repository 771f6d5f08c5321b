/* Addresses, and the POSIX transport on real loopback sockets. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "folder.h"
#include "net_test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static sc_transport transport;
static sc_poller poller_table;

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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };
    (void)test_folder();
    if (!sc_platform_transport(&transport) || !sc_platform_poller(&poller_table))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
