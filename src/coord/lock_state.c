/* What a lock's contender does: asks, waits, holds, leaves. */

#include "coord/lock.h"

#include "base/error.h"
#include "base/number.h"
#include "client/conn.h"
#include "server/scripts.h"

static void sci_lock_ask(sc_lock *lock);

/* Ops. Each keeps the contender until it has ended. */

/* The scripts' tokens tell a repeat from another's doing, so each op may be sent again. */
static void sci_lock_submit(sc_lock *lock, sci_eval_op *eval, const sci_wish *wish,
                            int64_t deadline_ns)
{
    sc_client *client = lock->client;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    const sci_waiter *waiter = wish && !wish->is_async ? &wish->waiter : NULL;
    eval->op.deadline_ns = sci_min_i64(sci_client_deadline_ns(client, 0, now_ns), deadline_ns);
    eval->op.is_idempotent = true;
    eval->op.is_attended = waiter && !waiter->is_sleeping && !waiter->is_driving;
    lock->references++;
    sci_conn_submit(client->shared, &eval->op, now_ns);
}

/* A blocking call receives by itself. */
static void sci_wish_expect(sc_lock *lock, sci_wish *wish, sci_conn *conn)
{
    if (wish && !wish->is_async)
        sci_waiter_expect(lock->client, &wish->waiter, conn);
}

/* A server that runs no scripts (renamed commands, ACL) says so in an error of its own. */
static sc_status sci_lock_result(sci_eval_op *eval)
{
    sc_status status = sci_op_result(&eval->op);
    if (status != SC_OK)
        return status;
    status = sc_item_check(sc_reply_item(eval->op.view));
    sc_slice words = sc_item_slice(sc_reply_item(eval->op.view));
    if (status == SC_ERR_REPLY && words.len > 7 &&
        (memcmp(words.data, "NOPERM", 6) == 0 || memcmp(words.data, "ERR unk", 7) == 0))
        return sc_fail(SC_ERR_UNSUPPORTED, "locks need scripts (EVALSHA): %.*s",
                       (int)sci_min_size(words.len, 200), words.data);
    return status;
}

/* A token for this holding; and the contender's own, unless it has it. */
static sc_status sci_lock_draw(sc_lock *lock)
{
    sc_status status = SC_OK;
    if (!lock->has_id) {
        status = sci_token_draw(lock->client, lock->token);
        memcpy(lock->names.block.data + sci_bytes_len(&lock->names.block) - SCI_TOKEN_LEN,
               lock->token, SCI_TOKEN_LEN);
        lock->has_id = status == SC_OK;
    }
    if (status == SC_OK)
        status = sci_token_draw(lock->client, lock->token);
    if (lock->is_writer)
        lock->token[0] = 'w'; /* as the scripts know it */
    return status;
}

/* An acquire that was held back begins when no op of before is under way. */
static void sci_lock_settle(sc_lock *lock)
{
    if (lock->is_asking || lock->is_leaving || lock->is_renewing || !lock->acquirer ||
        lock->phase != SCI_LOCK_HELD_BACK)
        return;
    sc_status status = sci_lock_draw(lock);
    if (status == SC_OK)
        sci_lock_ask(lock);
    else
        sci_wish_end(lock, &lock->acquirer, status);
}

SCI_PRIVATE void sci_lock_begin(sc_lock *lock)
{
    lock->phase = SCI_LOCK_HELD_BACK;
    lock->is_lost = false;
    lock->is_queued = false;
    if (lock->leaves_again)
        sci_lock_leave_again(lock);
    else
        sci_lock_settle(lock);
}

/* Leaving. */

SCI_PRIVATE void sci_lock_leave_again(sc_lock *lock)
{
    sci_timer_cancel(&lock->client->loop, &lock->hold_timer);
    if (!lock->leaves_again)
        return;
    lock->leaves_again = false;
    if (!lock->client->is_closing)
        sci_lock_leave(lock);
    sci_lock_release_reference(lock);
}

static int64_t sci_lock_part_ns(const sc_lock *lock, int32_t part)
{
    return (int64_t)(lock->life_ms / part) * SCI_NS_PER_MS;
}

/* The farewell had no answer: say it again, until the lease has ended by itself anyway. Who
   acquires meanwhile does not wait for that. */
static void sci_lock_leave_later(sc_lock *lock)
{
    sci_loop *loop = &lock->client->loop;
    int64_t now_ns = sci_loop_now_ns(loop);
    if (lock->acquirer || lock->client->is_closing || now_ns >= lock->until_ns)
        return;
    lock->leaves_again = true;
    lock->references++;
    sci_client_want_thread(lock->client);
    sci_timer_arm(loop, &lock->hold_timer, now_ns + sci_lock_part_ns(lock, SCI_LOCK_RETRY_PART));
}

