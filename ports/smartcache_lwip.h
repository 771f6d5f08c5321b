/* smartcache_lwip.h - public domain or MIT-0 - smartcache over the sockets of lwIP

   Do this in ONE C or C++ file, which includes no socket header of the host (see below):
       #define SMARTCACHE_LWIP_IMPLEMENTATION
       #include "smartcache_lwip.h"
   and before sc_open:
       sc_lwip_transport(&transport);   config.transport = &transport;
       sc_lwip_poller(&poller);         config.poller = &poller;
       sc_lwip_resolver(&resolver);     config.resolver = &resolver;

   SPDX-License-Identifier: Unlicense OR MIT-0 (the texts are at the end of smartcache.h)

   What it needs
       lwIP 2.1 or newer with LWIP_SOCKET, TCP, and LWIP_SOCKET_POLL or else LWIP_SOCKET_SELECT.
       It runs (tcpip_init, a network interface that is up) before sc_open, and until sc_close.
       Any LWIP_COMPAT_SOCKETS will do: only lwip_ names are called. A client of several threads
       needs LWIP_TCPIP_CORE_LOCKING 1, which is lwIP's default. lwIP's own thread, and so what
       tcpip_callback runs, must not call the library: it would wait for itself.

   In lwipopts.h, for each client
       MEMP_NUM_NETCONN        1 for the connection, 1 for the one for messages, 1 to wake the
                               client, 1 for each dedicated call and watched pipeline, 1 to spare
       MEMP_NUM_TCP_PCB        as many, and some for connections that linger after their end
       MEMP_NUM_UDP_PCB        2 to wake the client
       MEMP_NUM_TCPIP_MSG_API  2 to wake the client
       DEFAULT_TCP_RECVMBOX_SIZE, DEFAULT_UDP_RECVMBOX_SIZE, TCPIP_MBOX_SIZE
                               where lwIP's system layer heeds sizes: their default is 0
       LWIP_SO_RCVTIMEO 1      a lone caller waits in lwip_recv, without a poll before it
       LWIP_SO_SNDTIMEO 1      closing does not wait for memory (else lwIP waits for up to 20 s)

   Waking
       A client that waits in one thread is woken by another, or by lwIP when a name was looked up,
       through a datagram on lwIP's loopback interface: LWIP_NETIF_LOOPBACK 1, LWIP_UDP 1. In a
       build without them waits are cut into pieces of 20 ms: so late it may notice. A build
       without threads (SMARTCACHE_NO_THREADS, SMARTCACHE_NO_POSIX) and without LWIP_DNS has nobody
       to wake it, and waits in one piece.

   Names
       With LWIP_DNS the resolver asks lwIP's DNS, which gives one address for a name; without it
       hosts have to be numeric. The look-up ends on lwIP's own thread, which therefore frees
       through the client's sc_memory. In a build without threads that thread has to have a higher
       priority than the client's, as lwIP's usually has, or to be the same.

   Beside the host's own stack
       lwIP's headers define what <sys/socket.h>, <poll.h> and <fcntl.h> also define, with other
       values. So in a POSIX program this implementation has a file of its own, which defines
       SMARTCACHE_LWIP_IMPLEMENTATION and not SMARTCACHE_IMPLEMENTATION, and includes nothing of
       the host's but what lwIP's cc.h includes. Other files include this header without the
       define, and get nothing of lwIP. Under SMARTCACHE_NO_POSIX one file may hold both
       implementations, in any order.

   errno
       It is lwIP's: what LWIP_PROVIDE_ERRNO, LWIP_ERRNO_STDINCLUDE or LWIP_ERRNO_INCLUDE chose.
       Where several threads use sockets, it has to be one that each thread has for itself, as the
       C library's is.

   Fork
       lwIP's threads do not live on in a child: it must not use the client, nor close it. */

#ifndef SMARTCACHE_LWIP_H
#define SMARTCACHE_LWIP_H

#ifndef SC_VERSION_MAJOR
#include "smartcache.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Fill `table` with TCP over lwIP's sockets, IPv4 and IPv6 as lwIP was built. The table needs no
   ending. Any thread. */
SC_API void sc_lwip_transport(sc_transport *table);

