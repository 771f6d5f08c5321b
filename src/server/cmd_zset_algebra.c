/* Union, intersection and difference of sorted sets and sets: answered, stored or counted. */

#include "server/commands.h"
#include "server/members.h"
#include "server/server.h"
#include "server/zset.h"

typedef enum sci_zset_op { SCI_ZSET_UNION, SCI_ZSET_INTER, SCI_ZSET_DIFF } sci_zset_op;
typedef enum sci_zset_aggregate { SCI_ZSET_SUM, SCI_ZSET_MIN, SCI_ZSET_MAX } sci_zset_aggregate;

/* One key's members; both NULL: there are none. */
typedef struct sci_zset_input {
    const sci_sorted *sorted;
    const sci_members *members; /* of a set: each has the score 1 */
    double weight;
    size_t count;
} sci_zset_input;

typedef struct sci_zset_algebra {
    sci_zset_op op;
    sci_zset_aggregate aggregate;
    const char *event; /* it is stored under argv[1]; NULL: it is not */
    bool is_counted;   /* only the count is asked for */
    bool has_scores;
    size_t limit;           /* of the count; 0: none */
    sci_zset_input *inputs; /* owned: twice as many as there are keys */
    size_t input_count;
    size_t counted;
    sci_sorted *result; /* owned; not where it is only counted */
} sci_zset_algebra;

/* --- Members of any input */

typedef struct sci_zset_input_walk {
    const sci_zset_input *input;
    sci_sorted_walk sorted;
    sci_members_iterator members;
} sci_zset_input_walk;

static void sci_zset_input_begin(sci_zset_input_walk *walk, const sci_zset_input *input)
{
    memset(walk, 0, sizeof *walk);
    walk->input = input;
    if (input->sorted)
        sci_sorted_walk_begin(&walk->sorted, input->sorted, 0, false);
}

static bool sci_zset_input_next(sci_zset_input_walk *walk, sc_slice *member, double *score)
{
    if (walk->input->sorted)
        return sci_sorted_walk_next(&walk->sorted, member, score);
    const sci_member *found =
        walk->input->members ? sci_members_next(walk->input->members, &walk->members) : NULL;
    if (!found)
        return false;
    *member = sci_member_name(found);
    *score = 1;
    return true;
}

static bool sci_zset_input_find(const sci_zset_input *input, sc_slice member, double *score)
{
    if (input->sorted)
        return sci_sorted_find(input->sorted, member, score);
    *score = 1;
    return input->members && sci_members_find(input->members, member);
}

/* --- Scores */

/* Where infinities cancel each other out, or are multiplied by 0, the result is 0. */
static double sci_zset_number_or_0(double number)
{
    return number <= 0 || number >= 0 ? number : 0;
}

static double sci_zset_weigh(const sci_zset_input *input, double score)
{
    return sci_zset_number_or_0(input->weight * score);
}

/* `weighed` may be no number: then it is neither less nor more. */
static double sci_zset_aggregated(sci_zset_aggregate aggregate, double score, double weighed)
{
    switch (aggregate) {
    case SCI_ZSET_MIN:
        return weighed < score ? weighed : score;
    case SCI_ZSET_MAX:
        return weighed > score ? weighed : score;
    case SCI_ZSET_SUM:
        break;
    }
    return sci_zset_number_or_0(score + weighed);
}

/* --- The three operations */

static sc_status sci_zset_unite(sci_call *call, sci_zset_algebra *algebra)
{
    sci_zset_input_walk walk;
    sc_slice member;
    double score, before;
    for (size_t i = 0; i < algebra->input_count; i++) {
        sci_zset_input_begin(&walk, &algebra->inputs[i]);
        while (sci_zset_input_next(&walk, &member, &score)) {
            score = sci_zset_weigh(walk.input, score);
            if (sci_sorted_find(algebra->result, member, &before))
                score = sci_zset_aggregated(algebra->aggregate, before, score);
            if (sci_sorted_put(&call->db->memory, algebra->result, member, score) != SC_OK)
                return SC_ERR_MEMORY;
        }
    }
    return SC_OK;
}