static void sci_lock_left(sci_eval_op *eval)
{
    sc_lock *lock = SCI_CONTAINER(eval, sc_lock, farewell);
    int64_t was_ours = 0;
    sc_status status = sci_lock_result(eval);
    lock->is_leaving = false;
    if (status == SC_OK && sc_item_integer(sc_reply_item(eval->op.view), &was_ours) == SC_OK &&
        !was_ours)
        status = sci_lock_say(lock, SC_LOST, "was lost before");
    sci_wish_end(lock, &lock->releaser, status);
    if (status < 0)
        sci_lock_leave_later(lock);
    sci_lock_settle(lock);
    sci_lock_release_reference(lock);
}

SCI_PRIVATE void sci_lock_leave(sc_lock *lock)
{
    sci_loop *loop = &lock->client->loop;
    sci_assert(!lock->is_leaving);
    lock->is_held = false;
    lock->is_queued = false;
    lock->is_leaving = true;
    sci_timer_cancel(loop, &lock->hold_timer);
    sci_timer_cancel(loop, &lock->wait_timer);
    sci_lock_changed(lock);
    lock->farewell_args[0] = sc_bytes(lock->token, lock->token_len);
    lock->farewell_args[1] = lock->names.id;
    lock->farewell_args[2] = sc_text(lock->config.fair ? "1" : "0");
    lock->farewell_args[3] = lock->names.wake;
    sci_eval_init(&lock->farewell, &lock->scripts[1], lock->names.keys, 4, lock->farewell_args, 4,
                  sci_lock_left);
    lock->farewell.is_full = lock->is_hasty;
    if (!lock->releaser && !lock->is_hasty) /* nobody waits for the answer */
        sci_client_want_thread(lock->client);
    sci_wish_expect(lock, lock->releaser, lock->client->shared);
    sci_lock_submit(lock, &lock->farewell, lock->releaser, SCI_NEVER);
}

/* The acquire has failed; what it may have left on the server goes. */
static void sci_lock_fail(sc_lock *lock, sc_status status)
{
    bool has_left_traces = lock->is_queued || (status < 0 && !sc_not_executed(status));
    sci_timer_cancel(&lock->client->loop, &lock->wait_timer);
    sci_wish_end(lock, &lock->acquirer, status);
    if (has_left_traces)
        sci_lock_leave(lock);
}

SCI_PRIVATE void sci_lock_cancel(sc_lock *lock, sc_status status)
{
    if (!lock->acquirer)
        return;
    /* held back: perhaps by a question whose acquirer is gone already */
    lock->is_stale = lock->is_stale || lock->phase == SCI_LOCK_ASKING;
    sci_timer_cancel(&lock->client->loop, &lock->wait_timer);
    sci_wish_end(lock, &lock->acquirer, status);
    if (lock->phase > SCI_LOCK_ASKING && lock->is_queued)
        sci_lock_leave(lock);
}

SCI_PRIVATE void sci_lock_stop(sc_lock *lock)
{
    sci_lock_cancel(lock, sc_fail(SC_ERR_CLOSED, "the client was closed"));
    sci_wish_end(lock, &lock->releaser, SC_ERR_CLOSED);
    sci_wish_end(lock, &lock->extender, SC_ERR_CLOSED);
    lock->is_held = false;
    sci_lock_leave_again(lock);
}

/* Holding. */

static void sci_lock_until(sc_lock *lock, int64_t sent_ns)
{
    int32_t sure_ms = lock->life_ms - SCI_LEASE_DRIFT_MS(lock->life_ms);
    lock->until_ns = sent_ns + (int64_t)sure_ms * SCI_NS_PER_MS;
}

/* Look again after a part of the life, counted from `since_ns`, or when the lease ends. */
static void sci_lock_mind(sc_lock *lock, int64_t since_ns, int32_t part)
{
    int64_t due_ns = lock->until_ns;
    if (!lock->config.no_renewal && !lock->is_renewing)
        due_ns = sci_min_i64(due_ns, since_ns + sci_lock_part_ns(lock, part));
    sci_timer_arm(&lock->client->loop, &lock->hold_timer, due_ns);
    sci_lock_changed(lock);
}

static void sci_lock_hold(sc_lock *lock, int64_t fence)
{
    lock->is_held = true;
    lock->depth = 1;
    lock->fence = fence;
    sci_lock_mind(lock, lock->asked_ns, 3);
    if (!lock->config.no_renewal || lock->config.on_lost)
        sci_client_want_thread(lock->client);
    sci_wish_end(lock, &lock->acquirer, SC_OK);
}

