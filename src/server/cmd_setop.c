/* Intersections, unions and differences of sets. */

#include "server/collection.h"
#include "server/commands.h"

typedef enum sci_setop_kind { SCI_SETOP_INTER, SCI_SETOP_UNION, SCI_SETOP_DIFF } sci_setop_kind;

#define SCI_SETOP_FEW 16u

typedef struct sci_setop {
    sci_call *call;
    sci_setop_kind kind;
    sci_members **sets; /* in the order of their keys, NULL: no key; `few`, or owned */
    size_t count;
    sci_members *few[SCI_SETOP_FEW];
    sci_members *others; /* owned: all but the first set united; NULL: not needed */
    sci_members *result; /* owned; NULL: what is found is answered */
    size_t found;
    bool is_out_of_memory;
} sci_setop;

static void sci_setop_end(sci_setop *op)
{
    if (op->sets != op->few)
        sci_free(&op->call->server->memory, op->sets, op->count * sizeof(sci_members *));
    if (op->others)
        sci_members_release(op->others);
    if (op->result)
        sci_members_release(op->result);
}

/* Look up argv[first] and on. False after answering. */
static bool sci_setop_begin(sci_setop *op, sci_call *call, sci_setop_kind kind, size_t first,
                            size_t count)
{
    memset(op, 0, sizeof *op);
    op->call = call;
    op->kind = kind;
    op->sets = op->few;
    op->count = count;
    if (count > SCI_SETOP_FEW)
        op->sets = (sci_members **)sci_resize(&call->server->memory, NULL, 0,
                                              count * sizeof(sci_members *));
    if (!op->sets) {
        sci_answer_no_memory(call);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!sci_collection_for_read(call, first + i, SCI_SET, &op->sets[i])) {
            sci_setop_end(op);
            return false;
        }
    }
    return true;
}

/* A member of the result. */
static void sci_setop_give(sci_setop *op, sc_slice name)
{
    bool is_new;
    if (!op->result)
        sci_answer_bulk(op->call, name);
    else if (!sci_members_put(op->result, name, sc_bytes(NULL, 0), &is_new))
        op->is_out_of_memory = true;
    op->found++;
}

/* --- Intersection */

static bool sci_setop_has_empty(const sci_setop *op)
{
    for (size_t i = 0; i < op->count; i++) {
        if (!op->sets[i])
            return true;
    }
    return false;
}

static void sci_setop_put_smallest_first(sci_setop *op)
{
    for (size_t i = 1; i < op->count; i++) {
        sci_members *set = op->sets[i];
        if (set->count >= op->sets[0]->count)
            continue;
        op->sets[i] = op->sets[0];
        op->sets[0] = set;
    }
}

static bool sci_setop_all_have(const sci_setop *op, sc_slice name)
{
    for (size_t i = 1; i < op->count; i++) {
        if (op->sets[i] != op->sets[0] && !sci_members_find(op->sets[i], name))
            return false;
    }
    return true;
}

/* Calls `give` for what is in all of them, at most so often. */
static void sci_setop_intersect(sci_setop *op, size_t most,
                                void (*give)(sci_setop *op, sc_slice name))
{
    sci_members_iterator iterator = {0, 0};
    const sci_member *member;
    if (sci_setop_has_empty(op))
        return;
    sci_setop_put_smallest_first(op);
    while (op->found < most && !op->is_out_of_memory &&
           (member = sci_members_next(op->sets[0], &iterator))) {
        if (sci_setop_all_have(op, sci_member_name(member)))
            give(op, sci_member_name(member));
    }
}

static void sci_setop_count(sci_setop *op, sc_slice name)
{
    (void)name;
    op->found++;
}

/* --- Union and difference */

