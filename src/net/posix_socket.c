/* The transport over POSIX sockets: TCP over IPv4 and IPv6, and Unix sockets.

   While it connects a socket is non-blocking. Once connected it blocks, with a receive time-out of
   a few milliseconds: transmit and receive ask for MSG_DONTWAIT, and receive_soon is one plain
   recv, so that a round trip of a lone caller is send and recv and nothing else. */

#include "net/posix_socket.h"

#ifndef SMARTCACHE_NO_POSIX

#include "base/error.h"
#include "base/memory.h"
#include "net/address.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef MSG_DONTWAIT
#define SCI_SOCKET_DONTWAIT MSG_DONTWAIT
#else
#define SCI_SOCKET_DONTWAIT 0
#endif
#ifdef MSG_NOSIGNAL
#define SCI_SOCKET_NOSIGNAL MSG_NOSIGNAL
#else
#define SCI_SOCKET_NOSIGNAL 0
#endif

/* How long receive_soon waits. The kernel rounds up to its tick, so this stays well below 10 ms. */
#define SCI_SOCKET_SOON_US 5000
/* Some systems refuse to send more than INT_MAX bytes in one call. */
#define SCI_SOCKET_SEND_MAX ((size_t)1 << 30)

typedef struct sci_posix_stream {
    sc_memory memory;
    sc_address address; /* for messages, and for the check against a connection to oneself */
    int fd;
    bool is_connected;
} sci_posix_stream;

SCI_PRIVATE const char *sci_posix_error_text(int error, char unlisted[SCI_POSIX_ERROR_BYTES])
{
    switch (error) {
    case ECONNREFUSED:
        return "connection refused";
    case ECONNRESET:
        return "connection reset by the peer";
    case ECONNABORTED:
        return "connection aborted";
    case EPIPE:
        return "the peer has closed the connection";
    case ETIMEDOUT:
        return "connection timed out";
    case EHOSTUNREACH:
        return "no route to the host";
    case ENETUNREACH:
        return "network unreachable";
    case ENETDOWN:
        return "network is down";
    case EADDRINUSE:
        return "somebody listens there already";
    case EADDRNOTAVAIL:
        return "no local address or port left to connect from";
    case EAFNOSUPPORT:
        return "this system has no such address family";
    case EACCES:
        return "permission denied";
    case EPERM:
        return "operation not permitted (a firewall rule?)";
    case ENOENT:
        return "no such file";
    case ENOTDIR:
        return "a part of the path is no directory";
    case EISDIR:
        return "it is a directory";
    case ENOSPC:
        return "no space left on the disk";
    case EDQUOT:
        return "the disk quota is used up";
    case EFBIG:
        return "the file would be larger than the system or a limit (ulimit -f) allows";
    case EOVERFLOW:
        return "the file is too large for this program (compile with -D_FILE_OFFSET_BITS=64)";
    case EIO:
        return "the disk reports an error";
    case ENXIO:
    case ENODEV:
        return "there is no such device";
    case ETXTBSY:
        return "it is a program that runs";
    case ELOOP:
        return "too many symbolic links";
    case EROFS:
        return "the file system is read-only";
    case ENAMETOOLONG:
        return "the path is too long";
    case ENOTSOCK:
        return "not a socket";
    case EPROTOTYPE:
        return "the socket is of another type";
    case EMFILE:
        return "this process has too many descriptors open (raise its limit, see ulimit -n)";
    case ENFILE:
        return "the system has too many descriptors open";
    case ENOBUFS:
        return "no buffer space left in the system";
    case ENOMEM:
        return "out of memory";
    case EAGAIN:
        return "the system lacks a resource at the moment";
    case EINVAL:
        return "invalid argument";
    case EBADF:
        return "bad descriptor";
    default:
        sci_format(unlisted, SCI_POSIX_ERROR_BYTES, "errno %d", error);
        return unlisted;
    }
}

