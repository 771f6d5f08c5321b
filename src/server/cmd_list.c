/* Commands on one list. */

#include "server/commands.h"
#include "server/lists.h"

SCI_PRIVATE bool sci_lists_for_read(sci_call *call, sc_slice key, sci_deque **list)
{
    sci_entry *entry;
    if (!sci_typed_for_read(call, key, SCI_LIST, &entry))
        return false;
    *list = entry ? (sci_deque *)entry->value.object : NULL;
    return true;
}

SCI_PRIVATE bool sci_lists_for_write(sci_call *call, sc_slice key, sci_entry **entry,
                                     sci_deque **list)
{
    if (!sci_typed_for_write(call, key, SCI_LIST, entry))
        return false;
    *list = *entry ? (sci_deque *)(*entry)->value.object : NULL;
    return true;
}

SCI_PRIVATE bool sci_lists_arg(sci_call *call, size_t i, int64_t least, const char *error,
                               int64_t *number)
{
    if (sci_text_to_i64(call->argv[i], number) && *number >= least)
        return true;
    sci_answer_error(call, "ERR %s", error);
    return false;
}

static bool sci_lists_step(const sci_deque *list, bool is_forwards, sci_deque_at *at,
                           sc_slice *element)
{
    return is_forwards ? sci_deque_next(list, at, element) : sci_deque_previous(list, at, element);
}

/* --- Both ends */

SCI_PRIVATE bool sci_lists_push(sci_call *call, sc_slice key, sci_entry *entry, sci_deque_side side,
                                const sc_slice *elements, size_t count, size_t *length)
{
    sci_deque *list = entry ? (sci_deque *)entry->value.object : sci_deque_new(&call->db->memory);
    size_t pushed = 0;
    while (list && pushed < count && sci_deque_push(list, side, elements[pushed]) == SC_OK)
        pushed++;
    bool is_done = list && pushed == count;
    if (is_done && !entry)
        is_done = sci_entry_add(call, key, SCI_LIST, list) != NULL;
    if (!is_done) {
        if (list && entry)
            sci_deque_drop(list, side, pushed);
        else if (list)
            sci_deque_release(&call->db->memory, list);
        sci_answer_no_memory(call);
        return false;
    }
    *length = list->count;
    sci_changed(call, key, SCI_EVENT_LIST, side == SCI_DEQUE_FRONT ? "lpush" : "rpush");
    return true;
}

static void sci_lists_push_words(sci_call *call, sci_deque_side side, bool only_existing)
{
    sci_entry *entry;
    sci_deque *list;
    size_t length = 0;
    if (!sci_lists_for_write(call, call->argv[1], &entry, &list))
        return;
    if (!entry && only_existing)
        sci_answer_i64(call, 0);
    else if (sci_lists_push(call, call->argv[1], entry, side, call->argv + 2, call->argc - 2,
                            &length))
        sci_answer_i64(call, (int64_t)length);
}

static void sci_command_lpush(sci_call *call)
{
    sci_lists_push_words(call, SCI_DEQUE_FRONT, false);
}

static void sci_command_rpush(sci_call *call)
{
    sci_lists_push_words(call, SCI_DEQUE_BACK, false);
}

static void sci_command_lpushx(sci_call *call)
{
    sci_lists_push_words(call, SCI_DEQUE_FRONT, true);
}

static void sci_command_rpushx(sci_call *call)
{
    sci_lists_push_words(call, SCI_DEQUE_BACK, true);
}

SCI_PRIVATE void sci_lists_answer_some(sci_call *call, const sci_deque *list, sci_deque_side side,
                                       size_t count)
{
    sc_slice element = sc_bytes(NULL, 0);
    bool is_forwards = side == SCI_DEQUE_FRONT;
    sci_deque_at at = sci_deque_seek(list, is_forwards ? 0 : list->count);
    sci_answer_array(call, count);
    for (; count > 0; count--) {
        (void)sci_lists_step(list, is_forwards, &at, &element);
        sci_answer_bulk(call, element);
    }
}

/* A list has lost elements: without any it goes. */
static void sci_lists_shrunk(sci_call *call, sc_slice key, sci_entry *entry)
{
    if (((sci_deque *)entry->value.object)->count == 0) {
        sci_entry_delete(call, entry);
        sci_notify(call, SCI_EVENT_GENERIC, "del", key);
    }
    /* Who brought the element to one that waits has told of the key, and nobody saw it since. */
    if (call->is_retried)
        call->changes++;
    else
        sci_key_changed(call, key);
}

