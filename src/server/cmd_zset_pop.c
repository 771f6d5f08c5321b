/* Commands that take members from the ends of sorted sets, waiting for them perhaps, and those that
   draw them by chance. */

#include "server/collection.h"
#include "server/commands.h"
#include "server/server.h"
#include "server/zset.h"

/* What is to be popped, and how it is answered. */
typedef struct sci_zpop {
    const sc_slice *keys; /* the first that has members */
    size_t key_count;
    size_t count;    /* members */
    bool is_highest; /* from that end */
    bool has_key;    /* the answer names the key */
    bool is_nested;  /* members and scores in arrays of two */
    bool is_counted; /* the log's command says how many */
} sci_zpop;

/* As Redis's getRangeLongFromObjectOrReply: one text for all that is wrong. */
static bool sci_zpop_arg_count(sci_call *call, size_t i, int64_t least, const char *error,
                               size_t *count)
{
    int64_t number;
    if (!sci_text_to_i64(call->argv[i], &number) || number < least) {
        sci_answer_error(call, "ERR %s", error);
        return false;
    }
    *count = (uint64_t)number > SIZE_MAX ? SIZE_MAX : (size_t)number;
    return true;
}

/* The first key that has a sorted set; its index in `keys`. False after answering WRONGTYPE. */
static bool sci_zpop_find(sci_call *call, const sci_zpop *pop, size_t *index, sci_entry **entry)
{
    *entry = NULL;
    for (*index = 0; *index < pop->key_count; ++*index) {
        if (!sci_typed_for_write(call, pop->keys[*index], SCI_ZSET, entry))
            return false;
        if (*entry)
            break;
    }
    return true;
}

static void sci_zpop_answer_header(sci_call *call, const sci_zpop *pop, sc_slice key, size_t count)
{
    if (pop->is_nested) {
        sci_answer_array(call, 2);
        sci_answer_bulk(call, key);
        sci_answer_array(call, count);
    } else if (pop->has_key) {
        sci_answer_array(call, 3);
        sci_answer_bulk(call, key);
    } else {
        sci_answer_array(call, count * 2);
    }
}

/* What others must do to get to the same: it depends on no other key, and on nobody who waits. */
static void sci_zpop_log(sci_call *call, const sci_zpop *pop, sc_slice key)
{
    char digits[SCI_I64_TEXT_BYTES];
    sc_slice argv[3];
    argv[0] = sc_text(pop->is_highest ? "ZPOPMAX" : "ZPOPMIN");
    argv[1] = key;
    argv[2] = sc_bytes(digits, sci_u64_to_text(pop->count, digits));
    sci_log_instead(call, argv, pop->is_counted ? 3 : 2);
}

static void sci_zpop_take(sci_call *call, const sci_zpop *pop, sc_slice key, sci_entry *entry)
{
    sci_sorted *set = (sci_sorted *)entry->value.object;
    size_t size = sci_sorted_count(set);
    size_t count = sci_min_size(pop->count, size);
    size_t start = pop->is_highest ? size - count : 0;
    sci_sorted_walk walk;
    sc_slice member;
    double score;
    sci_zpop_answer_header(call, pop, key, count);
    sci_sorted_walk_begin(&walk, set, pop->is_highest ? size - 1 : 0, pop->is_highest);
    for (size_t i = 0; i < count && sci_sorted_walk_next(&walk, &member, &score); i++) {
        if (pop->is_nested)
            sci_answer_array(call, 2);
        sci_zset_answer(call, member, score, true);
    }
    sci_sorted_remove_range(&call->db->memory, set, start, start + count);
    sci_zset_shrunk(call, key, entry, pop->is_highest ? "zpopmax" : "zpopmin");
    if (pop->has_key)
        sci_zpop_log(call, pop, key);
}

static void sci_zpop_one(sci_call *call, bool is_highest)
{
    sci_zpop pop;
    size_t index;
    sci_entry *entry;
    memset(&pop, 0, sizeof pop);
    pop.keys = call->argv + 1;
    pop.key_count = 1;
    pop.count = 1;
    pop.is_highest = is_highest;
    if (call->argc > 3) {
        sci_answer_syntax_error(call);
        return;
    }
    if (call->argc == 3 &&
        !sci_zpop_arg_count(call, 2, 0, "value is out of range, must be positive", &pop.count))
        return;
    if (!sci_zpop_find(call, &pop, &index, &entry))
        return;
    if (entry && pop.count > 0)
        sci_zpop_take(call, &pop, call->argv[1], entry);
    else
        sci_answer_array(call, 0);
}

static void sci_command_zpopmin(sci_call *call)
{
    sci_zpop_one(call, false);
}

