#pragma once
/* What the native forms of the library's own scripts share: redis.call, and what they do most. */

#include "server/dispatch.h"

/* Places of the keys of get-or-load's scripts; SCI_SCRIPT_LEASE is the lock itself in those of
   locks. */
#define SCI_SCRIPT_VALUE 0
#define SCI_SCRIPT_LEASE 1
#define SCI_SCRIPT_RESULT 2
#define SCI_SCRIPT_FENCE_KEY 0
#define SCI_SCRIPT_QUEUE 2
#define SCI_SCRIPT_ALIVE 3

/* A script that runs: the call that asked for it, its keys and arguments, and where its own
   commands answer. */
typedef struct sci_script_run {
    sci_call *call;
    const sc_slice *keys;
    size_t key_count;
    const sc_slice *args;
    size_t arg_count;
    sci_bytes answer;
} sci_script_run;

/* redis.call: false when it failed, after answering the script's caller. */
SCI_PRIVATE bool sci_script_do(sci_script_run *run, const sc_slice *words, size_t count);
/* The string under a key; false after answering that it is none. `*text` NULL: no key. */
SCI_PRIVATE bool sci_script_get(sci_script_run *run, size_t key, sc_slice *text);
/* `life_ms` empty: no expiry. */
SCI_PRIVATE bool sci_script_set(sci_script_run *run, size_t key, sc_slice value, sc_slice life_ms);
SCI_PRIVATE bool sci_script_publish(sci_script_run *run, sc_slice channel, sc_slice message);
/* PTTL of a key that is there. */
SCI_PRIVATE int64_t sci_script_ttl_ms(const sci_script_run *run, size_t key);
/* Pieces in one block, to be freed; false after answering that there is no memory. */
SCI_PRIVATE bool sci_script_join(sci_script_run *run, sci_bytes *joined, const sc_slice *pieces,
                                 size_t count);

/* script_lock.c */

/* The script's own command on a key, with an argument or two. */
SCI_PRIVATE bool sci_script_do_on(sci_script_run *run, const char *name, size_t key, sc_slice first,
                                  sc_slice second);
/* The string in the answer, or the only one in its array; NULL: none. */
SCI_PRIVATE sc_slice sci_script_answered(const sci_script_run *run);
/* The integer that the answer is. */
SCI_PRIVATE int64_t sci_script_counted(const sci_script_run *run);
SCI_PRIVATE void sci_script_lock(sci_script_run *run);
SCI_PRIVATE void sci_script_unlock(sci_script_run *run);
SCI_PRIVATE void sci_script_lead(sci_script_run *run);
SCI_PRIVATE void sci_script_unlead(sci_script_run *run);
SCI_PRIVATE void sci_script_fence(sci_script_run *run);
SCI_PRIVATE void sci_script_renew_lead(sci_script_run *run);
SCI_PRIVATE void sci_script_share(sci_script_run *run);
SCI_PRIVATE void sci_script_unshare(sci_script_run *run);
SCI_PRIVATE void sci_script_renew_share(sci_script_run *run);

/* script_job.c */

SCI_PRIVATE void sci_script_swap(sci_script_run *run);
SCI_PRIVATE void sci_script_claim(sci_script_run *run);
SCI_PRIVATE void sci_script_drop(sci_script_run *run);
