#pragma once
/* Where a server of the tests listens: loopback TCP or a Unix socket. Every descriptor closes on
 * exec. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum wire { WIRE_TCP = 1, WIRE_UNIX } wire;

typedef struct endpoint {
    wire kind;
    uint16_t port;  /* TCP */
    char path[108]; /* Unix */
    char url[160];  /* redis://127.0.0.1:PORT or unix://PATH */
} endpoint;

/* "TCP" or "Unix socket". */
const char *wire_name(wire kind);

/* Choose a loopback port that nobody listens on now, and that no other test will choose while this
   process lives. It lies below the range from which the system takes the ports of clients: else a
   client that dials a stopped server can connect to itself. */
uint16_t endpoint_free_port(void);
/* A path in the test's folder that was not given before. */
void endpoint_fresh_path(char path[108]);
void endpoint_set_tcp(endpoint *where, uint16_t port);
void endpoint_set_unix(endpoint *where, const char *path);

/* Listen on a free port, or on a fresh path in the test's folder; fills in `where`. The descriptor
   is non-blocking. Ends the process when that fails. */
int endpoint_listen(endpoint *where, wire kind, int backlog);
/* The next connection, non-blocking and without delay; -1 when there is none. */
int endpoint_take(int listener);
/* A blocking connection; -1 with errno. */
int endpoint_dial(const endpoint *where);
/* A connection that need not be complete yet; -1 with errno. */
int endpoint_dial_begin(const endpoint *where);
/* Close so that the peer sees a reset (TCP), whatever is still queued. */
void endpoint_reset(int descriptor);
/* Open descriptors of this process, but for the one that keeps its ports. */
size_t endpoint_open_descriptors(void);
