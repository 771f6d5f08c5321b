/* Jobs: when they are due. By the election, and by the interval or the wall clock. */

#include "base/error.h"
#include "base/number.h"
#include "cache/job.h"
#include "client/conn.h"
#include "client/life.h"
#include "client/wait.h"
#include "resp/writer.h"

/* Who does not lead at this moment, and has not been told so, looks again after this. */
#define SCI_JOB_LOOK_NS ((int64_t)100 * SCI_NS_PER_MS)

static sc_status sci_job_question_encode(sci_op *op, sci_bytes *out);
static void sci_job_answered(sci_op *op);

static int64_t sci_job_wall_ms(const sc_job *job)
{
    const sc_clock *clock = &job->client->loop.clock;
    return clock->wall_ms(clock->user);
}

/* --- Planning */

static void sci_job_plan(sc_job *job, int64_t due_ns)
{
    int64_t now_ns = sci_loop_now_ns(&job->client->loop);
    job->is_due = true;
    job->is_walled = false;
    job->due_ns = due_ns;
    job->due_ms = sci_job_wall_ms(job) + (due_ns - now_ns) / SCI_NS_PER_MS;
}

static void sci_job_plan_cron(sc_job *job, int64_t after_ms)
{
    job->is_due = true;
    job->is_walled = true;
    job->seen_ms = after_ms;
    job->due_ms = sci_cron_next(&job->cron, &job->zone, sci_floor_divide(after_ms, 1000)) * 1000;
}

static int64_t sci_job_interval_ns(const sc_job *job)
{
    return job->config.interval_ms * SCI_NS_PER_MS;
}

/* Some time below a bound that doubles (exponential back-off with full jitter). */
static void sci_job_plan_retry(sc_job *job)
{
    const sc_job_config *config = &job->config;
    int64_t bound_ms = config->retry_min_ms;
    for (int64_t i = 0; i < job->attempt && bound_ms < config->retry_max_ms; i++)
        bound_ms *= 2;
    bound_ms = sci_min_i64(bound_ms, config->retry_max_ms);
    uint64_t delay_ns = sci_life_random(job->client) % ((uint64_t)bound_ms * SCI_NS_PER_MS + 1);
    job->attempt++;
    sci_job_plan(job, sci_loop_now_ns(&job->client->loop) + (int64_t)delay_ns);
}

SCI_PRIVATE void sci_job_plan_next(sc_job *job, sc_status status)
{
    int64_t now_ns = sci_loop_now_ns(&job->client->loop);
    if (!job->is_leading || job->ended_term != job->term)
        return;
    if (status != SC_OK && status != SC_HELD && job->attempt < job->config.retries) {
        sci_job_plan_retry(job);
        return;
    }
    job->attempt = 0;
    if (job->has_cron) {
        sci_job_plan_cron(job, status == SC_HELD ? sci_job_wall_ms(job) : job->seen_ms);
        return;
    }
    if (job->config.fixed_rate) /* the last time of the grid until now */
        job->base_ns +=
            (now_ns - job->base_ns) / sci_job_interval_ns(job) * sci_job_interval_ns(job);
    else
        job->base_ns = now_ns;
    sci_job_plan(job, job->base_ns + sci_job_interval_ns(job));
}

SCI_PRIVATE void sci_job_change_interval(sc_job *job, int64_t interval_ms)
{
    job->config.interval_ms = interval_ms;
    if (job->is_due && job->attempt == 0)
        sci_job_plan(job, job->base_ns + sci_job_interval_ns(job));
    sci_job_mind(job);
}

/* Nanoseconds until what is planned is due, as far as can be told now; not more than until the wall
   clock is to be looked at again. */
static int64_t sci_job_wait_ns(const sc_job *job)
{
    if (!job->is_walled)
        return job->due_ns - sci_loop_now_ns(&job->client->loop);
    int64_t wait_ms = job->due_ms - sci_job_wall_ms(job);
    return sci_min_i64(wait_ms, SCI_CRON_LOOK_S * 1000) * SCI_NS_PER_MS;
}

SCI_PRIVATE int64_t sci_job_due_in_ms(const sc_job *job)
{
    if (!job->is_due || job->is_paused)
        return -1;
    int64_t wait_ms = job->is_walled
                          ? job->due_ms - sci_job_wall_ms(job)
                          : (job->due_ns - sci_loop_now_ns(&job->client->loop)) / SCI_NS_PER_MS;
    return sci_max_i64(wait_ms, 0);
}

