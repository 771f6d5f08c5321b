/* The native forms of the scripts of locks (scripts.h). */

#include "server/script_run.h"

/* Places of the arguments. */
#define SCI_LOCK_ARG_TOKEN 0
#define SCI_LOCK_ARG_LIFE 1
#define SCI_LOCK_ARG_WHO 2
#define SCI_LOCK_ARG_PLACE 3
#define SCI_LOCK_ARG_FAIR 4
#define SCI_SHARE_ARG_LIMIT 5
#define SCI_SHARE_ARG_SHIFT 6
#define SCI_SHARE_ARG_CHANNEL 7
#define SCI_RENEW_ARG_SHIFT 2
#define SCI_UNLOCK_ARG_WHO 1
#define SCI_UNLOCK_ARG_FAIR 2
#define SCI_UNLOCK_ARG_CHANNEL 3

#define SCI_FENCE_LIFE_MS 86400000

SCI_PRIVATE bool sci_script_do_on(sci_script_run *run, const char *name, size_t key, sc_slice first,
                                  sc_slice second)
{
    const sc_slice words[4] = {sc_text(name), run->keys[key], first, second};
    return sci_script_do(run, words, second.data ? 4 : 3);
}

SCI_PRIVATE sc_slice sci_script_answered(const sci_script_run *run)
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

/* Those before us in the queue whose place has ended leave it. `*left_ms`: how long that of the
   first other one stands, or -1. */
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

static bool sci_script_keep_fence(sci_script_run *run, int64_t fence)
{
    char text[SCI_I64_TEXT_BYTES];
    char life[SCI_I64_TEXT_BYTES];
    int64_t ahead_us = fence - run->call->now_ms * 1000;
    int64_t life_ms = (sci_max_i64(ahead_us, 0) + 999) / 1000 + SCI_FENCE_LIFE_MS;
    return sci_script_set(run, SCI_SCRIPT_FENCE_KEY, sc_bytes(text, sci_i64_to_text(fence, text)),
                          sc_bytes(life, sci_i64_to_text(life_ms, life)));
}

/* The next fencing token, kept; who asks again has the last one. */
static bool sci_script_count_fence(sci_script_run *run, bool again, int64_t *fence)
{
    sc_slice last;
    int64_t now_us = run->call->now_ms * 1000;
    if (!sci_script_get(run, SCI_SCRIPT_FENCE_KEY, &last))
        return false;
    if (!sci_text_to_i64(last, fence))
        *fence = 0;
    if (again && *fence != 0)
        return true;
    *fence = sci_max_i64(*fence + 1, now_us);
    return sci_script_keep_fence(run, *fence);
}

SCI_PRIVATE void sci_script_fence(sci_script_run *run)
{
    sc_slice text;
    int64_t least = 0;
    int64_t fence;
    if (!sci_script_get(run, SCI_SCRIPT_LEASE, &text))
        return;
    bool is_ours = text.data && sci_slice_equal(text, run->args[0]);
    if (!is_ours) {
        sci_answer_i64(run->call, 0);
        return;
    }
    if (!sci_script_get(run, SCI_SCRIPT_FENCE_KEY, &text))
        return;
    if (!sci_text_to_i64(text, &fence))
        fence = 0;
    (void)sci_text_to_i64(run->args[1], &least);
    if (fence >= least || sci_script_keep_fence(run, least))
        sci_answer_i64(run->call, 1);
}

static void sci_script_answer_pair(sci_script_run *run, int64_t first, int64_t second)
{
    sci_answer_array(run->call, 2);
    sci_answer_i64(run->call, first);
    sci_answer_i64(run->call, second);
}

static void sci_script_grant(sci_script_run *run, bool again)
{
    int64_t fence;
    if (sci_script_count_fence(run, again, &fence) &&
        sci_script_set(run, SCI_SCRIPT_LEASE, run->args[SCI_LOCK_ARG_TOKEN],
                       run->args[SCI_LOCK_ARG_LIFE]) &&
        sci_script_leave_queue(run, run->args[SCI_LOCK_ARG_WHO]))
        sci_script_answer_pair(run, 1, fence);
}