/* What may be ours on the server still is given back, since no one here uses it. */
static void sci_lock_lose(sc_lock *lock, const char *why)
{
    lock->is_lost = true;
    lock->depth = 0;
    (void)sci_lock_say(lock, SC_LOST, why);
    sci_client_log(lock->client, SC_LOG_WARNING, "%s", sc_error_text());
    if (lock->config.on_lost && !lock->is_closed && lock->losses++ == 0) {
        lock->references++;
        sci_loop_post(&lock->client->loop, &lock->lost_post);
    }
    if (!lock->is_renewing)
        sci_wish_end(lock, &lock->extender, SC_LOST);
    sci_lock_leave(lock);
}

SCI_PRIVATE bool sci_lock_is_held(sc_lock *lock)
{
    if (lock->is_held && sci_loop_now_ns(&lock->client->loop) >= lock->until_ns)
        sci_lock_lose(lock, "was lost: its lease ended (ttl_ms)");
    return lock->is_held;
}

/* After its end, who asks finds out that it is lost. */
SCI_PRIVATE bool sci_lock_may_renew(const sc_lock *lock)
{
    return lock->is_held && sci_loop_now_ns(&lock->client->loop) < lock->until_ns;
}

static void sci_lock_renewed(sci_eval_op *eval)
{
    sc_lock *lock = SCI_CONTAINER(eval, sc_lock, renewal);
    int64_t is_ours = 1;
    sc_status status = sci_lock_result(eval);
    if (status == SC_OK)
        status = sci_eval_integer(eval, &is_ours);
    lock->is_renewing = false;
    if (lock->is_held && status == SC_OK && is_ours)
        sci_lock_until(lock, lock->renewed_ns);
    if (lock->is_held && !is_ours)
        sci_lock_lose(lock, "was lost on the server");
    if (!lock->is_held)
        status = sci_lock_say(lock, SC_LOST, "was lost");
    bool renews_again = lock->renews_again && sci_lock_may_renew(lock);
    lock->renews_again = false;
    if (renews_again) {
        sci_lock_renew(lock);
    } else {
        if (lock->is_held) /* no answer says nothing: ask again soon */
            sci_lock_mind(lock,
                          status == SC_OK ? lock->renewed_ns : sci_loop_now_ns(&lock->client->loop),
                          status == SC_OK ? 3 : SCI_LOCK_RETRY_PART);
        sci_wish_end(lock, &lock->extender, status);
        sci_lock_settle(lock);
    }
    sci_lock_release_reference(lock);
}

/* Not beyond the lease's end: it may be another's by then. A shorter life holds from now on, should
   the answer be lost. */
SCI_PRIVATE void sci_lock_renew(sc_lock *lock)
{
    int64_t until_ns = lock->until_ns;
    if (lock->is_renewing) {
        lock->renews_again = true;
        return;
    }
    lock->is_renewing = true;
    lock->life_ms = lock->next_life_ms;
    lock->renewed_ns = sci_loop_now_ns(&lock->client->loop);
    sci_lock_until(lock, lock->renewed_ns);
    lock->until_ns = sci_min_i64(lock->until_ns, until_ns);
    sci_lock_mind(lock, 0, 1);
    lock->renewal_args[0] = sc_bytes(lock->token, lock->token_len);
    lock->renewal_args[1] =
        sc_bytes(lock->life_text, sci_i64_to_text(lock->life_ms, lock->life_text));
    lock->renewal_args[2] = sc_text(lock->shift_text);
    sci_eval_init(&lock->renewal, &lock->scripts[2], lock->names.keys, 4, lock->renewal_args,
                  lock->is_shared ? 3 : 2, sci_lock_renewed);
    sci_wish_expect(lock, lock->extender, lock->client->shared);
    sci_lock_submit(lock, &lock->renewal, lock->extender, lock->until_ns);
}

SCI_PRIVATE void sci_lock_fire_hold(sci_timer *timer)
{
    sc_lock *lock = SCI_CONTAINER(timer, sc_lock, hold_timer);
    if (lock->leaves_again) {
        sci_lock_leave_again(lock);
        return;
    }
    lock->references++; /* losing lets go of the lock */
    if (sci_lock_is_held(lock) && !lock->config.no_renewal && !lock->is_renewing)
        sci_lock_renew(lock);
    sci_lock_release_reference(lock);
}

/* Waiting. */

static void sci_lock_arm(sc_lock *lock, int64_t now_ns, int64_t wait_ms)
{
    sci_timer_arm(&lock->client->loop, &lock->wait_timer,
                  sci_min_i64(now_ns + wait_ms * SCI_NS_PER_MS, lock->deadline_ns));
}

/* Begin to listen. What cannot be listened to is polled. */
static void sci_lock_subscribe(sc_lock *lock)
{
    sc_client *client = lock->client;
    lock->phase = SCI_LOCK_SUBSCRIBING;
    sci_client_want_thread(client);
    lock->references++; /* listening lets go of the lock */
    (void)sci_listener_add(
        client, &lock->listener,
        sc_bytes(lock->names.wake.data, lock->names.wake.len + lock->names.id.len), false);
    sci_lock_release_reference(lock);
}

