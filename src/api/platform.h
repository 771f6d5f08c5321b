#pragma once
/* The outside world: each table stands for one thing that the library asks of the system. A NULL
   table in sc_config means the platform's own (POSIX). */

#include "api/status.h"

/* Memory. */
typedef struct sc_memory {
    void *user;
    /* Like realloc, told the old size: `block` NULL allocates, `new_size` 0 frees and returns NULL.
       Returns NULL when there is no memory, and then leaves `block` as it was. Called from any
       thread that calls the library. */
    void *(*resize)(void *user, void *block, size_t old_size, size_t new_size);
} sc_memory;

/* Time. */
typedef struct sc_clock {
    void *user;
    /* Nanoseconds since any fixed moment. Never steps back; counts through a suspend where the
       system can (CLOCK_BOOTTIME). */
    int64_t (*monotonic_ns)(void *user);
    /* Milliseconds since 1970-01-01 UTC. */
    int64_t (*wall_ms)(void *user);
} sc_clock;

/* Unpredictable bytes, for tokens and hash seeds. Returns SC_OK when all `len` bytes are filled. */
typedef struct sc_random {
    void *user;
    sc_status (*fill)(void *user, void *buffer, size_t len);
} sc_random;

typedef enum sc_log_level {
    SC_LOG_ERROR = 1,
    SC_LOG_WARNING,
    SC_LOG_INFO,
    SC_LOG_DEBUG
} sc_log_level;

/* Where notes about the library's own life go (connected, lost, retrying). NULL: nowhere. The
   function is called with internal locks held: it must not call the library. */
typedef struct sc_logger {
    void *user;
    sc_log_level level; /* the least severe level wanted; 0 means SC_LOG_WARNING */
    void (*write_line)(void *user, sc_log_level level, const char *text);
} sc_logger;

typedef enum sc_family { SC_FAMILY_IPV4 = 1, SC_FAMILY_IPV6, SC_FAMILY_UNIX } sc_family;

/* Longest Unix-socket path, its NUL included. */
#define SC_PATH_BYTES 108

/* Where a server listens. */
typedef struct sc_address {
    sc_family family;
    uint16_t port;            /* host byte order; 0 for Unix */
    uint32_t scope_id;        /* IPv6 link-local interface, else 0 */
    uint8_t ip[16];           /* network byte order; the first 4 for IPv4 */
    char path[SC_PATH_BYTES]; /* Unix only */
} sc_address;

/* A socket number, or what a port uses in its place. */
typedef intptr_t sc_descriptor;

/* Interest in, and readiness of, a descriptor. */
#define SC_READABLE 1u
#define SC_WRITABLE 2u
#define SC_HANGUP 4u /* readiness only: closed or failed; reading and writing will say which */

/* A connected byte stream. No function may block, `receive_soon` excepted. A stream is used by one
   thread at a time, but sending and receiving may happen on two threads at once. `memory` outlives
   the stream. */
typedef struct sc_transport {
    void *user;
    /* Begin to connect. `host` is the name that the user gave (for TLS); it outlives the stream. */
    sc_status (*dial)(void *user, const sc_memory *memory, const sc_address *address,
                      const char *host, void **stream);
    /* Go on connecting. SC_OK: connected. SC_AGAIN: call again when `*interest` is ready. */
    sc_status (*progress)(void *stream, unsigned *interest);
    /* SC_OK with `*sent` > 0; SC_AGAIN when nothing can be taken now; else an error. */
    sc_status (*transmit)(void *stream, const void *data, size_t len, size_t *sent);
    /* SC_OK with `*received` > 0; SC_AGAIN when there is nothing now; SC_END when the peer closed;
       else an error. */
    sc_status (*receive)(void *stream, void *buffer, size_t cap, size_t *received);
    /* Optional: as receive, but may wait a few milliseconds (at most 10) for bytes to come. It
       spares a lone caller the poll before each receive. NULL: the poller is used. */
    sc_status (*receive_soon)(void *stream, void *buffer, size_t cap, size_t *received);
    /* Optional: true when bytes wait inside the stream that the poller cannot see (TLS). */
    bool (*pending)(void *stream);
    /* For the poller; -1: there is none, and `pending` and `attend` are there. */
    sc_descriptor (*descriptor)(void *stream);
    /* Close and free. `orderly` false after a fork: let go without telling the peer. */
    void (*hangup)(void *stream, bool orderly);
    /* For streams without a descriptor: call `ready(user)` when bytes or the end have come since a
       receive said SC_AGAIN or `pending` false, or room since a transmit said SC_AGAIN; from any
       thread, also from within another function of the stream, until hangup has returned. `ready`
       only wakes the client. */
    void (*attend)(void *stream, void (*ready)(void *user), void *user);
} sc_transport;

/* Where an embedded server is dialled. No function may block; a listener is used by one thread at a
   time. `memory` outlives the listener and its streams. */
