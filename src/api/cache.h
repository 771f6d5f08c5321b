#pragma once
/* The cache: values under keys, and get-or-load, which computes a missing value once in the fleet.
 */

#include "api/subscribe.h"

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
                            themselves, also when another's is remembered */
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
