/* Jobs: registering, ending, and the calls. */

#include "cache/job.h"

#include "base/error.h"
#include "base/number.h"
#include "client/conn.h"
#include "client/wait.h"
#include "server/scripts.h"

SCI_PRIVATE sc_status sci_job_say(const sc_job *job, sc_status status, const char *what)
{
    return sc_fail(status, "the job \"%.*s\" %s", (int)sci_min_size(job->name.len, 100),
                   job->name.data, what);
}

/* --- The end of a build */

static void sci_job_wake_closer(sc_job *job)
{
    if (job->closer)
        sci_waiter_finish(job->client, job->closer);
    job->closer = NULL;
}

static void sci_job_copy_stats(const sc_job *job, sc_job_stats *stats)
{
    *stats = job->stats;
    stats->is_leading = job->term != 0;
    stats->is_building = job->run != NULL;
    stats->is_paused = job->is_paused;
    stats->due_in_ms = sci_job_due_in_ms(job);
    if (job->run)
        stats->rows = job->run->sent_rows;
}

/* Locked on entry and exit: call a function of the program's. */
static void sci_job_tell(sc_job *job, bool is_end)
{
    sc_client *client = job->client;
    sc_job_stats stats;
    if (job->is_closed)
        return;
    sci_job_copy_stats(job, &stats);
    job->is_telling = true;
    sci_client_unlock(client);
    if (is_end)
        job->config.on_end(job->config.user, job, &stats);
    else
        job->config.on_progress(job->config.user, job, stats.rows);
    sci_loop_lock(&client->loop);
    job->is_telling = false;
    sci_job_wake_closer(job);
}

static void sci_job_tell_end(sci_post *post)
{
    sc_job *job = SCI_CONTAINER(post, sc_job, end_post);
    sc_client *client = job->client;
    sci_client_retain(client);
    sci_loop_lock(&client->loop);
    sci_job_tell(job, true);
    job->is_end_due = false;
    sci_job_plan_next(job, job->stats.status);
    sci_job_mind(job);
    sci_job_release(job);
    sci_client_unlock(client);
    sci_client_release(client);
}

static void sci_job_tell_progress(sci_post *post)
{
    sc_job *job = SCI_CONTAINER(post, sc_job, progress_post);
    sc_client *client = job->client;
    sci_client_retain(client);
    sci_loop_lock(&client->loop);
    job->is_progress_due = false;
    if (job->run)
        sci_job_tell(job, false);
    sci_job_release(job);
    sci_client_unlock(client);
    sci_client_release(client);
}

SCI_PRIVATE void sci_job_progress(sc_job *job)
{
    if (job->is_progress_due)
        return;
    job->is_progress_due = true;
    job->references++;
    sci_loop_post(&job->client->loop, &job->progress_post);
}

/* With words of anything but SC_OK. */
static void sci_job_note(sc_job *job, sc_status status, const char *words)
{
    const sc_clock *clock = &job->client->loop.clock;
    int64_t wall_ms = clock->wall_ms(clock->user);
    job->stats.status = status;
    (void)sci_format(job->stats.words, sizeof job->stats.words, "%s", status == SC_OK ? "" : words);
    if (status == SC_OK) {
        job->stats.builds++;
        job->stats.last_ms = wall_ms;
    } else {
        job->stats.failures++;
        job->stats.failed_ms = wall_ms;
        sci_client_log(job->client, SC_LOG_WARNING, "the job \"%.*s\" failed: %s",
                       (int)sci_min_size(job->name.len, 100), job->name.data, words);
    }
}

/* Tell, then plan the next one. */
static void sci_job_go_on(sc_job *job)
{
    if (job->config.on_end && !job->is_closed && !job->client->is_closing) {
        job->is_end_due = true;
        job->references++;
        sci_loop_post(&job->client->loop, &job->end_post);
        return;
    }
    sci_job_plan_next(job, job->stats.status);
    sci_job_mind(job);
}

