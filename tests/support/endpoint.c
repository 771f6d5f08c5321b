/* Listening and dialling for the servers of the tests. */
#include "endpoint.h"
#include "folder.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Below Linux's default ip_local_port_range, which begins at 32768. A process has a block to itself:
   another test that runs now can never listen where one of its servers has stopped. */
#define FIRST_PORT 12000u
#define BLOCK_COUNT 50u
#define BLOCK_PORTS 400u

static int block_keeper = -1; /* bound to the block's first port while this process lives */
static uint16_t block_first;

typedef union socket_address {
    struct sockaddr any;
    struct sockaddr_in tcp;
    struct sockaddr_un local;
} socket_address;

const char *wire_name(wire kind)
{
    return kind == WIRE_TCP ? "TCP" : "Unix socket";
}

static socklen_t endpoint_address(const endpoint *where, socket_address *address)
{
    memset(address, 0, sizeof *address);
    if (where->kind == WIRE_TCP) {
        address->tcp.sin_family = AF_INET;
        address->tcp.sin_port = htons(where->port);
        address->tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return (socklen_t)sizeof address->tcp;
    }
    address->local.sun_family = AF_UNIX;
    memcpy(address->local.sun_path, where->path, sizeof where->path);
    return (socklen_t)sizeof address->local;
}

static int endpoint_socket(wire kind)
{
    int on = 1;
    int descriptor = socket(kind == WIRE_TCP ? AF_INET : AF_UNIX, SOCK_STREAM, 0);
    if (descriptor < 0)
        return -1;
    fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    if (kind == WIRE_TCP) {
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    return descriptor;
}

/* A socket that is bound to a loopback port; -1 when somebody has it. */
static int endpoint_bound(uint16_t port, bool keeps)
{
    endpoint where;
    socket_address address;
    socklen_t len;
    int off = 0;
    int descriptor = endpoint_socket(WIRE_TCP);
    if (descriptor < 0)
        return -1;
    /* Two that may be reused can have the same port until one of them listens. */
    if (keeps)
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &off, sizeof off);
    endpoint_set_tcp(&where, port);
    len = endpoint_address(&where, &address);
    if (bind(descriptor, &address.any, len) == 0)
        return descriptor;
    close(descriptor);
    return -1;
}

static void endpoint_die(const char *what)
{
    fprintf(stderr, "%s on the loopback: %s\n", what, strerror(errno));
    exit(1);
}

static void endpoint_take_block(void)
{
    uint32_t block = (uint32_t)getpid();
    uint32_t last = block + BLOCK_COUNT;
    while (block_keeper < 0 && block != last) {
        block_first = (uint16_t)(FIRST_PORT + block++ % BLOCK_COUNT * BLOCK_PORTS);
        block_keeper = endpoint_bound(block_first, true);
    }
    if (block_keeper < 0)
        endpoint_die("no free block of ports");
}

uint16_t endpoint_free_port(void)
{
    static uint32_t next;
    uint32_t try_number;
    if (block_keeper < 0)
        endpoint_take_block();
    for (try_number = 0; try_number < BLOCK_PORTS; try_number++) {
        uint16_t port = (uint16_t)(block_first + 1 + next++ % (BLOCK_PORTS - 1));
        int descriptor = endpoint_bound(port, false);
        if (descriptor >= 0) {
            close(descriptor);
            return port;
        }
    }
    endpoint_die("no free port");
    return 0;
}

void endpoint_fresh_path(char path[108])
{
    static unsigned count;
    snprintf(path, 108, "%s/s%u", test_folder(), ++count);
}

void endpoint_set_tcp(endpoint *where, uint16_t port)
{
    memset(where, 0, sizeof *where);
    where->kind = WIRE_TCP;
    where->port = port;
    snprintf(where->url, sizeof where->url, "redis://127.0.0.1:%u", (unsigned)port);
}

void endpoint_set_unix(endpoint *where, const char *path)
{
    memset(where, 0, sizeof *where);
    where->kind = WIRE_UNIX;
    snprintf(where->path, sizeof where->path, "%s", path);
    snprintf(where->url, sizeof where->url, "unix://%s", path);
}

int endpoint_listen(endpoint *where, wire kind, int backlog)
{
    socket_address address;
    socklen_t len;
    int descriptor;
    if (kind == WIRE_TCP) {
        endpoint_set_tcp(where, endpoint_free_port());
    } else {
        char path[108];
        endpoint_fresh_path(path);
        endpoint_set_unix(where, path);
    }
    len = endpoint_address(where, &address);
    descriptor = endpoint_socket(kind);
    if (descriptor < 0 || bind(descriptor, &address.any, len) != 0 ||
        listen(descriptor, backlog) != 0) {
        fprintf(stderr, "listening on %s: %s\n", where->url, strerror(errno));
        exit(1);
    }
    fcntl(descriptor, F_SETFL, O_NONBLOCK);
    return descriptor;
}

int endpoint_take(int listener)
{
    int on = 1;
    int descriptor = accept(listener, NULL, NULL);
    if (descriptor < 0)
        return -1;
    fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    fcntl(descriptor, F_SETFL, O_NONBLOCK);
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on,
               sizeof on); /* no effect on Unix sockets */
    return descriptor;
}

static int endpoint_dial_as(const endpoint *where, bool is_blocking)
{
    socket_address address;
    socklen_t len = endpoint_address(where, &address);
    int descriptor = endpoint_socket(where->kind);
    int problem;
    if (descriptor < 0)
        return -1;
    if (!is_blocking)
        fcntl(descriptor, F_SETFL, O_NONBLOCK);
    if (connect(descriptor, &address.any, len) == 0 || (!is_blocking && errno == EINPROGRESS))
        return descriptor;
    problem = errno;
    close(descriptor);
    errno = problem;
    return -1;
}

int endpoint_dial(const endpoint *where)
{
    return endpoint_dial_as(where, true);
}

int endpoint_dial_begin(const endpoint *where)
{
    return endpoint_dial_as(where, false);
}

void endpoint_reset(int descriptor)
{
    struct linger at_once;
    at_once.l_onoff = 1;
    at_once.l_linger = 0;
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(descriptor);
}

size_t endpoint_open_descriptors(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        folder = opendir("/dev/fd");
    if (!folder)
        return 0;
    while (readdir(folder))
        count++;
    closedir(folder);
    return block_keeper < 0 ? count : count - 1;
}