static void sci_job_begin(sc_job *job)
{
    int64_t wall_ms = sci_job_wall_ms(job);
    int64_t due_ms = job->is_due ? sci_min_i64(job->due_ms, wall_ms) : wall_ms;
    bool is_asked = job->is_triggered;
    if (job->has_cron && job->attempt > 0 && !is_asked)
        due_ms = job->tick_ms;
    job->tick_ms = due_ms;
    if (job->attempt == 0 && !(job->config.fixed_rate && job->is_due))
        job->base_ns = sci_loop_now_ns(&job->client->loop);
    else if (job->attempt == 0)
        job->base_ns = job->due_ns;
    job->seen_ms = wall_ms;
    job->is_due = false;
    job->is_triggered = false;
    sc_status status = sci_job_run_begin(job, due_ms, is_asked);
    if (status != SC_OK)
        sci_job_not_begun(job, status);
}

SCI_PRIVATE void sci_job_mind(sc_job *job)
{
    sci_loop *loop = &job->client->loop;
    sci_timer_cancel(loop, &job->timer);
    if (!job->is_leading || job->run || job->is_end_due || job->is_closed)
        return;
    if (sc_election_term(job->election) != job->term) { /* it has stopped, or is about to say so */
        sci_timer_arm(loop, &job->timer, sci_loop_now_ns(loop) + SCI_JOB_LOOK_NS);
        return;
    }
    if (job->is_triggered) {
        sci_job_begin(job);
        return;
    }
    if (job->is_paused || !job->is_due)
        return;
    int64_t step_back_ms = (int64_t)SCI_CRON_STEP_BACK_S * 1000;
    if (job->is_walled && sci_job_wall_ms(job) < job->seen_ms - step_back_ms)
        sci_job_plan_cron(job, sci_job_wall_ms(job)); /* the clock was wrong before */
    int64_t wait_ns = sci_job_wait_ns(job);
    if (wait_ns <= 0)
        sci_job_begin(job);
    else
        sci_timer_arm(loop, &job->timer, sci_loop_now_ns(loop) + wait_ns);
}

static void sci_job_fire(sci_timer *timer)
{
    sci_job_mind(SCI_CONTAINER(timer, sc_job, timer));
}

/* --- The election */

/* Registered where it leads: at once, but for a task that has its times. */
static void sci_job_plan_first(sc_job *job)
{
    job->is_leading = true;
    if (job->has_cron && job->target_count == 0)
        sci_job_plan_cron(job, sci_job_wall_ms(job));
    else
        sci_job_plan(job, sci_loop_now_ns(&job->client->loop));
    sci_job_mind(job);
}

/* When was it built last, and is all of it there? */
static void sci_job_ask(sc_job *job)
{
    sc_client *client = job->client;
    int64_t now_ns = sci_loop_now_ns(&client->loop);
    memset(&job->question, 0, sizeof job->question);
    job->question.encode = sci_job_question_encode;
    job->question.complete = sci_job_answered;
    job->question.replies = job->target_count ? 3 : 2;
    job->question.is_idempotent = true;
    job->question.deadline_ns = sci_client_deadline_ns(client, 0, now_ns);
    job->is_asking = true;
    job->references++;
    sci_conn_submit(client->shared, &job->question, now_ns);
}

static void sci_job_depose(sc_job *job)
{
    job->term = 0;
    job->is_leading = false;
    job->is_due = false;
    job->is_triggered = false;
    job->attempt = 0;
    sci_timer_cancel(&job->client->loop, &job->timer);
    if (!job->run)
        return;
    sc_status status =
        job->election->reason == SC_RESIGNED_CLOSED
            ? sci_job_say(job, SC_ERR_CLOSED, "is not built on: the client is being closed")
            : sci_job_say(job, SC_LOST, "is another's to build: this process leads no more");
    sci_job_run_fail(job->run, status);
}

/* Look who leads. */
static void sci_job_step(sci_timer *timer)
{
    sc_job *job = SCI_CONTAINER(timer, sc_job, step_timer);
    int64_t term = sci_election_leads(job->election) ? sc_election_term(job->election) : 0;
    if (job->is_closed || job->client->is_closing || term == job->term)
        return;
    job->references++; /* the run's end lets go of one */
    if (job->term)
        sci_job_depose(job);
    job->term = term;
    if (term && !job->is_asking)
        sci_job_ask(job);
    sci_job_release(job);
}

SCI_PRIVATE void sci_job_listen_event(sci_election_listener *listener, bool is_elected)
{
    sc_job *job = SCI_CONTAINER(listener, sc_job, listener);
    sci_loop *loop = &job->client->loop;
    (void)is_elected;
    sci_timer_arm(loop, &job->step_timer, sci_loop_now_ns(loop));
}

