/* Keys, whatever is under them. */

#include "server/commands.h"
#include "server/dispatch.h"
#include "server/evict.h"
#include "server/scan.h"
#include "server/subcommand.h"

static void sci_command_exists(sci_call *call)
{
    int64_t count = 0;
    for (size_t i = 1; i < call->argc; i++)
        count += sci_entry_for_read(call, call->argv[i]) != NULL;
    sci_answer_i64(call, count);
}

static void sci_command_del(sci_call *call)
{
    int64_t count = 0;
    for (size_t i = 1; i < call->argc; i++) {
        sci_entry *entry = sci_entry_for_write(call, call->argv[i]);
        if (!entry)
            continue;
        sci_entry_delete(call, entry);
        sci_changed(call, call->argv[i], SCI_EVENT_GENERIC, "del");
        count++;
    }
    sci_answer_i64(call, count);
}

static void sci_command_type(sci_call *call)
{
    const sci_entry *entry = sci_entry_for_read(call, call->argv[1]);
    sci_answer_simple(call, entry ? sci_type_of((sci_type)entry->type)->name : "none");
}

static bool sci_entry_is_expired(const sci_call *call, const sci_entry *entry)
{
    return entry->expiry && !call->is_loading && sci_db_expiry_ms(call->db, entry) <= call->now_ms;
}

static void sci_command_randomkey(sci_call *call)
{
    for (;;) {
        sci_entry *entry = sci_db_random(call->db, sci_random_u64(call->server));
        if (!entry) {
            sci_answer_nil(call, SCI_NIL_BULK);
            return;
        }
        if (!sci_entry_is_expired(call, entry)) {
            sci_answer_bulk(call, sci_entry_key(entry));
            return;
        }
        sci_entry_vanish(call->server, call->db, entry, SCI_EVENT_EXPIRED);
    }
}

/* --- KEYS and SCAN */

static void sci_keys_visit(void *user, sci_entry *entry)
{
    sci_scan *scan = (sci_scan *)user;
    sc_slice key = sci_entry_key(entry);
    if (!sci_scan_wants(scan, key) || sci_entry_is_expired(scan->call, entry))
        return;
    if (scan->type.data && !sci_word_is(scan->type, sci_type_of((sci_type)entry->type)->name))
        return;
    sci_answer_bulk(scan->call, key);
    scan->answers++;
}

static uint64_t sci_keys_step(sci_scan *scan, uint64_t cursor, const void *table)
{
    (void)table;
    return sci_db_walk(scan->call->db, cursor, sci_keys_visit, scan);
}

static void sci_command_keys(sci_call *call)
{
    sci_scan scan;
    uint64_t cursor = 0;
    memset(&scan, 0, sizeof scan);
    scan.call = call;
    scan.pattern = call->argv[1];
    size_t mark = sci_answer_array_begin(call);
    do
        cursor = sci_keys_step(&scan, cursor, NULL);
    while (cursor);
    sci_answer_array_end(call, mark, scan.answers);
}

static void sci_command_scan(sci_call *call)
{
    sci_scan scan;
    if (sci_scan_begin(&scan, call, 1) && sci_scan_options(&scan, 2, true))
        sci_scan_run(&scan, sci_keys_step, NULL);
}

/* --- OBJECT */

static bool sci_evicts_by_frequency(const sc_server *server)
{
    return server->config.eviction == SC_EVICTION_ALLKEYS_LFU ||
           server->config.eviction == SC_EVICTION_VOLATILE_LFU;
}

/* The entry that is asked of: being looked at is no access. NULL after answering that there is
   none. */
static const sci_entry *sci_object_entry(sci_call *call)
{
    const sci_entry *entry = sci_db_find(call->db, call->argv[2]);
    if (entry && !sci_entry_is_expired(call, entry))
        return entry;
    sci_answer_nil(call, SCI_NIL_BULK);
    return NULL;
}

static void sci_object_encoding(sci_call *call)
{
    const sci_entry *entry = sci_object_entry(call);
    if (entry)
        sci_answer_text(call, sci_entry_encoding(entry));
}

static void sci_object_refcount(sci_call *call)
{
    if (sci_object_entry(call))
        sci_answer_i64(call, 1);
}

static void sci_object_freq(sci_call *call)
{
    const sci_entry *entry = sci_object_entry(call);
    if (!entry)
        return;
    if (sci_evicts_by_frequency(call->server))
        sci_answer_i64(call, sci_evict_frequency(call->server, entry));
    else
        sci_answer_error(call,
                         "ERR An LFU maxmemory policy is not selected, access frequency not "
                         "tracked. Please note that when switching between policies at runtime LRU "
                         "and LFU data will take some time to adjust.");
}

static void sci_object_idletime(sci_call *call)
{
    const sci_entry *entry = sci_object_entry(call);
    if (!entry)
        return;
    if (!sci_evicts_by_frequency(call->server))
        sci_answer_i64(call, sci_evict_idle_ms(call->server, entry) / 1000);
    else
        sci_answer_error(call,
                         "ERR An LFU maxmemory policy is selected, idle time not tracked. Please "
                         "note that when switching between policies at runtime LRU and LFU data "
                         "will take some time to adjust.");
}

static void sci_object_help(sci_call *call)
{
    static const char *const lines[] = {
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    Return the kind of internal representation used in order to store the value",
        "    associated with a <key>.",
        "FREQ <key>",
        "    Return the access frequency index of the <key>. The returned integer is",
        "    proportional to the logarithm of the recent access frequency of the key.",
        "IDLETIME <key>",
        "    Return the idle time of the <key>, that is the approximated number of",
        "    seconds elapsed since the last access to the key.",
        "REFCOUNT <key>",
        "    Return the number of references of the value associated with the specified",
        "    <key>.",
    };
    sci_answer_help(call, lines, SCI_COUNT(lines));
}

SCI_PRIVATE sci_subcommand_list sci_object_subcommands(void)
{
    static const sci_subcommand subcommands[] = {
        {"encoding", sci_object_encoding, 3}, {"freq", sci_object_freq, 3},
        {"help", sci_object_help, 2},         {"idletime", sci_object_idletime, 3},
        {"refcount", sci_object_refcount, 3},
    };
    sci_subcommand_list list = {subcommands, SCI_COUNT(subcommands)};
    return list;
}

SCI_PRIVATE sci_command_list sci_keys_commands(void)
{
    static const sci_command commands[] = {
        {"exists", sci_command_exists, -2, SCI_CMD_READONLY | SCI_CMD_FAST, 1, -1, 1},
        {"touch", sci_command_exists, -2, SCI_CMD_READONLY | SCI_CMD_FAST, 1, -1, 1},
        {"del", sci_command_del, -2, SCI_CMD_WRITE, 1, -1, 1},
        {"unlink", sci_command_del, -2, SCI_CMD_WRITE | SCI_CMD_FAST, 1, -1, 1},
        {"type", sci_command_type, 2, SCI_CMD_READONLY | SCI_CMD_FAST, 1, 1, 1},
        {"randomkey", sci_command_randomkey, 1, SCI_CMD_READONLY, 0, 0, 0},
        {"keys", sci_command_keys, 2, SCI_CMD_READONLY, 0, 0, 0},
        {"scan", sci_command_scan, -2, SCI_CMD_READONLY, 0, 0, 0},
        {"object", sci_subcommand_run, -2, SCI_CMD_READONLY | SCI_CMD_CONTAINER, 2, 2, 1},
    };
    sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
