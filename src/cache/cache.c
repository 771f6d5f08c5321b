/* The cache: opening, and the plain operations on keys. */

#include "cache/cache.h"

#include "base/error.h"
#include "base/number.h"
#include "base/value.h"
#include "cache/load.h"
#include "client/conn.h"
#include "client/wait.h"
#include "resp/writer.h"

/* Opening and closing. */

static int64_t sci_either(int64_t value, int64_t fallback)
{
    return value ? value : fallback;
}

static sc_status sci_check_ttl(int64_t ttl_ms, bool may_be_none)
{
    if (ttl_ms == SC_TTL_FOREVER || (ttl_ms == SC_TTL_NONE && may_be_none) ||
        (ttl_ms > 0 && ttl_ms <= SCI_LONGEST_MS))
        return SC_OK;
    return sc_fail(SC_ERR_ARGUMENT,
                   "a TTL of %lld ms: it wants a positive number, SC_TTL_FOREVER%s",
                   (long long)ttl_ms, may_be_none ? " or SC_TTL_NONE" : "");
}

SCI_PRIVATE sc_status sci_load_options_resolve(const sc_load_options *options,
                                               const sc_load_options *defaults,
                                               sc_load_options *resolved)
{
    static const char of[] = "sc_load_options";
    *resolved = options ? *options : *defaults;
    resolved->ttl_ms = sci_either(resolved->ttl_ms, defaults->ttl_ms);
    resolved->lease_ms = sci_either(resolved->lease_ms, defaults->lease_ms);
    resolved->wait_ms = sci_either(resolved->wait_ms, defaults->wait_ms);
    resolved->poll_ms = sci_either(resolved->poll_ms, defaults->poll_ms);
    sc_status status = sci_check_ttl(resolved->ttl_ms, true);
    if (status == SC_OK)
        status = sci_check_ms(of, "negative_ttl_ms", resolved->negative_ttl_ms, 0, SCI_LONGEST_MS);
    if (status == SC_OK)
        status =
            sci_check_ms(of, "lease_ms", resolved->lease_ms, SCI_LOAD_LEAST_LEASE_MS, INT32_MAX);
    if (status == SC_OK)
        status = sci_check_ms(of, "wait_ms", resolved->wait_ms, -1, SCI_LONGEST_MS);
    if (status == SC_OK)
        status = sci_check_ms(of, "poll_ms", resolved->poll_ms, 1, INT32_MAX);
    return status;
}

static void sci_cache_closing(sci_close_hook *hook)
{
    sci_flights_close(SCI_CONTAINER(hook, sc_cache, close_hook));
}

static void sci_cache_forked(sci_fork_hook *hook)
{
    sci_flights_forget(SCI_CONTAINER(hook, sc_cache, fork_hook));
}

SCI_PRIVATE void sci_cache_release(sc_cache *cache)
{
    sc_client *client = cache->client;
    if (--cache->references > 0)
        return;
    sci_list_remove(&cache->close_hook.link);
    sci_list_remove(&cache->fork_hook.link);
    sci_map_free(&cache->flights);
    sci_free(&client->memory, cache->prefix, cache->prefix_len);
    sci_free(&client->memory, cache, sizeof *cache);
    sci_client_release(client);
}

static sc_status sci_cache_create(sc_client *client, const sc_cache_config *config,
                                  sc_cache **created)
{
    sc_load_options defaults;
    memset(&defaults, 0, sizeof defaults);
    defaults.ttl_ms = SCI_LOAD_DEFAULT_TTL_MS;
    defaults.lease_ms = SCI_LOAD_DEFAULT_LEASE_MS;
    defaults.wait_ms = SCI_LOAD_DEFAULT_WAIT_MS;
    defaults.poll_ms = SCI_LOAD_DEFAULT_POLL_MS;
    sc_slice prefix = sc_text(config ? config->prefix : NULL);
    sc_cache *cache = (sc_cache *)sci_alloc_zeroed(&client->memory, sizeof *cache);
    if (!cache)
        return SC_ERR_MEMORY;
    sc_status status =
        sci_load_options_resolve(config ? &config->load : NULL, &defaults, &cache->load);
    if (status == SC_OK && prefix.len) {
        cache->prefix = (char *)sci_resize(&client->memory, NULL, 0, prefix.len);
        status = cache->prefix ? SC_OK : SC_ERR_MEMORY;
    }
    if (status != SC_OK) {
        sci_free(&client->memory, cache, sizeof *cache);
        return status;
    }
    if (prefix.len)
        memcpy(cache->prefix, prefix.data, prefix.len);
    cache->prefix_len = prefix.len;
    cache->client = client;
    cache->references = 1;
    *created = cache;
    return SC_OK;
}

