/* The native forms of the scripts of locks (scripts.h). */

#include "server/script_run.h"

/* Places of the arguments. */
#define SCI_LOCK_ARG_TOKEN 0
#define SCI_LOCK_ARG_LIFE 1
#define SCI_LOCK_ARG_WHO 2
#define SCI_LOCK_ARG_PLACE 3
#define SCI_LOCK_ARG_FAIR 4
#define SCI_UNLOCK_ARG_WHO 1
#define SCI_UNLOCK_ARG_FAIR 2
#define SCI_UNLOCK_ARG_CHANNEL 3

#define SCI_FENCE_LIFE_MS 86400000

/* The script's own command on a key, with an argument or two. */
static bool sci_script_do_on(sci_script_run *run, const char *name, size_t key, sc_slice first,
                             sc_slice second)
{
    const sc_slice words[4] = {sc_text(name), run->keys[key], first, second};
    return sci_script_do(run, words, second.data ? 4 : 3);
}

/* The string in the answer, or the only one in its array; NULL: none. */
static sc_slice sci_script_answered(const sci_script_run *run)
{
    sc_slice answer = sci_bytes_slice(&run->answer);
    size_t at = answer.len > 4 && answer.data[0] == '*' ? 4 : 0; /* "*1" and a line's end */
    if (answer.len < at + 4 || answer.data[at] != '$' || answer.data[at + 1] == '-')
        return sc_bytes(NULL, 0);
    const char *end = (const char *)memchr(answer.data + at, '\r', answer.len - at);
    return sc_bytes(end + 2, answer.len - 2 - (size_t)(end + 2 - answer.data));
}

/* The first in the queue, copied to `first`, which is empty when there is none. */
static bool sci_script_first(sci_script_run *run, sci_bytes *first)
{
    sci_bytes_reset(first, SIZE_MAX);
    if (!sci_script_do_on(run, "ZRANGE", SCI_SCRIPT_QUEUE, sc_text("0"), sc_text("0")))
        return false;
    if (sci_bytes_append(first, sci_script_answered(run)) == SC_OK)
        return true;
    sci_answer_no_memory(run->call);
    return false;
}

static bool sci_script_leave_queue(sci_script_run *run, sc_slice who)
{
    return sci_script_do_on(run, "ZREM", SCI_SCRIPT_QUEUE, who, sc_bytes(NULL, 0)) &&
           sci_script_do_on(run, "HDEL", SCI_SCRIPT_ALIVE, who, sc_bytes(NULL, 0));
}

/* Those before us in the queue whose place has ended leave it. `*left_ms`: how long that of the first
   other one stands, or -1. */
static bool sci_script_pass_dead(sci_script_run *run, sci_bytes *first, int64_t *left_ms)
{
    for (;;) {
        int64_t until_ms = 0;
        if (!sci_script_first(run, first))
            return false;
        sc_slice who = sci_bytes_slice(first);
        if (!who.len || sci_slice_equal(who, run->args[SCI_LOCK_ARG_WHO]))
            return true;
        if (!sci_script_do_on(run, "HGET", SCI_SCRIPT_ALIVE, who, sc_bytes(NULL, 0)))
            return false;
        if (sci_text_to_i64(sci_script_answered(run), &until_ms) && until_ms > run->call->now_ms) {
            *left_ms = until_ms - run->call->now_ms;
            return true;
        }
        if (!sci_script_leave_queue(run, who))
            return false;
    }
}

static void sci_script_grant(sci_script_run *run)
{
    char text[SCI_I64_TEXT_BYTES];
    char life[SCI_I64_TEXT_BYTES];
    sc_slice last;
    int64_t fence = 0;
    int64_t now_us = run->call->now_ms * 1000;
    if (!sci_script_get(run, SCI_SCRIPT_FENCE, &last))
        return;
    if (!sci_text_to_i64(last, &fence))
        fence = 0;
    fence = sci_max_i64(fence + 1, now_us);
    int64_t life_ms = (fence - now_us + 999) / 1000 + SCI_FENCE_LIFE_MS;
    if (sci_script_set(run, SCI_SCRIPT_FENCE, sc_bytes(text, sci_i64_to_text(fence, text)),
                       sc_bytes(life, sci_i64_to_text(life_ms, life))) &&
        sci_script_set(run, SCI_SCRIPT_LEASE, run->args[SCI_LOCK_ARG_TOKEN],
                       run->args[SCI_LOCK_ARG_LIFE]) &&
        sci_script_leave_queue(run, run->args[SCI_LOCK_ARG_WHO])) {
        sci_answer_array(run->call, 2);
        sci_answer_i64(run->call, 1);
        sci_answer_i64(run->call, fence);
    }
}

/* The key lives at least so long. */
static bool sci_script_keep(sci_script_run *run, size_t key, sc_slice life)
{
    int64_t life_ms = 0;
    (void)sci_text_to_i64(life, &life_ms);
    return sci_script_ttl_ms(run, key) >= life_ms ||
           sci_script_do_on(run, "PEXPIRE", key, life, sc_bytes(NULL, 0));
}

