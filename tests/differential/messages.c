/* What subscribers' lines bring: replies and messages, in order, until a PING with a token is
   answered. Invalidations of tracked keys are compared as sets: when they are sent, and how many in
   a message, is the server's affair. */
#include "run.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define INVALIDATION "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n"

typedef struct messages {
    reply *all; /* owned */
    size_t count;
    size_t cap;
    bool has_ended; /* before the token */
} messages;

static void messages_add(messages *list, reply one)
{
    if (list->count == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 64;
        list->all = (reply *)realloc(list->all, list->cap * sizeof *list->all);
        if (!list->all)
            die("no memory");
    }
    list->all[list->count++] = one;
}

static reply keep(run *runner, reply one)
{
    word kept = arena_word(&runner->memory, one.at, one.len);
    reply copy;
    copy.at = kept.at;
    copy.len = kept.len;
    return copy;
}

/* All that comes up to the token, copied. False: the token does not come. */
static bool collect(run *runner, size_t which, unsigned line, const char *token, messages *list)
{
    side *server = &runner->sides[which];
    char plain[96];
    char subscribed[128];
    snprintf(plain, sizeof plain, "$%zu\r\n%s\r\n", strlen(token), token);
    snprintf(subscribed, sizeof subscribed, "*2\r\n$4\r\npong\r\n%s", plain);
    for (;;) {
        reply next = side_peek(server, line);
        bool wants[2];
        if (next.len == 0 && server->lines[line].has_ended) {
            list->has_ended = true;
            return true;
        }
        if (next.len == 0) {
            wants[which] = true;
            wants[!which] = false;
            if (!sides_wait(runner->sides, line, wants, runner->patience_ms))
                return false;
            continue;
        }
        side_take(server, line, next);
        if (reply_is(next, plain) || reply_is(next, subscribed))
            return true;
        messages_add(list, keep(runner, next));
    }
}

/* Move the keys of invalidations from one list to another, each once, sorted. */
static void part_invalidations(messages *list, messages *keys)
{
    size_t kept = 0;
    size_t i;
    for (i = 0; i < list->count; i++) {
        size_t count;
        size_t k;
        reply payload = list->all[i];
        reply *elements;
        if (!reply_begins(payload, INVALIDATION)) {
            list->all[kept++] = payload;
            continue;
        }
        payload.at += strlen(INVALIDATION);
        payload.len -= strlen(INVALIDATION);
        elements = reply_elements(payload, &count);
        if (!elements)
            messages_add(keys, payload);
        for (k = 0; k < count; k++)
            messages_add(keys, elements[k]);
        free(elements);
    }
    list->count = kept;
    replies_sort(keys->all, keys->count);
    for (kept = i = 0; i < keys->count; i++)
        if (kept == 0 || !reply_equal(keys->all[i], keys->all[kept - 1]))
            keys->all[kept++] = keys->all[i];
    keys->count = kept;
}

/* UNSUBSCRIBE of all goes in any order, so the numbers of what is left are put aside. */
static void forget_what_is_left(messages *list)
{
    size_t i;
    for (i = 0; i < list->count; i++) {
        reply *one = &list->all[i];
        if (reply_begins(*one, "*3\r\n$11\r\nunsubscribe\r\n") ||
            reply_begins(*one, "*3\r\n$12\r\npunsubscribe\r\n") ||
            reply_begins(*one, "*3\r\n$12\r\nsunsubscribe\r\n"))
            while (one->len > 0 && one->at[one->len - 1] != ':')
                one->len--;
    }
}

static const char *run_of(reply one)
{
    static const char *const heads[] = {
        "*3\r\n$11\r\nunsubscribe\r\n", "*3\r\n$12\r\npunsubscribe\r\n",
        "*3\r\n$12\r\nsunsubscribe\r\n", "*4\r\n$8\r\npmessage\r\n"};
    size_t i;
    for (i = 0; i < sizeof heads / sizeof heads[0]; i++)
        if (reply_begins(one, heads[i]))
            return heads[i];
    return NULL;
}

/* One message by two patterns: the same channel and payload. */
static bool are_of_one_run(reply a, reply b, bool all_unsubscribed)
{
    size_t counts[2];
    reply *parts[2];
    bool is_same;
    const char *head = run_of(a);
    if (!head || head != run_of(b))
        return false;
    if (*(head + 1) == '3')
        return all_unsubscribed;
    parts[0] = reply_elements(a, &counts[0]);
    parts[1] = reply_elements(b, &counts[1]);
    is_same = reply_equal(parts[0][2], parts[1][2]) && reply_equal(parts[0][3], parts[1][3]);
    free(parts[0]);
    free(parts[1]);
    return is_same;
}

