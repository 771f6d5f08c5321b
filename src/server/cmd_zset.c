/* Commands of sorted sets: members, and ranges that are counted or removed. */

#include "server/commands.h"
#include "server/scan.h"
#include "server/server.h"
#include "server/zset.h"

/* --- ZADD, ZINCRBY */

#define SCI_ZADD_NX 1u
#define SCI_ZADD_XX 2u
#define SCI_ZADD_GT 4u
#define SCI_ZADD_LT 8u
#define SCI_ZADD_CH 16u
#define SCI_ZADD_INCR 32u

typedef struct sci_zadd {
    const sc_memory *memory;
    const sci_sorted *base; /* members that are not in `target` may be here; or NULL */
    sci_sorted *target;     /* gets what is added or changed */
    unsigned flags;
    size_t added;
    size_t updated;
    double score; /* that the last member has got */
    bool is_done; /* it has: no option was against it */
} sci_zadd;

static unsigned sci_zadd_flag(sc_slice word)
{
    static const struct {
        const char *name;
        unsigned flag;
    } options[] = {{"nx", SCI_ZADD_NX}, {"xx", SCI_ZADD_XX}, {"gt", SCI_ZADD_GT},
                   {"lt", SCI_ZADD_LT}, {"ch", SCI_ZADD_CH}, {"incr", SCI_ZADD_INCR}};
    for (size_t i = 0; i < SCI_COUNT(options); i++)
        if (sci_word_is(word, options[i].name))
            return options[i].flag;
    return 0;
}

/* What is wrong with options that are followed by so many words; NULL: nothing. */
static const char *sci_zadd_objection(unsigned flags, size_t words)
{
    const bool has_nx = flags & SCI_ZADD_NX;
    const bool has_gt = flags & SCI_ZADD_GT;
    const bool has_lt = flags & SCI_ZADD_LT;
    if (words == 0 || words % 2 != 0)
        return "ERR syntax error";
    if (has_nx && (flags & SCI_ZADD_XX))
        return "ERR XX and NX options at the same time are not compatible";
    if ((has_nx && (has_gt || has_lt)) || (has_gt && has_lt))
        return "ERR GT, LT, and/or NX options at the same time are not compatible";
    if ((flags & SCI_ZADD_INCR) && words > 2)
        return "ERR INCR option supports a single increment-element pair";
    return NULL;
}

/* A change in `target`; one that brings back what `base` has is none. */
static sc_status sci_zadd_put(sci_zadd *zadd, sc_slice member, double score)
{
    double base_score;
    if (zadd->base && sci_sorted_find(zadd->base, member, &base_score) && base_score <= score &&
        base_score >= score) {
        (void)sci_sorted_remove(zadd->memory, zadd->target, member);
        return SC_OK;
    }
    return sci_sorted_put(zadd->memory, zadd->target, member, score);
}

/* A member that is there. SC_ERR_ARGUMENT: the sum is no number. */
static sc_status sci_zadd_change(sci_zadd *zadd, sc_slice member, double score, double current)
{
    const unsigned flags = zadd->flags;
    if (flags & SCI_ZADD_NX)
        return SC_OK;
    if (flags & SCI_ZADD_INCR)
        score += current;
    const bool is_more = score > current, is_less = score < current;
    if (!is_more && !is_less && !(score <= current))
        return SC_ERR_ARGUMENT;
    if (((flags & SCI_ZADD_LT) && !is_less) || ((flags & SCI_ZADD_GT) && !is_more))
        return SC_OK;
    zadd->score = score;
    zadd->is_done = true;
    if (!is_more && !is_less)
        return SC_OK;
    zadd->updated++;
    return sci_zadd_put(zadd, member, score);
}

static sc_status sci_zadd_pair(sci_zadd *zadd, sc_slice member, double score)
{
    double current;
    zadd->is_done = false;
    if (sci_sorted_find(zadd->target, member, &current) ||
        (zadd->base && sci_sorted_find(zadd->base, member, &current)))
        return sci_zadd_change(zadd, member, score, current);
    if (zadd->flags & SCI_ZADD_XX)
        return SC_OK;
    zadd->score = score;
    zadd->is_done = true;
    zadd->added++;
    return sci_sorted_put(zadd->memory, zadd->target, member, score);
}

/* Where the changes go. One alone goes into the set itself, several must not fail halfway: they go
   into a copy of a small set, or are gathered. False: no memory. */