SC_API sc_status sc_cache_open(sc_client *client, const sc_cache_config *config, sc_cache **cache)
{
    sc_cache *created;
    *cache = NULL;
    if (!client)
        return sc_fail(SC_ERR_ARGUMENT, "the client is NULL");
    sc_status status = sci_cache_create(client, config, &created);
    if (status != SC_OK)
        return status;
    sci_lease_scripts_init(&created->scripts);
    sci_map_init(&created->flights, &client->memory, client->hash_seed);
    sci_list_init(&created->all);
    created->close_hook.closing = sci_cache_closing;
    created->fork_hook.forked = sci_cache_forked;
    sci_list_init(&created->close_hook.link);
    sci_list_init(&created->fork_hook.link);
    sci_client_retain(client);
    status = sci_client_enter(client);
    if (status != SC_OK) {
        sci_cache_release(created);
        return status;
    }
    sci_list_append(&client->close_hooks, &created->close_hook.link);
    sci_list_append(&client->fork_hooks, &created->fork_hook.link);
    sci_client_leave(client);
    *cache = created;
    return SC_OK;
}

/* Locks by itself: the client may be closed already. */
SC_API void sc_cache_close(sc_cache *cache)
{
    if (!cache)
        return;
    sc_client *client = cache->client;
    sci_client_retain(client);
    sci_loop_lock(&client->loop);
    sci_cache_release(cache);
    sci_client_unlock(client);
    sci_client_release(client);
}

/* Keys. */

SCI_PRIVATE sc_status sci_key_make(const sc_cache *cache, sc_slice key, sci_key *made)
{
    size_t len = cache->prefix_len + key.len;
    made->block = NULL;
    if (cache->prefix_len == 0) {
        made->full = key;
        return SC_OK;
    }
    char *at = made->stack;
    if (len > sizeof made->stack) {
        made->block = (char *)sci_resize(&cache->client->memory, NULL, 0, len);
        made->block_bytes = len;
        at = made->block;
    }
    if (!at)
        return SC_ERR_MEMORY;
    memcpy(at, cache->prefix, cache->prefix_len);
    if (key.len)
        memcpy(at + cache->prefix_len, key.data, key.len);
    made->full = sc_bytes(at, len);
    return SC_OK;
}

SCI_PRIVATE void sci_key_free(const sc_cache *cache, sci_key *key)
{
    if (key->block)
        sci_free(&cache->client->memory, key->block, key->block_bytes);
}

/* GET. */

/* Shorter strings are copied out of the receive buffer. */
#define SCI_GET_KEEP_BYTES ((size_t)32 * 1024)

static sc_status sci_get_encode(sci_op *op, sci_bytes *out)
{
    sc_slice words[2];
    words[0] = sc_text("GET");
    words[1] = SCI_CONTAINER(op, sci_get_op, op)->key;
    return sci_write_command(out, words, 2);
}

static void sci_get_let_go(void *chunk)
{
    sci_chunk_release((sci_chunk *)chunk);
}

/* A large string stays where it was received; a small one is copied, since it would keep a whole
   receive buffer. The carriage return behind a string has been read and gives room for the NUL. */
static sc_status sci_get_value(const sci_op *op, sc_slice bytes, sc_value **value)
{
    const sc_memory *memory = &op->conn->client->memory;
    sci_chunk *chunk = op->conn->wire->chunk;
    const char *base = sci_chunk_data(chunk);
    if (bytes.len < SCI_GET_KEEP_BYTES || bytes.len < chunk->cap / 2)
        return sc_value_create(memory, bytes, value);
    sci_assert(bytes.data >= base && bytes.data + bytes.len < base + chunk->cap);
    sci_chunk_data(chunk)[(size_t)(bytes.data - base) + bytes.len] = '\0';
    *value = sci_value_over(memory, bytes, sci_get_let_go, chunk);
    if (!*value)
        return SC_ERR_MEMORY;
    (void)sci_chunk_retain(chunk);
    return SC_OK;
}

