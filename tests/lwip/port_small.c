/* The port compiled for a smaller lwIP than it runs on, under other names. */

#define LWIP_SOCKET_POLL 0
#define LWIP_SO_RCVTIMEO 0
#define LWIP_NETIF_LOOPBACK 0
#define LWIP_DNS 0
#define LWIP_COMPAT_SOCKETS 1
#define SCI_LWIP_PIECE_MS 2

#define sc_lwip_transport port_small_transport
#define sc_lwip_poller port_small_poller
#define sc_lwip_resolver port_small_resolver
#define sc_lwip_clock port_small_clock

#define SMARTCACHE_LWIP_IMPLEMENTATION
#include "smartcache_lwip.h"