static bool sci_zadd_begin(sci_zadd *zadd, sci_call *call, sci_sorted *set, size_t words)
{
    if (set && words == 2)
        zadd->target = set;
    else if (set && sci_sorted_is_packed(set))
        zadd->target = (sci_sorted *)sci_sorted_copy(zadd->memory, set);
    else
        zadd->target = sci_sorted_new(zadd->memory, &call->server->hash_seed);
    if (set && zadd->target && !sci_sorted_is_packed(set) && words > 2) {
        zadd->base = set;
        sci_sorted_keep_signs(zadd->target, true);
    }
    return zadd->target != NULL;
}

/* What is in `target` now becomes what is under the key. */
static sc_status sci_zadd_finish(sci_zadd *zadd, sci_call *call, sci_sorted *set)
{
    if (zadd->base)
        return sci_sorted_put_all(set, zadd->target);
    if (set) {
        sci_sorted_swap(set, zadd->target);
        return SC_OK;
    }
    if (zadd->added == 0)
        return SC_OK;
    if (!sci_entry_add(call, call->argv[1], SCI_ZSET, zadd->target))
        return SC_ERR_MEMORY;
    zadd->target = NULL;
    return SC_OK;
}

static sc_status sci_zadd_apply(sci_zadd *zadd, sci_call *call, sci_sorted *set, size_t first)
{
    const sc_slice *words = call->argv + first;
    const size_t count = call->argc - first;
    sc_status status = SC_OK;
    if (!sci_zadd_begin(zadd, call, set, count))
        return SC_ERR_MEMORY;
    for (size_t i = 0; i < count && status == SC_OK; i += 2) {
        double score = 0;
        (void)sci_word_to_double(words[i], &score);
        status = sci_zadd_pair(zadd, words[i + 1], score);
    }
    if (zadd->target == set)
        return status;
    if (status == SC_OK)
        status = sci_zadd_finish(zadd, call, set);
    if (zadd->target)
        sci_sorted_release(zadd->memory, zadd->target);
    return status;
}

static void sci_zadd_answer(sci_zadd *zadd, sci_call *call)
{
    const bool is_incr = zadd->flags & SCI_ZADD_INCR;
    if (zadd->added + zadd->updated > 0)
        sci_changed(call, call->argv[1], SCI_EVENT_ZSET, is_incr ? "zincr" : "zadd");
    if (!is_incr)
        sci_answer_i64(
            call, (int64_t)(zadd->flags & SCI_ZADD_CH ? zadd->added + zadd->updated : zadd->added));
    else if (zadd->is_done)
        sci_answer_double(call, zadd->score);
    else
        sci_answer_nil(call, SCI_NIL_BULK);
}

static void sci_zadd_run(sci_call *call, unsigned flags)
{
    sci_zadd zadd;
    sci_entry *entry;
    size_t first = 2;
    memset(&zadd, 0, sizeof zadd);
    zadd.memory = &call->db->memory;
    zadd.flags = flags;
    for (; first < call->argc && sci_zadd_flag(call->argv[first]); first++)
        zadd.flags |= sci_zadd_flag(call->argv[first]);
    const char *objection = sci_zadd_objection(zadd.flags, call->argc - first);
    if (objection) {
        sci_answer_error(call, "%s", objection);
        return;
    }
    for (size_t i = first; i < call->argc; i += 2) {
        double score;
        if (!sci_arg_double(call, i, &score))
            return;
    }
    if (!sci_typed_for_write(call, call->argv[1], SCI_ZSET, &entry))
        return;
    sc_status status =
        sci_zadd_apply(&zadd, call, entry ? (sci_sorted *)entry->value.object : NULL, first);
    if (status == SC_OK)
        sci_zadd_answer(&zadd, call);
    else if (status == SC_ERR_ARGUMENT)
        sci_answer_error(call, "ERR resulting score is not a number (NaN)");
    else
        sci_answer_no_memory(call);
}

static void sci_command_zadd(sci_call *call)
{
    sci_zadd_run(call, 0);
}

static void sci_command_zincrby(sci_call *call)
{
    sci_zadd_run(call, SCI_ZADD_INCR);
}

/* --- Removing */

