/* ZRANGE and its family: by rank, by score, by bytes; answered or stored. */

#include "server/commands.h"
#include "server/server.h"
#include "server/zset.h"

typedef enum sci_zrange_by { SCI_ZRANGE_RANK, SCI_ZRANGE_SCORE, SCI_ZRANGE_BYTES } sci_zrange_by;

typedef struct sci_zrange {
    sci_zrange_by by;
    bool is_by_known; /* the command's name says it: no option does */
    bool is_reversed;
    bool is_reversed_known;
    bool has_scores;
    bool is_stored; /* argv[1] is where to, argv[2] where from */
    int64_t offset; /* LIMIT */
    int64_t limit;  /* negative: none */
    int64_t first, last;
    sci_sorted_range range;
} sci_zrange;

/* argv[i] as an option; returns how many words it took, 0 after answering what is wrong. */
static size_t sci_zrange_option(sci_call *call, size_t i, sci_zrange *zrange)
{
    sc_slice word = call->argv[i];
    if (!zrange->is_stored && sci_word_is(word, "withscores")) {
        zrange->has_scores = true;
    } else if (call->argc - i > 2 && sci_word_is(word, "limit")) {
        if (!sci_arg_i64(call, i + 1, &zrange->offset) || !sci_arg_i64(call, i + 2, &zrange->limit))
            return 0;
        return 3;
    } else if (!zrange->is_reversed_known && sci_word_is(word, "rev")) {
        zrange->is_reversed = true;
        zrange->is_reversed_known = true;
    } else if (!zrange->is_by_known && sci_word_is(word, "bylex")) {
        zrange->by = SCI_ZRANGE_BYTES;
        zrange->is_by_known = true;
    } else if (!zrange->is_by_known && sci_word_is(word, "byscore")) {
        zrange->by = SCI_ZRANGE_SCORE;
        zrange->is_by_known = true;
    } else {
        sci_answer_syntax_error(call);
        return 0;
    }
    return 1;
}

/* What options may not be together, or NULL. */
static const char *sci_zrange_objection(const sci_zrange *zrange)
{
    if (zrange->limit != -1 && zrange->by == SCI_ZRANGE_RANK)
        return "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or "
               "BYLEX";
    if (zrange->has_scores && zrange->by == SCI_ZRANGE_BYTES)
        return "ERR syntax error, WITHSCORES not supported in combination with BYLEX";
    return NULL;
}

/* argv[from] and the next are the ends, options follow. False after answering what is wrong. */
static bool sci_zrange_parse(sci_call *call, size_t from, sci_zrange *zrange)
{
    zrange->limit = -1;
    for (size_t i = from + 2, taken; i < call->argc; i += taken) {
        taken = sci_zrange_option(call, i, zrange);
        if (taken == 0)
            return false;
    }
    const char *objection = sci_zrange_objection(zrange);
    if (objection) {
        sci_answer_error(call, "%s", objection);
        return false;
    }
    if (zrange->by == SCI_ZRANGE_RANK)
        return sci_arg_i64(call, from, &zrange->first) &&
               sci_arg_i64(call, from + 1, &zrange->last);
    size_t least = zrange->is_reversed ? from + 1 : from;
    size_t most = zrange->is_reversed ? from : from + 1;
    return sci_zset_arg_range(call, least, most, zrange->by == SCI_ZRANGE_BYTES, &zrange->range);
}

/* LIMIT: from the end that the answer begins with. */
static void sci_zrange_limit(const sci_zrange *zrange, size_t *start, size_t *end)
{
    size_t count = *end - *start;
    size_t skipped = count, taken;
    if (zrange->offset >= 0 && (uint64_t)zrange->offset < count)
        skipped = (size_t)zrange->offset;
    taken = count - skipped;
    if (zrange->limit >= 0 && (uint64_t)zrange->limit < taken)
        taken = (size_t)zrange->limit;
    if (zrange->is_reversed) {
        *end -= skipped;
        *start = *end - taken;
    } else {
        *start += skipped;
        *end = *start + taken;
    }
}

/* The ranks that are asked for. */
static void sci_zrange_find(const sci_zrange *zrange, const sci_sorted *set, size_t *start,
                            size_t *end)
{
    size_t count = sci_sorted_count(set);
    if (zrange->by != SCI_ZRANGE_RANK) {
        sci_sorted_find_range(set, &zrange->range, zrange->is_reversed, start, end);
        sci_zrange_limit(zrange, start, end);
        return;
    }
    sci_zset_clamp_ranks(count, zrange->first, zrange->last, start, end);
    if (zrange->is_reversed && *start < *end) {
        size_t first = *start;
        *start = count - *end;
        *end = count - first;
    }
}