/* Fill `table` with a poller on lwip_poll, or lwip_select. It watches lwIP's sockets alone, at most
   MEMP_NUM_NETCONN. Any thread. */
SC_API void sc_lwip_poller(sc_poller *table);

/* Fill `table` with a resolver that asks lwIP's DNS. Without LWIP_DNS it fails for every name with
   SC_ERR_RESOLVE. Any thread. */
SC_API void sc_lwip_resolver(sc_resolver *table);

/* For programs without a clock of their own: zero-initialise, set `wall_ms` if it is known, and
   keep it as long as the table. */
typedef struct sc_lwip_time {
    int64_t wall_ms;       /* milliseconds since 1970-01-01 UTC when sys_now() was 0; default: 0 */
    uint32_t last_ms;      /* private */
    uint32_t times_around; /* private */
} sc_lwip_time;

/* Fill `table` with lwIP's sys_now(), of which the wrap at 2^32 ms is undone: it has to be asked
   once in 49 days, which any open client does. In milliseconds, so time-outs are no finer. Any
   thread. */
SC_API void sc_lwip_clock(sc_clock *table, sc_lwip_time *state);

#ifdef __cplusplus
}
#endif

#endif /* SMARTCACHE_LWIP_H */

#ifdef SMARTCACHE_LWIP_IMPLEMENTATION
#ifndef SMARTCACHE_LWIP_IMPLEMENTED
#define SMARTCACHE_LWIP_IMPLEMENTED

#if defined(SOL_SOCKET) && !defined(LWIP_HDR_SOCKETS_H)
#error "smartcache_lwip.h: <sys/socket.h> of the host came before; give it a file of its own"
#endif

#include "lwip/opt.h"

#ifndef LWIP_SOCKET_POLL
#error "smartcache_lwip.h: needs lwIP 2.1 or newer"
#endif
#if !LWIP_SOCKET || !LWIP_TCP
#error "smartcache_lwip.h: needs LWIP_SOCKET 1 and LWIP_TCP 1, and therefore NO_SYS 0"
#endif
#if !LWIP_SOCKET_POLL && !LWIP_SOCKET_SELECT
#error "smartcache_lwip.h: needs LWIP_SOCKET_POLL 1, or else LWIP_SOCKET_SELECT 1"
#endif

#include "lwip/dns.h"
#include "lwip/mem.h"
#include "lwip/pbuf.h"
#include "lwip/sockets.h"
#include "lwip/sys.h"
#include "lwip/tcpip.h"
#include "lwip/udp.h"

#include <string.h>

#if defined(SMARTCACHE_NO_THREADS) || defined(SMARTCACHE_NO_POSIX)
#define SCI_LWIP_THREADS 0
#else
#define SCI_LWIP_THREADS 1
#endif

/* Without both, two threads on one socket wait on the one semaphore of its netconn, and take each
   other's signal. */
#if SCI_LWIP_THREADS && !LWIP_TCPIP_CORE_LOCKING && !LWIP_NETCONN_SEM_PER_THREAD
#error "smartcache_lwip.h: threads need LWIP_TCPIP_CORE_LOCKING 1, or else SMARTCACHE_NO_THREADS"
#endif

/* Longest wait before looking for a wake-up that was lost: for want of memory, or of loopback. */
#define SCI_LWIP_NEEDS_WAKE (SCI_LWIP_THREADS || LWIP_DNS)
#define SCI_LWIP_LOOPBACK (SCI_LWIP_NEEDS_WAKE && LWIP_HAVE_LOOPIF && LWIP_UDP)
#ifdef SCI_LWIP_PIECE_MS /* tests shorten it */
#elif SCI_LWIP_LOOPBACK
#define SCI_LWIP_PIECE_MS 1000
#elif SCI_LWIP_NEEDS_WAKE
#define SCI_LWIP_PIECE_MS 20
#else
#define SCI_LWIP_PIECE_MS 0x7fffffff
#endif

#define SCI_LWIP_SOON_MS 5  /* how long receive_soon waits */
#define SCI_LWIP_CLOSE_MS 1 /* how long closing may wait for memory */