SCI_PRIVATE bool sci_posix_descriptor_prepare(int fd, bool is_nonblocking)
{
    int flags = fcntl(fd, F_GETFD);
    if (flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0)
        return false;
    flags = fcntl(fd, F_GETFL);
    return flags >= 0 &&
           fcntl(fd, F_SETFL, is_nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) >= 0;
}

SCI_PRIVATE sc_status sci_posix_fail(sc_status status, const sc_address *address, int error)
{
    char where[SCI_ADDRESS_TEXT_BYTES];
    char unlisted[SCI_POSIX_ERROR_BYTES];
    sci_address_to_text(address, where);
    return sc_fail(status, "%s: %s", where, sci_posix_error_text(error, unlisted));
}

SCI_PRIVATE int sci_posix_socket(int domain)
{
    int fd;
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)
    fd = socket(domain, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 || errno != EINVAL)
        return fd;
#endif
    fd = socket(domain, SOCK_STREAM, 0);
    if (fd >= 0 && !sci_posix_descriptor_prepare(fd, true)) {
        int error = errno;
        close(fd);
        errno = error;
        fd = -1;
    }
    return fd;
}

/* None of these is worth failing for: without them the stream works, only slower or less watchful.
 */
static void sci_posix_stream_tune(int fd, bool is_tcp)
{
    const int on = 1;
    if (is_tcp) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    }
#ifdef SO_NOSIGPIPE
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
#endif
}

SCI_PRIVATE socklen_t sci_posix_sockaddr(const sc_address *address, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (address->family == SC_FAMILY_IPV4) {
        struct sockaddr_in in;
        memset(&in, 0, sizeof(in));
        in.sin_family = AF_INET;
        in.sin_port = htons(address->port);
        memcpy(&in.sin_addr, address->ip, sizeof(in.sin_addr));
        memcpy(out, &in, sizeof(in));
        return (socklen_t)sizeof(in);
    }
    if (address->family == SC_FAMILY_IPV6) {
        struct sockaddr_in6 in6;
        memset(&in6, 0, sizeof(in6));
        in6.sin6_family = AF_INET6;
        in6.sin6_port = htons(address->port);
        in6.sin6_scope_id = address->scope_id;
        memcpy(&in6.sin6_addr, address->ip, sizeof(in6.sin6_addr));
        memcpy(out, &in6, sizeof(in6));
        return (socklen_t)sizeof(in6);
    }
    if (address->family == SC_FAMILY_UNIX) {
        struct sockaddr_un un;
        size_t len = 0;
        while (len < SC_PATH_BYTES && address->path[len] != '\0')
            len++;
        if (len == 0 || len >= sci_min_size(SC_PATH_BYTES, sizeof(un.sun_path)))
            return 0;
        memset(&un, 0, sizeof(un));
        un.sun_family = AF_UNIX;
        memcpy(un.sun_path, address->path, len);
        memcpy(out, &un, sizeof(un));
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    }
    return 0;
}

/* A connect to a free port of the own host can be given that very port as its source, and TCP then
   connects the socket to itself (RFC 9293 section 3.5, simultaneous open). */
static bool sci_posix_stream_is_own_peer(const sci_posix_stream *stream)
{
    struct sockaddr_storage here;
    struct sockaddr_storage there;
    socklen_t here_len = (socklen_t)sizeof(here);
    socklen_t there_len = (socklen_t)sizeof(there);
    if (stream->address.family == SC_FAMILY_UNIX)
        return false;
    memset(&here, 0, sizeof(here));
    memset(&there, 0, sizeof(there));
    return getsockname(stream->fd, (struct sockaddr *)(void *)&here, &here_len) == 0 &&
           getpeername(stream->fd, (struct sockaddr *)(void *)&there, &there_len) == 0 &&
           here_len == there_len && memcmp(&here, &there, sizeof(here)) == 0;
}

