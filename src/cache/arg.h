#pragma once
/* Arguments of wrapped functions, and lists of them. */

#include "api/wrap.h"
#include "base/memory.h"

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
