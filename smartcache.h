/* smartcache.h - v0.1.0 - public domain or MIT-0 - never compute the same thing twice at once

   Do this in ONE C or C++ file, before it includes any system header:
       #define SMARTCACHE_IMPLEMENTATION
       #include "smartcache.h"
   In every other file:
       #include "smartcache.h"
   Build: cc -O2 program.c -pthread

   SPDX-License-Identifier: Unlicense OR MIT-0 (the texts are at the end of this file)

   Chapters:
       What it is
       A program
       Options
       URLs
       Build switches
       Errors
       Commands and replies
       Get or load
       Wrapped functions
       Single flight and keyed locks
       Publish and subscribe
       Pipelines
       Transactions
       Scripts
       Scans
       Large values
       Threads and the scheduler
       Fork and signals
       Memory and limits
       Platforms
       Writing a port
       What a program can rely on
       The rooms of this file
   then the public API (search for "(Public)"), the implementation ("(Private)") and the licence.

   MARK: - What it is

   A program asks for a value by key and brings the function that computes it. Of all the threads
   and processes that miss the key at the same moment, on one host or on many, one runs the
   function; the others wait and get its result. The results live in Redis or Valkey as raw bytes
   under the keys that the program names, so that any other client can share them.

   The file carries its own Redis client: RESP2, one connection that any number of threads share
   and that pipelines by itself, reconnecting with back-off, publish/subscribe, scripts,
   transactions. It needs libc and, unless told otherwise, POSIX threads; nothing else.

   MARK: - A program

   ```c
   // cc -O2 report.c -o report -pthread
   #define SMARTCACHE_IMPLEMENTATION
   #include "smartcache.h"

   #include <stdio.h>

   // Runs once in the fleet, however many ask for the key.
   static sc_status make_report(sc_load *load, void *user)
   {
       (void)user;
       return sc_load_write_text(load, "42 orders today");
   }

   int main(void)
   {
       sc_client *client = NULL;
       sc_cache *cache = NULL;
       sc_value *report = NULL;

       sc_status status = sc_open(NULL, &client); // redis://localhost:6379
       if (status == SC_OK)
           status = sc_cache_open(client, NULL, &cache);
       if (status == SC_OK)
           status = sc_get_or_load(cache, sc_text("report"), make_report, NULL, NULL, &report);
       if (status == SC_OK)
           printf("%s\n", sc_value_bytes(report).data);
       else
           fprintf(stderr, "%s: %s\n", sc_status_message(status), sc_error_text());
       sc_value_release(report);
       sc_cache_close(cache);
       sc_close(client);
       return status == SC_OK ? 0 : 1;
   }
   ```

   The snippets of the chapters below are other files of such a program.

   MARK: - Options

   A zero-initialised struct means these defaults. Durations are milliseconds.

       sc_config               url                    redis://localhost:6379
                               user, password         the URL's
                               client_name            the URL's name, else none
                               timeout_ms             5,000; one deadline over all that a call does
                               connect_timeout_ms     timeout_ms
                               backoff_min_ms         50, doubling; the wait is random below that
                               backoff_max_ms         2,000
                               idle_check_ms          30,000
                               max_output_bytes       64 MiB
                               receive_buffer_bytes   16 KiB
                               lazy                   no: sc_open connects
                               wait_while_down        no: a call fails when connecting has failed
                               polled                 no: the client may start a thread
                               memory, clock, ...     the platform's
       sc_limits               max_depth              32
                               max_elements           16,777,216
                               max_bulk_bytes         512 MiB
                               max_reply_bytes        1 GiB
       sc_call_options         timeout_ms             the client's
                               idempotent             no: never sent twice
                               dedicated              no: on the connection that all share
       sc_scan_config          command                SCAN
                               count                  100
       sc_cache_config         prefix                 none
                               load                   as below
       sc_load_options         ttl_ms                 1,800,000 (30 minutes)
                               negative_ttl_ms        0: a failed load is not remembered
                               lease_ms               30,000, renewed while the loader runs
                               wait_ms                60,000
                               poll_ms                1,000
                               private_errors         no: a failure is shared with who waits
                               outage                 SC_OUTAGE_LOAD: load without the server
       sc_wrap_config          lock_timeout_ms        30,000
                               ttl_ms                 1,800,000
                               timeout_ms             60,000
                               key_prefix             "smartcache"; interop: "distributed-promise"
                               lock_prefix            "lock"
                               notify_prefix          "notif"
                               key_separator          ":"
                               interop                no

   The comments of the structs have the rest.

   MARK: - URLs

       redis://localhost                       redis://:password@10.0.0.7:6380/2
       redis://user:password@[::1]/0           unix:///run/redis/redis.sock?db=1
       redis://cache.example?timeout=2s&name=worker&connect_timeout=500ms
       rediss://cache.example:6380             TLS, by a transport that speaks it: see Platforms

   Options are db, timeout, connect_timeout, name, user and password. Host, path, user and
   password may be percent-encoded. A wrong URL is refused with the character's offset and what
   was expected there.

   MARK: - Build switches

   Define them before including this file, in all files of the program alike. All are off by
   default. Sizes are for x86-64 with -Os, where all of it has about 126 KiB.

       SMARTCACHE_IMPLEMENTATION   this file also holds the implementation; one file of the program
       SMARTCACHE_STATIC           every function is private to the including file, the only one
                                   that can call them; saves what the compiler finds unused
       SMARTCACHE_NO_THREADS       no locks and no threads: one thread uses the library; saves
                                   -pthread and about 1 KiB (host names are then looked up in a
                                   forked helper)
       SMARTCACHE_NO_POSIX         no sockets, clock, memory and random numbers of the library's
                                   own: sc_config brings each table; implies SMARTCACHE_NO_THREADS;
                                   saves about 11 KiB
       SMARTCACHE_ASSERT           checks the library's own invariants and aborts on a broken one;
                                   costs about 3 KiB, saves nothing

   The implementation needs POSIX.1-2008 of the C library's headers. It asks for it by
   _DEFAULT_SOURCE, unless SMARTCACHE_NO_POSIX is defined or the program has asked by _GNU_SOURCE,
   _DEFAULT_SOURCE, _POSIX_C_SOURCE (200809L or more) or _XOPEN_SOURCE (700 or more). That counts
   only before the first system header: hence "before it includes any system header". Compilers in
   their GNU mode, the default of gcc and clang, ask for it anyway. Declarations need none of this.

   MARK: - Errors

   A function that can fail returns sc_status. SC_OK is 0; positive codes inform (SC_MISS: there is
   no value; SC_CONFLICT, SC_END, SC_GAP ...); negative codes are errors. sc_status_message has one
   sentence a code, sc_error_text the details of this thread's last failure: what was tried, where,
   what came back, which option to change. Read it before the thread's next call.

   Errors tell whether a command was executed. SC_ERR_CONNECT, SC_ERR_RESOLVE, SC_ERR_AUTH,
   SC_ERR_NOT_SENT and SC_ERR_FULL: certainly not. SC_ERR_TIMEOUT and SC_ERR_DISCONNECTED: nobody
   knows. A command of unknown outcome is never sent again by itself, unless the call says that it
   is idempotent.

   ```c
   // cc -O2 -c order.c
   #include "smartcache.h"

   // Count an order; true when it may be tried again without counting it twice.
   bool count_order(sc_client *client, sc_status *status)
   {
       *status = sc_command_strings(client, NULL, "INCR", "orders", (const char *)NULL);
       return sc_not_executed(*status);
   }
   ```

   MARK: - Commands and replies

   A command is its words, each with a length: there is no quoting and no format string, so no
   value can become a command. sc_command_strings takes C strings; the builder of a pipeline
   takes numbers too. A reply is one block of memory, read by accessors that check the type, and
   take NULL for an element that is not there.

   ```c
   // cc -O2 -c session.c
   #include "smartcache.h"

   // Reads HGETALL's "visits", storing raw bytes under another field first.
   sc_status visits_of(sc_client *client, const char *key, sc_slice picture, int64_t *visits)
   {
       const sc_slice argv[4] = {sc_text("HSET"), sc_text(key), sc_text("picture"), picture};
       sc_reply *reply = NULL;
       sc_status status = sc_command(client, argv, 4, NULL, NULL);
       if (status == SC_OK)
           status = sc_command_strings(client, &reply, "HGETALL", key, (const char *)NULL);
       if (status == SC_OK)
           status = sc_item_integer(sc_item_find(sc_reply_item(reply), sc_text("visits")), visits);
       sc_reply_release(reply);
       return status; // SC_MISS when the field is not there
   }
   ```

   Commands that block (BLPOP, XREAD BLOCK) go on a connection of their own:
   sc_call_options.dedicated. Commands that would change the shared connection (SELECT, MULTI,
   SUBSCRIBE ...) are refused; the functions of the chapters below do what they are for.

   MARK: - Get or load

   sc_get_or_load answers with the stored value (one round trip), or joins the load that a thread
   of this process is running, or takes the key's lease and runs the loader, or waits for the
   process that has the lease. What the loader makes is stored and published in one step, if the
   lease is still the loader's.

       the loader returns            the caller, and all who wait     who asks later
       SC_OK                         the value                        the value, for ttl_ms
       SC_MISS                       SC_MISS                          SC_MISS for negative_ttl_ms
       an error                      the error and its words          the same for negative_ttl_ms
       SC_PENDING                    what sc_load_finish says         the same

   With private_errors each who waits tries for itself after an error. The lease is renewed while
   the loader runs; when its process dies, another takes over as soon as the lease has ended. Who
   waits looks by itself every poll_ms, so that a lost message costs time and nothing else.

   ```c
   // cc -O2 -c user.c
   #include "smartcache.h"

   static sc_status load_user(sc_load *load, void *user)
   {
       const char *table = (const char *)user;
       sc_slice id = sc_load_key(load);
       if (id.len == 0)
           return SC_MISS;
       if (id.len > 20)
           return sc_fail(SC_ERR_LOADER, "no key of %s: \"%.*s\"", table, (int)id.len, id.data);
       return sc_load_write_text(load, "{\"name\": \"Ada\"}");
   }

   sc_status find_user(sc_cache *cache, const char *id, sc_value **json)
   {
       static char table[] = "users";
       sc_load_options options = {0};
       options.ttl_ms = 60 * 1000;
       options.negative_ttl_ms = 5 * 1000;
       return sc_get_or_load(cache, sc_text(id), load_user, table, &options, json);
   }

   // After the source has changed: no load that began before can store its value any more.
   sc_status user_has_changed(sc_cache *cache, const char *id)
   {
       return sc_invalidate(cache, sc_text(id));
   }
   ```

   ttl_ms SC_TTL_NONE shares a load between those who ask at the same time and stores nothing.
   When the server cannot be asked, SC_OUTAGE_LOAD lets one thread a process load each key,
   stored nowhere; SC_OUTAGE_ERROR returns the error. sc_get, sc_set, sc_delete, sc_touch and
   sc_ttl work on stored values alone.

   MARK: - Wrapped functions

   sc_wrap gives a function a name; sc_call computes the key from the name and the arguments, and
   goes on as get-or-load does.

   ```c
   // cc -O2 -c sales.c
   #include "smartcache.h"

   static sc_status sales(sc_load *load, const sc_arg *args, size_t arg_count, void *user)
   {
       int64_t year = 0;
       sc_status status = arg_count == 2 ? sc_arg_get_integer(&args[1], &year) : SC_ERR_ARGUMENT;
       (void)user;
       return status == SC_OK ? sc_load_write_text(load, year < 2000 ? "0" : "1302.50") : status;
   }

   sc_status wrap_sales(sc_client *client, sc_wrapped **wrapped)
   {
       sc_wrap_config config = {0};
       config.key = "sales";
       config.function = sales;
       return sc_wrap(client, &config, wrapped);
   }

   sc_status sales_in_bern(sc_wrapped *wrapped, sc_value **result)
   {
       const sc_arg args[2] = {sc_arg_text("Bern"), sc_arg_integer(2026)};
       return sc_call(wrapped, args, 2, result);
   }
   ```

   With `interop`, the keys, locks and messages are those of npm's @jpwilliams/distributed-promise:
   its processes and ours share one computation. Results are then JSON texts.

   MARK: - Single flight and keyed locks

   Between the threads of one process, and without any server: sc_single_flight runs a function
   for a key once for all who ask meanwhile; sc_keylock_acquire locks a key, in the order of
   arrival.

   ```c
   // cc -O2 -c resize.c
   #include "smartcache.h"

   static sc_status resize(void *user, sc_slice key, sc_value **value)
   {
       (void)user;
       return sc_value_create(NULL, key, value); // the picture for this key
   }

   // `map` comes from sc_lockmap_open(NULL, NULL, &map), once.
   sc_status small_picture(sc_lockmap *map, const char *name, sc_value **picture)
   {
       return sc_single_flight(map, sc_text(name), 10 * 1000, resize, NULL, picture);
   }
   ```

   MARK: - Publish and subscribe

   A subscription has a callback, lives on a connection for subscriptions, and is made again after
   each reconnect. When sc_subscribe returns, the server has confirmed it. SC_GAP instead of a
   message says that messages may have been lost: read again what they are about.

   ```c
   // cc -O2 -c prices.c
   #include "smartcache.h"

   #include <stdio.h>

   static void on_price(void *user, sc_status status, const sc_message *message)
   {
       (void)user;
       if (status == SC_GAP)
           printf("read all prices again\n");
       else
           printf("%.*s\n", (int)message->payload.len, message->payload.data);
   }

   sc_status follow_prices(sc_client *client, sc_subscription *subscription)
   {
       return sc_subscribe(client, sc_text("prices"), on_price, NULL, subscription);
   }
   ```

   To publish is a command: sc_command_strings(client, NULL, "PUBLISH", "prices", "tea 3.20",
   (const char *)NULL). Once sc_unsubscribe has returned, the callback does not run any more.

   MARK: - Pipelines

   Threads that call at the same time share round trips by themselves. One thread with many
   commands puts them into a pipeline: one write, one wait, all replies.

   ```c
   // cc -O2 -c points.c
   #include "smartcache.h"

   sc_status add_points(sc_client *client, const int64_t *users, size_t count)
   {
       sc_pipeline *pipeline = NULL;
       sc_reply *replies = NULL;
       sc_status status = sc_pipeline_open(client, &pipeline);
       for (size_t i = 0; i < count && status == SC_OK; i++) {
           sc_pipeline_begin(pipeline, "ZINCRBY"); // errors are kept for the run
           sc_pipeline_text(pipeline, "points");
           sc_pipeline_double(pipeline, 0.5);
           sc_pipeline_integer(pipeline, users[i]);
       }
       if (status == SC_OK)
           status = sc_pipeline_run(pipeline, NULL, &replies);
       for (size_t i = 0; i < sc_reply_count(replies) && status == SC_OK; i++)
           status = sc_item_check(sc_reply_at(replies, i)); // each command has its own answer
       sc_reply_release(replies);
       sc_pipeline_close(pipeline);
       return status;
   }
   ```

   MARK: - Transactions

   sc_pipeline_exec executes a pipeline as one transaction (MULTI, EXEC). With sc_pipeline_watch
   before, it is executed only if the keys have not changed since.

   ```c
   // cc -O2 -c account.c
   #include "smartcache.h"

   // SC_CONFLICT: somebody else changed the account meanwhile; call it again.
   sc_status withdraw(sc_client *client, const char *account, int64_t sum)
   {
       sc_slice key = sc_text(account);
       sc_pipeline *pipeline = NULL;
       sc_reply *reply = NULL;
       int64_t balance = 0;
       sc_status status = sc_pipeline_open(client, &pipeline);
       if (status == SC_OK)
           status = sc_pipeline_watch(pipeline, &key, 1, NULL);
       if (status == SC_OK)
           status = sc_command_strings(client, &reply, "GET", account, (const char *)NULL);
       if (status == SC_OK)
           status = sc_item_integer(sc_reply_item(reply), &balance);
       if (status == SC_OK && balance < sum)
           status = sc_fail(SC_ERR_ARGUMENT, "%s holds %lld", account, (long long)balance);
       if (status == SC_OK) {
           sc_pipeline_begin(pipeline, "DECRBY");
           sc_pipeline_bytes(pipeline, key);
           sc_pipeline_integer(pipeline, sum);
           status = sc_pipeline_exec(pipeline, NULL, NULL);
       }
       sc_reply_release(reply);
       sc_pipeline_close(pipeline);
       return status;
   }
   ```

   MARK: - Scripts

   A script is made once and known to servers by its SHA-1; a server that does not know it yet gets
   its text.

   ```c
   // cc -O2 -c script.c
   #include "smartcache.h"

   // `script` comes from sc_script_create(NULL, "return redis.call('GET', KEYS[1]) == ARGV[1] and
   // redis.call('DEL', KEYS[1]) or 0", &script), once.
   sc_status delete_if(sc_client *client, const sc_script *script, sc_slice key, sc_slice expected,
                       int64_t *deleted)
   {
       sc_reply *reply = NULL;
       sc_status status = sc_eval(client, script, &key, 1, &expected, 1, NULL, &reply);
       if (status == SC_OK)
           status = sc_item_integer(sc_reply_item(reply), deleted);
       sc_reply_release(reply);
       return status;
   }
   ```

   MARK: - Scans

   ```c
   // cc -O2 -c sessions.c
   #include "smartcache.h"

   sc_status count_sessions(sc_client *client, size_t *count)
   {
       sc_scan_config config = {0};
       sc_scan *scan = NULL;
       sc_slice key;
       config.match = sc_text("session:*");
       sc_status status = sc_scan_open(client, &config, &scan);
       while (status == SC_OK && (status = sc_scan_next(scan, &key, NULL)) == SC_OK)
           ++*count; // a key may come twice
       sc_scan_close(scan);
       return status == SC_END ? SC_OK : status;
   }
   ```

   MARK: - Large values

   sc_upload and sc_download move a value in pieces, so that it never stands in memory whole, on a
   connection of its own, so that small commands do not wait behind it. Values of the cache may be
   large, too: results over 64 KiB are announced by a message and read by who waits.

   ```c
   // cc -O2 -c film.c
   #include "smartcache.h"

   #include <stdio.h>

   static sc_status write_piece(void *user, size_t total, sc_slice piece)
   {
       (void)total;
       if (fwrite(piece.data, 1, piece.len, (FILE *)user) == piece.len)
           return SC_OK;
       return sc_fail(SC_ERR_IO, "the file cannot be written");
   }

   sc_status fetch_film(sc_client *client, const char *key, FILE *file)
   {
       const sc_slice argv[2] = {sc_text("GET"), sc_text(key)};
       return sc_download(client, argv, 2, write_piece, file, NULL);
   }
   ```

   MARK: - Threads and the scheduler

   One client serves all threads. Commands that are under way together lie in one buffer and are
   sent together; whoever waits drives the connection for all, and hands it on when its own reply
   is in. Opening a client for each thread is slower.

   Every operation is a state machine with a deadline. A blocking call starts one and drives it; an
   _async call starts one and returns. Callbacks run without locks, and may call anything but
   sc_close:

       on a thread of the client's own    after sc_start, or started by what needs it:
                                          subscriptions, waiting for another process's load,
                                          renewing a lease while the loader computes
       inside sc_poll                     in a program that sets sc_config.polled, which calls
                                          sc_poll in its loop

   ```c
   // cc -O2 -c loop.c
   #include "smartcache.h"

   static void on_reply(void *user, sc_status status, sc_reply *reply)
   {
       int64_t *hits = (int64_t *)user;
       if (status != SC_OK || sc_item_integer(sc_reply_item(reply), hits) != SC_OK)
           *hits = -1;
   }

   // One thread, no blocking call.
   sc_status count_hit(sc_client *client, int64_t *hits)
   {
       const sc_slice argv[2] = {sc_text("INCR"), sc_text("hits")};
       *hits = 0;
       sc_status status = sc_command_async(client, argv, 2, NULL, on_reply, hits);
       while (status == SC_OK && *hits == 0)
           status = sc_poll(client, 100);
       return status;
   }
   ```

   A loader runs on the thread that called sc_get_or_load; for sc_get_or_load_async it runs as
   callbacks do, and should return SC_PENDING and finish elsewhere if it takes long.

   MARK: - Fork and signals

   A forked child may use the parent's clients and caches: it opens connections of its own, never
   speaks on the parent's, and its copies of calls under way are forgotten. Every descriptor is
   close-on-exec. No signal handler is installed, and no SIGPIPE is raised.

   MARK: - Memory and limits

   All memory comes from sc_config.memory (default: the C library's). Any allocation may fail:
   the call returns SC_ERR_MEMORY and the client goes on. sc_value and sc_reply are counted
   references to immutable bytes, shared between threads without copying; they may outlive the
   client.

   Memory grows with bytes received, never with lengths announced. sc_limits bounds what a server
   may send, max_output_bytes what waits to be sent (SC_ERR_FULL beyond). A violation of the
   protocol ends the connection with SC_ERR_PROTOCOL.

   MARK: - Platforms

   POSIX systems: sockets, poll(2), clock_gettime, threads, getaddrinfo. Others bring tables of
   functions: sc_memory, sc_clock, sc_random, sc_transport, sc_poller, sc_resolver; their
   comments say what each function must do. SMARTCACHE_NO_POSIX leaves the POSIX ones out. C99 or
   newer, C++11 or newer, 32 and 64 bits, either byte order.

   TLS is a transport, too: ports/smartcache_openssl.h has one over OpenSSL, and its head a program.
   A client speaks TLS on all its connections when its transport does, and never without: of the
   URL, rediss:// only says that a client without such a transport is to be refused.

   Under SMARTCACHE_NO_POSIX the object needs the types of stdbool.h, stddef.h, stdint.h, float.h,
   limits.h and stdarg.h, and of the C library no function but these of string.h:

       memchr memcmp memcpy memmove memset strchr strcmp strlen strncmp

   Compilers call some more by themselves: functions of their own library for arithmetic that the
   processor lacks (__aeabi_uldivmod, __udivdi3, __clzdi2), and clang calls bcmp where it knows the
   C library to have it. SMARTCACHE_ASSERT adds what assert calls.

   Besides gcc and clang, tcc (x86, C only) compiles all of it, threads included; it has no
   thread-local variables, so each thread's error text is a block from malloc there. Any other C
   compiler needs C11's atomics, or SMARTCACHE_NO_THREADS.

   MARK: - Writing a port

   The client meets the network in two tables: sc_transport, a connected byte stream, and sc_poller,
   which waits on descriptors. Fill one, give it in sc_config, and all else stays as it is: blocking
   calls, threads, callbacks, time-outs. Where a platform has poll and sockets, the tables that the
   library would use are there by sc_platform_transport, sc_platform_poller and
   sc_platform_resolver, to be wrapped or to be used beside one of your own. These ports come with
   the library, each one header in ports/:

       smartcache_select.h    poller on select(2)
       smartcache_epoll.h     poller on epoll; one descriptor stands for the client in another loop
       smartcache_lwip.h      transport, poller and resolver on lwIP's sockets
       smartcache_openssl.h   TLS, over any transport

   For both tables: internal locks may be held when a function is called, so none may block (`wait`
   and `receive_soon` excepted, which say how long) nor call the library, but for sc_fail and
   sc_error_text. What fails says why by sc_fail, in the words of the cause; the caller of the
   command reads them. Memory comes from the sc_memory given: copy the struct, tell `resize` the old
   size, and return SC_ERR_MEMORY when it gives none. The table's `user` is passed to `dial` and
   `create`; all else gets what these have made. The table itself is copied by sc_open. Keep
   descriptors from being inherited by other programs (FD_CLOEXEC), and raise no signal
   (MSG_NOSIGNAL).

   The life of a stream:

       dial          begins to connect to one address; on an error nothing is left. The host's name
                     has been looked up by then; TLS verifies it. NULL for a Unix socket
       progress      until it says SC_OK: once right after dial, then whenever `*interest` is ready.
                     Handshakes are made here. Deadlines are the client's: it hangs up
       transmit      takes what it can. After SC_AGAIN the same bytes come again when the descriptor
                     is writable, perhaps from another address and with more behind them. A stream
                     that stores bytes must say SC_AGAIN some time, or nothing bounds the memory
       receive       gives what is there. Called when the descriptor is readable, or `pending` true,
                     and once more after a buffer was filled
       receive_soon  optional: a caller who is alone waits inside of it, and needs no poller
       pending       optional: bytes wait inside the stream, so that the descriptor does not show
                     them. False when receive would say SC_AGAIN
       descriptor    for the poller; the same from dial to hangup
       hangup        at any time after dial, in mid-handshake too, and while nothing else runs on
                     the stream. Not `orderly` in a forked child: say nothing to the peer, since the
                     parent talks on

   One thread sends while another may receive; beside that a stream is one thread's at a time. A
   transport whose streams cannot do that locks them.

   A poller:

       create        also makes the means by which `wake` ends a wait: a pipe, an eventfd, a
                     semaphore
       watch         sets what a descriptor is watched for, in place of what was set before, and
                     its tag; interest 0 forgets it, also if it was not watched. Never called while
                     `wait` runs
       wait          one thread at a time. What is ready is told as long as it is ready (level-
                     triggered). A full array must not keep the same descriptors out each time.
                     To return early, without events, is always right; never to return is not
       wake          from any thread, at any time: the wait that runs returns, else the next one.
                     Waking often before a wait is as waking once
       schedule      optional: for a poller whose one descriptor stands in another event loop; the
                     port then calls sc_poll(client, 0). sc_client_poller finds what `create` made
       destroy       nobody waits any more. In a forked child it must not touch what is the parent's

   A whole transport, for IPv4 over the usual socket calls; another system's differ by their names:

   ```c
   // cc -O2 tcp4.c -o tcp4 -pthread
   #define SMARTCACHE_IMPLEMENTATION
   #include "smartcache.h"

   #include <errno.h>
   #include <fcntl.h>
   #include <netinet/in.h>
   #include <stdio.h>
   #include <string.h>
   #include <sys/socket.h>
   #include <unistd.h>

   typedef struct tcp4 {
       sc_memory memory; // a copy: it frees this struct
       int fd;
   } tcp4;

   static sc_status tcp4_fail(sc_status status, const char *what)
   {
       return sc_fail(status, "%s: %s", what, strerror(errno));
   }

   static void tcp4_hangup(void *stream, bool orderly)
   {
       tcp4 *self = (tcp4 *)stream;
       sc_memory memory = self->memory;
       if (orderly)
           (void)shutdown(self->fd, SHUT_RDWR);
       (void)close(self->fd);
       (void)memory.resize(memory.user, self, sizeof *self, 0);
   }

   static sc_status tcp4_dial(void *user, const sc_memory *memory, const sc_address *address,
                              const char *host, void **stream)
   {
       struct sockaddr_in to = {0};
       (void)user;
       if (address->family != SC_FAMILY_IPV4)
           return sc_fail(SC_ERR_CONNECT, "this transport knows IPv4 alone");
       tcp4 *self = (tcp4 *)memory->resize(memory->user, NULL, 0, sizeof *self);
       if (!self)
           return sc_fail(SC_ERR_MEMORY, "no memory for a connection");
       self->memory = *memory;
       self->fd = socket(AF_INET, SOCK_STREAM, 0);
       to.sin_family = AF_INET;
       to.sin_port = htons(address->port);
       memcpy(&to.sin_addr, address->ip, sizeof to.sin_addr);
       if (self->fd < 0 || fcntl(self->fd, F_SETFD, FD_CLOEXEC) < 0 ||
           fcntl(self->fd, F_SETFL, O_NONBLOCK) < 0 ||
           (connect(self->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)) {
           sc_status status = tcp4_fail(SC_ERR_CONNECT, host);
           tcp4_hangup(self, false);
           return status;
       }
       *stream = self;
       return SC_OK;
   }

   static sc_status tcp4_progress(void *stream, unsigned *interest)
   {
       const tcp4 *self = (const tcp4 *)stream;
       struct sockaddr_in peer;
       int error = 0;
       socklen_t peer_len = sizeof peer, error_len = sizeof error;
       if (getsockopt(self->fd, SOL_SOCKET, SO_ERROR, &error, &error_len) == 0)
           errno = error;
       if (errno != 0)
           return tcp4_fail(SC_ERR_CONNECT, "connecting");
       if (getpeername(self->fd, (struct sockaddr *)&peer, &peer_len) == 0)
           return SC_OK;
       *interest = SC_WRITABLE;
       return SC_AGAIN;
   }

   static bool tcp4_is_again(void)
   {
       return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
   }

   static sc_status tcp4_transmit(void *stream, const void *data, size_t len, size_t *sent)
   {
       ssize_t count = send(((tcp4 *)stream)->fd, data, len, MSG_NOSIGNAL);
       if (count < 0)
           return tcp4_is_again() ? SC_AGAIN : tcp4_fail(SC_ERR_DISCONNECTED, "sending");
       *sent = (size_t)count;
       return SC_OK;
   }

   static sc_status tcp4_receive(void *stream, void *buffer, size_t cap, size_t *received)
   {
       ssize_t count = recv(((tcp4 *)stream)->fd, buffer, cap, 0);
       if (count < 0)
           return tcp4_is_again() ? SC_AGAIN : tcp4_fail(SC_ERR_DISCONNECTED, "receiving");
       *received = (size_t)count;
       return count > 0 ? SC_OK : SC_END;
   }

   static sc_descriptor tcp4_descriptor(void *stream)
   {
       return ((const tcp4 *)stream)->fd;
   }

   static void tcp4_transport(sc_transport *table)
   {
       memset(table, 0, sizeof *table); // receive_soon and pending are optional
       table->dial = tcp4_dial;
       table->progress = tcp4_progress;
       table->transmit = tcp4_transmit;
       table->receive = tcp4_receive;
       table->descriptor = tcp4_descriptor;
       table->hangup = tcp4_hangup;
   }

   int main(int argc, char **argv)
   {
       sc_transport transport;
       sc_config config = {0};
       sc_client *client = NULL;
       tcp4_transport(&transport);
       config.url = argc > 1 ? argv[1] : NULL;
       config.transport = &transport;
       sc_status status = sc_open(&config, &client);
       if (status == SC_OK)
           status = sc_command_strings(client, NULL, "PING", (const char *)NULL);
       if (status != SC_OK)
           fprintf(stderr, "%s\n", sc_error_text());
       sc_close(client);
       return status == SC_OK ? 0 : 1;
   }
   ```

   To see whether a port keeps all this, run it through tests/port_conformance.h, which needs cmocka
   and nothing else: fill in a struct, and call port_conformance_transport or
   port_conformance_poller. Its head tells how; the transport above passes it. It tries what is
   easily overlooked: bytes that sit unread, a peer that does not read, a hang-up in mid-dial,
   wake-ups that get lost, descriptors that starve, and each allocation failing in turn.

   MARK: - What a program can rely on

   - A zero-initialised option struct means the documented defaults; each field's comment gives its
     unit and default. Durations are int64_t milliseconds.
   - A function that can fail returns sc_status: 0 is success, positive codes inform, negative codes
     are errors. sc_error_text() has the words for this thread's last failure.
   - No writable global data but that text; no signal handler; no exit, no print.
   - Memory, clock, random numbers, transport, poller, resolver and logger can each be replaced by a
     table of functions in sc_config.
   - Names of functions and types begin with sc_, constants with SC_, switches with SMARTCACHE_;
     whatever begins with sci_ or SCI_ is private and changes without notice.

   MARK: - The rooms of this file

   This file is assembled from a tree of small ones; change those, never this one. Each floor knows
   only the floors before it:

       api       what a program sees: everything up to the implementation
       base      errors, memory, bytes, hashing, maps, timers, numbers, JSON, threads, platform
       resp      the Redis protocol, in and out: no input or output of its own, no clock
       net       URLs, addresses, name look-up, the transport, the poller, the loop
       client    a connection and its life, pipelining, replies, scripts, publish/subscribe
       coord     the map of local flights, the lease, the wait for another's result
       cache     get-or-load, wrapped functions

   Every section begins with a line "MARK: - Name (Public)" or "MARK: - Name (Private)". A public
   function's comment stands at its declaration. */

/* The implementation needs POSIX.1-2008 of the system's headers, and asks for it unless the program
   has. */
#if defined(SMARTCACHE_IMPLEMENTATION) && !defined(SMARTCACHE_NO_POSIX) &&                         \
    !defined(_DEFAULT_SOURCE) && !defined(_GNU_SOURCE) &&                                          \
    !(defined(_POSIX_C_SOURCE) && _POSIX_C_SOURCE - 0 >= 200809L) &&                               \
    !(defined(_XOPEN_SOURCE) && _XOPEN_SOURCE - 0 >= 700)
#define _DEFAULT_SOURCE 1
#endif

#ifndef SMARTCACHE_H
#define SMARTCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* MARK: - Version and slices (Public) */
/* Version, linkage and the few types that everything shares. */

#define SC_VERSION_MAJOR 0
#define SC_VERSION_MINOR 1
#define SC_VERSION_PATCH 0
#define SC_VERSION_TEXT "0.1.0"

/* SMARTCACHE_STATIC: every function becomes private to the file that includes the header with
   SMARTCACHE_IMPLEMENTATION. Default: off, one file implements and any number declare. */
#if defined(SMARTCACHE_STATIC) && (defined(__GNUC__) || defined(__clang__))
#define SC_API static __attribute__((unused))
#elif defined(SMARTCACHE_STATIC)
#define SC_API static
#else
#define SC_API extern
#endif

/* Lets the compiler check a format string against its arguments. */
#if defined(__GNUC__) || defined(__clang__)
#define SC_PRINTF(format_index, first_argument)                                                    \
    __attribute__((format(printf, format_index, first_argument)))
#define SC_SENTINEL __attribute__((sentinel))
#else
#define SC_PRINTF(format_index, first_argument)
#define SC_SENTINEL
#endif

/* Bytes with a length, borrowed: whoever made the slice owns what it points to. The bytes may
   hold anything, NUL included; `data` may be NULL when `len` is 0. */
typedef struct sc_slice {
    const char *data;
    size_t len; /* bytes */
} sc_slice;

/* A slice over `len` bytes at `data`. */
static inline sc_slice sc_bytes(const void *data, size_t len)
{
    sc_slice slice;
    slice.data = (const char *)data;
    slice.len = len;
    return slice;
}

/* A slice over a C string, without its NUL. NULL gives the empty slice. */
static inline sc_slice sc_text(const char *text)
{
    sc_slice slice;
    size_t len = 0;
    if (text)
        while (text[len])
            len++;
    slice.data = text;
    slice.len = len;
    return slice;
}

/* MARK: - Status (Public) */
/* What functions return, and the words for it. */

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

/* MARK: - Platform (Public) */
/* The outside world: each table stands for one thing that the library asks of the system. A NULL
   table in sc_config means the platform's own (POSIX). */

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

/* MARK: - Values (Public) */
/* Values: immutable bytes, reference-counted, shared without copying. */

typedef struct sc_value sc_value;

/* Make a value with a copy of `bytes`. `memory` NULL: the platform's. The caller owns one
   reference. SC_ERR_MEMORY. Any thread. */
SC_API sc_status sc_value_create(const sc_memory *memory, sc_slice bytes, sc_value **value);

/* The bytes, followed by a NUL that is not counted, so text may be printed with %s. Valid as long
   as the caller holds a reference. NULL gives the empty slice. */
SC_API sc_slice sc_value_bytes(const sc_value *value);

/* Another reference to the same value; returns `value`. Any thread. */
SC_API sc_value *sc_value_retain(sc_value *value);

/* Give one reference back; the last frees. NULL is fine. Any thread, also after sc_close. */
SC_API void sc_value_release(sc_value *value);

/* MARK: - Replies (Public) */
/* Replies: what the server answered, typed, with checked accessors. */

typedef enum sc_kind {
    SC_NIL = 1, /* `$-1` and `*-1` alike */
    SC_STRING,  /* a bulk string */
    SC_SIMPLE,  /* a simple string such as OK */
    SC_ERROR,   /* an error text such as "WRONGTYPE Operation against..." */
    SC_INTEGER,
    SC_ARRAY
} sc_kind;

/* One reply, or the replies of a pipeline, in one block. Immutable: any thread may read it. */
typedef struct sc_reply sc_reply;

/* One element of a reply; it lives as long as the reply. Every accessor takes NULL for an element
   that is not there, and answers SC_ERR_TYPE or the empty value, so that look-ups chain. */
typedef struct sc_item sc_item;

/* Limits on what the server may send; 0 means the default. None in bytes goes beyond a quarter of the
   address space. */
typedef struct sc_limits {
    size_t max_depth;       /* nested arrays: 32 */
    size_t max_elements;    /* elements of one reply, all levels together: 16,777,216 */
    size_t max_bulk_bytes;  /* one string: 512 MiB, as the server's own limit */
    size_t max_reply_bytes; /* one whole reply: 1 GiB */
} sc_limits;

/* Number of top-level items: 1, or the commands of a pipeline. NULL gives 0. */
SC_API size_t sc_reply_count(const sc_reply *reply);
/* Top-level item `index`, or NULL when there is none. */
SC_API const sc_item *sc_reply_at(const sc_reply *reply, size_t index);
/* The first item: the answer to a single command. NULL gives NULL. */
SC_API const sc_item *sc_reply_item(const sc_reply *reply);
/* Another reference to the same reply; returns `reply`. Any thread. */
SC_API sc_reply *sc_reply_retain(sc_reply *reply);
/* Give one reference back; the last frees. NULL is fine. Any thread, also after sc_close. */
SC_API void sc_reply_release(sc_reply *reply);

/* The kind; SC_NIL for NULL. */
SC_API sc_kind sc_item_kind(const sc_item *item);
/* True for a missing item as for a nil from the server. */
SC_API bool sc_item_is_nil(const sc_item *item);
/* Bytes of a string, simple string or error; the empty slice for anything else. */
SC_API sc_slice sc_item_slice(const sc_item *item);
/* Bytes of a string or simple string. SC_MISS for nil, SC_ERR_REPLY (with the server's words as the
   detail text) for an error, SC_ERR_TYPE for anything else. */
SC_API sc_status sc_item_bytes(const sc_item *item, sc_slice *bytes);
/* An integer, or a string that is one decimal integer. Errors as sc_item_bytes; SC_ERR_TYPE also
   for a string that is no integer or out of range. */
SC_API sc_status sc_item_integer(const sc_item *item, int64_t *number);
/* A string that is a number, or an integer. Errors as sc_item_integer. */
SC_API sc_status sc_item_double(const sc_item *item, double *number);
/* SC_OK for the simple string or string `text`; else errors as sc_item_bytes. For "OK" and the
 * like. */
SC_API sc_status sc_item_expect(const sc_item *item, const char *text);
/* SC_ERR_REPLY with the server's words as the detail text when the item is an error, else SC_OK. */
SC_API sc_status sc_item_check(const sc_item *item);
/* A new value with the bytes of a string. Errors as sc_item_bytes; SC_ERR_MEMORY. The caller owns
 * it. */
SC_API sc_status sc_item_value(const sc_reply *reply, const sc_item *item, sc_value **value);
/* Number of elements of an array; 0 for anything else. */
SC_API size_t sc_item_count(const sc_item *item);
/* Element `index` of an array, or NULL. Constant time when no element has elements, else linear. */
SC_API const sc_item *sc_item_at(const sc_item *item, size_t index);
/* Iterate an array in linear time: for (e = sc_item_first(a); e; e = sc_item_next(a, e)). */
SC_API const sc_item *sc_item_first(const sc_item *array);
SC_API const sc_item *sc_item_next(const sc_item *array, const sc_item *element);
/* The value that follows the string `name` in a flat array of pairs (HGETALL, CONFIG GET), or NULL.
 */
SC_API const sc_item *sc_item_find(const sc_item *array, sc_slice name);

/* MARK: - Client (Public) */
/* The client: one server, few connections, any number of threads. */

/* A client. Any thread may use it; each function below says more where that is not all. Calls that
   arrive together are pipelined on one connection by themselves. */
typedef struct sc_client sc_client;

/* How to reach a server. Zero-initialise, then set what differs from the defaults. Everything is
   copied by sc_open, tables included. */
typedef struct sc_config {
    /* redis://[user[:password]@]host[:port][/db][?timeout=2s], unix:///path[?db=1]; rediss:// as
       redis://, but only with a `transport`, one of TLS; host, path, user and password may be
       percent-encoded. Default "redis://localhost:6379". */
    const char *url;
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
   left; not from a callback of this client when it has a thread of its own (SC_ERR_DEADLOCK). */
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

/* MARK: - Publish and subscribe (Public) */
/* Publish/subscribe. */

/* A subscription; 0 is none. A stale id is harmless: ids are not used twice. */
typedef uint64_t sc_subscription;

typedef struct sc_message {
    sc_slice channel;
    sc_slice pattern; /* the pattern that matched; empty for sc_subscribe */
    sc_slice payload;
} sc_message;

/* SC_OK: a message, valid during the call. SC_GAP with `message` NULL: the connection was lost and
   the subscription has been made again; messages in between are lost, so read again what they were
   about. An error with `message` NULL: the server refuses the channel (an ACL); it
   is asked again on the next connection. Called without locks, one at a time and in order, on the
   client's thread or, without one, inside sc_poll or a blocking call. May call anything but
   sc_close. */
typedef void (*sc_on_message)(void *user, sc_status status, const sc_message *message);

/* Subscribe to a channel, on a connection that the client keeps for this; when SC_OK comes back the
   server has confirmed it, so that a message published from now on arrives. It is made again after
   each reconnect. Starts the client's thread, unless `polled`. Any number of subscriptions may
   share a channel. Errors as sc_command. Blocks up to the client's timeout. */
SC_API sc_status sc_subscribe(sc_client *client, sc_slice channel, sc_on_message on_message,
                              void *user, sc_subscription *subscription);
/* The same for a glob pattern (PSUBSCRIBE). */
SC_API sc_status sc_psubscribe(sc_client *client, sc_slice pattern, sc_on_message on_message,
                               void *user, sc_subscription *subscription);
/* Does not wait for the confirmation: SC_OK means that it is being made, and `on_message` is called
   with SC_GAP and NULL once it stands. Does not block. */
SC_API sc_status sc_subscribe_async(sc_client *client, sc_slice channel, sc_on_message on_message,
                                    void *user, sc_subscription *subscription);
SC_API sc_status sc_psubscribe_async(sc_client *client, sc_slice pattern, sc_on_message on_message,
                                     void *user, sc_subscription *subscription);
/* End a subscription. When it returns, `on_message` is not running and will not run any more (from
   within `on_message` itself it returns at once). SC_MISS for a stale id. */
SC_API sc_status sc_unsubscribe(sc_client *client, sc_subscription subscription);

/* MARK: - Single flight and keyed locks (Public) */
/* The local lock map: single flight on any key, and a lock per key, between the threads of one
   process. It needs no server. (In Go: golang.org/x/sync/singleflight.) */

typedef struct sc_lockmap sc_lockmap;

/* `memory`, `clock` NULL: the platform's. SC_ERR_MEMORY. */
SC_API sc_status sc_lockmap_open(const sc_memory *memory, const sc_clock *clock, sc_lockmap **map);
/* NULL is fine. Only when no call with it is under way. */
SC_API void sc_lockmap_close(sc_lockmap *map);

/* Make a value: SC_OK with a value that the caller will own, or another status without one. */
typedef sc_status (*sc_compute)(void *user, sc_slice key, sc_value **value);

/* Run `compute` for `key`, or wait for the thread that is running it: of all that call at the same
   time, one computes and all get its status, its value (each a reference of its own) and its error
   text. Nothing is kept afterwards. SC_ERR_NOT_SENT when `timeout_ms` passed while another computed
   (-1: wait for ever), SC_ERR_DEADLOCK when this thread is already computing this key,
   SC_ERR_MEMORY. Any thread. Blocks as long as `compute` runs, or up to timeout_ms for another's.
 */
SC_API sc_status sc_single_flight(sc_lockmap *map, sc_slice key, int64_t timeout_ms,
                                  sc_compute compute, void *user, sc_value **value);

/* A held lock on one key. */
typedef struct sc_keylock sc_keylock;

/* Lock `key`; other keys are not in the way. Served in the order of arrival. SC_HELD when
   `timeout_ms` passed (0: try only; -1: wait for ever), SC_ERR_DEADLOCK when this thread holds it,
   SC_ERR_MEMORY. The caller owns `*lock` until sc_keylock_release, on any thread. */
SC_API sc_status sc_keylock_acquire(sc_lockmap *map, sc_slice key, int64_t timeout_ms,
                                    sc_keylock **lock);
SC_API void sc_keylock_release(sc_keylock *lock); /* NULL is fine */

/* MARK: - Cache (Public) */
/* The cache: values under keys, and get-or-load, which computes a missing value once in the fleet.
 */

/* A cache on a client. Any thread. */
typedef struct sc_cache sc_cache;

/* Store nothing: callers at the same time share one load, later ones load again. */
#define SC_TTL_NONE ((int64_t)-1)
/* No expiry. */
#define SC_TTL_FOREVER INT64_MAX

/* What get-or-load does when the server cannot be reached or asked. */
typedef enum sc_outage {
    SC_OUTAGE_LOAD =
        0,          /* the loader's value, not stored; one load at a time a key in this process */
    SC_OUTAGE_ERROR /* the error */
} sc_outage;

/* How values are loaded and kept; zeros: the defaults. */
typedef struct sc_load_options {
    int64_t ttl_ms; /* life of a stored value: 1,800,000 (30 min); SC_TTL_NONE, SC_TTL_FOREVER */
    int64_t negative_ttl_ms; /* how long "there is none" (SC_MISS) and failed loads are remembered:
                                not at all, only shared with those who wait */
    int64_t lease_ms; /* life of the right to load, renewed while the loader runs: 30,000. After a
                         crash of the loading process another takes over within this time */
    int64_t wait_ms;  /* how long to wait for another's load, and to reach the server: 60,000; -1:
                         for ever */
    int64_t poll_ms;  /* a waiter looks again at least so often, should a message be lost: 1,000 */
    bool private_errors; /* a failed load is this caller's alone; those who wait try again
                            themselves */
    sc_outage outage;    /* SC_OUTAGE_LOAD */
} sc_load_options;

typedef struct sc_cache_config {
    const char *prefix;   /* put before every key on the server: none */
    sc_load_options load; /* used where a call gives none */
} sc_cache_config;

/* SC_ERR_ARGUMENT, SC_ERR_MEMORY. `config` NULL: the defaults. Copied. Any number of caches may
   share a client; client and cache are closed in any order. Does not block. */
SC_API sc_status sc_cache_open(sc_client *client, const sc_cache_config *config, sc_cache **cache);
/* Loads under way go on to their end. NULL is fine. */
SC_API void sc_cache_close(sc_cache *cache);

/* The running of one loader. */
typedef struct sc_load sc_load;

/* Makes the value for a key: writes it with sc_load_write (or hands it over with sc_load_take) and
   returns SC_OK; or SC_MISS when there is none; or an error, with words by sc_fail. SC_PENDING: it
   is not ready, sc_load_finish will be called later, on any thread. Runs without locks, on the
   calling thread of sc_get_or_load, or as callbacks do for sc_get_or_load_async. */
typedef sc_status (*sc_loader)(sc_load *load, void *user);

/* The key that was asked for, without the cache's prefix. Valid while the load runs. */
SC_API sc_slice sc_load_key(const sc_load *load);
/* Append bytes to the value. SC_ERR_MEMORY is kept and fails the load. */
SC_API sc_status sc_load_write(sc_load *load, const void *data, size_t len);
SC_API sc_status sc_load_write_text(sc_load *load, const char *text);
/* Make `value` the result, in place of what was written; takes over the caller's reference. */
SC_API void sc_load_take(sc_load *load, sc_value *value);
/* Another TTL for this value than the options say. */
SC_API void sc_load_set_ttl(sc_load *load, int64_t ttl_ms);
/* True when the result will not be stored, since the key was invalidated or the lease was lost: a
   long loader may stop early. Any thread. */
SC_API bool sc_load_is_void(const sc_load *load);
/* End a load that returned SC_PENDING, exactly once; `load` is gone afterwards. Any thread. An
   error's words are taken from this thread's sc_error_text. Does not block. */
SC_API void sc_load_finish(sc_load *load, sc_status status);

/* Get the value, or load it: of any number of threads and processes that miss the key together, one
   runs its loader and all get the result.
     SC_OK            `*value` is the caller's until sc_value_release
     SC_MISS          the loader said that there is none
     SC_ERR_LOADER    or the loader's own error, with its words: for the loader's caller and all
                      who waited
     SC_ERR_NOT_SENT  `wait_ms` passed while another was loading
     SC_ERR_DEADLOCK  called from the loader of the same key
     and those of sc_command, when the server cannot be asked and `outage` is SC_OUTAGE_ERROR.
   `options` NULL: the cache's. Any thread. Blocks for the loader, or up to wait_ms
   for another's. On the wire: GET; on a miss one script takes the lease or tells who holds it; the
   winner stores and publishes by a second script that checks the lease (leases: Nishtala et al.,
   "Scaling Memcache at Facebook", NSDI 2013). */
SC_API sc_status sc_get_or_load(sc_cache *cache, sc_slice key, sc_loader loader, void *user,
                                const sc_load_options *options, sc_value **value);

/* `value` is NULL unless `status` is SC_OK; it is the client's, sc_value_retain keeps it. */
typedef void (*sc_on_value)(void *user, sc_status status, sc_value *value);

/* The same without blocking; `on_value` is called when it ends, as sc_on_reply is. */
SC_API sc_status sc_get_or_load_async(sc_cache *cache, sc_slice key, sc_loader loader, void *user,
                                      const sc_load_options *options, sc_on_value on_value,
                                      void *on_value_user);

/* The stored value. SC_OK; SC_MISS; errors as sc_command. Any thread. Blocks up to the client's
   timeout, as do all below. */
SC_API sc_status sc_get(sc_cache *cache, sc_slice key, sc_value **value);
SC_API sc_status sc_get_async(sc_cache *cache, sc_slice key, sc_on_value on_value, void *user);

/* Store a value for `ttl_ms` (0: the cache's TTL; SC_TTL_FOREVER). A load of this key that began
   before will not overwrite it. SC_ERR_ARGUMENT for SC_TTL_NONE. */
SC_API sc_status sc_set(sc_cache *cache, sc_slice key, sc_slice value, int64_t ttl_ms);
/* Remove the stored value and nothing else: a load under way may still store. SC_OK; SC_MISS. */
SC_API sc_status sc_delete(sc_cache *cache, sc_slice key);
/* Remove the stored value, a remembered failure, and the lease: no load that began before stores
   its value, and who waits for such a load begins anew. Call it after the source has changed. */
SC_API sc_status sc_invalidate(sc_cache *cache, sc_slice key);
/* Give a stored value another TTL, counted from now (0: the cache's; SC_TTL_FOREVER). SC_OK;
 * SC_MISS. */
SC_API sc_status sc_touch(sc_cache *cache, sc_slice key, int64_t ttl_ms);
/* The TTL left, in milliseconds; SC_TTL_FOREVER when the value never expires. SC_OK; SC_MISS. */
SC_API sc_status sc_ttl(sc_cache *cache, sc_slice key, int64_t *ttl_ms);

/* MARK: - Wrapped functions (Public) */
/* Wrapped functions: give a function a name; calling it with arguments computes the key from them,
   and one process in the fleet runs it. */

/* An argument of a wrapped function, made by the functions below. Borrows what it points to. */
typedef struct sc_arg {
    int kind;        /* private */
    int64_t integer; /* private */
    double number;   /* private */
    sc_slice bytes;  /* private */
} sc_arg;

SC_API sc_arg sc_arg_null(void);
SC_API sc_arg sc_arg_bool(bool value);
SC_API sc_arg sc_arg_integer(int64_t value);
SC_API sc_arg sc_arg_double(double value);
SC_API sc_arg sc_arg_text(const char *value); /* NULL is null */
SC_API sc_arg sc_arg_bytes(sc_slice value);   /* a string of any bytes */
SC_API sc_arg sc_arg_json(sc_slice json);     /* one JSON value: an object, an array, ... */

/* What a wrapped function reads its arguments with. A number, bool, null or string that was given
   as JSON text answers like one that was not. Any thread. */
SC_API bool sc_arg_is_null(const sc_arg *arg);
/* SC_ERR_TYPE for anything else. */
SC_API sc_status sc_arg_get_bool(const sc_arg *arg, bool *value);
/* Any number without a fraction, if it is exact: 1.0 and 1e3 are integers too. SC_ERR_TYPE. */
SC_API sc_status sc_arg_get_integer(const sc_arg *arg, int64_t *value);
/* Any number. SC_ERR_TYPE. */
SC_API sc_status sc_arg_get_double(const sc_arg *arg, double *value);
/* A string's bytes, borrowed from the argument. SC_ERR_TYPE, also for a string that was given by
   sc_arg_json and has escapes, or whose escapes are no characters (lone surrogates). */
SC_API sc_status sc_arg_get_bytes(const sc_arg *arg, sc_slice *value);
/* The JSON text of an argument made by sc_arg_json; of sc_call_json's, of an object, an array, a
   number with fraction or exponent, and the like. SC_ERR_TYPE for the others. */
SC_API sc_status sc_arg_get_json(const sc_arg *arg, sc_slice *value);

/* A wrapped function. Any thread may call it. */
typedef struct sc_wrapped sc_wrapped;

/* The function: writes its result with sc_load_write and returns as a loader does. In interop mode
   the result must be JSON text. */
typedef sc_status (*sc_function)(sc_load *load, const sc_arg *args, size_t arg_count, void *user);

/* Zeros: the defaults. Everything is copied. */
typedef struct sc_wrap_config {
    const char *key;      /* the function's name in the fleet: required */
    sc_function function; /* required */
    void *user;
    int64_t lock_timeout_ms; /* how long the right to compute lasts, renewed meanwhile: 30,000 */
    int64_t
        ttl_ms; /* how long a result is kept: 1,800,000; SC_TTL_NONE shares and stores nothing */
    int64_t timeout_ms;        /* how long to wait for another process: 60,000; -1: for ever */
    const char *key_prefix;    /* before all keys: "smartcache"; interop: "distributed-promise" */
    const char *lock_prefix;   /* names the locks: "lock" */
    const char *notify_prefix; /* names the channels: "notif" */
    const char *key_separator; /* between the parts of a key: ":" */
    bool interop;         /* speak the wire format of npm's @jpwilliams/distributed-promise, so that
                             its processes and ours share one computation: keys by sigmund, JSON results */
    sc_load_options load; /* what else get-or-load knows; the fields above win where they are set */
} sc_wrap_config;

/* Wrap a function. SC_ERR_ARGUMENT names the field; SC_ERR_MEMORY. Closed before or after the
 * client. */
SC_API sc_status sc_wrap(sc_client *client, const sc_wrap_config *config, sc_wrapped **wrapped);
SC_API void sc_wrapped_close(sc_wrapped *wrapped); /* NULL is fine */

/* Call it: the stored result, or one computation in the fleet. As sc_get_or_load; SC_ERR_ARGUMENT
   names the argument that is no JSON. */
SC_API sc_status sc_call(sc_wrapped *wrapped, const sc_arg *args, size_t arg_count,
                         sc_value **result);
SC_API sc_status sc_call_async(sc_wrapped *wrapped, const sc_arg *args, size_t arg_count,
                               sc_on_value on_value, void *user);
/* The arguments as the text of a JSON array: sc_call_json(w, "[\"foo\", 1]", &result). The function
   gets each element as an argument. */
SC_API sc_status sc_call_json(sc_wrapped *wrapped, const char *json_array, sc_value **result);
/* Forget the result for these arguments, as sc_invalidate. */
SC_API sc_status sc_call_invalidate(sc_wrapped *wrapped, const sc_arg *args, size_t arg_count);
/* The key under which the result for these arguments is stored, for a look by redis-cli. The caller
   releases it. */
SC_API sc_status sc_call_key(sc_wrapped *wrapped, const sc_arg *args, size_t arg_count,
                             sc_value **key);

#ifdef __cplusplus
}
#endif

#endif /* SMARTCACHE_H */

#if defined(SMARTCACHE_IMPLEMENTATION) && !defined(SCI_IMPLEMENTED)
#define SCI_IMPLEMENTED

/* MARK: - Prelude (Private) */
/* Small things that every room uses. */

#include <string.h>

#if !defined(SMARTCACHE_NO_THREADS) && defined(SMARTCACHE_NO_POSIX)
#define SMARTCACHE_NO_THREADS
#endif

/* Functions that rooms share. The product is one translation unit, so there they are static;
   `make layers` compiles each room alone and sets this to extern. */
#ifndef SCI_PRIVATE
#define SCI_PRIVATE static
#endif

/* SMARTCACHE_ASSERT: check the library's own invariants and abort on a broken one. Default: off. */
#ifdef SMARTCACHE_ASSERT
#include <assert.h>
#define sci_assert(condition) assert(condition)
#else
#define sci_assert(condition) ((void)0)
#endif

#if defined(__cplusplus)
#define SCI_STATIC_ASSERT(condition, name) static_assert(condition, #name)
#else
#define SCI_STATIC_ASSERT(condition, name) typedef char sci_static_##name[(condition) ? 1 : -1]
#endif

#define SCI_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The struct of `type` whose `member` `pointer` points to. */
#define SCI_CONTAINER(pointer, type, member)                                                       \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#if defined(__GNUC__) || defined(__clang__)
#define SCI_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define SCI_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#else
#define SCI_LIKELY(condition) (condition)
#define SCI_UNLIKELY(condition) (condition)
#endif

static inline size_t sci_min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t sci_max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static inline int64_t sci_max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}
static inline int64_t sci_min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline bool sci_slice_equal(sc_slice a, sc_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* By bytes, a beginning before what goes on: negative, 0 or positive. */
static inline int sci_slice_compare(sc_slice a, sc_slice b)
{
    size_t shared = sci_min_size(a.len, b.len);
    int order = shared ? memcmp(a.data, b.data, shared) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}
/* Atomic integers with the memory order in the name. */

/* gcc and clang have functions of their own, C11 has a header, tcc on x86 takes assembly, whose
   locked instructions order everything. One thread on a processor without atomic instructions does
   with plain integers. */
#if (defined(__GNUC__) || defined(__clang__)) &&                                                   \
    (!defined(SMARTCACHE_NO_THREADS) || __GCC_ATOMIC_INT_LOCK_FREE == 2)
typedef uint32_t sci_atomic_word;
#define SCI_ATOMIC_LOAD(at, order) __atomic_load_n(at, __ATOMIC_##order)
#define SCI_ATOMIC_STORE(at, value, order) __atomic_store_n(at, value, __ATOMIC_##order)
#define SCI_ATOMIC_ADD(at, amount) __atomic_fetch_add(at, amount, __ATOMIC_ACQ_REL)
#define SCI_ATOMIC_EXCHANGE(at, value) __atomic_exchange_n(at, value, __ATOMIC_ACQ_REL)
#define SCI_ATOMIC_REPLACE(at, expected, value, order, order_if_not)                               \
    __atomic_compare_exchange_n(at, expected, value, false, __ATOMIC_##order,                      \
                                __ATOMIC_##order_if_not)
#elif !defined(SMARTCACHE_NO_THREADS) && !defined(__TINYC__) && !defined(__cplusplus) &&           \
    __STDC_VERSION__ >= 201112L && !defined(__STDC_NO_ATOMICS__)
#include <stdatomic.h>
typedef _Atomic uint32_t sci_atomic_word;
#define SCI_ATOMIC_LOAD(at, order) atomic_load(at)
#define SCI_ATOMIC_STORE(at, value, order) atomic_store(at, value)
#define SCI_ATOMIC_ADD(at, amount) atomic_fetch_add(at, amount)
#define SCI_ATOMIC_EXCHANGE(at, value) atomic_exchange(at, value)
#define SCI_ATOMIC_REPLACE(at, expected, value, order, order_if_not)                               \
    atomic_compare_exchange_strong(at, expected, value)
#else
typedef volatile uint32_t sci_atomic_word;
#define SCI_ATOMIC_LOAD(at, order) (*(at))
#define SCI_ATOMIC_STORE(at, value, order) ((void)(*(at) = (value)))
#define SCI_ATOMIC_ADD(at, amount) sci_atomic_word_add(at, amount)
#define SCI_ATOMIC_EXCHANGE(at, value) sci_atomic_word_exchange(at, value)
#define SCI_ATOMIC_REPLACE(at, expected, value, order, order_if_not)                               \
    sci_atomic_word_replace(at, expected, value)

#if !defined(SMARTCACHE_NO_THREADS) &&                                                             \
    (!defined(__TINYC__) || !(defined(__x86_64__) || defined(__i386__)))
#error "smartcache knows no atomic operations of this compiler: define SMARTCACHE_NO_THREADS"
#endif

static inline uint32_t sci_atomic_word_add(sci_atomic_word *at, uint32_t amount)
{
#if defined(SMARTCACHE_NO_THREADS)
    uint32_t before = *at;
    *at = before + amount;
    return before;
#else
    __asm__ __volatile__("lock; xaddl %0, %1" : "=r"(amount), "+m"(*at) : "0"(amount) : "memory");
    return amount;
#endif
}

static inline uint32_t sci_atomic_word_exchange(sci_atomic_word *at, uint32_t value)
{
#if defined(SMARTCACHE_NO_THREADS)
    uint32_t before = *at;
    *at = value;
    return before;
#else
    __asm__ __volatile__("xchgl %0, %1" : "=r"(value), "+m"(*at) : "0"(value) : "memory");
    return value;
#endif
}

static inline bool sci_atomic_word_replace(sci_atomic_word *at, uint32_t *expected, uint32_t value)
{
    uint32_t before;
#if defined(SMARTCACHE_NO_THREADS)
    before = *at;
    if (before == *expected)
        *at = value;
#else
    __asm__ __volatile__("lock; cmpxchgl %2, %1"
                         : "=a"(before), "+m"(*at)
                         : "r"(value), "0"(*expected)
                         : "memory");
#endif
    bool is_replaced = before == *expected;
    *expected = before;
    return is_replaced;
}
#endif

/* Reference counts and flags are 32 bits wide on every target. */
typedef struct sci_atomic_u32 {
    sci_atomic_word value;
} sci_atomic_u32;

static inline uint32_t sci_atomic_load_relaxed(const sci_atomic_u32 *atomic)
{
    return SCI_ATOMIC_LOAD(&atomic->value, RELAXED);
}

static inline uint32_t sci_atomic_load_acquire(const sci_atomic_u32 *atomic)
{
    return SCI_ATOMIC_LOAD(&atomic->value, ACQUIRE);
}

static inline void sci_atomic_store_relaxed(sci_atomic_u32 *atomic, uint32_t value)
{
    SCI_ATOMIC_STORE(&atomic->value, value, RELAXED);
}

static inline void sci_atomic_store_release(sci_atomic_u32 *atomic, uint32_t value)
{
    SCI_ATOMIC_STORE(&atomic->value, value, RELEASE);
}

/* Both return the value before. */
static inline uint32_t sci_atomic_add(sci_atomic_u32 *atomic, uint32_t amount)
{
    return SCI_ATOMIC_ADD(&atomic->value, amount);
}

static inline uint32_t sci_atomic_subtract(sci_atomic_u32 *atomic, uint32_t amount)
{
    return SCI_ATOMIC_ADD(&atomic->value, 0u - amount);
}

/* Set to `value` if it is `expected`; true when it was. */
static inline bool sci_atomic_swap_if(sci_atomic_u32 *atomic, uint32_t expected, uint32_t value)
{
    return SCI_ATOMIC_REPLACE(&atomic->value, &expected, value, ACQUIRE, RELAXED);
}

/* Set to `value` if it is `*expected`; else false, and `*expected` is what it is. */
static inline bool sci_atomic_replace(sci_atomic_u32 *atomic, uint32_t *expected, uint32_t value)
{
    return SCI_ATOMIC_REPLACE(&atomic->value, expected, value, ACQ_REL, ACQUIRE);
}

/* Set to `value`; returns what it was. */
static inline uint32_t sci_atomic_exchange(sci_atomic_u32 *atomic, uint32_t value)
{
    return SCI_ATOMIC_EXCHANGE(&atomic->value, value);
}
/* An intrusive, circular, doubly linked list: no allocation, removal without knowing the list. */

typedef struct sci_link {
    struct sci_link *next;
    struct sci_link *previous;
} sci_link;

/* The head of a list and a link that is in no list both point to themselves. */
static inline void sci_list_init(sci_link *link)
{
    link->next = link;
    link->previous = link;
}

static inline bool sci_list_is_empty(const sci_link *list)
{
    return list->next == list;
}

static inline bool sci_link_is_in_list(const sci_link *link)
{
    return link->next != link;
}

static inline void sci_list_append(sci_link *list, sci_link *link)
{
    sci_assert(link->next == link);
    link->next = list;
    link->previous = list->previous;
    list->previous->next = link;
    list->previous = link;
}

/* Fine for a link that is in no list. */
static inline void sci_list_remove(sci_link *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    sci_list_init(link);
}

/* The first link, taken out; NULL when the list is empty. */
static inline sci_link *sci_list_take_first(sci_link *list)
{
    sci_link *first = list->next;
    if (first == list)
        return NULL;
    sci_list_remove(first);
    return first;
}

/* Move all of `from` to the end of `to`. */
static inline void sci_list_move_all(sci_link *to, sci_link *from)
{
    if (sci_list_is_empty(from))
        return;
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    sci_list_init(from);
}

/* MARK: - Errors (Private) */
/* The words for statuses, and this thread's detail text. */

/* This thread's detail text. sc_fail (public) is the usual way to set it. */

/* As vsnprintf, with the conversions that sc_fail documents. Always NUL-terminates when cap > 0;
   returns the length written, without the NUL. */
#include <stdarg.h>
SCI_PRIVATE size_t sci_format_list(char *out, size_t cap, const char *format, va_list arguments);
SCI_PRIVATE size_t sci_format(char *out, size_t cap, const char *format, ...) SC_PRINTF(3, 4);

/* Put words that were kept from another thread's failure into this thread's detail text. */
SCI_PRIVATE void sci_error_text_set(const char *text, size_t len);
/* Append to the text that is there. */
SCI_PRIVATE void sci_error_text_add(const char *format, ...) SC_PRINTF(1, 2);

/* Numbers from and to text, independent of locale and of libc. */

#define SCI_I64_TEXT_BYTES 21    /* "-9223372036854775808" and a NUL */
#define SCI_DOUBLE_TEXT_BYTES 32 /* the longest JavaScript Number text and a NUL */

static inline bool sci_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The value of a hexadecimal digit, -1 for any other character. */
static inline int sci_hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decimal digits of `number`, NUL-terminated; returns the length. */
SCI_PRIVATE size_t sci_i64_to_text(int64_t number, char text[SCI_I64_TEXT_BYTES]);
SCI_PRIVATE size_t sci_u64_to_text(uint64_t number, char text[SCI_I64_TEXT_BYTES]);
/* The whole slice must be one decimal integer in range, without leading zeros; "-0" and "+1" are
   none. */
SCI_PRIVATE bool sci_text_to_i64(sc_slice text, int64_t *number);
/* The whole slice must be one decimal floating-point number, as JSON writes them, or inf, -inf,
   nan, -nan as Redis prints them; correctly rounded (round half to even). Too large gives an
   infinity, too small a zero. */
SCI_PRIVATE bool sci_text_to_double(sc_slice text, double *number);
/* The shortest text that reads back as `number`, in the form of ECMAScript Number::toString
   (ECMA-262 section 6.1.6.1.20): "100000000000000000000", "1e+21", "1e-7", "NaN", "Infinity".
   Returns the length. */
SCI_PRIVATE size_t sci_double_to_text(double number, char text[SCI_DOUBLE_TEXT_BYTES]);
/* Threads, mutexes and gates. Under SMARTCACHE_NO_THREADS (default: off; saves about 1 KiB) they
   are empty and nothing waits. */

/* The bit of a gate's word that says that somebody may sleep; the bits above count raises. */
#define SCI_GATE_SLEEPERS 1u

#ifdef SMARTCACHE_NO_THREADS
#define SCI_THREAD_LOCAL
typedef struct sci_mutex {
    char unused;
} sci_mutex;
typedef struct sci_gate {
    sci_atomic_u32 word;
} sci_gate;
typedef struct sci_thread {
    char unused;
} sci_thread;
#else
#include <pthread.h>
/* Where this is not defined (tcc among others), sci_thread_text stands in. */
#if defined(__GNUC__) || defined(__clang__)
#define SCI_THREAD_LOCAL __thread
#elif defined(__cplusplus)
#define SCI_THREAD_LOCAL thread_local
#elif __STDC_VERSION__ >= 201112L && !defined(__STDC_NO_THREADS__) && !defined(__TINYC__)
#define SCI_THREAD_LOCAL _Thread_local
#endif

/* On Linux a futex, since a call locks several times and rarely meets anybody: two instructions
   each way (mutex3 of Drepper, "Futexes Are Tricky", 2011). */
typedef struct sci_mutex {
#if defined(__linux__)
    sci_atomic_u32 word; /* 0 free, 1 held, 2 held and somebody may sleep */
#else
    pthread_mutex_t mutex;
#endif
} sci_mutex;

/* Where threads wait for others: a word that is raised, and a queue of sleepers. On Linux a futex
   (man 2 futex), so that one system call wakes any number without their meeting at a mutex, and no
   system call is made while nobody sleeps. Who has seen it raised may free it at once, even if the
   raising call has not returned. */
typedef struct sci_gate {
    sci_atomic_u32 word; /* private to thread.c */
#if !defined(__linux__)
    pthread_mutex_t mutex;
    pthread_cond_t condition;
#endif
} sci_gate;

typedef struct sci_thread {
    pthread_t handle;
} sci_thread;
#endif

SCI_PRIVATE void sci_mutex_init(sci_mutex *mutex);
SCI_PRIVATE void sci_mutex_free(sci_mutex *mutex);
#if defined(__linux__) && !defined(SMARTCACHE_NO_THREADS)
SCI_PRIVATE void sci_mutex_lock_slowly(sci_mutex *mutex);
SCI_PRIVATE void sci_mutex_wake(sci_mutex *mutex);

static inline void sci_mutex_lock(sci_mutex *mutex)
{
    if (SCI_UNLIKELY(!sci_atomic_swap_if(&mutex->word, 0, 1)))
        sci_mutex_lock_slowly(mutex);
}

static inline void sci_mutex_unlock(sci_mutex *mutex)
{
    if (SCI_UNLIKELY(sci_atomic_exchange(&mutex->word, 0) == 2))
        sci_mutex_wake(mutex);
}

/* Lock, or false when it is held. */
static inline bool sci_mutex_try_lock(sci_mutex *mutex)
{
    return sci_atomic_swap_if(&mutex->word, 0, 1);
}
#else
SCI_PRIVATE bool sci_mutex_try_lock(sci_mutex *mutex);
SCI_PRIVATE void sci_mutex_lock(sci_mutex *mutex);
SCI_PRIVATE void sci_mutex_unlock(sci_mutex *mutex);
#endif

SCI_PRIVATE void sci_gate_init(sci_gate *gate);
SCI_PRIVATE void sci_gate_free(sci_gate *gate);
/* Read this before testing the condition one would wait for. It differs after each raise. */
static inline uint32_t sci_gate_ticket(const sci_gate *gate)
{
    return sci_atomic_load_acquire(&gate->word) & ~SCI_GATE_SLEEPERS;
}
/* Sleep until the gate has been raised since `ticket` was read, or `timeout_ns` passed (-1: for
   ever). May return early. */
SCI_PRIVATE void sci_gate_wait(sci_gate *gate, uint32_t ticket, int64_t timeout_ns);
/* Raise the gate and wake one sleeper, or all. Waiters that read the ticket before do not sleep.
   After wake_one, each raise until the next wake_all makes a system call. */
SCI_PRIVATE void sci_gate_wake_one(sci_gate *gate);
SCI_PRIVATE void sci_gate_wake_all(sci_gate *gate);

/* Start a thread with all signals blocked but those of its own faults (signals belong to the
   application, and so does its crash handler). SC_ERR_UNSUPPORTED without threads, SC_ERR_MEMORY
   when the system has no room for one. */
SCI_PRIVATE sc_status sci_thread_start(sci_thread *thread, void *(*run)(void *), void *argument);
/* As above for a thread that nobody joins. */
SCI_PRIVATE sc_status sci_thread_start_detached(void *(*run)(void *), void *argument);
SCI_PRIVATE void sci_thread_join(sci_thread *thread);
#if !defined(SCI_THREAD_LOCAL)
/* This thread's SC_ERROR_TEXT_BYTES, empty at first; NULL when there is no memory. */
SCI_PRIVATE char *sci_thread_text(void);
#endif

/* A number that differs between the living threads of a process; 1 without threads. */
SCI_PRIVATE uintptr_t sci_thread_self(void);

/* Tells a forked child from its parent without a system call where the kernel can
   (MADV_WIPEONFORK, Linux 4.14), else by process id. */
typedef struct sci_fork_guard {
    sci_atomic_u32 *page; /* owned mapping, or NULL: use process_id */
    long process_id;
} sci_fork_guard;

SCI_PRIVATE void sci_fork_guard_init(sci_fork_guard *guard);
SCI_PRIVATE void sci_fork_guard_free(sci_fork_guard *guard);
/* True in a child that has not called sci_fork_guard_reset since the fork. */
SCI_PRIVATE bool sci_fork_guard_is_child(const sci_fork_guard *guard);
SCI_PRIVATE void sci_fork_guard_reset(sci_fork_guard *guard);

/* Where this thread's text stands; NULL when there is no memory for it. */
#if defined(SCI_THREAD_LOCAL)
static SCI_THREAD_LOCAL char sci_error_buffer[SC_ERROR_TEXT_BYTES];

static inline char *sci_error_own(void)
{
    return sci_error_buffer;
}
#else
static inline char *sci_error_own(void)
{
    return sci_thread_text();
}
#endif

SC_API const char *sc_status_name(sc_status status)
{
    switch (status) {
#define SCI_STATUS_NAME(name, code, message)                                                       \
    case name:                                                                                     \
        return #name;
        SC_STATUS_LIST(SCI_STATUS_NAME)
#undef SCI_STATUS_NAME
    }
    return "?";
}

SC_API const char *sc_status_message(sc_status status)
{
    switch (status) {
#define SCI_STATUS_MESSAGE(name, code, message)                                                    \
    case name:                                                                                     \
        return message;
        SC_STATUS_LIST(SCI_STATUS_MESSAGE)
#undef SCI_STATUS_MESSAGE
    }
    return "a number that is no status";
}

SC_API bool sc_not_executed(sc_status status)
{
    switch (status) {
    case SC_CONFLICT:
    case SC_ERR_ARGUMENT:
    case SC_ERR_URL:
    case SC_ERR_RESOLVE:
    case SC_ERR_CONNECT:
    case SC_ERR_AUTH:
    case SC_ERR_NOT_SENT:
    case SC_ERR_FULL:
    case SC_ERR_CLOSED:
        return true;
    default:
        return false;
    }
}

/* Where formatted text goes, cut at `end`, which keeps one byte for the NUL; and where its
   arguments come from. */
typedef struct sci_format_out {
    char *at;
    char *end;
    va_list arguments;
} sci_format_out;

static void sci_format_put(sci_format_out *out, const char *text, size_t len)
{
    size_t room = (size_t)(out->end - out->at);
    len = sci_min_size(len, room);
    if (len > 0)
        memcpy(out->at, text, len);
    out->at += len;
}

/* A string up to its NUL or, when `limit` is not negative, at most `limit` bytes. */
static void sci_format_put_text(sci_format_out *out, const char *text, int limit)
{
    if (!text)
        text = "(null)";
    size_t len = 0;
    while ((limit < 0 || len < (size_t)limit) && text[len])
        len++;
    sci_format_put(out, text, len);
}

static void sci_format_put_signed(sci_format_out *out, int64_t number)
{
    char text[SCI_I64_TEXT_BYTES];
    sci_format_put(out, text, sci_i64_to_text(number, text));
}

static void sci_format_put_unsigned(sci_format_out *out, uint64_t number)
{
    char text[SCI_I64_TEXT_BYTES];
    sci_format_put(out, text, sci_u64_to_text(number, text));
}

static void sci_format_put_hex(sci_format_out *out, unsigned number)
{
    char digits[2 * sizeof number];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[number % 16];
        number /= 16;
    } while (number > 0);
    sci_format_put(out, digits + at, sizeof digits - at);
}

/* True when `*at` begins with `word`; then moves past it. */
static bool sci_format_take(const char **at, const char *word)
{
    size_t len = strlen(word);
    if (strncmp(*at, word, len) != 0)
        return false;
    *at += len;
    return true;
}

/* The conversion of text at `*at`, moved past; false when there is none. */
static bool sci_format_string(sci_format_out *out, const char **at)
{
    if (sci_format_take(at, "s")) {
        sci_format_put_text(out, va_arg(out->arguments, const char *), -1);
    } else if (sci_format_take(at, ".*s")) {
        int limit = va_arg(out->arguments, int);
        sci_format_put_text(out, va_arg(out->arguments, const char *), limit);
    } else if (sci_format_take(at, "c")) {
        char c = (char)va_arg(out->arguments, int);
        sci_format_put(out, &c, 1);
    } else if (sci_format_take(at, "%")) {
        sci_format_put(out, "%", 1);
    } else {
        return false;
    }
    return true;
}

/* The conversion of a number at `*at`, moved past; false when there is none. */
static bool sci_format_number(sci_format_out *out, const char **at)
{
    if (sci_format_take(at, "d"))
        sci_format_put_signed(out, va_arg(out->arguments, int));
    else if (sci_format_take(at, "u"))
        sci_format_put_unsigned(out, va_arg(out->arguments, unsigned));
    else if (sci_format_take(at, "x"))
        sci_format_put_hex(out, va_arg(out->arguments, unsigned));
    else if (sci_format_take(at, "ld"))
        sci_format_put_signed(out, va_arg(out->arguments, long));
    else if (sci_format_take(at, "lu"))
        sci_format_put_unsigned(out, va_arg(out->arguments, unsigned long));
    else if (sci_format_take(at, "lld"))
        sci_format_put_signed(out, va_arg(out->arguments, long long));
    else if (sci_format_take(at, "llu"))
        sci_format_put_unsigned(out, va_arg(out->arguments, unsigned long long));
    else if (sci_format_take(at, "zu"))
        sci_format_put_unsigned(out, va_arg(out->arguments, size_t));
    else
        return false;
    return true;
}

SCI_PRIVATE size_t sci_format_list(char *out, size_t cap, const char *format, va_list arguments)
{
    if (cap == 0)
        return 0;
    sci_format_out to;
    to.at = out;
    to.end = out + cap - 1;
    va_copy(to.arguments, arguments);
    while (*format) {
        const char *percent = format;
        while (*percent && *percent != '%')
            percent++;
        sci_format_put(&to, format, (size_t)(percent - format));
        format = percent;
        if (!sci_format_take(&format, "%"))
            break;
        if (!sci_format_string(&to, &format) && !sci_format_number(&to, &format)) {
            /* Unknown, so its argument's size is unknown too: show the rest as it stands. */
            sci_format_put(&to, "%", 1);
            sci_format_put_text(&to, format, -1);
            break;
        }
    }
    va_end(to.arguments);
    *to.at = '\0';
    return (size_t)(to.at - out);
}

SCI_PRIVATE size_t sci_format(char *out, size_t cap, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t len = sci_format_list(out, cap, format, arguments);
    va_end(arguments);
    return len;
}

SC_API const char *sc_error_text(void)
{
    const char *own = sci_error_own();
    return own ? own : "";
}

SC_API sc_status sc_fail(sc_status status, const char *format, ...)
{
    /* By way of a copy: an argument may be the text that is there now. */
    char text[SC_ERROR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    size_t len = sci_format_list(text, sizeof text, format, arguments);
    va_end(arguments);
    sci_error_text_set(text, len);
    return status;
}

SCI_PRIVATE void sci_error_text_set(const char *text, size_t len)
{
    char *own = sci_error_own();
    if (!own)
        return;
    len = sci_min_size(len, SC_ERROR_TEXT_BYTES - 1);
    if (len > 0)
        memmove(own, text, len);
    own[len] = '\0';
}

SCI_PRIVATE void sci_error_text_add(const char *format, ...)
{
    char text[SC_ERROR_TEXT_BYTES];
    char *own = sci_error_own();
    if (!own)
        return;
    va_list arguments;
    va_start(arguments, format);
    size_t len = sci_format_list(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t start = strlen(own);
    len = sci_min_size(len, SC_ERROR_TEXT_BYTES - 1 - start);
    memcpy(own + start, text, len);
    own[start + len] = '\0';
}

/* MARK: - Memory (Private) */
/* Allocation through the caller's table, with words when it fails. */

/* Allocation through the caller's table. Sizes are told on freeing, as sc_memory wants them. */

/* NULL when there is no memory; then the thread's detail text says so. Zeroed. */
SCI_PRIVATE void *sci_alloc_zeroed(const sc_memory *memory, size_t size);
/* As realloc; on NULL the old block is as it was. `new_size` > 0. */
SCI_PRIVATE void *sci_resize(const sc_memory *memory, void *block, size_t old_size,
                             size_t new_size);
/* NULL is fine. */
SCI_PRIVATE void sci_free(const sc_memory *memory, void *block, size_t size);
/* A NUL-terminated copy, freed by sci_free_text. NULL when there is no memory. */
SCI_PRIVATE char *sci_copy_text(const sc_memory *memory, sc_slice text);
SCI_PRIVATE void sci_free_text(const sc_memory *memory, char *text);
/* Overwrite a secret so that the compiler cannot leave it out, then free. NULL is fine. */
SCI_PRIVATE void sci_free_secret_text(const sc_memory *memory, char *text);

SCI_PRIVATE void *sci_resize(const sc_memory *memory, void *block, size_t old_size, size_t new_size)
{
    sci_assert(new_size > 0);
    void *resized = memory->resize(memory->user, block, old_size, new_size);
    if (SCI_UNLIKELY(!resized))
        (void)sc_fail(SC_ERR_MEMORY, "out of memory: %zu bytes could not be allocated", new_size);
    return resized;
}

SCI_PRIVATE void *sci_alloc_zeroed(const sc_memory *memory, size_t size)
{
    void *block = sci_resize(memory, NULL, 0, size);
    if (block)
        memset(block, 0, size);
    return block;
}

SCI_PRIVATE void sci_free(const sc_memory *memory, void *block, size_t size)
{
    if (block)
        (void)memory->resize(memory->user, block, size, 0);
}

SCI_PRIVATE char *sci_copy_text(const sc_memory *memory, sc_slice text)
{
    char *copy = (char *)sci_resize(memory, NULL, 0, text.len + 1);
    if (!copy)
        return NULL;
    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return copy;
}

SCI_PRIVATE void sci_free_text(const sc_memory *memory, char *text)
{
    if (text)
        sci_free(memory, text, strlen(text) + 1);
}

SCI_PRIVATE void sci_free_secret_text(const sc_memory *memory, char *text)
{
    if (!text)
        return;
    size_t size = strlen(text) + 1;
    /* Volatile: a memset before freeing would be optimised away. */
    volatile char *wiped = text;
    for (size_t i = 0; i < size; i++)
        wiped[i] = 0;
    sci_free(memory, text, size);
}

/* MARK: - Growable bytes (Private) */
/* Growable bytes: a queue of bytes that grows at the end and is consumed at the front. */

/* Growable bytes: a queue of bytes that grows at the end and is consumed at the front. */

typedef struct sci_bytes {
    sc_memory memory;
    char *data;   /* owned; NULL while cap is 0 */
    size_t start; /* first byte not consumed */
    size_t end;   /* one past the last byte */
    size_t cap;
} sci_bytes;

SCI_PRIVATE void sci_bytes_init(sci_bytes *bytes, const sc_memory *memory);
SCI_PRIVATE void sci_bytes_free(sci_bytes *bytes); /* frees the block and leaves an empty object */
/* Make room for `extra` bytes after the end (moving what is there to the front where that is
   enough). Capacity grows at least by half, and from 512. SC_ERR_MEMORY leaves all as it was. */
SCI_PRIVATE sc_status sci_bytes_reserve(sci_bytes *bytes, size_t extra);
SCI_PRIVATE sc_status sci_bytes_append(sci_bytes *bytes, sc_slice slice);
SCI_PRIVATE sc_status sci_bytes_append_text(sci_bytes *bytes, const char *text);
SCI_PRIVATE sc_status sci_bytes_append_i64(sci_bytes *bytes, int64_t number); /* decimal */
SCI_PRIVATE sc_status sci_bytes_append_char(sci_bytes *bytes, char c);
/* Take `count` bytes off the front; an emptied object starts at 0 again. */
SCI_PRIVATE void sci_bytes_consume(sci_bytes *bytes, size_t count);
/* Remove `count` bytes that begin `offset` bytes after the front. */
SCI_PRIVATE void sci_bytes_cut(sci_bytes *bytes, size_t offset, size_t count);
/* Forget the content and, when the capacity is above `keep_cap`, the block. */
SCI_PRIVATE void sci_bytes_reset(sci_bytes *bytes, size_t keep_cap);

/* Exchange the content of two objects with the same memory. */
static inline void sci_bytes_swap(sci_bytes *a, sci_bytes *b)
{
    char *data = a->data;
    size_t start = a->start, end = a->end, cap = a->cap;
    a->data = b->data;
    a->start = b->start;
    a->end = b->end;
    a->cap = b->cap;
    b->data = data;
    b->start = start;
    b->end = end;
    b->cap = cap;
}

static inline size_t sci_bytes_len(const sci_bytes *bytes)
{
    return bytes->end - bytes->start;
}

static inline sc_slice sci_bytes_slice(const sci_bytes *bytes)
{
    return sc_bytes(bytes->data ? bytes->data + bytes->start : NULL, bytes->end - bytes->start);
}

#define SCI_BYTES_FIRST_CAP 512

SCI_PRIVATE void sci_bytes_init(sci_bytes *bytes, const sc_memory *memory)
{
    bytes->memory = *memory;
    bytes->data = NULL;
    bytes->start = 0;
    bytes->end = 0;
    bytes->cap = 0;
}

SCI_PRIVATE void sci_bytes_free(sci_bytes *bytes)
{
    sci_free(&bytes->memory, bytes->data, bytes->cap);
    bytes->data = NULL;
    bytes->start = 0;
    bytes->end = 0;
    bytes->cap = 0;
}

static void sci_bytes_move_to_front(sci_bytes *bytes)
{
    size_t len = sci_bytes_len(bytes);
    if (bytes->start == 0)
        return;
    if (len > 0)
        memmove(bytes->data, bytes->data + bytes->start, len);
    bytes->start = 0;
    bytes->end = len;
}

static sc_status sci_bytes_grow(sci_bytes *bytes, size_t needed_cap)
{
    size_t grown_cap = bytes->cap + bytes->cap / 2;
    if (grown_cap < bytes->cap)
        grown_cap = needed_cap;
    size_t cap = sci_max_size(sci_max_size(grown_cap, needed_cap), SCI_BYTES_FIRST_CAP);
    char *data = (char *)sci_resize(&bytes->memory, bytes->data, bytes->cap, cap);
    if (!data)
        return SC_ERR_MEMORY;
    bytes->data = data;
    bytes->cap = cap;
    return SC_OK;
}

SCI_PRIVATE sc_status sci_bytes_reserve(sci_bytes *bytes, size_t extra)
{
    if (SCI_LIKELY(bytes->cap - bytes->end >= extra))
        return SC_OK;
    size_t len = sci_bytes_len(bytes);
    if (extra > SIZE_MAX / 2 - len)
        return sc_fail(SC_ERR_MEMORY, "out of memory: a buffer of %zu + %zu bytes is too large",
                       len, extra);
    bool fits = bytes->cap - len >= extra;
    /* Moving is paid for by the bytes consumed since the last time; a nearly full buffer that moved
       for each small append would cost quadratic time. */
    bool move_is_cheap = len / 2 <= bytes->start;
    if (!(fits && move_is_cheap)) {
        sc_status status = sci_bytes_grow(bytes, len + extra);
        if (status != SC_OK && !fits)
            return status;
    }
    sci_bytes_move_to_front(bytes);
    return SC_OK;
}

SCI_PRIVATE sc_status sci_bytes_append(sci_bytes *bytes, sc_slice slice)
{
    sc_status status = sci_bytes_reserve(bytes, slice.len);
    if (status != SC_OK)
        return status;
    if (slice.len > 0)
        memcpy(bytes->data + bytes->end, slice.data, slice.len);
    bytes->end += slice.len;
    return SC_OK;
}

SCI_PRIVATE sc_status sci_bytes_append_text(sci_bytes *bytes, const char *text)
{
    return sci_bytes_append(bytes, sc_text(text));
}

SCI_PRIVATE sc_status sci_bytes_append_i64(sci_bytes *bytes, int64_t number)
{
    char text[SCI_I64_TEXT_BYTES];
    size_t len = sci_i64_to_text(number, text);
    return sci_bytes_append(bytes, sc_bytes(text, len));
}

SCI_PRIVATE sc_status sci_bytes_append_char(sci_bytes *bytes, char c)
{
    sc_status status = sci_bytes_reserve(bytes, 1);
    if (status != SC_OK)
        return status;
    bytes->data[bytes->end++] = c;
    return SC_OK;
}

SCI_PRIVATE void sci_bytes_consume(sci_bytes *bytes, size_t count)
{
    sci_assert(count <= sci_bytes_len(bytes));
    bytes->start += count;
    if (bytes->start == bytes->end) {
        bytes->start = 0;
        bytes->end = 0;
    }
}

SCI_PRIVATE void sci_bytes_cut(sci_bytes *bytes, size_t offset, size_t count)
{
    sci_assert(offset <= sci_bytes_len(bytes) && count <= sci_bytes_len(bytes) - offset);
    if (offset == 0) {
        sci_bytes_consume(bytes, count);
        return;
    }
    size_t from = bytes->start + offset + count;
    if (count > 0 && from < bytes->end)
        memmove(bytes->data + bytes->start + offset, bytes->data + from, bytes->end - from);
    bytes->end -= count;
}

SCI_PRIVATE void sci_bytes_reset(sci_bytes *bytes, size_t keep_cap)
{
    bytes->start = 0;
    bytes->end = 0;
    if (bytes->cap > keep_cap)
        sci_bytes_free(bytes);
}

/* MARK: - Hash (Private) */
/* SipHash-1-3: one round a word, three to finish. */

/* SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012): a keyed hash, so
   that chosen keys cannot be made to collide. */

typedef struct sci_hash_seed {
    uint64_t k0, k1;
} sci_hash_seed;

SCI_PRIVATE uint64_t sci_hash(const sci_hash_seed *seed, sc_slice bytes);

typedef struct sci_hash_state {
    uint64_t v0, v1, v2, v3;
} sci_hash_state;

static inline uint64_t sci_hash_rotate(uint64_t word, unsigned bits)
{
    return (word << bits) | (word >> (64 - bits));
}

static inline void sci_hash_round(sci_hash_state *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = sci_hash_rotate(s->v1, 13) ^ s->v0;
    s->v3 = sci_hash_rotate(s->v3, 16) ^ s->v2;
    s->v0 = sci_hash_rotate(s->v0, 32) + s->v3;
    s->v2 += s->v1;
    s->v3 = sci_hash_rotate(s->v3, 21) ^ s->v0;
    s->v1 = sci_hash_rotate(s->v1, 17) ^ s->v2;
    s->v2 = sci_hash_rotate(s->v2, 32);
}

static inline void sci_hash_add(sci_hash_state *s, uint64_t word)
{
    s->v3 ^= word;
    sci_hash_round(s);
    s->v0 ^= word;
}

/* Eight bytes, the lowest first. Compilers make one load of it. */
static inline uint64_t sci_hash_word(const unsigned char *at)
{
    return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24 |
           (uint64_t)at[4] << 32 | (uint64_t)at[5] << 40 | (uint64_t)at[6] << 48 |
           (uint64_t)at[7] << 56;
}

SCI_PRIVATE uint64_t sci_hash(const sci_hash_seed *seed, sc_slice bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.data;
    size_t words = bytes.len / 8;
    size_t rest = bytes.len % 8;
    sci_hash_state s;
    /* The constants spell "somepseudorandomlygeneratedbytes". */
    s.v0 = seed->k0 ^ UINT64_C(0x736f6d6570736575);
    s.v1 = seed->k1 ^ UINT64_C(0x646f72616e646f6d);
    s.v2 = seed->k0 ^ UINT64_C(0x6c7967656e657261);
    s.v3 = seed->k1 ^ UINT64_C(0x7465646279746573);

    for (; words > 0; words--, at += 8)
        sci_hash_add(&s, sci_hash_word(at));

    uint64_t last = (uint64_t)bytes.len << 56;
    for (size_t i = 0; i < rest; i++)
        last |= (uint64_t)at[i] << (8 * i);
    sci_hash_add(&s, last);

    s.v2 ^= 0xff;
    sci_hash_round(&s);
    sci_hash_round(&s);
    sci_hash_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/* MARK: - SHA-1 (Private) */
/* SHA-1, straight from FIPS 180-4 section 6.1. Names in comments and variables are the standard's.
 */

/* SHA-1 (FIPS 180-4): names for scripts (EVALSHA) and for long texts, the same on every machine.
   Not for secrets: collisions can be made on purpose. */

#define SCI_SHA1_HEX_BYTES 41 /* 40 digits and a NUL */

/* The digest of `bytes` as 40 lower-case hexadecimal digits, NUL-terminated. */
SCI_PRIVATE void sci_sha1(sc_slice bytes, char hex[SCI_SHA1_HEX_BYTES]);

#define SCI_SHA1_BLOCK_BYTES 64
#define SCI_SHA1_LENGTH_BYTES 8 /* the bit count that ends the last block */
#define SCI_SHA1_WORDS 5

static uint32_t sci_sha1_rotate(uint32_t word, unsigned bits)
{
    return (word << bits) | (word >> (32 - bits));
}

/* The message schedule W (section 6.1.2, step 1). */
static void sci_sha1_schedule(const unsigned char *block, uint32_t w[80])
{
    for (unsigned t = 0; t < 16; t++)
        w[t] = ((uint32_t)block[4 * t] << 24) | ((uint32_t)block[4 * t + 1] << 16) |
               ((uint32_t)block[4 * t + 2] << 8) | (uint32_t)block[4 * t + 3];
    for (unsigned t = 16; t < 80; t++)
        w[t] = sci_sha1_rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
}

static void sci_sha1_block(uint32_t state[SCI_SHA1_WORDS], const unsigned char *block)
{
    uint32_t w[80];
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];

    sci_sha1_schedule(block, w);
    for (unsigned t = 0; t < 80; t++) {
        uint32_t mixed;
        if (t < 20)
            mixed = ((b & c) | (~b & d)) + 0x5a827999u;
        else if (t < 40)
            mixed = (b ^ c ^ d) + 0x6ed9eba1u;
        else if (t < 60)
            mixed = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdcu;
        else
            mixed = (b ^ c ^ d) + 0xca62c1d6u;
        mixed += sci_sha1_rotate(a, 5) + e + w[t];
        e = d;
        d = c;
        c = sci_sha1_rotate(b, 30);
        b = a;
        a = mixed;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

/* The bytes after the last whole block, padded to one block or two (section 5.1.1). */
static void sci_sha1_finish(uint32_t state[SCI_SHA1_WORDS], const char *rest, size_t rest_len,
                            uint64_t total_bytes)
{
    unsigned char tail[2 * SCI_SHA1_BLOCK_BYTES];
    size_t tail_len = rest_len + 1 + SCI_SHA1_LENGTH_BYTES <= SCI_SHA1_BLOCK_BYTES
                          ? SCI_SHA1_BLOCK_BYTES
                          : 2 * SCI_SHA1_BLOCK_BYTES;

    memset(tail, 0, sizeof tail);
    if (rest_len)
        memcpy(tail, rest, rest_len);
    tail[rest_len] = 0x80;
    uint64_t total_bits = total_bytes * 8;
    for (size_t i = 1; i <= SCI_SHA1_LENGTH_BYTES; i++, total_bits >>= 8)
        tail[tail_len - i] = (unsigned char)(total_bits & 0xff);
    for (size_t at = 0; at < tail_len; at += SCI_SHA1_BLOCK_BYTES)
        sci_sha1_block(state, tail + at);
}

SCI_PRIVATE void sci_sha1(sc_slice bytes, char hex[SCI_SHA1_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    uint32_t state[SCI_SHA1_WORDS] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u,
                                      0xc3d2e1f0u};
    size_t whole = bytes.len - bytes.len % SCI_SHA1_BLOCK_BYTES;

    for (size_t at = 0; at < whole; at += SCI_SHA1_BLOCK_BYTES)
        sci_sha1_block(state, (const unsigned char *)bytes.data + at);
    sci_sha1_finish(state, whole < bytes.len ? bytes.data + whole : NULL, bytes.len - whole,
                    (uint64_t)bytes.len);

    for (unsigned i = 0; i < 2 * 4 * SCI_SHA1_WORDS; i++)
        hex[i] = digits[(state[i / 8] >> (28 - 4 * (i % 8))) & 0xf];
    hex[SCI_SHA1_HEX_BYTES - 1] = '\0';
}

/* MARK: - Hash map (Private) */
/* An intrusive hash map: chains of nodes that their owners own, under an array of buckets that
   doubles and halves with the count. */

/* An intrusive hash map from bytes to structs. The node lives in the owner's struct and borrows the
   owner's key; nothing but the bucket array is allocated, and putting never fails: when the array
   cannot grow, chains get longer. The array halves again when nodes go. */

typedef struct sci_map_node {
    struct sci_map_node *next;
    uint64_t hash;
    sc_slice key; /* borrowed from the owner, unchanged while in the map */
} sci_map_node;

#define SCI_MAP_INLINE_BUCKETS 8

typedef struct sci_map {
    sc_memory memory;
    sci_hash_seed seed;
    sci_map_node **buckets; /* `inline_buckets`, or owned */
    size_t bucket_count;    /* a power of two */
    size_t count;           /* nodes */
    sci_map_node *inline_buckets[SCI_MAP_INLINE_BUCKETS];
} sci_map;

/* A map must not be moved after this. */
SCI_PRIVATE void sci_map_init(sci_map *map, const sc_memory *memory, sci_hash_seed seed);
/* Frees the bucket array; nodes belong to their owners. */
SCI_PRIVATE void sci_map_free(sci_map *map);
SCI_PRIVATE uint64_t sci_map_hash(const sci_map *map, sc_slice key);
/* The node, or NULL. `hash` comes from sci_map_hash. */
SCI_PRIVATE sci_map_node *sci_map_find(const sci_map *map, sc_slice key, uint64_t hash);
/* Insert a node whose key is not in the map; fills in `node`. */
SCI_PRIVATE void sci_map_put(sci_map *map, sci_map_node *node, sc_slice key, uint64_t hash);
/* Remove a node that is in the map. */
SCI_PRIVATE void sci_map_remove(sci_map *map, sci_map_node *node);

SCI_PRIVATE void sci_map_init(sci_map *map, const sc_memory *memory, sci_hash_seed seed)
{
    memset(map, 0, sizeof *map);
    map->memory = *memory;
    map->seed = seed;
    map->buckets = map->inline_buckets;
    map->bucket_count = SCI_MAP_INLINE_BUCKETS;
}

static void sci_map_free_buckets(sci_map *map)
{
    if (map->buckets != map->inline_buckets)
        sci_free(&map->memory, map->buckets, map->bucket_count * sizeof *map->buckets);
}

SCI_PRIVATE void sci_map_free(sci_map *map)
{
    sci_map_free_buckets(map);
    memset(map->inline_buckets, 0, sizeof map->inline_buckets);
    map->buckets = map->inline_buckets;
    map->bucket_count = SCI_MAP_INLINE_BUCKETS;
    map->count = 0;
}

SCI_PRIVATE uint64_t sci_map_hash(const sci_map *map, sc_slice key)
{
    return sci_hash(&map->seed, key);
}

static inline size_t sci_map_index(const sci_map *map, uint64_t hash)
{
    return (size_t)hash & (map->bucket_count - 1);
}

SCI_PRIVATE sci_map_node *sci_map_find(const sci_map *map, sc_slice key, uint64_t hash)
{
    sci_map_node *node = map->buckets[sci_map_index(map, hash)];
    while (node && !(node->hash == hash && sci_slice_equal(node->key, key)))
        node = node->next;
    return node;
}

static void sci_map_link(sci_map *map, sci_map_node *node)
{
    size_t index = sci_map_index(map, node->hash);
    node->next = map->buckets[index];
    map->buckets[index] = node;
}

/* Move all nodes to an array of `bucket_count`; without memory for it nothing changes, and that is
   no failure, so the table is called without setting the detail text. */
static void sci_map_rehash(sci_map *map, size_t bucket_count)
{
    sci_map_node **old_buckets = map->buckets;
    size_t old_count = map->bucket_count;
    sci_map_node **buckets = map->inline_buckets;
    size_t size = bucket_count * sizeof *buckets;
    if (bucket_count > SCI_MAP_INLINE_BUCKETS)
        buckets = (sci_map_node **)map->memory.resize(map->memory.user, NULL, 0, size);
    if (!buckets)
        return;
    memset(buckets, 0, size);
    /* From the inline array to the inline array there is no way: the counts differ. */
    sci_assert(buckets != old_buckets);
    map->buckets = buckets;
    map->bucket_count = bucket_count;
    for (size_t i = 0; i < old_count; i++) {
        for (sci_map_node *node = old_buckets[i], *next; node; node = next) {
            next = node->next;
            sci_map_link(map, node);
        }
    }
    if (old_buckets != map->inline_buckets)
        sci_free(&map->memory, old_buckets, old_count * sizeof *old_buckets);
}

SCI_PRIVATE void sci_map_put(sci_map *map, sci_map_node *node, sc_slice key, uint64_t hash)
{
    sci_assert(!sci_map_find(map, key, hash));
    if (map->count >= map->bucket_count && map->bucket_count <= SIZE_MAX / 2 / sizeof *map->buckets)
        sci_map_rehash(map, map->bucket_count * 2);
    node->key = key;
    node->hash = hash;
    sci_map_link(map, node);
    map->count++;
}

SCI_PRIVATE void sci_map_remove(sci_map *map, sci_map_node *node)
{
    sci_map_node **at = &map->buckets[sci_map_index(map, node->hash)];
    while (*at != node) {
        sci_assert(*at);
        at = &(*at)->next;
    }
    *at = node->next;
    node->next = NULL;
    map->count--;
    /* An eighth full is far from both doubling and halving again. */
    if (map->bucket_count > SCI_MAP_INLINE_BUCKETS && map->count < map->bucket_count / 8)
        sci_map_rehash(map, map->bucket_count / 2);
}

/* MARK: - Timer heap (Private) */
/* A pairing heap: the root is the smallest; each node has a list of children, none smaller. */

/* A pairing heap (Fredman, Sedgewick, Sleator, Tarjan, 1986), intrusive: it never allocates, so
   arming a timer cannot fail. Insert O(1), remove O(log n) amortised. */

typedef struct sci_heap_node {
    struct sci_heap_node *child;    /* first child */
    struct sci_heap_node *next;     /* next sibling */
    struct sci_heap_node *previous; /* previous sibling, or the parent for a first child */
    int64_t key;                    /* smallest first */
    bool is_in_heap;
} sci_heap_node;

typedef struct sci_heap {
    sci_heap_node *root;
} sci_heap;

/* `node` must not be in a heap. */
SCI_PRIVATE void sci_heap_insert(sci_heap *heap, sci_heap_node *node, int64_t key);
/* Fine for a node that is in no heap. */
SCI_PRIVATE void sci_heap_remove(sci_heap *heap, sci_heap_node *node);

/* The node with the smallest key, or NULL. */
static inline sci_heap_node *sci_heap_first(const sci_heap *heap)
{
    return heap->root;
}

/* Join two trees (either may be NULL); the root of the result is detached from siblings. */
static sci_heap_node *sci_heap_meld(sci_heap_node *a, sci_heap_node *b)
{
    if (!a)
        return b;
    if (!b)
        return a;
    sci_heap_node *parent = b->key < a->key ? b : a;
    sci_heap_node *child = parent == a ? b : a;
    child->previous = parent;
    child->next = parent->child;
    if (child->next)
        child->next->previous = child;
    parent->child = child;
    parent->next = NULL;
    parent->previous = NULL;
    return parent;
}

/* Join a list of siblings to one tree: pairs from left to right, then those from right to left.
   That order is what makes removal O(log n) amortised. */
static sci_heap_node *sci_heap_meld_siblings(sci_heap_node *first)
{
    sci_heap_node *pairs = NULL; /* linked by `next`, the last pair first */
    while (first) {
        sci_heap_node *a = first;
        sci_heap_node *b = a->next;
        first = b ? b->next : NULL;
        sci_heap_node *pair = sci_heap_meld(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    sci_heap_node *root = NULL;
    while (pairs) {
        sci_heap_node *next = pairs->next;
        root = sci_heap_meld(root, pairs);
        pairs = next;
    }
    if (root) {
        root->next = NULL;
        root->previous = NULL;
    }
    return root;
}

SCI_PRIVATE void sci_heap_insert(sci_heap *heap, sci_heap_node *node, int64_t key)
{
    sci_assert(!node->is_in_heap);
    node->child = NULL;
    node->next = NULL;
    node->previous = NULL;
    node->key = key;
    node->is_in_heap = true;
    heap->root = sci_heap_meld(heap->root, node);
}

SCI_PRIVATE void sci_heap_remove(sci_heap *heap, sci_heap_node *node)
{
    if (!node->is_in_heap)
        return;
    sci_heap_node *rest = sci_heap_meld_siblings(node->child);
    if (node == heap->root) {
        heap->root = rest;
    } else {
        if (node->previous->child == node)
            node->previous->child = node->next;
        else
            node->previous->next = node->next;
        if (node->next)
            node->next->previous = node->previous;
        heap->root = sci_heap_meld(heap->root, rest);
    }
    node->child = NULL;
    node->next = NULL;
    node->previous = NULL;
    node->is_in_heap = false;
}

/* MARK: - Integers (Private) */
/* Integers from and to text. */

SCI_PRIVATE size_t sci_u64_to_text(uint64_t number, char text[SCI_I64_TEXT_BYTES])
{
    char digits[SCI_I64_TEXT_BYTES];
    size_t at = sizeof digits;
    while (number > UINT32_MAX) {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    }
    /* 32-bit machines divide these much faster. */
    uint32_t rest = (uint32_t)number;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    size_t len = sizeof digits - at;
    memcpy(text, digits + at, len);
    text[len] = '\0';
    return len;
}

SCI_PRIVATE size_t sci_i64_to_text(int64_t number, char text[SCI_I64_TEXT_BYTES])
{
    if (number >= 0)
        return sci_u64_to_text((uint64_t)number, text);
    text[0] = '-';
    /* 19 digits at most, so the NUL after them fits. */
    char digits[SCI_I64_TEXT_BYTES];
    size_t len = sci_u64_to_text(0 - (uint64_t)number, digits);
    memcpy(text + 1, digits, len + 1);
    return len + 1;
}

SCI_PRIVATE bool sci_text_to_i64(sc_slice text, int64_t *number)
{
    size_t at = 0;
    bool is_negative = text.len > 0 && text.data[0] == '-';
    if (is_negative)
        at++;
    size_t digits = text.len - at;
    if (digits == 0 || digits > 19)
        return false;
    if (text.data[at] == '0' && (digits > 1 || is_negative))
        return false;
    /* 19 digits cannot overflow 64 bits without a sign. */
    uint64_t magnitude = 0;
    for (; at < text.len; at++) {
        if (!sci_is_digit(text.data[at]))
            return false;
        magnitude = magnitude * 10 + (uint64_t)(text.data[at] - '0');
    }
    if (magnitude > (uint64_t)INT64_MAX + is_negative)
        return false;
    if (!is_negative)
        *number = (int64_t)magnitude;
    else
        *number = -(int64_t)(magnitude - 1) - 1;
    return true;
}

/* MARK: - Exact integers (Private) */
/* Exact integers. */

/* Exact integers for what lies between numbers and their texts: of 128 bits, and of as many words as
   the caller has. */

typedef struct sci_u128 {
    uint64_t high, low;
} sci_u128;

static inline sci_u128 sci_u128_multiply(uint64_t a, uint64_t b)
{
    sci_u128 product;
#if defined(__SIZEOF_INT128__)
    __extension__ typedef unsigned __int128 sci_wide;
    sci_wide wide = (sci_wide)a * b;
    product.high = (uint64_t)(wide >> 64);
    product.low = (uint64_t)wide;
#else
    uint64_t a_low = (uint32_t)a, a_high = a >> 32;
    uint64_t b_low = (uint32_t)b, b_high = b >> 32;
    uint64_t low = a_low * b_low;
    uint64_t middle = a_high * b_low + (low >> 32);
    uint64_t middle_2 = a_low * b_high + (uint32_t)middle;
    product.high = a_high * b_high + (middle >> 32) + (middle_2 >> 32);
    product.low = middle_2 << 32 | (uint32_t)low;
#endif
    return product;
}

static inline unsigned sci_leading_zeros(uint64_t word)
{
#if defined(__GNUC__) || defined(__clang__)
    return (unsigned)__builtin_clzll(word);
#else
    unsigned count = 0;
    for (; !(word >> 63); word <<= 1)
        count++;
    return count;
#endif
}

/* 5^power, for powers up to 27. */
SCI_PRIVATE uint64_t sci_power_of_five(unsigned power);

typedef struct sci_big {
    size_t count;    /* words in use; the last is not 0 */
    size_t cap;      /* what the caller knows to be enough */
    uint32_t *words; /* the caller's; the lowest first */
} sci_big;

SCI_PRIVATE void sci_big_init(sci_big *big, uint32_t *words, size_t cap); /* 0 */
SCI_PRIVATE void sci_big_set(sci_big *big, uint64_t value);
SCI_PRIVATE void sci_big_multiply_add(sci_big *big, uint32_t factor, uint32_t addend);
SCI_PRIVATE void sci_big_multiply_power_of_five(sci_big *big, unsigned power);
SCI_PRIVATE void sci_big_shift(sci_big *big, unsigned bits); /* to the left */
SCI_PRIVATE int sci_big_compare(const sci_big *a, const sci_big *b);

/* 5^0 to 5^13. */
static const uint32_t sci_five_table[] = {1,       5,        25,        125,       625,
                                          3125,    15625,    78125,     390625,    1953125,
                                          9765625, 48828125, 244140625, 1220703125};

SCI_PRIVATE uint64_t sci_power_of_five(unsigned power)
{
    if (power < 14)
        return sci_five_table[power];
    return sci_five_table[power - 14] * UINT64_C(6103515625);
}

SCI_PRIVATE void sci_big_init(sci_big *big, uint32_t *words, size_t cap)
{
    big->count = 0;
    big->cap = cap;
    big->words = words;
}

SCI_PRIVATE void sci_big_multiply_add(sci_big *big, uint32_t factor, uint32_t addend)
{
    uint64_t carry = addend;
    for (size_t i = 0; i < big->count; i++) {
        carry += (uint64_t)big->words[i] * factor;
        big->words[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry > 0) {
        sci_assert(big->count < big->cap);
        big->words[big->count++] = (uint32_t)carry;
    }
}

SCI_PRIVATE void sci_big_set(sci_big *big, uint64_t value)
{
    big->count = 0;
    for (; value > 0; value >>= 32)
        big->words[big->count++] = (uint32_t)value;
}

SCI_PRIVATE void sci_big_multiply_power_of_five(sci_big *big, unsigned power)
{
    for (; power >= 13; power -= 13)
        sci_big_multiply_add(big, sci_five_table[13], 0);
    sci_big_multiply_add(big, sci_five_table[power], 0);
}

SCI_PRIVATE void sci_big_shift(sci_big *big, unsigned bits)
{
    size_t words = bits / 32;
    sci_big_multiply_add(big, UINT32_C(1) << bits % 32, 0);
    if (words == 0 || big->count == 0)
        return;
    sci_assert(big->count + words <= big->cap);
    memmove(big->words + words, big->words, big->count * sizeof big->words[0]);
    memset(big->words, 0, words * sizeof big->words[0]);
    big->count += words;
}

SCI_PRIVATE int sci_big_compare(const sci_big *a, const sci_big *b)
{
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    for (size_t i = a->count; i > 0; i--) {
        if (a->words[i - 1] != b->words[i - 1])
            return a->words[i - 1] < b->words[i - 1] ? -1 : 1;
    }
    return 0;
}

/* MARK: - Decimals (Private) */
/* Decimal numbers as text has them, in parts. */

/* What the ways between numbers and their texts share. */

/* MARK: Powers of ten */

#define SCI_POWER_MIN (-342)
#define SCI_POWER_MAX 340

/* The first 128 bits, cut, of 10^power. */
SCI_PRIVATE sci_u128 sci_power_of_ten(int power);

/* floor(value / 2^bits); compilers shift negative numbers arithmetically. */
static inline int sci_floor_shift(int value, unsigned bits)
{
    return value >> bits;
}

/* floor(log2(10^power)) */
static inline int sci_log2_of_power(int power)
{
    return sci_floor_shift(power * 1741647, 19);
}

/* floor(log10(2^power)) */
static inline int sci_log10_of_power(int power)
{
    return sci_floor_shift(power * 1262611, 22);
}

/* MARK: Doubles as bits */

#define SCI_DOUBLE_MANTISSA_BITS 52
#define SCI_DOUBLE_HIDDEN_BIT (UINT64_C(1) << SCI_DOUBLE_MANTISSA_BITS)
#define SCI_DOUBLE_EXPONENT_MAX 0x7ff
#define SCI_DOUBLE_LEAST_EXPONENT (-1074)
#define SCI_DOUBLE_INFINITY ((uint64_t)SCI_DOUBLE_EXPONENT_MAX << SCI_DOUBLE_MANTISSA_BITS)
#define SCI_DOUBLE_NAN (SCI_DOUBLE_INFINITY | SCI_DOUBLE_HIDDEN_BIT >> 1)
#define SCI_DOUBLE_SIGN (UINT64_C(1) << 63)

SCI_STATIC_ASSERT(sizeof(double) == sizeof(uint64_t), double_has_64_bits);

static inline double sci_double_from_bits(uint64_t bits)
{
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static inline uint64_t sci_double_to_bits(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

/* The double as an integer mantissa and the power of two that it is multiplied with. */
static inline uint64_t sci_double_split(uint64_t bits, int *exponent)
{
    uint64_t mantissa = bits & (SCI_DOUBLE_HIDDEN_BIT - 1);
    int biased = (int)(bits >> SCI_DOUBLE_MANTISSA_BITS & SCI_DOUBLE_EXPONENT_MAX);
    if (biased > 0)
        mantissa |= SCI_DOUBLE_HIDDEN_BIT;
    else
        biased = 1;
    *exponent = biased - 1 + SCI_DOUBLE_LEAST_EXPONENT;
    return mantissa;
}

/* MARK: Numbers as text has them */

/* 19 digits always fit 64 bits. */
#define SCI_DECIMAL_DIGITS 19

typedef struct sci_decimal {
    bool is_negative;
    bool is_cut;          /* digits other than 0 follow those in `digits` */
    uint64_t digits;      /* the first 19 significant ones */
    int64_t exponent;     /* the number is digits * 10^exponent, or a bit more when cut */
    sc_slice significant; /* from the first digit that is not 0; may hold a point */
} sci_decimal;

typedef enum sci_decimal_rules {
    SCI_DECIMAL_JSON, /* RFC 8259 section 6 */
    SCI_DECIMAL_C     /* as strtod: also "+1", "01", ".5" and "1." */
} sci_decimal_rules;

/* A sign, or none, at `at`; returns what follows. */
SCI_PRIVATE const char *sci_number_parse_sign(const char *at, const char *end, bool *is_negative);
/* What follows the letter of an exponent, added to `*exponent`, which stays far from overflow.
   Returns the end, NULL when there is none. */
SCI_PRIVATE const char *sci_number_parse_exponent(const char *at, const char *end,
                                                  int64_t *exponent);
/* False when the whole text is not one number. */
SCI_PRIVATE bool sci_decimal_parse(sci_decimal *decimal, sc_slice text, sci_decimal_rules rules);
/* All digits that matter as one integer, at most `most` and one that stands for more; returns how
   many they are. */
SCI_PRIVATE unsigned sci_decimal_exact_digits(const sci_decimal *decimal, size_t most,
                                              sci_big *big);

/* Correctly rounded; too large gives an infinity, too small a zero. */
SCI_PRIVATE double sci_decimal_to_double(const sci_decimal *decimal);

/* MARK: Text from numbers */

static inline char *sci_text_put(char *at, const char *text, size_t len)
{
    memcpy(at, text, len);
    return at + len;
}

/* The digits with a point behind `point` of them (0 or less: zeros are put before, more than there
   are: behind), as ECMAScript's Number::toString has it. Returns the end. */
SCI_PRIVATE char *sci_shortest_put(char *at, const char *digits, size_t len, int point);

SCI_PRIVATE const char *sci_number_parse_sign(const char *at, const char *end, bool *is_negative)
{
    *is_negative = at < end && *at == '-';
    return at < end && (*at == '-' || *at == '+') ? at + 1 : at;
}

/* An exponent's absolute value is cut here: far outside every double, and far from overflow even
   when a text of the greatest length is added. */
#define SCI_DECIMAL_EXPONENT_CUT (INT64_MAX / 4)

SCI_PRIVATE const char *sci_number_parse_exponent(const char *at, const char *end,
                                                  int64_t *exponent)
{
    bool is_negative;
    at = sci_number_parse_sign(at, end, &is_negative);
    if (at == end || !sci_is_digit(*at))
        return NULL;
    int64_t value = 0;
    for (; at < end && sci_is_digit(*at); at++) {
        if (value < SCI_DECIMAL_EXPONENT_CUT / 10)
            value = value * 10 + (*at - '0');
    }
    *exponent += is_negative ? -value : value;
    return at;
}

/* Take the digits at `at`; `point` is 1 for those after the point. Returns the end. */
static const char *sci_decimal_parse_digits(sci_decimal *decimal, const char *at, const char *end,
                                            int point, unsigned *count)
{
    for (; at < end && sci_is_digit(*at); at++) {
        unsigned digit = (unsigned)(*at - '0');
        if (*count == 0 && digit > 0)
            decimal->significant.data = at;
        if (*count < SCI_DECIMAL_DIGITS) {
            decimal->digits = decimal->digits * 10 + digit;
            decimal->exponent -= point;
            *count += decimal->digits > 0;
        } else {
            decimal->exponent += 1 - point;
            decimal->is_cut = decimal->is_cut || digit > 0;
        }
    }
    return at;
}

/* A sign, digits, and a point with digits. Returns the end, NULL when it is none of that. */
static const char *sci_decimal_parse_mantissa(sci_decimal *decimal, const char *at, const char *end,
                                              sci_decimal_rules rules)
{
    bool is_json = rules == SCI_DECIMAL_JSON;
    unsigned count = 0;
    if (is_json && at < end && *at == '+')
        return NULL;
    at = sci_number_parse_sign(at, end, &decimal->is_negative);
    const char *whole = at;
    at = sci_decimal_parse_digits(decimal, at, end, 0, &count);
    size_t whole_digits = (size_t)(at - whole), fraction_digits = 0;
    if (is_json && (whole_digits == 0 || (whole_digits > 1 && *whole == '0')))
        return NULL;
    if (at < end && *at == '.') {
        const char *fraction = ++at;
        at = sci_decimal_parse_digits(decimal, at, end, 1, &count);
        fraction_digits = (size_t)(at - fraction);
        if (is_json && fraction_digits == 0)
            return NULL;
    }
    if (whole_digits + fraction_digits == 0)
        return NULL;
    if (decimal->significant.data)
        decimal->significant.len = (size_t)(at - decimal->significant.data);
    return at;
}

SCI_PRIVATE bool sci_decimal_parse(sci_decimal *decimal, sc_slice text, sci_decimal_rules rules)
{
    const char *end = text.data + text.len;
    memset(decimal, 0, sizeof *decimal);
    const char *at = sci_decimal_parse_mantissa(decimal, text.data, end, rules);
    if (at && at < end && (*at == 'e' || *at == 'E'))
        at = sci_number_parse_exponent(at + 1, end, &decimal->exponent);
    return at && at == end;
}

SCI_PRIVATE unsigned sci_decimal_exact_digits(const sci_decimal *decimal, size_t most, sci_big *big)
{
    unsigned count = 0;
    bool is_more = false;
    uint32_t chunk = 0, scale = 1;
    sci_big_set(big, 0);
    for (size_t i = 0; i < decimal->significant.len && !is_more; i++) {
        char c = decimal->significant.data[i];
        if (c == '.')
            continue;
        if (count == most) {
            is_more = c != '0';
            continue;
        }
        chunk = chunk * 10 + (uint32_t)(c - '0');
        scale *= 10;
        count++;
        if (scale == 1000000000) {
            sci_big_multiply_add(big, scale, chunk);
            chunk = 0;
            scale = 1;
        }
    }
    sci_big_multiply_add(big, scale, chunk);
    if (is_more) {
        sci_big_multiply_add(big, 10, 1);
        count++;
    }
    return count;
}

/* MARK: - Doubles (Private) */
/* Doubles from and to text.

   Text to double is the algorithm of Eisel and Lemire (D. Lemire, "Number parsing at a gigabyte per
   second", 2021; without its fallback: N. Mushtak, D. Lemire, "Fast number parsing without
   fallback", 2023). Double to text is Schubfach (R. Giulietti, "The Schubfach way to render
   doubles", 2020). Both want the powers of ten to 128 bits, which are made from a table of every
   28th. */

#include <float.h>

/* MARK: Powers of ten */

#define SCI_POWER_STEP 28
#define SCI_POWER_FIRST (-364)

/* The first 192 bits, cut, of 10^-364, 10^-336, ... 10^336. (floor(10^power * 2^n), for the n that
   gives 192 bits.) */
static const uint64_t sci_power_table[][3] = {
    {UINT64_C(0xe1afa13afbd14d6d), UINT64_C(0x82189c09a3a1ec21), UINT64_C(0x7a43516213c7e04c)},
    {UINT64_C(0xe3e27a444d8d98b7), UINT64_C(0xfd1b1b2308169b25), UINT64_C(0x363b1f2c568dc3e2)},
    {UINT64_C(0xe61acf033d1a45df), UINT64_C(0x6fb92487298e33bd), UINT64_C(0xadd7728c20b99bd1)},
    {UINT64_C(0xe858ad248f5c22c9), UINT64_C(0xd1b3400f8f9cff68), UINT64_C(0xf910f9f648232f14)},
    {UINT64_C(0xea9c227723ee8bcb), UINT64_C(0x465e15a979c1cadc), UINT64_C(0x0a0ce827eac11f2d)},
    {UINT64_C(0xece53cec4a314ebd), UINT64_C(0xa4f8bf5635246428), UINT64_C(0x4609ac5c7899ca36)},
    {UINT64_C(0xef340a98172aace4), UINT64_C(0x86fb897116c87c34), UINT64_C(0x9c39c1da4c49278d)},
    {UINT64_C(0xf18899b1bc3f8ca1), UINT64_C(0xdc44e6c3cb279ac1), UINT64_C(0xf80f36174730ca34)},
    {UINT64_C(0xf3e2f893dec3f126), UINT64_C(0x5a89dba3c3efccfa), UINT64_C(0xd8ecb58659be9c90)},
    {UINT64_C(0xf64335bcf065d37d), UINT64_C(0x4d4617b5ff4a16d5), UINT64_C(0xaa09501d5954a559)},
    {UINT64_C(0xf8a95fcf88747d94), UINT64_C(0x75a44c6397ce912a), UINT64_C(0x33cca6c06b07b74d)},
    {UINT64_C(0xfb158592be068d2e), UINT64_C(0xeed6e2f0f0d56712), UINT64_C(0xac2e4f162cfad40a)},
    {UINT64_C(0xfd87b5f28300ca0d), UINT64_C(0x8bca9d6e188853fc), UINT64_C(0x76dcb60081ce0fa5)},
    {UINT64_C(0x8000000000000000), UINT64_C(0x0000000000000000), UINT64_C(0x0000000000000000)},
    {UINT64_C(0x813f3978f8940984), UINT64_C(0x4000000000000000), UINT64_C(0x0000000000000000)},
    {UINT64_C(0x82818f1281ed449f), UINT64_C(0xbff8f10e7a8921a4), UINT64_C(0x2000000000000000)},
    {UINT64_C(0x83c7088e1aab65db), UINT64_C(0x792667c6da79e0fa), UINT64_C(0x0861d3ee22d1cc53)},
    {UINT64_C(0x850fadc09923329e), UINT64_C(0x03e2cf6bc604ddb0), UINT64_C(0x74a7ef0198791097)},
    {UINT64_C(0x865b86925b9bc5c2), UINT64_C(0x0b8a2392ba45a9b2), UINT64_C(0x5c6658d409fb8bf7)},
    {UINT64_C(0x87aa9aff79042286), UINT64_C(0x90fb44d2f05d0842), UINT64_C(0xfb118fc9c217a1d2)},
    {UINT64_C(0x88fcf317f22241e2), UINT64_C(0x441fece3bdf81f03), UINT64_C(0x12f274928400100d)},
    {UINT64_C(0x8a5296ffe33cc92f), UINT64_C(0x82bd6b70d99aaa6f), UINT64_C(0xbc10c5c5cda97c8d)},
    {UINT64_C(0x8bab8eefb6409c1a), UINT64_C(0x1ad089b6c2f7548e), UINT64_C(0x25c7b885ba466e37)},
    {UINT64_C(0x8d07e33455637eb2), UINT64_C(0xdb0b487b6423e1e8), UINT64_C(0x7ec63730f500b406)},
    {UINT64_C(0x8e679c2f5e44ff8f), UINT64_C(0x570f09eaa7ea7648), UINT64_C(0x5961db50c6d2b886)},
    {UINT64_C(0x8fcac257558ee4e6), UINT64_C(0x213a4f0aa5e8a7b1), UINT64_C(0x949063d8a46f0c0e)},
};

/* The first 128 bits, cut, of 10^power. (For all powers between the limits that was compared with
   exact arithmetic: the bits cut from the table never carry so far.) */
SCI_PRIVATE sci_u128 sci_power_of_ten(int power)
{
    sci_assert(power >= SCI_POWER_MIN && power <= SCI_POWER_MAX);
    unsigned offset = (unsigned)(power - SCI_POWER_FIRST);
    const uint64_t *base = sci_power_table[offset / SCI_POWER_STEP];
    uint64_t factor = sci_power_of_five(offset % SCI_POWER_STEP);
    factor <<= sci_leading_zeros(factor);

    sci_u128 low = sci_u128_multiply(base[2], factor);
    sci_u128 middle = sci_u128_multiply(base[1], factor);
    sci_u128 high = sci_u128_multiply(base[0], factor);
    uint64_t third = middle.low + low.high;
    uint64_t carry = third < low.high;
    uint64_t second = high.low + middle.high;
    uint64_t carry_2 = second < middle.high;
    second += carry;
    carry_2 += second < carry;
    uint64_t first = high.high + carry_2;

    sci_u128 result;
    if (first >> 63) {
        result.high = first;
        result.low = second;
    } else {
        result.high = first << 1 | second >> 63;
        result.low = second << 1 | third >> 63;
    }
    return result;
}

/* MARK: Text to double */

/* The exact decimal form of what lies halfway between two doubles has at most 768 digits, so one
   digit more and whether something follows decide any comparison. */
#define SCI_DOUBLE_EXACT_DIGITS 769
/* Enough for those digits, and for 5^1093 times 54 bits, the largest that a comparison needs. */
#define SCI_DOUBLE_BIG_WORDS 96

/* Bits of the double nearest to digits * 10^power, after Eisel and Lemire. */
static uint64_t sci_decimal_nearest(uint64_t digits, int64_t power)
{
    if (digits == 0 || power < SCI_POWER_MIN)
        return 0;
    if (power > DBL_MAX_10_EXP)
        return SCI_DOUBLE_INFINITY;
    int q = (int)power;
    unsigned zeros = sci_leading_zeros(digits);
    uint64_t w = digits << zeros;
    sci_u128 ten = sci_power_of_ten(q);
    if (q < 0 && q >= -27) {
        /* The proof wants these reciprocals rounded up. */
        ten.low++;
        ten.high += ten.low == 0;
    }

    sci_u128 product = sci_u128_multiply(w, ten.high);
    /* 55 bits of the product are used; when those below are all 1 a carry might reach them. */
    if ((product.high & 0x1ff) == 0x1ff) {
        sci_u128 more = sci_u128_multiply(w, ten.low);
        product.low += more.high;
        product.high += product.low < more.high;
    }
    unsigned upper = (unsigned)(product.high >> 63);
    unsigned shift = upper + 64 - SCI_DOUBLE_MANTISSA_BITS - 3;
    uint64_t mantissa = product.high >> shift;
    int biased = sci_log2_of_power(q) + 63 + (int)upper - (int)zeros + 1023;

    if (biased <= 0) {
        if (biased <= -63)
            return 0;
        mantissa >>= 1 - biased;
        mantissa = (mantissa + (mantissa & 1)) >> 1;
        /* Should it have been rounded up to the hidden bit, that bit is the exponent 1. */
        return mantissa;
    }
    /* Exactly halfway can only be for these powers; then to even. */
    if (product.low <= 1 && q >= -4 && q <= 23 && (mantissa & 3) == 1 &&
        mantissa << shift == product.high)
        mantissa &= ~UINT64_C(1);
    mantissa = (mantissa + (mantissa & 1)) >> 1;
    /* A mantissa rounded up to 2^53 carries into the exponent by the addition. */
    uint64_t bits =
        ((uint64_t)biased << SCI_DOUBLE_MANTISSA_BITS) + mantissa - SCI_DOUBLE_HIDDEN_BIT;
    return bits < SCI_DOUBLE_INFINITY ? bits : SCI_DOUBLE_INFINITY;
}

/* The number lies between the neighbours `lower` and the next one, compare it with their middle. */
static uint64_t sci_decimal_nearest_exact(const sci_decimal *decimal, uint64_t lower)
{
    uint32_t number_words[SCI_DOUBLE_BIG_WORDS], middle_words[SCI_DOUBLE_BIG_WORDS];
    sci_big number, middle;
    sci_big_init(&number, number_words, SCI_DOUBLE_BIG_WORDS);
    sci_big_init(&middle, middle_words, SCI_DOUBLE_BIG_WORDS);
    int two;
    uint64_t mantissa = sci_double_split(lower, &two);
    unsigned count = sci_decimal_exact_digits(decimal, SCI_DOUBLE_EXACT_DIGITS, &number);
    int ten = (int)decimal->exponent + SCI_DECIMAL_DIGITS - (int)count;
    sci_big_set(&middle, 2 * mantissa + 1);
    two -= 1;
    /* number * 5^ten * 2^ten against middle * 2^two, without negative powers */
    if (ten >= 0)
        sci_big_multiply_power_of_five(&number, (unsigned)ten);
    else
        sci_big_multiply_power_of_five(&middle, (unsigned)-ten);
    if (ten >= two)
        sci_big_shift(&number, (unsigned)(ten - two));
    else
        sci_big_shift(&middle, (unsigned)(two - ten));
    int order = sci_big_compare(&number, &middle);
    if (order == 0)
        return lower + (lower & 1);
    return order > 0 ? lower + 1 : lower;
}

/* True when one exact multiplication or division gives the answer (W. Clinger, 1990). */
static bool sci_decimal_simple(const sci_decimal *decimal, double *number)
{
    /* Where doubles are computed in wider registers the result would be rounded twice. */
#if FLT_EVAL_METHOD == 0 || FLT_EVAL_METHOD == 1
    if (decimal->is_cut || decimal->digits > 2 * SCI_DOUBLE_HIDDEN_BIT || decimal->exponent < -22 ||
        decimal->exponent > 22)
        return false;
    unsigned power = (unsigned)(decimal->exponent < 0 ? -decimal->exponent : decimal->exponent);
    uint64_t five = sci_power_of_five(power);
    double ten = (double)five * (double)(UINT32_C(1) << power);
    double digits = (double)decimal->digits;
    *number = decimal->exponent < 0 ? digits / ten : digits * ten;
    return true;
#else
    (void)decimal;
    (void)number;
    return false;
#endif
}

static bool sci_text_to_special(sc_slice text, double *number)
{
    uint64_t sign = 0;
    if (text.len > 0 && text.data[0] == '-') {
        sign = SCI_DOUBLE_SIGN;
        text.data++;
        text.len--;
    }
    if (sci_slice_equal(text, sc_text("inf")))
        *number = sci_double_from_bits(SCI_DOUBLE_INFINITY | sign);
    else if (sci_slice_equal(text, sc_text("nan")))
        *number = sci_double_from_bits(SCI_DOUBLE_NAN);
    else
        return false;
    return true;
}

SCI_PRIVATE double sci_decimal_to_double(const sci_decimal *decimal)
{
    double number;
    if (sci_decimal_simple(decimal, &number))
        return decimal->is_negative ? -number : number;
    uint64_t bits = sci_decimal_nearest(decimal->digits, decimal->exponent);
    if (decimal->is_cut && sci_decimal_nearest(decimal->digits + 1, decimal->exponent) != bits)
        bits = sci_decimal_nearest_exact(decimal, bits);
    return sci_double_from_bits(decimal->is_negative ? bits | SCI_DOUBLE_SIGN : bits);
}

SCI_PRIVATE bool sci_text_to_double(sc_slice text, double *number)
{
    sci_decimal decimal;
    if (text.len == 0)
        return false;
    if (!sci_decimal_parse(&decimal, text, SCI_DECIMAL_JSON))
        return sci_text_to_special(text, number);
    *number = sci_decimal_to_double(&decimal);
    return true;
}

/* MARK: Double to text */

typedef struct sci_shortest {
    uint64_t digits;
    int exponent; /* the number is digits * 10^exponent */
} sci_shortest;

/* floor(ten * factor / 2^128), its last bit set when something was cut off. `ten` may be a little
   too great, which the paper shows to do no harm. */
static uint64_t sci_shortest_round_to_odd(sci_u128 ten, uint64_t factor)
{
    sci_u128 low = sci_u128_multiply(ten.low, factor);
    sci_u128 high = sci_u128_multiply(ten.high, factor);
    uint64_t middle = high.low + low.high;
    uint64_t result = high.high + (middle < low.high);
    return result | (middle > 1);
}

/* 10^power to 128 bits, rounded up. */
static sci_u128 sci_shortest_power(int power)
{
    sci_u128 ten = sci_power_of_ten(power);
    bool is_exact = power >= 0 && power <= 55; /* 5^55 < 2^128 < 5^56 */
    if (!is_exact) {
        ten.low++;
        ten.high += ten.low == 0;
    }
    return ten;
}

/* Schubfach. The names are the paper's: vb is four times the number, vbl and vbr its interval's
   ends, in units of 10^k. */
static sci_shortest sci_shortest_of(uint64_t bits)
{
    sci_shortest result;
    int q;
    uint64_t c = sci_double_split(bits, &q);
    /* At a power of two the lower neighbour is nearer than the upper one. */
    bool is_lower_nearer = c == SCI_DOUBLE_HIDDEN_BIT && q > -1074;
    int k = sci_floor_shift(q * 1262611 - (is_lower_nearer ? 524031 : 0), 22);
    unsigned h = (unsigned)(q + sci_log2_of_power(-k) + 1);
    sci_u128 ten = sci_shortest_power(-k);
    uint64_t vbl = sci_shortest_round_to_odd(ten, (4 * c - 2 + is_lower_nearer) << h);
    uint64_t vb = sci_shortest_round_to_odd(ten, (4 * c) << h);
    uint64_t vbr = sci_shortest_round_to_odd(ten, (4 * c + 2) << h);
    /* Ends of the interval round to an even mantissa only. */
    uint64_t lower = vbl + (c & 1);
    uint64_t upper = vbr - (c & 1);

    uint64_t s = vb / 4;
    if (s >= 10) {
        uint64_t shorter = s / 10;
        bool is_low_inside = lower <= 40 * shorter;
        bool is_high_inside = 40 * shorter + 40 <= upper;
        if (is_low_inside != is_high_inside) {
            result.digits = shorter + is_high_inside;
            result.exponent = k + 1;
            return result;
        }
    }
    bool is_low_inside = lower <= 4 * s;
    bool is_high_inside = 4 * s + 4 <= upper;
    bool is_up = is_high_inside;
    if (is_low_inside == is_high_inside) {
        uint64_t middle = 4 * s + 2;
        is_up = vb > middle || (vb == middle && (s & 1) != 0);
    }
    result.digits = s + is_up;
    result.exponent = k;
    return result;
}

static char *sci_text_put_zeros(char *at, int count)
{
    for (; count > 0; count--)
        *at++ = '0';
    return at;
}

SCI_PRIVATE char *sci_shortest_put(char *at, const char *digits, size_t len, int point)
{
    int count = (int)len;
    if (point >= count && point <= 21) {
        at = sci_text_put(at, digits, len);
        return sci_text_put_zeros(at, point - count);
    }
    if (point > 0 && point <= 21) {
        at = sci_text_put(at, digits, (size_t)point);
        *at++ = '.';
        return sci_text_put(at, digits + point, len - (size_t)point);
    }
    if (point > -6 && point <= 0) {
        at = sci_text_put(at, "0.", 2);
        at = sci_text_put_zeros(at, -point);
        return sci_text_put(at, digits, len);
    }
    *at++ = digits[0];
    if (len > 1) {
        *at++ = '.';
        at = sci_text_put(at, digits + 1, len - 1);
    }
    char exponent[SCI_I64_TEXT_BYTES];
    size_t exponent_len = sci_i64_to_text(point - 1, exponent);
    *at++ = 'e';
    if (point - 1 > 0)
        *at++ = '+';
    return sci_text_put(at, exponent, exponent_len);
}

SCI_PRIVATE size_t sci_double_to_text(double number, char text[SCI_DOUBLE_TEXT_BYTES])
{
    uint64_t bits = sci_double_to_bits(number);
    uint64_t magnitude = bits & ~SCI_DOUBLE_SIGN;
    char *at = text;
    if (magnitude > SCI_DOUBLE_INFINITY) {
        at = sci_text_put(at, "NaN", 3);
    } else if (magnitude == 0) {
        *at++ = '0';
    } else {
        if (bits != magnitude)
            *at++ = '-';
        if (magnitude == SCI_DOUBLE_INFINITY) {
            at = sci_text_put(at, "Infinity", 8);
        } else {
            sci_shortest shortest = sci_shortest_of(magnitude);
            char digits[SCI_I64_TEXT_BYTES];
            size_t len = sci_u64_to_text(shortest.digits, digits);
            int point = (int)len + shortest.exponent;
            while (digits[len - 1] == '0')
                len--;
            at = sci_shortest_put(at, digits, len, point);
        }
    }
    *at = '\0';
    return (size_t)(at - text);
}

/* MARK: - JSON reader (Private) */
/* A strict pull reader of JSON (RFC 8259), and the unescaping of its strings. */

/* A pull reader over one JSON text (RFC 8259): a token at a time, no allocation, no recursion,
   strict. It checks the whole grammar, UTF-8 included. */

#define SCI_JSON_DEPTH 128 /* deepest nesting; deeper is SC_ERR_LIMIT */

typedef enum sci_json_kind {
    SCI_JSON_END, /* the text is complete */
    SCI_JSON_NULL,
    SCI_JSON_FALSE,
    SCI_JSON_TRUE,
    SCI_JSON_NUMBER,
    SCI_JSON_STRING,
    SCI_JSON_KEY, /* a member's name; its value comes next */
    SCI_JSON_ARRAY_BEGIN,
    SCI_JSON_ARRAY_END,
    SCI_JSON_OBJECT_BEGIN,
    SCI_JSON_OBJECT_END
} sci_json_kind;

typedef struct sci_json_token {
    sci_json_kind kind;
    sc_slice raw;  /* number: its text; string and key: what stands between the quotes, escaped */
    bool is_plain; /* string and key: raw has no escapes */
} sci_json_token;

typedef struct sci_json_reader {
    sc_slice text;
    size_t at; /* offset of the next byte; at an error, of the offending one */
    unsigned depth;
    unsigned char expect;                        /* private to json.c */
    unsigned char is_object[SCI_JSON_DEPTH / 8]; /* one bit a level */
} sci_json_reader;

SCI_PRIVATE void sci_json_begin(sci_json_reader *reader, sc_slice text);
/* SC_OK with the next token; SC_ERR_ARGUMENT with the offset and what was expected in the detail
   text; SC_ERR_LIMIT when nested too deep. */
SCI_PRIVATE sc_status sci_json_next(sci_json_reader *reader, sci_json_token *token);
/* Write the characters of a string or key token as UTF-8 into `out`, which has room for raw.len
   bytes; returns the length. Lone surrogates become U+FFFD. */
SCI_PRIVATE size_t sci_json_unescape(const sci_json_token *token, char *out);
/* What a backslash and `letter` stand for; not for u. */
SCI_PRIVATE char sci_json_escaped(char letter);
/* SC_OK when `text` is one complete JSON value; else as sci_json_next. */
SCI_PRIVATE sc_status sci_json_check(sc_slice text);

/* What the grammar allows next; the reader's `expect`. */
enum {
    SCI_JSON_EXPECT_VALUE,
    SCI_JSON_EXPECT_VALUE_OR_END, /* after '[' */
    SCI_JSON_EXPECT_KEY,          /* after ',' in an object */
    SCI_JSON_EXPECT_KEY_OR_END,   /* after '{' */
    SCI_JSON_EXPECT_COLON,
    SCI_JSON_EXPECT_COMMA_OR_END,
    SCI_JSON_EXPECT_NOTHING /* the value is complete */
};

SCI_PRIVATE void sci_json_begin(sci_json_reader *reader, sc_slice text)
{
    memset(reader, 0, sizeof *reader);
    reader->text = text;
    reader->expect = SCI_JSON_EXPECT_VALUE;
}

/* The next byte, or -1 at the end of the text. */
static inline int sci_json_peek(const sci_json_reader *reader)
{
    if (reader->at == reader->text.len)
        return -1;
    return (unsigned char)reader->text.data[reader->at];
}

static sc_status sci_json_fail(const sci_json_reader *reader, const char *expected)
{
    int found = sci_json_peek(reader);
    if (found < 0)
        return sc_fail(SC_ERR_ARGUMENT, "JSON ends at byte %zu where %s was expected", reader->at,
                       expected);
    if (found > ' ' && found < 0x7f)
        return sc_fail(SC_ERR_ARGUMENT, "JSON, byte %zu: %s was expected, not '%c'", reader->at,
                       expected, found);
    return sc_fail(SC_ERR_ARGUMENT, "JSON, byte %zu: %s was expected, not the byte 0x%x",
                   reader->at, expected, (unsigned)found);
}

static void sci_json_skip_space(sci_json_reader *reader)
{
    for (;;) {
        int c = sci_json_peek(reader);
        if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
            return;
        reader->at++;
    }
}

/* MARK: Strings */

/* Offset of the first byte from `at` on that is no plain ASCII character of a string. Eight bytes
   at a time while there are (see "Determine if a word has a byte less than n", Bit Twiddling
   Hacks). */
static size_t sci_json_skip_plain(sc_slice text, size_t at)
{
    const uint64_t ones = UINT64_MAX / 255;
    const uint64_t highs = ones << 7;
    while (text.len - at >= 8) {
        uint64_t word;
        memcpy(&word, text.data + at, sizeof word);
        uint64_t quote = word ^ (ones * '"');
        uint64_t escape = word ^ (ones * '\\');
        uint64_t special = (word - ones * 0x20) | (quote - ones) | (escape - ones) | word;
        if (special & highs)
            break;
        at += 8;
    }
    for (; at < text.len; at++) {
        unsigned char c = (unsigned char)text.data[at];
        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
            break;
    }
    return at;
}

/* Bytes of the UTF-8 sequence that begins with `first`, which is not ASCII, and the range of its
   second byte (Unicode, table 3-7). 0 when no sequence begins so. */
static size_t sci_json_utf8_shape(unsigned first, unsigned *second_min, unsigned *second_max)
{
    *second_min = 0x80;
    *second_max = 0xbf;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef) {
        if (first == 0xe0)
            *second_min = 0xa0; /* shorter sequences exist */
        if (first == 0xed)
            *second_max = 0x9f; /* surrogates */
        return 3;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        if (first == 0xf0)
            *second_min = 0x90; /* shorter sequences exist */
        if (first == 0xf4)
            *second_max = 0x8f; /* past U+10FFFF */
        return 4;
    }
    return 0;
}

static sc_status sci_json_skip_utf8(sci_json_reader *reader)
{
    unsigned min, max;
    size_t len = sci_json_utf8_shape((unsigned)sci_json_peek(reader), &min, &max);
    if (len == 0)
        return sci_json_fail(reader, "UTF-8");
    reader->at++;
    for (size_t i = 1; i < len; i++) {
        int c = sci_json_peek(reader);
        if (c < (int)min || c > (int)max)
            return sci_json_fail(reader, "the rest of a UTF-8 character");
        reader->at++;
        min = 0x80;
        max = 0xbf;
    }
    return SC_OK;
}

static sc_status sci_json_skip_escape(sci_json_reader *reader)
{
    reader->at++; /* the backslash */
    int c = sci_json_peek(reader);
    if (c <= 0 || !strchr("\"\\/bfnrtu", c))
        return sci_json_fail(reader, "one of \" \\ / b f n r t u");
    reader->at++;
    if (c != 'u')
        return SC_OK;
    for (int i = 0; i < 4; i++) {
        if (sci_hex_digit(sci_json_peek(reader)) < 0)
            return sci_json_fail(reader, "a hexadecimal digit");
        reader->at++;
    }
    return SC_OK;
}

static sc_status sci_json_read_string(sci_json_reader *reader, sci_json_token *token)
{
    size_t start = ++reader->at;
    token->is_plain = true;
    for (;;) {
        reader->at = sci_json_skip_plain(reader->text, reader->at);
        int c = sci_json_peek(reader);
        sc_status status = SC_OK;
        if (c == '"') {
            token->raw = sc_bytes(reader->text.data + start, reader->at - start);
            reader->at++;
            return SC_OK;
        }
        if (c == '\\') {
            token->is_plain = false;
            status = sci_json_skip_escape(reader);
        } else if (c >= 0x80) {
            status = sci_json_skip_utf8(reader);
        } else if (c < 0) {
            status = sci_json_fail(reader, "the closing quote");
        } else {
            status = sci_json_fail(reader, "an escape, as control characters need,");
        }
        if (status != SC_OK)
            return status;
    }
}

/* MARK: Numbers and words */

/* At least one digit. */
static sc_status sci_json_skip_digits(sci_json_reader *reader)
{
    int c = sci_json_peek(reader);
    if (c < '0' || c > '9')
        return sci_json_fail(reader, "a digit");
    do {
        reader->at++;
        c = sci_json_peek(reader);
    } while (c >= '0' && c <= '9');
    return SC_OK;
}

static sc_status sci_json_read_number(sci_json_reader *reader, sci_json_token *token)
{
    size_t start = reader->at;
    sc_status status = SC_OK;
    if (sci_json_peek(reader) == '-')
        reader->at++;
    /* A zero stands alone; a digit after it is the next token, which the grammar does not allow. */
    if (sci_json_peek(reader) == '0')
        reader->at++;
    else
        status = sci_json_skip_digits(reader);
    if (status == SC_OK && sci_json_peek(reader) == '.') {
        reader->at++;
        status = sci_json_skip_digits(reader);
    }
    int c = sci_json_peek(reader);
    if (status == SC_OK && (c == 'e' || c == 'E')) {
        reader->at++;
        c = sci_json_peek(reader);
        if (c == '+' || c == '-')
            reader->at++;
        status = sci_json_skip_digits(reader);
    }
    token->kind = SCI_JSON_NUMBER;
    token->raw = sc_bytes(reader->text.data + start, reader->at - start);
    return status;
}

static sc_status sci_json_read_word(sci_json_reader *reader, sci_json_token *token,
                                    const char *word, sci_json_kind kind)
{
    for (const char *c = word; *c; c++) {
        if (sci_json_peek(reader) != *c)
            return sci_json_fail(reader, word);
        reader->at++;
    }
    token->kind = kind;
    return SC_OK;
}

/* MARK: Structure */

static bool sci_json_in_object(const sci_json_reader *reader)
{
    unsigned level = reader->depth - 1;
    return (reader->is_object[level / 8] >> level % 8 & 1) != 0;
}

/* A value or an end was read: say what can follow it. */
static void sci_json_value_done(sci_json_reader *reader)
{
    reader->expect = reader->depth > 0 ? SCI_JSON_EXPECT_COMMA_OR_END : SCI_JSON_EXPECT_NOTHING;
}

static sc_status sci_json_open(sci_json_reader *reader, sci_json_token *token, bool is_object)
{
    unsigned level = reader->depth;
    if (level == SCI_JSON_DEPTH)
        return sc_fail(SC_ERR_LIMIT, "JSON, byte %zu: nested deeper than %d levels", reader->at,
                       SCI_JSON_DEPTH);
    unsigned bit = 1u << level % 8;
    unsigned bits = reader->is_object[level / 8];
    reader->is_object[level / 8] = (unsigned char)(is_object ? bits | bit : bits & ~bit);
    reader->depth++;
    reader->at++;
    reader->expect = is_object ? SCI_JSON_EXPECT_KEY_OR_END : SCI_JSON_EXPECT_VALUE_OR_END;
    token->kind = is_object ? SCI_JSON_OBJECT_BEGIN : SCI_JSON_ARRAY_BEGIN;
    return SC_OK;
}

static sc_status sci_json_close(sci_json_reader *reader, sci_json_token *token)
{
    token->kind = sci_json_in_object(reader) ? SCI_JSON_OBJECT_END : SCI_JSON_ARRAY_END;
    reader->depth--;
    reader->at++;
    sci_json_value_done(reader);
    return SC_OK;
}

static sc_status sci_json_read_scalar(sci_json_reader *reader, sci_json_token *token)
{
    switch (sci_json_peek(reader)) {
    case '"':
        token->kind = SCI_JSON_STRING;
        return sci_json_read_string(reader, token);
    case 'n':
        return sci_json_read_word(reader, token, "null", SCI_JSON_NULL);
    case 't':
        return sci_json_read_word(reader, token, "true", SCI_JSON_TRUE);
    case 'f':
        return sci_json_read_word(reader, token, "false", SCI_JSON_FALSE);
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return sci_json_read_number(reader, token);
    default:
        return sci_json_fail(
            reader, reader->expect == SCI_JSON_EXPECT_VALUE_OR_END ? "a value or ']'" : "a value");
    }
}

static sc_status sci_json_read_value(sci_json_reader *reader, sci_json_token *token)
{
    int c = sci_json_peek(reader);
    if (c == '[' || c == '{')
        return sci_json_open(reader, token, c == '{');
    if (c == ']' && reader->expect == SCI_JSON_EXPECT_VALUE_OR_END)
        return sci_json_close(reader, token);
    sc_status status = sci_json_read_scalar(reader, token);
    if (status == SC_OK)
        sci_json_value_done(reader);
    return status;
}

static sc_status sci_json_read_key(sci_json_reader *reader, sci_json_token *token)
{
    int c = sci_json_peek(reader);
    bool may_end = reader->expect == SCI_JSON_EXPECT_KEY_OR_END;
    if (c == '}' && may_end)
        return sci_json_close(reader, token);
    if (c != '"')
        return sci_json_fail(reader, may_end ? "a key in quotes or '}'" : "a key in quotes");
    token->kind = SCI_JSON_KEY;
    reader->expect = SCI_JSON_EXPECT_COLON;
    return sci_json_read_string(reader, token);
}

SCI_PRIVATE sc_status sci_json_next(sci_json_reader *reader, sci_json_token *token)
{
    memset(token, 0, sizeof *token);
    sci_json_skip_space(reader);
    int c = sci_json_peek(reader);
    if (reader->expect == SCI_JSON_EXPECT_COMMA_OR_END) {
        bool is_object = sci_json_in_object(reader);
        if (c == (is_object ? '}' : ']'))
            return sci_json_close(reader, token);
        if (c != ',')
            return sci_json_fail(reader, is_object ? "',' or '}'" : "',' or ']'");
        reader->expect = is_object ? SCI_JSON_EXPECT_KEY : SCI_JSON_EXPECT_VALUE;
        reader->at++;
        sci_json_skip_space(reader);
    } else if (reader->expect == SCI_JSON_EXPECT_COLON) {
        if (c != ':')
            return sci_json_fail(reader, "':'");
        reader->expect = SCI_JSON_EXPECT_VALUE;
        reader->at++;
        sci_json_skip_space(reader);
    }

    switch (reader->expect) {
    case SCI_JSON_EXPECT_NOTHING:
        token->kind = SCI_JSON_END;
        return c < 0 ? SC_OK : sci_json_fail(reader, "the end of the text");
    case SCI_JSON_EXPECT_KEY:
    case SCI_JSON_EXPECT_KEY_OR_END:
        return sci_json_read_key(reader, token);
    default:
        return sci_json_read_value(reader, token);
    }
}

SCI_PRIVATE sc_status sci_json_check(sc_slice text)
{
    sci_json_reader reader;
    sci_json_token token;
    sci_json_begin(&reader, text);
    for (;;) {
        sc_status status = sci_json_next(&reader, &token);
        if (status != SC_OK || token.kind == SCI_JSON_END)
            return status;
    }
}

/* MARK: Unescaping */

/* The four hexadecimal digits at `at`; the reader has checked them. */
static uint32_t sci_json_code_unit(const char *at)
{
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++)
        unit = unit * 16 + (uint32_t)sci_hex_digit((unsigned char)at[i]);
    return unit;
}

static char *sci_json_put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        *out++ = (char)code;
        return out;
    }
    if (code < 0x800) {
        *out++ = (char)(0xc0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *out++ = (char)(0xe0 | code >> 12);
        } else {
            *out++ = (char)(0xf0 | code >> 18);
            *out++ = (char)(0x80 | (code >> 12 & 0x3f));
        }
        *out++ = (char)(0x80 | (code >> 6 & 0x3f));
    }
    *out++ = (char)(0x80 | (code & 0x3f));
    return out;
}

#define SCI_JSON_REPLACEMENT 0xfffd /* stands for what cannot be written in UTF-8 */

/* The character whose \uXXXX begins at `*at`, a second one included when they are a pair. */
static uint32_t sci_json_take_code(const char **at, const char *end)
{
    uint32_t high = sci_json_code_unit(*at + 2);
    *at += 6;
    if (high < 0xd800 || high > 0xdfff)
        return high;
    if (high > 0xdbff || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
        return SCI_JSON_REPLACEMENT;
    uint32_t low = sci_json_code_unit(*at + 2);
    if (low < 0xdc00 || low > 0xdfff)
        return SCI_JSON_REPLACEMENT;
    *at += 6;
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

SCI_PRIVATE char sci_json_escaped(char letter)
{
    switch (letter) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return letter;
    }
}

SCI_PRIVATE size_t sci_json_unescape(const sci_json_token *token, char *out)
{
    if (token->is_plain) {
        if (token->raw.len > 0)
            memcpy(out, token->raw.data, token->raw.len);
        return token->raw.len;
    }
    const char *at = token->raw.data;
    const char *end = at + token->raw.len;
    char *start = out;
    while (at < end) {
        if (*at != '\\') {
            *out++ = *at++;
        } else if (at[1] == 'u') {
            out = sci_json_put_utf8(out, sci_json_take_code(&at, end));
        } else {
            *out++ = sci_json_escaped(at[1]);
            at += 2;
        }
    }
    return (size_t)(out - start);
}

/* MARK: - Values (Private) */
/* Values: one block that holds the header and the bytes, or a header over bytes of another owner.
 */

/* Values over bytes that have another owner. */

/* A value over `bytes`, which are followed by a NUL; `let_go(owner)` is called when nobody needs
   them any more, on any thread. NULL when there is no memory: then they are still the caller's. */
SCI_PRIVATE sc_value *sci_value_over(const sc_memory *memory, sc_slice bytes,
                                     void (*let_go)(void *owner), void *owner);

/* The platform's own memory, clock and random. Under SMARTCACHE_NO_POSIX (default: off) there are
   none, and sc_config must bring every table. */

/* Each copies the platform's table into `*table`; false where there is none. */
SCI_PRIVATE bool sci_platform_memory(sc_memory *table);
SCI_PRIVATE bool sci_platform_clock(sc_clock *table);
SCI_PRIVATE bool sci_platform_random(sc_random *table);

struct sc_value {
    sci_atomic_u32 references;
    sc_memory memory;
    const char *data; /* behind the header, or another's */
    size_t len;
    size_t block_bytes; /* what was allocated */
};

/* A value over bytes that are not its own. */
typedef struct sci_borrowing_value {
    sc_value value;
    void (*let_go)(void *owner);
    void *owner;
} sci_borrowing_value;

/* NULL when there is no memory. `own` receives where the bytes go. */
static sc_value *sci_value_reserve(const sc_memory *memory, size_t len, char **own)
{
    if (len > SIZE_MAX - sizeof(sc_value) - 1) {
        (void)sc_fail(SC_ERR_MEMORY, "a value of %zu bytes is larger than memory", len);
        return NULL;
    }
    size_t block_bytes = sizeof(sc_value) + len + 1;
    sc_value *value = (sc_value *)sci_resize(memory, NULL, 0, block_bytes);
    if (!value)
        return NULL;
    value->references.value = 1;
    value->memory = *memory;
    value->len = len;
    value->block_bytes = block_bytes;
    *own = (char *)(value + 1);
    (*own)[len] = '\0';
    value->data = *own;
    return value;
}

SCI_PRIVATE sc_value *sci_value_over(const sc_memory *memory, sc_slice bytes,
                                     void (*let_go)(void *owner), void *owner)
{
    sci_borrowing_value *over = (sci_borrowing_value *)sci_resize(memory, NULL, 0, sizeof *over);
    if (!over)
        return NULL;
    over->value.references.value = 1;
    over->value.memory = *memory;
    over->value.data = bytes.data;
    over->value.len = bytes.len;
    over->value.block_bytes = sizeof *over;
    over->let_go = let_go;
    over->owner = owner;
    return &over->value;
}

SC_API sc_status sc_value_create(const sc_memory *memory, sc_slice bytes, sc_value **value)
{
    sc_memory platform;
    *value = NULL;
    if (!memory) {
        if (!sci_platform_memory(&platform))
            return sc_fail(SC_ERR_ARGUMENT, "this build has no allocator of its own: pass one");
        memory = &platform;
    }
    char *own;
    sc_value *created = sci_value_reserve(memory, bytes.len, &own);
    if (!created)
        return SC_ERR_MEMORY;
    if (bytes.len)
        memcpy(own, bytes.data, bytes.len);
    *value = created;
    return SC_OK;
}

SC_API sc_slice sc_value_bytes(const sc_value *value)
{
    return value ? sc_bytes(value->data, value->len) : sc_bytes(NULL, 0);
}

SC_API sc_value *sc_value_retain(sc_value *value)
{
    if (value)
        (void)sci_atomic_add(&value->references, 1);
    return value;
}

SC_API void sc_value_release(sc_value *value)
{
    if (!value || sci_atomic_subtract(&value->references, 1) != 1)
        return;
    sc_memory memory = value->memory;
    if (value->data != (const char *)(value + 1)) {
        sci_borrowing_value *over = SCI_CONTAINER(value, sci_borrowing_value, value);
        over->let_go(over->owner);
    }
    sci_free(&memory, value, value->block_bytes);
}

/* MARK: - Threads (Private) */
/* Threads, mutexes, gates and the fork guard on POSIX. */

/* What the platform's files need to see of the system's headers. POSIX.1-2008 is enough; what they
   call beyond it is declared here where the headers hide it. */

#ifndef SMARTCACHE_NO_POSIX

#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#if !defined(CLOCK_MONOTONIC) || !defined(O_CLOEXEC)
#error                                                                                             \
    "smartcache.h needs POSIX.1-2008, and a system header came before it without: include smartcache.h first, or compile with -D_POSIX_C_SOURCE=200809L"
#endif

#if defined(__linux__)
#include <sys/syscall.h>

/* Both of BSD, and in every C library for Linux, whose headers show them where they show
   MADV_NORMAL. */
#if !defined(MADV_NORMAL)
#ifdef __cplusplus
extern "C" {
#endif
extern long syscall(long number, ...);
extern int madvise(void *address, size_t len, int advice);
#ifdef __cplusplus
}
#endif
#endif

/* The kernel's numbers, where the headers hide them. A wrong one would be refused. */
#if defined(MAP_ANONYMOUS)
#define SCI_MAP_ANONYMOUS MAP_ANONYMOUS
#elif defined(__mips__) || defined(__xtensa__)
#define SCI_MAP_ANONYMOUS 0x800
#elif defined(__alpha__) || defined(__hppa__)
#define SCI_MAP_ANONYMOUS 0x10
#else
#define SCI_MAP_ANONYMOUS 0x20
#endif
#if defined(MADV_WIPEONFORK)
#define SCI_MADV_WIPEONFORK MADV_WIPEONFORK
#else
#define SCI_MADV_WIPEONFORK 18
#endif
#endif

#endif

#ifndef SMARTCACHE_NO_THREADS

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>

#define SCI_NS_PER_S INT64_C(1000000000)

/* A gate's word counts raises in steps of 2; bit 0 says that somebody may sleep, so that raising a
   gate where nobody waits costs no system call. A raise is one atomic step, and the gate's memory
   is not looked at after it: who sees the raise may free the gate. */
#define SCI_GATE_STEP 2u

/* Says that somebody will sleep. False when the gate was raised since `ticket` was read. */
static bool sci_gate_announce(sci_gate *gate, uint32_t ticket)
{
    uint32_t word = sci_atomic_load_acquire(&gate->word);
    while (!((word ^ ticket) & ~SCI_GATE_SLEEPERS)) {
        if (word & SCI_GATE_SLEEPERS)
            return true;
        if (sci_atomic_replace(&gate->word, &word, word | SCI_GATE_SLEEPERS))
            return true;
    }
    return false;
}

/* Raises the gate for all sleepers; true when there may be some. */
static bool sci_gate_raise_for_all(sci_gate *gate)
{
    uint32_t word = sci_atomic_load_acquire(&gate->word);
    uint32_t raised;
    do {
        raised = (word & ~SCI_GATE_SLEEPERS) + SCI_GATE_STEP;
    } while (!sci_atomic_replace(&gate->word, &word, raised));
    return (word & SCI_GATE_SLEEPERS) != 0;
}

/* Raises the gate for one sleeper. The mark stays, for others may sleep on. */
static bool sci_gate_raise_for_one(sci_gate *gate)
{
    return (sci_atomic_add(&gate->word, SCI_GATE_STEP) & SCI_GATE_SLEEPERS) != 0;
}

#if defined(__linux__)

/* From <linux/futex.h>, which a libc other than the system's own may not find. */
#define SCI_FUTEX_WAIT_PRIVATE (0 | 128)
#define SCI_FUTEX_WAKE_PRIVATE (1 | 128)

/* The kernel's timespec for SYS_futex, which is not libc's where that has a 64-bit time_t on a
   32-bit machine. Relative times fit either way. */
typedef struct sci_futex_time {
#if defined(__x86_64__) && defined(__ILP32__)
    int64_t seconds, nanoseconds;
#else
    long seconds, nanoseconds;
#endif
} sci_futex_time;

typedef struct sci_futex_time64 {
    int64_t seconds, nanoseconds;
} sci_futex_time64;

/* Sleep while the word is `expected`; relative time, -1: for ever. May return early. */
static void sci_futex_wait(sci_atomic_u32 *word, uint32_t expected, int64_t timeout_ns)
{
    /* Waking early is allowed, so a very long time may be cut. */
    int64_t seconds = sci_min_i64(timeout_ns / SCI_NS_PER_S, INT32_MAX);
#if defined(SYS_futex)
    sci_futex_time time;
    time.seconds = (long)seconds;
    time.nanoseconds = (long)(timeout_ns % SCI_NS_PER_S);
    if (syscall(SYS_futex, &word->value, SCI_FUTEX_WAIT_PRIVATE, expected,
                timeout_ns < 0 ? NULL : &time, NULL, 0) == 0 ||
        errno != ENOSYS)
        return;
#endif
#if defined(SYS_futex_time64)
    /* 32-bit kernels without the system calls of 32-bit time. */
    sci_futex_time64 time64;
    time64.seconds = seconds;
    time64.nanoseconds = timeout_ns % SCI_NS_PER_S;
    (void)syscall(SYS_futex_time64, &word->value, SCI_FUTEX_WAIT_PRIVATE, expected,
                  timeout_ns < 0 ? NULL : &time64, NULL, 0);
#endif
}

/* The word is only an address here: its memory may be gone. */
static void sci_futex_wake(sci_atomic_u32 *word, int count)
{
#if defined(SYS_futex)
    if (syscall(SYS_futex, &word->value, SCI_FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0) >= 0 ||
        errno != ENOSYS)
        return;
#endif
#if defined(SYS_futex_time64)
    (void)syscall(SYS_futex_time64, &word->value, SCI_FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
#endif
}

SCI_PRIVATE void sci_mutex_init(sci_mutex *mutex)
{
    mutex->word.value = 0;
}

SCI_PRIVATE void sci_mutex_free(sci_mutex *mutex)
{
    (void)mutex;
}

/* Whoever has slept takes it as "somebody may sleep", since it cannot know that nobody does. */
SCI_PRIVATE void sci_mutex_lock_slowly(sci_mutex *mutex)
{
    while (sci_atomic_exchange(&mutex->word, 2) != 0)
        sci_futex_wait(&mutex->word, 2, -1);
}

SCI_PRIVATE void sci_mutex_wake(sci_mutex *mutex)
{
    sci_futex_wake(&mutex->word, 1);
}

SCI_PRIVATE void sci_gate_init(sci_gate *gate)
{
    gate->word.value = 0;
}

SCI_PRIVATE void sci_gate_free(sci_gate *gate)
{
    (void)gate;
}

SCI_PRIVATE void sci_gate_wait(sci_gate *gate, uint32_t ticket, int64_t timeout_ns)
{
    if (timeout_ns == 0 || !sci_gate_announce(gate, ticket))
        return;
    sci_futex_wait(&gate->word, ticket | SCI_GATE_SLEEPERS, timeout_ns);
}

SCI_PRIVATE void sci_gate_wake_one(sci_gate *gate)
{
    if (sci_gate_raise_for_one(gate))
        sci_futex_wake(&gate->word, 1);
}

SCI_PRIVATE void sci_gate_wake_all(sci_gate *gate)
{
    if (sci_gate_raise_for_all(gate))
        sci_futex_wake(&gate->word, INT_MAX);
}

#else /* not Linux */

SCI_PRIVATE void sci_mutex_init(sci_mutex *mutex)
{
    (void)pthread_mutex_init(&mutex->mutex, NULL);
}

SCI_PRIVATE void sci_mutex_free(sci_mutex *mutex)
{
    (void)pthread_mutex_destroy(&mutex->mutex);
}

SCI_PRIVATE void sci_mutex_lock(sci_mutex *mutex)
{
    (void)pthread_mutex_lock(&mutex->mutex);
}

SCI_PRIVATE bool sci_mutex_try_lock(sci_mutex *mutex)
{
    return pthread_mutex_trylock(&mutex->mutex) == 0;
}

SCI_PRIVATE void sci_mutex_unlock(sci_mutex *mutex)
{
    (void)pthread_mutex_unlock(&mutex->mutex);
}

SCI_PRIVATE void sci_gate_init(sci_gate *gate)
{
    gate->word.value = 0;
    (void)pthread_mutex_init(&gate->mutex, NULL);
#if defined(__APPLE__)
    (void)pthread_cond_init(&gate->condition, NULL);
#else
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&gate->condition, &attributes);
    (void)pthread_condattr_destroy(&attributes);
#endif
}

SCI_PRIVATE void sci_gate_free(sci_gate *gate)
{
    /* Whoever raised it may still be between the raise and the unlocking. */
    (void)pthread_mutex_lock(&gate->mutex);
    (void)pthread_mutex_unlock(&gate->mutex);
    (void)pthread_cond_destroy(&gate->condition);
    (void)pthread_mutex_destroy(&gate->mutex);
}

/* Wait on the condition, the mutex being held, for a relative time. */
static void sci_gate_wait_locked(sci_gate *gate, int64_t timeout_ns)
{
    struct timespec until;
    int64_t seconds = sci_min_i64(timeout_ns / SCI_NS_PER_S, INT32_MAX / 2);
    if (timeout_ns < 0) {
        (void)pthread_cond_wait(&gate->condition, &gate->mutex);
        return;
    }
#if defined(__APPLE__)
    until.tv_sec = (time_t)seconds;
    until.tv_nsec = (long)(timeout_ns % SCI_NS_PER_S);
    (void)pthread_cond_timedwait_relative_np(&gate->condition, &gate->mutex, &until);
#else
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)seconds;
    until.tv_nsec += (long)(timeout_ns % SCI_NS_PER_S);
    if (until.tv_nsec >= SCI_NS_PER_S) {
        until.tv_nsec -= (long)SCI_NS_PER_S;
        until.tv_sec++;
    }
    (void)pthread_cond_timedwait(&gate->condition, &gate->mutex, &until);
#endif
}

SCI_PRIVATE void sci_gate_wait(sci_gate *gate, uint32_t ticket, int64_t timeout_ns)
{
    if (timeout_ns == 0)
        return;
    (void)pthread_mutex_lock(&gate->mutex);
    if (sci_gate_announce(gate, ticket))
        sci_gate_wait_locked(gate, timeout_ns);
    (void)pthread_mutex_unlock(&gate->mutex);
}

SCI_PRIVATE void sci_gate_wake_one(sci_gate *gate)
{
    (void)pthread_mutex_lock(&gate->mutex);
    if (sci_gate_raise_for_one(gate))
        (void)pthread_cond_signal(&gate->condition);
    (void)pthread_mutex_unlock(&gate->mutex);
}

SCI_PRIVATE void sci_gate_wake_all(sci_gate *gate)
{
    (void)pthread_mutex_lock(&gate->mutex);
    if (sci_gate_raise_for_all(gate))
        (void)pthread_cond_broadcast(&gate->condition);
    (void)pthread_mutex_unlock(&gate->mutex);
}

#endif

/* Create a thread that begins with the signal mask of sci_thread_start. */
static sc_status sci_thread_create(pthread_t *handle, const pthread_attr_t *attributes,
                                   void *(*run)(void *), void *argument)
{
    /* A fault of the thread's own must still reach the application's crash handler. */
    static const int own_faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    sigset_t blocked, before;
    (void)sigfillset(&blocked);
    for (size_t i = 0; i < SCI_COUNT(own_faults); i++)
        (void)sigdelset(&blocked, own_faults[i]);
    (void)pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int error = pthread_create(handle, attributes, run, argument);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return sc_fail(
            SC_ERR_MEMORY,
            "the system could not start a thread (errno %d): raise its limits on threads "
            "or memory, or build with SMARTCACHE_NO_THREADS",
            error);
    return SC_OK;
}

SCI_PRIVATE sc_status sci_thread_start(sci_thread *thread, void *(*run)(void *), void *argument)
{
    return sci_thread_create(&thread->handle, NULL, run, argument);
}

SCI_PRIVATE sc_status sci_thread_start_detached(void *(*run)(void *), void *argument)
{
    pthread_t handle;
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0)
        return sc_fail(SC_ERR_MEMORY, "out of memory: the attributes of a thread");
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sc_status status = sci_thread_create(&handle, &attributes, run, argument);
    (void)pthread_attr_destroy(&attributes);
    return status;
}

SCI_PRIVATE void sci_thread_join(sci_thread *thread)
{
    (void)pthread_join(thread->handle, NULL);
}

SCI_PRIVATE uintptr_t sci_thread_self(void)
{
    return (uintptr_t)pthread_self();
}

#if !defined(SCI_THREAD_LOCAL)
static pthread_key_t sci_thread_text_key;
static pthread_once_t sci_thread_text_once = PTHREAD_ONCE_INIT;
static bool sci_thread_text_has_key;

static void sci_thread_text_make_key(void)
{
    sci_thread_text_has_key = pthread_key_create(&sci_thread_text_key, free) == 0;
}

SCI_PRIVATE char *sci_thread_text(void)
{
    (void)pthread_once(&sci_thread_text_once, sci_thread_text_make_key);
    if (!sci_thread_text_has_key)
        return NULL;
    char *text = (char *)pthread_getspecific(sci_thread_text_key);
    if (text)
        return text;
    text = (char *)calloc(1, SC_ERROR_TEXT_BYTES);
    if (text && pthread_setspecific(sci_thread_text_key, text) != 0) {
        free(text);
        text = NULL;
    }
    return text;
}
#endif

#else /* SMARTCACHE_NO_THREADS */

SCI_PRIVATE void sci_mutex_init(sci_mutex *mutex)
{
    mutex->unused = 0;
}

SCI_PRIVATE void sci_mutex_free(sci_mutex *mutex)
{
    (void)mutex;
}

SCI_PRIVATE void sci_mutex_lock(sci_mutex *mutex)
{
    (void)mutex;
}

SCI_PRIVATE bool sci_mutex_try_lock(sci_mutex *mutex)
{
    (void)mutex;
    return true;
}

SCI_PRIVATE void sci_mutex_unlock(sci_mutex *mutex)
{
    (void)mutex;
}

SCI_PRIVATE void sci_gate_init(sci_gate *gate)
{
    gate->word.value = 0;
}

SCI_PRIVATE void sci_gate_free(sci_gate *gate)
{
    (void)gate;
}

SCI_PRIVATE void sci_gate_wait(sci_gate *gate, uint32_t ticket, int64_t timeout_ns)
{
    (void)gate;
    (void)ticket;
    (void)timeout_ns;
}

SCI_PRIVATE void sci_gate_wake_one(sci_gate *gate)
{
    (void)gate;
}

SCI_PRIVATE void sci_gate_wake_all(sci_gate *gate)
{
    (void)gate;
}

SCI_PRIVATE sc_status sci_thread_start(sci_thread *thread, void *(*run)(void *), void *argument)
{
    thread->unused = 0;
    return sci_thread_start_detached(run, argument);
}

SCI_PRIVATE sc_status sci_thread_start_detached(void *(*run)(void *), void *argument)
{
    (void)run;
    (void)argument;
    return sc_fail(SC_ERR_UNSUPPORTED, "there are no threads: built with SMARTCACHE_NO_THREADS");
}

SCI_PRIVATE void sci_thread_join(sci_thread *thread)
{
    (void)thread;
}

SCI_PRIVATE uintptr_t sci_thread_self(void)
{
    return 1;
}

#endif

#ifndef SMARTCACHE_NO_POSIX

/* A part of a page; the kernel rounds up. */
#define SCI_FORK_GUARD_BYTES sizeof(sci_atomic_u32)

#if defined(__linux__)
/* A page that reads 0 in a forked child, or NULL. */
static sci_atomic_u32 *sci_fork_guard_map(void)
{
    void *page = mmap(NULL, SCI_FORK_GUARD_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | SCI_MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    /* Emulators exist that answer 0 to any advice: then the advice counts for nothing. */
    bool is_honest = madvise(page, SCI_FORK_GUARD_BYTES, -1) != 0;
    if (is_honest && madvise(page, SCI_FORK_GUARD_BYTES, SCI_MADV_WIPEONFORK) == 0)
        return (sci_atomic_u32 *)page;
    (void)munmap(page, SCI_FORK_GUARD_BYTES);
    return NULL;
}
#else
static sci_atomic_u32 *sci_fork_guard_map(void)
{
    return NULL;
}
#endif

SCI_PRIVATE void sci_fork_guard_init(sci_fork_guard *guard)
{
    guard->page = sci_fork_guard_map();
    sci_fork_guard_reset(guard);
}

SCI_PRIVATE void sci_fork_guard_free(sci_fork_guard *guard)
{
    if (guard->page)
        (void)munmap(guard->page, SCI_FORK_GUARD_BYTES);
    guard->page = NULL;
}

SCI_PRIVATE bool sci_fork_guard_is_child(const sci_fork_guard *guard)
{
    if (guard->page)
        return sci_atomic_load_relaxed(guard->page) == 0;
    return (long)getpid() != guard->process_id;
}

SCI_PRIVATE void sci_fork_guard_reset(sci_fork_guard *guard)
{
    guard->process_id = (long)getpid();
    if (guard->page)
        sci_atomic_store_relaxed(guard->page, 1);
}

#else /* SMARTCACHE_NO_POSIX: nothing forks */

SCI_PRIVATE void sci_fork_guard_init(sci_fork_guard *guard)
{
    guard->page = NULL;
    guard->process_id = 0;
}

SCI_PRIVATE void sci_fork_guard_free(sci_fork_guard *guard)
{
    (void)guard;
}

SCI_PRIVATE bool sci_fork_guard_is_child(const sci_fork_guard *guard)
{
    (void)guard;
    return false;
}

SCI_PRIVATE void sci_fork_guard_reset(sci_fork_guard *guard)
{
    (void)guard;
}

#endif

/* MARK: - Platform (Private) */
/* The platform's own memory, clock and random, from POSIX. */

#ifndef SMARTCACHE_NO_POSIX

#include <errno.h>
#include <stdlib.h>
#if defined(__APPLE__)
#include <sys/random.h>
#endif

static void *sci_platform_resize(void *user, void *block, size_t old_size, size_t new_size)
{
    (void)user;
    (void)old_size;
    if (new_size == 0) {
        free(block);
        return NULL;
    }
    return block ? realloc(block, new_size) : malloc(new_size);
}

SCI_PRIVATE bool sci_platform_memory(sc_memory *table)
{
    table->user = NULL;
    table->resize = sci_platform_resize;
    return true;
}

static int64_t sci_platform_monotonic_ns(void *user)
{
    struct timespec now;
    (void)user;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

#if defined(CLOCK_BOOTTIME)
static int64_t sci_platform_boottime_ns(void *user)
{
    struct timespec now;
    (void)user;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}
#endif

static int64_t sci_platform_wall_ms(void *user)
{
    struct timespec now;
    (void)user;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

SCI_PRIVATE bool sci_platform_clock(sc_clock *table)
{
    table->user = NULL;
    table->wall_ms = sci_platform_wall_ms;
    table->monotonic_ns = sci_platform_monotonic_ns;
#if defined(CLOCK_BOOTTIME)
    /* The headers may know a clock that the running kernel does not. */
    struct timespec now;
    if (clock_gettime(CLOCK_BOOTTIME, &now) == 0)
        table->monotonic_ns = sci_platform_boottime_ns;
#endif
    return true;
}

/* From the device, for kernels older than the system call. */
static sc_status sci_platform_random_device(char *at, size_t len)
{
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return sc_fail(SC_ERR_IO, "no random bytes: /dev/urandom cannot be opened (errno %d)",
                       errno);
    int error = 0;
    while (len > 0 && error == 0) {
        /* Parentheses, here and below: programs may have macros of these names. */
        ssize_t got = (read)(fd, at, len);
        if (got > 0) {
            at += got;
            len -= (size_t)got;
        } else if (got == 0) {
            error = EIO;
        } else if (errno != EINTR) {
            error = errno;
        }
    }
    (void)(close)(fd);
    if (error != 0)
        return sc_fail(SC_ERR_IO, "no random bytes: reading /dev/urandom failed (errno %d)", error);
    return SC_OK;
}

/* Some bytes from the system call, at most 256 as getentropy wants it; 0 when there is none. */
static size_t sci_platform_random_some(char *at, size_t len)
{
    len = sci_min_size(len, 256);
#if defined(__linux__) && defined(SYS_getrandom)
    /* Memory sanitizers do not see what a bare system call writes. */
    memset(at, 0, len);
    long got;
    do {
        got = syscall(SYS_getrandom, at, len, 0);
    } while (got < 0 && errno == EINTR);
    return got > 0 ? (size_t)got : 0;
#elif defined(__APPLE__) || defined(__FreeBSD__) || defined(__OpenBSD__)
    return getentropy(at, len) == 0 ? len : 0;
#else
    (void)at;
    return 0;
#endif
}

static sc_status sci_platform_fill(void *user, void *buffer, size_t len)
{
    char *at = (char *)buffer;
    (void)user;
    while (len > 0) {
        size_t got = sci_platform_random_some(at, len);
        if (got == 0)
            return sci_platform_random_device(at, len);
        at += got;
        len -= got;
    }
    return SC_OK;
}

SCI_PRIVATE bool sci_platform_random(sc_random *table)
{
    table->user = NULL;
    table->fill = sci_platform_fill;
    return true;
}

#else /* SMARTCACHE_NO_POSIX */

SCI_PRIVATE bool sci_platform_memory(sc_memory *table)
{
    (void)table;
    return false;
}

SCI_PRIVATE bool sci_platform_clock(sc_clock *table)
{
    (void)table;
    return false;
}

SCI_PRIVATE bool sci_platform_random(sc_random *table)
{
    (void)table;
    return false;
}

#endif

/* MARK: - Reply items (Private) */
/* Nodes: the growable array that the reader fills, and the public accessors that need no more than
   a node. */

/* The node of a parsed reply. A reply is its nodes in pre-order: an array's elements follow it. */

struct sc_item {
    union {
        const char *text; /* string, simple, error: a slice of the receive buffer */
        int64_t integer;
    } is;
    size_t len;    /* bytes of text, or elements of an array */
    uint32_t kind; /* sc_kind */
    uint32_t span; /* nodes of this subtree, this one included: the next sibling is `span` on */
};

/* A growable array of nodes: first the caller's inline ones, then an owned block. */
typedef struct sci_items {
    sc_memory memory;
    sc_item *at;
    uint32_t count;
    uint32_t cap;
    sc_item *inline_items; /* borrowed; may be NULL */
    uint32_t inline_cap;
} sci_items;

SCI_PRIVATE void sci_items_init(sci_items *items, const sc_memory *memory, sc_item *inline_items,
                                uint32_t inline_cap);
SCI_PRIVATE void sci_items_free(sci_items *items);
/* Forget the nodes and an owned block above `keep_cap` nodes. */
SCI_PRIVATE void sci_items_reset(sci_items *items, uint32_t keep_cap);
/* Room for one more; used by the reader. SC_ERR_MEMORY leaves all as it was. */
SCI_PRIVATE sc_status sci_items_grow(sci_items *items);

/* Nodes of the first owned block. */
#define SCI_ITEMS_FIRST_CAP 16
/* Bytes of an error that go into a detail text. */
#define SCI_ITEM_SHOWN_BYTES 256

/* MARK: Growable nodes */

SCI_PRIVATE void sci_items_init(sci_items *items, const sc_memory *memory, sc_item *inline_items,
                                uint32_t inline_cap)
{
    items->memory = *memory;
    items->inline_items = inline_items;
    items->inline_cap = inline_items ? inline_cap : 0;
    items->at = inline_items;
    items->count = 0;
    items->cap = items->inline_cap;
}

SCI_PRIVATE void sci_items_free(sci_items *items)
{
    if (items->at != items->inline_items)
        sci_free(&items->memory, items->at, (size_t)items->cap * sizeof(sc_item));
    items->at = items->inline_items;
    items->count = 0;
    items->cap = items->inline_cap;
}

SCI_PRIVATE void sci_items_reset(sci_items *items, uint32_t keep_cap)
{
    items->count = 0;
    if (items->cap > keep_cap && items->at != items->inline_items)
        sci_items_free(items);
}

SCI_PRIVATE sc_status sci_items_grow(sci_items *items)
{
    bool is_inline = items->at == items->inline_items;
    uint64_t cap = (uint64_t)items->cap * 2;
    if (cap < SCI_ITEMS_FIRST_CAP)
        cap = SCI_ITEMS_FIRST_CAP;
    if (cap > UINT32_MAX || cap > SIZE_MAX / sizeof(sc_item))
        return sc_fail(SC_ERR_MEMORY, "out of memory: replies of more than %u nodes are too large",
                       (unsigned)items->cap);
    size_t old_bytes = is_inline ? 0 : items->cap * sizeof(sc_item);
    sc_item *grown = (sc_item *)sci_resize(&items->memory, is_inline ? NULL : items->at, old_bytes,
                                           (size_t)cap * sizeof(sc_item));
    if (!grown)
        return SC_ERR_MEMORY;
    if (is_inline && items->count > 0)
        memcpy(grown, items->inline_items, items->count * sizeof(sc_item));
    items->at = grown;
    items->cap = (uint32_t)cap;
    return SC_OK;
}

/* MARK: Accessors */

static const char *sci_item_kind_name(const sc_item *item)
{
    static const char *const names[] = {"missing",  "nil",        "a string", "a simple string",
                                        "an error", "an integer", "an array"};
    return names[item ? item->kind : 0];
}

static bool sci_item_is_text(const sc_item *item)
{
    return item && (item->kind == SC_STRING || item->kind == SC_SIMPLE);
}

/* A streamed string has gone elsewhere: its node has a length and no bytes. */
static sc_slice sci_item_text(const sc_item *item)
{
    return sc_bytes(item->is.text, item->is.text ? item->len : 0);
}

/* Why an item is not the `wanted` one. */
static sc_status sci_item_refuse(const sc_item *item, const char *wanted)
{
    if (item && item->kind == SC_NIL)
        return SC_MISS;
    if (item && item->kind == SC_ERROR)
        return sc_item_check(item);
    return sc_fail(SC_ERR_TYPE, "the reply is %s, not %s", sci_item_kind_name(item), wanted);
}

SC_API sc_kind sc_item_kind(const sc_item *item)
{
    return item ? (sc_kind)item->kind : SC_NIL;
}

SC_API bool sc_item_is_nil(const sc_item *item)
{
    return !item || item->kind == SC_NIL;
}

SC_API sc_slice sc_item_slice(const sc_item *item)
{
    if (sci_item_is_text(item) || (item && item->kind == SC_ERROR))
        return sci_item_text(item);
    return sc_bytes(NULL, 0);
}

SC_API sc_status sc_item_bytes(const sc_item *item, sc_slice *bytes)
{
    bool is_text = sci_item_is_text(item);
    *bytes = is_text ? sci_item_text(item) : sc_bytes(NULL, 0);
    return is_text ? SC_OK : sci_item_refuse(item, "a string");
}

SC_API sc_status sc_item_integer(const sc_item *item, int64_t *number)
{
    *number = 0;
    if (item && item->kind == SC_INTEGER) {
        *number = item->is.integer;
        return SC_OK;
    }
    if (!sci_item_is_text(item))
        return sci_item_refuse(item, "an integer");
    if (!sci_text_to_i64(sci_item_text(item), number))
        return sc_fail(SC_ERR_TYPE, "the reply is %s that is no integer of 64 bits",
                       sci_item_kind_name(item));
    return SC_OK;
}

SC_API sc_status sc_item_double(const sc_item *item, double *number)
{
    *number = 0;
    if (item && item->kind == SC_INTEGER) {
        *number = (double)item->is.integer;
        return SC_OK;
    }
    if (!sci_item_is_text(item))
        return sci_item_refuse(item, "a number");
    if (!sci_text_to_double(sci_item_text(item), number))
        return sc_fail(SC_ERR_TYPE, "the reply is %s that is no number", sci_item_kind_name(item));
    return SC_OK;
}

SC_API sc_status sc_item_expect(const sc_item *item, const char *text)
{
    if (!sci_item_is_text(item))
        return sci_item_refuse(item, "a string");
    sc_slice bytes = sci_item_text(item);
    if (sci_slice_equal(bytes, sc_text(text)))
        return SC_OK;
    return sc_fail(SC_ERR_TYPE, "the reply is \"%.*s\", not \"%s\"",
                   (int)sci_min_size(bytes.len, SCI_ITEM_SHOWN_BYTES), bytes.data ? bytes.data : "",
                   text);
}

SC_API sc_status sc_item_check(const sc_item *item)
{
    if (!item)
        return sci_item_refuse(item, "an answer");
    if (item->kind != SC_ERROR)
        return SC_OK;
    return sc_fail(SC_ERR_REPLY, "%.*s", (int)sci_min_size(item->len, SC_ERROR_TEXT_BYTES),
                   item->is.text);
}

SC_API size_t sc_item_count(const sc_item *item)
{
    return item && item->kind == SC_ARRAY ? item->len : 0;
}

SC_API const sc_item *sc_item_at(const sc_item *item, size_t index)
{
    if (index >= sc_item_count(item))
        return NULL;
    if (item->span - 1 == item->len) /* every element is one node */
        return item + 1 + index;
    const sc_item *element = item + 1;
    while (index--)
        element += element->span;
    return element;
}

SC_API const sc_item *sc_item_first(const sc_item *array)
{
    return sc_item_count(array) > 0 ? array + 1 : NULL;
}

SC_API const sc_item *sc_item_next(const sc_item *array, const sc_item *element)
{
    if (!array || !element)
        return NULL;
    const sc_item *next = element + element->span;
    return next < array + array->span ? next : NULL;
}

SC_API const sc_item *sc_item_find(const sc_item *array, sc_slice name)
{
    const sc_item *key = sc_item_first(array);
    while (key) {
        const sc_item *value = sc_item_next(array, key);
        if (sci_item_is_text(key) && sci_slice_equal(sci_item_text(key), name))
            return value;
        key = sc_item_next(array, value);
    }
    return NULL;
}

/* MARK: - RESP2 reader (Private) */
/* An incremental, zero-copy, strict reader of RESP2, on two paths. Elements that are whole, valid,
   short and no arrays are taken in a tight loop that keeps nothing but its position. Anything else
   (arrays, long lines, what is cut short, what is wrong) goes through a state machine that can stop
   at any byte, goes on there, and knows the words for each error. */

/* An incremental, zero-copy reader of RESP2
   (https://redis.io/docs/latest/develop/reference/protocol-spec/).

   The caller keeps the bytes; the reader keeps the state. It never rescans what it has seen, its
   memory grows with elements received and never with counts announced, and it is strict: every CR
   is followed by LF, also after a bulk; numbers are canonical decimal and in range; the only
   negative lengths are `$-1` and `*-1`. */

/* Deepest nesting that a limit can allow. */
#define SCI_READER_DEPTH_CAP 128

/* Takes the pieces of a streamed bulk. `total` is the announced length, `piece` what came now (in
   order, without gaps; a bulk of 0 bytes gives one empty piece). Anything but SC_OK ends the
   reading with that status. */
typedef sc_status (*sci_bulk_sink)(void *user, size_t total, sc_slice piece);

typedef struct sci_reader {
    sc_limits limits;   /* resolved: no zeros */
    sci_items *items;   /* where nodes go; borrowed, set by sci_reader_target */
    sci_bulk_sink sink; /* NULL: bulks become slices */
    void *sink_user;
    size_t reply_bytes;    /* consumed of the current reply; 0 between replies */
    size_t reply_elements; /* announced by the current reply's arrays */
    size_t scanned;        /* bytes of the unfinished line that hold no line end */
    uint64_t number;       /* value of the digits among them */
    size_t bulk_len;       /* of the bulk being read */
    size_t bulk_streamed;  /* bytes of it that the sink already has */
    uint32_t reply_start;  /* index of the first node of the current, or last finished, reply */
    uint32_t depth;        /* open arrays */
    uint32_t innermost;    /* index of the last opened one's node, when there are any */
    char type;             /* first byte of the unfinished line */
    bool is_negative;      /* its number has a sign */
    unsigned char phase;   /* private to reader.c */
} sci_reader;

/* `limits` NULL or zero fields: the documented defaults; depth is capped at SCI_READER_DEPTH_CAP.
 */
SCI_PRIVATE void sci_reader_init(sci_reader *reader, const sc_limits *limits);
/* Where the next reply's nodes are appended; between replies only. */
SCI_PRIVATE void sci_reader_target(sci_reader *reader, sci_items *items);
/* Stream top-level bulks of the next replies into `sink`, their node has text NULL and the len
   (bulks inside arrays stay slices); NULL ends it. Between replies only. */
SCI_PRIVATE void sci_reader_stream(sci_reader *reader, sci_bulk_sink sink, void *user);

/* Read on. `data[0..len)` begins with the first byte not consumed before and may have moved since
   the last call; nodes point into it, so bytes that were consumed must stay where they are as long
   as the nodes are used.
     SC_OK     one whole reply begins at items->at[reader->reply_start]; call again for more
     SC_AGAIN  more bytes are needed (see sci_reader_missing)
     SC_ERR_PROTOCOL, SC_ERR_LIMIT, SC_ERR_MEMORY
               with words that name offset and byte, or the limit's option; the reader cannot go on
   `*used`: bytes consumed in this call: whole lines, whole bulks with their line end, and what was
   streamed. After an error the nodes of the unfinished reply are gone. */
SCI_PRIVATE sc_status sci_reader_read(sci_reader *reader, const char *data, size_t len,
                                      size_t *used);

/* Bytes, counted from the first byte not consumed, that must stand there together before the reader
   can go on (a bulk's payload and its line end); 0 when that is not known, or when less will do. */
SCI_PRIVATE size_t sci_reader_missing(const sci_reader *reader);

/* True between replies: nothing of a next one has been consumed. */
SCI_PRIVATE bool sci_reader_is_idle(const sci_reader *reader);

#define SCI_READER_DEFAULT_DEPTH 32
#define SCI_READER_DEFAULT_ELEMENTS 16777216
#define SCI_READER_DEFAULT_BULK_BYTES ((size_t)512 << 20)
#define SCI_READER_DEFAULT_REPLY_BYTES ((size_t)1 << 30)

/* Above this a size cannot be that of an object, and sums could wrap. */
#define SCI_READER_MOST_BYTES (SIZE_MAX / 4)
/* Above this a node's span would not fit. */
#define SCI_READER_MOST_ELEMENTS (UINT32_MAX / 2)

/* Digits of the largest 64-bit integer. */
#define SCI_READER_DIGITS 19
/* Longest text that the tight loop looks through byte by byte. */
#define SCI_READER_SHORT_TEXT 32

enum {
    SCI_READER_AT_TYPE, /* a type byte comes next; 0, as in a fresh reader */
    SCI_READER_IN_TEXT,
    SCI_READER_IN_NUMBER,
    SCI_READER_IN_BULK,
    SCI_READER_IN_STREAM,
    SCI_READER_FAILED
};

/* The bytes of one call. */
typedef struct sci_reader_cursor {
    const char *data;
    const char *at;  /* first byte not consumed */
    const char *end; /* where the bytes end, or the reply's limit */
    bool is_cut;     /* it is the limit: bytes follow that the reply may not use */
} sci_reader_cursor;

/* MARK: Set-up */

static size_t sci_reader_limit(size_t wanted, size_t by_default, size_t most)
{
    return sci_min_size(wanted ? wanted : by_default, most);
}

SCI_PRIVATE void sci_reader_init(sci_reader *reader, const sc_limits *limits)
{
    sc_limits wanted;
    memset(&wanted, 0, sizeof wanted);
    if (limits)
        wanted = *limits;
    memset(reader, 0, sizeof *reader);
    reader->limits.max_depth =
        sci_reader_limit(wanted.max_depth, SCI_READER_DEFAULT_DEPTH, SCI_READER_DEPTH_CAP);
    reader->limits.max_elements = sci_reader_limit(wanted.max_elements, SCI_READER_DEFAULT_ELEMENTS,
                                                   SCI_READER_MOST_ELEMENTS);
    reader->limits.max_bulk_bytes = sci_reader_limit(
        wanted.max_bulk_bytes, SCI_READER_DEFAULT_BULK_BYTES, SCI_READER_MOST_BYTES);
    reader->limits.max_reply_bytes = sci_reader_limit(
        wanted.max_reply_bytes, SCI_READER_DEFAULT_REPLY_BYTES, SCI_READER_MOST_BYTES);
}

SCI_PRIVATE void sci_reader_target(sci_reader *reader, sci_items *items)
{
    sci_assert(sci_reader_is_idle(reader));
    reader->items = items;
}

SCI_PRIVATE void sci_reader_stream(sci_reader *reader, sci_bulk_sink sink, void *user)
{
    sci_assert(sci_reader_is_idle(reader));
    reader->sink = sink;
    reader->sink_user = user;
}

SCI_PRIVATE size_t sci_reader_missing(const sci_reader *reader)
{
    return reader->phase == SCI_READER_IN_BULK ? reader->bulk_len + 2 : 0;
}

SCI_PRIVATE bool sci_reader_is_idle(const sci_reader *reader)
{
    return reader->reply_bytes == 0 && reader->phase != SCI_READER_FAILED;
}

/* MARK: Errors */

/* `at` is the offending byte. */
static sc_status sci_reader_refuse(const sci_reader *reader, const sci_reader_cursor *cursor,
                                   const char *at, const char *expected)
{
    return sc_fail(
        SC_ERR_PROTOCOL, "byte 0x%x at offset %zu of the server's reply, where %s was expected",
        (unsigned)(unsigned char)*at, reader->reply_bytes + (size_t)(at - cursor->data), expected);
}

static sc_status sci_reader_refuse_number(const sci_reader *reader, const sci_reader_cursor *cursor)
{
    return sc_fail(SC_ERR_PROTOCOL,
                   "the number after byte 0x%x at offset %zu of the server's reply is out of range",
                   (unsigned)(unsigned char)reader->type,
                   reader->reply_bytes + (size_t)(cursor->at - cursor->data));
}

static sc_status sci_reader_refuse_limit(const char *what, size_t limit, const char *field)
{
    return sc_fail(SC_ERR_LIMIT, "the server's reply has more than %zu %s: raise sc_limits.%s",
                   limit, what, field);
}

static sc_status sci_reader_refuse_text(const sci_reader *reader)
{
    return sci_reader_refuse_limit("bytes in one string", reader->limits.max_bulk_bytes,
                                   "max_bulk_bytes");
}

static sc_status sci_reader_refuse_reply(const sci_reader *reader)
{
    return sci_reader_refuse_limit("bytes in all", reader->limits.max_reply_bytes,
                                   "max_reply_bytes");
}

/* The window ends before the token does. */
static sc_status sci_reader_suspend(const sci_reader *reader, const sci_reader_cursor *cursor)
{
    return cursor->is_cut ? sci_reader_refuse_reply(reader) : SC_AGAIN;
}

/* MARK: Whole elements, quickly */

/* A canonical number below 10^18 and its line end; returns what follows, or NULL. */
static inline const char *sci_reader_quick_number(const char *at, const char *end, uint64_t *number)
{
    const char *first = at;
    uint64_t value = 0; /* wraps around only where it is not used */
    for (; at < end; at++) {
        unsigned digit = (unsigned)(unsigned char)*at - '0';
        if (digit > 9)
            break;
        value = value * 10 + digit;
    }
    size_t digits = (size_t)(at - first);
    if (digits == 0 || digits >= SCI_READER_DIGITS || (digits > 1 && *first == '0') ||
        end - at < 2 || memcmp(at, "\r\n", 2) != 0)
        return NULL;
    *number = value;
    return at + 2;
}

static inline const char *sci_reader_quick_bulk(const char *at, const char *end,
                                                size_t max_bulk_bytes, sc_item *item)
{
    uint64_t len;
    const char *text = sci_reader_quick_number(at, end, &len);
    if (!text) {
        if (end - at < 4 || memcmp(at, "-1\r\n", 4) != 0)
            return NULL;
        item->is.text = NULL;
        item->len = 0;
        item->kind = SC_NIL;
        return at + 4;
    }
    size_t have = (size_t)(end - text);
    if (len > max_bulk_bytes || have < 2 || len > have - 2 || memcmp(text + len, "\r\n", 2) != 0)
        return NULL;
    item->is.text = text;
    item->len = (size_t)len;
    item->kind = SC_STRING;
    return text + len + 2;
}

/* The sign is a branch of its own: were the position computed from it, the processor could not run
   ahead to the next element. */
static inline const char *sci_reader_quick_integer(const char *at, const char *end, sc_item *item)
{
    uint64_t magnitude;
    const char *after = sci_reader_quick_number(at, end, &magnitude);
    if (after) {
        item->is.integer = (int64_t)magnitude;
    } else {
        if (at == end || *at != '-')
            return NULL;
        after = sci_reader_quick_number(at + 1, end, &magnitude);
        if (!after || magnitude == 0)
            return NULL;
        item->is.integer = -(int64_t)magnitude;
    }
    item->len = 0;
    item->kind = SC_INTEGER;
    return after;
}

static inline const char *sci_reader_quick_text(const char *at, const char *end,
                                                size_t max_bulk_bytes, sc_kind kind, sc_item *item)
{
    const char *text = at;
    const char *stop = end - at > SCI_READER_SHORT_TEXT ? at + SCI_READER_SHORT_TEXT : end;
    /* One comparison a byte: control characters below CR are left to the state machine. */
    while (at < stop && (unsigned char)*at > '\r')
        at++;
    if (end - at < 2 || memcmp(at, "\r\n", 2) != 0 || (size_t)(at - text) > max_bulk_bytes)
        return NULL;
    item->is.text = text;
    item->len = (size_t)(at - text);
    item->kind = (uint32_t)kind;
    return at + 2;
}

/* One element that is whole, valid, short and no array; returns what follows it, or NULL: then the
   state machine has to look. */
static inline const char *sci_reader_quick(const char *at, const char *end, size_t max_bulk_bytes,
                                           sc_item *item)
{
    if (at == end)
        return NULL;
    item->span = 1;
    switch (*at) {
    case '$':
        return sci_reader_quick_bulk(at + 1, end, max_bulk_bytes, item);
    case ':':
        return sci_reader_quick_integer(at + 1, end, item);
    case '+':
        return sci_reader_quick_text(at + 1, end, max_bulk_bytes, SC_SIMPLE, item);
    case '-':
        return sci_reader_quick_text(at + 1, end, max_bulk_bytes, SC_ERROR, item);
    default:
        return NULL;
    }
}

/* An open array's node keeps what a stack would: the elements still to come, and in `span` the node
   of the array around it. */
static sc_item *sci_reader_innermost(const sci_reader *reader)
{
    return &reader->items->at[reader->innermost];
}

/* As many elements of the innermost array as that can take. */
static void sci_reader_elements(sci_reader *reader, sci_reader_cursor *cursor)
{
    sci_items *items = reader->items;
    sc_item *array = sci_reader_innermost(reader);
    size_t room = sci_min_size((size_t)array->is.integer, items->cap - items->count);
    sc_item *first = items->at + items->count;
    sc_item *item = first;
    const char *at = cursor->at;
    for (; room > 0; room--, item++) {
        const char *after = sci_reader_quick(at, cursor->end, reader->limits.max_bulk_bytes, item);
        if (!after)
            break;
        at = after;
    }
    cursor->at = at;
    array->is.integer -= item - first;
    items->count += (uint32_t)(item - first);
}

/* MARK: The state machine */

/* A new last node, counted as an element of the innermost array; NULL when there is no memory. */
static sc_item *sci_reader_append(sci_reader *reader, sc_kind kind, const char *text, size_t len)
{
    sci_items *items = reader->items;
    if (items->count == items->cap && sci_items_grow(items) != SC_OK)
        return NULL;
    sc_item *item = &items->at[items->count++];
    item->is.text = text;
    item->len = len;
    item->kind = (uint32_t)kind;
    item->span = 1;
    if (reader->depth > 0)
        sci_reader_innermost(reader)->is.integer--;
    reader->phase = SCI_READER_AT_TYPE;
    return item;
}

static sc_status sci_reader_text(sci_reader *reader, sci_reader_cursor *cursor)
{
    const char *text = cursor->at + 1;
    size_t have = (size_t)(cursor->end - text);
    bool is_too_long = have > reader->limits.max_bulk_bytes;
    const char *stop = is_too_long ? text + reader->limits.max_bulk_bytes + 1 : cursor->end;
    const char *at = cursor->at + reader->scanned;
    const char *cr = (const char *)memchr(at, '\r', (size_t)(stop - at));
    const char *lf = (const char *)memchr(at, '\n', (size_t)((cr ? cr : stop) - at));
    if (lf)
        return sci_reader_refuse(reader, cursor, lf, "CR before it");
    reader->scanned = (size_t)((cr ? cr : stop) - cursor->at);
    if (!cr && is_too_long)
        return sci_reader_refuse_text(reader);
    if (!cr || cr + 1 == cursor->end)
        return sci_reader_suspend(reader, cursor);
    if (cr[1] != '\n')
        return sci_reader_refuse(reader, cursor, cr + 1, "LF after CR");
    if (!sci_reader_append(reader, reader->type == '+' ? SC_SIMPLE : SC_ERROR, text,
                           (size_t)(cr - text)))
        return SC_ERR_MEMORY;
    cursor->at = cr + 2;
    return SC_OK;
}

/* Take in one more byte of a number, the `position`th after the type byte. */
static sc_status sci_reader_digit(sci_reader *reader, const sci_reader_cursor *cursor,
                                  const char *at)
{
    size_t position = (size_t)(at - cursor->at) - 1;
    unsigned digit = (unsigned)(unsigned char)*at - '0';
    if (*at == '-' && position == 0) {
        reader->is_negative = true;
        return SC_OK;
    }
    size_t digits = position - reader->is_negative;
    if (digit > 9)
        return sci_reader_refuse(reader, cursor, at, digits ? "a digit or CR" : "a digit");
    if (digits > 0 && reader->number == 0)
        return sci_reader_refuse(reader, cursor, at, "no digit after a leading zero");
    if (digits == 0 && reader->is_negative && digit == 0)
        return sci_reader_refuse(reader, cursor, at, "a digit from 1 to 9");
    if (digits == SCI_READER_DIGITS)
        return sci_reader_refuse_number(reader, cursor);
    reader->number = reader->number * 10 + digit;
    return SC_OK;
}

/* A line of digits. SC_OK: it is whole, `cursor` stands behind it. */
static sc_status sci_reader_number(sci_reader *reader, sci_reader_cursor *cursor)
{
    const char *at = cursor->at + reader->scanned;
    for (; at < cursor->end && *at != '\r'; at++) {
        sc_status status = sci_reader_digit(reader, cursor, at);
        if (status != SC_OK)
            return status;
    }
    reader->scanned = (size_t)(at - cursor->at);
    if (at < cursor->end && reader->scanned == (reader->is_negative ? 2u : 1u))
        return sci_reader_refuse(reader, cursor, at, "a digit");
    if (cursor->end - at < 2)
        return sci_reader_suspend(reader, cursor);
    if (at[1] != '\n')
        return sci_reader_refuse(reader, cursor, at + 1, "LF after CR");
    bool is_length = reader->type != ':';
    if (reader->number > (uint64_t)INT64_MAX + (reader->is_negative ? 1u : 0u) ||
        (is_length && reader->is_negative && reader->number != 1))
        return sci_reader_refuse_number(reader, cursor);
    cursor->at = at + 2;
    return SC_OK;
}

static sc_status sci_reader_integer(sci_reader *reader)
{
    sc_item *item = sci_reader_append(reader, SC_INTEGER, NULL, 0);
    if (!item)
        return SC_ERR_MEMORY;
    /* The smallest integer has no positive counterpart. */
    item->is.integer =
        reader->is_negative ? -(int64_t)(reader->number - 1) - 1 : (int64_t)reader->number;
    return SC_OK;
}

/* The end of a bulk of which `left` bytes are not consumed. */
static sc_status sci_reader_bulk_end(sci_reader *reader, sci_reader_cursor *cursor, size_t left,
                                     const char *text)
{
    size_t have = (size_t)(cursor->end - cursor->at);
    if (have > left && cursor->at[left] != '\r')
        return sci_reader_refuse(reader, cursor, cursor->at + left, "CR after a bulk string");
    if (have < left + 2)
        return sci_reader_suspend(reader, cursor);
    if (cursor->at[left + 1] != '\n')
        return sci_reader_refuse(reader, cursor, cursor->at + left + 1, "LF after CR");
    if (!sci_reader_append(reader, SC_STRING, text, reader->bulk_len))
        return SC_ERR_MEMORY;
    cursor->at += left + 2;
    return SC_OK;
}

static sc_status sci_reader_bulk(sci_reader *reader, sci_reader_cursor *cursor)
{
    return sci_reader_bulk_end(reader, cursor, reader->bulk_len, cursor->at);
}

static sc_status sci_reader_streamed(sci_reader *reader, sci_reader_cursor *cursor)
{
    size_t left = reader->bulk_len - reader->bulk_streamed;
    size_t piece = sci_min_size(left, (size_t)(cursor->end - cursor->at));
    if (piece > 0) {
        const char *from = cursor->at;
        cursor->at += piece;
        reader->bulk_streamed += piece;
        sc_status status = reader->sink(reader->sink_user, reader->bulk_len, sc_bytes(from, piece));
        if (status != SC_OK)
            return status;
    }
    if (piece < left)
        return sci_reader_suspend(reader, cursor);
    return sci_reader_bulk_end(reader, cursor, 0, NULL);
}

/* A bulk's header is consumed. */
static sc_status sci_reader_begin_bulk(sci_reader *reader, sci_reader_cursor *cursor)
{
    if (reader->is_negative)
        return sci_reader_append(reader, SC_NIL, NULL, 0) ? SC_OK : SC_ERR_MEMORY;
    if (reader->number > reader->limits.max_bulk_bytes)
        return sci_reader_refuse_text(reader);
    reader->bulk_len = (size_t)reader->number;
    reader->bulk_streamed = 0;
    size_t consumed = reader->reply_bytes + (size_t)(cursor->at - cursor->data);
    if (reader->bulk_len + 2 > reader->limits.max_reply_bytes - consumed)
        return sci_reader_refuse_reply(reader);
    if (!reader->sink || reader->depth > 0) {
        reader->phase = SCI_READER_IN_BULK;
        return sci_reader_bulk(reader, cursor);
    }
    reader->phase = SCI_READER_IN_STREAM;
    if (reader->bulk_len == 0) {
        sc_status status = reader->sink(reader->sink_user, 0, sc_bytes(cursor->at, 0));
        if (status != SC_OK)
            return status;
    }
    return sci_reader_streamed(reader, cursor);
}

/* An array's header is consumed. */
static sc_status sci_reader_open_array(sci_reader *reader)
{
    if (reader->is_negative)
        return sci_reader_append(reader, SC_NIL, NULL, 0) ? SC_OK : SC_ERR_MEMORY;
    if (reader->depth >= reader->limits.max_depth)
        return sci_reader_refuse_limit("nested arrays", reader->limits.max_depth, "max_depth");
    if (reader->number > reader->limits.max_elements - reader->reply_elements)
        return sci_reader_refuse_limit("elements", reader->limits.max_elements, "max_elements");
    size_t count = (size_t)reader->number;
    sc_item *array = sci_reader_append(reader, SC_ARRAY, NULL, count);
    if (!array)
        return SC_ERR_MEMORY;
    array->is.integer = (int64_t)count;
    array->span = reader->innermost;
    reader->innermost = reader->items->count - 1;
    reader->depth++;
    reader->reply_elements += count;
    return SC_OK;
}

static sc_status sci_reader_numbered(sci_reader *reader, sci_reader_cursor *cursor)
{
    sc_status status = sci_reader_number(reader, cursor);
    if (status != SC_OK)
        return status;
    if (reader->type == '$')
        return sci_reader_begin_bulk(reader, cursor);
    if (reader->type == '*')
        return sci_reader_open_array(reader);
    return sci_reader_integer(reader);
}

static sc_status sci_reader_begin_line(sci_reader *reader, sci_reader_cursor *cursor)
{
    if (cursor->at == cursor->end)
        return sci_reader_suspend(reader, cursor);
    reader->type = *cursor->at;
    reader->scanned = 1;
    reader->number = 0;
    reader->is_negative = false;
    switch (reader->type) {
    case '+':
    case '-':
        reader->phase = SCI_READER_IN_TEXT;
        return sci_reader_text(reader, cursor);
    case ':':
    case '$':
    case '*':
        reader->phase = SCI_READER_IN_NUMBER;
        return sci_reader_numbered(reader, cursor);
    default:
        return sci_reader_refuse(reader, cursor, cursor->at, "one of + - : $ *");
    }
}

/* The next node, or the rest of the one at which the last call stopped. */
static sc_status sci_reader_step(sci_reader *reader, sci_reader_cursor *cursor)
{
    switch (reader->phase) {
    case SCI_READER_AT_TYPE:
        return sci_reader_begin_line(reader, cursor);
    case SCI_READER_IN_TEXT:
        return sci_reader_text(reader, cursor);
    case SCI_READER_IN_NUMBER:
        return sci_reader_numbered(reader, cursor);
    case SCI_READER_IN_BULK:
        return sci_reader_bulk(reader, cursor);
    case SCI_READER_IN_STREAM:
        return sci_reader_streamed(reader, cursor);
    default:
        return sc_fail(SC_ERR_PROTOCOL, "the server's reply was refused before");
    }
}

/* MARK: Replies */

/* Close the arrays that have all their elements. True when none is open: the reply is whole. */
static bool sci_reader_close_arrays(sci_reader *reader)
{
    while (reader->depth > 0) {
        sc_item *array = sci_reader_innermost(reader);
        if (array->is.integer > 0)
            return false;
        uint32_t around = array->span;
        array->is.text = NULL;
        array->span = reader->items->count - reader->innermost;
        reader->innermost = around;
        reader->depth--;
    }
    return true;
}

static void sci_reader_fail(sci_reader *reader)
{
    reader->items->count = reader->reply_start;
    reader->depth = 0;
    reader->phase = SCI_READER_FAILED;
}

/* Read until the reply is whole (SC_OK) or cannot be. */
static sc_status sci_reader_advance(sci_reader *reader, sci_reader_cursor *cursor)
{
    for (;;) {
        if (reader->depth > 0 && reader->phase == SCI_READER_AT_TYPE) {
            sci_reader_elements(reader, cursor);
            if (sci_reader_close_arrays(reader))
                return SC_OK;
        }
        sc_status status = sci_reader_step(reader, cursor);
        if (status != SC_OK || reader->depth == 0)
            return status;
    }
}

/* Any reply, from where the last call stopped; returns the bytes consumed. Not through a pointer:
   whoever inlines the quick path keeps its count in a register. */
static size_t sci_reader_resume(sci_reader *reader, const char *data, size_t len, sc_status *status)
{
    size_t allowed = reader->limits.max_reply_bytes - reader->reply_bytes;
    sci_reader_cursor cursor;
    cursor.data = data;
    cursor.at = data;
    cursor.end = data + sci_min_size(len, allowed);
    cursor.is_cut = len > allowed;
    *status = sci_reader_advance(reader, &cursor);
    size_t consumed = (size_t)(cursor.at - data);
    reader->reply_bytes += consumed;
    if (*status == SC_OK) {
        reader->reply_bytes = 0;
        reader->reply_elements = 0;
    } else if (*status != SC_AGAIN) {
        sci_reader_fail(reader);
    }
    return consumed;
}

/* A reply that is one whole element, quickly; 0 when it is not. */
static inline size_t sci_reader_quick_reply(sci_reader *reader, const char *data, size_t len)
{
    sci_items *items = reader->items;
    if (reader->phase != SCI_READER_AT_TYPE || reader->sink || items->count == items->cap)
        return 0;
    const char *end = data + sci_min_size(len, reader->limits.max_reply_bytes);
    const char *after =
        sci_reader_quick(data, end, reader->limits.max_bulk_bytes, &items->at[items->count]);
    if (!after)
        return 0;
    items->count++;
    return (size_t)(after - data);
}

SCI_PRIVATE sc_status sci_reader_read(sci_reader *reader, const char *data, size_t len,
                                      size_t *used)
{
    *used = 0;
    if (len == 0)
        return SC_AGAIN;
    if (reader->depth == 0) {
        reader->reply_start = reader->items->count;
        *used = sci_reader_quick_reply(reader, data, len);
        if (SCI_LIKELY(*used > 0))
            return SC_OK;
    }
    sc_status status;
    *used = sci_reader_resume(reader, data, len, &status);
    return status;
}

/* MARK: - RESP2 writer (Private) */
/* Commands to RESP2: room is made once for a command, then bytes are only stored. */

/* Commands to RESP2: arrays of bulk strings, straight into the output buffer. */

/* Append one command. SC_ERR_ARGUMENT for argc 0; SC_ERR_MEMORY leaves `out` as it was. */
SCI_PRIVATE sc_status sci_write_command(sci_bytes *out, const sc_slice *argv, size_t argc);
/* The pieces, for commands built step by step or with a streamed argument: `*argc\r\n`,
   `$len\r\nbytes\r\n`, and the bulk's header alone. */
SCI_PRIVATE sc_status sci_write_array_header(sci_bytes *out, size_t argc);
SCI_PRIVATE sc_status sci_write_bulk(sci_bytes *out, sc_slice argument);
SCI_PRIVATE sc_status sci_write_bulk_header(sci_bytes *out, size_t len);

/* Digits of the largest 64-bit length. */
#define SCI_WRITER_DIGITS 20
/* What the type byte, a length and its line end take at most. */
#define SCI_WRITER_HEADER_BYTES (1 + SCI_WRITER_DIGITS + 2)
/* What an argument takes at most besides its own bytes. */
#define SCI_WRITER_BULK_BYTES (SCI_WRITER_HEADER_BYTES + 2)
/* Arguments up to this long are stored without a call. */
#define SCI_WRITER_SHORT_BYTES 16

static inline char *sci_writer_line_end(char *at)
{
    memcpy(at, "\r\n", 2);
    return at + 2;
}

static inline char *sci_writer_number(char *at, size_t number)
{
    if (number < 10) {
        *at = (char)('0' + number);
        return at + 1;
    }
    if (number < 100) {
        at[0] = (char)('0' + number / 10);
        at[1] = (char)('0' + number % 10);
        return at + 2;
    }
    char digits[SCI_WRITER_DIGITS];
    size_t first = sizeof digits;
    for (; number > 0; number /= 10)
        digits[--first] = (char)('0' + number % 10);
    memcpy(at, digits + first, sizeof digits - first);
    return at + (sizeof digits - first);
}

static inline char *sci_writer_header(char *at, char type, size_t number)
{
    *at = type;
    return sci_writer_line_end(sci_writer_number(at + 1, number));
}

/* Words of commands and keys are mostly short: two stores that may overlap are quicker than a call
   with a length that the compiler does not know. */
static inline char *sci_writer_copy(char *at, sc_slice bytes)
{
    if (bytes.len > SCI_WRITER_SHORT_BYTES) {
        memcpy(at, bytes.data, bytes.len);
    } else if (bytes.len >= 8) {
        memcpy(at, bytes.data, 8);
        memcpy(at + bytes.len - 8, bytes.data + bytes.len - 8, 8);
    } else if (bytes.len >= 4) {
        memcpy(at, bytes.data, 4);
        memcpy(at + bytes.len - 4, bytes.data + bytes.len - 4, 4);
    } else if (bytes.len > 0) {
        at[0] = bytes.data[0];
        at[bytes.len / 2] = bytes.data[bytes.len / 2];
        at[bytes.len - 1] = bytes.data[bytes.len - 1];
    }
    return at + bytes.len;
}

static inline char *sci_writer_bulk(char *at, sc_slice argument)
{
    at = sci_writer_header(at, '$', argument.len);
    return sci_writer_line_end(sci_writer_copy(at, argument));
}

static sc_status sci_writer_refuse_size(void)
{
    return sc_fail(SC_ERR_MEMORY, "out of memory: the command's arguments are too long together");
}

SCI_PRIVATE sc_status sci_write_command(sci_bytes *out, const sc_slice *argv, size_t argc)
{
    if (argc == 0)
        return sc_fail(SC_ERR_ARGUMENT, "a command needs at least its name: argc is 0");
    if (argc > SIZE_MAX / 2 / SCI_WRITER_BULK_BYTES)
        return sci_writer_refuse_size();
    size_t most = SCI_WRITER_HEADER_BYTES + argc * SCI_WRITER_BULK_BYTES;
    for (size_t i = 0; i < argc; i++) {
        if (argv[i].len > SIZE_MAX - most)
            return sci_writer_refuse_size();
        most += argv[i].len;
    }
    sc_status status = sci_bytes_reserve(out, most);
    if (status != SC_OK)
        return status;
    char *at = sci_writer_header(out->data + out->end, '*', argc);
    for (size_t i = 0; i < argc; i++)
        at = sci_writer_bulk(at, argv[i]);
    out->end = (size_t)(at - out->data);
    return SC_OK;
}

static sc_status sci_write_header(sci_bytes *out, char type, size_t number)
{
    sc_status status = sci_bytes_reserve(out, SCI_WRITER_HEADER_BYTES);
    if (status != SC_OK)
        return status;
    out->end = (size_t)(sci_writer_header(out->data + out->end, type, number) - out->data);
    return SC_OK;
}

SCI_PRIVATE sc_status sci_write_array_header(sci_bytes *out, size_t argc)
{
    return sci_write_header(out, '*', argc);
}

SCI_PRIVATE sc_status sci_write_bulk_header(sci_bytes *out, size_t len)
{
    return sci_write_header(out, '$', len);
}

SCI_PRIVATE sc_status sci_write_bulk(sci_bytes *out, sc_slice argument)
{
    if (argument.len > SIZE_MAX - SCI_WRITER_BULK_BYTES)
        return sci_writer_refuse_size();
    sc_status status = sci_bytes_reserve(out, argument.len + SCI_WRITER_BULK_BYTES);
    if (status != SC_OK)
        return status;
    out->end = (size_t)(sci_writer_bulk(out->data + out->end, argument) - out->data);
    return SC_OK;
}

/* MARK: - URLs (Private) */
/* Server URLs. One pass from left to right over the text; each part is decoded into a copy of its
   own. Messages say where, what stands there and what was expected, and keep silent about whatever
   may be a part of a password. */

/* Server URLs (RFC 3986; the redis scheme as registered with IANA). */

typedef enum sci_scheme { SCI_SCHEME_REDIS = 1, SCI_SCHEME_REDISS, SCI_SCHEME_UNIX } sci_scheme;

typedef struct sci_url {
    sc_memory memory;
    sci_scheme scheme;
    char *host;                 /* owned; decoded, IPv6 without brackets; NULL for unix */
    char *path;                 /* owned; decoded socket path; NULL unless unix */
    char *user;                 /* owned; NULL when absent */
    char *password;             /* owned; NULL when absent; wiped on freeing */
    char *name;                 /* owned; client name (`name=`); NULL when absent */
    uint16_t port;              /* 6379 when absent */
    int db;                     /* 0 when absent */
    int64_t timeout_ms;         /* `timeout=`, -1 when absent */
    int64_t connect_timeout_ms; /* `connect_timeout=`, -1 when absent */
} sci_url;

/* redis://[user[:password]@]host[:port][/db][?options], rediss:// likewise,
   unix://[user[:password]@]/path[?options]; options: db, timeout, connect_timeout, name, user,
   password, each at most once and not also in its place before the '?'. Durations are above 0:
   `1500`, `1500ms`, `2s`, `1m`. Host defaults to localhost; an empty user or password counts as
   absent. Each part but the port may be percent-encoded. An interface that is named in an IPv6 host
   is kept: `[fe80::1%25eth0]` gives `fe80::1%eth0`. SC_ERR_URL names the offset, the character and
   what was expected (never the password); SC_ERR_MEMORY. After an error `*url` is empty, and
   freeing it is fine. */
SCI_PRIVATE sc_status sci_url_parse(const sc_memory *memory, const char *text, sci_url *url);
#ifndef SMARTCACHE_NO_SERVER
/* The same for a place to listen at: the port may be 0. */
SCI_PRIVATE sc_status sci_url_parse_place(const sc_memory *memory, const char *text, sci_url *url);
#endif
SCI_PRIVATE void sci_url_free(sci_url *url);

/* Numeric addresses to and from text. Pure. */

/* "host:port" or a path, for messages: brackets around IPv6, "%scope" by number. */
#define SCI_ADDRESS_TEXT_BYTES (SC_PATH_BYTES + 16)
SCI_PRIVATE void sci_address_to_text(const sc_address *address, char text[SCI_ADDRESS_TEXT_BYTES]);
/* IPv4 dotted quad or IPv6 (RFC 4291, also with an embedded IPv4 and a numeric %scope). False when
   `host` is neither, so it is a name. */
SCI_PRIVATE bool sci_address_parse(const char *host, uint16_t port, sc_address *address);
/* SC_ERR_URL when the path does not fit. */
SCI_PRIVATE sc_status sci_address_unix(const char *path, sc_address *address);

#define SCI_URL_DEFAULT_PORT 6379
#define SCI_URL_PORT_MAX 65535
/* Text of the user's that a message repeats, at most. */
#define SCI_URL_ECHO_BYTES 100
#define SCI_URL_NAME_BYTES 24 /* longer than any option's name */

/* What may be given once: in its place or as an option. */
enum {
    SCI_URL_HAS_DB = 1,
    SCI_URL_HAS_TIMEOUT = 2,
    SCI_URL_HAS_CONNECT_TIMEOUT = 4,
    SCI_URL_HAS_NAME = 8,
    SCI_URL_HAS_USER = 16,
    SCI_URL_HAS_PASSWORD = 32
};

typedef struct sci_url_option {
    const char *name;
    unsigned bit;
} sci_url_option;

static const sci_url_option sci_url_options[] = {
    {"db", SCI_URL_HAS_DB},
    {"timeout", SCI_URL_HAS_TIMEOUT},
    {"connect_timeout", SCI_URL_HAS_CONNECT_TIMEOUT},
    {"name", SCI_URL_HAS_NAME},
    {"user", SCI_URL_HAS_USER},
    {"password", SCI_URL_HAS_PASSWORD},
};
#define SCI_URL_OPTION_NAMES "db, timeout, connect_timeout, name, user, password"

typedef struct sci_url_parser {
    const char *text;
    size_t len;
    size_t at;      /* the next byte to look at */
    unsigned seen;  /* SCI_URL_HAS_... */
    bool is_secret; /* from here on the text may be a password's */
#ifndef SMARTCACHE_NO_SERVER
    bool is_place; /* where to listen: a port may be 0 */
#endif
    sci_url *url;
} sci_url_parser;

static bool sci_url_is_place(const sci_url_parser *parser)
{
#ifndef SMARTCACHE_NO_SERVER
    return parser->is_place;
#else
    (void)parser;
    return false;
#endif
}

/* A span of the text. */
typedef struct sci_url_span {
    size_t start, end;
} sci_url_span;

static sci_url_span sci_url_span_of(size_t start, size_t end)
{
    sci_url_span span;
    span.start = start;
    span.end = end;
    return span;
}

/* Offset of the first `c` in the span; its end when there is none. */
static size_t sci_url_find(const sci_url_parser *parser, sci_url_span span, char c)
{
    const void *found =
        span.start < span.end ? memchr(parser->text + span.start, c, span.end - span.start) : NULL;
    return found ? (size_t)((const char *)found - parser->text) : span.end;
}

/* Before an '@' stand user and password, also when a character that should have been encoded has
   cut them in two. */
static bool sci_url_is_hidden(const sci_url_parser *parser, size_t at)
{
    return parser->is_secret ||
           sci_url_find(parser, sci_url_span_of(at, parser->len), '@') < parser->len;
}

/* Fail at an offset: what stands there, and what was expected. */
static sc_status sci_url_fail(const sci_url_parser *parser, size_t at, const char *expected)
{
    char found[32];
    const char *hint = "";
    unsigned char c = at < parser->len ? (unsigned char)parser->text[at] : 0;
    if (at >= parser->len) {
        sci_format(found, sizeof(found), "the end");
    } else if (sci_url_is_hidden(parser, at)) {
        sci_format(found, sizeof(found), "a character that is not shown");
        hint = "; in a user or password percent-encode all but letters and digits ('@' is %40)";
    } else if (c > ' ' && c < 0x7f) {
        sci_format(found, sizeof(found), "'%c'", (int)c);
    } else {
        sci_format(found, sizeof(found), "byte %u", (unsigned)c);
    }
    return sc_fail(SC_ERR_URL, "URL, offset %zu: found %s, expected %s%s", at, found, expected,
                   hint);
}

/* -- Characters -- */

/* Take one character, plain or percent-encoded, from the front of a span that is not empty. */
static sc_status sci_url_take(const sci_url_parser *parser, sci_url_span *span, char *character)
{
    char c = parser->text[span->start];
    if ((unsigned char)c <= ' ' || c == 0x7f)
        return sci_url_fail(parser, span->start,
                            "spaces and control characters percent-encoded, such as %20");
    if (c != '%') {
        *character = c;
        span->start++;
        return SC_OK;
    }
    for (size_t i = 1; i <= 2; i++)
        if (span->start + i >= span->end || sci_hex_digit(parser->text[span->start + i]) < 0)
            return sci_url_fail(parser, sci_min_size(span->start + i, span->end),
                                "two hexadecimal digits after '%' (a '%' itself is %25)");
    c = (char)(sci_hex_digit(parser->text[span->start + 1]) * 16 +
               sci_hex_digit(parser->text[span->start + 2]));
    if (c == '\0')
        return sci_url_fail(parser, span->start, "any byte but %00");
    *character = c;
    span->start += 3;
    return SC_OK;
}

/* Decode a span into a new text; an empty one gives NULL. */
static sc_status sci_url_decode(const sci_url_parser *parser, sci_url_span span, char **text)
{
    sci_url_span rest = span;
    size_t len = 0;
    char c;
    *text = NULL;
    for (; rest.start < rest.end; len++) {
        sc_status status = sci_url_take(parser, &rest, &c);
        if (status != SC_OK)
            return status;
    }
    if (len == 0)
        return SC_OK;
    *text = (char *)sci_alloc_zeroed(&parser->url->memory, len + 1);
    if (!*text)
        return SC_ERR_MEMORY;
    rest = span;
    for (size_t i = 0; i < len; i++)
        (void)sci_url_take(parser, &rest, &(*text)[i]);
    return SC_OK;
}

/* Take decimal digits from the front of a span: one at least, `max` at most. */
static sc_status sci_url_take_number(const sci_url_parser *parser, sci_url_span *span, int64_t max,
                                     const char *expected, int64_t *number)
{
    size_t first = span->start;
    int64_t value = 0;
    while (span->start < span->end) {
        sci_url_span next = *span;
        char c = '\0';
        sc_status status = sci_url_take(parser, &next, &c);
        if (status != SC_OK)
            return status;
        if (c < '0' || c > '9')
            break;
        if (value > (max - (c - '0')) / 10)
            return sci_url_fail(parser, span->start, expected);
        value = value * 10 + (c - '0');
        *span = next;
    }
    if (span->start == first)
        return sci_url_fail(parser, first, expected);
    *number = value;
    return SC_OK;
}

/* -- Scheme -- */

static char sci_url_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Compares without case. */
static bool sci_url_begins(const char *text, size_t len, const char *prefix)
{
    size_t i = 0;
    for (; prefix[i] != '\0'; i++)
        if (i >= len || sci_url_lower(text[i]) != prefix[i])
            return false;
    return true;
}

static bool sci_url_contains(const char *text, size_t len, const char *part)
{
    for (size_t i = 0; i < len; i++)
        if (sci_url_begins(text + i, len - i, part))
            return true;
    return false;
}

/* 0 when there is none of this name. */
static sci_scheme sci_url_scheme(const char *text, size_t len)
{
    if (len == 5 && sci_url_begins(text, len, "redis"))
        return SCI_SCHEME_REDIS;
    if (len == 6 && sci_url_begins(text, len, "rediss"))
        return SCI_SCHEME_REDISS;
    if (len == 4 && sci_url_begins(text, len, "unix"))
        return SCI_SCHEME_UNIX;
    return (sci_scheme)0;
}

/* The scheme that somebody who wrote this one probably wants. */
static const char *sci_url_guess(const char *scheme, size_t len)
{
    if (sci_url_contains(scheme, len, "unix") || sci_url_contains(scheme, len, "sock") ||
        sci_url_contains(scheme, len, "file"))
        return "unix";
    if (sci_url_contains(scheme, len, "tls") || sci_url_contains(scheme, len, "ssl") ||
        sci_url_lower(scheme[len - 1]) == 's')
        return "rediss";
    return "redis";
}

/* Printable, short, and without what may be credentials: an '@', or a ':' that no port follows. */
static bool sci_url_can_echo(const sci_url_parser *parser, sci_url_span span)
{
    size_t colon = sci_url_find(parser, span, ':');
    if (span.end - span.start > SCI_URL_ECHO_BYTES || sci_url_is_hidden(parser, span.start))
        return false;
    for (size_t i = span.start; i < span.end; i++) {
        char c = parser->text[i];
        if (c <= ' ' || c >= 0x7f || c == '?')
            return false;
        if (i > colon && c != '/' && (c < '0' || c > '9'))
            return false;
    }
    return true;
}

/* No scheme: "localhost:6379", "/run/redis.sock". */
static sc_status sci_url_fail_no_scheme(const sci_url_parser *parser)
{
    const char *prefix = parser->text[0] == '/' ? "unix" : "redis";
    if (sci_url_can_echo(parser, sci_url_span_of(0, parser->len)))
        return sc_fail(SC_ERR_URL,
                       "URL, offset 0: the scheme is missing, did you mean \"%s://%s\"?", prefix,
                       parser->text);
    return sc_fail(SC_ERR_URL,
                   "URL, offset 0: the scheme is missing, did you mean \"%s://\" before it?",
                   prefix);
}

static sc_status sci_url_parse_scheme(sci_url_parser *parser)
{
    size_t len = 0;
    for (char c = sci_url_lower(parser->text[0]);
         (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
         c = sci_url_lower(parser->text[len]))
        len++;
    if (parser->len == 0)
        return sci_url_fail(parser, 0, "redis://, rediss:// or unix://");
    parser->url->scheme = sci_url_scheme(parser->text, len);
    parser->at = len;
    for (const char *mark = "://"; *mark != '\0'; mark++, parser->at++) {
        if (parser->text[parser->at] == *mark)
            continue;
        if (parser->at > len && parser->url->scheme != 0)
            return sci_url_fail(parser, parser->at, "\"//\" after the scheme");
        return sci_url_fail_no_scheme(parser);
    }
    if (len == 0)
        return sci_url_fail(parser, 0, "redis://, rediss:// or unix://");
    if (parser->url->scheme == 0)
        return sc_fail(SC_ERR_URL,
                       "URL, offset 0: unknown scheme \"%.*s\", expected redis, rediss or unix; "
                       "did you mean \"%s://\"?",
                       (int)sci_min_size(len, SCI_URL_ECHO_BYTES), parser->text,
                       sci_url_guess(parser->text, len));
    return SC_OK;
}

/* -- Authority -- */

static sc_status sci_url_parse_userinfo(sci_url_parser *parser, sci_url_span span)
{
    size_t colon = sci_url_find(parser, span, ':');
    sc_status status =
        sci_url_decode(parser, sci_url_span_of(span.start, colon), &parser->url->user);
    if (status != SC_OK)
        return status;
    if (colon < span.end) {
        status =
            sci_url_decode(parser, sci_url_span_of(colon + 1, span.end), &parser->url->password);
        if (status != SC_OK)
            return status;
    }
    if (parser->url->user)
        parser->seen |= SCI_URL_HAS_USER;
    if (parser->url->password)
        parser->seen |= SCI_URL_HAS_PASSWORD;
    return SC_OK;
}

/* "[::1]": the address without its brackets. The zone may be a number or an interface's name; the
   latter is for the resolver. */
static sc_status sci_url_parse_ipv6(sci_url_parser *parser, sci_url_span span)
{
    char literal[SCI_ADDRESS_TEXT_BYTES];
    sc_address address;
    char *zone;
    sc_status status = sci_url_decode(parser, span, &parser->url->host);
    if (status != SC_OK)
        return status;
    if (!parser->url->host || strlen(parser->url->host) >= sizeof(literal))
        return sci_url_fail(parser, span.start, "an IPv6 address between the brackets");
    memcpy(literal, parser->url->host, strlen(parser->url->host) + 1);
    zone = strchr(literal, '%');
    if (zone && zone[1] == '\0')
        return sci_url_fail(parser, span.end, "an interface after %25");
    if (zone)
        *zone = '\0';
    if (!sci_address_parse(literal, 0, &address) || address.family != SC_FAMILY_IPV6)
        return sci_url_fail(parser, span.start,
                            "an IPv6 address between the brackets, such as ::1");
    return SC_OK;
}

/* A name or an IPv4 address; empty means localhost. */
static sc_status sci_url_parse_name(sci_url_parser *parser, sci_url_span span)
{
    sci_url_span rest = span;
    while (rest.start < rest.end) {
        size_t at = rest.start;
        char c = '\0';
        sc_status status = sci_url_take(parser, &rest, &c);
        if (status != SC_OK)
            return status;
        if ((unsigned char)c <= ' ' || c == 0x7f || strchr("\"#%/:<>?@[\\]^`{|}", c))
            return sci_url_fail(parser, at, "a character of a host name");
    }
    if (span.start == span.end) {
        parser->url->host = sci_copy_text(&parser->url->memory, sc_text("localhost"));
        return parser->url->host ? SC_OK : SC_ERR_MEMORY;
    }
    return sci_url_decode(parser, span, &parser->url->host);
}

static sc_status sci_url_parse_port(sci_url_parser *parser, sci_url_span span)
{
    int64_t port = 0;
    size_t start = span.start;
    sc_status status;
    for (size_t i = start; i < span.end; i++)
        if (parser->text[i] < '0' || parser->text[i] > '9')
            return sci_url_fail(
                parser, i,
                parser->text[i] == ':'
                    ? "a digit of the port (an IPv6 address stands in brackets, [::1])"
                    : "a digit of the port");
    status = sci_url_take_number(parser, &span, SCI_URL_PORT_MAX, "a port from 1 to 65535", &port);
    if (status != SC_OK)
        return status;
    if (port == 0 && !sci_url_is_place(parser))
        return sci_url_fail(parser, start, "a port from 1 to 65535");
    parser->url->port = (uint16_t)port;
    return SC_OK;
}

static sc_status sci_url_parse_host(sci_url_parser *parser, sci_url_span span)
{
    size_t colon;
    sc_status status;
    parser->url->port = SCI_URL_DEFAULT_PORT;
    if (span.start < span.end && parser->text[span.start] == '[') {
        size_t bracket = sci_url_find(parser, span, ']');
        if (bracket == span.end)
            return sci_url_fail(parser, bracket, "']' after the IPv6 address");
        status = sci_url_parse_ipv6(parser, sci_url_span_of(span.start + 1, bracket));
        colon = bracket + 1;
        if (status == SC_OK && colon < span.end && parser->text[colon] != ':')
            return sci_url_fail(parser, colon, "':' and the port, or '/'");
    } else {
        colon = sci_url_find(parser, span, ':');
        status = sci_url_parse_name(parser, sci_url_span_of(span.start, colon));
    }
    if (status == SC_OK && colon < span.end)
        status = sci_url_parse_port(parser, sci_url_span_of(colon + 1, span.end));
    return status;
}

/* "unix://tmp/redis.sock" has a host where none belongs. */
static sc_status sci_url_fail_relative(const sci_url_parser *parser, sci_url_span span)
{
    span.end = sci_url_find(parser, sci_url_span_of(span.start, parser->len), '?');
    if (span.start == span.end || !sci_url_can_echo(parser, span))
        return sci_url_fail(parser, span.start, "'/': the path of a Unix socket is absolute");
    return sc_fail(SC_ERR_URL,
                   "URL, offset %zu: found '%c', expected '/': the path of a Unix socket is "
                   "absolute, did you mean \"unix:///%.*s\"?",
                   span.start, parser->text[span.start], (int)(span.end - span.start),
                   parser->text + span.start);
}

/* Everything up to '/', '?' or the end. */
static sc_status sci_url_parse_authority(sci_url_parser *parser)
{
    sci_url_span span = sci_url_span_of(parser->at, parser->len);
    size_t sign;
    span.end = sci_url_find(parser, span, '?');
    span.end = sci_url_find(parser, span, '/');
    parser->at = span.end;
    sign = sci_url_find(parser, span, '@');
    if (sign < span.end) {
        sc_status status = sci_url_parse_userinfo(parser, sci_url_span_of(span.start, sign));
        if (status != SC_OK)
            return status;
        span.start = sign + 1;
        if (sci_url_find(parser, span, '@') < span.end)
            return sci_url_fail(parser, sign, "an '@' within user or password as %40");
    }
    if (parser->url->scheme != SCI_SCHEME_UNIX)
        return sci_url_parse_host(parser, span);
    if (span.start < span.end || parser->at == parser->len || parser->text[parser->at] != '/')
        return sci_url_fail_relative(parser, span);
    return SC_OK;
}

/* -- Path and options -- */

static sc_status sci_url_parse_db(sci_url_parser *parser, sci_url_span span)
{
    int64_t db = 0;
    sc_status status = sci_url_take_number(parser, &span, INT32_MAX,
                                           "a database number from 0 to 2147483647", &db);
    if (status != SC_OK)
        return status;
    if (span.start < span.end)
        return sci_url_fail(parser, span.start, "nothing after the digits of the database number");
    parser->url->db = (int)db;
    return SC_OK;
}

static sc_status sci_url_parse_path(sci_url_parser *parser)
{
    sci_url_span span = sci_url_span_of(parser->at, parser->len);
    sc_address address;
    sc_status status;
    span.end = sci_url_find(parser, span, '?');
    parser->at = span.end;
    if (parser->url->scheme == SCI_SCHEME_UNIX) {
        status = sci_url_decode(parser, span, &parser->url->path);
        return status == SC_OK ? sci_address_unix(parser->url->path, &address) : status;
    }
    if (span.end - span.start <= 1)
        return SC_OK;
    parser->seen |= SCI_URL_HAS_DB;
    return sci_url_parse_db(parser, sci_url_span_of(span.start + 1, span.end));
}

static sc_status sci_url_parse_duration(const sci_url_parser *parser, sci_url_span span,
                                        int64_t *duration_ms)
{
    static const char expected[] = "a duration above 0 such as 1500, 1500ms, 2s or 1m";
    size_t start = span.start;
    int64_t unit_ms = 1;
    int64_t number = 0;
    char unit[3] = "";
    size_t unit_at;
    sc_status status = sci_url_take_number(parser, &span, INT64_MAX, expected, &number);
    unit_at = span.start;
    for (size_t i = 0; status == SC_OK && span.start < span.end; i++) {
        if (i == sizeof(unit) - 1)
            return sci_url_fail(parser, unit_at, expected);
        status = sci_url_take(parser, &span, &unit[i]);
    }
    if (status != SC_OK)
        return status;
    if (strcmp(unit, "s") == 0)
        unit_ms = 1000;
    else if (strcmp(unit, "m") == 0)
        unit_ms = INT64_C(60) * 1000;
    else if (unit[0] != '\0' && strcmp(unit, "ms") != 0)
        return sci_url_fail(parser, unit_at, expected);
    if (number == 0 || number > INT64_MAX / unit_ms)
        return sci_url_fail(parser, start, expected);
    *duration_ms = number * unit_ms;
    return SC_OK;
}

/* CLIENT SETNAME takes printable characters without spaces. */
static sc_status sci_url_parse_client_name(sci_url_parser *parser, sci_url_span span)
{
    static const char expected[] = "a client name of printable ASCII characters without spaces";
    sci_url_span rest = span;
    if (span.start == span.end)
        return sci_url_fail(parser, span.start, expected);
    while (rest.start < rest.end) {
        size_t at = rest.start;
        char c = '\0';
        sc_status status = sci_url_take(parser, &rest, &c);
        if (status != SC_OK)
            return status;
        if (c <= ' ' || c >= 0x7f)
            return sci_url_fail(parser, at, expected);
    }
    return sci_url_decode(parser, span, &parser->url->name);
}

static sc_status sci_url_parse_value(sci_url_parser *parser, unsigned bit, sci_url_span span)
{
    switch (bit) {
    case SCI_URL_HAS_DB:
        return sci_url_parse_db(parser, span);
    case SCI_URL_HAS_TIMEOUT:
        return sci_url_parse_duration(parser, span, &parser->url->timeout_ms);
    case SCI_URL_HAS_CONNECT_TIMEOUT:
        return sci_url_parse_duration(parser, span, &parser->url->connect_timeout_ms);
    case SCI_URL_HAS_NAME:
        return sci_url_parse_client_name(parser, span);
    case SCI_URL_HAS_USER:
        return sci_url_decode(parser, span, &parser->url->user);
    default:
        parser->is_secret = true;
        return sci_url_decode(parser, span, &parser->url->password);
    }
}

/* The option of this name, or NULL; `name` becomes its decoded text, cut where it is too long. */
static sc_status sci_url_find_option(const sci_url_parser *parser, sci_url_span span,
                                     char name[SCI_URL_NAME_BYTES], const sci_url_option **option)
{
    size_t len = 0;
    *option = NULL;
    memset(name, 0, SCI_URL_NAME_BYTES);
    while (span.start < span.end && len < SCI_URL_NAME_BYTES - 1) {
        sc_status status = sci_url_take(parser, &span, &name[len]);
        if (status != SC_OK)
            return status;
        if (name[len] <= ' ' || name[len] >= 0x7f)
            name[len] = '?'; /* fit for a message; no option has such a name */
        len++;
    }
    for (size_t i = 0; i < SCI_COUNT(sci_url_options); i++)
        if (strcmp(name, sci_url_options[i].name) == 0)
            *option = &sci_url_options[i];
    return SC_OK;
}

/* One `name=value`. */
static sc_status sci_url_parse_option(sci_url_parser *parser, sci_url_span span)
{
    char name[SCI_URL_NAME_BYTES];
    const sci_url_option *option;
    size_t equals = sci_url_find(parser, span, '=');
    sc_status status;
    if (span.start == equals)
        return sci_url_fail(parser, span.start, "the name of an option: " SCI_URL_OPTION_NAMES);
    status = sci_url_find_option(parser, sci_url_span_of(span.start, equals), name, &option);
    if (status != SC_OK)
        return status;
    if (!option && sci_url_is_hidden(parser, span.start))
        return sci_url_fail(parser, span.start, "the name of an option: " SCI_URL_OPTION_NAMES);
    if (!option)
        return sc_fail(
            SC_ERR_URL,
            "URL, offset %zu: unknown option \"%s\", expected one of " SCI_URL_OPTION_NAMES,
            span.start, name);
    if (equals == span.end)
        return sci_url_fail(parser, equals, "'=' and a value after the name of the option");
    if (parser->seen & option->bit)
        return sc_fail(SC_ERR_URL, "URL, offset %zu: found %s a second time, expected it once",
                       span.start, option->name);
    parser->seen |= option->bit;
    return sci_url_parse_value(parser, option->bit, sci_url_span_of(equals + 1, span.end));
}

static sc_status sci_url_parse_query(sci_url_parser *parser)
{
    sc_status status = SC_OK;
    if (parser->at == parser->len || parser->at + 1 == parser->len)
        return SC_OK; /* none, or a lone '?' */
    do {
        sci_url_span span = sci_url_span_of(parser->at + 1, parser->len);
        span.end = sci_url_find(parser, span, '&');
        status = sci_url_parse_option(parser, span);
        parser->at = span.end;
    } while (status == SC_OK && parser->at < parser->len);
    return status;
}

/* -- The whole -- */

static sc_status sci_url_parse_all(sci_url_parser *parser)
{
    size_t hash;
    sc_status status = sci_url_parse_scheme(parser);
    if (status != SC_OK)
        return status;
    hash = sci_url_find(parser, sci_url_span_of(parser->at, parser->len), '#');
    if (hash < parser->len)
        return sci_url_fail(parser, hash, "no fragment (a '#' itself is %23)");
    status = sci_url_parse_authority(parser);
    if (status == SC_OK)
        status = sci_url_parse_path(parser);
    if (status == SC_OK)
        status = sci_url_parse_query(parser);
    return status;
}

static sc_status sci_url_parse_by(sci_url_parser *parser, const sc_memory *memory, sc_slice text,
                                  sci_url *url)
{
    memset(url, 0, sizeof(*url));
    url->memory = *memory;
    url->timeout_ms = -1;
    url->connect_timeout_ms = -1;
    parser->text = text.data;
    parser->len = text.len;
    parser->url = url;
    sc_status status = sci_url_parse_all(parser);
    if (status != SC_OK)
        sci_url_free(url);
    return status;
}

SCI_PRIVATE sc_status sci_url_parse(const sc_memory *memory, const char *text, sci_url *url)
{
    sci_url_parser parser;
    memset(&parser, 0, sizeof(parser));
    return sci_url_parse_by(&parser, memory, sc_text(text ? text : ""), url);
}

#ifndef SMARTCACHE_NO_SERVER
SCI_PRIVATE sc_status sci_url_parse_place(const sc_memory *memory, const char *text, sci_url *url)
{
    sci_url_parser parser;
    memset(&parser, 0, sizeof(parser));
    parser.is_place = true;
    return sci_url_parse_by(&parser, memory, sc_text(text), url);
}
#endif

SCI_PRIVATE void sci_url_free(sci_url *url)
{
    sc_memory memory = url->memory;
    sci_free_text(&memory, url->host);
    sci_free_text(&memory, url->path);
    sci_free_text(&memory, url->user);
    sci_free_secret_text(&memory, url->password);
    sci_free_text(&memory, url->name);
    memset(url, 0, sizeof(*url));
    url->memory = memory;
}

/* MARK: - Addresses (Private) */
/* Numeric addresses to and from text: dotted quads, IPv6 as RFC 4291 writes it and RFC 5952 prints
   it, and paths of Unix sockets. Pure: no name is looked up here. */

#define SCI_ADDRESS_IPV4_BYTES 4
#define SCI_ADDRESS_IPV6_GROUPS 8

/* An IPv6 address may be followed by its scope. */
static bool sci_address_at_end(const char *text)
{
    return *text == '\0' || *text == '%';
}

/* Four decimal bytes up to the end or a '%'; no leading zeros, which some read as octal. Returns
   where the quad ends, NULL when there is none. */
static const char *sci_address_parse_quad(const char *text, uint8_t ip[SCI_ADDRESS_IPV4_BYTES])
{
    for (int i = 0; i < SCI_ADDRESS_IPV4_BYTES; i++) {
        unsigned number = 0;
        const char *first;
        if (i > 0 && *text++ != '.')
            return NULL;
        first = text;
        while (*text >= '0' && *text <= '9' && text - first < 3)
            number = number * 10 + (unsigned)(*text++ - '0');
        if (text == first || number > 255 || (*first == '0' && text - first > 1))
            return NULL;
        ip[i] = (uint8_t)number;
    }
    return sci_address_at_end(text) ? text : NULL;
}

/* One group of up to four hexadecimal digits. Returns where it ends, NULL when there is none. */
static const char *sci_address_parse_group(const char *text, uint8_t pair[2])
{
    const char *first = text;
    unsigned number = 0;
    while (sci_hex_digit(*text) >= 0 && text - first < 4)
        number = number * 16 + (unsigned)sci_hex_digit(*text++);
    if (text == first)
        return NULL;
    pair[0] = (uint8_t)(number >> 8);
    pair[1] = (uint8_t)(number & 0xff);
    return text;
}

/* "%3": the number of an interface; nothing means 0. The text must end after it. */
static bool sci_address_parse_scope(const char *text, uint32_t *scope_id)
{
    uint64_t number = 0;
    *scope_id = 0;
    if (*text == '\0')
        return true;
    if (*text++ != '%' || *text == '\0')
        return false;
    for (; *text >= '0' && *text <= '9' && number <= UINT32_MAX; text++)
        number = number * 10 + (uint64_t)(*text - '0');
    *scope_id = (uint32_t)number;
    return *text == '\0' && number <= UINT32_MAX;
}

/* Spread the groups around the "::" that stood before byte `gap` of the `len` bytes read. */
static bool sci_address_fill_gap(uint8_t ip[16], int len, int gap)
{
    if (gap < 0)
        return len == 16;
    if (len > 14)
        return false; /* "::" stands for one group at least */
    memmove(ip + 16 - (len - gap), ip + gap, (size_t)(len - gap));
    memset(ip + gap, 0, (size_t)(16 - len));
    return true;
}

/* What follows a group that ends `len` bytes: the end, ":" and more, or the one "::", which sets
   `*gap`. Returns where it ends, NULL when it is none of these. */
static const char *sci_address_parse_colons(const char *text, int len, int *gap)
{
    if (sci_address_at_end(text))
        return text;
    if (*text++ != ':')
        return NULL;
    if (*text != ':')
        return sci_address_at_end(text) ? NULL : text;
    if (*gap >= 0)
        return NULL;
    *gap = len;
    return text + 1;
}

static bool sci_address_parse_ipv6(const char *text, uint8_t ip[16], uint32_t *scope_id)
{
    int len = 0;  /* bytes read so far */
    int gap = -1; /* where "::" stands among them */
    if (text[0] == ':' && text[1] == ':') {
        gap = 0;
        text += 2;
    }
    while (text && !sci_address_at_end(text)) {
        const char *end = len <= 12 ? sci_address_parse_quad(text, ip + len) : NULL;
        if (end) {
            len += SCI_ADDRESS_IPV4_BYTES;
            text = end;
            break;
        }
        if (len == 16)
            return false;
        text = sci_address_parse_group(text, ip + len);
        len += 2;
        if (text)
            text = sci_address_parse_colons(text, len, &gap);
    }
    if (!text)
        return false;
    return sci_address_fill_gap(ip, len, gap) && sci_address_parse_scope(text, scope_id);
}

SCI_PRIVATE bool sci_address_parse(const char *host, uint16_t port, sc_address *address)
{
    const char *end;
    memset(address, 0, sizeof(*address));
    address->port = port;
    end = sci_address_parse_quad(host, address->ip);
    if (end && *end == '\0') {
        address->family = SC_FAMILY_IPV4;
        return true;
    }
    memset(address->ip, 0, sizeof(address->ip));
    address->family = SC_FAMILY_IPV6;
    return sci_address_parse_ipv6(host, address->ip, &address->scope_id);
}

SCI_PRIVATE sc_status sci_address_unix(const char *path, sc_address *address)
{
    size_t len = strlen(path);
    memset(address, 0, sizeof(*address));
    address->family = SC_FAMILY_UNIX;
    if (len == 0)
        return sc_fail(SC_ERR_URL, "the path of a Unix socket is empty");
    if (len >= SC_PATH_BYTES)
        return sc_fail(SC_ERR_URL,
                       "the path of a Unix socket has %zu bytes, at most %d are possible: "
                       "use a shorter path or a symbolic link",
                       len, SC_PATH_BYTES - 1);
    memcpy(address->path, path, len + 1);
    return SC_OK;
}

/* The longest run of two or more zero groups, the first of equals (RFC 5952 section 4.2). */
static int sci_address_zero_run(const unsigned *groups, int count, int *run_len)
{
    int best = -1;
    *run_len = 1;
    for (int i = 0; i < count; i++) {
        int len = 0;
        while (i + len < count && groups[i + len] == 0)
            len++;
        if (len > *run_len) {
            best = i;
            *run_len = len;
        }
    }
    return best;
}

static size_t sci_address_ipv6_to_text(const uint8_t ip[16], char *text, size_t cap)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    unsigned groups[SCI_ADDRESS_IPV6_GROUPS];
    size_t len = 0;
    int run_len = 0;
    int run;
    if (memcmp(ip, mapped, sizeof(mapped)) == 0)
        return sci_format(text, cap, "::ffff:%u.%u.%u.%u", (unsigned)ip[12], (unsigned)ip[13],
                          (unsigned)ip[14], (unsigned)ip[15]);
    for (int i = 0; i < SCI_ADDRESS_IPV6_GROUPS; i++)
        groups[i] = (unsigned)ip[2 * i] << 8 | ip[2 * i + 1];
    run = sci_address_zero_run(groups, SCI_ADDRESS_IPV6_GROUPS, &run_len);
    for (int i = 0; i < SCI_ADDRESS_IPV6_GROUPS; i++) {
        if (i == run) {
            len += sci_format(text + len, cap - len, "::");
            i += run_len - 1;
        } else {
            bool follows_group = i > 0 && (run < 0 || i != run + run_len);
            if (follows_group)
                len += sci_format(text + len, cap - len, ":");
            len += sci_format(text + len, cap - len, "%x", groups[i]);
        }
    }
    return len;
}

SCI_PRIVATE void sci_address_to_text(const sc_address *address, char text[SCI_ADDRESS_TEXT_BYTES])
{
    const size_t cap = SCI_ADDRESS_TEXT_BYTES;
    size_t len;
    if (address->family == SC_FAMILY_UNIX) {
        const void *end = memchr(address->path, '\0', SC_PATH_BYTES);
        len = end ? (size_t)((const char *)end - address->path) : SC_PATH_BYTES;
        memcpy(text, address->path, len);
        text[len] = '\0';
        return;
    }
    if (address->family == SC_FAMILY_IPV4) {
        sci_format(text, cap, "%u.%u.%u.%u:%u", (unsigned)address->ip[0], (unsigned)address->ip[1],
                   (unsigned)address->ip[2], (unsigned)address->ip[3], (unsigned)address->port);
        return;
    }
    len = sci_format(text, cap, "[");
    len += sci_address_ipv6_to_text(address->ip, text + len, cap - len);
    if (address->scope_id)
        len += sci_format(text + len, cap - len, "%%%lu", (unsigned long)address->scope_id);
    sci_format(text + len, cap - len, "]:%u", (unsigned)address->port);
}

/* MARK: - Name look-up (Private) */
/* Name look-ups: the meeting of a resolver that finishes when it can and an owner that may lose
   patience at any moment. Two references keep the block alive for both; three bits, each set once,
   decide whether the owner is notified. */

/* A name look-up that its owner may abandon: whoever finishes last frees it. */

/* Addresses tried at most; more are ignored. */
#define SCI_LOOKUP_ADDRESSES 16

struct sc_lookup {
    sc_memory memory;
    sci_atomic_u32 references; /* the owner's and the resolver's */
    sci_atomic_u32 is_done;
    /* Called once, by the finishing thread, unless abandoned; must only wake the owner. */
    void (*notify)(void *user);
    void *notify_user;
    sci_atomic_u32 state; /* private to lookup.c: guards notify against abandoning */
    sci_gate notified;    /* private to lookup.c: raised when a notify has returned */
    char *host;           /* owned copy */
    uint16_t port;        /* as asked for; the resolver puts it into every address */

    /* For resolvers without a thread; set in sci_lookup_start, constant after it. The owner watches
       `descriptor` for SC_READABLE when it is not negative, calls sci_lookup_advance when it is
       ready, and stops watching before sci_lookup_abandon, which closes it. */
    sc_descriptor descriptor;                /* -1: nothing to watch */
    void *helper;                            /* the resolver's own */
    void (*advance)(struct sc_lookup *self); /* NULL: nothing to do */
    void (*release)(struct sc_lookup *self); /* frees `helper`; NULL when there is none */

    sc_status status; /* valid once is_done */
    char error_text[SC_ERROR_TEXT_BYTES];
    size_t count;
    sc_address addresses[SCI_LOOKUP_ADDRESSES];
};

/* Begin. SC_OK: `*lookup` belongs to the caller until sci_lookup_abandon. A numeric `host` is done
   at once, without the resolver; then, as with any quick resolver, `notify` runs before this
   returns. The block is freed by whoever lets go last: with a resolver that runs in a thread that
   can be after the owner is gone, so `memory` must outlive it too. */
SCI_PRIVATE sc_status sci_lookup_start(const sc_memory *memory, const sc_resolver *resolver,
                                       const char *host, uint16_t port, void (*notify)(void *user),
                                       void *notify_user, sc_lookup **lookup);
/* After this `notify` is not running and will not be called. Waits only for a notify that runs at
   this moment, so never call it from one. NULL is fine. */
SCI_PRIVATE void sci_lookup_abandon(sc_lookup *lookup);
/* As above for a forked child: never waits, since the thread that runs the notify was not copied.
   What only that thread could have freed stays allocated in the child. */
SCI_PRIVATE void sci_lookup_abandon_in_child(sc_lookup *lookup);
/* Go on with a look-up whose descriptor is readable; never blocks. Also fine for any other. */
SCI_PRIVATE void sci_lookup_advance(sc_lookup *lookup);
static inline bool sci_lookup_is_done(const sc_lookup *lookup)
{
    return sci_atomic_load_acquire(&lookup->is_done) != 0;
}

/* Set by one atomic addition each, so whoever comes second sees the other's bit. */
#define SCI_LOOKUP_FINISHING 1u /* the resolver came: it notifies unless abandoned before */
#define SCI_LOOKUP_ABANDONED 2u /* the owner left: it waits when a notify had begun before */
#define SCI_LOOKUP_NOTIFIED 4u  /* the notify has returned */

static void sci_lookup_unref(sc_lookup *lookup)
{
    sc_memory memory = lookup->memory;
    if (sci_atomic_subtract(&lookup->references, 1) != 1)
        return;
    sci_gate_free(&lookup->notified);
    sci_free_text(&memory, lookup->host);
    sci_free(&memory, lookup, sizeof(*lookup));
}

/* What a resolver answered, made fit for the owner: words for every error, never success without
   an address, never a status that is neither. */
static void sci_lookup_store(sc_lookup *lookup, sc_status status, const sc_address *addresses,
                             size_t count)
{
    if (status == SC_OK && count == 0)
        status =
            sc_fail(SC_ERR_RESOLVE, "host \"%s\": the resolver found no address", lookup->host);
    else if (status > SC_OK)
        status = sc_fail(SC_ERR_RESOLVE,
                         "host \"%s\": the resolver finished with %s, which is "
                         "neither SC_OK nor an error",
                         lookup->host, sc_status_name(status));
    lookup->status = status;
    if (status == SC_OK) {
        lookup->count = sci_min_size(count, SCI_LOOKUP_ADDRESSES);
        memcpy(lookup->addresses, addresses, lookup->count * sizeof(addresses[0]));
    } else {
        const char *text = sc_error_text();
        size_t len = sci_min_size(strlen(text), sizeof(lookup->error_text) - 1);
        memcpy(lookup->error_text, text, len);
        lookup->error_text[len] = '\0';
    }
}

SC_API void sc_lookup_done(sc_lookup *lookup, sc_status status, const sc_address *addresses,
                           size_t count)
{
    sci_assert(!sci_lookup_is_done(lookup));
    sci_lookup_store(lookup, status, addresses, count);
    sci_atomic_store_release(&lookup->is_done, 1);
    if (!(sci_atomic_add(&lookup->state, SCI_LOOKUP_FINISHING) & SCI_LOOKUP_ABANDONED)) {
        if (lookup->notify)
            lookup->notify(lookup->notify_user);
        /* Only an owner that abandons in between sleeps at the gate. */
        if (sci_atomic_add(&lookup->state, SCI_LOOKUP_NOTIFIED) & SCI_LOOKUP_ABANDONED)
            sci_gate_wake_all(&lookup->notified);
    }
    sci_lookup_unref(lookup);
}

SCI_PRIVATE sc_status sci_lookup_start(const sc_memory *memory, const sc_resolver *resolver,
                                       const char *host, uint16_t port, void (*notify)(void *user),
                                       void *notify_user, sc_lookup **lookup)
{
    sc_lookup *self = (sc_lookup *)sci_alloc_zeroed(memory, sizeof(*self));
    sc_address address;
    sc_status status;
    *lookup = NULL;
    if (!self)
        return SC_ERR_MEMORY;
    self->host = sci_copy_text(memory, sc_text(host));
    if (!self->host) {
        sci_free(memory, self, sizeof(*self));
        return SC_ERR_MEMORY;
    }
    self->memory = *memory;
    self->port = port;
    self->notify = notify;
    self->notify_user = notify_user;
    self->descriptor = -1;
    sci_gate_init(&self->notified);
    sci_atomic_store_release(&self->references, 2);

    if (sci_address_parse(self->host, port, &address)) {
        sc_lookup_done(self, SC_OK, &address, 1);
    } else {
        status = resolver->resolve(resolver->user, self, self->host, port);
        if (status != SC_OK) {
            sci_lookup_unref(self);
            sci_lookup_unref(self);
            return status;
        }
    }
    *lookup = self;
    return SC_OK;
}

/* Let go of what the resolver keeps here for the owner's thread to drive. What nobody will drive
   any more is finished here, after the owner's bit is set, so without a notify. */
static void sci_lookup_release(sc_lookup *lookup)
{
    if (!lookup->release)
        return;
    lookup->release(lookup);
    if (!sci_lookup_is_done(lookup))
        sc_lookup_done(lookup, SC_ERR_CANCELLED, NULL, 0);
}

SCI_PRIVATE void sci_lookup_abandon(sc_lookup *lookup)
{
    uint32_t state;
    if (!lookup)
        return;
    state = sci_atomic_add(&lookup->state, SCI_LOOKUP_ABANDONED);
    while ((state & SCI_LOOKUP_FINISHING) && !(state & SCI_LOOKUP_NOTIFIED)) {
        uint32_t ticket = sci_gate_ticket(&lookup->notified);
        state = sci_atomic_load_acquire(&lookup->state);
        if (!(state & SCI_LOOKUP_NOTIFIED))
            sci_gate_wait(&lookup->notified, ticket, -1);
    }
    sci_lookup_release(lookup);
    sci_lookup_unref(lookup);
}

SCI_PRIVATE void sci_lookup_abandon_in_child(sc_lookup *lookup)
{
    if (!lookup)
        return;
    sci_atomic_add(&lookup->state, SCI_LOOKUP_ABANDONED);
    sci_lookup_release(lookup);
    sci_lookup_unref(lookup);
}

SCI_PRIVATE void sci_lookup_advance(sc_lookup *lookup)
{
    if (lookup->advance && !sci_lookup_is_done(lookup))
        lookup->advance(lookup);
}

/* MARK: - POSIX transport (Private) */
/* The transport over POSIX sockets: TCP over IPv4 and IPv6, and Unix sockets.

   While it connects a socket is non-blocking. Once connected it blocks, with a receive time-out of
   a few milliseconds: transmit and receive ask for MSG_DONTWAIT, and receive_soon is one plain
   recv, so that a round trip of a lone caller is send and recv and nothing else. */

/* What the transport and the listener over POSIX sockets share. */

/* The platform's own transport (TCP and Unix sockets), poller (poll(2)) and resolver (getaddrinfo
   in a thread; in a forked helper without threads). None under SMARTCACHE_NO_POSIX. */

#ifndef SMARTCACHE_NO_POSIX
/* Words for an errno, such as "connection refused"; "errno 123" for one that is not in the list.
   Unlike strerror it may be called on any thread, and says the same in every locale. */
#define SCI_POSIX_ERROR_BYTES 24
SCI_PRIVATE const char *sci_posix_error_text(int error, char unlisted[SCI_POSIX_ERROR_BYTES]);

/* What a new descriptor must be: closed by exec and, when asked, non-blocking. False with errno. */
SCI_PRIVATE bool sci_posix_descriptor_prepare(int fd, bool is_nonblocking);
#endif

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

#ifndef SMARTCACHE_NO_POSIX

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef MSG_DONTWAIT
#define SCI_SOCKET_DONTWAIT MSG_DONTWAIT
#else
#define SCI_SOCKET_DONTWAIT 0
#endif
#ifdef MSG_NOSIGNAL
#define SCI_SOCKET_NOSIGNAL MSG_NOSIGNAL
#else
#define SCI_SOCKET_NOSIGNAL 0
#endif

/* How long receive_soon waits. The kernel rounds up to its tick, so this stays well below 10 ms. */
#define SCI_SOCKET_SOON_US 5000
/* Some systems refuse to send more than INT_MAX bytes in one call. */
#define SCI_SOCKET_SEND_MAX ((size_t)1 << 30)

typedef struct sci_posix_stream {
    sc_memory memory;
    sc_address address; /* for messages, and for the check against a connection to oneself */
    int fd;
    bool is_connected;
} sci_posix_stream;

SCI_PRIVATE const char *sci_posix_error_text(int error, char unlisted[SCI_POSIX_ERROR_BYTES])
{
    switch (error) {
    case ECONNREFUSED:
        return "connection refused";
    case ECONNRESET:
        return "connection reset by the peer";
    case ECONNABORTED:
        return "connection aborted";
    case EPIPE:
        return "the peer has closed the connection";
    case ETIMEDOUT:
        return "connection timed out";
    case EHOSTUNREACH:
        return "no route to the host";
    case ENETUNREACH:
        return "network unreachable";
    case ENETDOWN:
        return "network is down";
    case EADDRINUSE:
        return "somebody listens there already";
    case EADDRNOTAVAIL:
        return "no local address or port left to connect from";
    case EAFNOSUPPORT:
        return "this system has no such address family";
    case EACCES:
        return "permission denied";
    case EPERM:
        return "operation not permitted (a firewall rule?)";
    case ENOENT:
        return "no such file";
    case ENOTDIR:
        return "a part of the path is no directory";
    case EISDIR:
        return "it is a directory";
    case ENOSPC:
        return "no space left on the disk";
    case EDQUOT:
        return "the disk quota is used up";
    case EFBIG:
        return "the file would be larger than the system or a limit (ulimit -f) allows";
    case EOVERFLOW:
        return "the file is too large for this program (compile with -D_FILE_OFFSET_BITS=64)";
    case EIO:
        return "the disk reports an error";
    case ENXIO:
    case ENODEV:
        return "there is no such device";
    case ETXTBSY:
        return "it is a program that runs";
    case ELOOP:
        return "too many symbolic links";
    case EROFS:
        return "the file system is read-only";
    case ENAMETOOLONG:
        return "the path is too long";
    case ENOTSOCK:
        return "not a socket";
    case EPROTOTYPE:
        return "the socket is of another type";
    case EMFILE:
        return "this process has too many descriptors open (raise its limit, see ulimit -n)";
    case ENFILE:
        return "the system has too many descriptors open";
    case ENOBUFS:
        return "no buffer space left in the system";
    case ENOMEM:
        return "out of memory";
    case EAGAIN:
        return "the system lacks a resource at the moment";
    case EINVAL:
        return "invalid argument";
    case EBADF:
        return "bad descriptor";
    default:
        sci_format(unlisted, SCI_POSIX_ERROR_BYTES, "errno %d", error);
        return unlisted;
    }
}

SCI_PRIVATE bool sci_posix_descriptor_prepare(int fd, bool is_nonblocking)
{
    int flags = fcntl(fd, F_GETFD);
    if (flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0)
        return false;
    flags = fcntl(fd, F_GETFL);
    return flags >= 0 &&
           fcntl(fd, F_SETFL, is_nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) >= 0;
}

SCI_PRIVATE sc_status sci_posix_fail(sc_status status, const sc_address *address, int error)
{
    char where[SCI_ADDRESS_TEXT_BYTES];
    char unlisted[SCI_POSIX_ERROR_BYTES];
    sci_address_to_text(address, where);
    return sc_fail(status, "%s: %s", where, sci_posix_error_text(error, unlisted));
}

SCI_PRIVATE int sci_posix_socket(int domain)
{
    int fd;
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)
    fd = socket(domain, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 || errno != EINVAL)
        return fd;
#endif
    fd = socket(domain, SOCK_STREAM, 0);
    if (fd >= 0 && !sci_posix_descriptor_prepare(fd, true)) {
        int error = errno;
        close(fd);
        errno = error;
        fd = -1;
    }
    return fd;
}

/* None of these is worth failing for: without them the stream works, only slower or less watchful.
 */
static void sci_posix_stream_tune(int fd, bool is_tcp)
{
    const int on = 1;
    if (is_tcp) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    }
#ifdef SO_NOSIGPIPE
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
#endif
}

SCI_PRIVATE socklen_t sci_posix_sockaddr(const sc_address *address, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (address->family == SC_FAMILY_IPV4) {
        struct sockaddr_in in;
        memset(&in, 0, sizeof(in));
        in.sin_family = AF_INET;
        in.sin_port = htons(address->port);
        memcpy(&in.sin_addr, address->ip, sizeof(in.sin_addr));
        memcpy(out, &in, sizeof(in));
        return (socklen_t)sizeof(in);
    }
    if (address->family == SC_FAMILY_IPV6) {
        struct sockaddr_in6 in6;
        memset(&in6, 0, sizeof(in6));
        in6.sin6_family = AF_INET6;
        in6.sin6_port = htons(address->port);
        in6.sin6_scope_id = address->scope_id;
        memcpy(&in6.sin6_addr, address->ip, sizeof(in6.sin6_addr));
        memcpy(out, &in6, sizeof(in6));
        return (socklen_t)sizeof(in6);
    }
    if (address->family == SC_FAMILY_UNIX) {
        struct sockaddr_un un;
        size_t len = 0;
        while (len < SC_PATH_BYTES && address->path[len] != '\0')
            len++;
        if (len == 0 || len >= sci_min_size(SC_PATH_BYTES, sizeof(un.sun_path)))
            return 0;
        memset(&un, 0, sizeof(un));
        un.sun_family = AF_UNIX;
        memcpy(un.sun_path, address->path, len);
        memcpy(out, &un, sizeof(un));
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    }
    return 0;
}

/* A connect to a free port of the own host can be given that very port as its source, and TCP then
   connects the socket to itself (RFC 9293 section 3.5, simultaneous open). */
static bool sci_posix_stream_is_own_peer(const sci_posix_stream *stream)
{
    struct sockaddr_storage here;
    struct sockaddr_storage there;
    socklen_t here_len = (socklen_t)sizeof(here);
    socklen_t there_len = (socklen_t)sizeof(there);
    if (stream->address.family == SC_FAMILY_UNIX)
        return false;
    memset(&here, 0, sizeof(here));
    memset(&there, 0, sizeof(there));
    return getsockname(stream->fd, (struct sockaddr *)(void *)&here, &here_len) == 0 &&
           getpeername(stream->fd, (struct sockaddr *)(void *)&there, &there_len) == 0 &&
           here_len == there_len && memcmp(&here, &there, sizeof(here)) == 0;
}

/* Set the socket up for talking. */
static sc_status sci_posix_stream_connected(sci_posix_stream *stream)
{
    if (sci_posix_stream_is_own_peer(stream))
        return sci_posix_fail(SC_ERR_CONNECT, &stream->address, ECONNREFUSED);
#ifdef MSG_DONTWAIT
    {
        struct timeval soon;
        soon.tv_sec = 0;
        soon.tv_usec = SCI_SOCKET_SOON_US;
        if (setsockopt(stream->fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)) < 0 ||
            !sci_posix_descriptor_prepare(stream->fd, false))
            return sci_posix_fail(SC_ERR_CONNECT, &stream->address, errno);
    }
#endif
    stream->is_connected = true;
    return SC_OK;
}

static void sci_posix_stream_hangup(void *user, bool orderly)
{
    sci_posix_stream *stream = (sci_posix_stream *)user;
    sc_memory memory = stream->memory;
    /* Closing alone tells the peer nothing while a forked child has the descriptor too. */
    if (orderly)
        shutdown(stream->fd, SHUT_RDWR);
    close(stream->fd);
    sci_free(&memory, stream, sizeof(*stream));
}

static sc_status sci_posix_stream_begin(sci_posix_stream *stream, const sc_address *address)
{
    struct sockaddr_storage to;
    socklen_t to_len = sci_posix_sockaddr(address, &to);
    if (to_len == 0 && address->family == SC_FAMILY_UNIX)
        return sci_posix_fail(SC_ERR_CONNECT, address, ENAMETOOLONG);
    if (to_len == 0)
        return sc_fail(SC_ERR_CONNECT,
                       "an address of family %d, which the POSIX transport does not know",
                       (int)address->family);
    stream->fd = sci_posix_socket(to.ss_family);
    if (stream->fd < 0)
        return sci_posix_fail(SC_ERR_CONNECT, address, errno);
    sci_posix_stream_tune(stream->fd, address->family != SC_FAMILY_UNIX);
    if (connect(stream->fd, (const struct sockaddr *)(const void *)&to, to_len) == 0)
        return SC_OK;
    /* An interrupted connect goes on by itself. */
    if (errno == EINPROGRESS || errno == EINTR)
        return SC_OK;
    if (errno == EAGAIN && address->family == SC_FAMILY_UNIX) {
        char where[SCI_ADDRESS_TEXT_BYTES];
        sci_address_to_text(address, where);
        return sc_fail(SC_ERR_CONNECT, "%s: the server's queue of new connections is full", where);
    }
    return sci_posix_fail(SC_ERR_CONNECT, address, errno);
}

static sc_status sci_posix_stream_dial(void *user, const sc_memory *memory,
                                       const sc_address *address, const char *host, void **stream)
{
    sci_posix_stream *self = (sci_posix_stream *)sci_alloc_zeroed(memory, sizeof(*self));
    sc_status status;
    (void)user;
    (void)host;
    *stream = NULL;
    if (!self)
        return SC_ERR_MEMORY;
    self->memory = *memory;
    self->address = *address;
    self->fd = -1;
    status = sci_posix_stream_begin(self, address);
    if (status != SC_OK) {
        if (self->fd >= 0)
            close(self->fd);
        sci_free(memory, self, sizeof(*self));
        return status;
    }
    *stream = self;
    return SC_OK;
}

static sc_status sci_posix_stream_progress(void *user, unsigned *interest)
{
    sci_posix_stream *stream = (sci_posix_stream *)user;
    struct sockaddr_storage peer;
    socklen_t peer_len = (socklen_t)sizeof(peer);
    int error = 0;
    socklen_t error_len = (socklen_t)sizeof(error);
    *interest = 0;
    if (stream->is_connected)
        return SC_OK;
    if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &error_len) < 0)
        error = errno;
    if (error != 0)
        return sci_posix_fail(SC_ERR_CONNECT, &stream->address, error);
    /* Having a peer, not having no error, is what says that the connection stands. */
    if (getpeername(stream->fd, (struct sockaddr *)(void *)&peer, &peer_len) == 0)
        return sci_posix_stream_connected(stream);
    if (errno != ENOTCONN)
        return sci_posix_fail(SC_ERR_CONNECT, &stream->address, errno);
    *interest = SC_WRITABLE;
    return SC_AGAIN;
}

SCI_PRIVATE bool sci_posix_is_again(int error)
{
#if EAGAIN != EWOULDBLOCK
    if (error == EWOULDBLOCK)
        return true;
#endif
    return error == EAGAIN;
}

static sc_status sci_posix_stream_transmit(void *user, const void *data, size_t len, size_t *sent)
{
    sci_posix_stream *stream = (sci_posix_stream *)user;
    ssize_t count;
    sci_assert(len > 0);
    *sent = 0;
    do
        count = send(stream->fd, data, sci_min_size(len, SCI_SOCKET_SEND_MAX),
                     SCI_SOCKET_DONTWAIT | SCI_SOCKET_NOSIGNAL);
    while (count < 0 && errno == EINTR);
    if (count > 0) {
        *sent = (size_t)count;
        return SC_OK;
    }
    if (count == 0 || sci_posix_is_again(errno))
        return SC_AGAIN;
    return sci_posix_fail(SC_ERR_DISCONNECTED, &stream->address, errno);
}

/* What a recv returned, as a status. An interrupted one counts as nothing there. */
static sc_status sci_posix_stream_received(const sci_posix_stream *stream, ssize_t count,
                                           size_t *received)
{
    if (count > 0) {
        *received = (size_t)count;
        return SC_OK;
    }
    *received = 0;
    if (count == 0)
        return SC_END;
    if (sci_posix_is_again(errno) || errno == EINTR)
        return SC_AGAIN;
    return sci_posix_fail(SC_ERR_DISCONNECTED, &stream->address, errno);
}

static sc_status sci_posix_stream_receive(void *user, void *buffer, size_t cap, size_t *received)
{
    const sci_posix_stream *stream = (const sci_posix_stream *)user;
    ssize_t count;
    sci_assert(cap > 0);
    do
        count = recv(stream->fd, buffer, cap, SCI_SOCKET_DONTWAIT);
    while (count < 0 && errno == EINTR);
    return sci_posix_stream_received(stream, count, received);
}

#ifdef MSG_DONTWAIT
/* Not repeated after a signal, so that signals that come often cannot make it wait for long. */
static sc_status sci_posix_stream_receive_soon(void *user, void *buffer, size_t cap,
                                               size_t *received)
{
    const sci_posix_stream *stream = (const sci_posix_stream *)user;
    sci_assert(cap > 0);
    return sci_posix_stream_received(stream, recv(stream->fd, buffer, cap, 0), received);
}
#endif

static sc_descriptor sci_posix_stream_descriptor(void *user)
{
    return ((const sci_posix_stream *)user)->fd;
}

#ifndef SMARTCACHE_NO_SERVER
SCI_PRIVATE void *sci_posix_stream_adopt(const sc_memory *memory, int fd, const sc_address *address)
{
    sci_posix_stream *stream = (sci_posix_stream *)sci_alloc_zeroed(memory, sizeof(*stream));
    if (!stream) {
        close(fd);
        return NULL;
    }
    stream->memory = *memory;
    stream->address = *address;
    stream->fd = fd;
    stream->is_connected = true;
    sci_posix_stream_tune(fd, address->family != SC_FAMILY_UNIX);
    return stream;
}
#endif

SC_API bool sc_platform_transport(sc_transport *table)
{
    memset(table, 0, sizeof(*table));
    table->dial = sci_posix_stream_dial;
    table->progress = sci_posix_stream_progress;
    table->transmit = sci_posix_stream_transmit;
    table->receive = sci_posix_stream_receive;
#ifdef MSG_DONTWAIT
    table->receive_soon = sci_posix_stream_receive_soon;
#endif
    table->descriptor = sci_posix_stream_descriptor;
    table->hangup = sci_posix_stream_hangup;
    return true;
}

#else

SC_API bool sc_platform_transport(sc_transport *table)
{
    (void)table;
    return false;
}

#endif

/* MARK: - POSIX listener (Private) */
/* The listener over POSIX sockets: TCP over IPv4 and IPv6, and Unix sockets. */

#if !defined(SMARTCACHE_NO_POSIX) && !defined(SMARTCACHE_NO_SERVER)

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* For this user alone. */
#define SCI_LISTEN_MODE (S_IRUSR | S_IWUSR)
#define SCI_LISTEN_MODE_BITS (S_IRWXU | S_IRWXG | S_IRWXO)
/* A folder that somebody else keeps locked, or a path that changes all the time, is not waited for
   much longer than so many milliseconds. */
#define SCI_LISTEN_PATIENCE_MS 100

typedef struct sci_posix_listener {
    sc_memory memory;
    sc_address address;
    int fd;
    struct stat file; /* of a Unix socket */
} sci_posix_listener;

/* Lock the folder of a path against others who want to listen in it, so that none of two who find a
   stale socket removes the new one of the other. It is a courtesy: where it cannot be had, on NFS or
   since somebody keeps it, things go on without. -1, or what is to be closed. */
static int sci_listen_lock(const char *path)
{
    char folder[SC_PATH_BYTES];
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] != '/')
        len--;
    if (len == 0)
        folder[len++] = '.';
    else
        memcpy(folder, path, len);
    folder[len] = '\0';
    int fd = open(folder, O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < SCI_LISTEN_PATIENCE_MS && fd >= 0; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 || !sci_posix_is_again(errno))
            break;
        (void)poll(NULL, 0, 1);
    }
    return fd;
}

/* What somebody who dials the path meets, as an errno; 0: a server. */
static int sci_listen_probe(const sc_address *address)
{
    struct sockaddr_storage to;
    socklen_t to_len = sci_posix_sockaddr(address, &to);
    int fd = sci_posix_socket(AF_UNIX);
    int error = 0;
    if (fd < 0)
        return errno;
    if (connect(fd, (const struct sockaddr *)(const void *)&to, to_len) < 0)
        error = errno;
    close(fd);
    /* A queue that is full, a connection under way: somebody listens. */
    return error == EAGAIN || error == EINPROGRESS || error == EINTR ? 0 : error;
}

/* Take a stale socket off the path. SC_OK: nothing stands there. */
static sc_status sci_listen_clear(const sc_address *address)
{
    struct stat there;
    if (lstat(address->path, &there) < 0)
        return errno == ENOENT ? SC_OK : sci_posix_fail(SC_ERR_IO, address, errno);
    if (!S_ISSOCK(there.st_mode))
        return sc_fail(SC_ERR_IO,
                       "%s: there is something that is no socket: remove it, or choose another "
                       "path",
                       address->path);
    int error = sci_listen_probe(address);
    if (error == 0)
        return sci_posix_fail(SC_HELD, address, EADDRINUSE);
    if (error == ECONNREFUSED && unlink(address->path) < 0)
        error = errno;
    return error == ECONNREFUSED || error == ENOENT ? SC_OK
                                                    : sci_posix_fail(SC_ERR_IO, address, error);
}

/* Who dials is refused until the file is private. On Linux, which makes it with the mode of the
   socket, it never was anything else. errno, 0 for success. */
static int sci_listen_bind(sci_posix_listener *self, const struct sockaddr_storage *at,
                           socklen_t at_len)
{
    const char *path = self->address.path;
    (void)fchmod(self->fd, SCI_LISTEN_MODE);
    if (bind(self->fd, (const struct sockaddr *)(const void *)at, at_len) < 0)
        return errno;
    if (lstat(path, &self->file) < 0 ||
        ((self->file.st_mode & SCI_LISTEN_MODE_BITS) != SCI_LISTEN_MODE &&
         chmod(path, SCI_LISTEN_MODE) < 0) ||
        listen(self->fd, SOMAXCONN) < 0) {
        int error = errno;
        (void)unlink(path);
        return error;
    }
    return 0;
}

static sc_status sci_listen_unix(sci_posix_listener *self, const struct sockaddr_storage *at,
                                 socklen_t at_len)
{
    int lock = sci_listen_lock(self->address.path);
    int error = EADDRINUSE;
    sc_status status = SC_OK;
    for (int i = 0; i < SCI_LISTEN_PATIENCE_MS && error == EADDRINUSE && status == SC_OK; i++) {
        status = sci_listen_clear(&self->address);
        if (status == SC_OK)
            error = sci_listen_bind(self, at, at_len);
    }
    if (lock >= 0)
        close(lock);
    return status == SC_OK && error != 0 ? sci_posix_fail(SC_ERR_IO, &self->address, error)
                                         : status;
}

/* The address as the library has it, of a TCP socket. */
static void sci_listen_address(const struct sockaddr_storage *from, sc_address *address)
{
    memset(address, 0, sizeof(*address));
    if (from->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof(in));
        address->family = SC_FAMILY_IPV4;
        address->port = ntohs(in.sin_port);
        memcpy(address->ip, &in.sin_addr, sizeof(in.sin_addr));
    } else if (from->ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, from, sizeof(in6));
        address->family = SC_FAMILY_IPV6;
        address->port = ntohs(in6.sin6_port);
        address->scope_id = in6.sin6_scope_id;
        memcpy(address->ip, &in6.sin6_addr, sizeof(in6.sin6_addr));
    } else {
        address->family = SC_FAMILY_UNIX;
    }
}

static sc_status sci_listen_tcp(sci_posix_listener *self, const struct sockaddr_storage *at,
                                socklen_t at_len)
{
    const int on = 1;
    struct sockaddr_storage here;
    socklen_t here_len = (socklen_t)sizeof(here);
    memset(&here, 0, sizeof(here));
    /* Without this a port is not free for minutes after a server has closed its connections. */
    setsockopt(self->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    /* "::" beside "0.0.0.0". */
    if (at->ss_family == AF_INET6)
        setsockopt(self->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(self->fd, (const struct sockaddr *)(const void *)at, at_len) < 0 ||
        listen(self->fd, SOMAXCONN) < 0 ||
        getsockname(self->fd, (struct sockaddr *)(void *)&here, &here_len) < 0) {
        char where[SCI_ADDRESS_TEXT_BYTES];
        if (errno == EADDRINUSE)
            return sci_posix_fail(SC_HELD, &self->address, errno);
        if (errno != EADDRNOTAVAIL)
            return sci_posix_fail(SC_ERR_IO, &self->address, errno);
        sci_address_to_text(&self->address, where);
        return sc_fail(SC_ERR_IO, "%s: this host has no such address", where);
    }
    sci_listen_address(&here, &self->address);
    return SC_OK;
}

static sc_status sci_listen_begin(sci_posix_listener *self)
{
    struct sockaddr_storage at;
    socklen_t at_len = sci_posix_sockaddr(&self->address, &at);
    if (at_len == 0 && self->address.family == SC_FAMILY_UNIX)
        return sci_posix_fail(SC_ERR_IO, &self->address, ENAMETOOLONG);
    if (at_len == 0)
        return sc_fail(SC_ERR_IO, "an address of family %d, which the POSIX listener does not know",
                       (int)self->address.family);
    self->fd = sci_posix_socket(at.ss_family);
    if (self->fd < 0)
        return sci_posix_fail(SC_ERR_IO, &self->address, errno);
    return at.ss_family == AF_UNIX ? sci_listen_unix(self, &at, at_len)
                                   : sci_listen_tcp(self, &at, at_len);
}

static sc_status sci_listen_open(void *user, const sc_memory *memory, sc_address *address,
                                 void **listener)
{
    sci_posix_listener *self = (sci_posix_listener *)sci_alloc_zeroed(memory, sizeof(*self));
    (void)user;
    *listener = NULL;
    if (!self)
        return SC_ERR_MEMORY;
    self->memory = *memory;
    self->address = *address;
    self->fd = -1;
    sc_status status = sci_listen_begin(self);
    if (status != SC_OK) {
        if (self->fd >= 0)
            close(self->fd);
        sci_free(memory, self, sizeof(*self));
        return status;
    }
    *address = self->address;
    *listener = self;
    return SC_OK;
}

/* A connection that exec closes and that does not block; -1 with errno. */
static int sci_listen_take(int listener, struct sockaddr_storage *from, socklen_t *from_len)
{
#if defined(__linux__) && defined(SYS_accept4) && defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)
    long taken = syscall(SYS_accept4, listener, from, from_len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (taken >= 0 || errno != ENOSYS)
        return (int)taken;
#endif
    int fd = accept(listener, (struct sockaddr *)(void *)from, from_len);
    if (fd >= 0 && !sci_posix_descriptor_prepare(fd, true)) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static sc_status sci_listen_accept(void *listener, void **stream, sc_address *peer)
{
    const sci_posix_listener *self = (const sci_posix_listener *)listener;
    struct sockaddr_storage from;
    int fd;
    *stream = NULL;
    do { /* one that its peer has given up is passed over */
        socklen_t from_len = (socklen_t)sizeof(from);
        memset(&from, 0, sizeof(from));
        fd = sci_listen_take(self->fd, &from, &from_len);
    } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EPROTO));
    if (fd < 0)
        return sci_posix_is_again(errno) ? SC_AGAIN
                                         : sci_posix_fail(SC_ERR_IO, &self->address, errno);
    sci_listen_address(&from, peer);
    *stream = sci_posix_stream_adopt(&self->memory, fd, peer);
    return *stream ? SC_OK : SC_ERR_MEMORY;
}

static sc_descriptor sci_listen_descriptor(void *listener)
{
    return ((const sci_posix_listener *)listener)->fd;
}

static void sci_listen_shut(void *listener, bool orderly)
{
    sci_posix_listener *self = (sci_posix_listener *)listener;
    sc_memory memory = self->memory;
    struct stat there;
    /* Before it is closed: as long as it answers nobody else takes the path. */
    if (orderly && self->address.family == SC_FAMILY_UNIX &&
        lstat(self->address.path, &there) == 0 && there.st_dev == self->file.st_dev &&
        there.st_ino == self->file.st_ino)
        (void)unlink(self->address.path);
    close(self->fd);
    sci_free(&memory, self, sizeof(*self));
}

SC_API bool sc_platform_listener(sc_listener *table)
{
    memset(table, 0, sizeof(*table));
    (void)sc_platform_transport(&table->streams);
    table->streams.dial = NULL;
    table->streams.progress = NULL;
    table->streams.receive_soon = NULL; /* of sockets that block */
    table->open = sci_listen_open;
    table->accept_stream = sci_listen_accept;
    table->descriptor = sci_listen_descriptor;
    table->shut = sci_listen_shut;
    return true;
}

#else

SC_API bool sc_platform_listener(sc_listener *table)
{
    memset(table, 0, sizeof(*table));
    return false;
}

#endif

/* MARK: - POSIX poller (Private) */
/* The poller over poll(2): an array of descriptors, an index from descriptor to place in it, and a
   descriptor of its own by which any thread wakes the waiter (eventfd on Linux, else a pipe). */

#ifndef SMARTCACHE_NO_POSIX

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/eventfd.h>
#endif

#define SCI_POLL_FIRST_CAP 8 /* a client watches two or three */
/* Twice as many slots as places keeps the probes of the index short. */
#define SCI_POLL_SLOTS(cap) ((size_t)2 * (cap))

/* Place 0 is the wake-up descriptor's. tags, fds and slots lie in one block, in this order. */
typedef struct sci_poll_set {
    sc_memory memory;
    void **tags;        /* owned: the block */
    struct pollfd *fds; /* the first `count` are in use */
    uint32_t *slots;    /* open addressing, linear probing: 0, or a place in fds */
    uint32_t count;
    uint32_t cap;  /* a power of two */
    uint32_t next; /* the place that is looked at first, so that no descriptor starves another */
    int wake_fd;   /* fds[0].fd is read, this is written; the same for an eventfd */
} sci_poll_set;

static size_t sci_poll_block_bytes(uint32_t cap)
{
    return cap * (sizeof(void *) + sizeof(struct pollfd)) + SCI_POLL_SLOTS(cap) * sizeof(uint32_t);
}

/* Descriptors are small and dense: as they are they collide least. */
static uint32_t sci_poll_home(const sci_poll_set *set, int fd)
{
    return (uint32_t)fd & (2 * set->cap - 1);
}

/* The slot that holds `fd`'s place, or the empty one where it would be put. */
static uint32_t *sci_poll_slot(const sci_poll_set *set, int fd)
{
    uint32_t i = sci_poll_home(set, fd);
    while (set->slots[i] != 0 && set->fds[set->slots[i]].fd != fd)
        i = (i + 1) & (2 * set->cap - 1);
    return &set->slots[i];
}

/* Empty a slot and close the gap in its chain (Knuth, TAOCP 6.4, algorithm R). */
static void sci_poll_slot_remove(sci_poll_set *set, uint32_t *slot)
{
    const uint32_t mask = 2 * set->cap - 1;
    uint32_t gap = (uint32_t)(slot - set->slots);
    uint32_t i = gap;
    for (;;) {
        uint32_t home;
        i = (i + 1) & mask;
        if (set->slots[i] == 0)
            break;
        home = sci_poll_home(set, set->fds[set->slots[i]].fd);
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            set->slots[gap] = set->slots[i];
            gap = i;
        }
    }
    set->slots[gap] = 0;
}

/* Room for `cap` places; on SC_ERR_MEMORY all is as it was. */
static sc_status sci_poll_resize(sci_poll_set *set, uint32_t cap)
{
    sci_poll_set old = *set;
    void *block = sci_alloc_zeroed(&set->memory, sci_poll_block_bytes(cap));
    if (!block)
        return SC_ERR_MEMORY;
    set->cap = cap;
    set->tags = (void **)block;
    set->fds = (struct pollfd *)(void *)(set->tags + cap);
    set->slots = (uint32_t *)(void *)(set->fds + cap);
    if (old.count > 0) {
        memcpy(set->tags, old.tags, old.count * sizeof(old.tags[0]));
        memcpy(set->fds, old.fds, old.count * sizeof(old.fds[0]));
    }
    for (uint32_t place = 1; place < old.count; place++)
        *sci_poll_slot(set, set->fds[place].fd) = place;
    sci_free(&set->memory, old.tags, sci_poll_block_bytes(old.cap));
    return SC_OK;
}

/* Make the wake-up descriptor: the end to watch, -1 with errno. */
static int sci_poll_open_wake(int *wake_fd)
{
#ifdef __linux__
    *wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return *wake_fd;
#else
    int ends[2];
    if (pipe(ends) < 0)
        return -1;
    if (sci_posix_descriptor_prepare(ends[0], true) &&
        sci_posix_descriptor_prepare(ends[1], true)) {
        *wake_fd = ends[1];
        return ends[0];
    }
    close(ends[0]);
    close(ends[1]);
    return -1;
#endif
}

static void sci_poll_destroy(void *poller)
{
    sci_poll_set *set = (sci_poll_set *)poller;
    sc_memory memory = set->memory;
    if (set->count > 0) {
        if (set->fds[0].fd != set->wake_fd)
            close(set->wake_fd);
        close(set->fds[0].fd);
    }
    sci_free(&memory, set->tags, sci_poll_block_bytes(set->cap));
    sci_free(&memory, set, sizeof(*set));
}

static sc_status sci_poll_create(void *user, const sc_memory *memory, void **poller)
{
    sci_poll_set *set = (sci_poll_set *)sci_alloc_zeroed(memory, sizeof(*set));
    sc_status status;
    int fd;
    (void)user;
    *poller = NULL;
    if (!set)
        return SC_ERR_MEMORY;
    set->memory = *memory;
    set->next = 1;
    status = sci_poll_resize(set, SCI_POLL_FIRST_CAP);
    if (status != SC_OK) {
        sci_free(memory, set, sizeof(*set));
        return status;
    }
    fd = sci_poll_open_wake(&set->wake_fd);
    if (fd < 0) {
        char unlisted[SCI_POSIX_ERROR_BYTES];
        status =
            sc_fail(SC_ERR_IO, "no wake-up descriptor: %s", sci_posix_error_text(errno, unlisted));
        sci_poll_destroy(set);
        return status;
    }
    set->fds[0].fd = fd;
    set->fds[0].events = POLLIN;
    set->count = 1;
    *poller = set;
    return SC_OK;
}

/* Take a descriptor out; the last one moves into its place. */
static void sci_poll_forget(sci_poll_set *set, uint32_t *slot)
{
    uint32_t place = *slot;
    uint32_t last = set->count - 1;
    sci_poll_slot_remove(set, slot);
    if (place != last) {
        *sci_poll_slot(set, set->fds[last].fd) = place;
        set->fds[place] = set->fds[last];
        set->tags[place] = set->tags[last];
    }
    set->count = last;
}

static sc_status sci_poll_watch(void *poller, sc_descriptor descriptor, unsigned interest,
                                void *tag)
{
    sci_poll_set *set = (sci_poll_set *)poller;
    uint32_t *slot;
    uint32_t place;
    if (descriptor < 0 || descriptor > INT_MAX)
        return sc_fail(SC_ERR_ARGUMENT, "%lld is no descriptor", (long long)descriptor);
    slot = sci_poll_slot(set, (int)descriptor);
    place = *slot;
    if (interest == 0) {
        if (place != 0)
            sci_poll_forget(set, slot);
        return SC_OK;
    }
    if (place == 0) {
        if (set->count == set->cap) {
            sc_status status;
            if (set->cap > UINT32_MAX / 4)
                return sc_fail(SC_ERR_LIMIT, "too many descriptors to watch");
            status = sci_poll_resize(set, set->cap * 2);
            if (status != SC_OK)
                return status;
            slot = sci_poll_slot(set, (int)descriptor);
        }
        place = set->count++;
        set->fds[place].fd = (int)descriptor;
        set->fds[place].revents = 0;
        *slot = place;
    }
    set->fds[place].events =
        (short)((interest & SC_READABLE ? POLLIN : 0) | (interest & SC_WRITABLE ? POLLOUT : 0));
    set->tags[place] = tag;
    return SC_OK;
}

/* Make the wake-up descriptor quiet again. One reading empties an eventfd. */
static void sci_poll_drain(int fd)
{
    char bytes[64];
    ssize_t count;
    do
        count = read(fd, bytes, sizeof(bytes));
    while (count == (ssize_t)sizeof(bytes) || (count < 0 && errno == EINTR));
}

static unsigned sci_poll_ready(short revents)
{
    return (revents & POLLIN ? SC_READABLE : 0u) | (revents & POLLOUT ? SC_WRITABLE : 0u) |
           (revents & (POLLERR | POLLHUP | POLLNVAL) ? SC_HANGUP : 0u);
}

/* Turn `ready` results of poll into events. It begins where a full array ended the last time, so
   that those at the end of the list have their turn. */
static size_t sci_poll_collect(sci_poll_set *set, int ready, sc_event *events, size_t cap)
{
    size_t filled = 0;
    uint32_t place = set->next < set->count ? set->next : 1;
    for (uint32_t seen = 1; seen < set->count && ready > 0 && filled < cap; seen++) {
        if (set->fds[place].revents != 0) {
            events[filled].tag = set->tags[place];
            events[filled].ready = sci_poll_ready(set->fds[place].revents);
            filled++;
            ready--;
        }
        place = place + 1 < set->count ? place + 1 : 1;
    }
    set->next = place;
    return filled;
}

static sc_status sci_poll_wait(void *poller, int64_t timeout_ms, sc_event *events, size_t cap,
                               size_t *count)
{
    sci_poll_set *set = (sci_poll_set *)poller;
    int timeout = timeout_ms < 0 ? -1 : (int)sci_min_i64(timeout_ms, INT_MAX);
    int ready;
    *count = 0;
    sci_assert(cap > 0);
    ready = poll(set->fds, (nfds_t)set->count, timeout);
    if (ready < 0) {
        char unlisted[SCI_POSIX_ERROR_BYTES];
        if (errno == EINTR || errno == EAGAIN)
            return SC_OK;
        return sc_fail(SC_ERR_IO, "waiting on %lu descriptors: %s", (unsigned long)set->count,
                       sci_posix_error_text(errno, unlisted));
    }
    if (set->fds[0].revents != 0) {
        sci_poll_drain(set->fds[0].fd);
        ready--;
    }
    *count = sci_poll_collect(set, ready, events, cap);
    return SC_OK;
}

/* A full counter or pipe refuses the write, and then the waiter is going to wake anyway. */
static void sci_poll_wake(void *poller)
{
    const sci_poll_set *set = (const sci_poll_set *)poller;
    const uint64_t one = 1; /* an eventfd takes 8 bytes; to a pipe any bytes will do */
    int error = errno;
    ssize_t count;
    do
        count = write(set->wake_fd, &one, sizeof(one));
    while (count < 0 && errno == EINTR);
    errno = error;
}

SC_API bool sc_platform_poller(sc_poller *table)
{
    memset(table, 0, sizeof(*table));
    table->create = sci_poll_create;
    table->destroy = sci_poll_destroy;
    table->watch = sci_poll_watch;
    table->wait = sci_poll_wait;
    table->wake = sci_poll_wake;
    return true;
}

#else

SC_API bool sc_platform_poller(sc_poller *table)
{
    (void)table;
    return false;
}

#endif

/* MARK: - POSIX resolver (Private) */
/* The resolver over getaddrinfo, which blocks: for as long as it takes it has a thread of its own,
   or without threads a process of its own that answers through a socket pair. */

#ifndef SMARTCACHE_NO_POSIX

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Words for what getaddrinfo returned; gai_strerror would follow the locale. */
static const char *sci_resolve_error_text(int error)
{
    switch (error) {
    case EAI_NONAME:
#if defined(EAI_NODATA) && EAI_NODATA != EAI_NONAME
    case EAI_NODATA:
#elif defined(__GLIBC__) && !defined(EAI_NODATA)
    case -5: /* EAI_NODATA, which glibc returns but names for GNU sources alone */
#endif
        return "there is no such name, or it has no address";
    case EAI_AGAIN:
        return "the name server does not answer at the moment";
    case EAI_FAIL:
        return "the name server failed";
    case EAI_FAMILY:
        return "the name has no address of a usable family";
    default:
        return "the look-up failed";
    }
}

static sc_status sci_resolve_fail(const char *host, int error, int system_error)
{
    char unlisted[SCI_POSIX_ERROR_BYTES];
    if (error == EAI_MEMORY)
        return sc_fail(SC_ERR_MEMORY, "host \"%s\": no memory for the look-up", host);
    if (error == EAI_SYSTEM)
        return sc_fail(SC_ERR_RESOLVE, "host \"%s\": %s", host,
                       sci_posix_error_text(system_error, unlisted));
    return sc_fail(SC_ERR_RESOLVE, "host \"%s\": %s (getaddrinfo %d)", host,
                   sci_resolve_error_text(error), error);
}

/* One result; false for a family that the transport does not know. */
static bool sci_resolve_convert(const struct addrinfo *info, uint16_t port, sc_address *address)
{
    memset(address, 0, sizeof(*address));
    address->port = port;
    if (info->ai_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, info->ai_addr, sizeof(in));
        address->family = SC_FAMILY_IPV4;
        memcpy(address->ip, &in.sin_addr, sizeof(in.sin_addr));
        return true;
    }
    if (info->ai_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, info->ai_addr, sizeof(in6));
        address->family = SC_FAMILY_IPV6;
        address->scope_id = in6.sin6_scope_id;
        memcpy(address->ip, &in6.sin6_addr, sizeof(in6.sin6_addr));
        return true;
    }
    return false;
}

static bool sci_resolve_is_listed(const sc_address *addresses, size_t count, const sc_address *one)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(&addresses[i], one, sizeof(*one)) == 0)
            return true;
    return false;
}

/* Look up and block. The order is getaddrinfo's (RFC 6724); doubles, which a hosts file may give,
   are left out. */
static sc_status sci_resolve_host(const char *host, uint16_t port, sc_address *addresses,
                                  size_t *count)
{
    struct addrinfo hints;
    struct addrinfo *results = NULL;
    int error;
    *count = 0;
    memset(&hints, 0, sizeof(hints));
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    error = getaddrinfo(host, NULL, &hints, &results);
    if (error != 0)
        return sci_resolve_fail(host, error, errno);
    for (const struct addrinfo *info = results; info && *count < SCI_LOOKUP_ADDRESSES;
         info = info->ai_next) {
        sc_address *next = &addresses[*count];
        if (sci_resolve_convert(info, port, next) &&
            !sci_resolve_is_listed(addresses, *count, next))
            ++*count;
    }
    freeaddrinfo(results);
    if (*count == 0)
        return sc_fail(SC_ERR_RESOLVE, "host \"%s\": it has no IPv4 or IPv6 address", host);
    return SC_OK;
}

#ifndef SMARTCACHE_NO_THREADS

static void *sci_resolve_run(void *argument)
{
    sc_lookup *lookup = (sc_lookup *)argument;
    sc_address addresses[SCI_LOOKUP_ADDRESSES];
    size_t count = 0;
    sc_status status = sci_resolve_host(lookup->host, lookup->port, addresses, &count);
    sc_lookup_done(lookup, status, addresses, count);
    return NULL;
}

static sc_status sci_resolve_begin(void *user, sc_lookup *lookup, const char *host, uint16_t port)
{
    (void)user;
    (void)host;
    (void)port;
    return sci_thread_start_detached(sci_resolve_run, lookup);
}

#else /* SMARTCACHE_NO_THREADS */

#include <signal.h>
#include <sys/wait.h>

/* A helper ends by itself when the name server takes longer, and when its answer has waited longer
   to be taken: the application may wait for all its children meanwhile. */
#define SCI_RESOLVE_LOOK_UP_S 120
#define SCI_RESOLVE_TAKEN_S 10
/* Where the system has no way to close all descriptors at once, those from here on stay open. */
#define SCI_RESOLVE_CLOSE_MAX 65536

#ifdef MSG_NOSIGNAL
#define SCI_RESOLVE_SEND_FLAGS MSG_NOSIGNAL
#else
#define SCI_RESOLVE_SEND_FLAGS 0 /* the helper has all signals blocked */
#endif

/* What the helper answers; the same program reads it, so it goes as it lies in memory. */
typedef struct sci_resolve_answer {
    sc_status status;
    size_t count;
    sc_address addresses[SCI_LOOKUP_ADDRESSES];
    char error_text[SC_ERROR_TEXT_BYTES];
} sci_resolve_answer;

/* sc_lookup.helper: what has come of the answer so far. */
typedef struct sci_resolve_helper {
    pid_t process;
    size_t received; /* bytes of `answer` */
    sci_resolve_answer answer;
} sci_resolve_helper;

/* The helper has copies of all the application's descriptors; held, they would keep its
   connections and ports open after it has closed them. `keep` becomes descriptor 3. */
static int sci_resolve_close_others(int keep)
{
    int fd = dup2(keep, 3);
    long last = sysconf(_SC_OPEN_MAX);
    for (int i = 0; i < 3; i++)
        close(i);
    if (open("/dev/null", O_RDWR) == 0) { /* output of a name service module goes nowhere */
        dup2(0, 1);
        dup2(0, 2);
    }
#if defined(__linux__) && defined(SYS_close_range)
    if (syscall(SYS_close_range, 4u, ~0u, 0u) == 0)
        return fd;
#endif
    if (last < 0 || last > SCI_RESOLVE_CLOSE_MAX)
        last = SCI_RESOLVE_CLOSE_MAX;
    for (int i = 4; i < last; i++)
        close(i);
    return fd;
}

/* Let SIGALRM end this process after `seconds`. */
static void sci_resolve_end_after(unsigned seconds)
{
    sigset_t alarms;
    signal(SIGALRM, SIG_DFL);
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &alarms, NULL);
    alarm(seconds);
}

/* The helper's whole life. Having answered it waits to be ended, so that its end makes no SIGCHLD
   at a moment when that is not blocked; the parent's end closes the socket. */
static void sci_resolve_help(int fd, const char *host, uint16_t port)
{
    sci_resolve_answer answer;
    const char *next = (const char *)&answer;
    size_t left = sizeof(answer);
    char nothing;
    sci_resolve_end_after(SCI_RESOLVE_LOOK_UP_S);
    fd = sci_resolve_close_others(fd);

    memset(&answer, 0, sizeof(answer));
    answer.status = sci_resolve_host(host, port, answer.addresses, &answer.count);
    if (answer.status != SC_OK) {
        const char *text = sc_error_text();
        memcpy(answer.error_text, text, sci_min_size(strlen(text), sizeof(answer.error_text) - 1));
    }
    while (left > 0) {
        ssize_t count = send(fd, next, left, SCI_RESOLVE_SEND_FLAGS);
        if (count <= 0)
            _exit(1);
        next += count;
        left -= (size_t)count;
    }
    sci_resolve_end_after(SCI_RESOLVE_TAKEN_S);
    (void)recv(fd, &nothing, sizeof(nothing), 0);
    _exit(0);
}

/* Start the helper: its process id, -1 with errno. All signals are blocked from before the fork, so
   no handler of the application ever runs in the helper. It stays a child of this process: where
   there is no init, as in many containers, an orphan would become a zombie for good. */
static pid_t sci_resolve_fork(int fd, const char *host, uint16_t port)
{
    sigset_t all;
    sigset_t before;
    pid_t process;
    int error;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    process = fork();
    if (process == 0)
        sci_resolve_help(fd, host, port);
    error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return process;
}

/* The helper's end made a SIGCHLD that the application did not ask for: while it is blocked, take
   it back. It may have stood for a child of the application too, and then it is put again. */
static void sci_resolve_take_back_sigchld(const sigset_t *children)
{
#ifdef __linux__
    siginfo_t info;
    struct timespec at_once;
    memset(&info, 0, sizeof(info));
    memset(&at_once, 0, sizeof(at_once));
    if (sigtimedwait(children, NULL, &at_once) != SIGCHLD)
        return;
    if (waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT) == 0 &&
        info.si_pid != 0)
        kill(getpid(), SIGCHLD);
#else
    (void)children;
#endif
}

/* End the helper and reap it. In a forked child of ours, or when the application has reaped it,
   there is no such child, and the number may be another process's: it gets no signal. */
static void sci_resolve_reap(pid_t process)
{
    sigset_t children;
    sigset_t before;
    sigset_t pending;
    bool was_pending;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, &before);
    was_pending = sigpending(&pending) == 0 && sigismember(&pending, SIGCHLD) == 1;
    if (waitpid(process, NULL, WNOHANG) == 0) {
        kill(process, SIGKILL);
        while (waitpid(process, NULL, 0) < 0 && errno == EINTR)
            continue;
        if (!was_pending)
            sci_resolve_take_back_sigchld(&children);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
}

/* As the socket has it: bytes of the answer, nothing yet, or the helper's end. */
static void sci_resolve_advance(sc_lookup *lookup)
{
    sci_resolve_helper *helper = (sci_resolve_helper *)lookup->helper;
    const sci_resolve_answer *answer = &helper->answer;
    while (helper->received < sizeof(helper->answer)) {
        ssize_t count = recv((int)lookup->descriptor, (char *)&helper->answer + helper->received,
                             sizeof(helper->answer) - helper->received, 0);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (count <= 0) {
            sc_lookup_done(lookup,
                           sc_fail(SC_ERR_RESOLVE,
                                   "host \"%s\": the helper process ended before it "
                                   "answered",
                                   lookup->host),
                           NULL, 0);
            return;
        }
        helper->received += (size_t)count;
    }
    if (answer->status != SC_OK)
        sci_error_text_set(answer->error_text, strlen(answer->error_text));
    sc_lookup_done(lookup, answer->status, answer->addresses, answer->count);
}

static void sci_resolve_release(sc_lookup *lookup)
{
    /* In this order: the helper would end by itself when the socket closes. */
    sci_resolve_reap(((const sci_resolve_helper *)lookup->helper)->process);
    close((int)lookup->descriptor);
    lookup->descriptor = -1;
    sci_free(&lookup->memory, lookup->helper, sizeof(sci_resolve_helper));
    lookup->helper = NULL;
}

/* A non-blocking end for us, a blocking one for the helper: 0, or an errno. */
static int sci_resolve_open_pair(int ends[2])
{
    int type = SOCK_STREAM;
    int error;
#ifdef SOCK_CLOEXEC
    type |= SOCK_CLOEXEC;
#endif
    if (socketpair(AF_UNIX, type, 0, ends) < 0)
        return errno;
    if (sci_posix_descriptor_prepare(ends[0], true) && sci_posix_descriptor_prepare(ends[1], false))
        return 0;
    error = errno;
    close(ends[0]);
    close(ends[1]);
    return error;
}

static sc_status sci_resolve_begin(void *user, sc_lookup *lookup, const char *host, uint16_t port)
{
    char unlisted[SCI_POSIX_ERROR_BYTES];
    sci_resolve_helper *helper;
    int ends[2];
    int error;
    (void)user;
    helper = (sci_resolve_helper *)sci_alloc_zeroed(&lookup->memory, sizeof(*helper));
    if (!helper)
        return SC_ERR_MEMORY;
    error = sci_resolve_open_pair(ends);
    if (error == 0) {
        helper->process = sci_resolve_fork(ends[1], host, port);
        error = helper->process < 0 ? errno : 0;
        close(ends[1]);
        if (error != 0)
            close(ends[0]);
    }
    if (error != 0) {
        sci_free(&lookup->memory, helper, sizeof(*helper));
        return sc_fail(SC_ERR_RESOLVE, "host \"%s\": no helper process for the look-up: %s", host,
                       sci_posix_error_text(error, unlisted));
    }
    lookup->helper = helper;
    lookup->descriptor = ends[0];
    lookup->advance = sci_resolve_advance;
    lookup->release = sci_resolve_release;
    return SC_OK;
}

#endif

SC_API bool sc_platform_resolver(sc_resolver *table)
{
    memset(table, 0, sizeof(*table));
    table->resolve = sci_resolve_begin;
    return true;
}

#else

SC_API bool sc_platform_resolver(sc_resolver *table)
{
    (void)table;
    return false;
}

#endif

/* MARK: - POSIX files (Private) */
/* The files of an embedded server's log over POSIX. */

#ifndef SMARTCACHE_NO_POSIX

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#if defined(__linux__)
#include <sys/statfs.h>
#endif

/* Some systems refuse more than INT_MAX bytes in one call. */
#define SCI_FILE_CALL_MAX ((size_t)1 << 30)
#define SCI_FILE_PATH_BYTES 4096
/* Of a long path, so that the reason behind it has room. */
#define SCI_FILE_SHOWN_BYTES 256

typedef struct sci_posix_file {
    sc_memory memory;
    char *path; /* owned; for messages */
    int fd;
} sci_posix_file;

/* Some errors mean something else here than on a socket. */
static const char *sci_posix_file_error_text(int error, char unlisted[SCI_POSIX_ERROR_BYTES])
{
    switch (error) {
    case EPERM:
        return "operation not permitted (is it marked as immutable?)";
    case EINVAL:
        return "this kind of file cannot do that";
    default:
        return sci_posix_error_text(error, unlisted);
    }
}

/* Fail with "doing path: words", by errno. */
static sc_status sci_posix_file_fail(const char *doing, const char *path)
{
    char unlisted[SCI_POSIX_ERROR_BYTES];
    return sc_fail(SC_ERR_IO, "%s %.*s: %s", doing, SCI_FILE_SHOWN_BYTES, path,
                   sci_posix_file_error_text(errno, unlisted));
}

/* Repeats what a signal interrupts. */
static int sci_posix_file_open_fd(const char *path, int flags)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, S_IRUSR | S_IWUSR);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static void sci_posix_file_close_fd(int fd)
{
    /* Parentheses, here and below: programs may have macros of these names. */
    (void)(close)(fd);
}

/* Offsets are as wide as the program has them compiled. */
static bool sci_posix_file_can_seek(uint64_t offset)
{
    const uint64_t most = sizeof(off_t) > 4 ? (uint64_t)INT64_MAX : (uint64_t)INT32_MAX;
    if (offset <= most)
        return true;
    errno = EOVERFLOW;
    return false;
}

/* --- One file */

static void sci_posix_file_shut(void *user)
{
    sci_posix_file *file = (sci_posix_file *)user;
    sc_memory memory = file->memory;
    if (file->fd >= 0)
        sci_posix_file_close_fd(file->fd);
    sci_free_text(&memory, file->path);
    sci_free(&memory, file, sizeof(*file));
}

/* Only a regular file has a size and can be cut; anything else is a mistake of the path. */
static sc_status sci_posix_file_check_kind(const sci_posix_file *file)
{
    struct stat about;
    if (fstat(file->fd, &about) != 0)
        return sci_posix_file_fail("looking at", file->path);
    if (S_ISDIR(about.st_mode)) {
        errno = EISDIR;
        return sci_posix_file_fail("opening", file->path);
    }
    if (!S_ISREG(about.st_mode))
        return sc_fail(SC_ERR_IO, "opening %s: it is not a regular file", file->path);
    return SC_OK;
}

static sc_status sci_posix_file_begin(sci_posix_file *file, sc_file_mode mode)
{
    static const int flags[] = {0, O_RDONLY, O_RDWR | O_APPEND | O_CREAT,
                                O_RDWR | O_APPEND | O_CREAT | O_TRUNC};
    if ((size_t)mode == 0 || (size_t)mode >= SCI_COUNT(flags))
        return sc_fail(SC_ERR_ARGUMENT, "opening %s: %d is no sc_file_mode", file->path, (int)mode);
    file->fd = sci_posix_file_open_fd(file->path, flags[mode]);
    if (file->fd < 0 && errno == ENOENT && mode == SC_FILE_READ)
        return sc_fail(SC_MISS, "opening %s: no such file", file->path);
    if (file->fd < 0 && errno == ENOENT)
        return sc_fail(SC_ERR_IO, "opening %s: there is no such folder", file->path);
    if (file->fd < 0)
        return sci_posix_file_fail("opening", file->path);
    return sci_posix_file_check_kind(file);
}

static sc_status sci_posix_file_open(void *user, const sc_memory *memory, const char *path,
                                     sc_file_mode mode, void **file)
{
    sci_posix_file *self = (sci_posix_file *)sci_alloc_zeroed(memory, sizeof(*self));
    (void)user;
    *file = NULL;
    if (!self)
        return SC_ERR_MEMORY;
    self->memory = *memory;
    self->fd = -1;
    self->path = sci_copy_text(memory, sc_text(path));
    sc_status status = self->path ? sci_posix_file_begin(self, mode) : SC_ERR_MEMORY;
    if (status != SC_OK) {
        sci_posix_file_shut(self);
        return status;
    }
    *file = self;
    return SC_OK;
}

static sc_status sci_posix_file_size(void *user, uint64_t *bytes)
{
    const sci_posix_file *file = (const sci_posix_file *)user;
    struct stat about;
    *bytes = 0;
    if (fstat(file->fd, &about) != 0)
        return sci_posix_file_fail("looking at", file->path);
    *bytes = (uint64_t)about.st_size;
    return SC_OK;
}

static sc_status sci_posix_file_fetch(void *user, uint64_t offset, void *buffer, size_t cap,
                                      size_t *count)
{
    const sci_posix_file *file = (const sci_posix_file *)user;
    ssize_t got = -1;
    *count = 0;
    if (sci_posix_file_can_seek(offset))
        do
            got = pread(file->fd, buffer, sci_min_size(cap, SCI_FILE_CALL_MAX), (off_t)offset);
        while (got < 0 && errno == EINTR);
    if (got < 0)
        return sci_posix_file_fail("reading", file->path);
    *count = (size_t)got;
    return SC_OK;
}

/* Beyond the limit that the program was given (ulimit -f) a write would bring SIGXFSZ, which ends
   it. False with errno. */
static bool sci_posix_file_may_grow(const sci_posix_file *file, uint64_t bytes)
{
    struct rlimit limit;
    struct stat about;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return true;
    if (fstat(file->fd, &about) != 0)
        return false;
    if ((uint64_t)about.st_size <= limit.rlim_cur &&
        bytes <= limit.rlim_cur - (uint64_t)about.st_size)
        return true;
    errno = EFBIG;
    return false;
}

static sc_status sci_posix_file_append(void *user, const void *data, size_t len, size_t *count)
{
    const sci_posix_file *file = (const sci_posix_file *)user;
    *count = 0;
    if (!sci_posix_file_may_grow(file, len))
        return sci_posix_file_fail("writing", file->path);
    while (*count < len) {
        ssize_t took = (write)(file->fd, (const char *)data + *count,
                               sci_min_size(len - *count, SCI_FILE_CALL_MAX));
        if (took > 0) {
            *count += (size_t)took;
        } else if (took == 0 || errno != EINTR) {
            if (took == 0)
                errno = EIO;
            return sci_posix_file_fail("writing", file->path);
        }
    }
    return SC_OK;
}

static sc_status sci_posix_file_cut(void *user, uint64_t bytes)
{
    const sci_posix_file *file = (const sci_posix_file *)user;
    int result = -1;
    if (sci_posix_file_can_seek(bytes))
        do
            result = ftruncate(file->fd, (off_t)bytes);
        while (result != 0 && errno == EINTR);
    return result == 0 ? SC_OK : sci_posix_file_fail("cutting", file->path);
}

/* On the disk itself where the system tells that from the disk's cache; 0, or -1 with errno. */
static int sci_posix_file_flush(int fd, bool is_folder)
{
    int result;
    do {
#if defined(F_FULLFSYNC)
        result = (fcntl)(fd, F_FULLFSYNC) == -1 ? fsync(fd) : 0;
        (void)is_folder;
#elif defined(_POSIX_SYNCHRONIZED_IO) && _POSIX_SYNCHRONIZED_IO > 0
        result = is_folder ? fsync(fd) : fdatasync(fd);
#else
        result = fsync(fd);
        (void)is_folder;
#endif
    } while (result != 0 && errno == EINTR);
    return result;
}

static sc_status sci_posix_file_sync(void *user)
{
    const sci_posix_file *file = (const sci_posix_file *)user;
    if (sci_posix_file_flush(file->fd, false) != 0)
        return sci_posix_file_fail("syncing", file->path);
    return SC_OK;
}

/* --- Room in advance */

#if defined(__linux__) && defined(SYS_fallocate) && !(defined(__x86_64__) && defined(__ILP32__))
#define SCI_FALLOC_KEEP_SIZE 1 /* <linux/falloc.h> */

/* The system call: libc's function depends on the width of the program's off_t. The size stays, so
   that the file never ends in zeros. 0, or -1 with errno. */
static long sci_posix_file_allocate(int fd, uint64_t offset, uint64_t bytes)
{
#if LONG_MAX > INT32_MAX
    return syscall(SYS_fallocate, fd, SCI_FALLOC_KEEP_SIZE, (long)offset, (long)bytes);
#else
    /* Halves in the order that they have in memory (man 2 syscall). */
    const uint32_t one = 1;
    const bool low_first = *(const unsigned char *)&one == 1;
    const long halves[2][2] = {{(long)(int32_t)(offset & UINT32_MAX), (long)(offset >> 32)},
                               {(long)(int32_t)(bytes & UINT32_MAX), (long)(bytes >> 32)}};
    return syscall(SYS_fallocate, fd, SCI_FALLOC_KEEP_SIZE, halves[0][!low_first],
                   halves[0][low_first], halves[1][!low_first], halves[1][low_first]);
#endif
}

static bool sci_posix_file_cannot_reserve(int error)
{
    return error == EOPNOTSUPP || error == ENOTSUP || error == ENOSYS || error == EPERM ||
           error == EINVAL;
}

static sc_status sci_posix_file_reserve(void *user, uint64_t bytes)
{
    const sci_posix_file *file = (const sci_posix_file *)user;
    uint64_t size = 0;
    long result;
    sc_status status = sci_posix_file_size(user, &size);
    if (status != SC_OK)
        return status;
    if (bytes == 0)
        return SC_OK;
    if (!sci_posix_file_may_grow(file, bytes))
        return sci_posix_file_fail("reserving room for", file->path);
    do
        result = sci_posix_file_allocate(file->fd, size, bytes);
    while (result != 0 && errno == EINTR);
    if (result == 0)
        return SC_OK;
    if (sci_posix_file_cannot_reserve(errno))
        return sc_fail(SC_ERR_UNSUPPORTED, "%s: its file system reserves no room", file->path);
    return sci_posix_file_fail("reserving room for", file->path);
}
#define SCI_FILE_RESERVE sci_posix_file_reserve
#else
#define SCI_FILE_RESERVE NULL
#endif

/* --- The lock */

#if defined(__linux__)
/* Kinds of file system where flock, or a Unix socket beside the file, does not reach from host to
   host (man 2 statfs). */
static bool sci_posix_file_is_remote(int fd)
{
    static const uint32_t remote[] = {
        0x6969u,     /* NFS */
        0x517bu,     /* SMB */
        0xff534d42u, /* CIFS */
        0xfe534d42u, /* SMB2 */
        0x5346414fu, /* AFS */
        0x73757245u, /* Coda */
        0x564cu,     /* NCP */
        0x00c36400u  /* Ceph */
    };
    struct statfs about;
    if (fstatfs(fd, &about) != 0)
        return false;
    for (size_t i = 0; i < SCI_COUNT(remote); i++)
        if ((uint32_t)about.f_type == remote[i])
            return true;
    return false;
}
#endif

/* By flock, whose locks belong to what open made, not to the process: they exclude a second holder
   in this process too, and closing another descriptor of the file does not drop them. */
static sc_status sci_posix_file_hold(void *user)
{
    const sci_posix_file *file = (const sci_posix_file *)user;
    int result;
#if defined(__linux__)
    if (sci_posix_file_is_remote(file->fd))
        return sc_fail(SC_ERR_IO,
                       "locking %s: it lies on a network file system, where locks and Unix sockets "
                       "do not reach from host to host: choose a folder on a local disk",
                       file->path);
#endif
    do
        result = flock(file->fd, LOCK_EX | LOCK_NB);
    while (result != 0 && errno == EINTR);
    if (result == 0)
        return SC_OK;
    if (errno == EWOULDBLOCK)
        return sc_fail(SC_HELD, "locking %s: another server has it", file->path);
    return sci_posix_file_fail("locking", file->path);
}

/* --- Folders */

static sc_status sci_posix_files_rename(void *user, const char *from, const char *to)
{
    (void)user;
    return rename(from, to) == 0 ? SC_OK : sci_posix_file_fail("renaming a file to", to);
}

static sc_status sci_posix_files_remove(void *user, const char *path)
{
    (void)user;
    if (unlink(path) == 0)
        return SC_OK;
    if (errno == ENOENT)
        return sc_fail(SC_MISS, "removing %s: no such file", path);
    return sci_posix_file_fail("removing", path);
}

/* The folder of `path` into `folder`; false with errno. */
static bool sci_posix_files_folder(const char *path, char folder[SCI_FILE_PATH_BYTES])
{
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] != '/')
        len--;
    if (len >= SCI_FILE_PATH_BYTES) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(folder, path, len);
    if (len == 0)
        folder[len++] = '.';
    folder[len] = '\0';
    return true;
}

static sc_status sci_posix_files_sync_folder(void *user, const char *path)
{
    char folder[SCI_FILE_PATH_BYTES];
    (void)user;
    int fd = sci_posix_files_folder(path, folder) ? sci_posix_file_open_fd(folder, O_RDONLY) : -1;
    if (fd < 0)
        return sci_posix_file_fail("opening the folder of", path);
    /* EINVAL: a file system that does not sync folders. */
    sc_status status = sci_posix_file_flush(fd, true) == 0 || errno == EINVAL
                           ? SC_OK
                           : sci_posix_file_fail("syncing the folder of", path);
    sci_posix_file_close_fd(fd);
    return status;
}

SC_API bool sc_platform_files(sc_files *table)
{
    memset(table, 0, sizeof(*table));
    table->open = sci_posix_file_open;
    table->size = sci_posix_file_size;
    table->fetch = sci_posix_file_fetch;
    table->append = sci_posix_file_append;
    table->reserve = SCI_FILE_RESERVE;
    table->cut = sci_posix_file_cut;
    table->sync = sci_posix_file_sync;
    table->hold = sci_posix_file_hold;
    table->shut = sci_posix_file_shut;
    table->rename = sci_posix_files_rename;
    table->remove = sci_posix_files_remove;
    table->sync_folder = sci_posix_files_sync_folder;
    return true;
}

#else

SC_API bool sc_platform_files(sc_files *table)
{
    memset(table, 0, sizeof(*table));
    return false;
}

#endif

/* MARK: - Scheduler (Private) */
/* The scheduler: one thread at a time waits for descriptors and timers on behalf of all. */

/* The scheduler: a poller, timers, and the callbacks that are due. One mutex guards a client and
   its loop; "locked" below means that the caller holds it. One thread at a time drives. */

typedef struct sci_loop sci_loop;

typedef struct sci_timer {
    sci_heap_node node;                    /* key: due time, monotonic nanoseconds */
    void (*fire)(struct sci_timer *timer); /* locked; may free the timer's owner */
} sci_timer;

/* Beside the poller's readiness: the poller could not watch the descriptor: `failure`, with words in
   sc_error_text. */
#define SCI_WATCH_FAILED 8u

/* A descriptor that its owner wants to hear about. */
typedef struct sci_watch {
    sci_link link;            /* in one of the loop's lists */
    sc_descriptor descriptor; /* -1: none, the poller does not hear of it */
    unsigned polled;          /* the interest that the poller knows */
    bool is_retired;          /* to be forgotten and released as soon as nobody waits on it */
    /* Locked. The interest for the next wait, 0 for none. NULL: a steady watch, whose owner tells by
       sci_watch_want, so that a step costs nothing for those that nothing happens to. */
    unsigned (*prepare)(struct sci_watch *watch);
    /* Locked. After each wait: what is ready, 0 for nothing. For a steady watch only when there is
       something. */
    void (*settle)(struct sci_watch *watch, unsigned ready);
    /* Locked. A retired watch is let go: close the descriptor, free the owner. */
    void (*release)(struct sci_watch *watch);
#ifndef SMARTCACHE_NO_SERVER
    unsigned wanted; /* of a steady one: the interest */
#endif
    unsigned ready;    /* private to loop.c */
    sc_status failure; /* with SCI_WATCH_FAILED */
} sci_watch;

#ifndef SMARTCACHE_NO_SERVER
/* What is to run at the end of each step, before the next wait. */
typedef struct sci_hook {
    sci_link link;                      /* in loop->hooks */
    void (*run)(struct sci_hook *hook); /* locked */
} sci_hook;
#endif

/* Of scheduled_until, beside monotonic nanoseconds. */
#define SCI_LOOP_AT_ONCE INT64_MIN
#define SCI_LOOP_AT_NO_TIME INT64_MAX

/* A user's callback that is due. Run in order, one at a time, without the lock. */
typedef struct sci_post {
    sci_link link;
    void (*run)(struct sci_post *post); /* unlocked; may free the post */
} sci_post;

struct sci_loop {
    sci_mutex lock;
    sc_clock clock;
    sc_memory memory;
    sc_poller poller_table;
    void *poller; /* owned */
    sci_heap timers;
    sci_link watches;
#ifndef SMARTCACHE_NO_SERVER
    sci_link steady;  /* watches to which nothing happens */
    sci_link changed; /* of which the poller has to be told */
    sci_link ready;   /* which are to be settled */
    sci_link hooks;
#endif
    sci_link posts;
    uintptr_t driver;        /* the thread that drives, 0: nobody */
    uintptr_t dispatcher;    /* the thread that runs callbacks, 0: nobody */
    bool is_waiting;         /* the driver is inside the poller, without the lock */
    bool is_woken;           /* the poller has been told to return */
    bool is_settled;         /* nothing has happened since the poller was told what is wanted */
    int64_t waiting_until;   /* monotonic ns, while is_waiting */
    int64_t scheduled_until; /* when the poller's own loop is to call, while nobody drives */
};

SCI_PRIVATE sc_status sci_loop_init(sci_loop *loop, const sc_memory *memory, const sc_clock *clock,
                                    const sc_poller *poller);
/* Forget whatever there was: watches, timers, callbacks, who drives. */
SCI_PRIVATE void sci_loop_clear(sci_loop *loop);
/* Nobody drives any more; releases retired watches. */
SCI_PRIVATE void sci_loop_free(sci_loop *loop);

static inline int64_t sci_loop_now_ns(const sci_loop *loop)
{
    return loop->clock.monotonic_ns(loop->clock.user);
}
static inline void sci_loop_lock(sci_loop *loop)
{
    sci_mutex_lock(&loop->lock);
}
static inline void sci_loop_unlock(sci_loop *loop)
{
    sci_mutex_unlock(&loop->lock);
}

/* All below: locked. */

/* (Re-)arm; wakes the driver when it sleeps past `due_ns`. */
SCI_PRIVATE void sci_timer_arm(sci_loop *loop, sci_timer *timer, int64_t due_ns);
SCI_PRIVATE void sci_timer_cancel(sci_loop *loop, sci_timer *timer);
static inline bool sci_timer_is_armed(const sci_timer *timer)
{
    return timer->node.is_in_heap;
}

/* Add a watch. */
SCI_PRIVATE void sci_watch_add(sci_loop *loop, sci_watch *watch);
#ifndef SMARTCACHE_NO_SERVER
/* The interest of a steady watch from the next wait on. */
SCI_PRIVATE void sci_watch_want(sci_loop *loop, sci_watch *watch, unsigned interest);
SCI_PRIVATE void sci_hook_add(sci_loop *loop, sci_hook *hook);
static inline void sci_hook_remove(sci_hook *hook)
{
    sci_list_remove(&hook->link);
}
#endif
/* Forget a watch: `release` is called now, or when the driver comes back from its wait. */
SCI_PRIVATE void sci_watch_retire(sci_loop *loop, sci_watch *watch);
/* Make the poller's wait, or else its next one, return at once. Any thread, locked or not. */
SCI_PRIVATE void sci_loop_interrupt(sci_loop *loop);
/* Make the driver ask `prepare` again, if it is waiting. */
SCI_PRIVATE void sci_loop_wake(sci_loop *loop);

/* Queue a callback; wakes the driver, if it is waiting. */
SCI_PRIVATE void sci_loop_post(sci_loop *loop, sci_post *post);

/* Take the driver's place if nobody has it. */
SCI_PRIVATE bool sci_loop_drive_begin(sci_loop *loop);
/* Wait up to `max_wait_ns` (-1: as long as timers allow), settle watches, fire timers. Unlocks
   while it waits. Only for the driver. SC_OK, or the poller's error. */
SCI_PRIVATE sc_status sci_loop_step(sci_loop *loop, int64_t max_wait_ns);
SCI_PRIVATE void sci_loop_drive_end(sci_loop *loop);
/* Run the callbacks that are due, unless another thread, or a caller of this one, is doing so.
   Unlocks around each. True when one was run. */
SCI_PRIVATE bool sci_loop_dispatch(sci_loop *loop);

/* Readiness taken from the poller in one go; more come at the next step. */
#define SCI_LOOP_EVENTS 64
#define SCI_NS_PER_MS 1000000

SCI_PRIVATE sc_status sci_loop_init(sci_loop *loop, const sc_memory *memory, const sc_clock *clock,
                                    const sc_poller *poller)
{
    memset(loop, 0, sizeof *loop);
    loop->memory = *memory;
    loop->clock = *clock;
    loop->poller_table = *poller;
    sci_loop_clear(loop);
    sci_mutex_init(&loop->lock);
    sc_status status = poller->create(poller->user, memory, &loop->poller);
    if (status != SC_OK)
        sci_mutex_free(&loop->lock);
    return status;
}

SCI_PRIVATE void sci_loop_clear(sci_loop *loop)
{
    loop->timers.root = NULL;
    sci_list_init(&loop->watches);
    sci_list_init(&loop->posts);
#ifndef SMARTCACHE_NO_SERVER
    sci_list_init(&loop->steady);
    sci_list_init(&loop->changed);
    sci_list_init(&loop->ready);
    sci_list_init(&loop->hooks);
#endif
    loop->driver = 0;
    loop->dispatcher = 0;
    loop->is_waiting = false;
    loop->is_woken = false;
    loop->is_settled = false;
    loop->scheduled_until = SCI_LOOP_AT_NO_TIME;
}

SCI_PRIVATE void sci_loop_free(sci_loop *loop)
{
    sci_assert(!loop->is_waiting);
    sci_assert(sci_list_is_empty(&loop->watches));
    if (loop->poller)
        loop->poller_table.destroy(loop->poller);
    loop->poller = NULL;
    sci_mutex_free(&loop->lock);
}

/* Tell a poller that stands in another event loop when the next step is due. */
static void sci_loop_schedule(sci_loop *loop, int64_t due_ns)
{
    int64_t delay_ns = -1;
    loop->scheduled_until = due_ns;
    if (due_ns == SCI_LOOP_AT_ONCE)
        delay_ns = 0;
    else if (due_ns != SCI_LOOP_AT_NO_TIME)
        delay_ns = sci_max_i64(due_ns - sci_loop_now_ns(loop), 0);
    loop->poller_table.schedule(loop->poller, delay_ns);
}

static void sci_loop_schedule_earlier(sci_loop *loop, int64_t due_ns)
{
    if (loop->poller_table.schedule && loop->poller && !loop->driver &&
        due_ns < loop->scheduled_until)
        sci_loop_schedule(loop, due_ns);
}

SCI_PRIVATE void sci_loop_interrupt(sci_loop *loop)
{
    if (loop->poller) /* a forked child may be without one; then nobody waits in it */
        loop->poller_table.wake(loop->poller);
}

SCI_PRIVATE void sci_loop_wake(sci_loop *loop)
{
    if (!loop->is_waiting) {
        loop->is_settled = false;
        sci_loop_schedule_earlier(loop, SCI_LOOP_AT_ONCE);
        return;
    }
    if (loop->is_woken)
        return;
    loop->is_woken = true;
    sci_loop_interrupt(loop);
}

SCI_PRIVATE void sci_timer_arm(sci_loop *loop, sci_timer *timer, int64_t due_ns)
{
    sci_heap_remove(&loop->timers, &timer->node);
    sci_heap_insert(&loop->timers, &timer->node, due_ns);
    if (due_ns < loop->waiting_until)
        sci_loop_wake(loop);
    sci_loop_schedule_earlier(loop, due_ns);
}

SCI_PRIVATE void sci_timer_cancel(sci_loop *loop, sci_timer *timer)
{
    sci_heap_remove(&loop->timers, &timer->node);
}

SCI_PRIVATE void sci_watch_add(sci_loop *loop, sci_watch *watch)
{
    sci_link *list = &loop->watches;
#ifndef SMARTCACHE_NO_SERVER
    watch->wanted = 0;
    if (!watch->prepare)
        list = &loop->steady;
#endif
    sci_list_init(&watch->link);
    sci_list_append(list, &watch->link);
    watch->polled = 0;
    watch->ready = 0;
    watch->is_retired = false;
    sci_loop_wake(loop);
}

#ifndef SMARTCACHE_NO_SERVER
static void sci_watch_move(sci_watch *watch, sci_link *list)
{
    sci_list_remove(&watch->link);
    sci_list_append(list, &watch->link);
}

/* Something is to be said to the owner of a steady watch after the wait. */
static void sci_watch_is_ready(sci_loop *loop, sci_watch *watch)
{
    if (!watch->prepare)
        sci_watch_move(watch, &loop->ready);
}

/* Where a steady watch belongs that is not to be settled. */
static void sci_watch_rest(sci_loop *loop, sci_watch *watch)
{
    sci_watch_move(watch, watch->wanted == watch->polled ? &loop->steady : &loop->changed);
}

SCI_PRIVATE void sci_watch_want(sci_loop *loop, sci_watch *watch, unsigned interest)
{
    sci_assert(!watch->prepare);
    if (watch->wanted == interest)
        return;
    watch->wanted = interest;
    if (watch->ready || watch->is_retired)
        return; /* it rests, or goes, when it has been settled */
    sci_watch_rest(loop, watch);
    sci_loop_wake(loop);
}

SCI_PRIVATE void sci_hook_add(sci_loop *loop, sci_hook *hook)
{
    sci_list_init(&hook->link);
    sci_list_append(&loop->hooks, &hook->link);
}
#endif

/* The poller must not be told while it waits, and a descriptor that it waits on must not be closed:
   its number could be another's by then. */
static void sci_watch_let_go(sci_loop *loop, sci_watch *watch)
{
    if (watch->polled)
        (void)loop->poller_table.watch(loop->poller, watch->descriptor, 0, watch);
    sci_list_remove(&watch->link);
    watch->release(watch);
}

SCI_PRIVATE void sci_watch_retire(sci_loop *loop, sci_watch *watch)
{
    if (loop->is_waiting && watch->polled) {
        watch->is_retired = true;
#ifndef SMARTCACHE_NO_SERVER
        sci_watch_is_ready(loop, watch);
#endif
        sci_loop_wake(loop);
        return;
    }
    sci_watch_let_go(loop, watch);
}

SCI_PRIVATE void sci_loop_post(sci_loop *loop, sci_post *post)
{
    sci_list_append(&loop->posts, &post->link);
    sci_loop_wake(loop);
}

/* Who is running one now will run those that wait. */
static bool sci_loop_has_callbacks(const sci_loop *loop)
{
    return !loop->dispatcher && !sci_list_is_empty(&loop->posts);
}

SCI_PRIVATE bool sci_loop_drive_begin(sci_loop *loop)
{
    if (loop->driver)
        return false;
    loop->driver = sci_thread_self();
    return true;
}

SCI_PRIVATE void sci_loop_drive_end(sci_loop *loop)
{
    sci_assert(loop->driver == sci_thread_self());
    loop->driver = 0;
    if (!loop->poller_table.schedule || !loop->poller)
        return;
    int64_t due_ns = SCI_LOOP_AT_NO_TIME;
    const sci_heap_node *first = sci_heap_first(&loop->timers);
    if (!loop->is_settled || sci_loop_has_callbacks(loop))
        due_ns = SCI_LOOP_AT_ONCE; /* what is wanted now is told to the poller by a step */
    else if (first)
        due_ns = first->key;
    if (due_ns != loop->scheduled_until)
        sci_loop_schedule(loop, due_ns);
}

static sc_status sci_watch_tell(sci_loop *loop, sci_watch *watch, unsigned wanted)
{
    sc_status status = loop->poller_table.watch(loop->poller, watch->descriptor, wanted, watch);
    if (status == SC_OK) {
        watch->polled = wanted;
    } else {
        watch->ready = SCI_WATCH_FAILED;
        watch->failure = status;
    }
    return status;
}

/* Tell the poller what the owners want now. */
static sc_status sci_loop_prepare(sci_loop *loop)
{
    sc_status result = SC_OK;
    for (sci_link *link = loop->watches.next; link != &loop->watches; link = link->next) {
        sci_watch *watch = SCI_CONTAINER(link, sci_watch, link);
        unsigned wanted = watch->prepare(watch);
        watch->ready = 0;
        if (wanted == watch->polled || watch->descriptor < 0)
            continue;
        sc_status status = sci_watch_tell(loop, watch, wanted);
        if (status != SC_OK)
            result = status;
    }
#ifndef SMARTCACHE_NO_SERVER
    for (sci_link *link = loop->changed.next; link != &loop->changed; link = loop->changed.next) {
        sci_watch *watch = SCI_CONTAINER(link, sci_watch, link);
        sc_status status = sci_watch_tell(loop, watch, watch->wanted);
        sci_watch_move(watch, status == SC_OK ? &loop->steady : &loop->ready);
        if (status != SC_OK)
            result = status;
    }
#endif
    return result;
}

/* A watch may retire itself, retire others or add new ones while it is settled. */
static void sci_loop_settle(sci_loop *loop)
{
    sci_link pending;
    sci_list_init(&pending);
    sci_list_move_all(&pending, &loop->watches);
    for (sci_link *link = sci_list_take_first(&pending); link;
         link = sci_list_take_first(&pending)) {
        sci_watch *watch = SCI_CONTAINER(link, sci_watch, link);
        sci_list_append(&loop->watches, link);
        if (watch->is_retired)
            sci_watch_let_go(loop, watch);
        else
            watch->settle(watch, watch->ready);
    }
}

#ifndef SMARTCACHE_NO_SERVER
static void sci_loop_settle_steady(sci_loop *loop)
{
    for (sci_link *link = loop->ready.next; link != &loop->ready; link = loop->ready.next) {
        sci_watch *watch = SCI_CONTAINER(link, sci_watch, link);
        unsigned ready = watch->ready;
        watch->ready = 0;
        if (watch->is_retired) {
            sci_watch_let_go(loop, watch);
            continue;
        }
        sci_watch_rest(loop, watch);
        watch->settle(watch, ready);
    }
}

/* A hook may remove itself. */
static void sci_loop_run_hooks(sci_loop *loop)
{
    for (sci_link *link = loop->hooks.next, *next; link != &loop->hooks; link = next) {
        sci_hook *hook = SCI_CONTAINER(link, sci_hook, link);
        next = link->next;
        hook->run(hook);
    }
}
#endif

static void sci_loop_fire_timers(sci_loop *loop)
{
    if (!loop->timers.root)
        return;
    int64_t now_ns = sci_loop_now_ns(loop);
    for (sci_heap_node *node = sci_heap_first(&loop->timers); node && node->key <= now_ns;
         node = sci_heap_first(&loop->timers)) {
        sci_timer *timer = SCI_CONTAINER(node, sci_timer, node);
        sci_heap_remove(&loop->timers, node);
        loop->is_settled = false;
        timer->fire(timer);
    }
}

/* Rounded up to the poller's milliseconds, so that a timer is due when the wait ends. */
static int64_t sci_loop_timeout_ms(sci_loop *loop, int64_t max_wait_ns)
{
    int64_t wait_ns = max_wait_ns;
    loop->waiting_until = INT64_MAX;
    if (sci_loop_has_callbacks(loop))
        wait_ns = 0;
    sci_heap_node *first = sci_heap_first(&loop->timers);
    if (wait_ns != 0 && (first || wait_ns > 0)) {
        int64_t now_ns = sci_loop_now_ns(loop);
        if (first && (wait_ns < 0 || first->key - now_ns < wait_ns))
            wait_ns = first->key > now_ns ? first->key - now_ns : 0;
        if (wait_ns < INT64_MAX - now_ns)
            loop->waiting_until = now_ns + wait_ns;
    }
    if (wait_ns < 0)
        return -1;
    return wait_ns / SCI_NS_PER_MS + (wait_ns % SCI_NS_PER_MS != 0);
}

SCI_PRIVATE sc_status sci_loop_step(sci_loop *loop, int64_t max_wait_ns)
{
    sc_event events[SCI_LOOP_EVENTS];
    size_t count = 0;
    sci_assert(loop->driver == sci_thread_self());
    if (!loop->poller) { /* in a forked child that had no memory or descriptor for it */
        sc_status created =
            loop->poller_table.create(loop->poller_table.user, &loop->memory, &loop->poller);
        if (created != SC_OK)
            return created;
    }
    loop->is_settled = true;
    loop->scheduled_until = SCI_LOOP_AT_NO_TIME; /* the wait makes an end of it */
    sc_status prepared = sci_loop_prepare(loop);
    int64_t timeout_ms = prepared == SC_OK ? sci_loop_timeout_ms(loop, max_wait_ns) : 0;

    loop->is_waiting = true;
    sci_loop_unlock(loop);
    sc_status status =
        loop->poller_table.wait(loop->poller, timeout_ms, events, SCI_LOOP_EVENTS, &count);
    sci_loop_lock(loop);
    loop->is_waiting = false;
    if (loop->is_woken || count > 0 || prepared != SC_OK)
        loop->is_settled = false;
    loop->is_woken = false;
    loop->waiting_until = INT64_MIN;

    for (size_t i = 0; status == SC_OK && i < count; i++) {
        sci_watch *watch = (sci_watch *)events[i].tag;
        watch->ready |= events[i].ready;
#ifndef SMARTCACHE_NO_SERVER
        sci_watch_is_ready(loop, watch);
#endif
    }
    sci_loop_settle(loop);
#ifndef SMARTCACHE_NO_SERVER
    sci_loop_settle_steady(loop);
#endif
    sci_loop_fire_timers(loop);
#ifndef SMARTCACHE_NO_SERVER
    sci_loop_run_hooks(loop);
#endif
    return prepared != SC_OK ? prepared : status;
}

SCI_PRIVATE bool sci_loop_dispatch(sci_loop *loop)
{
    const uintptr_t self = sci_thread_self();
    bool has_run = false;
    sci_link due; /* those that they post have to wait: a callback may post another for ever */
    if (loop->dispatcher)
        return false;
    loop->dispatcher = self;
    sci_list_init(&due);
    sci_list_move_all(&due, &loop->posts);
    for (sci_link *link = sci_list_take_first(&due); link; link = sci_list_take_first(&due)) {
        sci_post *post = SCI_CONTAINER(link, sci_post, link);
        sci_loop_unlock(loop);
        post->run(post);
        sci_loop_lock(loop);
        has_run = true;
        if (loop->dispatcher != self)
            return true; /* this is a forked child now: the others are its parent's */
    }
    loop->dispatcher = 0;
    if (!sci_list_is_empty(&loop->posts))
        sci_loop_wake(loop);
    return has_run;
}

#ifndef SMARTCACHE_NO_SERVER

/* MARK: - Binary numbers (Private) */
/* Numbers as wide integers times powers of two. */

/* Numbers as wide integers times powers of two, what lies between texts and floating point. */

/* `bits` below 128. */
static inline sci_u128 sci_u128_shift_right(sci_u128 value, unsigned bits)
{
    if (bits >= 64) {
        value.low = value.high >> (bits - 64);
        value.high = 0;
    } else if (bits > 0) {
        value.low = value.low >> bits | value.high << (64 - bits);
        value.high >>= bits;
    }
    return value;
}

static inline sci_u128 sci_u128_shift_left(sci_u128 value, unsigned bits)
{
    if (bits >= 64) {
        value.high = value.low << (bits - 64);
        value.low = 0;
    } else if (bits > 0) {
        value.high = value.high << bits | value.low >> (64 - bits);
        value.low <<= bits;
    }
    return value;
}

static inline int sci_u128_compare(sci_u128 a, sci_u128 b)
{
    if (a.high != b.high)
        return a.high < b.high ? -1 : 1;
    return a.low == b.low ? 0 : a.low < b.low ? -1 : 1;
}

static inline sci_u128 sci_u128_add(sci_u128 a, sci_u128 b)
{
    a.low += b.low;
    a.high += b.high + (a.low < b.low);
    return a;
}

static inline sci_u128 sci_u128_subtract(sci_u128 a, sci_u128 b)
{
    a.high -= b.high + (a.low < b.low);
    a.low -= b.low;
    return a;
}

static inline bool sci_u128_is_zero(sci_u128 value)
{
    return value.high == 0 && value.low == 0;
}

/* Any `bits`; the last bit is also set when any was lost. */
static inline sci_u128 sci_u128_shift_right_sticky(sci_u128 value, unsigned bits)
{
    sci_u128 shifted;
    shifted.high = shifted.low = 0;
    if (bits < 128)
        shifted = sci_u128_shift_right(value, bits);
    bool is_lost = bits < 128 ? sci_u128_compare(sci_u128_shift_left(shifted, bits), value) != 0
                              : !sci_u128_is_zero(value);
    shifted.low |= is_lost;
    return shifted;
}

/* value / 2^bits, rounded (half to even); any `bits`. */
SCI_PRIVATE sci_u128 sci_u128_round(sci_u128 value, unsigned bits);

/* A number in two parts: mantissa * 2^exponent, or a bit more when the mantissa's last bit is
   set. */
typedef struct sci_binary {
    sci_u128 mantissa;
    int64_t exponent;
    bool is_negative;
} sci_binary;

/* C's hexadecimal numbers, "0x1.8p3". False when the whole text is not one. */
SCI_PRIVATE bool sci_binary_parse(sci_binary *binary, sc_slice text);
/* Nearest (half to even) of those whose mantissas have up to `bits` bits, 64 at most, and exponents
   of at least `least`. Returns the mantissa. */
SCI_PRIVATE uint64_t sci_binary_round(sci_binary binary, unsigned bits, int64_t least,
                                      int64_t *exponent);
/* "inf" and "infinity" in any case, with a sign. */
SCI_PRIVATE bool sci_text_is_infinity(sc_slice text, bool *is_negative);

SCI_PRIVATE sci_u128 sci_u128_round(sci_u128 value, unsigned bits)
{
    sci_u128 rounded, rest, half;
    rounded.high = rounded.low = half.low = 0;
    half.high = UINT64_C(1) << 63;
    rest = value;
    if (bits == 0)
        return value;
    if (bits > 128)
        return rounded;
    if (bits < 128) {
        rounded = sci_u128_shift_right(value, bits);
        rest = sci_u128_shift_left(value, 128 - bits);
    }
    int order = sci_u128_compare(rest, half);
    if (order > 0 || (order == 0 && (rounded.low & 1))) {
        rounded.low++;
        rounded.high += rounded.low == 0;
    }
    return rounded;
}

/* Digits at `at`; what is below the mantissa's bits only sets the last of them. Returns the end. */
static const char *sci_binary_parse_digits(sci_binary *binary, const char *at, const char *end,
                                           int point)
{
    for (; at < end && sci_hex_digit(*at) >= 0; at++) {
        uint64_t digit = (uint64_t)sci_hex_digit(*at);
        if (binary->mantissa.high >> 60 == 0) {
            binary->mantissa = sci_u128_shift_left(binary->mantissa, 4);
            binary->mantissa.low |= digit;
            binary->exponent -= 4 * point;
        } else {
            binary->exponent += 4 - 4 * point;
            binary->mantissa.low |= digit > 0;
        }
    }
    return at;
}

SCI_PRIVATE bool sci_binary_parse(sci_binary *binary, sc_slice text)
{
    const char *end = text.data + text.len;
    memset(binary, 0, sizeof *binary);
    const char *at = sci_number_parse_sign(text.data, end, &binary->is_negative);
    if (end - at < 3 || at[0] != '0' || (at[1] != 'x' && at[1] != 'X'))
        return false;
    const char *whole = at + 2;
    at = sci_binary_parse_digits(binary, whole, end, 0);
    size_t digits = (size_t)(at - whole);
    if (at < end && *at == '.') {
        const char *fraction = ++at;
        at = sci_binary_parse_digits(binary, at, end, 1);
        digits += (size_t)(at - fraction);
    }
    if (digits == 0)
        return false;
    if (at < end && (*at == 'p' || *at == 'P'))
        at = sci_number_parse_exponent(at + 1, end, &binary->exponent);
    return at && at == end;
}

SCI_PRIVATE uint64_t sci_binary_round(sci_binary binary, unsigned bits, int64_t least,
                                      int64_t *exponent)
{
    sci_u128 m = binary.mantissa;
    *exponent = least;
    if (sci_u128_is_zero(m))
        return 0;
    unsigned zeros = m.high ? sci_leading_zeros(m.high) : 64 + sci_leading_zeros(m.low);
    unsigned cut = 128 - bits;
    int64_t unit = binary.exponent - (int64_t)zeros + cut;
    if (unit < least)
        cut += (unsigned)sci_min_i64(least - unit, 128);
    else
        *exponent = unit;
    m = sci_u128_round(sci_u128_shift_left(m, zeros), cut);
    if (m.high > 0 || (bits < 64 && m.low >> bits > 0)) {
        m.low = UINT64_C(1) << (bits - 1);
        ++*exponent;
    }
    return m.low;
}

SCI_PRIVATE bool sci_text_is_infinity(sc_slice text, bool *is_negative)
{
    static const char name[] = "infinity";
    const char *end = text.data + text.len;
    const char *at = sci_number_parse_sign(text.data, end, is_negative);
    size_t len = (size_t)(end - at);
    if (len != 3 && len != sizeof name - 1)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((at[i] | 0x20) != name[i])
            return false;
    return true;
}

/* MARK: - Doubles as in C (Private) */
/* Doubles as C's library reads and prints them. */

/* Doubles as C's library reads and prints them. */

#define SCI_SEVENTEEN_TEXT_BYTES 25 /* "-2.2250738585072014e-308" and a NUL */

/* As C's strtod in its own locale, the whole slice: also "+1", ".5", "1.", "0x1.8p3", "inf" and
   "infinity" in any case; no blanks, never NaN. What is too large or too small for a double is an
   infinity or a zero, and *is_out_of_range. */
SCI_PRIVATE bool sci_text_to_double_as_c(sc_slice text, double *number, bool *is_out_of_range);
/* As C's "%.17g", and its length: "0.10000000000000001", "1e+17", "-0", "-inf", "nan". */
SCI_PRIVATE size_t sci_double_to_text_17(double number, char text[SCI_SEVENTEEN_TEXT_BYTES]);

/* MARK: Text to double, as strtod */

static double sci_binary_to_double(sci_binary binary)
{
    int64_t exponent;
    uint64_t mantissa = sci_binary_round(binary, SCI_DOUBLE_MANTISSA_BITS + 1,
                                         SCI_DOUBLE_LEAST_EXPONENT, &exponent);
    uint64_t bits = mantissa;
    if (mantissa >= SCI_DOUBLE_HIDDEN_BIT) {
        int64_t biased = exponent - SCI_DOUBLE_LEAST_EXPONENT + 1;
        bits = biased < SCI_DOUBLE_EXPONENT_MAX ? mantissa - SCI_DOUBLE_HIDDEN_BIT +
                                                      ((uint64_t)biased << SCI_DOUBLE_MANTISSA_BITS)
                                                : SCI_DOUBLE_INFINITY;
    }
    return sci_double_from_bits(binary.is_negative ? bits | SCI_DOUBLE_SIGN : bits);
}

SCI_PRIVATE bool sci_text_to_double_as_c(sc_slice text, double *number, bool *is_out_of_range)
{
    sci_decimal decimal;
    sci_binary binary;
    bool is_negative = false, is_zero = false;
    *is_out_of_range = false;
    if (sci_decimal_parse(&decimal, text, SCI_DECIMAL_C)) {
        *number = sci_decimal_to_double(&decimal);
        is_zero = decimal.digits == 0;
    } else if (sci_binary_parse(&binary, text)) {
        *number = sci_binary_to_double(binary);
        is_zero = binary.mantissa.high == 0 && binary.mantissa.low == 0;
    } else {
        if (!sci_text_is_infinity(text, &is_negative))
            return false;
        *number = sci_double_from_bits(SCI_DOUBLE_INFINITY | (is_negative ? SCI_DOUBLE_SIGN : 0));
        return true;
    }
    uint64_t magnitude = sci_double_to_bits(*number) & ~SCI_DOUBLE_SIGN;
    *is_out_of_range = magnitude == SCI_DOUBLE_INFINITY || (magnitude == 0 && !is_zero);
    return true;
}

/* MARK: Double to 17 digits, as "%.17g" */

#define SCI_SEVENTEEN_DIGITS 17
/* Enough for 5^340 times 53 bits, and for what that is compared with. */
#define SCI_SEVENTEEN_BIG_WORDS 40
#define SCI_SEVENTEEN_ABOVE UINT64_C(100000000000000000)
/* Below this many digits before the point an integer stands as it is. */
#define SCI_SEVENTEEN_INTEGER 1e17

/* mantissa * 2^two * 10^ten against digits + 1/2 */
static int sci_seventeen_compare_half(uint64_t mantissa, int two, int ten, uint64_t digits)
{
    uint32_t number_words[SCI_SEVENTEEN_BIG_WORDS], half_words[SCI_SEVENTEEN_BIG_WORDS];
    sci_big number, half;
    sci_big_init(&number, number_words, SCI_SEVENTEEN_BIG_WORDS);
    sci_big_init(&half, half_words, SCI_SEVENTEEN_BIG_WORDS);
    sci_big_set(&number, mantissa);
    sci_big_set(&half, 2 * digits + 1);
    if (ten >= 0)
        sci_big_multiply_power_of_five(&number, (unsigned)ten);
    else
        sci_big_multiply_power_of_five(&half, (unsigned)-ten);
    int shift = two + ten + 1;
    if (shift >= 0)
        sci_big_shift(&number, (unsigned)shift);
    else
        sci_big_shift(&half, (unsigned)-shift);
    return sci_big_compare(&number, &half);
}

/* The number times 10^ten, rounded (half to even). */
static uint64_t sci_seventeen_scaled(uint64_t mantissa, int two, int ten)
{
    unsigned zeros = sci_leading_zeros(mantissa);
    uint64_t w = mantissa << zeros;
    sci_u128 power = sci_power_of_ten(ten);
    /* The first 128 bits of the product, too small by less than 2. */
    sci_u128 product = sci_u128_multiply(w, power.high);
    uint64_t more = sci_u128_multiply(w, power.low).high;
    product.low += more;
    product.high += product.low < more;
    unsigned cut = (unsigned)(63 - (two - (int)zeros) - sci_log2_of_power(ten));
    uint64_t digits = sci_u128_shift_right(product, cut).low;
    sci_u128 rest = sci_u128_shift_right(sci_u128_shift_left(product, 128 - cut), 128 - cut);
    sci_u128 half;
    half.high = UINT64_C(1) << (cut - 65);
    half.low = 0;
    int order = sci_u128_compare(rest, half);
    if (order <= 0) {
        rest.low += 2;
        rest.high += rest.low < 2;
        if (sci_u128_compare(rest, half) > 0)
            order = sci_seventeen_compare_half(mantissa, two, ten, digits);
    }
    return digits + (order > 0 || (order == 0 && (digits & 1)));
}

/* 17 digits; the first of them stands for 10^*exponent, which is one more than the estimate where
   there were 18, or where rounding made them 18. */
static uint64_t sci_seventeen_of(uint64_t bits, int *exponent)
{
    int two;
    uint64_t mantissa = sci_double_split(bits, &two);
    *exponent = sci_log10_of_power(two + 63 - (int)sci_leading_zeros(mantissa));
    uint64_t digits = sci_seventeen_scaled(mantissa, two, SCI_SEVENTEEN_DIGITS - 1 - *exponent);
    if (digits < SCI_SEVENTEEN_ABOVE)
        return digits;
    ++*exponent;
    return sci_seventeen_scaled(mantissa, two, SCI_SEVENTEEN_DIGITS - 1 - *exponent);
}

static char *sci_seventeen_put_exponent(char *at, int exponent)
{
    char digits[SCI_I64_TEXT_BYTES];
    int magnitude = exponent < 0 ? -exponent : exponent;
    size_t len = sci_i64_to_text(magnitude, digits);
    *at++ = 'e';
    *at++ = exponent < 0 ? '-' : '+';
    if (magnitude < 10)
        *at++ = '0';
    return sci_text_put(at, digits, len);
}

static char *sci_seventeen_put(char *at, const char *digits, int exponent)
{
    size_t len = SCI_SEVENTEEN_DIGITS;
    while (len > 1 && digits[len - 1] == '0')
        len--;
    if (exponent >= -4 && exponent < SCI_SEVENTEEN_DIGITS)
        return sci_shortest_put(at, digits, len, exponent + 1);
    *at++ = digits[0];
    if (len > 1) {
        *at++ = '.';
        at = sci_text_put(at, digits + 1, len - 1);
    }
    return sci_seventeen_put_exponent(at, exponent);
}

SCI_PRIVATE size_t sci_double_to_text_17(double number, char text[SCI_SEVENTEEN_TEXT_BYTES])
{
    uint64_t bits = sci_double_to_bits(number);
    uint64_t magnitude = bits & ~SCI_DOUBLE_SIGN;
    char *at = text;
    if (bits != magnitude && magnitude <= SCI_DOUBLE_INFINITY)
        *at++ = '-';
    double positive = sci_double_from_bits(magnitude);
    if (magnitude >= SCI_DOUBLE_INFINITY) {
        at = sci_text_put(at, magnitude > SCI_DOUBLE_INFINITY ? "nan" : "inf", 3);
    } else if (positive < SCI_SEVENTEEN_INTEGER && positive == (double)(int64_t)positive) {
        at += sci_i64_to_text((int64_t)positive, at);
    } else {
        int exponent;
        char digits[SCI_I64_TEXT_BYTES];
        (void)sci_u64_to_text(sci_seventeen_of(magnitude, &exponent), digits);
        at = sci_seventeen_put(at, digits, exponent);
    }
    *at = '\0';
    return (size_t)(at - text);
}

/* MARK: - Extended precision (Private) */
/* 80-bit floating point in integers. */

/* Floating point with 64 bits of mantissa: the 80-bit format of x87 processors, in which Redis adds
   for INCRBYFLOAT on them. Done in integers, so that every machine gives those results. */

typedef enum sci_extended_kind {
    SCI_EXTENDED_FINITE,
    SCI_EXTENDED_INFINITE,
    SCI_EXTENDED_NAN
} sci_extended_kind;

typedef struct sci_extended {
    uint64_t mantissa; /* its first bit is set, unless the exponent is the least, as in 0 */
    int exponent;      /* mantissa * 2^exponent */
    bool is_negative;
    sci_extended_kind kind;
} sci_extended;

static inline bool sci_extended_is_finite(const sci_extended *number)
{
    return number->kind == SCI_EXTENDED_FINITE;
}

/* Longer texts are refused, as Redis does. */
#define SCI_EXTENDED_MAX_TEXT 5119

/* As strtold in C's own locale, correctly rounded: the whole slice, no blanks, no NaN, nothing that
   is too large or rounds to 0 but is not. */
SCI_PRIVATE bool sci_text_to_extended(sc_slice text, sci_extended *number);
/* Nearest, half to even. */
SCI_PRIVATE sci_extended sci_extended_add(const sci_extended *a, const sci_extended *b);
SCI_PRIVATE sci_extended sci_extended_multiply(const sci_extended *a, uint32_t factor);
/* The least integer that is not below the number; cut to what 64 bits hold. */
SCI_PRIVATE int64_t sci_extended_ceiling(const sci_extended *number);

/* 4,933 digits before the point, 17 after it, the sign, the point and a NUL. */
#define SCI_EXTENDED_TEXT_BYTES 4953
/* As C's "%.17Lf" without trailing zeros: "0.3", "-1.5", "1000000000000000000000", never "-0".
   Returns the length. Of a finite number. */
SCI_PRIVATE size_t sci_extended_to_text(const sci_extended *number,
                                        char text[SCI_EXTENDED_TEXT_BYTES]);

#define SCI_EXTENDED_BITS 64
#define SCI_EXTENDED_LEAST_EXPONENT (-16445)
#define SCI_EXTENDED_MOST_EXPONENT 16320
/* Numbers of 10^4933 and more are too large, those below 10^-4952 round to 0. */
#define SCI_EXTENDED_MOST_POINT 4933
#define SCI_EXTENDED_LEAST_POINT (-4952)
/* Bits of a quotient: the mantissa's, the one that decides about rounding, and some more, since the
   first may be 0. */
#define SCI_EXTENDED_QUOTIENT_BITS 67
/* Enough for 5^10071, what 5119 digits after a point and 4952 zeros are divided by, a bit more. */
#define SCI_EXTENDED_BIG_WORDS 736
#define SCI_EXTENDED_DECIMALS 17

/* MARK: More of exact integers */

static void sci_big_set_u128(sci_big *big, sci_u128 value)
{
    sci_big_set(big, value.low);
    for (; value.high > 0 && big->count < 2; big->count++)
        big->words[big->count] = 0;
    for (; value.high > 0; value.high >>= 32)
        big->words[big->count++] = (uint32_t)value.high;
}

/* a - b, which is not below 0. */
static void sci_big_subtract(sci_big *a, const sci_big *b)
{
    uint64_t borrow = 0;
    for (size_t i = 0; i < a->count; i++) {
        uint64_t taken = borrow + (i < b->count ? b->words[i] : 0);
        borrow = a->words[i] < taken;
        a->words[i] = (uint32_t)(a->words[i] - taken);
    }
    sci_assert(borrow == 0);
    while (a->count > 0 && a->words[a->count - 1] == 0)
        a->count--;
}

/* Divide, and return the remainder. */
static uint32_t sci_big_divide(sci_big *big, uint32_t divisor)
{
    uint64_t rest = 0;
    for (size_t i = big->count; i > 0; i--) {
        rest = rest << 32 | big->words[i - 1];
        big->words[i - 1] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
    while (big->count > 0 && big->words[big->count - 1] == 0)
        big->count--;
    return (uint32_t)rest;
}

/* 0 for 0 */
static size_t sci_big_bits(const sci_big *big)
{
    if (big->count == 0)
        return 0;
    return big->count * 32 + 32 - sci_leading_zeros(big->words[big->count - 1]);
}

/* The highest 128 bits, the first of them set; the last one is also set when any bit below is. Not
   for 0. */
static sci_u128 sci_big_top(const sci_big *big)
{
    uint32_t top[5] = {0, 0, 0, 0, 0};
    size_t count = sci_min_size(big->count, SCI_COUNT(top));
    for (size_t i = 0; i < count; i++)
        top[i] = big->words[big->count - 1 - i];
    unsigned zeros = sci_leading_zeros(top[0]) - 32;
    sci_u128 result;
    result.high = (uint64_t)top[0] << 32 | top[1];
    result.low = (uint64_t)top[2] << 32 | top[3];
    result = sci_u128_shift_left(result, zeros);
    uint64_t rest = (uint64_t)top[4] << zeros;
    result.low |= rest >> 32;
    bool is_more = (uint32_t)rest != 0;
    for (size_t i = count; i < big->count && !is_more; i++)
        is_more = big->words[big->count - 1 - i] != 0;
    result.low |= is_more;
    return result;
}

/* MARK: Text to extended */

static sci_extended sci_extended_of(sci_binary binary)
{
    sci_extended result;
    int64_t exponent;
    result.mantissa =
        sci_binary_round(binary, SCI_EXTENDED_BITS, SCI_EXTENDED_LEAST_EXPONENT, &exponent);
    bool is_finite = result.mantissa == 0 || exponent <= SCI_EXTENDED_MOST_EXPONENT;
    result.kind = is_finite ? SCI_EXTENDED_FINITE : SCI_EXTENDED_INFINITE;
    result.exponent = is_finite ? (int)exponent : 0;
    result.is_negative = binary.is_negative;
    return result;
}

/* The quotient's first bits, the last of which is also set when there are more. Both numbers are
   changed. */
static sci_binary sci_extended_divide(sci_big *number, sci_big *divisor)
{
    sci_binary quotient;
    size_t number_bits = sci_big_bits(number), divisor_bits = sci_big_bits(divisor);
    memset(&quotient, 0, sizeof quotient);
    quotient.exponent =
        (int64_t)number_bits - (int64_t)divisor_bits - (SCI_EXTENDED_QUOTIENT_BITS - 1);
    if (number_bits < divisor_bits)
        sci_big_shift(number, (unsigned)(divisor_bits - number_bits));
    else
        sci_big_shift(divisor, (unsigned)(number_bits - divisor_bits));
    for (int i = 0; i < SCI_EXTENDED_QUOTIENT_BITS; i++) {
        quotient.mantissa = sci_u128_shift_left(quotient.mantissa, 1);
        if (sci_big_compare(number, divisor) >= 0) {
            sci_big_subtract(number, divisor);
            quotient.mantissa.low |= 1;
        }
        sci_big_multiply_add(number, 2, 0);
    }
    quotient.mantissa.low |= number->count > 0;
    return quotient;
}

/* A decimal that is not 0, and neither far too large nor too small. */
static sci_binary sci_extended_binary(const sci_decimal *decimal)
{
    uint32_t number_words[SCI_EXTENDED_BIG_WORDS], divisor_words[SCI_EXTENDED_BIG_WORDS];
    sci_big number, divisor;
    sci_binary binary;
    int ten = (int)decimal->exponent;
    sci_big_init(&number, number_words, SCI_EXTENDED_BIG_WORDS);
    sci_big_init(&divisor, divisor_words, SCI_EXTENDED_BIG_WORDS);
    if (decimal->is_cut) {
        unsigned count = sci_decimal_exact_digits(decimal, SCI_EXTENDED_MAX_TEXT, &number);
        ten += SCI_DECIMAL_DIGITS - (int)count;
    } else {
        sci_big_set(&number, decimal->digits);
    }
    if (ten >= 0) {
        sci_big_multiply_power_of_five(&number, (unsigned)ten);
        binary.mantissa = sci_big_top(&number);
        binary.exponent = (int64_t)sci_big_bits(&number) - 128;
    } else {
        sci_big_set(&divisor, 1);
        sci_big_multiply_power_of_five(&divisor, (unsigned)-ten);
        binary = sci_extended_divide(&number, &divisor);
    }
    binary.exponent += ten;
    binary.is_negative = decimal->is_negative;
    return binary;
}

static bool sci_extended_from_decimal(const sci_decimal *decimal, sci_extended *number)
{
    char digits[SCI_I64_TEXT_BYTES];
    memset(number, 0, sizeof *number);
    number->is_negative = decimal->is_negative;
    number->exponent = SCI_EXTENDED_LEAST_EXPONENT;
    if (decimal->digits == 0)
        return true;
    int64_t point = decimal->exponent + (int64_t)sci_u64_to_text(decimal->digits, digits);
    if (point > SCI_EXTENDED_MOST_POINT || point < SCI_EXTENDED_LEAST_POINT)
        return false;
    *number = sci_extended_of(sci_extended_binary(decimal));
    return sci_extended_is_finite(number) && number->mantissa != 0;
}

SCI_PRIVATE bool sci_text_to_extended(sc_slice text, sci_extended *number)
{
    sci_decimal decimal;
    sci_binary binary;
    if (text.len == 0 || text.len > SCI_EXTENDED_MAX_TEXT)
        return false;
    if (sci_decimal_parse(&decimal, text, SCI_DECIMAL_C))
        return sci_extended_from_decimal(&decimal, number);
    if (sci_binary_parse(&binary, text)) {
        *number = sci_extended_of(binary);
        return sci_extended_is_finite(number) &&
               (number->mantissa != 0 || sci_u128_is_zero(binary.mantissa));
    }
    memset(number, 0, sizeof *number);
    number->kind = SCI_EXTENDED_INFINITE;
    return sci_text_is_infinity(text, &number->is_negative);
}

/* MARK: Arithmetic */

static sci_extended sci_extended_add_special(const sci_extended *a, const sci_extended *b)
{
    sci_extended result = sci_extended_is_finite(a) ? *b : *a;
    if (a->kind == SCI_EXTENDED_NAN || b->kind == SCI_EXTENDED_NAN ||
        (a->kind == b->kind && a->is_negative != b->is_negative))
        result.kind = SCI_EXTENDED_NAN;
    return result;
}

SCI_PRIVATE sci_extended sci_extended_add(const sci_extended *a, const sci_extended *b)
{
    /* One bit for the carry, the mantissa, and 63 for what is shifted out. */
    enum { SPARE = 63 };
    if (!sci_extended_is_finite(a) || !sci_extended_is_finite(b))
        return sci_extended_add_special(a, b);
    if (a->exponent < b->exponent) {
        const sci_extended *greater = b;
        b = a;
        a = greater;
    }
    sci_u128 left, right;
    left.high = right.high = 0;
    left.low = a->mantissa;
    right.low = b->mantissa;
    left = sci_u128_shift_left(left, SPARE);
    right = sci_u128_shift_right_sticky(sci_u128_shift_left(right, SPARE),
                                        (unsigned)(a->exponent - b->exponent));
    sci_binary sum;
    sum.exponent = (int64_t)a->exponent - SPARE;
    sum.is_negative = a->is_negative;
    if (a->is_negative == b->is_negative) {
        sum.mantissa = sci_u128_add(left, right);
    } else if (sci_u128_compare(left, right) >= 0) {
        sum.mantissa = sci_u128_subtract(left, right);
    } else {
        sum.mantissa = sci_u128_subtract(right, left);
        sum.is_negative = b->is_negative;
    }
    return sci_extended_of(sum);
}

SCI_PRIVATE sci_extended sci_extended_multiply(const sci_extended *a, uint32_t factor)
{
    if (!sci_extended_is_finite(a))
        return *a;
    sci_binary product;
    product.mantissa = sci_u128_multiply(a->mantissa, factor);
    product.exponent = a->exponent;
    product.is_negative = a->is_negative;
    return sci_extended_of(product);
}

SCI_PRIVATE int64_t sci_extended_ceiling(const sci_extended *number)
{
    uint64_t whole = number->mantissa;
    bool has_fraction = false;
    if (number->mantissa != 0 && number->exponent < 0) {
        unsigned cut = (unsigned)-number->exponent;
        whole = cut < 64 ? number->mantissa >> cut : 0;
        has_fraction = cut >= 64 || whole << cut != number->mantissa;
    }
    bool is_too_large = number->kind == SCI_EXTENDED_INFINITE ||
                        (number->mantissa != 0 && number->exponent > 0) || whole > INT64_MAX;
    if (number->is_negative)
        return is_too_large ? INT64_MIN : -(int64_t)whole;
    if (is_too_large || (has_fraction && whole == INT64_MAX))
        return INT64_MAX;
    return (int64_t)whole + has_fraction;
}

/* MARK: Extended to text */

/* |number| * 10^17, rounded to an integer. */
static void sci_extended_scale(const sci_extended *number, sci_big *scaled)
{
    int two = number->exponent + SCI_EXTENDED_DECIMALS;
    sci_u128 product =
        sci_u128_multiply(number->mantissa, sci_power_of_five(SCI_EXTENDED_DECIMALS));
    if (two < 0)
        product = sci_u128_round(product, (unsigned)-two);
    sci_big_set_u128(scaled, product);
    if (two > 0)
        sci_big_shift(scaled, (unsigned)two);
}

/* Decimal digits, nine at a time from the last; returns where they begin. */
static char *sci_extended_put_digits(sci_big *number, char *end)
{
    char *at = end;
    while (number->count > 0) {
        uint32_t nine = sci_big_divide(number, UINT32_C(1000000000));
        for (int i = 0; i < 9; i++, nine /= 10)
            *--at = (char)('0' + nine % 10);
    }
    while (end - at > SCI_EXTENDED_DECIMALS + 1 && *at == '0')
        at++;
    while (end - at < SCI_EXTENDED_DECIMALS + 1)
        *--at = '0';
    return at;
}

SCI_PRIVATE size_t sci_extended_to_text(const sci_extended *number,
                                        char text[SCI_EXTENDED_TEXT_BYTES])
{
    uint32_t words[SCI_EXTENDED_BIG_WORDS];
    char digits[SCI_EXTENDED_TEXT_BYTES + 9];
    sci_big scaled;
    char *end = digits + sizeof digits;
    sci_assert(sci_extended_is_finite(number));
    sci_big_init(&scaled, words, SCI_EXTENDED_BIG_WORDS);
    sci_extended_scale(number, &scaled);
    bool is_zero = scaled.count == 0;
    const char *first = sci_extended_put_digits(&scaled, end);
    const char *point = end - SCI_EXTENDED_DECIMALS;
    const char *last = end;
    while (last > point && last[-1] == '0')
        last--;
    char *at = text;
    if (number->is_negative && !is_zero)
        *at++ = '-';
    memcpy(at, first, (size_t)(point - first));
    at += point - first;
    if (last > point) {
        *at++ = '.';
        memcpy(at, point, (size_t)(last - point));
        at += last - point;
    }
    *at = '\0';
    return (size_t)(at - text);
}

/* MARK: - Server: requests (Private) */
/* Commands in, on two paths: a short one that is whole in the buffer is taken in one go, which keeps
   nothing; anything else goes through a state machine that can stop at any byte. */

/* An incremental reader of commands: RESP2 arrays of bulk strings, and lines of words as a person
   types them. Pure; the caller keeps the bytes, and words are slices of them. It never scans twice
   what it has seen, and asks for memory as bytes come, never as lengths are announced. As Redis, it
   takes any two bytes for a line end where a CR announces one, and after a bulk string. */

typedef struct sci_request_limits {
    size_t max_words;      /* of one command */
    size_t max_bulk_bytes; /* of one word */
    size_t max_line_bytes; /* of a line, or of a header */
} sci_request_limits;

typedef struct sci_request {
    sc_memory memory;
    sci_request_limits limits;
    bool is_stranger; /* set by the owner until AUTH: Redis's own limits for those apply too */
    bool has_bulk;    /* the next word's header was read: bulk_len */
    sc_slice *words;  /* owned; offsets while the command is not whole */
    size_t word_cap;
    size_t quick_words; /* a command that has more is not taken in one go; 0: there is no room */
    size_t word_count;  /* read so far */
    size_t expected;    /* words that the header announced; 0: it was not read yet */
    size_t bulk_len;
    size_t at;      /* where the unfinished command's next line or word begins */
    size_t scanned; /* up to here that line's end was looked for */
    sci_bytes line; /* owned: words of a typed line, unquoted */
} sci_request;

SCI_PRIVATE void sci_request_init(sci_request *request, const sc_memory *memory,
                                  const sci_request_limits *limits);
SCI_PRIVATE void sci_request_free(sci_request *request);
/* `data[0..len)` begins with the first byte not consumed, and has what earlier calls have seen.
     SC_OK     one whole command: request->words[0..word_count), slices of `data` (or of
               request->line), and `*used` bytes of it. No words: an empty line or array, to be
               passed over
     SC_AGAIN  more bytes are needed; nothing is consumed. With `len` 0 it also gives back what
               a great command needed
     SC_ERR_PROTOCOL  with Redis's words in sc_error_text ("Protocol error: expected '$', got 'x'");
               there is no going on
     SC_ERR_MEMORY  as if the call had not been */
SCI_PRIVATE sc_status sci_request_read(sci_request *request, const char *data, size_t len,
                                       size_t *used);
/* How many bytes more the unfinished word needs at least, when `len` are there; 0: unknown. */
SCI_PRIVATE size_t sci_request_missing(const sci_request *request, size_t len);

/* What a command may have to be taken in one go: a count of one digit, lengths of up to three. */
#define SCI_REQUEST_QUICK_WORDS 9
#define SCI_REQUEST_QUICK_BULK 999
/* The shortest word on the wire: "$0" and two line ends. */
#define SCI_REQUEST_LEAST_WORD 6

#if defined(__GNUC__) || defined(__clang__)
#define SCI_REQUEST_APART __attribute__((noinline))
#else
#define SCI_REQUEST_APART
#endif

#define SCI_REQUEST_FIRST_WORDS 16
/* More than this is given back after the command. */
#define SCI_REQUEST_KEPT_WORDS 1024
#define SCI_REQUEST_KEPT_BYTES 1024

/* What Redis takes from those who have not said their password. */
#define SCI_REQUEST_STRANGER_WORDS 10
#define SCI_REQUEST_STRANGER_BULK 16384

SCI_PRIVATE void sci_request_init(sci_request *request, const sc_memory *memory,
                                  const sci_request_limits *limits)
{
    memset(request, 0, sizeof *request);
    request->memory = *memory;
    request->limits = *limits;
    sci_bytes_init(&request->line, memory);
}

static void sci_request_free_words(sci_request *request)
{
    sci_free(&request->memory, request->words, request->word_cap * sizeof request->words[0]);
    request->words = NULL;
    request->word_cap = 0;
    request->quick_words = 0;
}

SCI_PRIVATE void sci_request_free(sci_request *request)
{
    sci_request_free_words(request);
    sci_bytes_free(&request->line);
}

SCI_PRIVATE size_t sci_request_missing(const sci_request *request, size_t len)
{
    return request->has_bulk ? request->at + request->bulk_len + 2 - len : 0;
}

static sc_status sci_request_refuse(const char *what)
{
    return sc_fail(SC_ERR_PROTOCOL, "Protocol error: %s", what);
}

static sc_status sci_request_grow(sci_request *request)
{
    size_t cap = sci_max_size(SCI_REQUEST_FIRST_WORDS, request->word_cap * 2);
    sc_slice *words =
        (sc_slice *)sci_resize(&request->memory, request->words,
                               request->word_cap * sizeof(sc_slice), cap * sizeof(sc_slice));
    if (!words)
        return SC_ERR_MEMORY;
    request->words = words;
    request->word_cap = cap;
    if (request->limits.max_words >= SCI_REQUEST_QUICK_WORDS &&
        request->limits.max_bulk_bytes >= SCI_REQUEST_QUICK_BULK)
        request->quick_words = SCI_REQUEST_QUICK_WORDS;
    return SC_OK;
}

/* MARK: Whole commands, quickly */

/* A length of one to three digits before a CR, of which it is known that five bytes can be read. */
static inline const char *sci_request_quick_len(const char *at, size_t *len)
{
    size_t value = (size_t)(unsigned char)*at - '0';
    if (value > 9)
        return NULL;
    if (at[1] != '\r') {
        const char *last = at + 2;
        do {
            size_t digit = (size_t)(unsigned char)*++at - '0';
            if (digit > 9 || value == 0 || at > last)
                return NULL;
            value = value * 10 + digit;
        } while (at[1] != '\r');
    }
    *len = value;
    return at + 3;
}

/* Returns what follows the command, or NULL: then the state machine has to look. */
static inline const char *sci_request_quick(sci_request *request, const char *at, const char *end)
{
    if (end - at < 4 || at[0] != '*' || at[2] != '\r')
        return NULL;
    size_t count = (size_t)(unsigned char)at[1] - '0';
    if (count - 1 >= request->quick_words)
        return NULL;
    at += 4;
    sc_slice *word = request->words;
    request->word_count = count;
    for (; count > 0; count--, word++) {
        if (end - at < SCI_REQUEST_LEAST_WORD || *at != '$')
            return NULL;
        size_t len;
        at = sci_request_quick_len(at + 1, &len);
        if (!at || (size_t)(end - at) < len + 2)
            return NULL;
        word->data = at;
        word->len = len;
        at += len + 2;
    }
    return at;
}

/* MARK: The state machine */

/* The end of the line that begins at request->at, which `mark` stands for. */
static sc_status sci_request_line_end(sci_request *request, const char *data, size_t len, char mark,
                                      const char *too_big, size_t *line_end)
{
    size_t room = request->limits.max_line_bytes;
    bool is_too_big = len - request->at > room;
    size_t stop = is_too_big ? request->at + room + 1 : len;
    size_t from = sci_max_size(request->scanned, request->at);
    const char *found = from < stop ? (const char *)memchr(data + from, mark, stop - from) : NULL;
    if (found) {
        *line_end = (size_t)(found - data);
        return SC_OK;
    }
    request->scanned = stop;
    return is_too_big ? sci_request_refuse(too_big) : SC_AGAIN;
}

/* The number in the header at request->at, whose first byte says of what it is; *is_valid: it is
   one. SC_OK: request->at stands behind the line. */
static sc_status sci_request_header(sci_request *request, const char *data, size_t len,
                                    const char *too_big, int64_t *number, bool *is_valid)
{
    size_t cr = 0;
    sc_status status = sci_request_line_end(request, data, len, '\r', too_big, &cr);
    if (status != SC_OK)
        return status;
    request->scanned = cr;
    if (len - cr < 2)
        return SC_AGAIN;
    /* An empty line has no first byte. */
    size_t first = sci_min_size(request->at + 1, cr);
    *is_valid = sci_text_to_i64(sc_bytes(data + first, cr - first), number);
    request->at = cr + 2;
    return SC_OK;
}

static sc_status sci_request_begin(sci_request *request, const char *data, size_t len)
{
    int64_t count = 0;
    bool is_valid = false;
    sc_status status =
        sci_request_header(request, data, len, "too big mbulk count string", &count, &is_valid);
    if (status != SC_OK)
        return status;
    if (!is_valid || (count > 0 && (uint64_t)count > request->limits.max_words))
        return sci_request_refuse("invalid multibulk length");
    if (request->is_stranger && count > SCI_REQUEST_STRANGER_WORDS)
        return sci_request_refuse("unauthenticated multibulk length");
    request->expected = count > 0 ? (size_t)count : 0;
    return SC_OK;
}

static sc_status sci_request_bulk_header(sci_request *request, const char *data, size_t len)
{
    int64_t bulk_len = 0;
    bool is_valid = false;
    size_t first = request->at;
    sc_status status =
        sci_request_header(request, data, len, "too big bulk count string", &bulk_len, &is_valid);
    if (status != SC_OK)
        return status;
    char kind = data[first];
    if (kind != '$')
        return sc_fail(SC_ERR_PROTOCOL, "Protocol error: expected '$', got '%c'",
                       kind == '\r' || kind == '\n' ? ' ' : kind);
    if (!is_valid || bulk_len < 0 || (uint64_t)bulk_len > request->limits.max_bulk_bytes)
        return sci_request_refuse("invalid bulk length");
    if (request->is_stranger && bulk_len > SCI_REQUEST_STRANGER_BULK)
        return sci_request_refuse("unauthenticated bulk length");
    request->bulk_len = (size_t)bulk_len;
    request->has_bulk = true;
    return SC_OK;
}

static sc_status sci_request_word(sci_request *request, const char *data, size_t len)
{
    if (!request->has_bulk) {
        sc_status status = sci_request_bulk_header(request, data, len);
        if (status != SC_OK)
            return status;
    }
    size_t rest = len - request->at;
    if (rest < 2 || rest - 2 < request->bulk_len)
        return SC_AGAIN;
    if (request->word_count == request->word_cap && sci_request_grow(request) != SC_OK)
        return SC_ERR_MEMORY;
    sc_slice *word = &request->words[request->word_count++];
    word->data = (const char *)(uintptr_t)request->at;
    word->len = request->bulk_len;
    request->at += request->bulk_len + 2;
    request->has_bulk = false;
    return SC_OK;
}

static sc_status sci_request_array(sci_request *request, const char *data, size_t len)
{
    if (request->expected == 0) {
        sc_status status = sci_request_begin(request, data, len);
        if (status != SC_OK)
            return status;
    }
    while (request->word_count < request->expected) {
        sc_status status = sci_request_word(request, data, len);
        if (status != SC_OK)
            return status;
    }
    for (size_t i = 0; i < request->word_count; i++)
        request->words[i].data = data + (uintptr_t)request->words[i].data;
    return SC_OK;
}

/* MARK: Typed lines */

typedef struct sci_typed {
    const char *at;
    const char *end;
    char *to; /* where words go, unquoted: no longer than they were */
} sci_typed;

static inline bool sci_typed_is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A closing quote at `at` must be followed by a blank or nothing. */
static bool sci_typed_close(sci_typed *line)
{
    line->at++;
    return line->at == line->end || sci_typed_is_blank(*line->at);
}

static char sci_typed_escaped(char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return c;
    }
}

/* What follows an opening "; false when it is not closed well. */
static bool sci_typed_quoted(sci_typed *line)
{
    while (line->at < line->end && *line->at != '"') {
        char c = *line->at++;
        size_t rest = (size_t)(line->end - line->at);
        if (c == '\\' && rest >= 3 && *line->at == 'x' && sci_hex_digit(line->at[1]) >= 0 &&
            sci_hex_digit(line->at[2]) >= 0) {
            c = (char)(sci_hex_digit(line->at[1]) * 16 + sci_hex_digit(line->at[2]));
            line->at += 3;
        } else if (c == '\\' && rest > 0) {
            c = sci_typed_escaped(*line->at++);
        }
        *line->to++ = c;
    }
    return line->at < line->end && sci_typed_close(line);
}

/* What follows an opening '. */
static bool sci_typed_single_quoted(sci_typed *line)
{
    while (line->at < line->end && *line->at != '\'') {
        if (*line->at == '\\' && line->end - line->at > 1 && line->at[1] == '\'')
            line->at++;
        *line->to++ = *line->at++;
    }
    return line->at < line->end && sci_typed_close(line);
}

/* One word, up to a blank; quotes may begin anywhere and end it. A vertical tab and a form feed are
   blanks between words only. */
static bool sci_typed_word(sci_typed *line)
{
    for (; line->at < line->end; line->at++) {
        char c = *line->at;
        if (c == ' ' || c == '\t' || c == '\r')
            return true;
        if (c == '"' || c == '\'') {
            line->at++;
            return c == '"' ? sci_typed_quoted(line) : sci_typed_single_quoted(line);
        }
        *line->to++ = c;
    }
    return true;
}

static sc_status sci_request_split(sci_request *request, const char *at, size_t len)
{
    sci_bytes *out = &request->line;
    sci_bytes_reset(out, SCI_REQUEST_KEPT_BYTES);
    if (sci_bytes_reserve(out, len) != SC_OK)
        return SC_ERR_MEMORY;
    sci_typed line;
    line.at = at;
    line.end = at + len;
    line.to = out->data;
    for (;;) {
        while (line.at < line.end && sci_typed_is_blank(*line.at))
            line.at++;
        if (line.at == line.end)
            return SC_OK;
        if (request->word_count == request->word_cap && sci_request_grow(request) != SC_OK)
            return SC_ERR_MEMORY;
        const char *first = line.to;
        if (!sci_typed_word(&line))
            return sci_request_refuse("unbalanced quotes in request");
        request->words[request->word_count++] = sc_bytes(first, (size_t)(line.to - first));
    }
}

static sc_status sci_request_typed(sci_request *request, const char *data, size_t len)
{
    size_t lf = 0;
    sc_status status =
        sci_request_line_end(request, data, len, '\n', "too big inline request", &lf);
    if (status != SC_OK)
        return status;
    request->scanned = lf;
    status = sci_request_split(request, data, lf > 0 && data[lf - 1] == '\r' ? lf - 1 : lf);
    if (status == SC_OK)
        request->at = lf + 1;
    else
        request->word_count = 0;
    return status;
}

/* MARK: Reading */

/* Forget the command before. */
static void sci_request_restart(sci_request *request)
{
    request->word_count = 0;
    if (request->word_cap > SCI_REQUEST_KEPT_WORDS)
        sci_request_free_words(request);
    if (request->line.cap > SCI_REQUEST_KEPT_BYTES)
        sci_bytes_free(&request->line);
}

/* Apart, so that the quick path need not save what only this one uses. */
SCI_REQUEST_APART static sc_status sci_request_go_on(sci_request *request, const char *data,
                                                     size_t len, size_t *used)
{
    if (request->expected == 0) {
        sci_request_restart(request);
        if (len == 0)
            return SC_AGAIN;
    }
    sc_status status = request->expected > 0 || data[0] == '*'
                           ? sci_request_array(request, data, len)
                           : sci_request_typed(request, data, len);
    if (status != SC_OK)
        return status;
    *used = request->at;
    request->at = 0;
    request->scanned = 0;
    request->expected = 0;
    return SC_OK;
}

SCI_PRIVATE sc_status sci_request_read(sci_request *request, const char *data, size_t len,
                                       size_t *used)
{
    const char *after =
        request->expected == 0 ? sci_request_quick(request, data, data + len) : NULL;
    if (SCI_UNLIKELY(!after))
        return sci_request_go_on(request, data, len, used);
    *used = (size_t)(after - data);
    request->scanned = 0;
    return SC_OK;
}

/* MARK: - Server: counted memory (Private) */
/* Memory that is counted. */

/* Memory that is counted, so that the server knows what its data take. */

typedef struct sci_counted {
    sc_memory table;  /* give this one on; it must not be moved */
    sc_memory source; /* where the memory comes from */
    size_t used;      /* bytes asked for and not given back, and what the allocator adds to each */
    size_t peak;
} sci_counted;

/* What allocators keep beside each block and round it up to, as far as one can know: a word in
   front, and multiples of two words. */
static inline size_t sci_counted_block(size_t size)
{
    const size_t word = sizeof(size_t);
    const size_t least = 4 * word;
    const size_t block = (size + word + 2 * word - 1) / (2 * word) * (2 * word);
    return block < least ? least : block;
}

SCI_PRIVATE void sci_counted_init(sci_counted *counted, const sc_memory *source);

static void *sci_counted_resize(void *user, void *block, size_t old_size, size_t new_size)
{
    sci_counted *counted = (sci_counted *)user;
    void *resized = counted->source.resize(counted->source.user, block, old_size, new_size);
    if (!resized && new_size > 0)
        return NULL;
    if (new_size > 0)
        counted->used += sci_counted_block(new_size);
    if (block)
        counted->used -= sci_counted_block(old_size);
    if (counted->used > counted->peak)
        counted->peak = counted->used;
    return resized;
}

SCI_PRIVATE void sci_counted_init(sci_counted *counted, const sc_memory *source)
{
    counted->table.user = counted;
    counted->table.resize = sci_counted_resize;
    counted->source = *source;
    counted->used = 0;
    counted->peak = 0;
}

/* MARK: - Server: words (Private) */
/* A command's words: what they say, and the numbers in them. */

/* What a command's function sees: its words, the database, and the ways to answer, to tell of
   changes, and to wait.

   A command's function answers exactly once (one reply, or an array's header and its elements). It
   checks everything, then changes, then answers. When there is no memory it leaves the data as it
   was and answers by sci_answer_no_memory. */

/* The embedded server: Redis's protocol and commands inside of the program, for those who run no
   Redis, for tests, and for the processes of one host. */

/* A server in this process. It may be used from any thread. */
typedef struct sc_server sc_server;

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
   happened). SC_OK. SC_ERR_ARGUMENT when the server has a thread. One thread at a time. */
SC_API sc_status sc_server_poll(sc_server *server, int64_t timeout_ms);

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
/* Databases: a hash table of entries each, which grows and shrinks in small steps, and a heap of
   expiry times. Knows nothing of commands, sessions or clocks: `now` comes from the caller. */

typedef struct sci_entry sci_entry;
typedef struct sci_db sci_db;

typedef enum sci_type {
    SCI_STRING,
    SCI_LIST,
    SCI_SET,
    SCI_ZSET,
    SCI_HASH,
    SCI_STREAM,
    SCI_TYPES
} sci_type;

/* Takes the commands that make a value anew, for the log's rewriting. */
typedef struct sci_dump {
    sc_status (*command)(struct sci_dump *dump, const sc_slice *argv, size_t argc);
} sci_dump;

/* What each type's room knows to do with its objects. Strings live in their entries; their row has
   no functions. */
typedef struct sci_type_table {
    const char *name; /* as TYPE answers */
    void (*release)(const sc_memory *memory, void *object);
    /* NULL when there is no memory. */
    void *(*copy)(const sc_memory *memory, const void *object);
    /* Commands that make the object under `key`, bounded pieces of a large one each. */
    sc_status (*dump)(const void *object, sc_slice key, sci_dump *dump);
    /* What it was given of memory, for MEMORY USAGE. */
    size_t (*bytes)(const void *object);
} sci_type_table;

SCI_PRIVATE const sci_type_table *sci_type_of(sci_type type);

/* An entry is one block: this, the key's bytes and, for a short string, the value's. */
struct sci_entry {
    sci_entry *next; /* in its bucket */
    union {
        void *object; /* owned; not for strings */
        char *bytes;  /* a string that is not inline: owned; its capacity stands before it */
    } value;
    uint32_t hash;
    uint32_t key_len;
    uint32_t len;    /* of a string */
    uint32_t access; /* what the eviction policy counts */
    uint32_t expiry; /* its place in the heap, counted from 1; 0: it does not expire */
    uint8_t type;    /* sci_type */
    bool is_inline;  /* `len` bytes for a string follow the key */
    uint8_t epoch;   /* private to the log's rewriting: of the last one that has written it */
    uint8_t spare;
};

static inline sc_slice sci_entry_key(const sci_entry *entry)
{
    return sc_bytes((const char *)(entry + 1), entry->key_len);
}

/* Valid until the entry is changed. */
static inline sc_slice sci_entry_string(const sci_entry *entry)
{
    return sc_bytes(entry->is_inline ? (const char *)(entry + 1) + entry->key_len
                                     : entry->value.bytes,
                    entry->len);
}

typedef struct sci_expiry {
    int64_t at_ms; /* since 1970 */
    sci_entry *entry;
} sci_expiry;

typedef struct sci_table {
    sci_entry **buckets; /* owned; NULL while there are none */
    size_t bucket_count; /* a power of two, or 0 */
} sci_table;

struct sci_db {
    sc_memory memory;
    sci_hash_seed seed;
    sci_table tables[2];  /* entries move from the first to the second while it is there */
    size_t moved;         /* groups of buckets (see keyspace.c) that are in the second already */
    size_t count;         /* entries */
    sci_expiry *expiries; /* owned: a 4-ary heap, the earliest first */
    size_t expiry_count;
    size_t expiry_cap;
    int index;
};

SCI_PRIVATE void sci_db_init(sci_db *db, const sc_memory *memory, sci_hash_seed seed, int index);
/* Frees all entries and leaves an empty database. */
SCI_PRIVATE void sci_db_clear(sci_db *db);
static inline size_t sci_db_count(const sci_db *db)
{
    return db->count;
}

/* The entry under `key`, also one that has expired; NULL when there is none. */
SCI_PRIVATE sci_entry *sci_db_find(sci_db *db, sc_slice key);
/* A new entry under a key that is not there, with `object` (whose owner it becomes). NULL when
   there is no memory: the object is still the caller's. */
SCI_PRIVATE sci_entry *sci_db_add(sci_db *db, sc_slice key, sci_type type, void *object);
/* Set a string under `key`: `entry` is what sci_db_find gave, of any type, or NULL; it may move or
   be replaced. Expiry and `access` are kept. NULL when there is no memory: all is as it was.
   `value` may lie in that very entry. */
SCI_PRIVATE sci_entry *sci_db_set_string(sci_db *db, sci_entry *entry, sc_slice key,
                                         sc_slice value);
/* Make a string `len` bytes long, room to grow included, and return its bytes to be changed: what
   was there is kept, what is new is zero. `*entry` NULL: a new one is made under `key`. It may
   move. NULL when there is no memory: all is as it was. */
SCI_PRIVATE char *sci_db_resize_string(sci_db *db, sci_entry **entry, sc_slice key, size_t len);
/* Take out and free, with its object. */
SCI_PRIVATE void sci_db_delete(sci_db *db, sci_entry *entry);
/* Give the entry another key, which is not there; expiry is kept. NULL when there is no memory. */
SCI_PRIVATE sci_entry *sci_db_rename(sci_db *db, sci_entry *entry, sc_slice key);
/* Free the object, and put another in its place, of any type but string. */
SCI_PRIVATE void sci_entry_replace_object(sci_db *db, sci_entry *entry, sci_type type,
                                          void *object);

/* SC_ERR_MEMORY leaves the expiry as it was. */
SCI_PRIVATE sc_status sci_db_expire_at(sci_db *db, sci_entry *entry, int64_t at_ms);
SCI_PRIVATE void sci_db_persist(sci_db *db, sci_entry *entry);
/* -1: it does not expire. */
static inline int64_t sci_db_expiry_ms(const sci_db *db, const sci_entry *entry)
{
    return entry->expiry ? db->expiries[entry->expiry - 1].at_ms : -1;
}
/* The entry that expires first, or NULL. */
static inline sci_entry *sci_db_next_to_expire(const sci_db *db)
{
    return db->expiry_count ? db->expiries[0].entry : NULL;
}

/* Walk: calls `visit` for the entries of one step and returns the next cursor, 0 at the end. Every
   entry that is there from the first call (cursor 0) to the last is visited at least once, however
   the table changes size (the cursor counts with its bits reversed, as SCAN's does). `visit` must
   not change the database. */
SCI_PRIVATE uint64_t sci_db_walk(sci_db *db, uint64_t cursor,
                                 void (*visit)(void *user, sci_entry *entry), void *user);
/* An entry by chance, each as likely as any other; NULL when there is none. */
SCI_PRIVATE sci_entry *sci_db_random(sci_db *db, uint64_t random);
/* Make the table's size fit its count, some steps' worth; called by the server now and then. True
   while there is more to do. */
SCI_PRIVATE bool sci_db_tidy(sci_db *db, size_t steps);
/* Bytes that the entry and its value take. */
SCI_PRIVATE size_t sci_entry_bytes(const sci_entry *entry);
/* The commands that make an entry anew, expiry included. */
SCI_PRIVATE sc_status sci_entry_dump(const sci_db *db, const sci_entry *entry, sci_dump *dump);

typedef struct sci_session sci_session;
typedef struct sci_call sci_call;

/* Flags of commands. */
#define SCI_CMD_WRITE 1u     /* may change data: logged, refused when the log cannot be written */
#define SCI_CMD_READONLY 2u  /* reads data */
#define SCI_CMD_DENYOOM 4u   /* refused when memory is full and nothing can be evicted */
#define SCI_CMD_PUBSUB 8u    /* allowed while subscribed */
#define SCI_CMD_NO_MULTI 16u /* refused inside MULTI */
#define SCI_CMD_NO_AUTH 32u  /* allowed before AUTH */
#define SCI_CMD_FAST 64u
#define SCI_CMD_BLOCKING 128u
#define SCI_CMD_ADMIN 256u
#define SCI_CMD_UNQUEUED 512u /* executed at once inside MULTI */
#define SCI_CMD_NOSCRIPT 1024u
#define SCI_CMD_LOADING 2048u
#define SCI_CMD_STALE 4096u
#define SCI_CMD_EXEC 8192u /* runs what was queued, and is what those are */

typedef struct sci_command {
    const char *name; /* lower case */
    void (*run)(sci_call *call);
    int arity; /* words, the name included; negative: at least so many */
    unsigned flags;
    int first_key, last_key, key_step; /* as COMMAND tells them; 0: none, or not by position */
} sci_command;

/* One array for each cmd_*.c file. */
typedef struct sci_command_list {
    const sci_command *at;
    size_t count;
} sci_command_list;

struct sci_call {
    sc_server *server;
    sci_session *session; /* NULL while the log is loaded */
    sci_db *db;
    const sci_command *command;
    const sc_slice *argv; /* valid during the call; argv[0] is the name as it was written */
    size_t argc;
    sci_bytes *out;         /* answers go here, by sci_answer_* */
    int64_t now_ms;         /* wall clock, the same for all of a transaction */
    size_t changes;         /* keys changed so far */
    bool is_in_transaction; /* EXEC or a script is running: nothing may wait */
    bool is_loading;        /* from the log: nothing expires, nothing is logged */
    bool is_retried;        /* runs again because a key that it waited for is ready */
    sc_slice ready_key;   /* which; the other keys that it waits for, and keys of a type that is not
                               asked for, then count as absent in sci_typed_for_* */
    bool is_blocked;      /* set by sci_wait_for_keys */
    bool is_log_replaced; /* by sci_log_instead, perhaps with nothing */
};

/* --- Words */

/* The same word, whatever the case; `lower` is in lower case. */
SCI_PRIVATE bool sci_word_is(sc_slice word, const char *lower);
/* argv[i] as a number. False after answering "ERR value is not an integer or out of range" or "ERR
   value is not a valid float". */
SCI_PRIVATE bool sci_arg_i64(sci_call *call, size_t i, int64_t *number);
SCI_PRIVATE bool sci_arg_double(sci_call *call, size_t i, double *number);
/* Redis's rules for numbers: those of C's strtod, hexadecimal and "Infinity" too, but no blanks, no
   NaN, nothing too large or too small (sci_text_to_double_as_c tells these apart). */
SCI_PRIVATE bool sci_word_to_double(sc_slice word, double *number);
/* argv[i] as INCRBYFLOAT and HINCRBYFLOAT take it; false after answering "ERR value is not a valid
   float". sci_text_to_extended reads what is stored, sci_extended_add adds (a result may be
   infinite or NaN), sci_extended_to_text prints as they do. */
SCI_PRIVATE bool sci_arg_extended(sci_call *call, size_t i, sci_extended *number);

/* --- Keys */

/* The entry for reading or changing, NULL when there is none. One that has expired is deleted
   first. Notes the access for eviction; reading counts hits and misses. An entry that is to be
   changed, moved or deleted must come from sci_entry_for_write (the log's rewriting keeps its old
   state). */
SCI_PRIVATE sci_entry *sci_entry_for_read(sci_call *call, sc_slice key);
SCI_PRIVATE sci_entry *sci_entry_for_write(sci_call *call, sc_slice key);
/* The same, and it must be of `type`: false after answering WRONGTYPE. `*entry` NULL: no key. */
SCI_PRIVATE bool sci_typed_for_read(sci_call *call, sc_slice key, sci_type type, sci_entry **entry);
SCI_PRIVATE bool sci_typed_for_write(sci_call *call, sc_slice key, sci_type type,
                                     sci_entry **entry);
/* A new entry; tells that a key is new ("new" event, waiting sessions). NULL: no memory. */
SCI_PRIVATE sci_entry *sci_entry_add(sci_call *call, sc_slice key, sci_type type, void *object);
/* Tells the same of an entry that was made otherwise (by sci_db_set_string, sci_db_rename ...). */
SCI_PRIVATE void sci_entry_is_new(sci_call *call, sci_entry *entry);
/* Delete an entry from sci_entry_for_write; tells nobody. */
SCI_PRIVATE void sci_entry_delete(sci_call *call, sci_entry *entry);

/* --- Telling */

/* Classes of events, as in notify-keyspace-events. */
#define SCI_EVENT_KEYSPACE 1u
#define SCI_EVENT_KEYEVENT 2u
#define SCI_EVENT_GENERIC 4u   /* g */
#define SCI_EVENT_STRING 8u    /* $ */
#define SCI_EVENT_LIST 16u     /* l */
#define SCI_EVENT_SET 32u      /* s */
#define SCI_EVENT_HASH 64u     /* h */
#define SCI_EVENT_ZSET 128u    /* z */
#define SCI_EVENT_EXPIRED 256u /* x */
#define SCI_EVENT_EVICTED 512u /* e */
#define SCI_EVENT_STREAM 1024u /* t */
#define SCI_EVENT_MISS 2048u   /* m */
#define SCI_EVENT_MODULE 4096u /* d */
#define SCI_EVENT_NEW 8192u    /* n */

/* The value under `key` has changed (or is gone): WATCH, tracking, the log. Once for each changed
   key and command; without it a write command is not logged. */
SCI_PRIVATE void sci_key_changed(sci_call *call, sc_slice key);
/* Publish a keyspace event, if anybody asked for its class: `event` such as "lpush". */
SCI_PRIVATE void sci_notify(sci_call *call, unsigned event_class, const char *event, sc_slice key);
/* Both. */
SCI_PRIVATE void sci_changed(sci_call *call, sc_slice key, unsigned event_class, const char *event);
/* Sessions that wait for `key` may be served: a list, sorted set or stream there has got elements.
   They are, after this command. */
SCI_PRIVATE void sci_key_ready(sci_call *call, sc_slice key);
/* What the log gets instead of the command as it came, for commands whose effect depends on time,
   chance or who waits. Several calls: all of them, in order. */
SCI_PRIVATE void sci_log_instead(sci_call *call, const sc_slice *argv, size_t argc);

/* --- Waiting */

typedef enum sci_nil { SCI_NIL_BULK, SCI_NIL_ARRAY } sci_nil;

/* argv[i] as the time-out of a blocking command, in seconds with a fraction, 0 for ever. False
   after answering why not. */
SCI_PRIVATE bool sci_arg_timeout(sci_call *call, size_t i, int64_t *timeout_ms);
/* Nothing is there: wait for any of `keys`, up to `timeout_ms` (0: for ever), and then run
   `argv` (this command; copied) again with is_retried. When time is up, or at once where nothing
   may wait, the answer is `nil`. The last thing that a command's function does. */
SCI_PRIVATE void sci_wait_for_keys(sci_call *call, const sc_slice *keys, size_t count,
                                   int64_t timeout_ms, sci_nil nil, const sc_slice *argv,
                                   size_t argc);

/* --- Chance */

SCI_PRIVATE uint64_t sci_random_u64(sc_server *server);
/* Below `bound`, which is above 0. */
SCI_PRIVATE size_t sci_random_below(sc_server *server, size_t bound);

/* --- Answers. Without memory for one the session ends, since a reply cannot be left out. */

SCI_PRIVATE void sci_answer_ok(sci_call *call);
SCI_PRIVATE void sci_answer_simple(sci_call *call, const char *text);
SCI_PRIVATE void sci_answer_i64(sci_call *call, int64_t number);
SCI_PRIVATE void sci_answer_bulk(sci_call *call, sc_slice bytes);
SCI_PRIVATE void sci_answer_text(sci_call *call, const char *text);   /* as a bulk */
SCI_PRIVATE void sci_answer_i64_bulk(sci_call *call, int64_t number); /* the digits, as a bulk */
/* A bulk with the number as Redis 7.0 prints scores: "%.17g". */
SCI_PRIVATE void sci_answer_double(sci_call *call, double number);
SCI_PRIVATE void sci_answer_nil(sci_call *call, sci_nil nil);
SCI_PRIVATE void sci_answer_array(sci_call *call, size_t count); /* the elements follow */
/* An array whose count is known after its elements: begin returns a mark. */
SCI_PRIVATE size_t sci_answer_array_begin(sci_call *call);
SCI_PRIVATE void sci_answer_array_end(sci_call *call, size_t mark, size_t count);
/* `text` with its code: "ERR no such key". The format is sc_fail's; line ends become blanks. */
SCI_PRIVATE void sci_answer_error(sci_call *call, const char *format, ...) SC_PRINTF(2, 3);
SCI_PRIVATE void sci_answer_wrong_type(sci_call *call);
SCI_PRIVATE void sci_answer_syntax_error(sci_call *call);
SCI_PRIVATE void sci_answer_wrong_arity(sci_call *call);
SCI_PRIVATE void sci_answer_no_memory(sci_call *call);
/* Of a container command, as "CLIENT foo": Redis's words for an unknown one, or one with a wrong
   number of words. */
SCI_PRIVATE void sci_answer_unknown_subcommand(sci_call *call);

/* What sci_answer_double prints; returns the length. */
#define SCI_SCORE_TEXT_BYTES 40
SCI_PRIVATE size_t sci_score_to_text(double number, char text[SCI_SCORE_TEXT_BYTES]);
/* Glob matching as Redis does it: * ? [a-z] [^a] and backslash. The time is at most that of
   pattern.len * text.len comparisons, without recursion. */
SCI_PRIVATE bool sci_glob_match(sc_slice pattern, sc_slice text, bool ignores_case);

/* --- For the log */

/* Execute a command that the log brings, in database `db`. SC_ERR_PROTOCOL with words when it is
   unknown or answers an error. Locked. */
SCI_PRIVATE sc_status sci_command_replay(sc_server *server, int *db, const sc_slice *argv,
                                         size_t argc);

/* 73 years: more would overflow as nanoseconds. */
#define SCI_WORD_MOST_TIMEOUT_MS (INT64_MAX / 4 / 1000000)

SCI_PRIVATE bool sci_word_is(sc_slice word, const char *lower)
{
    size_t i = 0;
    for (; i < word.len && lower[i]; i++) {
        char c = word.data[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c + ('a' - 'A'));
        if (c != lower[i])
            return false;
    }
    return i == word.len && !lower[i];
}

SCI_PRIVATE bool sci_word_to_double(sc_slice word, double *number)
{
    bool is_out_of_range;
    return sci_text_to_double_as_c(word, number, &is_out_of_range) && !is_out_of_range;
}

SCI_PRIVATE bool sci_arg_i64(sci_call *call, size_t i, int64_t *number)
{
    if (sci_text_to_i64(call->argv[i], number))
        return true;
    sci_answer_error(call, "ERR value is not an integer or out of range");
    return false;
}

SCI_PRIVATE bool sci_arg_double(sci_call *call, size_t i, double *number)
{
    if (sci_word_to_double(call->argv[i], number))
        return true;
    sci_answer_error(call, "ERR value is not a valid float");
    return false;
}

SCI_PRIVATE bool sci_arg_extended(sci_call *call, size_t i, sci_extended *number)
{
    if (sci_text_to_extended(call->argv[i], number))
        return true;
    sci_answer_error(call, "ERR value is not a valid float");
    return false;
}

SCI_PRIVATE bool sci_arg_timeout(sci_call *call, size_t i, int64_t *timeout_ms)
{
    sci_extended seconds;
    if (!sci_text_to_extended(call->argv[i], &seconds)) {
        sci_answer_error(call, "ERR timeout is not a float or out of range");
        return false;
    }
    sci_extended milliseconds = sci_extended_multiply(&seconds, 1000);
    int64_t ms = sci_extended_ceiling(&milliseconds);
    /* What is too large overflows in Redis, and is negative then. */
    if (ms < 0 || ms == INT64_MAX) {
        sci_answer_error(call, "ERR timeout is negative");
        return false;
    }
    *timeout_ms = sci_min_i64(ms, SCI_WORD_MOST_TIMEOUT_MS);
    return true;
}

SCI_PRIVATE size_t sci_score_to_text(double number, char text[SCI_SCORE_TEXT_BYTES])
{
    return sci_double_to_text_17(number, text);
}

/* MARK: - Server: answers (Private) */
/* Answers in RESP2. */

/* The embedded server's structs: a keyspace, its sessions, and what happens between them. No input
   or output of its own but the log: sessions are fed bytes and give bytes (see session.h), by
   whatever carries them.

   One mutex, server->lock, guards all of it; "locked" means that the caller holds it. It is a leaf:
   while it is held nothing is called that takes another lock (`notify` of a session only wakes). */

/* When the server's tick is due, and who sees to it: the server's own thread, or the loops of clients
   of this process. Locked by the server's lock, where nothing else is said. */

typedef struct sci_ticker {
    int64_t due_ns;    /* when a tick is to run, monotonic; INT64_MAX: none is due */
    bool is_far;       /* what commands bring may be due before due_ns */
    uint32_t unlooked; /* times that sci_ticker_note did not look at the clock */
    sci_link minders;
} sci_ticker;

/* Somebody who waits in a loop, and runs the tick when it is due. */
typedef struct sci_minder {
    sci_link link; /* in ticker->minders */
    sc_server *server;
    sci_loop *loop;
    sci_hook hook;
    sci_timer timer;
    bool is_due;
} sci_minder;

SCI_PRIVATE void sci_ticker_init(sci_ticker *ticker);
/* Run the tick now, and commit what it did. */
SCI_PRIVATE void sci_ticker_run(sc_server *server);
/* Commands have been executed: what they brought may be due earlier, and nobody may be minding. */
SCI_PRIVATE void sci_ticker_note(sc_server *server);

/* With the loop's lock, without the server's. */
SCI_PRIVATE void sci_minder_begin(sci_minder *minder, sc_server *server, sci_loop *loop);
SCI_PRIVATE void sci_minder_end(sci_minder *minder);

#define SCI_SERVER_NS_PER_MS 1000000

typedef struct sci_log sci_log;
typedef struct sci_watch_link sci_watch_link;

/* Commands that MULTI has gathered, one after the other, each encoded as it came. */
typedef struct sci_transaction {
    sci_bytes queued;
    size_t count;
    unsigned flags; /* of all of them */
    bool is_open;   /* between MULTI and EXEC or DISCARD */
    bool is_failed; /* a command was refused: EXEC will be */
} sci_transaction;

/* A session that waits for keys. */
typedef struct sci_wait {
    sci_link keys;       /* sci_wait_link */
    sci_heap_node timer; /* in server->timeouts; key: monotonic ns */
    sci_bytes command;   /* what runs again, encoded; empty: the session waits for nothing */
    sci_nil nil;
} sci_wait;

typedef enum sci_channel_kind {
    SCI_CHANNEL,
    SCI_PATTERN,
    SCI_SHARD_CHANNEL,
    SCI_CHANNEL_KINDS
} sci_channel_kind;

/* What CLIENT TRACKING has set. */
typedef struct sci_tracking {
    bool is_on;
    bool is_broadcasting;
    bool opts_in;
    bool opts_out;
    bool no_loop;
    bool is_cached_next;   /* CLIENT CACHING YES|NO: for the next command */
    bool is_cached_now;    /* the command that runs now was named so */
    bool has_caching_word; /* either was said */
    uint64_t redirect;     /* session id */
    sci_link keys;         /* tracked keys' links, private to tracking.c */
    sci_link prefixes;
} sci_tracking;

struct sci_session {
    sci_link link;   /* in server->sessions */
    sci_link resume; /* in server->resumed */
    sc_server *server;
    uint64_t id;
    sci_db *db;
    sci_bytes in; /* received, not executed yet */
    sci_request request;
    sci_bytes out;
    /* Locked: `out` has got bytes, or the session has ended, outside of sci_session_feed. It may
       only wake somebody. */
    void (*notify)(void *user);
    void *notify_user;
    bool is_authenticated;
    bool is_ended;    /* no more is executed; close it when `out` has been sent */
    bool is_broken;   /* `out` is not to be sent any more: close at once */
    bool is_notified; /* since its carrier last looked */
    bool is_internal; /* the server's own: not listed, not counted */
    bool has_written; /* since the last sci_server_commit */
    bool is_pausing;  /* its output is too large: nothing is executed until it was sent */
    bool no_evict;
    bool no_touch;
    char *name;        /* owned, or NULL */
    char address[128]; /* of the peer, for CLIENT LIST */
    char laddress[128];
    sc_descriptor descriptor; /* for CLIENT LIST; -1: none */
    int64_t created_ms;
    int64_t active_ms;
    const sci_command *last_command;
    size_t commands;
    sci_transaction transaction;
    sci_link watches; /* sci_watch_link */
    bool has_lost_watch;
    sci_wait wait;
    sci_link subscriptions[SCI_CHANNEL_KINDS]; /* private to pubsub.c */
    size_t subscription_count[SCI_CHANNEL_KINDS];
    sci_tracking tracking;
};

typedef struct sci_server_stats {
    uint64_t connections;
    uint64_t rejected;
    uint64_t commands;
    uint64_t hits;
    uint64_t misses;
    uint64_t expired;
    uint64_t evicted;
    uint64_t bytes_in;
    uint64_t bytes_out;
    int64_t started_ms;
} sci_server_stats;

#define SCI_SERVER_SCRIPTS 3
#define SCI_SERVER_COMMAND_SLOTS 1024 /* more than twice the commands there are */

struct sc_server {
    sci_mutex lock;
    sc_memory memory;
    sci_counted data; /* what databases and their objects take */
    sc_clock clock;
    sc_logger logger;
    uint64_t random_state[2];
    sci_hash_seed hash_seed;
    sc_server_config config;  /* numbers and enums, resolved; its pointers are not used */
    char *password;           /* owned; NULL: none is asked for */
    unsigned notified_events; /* SCI_EVENT_* that are published */

    sci_db *dbs;
    int db_count;
    const sci_command *commands[SCI_SERVER_COMMAND_SLOTS];

    char script_names[SCI_SERVER_SCRIPTS][SCI_SHA1_HEX_BYTES]; /* private to cmd_script.c */

    sci_link sessions;
    size_t session_count;
    uint64_t last_session;
    int64_t now_ms; /* wall clock at the start of the command or tick that runs */

    sci_heap timeouts;   /* sci_wait.timer */
    sci_map waits;       /* key -> sessions that wait, private to wait.c */
    sci_link ready_keys; /* of them */
    sci_link resumed;    /* sessions whose wait is over */
    uint64_t last_round; /* of serving those that wait */
    bool is_serving;
    sci_map watched; /* key -> sci_watch_link, private to transaction.c */

    sci_map channels[SCI_CHANNEL_KINDS]; /* private to pubsub.c */
    sci_link patterns;                   /* those of SCI_PATTERN, for publishing */
    sci_map tracked;                     /* private to tracking.c */
    sci_map prefixes;

    bool has_writers; /* some session has written since the last sci_server_commit */
    sci_log *log;     /* owned; NULL: memory alone */
    sci_server_stats stats;
    sci_ticker ticker;
    struct sci_host *host; /* owned: sockets and the thread; NULL: none */
};

/* Locked. Names what this server is to a person: INFO's redis_version. */
#define SCI_SERVER_REDIS_VERSION "7.0.15"

/* Run what is due: expiry, time-outs of waits, the log, tidying; a bounded slice of each. Locked.
   Returns the monotonic time at which it should be called again, INT64_MAX: when something has
   happened. */
SCI_PRIVATE int64_t sci_server_tick(sc_server *server);
/* Locked. To be called before any session's output is sent on: what was executed is in the log as
   safely as the configuration asks. After a failure the sessions that wrote have ended. */
SCI_PRIVATE void sci_server_commit(sc_server *server);
SCI_PRIVATE void sci_server_log(sc_server *server, sc_log_level level, const char *format, ...)
    SC_PRINTF(3, 4);
static inline int64_t sci_server_wall_ms(const sc_server *server)
{
    return server->clock.wall_ms(server->clock.user);
}
static inline int64_t sci_server_now_ns(const sc_server *server)
{
    return server->clock.monotonic_ns(server->clock.user);
}
/* A server without sockets and threads; the public functions add those. */
SCI_PRIVATE sc_status sci_server_create(const sc_server_config *config, sc_server **server);
SCI_PRIVATE void sci_server_free(sc_server *server);

/* A type byte, 20 digits and a line end. */
#define SCI_ANSWER_LINE_BYTES 24

static void sci_answer_broken(sci_call *call)
{
    if (call->session)
        call->session->is_broken = true;
}

static void sci_answer_add(sci_call *call, sc_slice bytes)
{
    if (SCI_UNLIKELY(sci_bytes_append(call->out, bytes) != SC_OK))
        sci_answer_broken(call);
}

SCI_PRIVATE void sci_answer_ok(sci_call *call)
{
    sci_answer_add(call, sc_bytes("+OK\r\n", 5));
}

/* A line from pieces of known length. */
static void sci_answer_line(sci_call *call, char type, sc_slice text)
{
    if (SCI_UNLIKELY(sci_bytes_reserve(call->out, text.len + 3) != SC_OK)) {
        sci_answer_broken(call);
        return;
    }
    char *at = call->out->data + call->out->end;
    at[0] = type;
    memcpy(at + 1, text.data, text.len);
    memcpy(at + 1 + text.len, "\r\n", 2);
    call->out->end += text.len + 3;
}

SCI_PRIVATE void sci_answer_simple(sci_call *call, const char *text)
{
    sci_answer_line(call, '+', sc_text(text));
}

SCI_PRIVATE void sci_answer_i64(sci_call *call, int64_t number)
{
    char text[SCI_I64_TEXT_BYTES];
    sci_answer_line(call, ':', sc_bytes(text, sci_i64_to_text(number, text)));
}

SCI_PRIVATE void sci_answer_bulk(sci_call *call, sc_slice bytes)
{
    if (SCI_UNLIKELY(sci_write_bulk(call->out, bytes) != SC_OK))
        sci_answer_broken(call);
}

SCI_PRIVATE void sci_answer_text(sci_call *call, const char *text)
{
    sci_answer_bulk(call, sc_text(text));
}

SCI_PRIVATE void sci_answer_i64_bulk(sci_call *call, int64_t number)
{
    char text[SCI_I64_TEXT_BYTES];
    sci_answer_bulk(call, sc_bytes(text, sci_i64_to_text(number, text)));
}

SCI_PRIVATE void sci_answer_double(sci_call *call, double number)
{
    char text[SCI_SCORE_TEXT_BYTES];
    sci_answer_bulk(call, sc_bytes(text, sci_score_to_text(number, text)));
}

SCI_PRIVATE void sci_answer_nil(sci_call *call, sci_nil nil)
{
    sci_answer_add(call, sc_bytes(nil == SCI_NIL_ARRAY ? "*-1\r\n" : "$-1\r\n", 5));
}

SCI_PRIVATE void sci_answer_array(sci_call *call, size_t count)
{
    if (SCI_UNLIKELY(sci_write_array_header(call->out, count) != SC_OK))
        sci_answer_broken(call);
}

/* Room for a header of one digit; one with more pushes the elements on. */
#define SCI_ANSWER_SHORT_HEADER 4

SCI_PRIVATE size_t sci_answer_array_begin(sci_call *call)
{
    size_t mark = sci_bytes_len(call->out);
    sci_answer_add(call, sc_bytes("*0\r\n", SCI_ANSWER_SHORT_HEADER));
    return mark;
}

SCI_PRIVATE void sci_answer_array_end(sci_call *call, size_t mark, size_t count)
{
    sci_bytes *out = call->out;
    char header[SCI_ANSWER_LINE_BYTES];
    header[0] = '*';
    size_t len = 1 + sci_u64_to_text(count, header + 1);
    memcpy(header + len, "\r\n", 2);
    len += 2;
    size_t more = len - SCI_ANSWER_SHORT_HEADER;
    /* Without its own header there was no memory for that either. */
    if (sci_bytes_len(out) < mark + SCI_ANSWER_SHORT_HEADER ||
        sci_bytes_reserve(out, more) != SC_OK) {
        sci_answer_broken(call);
        return;
    }
    char *at = out->data + out->start + mark;
    if (more > 0)
        memmove(at + len, at + SCI_ANSWER_SHORT_HEADER,
                sci_bytes_len(out) - mark - SCI_ANSWER_SHORT_HEADER);
    memcpy(at, header, len);
    out->end += more;
}

SCI_PRIVATE void sci_answer_error(sci_call *call, const char *format, ...)
{
    char text[SC_ERROR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    size_t len = sci_format_list(text, sizeof text, format, arguments);
    va_end(arguments);
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\r' || text[i] == '\n')
            text[i] = ' ';
    sci_answer_line(call, '-', sc_bytes(text, len));
}

SCI_PRIVATE void sci_answer_wrong_type(sci_call *call)
{
    sci_answer_error(call, "WRONGTYPE Operation against a key holding the wrong kind of value");
}

SCI_PRIVATE void sci_answer_syntax_error(sci_call *call)
{
    sci_answer_error(call, "ERR syntax error");
}

SCI_PRIVATE void sci_answer_wrong_arity(sci_call *call)
{
    sci_answer_error(call, "ERR wrong number of arguments for '%s' command", call->command->name);
}

/* The subcommands of Redis's containers, each between bars. */
typedef struct sci_answer_container {
    const char *name;
    const char *subcommands;
} sci_answer_container;

static const sci_answer_container sci_answer_containers[] = {
    {"client", "|caching|getname|getredir|help|id|info|kill|list|no-evict|pause|reply|setname|"
               "tracking|trackinginfo|unblock|unpause|"},
    {"command", "|count|docs|getkeys|getkeysandflags|help|info|list|"},
    {"config", "|get|help|resetstat|rewrite|set|"},
    {"memory", "|doctor|help|malloc-stats|purge|stats|usage|"},
    {"object", "|encoding|freq|help|idletime|refcount|"},
    {"pubsub", "|channels|help|numpat|numsub|shardchannels|shardnumsub|"},
    {"script", "|debug|exists|flush|help|kill|load|"},
    {"xgroup", "|create|createconsumer|delconsumer|destroy|help|setid|"},
    {"xinfo", "|consumers|groups|help|stream|"},
};

/* `list` has `word`, whatever the case; *found is set to the list's own. */
static bool sci_answer_list_has(const char *list, sc_slice word, sc_slice *found)
{
    for (const char *at = list + 1; *at;) {
        const char *end = strchr(at, '|');
        char name[32];
        *found = sc_bytes(at, (size_t)(end - at));
        memcpy(name, at, found->len);
        name[found->len] = '\0';
        if (sci_word_is(word, name))
            return true;
        at = end + 1;
    }
    return false;
}

SCI_PRIVATE void sci_answer_unknown_subcommand(sci_call *call)
{
    enum { SHOWN = 128 };
    const char *name = call->command->name;
    sc_slice word = call->argv[1];
    sc_slice known;
    char upper[32];
    size_t len = 0;
    for (size_t i = 0; i < SCI_COUNT(sci_answer_containers); i++) {
        if (strcmp(sci_answer_containers[i].name, name) == 0 &&
            sci_answer_list_has(sci_answer_containers[i].subcommands, word, &known)) {
            sci_answer_error(call, "ERR wrong number of arguments for '%s|%.*s' command", name,
                             (int)known.len, known.data);
            return;
        }
    }
    for (; name[len] && len < sizeof upper - 1; len++)
        upper[len] =
            (char)(name[len] >= 'a' && name[len] <= 'z' ? name[len] - ('a' - 'A') : name[len]);
    upper[len] = '\0';
    sci_answer_error(call, "ERR unknown subcommand '%.*s'. Try %s HELP.",
                     (int)sci_min_size(word.len, SHOWN), word.data, upper);
}

SCI_PRIVATE void sci_answer_no_memory(sci_call *call)
{
    sci_answer_error(call, "OOM out of memory");
}

/* MARK: - Server: glob patterns (Private) */
/* Glob patterns. Only the last star that was met is gone back to: what an earlier one could take
   instead, that one can too. */

typedef struct sci_glob {
    const char *at;
    const char *end;
    bool ignores_case;
} sci_glob;

static inline int sci_glob_fold(const sci_glob *glob, char c)
{
    /* Signed, as Redis compares ranges on the machines that it mostly runs on. */
    int code = (signed char)c;
    return glob->ignores_case && code >= 'A' && code <= 'Z' ? code + ('a' - 'A') : code;
}

static bool sci_glob_range(const sci_glob *glob, char first, char last, char c)
{
    if ((signed char)first > (signed char)last) {
        char swapped = first;
        first = last;
        last = swapped;
    }
    int code = sci_glob_fold(glob, c);
    return code >= sci_glob_fold(glob, first) && code <= sci_glob_fold(glob, last);
}

/* A set, from behind its bracket; the pattern moves behind it. One that is not closed ends with the
   pattern. */
static bool sci_glob_set(sci_glob *glob, char c)
{
    bool is_negated = glob->at < glob->end && *glob->at == '^';
    bool is_in = false;
    if (is_negated)
        glob->at++;
    for (; glob->at < glob->end && *glob->at != ']'; glob->at++) {
        ptrdiff_t rest = glob->end - glob->at;
        if (rest >= 2 && *glob->at == '\\') {
            glob->at++;
            is_in |= *glob->at == c;
        } else if (rest >= 3 && glob->at[1] == '-') {
            is_in |= sci_glob_range(glob, glob->at[0], glob->at[2], c);
            glob->at += 2;
        } else {
            is_in |= sci_glob_fold(glob, *glob->at) == sci_glob_fold(glob, c);
        }
    }
    if (glob->at < glob->end)
        glob->at++;
    return is_in != is_negated;
}

/* One element of the pattern, other than a star, and one byte. The pattern moves behind it. */
static bool sci_glob_one(sci_glob *glob, char c)
{
    char first = *glob->at++;
    if (first == '?')
        return true;
    if (first == '[')
        return sci_glob_set(glob, c);
    if (first == '\\' && glob->at < glob->end)
        first = *glob->at++;
    return sci_glob_fold(glob, first) == sci_glob_fold(glob, c);
}

SCI_PRIVATE bool sci_glob_match(sc_slice pattern, sc_slice text, bool ignores_case)
{
    sci_glob glob;
    const char *star = NULL;  /* behind the last one */
    const char *taken = NULL; /* the text from where it was tried to go on behind that star */
    const char *at = text.data;
    const char *end = text.data + text.len;
    glob.at = pattern.data;
    glob.end = pattern.data + pattern.len;
    glob.ignores_case = ignores_case;
    /* Redis has it so: only the empty pattern matches the empty text. */
    if (text.len == 0)
        return pattern.len == 0;
    while (at < end) {
        if (glob.at < glob.end && *glob.at == '*') {
            star = ++glob.at;
            taken = at;
            if (star == glob.end)
                return true;
        } else if (glob.at < glob.end && sci_glob_one(&glob, *at)) {
            at++;
        } else if (star) {
            glob.at = star;
            at = ++taken;
        } else {
            return false;
        }
    }
    while (glob.at < glob.end && *glob.at == '*')
        glob.at++;
    return glob.at == glob.end;
}

/* MARK: - Server: slots and buckets (Private) */
/* Slots and buckets in segments. A bucket is split or merged whenever the count of items has moved
   on, always the next in line; a hash whose bucket is not there yet is in the one that will be
   split. */

/* A hash table of items that have another owner: slots in a row, without holes, so that one can be
   drawn by chance, and buckets of chained slots. The table grows and shrinks by one bucket at a time
   (linear hashing; Litwin, 1980) and by one segment of memory at a time, so that no change takes
   long. It knows hashes, of which it uses the lower 31 bits, not what is hashed: who looks for an
   item goes through a chain:

       for (link = sci_slots_chain(slots, hash); *link; link = &sci_slots_at(slots, *link - 1)->next)
 */

#define SCI_SLOTS_SEGMENT 256u /* slots, and buckets, of a segment */

/* Links are numbers of slots, counted from 1; 0 ends a chain. */
typedef struct sci_slots_slot {
    void *item;
    uint32_t hash;
    uint32_t next;
} sci_slots_slot;

/* Zeroed: an empty table. */
typedef struct sci_slots {
    union {
        char *only;  /* owned: the segment, as long as there is one; it may be a smaller one */
        char **many; /* owned, as each of them: later */
    } segments;
    uint32_t many_cap;
    uint32_t capacity; /* slots, and buckets, that there is memory for */
    uint32_t count;    /* slots that are filled */
    uint32_t buckets;  /* that are in use: about as many */
    uint32_t mask;     /* the least power of two that is not below `buckets`, minus 1 */
} sci_slots;

static inline char *sci_slots_segment(const sci_slots *slots, uint32_t number)
{
    return slots->capacity <= SCI_SLOTS_SEGMENT ? slots->segments.only
                                                : slots->segments.many[number / SCI_SLOTS_SEGMENT];
}

/* By number, below the count. */
static inline sci_slots_slot *sci_slots_at(const sci_slots *slots, uint32_t number)
{
    return (sci_slots_slot *)(void *)sci_slots_segment(slots, number) + number % SCI_SLOTS_SEGMENT;
}

/* The first link of the chain that holds the items with this hash, and others. The table must not
   be empty. */
SCI_PRIVATE uint32_t *sci_slots_chain(const sci_slots *slots, uint32_t hash);
/* The link that leads to a slot. */
SCI_PRIVATE uint32_t *sci_slots_link(const sci_slots *slots, uint32_t number);

/* Make room for `extra` more items. SC_ERR_MEMORY. */
SCI_PRIVATE sc_status sci_slots_reserve(sci_slots *slots, const sc_memory *memory, size_t extra);
/* There must be room. */
SCI_PRIVATE void sci_slots_add(sci_slots *slots, void *item, uint32_t hash);
/* The last slot takes the place of the one that `link` leads to. */
SCI_PRIVATE void sci_slots_remove(sci_slots *slots, const sc_memory *memory, uint32_t *link);
/* Exchange the places of two items. */
SCI_PRIVATE void sci_slots_swap(sci_slots *slots, uint32_t a, uint32_t b);
/* The table's memory; items belong to others. Leaves an empty table. */
SCI_PRIVATE void sci_slots_free(sci_slots *slots, const sc_memory *memory);
/* What it has taken of memory. */
SCI_PRIVATE size_t sci_slots_bytes(const sci_slots *slots);
/* A chain to go through, and the cursor of the next step, 0 at the end; see sci_db_walk. */
SCI_PRIVATE const uint32_t *sci_slots_walk(const sci_slots *slots, uint64_t *cursor);

/* Cursors of walks through a hash table that may change its size meanwhile (SCAN, HSCAN ...). A
   bucket holds the hashes that agree in their last bits, and so one stretch of the line on which
   hashes stand in the order of their reversed bits, however many buckets there are. A cursor is the
   point on that line up to which all has been visited. */

static inline uint64_t sci_cursor_reversed(uint64_t bits)
{
    uint64_t mask = ~UINT64_C(0);
    for (unsigned width = 32; width > 0; width /= 2) {
        mask ^= mask << width;
        bits = ((bits >> width) & mask) | ((bits << width) & ~mask);
    }
    return bits;
}

/* The cursor after the bucket of all hashes that agree with `cursor` in the bits of `mask`. */
static inline uint64_t sci_cursor_next(uint64_t cursor, uint64_t mask)
{
    return sci_cursor_reversed(sci_cursor_reversed(cursor | ~mask) + 1);
}

#define SCI_SLOTS_FIRST_CAPACITY 8u
#define SCI_SLOTS_FIRST_MANY 4u
#define SCI_SLOTS_MOST (UINT32_C(1) << 31)

static inline size_t sci_slots_segment_bytes(uint32_t capacity)
{
    return capacity * (sizeof(sci_slots_slot) + sizeof(uint32_t));
}

static inline uint32_t sci_slots_segment_capacity(const sci_slots *slots)
{
    return slots->capacity < SCI_SLOTS_SEGMENT ? slots->capacity : SCI_SLOTS_SEGMENT;
}

/* A segment's buckets come after its slots. */
static inline uint32_t *sci_slots_bucket(const sci_slots *slots, uint32_t number)
{
    sci_slots_slot *segment = (sci_slots_slot *)(void *)sci_slots_segment(slots, number);
    return (uint32_t *)(void *)(segment + sci_slots_segment_capacity(slots)) +
           number % SCI_SLOTS_SEGMENT;
}

static inline uint32_t sci_slots_bucket_of(const sci_slots *slots, uint32_t hash)
{
    uint32_t bucket = hash & slots->mask;
    return bucket < slots->buckets ? bucket : bucket & (slots->mask >> 1);
}

SCI_PRIVATE uint32_t *sci_slots_chain(const sci_slots *slots, uint32_t hash)
{
    sci_assert(slots->buckets > 0);
    return sci_slots_bucket(slots, sci_slots_bucket_of(slots, hash));
}

SCI_PRIVATE uint32_t *sci_slots_link(const sci_slots *slots, uint32_t number)
{
    uint32_t *link = sci_slots_chain(slots, sci_slots_at(slots, number)->hash);
    while (*link != number + 1) {
        sci_assert(*link);
        link = &sci_slots_at(slots, *link - 1)->next;
    }
    return link;
}

/* --- Room */

/* A small table has a segment that doubles until it is a whole one. */
static sc_status sci_slots_grow_first(sci_slots *slots, const sc_memory *memory, size_t needed)
{
    uint32_t capacity = slots->capacity ? slots->capacity : SCI_SLOTS_FIRST_CAPACITY;
    while (capacity < needed && capacity < SCI_SLOTS_SEGMENT)
        capacity *= 2;
    char *segment = (char *)sci_alloc_zeroed(memory, sci_slots_segment_bytes(capacity));
    if (!segment)
        return SC_ERR_MEMORY;
    if (slots->capacity > 0) {
        const sci_slots_slot *old = (const sci_slots_slot *)(void *)slots->segments.only;
        memcpy(segment, old, slots->count * sizeof *old);
        memcpy(segment + capacity * sizeof *old, old + slots->capacity,
               slots->buckets * sizeof(uint32_t));
        sci_free(memory, slots->segments.only, sci_slots_segment_bytes(slots->capacity));
    } else {
        slots->buckets = 1;
        slots->mask = 0;
    }
    slots->segments.only = segment;
    slots->capacity = capacity;
    return SC_OK;
}

/* Room for one more in the row of segments. */
static sc_status sci_slots_widen(sci_slots *slots, const sc_memory *memory)
{
    const uint32_t used = slots->capacity / SCI_SLOTS_SEGMENT;
    char *only = slots->segments.only;
    if (used == 1) {
        char **many = (char **)sci_resize(memory, NULL, 0, SCI_SLOTS_FIRST_MANY * sizeof(char *));
        if (!many)
            return SC_ERR_MEMORY;
        many[0] = only;
        slots->segments.many = many;
        slots->many_cap = SCI_SLOTS_FIRST_MANY;
    } else if (used == slots->many_cap) {
        const size_t size = slots->many_cap * sizeof(char *);
        char **many = (char **)sci_resize(memory, slots->segments.many, size, size * 2);
        if (!many)
            return SC_ERR_MEMORY;
        slots->segments.many = many;
        slots->many_cap *= 2;
    }
    return SC_OK;
}

static sc_status sci_slots_add_segment(sci_slots *slots, const sc_memory *memory)
{
    char *segment = (char *)sci_alloc_zeroed(memory, sci_slots_segment_bytes(SCI_SLOTS_SEGMENT));
    if (!segment)
        return SC_ERR_MEMORY;
    if (sci_slots_widen(slots, memory) != SC_OK) {
        sci_free(memory, segment, sci_slots_segment_bytes(SCI_SLOTS_SEGMENT));
        return SC_ERR_MEMORY;
    }
    slots->segments.many[slots->capacity / SCI_SLOTS_SEGMENT] = segment;
    slots->capacity += SCI_SLOTS_SEGMENT;
    return SC_OK;
}

SCI_PRIVATE sc_status sci_slots_reserve(sci_slots *slots, const sc_memory *memory, size_t extra)
{
    if (extra > SCI_SLOTS_MOST - slots->count)
        return sc_fail(SC_ERR_MEMORY, "out of memory: %zu more members are too many", extra);
    const size_t needed = slots->count + extra;
    sc_status status = SC_OK;
    if (slots->capacity < needed && slots->capacity < SCI_SLOTS_SEGMENT)
        status = sci_slots_grow_first(slots, memory, needed);
    while (status == SC_OK && slots->capacity < needed)
        status = sci_slots_add_segment(slots, memory);
    return status;
}

/* The row of segments halves when a quarter would do; without memory for that it stays. */
static void sci_slots_narrow(sci_slots *slots, const sc_memory *memory)
{
    const uint32_t used = slots->capacity / SCI_SLOTS_SEGMENT;
    const size_t size = slots->many_cap * sizeof(char *);
    char **many = slots->segments.many;
    if (used == 1) {
        slots->segments.only = many[0];
        slots->many_cap = 0;
        sci_free(memory, many, size);
    } else if (slots->many_cap > SCI_SLOTS_FIRST_MANY && used <= slots->many_cap / 4) {
        many = (char **)memory->resize(memory->user, many, size, size / 2);
        if (!many)
            return;
        slots->segments.many = many;
        slots->many_cap /= 2;
    }
}

/* Give back a segment when half another one is free too, so that adding and removing at its border
   costs nothing. */
static void sci_slots_trim(sci_slots *slots, const sc_memory *memory)
{
    const uint32_t used = slots->count > slots->buckets ? slots->count : slots->buckets;
    if (slots->capacity <= SCI_SLOTS_SEGMENT ||
        slots->capacity - used < SCI_SLOTS_SEGMENT + SCI_SLOTS_SEGMENT / 2)
        return;
    const uint32_t last = slots->capacity / SCI_SLOTS_SEGMENT - 1;
    sci_free(memory, slots->segments.many[last], sci_slots_segment_bytes(SCI_SLOTS_SEGMENT));
    slots->capacity -= SCI_SLOTS_SEGMENT;
    sci_slots_narrow(slots, memory);
}

SCI_PRIVATE void sci_slots_free(sci_slots *slots, const sc_memory *memory)
{
    if (slots->capacity > SCI_SLOTS_SEGMENT) {
        for (uint32_t i = 0; i < slots->capacity / SCI_SLOTS_SEGMENT; i++)
            sci_free(memory, slots->segments.many[i], sci_slots_segment_bytes(SCI_SLOTS_SEGMENT));
        sci_free(memory, slots->segments.many, slots->many_cap * sizeof(char *));
    } else {
        sci_free(memory, slots->segments.only, sci_slots_segment_bytes(slots->capacity));
    }
    memset(slots, 0, sizeof *slots);
}

SCI_PRIVATE size_t sci_slots_bytes(const sci_slots *slots)
{
    if (slots->capacity == 0)
        return 0;
    if (slots->capacity <= SCI_SLOTS_SEGMENT)
        return sci_counted_block(sci_slots_segment_bytes(slots->capacity));
    return slots->capacity / SCI_SLOTS_SEGMENT *
               sci_counted_block(sci_slots_segment_bytes(SCI_SLOTS_SEGMENT)) +
           sci_counted_block(slots->many_cap * sizeof(char *));
}

/* --- Buckets */

static void sci_slots_split(sci_slots *slots)
{
    const uint32_t added = slots->buckets++;
    if (added > slots->mask)
        slots->mask = slots->mask * 2 + 1;
    uint32_t *link = sci_slots_bucket(slots, added & (slots->mask >> 1));
    uint32_t *end = sci_slots_bucket(slots, added);
    while (*link) {
        sci_slots_slot *slot = sci_slots_at(slots, *link - 1);
        if ((slot->hash & slots->mask) == added) {
            *end = *link;
            *link = slot->next;
            slot->next = 0;
            end = &slot->next;
        } else {
            link = &slot->next;
        }
    }
}

static void sci_slots_merge(sci_slots *slots)
{
    const uint32_t removed = --slots->buckets;
    uint32_t *from = sci_slots_bucket(slots, removed);
    uint32_t *end = sci_slots_bucket(slots, removed & (slots->mask >> 1));
    while (*end)
        end = &sci_slots_at(slots, *end - 1)->next;
    *end = *from;
    *from = 0;
    if (removed == (slots->mask >> 1) + 1)
        slots->mask >>= 1;
}

SCI_PRIVATE void sci_slots_add(sci_slots *slots, void *item, uint32_t hash)
{
    sci_assert(slots->count < slots->capacity);
    sci_slots_slot *slot = sci_slots_at(slots, slots->count);
    uint32_t *first = sci_slots_chain(slots, hash);
    slot->item = item;
    slot->hash = hash;
    slot->next = *first;
    *first = ++slots->count;
    while (slots->buckets < slots->count)
        sci_slots_split(slots);
}

SCI_PRIVATE void sci_slots_remove(sci_slots *slots, const sc_memory *memory, uint32_t *link)
{
    const uint32_t removed = *link - 1, last = slots->count - 1;
    sci_slots_slot *slot = sci_slots_at(slots, removed);
    *link = slot->next;
    if (removed != last) {
        *sci_slots_link(slots, last) = removed + 1;
        *slot = *sci_slots_at(slots, last);
    }
    slots->count--;
    /* A quarter of the buckets may be too many, so that adding and removing in turn does not split
       and merge each time. */
    while (slots->buckets > 1 && slots->buckets - slots->buckets / 4 > slots->count)
        sci_slots_merge(slots);
    sci_slots_trim(slots, memory);
}

SCI_PRIVATE void sci_slots_swap(sci_slots *slots, uint32_t a, uint32_t b)
{
    if (a == b)
        return;
    uint32_t *to_a = sci_slots_link(slots, a);
    uint32_t *to_b = sci_slots_link(slots, b);
    sci_slots_slot *at_a = sci_slots_at(slots, a), *at_b = sci_slots_at(slots, b);
    *to_a = b + 1;
    *to_b = a + 1;
    const sci_slots_slot slot = *at_a;
    *at_a = *at_b;
    *at_b = slot;
}

SCI_PRIVATE const uint32_t *sci_slots_walk(const sci_slots *slots, uint64_t *cursor)
{
    sci_assert(slots->buckets > 0);
    const uint32_t bucket = sci_slots_bucket_of(slots, (uint32_t)*cursor);
    const uint32_t half = (slots->mask >> 1) + 1;
    const bool is_split = slots->buckets > 1 && (bucket >= half || bucket + half < slots->buckets);
    const uint32_t mask = is_split ? slots->mask : slots->mask >> 1;
    *cursor = sci_cursor_next(*cursor, mask);
    return sci_slots_bucket(slots, bucket);
}

/* MARK: - Server: members (Private) */
/* Members as records. Packed they stand one after the other; in a table each has a block, behind its
   payload. */

/* A table of members: byte strings, each once, with a value each where the table has values (a
   hash's fields), or room for a payload of the caller's (a sorted set's members). Few small ones
   are packed into one block and found by looking at each in turn; more of them have a block each
   and a hash table (slots.h).

   What gives a `sci_member` lends it: it is good until the table is changed. In a table with a
   payload a member stays where it is until it is removed.

   Every function that can run out of memory then leaves the table as it was. */

/* Packed are up to so many members, names and values of at most so many bytes. */
#define SCI_MEMBERS_PACKED 128
#define SCI_MEMBERS_PACKED_BYTES 64

typedef struct sci_member sci_member;

typedef struct sci_members_pack {
    char *data; /* owned; NULL while cap is 0 */
    uint32_t len;
    uint32_t cap;
} sci_members_pack;

typedef struct sci_members {
    const sc_memory *memory; /* it and the seed outlive the table */
    const sci_hash_seed *seed;
    size_t bytes; /* taken of memory, without this struct and the slots */
    uint32_t count;
    uint16_t payload_bytes;
    bool has_values;
    bool is_packed;
    union {
        sci_members_pack pack;
        sci_slots slots;
    } as;
} sci_members;

/* Chance: a number below `bound`, which is above 0. */
typedef size_t (*sci_members_chance)(void *user, size_t bound);
typedef void (*sci_members_visit)(void *user, sci_member *member);

/* An empty table in the caller's struct, without allocating. One with a payload is never packed:
   its members stay where they are. */
SCI_PRIVATE void sci_members_init(sci_members *members, const sc_memory *memory,
                                  const sci_hash_seed *seed, bool has_values,
                                  uint16_t payload_bytes);
/* Removes all. */
SCI_PRIVATE void sci_members_clear(sci_members *members);
/* The same for a table on its own. NULL when there is no memory. */
SCI_PRIVATE sci_members *sci_members_new(const sc_memory *memory, const sci_hash_seed *seed,
                                         bool has_values);
SCI_PRIVATE void sci_members_release(sci_members *members);
/* `to` is not initialised yet. Payloads are copied as bytes. */
SCI_PRIVATE sc_status sci_members_copy(sci_members *to, const sci_members *from);
SCI_PRIVATE sci_members *sci_members_copy_new(const sci_members *from);
/* What was given of memory, this struct included. */
SCI_PRIVATE size_t sci_members_bytes(const sci_members *members);

SCI_PRIVATE sc_slice sci_member_name(const sci_member *member);
/* Empty where the table has no values. */
SCI_PRIVATE sc_slice sci_member_value(const sci_member *member);
/* Aligned for anything, at first zeros. It stands in front of the member. */
static inline void *sci_member_payload(const sci_members *members, sci_member *member)
{
    return (char *)(void *)member - members->payload_bytes;
}
static inline sci_member *sci_member_of_payload(const sci_members *members, void *payload)
{
    return (sci_member *)(void *)((char *)payload + members->payload_bytes);
}

/* NULL: it is not there. */
SCI_PRIVATE sci_member *sci_members_find(const sci_members *members, sc_slice name);
/* Add a member, or give the one that is there another value (in a table without values: leave it).
   NULL when there is no memory. `name` and `value` are not of this table. */
SCI_PRIVATE sci_member *sci_members_put(sci_members *members, sc_slice name, sc_slice value,
                                        bool *is_new);
/* The same for `count` members, all or none: `words` are names, in a table with values each
   followed by its value. The same name may come again. `*added`: how many are new. */
SCI_PRIVATE sc_status sci_members_put_all(sci_members *members, const sc_slice *words, size_t count,
                                          size_t *added);
/* False: it was not there. */
SCI_PRIVATE bool sci_members_remove(sci_members *members, sc_slice name);

/* Begins with a zeroed iterator, ends with NULL. The order of packed members is that of their
   coming. */
typedef struct sci_members_iterator {
    uint32_t index;
    uint32_t offset;
} sci_members_iterator;

SCI_PRIVATE sci_member *sci_members_next(const sci_members *members,
                                         sci_members_iterator *iterator);
/* By number, below the count. Packed members are counted through. */
SCI_PRIVATE sci_member *sci_members_at(const sci_members *members, size_t index);
/* Visit `count` different members (at most as many as there are), each choice as likely as any
   other, and then remove them if `removes`. */
SCI_PRIVATE void sci_members_choose(sci_members *members, size_t count, bool removes,
                                    sci_members_chance chance, void *chance_user,
                                    sci_members_visit visit, void *user);
/* One step of a walk: visits some members and returns the next cursor, 0 at the end. Every member
   that is there from the first step (cursor 0) to the last is visited at least once, whatever
   changes between steps. The visitor must not change the table. */
SCI_PRIVATE uint64_t sci_members_walk(const sci_members *members, uint64_t cursor,
                                      sci_members_visit visit, void *user);

/* A record: the length of a name and perhaps of a value, then both. */

/* A length takes seven bits of a byte, and a set eighth says that there are more. The name's is
   doubled: its last bit says that a value's follows. */
typedef struct sci_record {
    sc_slice name;
    sc_slice value;
} sci_record;

static inline size_t sci_record_length_bytes(size_t len)
{
    size_t bytes = 1;
    for (; len >= 128; len /= 128)
        bytes++;
    return bytes;
}

static inline char *sci_record_put_length(char *at, size_t len)
{
    unsigned char *to = (unsigned char *)at;
    for (; len >= 128; len /= 128)
        *to++ = (unsigned char)(len % 128 + 128);
    *to++ = (unsigned char)len;
    return (char *)to;
}

static inline const char *sci_record_get_length(const char *at, size_t *len)
{
    const unsigned char *from = (const unsigned char *)at;
    *len = *from & 127u;
    for (unsigned shift = 7; *from++ & 128u; shift += 7)
        *len |= (size_t)(*from & 127u) << shift;
    return (const char *)from;
}

static inline sci_record sci_record_read(const char *at)
{
    sci_record record;
    size_t name_len, value_len = 0;
    at = sci_record_get_length(at, &name_len);
    if (name_len & 1)
        at = sci_record_get_length(at, &value_len);
    record.name = sc_bytes(at, name_len / 2);
    record.value = sc_bytes(at + name_len / 2, value_len);
    return record;
}

static inline const char *sci_record_end(const sci_record *record)
{
    return record->value.data + record->value.len;
}

static inline size_t sci_record_bytes(const sci_record *record, bool has_value)
{
    size_t bytes = sci_record_length_bytes(record->name.len * 2 + 1) + record->name.len;
    if (has_value)
        bytes += sci_record_length_bytes(record->value.len) + record->value.len;
    return bytes;
}

static inline void sci_record_write(char *at, const sci_record *record, bool has_value)
{
    at = sci_record_put_length(at, record->name.len * 2 + (has_value ? 1 : 0));
    if (has_value)
        at = sci_record_put_length(at, record->value.len);
    if (record->name.len > 0)
        memcpy(at, record->name.data, record->name.len);
    if (has_value && record->value.len > 0)
        memcpy(at + record->name.len, record->value.data, record->value.len);
}

SCI_PRIVATE sc_slice sci_member_name(const sci_member *member)
{
    return sci_record_read((const char *)(const void *)member).name;
}

SCI_PRIVATE sc_slice sci_member_value(const sci_member *member)
{
    return sci_record_read((const char *)(const void *)member).value;
}

static inline sci_member *sci_member_at(const char *record)
{
    return (sci_member *)(void *)(uintptr_t)record;
}

/* The `index`-th of those that put_all was given. */
static inline sci_record sci_record_of_words(const sci_members *members, const sc_slice *words,
                                             size_t index)
{
    sci_record record;
    if (members->has_values) {
        record.name = words[index * 2];
        record.value = words[index * 2 + 1];
    } else {
        record.name = words[index];
        record.value = sc_bytes(NULL, 0);
    }
    return record;
}

/* --- Packed */

/* What is allocated beyond what is needed: an eighth, and what rounds it up. */
#define SCI_PACK_ROUND 16u
/* Each with lengths of two bytes and of one. */
#define SCI_PACK_MOST (SCI_MEMBERS_PACKED * (SCI_MEMBERS_PACKED_BYTES * 2 + 3u))

static char *sci_pack_find(const sci_members *members, sc_slice name)
{
    char *data = members->as.pack.data;
    for (uint32_t at = 0; at < members->as.pack.len;) {
        const sci_record record = sci_record_read(data + at);
        if (sci_slice_equal(record.name, name))
            return data + at;
        at = (uint32_t)(sci_record_end(&record) - data);
    }
    return NULL;
}

static inline size_t sci_pack_cap(size_t needed)
{
    return (needed + needed / 8) / SCI_PACK_ROUND * SCI_PACK_ROUND + SCI_PACK_ROUND;
}

static sc_status sci_pack_reserve(sci_members *members, size_t extra)
{
    sci_members_pack *pack = &members->as.pack;
    const size_t needed = sci_min_size(pack->len + extra, SCI_PACK_MOST);
    if (needed <= pack->cap)
        return SC_OK;
    const size_t cap = sci_pack_cap(needed);
    char *data = (char *)sci_resize(members->memory, pack->data, pack->cap, cap);
    if (!data)
        return SC_ERR_MEMORY;
    pack->data = data;
    pack->cap = (uint32_t)cap;
    return SC_OK;
}

/* Without memory for a smaller block it stays. */
static void sci_pack_trim(sci_members *members)
{
    sci_members_pack *pack = &members->as.pack;
    const size_t cap = sci_pack_cap(pack->len);
    if (pack->cap / 2 <= cap)
        return;
    char *data = (char *)members->memory->resize(members->memory->user, pack->data, pack->cap, cap);
    if (!data)
        return;
    pack->data = data;
    pack->cap = (uint32_t)cap;
}

/* There must be room for the whole record, also where it replaces one. */
static char *sci_pack_put(sci_members *members, const sci_record *record, size_t *added)
{
    sci_members_pack *pack = &members->as.pack;
    char *at = sci_pack_find(members, record->name);
    if (at && !members->has_values)
        return at;
    const size_t bytes = sci_record_bytes(record, members->has_values);
    if (at) {
        const sci_record old = sci_record_read(at);
        const char *tail = sci_record_end(&old);
        const size_t old_bytes = (size_t)(tail - at);
        memmove(at + bytes, tail, (size_t)(pack->data + pack->len - tail));
        pack->len = (uint32_t)(pack->len + bytes - old_bytes);
    } else {
        at = pack->data + pack->len;
        pack->len += (uint32_t)bytes;
        members->count++;
        ++*added;
    }
    sci_record_write(at, record, members->has_values);
    return at;
}

/* Do these members fit, packed? `*bytes` is what they can take at most. */
static bool sci_pack_takes(const sci_members *members, const sc_slice *words, size_t count,
                           size_t *bytes)
{
    size_t new_count = 0;
    *bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const sci_record record = sci_record_of_words(members, words, i);
        if (record.name.len > SCI_MEMBERS_PACKED_BYTES ||
            record.value.len > SCI_MEMBERS_PACKED_BYTES)
            return false;
        *bytes += sci_record_bytes(&record, members->has_values);
        /* Only where it matters: what is there takes no more place. */
        if (members->count + count > SCI_MEMBERS_PACKED && !sci_pack_find(members, record.name))
            new_count++;
        if (members->count + new_count > SCI_MEMBERS_PACKED)
            return false;
    }
    return true;
}

static void sci_pack_remove(sci_members *members, char *at)
{
    sci_members_pack *pack = &members->as.pack;
    const sci_record record = sci_record_read(at);
    const char *tail = sci_record_end(&record);
    memmove(at, tail, (size_t)(pack->data + pack->len - tail));
    pack->len -= (uint32_t)(tail - at);
    members->count--;
}

/* The first `count` of `order` become a fair choice of the numbers below `size`. */
static void sci_pack_draw(unsigned char *order, size_t size, size_t count,
                          sci_members_chance chance, void *user)
{
    for (size_t i = 0; i < size; i++)
        order[i] = (unsigned char)i;
    for (size_t i = 0; i < count; i++) {
        const size_t other = i + chance(user, size - i);
        const unsigned char drawn = order[other];
        order[other] = order[i];
        order[i] = drawn;
    }
}

static void sci_pack_choose(sci_members *members, size_t count, bool removes,
                            sci_members_chance chance, void *chance_user, sci_members_visit visit,
                            void *user)
{
    unsigned char order[SCI_MEMBERS_PACKED];
    uint32_t offsets[SCI_MEMBERS_PACKED];
    sci_members_iterator iterator = {0, 0};
    size_t size = 0;
    for (sci_member *member; (member = sci_members_next(members, &iterator));)
        offsets[size++] = (uint32_t)((char *)(void *)member - members->as.pack.data);
    sci_pack_draw(order, size, count, chance, chance_user);
    for (size_t i = 0; i < count; i++)
        visit(user, sci_member_at(members->as.pack.data + offsets[order[i]]));
    if (!removes)
        return;
    bool is_chosen[SCI_MEMBERS_PACKED] = {false};
    for (size_t i = 0; i < count; i++)
        is_chosen[order[i]] = true;
    while (size-- > 0) {
        if (is_chosen[size])
            sci_pack_remove(members, members->as.pack.data + offsets[size]);
    }
    sci_pack_trim(members);
}

/* --- In a table */

/* The bit of a slot's hash that says that the record stands in the slot itself, in place of a
   pointer: names of up to seven bytes then take no block. */
#define SCI_MEMBERS_IN_SLOT (UINT32_C(1) << 31)

static inline uint32_t sci_members_hash(const sci_members *members, sc_slice name)
{
    return (uint32_t)sci_hash(members->seed, name) & ~SCI_MEMBERS_IN_SLOT;
}

/* What a slot will hold. */
typedef struct sci_arrival {
    void *item;
    uint32_t hash;
} sci_arrival;

/* SC_ERR_MEMORY. */
static sc_status sci_arrival_make(sci_members *members, sci_arrival *arrival,
                                  const sci_record *record, uint32_t hash)
{
    const size_t bytes = sci_record_bytes(record, members->has_values);
    const size_t size = members->payload_bytes + bytes;
    arrival->item = NULL;
    arrival->hash = hash;
    if (size <= sizeof arrival->item && members->payload_bytes == 0) {
        sci_record_write((char *)(void *)&arrival->item, record, members->has_values);
        arrival->hash |= SCI_MEMBERS_IN_SLOT;
        return SC_OK;
    }
    char *block = (char *)sci_resize(members->memory, NULL, 0, size);
    if (!block)
        return SC_ERR_MEMORY;
    memset(block, 0, members->payload_bytes);
    sci_record_write(block + members->payload_bytes, record, members->has_values);
    members->bytes += sci_counted_block(size);
    arrival->item = block;
    return SC_OK;
}

/* Nothing at all is fine. */
static void sci_arrival_free(sci_members *members, const sci_arrival *arrival)
{
    if (!arrival->item || (arrival->hash & SCI_MEMBERS_IN_SLOT))
        return;
    char *block = (char *)arrival->item;
    const sci_record record = sci_record_read(block + members->payload_bytes);
    const size_t size = (size_t)(sci_record_end(&record) - block);
    members->bytes -= sci_counted_block(size);
    sci_free(members->memory, block, size);
}

static void sci_members_free_slot(sci_members *members, uint32_t number)
{
    const sci_slots_slot *slot = sci_slots_at(&members->as.slots, number);
    sci_arrival arrival;
    arrival.item = slot->item;
    arrival.hash = slot->hash;
    sci_arrival_free(members, &arrival);
}

static inline char *sci_slot_record(const sci_members *members, sci_slots_slot *slot)
{
    return slot->hash & SCI_MEMBERS_IN_SLOT ? (char *)(void *)&slot->item
                                            : (char *)slot->item + members->payload_bytes;
}

static inline char *sci_members_record(const sci_members *members, uint32_t number)
{
    return sci_slot_record(members, sci_slots_at(&members->as.slots, number));
}

/* The link that leads to the slot, or NULL. */
static uint32_t *sci_members_link(const sci_members *members, sc_slice name, uint32_t hash)
{
    const sci_slots *slots = &members->as.slots;
    if (slots->count == 0)
        return NULL;
    for (uint32_t *link = sci_slots_chain(slots, hash); *link;) {
        sci_slots_slot *slot = sci_slots_at(slots, *link - 1);
        if ((slot->hash & ~SCI_MEMBERS_IN_SLOT) == hash &&
            sci_slice_equal(sci_record_read(sci_slot_record(members, slot)).name, name))
            return link;
        link = &slot->next;
    }
    return NULL;
}

/* Everything that can fail. Empty is the arrival of a member that stays as it is. */
static sc_status sci_arrivals_make(sci_members *members, const sc_slice *words,
                                   sci_arrival *arrivals, size_t count)
{
    size_t made = 0, extra = 0;
    for (; made < count; made++) {
        const sci_record record = sci_record_of_words(members, words, made);
        sci_arrival *arrival = &arrivals[made];
        arrival->item = NULL;
        arrival->hash = sci_members_hash(members, record.name);
        const bool is_there = sci_members_link(members, record.name, arrival->hash) != NULL;
        if (is_there && !members->has_values)
            continue;
        if (sci_arrival_make(members, arrival, &record, arrival->hash) != SC_OK)
            break;
        extra += !is_there;
    }
    if (made == count && sci_slots_reserve(&members->as.slots, members->memory, extra) == SC_OK)
        return SC_OK;
    while (made-- > 0)
        sci_arrival_free(members, &arrivals[made]);
    return SC_ERR_MEMORY;
}

/* The member's record in the table. */
static char *sci_arrival_enter(sci_members *members, const sci_arrival *arrival, sc_slice name,
                               size_t *added)
{
    sci_slots *slots = &members->as.slots;
    const uint32_t *link = sci_members_link(members, name, arrival->hash & ~SCI_MEMBERS_IN_SLOT);
    if (!link) {
        sci_slots_add(slots, arrival->item, arrival->hash);
        members->count++;
        ++*added;
        return sci_members_record(members, slots->count - 1);
    }
    const uint32_t number = *link - 1;
    if (!members->has_values) {
        sci_arrival_free(members, arrival);
        return sci_members_record(members, number);
    }
    sci_slots_slot *slot = sci_slots_at(slots, number);
    if (members->payload_bytes > 0)
        memcpy(arrival->item, slot->item, members->payload_bytes);
    sci_members_free_slot(members, number);
    slot->item = arrival->item;
    slot->hash = arrival->hash;
    return sci_slot_record(members, slot);
}

static void sci_members_free_slots(sci_members *members)
{
    for (uint32_t i = 0; i < members->as.slots.count; i++)
        sci_members_free_slot(members, i);
    sci_slots_free(&members->as.slots, members->memory);
}

/* From packed to a table. */
static sc_status sci_members_unpack(sci_members *members)
{
    const sci_members from = *members;
    members->is_packed = false;
    memset(&members->as.slots, 0, sizeof members->as.slots);
    sci_slots *slots = &members->as.slots;
    sc_status status =
        from.count > 0 ? sci_slots_reserve(slots, members->memory, from.count) : SC_OK;
    sci_members_iterator iterator = {0, 0};
    for (sci_member *member; status == SC_OK && (member = sci_members_next(&from, &iterator));) {
        const sci_record record = sci_record_read((const char *)(void *)member);
        sci_arrival arrival;
        status =
            sci_arrival_make(members, &arrival, &record, sci_members_hash(members, record.name));
        if (status == SC_OK)
            sci_slots_add(slots, arrival.item, arrival.hash);
    }
    if (status == SC_OK) {
        sci_free(from.memory, from.as.pack.data, from.as.pack.cap);
        return SC_OK;
    }
    sci_members_free_slots(members);
    *members = from;
    return status;
}

/* Those that are chosen gather in the first slots, where they stay. */
static void sci_slots_choose(sci_members *members, size_t count, bool removes,
                             sci_members_chance chance, void *chance_user, sci_members_visit visit,
                             void *user)
{
    sci_slots *slots = &members->as.slots;
    for (uint32_t i = 0; i < count; i++) {
        sci_slots_swap(slots, i, i + (uint32_t)chance(chance_user, slots->count - i));
        visit(user, sci_member_at(sci_members_record(members, i)));
    }
    /* From the last on: the slot that takes one's place is not one that will be removed. */
    for (uint32_t i = (uint32_t)count; removes && i-- > 0;) {
        sci_members_free_slot(members, i);
        sci_slots_remove(slots, members->memory, sci_slots_link(slots, i));
        members->count--;
    }
}

/* --- Tables */

SCI_PRIVATE void sci_members_init(sci_members *members, const sc_memory *memory,
                                  const sci_hash_seed *seed, bool has_values,
                                  uint16_t payload_bytes)
{
    memset(members, 0, sizeof *members);
    members->memory = memory;
    members->seed = seed;
    members->has_values = has_values;
    members->payload_bytes = payload_bytes;
    members->is_packed = payload_bytes == 0;
}

SCI_PRIVATE void sci_members_clear(sci_members *members)
{
    if (members->is_packed) {
        sci_free(members->memory, members->as.pack.data, members->as.pack.cap);
    } else {
        sci_members_free_slots(members);
    }
    sci_members_init(members, members->memory, members->seed, members->has_values,
                     members->payload_bytes);
}

SCI_PRIVATE sci_members *sci_members_new(const sc_memory *memory, const sci_hash_seed *seed,
                                         bool has_values)
{
    sci_members *members = (sci_members *)sci_resize(memory, NULL, 0, sizeof *members);
    if (members)
        sci_members_init(members, memory, seed, has_values, 0);
    return members;
}

SCI_PRIVATE void sci_members_release(sci_members *members)
{
    sci_members_clear(members);
    sci_free(members->memory, members, sizeof *members);
}

static sc_status sci_members_copy_slots(sci_members *to, const sci_members *from)
{
    sci_slots *slots = &to->as.slots;
    sc_status status = SC_OK;
    if (from->count > 0)
        status = sci_slots_reserve(slots, to->memory, from->count);
    for (uint32_t i = 0; status == SC_OK && i < from->count; i++) {
        const sci_slots_slot *slot = sci_slots_at(&from->as.slots, i);
        const sci_record record = sci_record_read(sci_members_record(from, i));
        sci_arrival arrival;
        status = sci_arrival_make(to, &arrival, &record, slot->hash & ~SCI_MEMBERS_IN_SLOT);
        if (status != SC_OK)
            break;
        if (to->payload_bytes > 0)
            memcpy(arrival.item, slot->item, to->payload_bytes);
        sci_slots_add(slots, arrival.item, arrival.hash);
    }
    if (status != SC_OK)
        sci_members_free_slots(to);
    return status;
}

SCI_PRIVATE sc_status sci_members_copy(sci_members *to, const sci_members *from)
{
    sci_members_init(to, from->memory, from->seed, from->has_values, from->payload_bytes);
    if (!from->is_packed) {
        to->is_packed = false;
        if (sci_members_copy_slots(to, from) != SC_OK)
            return SC_ERR_MEMORY;
    } else if (from->count > 0) {
        if (sci_pack_reserve(to, from->as.pack.len) != SC_OK)
            return SC_ERR_MEMORY;
        memcpy(to->as.pack.data, from->as.pack.data, from->as.pack.len);
        to->as.pack.len = from->as.pack.len;
    }
    to->count = from->count;
    return SC_OK;
}

SCI_PRIVATE sci_members *sci_members_copy_new(const sci_members *from)
{
    sci_members *to = (sci_members *)sci_resize(from->memory, NULL, 0, sizeof *to);
    if (!to)
        return NULL;
    if (sci_members_copy(to, from) == SC_OK)
        return to;
    sci_free(from->memory, to, sizeof *to);
    return NULL;
}

SCI_PRIVATE size_t sci_members_bytes(const sci_members *members)
{
    size_t bytes = sci_counted_block(sizeof *members) + members->bytes;
    if (!members->is_packed)
        bytes += sci_slots_bytes(&members->as.slots);
    else if (members->as.pack.cap > 0)
        bytes += sci_counted_block(members->as.pack.cap);
    return bytes;
}

SCI_PRIVATE sci_member *sci_members_find(const sci_members *members, sc_slice name)
{
    if (members->is_packed)
        return sci_member_at(sci_pack_find(members, name));
    const uint32_t *link = sci_members_link(members, name, sci_members_hash(members, name));
    return link ? sci_member_at(sci_members_record(members, *link - 1)) : NULL;
}

#define SCI_MEMBERS_ARRIVALS 8u /* that need no memory */

/* As put_all; `*last` is the last of them. */
static sc_status sci_members_put_words(sci_members *members, const sc_slice *words, size_t count,
                                       size_t *added, char **last)
{
    sci_arrival few[SCI_MEMBERS_ARRIVALS], *arrivals = few;
    size_t bytes = 0;
    *added = 0;
    if (members->is_packed && sci_pack_takes(members, words, count, &bytes)) {
        if (sci_pack_reserve(members, bytes) != SC_OK)
            return SC_ERR_MEMORY;
        for (size_t i = 0; i < count; i++) {
            const sci_record record = sci_record_of_words(members, words, i);
            *last = sci_pack_put(members, &record, added);
        }
        return SC_OK;
    }
    if (members->is_packed && sci_members_unpack(members) != SC_OK)
        return SC_ERR_MEMORY;
    if (count > SCI_MEMBERS_ARRIVALS) {
        arrivals = (sci_arrival *)sci_resize(members->memory, NULL, 0, count * sizeof *arrivals);
        if (!arrivals)
            return SC_ERR_MEMORY;
    }
    const sc_status status = sci_arrivals_make(members, words, arrivals, count);
    for (size_t i = 0; status == SC_OK && i < count; i++) {
        const sci_record record = sci_record_of_words(members, words, i);
        *last = sci_arrival_enter(members, &arrivals[i], record.name, added);
    }
    if (arrivals != few)
        sci_free(members->memory, arrivals, count * sizeof *arrivals);
    return status;
}

SCI_PRIVATE sci_member *sci_members_put(sci_members *members, sc_slice name, sc_slice value,
                                        bool *is_new)
{
    sc_slice words[2];
    size_t added;
    char *at = NULL;
    words[0] = name;
    words[1] = value;
    if (sci_members_put_words(members, words, 1, &added, &at) != SC_OK)
        return NULL;
    *is_new = added > 0;
    return sci_member_at(at);
}

SCI_PRIVATE sc_status sci_members_put_all(sci_members *members, const sc_slice *words, size_t count,
                                          size_t *added)
{
    char *last;
    return sci_members_put_words(members, words, count, added, &last);
}

SCI_PRIVATE bool sci_members_remove(sci_members *members, sc_slice name)
{
    if (members->is_packed) {
        char *at = sci_pack_find(members, name);
        if (!at)
            return false;
        sci_pack_remove(members, at);
        sci_pack_trim(members);
        return true;
    }
    uint32_t *link = sci_members_link(members, name, sci_members_hash(members, name));
    if (!link)
        return false;
    sci_members_free_slot(members, *link - 1);
    sci_slots_remove(&members->as.slots, members->memory, link);
    members->count--;
    return true;
}

SCI_PRIVATE sci_member *sci_members_next(const sci_members *members, sci_members_iterator *iterator)
{
    if (iterator->index >= members->count)
        return NULL;
    const uint32_t index = iterator->index++;
    if (!members->is_packed)
        return sci_member_at(sci_members_record(members, index));
    char *at = members->as.pack.data + iterator->offset;
    const sci_record record = sci_record_read(at);
    iterator->offset = (uint32_t)(sci_record_end(&record) - members->as.pack.data);
    return sci_member_at(at);
}

SCI_PRIVATE sci_member *sci_members_at(const sci_members *members, size_t index)
{
    sci_assert(index < members->count);
    if (!members->is_packed)
        return sci_member_at(sci_members_record(members, (uint32_t)index));
    sci_members_iterator iterator = {0, 0};
    while (index-- > 0)
        (void)sci_members_next(members, &iterator);
    return sci_members_next(members, &iterator);
}

SCI_PRIVATE void sci_members_choose(sci_members *members, size_t count, bool removes,
                                    sci_members_chance chance, void *chance_user,
                                    sci_members_visit visit, void *user)
{
    count = sci_min_size(count, members->count);
    if (members->is_packed)
        sci_pack_choose(members, count, removes, chance, chance_user, visit, user);
    else
        sci_slots_choose(members, count, removes, chance, chance_user, visit, user);
}

SCI_PRIVATE uint64_t sci_members_walk(const sci_members *members, uint64_t cursor,
                                      sci_members_visit visit, void *user)
{
    if (members->is_packed) {
        sci_members_iterator iterator = {0, 0};
        for (sci_member *member; (member = sci_members_next(members, &iterator));)
            visit(user, member);
        return 0;
    }
    if (members->count == 0)
        return 0;
    const sci_slots *slots = &members->as.slots;
    for (const uint32_t *link = sci_slots_walk(slots, &cursor); *link;) {
        sci_slots_slot *slot = sci_slots_at(slots, *link - 1);
        visit(user, sci_member_at(sci_slot_record(members, slot)));
        link = &slot->next;
    }
    return cursor;
}

/* MARK: - Server: sorted sets: look-up (Private) */
/* Extendible hashing: pages of members, each with a byte of its hash. */

/* Members of a sorted set by their bytes: extendible hashing (Fagin, Nievergelt, Pippenger, Strong,
   "Extendible hashing: a fast access method for dynamic files", 1979). A directory by the hash's
   first bits leads to small pages; one that is full is split in two, and two that are nearly empty
   become one. So it grows and shrinks a page at a time, and no command waits for all members to be
   moved. A walk goes through the pages in the order of their hashes: its cursor is a place in the
   hash's range, and stands for the same whatever was split or joined since. */

/* A member is one block: this, and its length and bytes, see sci_sorted_member_bytes. */
typedef struct sci_sorted_member {
    double score;
} sci_sorted_member;

/* The length takes a byte, or, where that is 255, four more. */
#define SCI_SORTED_MEMBER_LONG 255
#define SCI_SORTED_MEMBER_LEN_MAX UINT32_MAX

static inline sc_slice sci_sorted_member_bytes(const sci_sorted_member *member)
{
    const unsigned char *at = (const unsigned char *)(member + 1);
    uint32_t len = *at++;
    if (len == SCI_SORTED_MEMBER_LONG) {
        memcpy(&len, at, sizeof len);
        at += sizeof len;
    }
    return sc_bytes(at, len);
}

typedef struct sci_sorted_page sci_sorted_page;

typedef struct sci_sorted_index {
    sc_memory memory;
    const sci_hash_seed *seed;
    sci_sorted_page **pages; /* owned: 2^depth, several to one page whose depth is less */
    unsigned depth;
    size_t deepest; /* pages whose depth that is */
    size_t bytes;   /* of memory, all in all */
} sci_sorted_index;

/* `seed` outlives the index. SC_ERR_MEMORY: there is nothing to be freed. */
SCI_PRIVATE sc_status sci_sorted_index_init(sci_sorted_index *index, const sc_memory *memory,
                                            const sci_hash_seed *seed);
/* Members belong to the caller. */
SCI_PRIVATE void sci_sorted_index_free(sci_sorted_index *index);
/* NULL when it is not there. */
SCI_PRIVATE sci_sorted_member *sci_sorted_index_find(const sci_sorted_index *index, sc_slice bytes);
/* A member that is not there yet. SC_ERR_MEMORY leaves all members as they were. */
SCI_PRIVATE sc_status sci_sorted_index_put(sci_sorted_index *index, sci_sorted_member *member);
/* A member that is there. */
SCI_PRIVATE void sci_sorted_index_remove(sci_sorted_index *index, sci_sorted_member *member);
/* Visit one page's members; returns the next cursor, 0 at the end. Cursors are below 2^28. Members
   that are there from the first step (cursor 0) to the last are visited at least once. `visit` must
   not change the index. */
SCI_PRIVATE uint64_t sci_sorted_index_walk(const sci_sorted_index *index, uint64_t cursor,
                                           void (*visit)(void *user,
                                                         const sci_sorted_member *member),
                                           void *user);

/* A page that holds so many is split. */
#define SCI_SORTED_PAGE_FULL 64
SCI_STATIC_ASSERT(SCI_SORTED_PAGE_FULL == 64, a_word_has_a_bit_for_each_member_of_a_page);
/* Pages grow and shrink by so many, so that what is not used of them stays small. */
#define SCI_SORTED_PAGE_STEP 8
/* Two pages are joined when they hold no more: far enough from both splitting and joining again. */
#define SCI_SORTED_PAGE_JOINED (SCI_SORTED_PAGE_FULL / 2)
/* Where hashes begin with the same so many bits, pages grow instead of being split; the directory's
   size fits 32 bits. */
#define SCI_SORTED_INDEX_MAX_DEPTH 28

/* `cap` pointers to members follow, then as many bytes: the last of their hashes. */
struct sci_sorted_page {
    uint32_t count;
    uint32_t cap;
    unsigned depth; /* bits of the hash that all of its members share */
    unsigned spare; /* keeps what follows aligned */
};

static inline sci_sorted_member **sci_sorted_page_members(const sci_sorted_page *page)
{
    return (sci_sorted_member **)(void *)(page + 1);
}

static inline unsigned char *sci_sorted_page_tags(const sci_sorted_page *page)
{
    return (unsigned char *)(sci_sorted_page_members(page) + page->cap);
}

static inline size_t sci_sorted_page_size(uint32_t cap)
{
    return sizeof(sci_sorted_page) + cap * (sizeof(sci_sorted_member *) + 1);
}

static inline unsigned char sci_sorted_page_tag(uint64_t hash)
{
    return (unsigned char)(hash & 0xff);
}

static inline uint64_t sci_sorted_index_hash(const sci_sorted_index *index, sc_slice bytes)
{
    return sci_hash(index->seed, bytes);
}

/* The first `depth` bits. */
static inline size_t sci_sorted_index_prefix(uint64_t hash, unsigned depth)
{
    return depth ? (size_t)(hash >> (64 - depth)) : 0;
}

static inline sci_sorted_page *sci_sorted_index_page(const sci_sorted_index *index, uint64_t hash)
{
    return index->pages[sci_sorted_index_prefix(hash, index->depth)];
}

static inline size_t sci_sorted_index_directory_size(const sci_sorted_index *index)
{
    return ((size_t)1 << index->depth) * sizeof *index->pages;
}

static sci_sorted_page *sci_sorted_page_new(sci_sorted_index *index, size_t count, unsigned depth)
{
    uint32_t cap =
        (uint32_t)((sci_max_size(count, 1) + SCI_SORTED_PAGE_STEP - 1) / SCI_SORTED_PAGE_STEP) *
        SCI_SORTED_PAGE_STEP;
    sci_sorted_page *page =
        (sci_sorted_page *)sci_resize(&index->memory, NULL, 0, sci_sorted_page_size(cap));
    if (!page)
        return NULL;
    page->count = 0;
    page->cap = cap;
    page->depth = depth;
    page->spare = 0;
    index->bytes += sci_counted_block(sci_sorted_page_size(cap));
    return page;
}

static void sci_sorted_page_free(sci_sorted_index *index, sci_sorted_page *page)
{
    index->bytes -= sci_counted_block(sci_sorted_page_size(page->cap));
    sci_free(&index->memory, page, sci_sorted_page_size(page->cap));
}

static inline void sci_sorted_page_add(sci_sorted_page *page, sci_sorted_member *member,
                                       unsigned char tag)
{
    sci_assert(page->count < page->cap);
    sci_sorted_page_members(page)[page->count] = member;
    sci_sorted_page_tags(page)[page->count] = tag;
    page->count++;
}

static void sci_sorted_page_add_all(sci_sorted_page *to, const sci_sorted_page *from)
{
    for (size_t i = 0; i < from->count; i++)
        sci_sorted_page_add(to, sci_sorted_page_members(from)[i], sci_sorted_page_tags(from)[i]);
}

/* Where bytes are in a page; its count when they are not there. */
static size_t sci_sorted_page_find(const sci_sorted_page *page, sc_slice bytes, unsigned char tag)
{
    const unsigned char *tags = sci_sorted_page_tags(page);
    const unsigned char *end = tags + page->count;
    for (const unsigned char *at = tags; at < end; at++) {
        at = (const unsigned char *)memchr(at, tag, (size_t)(end - at));
        if (!at)
            break;
        size_t i = (size_t)(at - tags);
        if (sci_slice_equal(sci_sorted_member_bytes(sci_sorted_page_members(page)[i]), bytes))
            return i;
    }
    return page->count;
}

/* Lead to a page whose hashes begin with `prefix`. */
static void sci_sorted_index_place(sci_sorted_index *index, sci_sorted_page *page, size_t prefix)
{
    unsigned span = index->depth - page->depth;
    size_t first = prefix << span;
    for (size_t i = 0; i < (size_t)1 << span; i++)
        index->pages[first + i] = page;
}

SCI_PRIVATE sc_status sci_sorted_index_init(sci_sorted_index *index, const sc_memory *memory,
                                            const sci_hash_seed *seed)
{
    memset(index, 0, sizeof *index);
    index->memory = *memory;
    index->seed = seed;
    index->pages = (sci_sorted_page **)sci_resize(memory, NULL, 0, sizeof *index->pages);
    if (!index->pages)
        return SC_ERR_MEMORY;
    index->pages[0] = sci_sorted_page_new(index, 0, 0);
    if (!index->pages[0]) {
        sci_free(memory, index->pages, sizeof *index->pages);
        return SC_ERR_MEMORY;
    }
    index->deepest = 1;
    index->bytes += sci_counted_block(sizeof *index->pages);
    return SC_OK;
}

SCI_PRIVATE void sci_sorted_index_free(sci_sorted_index *index)
{
    size_t count = (size_t)1 << index->depth;
    for (size_t i = 0, next; i < count; i = next) {
        next = i + ((size_t)1 << (index->depth - index->pages[i]->depth));
        sci_sorted_page_free(index, index->pages[i]);
    }
    sci_free(&index->memory, index->pages, sci_sorted_index_directory_size(index));
}

SCI_PRIVATE sci_sorted_member *sci_sorted_index_find(const sci_sorted_index *index, sc_slice bytes)
{
    uint64_t hash = sci_sorted_index_hash(index, bytes);
    const sci_sorted_page *page = sci_sorted_index_page(index, hash);
    size_t at = sci_sorted_page_find(page, bytes, sci_sorted_page_tag(hash));
    return at < page->count ? sci_sorted_page_members(page)[at] : NULL;
}

static bool sci_sorted_index_resize_directory(sci_sorted_index *index, unsigned depth)
{
    size_t old_size = sci_sorted_index_directory_size(index);
    size_t new_size = ((size_t)1 << depth) * sizeof *index->pages;
    sci_sorted_page **pages = (sci_sorted_page **)index->memory.resize(
        index->memory.user, index->pages, old_size, new_size);
    if (!pages)
        return false;
    index->bytes += sci_counted_block(new_size) - sci_counted_block(old_size);
    index->pages = pages;
    index->depth = depth;
    return true;
}

/* Each entry becomes two, from the last to the first, in place. */
static bool sci_sorted_index_double(sci_sorted_index *index)
{
    if (!sci_sorted_index_resize_directory(index, index->depth + 1))
        return false;
    for (size_t i = (size_t)1 << index->depth; i-- > 0;)
        index->pages[i] = index->pages[i / 2];
    index->deepest = 0;
    return true;
}

/* While no page needs the directory's last bit. */
static void sci_sorted_index_halve(sci_sorted_index *index)
{
    while (index->depth > 0 && index->deepest == 0) {
        size_t count = (size_t)1 << (index->depth - 1);
        for (size_t i = 0; i < count; i++)
            index->pages[i] = index->pages[2 * i];
        if (!sci_sorted_index_resize_directory(index, index->depth - 1)) {
            for (size_t i = 2 * count; i-- > 0;)
                index->pages[i] = index->pages[i / 2];
            return;
        }
        for (size_t i = 0; i < count; i++)
            index->deepest += index->pages[i]->depth == index->depth;
    }
}

/* The same members in a page that fits `count`. */
static bool sci_sorted_index_resize_page(sci_sorted_index *index, uint64_t hash, size_t count)
{
    sci_sorted_page *page = sci_sorted_index_page(index, hash);
    sci_sorted_page *resized = sci_sorted_page_new(index, count, page->depth);
    if (!resized)
        return false;
    sci_sorted_page_add_all(resized, page);
    sci_sorted_index_place(index, resized, sci_sorted_index_prefix(hash, page->depth));
    sci_sorted_page_free(index, page);
    return true;
}

/* Which members of a full page go to the upper half, a bit each. */
static uint64_t sci_sorted_index_upper(const sci_sorted_index *index, const sci_sorted_page *page,
                                       size_t *count)
{
    uint64_t upper = 0;
    *count = 0;
    for (size_t i = 0; i < page->count; i++) {
        uint64_t hash =
            sci_sorted_index_hash(index, sci_sorted_member_bytes(sci_sorted_page_members(page)[i]));
        if (sci_sorted_index_prefix(hash, page->depth + 1) & 1) {
            upper |= (uint64_t)1 << i;
            ++*count;
        }
    }
    return upper;
}

static bool sci_sorted_index_split(sci_sorted_index *index, uint64_t hash)
{
    sci_sorted_page *page = sci_sorted_index_page(index, hash);
    size_t upper_count;
    uint64_t upper = sci_sorted_index_upper(index, page, &upper_count);
    sci_sorted_page *halves[2];
    halves[0] = sci_sorted_page_new(index, page->count - upper_count, page->depth + 1);
    halves[1] = sci_sorted_page_new(index, upper_count, page->depth + 1);
    if (!halves[0] || !halves[1] ||
        (page->depth == index->depth && !sci_sorted_index_double(index))) {
        for (size_t i = 0; i < 2; i++)
            if (halves[i])
                sci_sorted_page_free(index, halves[i]);
        return false;
    }
    for (size_t i = 0; i < page->count; i++)
        sci_sorted_page_add(halves[upper >> i & 1], sci_sorted_page_members(page)[i],
                            sci_sorted_page_tags(page)[i]);
    for (size_t i = 0; i < 2; i++)
        sci_sorted_index_place(index, halves[i],
                               sci_sorted_index_prefix(hash, page->depth) * 2 + i);
    if (page->depth + 1 == index->depth)
        index->deepest += 2;
    sci_sorted_page_free(index, page);
    return true;
}

SCI_PRIVATE sc_status sci_sorted_index_put(sci_sorted_index *index, sci_sorted_member *member)
{
    uint64_t hash = sci_sorted_index_hash(index, sci_sorted_member_bytes(member));
    sci_sorted_page *page = sci_sorted_index_page(index, hash);
    while (page->count == page->cap) {
        bool has_room =
            page->cap < SCI_SORTED_PAGE_FULL || page->depth == SCI_SORTED_INDEX_MAX_DEPTH
                ? sci_sorted_index_resize_page(index, hash, page->count + 1)
                : sci_sorted_index_split(index, hash);
        if (!has_room)
            return SC_ERR_MEMORY;
        page = sci_sorted_index_page(index, hash);
    }
    sci_sorted_page_add(page, member, sci_sorted_page_tag(hash));
    return SC_OK;
}

/* Make one page of the two that differ in the last bit, if they hold little. */
static bool sci_sorted_index_join(sci_sorted_index *index, uint64_t hash)
{
    sci_sorted_page *page = sci_sorted_index_page(index, hash);
    if (page->depth == 0)
        return false;
    size_t prefix = sci_sorted_index_prefix(hash, page->depth);
    sci_sorted_page *other = index->pages[(prefix ^ 1) << (index->depth - page->depth)];
    if (other->depth != page->depth || other->count + page->count > SCI_SORTED_PAGE_JOINED)
        return false;
    sci_sorted_page *joined =
        sci_sorted_page_new(index, other->count + page->count, page->depth - 1);
    if (!joined)
        return false;
    sci_sorted_page_add_all(joined, page);
    sci_sorted_page_add_all(joined, other);
    if (page->depth == index->depth)
        index->deepest -= 2;
    sci_sorted_page_free(index, page);
    sci_sorted_page_free(index, other);
    sci_sorted_index_place(index, joined, prefix / 2);
    return true;
}

SCI_PRIVATE void sci_sorted_index_remove(sci_sorted_index *index, sci_sorted_member *member)
{
    uint64_t hash = sci_sorted_index_hash(index, sci_sorted_member_bytes(member));
    sci_sorted_page *page = sci_sorted_index_page(index, hash);
    size_t at =
        sci_sorted_page_find(page, sci_sorted_member_bytes(member), sci_sorted_page_tag(hash));
    sci_assert(at < page->count && sci_sorted_page_members(page)[at] == member);
    page->count--;
    sci_sorted_page_members(page)[at] = sci_sorted_page_members(page)[page->count];
    sci_sorted_page_tags(page)[at] = sci_sorted_page_tags(page)[page->count];
    if (sci_sorted_index_join(index, hash))
        sci_sorted_index_halve(index);
    else if (page->count + 2 * SCI_SORTED_PAGE_STEP <= page->cap)
        (void)sci_sorted_index_resize_page(index, hash, page->count + 1);
}

SCI_PRIVATE uint64_t sci_sorted_index_walk(const sci_sorted_index *index, uint64_t cursor,
                                           void (*visit)(void *user,
                                                         const sci_sorted_member *member),
                                           void *user)
{
    if (cursor >> SCI_SORTED_INDEX_MAX_DEPTH)
        return 0;
    const sci_sorted_page *page =
        index->pages[cursor >> (SCI_SORTED_INDEX_MAX_DEPTH - index->depth)];
    for (size_t i = 0; i < page->count; i++)
        visit(user, sci_sorted_page_members(page)[i]);
    unsigned below = SCI_SORTED_INDEX_MAX_DEPTH - page->depth;
    uint64_t next = ((cursor >> below) + 1) << below;
    return next >> SCI_SORTED_INDEX_MAX_DEPTH ? 0 : next;
}

/* MARK: - Server: sorted sets: order (Private) */
/* A counted B+-tree.

   Each inner node has, for each child, its first key, the number of keys below it, and the child.
   Nodes are split when they are full; two neighbours under one parent are joined when together they
   are half full, so that there are never long runs of nearly empty ones, and what was joined is far
   from being split again. */

/* Members of a sorted set in their order: a B+-tree (Bayer and McCreight, 1972; Comer, "The
   ubiquitous B-tree", 1979) whose inner nodes count what is below each child, so that ranks are
   found in O(log n). Keys carry the score, so that a member's bytes are looked at only where scores
   are equal. */

typedef struct sci_rank_key {
    double score;
    sci_sorted_member *member;
} sci_rank_key;

typedef struct sci_sorted_tree_node sci_sorted_tree_node;

typedef struct sci_sorted_tree {
    sc_memory memory;
    sci_sorted_tree_node *root; /* owned */
    unsigned height;            /* levels above the leaves */
    size_t count;
    size_t bytes; /* of memory, all in all */
} sci_sorted_tree;

/* A place between keys, at one leaf. */
typedef struct sci_sorted_tree_at {
    const sci_sorted_tree_node *leaf;
    size_t index;
} sci_sorted_tree_at;

/* Does the key come before the place that is looked for? True for the first keys, then false. */
typedef bool sci_sorted_tree_before(const void *user, const sci_rank_key *key);

/* SC_ERR_MEMORY: there is nothing to be freed. */
SCI_PRIVATE sc_status sci_sorted_tree_init(sci_sorted_tree *tree, const sc_memory *memory);
/* Members belong to the caller. */
SCI_PRIVATE void sci_sorted_tree_free(sci_sorted_tree *tree);
/* A key that is not there yet. SC_ERR_MEMORY leaves all as it was. */
SCI_PRIVATE sc_status sci_sorted_tree_insert(sci_sorted_tree *tree, const sci_rank_key *key);
/* A key that is there. */
SCI_PRIVATE void sci_sorted_tree_remove(sci_sorted_tree *tree, const sci_rank_key *key);
/* Give a key that is there another score. SC_ERR_MEMORY leaves all as it was. */
SCI_PRIVATE sc_status sci_sorted_tree_move(sci_sorted_tree *tree, const sci_rank_key *key,
                                           double score);
/* How many keys are before. */
SCI_PRIVATE size_t sci_sorted_tree_rank(const sci_sorted_tree *tree, sci_sorted_tree_before *before,
                                        const void *user);
/* How many keys are less. */
SCI_PRIVATE size_t sci_sorted_tree_rank_of(const sci_sorted_tree *tree, const sci_rank_key *key);
/* The place before the key of that rank, which may be the count. */
SCI_PRIVATE sci_sorted_tree_at sci_sorted_tree_seek(const sci_sorted_tree *tree, size_t rank);
/* The key after, or before, a place, which moves over it; NULL at the end. */
SCI_PRIVATE const sci_rank_key *sci_sorted_tree_next(sci_sorted_tree_at *at);
SCI_PRIVATE const sci_rank_key *sci_sorted_tree_previous(sci_sorted_tree_at *at);

#define SCI_SORTED_TREE_KEYS 64
#define SCI_SORTED_TREE_JOINED (SCI_SORTED_TREE_KEYS / 2)
/* Two neighbours have more than half a node, so a level has at most a sixteenth of the one below:
   enough for 2^64 keys. */
#define SCI_SORTED_TREE_MAX_HEIGHT 16

struct sci_sorted_tree_node {
    size_t count;
    sci_rank_key keys[SCI_SORTED_TREE_KEYS];
};

typedef struct sci_sorted_tree_leaf {
    sci_sorted_tree_node node;
    sci_sorted_tree_node *previous;
    sci_sorted_tree_node *next;
} sci_sorted_tree_leaf;

typedef struct sci_sorted_tree_inner {
    sci_sorted_tree_node node; /* the first key of each child */
    sci_sorted_tree_node *children[SCI_SORTED_TREE_KEYS];
    size_t sizes[SCI_SORTED_TREE_KEYS]; /* keys below each child */
} sci_sorted_tree_inner;

/* From a leaf (level 0) to the root: nodes, and the place in each. */
typedef struct sci_sorted_tree_path {
    sci_sorted_tree_node *nodes[SCI_SORTED_TREE_MAX_HEIGHT + 1];
    size_t at[SCI_SORTED_TREE_MAX_HEIGHT + 1];
} sci_sorted_tree_path;

static inline sci_sorted_tree_leaf *sci_sorted_tree_as_leaf(const sci_sorted_tree_node *node)
{
    return (sci_sorted_tree_leaf *)(void *)node;
}

static inline sci_sorted_tree_inner *sci_sorted_tree_as_inner(const sci_sorted_tree_node *node)
{
    return (sci_sorted_tree_inner *)(void *)node;
}

static inline size_t sci_sorted_tree_node_size(unsigned level)
{
    return level ? sizeof(sci_sorted_tree_inner) : sizeof(sci_sorted_tree_leaf);
}

static sci_sorted_tree_node *sci_sorted_tree_node_new(sci_sorted_tree *tree, unsigned level)
{
    size_t size = sci_sorted_tree_node_size(level);
    sci_sorted_tree_node *node = (sci_sorted_tree_node *)sci_alloc_zeroed(&tree->memory, size);
    if (node)
        tree->bytes += sci_counted_block(size);
    return node;
}

static void sci_sorted_tree_node_free(sci_sorted_tree *tree, sci_sorted_tree_node *node,
                                      unsigned level)
{
    tree->bytes -= sci_counted_block(sci_sorted_tree_node_size(level));
    sci_free(&tree->memory, node, sci_sorted_tree_node_size(level));
}

SCI_PRIVATE sc_status sci_sorted_tree_init(sci_sorted_tree *tree, const sc_memory *memory)
{
    memset(tree, 0, sizeof *tree);
    tree->memory = *memory;
    tree->root = sci_sorted_tree_node_new(tree, 0);
    return tree->root ? SC_OK : SC_ERR_MEMORY;
}

static void sci_sorted_tree_free_below(sci_sorted_tree *tree, sci_sorted_tree_node *node,
                                       unsigned level)
{
    if (level > 0)
        for (size_t i = 0; i < node->count; i++)
            sci_sorted_tree_free_below(tree, sci_sorted_tree_as_inner(node)->children[i],
                                       level - 1);
    sci_sorted_tree_node_free(tree, node, level);
}

SCI_PRIVATE void sci_sorted_tree_free(sci_sorted_tree *tree)
{
    sci_sorted_tree_free_below(tree, tree->root, tree->height);
}

/* Keys below a node. */
static size_t sci_sorted_tree_sum(const sci_sorted_tree_node *node, unsigned level)
{
    if (level == 0)
        return node->count;
    size_t sum = 0;
    for (size_t i = 0; i < node->count; i++)
        sum += sci_sorted_tree_as_inner(node)->sizes[i];
    return sum;
}

/* Copy `count` keys, and what belongs to them, from one place to another; they may overlap. */
static void sci_sorted_tree_copy(sci_sorted_tree_node *to, size_t to_at,
                                 const sci_sorted_tree_node *from, size_t from_at, size_t count,
                                 unsigned level)
{
    memmove(to->keys + to_at, from->keys + from_at, count * sizeof *to->keys);
    if (level == 0)
        return;
    sci_sorted_tree_inner *inner = sci_sorted_tree_as_inner(to);
    const sci_sorted_tree_inner *source = sci_sorted_tree_as_inner(from);
    memmove(inner->children + to_at, source->children + from_at, count * sizeof *inner->children);
    memmove(inner->sizes + to_at, source->sizes + from_at, count * sizeof *inner->sizes);
}

/* --- Looking up */

/* How many keys of a node, from `first` on, are before. */
static size_t sci_sorted_tree_search(const sci_sorted_tree_node *node, size_t first,
                                     sci_sorted_tree_before *before, const void *user)
{
    size_t low = first, high = node->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (before(user, &node->keys[middle]))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The way to the place after the last key that is before; in inner nodes, to the child that has it.
   Returns its rank. */
static size_t sci_sorted_tree_descend(const sci_sorted_tree *tree, sci_sorted_tree_before *before,
                                      const void *user, sci_sorted_tree_path *path)
{
    sci_sorted_tree_node *node = tree->root;
    size_t rank = 0;
    for (unsigned level = tree->height; level > 0; level--) {
        sci_sorted_tree_inner *inner = sci_sorted_tree_as_inner(node);
        size_t child = sci_sorted_tree_search(node, 1, before, user) - 1;
        path->nodes[level] = node;
        path->at[level] = child;
        for (size_t i = 0; i < child; i++)
            rank += inner->sizes[i];
        node = inner->children[child];
    }
    path->nodes[0] = node;
    path->at[0] = sci_sorted_tree_search(node, 0, before, user);
    return rank + path->at[0];
}

static int sci_rank_key_compare(const sci_rank_key *a, const sci_rank_key *b)
{
    if (a->score < b->score)
        return -1;
    if (a->score > b->score)
        return 1;
    return a->member == b->member ? 0
                                  : sci_slice_compare(sci_sorted_member_bytes(a->member),
                                                      sci_sorted_member_bytes(b->member));
}

static bool sci_sorted_tree_is_less(const void *user, const sci_rank_key *key)
{
    return sci_rank_key_compare(key, (const sci_rank_key *)user) < 0;
}

static bool sci_sorted_tree_is_up_to(const void *user, const sci_rank_key *key)
{
    return sci_rank_key_compare(key, (const sci_rank_key *)user) <= 0;
}

SCI_PRIVATE size_t sci_sorted_tree_rank(const sci_sorted_tree *tree, sci_sorted_tree_before *before,
                                        const void *user)
{
    sci_sorted_tree_path path;
    return sci_sorted_tree_descend(tree, before, user, &path);
}

SCI_PRIVATE size_t sci_sorted_tree_rank_of(const sci_sorted_tree *tree, const sci_rank_key *key)
{
    return sci_sorted_tree_rank(tree, sci_sorted_tree_is_less, key);
}

SCI_PRIVATE sci_sorted_tree_at sci_sorted_tree_seek(const sci_sorted_tree *tree, size_t rank)
{
    sci_assert(rank <= tree->count);
    const sci_sorted_tree_node *node = tree->root;
    for (unsigned level = tree->height; level > 0; level--) {
        const sci_sorted_tree_inner *inner = sci_sorted_tree_as_inner(node);
        size_t child = 0;
        while (child + 1 < node->count && rank >= inner->sizes[child])
            rank -= inner->sizes[child++];
        node = inner->children[child];
    }
    sci_sorted_tree_at at;
    at.leaf = node;
    at.index = rank;
    return at;
}

SCI_PRIVATE const sci_rank_key *sci_sorted_tree_next(sci_sorted_tree_at *at)
{
    if (at->index == at->leaf->count) {
        const sci_sorted_tree_node *next = sci_sorted_tree_as_leaf(at->leaf)->next;
        if (!next)
            return NULL;
        at->leaf = next;
        at->index = 0;
    }
    return &at->leaf->keys[at->index++];
}

SCI_PRIVATE const sci_rank_key *sci_sorted_tree_previous(sci_sorted_tree_at *at)
{
    if (at->index == 0) {
        const sci_sorted_tree_node *previous = sci_sorted_tree_as_leaf(at->leaf)->previous;
        if (!previous)
            return NULL;
        at->leaf = previous;
        at->index = previous->count;
    }
    return &at->leaf->keys[--at->index];
}

/* --- Inserting */

/* Nodes that a split takes, asked for before anything is changed. */
typedef struct sci_sorted_tree_spares {
    sci_sorted_tree_node *nodes[SCI_SORTED_TREE_MAX_HEIGHT + 2]; /* by level */
} sci_sorted_tree_spares;

static sc_status sci_sorted_tree_spare(sci_sorted_tree *tree, const sci_sorted_tree_path *path,
                                       sci_sorted_tree_spares *spares)
{
    unsigned level = 0;
    bool is_full = true;
    for (; is_full && level <= tree->height + 1; level++) {
        is_full = level > tree->height || path->nodes[level]->count == SCI_SORTED_TREE_KEYS;
        if (!is_full)
            break;
        spares->nodes[level] = sci_sorted_tree_node_new(tree, level);
        if (!spares->nodes[level]) {
            while (level-- > 0)
                sci_sorted_tree_node_free(tree, spares->nodes[level], level);
            return SC_ERR_MEMORY;
        }
    }
    return SC_OK;
}

static void sci_sorted_tree_link_after(sci_sorted_tree_node *node, sci_sorted_tree_node *fresh)
{
    sci_sorted_tree_leaf *left = sci_sorted_tree_as_leaf(node);
    sci_sorted_tree_leaf *right = sci_sorted_tree_as_leaf(fresh);
    right->previous = node;
    right->next = left->next;
    if (left->next)
        sci_sorted_tree_as_leaf(left->next)->previous = fresh;
    left->next = fresh;
}

static void sci_sorted_tree_unlink(sci_sorted_tree_node *node)
{
    sci_sorted_tree_leaf *leaf = sci_sorted_tree_as_leaf(node);
    if (leaf->previous)
        sci_sorted_tree_as_leaf(leaf->previous)->next = leaf->next;
    if (leaf->next)
        sci_sorted_tree_as_leaf(leaf->next)->previous = leaf->previous;
}

static void sci_sorted_tree_put_at(sci_sorted_tree_node *node, size_t at, const sci_rank_key *key,
                                   sci_sorted_tree_node *child, size_t size, unsigned level)
{
    sci_sorted_tree_copy(node, at + 1, node, at, node->count - at, level);
    node->keys[at] = *key;
    if (level > 0) {
        sci_sorted_tree_as_inner(node)->children[at] = child;
        sci_sorted_tree_as_inner(node)->sizes[at] = size;
    }
    node->count++;
}

/* What a level hands to the one above. */
typedef struct sci_sorted_tree_carry {
    sci_rank_key key;
    sci_sorted_tree_node *child; /* NULL: nothing; above the leaves, a new node */
    size_t size;                 /* of it */
} sci_sorted_tree_carry;

/* Put what is carried into the node of `level`, splitting it when it is full; `carry` is then the
   new right half. Keys that come in order, as time stamps do, leave full nodes behind: then
   `is_at_an_end`, and the node is split where the key goes. */
static void sci_sorted_tree_put(sci_sorted_tree_node *node, size_t at, sci_sorted_tree_carry *carry,
                                bool is_at_an_end, sci_sorted_tree_node *spare, unsigned level)
{
    if (node->count < SCI_SORTED_TREE_KEYS) {
        sci_sorted_tree_put_at(node, at, &carry->key, carry->child, carry->size, level);
        carry->child = NULL;
        return;
    }
    size_t split = is_at_an_end ? at : SCI_SORTED_TREE_KEYS / 2;
    sci_sorted_tree_copy(spare, 0, node, split, node->count - split, level);
    spare->count = node->count - split;
    node->count = split;
    if (level == 0)
        sci_sorted_tree_link_after(node, spare);
    if (at < split || (at == split && split < SCI_SORTED_TREE_KEYS))
        sci_sorted_tree_put_at(node, at, &carry->key, carry->child, carry->size, level);
    else
        sci_sorted_tree_put_at(spare, at - split, &carry->key, carry->child, carry->size, level);
    carry->key = spare->keys[0];
    carry->child = spare;
    carry->size = sci_sorted_tree_sum(spare, level);
}

static void sci_sorted_tree_grow(sci_sorted_tree *tree, sci_sorted_tree_node *root,
                                 const sci_sorted_tree_carry *carry)
{
    sci_sorted_tree_node *old = tree->root;
    unsigned level = tree->height + 1;
    sci_sorted_tree_put_at(root, 0, &old->keys[0], old, sci_sorted_tree_sum(old, tree->height),
                           level);
    sci_sorted_tree_put_at(root, 1, &carry->key, carry->child, carry->size, level);
    tree->root = root;
    tree->height = level;
}

SCI_PRIVATE sc_status sci_sorted_tree_insert(sci_sorted_tree *tree, const sci_rank_key *key)
{
    sci_sorted_tree_path path;
    sci_sorted_tree_spares spares;
    size_t rank = sci_sorted_tree_descend(tree, sci_sorted_tree_is_up_to, key, &path);
    if (sci_sorted_tree_spare(tree, &path, &spares) != SC_OK)
        return SC_ERR_MEMORY;
    bool is_at_an_end = rank == 0 || rank == tree->count;
    sci_sorted_tree_carry carry;
    carry.key = *key;
    carry.child = NULL;
    carry.size = 1;
    sci_sorted_tree_put(path.nodes[0], path.at[0], &carry, is_at_an_end, spares.nodes[0], 0);
    for (unsigned level = 1; level <= tree->height; level++) {
        sci_sorted_tree_inner *inner = sci_sorted_tree_as_inner(path.nodes[level]);
        size_t at = path.at[level];
        inner->node.keys[at] = inner->children[at]->keys[0];
        inner->sizes[at]++;
        if (carry.child) {
            inner->sizes[at] -= carry.size;
            sci_sorted_tree_put(&inner->node, at + 1, &carry, is_at_an_end, spares.nodes[level],
                                level);
        }
    }
    if (carry.child)
        sci_sorted_tree_grow(tree, spares.nodes[tree->height + 1], &carry);
    tree->count++;
    return SC_OK;
}

/* --- Removing */

static void sci_sorted_tree_take_at(sci_sorted_tree_node *node, size_t at, unsigned level)
{
    node->count--;
    sci_sorted_tree_copy(node, at, node, at + 1, node->count - at, level);
}

/* Free a child whose keys are in its neighbour now, or that has none. */
static void sci_sorted_tree_drop(sci_sorted_tree *tree, sci_sorted_tree_inner *inner, size_t at,
                                 unsigned level)
{
    sci_sorted_tree_node *child = inner->children[at];
    if (level == 1)
        sci_sorted_tree_unlink(child);
    sci_sorted_tree_node_free(tree, child, level - 1);
    sci_sorted_tree_take_at(&inner->node, at, level);
}

/* Join two neighbours if that leaves room enough. */
static bool sci_sorted_tree_join(sci_sorted_tree *tree, sci_sorted_tree_inner *inner, size_t at,
                                 unsigned level)
{
    sci_sorted_tree_node *left = inner->children[at];
    sci_sorted_tree_node *right = inner->children[at + 1];
    if (left->count + right->count > SCI_SORTED_TREE_JOINED)
        return false;
    sci_sorted_tree_copy(left, left->count, right, 0, right->count, level - 1);
    left->count += right->count;
    inner->sizes[at] += inner->sizes[at + 1];
    sci_sorted_tree_drop(tree, inner, at + 1, level);
    return true;
}

SCI_PRIVATE void sci_sorted_tree_remove(sci_sorted_tree *tree, const sci_rank_key *key)
{
    sci_sorted_tree_path path;
    (void)sci_sorted_tree_descend(tree, sci_sorted_tree_is_up_to, key, &path);
    sci_assert(path.at[0] > 0 && path.nodes[0]->keys[path.at[0] - 1].member == key->member);
    sci_sorted_tree_take_at(path.nodes[0], path.at[0] - 1, 0);
    for (unsigned level = 1; level <= tree->height; level++) {
        sci_sorted_tree_inner *inner = sci_sorted_tree_as_inner(path.nodes[level]);
        size_t at = path.at[level];
        inner->sizes[at]--;
        if (inner->children[at]->count == 0) {
            sci_sorted_tree_drop(tree, inner, at, level);
            continue;
        }
        inner->node.keys[at] = inner->children[at]->keys[0];
        bool is_joined = at + 1 < inner->node.count && sci_sorted_tree_join(tree, inner, at, level);
        if (!is_joined && at > 0)
            (void)sci_sorted_tree_join(tree, inner, at - 1, level);
    }
    while (tree->height > 0 && tree->root->count == 1) {
        sci_sorted_tree_node *root = tree->root;
        tree->root = sci_sorted_tree_as_inner(root)->children[0];
        sci_sorted_tree_node_free(tree, root, tree->height);
        tree->height--;
    }
    tree->count--;
}

/* Where the neighbours in its leaf allow it, change the score alone: a score that counts up seldom
   changes the order. The first and the last of a leaf are left out, since other nodes know them. */
static bool sci_sorted_tree_move_in_place(sci_sorted_tree *tree, const sci_rank_key *key,
                                          const sci_rank_key *moved)
{
    sci_sorted_tree_path path;
    (void)sci_sorted_tree_descend(tree, sci_sorted_tree_is_up_to, key, &path);
    sci_sorted_tree_node *leaf = path.nodes[0];
    size_t at = path.at[0] - 1;
    if (at == 0 || at + 1 == leaf->count || sci_rank_key_compare(&leaf->keys[at - 1], moved) > 0 ||
        sci_rank_key_compare(&leaf->keys[at + 1], moved) < 0)
        return false;
    leaf->keys[at].score = moved->score;
    return true;
}

SCI_PRIVATE sc_status sci_sorted_tree_move(sci_sorted_tree *tree, const sci_rank_key *key,
                                           double score)
{
    sci_rank_key moved = *key;
    moved.score = score;
    if (sci_sorted_tree_move_in_place(tree, key, &moved))
        return SC_OK;
    if (sci_sorted_tree_insert(tree, &moved) != SC_OK)
        return SC_ERR_MEMORY;
    sci_sorted_tree_remove(tree, key);
    return SC_OK;
}

/* MARK: - Server: sorted sets: small ones (Private) */
/* A member's layout: a byte for its length, 8 for its score, its bytes, a byte for the size of all
   of this. */

/* Few small members of a sorted set in one block, in order, each with its length before and its
   size behind. Looking up goes through them one by one. */

#define SCI_SORTED_PACK_MEMBERS 128
#define SCI_SORTED_PACK_MEMBER_BYTES 64

typedef struct sci_sorted_pack {
    unsigned char *data; /* owned */
    uint32_t len;
    uint32_t cap;
    uint32_t count;
    bool has_negative_zeros; /* not: -0 is put as 0 */
} sci_sorted_pack;

/* Leaves an empty one. Nothing is owned before the first is put. */
SCI_PRIVATE void sci_sorted_pack_free(const sc_memory *memory, sci_sorted_pack *packed);
SCI_PRIVATE sc_status sci_sorted_pack_copy(const sc_memory *memory, sci_sorted_pack *copy,
                                           const sci_sorted_pack *packed);
/* Where the member is; `len` when it is not there. */
SCI_PRIVATE size_t sci_sorted_pack_find(const sci_sorted_pack *packed, sc_slice member);
/* The member that begins, or ends, at `offset`, which moves over it; false at the end. */
SCI_PRIVATE bool sci_sorted_pack_next(const sci_sorted_pack *packed, size_t *offset,
                                      sc_slice *member, double *score);
SCI_PRIVATE bool sci_sorted_pack_previous(const sci_sorted_pack *packed, size_t *offset,
                                          sc_slice *member, double *score);
SCI_PRIVATE size_t sci_sorted_pack_offset_of(const sci_sorted_pack *packed, size_t rank);
SCI_PRIVATE size_t sci_sorted_pack_rank_of(const sci_sorted_pack *packed, size_t offset);
/* A member that is not there, and for which there is room (see the limits above). SC_ERR_MEMORY
   leaves all as it was. */
SCI_PRIVATE sc_status sci_sorted_pack_insert(const sc_memory *memory, sci_sorted_pack *packed,
                                             sc_slice member, double score);
/* The member at `offset`. */
SCI_PRIVATE void sci_sorted_pack_set_score(sci_sorted_pack *packed, size_t offset, double score);
/* The members from one offset up to another. */
SCI_PRIVATE void sci_sorted_pack_cut(const sc_memory *memory, sci_sorted_pack *packed, size_t start,
                                     size_t end);
/* Make each -0 a 0. */
SCI_PRIVATE void sci_sorted_pack_drop_signs(sci_sorted_pack *packed);

#define SCI_SORTED_PACK_HEAD (1 + sizeof(double))
#define SCI_SORTED_PACK_OVERHEAD (SCI_SORTED_PACK_HEAD + 1)

SCI_STATIC_ASSERT(SCI_SORTED_PACK_MEMBER_BYTES + SCI_SORTED_PACK_OVERHEAD <= 255,
                  a_packed_size_fits_a_byte);

static inline size_t sci_sorted_pack_size_at(const sci_sorted_pack *packed, size_t offset)
{
    return packed->data[offset] + SCI_SORTED_PACK_OVERHEAD;
}

SCI_PRIVATE void sci_sorted_pack_free(const sc_memory *memory, sci_sorted_pack *packed)
{
    sci_free(memory, packed->data, packed->cap);
    packed->data = NULL;
    packed->len = 0;
    packed->cap = 0;
    packed->count = 0;
}

SCI_PRIVATE sc_status sci_sorted_pack_copy(const sc_memory *memory, sci_sorted_pack *copy,
                                           const sci_sorted_pack *packed)
{
    *copy = *packed;
    copy->cap = packed->len;
    copy->data = NULL;
    if (packed->len == 0)
        return SC_OK;
    copy->data = (unsigned char *)sci_resize(memory, NULL, 0, copy->cap);
    if (!copy->data)
        return SC_ERR_MEMORY;
    memcpy(copy->data, packed->data, packed->len);
    return SC_OK;
}

static void sci_sorted_pack_read(const sci_sorted_pack *packed, size_t offset, sc_slice *member,
                                 double *score)
{
    const unsigned char *at = packed->data + offset;
    *member = sc_bytes(at + SCI_SORTED_PACK_HEAD, *at);
    memcpy(score, at + 1, sizeof *score);
}

SCI_PRIVATE bool sci_sorted_pack_next(const sci_sorted_pack *packed, size_t *offset,
                                      sc_slice *member, double *score)
{
    if (*offset == packed->len)
        return false;
    sci_sorted_pack_read(packed, *offset, member, score);
    *offset += sci_sorted_pack_size_at(packed, *offset);
    return true;
}

SCI_PRIVATE bool sci_sorted_pack_previous(const sci_sorted_pack *packed, size_t *offset,
                                          sc_slice *member, double *score)
{
    if (*offset == 0)
        return false;
    *offset -= packed->data[*offset - 1];
    sci_sorted_pack_read(packed, *offset, member, score);
    return true;
}

SCI_PRIVATE size_t sci_sorted_pack_find(const sci_sorted_pack *packed, sc_slice member)
{
    size_t offset = 0;
    for (; offset < packed->len; offset += sci_sorted_pack_size_at(packed, offset)) {
        const unsigned char *at = packed->data + offset;
        if (sci_slice_equal(sc_bytes(at + SCI_SORTED_PACK_HEAD, *at), member))
            break;
    }
    return offset;
}

SCI_PRIVATE size_t sci_sorted_pack_offset_of(const sci_sorted_pack *packed, size_t rank)
{
    size_t offset = 0;
    for (; rank > 0; rank--)
        offset += sci_sorted_pack_size_at(packed, offset);
    return offset;
}

SCI_PRIVATE size_t sci_sorted_pack_rank_of(const sci_sorted_pack *packed, size_t offset)
{
    size_t rank = 0;
    for (size_t at = 0; at < offset; at += sci_sorted_pack_size_at(packed, at))
        rank++;
    return rank;
}

/* Give the block another size, `cap` not being less than what is there. */
static bool sci_sorted_pack_resize(const sc_memory *memory, sci_sorted_pack *packed, size_t cap)
{
    /* All that the allocator's block has. */
    cap = sci_counted_block(cap) - sizeof(size_t);
    unsigned char *data =
        (unsigned char *)memory->resize(memory->user, packed->data, packed->cap, cap);
    if (!data)
        return false;
    packed->data = data;
    packed->cap = (uint32_t)cap;
    return true;
}

/* Where a member of that score belongs. */
static size_t sci_sorted_pack_place(const sci_sorted_pack *packed, sc_slice member, double score)
{
    size_t offset = 0, next = 0;
    sc_slice other;
    double other_score;
    while (sci_sorted_pack_next(packed, &next, &other, &other_score)) {
        if (other_score > score || (other_score >= score && sci_slice_compare(other, member) > 0))
            break;
        offset = next;
    }
    return offset;
}

static void sci_sorted_pack_write(sci_sorted_pack *packed, sc_slice member, double score)
{
    size_t offset = sci_sorted_pack_place(packed, member, score);
    size_t size = member.len + SCI_SORTED_PACK_OVERHEAD;
    unsigned char *at = packed->data + offset;
    memmove(at + size, at, packed->len - offset);
    if (!packed->has_negative_zeros)
        score += 0; /* makes -0 a 0 */
    at[0] = (unsigned char)member.len;
    memcpy(at + 1, &score, sizeof score);
    if (member.len > 0)
        memcpy(at + SCI_SORTED_PACK_HEAD, member.data, member.len);
    at[size - 1] = (unsigned char)size;
    packed->len += (uint32_t)size;
}

SCI_PRIVATE sc_status sci_sorted_pack_insert(const sc_memory *memory, sci_sorted_pack *packed,
                                             sc_slice member, double score)
{
    sci_assert(member.len <= SCI_SORTED_PACK_MEMBER_BYTES &&
               packed->count < SCI_SORTED_PACK_MEMBERS);
    size_t need = packed->len + member.len + SCI_SORTED_PACK_OVERHEAD;
    if (need > packed->cap && !sci_sorted_pack_resize(memory, packed, need + packed->len / 8))
        return SC_ERR_MEMORY;
    sci_sorted_pack_write(packed, member, score);
    packed->count++;
    return SC_OK;
}

static void sci_sorted_pack_close_gap(sci_sorted_pack *packed, size_t start, size_t end)
{
    memmove(packed->data + start, packed->data + end, packed->len - end);
    packed->len -= (uint32_t)(end - start);
}

SCI_PRIVATE void sci_sorted_pack_set_score(sci_sorted_pack *packed, size_t offset, double score)
{
    /* A copy: its place in the block is about to be taken by others. */
    char bytes[SCI_SORTED_PACK_MEMBER_BYTES];
    sc_slice member;
    double old_score;
    sci_sorted_pack_read(packed, offset, &member, &old_score);
    memcpy(bytes, member.data, member.len);
    sci_sorted_pack_close_gap(packed, offset, offset + member.len + SCI_SORTED_PACK_OVERHEAD);
    sci_sorted_pack_write(packed, sc_bytes(bytes, member.len), score);
}

SCI_PRIVATE void sci_sorted_pack_cut(const sc_memory *memory, sci_sorted_pack *packed, size_t start,
                                     size_t end)
{
    for (size_t at = start; at < end; at += sci_sorted_pack_size_at(packed, at))
        packed->count--;
    sci_sorted_pack_close_gap(packed, start, end);
    if (packed->len > 0 && packed->len < packed->cap / 2)
        (void)sci_sorted_pack_resize(memory, packed, packed->len);
}

SCI_PRIVATE void sci_sorted_pack_drop_signs(sci_sorted_pack *packed)
{
    size_t offset = 0;
    for (; offset < packed->len; offset += sci_sorted_pack_size_at(packed, offset)) {
        double score;
        memcpy(&score, packed->data + offset + 1, sizeof score);
        score += 0;
        memcpy(packed->data + offset + 1, &score, sizeof score);
    }
}

/* MARK: - Server: sorted sets: large ones (Private) */
/* Members of a sorted set that is not small. */

/* Many members of a sorted set: a block each, found by the tree in their order and by the index
   from their bytes. */

typedef struct sci_sorted_full {
    sc_memory memory;
    sci_sorted_tree tree;
    sci_sorted_index index;
    size_t member_bytes; /* that the members take of memory */
} sci_sorted_full;

/* NULL: no memory. */
SCI_PRIVATE sci_sorted_full *sci_sorted_full_new(const sc_memory *memory,
                                                 const sci_hash_seed *seed);
SCI_PRIVATE void sci_sorted_full_free(sci_sorted_full *full);
/* NULL: it is not there. */
SCI_PRIVATE sci_sorted_member *sci_sorted_full_find(const sci_sorted_full *full, sc_slice bytes);
/* Add a member, or change its score. SC_ERR_MEMORY leaves all as it was. */
SCI_PRIVATE sc_status sci_sorted_full_put(sci_sorted_full *full, sc_slice bytes, double score);
/* A member that is there. */
SCI_PRIVATE void sci_sorted_full_remove(sci_sorted_full *full, sci_sorted_member *member);
/* What was given of memory, this struct included. */
SCI_PRIVATE size_t sci_sorted_full_bytes(const sci_sorted_full *full);

static inline sci_rank_key sci_sorted_member_key(sci_sorted_member *member)
{
    sci_rank_key key;
    key.score = member->score;
    key.member = member;
    return key;
}

/* The same as sci_sorted_full_put in two steps, so that several members are put all or not at all.
   The first may fail, and leaves all as it was; each that has not is followed by `finish` or `undo`
   before anything else is done with the set. A member that is there does not have that score
   already, and is named once. */
SCI_PRIVATE sc_status sci_sorted_full_prepare(sci_sorted_full *full, sc_slice bytes, double score);
SCI_PRIVATE void sci_sorted_full_finish(sci_sorted_full *full, sc_slice bytes, double score);
SCI_PRIVATE void sci_sorted_full_undo(sci_sorted_full *full, sc_slice bytes, double score);

static inline size_t sci_sorted_member_size(size_t len)
{
    return sizeof(sci_sorted_member) + 1 + (len < SCI_SORTED_MEMBER_LONG ? 0 : sizeof(uint32_t)) +
           len;
}

static sci_sorted_member *sci_sorted_member_new(sci_sorted_full *full, sc_slice bytes, double score)
{
    size_t size = sci_sorted_member_size(bytes.len);
    sci_sorted_member *member = (sci_sorted_member *)sci_resize(&full->memory, NULL, 0, size);
    if (!member)
        return NULL;
    member->score = score;
    unsigned char *at = (unsigned char *)(member + 1);
    uint32_t len = (uint32_t)bytes.len;
    *at++ = len < SCI_SORTED_MEMBER_LONG ? (unsigned char)len : SCI_SORTED_MEMBER_LONG;
    if (len >= SCI_SORTED_MEMBER_LONG) {
        memcpy(at, &len, sizeof len);
        at += sizeof len;
    }
    if (len > 0)
        memcpy(at, bytes.data, len);
    full->member_bytes += sci_counted_block(size);
    return member;
}

static void sci_sorted_member_free(sci_sorted_full *full, sci_sorted_member *member)
{
    size_t size = sci_sorted_member_size(sci_sorted_member_bytes(member).len);
    full->member_bytes -= sci_counted_block(size);
    sci_free(&full->memory, member, size);
}

SCI_PRIVATE sci_sorted_full *sci_sorted_full_new(const sc_memory *memory, const sci_hash_seed *seed)
{
    sci_sorted_full *full = (sci_sorted_full *)sci_alloc_zeroed(memory, sizeof *full);
    if (!full)
        return NULL;
    full->memory = *memory;
    if (sci_sorted_tree_init(&full->tree, memory) != SC_OK)
        goto no_tree;
    if (sci_sorted_index_init(&full->index, memory, seed) != SC_OK)
        goto no_index;
    return full;
no_index:
    sci_sorted_tree_free(&full->tree);
no_tree:
    sci_free(memory, full, sizeof *full);
    return NULL;
}

SCI_PRIVATE void sci_sorted_full_free(sci_sorted_full *full)
{
    sc_memory memory = full->memory;
    sci_sorted_tree_at at = sci_sorted_tree_seek(&full->tree, 0);
    for (const sci_rank_key *key; (key = sci_sorted_tree_next(&at)) != NULL;)
        sci_sorted_member_free(full, key->member);
    sci_sorted_tree_free(&full->tree);
    sci_sorted_index_free(&full->index);
    sci_free(&memory, full, sizeof *full);
}

SCI_PRIVATE sci_sorted_member *sci_sorted_full_find(const sci_sorted_full *full, sc_slice bytes)
{
    return sci_sorted_index_find(&full->index, bytes);
}

/* A member that is not there. */
static sc_status sci_sorted_full_add(sci_sorted_full *full, sc_slice bytes, double score)
{
    sci_sorted_member *member = sci_sorted_member_new(full, bytes, score);
    if (!member)
        return SC_ERR_MEMORY;
    sci_rank_key key = sci_sorted_member_key(member);
    if (sci_sorted_tree_insert(&full->tree, &key) != SC_OK)
        goto failed;
    if (sci_sorted_index_put(&full->index, member) == SC_OK)
        return SC_OK;
    sci_sorted_tree_remove(&full->tree, &key);
failed:
    sci_sorted_member_free(full, member);
    return SC_ERR_MEMORY;
}

static inline bool sci_sorted_member_has(const sci_sorted_member *member, double score)
{
    return member->score <= score && member->score >= score;
}

SCI_PRIVATE sc_status sci_sorted_full_put(sci_sorted_full *full, sc_slice bytes, double score)
{
    sci_sorted_member *member = sci_sorted_full_find(full, bytes);
    if (!member)
        return sci_sorted_full_add(full, bytes, score);
    if (!sci_sorted_member_has(member, score)) {
        sci_rank_key key = sci_sorted_member_key(member);
        if (sci_sorted_tree_move(&full->tree, &key, score) != SC_OK)
            return SC_ERR_MEMORY;
    }
    /* Also where 0 becomes -0, which is the same place. */
    member->score = score;
    return SC_OK;
}

SCI_PRIVATE void sci_sorted_full_remove(sci_sorted_full *full, sci_sorted_member *member)
{
    sci_rank_key key = sci_sorted_member_key(member);
    sci_sorted_tree_remove(&full->tree, &key);
    sci_sorted_index_remove(&full->index, member);
    sci_sorted_member_free(full, member);
}

SCI_PRIVATE size_t sci_sorted_full_bytes(const sci_sorted_full *full)
{
    return sci_counted_block(sizeof *full) + full->tree.bytes + full->index.bytes +
           full->member_bytes;
}

/* A member that is there gets a second key in the tree, with its new score; removing the old one
   cannot fail. */
SCI_PRIVATE sc_status sci_sorted_full_prepare(sci_sorted_full *full, sc_slice bytes, double score)
{
    sci_rank_key key;
    key.member = sci_sorted_full_find(full, bytes);
    key.score = score;
    if (!key.member)
        return sci_sorted_full_add(full, bytes, score);
    sci_assert(!sci_sorted_member_has(key.member, score));
    return sci_sorted_tree_insert(&full->tree, &key);
}

SCI_PRIVATE void sci_sorted_full_finish(sci_sorted_full *full, sc_slice bytes, double score)
{
    sci_sorted_member *member = sci_sorted_full_find(full, bytes);
    if (sci_sorted_member_has(member, score))
        return; /* it is new */
    sci_rank_key key = sci_sorted_member_key(member);
    sci_sorted_tree_remove(&full->tree, &key);
    member->score = score;
}

SCI_PRIVATE void sci_sorted_full_undo(sci_sorted_full *full, sc_slice bytes, double score)
{
    sci_rank_key key;
    key.member = sci_sorted_full_find(full, bytes);
    key.score = score;
    if (sci_sorted_member_has(key.member, score))
        sci_sorted_full_remove(full, key.member);
    else
        sci_sorted_tree_remove(&full->tree, &key);
}

/* MARK: - Server: sorted sets (Private) */
/* The sorted set: packed while it is small, else a tree by order and an index by bytes. */

/* The sorted set: members in the order of their scores, and of their bytes where those are equal.
   A small one is one block of packed members; a larger one a B+-tree that counts, and an index by
   bytes. Ranks count from 0. Functions that take `memory` take the same one for the same set. */

typedef struct sci_sorted sci_sorted;

/* `seed` outlives the set and its copies. NULL: no memory. */
SCI_PRIVATE sci_sorted *sci_sorted_new(const sc_memory *memory, const sci_hash_seed *seed);
/* In a packed set -0 becomes 0, as it does in Redis; except where `keeps` was said, until it is taken
   back: in sets that no database has. */
SCI_PRIVATE void sci_sorted_keep_signs(sci_sorted *set, bool keeps);
SCI_PRIVATE size_t sci_sorted_count(const sci_sorted *set);
SCI_PRIVATE bool sci_sorted_is_packed(const sci_sorted *set);
SCI_PRIVATE bool sci_sorted_find(const sci_sorted *set, sc_slice member, double *score);
SCI_PRIVATE bool sci_sorted_rank(const sci_sorted *set, sc_slice member, size_t *rank);
/* Add a member, or change its score, which is not NaN. SC_ERR_MEMORY leaves all as it was. */
SCI_PRIVATE sc_status sci_sorted_put(const sc_memory *memory, sci_sorted *set, sc_slice member,
                                     double score);
/* The same for all members of `changes`, none of which is in the set with that very score; all or
   none. */
SCI_PRIVATE sc_status sci_sorted_put_all(const sc_memory *memory, sci_sorted *set,
                                         const sci_sorted *changes);
/* False: it was not there. */
SCI_PRIVATE bool sci_sorted_remove(const sc_memory *memory, sci_sorted *set, sc_slice member);
/* Remove ranks `start` up to, but not, `end`. */
SCI_PRIVATE void sci_sorted_remove_range(const sc_memory *memory, sci_sorted *set, size_t start,
                                         size_t end);

/* One end of a range, by score or by bytes. */
typedef struct sci_sorted_bound {
    double score;
    sc_slice bytes;
    int infinite; /* by bytes: -1 before all, 1 after all, 0: at `bytes` */
    bool is_exclusive;
} sci_sorted_bound;

typedef struct sci_sorted_range {
    sci_sorted_bound least, most;
    bool is_by_bytes; /* of members that all have the same score; else any order is as good */
} sci_sorted_range;

/* The ranks that are in the range: `*start` up to, but not, `*end`. */
SCI_PRIVATE void sci_sorted_find_range(const sci_sorted *set, const sci_sorted_range *range,
                                       size_t *start, size_t *end);

/* Goes through members in order, or backwards, until the set is changed. */
typedef struct sci_sorted_walk {
    const sci_sorted *set;
    sci_sorted_tree_at at;
    size_t offset; /* where the set is packed */
    bool is_backward;
} sci_sorted_walk;

/* The first is the one at `rank`. */
SCI_PRIVATE void sci_sorted_walk_begin(sci_sorted_walk *walk, const sci_sorted *set, size_t rank,
                                       bool is_backward);
/* False at the end. `member` is valid until the set is changed. */
SCI_PRIVATE bool sci_sorted_walk_next(sci_sorted_walk *walk, sc_slice *member, double *score);

/* Visit some members; returns the next cursor, 0 at the end. Members that are there from the first
   step (cursor 0) to the last are visited at least once. `visit` must not change the set. */
typedef void sci_sorted_visit(void *user, sc_slice member, double score);
SCI_PRIVATE uint64_t sci_sorted_scan(const sci_sorted *set, uint64_t cursor,
                                     sci_sorted_visit *visit, void *user);

/* For sci_type_table. */
SCI_PRIVATE void sci_sorted_release(const sc_memory *memory, void *object);
SCI_PRIVATE void *sci_sorted_copy(const sc_memory *memory, const void *object);
SCI_PRIVATE sc_status sci_sorted_dump(const void *object, sc_slice key, sci_dump *dump);
SCI_PRIVATE size_t sci_sorted_bytes(const void *object);

struct sci_sorted {
    const sci_hash_seed *seed;
    sci_sorted_full *full; /* owned; NULL: all is in `packed` */
    sci_sorted_pack packed;
};

SCI_PRIVATE sci_sorted *sci_sorted_new(const sc_memory *memory, const sci_hash_seed *seed)
{
    sci_sorted *set = (sci_sorted *)sci_alloc_zeroed(memory, sizeof *set);
    if (set)
        set->seed = seed;
    return set;
}

SCI_PRIVATE void sci_sorted_keep_signs(sci_sorted *set, bool keeps)
{
    set->packed.has_negative_zeros = keeps;
    if (!keeps && !set->full)
        sci_sorted_pack_drop_signs(&set->packed);
}

SCI_PRIVATE size_t sci_sorted_count(const sci_sorted *set)
{
    return set->full ? set->full->tree.count : set->packed.count;
}

SCI_PRIVATE bool sci_sorted_is_packed(const sci_sorted *set)
{
    return !set->full;
}

/* Add the members of another set. */
static sc_status sci_sorted_full_fill(sci_sorted_full *full, const sci_sorted *from)
{
    sci_sorted_walk walk;
    sc_slice member;
    double score;
    sci_sorted_walk_begin(&walk, from, 0, false);
    while (sci_sorted_walk_next(&walk, &member, &score))
        if (sci_sorted_full_put(full, member, score) != SC_OK)
            return SC_ERR_MEMORY;
    return SC_OK;
}

/* A full set with the members of another; NULL: no memory. */
static sci_sorted_full *sci_sorted_full_of(const sc_memory *memory, const sci_sorted *from)
{
    sci_sorted_full *full = sci_sorted_full_new(memory, from->seed);
    if (full && sci_sorted_full_fill(full, from) != SC_OK) {
        sci_sorted_full_free(full);
        return NULL;
    }
    return full;
}

/* --- One by one */

SCI_PRIVATE bool sci_sorted_find(const sci_sorted *set, sc_slice member, double *score)
{
    if (!set->full) {
        size_t offset = sci_sorted_pack_find(&set->packed, member);
        return sci_sorted_pack_next(&set->packed, &offset, &member, score);
    }
    const sci_sorted_member *found = sci_sorted_full_find(set->full, member);
    if (found)
        *score = found->score;
    return found != NULL;
}

SCI_PRIVATE bool sci_sorted_rank(const sci_sorted *set, sc_slice member, size_t *rank)
{
    if (!set->full) {
        size_t offset = sci_sorted_pack_find(&set->packed, member);
        *rank = sci_sorted_pack_rank_of(&set->packed, offset);
        return offset < set->packed.len;
    }
    sci_sorted_member *found = sci_sorted_full_find(set->full, member);
    if (!found)
        return false;
    sci_rank_key key = sci_sorted_member_key(found);
    *rank = sci_sorted_tree_rank_of(&set->full->tree, &key);
    return true;
}

SCI_PRIVATE sc_status sci_sorted_put(const sc_memory *memory, sci_sorted *set, sc_slice member,
                                     double score)
{
    if (!set->full) {
        size_t offset = sci_sorted_pack_find(&set->packed, member);
        if (offset < set->packed.len) {
            sci_sorted_pack_set_score(&set->packed, offset, score);
            return SC_OK;
        }
        if (member.len <= SCI_SORTED_PACK_MEMBER_BYTES &&
            set->packed.count < SCI_SORTED_PACK_MEMBERS)
            return sci_sorted_pack_insert(memory, &set->packed, member, score);
        sci_sorted_full *full = sci_sorted_full_of(memory, set);
        if (!full)
            return SC_ERR_MEMORY;
        sci_sorted_pack_free(memory, &set->packed);
        set->full = full;
    }
    return sci_sorted_full_put(set->full, member, score);
}

/* --- Several at once */

static sc_status sci_sorted_full_put_all(sci_sorted_full *full, const sci_sorted *changes)
{
    sci_sorted_walk walk;
    sc_slice member;
    double score;
    size_t prepared = 0;
    sc_status status = SC_OK;
    sci_sorted_walk_begin(&walk, changes, 0, false);
    while (status == SC_OK && sci_sorted_walk_next(&walk, &member, &score)) {
        status = sci_sorted_full_prepare(full, member, score);
        prepared += status == SC_OK;
    }
    sci_sorted_walk_begin(&walk, changes, 0, false);
    for (; prepared > 0 && sci_sorted_walk_next(&walk, &member, &score); prepared--) {
        if (status == SC_OK)
            sci_sorted_full_finish(full, member, score);
        else
            sci_sorted_full_undo(full, member, score);
    }
    return status;
}

/* A small set is made anew. */
static sc_status sci_sorted_small_put_all(const sc_memory *memory, sci_sorted *set,
                                          const sci_sorted *changes)
{
    sci_sorted_walk walk;
    sc_slice member;
    double score;
    sci_sorted *renewed = (sci_sorted *)sci_sorted_copy(memory, set);
    if (!renewed)
        return SC_ERR_MEMORY;
    sc_status status = SC_OK;
    sci_sorted_walk_begin(&walk, changes, 0, false);
    while (status == SC_OK && sci_sorted_walk_next(&walk, &member, &score))
        status = sci_sorted_put(memory, renewed, member, score);
    if (status == SC_OK) {
        sci_sorted old = *set;
        *set = *renewed;
        *renewed = old;
    }
    sci_sorted_release(memory, renewed);
    return status;
}

SCI_PRIVATE sc_status sci_sorted_put_all(const sc_memory *memory, sci_sorted *set,
                                         const sci_sorted *changes)
{
    return set->full ? sci_sorted_full_put_all(set->full, changes)
                     : sci_sorted_small_put_all(memory, set, changes);
}

/* --- Removing */

SCI_PRIVATE bool sci_sorted_remove(const sc_memory *memory, sci_sorted *set, sc_slice member)
{
    if (!set->full) {
        size_t start = sci_sorted_pack_find(&set->packed, member), end = start;
        double score;
        if (!sci_sorted_pack_next(&set->packed, &end, &member, &score))
            return false;
        sci_sorted_pack_cut(memory, &set->packed, start, end);
        return true;
    }
    sci_sorted_member *found = sci_sorted_full_find(set->full, member);
    if (found)
        sci_sorted_full_remove(set->full, found);
    return found != NULL;
}

SCI_PRIVATE void sci_sorted_remove_range(const sc_memory *memory, sci_sorted *set, size_t start,
                                         size_t end)
{
    if (!set->full) {
        size_t start_offset = sci_sorted_pack_offset_of(&set->packed, start);
        size_t end_offset = sci_sorted_pack_offset_of(&set->packed, end);
        sci_sorted_pack_cut(memory, &set->packed, start_offset, end_offset);
        return;
    }
    for (; start < end; end--) {
        sci_sorted_tree_at at = sci_sorted_tree_seek(&set->full->tree, start);
        sci_sorted_full_remove(set->full, sci_sorted_tree_next(&at)->member);
    }
}

/* --- Ranges */

static bool sci_sorted_is_below(const sci_sorted_range *range, double score, sc_slice member)
{
    const sci_sorted_bound *least = &range->least;
    if (!range->is_by_bytes)
        return score < least->score || (least->is_exclusive && score <= least->score);
    if (least->infinite != 0)
        return least->infinite > 0;
    int order = sci_slice_compare(member, least->bytes);
    return order < 0 || (least->is_exclusive && order == 0);
}

static bool sci_sorted_is_above(const sci_sorted_range *range, double score, sc_slice member)
{
    const sci_sorted_bound *most = &range->most;
    if (!range->is_by_bytes)
        return score > most->score || (most->is_exclusive && score >= most->score);
    if (most->infinite != 0)
        return most->infinite < 0;
    int order = sci_slice_compare(member, most->bytes);
    return order > 0 || (most->is_exclusive && order == 0);
}

static bool sci_sorted_key_is_below(const void *user, const sci_rank_key *key)
{
    return sci_sorted_is_below((const sci_sorted_range *)user, key->score,
                               sci_sorted_member_bytes(key->member));
}

static bool sci_sorted_key_is_not_above(const void *user, const sci_rank_key *key)
{
    return !sci_sorted_is_above((const sci_sorted_range *)user, key->score,
                                sci_sorted_member_bytes(key->member));
}

SCI_PRIVATE void sci_sorted_find_range(const sci_sorted *set, const sci_sorted_range *range,
                                       size_t *start, size_t *end)
{
    if (set->full) {
        *start = sci_sorted_tree_rank(&set->full->tree, sci_sorted_key_is_below, range);
        *end = sci_sorted_tree_rank(&set->full->tree, sci_sorted_key_is_not_above, range);
        *end = sci_max_size(*start, *end);
        return;
    }
    size_t offset = 0, rank = 0;
    sc_slice member;
    double score;
    *start = 0;
    for (; sci_sorted_pack_next(&set->packed, &offset, &member, &score); rank++) {
        if (*start == rank && sci_sorted_is_below(range, score, member))
            ++*start;
        else if (sci_sorted_is_above(range, score, member))
            break;
    }
    *end = rank;
}

/* --- All of them */

SCI_PRIVATE void sci_sorted_walk_begin(sci_sorted_walk *walk, const sci_sorted *set, size_t rank,
                                       bool is_backward)
{
    size_t place = is_backward ? rank + 1 : rank;
    memset(walk, 0, sizeof *walk);
    walk->set = set;
    walk->is_backward = is_backward;
    if (set->full)
        walk->at = sci_sorted_tree_seek(&set->full->tree, place);
    else
        walk->offset = sci_sorted_pack_offset_of(&set->packed, place);
}

SCI_PRIVATE bool sci_sorted_walk_next(sci_sorted_walk *walk, sc_slice *member, double *score)
{
    const sci_sorted *set = walk->set;
    if (!set->full)
        return walk->is_backward
                   ? sci_sorted_pack_previous(&set->packed, &walk->offset, member, score)
                   : sci_sorted_pack_next(&set->packed, &walk->offset, member, score);
    const sci_rank_key *key =
        walk->is_backward ? sci_sorted_tree_previous(&walk->at) : sci_sorted_tree_next(&walk->at);
    if (!key)
        return false;
    *member = sci_sorted_member_bytes(key->member);
    *score = key->member->score;
    return true;
}

typedef struct sci_sorted_visitor {
    sci_sorted_visit *visit;
    void *user;
} sci_sorted_visitor;

static void sci_sorted_visit_member(void *user, const sci_sorted_member *member)
{
    const sci_sorted_visitor *visitor = (const sci_sorted_visitor *)user;
    visitor->visit(visitor->user, sci_sorted_member_bytes(member), member->score);
}

SCI_PRIVATE uint64_t sci_sorted_scan(const sci_sorted *set, uint64_t cursor,
                                     sci_sorted_visit *visit, void *user)
{
    if (set->full) {
        sci_sorted_visitor visitor;
        visitor.visit = visit;
        visitor.user = user;
        return sci_sorted_index_walk(&set->full->index, cursor, sci_sorted_visit_member, &visitor);
    }
    size_t offset = 0;
    sc_slice member;
    double score;
    while (sci_sorted_pack_next(&set->packed, &offset, &member, &score))
        visit(user, member, score);
    return 0;
}

/* --- As an object of a database */

SCI_PRIVATE void sci_sorted_release(const sc_memory *memory, void *object)
{
    sci_sorted *set = (sci_sorted *)object;
    if (set->full)
        sci_sorted_full_free(set->full);
    sci_sorted_pack_free(memory, &set->packed);
    sci_free(memory, set, sizeof *set);
}

SCI_PRIVATE void *sci_sorted_copy(const sc_memory *memory, const void *object)
{
    const sci_sorted *set = (const sci_sorted *)object;
    sci_sorted *copy = sci_sorted_new(memory, set->seed);
    if (!copy)
        return NULL;
    if (set->full)
        copy->full = sci_sorted_full_of(memory, set);
    if (set->full ? !copy->full
                  : sci_sorted_pack_copy(memory, &copy->packed, &set->packed) != SC_OK) {
        sci_free(memory, copy, sizeof *copy);
        return NULL;
    }
    return copy;
}

SCI_PRIVATE size_t sci_sorted_bytes(const void *object)
{
    const sci_sorted *set = (const sci_sorted *)object;
    size_t bytes = sci_counted_block(sizeof *set);
    if (set->packed.data)
        bytes += sci_counted_block(set->packed.cap);
    if (set->full)
        bytes += sci_sorted_full_bytes(set->full);
    return bytes;
}

/* A ZADD of the dump brings so many members, fewer where they are long. */
#define SCI_SORTED_DUMP_MEMBERS 64
#define SCI_SORTED_DUMP_BYTES 65536

SCI_PRIVATE sc_status sci_sorted_dump(const void *object, sc_slice key, sci_dump *dump)
{
    char scores[SCI_SORTED_DUMP_MEMBERS][SCI_SCORE_TEXT_BYTES];
    sc_slice argv[2 + 2 * SCI_SORTED_DUMP_MEMBERS];
    size_t argc = 2, bytes = 0;
    argv[0] = sc_text("ZADD");
    argv[1] = key;
    sci_sorted_walk walk;
    sc_slice member;
    double score;
    sci_sorted_walk_begin(&walk, (const sci_sorted *)object, 0, false);
    while (sci_sorted_walk_next(&walk, &member, &score)) {
        char *text = scores[argc / 2 - 1];
        argv[argc++] = sc_bytes(text, sci_score_to_text(score, text));
        argv[argc++] = member;
        bytes += member.len;
        if (argc < SCI_COUNT(argv) && bytes < SCI_SORTED_DUMP_BYTES)
            continue;
        sc_status status = dump->command(dump, argv, argc);
        if (status != SC_OK)
            return status;
        argc = 2;
        bytes = 0;
    }
    return argc > 2 ? dump->command(dump, argv, argc) : SC_OK;
}

/* MARK: - Server: types of values (Private) */
/* What is known of each type of value. */

SCI_PRIVATE const sci_type_table *sci_type_of(sci_type type)
{
    static const sci_type_table string = {"string", NULL, NULL, NULL, NULL};
    static const sci_type_table zset = {"zset", sci_sorted_release, sci_sorted_copy,
                                        sci_sorted_dump, sci_sorted_bytes};
    static const sci_type_table missing = {"none", NULL, NULL, NULL, NULL};
    switch (type) {
    case SCI_STRING:
        return &string;
    case SCI_ZSET:
        return &zset;
    case SCI_LIST:
    case SCI_SET:
    case SCI_HASH:
    case SCI_STREAM:
    case SCI_TYPES:
        break;
    }
    return &missing;
}

/* MARK: - Server: expiry (Private) */
/* When entries expire: a 4-ary heap, the earliest at the front. Entries know their places. */

#define SCI_EXPIRY_CHILDREN 4
#define SCI_EXPIRY_LEAST_CAP 16

static inline void sci_expiry_put(sci_db *db, size_t at, sci_expiry expiry)
{
    db->expiries[at] = expiry;
    expiry.entry->expiry = (uint32_t)(at + 1);
}

/* Move `expiry` from the free place `at` to the front until its parent is not later. */
static size_t sci_expiry_rise(sci_db *db, size_t at, sci_expiry expiry)
{
    while (at > 0) {
        size_t parent = (at - 1) / SCI_EXPIRY_CHILDREN;
        if (db->expiries[parent].at_ms <= expiry.at_ms)
            break;
        sci_expiry_put(db, at, db->expiries[parent]);
        at = parent;
    }
    return at;
}

/* Move it to the back until no child is earlier. */
static size_t sci_expiry_sink(sci_db *db, size_t at, sci_expiry expiry)
{
    for (;;) {
        size_t first = at * SCI_EXPIRY_CHILDREN + 1;
        if (first >= db->expiry_count)
            return at;
        size_t end = sci_min_size(first + SCI_EXPIRY_CHILDREN, db->expiry_count);
        size_t earliest = first;
        for (size_t child = first + 1; child < end; child++) {
            if (db->expiries[child].at_ms < db->expiries[earliest].at_ms)
                earliest = child;
        }
        if (db->expiries[earliest].at_ms >= expiry.at_ms)
            return at;
        sci_expiry_put(db, at, db->expiries[earliest]);
        at = earliest;
    }
}

static void sci_expiry_settle(sci_db *db, size_t at, sci_expiry expiry)
{
    at = sci_expiry_rise(db, at, expiry);
    at = sci_expiry_sink(db, at, expiry);
    sci_expiry_put(db, at, expiry);
}

static sc_status sci_expiry_reserve(sci_db *db)
{
    if (db->expiry_count < db->expiry_cap)
        return SC_OK;
    size_t cap = sci_max_size(db->expiry_cap + db->expiry_cap / 2, SCI_EXPIRY_LEAST_CAP);
    sci_expiry *expiries = (sci_expiry *)sci_resize(
        &db->memory, db->expiries, db->expiry_cap * sizeof *expiries, cap * sizeof *expiries);
    if (!expiries)
        return SC_ERR_MEMORY;
    db->expiries = expiries;
    db->expiry_cap = cap;
    return SC_OK;
}

/* Without memory for the smaller array the larger one stays, and that is no failure. */
static void sci_expiry_shrink(sci_db *db)
{
    size_t cap = db->expiry_cap / 2;
    if (db->expiry_count >= db->expiry_cap / 4 || cap < SCI_EXPIRY_LEAST_CAP)
        return;
    void *expiries =
        db->memory.resize(db->memory.user, db->expiries, db->expiry_cap * sizeof *db->expiries,
                          cap * sizeof *db->expiries);
    if (!expiries)
        return;
    db->expiries = (sci_expiry *)expiries;
    db->expiry_cap = cap;
}

SCI_PRIVATE sc_status sci_db_expire_at(sci_db *db, sci_entry *entry, int64_t at_ms)
{
    sci_expiry expiry;
    expiry.at_ms = at_ms;
    expiry.entry = entry;
    size_t at = entry->expiry - 1;
    if (!entry->expiry) {
        if (sci_expiry_reserve(db) != SC_OK)
            return SC_ERR_MEMORY;
        at = db->expiry_count++;
    }
    sci_expiry_settle(db, at, expiry);
    return SC_OK;
}

SCI_PRIVATE void sci_db_persist(sci_db *db, sci_entry *entry)
{
    if (!entry->expiry)
        return;
    size_t at = entry->expiry - 1;
    entry->expiry = 0;
    sci_expiry last = db->expiries[--db->expiry_count];
    if (last.entry != entry)
        sci_expiry_settle(db, at, last);
    sci_expiry_shrink(db);
}

/* MARK: - Server: keyspace (Private) */
/* A database: entries in a hash table that changes its size in small steps.

   While it does there are two arrays of buckets. The buckets of both whose numbers agree in the bits
   of the smaller array's mask form a group: entries of a group stay in it, whichever array they are
   in. A step moves the next group as a whole, so that each entry is in exactly one place that its
   hash tells, and a new array needs no zeroing as a whole, which would take milliseconds. */

/* What the keyspace's files share: how an entry lies in memory, and in its database. */

/* Longest key and string: lengths and capacities are 32 bits in an entry. */
#define SCI_ENTRY_MAX_BYTES ((size_t)INT32_MAX)

/* Size of an entry's block. All of what allocators round up to is asked for, so that a value can
   change its length a little without a new block. */
static inline size_t sci_entry_block_bytes(size_t key_len, size_t inline_len)
{
    return sci_counted_block(sizeof(sci_entry) + key_len + inline_len) - sizeof(size_t);
}

/* Also an object's entry may have a string's place: what sci_entry_replace_object left. */
static inline size_t sci_entry_inline_len(const sci_entry *entry)
{
    return entry->is_inline ? entry->len : 0;
}

static inline char *sci_entry_inline_bytes(sci_entry *entry)
{
    return (char *)(entry + 1) + entry->key_len;
}

/* A block with this key, and place for `len` bytes after it when they are inline, in no database
   yet. All else is as in `from`, unless that is NULL. NULL when there is no memory. */
SCI_PRIVATE sci_entry *sci_entry_make(const sci_db *db, const sci_entry *from, sc_slice key,
                                      size_t len, bool is_inline);
/* Frees the block alone. */
SCI_PRIVATE void sci_entry_free_block(const sci_db *db, sci_entry *entry);
/* Frees the object, or the string that is not inline. */
SCI_PRIVATE void sci_entry_release(const sci_db *db, sci_entry *entry);

/* Put a made entry into the table. False when there is no memory. */
SCI_PRIVATE bool sci_db_insert(sci_db *db, sci_entry *entry);
/* `made`, with the same key and from sci_entry_make, takes the place of `entry`, whose block is
   freed. What its value was is the caller's. */
SCI_PRIVATE void sci_db_replace(sci_db *db, sci_entry *entry, sci_entry *made);

/* A string that is not inline has a block of its own: its capacity and, where `bytes` points to,
   its bytes. NULL is fine for all of these. */
SCI_PRIVATE size_t sci_string_cap(const char *bytes);
SCI_PRIVATE size_t sci_string_bytes(const char *bytes); /* what the block takes */
SCI_PRIVATE void sci_string_free(const sci_db *db, char *bytes);

SCI_STATIC_ASSERT(sizeof(void *) != 8 || sizeof(sci_entry) == 40, entries_are_small);

#define SCI_TABLE_LEAST_BUCKETS 16
/* As many as hashes can tell apart, or as a machine with 32 bits has place for. */
#define SCI_TABLE_MOST_BUCKETS ((size_t)1 << (sizeof(size_t) > 4 ? 31 : 28))
/* Grows when there are as many entries as buckets, shrinks at an eighth of that, to a quarter: both
   are far from changing again. */
#define SCI_TABLE_GROWTH 2
#define SCI_TABLE_SHRINKS_BELOW 8
#define SCI_TABLE_SHRINKING 4

SCI_PRIVATE void sci_db_init(sci_db *db, const sc_memory *memory, sci_hash_seed seed, int index)
{
    memset(db, 0, sizeof *db);
    db->memory = *memory;
    db->seed = seed;
    db->index = index;
}

/* MARK: The table */

static inline bool sci_db_is_resizing(const sci_db *db)
{
    return db->tables[1].buckets != NULL;
}

static inline size_t sci_db_group_count(const sci_db *db)
{
    size_t count = db->tables[0].bucket_count;
    return sci_db_is_resizing(db) ? sci_min_size(count, db->tables[1].bucket_count) : count;
}

/* The array where that group is. */
static inline const sci_table *sci_db_table_of(const sci_db *db, size_t group)
{
    return &db->tables[sci_db_is_resizing(db) && group < db->moved];
}

static inline sci_entry **sci_db_bucket(const sci_db *db, uint32_t hash)
{
    const sci_table *table = sci_db_table_of(db, hash & (sci_db_group_count(db) - 1));
    return &table->buckets[hash & (table->bucket_count - 1)];
}

static void sci_table_free(const sci_db *db, sci_table *table)
{
    sci_free(&db->memory, table->buckets, table->bucket_count * sizeof *table->buckets);
    table->buckets = NULL;
    table->bucket_count = 0;
}

/* Move the next group. */
static void sci_db_step(sci_db *db)
{
    sci_table *from = &db->tables[0], *to = &db->tables[1];
    size_t groups = sci_db_group_count(db);
    for (size_t i = db->moved; i < to->bucket_count; i += groups)
        to->buckets[i] = NULL;
    for (size_t i = db->moved; i < from->bucket_count; i += groups) {
        for (sci_entry *entry = from->buckets[i], *next; entry; entry = next) {
            next = entry->next;
            sci_entry **bucket = &to->buckets[entry->hash & (to->bucket_count - 1)];
            entry->next = *bucket;
            *bucket = entry;
        }
    }
    if (++db->moved < groups)
        return;
    sci_table_free(db, from);
    *from = *to;
    to->buckets = NULL;
    to->bucket_count = 0;
    db->moved = 0;
}

/* Without memory for it the table stays as it is, and that is no failure, so the memory is asked
   without setting the detail text. */
static void sci_db_begin_resizing(sci_db *db, size_t bucket_count)
{
    sci_table *to = &db->tables[1];
    void *buckets = db->memory.resize(db->memory.user, NULL, 0, bucket_count * sizeof *to->buckets);
    if (!buckets)
        return;
    to->buckets = (sci_entry **)buckets;
    to->bucket_count = bucket_count;
    db->moved = 0;
}

/* What each access to the table does for its size. */
static inline void sci_db_upkeep(sci_db *db)
{
    size_t bucket_count = db->tables[0].bucket_count;
    if (sci_db_is_resizing(db))
        sci_db_step(db);
    else if (SCI_UNLIKELY(db->count >= bucket_count && bucket_count > 0 &&
                          bucket_count < SCI_TABLE_MOST_BUCKETS))
        sci_db_begin_resizing(db, bucket_count * SCI_TABLE_GROWTH);
    else if (SCI_UNLIKELY(db->count < bucket_count / SCI_TABLE_SHRINKS_BELOW &&
                          bucket_count > SCI_TABLE_LEAST_BUCKETS))
        sci_db_begin_resizing(
            db, sci_max_size(bucket_count / SCI_TABLE_SHRINKING, SCI_TABLE_LEAST_BUCKETS));
}

SCI_PRIVATE bool sci_db_tidy(sci_db *db, size_t steps)
{
    for (; steps > 0; steps--) {
        bool was_resizing = sci_db_is_resizing(db);
        sci_db_upkeep(db);
        if (!was_resizing && !sci_db_is_resizing(db))
            return false;
    }
    return true;
}

/* What points to the entry. */
static sci_entry **sci_db_place_of(const sci_db *db, const sci_entry *entry)
{
    sci_entry **place = sci_db_bucket(db, entry->hash);
    while (*place != entry) {
        sci_assert(*place);
        place = &(*place)->next;
    }
    return place;
}

SCI_PRIVATE sci_entry *sci_db_find(sci_db *db, sc_slice key)
{
    if (db->count == 0)
        return NULL;
    sci_db_upkeep(db);
    uint32_t hash = (uint32_t)sci_hash(&db->seed, key);
    sci_entry *entry = *sci_db_bucket(db, hash);
    while (entry && !(entry->hash == hash && sci_slice_equal(sci_entry_key(entry), key)))
        entry = entry->next;
    return entry;
}

SCI_PRIVATE bool sci_db_insert(sci_db *db, sci_entry *entry)
{
    sci_table *table = &db->tables[0];
    if (!table->buckets) {
        size_t size = SCI_TABLE_LEAST_BUCKETS * sizeof *table->buckets;
        table->buckets = (sci_entry **)sci_alloc_zeroed(&db->memory, size);
        if (!table->buckets)
            return false;
        table->bucket_count = SCI_TABLE_LEAST_BUCKETS;
    }
    sci_db_upkeep(db);
    sci_entry **bucket = sci_db_bucket(db, entry->hash);
    entry->next = *bucket;
    *bucket = entry;
    db->count++;
    return true;
}

SCI_PRIVATE void sci_db_replace(sci_db *db, sci_entry *entry, sci_entry *made)
{
    sci_entry **place = sci_db_place_of(db, entry);
    made->next = entry->next;
    *place = made;
    if (made->expiry)
        db->expiries[made->expiry - 1].entry = made;
    sci_entry_free_block(db, entry);
}

/* MARK: Entries */

SCI_PRIVATE sci_entry *sci_entry_make(const sci_db *db, const sci_entry *from, sc_slice key,
                                      size_t len, bool is_inline)
{
    if (key.len > SCI_ENTRY_MAX_BYTES) {
        (void)sc_fail(SC_ERR_MEMORY, "out of memory: a key of %zu bytes is too long", key.len);
        return NULL;
    }
    size_t size = sci_entry_block_bytes(key.len, is_inline ? len : 0);
    sci_entry *entry = (sci_entry *)sci_resize(&db->memory, NULL, 0, size);
    if (!entry)
        return NULL;
    if (from) {
        *entry = *from;
    } else {
        memset(entry, 0, sizeof *entry);
        entry->hash = (uint32_t)sci_hash(&db->seed, key);
    }
    entry->key_len = (uint32_t)key.len;
    entry->len = (uint32_t)len;
    entry->is_inline = is_inline;
    if (key.len > 0)
        memcpy(entry + 1, key.data, key.len);
    return entry;
}

SCI_PRIVATE void sci_entry_free_block(const sci_db *db, sci_entry *entry)
{
    sci_free(&db->memory, entry,
             sci_entry_block_bytes(entry->key_len, sci_entry_inline_len(entry)));
}

SCI_PRIVATE void sci_entry_release(const sci_db *db, sci_entry *entry)
{
    if (entry->type != SCI_STRING)
        sci_type_of((sci_type)entry->type)->release(&db->memory, entry->value.object);
    else if (!entry->is_inline)
        sci_string_free(db, entry->value.bytes);
}

SCI_PRIVATE sci_entry *sci_db_add(sci_db *db, sc_slice key, sci_type type, void *object)
{
    sci_entry *entry = sci_entry_make(db, NULL, key, 0, false);
    if (!entry)
        return NULL;
    entry->type = (uint8_t)type;
    entry->value.object = object;
    if (sci_db_insert(db, entry))
        return entry;
    sci_entry_free_block(db, entry);
    return NULL;
}

static void sci_db_unlink(sci_db *db, const sci_entry *entry)
{
    *sci_db_place_of(db, entry) = entry->next;
    db->count--;
}

SCI_PRIVATE void sci_db_delete(sci_db *db, sci_entry *entry)
{
    sci_db_unlink(db, entry);
    sci_db_persist(db, entry);
    sci_entry_release(db, entry);
    sci_entry_free_block(db, entry);
    sci_db_upkeep(db);
}

SCI_PRIVATE sci_entry *sci_db_rename(sci_db *db, sci_entry *entry, sc_slice key)
{
    sci_entry *made = sci_entry_make(db, entry, key, entry->len, entry->is_inline);
    if (!made)
        return NULL;
    if (made->is_inline)
        memcpy(sci_entry_inline_bytes(made), sci_entry_inline_bytes(entry), made->len);
    made->hash = (uint32_t)sci_hash(&db->seed, key);
    sci_db_unlink(db, entry);
    if (made->expiry)
        db->expiries[made->expiry - 1].entry = made;
    sci_entry_free_block(db, entry);
    (void)sci_db_insert(db, made); /* the table is there */
    return made;
}

SCI_PRIVATE void sci_entry_replace_object(sci_db *db, sci_entry *entry, sci_type type, void *object)
{
    sci_assert(type != SCI_STRING);
    sci_entry_release(db, entry);
    entry->type = (uint8_t)type;
    entry->value.object = object;
}

SCI_PRIVATE size_t sci_entry_bytes(const sci_entry *entry)
{
    size_t own = sci_entry_block_bytes(entry->key_len, sci_entry_inline_len(entry));
    size_t bytes = sci_counted_block(own);
    if (entry->type != SCI_STRING)
        return bytes + sci_type_of((sci_type)entry->type)->bytes(entry->value.object);
    return entry->is_inline ? bytes : bytes + sci_string_bytes(entry->value.bytes);
}

static sc_status sci_entry_dump_string(const sci_entry *entry, int64_t at_ms, sci_dump *dump)
{
    char digits[SCI_I64_TEXT_BYTES];
    sc_slice words[5];
    words[0] = sc_text("SET");
    words[1] = sci_entry_key(entry);
    words[2] = sci_entry_string(entry);
    words[3] = sc_text("PXAT");
    words[4] = sc_bytes(digits, sci_i64_to_text(at_ms, digits));
    return dump->command(dump, words, at_ms < 0 ? 3 : 5);
}

SCI_PRIVATE sc_status sci_entry_dump(const sci_db *db, const sci_entry *entry, sci_dump *dump)
{
    int64_t at_ms = sci_db_expiry_ms(db, entry);
    if (entry->type == SCI_STRING)
        return sci_entry_dump_string(entry, at_ms, dump);
    sc_slice key = sci_entry_key(entry);
    sc_status status = sci_type_of((sci_type)entry->type)->dump(entry->value.object, key, dump);
    if (status != SC_OK || at_ms < 0)
        return status;
    char digits[SCI_I64_TEXT_BYTES];
    sc_slice words[3];
    words[0] = sc_text("PEXPIREAT");
    words[1] = key;
    words[2] = sc_bytes(digits, sci_i64_to_text(at_ms, digits));
    return dump->command(dump, words, SCI_COUNT(words));
}

/* MARK: All of them */

SCI_PRIVATE uint64_t sci_db_walk(sci_db *db, uint64_t cursor,
                                 void (*visit)(void *user, sci_entry *entry), void *user)
{
    if (db->count == 0)
        return 0;
    size_t groups = sci_db_group_count(db);
    size_t group = (size_t)cursor & (groups - 1);
    const sci_table *table = sci_db_table_of(db, group);
    for (size_t i = group; i < table->bucket_count; i += groups) {
        for (sci_entry *entry = table->buckets[i]; entry; entry = entry->next)
            visit(user, entry);
    }
    /* A group that splits becomes groups that follow one another on the cursor's line; groups that
       join were neighbours on it. */
    return sci_cursor_next(cursor, groups - 1);
}

/* Longer lists are as likely as one of that length. */
#define SCI_RANDOM_LIST 8
/* Then the table is nearly empty, and the next list that is not is taken. */
#define SCI_RANDOM_TRIES 256

/* SplitMix64 (Steele, Lea and Flood, 2014): many random words from one. */
static uint64_t sci_db_next_chance(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t sci_entry_list_len(const sci_entry *entry)
{
    size_t len = 0;
    for (; entry; entry = entry->next)
        len++;
    return len;
}

SCI_PRIVATE sci_entry *sci_db_random(sci_db *db, uint64_t random)
{
    if (db->count == 0)
        return NULL;
    uint64_t state = random;
    size_t groups = sci_db_group_count(db);
    size_t most = sci_max_size(db->tables[0].bucket_count, db->tables[1].bucket_count);
    sci_entry *entry;
    size_t len;
    for (uint32_t tries = 0;; tries++) {
        uint64_t chance = sci_db_next_chance(&state);
        bool takes_next = tries >= SCI_RANDOM_TRIES;
        uint32_t hash = takes_next ? (uint32_t)random + tries : (uint32_t)chance;
        const sci_table *table = sci_db_table_of(db, hash & (groups - 1));
        entry = table->buckets[hash & (table->bucket_count - 1)];
        len = sci_entry_list_len(entry);
        /* A list is taken as often as it is long, and then each of it alike. Lists of a smaller
           array are met more often. */
        size_t bound = SCI_RANDOM_LIST * (most / table->bucket_count);
        if (len > 0 && (takes_next || (size_t)(chance >> 32) % bound < len))
            break;
    }
    for (uint64_t skip = sci_db_next_chance(&state) % len; skip > 0; skip--)
        entry = entry->next;
    return entry;
}

SCI_PRIVATE void sci_db_clear(sci_db *db)
{
    while (sci_db_is_resizing(db))
        sci_db_step(db);
    sci_table *table = &db->tables[0];
    for (size_t i = 0; i < table->bucket_count; i++) {
        for (sci_entry *entry = table->buckets[i], *next; entry; entry = next) {
            next = entry->next;
            sci_entry_release(db, entry);
            sci_entry_free_block(db, entry);
        }
    }
    sci_table_free(db, table);
    sci_free(&db->memory, db->expiries, db->expiry_cap * sizeof *db->expiries);
    db->expiries = NULL;
    db->expiry_count = 0;
    db->expiry_cap = 0;
    db->count = 0;
}

/* MARK: - Server: strings (Private) */
/* Strings in their entries. A short one follows the key in the entry's block; a long one has a block
   of its own, which has room to grow once it has grown. */

/* Above this the second block is little beside what it holds. */
#define SCI_STRING_INLINE_BYTES 512
/* A string that grows gets half of its length more, a large one an eighth. */
#define SCI_STRING_LARGE_BYTES ((size_t)1 << 20)

static inline size_t sci_string_block_size(size_t cap)
{
    return sizeof(size_t) + cap;
}

/* The capacity for `len` bytes, so that the block is what allocators round it up to. */
static size_t sci_string_rounded(size_t len)
{
    return sci_counted_block(sci_string_block_size(len)) - sizeof(size_t) -
           sci_string_block_size(0);
}

static inline size_t *sci_string_header(char *bytes)
{
    return (size_t *)(void *)(bytes - sizeof(size_t));
}

SCI_PRIVATE size_t sci_string_cap(const char *bytes)
{
    return bytes ? *(const size_t *)(const void *)(bytes - sizeof(size_t)) : 0;
}

SCI_PRIVATE size_t sci_string_bytes(const char *bytes)
{
    return bytes ? sci_counted_block(sci_string_block_size(sci_string_cap(bytes))) : 0;
}

/* `bytes` NULL makes a block. As sci_resize. */
static char *sci_string_resize(const sci_db *db, char *bytes, size_t cap)
{
    size_t *header = (size_t *)sci_resize(&db->memory, bytes ? sci_string_header(bytes) : NULL,
                                          bytes ? sci_string_block_size(sci_string_cap(bytes)) : 0,
                                          sci_string_block_size(cap));
    if (!header)
        return NULL;
    *header = cap;
    return (char *)(header + 1);
}

SCI_PRIVATE void sci_string_free(const sci_db *db, char *bytes)
{
    if (bytes)
        sci_free(&db->memory, sci_string_header(bytes),
                 sci_string_block_size(sci_string_cap(bytes)));
}

static bool sci_string_fits_length(size_t len)
{
    if (len <= SCI_ENTRY_MAX_BYTES)
        return true;
    (void)sc_fail(SC_ERR_MEMORY, "out of memory: a string of %zu bytes is too long", len);
    return false;
}

/* A string's entry for `len` bytes, in no database yet; `cap` is that of its block when it is not
   inline. `from` and `key` as for sci_entry_make. */
static sci_entry *sci_string_make(const sci_db *db, const sci_entry *from, sc_slice key, size_t len,
                                  size_t cap)
{
    bool is_inline = len <= SCI_STRING_INLINE_BYTES;
    char *bytes = is_inline ? NULL : sci_string_resize(db, NULL, cap);
    if (!is_inline && !bytes)
        return NULL;
    sci_entry *made = sci_entry_make(db, from, key, len, is_inline);
    if (!made) {
        sci_string_free(db, bytes);
        return NULL;
    }
    made->type = SCI_STRING;
    made->value.bytes = bytes;
    return made;
}

static inline char *sci_string_at(sci_entry *entry)
{
    return entry->is_inline ? sci_entry_inline_bytes(entry) : entry->value.bytes;
}

/* Put a made string's entry in the place of `entry` (NULL: it is a new key). */
static sci_entry *sci_string_put(sci_db *db, sci_entry *entry, sci_entry *made)
{
    if (entry) {
        sci_entry_release(db, entry);
        sci_db_replace(db, entry, made);
        return made;
    }
    if (sci_db_insert(db, made))
        return made;
    sci_entry_release(db, made);
    sci_entry_free_block(db, made);
    return NULL;
}

/* Can a string of `len` bytes stand where the one of `entry` does, without waste? */
static bool sci_string_fits(const sci_entry *entry, size_t len)
{
    if (entry->type != SCI_STRING || (len <= SCI_STRING_INLINE_BYTES) != entry->is_inline)
        return false;
    if (entry->is_inline)
        return sci_entry_block_bytes(entry->key_len, len) ==
               sci_entry_block_bytes(entry->key_len, entry->len);
    size_t cap = sci_string_cap(entry->value.bytes);
    return len <= cap && cap / 2 <= len;
}

SCI_PRIVATE sci_entry *sci_db_set_string(sci_db *db, sci_entry *entry, sc_slice key, sc_slice value)
{
    if (!sci_string_fits_length(value.len))
        return NULL;
    if (entry && sci_string_fits(entry, value.len)) {
        if (value.len > 0)
            memmove(sci_string_at(entry), value.data, value.len);
        entry->len = (uint32_t)value.len;
        return entry;
    }
    sci_entry *made = sci_string_make(db, entry, entry ? sci_entry_key(entry) : key, value.len,
                                      sci_string_rounded(value.len));
    if (!made)
        return NULL;
    if (value.len > 0)
        memcpy(sci_string_at(made), value.data, value.len);
    return sci_string_put(db, entry, made);
}

static size_t sci_string_grown(size_t len)
{
    return sci_string_rounded(len + (len < SCI_STRING_LARGE_BYTES ? len / 2 : len / 8));
}

/* Make a string longer than its place by giving it another. */
static bool sci_string_grow(sci_db *db, sci_entry **entry, size_t len)
{
    sci_entry *old = *entry;
    if (!old->is_inline) {
        char *bytes = sci_string_resize(db, old->value.bytes, sci_string_grown(len));
        if (bytes)
            old->value.bytes = bytes;
        return bytes != NULL;
    }
    sci_entry *made = sci_string_make(db, old, sci_entry_key(old), len, sci_string_grown(len));
    if (!made)
        return false;
    memcpy(sci_string_at(made), sci_string_at(old), sci_min_size(old->len, len));
    *entry = sci_string_put(db, old, made);
    return true;
}

SCI_PRIVATE char *sci_db_resize_string(sci_db *db, sci_entry **entry, sc_slice key, size_t len)
{
    if (!sci_string_fits_length(len))
        return NULL;
    size_t old_len = 0;
    if (!*entry) {
        sci_entry *made = sci_string_make(db, NULL, key, len, sci_string_rounded(len));
        *entry = made ? sci_string_put(db, NULL, made) : NULL;
        if (!*entry)
            return NULL;
    } else {
        old_len = (*entry)->len;
        bool is_room = (*entry)->is_inline ? sci_string_fits(*entry, len)
                                           : len <= sci_string_cap((*entry)->value.bytes);
        if (!is_room && !sci_string_grow(db, entry, len))
            return NULL;
    }
    (*entry)->len = (uint32_t)len;
    char *bytes = sci_string_at(*entry);
    if (len > old_len)
        memset(bytes + old_len, 0, len - old_len);
    return bytes;
}

#endif /* SMARTCACHE_NO_SERVER */

/* MARK: - Receive buffers (Private) */
/* Receive buffers. */

/* Receive buffers: blocks that replies keep alive as long as they point into them. */

typedef struct sci_chunk {
    sci_atomic_u32 references; /* the receiver's and each reply's */
    sc_memory memory;
    size_t cap; /* bytes after the header */
} sci_chunk;

static inline char *sci_chunk_data(sci_chunk *chunk)
{
    return (char *)(chunk + 1);
}

/* NULL when there is no memory. */
SCI_PRIVATE sci_chunk *sci_chunk_create(const sc_memory *memory, size_t cap);
/* Only for the sole holder. On NULL the chunk is as it was. */
SCI_PRIVATE sci_chunk *sci_chunk_resize(sci_chunk *chunk, size_t cap);
SCI_PRIVATE void sci_chunk_release(sci_chunk *chunk); /* NULL is fine */
static inline sci_chunk *sci_chunk_retain(sci_chunk *chunk)
{
    (void)sci_atomic_add(&chunk->references, 1);
    return chunk;
}
static inline bool sci_chunk_is_shared(const sci_chunk *chunk)
{
    return sci_atomic_load_acquire(&chunk->references) != 1;
}

SCI_PRIVATE sci_chunk *sci_chunk_create(const sc_memory *memory, size_t cap)
{
    sci_chunk *chunk = (sci_chunk *)sci_resize(memory, NULL, 0, sizeof *chunk + cap);
    if (!chunk)
        return NULL;
    chunk->references.value = 1;
    chunk->memory = *memory;
    chunk->cap = cap;
    return chunk;
}

SCI_PRIVATE sci_chunk *sci_chunk_resize(sci_chunk *chunk, size_t cap)
{
    sci_assert(!sci_chunk_is_shared(chunk));
    sc_memory memory = chunk->memory;
    chunk =
        (sci_chunk *)sci_resize(&memory, chunk, sizeof *chunk + chunk->cap, sizeof *chunk + cap);
    if (chunk)
        chunk->cap = cap;
    return chunk;
}

SCI_PRIVATE void sci_chunk_release(sci_chunk *chunk)
{
    if (!chunk || sci_atomic_subtract(&chunk->references, 1) != 1)
        return;
    sc_memory memory = chunk->memory;
    sci_free(&memory, chunk, sizeof *chunk + chunk->cap);
}

/* MARK: - Replies (Private) */
/* Replies: ownership. What stands in them is read by the functions of resp/item. */

/* The block behind sc_reply: nodes, and the receive buffers that they point into. */

#define SCI_REPLY_INLINE_ITEMS 8
#define SCI_REPLY_INLINE_PINS 2

struct sc_reply {
    sci_atomic_u32 references;
    sc_memory memory;
    sci_items items;
    size_t first;     /* index of the first item to be shown */
    size_t count;     /* top-level items, as far as complete */
    sci_chunk **pins; /* `inline_pins`, or an owned array; each one reference */
    size_t pin_count;
    size_t pin_cap;
    sci_chunk *inline_pins[SCI_REPLY_INLINE_PINS];
    sc_item inline_items[SCI_REPLY_INLINE_ITEMS];
};

/* One that lives inside another struct and is not counted. */
SCI_PRIVATE void sci_reply_init(sc_reply *reply, const sc_memory *memory);
/* Forget the content: nodes, pins, large blocks. */
SCI_PRIVATE void sci_reply_reset(sc_reply *reply);
SCI_PRIVATE sc_reply *sci_reply_create(const sc_memory *memory);
/* Keep `chunk` as long as the reply lives. */
SCI_PRIVATE sc_status sci_reply_pin(sc_reply *reply, sci_chunk *chunk);

/* Nodes that a reset reply keeps room for. */
#define SCI_REPLY_KEEP_ITEMS 256

SCI_PRIVATE void sci_reply_init(sc_reply *reply, const sc_memory *memory)
{
    reply->references.value = 1;
    reply->memory = *memory;
    sci_items_init(&reply->items, memory, reply->inline_items, SCI_REPLY_INLINE_ITEMS);
    reply->first = 0;
    reply->count = 0;
    reply->pins = reply->inline_pins;
    reply->pin_count = 0;
    reply->pin_cap = SCI_REPLY_INLINE_PINS;
}

static void sci_reply_unpin_all(sc_reply *reply)
{
    for (size_t i = 0; i < reply->pin_count; i++)
        sci_chunk_release(reply->pins[i]);
    if (reply->pins != reply->inline_pins)
        sci_free(&reply->memory, reply->pins, reply->pin_cap * sizeof(sci_chunk *));
    reply->pins = reply->inline_pins;
    reply->pin_count = 0;
    reply->pin_cap = SCI_REPLY_INLINE_PINS;
}

SCI_PRIVATE void sci_reply_reset(sc_reply *reply)
{
    sci_items_reset(&reply->items, SCI_REPLY_KEEP_ITEMS);
    reply->first = 0;
    reply->count = 0;
    if (reply->pin_count)
        sci_reply_unpin_all(reply);
}

SCI_PRIVATE sc_reply *sci_reply_create(const sc_memory *memory)
{
    sc_reply *reply = (sc_reply *)sci_resize(memory, NULL, 0, sizeof *reply);
    if (reply)
        sci_reply_init(reply, memory);
    return reply;
}

SCI_PRIVATE sc_status sci_reply_pin(sc_reply *reply, sci_chunk *chunk)
{
    if (reply->pin_count && reply->pins[reply->pin_count - 1] == chunk)
        return SC_OK;
    if (reply->pin_count == reply->pin_cap) {
        size_t old_size = reply->pin_cap * sizeof(sci_chunk *);
        bool was_inline = reply->pins == reply->inline_pins;
        sci_chunk **grown =
            (sci_chunk **)sci_resize(&reply->memory, was_inline ? NULL : reply->pins,
                                     was_inline ? 0 : old_size, 2 * old_size);
        if (!grown)
            return SC_ERR_MEMORY;
        if (was_inline)
            memcpy(grown, reply->inline_pins, old_size);
        reply->pins = grown;
        reply->pin_cap *= 2;
    }
    reply->pins[reply->pin_count++] = sci_chunk_retain(chunk);
    return SC_OK;
}

SC_API sc_reply *sc_reply_retain(sc_reply *reply)
{
    if (reply)
        (void)sci_atomic_add(&reply->references, 1);
    return reply;
}

SC_API void sc_reply_release(sc_reply *reply)
{
    if (!reply || sci_atomic_subtract(&reply->references, 1) != 1)
        return;
    sc_memory memory = reply->memory;
    if (reply->items.at != reply->inline_items)
        sci_items_free(&reply->items);
    if (reply->pin_count)
        sci_reply_unpin_all(reply);
    sci_free(&memory, reply, sizeof *reply);
}

SC_API size_t sc_reply_count(const sc_reply *reply)
{
    return reply ? reply->count : 0;
}

SC_API const sc_item *sc_reply_at(const sc_reply *reply, size_t index)
{
    if (!reply || index >= reply->count)
        return NULL;
    if (reply->first == 0 && reply->items.count == reply->count) /* no arrays */
        return &reply->items.at[index];
    const sc_item *item = reply->items.at + reply->first;
    while (index--)
        item += item->span;
    return item;
}

SC_API const sc_item *sc_reply_item(const sc_reply *reply)
{
    return sc_reply_at(reply, 0);
}

SC_API sc_status sc_item_value(const sc_reply *reply, const sc_item *item, sc_value **value)
{
    sc_slice bytes;
    *value = NULL;
    sc_status status = sc_item_bytes(item, &bytes);
    return status == SC_OK ? sc_value_create(&reply->memory, bytes, value) : status;
}

/* MARK: - Waiting (Private) */
/* How threads wait. The lone caller receives its own reply by one system call. Of many callers one
   receives for all; who drives the poller does so for timers and all other connections. */

/* How threads wait: each takes over what work there is, receiving or driving, and sleeps only while
   another does it. All locked. */

/* The client's structs. A client has connections; a connection (sci_conn) has an identity, a queue
   and, while it stands, a wire (sci_wire): one incarnation with its socket, buffers and reader.

   One mutex, the loop's, guards all of it; "locked" means that the caller holds it. It is let go
   for system calls, during which the wire's `users` keeps the socket open. */

#define SCI_NS_PER_MS 1000000
#define SCI_NEVER INT64_MAX /* a deadline that does not come */

/* Gates that waiting threads share: a batch of replies raises one, not one a thread. The first are
   for ops on the shared connection, by batch; the next for other waits; the last is that of the
   client's thread. */
#define SCI_CLIENT_OP_GATES 4
#define SCI_CLIENT_WAIT_GATES 3
#define SCI_CLIENT_GATES (SCI_CLIENT_OP_GATES + SCI_CLIENT_WAIT_GATES + 1)

typedef struct sci_conn sci_conn;
typedef struct sci_subscriber sci_subscriber;

/* A thread that waits for something of the client's. On that thread's stack. */
typedef struct sci_waiter {
    sci_link link; /* in client->sleepers, while it sleeps */
    sci_atomic_u32 is_done;
    uint32_t gate;
    bool is_sleeping; /* at its gate */
    bool is_driving;  /* inside the poller */
    bool is_called;   /* to drive, because nobody did */
    bool is_minded;   /* its deadline is the shared connection's to mind: it sleeps without a
                         time-out,   since a timer costs as much as the sleep */
    sci_conn *conn;   /* where the answer is expected, or NULL */
} sci_waiter;

/* A command, or some in one go, and what is to be done with the replies. Owned by whoever started
   it; not to be freed before `complete` was called. */
typedef struct sci_op {
    /* Locked, exactly once, when the replies are in (`status` SC_OK) or will not be. May start
     * others. */
    void (*complete)(struct sci_op *op);
    /* Append the commands' bytes; called again when an idempotent op is sent again. */
    sc_status (*encode)(struct sci_op *op, sci_bytes *out);
    sc_reply *reply;      /* where replies go; NULL: the wire's scratch, valid during `complete` */
    const sc_reply *view; /* during `complete` with SC_OK: the replies */
    sci_bulk_sink sink;   /* takes the bytes of a bulk reply in pieces, locked; may be NULL */
    void *sink_user;
    int64_t deadline_ns; /* monotonic, or SCI_NEVER */
    uint32_t replies;    /* expected */
    uint32_t resends;    /* times that it was sent again */
    bool is_idempotent;
    bool is_watched;  /* a thread waits for it */
    bool is_attended; /* not watched, but a thread is about to wait on the connection */
    bool is_queued;
    sci_conn *conn;
    uint64_t sequence; /* its place in the connection's queue */
    sc_status status;
    sc_value *error_text; /* owned: words for an error; may be NULL */
    sci_waiter waiter;    /* used when is_watched */
} sci_op;

/* A place in the queue of what was asked. When its op is gone (the call timed out), it remains as a
   tombstone so that the late reply finds nobody else. */
typedef struct sci_slot {
    sci_op *op;       /* NULL: a tombstone */
    sc_reply *reply;  /* owned until the replies are in; NULL: scratch */
    size_t bytes;     /* of the encoded commands */
    uint32_t replies; /* still to come */
} sci_slot;

typedef enum sci_conn_kind {
    SCI_CONN_SHARED,    /* pipelined by all threads */
    SCI_CONN_DEDICATED, /* one op or one owner at a time */
    SCI_CONN_SUBSCRIBER
} sci_conn_kind;

typedef enum sci_conn_state {
    SCI_CONN_DOWN, /* nothing under way; after a failure next_attempt_ns bounds the next try */
    SCI_CONN_RESOLVING,
    SCI_CONN_DIALING,
    SCI_CONN_PRELUDE, /* AUTH, SELECT, CLIENT SETNAME are being answered */
    SCI_CONN_READY
} sci_conn_state;

typedef enum sci_receiver {
    SCI_RECEIVER_NONE,
    SCI_RECEIVER_LOOP,  /* the driver polls for it */
    SCI_RECEIVER_CALLER /* a waiting caller is in receive_soon */
} sci_receiver;

/* One incarnation of a connection. Heap-allocated; freed when it is detached and nobody uses it. */
typedef struct sci_wire {
    sci_watch watch;
    sc_client *client;
    sci_conn *conn; /* NULL: detached, on its way out */
    void *stream;   /* owned */
    uint32_t users; /* threads in a system call on the stream */
    sci_receiver receiver;
    bool is_sending;     /* a thread is in transmit with `sending` */
    bool is_stalled;     /* the socket takes no more now */
    bool is_slow;        /* the reply waited for does not come promptly: leave it to the loop */
    unsigned dial_wants; /* interest while dialing */
    sci_bytes sending;   /* handed over for transmission */
    sci_chunk *chunk;    /* receive buffer, NULL while idle */
    size_t start;        /* first byte not consumed */
    size_t end;
    size_t ask;      /* what a receive asks for: grows up to the configured size */
    bool was_filled; /* the last receive filled the room: there may be more */
    bool has_items;  /* the unfinished reply has nodes that point into `chunk` */
    sc_reply scratch;
    sci_reader reader;
} sci_wire;

struct sci_conn {
    sc_client *client;
    sci_link link; /* in client->conns */
    sci_conn_kind kind;
    sci_conn_state state;
    bool is_borrowed; /* a dedicated one that somebody uses */
    bool is_bound;    /* its owner relies on this very wire (WATCH, a transfer): what is queued does
                         not survive it */
    sci_wire *wire;   /* while dialing, in the prelude, and ready */

    /* what was asked, oldest first: a ring */
    sci_slot *slots;
    uint32_t slot_cap; /* a power of two, or 0 */
    uint32_t slot_head;
    uint32_t slot_count;
    uint32_t gathered;      /* the last so many are not handed over: their bytes are in `out` */
    uint64_t head_sequence; /* of the slot at the head */
    sci_bytes out;          /* encoded, not handed over yet: of the last slots */
    uint32_t batch;         /* counts hand-overs; chooses gates */
    int64_t earliest_ns;    /* no later than the first deadline */
    sci_timer deadline_timer;

    /* pacing */
    bool gathers;             /* replies come so fast that commands had better gather meanwhile */
    int64_t probe_ns;         /* when the measured command was sent, 0: none is */
    uint32_t probe_countdown; /* lone commands until the next measurement; 0: now */
    int64_t active_ns;        /* last use */
    int64_t heard_ns;         /* when the server was last known to be alive */

    /* life */
    sc_lookup *lookup;
    sci_watch lookup_watch; /* resolvers without threads have a descriptor */
    sc_address *addresses;  /* owned: of the last attempt, in the order to try */
    size_t address_count;
    size_t address_index;
    sci_timer life_timer; /* attempt's deadline, back-off, idle check */
    int64_t attempt_deadline_ns;
    int64_t next_attempt_ns;
    uint32_t failures; /* attempts in a row */
    uint32_t prelude_step;
    sc_status failure_status;
    char failure_text[SC_ERROR_TEXT_BYTES];
    bool is_checking; /* the PING of the idle check is under way */
    sci_op check_op;
    sci_waiter *drain_waiter; /* finished when nothing is left to be sent */
    bool is_paused;           /* a download's consumer is busy: receive nothing meanwhile */

    /* for SCI_CONN_SUBSCRIBER */
    sci_subscriber *subscriber;
};

/* Who wants to end things in order when the client closes: a cache with loads under way. */
typedef struct sci_close_hook {
    sci_link link;                                /* in client->close_hooks */
    void (*closing)(struct sci_close_hook *hook); /* locked */
} sci_close_hook;

/* Who has threads of the parent's waiting: a cache with its flights. */
typedef struct sci_fork_hook {
    sci_link link;                              /* in client->fork_hooks */
    void (*forked)(struct sci_fork_hook *hook); /* in the child, the only thread, before any lock */
} sci_fork_hook;

struct sc_client {
    sci_loop loop; /* its mutex guards everything */
    sc_memory memory;
    sc_random random;
    sc_transport transport;
    sc_resolver resolver;
    sc_logger logger;
    sci_url url;
    sc_config config; /* durations and limits resolved; its pointers are not used */

    sci_atomic_u32 references; /* the handle, caches, subscriptions' owners */
    sci_atomic_u32 callers;    /* threads inside a call */
    bool is_closing;
    sci_fork_guard fork_guard;

    sci_conn *shared;  /* owned */
    sci_link conns;    /* all */
    bool has_returned; /* a dedicated connection was given back: sweep when leaving */
    sci_link close_hooks;
    sci_link fork_hooks;
    sci_subscriber *subscriber; /* owned; NULL until the first subscription */
    sci_link subscriptions;
    uint64_t last_subscription; /* id */
    sci_hash_seed hash_seed;
    uint64_t jitter; /* state of xorshift64* for back-off */

    sci_gate gates[SCI_CLIENT_GATES];
    uint32_t raised;   /* gates whose sleepers are woken when the lock is let go: a bit each */
    uint32_t called;   /* gates of which one sleeper is woken, whichever, to take over receiving */
    sci_link sleepers; /* waiters at their gates */

    sci_thread thread;
    sci_waiter thread_waiter; /* never finished: it only sleeps while another drives */
    bool has_thread;
    bool thread_stops;

    sc_stats stats;
};

/* The calls below are made by the public functions of this and higher rooms. */

/* Begin a call: count the caller, lock. SC_ERR_CLOSED (unlocked, not counted) when the client
 * closes. */
SCI_PRIVATE sc_status sci_client_enter(sc_client *client);
/* End a call: unlock. No callback runs, so that a call that does not block may be made anywhere. */
SCI_PRIVATE void sci_client_leave(sc_client *client);
/* End a call that may block: before, run callbacks that are due, unless the client's thread does. */
SCI_PRIVATE void sci_client_leave_call(sc_client *client);
/* The same when the lock is not held any more. The client may be gone right afterwards. */
SCI_PRIVATE void sci_client_left(sc_client *client);
/* Let the lock go, then wake the waiters whose gates were raised meanwhile. */
SCI_PRIVATE void sci_client_unlock(sc_client *client);
/* The reference count of the struct; the last release frees it. */
SCI_PRIVATE void sci_client_retain(sc_client *client);
SCI_PRIVATE void sci_client_release(sc_client *client);
/* Locked: start the client's thread, unless the program polls. Failing is no error: callers drive.
 */
SCI_PRIVATE void sci_client_want_thread(sc_client *client);
SCI_PRIVATE void sci_client_log(sc_client *client, sc_log_level level, const char *format, ...)
    SC_PRINTF(3, 4);
/* Locked. The deadline `timeout_ms` (0: the client's own, -1: none) from now. */
SCI_PRIVATE int64_t sci_client_deadline_ns(const sc_client *client, int64_t timeout_ms,
                                           int64_t now_ns);
/* Locked. A dedicated connection, and its return; one that is not fit for reuse is closed. Neither
   frees a connection at once, since its functions may still be on the stack. NULL: no memory. */
SCI_PRIVATE sci_conn *sci_client_borrow_conn(sc_client *client);
SCI_PRIVATE void sci_client_return_conn(sci_conn *conn);
/* Locked. Go on with connections whose look-up is answered. */
SCI_PRIVATE void sci_client_check_lookups(sc_client *client);
/* In a forked child, before the first lock: let go of the parent's sockets, threads and calls. */
SCI_PRIVATE void sci_client_after_fork(sc_client *client);

SCI_PRIVATE void sci_waiter_init(sci_waiter *waiter, uint32_t gate);
/* Whatever it waits for is there. */
SCI_PRIVATE void sci_waiter_finish(sc_client *client, sci_waiter *waiter);
/* Wait until finished (true) or `deadline_ns` (false). `*is_locked` false: it was finished, and the
   lock is not held any more. */
SCI_PRIVATE bool sci_waiter_wait(sc_client *client, sci_waiter *waiter, int64_t deadline_ns,
                                 bool *is_locked);
/* The same, locked in any case. */
SCI_PRIVATE bool sci_waiter_wait_locked(sc_client *client, sci_waiter *waiter, int64_t deadline_ns);
/* Where the answer is expected from now on: NULL when not on a connection that callers receive on.
 */
SCI_PRIVATE void sci_waiter_expect(sc_client *client, sci_waiter *waiter, sci_conn *conn);
/* Submit an op and wait for its end. False: the lock is not held any more. */
SCI_PRIVATE bool sci_op_submit_and_wait(sc_client *client, sci_conn *conn, sci_op *op,
                                        int64_t timeout_ms);
/* The same from within a call that goes on: locked in any case. The status and words are the op's.
 */
SCI_PRIVATE sc_status sci_op_run(sc_client *client, sci_conn *conn, sci_op *op, int64_t timeout_ms);
/* The end of an op as this thread's: status and words. */
SCI_PRIVATE sc_status sci_op_result(sci_op *op);
/* A whole call with one op on the shared connection: enter, run, leave. */
SCI_PRIVATE sc_status sci_op_call(sc_client *client, sci_op *op, int64_t timeout_ms);
/* One turn of the driver: send, wait up to `max_wait_ns` (-1: as long as it takes), handle. */
SCI_PRIVATE sc_status sci_client_step(sc_client *client, int64_t max_wait_ns);
/* Nobody drives: wake one of those who sleep and have no receiver at work for them. */
SCI_PRIVATE void sci_client_call_driver(sc_client *client);
/* Give up the driver's place, and find another among those who wait. */
SCI_PRIVATE void sci_client_stop_driving(sc_client *client);
/* The client's own thread. */
SCI_PRIVATE void *sci_client_thread(void *client);

/* A connection's queue and bytes: asking, sending, receiving, expiring. All locked. */

/* NULL when there is no memory. */
SCI_PRIVATE sci_conn *sci_conn_create(sc_client *client, sci_conn_kind kind);
/* Drop what stands and free. Ops in its queue end with SC_ERR_CLOSED. */
SCI_PRIVATE void sci_conn_free(sci_conn *conn);

/* Queue an op and send it when the time has come; connects when down. Ends with op->complete in
   every case, perhaps before this returns. */
SCI_PRIVATE void sci_conn_submit(sci_conn *conn, sci_op *op, int64_t now_ns);
/* Send what is queued, if nobody is sending. Unlocks around the system call. */
SCI_PRIVATE void sci_conn_flush(sci_conn *conn);
/* Ready, and nothing is left to be sent. */
SCI_PRIVATE bool sci_conn_is_drained(const sci_conn *conn);
/* Receiving was paused: go on with what is in the buffer. */
SCI_PRIVATE void sci_conn_resume(sci_conn *conn);
/* A waiting caller receives for all: one bounded wait, then all replies that came. False when none
   came soon, or when receiving is another's. Unlocks around the system call. */
SCI_PRIVATE bool sci_conn_receive_soon(sci_conn *conn);
/* Receive without waiting, and handle what came. */
SCI_PRIVATE void sci_conn_receive_now(sci_conn *conn);
/* Nobody receives although replies are due: get a waiter, or the driver, to do it. */
SCI_PRIVATE void sci_conn_pass_on(sci_conn *conn);
/* End a queued op whose deadline has passed: unsent bytes are cut out, sent ones leave a tombstone.
 */
SCI_PRIVATE void sci_conn_expire(sci_conn *conn, sci_op *op, int64_t now_ns);

/* End an op. `text` may be NULL. Takes no op that is queued. */
SCI_PRIVATE void sci_op_finish(sci_op *op, sc_status status, const char *text);
/* `complete` of an op that a thread waits for. */
SCI_PRIVATE void sci_op_wake(sci_op *op);

/* For wire.c: where the next reply's nodes go. `*op`: who asked, or NULL; `*replies`: how many it
   still waits for, or NULL when nobody asked. */
SCI_PRIVATE sc_reply *sci_conn_reply_target(sci_conn *conn, sci_op **op, uint32_t **replies);
/* All replies of the oldest op are in. */
SCI_PRIVATE void sci_conn_reply_is_in(sci_conn *conn, sc_reply *reply);

/* For life.c: what is done with the queue when the wire ended. */
/* Fail what was sent (`status` for the oldest, if it tells more than that the connection is gone),
   queue idempotent ops anew. */
SCI_PRIVATE void sci_conn_fail_sent(sci_conn *conn, sc_status status, const char *text);
/* Fail everything that is queued. */
SCI_PRIVATE void sci_conn_fail_all(sci_conn *conn, sc_status status, const char *text);
/* `fire` of deadline_timer. */
SCI_PRIVATE void sci_conn_deadline_fire(sci_timer *timer);
/* A connection's life: look-up, addresses, prelude, ready, loss, back-off, idle check. All locked.
 */

/* Begin an attempt. From SCI_CONN_DOWN. */
SCI_PRIVATE void sci_conn_connect(sci_conn *conn, int64_t now_ns);
/* True when a call may start an attempt now or wait for one; else why not, as the op's end. */
SCI_PRIVATE bool sci_conn_may_connect(sci_conn *conn, int64_t now_ns);
/* The wire is lost: end what was sent, and connect again when there is more to send. The words are
   sc_error_text's when `text` is NULL. */
SCI_PRIVATE void sci_conn_drop(sci_conn *conn, sc_status status, const char *text);
/* A reply in the prelude. */
SCI_PRIVATE void sci_conn_prelude_reply(sci_conn *conn, const sc_item *item);
/* The descriptor of a dialing wire is ready. */
SCI_PRIVATE void sci_conn_dial_ready(sci_conn *conn);
/* Look-ups that have been answered go on. */
SCI_PRIVATE void sci_conn_check_lookup(sci_conn *conn);
/* Where it connects to, for messages. */
SCI_PRIVATE void sci_conn_peer_text(const sci_conn *conn, char *text, size_t cap);
/* End whatever stands or is under way, without another attempt; the queue stays. */
SCI_PRIVATE void sci_conn_abandon(sci_conn *conn);
/* `fire` of life_timer. */
SCI_PRIVATE void sci_conn_life_fire(sci_timer *timer);

SCI_PRIVATE void sci_waiter_init(sci_waiter *waiter, uint32_t gate)
{
    memset(waiter, 0, sizeof *waiter);
    sci_list_init(&waiter->link);
    waiter->gate = SCI_CLIENT_OP_GATES + gate % SCI_CLIENT_WAIT_GATES;
}

/* Who was called to drive and does not, since what it waited for is there, calls another. */
static void sci_waiter_pass_call(sc_client *client, sci_waiter *waiter)
{
    if (!waiter->is_called)
        return;
    waiter->is_called = false;
    if (!client->loop.driver)
        sci_client_call_driver(client);
}

SCI_PRIVATE void sci_waiter_finish(sc_client *client, sci_waiter *waiter)
{
    if (waiter->is_sleeping) {
        waiter->is_sleeping = false;
        sci_list_remove(&waiter->link);
        client->raised |= 1u << waiter->gate;
    }
    sci_waiter_pass_call(client, waiter);
    if (waiter->is_driving)
        sci_loop_wake(&client->loop);
    sci_atomic_store_release(&waiter->is_done, 1); /* from here on the waiter may be gone */
}

/* Wake those who were raised or called while the lock was held. */
static void sci_client_wake(sc_client *client, uint32_t raised, uint32_t called)
{
    for (uint32_t gate = 0; raised | called; gate++, raised >>= 1, called >>= 1) {
        if (raised & 1u)
            sci_gate_wake_all(&client->gates[gate]);
        else if (called & 1u)
            sci_gate_wake_one(&client->gates[gate]);
    }
}

SCI_PRIVATE void sci_client_unlock(sc_client *client)
{
    bool has_callbacks = !sci_list_is_empty(&client->loop.posts);
    uint32_t raised = client->raised;
    uint32_t called = client->called;
    if (SCI_LIKELY(!(raised | called) && !has_callbacks)) {
        sci_loop_unlock(&client->loop);
        return;
    }
    client->raised = 0;
    client->called = 0;
    if (has_callbacks && client->thread_waiter.is_sleeping)
        raised |= 1u << client->thread_waiter.gate;
    sci_loop_unlock(&client->loop);
    sci_client_wake(client, raised, called);
}

SCI_PRIVATE sc_status sci_client_step(sc_client *client, int64_t max_wait_ns)
{
    sci_conn_flush(client->shared);
    sci_client_check_lookups(client);
    sci_client_wake(client, client->raised, client->called);
    client->raised = 0;
    client->called = 0;
    sc_status status = sci_loop_step(&client->loop, max_wait_ns);
    sci_client_check_lookups(client);
    return status;
}

/* Another caller receives on this connection, and will pass it on when it leaves. */
static bool sci_conn_has_receiver(const sci_conn *conn)
{
    return conn && conn->wire && conn->wire->receiver == SCI_RECEIVER_CALLER;
}

SCI_PRIVATE void sci_client_call_driver(sc_client *client)
{
    for (sci_link *link = client->sleepers.next; link != &client->sleepers; link = link->next) {
        sci_waiter *sleeper = SCI_CONTAINER(link, sci_waiter, link);
        if (sci_conn_has_receiver(sleeper->conn))
            continue;
        sleeper->is_called = true;
        client->raised |= 1u << sleeper->gate; /* all there, so that this one is among them */
        return;
    }
}

SCI_PRIVATE void sci_client_stop_driving(sc_client *client)
{
    sci_loop_drive_end(&client->loop);
    sci_client_call_driver(client);
}

/* Sleep at the gate. False: finished, and not locked any more. */
static bool sci_waiter_sleep(sc_client *client, sci_waiter *waiter, int64_t timeout_ns)
{
    sci_gate *gate = &client->gates[waiter->gate];
    uint32_t ticket = sci_gate_ticket(gate);
    sci_waiter_pass_call(client, waiter);
    waiter->is_sleeping = true;
    sci_list_append(&client->sleepers, &waiter->link);
    sci_client_unlock(client);
    sci_gate_wait(gate, ticket, waiter->is_minded ? -1 : timeout_ns);
    if (sci_atomic_load_acquire(&waiter->is_done))
        return false;
    sci_loop_lock(&client->loop);
    if (waiter->is_sleeping) {
        waiter->is_sleeping = false;
        sci_list_remove(&waiter->link);
    }
    return true;
}

/* Drive for one turn. */
static void sci_waiter_drive(sc_client *client, sci_waiter *waiter, int64_t timeout_ns)
{
    waiter->is_called = false;
    waiter->is_driving = true;
    (void)sci_client_step(client, timeout_ns);
    waiter->is_driving = false;
    sci_client_stop_driving(client);
    if (!client->has_thread)
        (void)sci_loop_dispatch(&client->loop);
}

SCI_PRIVATE bool sci_waiter_wait(sc_client *client, sci_waiter *waiter, int64_t deadline_ns,
                                 bool *is_locked)
{
    *is_locked = true;
    while (!sci_atomic_load_acquire(&waiter->is_done)) {
        sci_conn *conn = waiter->conn;
        if (conn && conn->slot_count && sci_conn_receive_soon(conn))
            continue;
        if (sci_atomic_load_acquire(&waiter->is_done))
            return true;
        int64_t now_ns = sci_loop_now_ns(&client->loop);
        if (now_ns >= deadline_ns || client->is_closing) {
            sci_waiter_pass_call(client, waiter);
            return false;
        }
        int64_t timeout_ns = deadline_ns == SCI_NEVER ? -1 : deadline_ns - now_ns;
        if (!sci_conn_has_receiver(conn) && sci_loop_drive_begin(&client->loop)) {
            sci_waiter_drive(client, waiter, timeout_ns);
            continue;
        }
        if (conn)
            sci_conn_pass_on(conn); /* nobody receives: the driver has to look again */
        if (!sci_waiter_sleep(client, waiter, timeout_ns)) {
            *is_locked = false;
            return true;
        }
    }
    return true;
}

SCI_PRIVATE bool sci_waiter_wait_locked(sc_client *client, sci_waiter *waiter, int64_t deadline_ns)
{
    bool is_locked;
    bool is_done = sci_waiter_wait(client, waiter, deadline_ns, &is_locked);
    if (!is_locked)
        sci_loop_lock(&client->loop);
    return is_done;
}

SCI_PRIVATE void sci_waiter_expect(sc_client *client, sci_waiter *waiter, sci_conn *conn)
{
    waiter->conn = conn;
    if (waiter->is_sleeping && !client->loop.driver)
        client->raised |= 1u << waiter->gate; /* it may be the one who has to drive now */
}

SCI_PRIVATE bool sci_op_submit_and_wait(sc_client *client, sci_conn *conn, sci_op *op,
                                        int64_t timeout_ms)
{
    bool is_locked;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    op->deadline_ns = sci_client_deadline_ns(client, timeout_ms, now_ns);
    op->is_watched = true;
    sci_list_init(&op->waiter.link); /* the rest is zero, as the op */
    op->waiter.conn = conn;
    op->waiter.is_minded = conn->kind == SCI_CONN_SHARED;
    op->waiter.gate = SCI_CLIENT_OP_GATES;
    sci_conn_submit(conn, op, now_ns);
    if (!sci_waiter_wait(client, &op->waiter, op->deadline_ns, &is_locked)) {
        sci_assert(!client->is_closing); /* closing ends every op */
        sci_conn_expire(conn, op, sci_loop_now_ns(&client->loop));
        sci_conn_pass_on(conn);
    }
    return is_locked;
}

SCI_PRIVATE sc_status sci_op_result(sci_op *op)
{
    if (op->status >= 0)
        return op->status;
    sc_slice text = sc_value_bytes(op->error_text);
    if (!text.len)
        text = sc_text(sc_status_message(op->status));
    sci_error_text_set(text.data, text.len);
    sc_value_release(op->error_text);
    op->error_text = NULL;
    return op->status;
}

SCI_PRIVATE sc_status sci_op_run(sc_client *client, sci_conn *conn, sci_op *op, int64_t timeout_ms)
{
    if (!sci_op_submit_and_wait(client, conn, op, timeout_ms))
        sci_loop_lock(&client->loop);
    return sci_op_result(op);
}

SCI_PRIVATE sc_status sci_op_call(sc_client *client, sci_op *op, int64_t timeout_ms)
{
    sc_status status = sci_client_enter(client);
    if (status != SC_OK)
        return status;
    if (sci_op_submit_and_wait(client, client->shared, op, timeout_ms))
        sci_client_leave_call(client);
    else
        sci_client_left(client);
    return SCI_LIKELY(op->status >= 0) ? op->status : sci_op_result(op);
}

SCI_PRIVATE void *sci_client_thread(void *argument)
{
    sc_client *client = (sc_client *)argument;
    sci_waiter *waiter = &client->thread_waiter;
    sci_loop_lock(&client->loop);
    while (!client->thread_stops) {
        (void)sci_loop_dispatch(&client->loop);
        if (client->thread_stops)
            break;
        if (sci_loop_drive_begin(&client->loop)) {
            (void)sci_client_step(client, -1);
            if (sci_list_is_empty(&client->loop.posts))
                sci_loop_drive_end(&client->loop);
            else
                sci_client_stop_driving(client); /* callbacks may take long */
        } else {
            (void)sci_waiter_sleep(client, waiter, -1);
        }
    }
    sci_client_unlock(client);
    return NULL;
}

/* MARK: - Connections: queue (Private) */
/* A connection's queue: places for what was asked, bytes to be sent, deadlines. */

/* One incarnation of a connection: socket, buffers, reader. All locked. */

typedef sc_status sci_transport_receive(void *stream, void *buffer, size_t cap, size_t *received);

/* A reply faster than this means a near server: commands gather meanwhile. */
#define SCI_CONN_PROMPT_NS 400000
/* Lone commands between two measurements of that. */
#define SCI_CONN_PROBE_EVERY 16

/* For a stream that is being dialed; takes it over. NULL when there is no memory: the stream is
 * hung up. */
SCI_PRIVATE sci_wire *sci_wire_create(sci_conn *conn, void *stream);
/* Part from the connection; the socket is closed as soon as nobody uses it. */
SCI_PRIVATE void sci_wire_detach(sci_conn *conn);
/* End of a use: `users` goes down, and a detached wire goes with the last. */
SCI_PRIVATE void sci_wire_leave(sci_wire *wire);
/* Hand `sending` to the socket, unlocked. True when some was taken and the wire still stands; else
   it is stalled, or the connection was dropped. The caller holds a use. */
SCI_PRIVATE bool sci_wire_transmit(sci_wire *wire);
/* Receive once by `receive`, unlocked. True when bytes came and the wire still stands; a failure
   has dropped the connection. The caller holds a use. */
SCI_PRIVATE bool sci_wire_receive(sci_wire *wire, sci_transport_receive *receive);
/* Read the replies that are in the buffer. */
SCI_PRIVATE void sci_wire_handle(sci_wire *wire);

#define SCI_CONN_FIRST_SLOTS 8
/* An output buffer above this is given back once it is empty. */
#define SCI_CONN_KEEP_OUTPUT (64u * 1024u)
/* Commands gathered while replies are under way are sent at the latest when so many bytes wait. */
#define SCI_CONN_GATHER_BYTES (64u * 1024u)
/* A connection unused for so long is looked at before it is used, since the server may have closed
 * it. */
#define SCI_CONN_STALE_NS ((int64_t)1000 * SCI_NS_PER_MS)
/* An idempotent op is sent again so many times at most: it may be what kills the connection. */
#define SCI_OP_RESENDS 3

SCI_PRIVATE sci_conn *sci_conn_create(sc_client *client, sci_conn_kind kind)
{
    sci_conn *conn = (sci_conn *)sci_alloc_zeroed(&client->memory, sizeof *conn);
    if (!conn)
        return NULL;
    conn->client = client;
    conn->kind = kind;
    conn->earliest_ns = SCI_NEVER;
    conn->deadline_timer.fire = sci_conn_deadline_fire;
    conn->life_timer.fire = sci_conn_life_fire;
    sci_list_init(&conn->link);
    sci_list_init(&conn->lookup_watch.link);
    sci_bytes_init(&conn->out, &client->memory);
    sci_list_append(&client->conns, &conn->link);
    return conn;
}

SCI_PRIVATE void sci_conn_free(sci_conn *conn)
{
    sc_client *client = conn->client;
    sci_conn_abandon(conn);
    sci_conn_fail_all(conn, SC_ERR_CLOSED, NULL);
    sci_timer_cancel(&client->loop, &conn->deadline_timer);
    sci_bytes_free(&conn->out);
    sci_free(&client->memory, conn->slots, conn->slot_cap * sizeof(sci_slot));
    sci_free(&client->memory, conn->addresses, conn->address_count * sizeof(sc_address));
    sci_list_remove(&conn->link);
    sci_free(&client->memory, conn, sizeof *conn);
}

/* Slot `index`, counted from the oldest. */
static sci_slot *sci_conn_slot(const sci_conn *conn, uint32_t index)
{
    return &conn->slots[(conn->slot_head + index) & (conn->slot_cap - 1)];
}

static sc_status sci_conn_reserve_slot(sci_conn *conn)
{
    if (conn->slot_count < conn->slot_cap)
        return SC_OK;
    uint32_t cap = conn->slot_cap ? 2 * conn->slot_cap : SCI_CONN_FIRST_SLOTS;
    sci_slot *slots =
        (sci_slot *)sci_resize(&conn->client->memory, NULL, 0, cap * sizeof(sci_slot));
    if (!slots)
        return SC_ERR_MEMORY;
    for (uint32_t i = 0; i < conn->slot_count; i++)
        slots[i] = *sci_conn_slot(conn, i);
    sci_free(&conn->client->memory, conn->slots, conn->slot_cap * sizeof(sci_slot));
    conn->slots = slots;
    conn->slot_cap = cap;
    conn->slot_head = 0;
    return SC_OK;
}

SCI_PRIVATE void sci_op_finish(sci_op *op, sc_status status, const char *text)
{
    sci_assert(!op->is_queued);
    op->status = status;
    if (text && *text) {
        sc_value_release(op->error_text);
        if (sc_value_create(&op->conn->client->memory, sc_text(text), &op->error_text) != SC_OK)
            op->error_text = NULL; /* the status still says what happened */
    }
    op->complete(op);
}

SCI_PRIVATE void sci_op_wake(sci_op *op)
{
    sci_waiter_finish(op->conn->client, &op->waiter);
}

/* Take the oldest slot out; its reply, if it has one, goes back to the op or is dropped. */
static sci_op *sci_conn_pop(sci_conn *conn)
{
    sci_slot *slot = sci_conn_slot(conn, 0);
    sci_op *op = slot->op;
    conn->slot_head = (conn->slot_head + 1) & (conn->slot_cap - 1);
    conn->slot_count--;
    conn->head_sequence++;
    if (op)
        op->is_queued = false;
    else
        sc_reply_release(slot->reply);
    return op;
}

static void sci_conn_mind_deadline(sci_conn *conn, const sci_op *op)
{
    if (op->deadline_ns >= conn->earliest_ns)
        return;
    conn->earliest_ns = op->deadline_ns;
    sci_timer_arm(&conn->client->loop, &conn->deadline_timer, op->deadline_ns);
}

/* Encode the op at the end of the queue. Leaves everything as it was on an error. */
static sc_status sci_conn_enqueue(sci_conn *conn, sci_op *op)
{
    const sc_config *config = &conn->client->config;
    size_t before = sci_bytes_len(&conn->out);
    size_t waiting = before + (conn->wire ? sci_bytes_len(&conn->wire->sending) : 0);
    sc_status status = sci_conn_reserve_slot(conn);
    if (status == SC_OK)
        status = op->encode(op, &conn->out);
    size_t bytes = sci_bytes_len(&conn->out) - before;
    if (status == SC_OK && waiting > 0 && waiting + bytes > config->max_output_bytes)
        status = sc_fail(SC_ERR_FULL,
                         "%zu bytes of commands wait to be sent and %zu more would pass "
                         "max_output_bytes (%zu)",
                         waiting, bytes, config->max_output_bytes);
    if (status != SC_OK) {
        conn->out.end -= bytes;
        return status;
    }
    op->sequence = conn->head_sequence + conn->slot_count;
    bool is_resent = op->waiter.is_sleeping; /* then its thread stays at its gate */
    if (conn->kind == SCI_CONN_SHARED && !is_resent)
        op->waiter.gate = conn->batch % SCI_CLIENT_OP_GATES;
    op->is_queued = true;
    sci_slot *slot = &conn->slots[(conn->slot_head + conn->slot_count) & (conn->slot_cap - 1)];
    slot->op = op;
    slot->reply = op->reply;
    slot->bytes = bytes;
    slot->replies = op->replies;
    conn->slot_count++;
    conn->gathered++;
    conn->client->stats.commands += op->replies;
    sci_conn_mind_deadline(conn, op);
    return SC_OK;
}

/* Commands gather while replies are due within microseconds, until as many have gathered as are
   under way: then many share a system call, and the server has the next batch before it is through
   with one. On a slow network they do not gather, since a command would wait a round trip for
   nothing. */
static bool sci_conn_should_send(const sci_conn *conn)
{
    return conn->gathered >= conn->slot_count - conn->gathered || !conn->gathers ||
           sci_bytes_len(&conn->out) >= SCI_CONN_GATHER_BYTES;
}

/* What lay in the socket while nobody called is handled first: a server that closed an idle
   connection says so there. */
static void sci_conn_freshen(sci_conn *conn, int64_t now_ns)
{
    if (now_ns - conn->active_ns > SCI_CONN_STALE_NS)
        sci_conn_receive_now(conn);
    conn->heard_ns = now_ns;
}

/* Put the op into the queue, or finish it with the reason why it cannot be there; then false. */
static bool sci_conn_admit(sci_conn *conn, sci_op *op, int64_t now_ns)
{
    if (conn->client->is_closing) {
        sci_op_finish(op, SC_ERR_CLOSED, NULL);
        return false;
    }
    if (conn->state == SCI_CONN_READY && conn->slot_count == 0)
        sci_conn_freshen(conn, now_ns);
    conn->active_ns = now_ns;
    if (conn->state == SCI_CONN_DOWN && (conn->is_bound || !sci_conn_may_connect(conn, now_ns))) {
        sci_op_finish(op, conn->is_bound ? SC_ERR_NOT_SENT : conn->failure_status,
                      conn->failure_text);
        return false;
    }
    sc_status status = sci_conn_enqueue(conn, op);
    if (status != SC_OK)
        sci_op_finish(op, status, sc_error_text());
    return status == SC_OK;
}

SCI_PRIVATE void sci_conn_submit(sci_conn *conn, sci_op *op, int64_t now_ns)
{
    op->conn = conn;
    op->is_queued = false;
    if (!sci_conn_admit(conn, op, now_ns))
        return;
    /* Sending lets go of the lock: the op may have ended, and be gone, afterwards. */
    bool needs_receiver = !op->is_watched && !op->is_attended;
    if (conn->state == SCI_CONN_DOWN) {
        sci_conn_connect(conn, now_ns);
    } else if (conn->state == SCI_CONN_READY) {
        if (conn->slot_count == 1 && conn->probe_countdown-- == 0) {
            conn->probe_ns = now_ns;
            conn->probe_countdown = SCI_CONN_PROBE_EVERY;
        }
        if (sci_conn_should_send(conn))
            sci_conn_flush(conn);
        if (needs_receiver && conn->wire && conn->wire->receiver == SCI_RECEIVER_NONE)
            sci_loop_wake(&conn->client->loop);
    }
}

/* Replies: which op, and is it complete? */

SCI_PRIVATE sc_reply *sci_conn_reply_target(sci_conn *conn, sci_op **op, uint32_t **replies)
{
    *op = NULL;
    *replies = NULL;
    if (conn->state == SCI_CONN_READY && conn->kind != SCI_CONN_SUBSCRIBER && conn->slot_count) {
        sci_slot *slot = sci_conn_slot(conn, 0);
        *op = slot->op;
        *replies = &slot->replies;
        if (slot->reply)
            return slot->reply;
    }
    return &conn->wire->scratch;
}

SCI_PRIVATE void sci_conn_reply_is_in(sci_conn *conn, sc_reply *reply)
{
    sci_assert(conn->slot_count > 0 && sci_conn_slot(conn, 0)->replies == 1);
    sci_op *op = sci_conn_pop(conn);
    if (!op) {
        conn->client->stats.late_replies++;
        return;
    }
    op->view = reply;
    sci_op_finish(op, SC_OK, NULL);
}

/* Deadlines. */

/* Whether slot `index` has not left the output buffer, and where it stands in it. */
static bool sci_conn_is_unsent(const sci_conn *conn, uint32_t index, size_t *offset)
{
    uint32_t first = conn->slot_count - conn->gathered;
    *offset = 0;
    if (index < first)
        return false;
    for (uint32_t i = first; i < index; i++)
        *offset += sci_conn_slot(conn, i)->bytes;
    return true;
}

/* Take an unsent slot and its bytes out of the middle. */
static void sci_conn_cut(sci_conn *conn, uint32_t index, size_t offset)
{
    sci_bytes_cut(&conn->out, offset, sci_conn_slot(conn, index)->bytes);
    for (uint32_t i = index + 1; i < conn->slot_count; i++) {
        sci_slot *moved = sci_conn_slot(conn, i);
        if (moved->op)
            moved->op->sequence--;
        *sci_conn_slot(conn, i - 1) = *moved;
    }
    conn->slot_count--;
    conn->gathered--;
}

SCI_PRIVATE void sci_conn_expire(sci_conn *conn, sci_op *op, int64_t now_ns)
{
    char text[SC_ERROR_TEXT_BYTES];
    char peer[SC_ERROR_TEXT_BYTES / 2];
    sc_client *client = conn->client;
    uint32_t index = (uint32_t)(op->sequence - conn->head_sequence);
    size_t offset;
    sci_assert(op->is_queued && index < conn->slot_count);
    sci_conn_peer_text(conn, peer, sizeof peer);
    client->stats.timeouts++;
    op->is_queued = false;
    if (sci_conn_is_unsent(conn, index, &offset)) {
        sci_conn_cut(conn, index, offset);
        (void)sci_format(text, sizeof text, "not sent to %s before the deadline (timeout_ms): %s",
                         peer,
                         conn->state == SCI_CONN_READY ? "the connection was busy"
                         : conn->failures              ? conn->failure_text
                                                       : "the connection was not ready");
        sci_op_finish(op, SC_ERR_NOT_SENT, text);
        return;
    }
    sci_slot *slot = sci_conn_slot(conn, index);
    slot->op = NULL;
    op->reply = NULL; /* the slot's: the late reply still goes there */
    (void)sci_format(text, sizeof text, "no reply from %s before the deadline (timeout_ms)", peer);
    sci_op_finish(op, SC_ERR_TIMEOUT, text);
    bool is_silent = client->config.timeout_ms >= 0 &&
                     now_ns - conn->heard_ns >= client->config.timeout_ms * SCI_NS_PER_MS;
    if (conn->wire && (is_silent || conn->kind == SCI_CONN_DEDICATED))
        sci_conn_drop(conn, SC_ERR_DISCONNECTED, "the server was silent for too long (timeout_ms)");
}

SCI_PRIVATE void sci_conn_deadline_fire(sci_timer *timer)
{
    sci_conn *conn = SCI_CONTAINER(timer, sci_conn, deadline_timer);
    int64_t now_ns = sci_loop_now_ns(&conn->client->loop);
    conn->earliest_ns = SCI_NEVER;
    for (bool has_expired = true; has_expired;) {
        has_expired = false;
        for (uint32_t i = 0; i < conn->slot_count; i++) {
            sci_op *op = sci_conn_slot(conn, i)->op;
            if (!op || op->deadline_ns > now_ns)
                continue;
            sci_conn_expire(conn, op, now_ns); /* may change the queue: look again from the start */
            has_expired = true;
            break;
        }
    }
    for (uint32_t i = 0; i < conn->slot_count; i++) {
        sci_op *op = sci_conn_slot(conn, i)->op;
        if (op)
            sci_conn_mind_deadline(conn, op);
    }
}

/* Loss. */

static void sci_conn_queue_again(sci_conn *conn, sci_op *op)
{
    if (op->reply)
        sci_reply_reset(op->reply);
    op->resends++;
    sc_status status = sci_conn_enqueue(conn, op);
    if (status != SC_OK)
        sci_op_finish(op, status, sc_error_text());
}

SCI_PRIVATE void sci_conn_fail_sent(sci_conn *conn, sc_status status, const char *text)
{
    uint32_t sent = conn->slot_count - conn->gathered;
    /* what is sent again, or started by a `complete`, goes to the end of the queue */
    for (uint32_t i = 0; i < sent; i++) {
        bool is_own_fault = i == 0 && (status == SC_ERR_PROTOCOL || status == SC_ERR_LIMIT ||
                                       status == SC_ERR_MEMORY || status == SC_ERR_CLOSED);
        sci_op *op = sci_conn_pop(conn);
        if (!op)
            continue;
        if (op->is_idempotent && !is_own_fault && op->resends < SCI_OP_RESENDS &&
            !conn->client->is_closing)
            sci_conn_queue_again(conn, op);
        else
            sci_op_finish(
                op, is_own_fault || status == SC_ERR_CLOSED ? status : SC_ERR_DISCONNECTED, text);
    }
}

SCI_PRIVATE void sci_conn_fail_all(sci_conn *conn, sc_status status, const char *text)
{
    uint32_t count = conn->slot_count;
    conn->gathered = 0;
    sci_bytes_reset(&conn->out, SCI_CONN_KEEP_OUTPUT);
    while (count-- > 0) {
        sci_op *op = sci_conn_pop(conn);
        if (op)
            sci_op_finish(op, status, text);
    }
}

/* Sending and receiving on behalf of the queue. */

SCI_PRIVATE bool sci_conn_is_drained(const sci_conn *conn)
{
    return conn->state == SCI_CONN_READY && sci_bytes_len(&conn->out) == 0 &&
           sci_bytes_len(&conn->wire->sending) == 0;
}

/* Wake who waits until all is sent. */
static void sci_conn_tell_drained(sci_conn *conn)
{
    if (conn->drain_waiter && sci_conn_is_drained(conn)) {
        sci_waiter_finish(conn->client, conn->drain_waiter);
        conn->drain_waiter = NULL;
    }
}

SCI_PRIVATE void sci_conn_flush(sci_conn *conn)
{
    sci_wire *wire = conn->wire;
    if (!wire || wire->is_sending || wire->is_stalled ||
        (conn->state != SCI_CONN_READY && conn->state != SCI_CONN_PRELUDE))
        return;
    wire->is_sending = true;
    wire->users++;
    while (wire->conn == conn) {
        if (sci_bytes_len(&wire->sending) == 0) {
            if (conn->state != SCI_CONN_READY || sci_bytes_len(&conn->out) == 0)
                break;
            if (wire->sending.cap > SCI_CONN_KEEP_OUTPUT)
                sci_bytes_free(&wire->sending);
            sci_bytes_swap(&conn->out, &wire->sending);
            conn->batch++;
            conn->gathered = 0;
        }
        if (!sci_wire_transmit(wire))
            break;
        if (sci_bytes_len(&wire->sending) == 0 &&
            (sci_bytes_len(&conn->out) == 0 || !sci_conn_should_send(conn)))
            break;
    }
    wire->is_sending = false;
    sci_conn_tell_drained(conn);
    sci_wire_leave(wire);
}

/* Whether commands should gather is decided by how long a lone command's reply takes. */
static void sci_conn_measure(sci_conn *conn)
{
    if (!conn->probe_ns)
        return;
    conn->gathers = sci_loop_now_ns(&conn->client->loop) - conn->probe_ns < SCI_CONN_PROMPT_NS;
    conn->probe_ns = 0;
}

/* Receive once and handle what came, as the one receiver. True when something came. */
static bool sci_conn_receive_once(sci_conn *conn, sci_transport_receive *receive)
{
    sci_wire *wire = conn->wire;
    wire->receiver = SCI_RECEIVER_CALLER;
    bool has_received = sci_wire_receive(wire, receive);
    if (has_received) {
        sci_conn_measure(conn);
        sci_wire_handle(wire);
    }
    wire->receiver = SCI_RECEIVER_NONE;
    return has_received;
}

/* Replies made room for what gathered, and somebody has to receive the rest. */
static void sci_conn_received(sci_conn *conn, sci_wire *wire)
{
    if (wire->conn == conn && sci_bytes_len(&conn->out))
        sci_conn_flush(conn);
    if (wire->conn == conn && conn->slot_count)
        sci_conn_pass_on(conn);
    sci_wire_leave(wire);
}

SCI_PRIVATE bool sci_conn_receive_soon(sci_conn *conn)
{
    sci_wire *wire = conn->wire;
    sci_transport_receive *receive = conn->client->transport.receive_soon;
    if (!receive || conn->state != SCI_CONN_READY || conn->is_paused || wire->is_slow ||
        wire->is_stalled || wire->receiver != SCI_RECEIVER_NONE)
        return false;
    wire->users++;
    bool has_received = sci_conn_receive_once(conn, receive);
    wire->is_slow = !has_received;
    sci_conn_received(conn, wire);
    return has_received;
}

SCI_PRIVATE void sci_conn_receive_now(sci_conn *conn)
{
    sci_wire *wire = conn->wire;
    sc_client *client = conn->client;
    if (wire->receiver == SCI_RECEIVER_CALLER)
        return;
    wire->users++;
    for (bool has_more = true; has_more && wire->conn == conn && !conn->is_paused;) {
        has_more = sci_conn_receive_once(conn, client->transport.receive);
        if (has_more && wire->conn == conn) {
            wire->is_slow = false;
            conn->heard_ns = sci_loop_now_ns(&client->loop);
            has_more = wire->was_filled ||
                       (client->transport.pending && client->transport.pending(wire->stream));
        }
    }
    sci_conn_received(conn, wire);
}

SCI_PRIVATE void sci_conn_resume(sci_conn *conn)
{
    sci_wire *wire = conn->wire;
    if (!wire || wire->receiver == SCI_RECEIVER_CALLER)
        return;
    wire->users++;
    wire->receiver = SCI_RECEIVER_CALLER;
    sci_wire_handle(wire);
    wire->receiver = SCI_RECEIVER_NONE;
    sci_wire_leave(wire);
}

SCI_PRIVATE void sci_conn_pass_on(sci_conn *conn)
{
    sci_wire *wire = conn->wire;
    sc_client *client = conn->client;
    if (!wire || wire->receiver != SCI_RECEIVER_NONE || conn->slot_count == 0)
        return;
    if (client->loop.driver) {
        sci_loop_wake(&client->loop); /* it includes this connection in its next wait */
        return;
    }
    for (uint32_t i = 0; i < conn->slot_count; i++) {
        sci_op *op = sci_conn_slot(conn, i)->op;
        if (!op || !op->is_watched)
            continue;
        if (op->waiter.is_sleeping && conn->kind == SCI_CONN_SHARED)
            client->called |= 1u << op->waiter.gate; /* all who sleep there can receive here */
        else if (op->waiter.is_sleeping)
            client->raised |= 1u << op->waiter.gate;
        return; /* else it is awake, and about to look for itself */
    }
    sci_loop_wake(&client->loop); /* a program that polls has to be told */
    sci_client_call_driver(client);
}

/* MARK: - Connections: wire (Private) */
/* Sockets, buffers and readers of connections. */

/* Subscriptions of a client: one connection, any number of channels and listeners. All locked. */

typedef enum sci_listen_event {
    SCI_LISTEN_MESSAGE,
    SCI_LISTEN_READY,  /* the server has confirmed: for the first time, or after a gap */
    SCI_LISTEN_FAILED, /* the first attempt to connect failed; more will follow */
    SCI_LISTEN_REFUSED /* the server refuses this channel (ACL) */
} sci_listen_event;

/* Someone who listens to a channel or pattern. The owner frees it after sci_listener_remove. */
typedef struct sci_listener {
    sci_link link;         /* in the channel's listeners */
    sci_link pending_link; /* in the subscriber's list of those who have heard nothing yet */
    struct sci_channel *channel;
    bool is_confirmed; /* READY was told since the connection stands */
    /* Locked; may add and remove listeners, this one too. `message` for SCI_LISTEN_MESSAGE. */
    void (*event)(struct sci_listener *listener, sci_listen_event event, const sc_message *message);
} sci_listener;

/* Begin to listen. READY comes later, or at once within this call when the channel is confirmed
   already. SC_ERR_MEMORY. */
SCI_PRIVATE sc_status sci_listener_add(sc_client *client, sci_listener *listener, sc_slice name,
                                       bool is_pattern);
/* Stop. Fine for one that is not listening. */
SCI_PRIVATE void sci_listener_remove(sc_client *client, sci_listener *listener);

/* For life.c and wire.c. */
SCI_PRIVATE void sci_subscriber_ready(sci_subscriber *subscriber);
SCI_PRIVATE void sci_subscriber_lost(sci_subscriber *subscriber);
SCI_PRIVATE void sci_subscriber_failed(sci_subscriber *subscriber);
SCI_PRIVATE bool sci_subscriber_is_wanted(const sci_subscriber *subscriber);
SCI_PRIVATE void sci_subscriber_reply(sci_subscriber *subscriber, const sc_item *item);
SCI_PRIVATE void sci_subscriber_check(sci_subscriber *subscriber);
SCI_PRIVATE void sci_subscriber_free(sci_subscriber *subscriber);
/* Status and words of the last failed attempt, or refusal. */
SCI_PRIVATE const char *sci_subscriber_failure(const sc_client *client, sc_status *status);
/* For sc_close: end what the program has not unsubscribed. */
SCI_PRIVATE void sci_subscriptions_end_all(sc_client *client);

/* The first receive asks for little, so that an idle client is small; full ones double it. */
#define SCI_WIRE_FIRST_ASK 2048
/* Less room than this at the end of a buffer is not worth a system call. */
#define SCI_WIRE_LEAST_ROOM 512
/* An empty buffer of more than so many receives, left by a large value, is given back. */
#define SCI_WIRE_KEEP_ASKS 8

/* Bytes wait inside the stream (TLS), where the poller cannot see them. */
static bool sci_wire_is_pending(const sci_wire *wire)
{
    const sc_transport *table = &wire->client->transport;
    return table->pending && table->pending(wire->stream);
}

static unsigned sci_wire_prepare(sci_watch *watch)
{
    sci_wire *wire = SCI_CONTAINER(watch, sci_wire, watch);
    sci_conn *conn = wire->conn;
    unsigned interest = 0;
    if (!conn)
        return 0;
    if (conn->state == SCI_CONN_DIALING)
        return wire->dial_wants;
    bool is_due = conn->state == SCI_CONN_PRELUDE || conn->kind == SCI_CONN_SUBSCRIBER ||
                  conn->slot_count > 0 || conn->client->config.polled;
    if (is_due && !conn->is_paused && wire->receiver == SCI_RECEIVER_NONE) {
        wire->receiver = SCI_RECEIVER_LOOP;
        interest |= SC_READABLE;
        if (sci_wire_is_pending(wire)) /* the wait ends at once, and settling receives */
            sci_loop_interrupt(&wire->client->loop);
    }
    if (wire->is_stalled)
        interest |= SC_WRITABLE;
    return interest;
}

static void sci_wire_settle(sci_watch *watch, unsigned ready)
{
    sci_wire *wire = SCI_CONTAINER(watch, sci_wire, watch);
    sci_conn *conn = wire->conn;
    if (wire->receiver == SCI_RECEIVER_LOOP) {
        wire->receiver = SCI_RECEIVER_NONE;
        if (conn && sci_wire_is_pending(wire)) {
            ready |= SC_READABLE;
            sci_loop_wake(&wire->client->loop); /* the poller has not told of it */
        }
    }
    if (!conn || !ready)
        return;
    if (ready & SCI_WATCH_FAILED) {
        sci_conn_drop(conn, watch->failure, NULL);
        return;
    }
    if (conn->state == SCI_CONN_DIALING) {
        sci_conn_dial_ready(conn);
        return;
    }
    wire->users++;
    if (ready & (SC_WRITABLE | SC_HANGUP)) {
        wire->is_stalled = false;
        sci_conn_flush(conn);
    }
    if (wire->conn == conn && (ready & (SC_READABLE | SC_HANGUP)) && !conn->is_paused)
        sci_conn_receive_now(conn);
    sci_wire_leave(wire);
}

static void sci_wire_release(sci_watch *watch)
{
    sci_wire *wire = SCI_CONTAINER(watch, sci_wire, watch);
    sc_client *client = wire->client;
    sci_assert(wire->users == 0 && !wire->conn);
    client->transport.hangup(wire->stream, true);
    sci_bytes_free(&wire->sending);
    sci_chunk_release(wire->chunk);
    sci_reply_reset(&wire->scratch);
    sci_items_free(&wire->scratch.items);
    client->stats.connections--;
    sci_free(&client->memory, wire, sizeof *wire);
}

SCI_PRIVATE sci_wire *sci_wire_create(sci_conn *conn, void *stream)
{
    sc_client *client = conn->client;
    sci_wire *wire = (sci_wire *)sci_alloc_zeroed(&client->memory, sizeof *wire);
    if (!wire) {
        client->transport.hangup(stream, true);
        return NULL;
    }
    wire->client = client;
    wire->conn = conn;
    wire->stream = stream;
    wire->ask = sci_min_size(SCI_WIRE_FIRST_ASK, client->config.receive_buffer_bytes);
    sci_bytes_init(&wire->sending, &client->memory);
    sci_reply_init(&wire->scratch, &client->memory);
    sci_reader_init(&wire->reader, &client->config.limits);
    wire->watch.descriptor = client->transport.descriptor(stream);
    wire->watch.prepare = sci_wire_prepare;
    wire->watch.settle = sci_wire_settle;
    wire->watch.release = sci_wire_release;
    client->stats.connections++;
    sci_watch_add(&client->loop, &wire->watch);
    return wire;
}

SCI_PRIVATE void sci_wire_detach(sci_conn *conn)
{
    sci_wire *wire = conn->wire;
    if (!wire)
        return;
    conn->wire = NULL;
    wire->conn = NULL;
    if (wire->users == 0)
        sci_watch_retire(&conn->client->loop, &wire->watch);
}

SCI_PRIVATE void sci_wire_leave(sci_wire *wire)
{
    sci_assert(wire->users > 0);
    if (--wire->users == 0 && !wire->conn)
        sci_watch_retire(&wire->client->loop, &wire->watch);
}

SCI_PRIVATE bool sci_wire_transmit(sci_wire *wire)
{
    sc_client *client = wire->client;
    sci_conn *conn = wire->conn;
    sc_slice bytes = sci_bytes_slice(&wire->sending);
    size_t sent = 0;
    /* sending does not block; the lock is let go only so that others may add commands meanwhile */
    bool is_alone = sci_atomic_load_acquire(&client->callers) <= 1;
    if (!is_alone)
        sci_client_unlock(client);
    sc_status status = client->transport.transmit(wire->stream, bytes.data, bytes.len, &sent);
    if (!is_alone)
        sci_loop_lock(&client->loop);
    if (wire->conn != conn)
        return false;
    if (status == SC_OK) {
        sci_bytes_consume(&wire->sending, sent);
        client->stats.sends++;
        client->stats.bytes_sent += sent;
        return true;
    }
    if (status == SC_AGAIN) {
        wire->is_stalled = true;
        sci_loop_wake(&client->loop);
    } else if (conn->state == SCI_CONN_PRELUDE) {
        /* a server that takes no more clients says so and closes: receiving tells */
        sci_bytes_reset(&wire->sending, 0);
    } else {
        sci_conn_drop(conn, status, NULL);
    }
    return false;
}

/* What the unfinished token needs from `start` on, as far as it may be asked for: memory follows
   the bytes that came, not the lengths that were announced. */
static size_t sci_wire_wanted(const sci_wire *wire)
{
    size_t have = wire->end - wire->start;
    size_t missing = sci_reader_missing(&wire->reader);
    if (missing <= have)
        return have + wire->ask;
    return sci_min_size(missing, sci_max_size(wire->ask, 2 * have));
}

/* A fresh chunk that begins with the bytes that are not consumed. */
static sc_status sci_wire_move(sci_wire *wire, size_t cap)
{
    sci_chunk *chunk = sci_chunk_create(&wire->client->memory, cap);
    if (!chunk)
        return SC_ERR_MEMORY;
    sci_op *op;
    uint32_t *replies;
    if (wire->chunk && wire->has_items &&
        sci_reply_pin(sci_conn_reply_target(wire->conn, &op, &replies), wire->chunk) != SC_OK) {
        sci_chunk_release(chunk);
        return SC_ERR_MEMORY;
    }
    size_t have = wire->end - wire->start;
    if (have)
        memcpy(sci_chunk_data(chunk), sci_chunk_data(wire->chunk) + wire->start, have);
    sci_chunk_release(wire->chunk);
    wire->chunk = chunk;
    wire->has_items = false;
    wire->start = 0;
    wire->end = have;
    return SC_OK;
}

/* Whether the chunk's room is enough to go on with. */
static bool sci_wire_has_room(const sci_wire *wire, size_t missing)
{
    size_t room = wire->chunk->cap - wire->end;
    if (missing > 0)
        return wire->start + missing <= wire->chunk->cap;
    return room >= sci_min_size(SCI_WIRE_LEAST_ROOM, wire->ask / 4);
}

/* Begin at the front again of a chunk that nobody needs, unless it is too small or too large. */
static sc_status sci_wire_restart(sci_wire *wire)
{
    wire->start = 0;
    wire->end = 0;
    if (wire->chunk->cap >= wire->ask && wire->chunk->cap <= SCI_WIRE_KEEP_ASKS * wire->ask)
        return SC_OK;
    return sci_wire_move(wire, wire->ask);
}

static sc_status sci_wire_make_room(sci_wire *wire)
{
    sci_chunk *chunk = wire->chunk;
    if (!chunk)
        return sci_wire_move(wire, wire->ask);
    bool is_free = !wire->has_items && !sci_chunk_is_shared(chunk);
    if (wire->start == wire->end && is_free)
        return sci_wire_restart(wire);
    size_t missing = sci_reader_missing(&wire->reader);
    if (sci_wire_has_room(wire, missing))
        return SC_OK;
    if (wire->start == 0 && wire->end < chunk->cap && missing > 0)
        return SC_OK; /* fill what is there before growing */
    size_t wanted = sci_wire_wanted(wire);
    if (wire->start == 0 && is_free && wanted > chunk->cap) {
        chunk = sci_chunk_resize(chunk, wanted);
        if (!chunk)
            return SC_ERR_MEMORY;
        wire->chunk = chunk;
        return SC_OK;
    }
    return sci_wire_move(wire, wanted);
}

SCI_PRIVATE bool sci_wire_receive(sci_wire *wire, sci_transport_receive *receive)
{
    sc_client *client = wire->client;
    sci_conn *conn = wire->conn;
    size_t received = 0;
    if (sci_wire_make_room(wire) != SC_OK) {
        sci_conn_drop(conn, SC_ERR_MEMORY, NULL);
        return false;
    }
    char *room = sci_chunk_data(wire->chunk) + wire->end;
    size_t cap = wire->chunk->cap - wire->end;
    sci_client_unlock(client);
    sc_status status = receive(wire->stream, room, cap, &received);
    sci_loop_lock(&client->loop);
    if (wire->conn != conn)
        return false;
    if (status == SC_OK) {
        wire->end += received;
        wire->was_filled = received == cap;
        if (wire->was_filled)
            wire->ask = sci_min_size(2 * wire->ask, client->config.receive_buffer_bytes);
        client->stats.bytes_received += received;
        return true;
    }
    if (status == SC_END)
        sci_conn_drop(conn, SC_ERR_DISCONNECTED, "the server closed the connection");
    else if (status != SC_AGAIN)
        sci_conn_drop(conn, status, NULL);
    return false;
}

/* Whether anything in the reply points into the receive buffer. */
static bool sci_wire_has_text(const sc_reply *reply)
{
    return reply->items.count > 1 ||
           (reply->items.count == 1 && reply->items.at[0].kind != SC_INTEGER &&
            reply->items.at[0].kind != SC_NIL);
}

/* One whole reply stands in `target`, and with it all that its op waits for. */
static void sci_wire_deliver(sci_wire *wire, sc_reply *target)
{
    sci_conn *conn = wire->conn;
    const sc_item *item = &target->items.at[wire->reader.reply_start];
    bool is_scratch = target == &wire->scratch;
    if (conn->state == SCI_CONN_PRELUDE) {
        sci_conn_prelude_reply(conn, item);
    } else if (conn->kind == SCI_CONN_SUBSCRIBER) {
        sci_subscriber_reply(conn->subscriber, item);
    } else if (conn->slot_count == 0) {
        sci_conn_drop(conn, SC_ERR_PROTOCOL, "the server sent a reply that nobody asked for");
    } else if (!is_scratch && sci_wire_has_text(target) &&
               sci_reply_pin(target, wire->chunk) != SC_OK) {
        sci_conn_drop(conn, SC_ERR_MEMORY, NULL);
    } else {
        sci_conn_reply_is_in(conn, target); /* unless scratch, it may be gone now */
    }
    if (is_scratch)
        sci_reply_reset(&wire->scratch);
    wire->has_items = false;
}

SCI_PRIVATE void sci_wire_handle(sci_wire *wire)
{
    sci_conn *conn = wire->conn;
    sc_reply *target = NULL;  /* for the reply that is read, while it is known */
    uint32_t *replies = NULL; /* how many its op still waits for */
    while (wire->conn == conn && wire->start < wire->end && !conn->is_paused) {
        size_t used = 0;
        if (!target) {
            sci_op *op;
            target = sci_conn_reply_target(conn, &op, &replies);
            if (sci_reader_is_idle(&wire->reader)) {
                sci_reader_target(&wire->reader, &target->items);
                sci_reader_stream(&wire->reader, op ? op->sink : NULL, op ? op->sink_user : NULL);
            }
        }
        sc_status status = sci_reader_read(&wire->reader, sci_chunk_data(wire->chunk) + wire->start,
                                           wire->end - wire->start, &used);
        wire->start += used;
        if (SCI_UNLIKELY(status != SC_OK)) {
            wire->has_items = target->items.count > 0;
            if (status != SC_AGAIN)
                sci_conn_drop(conn, status, NULL);
            return;
        }
        target->count++;
        wire->has_items = true;
        if (replies && *replies > 1) { /* of a pipeline: on with the next */
            --*replies;
            continue;
        }
        sci_wire_deliver(wire, target);
        target = NULL;
    }
}

/* MARK: - Connections: life (Private) */
/* A connection's life. One attempt has one deadline, over the look-up, every address, and the
 * prelude. */

/* Bound of the back-off's doubling, so that the shift stays in range. */
#define SCI_LIFE_DOUBLINGS 16

SCI_PRIVATE void sci_conn_peer_text(const sci_conn *conn, char *text, size_t cap)
{
    const sci_url *url = &conn->client->url;
    if (url->scheme == SCI_SCHEME_UNIX)
        (void)sci_format(text, cap, "%s", url->path);
    else if (conn->address_index > 0) {
        char numeric[SCI_ADDRESS_TEXT_BYTES];
        sci_address_to_text(&conn->addresses[conn->address_index - 1], numeric);
        (void)sci_format(text, cap, "%s (%s)", url->host, numeric);
    } else {
        (void)sci_format(text, cap, "%s:%u", url->host, (unsigned)url->port);
    }
}

/* xorshift64* (Marsaglia 2003; Vigna 2016): spreads retries, hides nothing. */
static uint64_t sci_life_random(sc_client *client)
{
    uint64_t x = client->jitter;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    client->jitter = x;
    return x * 2685821657736338717u;
}

/* Exponential back-off with full jitter (Brooker, "Exponential Backoff And Jitter", 2015). */
static int64_t sci_conn_backoff_ns(sci_conn *conn)
{
    const sc_config *config = &conn->client->config;
    uint32_t doublings = conn->failures - 1;
    int64_t bound_ms = config->backoff_min_ms;
    for (uint32_t i = 0;
         i < doublings && i < SCI_LIFE_DOUBLINGS && bound_ms < config->backoff_max_ms; i++)
        bound_ms *= 2;
    bound_ms = sci_min_i64(bound_ms, config->backoff_max_ms);
    uint64_t bound_ns = (uint64_t)bound_ms * SCI_NS_PER_MS;
    return (int64_t)(sci_life_random(conn->client) % (bound_ns + 1));
}

static void sci_conn_forget_lookup(sci_conn *conn)
{
    sc_lookup *lookup = conn->lookup;
    if (!lookup)
        return;
    conn->lookup = NULL;
    if (sci_link_is_in_list(&conn->lookup_watch.link))
        sci_watch_retire(&conn->client->loop, &conn->lookup_watch);
    sci_lookup_abandon(lookup);
}

SCI_PRIVATE void sci_conn_abandon(sci_conn *conn)
{
    sci_timer_cancel(&conn->client->loop, &conn->life_timer);
    sci_conn_forget_lookup(conn);
    sci_wire_detach(conn);
    conn->state = SCI_CONN_DOWN;
    conn->is_checking = false;
    conn->is_paused = false;
    conn->probe_ns = 0;
    conn->probe_countdown = 0;
}

/* The words are copied first: `text` may be the thread's detail text, which abandoning could
 * change. */
static void sci_conn_note_failure(sci_conn *conn, sc_status status, const char *text)
{
    conn->failure_status = status;
    (void)sci_format(conn->failure_text, sizeof conn->failure_text, "%s", text);
}

/* The attempt is over, without a connection. */
static void sci_conn_attempt_failed(sci_conn *conn)
{
    sc_client *client = conn->client;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    sci_conn_abandon(conn);
    client->stats.connect_failures++;
    conn->failures++;
    conn->next_attempt_ns = now_ns + sci_conn_backoff_ns(conn);
    sci_client_log(client, SC_LOG_WARNING, "%s; next attempt in %lld ms", conn->failure_text,
                   (long long)((conn->next_attempt_ns - now_ns) / SCI_NS_PER_MS));
    if (conn->kind == SCI_CONN_SUBSCRIBER)
        sci_subscriber_failed(conn->subscriber);
    if (!client->config.wait_while_down || conn->failure_status == SC_ERR_AUTH)
        sci_conn_fail_all(conn, conn->failure_status, conn->failure_text);
    bool is_wanted = conn->slot_count > 0 || (conn->kind == SCI_CONN_SUBSCRIBER &&
                                              sci_subscriber_is_wanted(conn->subscriber));
    if (is_wanted && conn->state == SCI_CONN_DOWN && !client->is_closing)
        sci_timer_arm(&client->loop, &conn->life_timer, conn->next_attempt_ns);
}

/* The words for the whole attempt, from those for its last step. */
static void sci_conn_fail_step(sci_conn *conn, sc_status status, const char *text)
{
    char peer[SC_ERROR_TEXT_BYTES / 2];
    char whole[SC_ERROR_TEXT_BYTES];
    sci_conn_peer_text(conn, peer, sizeof peer);
    (void)sci_format(whole, sizeof whole, "cannot connect to %s: %s", peer, text);
    sci_conn_note_failure(conn, status, whole);
}

static void sci_conn_send_prelude(sci_conn *conn);

/* Dial one address after another until one is under way or connected. */
static void sci_conn_dial_next(sci_conn *conn)
{
    sc_client *client = conn->client;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    while (conn->address_index < conn->address_count && now_ns < conn->attempt_deadline_ns) {
        int64_t left = (int64_t)(conn->address_count - conn->address_index);
        const sc_address *address = &conn->addresses[conn->address_index++];
        void *stream = NULL;
        sci_wire_detach(conn);
        sc_status status = client->transport.dial(client->transport.user, &client->memory, address,
                                                  client->url.host, &stream);
        if (status == SC_OK && !(conn->wire = sci_wire_create(conn, stream)))
            status = SC_ERR_MEMORY;
        if (status == SC_OK) {
            conn->state = SCI_CONN_DIALING;
            status = client->transport.progress(stream, &conn->wire->dial_wants);
        }
        if (status == SC_OK) {
            sci_conn_send_prelude(conn);
            return;
        }
        if (status == SC_AGAIN) {
            int64_t share_ns = conn->attempt_deadline_ns == SCI_NEVER
                                   ? SCI_NEVER
                                   : now_ns + (conn->attempt_deadline_ns - now_ns) / left;
            sci_timer_arm(&client->loop, &conn->life_timer, share_ns);
            sci_loop_wake(&client->loop);
            return;
        }
        sci_conn_fail_step(conn, status == SC_ERR_MEMORY ? status : SC_ERR_CONNECT,
                           sc_error_text());
        now_ns = sci_loop_now_ns(&client->loop);
    }
    sci_conn_attempt_failed(conn);
}

SCI_PRIVATE void sci_conn_dial_ready(sci_conn *conn)
{
    sc_client *client = conn->client;
    sc_status status = client->transport.progress(conn->wire->stream, &conn->wire->dial_wants);
    if (status == SC_OK) {
        sci_conn_send_prelude(conn);
    } else if (status != SC_AGAIN) {
        sci_conn_fail_step(conn, SC_ERR_CONNECT, sc_error_text());
        sci_conn_dial_next(conn);
    }
}

/* Keep the addresses of this attempt, and no room for more: mostly there is one. */
static sc_status sci_conn_take_addresses(sci_conn *conn, const sc_address *addresses, size_t count)
{
    sc_address *kept = (sc_address *)sci_resize(&conn->client->memory, conn->addresses,
                                                conn->address_count * sizeof(sc_address),
                                                count * sizeof(sc_address));
    if (!kept)
        return SC_ERR_MEMORY;
    memcpy(kept, addresses, count * sizeof(sc_address));
    conn->addresses = kept;
    conn->address_count = count;
    return SC_OK;
}

/* The first address, when there are any. */
static void sci_conn_dial_taken(sci_conn *conn, sc_status status)
{
    if (status == SC_OK) {
        sci_conn_dial_next(conn);
        return;
    }
    sci_conn_fail_step(conn, status, sc_error_text());
    sci_conn_attempt_failed(conn);
}

/* Look-up. */

/* Runs on any thread, perhaps with the lock held: it only makes the driver look. */
static void sci_conn_lookup_notify(void *user)
{
    sci_loop_interrupt((sci_loop *)user);
}

static unsigned sci_conn_lookup_prepare(sci_watch *watch)
{
    (void)watch;
    return SC_READABLE;
}

static void sci_conn_lookup_settle(sci_watch *watch, unsigned ready)
{
    sci_conn *conn = SCI_CONTAINER(watch, sci_conn, lookup_watch);
    if (ready)
        sci_lookup_advance(conn->lookup);
}

static void sci_conn_lookup_release(sci_watch *watch)
{
    (void)watch; /* sci_lookup_abandon closes the descriptor */
}

SCI_PRIVATE void sci_conn_check_lookup(sci_conn *conn)
{
    sc_lookup *lookup = conn->lookup;
    if (conn->state != SCI_CONN_RESOLVING || !sci_lookup_is_done(lookup))
        return;
    if (lookup->status != SC_OK) {
        sci_conn_fail_step(conn, lookup->status, lookup->error_text);
        sci_conn_attempt_failed(conn);
        return;
    }
    sc_status status = sci_conn_take_addresses(conn, lookup->addresses, lookup->count);
    if (status == SC_OK)
        sci_conn_forget_lookup(conn);
    sci_conn_dial_taken(conn, status);
}

static void sci_conn_resolve(sci_conn *conn)
{
    sc_client *client = conn->client;
    sc_status status =
        sci_lookup_start(&client->memory, &client->resolver, client->url.host, client->url.port,
                         sci_conn_lookup_notify, &client->loop, &conn->lookup);
    if (status != SC_OK) {
        sci_conn_fail_step(conn, status, sc_error_text());
        sci_conn_attempt_failed(conn);
        return;
    }
    conn->state = SCI_CONN_RESOLVING;
    sci_timer_arm(&client->loop, &conn->life_timer, conn->attempt_deadline_ns);
    if (conn->lookup->descriptor >= 0) {
        conn->lookup_watch.descriptor = conn->lookup->descriptor;
        conn->lookup_watch.prepare = sci_conn_lookup_prepare;
        conn->lookup_watch.settle = sci_conn_lookup_settle;
        conn->lookup_watch.release = sci_conn_lookup_release;
        sci_watch_add(&client->loop, &conn->lookup_watch);
    }
    sci_conn_check_lookup(conn); /* numeric hosts are done at once */
}

SCI_PRIVATE bool sci_conn_may_connect(sci_conn *conn, int64_t now_ns)
{
    return conn->failures == 0 || now_ns >= conn->next_attempt_ns ||
           (conn->client->config.wait_while_down && conn->failure_status != SC_ERR_AUTH);
}

SCI_PRIVATE void sci_conn_connect(sci_conn *conn, int64_t now_ns)
{
    sc_client *client = conn->client;
    sci_assert(conn->state == SCI_CONN_DOWN);
    if (conn->failures > 0 && now_ns < conn->next_attempt_ns) {
        sci_timer_arm(&client->loop, &conn->life_timer, conn->next_attempt_ns);
        return;
    }
    conn->attempt_deadline_ns =
        sci_client_deadline_ns(client, client->config.connect_timeout_ms, now_ns);
    conn->address_index = 0;
    if (client->url.scheme != SCI_SCHEME_UNIX) {
        sci_conn_resolve(conn);
        return;
    }
    sc_address address;
    sc_status status = sci_address_unix(client->url.path, &address);
    if (status == SC_OK)
        status = sci_conn_take_addresses(conn, &address, 1);
    sci_conn_dial_taken(conn, status);
}

/* Prelude: one command at least, so that an error which the server sends unasked (too many clients,
   still loading) is never taken for the answer to a call. */

typedef enum sci_prelude_step {
    SCI_PRELUDE_AUTH,
    SCI_PRELUDE_SELECT,
    SCI_PRELUDE_NAME,
    SCI_PRELUDE_PING
} sci_prelude_step;

/* The words of `step`, 0 when the configuration does not call for it. */
static size_t sci_prelude_words(const sc_client *client, uint32_t step, sc_slice words[3],
                                char number[SCI_I64_TEXT_BYTES])
{
    const sci_url *url = &client->url;
    size_t count = 0;
    switch ((sci_prelude_step)step) {
    case SCI_PRELUDE_AUTH:
        if (!url->password)
            return 0;
        words[count++] = sc_text("AUTH");
        if (url->user)
            words[count++] = sc_text(url->user);
        words[count++] = sc_text(url->password);
        return count;
    case SCI_PRELUDE_SELECT:
        if (url->db == 0)
            return 0;
        words[count++] = sc_text("SELECT");
        words[count++] = sc_bytes(number, sci_i64_to_text(url->db, number));
        return count;
    case SCI_PRELUDE_NAME:
        if (!url->name)
            return 0;
        words[count++] = sc_text("CLIENT");
        words[count++] = sc_text("SETNAME");
        words[count++] = sc_text(url->name);
        return count;
    case SCI_PRELUDE_PING:
        words[count++] = sc_text("PING");
        return count;
    }
    return 0;
}

#define SCI_PRELUDE_STEPS (SCI_PRELUDE_PING + 1)

/* The first step from `step` on that is called for. */
static uint32_t sci_prelude_from(const sc_client *client, uint32_t step)
{
    sc_slice words[3];
    char number[SCI_I64_TEXT_BYTES];
    while (step < SCI_PRELUDE_STEPS && !sci_prelude_words(client, step, words, number))
        step++;
    return step;
}

static void sci_conn_send_prelude(sci_conn *conn)
{
    sc_client *client = conn->client;
    sc_slice words[3];
    char number[SCI_I64_TEXT_BYTES];
    sc_status status = SC_OK;
    for (uint32_t step = 0; step < SCI_PRELUDE_STEPS && status == SC_OK; step++) {
        size_t count = sci_prelude_words(client, step, words, number);
        if (count)
            status = sci_write_command(&conn->wire->sending, words, count);
    }
    if (status != SC_OK) {
        sci_conn_fail_step(conn, status, sc_error_text());
        sci_conn_attempt_failed(conn);
        return;
    }
    conn->state = SCI_CONN_PRELUDE;
    conn->prelude_step = sci_prelude_from(client, 0);
    sci_timer_arm(&client->loop, &conn->life_timer, conn->attempt_deadline_ns);
    sci_loop_wake(&client->loop);
    sci_conn_flush(conn);
}

static bool sci_answer_begins(sc_slice answer, const char *prefix)
{
    sc_slice text = sc_text(prefix);
    return answer.len >= text.len && memcmp(answer.data, text.data, text.len) == 0;
}

/* Errors that say that the server serves nobody now, whatever was asked. */
static bool sci_answer_is_passing(sc_slice answer)
{
    static const char *const passing[] = {"LOADING",  "MASTERDOWN",  "BUSY",
                                          "TRYAGAIN", "CLUSTERDOWN", "ERR max number of clients"};
    for (size_t i = 0; i < SCI_COUNT(passing); i++)
        if (sci_answer_begins(answer, passing[i]))
            return true;
    return false;
}

static void sci_conn_prelude_refused(sci_conn *conn, const char *command, sc_slice answer)
{
    char text[SC_ERROR_TEXT_BYTES];
    const char *advice = "";
    sc_status status = SC_ERR_CONNECT;
    bool wants_password = sci_answer_begins(answer, "NOAUTH");
    if (sci_answer_is_passing(answer)) {
        advice = ": the server takes no clients now";
    } else if (conn->prelude_step == SCI_PRELUDE_AUTH || wants_password) {
        status = SC_ERR_AUTH;
        advice = wants_password ? ": set the password, in the URL or as sc_config.password"
                                : ": check user and password, in the URL or sc_config";
    } else if (conn->prelude_step == SCI_PRELUDE_SELECT) {
        advice = ": change the database number in the URL";
    } else if (conn->prelude_step == SCI_PRELUDE_NAME) {
        advice = ": change sc_config.client_name";
    }
    (void)sci_format(text, sizeof text, "%s was answered by \"%.*s\"%s", command,
                     (int)sci_min_size(answer.len, 200), answer.data, advice);
    sci_conn_fail_step(conn, status, text);
    if (status == SC_ERR_AUTH)
        sci_conn_attempt_failed(conn);
    else
        sci_conn_dial_next(conn);
}

static void sci_conn_is_ready(sci_conn *conn)
{
    sc_client *client = conn->client;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    conn->state = SCI_CONN_READY;
    conn->failures = 0;
    conn->active_ns = now_ns;
    conn->heard_ns = now_ns;
    client->stats.connects++;
    sci_timer_cancel(&client->loop, &conn->life_timer);
    if (client->config.idle_check_ms >= 0)
        sci_timer_arm(&client->loop, &conn->life_timer,
                      now_ns + client->config.idle_check_ms * SCI_NS_PER_MS);
    sci_client_log(client, SC_LOG_INFO, "connected to %s",
                   client->url.scheme == SCI_SCHEME_UNIX ? client->url.path : client->url.host);
    if (conn->kind == SCI_CONN_SUBSCRIBER)
        sci_subscriber_ready(conn->subscriber);
    sci_conn_flush(conn);
    sci_conn_pass_on(conn);
}

SCI_PRIVATE void sci_conn_prelude_reply(sci_conn *conn, const sc_item *item)
{
    static const char *const names[SCI_PRELUDE_STEPS] = {"AUTH", "SELECT", "CLIENT SETNAME",
                                                         "PING"};
    const char *expected = conn->prelude_step == SCI_PRELUDE_PING ? "PONG" : "OK";
    if (sc_item_expect(item, expected) != SC_OK) {
        sc_slice answer = sc_item_slice(item);
        if (sc_item_kind(item) != SC_ERROR && sc_item_kind(item) != SC_SIMPLE)
            answer = sc_text("something that is no status");
        sci_conn_prelude_refused(conn, names[conn->prelude_step], answer);
        return;
    }
    conn->prelude_step = sci_prelude_from(conn->client, conn->prelude_step + 1);
    if (conn->prelude_step == SCI_PRELUDE_STEPS)
        sci_conn_is_ready(conn);
}

/* Loss. */

SCI_PRIVATE void sci_conn_drop(sci_conn *conn, sc_status status, const char *text)
{
    sc_client *client = conn->client;
    char words[SC_ERROR_TEXT_BYTES];
    (void)sci_format(words, sizeof words, "%s", text ? text : sc_error_text());
    if (conn->state != SCI_CONN_READY) {
        sci_conn_fail_step(conn, status == SC_ERR_MEMORY ? status : SC_ERR_CONNECT, words);
        sci_conn_dial_next(conn);
        return;
    }
    sci_conn_fail_step(conn, status, words);
    (void)sci_format(conn->failure_text, sizeof conn->failure_text, "connection lost: %s", words);
    sci_client_log(client, SC_LOG_INFO, "%s", conn->failure_text);
    sci_conn_abandon(conn);
    char lost[SC_ERROR_TEXT_BYTES];
    memcpy(lost, conn->failure_text, sizeof lost);
    sci_conn_fail_sent(conn, status, lost);
    if (conn->is_bound)
        sci_conn_fail_all(conn, SC_ERR_NOT_SENT, lost);
    if (conn->kind == SCI_CONN_SUBSCRIBER)
        sci_subscriber_lost(conn->subscriber);
    bool is_wanted = conn->slot_count > 0 || (conn->kind == SCI_CONN_SUBSCRIBER &&
                                              sci_subscriber_is_wanted(conn->subscriber));
    if (is_wanted && conn->state == SCI_CONN_DOWN && !client->is_closing)
        sci_conn_connect(conn, sci_loop_now_ns(&client->loop));
}

/* Idle check. */

static sc_status sci_conn_encode_ping(sci_op *op, sci_bytes *out)
{
    sc_slice word = sc_text("PING");
    (void)op;
    return sci_write_command(out, &word, 1);
}

static void sci_conn_checked(sci_op *op)
{
    sci_conn *conn = op->conn;
    conn->is_checking = false;
    sc_value_release(op->error_text);
    op->error_text = NULL;
    if (op->status == SC_ERR_TIMEOUT && conn->state == SCI_CONN_READY)
        sci_conn_drop(conn, SC_ERR_DISCONNECTED, "the idle connection did not answer PING");
}

/* Ask a silent connection whether it still stands. */
static void sci_conn_check_idle(sci_conn *conn)
{
    sc_client *client = conn->client;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    int64_t check_ns = client->config.idle_check_ms * SCI_NS_PER_MS;
    int64_t quiet_ns =
        now_ns - (conn->heard_ns > conn->active_ns ? conn->heard_ns : conn->active_ns);
    if (quiet_ns < check_ns) {
        sci_timer_arm(&client->loop, &conn->life_timer, now_ns + check_ns - quiet_ns);
        return;
    }
    sci_timer_arm(&client->loop, &conn->life_timer, now_ns + check_ns);
    if (conn->kind == SCI_CONN_SUBSCRIBER) {
        sci_subscriber_check(conn->subscriber);
    } else if (!conn->is_checking && conn->slot_count == 0) {
        sci_op *op = &conn->check_op;
        memset(op, 0, sizeof *op);
        op->complete = sci_conn_checked;
        op->encode = sci_conn_encode_ping;
        op->replies = 1;
        op->deadline_ns = sci_client_deadline_ns(client, 0, now_ns);
        conn->is_checking = true;
        sci_conn_submit(conn, op, now_ns);
    }
}

SCI_PRIVATE void sci_conn_life_fire(sci_timer *timer)
{
    sci_conn *conn = SCI_CONTAINER(timer, sci_conn, life_timer);
    int64_t now_ns = sci_loop_now_ns(&conn->client->loop);
    switch (conn->state) {
    case SCI_CONN_DOWN:
        sci_conn_connect(conn, now_ns);
        return;
    case SCI_CONN_RESOLVING:
        sci_conn_fail_step(conn, SC_ERR_RESOLVE,
                           "the name was not resolved before the deadline (connect_timeout_ms)");
        sci_conn_attempt_failed(conn);
        return;
    case SCI_CONN_DIALING:
        sci_conn_fail_step(conn, SC_ERR_CONNECT,
                           "no answer before the deadline (connect_timeout_ms)");
        sci_conn_dial_next(conn);
        return;
    case SCI_CONN_PRELUDE:
        sci_conn_fail_step(conn, SC_ERR_CONNECT,
                           "connected, but the server did not answer before the deadline "
                           "(connect_timeout_ms)");
        sci_conn_dial_next(conn);
        return;
    case SCI_CONN_READY:
        sci_conn_check_idle(conn);
        return;
    }
}

/* MARK: - Subscriber (Private) */
/* Channels on the subscriber's connection. The server answers commands in order, so a channel is
   confirmed when as many answers have come as commands were sent up to its own. */

typedef struct sci_channel {
    sci_map_node node;
    sci_link link; /* in the subscriber's `all` */
    sci_link listeners;
    bool is_pattern;
    bool is_confirmed;
    uint64_t confirmed_by; /* the number of the command that subscribed it */
    size_t block_bytes;    /* of this struct and the name behind it */
} sci_channel;

struct sci_subscriber {
    sc_client *client;
    sci_conn *conn; /* owned by the client's list */
    sci_map channels;
    sci_map patterns;
    sci_link all;     /* channels and patterns */
    sci_link pending; /* listeners that have heard neither READY nor FAILED */
    uint64_t sent;    /* commands that will be answered, on this wire */
    uint64_t answered;
    bool is_checking; /* a PING is unanswered */
};

static sc_status sci_subscriber_create(sc_client *client)
{
    sci_subscriber *subscriber =
        (sci_subscriber *)sci_alloc_zeroed(&client->memory, sizeof *subscriber);
    if (!subscriber)
        return SC_ERR_MEMORY;
    subscriber->client = client;
    subscriber->conn = sci_conn_create(client, SCI_CONN_SUBSCRIBER);
    if (!subscriber->conn) {
        sci_free(&client->memory, subscriber, sizeof *subscriber);
        return SC_ERR_MEMORY;
    }
    subscriber->conn->subscriber = subscriber;
    sci_list_init(&subscriber->all);
    sci_list_init(&subscriber->pending);
    sci_map_init(&subscriber->channels, &client->memory, client->hash_seed);
    sci_map_init(&subscriber->patterns, &client->memory, client->hash_seed);
    client->subscriber = subscriber;
    return SC_OK;
}

static sci_map *sci_subscriber_map(sci_subscriber *subscriber, bool is_pattern)
{
    return is_pattern ? &subscriber->patterns : &subscriber->channels;
}

static sci_channel *sci_subscriber_find(sci_subscriber *subscriber, sc_slice name, bool is_pattern)
{
    sci_map *map = sci_subscriber_map(subscriber, is_pattern);
    sci_map_node *node = sci_map_find(map, name, sci_map_hash(map, name));
    return node ? SCI_CONTAINER(node, sci_channel, node) : NULL;
}

/* Write [P](UN)SUBSCRIBE. Without memory the connection is given up: the next one starts afresh. */
static void sci_subscriber_send(sci_subscriber *subscriber, const char *command, sc_slice name)
{
    sc_slice words[2];
    words[0] = sc_text(command);
    words[1] = name;
    if (sci_write_command(&subscriber->conn->out, words, 2) != SC_OK) {
        sci_conn_drop(subscriber->conn, SC_ERR_MEMORY, NULL);
        return;
    }
    subscriber->sent++;
}

static void sci_channel_subscribe(sci_subscriber *subscriber, sci_channel *channel)
{
    channel->is_confirmed = false;
    channel->confirmed_by = subscriber->sent + 1;
    sci_subscriber_send(subscriber, channel->is_pattern ? "PSUBSCRIBE" : "SUBSCRIBE",
                        channel->node.key);
}

static sci_channel *sci_channel_create(sci_subscriber *subscriber, sc_slice name, bool is_pattern)
{
    size_t block_bytes = sizeof(sci_channel) + name.len;
    sci_channel *channel =
        (sci_channel *)sci_alloc_zeroed(&subscriber->client->memory, block_bytes);
    if (!channel)
        return NULL;
    char *own_name = (char *)(channel + 1);
    if (name.len)
        memcpy(own_name, name.data, name.len);
    channel->block_bytes = block_bytes;
    channel->is_pattern = is_pattern;
    sci_list_init(&channel->listeners);
    sci_list_init(&channel->link);
    sci_list_append(&subscriber->all, &channel->link);
    sci_map *map = sci_subscriber_map(subscriber, is_pattern);
    sc_slice key = sc_bytes(own_name, name.len);
    sci_map_put(map, &channel->node, key, sci_map_hash(map, key));
    return channel;
}

/* Bring the connection up, or the channel's subscription onto it. */
static void sci_subscriber_bring_up(sci_subscriber *subscriber, sci_channel *channel)
{
    sci_conn *conn = subscriber->conn;
    int64_t now_ns = sci_loop_now_ns(&subscriber->client->loop);
    if (conn->state == SCI_CONN_READY) {
        sci_channel_subscribe(subscriber, channel);
        sci_conn_flush(conn);
    } else if (conn->state == SCI_CONN_DOWN && !sci_timer_is_armed(&conn->life_timer)) {
        sci_conn_connect(conn, now_ns);
    }
}

static void sci_listener_confirm(sci_listener *listener)
{
    listener->is_confirmed = true;
    sci_list_remove(&listener->pending_link);
    listener->event(listener, SCI_LISTEN_READY, NULL);
}

SCI_PRIVATE sc_status sci_listener_add(sc_client *client, sci_listener *listener, sc_slice name,
                                       bool is_pattern)
{
    if (client->is_closing)
        return sc_fail(SC_ERR_CLOSED, "the client was closed");
    if (!client->subscriber && sci_subscriber_create(client) != SC_OK)
        return SC_ERR_MEMORY;
    sci_subscriber *subscriber = client->subscriber;
    sci_channel *channel = sci_subscriber_find(subscriber, name, is_pattern);
    bool is_new = !channel;
    if (is_new)
        channel = sci_channel_create(subscriber, name, is_pattern);
    if (!channel)
        return SC_ERR_MEMORY;
    sci_list_init(&listener->link);
    sci_list_append(&channel->listeners, &listener->link);
    sci_list_init(&listener->pending_link);
    sci_list_append(&subscriber->pending, &listener->pending_link);
    listener->channel = channel;
    listener->is_confirmed = false;
    if (is_new) {
        sci_subscriber_bring_up(subscriber, channel);
    } else if (channel->is_confirmed) {
        sci_listener_confirm(listener);
    }
    return SC_OK;
}

SCI_PRIVATE void sci_listener_remove(sc_client *client, sci_listener *listener)
{
    sci_channel *channel = listener->channel;
    sci_subscriber *subscriber = client->subscriber;
    if (!channel)
        return;
    listener->channel = NULL;
    sci_list_remove(&listener->link);
    sci_list_remove(&listener->pending_link);
    if (!sci_list_is_empty(&channel->listeners) || !subscriber)
        return;
    sci_map_remove(sci_subscriber_map(subscriber, channel->is_pattern), &channel->node);
    sci_list_remove(&channel->link);
    /* Not while closing: sending would let go of the lock before every call has ended. */
    if (subscriber->conn->state == SCI_CONN_READY && !client->is_closing) {
        sci_subscriber_send(subscriber, channel->is_pattern ? "PUNSUBSCRIBE" : "UNSUBSCRIBE",
                            channel->node.key);
        sci_conn_flush(subscriber->conn);
    }
    sci_free(&client->memory, channel, channel->block_bytes);
}

static void sci_listener_tell(sci_listener *listener, const sci_channel *channel,
                              sci_listen_event event, const sc_message *message)
{
    switch (event) {
    case SCI_LISTEN_READY:
        if (!listener->is_confirmed && channel->is_confirmed)
            sci_listener_confirm(listener);
        return;
    case SCI_LISTEN_MESSAGE:
        if (listener->is_confirmed)
            listener->event(listener, event, message);
        return;
    case SCI_LISTEN_FAILED:
    case SCI_LISTEN_REFUSED:
        listener->event(listener, event, NULL);
        return;
    }
}

/* Tell every listener of a channel. A listener may remove itself and others meanwhile: the list is
   walked by taking it apart, and a guard in it keeps the channel. */
static void sci_channel_tell(sci_subscriber *subscriber, sci_channel *channel,
                             sci_listen_event event, const sc_message *message)
{
    sci_link untold;
    sci_listener guard;
    memset(&guard, 0, sizeof guard);
    sci_list_init(&untold);
    sci_list_move_all(&untold, &channel->listeners);
    sci_list_init(&guard.link);
    sci_list_init(&guard.pending_link);
    sci_list_append(&channel->listeners, &guard.link);
    guard.channel = channel;
    for (sci_link *link = sci_list_take_first(&untold); link; link = sci_list_take_first(&untold)) {
        sci_list_append(&channel->listeners, link);
        sci_listener_tell(SCI_CONTAINER(link, sci_listener, link), channel, event, message);
    }
    sci_listener_remove(subscriber->client, &guard);
}

SCI_PRIVATE void sci_subscriber_ready(sci_subscriber *subscriber)
{
    subscriber->sent = 0;
    subscriber->answered = 0;
    subscriber->is_checking = false;
    sci_bytes_reset(&subscriber->conn->out, 0);
    for (sci_link *link = subscriber->all.next; link != &subscriber->all; link = link->next)
        sci_channel_subscribe(subscriber, SCI_CONTAINER(link, sci_channel, link));
}

SCI_PRIVATE void sci_subscriber_lost(sci_subscriber *subscriber)
{
    for (sci_link *link = subscriber->all.next; link != &subscriber->all; link = link->next) {
        sci_channel *channel = SCI_CONTAINER(link, sci_channel, link);
        channel->is_confirmed = false;
        for (sci_link *each = channel->listeners.next; each != &channel->listeners;
             each = each->next)
            SCI_CONTAINER(each, sci_listener, link)->is_confirmed = false;
    }
}

SCI_PRIVATE void sci_subscriber_failed(sci_subscriber *subscriber)
{
    for (sci_link *link = sci_list_take_first(&subscriber->pending); link;
         link = sci_list_take_first(&subscriber->pending)) {
        sci_listener *listener = SCI_CONTAINER(link, sci_listener, pending_link);
        listener->event(listener, SCI_LISTEN_FAILED, NULL);
    }
}

SCI_PRIVATE const char *sci_subscriber_failure(const sc_client *client, sc_status *status)
{
    const sci_conn *conn = client->subscriber->conn;
    *status = conn->failure_status;
    return conn->failure_text;
}

SCI_PRIVATE bool sci_subscriber_is_wanted(const sci_subscriber *subscriber)
{
    return subscriber->channels.count + subscriber->patterns.count > 0;
}

SCI_PRIVATE void sci_subscriber_check(sci_subscriber *subscriber)
{
    sci_conn *conn = subscriber->conn;
    sc_slice word = sc_text("PING");
    if (subscriber->is_checking) {
        sci_conn_drop(conn, SC_ERR_DISCONNECTED, "the subscriber's connection did not answer PING");
        return;
    }
    if (sci_write_command(&conn->out, &word, 1) != SC_OK)
        return; /* the next check will do */
    subscriber->is_checking = true;
    sci_conn_flush(conn);
}

static void sci_subscriber_answer(sci_subscriber *subscriber, sc_slice name, bool is_pattern,
                                  bool is_subscribed)
{
    subscriber->answered++;
    sci_channel *channel = sci_subscriber_find(subscriber, name, is_pattern);
    if (!is_subscribed || !channel || channel->confirmed_by != subscriber->answered)
        return;
    channel->is_confirmed = true;
    sci_channel_tell(subscriber, channel, SCI_LISTEN_READY, NULL);
}

static void sci_subscriber_message(sci_subscriber *subscriber, const sc_item *item, bool is_pattern)
{
    sc_message message;
    size_t at = 1;
    memset(&message, 0, sizeof message);
    if (is_pattern)
        message.pattern = sc_item_slice(sc_item_at(item, at++));
    message.channel = sc_item_slice(sc_item_at(item, at++));
    message.payload = sc_item_slice(sc_item_at(item, at));
    sci_channel *channel =
        sci_subscriber_find(subscriber, is_pattern ? message.pattern : message.channel, is_pattern);
    if (channel && channel->is_confirmed)
        sci_channel_tell(subscriber, channel, SCI_LISTEN_MESSAGE, &message);
}

/* An error answers one command: the channel that asked is refused, the others stand. */
static void sci_subscriber_refused(sci_subscriber *subscriber, const sc_item *item)
{
    sci_conn *conn = subscriber->conn;
    subscriber->answered++;
    conn->failure_status = sc_item_check(item);
    (void)sci_format(conn->failure_text, sizeof conn->failure_text, "%s", sc_error_text());
    for (sci_link *link = subscriber->all.next; link != &subscriber->all; link = link->next) {
        sci_channel *channel = SCI_CONTAINER(link, sci_channel, link);
        if (channel->confirmed_by == subscriber->answered) {
            sci_channel_tell(subscriber, channel, SCI_LISTEN_REFUSED, NULL);
            return;
        }
    }
}

SCI_PRIVATE void sci_subscriber_reply(sci_subscriber *subscriber, const sc_item *item)
{
    sc_slice kind = sc_item_slice(sc_item_at(item, 0));
    sc_slice name = sc_item_slice(sc_item_at(item, 1));
    if (sci_slice_equal(kind, sc_text("message")))
        sci_subscriber_message(subscriber, item, false);
    else if (sci_slice_equal(kind, sc_text("pmessage")))
        sci_subscriber_message(subscriber, item, true);
    else if (sci_slice_equal(kind, sc_text("subscribe")))
        sci_subscriber_answer(subscriber, name, false, true);
    else if (sci_slice_equal(kind, sc_text("psubscribe")))
        sci_subscriber_answer(subscriber, name, true, true);
    else if (sci_slice_equal(kind, sc_text("unsubscribe")) ||
             sci_slice_equal(kind, sc_text("punsubscribe")))
        sci_subscriber_answer(subscriber, name, kind.data[0] == 'p', false);
    else if (sci_slice_equal(kind, sc_text("pong")) || sc_item_expect(item, "PONG") == SC_OK)
        subscriber->is_checking = false;
    else if (sc_item_kind(item) == SC_ERROR && subscriber->answered < subscriber->sent)
        sci_subscriber_refused(subscriber, item);
    else
        sci_conn_drop(subscriber->conn, SC_ERR_PROTOCOL,
                      "the server sent what is no message to a subscriber");
}

SCI_PRIVATE void sci_subscriber_free(sci_subscriber *subscriber)
{
    sc_client *client = subscriber->client;
    for (sci_link *link = sci_list_take_first(&subscriber->all); link;
         link = sci_list_take_first(&subscriber->all)) {
        sci_channel *channel = SCI_CONTAINER(link, sci_channel, link);
        for (sci_link *each = sci_list_take_first(&channel->listeners); each;
             each = sci_list_take_first(&channel->listeners)) {
            sci_listener *listener = SCI_CONTAINER(each, sci_listener, link);
            sci_list_remove(&listener->pending_link);
            listener->channel = NULL;
        }
        sci_free(&client->memory, channel, channel->block_bytes);
    }
    sci_map_free(&subscriber->channels);
    sci_map_free(&subscriber->patterns);
    sci_free(&client->memory, subscriber, sizeof *subscriber);
}

/* MARK: - Client (Private) */
/* The client: opening, closing, its thread, and what every call passes through. */

#define SCI_DEFAULT_URL "redis://localhost:6379"
#define SCI_DEFAULT_TIMEOUT_MS 5000
#define SCI_DEFAULT_BACKOFF_MIN_MS 50
#define SCI_DEFAULT_BACKOFF_MAX_MS 2000
#define SCI_DEFAULT_IDLE_CHECK_MS 30000
#define SCI_DEFAULT_MAX_OUTPUT_BYTES ((size_t)64 * 1024 * 1024)
#define SCI_DEFAULT_RECEIVE_BUFFER_BYTES ((size_t)16 * 1024)
#define SCI_LEAST_RECEIVE_BUFFER_BYTES 256
/* Dedicated connections kept for the next who wants one. */
#define SCI_IDLE_CONNS 4
/* What sc_open gives its first call beyond the attempt's own deadline. */
#define SCI_OPEN_MARGIN_MS 50
/* How often sc_close looks whether the callers have left. */
#define SCI_CLOSE_LOOK_NS (1 * SCI_NS_PER_MS)

/* Durations. */

static int64_t sci_default_i64(int64_t value, int64_t fallback)
{
    return value ? value : fallback;
}

SCI_PRIVATE int64_t sci_client_deadline_ns(const sc_client *client, int64_t timeout_ms,
                                           int64_t now_ns)
{
    int64_t ms = timeout_ms ? timeout_ms : client->config.timeout_ms;
    if (ms < 0 || ms >= (SCI_NEVER - now_ns) / SCI_NS_PER_MS)
        return SCI_NEVER;
    return now_ns + ms * SCI_NS_PER_MS;
}

SCI_PRIVATE void sci_client_log(sc_client *client, sc_log_level level, const char *format, ...)
{
    char text[SC_ERROR_TEXT_BYTES];
    const sc_logger *logger = &client->logger;
    if (!logger->write_line || level > (logger->level ? logger->level : SC_LOG_WARNING))
        return;
    va_list arguments;
    va_start(arguments, format);
    (void)sci_format_list(text, sizeof text, format, arguments);
    va_end(arguments);
    logger->write_line(logger->user, level, text);
}

/* Opening. */

static sc_status sci_config_check(const sc_config *config)
{
    if (config->timeout_ms < -1)
        return sc_fail(SC_ERR_ARGUMENT,
                       "sc_config.timeout_ms is %lld; it wants milliseconds, 0 or -1",
                       (long long)config->timeout_ms);
    if (config->connect_timeout_ms < -1)
        return sc_fail(SC_ERR_ARGUMENT,
                       "sc_config.connect_timeout_ms is %lld; it wants milliseconds, 0 or -1",
                       (long long)config->connect_timeout_ms);
    if (config->backoff_min_ms < 0 || config->backoff_max_ms < 0)
        return sc_fail(SC_ERR_ARGUMENT,
                       "sc_config.backoff_min_ms and backoff_max_ms want milliseconds");
    if (config->idle_check_ms < -1)
        return sc_fail(SC_ERR_ARGUMENT, "sc_config.idle_check_ms wants milliseconds, 0 or -1");
    if (config->receive_buffer_bytes &&
        config->receive_buffer_bytes < SCI_LEAST_RECEIVE_BUFFER_BYTES)
        return sc_fail(SC_ERR_ARGUMENT,
                       "sc_config.receive_buffer_bytes is %zu; it wants at least %d",
                       config->receive_buffer_bytes, SCI_LEAST_RECEIVE_BUFFER_BYTES);
    return SC_OK;
}

static void sci_client_resolve_config(sc_client *client, const sc_config *config)
{
    sc_config *own = &client->config;
    *own = *config;
    if (!own->timeout_ms)
        own->timeout_ms =
            client->url.timeout_ms >= 0 ? client->url.timeout_ms : SCI_DEFAULT_TIMEOUT_MS;
    if (!own->connect_timeout_ms)
        own->connect_timeout_ms =
            client->url.connect_timeout_ms >= 0 ? client->url.connect_timeout_ms : own->timeout_ms;
    own->backoff_min_ms = sci_default_i64(own->backoff_min_ms, SCI_DEFAULT_BACKOFF_MIN_MS);
    own->backoff_max_ms = sci_default_i64(own->backoff_max_ms, SCI_DEFAULT_BACKOFF_MAX_MS);
    own->idle_check_ms = sci_default_i64(own->idle_check_ms, SCI_DEFAULT_IDLE_CHECK_MS);
    if (!own->max_output_bytes)
        own->max_output_bytes = SCI_DEFAULT_MAX_OUTPUT_BYTES;
    if (!own->receive_buffer_bytes)
        own->receive_buffer_bytes = SCI_DEFAULT_RECEIVE_BUFFER_BYTES;
}

/* An option of sc_config that stands above the URL's. */
static sc_status sci_client_override(sc_client *client, char **own, const char *option)
{
    if (!option)
        return SC_OK;
    char *copy = sci_copy_text(&client->memory, sc_text(option));
    if (!copy)
        return SC_ERR_MEMORY;
    sci_free_secret_text(&client->memory, *own);
    *own = copy;
    return SC_OK;
}

static sc_status sci_client_configure(sc_client *client, const sc_config *config)
{
    sc_status status = sci_config_check(config);
    if (status == SC_OK)
        status = sci_url_parse(&client->memory, config->url ? config->url : SCI_DEFAULT_URL,
                               &client->url);
    if (status != SC_OK)
        return status;
    status = sci_client_override(client, &client->url.user, config->user);
    if (status == SC_OK)
        status = sci_client_override(client, &client->url.password, config->password);
    if (status == SC_OK)
        status = sci_client_override(client, &client->url.name, config->client_name);
    if (status != SC_OK)
        return status;
    if (client->url.user && !client->url.password)
        return sc_fail(SC_ERR_ARGUMENT,
                       "a user without a password: add it to the URL or set sc_config.password");
    if (client->url.scheme == SCI_SCHEME_REDISS && !config->transport)
        return sc_fail(
            SC_ERR_UNSUPPORTED,
            "rediss:// needs a TLS transport: set sc_config.transport to that of a TLS port, such "
            "as ports/smartcache_openssl.h");
    sci_client_resolve_config(client, config);
    return SC_OK;
}

/* The tables that everything asks the outside world through. */
static sc_status sci_client_tables(sc_client *client, const sc_config *config, sc_clock *clock,
                                   sc_poller *poller)
{
    const char *lacking = NULL;
    if (config->clock)
        *clock = *config->clock;
    else if (!sci_platform_clock(clock))
        lacking = "clock";
    if (config->random)
        client->random = *config->random;
    else if (!sci_platform_random(&client->random))
        lacking = "random";
    if (config->transport)
        client->transport = *config->transport;
    else if (!sc_platform_transport(&client->transport))
        lacking = "transport";
    if (config->poller)
        *poller = *config->poller;
    else if (!sc_platform_poller(poller))
        lacking = "poller";
    if (config->resolver)
        client->resolver = *config->resolver;
    else
        (void)sc_platform_resolver(&client->resolver); /* without one, hosts have to be numeric */
    if (config->logger)
        client->logger = *config->logger;
    if (lacking)
        return sc_fail(SC_ERR_ARGUMENT, "this build has no %s of its own: set sc_config.%s",
                       lacking, lacking);
    return SC_OK;
}

static sc_status sci_client_seed(sc_client *client)
{
    sc_status status =
        client->random.fill(client->random.user, &client->hash_seed, sizeof client->hash_seed);
    if (status == SC_OK)
        status = client->random.fill(client->random.user, &client->jitter, sizeof client->jitter);
    client->jitter |= 1; /* xorshift's state must not be 0 */
    return status;
}

static void sci_client_free(sc_client *client)
{
    sc_memory memory = client->memory;
    sci_url_free(&client->url);
    sci_free(&memory, client, sizeof *client);
}

/* After sc_client.loop exists. */
static sc_status sci_client_start_life(sc_client *client)
{
    sci_list_init(&client->conns);
    sci_list_init(&client->sleepers);
    sci_list_init(&client->subscriptions);
    sci_list_init(&client->close_hooks);
    sci_list_init(&client->fork_hooks);
    sci_waiter_init(&client->thread_waiter, 0);
    client->thread_waiter.gate = SCI_CLIENT_GATES - 1;
    for (size_t i = 0; i < SCI_CLIENT_GATES; i++)
        sci_gate_init(&client->gates[i]);
    client->references.value = 1;
    sci_fork_guard_init(&client->fork_guard);
    client->shared = sci_conn_create(client, SCI_CONN_SHARED);
    return client->shared ? SC_OK : SC_ERR_MEMORY;
}

static sc_status sci_client_create(const sc_config *config, sc_client **created)
{
    sc_memory memory;
    sc_clock clock;
    sc_poller poller;
    if (config->memory)
        memory = *config->memory;
    else if (!sci_platform_memory(&memory))
        return sc_fail(SC_ERR_ARGUMENT,
                       "this build has no memory of its own: set sc_config.memory");
    sc_client *client = (sc_client *)sci_alloc_zeroed(&memory, sizeof *client);
    if (!client)
        return SC_ERR_MEMORY;
    client->memory = memory;
    sc_status status = sci_client_configure(client, config);
    if (status == SC_OK)
        status = sci_client_tables(client, config, &clock, &poller);
    if (status == SC_OK)
        status = sci_client_seed(client);
    if (status == SC_OK)
        status = sci_loop_init(&client->loop, &client->memory, &clock, &poller);
    if (status != SC_OK) {
        sci_client_free(client);
        return status;
    }
    *created = client;
    return sci_client_start_life(client);
}

/* The first connection, so that a wrong password is known now. */
static sc_status sci_client_connect(sc_client *client)
{
    sc_slice word = sc_text("PING");
    sc_call_options options;
    memset(&options, 0, sizeof options);
    options.timeout_ms = client->config.connect_timeout_ms;
    if (options.timeout_ms > 0) /* the attempt ends first, and says more */
        options.timeout_ms += SCI_OPEN_MARGIN_MS;
    options.idempotent = true;
    sc_status status = sc_command(client, &word, 1, &options, NULL);
    return status == SC_ERR_NOT_SENT || status == SC_ERR_TIMEOUT ? SC_ERR_CONNECT : status;
}

SC_API sc_status sc_open(const sc_config *config, sc_client **client)
{
    sc_config defaults;
    *client = NULL;
    memset(&defaults, 0, sizeof defaults);
    if (!config)
        config = &defaults;
    sc_client *created = NULL;
    sc_status status = sci_client_create(config, &created);
    if (status == SC_OK && !config->lazy)
        status = sci_client_connect(created);
    if (status != SC_OK) {
        if (created) {
            char text[SC_ERROR_TEXT_BYTES];
            size_t len = sci_format(text, sizeof text, "%s", sc_error_text());
            (void)sc_close(created);
            sci_error_text_set(text, len);
        }
        return status;
    }
    *client = created;
    return SC_OK;
}

/* Calls. */

SCI_PRIVATE sc_status sci_client_enter(sc_client *client)
{
    if (SCI_UNLIKELY(!client))
        return sc_fail(SC_ERR_ARGUMENT, "the client is NULL");
    if (SCI_UNLIKELY(sci_fork_guard_is_child(&client->fork_guard)))
        sci_client_after_fork(client);
    (void)sci_atomic_add(&client->callers, 1);
    sci_loop_lock(&client->loop);
    if (SCI_LIKELY(!client->is_closing))
        return SC_OK;
    sci_client_unlock(client);
    sci_client_left(client);
    return sc_fail(SC_ERR_CLOSED, "the client was closed");
}

SCI_PRIVATE void sci_client_left(sc_client *client)
{
    (void)sci_atomic_subtract(&client->callers, 1);
}

/* Dedicated connections that nobody uses: the fit ones are kept, up to a few. */
static void sci_client_sweep(sc_client *client)
{
    size_t kept = 0;
    client->has_returned = false;
    for (sci_link *link = client->conns.next, *next; link != &client->conns; link = next) {
        sci_conn *conn = SCI_CONTAINER(link, sci_conn, link);
        next = link->next;
        if (conn->kind != SCI_CONN_DEDICATED || conn->is_borrowed)
            continue;
        if (conn->state != SCI_CONN_READY || conn->slot_count > 0 || ++kept > SCI_IDLE_CONNS)
            sci_conn_free(conn);
    }
}

SCI_PRIVATE void sci_client_leave(sc_client *client)
{
    if (client->has_returned)
        sci_client_sweep(client);
    sci_client_unlock(client);
    sci_client_left(client);
}

SCI_PRIVATE void sci_client_leave_call(sc_client *client)
{
    if (!client->has_thread && !sci_list_is_empty(&client->loop.posts))
        (void)sci_loop_dispatch(&client->loop);
    sci_client_leave(client);
}

SCI_PRIVATE sci_conn *sci_client_borrow_conn(sc_client *client)
{
    sci_conn *found = NULL;
    for (sci_link *link = client->conns.next; link != &client->conns; link = link->next) {
        sci_conn *conn = SCI_CONTAINER(link, sci_conn, link);
        if (conn->kind == SCI_CONN_DEDICATED && !conn->is_borrowed && conn->slot_count == 0 &&
            conn->state == SCI_CONN_READY)
            found = conn;
    }
    if (!found)
        found = sci_conn_create(client, SCI_CONN_DEDICATED);
    if (found)
        found->is_borrowed = true;
    return found;
}

SCI_PRIVATE void sci_client_return_conn(sci_conn *conn)
{
    if (!conn)
        return;
    conn->is_borrowed = false;
    conn->is_bound = false;
    conn->is_paused = false;
    conn->client->has_returned = true;
}

SCI_PRIVATE void sci_client_check_lookups(sc_client *client)
{
    for (bool has_found = true; has_found;) {
        has_found = false;
        for (sci_link *link = client->conns.next; link != &client->conns && !has_found;
             link = link->next) {
            sci_conn *conn = SCI_CONTAINER(link, sci_conn, link);
            has_found = conn->state == SCI_CONN_RESOLVING && sci_lookup_is_done(conn->lookup);
            if (has_found)
                sci_conn_check_lookup(conn); /* unlocks: the list may have changed */
        }
    }
}

/* The thread. */

static sc_status sci_client_start_thread(sc_client *client)
{
    if (client->has_thread)
        return SC_OK;
    sc_status status = sci_thread_start(&client->thread, sci_client_thread, client);
    client->has_thread = status == SC_OK;
    return status;
}

SCI_PRIVATE void sci_client_want_thread(sc_client *client)
{
    if (!client->config.polled && !client->is_closing)
        (void)sci_client_start_thread(client);
}

SC_API sc_status sc_start(sc_client *client)
{
    sc_status status = sci_client_enter(client);
    if (status != SC_OK)
        return status;
    status = sci_client_start_thread(client);
    sci_client_leave(client);
    return status;
}

SC_API sc_status sc_poll(sc_client *client, int64_t timeout_ms)
{
    sc_status status = sci_client_enter(client);
    if (status != SC_OK)
        return status;
    int64_t timeout_ns =
        timeout_ms < 0 || timeout_ms > INT64_MAX / SCI_NS_PER_MS ? -1 : timeout_ms * SCI_NS_PER_MS;
    if (sci_loop_drive_begin(&client->loop)) {
        status = sci_client_step(client, timeout_ns);
        sci_client_stop_driving(client);
    } else {
        sci_waiter waiter; /* nobody finishes it */
        int64_t now_ns = sci_loop_now_ns(&client->loop);
        sci_waiter_init(&waiter, 0);
        (void)sci_waiter_wait_locked(client, &waiter,
                                     timeout_ns < 0 ? SCI_NEVER : now_ns + timeout_ns);
    }
    sci_client_leave_call(client);
    return status;
}

SC_API void *sc_client_poller(const sc_client *client, const sc_poller *table)
{
    const sci_loop *loop = &client->loop;
    return loop->poller_table.create == table->create ? loop->poller : NULL;
}

SC_API void sc_stats_get(sc_client *client, sc_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    if (sci_client_enter(client) != SC_OK)
        return;
    *stats = client->stats;
    for (sci_link *link = client->conns.next; link != &client->conns; link = link->next)
        stats->unanswered += SCI_CONTAINER(link, sci_conn, link)->slot_count;
    sci_client_leave(client);
}

/* Closing. */

SCI_PRIVATE void sci_client_retain(sc_client *client)
{
    (void)sci_atomic_add(&client->references, 1);
}

SCI_PRIVATE void sci_client_release(sc_client *client)
{
    if (sci_atomic_subtract(&client->references, 1) != 1)
        return;
    sci_loop_free(&client->loop);
    for (size_t i = 0; i < SCI_CLIENT_GATES; i++)
        sci_gate_free(&client->gates[i]);
    sci_fork_guard_free(&client->fork_guard);
    sci_client_free(client);
}

/* Everything under way ends with SC_ERR_CLOSED. */
static void sci_client_end_all(sc_client *client)
{
    client->is_closing = true;
    for (sci_link *link = sci_list_take_first(&client->close_hooks); link;
         link = sci_list_take_first(&client->close_hooks)) {
        sci_close_hook *hook = SCI_CONTAINER(link, sci_close_hook, link);
        hook->closing(hook);
    }
    for (sci_link *link = client->conns.next; link != &client->conns; link = link->next) {
        sci_conn *conn = SCI_CONTAINER(link, sci_conn, link);
        sci_conn_abandon(conn);
        sci_conn_fail_all(conn, SC_ERR_CLOSED, "the client was closed");
    }
}

/* The other threads' calls end by themselves; this waits until they have left. */
static void sci_client_await_callers(sc_client *client)
{
    sci_gate pause;
    sci_gate_init(&pause);
    while (sci_atomic_load_acquire(&client->callers) > 0)
        sci_gate_wait(&pause, sci_gate_ticket(&pause), SCI_CLOSE_LOOK_NS);
    sci_gate_free(&pause);
}

SC_API sc_status sc_close(sc_client *client)
{
    if (!client)
        return SC_OK;
    if (sci_fork_guard_is_child(&client->fork_guard))
        sci_client_after_fork(client);
    sci_loop_lock(&client->loop);
    if (client->loop.dispatcher == sci_thread_self()) {
        sci_client_unlock(client);
        return sc_fail(SC_ERR_DEADLOCK, "sc_close was called from a callback of the same client");
    }
    sci_client_end_all(client);
    client->thread_stops = true;
    client->raised |= 1u << client->thread_waiter.gate;
    sci_loop_wake(&client->loop);
    bool has_thread = client->has_thread;
    sci_client_unlock(client);
    if (has_thread)
        sci_thread_join(&client->thread);
    sci_client_await_callers(client);
    sci_loop_lock(&client->loop);
    client->has_thread = false;
    while (sci_loop_dispatch(&client->loop))
        continue;
    sci_subscriptions_end_all(client);
    while (!sci_list_is_empty(&client->conns))
        sci_conn_free(SCI_CONTAINER(client->conns.next, sci_conn, link));
    if (client->subscriber)
        sci_subscriber_free(client->subscriber);
    client->subscriber = NULL;
    client->shared = NULL;
    sci_client_unlock(client);
    sci_client_release(client);
    return SC_OK;
}

/* MARK: - Fork (Private) */
/* A forked child has its parent's memory but neither its threads nor any right to its sockets: it
   lets both go and connects anew. Calls that were under way belong to the parent. */

/* The child's copy of a socket is closed without a word to the peer. When another thread was inside
   a system call, or in the middle of a change, what it worked on is left alone: a leak in the
   child, where a free could damage the heap. */
static void sci_wire_abandon_in_child(sci_wire *wire, bool is_intact)
{
    sc_client *client = wire->client;
    client->transport.hangup(wire->stream, false);
    if (!is_intact || wire->users > 0)
        return;
    sci_bytes_free(&wire->sending);
    sci_chunk_release(wire->chunk);
    sci_reply_reset(&wire->scratch);
    sci_items_free(&wire->scratch.items);
    sci_free(&client->memory, wire, sizeof *wire);
}

static void sci_conn_reset_in_child(sci_conn *conn, bool is_intact)
{
    if (conn->lookup)
        sci_lookup_abandon_in_child(conn->lookup);
    conn->lookup = NULL;
    sci_list_init(&conn->lookup_watch.link);
    if (conn->wire)
        sci_wire_abandon_in_child(conn->wire, is_intact);
    conn->wire = NULL;
    conn->state = SCI_CONN_DOWN;
    conn->failures = 0;
    conn->slot_count = 0;
    conn->gathered = 0;
    conn->slot_head = 0;
    conn->is_checking = false;
    conn->earliest_ns = SCI_NEVER;
    if (is_intact) {
        sci_bytes_reset(&conn->out, 0);
    } else {
        sci_bytes_init(&conn->out, &conn->client->memory);
        conn->slots = NULL;
        conn->slot_cap = 0;
    }
    memset(&conn->life_timer.node, 0, sizeof conn->life_timer.node);
    memset(&conn->deadline_timer.node, 0, sizeof conn->deadline_timer.node);
}

/* A poller and a lock of the child's own. */
static void sci_loop_reset_in_child(sci_loop *loop)
{
    sc_poller *table = &loop->poller_table;
    table->destroy(loop->poller);
    loop->poller = NULL;
    (void)table->create(table->user, &loop->memory, &loop->poller);
    sci_mutex_init(&loop->lock);
    sci_loop_clear(loop);
}

SCI_PRIVATE void sci_client_after_fork(sc_client *client)
{
    /* held: another thread of the parent was in the middle of a change */
    bool is_intact = sci_mutex_try_lock(&client->loop.lock);
    sci_fork_guard_reset(&client->fork_guard);
    for (sci_link *link = client->conns.next; link != &client->conns; link = link->next) {
        sci_conn *conn = SCI_CONTAINER(link, sci_conn, link);
        sci_conn_reset_in_child(conn, is_intact);
        conn->is_borrowed = false;
    }
    sci_loop_reset_in_child(&client->loop);
    for (size_t i = 0; i < SCI_CLIENT_GATES; i++)
        sci_gate_init(&client->gates[i]);
    sci_list_init(&client->sleepers);
    sci_waiter_init(&client->thread_waiter, 0);
    client->thread_waiter.gate = SCI_CLIENT_GATES - 1;
    client->callers.value = 0;
    client->raised = 0;
    client->called = 0;
    client->has_thread = false;
    client->has_returned = true;
    client->stats.connections = 0;
    if (client->subscriber)
        sci_subscriber_lost(client->subscriber);
    for (sci_link *link = client->fork_hooks.next; link != &client->fork_hooks; link = link->next) {
        sci_fork_hook *hook = SCI_CONTAINER(link, sci_fork_hook, link);
        hook->forked(hook);
    }
}

/* MARK: - Commands (Private) */
/* Single commands, blocking and asynchronous. */

/* Ops for commands: what the public calls, pipelines and scripts are made of. */

/* Refuse what would change how a shared connection is understood. */
SCI_PRIVATE sc_status sci_command_check(const sc_slice *argv, size_t argc);

/* An op whose bytes are made elsewhere, on the shared or a dedicated connection, as `options` say.
   Takes over `op->reply`: on SC_OK it is handed to `*reply`, else released. Not locked. */
SCI_PRIVATE sc_status sci_command_run(sc_client *client, sci_op *op, const sc_call_options *options,
                                      sc_reply **reply);
/* SC_ERR_REPLY with the server's words when the one item is an error; then the reply is released.
 */
SCI_PRIVATE sc_status sci_reply_check(sc_reply **reply);

/* An asynchronous call. Freed after its callback. */
typedef struct sci_async {
    sci_op op;
    sci_post post;
    sc_client *client;
    sci_bytes bytes;      /* the commands, when they outlive the starting call */
    sc_on_reply on_reply; /* NULL: nobody wants to know */
    void *user;
    sc_status status;
    bool is_dedicated;
    bool is_many; /* an error item is the caller's to look at, not the call's */
    /* Optional, unlocked, before the callback: turn the reply into what the caller sees. */
    sc_status (*finish)(sc_reply *reply);
} sci_async;

/* NULL when there is no memory. */
SCI_PRIVATE sci_async *sci_async_create(sc_client *client, const sc_call_options *options,
                                        sc_on_reply on_reply, void *user);
SCI_PRIVATE void sci_async_free(sci_async *async);
/* Enter, submit on `conn` (NULL: by the options), leave. An error means that the callback will not
   be called, and frees `async`. */
SCI_PRIVATE sc_status sci_async_start(sci_async *async, sci_conn *conn);
/* `complete` of an async's op. */
SCI_PRIVATE void sci_async_complete(sci_op *op);
/* `encode` of an async whose `bytes` are the commands. */
SCI_PRIVATE sc_status sci_async_encode(sci_op *op, sci_bytes *out);

/* Words of sc_command_strings that need no allocation. */
#define SCI_COMMAND_STACK_WORDS 16

static bool sci_command_word_is(sc_slice word, const char *upper)
{
    for (size_t i = 0; i < word.len; i++) {
        char c = word.data[i];
        if (c >= 'a' && c <= 'z')
            c = (char)(c - 'a' + 'A');
        if (c != upper[i] || !upper[i])
            return false;
    }
    return upper[word.len] == '\0';
}

/* Commands after which a connection's replies mean something else, or its state is not what the
   other threads rely on. */
static const char *sci_command_refusal(const sc_slice *argv, size_t argc)
{
    static const struct {
        const char *word;
        const char *advice;
    } refused[] = {{"SUBSCRIBE", "use sc_subscribe"},
                   {"PSUBSCRIBE", "use sc_psubscribe"},
                   {"SSUBSCRIBE", "use sc_subscribe"},
                   {"UNSUBSCRIBE", "use sc_unsubscribe"},
                   {"PUNSUBSCRIBE", "use sc_unsubscribe"},
                   {"SUNSUBSCRIBE", "use sc_unsubscribe"},
                   {"MULTI", "use sc_pipeline_exec"},
                   {"EXEC", "use sc_pipeline_exec"},
                   {"DISCARD", "use sc_pipeline_clear"},
                   {"WATCH", "use sc_pipeline_watch"},
                   {"UNWATCH", "use sc_pipeline_clear"},
                   {"SELECT", "set the database in the URL"},
                   {"AUTH", "set the password in the URL"},
                   {"HELLO", "the client speaks RESP2"},
                   {"MONITOR", "it never ends"},
                   {"SYNC", "it never ends"},
                   {"PSYNC", "it never ends"},
                   {"QUIT", "use sc_close"},
                   {"RESET", "use sc_close"},
                   {"READONLY", "it changes the connection"},
                   {"READWRITE", "it changes the connection"},
                   {"ASKING", "it changes the connection"}};
    for (size_t i = 0; i < SCI_COUNT(refused); i++)
        if (sci_command_word_is(argv[0], refused[i].word))
            return refused[i].advice;
    if (argc > 1 && sci_command_word_is(argv[0], "CLIENT") && sci_command_word_is(argv[1], "REPLY"))
        return "replies would be missing";
    return NULL;
}

/* The letters that refused commands begin with, so that GET and SET pass by one look. */
static bool sci_command_may_be_refused(sc_slice word)
{
    static const char first_two[] = "SUPSSSUNPUMUEXDIWASEAUHEMOSYQUREASCL";
    if (word.len < 4)
        return false;
    char a = (char)(word.data[0] & ~0x20);
    char b = (char)(word.data[1] & ~0x20);
    for (size_t i = 0; i + 1 < sizeof first_two; i += 2)
        if (first_two[i] == a && first_two[i + 1] == b)
            return true;
    return false;
}

SCI_PRIVATE sc_status sci_command_check(const sc_slice *argv, size_t argc)
{
    if (argc == 0 || !argv || argv[0].len == 0)
        return sc_fail(SC_ERR_ARGUMENT, "a command needs at least one word");
    if (!sci_command_may_be_refused(argv[0]))
        return SC_OK;
    const char *advice = sci_command_refusal(argv, argc);
    if (!advice)
        return SC_OK;
    return sc_fail(SC_ERR_ARGUMENT, "%.*s is not for a connection that is shared: %s",
                   (int)argv[0].len, argv[0].data, advice);
}

/* Blocking. */

static sc_status sci_command_run_dedicated(sc_client *client, sci_op *op, int64_t timeout_ms)
{
    sc_status status = sci_client_enter(client);
    if (status != SC_OK)
        return status;
    sci_conn *conn = sci_client_borrow_conn(client);
    status = conn ? sci_op_run(client, conn, op, timeout_ms) : SC_ERR_MEMORY;
    sci_client_return_conn(conn);
    sci_client_leave_call(client);
    return status;
}

SCI_PRIVATE sc_status sci_reply_check(sc_reply **reply)
{
    const sc_item *item = sc_reply_item(*reply);
    if (SCI_LIKELY(item && item->kind != SC_ERROR))
        return SC_OK;
    sc_status status = sc_item_check(item);
    sc_reply_release(*reply);
    *reply = NULL;
    return status;
}

SCI_PRIVATE sc_status sci_command_run(sc_client *client, sci_op *op, const sc_call_options *options,
                                      sc_reply **reply)
{
    int64_t timeout_ms = options ? options->timeout_ms : 0;
    op->complete = op->complete ? op->complete : sci_op_wake;
    op->is_idempotent = options && options->idempotent;
    sc_status status = options && options->dedicated
                           ? sci_command_run_dedicated(client, op, timeout_ms)
                           : sci_op_call(client, op, timeout_ms);
    *reply = op->reply;
    if (status != SC_OK) {
        sc_reply_release(op->reply);
        *reply = NULL;
    }
    return status;
}

typedef struct sci_command_op {
    sci_op op;
    const sc_slice *argv;
    size_t argc;
} sci_command_op;

static sc_status sci_command_encode(sci_op *op, sci_bytes *out)
{
    sci_command_op *command = SCI_CONTAINER(op, sci_command_op, op);
    return sci_write_command(out, command->argv, command->argc);
}

SC_API sc_status sc_command(sc_client *client, const sc_slice *argv, size_t argc,
                            const sc_call_options *options, sc_reply **reply)
{
    sci_command_op command;
    sc_reply *own = NULL;
    sc_reply **result = reply ? reply : &own;
    *result = NULL;
    if (!client)
        return sc_fail(SC_ERR_ARGUMENT, "the client is NULL");
    sc_status status = sci_command_check(argv, argc);
    if (status != SC_OK)
        return status;
    memset(&command, 0, sizeof command);
    command.op.encode = sci_command_encode;
    command.op.replies = 1;
    command.op.reply = sci_reply_create(&client->memory);
    command.argv = argv;
    command.argc = argc;
    if (!command.op.reply)
        return SC_ERR_MEMORY;
    status = sci_command_run(client, &command.op, options, result);
    if (status == SC_OK)
        status = sci_reply_check(result);
    if (own)
        sc_reply_release(own);
    return status;
}

SC_API sc_status sc_command_strings(sc_client *client, sc_reply **reply, ...)
{
    sc_slice few[SCI_COMMAND_STACK_WORDS];
    sc_slice *argv = few;
    size_t argc = 0;
    va_list words;
    if (reply)
        *reply = NULL;
    if (!client)
        return sc_fail(SC_ERR_ARGUMENT, "the client is NULL");
    va_start(words, reply);
    while (va_arg(words, const char *))
        argc++;
    va_end(words);
    if (argc > SCI_COUNT(few))
        argv = (sc_slice *)sci_resize(&client->memory, NULL, 0, argc * sizeof *argv);
    if (!argv)
        return SC_ERR_MEMORY;
    few[0] = sc_bytes(NULL, 0); /* no words at all: refused below */
    va_start(words, reply);
    for (size_t i = 0; i < argc; i++)
        argv[i] = sc_text(va_arg(words, const char *));
    va_end(words);
    sc_status status = sc_command(client, argv, argc, NULL, reply);
    if (argv != few)
        sci_free(&client->memory, argv, argc * sizeof *argv);
    return status;
}

/* Asynchronous. */

static void sci_async_run(sci_post *post)
{
    sci_async *async = SCI_CONTAINER(post, sci_async, post);
    sc_reply *reply = async->op.reply;
    sc_status status = async->status;
    if (status == SC_OK && async->finish)
        status = async->finish(reply);
    else if (status == SC_OK && !async->is_many)
        status = sc_item_check(sc_reply_item(reply));
    else if (status < 0) {
        sc_slice text = sc_value_bytes(async->op.error_text);
        if (!text.len)
            text = sc_text(sc_status_message(status));
        sci_error_text_set(text.data, text.len);
    }
    if (async->on_reply)
        async->on_reply(async->user, status, status == SC_OK ? reply : NULL);
    sci_async_free(async);
}

SCI_PRIVATE void sci_async_complete(sci_op *op)
{
    sci_async *async = SCI_CONTAINER(op, sci_async, op);
    async->status = op->status;
    if (async->is_dedicated)
        sci_client_return_conn(op->conn);
    sci_loop_post(&async->client->loop, &async->post);
}

SCI_PRIVATE sc_status sci_async_encode(sci_op *op, sci_bytes *out)
{
    return sci_bytes_append(out, sci_bytes_slice(&SCI_CONTAINER(op, sci_async, op)->bytes));
}

SCI_PRIVATE sci_async *sci_async_create(sc_client *client, const sc_call_options *options,
                                        sc_on_reply on_reply, void *user)
{
    sci_async *async = (sci_async *)sci_alloc_zeroed(&client->memory, sizeof *async);
    if (!async)
        return NULL;
    async->client = client;
    async->on_reply = on_reply;
    async->user = user;
    async->is_dedicated = options && options->dedicated;
    sci_bytes_init(&async->bytes, &client->memory);
    sci_list_init(&async->post.link);
    async->post.run = sci_async_run;
    async->op.complete = sci_async_complete;
    async->op.encode = sci_async_encode;
    async->op.replies = 1;
    async->op.is_idempotent = options && options->idempotent;
    async->op.deadline_ns = options ? options->timeout_ms : 0; /* until it starts */
    async->op.reply = sci_reply_create(&client->memory);
    if (!async->op.reply) {
        sci_async_free(async);
        return NULL;
    }
    return async;
}

SCI_PRIVATE void sci_async_free(sci_async *async)
{
    sc_memory memory = async->client->memory;
    sc_reply_release(async->op.reply);
    sc_value_release(async->op.error_text);
    sci_bytes_free(&async->bytes);
    sci_free(&memory, async, sizeof *async);
}

SCI_PRIVATE sc_status sci_async_start(sci_async *async, sci_conn *conn)
{
    sc_client *client = async->client;
    sc_status status = sci_client_enter(client);
    if (status != SC_OK) {
        sci_async_free(async);
        return status;
    }
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    async->op.deadline_ns = sci_client_deadline_ns(client, async->op.deadline_ns, now_ns);
    if (!conn)
        conn = async->is_dedicated ? sci_client_borrow_conn(client) : client->shared;
    if (conn) {
        sci_conn_submit(conn, &async->op, now_ns);
    } else {
        sci_async_free(async);
        status = SC_ERR_MEMORY;
    }
    sci_client_leave(client);
    return status;
}

SC_API sc_status sc_command_async(sc_client *client, const sc_slice *argv, size_t argc,
                                  const sc_call_options *options, sc_on_reply on_reply, void *user)
{
    if (!client)
        return sc_fail(SC_ERR_ARGUMENT, "the client is NULL");
    sc_status status = sci_command_check(argv, argc);
    if (status != SC_OK)
        return status;
    sci_async *async = sci_async_create(client, options, on_reply, user);
    if (!async)
        return SC_ERR_MEMORY;
    status = sci_write_command(&async->bytes, argv, argc);
    if (status == SC_OK)
        return sci_async_start(async, NULL);
    sci_async_free(async);
    return status;
}

/* MARK: - Pipelines and transactions (Private) */
/* Pipelines and transactions. */

/* A pipeline's buffer above this is given back after a run. */
#define SCI_PIPELINE_KEEP_BYTES (256u * 1024u)
/* Words of sc_pipeline_add_strings that need no allocation. */
#define SCI_PIPELINE_STACK_WORDS 16

struct sc_pipeline {
    sc_client *client; /* retained */
    sci_bytes bytes;   /* whole commands */
    size_t count;
    sci_bytes words; /* of the command being built */
    size_t word_count;
    sc_status status; /* the first error while adding */
    sci_conn *conn;   /* borrowed while keys are watched */
};

SC_API sc_status sc_pipeline_open(sc_client *client, sc_pipeline **pipeline)
{
    *pipeline = NULL;
    if (!client)
        return sc_fail(SC_ERR_ARGUMENT, "the client is NULL");
    sc_pipeline *opened = (sc_pipeline *)sci_alloc_zeroed(&client->memory, sizeof *opened);
    if (!opened)
        return SC_ERR_MEMORY;
    sci_client_retain(client);
    opened->client = client;
    sci_bytes_init(&opened->bytes, &client->memory);
    sci_bytes_init(&opened->words, &client->memory);
    *pipeline = opened;
    return SC_OK;
}

static sc_status sci_pipeline_keep(sc_pipeline *pipeline, sc_status status)
{
    if (status < 0 && pipeline->status == SC_OK)
        pipeline->status = status;
    return status;
}

/* Close the command that is being built, if one is. */
static sc_status sci_pipeline_end_command(sc_pipeline *pipeline)
{
    if (pipeline->word_count == 0)
        return SC_OK;
    sc_status status = sci_write_array_header(&pipeline->bytes, pipeline->word_count);
    if (status == SC_OK)
        status = sci_bytes_append(&pipeline->bytes, sci_bytes_slice(&pipeline->words));
    sci_bytes_reset(&pipeline->words, SCI_PIPELINE_KEEP_BYTES);
    pipeline->word_count = 0;
    if (status == SC_OK)
        pipeline->count++;
    return sci_pipeline_keep(pipeline, status);
}

SC_API sc_status sc_pipeline_add(sc_pipeline *pipeline, const sc_slice *argv, size_t argc)
{
    sc_status status = pipeline->word_count ? sci_pipeline_end_command(pipeline) : SC_OK;
    if (status == SC_OK)
        status = sci_command_check(argv, argc);
    if (status == SC_OK)
        status = sci_write_command(&pipeline->bytes, argv, argc);
    if (status != SC_OK)
        return sci_pipeline_keep(pipeline, status);
    pipeline->count++;
    return SC_OK;
}

SC_API sc_status sc_pipeline_add_strings(sc_pipeline *pipeline, ...)
{
    va_list words;
    sc_status status = SC_OK;
    bool is_first = true;
    va_start(words, pipeline);
    for (const char *word = va_arg(words, const char *); word && status == SC_OK;
         word = va_arg(words, const char *)) {
        status = is_first ? sc_pipeline_begin(pipeline, word) : sc_pipeline_text(pipeline, word);
        is_first = false;
    }
    va_end(words);
    return status;
}

static sc_status sci_pipeline_word(sc_pipeline *pipeline, sc_slice word)
{
    sc_status status = sci_write_bulk(&pipeline->words, word);
    if (status == SC_OK)
        pipeline->word_count++;
    return sci_pipeline_keep(pipeline, status);
}

/* What stands in one encoded bulk, `$LEN CRLF TEXT CRLF`. */
static sc_slice sci_bulk_text(sc_slice bulk)
{
    const char *text = (const char *)memchr(bulk.data, '\n', bulk.len) + 1;
    return sc_bytes(text, bulk.len - 2 - (size_t)(text - bulk.data));
}

SC_API sc_status sc_pipeline_begin(sc_pipeline *pipeline, const char *command)
{
    sc_slice word = sc_text(command);
    sc_status status = sci_pipeline_end_command(pipeline);
    if (status == SC_OK)
        status = sci_pipeline_keep(pipeline, sci_command_check(&word, 1));
    return status == SC_OK ? sci_pipeline_word(pipeline, word) : status;
}

SC_API sc_status sc_pipeline_bytes(sc_pipeline *pipeline, sc_slice word)
{
    if (pipeline->word_count == 0)
        return sci_pipeline_keep(pipeline,
                                 sc_fail(SC_ERR_ARGUMENT, "a word before sc_pipeline_begin"));
    if (pipeline->word_count == 1) {
        sc_slice command[2]; /* some are refused for their second word */
        command[0] = sci_bulk_text(sci_bytes_slice(&pipeline->words));
        command[1] = word;
        sc_status status = sci_pipeline_keep(pipeline, sci_command_check(command, 2));
        if (status != SC_OK)
            return status;
    }
    return sci_pipeline_word(pipeline, word);
}

SC_API sc_status sc_pipeline_text(sc_pipeline *pipeline, const char *word)
{
    return sc_pipeline_bytes(pipeline, sc_text(word));
}

SC_API sc_status sc_pipeline_integer(sc_pipeline *pipeline, int64_t word)
{
    char text[SCI_I64_TEXT_BYTES];
    return sc_pipeline_bytes(pipeline, sc_bytes(text, sci_i64_to_text(word, text)));
}

SC_API sc_status sc_pipeline_double(sc_pipeline *pipeline, double word)
{
    char text[SCI_DOUBLE_TEXT_BYTES];
    size_t len = sci_double_to_text(word, text);
    if (text[0] == 'I')
        return sc_pipeline_text(pipeline, "inf");
    if (len > 1 && text[1] == 'I')
        return sc_pipeline_text(pipeline, "-inf");
    return sc_pipeline_bytes(pipeline, sc_bytes(text, len));
}

SC_API size_t sc_pipeline_count(const sc_pipeline *pipeline)
{
    return pipeline->count + (pipeline->word_count > 0);
}

/* Let a watching connection go; its watch ends with it. */
static void sci_pipeline_unwatch(sc_pipeline *pipeline, bool is_consumed)
{
    sci_conn *conn = pipeline->conn;
    if (!conn)
        return;
    pipeline->conn = NULL;
    sc_client *client = pipeline->client;
    if (sci_client_enter(client) != SC_OK)
        return; /* sc_close has freed it */
    if (!is_consumed)
        sci_conn_abandon(conn);
    sci_client_return_conn(conn);
    sci_client_leave(client);
}

static void sci_pipeline_empty(sc_pipeline *pipeline)
{
    sci_bytes_reset(&pipeline->bytes, SCI_PIPELINE_KEEP_BYTES);
    sci_bytes_reset(&pipeline->words, SCI_PIPELINE_KEEP_BYTES);
    pipeline->count = 0;
    pipeline->word_count = 0;
    pipeline->status = SC_OK;
}

SC_API void sc_pipeline_clear(sc_pipeline *pipeline)
{
    sci_pipeline_unwatch(pipeline, false);
    sci_pipeline_empty(pipeline);
}

SC_API void sc_pipeline_close(sc_pipeline *pipeline)
{
    if (!pipeline)
        return;
    sc_client *client = pipeline->client;
    sc_pipeline_clear(pipeline);
    sci_bytes_free(&pipeline->bytes);
    sci_bytes_free(&pipeline->words);
    sci_free(&client->memory, pipeline, sizeof *pipeline);
    sci_client_release(client);
}

/* Running. */

static sc_status sci_pipeline_finish_building(sc_pipeline *pipeline)
{
    (void)sci_pipeline_end_command(pipeline);
    if (pipeline->status == SC_OK && pipeline->count > UINT32_MAX - 2)
        pipeline->status = sc_fail(SC_ERR_LIMIT, "a pipeline takes at most 4294967293 commands");
    return pipeline->status;
}

typedef struct sci_pipeline_op {
    sci_op op;
    sc_slice bytes;
    bool is_atomic;
} sci_pipeline_op;

static sc_status sci_pipeline_write(sci_bytes *out, sc_slice bytes, bool is_atomic)
{
    sc_slice multi = sc_text("MULTI");
    sc_slice exec = sc_text("EXEC");
    size_t before = sci_bytes_len(out);
    sc_status status = is_atomic ? sci_write_command(out, &multi, 1) : SC_OK;
    if (status == SC_OK)
        status = sci_bytes_append(out, bytes);
    if (status == SC_OK && is_atomic)
        status = sci_write_command(out, &exec, 1);
    if (status != SC_OK)
        sci_bytes_cut(out, before, sci_bytes_len(out) - before);
    return status;
}

static sc_status sci_pipeline_encode(sci_op *op, sci_bytes *out)
{
    sci_pipeline_op *run = SCI_CONTAINER(op, sci_pipeline_op, op);
    return sci_pipeline_write(out, run->bytes, run->is_atomic);
}

/* Of MULTI's OK, the QUEUEDs and EXEC's answer, show the last; or say why nothing was executed. */
static sc_status sci_transaction_finish(sc_reply *reply)
{
    size_t count = reply->count;
    const sc_item *last = sc_reply_at(reply, count - 1);
    if (sc_item_kind(last) == SC_ARRAY) {
        reply->first = (size_t)(last - reply->items.at);
        reply->count = 1;
        return SC_OK;
    }
    if (sc_item_is_nil(last))
        return SC_CONFLICT;
    for (size_t i = 0; i < count; i++) {
        sc_status status = sc_item_check(sc_reply_at(reply, i));
        if (status != SC_OK)
            return status; /* what was refused says more than EXECABORT */
    }
    return sc_fail(SC_ERR_PROTOCOL, "EXEC was answered by neither an array nor nil");
}

/* On the connection that watches; anything that breaks the watch is a conflict. */
static sc_status sci_pipeline_run_watched(sc_pipeline *pipeline, sci_op *op,
                                          const sc_call_options *options, sc_reply **reply)
{
    sc_client *client = pipeline->client;
    sc_status status = sci_client_enter(client);
    if (status == SC_OK) {
        op->complete = sci_op_wake;
        status = sci_op_run(client, pipeline->conn, op, options ? options->timeout_ms : 0);
        sci_client_leave_call(client);
    }
    sci_pipeline_unwatch(pipeline, status == SC_OK);
    *reply = op->reply;
    if (status != SC_OK) {
        sc_reply_release(op->reply);
        *reply = NULL;
    }
    return status == SC_ERR_NOT_SENT ? SC_CONFLICT : status;
}

static sc_status sci_pipeline_run(sc_pipeline *pipeline, const sc_call_options *options,
                                  bool is_atomic, sc_reply **reply)
{
    sci_pipeline_op run;
    sc_status status = sci_pipeline_finish_building(pipeline);
    if (status != SC_OK)
        return status;
    memset(&run, 0, sizeof run);
    run.op.reply = sci_reply_create(&pipeline->client->memory);
    if (!run.op.reply)
        return SC_ERR_MEMORY;
    if (pipeline->count == 0 && !is_atomic) {
        *reply = run.op.reply;
        return SC_OK;
    }
    run.op.encode = sci_pipeline_encode;
    run.op.replies = (uint32_t)pipeline->count + (is_atomic ? 2 : 0);
    run.bytes = sci_bytes_slice(&pipeline->bytes);
    run.is_atomic = is_atomic;
    return pipeline->conn && is_atomic ? sci_pipeline_run_watched(pipeline, &run.op, options, reply)
                                       : sci_command_run(pipeline->client, &run.op, options, reply);
}

SC_API sc_status sc_pipeline_run(sc_pipeline *pipeline, const sc_call_options *options,
                                 sc_reply **replies)
{
    sc_reply *reply = NULL;
    sc_status status = sci_pipeline_run(pipeline, options, false, &reply);
    sci_pipeline_unwatch(pipeline, false);
    sci_pipeline_empty(pipeline);
    if (replies)
        *replies = reply;
    else
        sc_reply_release(reply);
    return status;
}

SC_API sc_status sc_pipeline_exec(sc_pipeline *pipeline, const sc_call_options *options,
                                  sc_reply **replies)
{
    sc_reply *reply = NULL;
    sc_status status = sci_pipeline_run(pipeline, options, true, &reply);
    sci_pipeline_unwatch(pipeline, false);
    sci_pipeline_empty(pipeline);
    if (status == SC_OK)
        status = sci_transaction_finish(reply);
    if (status != SC_OK || !replies) {
        sc_reply_release(reply);
        reply = NULL;
    }
    if (replies)
        *replies = reply;
    return status;
}

/* Asynchronous. */

/* The watching connection goes back with the op. */
static void sci_pipeline_async_complete(sci_op *op)
{
    if (op->status == SC_ERR_NOT_SENT)
        op->status = SC_CONFLICT;
    sci_async_complete(op);
}

static sc_status sci_pipeline_start(sc_pipeline *pipeline, const sc_call_options *options,
                                    sc_on_reply on_reply, void *user, bool is_atomic)
{
    sc_status status = sci_pipeline_finish_building(pipeline);
    sci_async *async =
        status == SC_OK ? sci_async_create(pipeline->client, options, on_reply, user) : NULL;
    if (status == SC_OK && !async)
        status = SC_ERR_MEMORY;
    if (status == SC_OK)
        status = sci_pipeline_write(&async->bytes, sci_bytes_slice(&pipeline->bytes), is_atomic);
    if (status != SC_OK) {
        if (async)
            sci_async_free(async);
        return status;
    }
    sci_conn *watching = is_atomic ? pipeline->conn : NULL;
    async->op.replies = (uint32_t)pipeline->count + (is_atomic ? 2 : 0);
    async->is_many = true;
    async->finish = is_atomic ? sci_transaction_finish : NULL;
    if (watching) {
        async->is_dedicated = true;
        async->op.is_idempotent = false;
        async->op.complete = sci_pipeline_async_complete;
        pipeline->conn = NULL;
    }
    return sci_async_start(async, watching);
}

SC_API sc_status sc_pipeline_run_async(sc_pipeline *pipeline, const sc_call_options *options,
                                       sc_on_reply on_reply, void *user)
{
    if (sc_pipeline_count(pipeline) == 0 && pipeline->status == SC_OK)
        return sc_fail(SC_ERR_ARGUMENT, "the pipeline is empty");
    sc_status status = sci_pipeline_start(pipeline, options, on_reply, user, false);
    sci_pipeline_unwatch(pipeline, false);
    sci_pipeline_empty(pipeline);
    return status;
}

SC_API sc_status sc_pipeline_exec_async(sc_pipeline *pipeline, const sc_call_options *options,
                                        sc_on_reply on_reply, void *user)
{
    sc_status status = sci_pipeline_start(pipeline, options, on_reply, user, true);
    sci_pipeline_unwatch(pipeline, false);
    sci_pipeline_empty(pipeline);
    return status;
}

/* Watching. */

typedef struct sci_watch_op {
    sci_op op;
    const sc_slice *keys;
    size_t count;
} sci_watch_op;

static sc_status sci_watch_write(sci_bytes *out, const sc_slice *keys, size_t count)
{
    size_t before = sci_bytes_len(out);
    sc_status status = sci_write_array_header(out, count + 1);
    if (status == SC_OK)
        status = sci_write_bulk(out, sc_text("WATCH"));
    for (size_t i = 0; i < count && status == SC_OK; i++)
        status = sci_write_bulk(out, keys[i]);
    if (status != SC_OK)
        sci_bytes_cut(out, before, sci_bytes_len(out) - before);
    return status;
}

static sc_status sci_watch_encode(sci_op *op, sci_bytes *out)
{
    sci_watch_op *run = SCI_CONTAINER(op, sci_watch_op, op);
    return sci_watch_write(out, run->keys, run->count);
}

/* Locked: the pipeline's connection of its own. */
static sc_status sci_pipeline_borrow(sc_pipeline *pipeline)
{
    if (!pipeline->conn)
        pipeline->conn = sci_client_borrow_conn(pipeline->client);
    return pipeline->conn ? SC_OK : SC_ERR_MEMORY;
}

/* From a complete: the watch stands on this wire and no other. */
static void sci_watch_complete(sci_op *op)
{
    op->conn->is_bound = op->status == SC_OK;
    sci_op_wake(op);
}

SC_API sc_status sc_pipeline_watch(sc_pipeline *pipeline, const sc_slice *keys, size_t count,
                                   const sc_call_options *options)
{
    sc_client *client = pipeline->client;
    sci_watch_op run;
    if (count == 0)
        return sc_fail(SC_ERR_ARGUMENT, "no keys to watch");
    memset(&run, 0, sizeof run);
    run.op.encode = sci_watch_encode;
    run.op.complete = sci_watch_complete;
    run.op.replies = 1;
    run.op.reply = sci_reply_create(&client->memory);
    run.keys = keys;
    run.count = count;
    if (!run.op.reply)
        return SC_ERR_MEMORY;
    sc_status status = sci_client_enter(client);
    if (status == SC_OK) {
        status = sci_pipeline_borrow(pipeline);
        if (status == SC_OK)
            status = sci_op_run(client, pipeline->conn, &run.op, options ? options->timeout_ms : 0);
        sci_client_leave_call(client);
    }
    if (status == SC_OK)
        status = sc_item_expect(sc_reply_item(run.op.reply), "OK");
    if (status != SC_OK)
        sci_pipeline_unwatch(pipeline, false);
    sc_reply_release(run.op.reply);
    return status;
}

static void sci_watch_async_complete(sci_op *op)
{
    op->conn->is_bound = op->status == SC_OK;
    sci_async_complete(op);
}

SC_API sc_status sc_pipeline_watch_async(sc_pipeline *pipeline, const sc_slice *keys, size_t count,
                                         const sc_call_options *options, sc_on_reply on_reply,
                                         void *user)
{
    sc_client *client = pipeline->client;
    if (count == 0)
        return sc_fail(SC_ERR_ARGUMENT, "no keys to watch");
    sci_async *async = sci_async_create(client, options, on_reply, user);
    if (!async)
        return SC_ERR_MEMORY;
    async->op.complete = sci_watch_async_complete;
    async->is_dedicated = false; /* the pipeline gives the connection back */
    async->op.is_idempotent = false;
    sc_status status = sci_watch_write(&async->bytes, keys, count);
    if (status == SC_OK)
        status = sci_client_enter(client);
    if (status != SC_OK) {
        sci_async_free(async);
        return status;
    }
    status = sci_pipeline_borrow(pipeline);
    sci_client_leave(client);
    if (status == SC_OK)
        return sci_async_start(async, pipeline->conn);
    sci_async_free(async);
    return status;
}

/* MARK: - Scripts (Private) */
/* Lua scripts. */

/* Scripts as ops, for the public calls and for the rooms above. */

#define SCI_SHA1_HEX_LEN 40

struct sc_script {
    sc_memory memory;
    char *owned; /* the source, when it was copied */
    sc_slice source;
    char sha1[SCI_SHA1_HEX_LEN + 1];
};

/* For a script whose source lives as long as the program. */
SCI_PRIVATE void sci_script_init(sc_script *script, const char *source);

/* EVALSHA, then EVAL where the server does not know it. Keys and args are borrowed until `done`. */
typedef struct sci_eval_op {
    sci_op op;
    const sc_script *script;
    const sc_slice *keys;
    size_t key_count;
    const sc_slice *args;
    size_t arg_count;
    bool is_full;                           /* the text is sent */
    void (*done)(struct sci_eval_op *eval); /* locked, as an op's `complete` */
} sci_eval_op;

SCI_PRIVATE void sci_eval_init(sci_eval_op *eval, const sc_script *script, const sc_slice *keys,
                               size_t key_count, const sc_slice *args, size_t arg_count,
                               void (*done)(sci_eval_op *eval));

SC_API sc_status sc_script_create(const sc_memory *memory, const char *source, sc_script **script)
{
    sc_memory platform;
    *script = NULL;
    if (!source || !*source)
        return sc_fail(SC_ERR_ARGUMENT, "the script is empty");
    if (!memory) {
        if (!sci_platform_memory(&platform))
            return sc_fail(SC_ERR_ARGUMENT, "this build has no allocator of its own: pass one");
        memory = &platform;
    }
    sc_script *created = (sc_script *)sci_alloc_zeroed(memory, sizeof *created);
    char *copy = created ? sci_copy_text(memory, sc_text(source)) : NULL;
    if (!copy) {
        sci_free(memory, created, sizeof *created);
        return SC_ERR_MEMORY;
    }
    created->memory = *memory;
    created->owned = copy;
    sci_script_init(created, copy);
    *script = created;
    return SC_OK;
}

SC_API void sc_script_free(sc_script *script)
{
    if (!script)
        return;
    sc_memory memory = script->memory;
    sci_free_text(&memory, script->owned);
    sci_free(&memory, script, sizeof *script);
}

SC_API const char *sc_script_sha1(const sc_script *script)
{
    return script->sha1;
}

SCI_PRIVATE void sci_script_init(sc_script *script, const char *source)
{
    script->source = sc_text(source);
    sci_sha1(script->source, script->sha1);
}

static sc_status sci_eval_write(sci_bytes *out, const sci_eval_op *eval)
{
    char number[SCI_I64_TEXT_BYTES];
    sc_slice source =
        eval->is_full ? eval->script->source : sc_bytes(eval->script->sha1, SCI_SHA1_HEX_LEN);
    sc_status status = sci_write_array_header(out, 3 + eval->key_count + eval->arg_count);
    if (status == SC_OK)
        status = sci_write_bulk(out, sc_text(eval->is_full ? "EVAL" : "EVALSHA"));
    if (status == SC_OK)
        status = sci_write_bulk(out, source);
    if (status == SC_OK)
        status = sci_write_bulk(
            out, sc_bytes(number, sci_u64_to_text((uint64_t)eval->key_count, number)));
    for (size_t i = 0; i < eval->key_count && status == SC_OK; i++)
        status = sci_write_bulk(out, eval->keys[i]);
    for (size_t i = 0; i < eval->arg_count && status == SC_OK; i++)
        status = sci_write_bulk(out, eval->args[i]);
    return status;
}

static sc_status sci_eval_encode(sci_op *op, sci_bytes *out)
{
    return sci_eval_write(out, SCI_CONTAINER(op, sci_eval_op, op));
}

/* A server that was restarted, or never saw the script, gets its text. */
static void sci_eval_complete(sci_op *op)
{
    sci_eval_op *eval = SCI_CONTAINER(op, sci_eval_op, op);
    if (op->status == SC_OK && !eval->is_full) {
        sc_slice error = sc_item_slice(sc_reply_item(op->view));
        if (sc_item_kind(sc_reply_item(op->view)) == SC_ERROR && error.len >= 8 &&
            memcmp(error.data, "NOSCRIPT", 8) == 0) {
            eval->is_full = true;
            if (op->reply)
                sci_reply_reset(op->reply);
            sci_conn_submit(op->conn, op, sci_loop_now_ns(&op->conn->client->loop));
            return;
        }
    }
    eval->done(eval);
}

SCI_PRIVATE void sci_eval_init(sci_eval_op *eval, const sc_script *script, const sc_slice *keys,
                               size_t key_count, const sc_slice *args, size_t arg_count,
                               void (*done)(sci_eval_op *eval))
{
    memset(eval, 0, sizeof *eval);
    eval->op.encode = sci_eval_encode;
    eval->op.complete = sci_eval_complete;
    eval->op.replies = 1;
    eval->script = script;
    eval->keys = keys;
    eval->key_count = key_count;
    eval->args = args;
    eval->arg_count = arg_count;
    eval->done = done;
}

static void sci_eval_wake(sci_eval_op *eval)
{
    sci_op_wake(&eval->op);
}

SC_API sc_status sc_eval(sc_client *client, const sc_script *script, const sc_slice *keys,
                         size_t key_count, const sc_slice *args, size_t arg_count,
                         const sc_call_options *options, sc_reply **reply)
{
    sci_eval_op eval;
    sc_reply *own = NULL;
    sc_reply **result = reply ? reply : &own;
    *result = NULL;
    if (!client || !script)
        return sc_fail(SC_ERR_ARGUMENT, "the %s is NULL", client ? "script" : "client");
    sci_eval_init(&eval, script, keys, key_count, args, arg_count, sci_eval_wake);
    eval.op.reply = sci_reply_create(&client->memory);
    if (!eval.op.reply)
        return SC_ERR_MEMORY;
    sc_status status = sci_command_run(client, &eval.op, options, result);
    if (status == SC_OK)
        status = sci_reply_check(result);
    sc_reply_release(own);
    return status;
}

/* An asynchronous call keeps copies of its words, should the server want the script's text. */
typedef struct sci_eval_async {
    sci_eval_op eval;
    sci_async *async;
    sc_memory memory;
    size_t block_bytes; /* of this struct with slices and bytes behind it */
} sci_eval_async;

static void sci_eval_async_done(sci_eval_op *eval)
{
    sci_eval_async *call = SCI_CONTAINER(eval, sci_eval_async, eval);
    sci_async *async = call->async;
    async->op.conn = eval->op.conn;
    async->op.reply = eval->op.reply;
    async->op.status = eval->op.status;
    async->op.error_text = eval->op.error_text;
    sci_free(&call->memory, call, call->block_bytes);
    sci_async_complete(&async->op);
}

static sci_eval_async *sci_eval_async_create(const sc_memory *memory, const sc_script *script,
                                             const sc_slice *keys, size_t key_count,
                                             const sc_slice *args, size_t arg_count)
{
    size_t count = key_count + arg_count;
    size_t bytes = sizeof(sci_eval_async) + count * sizeof(sc_slice);
    for (size_t i = 0; i < count; i++)
        bytes += i < key_count ? keys[i].len : args[i - key_count].len;
    sci_eval_async *call = (sci_eval_async *)sci_alloc_zeroed(memory, bytes);
    if (!call)
        return NULL;
    sc_slice *slices = (sc_slice *)(void *)(call + 1);
    char *at = (char *)(slices + count);
    for (size_t i = 0; i < count; i++) {
        sc_slice word = i < key_count ? keys[i] : args[i - key_count];
        if (word.len)
            memcpy(at, word.data, word.len);
        slices[i] = sc_bytes(at, word.len);
        at += word.len;
    }
    sci_eval_init(&call->eval, script, slices, key_count, slices + key_count, arg_count,
                  sci_eval_async_done);
    call->memory = *memory;
    call->block_bytes = bytes;
    return call;
}

SC_API sc_status sc_eval_async(sc_client *client, const sc_script *script, const sc_slice *keys,
                               size_t key_count, const sc_slice *args, size_t arg_count,
                               const sc_call_options *options, sc_on_reply on_reply, void *user)
{
    if (!client || !script)
        return sc_fail(SC_ERR_ARGUMENT, "the %s is NULL", client ? "script" : "client");
    sci_async *async = sci_async_create(client, options, on_reply, user);
    sci_eval_async *call =
        async ? sci_eval_async_create(&client->memory, script, keys, key_count, args, arg_count)
              : NULL;
    sc_status status = call ? sci_client_enter(client) : SC_ERR_MEMORY;
    if (status != SC_OK) {
        if (call)
            sci_free(&client->memory, call, call->block_bytes);
        if (async)
            sci_async_free(async);
        return status;
    }
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    sci_conn *conn = async->is_dedicated ? sci_client_borrow_conn(client) : client->shared;
    if (conn) {
        call->async = async;
        call->eval.op.reply = async->op.reply;
        call->eval.op.is_idempotent = async->op.is_idempotent;
        call->eval.op.deadline_ns =
            sci_client_deadline_ns(client, options ? options->timeout_ms : 0, now_ns);
        async->op.reply = NULL;
        sci_conn_submit(conn, &call->eval.op, now_ns);
    } else {
        sci_free(&client->memory, call, call->block_bytes);
        sci_async_free(async);
        status = SC_ERR_MEMORY;
    }
    sci_client_leave(client);
    return status;
}

/* MARK: - Scans (Private) */
/* Iterators over keys and members, by cursor. */

/* Command, key, cursor, COUNT n, MATCH p, TYPE t. */
#define SCI_SCAN_WORDS 9
#define SCI_SCAN_DEFAULT_COUNT 100

struct sc_scan {
    sc_client *client; /* retained */
    char *command;     /* owned, as are the next three */
    char *key;
    char *match;
    char *type;
    size_t key_len;
    size_t match_len;
    size_t type_len;
    int64_t count;
    bool has_values;
    bool is_last; /* the server said that there are no more pages */
    char cursor[SCI_I64_TEXT_BYTES];
    size_t cursor_len;
    sc_reply *page;
    const sc_item *items;
    const sc_item *next; /* of the page */
};

static bool sci_scan_copy(sc_scan *scan, char **copy, size_t *len, sc_slice text)
{
    *copy = sci_copy_text(&scan->client->memory, text);
    *len = text.len;
    return *copy != NULL;
}

/* What the command named in the configuration iterates over. */
typedef enum sci_scan_kind {
    SCI_SCAN_UNKNOWN,
    SCI_SCAN_KEYS,
    SCI_SCAN_SET,
    SCI_SCAN_PAIRS
} sci_scan_kind;

static sci_scan_kind sci_scan_kind_of(sc_slice command)
{
    if (sci_slice_equal(command, sc_text("SCAN")))
        return SCI_SCAN_KEYS;
    if (sci_slice_equal(command, sc_text("SSCAN")))
        return SCI_SCAN_SET;
    if (sci_slice_equal(command, sc_text("HSCAN")) || sci_slice_equal(command, sc_text("ZSCAN")))
        return SCI_SCAN_PAIRS;
    return SCI_SCAN_UNKNOWN;
}

static sc_status sci_scan_check(const sc_scan_config *config, sci_scan_kind kind)
{
    if (kind == SCI_SCAN_UNKNOWN)
        return sc_fail(SC_ERR_ARGUMENT,
                       "sc_scan_config.command is \"%s\"; it wants SCAN, HSCAN, SSCAN or ZSCAN",
                       config->command);
    if (config->count < 0)
        return sc_fail(SC_ERR_ARGUMENT, "sc_scan_config.count must not be negative");
    if (kind == SCI_SCAN_KEYS && config->key.len)
        return sc_fail(SC_ERR_ARGUMENT, "SCAN takes no sc_scan_config.key");
    return SC_OK;
}

/* False when there is no memory. */
static bool sci_scan_copy_words(sc_scan *scan, sc_slice command, const sc_scan_config *config)
{
    size_t command_len;
    return sci_scan_copy(scan, &scan->command, &command_len, command) &&
           sci_scan_copy(scan, &scan->key, &scan->key_len, config->key) &&
           sci_scan_copy(scan, &scan->match, &scan->match_len, config->match) &&
           sci_scan_copy(scan, &scan->type, &scan->type_len, config->type);
}

SC_API sc_status sc_scan_open(sc_client *client, const sc_scan_config *config, sc_scan **scan)
{
    sc_scan_config defaults;
    *scan = NULL;
    if (!client)
        return sc_fail(SC_ERR_ARGUMENT, "the client is NULL");
    memset(&defaults, 0, sizeof defaults);
    if (!config)
        config = &defaults;
    sc_slice command = sc_text(config->command ? config->command : "SCAN");
    sci_scan_kind kind = sci_scan_kind_of(command);
    sc_status status = sci_scan_check(config, kind);
    if (status != SC_OK)
        return status;
    sc_scan *opened = (sc_scan *)sci_alloc_zeroed(&client->memory, sizeof *opened);
    if (!opened)
        return SC_ERR_MEMORY;
    sci_client_retain(client);
    opened->client = client;
    opened->count = config->count ? config->count : SCI_SCAN_DEFAULT_COUNT;
    opened->has_values = kind == SCI_SCAN_PAIRS;
    opened->cursor[0] = '0';
    opened->cursor_len = 1;
    if (!sci_scan_copy_words(opened, command, config)) {
        sc_scan_close(opened);
        return SC_ERR_MEMORY;
    }
    *scan = opened;
    return SC_OK;
}

SC_API void sc_scan_close(sc_scan *scan)
{
    if (!scan)
        return;
    sc_client *client = scan->client;
    sc_reply_release(scan->page);
    sci_free_text(&client->memory, scan->command);
    sci_free_text(&client->memory, scan->key);
    sci_free_text(&client->memory, scan->match);
    sci_free_text(&client->memory, scan->type);
    sci_free(&client->memory, scan, sizeof *scan);
    sci_client_release(client);
}

static size_t sci_scan_words(const sc_scan *scan, sc_slice *words, char *count)
{
    size_t n = 0;
    words[n++] = sc_text(scan->command);
    if (scan->command[0] != 'S' || scan->command[1] != 'C')
        words[n++] = sc_bytes(scan->key, scan->key_len);
    words[n++] = sc_bytes(scan->cursor, scan->cursor_len);
    words[n++] = sc_text("COUNT");
    words[n++] = sc_bytes(count, sci_i64_to_text(scan->count, count));
    if (scan->match_len) {
        words[n++] = sc_text("MATCH");
        words[n++] = sc_bytes(scan->match, scan->match_len);
    }
    if (scan->type_len) {
        words[n++] = sc_text("TYPE");
        words[n++] = sc_bytes(scan->type, scan->type_len);
    }
    return n;
}

/* Fetch the page at the cursor. */
static sc_status sci_scan_turn(sc_scan *scan)
{
    sc_slice words[SCI_SCAN_WORDS];
    char count[SCI_I64_TEXT_BYTES];
    sc_slice cursor;
    sc_reply *page;
    sc_call_options options;
    memset(&options, 0, sizeof options);
    options.idempotent = true;
    sc_status status =
        sc_command(scan->client, words, sci_scan_words(scan, words, count), &options, &page);
    if (status != SC_OK)
        return status;
    const sc_item *root = sc_reply_item(page);
    const sc_item *items = sc_item_at(root, 1);
    if (sc_item_bytes(sc_item_at(root, 0), &cursor) != SC_OK || cursor.len == 0 ||
        cursor.len >= sizeof scan->cursor || sc_item_kind(items) != SC_ARRAY ||
        (scan->has_values && sc_item_count(items) % 2 != 0)) {
        sc_reply_release(page);
        return sc_fail(SC_ERR_PROTOCOL, "%s was answered by something that is no page",
                       scan->command);
    }
    memcpy(scan->cursor, cursor.data, cursor.len);
    scan->cursor_len = cursor.len;
    scan->is_last = cursor.len == 1 && cursor.data[0] == '0';
    sc_reply_release(scan->page);
    scan->page = page;
    scan->items = items;
    scan->next = sc_item_first(items);
    return SC_OK;
}

SC_API sc_status sc_scan_next(sc_scan *scan, sc_slice *element, sc_slice *value)
{
    while (!scan->next) {
        if (scan->page && scan->is_last)
            return SC_END;
        sc_status status = sci_scan_turn(scan);
        if (status != SC_OK)
            return status;
    }
    *element = sc_item_slice(scan->next);
    scan->next = sc_item_next(scan->items, scan->next);
    if (value)
        *value = sc_bytes(NULL, 0);
    if (scan->has_values) {
        if (value)
            *value = sc_item_slice(scan->next);
        scan->next = sc_item_next(scan->items, scan->next);
    }
    return SC_OK;
}

/* MARK: - Transfers (Private) */
/* Uploads and downloads: one large string in pieces, on a connection of its own, in bounded memory.
 */

/* What a source is asked for at once, and about what a sink is given: this many times what one
   receive asks for. */
#define SCI_TRANSFER_PIECE_RECEIVES 4

typedef struct sci_transfer sci_transfer;

struct sci_transfer {
    sci_op op;
    sc_client *client;
    sci_conn *conn; /* borrowed */
    const sc_slice *argv;
    size_t argc;
    /* Locked on entry and exit: move the bytes. */
    sc_status (*run)(sci_transfer *transfer);
    sci_waiter *waiter; /* of the thread that moves them, while it waits */
    size_t total;       /* of the string: the last word of an upload, the reply of a download */
    sc_source source;   /* upload */
    sc_sink sink;       /* download */
    void *user;
    sci_bytes piece; /* download: what the sink has not been given */
    bool has_begun;  /* download: `total` is known */
};

/* Of an upload all but the last word's bytes. */
static sc_status sci_transfer_encode(sci_op *op, sci_bytes *out)
{
    sci_transfer *transfer = SCI_CONTAINER(op, sci_transfer, op);
    sc_status status = sci_write_array_header(out, transfer->argc + (transfer->source ? 1 : 0));
    for (size_t i = 0; i < transfer->argc && status == SC_OK; i++)
        status = sci_write_bulk(out, transfer->argv[i]);
    if (status == SC_OK && transfer->source)
        status = sci_write_bulk_header(out, transfer->total);
    return status;
}

static void sci_transfer_complete(sci_op *op)
{
    sci_transfer *transfer = SCI_CONTAINER(op, sci_transfer, op);
    if (transfer->waiter)
        sci_waiter_finish(transfer->client, transfer->waiter);
    sci_op_wake(op);
}

static size_t sci_transfer_piece_bytes(const sci_transfer *transfer)
{
    size_t receive_bytes = transfer->client->config.receive_buffer_bytes;
    return sci_min_size(receive_bytes, SIZE_MAX / SCI_TRANSFER_PIECE_RECEIVES) *
           SCI_TRANSFER_PIECE_RECEIVES;
}

static bool sci_transfer_is_done(const sci_transfer *transfer)
{
    return sci_atomic_load_acquire(&transfer->op.waiter.is_done) != 0;
}

/* Locked: until somebody finishes `transfer->waiter`; false at the deadline. */
static bool sci_transfer_wait(sci_transfer *transfer)
{
    sci_waiter waiter;
    sci_waiter_init(&waiter, 0);
    waiter.conn = transfer->conn;
    transfer->waiter = &waiter;
    transfer->conn->drain_waiter = transfer->source ? &waiter : NULL;
    bool is_done = sci_waiter_wait_locked(transfer->client, &waiter, transfer->op.deadline_ns);
    transfer->waiter = NULL;
    transfer->conn->drain_waiter = NULL;
    return is_done;
}

/* Locked: submit on a connection of its own, move, and wait for the end. */
static sc_status sci_transfer_perform(sci_transfer *transfer, int64_t timeout_ms)
{
    sc_client *client = transfer->client;
    char words[SC_ERROR_TEXT_BYTES];
    sci_conn *conn = sci_client_borrow_conn(client);
    if (!conn)
        return SC_ERR_MEMORY;
    transfer->conn = conn;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    transfer->op.deadline_ns = sci_client_deadline_ns(client, timeout_ms, now_ns);
    transfer->op.is_watched = true;
    sci_waiter_init(&transfer->op.waiter, 0);
    sci_conn_submit(conn, &transfer->op, now_ns);
    sc_status status = transfer->run(transfer);
    if (status != SC_OK) { /* the connection is in the middle of something */
        (void)sci_format(words, sizeof words, "%s", sc_error_text());
        sci_conn_abandon(conn);
        sci_conn_fail_all(conn, SC_ERR_CANCELLED, NULL);
        (void)sci_op_result(&transfer->op);
        sci_error_text_set(words, strlen(words));
    } else {
        bool is_in_time =
            true; /* an upload's wait also ends when the last bytes are on their way */
        while (is_in_time && !sci_transfer_is_done(transfer))
            is_in_time = sci_transfer_wait(transfer);
        if (!sci_transfer_is_done(transfer))
            sci_conn_expire(conn, &transfer->op, sci_loop_now_ns(&client->loop));
        status = sci_op_result(&transfer->op);
    }
    sci_client_return_conn(conn);
    return status;
}

static sc_status sci_transfer_run(sc_client *client, sci_transfer *transfer, const sc_slice *argv,
                                  size_t argc, const sc_call_options *options)
{
    sc_status status = sci_command_check(argv, argc);
    if (status != SC_OK)
        return status;
    transfer->client = client;
    transfer->argv = argv;
    transfer->argc = argc;
    transfer->op.encode = sci_transfer_encode;
    transfer->op.complete = sci_transfer_complete;
    transfer->op.replies = 1;
    transfer->op.reply = sci_reply_create(&client->memory);
    if (!transfer->op.reply)
        return SC_ERR_MEMORY;
    status = sci_client_enter(client);
    if (status == SC_OK) {
        status = sci_transfer_perform(transfer, options ? options->timeout_ms : 0);
        sci_client_leave_call(client);
    }
    return status;
}

/* Upload. */

/* Locked: what was queued is on its way, so that the queue never holds more than a piece. False
   when the op has ended or its deadline passed. */
static bool sci_upload_drain(sci_transfer *transfer)
{
    sci_conn *conn = transfer->conn;
    while (!sci_transfer_is_done(transfer)) {
        sci_conn_flush(conn);
        if (sci_conn_is_drained(conn)) {
            conn->is_bound = true; /* from the first byte on */
            return true;
        }
        if (!sci_transfer_is_done(transfer) && !sci_transfer_wait(transfer))
            return false;
    }
    return false;
}

static sc_status sci_upload_move(sci_transfer *transfer)
{
    sc_client *client = transfer->client;
    size_t left = transfer->total;
    sc_status status = SC_OK;
    size_t piece_bytes = sci_transfer_piece_bytes(transfer);
    char *piece = (char *)sci_resize(&client->memory, NULL, 0, piece_bytes);
    if (!piece)
        return SC_ERR_MEMORY;
    while (left > 0 && status == SC_OK && sci_upload_drain(transfer)) {
        size_t filled = 0;
        size_t cap = sci_min_size(left, piece_bytes);
        sci_client_unlock(client);
        status = transfer->source(transfer->user, piece, cap, &filled);
        if (status == SC_OK && (filled == 0 || filled > cap))
            status =
                sc_fail(SC_ERR_ARGUMENT, "the source filled %zu of at most %zu bytes", filled, cap);
        sci_loop_lock(&client->loop);
        if (status != SC_OK || sci_transfer_is_done(transfer))
            break;
        left -= filled;
        status = sci_bytes_append(&transfer->conn->out, sc_bytes(piece, filled));
    }
    if (status == SC_OK && left == 0 && sci_upload_drain(transfer)) {
        status = sci_bytes_append_text(&transfer->conn->out, "\r\n");
        sci_conn_flush(transfer->conn);
    }
    sci_free(&client->memory, piece, piece_bytes);
    return status;
}

SC_API sc_status sc_upload(sc_client *client, const sc_slice *argv, size_t argc, size_t total,
                           sc_source source, void *user, const sc_call_options *options,
                           sc_reply **reply)
{
    sci_transfer transfer;
    if (reply)
        *reply = NULL;
    if (!client || !source)
        return sc_fail(SC_ERR_ARGUMENT, "the %s is NULL", client ? "source" : "client");
    memset(&transfer, 0, sizeof transfer);
    transfer.run = sci_upload_move;
    transfer.total = total;
    transfer.source = source;
    transfer.user = user;
    sc_status status = sci_transfer_run(client, &transfer, argv, argc, options);
    if (status == SC_OK)
        status = sci_reply_check(&transfer.op.reply);
    if (status == SC_OK && reply)
        *reply = transfer.op.reply;
    else
        sc_reply_release(transfer.op.reply);
    return status;
}

/* Download. */

/* Locked, from the reader: keep the piece for the sink, which runs without the lock, and when there
   is enough receive no more until it was taken. */
static sc_status sci_download_keep(void *user, size_t total, sc_slice piece)
{
    sci_transfer *transfer = (sci_transfer *)user;
    sci_conn *conn = transfer->conn;
    transfer->total = total;
    transfer->has_begun = true;
    conn->is_bound = true;
    sc_status status = sci_bytes_append(&transfer->piece, piece);
    conn->is_paused = sci_bytes_len(&transfer->piece) >= sci_transfer_piece_bytes(transfer);
    if (conn->is_paused && transfer->waiter)
        sci_waiter_finish(transfer->client, transfer->waiter);
    return status;
}

/* Locked on entry and exit: give the sink what is there. */
static sc_status sci_download_give(sci_transfer *transfer)
{
    sc_client *client = transfer->client;
    sci_bytes taken = transfer->piece;
    sci_bytes_init(&transfer->piece, &client->memory);
    sci_client_unlock(client);
    sc_status status = transfer->sink(transfer->user, transfer->total, sci_bytes_slice(&taken));
    sci_bytes_free(&taken);
    sci_loop_lock(&client->loop);
    transfer->conn->is_paused = false;
    return status;
}

static sc_status sci_download_move(sci_transfer *transfer)
{
    sci_conn *conn = transfer->conn;
    sc_status status = SC_OK;
    size_t given = 0;
    while (status == SC_OK) {
        bool is_done = sci_transfer_is_done(transfer);
        size_t len = sci_bytes_len(&transfer->piece);
        if (is_done && (transfer->op.status != SC_OK || !transfer->has_begun ||
                        (len == 0 && given == transfer->total && given > 0)))
            return SC_OK;
        if (is_done || conn->is_paused) {
            given += len;
            status = sci_download_give(transfer);
            if (is_done)
                return status;
            sci_conn_resume(conn);
        } else if (!sci_transfer_wait(transfer)) {
            return SC_OK; /* the deadline: minded by the caller */
        }
    }
    return status;
}

SC_API sc_status sc_download(sc_client *client, const sc_slice *argv, size_t argc, sc_sink sink,
                             void *user, const sc_call_options *options)
{
    sci_transfer transfer;
    if (!client || !sink)
        return sc_fail(SC_ERR_ARGUMENT, "the %s is NULL", client ? "sink" : "client");
    memset(&transfer, 0, sizeof transfer);
    sci_bytes_init(&transfer.piece, &client->memory);
    transfer.run = sci_download_move;
    transfer.sink = sink;
    transfer.user = user;
    transfer.op.sink = sci_download_keep;
    transfer.op.sink_user = &transfer;
    sc_status status = sci_transfer_run(client, &transfer, argv, argc, options);
    const sc_item *item = sc_reply_item(transfer.op.reply);
    if (status == SC_OK && !transfer.has_begun) {
        status = sc_item_kind(item) == SC_NIL ? SC_MISS : sc_item_check(item);
        if (status == SC_OK)
            status = sc_fail(SC_ERR_TYPE, "the reply is no string: there is nothing to download");
    }
    sci_bytes_free(&transfer.piece);
    sc_reply_release(transfer.op.reply);
    return status;
}

/* MARK: - Subscriptions (Private) */
/* Public subscriptions: messages are copied, queued, and handed to the program's callback without
   the lock. A consumer that is too slow loses messages, and is told so by a gap. */

typedef struct sci_subscription {
    sci_listener listener;
    sci_link link; /* in client->subscriptions */
    sc_client *client;
    sc_subscription id;
    sc_on_message on_message;
    void *user;
    size_t references; /* the list's, and one a queued message: guarded by the lock */
    size_t queued_bytes;
    bool has_gap;      /* a gap notice is queued */
    bool is_announced; /* READY was heard once, or is to be told as a gap */
    bool is_removed;
    bool is_running; /* in the callback */
    bool has_failed;
    sci_waiter *waiter; /* of the thread that subscribes, then of the one that ends it */
} sci_subscription;

/* One message on its way to the callback, with its bytes behind it. */
typedef struct sci_delivery {
    sci_post post;
    sci_subscription *subscription;
    sc_status status; /* SC_OK with a message, SC_GAP, or why the server refuses */
    sc_message message;
    size_t block_bytes;
} sci_delivery;

/* Locked. */
static void sci_subscription_release(sci_subscription *subscription)
{
    if (--subscription->references > 0)
        return;
    sci_free(&subscription->client->memory, subscription, sizeof *subscription);
}

static void sci_delivery_run(sci_post *post)
{
    sci_delivery *delivery = SCI_CONTAINER(post, sci_delivery, post);
    sci_subscription *subscription = delivery->subscription;
    sc_client *client = subscription->client;
    sci_loop_lock(&client->loop);
    subscription->queued_bytes -= delivery->block_bytes;
    if (delivery->status == SC_GAP)
        subscription->has_gap = false;
    if (!subscription->is_removed) {
        subscription->is_running = true;
        sci_client_unlock(client);
        subscription->on_message(subscription->user, delivery->status,
                                 delivery->status == SC_OK ? &delivery->message : NULL);
        sci_loop_lock(&client->loop);
        subscription->is_running = false;
        if (subscription->is_removed && subscription->waiter)
            sci_waiter_finish(client, subscription->waiter);
    }
    sci_subscription_release(subscription);
    sci_client_unlock(client);
    sci_free(&client->memory, delivery, delivery->block_bytes);
}

static sc_slice sci_delivery_copy(char **at, sc_slice bytes)
{
    char *copy = *at;
    if (bytes.len)
        memcpy(copy, bytes.data, bytes.len);
    *at += bytes.len;
    return sc_bytes(copy, bytes.len);
}

/* Locked. `message` for SC_OK. False without memory. */
static bool sci_subscription_queue(sci_subscription *subscription, sc_status status,
                                   const sc_message *message)
{
    sc_client *client = subscription->client;
    size_t block_bytes = sizeof(sci_delivery);
    if (message)
        block_bytes += message->channel.len + message->pattern.len + message->payload.len;
    sci_delivery *delivery = (sci_delivery *)sci_alloc_zeroed(&client->memory, block_bytes);
    if (!delivery)
        return false;
    char *at = (char *)(delivery + 1);
    if (message) {
        delivery->message.channel = sci_delivery_copy(&at, message->channel);
        delivery->message.pattern = sci_delivery_copy(&at, message->pattern);
        delivery->message.payload = sci_delivery_copy(&at, message->payload);
    }
    delivery->status = status;
    delivery->block_bytes = block_bytes;
    delivery->subscription = subscription;
    delivery->post.run = sci_delivery_run;
    sci_list_init(&delivery->post.link);
    subscription->references++;
    subscription->queued_bytes += block_bytes;
    subscription->has_gap = subscription->has_gap || status == SC_GAP;
    sci_loop_post(&client->loop, &delivery->post);
    return true;
}

/* Whoever waits for the confirmation will not get it. */
static void sci_subscription_failed(sci_subscription *subscription)
{
    subscription->has_failed = true;
    if (subscription->waiter)
        sci_waiter_finish(subscription->client, subscription->waiter);
    subscription->waiter = NULL;
}

static void sci_subscription_event(sci_listener *listener, sci_listen_event event,
                                   const sc_message *message)
{
    sci_subscription *subscription = SCI_CONTAINER(listener, sci_subscription, listener);
    sc_client *client = subscription->client;
    size_t limit = client->config.max_output_bytes;
    switch (event) {
    case SCI_LISTEN_MESSAGE:
        if (subscription->has_gap && subscription->queued_bytes >= limit)
            return; /* the notice that waits covers this one, too */
        if (subscription->queued_bytes >= limit ||
            !sci_subscription_queue(subscription, SC_OK, message))
            (void)sci_subscription_queue(subscription, SC_GAP, NULL);
        return;
    case SCI_LISTEN_READY:
        if (subscription->is_announced)
            (void)sci_subscription_queue(subscription, SC_GAP, NULL);
        subscription->is_announced = true;
        if (subscription->waiter)
            sci_waiter_finish(client, subscription->waiter);
        subscription->waiter = NULL;
        return;
    case SCI_LISTEN_REFUSED:
        if (subscription->is_announced)
            (void)sci_subscription_queue(subscription, SC_ERR_REPLY, NULL);
        sci_subscription_failed(subscription);
        return;
    case SCI_LISTEN_FAILED:
        if (!client->config.wait_while_down)
            sci_subscription_failed(subscription);
        return;
    }
}

/* Locked. */
static sc_status sci_subscription_create(sc_client *client, sc_on_message on_message, void *user,
                                         sci_subscription **created)
{
    sci_subscription *subscription =
        (sci_subscription *)sci_alloc_zeroed(&client->memory, sizeof *subscription);
    if (!subscription)
        return SC_ERR_MEMORY;
    subscription->client = client;
    subscription->id = ++client->last_subscription;
    subscription->on_message = on_message;
    subscription->user = user;
    subscription->references = 1;
    subscription->listener.event = sci_subscription_event;
    *created = subscription;
    sci_list_init(&subscription->link);
    sci_list_append(&client->subscriptions, &subscription->link);
    return SC_OK;
}

/* Locked. */
static void sci_subscription_end(sci_subscription *subscription)
{
    subscription->is_removed = true;
    sci_listener_remove(subscription->client, &subscription->listener);
    sci_list_remove(&subscription->link);
    sci_subscription_release(subscription);
}

SCI_PRIVATE void sci_subscriptions_end_all(sc_client *client)
{
    while (!sci_list_is_empty(&client->subscriptions))
        sci_subscription_end(SCI_CONTAINER(client->subscriptions.next, sci_subscription, link));
}

/* Locked: wait until the server has confirmed. */
static sc_status sci_subscription_await(sci_subscription *subscription)
{
    sc_client *client = subscription->client;
    sci_waiter waiter;
    int64_t deadline_ns = sci_client_deadline_ns(client, 0, sci_loop_now_ns(&client->loop));
    if (subscription->is_announced)
        return SC_OK;
    sci_waiter_init(&waiter, (uint32_t)subscription->id);
    subscription->waiter = &waiter;
    bool is_done = subscription->has_failed || sci_waiter_wait_locked(client, &waiter, deadline_ns);
    subscription->waiter = NULL;
    if (client->is_closing)
        return sc_fail(SC_ERR_CLOSED, "the client was closed");
    if (!is_done)
        return sc_fail(SC_ERR_TIMEOUT, "the server did not confirm the subscription (timeout_ms)");
    if (subscription->has_failed) {
        sc_status status;
        const char *text = sci_subscriber_failure(client, &status);
        return sc_fail(status, "%s", text);
    }
    return SC_OK;
}

static sc_status sci_subscribe(sc_client *client, sc_slice name, bool is_pattern, bool waits,
                               sc_on_message on_message, void *user, sc_subscription *id)
{
    sci_subscription *subscription;
    *id = 0;
    if (!on_message)
        return sc_fail(SC_ERR_ARGUMENT, "on_message is NULL");
    sc_status status = sci_client_enter(client);
    if (status != SC_OK)
        return status;
    sci_client_want_thread(client);
    status = sci_subscription_create(client, on_message, user, &subscription);
    if (status == SC_OK) {
        subscription->references++; /* sc_close on another thread may end it meanwhile */
        subscription->is_announced = !waits;
        status = sci_listener_add(client, &subscription->listener, name, is_pattern);
        if (status == SC_OK && waits)
            status = sci_subscription_await(subscription);
        if (status == SC_OK)
            *id = subscription->id;
        else if (!subscription->is_removed)
            sci_subscription_end(subscription);
        sci_subscription_release(subscription);
    }
    if (waits)
        sci_client_leave_call(client);
    else
        sci_client_leave(client);
    return status;
}

SC_API sc_status sc_subscribe(sc_client *client, sc_slice channel, sc_on_message on_message,
                              void *user, sc_subscription *subscription)
{
    return sci_subscribe(client, channel, false, true, on_message, user, subscription);
}

SC_API sc_status sc_psubscribe(sc_client *client, sc_slice pattern, sc_on_message on_message,
                               void *user, sc_subscription *subscription)
{
    return sci_subscribe(client, pattern, true, true, on_message, user, subscription);
}

SC_API sc_status sc_subscribe_async(sc_client *client, sc_slice channel, sc_on_message on_message,
                                    void *user, sc_subscription *subscription)
{
    return sci_subscribe(client, channel, false, false, on_message, user, subscription);
}

SC_API sc_status sc_psubscribe_async(sc_client *client, sc_slice pattern, sc_on_message on_message,
                                     void *user, sc_subscription *subscription)
{
    return sci_subscribe(client, pattern, true, false, on_message, user, subscription);
}

static sci_subscription *sci_subscription_find(const sc_client *client, sc_subscription id)
{
    for (sci_link *link = client->subscriptions.next; link != &client->subscriptions;
         link = link->next) {
        sci_subscription *subscription = SCI_CONTAINER(link, sci_subscription, link);
        if (subscription->id == id)
            return subscription;
    }
    return NULL;
}

/* Locked: wait until the callback that runs on another thread has returned. */
static void sci_subscription_await_callback(sci_subscription *subscription)
{
    sc_client *client = subscription->client;
    sci_waiter waiter;
    if (!subscription->is_running || client->loop.dispatcher == sci_thread_self())
        return;
    sci_waiter_init(&waiter, (uint32_t)subscription->id);
    subscription->waiter = &waiter;
    while (subscription->is_running && !sci_waiter_wait_locked(client, &waiter, SCI_NEVER) &&
           !client->is_closing)
        continue;
    subscription->waiter = NULL;
}

SC_API sc_status sc_unsubscribe(sc_client *client, sc_subscription id)
{
    sc_status status = sci_client_enter(client);
    if (status != SC_OK)
        return status;
    sci_subscription *subscription = sci_subscription_find(client, id);
    if (subscription) {
        subscription->references++;
        sci_subscription_end(subscription);
        sci_subscription_await_callback(subscription);
        sci_subscription_release(subscription);
    } else {
        status = SC_MISS;
    }
    sci_client_leave(client);
    return status;
}

/* MARK: - Local lock map (Private) */
/* The local lock map: single flight and a lock per key, between threads. */

#define SCI_LOCKMAP_NS_PER_MS 1000000

/* What a key is held for: by one thread, while others wait. The key's bytes follow the struct. */
typedef struct sci_holding {
    sci_map_node node;
    sci_link waiters;  /* first come, first served */
    size_t references; /* the holder's and the waiters' */
    size_t block_bytes;
    uintptr_t holder; /* thread */
    /* single flight: what came out */
    bool is_done;
    sc_status status;
    sc_value *value;
    sc_value *error_text;
} sci_holding;

/* A thread that waits; on its stack. */
typedef struct sci_local_waiter {
    sci_link link;     /* in holding->waiters */
    sci_link all_link; /* in map->waiters */
    sci_holding *holding;
    uintptr_t thread;
    sci_gate gate;
    bool is_granted;
} sci_local_waiter;

struct sc_lockmap {
    sc_memory memory;
    sc_clock clock;
    sci_mutex mutex;
    sci_map flights;
    sci_map locks;
    sci_link waiters; /* all of them: to find who waits for whom */
};

struct sc_keylock {
    sc_lockmap *map;
    sci_holding *holding;
};

SC_API sc_status sc_lockmap_open(const sc_memory *memory, const sc_clock *clock, sc_lockmap **map)
{
    sc_memory own_memory;
    sc_clock own_clock;
    sc_random random;
    sci_hash_seed seed;
    *map = NULL;
    memset(&seed, 0, sizeof seed);
    if (!memory && !sci_platform_memory(&own_memory))
        return sc_fail(SC_ERR_ARGUMENT, "this build has no allocator of its own: pass one");
    if (!clock && !sci_platform_clock(&own_clock))
        return sc_fail(SC_ERR_ARGUMENT, "this build has no clock of its own: pass one");
    memory = memory ? memory : &own_memory;
    clock = clock ? clock : &own_clock;
    sc_status status = sci_platform_random(&random)
                           ? random.fill(random.user, &seed, sizeof seed)
                           : SC_OK; /* without one, chosen keys can be made to collide */
    if (status != SC_OK)
        return status;
    sc_lockmap *opened = (sc_lockmap *)sci_alloc_zeroed(memory, sizeof *opened);
    if (!opened)
        return SC_ERR_MEMORY;
    opened->memory = *memory;
    opened->clock = *clock;
    sci_mutex_init(&opened->mutex);
    sci_map_init(&opened->flights, memory, seed);
    sci_map_init(&opened->locks, memory, seed);
    sci_list_init(&opened->waiters);
    *map = opened;
    return SC_OK;
}

SC_API void sc_lockmap_close(sc_lockmap *map)
{
    if (!map)
        return;
    sc_memory memory = map->memory;
    sci_assert(map->flights.count == 0 && map->locks.count == 0);
    sci_map_free(&map->flights);
    sci_map_free(&map->locks);
    sci_mutex_free(&map->mutex);
    sci_free(&memory, map, sizeof *map);
}

/* All below with the mutex held, unless said otherwise. */

static sci_holding *sci_holding_find(const sci_map *map, sc_slice key)
{
    sci_map_node *node = sci_map_find(map, key, sci_map_hash(map, key));
    return node ? SCI_CONTAINER(node, sci_holding, node) : NULL;
}

static sci_holding *sci_holding_create(const sc_memory *memory, sci_map *map, sc_slice key)
{
    size_t block_bytes = sizeof(sci_holding) + key.len;
    sci_holding *holding = (sci_holding *)sci_alloc_zeroed(memory, block_bytes);
    if (!holding)
        return NULL;
    char *own_key = (char *)(holding + 1);
    if (key.len)
        memcpy(own_key, key.data, key.len);
    holding->block_bytes = block_bytes;
    holding->references = 1;
    holding->holder = sci_thread_self();
    sci_list_init(&holding->waiters);
    sci_map_put(map, &holding->node, sc_bytes(own_key, key.len), sci_map_hash(map, key));
    return holding;
}

static void sci_holding_release(const sc_memory *memory, sci_holding *holding)
{
    if (--holding->references > 0)
        return;
    sc_value_release(holding->value);
    sc_value_release(holding->error_text);
    sci_free(memory, holding, holding->block_bytes);
}

/* Whether waiting for `holding` would close a circle: its holder waits, perhaps through others, for
   what this thread holds. */
static bool sci_holding_is_deadlock(const sc_lockmap *map, const sci_holding *holding)
{
    uintptr_t self = sci_thread_self();
    for (size_t steps = 0; holding; steps++) {
        const sci_holding *next = NULL;
        if (holding->holder == self)
            return true;
        for (sci_link *link = map->waiters.next; link != &map->waiters; link = link->next) {
            const sci_local_waiter *waiter = SCI_CONTAINER(link, sci_local_waiter, all_link);
            if (waiter->thread == holding->holder)
                next = waiter->holding;
        }
        holding = next;
    }
    return false;
}

/* Wait, without the mutex, until granted or the time-out; then hold it again. False: timed out. */
static bool sci_holding_wait(sc_lockmap *map, sci_holding *holding, int64_t timeout_ms)
{
    sci_local_waiter waiter;
    int64_t now_ns = map->clock.monotonic_ns(map->clock.user);
    int64_t deadline_ns =
        timeout_ms < 0 || timeout_ms > (INT64_MAX - now_ns) / SCI_LOCKMAP_NS_PER_MS
            ? INT64_MAX
            : now_ns + timeout_ms * SCI_LOCKMAP_NS_PER_MS;
    memset(&waiter, 0, sizeof waiter);
    sci_list_init(&waiter.link);
    sci_list_init(&waiter.all_link);
    sci_list_append(&holding->waiters, &waiter.link);
    sci_list_append(&map->waiters, &waiter.all_link);
    waiter.holding = holding;
    waiter.thread = sci_thread_self();
    sci_gate_init(&waiter.gate);
    holding->references++;
    while (!waiter.is_granted && now_ns < deadline_ns) {
        uint32_t ticket = sci_gate_ticket(&waiter.gate);
        sci_mutex_unlock(&map->mutex);
        sci_gate_wait(&waiter.gate, ticket, deadline_ns == INT64_MAX ? -1 : deadline_ns - now_ns);
        sci_mutex_lock(&map->mutex);
        now_ns = map->clock.monotonic_ns(map->clock.user);
    }
    sci_list_remove(&waiter.link);
    sci_list_remove(&waiter.all_link);
    sci_gate_free(&waiter.gate);
    return waiter.is_granted;
}

/* Let the first who waits go on. False when nobody does. */
static bool sci_holding_grant_next(sci_holding *holding)
{
    sci_link *link = sci_list_take_first(&holding->waiters);
    if (!link)
        return false;
    sci_local_waiter *waiter = SCI_CONTAINER(link, sci_local_waiter, link);
    waiter->is_granted = true;
    sci_list_remove(&waiter->all_link); /* it waits no more, even if it has yet to wake */
    holding->holder = waiter->thread;
    sci_gate_wake_one(&waiter->gate);
    return true;
}

/* Single flight. */

/* The words of a failure, for the threads that share it. */
static sc_value *sci_local_flight_words(const sc_memory *memory, sc_status status)
{
    sc_value *words = NULL;
    if (status < 0)
        (void)sc_value_create(memory, sc_text(sc_error_text()), &words);
    return words;
}

static sc_status sci_local_flight_lead(sc_lockmap *map, sci_holding *flight, sc_compute compute,
                                       void *user, sc_value **value)
{
    sci_mutex_unlock(&map->mutex);
    sc_value *computed = NULL;
    sc_status status = compute(user, flight->node.key, &computed);
    sc_value *words = sci_local_flight_words(&map->memory, status);
    *value = sc_value_retain(computed);
    sci_mutex_lock(&map->mutex);
    sci_map_remove(&map->flights, &flight->node);
    flight->status = status;
    flight->value = computed;
    flight->error_text = words;
    flight->is_done = true;
    while (sci_holding_grant_next(flight))
        continue;
    return status;
}

static sc_status sci_local_flight_join(sc_lockmap *map, sci_holding *flight, int64_t timeout_ms,
                                       sc_value **value)
{
    if (sci_holding_is_deadlock(map, flight)) {
        flight->references++; /* the caller gives one back */
        return sc_fail(SC_ERR_DEADLOCK,
                       "this thread, or one that waits for it, is computing \"%.*s\"",
                       (int)sci_min_size(flight->node.key.len, 100), flight->node.key.data);
    }
    if (!sci_holding_wait(map, flight, timeout_ms))
        return sc_fail(SC_ERR_NOT_SENT, "another thread was still computing \"%.*s\" after %lld ms",
                       (int)sci_min_size(flight->node.key.len, 100), flight->node.key.data,
                       (long long)timeout_ms);
    *value = sc_value_retain(flight->value);
    if (flight->status < 0) {
        sc_slice words = sc_value_bytes(flight->error_text);
        sci_error_text_set(words.data, words.len);
    }
    return flight->status;
}

SC_API sc_status sc_single_flight(sc_lockmap *map, sc_slice key, int64_t timeout_ms,
                                  sc_compute compute, void *user, sc_value **value)
{
    sc_status status;
    *value = NULL;
    sci_mutex_lock(&map->mutex);
    sci_holding *flight = sci_holding_find(&map->flights, key);
    if (flight) {
        status = sci_local_flight_join(map, flight, timeout_ms, value);
    } else {
        flight = sci_holding_create(&map->memory, &map->flights, key);
        status = flight ? sci_local_flight_lead(map, flight, compute, user, value) : SC_ERR_MEMORY;
    }
    if (flight)
        sci_holding_release(&map->memory, flight);
    sci_mutex_unlock(&map->mutex);
    return status;
}

/* A lock per key. */

/* Hold the key; one reference goes with it. */
static sc_status sci_keylock_take(sc_lockmap *map, sc_slice key, int64_t timeout_ms,
                                  sci_holding **holding)
{
    sci_holding *found = sci_holding_find(&map->locks, key);
    if (!found) {
        *holding = sci_holding_create(&map->memory, &map->locks, key);
        return *holding ? SC_OK : SC_ERR_MEMORY;
    }
    if (timeout_ms == 0)
        return SC_HELD;
    if (sci_holding_is_deadlock(map, found))
        return sc_fail(SC_ERR_DEADLOCK, "this thread, or one that waits for it, holds \"%.*s\"",
                       (int)sci_min_size(key.len, 100), key.data);
    if (!sci_holding_wait(map, found, timeout_ms)) {
        sci_holding_release(&map->memory, found);
        return SC_HELD;
    }
    *holding = found;
    return SC_OK;
}

SC_API sc_status sc_keylock_acquire(sc_lockmap *map, sc_slice key, int64_t timeout_ms,
                                    sc_keylock **lock)
{
    *lock = NULL;
    sc_keylock *taken = (sc_keylock *)sci_alloc_zeroed(&map->memory, sizeof *taken);
    if (!taken)
        return SC_ERR_MEMORY;
    taken->map = map;
    sci_mutex_lock(&map->mutex);
    sc_status status = sci_keylock_take(map, key, timeout_ms, &taken->holding);
    sci_mutex_unlock(&map->mutex);
    if (status == SC_OK)
        *lock = taken;
    else
        sci_free(&map->memory, taken, sizeof *taken);
    return status;
}

SC_API void sc_keylock_release(sc_keylock *lock)
{
    if (!lock)
        return;
    sc_lockmap *map = lock->map;
    sci_mutex_lock(&map->mutex);
    if (!sci_holding_grant_next(lock->holding))
        sci_map_remove(&map->locks, &lock->holding->node);
    sci_holding_release(&map->memory, lock->holding);
    sci_mutex_unlock(&map->mutex);
    sci_free(&map->memory, lock, sizeof *lock);
}

/* MARK: - Names (Private) */
/* Names that share a key's hash slot. */

/* Names on the server that belong to a key: its lease, its shared result, its channel. They share
   the key's hash slot, so that scripts may use them together in a cluster
   (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/, "Hash tags"). */

/* Slices of one block. */
typedef struct sci_names {
    sci_bytes block;
    sc_slice value; /* the key itself */
    sc_slice lease;
    sc_slice result; /* what a flight that stores no value leaves for those who wait for it */
    sc_slice channel;
    sc_slice raw_channel; /* where others expect the bare value; empty: nowhere */
} sci_names;

SCI_PRIVATE void sci_names_init(sci_names *names, const sc_memory *memory);
SCI_PRIVATE void sci_names_free(sci_names *names);
/* Derive all from the key. SC_ERR_MEMORY. */
SCI_PRIVATE sc_status sci_names_derive(sci_names *names, sc_slice key);
/* SC_ERR_MEMORY. */
SCI_PRIVATE sc_status sci_names_copy(sci_names *names, const sci_names *from);
/* The cluster's hash slot of a key. */
SCI_PRIVATE unsigned sci_hash_slot(sc_slice key);

#define SCI_HASH_SLOTS 16384u

SCI_PRIVATE void sci_names_init(sci_names *names, const sc_memory *memory)
{
    memset(names, 0, sizeof *names);
    sci_bytes_init(&names->block, memory);
}

SCI_PRIVATE void sci_names_free(sci_names *names)
{
    sci_bytes_free(&names->block);
}

/* CRC-16/XMODEM, bit by bit: keys are short and this is off the hot path. */
static unsigned sci_crc16(sc_slice bytes)
{
    unsigned crc = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (unsigned)(unsigned char)bytes.data[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 0x8000u) ? ((crc << 1) ^ 0x1021u) & 0xffffu : (crc << 1) & 0xffffu;
    }
    return crc;
}

/* The part of a key that is hashed: between the first { and the first } after it, unless empty. */
static sc_slice sci_hash_tag(sc_slice key)
{
    const char *open = key.len ? (const char *)memchr(key.data, '{', key.len) : NULL;
    if (!open)
        return key;
    size_t rest = key.len - (size_t)(open + 1 - key.data);
    const char *end = rest ? (const char *)memchr(open + 1, '}', rest) : NULL;
    if (!end || end == open + 1)
        return key;
    return sc_bytes(open + 1, (size_t)(end - open - 1));
}

SCI_PRIVATE unsigned sci_hash_slot(sc_slice key)
{
    return sci_crc16(sci_hash_tag(key)) % SCI_HASH_SLOTS;
}

/* A decimal number that hashes to `slot`: for keys that cannot be put into a tag. There is one in
   every few ten thousand. */
static size_t sci_tag_for_slot(unsigned slot, char text[SCI_I64_TEXT_BYTES])
{
    for (int64_t number = 0;; number++) {
        size_t len = sci_i64_to_text(number, text);
        if (sci_crc16(sc_bytes(text, len)) % SCI_HASH_SLOTS == slot)
            return len;
    }
}

/* What a name puts between its kind and the key, and behind it, to hash as the key does. Names are
   different for different keys:
     key with a tag       kind:KEY
     key without braces   kind{KEY}
     any other            kind#{NUMBER}KEY */
typedef struct sci_name_form {
    char before[3 + SCI_I64_TEXT_BYTES];
    const char *behind;
} sci_name_form;

static void sci_name_form_choose(sci_name_form *form, sc_slice key)
{
    bool has_tag = sci_hash_tag(key).len != key.len;
    bool has_brace = key.len == 0 || memchr(key.data, '}', key.len);
    memset(form, 0, sizeof *form);
    form->behind = "";
    if (has_tag) {
        form->before[0] = ':';
    } else if (!has_brace) {
        form->before[0] = '{';
        form->behind = "}";
    } else {
        memcpy(form->before, "#{", 2);
        size_t len = sci_tag_for_slot(sci_hash_slot(key), form->before + 2);
        form->before[2 + len] = '}';
    }
}

static sc_status sci_names_append(sci_bytes *out, const char *kind, const sci_name_form *form,
                                  sc_slice key)
{
    sc_status status = sci_bytes_append_text(out, kind);
    if (status == SC_OK)
        status = sci_bytes_append_text(out, form->before);
    if (status == SC_OK)
        status = sci_bytes_append(out, key);
    return status == SC_OK ? sci_bytes_append_text(out, form->behind) : status;
}

SCI_PRIVATE sc_status sci_names_derive(sci_names *names, sc_slice key)
{
    static const char *const kinds[] = {"sc:lease", "sc:result", "sc:done"};
    size_t ends[1 + SCI_COUNT(kinds)];
    sci_name_form form;
    sci_bytes *block = &names->block;
    sci_name_form_choose(&form, key);
    sc_status status = sci_bytes_append(block, key);
    ends[0] = sci_bytes_len(block);
    for (size_t i = 0; i < SCI_COUNT(kinds) && status == SC_OK; i++) {
        status = sci_names_append(block, kinds[i], &form, key);
        ends[i + 1] = sci_bytes_len(block);
    }
    if (status != SC_OK)
        return status;
    const char *text = sci_bytes_slice(block).data;
    names->value = sc_bytes(text, ends[0]);
    names->lease = sc_bytes(text + ends[0], ends[1] - ends[0]);
    names->result = sc_bytes(text + ends[1], ends[2] - ends[1]);
    names->channel = sc_bytes(text + ends[2], ends[3] - ends[2]);
    return SC_OK;
}

static sc_slice sci_names_moved(const sci_names *names, const sci_names *from, sc_slice name)
{
    if (!name.len)
        return name;
    size_t offset = (size_t)(name.data - sci_bytes_slice(&from->block).data);
    return sc_bytes(sci_bytes_slice(&names->block).data + offset, name.len);
}

SCI_PRIVATE sc_status sci_names_copy(sci_names *names, const sci_names *from)
{
    sc_status status = sci_bytes_append(&names->block, sci_bytes_slice(&from->block));
    if (status != SC_OK)
        return status;
    names->value = sci_names_moved(names, from, from->value);
    names->lease = sci_names_moved(names, from, from->lease);
    names->result = sci_names_moved(names, from, from->result);
    names->channel = sci_names_moved(names, from, from->channel);
    names->raw_channel = sci_names_moved(names, from, from->raw_channel);
    return SC_OK;
}

/* MARK: - Lease (Private) */
/* Leases: taking, renewing, giving back. */

/* A lease on a key: the right of one process to load it, for a bounded time, owned by a random
   token (leases: Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013). All locked. */

/* 128 random bits in hexadecimal. */
#define SCI_TOKEN_LEN 32

/* Shared by all leases of an owner. */
typedef struct sci_lease_scripts {
    sc_script acquire;
    sc_script store;
    sc_script renew;
} sci_lease_scripts;

SCI_PRIVATE void sci_lease_scripts_init(sci_lease_scripts *scripts);

/* What came of asking, in the order of the acquire script's answers. */
typedef enum sci_lease_answer {
    SCI_LEASE_VALUE = 1, /* the value is there: `payload` */
    SCI_LEASE_RESULT,    /* a flight left its result: `payload` */
    SCI_LEASE_GRANTED,
    SCI_LEASE_HELD /* by the token in `payload`, for `left_ms` more (negative: no end is known) */
} sci_lease_answer;

typedef struct sci_lease {
    sc_client *client;
    const sci_lease_scripts *scripts;
    const sci_names *names;
    char token[SCI_TOKEN_LEN + 1];
    int64_t life_ms;
    bool is_held;
    bool is_lost; /* it was held, and ended before it was given back */
    int64_t
        until_ns; /* ours for certain until then: counted from before the request, less the drift */

    /* Locked. The answer is valid during the call; `status` other than SC_OK (words in
       sc_error_text): the server could not be asked. */
    void (*asked)(struct sci_lease *lease, sc_status status, sci_lease_answer answer,
                  sc_slice payload, int64_t left_ms);
    /* Locked. Stored and given back; `is_stored` false: it was not ours any more, or the server
       could not be asked. */
    void (*stored)(struct sci_lease *lease, bool is_stored);
    /* Locked. A renewal begins: the lease must stay until it ends; `is_lost`: the lease is not ours
     * any more. */
    void (*renewal_begins)(struct sci_lease *lease);
    void (*renewal_ends)(struct sci_lease *lease, bool is_lost);

    /* private to lease.c */
    bool is_kept;
    bool is_renewing;
    int64_t asked_ns;
    int64_t renewed_ns;
    sci_timer timer;
    sci_eval_op eval;
    sci_eval_op renewal;
    sc_slice keys[3];
    sc_slice args[9];
    sc_slice renewal_args[2];
    char life_text[21];
    char ttl_text[21];
    char result_life_text[21];
} sci_lease;

/* `names` must outlive the lease; the callbacks are the caller's to set. Draws a token; its error.
 */
SCI_PRIVATE sc_status sci_lease_init(sci_lease *lease, sc_client *client,
                                     const sci_lease_scripts *scripts, const sci_names *names,
                                     int64_t life_ms);
/* Not while an op is under way. */
SCI_PRIVATE void sci_lease_free(sci_lease *lease);
/* Ask for the value or the lease; ends with `asked`. `awaited`: the token of a flight whose result
   is wanted, or "". `is_attended`: a thread is about to receive the answer. */
SCI_PRIVATE void sci_lease_acquire(sci_lease *lease, const char *awaited, bool is_attended);
/* Renew at a third of its life from now on, until it is stored, let go, or lost. */
SCI_PRIVATE void sci_lease_keep(sci_lease *lease);
SCI_PRIVATE void sci_lease_let_go(sci_lease *lease);

/* What is left on the server when the lease is given back. */
typedef struct sci_lease_store {
    char kind;        /* of the message: v, m, e, x */
    sc_slice payload; /* borrowed until `stored` */
    int64_t ttl_ms;   /* of the value; SC_TTL_NONE stores none */
    const char *flag; /* of the result: "", "N" or "S"; static */
    int64_t result_life_ms;
    bool is_published; /* the message carries the payload */
    bool is_attended;
} sci_lease_store;

SCI_PRIVATE void sci_lease_give_back(sci_lease *lease, const sci_lease_store *store);

/* The library's own Lua scripts, which the embedded server runs natively (cmd_script.c): change both
   together. KEYS of all: value, lease, result (coord/names). */

/* ARGV: token, lease in ms, token of the flight that is waited for (or "").
   The value if it is there; else what that flight left; else the lease if it is free; else who has
   it for how long. Taking it twice with one token is one taking, so a repeat after a lost reply is
   safe. */
#define SCI_SCRIPT_ACQUIRE                                                                         \
    "local v = redis.call('GET', KEYS[1])\n"                                                       \
    "if v then return {1, v} end\n"                                                                \
    "local r = redis.call('GET', KEYS[3])\n"                                                       \
    "if r and (string.sub(r, 1, 1) == 'N' or string.sub(r, 2, 33) == ARGV[3]) then\n"              \
    "  return {2, r}\n"                                                                            \
    "end\n"                                                                                        \
    "if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {3} end\n"            \
    "local h = redis.call('GET', KEYS[2])\n"                                                       \
    "if h == ARGV[1] then redis.call('PEXPIRE', KEYS[2], ARGV[2]) return {3} end\n"                \
    "return {4, h, redis.call('PTTL', KEYS[2])}\n"

/* ARGV: token, TTL in ms ("0": store no value, "-1": no expiry), payload, result's flag ("": leave
   none, "N": for everybody, "S": for those who wait for this token), result's life in ms, channel,
   kind, "1" if the message carries the payload, channel for the bare payload (or ""). Does all
   that, and gives the lease back, if the lease is still ours. */
#define SCI_SCRIPT_STORE                                                                           \
    "if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end\n"                                 \
    "redis.call('DEL', KEYS[2])\n"                                                                 \
    "if ARGV[2] == '-1' then redis.call('SET', KEYS[1], ARGV[3])\n"                                \
    "elseif ARGV[2] ~= '0' then redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2]) end\n"          \
    "if ARGV[4] ~= '' then\n"                                                                      \
    "  redis.call('SET', KEYS[3], ARGV[4] .. ARGV[1] .. ARGV[7] .. ARGV[3], 'PX', ARGV[5])\n"      \
    "end\n"                                                                                        \
    "if ARGV[8] == '1' then redis.call('PUBLISH', ARGV[6], ARGV[7] .. ARGV[1] .. ARGV[3])\n"       \
    "else redis.call('PUBLISH', ARGV[6], 'r' .. ARGV[1]) end\n"                                    \
    "if ARGV[9] ~= '' then redis.call('PUBLISH', ARGV[9], ARGV[3]) end\n"                          \
    "return 1\n"

/* ARGV: token, lease in ms. */
#define SCI_SCRIPT_RENEW                                                                           \
    "if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end\n"                                 \
    "return redis.call('PEXPIRE', KEYS[2], ARGV[2])\n"

/* Allowance for clocks that run apart: 1 % of the life, and 2 ms. */
#define SCI_LEASE_DRIFT_MS(life_ms) ((life_ms) / 100 + 2)

static void sci_lease_fire(sci_timer *timer);

SCI_PRIVATE void sci_lease_scripts_init(sci_lease_scripts *scripts)
{
    sci_script_init(&scripts->acquire, SCI_SCRIPT_ACQUIRE);
    sci_script_init(&scripts->store, SCI_SCRIPT_STORE);
    sci_script_init(&scripts->renew, SCI_SCRIPT_RENEW);
}

SCI_PRIVATE sc_status sci_lease_init(sci_lease *lease, sc_client *client,
                                     const sci_lease_scripts *scripts, const sci_names *names,
                                     int64_t life_ms)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bits[SCI_TOKEN_LEN / 2];
    memset(lease, 0, sizeof *lease);
    lease->client = client;
    lease->scripts = scripts;
    lease->names = names;
    lease->life_ms = life_ms;
    lease->timer.fire = sci_lease_fire;
    lease->keys[0] = names->value;
    lease->keys[1] = names->lease;
    lease->keys[2] = names->result;
    sc_status status = client->random.fill(client->random.user, bits, sizeof bits);
    for (size_t i = 0; i < sizeof bits && status == SC_OK; i++) {
        lease->token[2 * i] = digits[bits[i] >> 4];
        lease->token[2 * i + 1] = digits[bits[i] & 15];
    }
    return status;
}

SCI_PRIVATE void sci_lease_free(sci_lease *lease)
{
    sci_lease_let_go(lease);
    sc_value_release(lease->eval.op.error_text);
    sc_value_release(lease->renewal.op.error_text);
}

/* The token tells a repeat from another's taking, so each op may be sent again. */
static void sci_lease_submit(sci_lease *lease, sci_eval_op *eval, bool is_attended)
{
    sc_client *client = lease->client;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    eval->op.deadline_ns = sci_client_deadline_ns(client, 0, now_ns);
    eval->op.is_idempotent = true;
    eval->op.is_attended = is_attended;
    sci_conn_submit(client->shared, &eval->op, now_ns);
}

static void sci_lease_begin(sci_lease *lease, const sc_script *script, size_t arg_count,
                            void (*done)(sci_eval_op *eval))
{
    sc_value_release(lease->eval.op.error_text);
    sci_eval_init(&lease->eval, script, lease->keys, SCI_COUNT(lease->keys), lease->args, arg_count,
                  done);
}

/* The end of an op: the status, or that of the server's error; the words are this thread's. */
static sc_status sci_lease_result(const sci_op *op)
{
    if (op->status == SC_OK)
        return sc_item_check(sc_reply_item(op->view));
    sc_slice words = sc_value_bytes(op->error_text);
    if (!words.len)
        words = sc_text(sc_status_message(op->status));
    sci_error_text_set(words.data, words.len);
    return op->status;
}

static void sci_lease_extend(sci_lease *lease, int64_t sent_ns)
{
    lease->until_ns =
        sent_ns + (lease->life_ms - SCI_LEASE_DRIFT_MS(lease->life_ms)) * SCI_NS_PER_MS;
}

/* Taking. */

static void sci_lease_acquired(sci_eval_op *eval)
{
    sci_lease *lease = SCI_CONTAINER(eval, sci_lease, eval);
    sc_status status = sci_lease_result(&eval->op);
    const sc_item *answer = status == SC_OK ? sc_reply_item(eval->op.view) : NULL;
    int64_t kind = 0;
    int64_t left_ms = -1;
    if (status == SC_OK)
        status = sc_item_integer(sc_item_at(answer, 0), &kind);
    if (status == SC_OK && kind == SCI_LEASE_GRANTED) {
        lease->is_held = true;
        sci_lease_extend(lease, lease->asked_ns);
    }
    (void)sc_item_integer(sc_item_at(answer, 2), &left_ms);
    lease->asked(lease, status, (sci_lease_answer)kind, sc_item_slice(sc_item_at(answer, 1)),
                 left_ms);
}

SCI_PRIVATE void sci_lease_acquire(sci_lease *lease, const char *awaited, bool is_attended)
{
    lease->asked_ns = sci_loop_now_ns(&lease->client->loop);
    lease->args[0] = sc_bytes(lease->token, SCI_TOKEN_LEN);
    lease->args[1] = sc_bytes(lease->life_text, sci_i64_to_text(lease->life_ms, lease->life_text));
    lease->args[2] = sc_text(awaited);
    sci_lease_begin(lease, &lease->scripts->acquire, 3, sci_lease_acquired);
    sci_lease_submit(lease, &lease->eval, is_attended);
}

/* Renewing. */

static void sci_lease_lose(sci_lease *lease)
{
    lease->is_held = false;
    lease->is_lost = true;
}

static void sci_lease_arm(sci_lease *lease)
{
    sci_loop *loop = &lease->client->loop;
    sci_timer_arm(loop, &lease->timer, sci_loop_now_ns(loop) + lease->life_ms * SCI_NS_PER_MS / 3);
}

SCI_PRIVATE void sci_lease_keep(sci_lease *lease)
{
    lease->is_kept = true;
    sci_lease_arm(lease);
}

SCI_PRIVATE void sci_lease_let_go(sci_lease *lease)
{
    lease->is_kept = false;
    if (lease->client)
        sci_timer_cancel(&lease->client->loop, &lease->timer);
}

static void sci_lease_renewed(sci_eval_op *eval)
{
    sci_lease *lease = SCI_CONTAINER(eval, sci_lease, renewal);
    int64_t is_ours = 1; /* no answer says nothing: the next renewal asks again */
    bool has_answer = sci_lease_result(&eval->op) == SC_OK &&
                      sc_item_integer(sc_reply_item(eval->op.view), &is_ours) == SC_OK;
    lease->is_renewing = false;
    sc_value_release(eval->op.error_text);
    eval->op.error_text = NULL;
    if (has_answer && is_ours)
        sci_lease_extend(lease, lease->renewed_ns);
    if (!is_ours)
        sci_lease_lose(lease);
    if (lease->is_kept && is_ours)
        sci_lease_arm(lease);
    lease->renewal_ends(lease, !is_ours); /* it may be gone afterwards */
}

/* A lease is never renewed past its end: it may be another's by then. */
static void sci_lease_fire(sci_timer *timer)
{
    sci_lease *lease = SCI_CONTAINER(timer, sci_lease, timer);
    int64_t now_ns = sci_loop_now_ns(&lease->client->loop);
    if (lease->is_renewing)
        return;
    lease->renewal_begins(lease);
    if (now_ns >= lease->until_ns) {
        sci_lease_lose(lease);
        lease->renewal_ends(lease, true);
        return;
    }
    lease->is_renewing = true;
    lease->renewed_ns = now_ns;
    lease->renewal_args[0] = sc_bytes(lease->token, SCI_TOKEN_LEN);
    lease->renewal_args[1] = sc_text(lease->life_text);
    sci_eval_init(&lease->renewal, &lease->scripts->renew, lease->keys, SCI_COUNT(lease->keys),
                  lease->renewal_args, SCI_COUNT(lease->renewal_args), sci_lease_renewed);
    sci_lease_submit(lease, &lease->renewal, false);
}

/* Giving back. */

static void sci_lease_stored(sci_eval_op *eval)
{
    sci_lease *lease = SCI_CONTAINER(eval, sci_lease, eval);
    int64_t is_stored = 0;
    if (sci_lease_result(&eval->op) == SC_OK) {
        (void)sc_item_integer(sc_reply_item(eval->op.view), &is_stored);
        lease->is_lost = !is_stored;
    }
    if (!is_stored)
        sci_client_log(lease->client, SC_LOG_INFO, "the value of \"%.*s\" was not stored: %s",
                       (int)sci_min_size(lease->names->value.len, 100), lease->names->value.data,
                       eval->op.status == SC_OK ? "the lease was lost or invalidated"
                                                : sc_error_text());
    lease->stored(lease, is_stored != 0);
}

SCI_PRIVATE void sci_lease_give_back(sci_lease *lease, const sci_lease_store *store)
{
    static const char kinds[] = {'v', 'm', 'e', 'x'};
    const char *kind = (const char *)memchr(kinds, store->kind, sizeof kinds);
    int64_t ttl_ms = store->ttl_ms == SC_TTL_FOREVER ? -1
                     : store->ttl_ms == SC_TTL_NONE  ? 0
                                                     : store->ttl_ms;
    sci_lease_let_go(lease);
    lease->is_held = false;
    lease->args[0] = sc_bytes(lease->token, SCI_TOKEN_LEN);
    lease->args[1] = sc_bytes(lease->ttl_text, sci_i64_to_text(ttl_ms, lease->ttl_text));
    lease->args[2] = store->payload;
    lease->args[3] = sc_text(store->flag);
    lease->args[4] = sc_bytes(lease->result_life_text,
                              sci_i64_to_text(store->result_life_ms, lease->result_life_text));
    lease->args[5] = lease->names->channel;
    lease->args[6] = sc_bytes(kind, 1);
    lease->args[7] = sc_text(store->is_published ? "1" : "0");
    lease->args[8] = store->kind == 'v' ? lease->names->raw_channel : sc_bytes(NULL, 0);
    sci_lease_begin(lease, &lease->scripts->store, 9, sci_lease_stored);
    sci_lease_submit(lease, &lease->eval, store->is_attended);
}

/* MARK: - Cache (Private) */
/* The cache: opening, and the plain operations on keys. */

/* The cache's structs. Guarded by the client's lock, as everything on a client is. */

#define SCI_LOAD_DEFAULT_TTL_MS ((int64_t)30 * 60 * 1000)
#define SCI_LOAD_DEFAULT_LEASE_MS 30000
#define SCI_LOAD_DEFAULT_WAIT_MS 60000
#define SCI_LOAD_DEFAULT_POLL_MS 1000
#define SCI_LOAD_LEAST_LEASE_MS 10
/* What the server takes as PX: positive, and now + it within 64 bits. */
#define SCI_LONGEST_MS (INT64_MAX / 4)

struct sc_cache {
    sc_client *client; /* retained */
    size_t references; /* the handle's, each flight's and each asynchronous call's: locked */
    char *prefix;      /* owned; may hold no NUL */
    size_t prefix_len;
    sc_load_options load; /* no zeros */
    sci_map flights;      /* by the key on the server: those that may be joined */
    sci_link all;         /* flights */
    sci_lease_scripts scripts;
    sci_close_hook close_hook;
    sci_fork_hook fork_hook;
};

/* The key on the server: prefix and key. In `stack` when it fits, else in a block to be freed. */
#define SCI_KEY_STACK_BYTES 256
typedef struct sci_key {
    sc_slice full;
    char *block; /* owned, or NULL */
    size_t block_bytes;
    char stack[SCI_KEY_STACK_BYTES];
} sci_key;

SCI_PRIVATE sc_status sci_key_make(const sc_cache *cache, sc_slice key, sci_key *made);
SCI_PRIVATE void sci_key_free(const sc_cache *cache, sci_key *key);

/* SC_ERR_ARGUMENT names the field. */
SCI_PRIVATE sc_status sci_load_options_resolve(const sc_load_options *options,
                                               const sc_load_options *defaults,
                                               sc_load_options *resolved);
/* Locked. The last reference frees, and lets go of the client: the caller holds one of its own. */
SCI_PRIVATE void sci_cache_release(sc_cache *cache);

/* GET, with the value made as soon as the reply is in. */
typedef struct sci_get_op {
    sci_op op;
    sc_slice key;     /* on the server; borrowed */
    sc_status result; /* SC_OK with `value`, SC_MISS, or an error */
    sc_value *value;
    void (*done)(struct sci_get_op *get); /* locked, as an op's `complete` */
} sci_get_op;

SCI_PRIVATE void sci_get_init(sci_get_op *get, sc_slice key, void (*done)(sci_get_op *get));
/* `done` for a get that a thread waits for. */
SCI_PRIVATE void sci_get_wake(sci_get_op *get);

/* Get-or-load for any target: caches and wrapped functions. */

/* A flight: one process's one attempt at one missing key. Its callers join it; it takes the lease
   or waits for who has it; when it has it, one of the joiners loads for all. All locked.

     ACQUIRING -> LOADING -> STORING -> done       the lease is ours
     ACQUIRING -> SUBSCRIBING -> ACQUIRING -> WAITING -> ACQUIRING ...   it is another's

   Between the second ACQUIRING and the end of WAITING the channel is confirmed, so that no message
   can fall into a gap; and should one be lost, the lease's end and the poll bound wake it. */

typedef struct sci_flight sci_flight;

/* What is asked for: a key, and where its lease and channel are. */
typedef struct sci_target {
    sc_slice key;   /* on the server */
    sc_slice shown; /* as the loader sees it */
    /* Fill in the names; NULL: derived from the key. */
    sc_status (*name)(const struct sci_target *target, sci_names *names);
    const void *owner; /* for `name` */
    /* Of what the loader made: SC_OK; SC_MISS: share it and store nothing; or an error, with words.
       NULL: any bytes will do. */
    sc_status (*judge)(sc_slice value);
} sci_target;

/* A caller of get-or-load. On its stack, or within an asynchronous call. */
typedef struct sci_joiner {
    sci_link link;      /* in flight->joiners */
    sci_flight *flight; /* NULL: not yet, or no more */
    sc_loader loader;
    void *user;
    sc_load_options options;
    uint32_t asks_before; /* flight->asks when it joined */
    sci_waiter waiter;    /* of a blocking caller: finished for `must_load` as for the end */
    bool is_blocking;
    bool must_load; /* this caller runs its loader now */
    bool is_done;
    sc_status status;
    sc_value *value;      /* owned once done */
    sc_value *error_text; /* owned once done */
    /* Asynchronous callers, locked: run the loader soon; the end has come. */
    void (*load)(struct sci_joiner *joiner);
    void (*done)(struct sci_joiner *joiner);
} sci_joiner;

struct sc_load {
    sc_slice key; /* as the loader sees it */
    sci_bytes bytes;
    sc_value *taken;
    sc_status write_status; /* the first failure of sc_load_write */
    int64_t ttl_ms;
    sci_atomic_u32 is_void;
    sci_flight *flight;
};

/* Join the flight for `target`, or begin one. `failure` not SC_OK: the server could not be asked
   just now (words in sc_error_text), so do not ask again. SC_OK: the joiner will be done; else it
   is not joined. */
SCI_PRIVATE sc_status sci_flight_join(sc_cache *cache, const sci_target *target, sci_joiner *joiner,
                                      sc_status failure);
/* The flight for a key, or NULL. */
SCI_PRIVATE sci_flight *sci_flight_find(sc_cache *cache, sc_slice key);
/* A flight that may be joined without asking the server: it is loading, or waits for who does. */
SCI_PRIVATE bool sci_flight_is_under_way(sc_cache *cache, sc_slice key);
/* The caller does not wait any longer. Not while it must load. */
SCI_PRIVATE void sci_flight_leave(sci_joiner *joiner);
/* Before and after the loader of a joiner that must load is called on this thread, where asking for
   the same key again would never end. `status` of the loader: SC_PENDING, or it has ended (words of
   an error in sc_error_text). Between the two the flight stays. */
SCI_PRIVATE sc_load *sci_flight_loader_begins(sci_flight *flight);
SCI_PRIVATE void sci_flight_loader_ends(sci_flight *flight, sc_status status);
SCI_PRIVATE sc_client *sci_flight_client(const sci_flight *flight);
/* The loader has ended; words of an error in sc_error_text. */
SCI_PRIVATE void sci_flight_loaded(sci_flight *flight, sc_status status);
/* The key was invalidated on the server: who waits begins anew. */
SCI_PRIVATE void sci_flight_invalidate(sc_cache *cache, sc_slice key);
/* End all: closing, and in a forked child. */
SCI_PRIVATE void sci_flights_close(sc_cache *cache);
SCI_PRIVATE void sci_flights_forget(sc_cache *cache);

/* As sc_get_or_load. `options` are resolved. */
SCI_PRIVATE sc_status sci_get_or_load(sc_cache *cache, const sci_target *target, sc_loader loader,
                                      void *user, const sc_load_options *options, sc_value **value);
/* As sc_get_or_load_async. The target's key and shown key are copied; its owner must outlive the
   call. `finished` (may be NULL) is called once after `on_value`, unlocked, with `user`. */
SCI_PRIVATE sc_status sci_get_or_load_async(sc_cache *cache, const sci_target *target,
                                            sc_loader loader, void *user,
                                            const sc_load_options *options, sc_on_value on_value,
                                            void *on_value_user, void (*finished)(void *user));
/* Drop value, lease and result on the server, and let who waits begin anew. */
SCI_PRIVATE sc_status sci_invalidate(sc_cache *cache, const sci_names *names);
/* Errors that say that the server cannot be asked now; others say that the question is wrong. */
SCI_PRIVATE bool sci_load_is_outage(sc_status status);

/* Opening and closing. */

static sc_status sci_check_ms(const char *field, int64_t ms, int64_t least, int64_t most)
{
    if (ms >= least && ms <= most)
        return SC_OK;
    return sc_fail(SC_ERR_ARGUMENT,
                   "sc_load_options.%s is %lld; it wants %lld to %lld milliseconds", field,
                   (long long)ms, (long long)least, (long long)most);
}

static int64_t sci_either(int64_t value, int64_t fallback)
{
    return value ? value : fallback;
}

static sc_status sci_check_ttl(int64_t ttl_ms, bool may_be_none)
{
    if (ttl_ms == SC_TTL_FOREVER || (ttl_ms == SC_TTL_NONE && may_be_none) ||
        (ttl_ms > 0 && ttl_ms <= SCI_LONGEST_MS))
        return SC_OK;
    return sc_fail(SC_ERR_ARGUMENT,
                   "a TTL of %lld ms: it wants a positive number, SC_TTL_FOREVER%s",
                   (long long)ttl_ms, may_be_none ? " or SC_TTL_NONE" : "");
}

SCI_PRIVATE sc_status sci_load_options_resolve(const sc_load_options *options,
                                               const sc_load_options *defaults,
                                               sc_load_options *resolved)
{
    *resolved = options ? *options : *defaults;
    resolved->ttl_ms = sci_either(resolved->ttl_ms, defaults->ttl_ms);
    resolved->lease_ms = sci_either(resolved->lease_ms, defaults->lease_ms);
    resolved->wait_ms = sci_either(resolved->wait_ms, defaults->wait_ms);
    resolved->poll_ms = sci_either(resolved->poll_ms, defaults->poll_ms);
    sc_status status = sci_check_ttl(resolved->ttl_ms, true);
    if (status == SC_OK)
        status = sci_check_ms("negative_ttl_ms", resolved->negative_ttl_ms, 0, SCI_LONGEST_MS);
    if (status == SC_OK)
        status = sci_check_ms("lease_ms", resolved->lease_ms, SCI_LOAD_LEAST_LEASE_MS, INT32_MAX);
    if (status == SC_OK)
        status = sci_check_ms("wait_ms", resolved->wait_ms, -1, SCI_LONGEST_MS);
    if (status == SC_OK)
        status = sci_check_ms("poll_ms", resolved->poll_ms, 1, INT32_MAX);
    return status;
}

static void sci_cache_closing(sci_close_hook *hook)
{
    sci_flights_close(SCI_CONTAINER(hook, sc_cache, close_hook));
}

static void sci_cache_forked(sci_fork_hook *hook)
{
    sci_flights_forget(SCI_CONTAINER(hook, sc_cache, fork_hook));
}

SCI_PRIVATE void sci_cache_release(sc_cache *cache)
{
    sc_client *client = cache->client;
    if (--cache->references > 0)
        return;
    sci_list_remove(&cache->close_hook.link);
    sci_list_remove(&cache->fork_hook.link);
    sci_map_free(&cache->flights);
    sci_free(&client->memory, cache->prefix, cache->prefix_len);
    sci_free(&client->memory, cache, sizeof *cache);
    sci_client_release(client);
}

static sc_status sci_cache_create(sc_client *client, const sc_cache_config *config,
                                  sc_cache **created)
{
    sc_load_options defaults;
    memset(&defaults, 0, sizeof defaults);
    defaults.ttl_ms = SCI_LOAD_DEFAULT_TTL_MS;
    defaults.lease_ms = SCI_LOAD_DEFAULT_LEASE_MS;
    defaults.wait_ms = SCI_LOAD_DEFAULT_WAIT_MS;
    defaults.poll_ms = SCI_LOAD_DEFAULT_POLL_MS;
    sc_slice prefix = sc_text(config ? config->prefix : NULL);
    sc_cache *cache = (sc_cache *)sci_alloc_zeroed(&client->memory, sizeof *cache);
    if (!cache)
        return SC_ERR_MEMORY;
    sc_status status =
        sci_load_options_resolve(config ? &config->load : NULL, &defaults, &cache->load);
    if (status == SC_OK && prefix.len) {
        cache->prefix = (char *)sci_resize(&client->memory, NULL, 0, prefix.len);
        status = cache->prefix ? SC_OK : SC_ERR_MEMORY;
    }
    if (status != SC_OK) {
        sci_free(&client->memory, cache, sizeof *cache);
        return status;
    }
    if (prefix.len)
        memcpy(cache->prefix, prefix.data, prefix.len);
    cache->prefix_len = prefix.len;
    cache->client = client;
    cache->references = 1;
    *created = cache;
    return SC_OK;
}

SC_API sc_status sc_cache_open(sc_client *client, const sc_cache_config *config, sc_cache **cache)
{
    sc_cache *created;
    *cache = NULL;
    if (!client)
        return sc_fail(SC_ERR_ARGUMENT, "the client is NULL");
    sc_status status = sci_cache_create(client, config, &created);
    if (status != SC_OK)
        return status;
    sci_lease_scripts_init(&created->scripts);
    sci_map_init(&created->flights, &client->memory, client->hash_seed);
    sci_list_init(&created->all);
    created->close_hook.closing = sci_cache_closing;
    created->fork_hook.forked = sci_cache_forked;
    sci_list_init(&created->close_hook.link);
    sci_list_init(&created->fork_hook.link);
    sci_client_retain(client);
    status = sci_client_enter(client);
    if (status != SC_OK) {
        sci_cache_release(created);
        return status;
    }
    sci_list_append(&client->close_hooks, &created->close_hook.link);
    sci_list_append(&client->fork_hooks, &created->fork_hook.link);
    sci_client_leave(client);
    *cache = created;
    return SC_OK;
}

/* Locks by itself: the client may be closed already. */
SC_API void sc_cache_close(sc_cache *cache)
{
    if (!cache)
        return;
    sc_client *client = cache->client;
    sci_client_retain(client);
    sci_loop_lock(&client->loop);
    sci_cache_release(cache);
    sci_client_unlock(client);
    sci_client_release(client);
}

/* Keys. */

SCI_PRIVATE sc_status sci_key_make(const sc_cache *cache, sc_slice key, sci_key *made)
{
    size_t len = cache->prefix_len + key.len;
    made->block = NULL;
    if (cache->prefix_len == 0) {
        made->full = key;
        return SC_OK;
    }
    char *at = made->stack;
    if (len > sizeof made->stack) {
        made->block = (char *)sci_resize(&cache->client->memory, NULL, 0, len);
        made->block_bytes = len;
        at = made->block;
    }
    if (!at)
        return SC_ERR_MEMORY;
    memcpy(at, cache->prefix, cache->prefix_len);
    if (key.len)
        memcpy(at + cache->prefix_len, key.data, key.len);
    made->full = sc_bytes(at, len);
    return SC_OK;
}

SCI_PRIVATE void sci_key_free(const sc_cache *cache, sci_key *key)
{
    if (key->block)
        sci_free(&cache->client->memory, key->block, key->block_bytes);
}

/* GET. */

/* Shorter strings are copied out of the receive buffer. */
#define SCI_GET_KEEP_BYTES ((size_t)32 * 1024)

static sc_status sci_get_encode(sci_op *op, sci_bytes *out)
{
    sc_slice words[2];
    words[0] = sc_text("GET");
    words[1] = SCI_CONTAINER(op, sci_get_op, op)->key;
    return sci_write_command(out, words, 2);
}

static void sci_get_let_go(void *chunk)
{
    sci_chunk_release((sci_chunk *)chunk);
}

/* A large string stays where it was received; a small one is copied, since it would keep a whole
   receive buffer. The carriage return behind a string has been read and gives room for the NUL. */
static sc_status sci_get_value(const sci_op *op, sc_slice bytes, sc_value **value)
{
    const sc_memory *memory = &op->conn->client->memory;
    sci_chunk *chunk = op->conn->wire->chunk;
    const char *base = sci_chunk_data(chunk);
    if (bytes.len < SCI_GET_KEEP_BYTES || bytes.len < chunk->cap / 2)
        return sc_value_create(memory, bytes, value);
    sci_assert(bytes.data >= base && bytes.data + bytes.len < base + chunk->cap);
    sci_chunk_data(chunk)[(size_t)(bytes.data - base) + bytes.len] = '\0';
    *value = sci_value_over(memory, bytes, sci_get_let_go, chunk);
    if (!*value)
        return SC_ERR_MEMORY;
    (void)sci_chunk_retain(chunk);
    return SC_OK;
}

static void sci_get_complete(sci_op *op)
{
    sci_get_op *get = SCI_CONTAINER(op, sci_get_op, op);
    const sci_conn *conn = op->conn;
    sc_slice bytes = sc_bytes(NULL, 0);
    get->result = op->status;
    if (op->status == SC_OK)
        get->result = sc_item_bytes(sc_reply_item(op->view), &bytes);
    if (get->result == SC_OK)
        get->result = sci_get_value(op, bytes, &get->value);
    if (get->result < 0 && op->status == SC_OK)
        (void)sc_value_create(&conn->client->memory, sc_text(sc_error_text()), &op->error_text);
    op->status = get->result;
    get->done(get);
}

SCI_PRIVATE void sci_get_init(sci_get_op *get, sc_slice key, void (*done)(sci_get_op *get))
{
    memset(get, 0, sizeof *get);
    get->op.encode = sci_get_encode;
    get->op.complete = sci_get_complete;
    get->op.replies = 1;
    get->op.is_idempotent = true;
    get->key = key;
    get->done = done;
}

SCI_PRIVATE void sci_get_wake(sci_get_op *get)
{
    sci_op_wake(&get->op);
}

SC_API sc_status sc_get(sc_cache *cache, sc_slice key, sc_value **value)
{
    sci_key made;
    sci_get_op get;
    *value = NULL;
    sc_status status = sci_key_make(cache, key, &made);
    if (status != SC_OK)
        return status;
    sci_get_init(&get, made.full, sci_get_wake);
    status = sci_op_call(cache->client, &get.op, 0);
    *value = get.value;
    sci_key_free(cache, &made);
    return status;
}

typedef struct sci_get_call {
    sci_get_op get;
    sci_post post;
    sc_cache *cache;
    sc_on_value on_value;
    void *user;
    size_t block_bytes;
} sci_get_call;

static void sci_get_call_run(sci_post *post)
{
    sci_get_call *call = SCI_CONTAINER(post, sci_get_call, post);
    sc_client *client = call->cache->client;
    sc_status status = sci_op_result(&call->get.op);
    if (call->on_value)
        call->on_value(call->user, status, call->get.value);
    sc_value_release(call->get.value);
    sci_loop_lock(&client->loop);
    sci_cache_release(call->cache);
    sci_free(&client->memory, call, call->block_bytes);
    sci_client_unlock(client);
}

static void sci_get_call_done(sci_get_op *get)
{
    sci_get_call *call = SCI_CONTAINER(get, sci_get_call, get);
    sci_loop_post(&call->cache->client->loop, &call->post);
}

SC_API sc_status sc_get_async(sc_cache *cache, sc_slice key, sc_on_value on_value, void *user)
{
    sc_client *client = cache->client;
    size_t key_len = cache->prefix_len + key.len;
    sci_get_call *call = (sci_get_call *)sci_alloc_zeroed(&client->memory, sizeof *call + key_len);
    sc_status status = call ? sci_client_enter(client) : SC_ERR_MEMORY;
    if (status != SC_OK) {
        sci_free(&client->memory, call, sizeof *call + key_len);
        return status;
    }
    char *own_key = (char *)(call + 1);
    if (cache->prefix_len)
        memcpy(own_key, cache->prefix, cache->prefix_len);
    if (key.len)
        memcpy(own_key + cache->prefix_len, key.data, key.len);
    sci_get_init(&call->get, sc_bytes(own_key, key_len), sci_get_call_done);
    call->post.run = sci_get_call_run;
    sci_list_init(&call->post.link);
    call->cache = cache;
    call->on_value = on_value;
    call->user = user;
    call->block_bytes = sizeof *call + key_len;
    cache->references++;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    call->get.op.deadline_ns = sci_client_deadline_ns(client, 0, now_ns);
    sci_conn_submit(client->shared, &call->get.op, now_ns);
    sci_client_leave(client);
    return SC_OK;
}

/* The other operations: some commands on one key, and a number that comes back. */

#define SCI_CHANGE_WORDS 6

typedef struct sci_change_op {
    sci_op op;
    const sci_names *names; /* what invalidating removes; else NULL */
    bool voids_lease;       /* the lease's key is removed first, so that no load stores over it */
    sc_slice words[SCI_CHANGE_WORDS];
    size_t word_count;
    int64_t numbers[2]; /* replies that are integers, in order */
    sc_status result;
} sci_change_op;

/* "x" and a token's worth of anything: whoever waits asks again. */
#define SCI_BEGIN_ANEW "x--------------------------------"

static sc_status sci_change_encode(sci_op *op, sci_bytes *out)
{
    sci_change_op *change = SCI_CONTAINER(op, sci_change_op, op);
    const sci_names *names = change->names;
    size_t before = sci_bytes_len(out);
    sc_slice words[4];
    sc_status status = SC_OK;
    if (change->voids_lease) {
        words[0] = sc_text("DEL");
        words[1] = names->lease;
        words[2] = names->result;
        words[3] = names->value;
        status = sci_write_command(out, words, change->word_count ? 3 : 4);
    }
    if (status == SC_OK && change->word_count)
        status = sci_write_command(out, change->words, change->word_count);
    if (status == SC_OK && change->voids_lease) {
        words[0] = sc_text("PUBLISH");
        words[1] = names->channel;
        words[2] = sc_text(SCI_BEGIN_ANEW);
        status = sci_write_command(out, words, 3);
    }
    if (status != SC_OK)
        sci_bytes_cut(out, before, sci_bytes_len(out) - before);
    return status;
}

static void sci_change_complete(sci_op *op)
{
    sci_change_op *change = SCI_CONTAINER(op, sci_change_op, op);
    sc_status result = op->status;
    for (size_t i = 0; op->status == SC_OK && i < op->replies && result == SC_OK; i++) {
        const sc_item *item = sc_reply_at(op->view, i);
        result = sc_item_check(item);
        if (result == SC_OK && i < SCI_COUNT(change->numbers))
            (void)sc_item_integer(item, &change->numbers[i]);
    }
    if (result < 0 && op->status == SC_OK)
        (void)sc_value_create(&op->conn->client->memory, sc_text(sc_error_text()), &op->error_text);
    op->status = result;
    sci_op_wake(op);
}

static void sci_change_init(sci_change_op *change, const sci_names *names)
{
    memset(change, 0, sizeof *change);
    change->op.encode = sci_change_encode;
    change->op.complete = sci_change_complete;
    change->op.replies = 1;
    change->op.is_idempotent = true;
    change->names = names;
    change->voids_lease = names != NULL;
}

SCI_PRIVATE sc_status sci_invalidate(sc_cache *cache, const sci_names *names)
{
    sc_client *client = cache->client;
    sci_change_op change;
    sci_change_init(&change, names);
    change.op.replies = 2;
    sc_status status = sci_client_enter(client);
    if (status != SC_OK)
        return status;
    status = sci_op_run(client, client->shared, &change.op, 0);
    sci_flight_invalidate(cache, names->value);
    sci_client_leave_call(client);
    return status;
}

SC_API sc_status sc_invalidate(sc_cache *cache, sc_slice key)
{
    sci_key made;
    sci_names names;
    sc_status status = sci_key_make(cache, key, &made);
    if (status != SC_OK)
        return status;
    sci_names_init(&names, &cache->client->memory);
    status = sci_names_derive(&names, made.full);
    if (status == SC_OK)
        status = sci_invalidate(cache, &names);
    sci_names_free(&names);
    sci_key_free(cache, &made);
    return status;
}

SC_API sc_status sc_set(sc_cache *cache, sc_slice key, sc_slice value, int64_t ttl_ms)
{
    sci_key made;
    sci_names names;
    sci_change_op change;
    char ttl_text[SCI_I64_TEXT_BYTES];
    int64_t ttl = sci_either(ttl_ms, cache->load.ttl_ms);
    sc_client *client = cache->client;
    sc_status status = sci_check_ttl(ttl, false);
    if (status == SC_OK)
        status = sci_key_make(cache, key, &made);
    if (status != SC_OK)
        return status;
    sci_names_init(&names, &cache->client->memory);
    status = sci_names_derive(&names, made.full);
    if (status == SC_OK) {
        sci_change_init(&change, &names);
        change.op.replies = 3;
        change.words[change.word_count++] = sc_text("SET");
        change.words[change.word_count++] = made.full;
        change.words[change.word_count++] = value;
        if (ttl != SC_TTL_FOREVER) {
            change.words[change.word_count++] = sc_text("PX");
            change.words[change.word_count++] = sc_bytes(ttl_text, sci_i64_to_text(ttl, ttl_text));
        }
        status = sci_client_enter(client);
        if (status == SC_OK) {
            status = sci_op_run(client, client->shared, &change.op, 0);
            sci_flight_invalidate(cache,
                                  names.value); /* who waits, and comes next, gets this value */
            sci_client_leave_call(client);
        }
    }
    sci_names_free(&names);
    sci_key_free(cache, &made);
    return status;
}

/* One command on the key; its integer comes back. */
static sc_status sci_change_key(sc_cache *cache, sc_slice key, const char *command,
                                sc_slice argument, int64_t *number)
{
    sci_key made;
    sci_change_op change;
    sc_status status = sci_key_make(cache, key, &made);
    if (status != SC_OK)
        return status;
    sci_change_init(&change, NULL);
    change.words[change.word_count++] = sc_text(command);
    change.words[change.word_count++] = made.full;
    if (argument.len)
        change.words[change.word_count++] = argument;
    status = sci_op_call(cache->client, &change.op, 0);
    *number = change.numbers[0];
    sci_key_free(cache, &made);
    return status;
}

SC_API sc_status sc_delete(sc_cache *cache, sc_slice key)
{
    int64_t removed = 0;
    sc_status status = sci_change_key(cache, key, "DEL", sc_bytes(NULL, 0), &removed);
    return status == SC_OK && removed == 0 ? SC_MISS : status;
}

SC_API sc_status sc_touch(sc_cache *cache, sc_slice key, int64_t ttl_ms)
{
    char ttl_text[SCI_I64_TEXT_BYTES];
    int64_t number = 0;
    int64_t ttl = sci_either(ttl_ms, cache->load.ttl_ms);
    sc_status status = sci_check_ttl(ttl, false);
    if (status != SC_OK)
        return status;
    if (ttl != SC_TTL_FOREVER) {
        sc_slice argument = sc_bytes(ttl_text, sci_i64_to_text(ttl, ttl_text));
        status = sci_change_key(cache, key, "PEXPIRE", argument, &number);
        return status == SC_OK && number == 0 ? SC_MISS : status;
    }
    status = sci_change_key(cache, key, "PERSIST", sc_bytes(NULL, 0), &number);
    if (status != SC_OK || number == 1)
        return status;
    status =
        sci_change_key(cache, key, "EXISTS", sc_bytes(NULL, 0), &number); /* it never expired */
    return status == SC_OK && number == 0 ? SC_MISS : status;
}

SC_API sc_status sc_ttl(sc_cache *cache, sc_slice key, int64_t *ttl_ms)
{
    int64_t number = 0;
    *ttl_ms = 0;
    sc_status status = sci_change_key(cache, key, "PTTL", sc_bytes(NULL, 0), &number);
    if (status != SC_OK)
        return status;
    if (number == -2)
        return SC_MISS;
    *ttl_ms = number == -1 ? SC_TTL_FOREVER : number;
    return SC_OK;
}

/* Get-or-load on a cache's key. */

typedef struct sci_cache_call {
    sci_key made;
    sci_target target;
    sc_load_options options;
} sci_cache_call;

static sc_status sci_cache_call_init(sc_cache *cache, sc_slice key, const sc_load_options *options,
                                     sci_cache_call *call)
{
    sc_status status = SC_OK;
    if (options)
        status = sci_load_options_resolve(options, &cache->load, &call->options);
    else
        call->options = cache->load;
    if (status == SC_OK)
        status = sci_key_make(cache, key, &call->made);
    memset(&call->target, 0, sizeof call->target);
    call->target.key = call->made.full;
    call->target.shown = key;
    return status;
}

SC_API sc_status sc_get_or_load(sc_cache *cache, sc_slice key, sc_loader loader, void *user,
                                const sc_load_options *options, sc_value **value)
{
    sci_cache_call call;
    *value = NULL;
    sc_status status = sci_cache_call_init(cache, key, options, &call);
    if (status != SC_OK)
        return status;
    status = sci_get_or_load(cache, &call.target, loader, user, &call.options, value);
    sci_key_free(cache, &call.made);
    return status;
}

SC_API sc_status sc_get_or_load_async(sc_cache *cache, sc_slice key, sc_loader loader, void *user,
                                      const sc_load_options *options, sc_on_value on_value,
                                      void *on_value_user)
{
    sci_cache_call call;
    sc_status status = sci_cache_call_init(cache, key, options, &call);
    if (status != SC_OK)
        return status;
    status = sci_get_or_load_async(cache, &call.target, loader, user, &call.options, on_value,
                                   on_value_user, NULL);
    sci_key_free(cache, &call.made);
    return status;
}

/* MARK: - Outcomes (Private) */
/* Outcomes of loads: making them, and their form in messages and results. */

/* How a load ended, in memory and on the wire.

   Message: kind, token, payload. Kinds: v value, m there is none, e error, r read again, x begin
   again. Result:  flag, token, kind, payload. Flags: N for everybody, S for those who wait for the
   token. Payload of an error: its status as a decimal, a space, its words. */

typedef struct sci_outcome {
    sc_status status;
    sc_value *value;      /* owned */
    sc_value *error_text; /* owned: the words */
    sc_value *encoded;    /* owned: an error's payload */
    bool is_from_loader;  /* and so is shared or not as the options say */
} sci_outcome;

SCI_PRIVATE void sci_outcome_init(sci_outcome *outcome, sc_status status);
SCI_PRIVATE void sci_outcome_free(sci_outcome *outcome);
/* SC_OK with a copy of `bytes`, or SC_ERR_MEMORY. */
SCI_PRIVATE void sci_outcome_set_value(sci_outcome *outcome, const sc_memory *memory,
                                       sc_slice bytes);
/* What a loader has made; an error's words are this thread's. `judge`: as in sci_target. */
SCI_PRIVATE void sci_outcome_from_load(sci_outcome *outcome, sc_load *load, sc_status status,
                                       sc_status (*judge)(sc_slice value), const sc_memory *memory);
/* False when the message does not carry the outcome of the load `awaited`: ask again, for that of
   the load which the message tells of, whose token `awaited` receives. */
SCI_PRIVATE bool sci_outcome_from_message(sci_outcome *outcome, const sc_memory *memory,
                                          sc_slice message, char *awaited);
SCI_PRIVATE bool sci_outcome_from_result(sci_outcome *outcome, const sc_memory *memory,
                                         sc_slice result);
/* What is stored and published. Valid as long as the outcome. */
SCI_PRIVATE sc_slice sci_outcome_payload(const sci_outcome *outcome);

SCI_PRIVATE void sci_outcome_init(sci_outcome *outcome, sc_status status)
{
    memset(outcome, 0, sizeof *outcome);
    outcome->status = status;
}

SCI_PRIVATE void sci_outcome_free(sci_outcome *outcome)
{
    sc_value_release(outcome->value);
    sc_value_release(outcome->error_text);
    sc_value_release(outcome->encoded);
    sci_outcome_init(outcome, SC_OK);
}

SCI_PRIVATE void sci_outcome_set_value(sci_outcome *outcome, const sc_memory *memory,
                                       sc_slice bytes)
{
    outcome->status = sc_value_create(memory, bytes, &outcome->value);
}

/* The words, and the payload "STATUS WORDS". Without memory for them the status still stands. */
static void sci_outcome_set_error(sci_outcome *outcome, const sc_memory *memory, sc_status status,
                                  sc_slice words)
{
    sci_bytes encoded;
    outcome->status = status;
    (void)sc_value_create(memory, words, &outcome->error_text);
    sci_bytes_init(&encoded, memory);
    sc_status written = sci_bytes_append_i64(&encoded, status);
    if (written == SC_OK)
        written = sci_bytes_append_char(&encoded, ' ');
    if (written == SC_OK)
        written = sci_bytes_append(&encoded, words);
    if (written == SC_OK)
        (void)sc_value_create(memory, sci_bytes_slice(&encoded), &outcome->encoded);
    sci_bytes_free(&encoded);
}

SCI_PRIVATE void sci_outcome_from_load(sci_outcome *outcome, sc_load *load, sc_status status,
                                       sc_status (*judge)(sc_slice value), const sc_memory *memory)
{
    outcome->is_from_loader = true;
    if (status == SC_OK && load->write_status != SC_OK)
        status = sc_fail(load->write_status, "out of memory while the loader wrote its value");
    if (status == SC_OK) {
        outcome->value = load->taken;
        load->taken = NULL;
        if (!outcome->value)
            sci_outcome_set_value(outcome, memory, sci_bytes_slice(&load->bytes));
        status = outcome->status;
    }
    sci_bytes_free(&load->bytes);
    if (status == SC_OK && judge) {
        status = judge(sc_value_bytes(outcome->value));
        if (status == SC_MISS) {
            load->ttl_ms = SC_TTL_NONE;
            status = SC_OK;
        }
    }
    if (status > 0)
        status = SC_MISS; /* "there is none", whichever informative status says it */
    outcome->status = status;
    if (status == SC_OK)
        return;
    sc_value_release(outcome->value);
    outcome->value = NULL;
    if (status < 0) {
        const char *words = sc_error_text();
        sci_outcome_set_error(outcome, memory, status,
                              sc_text(*words ? words : sc_status_message(status)));
    }
}

/* A status that came over the wire: one of the list's errors, else SC_ERR_LOADER. */
static sc_status sci_outcome_status(int64_t code)
{
    static const sc_status known[] = {
#define SCI_OUTCOME_STATUS(name, number, message) name,
        SC_STATUS_LIST(SCI_OUTCOME_STATUS)
#undef SCI_OUTCOME_STATUS
    };
    for (size_t i = 0; i < SCI_COUNT(known); i++)
        if (code < 0 && (int64_t)known[i] == code)
            return known[i];
    return SC_ERR_LOADER;
}

static void sci_outcome_decode(sci_outcome *outcome, const sc_memory *memory, char kind,
                               sc_slice payload)
{
    if (kind == 'v') {
        sci_outcome_set_value(outcome, memory, payload);
    } else if (kind == 'm') {
        outcome->status = SC_MISS;
    } else {
        int64_t code = SC_ERR_LOADER;
        const char *space =
            payload.len ? (const char *)memchr(payload.data, ' ', payload.len) : NULL;
        size_t digits = space ? (size_t)(space - payload.data) : 0;
        if (space && sci_text_to_i64(sc_bytes(payload.data, digits), &code))
            payload = sc_bytes(space + 1, payload.len - digits - 1);
        outcome->status = sci_outcome_status(code);
        (void)sc_value_create(memory, payload, &outcome->error_text);
    }
    outcome->is_from_loader = true;
}

SCI_PRIVATE bool sci_outcome_from_message(sci_outcome *outcome, const sc_memory *memory,
                                          sc_slice message, char *awaited)
{
    if (message.len < 1 + SCI_TOKEN_LEN)
        return false; /* not ours: anybody may publish */
    char kind = message.data[0];
    bool is_awaited = memcmp(awaited, message.data + 1, SCI_TOKEN_LEN) == 0;
    memcpy(awaited, message.data + 1, SCI_TOKEN_LEN);
    if (!is_awaited || (kind != 'v' && kind != 'm' && kind != 'e'))
        return false;
    sci_outcome_decode(outcome, memory, kind,
                       sc_bytes(message.data + 1 + SCI_TOKEN_LEN, message.len - 1 - SCI_TOKEN_LEN));
    return true;
}

SCI_PRIVATE bool sci_outcome_from_result(sci_outcome *outcome, const sc_memory *memory,
                                         sc_slice result)
{
    size_t head = 2 + SCI_TOKEN_LEN;
    if (result.len < head)
        return false;
    char kind = result.data[head - 1];
    if (kind != 'v' && kind != 'm' && kind != 'e')
        return false;
    sci_outcome_decode(outcome, memory, kind, sc_bytes(result.data + head, result.len - head));
    return true;
}

SCI_PRIVATE sc_slice sci_outcome_payload(const sci_outcome *outcome)
{
    return sc_value_bytes(outcome->value ? outcome->value : outcome->encoded);
}

/* MARK: - Flights (Private) */
/* Flights: their beginning, their callers, and their end. */

/* What the parts of a flight share: flight.c has its beginning, its callers and its end,
   flight_ask.c the questions to the server and the wait, flight_store.c the load and what is left
   of it. */

typedef enum sci_flight_state {
    SCI_FLIGHT_ACQUIRING,
    SCI_FLIGHT_SUBSCRIBING,
    SCI_FLIGHT_WAITING,
    SCI_FLIGHT_LOADING,
    SCI_FLIGHT_STORING,
    SCI_FLIGHT_DONE
} sci_flight_state;

/* An outcome that no question to the server stands behind. */
#define SCI_FLIGHT_ANY_ASK UINT32_MAX

/* The wait's two ears: our channel, and that of the bare value. */
#define SCI_FLIGHT_EARS 2

typedef struct sci_ear {
    sci_listener listener;
    sci_flight *flight;
    bool is_raw;
} sci_ear;

struct sci_flight {
    sci_map_node node; /* in cache->flights until it is done or detached */
    sci_link all_link; /* in cache->all until it is freed */
    sc_cache *cache;   /* one reference */
    sci_flight_state state;
    size_t references; /* until done; each op under way; the running loader */
    bool is_in_map;
    sc_status (*judge)(sc_slice value); /* the target's; may be NULL */
    sci_names names;
    sc_value *shown; /* the key as the loader sees it: owned */
    sci_link joiners;
    sci_lease lease;
    char awaited[SCI_TOKEN_LEN + 1]; /* whose load is waited for, or "" */
    uint32_t asks;                   /* questions and stores sent to the server */
    uint32_t held_ask;               /* the last question whose answer was that another loads */
    bool asks_again;                 /* a message came while asking */
    int64_t poll_ms;
    sci_ear ears[SCI_FLIGHT_EARS];
    sci_timer timer;    /* ends a wait */
    sci_joiner *loader; /* who runs the loader */
    uintptr_t loader_thread;
    sc_load load;
    sci_outcome outcome; /* of the loader, while storing */
};

/* flight.c */

SCI_PRIVATE void sci_flight_release(sci_flight *flight);
/* Nobody may join any longer. */
SCI_PRIVATE void sci_flight_detach(sci_flight *flight);
/* Lets go of the lock for a moment: what is read of the flight before may have changed after. */
SCI_PRIVATE void sci_flight_stop_listening(sci_flight *flight);
SCI_PRIVATE void sci_joiner_end(sci_joiner *joiner, const sci_outcome *outcome);
/* What is being loaded is out of date, or may be: the loader's own caller keeps it; the others, and
   later ones, begin anew. */
SCI_PRIVATE void sci_flight_retry_others(sci_flight *flight);
/* The flight is over. The outcome is for those who had joined before question or store `ask` was
   sent: it was not out of date when the server saw that. Who joined later may know of an
   invalidation after it, and asks again. */
SCI_PRIVATE void sci_flight_resolve(sci_flight *flight, const sci_outcome *outcome, uint32_t ask);
SCI_PRIVATE void sci_flight_fail(sci_flight *flight, sc_status status, const char *text);
/* Those who block will receive on this connection, or need not (NULL). */
SCI_PRIVATE void sci_flight_expect(sci_flight *flight, sci_conn *conn);
/* The first caller blocks and is at work now: it will receive by itself. */
SCI_PRIVATE bool sci_flight_is_attended(const sci_flight *flight);

/* flight_ask.c */

SCI_PRIVATE void sci_flight_acquire(sci_flight *flight);
/* The server cannot be asked. Who wants the error gets it; for the others one loads without a
   lease, and nothing is stored. */
SCI_PRIVATE void sci_flight_outage(sci_flight *flight, sc_status status, const char *text);
SCI_PRIVATE void sci_flight_asked(sci_lease *lease, sc_status status, sci_lease_answer answer,
                                  sc_slice payload, int64_t left_ms);
SCI_PRIVATE void sci_flight_listen_event(sci_listener *listener, sci_listen_event event,
                                         const sc_message *message);
SCI_PRIVATE void sci_flight_fire(sci_timer *timer);
/* Every channel that is listened to is confirmed, our own among them. */
SCI_PRIVATE bool sci_flight_hears(const sci_flight *flight);

/* flight_store.c */

SCI_PRIVATE void sci_flight_start_loading(sci_flight *flight);
/* Nobody wants the lease that we just got. */
SCI_PRIVATE void sci_flight_give_back(sci_flight *flight);
SCI_PRIVATE void sci_flight_stored(sci_lease *lease, bool is_stored);
SCI_PRIVATE void sci_flight_renewal_begins(sci_lease *lease);
SCI_PRIVATE void sci_flight_renewal_ends(sci_lease *lease, bool is_lost);

/* Making and freeing. */

static void sci_flight_free(sci_flight *flight)
{
    sc_cache *cache = flight->cache;
    const sc_memory *memory = &cache->client->memory;
    sci_list_remove(&flight->all_link);
    sci_assert(!flight->is_in_map && sci_list_is_empty(&flight->joiners));
    sci_names_free(&flight->names);
    sc_value_release(flight->shown);
    sc_value_release(flight->load.taken);
    sci_bytes_free(&flight->load.bytes);
    sci_outcome_free(&flight->outcome);
    sci_lease_free(&flight->lease);
    sci_free(memory, flight, sizeof *flight);
    sci_cache_release(cache);
}

SCI_PRIVATE void sci_flight_release(sci_flight *flight)
{
    if (--flight->references == 0)
        sci_flight_free(flight);
}

static sc_status sci_flight_set_names(sci_flight *flight, const sci_target *target)
{
    sc_status status = target->name ? target->name(target, &flight->names)
                                    : sci_names_derive(&flight->names, target->key);
    if (status == SC_OK)
        status = sc_value_create(&flight->cache->client->memory, target->shown, &flight->shown);
    flight->load.key = sc_value_bytes(flight->shown);
    return status;
}

static sci_flight *sci_flight_create(sc_cache *cache, const sci_target *target,
                                     const sc_load_options *options)
{
    sc_client *client = cache->client;
    sci_flight *flight = (sci_flight *)sci_alloc_zeroed(&client->memory, sizeof *flight);
    if (!flight)
        return NULL;
    cache->references++;
    flight->cache = cache;
    flight->references = 1;
    flight->judge = target->judge;
    flight->poll_ms = options->poll_ms;
    flight->timer.fire = sci_flight_fire;
    flight->load.flight = flight;
    sci_list_init(&flight->joiners);
    sci_list_init(&flight->all_link);
    sci_list_append(&cache->all, &flight->all_link);
    sci_names_init(&flight->names, &client->memory);
    sci_bytes_init(&flight->load.bytes, &client->memory);
    for (size_t i = 0; i < SCI_FLIGHT_EARS; i++) {
        flight->ears[i].flight = flight;
        flight->ears[i].listener.event = sci_flight_listen_event;
        flight->ears[i].is_raw = i == 1;
    }
    sc_status status = sci_flight_set_names(flight, target);
    if (status == SC_OK)
        status = sci_lease_init(&flight->lease, client, &cache->scripts, &flight->names,
                                options->lease_ms);
    if (status != SC_OK) {
        sci_flight_release(flight);
        return NULL;
    }
    flight->lease.asked = sci_flight_asked;
    flight->lease.stored = sci_flight_stored;
    flight->lease.renewal_begins = sci_flight_renewal_begins;
    flight->lease.renewal_ends = sci_flight_renewal_ends;
    return flight;
}

SCI_PRIVATE void sci_flight_detach(sci_flight *flight)
{
    if (!flight->is_in_map)
        return;
    flight->is_in_map = false;
    sci_map_remove(&flight->cache->flights, &flight->node);
}

static void sci_flight_put(sci_flight *flight)
{
    sci_map *map = &flight->cache->flights;
    sc_slice key = flight->names.value;
    flight->is_in_map = true;
    sci_map_put(map, &flight->node, key, sci_map_hash(map, key));
}

/* Ends. */

SCI_PRIVATE void sci_joiner_end(sci_joiner *joiner, const sci_outcome *outcome)
{
    sci_flight *flight = joiner->flight;
    sc_client *client = flight->cache->client;
    joiner->flight = NULL;
    if (joiner->must_load)
        flight->references--; /* its loader will not run; others keep the flight */
    joiner->must_load = false;
    joiner->is_done = true;
    joiner->status = outcome->status;
    joiner->value = sc_value_retain(outcome->value);
    joiner->error_text = sc_value_retain(outcome->error_text);
    if (joiner->is_blocking)
        sci_waiter_finish(client, &joiner->waiter);
    else
        joiner->done(joiner);
}

SCI_PRIVATE void sci_flight_stop_listening(sci_flight *flight)
{
    sc_client *client = flight->cache->client;
    sci_timer_cancel(&client->loop, &flight->timer);
    for (size_t i = 0; i < SCI_FLIGHT_EARS; i++)
        sci_listener_remove(client, &flight->ears[i].listener);
}

static sc_status sci_flight_copy_names(const sci_target *target, sci_names *names)
{
    return sci_names_copy(names, (const sci_names *)target->owner);
}

/* These try again, together. `awaited`: a load whose result they may still have, or "". */
static void sci_flight_retry(sci_flight *flight, sci_link *joiners, const char *awaited)
{
    const sci_joiner *first = SCI_CONTAINER(joiners->next, sci_joiner, link);
    sci_target target;
    memset(&target, 0, sizeof target);
    target.key = flight->names.value;
    target.shown = sc_value_bytes(flight->shown);
    target.name = sci_flight_copy_names;
    target.owner = &flight->names;
    target.judge = flight->judge;
    sci_flight *next = sci_flight_create(flight->cache, &target, &first->options);
    sci_outcome no_memory;
    sci_outcome_init(&no_memory, SC_ERR_MEMORY);
    for (sci_link *link = sci_list_take_first(joiners); link; link = sci_list_take_first(joiners)) {
        sci_joiner *joiner = SCI_CONTAINER(link, sci_joiner, link);
        if (next) {
            joiner->flight = next;
            joiner->asks_before = 0;
            sci_list_append(&next->joiners, link);
        } else {
            sci_joiner_end(joiner, &no_memory);
        }
    }
    if (!next)
        return;
    memcpy(next->awaited, awaited, strlen(awaited) + 1);
    if (!sci_flight_find(flight->cache, next->names.value))
        sci_flight_put(next);
    sci_flight_acquire(next);
}

SCI_PRIVATE void sci_flight_retry_others(sci_flight *flight)
{
    sci_link others;
    sci_list_init(&others);
    sci_flight_detach(flight);
    sci_list_move_all(&others, &flight->joiners);
    if (flight->loader) {
        sci_list_remove(&flight->loader->link);
        sci_list_append(&flight->joiners, &flight->loader->link);
    }
    if (!sci_list_is_empty(&others))
        sci_flight_retry(flight, &others, "");
}

SCI_PRIVATE void sci_flight_resolve(sci_flight *flight, const sci_outcome *outcome, uint32_t ask)
{
    sci_link retrying;
    sci_link late;
    if (flight->state == SCI_FLIGHT_DONE)
        return;
    flight->state = SCI_FLIGHT_DONE;
    sci_list_init(&retrying);
    sci_list_init(&late);
    sci_flight_detach(flight);
    sci_timer_cancel(&flight->cache->client->loop, &flight->timer);
    for (sci_link *link = sci_list_take_first(&flight->joiners); link;
         link = sci_list_take_first(&flight->joiners)) {
        sci_joiner *joiner = SCI_CONTAINER(link, sci_joiner, link);
        if (outcome->is_from_loader && outcome->status < 0 && joiner->options.private_errors &&
            joiner != flight->loader)
            sci_list_append(&retrying, link);
        else if (joiner->asks_before >= ask && joiner != flight->loader)
            sci_list_append(&late, link);
        else
            sci_joiner_end(joiner, outcome);
    }
    flight->loader = NULL;
    if (!sci_list_is_empty(&late))
        sci_flight_retry(flight, &late, flight->awaited);
    if (!sci_list_is_empty(&retrying))
        sci_flight_retry(flight, &retrying, "");
    sci_flight_stop_listening(flight);
    sci_flight_release(flight);
}

SCI_PRIVATE void sci_flight_fail(sci_flight *flight, sc_status status, const char *text)
{
    sci_outcome outcome;
    sci_outcome_init(&outcome, status);
    (void)sc_value_create(&flight->cache->client->memory, sc_text(text), &outcome.error_text);
    sci_flight_resolve(flight, &outcome, SCI_FLIGHT_ANY_ASK);
    sci_outcome_free(&outcome);
}

/* Joining and leaving. */

SCI_PRIVATE void sci_flight_expect(sci_flight *flight, sci_conn *conn)
{
    for (sci_link *link = flight->joiners.next; link != &flight->joiners; link = link->next) {
        sci_joiner *joiner = SCI_CONTAINER(link, sci_joiner, link);
        if (joiner->is_blocking)
            sci_waiter_expect(flight->cache->client, &joiner->waiter, conn);
    }
}

SCI_PRIVATE bool sci_flight_is_attended(const sci_flight *flight)
{
    const sci_link *first = flight->joiners.next;
    if (first == &flight->joiners)
        return false;
    const sci_joiner *joiner = SCI_CONTAINER(first, sci_joiner, link);
    return joiner->is_blocking && !joiner->waiter.is_sleeping && !joiner->waiter.is_driving;
}

SCI_PRIVATE sci_flight *sci_flight_find(sc_cache *cache, sc_slice key)
{
    if (cache->flights.count == 0)
        return NULL;
    sci_map_node *node = sci_map_find(&cache->flights, key, sci_map_hash(&cache->flights, key));
    return node ? SCI_CONTAINER(node, sci_flight, node) : NULL;
}

SCI_PRIVATE bool sci_flight_is_under_way(sc_cache *cache, sc_slice key)
{
    const sci_flight *flight = sci_flight_find(cache, key);
    return flight && flight->state != SCI_FLIGHT_ACQUIRING;
}

SCI_PRIVATE sc_status sci_flight_join(sc_cache *cache, const sci_target *target, sci_joiner *joiner,
                                      sc_status failure)
{
    sci_flight *flight = sci_flight_find(cache, target->key);
    bool is_new = !flight;
    if (flight && flight->loader_thread == sci_thread_self())
        return sc_fail(SC_ERR_DEADLOCK, "the loader of \"%.*s\" asks for the same key",
                       (int)sci_min_size(target->key.len, 100), target->key.data);
    if (is_new)
        flight = sci_flight_create(cache, target, &joiner->options);
    if (!flight)
        return SC_ERR_MEMORY;
    sci_list_init(&joiner->link);
    sci_list_append(&flight->joiners, &joiner->link);
    joiner->flight = flight;
    joiner->asks_before = flight->asks;
    if (!is_new) {
        bool is_asking =
            flight->state == SCI_FLIGHT_ACQUIRING || flight->state == SCI_FLIGHT_STORING;
        if (joiner->is_blocking)
            sci_waiter_expect(cache->client, &joiner->waiter,
                              is_asking ? cache->client->shared : NULL);
        return SC_OK;
    }
    sci_flight_put(flight);
    if (failure == SC_OK) {
        sci_flight_acquire(flight);
    } else {
        char words[SC_ERROR_TEXT_BYTES];
        (void)sci_format(words, sizeof words, "%s", sc_error_text());
        sci_flight_outage(flight, failure, words);
    }
    return SC_OK;
}

SCI_PRIVATE void sci_flight_leave(sci_joiner *joiner)
{
    sci_flight *flight = joiner->flight;
    sci_assert(flight && !joiner->must_load);
    joiner->flight = NULL;
    sci_list_remove(&joiner->link);
    bool is_waiting =
        flight->state == SCI_FLIGHT_SUBSCRIBING || flight->state == SCI_FLIGHT_WAITING;
    if (is_waiting && sci_list_is_empty(&flight->joiners))
        sci_flight_fail(flight, SC_ERR_CANCELLED, "nobody waits any longer");
}

SCI_PRIVATE void sci_flight_invalidate(sc_cache *cache, sc_slice key)
{
    sci_flight *flight = sci_flight_find(cache, key);
    if (!flight || (flight->state != SCI_FLIGHT_LOADING && flight->state != SCI_FLIGHT_STORING))
        return; /* it has still to ask, or hears of it */
    sci_atomic_store_release(&flight->load.is_void, 1);
    sci_flight_retry_others(flight);
}

SCI_PRIVATE void sci_flights_close(sc_cache *cache)
{
    sci_link ending;
    sci_list_init(&ending);
    sci_list_move_all(&ending, &cache->all);
    for (sci_link *link = sci_list_take_first(&ending); link; link = sci_list_take_first(&ending)) {
        sci_flight *flight = SCI_CONTAINER(link, sci_flight, all_link);
        sci_list_append(&cache->all, link);
        sci_atomic_store_release(&flight->load.is_void, 1);
        sci_flight_fail(flight, SC_ERR_CLOSED, "the client was closed");
    }
}

/* The joiners are the parent's threads: nobody is told. The loop's timers are gone already. */
SCI_PRIVATE void sci_flights_forget(sc_cache *cache)
{
    for (sci_link *link = cache->all.next; link != &cache->all; link = link->next) {
        sci_flight *flight = SCI_CONTAINER(link, sci_flight, all_link);
        flight->state = SCI_FLIGHT_DONE;
        sci_atomic_store_release(&flight->load.is_void, 1);
        memset(&flight->timer.node, 0, sizeof flight->timer.node);
        memset(&flight->lease.timer.node, 0, sizeof flight->lease.timer.node);
        sci_list_init(&flight->joiners);
        sci_flight_detach(flight);
        sci_flight_stop_listening(flight);
    }
}

/* MARK: - Flights: asking and waiting (Private) */
/* A flight's questions to the server, and its wait for another's load. */

static void sci_flight_wait(sci_flight *flight, sc_slice holder, int64_t left_ms);

SCI_PRIVATE void sci_flight_outage(sci_flight *flight, sc_status status, const char *text)
{
    sci_outcome outcome;
    sci_outcome_init(&outcome, status);
    (void)sc_value_create(&flight->cache->client->memory, sc_text(text), &outcome.error_text);
    for (sci_link *link = flight->joiners.next, *next; link != &flight->joiners; link = next) {
        sci_joiner *joiner = SCI_CONTAINER(link, sci_joiner, link);
        next = link->next;
        if (joiner->options.outage == SC_OUTAGE_LOAD && status != SC_ERR_CLOSED &&
            status != SC_ERR_MEMORY)
            continue;
        sci_list_remove(link);
        sci_joiner_end(joiner, &outcome);
    }
    if (sci_list_is_empty(&flight->joiners)) {
        sci_flight_resolve(flight, &outcome, SCI_FLIGHT_ANY_ASK);
    } else {
        sci_atomic_store_release(&flight->load.is_void, 1);
        sci_flight_start_loading(flight);
    }
    sci_outcome_free(&outcome);
}

static void sci_flight_answered(sci_flight *flight, sci_lease_answer answer, sc_slice payload,
                                int64_t left_ms)
{
    const sc_memory *memory = &flight->cache->client->memory;
    sci_outcome outcome;
    sci_outcome_init(&outcome, SC_OK);
    if (answer == SCI_LEASE_VALUE)
        sci_outcome_set_value(&outcome, memory, payload);
    else if (answer != SCI_LEASE_RESULT || !sci_outcome_from_result(&outcome, memory, payload)) {
        sci_flight_wait(flight, payload, left_ms);
        return;
    }
    sci_flight_resolve(flight, &outcome, flight->asks);
    sci_outcome_free(&outcome);
}

SCI_PRIVATE void sci_flight_asked(sci_lease *lease, sc_status status, sci_lease_answer answer,
                                  sc_slice payload, int64_t left_ms)
{
    sci_flight *flight = SCI_CONTAINER(lease, sci_flight, lease);
    bool is_wanted = flight->state != SCI_FLIGHT_DONE && !sci_list_is_empty(&flight->joiners);
    if (status == SC_OK && answer == SCI_LEASE_GRANTED && is_wanted)
        sci_flight_start_loading(flight);
    else if (status == SC_OK && answer == SCI_LEASE_GRANTED)
        sci_flight_give_back(flight);
    else if (flight->state != SCI_FLIGHT_DONE && status == SC_OK)
        sci_flight_answered(flight, answer, payload, left_ms);
    else if (flight->state != SCI_FLIGHT_DONE)
        sci_flight_outage(flight, status, sc_error_text());
    sci_flight_release(flight);
}

SCI_PRIVATE void sci_flight_acquire(sci_flight *flight)
{
    sc_client *client = flight->cache->client;
    flight->state = SCI_FLIGHT_ACQUIRING;
    flight->asks_again = false;
    flight->asks++;
    flight->references++;
    sci_timer_cancel(&client->loop, &flight->timer);
    sci_flight_expect(flight, client->shared);
    sci_lease_acquire(&flight->lease, flight->awaited, sci_flight_is_attended(flight));
}

/* Waiting for another's load. */

SCI_PRIVATE bool sci_flight_hears(const sci_flight *flight)
{
    for (size_t i = 0; i < SCI_FLIGHT_EARS; i++)
        if (flight->ears[i].listener.channel && !flight->ears[i].listener.is_confirmed)
            return false;
    return flight->ears[0].listener.channel != NULL;
}

static void sci_flight_arm(sci_flight *flight, int64_t wait_ms)
{
    sci_loop *loop = &flight->cache->client->loop;
    sci_timer_arm(loop, &flight->timer, sci_loop_now_ns(loop) + wait_ms * SCI_NS_PER_MS);
}

/* Begin to listen; what is confirmed already says so within the call. */
static void sci_flight_subscribe(sci_flight *flight)
{
    sc_client *client = flight->cache->client;
    flight->state = SCI_FLIGHT_SUBSCRIBING;
    sci_flight_arm(flight, flight->poll_ms);
    sci_client_want_thread(client);
    flight->references++; /* listening may end the flight */
    sci_listener *raw = &flight->ears[1].listener;
    sci_listener *own = &flight->ears[0].listener;
    /* our own channel last: with it confirmed, the flight asks again. Without memory the timer does
     */
    if (flight->names.raw_channel.len && !raw->channel)
        (void)sci_listener_add(client, raw, flight->names.raw_channel, false);
    if (flight->state == SCI_FLIGHT_SUBSCRIBING && !own->channel)
        (void)sci_listener_add(client, own, flight->names.channel, false);
    sci_flight_release(flight);
}

static void sci_flight_wait(sci_flight *flight, sc_slice holder, int64_t left_ms)
{
    memset(flight->awaited, 0, sizeof flight->awaited);
    if (holder.len == SCI_TOKEN_LEN)
        memcpy(flight->awaited, holder.data, SCI_TOKEN_LEN);
    flight->held_ask = flight->asks;
    sci_flight_expect(flight, NULL);
    if (sci_list_is_empty(&flight->joiners)) {
        sci_flight_fail(flight, SC_ERR_CANCELLED, "nobody waits any longer");
    } else if (!flight->ears[0].listener.channel) {
        sci_flight_subscribe(flight);
    } else if (flight->asks_again) {
        sci_flight_acquire(flight);
    } else {
        bool has_end = left_ms >= 0 && left_ms < flight->poll_ms;
        flight->state = SCI_FLIGHT_WAITING;
        sci_flight_arm(flight, has_end ? left_ms + 1 : flight->poll_ms);
    }
}

static void sci_flight_hear(sci_flight *flight, const sci_ear *ear, sc_slice payload)
{
    const sc_memory *memory = &flight->cache->client->memory;
    sci_outcome outcome;
    sci_outcome_init(&outcome, SC_OK);
    bool is_whole = true;
    if (ear->is_raw)
        sci_outcome_set_value(&outcome, memory, payload);
    else
        is_whole = sci_outcome_from_message(&outcome, memory, payload, flight->awaited);
    if (is_whole) /* whoever held the lease at that question had not stored before it */
        sci_flight_resolve(flight, &outcome, flight->held_ask);
    else if (flight->state == SCI_FLIGHT_ACQUIRING)
        flight->asks_again = true;
    else
        sci_flight_acquire(flight);
    sci_outcome_free(&outcome);
}

SCI_PRIVATE void sci_flight_listen_event(sci_listener *listener, sci_listen_event event,
                                         const sc_message *message)
{
    sci_ear *ear = SCI_CONTAINER(listener, sci_ear, listener);
    sci_flight *flight = ear->flight;
    bool is_waiting =
        flight->state == SCI_FLIGHT_SUBSCRIBING || flight->state == SCI_FLIGHT_WAITING;
    if (event == SCI_LISTEN_MESSAGE && (is_waiting || flight->state == SCI_FLIGHT_ACQUIRING))
        sci_flight_hear(flight, ear, message->payload);
    else if (event == SCI_LISTEN_READY && is_waiting && sci_flight_hears(flight))
        sci_flight_acquire(flight); /* for the first time, or after a gap */
    else if (event == SCI_LISTEN_READY && flight->state == SCI_FLIGHT_ACQUIRING)
        flight->asks_again = true;
}

SCI_PRIVATE void sci_flight_fire(sci_timer *timer)
{
    sci_flight_acquire(SCI_CONTAINER(timer, sci_flight, timer));
}

/* MARK: - Flights: loading and storing (Private) */
/* A flight's load, and what it leaves on the server. */

/* How long a flight that stores no value leaves its result for those who wait for it: they may be
   between asking and subscribing. */
#define SCI_RESULT_LIFE_MS 5000
/* A larger payload is not published: who waits is told to read. */
#define SCI_PUBLISH_BYTES (64u * 1024u)

/* Loading. */

SCI_PRIVATE void sci_flight_start_loading(sci_flight *flight)
{
    sc_client *client = flight->cache->client;
    sci_joiner *joiner = SCI_CONTAINER(flight->joiners.next, sci_joiner, link);
    sci_timer_cancel(&client->loop, &flight->timer);
    flight->state = SCI_FLIGHT_LOADING;
    flight->loader = joiner;
    flight->references += 2; /* one given back by sci_flight_loaded, one below */
    flight->load.ttl_ms = joiner->options.ttl_ms;
    sci_flight_expect(flight, NULL);
    if (flight->lease.is_held) {
        sci_client_want_thread(client);
        sci_lease_keep(&flight->lease);
    }
    joiner->must_load = true;
    if (joiner->is_blocking)
        sci_waiter_finish(client, &joiner->waiter);
    else
        joiner->load(joiner);
    sci_flight_stop_listening(flight);
    sci_flight_release(flight);
}

SCI_PRIVATE sc_load *sci_flight_loader_begins(sci_flight *flight)
{
    flight->references++;
    flight->loader_thread = sci_thread_self();
    return &flight->load;
}

SCI_PRIVATE void sci_flight_loader_ends(sci_flight *flight, sc_status status)
{
    flight->loader_thread = 0;
    if (status != SC_PENDING)
        sci_flight_loaded(flight, status);
    sci_flight_release(flight);
}

SCI_PRIVATE sc_client *sci_flight_client(const sci_flight *flight)
{
    return flight->cache->client;
}

SCI_PRIVATE void sci_flight_renewal_begins(sci_lease *lease)
{
    SCI_CONTAINER(lease, sci_flight, lease)->references++;
}

SCI_PRIVATE void sci_flight_renewal_ends(sci_lease *lease, bool is_lost)
{
    sci_flight *flight = SCI_CONTAINER(lease, sci_flight, lease);
    if (is_lost && flight->state == SCI_FLIGHT_LOADING) {
        sci_atomic_store_release(&flight->load.is_void, 1);
        sci_client_log(flight->cache->client, SC_LOG_INFO,
                       "the lease of \"%.*s\" was lost or invalidated",
                       (int)sci_min_size(flight->names.value.len, 100), flight->names.value.data);
    }
    sci_flight_release(flight);
}

/* Storing. */

SCI_PRIVATE void sci_flight_stored(sci_lease *lease, bool is_stored)
{
    sci_flight *flight = SCI_CONTAINER(lease, sci_flight, lease);
    if (lease->is_lost)
        sci_flight_retry_others(flight);
    sci_flight_resolve(flight, &flight->outcome, is_stored ? flight->asks : SCI_FLIGHT_ANY_ASK);
    sci_flight_release(flight);
}

/* Leave what `kind` and the outcome call for on the server, tell who waits, and give the lease
 * back. */
static void sci_flight_store(sci_flight *flight, char kind, int64_t ttl_ms, const char *flag,
                             int64_t result_life_ms, bool is_published)
{
    sci_lease_store store;
    memset(&store, 0, sizeof store);
    store.kind = kind;
    store.payload = sci_outcome_payload(&flight->outcome);
    store.ttl_ms = ttl_ms;
    store.flag = flag;
    store.result_life_ms = result_life_ms;
    store.is_published = is_published;
    store.is_attended = sci_flight_is_attended(flight);
    memcpy(flight->awaited, flight->lease.token, sizeof flight->awaited);
    flight->asks++;
    flight->references++;
    sci_flight_expect(flight, flight->cache->client->shared);
    sci_lease_give_back(&flight->lease, &store);
}

SCI_PRIVATE void sci_flight_give_back(sci_flight *flight)
{
    sci_flight_detach(flight); /* nobody may join what does not load */
    sci_flight_store(flight, 'x', SC_TTL_NONE, "", 0, true);
}

/* What a success leaves on the server. */
static void sci_flight_store_value(sci_flight *flight)
{
    sc_slice value = sc_value_bytes(flight->outcome.value);
    bool is_small = value.len <= SCI_PUBLISH_BYTES;
    int64_t ttl_ms = flight->load.ttl_ms;
    if (ttl_ms == SC_TTL_NONE)
        sci_flight_store(flight, 'v', ttl_ms, "S", SCI_RESULT_LIFE_MS, is_small);
    else
        sci_flight_store(flight, 'v', ttl_ms, "", 0, is_small);
}

/* What a failure, or "there is none", leaves. */
static void sci_flight_store_negative(sci_flight *flight)
{
    const sc_load_options *options = &flight->loader->options;
    bool is_error = flight->outcome.status < 0;
    char kind = is_error ? 'e' : 'm';
    if (is_error && options->private_errors)
        sci_flight_store(flight, 'x', SC_TTL_NONE, "", 0, true);
    else if (options->negative_ttl_ms > 0)
        sci_flight_store(flight, kind, SC_TTL_NONE, "N", options->negative_ttl_ms, true);
    else
        sci_flight_store(flight, kind, SC_TTL_NONE, "S", SCI_RESULT_LIFE_MS, true);
}

SCI_PRIVATE void sci_flight_loaded(sci_flight *flight, sc_status status)
{
    if (flight->state != SCI_FLIGHT_LOADING) { /* closed, or forked, meanwhile */
        sci_flight_release(flight);
        return;
    }
    sci_lease_let_go(&flight->lease);
    sci_outcome_from_load(&flight->outcome, &flight->load, status, flight->judge,
                          &flight->cache->client->memory);
    flight->state = SCI_FLIGHT_STORING;
    if (flight->lease.is_lost)
        sci_flight_retry_others(flight);
    if (!flight->lease.is_held)
        sci_flight_resolve(flight, &flight->outcome, SCI_FLIGHT_ANY_ASK);
    else if (flight->outcome.status == SC_OK)
        sci_flight_store_value(flight);
    else
        sci_flight_store_negative(flight);
    sci_flight_release(flight);
}

/* MARK: - Get or load (Private) */
/* Get-or-load: ask, join the flight for a missing key, run the loader when it falls to this caller.
 */

/* The loader's side. */

SC_API sc_slice sc_load_key(const sc_load *load)
{
    return load->key;
}

SC_API sc_status sc_load_write(sc_load *load, const void *data, size_t len)
{
    sc_status status = sci_bytes_append(&load->bytes, sc_bytes(data, len));
    if (status != SC_OK)
        load->write_status = status;
    return status;
}

SC_API sc_status sc_load_write_text(sc_load *load, const char *text)
{
    sc_slice bytes = sc_text(text);
    return sc_load_write(load, bytes.data, bytes.len);
}

SC_API void sc_load_take(sc_load *load, sc_value *value)
{
    sc_value_release(load->taken);
    load->taken = value;
}

SC_API void sc_load_set_ttl(sc_load *load, int64_t ttl_ms)
{
    if (ttl_ms > 0 || ttl_ms == SC_TTL_NONE)
        load->ttl_ms = ttl_ms > SCI_LONGEST_MS ? SC_TTL_FOREVER : ttl_ms;
}

SC_API bool sc_load_is_void(const sc_load *load)
{
    return sci_atomic_load_acquire(&load->is_void) != 0;
}

/* Locks by itself: the client may be closed, and even its handle gone, while a load was pending. */
SC_API void sc_load_finish(sc_load *load, sc_status status)
{
    sci_flight *flight = load->flight;
    sc_client *client = sci_flight_client(flight);
    sci_client_retain(client);
    sci_loop_lock(&client->loop);
    sci_flight_loaded(flight, status);
    sci_client_unlock(client);
    sci_client_release(client);
}

/* Locked on entry and exit: run the loader on this thread, without the lock. `joiner` may be gone
   afterwards. */
static void sci_joiner_run_loader(sc_client *client, sci_joiner *joiner, sci_flight *flight)
{
    sc_load *load = sci_flight_loader_begins(flight);
    sci_client_unlock(client);
    sc_status status = joiner->loader(load, joiner->user);
    sci_loop_lock(&client->loop);
    sci_flight_loader_ends(flight, status);
}

/* Blocking. */

static void sci_joiner_init(sci_joiner *joiner, sc_loader loader, void *user,
                            const sc_load_options *options)
{
    memset(joiner, 0, sizeof *joiner);
    sci_list_init(&joiner->link);
    joiner->loader = loader;
    joiner->user = user;
    joiner->options = *options;
}

/* Locked on entry and exit: until the flight has ended, or the deadline. */
static sc_status sci_joiner_await(sc_client *client, sci_joiner *joiner, sc_slice key,
                                  int64_t deadline_ns)
{
    while (!joiner->is_done) {
        bool is_finished = sci_waiter_wait_locked(client, &joiner->waiter, deadline_ns);
        if (joiner->is_done)
            break;
        if (joiner->must_load) {
            joiner->must_load = false;
            sci_waiter_init(&joiner->waiter, joiner->waiter.gate);
            sci_joiner_run_loader(client, joiner, joiner->flight);
            deadline_ns = SCI_NEVER; /* what it has loaded it keeps */
        } else if (!is_finished && !client->is_closing) {
            sci_flight_leave(joiner); /* the flight may be gone */
            return sc_fail(SC_ERR_NOT_SENT,
                           "another caller was still loading \"%.*s\" after %lld ms (wait_ms)",
                           (int)sci_min_size(key.len, 100), key.data,
                           (long long)joiner->options.wait_ms);
        }
    }
    if (joiner->status < 0) {
        sc_slice words = sc_value_bytes(joiner->error_text);
        if (!words.len)
            words = sc_text(sc_status_message(joiner->status));
        sci_error_text_set(words.data, words.len);
    }
    sc_value_release(joiner->error_text);
    return joiner->status;
}

/* Locked on entry and exit. */
static sc_status sci_load_in_flight(sc_cache *cache, const sci_target *target, sci_joiner *joiner,
                                    sc_status failure, sc_value **value)
{
    sc_client *client = cache->client;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    int64_t deadline_ns = sci_client_deadline_ns(client, joiner->options.wait_ms, now_ns);
    joiner->is_blocking = true;
    sci_waiter_init(&joiner->waiter, (uint32_t)((uintptr_t)joiner >> 8));
    sc_status status = sci_flight_join(cache, target, joiner, failure);
    if (status == SC_OK)
        status = sci_joiner_await(client, joiner, target->key, deadline_ns);
    *value = joiner->value;
    return status;
}

SCI_PRIVATE sc_status sci_get_or_load(sc_cache *cache, const sci_target *target, sc_loader loader,
                                      void *user, const sc_load_options *options, sc_value **value)
{
    sc_client *client = cache->client;
    sci_get_op get;
    sci_joiner joiner;
    *value = NULL;
    if (!loader)
        return sc_fail(SC_ERR_ARGUMENT, "the loader is NULL");
    sc_status status = sci_client_enter(client);
    if (status != SC_OK)
        return status;
    get.result = SC_MISS;
    if (!sci_flight_is_under_way(cache, target->key)) {
        sci_get_init(&get, target->key, sci_get_wake);
        bool is_locked = sci_op_submit_and_wait(client, client->shared, &get.op, 0);
        (void)sci_op_result(&get.op);
        if (get.result == SC_OK) {
            *value = get.value;
            if (is_locked)
                sci_client_leave_call(client);
            else
                sci_client_left(client);
            return SC_OK;
        }
        if (!is_locked)
            sci_loop_lock(&client->loop);
    }
    if (get.result == SC_MISS || sci_load_is_outage(get.result)) {
        sci_joiner_init(&joiner, loader, user, options);
        status = sci_load_in_flight(cache, target, &joiner,
                                    get.result == SC_MISS ? SC_OK : get.result, value);
    } else {
        status = get.result;
    }
    sci_client_leave_call(client);
    return status;
}

SCI_PRIVATE bool sci_load_is_outage(sc_status status)
{
    return status < 0 && status != SC_ERR_REPLY && status != SC_ERR_TYPE &&
           status != SC_ERR_CLOSED && status != SC_ERR_MEMORY && status != SC_ERR_ARGUMENT &&
           status != SC_ERR_LIMIT;
}

/* Asynchronous. */

typedef struct sci_load_call {
    sci_joiner joiner;
    sci_get_op get;
    sci_post load_post;
    sci_post done_post;
    sci_timer timer; /* wait_ms */
    sc_cache *cache; /* a reference */
    sci_target target;
    sci_flight *loading; /* whose loader this call runs */
    sc_on_value on_value;
    void *on_value_user;
    void (*finished)(void *user);
    size_t block_bytes; /* of this struct and the keys behind it */
} sci_load_call;

static void sci_load_call_run_done(sci_post *post)
{
    sci_load_call *call = SCI_CONTAINER(post, sci_load_call, done_post);
    sci_joiner *joiner = &call->joiner;
    sc_client *client = call->cache->client;
    if (joiner->status < 0) {
        sc_slice words = sc_value_bytes(joiner->error_text);
        if (!words.len)
            words = sc_text(sc_status_message(joiner->status));
        sci_error_text_set(words.data, words.len);
    }
    if (call->on_value)
        call->on_value(call->on_value_user, joiner->status,
                       joiner->status == SC_OK ? joiner->value : NULL);
    if (call->finished)
        call->finished(joiner->user);
    sc_value_release(joiner->value);
    sc_value_release(joiner->error_text);
    sci_loop_lock(&client->loop);
    sci_cache_release(call->cache);
    sci_free(&client->memory, call, call->block_bytes);
    sci_client_unlock(client);
}

/* Locked. */
static void sci_load_call_done(sci_joiner *joiner)
{
    sci_load_call *call = SCI_CONTAINER(joiner, sci_load_call, joiner);
    sci_loop *loop = &call->cache->client->loop;
    sci_timer_cancel(loop, &call->timer);
    sci_loop_post(loop, &call->done_post);
}

/* Locked: ends a call that is in no flight. `value` is taken over. */
static void sci_load_call_end(sci_load_call *call, sc_status status, sc_value *value)
{
    sci_joiner *joiner = &call->joiner;
    joiner->is_done = true;
    joiner->status = status;
    joiner->value = value;
    if (status < 0)
        (void)sc_value_create(&call->cache->client->memory, sc_text(sc_error_text()),
                              &joiner->error_text);
    sci_load_call_done(joiner);
}

static void sci_load_call_run_loader(sci_post *post)
{
    sci_load_call *call = SCI_CONTAINER(post, sci_load_call, load_post);
    sc_client *client = call->cache->client;
    sci_client_retain(client);
    sci_loop_lock(&client->loop);
    sci_joiner_run_loader(client, &call->joiner, call->loading);
    sci_client_unlock(client);
    sci_client_release(client);
}

/* Locked. */
static void sci_load_call_load(sci_joiner *joiner)
{
    sci_load_call *call = SCI_CONTAINER(joiner, sci_load_call, joiner);
    sci_loop *loop = &call->cache->client->loop;
    sci_timer_cancel(loop, &call->timer);
    joiner->must_load = false;
    call->loading = joiner->flight;
    sci_loop_post(loop, &call->load_post);
}

static void sci_load_call_expire(sci_timer *timer)
{
    sci_load_call *call = SCI_CONTAINER(timer, sci_load_call, timer);
    sci_flight_leave(&call->joiner);
    (void)sc_fail(SC_ERR_NOT_SENT,
                  "another caller was still loading \"%.*s\" after %lld ms (wait_ms)",
                  (int)sci_min_size(call->target.key.len, 100), call->target.key.data,
                  (long long)call->joiner.options.wait_ms);
    sci_load_call_end(call, SC_ERR_NOT_SENT, NULL);
}

/* Locked. */
static void sci_load_call_join(sci_load_call *call, sc_status failure)
{
    sc_client *client = call->cache->client;
    int64_t deadline_ns = sci_client_deadline_ns(client, call->joiner.options.wait_ms,
                                                 sci_loop_now_ns(&client->loop));
    if (deadline_ns != SCI_NEVER)
        sci_timer_arm(&client->loop, &call->timer, deadline_ns);
    sc_status status = sci_flight_join(call->cache, &call->target, &call->joiner, failure);
    if (status != SC_OK)
        sci_load_call_end(call, status, NULL);
}

static void sci_load_call_got(sci_get_op *get)
{
    sci_load_call *call = SCI_CONTAINER(get, sci_load_call, get);
    sc_slice words = sc_value_bytes(get->op.error_text);
    if (words.len)
        sci_error_text_set(words.data, words.len);
    sc_value_release(get->op.error_text);
    get->op.error_text = NULL;
    if (get->result == SC_MISS)
        sci_load_call_join(call, SC_OK);
    else if (sci_load_is_outage(get->result))
        sci_load_call_join(call, get->result);
    else
        sci_load_call_end(call, get->result, get->value);
}

static sc_slice sci_load_call_copy(char **at, sc_slice bytes)
{
    char *copy = *at;
    if (bytes.len)
        memcpy(copy, bytes.data, bytes.len);
    *at += bytes.len;
    return sc_bytes(copy, bytes.len);
}

static sci_load_call *sci_load_call_create(sc_cache *cache, const sci_target *target)
{
    size_t block_bytes = sizeof(sci_load_call) + target->key.len + target->shown.len;
    sci_load_call *call = (sci_load_call *)sci_alloc_zeroed(&cache->client->memory, block_bytes);
    if (!call)
        return NULL;
    char *at = (char *)(call + 1);
    call->block_bytes = block_bytes;
    call->cache = cache;
    call->target = *target;
    call->target.key = sci_load_call_copy(&at, target->key);
    call->target.shown = sci_load_call_copy(&at, target->shown);
    call->load_post.run = sci_load_call_run_loader;
    call->done_post.run = sci_load_call_run_done;
    sci_list_init(&call->load_post.link);
    sci_list_init(&call->done_post.link);
    call->timer.fire = sci_load_call_expire;
    return call;
}

SCI_PRIVATE sc_status sci_get_or_load_async(sc_cache *cache, const sci_target *target,
                                            sc_loader loader, void *user,
                                            const sc_load_options *options, sc_on_value on_value,
                                            void *on_value_user, void (*finished)(void *user))
{
    sc_client *client = cache->client;
    if (!loader)
        return sc_fail(SC_ERR_ARGUMENT, "the loader is NULL");
    sci_load_call *call = sci_load_call_create(cache, target);
    sc_status status = call ? sci_client_enter(client) : SC_ERR_MEMORY;
    if (status != SC_OK) {
        if (call)
            sci_free(&client->memory, call, call->block_bytes);
        return status;
    }
    cache->references++;
    sci_joiner_init(&call->joiner, loader, user, options);
    call->joiner.load = sci_load_call_load;
    call->joiner.done = sci_load_call_done;
    call->on_value = on_value;
    call->on_value_user = on_value_user;
    call->finished = finished;
    if (sci_flight_is_under_way(cache, target->key)) {
        sci_load_call_join(call, SC_OK);
    } else {
        int64_t now_ns = sci_loop_now_ns(&client->loop);
        sci_get_init(&call->get, call->target.key, sci_load_call_got);
        call->get.op.deadline_ns = sci_client_deadline_ns(client, 0, now_ns);
        sci_conn_submit(client->shared, &call->get.op, now_ns);
    }
    sci_client_leave(client);
    return SC_OK;
}

/* MARK: - JSON tree (Private) */
/* JSON text to a tree with ordered objects. Nothing recurses: the tree is linked by indices, and
   each object is ordered on its own by heapsort, so that hostile texts cost O(n log n). */

/* A JSON text as a tree whose objects have their members in a chosen order, and the characters of
   its strings. The tree borrows the text. */

/* How the members of an object follow each other. In both, of members with one name the last one's
   value counts. */
typedef enum sci_tree_order {
    SCI_TREE_SORTED,    /* by name: ascending code points, which is the byte order of UTF-8 */
    SCI_TREE_JAVASCRIPT /* as JSON.parse leaves them: names that are array indices (0 to 2^32-2)
                           first, ascending; then the others as they first appear */
} sci_tree_order;

#define SCI_TREE_NONE UINT32_MAX

typedef struct sci_tree_node {
    uint32_t name_at, name_len; /* in the text, escaped; members only */
    uint32_t raw_at, raw_len;   /* in the text: a number; a string, escaped, without its quotes */
    uint32_t parent;            /* SCI_TREE_NONE for the root, which is node 0 */
    uint32_t first;             /* array and object: the first child, or SCI_TREE_NONE */
    uint32_t next;              /* the next sibling, or SCI_TREE_NONE */
    unsigned char kind;         /* sci_json_kind; of the two ends of a container, its begin */
    bool is_member;
    bool is_name_plain; /* has no escapes */
    bool is_raw_plain;
} sci_tree_node;

typedef struct sci_tree {
    sc_memory memory;
    sc_slice text;        /* borrowed */
    sci_tree_node *nodes; /* owned */
    size_t node_count;
} sci_tree;

/* Parse and order. SC_ERR_ARGUMENT and SC_ERR_LIMIT as sci_json_next; SC_ERR_LIMIT for a text of 4
   GiB; SC_ERR_MEMORY. On an error there is nothing to free. */
SCI_PRIVATE sc_status sci_tree_build(sci_tree *tree, const sc_memory *memory, sc_slice text,
                                     sci_tree_order order);
SCI_PRIVATE void sci_tree_free(sci_tree *tree);

/* Iterates over the characters of a string. */
typedef struct sci_characters {
    const unsigned char *at;
    const unsigned char *end;
    bool is_plain; /* no backslash escapes */
} sci_characters;

/* What sci_characters_next gives: a code point (a lone surrogate from an escape included), or
   SCI_CHARACTER_BYTE plus a byte that is not UTF-8, or SCI_CHARACTER_END. */
#define SCI_CHARACTER_BYTE 0x110000u
#define SCI_CHARACTER_END 0xffffffffu

/* Over any bytes. */
SCI_PRIVATE sci_characters sci_characters_of_bytes(sc_slice bytes);
/* Over a JSON string's raw text, which sci_json_next has checked. */
SCI_PRIVATE sci_characters sci_characters_of_json(sc_slice raw, bool is_plain);
SCI_PRIVATE uint32_t sci_characters_next(sci_characters *characters);

static inline sci_characters sci_tree_name(const sci_tree *tree, const sci_tree_node *node)
{
    return sci_characters_of_json(sc_bytes(tree->text.data + node->name_at, node->name_len),
                                  node->is_name_plain);
}

static inline sc_slice sci_tree_raw(const sci_tree *tree, const sci_tree_node *node)
{
    return sc_bytes(tree->text.data + node->raw_at, node->raw_len);
}

static inline bool sci_is_high_surrogate(uint32_t character)
{
    return character >= 0xd800 && character <= 0xdbff;
}

static inline bool sci_is_low_surrogate(uint32_t character)
{
    return character >= 0xdc00 && character <= 0xdfff;
}

/* The code point that a high and a low surrogate stand for. */
static inline uint32_t sci_join_surrogates(uint32_t high, uint32_t low)
{
    return 0x10000u + ((high - 0xd800u) << 10) + (low - 0xdc00u);
}

/* MARK: - Characters */

SCI_PRIVATE sci_characters sci_characters_of_json(sc_slice raw, bool is_plain)
{
    sci_characters characters;
    characters.at = (const unsigned char *)raw.data;
    characters.end = raw.len ? characters.at + raw.len : characters.at;
    characters.is_plain = is_plain;
    return characters;
}

SCI_PRIVATE sci_characters sci_characters_of_bytes(sc_slice bytes)
{
    return sci_characters_of_json(bytes, true);
}

/* Whether RFC 3629 has this character, in so many bytes. */
static bool sci_characters_is_allowed(uint32_t character, size_t len)
{
    bool is_overlong = (len == 3 && character < 0x800) || (len == 4 && character < 0x10000);
    bool is_surrogate = character >= 0xd800 && character <= 0xdfff;
    return !is_overlong && !is_surrogate && character <= 0x10ffff;
}

/* One character of UTF-8 as RFC 3629 allows it, or a byte that begins none. */
static uint32_t sci_characters_utf8(sci_characters *characters)
{
    const unsigned char *at = characters->at;
    size_t room = (size_t)(characters->end - at);
    unsigned char lead = at[0];
    size_t len = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

    characters->at++;
    if (len == 1)
        return lead;
    if (lead < 0xc2 || lead > 0xf4 || room < len)
        return SCI_CHARACTER_BYTE + lead;
    uint32_t character = lead & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return SCI_CHARACTER_BYTE + lead;
        character = (character << 6) | (at[i] & 0x3fu);
    }
    if (!sci_characters_is_allowed(character, len))
        return SCI_CHARACTER_BYTE + lead;
    characters->at = at + len;
    return character;
}

/* The four digits of a \u escape. */
static uint32_t sci_characters_hex(const unsigned char *digits)
{
    uint32_t unit = 0;
    for (size_t i = 0; i < 4; i++) {
        unsigned char c = digits[i];
        uint32_t digit = c <= '9' ? (uint32_t)c - '0' : ((uint32_t)c | 0x20) - 'a' + 10;
        unit = (unit << 4) | digit;
    }
    return unit;
}

/* A backslash and what follows. */
static uint32_t sci_characters_escape(sci_characters *characters)
{
    const unsigned char *at = characters->at;
    characters->at += 2;
    if (at[1] != 'u')
        return (unsigned char)sci_json_escaped((char)at[1]);
    uint32_t unit = sci_characters_hex(at + 2);
    characters->at = at + 6;
    bool can_be_pair =
        sci_is_high_surrogate(unit) && characters->end - at >= 12 && at[6] == '\\' && at[7] == 'u';
    if (can_be_pair) {
        uint32_t low = sci_characters_hex(at + 8);
        if (sci_is_low_surrogate(low)) {
            characters->at = at + 12;
            return sci_join_surrogates(unit, low);
        }
    }
    return unit;
}

SCI_PRIVATE uint32_t sci_characters_next(sci_characters *characters)
{
    if (characters->at == characters->end)
        return SCI_CHARACTER_END;
    if (!characters->is_plain && *characters->at == '\\')
        return sci_characters_escape(characters);
    return sci_characters_utf8(characters);
}

/* MARK: - Parse */

/* How many nodes and at most how many members an object of the text has; checks its grammar. */
static sc_status sci_tree_measure(sc_slice text, size_t *node_count, size_t *member_count)
{
    sci_json_reader reader;
    sci_json_token token;

    *node_count = 0;
    *member_count = 0;
    sci_json_begin(&reader, text);
    do {
        sc_status status = sci_json_next(&reader, &token);
        if (status != SC_OK)
            return status;
        if (token.kind == SCI_JSON_KEY)
            ++*member_count;
        else if (token.kind != SCI_JSON_END && token.kind != SCI_JSON_ARRAY_END &&
                 token.kind != SCI_JSON_OBJECT_END)
            ++*node_count;
    } while (token.kind != SCI_JSON_END);
    return SC_OK;
}

/* Append a node, whose name has been filled in, behind the last child of `parent`. */
static void sci_tree_link(sci_tree *tree, uint32_t index, uint32_t parent, uint32_t previous)
{
    tree->nodes[index].parent = parent;
    tree->nodes[index].first = SCI_TREE_NONE;
    tree->nodes[index].next = SCI_TREE_NONE;
    if (previous != SCI_TREE_NONE)
        tree->nodes[previous].next = index;
    else if (parent != SCI_TREE_NONE)
        tree->nodes[parent].first = index;
}

/* Fill the nodes; the text has been measured, so it is right and they suffice. */
static sc_status sci_tree_fill(sci_tree *tree)
{
    sci_json_reader reader;
    sci_json_token token;
    uint32_t count = 0;
    uint32_t parent = SCI_TREE_NONE;
    uint32_t previous = SCI_TREE_NONE; /* the last child of `parent` so far */

    sci_json_begin(&reader, tree->text);
    for (;;) {
        sc_status status = sci_json_next(&reader, &token);
        if (status != SC_OK || token.kind == SCI_JSON_END)
            return status;
        if (token.kind == SCI_JSON_ARRAY_END || token.kind == SCI_JSON_OBJECT_END) {
            previous = parent;
            parent = tree->nodes[parent].parent;
            continue;
        }
        sci_assert(count < tree->node_count);
        sci_tree_node *node = &tree->nodes[count];
        uint32_t at = token.raw.len ? (uint32_t)(token.raw.data - tree->text.data) : 0;
        if (token.kind == SCI_JSON_KEY) {
            node->is_member = true;
            node->is_name_plain = token.is_plain;
            node->name_at = at;
            node->name_len = (uint32_t)token.raw.len;
            continue; /* the value comes into the same node */
        }
        node->kind = (unsigned char)token.kind;
        node->is_raw_plain = token.is_plain;
        node->raw_at = at;
        node->raw_len = (uint32_t)token.raw.len;
        sci_tree_link(tree, count, parent, previous);
        bool is_container =
            token.kind == SCI_JSON_ARRAY_BEGIN || token.kind == SCI_JSON_OBJECT_BEGIN;
        parent = is_container ? count : parent;
        previous = is_container ? SCI_TREE_NONE : count;
        count++;
    }
}

/* MARK: - Order */

/* A member while its object is being ordered. */
typedef struct sci_tree_member {
    uint32_t name;  /* the node with the name that counts for the place: the first of its name */
    uint32_t value; /* the node with the value that counts: the last of its name */
    uint32_t rank;  /* array index, or SCI_TREE_NONE for other names */
} sci_tree_member;

typedef int (*sci_tree_compare)(const sci_tree *tree, const sci_tree_member *a,
                                const sci_tree_member *b);

static int sci_tree_compare_names(const sci_tree *tree, const sci_tree_member *a,
                                  const sci_tree_member *b)
{
    sci_characters left = sci_tree_name(tree, &tree->nodes[a->name]);
    sci_characters right = sci_tree_name(tree, &tree->nodes[b->name]);
    for (;;) {
        uint32_t l = sci_characters_next(&left);
        uint32_t r = sci_characters_next(&right);
        if (l == SCI_CHARACTER_END || r == SCI_CHARACTER_END)
            return (l != SCI_CHARACTER_END) - (r != SCI_CHARACTER_END);
        if (l != r)
            return l < r ? -1 : 1;
    }
}

/* Total: members of one name keep their order in the text. */
static int sci_tree_compare_sorted(const sci_tree *tree, const sci_tree_member *a,
                                   const sci_tree_member *b)
{
    int by_name = sci_tree_compare_names(tree, a, b);
    return by_name ? by_name : (a->name > b->name) - (a->name < b->name);
}

static int sci_tree_compare_javascript(const sci_tree *tree, const sci_tree_member *a,
                                       const sci_tree_member *b)
{
    (void)tree;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return (a->name > b->name) - (a->name < b->name);
}

static void sci_tree_sift(const sci_tree *tree, sci_tree_member *members, size_t at, size_t count,
                          sci_tree_compare compare)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count)
            return;
        if (child + 1 < count && compare(tree, &members[child], &members[child + 1]) < 0)
            child++;
        if (compare(tree, &members[at], &members[child]) >= 0)
            return;
        sci_tree_member swapped = members[at];
        members[at] = members[child];
        members[child] = swapped;
        at = child;
    }
}

/* Heapsort (Williams, 1964): in place, O(n log n) at worst, no recursion. */
static void sci_tree_sort(const sci_tree *tree, sci_tree_member *members, size_t count,
                          sci_tree_compare compare)
{
    for (size_t i = count / 2; i > 0; i--)
        sci_tree_sift(tree, members, i - 1, count, compare);
    for (size_t end = count; end > 1; end--) {
        sci_tree_member largest = members[0];
        members[0] = members[end - 1];
        members[end - 1] = largest;
        sci_tree_sift(tree, members, 0, end - 1, compare);
    }
}

/* The number that a name spells when it is an ECMAScript array index: "0" or digits that do not
   begin with 0, below 2^32 - 1. */
static uint32_t sci_tree_index_rank(sci_characters name)
{
    uint64_t index = 0;
    uint32_t first = sci_characters_next(&name);
    uint32_t digit = first;

    if (first == '0')
        return sci_characters_next(&name) == SCI_CHARACTER_END ? 0 : SCI_TREE_NONE;
    for (; digit >= '0' && digit <= '9'; digit = sci_characters_next(&name)) {
        index = index * 10 + (digit - '0');
        if (index >= UINT32_MAX)
            return SCI_TREE_NONE;
    }
    return digit == SCI_CHARACTER_END && first != SCI_CHARACTER_END ? (uint32_t)index
                                                                    : SCI_TREE_NONE;
}

/* Of members sorted by name, leave one a name, with the first one's place and the last one's value.
 */
static size_t sci_tree_merge_names(const sci_tree *tree, sci_tree_member *members, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && sci_tree_compare_names(tree, &members[kept - 1], &members[i]) == 0)
            members[kept - 1].value = members[i].value;
        else
            members[kept++] = members[i];
    }
    return kept;
}

static void sci_tree_order_object(sci_tree *tree, uint32_t object, sci_tree_member *members,
                                  sci_tree_order order)
{
    size_t count = 0;
    for (uint32_t i = tree->nodes[object].first; i != SCI_TREE_NONE; i = tree->nodes[i].next) {
        members[count].name = i;
        members[count].value = i;
        members[count].rank = order == SCI_TREE_JAVASCRIPT
                                  ? sci_tree_index_rank(sci_tree_name(tree, &tree->nodes[i]))
                                  : SCI_TREE_NONE;
        count++;
    }
    sci_tree_sort(tree, members, count, sci_tree_compare_sorted);
    count = sci_tree_merge_names(tree, members, count);
    if (order == SCI_TREE_JAVASCRIPT)
        sci_tree_sort(tree, members, count, sci_tree_compare_javascript);

    for (size_t i = 0; i < count; i++)
        tree->nodes[members[i].value].next = i + 1 < count ? members[i + 1].value : SCI_TREE_NONE;
    tree->nodes[object].first = count ? members[0].value : SCI_TREE_NONE;
}

/* MARK: - Build */

static sc_status sci_tree_order_all(sci_tree *tree, size_t member_count, sci_tree_order order)
{
    if (member_count < 2)
        return SC_OK;
    size_t size = member_count * sizeof(sci_tree_member);
    sci_tree_member *members = (sci_tree_member *)sci_resize(&tree->memory, NULL, 0, size);
    if (!members)
        return SC_ERR_MEMORY;
    for (uint32_t i = 0; i < tree->node_count; i++)
        if (tree->nodes[i].kind == SCI_JSON_OBJECT_BEGIN)
            sci_tree_order_object(tree, i, members, order);
    sci_free(&tree->memory, members, size);
    return SC_OK;
}

SCI_PRIVATE sc_status sci_tree_build(sci_tree *tree, const sc_memory *memory, sc_slice text,
                                     sci_tree_order order)
{
    size_t member_count = 0;

    tree->memory = *memory;
    tree->text = text;
    tree->nodes = NULL;
    tree->node_count = 0;
    /* Offsets have 32 bits, and so have the sizes below on a 32-bit machine. */
    if (text.len >= SCI_TREE_NONE || text.len > SIZE_MAX / sizeof(sci_tree_node))
        return sc_fail(SC_ERR_LIMIT, "the JSON text is too long: %zu bytes", text.len);
    sc_status status = sci_tree_measure(text, &tree->node_count, &member_count);
    if (status != SC_OK)
        return status;
    tree->nodes =
        (sci_tree_node *)sci_alloc_zeroed(&tree->memory, tree->node_count * sizeof(sci_tree_node));
    if (!tree->nodes)
        return SC_ERR_MEMORY;
    status = sci_tree_fill(tree);
    if (status == SC_OK)
        status = sci_tree_order_all(tree, member_count, order);
    if (status != SC_OK)
        sci_tree_free(tree);
    return status;
}

SCI_PRIVATE void sci_tree_free(sci_tree *tree)
{
    sci_free(&tree->memory, tree->nodes, tree->node_count * sizeof(sci_tree_node));
    tree->nodes = NULL;
    tree->node_count = 0;
}

/* MARK: - Arguments (Private) */
/* Arguments of wrapped functions: made, looked at, and gathered in lists. */

/* Arguments of wrapped functions, and lists of them. */

typedef enum sci_arg_kind {
    SCI_ARG_NULL, /* 0, so that a zeroed argument is null */
    SCI_ARG_BOOL, /* in `integer` */
    SCI_ARG_INTEGER,
    SCI_ARG_DOUBLE, /* in `number` */
    SCI_ARG_BYTES,
    SCI_ARG_JSON /* in `bytes`; unchecked */
} sci_arg_kind;

/* A list of arguments in one block, together with those bytes that it does not borrow. */
typedef struct sci_args {
    sc_memory memory;
    sc_arg *at; /* owned; NULL when there are none */
    size_t count;
    size_t block_bytes;
} sci_args;

/* The elements of a JSON array. Strings without escapes, objects, arrays and numbers borrow from
   `json`; strings with escapes are unescaped into the block. What a simpler kind would not keep
   whole (integers beyond 2^53, fractions, strings with lone surrogates) stays JSON.
   SC_ERR_ARGUMENT and SC_ERR_LIMIT as sci_json_next; SC_ERR_MEMORY. On an error there is nothing to
   free. */
SCI_PRIVATE sc_status sci_args_from_json(const sc_memory *memory, sc_slice json, sci_args *args);
/* A copy that borrows nothing. SC_ERR_ARGUMENT for NULL with a count; SC_ERR_MEMORY. */
SCI_PRIVATE sc_status sci_args_copy(const sc_memory *memory, const sc_arg *from, size_t count,
                                    sci_args *args);
SCI_PRIVATE void sci_args_free(sci_args *args);

/* Whole numbers up to here are the same as integer and as double. */
#define SCI_ARG_SAFE_INTEGER ((int64_t)1 << 53)

/* MARK: - Make */

static sc_arg sci_arg_make(sci_arg_kind kind, int64_t integer, double number, sc_slice bytes)
{
    sc_arg arg;
    arg.kind = (int)kind;
    arg.integer = integer;
    arg.number = number;
    arg.bytes = bytes;
    return arg;
}

SC_API sc_arg sc_arg_null(void)
{
    return sci_arg_make(SCI_ARG_NULL, 0, 0, sc_bytes(NULL, 0));
}

SC_API sc_arg sc_arg_bool(bool value)
{
    return sci_arg_make(SCI_ARG_BOOL, value, 0, sc_bytes(NULL, 0));
}

SC_API sc_arg sc_arg_integer(int64_t value)
{
    return sci_arg_make(SCI_ARG_INTEGER, value, 0, sc_bytes(NULL, 0));
}

SC_API sc_arg sc_arg_double(double value)
{
    return sci_arg_make(SCI_ARG_DOUBLE, 0, value, sc_bytes(NULL, 0));
}

SC_API sc_arg sc_arg_text(const char *value)
{
    return value ? sc_arg_bytes(sc_text(value)) : sc_arg_null();
}

SC_API sc_arg sc_arg_bytes(sc_slice value)
{
    return sci_arg_make(SCI_ARG_BYTES, 0, 0, value);
}

SC_API sc_arg sc_arg_json(sc_slice json)
{
    return sci_arg_make(SCI_ARG_JSON, 0, 0, json);
}

/* MARK: - Look at */

/* The first token of a JSON argument: all of it, when it is a scalar. False for what is no JSON. */
static bool sci_arg_token(const sc_arg *arg, sci_json_token *token)
{
    sci_json_reader reader;
    if (arg->kind != SCI_ARG_JSON)
        return false;
    sci_json_begin(&reader, arg->bytes);
    return sci_json_next(&reader, token) == SC_OK;
}

static sc_status sci_arg_type_error(const char *wanted)
{
    return sc_fail(SC_ERR_TYPE, "the argument is no %s", wanted);
}

SC_API bool sc_arg_is_null(const sc_arg *arg)
{
    sci_json_token token;
    return arg->kind == SCI_ARG_NULL || (sci_arg_token(arg, &token) && token.kind == SCI_JSON_NULL);
}

SC_API sc_status sc_arg_get_bool(const sc_arg *arg, bool *value)
{
    sci_json_token token;
    if (arg->kind == SCI_ARG_BOOL) {
        *value = arg->integer != 0;
        return SC_OK;
    }
    if (!sci_arg_token(arg, &token) ||
        (token.kind != SCI_JSON_TRUE && token.kind != SCI_JSON_FALSE))
        return sci_arg_type_error("bool");
    *value = token.kind == SCI_JSON_TRUE;
    return SC_OK;
}

SC_API sc_status sc_arg_get_double(const sc_arg *arg, double *value)
{
    sci_json_token token;
    if (arg->kind == SCI_ARG_DOUBLE) {
        *value = arg->number;
        return SC_OK;
    }
    if (arg->kind == SCI_ARG_INTEGER) {
        *value = (double)arg->integer;
        return SC_OK;
    }
    if (!sci_arg_token(arg, &token) || token.kind != SCI_JSON_NUMBER ||
        !sci_text_to_double(token.raw, value))
        return sci_arg_type_error("number");
    return SC_OK;
}

SC_API sc_status sc_arg_get_integer(const sc_arg *arg, int64_t *value)
{
    sci_json_token token;
    double number;
    if (arg->kind == SCI_ARG_INTEGER) {
        *value = arg->integer;
        return SC_OK;
    }
    if (sci_arg_token(arg, &token) && token.kind == SCI_JSON_NUMBER &&
        sci_text_to_i64(token.raw, value))
        return SC_OK;
    /* 1.0 and 1e3 are integers too; beyond 2^53 a double may not be the one that was meant. */
    if (sc_arg_get_double(arg, &number) != SC_OK ||
        !(number >= (double)-SCI_ARG_SAFE_INTEGER && number <= (double)SCI_ARG_SAFE_INTEGER))
        return sci_arg_type_error("integer");
    int64_t whole = (int64_t)number;
    if ((double)whole < number || (double)whole > number)
        return sci_arg_type_error("integer");
    *value = whole;
    return SC_OK;
}

SC_API sc_status sc_arg_get_bytes(const sc_arg *arg, sc_slice *value)
{
    sci_json_token token;
    if (arg->kind == SCI_ARG_BYTES) {
        *value = arg->bytes;
        return SC_OK;
    }
    if (!sci_arg_token(arg, &token) || token.kind != SCI_JSON_STRING)
        return sci_arg_type_error("string");
    if (!token.is_plain)
        return sc_fail(SC_ERR_TYPE,
                       "the argument is a JSON string with escapes: take its JSON text");
    *value = token.raw;
    return SC_OK;
}

SC_API sc_status sc_arg_get_json(const sc_arg *arg, sc_slice *value)
{
    if (arg->kind != SCI_ARG_JSON)
        return sci_arg_type_error("JSON text");
    *value = arg->bytes;
    return SC_OK;
}

/* MARK: - Lists */

/* A block for `count` arguments and `byte_count` bytes, which begin at the returned place. NULL
   when there is no memory. */
static char *sci_args_allocate(const sc_memory *memory, size_t count, size_t byte_count,
                               sci_args *args)
{
    args->memory = *memory;
    args->at = NULL;
    args->count = count;
    args->block_bytes = 0;
    if (count > (SIZE_MAX - byte_count) / sizeof(sc_arg)) {
        (void)sc_fail(SC_ERR_MEMORY, "out of memory: %zu arguments are too many", count);
        return NULL;
    }
    size_t size = count * sizeof(sc_arg) + byte_count;
    sc_arg *at = (sc_arg *)sci_resize(memory, NULL, 0, sci_max_size(size, 1));
    if (!at)
        return NULL;
    args->at = at;
    args->block_bytes = sci_max_size(size, 1);
    return (char *)(at + count);
}

SCI_PRIVATE void sci_args_free(sci_args *args)
{
    sci_free(&args->memory, args->at, args->block_bytes);
    args->at = NULL;
    args->count = 0;
    args->block_bytes = 0;
}

SCI_PRIVATE sc_status sci_args_copy(const sc_memory *memory, const sc_arg *from, size_t count,
                                    sci_args *args)
{
    size_t byte_count = 0;

    if (!from && count > 0)
        return sc_fail(SC_ERR_ARGUMENT, "args is NULL, but arg_count is %zu", count);
    for (size_t i = 0; i < count; i++) {
        /* More than fits in memory can be asked for: slices may overlap. */
        if (from[i].bytes.len > SIZE_MAX / 2 - byte_count)
            return sc_fail(SC_ERR_MEMORY, "out of memory: the arguments are too large");
        byte_count += from[i].bytes.len;
    }
    char *bytes = sci_args_allocate(memory, count, byte_count, args);
    if (!bytes)
        return SC_ERR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        args->at[i] = from[i];
        if (from[i].bytes.len == 0)
            continue;
        memcpy(bytes, from[i].bytes.data, from[i].bytes.len);
        args->at[i].bytes.data = bytes;
        bytes += from[i].bytes.len;
    }
    return SC_OK;
}

/* True when the escapes of a string's raw text hold a surrogate without its other half. */
static bool sci_args_has_lone_surrogate(const sci_json_token *token)
{
    sci_characters characters = sci_characters_of_json(token->raw, token->is_plain);
    uint32_t c;
    while ((c = sci_characters_next(&characters)) != SCI_CHARACTER_END)
        if (sci_is_high_surrogate(c) || sci_is_low_surrogate(c))
            return true;
    return false;
}

/* The array being taken apart: once to count, and once to fill. */
typedef struct sci_args_scan {
    sci_json_reader reader;
    sci_json_token token; /* the first of the element */
    sc_slice element;     /* its text */
} sci_args_scan;

/* The next element; its kind is SCI_JSON_ARRAY_END at the array's end, where the text has been
   checked to its end. */
static sc_status sci_args_scan_next(sci_args_scan *scan)
{
    sci_json_token token;
    unsigned depth = scan->reader.depth;

    sc_status status = sci_json_next(&scan->reader, &scan->token);
    if (status != SC_OK)
        return status;
    if (scan->token.kind == SCI_JSON_ARRAY_END)
        return sci_json_next(&scan->reader, &token);
    scan->element = scan->token.raw;
    if (scan->token.kind != SCI_JSON_ARRAY_BEGIN && scan->token.kind != SCI_JSON_OBJECT_BEGIN)
        return SC_OK;
    size_t start = scan->reader.at - 1;
    while (scan->reader.depth > depth) {
        status = sci_json_next(&scan->reader, &token);
        if (status != SC_OK)
            return status;
    }
    scan->element = sc_bytes(scan->reader.text.data + start, scan->reader.at - start);
    return SC_OK;
}

static sc_status sci_args_scan_begin(sci_args_scan *scan, sc_slice json)
{
    sci_json_begin(&scan->reader, json);
    sc_status status = sci_json_next(&scan->reader, &scan->token);
    if (status == SC_OK && scan->token.kind != SCI_JSON_ARRAY_BEGIN)
        return sc_fail(SC_ERR_ARGUMENT, "the arguments must be a JSON array, such as [\"foo\", 1]");
    return status;
}

/* The element as an argument. `*bytes` is where unescaped text goes, and is moved on. */
static sc_arg sci_args_element(const sci_args_scan *scan, char **bytes)
{
    const sci_json_token *token = &scan->token;
    int64_t integer;

    switch (token->kind) {
    case SCI_JSON_NULL:
        return sc_arg_null();
    case SCI_JSON_FALSE:
    case SCI_JSON_TRUE:
        return sc_arg_bool(token->kind == SCI_JSON_TRUE);
    case SCI_JSON_NUMBER:
        if (sci_text_to_i64(token->raw, &integer) && integer >= -SCI_ARG_SAFE_INTEGER &&
            integer <= SCI_ARG_SAFE_INTEGER)
            return sc_arg_integer(integer);
        return sc_arg_json(token->raw);
    case SCI_JSON_STRING:
        break;
    default:
        return sc_arg_json(scan->element);
    }
    if (token->is_plain)
        return sc_arg_bytes(token->raw);
    if (sci_args_has_lone_surrogate(token)) /* with its quotes */
        return sc_arg_json(sc_bytes(token->raw.data - 1, token->raw.len + 2));
    size_t len = sci_json_unescape(token, *bytes);
    sc_arg arg = sc_arg_bytes(sc_bytes(*bytes, len));
    *bytes += len;
    return arg;
}

SCI_PRIVATE sc_status sci_args_from_json(const sc_memory *memory, sc_slice json, sci_args *args)
{
    sci_args_scan scan;
    size_t count = 0;
    size_t escaped_bytes = 0;

    sc_status status = sci_args_scan_begin(&scan, json);
    for (; status == SC_OK; count++) {
        status = sci_args_scan_next(&scan);
        if (status != SC_OK || scan.token.kind == SCI_JSON_ARRAY_END)
            break;
        if (scan.token.kind == SCI_JSON_STRING && !scan.token.is_plain)
            escaped_bytes += scan.token.raw.len;
    }
    if (status != SC_OK)
        return status;
    char *bytes = sci_args_allocate(memory, count, escaped_bytes, args);
    if (!bytes)
        return SC_ERR_MEMORY;
    /* The same text a second time, so nothing can fail. */
    (void)sci_args_scan_begin(&scan, json);
    for (size_t i = 0; i < count; i++) {
        (void)sci_args_scan_next(&scan);
        args->at[i] = sci_args_element(&scan, &bytes);
    }
    return SC_OK;
}

/* MARK: - Signatures (Private) */
/* Signatures of argument lists. Both writers walk ordered trees without recursion. */

/* The arguments of a wrapped function as the last part of its key. */

/* Append what npm's sigmund 1.0 gives for the arguments as a JavaScript array, for interop mode:
   scalars as JavaScript prints them, `{` and then name and value of each member for an array or
   object. It is not free of collisions: [1] and ["1"] give the same. Integers of sc_arg_integer
   keep all digits (as a BigInt prints), numbers in JSON texts become doubles first (as JSON.parse
   does), lone surrogates become U+FFFD, and bytes that are not UTF-8 stay as they are.
   SC_ERR_ARGUMENT and SC_ERR_LIMIT name the argument; SC_ERR_MEMORY. On an error `out` is as it
   was. */
SCI_PRIVATE sc_status sci_signature_sigmund(const sc_arg *args, size_t arg_count, sci_bytes *out);

/* Append our own form, free of collisions and readable: the text of a JSON array without white
   space, in the spirit of RFC 8785, where
   - members are sorted by name, by code point; of one name the last value counts;
   - a number is its exact decimal value without needless digits, laid out as JavaScript does: 1.0
   and 1e0 are 1, and integers of any length keep all digits. A double is the shortest decimal that
     reads back as it, but a whole one between -2^63 and 2^63 is that integer; -0 is 0; NaN,
   Infinity and -Infinity stand so, without quotes;
   - strings escape `"`, `\` and control characters only; a lone surrogate stays an escape
   (`\ud800`), and a byte that is not UTF-8 is `\x` and two digits, which no JSON text contains. A
   text over SCI_SIGNATURE_LONG_BYTES is cut after SCI_SIGNATURE_HEAD_BYTES, or up to 3 less at a
   character's start, and `#` and the first 128 bits of the whole text's SHA-1 follow in
   hexadecimal. Errors as above. */
SCI_PRIVATE sc_status sci_signature_canonical(const sc_arg *args, size_t arg_count, sci_bytes *out);

#define SCI_SIGNATURE_LONG_BYTES 200
#define SCI_SIGNATURE_HEAD_BYTES 120
#define SCI_SIGNATURE_HASH_DIGITS 32

/* MARK: - Characters out */

static sc_status sci_signature_character(sci_bytes *out, uint32_t c)
{
    char utf8[4];
    size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};

    for (size_t i = len; i > 1; i--, c >>= 6)
        utf8[i - 1] = (char)(0x80 | (c & 0x3f));
    utf8[0] = (char)(leads[len] | c);
    return sci_bytes_append(out, sc_bytes(utf8, len));
}

static sc_status sci_signature_double(sci_bytes *out, double number)
{
    char text[SCI_DOUBLE_TEXT_BYTES];
    size_t len = sci_double_to_text(number, text);
    return sci_bytes_append(out, sc_bytes(text, len));
}

static const char *sci_signature_literal(unsigned kind)
{
    return kind == SCI_JSON_TRUE ? "true" : kind == SCI_JSON_FALSE ? "false" : "null";
}

/* MARK: - sigmund */

/* Containers at this depth and below, the argument list being at 0, are left out. */
#define SCI_SIGMUND_DEPTH 10

typedef struct sci_sigmund {
    sci_bytes *out;
    uint32_t high; /* a high surrogate that came last, or 0: JavaScript joins it with a low one that
                      comes next, even in another string */
} sci_sigmund;

static sc_status sci_sigmund_settle(sci_sigmund *sigmund)
{
    if (!sigmund->high)
        return SC_OK;
    sigmund->high = 0;
    return sci_bytes_append_text(sigmund->out, "\xEF\xBF\xBD"); /* U+FFFD */
}

static sc_status sci_sigmund_bytes(sci_sigmund *sigmund, sc_slice bytes)
{
    if (bytes.len == 0)
        return SC_OK;
    sc_status status = sci_sigmund_settle(sigmund);
    return status == SC_OK ? sci_bytes_append(sigmund->out, bytes) : status;
}

static sc_status sci_sigmund_character(sci_sigmund *sigmund, uint32_t c)
{
    if (sigmund->high && sci_is_low_surrogate(c)) {
        c = sci_join_surrogates(sigmund->high, c);
        sigmund->high = 0;
        return sci_signature_character(sigmund->out, c);
    }
    sc_status status = sci_sigmund_settle(sigmund);
    if (status != SC_OK)
        return status;
    if (sci_is_high_surrogate(c)) {
        sigmund->high = c;
        return SC_OK;
    }
    return sci_signature_character(sigmund->out, sci_is_low_surrogate(c) ? 0xfffd : c);
}

static sc_status sci_sigmund_string(sci_sigmund *sigmund, sc_slice raw, bool is_plain)
{
    if (is_plain)
        return sci_sigmund_bytes(sigmund, raw);
    sci_characters characters = sci_characters_of_json(raw, false);
    sc_status status = SC_OK;
    uint32_t c;
    while (status == SC_OK && (c = sci_characters_next(&characters)) != SCI_CHARACTER_END)
        status = sci_sigmund_character(sigmund, c);
    return status;
}

static sc_status sci_sigmund_double(sci_sigmund *sigmund, double number)
{
    sc_status status = sci_sigmund_settle(sigmund);
    return status == SC_OK ? sci_signature_double(sigmund->out, number) : status;
}

static sc_status sci_sigmund_integer(sci_sigmund *sigmund, int64_t number)
{
    sc_status status = sci_sigmund_settle(sigmund);
    return status == SC_OK ? sci_bytes_append_i64(sigmund->out, number) : status;
}

static sc_status sci_sigmund_scalar(sci_sigmund *sigmund, const sci_tree *tree,
                                    const sci_tree_node *node)
{
    sc_slice raw = sci_tree_raw(tree, node);
    double number;

    if (node->kind == SCI_JSON_STRING)
        return sci_sigmund_string(sigmund, raw, node->is_raw_plain);
    if (node->kind != SCI_JSON_NUMBER)
        return sci_sigmund_bytes(sigmund, sc_text(sci_signature_literal(node->kind)));
    if (!sci_text_to_double(raw, &number))
        return sc_fail(SC_ERR_ARGUMENT, "%.*s is no number", (int)sci_min_size(raw.len, 40),
                       raw.data);
    return sci_sigmund_double(sigmund, number);
}

/* The name of a member, or an element's index. `*is_hidden`: names that begin with `_` are left
 * out. */
static sc_status sci_sigmund_name(sci_sigmund *sigmund, const sci_tree *tree,
                                  const sci_tree_node *node, size_t *index, bool *is_hidden)
{
    *is_hidden = false;
    if (!node->is_member)
        return sci_sigmund_integer(sigmund, (int64_t)(*index)++);
    sci_characters name = sci_tree_name(tree, node);
    *is_hidden = sci_characters_next(&name) == '_';
    if (*is_hidden)
        return SC_OK;
    return sci_sigmund_string(sigmund, sc_bytes(tree->text.data + node->name_at, node->name_len),
                              node->is_name_plain);
}

/* One node without those below it; `*is_entered` when they come next. */
static sc_status sci_sigmund_node(sci_sigmund *sigmund, const sci_tree *tree,
                                  const sci_tree_node *node, unsigned level, size_t *index,
                                  bool *is_entered)
{
    bool is_hidden = false;
    sc_status status = SC_OK;
    *is_entered = false;
    if (level > 1)
        status = sci_sigmund_name(sigmund, tree, node, index, &is_hidden);
    if (status != SC_OK || is_hidden)
        return status;
    if (node->kind != SCI_JSON_ARRAY_BEGIN && node->kind != SCI_JSON_OBJECT_BEGIN)
        return sci_sigmund_scalar(sigmund, tree, node);
    if (level >= SCI_SIGMUND_DEPTH)
        return SC_OK;
    *is_entered = node->first != SCI_TREE_NONE;
    return sci_sigmund_bytes(sigmund, sc_text("{"));
}

/* The node after `*at` and all below it: the next in its container or, where that ends, the next
   after the container. False when there is none. */
static bool sci_sigmund_advance(const sci_tree *tree, uint32_t *at, unsigned *level)
{
    for (; tree->nodes[*at].next == SCI_TREE_NONE; (*level)--) {
        if (*level == 1)
            return false;
        *at = tree->nodes[*at].parent;
    }
    *at = tree->nodes[*at].next;
    return true;
}

static sc_status sci_sigmund_tree(sci_sigmund *sigmund, const sci_tree *tree)
{
    size_t indices[SCI_SIGMUND_DEPTH + 1]; /* the next element's, a level */
    unsigned level = 1;                    /* level 0 is the argument list */
    uint32_t at = 0;
    for (;;) {
        const sci_tree_node *node = &tree->nodes[at];
        bool is_entered;
        sc_status status =
            sci_sigmund_node(sigmund, tree, node, level, &indices[level], &is_entered);
        if (status != SC_OK)
            return status;
        if (is_entered) {
            at = node->first;
            indices[++level] = 0;
        } else if (!sci_sigmund_advance(tree, &at, &level)) {
            return SC_OK;
        }
    }
}

static sc_status sci_sigmund_arg(sci_sigmund *sigmund, const sc_arg *arg)
{
    sci_tree tree;
    sc_status status;

    switch (arg->kind) {
    case SCI_ARG_NULL:
        return sci_sigmund_bytes(sigmund, sc_text("null"));
    case SCI_ARG_BOOL:
        return sci_sigmund_bytes(sigmund, sc_text(arg->integer ? "true" : "false"));
    case SCI_ARG_INTEGER:
        return sci_sigmund_integer(sigmund, arg->integer);
    case SCI_ARG_DOUBLE:
        return sci_sigmund_double(sigmund, arg->number);
    case SCI_ARG_BYTES:
        return sci_sigmund_bytes(sigmund, arg->bytes);
    case SCI_ARG_JSON:
        status = sci_tree_build(&tree, &sigmund->out->memory, arg->bytes, SCI_TREE_JAVASCRIPT);
        if (status != SC_OK)
            return status;
        status = sci_sigmund_tree(sigmund, &tree);
        sci_tree_free(&tree);
        return status;
    default:
        return sc_fail(SC_ERR_ARGUMENT, "it was not made by one of the sc_arg functions");
    }
}

/* MARK: - Canonical */

/* A JSON number as 0.DIGITS x 10^point. */
typedef struct sci_canonical_number {
    const char
        *first;       /* the first digit that is not 0, or NULL; a `.` may stand among the digits */
    const char *last; /* the last such digit */
    int64_t count;    /* digits from first to last */
    int64_t point;
    bool is_negative;
} sci_canonical_number;

/* Longest exponent that cannot overflow `point`. */
#define SCI_CANONICAL_EXPONENT_DIGITS 15

/* The number after `e`; `text` is empty when there is none. False when it is too long. */
static bool sci_canonical_number_exponent(sc_slice text, int64_t *exponent)
{
    size_t at = 0;
    bool is_negative = text.len > 0 && text.data[0] == '-';

    *exponent = 0;
    if (text.len > 0 && (is_negative || text.data[0] == '+'))
        at++;
    while (at < text.len && text.data[at] == '0')
        at++;
    if (text.len - at > SCI_CANONICAL_EXPONENT_DIGITS)
        return false;
    for (; at < text.len; at++)
        *exponent = *exponent * 10 + (text.data[at] - '0');
    if (is_negative)
        *exponent = -*exponent;
    return true;
}

/* `raw` is a number as JSON writes it. */
static sc_status sci_canonical_number_parse(sc_slice raw, sci_canonical_number *decimal)
{
    const char *end = raw.data + raw.len;
    const char *at = raw.data;
    int64_t digits = 0;      /* seen so far */
    int64_t whole = -1;      /* digits before the `.` */
    int64_t first_digit = 0; /* the index of *first among the digits */
    int64_t last_digit = 0;
    int64_t exponent = 0;

    decimal->is_negative = *at == '-';
    decimal->first = NULL;
    decimal->last = NULL;
    decimal->count = 0;
    decimal->point = 0;
    for (at += decimal->is_negative; at < end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.') {
            whole = digits;
            continue;
        }
        if (*at != '0') {
            if (!decimal->first) {
                decimal->first = at;
                first_digit = digits;
            }
            decimal->last = at;
            last_digit = digits;
        }
        digits++;
    }
    size_t exponent_len = at < end ? (size_t)(end - at) - 1 : 0;
    if (decimal->first &&
        !sci_canonical_number_exponent(sc_bytes(end - exponent_len, exponent_len), &exponent))
        return sc_fail(SC_ERR_LIMIT, "a number's exponent has more than %d digits",
                       SCI_CANONICAL_EXPONENT_DIGITS);
    decimal->count = last_digit - first_digit + 1;
    decimal->point = (whole < 0 ? digits : whole) - first_digit + exponent;
    return SC_OK;
}

/* `count` digits from `*from` on, stepping over a `.`; zeros where there are no more. Returns the
 * end. */
static char *sci_canonical_number_digits(char *to, const sci_canonical_number *decimal,
                                         const char **from, int64_t count)
{
    for (; count > 0 && *from <= decimal->last; ++*from) {
        if (**from == '.')
            continue;
        *to++ = **from;
        count--;
    }
    for (; count > 0; count--)
        *to++ = '0';
    return to;
}

/* Room for a sign, zeros, the point and an exponent. */
#define SCI_CANONICAL_NUMBER_EXTRA_BYTES 64

/* Laid out as ECMA-262 section 6.1.6.1.20 does, where `count` is its k and `point` its n. */
static sc_status sci_canonical_number_append(sci_bytes *out, const sci_canonical_number *decimal)
{
    const int64_t k = decimal->count;
    const int64_t n = decimal->point;
    const bool has_exponent = n > 21 || n <= -6;
    const int64_t before_point = has_exponent ? 1 : n;
    const char *from = decimal->first;

    if (!decimal->first)
        return sci_bytes_append_char(out, '0');
    sc_status status = sci_bytes_reserve(out, (size_t)k + SCI_CANONICAL_NUMBER_EXTRA_BYTES);
    if (status != SC_OK)
        return status;
    char *to = out->data + out->end;
    if (decimal->is_negative)
        *to++ = '-';
    if (before_point > 0) {
        to = sci_canonical_number_digits(to, decimal, &from, before_point);
        if (k > before_point)
            *to++ = '.';
        to = sci_canonical_number_digits(to, decimal, &from, k - before_point);
    } else {
        memcpy(to, "0.00000", 7);
        to += 2 - before_point;
        to = sci_canonical_number_digits(to, decimal, &from, k);
    }
    out->end = (size_t)(to - out->data);
    if (!has_exponent)
        return SC_OK;
    status = sci_bytes_append_text(out, n > 0 ? "e+" : "e");
    return status == SC_OK ? sci_bytes_append_i64(out, n - 1) : status;
}

/* A character inside quotes. */
static sc_status sci_canonical_character(sci_bytes *out, uint32_t c)
{
    static const char digits[] = "0123456789abcdef";
    static const char short_escapes[] = "btn\0fr"; /* for 8 to 13; 11 has none */
    char escape[6] = {'\\', 'u', '0', '0', '0', '0'};

    if (c == '"' || c == '\\' || (c >= 8 && c <= 13 && c != 11)) {
        escape[1] = c >= ' ' ? (char)c : short_escapes[c - 8];
        return sci_bytes_append(out, sc_bytes(escape, 2));
    }
    if (c >= SCI_CHARACTER_BYTE) {
        escape[1] = 'x';
        escape[2] = digits[(c >> 4) & 0xf];
        escape[3] = digits[c & 0xf];
        return sci_bytes_append(out, sc_bytes(escape, 4));
    }
    if (c >= ' ' && !sci_is_high_surrogate(c) && !sci_is_low_surrogate(c))
        return sci_signature_character(out, c);
    for (unsigned i = 0; i < 4; i++)
        escape[2 + i] = digits[(c >> (12 - 4 * i)) & 0xf];
    return sci_bytes_append(out, sc_bytes(escape, 6));
}

static sc_status sci_canonical_string(sci_bytes *out, sci_characters characters)
{
    sc_status status = sci_bytes_append_char(out, '"');
    uint32_t c;
    while (status == SC_OK && (c = sci_characters_next(&characters)) != SCI_CHARACTER_END)
        status = sci_canonical_character(out, c);
    return status == SC_OK ? sci_bytes_append_char(out, '"') : status;
}

static sc_status sci_canonical_double(sci_bytes *out, double number)
{
    const double two_to_63 = 9223372036854775808.0;

    if (number >= -two_to_63 && number < two_to_63) {
        int64_t whole = (int64_t)number;
        if (!((double)whole < number) && !((double)whole > number))
            return sci_bytes_append_i64(out, whole);
    }
    return sci_signature_double(out, number);
}

static sc_status sci_canonical_scalar(sci_bytes *out, const sci_tree *tree,
                                      const sci_tree_node *node)
{
    sc_slice raw = sci_tree_raw(tree, node);
    sci_canonical_number decimal;

    if (node->kind == SCI_JSON_STRING)
        return sci_canonical_string(out, sci_characters_of_json(raw, node->is_raw_plain));
    if (node->kind != SCI_JSON_NUMBER)
        return sci_bytes_append_text(out, sci_signature_literal(node->kind));
    sc_status status = sci_canonical_number_parse(raw, &decimal);
    return status == SC_OK ? sci_canonical_number_append(out, &decimal) : status;
}

/* A member's name, and a scalar or a container's opening bracket. */
static sc_status sci_canonical_enter(sci_bytes *out, const sci_tree *tree,
                                     const sci_tree_node *node)
{
    if (node->is_member) {
        sc_status status = sci_canonical_string(out, sci_tree_name(tree, node));
        if (status == SC_OK)
            status = sci_bytes_append_char(out, ':');
        if (status != SC_OK)
            return status;
    }
    if (node->kind == SCI_JSON_ARRAY_BEGIN)
        return sci_bytes_append_char(out, '[');
    if (node->kind == SCI_JSON_OBJECT_BEGIN)
        return sci_bytes_append_char(out, '{');
    return sci_canonical_scalar(out, tree, node);
}

/* A container's closing bracket; nothing for a scalar. */
static sc_status sci_canonical_leave(sci_bytes *out, const sci_tree_node *node)
{
    if (node->kind == SCI_JSON_ARRAY_BEGIN)
        return sci_bytes_append_char(out, ']');
    if (node->kind == SCI_JSON_OBJECT_BEGIN)
        return sci_bytes_append_char(out, '}');
    return SC_OK;
}

static sc_status sci_canonical_tree(sci_bytes *out, const sci_tree *tree)
{
    uint32_t at = 0;

    for (;;) {
        sc_status status = sci_canonical_enter(out, tree, &tree->nodes[at]);
        if (status != SC_OK)
            return status;
        if (tree->nodes[at].first != SCI_TREE_NONE) {
            at = tree->nodes[at].first;
            continue;
        }
        for (;;) {
            status = sci_canonical_leave(out, &tree->nodes[at]);
            if (status != SC_OK || tree->nodes[at].parent == SCI_TREE_NONE)
                return status;
            if (tree->nodes[at].next != SCI_TREE_NONE)
                break;
            at = tree->nodes[at].parent;
        }
        status = sci_bytes_append_char(out, ',');
        if (status != SC_OK)
            return status;
        at = tree->nodes[at].next;
    }
}

static sc_status sci_canonical_arg(sci_bytes *out, const sc_arg *arg)
{
    sci_tree tree;
    sc_status status;

    switch (arg->kind) {
    case SCI_ARG_NULL:
        return sci_bytes_append_text(out, "null");
    case SCI_ARG_BOOL:
        return sci_bytes_append_text(out, arg->integer ? "true" : "false");
    case SCI_ARG_INTEGER:
        return sci_bytes_append_i64(out, arg->integer);
    case SCI_ARG_DOUBLE:
        return sci_canonical_double(out, arg->number);
    case SCI_ARG_BYTES:
        return sci_canonical_string(out, sci_characters_of_bytes(arg->bytes));
    case SCI_ARG_JSON:
        status = sci_tree_build(&tree, &out->memory, arg->bytes, SCI_TREE_SORTED);
        if (status != SC_OK)
            return status;
        status = sci_canonical_tree(out, &tree);
        sci_tree_free(&tree);
        return status;
    default:
        return sc_fail(SC_ERR_ARGUMENT, "it was not made by one of the sc_arg functions");
    }
}

/* Replace what is long, `start` bytes after the front, by its head and a hash of all of it. */
static sc_status sci_canonical_shorten(sci_bytes *out, size_t start)
{
    char hex[SCI_SHA1_HEX_BYTES];
    sc_slice text = sci_bytes_slice(out);
    text = sc_bytes(text.data + start, text.len - start);
    if (text.len <= SCI_SIGNATURE_LONG_BYTES)
        return SC_OK;

    size_t head = SCI_SIGNATURE_HEAD_BYTES;
    while ((text.data[head] & 0xc0) == 0x80)
        head--;
    sci_sha1(text, hex);
    sci_bytes_cut(out, start + head, text.len - head);
    sc_status status = sci_bytes_append_char(out, '#');
    return status == SC_OK ? sci_bytes_append(out, sc_bytes(hex, SCI_SIGNATURE_HASH_DIGITS))
                           : status;
}

/* MARK: - Argument lists */

/* Undo what was appended, and say which argument it was about. */
static sc_status sci_signature_fail(sci_bytes *out, size_t start, sc_status status, size_t index,
                                    size_t arg_count)
{
    sci_bytes_cut(out, start, sci_bytes_len(out) - start);
    if (status != SC_ERR_MEMORY)
        sci_error_text_add("; in argument %zu of %zu of a wrapped function", index + 1, arg_count);
    return status;
}

static sc_status sci_signature_check(const sc_arg *args, size_t arg_count)
{
    if (!args && arg_count > 0)
        return sc_fail(SC_ERR_ARGUMENT, "args is NULL, but arg_count is %zu", arg_count);
    return SC_OK;
}

SCI_PRIVATE sc_status sci_signature_sigmund(const sc_arg *args, size_t arg_count, sci_bytes *out)
{
    size_t start = sci_bytes_len(out);
    sci_sigmund sigmund;
    size_t i;

    sc_status status = sci_signature_check(args, arg_count);
    if (status != SC_OK)
        return status;
    sigmund.out = out;
    sigmund.high = 0;
    status = sci_bytes_append_char(out, '{');
    for (i = 0; status == SC_OK && i < arg_count; i++) {
        status = sci_sigmund_integer(&sigmund, (int64_t)i);
        if (status == SC_OK)
            status = sci_sigmund_arg(&sigmund, &args[i]);
        if (status != SC_OK)
            return sci_signature_fail(out, start, status, i, arg_count);
    }
    if (status == SC_OK)
        status = sci_sigmund_settle(&sigmund);
    return status == SC_OK ? SC_OK : sci_signature_fail(out, start, status, i, arg_count);
}

SCI_PRIVATE sc_status sci_signature_canonical(const sc_arg *args, size_t arg_count, sci_bytes *out)
{
    size_t start = sci_bytes_len(out);
    size_t i;

    sc_status status = sci_signature_check(args, arg_count);
    if (status != SC_OK)
        return status;
    status = sci_bytes_append_char(out, '[');
    for (i = 0; status == SC_OK && i < arg_count; i++) {
        if (i > 0)
            status = sci_bytes_append_char(out, ',');
        if (status == SC_OK)
            status = sci_canonical_arg(out, &args[i]);
        if (status != SC_OK)
            return sci_signature_fail(out, start, status, i, arg_count);
    }
    if (status == SC_OK)
        status = sci_bytes_append_char(out, ']');
    if (status == SC_OK)
        status = sci_canonical_shorten(out, start);
    return status == SC_OK ? SC_OK : sci_signature_fail(out, start, status, i, arg_count);
}

/* MARK: - Wrapped functions (Private) */
/* Wrapped functions: the key from the arguments, and get-or-load on it. */

#define SCI_WRAP_PREFIX "smartcache"
#define SCI_WRAP_INTEROP_PREFIX "distributed-promise"
#define SCI_WRAP_LOCK "lock"
#define SCI_WRAP_NOTIFY "notif"
#define SCI_WRAP_SEPARATOR ":"
/* Beside the other package's names, so that they never meet: ours for what it does not know. */
#define SCI_WRAP_RESULT "sc-result"
#define SCI_WRAP_DONE "sc-done"

typedef enum sci_wrap_text {
    SCI_WRAP_TEXT_KEY,
    SCI_WRAP_TEXT_PREFIX,
    SCI_WRAP_TEXT_LOCK,
    SCI_WRAP_TEXT_NOTIFY,
    SCI_WRAP_TEXT_SEPARATOR,
    SCI_WRAP_TEXTS
} sci_wrap_text;

struct sc_wrapped {
    sc_memory memory;
    sci_atomic_u32 references; /* the handle's and each asynchronous call's */
    sc_cache *cache;           /* owned */
    sc_function function;
    void *user;
    bool is_interop;
    char *texts[SCI_WRAP_TEXTS]; /* owned */
};

static void sci_wrapped_release(sc_wrapped *wrapped)
{
    if (sci_atomic_subtract(&wrapped->references, 1) != 1)
        return;
    sc_memory memory = wrapped->memory;
    sc_cache_close(wrapped->cache);
    for (size_t i = 0; i < SCI_WRAP_TEXTS; i++)
        sci_free_text(&memory, wrapped->texts[i]);
    sci_free(&memory, wrapped, sizeof *wrapped);
}

static sc_status sci_wrap_copy_texts(sc_wrapped *wrapped, const sc_wrap_config *config)
{
    const char *texts[SCI_WRAP_TEXTS];
    const char *default_prefix = config->interop ? SCI_WRAP_INTEROP_PREFIX : SCI_WRAP_PREFIX;
    texts[SCI_WRAP_TEXT_KEY] = config->key;
    texts[SCI_WRAP_TEXT_PREFIX] = config->key_prefix ? config->key_prefix : default_prefix;
    texts[SCI_WRAP_TEXT_LOCK] = config->lock_prefix ? config->lock_prefix : SCI_WRAP_LOCK;
    texts[SCI_WRAP_TEXT_NOTIFY] = config->notify_prefix ? config->notify_prefix : SCI_WRAP_NOTIFY;
    texts[SCI_WRAP_TEXT_SEPARATOR] =
        config->key_separator ? config->key_separator : SCI_WRAP_SEPARATOR;
    for (size_t i = 0; i < SCI_WRAP_TEXTS; i++) {
        wrapped->texts[i] = sci_copy_text(&wrapped->memory, sc_text(texts[i]));
        if (!wrapped->texts[i])
            return SC_ERR_MEMORY;
    }
    return SC_OK;
}

static sc_status sci_wrap_open_cache(sc_client *client, const sc_wrap_config *config,
                                     sc_wrapped *wrapped)
{
    sc_cache_config cache_config;
    memset(&cache_config, 0, sizeof cache_config);
    cache_config.load = config->load;
    if (config->lock_timeout_ms)
        cache_config.load.lease_ms = config->lock_timeout_ms;
    if (config->ttl_ms)
        cache_config.load.ttl_ms = config->ttl_ms;
    if (config->timeout_ms)
        cache_config.load.wait_ms = config->timeout_ms;
    return sc_cache_open(client, &cache_config, &wrapped->cache);
}

SC_API sc_status sc_wrap(sc_client *client, const sc_wrap_config *config, sc_wrapped **wrapped)
{
    *wrapped = NULL;
    if (!client || !config)
        return sc_fail(SC_ERR_ARGUMENT, "the %s is NULL", client ? "config" : "client");
    if (!config->key || !*config->key)
        return sc_fail(SC_ERR_ARGUMENT, "sc_wrap_config.key is missing: name the function");
    if (!config->function)
        return sc_fail(SC_ERR_ARGUMENT, "sc_wrap_config.function is NULL");
    sc_wrapped *created = (sc_wrapped *)sci_alloc_zeroed(&client->memory, sizeof *created);
    if (!created)
        return SC_ERR_MEMORY;
    created->memory = client->memory;
    created->references.value = 1;
    created->function = config->function;
    created->user = config->user;
    created->is_interop = config->interop;
    sc_status status = sci_wrap_copy_texts(created, config);
    if (status == SC_OK)
        status = sci_wrap_open_cache(client, config, created);
    if (status != SC_OK) {
        sci_wrapped_release(created);
        return status;
    }
    *wrapped = created;
    return SC_OK;
}

SC_API void sc_wrapped_close(sc_wrapped *wrapped)
{
    if (wrapped)
        sci_wrapped_release(wrapped);
}

/* Keys. */

/* PREFIX : KIND : NAME : SIGNATURE; without a kind for the value. Our own keys put name and
   signature into a hash tag, so that all of a call's keys share a slot. */
static sc_status sci_wrap_name(const sc_wrapped *wrapped, const char *kind, sc_slice signature,
                               sci_bytes *out)
{
    char *const *texts = wrapped->texts;
    const char *separator = texts[SCI_WRAP_TEXT_SEPARATOR];
    const char *const parts[] = {texts[SCI_WRAP_TEXT_PREFIX],
                                 separator,
                                 kind ? kind : "",
                                 kind ? separator : "",
                                 wrapped->is_interop ? "" : "{",
                                 texts[SCI_WRAP_TEXT_KEY],
                                 separator};
    sc_status status = SC_OK;
    for (size_t i = 0; i < SCI_COUNT(parts) && status == SC_OK; i++)
        status = sci_bytes_append_text(out, parts[i]);
    if (status == SC_OK)
        status = sci_bytes_append(out, signature);
    if (status == SC_OK && !wrapped->is_interop)
        status = sci_bytes_append_char(out, '}');
    return status;
}

static sc_status sci_wrap_signature(const sc_wrapped *wrapped, const sc_arg *args, size_t arg_count,
                                    sci_bytes *out)
{
    return wrapped->is_interop ? sci_signature_sigmund(args, arg_count, out)
                               : sci_signature_canonical(args, arg_count, out);
}

/* One call: its arguments and its names. */
typedef struct sci_wrapped_call {
    sc_wrapped *wrapped;
    const sc_arg *args;
    size_t arg_count;
    sci_bytes signature; /* owned */
    sci_bytes key;       /* owned: the value's */
    sci_args copy;       /* asynchronous: owned */
    size_t block_bytes;  /* asynchronous: of this struct */
} sci_wrapped_call;

static void sci_wrapped_call_free(sci_wrapped_call *call)
{
    sci_bytes_free(&call->signature);
    sci_bytes_free(&call->key);
}

static sc_status sci_wrapped_call_init(sci_wrapped_call *call, sc_wrapped *wrapped,
                                       const sc_arg *args, size_t arg_count)
{
    memset(call, 0, sizeof *call);
    if (!wrapped)
        return sc_fail(SC_ERR_ARGUMENT, "the wrapped function is NULL");
    call->wrapped = wrapped;
    call->args = args;
    call->arg_count = arg_count;
    sci_bytes_init(&call->signature, &wrapped->memory);
    sci_bytes_init(&call->key, &wrapped->memory);
    sc_status status = sci_wrap_signature(wrapped, args, arg_count, &call->signature);
    if (status == SC_OK)
        status = sci_wrap_name(wrapped, NULL, sci_bytes_slice(&call->signature), &call->key);
    if (status != SC_OK)
        sci_wrapped_call_free(call);
    return status;
}

/* All names of a call, in one block. */
static sc_status sci_wrapped_names(const sci_target *target, sci_names *names)
{
    const sci_wrapped_call *call = (const sci_wrapped_call *)target->owner;
    const sc_wrapped *wrapped = call->wrapped;
    sci_bytes *block = &names->block;
    sc_slice signature = sci_bytes_slice(&call->signature);
    const char *notify = wrapped->texts[SCI_WRAP_TEXT_NOTIFY];
    const char *const kinds[] = {NULL, wrapped->texts[SCI_WRAP_TEXT_LOCK], SCI_WRAP_RESULT,
                                 wrapped->is_interop ? SCI_WRAP_DONE : notify, notify};
    sc_slice *const slices[] = {&names->value, &names->lease, &names->result, &names->channel,
                                &names->raw_channel};
    size_t ends[SCI_COUNT(kinds) + 1] = {0};
    size_t count = wrapped->is_interop ? SCI_COUNT(kinds) : SCI_COUNT(kinds) - 1;
    for (size_t i = 0; i < count; i++) {
        sc_status status = sci_wrap_name(wrapped, kinds[i], signature, block);
        if (status != SC_OK)
            return status;
        ends[i + 1] = sci_bytes_len(block);
    }
    const char *text = sci_bytes_slice(block).data;
    for (size_t i = 0; i < count; i++)
        *slices[i] = sc_bytes(text + ends[i], ends[i + 1] - ends[i]);
    return SC_OK;
}

/* JSON texts that JavaScript takes for false: null, false, 0, "". */
static bool sci_wrapped_is_falsy(sc_slice json)
{
    sci_json_reader reader;
    sci_json_token token;
    double number;
    sci_json_begin(&reader, json);
    if (sci_json_next(&reader, &token) != SC_OK)
        return false;
    return token.kind == SCI_JSON_NULL || token.kind == SCI_JSON_FALSE ||
           (token.kind == SCI_JSON_STRING && token.raw.len == 0) ||
           (token.kind == SCI_JSON_NUMBER && sci_text_to_double(token.raw, &number) && number == 0);
}

/* The other package reads JSON, and takes for a miss what JavaScript takes for false. */
static sc_status sci_wrapped_judge(sc_slice value)
{
    sc_status status = sci_json_check(value);
    if (status != SC_OK)
        sci_error_text_add(": in interop mode a wrapped function returns JSON");
    else if (sci_wrapped_is_falsy(value))
        status = SC_MISS;
    return status;
}

static void sci_wrapped_target(const sci_wrapped_call *call, sci_target *target)
{
    memset(target, 0, sizeof *target);
    target->key = sci_bytes_slice(&call->key);
    target->shown = target->key;
    target->name = sci_wrapped_names;
    target->owner = call;
    target->judge = call->wrapped->is_interop ? sci_wrapped_judge : NULL;
}

static sc_status sci_wrapped_load(sc_load *load, void *user)
{
    const sci_wrapped_call *call = (const sci_wrapped_call *)user;
    return call->wrapped->function(load, call->args, call->arg_count, call->wrapped->user);
}

/* Calls. */

SC_API sc_status sc_call(sc_wrapped *wrapped, const sc_arg *args, size_t arg_count,
                         sc_value **result)
{
    sci_wrapped_call call;
    sci_target target;
    *result = NULL;
    sc_status status = sci_wrapped_call_init(&call, wrapped, args, arg_count);
    if (status != SC_OK)
        return status;
    sci_wrapped_target(&call, &target);
    status = sci_get_or_load(wrapped->cache, &target, sci_wrapped_load, &call,
                             &wrapped->cache->load, result);
    sci_wrapped_call_free(&call);
    return status;
}

static void sci_wrapped_call_finished(void *user)
{
    sci_wrapped_call *call = (sci_wrapped_call *)user;
    sc_wrapped *wrapped = call->wrapped;
    sci_wrapped_call_free(call);
    sci_args_free(&call->copy);
    sci_free(&wrapped->memory, call, call->block_bytes);
    sci_wrapped_release(wrapped);
}

SC_API sc_status sc_call_async(sc_wrapped *wrapped, const sc_arg *args, size_t arg_count,
                               sc_on_value on_value, void *user)
{
    sci_target target;
    sci_args copy;
    if (!wrapped)
        return sc_fail(SC_ERR_ARGUMENT, "the wrapped function is NULL");
    sc_status status = sci_args_copy(&wrapped->memory, args, arg_count, &copy);
    if (status != SC_OK)
        return status;
    sci_wrapped_call *call = (sci_wrapped_call *)sci_alloc_zeroed(&wrapped->memory, sizeof *call);
    status = call ? sci_wrapped_call_init(call, wrapped, copy.at, copy.count) : SC_ERR_MEMORY;
    if (status != SC_OK) {
        sci_args_free(&copy);
        sci_free(&wrapped->memory, call, sizeof *call);
        return status;
    }
    call->copy = copy;
    call->block_bytes = sizeof *call;
    (void)sci_atomic_add(&wrapped->references, 1);
    sci_wrapped_target(call, &target);
    status =
        sci_get_or_load_async(wrapped->cache, &target, sci_wrapped_load, call,
                              &wrapped->cache->load, on_value, user, sci_wrapped_call_finished);
    if (status != SC_OK)
        sci_wrapped_call_finished(call);
    return status;
}

SC_API sc_status sc_call_json(sc_wrapped *wrapped, const char *json_array, sc_value **result)
{
    sci_args args;
    *result = NULL;
    if (!wrapped)
        return sc_fail(SC_ERR_ARGUMENT, "the wrapped function is NULL");
    sc_status status = sci_args_from_json(&wrapped->memory, sc_text(json_array), &args);
    if (status != SC_OK)
        return status;
    status = sc_call(wrapped, args.at, args.count, result);
    sci_args_free(&args);
    return status;
}

SC_API sc_status sc_call_invalidate(sc_wrapped *wrapped, const sc_arg *args, size_t arg_count)
{
    sci_wrapped_call call;
    sci_target target;
    sci_names names;
    sc_status status = sci_wrapped_call_init(&call, wrapped, args, arg_count);
    if (status != SC_OK)
        return status;
    sci_wrapped_target(&call, &target);
    sci_names_init(&names, &wrapped->memory);
    status = sci_wrapped_names(&target, &names);
    if (status == SC_OK)
        status = sci_invalidate(wrapped->cache, &names);
    sci_names_free(&names);
    sci_wrapped_call_free(&call);
    return status;
}

SC_API sc_status sc_call_key(sc_wrapped *wrapped, const sc_arg *args, size_t arg_count,
                             sc_value **key)
{
    sci_wrapped_call call;
    *key = NULL;
    sc_status status = sci_wrapped_call_init(&call, wrapped, args, arg_count);
    if (status != SC_OK)
        return status;
    status = sc_value_create(&wrapped->memory, sci_bytes_slice(&call.key), key);
    sci_wrapped_call_free(&call);
    return status;
}

#endif /* SMARTCACHE_IMPLEMENTATION */

/* MARK: - Licence

   This software is available under two licences; choose the one you like.

   -------------------------------------------------------------------------------------------------
   1. Unlicense (public domain)

   This is free and unencumbered software released into the public domain.

   Anyone is free to copy, modify, publish, use, compile, sell, or distribute this software, either
   in source code form or as a compiled binary, for any purpose, commercial or non-commercial, and
   by any means.

   In jurisdictions that recognize copyright laws, the author or authors of this software dedicate
   any and all copyright interest in the software to the public domain. We make this dedication for
   the benefit of the public at large and to the detriment of our heirs and successors. We intend
   this dedication to be an overt act of relinquishment in perpetuity of all present and future
   rights to this software under copyright law.

   THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
   NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
   NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
   LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
   CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

   For more information, please refer to <https://unlicense.org/>

   -------------------------------------------------------------------------------------------------
   2. MIT No Attribution (MIT-0)

   Copyright 2026 the smartcache authors

   Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
   associated documentation files (the "Software"), to deal in the Software without restriction,
   including without limitation the rights to use, copy, modify, merge, publish, distribute,
   sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
   furnished to do so.

   THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
   NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
   NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
   DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
   OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE. */