/* All members of the sets from `first` on. */
static void sci_setop_unite(sci_setop *op, sci_members *into, size_t first)
{
    bool is_new;
    for (size_t i = first; i < op->count; i++) {
        sci_members_iterator iterator = {0, 0};
        const sci_member *member;
        while (op->sets[i] && !op->is_out_of_memory &&
               (member = sci_members_next(op->sets[i], &iterator)))
            op->is_out_of_memory =
                !sci_members_put(into, sci_member_name(member), sc_bytes(NULL, 0), &is_new);
    }
}

/* Does looking in each of the other sets take longer than to unite them first? */
static bool sci_setop_unites_others(const sci_setop *op)
{
    uint64_t others = 0;
    if (op->kind != SCI_SETOP_DIFF || op->count < 3 || !op->sets[0])
        return false;
    for (size_t i = 1; i < op->count; i++)
        others += op->sets[i] ? op->sets[i]->count : 0;
    return (uint64_t)op->sets[0]->count * (op->count - 2) / 2 > others;
}

static bool sci_setop_others_have(const sci_setop *op, sc_slice name)
{
    if (op->others)
        return sci_members_find(op->others, name) != NULL;
    for (size_t i = 1; i < op->count; i++) {
        if (op->sets[i] && sci_members_find(op->sets[i], name))
            return true;
    }
    return false;
}

static void sci_setop_differ(sci_setop *op)
{
    sci_members_iterator iterator = {0, 0};
    const sci_member *member;
    while (op->sets[0] && !op->is_out_of_memory &&
           (member = sci_members_next(op->sets[0], &iterator))) {
        if (!sci_setop_others_have(op, sci_member_name(member)))
            sci_setop_give(op, sci_member_name(member));
    }
}

/* --- Commands */

/* Everything that can fail before a member is answered. False after answering. */
static bool sci_setop_prepare(sci_setop *op, bool is_stored)
{
    sc_server *server = op->call->server;
    if (sci_setop_unites_others(op)) {
        op->others = sci_members_new(&server->data.table, &server->hash_seed, false);
        op->is_out_of_memory = !op->others;
        if (op->others)
            sci_setop_unite(op, op->others, 1);
    }
    if (!op->is_out_of_memory && (is_stored || op->kind == SCI_SETOP_UNION)) {
        op->result = sci_members_new(&server->data.table, &server->hash_seed, false);
        op->is_out_of_memory = !op->result;
    }
    if (op->is_out_of_memory)
        sci_answer_no_memory(op->call);
    return !op->is_out_of_memory;
}

/* False after answering. */
static bool sci_setop_run(sci_setop *op)
{
    if (op->kind == SCI_SETOP_INTER)
        sci_setop_intersect(op, SIZE_MAX, sci_setop_give);
    else if (op->kind == SCI_SETOP_UNION)
        sci_setop_unite(op, op->result, 0);
    else
        sci_setop_differ(op);
    if (op->is_out_of_memory)
        sci_answer_no_memory(op->call);
    return !op->is_out_of_memory;
}

static void sci_setop_answer(sci_call *call, sci_setop_kind kind)
{
    sci_setop op;
    if (!sci_setop_begin(&op, call, kind, 1, call->argc - 1))
        return;
    if (sci_setop_prepare(&op, false)) {
        if (op.result) {
            if (sci_setop_run(&op))
                sci_set_answer(call, op.result);
        } else {
            const size_t mark = sci_answer_array_begin(call);
            (void)sci_setop_run(&op);
            sci_answer_array_end(call, mark, op.found);
        }
    }
    sci_setop_end(&op);
}

/* The result takes the place of whatever is under argv[1]. */
static void sci_setop_put_result(sci_setop *op, const char *event)
{
    sci_call *call = op->call;
    const sc_slice key = call->argv[1];
    const size_t count = op->result->count;
    sci_entry *entry = sci_entry_for_write(call, key);
    if (count > 0) {
        if (entry) {
            sci_entry_replace_object(call->db, entry, SCI_SET, op->result);
            sci_db_persist(call->db, entry);
        } else if (!sci_entry_add(call, key, SCI_SET, op->result)) {
            sci_answer_no_memory(call);
            return;
        }
        op->result = NULL;
        sci_changed(call, key, SCI_EVENT_SET, event);
    } else if (entry) {
        sci_entry_delete(call, entry);
        sci_changed(call, key, SCI_EVENT_GENERIC, "del");
    }
    sci_answer_i64(call, (int64_t)count);
}

