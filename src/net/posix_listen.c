/* The listener over POSIX sockets: TCP over IPv4 and IPv6, and Unix sockets. */

#include "net/posix_socket.h"

#if !defined(SMARTCACHE_NO_POSIX) && !defined(SMARTCACHE_NO_SERVER)

#include "base/error.h"
#include "base/memory.h"
#include "base/platform_system.h"
#include "net/address.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* For this user alone. */
#define SCI_LISTEN_MODE (S_IRUSR | S_IWUSR)
#define SCI_LISTEN_MODE_BITS (S_IRWXU | S_IRWXG | S_IRWXO)
/* A folder that somebody else keeps locked, or a path that changes all the time, is not waited for
   much longer than so many milliseconds. */
#define SCI_LISTEN_PATIENCE_MS 100

typedef struct sci_posix_listener {
    sc_memory memory;
    sc_address address;
    int fd;
    struct stat file; /* of a Unix socket */
} sci_posix_listener;

/* Lock the folder of a path against others who want to listen in it, so that none of two who find a
   stale socket removes the new one of the other. It is a courtesy: where it cannot be had, on NFS or
   since somebody keeps it, things go on without. -1, or what is to be closed. */
static int sci_listen_lock(const char *path)
{
    char folder[SC_PATH_BYTES];
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] != '/')
        len--;
    if (len == 0)
        folder[len++] = '.';
    else
        memcpy(folder, path, len);
    folder[len] = '\0';
    int fd = open(folder, O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < SCI_LISTEN_PATIENCE_MS && fd >= 0; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 || !sci_posix_is_again(errno))
            break;
        (void)poll(NULL, 0, 1);
    }
    return fd;
}

/* What somebody who dials the path meets, as an errno; 0: a server. */
static int sci_listen_probe(const sc_address *address)
{
    struct sockaddr_storage to;
    socklen_t to_len = sci_posix_sockaddr(address, &to);
    int fd = sci_posix_socket(AF_UNIX);
    int error = 0;
    if (fd < 0)
        return errno;
    if (connect(fd, (const struct sockaddr *)(const void *)&to, to_len) < 0)
        error = errno;
    close(fd);
    /* A queue that is full, a connection under way: somebody listens. */
    return error == EAGAIN || error == EINPROGRESS || error == EINTR ? 0 : error;
}

/* Take a stale socket off the path. SC_OK: nothing stands there. */
static sc_status sci_listen_clear(const sc_address *address)
{
    struct stat there;
    if (lstat(address->path, &there) < 0)
        return errno == ENOENT ? SC_OK : sci_posix_fail(SC_ERR_IO, address, errno);
    if (!S_ISSOCK(there.st_mode))
        return sc_fail(SC_ERR_IO,
                       "%s: there is something that is no socket: remove it, or choose another "
                       "path",
                       address->path);
    int error = sci_listen_probe(address);
    if (error == 0)
        return sci_posix_fail(SC_HELD, address, EADDRINUSE);
    if (error == ECONNREFUSED && unlink(address->path) < 0)
        error = errno;
    return error == ECONNREFUSED || error == ENOENT ? SC_OK
                                                    : sci_posix_fail(SC_ERR_IO, address, error);
}

/* Who dials is refused until the file is private. On Linux, which makes it with the mode of the
   socket, it never was anything else. errno, 0 for success. */
static int sci_listen_bind(sci_posix_listener *self, const struct sockaddr_storage *at,
                           socklen_t at_len)
{
    const char *path = self->address.path;
    (void)fchmod(self->fd, SCI_LISTEN_MODE);
    if (bind(self->fd, (const struct sockaddr *)(const void *)at, at_len) < 0)
        return errno;
    if (lstat(path, &self->file) < 0 ||
        ((self->file.st_mode & SCI_LISTEN_MODE_BITS) != SCI_LISTEN_MODE &&
         chmod(path, SCI_LISTEN_MODE) < 0) ||
        listen(self->fd, SOMAXCONN) < 0) {
        int error = errno;
        (void)unlink(path);
        return error;
    }
    return 0;
}

static sc_status sci_listen_unix(sci_posix_listener *self, const struct sockaddr_storage *at,
                                 socklen_t at_len)
{
    int lock = sci_listen_lock(self->address.path);
    int error = EADDRINUSE;
    sc_status status = SC_OK;
    for (int i = 0; i < SCI_LISTEN_PATIENCE_MS && error == EADDRINUSE && status == SC_OK; i++) {
        status = sci_listen_clear(&self->address);
        if (status == SC_OK)
            error = sci_listen_bind(self, at, at_len);
    }
    if (lock >= 0)
        close(lock);
    return status == SC_OK && error != 0 ? sci_posix_fail(SC_ERR_IO, &self->address, error)
                                         : status;
}

/* The address as the library has it, of a TCP socket. */
static void sci_listen_address(const struct sockaddr_storage *from, sc_address *address)
{
    memset(address, 0, sizeof(*address));
    if (from->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof(in));
        address->family = SC_FAMILY_IPV4;
        address->port = ntohs(in.sin_port);
        memcpy(address->ip, &in.sin_addr, sizeof(in.sin_addr));
    } else if (from->ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, from, sizeof(in6));
        address->family = SC_FAMILY_IPV6;
        address->port = ntohs(in6.sin6_port);
        address->scope_id = in6.sin6_scope_id;
        memcpy(address->ip, &in6.sin6_addr, sizeof(in6.sin6_addr));
    } else {
        address->family = SC_FAMILY_UNIX;
    }
}