SCI_PRIVATE void sci_lists_popped(sci_call *call, sc_slice key, sci_entry *entry,
                                  sci_deque_side side)
{
    sci_notify(call, SCI_EVENT_LIST, side == SCI_DEQUE_FRONT ? "lpop" : "rpop", key);
    sci_lists_shrunk(call, key, entry);
}

static void sci_lists_pop(sci_call *call, sci_deque_side side)
{
    sci_entry *entry;
    sci_deque *list;
    int64_t wanted = 1;
    bool has_count = call->argc == 3;
    if (call->argc > 3) {
        sci_answer_wrong_arity(call);
        return;
    }
    if (has_count && !sci_lists_arg(call, 2, 0, "value is out of range, must be positive", &wanted))
        return;
    if (!sci_lists_for_write(call, call->argv[1], &entry, &list))
        return;
    if (!list) {
        sci_answer_nil(call, has_count ? SCI_NIL_ARRAY : SCI_NIL_BULK);
        return;
    }
    size_t count = (uint64_t)wanted < list->count ? (size_t)wanted : list->count;
    if (has_count)
        sci_lists_answer_some(call, list, side, count);
    else
        sci_answer_bulk(call, sci_deque_peek(list, side));
    if (count == 0)
        return;
    sci_deque_drop(list, side, count);
    sci_lists_popped(call, call->argv[1], entry, side);
}

static void sci_command_lpop(sci_call *call)
{
    sci_lists_pop(call, SCI_DEQUE_FRONT);
}

static void sci_command_rpop(sci_call *call)
{
    sci_lists_pop(call, SCI_DEQUE_BACK);
}

/* --- Indexes */

static void sci_command_llen(sci_call *call)
{
    sci_deque *list;
    if (sci_lists_for_read(call, call->argv[1], &list))
        sci_answer_i64(call, list ? (int64_t)list->count : 0);
}

/* Indexes count from 0, or back from -1. False: there is no such element. */
static bool sci_lists_index(const sci_deque *list, int64_t index, size_t *found)
{
    int64_t count = (int64_t)list->count;
    if (index < 0)
        index += count;
    *found = (size_t)index;
    return index >= 0 && index < count;
}

static void sci_command_lindex(sci_call *call)
{
    sci_deque *list;
    int64_t index;
    size_t found;
    sc_slice element = sc_bytes(NULL, 0);
    if (!sci_lists_for_read(call, call->argv[1], &list))
        return;
    if (!list) {
        sci_answer_nil(call, SCI_NIL_BULK);
        return;
    }
    if (!sci_arg_i64(call, 2, &index))
        return;
    if (!sci_lists_index(list, index, &found)) {
        sci_answer_nil(call, SCI_NIL_BULK);
        return;
    }
    sci_deque_at at = sci_deque_seek(list, found);
    (void)sci_deque_next(list, &at, &element);
    sci_answer_bulk(call, element);
}

static void sci_command_lset(sci_call *call)
{
    sci_entry *entry;
    sci_deque *list;
    int64_t index;
    size_t found;
    if (!sci_lists_for_write(call, call->argv[1], &entry, &list))
        return;
    if (!list) {
        sci_answer_error(call, "ERR no such key");
        return;
    }
    if (!sci_arg_i64(call, 2, &index))
        return;
    if (!sci_lists_index(list, index, &found)) {
        sci_answer_error(call, "ERR index out of range");
        return;
    }
    if (sci_deque_set(list, sci_deque_seek(list, found), call->argv[3]) != SC_OK) {
        sci_answer_no_memory(call);
        return;
    }
    sci_changed(call, call->argv[1], SCI_EVENT_LIST, "lset");
    sci_answer_ok(call);
}

/* From the first to the last index, both included; returns how many elements that are. */
static size_t sci_lists_range(const sci_deque *list, int64_t first, int64_t last, size_t *start)
{
    int64_t count = (int64_t)list->count;
    if (first < 0)
        first = sci_max_i64(0, first + count);
    if (last < 0)
        last += count;
    last = sci_min_i64(last, count - 1);
    *start = (size_t)first;
    return first <= last ? (size_t)(last - first) + 1 : 0;
}

static void sci_command_lrange(sci_call *call)
{
    sci_deque *list;
    int64_t first, last;
    size_t start = 0;
    sc_slice element = sc_bytes(NULL, 0);
    if (!sci_arg_i64(call, 2, &first) || !sci_arg_i64(call, 3, &last) ||
        !sci_lists_for_read(call, call->argv[1], &list))
        return;
    size_t count = list ? sci_lists_range(list, first, last, &start) : 0;
    sci_answer_array(call, count);
    if (count == 0)
        return;
    sci_deque_at at = sci_deque_seek(list, start);
    for (; count > 0; count--) {
        (void)sci_deque_next(list, &at, &element);
        sci_answer_bulk(call, element);
    }
}