typedef union sci_lwip_name {
    struct sockaddr any;
#if LWIP_IPV4
    struct sockaddr_in four;
#endif
#if LWIP_IPV6
    struct sockaddr_in6 six;
#endif
} sci_lwip_name;

static void *sci_lwip_alloc(const sc_memory *memory, size_t size)
{
    void *block = memory->resize(memory->user, NULL, 0, size);
    if (block)
        memset(block, 0, size);
    else
        (void)sc_fail(SC_ERR_MEMORY, "no memory for %zu bytes of the lwIP port", size);
    return block;
}

/* The errors that lwIP gives (err.c, sockets.c), by its own numbers. */
static sc_status sci_lwip_fail(sc_status status, int error)
{
    static const struct {
        int error;
        const char *words;
    } list[] = {
        {ECONNRESET, "connection refused, or reset by the peer"},
        {ECONNABORTED, "no answer: lwIP has given the connection up"},
        {EHOSTUNREACH, "no route to the host: no network interface is up, or none leads there"},
        {ENOTCONN, "not connected"},
        {ENOMEM, "lwIP is out of memory (MEM_SIZE, MEMP_NUM_TCP_SEG, PBUF_POOL_SIZE)"},
        {ENOBUFS, "lwIP has no connection left (MEMP_NUM_NETCONN, MEMP_NUM_TCP_PCB, "
                  "MEMP_NUM_UDP_PCB)"},
        {ENFILE, "lwIP has no socket left (MEMP_NUM_NETCONN)"},
        {EADDRINUSE, "lwIP has no local port left"},
        {-1, "the network interface failed"}, /* ERR_IF has no errno */
    };
    const char *words = "an error of lwIP's";
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        if (list[i].error == error)
            words = list[i].words;
    return sc_fail(status, "%s (lwIP's errno %d)", words, error);
}

/* Streams. */

typedef struct sci_lwip_stream {
    sc_memory memory;
    int fd;
} sci_lwip_stream;

/* lwIP's form of an address. False when lwIP was built without the family. */
static bool sci_lwip_convert(const sc_address *address, sci_lwip_name *to)
{
    memset(to, 0, sizeof(*to));
#if LWIP_IPV4
    if (address->family == SC_FAMILY_IPV4) {
        to->four.sin_len = (u8_t)sizeof(to->four);
        to->four.sin_family = AF_INET;
        to->four.sin_port = lwip_htons(address->port);
        memcpy(&to->four.sin_addr, address->ip, sizeof(to->four.sin_addr));
    }
#endif
#if LWIP_IPV6
    if (address->family == SC_FAMILY_IPV6) {
        to->six.sin6_len = (u8_t)sizeof(to->six);
        to->six.sin6_family = AF_INET6;
        to->six.sin6_port = lwip_htons(address->port);
        to->six.sin6_scope_id = address->scope_id;
        memcpy(&to->six.sin6_addr, address->ip, sizeof(to->six.sin6_addr));
    }
#endif
    return to->any.sa_len != 0;
}

#if LWIP_SO_RCVTIMEO || LWIP_SO_SNDTIMEO
static bool sci_lwip_set_timeout(int fd, int option, int timeout_ms)
{
#if LWIP_SO_SNDRCVTIMEO_NONSTANDARD
    const int timeout = timeout_ms;
#else
    struct timeval timeout;
    timeout.tv_sec = 0;
    timeout.tv_usec = timeout_ms * 1000;
#endif
    return lwip_setsockopt(fd, SOL_SOCKET, option, &timeout, (socklen_t)sizeof(timeout)) == 0;
}
#endif

static void sci_lwip_hangup(void *state, bool orderly)
{
    sci_lwip_stream *stream = (sci_lwip_stream *)state;
    sc_memory memory = stream->memory;
    /* After a fork the child's copy of lwIP would send on its parent's network. */
    if (orderly && stream->fd >= 0) {
#if LWIP_SO_SNDTIMEO
        (void)sci_lwip_set_timeout(stream->fd, SO_SNDTIMEO, SCI_LWIP_CLOSE_MS);
#endif
        (void)lwip_close(stream->fd);
    }
    memory.resize(memory.user, stream, sizeof(*stream), 0);
}

