/* Steps on both sides. */
#include "run.h"
#include "meant.h"

#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 20000 /* a difference costs so much; a busy machine must not make one */
/* What a server receives in one piece: then it is executed as a whole before anything else happens,
   such as those going on that have more commands behind the one that waited. */
#define BATCH_BYTES 8000
#define WORD_BYTES 16      /* around a word, at most */
#define STEPS_A_STATE 1500 /* between comparisons of the whole state */
#define STEPS_A_LISTEN 300 /* between looks at what subscribers got */

static const reply nothing = {NULL, 0};

void difference_clear(difference *found)
{
    free(found->replies[0]);
    free(found->replies[1]);
    memset(found, 0, sizeof *found);
}

void run_init(run *runner)
{
    memset(runner, 0, sizeof *runner);
    runner->patience_ms = PATIENCE_MS;
}

void run_free(run *runner)
{
    size_t i;
    for (i = 0; i < LINE_COUNT; i++) {
        free((void *)runner->lines[i].unanswered);
        free((void *)runner->lines[i].queued);
    }
    difference_clear(&runner->found);
    arena_clear(&runner->memory);
    side_free(&runner->sides[0]);
    side_free(&runner->sides[1]);
}

bool run_differs(run *runner, const char *where, const step *what, reply a, reply b)
{
    difference *found = &runner->found;
    reply both[2];
    size_t i;
    size_t sent = runner->sent;
    if (found->is_found)
        return false;
    both[0] = a;
    both[1] = b;
    difference_clear(found);
    found->is_found = true;
    found->after = what;
    found->done = sent;
    snprintf(found->where, sizeof found->where, "%s", where);
    for (i = 0; i < 2; i++) {
        if (both[i].len == 0)
            continue;
        found->replies[i] = (char *)malloc(both[i].len);
        if (!found->replies[i])
            die("no memory");
        memcpy(found->replies[i], both[i].at, both[i].len);
        found->lens[i] = both[i].len;
    }
    return false;
}

static void trace_replies(const run *runner, const step *what, reply a, reply b)
{
    if (!runner->trace)
        return;
    step_show(runner->trace, what);
    fputs("    ", runner->trace);
    reply_print(runner->trace, a);
    if (!reply_equal(a, b)) {
        fprintf(runner->trace, "\n  %s ", runner->sides[1].name);
        reply_print(runner->trace, b);
    }
    fputc('\n', runner->trace);
}

bool run_compare(run *runner, mode how, const step *what, reply a, reply b)
{
    runner->compared++;
    trace_replies(runner, what, a, b);
    if (reply_matches(how, a, b) || meant_reason(what, a, b))
        return true;
    return run_differs(runner, "the reply", what, a, b);
}

/* --- What is unanswered, and what is queued */

static void await(run *runner, const step *what)
{
    line_state *line = &runner->lines[what->line];
    if (line->count == line->cap) {
        line->cap = line->cap ? line->cap * 2 : 64;
        line->unanswered =
            (const step **)realloc((void *)line->unanswered, line->cap * sizeof *line->unanswered);
        if (!line->unanswered)
            die("no memory");
    }
    line->unanswered[line->count++] = what;
}

static void queue_step(line_state *line, const step *what)
{
    if (line->queued_count == line->queued_cap) {
        line->queued_cap = line->queued_cap ? line->queued_cap * 2 : 64;
        line->queued =
            (const step **)realloc((void *)line->queued, line->queued_cap * sizeof *line->queued);
        if (!line->queued)
            die("no memory");
    }
    line->queued[line->queued_count++] = what;
}

static void line_forget(line_state *line)
{
    line->first = line->count = line->queued_count = 0;
    line->is_in_multi = false;
}

static bool is_waiting(const line_state *line)
{
    return line->first < line->count;
}

/* EXEC's elements, each as its command says. */
static bool compare_exec(run *runner, line_state *line, const step *exec, reply a, reply b)
{
    size_t counts[2];
    reply *lists[2];
    bool is_equal = true;
    size_t i;
    lists[0] = reply_elements(a, &counts[0]);
    lists[1] = reply_elements(b, &counts[1]);
    if (!lists[0] || !lists[1] || counts[0] != counts[1] || counts[0] != line->queued_count)
        is_equal = run_compare(runner, MODE_EXACT, exec, a, b);
    else
        trace_replies(runner, exec, a, b);
    for (i = 0; is_equal && i < counts[0] && counts[0] == line->queued_count; i++) {
        const step *what = line->queued[i];
        runner->compared++;
        if (!reply_matches(mode_of(what), lists[0][i], lists[1][i]) &&
            !meant_reason(what, lists[0][i], lists[1][i]))
            is_equal = run_differs(runner, "the reply in EXEC's", what, lists[0][i], lists[1][i]);
    }
    free(lists[0]);
    free(lists[1]);
    return is_equal;
}

