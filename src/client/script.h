#pragma once
/* Scripts as ops, for the public calls and for the rooms above. */

#include "client/command.h"

#define SCI_SHA1_HEX_LEN 40

struct sc_script {
    sc_memory memory;
    char *owned; /* the source, when it was copied */
    sc_slice source;
    char sha1[SCI_SHA1_HEX_LEN + 1];
    bool is_renewal; /* SET KEYS[2] ARGV[1] IFEQ ARGV[1] PX ARGV[2] does the same */
};

/* For a script whose source lives as long as the program. */
SCI_PRIVATE void sci_script_init(sc_script *script, const char *source);

/* EVALSHA, then EVAL where the server does not know it; a renewal is a SET before that, until a
   server of this connection has refused one. Keys and args are borrowed until `done`. */
typedef struct sci_eval_op {
    sci_op op;
    const sc_script *script;
    const sc_slice *keys;
    size_t key_count;
    const sc_slice *args;
    size_t arg_count;
    bool is_full;                           /* the text is sent */
    bool is_set;                            /* a SET was sent */
    void (*done)(struct sci_eval_op *eval); /* locked, as an op's `complete` */
} sci_eval_op;

SCI_PRIVATE void sci_eval_init(sci_eval_op *eval, const sc_script *script, const sc_slice *keys,
                               size_t key_count, const sc_slice *args, size_t arg_count,
                               void (*done)(sci_eval_op *eval));
/* `encode` of its op, should another one do something before. */
SCI_PRIVATE sc_status sci_eval_encode(sci_op *op, sci_bytes *out);
/* The answer of a script that gives a number, or of the SET in its place: 1 or 0. */
SCI_PRIVATE sc_status sci_eval_integer(const sci_eval_op *eval, int64_t *number);
