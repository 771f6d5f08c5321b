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
       Locks
       Elections
       Quorum locks
       Publish and subscribe
       Pipelines
       Transactions
       Scripts
       Scans
       Large values
       Without a server
       The embedded server
       Threads and the scheduler
       Timers and cron
       Refresh
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
       sc_lock_config          ttl_ms                 30,000, renewed each third of it
                               wait_ms                60,000
                               poll_ms                1,000
                               no_renewal             no
                               fair                   no: whoever asks first when it is free
                               reentrant              no: SC_ERR_DEADLOCK
                               interop                no: semaphores as redis-semaphore has them
                               on_lost                none
       sc_election_config      name                   host:pid
                               ttl_ms                 15,000, renewed each third of it
                               stop_margin_ms         ttl_ms / 10
                               poll_ms                1,000
                               interop                no: the key of npm's smart-redis
                               configure_notifications  no
                               on_elected, ...        none
       sc_quorum_config        ttl_ms                 30,000, renewed each third of it
                               wait_ms                60,000
                               server_ms              ttl_ms / 10, at most 1,000
                               retry_ms               200, up to four times that
                               restart_ms             0: servers keep their data
                               no_renewal             no
                               on_lost                none
       sc_job_config           retries                3; of a task 0
                               retry_min_ms           1,000
                               retry_max_ms           60,000
                               shadow_ttl_ms          60,000
                               progress_ms            1,000
                               ttl_ms                 0: the result stays
                               fetch_timeout_ms       0: none
                               clear_when_empty       no: no rows leave what was there
                               fixed_rate             no: the interval begins when a build ends
       sc_server_config        listen_on              nowhere: clients of this process alone
                               password               none; needed to listen beyond the loopback
                               log_path               none: all is gone with the server
                               sync                   SC_SYNC_EVERY_SECOND
                               repair                 no: a log damaged in the middle is refused
                               rewrite_min_bytes      64 MiB
                               max_memory_bytes       0: no bound
                               eviction               SC_EVICTION_NONE: writes are refused
                               databases              16
                               max_clients            10,000
                               max_bulk_bytes         512 MiB
                               max_request_bytes      1 GiB
                               max_output_bytes       64 MiB
                               notify                 "" (no keyspace events)
                               polled                 no: it has a thread when it listens
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
       embedded:   embedded:/var/lib/app/cache no server: see Without a server

   Options are db, timeout, connect_timeout, name, user and password. Host, path, user and
   password may be percent-encoded. A wrong URL is refused with the character's offset and what
   was expected there.

   MARK: - Build switches

   Define them before including this file, in all files of the program alike. All are off by
   default. Sizes are for x86-64 with -Os, where all of it has about 444 KiB.

       SMARTCACHE_IMPLEMENTATION   this file also holds the implementation; one file of the program
       SMARTCACHE_STATIC           every function is private to the including file, the only one
                                   that can call them; saves what the compiler finds unused
       SMARTCACHE_NO_THREADS       no locks and no threads: one thread uses the library; saves
                                   -pthread and about 8 KiB (host names are then looked up in a
                                   forked helper)
       SMARTCACHE_NO_POSIX         no sockets, clock, memory and random numbers of the library's
                                   own: sc_config brings each table; implies SMARTCACHE_NO_THREADS;
                                   saves about 27 KiB
       SMARTCACHE_NO_SERVER        no embedded server: its functions are not there, and embedded:
                                   URLs are refused; saves about 230 KiB
       SMARTCACHE_ASSERT           checks the library's own invariants and aborts on a broken one;
                                   costs about 6 KiB, saves nothing

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

   MARK: - Locks

   A distributed lock has one holder in the fleet. It is a lease: who crashes blocks the others for
   ttl_ms at most, and who lives renews it.

   ```c
   // cc -O2 -c invoice.c
   #include "smartcache.h"

   // One process at a time. `write_invoice` passes the token on to where the invoices are kept,
   // which refuses one that is lower than the highest it has seen.
   sc_status make_invoice(sc_client *client, sc_status (*write_invoice)(int64_t fencing_token))
   {
       sc_lock_config config = {0};
       sc_lock *lock = NULL;
       config.key = sc_text("invoices");
       sc_status status = sc_lock_open(client, &config, &lock);
       if (status == SC_OK)
           status = sc_lock_acquire(lock, 5000); // SC_HELD: another has it for 5 s already
       if (status == SC_OK)
           status = write_invoice(sc_lock_fencing_token(lock));
       if (status == SC_OK)
           status = sc_lock_release(lock); // SC_LOST: others may have come between
       sc_lock_close(lock); // gives it back, if it still has it
       return status;
   }
   ```

   A lease can end unnoticed: a process that was suspended, or cut off from the server, wakes and
   believes that it still holds the lock. on_lost tells of it as early as the process can know, and
   sc_lock_remaining_ms says without I/O how long the lock is held for certain; but between that
   look and the write the process may be suspended again. What is sure is the fencing token: each
   holding has a higher one, and what the lock protects refuses the lower (examples/fenced_lock.c
   has a table of SQLite that does).

       the holder                        the others
       releases                          one who waits is woken by a message; the others sleep on
       crashes, or is suspended          one takes over when the lease ends, with a higher token
       cannot reach the server           it loses the lock just before the lease ends, and hears so
       is not of this library            they look when its lease ends, and each poll_ms

   Tokens stay in order when the lease expires, when the counter is deleted and when the server
   comes back empty: each is the last one plus 1, or the server's clock in microseconds where that
   is more.
   A failover to a replica can lose a lock that was just taken: the lock then has two holders, whose
   tokens are in order as far as the servers' clocks agree.

   sc_semaphore_open makes a contender for one of so many permits, sc_rwlock_open one for reading
   beside other readers or for writing alone; all else is as above, a lease and a token for each
   holder.

   ```c
   // cc -O2 -c transcode.c
   #include "smartcache.h"

   // At most 4 in the fleet at a time.
   sc_status transcode_with(sc_client *client, sc_status (*transcode)(void))
   {
       sc_lock_config config = {0};
       sc_lock *permit = NULL;
       config.key = sc_text("transcoders");
       sc_status status = sc_semaphore_open(client, &config, 4, &permit);
       if (status == SC_OK)
           status = sc_lock_acquire(permit, -1); // waits for ever
       if (status == SC_OK)
           status = transcode();
       sc_lock_close(permit);
       return status;
   }
   ```

   The key is the one the program names. While the lock is held it has the holder's random token as
   its value, as npm's redlock and redis-semaphore (with "mutex:" before the name) have it: these
   respect our locks and we respect theirs; a semaphore is theirs, too, with sc_lock_config.interop.
   Beside it are sc:fence{key}, which stays for a day, and while somebody waits sc:queue{key} and
   sc:alive{key}. Locks need a server that runs scripts: Redis 5 or newer, Valkey, or the embedded
   one.

   MARK: - Elections

   Of the processes that campaign for a key one leads: it does what is to be done once in a fleet.
   When it stops, dies or cannot be reached, another leads. Who only opens the election observes.

   ```c
   // cc -O2 -c leader.c
   #include "smartcache.h"

   // Once by each process of the fleet.
   sc_status open_totals(sc_client *client, sc_election **election)
   {
       sc_election_config config = {0};
       config.key = sc_text("totals:leader");
       sc_status status = sc_release_on_signal(client); // at SIGTERM another leads at once
       if (status == SC_OK)
           status = sc_election_open(client, &config, election);
       return status == SC_OK ? sc_election_campaign(*election) : status;
   }

   // Again and again. `write_totals` passes the term on to where the totals are kept, which refuses
   // one that is lower than the highest it has seen.
   void make_totals(sc_election *election, void (*write_totals)(int64_t term))
   {
       int64_t term = sc_election_term(election); // 0: another's turn. No I/O
       if (term)
           write_totals(term);
   }
   ```

   A leadership is a lease, renewed while the leader lives, and its term a fencing token: all that
   is said of locks holds. sc_is_leader and sc_election_term ask the clock alone, and take no lock.
   They say no as soon as the lease may end within stop_margin_ms: a leader that cannot renew has
   that time to stop in, and one that was suspended knows at its first look when it goes on.
   on_elected and on_resigned tell the same by callback. When on_resigned has returned, and not
   before, the key is given back; then the process campaigns again by itself, for a new term.

       the leader                        who leads next, and when
       resigns, closes, gets SIGTERM     one who campaigns, by a message (SIGTERM, exit: with
                                         sc_release_on_signal)
       crashes, or is suspended          one who campaigns, when the lease ends: within ttl_ms
       cannot reach the server           the same; it has stopped stop_margin_ms before
       has its key deleted               at once where the server tells of deleted keys, else
                                         within poll_ms; the leader hears it then, or when it renews

   sc_election_leader and on_leader_changed tell everyone who leads, by the name in its config. What
   is known may be old by poll_ms, should messages be lost.

   While somebody leads, the key has a random string, ":" and the name as its value; sc:fence{key},
   sc:queue{key} and sc:alive{key} stand beside it as with locks, and sc:leader{key} is the channel
   where a change is announced. Events of deleted keys (notify-keyspace-events) are listened to: a
   server that sends them is used, and none is told to unless configure_notifications says so, which
   adds flags and takes none away. With `interop` the value is the name alone: mastership is shared
   with npm's smart-redis, whose key is CACHE_MASTER_KEY and its masterCacheKey. Those processes
   delete the key without a look at whose it is; the term is still higher each time.

   MARK: - Quorum locks

   A lock over several independent servers outlives the loss of a minority of them: it is held by who
   has it on a majority (sc_quorum_open). This is Redlock, by S. Sanfilippo ("Distributed Locks with
   Redis"), and the same lock as npm's redlock over these servers.

   ```c
   // cc -O2 -c settle.c
   #include "smartcache.h"

   // Three servers that share nothing: no disk, no power supply, no replication.
   sc_status settle(sc_client *const servers[3], sc_status (*book)(int64_t fencing_token))
   {
       sc_quorum_config config = {0};
       sc_quorum *lock = NULL;
       config.key = sc_text("settlement");
       config.ttl_ms = 10000;
       sc_status status = sc_quorum_open(servers, 3, &config, &lock);
       if (status == SC_OK)
           status = sc_quorum_acquire(lock, 0);
       if (status == SC_OK)
           status = book(sc_quorum_fencing_token(lock));
       sc_quorum_close(lock); // before the clients
       return status;
   }
   ```

   All servers are asked at once, each for server_ms at most, so that one that stands still costs no
   more. Who gets no majority gives back what it got, whatever each server answered, and tries again
   after a random pause (retry_ms), so that contenders who split the votes do not meet for ever. The
   time for which it is held counts from before the first question, less 1 % and 2 ms for clocks that
   run apart; a third of ttl_ms later it is renewed on a majority, and on_lost is called before the
   leases end where that fails.

   M. Kleppmann ("How to do distributed locking", 2016) has shown that no such lock excludes a holder
   that is suspended, or servers whose clocks jump, and that Redlock gives no number by which what it
   protects could tell. Here it does, in a second step: who has a majority takes the highest of its
   counters plus 1 and writes that back to a majority, before it holds the lock. Any two majorities
   share a server, so that each holding has a higher number than all before.

   A server that comes back empty has forgotten whom it had given the lock to, and could make a second
   majority. Have servers sync each write (appendfsync always), or set restart_ms to the longest
   ttl_ms in use: servers that started less than so long ago, by INFO, are not asked.

   Each client is driven on its own: by its thread, or, with sc_config.polled or without threads, by
   sc_poll on each. The calls that block then poll the clients in turn, a millisecond each, and
   cannot be made in a callback of one of them.

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

   MARK: - Without a server

   The URL decides where values live:

       embedded:                a server of this client alone, in its process; gone with sc_close
       embedded:/dir/name       shared by all processes of this host that open the same, on disk
       redis://host, unix:///path ...   Redis or Valkey

   Everything else stays as it is. A process needs no server to begin with, and when the program
   outgrows its host the URL changes and nothing else does (examples/guestbook.c).

   `embedded:` takes commands without a system call, on the thread that gives them. Options: db,
   name, databases, maxmemory=64mb and policy=allkeys-lfu (as Redis names policies).

   With `embedded:/dir/name` one of the processes serves the others, by a thread of its own (or, in
   a program that polls, in sc_poll), over the Unix socket /dir/name.sock. Which one is decided by a
   lock on /dir/name.log.lock: when that process exits or is killed, another loads /dir/name.log
   within milliseconds and serves. What was not sent then is sent to the new one; what was sent and
   not answered is SC_ERR_DISCONNECTED, as with any server that is lost. The folder must exist,
   belong to this user or root, and be writable by nobody else; it must not be on NFS. More options:
   sync=always, sync=everysec (the default), sync=never, rewrite=64mb.

       sync        a process is killed        the host crashes
       always      nothing is lost            nothing is lost
       everysec    nothing is lost            the last second or two
       never       nothing is lost            what the system had not written

   A child that the serving process forks holds the lock too, until it uses the library, executes
   another program or ends. So a process that forks workers had better open the store in them.

   MARK: - The embedded server

   sc_server_open makes a server by hand: for several clients of one process (sc_config.server), for
   other programs by a Unix socket or TCP, for tests. It speaks RESP2, so that redis-cli,
   redis-benchmark and other clients can be pointed at it.

   ```c
   // cc -O2 -c serve.c
   #include "smartcache.h"

   // A server for this process and, by a socket, for redis-cli -s /run/app/cache.sock.
   sc_status serve(sc_server **server, sc_client **client)
   {
       sc_server_config options = {0};
       sc_config config = {0};
       options.listen_on = "unix:///run/app/cache.sock";
       options.log_path = "/var/lib/app/cache.log";
       options.max_memory_bytes = 256u << 20;
       options.eviction = SC_EVICTION_ALLKEYS_LFU;
       sc_status status = sc_server_open(&options, server);
       if (status != SC_OK)
           return status;
       config.server = *server; // in this process, without a socket
       return sc_open(&config, client); // close the client first, then the server
   }
   ```

   The log is plain commands: `redis-cli --pipe < cache.log` moves all of it to Redis. Each batch of
   them is followed by an ECHO that carries its checksum. What a crash has torn off at the end is
   cut, with a warning to the logger; damage in the middle is refused with its offset, and `repair`
   cuts there and keeps the rest as cache.log.damaged. When the log has doubled since it was last
   rewritten it is rewritten, a slice at a time, while the server goes on. When the disk is full,
   commands that write are refused (MISCONF) before they change anything, until there is room.

   What has expired is never seen again; its `expired` event and its memory follow within
   milliseconds, also among millions of keys. When a million are due in the same instant that takes
   half a second, in slices of a millisecond between which commands are served.

   Commands, with the replies and error texts of Redis 7: of connections AUTH HELLO SELECT PING ECHO
   QUIT RESET CLIENT ACL; of the server INFO CONFIG DBSIZE FLUSHDB FLUSHALL TIME COMMAND SAVE
   BGREWRITEAOF MEMORY LASTSAVE SHUTDOWN SWAPDB; of keys all but DUMP, RESTORE, SORT and MIGRATE; of
   strings all but LCS, BITOP and BITFIELD; of hashes, lists, sets, sorted sets all; of streams all
   but consumer groups; publish/subscribe, transactions, client-side caching (CLIENT TRACKING with
   REDIRECT). Lua is not there: EVAL and EVALSHA know the scripts of this library alone.

   What differs from Redis, and why:

       HELLO 3             is answered by NOPROTO: RESP3 is not spoken (node-redis 6 asks for it:
                           give it RESP: 2)
       not there, since    LCS, BITOP, BITFIELD, SORT, HyperLogLogs, GEO..., consumer groups; DUMP,
       a cache needs it    RESTORE, MIGRATE; FUNCTION, EVAL_RO; CLUSTER and replication; changes of
       not                 ACL, for there is one user; MODULE, MONITOR
       WAIT                answers 0 at once: there are no replicas to wait for
       SHUTDOWN            ends a server that listens, and is refused by one inside of a process
       SAVE, BGSAVE,       are errors without a log, rather than an OK that saves nothing
       BGREWRITEAOF
       SCAN                passes over what has expired, and leaves it to the server's tick
       MINID               of XADD and XTRIM removes all that is below, also after XSETID has set
                           the id back before deleted entries, where Redis stops
       CLIENT TRACKING     with BCAST, the keys of one message come in the order of their changes
       CLIENT LIST         has no figures for argv-mem, oll and omem; INFO, MEMORY, OBJECT FREQ and
                           IDLETIME tell this server's own
       errors              quote at most 500 bytes of a word
       ACL CAT             lists the categories, not the commands of one
       COMMAND             tells no subcommands, and COMMAND DOCS wants names
       SLOWLOG, LATENCY    are empty: nothing is measured
       CONFIG SET          refuses a NUL byte, behind which Redis does not look
       CLIENT NO-TOUCH,    are there, as in newer versions
       SET ... IFEQ

   MARK: - Threads and the scheduler

   One client serves all threads. Commands that are under way together lie in one buffer and are
   sent together; whoever waits drives the connection for all, and hands it on when its own reply
   is in. Opening a client for each thread is slower.

   Every operation is a state machine with a deadline. A blocking call starts one and drives it; an
   _async call starts one and returns. Callbacks run without locks, and may call anything but
   sc_close:

       on a thread of the client's own    after sc_start, or started by what needs it:
                                          subscriptions, timers, waiting for another process's
                                          load, renewing a lease while the loader computes
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

   MARK: - Timers and cron

   A client's loop also runs the program's own timers, by the rules of callbacks: on the client's
   thread, or inside sc_poll.

   ```c
   // cc -O2 -c timers.c
   #include "smartcache.h"

   #include <stdio.h>

   static void say(void *user, sc_timer timer, int64_t due_ms)
   {
       (void)timer;
       printf("%s, due at %lld\n", (const char *)user, (long long)due_ms);
   }

   // On working days at half past six in Berlin, whatever its clocks do in spring and autumn; and
   // each minute, not at once with the rest of the fleet.
   sc_status start_jobs(sc_client *client, sc_timer *report, sc_timer *sweep)
   {
       sc_cron_config daily = {0};
       daily.expression = "30 6 * * mon-fri";
       daily.zone = "Europe/Berlin";
       daily.on_due = say;
       daily.user = (void *)"report";
       sc_every_config often = {0};
       often.interval_ms = 60000;
       often.jitter_ms = 5000;
       often.on_due = say;
       often.user = (void *)"sweep";
       sc_status status = sc_cron(client, &daily, report);
       return status == SC_OK ? sc_every(client, &often, sweep) : status;
   }
   ```

   sc_after calls once. sc_timer_cancel ends any of them, from its own callback too. sc_cron_next
   tells when an expression is due, without a client. Each process has timers of its own: a job of
   sc_cron that is to run once in the fleet begins with SET ... NX EX on a key that has due_ms in it,
   and who gets nil leaves it to another.

   An expression has five fields, or six with seconds (0-59) before them:

       minute   hour   day of the month   month          weekday
       0-59     0-23   1-31               1-12, jan-dec  0-7, sun-sat; Sunday is 0 and 7

       *              each value               5-59/15       a range in steps; so *, slash and 5
       1,15           a list                   L             as a day: the month's last
       9-17, mon-fri  a range                  5L, fri#2     the last, the second Friday in a month

   or is @hourly, @daily, @midnight, @weekly, @monthly, @yearly or @annually. When neither the day
   of the month nor the weekday begins with a star, a day is due that is in either, as crontab(5)
   has it.

   The zone is UTC, a name of the system's time zone data, "local", an offset ("+05:30"), or a POSIX
   TZ string ("CET-1CEST,M3.5.0,M10.5.0/3"), which needs no data. When its clock is set forward,
   what it passes over is due at the first instant after it; when it is set back, what it shows
   again is not due again, unless the hours are all hours (*), so that what is due each five minutes
   goes on.
   Somebody may also set the clock of the machine: see sc_cron.

   MARK: - Refresh

   A job is a function that gives rows, and the keys that are made of them. The process that an
   election has made the leader calls it in the background, again and again; the others are ready to.

   ```c
   // cc -O2 -c refresh_prices.c
   #include "smartcache.h"

   #include <stdio.h>

   // On a thread of the client's. Rows go on as they come; an error leaves what was there.
   static sc_status prices(sc_job_run *run, void *user)
   {
       sc_status status = SC_OK;
       (void)user;
       for (int item = 1; item <= 1000 && status == SC_OK; item++) {
           char text[64];
           sc_job_row row = {0};
           int len = snprintf(text, sizeof text, "{\"id\":%d,\"cents\":%d}", item, 100 * item);
           row.value = sc_bytes(text, (size_t)len);
           status = sc_job_add(run, &row);
       }
       return status;
   }

   // All three change in the same instant, five minutes after they did so last.
   sc_status refresh_prices(sc_election *election, sc_job **job)
   {
       static const sc_job_key keys[3] = {{{"prices", 6}, SC_JOB_STRING},
                                          {{"price", 5}, SC_JOB_HASH},
                                          {{"by price", 8}, SC_JOB_SORTED_SET}};
       sc_job_config config = {0};
       config.name = "prices";
       config.keys = keys;
       config.key_count = 3;
       config.fetch = prices;
       config.id_prop = "id";
       config.score_prop = "cents";
       config.interval_ms = 300000;
       return sc_job_open(election, &config, job);
   }
   ```

   A build writes to keys of its own (shadow keys: "sc:new:", a random token, and the key), in
   pipelined pieces on a connection of its own, so that its memory does not grow with the data and
   other commands do not wait. Then one script compares the leader's term with that of the
   election's key, and the size of each shadow with what was sent, and renames all of them: readers
   see the old result or the new one, never a part, a mixture or nothing, and rows that are not in the
   data any more are gone. What was there goes by UNLINK. The swap of a leader that was overtaken is
   refused, and so is that of a build of which the server has lost a part. Shadow keys end by
   themselves (shadow_ttl_ms) when the process that builds dies.

   What is kept under a key: of SC_JOB_STRING the JSON array of all rows; of SC_JOB_LIST the rows in
   their order; of SC_JOB_HASH the rows by their ids; of SC_JOB_SET the rows; of SC_JOB_SORTED_SET the
   rows by their scores. A row without an id, or with that of an earlier one, fails the build with
   words that name it.

   A job that is registered where it leads is built at once. A process that becomes the leader asks
   when the fleet built the job last ("sc:job" and its name in braces, a hash), and builds it as soon
   as it is due, or at once if a key of it is missing. Of one job never two builds run at once in a
   process; of two leaders only the last one's swap is taken. After a failure (on_end,
   sc_job_stats_get) it is tried again with full jitter, up to `retries` times, and then at its
   regular time.

   A job without keys is a task: nothing is stored but when it was done. By cron it is begun once in
   the fleet for each time that it is due: who leads claims the time by a script before it begins, and
   a task whose process dies is not begun again for that time. What nobody was there for is due
   together, once, when somebody leads again.

   The functions run on a thread of the client's for all jobs, or more of them (sc_job_workers), so
   that a slow one holds up neither the leader's lease nor other callbacks. A program without threads
   gives `start` instead of `fetch`, and its rows by sc_job_rows as there is room; with `fetch` it is
   called inside of sc_poll, which renews the lease only while sc_job_add waits. A function that has
   passed fetch_timeout_ms is not killed: its next row is refused, and no other build of the job
   begins before it returns.

   MARK: - Fork and signals

   A forked child may use the parent's clients, caches and locks: it opens connections of its own,
   never speaks on the parent's, holds none of the parent's locks and none of its timers, leads in
   none of its elections, and its copies of calls under way are forgotten. Every descriptor is
   close-on-exec. No SIGPIPE is raised, and no signal handler is installed unless the program asks
   for it: sc_release_on_signal gives back what a client holds at SIGINT, SIGTERM and exit, and lets
   the handler of before act.

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

       memchr memcmp memcpy memmove memset strchr strcmp strcspn strlen strncmp strpbrk strspn

   Compilers call some more by themselves: functions of their own library for arithmetic that the
   processor lacks (__aeabi_uldivmod, __udivdi3, __clzdi2), and clang calls bcmp where it knows the
   C library to have it. SMARTCACHE_ASSERT adds what assert calls.

   Besides gcc and clang, tcc (x86, C only) compiles all of it, threads included; it has no
   thread-local variables, so each thread's error text is a block from malloc there. Any other C
   compiler needs C11's atomics, or SMARTCACHE_NO_THREADS.

   gcc (12, at least) spends most of its time on -Wmisleading-indentation, which is part of -Wall and
   slow in long files: with -Wno-misleading-indentation, the file that implements compiles much faster.

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
       base      errors, memory, bytes, hashing, maps, heaps, numbers, the calendar, JSON, threads,
                 platform
       resp      the Redis protocol, in and out: no input or output of its own, no clock
       net       URLs, addresses, name look-up, the transport, the poller, the loop
       server    the embedded server: keyspace, commands, log, sockets
       client    a connection and its life, pipelining, replies, scripts, publish/subscribe
       coord     the map of local flights, the lease, the wait for another's result
       cache     get-or-load, wrapped functions, timers, time zones, cron expressions

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
#include "api/base.h"