SCI_PRIVATE void sci_job_ended(sc_job *job, const sc_job_run *run)
{
    sci_job_wake_closer(job);
    job->ended_term = run->term;
    if (run->status == SC_HELD) { /* another did it */
        sci_job_plan_next(job, run->status);
        sci_job_mind(job);
        return;
    }
    int64_t took_ns = sci_loop_now_ns(&job->client->loop) - run->begun_ns;
    job->stats.duration_ms = took_ns / SCI_NS_PER_MS;
    if (run->status == SC_OK)
        job->stats.rows = run->rows.row;
    sci_job_note(job, run->status, run->words);
    sci_job_go_on(job);
}

SCI_PRIVATE void sci_job_not_begun(sc_job *job, sc_status status)
{
    char words[SC_ERROR_TEXT_BYTES];
    (void)sci_format(words, sizeof words, "%s", sc_error_text());
    job->ended_term = job->term;
    sci_job_note(job, status, words);
    sci_job_go_on(job);
}

/* --- Configuration */

static sc_status sci_job_check_keys(const sc_job_config *config)
{
    if (config->key_count > SCI_JOB_KEYS)
        return sc_fail(SC_ERR_ARGUMENT, "sc_job_config.key_count is %zu; at most %d are possible",
                       config->key_count, SCI_JOB_KEYS);
    for (size_t i = 0; i < config->key_count; i++) {
        const sc_job_key *key = &config->keys[i];
        if (!key->key.len || key->type < SC_JOB_STRING || key->type > SC_JOB_SORTED_SET)
            return sc_fail(SC_ERR_ARGUMENT, "sc_job_config.keys[%zu]%s", i,
                           key->key.len ? ".type is none of sc_job_type" : ".key is empty");
        for (size_t j = 0; j < i; j++)
            if (sci_slice_equal(key->key, config->keys[j].key))
                return sc_fail(SC_ERR_ARGUMENT, "sc_job_config.keys[%zu] and [%zu] are the same", j,
                               i);
    }
    return SC_OK;
}

static const char *sci_job_find_fault(const sc_job_config *config)
{
    if (!config->name || !*config->name)
        return "name is empty";
    if (!config->fetch == !config->start)
        return "fetch or start, one of them, is required";
    if (config->start && config->key_count && !config->on_room)
        return "on_room is NULL: start needs it";
    if (!config->cron == !config->interval_ms)
        return "interval_ms or cron, one of them, is required";
    return NULL;
}

static sc_status sci_job_check(const sc_job_config *config)
{
    static const char of[] = "sc_job_config";
    const char *fault = sci_job_find_fault(config);
    if (fault)
        return sc_fail(SC_ERR_ARGUMENT, "sc_job_config.%s", fault);
    sc_status status = sci_job_check_keys(config);
    if (status == SC_OK)
        status = sci_check_ms(of, "interval_ms", config->interval_ms, 0, SCI_JOB_LONGEST_MS);
    if (status == SC_OK)
        status = sci_check_ms(of, "ttl_ms", config->ttl_ms, 0, SCI_JOB_LONGEST_MS);
    if (status == SC_OK)
        status =
            sci_check_ms(of, "fetch_timeout_ms", config->fetch_timeout_ms, 0, SCI_JOB_LONGEST_MS);
    if (status == SC_OK)
        status = sci_check_ms(of, "retry_min_ms", config->retry_min_ms, 0, SCI_JOB_LONGEST_MS);
    if (status == SC_OK)
        status = sci_check_ms(of, "retry_max_ms", config->retry_max_ms, 0, SCI_JOB_LONGEST_MS);
    if (status == SC_OK && config->shadow_ttl_ms)
        status = sci_check_ms(of, "shadow_ttl_ms", config->shadow_ttl_ms,
                              SCI_JOB_LEAST_SHADOW_TTL_MS, SCI_JOB_LONGEST_MS);
    if (status == SC_OK)
        status = sci_check_ms(of, "progress_ms", config->progress_ms, 0, SCI_JOB_LONGEST_MS);
    return status;
}