static void sci_command_zrem(sci_call *call)
{
    sci_entry *entry;
    size_t removed = 0;
    if (!sci_typed_for_write(call, call->argv[1], SCI_ZSET, &entry))
        return;
    for (size_t i = 2; entry && i < call->argc; i++)
        removed +=
            sci_sorted_remove(&call->db->memory, (sci_sorted *)entry->value.object, call->argv[i]);
    if (removed > 0)
        sci_zset_shrunk(call, call->argv[1], entry, "zrem");
    sci_answer_i64(call, (int64_t)removed);
}

/* Remove ranks and answer how many there were. */
static void sci_zset_remove_ranks(sci_call *call, sci_entry *entry, size_t start, size_t end,
                                  const char *event)
{
    if (start < end) {
        sci_sorted_remove_range(&call->db->memory, (sci_sorted *)entry->value.object, start, end);
        sci_zset_shrunk(call, call->argv[1], entry, event);
    }
    sci_answer_i64(call, (int64_t)(end - start));
}

static void sci_command_zremrangebyrank(sci_call *call)
{
    int64_t first, last;
    size_t start = 0, end = 0;
    sci_entry *entry;
    if (!sci_arg_i64(call, 2, &first) || !sci_arg_i64(call, 3, &last) ||
        !sci_typed_for_write(call, call->argv[1], SCI_ZSET, &entry))
        return;
    if (entry)
        sci_zset_clamp_ranks(sci_sorted_count((const sci_sorted *)entry->value.object), first, last,
                             &start, &end);
    sci_zset_remove_ranks(call, entry, start, end, "zremrangebyrank");
}

static void sci_zset_remove_by(sci_call *call, bool is_by_bytes, const char *event)
{
    sci_sorted_range range;
    size_t start = 0, end = 0;
    sci_entry *entry;
    if (!sci_zset_arg_range(call, 2, 3, is_by_bytes, &range) ||
        !sci_typed_for_write(call, call->argv[1], SCI_ZSET, &entry))
        return;
    if (entry)
        sci_sorted_find_range((const sci_sorted *)entry->value.object, &range, false, &start, &end);
    sci_zset_remove_ranks(call, entry, start, end, event);
}

static void sci_command_zremrangebyscore(sci_call *call)
{
    sci_zset_remove_by(call, false, "zremrangebyscore");
}

static void sci_command_zremrangebylex(sci_call *call)
{
    sci_zset_remove_by(call, true, "zremrangebylex");
}

/* --- Asking */

static void sci_command_zcard(sci_call *call)
{
    const sci_sorted *set;
    if (sci_zset_for_read(call, call->argv[1], &set))
        sci_answer_i64(call, set ? (int64_t)sci_sorted_count(set) : 0);
}

static void sci_zset_answer_score(sci_call *call, const sci_sorted *set, sc_slice member)
{
    double score;
    if (set && sci_sorted_find(set, member, &score))
        sci_answer_double(call, score);
    else
        sci_answer_nil(call, SCI_NIL_BULK);
}

static void sci_command_zscore(sci_call *call)
{
    const sci_sorted *set;
    if (sci_zset_for_read(call, call->argv[1], &set))
        sci_zset_answer_score(call, set, call->argv[2]);
}

static void sci_command_zmscore(sci_call *call)
{
    const sci_sorted *set;
    if (!sci_zset_for_read(call, call->argv[1], &set))
        return;
    sci_answer_array(call, call->argc - 2);
    for (size_t i = 2; i < call->argc; i++)
        sci_zset_answer_score(call, set, call->argv[i]);
}

static void sci_zset_answer_rank(sci_call *call, bool is_from_the_end)
{
    const sci_sorted *set;
    size_t rank;
    if (!sci_zset_for_read(call, call->argv[1], &set))
        return;
    if (!set || !sci_sorted_rank(set, call->argv[2], &rank)) {
        sci_answer_nil(call, SCI_NIL_BULK);
        return;
    }
    sci_answer_i64(call, (int64_t)(is_from_the_end ? sci_sorted_count(set) - 1 - rank : rank));
}

static void sci_command_zrank(sci_call *call)
{
    sci_zset_answer_rank(call, false);
}

static void sci_command_zrevrank(sci_call *call)
{
    sci_zset_answer_rank(call, true);
}

static void sci_zset_answer_count(sci_call *call, bool is_by_bytes)
{
    const sci_sorted *set;
    sci_sorted_range range;
    size_t start = 0, end = 0;
    if (!sci_zset_arg_range(call, 2, 3, is_by_bytes, &range) ||
        !sci_zset_for_read(call, call->argv[1], &set))
        return;
    if (set)
        sci_sorted_find_range(set, &range, false, &start, &end);
    sci_answer_i64(call, (int64_t)(end - start));
}

