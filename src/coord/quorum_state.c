/* What a quorum lock's contender decides. The mutex is held throughout. */

#include "base/error.h"
#include "coord/quorum.h"

static int64_t sci_quorum_sure_ns(int64_t life_ms)
{
    return (life_ms - SCI_LEASE_DRIFT_MS(life_ms)) * SCI_NS_PER_MS;
}

typedef struct sci_quorum_tally {
    size_t of[SCI_QUORUM_VOTES];
} sci_quorum_tally;

typedef enum sci_quorum_matter {
    SCI_QUORUM_ROUND,
    SCI_QUORUM_RENEWAL,
    SCI_QUORUM_FAREWELL
} sci_quorum_matter;

static sci_quorum_tally sci_quorum_count(const sc_quorum *quorum, sci_quorum_matter matter)
{
    sci_quorum_tally tally;
    memset(&tally, 0, sizeof tally);
    for (size_t i = 0; i < quorum->count; i++) {
        const sci_quorum_member *member = &quorum->members[i];
        tally.of[matter == SCI_QUORUM_ROUND     ? member->vote
                 : matter == SCI_QUORUM_RENEWAL ? member->renewed
                                                : member->left]++;
    }
    return tally;
}

/* The servers' own failure, and how many did better. */
static sc_status sci_quorum_unanswered(const sc_quorum *quorum, size_t answered)
{
    sc_status status = quorum->failure < 0 ? quorum->failure : SC_ERR_TIMEOUT;
    return sc_fail(status,
                   "the quorum lock \"%.*s\": %zu of %zu servers answered, %zu are needed: %s",
                   (int)sci_min_size(quorum->keys[1].len, 100), quorum->keys[1].data, answered,
                   quorum->count, quorum->need, quorum->words);
}

SCI_PRIVATE void sci_quorum_fail_member(sci_quorum_member *member, sc_status status)
{
    sc_quorum *quorum = member->quorum;
    quorum->failure = status;
    (void)sci_format(quorum->words, sizeof quorum->words, "%s", sc_error_text());
}

/* Rounds. */

SCI_PRIVATE void sci_quorum_leave(sc_quorum *quorum)
{
    for (size_t i = 0; i < quorum->count; i++) {
        sci_quorum_member *member = &quorum->members[i];
        bool is_asked = member->round == quorum->round;
        member->wants = SCI_QUORUM_NOTHING;
        member->leaves = member->leaves || is_asked;
        member->left = is_asked ? SCI_QUORUM_OPEN : SCI_QUORUM_NO;
    }
    quorum->is_renewing = false;
    quorum->phase = SCI_QUORUM_RESTING;
}

static void sci_quorum_begin_round(sc_quorum *quorum, int64_t now_ns)
{
    if (!*quorum->next_token) {
        sci_quorum_end(quorum, &quorum->acquirer, quorum->drawn);
        return;
    }
    memcpy(quorum->token, quorum->next_token, sizeof quorum->token);
    *quorum->next_token = '\0';
    quorum->round++;
    quorum->phase = SCI_QUORUM_LOCKING;
    quorum->life_ms = quorum->next_life_ms = quorum->config.ttl_ms;
    quorum->until_ns = now_ns + sci_quorum_sure_ns(quorum->life_ms);
    quorum->failure = SC_OK;
    for (size_t i = 0; i < quorum->count; i++) {
        sci_quorum_member *member = &quorum->members[i];
        member->vote = SCI_QUORUM_OPEN;
        member->wants = SCI_QUORUM_LOCK;
        member->leaves = member->leaves || member->leave_at_ns; /* the token before first */
        member->leave_at_ns = 0;
    }
}

/* From a half to one and a half of the pause, at random: the token is. */
static int64_t sci_quorum_pause_ns(const sc_quorum *quorum)
{
    uint32_t draw = 0;
    int64_t pause_ns = quorum->config.retry_ms * SCI_NS_PER_MS;
    for (size_t i = 0; i < 4; i++)
        draw = draw * 16 + (uint32_t)(quorum->token[i] <= '9' ? quorum->token[i] - '0'
                                                              : quorum->token[i] - 'a' + 10);
    pause_ns *= quorum->failures > 4 ? 4 : quorum->failures > 2 ? 2 : 1;
    return pause_ns / 2 + pause_ns / 65536 * (int64_t)draw;
}

