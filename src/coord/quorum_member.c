/* Members of a quorum lock's contender: one server each, one op at a time. */

#include "base/error.h"
#include "client/conn.h"
#include "coord/quorum.h"
#include "resp/writer.h"

/* Callbacks of the member's loop: what follows from an op or a timer. */

static void sci_quorum_member_run(sci_post *post)
{
    sci_quorum_member *member = SCI_CONTAINER(post, sci_quorum_member, post);
    sc_quorum *quorum = member->quorum;
    sci_mutex_lock(&quorum->mutex);
    member->is_posted = false;
    sci_mutex_unlock(&quorum->mutex);
    sci_quorum_advance(quorum);
    sci_quorum_tell(quorum);
    sci_quorum_release_reference(quorum);
}

/* The client and the mutex are locked. */
static void sci_quorum_member_post(sci_quorum_member *member)
{
    if (member->is_posted)
        return;
    member->is_posted = true;
    member->quorum->references++;
    sci_loop_post(&member->client->loop, &member->post);
}

static void sci_quorum_member_fire(sci_timer *timer)
{
    sci_quorum_member *member = SCI_CONTAINER(timer, sci_quorum_member, timer);
    sc_quorum *quorum = member->quorum;
    sci_mutex_lock(&quorum->mutex);
    if (!quorum->is_closed)
        sci_quorum_member_post(member);
    sci_mutex_unlock(&quorum->mutex);
}

SCI_PRIVATE void sci_quorum_call(sc_quorum *quorum)
{
    for (size_t i = 0; i < quorum->count; i++) {
        sci_quorum_member *member = &quorum->members[i];
        if (sci_client_enter(member->client) != SC_OK)
            continue;
        sci_mutex_lock(&quorum->mutex);
        sci_quorum_member_post(member);
        sci_mutex_unlock(&quorum->mutex);
        sci_client_leave(member->client);
        return;
    }
}

SCI_PRIVATE void sci_quorum_member_init(sci_quorum_member *member, sc_quorum *quorum,
                                        sc_client *client)
{
    memset(member, 0, sizeof *member);
    member->quorum = quorum;
    member->client = client;
    member->timer.fire = sci_quorum_member_fire;
    member->post.run = sci_quorum_member_run;
    sci_list_init(&member->post.link);
}

/* Ends of ops. The client is locked. */

/* The op's reference is the post's from here on: the last one is never given back with a client
   locked. */
static void sci_quorum_member_done(sci_quorum_member *member, sc_status status, int64_t first,
                                   int64_t second)
{
    sc_quorum *quorum = member->quorum;
    sci_mutex_lock(&quorum->mutex);
    if (status == SC_OK && member->doing == SCI_QUORUM_LOCK && quorum->config.restart_ms > 0 &&
        member->known_connects != member->client->stats.connects)
        status = sc_fail(SC_ERR_DISCONNECTED, "the server may have been restarted meanwhile");
    sci_quorum_hear(member, status, first, second);
    sci_quorum_member_post(member);
    quorum->references--;
    sci_mutex_unlock(&quorum->mutex);
}

static void sci_quorum_evaluated(sci_eval_op *eval)
{
    sci_quorum_member *member = SCI_CONTAINER(eval, sci_quorum_member, eval);
    int64_t numbers[2] = {0, 0};
    sc_status status = sci_op_result(&eval->op);
    const sc_item *answer = status == SC_OK ? sc_reply_item(eval->op.view) : NULL;
    if (status == SC_OK)
        status = sc_item_check(answer);
    if (status == SC_OK && sc_item_kind(answer) == SC_ARRAY) {
        status = sc_item_integer(sc_item_at(answer, 0), &numbers[0]);
        (void)sc_item_integer(sc_item_at(answer, 1), &numbers[1]);
    } else if (status == SC_OK) {
        status = sci_eval_integer(eval, &numbers[0]);
    }
    sci_quorum_member_done(member, status, numbers[0], numbers[1]);
}

/* When was the server started? */

static sc_status sci_quorum_encode_look(sci_op *op, sci_bytes *out)
{
    const sc_slice words[2] = {sc_text("INFO"), sc_text("server")};
    (void)op;
    return sci_write_command(out, words, 2);
}

/* The number behind a name in INFO's text. */
static bool sci_quorum_find_number(sc_slice text, const char *name, int64_t *number)
{
    size_t len = strlen(name);
    for (size_t at = 0; at + len < text.len; at++) {
        size_t end = at + len;
        if (memcmp(text.data + at, name, len) != 0)
            continue;
        while (end < text.len && text.data[end] >= '0' && text.data[end] <= '9')
            end++;
        return sci_text_to_i64(sc_bytes(text.data + at + len, end - at - len), number);
    }
    return false;
}

