#pragma once
/* What the transport and the listener over POSIX sockets share. */

#include "net/posix.h"

#ifndef SMARTCACHE_NO_POSIX

#include <sys/socket.h>
#include <sys/types.h>

/* Fail with "address: words". */
SCI_PRIVATE sc_status sci_posix_fail(sc_status status, const sc_address *address, int error);
/* The address as the system wants it; returns its length, 0 when it does not fit. */
SCI_PRIVATE socklen_t sci_posix_sockaddr(const sc_address *address, struct sockaddr_storage *out);
/* A non-blocking socket that exec closes; -1 with errno. */
SCI_PRIVATE int sci_posix_socket(int domain);
/* Nothing is there now, as errno tells it. */
SCI_PRIVATE bool sci_posix_is_again(int error);

#ifndef SMARTCACHE_NO_SERVER
/* A stream over a connected, non-blocking socket, whose owner it becomes; NULL when there is no
   memory: the socket is closed. */
SCI_PRIVATE void *sci_posix_stream_adopt(const sc_memory *memory, int fd,
                                         const sc_address *address);
#endif
#endif