static void sci_zrange_answer(sci_call *call, const sci_zrange *zrange, const sci_sorted *set)
{
    size_t start = 0, end = 0;
    sci_sorted_walk walk;
    sc_slice member;
    double score;
    sci_zrange_find(zrange, set, &start, &end);
    sci_answer_array(call, (end - start) * (zrange->has_scores ? 2 : 1));
    sci_sorted_walk_begin(&walk, set, zrange->is_reversed ? end - 1 : start, zrange->is_reversed);
    for (; start < end && sci_sorted_walk_next(&walk, &member, &score); start++)
        sci_zset_answer(call, member, score, zrange->has_scores);
}

static void sci_zrange_run(sci_call *call, sci_zrange *zrange)
{
    const sci_sorted *set;
    if (!sci_zrange_parse(call, 2, zrange) || !sci_zset_for_read(call, call->argv[1], &set))
        return;
    if (set)
        sci_zrange_answer(call, zrange, set);
    else
        sci_answer_array(call, 0);
}

static void sci_command_zrange(sci_call *call)
{
    sci_zrange zrange;
    memset(&zrange, 0, sizeof zrange);
    sci_zrange_run(call, &zrange);
}

/* The older commands have the kind of range and the direction in their names. */
static void sci_zrange_run_as(sci_call *call, sci_zrange_by by, bool is_reversed)
{
    sci_zrange zrange;
    memset(&zrange, 0, sizeof zrange);
    zrange.by = by;
    zrange.is_by_known = true;
    zrange.is_reversed = is_reversed;
    zrange.is_reversed_known = true;
    sci_zrange_run(call, &zrange);
}

static void sci_command_zrevrange(sci_call *call)
{
    sci_zrange_run_as(call, SCI_ZRANGE_RANK, true);
}

static void sci_command_zrangebyscore(sci_call *call)
{
    sci_zrange_run_as(call, SCI_ZRANGE_SCORE, false);
}

static void sci_command_zrevrangebyscore(sci_call *call)
{
    sci_zrange_run_as(call, SCI_ZRANGE_SCORE, true);
}

static void sci_command_zrangebylex(sci_call *call)
{
    sci_zrange_run_as(call, SCI_ZRANGE_BYTES, false);
}

static void sci_command_zrevrangebylex(sci_call *call)
{
    sci_zrange_run_as(call, SCI_ZRANGE_BYTES, true);
}

/* A new set with the range of another, which may be NULL; NULL: no memory. */
static sci_sorted *sci_zrange_copy(sci_call *call, const sci_zrange *zrange, const sci_sorted *from)
{
    size_t start = 0, end = 0;
    sci_sorted_walk walk;
    sc_slice member;
    double score;
    sci_sorted *set = sci_sorted_new(&call->db->memory, &call->server->hash_seed);
    if (!set || !from)
        return set;
    sci_zrange_find(zrange, from, &start, &end);
    if (zrange->by == SCI_ZRANGE_RANK)
        sci_sorted_expect(set, end - start);
    /* In order, whatever is asked for: so the set takes least memory. */
    sci_sorted_walk_begin(&walk, from, start, false);
    for (; start < end && sci_sorted_walk_next(&walk, &member, &score); start++) {
        if (sci_sorted_put(&call->db->memory, set, member, score) != SC_OK) {
            sci_sorted_release(&call->db->memory, set);
            return NULL;
        }
    }
    return set;
}

static void sci_command_zrangestore(sci_call *call)
{
    sci_zrange zrange;
    const sci_sorted *from;
    memset(&zrange, 0, sizeof zrange);
    zrange.is_stored = true;
    if (!sci_zrange_parse(call, 3, &zrange) || !sci_zset_for_read(call, call->argv[2], &from))
        return;
    sci_sorted *set = sci_zrange_copy(call, &zrange, from);
    if (set)
        sci_zset_store(call, call->argv[1], set, "zrangestore");
    else
        sci_answer_no_memory(call);
}

SCI_PRIVATE sci_command_list sci_zset_range_commands(void)
{
    static const sci_command commands[] = {
        {"zrange", sci_command_zrange, -4, SCI_CMD_READONLY, 1, 1, 1},
        {"zrevrange", sci_command_zrevrange, -4, SCI_CMD_READONLY, 1, 1, 1},
        {"zrangebyscore", sci_command_zrangebyscore, -4, SCI_CMD_READONLY, 1, 1, 1},
        {"zrevrangebyscore", sci_command_zrevrangebyscore, -4, SCI_CMD_READONLY, 1, 1, 1},
        {"zrangebylex", sci_command_zrangebylex, -4, SCI_CMD_READONLY, 1, 1, 1},
        {"zrevrangebylex", sci_command_zrevrangebylex, -4, SCI_CMD_READONLY, 1, 1, 1},
        {"zrangestore", sci_command_zrangestore, -5, SCI_CMD_WRITE | SCI_CMD_DENYOOM, 1, 2, 1},
    };
    sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