static void sci_get_complete(sci_op *op)
{
    sci_get_op *get = SCI_CONTAINER(op, sci_get_op, op);
    const sci_conn *conn = op->conn;
    sc_slice bytes = sc_bytes(NULL, 0);
    get->result = op->status;
    if (op->status == SC_OK)
        get->result = sc_item_bytes(sc_reply_item(op->view), &bytes);
    if (get->result == SC_OK)
        get->result = sci_get_value(op, bytes, &get->value);
    if (get->result < 0 && op->status == SC_OK)
        (void)sc_value_create(&conn->client->memory, sc_text(sc_error_text()), &op->error_text);
    op->status = get->result;
    get->done(get);
}

SCI_PRIVATE void sci_get_init(sci_get_op *get, sc_slice key, void (*done)(sci_get_op *get))
{
    memset(get, 0, sizeof *get);
    get->op.encode = sci_get_encode;
    get->op.complete = sci_get_complete;
    get->op.replies = 1;
    get->op.is_idempotent = true;
    get->key = key;
    get->done = done;
}

SCI_PRIVATE void sci_get_wake(sci_get_op *get)
{
    sci_op_wake(&get->op);
}

SC_API sc_status sc_get(sc_cache *cache, sc_slice key, sc_value **value)
{
    sci_key made;
    sci_get_op get;
    *value = NULL;
    sc_status status = sci_key_make(cache, key, &made);
    if (status != SC_OK)
        return status;
    sci_get_init(&get, made.full, sci_get_wake);
    status = sci_op_call(cache->client, &get.op, 0);
    *value = get.value;
    sci_key_free(cache, &made);
    return status;
}

typedef struct sci_get_call {
    sci_get_op get;
    sci_post post;
    sc_cache *cache;
    sc_on_value on_value;
    void *user;
    size_t block_bytes;
} sci_get_call;

static void sci_get_call_run(sci_post *post)
{
    sci_get_call *call = SCI_CONTAINER(post, sci_get_call, post);
    sc_client *client = call->cache->client;
    sc_status status = sci_op_result(&call->get.op);
    if (call->on_value)
        call->on_value(call->user, status, call->get.value);
    sc_value_release(call->get.value);
    sci_loop_lock(&client->loop);
    sci_cache_release(call->cache);
    sci_free(&client->memory, call, call->block_bytes);
    sci_client_unlock(client);
}

static void sci_get_call_done(sci_get_op *get)
{
    sci_get_call *call = SCI_CONTAINER(get, sci_get_call, get);
    sci_loop_post(&call->cache->client->loop, &call->post);
}

SC_API sc_status sc_get_async(sc_cache *cache, sc_slice key, sc_on_value on_value, void *user)
{
    sc_client *client = cache->client;
    size_t key_len = cache->prefix_len + key.len;
    sci_get_call *call = (sci_get_call *)sci_alloc_zeroed(&client->memory, sizeof *call + key_len);
    sc_status status = call ? sci_client_enter(client) : SC_ERR_MEMORY;
    if (status != SC_OK) {
        sci_free(&client->memory, call, sizeof *call + key_len);
        return status;
    }
    char *own_key = (char *)(call + 1);
    if (cache->prefix_len)
        memcpy(own_key, cache->prefix, cache->prefix_len);
    if (key.len)
        memcpy(own_key + cache->prefix_len, key.data, key.len);
    sci_get_init(&call->get, sc_bytes(own_key, key_len), sci_get_call_done);
    call->post.run = sci_get_call_run;
    sci_list_init(&call->post.link);
    call->cache = cache;
    call->on_value = on_value;
    call->user = user;
    call->block_bytes = sizeof *call + key_len;
    cache->references++;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    call->get.op.deadline_ns = sci_client_deadline_ns(client, 0, now_ns);
    sci_conn_submit(client->shared, &call->get.op, now_ns);
    sci_client_leave(client);
    return SC_OK;
}

/* The other operations: some commands on one key, and a number that comes back. */

#define SCI_CHANGE_WORDS 6

typedef struct sci_change_op {
    sci_op op;
    const sci_names *names; /* what invalidating removes; else NULL */
    bool voids_lease;       /* the lease's key is removed first, so that no load stores over it */
    sc_slice words[SCI_CHANGE_WORDS];
    size_t word_count;
    int64_t numbers[2]; /* replies that are integers, in order */
    sc_status result;
} sci_change_op;

/* "x" and a token's worth of anything: whoever waits asks again. */
#define SCI_BEGIN_ANEW "x--------------------------------"