static void sci_command_ltrim(sci_call *call)
{
    sci_entry *entry;
    sci_deque *list;
    int64_t first, last;
    size_t start;
    if (!sci_arg_i64(call, 2, &first) || !sci_arg_i64(call, 3, &last) ||
        !sci_lists_for_write(call, call->argv[1], &entry, &list))
        return;
    if (list) {
        size_t kept = sci_lists_range(list, first, last, &start);
        sci_deque_drop(list, SCI_DEQUE_FRONT, kept > 0 ? start : list->count);
        sci_deque_drop(list, SCI_DEQUE_BACK, list->count - kept);
        sci_notify(call, SCI_EVENT_LIST, "ltrim", call->argv[1]);
        sci_lists_shrunk(call, call->argv[1], entry);
    }
    sci_answer_ok(call);
}

/* --- Elements */

static size_t sci_lists_remove(sci_deque *list, sc_slice element, bool is_forwards, uint64_t most)
{
    sci_deque_at at = sci_deque_seek(list, is_forwards ? 0 : list->count);
    sci_deque_at here = at;
    sc_slice found;
    size_t removed = 0;
    while (removed < most && sci_lists_step(list, is_forwards, &at, &found)) {
        if (!is_forwards)
            here = at;
        if (sci_slice_equal(found, element)) {
            sci_deque_remove(list, &here);
            at = here;
            removed++;
        }
        here = at;
    }
    if (removed > 0)
        sci_deque_tidy(list);
    return removed;
}

static void sci_command_lrem(sci_call *call)
{
    sci_entry *entry;
    sci_deque *list;
    int64_t count;
    size_t removed = 0;
    if (!sci_arg_i64(call, 2, &count) || !sci_lists_for_write(call, call->argv[1], &entry, &list))
        return;
    uint64_t most = count < 0 ? 0 - (uint64_t)count : (uint64_t)count;
    if (list)
        removed = sci_lists_remove(list, call->argv[3], count >= 0, most ? most : UINT64_MAX);
    if (removed > 0) {
        sci_notify(call, SCI_EVENT_LIST, "lrem", call->argv[1]);
        sci_lists_shrunk(call, call->argv[1], entry);
    }
    sci_answer_i64(call, (int64_t)removed);
}

static void sci_command_linsert(sci_call *call)
{
    sci_entry *entry;
    sci_deque *list;
    sc_slice found;
    bool is_behind = sci_word_is(call->argv[2], "after");
    if (!is_behind && !sci_word_is(call->argv[2], "before")) {
        sci_answer_syntax_error(call);
        return;
    }
    if (!sci_lists_for_write(call, call->argv[1], &entry, &list))
        return;
    if (!list) {
        sci_answer_i64(call, 0);
        return;
    }
    sci_deque_at behind = sci_deque_seek(list, 0);
    sci_deque_at at = behind;
    bool is_found = false;
    while (!is_found && sci_deque_next(list, &behind, &found)) {
        is_found = sci_slice_equal(found, call->argv[3]);
        if (!is_found || is_behind)
            at = behind;
    }
    if (!is_found) {
        sci_answer_i64(call, -1);
        return;
    }
    if (sci_deque_insert(list, &at, call->argv[4]) != SC_OK) {
        sci_answer_no_memory(call);
        return;
    }
    sci_changed(call, call->argv[1], SCI_EVENT_LIST, "linsert");
    sci_answer_i64(call, (int64_t)list->count);
}

/* What LPOS is to look for. */
typedef struct sci_lists_search {
    int64_t rank;  /* negative: from the end */
    int64_t count; /* -1: one, not as an array; 0: all */
    int64_t most;  /* elements to look at; 0: all */
} sci_lists_search;

