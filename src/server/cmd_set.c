/* Commands on one set. */

#include "server/collection.h"
#include "server/commands.h"
#include "server/scan.h"

static bool sci_set_for_read(sci_call *call, sci_members **set)
{
    return sci_collection_for_read(call, 1, SCI_SET, set);
}

/* --- Reading */

static void sci_command_scard(sci_call *call)
{
    sci_members *set;
    if (sci_set_for_read(call, &set))
        sci_answer_i64(call, set ? set->count : 0);
}

static void sci_command_sismember(sci_call *call)
{
    sci_members *set;
    if (sci_set_for_read(call, &set))
        sci_answer_i64(call, set && sci_members_find(set, call->argv[2]));
}

static void sci_command_smismember(sci_call *call)
{
    sci_members *set;
    if (!sci_set_for_read(call, &set))
        return;
    sci_answer_array(call, call->argc - 2);
    for (size_t i = 2; i < call->argc; i++)
        sci_answer_i64(call, set && sci_members_find(set, call->argv[i]));
}

SCI_PRIVATE void sci_set_answer(sci_call *call, const sci_members *set)
{
    sci_members_iterator iterator = {0, 0};
    sci_answer_array(call, set ? set->count : 0);
    for (const sci_member *member; set && (member = sci_members_next(set, &iterator));)
        sci_answer_bulk(call, sci_member_name(member));
}

static void sci_command_smembers(sci_call *call)
{
    sci_members *set;
    if (sci_set_for_read(call, &set))
        sci_set_answer(call, set);
}

static void sci_command_srandmember(sci_call *call)
{
    sci_members *set;
    int64_t count = 0;
    if (call->argc > 3) {
        sci_answer_syntax_error(call);
        return;
    }
    if (call->argc == 3 && !sci_collection_arg_count(call, 2, &count))
        return;
    if (!sci_set_for_read(call, &set))
        return;
    if (call->argc == 2)
        sci_collection_answer_one(call, set);
    else
        sci_collection_answer_some(call, set, count, false);
}

static void sci_sscan_visit(void *user, sci_member *member)
{
    sci_scan *scan = (sci_scan *)user;
    if (!sci_scan_wants(scan, sci_member_name(member)))
        return;
    sci_answer_bulk(scan->call, sci_member_name(member));
    scan->answers++;
}

static uint64_t sci_sscan_step(sci_scan *scan, uint64_t cursor, const void *table)
{
    return sci_members_walk((const sci_members *)table, cursor, sci_sscan_visit, scan);
}

static void sci_command_sscan(sci_call *call)
{
    sci_scan scan;
    sci_members *set;
    if (!sci_scan_begin(&scan, call, 2) || !sci_set_for_read(call, &set))
        return;
    if (!set)
        sci_scan_answer_none(call);
    else if (sci_scan_options(&scan, 3, false))
        sci_scan_run(&scan, sci_sscan_step, set);
}

/* --- Changing */

static void sci_command_sadd(sci_call *call)
{
    sci_entry *entry;
    sci_members *set;
    size_t added;
    if (!sci_collection_for_write(call, 1, SCI_SET, &entry, &set) ||
        !sci_collection_put(call, call->argv[1], SCI_SET, entry, call->argv + 2, call->argc - 2,
                            &added))
        return;
    if (added > 0)
        sci_changed(call, call->argv[1], SCI_EVENT_SET, "sadd");
    sci_answer_i64(call, (int64_t)added);
}

static void sci_command_srem(sci_call *call)
{
    sci_entry *entry;
    sci_members *set;
    int64_t removed = 0;
    if (!sci_collection_for_write(call, 1, SCI_SET, &entry, &set))
        return;
    for (size_t i = 2; set && i < call->argc; i++)
        removed += sci_members_remove(set, call->argv[i]);
    if (removed > 0)
        sci_collection_shrunk(call, call->argv[1], entry, SCI_EVENT_SET, "srem");
    sci_answer_i64(call, removed);
}

/* From one set to another one, or to none yet. Memory is asked for before anything is taken away. */
static void sci_set_move(sci_call *call, sci_entry *from, sci_entry *to)
{
    const sc_slice member = call->argv[3];
    size_t added;
    if (!sci_collection_put(call, call->argv[2], SCI_SET, to, &member, 1, &added))
        return;
    (void)sci_members_remove((sci_members *)from->value.object, member);
    sci_collection_shrunk(call, call->argv[1], from, SCI_EVENT_SET, "srem");
    if (added > 0)
        sci_changed(call, call->argv[2], SCI_EVENT_SET, "sadd");
    sci_answer_i64(call, 1);
}

