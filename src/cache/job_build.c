/* Jobs: one build. Rows come in, chunks go out, and one script swaps the keys. */

#include "base/error.h"
#include "base/number.h"
#include "cache/job.h"
#include "client/conn.h"
#include "client/wait.h"
#include "coord/lease.h"
#include "resp/writer.h"

/* Answers of the scripts (scripts.h); a lost shadow's is its place among the keys. */
#define SCI_JOB_DONE 1
#define SCI_JOB_PASSED 2

/* --- Names and memory */

/* Its name begins with that of the key, so that scripts may use both in a cluster. */
static sc_status sci_run_name_shadow(const sc_job_run *run, sci_job_target *target)
{
    char kind[8 + SCI_TOKEN_LEN];
    const char *kinds[1];
    sc_slice made[2];
    (void)sci_format(kind, sizeof kind, "sc:new:%s", run->build);
    kinds[0] = kind;
    sc_status status = sci_names_build(&target->names, target->key, kinds, 1, made);
    target->shadow = made[1];
    return status;
}

static void sci_run_free(sc_job_run *run)
{
    sc_job *job = run->job;
    const sc_memory *memory = &job->client->memory;
    for (sci_link *link = sci_list_take_first(&run->chunks); link;
         link = sci_list_take_first(&run->chunks)) {
        sci_job_chunk *chunk = SCI_CONTAINER(link, sci_job_chunk, link);
        sci_bytes_free(&chunk->doubts);
        sci_free(memory, chunk, sizeof *chunk);
    }
    sci_job_rows_free(&run->rows);
    sci_bytes_free(&run->leader);
    sci_free(memory, run, sizeof *run);
    sci_job_release(job);
}

/* --- The end */

static void sci_run_stop_timers(sc_job_run *run)
{
    sci_loop *loop = &run->job->client->loop;
    sci_timer_cancel(loop, &run->limit_timer);
    sci_timer_cancel(loop, &run->renew_timer);
    sci_timer_cancel(loop, &run->progress_timer);
}

static void sci_run_end(sc_job_run *run)
{
    sc_job *job = run->job;
    sci_run_stop_timers(run);
    sci_client_return_conn(run->conn);
    job->run = NULL;
    sci_job_ended(job, run);
    sci_run_free(run);
}

static void sci_run_post(sc_job_run *run, sci_post *post)
{
    run->ops++;
    sci_loop_post(&run->job->client->loop, post);
}

SCI_PRIVATE void sci_run_make_room(sc_job_run *run)
{
    if (run->waiter)
        sci_waiter_finish(run->job->client, run->waiter);
    run->waiter = NULL;
    if (run->wants_room)
        sci_run_post(run, &run->room_post);
    run->wants_room = false;
}

SCI_PRIVATE void sci_run_over(sc_job_run *run, sc_status status)
{
    sci_loop *loop = &run->job->client->loop;
    if (sci_run_is_over(run))
        return;
    run->status = status;
    if (status != SC_OK)
        (void)sci_format(run->words, sizeof run->words, "%s", sc_error_text());
    sci_atomic_store_release(&run->is_over, 1);
    sci_timer_cancel(loop, &run->limit_timer);
    sci_timer_cancel(loop, &run->progress_timer);
    sci_run_make_room(run);
    if (sci_link_is_in_list(&run->link)) { /* no worker has begun */
        sci_list_remove(&run->link);
        run->is_fetched = true;
    }
}

SCI_PRIVATE void sci_job_run_fail(sc_job_run *run, sc_status status)
{
    sci_run_over(run, status);
    sci_run_settle(run);
}

/* What the run has ended with, as this thread's failure. */
static sc_status sci_run_refuse(sc_job_run *run)
{
    sc_client *client = run->job->client;
    sci_loop_lock(&client->loop);
    sc_status status = run->status != SC_OK ? run->status : SC_ERR_CLOSED;
    sci_error_text_set(run->words, strlen(run->words));
    sci_client_unlock(client);
    return status;
}

/* --- Deleting what a failed build leaves */

static sc_status sci_run_clear_encode(sci_op *op, sci_bytes *out)
{
    const sc_job_run *run = SCI_CONTAINER(op, sc_job_run, clearing);
    sc_slice words[1 + SCI_JOB_KEYS];
    words[0] = sc_text("UNLINK");
    for (size_t i = 0; i < run->rows.target_count; i++)
        words[1 + i] = run->rows.targets[i].shadow;
    return sci_write_command(out, words, 1 + run->rows.target_count);
}

/* In vain is no harm: they end by themselves. */
static void sci_run_cleared(sci_op *op)
{
    sc_job_run *run = SCI_CONTAINER(op, sc_job_run, clearing);
    (void)sci_op_result(op);
    run->ops--;
    sci_run_settle(run);
}