static void sci_quorum_fail_round(sc_quorum *quorum, int64_t now_ns)
{
    sci_quorum_tally votes = sci_quorum_count(quorum, SCI_QUORUM_ROUND);
    size_t answered = quorum->count - votes.of[SCI_QUORUM_OPEN] - votes.of[SCI_QUORUM_FAILED];
    sci_quorum_leave(quorum);
    quorum->failures++;
    quorum->next_round_ns = sci_min_i64(now_ns + sci_quorum_pause_ns(quorum), quorum->deadline_ns);
    if (now_ns < quorum->deadline_ns)
        return;
    if (answered < quorum->need)
        sci_quorum_end(quorum, &quorum->acquirer, sci_quorum_unanswered(quorum, answered));
    else
        sci_quorum_end(quorum, &quorum->acquirer,
                       sci_quorum_say(quorum, SC_HELD, "is another's (wait_ms)"));
}

/* A majority has granted. */
static void sci_quorum_fence(sc_quorum *quorum)
{
    quorum->phase = SCI_QUORUM_FENCING;
    quorum->fence = 0;
    for (size_t i = 0; i < quorum->count; i++)
        if (quorum->members[i].vote == SCI_QUORUM_GRANTED)
            quorum->fence = sci_max_i64(quorum->fence, quorum->members[i].fence);
    quorum->fence++;
    for (size_t i = 0; i < quorum->count; i++)
        if (quorum->members[i].vote == SCI_QUORUM_GRANTED)
            quorum->members[i].wants = SCI_QUORUM_FENCE;
}

static void sci_quorum_judge_round(sc_quorum *quorum, int64_t now_ns)
{
    sci_quorum_tally votes = sci_quorum_count(quorum, SCI_QUORUM_ROUND);
    size_t granted = votes.of[SCI_QUORUM_GRANTED] + votes.of[SCI_QUORUM_YES];
    bool is_over = now_ns >= quorum->until_ns || votes.of[SCI_QUORUM_OPEN] == 0;
    bool is_told =
        now_ns < quorum->deadline_ns || granted + votes.of[SCI_QUORUM_NO] >= quorum->need;
    if (now_ns >= quorum->until_ns || granted + votes.of[SCI_QUORUM_OPEN] < quorum->need) {
        if (is_over || is_told) /* else the end of all waiting says how many answered */
            sci_quorum_fail_round(quorum, now_ns);
    } else if (quorum->phase == SCI_QUORUM_LOCKING && granted >= quorum->need) {
        sci_quorum_fence(quorum);
    } else if (votes.of[SCI_QUORUM_YES] >= quorum->need) {
        quorum->phase = SCI_QUORUM_HELD;
        quorum->renew_at_ns = quorum->until_ns - quorum->life_ms * SCI_NS_PER_MS * 2 / 3;
        sci_quorum_end(quorum, &quorum->acquirer, SC_OK);
    }
}

/* Holding. */

static void sci_quorum_lose(sc_quorum *quorum, const char *why)
{
    quorum->is_lost = true;
    if (quorum->config.on_lost && !quorum->is_closed)
        quorum->losses++;
    sci_quorum_end(quorum, &quorum->extender, sci_quorum_say(quorum, SC_LOST, why));
    sci_quorum_leave(quorum);
}

SCI_PRIVATE bool sci_quorum_is_held(sc_quorum *quorum, int64_t now_ns)
{
    if (quorum->phase == SCI_QUORUM_HELD && now_ns >= quorum->until_ns)
        sci_quorum_lose(quorum, "was lost: its leases ended (ttl_ms)");
    return quorum->phase == SCI_QUORUM_HELD;
}

/* Not beyond the end: it may be another's by then. */
static void sci_quorum_renew(sc_quorum *quorum, int64_t now_ns)
{
    quorum->is_renewing = true;
    quorum->renewal++;
    quorum->life_ms = quorum->next_life_ms;
    quorum->renewed_ns = now_ns;
    quorum->until_ns = sci_min_i64(quorum->until_ns, now_ns + sci_quorum_sure_ns(quorum->life_ms));
    for (size_t i = 0; i < quorum->count; i++) {
        sci_quorum_member *member = &quorum->members[i];
        bool is_asked = member->round == quorum->round;
        member->renewed = is_asked ? SCI_QUORUM_OPEN : SCI_QUORUM_NO;
        member->wants = is_asked ? SCI_QUORUM_RENEW : SCI_QUORUM_NOTHING;
    }
}

