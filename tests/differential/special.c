/* Commands that answer by chance or by the clock, or in pages. */
#include "run.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SCAN_PAGES 100000
#define CLOCK_TOLERANCE_MS 60000

static reply keep(run *runner, reply one)
{
    word kept = arena_word(&runner->memory, one.at, one.len);
    reply copy;
    copy.at = kept.at;
    copy.len = kept.len;
    return copy;
}

static reply ask(run *runner, size_t which, unsigned line, const word *words, size_t count)
{
    return keep(runner, side_ask_words(&runner->sides[which], line, words, count));
}

static reply ask_step(run *runner, size_t which, const step *one)
{
    return ask(runner, which, one->line, one->argv, one->argc);
}

static word text_word(const char *text)
{
    word made;
    made.at = text;
    made.len = strlen(text);
    return made;
}

static bool has_element(const reply *list, size_t count, reply one)
{
    size_t i;
    for (i = 0; i < count; i++)
        if (reply_equal(list[i], one))
            return true;
    return false;
}

static bool are_distinct(const reply *list, size_t count)
{
    size_t i;
    for (i = 1; i < count; i++)
        if (has_element(list, i, list[i]))
            return false;
    return true;
}

/* --- Reading by chance */

/* What the choice was made from. */
static size_t source_of(const step *one, word words[5])
{
    static const struct {
        const char *name;
        const char *source;
    } sources[] = {
        {"srandmember", "SMEMBERS"}, {"hrandfield", "HGETALL"}, {"zrandmember", "ZRANGE"}};
    size_t i;
    if (word_is(one->argv[0], "randomkey")) {
        words[0] = text_word("KEYS");
        words[1] = text_word("*");
        return 2;
    }
    for (i = 0; i < 3; i++)
        if (word_is(one->argv[0], sources[i].name))
            words[0] = text_word(sources[i].source);
    words[1] = one->argv[1];
    words[2] = text_word("0");
    words[3] = text_word("-1");
    words[4] = text_word("WITHSCORES");
    return word_is(one->argv[0], "zrandmember") ? 5 : 2;
}

/* Do these all come from the source? `stride` 2: the source has pairs; `is_paired`: the choice too.
 */
static bool is_chosen_from(const reply *chosen, size_t count, const reply *source, size_t size,
                           size_t stride, bool is_paired)
{
    size_t i;
    size_t k;
    for (i = 0; i < count; i += is_paired ? 2 : 1) {
        bool is_there = false;
        for (k = 0; k + stride <= size && !is_there; k += stride)
            is_there = reply_equal(chosen[i], source[k]) &&
                       (!is_paired || (i + 1 < count && reply_equal(chosen[i + 1], source[k + 1])));
        if (!is_there)
            return false;
    }
    return true;
}

static bool compare_choice(run *runner, const step *one, const reply replies[2], reply source)
{
    int64_t wanted = 1;
    size_t counts[2] = {1, 1};
    size_t size;
    reply *from = reply_elements(source, &size);
    reply *lists[2];
    bool has_array = *replies[0].at == '*';
    bool is_paired = one->argc > 3;
    size_t stride =
        word_is(one->argv[0], "hrandfield") || word_is(one->argv[0], "zrandmember") ? 2 : 1;
    bool is_right = *replies[0].at == *replies[1].at;
    size_t i;
    for (i = 0; i < 2; i++)
        lists[i] = has_array ? reply_elements(replies[i], &counts[i]) : NULL;
    if (one->argc > 2)
        word_to_i64(one->argv[2], &wanted);
    is_right = is_right && counts[0] == counts[1];
    is_right = is_right && is_chosen_from(has_array ? lists[1] : &replies[1], counts[1], from, size,
                                          stride, is_paired);
    if (is_right && has_array && wanted > 0 && !is_paired)
        is_right = are_distinct(lists[1], counts[1]);
    free(from);
    free(lists[0]);
    free(lists[1]);
    return is_right || run_differs(runner, "the choice by chance", one, replies[0], replies[1]);
}

static bool run_random(run *runner, const step *one)
{
    reply sources[2];
    reply replies[2];
    word words[5];
    size_t count;
    size_t i;
    if (one->argc < 2 && !word_is(one->argv[0], "randomkey"))
        count = 0;
    else
        count = source_of(one, words);
    for (i = 0; i < 2; i++) {
        if (count > 0)
            sources[i] = ask(runner, i, one->line, words, count);
        replies[i] = ask_step(runner, i, one);
    }
    if (count == 0 || reply_is_error(replies[0]) || reply_is_error(replies[1]) ||
        reply_is_nil(replies[0]) || reply_is_nil(replies[1]))
        return run_compare(runner, MODE_EXACT, one, replies[0], replies[1]);
    if (!reply_matches(count == 5                     ? MODE_EXACT
                       : word_is(words[0], "HGETALL") ? MODE_PAIRS
                                                      : MODE_UNORDERED,
                       sources[0], sources[1]))
        return run_differs(runner, "what a choice is made from", one, sources[0], sources[1]);
    runner->compared++;
    return compare_choice(runner, one, replies, sources[1]);
}