/* What comes in no order: the channels that are left, and the patterns that match. */
static void sort_runs(messages *list, bool all_unsubscribed)
{
    size_t begin = 0;
    size_t i;
    for (i = 1; i <= list->count; i++) {
        if (i < list->count && are_of_one_run(list->all[begin], list->all[i], all_unsubscribed))
            continue;
        replies_sort(list->all + begin, i - begin);
        begin = i;
    }
}

static bool is_unsubscribing_all(const step *last)
{
    return last && last->argc == 1 &&
           (word_is(last->argv[0], "unsubscribe") || word_is(last->argv[0], "punsubscribe") ||
            word_is(last->argv[0], "sunsubscribe"));
}

static bool same_messages(run *runner, const messages *a, const messages *b, const char *where,
                          const step *last)
{
    static const reply nothing = {NULL, 0};
    size_t i;
    for (i = 0; i < a->count || i < b->count; i++) {
        reply left = i < a->count ? a->all[i] : nothing;
        reply right = i < b->count ? b->all[i] : nothing;
        runner->compared++;
        if (!reply_equal(left, right))
            return run_differs(runner, where, last, left, right);
    }
    return true;
}

static void trace_messages(const run *runner, const messages lists[2])
{
    size_t i;
    size_t side_number;
    if (!runner->trace)
        return;
    for (side_number = 0; side_number < 2; side_number++) {
        for (i = 0; i < lists[side_number].count; i++) {
            fprintf(runner->trace, "    %s: ", runner->sides[side_number].name);
            reply_print(runner->trace, lists[side_number].all[i]);
            fputc('\n', runner->trace);
        }
    }
}

static bool compare_lists(run *runner, unsigned line, messages lists[2], const step *last)
{
    static const reply nothing = {NULL, 0};
    messages keys[2];
    bool is_equal;
    size_t i;
    memset(keys, 0, sizeof keys);
    trace_messages(runner, lists);
    for (i = 0; i < 2; i++) {
        if (is_unsubscribing_all(last))
            forget_what_is_left(&lists[i]);
        sort_runs(&lists[i], is_unsubscribing_all(last));
    }
    part_invalidations(&lists[0], &keys[0]);
    part_invalidations(&lists[1], &keys[1]);
    is_equal =
        same_messages(runner, &lists[0], &lists[1],
                      line == LINE_LISTENER ? "a keyspace notification" : "what a subscriber gets",
                      last) &&
        same_messages(runner, &keys[0], &keys[1], "the keys that tracking invalidates", last);
    free(keys[0].all);
    free(keys[1].all);
    if (is_equal && lists[0].has_ended != lists[1].has_ended)
        return run_differs(runner, "one side has closed the connection", last, nothing, nothing);
    return is_equal && (!lists[0].has_ended || run_reopen(runner, line));
}

static bool compare_messages(run *runner, unsigned line, const step *last,
                             void (*change)(reply *one))
{
    const char *words[3] = {"PING", NULL, NULL};
    char token[48];
    messages lists[2];
    bool is_equal = true;
    size_t i;
    size_t k;
    static const reply nothing = {NULL, 0};
    memset(lists, 0, sizeof lists);
    snprintf(token, sizeof token, "token%llu", (unsigned long long)++runner->tokens);
    words[1] = token;
    for (i = 0; i < 2; i++) {
        side_write_words(&runner->sides[i], line, words);
        side_flush(&runner->sides[i], line);
    }
    for (i = 0; i < 2 && is_equal; i++)
        if (!collect(runner, i, line, token, &lists[i]))
            is_equal = run_differs(runner, i ? "our server gives no reply" : "redis gives no reply",
                                   last, nothing, nothing);
    for (k = 0; change && k < lists[0].count; k++)
        change(&lists[0].all[k]);
    is_equal = is_equal && compare_lists(runner, line, lists, last);
    free(lists[0].all);
    free(lists[1].all);
    return is_equal;
}

bool run_compare_messages(run *runner, unsigned line, const step *last)
{
    return compare_messages(runner, line, last, NULL);
}

/* The copy is the tester's, so it may be changed. */
static void change_word(reply *one, const char *from, const char *to)
{
    size_t len = strlen(from);
    size_t at;
    for (at = 0; at + len <= one->len; at++)
        if (memcmp(one->at + at, from, len) == 0)
            memcpy((char *)(uintptr_t)one->at + at, to, len);
}

static void removed_to_popped(reply *one)
{
    change_word(one, "$4\r\nsrem\r\n", "$4\r\nspop\r\n");
    change_word(one, "__:srem\r\n", "__:spop\r\n");
}

bool run_compare_popped(run *runner, const step *last)
{
    unsigned line;
    for (line = LINE_SUBSCRIBER; line <= LINE_LISTENER; line++)
        if (!compare_messages(runner, line, last, removed_to_popped))
            return false;
    return true;
}