/* MARK: - Status (Public) */
#include "api/status.h"

/* MARK: - Platform (Public) */
#include "api/platform.h"

/* MARK: - Values (Public) */
#include "api/value.h"

/* MARK: - Replies (Public) */
#include "api/reply.h"

/* MARK: - Embedded server (Public) */
#include "api/server.h"

/* MARK: - Client (Public) */
#include "api/client.h"

/* MARK: - Publish and subscribe (Public) */
#include "api/subscribe.h"

/* MARK: - Single flight and keyed locks (Public) */
#include "api/flight.h"

/* MARK: - Locks (Public) */
#include "api/lock.h"

/* MARK: - Quorum locks (Public) */
#include "api/quorum.h"

/* MARK: - Elections (Public) */
#include "api/election.h"

/* MARK: - Signals (Public) */
#include "api/signal.h"

/* MARK: - Cache (Public) */
#include "api/cache.h"

/* MARK: - Wrapped functions (Public) */
#include "api/wrap.h"

/* MARK: - Timers (Public) */
#include "api/timer.h"

/* MARK: - Jobs (Public) */
#include "api/job.h"

#ifdef __cplusplus
}
#endif

#endif /* SMARTCACHE_H */

#if defined(SMARTCACHE_IMPLEMENTATION) && !defined(SCI_IMPLEMENTED)
#define SCI_IMPLEMENTED