static void sci_command_zpopmax(sci_call *call)
{
    sci_zpop_one(call, true);
}

/* Pop from one of the keys, or wait for them: argv[timeout] says how long. */
static void sci_zpop_blocking(sci_call *call, const sci_zpop *pop, size_t timeout)
{
    size_t index;
    sci_entry *entry;
    int64_t timeout_ms;
    if (!sci_arg_timeout(call, timeout, &timeout_ms) || !sci_zpop_find(call, pop, &index, &entry))
        return;
    if (entry)
        sci_zpop_take(call, pop, pop->keys[index], entry);
    else
        sci_wait_for_keys(call, pop->keys, pop->key_count, timeout_ms, SCI_NIL_ARRAY, call->argv,
                          call->argc);
}

static void sci_zpop_wait(sci_call *call, bool is_highest)
{
    sci_zpop pop;
    memset(&pop, 0, sizeof pop);
    pop.keys = call->argv + 1;
    pop.key_count = call->argc - 2;
    pop.count = 1;
    pop.is_highest = is_highest;
    pop.has_key = true;
    sci_zpop_blocking(call, &pop, call->argc - 1);
}

static void sci_command_bzpopmin(sci_call *call)
{
    sci_zpop_wait(call, false);
}

static void sci_command_bzpopmax(sci_call *call)
{
    sci_zpop_wait(call, true);
}

/* "numkeys key ... MIN|MAX [COUNT n]", from argv[first]. False after answering what is wrong. */
static bool sci_zmpop_parse(sci_call *call, size_t first, sci_zpop *pop)
{
    memset(pop, 0, sizeof *pop);
    pop->has_key = true;
    pop->is_nested = true;
    pop->is_counted = true;
    if (!sci_zpop_arg_count(call, first, 1, "numkeys should be greater than 0", &pop->key_count))
        return false;
    pop->keys = call->argv + first + 1;
    size_t words = call->argc - first - 1;
    size_t options = words > pop->key_count ? words - pop->key_count : 0;
    const sc_slice *option = call->argv + call->argc - options;
    pop->is_highest = options > 0 && sci_word_is(option[0], "max");
    if (options > 0 && (pop->is_highest || sci_word_is(option[0], "min")) &&
        (options == 1 || (options >= 3 && sci_word_is(option[1], "count")))) {
        pop->count = 1;
        if (options == 1)
            return true;
        if (!sci_zpop_arg_count(call, call->argc - options + 2, 1, "count should be greater than 0",
                                &pop->count))
            return false;
        if (options == 3)
            return true;
    }
    sci_answer_syntax_error(call);
    return false;
}

static void sci_command_zmpop(sci_call *call)
{
    sci_zpop pop;
    size_t index;
    sci_entry *entry;
    if (!sci_zmpop_parse(call, 1, &pop) || !sci_zpop_find(call, &pop, &index, &entry))
        return;
    if (entry)
        sci_zpop_take(call, &pop, pop.keys[index], entry);
    else
        sci_answer_nil(call, SCI_NIL_ARRAY);
}

static void sci_command_bzmpop(sci_call *call)
{
    sci_zpop pop;
    if (sci_zmpop_parse(call, 2, &pop))
        sci_zpop_blocking(call, &pop, 1);
}

/* --- By chance */

/* A member that was drawn. */
static void sci_zrandmember_answer(sci_call *call, const sci_sorted *set, size_t rank,
                                   bool with_score)
{
    sci_sorted_walk walk;
    sc_slice member;
    double score;
    sci_sorted_walk_begin(&walk, set, rank, false);
    if (sci_sorted_walk_next(&walk, &member, &score))
        sci_zset_answer(call, member, score, with_score);
}

/* Any members, which may come again. */
static void sci_zrandmember_any(sci_call *call, const sci_sorted *set, uint64_t count,
                                bool with_scores)
{
    const size_t size = sci_sorted_count(set);
    if (count > SIZE_MAX / 2)
        count = SIZE_MAX / 2;
    sci_answer_array(call, (size_t)count * (with_scores ? 2 : 1));
    for (; count > 0 && !sci_collection_answer_is_too_long(call); count--)
        sci_zrandmember_answer(call, set, sci_random_below(call->server, size), with_scores);
}

/* Different members, going through all of them: each is taken with the chance that is left for it
   (Knuth, volume 2, 3.4.2, algorithm S). Backwards, as redis-server goes through all. */