static void sci_quorum_judge_renewal(sc_quorum *quorum, int64_t now_ns)
{
    sci_quorum_tally votes = sci_quorum_count(quorum, SCI_QUORUM_RENEWAL);
    if (votes.of[SCI_QUORUM_YES] >= quorum->need) {
        quorum->is_renewing = false;
        quorum->until_ns = quorum->renewed_ns + sci_quorum_sure_ns(quorum->life_ms);
        quorum->renew_at_ns = quorum->renewed_ns + quorum->life_ms * SCI_NS_PER_MS / 3;
        sci_quorum_end(quorum, &quorum->extender, SC_OK);
    } else if (votes.of[SCI_QUORUM_NO] > quorum->count - quorum->need) {
        sci_quorum_lose(quorum, "was lost on a majority of the servers");
    } else if (votes.of[SCI_QUORUM_YES] + votes.of[SCI_QUORUM_OPEN] < quorum->need) {
        quorum->is_renewing = false;
        quorum->renew_at_ns = now_ns + quorum->life_ms * SCI_NS_PER_MS / SCI_QUORUM_RETRY_PART;
        sci_quorum_end(
            quorum, &quorum->extender,
            sci_quorum_unanswered(quorum, votes.of[SCI_QUORUM_YES] + votes.of[SCI_QUORUM_NO]));
    }
}

static void sci_quorum_judge_holding(sc_quorum *quorum, int64_t now_ns)
{
    if (quorum->is_renewing)
        sci_quorum_judge_renewal(quorum, now_ns);
    if (!sci_quorum_is_held(quorum, now_ns) || quorum->is_renewing)
        return;
    if (quorum->extender || (!quorum->config.no_renewal && now_ns >= quorum->renew_at_ns))
        sci_quorum_renew(quorum, now_ns);
}

/* Leaving. */

static void sci_quorum_judge_farewell(sc_quorum *quorum)
{
    sci_quorum_tally votes = sci_quorum_count(quorum, SCI_QUORUM_FAREWELL);
    size_t answered = votes.of[SCI_QUORUM_YES] + votes.of[SCI_QUORUM_NO];
    if (votes.of[SCI_QUORUM_YES] >= quorum->need)
        sci_quorum_end(quorum, &quorum->releaser, SC_OK);
    else if (votes.of[SCI_QUORUM_OPEN] == 0)
        sci_quorum_end(quorum, &quorum->releaser,
                       answered >= quorum->need ? sci_quorum_say(quorum, SC_LOST, "was lost before")
                                                : sci_quorum_unanswered(quorum, answered));
}

static bool sci_quorum_is_idle(const sc_quorum *quorum)
{
    for (size_t i = 0; i < quorum->count; i++) {
        const sci_quorum_member *member = &quorum->members[i];
        if (member->doing != SCI_QUORUM_NOTHING || member->wants != SCI_QUORUM_NOTHING ||
            member->leaves)
            return false;
    }
    return true;
}

SCI_PRIVATE void sci_quorum_decide(sc_quorum *quorum, int64_t now_ns)
{
    if (quorum->phase == SCI_QUORUM_LOCKING || quorum->phase == SCI_QUORUM_FENCING)
        sci_quorum_judge_round(quorum, now_ns);
    if (quorum->phase == SCI_QUORUM_HELD)
        sci_quorum_judge_holding(quorum, now_ns);
    if (quorum->releaser)
        sci_quorum_judge_farewell(quorum);
    if (quorum->phase == SCI_QUORUM_RESTING && quorum->acquirer && !quorum->releaser &&
        now_ns >= quorum->next_round_ns)
        sci_quorum_begin_round(quorum, now_ns);
    if (quorum->closer && sci_quorum_is_idle(quorum))
        sci_quorum_end(quorum, &quorum->closer, SC_OK);
    for (size_t i = 0; i < quorum->count; i++) {
        sci_quorum_member *member = &quorum->members[i];
        if (!member->leave_at_ns || now_ns < member->leave_at_ns)
            continue;
        member->leave_at_ns = 0;
        member->leaves = true;
    }
}

