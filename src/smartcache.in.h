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
       Build switches
       What a program can rely on
       The rooms of this file
   then the public API (search for "(Public)"), the implementation ("(Private)") and the licence.

   MARK: - What it is

   A program asks for a value by key and brings the function that computes it. Of all the threads
   and processes that miss the key at the same moment, on one host or on many, one runs the
   function; the others wait and get its result. The results live in Redis or Valkey as raw bytes
   under the keys that the program names, so that any other client can share them.

   The file carries its own Redis client: RESP2, one connection that any number of threads share and
   that pipelines by itself, reconnecting with back-off, publish/subscribe, scripts, transactions.
   It needs libc and, unless told otherwise, POSIX threads; nothing else.

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

   MARK: - Options

   A zero-initialised struct means these defaults. Durations are milliseconds.

       sc_config               url                    redis://localhost:6379
                               timeout_ms             5,000; one deadline over all that a call does
                               connect_timeout_ms     timeout_ms
                               backoff_min_ms         50, doubling; the wait is random below that
                               backoff_max_ms         2,000
                               idle_check_ms          30,000
                               max_output_bytes       64 MiB
                               receive_buffer_bytes   16 KiB
       sc_limits               max_depth              32
                               max_elements           16,777,216
                               max_bulk_bytes         512 MiB
                               max_reply_bytes        1 GiB
       sc_load_options         ttl_ms                 1,800,000 (30 minutes)
                               negative_ttl_ms        0: a failed load is not remembered
                               lease_ms               30,000, renewed while the loader runs
                               wait_ms                60,000
                               poll_ms                1,000
                               outage                 SC_OUTAGE_LOAD: load without the server
       sc_wrap_config          lock_timeout_ms        30,000
                               ttl_ms                 1,800,000
                               timeout_ms             60,000
                               key_prefix             "smartcache"; interop: "distributed-promise"
                               lock_prefix            "lock"
                               notify_prefix          "notif"
                               key_separator          ":"

   The comments of the structs have the rest.

   MARK: - Build switches

   Define them before including this file, in all files of the program alike. All are off by
   default.

       SMARTCACHE_IMPLEMENTATION   this file also holds the implementation; one file of the program
       SMARTCACHE_STATIC           every function is private to the including file; saves what the
                                   compiler finds unused
       SMARTCACHE_NO_THREADS       no locks and no threads: one thread uses the library; saves
                                   -pthread (host names are then looked up in a forked helper)
       SMARTCACHE_NO_POSIX         no sockets, clock, memory and random numbers of the library's
                                   own: sc_config brings each table; implies SMARTCACHE_NO_THREADS;
                                   saves about 9 KiB
       SMARTCACHE_ASSERT           checks the library's own invariants and aborts on a broken one;
                                   costs code, saves nothing

   With SMARTCACHE_IMPLEMENTATION the file asks the C library for its POSIX and BSD functions
   (_DEFAULT_SOURCE), which counts only before the first system header: hence "before it includes
   any system header". Compilers in their GNU mode, the default of gcc and clang, ask for them
   anyway.

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

/* The implementation needs more of the system's headers than plain C declares. */
#if defined(SMARTCACHE_IMPLEMENTATION) && !defined(_DEFAULT_SOURCE) && !defined(_GNU_SOURCE)
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

/* MARK: - Client (Public) */
#include "api/client.h"

/* MARK: - Publish and subscribe (Public) */
#include "api/subscribe.h"

/* MARK: - Single flight and keyed locks (Public) */
#include "api/flight.h"

/* MARK: - Cache (Public) */
#include "api/cache.h"

/* MARK: - Wrapped functions (Public) */
#include "api/wrap.h"

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

/* MARK: - Numbers (Private) */
#include "base/number.c"

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

/* MARK: - URLs (Private) */
#include "net/url.c"

/* MARK: - Addresses (Private) */
#include "net/address.c"

/* MARK: - Name look-up (Private) */
#include "net/lookup.c"

/* MARK: - POSIX transport (Private) */
#include "net/posix_socket.c"

/* MARK: - POSIX poller (Private) */
#include "net/posix_poll.c"

/* MARK: - POSIX resolver (Private) */
#include "net/posix_resolve.c"

/* MARK: - Scheduler (Private) */
#include "net/loop.c"

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

/* MARK: - Local lock map (Private) */
#include "coord/lockmap.c"

/* MARK: - Names (Private) */
#include "coord/names.c"

/* MARK: - Lease (Private) */
#include "coord/lease.c"

/* MARK: - Cache (Private) */
#include "cache/cache.c"

/* MARK: - Outcomes (Private) */
#include "cache/outcome.c"

/* MARK: - Flights (Private) */
#include "cache/flight.c"

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