/* MARK: - Prelude (Private) */
#include "base/prelude.h"
#include "base/atomic.h"
#include "base/list.h"

/* MARK: - Errors (Private) */
#include "base/error.c"

/* MARK: - Memory (Private) */
#include "base/memory.c"

/* MARK: - Growable bytes (Private) */
#include "base/bytes.c"

/* MARK: - Hash (Private) */
#include "base/hash.c"

/* MARK: - SHA-1 (Private) */
#include "base/sha1.c"

/* MARK: - Hash map (Private) */
#include "base/map.c"

/* MARK: - Timer heap (Private) */
#include "base/heap.c"

/* MARK: - Integers (Private) */
#include "base/number.c"

/* MARK: - Exact integers (Private) */
#include "base/big.c"

/* MARK: - Decimals (Private) */
#include "base/decimal.c"

/* MARK: - Doubles (Private) */
#include "base/double.c"

/* MARK: - Calendar (Private) */
#include "base/calendar.c"

/* MARK: - Small languages (Private) */
#include "base/phrase.c"

/* MARK: - JSON reader (Private) */
#include "base/json.c"

/* MARK: - Values (Private) */
#include "base/value.c"

/* MARK: - Threads (Private) */
#include "base/thread.c"

/* MARK: - Platform (Private) */
#include "base/platform_posix.c"