/* Set the socket up for talking. */
static sc_status sci_posix_stream_connected(sci_posix_stream *stream)
{
    if (sci_posix_stream_is_own_peer(stream))
        return sci_posix_fail(SC_ERR_CONNECT, &stream->address, ECONNREFUSED);
#ifdef MSG_DONTWAIT
    {
        struct timeval soon;
        soon.tv_sec = 0;
        soon.tv_usec = SCI_SOCKET_SOON_US;
        if (setsockopt(stream->fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)) < 0 ||
            !sci_posix_descriptor_prepare(stream->fd, false))
            return sci_posix_fail(SC_ERR_CONNECT, &stream->address, errno);
    }
#endif
    stream->is_connected = true;
    return SC_OK;
}

static void sci_posix_stream_hangup(void *user, bool orderly)
{
    sci_posix_stream *stream = (sci_posix_stream *)user;
    sc_memory memory = stream->memory;
    /* Closing alone tells the peer nothing while a forked child has the descriptor too. */
    if (orderly)
        shutdown(stream->fd, SHUT_RDWR);
    close(stream->fd);
    sci_free(&memory, stream, sizeof(*stream));
}

static sc_status sci_posix_stream_begin(sci_posix_stream *stream, const sc_address *address)
{
    struct sockaddr_storage to;
    socklen_t to_len = sci_posix_sockaddr(address, &to);
    if (to_len == 0 && address->family == SC_FAMILY_UNIX)
        return sci_posix_fail(SC_ERR_CONNECT, address, ENAMETOOLONG);
    if (to_len == 0)
        return sc_fail(SC_ERR_CONNECT,
                       "an address of family %d, which the POSIX transport does not know",
                       (int)address->family);
    stream->fd = sci_posix_socket(to.ss_family);
    if (stream->fd < 0)
        return sci_posix_fail(SC_ERR_CONNECT, address, errno);
    sci_posix_stream_tune(stream->fd, address->family != SC_FAMILY_UNIX);
    if (connect(stream->fd, (const struct sockaddr *)(const void *)&to, to_len) == 0)
        return SC_OK;
    /* An interrupted connect goes on by itself. */
    if (errno == EINPROGRESS || errno == EINTR)
        return SC_OK;
    if (errno == EAGAIN && address->family == SC_FAMILY_UNIX) {
        char where[SCI_ADDRESS_TEXT_BYTES];
        sci_address_to_text(address, where);
        return sc_fail(SC_ERR_CONNECT, "%s: the server's queue of new connections is full", where);
    }
    return sci_posix_fail(SC_ERR_CONNECT, address, errno);
}

static sc_status sci_posix_stream_dial(void *user, const sc_memory *memory,
                                       const sc_address *address, const char *host, void **stream)
{
    sci_posix_stream *self = (sci_posix_stream *)sci_alloc_zeroed(memory, sizeof(*self));
    sc_status status;
    (void)user;
    (void)host;
    *stream = NULL;
    if (!self)
        return SC_ERR_MEMORY;
    self->memory = *memory;
    self->address = *address;
    self->fd = -1;
    status = sci_posix_stream_begin(self, address);
    if (status != SC_OK) {
        if (self->fd >= 0)
            close(self->fd);
        sci_free(memory, self, sizeof(*self));
        return status;
    }
    *stream = self;
    return SC_OK;
}

static sc_status sci_posix_stream_progress(void *user, unsigned *interest)
{
    sci_posix_stream *stream = (sci_posix_stream *)user;
    struct sockaddr_storage peer;
    socklen_t peer_len = (socklen_t)sizeof(peer);
    int error = 0;
    socklen_t error_len = (socklen_t)sizeof(error);
    *interest = 0;
    if (stream->is_connected)
        return SC_OK;
    if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &error_len) < 0)
        error = errno;
    if (error != 0)
        return sci_posix_fail(SC_ERR_CONNECT, &stream->address, error);
    /* Having a peer, not having no error, is what says that the connection stands. */
    if (getpeername(stream->fd, (struct sockaddr *)(void *)&peer, &peer_len) == 0)
        return sci_posix_stream_connected(stream);
    if (errno != ENOTCONN)
        return sci_posix_fail(SC_ERR_CONNECT, &stream->address, errno);
    *interest = SC_WRITABLE;
    return SC_AGAIN;
}