static void sci_lock_wait(sc_lock *lock, int64_t left_ms)
{
    int64_t now_ns = sci_loop_now_ns(&lock->client->loop);
    int64_t poll_ms = lock->config.poll_ms;
    if (now_ns >= lock->deadline_ns) {
        sci_lock_fail(lock, sci_lock_say(lock, SC_HELD, "is another's (wait_ms)"));
        return;
    }
    if (lock->asks_again) {
        sci_lock_ask(lock);
        return;
    }
    sci_wish_expect(lock, lock->acquirer, NULL);
    sci_lock_arm(lock, now_ns, left_ms >= 0 && left_ms < poll_ms ? left_ms + 1 : poll_ms);
    lock->phase = SCI_LOCK_WAITING;
    if (!lock->listener.channel)
        sci_lock_subscribe(lock);
}

/* At the deadline, too: it may be free by now. */
SCI_PRIVATE void sci_lock_fire_wait(sci_timer *timer)
{
    sci_lock_ask(SCI_CONTAINER(timer, sc_lock, wait_timer));
}

SCI_PRIVATE void sci_lock_listen_event(sci_listener *listener, sci_listen_event event,
                                       const sc_message *message)
{
    sc_lock *lock = SCI_CONTAINER(listener, sc_lock, listener);
    (void)message;
    if (!lock->acquirer || (event != SCI_LISTEN_MESSAGE && event != SCI_LISTEN_READY))
        return;
    if (lock->phase == SCI_LOCK_ASKING)
        lock->asks_again = true;
    else if (lock->phase != SCI_LOCK_HELD_BACK)
        sci_lock_ask(lock);
}

/* Asking. */

/* The answer came so late that the lease may be over. */
static void sci_lock_ask_anew(sc_lock *lock)
{
    lock->phase = SCI_LOCK_HELD_BACK;
    sci_lock_leave(lock);
}

static void sci_lock_answered(sc_lock *lock, const sc_item *answer)
{
    int64_t is_granted = 0;
    int64_t number = -1;
    int64_t now_ns = sci_loop_now_ns(&lock->client->loop);
    (void)sc_item_integer(sc_item_at(answer, 0), &is_granted);
    (void)sc_item_integer(sc_item_at(answer, 1), &number);
    if (is_granted && now_ns < lock->until_ns) {
        sci_lock_hold(lock, number);
    } else if (is_granted && now_ns < lock->deadline_ns) {
        sci_lock_ask_anew(lock);
    } else {
        lock->is_queued = lock->is_queued || is_granted; /* to be given back, when time is up */
        sci_lock_wait(lock, number);
    }
}

static void sci_lock_asked(sci_eval_op *eval)
{
    sc_lock *lock = SCI_CONTAINER(eval, sc_lock, question);
    sc_status status = sci_lock_result(eval);
    lock->is_asking = false;
    if (lock->is_stale) {
        lock->is_stale = false;
        sci_lock_leave(lock);
    } else if (status == SC_OK) {
        sci_lock_answered(lock, sc_reply_item(eval->op.view));
    } else {
        sci_lock_fail(lock, status);
    }
    sci_lock_release_reference(lock);
}

static void sci_lock_ask(sc_lock *lock)
{
    sc_client *client = lock->client;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    bool is_queueing = lock->listener.channel && now_ns < lock->deadline_ns;
    lock->phase = SCI_LOCK_ASKING;
    lock->is_asking = true;
    lock->asks_again = false;
    lock->is_queued = lock->is_queued || is_queueing;
    lock->life_ms = lock->next_life_ms = (int32_t)lock->config.ttl_ms;
    lock->asked_ns = now_ns;
    sci_lock_until(lock, now_ns);
    sci_timer_cancel(&client->loop, &lock->wait_timer);
    lock->question_args[0] = sc_bytes(lock->token, lock->token_len);
    lock->question_args[1] = sc_text(lock->ttl_text);
    lock->question_args[2] = lock->names.id;
    lock->question_args[3] = sc_text(is_queueing ? lock->place_text : "0");
    lock->question_args[4] = sc_text(lock->config.fair ? "1" : "0");
    lock->question_args[5] = sc_text(lock->limit_text);
    lock->question_args[6] = sc_text(lock->shift_text);
    lock->question_args[7] = lock->names.wake;
    sci_eval_init(&lock->question, &lock->scripts[0], lock->names.keys, 4, lock->question_args,
                  lock->is_shared ? 8 : 5, sci_lock_asked);
    sci_wish_expect(lock, lock->acquirer, client->shared);
    sci_lock_submit(lock, &lock->question, lock->acquirer, SCI_NEVER);
}
