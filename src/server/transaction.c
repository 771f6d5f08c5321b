/* MULTI, EXEC, DISCARD, WATCH, UNWATCH. */

#include "server/transaction.h"

#include "base/error.h"
#include "resp/writer.h"
#include "server/commands.h"
#include "server/dispatch.h"
#include "server/log.h"

#define SCI_CMD_BRACKETS (SCI_CMD_NOSCRIPT | SCI_CMD_UNQUEUED | SCI_CMD_REPLAYED)

/* A key that a session watches. The first of a key is in the server's map, the others in its list.
 */
typedef struct sci_watched_key {
    sci_map_node node; /* in server->watched; its key follows this struct */
    sci_link sessions; /* sci_watch_link.of_key */
} sci_watched_key;

struct sci_watch_link {
    sci_link of_session; /* in session->watches */
    sci_link of_key;     /* in key->sessions */
    sci_session *session;
    sci_watched_key *key;
    sci_db *db;
    bool was_expired; /* it is expired already: vanishing is no change */
};

static void sci_watch_remove(sci_watch_link *watch)
{
    sc_server *server = watch->session->server;
    sci_watched_key *key = watch->key;
    sci_list_remove(&watch->of_session);
    sci_list_remove(&watch->of_key);
    sci_free(&server->memory, watch, sizeof *watch);
    if (sci_list_is_empty(&key->sessions))
        sci_map_unmake(&server->watched, sizeof *key, &key->node);
}

static void sci_unwatch_all(sci_session *session)
{
    while (!sci_list_is_empty(&session->watches))
        sci_watch_remove(SCI_CONTAINER(session->watches.next, sci_watch_link, of_session));
    session->has_lost_watch = false;
}

/* The node of a key, made when there is none; NULL: no memory. */
static sci_watched_key *sci_watched_key_get(sc_server *server, sc_slice name)
{
    uint64_t hash = sci_map_hash(&server->watched, name);
    sci_map_node *node = sci_map_find(&server->watched, name, hash);
    if (node)
        return SCI_CONTAINER(node, sci_watched_key, node);
    sci_watched_key *key =
        (sci_watched_key *)sci_map_make(&server->watched, sizeof *key, name, hash);
    if (key)
        sci_list_init(&key->sessions);
    return key;
}

static bool sci_is_watching(const sci_session *session, sc_slice name)
{
    for (sci_link *link = session->watches.next; link != &session->watches; link = link->next) {
        const sci_watch_link *watch = SCI_CONTAINER(link, sci_watch_link, of_session);
        if (watch->db == session->db && sci_slice_equal(watch->key->node.key, name))
            return true;
    }
    return false;
}

static bool sci_is_expired(const sci_db *db, const sci_entry *entry, int64_t now_ms)
{
    return entry && entry->expiry && sci_db_expiry_ms(db, entry) <= now_ms;
}

static sc_status sci_watch_add_key(sci_call *call, sc_slice name)
{
    sci_session *session = call->session;
    sc_server *server = call->server;
    if (sci_is_watching(session, name))
        return SC_OK;
    sci_watch_link *watch = (sci_watch_link *)sci_alloc_zeroed(&server->memory, sizeof *watch);
    if (!watch)
        return SC_ERR_MEMORY;
    watch->key = sci_watched_key_get(server, name);
    if (!watch->key) {
        sci_free(&server->memory, watch, sizeof *watch);
        return SC_ERR_MEMORY;
    }
    watch->session = session;
    watch->db = call->db;
    watch->was_expired = sci_is_expired(call->db, sci_db_find(call->db, name), call->now_ms);
    sci_list_init(&watch->of_session);
    sci_list_init(&watch->of_key);
    sci_list_append(&session->watches, &watch->of_session);
    sci_list_append(&watch->key->sessions, &watch->of_key);
    return SC_OK;
}

