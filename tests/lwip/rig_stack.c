/* lwIP's side of the rig: interfaces, the relay's listener, the name server, pairs of sockets.
   Nothing of the host's sockets. */

#include "rig.h"

#include "lwip/dns.h"
#include "lwip/etharp.h"
#include "lwip/init.h"
#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/sockets.h"
#include "lwip/stats.h"
#include "lwip/sys.h"
#include "lwip/tcpip.h"
#include "netif/ethernet.h"

#include <string.h>

#define PERMILLE 1000u

/* --- lwIP */

static void signal_started(void *argument)
{
    sys_sem_signal((sys_sem_t *)argument);
}

void rig_start(void)
{
    sys_sem_t started;
    if (sys_sem_new(&started, 0) != ERR_OK)
        rig_die("no memory");
    tcpip_init(signal_started, &started);
    sys_arch_sem_wait(&started, 0);
    sys_sem_free(&started);
}

typedef struct errand {
    void (*run)(void *);
    void *argument;
    sys_sem_t done;
} errand;

static void run_errand(void *argument)
{
    errand *self = (errand *)argument;
    self->run(self->argument);
    sys_sem_signal(&self->done);
}

/* On lwIP's own thread, and wait for it: right with the core lock and without. */
static void run_on_stack(void (*run)(void *), void *argument)
{
    errand self;
    self.run = run;
    self.argument = argument;
    if (sys_sem_new(&self.done, 0) != ERR_OK || tcpip_callback(run_errand, &self) != ERR_OK)
        rig_die("no memory");
    sys_arch_sem_wait(&self.done, 0);
    sys_sem_free(&self.done);
}

/* --- interfaces */

struct rig_link {
    struct netif netif;
    rig_transmit transmit;
    void *user;
    u8_t number;
};

typedef struct losses {
    unsigned permille;
    unsigned lost;
    unsigned is_cut;
    u32_t sequence[2]; /* one a direction, so that the threads' order does not matter */
} losses;

static losses network = {0, 0, 0, {2463534242u, 88675123u}};

/* xorshift32 */
static bool is_lost(unsigned direction)
{
    bool result;
    u32_t next;
    SYS_ARCH_DECL_PROTECT(level);
    SYS_ARCH_PROTECT(level);
    next = network.sequence[direction];
    next ^= next << 13;
    next ^= next >> 17;
    next ^= next << 5;
    if (network.permille)
        network.sequence[direction] = next;
    result = network.is_cut || (network.permille && next % PERMILLE < network.permille);
    network.lost += result;
    SYS_ARCH_UNPROTECT(level);
    return result;
}

void rig_lose(unsigned permille)
{
    SYS_ARCH_SET(network.permille, permille);
}

void rig_cut(bool is_cut)
{
    SYS_ARCH_SET(network.is_cut, is_cut);
}

unsigned rig_lost(void)
{
    unsigned lost;
    SYS_ARCH_GET(network.lost, lost);
    return lost;
}

static err_t link_output(struct netif *netif, struct pbuf *packet)
{
    const rig_link *link = (const rig_link *)netif->state;
    char frame[RIG_FRAME_BYTES];
    if (packet->tot_len > sizeof(frame))
        return ERR_BUF;
    pbuf_copy_partial(packet, frame, packet->tot_len, 0);
    if (!is_lost(0))
        link->transmit(link->user, frame, packet->tot_len);
    return ERR_OK;
}

void rig_link_input(rig_link *link, const void *frame, size_t len)
{
    struct pbuf *packet;
    if (is_lost(1))
        return;
    packet = pbuf_alloc(PBUF_RAW, (u16_t)len, PBUF_POOL);
    if (!packet)
        return;
    pbuf_take(packet, frame, (u16_t)len);
    if (link->netif.input(packet, &link->netif) != ERR_OK)
        pbuf_free(packet);
}

static err_t link_init(struct netif *netif)
{
    static const u8_t address[ETH_HWADDR_LEN] = {0x02, 0, 0, 0, 0, 1};
    const rig_link *link = (const rig_link *)netif->state;
    netif->name[0] = 'r';
    netif->name[1] = 'g';
    netif->output = etharp_output;
    netif->linkoutput = link_output;
    netif->mtu = 1500;
    netif->hwaddr_len = ETH_HWADDR_LEN;
    memcpy(netif->hwaddr, address, sizeof(address));
    netif->hwaddr[ETH_HWADDR_LEN - 1] = link->number;
    netif->flags =
        NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
    return ERR_OK;
}