static sc_status sci_lwip_connect(int fd, const sci_lwip_name *to)
{
    const int on = 1;
    if (fd < 0)
        return sci_lwip_fail(SC_ERR_CONNECT, errno);
    if (lwip_fcntl(fd, F_SETFL, O_NONBLOCK) != 0 || !(lwip_fcntl(fd, F_GETFL, 0) & O_NONBLOCK))
        return sc_fail(SC_ERR_CONNECT, "lwIP and this file differ in O_NONBLOCK: include no "
                                       "<fcntl.h> before smartcache_lwip.h that lwIP's cc.h does "
                                       "not include");
    /* Without these the stream works, only slower or less watchful. */
    (void)lwip_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, (socklen_t)sizeof(on));
    (void)lwip_setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, (socklen_t)sizeof(on));
    if (lwip_connect(fd, &to->any, to->any.sa_len) != 0 && errno != EINPROGRESS)
        return sci_lwip_fail(SC_ERR_CONNECT, errno);
    return SC_OK;
}

static sc_status sci_lwip_dial(void *user, const sc_memory *memory, const sc_address *address,
                               const char *host, void **out)
{
    sci_lwip_stream *stream;
    sci_lwip_name to;
    sc_status status;
    (void)user;
    (void)host;
    *out = NULL;
    if (!sci_lwip_convert(address, &to))
        return sc_fail(SC_ERR_CONNECT, "lwIP has no addresses of this kind: set LWIP_IPV4 or "
                                       "LWIP_IPV6 to 1; it has no Unix sockets");
    stream = (sci_lwip_stream *)sci_lwip_alloc(memory, sizeof(*stream));
    if (!stream)
        return SC_ERR_MEMORY;
    stream->memory = *memory;
    stream->fd = lwip_socket(to.any.sa_family, SOCK_STREAM, 0);
    status = sci_lwip_connect(stream->fd, &to);
    if (status == SC_OK)
        *out = stream;
    else
        sci_lwip_hangup(stream, true);
    return status;
}

/* Has the attempt to connect ended? SO_ERROR alone does not tell. */
static bool sci_lwip_is_writable(int fd)
{
#if LWIP_SOCKET_POLL
    struct pollfd one;
    one.fd = fd;
    one.events = POLLOUT;
    one.revents = 0;
    return lwip_poll(&one, 1, 0) != 0;
#else
    struct timeval at_once;
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    memset(&at_once, 0, sizeof(at_once));
    return lwip_select(fd + 1, NULL, &set, NULL, &at_once) != 0;
#endif
}

static sc_status sci_lwip_progress(void *state, unsigned *interest)
{
    int fd = ((const sci_lwip_stream *)state)->fd;
    int error = 0;
    socklen_t error_len = (socklen_t)sizeof(error);
    *interest = SC_WRITABLE;
    if (!sci_lwip_is_writable(fd))
        return SC_AGAIN;
    if (lwip_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len) != 0)
        error = errno;
    if (error != 0)
        return sci_lwip_fail(SC_ERR_CONNECT, error);
#if LWIP_SO_RCVTIMEO
    /* For receive_soon, which else would not wait; transmit and receive ask for MSG_DONTWAIT. */
    if (sci_lwip_set_timeout(fd, SO_RCVTIMEO, SCI_LWIP_SOON_MS))
        (void)lwip_fcntl(fd, F_SETFL, 0);
#endif
    return SC_OK;
}

/* What lwip_send or lwip_recv returned, in the transport's terms. */
static sc_status sci_lwip_moved(ssize_t count, sc_status at_zero, size_t *moved)
{
    int error = errno;
    *moved = count > 0 ? (size_t)count : 0;
    if (count >= 0)
        return count > 0 ? SC_OK : at_zero;
    if (error == EWOULDBLOCK || error == EAGAIN)
        return SC_AGAIN;
    return sci_lwip_fail(SC_ERR_DISCONNECTED, error);
}

static sc_status sci_lwip_transmit(void *state, const void *data, size_t len, size_t *sent)
{
    int fd = ((const sci_lwip_stream *)state)->fd;
    return sci_lwip_moved(lwip_send(fd, data, len, MSG_DONTWAIT), SC_AGAIN, sent);
}