static sc_status sci_change_encode(sci_op *op, sci_bytes *out)
{
    sci_change_op *change = SCI_CONTAINER(op, sci_change_op, op);
    const sci_names *names = change->names;
    size_t before = sci_bytes_len(out);
    sc_slice words[4];
    sc_status status = SC_OK;
    if (change->voids_lease) {
        words[0] = sc_text("DEL");
        words[1] = names->lease;
        words[2] = names->result;
        words[3] = names->value;
        status = sci_write_command(out, words, change->word_count ? 3 : 4);
    }
    if (status == SC_OK && change->word_count)
        status = sci_write_command(out, change->words, change->word_count);
    if (status == SC_OK && change->voids_lease) {
        words[0] = sc_text("PUBLISH");
        words[1] = names->channel;
        words[2] = sc_text(SCI_BEGIN_ANEW);
        status = sci_write_command(out, words, 3);
    }
    if (status != SC_OK)
        sci_bytes_cut(out, before, sci_bytes_len(out) - before);
    return status;
}

static void sci_change_complete(sci_op *op)
{
    sci_change_op *change = SCI_CONTAINER(op, sci_change_op, op);
    sc_status result = op->status;
    for (size_t i = 0; op->status == SC_OK && i < op->replies && result == SC_OK; i++) {
        const sc_item *item = sc_reply_at(op->view, i);
        result = sc_item_check(item);
        if (result == SC_OK && i < SCI_COUNT(change->numbers))
            (void)sc_item_integer(item, &change->numbers[i]);
    }
    if (result < 0 && op->status == SC_OK)
        (void)sc_value_create(&op->conn->client->memory, sc_text(sc_error_text()), &op->error_text);
    op->status = result;
    sci_op_wake(op);
}

static void sci_change_init(sci_change_op *change, const sci_names *names)
{
    memset(change, 0, sizeof *change);
    change->op.encode = sci_change_encode;
    change->op.complete = sci_change_complete;
    change->op.replies = 1;
    change->op.is_idempotent = true;
    change->names = names;
    change->voids_lease = names != NULL;
}

SCI_PRIVATE sc_status sci_invalidate(sc_cache *cache, const sci_names *names)
{
    sc_client *client = cache->client;
    sci_change_op change;
    sci_change_init(&change, names);
    change.op.replies = 2;
    sc_status status = sci_client_enter(client);
    if (status != SC_OK)
        return status;
    status = sci_op_run(client, client->shared, &change.op, 0);
    sci_flight_invalidate(cache, names->value);
    sci_client_leave_call(client);
    return status;
}

SC_API sc_status sc_invalidate(sc_cache *cache, sc_slice key)
{
    sci_key made;
    sci_names names;
    sc_status status = sci_key_make(cache, key, &made);
    if (status != SC_OK)
        return status;
    sci_names_init(&names, &cache->client->memory);
    status = sci_names_derive(&names, made.full);
    if (status == SC_OK)
        status = sci_invalidate(cache, &names);
    sci_names_free(&names);
    sci_key_free(cache, &made);
    return status;
}

SC_API sc_status sc_set(sc_cache *cache, sc_slice key, sc_slice value, int64_t ttl_ms)
{
    sci_key made;
    sci_names names;
    sci_change_op change;
    char ttl_text[SCI_I64_TEXT_BYTES];
    int64_t ttl = sci_either(ttl_ms, cache->load.ttl_ms);
    sc_client *client = cache->client;
    sc_status status = sci_check_ttl(ttl, false);
    if (status == SC_OK)
        status = sci_key_make(cache, key, &made);
    if (status != SC_OK)
        return status;
    sci_names_init(&names, &cache->client->memory);
    status = sci_names_derive(&names, made.full);
    if (status == SC_OK) {
        sci_change_init(&change, &names);
        change.op.replies = 3;
        change.words[change.word_count++] = sc_text("SET");
        change.words[change.word_count++] = made.full;
        change.words[change.word_count++] = value;
        if (ttl != SC_TTL_FOREVER) {
            change.words[change.word_count++] = sc_text("PX");
            change.words[change.word_count++] = sc_bytes(ttl_text, sci_i64_to_text(ttl, ttl_text));
        }
        status = sci_client_enter(client);
        if (status == SC_OK) {
            status = sci_op_run(client, client->shared, &change.op, 0);
            sci_flight_invalidate(cache,
                                  names.value); /* who waits, and comes next, gets this value */
            sci_client_leave_call(client);
        }
    }
    sci_names_free(&names);
    sci_key_free(cache, &made);
    return status;
}