SCI_PRIVATE void sci_watch_key_changed(sc_server *server, sci_db *db, sc_slice key)
{
    if (server->watched.count == 0)
        return;
    sci_map_node *node = sci_map_find(&server->watched, key, sci_map_hash(&server->watched, key));
    if (!node)
        return;
    sci_watched_key *watched = SCI_CONTAINER(node, sci_watched_key, node);
    for (sci_link *link = watched->sessions.next; link != &watched->sessions; link = link->next) {
        sci_watch_link *watch = SCI_CONTAINER(link, sci_watch_link, of_key);
        if (watch->db != db)
            continue;
        if (watch->was_expired && sci_is_expired(db, sci_db_find(db, key), server->now_ms))
            watch->was_expired = false; /* it vanishes now */
        else
            watch->session->has_lost_watch = true;
    }
}

SCI_PRIVATE void sci_watch_flushed(sc_server *server, sci_db *db)
{
    for (sci_link *link = server->sessions.next; link != &server->sessions; link = link->next) {
        sci_session *session = SCI_CONTAINER(link, sci_session, link);
        for (sci_link *at = session->watches.next; at != &session->watches; at = at->next) {
            sci_watch_link *watch = SCI_CONTAINER(at, sci_watch_link, of_session);
            if ((!db || watch->db == db) && sci_db_find(watch->db, watch->key->node.key) &&
                !watch->was_expired)
                session->has_lost_watch = true;
        }
    }
}

/* A key that has expired since it was watched has changed, though nobody has noticed yet. */
static bool sci_watch_has_expired(const sci_session *session, int64_t now_ms)
{
    for (sci_link *link = session->watches.next; link != &session->watches; link = link->next) {
        const sci_watch_link *watch = SCI_CONTAINER(link, sci_watch_link, of_session);
        if (!watch->was_expired &&
            sci_is_expired(watch->db, sci_db_find(watch->db, watch->key->node.key), now_ms))
            return true;
    }
    return false;
}

SCI_PRIVATE void sci_transaction_queue(sci_call *call)
{
    sci_transaction *transaction = &call->session->transaction;
    if (transaction->is_failed || call->session->has_lost_watch) {
        sci_answer_simple(call, "QUEUED"); /* EXEC will be refused: nothing is kept for it */
        return;
    }
    if (sci_write_command(&transaction->queued, call->argv, call->argc) != SC_OK) {
        transaction->is_failed = true;
        sci_answer_no_memory(call);
        return;
    }
    transaction->count++;
    transaction->flags |= call->command->flags;
    sci_answer_simple(call, "QUEUED");
}

static void sci_transaction_reset(sci_transaction *transaction)
{
    sci_bytes_reset(&transaction->queued, 0);
    transaction->count = 0;
    transaction->flags = 0;
    transaction->is_open = false;
    transaction->is_failed = false;
}

SCI_PRIVATE void sci_transaction_discard(sci_session *session)
{
    sci_transaction_reset(&session->transaction);
    sci_unwatch_all(session);
}

SCI_PRIVATE void sci_transaction_refuse(sci_call *call, size_t answered)
{
    char text[SC_ERROR_TEXT_BYTES];
    sci_session *session = call->session;
    session->transaction.is_failed |= session->transaction.is_open;
    if (!call->command || !(call->command->flags & SCI_CMD_EXEC))
        return;
    sci_transaction_discard(session);
    sc_slice error = sci_bytes_slice(call->out);
    if (error.len < answered + 3)
        return; /* there was no memory for it */
    error = sc_bytes(error.data + answered + 1, error.len - answered - 3);
    if (error.len > 4 && memcmp(error.data, "ERR ", 4) == 0)
        error = sc_bytes(error.data + 4, error.len - 4);
    (void)sci_format(text, sizeof text, "%.*s", (int)error.len, error.data);
    sci_bytes_cut(call->out, answered, sci_bytes_len(call->out) - answered);
    sci_answer_error(call, "EXECABORT Transaction discarded because of: %s", text);
}

/* A log's transactions need none: nobody sees their middle. */
static bool sci_transaction_is_replayed(sci_call *call)
{
    if (call->session)
        return false;
    sci_answer_ok(call);
    return true;
}

static void sci_command_multi(sci_call *call)
{
    if (sci_transaction_is_replayed(call))
        return;
    if (call->session->transaction.is_open) {
        sci_answer_error(call, "ERR MULTI calls can not be nested");
        return;
    }
    call->session->transaction.is_open = true;
    sci_answer_ok(call);
}