static sc_status sci_job_question_encode(sci_op *op, sci_bytes *out)
{
    const sc_job *job = SCI_CONTAINER(op, sc_job, question);
    const sc_slice state[5] = {sc_text("HMGET"), job->state, sc_text("at"), sc_text("seen"),
                               sc_text("rows")};
    const sc_slice clock = sc_text("TIME");
    sc_slice exist[1 + SCI_JOB_KEYS];
    exist[0] = sc_text("EXISTS");
    for (size_t i = 0; i < job->target_count; i++)
        exist[1 + i] = job->targets[i].key;
    sc_status status = sci_write_command(out, state, SCI_COUNT(state));
    if (status == SC_OK)
        status = sci_write_command(out, &clock, 1);
    if (status == SC_OK && job->target_count)
        status = sci_write_command(out, exist, 1 + job->target_count);
    return status;
}

/* A number among the answers; 0 when it is none. */
static int64_t sci_job_number(const sc_item *array, size_t index)
{
    int64_t number = 0;
    if (sci_text_to_i64(sc_item_slice(sc_item_at(array, index)), &number))
        return number;
    return 0;
}

/* What the answer says is planned. */
static void sci_job_plan_by(sc_job *job, const sc_reply *view)
{
    int64_t now_ns = sci_loop_now_ns(&job->client->loop);
    const sc_item *state = sc_reply_at(view, 0);
    const sc_item *clock = sc_reply_at(view, 1);
    int64_t at_ms = sci_job_number(state, 0);
    int64_t seen_ms = sci_job_number(state, 1);
    int64_t rows = sci_job_number(state, 2);
    int64_t server_ms = sci_job_number(clock, 0) * 1000 + sci_job_number(clock, 1) / 1000;
    int64_t there = 0;
    (void)sc_item_integer(sc_reply_at(view, 2), &there);
    bool is_missing = at_ms == 0 || (rows > 0 && there < (int64_t)job->target_count);
    if (job->has_cron && job->target_count == 0) {
        sci_job_plan_cron(job, seen_ms ? seen_ms : sci_job_wall_ms(job));
    } else if (is_missing) {
        sci_job_plan(job, now_ns);
    } else if (job->has_cron) {
        sci_job_plan_cron(job, at_ms);
    } else {
        int64_t age_ms = sci_min_i64(sci_max_i64(server_ms - at_ms, 0), job->config.interval_ms);
        job->base_ns = now_ns - age_ms * SCI_NS_PER_MS;
        sci_job_plan(job, job->base_ns + sci_job_interval_ns(job));
    }
}

/* What cannot be known is taken for due: building says what is wrong, and tries again. */
static void sci_job_answered(sci_op *op)
{
    sc_job *job = SCI_CONTAINER(op, sc_job, question);
    sc_status status = sci_op_result(op);
    job->is_asking = false;
    if (status == SC_OK)
        status = sc_item_check(sc_reply_at(op->view, 0));
    if (job->term && !job->is_closed && !job->client->is_closing) {
        job->is_leading = true;
        if (status == SC_OK)
            sci_job_plan_by(job, op->view);
        else
            sci_job_plan(job, sci_loop_now_ns(&job->client->loop));
        sci_job_mind(job);
    }
    sci_job_release(job);
}

/* --- Life */

SCI_PRIVATE sc_status sci_job_time_init(sc_job *job, const sc_job_config *config)
{
    sc_cron_config cron;
    job->timer.fire = sci_job_fire;
    job->step_timer.fire = sci_job_step;
    sci_zone_set_utc(&job->zone);
    job->has_cron = config->cron != NULL;
    if (!job->has_cron)
        return SC_OK;
    memset(&cron, 0, sizeof cron);
    cron.expression = config->cron;
    cron.zone = config->zone;
    cron.zone_folder = config->zone_folder;
    cron.files = config->files;
    return sci_cron_configure(&cron, &job->client->memory, &job->cron, &job->zone);
}

SCI_PRIVATE void sci_job_time_begin(sc_job *job)
{
    if (!sci_election_leads(job->election))
        return;
    job->term = sc_election_term(job->election);
    sci_job_plan_first(job);
}

SCI_PRIVATE void sci_job_time_stop(sc_job *job)
{
    sci_loop *loop = &job->client->loop;
    job->term = 0;
    job->is_leading = false;
    job->is_due = false;
    sci_timer_cancel(loop, &job->timer);
    sci_timer_cancel(loop, &job->step_timer);
}

SCI_PRIVATE void sci_job_time_forked(sc_job *job)
{
    memset(&job->timer.node, 0, sizeof job->timer.node);
    memset(&job->step_timer.node, 0, sizeof job->step_timer.node);
    job->term = 0;
    job->is_leading = job->is_asking = job->is_due = job->is_triggered = false;
    job->attempt = 0;
}