/* MARK: - Reply items (Private) */
#include "resp/item.c"

/* MARK: - RESP2 reader (Private) */
#include "resp/reader.c"

/* MARK: - RESP2 writer (Private) */
#include "resp/writer.c"

/* MARK: - URLs: text (Private) */
#include "net/url_text.c"

/* MARK: - URLs (Private) */
#include "net/url.c"

/* MARK: - Addresses (Private) */
#include "net/address.c"

/* MARK: - Name look-up (Private) */
#include "net/lookup.c"

/* MARK: - POSIX transport (Private) */
#include "net/posix_socket.c"

/* MARK: - POSIX signals (Private) */
#include "net/posix_signal.c"

/* MARK: - POSIX listener (Private) */
#include "net/posix_listen.c"

/* MARK: - Paths and other users (Private) */
#include "net/posix_private.c"

/* MARK: - POSIX poller (Private) */
#include "net/posix_poll.c"

/* MARK: - POSIX resolver (Private) */
#include "net/posix_resolve.c"

/* MARK: - POSIX files (Private) */
#include "net/posix_files.c"

/* MARK: - Scheduler (Private) */
#include "net/loop.c"

/* MARK: - Scripts of the library's own (Private) */
#include "server/scripts.h"

#ifndef SMARTCACHE_NO_SERVER