SCI_PRIVATE void sci_run_submit(sc_job_run *run, sci_conn *conn, sci_op *op)
{
    sc_client *client = run->job->client;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    op->deadline_ns = sci_client_deadline_ns(client, 0, now_ns);
    run->ops++;
    sci_conn_submit(conn, op, now_ns); /* the run may be gone now */
}

static void sci_run_clear(sc_job_run *run)
{
    run->is_clearing = true;
    memset(&run->clearing, 0, sizeof run->clearing);
    run->clearing.encode = sci_run_clear_encode;
    run->clearing.complete = sci_run_cleared;
    run->clearing.replies = 1;
    run->clearing.is_idempotent = true;
    sci_run_submit(run, run->job->client->shared, &run->clearing);
}

/* --- The swap, and the claim of a task's time */

/* The scripts ask whether we lead, first. */
static void sci_run_ask(sc_job_run *run, size_t script, size_t key_count, size_t arg_count,
                        void (*done)(sci_eval_op *eval))
{
    sc_job *job = run->job;
    sci_election_keys(job->election, run->script_keys);
    run->script_keys[2] = job->state;
    run->script_args[0] = sci_bytes_slice(&run->leader);
    run->script_args[1] = sc_text(run->term_text);
    run->script_args[2] = sc_bytes(run->build, SCI_TOKEN_LEN);
    sci_eval_init(&run->question, &job->scripts[script], run->script_keys, key_count,
                  run->script_args, arg_count, done);
    run->question.op.is_idempotent = true; /* the build's name tells a repeat */
    sci_run_submit(run, job->client->shared, &run->question.op);
}

/* The integer that the script has answered. */
static sc_status sci_run_answer(sc_job_run *run, int64_t *answer)
{
    sci_op *op = &run->question.op;
    sc_status status = sci_op_result(op);
    run->ops--;
    if (status == SC_OK)
        status = sc_item_integer(sc_reply_item(op->view), answer);
    if (status == SC_OK && *answer == 0) {
        sci_election_doubt(run->job->election);
        status = sci_job_say(run->job, SC_LOST, "is another's to build: this term has ended");
    }
    return status;
}

static void sci_run_swapped(sci_eval_op *eval)
{
    sc_job_run *run = SCI_CONTAINER(eval, sc_job_run, question);
    int64_t answer = 0;
    sc_status status = sci_run_answer(run, &answer);
    run->is_swapped = status == SC_OK && answer == SCI_JOB_DONE;
    if (status == SC_OK && !run->is_swapped)
        status = sci_run_lost_shadow(run, (size_t)(answer - 4) / 2);
    sci_run_over(run, status);
    sci_run_settle(run);
}

static void sci_run_swap(sc_job_run *run)
{
    const sc_job_config *config = &run->job->config;
    sci_job_rows *rows = &run->rows;
    run->is_swapping = true;
    run->script_args[3] = sc_bytes(run->rows_text, sci_i64_to_text(rows->row, run->rows_text));
    run->script_args[4] = sc_bytes(run->ttl_text, sci_i64_to_text(config->ttl_ms, run->ttl_text));
    run->script_args[5] = sc_text(config->clear_when_empty ? "1" : "0");
    for (size_t i = 0; i < rows->target_count; i++) {
        const sci_job_target *target = &rows->targets[i];
        run->script_keys[3 + 2 * i] = target->shadow;
        run->script_keys[4 + 2 * i] = target->key;
        run->script_args[6 + 2 * i] = sc_text(sci_job_size_command(target->type));
        run->script_args[7 + 2 * i] =
            sc_bytes(run->sizes[i], sci_i64_to_text(target->size, run->sizes[i]));
    }
    sci_run_ask(run, 0, 3 + 2 * rows->target_count, 6 + 2 * rows->target_count, sci_run_swapped);
}

static void sci_run_claimed(sci_eval_op *eval)
{
    sc_job_run *run = SCI_CONTAINER(eval, sc_job_run, question);
    int64_t answer = 0;
    sc_status status = sci_run_answer(run, &answer);
    if (status == SC_OK && answer == SCI_JOB_PASSED)
        status = sci_job_say(run->job, SC_HELD, "has been done for this time");
    if (status == SC_OK && !sci_run_is_over(run)) {
        sci_job_run_fetch(run);
        return;
    }
    run->is_fetched = true;
    sci_job_run_fail(run, status);
}