/* Is it in all the others? `*score` is aggregated. */
static bool sci_zset_is_in_all(const sci_zset_algebra *algebra, sc_slice member, double *score)
{
    for (size_t i = 1; i < algebra->input_count; i++) {
        const sci_zset_input *input = &algebra->inputs[i];
        double other;
        if (!sci_zset_input_find(input, member, &other))
            return false;
        *score = sci_zset_aggregated(algebra->aggregate, *score, other * input->weight);
    }
    return true;
}

static bool sci_zset_is_in_others(const sci_zset_algebra *algebra, sc_slice member)
{
    double score;
    for (size_t i = 1; i < algebra->input_count; i++)
        if (sci_zset_input_find(&algebra->inputs[i], member, &score))
            return true;
    return false;
}

static sc_status sci_zset_intersect(sci_call *call, sci_zset_algebra *algebra)
{
    sci_zset_input_walk walk;
    sc_slice member;
    double score;
    sci_zset_input_begin(&walk, &algebra->inputs[0]);
    while (sci_zset_input_next(&walk, &member, &score)) {
        score = sci_zset_weigh(walk.input, score);
        if (!sci_zset_is_in_all(algebra, member, &score))
            continue;
        if (algebra->is_counted && ++algebra->counted == algebra->limit)
            break;
        if (!algebra->is_counted &&
            sci_sorted_put(&call->db->memory, algebra->result, member, score) != SC_OK)
            return SC_ERR_MEMORY;
    }
    return SC_OK;
}

static sc_status sci_zset_subtract(sci_call *call, sci_zset_algebra *algebra)
{
    sci_zset_input_walk walk;
    sc_slice member;
    double score;
    sci_zset_input_begin(&walk, &algebra->inputs[0]);
    while (sci_zset_input_next(&walk, &member, &score))
        if (!sci_zset_is_in_others(algebra, member) &&
            sci_sorted_put(&call->db->memory, algebra->result, member, score) != SC_OK)
            return SC_ERR_MEMORY;
    return SC_OK;
}

/* --- The inputs */

/* From the smallest to the largest, and otherwise as they came: sums depend on it. Merges ever
   longer pieces between the two halves of `inputs`. */
static void sci_zset_sort_inputs(sci_zset_algebra *algebra)
{
    const size_t count = algebra->input_count;
    sci_zset_input *from = algebra->inputs, *to = from + count;
    for (size_t piece = 1; piece < count; piece *= 2) {
        for (size_t start = 0; start < count; start += 2 * piece) {
            size_t middle = sci_min_size(start + piece, count);
            size_t end = sci_min_size(start + 2 * piece, count);
            for (size_t a = start, b = middle, i = start; i < end; i++)
                to[i] = b == end || (a < middle && from[a].count <= from[b].count) ? from[a++]
                                                                                   : from[b++];
        }
        sci_zset_input *merged = to;
        to = from;
        from = merged;
    }
    if (from != algebra->inputs)
        memcpy(algebra->inputs, from, count * sizeof *from);
}

/* What is under a key; false after answering WRONGTYPE. */
static bool sci_zset_input_open(sci_call *call, sc_slice key, sci_zset_input *input)
{
    sci_entry *entry = sci_entry_for_read(call, key);
    memset(input, 0, sizeof *input);
    input->weight = 1;
    if (!entry)
        return true;
    if (entry->type == SCI_ZSET) {
        input->sorted = (const sci_sorted *)entry->value.object;
        input->count = sci_sorted_count(input->sorted);
    } else if (entry->type == SCI_SET) {
        input->members = (const sci_members *)entry->value.object;
        input->count = input->members->count;
    } else {
        sci_answer_wrong_type(call);
        return false;
    }
    return true;
}

