/* Commands between lists, and those that wait for one. */

#include "server/commands.h"
#include "server/lists.h"

static bool sci_lists_word_side(sc_slice word, sci_deque_side *side)
{
    *side = sci_word_is(word, "right") ? SCI_DEQUE_BACK : SCI_DEQUE_FRONT;
    return *side == SCI_DEQUE_BACK || sci_word_is(word, "left");
}

/* argv[i] as LEFT or RIGHT. False after answering. */
static bool sci_lists_arg_side(sci_call *call, size_t i, sci_deque_side *side)
{
    if (sci_lists_word_side(call->argv[i], side))
        return true;
    sci_answer_syntax_error(call);
    return false;
}

/* --- Moving */

/* From one end of a list to the other. */
static sc_status sci_lists_rotate(sci_deque *list, sci_deque_side from, sci_deque_side to)
{
    if (from == to)
        return SC_OK;
    if (sci_deque_reserve(list, to, sci_deque_peek(list, from).len) != SC_OK)
        return SC_ERR_MEMORY;
    (void)sci_deque_push(list, to, sci_deque_peek(list, from));
    sci_deque_drop(list, from, 1);
    return SC_OK;
}

static bool sci_lists_move_within(sci_call *call, sci_entry *entry, sci_deque_side from,
                                  sci_deque_side to)
{
    sci_deque *list = (sci_deque *)entry->value.object;
    if (sci_lists_rotate(list, from, to) != SC_OK) {
        sci_answer_no_memory(call);
        return false;
    }
    sci_notify(call, SCI_EVENT_LIST, to == SCI_DEQUE_FRONT ? "lpush" : "rpush", call->argv[1]);
    sci_answer_bulk(call, sci_deque_peek(list, to));
    if (call->is_retried)
        sci_key_changed(call, call->argv[1]); /* of the pushing */
    sci_lists_popped(call, call->argv[1], entry, from);
    return true;
}

/* From the list under argv[1] to that under argv[2]. False after answering why not. */
static bool sci_lists_move(sci_call *call, sci_entry *entry, sci_deque_side from, sci_deque_side to)
{
    sci_entry *target;
    sci_deque *list = (sci_deque *)entry->value.object;
    sci_deque *target_list;
    size_t length;
    if (!sci_lists_for_write(call, call->argv[2], &target, &target_list))
        return false;
    if (target == entry)
        return sci_lists_move_within(call, entry, from, to);
    sc_slice element = sci_deque_peek(list, from);
    if (!sci_lists_push(call, call->argv[2], target, to, &element, 1, &length))
        return false;
    sci_answer_bulk(call, element);
    sci_deque_drop(list, from, 1);
    sci_lists_popped(call, call->argv[1], entry, from);
    return true;
}

static void sci_lists_move_now(sci_call *call, sci_deque_side from, sci_deque_side to)
{
    sci_entry *entry;
    sci_deque *list;
    if (!sci_lists_for_write(call, call->argv[1], &entry, &list))
        return;
    if (entry)
        (void)sci_lists_move(call, entry, from, to);
    else
        sci_answer_nil(call, SCI_NIL_BULK);
}

static void sci_command_lmove(sci_call *call)
{
    sci_deque_side from, to;
    if (sci_lists_arg_side(call, 3, &from) && sci_lists_arg_side(call, 4, &to))
        sci_lists_move_now(call, from, to);
}

static void sci_command_rpoplpush(sci_call *call)
{
    sci_lists_move_now(call, SCI_DEQUE_BACK, SCI_DEQUE_FRONT);
}

/* The log gets the command without waiting: `name`, and `count` words from argv[1] on. */
static void sci_lists_move_or_wait(sci_call *call, sci_deque_side from, sci_deque_side to,
                                   const char *name, size_t count)
{
    sci_entry *entry;
    sci_deque *list;
    int64_t timeout_ms;
    sc_slice words[5];
    if (!sci_arg_timeout(call, call->argc - 1, &timeout_ms) ||
        !sci_lists_for_write(call, call->argv[1], &entry, &list))
        return;
    if (!entry) {
        /* Redis has the one nil when time is up, and another where nothing may wait. */
        if (call->is_in_transaction)
            sci_answer_nil(call, SCI_NIL_BULK);
        else
            sci_wait_for_keys(call, call->argv + 1, 1, timeout_ms, SCI_NIL_ARRAY, call->argv,
                              call->argc);
        return;
    }
    words[0] = sc_text(name);
    memcpy(words + 1, call->argv + 1, count * sizeof words[0]);
    if (sci_lists_move(call, entry, from, to))
        sci_log_instead(call, words, 1 + count);
}

static void sci_command_blmove(sci_call *call)
{
    sci_deque_side from, to;
    if (sci_lists_arg_side(call, 3, &from) && sci_lists_arg_side(call, 4, &to))
        sci_lists_move_or_wait(call, from, to, "LMOVE", 4);
}

static void sci_command_brpoplpush(sci_call *call)
{
    sci_lists_move_or_wait(call, SCI_DEQUE_BACK, SCI_DEQUE_FRONT, "RPOPLPUSH", 2);
}

/* --- Popping from the first list that there is */

typedef struct sci_lists_pops {
    const sc_slice *keys;
    size_t key_count;
    sci_deque_side side;
    uint64_t count;
    bool has_count; /* elements are answered as an array */
} sci_lists_pops;

