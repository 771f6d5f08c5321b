/* Keys that move and are copied. */

#include "server/commands.h"
#include "server/server.h"

static bool sci_move_no_memory(sci_call *call)
{
    sci_answer_no_memory(call);
    return false;
}

/* --- RENAME */

/* False after answering: there is no such key, or no memory. `*is_done` false: `to` is there, and
   only a key that is not there was wanted. */
static bool sci_rename(sci_call *call, bool only_new, bool *is_done)
{
    sc_slice from = call->argv[1], to = call->argv[2];
    sci_entry *entry = sci_entry_for_write(call, from);
    if (!entry) {
        sci_answer_error(call, "ERR no such key");
        return false;
    }
    *is_done = !only_new;
    if (sci_slice_equal(from, to))
        return true;
    sci_entry *replaced = sci_entry_for_write(call, to);
    *is_done = !only_new || !replaced;
    if (!*is_done)
        return true;
    entry = sci_db_rename(call->db, entry, to, replaced);
    if (!entry)
        return sci_move_no_memory(call);
    sci_entry_is_new(call, entry);
    sci_key_changed(call, from);
    sci_key_changed(call, to);
    sci_notify(call, SCI_EVENT_GENERIC, "rename_from", from);
    sci_notify(call, SCI_EVENT_GENERIC, "rename_to", to);
    return true;
}

static void sci_command_rename(sci_call *call)
{
    bool is_done;
    if (sci_rename(call, false, &is_done))
        sci_answer_ok(call);
}

static void sci_command_renamenx(sci_call *call)
{
    bool is_done;
    if (sci_rename(call, true, &is_done))
        sci_answer_i64(call, is_done);
}

/* --- To another database */

/* argv[i] as the number of a database, which is a C int to Redis. False after answering. */
static bool sci_arg_db(sci_call *call, size_t i, sci_db **db)
{
    int64_t number;
    if (!sci_arg_i64_between(call, i, INT32_MIN, INT32_MAX, &number))
        return false;
    if (number < 0 || number >= call->server->db_count) {
        sci_answer_error(call, "ERR DB index is out of range");
        return false;
    }
    *db = &call->server->dbs[number];
    return true;
}

static void sci_answer_same_object(sci_call *call)
{
    sci_answer_error(call, "ERR source and destination objects are the same");
}

/* sci_entry_for_write in another database. */
static sci_entry *sci_entry_for_write_in(sci_call *call, sci_db *db, sc_slice key)
{
    sci_db *own = call->db;
    call->db = db;
    sci_entry *entry = sci_entry_for_write(call, key);
    call->db = own;
    return entry;
}

/* Tell of what has come to a database, and of its leaving this one, unless that event is NULL. */
static void sci_tell_arrival(sci_call *call, sci_db *db, sci_entry *entry, const char *event,
                             const char *event_here)
{
    sci_db *own = call->db;
    sc_slice key = sci_entry_key(entry);
    call->db = db;
    sci_entry_is_new(call, entry);
    call->db = own;
    if (event_here)
        sci_changed(call, key, SCI_EVENT_GENERIC, event_here);
    call->db = db;
    sci_changed(call, key, SCI_EVENT_GENERIC, event);
    call->db = own;
}

static void sci_command_move(sci_call *call)
{
    sc_slice key = call->argv[1];
    sci_db *to;
    if (!sci_arg_db(call, 2, &to))
        return;
    if (to == call->db) {
        sci_answer_same_object(call);
        return;
    }
    sci_entry *entry = sci_entry_for_write(call, key);
    if (!entry || sci_entry_for_write_in(call, to, key)) {
        sci_answer_i64(call, 0);
        return;
    }
    if (sci_db_move(call->db, entry, to) != SC_OK) {
        sci_answer_no_memory(call);
        return;
    }
    sci_tell_arrival(call, to, entry, "move_to", "move_from");
    sci_answer_i64(call, 1);
}

/* --- COPY */

typedef struct sci_copy_options {
    sci_db *to;
    bool replaces;
} sci_copy_options;

static bool sci_copy_parse(sci_call *call, sci_copy_options *options)
{
    options->to = call->db;
    options->replaces = false;
    for (size_t i = 3; i < call->argc; i++) {
        if (sci_word_is(call->argv[i], "replace")) {
            options->replaces = true;
        } else if (sci_word_is(call->argv[i], "db") && i + 1 < call->argc) {
            if (!sci_arg_db(call, ++i, &options->to))
                return false;
        } else {
            sci_answer_syntax_error(call);
            return false;
        }
    }
    return true;
}

/* A copy of an object under `key`, where `replaced` (or NULL) is. NULL when there is no memory. */
static sci_entry *sci_copy_object(const sci_entry *from, sci_db *to, sc_slice key,
                                  sci_entry *replaced)
{
    const sci_type_table *table = sci_type_of((sci_type)from->type);
    void *object = table->copy(&to->memory, from->value.object);
    if (!object)
        return NULL;
    if (replaced) {
        sci_entry_replace_object(to, replaced, (sci_type)from->type, object);
        return replaced;
    }
    sci_entry *copy = sci_db_add(to, key, (sci_type)from->type, object);
    if (!copy)
        table->release(&to->memory, object);
    return copy;
}

/* `at_ms` -1: the copy does not expire. */
static sci_entry *sci_copy(const sci_entry *from, int64_t at_ms, sci_db *to, sc_slice key,
                           sci_entry *replaced)
{
    if (at_ms >= 0 && sci_db_reserve_expiry(to) != SC_OK)
        return NULL;
    sci_entry *copy = from->type == SCI_STRING
                          ? sci_db_set_string(to, replaced, key, sci_entry_string(from))
                          : sci_copy_object(from, to, key, replaced);
    if (copy && at_ms >= 0)
        (void)sci_db_expire_at(to, copy, at_ms);
    else if (copy)
        sci_db_persist(to, copy);
    return copy;
}

static void sci_command_copy(sci_call *call)
{
    sc_slice from = call->argv[1], to = call->argv[2];
    sci_copy_options options;
    if (!sci_copy_parse(call, &options))
        return;
    if (options.to == call->db && sci_slice_equal(from, to)) {
        sci_answer_same_object(call);
        return;
    }
    const sci_entry *entry = sci_entry_for_read(call, from);
    sci_entry *replaced = entry ? sci_entry_for_write_in(call, options.to, to) : NULL;
    if (!entry || (replaced && !options.replaces)) {
        sci_answer_i64(call, 0);
        return;
    }
    sci_entry *copy = sci_copy(entry, sci_db_expiry_ms(call->db, entry), options.to, to, replaced);
    if (!copy) {
        sci_answer_no_memory(call);
        return;
    }
    sci_tell_arrival(call, options.to, copy, "copy_to", NULL);
    sci_answer_i64(call, 1);
}

SCI_PRIVATE sci_command_list sci_move_commands(void)
{
    static const sci_command commands[] = {
        {"rename", sci_command_rename, 3, SCI_CMD_WRITE, 1, 2, 1},
        {"renamenx", sci_command_renamenx, 3, SCI_CMD_WRITE | SCI_CMD_FAST, 1, 2, 1},
        {"move", sci_command_move, 3, SCI_CMD_WRITE | SCI_CMD_FAST, 1, 1, 1},
        {"copy", sci_command_copy, -3, SCI_CMD_WRITE | SCI_CMD_DENYOOM, 1, 2, 1},
    };
    sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
