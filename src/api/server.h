#pragma once
/* The embedded server: Redis's protocol and commands inside of the program, for those who run no
   Redis, for tests, and for the processes of one host. */

#include "api/platform.h"

/* A server in this process. It may be used from any thread. */
typedef struct sc_server sc_server;

#ifndef SMARTCACHE_NO_SERVER

/* When a write is on the disk. */
typedef enum sc_sync {
    SC_SYNC_EVERY_SECOND, /* the default: a crash of the host may lose the last second or two; one
                             of the process loses nothing */
    SC_SYNC_ALWAYS,       /* before it is answered */
    SC_SYNC_NEVER         /* when the system does it; a crash of the process loses nothing */
} sc_sync;

/* What goes when memory is full (Redis's maxmemory-policy). LRU, LFU and FIFO are approximated by
   samples. */
typedef enum sc_eviction {
    SC_EVICTION_NONE, /* noeviction, the default: writes are refused */
    SC_EVICTION_ALLKEYS_LRU,
    SC_EVICTION_ALLKEYS_LFU,
    SC_EVICTION_ALLKEYS_FIFO,
    SC_EVICTION_ALLKEYS_RANDOM,
    SC_EVICTION_VOLATILE_LRU, /* volatile: of the keys that have a TTL */
    SC_EVICTION_VOLATILE_LFU,
    SC_EVICTION_VOLATILE_FIFO,
    SC_EVICTION_VOLATILE_RANDOM,
    SC_EVICTION_VOLATILE_TTL
} sc_eviction;

/* How to serve. Zero-initialise, then set what differs from the defaults. Everything is copied by
   sc_server_open, tables included. */
typedef struct sc_server_config {
    /* Where to listen, besides in this process: up to four of unix:///path and redis://host:port,
       with blanks between; port 0: any free one (sc_server_url tells). Default: nowhere. Hosts
       other than the loopback's need a password. */
    const char *listen_on;
    const char *password;    /* what AUTH must give; default: none; kept until sc_server_close */
    const char *log_path;    /* the file of the log; created if it is not there; default: none, all
                                is gone with the server */
    sc_sync sync;            /* when a write is on the disk: SC_SYNC_EVERY_SECOND */
    bool repair;             /* a log that is damaged in the middle is cut there, and the damaged
                                part kept beside it as PATH.damaged; default: it is refused */
    size_t rewrite_min_bytes; /* the log is rewritten when it has doubled since, and has at least:
                                 64 MiB */
    size_t max_memory_bytes; /* of data; 0: no bound */
    sc_eviction eviction;
    int databases;           /* 16 */
    size_t max_clients;      /* 10,000 */
    size_t max_bulk_bytes;   /* longest key or value: 512 MiB */
    size_t max_request_bytes; /* a command that is not whole yet: 1 GiB */
    size_t max_output_bytes; /* answers and messages that a client does not take: 64 MiB, then it
                                is cut off */
    const char *notify;      /* as notify-keyspace-events: "KEA", default "" */
    bool polled;             /* the program calls sc_server_poll: no thread is started */
    const sc_memory *memory; /* default of each table: the platform's */
    const sc_clock *clock;
    const sc_random *random;
    const sc_listener *listener;
    const sc_poller *poller;
    const sc_files *files;
    const sc_logger *logger; /* default: none */
} sc_server_config;

/* Open a server: load the log, listen, and start its thread, unless `polled` or there is nothing
   to listen on. `config` NULL: in memory, for clients of this process that name it in
   sc_config.server. SC_ERR_ARGUMENT, SC_ERR_URL, SC_ERR_IO (the log, the socket; sc_error_text
   says which), SC_ERR_PROTOCOL (a damaged log), SC_HELD (another process has that log),
   SC_ERR_MEMORY; on an error there is no server. Blocks while the log is loaded. */
SC_API sc_status sc_server_open(const sc_server_config *config, sc_server **server);

/* Clients are cut off, the log is written out and synced, sockets are removed. Clients of this
   process (sc_config.server) must be closed before. NULL is fine. Any thread but one that is in
   sc_server_poll. */
SC_API void sc_server_close(sc_server *server);

/* For `polled`: do what is due, waiting up to `timeout_ms` (0: not at all, -1: until something
   happened). SC_OK. SC_END when it has been stopped. SC_ERR_ARGUMENT when the server has a thread.
   One thread at a time. */
SC_API sc_status sc_server_poll(sc_server *server, int64_t timeout_ms);

/* Make the server end what it does for others, as the command SHUTDOWN does: clients are cut off, the
   log is written out and closed, sockets are removed; sc_server_close frees the rest. Any thread,
   also from a signal handler. */
SC_API void sc_server_stop(sc_server *server);

/* The URL of the `index`-th place it listens on, with the port that it got; NULL: there are not so
   many. Valid until sc_server_close. Any thread. */
SC_API const char *sc_server_url(const sc_server *server, size_t index);

/* Numbers of a server, now and since sc_server_open. */
typedef struct sc_server_info {
    size_t keys;
    size_t memory_bytes; /* of data */
    size_t clients;
    uint64_t connections;
    uint64_t commands;
    uint64_t hits;
    uint64_t misses;
    uint64_t expired;
    uint64_t evicted;
    uint64_t log_bytes;
    int64_t log_error_ms; /* since when the log cannot be written, on the wall clock; 0: it can */
} sc_server_info;

/* Any thread. */
SC_API void sc_server_info_get(sc_server *server, sc_server_info *info);

#endif /* SMARTCACHE_NO_SERVER */