/* --- SPOP */

static bool pop_the_same(run *runner, const step *one, reply popped, reply members)
{
    size_t count = 1;
    size_t size;
    reply *source = reply_elements(members, &size);
    reply *list = *popped.at == '*' ? reply_elements(popped, &count) : NULL;
    const reply *chosen = list ? list : &popped;
    int64_t wanted = 1;
    word *words = (word *)arena_take(&runner->memory, (count + 2) * sizeof *words);
    bool is_right = is_chosen_from(chosen, count, source, size, 1, false) &&
                    are_distinct(chosen, count) && (list != NULL) == (one->argc > 2);
    size_t i;
    char expected[32];
    reply removed;
    if (one->argc > 2 && (!word_to_i64(one->argv[2], &wanted) || (int64_t)count != wanted))
        is_right = false;
    words[0] = text_word("SREM");
    words[1] = one->argv[1];
    for (i = 0; i < count; i++)
        words[i + 2] = reply_text(chosen[i]);
    snprintf(expected, sizeof expected, ":%zu\r\n", count);
    removed = ask(runner, 0, one->line, words, count + 2);
    free(source);
    free(list);
    if (!is_right || !reply_is(removed, expected))
        return run_differs(runner, "the choice by chance", one, removed, popped);
    return run_compare_popped(runner, one);
}

static bool run_pop(run *runner, const step *one)
{
    word words[2];
    reply sources[2];
    reply popped;
    size_t size = 0;
    size_t count = 1;
    size_t i;
    if (one->argc >= 2) {
        words[0] = text_word("SMEMBERS");
        words[1] = one->argv[1];
        for (i = 0; i < 2; i++)
            sources[i] = ask(runner, i, one->line, words, 2);
        if (!reply_matches(MODE_UNORDERED, sources[0], sources[1]))
            return run_differs(runner, "what a choice is made from", one, sources[0], sources[1]);
        free(reply_elements(sources[1], &size));
    }
    if (!run_compare_all_messages(runner, one))
        return false;
    popped = ask_step(runner, 1, one);
    if (popped.len > 0 && *popped.at == '*')
        free(reply_elements(popped, &count));
    if (popped.len == 0 || reply_is_error(popped) || reply_is_nil(popped) || count == 0 ||
        count >= size)
        return run_compare(runner, MODE_UNORDERED, one, ask_step(runner, 0, one), popped);
    runner->compared++;
    return pop_the_same(runner, one, popped, sources[1]);
}

/* --- SCAN and its like */

typedef struct scanned {
    reply *all; /* owned */
    size_t count;
    size_t cap;
} scanned;

static void scanned_add(scanned *list, const reply *elements, size_t count, bool is_paired)
{
    size_t i;
    if (list->count + count > list->cap) {
        list->cap = (list->cap + count) * 2;
        list->all = (reply *)realloc(list->all, list->cap * sizeof *list->all);
        if (!list->all)
            die("no memory");
    }
    for (i = 0; i + is_paired < count; i += is_paired ? 2 : 1) {
        list->all[list->count] = elements[i];
        if (is_paired)
            list->all[list->count].len += elements[i + 1].len;
        list->count++;
    }
}

/* Walk to the end; the first reply, if that is no page. */
static reply scan(run *runner, size_t which, const step *one, scanned *list)
{
    static const reply nothing = {NULL, 0};
    size_t at = word_is(one->argv[0], "scan") ? 1 : 2;
    bool is_paired = word_is(one->argv[0], "hscan") || word_is(one->argv[0], "zscan");
    word *words = (word *)arena_take(&runner->memory, one->argc * sizeof *words);
    size_t pages;
    memcpy(words, one->argv, one->argc * sizeof *words);
    for (pages = 0; pages < SCAN_PAGES; pages++) {
        reply page = ask(runner, which, one->line, words, one->argc);
        size_t count;
        size_t size;
        reply *parts = reply_elements(page, &count);
        reply *elements = count == 2 ? reply_elements(parts[1], &size) : NULL;
        bool is_end;
        if (!elements) {
            free(parts);
            return page;
        }
        scanned_add(list, elements, size, is_paired);
        words[at] = reply_text(parts[0]);
        is_end = word_is(words[at], "0");
        free(parts);
        free(elements);
        if (is_end)
            return nothing;
    }
    die("%s: a scan does not end", runner->sides[which].name);
}

static void sort_once(scanned *list)
{
    size_t kept = 0;
    size_t i;
    replies_sort(list->all, list->count);
    for (i = 0; i < list->count; i++)
        if (kept == 0 || !reply_equal(list->all[i], list->all[kept - 1]))
            list->all[kept++] = list->all[i];
    list->count = kept;
}