/* Behind all others, also when they came in the same moment. */
static bool sci_script_last_place(sci_script_run *run, int64_t *place)
{
    const sc_slice words[5] = {sc_text("ZRANGE"), run->keys[SCI_SCRIPT_QUEUE], sc_text("-1"),
                               sc_text("-1"), sc_text("WITHSCORES")};
    int64_t last = 0;
    if (!sci_script_do(run, words, 5))
        return false;
    sc_slice answer = sci_bytes_slice(&run->answer);
    size_t at = answer.len - 2; /* the score is the last line */
    while (at > 0 && answer.data[at - 1] != '\n')
        at--;
    if (!sci_text_to_i64(sc_bytes(answer.data + at, answer.len - 2 - at), &last))
        last = 0;
    *place = sci_max_i64(run->call->now_ms * 1000, last + 1);
    return true;
}

static bool sci_script_queue_up(sci_script_run *run)
{
    char since[SCI_I64_TEXT_BYTES];
    char until[SCI_I64_TEXT_BYTES];
    sc_slice who = run->args[SCI_LOCK_ARG_WHO];
    sc_slice place = run->args[SCI_LOCK_ARG_PLACE];
    int64_t place_ms = 0;
    int64_t since_us = 0;
    int64_t now_ms = run->call->now_ms;
    if (sci_slice_equal(place, sc_text("0")))
        return true;
    (void)sci_text_to_i64(place, &place_ms);
    if (!sci_script_last_place(run, &since_us))
        return false;
    const sc_slice words[5] = {sc_text("ZADD"), run->keys[SCI_SCRIPT_QUEUE], sc_text("NX"),
                               sc_bytes(since, sci_i64_to_text(since_us, since)), who};
    return sci_script_do(run, words, 5) &&
           sci_script_do_on(run, "HSET", SCI_SCRIPT_ALIVE, who,
                            sc_bytes(until, sci_i64_to_text(now_ms + place_ms, until))) &&
           sci_script_keep(run, SCI_SCRIPT_QUEUE, place) &&
           sci_script_keep(run, SCI_SCRIPT_ALIVE, place);
}

SCI_PRIVATE void sci_script_lock(sci_script_run *run)
{
    sci_bytes first;
    sc_slice holder;
    int64_t left_ms = -1;
    bool is_free = true;
    if (!sci_script_get(run, SCI_SCRIPT_LEASE, &holder))
        return;
    if (holder.data) {
        left_ms = sci_script_ttl_ms(run, SCI_SCRIPT_LEASE);
        is_free = sci_slice_equal(holder, run->args[SCI_LOCK_ARG_TOKEN]);
    } else if (sci_slice_equal(run->args[SCI_LOCK_ARG_FAIR], sc_text("1"))) {
        sci_bytes_init(&first, &run->call->server->memory);
        bool is_known = sci_script_pass_dead(run, &first, &left_ms);
        sci_bytes_free(&first);
        if (!is_known)
            return;
        is_free = left_ms < 0;
    }
    if (is_free) {
        sci_script_grant(run);
    } else if (sci_script_queue_up(run)) {
        sci_answer_array(run->call, 2);
        sci_answer_i64(run->call, 0);
        sci_answer_i64(run->call, left_ms);
    }
}

/* Tell the first in the queue; `*is_heard` if somebody listens there. */
static bool sci_script_wake(sci_script_run *run, sc_slice who, bool *is_heard)
{
    const sc_slice pieces[2] = {run->args[SCI_UNLOCK_ARG_CHANNEL], who};
    sci_bytes channel;
    if (!sci_script_join(run, &channel, pieces, 2))
        return false;
    bool is_told = sci_script_publish(run, sci_bytes_slice(&channel), sc_bytes(NULL, 0));
    sci_bytes_free(&channel);
    *is_heard = !sci_slice_equal(sci_bytes_slice(&run->answer), sc_text(":0\r\n"));
    return is_told;
}

static bool sci_script_wake_next(sci_script_run *run, sci_bytes *first)
{
    bool keeps_place = sci_slice_equal(run->args[SCI_UNLOCK_ARG_FAIR], sc_text("1"));
    for (bool is_heard = false; !is_heard;) {
        if (!sci_script_first(run, first))
            return false;
        sc_slice who = sci_bytes_slice(first);
        if (!who.len)
            return true;
        if (!sci_script_wake(run, who, &is_heard))
            return false;
        if (!(is_heard && keeps_place) && !sci_script_leave_queue(run, who))
            return false;
    }
    return true;
}

SCI_PRIVATE void sci_script_unlock(sci_script_run *run)
{
    const sc_slice del[2] = {sc_text("DEL"), run->keys[SCI_SCRIPT_LEASE]};
    sci_bytes first;
    sc_slice holder;
    if (!sci_script_get(run, SCI_SCRIPT_LEASE, &holder))
        return;
    bool is_free = !holder.data;
    bool is_ours = holder.data && sci_slice_equal(holder, run->args[SCI_LOCK_ARG_TOKEN]);
    if (!sci_script_leave_queue(run, run->args[SCI_UNLOCK_ARG_WHO]) ||
        (is_ours && !sci_script_do(run, del, 2)))
        return;
    sci_bytes_init(&first, &run->call->server->memory);
    if (!(is_free || is_ours) || sci_script_wake_next(run, &first))
        sci_answer_i64(run->call, is_ours);
    sci_bytes_free(&first);
}