/* MARK: - Binary numbers (Private) */
#include "base/binary.c"

/* MARK: - Doubles as in C (Private) */
#include "base/double_c.c"

/* MARK: - Extended precision (Private) */
#include "base/extended.c"

/* MARK: - Server: requests (Private) */
#include "server/request.c"

/* MARK: - Server: counted memory (Private) */
#include "server/memory.c"

/* MARK: - Server: words (Private) */
#include "server/word.c"

/* MARK: - Server: answers (Private) */
#include "server/answer.c"

/* MARK: - Server: glob patterns (Private) */
#include "server/glob.c"

/* MARK: - Server: slots and buckets (Private) */
#include "server/slots.c"

/* MARK: - Server: members (Private) */
#include "server/members.c"

/* MARK: - Server: sorted sets: look-up (Private) */
#include "server/sorted_index.c"

/* MARK: - Server: sorted sets: order (Private) */
#include "server/sorted_tree.c"

/* MARK: - Server: sorted sets: small ones (Private) */
#include "server/sorted_pack.c"

/* MARK: - Server: sorted sets: large ones (Private) */
#include "server/sorted_full.c"

/* MARK: - Server: sorted sets (Private) */
#include "server/sorted.c"

/* MARK: - Server: packed stream entries (Private) */
#include "server/stream_chunk.c"