static sc_status sci_listen_tcp(sci_posix_listener *self, const struct sockaddr_storage *at,
                                socklen_t at_len)
{
    const int on = 1;
    struct sockaddr_storage here;
    socklen_t here_len = (socklen_t)sizeof(here);
    memset(&here, 0, sizeof(here));
    /* Without this a port is not free for minutes after a server has closed its connections. */
    setsockopt(self->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    /* "::" beside "0.0.0.0". */
    if (at->ss_family == AF_INET6)
        setsockopt(self->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(self->fd, (const struct sockaddr *)(const void *)at, at_len) < 0 ||
        listen(self->fd, SOMAXCONN) < 0 ||
        getsockname(self->fd, (struct sockaddr *)(void *)&here, &here_len) < 0) {
        char where[SCI_ADDRESS_TEXT_BYTES];
        if (errno == EADDRINUSE)
            return sci_posix_fail(SC_HELD, &self->address, errno);
        if (errno != EADDRNOTAVAIL)
            return sci_posix_fail(SC_ERR_IO, &self->address, errno);
        sci_address_to_text(&self->address, where);
        return sc_fail(SC_ERR_IO, "%s: this host has no such address", where);
    }
    sci_listen_address(&here, &self->address);
    return SC_OK;
}

static sc_status sci_listen_begin(sci_posix_listener *self)
{
    struct sockaddr_storage at;
    socklen_t at_len = sci_posix_sockaddr(&self->address, &at);
    if (at_len == 0 && self->address.family == SC_FAMILY_UNIX)
        return sci_posix_fail(SC_ERR_IO, &self->address, ENAMETOOLONG);
    if (at_len == 0)
        return sc_fail(SC_ERR_IO, "an address of family %d, which the POSIX listener does not know",
                       (int)self->address.family);
    self->fd = sci_posix_socket(at.ss_family);
    if (self->fd < 0)
        return sci_posix_fail(SC_ERR_IO, &self->address, errno);
    return at.ss_family == AF_UNIX ? sci_listen_unix(self, &at, at_len)
                                   : sci_listen_tcp(self, &at, at_len);
}

static sc_status sci_listen_open(void *user, const sc_memory *memory, sc_address *address,
                                 void **listener)
{
    sci_posix_listener *self = (sci_posix_listener *)sci_alloc_zeroed(memory, sizeof(*self));
    (void)user;
    *listener = NULL;
    if (!self)
        return SC_ERR_MEMORY;
    self->memory = *memory;
    self->address = *address;
    self->fd = -1;
    sc_status status = sci_listen_begin(self);
    if (status != SC_OK) {
        if (self->fd >= 0)
            close(self->fd);
        sci_free(memory, self, sizeof(*self));
        return status;
    }
    *address = self->address;
    *listener = self;
    return SC_OK;
}

/* A connection that exec closes and that does not block; -1 with errno. */
static int sci_listen_take(int listener, struct sockaddr_storage *from, socklen_t *from_len)
{
#if defined(__linux__) && defined(SYS_accept4) && defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)
    long taken = syscall(SYS_accept4, listener, from, from_len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (taken >= 0 || errno != ENOSYS)
        return (int)taken;
#endif
    int fd = accept(listener, (struct sockaddr *)(void *)from, from_len);
    if (fd >= 0 && !sci_posix_descriptor_prepare(fd, true)) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static sc_status sci_listen_accept(void *listener, void **stream, sc_address *peer)
{
    const sci_posix_listener *self = (const sci_posix_listener *)listener;
    struct sockaddr_storage from;
    int fd;
    *stream = NULL;
    do { /* one that its peer has given up is passed over */
        socklen_t from_len = (socklen_t)sizeof(from);
        memset(&from, 0, sizeof(from));
        fd = sci_listen_take(self->fd, &from, &from_len);
    } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EPROTO));
    if (fd < 0)
        return sci_posix_is_again(errno) ? SC_AGAIN
                                         : sci_posix_fail(SC_ERR_IO, &self->address, errno);
    sci_listen_address(&from, peer);
    *stream = sci_posix_stream_adopt(&self->memory, fd, peer);
    return *stream ? SC_OK : SC_ERR_MEMORY;
}

static sc_descriptor sci_listen_descriptor(void *listener)
{
    return ((const sci_posix_listener *)listener)->fd;
}

static void sci_listen_shut(void *listener, bool orderly)
{
    sci_posix_listener *self = (sci_posix_listener *)listener;
    sc_memory memory = self->memory;
    struct stat there;
    /* Before it is closed: as long as it answers nobody else takes the path. */
    if (orderly && self->address.family == SC_FAMILY_UNIX &&
        lstat(self->address.path, &there) == 0 && there.st_dev == self->file.st_dev &&
        there.st_ino == self->file.st_ino)
        (void)unlink(self->address.path);
    close(self->fd);
    sci_free(&memory, self, sizeof(*self));
}

SC_API bool sc_platform_listener(sc_listener *table)
{
    memset(table, 0, sizeof(*table));
    (void)sc_platform_transport(&table->streams);
    table->streams.dial = NULL;
    table->streams.progress = NULL;
    table->streams.receive_soon = NULL; /* of sockets that block */
    table->open = sci_listen_open;
    table->accept_stream = sci_listen_accept;
    table->descriptor = sci_listen_descriptor;
    table->shut = sci_listen_shut;
    return true;
}

#else

SC_API bool sc_platform_listener(sc_listener *table)
{
    memset(table, 0, sizeof(*table));
    return false;
}

#endif