/* The key lives at least so long. */
static bool sci_script_keep(sci_script_run *run, size_t key, sc_slice life)
{
    int64_t life_ms = 0;
    (void)sci_text_to_i64(life, &life_ms);
    return sci_script_ttl_ms(run, key) >= life_ms ||
           sci_script_do_on(run, "PEXPIRE", key, life, sc_bytes(NULL, 0));
}

/* The last line of an answer, such as a score. */
static sc_slice sci_script_last_line(sc_slice answer)
{
    size_t at = answer.len - 2;
    while (at > 0 && answer.data[at - 1] != '\n')
        at--;
    return sc_bytes(answer.data + at, answer.len - 2 - at);
}

/* Behind all others, also when they came in the same moment. */
static bool sci_script_last_place(sci_script_run *run, int64_t *place)
{
    const sc_slice words[5] = {sc_text("ZRANGE"), run->keys[SCI_SCRIPT_QUEUE], sc_text("-1"),
                               sc_text("-1"), sc_text("WITHSCORES")};
    int64_t last = 0;
    if (!sci_script_do(run, words, 5))
        return false;
    if (!sci_text_to_i64(sci_script_last_line(sci_bytes_slice(&run->answer)), &last))
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

/* Nothing is in the way but those who came before, if they are asked. */
static bool sci_script_pass(sci_script_run *run, int64_t *left_ms)
{
    sci_bytes first;
    if (!sci_slice_equal(run->args[SCI_LOCK_ARG_FAIR], sc_text("1")))
        return true;
    sci_bytes_init(&first, &run->call->server->memory);
    bool is_known = sci_script_pass_dead(run, &first, left_ms);
    sci_bytes_free(&first);
    return is_known;
}

SCI_PRIVATE void sci_script_lock(sci_script_run *run)
{
    sc_slice holder;
    int64_t left_ms = -1;
    bool is_free = true;
    if (!sci_script_get(run, SCI_SCRIPT_LEASE, &holder))
        return;
    if (holder.data) {
        left_ms = sci_script_ttl_ms(run, SCI_SCRIPT_LEASE);
        is_free = sci_slice_equal(holder, run->args[SCI_LOCK_ARG_TOKEN]);
    } else {
        if (!sci_script_pass(run, &left_ms))
            return;
        is_free = left_ms < 0;
    }
    if (is_free)
        sci_script_grant(run, holder.data != NULL);
    else if (sci_script_queue_up(run))
        sci_script_answer_pair(run, 0, left_ms);
}

/* Tell the first in the queue; `*is_heard` if somebody listens there. */
static bool sci_script_wake(sci_script_run *run, sc_slice before, sc_slice who, bool *is_heard)
{
    const sc_slice pieces[2] = {before, who};
    sci_bytes channel;
    if (!sci_script_join(run, &channel, pieces, 2))
        return false;
    bool is_told = sci_script_publish(run, sci_bytes_slice(&channel), sc_bytes(NULL, 0));
    sci_bytes_free(&channel);
    *is_heard = !sci_slice_equal(sci_bytes_slice(&run->answer), sc_text(":0\r\n"));
    return is_told;
}

static bool sci_script_wake_first(sci_script_run *run, sc_slice channel, bool keeps_place,
                                  sci_bytes *first)
{
    for (bool is_heard = false; !is_heard;) {
        if (!sci_script_first(run, first))
            return false;
        sc_slice who = sci_bytes_slice(first);
        if (!who.len)
            return true;
        if (!sci_script_wake(run, channel, who, &is_heard))
            return false;
        if (!(is_heard && keeps_place) && !sci_script_leave_queue(run, who))
            return false;
    }
    return true;
}

static bool sci_script_wake_next(sci_script_run *run, sc_slice channel, sc_slice fair)
{
    sci_bytes first;
    sci_bytes_init(&first, &run->call->server->memory);
    bool is_done = sci_script_wake_first(run, channel, sci_slice_equal(fair, sc_text("1")), &first);
    sci_bytes_free(&first);
    return is_done;
}

SCI_PRIVATE void sci_script_unlock(sci_script_run *run)
{
    const sc_slice *args = run->args;
    const sc_slice del[2] = {sc_text("DEL"), run->keys[SCI_SCRIPT_LEASE]};
    sc_slice holder;
    if (!sci_script_get(run, SCI_SCRIPT_LEASE, &holder))
        return;
    bool is_free = !holder.data;
    bool is_ours = holder.data && sci_slice_equal(holder, args[SCI_LOCK_ARG_TOKEN]);
    if (!sci_script_leave_queue(run, args[SCI_UNLOCK_ARG_WHO]) ||
        (is_ours && !sci_script_do(run, del, 2)))
        return;
    if (!(is_free || is_ours) ||
        sci_script_wake_next(run, args[SCI_UNLOCK_ARG_CHANNEL], args[SCI_UNLOCK_ARG_FAIR]))
        sci_answer_i64(run->call, is_ours);
}

/* Elections that share their key with another library's. */

#define SCI_LEADER_FIELD "leader"
/* A token, and ":". */
#define SCI_LEADER_NAME_AT 33

/* The name behind the token. */
static sc_slice sci_script_leader_name(const sci_script_run *run)
{
    sc_slice token = run->args[SCI_LOCK_ARG_TOKEN];
    size_t at = sci_min_size(token.len, SCI_LEADER_NAME_AT);
    return sc_bytes(token.data + at, token.len - at);
}

/* `*is_ours`: the key has our name, and the token is ours. `*is_free`: there is none. */
static bool sci_script_leads(sci_script_run *run, bool *is_ours, bool *is_free)
{
    sc_slice holder;
    if (!sci_script_get(run, SCI_SCRIPT_LEASE, &holder))
        return false;
    *is_free = !holder.data;
    *is_ours = holder.data && sci_slice_equal(holder, sci_script_leader_name(run));
    if (!*is_ours)
        return true;
    if (!sci_script_do_on(run, "HGET", SCI_SCRIPT_ALIVE, sc_text(SCI_LEADER_FIELD),
                          sc_bytes(NULL, 0)))
        return false;
    sc_slice token = sci_script_answered(run);
    *is_ours = token.data && sci_slice_equal(token, run->args[SCI_LOCK_ARG_TOKEN]);
    return true;
}

static void sci_script_grant_lead(sci_script_run *run, bool again)
{
    const sc_slice *args = run->args;
    int64_t fence;
    if (sci_script_count_fence(run, again, &fence) &&
        sci_script_set(run, SCI_SCRIPT_LEASE, sci_script_leader_name(run),
                       args[SCI_LOCK_ARG_LIFE]) &&
        sci_script_do_on(run, "HSET", SCI_SCRIPT_ALIVE, sc_text(SCI_LEADER_FIELD),
                         args[SCI_LOCK_ARG_TOKEN]) &&
        sci_script_keep(run, SCI_SCRIPT_ALIVE, args[SCI_LOCK_ARG_LIFE]) &&
        sci_script_leave_queue(run, args[SCI_LOCK_ARG_WHO]))
        sci_script_answer_pair(run, 1, fence);
}

SCI_PRIVATE void sci_script_lead(sci_script_run *run)
{
    int64_t left_ms = -1;
    bool is_ours;
    bool is_free;
    if (!sci_script_leads(run, &is_ours, &is_free))
        return;
    if (is_free || is_ours) {
        sci_script_grant_lead(run, is_ours);
        return;
    }
    left_ms = sci_script_ttl_ms(run, SCI_SCRIPT_LEASE);
    if (sci_script_queue_up(run))
        sci_script_answer_pair(run, 0, left_ms);
}

SCI_PRIVATE void sci_script_unlead(sci_script_run *run)
{
    const sc_slice *args = run->args;
    const sc_slice del[2] = {sc_text("DEL"), run->keys[SCI_SCRIPT_LEASE]};
    bool is_ours;
    bool is_free;
    if (!sci_script_leads(run, &is_ours, &is_free) ||
        !sci_script_leave_queue(run, args[SCI_UNLOCK_ARG_WHO]))
        return;
    if (is_ours && !(sci_script_do(run, del, 2) &&
                     sci_script_do_on(run, "HDEL", SCI_SCRIPT_ALIVE, sc_text(SCI_LEADER_FIELD),
                                      sc_bytes(NULL, 0))))
        return;
    if (!(is_free || is_ours) ||
        sci_script_wake_next(run, args[SCI_UNLOCK_ARG_CHANNEL], args[SCI_UNLOCK_ARG_FAIR]))
        sci_answer_i64(run->call, is_ours);
}

SCI_PRIVATE void sci_script_renew_lead(sci_script_run *run)
{
    sc_slice life = run->args[SCI_LOCK_ARG_LIFE];
    bool is_ours;
    bool is_free;
    if (!sci_script_leads(run, &is_ours, &is_free))
        return;
    if (!is_ours || (sci_script_keep(run, SCI_SCRIPT_ALIVE, life) &&
                     sci_script_do_on(run, "PEXPIRE", SCI_SCRIPT_LEASE, life, sc_bytes(NULL, 0))))
        sci_answer_i64(run->call, is_ours);
}

/* Locks with several holders. */

SCI_PRIVATE int64_t sci_script_counted(const sci_script_run *run)
{
    int64_t number = 0;
    sc_slice answer = sci_bytes_slice(&run->answer);
    (void)sci_text_to_i64(sc_bytes(answer.data + 1, answer.len - 3), &number);
    return number;
}

/* The number that an argument is. */
static int64_t sci_script_arg_i64(const sci_script_run *run, size_t at)
{
    int64_t number = 0;
    (void)sci_text_to_i64(run->args[at], &number);
    return number;
}

/* Our token's lease ends in `life`, less the shift. */
static bool sci_script_hold_share(sci_script_run *run, sc_slice life, int64_t shift_ms)
{
    char score[SCI_I64_TEXT_BYTES];
    int64_t life_ms = 0;
    (void)sci_text_to_i64(life, &life_ms);
    size_t len = sci_i64_to_text(run->call->now_ms + life_ms - shift_ms, score);
    return sci_script_do_on(run, "ZADD", SCI_SCRIPT_LEASE, sc_bytes(score, len),
                            run->args[SCI_LOCK_ARG_TOKEN]) &&
           sci_script_keep(run, SCI_SCRIPT_LEASE, life);
}

/* How many hold it after those whose leases have ended are gone, and what the holder whose lease
   ends first leaves: `*left_ms`, or -1 when it is not in our way. */
static bool sci_script_count_holders(sci_script_run *run, int64_t *count, int64_t *left_ms)
{
    char score[SCI_I64_TEXT_BYTES];
    int64_t shift_ms = sci_script_arg_i64(run, SCI_SHARE_ARG_SHIFT);
    int64_t now_ms = run->call->now_ms;
    int64_t ends_ms = 0;
    const sc_slice end = sc_bytes(score, sci_i64_to_text(now_ms - shift_ms, score));
    const sc_slice range[5] = {sc_text("ZRANGE"), run->keys[SCI_SCRIPT_LEASE], sc_text("0"),
                               sc_text("0"), sc_text("WITHSCORES")};
    const sc_slice card[2] = {sc_text("ZCARD"), run->keys[SCI_SCRIPT_LEASE]};
    if (!sci_script_do_on(run, "ZREMRANGEBYSCORE", SCI_SCRIPT_LEASE, sc_text("-inf"), end) ||
        !sci_script_do(run, card, 2))
        return false;
    *count = sci_script_counted(run);
    if (!sci_script_do(run, range, 5))
        return false;
    sc_slice answer = sci_bytes_slice(&run->answer);
    const char *line = answer.len > 8 ? (const char *)memchr(answer.data + 5, '\n', answer.len - 5)
                                      : NULL; /* behind "*2", a line's end, and "$n" */
    bool is_alone = line && line[1] == 'w';
    if (*count >= sci_script_arg_i64(run, SCI_SHARE_ARG_LIMIT) || is_alone) {
        (void)sci_text_to_i64(sci_script_last_line(answer), &ends_ms);
        *left_ms = ends_ms + shift_ms - now_ms;
    }
    return true;
}

static void sci_script_grant_share(sci_script_run *run, int64_t count)
{
    const sc_slice *args = run->args;
    int64_t fence;
    if (!sci_script_count_fence(run, false, &fence) ||
        !sci_script_hold_share(run, args[SCI_LOCK_ARG_LIFE],
                               sci_script_arg_i64(run, SCI_SHARE_ARG_SHIFT)) ||
        !sci_script_leave_queue(run, args[SCI_LOCK_ARG_WHO]))
        return;
    if (count + 1 >= sci_script_arg_i64(run, SCI_SHARE_ARG_LIMIT) ||
        sci_script_wake_next(run, args[SCI_SHARE_ARG_CHANNEL], args[SCI_LOCK_ARG_FAIR]))
        sci_script_answer_pair(run, 1, fence);
}

/* `*is_ours`: our token is among the holders. */
static bool sci_script_has_share(sci_script_run *run, bool *is_ours)
{
    if (!sci_script_do_on(run, "ZSCORE", SCI_SCRIPT_LEASE, run->args[SCI_LOCK_ARG_TOKEN],
                          sc_bytes(NULL, 0)))
        return false;
    *is_ours = sci_script_answered(run).data != NULL;
    return true;
}

SCI_PRIVATE void sci_script_share(sci_script_run *run)
{
    int64_t count;
    int64_t left_ms = INT64_MIN; /* nothing is in the way */
    bool is_ours = true;
    if (!sci_script_count_holders(run, &count, &left_ms))
        return;
    if (left_ms == INT64_MIN && !sci_script_pass(run, &left_ms))
        return;
    if (left_ms != INT64_MIN && !sci_script_has_share(run, &is_ours))
        return;
    if (is_ours)
        sci_script_grant_share(run, count);
    else if (sci_script_queue_up(run))
        sci_script_answer_pair(run, 0, left_ms);
}

SCI_PRIVATE void sci_script_unshare(sci_script_run *run)
{
    const sc_slice *args = run->args;
    if (!sci_script_do_on(run, "ZREM", SCI_SCRIPT_LEASE, args[SCI_LOCK_ARG_TOKEN],
                          sc_bytes(NULL, 0)))
        return;
    int64_t was_ours = sci_script_counted(run);
    if (sci_script_leave_queue(run, args[SCI_UNLOCK_ARG_WHO]) &&
        sci_script_wake_next(run, args[SCI_UNLOCK_ARG_CHANNEL], args[SCI_UNLOCK_ARG_FAIR]))
        sci_answer_i64(run->call, was_ours);
}

SCI_PRIVATE void sci_script_renew_share(sci_script_run *run)
{
    bool is_ours;
    if (!sci_script_has_share(run, &is_ours))
        return;
    if (!is_ours || sci_script_hold_share(run, run->args[SCI_LOCK_ARG_LIFE],
                                          sci_script_arg_i64(run, SCI_RENEW_ARG_SHIFT)))
        sci_answer_i64(run->call, is_ours);
}