/* MARK: - Server: streams (Private) */
#include "server/stream.c"

/* MARK: - Server: whole streams (Private) */
#include "server/stream_dump.c"

/* MARK: - Server: hashes and sets (Private) */
#include "server/members_type.c"

/* MARK: - Server: lists (Private) */
#include "server/deque.c"

/* MARK: - Server: types of values (Private) */
#include "server/types.c"

/* MARK: - Server: expiry (Private) */
#include "server/expiry.c"

/* MARK: - Server: keyspace (Private) */
#include "server/keyspace.c"

/* MARK: - Server: strings (Private) */
#include "server/string.c"

/* MARK: - Server: eviction (Private) */
#include "server/evict.c"

/* MARK: - Server: keys as commands see them (Private) */
#include "server/key.c"

/* MARK: - Server: publish and subscribe (Private) */
#include "server/pubsub.c"

/* MARK: - Server: client-side caching (Private) */
#include "server/tracking.c"

/* MARK: - Server: transactions (Private) */
#include "server/transaction.c"

/* MARK: - Server: waiting for keys (Private) */
#include "server/wait.c"

/* MARK: - Server: pauses (Private) */
#include "server/pause.c"

/* MARK: - Server: containers of commands (Private) */
#include "server/subcommand.c"

/* MARK: - Server: commands of a connection (Private) */
#include "server/cmd_connection.c"