/* Follow what the reply says of MULTI. */
static bool compare_reply(run *runner, line_state *line, const step *what, reply a, reply b)
{
    command_name name = name_of_step(what);
    bool is_equal;
    if (reply_is(a, "+QUEUED\r\n") && reply_equal(a, b)) {
        queue_step(line, what);
        return run_compare(runner, MODE_EXACT, what, a, b);
    }
    if (strcmp(name.name, "exec") == 0 && line->is_in_multi)
        is_equal = compare_exec(runner, line, what, a, b);
    else
        is_equal = run_compare(runner, mode_of(what), what, a, b);
    if (strcmp(name.name, "multi") == 0 && reply_is(a, "+OK\r\n"))
        line->is_in_multi = true;
    /* EXEC ends it also when it is refused, DISCARD does not. */
    if (strcmp(name.name, "exec") == 0 || (strcmp(name.name, "discard") == 0 && what->argc == 1) ||
        reply_is(a, "+RESET\r\n")) {
        line->is_in_multi = false;
        line->queued_count = 0;
    }
    return is_equal;
}

/* --- Receiving */

bool run_reopen(run *runner, unsigned line)
{
    size_t i;
    line_forget(&runner->lines[line]);
    for (i = 0; i < 2; i++)
        if (!side_reopen(&runner->sides[i], line))
            return run_differs(runner,
                               i ? "our server takes no connection" : "redis takes no connection",
                               NULL, nothing, nothing);
    return true;
}

typedef enum taken { TAKEN_NONE, TAKEN_REPLY, TAKEN_END, TAKEN_DIFFERENCE } taken;

/* Compare the next reply that both sides have, or take the end that both have come to. */
static taken take_one(run *runner, unsigned number)
{
    line_state *line = &runner->lines[number];
    reply replies[2];
    const step *waiting = NULL;
    bool is_equal;
    size_t i;
    for (i = 0; i < 2; i++) {
        replies[i] = side_peek(&runner->sides[i], number);
        if (replies[i].len == 0 && !runner->sides[i].lines[number].has_ended)
            return TAKEN_NONE;
    }
    if (is_waiting(line))
        waiting = line->unanswered[line->first];
    if (replies[0].len == 0 && replies[1].len == 0) {
        if (runner->trace)
            fprintf(runner->trace, "    connection %u has ended\n", number);
        return run_reopen(runner, number) ? TAKEN_END : TAKEN_DIFFERENCE;
    }
    if (replies[0].len == 0 || replies[1].len == 0) {
        run_differs(runner, "one side has closed the connection", waiting, replies[0], replies[1]);
        return TAKEN_DIFFERENCE;
    }
    if (!waiting)
        is_equal = reply_equal(replies[0], replies[1]) ||
                   run_differs(runner, "what came unasked", NULL, replies[0], replies[1]);
    else
        is_equal = compare_reply(runner, line, waiting, replies[0], replies[1]);
    side_take(&runner->sides[0], number, replies[0]);
    side_take(&runner->sides[1], number, replies[1]);
    if (is_waiting(line) && ++line->first == line->count)
        line->first = line->count = 0;
    return is_equal ? TAKEN_REPLY : TAKEN_DIFFERENCE;
}

/* Wait where a reply is missing. */
static bool wait_for_reply(run *runner, unsigned number)
{
    bool wants[2];
    size_t i;
    const line_state *line = &runner->lines[number];
    for (i = 0; i < 2; i++)
        wants[i] = side_peek(&runner->sides[i], number).len == 0 &&
                   !runner->sides[i].lines[number].has_ended;
    if (sides_wait(runner->sides, number, wants, runner->patience_ms))
        return true;
    return run_differs(runner, wants[0] ? "redis gives no reply" : "our server gives no reply",
                       is_waiting(line) ? line->unanswered[line->first] : NULL,
                       side_peek(&runner->sides[0], number), side_peek(&runner->sides[1], number));
}

