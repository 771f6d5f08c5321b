#pragma once
/* A lease on a key: the right of one process to load it, for a bounded time, owned by a random
   token (leases: Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013). All locked. */

#include "client/script.h"
#include "coord/names.h"

/* 128 random bits in hexadecimal. */
#define SCI_TOKEN_LEN 32

/* Draw one, without a NUL. */
SCI_PRIVATE sc_status sci_token_draw(sc_client *client, char token[SCI_TOKEN_LEN]);

/* Allowance for clocks that run apart: 1 % of the life, and 2 ms. */
#define SCI_LEASE_DRIFT_MS(life_ms) ((life_ms) / 100 + 2)

/* Shared by all leases of an owner. */
typedef struct sci_lease_scripts {
    sc_script acquire;
    sc_script store;
    sc_script renew;
} sci_lease_scripts;

SCI_PRIVATE void sci_lease_scripts_init(sci_lease_scripts *scripts);
/* The renewal of a key that has a token as its value: of leases, locks, elections, quorum locks. */
SCI_PRIVATE void sci_renewal_init(sc_script *script);

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
    bool is_lost;    /* it was held, and ended before it was given back */
    bool is_refused; /* the server answered giving back with an error */
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
   is wanted, or "". `wants_errors`: also when it, or one that is remembered, is an error.
   `is_attended`: a thread is about to receive the answer. */
SCI_PRIVATE void sci_lease_acquire(sci_lease *lease, const char *awaited, bool wants_errors,
                                   bool is_attended);
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