typedef struct link_order {
    rig_link *link;
    ip4_addr_t address;
    ip4_addr_t gateway;
    ip4_addr_t mask;
} link_order;

static void link_add(void *argument)
{
    link_order *order = (link_order *)argument;
    struct netif *netif = &order->link->netif;
    netif_add(netif, &order->address, &order->mask, &order->gateway, order->link, link_init,
              tcpip_input);
    netif_set_up(netif);
    if (!netif_default)
        netif_set_default(netif);
}

rig_link *rig_link_open(const char *address, const char *gateway, rig_transmit transmit, void *user)
{
    static u8_t links;
    link_order order;
    order.link = (rig_link *)calloc(1, sizeof(*order.link));
    if (!order.link || !ip4addr_aton(address, &order.address) ||
        !ip4addr_aton("255.255.255.0", &order.mask) || !ip4addr_aton(gateway, &order.gateway))
        rig_die("no interface");
    order.link->transmit = transmit;
    order.link->user = user;
    order.link->number = ++links;
    run_on_stack(link_add, &order);
    return order.link;
}

/* --- the relay */

#define RELAY_PIECE 16384
#define RELAY_PORTS 64

/* One connection. Each direction has a thread; the second to end frees. */
typedef struct relay {
    int stack; /* lwIP's */
    int host;
    unsigned ended; /* threads */
} relay;

/* A direction has ended: make the other end, too. lwIP's socket is only shut for sending, since it
   frees what another thread may be receiving from; the peer closes its end then. */
static void relay_leave(relay *self)
{
    unsigned before;
    SYS_ARCH_DECL_PROTECT(level);
    rig_host_finish(self->host);
    (void)lwip_shutdown(self->stack, SHUT_WR);
    SYS_ARCH_PROTECT(level);
    before = self->ended++;
    SYS_ARCH_UNPROTECT(level);
    if (before == 0)
        return;
    rig_host_close(self->host);
    (void)lwip_close(self->stack);
    free(self);
}

static void relay_to_host(void *argument)
{
    relay *self = (relay *)argument;
    char bytes[RELAY_PIECE];
    for (;;) {
        ssize_t count = lwip_recv(self->stack, bytes, sizeof(bytes), 0);
        if (count <= 0 || !rig_host_send(self->host, bytes, (size_t)count))
            break;
    }
    relay_leave(self);
}

static bool send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t count = lwip_send(fd, data, len, 0);
        if (count <= 0)
            return false;
        data += count;
        len -= (size_t)count;
    }
    return true;
}

static void relay_to_stack(void *argument)
{
    relay *self = (relay *)argument;
    char bytes[RELAY_PIECE];
    for (;;) {
        size_t count = rig_host_receive(self->host, bytes, sizeof(bytes));
        if (count == 0 || !send_all(self->stack, bytes, count))
            break;
    }
    relay_leave(self);
}