static void flush_line(run *runner, unsigned number)
{
    side_flush(&runner->sides[0], number);
    side_flush(&runner->sides[1], number);
}

/* Every reply that a line waits for. */
static bool settle_line(run *runner, unsigned number)
{
    flush_line(runner, number);
    while (is_waiting(&runner->lines[number])) {
        taken what = take_one(runner, number);
        if (what == TAKEN_DIFFERENCE)
            return false;
        if (what == TAKEN_NONE && !wait_for_reply(runner, number))
            return false;
    }
    return true;
}

/* What came on a line, which may be nothing, as long as both sides have the same. */
static bool settle_loosely(run *runner, unsigned number)
{
    for (;;) {
        taken what = take_one(runner, number);
        bool has[2];
        size_t i;
        if (what == TAKEN_DIFFERENCE)
            return false;
        if (what != TAKEN_NONE)
            continue;
        for (i = 0; i < 2; i++)
            has[i] = side_peek(&runner->sides[i], number).len > 0 ||
                     runner->sides[i].lines[number].has_ended;
        if (!has[0] && !has[1])
            return true;
        if (!wait_for_reply(runner, number))
            return false;
    }
}

bool run_settle_all(run *runner, bool all_lines)
{
    unsigned number;
    if (!side_barrier(&runner->sides[0]) || !side_barrier(&runner->sides[1]))
        return run_differs(runner, "a server does not answer PING", NULL, nothing, nothing);
    for (number = 0; number <= LINE_RAW; number++) {
        if (!all_lines && !is_waiting(&runner->lines[number]))
            continue;
        side_drain(&runner->sides[0], number);
        side_drain(&runner->sides[1], number);
    }
    for (number = 0; number <= LINE_RAW; number++)
        if ((all_lines || is_waiting(&runner->lines[number])) && !settle_loosely(runner, number))
            return false;
    return true;
}

static bool somebody_waits(const run *runner)
{
    unsigned number;
    for (number = 0; number < LINE_RAW; number++)
        if (is_waiting(&runner->lines[number]))
            return true;
    return false;
}

bool run_settle(run *runner)
{
    if (!runner->has_batch)
        return true;
    runner->has_batch = false;
    if (!settle_line(runner, runner->batch_line))
        return false;
    return !somebody_waits(runner) || run_settle_all(runner, false);
}

/* --- Sending */

static void write_step(run *runner, const step *one)
{
    const step *changed = runner->plant ? runner->plant(one) : NULL;
    side_write_step(&runner->sides[0], one);
    side_write_step(&runner->sides[1], changed ? changed : one);
    await(runner, one);
}

/* SET can leave a key that has expired: it is looked at, so that it goes at the same moment. */
static void write_follow_up(run *runner, const step *one)
{
    step *look;
    word *words;
    if (one->argc < 5 || !word_is(one->argv[0], "SET"))
        return;
    look = (step *)arena_take(&runner->memory, sizeof *look);
    words = (word *)arena_take(&runner->memory, 2 * sizeof *words);
    words[0] = arena_word(&runner->memory, "EXISTS", 6);
    words[1] = one->argv[1];
    memset(look, 0, sizeof *look);
    look->line = one->line;
    look->argc = 2;
    look->argv = words;
    write_step(runner, look);
}

static size_t bytes_of(const step *one)
{
    size_t bytes = 0;
    size_t i;
    for (i = 0; i < one->argc; i++)
        bytes += one->argv[i].len + WORD_BYTES;
    return bytes;
}

static bool send_plain(run *runner, const step *one)
{
    unsigned number = one->line;
    const line_end *end = &runner->sides[0].lines[number];
    if (runner->has_batch &&
        (runner->batch_line != number || end->out_len + bytes_of(one) > BATCH_BYTES) &&
        !run_settle(runner))
        return false;
    write_step(runner, one);
    write_follow_up(runner, one);
    runner->has_batch = true;
    runner->batch_line = number;
    return true;
}