static void sci_quorum_looked(sci_op *op)
{
    sci_quorum_member *member = SCI_CONTAINER(op, sci_quorum_member, look);
    sc_client *client = member->client;
    int64_t up_s = 0;
    int64_t fit_ns = 0;
    sc_status status = sci_op_result(op);
    if (status == SC_OK)
        status = sc_item_check(sc_reply_item(op->view));
    if (status == SC_OK && !sci_quorum_find_number(sc_item_slice(sc_reply_item(op->view)),
                                                   "uptime_in_seconds:", &up_s))
        status = sc_fail(SC_ERR_UNSUPPORTED, "INFO does not tell uptime_in_seconds (restart_ms)");
    if (status == SC_OK) {
        int64_t left_ms = member->quorum->config.restart_ms - sci_min_i64(up_s, INT32_MAX) * 1000;
        fit_ns = sci_quorum_now_ns(member->quorum) + left_ms * SCI_NS_PER_MS;
        member->known_connects = client->stats.connects;
    }
    sci_quorum_member_done(member, status, fit_ns, 0);
}

/* Beginnings. The client and the mutex are locked. */

static int64_t sci_quorum_member_deadline_ns(const sci_quorum_member *member)
{
    return sci_loop_now_ns(&member->client->loop) +
           member->quorum->config.server_ms * SCI_NS_PER_MS;
}

static sci_op *sci_quorum_prepare_look(sci_quorum_member *member)
{
    memset(&member->look, 0, sizeof member->look);
    member->look.encode = sci_quorum_encode_look;
    member->look.complete = sci_quorum_looked;
    member->look.replies = 1;
    return &member->look;
}

static sci_op *sci_quorum_prepare_eval(sci_quorum_member *member, sci_quorum_step step)
{
    const sc_quorum *quorum = member->quorum;
    size_t args = 2;
    int64_t life_ms = quorum->life_ms;
    member->args[0] = sc_bytes(member->token, SCI_TOKEN_LEN);
    member->args[1] = sc_bytes(member->life_text, sci_i64_to_text(life_ms, member->life_text));
    if (step == SCI_QUORUM_LOCK) {
        member->args[2] = sc_text("");
        member->args[3] = sc_text("0");
        member->args[4] = sc_text("0");
        args = 5;
    } else if (step == SCI_QUORUM_FENCE) {
        member->args[1] =
            sc_bytes(member->fence_text, sci_i64_to_text(quorum->fence, member->fence_text));
    } else if (step == SCI_QUORUM_LEAVE) {
        member->args[1] = sc_text("");
        member->args[2] = sc_text("0");
        member->args[3] = quorum->wake;
        args = 4;
    }
    bool has_four = step == SCI_QUORUM_LOCK || step == SCI_QUORUM_LEAVE;
    sci_eval_init(&member->eval, &quorum->scripts[step], quorum->keys, has_four ? 4 : 3,
                  member->args, args, sci_quorum_evaluated);
    /* The token tells a repeat from another's taking; but a server that was restarted in between
       has forgotten more than the first copy. */
    member->eval.op.is_idempotent = step != SCI_QUORUM_LOCK || quorum->config.restart_ms == 0;
    return &member->eval.op;
}

/* May the question be sent? `*step`: what has to come first. False: not to this server. */
static bool sci_quorum_member_may_ask(sci_quorum_member *member, sci_quorum_step *step)
{
    const sc_quorum *quorum = member->quorum;
    if (quorum->config.restart_ms == 0)
        return true;
    if (!member->known_connects || member->known_connects != member->client->stats.connects) {
        *step = SCI_QUORUM_LOOK;
        member->wants = SCI_QUORUM_LOCK;
        return true;
    }
    if (sci_quorum_now_ns(quorum) >= member->fit_ns)
        return true;
    member->vote = SCI_QUORUM_FAILED;
    sci_quorum_fail_member(
        member, sc_fail(SC_ERR_UNSUPPORTED, "a server was started not long ago (restart_ms)"));
    return false;
}