SCI_PRIVATE bool sci_posix_is_again(int error)
{
#if EAGAIN != EWOULDBLOCK
    if (error == EWOULDBLOCK)
        return true;
#endif
    return error == EAGAIN;
}

static sc_status sci_posix_stream_transmit(void *user, const void *data, size_t len, size_t *sent)
{
    sci_posix_stream *stream = (sci_posix_stream *)user;
    ssize_t count;
    sci_assert(len > 0);
    *sent = 0;
    do
        count = send(stream->fd, data, sci_min_size(len, SCI_SOCKET_SEND_MAX),
                     SCI_SOCKET_DONTWAIT | SCI_SOCKET_NOSIGNAL);
    while (count < 0 && errno == EINTR);
    if (count > 0) {
        *sent = (size_t)count;
        return SC_OK;
    }
    if (count == 0 || sci_posix_is_again(errno))
        return SC_AGAIN;
    return sci_posix_fail(SC_ERR_DISCONNECTED, &stream->address, errno);
}

/* What a recv returned, as a status. An interrupted one counts as nothing there. */
static sc_status sci_posix_stream_received(const sci_posix_stream *stream, ssize_t count,
                                           size_t *received)
{
    if (count > 0) {
        *received = (size_t)count;
        return SC_OK;
    }
    *received = 0;
    if (count == 0)
        return SC_END;
    if (sci_posix_is_again(errno) || errno == EINTR)
        return SC_AGAIN;
    return sci_posix_fail(SC_ERR_DISCONNECTED, &stream->address, errno);
}

static sc_status sci_posix_stream_receive(void *user, void *buffer, size_t cap, size_t *received)
{
    const sci_posix_stream *stream = (const sci_posix_stream *)user;
    ssize_t count;
    sci_assert(cap > 0);
    do
        count = recv(stream->fd, buffer, cap, SCI_SOCKET_DONTWAIT);
    while (count < 0 && errno == EINTR);
    return sci_posix_stream_received(stream, count, received);
}

#ifdef MSG_DONTWAIT
/* Not repeated after a signal, so that signals that come often cannot make it wait for long. */
static sc_status sci_posix_stream_receive_soon(void *user, void *buffer, size_t cap,
                                               size_t *received)
{
    const sci_posix_stream *stream = (const sci_posix_stream *)user;
    sci_assert(cap > 0);
    return sci_posix_stream_received(stream, recv(stream->fd, buffer, cap, 0), received);
}
#endif

static sc_descriptor sci_posix_stream_descriptor(void *user)
{
    return ((const sci_posix_stream *)user)->fd;
}

#ifndef SMARTCACHE_NO_SERVER
SCI_PRIVATE void *sci_posix_stream_adopt(const sc_memory *memory, int fd, const sc_address *address)
{
    sci_posix_stream *stream = (sci_posix_stream *)sci_alloc_zeroed(memory, sizeof(*stream));
    if (!stream) {
        close(fd);
        return NULL;
    }
    stream->memory = *memory;
    stream->address = *address;
    stream->fd = fd;
    stream->is_connected = true;
    sci_posix_stream_tune(fd, address->family != SC_FAMILY_UNIX);
    return stream;
}
#endif

SC_API bool sc_platform_transport(sc_transport *table)
{
    memset(table, 0, sizeof(*table));
    table->dial = sci_posix_stream_dial;
    table->progress = sci_posix_stream_progress;
    table->transmit = sci_posix_stream_transmit;
    table->receive = sci_posix_stream_receive;
#ifdef MSG_DONTWAIT
    table->receive_soon = sci_posix_stream_receive_soon;
#endif
    table->descriptor = sci_posix_stream_descriptor;
    table->hangup = sci_posix_stream_hangup;
    return true;
}

#else

SC_API bool sc_platform_transport(sc_transport *table)
{
    (void)table;
    return false;
}

#endif
