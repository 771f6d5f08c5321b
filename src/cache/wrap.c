/* Wrapped functions: the key from the arguments, and get-or-load on it. */

#include "api/wrap.h"

#include "base/error.h"
#include "base/json.h"
#include "base/number.h"
#include "cache/arg.h"
#include "cache/load.h"
#include "cache/signature.h"

#define SCI_WRAP_PREFIX "smartcache"
#define SCI_WRAP_INTEROP_PREFIX "distributed-promise"
#define SCI_WRAP_LOCK "lock"
#define SCI_WRAP_NOTIFY "notif"
#define SCI_WRAP_SEPARATOR ":"
/* Beside the other package's names, so that they never meet: ours for what it does not know. */
#define SCI_WRAP_RESULT "sc-result"
#define SCI_WRAP_DONE "sc-done"

typedef enum sci_wrap_text {
    SCI_WRAP_TEXT_KEY,
    SCI_WRAP_TEXT_PREFIX,
    SCI_WRAP_TEXT_LOCK,
    SCI_WRAP_TEXT_NOTIFY,
    SCI_WRAP_TEXT_SEPARATOR,
    SCI_WRAP_TEXTS
} sci_wrap_text;

struct sc_wrapped {
    sc_memory memory;
    sci_atomic_u32 references; /* the handle's and each asynchronous call's */
    sc_cache *cache;           /* owned */
    sc_function function;
    void *user;
    bool is_interop;
    char *texts[SCI_WRAP_TEXTS]; /* owned */
};

static void sci_wrapped_release(sc_wrapped *wrapped)
{
    if (sci_atomic_subtract(&wrapped->references, 1) != 1)
        return;
    sc_memory memory = wrapped->memory;
    sc_cache_close(wrapped->cache);
    for (size_t i = 0; i < SCI_WRAP_TEXTS; i++)
        sci_free_text(&memory, wrapped->texts[i]);
    sci_free(&memory, wrapped, sizeof *wrapped);
}

static sc_status sci_wrap_copy_texts(sc_wrapped *wrapped, const sc_wrap_config *config)
{
    const char *texts[SCI_WRAP_TEXTS];
    const char *default_prefix = config->interop ? SCI_WRAP_INTEROP_PREFIX : SCI_WRAP_PREFIX;
    texts[SCI_WRAP_TEXT_KEY] = config->key;
    texts[SCI_WRAP_TEXT_PREFIX] = config->key_prefix ? config->key_prefix : default_prefix;
    texts[SCI_WRAP_TEXT_LOCK] = config->lock_prefix ? config->lock_prefix : SCI_WRAP_LOCK;
    texts[SCI_WRAP_TEXT_NOTIFY] = config->notify_prefix ? config->notify_prefix : SCI_WRAP_NOTIFY;
    texts[SCI_WRAP_TEXT_SEPARATOR] =
        config->key_separator ? config->key_separator : SCI_WRAP_SEPARATOR;
    for (size_t i = 0; i < SCI_WRAP_TEXTS; i++) {
        wrapped->texts[i] = sci_copy_text(&wrapped->memory, sc_text(texts[i]));
        if (!wrapped->texts[i])
            return SC_ERR_MEMORY;
    }
    return SC_OK;
}

static sc_status sci_wrap_open_cache(sc_client *client, const sc_wrap_config *config,
                                     sc_wrapped *wrapped)
{
    sc_cache_config cache_config;
    memset(&cache_config, 0, sizeof cache_config);
    cache_config.load = config->load;
    if (config->lock_timeout_ms)
        cache_config.load.lease_ms = config->lock_timeout_ms;
    if (config->ttl_ms)
        cache_config.load.ttl_ms = config->ttl_ms;
    if (config->timeout_ms)
        cache_config.load.wait_ms = config->timeout_ms;
    return sc_cache_open(client, &cache_config, &wrapped->cache);
}

SC_API sc_status sc_wrap(sc_client *client, const sc_wrap_config *config, sc_wrapped **wrapped)
{
    *wrapped = NULL;
    if (!client || !config)
        return sc_fail(SC_ERR_ARGUMENT, "the %s is NULL", client ? "config" : "client");
    if (!config->key || !*config->key)
        return sc_fail(SC_ERR_ARGUMENT, "sc_wrap_config.key is missing: name the function");
    if (!config->function)
        return sc_fail(SC_ERR_ARGUMENT, "sc_wrap_config.function is NULL");
    sc_wrapped *created = (sc_wrapped *)sci_alloc_zeroed(&client->memory, sizeof *created);
    if (!created)
        return SC_ERR_MEMORY;
    created->memory = client->memory;
    created->references.value = 1;
    created->function = config->function;
    created->user = config->user;
    created->is_interop = config->interop;
    sc_status status = sci_wrap_copy_texts(created, config);
    if (status == SC_OK)
        status = sci_wrap_open_cache(client, config, created);
    if (status != SC_OK) {
        sci_wrapped_release(created);
        return status;
    }
    *wrapped = created;
    return SC_OK;
}

