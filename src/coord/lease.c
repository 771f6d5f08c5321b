/* Leases: taking, renewing, giving back. */

#include "coord/lease.h"

#include "api/cache.h"
#include "base/error.h"
#include "base/number.h"
#include "client/conn.h"
#include "server/scripts.h"

static void sci_lease_fire(sci_timer *timer);

SCI_PRIVATE void sci_lease_scripts_init(sci_lease_scripts *scripts)
{
    sci_script_init(&scripts->acquire, SCI_SCRIPT_ACQUIRE);
    sci_script_init(&scripts->store, SCI_SCRIPT_STORE);
    sci_renewal_init(&scripts->renew);
}

SCI_PRIVATE void sci_renewal_init(sc_script *script)
{
    sci_script_init(script, SCI_SCRIPT_RENEW);
    script->is_renewal = true;
}

SCI_PRIVATE sc_status sci_token_draw(sc_client *client, char token[SCI_TOKEN_LEN])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bits[SCI_TOKEN_LEN / 2];
    sc_status status = client->random.fill(client->random.user, bits, sizeof bits);
    for (size_t i = 0; i < sizeof bits && status == SC_OK; i++) {
        token[2 * i] = digits[bits[i] >> 4];
        token[2 * i + 1] = digits[bits[i] & 15];
    }
    return status;
}

SCI_PRIVATE sc_status sci_lease_init(sci_lease *lease, sc_client *client,
                                     const sci_lease_scripts *scripts, const sci_names *names,
                                     int64_t life_ms)
{
    memset(lease, 0, sizeof *lease);
    lease->client = client;
    lease->scripts = scripts;
    lease->names = names;
    lease->life_ms = life_ms;
    lease->timer.fire = sci_lease_fire;
    lease->keys[0] = names->value;
    lease->keys[1] = names->lease;
    lease->keys[2] = names->result;
    return sci_token_draw(client, lease->token);
}

SCI_PRIVATE void sci_lease_free(sci_lease *lease)
{
    sci_lease_let_go(lease);
    sc_value_release(lease->eval.op.error_text);
    sc_value_release(lease->renewal.op.error_text);
}

/* The token tells a repeat from what another does, so each op may be sent again. */
static void sci_lease_submit(sci_lease *lease, sci_eval_op *eval, bool is_attended)
{
    sc_client *client = lease->client;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    eval->op.deadline_ns = sci_client_deadline_ns(client, 0, now_ns);
    eval->op.is_idempotent = true;
    eval->op.is_attended = is_attended;
    sci_conn_submit(client->shared, &eval->op, now_ns);
}

static void sci_lease_begin(sci_lease *lease, const sc_script *script, size_t arg_count,
                            void (*done)(sci_eval_op *eval))
{
    sc_value_release(lease->eval.op.error_text);
    sci_eval_init(&lease->eval, script, lease->keys, SCI_COUNT(lease->keys), lease->args, arg_count,
                  done);
}

/* The end of an op: the status, or that of the server's error; the words are this thread's. */
static sc_status sci_lease_result(const sci_op *op)
{
    if (op->status == SC_OK)
        return sc_item_check(sc_reply_item(op->view));
    sc_slice words = sc_value_bytes(op->error_text);
    if (!words.len)
        words = sc_text(sc_status_message(op->status));
    sci_error_text_set(words.data, words.len);
    return op->status;
}

static void sci_lease_extend(sci_lease *lease, int64_t sent_ns)
{
    lease->until_ns =
        sent_ns + (lease->life_ms - SCI_LEASE_DRIFT_MS(lease->life_ms)) * SCI_NS_PER_MS;
}

/* Taking. */

static void sci_lease_acquired(sci_eval_op *eval)
{
    sci_lease *lease = SCI_CONTAINER(eval, sci_lease, eval);
    sc_status status = sci_lease_result(&eval->op);
    const sc_item *answer = status == SC_OK ? sc_reply_item(eval->op.view) : NULL;
    int64_t kind = 0;
    int64_t left_ms = -1;
    if (status == SC_OK)
        status = sc_item_integer(sc_item_at(answer, 0), &kind);
    if (status == SC_OK && kind == SCI_LEASE_GRANTED) {
        lease->is_held = true;
        sci_lease_extend(lease, lease->asked_ns);
    }
    (void)sc_item_integer(sc_item_at(answer, 2), &left_ms);
    lease->asked(lease, status, (sci_lease_answer)kind, sc_item_slice(sc_item_at(answer, 1)),
                 left_ms);
}

/* A copy that is sent again has a token of its own: else an earlier one that comes late, after an
   invalidation, would give this load its lease back. */
static sc_status sci_lease_encode(sci_op *op, sci_bytes *out)
{
    sci_lease *lease = SCI_CONTAINER(SCI_CONTAINER(op, sci_eval_op, op), sci_lease, eval);
    lease->token[SCI_TOKEN_LEN - 1] = (char)('0' + op->resends);
    return sci_eval_encode(op, out);
}

