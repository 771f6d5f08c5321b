#pragma once
/* lwIP for one small device that talks to one server: sockets over TCP, an address by DHCP. */

/* Sockets without an operating system. Each call takes the core's lock and does its work on the
   spot, so that lwIP's own thread never has to run; network_poll does what is left to it. */
#define NO_SYS 0
#define LWIP_TCPIP_CORE_LOCKING 1
#define LWIP_TCPIP_CORE_LOCKING_INPUT 1
#define TCPIP_THREAD_TEST 1    /* gives tcpip_thread_poll_one */
#define SYS_LIGHTWEIGHT_PROT 0 /* no interrupt handler touches lwIP */

#define LWIP_SOCKET 1
#define LWIP_NETCONN 1
#define LWIP_SOCKET_POLL 1
#define LWIP_SOCKET_SELECT 0
#define LWIP_COMPAT_SOCKETS 0 /* no macros named send and recv */
#define LWIP_POSIX_SOCKETS_IO_NAMES 0

#define LWIP_IPV4 1
#define LWIP_IPV6 0
#define LWIP_TCP 1
#define LWIP_UDP 1 /* for DHCP */
#define LWIP_DHCP 1
#define DHCP_DOES_ARP_CHECK 0 /* it would wait for seconds whether anybody answers */
#define LWIP_DNS 0            /* 1: URLs with host names, 4 KB of code */
#define LWIP_RAW 0
#define LWIP_NETIF_LOOPBACK 0
#define IP_REASSEMBLY 0
#define IP_FRAG 0
#define LWIP_STATS 0
#define LWIP_SO_RCVTIMEO 1 /* these two: see ports/smartcache_lwip.h */
#define LWIP_SO_SNDTIMEO 1

/* Memory. A client holds one or two connections, and one more each while a subscription or a large
   transfer lives. */
#define MEM_ALIGNMENT 4
#define MEM_SIZE (16 * 1024)
#define MEMP_NUM_NETCONN 6
#define MEMP_NUM_TCP_PCB 8 /* closed connections linger */
#define MEMP_NUM_TCP_PCB_LISTEN 1
#define MEMP_NUM_UDP_PCB 2
#define MEMP_NUM_TCP_SEG 32
#define MEMP_NUM_TCPIP_MSG_API 8
#define PBUF_POOL_SIZE 12
#define TCP_MSS 1460
#define TCP_WND (4 * TCP_MSS)
#define TCP_SND_BUF (4 * TCP_MSS)
#define TCP_SND_QUEUELEN 16
#define TCPIP_MBOX_SIZE 8
#define DEFAULT_TCP_RECVMBOX_SIZE 16
#define DEFAULT_ACCEPTMBOX_SIZE 1
#define DEFAULT_UDP_RECVMBOX_SIZE 1
#define TCPIP_THREAD_STACKSIZE 0