static void no_delay(int fd)
{
    const int on = 1;
    (void)lwip_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

typedef struct relay_listener {
    int fd;
    uint16_t port;
} relay_listener;

static void relay_listen(void *argument)
{
    const relay_listener *listener = (const relay_listener *)argument;
    for (;;) {
        relay *self;
        int fd = lwip_accept(listener->fd, NULL, NULL);
        int host;
        if (fd < 0)
            continue;
        host = rig_host_dial(listener->port);
        if (host < 0) {
            (void)lwip_close(fd); /* nobody listens on the host */
            continue;
        }
        no_delay(fd);
        self = (relay *)calloc(1, sizeof(*self));
        if (!self)
            rig_die("no memory");
        self->stack = fd;
        self->host = host;
        rig_run(relay_to_host, self);
        rig_run(relay_to_stack, self);
    }
}

void rig_relay(uint16_t port)
{
    static relay_listener listeners[RELAY_PORTS];
    static size_t count;
    struct sockaddr_in6 any;
    for (size_t i = 0; i < count; i++)
        if (listeners[i].port == port)
            return;
    memset(&any, 0, sizeof(any));
    any.sin6_len = sizeof(any);
    any.sin6_family = AF_INET6;
    any.sin6_port = lwip_htons(port);
    listeners[count].port = port;
    listeners[count].fd = lwip_socket(AF_INET6, SOCK_STREAM, 0);
    if (count == RELAY_PORTS || listeners[count].fd < 0 ||
        lwip_bind(listeners[count].fd, (struct sockaddr *)(void *)&any, sizeof(any)) != 0 ||
        lwip_listen(listeners[count].fd, 16) != 0)
        rig_die("lwIP does not listen");
    rig_run(relay_listen, &listeners[count]);
    count++;
}

/* --- names */

#define DNS_PORT 53
#define DNS_HEAD_BYTES 12
#define DNS_MESSAGE_BYTES 512
#define DNS_TYPE_A 1
#define DNS_TYPE_AAAA 28

typedef struct name_record {
    const char *name;
    unsigned type;
    size_t len;
    u8_t ip[16];
} name_record;

static const name_record name_records[] = {
    {RIG_NAME_OF_SLIRP_HOST, DNS_TYPE_A, 4, {10, 0, 2, 2}},
    {RIG_NAME_OF_LOOPBACK_6, DNS_TYPE_AAAA, 16, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}},
};

/* The name of the question as text; returns where its type begins, 0 when it is malformed. */
static size_t read_question(const u8_t *message, size_t len, char *name, size_t cap)
{
    size_t at = DNS_HEAD_BYTES;
    size_t filled = 0;
    while (at < len && message[at] != 0) {
        size_t label = message[at];
        if (at + 1 + label >= len || filled + label + 2 > cap)
            return 0;
        if (filled)
            name[filled++] = '.';
        memcpy(name + filled, message + at + 1, label);
        filled += label;
        at += 1 + label;
    }
    name[filled] = '\0';
    return at + 5 <= len ? at + 1 : 0;
}

/* Turn the question into its answer (RFC 1035, section 4); returns its length, 0 for none. */
static size_t answer_question(u8_t *message, size_t len)
{
    char name[128];
    size_t type_at = read_question(message, len, name, sizeof(name));
    unsigned type;
    size_t at;
    if (type_at == 0 || strcmp(name, RIG_NAME_SILENT) == 0)
        return 0;
    type = (unsigned)message[type_at] << 8 | message[type_at + 1];
    at = type_at + 4;
    message[2] = 0x81; /* an answer; recursion was desired */
    message[3] = 0x83; /* no such name */
    memset(message + 6, 0, 6);
    for (size_t i = 0; i < sizeof(name_records) / sizeof(name_records[0]); i++) {
        const name_record *record = &name_records[i];
        const u8_t head[12] = {0xc0, DNS_HEAD_BYTES,   0, (u8_t)record->type, 0, 1, 0, 0, 0, 60,
                               0,    (u8_t)record->len};
        if (strcmp(record->name, name) != 0)
            continue;
        message[3] = 0x80;
        if (record->type != type)
            continue; /* the name is there, and has no such address */
        message[7] = 1;
        memcpy(message + at, head, sizeof(head));
        memcpy(message + at + sizeof(head), record->ip, record->len);
        at += sizeof(head) + record->len;
    }
    return at;
}

static void name_server_run(void *argument)
{
    int fd = *(int *)argument;
    u8_t message[DNS_MESSAGE_BYTES];
    for (;;) {
        struct sockaddr_in from;
        socklen_t from_len = sizeof(from);
        ssize_t len = lwip_recvfrom(fd, message, sizeof(message) / 2, 0,
                                    (struct sockaddr *)(void *)&from, &from_len);
        size_t answer_len = len > 0 ? answer_question(message, (size_t)len) : 0;
        if (answer_len)
            (void)lwip_sendto(fd, message, answer_len, 0, (struct sockaddr *)(void *)&from,
                              from_len);
    }
}

static void ask_here(void *argument)
{
    ip_addr_t server;
    (void)argument;
    ip_addr_set_loopback(0, &server);
    dns_setserver(0, &server);
}