SC_API void sc_wrapped_close(sc_wrapped *wrapped)
{
    if (wrapped)
        sci_wrapped_release(wrapped);
}

/* Keys. */

/* PREFIX : KIND : NAME : SIGNATURE; without a kind for the value. Our own keys put name and
   signature into a hash tag, so that all of a call's keys share a slot. */
static sc_status sci_wrap_name(const sc_wrapped *wrapped, const char *kind, sc_slice signature,
                               sci_bytes *out)
{
    char *const *texts = wrapped->texts;
    const char *separator = texts[SCI_WRAP_TEXT_SEPARATOR];
    const char *const parts[] = {texts[SCI_WRAP_TEXT_PREFIX],
                                 separator,
                                 kind ? kind : "",
                                 kind ? separator : "",
                                 wrapped->is_interop ? "" : "{",
                                 texts[SCI_WRAP_TEXT_KEY],
                                 separator};
    sc_status status = SC_OK;
    for (size_t i = 0; i < SCI_COUNT(parts) && status == SC_OK; i++)
        status = sci_bytes_append_text(out, parts[i]);
    if (status == SC_OK)
        status = sci_bytes_append(out, signature);
    if (status == SC_OK && !wrapped->is_interop)
        status = sci_bytes_append_char(out, '}');
    return status;
}

static sc_status sci_wrap_signature(const sc_wrapped *wrapped, const sc_arg *args, size_t arg_count,
                                    sci_bytes *out)
{
    return wrapped->is_interop ? sci_signature_sigmund(args, arg_count, out)
                               : sci_signature_canonical(args, arg_count, out);
}

/* One call: its arguments and its names. */
typedef struct sci_wrapped_call {
    sc_wrapped *wrapped;
    const sc_arg *args;
    size_t arg_count;
    sci_bytes signature; /* owned */
    sci_bytes key;       /* owned: the value's */
    sci_args copy;       /* asynchronous: owned */
    size_t block_bytes;  /* asynchronous: of this struct */
} sci_wrapped_call;

static void sci_wrapped_call_free(sci_wrapped_call *call)
{
    sci_bytes_free(&call->signature);
    sci_bytes_free(&call->key);
}

static sc_status sci_wrapped_call_init(sci_wrapped_call *call, sc_wrapped *wrapped,
                                       const sc_arg *args, size_t arg_count)
{
    memset(call, 0, sizeof *call);
    if (!wrapped)
        return sc_fail(SC_ERR_ARGUMENT, "the wrapped function is NULL");
    call->wrapped = wrapped;
    call->args = args;
    call->arg_count = arg_count;
    sci_bytes_init(&call->signature, &wrapped->memory);
    sci_bytes_init(&call->key, &wrapped->memory);
    sc_status status = sci_wrap_signature(wrapped, args, arg_count, &call->signature);
    if (status == SC_OK)
        status = sci_wrap_name(wrapped, NULL, sci_bytes_slice(&call->signature), &call->key);
    if (status != SC_OK)
        sci_wrapped_call_free(call);
    return status;
}

/* All names of a call, in one block. */
static sc_status sci_wrapped_names(const sci_target *target, sci_names *names)
{
    const sci_wrapped_call *call = (const sci_wrapped_call *)target->owner;
    const sc_wrapped *wrapped = call->wrapped;
    sci_bytes *block = &names->block;
    sc_slice signature = sci_bytes_slice(&call->signature);
    const char *notify = wrapped->texts[SCI_WRAP_TEXT_NOTIFY];
    const char *const kinds[] = {NULL, wrapped->texts[SCI_WRAP_TEXT_LOCK], SCI_WRAP_RESULT,
                                 wrapped->is_interop ? SCI_WRAP_DONE : notify, notify};
    sc_slice *const slices[] = {&names->value, &names->lease, &names->result, &names->channel,
                                &names->raw_channel};
    size_t ends[SCI_COUNT(kinds) + 1] = {0};
    size_t count = wrapped->is_interop ? SCI_COUNT(kinds) : SCI_COUNT(kinds) - 1;
    for (size_t i = 0; i < count; i++) {
        sc_status status = sci_wrap_name(wrapped, kinds[i], signature, block);
        if (status != SC_OK)
            return status;
        ends[i + 1] = sci_bytes_len(block);
    }
    const char *text = sci_bytes_slice(block).data;
    for (size_t i = 0; i < count; i++)
        *slices[i] = sc_bytes(text + ends[i], ends[i + 1] - ends[i]);
    return SC_OK;
}

/* JSON texts that JavaScript takes for false: null, false, 0, "". */
static bool sci_wrapped_is_falsy(sc_slice json)
{
    sci_json_reader reader;
    sci_json_token token;
    double number;
    sci_json_begin(&reader, json);
    if (sci_json_next(&reader, &token) != SC_OK)
        return false;
    return token.kind == SCI_JSON_NULL || token.kind == SCI_JSON_FALSE ||
           (token.kind == SCI_JSON_STRING && token.raw.len == 0) ||
           (token.kind == SCI_JSON_NUMBER && sci_text_to_double(token.raw, &number) && number == 0);
}