/* One command on the key; its integer comes back. */
static sc_status sci_change_key(sc_cache *cache, sc_slice key, const char *command,
                                sc_slice argument, int64_t *number)
{
    sci_key made;
    sci_change_op change;
    sc_status status = sci_key_make(cache, key, &made);
    if (status != SC_OK)
        return status;
    sci_change_init(&change, NULL);
    change.words[change.word_count++] = sc_text(command);
    change.words[change.word_count++] = made.full;
    if (argument.len)
        change.words[change.word_count++] = argument;
    status = sci_op_call(cache->client, &change.op, 0);
    *number = change.numbers[0];
    sci_key_free(cache, &made);
    return status;
}

SC_API sc_status sc_delete(sc_cache *cache, sc_slice key)
{
    int64_t removed = 0;
    sc_status status = sci_change_key(cache, key, "DEL", sc_bytes(NULL, 0), &removed);
    return status == SC_OK && removed == 0 ? SC_MISS : status;
}

SC_API sc_status sc_touch(sc_cache *cache, sc_slice key, int64_t ttl_ms)
{
    char ttl_text[SCI_I64_TEXT_BYTES];
    int64_t number = 0;
    int64_t ttl = sci_either(ttl_ms, cache->load.ttl_ms);
    sc_status status = sci_check_ttl(ttl, false);
    if (status != SC_OK)
        return status;
    if (ttl != SC_TTL_FOREVER) {
        sc_slice argument = sc_bytes(ttl_text, sci_i64_to_text(ttl, ttl_text));
        status = sci_change_key(cache, key, "PEXPIRE", argument, &number);
        return status == SC_OK && number == 0 ? SC_MISS : status;
    }
    status = sci_change_key(cache, key, "PERSIST", sc_bytes(NULL, 0), &number);
    if (status != SC_OK || number == 1)
        return status;
    status =
        sci_change_key(cache, key, "EXISTS", sc_bytes(NULL, 0), &number); /* it never expired */
    return status == SC_OK && number == 0 ? SC_MISS : status;
}

SC_API sc_status sc_ttl(sc_cache *cache, sc_slice key, int64_t *ttl_ms)
{
    int64_t number = 0;
    *ttl_ms = 0;
    sc_status status = sci_change_key(cache, key, "PTTL", sc_bytes(NULL, 0), &number);
    if (status != SC_OK)
        return status;
    if (number == -2)
        return SC_MISS;
    *ttl_ms = number == -1 ? SC_TTL_FOREVER : number;
    return SC_OK;
}

/* Get-or-load on a cache's key. */

typedef struct sci_cache_call {
    sci_key made;
    sci_target target;
    sc_load_options options;
} sci_cache_call;

static sc_status sci_cache_call_init(sc_cache *cache, sc_slice key, const sc_load_options *options,
                                     sci_cache_call *call)
{
    sc_status status = SC_OK;
    if (options)
        status = sci_load_options_resolve(options, &cache->load, &call->options);
    else
        call->options = cache->load;
    if (status == SC_OK)
        status = sci_key_make(cache, key, &call->made);
    memset(&call->target, 0, sizeof call->target);
    call->target.key = call->made.full;
    call->target.shown = key;
    return status;
}

SC_API sc_status sc_get_or_load(sc_cache *cache, sc_slice key, sc_loader loader, void *user,
                                const sc_load_options *options, sc_value **value)
{
    sci_cache_call call;
    *value = NULL;
    sc_status status = sci_cache_call_init(cache, key, options, &call);
    if (status != SC_OK)
        return status;
    status = sci_get_or_load(cache, &call.target, loader, user, &call.options, value);
    sci_key_free(cache, &call.made);
    return status;
}

SC_API sc_status sc_get_or_load_async(sc_cache *cache, sc_slice key, sc_loader loader, void *user,
                                      const sc_load_options *options, sc_on_value on_value,
                                      void *on_value_user)
{
    sci_cache_call call;
    sc_status status = sci_cache_call_init(cache, key, options, &call);
    if (status != SC_OK)
        return status;
    status = sci_get_or_load_async(cache, &call.target, loader, user, &call.options, on_value,
                                   on_value_user, NULL);
    sci_key_free(cache, &call.made);
    return status;
}
