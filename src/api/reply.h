#pragma once
/* Replies: what the server answered, typed, with checked accessors. */

#include "api/value.h"

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
