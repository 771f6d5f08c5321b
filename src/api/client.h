#pragma once
/* The client: one server, few connections, any number of threads. */

#include "api/reply.h"
#include "api/server.h"

/* A client. Any thread may use it; each function below says more where that is not all. Calls that
   arrive together are pipelined on one connection by themselves. */
typedef struct sc_client sc_client;

/* How to reach a server. Zero-initialise, then set what differs from the defaults. Everything is
   copied by sc_open, tables included. */
typedef struct sc_config {
    /* redis://[user[:password]@]host[:port][/db][?timeout=2s], unix:///path[?db=1]; rediss:// as
       redis://, but only with a `transport`, one of TLS; host, path, user and password may be
       percent-encoded. embedded:[?maxmemory=64mb&policy=allkeys-lfu&databases=4] is a server of the
       client's own, in this process; embedded:/folder/name[?sync=always] is one that the processes
       of this user on this host share. Default "redis://localhost:6379". */
    const char *url;
    sc_server *server; /* one of this process, open until sc_close; of the url the host is not used,
                          and the default is "embedded:"; default: none */
    const char *user;     /* default: the URL's */
    const char *password; /* default: the URL's; kept in memory until sc_close */
    const char
        *client_name; /* CLIENT SETNAME on each connection; default: the URL's `name`, else none */
    int64_t timeout_ms; /* of each call, all of it: 5,000; -1: none */
    int64_t
        connect_timeout_ms; /* of one attempt: look-up, every address, AUTH, SELECT: timeout_ms */
    int64_t
        backoff_min_ms; /* after a failed attempt the next waits a random time below a bound that */
    int64_t backoff_max_ms;  /* doubles from 50 to 2,000 (exponential back-off with full jitter) */
    int64_t idle_check_ms;   /* PING a connection that was silent for so long: 30,000; -1: never */
    size_t max_output_bytes; /* commands not sent yet, on one connection: 64 MiB */
    size_t receive_buffer_bytes; /* what one receive asks for: 16 KiB; sc_upload and sc_download
                                    take pieces of four times it */
    sc_limits limits;            /* on replies */
    bool lazy;                   /* sc_open does not connect; the first call does */
    bool
        wait_while_down; /* calls wait out a server that is down until their deadline; default: they
                            fail as soon as an attempt failed, and until the next one is due */
    bool polled;         /* the program calls sc_poll: the client never starts a thread */
    const sc_memory *memory; /* default of each table: the platform's */
    const sc_clock *clock;
    const sc_random *random;
    const sc_transport *transport;
    const sc_poller *poller;
    const sc_resolver *resolver;
    const sc_logger *logger; /* default: none */
} sc_config;

/* Open a client and, unless `lazy`, connect. `config` NULL: all defaults. The caller owns `*client`
   until sc_close. SC_ERR_URL, SC_ERR_RESOLVE, SC_ERR_CONNECT, SC_ERR_AUTH, SC_ERR_ARGUMENT (an
   option out of range), SC_ERR_MEMORY; on an error there is no client. Blocks up to
   connect_timeout_ms. */
SC_API sc_status sc_open(const sc_config *config, sc_client **client);

/* Close the client: calls under way end with SC_ERR_CLOSED, callbacks that are due run first, then
   sockets and the thread end. Caches, locks and subscriptions on it stay valid handles that answer
   SC_ERR_CLOSED, and are closed as usual. NULL is fine. Blocks until calls of other threads have
   left, and, when locks or leaderships were held, until the server knows that they are given back, or
   40 ms; not from a callback of this client when it has a thread of its own (SC_ERR_DEADLOCK). */
SC_API sc_status sc_close(sc_client *client);

/* Give the client a thread of its own, which runs callbacks, renews leases and keeps subscriptions.
   What needs it starts it, unless `polled`. Starting twice is fine. SC_ERR_UNSUPPORTED in a build
   without threads, SC_ERR_MEMORY. */
SC_API sc_status sc_start(sc_client *client);

/* For programs without the client's thread: do what is due, waiting up to `timeout_ms` (0: not at
   all; -1: until something happened), and run callbacks. SC_OK, also when nothing happened;
   SC_ERR_CLOSED. With a thread running it only waits. Blocks up to timeout_ms. */
SC_API sc_status sc_poll(sc_client *client, int64_t timeout_ms);

/* For a port's own functions: what `table->create` gave for this client, which keeps it until it is
   closed; NULL when the client was opened with another poller. After a fork the child's is a new
   one. Any thread; never blocks. */
SC_API void *sc_client_poller(const sc_client *client, const sc_poller *table);

/* How one call differs from the client's way. NULL or zeros: the defaults. */
typedef struct sc_call_options {
    int64_t timeout_ms; /* the deadline over queueing, connecting and the reply: the client's; -1:
                           none */
    bool idempotent; /* sent again on a new connection when the first was lost before the reply */
    bool dedicated;  /* on a connection of its own: for commands that block (BLPOP, XREAD BLOCK) or
                        carry very much, so that others do not wait behind them */
} sc_call_options;