static bool send_alone(run *runner, const step *one, kind what)
{
    if (!run_settle(runner))
        return false;
    if (one->is_raw) {
        side_write_step(&runner->sides[0], one);
        side_write_step(&runner->sides[1], one);
        if (runner->trace)
            step_show(runner->trace, one);
    } else {
        write_step(runner, one);
        write_follow_up(runner, one);
    }
    flush_line(runner, one->line);
    /* A wait that is over by itself must be before anything else happens. */
    if (what == KIND_BLOCKING && step_waits_shortly(one))
        return settle_line(runner, one->line);
    return run_settle_all(runner, true);
}

static bool send_to_subscriber(run *runner, const step *one)
{
    if (!run_settle(runner))
        return false;
    side_write_step(&runner->sides[0], one);
    side_write_step(&runner->sides[1], one);
    if (runner->trace)
        step_show(runner->trace, one);
    return run_compare_messages(runner, one->line, one);
}

/* The order in which SWAPDB serves those who wait for different keys is that of a hash table. */
static bool is_unordered(const run *runner)
{
    unsigned number;
    size_t keys = 0;
    for (number = 0; number < LINE_RAW; number++) {
        const line_state *line = &runner->lines[number];
        if (is_waiting(line))
            keys += (size_t)line->unanswered[line->first]->argc - 1;
    }
    return keys > 2;
}

static bool send_step(run *runner, const step *one)
{
    kind what = one->is_raw ? KIND_BARRIER : kind_of(one);
    line_state *line = &runner->lines[one->line];
    runner->sent++;
    runner->commands++;
    if (what == KIND_REFUSED || one->line >= LINE_LISTENER)
        return true;
    if (one->line >= LINE_SUBSCRIBER)
        return send_to_subscriber(runner, one);
    if (what == KIND_RANDOM || what == KIND_POP || what == KIND_SCAN || what == KIND_ADD_NOW ||
        what == KIND_SET_ID) {
        if (!run_settle(runner))
            return false;
        return is_waiting(line) || line->is_in_multi || run_special(runner, what, one);
    }
    if (!one->is_raw && word_is(one->argv[0], "SWAPDB")) {
        if (!run_settle(runner))
            return false;
        if (is_unordered(runner))
            return true;
    }
    if (is_waiting(line) && !(runner->has_batch && runner->batch_line == one->line)) {
        /* It waits for a key. A few more commands may queue up behind, but none whose time would
           begin at a moment that is nobody's. */
        if (line->count - line->first > 2 || step_waits_shortly(one))
            return true;
        return send_alone(runner, one, KIND_BARRIER);
    }
    if (what == KIND_PLAIN)
        return send_plain(runner, one);
    return send_alone(runner, one, what);
}

bool run_compare_all_messages(run *runner, const step *last)
{
    unsigned line;
    if (!run_settle(runner))
        return false;
    for (line = LINE_SUBSCRIBER; line <= LINE_LISTENER; line++)
        if (!run_compare_messages(runner, line, last))
            return false;
    return true;
}

static bool send_all(run *runner, const step *const *list, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++) {
        if (!send_step(runner, list[i]))
            return false;
        if ((i + 1) % STEPS_A_LISTEN == 0 && !run_compare_all_messages(runner, list[i]))
            return false;
        if ((i + 1) % STEPS_A_STATE == 0 && !run_compare_state(runner))
            return false;
    }
    return run_compare_all_messages(runner, count ? list[count - 1] : NULL) &&
           run_compare_state(runner);
}

/* That a server died says more than how it was noticed. */
static void note_death(run *runner)
{
    size_t i;
    for (i = 0; i < 2; i++) {
        char how[64];
        if (!side_was_lost(&runner->sides[i], how, sizeof how))
            continue;
        snprintf(runner->found.where, sizeof runner->found.where, "%s: the server %s",
                 runner->sides[i].name, how);
        return;
    }
}

static bool start_and_send(run *runner, const step *const *list, size_t count)
{
    size_t i;
    difference_clear(&runner->found);
    arena_clear(&runner->memory);
    runner->has_batch = false;
    runner->sent = 0;
    for (i = 0; i < LINE_COUNT; i++)
        line_forget(&runner->lines[i]);
    for (i = 0; i < 2; i++)
        if (!side_reset(&runner->sides[i]))
            return run_differs(runner, i ? "our server does not start" : "redis does not start",
                               NULL, nothing, nothing);
    return send_all(runner, list, count);
}

bool run_steps(run *runner, const step *const *list, size_t count)
{
    if (start_and_send(runner, list, count))
        return true;
    note_death(runner);
    return false;
}
