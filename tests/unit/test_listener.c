/* The POSIX listener on real loopback and Unix sockets. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "folder.h"
#include "net_test.h"
#include "processes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PRIVATE_MODE 0600
#define MODE_BITS 0777

static sc_listener table;
static sc_transport transport;

static void address_of(const char *path, sc_address *address)
{
    assert_int_equal(sci_address_unix(path, address), SC_OK);
}

static void fresh(sc_address *address)
{
    char path[108];
    endpoint_fresh_path(path);
    address_of(path, address);
}

static void *open_at(sc_address *address)
{
    void *listener = NULL;
    sc_status status = table.open(NULL, &memory.table, address, &listener);
    if (status != SC_OK)
        fail_msg("open gave %s: %s", sc_status_name(status), sc_error_text());
    return listener;
}

/* Opening fails with `status` and words that have `part`. */
static void open_fails(sc_address *address, sc_status status, const char *part)
{
    void *listener = &table;
    sc_status got = table.open(NULL, &memory.table, address, &listener);
    if (got != status || !strstr(sc_error_text(), part))
        fail_msg("open gave %s: \"%s\"", sc_status_name(got), sc_error_text());
    assert_null(listener);
}

static void *dial(const sc_address *address)
{
    void *stream = NULL;
    unsigned interest = 0;
    sc_status status;
    assert_int_equal(transport.dial(NULL, &memory.table, address, "localhost", &stream), SC_OK);
    while ((status = transport.progress(stream, &interest)) == SC_AGAIN) {
        struct pollfd fd;
        fd.fd = (int)transport.descriptor(stream);
        fd.events = POLLOUT;
        assert_int_equal(poll(&fd, 1, WAIT_WATCHDOG_MS), 1);
    }
    assert_int_equal(status, SC_OK);
    return stream;
}

static void await(sc_descriptor descriptor)
{
    struct pollfd fd;
    fd.fd = (int)descriptor;
    fd.events = POLLIN;
    assert_int_equal(poll(&fd, 1, WAIT_WATCHDOG_MS), 1);
}

static void *take(void *listener, sc_address *peer)
{
    void *stream = NULL;
    await(table.descriptor(listener));
    assert_int_equal(table.accept_stream(listener, &stream, peer), SC_OK);
    assert_non_null(stream);
    return stream;
}

static void passes(const sc_transport *from, void *sender, const sc_transport *to, void *receiver)
{
    char buffer[8];
    size_t count = 0;
    assert_int_equal(from->transmit(sender, "hello", 5, &count), SC_OK);
    assert_int_equal(count, 5);
    await(to->descriptor(receiver));
    assert_int_equal(to->receive(receiver, buffer, sizeof(buffer), &count), SC_OK);
    assert_int_equal(count, 5);
    assert_memory_equal(buffer, "hello", 5);
}

/* A client comes, talks and goes. */
static void serves(void *listener, const sc_address *address, sc_address *peer)
{
    char byte;
    size_t count;
    void *client = dial(address);
    void *server = take(listener, peer);
    passes(&transport, client, &table.streams, server);
    passes(&table.streams, server, &transport, client);
    assert_int_equal(table.streams.receive(server, &byte, 1, &count), SC_AGAIN);
    transport.hangup(client, true);
    await(table.streams.descriptor(server));
    assert_int_equal(table.streams.receive(server, &byte, 1, &count), SC_END);
    table.streams.hangup(server, true);
}

static mode_t mode_of(const char *path)
{
    struct stat there;
    assert_int_equal(lstat(path, &there), 0);
    assert_true(S_ISSOCK(there.st_mode));
    return there.st_mode & MODE_BITS;
}

static bool exists(const char *path)
{
    struct stat there;
    return lstat(path, &there) == 0;
}

/* Files in the test's folder, dots included. */
static size_t files(void)
{
    size_t count = 0;
    DIR *folder = opendir(test_folder());
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/* A Unix socket that a server which died has left. */
static void leave_stale(const char *path)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    memset(&address, 0, sizeof(address));
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, path, strlen(path) + 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    close(fd);
    assert_true(exists(path));
}

/* -- TCP -- */

static void any_free_port_is_found_and_serves(void **state)
{
    sc_address address, peer;
    void *listener;
    (void)state;
    assert_true(sci_address_parse("127.0.0.1", 0, &address));
    listener = open_at(&address);
    assert_int_equal(address.family, SC_FAMILY_IPV4);
    assert_int_not_equal(address.port, 0);
    serves(listener, &address, &peer);
    assert_int_equal(peer.family, SC_FAMILY_IPV4);
    assert_memory_equal(peer.ip, address.ip, 4);
    assert_int_not_equal(peer.port, 0);
    table.shut(listener, true);
}