static bool sci_lists_parse_search(sci_call *call, sci_lists_search *search)
{
    search->rank = 1;
    search->count = -1;
    search->most = 0;
    for (size_t i = 3; i < call->argc; i += 2) {
        bool is_last = i + 1 == call->argc;
        if (!is_last && sci_word_is(call->argv[i], "rank")) {
            if (!sci_arg_i64(call, i + 1, &search->rank))
                return false;
            /* Redis cannot negate it, and so skips nothing. */
            if (search->rank == INT64_MIN)
                search->rank = -1;
            if (search->rank == 0) {
                sci_answer_error(call, "ERR RANK can't be zero: use 1 to start from the first "
                                       "match, 2 from the second ... or use negative to start from "
                                       "the end of the list");
                return false;
            }
        } else if (!is_last && sci_word_is(call->argv[i], "count")) {
            if (!sci_lists_arg(call, i + 1, 0, "COUNT can't be negative", &search->count))
                return false;
        } else if (!is_last && sci_word_is(call->argv[i], "maxlen")) {
            if (!sci_lists_arg(call, i + 1, 0, "MAXLEN can't be negative", &search->most))
                return false;
        } else {
            sci_answer_syntax_error(call);
            return false;
        }
    }
    return true;
}

static void sci_lists_find(sci_call *call, const sci_deque *list, const sci_lists_search *search)
{
    bool is_forwards = search->rank > 0;
    bool is_array = search->count >= 0;
    uint64_t skipped = is_forwards ? (uint64_t)search->rank : 0 - (uint64_t)search->rank;
    uint64_t wanted = search->count > 0 ? (uint64_t)search->count : is_array ? UINT64_MAX : 1;
    uint64_t most = search->most > 0 ? (uint64_t)search->most : UINT64_MAX;
    sci_deque_at at = sci_deque_seek(list, is_forwards ? 0 : list->count);
    size_t mark = is_array ? sci_answer_array_begin(call) : 0;
    size_t found = 0;
    sc_slice element;
    for (uint64_t i = 0; i < most && found < wanted; i++) {
        if (!sci_lists_step(list, is_forwards, &at, &element))
            break;
        if (!sci_slice_equal(element, call->argv[2]) || --skipped > 0)
            continue;
        skipped = 1;
        found++;
        sci_answer_i64(call, (int64_t)(is_forwards ? i : list->count - 1 - i));
    }
    if (is_array)
        sci_answer_array_end(call, mark, found);
    else if (found == 0)
        sci_answer_nil(call, SCI_NIL_BULK);
}

static void sci_command_lpos(sci_call *call)
{
    sci_deque *list;
    sci_lists_search search;
    if (!sci_lists_parse_search(call, &search) || !sci_lists_for_read(call, call->argv[1], &list))
        return;
    if (list)
        sci_lists_find(call, list, &search);
    else if (search.count >= 0)
        sci_answer_array(call, 0);
    else
        sci_answer_nil(call, SCI_NIL_BULK);
}

SCI_PRIVATE sci_command_list sci_list_commands(void)
{
    static const sci_command commands[] = {
        {"lpush", sci_command_lpush, -3, SCI_CMD_WRITE | SCI_CMD_DENYOOM | SCI_CMD_FAST, 1, 1, 1},
        {"rpush", sci_command_rpush, -3, SCI_CMD_WRITE | SCI_CMD_DENYOOM | SCI_CMD_FAST, 1, 1, 1},
        {"lpushx", sci_command_lpushx, -3, SCI_CMD_WRITE | SCI_CMD_DENYOOM | SCI_CMD_FAST, 1, 1, 1},
        {"rpushx", sci_command_rpushx, -3, SCI_CMD_WRITE | SCI_CMD_DENYOOM | SCI_CMD_FAST, 1, 1, 1},
        {"lpop", sci_command_lpop, -2, SCI_CMD_WRITE | SCI_CMD_FAST, 1, 1, 1},
        {"rpop", sci_command_rpop, -2, SCI_CMD_WRITE | SCI_CMD_FAST, 1, 1, 1},
        {"llen", sci_command_llen, 2, SCI_CMD_READONLY | SCI_CMD_FAST, 1, 1, 1},
        {"lindex", sci_command_lindex, 3, SCI_CMD_READONLY, 1, 1, 1},
        {"lset", sci_command_lset, 4, SCI_CMD_WRITE | SCI_CMD_DENYOOM, 1, 1, 1},
        {"lrange", sci_command_lrange, 4, SCI_CMD_READONLY, 1, 1, 1},
        {"ltrim", sci_command_ltrim, 4, SCI_CMD_WRITE, 1, 1, 1},
        {"lrem", sci_command_lrem, 4, SCI_CMD_WRITE, 1, 1, 1},
        {"linsert", sci_command_linsert, 5, SCI_CMD_WRITE | SCI_CMD_DENYOOM, 1, 1, 1},
        {"lpos", sci_command_lpos, -3, SCI_CMD_READONLY, 1, 1, 1},
    };
    sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
