/* Who read which key is a table from keys to the ids of sessions. A session that is gone stays in it
   until the key changes: its id is of nobody, then. Prefixes are few, and each knows its sessions. */

#include "server/tracking.h"

#include "resp/writer.h"
#include "server/members.h"
#include "server/pubsub.h"
#include "server/session.h"

/* Keys that are tracked at most: beyond, some other one counts as changed. */
#define SCI_TRACKING_MOST_KEYS ((size_t)1 << 20)

/* --- Telling */

/* Of these keys; of none: that all are gone. */
static void sci_tracking_tell(sci_session *session, const sc_slice *keys, size_t count)
{
    if (session->tracking.redirect == 0)
        return; /* RESP2 has no way to tell a session in between its answers */
    sci_session *target = sci_session_find(session->server, session->tracking.redirect);
    session->tracking.has_lost_redirect |= target == NULL;
    if (!target || !sci_pubsub_is_subscribed(target))
        return;
    sci_bytes *out = sci_session_give_begin(target);
    if (!out)
        return;
    sc_status status =
        sci_bytes_append_text(out, "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n");
    if (status == SC_OK && count > 0)
        status = sci_write_command(out, keys, count);
    else if (status == SC_OK)
        status = sci_bytes_append_text(out, "$-1\r\n");
    sci_session_give_end(target, status);
}

/* --- Keys that were read */

/* The ids of sessions that have read a key, one after the other. */
typedef struct sci_trackers {
    const char *data;
    size_t count;
} sci_trackers;

static sci_trackers sci_trackers_of(const sci_member *member)
{
    const sc_slice ids = sci_member_value(member);
    sci_trackers trackers;
    trackers.data = ids.data;
    trackers.count = ids.len / sizeof(uint64_t);
    return trackers;
}

static uint64_t sci_tracker_at(const sci_trackers *trackers, size_t index)
{
    uint64_t id;
    memcpy(&id, trackers->data + index * sizeof id, sizeof id);
    return id;
}

static bool sci_trackers_have(const sci_trackers *trackers, uint64_t id)
{
    for (size_t i = 0; i < trackers->count; i++) {
        if (sci_tracker_at(trackers, i) == id)
            return true;
    }
    return false;
}

static void sci_tracking_forget_own(sc_server *server)
{
    if (server->own_changes)
        sci_members_release(server->own_changes);
    server->own_changes = NULL;
    server->is_own_flush = false;
}

/* What a session has changed itself it is told when its command is done. */
static void sci_tracking_tell_own(sc_server *server)
{
    sci_members *keys = server->own_changes;
    sci_members_iterator iterator = {0, 0};
    if (SCI_LIKELY(!keys && !server->is_own_flush))
        return;
    sci_session *session = sci_session_find(server, server->own_changes_by);
    for (const sci_member *member;
         session && keys && (member = sci_members_next(keys, &iterator));) {
        const sc_slice key = sci_member_name(member);
        sci_tracking_tell(session, &key, 1);
    }
    if (session && server->is_own_flush)
        sci_tracking_tell(session, NULL, 0);
    sci_tracking_forget_own(server);
}

/* What follows is a session's own change. */
static void sci_tracking_begin_own(const sci_session *session)
{
    sc_server *server = session->server;
    if (server->own_changes_by != session->id)
        sci_tracking_tell_own(server);
    server->own_changes_by = session->id;
}

static void sci_tracking_tell_later(sci_session *session, sc_slice key)
{
    sc_server *server = session->server;
    bool is_new;
    sci_tracking_begin_own(session);
    if (!server->own_changes)
        server->own_changes = sci_members_new(&server->memory, &server->hash_seed, false);
    if (!server->own_changes ||
        !sci_members_put(server->own_changes, key, sc_bytes(NULL, 0), &is_new))
        sci_tracking_tell(session, &key, 1);
}

