#pragma once
/* What functions return, and the words for it. */

#include "api/base.h"

/* One list gives code, name and message. 0 is success, positive codes inform, negative are errors.
 */
#define SC_STATUS_LIST(X)                                                                          \
    X(SC_OK, 0, "success")                                                                         \
    X(SC_MISS, 1, "there is no value under this key")                                              \
    X(SC_STALE, 2, "the value is past its freshness")                                              \
    X(SC_HELD, 3, "somebody else holds it")                                                        \
    X(SC_LOST, 4, "it was held once and is not any more")                                          \
    X(SC_CONFLICT, 5, "a watched key changed, nothing was executed")                               \
    X(SC_END, 6, "there is no more")                                                               \
    X(SC_AGAIN, 7, "not now: wait until the descriptor is ready")                                  \
    X(SC_PENDING, 8, "the answer comes later")                                                     \
    X(SC_GAP, 9, "messages may have been lost, read again")                                        \
    X(SC_ERR_MEMORY, -1, "out of memory")                                                          \
    X(SC_ERR_ARGUMENT, -2, "a wrong argument or option")                                           \
    X(SC_ERR_URL, -3, "a wrong URL")                                                               \
    X(SC_ERR_RESOLVE, -4, "the host name could not be resolved, nothing was executed")             \
    X(SC_ERR_CONNECT, -5, "no connection could be made, nothing was executed")                     \
    X(SC_ERR_AUTH, -6, "the server refused the credentials, nothing was executed")                 \
    X(SC_ERR_NOT_SENT, -7,                                                                         \
      "the deadline passed before the command was sent, nothing was executed")                     \
    X(SC_ERR_TIMEOUT, -8, "the deadline passed; what was sent may still be executed")              \
    X(SC_ERR_DISCONNECTED, -9, "the connection was lost; what was sent may have been executed")    \
    X(SC_ERR_IO, -10, "the operating system reported an error")                                    \
    X(SC_ERR_PROTOCOL, -11, "the server sent what is not RESP2")                                   \
    X(SC_ERR_LIMIT, -12, "a configured limit would be passed")                                     \
    X(SC_ERR_REPLY, -13, "the server answered with an error")                                      \
    X(SC_ERR_TYPE, -14, "the reply has another type than asked for")                               \
    X(SC_ERR_FULL, -15, "the output queue is full, nothing was executed")                          \
    X(SC_ERR_CLOSED, -16, "the handle was closed")                                                 \
    X(SC_ERR_CANCELLED, -17, "the call was cancelled")                                             \
    X(SC_ERR_LOADER, -18, "the loader failed")                                                     \
    X(SC_ERR_DEADLOCK, -19, "the call would wait for itself")                                      \
    X(SC_ERR_UNSUPPORTED, -20, "this build or this server cannot do it")

typedef enum sc_status {
#define SC_STATUS_ENUM(name, code, message) name = (code),
    SC_STATUS_LIST(SC_STATUS_ENUM)
#undef SC_STATUS_ENUM
} sc_status;

/* The name of a status, such as "SC_ERR_TIMEOUT"; "?" for a number that is none. Any thread. */
SC_API const char *sc_status_name(sc_status status);

/* One sentence about a status. Static text, never NULL. Any thread. */
SC_API const char *sc_status_message(sc_status status);

/* The detail of this thread's last failure: what was tried, on which address or key, what came
   back, and which option to change. Never NULL; "" when nothing has failed. Valid until this
   thread's next call into the library. Cut at SC_ERROR_TEXT_BYTES. */
SC_API const char *sc_error_text(void);

/* Longest detail text, its NUL included. */
#define SC_ERROR_TEXT_BYTES 512

/* Set this thread's detail text and return `status`: for ports and loaders, so that they fail with
   words: `return sc_fail(SC_ERR_LOADER, "table %s is locked", name)`. The format takes %s %.*s %c
   %d %u %x %ld %lu %lld %llu %zu %%. Any thread; never allocates. */
SC_API sc_status sc_fail(sc_status status, const char *format, ...) SC_PRINTF(2, 3);

/* True when a call that ended with `status` was certainly not executed by the server, so that it
   may be repeated without thought. */
SC_API bool sc_not_executed(sc_status status);