static sc_status sci_lwip_receive(void *state, void *buffer, size_t cap, size_t *received)
{
    int fd = ((const sci_lwip_stream *)state)->fd;
    return sci_lwip_moved(lwip_recv(fd, buffer, cap, MSG_DONTWAIT), SC_END, received);
}

#if LWIP_SO_RCVTIMEO
static sc_status sci_lwip_receive_soon(void *state, void *buffer, size_t cap, size_t *received)
{
    int fd = ((const sci_lwip_stream *)state)->fd;
    return sci_lwip_moved(lwip_recv(fd, buffer, cap, 0), SC_END, received);
}
#endif

static sc_descriptor sci_lwip_descriptor(void *state)
{
    return ((const sci_lwip_stream *)state)->fd;
}

SC_API void sc_lwip_transport(sc_transport *table)
{
    memset(table, 0, sizeof(*table));
    table->dial = sci_lwip_dial;
    table->progress = sci_lwip_progress;
    table->transmit = sci_lwip_transmit;
    table->receive = sci_lwip_receive;
#if LWIP_SO_RCVTIMEO
    table->receive_soon = sci_lwip_receive_soon;
#endif
    table->descriptor = sci_lwip_descriptor;
    table->hangup = sci_lwip_hangup;
}

/* The poller: a place for each socket that lwIP has. */

typedef struct sci_lwip_poller {
    sc_memory memory;
    void *tags[MEMP_NUM_NETCONN]; /* by place */
    int next;                     /* the place that is looked at first, so that none starves */
    bool is_woken;                /* shared by threads; stays until a wait has seen it */
#if LWIP_SOCKET_POLL
    struct pollfd fds[MEMP_NUM_NETCONN];
#else
    fd_set wanted[3]; /* to read, to write, to fail */
    fd_set ready[3];
#endif
#if SCI_LWIP_LOOPBACK
    int wake_fd;
    u16_t wake_port;
    bool is_retired; /* shared: lwIP's thread has let go */
#endif
} sci_lwip_poller;

#if LWIP_SOCKET_POLL

static void sci_lwip_want(sci_lwip_poller *poller, int place, unsigned interest)
{
    struct pollfd *one = &poller->fds[place];
    one->fd = interest ? place + LWIP_SOCKET_OFFSET : -1;
    one->events =
        (short)((interest & SC_READABLE ? POLLIN : 0) | (interest & SC_WRITABLE ? POLLOUT : 0));
    one->revents = 0;
}

static int sci_lwip_await(sci_lwip_poller *poller, int timeout_ms)
{
    return lwip_poll(poller->fds, MEMP_NUM_NETCONN, timeout_ms);
}

static unsigned sci_lwip_ready(const sci_lwip_poller *poller, int place)
{
    int ready = poller->fds[place].revents;
    return (ready & POLLIN ? SC_READABLE : 0u) | (ready & POLLOUT ? SC_WRITABLE : 0u) |
           (ready & ~(POLLIN | POLLOUT) ? SC_HANGUP : 0u);
}

#else

static void sci_lwip_want(sci_lwip_poller *poller, int place, unsigned interest)
{
    const unsigned wanted[3] = {interest & SC_READABLE, interest & SC_WRITABLE, interest};
    for (int i = 0; i < 3; i++) {
        if (wanted[i])
            FD_SET(place + LWIP_SOCKET_OFFSET, &poller->wanted[i]);
        else
            FD_CLR(place + LWIP_SOCKET_OFFSET, &poller->wanted[i]);
    }
}

static int sci_lwip_await(sci_lwip_poller *poller, int timeout_ms)
{
    fd_set *sets = poller->ready;
    struct timeval timeout;
    timeout.tv_sec = timeout_ms / 1000;
    timeout.tv_usec = timeout_ms % 1000 * 1000;
    memcpy(sets, poller->wanted, sizeof(poller->ready));
    return lwip_select(LWIP_SOCKET_OFFSET + MEMP_NUM_NETCONN, &sets[0], &sets[1], &sets[2],
                       &timeout);
}