static void sci_job_configure(sc_job *job, const sc_job_config *given)
{
    sc_job_config *config = &job->config;
    *config = *given;
    config->name = config->id_prop = config->score_prop = NULL;
    config->cron = config->zone = config->zone_folder = NULL;
    config->files = NULL;
    config->keys = NULL;
    if (!config->retries && config->key_count)
        config->retries = SCI_JOB_RETRIES;
    if (!config->retry_min_ms)
        config->retry_min_ms = SCI_JOB_RETRY_MIN_MS;
    if (!config->retry_max_ms)
        config->retry_max_ms = SCI_JOB_RETRY_MAX_MS;
    if (!config->shadow_ttl_ms)
        config->shadow_ttl_ms = SCI_JOB_SHADOW_TTL_MS;
    if (!config->progress_ms)
        config->progress_ms = SCI_JOB_PROGRESS_MS;
}

/* One behind the other in the block, which has room for it. */
static sc_slice sci_job_copy(sc_job *job, sc_slice text)
{
    size_t at = sci_bytes_len(&job->block);
    (void)sci_bytes_append(&job->block, text);
    return sc_bytes(job->block.data + at, text.len);
}

static sc_status sci_job_name(sc_job *job, const sc_job_config *config)
{
    static const char *const kinds[] = {"sc:job"};
    sc_slice made[2];
    sc_slice name = sc_text(config->name);
    sc_slice id_prop = sc_text(config->id_prop);
    sc_slice score_prop = sc_text(config->score_prop);
    size_t bytes = 2 * name.len + SCI_NAME_BYTES + id_prop.len + score_prop.len;
    for (size_t i = 0; i < config->key_count; i++)
        bytes += config->keys[i].key.len;
    sc_status status = sci_bytes_reserve(&job->block, bytes);
    if (status == SC_OK)
        status = sci_names_build(&job->block, name, kinds, 1, made);
    if (status == SC_OK && config->key_count)
        job->targets = (sci_job_target *)sci_alloc_zeroed(
            &job->client->memory, config->key_count * sizeof(sci_job_target));
    if (status != SC_OK || (config->key_count && !job->targets))
        return SC_ERR_MEMORY;
    job->name = made[0];
    job->state = made[1];
    job->id_prop = sci_job_copy(job, id_prop);
    job->score_prop = sci_job_copy(job, score_prop);
    job->target_count = config->key_count;
    for (size_t i = 0; i < config->key_count; i++) {
        job->targets[i].key = sci_job_copy(job, config->keys[i].key);
        job->targets[i].type = config->keys[i].type;
    }
    return SC_OK;
}

/* --- Life */

SCI_PRIVATE void sci_job_release(sc_job *job)
{
    sc_client *client = job->client;
    if (--job->references > 0)
        return;
    sci_list_remove(&job->close_hook.link);
    sci_list_remove(&job->fork_hook.link);
    sci_list_remove(&job->listener.link);
    sci_election_release(job->election);
    sci_workers_let_go(client);
    sci_zone_close(&job->zone);
    sci_bytes_free(&job->block);
    sci_free(&client->memory, job->targets, job->target_count * sizeof(sci_job_target));
    sci_free(&client->memory, job, sizeof *job);
    sci_client_release(client);
}

static void sci_job_closing(sci_close_hook *hook)
{
    sc_job *job = SCI_CONTAINER(hook, sc_job, close_hook);
    job->references++;
    sci_job_time_stop(job);
    if (job->run)
        sci_job_run_close(job->run);
    sci_job_wake_closer(job);
    sci_job_release(job);
}

/* The child leads nothing, and what is under way is the parent's. */
static void sci_job_forked(sci_fork_hook *hook)
{
    sc_job *job = SCI_CONTAINER(hook, sc_job, fork_hook);
    sci_job_time_forked(job);
    sci_workers_forked(job->client);
    job->references = (job->is_closed ? 0u : 1u) + (job->run ? 1u : 0u);
    job->is_end_due = job->is_progress_due = job->is_telling = false;
    job->closer = NULL;
    sci_list_init(&job->end_post.link);
    sci_list_init(&job->progress_post.link);
    if (job->run)
        sci_job_run_forked(job->run);
}

