/* Sessions that wait for keys. A command that finds nothing leaves itself behind, and runs again
   when one of its keys is ready. */

#include "server/wait.h"

#include "resp/writer.h"
#include "server/dispatch.h"
#include "server/pause.h"
#include "server/session.h"

/* A key of a database that sessions wait for. */
typedef struct sci_awaited_key {
    sci_map_node node; /* in server->waits; its key follows this struct */
    sci_db *db;
    sci_link sessions; /* sci_wait_link.of_key: the order of arrival */
    sci_link ready;    /* in server->ready_keys */
    bool is_being_served;
} sci_awaited_key;

typedef struct sci_wait_link {
    sci_link of_session; /* in wait->keys */
    sci_link of_key;
    sci_session *session;
    sci_awaited_key *key;
    uint64_t served; /* the round in which it was looked at */
} sci_wait_link;

SCI_PRIVATE void sci_wait_init(sci_session *session)
{
    sci_list_init(&session->wait.keys);
    sci_bytes_init(&session->wait.command, &session->server->memory);
}

/* A name of two databases has two hashes, so that the map tells them apart: the factor is odd. */
static uint64_t sci_awaited_key_hash(const sc_server *server, const sci_db *db, sc_slice name)
{
    const uint64_t number = (uint64_t)db->index;
    return sci_map_hash(&server->waits, name) + number * UINT64_C(0x9e3779b97f4a7c15);
}

static sci_awaited_key *sci_awaited_key_find(sc_server *server, const sci_db *db, sc_slice name)
{
    const uint64_t hash = sci_awaited_key_hash(server, db, name);
    sci_map_node *node = sci_map_find(&server->waits, name, hash);
    return node ? SCI_CONTAINER(node, sci_awaited_key, node) : NULL;
}

static void sci_awaited_key_release(sc_server *server, sci_awaited_key *key)
{
    if (!sci_list_is_empty(&key->sessions) || key->is_being_served)
        return;
    sci_list_remove(&key->ready);
    sci_map_unmake(&server->waits, sizeof *key, &key->node);
}

static void sci_wait_link_remove(sci_wait_link *link)
{
    sc_server *server = link->session->server;
    sci_awaited_key *key = link->key;
    sci_list_remove(&link->of_session);
    sci_list_remove(&link->of_key);
    sci_free(&server->memory, link, sizeof *link);
    sci_awaited_key_release(server, key);
}

static sci_awaited_key *sci_awaited_key_get(sc_server *server, sci_db *db, sc_slice name)
{
    sci_awaited_key *key = sci_awaited_key_find(server, db, name);
    if (key)
        return key;
    uint64_t hash = sci_awaited_key_hash(server, db, name);
    key = (sci_awaited_key *)sci_map_make(&server->waits, sizeof *key, name, hash);
    if (!key)
        return NULL;
    key->db = db;
    sci_list_init(&key->sessions);
    sci_list_init(&key->ready);
    return key;
}

SCI_PRIVATE void sci_wait_leave(sci_session *session)
{
    while (!sci_list_is_empty(&session->wait.keys))
        sci_wait_link_remove(SCI_CONTAINER(session->wait.keys.next, sci_wait_link, of_session));
    sci_heap_remove(&session->server->timeouts, &session->wait.timer);
    sci_bytes_reset(&session->wait.command, 0);
    session->wait.is_held = false;
}

static sc_status sci_wait_add_key(sci_call *call, sc_slice name)
{
    sc_server *server = call->server;
    sci_session *session = call->session;
    sci_wait_link *link = (sci_wait_link *)sci_alloc_zeroed(&server->memory, sizeof *link);
    if (!link)
        return SC_ERR_MEMORY;
    link->key = sci_awaited_key_get(server, call->db, name);
    if (!link->key) {
        sci_free(&server->memory, link, sizeof *link);
        return SC_ERR_MEMORY;
    }
    link->session = session;
    sci_list_init(&link->of_session);
    sci_list_init(&link->of_key);
    sci_list_append(&session->wait.keys, &link->of_session);
    sci_list_append(&link->key->sessions, &link->of_key);
    return SC_OK;
}

static bool sci_wait_has_key(const sci_session *session, sc_slice name)
{
    for (sci_link *at = session->wait.keys.next; at != &session->wait.keys; at = at->next)
        if (sci_slice_equal(SCI_CONTAINER(at, sci_wait_link, of_session)->key->node.key, name))
            return true;
    return false;
}

SCI_PRIVATE void sci_wait_for_keys(sci_call *call, const sc_slice *keys, size_t count,
                                   int64_t timeout_ms, sci_nil nil, const sc_slice *argv,
                                   size_t argc)
{
    sci_session *session = call->session;
    call->is_blocked = true;
    if (call->is_retried)
        return; /* it goes on waiting as before */
    if (call->is_in_transaction || !session) {
        sci_answer_nil(call, nil);
        return;
    }
    sc_status status = sci_write_command(&session->wait.command, argv, argc);
    for (size_t i = 0; i < count && status == SC_OK; i++)
        if (!sci_wait_has_key(session, keys[i]))
            status = sci_wait_add_key(call, keys[i]);
    if (status != SC_OK) {
        sci_wait_leave(session);
        sci_answer_no_memory(call);
        return;
    }
    session->wait.nil = nil;
    if (timeout_ms > 0) {
        int64_t now_ns = sci_server_now_ns(call->server);
        int64_t most_ms = (INT64_MAX - now_ns) / SCI_SERVER_NS_PER_MS;
        sci_heap_insert(&call->server->timeouts, &session->wait.timer,
                        now_ns + sci_min_i64(timeout_ms, most_ms) * SCI_SERVER_NS_PER_MS);
    }
}