/* Changed, for those that have read it: they need to be told once. */
static void sci_tracking_end_key(sc_server *server, sc_slice key, const sci_session *by)
{
    const sci_member *member = sci_members_find(server->tracked, key);
    if (!member)
        return;
    const sci_trackers trackers = sci_trackers_of(member);
    for (size_t i = 0; i < trackers.count; i++) {
        sci_session *session = sci_session_find(server, sci_tracker_at(&trackers, i));
        if (!session || !session->tracking.is_on || session->tracking.is_broadcasting)
            continue;
        if (session != by)
            sci_tracking_tell(session, &key, 1);
        else if (!session->tracking.no_loop)
            sci_tracking_tell_later(session, key);
    }
    (void)sci_members_remove(server->tracked, key);
}

/* `to` gets the ids of sessions that are still there. At each doubling of their number: otherwise a
   key that never changes would gather the ids of all that ever were. */
static size_t sci_trackers_copy(const sc_server *server, const sci_trackers *trackers, char *to)
{
    const bool is_doubled = (trackers->count & (trackers->count - 1)) == 0;
    size_t kept = 0;
    for (size_t i = 0; i < trackers->count; i++) {
        const uint64_t id = sci_tracker_at(trackers, i);
        if (!is_doubled || sci_session_find(server, id))
            memcpy(to + kept++ * sizeof id, &id, sizeof id);
    }
    return kept;
}

static sc_status sci_tracking_add_key(sci_session *session, sc_slice key)
{
    sc_server *server = session->server;
    char few[16 * sizeof(uint64_t)], *ids = few;
    bool is_new;
    if (!server->tracked)
        server->tracked = sci_members_new(&server->memory, &server->hash_seed, true);
    if (!server->tracked)
        return SC_ERR_MEMORY;
    const sci_member *member = sci_members_find(server->tracked, key);
    sci_trackers trackers = {NULL, 0};
    if (member)
        trackers = sci_trackers_of(member);
    if (sci_trackers_have(&trackers, session->id))
        return SC_OK;
    const size_t size = (trackers.count + 1) * sizeof(uint64_t);
    if (size > sizeof few)
        ids = (char *)sci_resize(&server->memory, NULL, 0, size);
    if (!ids)
        return SC_ERR_MEMORY;
    size_t count = sci_trackers_copy(server, &trackers, ids);
    memcpy(ids + count++ * sizeof(uint64_t), &session->id, sizeof(uint64_t));
    member =
        sci_members_put(server->tracked, key, sc_bytes(ids, count * sizeof(uint64_t)), &is_new);
    if (ids != few)
        sci_free(&server->memory, ids, size);
    return member ? SC_OK : SC_ERR_MEMORY;
}

/* Some other key than the one that was added last. */
static void sci_tracking_make_room(sc_server *server)
{
    if (!server->tracked || server->tracked->count <= SCI_TRACKING_MOST_KEYS)
        return;
    const size_t drawn = sci_random_below(server, server->tracked->count - 1);
    sci_tracking_end_key(server, sci_member_name(sci_members_at(server->tracked, drawn)), NULL);
}

SCI_PRIVATE void sci_tracking_note_keys(sci_session *session, const sc_slice *keys, size_t count)
{
    const sci_tracking *tracking = &session->tracking;
    if (!tracking->is_on || tracking->is_broadcasting ||
        (tracking->opts_in && !tracking->is_chosen) || (tracking->opts_out && tracking->is_chosen))
        return;
    for (size_t i = 0; i < count; i++) {
        /* What cannot be remembered may not be kept. */
        if (sci_tracking_add_key(session, keys[i]) != SC_OK)
            sci_tracking_tell(session, &keys[i], 1);
        sci_tracking_make_room(session->server);
    }
}