static unsigned sci_lwip_ready(const sci_lwip_poller *poller, int place)
{
    int fd = place + LWIP_SOCKET_OFFSET;
    return (FD_ISSET(fd, &poller->ready[0]) ? SC_READABLE : 0u) |
           (FD_ISSET(fd, &poller->ready[1]) ? SC_WRITABLE : 0u) |
           (FD_ISSET(fd, &poller->ready[2]) ? SC_HANGUP : 0u);
}

#endif

static sc_status sci_lwip_watch(void *state, sc_descriptor descriptor, unsigned interest, void *tag)
{
    sci_lwip_poller *poller = (sci_lwip_poller *)state;
    sc_descriptor place = descriptor - LWIP_SOCKET_OFFSET;
    if (place < 0 || place >= MEMP_NUM_NETCONN)
        return sc_fail(SC_ERR_ARGUMENT, "%lld is no socket of lwIP", (long long)descriptor);
    poller->tags[place] = tag;
    sci_lwip_want(poller, (int)place, interest);
    return SC_OK;
}

/* Set a flag that threads share; returns what it was. */
static bool sci_lwip_swap(bool *flag, bool value)
{
    bool was;
    SYS_ARCH_DECL_PROTECT(level);
    SYS_ARCH_PROTECT(level);
    was = *flag;
    *flag = value;
    SYS_ARCH_UNPROTECT(level);
    return was;
}

/* The wake-up socket tells the library nothing: it is emptied. */
static bool sci_lwip_is_wake(sci_lwip_poller *poller, int place)
{
#if SCI_LWIP_LOOPBACK
    char bytes[4];
    if (place != poller->wake_fd - LWIP_SOCKET_OFFSET)
        return false;
    while (lwip_recv(poller->wake_fd, bytes, sizeof(bytes), MSG_DONTWAIT) >= 0)
        continue;
    return true;
#else
    (void)poller;
    (void)place;
    return false;
#endif
}

static size_t sci_lwip_collect(sci_lwip_poller *poller, sc_event *events, size_t cap)
{
    size_t filled = 0;
    for (int seen = 0; seen < MEMP_NUM_NETCONN && filled < cap; seen++) {
        int place = poller->next;
        unsigned ready = sci_lwip_ready(poller, place);
        if (ready && !sci_lwip_is_wake(poller, place)) {
            events[filled].tag = poller->tags[place];
            events[filled].ready = ready;
            filled++;
        }
        poller->next = (place + 1) % MEMP_NUM_NETCONN;
    }
    return filled;
}

static sc_status sci_lwip_wait(void *state, int64_t timeout_ms, sc_event *events, size_t cap,
                               size_t *count)
{
    sci_lwip_poller *poller = (sci_lwip_poller *)state;
    bool is_woken = !SCI_LWIP_LOOPBACK && sci_lwip_swap(&poller->is_woken, false);
    *count = 0;
    do {
        int piece_ms = SCI_LWIP_PIECE_MS;
        if (is_woken)
            piece_ms = 0;
        else if (timeout_ms >= 0 && timeout_ms < piece_ms)
            piece_ms = (int)timeout_ms;
        if (sci_lwip_await(poller, piece_ms) < 0)
            return sc_fail(SC_ERR_IO, "lwIP cannot wait: a watched socket was closed, or it has "
                                      "no memory or semaphore for that");
        *count = sci_lwip_collect(poller, events, cap);
        /* Only after the datagram was taken: the next wake sends another. */
        is_woken = sci_lwip_swap(&poller->is_woken, false) || is_woken;
        if (timeout_ms >= 0)
            timeout_ms -= piece_ms;
    } while (!is_woken && *count == 0 && timeout_ms != 0);
    return SC_OK;
}

#if SCI_LWIP_LOOPBACK

/* On lwIP's thread. When it fails, the flag is seen at the end of the piece that is waited now. */
static void sci_lwip_wake_send(void *state)
{
    const sci_lwip_poller *poller = (const sci_lwip_poller *)state;
    struct pbuf *packet = pbuf_alloc(PBUF_TRANSPORT, 1, PBUF_RAM);
    struct udp_pcb *pcb = udp_new();
    ip_addr_t loopback;
    ip_addr_set_loopback(!LWIP_IPV4, &loopback);
    if (packet && pcb) {
        memset(packet->payload, 0, 1);
        (void)udp_sendto(pcb, packet, &loopback, poller->wake_port);
    }
    if (packet)
        pbuf_free(packet);
    if (pcb)
        udp_remove(pcb);
}