/* A task is begun at most once for each time, whoever leads then. */
static void sci_run_claim(sc_job_run *run)
{
    const sc_clock *clock = &run->job->client->loop.clock;
    int64_t seen_ms = sci_max_i64(clock->wall_ms(clock->user), run->due_ms);
    bool is_timed = run->job->has_cron && run->job->attempt == 0 && !run->is_asked;
    int64_t due_ms = is_timed ? run->due_ms : SCI_JOB_ANY_TIME;
    run->script_args[3] = sc_bytes(run->due_text, sci_i64_to_text(due_ms, run->due_text));
    run->script_args[4] = sc_bytes(run->seen_text, sci_i64_to_text(seen_ms, run->seen_text));
    sci_run_ask(run, 1, 3, 5, sci_run_claimed);
}

/* --- What comes next */

SCI_PRIVATE void sci_run_settle(sc_job_run *run)
{
    if (run->ops > 0 || !run->is_fetched)
        return;
    if (!sci_run_is_over(run))
        sci_run_swap(run);
    else if (run->has_shadows && !run->is_swapped && !run->is_clearing)
        sci_run_clear(run);
    else
        sci_run_end(run);
}

SCI_PRIVATE void sci_job_run_fetched(sc_job_run *run, sc_status status)
{
    if (status == SC_OK && !sci_run_is_over(run))
        status = sci_job_rows_finish(&run->rows);
    if (status == SC_OK)
        sci_run_send(run);
    else
        sci_run_over(run, status);
    run->is_fetched = true;
    sci_run_settle(run);
}

/* --- The beginning */

static void sci_run_limit_fire(sci_timer *timer)
{
    sc_job_run *run = SCI_CONTAINER(timer, sc_job_run, limit_timer);
    sci_job_run_fail(run,
                     sci_job_say(run->job, SC_ERR_TIMEOUT, "took too long (fetch_timeout_ms)"));
}

SCI_PRIVATE void sci_job_run_limit(sc_job_run *run)
{
    sci_loop *loop = &run->job->client->loop;
    int64_t limit_ms = run->job->config.fetch_timeout_ms;
    if (limit_ms > 0)
        sci_timer_arm(loop, &run->limit_timer, sci_loop_now_ns(loop) + limit_ms * SCI_NS_PER_MS);
}

static void sci_run_arm_progress(sc_job_run *run)
{
    sci_loop *loop = &run->job->client->loop;
    sci_timer_arm(loop, &run->progress_timer,
                  sci_loop_now_ns(loop) + run->job->config.progress_ms * SCI_NS_PER_MS);
}

static void sci_run_progress_fire(sci_timer *timer)
{
    sc_job_run *run = SCI_CONTAINER(timer, sc_job_run, progress_timer);
    sci_run_arm_progress(run);
    sci_job_progress(run->job);
}

static void sci_run_room_call(sci_post *post)
{
    sc_job_run *run = SCI_CONTAINER(post, sc_job_run, room_post);
    sc_client *client = run->job->client;
    sci_client_retain(client);
    sci_loop_lock(&client->loop);
    bool is_wanted = !run->is_fetched;
    sci_client_unlock(client);
    if (is_wanted)
        run->job->config.on_room(run, run->job->config.user);
    sci_loop_lock(&client->loop);
    run->ops--;
    sci_run_settle(run);
    sci_client_unlock(client);
    sci_client_release(client);
}

/* SC_ERR_MEMORY, or that of the source of random numbers. */
static sc_status sci_run_create(sc_job *job, sc_job_run **created)
{
    sc_client *client = job->client;
    sc_job_run *run = (sc_job_run *)sci_alloc_zeroed(&client->memory, sizeof *run);
    if (!run)
        return SC_ERR_MEMORY;
    run->job = job;
    job->references++;
    sci_list_init(&run->link);
    sci_list_init(&run->post.link);
    sci_list_init(&run->room_post.link);
    sci_list_init(&run->chunks);
    run->room_post.run = sci_run_room_call;
    run->limit_timer.fire = sci_run_limit_fire;
    run->renew_timer.fire = sci_run_renew_fire;
    run->progress_timer.fire = sci_run_progress_fire;
    sci_job_rows_init(&run->rows, job, &client->memory);
    sci_bytes_init(&run->leader, &client->memory);
    sc_status status = sci_bytes_append(&run->leader, sci_election_value(job->election));
    if (status == SC_OK)
        status = sci_token_draw(client, run->build);
    for (size_t i = 0; i < job->target_count && status == SC_OK; i++)
        status = sci_run_name_shadow(run, &run->rows.targets[i]);
    if (status == SC_OK && job->target_count) {
        run->conn = sci_client_borrow_conn(client);
        status = run->conn ? SC_OK : SC_ERR_MEMORY;
    }
    if (status == SC_OK)
        *created = run;
    else
        sci_run_free(run);
    return status;
}

