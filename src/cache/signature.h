#pragma once
/* The arguments of a wrapped function as the last part of its key. */

#include "api/wrap.h"
#include "base/bytes.h"

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