/* MARK: - Server: commands on connections (Private) */
#include "server/cmd_client.c"

/* MARK: - Server: its own scripts (Private) */
#include "server/cmd_script.c"

/* MARK: - Server: scripts of locks (Private) */
#include "server/script_lock.c"

/* MARK: - Server: scripts of jobs (Private) */
#include "server/script_job.c"

/* MARK: - Server: commands of publish and subscribe (Private) */
#include "server/cmd_pubsub.c"

/* MARK: - Server: commands of client-side caching (Private) */
#include "server/cmd_tracking.c"

/* MARK: - Server: scans (Private) */
#include "server/scan.c"

/* MARK: - Server: commands of keys (Private) */
#include "server/cmd_keys.c"

/* MARK: - Server: commands of expiry (Private) */
#include "server/cmd_expire.c"

/* MARK: - Server: commands that move keys (Private) */
#include "server/cmd_move.c"

/* MARK: - Server: commands of strings (Private) */
#include "server/cmd_string.c"

/* MARK: - Server: commands of numbers (Private) */
#include "server/cmd_number.c"

/* MARK: - Server: commands of parts of strings (Private) */
#include "server/cmd_range.c"

/* MARK: - Server: commands of bits (Private) */
#include "server/cmd_bit.c"

/* MARK: - Server: collections (Private) */
#include "server/collection.c"

/* MARK: - Server: commands of hashes (Private) */
#include "server/cmd_hash.c"

/* MARK: - Server: commands of sets (Private) */
#include "server/cmd_set.c"

/* MARK: - Server: commands of several sets (Private) */
#include "server/cmd_setop.c"

/* MARK: - Server: commands on lists (Private) */
#include "server/cmd_list.c"

/* MARK: - Server: commands between lists (Private) */
#include "server/cmd_list_move.c"

/* MARK: - Server: sorted sets: what their commands share (Private) */
#include "server/zset.c"

/* MARK: - Server: commands of sorted sets (Private) */
#include "server/cmd_zset.c"

/* MARK: - Server: commands of sorted sets: ranges (Private) */
#include "server/cmd_zset_range.c"

/* MARK: - Server: commands of sorted sets: popping, chance (Private) */
#include "server/cmd_zset_pop.c"

/* MARK: - Server: commands of sorted sets: union, intersection, difference (Private) */
#include "server/cmd_zset_algebra.c"

/* MARK: - Server: commands that read streams (Private) */
#include "server/cmd_stream_read.c"

/* MARK: - Server: commands that change streams (Private) */
#include "server/cmd_stream.c"

/* MARK: - Server: commands about the server (Private) */
#include "server/cmd_server.c"

/* MARK: - Server: configuration (Private) */
#include "server/cmd_config.c"

/* MARK: - Server: INFO, MEMORY (Private) */
#include "server/cmd_info.c"

/* MARK: - Server: COMMAND (Private) */
#include "server/cmd_command.c"

/* MARK: - Server: dispatch (Private) */
#include "server/dispatch.c"

/* MARK: - Server: records of the log (Private) */
#include "server/log_record.c"

/* MARK: - Server: files of the log (Private) */
#include "server/log_file.c"

/* MARK: - Server: syncs of the log (Private) */
#include "server/log_sync.c"