/* "numkeys key ..." from argv[first]; false after answering what is wrong. */
static bool sci_zset_open_inputs(sci_call *call, size_t first, sci_zset_algebra *algebra)
{
    int64_t count;
    if (!sci_arg_i64(call, first, &count))
        return false;
    if (count < 1) {
        sci_answer_error(call, "ERR at least 1 input key is needed for '%s' command",
                         call->command->name);
        return false;
    }
    if ((uint64_t)count > call->argc - first - 1) {
        sci_answer_syntax_error(call);
        return false;
    }
    algebra->inputs = (sci_zset_input *)sci_resize(&call->server->memory, NULL, 0,
                                                   2 * (size_t)count * sizeof *algebra->inputs);
    if (!algebra->inputs) {
        sci_answer_no_memory(call);
        return false;
    }
    algebra->input_count = (size_t)count;
    for (size_t i = 0; i < algebra->input_count; i++)
        if (!sci_zset_input_open(call, call->argv[first + 1 + i], &algebra->inputs[i]))
            return false;
    return true;
}

/* --- Options */

/* WEIGHTS at argv[i]; false after answering what is wrong. */
static bool sci_zset_weights(sci_call *call, size_t i, sci_zset_algebra *algebra)
{
    for (size_t k = 0; k < algebra->input_count; k++) {
        if (!sci_word_to_double(call->argv[i + 1 + k], &algebra->inputs[k].weight)) {
            sci_answer_error(call, "ERR weight value is not a float");
            return false;
        }
    }
    return true;
}

static bool sci_zset_aggregate_of(sc_slice word, sci_zset_aggregate *aggregate)
{
    if (sci_word_is(word, "sum"))
        *aggregate = SCI_ZSET_SUM;
    else if (sci_word_is(word, "min"))
        *aggregate = SCI_ZSET_MIN;
    else if (sci_word_is(word, "max"))
        *aggregate = SCI_ZSET_MAX;
    else
        return false;
    return true;
}

static bool sci_zset_limit(sci_call *call, size_t i, sci_zset_algebra *algebra)
{
    int64_t limit;
    if (!sci_text_to_i64(call->argv[i + 1], &limit) || limit < 0) {
        sci_answer_error(call, "ERR LIMIT can't be negative");
        return false;
    }
    algebra->limit = (uint64_t)limit > SIZE_MAX ? 0 : (size_t)limit;
    return true;
}

static size_t sci_zset_no_option(sci_call *call)
{
    sci_answer_syntax_error(call);
    return 0;
}

/* How scores come about. */
static size_t sci_zset_score_option(sci_call *call, size_t i, sci_zset_algebra *algebra)
{
    const size_t left = call->argc - i;
    if (left > algebra->input_count && sci_word_is(call->argv[i], "weights"))
        return sci_zset_weights(call, i, algebra) ? algebra->input_count + 1 : 0;
    if (left >= 2 && sci_word_is(call->argv[i], "aggregate") &&
        sci_zset_aggregate_of(call->argv[i + 1], &algebra->aggregate))
        return 2;
    return sci_zset_no_option(call);
}

/* The option at argv[i]; returns how many words it took, 0 after answering what is wrong. */
static size_t sci_zset_algebra_option(sci_call *call, size_t i, sci_zset_algebra *algebra)
{
    if (algebra->is_counted) {
        if (call->argc - i < 2 || !sci_word_is(call->argv[i], "limit"))
            return sci_zset_no_option(call);
        return sci_zset_limit(call, i, algebra) ? 2 : 0;
    }
    if (!algebra->event && sci_word_is(call->argv[i], "withscores")) {
        algebra->has_scores = true;
        return 1;
    }
    return algebra->op == SCI_ZSET_DIFF ? sci_zset_no_option(call)
                                        : sci_zset_score_option(call, i, algebra);
}

/* --- All of it */

static void sci_zset_algebra_answer(sci_call *call, sci_zset_algebra *algebra)
{
    sci_sorted_walk walk;
    sc_slice member;
    double score;
    if (algebra->is_counted) {
        sci_answer_i64(call, (int64_t)algebra->counted);
    } else if (algebra->event) {
        sci_sorted_keep_signs(algebra->result, false);
        sci_zset_store(call, call->argv[1], algebra->result, algebra->event);
        algebra->result = NULL;
    } else {
        sci_answer_array(call, sci_sorted_count(algebra->result) * (algebra->has_scores ? 2 : 1));
        sci_sorted_walk_begin(&walk, algebra->result, 0, false);
        while (sci_sorted_walk_next(&walk, &member, &score))
            sci_zset_answer(call, member, score, algebra->has_scores);
    }
}