static bool run_scan(run *runner, const step *one)
{
    static const reply nothing = {NULL, 0};
    scanned lists[2];
    reply replies[2];
    bool is_equal = true;
    size_t i;
    memset(lists, 0, sizeof lists);
    for (i = 0; i < 2; i++) {
        replies[i] = scan(runner, i, one, &lists[i]);
        sort_once(&lists[i]);
    }
    if (replies[0].len > 0 || replies[1].len > 0)
        is_equal = run_compare(runner, MODE_EXACT, one, replies[0], replies[1]);
    for (i = 0; is_equal && (i < lists[0].count || i < lists[1].count); i++) {
        reply a = i < lists[0].count ? lists[0].all[i] : nothing;
        reply b = i < lists[1].count ? lists[1].all[i] : nothing;
        runner->compared++;
        if (!reply_equal(a, b))
            is_equal = run_differs(runner, "what a scan finds", one, a, b);
    }
    free(lists[0].all);
    free(lists[1].all);
    return is_equal;
}

/* --- XADD with the clock's id */

/* A fresh stream's id is the time; behind a later id it is that one's successor. */
static bool is_plausible_id(word id)
{
    struct timespec now;
    long long now_ms;
    char copy[64];
    clock_gettime(CLOCK_REALTIME, &now);
    now_ms = (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    if (id.len == 0 || id.len >= sizeof copy)
        return false;
    memcpy(copy, id.at, id.len);
    copy[id.len] = '\0';
    return strtoull(copy, NULL, 10) > (unsigned long long)(now_ms - CLOCK_TOLERANCE_MS);
}

static bool run_add_now(run *runner, const step *one)
{
    reply added = ask_step(runner, 1, one);
    word *words = (word *)arena_take(&runner->memory, one->argc * sizeof *words);
    size_t i;
    memcpy(words, one->argv, one->argc * sizeof *words);
    if (added.len > 0 && *added.at == '$' && !reply_is_nil(added)) {
        for (i = 2; i + 1 < one->argc && !word_is(words[i], "*"); i++)
            continue;
        if (i == 2 && !is_plausible_id(reply_text(added)))
            return run_differs(runner, "the id from the clock", one, ask_step(runner, 0, one),
                               added);
        if (word_is(words[i], "*") && is_plausible_id(reply_text(added)))
            words[i] = reply_text(added);
    }
    return run_compare(runner, MODE_EXACT, one, ask(runner, 0, one->line, words, one->argc),
                       added) &&
           run_settle_all(runner, false);
}

/* --- XSETID */

/* The ms and the number of "ms" or "ms-number". False: it is no id. */
static bool read_id(word text, uint64_t id[2])
{
    size_t part = 0;
    size_t i;
    id[0] = id[1] = 0;
    for (i = 0; i < text.len; i++) {
        if (text.at[i] == '-' && part == 0)
            part = 1;
        else if (text.at[i] >= '0' && text.at[i] <= '9')
            id[part] = id[part] * 10 + (uint64_t)(text.at[i] - '0');
        else
            return false;
    }
    return text.len > 0;
}

/* The id of the last entry that a stream had. False: there is no stream. */
static bool last_id_of(run *runner, const step *one, uint64_t id[2])
{
    word words[3];
    size_t count;
    reply *fields;
    bool is_known = false;
    size_t i;
    words[0] = text_word("XINFO");
    words[1] = text_word("STREAM");
    words[2] = one->argv[1];
    (void)ask(runner, 1, one->line, words, 3); /* so that both tell of a key that is not there */
    fields = reply_elements(ask(runner, 0, one->line, words, 3), &count);
    for (i = 0; fields && i + 1 < count; i++)
        if (word_is(reply_text(fields[i]), "last-generated-id"))
            is_known = read_id(reply_text(fields[i + 1]), id);
    free(fields);
    return is_known;
}

/* An id is not set back: redis then gets entries that are out of order behind deleted ones, and
   trims by MINID up to the first of those (meant.c). */
static bool run_set_id(run *runner, const step *one)
{
    uint64_t last[2];
    uint64_t wanted[2];
    if (one->argc > 2 && last_id_of(runner, one, last) && read_id(one->argv[2], wanted) &&
        (wanted[0] < last[0] || (wanted[0] == last[0] && wanted[1] < last[1])))
        return true;
    return run_compare(runner, MODE_EXACT, one, ask_step(runner, 0, one), ask_step(runner, 1, one));
}

bool run_special(run *runner, kind what, const step *one)
{
    switch (what) {
    case KIND_RANDOM:
        return run_random(runner, one);
    case KIND_POP:
        return run_pop(runner, one);
    case KIND_SET_ID:
        return run_set_id(runner, one);
    case KIND_SCAN:
        return one->argc < (word_is(one->argv[0], "scan") ? 2 : 3)
                   ? run_compare(runner, MODE_EXACT, one, ask_step(runner, 0, one),
                                 ask_step(runner, 1, one))
                   : run_scan(runner, one);
    default:
        return run_add_now(runner, one);
    }
}