static void sci_setop_store(sci_call *call, sci_setop_kind kind, const char *event)
{
    sci_setop op;
    if (!sci_setop_begin(&op, call, kind, 2, call->argc - 2))
        return;
    if (sci_setop_prepare(&op, true) && sci_setop_run(&op))
        sci_setop_put_result(&op, event);
    sci_setop_end(&op);
}

static void sci_command_sinter(sci_call *call)
{
    sci_setop_answer(call, SCI_SETOP_INTER);
}

static void sci_command_sunion(sci_call *call)
{
    sci_setop_answer(call, SCI_SETOP_UNION);
}

static void sci_command_sdiff(sci_call *call)
{
    sci_setop_answer(call, SCI_SETOP_DIFF);
}

static void sci_command_sinterstore(sci_call *call)
{
    sci_setop_store(call, SCI_SETOP_INTER, "sinterstore");
}

static void sci_command_sunionstore(sci_call *call)
{
    sci_setop_store(call, SCI_SETOP_UNION, "sunionstore");
}

static void sci_command_sdiffstore(sci_call *call)
{
    sci_setop_store(call, SCI_SETOP_DIFF, "sdiffstore");
}

/* LIMIT, 0 for none; false after answering. */
static bool sci_sintercard_limit(sci_call *call, size_t from, int64_t *limit)
{
    for (size_t i = from; i < call->argc; i += 2) {
        if (!sci_word_is(call->argv[i], "limit") || i + 1 == call->argc) {
            sci_answer_syntax_error(call);
            return false;
        }
        if (!sci_text_to_i64(call->argv[i + 1], limit) || *limit < 0) {
            sci_answer_error(call, "ERR LIMIT can't be negative");
            return false;
        }
    }
    return true;
}

static void sci_command_sintercard(sci_call *call)
{
    sci_setop op;
    int64_t keys, limit = 0;
    if (!sci_text_to_i64(call->argv[1], &keys) || keys < 1) {
        sci_answer_error(call, "ERR numkeys should be greater than 0");
        return;
    }
    if ((uint64_t)keys > call->argc - 2) {
        sci_answer_error(call, "ERR Number of keys can't be greater than number of args");
        return;
    }
    if (!sci_sintercard_limit(call, 2 + (size_t)keys, &limit) ||
        !sci_setop_begin(&op, call, SCI_SETOP_INTER, 2, (size_t)keys))
        return;
    sci_setop_intersect(&op, limit > 0 && (uint64_t)limit < SIZE_MAX ? (size_t)limit : SIZE_MAX,
                        sci_setop_count);
    sci_answer_i64(call, (int64_t)op.found);
    sci_setop_end(&op);
}

SCI_PRIVATE sci_command_list sci_setop_commands(void)
{
    static const sci_command commands[] = {
        {"sinter", sci_command_sinter, -2, SCI_CMD_READONLY, 1, -1, 1},
        {"sunion", sci_command_sunion, -2, SCI_CMD_READONLY, 1, -1, 1},
        {"sdiff", sci_command_sdiff, -2, SCI_CMD_READONLY, 1, -1, 1},
        {"sintercard", sci_command_sintercard, -3, SCI_CMD_READONLY, 0, 0, 0},
        {"sinterstore", sci_command_sinterstore, -3, SCI_CMD_WRITE | SCI_CMD_DENYOOM, 1, -1, 1},
        {"sunionstore", sci_command_sunionstore, -3, SCI_CMD_WRITE | SCI_CMD_DENYOOM, 1, -1, 1},
        {"sdiffstore", sci_command_sdiffstore, -3, SCI_CMD_WRITE | SCI_CMD_DENYOOM, 1, -1, 1},
    };
    const sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