SCI_PRIVATE void sci_key_ready(sci_call *call, sc_slice key)
{
    sc_server *server = call->server;
    if (server->waits.count == 0)
        return;
    sci_awaited_key *awaited = sci_awaited_key_find(server, call->db, key);
    if (!awaited || sci_link_is_in_list(&awaited->ready))
        return;
    sci_list_append(&server->ready_keys, &awaited->ready);
}

SCI_PRIVATE void sci_wait_db_changed(sc_server *server, sci_db *db)
{
    for (size_t i = 0; server->waits.count > 0 && i < server->waits.bucket_count; i++) {
        for (sci_map_node *node = server->waits.buckets[i]; node; node = node->next) {
            sci_awaited_key *awaited = SCI_CONTAINER(node, sci_awaited_key, node);
            if (awaited->db == db && !sci_link_is_in_list(&awaited->ready) &&
                sci_db_find(db, node->key))
                sci_list_append(&server->ready_keys, &awaited->ready);
        }
    }
}

SCI_PRIVATE bool sci_wait_hides(const sci_call *call, sc_slice key)
{
    return !sci_slice_equal(key, call->ready_key) && sci_wait_has_key(call->session, key);
}

/* Answered: what was received meanwhile is executed by sci_wait_resume. */
static void sci_wait_is_over(sci_session *session)
{
    sci_wait_leave(session);
    sci_session_answered(session);
    sci_list_remove(&session->resume);
    sci_list_append(&session->server->resumed, &session->resume);
    sci_session_notify(session);
}

/* Run a waiting command again; true when it was answered. */
static bool sci_wait_retry(sci_session *session, sci_wait_link *link)
{
    sc_server *server = session->server;
    sci_request request;
    sci_call call;
    size_t used = 0;
    sc_slice command = sci_bytes_slice(&session->wait.command);
    sci_request_init(&request, &server->memory, &session->request.limits);
    if (sci_request_read(&request, command.data, command.len, &used) != SC_OK) {
        sci_request_free(&request);
        return false; /* no memory: it may be better the next time */
    }
    sci_call_init(&call, server, session, sci_command_find(server, request.words[0]), request.words,
                  request.word_count);
    call.db = link->key->db;
    call.is_retried = true;
    call.ready_key = link->key->node.key;
    sci_call_run(&call);
    sci_request_free(&request);
    return !call.is_blocked;
}

/* The first that was not looked at in this round. */
static sci_wait_link *sci_awaited_key_next(sci_awaited_key *key, uint64_t round)
{
    for (sci_link *at = key->sessions.next; at != &key->sessions; at = at->next) {
        sci_wait_link *link = SCI_CONTAINER(at, sci_wait_link, of_key);
        if (link->served != round)
            return link;
    }
    return NULL;
}

static void sci_awaited_key_serve(sc_server *server, sci_awaited_key *key)
{
    uint64_t round = ++server->last_round;
    key->is_being_served = true;
    for (;;) {
        sci_wait_link *link = sci_awaited_key_next(key, round);
        if (!link || !sci_db_find(key->db, key->node.key))
            break;
        sci_session *session = link->session;
        link->served = round;
        if (sci_wait_retry(session, link))
            sci_wait_is_over(session);
    }
    key->is_being_served = false;
    sci_awaited_key_release(server, key);
}

SCI_PRIVATE void sci_wait_serve(sc_server *server)
{
    sci_link *link;
    /* Keys that become ready meanwhile come to the end of the list. */
    while ((link = sci_list_take_first(&server->ready_keys)) != NULL)
        sci_awaited_key_serve(server, SCI_CONTAINER(link, sci_awaited_key, ready));
}

SCI_PRIVATE void sci_wait_resume(sc_server *server)
{
    sci_link *link;
    if (server->is_resuming)
        return;
    server->is_resuming = true;
    while ((link = sci_list_take_first(&server->resumed)) != NULL) {
        sci_session *session = SCI_CONTAINER(link, sci_session, resume);
        sci_pause_release(session);
        sci_session_run(session);
    }
    server->is_resuming = false;
}

SCI_PRIVATE void sci_wait_end(sci_session *session, const char *error)
{
    sci_call call;
    sci_call_init(&call, session->server, session, NULL, NULL, 0);
    if (error)
        sci_answer_error(&call, "%s", error);
    else
        sci_answer_nil(&call, session->wait.nil);
    sci_wait_is_over(session);
}

SCI_PRIVATE void sci_wait_expire(sc_server *server, int64_t now_ns)
{
    for (sci_heap_node *node = sci_heap_first(&server->timeouts); node && node->key <= now_ns;
         node = sci_heap_first(&server->timeouts)) {
        sci_wait *wait = SCI_CONTAINER(node, sci_wait, timer);
        sci_wait_end(SCI_CONTAINER(wait, sci_session, wait), NULL);
    }
    sci_wait_resume(server);
}