typedef struct sc_listener {
    void *user;
    /* Listen on `address`, its port 0: any free one. A Unix socket is made for this user alone
       (mode 0600) and takes the place of one that nobody listens on any more; one that answers is
       SC_HELD. `*address` is then what it is. */
    sc_status (*open)(void *user, const sc_memory *memory, sc_address *address, void **listener);
    /* The next connection: SC_OK with `*stream`, for the functions of `streams`, and who it is in
       `peer` (UNIX: path empty); SC_AGAIN when there is none; else an error that passes, such as
       too many descriptors: try later. */
    sc_status (*accept_stream)(void *listener, void **stream, sc_address *peer);
    sc_descriptor (*descriptor)(void *listener);
    /* Stop and free; the Unix socket is removed when it is still this one. `orderly` false after a
       fork: remove nothing. */
    void (*shut)(void *listener, bool orderly);
    /* transmit, receive, pending, descriptor, hangup, attend; the others are not called. */
    sc_transport streams;
} sc_listener;

typedef enum sc_file_mode {
    SC_FILE_READ = 1, /* must be there */
    SC_FILE_APPEND,   /* created when it is not there, for this user alone (0600) */
    SC_FILE_CREATE    /* the same, and emptied */
} sc_file_mode;

/* Files of an embedded server's log. Functions may block. `memory` outlives the file. Failures say
   why in sc_error_text. A file is used by one thread at a time, but `sync` may run on a thread of
   its own meanwhile. */
typedef struct sc_files {
    void *user;
    /* SC_MISS: SC_FILE_READ, and there is none. SC_ERR_IO. */
    sc_status (*open)(void *user, const sc_memory *memory, const char *path, sc_file_mode mode,
                      void **file);
    sc_status (*size)(void *file, uint64_t *bytes);
    /* Up to `cap` bytes from `offset` on; `*count` 0 at the end. */
    sc_status (*fetch)(void *file, uint64_t offset, void *buffer, size_t cap, size_t *count);
    /* At the end. What was written of `len` bytes before an error is in `*count`. */
    sc_status (*append)(void *file, const void *data, size_t len, size_t *count);
    /* Optional: make sure that `bytes` more can be appended without running out of room; the size
       stays. SC_OK, SC_ERR_UNSUPPORTED (nothing is known), else the error that appending would
       meet. */
    sc_status (*reserve)(void *file, uint64_t bytes);
    sc_status (*cut)(void *file, uint64_t bytes); /* to that size; gives back what was reserved */
    sc_status (*sync)(void *file);                /* on the disk, its size included */
    /* Nobody else can hold the lock on this file until it is closed or the process ends. SC_HELD:
       somebody does. */
    sc_status (*hold)(void *file);
    void (*shut)(void *file);
    /* `from` takes the place of `to` at once. An error: nothing has changed. */
    sc_status (*rename)(void *user, const char *from, const char *to);
    sc_status (*remove)(void *user, const char *path); /* SC_MISS: it was not there */
    /* What was created, renamed and removed in the folder of `path` is on the disk. */
    sc_status (*sync_folder)(void *user, const char *path);
} sc_files;

typedef struct sc_event {
    void *tag;
    unsigned ready; /* SC_READABLE | SC_WRITABLE | SC_HANGUP */
} sc_event;

/* Waits on descriptors. The library never calls `watch` while `wait` runs. `memory` outlives what
   `create` made. */
typedef struct sc_poller {
    void *user;
    sc_status (*create)(void *user, const sc_memory *memory, void **poller);
    void (*destroy)(void *poller);
    /* Set what `descriptor` is watched for; `interest` 0 forgets it. `tag` comes back in events. */
    sc_status (*watch)(void *poller, sc_descriptor descriptor, unsigned interest, void *tag);
    /* Wait up to `timeout_ms` (0: look only; -1: for ever), fill up to `cap` events. SC_OK also
       when none came, when a signal interrupted, or when woken. */
    sc_status (*wait)(void *poller, int64_t timeout_ms, sc_event *events, size_t cap,
                      size_t *count);
    /* Make a `wait` that runs, or else the next one, return at once. Any thread. */
    void (*wake)(void *poller);
    /* Optional, for a poller that stands in another event loop: while nobody waits, the client
       wants sc_poll to be called after `delay_ns` (0: at once; -1: only when a watched descriptor
       is ready). Holds until it is called again or the next `wait`. Any thread, with internal locks
       held: it must not call the library. */
    void (*schedule)(void *poller, int64_t delay_ns);
} sc_poller;

/* A name look-up under way; the resolver finishes it exactly once with sc_lookup_done. */
typedef struct sc_lookup sc_lookup;

typedef struct sc_resolver {
    void *user;
    /* Begin to look up `host` (never blocks) and call sc_lookup_done now or later, on any thread.
       `host` is valid until then. An error return means that sc_lookup_done will not be called. */
    sc_status (*resolve)(void *user, sc_lookup *lookup, const char *host, uint16_t port);
} sc_resolver;

/* Finish a look-up: `status` SC_OK with 1 or more addresses in the order to try, or an error; its
   words are taken from sc_error_text. Any thread; frees `lookup`. */
SC_API void sc_lookup_done(sc_lookup *lookup, sc_status status, const sc_address *addresses,
                           size_t count);

/* The platform's own tables, for a port that is built upon one of them. False, and the table is all
   NULL, in a build that has none (SMARTCACHE_NO_POSIX). Any thread. */
SC_API bool sc_platform_transport(sc_transport *table);
SC_API bool sc_platform_poller(sc_poller *table);
SC_API bool sc_platform_resolver(sc_resolver *table);
SC_API bool sc_platform_listener(sc_listener *table);
SC_API bool sc_platform_files(sc_files *table);
