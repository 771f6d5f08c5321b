#pragma once
/* The cache's structs. Guarded by the client's lock, as everything on a client is. */

#include "api/cache.h"
#include "coord/lease.h"

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