static void sci_zrandmember_of_all(sci_call *call, const sci_sorted *set, size_t count,
                                   bool with_scores)
{
    size_t left = sci_sorted_count(set);
    sci_sorted_walk walk;
    sc_slice member;
    double score;
    sci_answer_array(call, count * (with_scores ? 2 : 1));
    sci_sorted_walk_begin(&walk, set, left - 1, true);
    for (; count > 0 && sci_sorted_walk_next(&walk, &member, &score); left--) {
        if (sci_random_below(call->server, left) < count) {
            sci_zset_answer(call, member, score, with_scores);
            count--;
        }
    }
}

/* A few of many: drawn again where one comes again. */
static void sci_zrandmember_few(sci_call *call, const sci_sorted *set, size_t count,
                                bool with_scores)
{
    const sc_memory *memory = &call->server->memory;
    sci_sorted *drawn = sci_sorted_new(memory, &call->server->hash_seed);
    sc_status status = drawn ? SC_OK : SC_ERR_MEMORY;
    sci_sorted_walk walk;
    sc_slice member;
    double score;
    while (status == SC_OK && sci_sorted_count(drawn) < count) {
        size_t rank = sci_random_below(call->server, sci_sorted_count(set));
        sci_sorted_walk_begin(&walk, set, rank, false);
        if (sci_sorted_walk_next(&walk, &member, &score))
            status = sci_sorted_put(memory, drawn, member, score);
    }
    if (status == SC_OK)
        sci_zrandmember_of_all(call, drawn, count, with_scores);
    else
        sci_answer_no_memory(call);
    if (drawn)
        sci_sorted_release(memory, drawn);
}

/* Where fewer than one of so many are asked for, drawing again is quicker than going through. */
#define SCI_ZRANDMEMBER_FEW 3

static void sci_zrandmember_count(sci_call *call, const sci_sorted *set, int64_t count,
                                  bool with_scores)
{
    size_t size = sci_sorted_count(set);
    if (count < 0)
        sci_zrandmember_any(call, set, (uint64_t)-count, with_scores);
    else if ((uint64_t)count < size / SCI_ZRANDMEMBER_FEW)
        sci_zrandmember_few(call, set, (size_t)count, with_scores);
    else
        sci_zrandmember_of_all(call, set, (uint64_t)count < size ? (size_t)count : size,
                               with_scores);
}

/* "count [WITHSCORES]". False after answering what is wrong. */
static bool sci_zrandmember_parse(sci_call *call, int64_t *count, bool *with_scores)
{
    if (!sci_collection_arg_count(call, 2, count))
        return false;
    *with_scores = call->argc == 4 && sci_word_is(call->argv[3], "withscores");
    if (call->argc > 3 && !*with_scores)
        sci_answer_syntax_error(call);
    else if (*with_scores && (*count < -INT64_MAX / 2 || *count > INT64_MAX / 2))
        sci_answer_error(call, "ERR value is out of range");
    else
        return true;
    return false;
}

static void sci_command_zrandmember(sci_call *call)
{
    const sci_sorted *set;
    int64_t count = 0;
    bool with_scores = false;
    const bool is_one = call->argc == 2;
    if ((!is_one && !sci_zrandmember_parse(call, &count, &with_scores)) ||
        !sci_zset_for_read(call, call->argv[1], &set))
        return;
    if (!set && is_one)
        sci_answer_nil(call, SCI_NIL_BULK);
    else if (!set)
        sci_answer_array(call, 0);
    else if (is_one)
        sci_zrandmember_answer(call, set, sci_random_below(call->server, sci_sorted_count(set)),
                               false);
    else
        sci_zrandmember_count(call, set, count, with_scores);
}

#define SCI_ZSET_POPS (SCI_CMD_WRITE | SCI_CMD_FAST)

SCI_PRIVATE sci_command_list sci_zset_pop_commands(void)
{
    static const sci_command commands[] = {
        {"zpopmin", sci_command_zpopmin, -2, SCI_ZSET_POPS, 1, 1, 1},
        {"zpopmax", sci_command_zpopmax, -2, SCI_ZSET_POPS, 1, 1, 1},
        {"bzpopmin", sci_command_bzpopmin, -3, SCI_ZSET_POPS | SCI_CMD_NOSCRIPT | SCI_CMD_BLOCKING,
         1, -2, 1},
        {"bzpopmax", sci_command_bzpopmax, -3, SCI_ZSET_POPS | SCI_CMD_NOSCRIPT | SCI_CMD_BLOCKING,
         1, -2, 1},
        {"zmpop", sci_command_zmpop, -4, SCI_CMD_WRITE, 0, 0, 0},
        {"bzmpop", sci_command_bzmpop, -5, SCI_CMD_WRITE | SCI_CMD_BLOCKING, 0, 0, 0},
        {"zrandmember", sci_command_zrandmember, -2, SCI_CMD_READONLY, 1, 1, 1},
    };
    sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