SCI_PRIVATE int64_t sci_quorum_due_ns(const sc_quorum *quorum)
{
    int64_t due_ns = SCI_NEVER;
    if (quorum->is_closed)
        return due_ns;
    if (quorum->phase != SCI_QUORUM_RESTING)
        due_ns = quorum->until_ns;
    else if (quorum->acquirer && !quorum->releaser)
        due_ns = quorum->next_round_ns;
    if (quorum->phase == SCI_QUORUM_HELD && !quorum->is_renewing && !quorum->config.no_renewal)
        due_ns = sci_min_i64(due_ns, quorum->renew_at_ns);
    for (size_t i = 0; i < quorum->count; i++)
        if (quorum->members[i].leave_at_ns)
            due_ns = sci_min_i64(due_ns, quorum->members[i].leave_at_ns);
    return due_ns;
}

/* Members. */

static void sci_quorum_hear_vote(sci_quorum_member *member, sc_status status, int64_t is_granted,
                                 int64_t fence)
{
    const sc_quorum *quorum = member->quorum;
    if (member->round != quorum->round || quorum->phase == SCI_QUORUM_RESTING)
        return; /* it leaves */
    if (member->doing == SCI_QUORUM_FENCE) {
        member->vote = status != SC_OK ? SCI_QUORUM_FAILED
                       : is_granted    ? SCI_QUORUM_YES
                                       : SCI_QUORUM_NO;
        return;
    }
    member->fence = fence;
    member->vote = status != SC_OK ? SCI_QUORUM_FAILED
                   : is_granted    ? SCI_QUORUM_GRANTED
                                   : SCI_QUORUM_NO;
    if (member->vote == SCI_QUORUM_GRANTED && quorum->phase != SCI_QUORUM_LOCKING &&
        member->wants == SCI_QUORUM_NOTHING)
        member->wants = SCI_QUORUM_FENCE; /* it comes late, and is one more */
}

/* What had no answer is said again, as long as there can be a lease. */
static void sci_quorum_hear_farewell(sci_quorum_member *member, sc_status status, int64_t was_ours)
{
    const sc_quorum *quorum = member->quorum;
    int64_t now_ns = sci_quorum_now_ns(quorum);
    if (member->left == SCI_QUORUM_OPEN && member->round == quorum->round)
        member->left = status != SC_OK ? SCI_QUORUM_FAILED
                       : was_ours      ? SCI_QUORUM_YES
                                       : SCI_QUORUM_NO;
    if (status != SC_OK && now_ns < member->ends_ns && !quorum->is_closed &&
        member->wants == SCI_QUORUM_NOTHING)
        member->leave_at_ns = now_ns + quorum->life_ms * SCI_NS_PER_MS / SCI_QUORUM_RETRY_PART;
}

SCI_PRIVATE void sci_quorum_hear(sci_quorum_member *member, sc_status status, int64_t first,
                                 int64_t second)
{
    sc_quorum *quorum = member->quorum;
    if (status != SC_OK)
        sci_quorum_fail_member(member, status);
    switch (member->doing) {
    case SCI_QUORUM_LOOK:
        if (status == SC_OK)
            member->fit_ns = first;
        else if (member->wants == SCI_QUORUM_LOCK) {
            member->wants = SCI_QUORUM_NOTHING;
            member->vote = SCI_QUORUM_FAILED;
        }
        break;
    case SCI_QUORUM_LOCK:
    case SCI_QUORUM_FENCE:
        sci_quorum_hear_vote(member, status, first, second);
        break;
    case SCI_QUORUM_RENEW:
        if (member->renewal == quorum->renewal)
            member->renewed = status != SC_OK ? SCI_QUORUM_FAILED
                              : first         ? SCI_QUORUM_YES
                                              : SCI_QUORUM_NO;
        break;
    case SCI_QUORUM_LEAVE:
        sci_quorum_hear_farewell(member, status, first);
        break;
    default:
        break;
    }
    member->doing = SCI_QUORUM_NOTHING;
}
