/* lwIP for the tests: everything that the port can use, and enough of it for many threads. What a
   file defines before it includes lwIP stays: so the port is compiled for smaller builds, too. */

#ifndef TESTS_LWIP_LWIPOPTS_H
#define TESTS_LWIP_LWIPOPTS_H

#define NO_SYS 0
#define LWIP_SOCKET 1
#define LWIP_NETCONN 1
#ifndef LWIP_COMPAT_SOCKETS
#define LWIP_COMPAT_SOCKETS 0
#endif
#define LWIP_ERRNO_STDINCLUDE 1
#ifndef LWIP_SOCKET_POLL
#define LWIP_SOCKET_POLL 1
#endif
#ifndef LWIP_SOCKET_SELECT
#define LWIP_SOCKET_SELECT 1
#endif
#ifndef LWIP_SO_RCVTIMEO
#define LWIP_SO_RCVTIMEO 1
#endif
#define LWIP_SO_SNDTIMEO 1
#ifndef LWIP_TCPIP_CORE_LOCKING
#define LWIP_TCPIP_CORE_LOCKING 1
#endif

#ifndef LWIP_IPV4
#define LWIP_IPV4 1
#endif
#ifndef LWIP_IPV6
#define LWIP_IPV6 1
#endif
#define IPV6_FRAG_COPYHEADER 1 /* pointers of 64 bits do not fit into a packet */
#define LWIP_ARP 1
#define LWIP_UDP 1
#define LWIP_TCP 1
#ifndef LWIP_DNS
#define LWIP_DNS 1
#endif
#ifndef LWIP_NETIF_LOOPBACK
#define LWIP_NETIF_LOOPBACK 1
#endif

#define MEM_LIBC_MALLOC 1 /* so that the address sanitizer sees lwIP's memory */
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 8
#define MEMP_NUM_NETCONN 40
#define MEMP_NUM_TCP_PCB 40
#define MEMP_NUM_TCP_SEG 512
#define MEMP_NUM_TCPIP_MSG_API 64
#define TCPIP_MBOX_SIZE 256
#define DEFAULT_TCP_RECVMBOX_SIZE 256
#define DEFAULT_UDP_RECVMBOX_SIZE 16
#define DEFAULT_ACCEPTMBOX_SIZE 16

#define TCP_MSS 1460
#define TCP_WND (32 * TCP_MSS)
#define TCP_SND_BUF (32 * TCP_MSS)
#define TCP_SND_QUEUELEN 128
#define TCP_QUEUE_OOSEQ 1
#define LWIP_TCP_KEEPALIVE 1
#define TCP_TMR_INTERVAL 25 /* ten times as often: what was lost is sent again sooner */
#define LWIP_TCP_RTO_TIME 300
#define DNS_MAX_RETRIES 2 /* a silent name server is given up after 2 s */

#endif