/* XREAD: the first half of what follows STREAMS; none when its words are wrong. */
static void sci_tracking_note_streams(const sci_call *call)
{
    size_t i = 1;
    while (i < call->argc &&
           (sci_word_is(call->argv[i], "block") || sci_word_is(call->argv[i], "count")))
        i += 2;
    if (i >= call->argc || !sci_word_is(call->argv[i], "streams") || (call->argc - i) % 2 == 0)
        return;
    sci_tracking_note_keys(call->session, call->argv + i + 1, (call->argc - i - 1) / 2);
}

/* The commands whose keys have no place of their own in the table. */
static void sci_tracking_note_moving(const sci_call *call)
{
    static const char *const counted[] = {"sintercard", "zinter", "zunion", "zdiff", "zintercard"};
    const sc_slice name = sc_text(call->command->name);
    int64_t count;
    for (size_t i = 0; i < SCI_COUNT(counted); i++) {
        if (sci_word_is(name, counted[i]) && sci_text_to_i64(call->argv[1], &count) && count > 0 &&
            (uint64_t)count <= call->argc - 2)
            sci_tracking_note_keys(call->session, call->argv + 2, (size_t)count);
    }
    if (sci_word_is(name, "xread"))
        sci_tracking_note_streams(call);
}

SCI_PRIVATE void sci_tracking_note_read(sci_call *call)
{
    const sci_command *command = call->command;
    if (call->is_retried) /* whoever has waited has not read before */
        return;
    if (command->first_key == 0) {
        sci_tracking_note_moving(call);
        return;
    }
    const int argc = (int)call->argc;
    const int last = command->last_key < 0 ? argc + command->last_key : command->last_key;
    for (int i = command->first_key; i <= last && i < argc; i += command->key_step)
        sci_tracking_note_keys(call->session, &call->argv[i], 1);
}

static void sci_tracking_forget_read(sc_server *server)
{
    if (server->tracked)
        sci_members_release(server->tracked);
    server->tracked = NULL;
}

SCI_PRIVATE void sci_tracking_forget_keys(sc_server *server)
{
    sci_tracking_forget_read(server);
    sci_tracking_forget_own(server);
}

/* --- Prefixes */

/* Exists while a session tracks it. Its bytes follow this struct. */
typedef struct sci_prefix {
    sci_link link;     /* in server->prefixes, in the order of their bytes */
    sci_link changed;  /* in server->changed_prefixes, or in none */
    sci_link sessions; /* sci_prefix_use.of_prefix */
    sci_members *keys; /* owned: changed keys, and the id of who changed each; NULL: none yet */
    bool is_overfull;  /* there was no memory for one of them */
    size_t len;
} sci_prefix;

typedef struct sci_prefix_use {
    sci_link of_session; /* in the order of their bytes */
    sci_link of_prefix;
    sci_session *session;
    sci_prefix *prefix;
} sci_prefix_use;

static sc_slice sci_prefix_bytes(const sci_prefix *prefix)
{
    return sc_bytes((const char *)(prefix + 1), prefix->len);
}