/* Called when an asynchronous call ends, exactly once, without locks, on the client's thread or,
   without one, on a thread inside sc_poll or a blocking call. `reply` is NULL unless `status` is
   SC_OK; it is the client's and ends with the callback, unless sc_reply_retain keeps it. The words
   of an error are in sc_error_text. The callback may call anything but sc_close. */
typedef void (*sc_on_reply)(void *user, sc_status status, sc_reply *reply);

/* Send one command and wait for its reply. `argv` are the command's words, any bytes.
     SC_OK, `*reply` is the caller's until sc_reply_release
     SC_ERR_REPLY            the server answered with an error; sc_error_text has its words
     SC_ERR_TIMEOUT, SC_ERR_DISCONNECTED   may or may not have been executed
     SC_ERR_CONNECT, SC_ERR_RESOLVE, SC_ERR_AUTH, SC_ERR_NOT_SENT, SC_ERR_FULL   not executed
     SC_ERR_PROTOCOL, SC_ERR_LIMIT, SC_ERR_MEMORY, SC_ERR_CLOSED, SC_ERR_ARGUMENT
   `*reply` is NULL on errors; `reply` NULL: the answer is checked and dropped. SUBSCRIBE, MONITOR
   and the like are refused with SC_ERR_ARGUMENT, since they change what a connection speaks; so are
   WATCH, MULTI, SELECT, AUTH and others that would change a connection that threads share.
   Any thread. Blocks up to the deadline. */
SC_API sc_status sc_command(sc_client *client, const sc_slice *argv, size_t argc,
                            const sc_call_options *options, sc_reply **reply);

/* The same for C strings, the last followed by (const char *)NULL:
   sc_command_strings(client, &reply, "HGET", "user:1", "name", (const char *)NULL). */
SC_API sc_status sc_command_strings(sc_client *client, sc_reply **reply, ...) SC_SENTINEL;

/* Start one command; `on_reply` is called when it ends (NULL: nobody wants to know). `argv` is
   copied. An error return means that it will not be called. Any thread. Does not block. */
SC_API sc_status sc_command_async(sc_client *client, const sc_slice *argv, size_t argc,
                                  const sc_call_options *options, sc_on_reply on_reply, void *user);

/* A pipeline: commands that are sent in one go and answered together, or executed as a transaction.
   It is also the safe builder of commands. One thread at a time. */
typedef struct sc_pipeline sc_pipeline;

/* SC_ERR_MEMORY. The caller closes it. */
SC_API sc_status sc_pipeline_open(sc_client *client, sc_pipeline **pipeline);
/* Add one whole command. An error (SC_ERR_MEMORY, SC_ERR_ARGUMENT, SC_ERR_LIMIT) is also kept and
   returned by the run, so that it need not be checked each time. The bytes are copied. */
SC_API sc_status sc_pipeline_add(sc_pipeline *pipeline, const sc_slice *argv, size_t argc);
SC_API sc_status sc_pipeline_add_strings(sc_pipeline *pipeline, ...) SC_SENTINEL;
/* Or word by word: begin, words, and the next begin or the run ends it. */
SC_API sc_status sc_pipeline_begin(sc_pipeline *pipeline, const char *command);
SC_API sc_status sc_pipeline_bytes(sc_pipeline *pipeline, sc_slice word);
SC_API sc_status sc_pipeline_text(sc_pipeline *pipeline, const char *word);
SC_API sc_status sc_pipeline_integer(sc_pipeline *pipeline, int64_t word);
/* The shortest decimal text that reads back the same; infinities as inf and -inf. */
SC_API sc_status sc_pipeline_double(sc_pipeline *pipeline, double word);
/* Number of commands added since the last run. */
SC_API size_t sc_pipeline_count(const sc_pipeline *pipeline);
/* Send all and wait for all replies: sc_reply_at(replies, i) answers command i; an error of one
   command is an item of kind SC_ERROR and not an error of the run. The pipeline is empty
   afterwards, whatever the result. Nothing added: SC_OK and a reply with no items. Errors as
   sc_command. */
SC_API sc_status sc_pipeline_run(sc_pipeline *pipeline, const sc_call_options *options,
                                 sc_reply **replies);
SC_API sc_status sc_pipeline_run_async(sc_pipeline *pipeline, const sc_call_options *options,
                                       sc_on_reply on_reply, void *user);
/* Execute all as one transaction (MULTI, EXEC): the reply is EXEC's array as the one item; an error
   inside of it is an item of kind SC_ERROR. A command that the server refuses to queue:
   SC_ERR_REPLY, nothing was executed. SC_CONFLICT: a watched key changed, nothing was executed;
   watch, read and add again. */
SC_API sc_status sc_pipeline_exec(sc_pipeline *pipeline, const sc_call_options *options,
                                  sc_reply **replies);
SC_API sc_status sc_pipeline_exec_async(sc_pipeline *pipeline, const sc_call_options *options,
                                        sc_on_reply on_reply, void *user);
/* WATCH keys. The pipeline takes a connection of its own until it was executed, run or cleared,
   since a watch belongs to a connection. Any number of calls. Blocks as sc_command. */