static bool has_ipv6(void)
{
    struct sockaddr_in6 address;
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool has;
    memset(&address, 0, sizeof(address));
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    has = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    if (fd >= 0)
        close(fd);
    return has;
}

static void ipv6_serves_beside_ipv4_on_the_same_port(void **state)
{
    sc_address all4, all6, to, peer;
    void *listener4, *listener6;
    (void)state;
    if (!has_ipv6())
        skip();
    assert_true(sci_address_parse("::", 0, &all6));
    listener6 = open_at(&all6);
    assert_true(sci_address_parse("0.0.0.0", all6.port, &all4));
    listener4 = open_at(&all4);
    assert_true(sci_address_parse("::1", all6.port, &to));
    serves(listener6, &to, &peer);
    assert_int_equal(peer.family, SC_FAMILY_IPV6);
    assert_memory_equal(peer.ip, to.ip, 16);
    assert_true(sci_address_parse("127.0.0.1", all6.port, &to));
    serves(listener4, &to, &peer);
    table.shut(listener4, true);
    table.shut(listener6, true);
}

static void a_port_that_somebody_has_is_held(void **state)
{
    sc_address address, same;
    void *listener;
    (void)state;
    assert_true(sci_address_parse("127.0.0.1", 0, &address));
    listener = open_at(&address);
    same = address;
    open_fails(&same, SC_HELD, "127.0.0.1:");
    table.shut(listener, true);
    listener = open_at(&same);
    table.shut(listener, true);
}

static void a_port_is_free_again_at_once(void **state)
{
    sc_address address, peer;
    void *listener, *client, *server;
    (void)state;
    assert_true(sci_address_parse("127.0.0.1", 0, &address));
    listener = open_at(&address);
    client = dial(&address);
    server = take(listener, &peer);
    table.streams.hangup(server, true); /* the server's end stays in TIME_WAIT */
    transport.hangup(client, true);
    table.shut(listener, true);
    listener = open_at(&address);
    table.shut(listener, true);
}

static void an_address_of_another_host_is_refused_with_words(void **state)
{
    sc_address address;
    (void)state;
    assert_true(sci_address_parse("192.0.2.1", 0, &address));
    open_fails(&address, SC_ERR_IO, "192.0.2.1:0: this host has no such address");
    memset(&address, 0, sizeof(address));
    open_fails(&address, SC_ERR_IO, "family 0");
}

/* -- Unix sockets -- */

static void a_unix_socket_serves_and_is_removed(void **state)
{
    sc_address address, peer;
    size_t before = files();
    void *listener;
    (void)state;
    fresh(&address);
    listener = open_at(&address);
    assert_int_equal(files(), before + 1);
    serves(listener, &address, &peer);
    assert_int_equal(peer.family, SC_FAMILY_UNIX);
    assert_string_equal(peer.path, "");
    table.shut(listener, true);
    assert_int_equal(files(), before);
}

static void a_unix_socket_is_private_whatever_the_umask(void **state)
{
    static const mode_t masks[] = {0, 022, 0177, 0277, 0777};
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(masks); i++) {
        sc_address address;
        mode_t before;
        void *listener;
        fresh(&address);
        before = umask(masks[i]);
        listener = open_at(&address);
        assert_int_equal(umask(before), masks[i]);
        assert_int_equal(mode_of(address.path), PRIVATE_MODE);
        table.shut(listener, true);
    }
}

static void a_stale_socket_is_replaced(void **state)
{
    sc_address address, peer;
    size_t before;
    void *listener;
    (void)state;
    fresh(&address);
    leave_stale(address.path);
    before = files();
    listener = open_at(&address);
    assert_int_equal(mode_of(address.path), PRIVATE_MODE);
    serves(listener, &address, &peer);
    assert_int_equal(files(), before);
    table.shut(listener, true);
    assert_false(exists(address.path));
}

static void a_socket_that_answers_is_held(void **state)
{
    sc_address address, same, peer;
    size_t before;
    void *listener;
    (void)state;
    fresh(&address);
    listener = open_at(&address);
    before = files();
    same = address;
    open_fails(&same, SC_HELD, address.path);
    assert_int_equal(files(), before);
    table.streams.hangup(take(listener, &peer), true); /* it was asked */
    serves(listener, &address, &peer);
    table.shut(listener, true);
}

static void a_server_whose_queue_is_full_answers_too(void **state)
{
    endpoint where;
    sc_address address;
    int dialled[16];
    size_t count = 0;
    int listener;
    (void)state;
    listener = endpoint_listen(&where, WIRE_UNIX, 0);
    while (count < SCI_COUNT(dialled) && (dialled[count] = endpoint_dial_begin(&where)) >= 0)
        count++;
    assert_in_range(count, 1, SCI_COUNT(dialled) - 1);
    address_of(where.path, &address);
    open_fails(&address, SC_HELD, where.path);
    while (count > 0)
        close(dialled[--count]);
    close(listener);
    unlink(where.path);
}