/* MARK: - Server: log (Private) */
#include "server/log.c"

/* MARK: - Server: loading the log (Private) */
#include "server/log_load.c"

/* MARK: - Server: rewriting the log (Private) */
#include "server/log_rewrite.c"

/* MARK: - Server: sessions (Private) */
#include "server/session.c"

/* MARK: - Server (Private) */
#include "server/server.c"

/* MARK: - Server: ticker (Private) */
#include "server/ticker.c"

/* MARK: - Server: words of its configuration (Private) */
#include "server/words.c"

/* MARK: - Server: host (Private) */
#include "server/host.c"

/* MARK: - Server: visitors (Private) */
#include "server/visit.c"

/* MARK: - Server: opening (Private) */
#include "server/open.c"

/* MARK: - Server: streams inside of the process (Private) */
#include "server/pipe.c"

#endif /* SMARTCACHE_NO_SERVER */

/* MARK: - Receive buffers (Private) */
#include "client/chunk.c"

/* MARK: - Replies (Private) */
#include "client/reply.c"

/* MARK: - Waiting (Private) */
#include "client/wait.c"

/* MARK: - Connections: queue (Private) */
#include "client/conn.c"

/* MARK: - Connections: wire (Private) */
#include "client/wire.c"

/* MARK: - Connections: life (Private) */
#include "client/life.c"

/* MARK: - Subscriber (Private) */
#include "client/subscriber.c"

/* MARK: - Client (Private) */
#include "client/client.c"

#ifndef SMARTCACHE_NO_SERVER

/* MARK: - Sharing a server (Private) */
#include "client/share.c"

/* MARK: - Servers inside (Private) */
#include "client/embedded.c"

#endif /* SMARTCACHE_NO_SERVER */

/* MARK: - Fork (Private) */
#include "client/fork.c"

/* MARK: - Commands (Private) */
#include "client/command.c"

/* MARK: - Pipelines and transactions (Private) */
#include "client/pipeline.c"

/* MARK: - Scripts (Private) */
#include "client/script.c"

/* MARK: - Scans (Private) */
#include "client/scan.c"

/* MARK: - Transfers (Private) */
#include "client/transfer.c"

/* MARK: - Subscriptions (Private) */
#include "client/subscribe.c"

/* MARK: - Signals (Private) */
#include "client/release.c"

/* MARK: - Local lock map (Private) */
#include "coord/lockmap.c"

/* MARK: - Names (Private) */
#include "coord/names.c"

/* MARK: - Lease (Private) */
#include "coord/lease.c"

/* MARK: - Locks (Private) */
#include "coord/lock.c"

/* MARK: - Locks: asking, holding, leaving (Private) */
#include "coord/lock_state.c"

/* MARK: - Quorum locks (Private) */
#include "coord/quorum.c"

/* MARK: - Quorum locks: what is decided (Private) */
#include "coord/quorum_state.c"

/* MARK: - Quorum locks: one server each (Private) */
#include "coord/quorum_member.c"

/* MARK: - Elections (Private) */
#include "coord/election.c"

/* MARK: - Elections: campaigning, leading, stopping (Private) */
#include "coord/election_state.c"

/* MARK: - Elections: who leads (Private) */
#include "coord/election_watch.c"

/* MARK: - Cache (Private) */
#include "cache/cache.c"

/* MARK: - Outcomes (Private) */
#include "cache/outcome.c"

/* MARK: - Flights (Private) */
#include "cache/flight.c"

/* MARK: - Flights: asking and waiting (Private) */
#include "cache/flight_ask.c"

/* MARK: - Flights: loading and storing (Private) */
#include "cache/flight_store.c"

/* MARK: - Get or load (Private) */
#include "cache/load.c"

/* MARK: - JSON tree (Private) */
#include "cache/json_tree.c"

/* MARK: - Arguments (Private) */
#include "cache/arg.c"

/* MARK: - Signatures (Private) */
#include "cache/signature.c"

/* MARK: - Wrapped functions (Private) */
#include "cache/wrap.c"

/* MARK: - Timers: what all share (Private) */
#include "cache/alarm.c"

/* MARK: - Timers (Private) */
#include "cache/timer.c"

/* MARK: - Time zones: rules (Private) */
#include "cache/zone_rule.c"

/* MARK: - Time zones (Private) */
#include "cache/zone.c"

/* MARK: - Time zones by name (Private) */
#include "cache/zone_open.c"

/* MARK: - Cron expressions (Private) */
#include "cache/cron.c"

/* MARK: - Timers by cron expressions (Private) */
#include "cache/cron_timer.c"

/* MARK: - Jobs (Private) */
#include "cache/job.c"

/* MARK: - Jobs: when they are due (Private) */
#include "cache/job_time.c"

/* MARK: - Jobs: a build (Private) */
#include "cache/job_build.c"

/* MARK: - Jobs: shadow keys (Private) */
#include "cache/job_chunk.c"

/* MARK: - Jobs: rows (Private) */
#include "cache/job_rows.c"

/* MARK: - Jobs: workers (Private) */
#include "cache/job_worker.c"

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