/* On lwIP's thread, after all that was asked of it before. */
static void sci_lwip_wake_retire(void *state)
{
    (void)sci_lwip_swap(&((sci_lwip_poller *)state)->is_retired, true);
}

static sc_status sci_lwip_wake_open(sci_lwip_poller *poller)
{
    sc_address loopback;
    sci_lwip_name here;
    socklen_t here_len;
    memset(&loopback, 0, sizeof(loopback));
    loopback.family = LWIP_IPV4 ? SC_FAMILY_IPV4 : SC_FAMILY_IPV6;
    loopback.ip[0] = LWIP_IPV4 ? 127 : 0;
    loopback.ip[LWIP_IPV4 ? 3 : 15] = 1;
    (void)sci_lwip_convert(&loopback, &here);
    here_len = here.any.sa_len;
    poller->wake_fd = lwip_socket(here.any.sa_family, SOCK_DGRAM, 0);
    if (poller->wake_fd < 0 || lwip_bind(poller->wake_fd, &here.any, here_len) != 0 ||
        lwip_getsockname(poller->wake_fd, &here.any, &here_len) != 0)
        return sci_lwip_fail(SC_ERR_IO, errno);
#if LWIP_IPV4
    poller->wake_port = lwip_ntohs(here.four.sin_port);
#else
    poller->wake_port = lwip_ntohs(here.six.sin6_port);
#endif
    return sci_lwip_watch(poller, poller->wake_fd, SC_READABLE, NULL);
}

/* Waits for lwIP's thread, since a wake-up may be on its way there. */
static void sci_lwip_wake_close(sci_lwip_poller *poller)
{
    if (poller->wake_fd < 0)
        return;
    while (tcpip_try_callback(sci_lwip_wake_retire, poller) != ERR_OK)
        sys_msleep(1);
    while (!sci_lwip_swap(&poller->is_retired, false))
        sys_msleep(1);
    (void)lwip_close(poller->wake_fd);
}

#endif

static void sci_lwip_wake(void *state)
{
    sci_lwip_poller *poller = (sci_lwip_poller *)state;
    bool was_woken = sci_lwip_swap(&poller->is_woken, true);
#if SCI_LWIP_LOOPBACK
    /* lwIP's thread may be the caller, so this must not wait. A full mailbox leaves the flag. */
    if (!was_woken)
        (void)tcpip_try_callback(sci_lwip_wake_send, poller);
#else
    (void)was_woken;
#endif
}

static void sci_lwip_destroy(void *state)
{
    sci_lwip_poller *poller = (sci_lwip_poller *)state;
    sc_memory memory = poller->memory;
#if SCI_LWIP_LOOPBACK
    sci_lwip_wake_close(poller);
#endif
    memory.resize(memory.user, poller, sizeof(*poller), 0);
}

static sc_status sci_lwip_create(void *user, const sc_memory *memory, void **out)
{
    sci_lwip_poller *poller = (sci_lwip_poller *)sci_lwip_alloc(memory, sizeof(*poller));
    sc_status status = SC_OK;
    (void)user;
    *out = NULL;
    if (!poller)
        return SC_ERR_MEMORY;
    poller->memory = *memory;
    for (int place = 0; place < MEMP_NUM_NETCONN; place++)
        sci_lwip_want(poller, place, 0);
#if SCI_LWIP_LOOPBACK
    status = sci_lwip_wake_open(poller);
#endif
    if (status == SC_OK)
        *out = poller;
    else
        sci_lwip_destroy(poller);
    return status;
}

SC_API void sc_lwip_poller(sc_poller *table)
{
    memset(table, 0, sizeof(*table));
    table->create = sci_lwip_create;
    table->destroy = sci_lwip_destroy;
    table->watch = sci_lwip_watch;
    table->wait = sci_lwip_wait;
    table->wake = sci_lwip_wake;
}