static void sci_command_zcount(sci_call *call)
{
    sci_zset_answer_count(call, false);
}

static void sci_command_zlexcount(sci_call *call)
{
    sci_zset_answer_count(call, true);
}

typedef struct sci_zscan {
    sci_scan *scan;
    bool is_packed;
} sci_zscan;

/* Redis shows a score here as it keeps it: in a small set, whole numbers up to 2^62 as integers. */
static void sci_zscan_answer_score(const sci_zscan *zscan, double score)
{
    const double most = 4611686018427387904.0;
    if (zscan->is_packed && score >= -most && score <= most) {
        const int64_t whole = (int64_t)score;
        if ((double)whole >= score && (double)whole <= score) {
            sci_answer_i64_bulk(zscan->scan->call, whole);
            return;
        }
    }
    sci_answer_double(zscan->scan->call, score);
}

static void sci_zscan_visit(void *user, sc_slice member, double score)
{
    const sci_zscan *zscan = (const sci_zscan *)user;
    if (!sci_scan_wants(zscan->scan, member))
        return;
    sci_answer_bulk(zscan->scan->call, member);
    sci_zscan_answer_score(zscan, score);
    zscan->scan->answers += 2;
}

static uint64_t sci_zscan_step(sci_scan *scan, uint64_t cursor, const void *table)
{
    const sci_sorted *set = (const sci_sorted *)table;
    sci_zscan zscan;
    zscan.scan = scan;
    zscan.is_packed = sci_sorted_is_packed(set);
    return sci_sorted_scan(set, cursor, sci_zscan_visit, &zscan);
}

static void sci_command_zscan(sci_call *call)
{
    sci_scan scan;
    sci_entry *entry;
    if (!sci_scan_begin(&scan, call, 2) ||
        !sci_typed_for_read(call, call->argv[1], SCI_ZSET, &entry))
        return;
    if (!entry)
        sci_scan_answer_none(call);
    else if (sci_scan_options(&scan, 3, false))
        sci_scan_run(&scan, sci_zscan_step, entry->value.object);
}

/* --- The table */

#define SCI_ZSET_ADDS (SCI_CMD_WRITE | SCI_CMD_DENYOOM | SCI_CMD_FAST)
#define SCI_ZSET_REMOVES (SCI_CMD_WRITE | SCI_CMD_FAST)
#define SCI_ZSET_ASKS (SCI_CMD_READONLY | SCI_CMD_FAST)

SCI_PRIVATE sci_command_list sci_zset_commands(void)
{
    static const sci_command commands[] = {
        {"zadd", sci_command_zadd, -4, SCI_ZSET_ADDS, 1, 1, 1},
        {"zincrby", sci_command_zincrby, 4, SCI_ZSET_ADDS, 1, 1, 1},
        {"zrem", sci_command_zrem, -3, SCI_ZSET_REMOVES, 1, 1, 1},
        {"zremrangebyrank", sci_command_zremrangebyrank, 4, SCI_CMD_WRITE, 1, 1, 1},
        {"zremrangebyscore", sci_command_zremrangebyscore, 4, SCI_CMD_WRITE, 1, 1, 1},
        {"zremrangebylex", sci_command_zremrangebylex, 4, SCI_CMD_WRITE, 1, 1, 1},
        {"zcard", sci_command_zcard, 2, SCI_ZSET_ASKS, 1, 1, 1},
        {"zscore", sci_command_zscore, 3, SCI_ZSET_ASKS, 1, 1, 1},
        {"zmscore", sci_command_zmscore, -3, SCI_ZSET_ASKS, 1, 1, 1},
        {"zrank", sci_command_zrank, 3, SCI_ZSET_ASKS, 1, 1, 1},
        {"zrevrank", sci_command_zrevrank, 3, SCI_ZSET_ASKS, 1, 1, 1},
        {"zcount", sci_command_zcount, 4, SCI_ZSET_ASKS, 1, 1, 1},
        {"zlexcount", sci_command_zlexcount, 4, SCI_ZSET_ASKS, 1, 1, 1},
        {"zscan", sci_command_zscan, -3, SCI_CMD_READONLY, 1, 1, 1},
    };
    sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