/* What it is to do next, as an op; NULL: nothing. */
static sci_op *sci_quorum_member_begin(sci_quorum_member *member)
{
    sc_quorum *quorum = member->quorum;
    sci_quorum_step step = member->leaves ? SCI_QUORUM_LEAVE : member->wants;
    if (member->doing != SCI_QUORUM_NOTHING || step == SCI_QUORUM_NOTHING)
        return NULL;
    if (member->leaves)
        member->leaves = false;
    else
        member->wants = SCI_QUORUM_NOTHING;
    if (step == SCI_QUORUM_LOCK && !sci_quorum_member_may_ask(member, &step))
        return NULL;
    if (step == SCI_QUORUM_LOCK) {
        member->round = quorum->round;
        memcpy(member->token, quorum->token, sizeof member->token);
    }
    if (step == SCI_QUORUM_LOCK || step == SCI_QUORUM_RENEW)
        member->ends_ns = sci_quorum_now_ns(quorum) + quorum->life_ms * SCI_NS_PER_MS;
    member->renewal = quorum->renewal;
    member->doing = step;
    quorum->references++;
    sci_op *op = step == SCI_QUORUM_LOOK ? sci_quorum_prepare_look(member)
                                         : sci_quorum_prepare_eval(member, step);
    op->deadline_ns = sci_quorum_member_deadline_ns(member);
    return op;
}

/* The client is locked: start what it wants, and have its loop look again in time. */
static void sci_quorum_member_start(sci_quorum_member *member)
{
    sc_quorum *quorum = member->quorum;
    sc_client *client = member->client;
    sci_mutex_lock(&quorum->mutex);
    bool was_open = member->vote == SCI_QUORUM_OPEN;
    sci_op *op = sci_quorum_member_begin(member);
    bool is_refused = was_open && member->vote == SCI_QUORUM_FAILED;
    int64_t due_ns = sci_quorum_due_ns(quorum);
    if (is_refused)
        sci_quorum_member_post(member);
    sci_mutex_unlock(&quorum->mutex);
    if (due_ns == SCI_NEVER)
        sci_timer_cancel(&client->loop, &member->timer);
    else
        sci_timer_arm(&client->loop, &member->timer,
                      sci_loop_now_ns(&client->loop) + due_ns - sci_quorum_now_ns(quorum));
    if (op || due_ns != SCI_NEVER)
        sci_client_want_thread(client);
    if (op)
        sci_conn_submit(client->shared, op, sci_loop_now_ns(&client->loop));
}

/* Its client is closed. */
static void sci_quorum_member_give_up(sci_quorum_member *member)
{
    sc_quorum *quorum = member->quorum;
    sci_mutex_lock(&quorum->mutex);
    if (member->wants != SCI_QUORUM_NOTHING || member->leaves) {
        sci_quorum_fail_member(member, SC_ERR_CLOSED);
        member->vote = member->renewed = member->left = SCI_QUORUM_FAILED;
    }
    member->wants = SCI_QUORUM_NOTHING;
    member->leaves = false;
    sci_mutex_unlock(&quorum->mutex);
}

/* A token for the next round, by the first client's source of random numbers, which that client's
   lock guards. */
static void sci_quorum_draw(sc_quorum *quorum)
{
    char token[SCI_TOKEN_LEN];
    sc_client *client = quorum->members[0].client;
    sci_mutex_lock(&quorum->mutex);
    bool is_there = *quorum->next_token != '\0';
    sci_mutex_unlock(&quorum->mutex);
    if (is_there)
        return;
    sci_loop_lock(&client->loop);
    sci_mutex_lock(&quorum->mutex);
    quorum->drawn = sci_token_draw(client, token);
    if (quorum->drawn == SC_OK)
        memcpy(quorum->next_token, token, sizeof token);
    sci_mutex_unlock(&quorum->mutex);
    sci_loop_unlock(&client->loop);
}

SCI_PRIVATE void sci_quorum_advance(sc_quorum *quorum)
{
    sci_quorum_draw(quorum);
    sci_mutex_lock(&quorum->mutex);
    sci_quorum_decide(quorum, sci_quorum_now_ns(quorum));
    bool is_due = quorum->losses > 0 || !sci_list_is_empty(&quorum->ended);
    sci_mutex_unlock(&quorum->mutex);
    bool has_lost_clients = false;
    for (size_t i = 0; i < quorum->count; i++) {
        sci_quorum_member *member = &quorum->members[i];
        if (sci_client_enter(member->client) == SC_OK) {
            sci_quorum_member_start(member);
            sci_client_leave(member->client);
        } else {
            sci_quorum_member_give_up(member);
            has_lost_clients = true;
        }
    }
    if (has_lost_clients) { /* the others may be too few: that is decided once more */
        sci_mutex_lock(&quorum->mutex);
        sci_quorum_decide(quorum, sci_quorum_now_ns(quorum));
        is_due = is_due || quorum->losses > 0 || !sci_list_is_empty(&quorum->ended);
        sci_mutex_unlock(&quorum->mutex);
    }
    if (is_due)
        sci_quorum_call(quorum);
}