static int sci_prefix_compare(sc_slice a, sc_slice b)
{
    const size_t len = sci_min_size(a.len, b.len);
    const int order = len > 0 ? memcmp(a.data, b.data, len) : 0;
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

static bool sci_begins_with(sc_slice bytes, sc_slice prefix)
{
    return bytes.len >= prefix.len && sci_slice_equal(sc_bytes(bytes.data, prefix.len), prefix);
}

/* The one with these bytes, or NULL; `*before`: where it would stand. */
static sci_prefix *sci_prefix_find(sc_server *server, sc_slice bytes, sci_link **before)
{
    sci_link *link = server->prefixes.next;
    for (; link != &server->prefixes; link = link->next) {
        sci_prefix *prefix = SCI_CONTAINER(link, sci_prefix, link);
        const int order = sci_prefix_compare(sci_prefix_bytes(prefix), bytes);
        if (order == 0)
            return prefix;
        if (order > 0)
            break;
    }
    *before = link;
    return NULL;
}

static sci_prefix *sci_prefix_get(sc_server *server, sc_slice bytes)
{
    sci_link *before;
    sci_prefix *prefix = sci_prefix_find(server, bytes, &before);
    if (prefix)
        return prefix;
    prefix = (sci_prefix *)sci_alloc_zeroed(&server->memory, sizeof *prefix + bytes.len);
    if (!prefix)
        return NULL;
    prefix->len = bytes.len;
    if (bytes.len > 0)
        memcpy((char *)(prefix + 1), bytes.data, bytes.len);
    sci_list_init(&prefix->link);
    sci_list_init(&prefix->changed);
    sci_list_init(&prefix->sessions);
    sci_list_append(before, &prefix->link); /* at the end of a list that begins there: before it */
    return prefix;
}

static void sci_prefix_forget_keys(sci_prefix *prefix)
{
    if (prefix->keys)
        sci_members_release(prefix->keys);
    prefix->keys = NULL;
    prefix->is_overfull = false;
    sci_list_remove(&prefix->changed);
}

static void sci_prefix_release(sc_server *server, sci_prefix *prefix)
{
    if (!sci_list_is_empty(&prefix->sessions))
        return;
    sci_prefix_forget_keys(prefix);
    sci_list_remove(&prefix->link);
    sci_free(&server->memory, prefix, sizeof *prefix + prefix->len);
}

/* Where in the session's list `bytes` would stand; NULL: it is there. */
static sci_link *sci_prefix_place(sci_session *session, sc_slice bytes)
{
    sci_link *list = &session->tracking.prefixes, *link = list->next;
    for (; link != list; link = link->next) {
        const sci_prefix_use *use = SCI_CONTAINER(link, sci_prefix_use, of_session);
        const int order = sci_prefix_compare(sci_prefix_bytes(use->prefix), bytes);
        if (order >= 0)
            return order > 0 ? link : NULL;
    }
    return link;
}

SCI_PRIVATE sc_status sci_tracking_add_prefix(sci_session *session, sc_slice bytes)
{
    sc_server *server = session->server;
    sci_link *before = sci_prefix_place(session, bytes);
    if (!before)
        return SC_OK;
    sci_prefix *prefix = sci_prefix_get(server, bytes);
    if (!prefix)
        return SC_ERR_MEMORY;
    sci_prefix_use *use = (sci_prefix_use *)sci_alloc_zeroed(&server->memory, sizeof *use);
    if (!use) {
        sci_prefix_release(server, prefix);
        return SC_ERR_MEMORY;
    }
    use->session = session;
    use->prefix = prefix;
    sci_list_init(&use->of_session);
    sci_list_init(&use->of_prefix);
    sci_list_append(before, &use->of_session);
    sci_list_append(&prefix->sessions, &use->of_prefix);
    return SC_OK;
}

SCI_PRIVATE bool sci_tracking_next_prefix(const sci_session *session, const sci_link **at,
                                          sc_slice *prefix)
{
    const sci_link *list = &session->tracking.prefixes;
    *at = *at ? (*at)->next : list->next;
    if (*at == list)
        return false;
    *prefix = sci_prefix_bytes(SCI_CONTAINER(*at, sci_prefix_use, of_session)->prefix);
    return true;
}

/* Remember for sci_tracking_tell_prefixes that a key has changed. */
static void sci_prefix_add_key(sc_server *server, sci_prefix *prefix, sc_slice key, uint64_t by)
{
    const sc_slice id = sc_bytes((const char *)&by, sizeof by);
    bool is_new;
    if (!sci_link_is_in_list(&prefix->changed))
        sci_list_append(&server->changed_prefixes, &prefix->changed);
    if (!prefix->keys)
        prefix->keys = sci_members_new(&server->memory, &server->hash_seed, true);
    if (!prefix->keys || !sci_members_put(prefix->keys, key, id, &is_new))
        prefix->is_overfull = true;
}

/* Those of the changed keys that a session is to be told of. */
static size_t sci_prefix_keys_for(const sci_prefix *prefix, const sci_session *session,
                                  sc_slice *keys)
{
    sci_members_iterator iterator = {0, 0};
    size_t count = 0;
    for (const sci_member *member; (member = sci_members_next(prefix->keys, &iterator));) {
        const sc_slice by = sci_member_value(member);
        if (!session->tracking.no_loop || memcmp(by.data, &session->id, sizeof session->id) != 0)
            keys[count++] = sci_member_name(member);
    }
    return count;
}

static void sci_prefix_tell(sc_server *server, sci_prefix *prefix)
{
    const size_t size = prefix->keys ? prefix->keys->count * sizeof(sc_slice) : 0;
    sc_slice *keys = NULL;
    if (size > 0 && !prefix->is_overfull)
        keys = (sc_slice *)sci_resize(&server->memory, NULL, 0, size);
    for (sci_link *link = prefix->sessions.next; link != &prefix->sessions; link = link->next) {
        sci_session *session = SCI_CONTAINER(link, sci_prefix_use, of_prefix)->session;
        const size_t count = keys ? sci_prefix_keys_for(prefix, session, keys) : 0;
        /* Without memory for them: that all are gone. */
        if (count > 0 || !keys)
            sci_tracking_tell(session, keys, count);
    }
    sci_free(&server->memory, keys, size);
    sci_prefix_forget_keys(prefix);
}

SCI_PRIVATE void sci_tracking_tell_prefixes(sc_server *server)
{
    sci_tracking_tell_own(server);
    if (sci_list_is_empty(&server->changed_prefixes))
        return;
    for (sci_link *link = server->prefixes.next; link != &server->prefixes; link = link->next) {
        sci_prefix *prefix = SCI_CONTAINER(link, sci_prefix, link);
        if (sci_link_is_in_list(&prefix->changed))
            sci_prefix_tell(server, prefix);
    }
}

/* --- What happens */

SCI_PRIVATE void sci_tracking_key_changed(sc_server *server, sc_slice key, const sci_session *by)
{
    for (sci_link *link = server->prefixes.next; link != &server->prefixes; link = link->next) {
        sci_prefix *prefix = SCI_CONTAINER(link, sci_prefix, link);
        if (sci_begins_with(key, sci_prefix_bytes(prefix)))
            sci_prefix_add_key(server, prefix, key, by ? by->id : 0);
    }
    if (server->tracked)
        sci_tracking_end_key(server, key, by);
}

SCI_PRIVATE void sci_tracking_flushed(sc_server *server, const sci_session *by)
{
    for (sci_link *link = server->sessions.next; link != &server->sessions; link = link->next) {
        sci_session *session = SCI_CONTAINER(link, sci_session, link);
        if (!session->tracking.is_on)
            continue;
        if (session != by) {
            sci_tracking_tell(session, NULL, 0);
            continue;
        }
        sci_tracking_begin_own(session);
        server->is_own_flush = true;
    }
    sci_tracking_forget_read(server);
}

SCI_PRIVATE void sci_tracking_command_done(sci_session *session, const sci_command *command)
{
    sci_tracking_tell_own(session->server);
    const bool is_client = command && sci_word_is(sc_text(command->name), "client");
    if (session->tracking.is_chosen && !is_client && !session->transaction.is_open)
        session->tracking.is_chosen = false;
}

SCI_PRIVATE void sci_tracking_leave(sci_session *session)
{
    sci_link *list = &session->tracking.prefixes;
    while (!sci_list_is_empty(list)) {
        sci_prefix_use *use = SCI_CONTAINER(list->next, sci_prefix_use, of_session);
        sci_list_remove(&use->of_session);
        sci_list_remove(&use->of_prefix);
        sci_prefix_release(session->server, use->prefix);
        sci_free(&session->server->memory, use, sizeof *use);
    }
    memset(&session->tracking, 0, sizeof session->tracking);
    sci_list_init(list);
}