static sc_job *sci_job_create(sc_election *election)
{
    sc_client *client = election->client;
    sc_job *job = (sc_job *)sci_alloc_zeroed(&client->memory, sizeof *job);
    if (!job)
        return NULL;
    job->client = client;
    job->references = 1;
    job->close_hook.closing = sci_job_closing;
    job->fork_hook.forked = sci_job_forked;
    job->listener.changed = sci_job_listen_event;
    job->end_post.run = sci_job_tell_end;
    job->progress_post.run = sci_job_tell_progress;
    sci_list_init(&job->close_hook.link);
    sci_list_init(&job->fork_hook.link);
    sci_list_init(&job->listener.link);
    sci_list_init(&job->end_post.link);
    sci_list_init(&job->progress_post.link);
    sci_bytes_init(&job->block, &client->memory);
    sci_script_init(&job->scripts[0], SCI_SCRIPT_SWAP);
    sci_script_init(&job->scripts[1], SCI_SCRIPT_CLAIM);
    sci_script_init(&job->scripts[2], SCI_SCRIPT_DROP);
    return job;
}

/* What has no users beside itself yet. */
static void sci_job_discard(sc_job *job)
{
    const sc_memory *memory = &job->client->memory;
    sci_zone_close(&job->zone);
    sci_bytes_free(&job->block);
    sci_free(memory, job->targets, job->target_count * sizeof(sci_job_target));
    sci_free(memory, job, sizeof *job);
}

SC_API sc_status sc_job_open(sc_election *election, const sc_job_config *config, sc_job **job)
{
    *job = NULL;
    if (!election || !config)
        return sc_fail(SC_ERR_ARGUMENT, "sc_job_open: the %s is NULL",
                       election ? "sc_job_config" : "election");
    sc_status status = sci_job_check(config);
    if (status != SC_OK)
        return status;
    sc_job *created = sci_job_create(election);
    if (!created)
        return SC_ERR_MEMORY;
    sc_client *client = created->client;
    sci_job_configure(created, config);
    status = sci_job_time_init(created, config);
    if (status == SC_OK)
        status = sci_job_name(created, config);
    if (status == SC_OK)
        status = sci_client_enter(client);
    if (status != SC_OK) {
        sci_job_discard(created);
        return status;
    }
    status = sci_workers_use(client);
    if (status != SC_OK) {
        sci_client_leave(client);
        sci_job_discard(created);
        return status;
    }
    sci_client_retain(client);
    sci_election_retain(election);
    created->election = election;
    sci_list_append(&client->close_hooks, &created->close_hook.link);
    sci_list_append(&client->fork_hooks, &created->fork_hook.link);
    sci_election_listen(election, &created->listener);
    sci_client_want_thread(client);
    *job = created; /* before anything of it can run */
    sci_job_time_begin(created);
    sci_client_leave(client);
    return SC_OK;
}

/* Locked: until its functions have returned; not from within them, nor callbacks. */
static void sci_job_await_end(sc_job *job)
{
    sc_client *client = job->client;
    uintptr_t self = sci_thread_self();
    while (!client->is_closing && client->loop.dispatcher != self &&
           (job->is_telling || (job->run && job->run->fetcher != self))) {
        sci_waiter waiter;
        sci_waiter_init(&waiter, 0);
        job->closer = &waiter;
        (void)sci_waiter_wait_locked(client, &waiter, SCI_NEVER);
        job->closer = NULL;
    }
}

/* Locked. */
static void sci_job_stop(sc_job *job)
{
    job->is_closed = true;
    sci_list_remove(&job->listener.link);
    sci_job_time_stop(job);
    if (job->run)
        sci_job_run_fail(job->run, sci_job_say(job, SC_ERR_CANCELLED, "was closed"));
    sci_job_await_end(job);
}

/* Delete the keys, as the leader. Locked on entry and exit. */
static void sci_job_drop_done(sci_eval_op *eval)
{
    sci_op_wake(&eval->op);
}

