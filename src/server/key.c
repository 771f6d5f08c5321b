/* Keys as commands see them: looked up, expired, and told of. */

#include "server/command.h"

#include "server/dispatch.h"
#include "server/evict.h"
#include "server/log.h"
#include "server/tracking.h"
#include "server/transaction.h"
#include "server/wait.h"

/* For what the server does by itself, without a session. */
static void sci_call_init_own(sci_call *call, sc_server *server, sci_db *db)
{
    sci_call_init(call, server, NULL, NULL, NULL, 0);
    call->db = db;
}

SCI_PRIVATE void sci_entry_vanish(sc_server *server, sci_db *db, sci_entry *entry,
                                  unsigned event_class)
{
    sci_call call;
    /* The entry's own key goes with it. */
    sci_bytes key;
    sci_bytes_init(&key, &server->memory);
    sci_call_init_own(&call, server, db);
    bool is_told = sci_bytes_append(&key, sci_entry_key(entry)) == SC_OK;
    if (server->log) {
        sc_slice words[2] = {sc_text("DEL"), sci_entry_key(entry)};
        sci_log_before_use(server->log, db, entry);
        sci_log_append(server->log, db->index, words, SCI_COUNT(words));
    }
    sci_watch_key_changed(server, db, sci_entry_key(entry));
    sci_tracking_key_changed(server, sci_entry_key(entry), NULL);
    sci_db_delete(db, entry);
    if (is_told)
        sci_notify(&call, event_class, event_class == SCI_EVENT_EXPIRED ? "expired" : "evicted",
                   sci_bytes_slice(&key));
    sci_bytes_free(&key);
    if (event_class == SCI_EVENT_EXPIRED)
        server->stats.expired++;
    else
        server->stats.evicted++;
}

static sci_entry *sci_entry_alive(sci_call *call, sc_slice key)
{
    sci_entry *entry = sci_db_find(call->db, key);
    if (!entry || !entry->expiry || call->is_loading ||
        sci_db_expiry_ms(call->db, entry) > call->now_ms)
        return entry;
    sci_entry_vanish(call->server, call->db, entry, SCI_EVENT_EXPIRED);
    return NULL;
}

SCI_PRIVATE sci_entry *sci_entry_for_read(sci_call *call, sc_slice key)
{
    sci_entry *entry = sci_entry_alive(call, key);
    if (!entry) {
        call->server->stats.misses++;
        sci_notify(call, SCI_EVENT_MISS, "keymiss", key);
        return NULL;
    }
    call->server->stats.hits++;
    if (!call->session || !call->session->no_touch)
        sci_evict_note_access(call->server, entry);
    if (call->server->log && call->command && (call->command->flags & SCI_CMD_WRITE))
        sci_log_before_use(call->server->log, call->db, entry);
    return entry;
}

SCI_PRIVATE sci_entry *sci_entry_for_write(sci_call *call, sc_slice key)
{
    sci_entry *entry = sci_entry_alive(call, key);
    if (!entry)
        return NULL;
    sci_evict_note_access(call->server, entry);
    if (call->server->log)
        sci_log_before_use(call->server->log, call->db, entry);
    return entry;
}

/* Of the keys that it waited for a retried command sees the one that is ready, if its type is
   right. */
static bool sci_is_hidden(const sci_call *call, sc_slice key, sci_type type, const sci_entry *entry)
{
    if (!call->is_retried)
        return false;
    bool is_ready = sci_slice_equal(key, call->ready_key);
    return is_ready ? entry->type != type : sci_wait_hides(call, key);
}

static bool sci_is_typed(sci_call *call, sc_slice key, sci_type type, sci_entry **entry)
{
    if (*entry && sci_is_hidden(call, key, type, *entry))
        *entry = NULL;
    if (!*entry || (*entry)->type == type)
        return true;
    sci_answer_wrong_type(call);
    return false;
}

SCI_PRIVATE bool sci_typed_for_read(sci_call *call, sc_slice key, sci_type type, sci_entry **entry)
{
    *entry = sci_entry_for_read(call, key);
    return sci_is_typed(call, key, type, entry);
}

SCI_PRIVATE bool sci_typed_for_write(sci_call *call, sc_slice key, sci_type type, sci_entry **entry)
{
    *entry = sci_entry_for_write(call, key);
    return sci_is_typed(call, key, type, entry);
}

SCI_PRIVATE sci_entry *sci_entry_add(sci_call *call, sc_slice key, sci_type type, void *object)
{
    sci_entry *entry = sci_db_add(call->db, key, type, object);
    if (entry)
        sci_entry_is_new(call, entry);
    return entry;
}

SCI_PRIVATE void sci_entry_is_new(sci_call *call, sci_entry *entry)
{
    sci_evict_note_new(call->server, entry);
    if (call->server->log)
        sci_log_entry_is_new(call->server->log, entry);
    if (entry->type != SCI_STRING)
        sci_key_ready(call, sci_entry_key(entry));
    sci_notify(call, SCI_EVENT_NEW, "new", sci_entry_key(entry));
}

SCI_PRIVATE void sci_entry_delete(sci_call *call, sci_entry *entry)
{
    sci_db_delete(call->db, entry);
}

SCI_PRIVATE void sci_key_changed(sci_call *call, sc_slice key)
{
    call->changes++;
    sci_watch_key_changed(call->server, call->db, key);
    sci_tracking_key_changed(call->server, key, call->session);
}

SCI_PRIVATE void sci_changed(sci_call *call, sc_slice key, unsigned event_class, const char *event)
{
    sci_key_changed(call, key);
    sci_notify(call, event_class, event, key);
}

SCI_PRIVATE void sci_log_instead(sci_call *call, const sc_slice *argv, size_t argc)
{
    call->is_log_replaced = true;
    if (argc && call->server->log && !call->is_loading)
        sci_log_append(call->server->log, call->db->index, argv, argc);
}