void rig_name_server(void)
{
    static int fd;
    struct sockaddr_in here;
    memset(&here, 0, sizeof(here));
    here.sin_len = sizeof(here);
    here.sin_family = AF_INET;
    here.sin_port = lwip_htons(DNS_PORT);
    here.sin_addr.s_addr = lwip_htonl(INADDR_LOOPBACK);
    fd = lwip_socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || lwip_bind(fd, (struct sockaddr *)(void *)&here, sizeof(here)) != 0)
        rig_die("no name server");
    rig_run(name_server_run, &fd);
    run_on_stack(ask_here, NULL);
}

/* --- sockets */

int rig_dial(const char *address, uint16_t port)
{
    struct sockaddr_in to;
    int fd = lwip_socket(AF_INET, SOCK_STREAM, 0);
    memset(&to, 0, sizeof(to));
    to.sin_len = sizeof(to);
    to.sin_family = AF_INET;
    to.sin_port = lwip_htons(port);
    if (fd < 0 || !lwip_inet_pton(AF_INET, address, &to.sin_addr) ||
        lwip_connect(fd, (struct sockaddr *)(void *)&to, sizeof(to)) != 0)
        rig_die("lwIP does not connect");
    no_delay(fd);
    return fd;
}

bool rig_exchange(int socket_number, const void *request, size_t request_len, size_t reply_len)
{
    char bytes[RELAY_PIECE];
    if (!send_all(socket_number, (const char *)request, request_len))
        return false;
    while (reply_len > 0) {
        ssize_t count = lwip_recv(socket_number, bytes,
                                  reply_len < sizeof(bytes) ? reply_len : sizeof(bytes), 0);
        if (count <= 0)
            return false;
        reply_len -= (size_t)count;
    }
    return true;
}

bool rig_pair(int ends[2])
{
    struct sockaddr_in here;
    socklen_t here_len = sizeof(here);
    int listener = lwip_socket(AF_INET, SOCK_STREAM, 0);
    bool is_made = false;
    memset(&here, 0, sizeof(here));
    here.sin_len = sizeof(here);
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = lwip_htonl(INADDR_LOOPBACK);
    ends[0] = ends[1] = -1;
    if (listener >= 0 && lwip_bind(listener, (struct sockaddr *)(void *)&here, sizeof(here)) == 0 &&
        lwip_listen(listener, 1) == 0 &&
        lwip_getsockname(listener, (struct sockaddr *)(void *)&here, &here_len) == 0 &&
        (ends[0] = lwip_socket(AF_INET, SOCK_STREAM, 0)) >= 0 &&
        lwip_connect(ends[0], (struct sockaddr *)(void *)&here, sizeof(here)) == 0)
        ends[1] = lwip_accept(listener, NULL, NULL);
    is_made = ends[1] >= 0;
    if (!is_made && ends[0] >= 0)
        (void)lwip_close(ends[0]);
    if (listener >= 0)
        (void)lwip_close(listener);
    if (is_made) {
        no_delay(ends[0]);
        no_delay(ends[1]);
    }
    return is_made;
}

void rig_send_byte(int socket_number)
{
    (void)lwip_send(socket_number, "x", 1, 0);
}

void rig_empty(int socket_number)
{
    char bytes[RELAY_PIECE];
    while (lwip_recv(socket_number, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        continue;
}

static void do_nothing(void *argument)
{
    (void)argument;
}

void rig_choke(int socket_number)
{
    static const char bytes[RELAY_PIECE];
    int refusals = 0;
    /* The stack moves bytes on to the other end's queue for a while, at the turns of its thread and
       of its timers: each look comes after one of both. */
    while (refusals < 10) {
        if (lwip_send(socket_number, bytes, sizeof(bytes), MSG_DONTWAIT) > 0) {
            refusals = 0;
        } else {
            refusals++;
            sys_msleep(TCP_TMR_INTERVAL);
            run_on_stack(do_nothing, NULL);
        }
    }
}

void rig_close(int socket_number)
{
    (void)lwip_close(socket_number);
}

int rig_socket(void)
{
    return lwip_socket(AF_INET, SOCK_STREAM, 0);
}

size_t rig_sockets_in_use(void)
{
    size_t count = 0;
    for (int fd = LWIP_SOCKET_OFFSET; fd < LWIP_SOCKET_OFFSET + MEMP_NUM_NETCONN; fd++)
        if (lwip_fcntl(fd, F_GETFL, 0) >= 0)
            count++;
    return count;
}