static void what_is_no_socket_stays_where_it_is(void **state)
{
    sc_address address;
    size_t before;
    int fd;
    (void)state;
    fresh(&address);
    fd = open(address.path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "data", 4), 4);
    close(fd);
    before = files();
    open_fails(&address, SC_ERR_IO, "no socket");
    assert_int_equal(files(), before);
    fd = open(address.path, O_RDONLY);
    assert_int_equal(lseek(fd, 0, SEEK_END), 4);
    close(fd);
    unlink(address.path);
    assert_int_equal(symlink("/nowhere", address.path), 0);
    open_fails(&address, SC_ERR_IO, "no socket");
    unlink(address.path);
}

static void a_socket_of_datagrams_stays_where_it_is(void **state)
{
    struct sockaddr_un at;
    sc_address address;
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    (void)state;
    fresh(&address);
    memset(&at, 0, sizeof(at));
    at.sun_family = AF_UNIX;
    memcpy(at.sun_path, address.path, strlen(address.path) + 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    open_fails(&address, SC_ERR_IO, "of another type");
    assert_true(exists(address.path));
    close(fd);
    unlink(address.path);
}

static void only_the_own_socket_is_removed(void **state)
{
    sc_address address;
    void *first, *second;
    (void)state;
    fresh(&address);
    first = open_at(&address);
    assert_int_equal(unlink(address.path), 0);
    second = open_at(&address);
    table.shut(first, true);
    assert_true(exists(address.path));
    table.shut(second, true);
    assert_false(exists(address.path));
    first = open_at(&address);
    assert_int_equal(unlink(address.path), 0);
    table.shut(first, true); /* gone already */
}

static void a_forked_child_removes_nothing(void **state)
{
    sc_address address, peer;
    void *listener;
    pid_t child;
    int status;
    (void)state;
    fresh(&address);
    listener = open_at(&address);
    child = fork();
    if (child == 0) {
        table.shut(listener, false);
        _exit(exists(address.path) ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    serves(listener, &address, &peer);
    table.shut(listener, true);
}

static void a_folder_that_cannot_be_used_is_told_of(void **state)
{
    sc_address address;
    char path[SC_PATH_BYTES];
    (void)state;
    snprintf(path, sizeof(path), "%s/none/s", test_folder());
    address_of(path, &address);
    open_fails(&address, SC_ERR_IO, "no such file");
    memset(address.path, 'a', sizeof(address.path));
    open_fails(&address, SC_ERR_IO, "too long");
    if (geteuid() == 0)
        return; /* root may do anything */
    snprintf(path, sizeof(path), "%s/readonly", test_folder());
    assert_int_equal(mkdir(path, 0500), 0);
    memcpy(path + strlen(path), "/s", 3);
    address_of(path, &address);
    open_fails(&address, SC_ERR_IO, "permission denied");
}

static void a_folder_that_somebody_keeps_locked_keeps_nobody_out(void **state)
{
    sc_address address, peer;
    void *listener;
    int lock = open(test_folder(), O_RDONLY);
    (void)state;
    assert_int_equal(flock(lock, LOCK_EX), 0);
    fresh(&address);
    leave_stale(address.path);
    listener = open_at(&address);
    serves(listener, &address, &peer);
    table.shut(listener, true);
    close(lock);
}

enum { WINNERS, LOSERS };
#define RACERS 8
#define RACES 20

/* Each process opens the stale path; who has it keeps it until all have tried. */
static int race(processes *shared, size_t index, void *user)
{
    const sc_address *address = (const sc_address *)user;
    (void)index;
    for (size_t i = 0; i < RACES; i++) {
        sc_address own = *address;
        void *listener = NULL;
        sc_status status;
        processes_barrier(shared, 2 * i, RACERS);
        status = table.open(NULL, &memory.table, &own, &listener);
        if (status != SC_OK && status != SC_HELD) {
            fprintf(stderr, "%s\n", sc_error_text());
            return 1;
        }
        processes_add(shared, status == SC_OK ? WINNERS : LOSERS, 1);
        processes_barrier(shared, 2 * i + 1, RACERS);
        if (listener)
            table.shut(listener, false); /* stale again */
    }
    return 0;
}

static void of_many_who_replace_a_stale_socket_one_wins(void **state)
{
    sc_address address;
    processes *shared;
    (void)state;
    fresh(&address);
    leave_stale(address.path);
    shared = processes_start(RACERS, race, &address);
    assert_true(processes_join(shared));
    assert_int_equal(processes_read(shared, WINNERS), RACES);
    assert_int_equal(processes_read(shared, LOSERS), RACES * (RACERS - 1));
    processes_free(shared);
    unlink(address.path);
}

/* -- Accepting -- */

static void nobody_there_is_again(void **state)
{
    sc_address address, peer;
    void *listener;
    void *stream = &table;
    (void)state;
    fresh(&address);
    listener = open_at(&address);
    assert_int_equal(table.accept_stream(listener, &stream, &peer), SC_AGAIN);
    assert_null(stream);
    table.shut(listener, true);
}

static void descriptors_close_on_exec_and_do_not_block(void **state)
{
    sc_address address, peer;
    void *listener, *client, *server;
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        int fds[2];
        if (tcp)
            assert_true(sci_address_parse("127.0.0.1", 0, &address));
        else
            fresh(&address);
        listener = open_at(&address);
        client = dial(&address);
        server = take(listener, &peer);
        fds[0] = (int)table.descriptor(listener);
        fds[1] = (int)table.streams.descriptor(server);
        for (int i = 0; i < 2; i++) {
            assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
            assert_true(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
        }
        transport.hangup(client, true);
        table.streams.hangup(server, true);
        table.shut(listener, true);
    }
}

static void a_lack_of_descriptors_passes(void **state)
{
    sc_address address, peer;
    struct rlimit before, none;
    void *listener, *client;
    void *stream;
    (void)state;
    fresh(&address);
    listener = open_at(&address);
    client = dial(&address);
    await(table.descriptor(listener));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(table.accept_stream(listener, &stream, &peer), SC_ERR_IO);
    assert_non_null(strstr(sc_error_text(), "too many descriptors"));
    assert_null(stream);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    table.streams.hangup(take(listener, &peer), true);
    transport.hangup(client, true);
    table.shut(listener, true);
}

static void a_peer_that_has_gone_sends_no_signal(void **state)
{
    sc_address address, peer;
    void *listener, *server;
    size_t sent;
    sc_status status;
    (void)state;
    fresh(&address);
    listener = open_at(&address);
    transport.hangup(dial(&address), true);
    server = take(listener, &peer);
    do
        status = table.streams.transmit(server, "x", 1, &sent);
    while (status == SC_OK);
    assert_int_equal(status, SC_ERR_DISCONNECTED);
    table.streams.hangup(server, true);
    table.shut(listener, true);
}

static void opening_and_accepting_survive_a_lack_of_memory(void **state)
{
    sc_address address, peer;
    size_t before;
    void *listener, *client;
    void *stream;
    (void)state;
    fresh(&address);
    before = files();
    fault_memory_fail(&memory, 1, false);
    assert_int_equal(table.open(NULL, &memory.table, &address, &listener), SC_ERR_MEMORY);
    assert_null(listener);
    assert_int_equal(files(), before);
    listener = open_at(&address);
    client = dial(&address);
    await(table.descriptor(listener));
    fault_memory_fail(&memory, 1, false);
    assert_int_equal(table.accept_stream(listener, &stream, &peer), SC_ERR_MEMORY);
    assert_null(stream);
    transport.hangup(client, true);
    serves(listener, &address, &peer);
    table.shut(listener, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(any_free_port_is_found_and_serves),
        TEST(ipv6_serves_beside_ipv4_on_the_same_port),
        TEST(a_port_that_somebody_has_is_held),
        TEST(a_port_is_free_again_at_once),
        TEST(an_address_of_another_host_is_refused_with_words),
        TEST(a_unix_socket_serves_and_is_removed),
        TEST(a_unix_socket_is_private_whatever_the_umask),
        TEST(a_stale_socket_is_replaced),
        TEST(a_socket_that_answers_is_held),
        TEST(a_server_whose_queue_is_full_answers_too),
        TEST(what_is_no_socket_stays_where_it_is),
        TEST(a_socket_of_datagrams_stays_where_it_is),
        TEST(only_the_own_socket_is_removed),
        TEST(a_forked_child_removes_nothing),
        TEST(a_folder_that_cannot_be_used_is_told_of),
        TEST(a_folder_that_somebody_keeps_locked_keeps_nobody_out),
        TEST(of_many_who_replace_a_stale_socket_one_wins),
        TEST(nobody_there_is_again),
        TEST(descriptors_close_on_exec_and_do_not_block),
        TEST(a_lack_of_descriptors_passes),
        TEST(a_peer_that_has_gone_sends_no_signal),
        TEST(opening_and_accepting_survive_a_lack_of_memory),
    };
    test_folder();
    sc_platform_listener(&table);
    sc_platform_transport(&transport);
    return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