static sc_status sci_job_delete(sc_job *job, sc_slice leader, const char *term)
{
    sc_client *client = job->client;
    sci_eval_op eval;
    sc_slice keys[3 + SCI_JOB_KEYS];
    sc_slice args[2];
    int64_t is_done = 0;
    sci_election_keys(job->election, keys);
    keys[2] = job->state;
    for (size_t i = 0; i < job->target_count; i++)
        keys[3 + i] = job->targets[i].key;
    args[0] = leader;
    args[1] = sc_text(term);
    sci_eval_init(&eval, &job->scripts[2], keys, 3 + job->target_count, args, 2, sci_job_drop_done);
    eval.op.is_idempotent = true;
    eval.op.reply = sci_reply_create(&client->memory);
    if (!eval.op.reply)
        return SC_ERR_MEMORY;
    sc_status status = sci_op_run(client, client->shared, &eval.op, 0);
    if (status == SC_OK)
        status = sc_item_integer(sc_reply_item(eval.op.reply), &is_done);
    sc_reply_release(eval.op.reply);
    if (status == SC_OK && !is_done)
        status = sci_job_say(job, SC_HELD, "is another's to drop: this process does not lead");
    return status;
}

/* Locked: if this process leads. */
static sc_status sci_job_delete_as_leader(sc_job *job)
{
    char term[SCI_I64_TEXT_BYTES];
    sci_bytes leader;
    if (!sci_election_leads(job->election))
        return sci_job_say(job, SC_HELD, "is another's to drop: this process does not lead");
    sci_bytes_init(&leader, &job->client->memory);
    sc_status status = sci_bytes_append(&leader, sci_election_value(job->election));
    (void)sci_i64_to_text(sc_election_term(job->election), term);
    if (status == SC_OK)
        status = sci_job_delete(job, sci_bytes_slice(&leader), term);
    sci_bytes_free(&leader);
    return status;
}

static sc_status sci_job_finish(sc_job *job, bool drops)
{
    sc_client *client = job->client;
    sci_client_retain(client);
    sc_status status = sci_client_enter(client);
    bool is_open = status == SC_OK;
    if (!is_open)
        sci_loop_lock(&client->loop);
    sci_job_stop(job);
    if (drops && is_open)
        status = sci_job_delete_as_leader(job);
    sci_job_release(job);
    if (is_open)
        sci_client_leave_call(client);
    else
        sci_client_unlock(client);
    sci_client_release(client);
    return status;
}

SC_API void sc_job_close(sc_job *job)
{
    if (job)
        (void)sci_job_finish(job, false);
}

SC_API sc_status sc_job_drop(sc_job *job)
{
    return job ? sci_job_finish(job, true) : SC_OK;
}

/* --- Calls */

static sc_status sci_job_enter(sc_job *job)
{
    return sci_client_enter(job ? job->client : NULL);
}

SC_API sc_status sc_job_trigger(sc_job *job)
{
    sc_status status = sci_job_enter(job);
    if (status != SC_OK)
        return status;
    if (job->term) {
        job->is_triggered = true;
        sci_job_mind(job);
    } else {
        status = sci_job_say(job, SC_HELD, "is another's to build: this process does not lead");
    }
    sci_client_leave(job->client);
    return status;
}

static sc_status sci_job_set_paused(sc_job *job, bool is_paused)
{
    sc_status status = sci_job_enter(job);
    if (status != SC_OK)
        return status;
    job->is_paused = is_paused;
    sci_job_mind(job);
    sci_client_leave(job->client);
    return SC_OK;
}

SC_API sc_status sc_job_pause(sc_job *job)
{
    return sci_job_set_paused(job, true);
}

SC_API sc_status sc_job_resume(sc_job *job)
{
    return sci_job_set_paused(job, false);
}

SC_API sc_status sc_job_set_interval(sc_job *job, int64_t interval_ms)
{
    sc_status status =
        sci_check_ms("sc_job_set_interval", "interval_ms", interval_ms, 1, SCI_JOB_LONGEST_MS);
    if (status == SC_OK)
        status = sci_job_enter(job);
    if (status != SC_OK)
        return status;
    if (job->has_cron)
        status = sci_job_say(job, SC_ERR_ARGUMENT, "goes by cron, not by an interval");
    else
        sci_job_change_interval(job, interval_ms);
    sci_client_leave(job->client);
    return status;
}

SC_API sc_status sc_job_stats_get(sc_job *job, sc_job_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    sc_status status = sci_job_enter(job);
    if (status != SC_OK)
        return status;
    sci_job_copy_stats(job, stats);
    sci_client_leave(job->client);
    return SC_OK;
}