/* Names. */

#if LWIP_DNS

/* In lwIP's heap, since it lives on lwIP's thread. */
typedef struct sci_lwip_request {
    sc_lookup *lookup;
    const char *host; /* the lookup's */
    uint16_t port;
} sci_lwip_request;

/* On lwIP's thread. */
static void sci_lwip_found(const char *name, const ip_addr_t *ip, void *state)
{
    sci_lwip_request *request = (sci_lwip_request *)state;
    sc_address address;
    sc_status status = SC_OK;
    (void)name;
    memset(&address, 0, sizeof(address));
    address.port = request->port;
    if (!ip) {
        status = sc_fail(SC_ERR_RESOLVE,
                         "host \"%s\": lwIP's DNS found no address (no such name, or no answer of "
                         "the servers given by dns_setserver)",
                         request->host);
    } else {
        address.family = IP_IS_V6(ip) ? SC_FAMILY_IPV6 : SC_FAMILY_IPV4;
        memcpy(address.ip, ip, IP_IS_V6(ip) ? 16u : 4u); /* the address comes first in it */
    }
    sc_lookup_done(request->lookup, status, &address, 1);
    mem_free(request);
}

/* On lwIP's thread. */
static void sci_lwip_ask(void *state)
{
    sci_lwip_request *request = (sci_lwip_request *)state;
    ip_addr_t ip;
    err_t error = dns_gethostbyname(request->host, &ip, sci_lwip_found, request);
    if (error != ERR_INPROGRESS)
        sci_lwip_found(request->host, error == ERR_OK ? &ip : NULL, request);
}

static sc_status sci_lwip_resolve(void *user, sc_lookup *lookup, const char *host, uint16_t port)
{
    sci_lwip_request *request = (sci_lwip_request *)mem_malloc(sizeof(*request));
    (void)user;
    if (request) {
        request->lookup = lookup;
        request->host = host;
        request->port = port;
        if (tcpip_try_callback(sci_lwip_ask, request) == ERR_OK)
            return SC_OK;
        mem_free(request);
    }
    return sc_fail(SC_ERR_MEMORY,
                   "host \"%s\": lwIP has no memory or takes no message (MEM_SIZE, "
                   "TCPIP_MBOX_SIZE, MEMP_NUM_TCPIP_MSG_API)",
                   host);
}

#else

static sc_status sci_lwip_resolve(void *user, sc_lookup *lookup, const char *host, uint16_t port)
{
    (void)user;
    (void)lookup;
    (void)port;
    return sc_fail(SC_ERR_RESOLVE,
                   "host \"%s\": lwIP is built without DNS: set LWIP_DNS to 1, or write a numeric "
                   "address",
                   host);
}

#endif

SC_API void sc_lwip_resolver(sc_resolver *table)
{
    memset(table, 0, sizeof(*table));
    table->resolve = sci_lwip_resolve;
}

/* Time. */

static int64_t sci_lwip_now_ms(sc_lwip_time *state)
{
    int64_t now_ms;
    uint32_t ms;
    SYS_ARCH_DECL_PROTECT(level);
    SYS_ARCH_PROTECT(level);
    ms = sys_now();
    state->times_around += ms < state->last_ms;
    state->last_ms = ms;
    now_ms = (int64_t)(((uint64_t)state->times_around << 32) | ms);
    SYS_ARCH_UNPROTECT(level);
    return now_ms;
}

static int64_t sci_lwip_monotonic_ns(void *user)
{
    return sci_lwip_now_ms((sc_lwip_time *)user) * 1000000;
}

static int64_t sci_lwip_wall_ms(void *user)
{
    sc_lwip_time *state = (sc_lwip_time *)user;
    return state->wall_ms + sci_lwip_now_ms(state);
}

SC_API void sc_lwip_clock(sc_clock *table, sc_lwip_time *state)
{
    table->user = state;
    table->monotonic_ns = sci_lwip_monotonic_ns;
    table->wall_ms = sci_lwip_wall_ms;
}

#endif /* SMARTCACHE_LWIP_IMPLEMENTED */
#endif /* SMARTCACHE_LWIP_IMPLEMENTATION */