static void sci_command_discard(sci_call *call)
{
    if (!call->session->transaction.is_open) {
        sci_answer_error(call, "ERR DISCARD without MULTI");
        return;
    }
    sci_transaction_discard(call->session);
    sci_answer_ok(call);
}

/* Run one queued command; `*at` moves behind it. */
static void sci_exec_one(sci_call *exec, sci_request *request, sc_slice *at)
{
    sci_session *session = exec->session;
    sci_call call;
    size_t used = 0;
    if (sci_request_read(request, at->data, at->len, &used) != SC_OK) {
        sci_answer_no_memory(exec); /* the bytes are our own: nothing else can be wrong */
        return;
    }
    *at = sc_bytes(at->data + used, at->len - used);
    sci_call_init(&call, exec->server, session, sci_command_find(exec->server, request->words[0]),
                  request->words, request->word_count);
    call.is_in_transaction = true;
    call.now_ms = exec->now_ms;
    sci_call_run(&call);
}

static void sci_exec_all(sci_call *call)
{
    sc_server *server = call->server;
    sci_session *session = call->session;
    sci_request request;
    sci_bytes queued;
    size_t count = session->transaction.count;
    sci_bytes_init(&queued, &server->memory);
    sci_bytes_swap(&queued, &session->transaction.queued);
    sci_unwatch_all(session);
    sci_request_init(&request, &server->memory, &session->request.limits);
    sc_slice at = sci_bytes_slice(&queued);
    sci_answer_array(call, count);
    if (server->log)
        sci_log_begin(server->log);
    for (size_t i = 0; i < count; i++)
        sci_exec_one(call, &request, &at);
    if (server->log)
        sci_log_end(server->log);
    sci_transaction_reset(&session->transaction); /* not before: CLIENT INFO may be among them */
    sci_request_free(&request);
    sci_bytes_free(&queued);
}

static void sci_command_exec(sci_call *call)
{
    sci_session *session = call->session;
    if (sci_transaction_is_replayed(call))
        return;
    if (!session->transaction.is_open) {
        sci_answer_error(call, "ERR EXEC without MULTI");
    } else if (session->transaction.is_failed) {
        sci_transaction_discard(session);
        sci_answer_error(call, "EXECABORT Transaction discarded because of previous errors.");
    } else if (session->has_lost_watch || sci_watch_has_expired(session, call->now_ms)) {
        sci_transaction_discard(session);
        sci_answer_nil(call, SCI_NIL_ARRAY);
    } else {
        sci_exec_all(call);
    }
}

static void sci_command_watch(sci_call *call)
{
    if (call->session->transaction.is_open) {
        sci_answer_error(call, "ERR WATCH inside MULTI is not allowed");
        return;
    }
    /* EXEC would fail anyway: no need to watch more. */
    for (size_t i = 1; i < call->argc && !call->session->has_lost_watch; i++) {
        if (sci_watch_add_key(call, call->argv[i]) != SC_OK) {
            sci_answer_no_memory(call);
            return;
        }
    }
    sci_answer_ok(call);
}

static void sci_command_unwatch(sci_call *call)
{
    sci_unwatch_all(call->session);
    sci_answer_ok(call);
}

SCI_PRIVATE sci_command_list sci_transaction_commands(void)
{
    static const sci_command commands[] = {
        {"multi", sci_command_multi, 1, SCI_CMD_BRACKETS | SCI_CMD_FAST, 0, 0, 0},
        {"exec", sci_command_exec, 1, SCI_CMD_BRACKETS | SCI_CMD_EXEC, 0, 0, 0},
        {"discard", sci_command_discard, 1, SCI_CMD_NOSCRIPT | SCI_CMD_FAST | SCI_CMD_UNQUEUED, 0,
         0, 0},
        {"watch", sci_command_watch, -2, SCI_CMD_NOSCRIPT | SCI_CMD_FAST | SCI_CMD_UNQUEUED, 1, -1,
         1},
        {"unwatch", sci_command_unwatch, 1, SCI_CMD_NOSCRIPT | SCI_CMD_FAST, 0, 0, 0},
    };
    sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