SCI_PRIVATE sc_status sci_job_run_begin(sc_job *job, int64_t due_ms, bool is_asked)
{
    sci_loop *loop = &job->client->loop;
    sc_job_run *run;
    sc_status status = sci_run_create(job, &run);
    if (status != SC_OK)
        return status;
    run->is_asked = is_asked;
    run->term = job->term;
    (void)sci_i64_to_text(run->term, run->term_text);
    run->due_ms = due_ms;
    run->begun_ns = sci_loop_now_ns(loop);
    if (job->config.on_progress)
        sci_run_arm_progress(run);
    if (job->target_count)
        sci_run_arm_renewal(run);
    job->run = run;
    if (job->target_count)
        sci_job_run_fetch(run);
    else
        sci_run_claim(run);
    return SC_OK;
}

SCI_PRIVATE void sci_job_run_close(sc_job_run *run)
{
    run->conn = NULL;
    run->has_shadows = false; /* they end by themselves */
    sci_run_stop_timers(run);
    sci_job_run_fail(run, sc_fail(SC_ERR_CLOSED, "the client was closed"));
}

/* Its ops are the parent's; a function that forked goes on, for nothing. */
SCI_PRIVATE void sci_job_run_forked(sc_job_run *run)
{
    sc_job *job = run->job;
    run->conn = NULL;
    run->ops = 0;
    run->waiter = NULL;
    run->has_shadows = false;
    sci_list_init(&run->link);
    sci_list_init(&run->post.link);
    sci_list_init(&run->room_post.link);
    memset(&run->limit_timer.node, 0, sizeof run->limit_timer.node);
    memset(&run->renew_timer.node, 0, sizeof run->renew_timer.node);
    memset(&run->progress_timer.node, 0, sizeof run->progress_timer.node);
    run->status = sc_fail(SC_ERR_CANCELLED, "the build is that of the parent process");
    (void)sci_format(run->words, sizeof run->words, "%s", sc_error_text());
    sci_atomic_store_release(&run->is_over, 1);
    if (run->fetcher == sci_thread_self())
        return;
    job->run = NULL;
    sci_run_free(run);
}

/* --- What the program calls */

/* Unlocked: wait until there is room, or the run has ended. */
static void sci_run_await_room(sc_job_run *run)
{
    sc_client *client = run->job->client;
    sci_waiter waiter;
    sci_loop_lock(&client->loop);
    while (!sci_run_is_over(run) && run->flight_bytes >= sci_run_flight_bytes(run)) {
        sci_waiter_init(&waiter, 0);
        waiter.conn = run->conn;
        run->waiter = &waiter;
        (void)sci_waiter_wait_locked(client, &waiter, SCI_NEVER);
        run->waiter = NULL;
    }
    sci_client_unlock(client);
}

/* Unlocked: take a row. */
static sc_status sci_run_take(sc_job_run *run, const sc_job_row *row)
{
    sc_client *client = run->job->client;
    sc_status status = SC_OK;
    if (sci_run_is_over(run))
        return sci_run_refuse(run);
    if (run->rows.target_count == 0)
        status = sci_job_say(run->job, SC_ERR_ARGUMENT, "is a task: it has no keys for rows");
    else
        status = sci_job_rows_add(&run->rows, row);
    bool is_full = status == SC_OK && sci_job_rows_is_full(&run->rows, sci_run_chunk_bytes(run));
    if (status == SC_OK && !is_full)
        return SC_OK;
    sci_loop_lock(&client->loop);
    if (is_full)
        sci_run_send(run);
    else
        sci_run_over(run, status);
    sci_client_unlock(client);
    return status;
}

SC_API sc_status sc_job_add(sc_job_run *run, const sc_job_row *row)
{
    sc_status status = sci_run_take(run, row);
    if (status == SC_OK && run->rows.bytes == 0) /* a piece was sent */
        sci_run_await_room(run);
    return status;
}

SC_API sc_status sc_job_rows(sc_job_run *run, const sc_job_row *rows, size_t count, size_t *taken)
{
    sc_client *client = run->job->client;
    sc_status status = SC_OK;
    *taken = 0;
    while (status == SC_OK && *taken < count) {
        if (run->rows.bytes == 0) { /* the beginning of a piece */
            sci_loop_lock(&client->loop);
            run->wants_room =
                !sci_run_is_over(run) && run->flight_bytes >= sci_run_flight_bytes(run);
            bool is_full = run->wants_room;
            sci_client_unlock(client);
            if (is_full)
                return SC_AGAIN;
        }
        status = sci_run_take(run, &rows[*taken]);
        *taken += status == SC_OK;
    }
    return status;
}

SC_API void sc_job_done(sc_job_run *run, sc_status status)
{
    sc_client *client = run->job->client;
    sci_client_retain(client);
    sci_loop_lock(&client->loop);
    sci_job_run_fetched(run, status);
    sci_client_unlock(client);
    sci_client_release(client);
}

SC_API int64_t sc_job_due_ms(const sc_job_run *run)
{
    return run->due_ms;
}