SCI_PRIVATE void sci_lease_acquire(sci_lease *lease, const char *awaited, bool wants_errors,
                                   bool is_attended)
{
    lease->asked_ns = sci_loop_now_ns(&lease->client->loop);
    lease->args[0] = sc_bytes(lease->token, SCI_TOKEN_LEN);
    lease->args[1] = sc_bytes(lease->life_text, sci_i64_to_text(lease->life_ms, lease->life_text));
    lease->args[2] = sc_text(awaited);
    lease->args[3] = sc_text(wants_errors ? "0" : "1");
    sci_lease_begin(lease, &lease->scripts->acquire, 4, sci_lease_acquired);
    lease->eval.op.encode = sci_lease_encode;
    sci_lease_submit(lease, &lease->eval, is_attended);
}

/* Renewing. */

static void sci_lease_lose(sci_lease *lease)
{
    lease->is_held = false;
    lease->is_lost = true;
}

static void sci_lease_arm(sci_lease *lease)
{
    sci_loop *loop = &lease->client->loop;
    sci_timer_arm(loop, &lease->timer, sci_loop_now_ns(loop) + lease->life_ms * SCI_NS_PER_MS / 3);
}

SCI_PRIVATE void sci_lease_keep(sci_lease *lease)
{
    lease->is_kept = true;
    sci_lease_arm(lease);
}

SCI_PRIVATE void sci_lease_let_go(sci_lease *lease)
{
    lease->is_kept = false;
    if (lease->client)
        sci_timer_cancel(&lease->client->loop, &lease->timer);
}

static void sci_lease_renewed(sci_eval_op *eval)
{
    sci_lease *lease = SCI_CONTAINER(eval, sci_lease, renewal);
    int64_t is_ours = 1; /* no answer says nothing: the next renewal asks again */
    bool has_answer =
        sci_lease_result(&eval->op) == SC_OK && sci_eval_integer(eval, &is_ours) == SC_OK;
    lease->is_renewing = false;
    sc_value_release(eval->op.error_text);
    eval->op.error_text = NULL;
    if (has_answer && is_ours)
        sci_lease_extend(lease, lease->renewed_ns);
    if (!is_ours)
        sci_lease_lose(lease);
    if (lease->is_kept && is_ours)
        sci_lease_arm(lease);
    lease->renewal_ends(lease, !is_ours); /* it may be gone afterwards */
}

/* A lease is never renewed past its end: it may be another's by then. */
static void sci_lease_fire(sci_timer *timer)
{
    sci_lease *lease = SCI_CONTAINER(timer, sci_lease, timer);
    int64_t now_ns = sci_loop_now_ns(&lease->client->loop);
    if (lease->is_renewing)
        return;
    lease->renewal_begins(lease);
    if (now_ns >= lease->until_ns) {
        sci_lease_lose(lease);
        lease->renewal_ends(lease, true);
        return;
    }
    lease->is_renewing = true;
    lease->renewed_ns = now_ns;
    lease->renewal_args[0] = sc_bytes(lease->token, SCI_TOKEN_LEN);
    lease->renewal_args[1] = sc_text(lease->life_text);
    sci_eval_init(&lease->renewal, &lease->scripts->renew, lease->keys, SCI_COUNT(lease->keys),
                  lease->renewal_args, SCI_COUNT(lease->renewal_args), sci_lease_renewed);
    sci_lease_submit(lease, &lease->renewal, false);
}

/* Giving back. */

static void sci_lease_stored(sci_eval_op *eval)
{
    sci_lease *lease = SCI_CONTAINER(eval, sci_lease, eval);
    int64_t is_stored = 0;
    sc_status status = sci_lease_result(&eval->op);
    lease->is_refused = eval->op.status == SC_OK && status != SC_OK;
    if (status == SC_OK) {
        (void)sc_item_integer(sc_reply_item(eval->op.view), &is_stored);
        lease->is_lost = !is_stored;
    }
    if (!is_stored)
        sci_client_log(lease->client, SC_LOG_INFO, "the value of \"%.*s\" was not stored: %s",
                       (int)sci_min_size(lease->names->value.len, 100), lease->names->value.data,
                       eval->op.status == SC_OK ? "the lease was lost or invalidated"
                                                : sc_error_text());
    lease->stored(lease, is_stored != 0);
}

SCI_PRIVATE void sci_lease_give_back(sci_lease *lease, const sci_lease_store *store)
{
    static const char kinds[] = {'v', 'm', 'e', 'x'};
    const char *kind = (const char *)memchr(kinds, store->kind, sizeof kinds);
    int64_t ttl_ms = store->ttl_ms == SC_TTL_FOREVER ? -1
                     : store->ttl_ms == SC_TTL_NONE  ? 0
                                                     : store->ttl_ms;
    sci_lease_let_go(lease);
    lease->is_held = false;
    lease->args[0] = sc_bytes(lease->token, SCI_TOKEN_LEN);
    lease->args[1] = sc_bytes(lease->ttl_text, sci_i64_to_text(ttl_ms, lease->ttl_text));
    lease->args[2] = store->payload;
    lease->args[3] = sc_text(store->flag);
    lease->args[4] = sc_bytes(lease->result_life_text,
                              sci_i64_to_text(store->result_life_ms, lease->result_life_text));
    lease->args[5] = lease->names->channel;
    lease->args[6] = sc_bytes(kind, 1);
    lease->args[7] = sc_text(store->is_published ? "1" : "0");
    lease->args[8] = store->kind == 'v' ? lease->names->raw_channel : sc_bytes(NULL, 0);
    sci_lease_begin(lease, &lease->scripts->store, 9, sci_lease_stored);
    sci_lease_submit(lease, &lease->eval, store->is_attended);
}
