#pragma once
/* The platform's own transport (TCP and Unix sockets), poller (poll(2)) and resolver (getaddrinfo
   in a thread; in a forked helper without threads). None under SMARTCACHE_NO_POSIX. */

#include "base/prelude.h"

#ifndef SMARTCACHE_NO_POSIX
/* Words for an errno, such as "connection refused"; "errno 123" for one that is not in the list.
   Unlike strerror it may be called on any thread, and says the same in every locale. */
#define SCI_POSIX_ERROR_BYTES 24
SCI_PRIVATE const char *sci_posix_error_text(int error, char unlisted[SCI_POSIX_ERROR_BYTES]);

/* What a new descriptor must be: closed by exec and, when asked, non-blocking. False with errno. */
SCI_PRIVATE bool sci_posix_descriptor_prepare(int fd, bool is_nonblocking);
#endif