SC_API sc_status sc_pipeline_watch(sc_pipeline *pipeline, const sc_slice *keys, size_t count,
                                   const sc_call_options *options);
SC_API sc_status sc_pipeline_watch_async(sc_pipeline *pipeline, const sc_slice *keys, size_t count,
                                         const sc_call_options *options, sc_on_reply on_reply,
                                         void *user);
/* Forget what was added and watched. */
SC_API void sc_pipeline_clear(sc_pipeline *pipeline);
/* NULL is fine. Calls under way go on without it. */
SC_API void sc_pipeline_close(sc_pipeline *pipeline);

/* A Lua script, known to servers by its SHA-1. Make it once, use it from any thread. */
typedef struct sc_script sc_script;

/* `source` is copied. `memory` NULL: the platform's. SC_ERR_MEMORY. */
SC_API sc_status sc_script_create(const sc_memory *memory, const char *source, sc_script **script);
SC_API void sc_script_free(sc_script *script); /* NULL is fine; after the last call with it ended */
/* The SHA-1 as 40 hexadecimal digits. */
SC_API const char *sc_script_sha1(const sc_script *script);
/* Run a script by EVALSHA; a server that does not know it (NOSCRIPT) gets it by EVAL. Else as
   sc_command. */
SC_API sc_status sc_eval(sc_client *client, const sc_script *script, const sc_slice *keys,
                         size_t key_count, const sc_slice *args, size_t arg_count,
                         const sc_call_options *options, sc_reply **reply);
SC_API sc_status sc_eval_async(sc_client *client, const sc_script *script, const sc_slice *keys,
                               size_t key_count, const sc_slice *args, size_t arg_count,
                               const sc_call_options *options, sc_on_reply on_reply, void *user);

/* What a scan walks over. Zeros: the defaults. */
typedef struct sc_scan_config {
    const char *command; /* "SCAN" (default), "HSCAN", "SSCAN", "ZSCAN" */
    sc_slice key;        /* of the hash, set or sorted set; empty for SCAN */
    sc_slice match;      /* glob pattern; empty: all */
    sc_slice type;       /* SCAN only: "string", "hash", ...; empty: all */
    int64_t count;       /* COUNT hint, the elements of one round trip: 100 */
} sc_scan_config;

/* An iterator by cursor. Elements that are there during the whole scan come at least once; one may
   come twice (https://redis.io/docs/latest/commands/scan/). One thread at a time. */
typedef struct sc_scan sc_scan;

/* SC_ERR_ARGUMENT, SC_ERR_MEMORY. Sends nothing yet. `config` is copied. */
SC_API sc_status sc_scan_open(sc_client *client, const sc_scan_config *config, sc_scan **scan);
/* The next element: a key or member, and for HSCAN and ZSCAN its value or score (else empty;
   `value` may be NULL). Both are valid until the next call. SC_END when there are no more. After an
   error the next call tries the same page again. Blocks as sc_command, once a page. */
SC_API sc_status sc_scan_next(sc_scan *scan, sc_slice *element, sc_slice *value);
SC_API void sc_scan_close(sc_scan *scan); /* NULL is fine */

/* Gives the next bytes of an upload: fill up to `cap` bytes, set `*filled` > 0. Anything but SC_OK
   gives up, and the connection with it. */
typedef sc_status (*sc_source)(void *user, void *buffer, size_t cap, size_t *filled);
/* Takes the next bytes of a download, in order. `total` is the whole length. A value of 0 bytes
   gives one empty piece. Anything but SC_OK gives up. */
typedef sc_status (*sc_sink)(void *user, size_t total, sc_slice piece);

/* Send a command whose last word, of `total` bytes, comes from `source` in pieces, so that it never
   stands in memory whole: sc_upload(client, argv, 2, total, ...) with argv SET key. On a connection
   of its own; `source` runs on this thread without locks. Else as sc_command. */
SC_API sc_status sc_upload(sc_client *client, const sc_slice *argv, size_t argc, size_t total,
                           sc_source source, void *user, const sc_call_options *options,
                           sc_reply **reply);
/* Send a command whose reply is one string, given to `sink` in pieces as they come: GET, GETRANGE,
   DUMP. SC_MISS for nil. On a connection of its own; `sink` runs on this thread without locks. */
SC_API sc_status sc_download(sc_client *client, const sc_slice *argv, size_t argc, sc_sink sink,
                             void *user, const sc_call_options *options);

/* Counts since sc_open. */
typedef struct sc_stats {
    uint64_t commands; /* replies asked for */
    uint64_t sends;    /* times that bytes were handed to a socket */
    uint64_t bytes_sent;
    uint64_t bytes_received;
    uint64_t connects; /* connections that became ready */
    uint64_t connect_failures;
    uint64_t timeouts;     /* calls that ended by their deadline */
    uint64_t late_replies; /* replies that came after their call had ended, dropped */
    size_t unanswered;     /* now */
    size_t connections;    /* now */
} sc_stats;

/* Any thread. */
SC_API void sc_stats_get(sc_client *client, sc_stats *stats);