static void sci_command_smove(sci_call *call)
{
    sci_entry *from = sci_entry_for_write(call, call->argv[1]);
    sci_entry *to = sci_entry_for_write(call, call->argv[2]);
    if (!from) {
        sci_answer_i64(call, 0);
        return;
    }
    if (from->type != SCI_SET || (to && to->type != SCI_SET)) {
        sci_answer_wrong_type(call);
        return;
    }
    const bool is_there =
        sci_members_find((const sci_members *)from->value.object, call->argv[3]) != NULL;
    if (is_there && from != to)
        sci_set_move(call, from, to);
    else
        sci_answer_i64(call, is_there);
}

/* --- SPOP */

#define SCI_SPOP_PIECE 64u /* members of one SREM in the log */

typedef struct sci_spop {
    sci_call *call;
    sc_slice words[2 + SCI_SPOP_PIECE]; /* SREM, the key, members */
    size_t count;
    size_t left; /* to be visited */
} sci_spop;

/* What chance took goes into the log as what it was. */
static void sci_spop_visit(void *user, sci_member *member)
{
    sci_spop *pop = (sci_spop *)user;
    const sc_slice name = sci_member_name(member);
    sci_answer_bulk(pop->call, name);
    pop->words[pop->count++] = name;
    if (--pop->left > 0 && pop->count < SCI_COUNT(pop->words))
        return;
    sci_log_instead(pop->call, pop->words, pop->count);
    pop->count = 2;
}

static void sci_set_pop(sci_call *call, sci_entry *entry, size_t count)
{
    sci_spop pop;
    pop.call = call;
    pop.words[0] = sc_text("SREM");
    pop.words[1] = call->argv[1];
    pop.count = 2;
    pop.left = count;
    sci_members_choose((sci_members *)entry->value.object, count, true, sci_collection_chance,
                       call->server, sci_spop_visit, &pop);
    sci_collection_shrunk(call, call->argv[1], entry, SCI_EVENT_SET, "spop");
}

static void sci_set_pop_all(sci_call *call, sci_entry *entry)
{
    sc_slice words[2];
    words[0] = sc_text("DEL");
    words[1] = call->argv[1];
    sci_set_answer(call, (const sci_members *)entry->value.object);
    sci_log_instead(call, words, SCI_COUNT(words));
    sci_changed(call, call->argv[1], SCI_EVENT_SET, "spop");
    sci_entry_delete(call, entry);
    sci_notify(call, SCI_EVENT_GENERIC, "del", call->argv[1]);
}

static void sci_spop_some(sci_call *call, int64_t count)
{
    sci_entry *entry;
    sci_members *set;
    if (!sci_collection_for_write(call, 1, SCI_SET, &entry, &set))
        return;
    if (!set || count == 0) {
        sci_answer_array(call, 0);
    } else if ((uint64_t)count >= set->count) {
        sci_set_pop_all(call, entry);
    } else {
        sci_answer_array(call, (size_t)count);
        sci_set_pop(call, entry, (size_t)count);
    }
}

static void sci_command_spop(sci_call *call)
{
    sci_entry *entry;
    sci_members *set;
    int64_t count;
    if (call->argc > 3) {
        sci_answer_syntax_error(call);
    } else if (call->argc == 3) {
        if (sci_text_to_i64(call->argv[2], &count) && count >= 0)
            sci_spop_some(call, count);
        else
            sci_answer_error(call, "ERR value is out of range, must be positive");
    } else if (sci_collection_for_write(call, 1, SCI_SET, &entry, &set)) {
        if (set)
            sci_set_pop(call, entry, 1);
        else
            sci_answer_nil(call, SCI_NIL_BULK);
    }
}

SCI_PRIVATE sci_command_list sci_set_commands(void)
{
    static const sci_command commands[] = {
        {"sadd", sci_command_sadd, -3, SCI_CMD_WRITE | SCI_CMD_DENYOOM | SCI_CMD_FAST, 1, 1, 1},
        {"srem", sci_command_srem, -3, SCI_CMD_WRITE | SCI_CMD_FAST, 1, 1, 1},
        {"smove", sci_command_smove, 4, SCI_CMD_WRITE | SCI_CMD_FAST, 1, 2, 1},
        {"scard", sci_command_scard, 2, SCI_CMD_READONLY | SCI_CMD_FAST, 1, 1, 1},
        {"sismember", sci_command_sismember, 3, SCI_CMD_READONLY | SCI_CMD_FAST, 1, 1, 1},
        {"smismember", sci_command_smismember, -3, SCI_CMD_READONLY | SCI_CMD_FAST, 1, 1, 1},
        {"smembers", sci_command_smembers, 2, SCI_CMD_READONLY, 1, 1, 1},
        {"srandmember", sci_command_srandmember, -2, SCI_CMD_READONLY, 1, 1, 1},
        {"spop", sci_command_spop, -2, SCI_CMD_WRITE | SCI_CMD_FAST, 1, 1, 1},
        {"sscan", sci_command_sscan, -3, SCI_CMD_READONLY, 1, 1, 1},
    };
    const sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