/* The other package reads JSON, and takes for a miss what JavaScript takes for false. */
static sc_status sci_wrapped_judge(sc_slice value)
{
    sc_status status = sci_json_check(value);
    if (status != SC_OK)
        sci_error_text_add(": in interop mode a wrapped function returns JSON");
    else if (sci_wrapped_is_falsy(value))
        status = SC_MISS;
    return status;
}

static void sci_wrapped_target(const sci_wrapped_call *call, sci_target *target)
{
    memset(target, 0, sizeof *target);
    target->key = sci_bytes_slice(&call->key);
    target->shown = target->key;
    target->name = sci_wrapped_names;
    target->owner = call;
    target->judge = call->wrapped->is_interop ? sci_wrapped_judge : NULL;
}

static sc_status sci_wrapped_load(sc_load *load, void *user)
{
    const sci_wrapped_call *call = (const sci_wrapped_call *)user;
    return call->wrapped->function(load, call->args, call->arg_count, call->wrapped->user);
}

/* Calls. */

SC_API sc_status sc_call(sc_wrapped *wrapped, const sc_arg *args, size_t arg_count,
                         sc_value **result)
{
    sci_wrapped_call call;
    sci_target target;
    *result = NULL;
    sc_status status = sci_wrapped_call_init(&call, wrapped, args, arg_count);
    if (status != SC_OK)
        return status;
    sci_wrapped_target(&call, &target);
    status = sci_get_or_load(wrapped->cache, &target, sci_wrapped_load, &call,
                             &wrapped->cache->load, result);
    sci_wrapped_call_free(&call);
    return status;
}

static void sci_wrapped_call_finished(void *user)
{
    sci_wrapped_call *call = (sci_wrapped_call *)user;
    sc_wrapped *wrapped = call->wrapped;
    sci_wrapped_call_free(call);
    sci_args_free(&call->copy);
    sci_free(&wrapped->memory, call, call->block_bytes);
    sci_wrapped_release(wrapped);
}

SC_API sc_status sc_call_async(sc_wrapped *wrapped, const sc_arg *args, size_t arg_count,
                               sc_on_value on_value, void *user)
{
    sci_target target;
    sci_args copy;
    if (!wrapped)
        return sc_fail(SC_ERR_ARGUMENT, "the wrapped function is NULL");
    sc_status status = sci_args_copy(&wrapped->memory, args, arg_count, &copy);
    if (status != SC_OK)
        return status;
    sci_wrapped_call *call = (sci_wrapped_call *)sci_alloc_zeroed(&wrapped->memory, sizeof *call);
    status = call ? sci_wrapped_call_init(call, wrapped, copy.at, copy.count) : SC_ERR_MEMORY;
    if (status != SC_OK) {
        sci_args_free(&copy);
        sci_free(&wrapped->memory, call, sizeof *call);
        return status;
    }
    call->copy = copy;
    call->block_bytes = sizeof *call;
    (void)sci_atomic_add(&wrapped->references, 1);
    sci_wrapped_target(call, &target);
    status =
        sci_get_or_load_async(wrapped->cache, &target, sci_wrapped_load, call,
                              &wrapped->cache->load, on_value, user, sci_wrapped_call_finished);
    if (status != SC_OK)
        sci_wrapped_call_finished(call);
    return status;
}

SC_API sc_status sc_call_json(sc_wrapped *wrapped, const char *json_array, sc_value **result)
{
    sci_args args;
    *result = NULL;
    if (!wrapped)
        return sc_fail(SC_ERR_ARGUMENT, "the wrapped function is NULL");
    sc_status status = sci_args_from_json(&wrapped->memory, sc_text(json_array), &args);
    if (status != SC_OK)
        return status;
    status = sc_call(wrapped, args.at, args.count, result);
    sci_args_free(&args);
    return status;
}

SC_API sc_status sc_call_invalidate(sc_wrapped *wrapped, const sc_arg *args, size_t arg_count)
{
    sci_wrapped_call call;
    sci_target target;
    sci_names names;
    sc_status status = sci_wrapped_call_init(&call, wrapped, args, arg_count);
    if (status != SC_OK)
        return status;
    sci_wrapped_target(&call, &target);
    sci_names_init(&names, &wrapped->memory);
    status = sci_wrapped_names(&target, &names);
    if (status == SC_OK)
        status = sci_invalidate(wrapped->cache, &names);
    sci_names_free(&names);
    sci_wrapped_call_free(&call);
    return status;
}

SC_API sc_status sc_call_key(sc_wrapped *wrapped, const sc_arg *args, size_t arg_count,
                             sc_value **key)
{
    sci_wrapped_call call;
    *key = NULL;
    sc_status status = sci_wrapped_call_init(&call, wrapped, args, arg_count);
    if (status != SC_OK)
        return status;
    status = sc_value_create(&wrapped->memory, sci_bytes_slice(&call.key), key);
    sci_wrapped_call_free(&call);
    return status;
}