static sc_status sci_zset_compute(sci_call *call, sci_zset_algebra *algebra)
{
    if (!algebra->is_counted) {
        algebra->result = sci_sorted_new(&call->db->memory, &call->server->hash_seed);
        if (!algebra->result)
            return SC_ERR_MEMORY;
        sci_sorted_keep_signs(algebra->result, true);
    }
    if (algebra->op == SCI_ZSET_DIFF)
        return sci_zset_subtract(call, algebra);
    sci_zset_sort_inputs(algebra);
    return algebra->op == SCI_ZSET_UNION ? sci_zset_unite(call, algebra)
                                         : sci_zset_intersect(call, algebra);
}

static bool sci_zset_algebra_parse(sci_call *call, sci_zset_algebra *algebra)
{
    const size_t first = algebra->event ? 2 : 1;
    if (!sci_zset_open_inputs(call, first, algebra))
        return false;
    for (size_t i = first + 1 + algebra->input_count, taken; i < call->argc; i += taken) {
        taken = sci_zset_algebra_option(call, i, algebra);
        if (taken == 0)
            return false;
    }
    return true;
}

static void sci_zset_algebra_run(sci_call *call, sci_zset_algebra *algebra)
{
    if (sci_zset_algebra_parse(call, algebra)) {
        if (sci_zset_compute(call, algebra) == SC_OK)
            sci_zset_algebra_answer(call, algebra);
        else
            sci_answer_no_memory(call);
    }
    if (algebra->result)
        sci_sorted_release(&call->db->memory, algebra->result);
    sci_free(&call->server->memory, algebra->inputs,
             2 * algebra->input_count * sizeof *algebra->inputs);
}

static void sci_zset_operate(sci_call *call, sci_zset_op op, const char *event)
{
    sci_zset_algebra algebra;
    memset(&algebra, 0, sizeof algebra);
    algebra.op = op;
    algebra.event = event;
    sci_zset_algebra_run(call, &algebra);
}

static void sci_command_zunion(sci_call *call)
{
    sci_zset_operate(call, SCI_ZSET_UNION, NULL);
}

static void sci_command_zinter(sci_call *call)
{
    sci_zset_operate(call, SCI_ZSET_INTER, NULL);
}

static void sci_command_zdiff(sci_call *call)
{
    sci_zset_operate(call, SCI_ZSET_DIFF, NULL);
}

static void sci_command_zunionstore(sci_call *call)
{
    sci_zset_operate(call, SCI_ZSET_UNION, "zunionstore");
}

static void sci_command_zinterstore(sci_call *call)
{
    sci_zset_operate(call, SCI_ZSET_INTER, "zinterstore");
}

static void sci_command_zdiffstore(sci_call *call)
{
    sci_zset_operate(call, SCI_ZSET_DIFF, "zdiffstore");
}

static void sci_command_zintercard(sci_call *call)
{
    sci_zset_algebra algebra;
    memset(&algebra, 0, sizeof algebra);
    algebra.op = SCI_ZSET_INTER;
    algebra.is_counted = true;
    sci_zset_algebra_run(call, &algebra);
}

#define SCI_ZSET_STORES (SCI_CMD_WRITE | SCI_CMD_DENYOOM)

SCI_PRIVATE sci_command_list sci_zset_algebra_commands(void)
{
    static const sci_command commands[] = {
        {"zunion", sci_command_zunion, -3, SCI_CMD_READONLY, 0, 0, 0},
        {"zinter", sci_command_zinter, -3, SCI_CMD_READONLY, 0, 0, 0},
        {"zdiff", sci_command_zdiff, -3, SCI_CMD_READONLY, 0, 0, 0},
        {"zintercard", sci_command_zintercard, -3, SCI_CMD_READONLY, 0, 0, 0},
        {"zunionstore", sci_command_zunionstore, -4, SCI_ZSET_STORES, 1, 1, 1},
        {"zinterstore", sci_command_zinterstore, -4, SCI_ZSET_STORES, 1, 1, 1},
        {"zdiffstore", sci_command_zdiffstore, -4, SCI_ZSET_STORES, 1, 1, 1},
    };
    sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