static void sci_lists_pop_some(sci_call *call, const sci_lists_pops *pops, sc_slice key,
                               sci_entry *entry)
{
    sci_deque *list = (sci_deque *)entry->value.object;
    size_t count = pops->count < list->count ? (size_t)pops->count : list->count;
    char digits[SCI_I64_TEXT_BYTES];
    sc_slice words[3];
    words[0] = sc_text(pops->side == SCI_DEQUE_FRONT ? "LPOP" : "RPOP");
    words[1] = key;
    words[2] = sc_bytes(digits, sci_u64_to_text(count, digits));
    sci_answer_array(call, 2);
    sci_answer_bulk(call, key);
    if (pops->has_count)
        sci_lists_answer_some(call, list, pops->side, count);
    else
        sci_answer_bulk(call, sci_deque_peek(list, pops->side));
    sci_deque_drop(list, pops->side, count);
    if (call->is_retried && pops->has_count)
        sci_key_changed(call, key); /* BLMPOP tells of the key itself */
    sci_lists_popped(call, key, entry, pops->side);
    sci_log_instead(call, words, pops->has_count ? 3 : 2);
}

/* True after answering. */
static bool sci_lists_pop_first(sci_call *call, const sci_lists_pops *pops)
{
    for (size_t i = 0; i < pops->key_count; i++) {
        sci_entry *entry;
        sci_deque *list;
        if (!sci_lists_for_write(call, pops->keys[i], &entry, &list))
            return true;
        if (entry) {
            sci_lists_pop_some(call, pops, pops->keys[i], entry);
            return true;
        }
    }
    return false;
}

static void sci_lists_pop_or_wait(sci_call *call, const sci_lists_pops *pops, size_t timeout_at)
{
    int64_t timeout_ms;
    if (sci_arg_timeout(call, timeout_at, &timeout_ms) && !sci_lists_pop_first(call, pops))
        sci_wait_for_keys(call, pops->keys, pops->key_count, timeout_ms, SCI_NIL_ARRAY, call->argv,
                          call->argc);
}

static void sci_lists_bpop(sci_call *call, sci_deque_side side)
{
    sci_lists_pops pops;
    pops.keys = call->argv + 1;
    pops.key_count = call->argc - 2;
    pops.side = side;
    pops.count = 1;
    pops.has_count = false;
    sci_lists_pop_or_wait(call, &pops, call->argc - 1);
}

static void sci_command_blpop(sci_call *call)
{
    sci_lists_bpop(call, SCI_DEQUE_FRONT);
}

static void sci_command_brpop(sci_call *call)
{
    sci_lists_bpop(call, SCI_DEQUE_BACK);
}

/* argv[i...]: numkeys key [key ...] LEFT|RIGHT [COUNT count]. False after answering. */
static bool sci_lists_parse_pops(sci_call *call, size_t i, sci_lists_pops *pops)
{
    int64_t key_count;
    int64_t count = 1;
    bool has_count = false;
    if (!sci_lists_arg(call, i, 1, "numkeys should be greater than 0", &key_count))
        return false;
    if ((uint64_t)key_count >= call->argc - i - 1) {
        sci_answer_syntax_error(call);
        return false;
    }
    pops->keys = call->argv + i + 1;
    pops->key_count = (size_t)key_count;
    i += pops->key_count + 1;
    if (!sci_lists_arg_side(call, i, &pops->side))
        return false;
    for (i++; i < call->argc; i += 2) {
        bool is_count = !has_count && i + 1 < call->argc && sci_word_is(call->argv[i], "count");
        if (!is_count) {
            sci_answer_syntax_error(call);
            return false;
        }
        if (!sci_lists_arg(call, i + 1, 1, "count should be greater than 0", &count))
            return false;
        has_count = true;
    }
    pops->count = (uint64_t)count;
    pops->has_count = true;
    return true;
}

static void sci_command_lmpop(sci_call *call)
{
    sci_lists_pops pops;
    if (sci_lists_parse_pops(call, 1, &pops) && !sci_lists_pop_first(call, &pops))
        sci_answer_nil(call, SCI_NIL_ARRAY);
}

static void sci_command_blmpop(sci_call *call)
{
    sci_lists_pops pops;
    if (sci_lists_parse_pops(call, 2, &pops))
        sci_lists_pop_or_wait(call, &pops, 1);
}

SCI_PRIVATE sci_command_list sci_list_move_commands(void)
{
    enum {
        MOVES = SCI_CMD_WRITE | SCI_CMD_DENYOOM,
        WAITS = SCI_CMD_WRITE | SCI_CMD_NOSCRIPT | SCI_CMD_BLOCKING
    };
    static const sci_command commands[] = {
        {"lmove", sci_command_lmove, 5, MOVES, 1, 2, 1},
        {"rpoplpush", sci_command_rpoplpush, 3, MOVES, 1, 2, 1},
        {"blmove", sci_command_blmove, 6, MOVES | WAITS, 1, 2, 1},
        {"brpoplpush", sci_command_brpoplpush, 4, MOVES | WAITS, 1, 2, 1},
        {"blpop", sci_command_blpop, -3, WAITS, 1, -2, 1},
        {"brpop", sci_command_brpop, -3, WAITS, 1, -2, 1},
        {"lmpop", sci_command_lmpop, -4, SCI_CMD_WRITE, 0, 0, 0},
        {"blmpop", sci_command_blmpop, -5, SCI_CMD_WRITE | SCI_CMD_BLOCKING, 0, 0, 0},
    };
    sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
