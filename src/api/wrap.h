#pragma once
/* Wrapped functions: give a function a name; calling it with arguments computes the key from them,
   and one process in the fleet runs it. */

#include "api/cache.h"

/* An argument of a wrapped function, made by the functions below. Borrows what it points to. */
typedef struct sc_arg {
    int kind;        /* private */
    int64_t integer; /* private */
    double number;   /* private */
    sc_slice bytes;  /* private */
} sc_arg;

SC_API sc_arg sc_arg_null(void);
SC_API sc_arg sc_arg_bool(bool value);
SC_API sc_arg sc_arg_integer(int64_t value);
SC_API sc_arg sc_arg_double(double value);
SC_API sc_arg sc_arg_text(const char *value); /* NULL is null */
SC_API sc_arg sc_arg_bytes(sc_slice value);   /* a string of any bytes */
SC_API sc_arg sc_arg_json(sc_slice json);     /* one JSON value: an object, an array, ... */

/* What a wrapped function reads its arguments with. A number, bool, null or string that was given
   as JSON text answers like one that was not. Any thread. */
SC_API bool sc_arg_is_null(const sc_arg *arg);
/* SC_ERR_TYPE for anything else. */
SC_API sc_status sc_arg_get_bool(const sc_arg *arg, bool *value);
/* Any number without a fraction, if it is exact: 1.0 and 1e3 are integers too. SC_ERR_TYPE. */
SC_API sc_status sc_arg_get_integer(const sc_arg *arg, int64_t *value);
/* Any number. SC_ERR_TYPE. */
SC_API sc_status sc_arg_get_double(const sc_arg *arg, double *value);
/* A string's bytes, borrowed from the argument. SC_ERR_TYPE, also for a string that was given by
   sc_arg_json and has escapes, or whose escapes are no characters (lone surrogates). */
SC_API sc_status sc_arg_get_bytes(const sc_arg *arg, sc_slice *value);
/* The JSON text of an argument made by sc_arg_json; of sc_call_json's, of an object, an array, a
   number with fraction or exponent, and the like. SC_ERR_TYPE for the others. */
SC_API sc_status sc_arg_get_json(const sc_arg *arg, sc_slice *value);

/* A wrapped function. Any thread may call it. */
typedef struct sc_wrapped sc_wrapped;

/* The function: writes its result with sc_load_write and returns as a loader does. In interop mode
   the result must be JSON text. */
typedef sc_status (*sc_function)(sc_load *load, const sc_arg *args, size_t arg_count, void *user);

/* Zeros: the defaults. Everything is copied. */
typedef struct sc_wrap_config {
    const char *key;      /* the function's name in the fleet: required */
    sc_function function; /* required */
    void *user;
    int64_t lock_timeout_ms; /* how long the right to compute lasts, renewed meanwhile: 30,000 */
    int64_t
        ttl_ms; /* how long a result is kept: 1,800,000; SC_TTL_NONE shares and stores nothing */
    int64_t timeout_ms;        /* how long to wait for another process: 60,000; -1: for ever */
    const char *key_prefix;    /* before all keys: "smartcache"; interop: "distributed-promise" */
    const char *lock_prefix;   /* names the locks: "lock" */
    const char *notify_prefix; /* names the channels: "notif" */
    const char *key_separator; /* between the parts of a key: ":" */
    bool interop;         /* speak the wire format of npm's @jpwilliams/distributed-promise, so that
                             its processes and ours share one computation: keys by sigmund, JSON results */
    sc_load_options load; /* what else get-or-load knows; the fields above win where they are set */
} sc_wrap_config;

/* Wrap a function. SC_ERR_ARGUMENT names the field; SC_ERR_MEMORY. Closed before or after the
 * client. */
SC_API sc_status sc_wrap(sc_client *client, const sc_wrap_config *config, sc_wrapped **wrapped);
SC_API void sc_wrapped_close(sc_wrapped *wrapped); /* NULL is fine */

/* Call it: the stored result, or one computation in the fleet. As sc_get_or_load; SC_ERR_ARGUMENT
   names the argument that is no JSON. */
SC_API sc_status sc_call(sc_wrapped *wrapped, const sc_arg *args, size_t arg_count,
                         sc_value **result);
SC_API sc_status sc_call_async(sc_wrapped *wrapped, const sc_arg *args, size_t arg_count,
                               sc_on_value on_value, void *user);
/* The arguments as the text of a JSON array: sc_call_json(w, "[\"foo\", 1]", &result). The function
   gets each element as an argument. */
SC_API sc_status sc_call_json(sc_wrapped *wrapped, const char *json_array, sc_value **result);
/* Forget the result for these arguments, as sc_invalidate. */
SC_API sc_status sc_call_invalidate(sc_wrapped *wrapped, const sc_arg *args, size_t arg_count);
/* The key under which the result for these arguments is stored, for a look by redis-cli. The caller
   releases it. */
SC_API sc_status sc_call_key(sc_wrapped *wrapped, const sc_arg *args, size_t arg_count,
                             sc_value **key);
