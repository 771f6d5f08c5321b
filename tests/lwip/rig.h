#pragma once
/* lwIP inside of a test program, and its ways to the host's loopback. Plain C: a file that includes
   this needs neither lwIP's headers nor must avoid the host's. What fails ends the process with
   words, unless it says otherwise. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Start lwIP, with nothing but its own loopback. Once a process. */
void rig_start(void);

/* Way 1, for an ordinary user: lwIP's own loopback, where a listener of lwIP on `port` (127.0.0.1
   and ::1) relays to the host's 127.0.0.1 at the same port. It stays as long as the process; asking
   twice for a port is fine. */
void rig_relay(uint16_t port);

/* Way 2, for an ordinary user: an Ethernet of libslirp's; the host's 127.0.0.1 is RIG_SLIRP_HOST. */
#define RIG_SLIRP_HOST "10.0.2.2"
void rig_slirp(void);

/* Way 3, for root: a tap device in a network namespace of the process's own, which is also all that
   the process and its children have from then on; the host's end is RIG_TAP_HOST. The first step
   comes before rig_start, since threads keep the namespace they began in: false, with words, when
   the system does not permit it. */
#define RIG_TAP_HOST "10.9.0.1"
bool rig_tap_begin(char *why, size_t cap);
void rig_tap(void);

/* Lose so many of a thousand packets, in each direction, by a fixed sequence; 0: none any more.
   Loopback loses nothing. */
void rig_lose(unsigned permille);
/* Packets lost so far. */
unsigned rig_lost(void);
/* Take packets of both directions and keep none. */
void rig_cut(bool is_cut);

/* A name server inside of lwIP, which lwIP's DNS then asks. It knows the names below. */
#define RIG_NAME_OF_SLIRP_HOST "redis.test"  /* an IPv4 address */
#define RIG_NAME_OF_LOOPBACK_6 "redis6.test" /* an IPv6 address, and none of IPv4 */
#define RIG_NAME_ABSENT "absent.test"        /* the server says that there is none */
#define RIG_NAME_SILENT "silent.test"        /* the server does not answer */
void rig_name_server(void);

/* Two connected sockets of lwIP, on its loopback. */
bool rig_pair(int ends[2]);
void rig_send_byte(int socket_number);
/* Receive all that is there. */
void rig_empty(int socket_number);
/* Send until `socket_number` takes no more, and stays so. */
void rig_choke(int socket_number);
void rig_close(int socket_number);
/* A socket of lwIP for as long as nobody closes it; -1 when there is none left. */
int rig_socket(void);
/* lwIP's sockets in use. */
size_t rig_sockets_in_use(void);

/* A blocking connection of lwIP's to an IPv4 address, without delay; and one exchange on it. */
int rig_dial(const char *address, uint16_t port);
bool rig_exchange(int socket_number, const void *request, size_t request_len, size_t reply_len);

/* --- between the files of the rig */

/* An Ethernet interface of lwIP's; `transmit` is given its frames, on any thread, and must not wait
   for lwIP. */
typedef struct rig_link rig_link;
typedef void (*rig_transmit)(void *user, const void *frame, size_t len);
rig_link *rig_link_open(const char *address, const char *gateway, rig_transmit transmit,
                        void *user);
/* A frame for lwIP has come. Any thread but lwIP's. */
void rig_link_input(rig_link *link, const void *frame, size_t len);

/* The host's side of the relay; -1 when nobody listens. */
int rig_host_dial(uint16_t port);
bool rig_host_send(int descriptor, const void *data, size_t len);
/* 0: the end. */
size_t rig_host_receive(int descriptor, void *buffer, size_t cap);
void rig_host_finish(int descriptor); /* both ways, any thread */
void rig_host_close(int descriptor);
void rig_die(const char *what);
void rig_run(void (*run)(void *), void *argument); /* in a thread of its own */

#define RIG_FRAME_BYTES 1600
