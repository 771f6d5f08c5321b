/* Jobs: the shadows of a build, filled in chunks and kept while it goes on. */

#include "base/error.h"
#include "base/number.h"
#include "cache/job.h"
#include "client/conn.h"
#include "client/wait.h"
#include "resp/writer.h"

/* --- Keeping shadows while the build goes on */

static sc_status sci_run_write_lives(const sc_job_run *run, sci_bytes *out)
{
    char text[SCI_I64_TEXT_BYTES];
    size_t len = sci_i64_to_text(run->job->config.shadow_ttl_ms, text);
    sc_status status = SC_OK;
    for (size_t i = 0; i < run->rows.target_count && status == SC_OK; i++) {
        const sc_slice words[3] = {sc_text("PEXPIRE"), run->rows.targets[i].shadow,
                                   sc_bytes(text, len)};
        status = sci_write_command(out, words, 3);
    }
    return status;
}

static sc_status sci_run_renew_encode(sci_op *op, sci_bytes *out)
{
    return sci_run_write_lives(SCI_CONTAINER(op, sc_job_run, renewal), out);
}

SCI_PRIVATE sc_status sci_run_lost_shadow(const sc_job_run *run, size_t target)
{
    sc_slice key = run->rows.targets[target].key;
    return sc_fail(
        SC_LOST,
        "the job \"%.*s\": what was built for \"%.*s\" is not on the server any more, or "
        "not all of it: it was restarted, flushed, or evicts keys",
        (int)sci_min_size(run->job->name.len, 100), run->job->name.data,
        (int)sci_min_size(key.len, 100), key.data);
}

static void sci_run_renewed(sci_op *op)
{
    sc_job_run *run = SCI_CONTAINER(op, sc_job_run, renewal);
    sc_status status = sci_op_result(op);
    run->is_renewing = false;
    run->ops--;
    for (size_t i = 0; i < run->rows.target_count && status == SC_OK; i++) {
        int64_t is_there = 1;
        (void)sc_item_integer(sc_reply_at(op->view, i), &is_there);
        if (!is_there)
            status = sci_run_lost_shadow(run, i);
    }
    if (status != SC_OK)
        sci_run_over(run, status);
    sci_run_settle(run);
}

SCI_PRIVATE void sci_run_arm_renewal(sc_job_run *run)
{
    sci_loop *loop = &run->job->client->loop;
    int64_t part_ns = run->job->config.shadow_ttl_ms * SCI_NS_PER_MS / 3;
    sci_timer_arm(loop, &run->renew_timer, sci_loop_now_ns(loop) + part_ns);
}

SCI_PRIVATE void sci_run_renew_fire(sci_timer *timer)
{
    sc_job_run *run = SCI_CONTAINER(timer, sc_job_run, renew_timer);
    sci_run_arm_renewal(run);
    if (!run->is_kept || run->is_renewing || run->is_swapping || sci_run_is_over(run))
        return;
    run->is_renewing = true;
    memset(&run->renewal, 0, sizeof run->renewal);
    run->renewal.encode = sci_run_renew_encode;
    run->renewal.complete = sci_run_renewed;
    run->renewal.replies = (uint32_t)run->rows.target_count;
    sci_run_submit(run, run->conn, &run->renewal);
}

/* --- Chunks */

/* Each has the shadows end by themselves, should it make them anew: late, after they were deleted.
   The first one is a transaction, so that no part of it stays without an end. */
static sc_status sci_chunk_encode(sci_op *op, sci_bytes *out)
{
    const sci_job_chunk *chunk = SCI_CONTAINER(op, sci_job_chunk, op);
    const sc_job_run *run = chunk->run;
    const sc_slice multi = sc_text("MULTI");
    const sc_slice exec = sc_text("EXEC");
    sc_status status = chunk->is_first ? sci_write_command(out, &multi, 1) : SC_OK;
    if (status == SC_OK)
        status = sci_job_rows_write(&run->rows, out);
    if (status == SC_OK)
        status = sci_run_write_lives(run, out);
    if (status == SC_OK && chunk->is_first)
        status = sci_write_command(out, &exec, 1);
    return status;
}

/* Each row that was sent alone must have been new. `*at`: of the next answer. */
static sc_status sci_chunk_check_doubts(const sci_job_chunk *chunk, const sci_op *op, size_t *at)
{
    const sc_job *job = chunk->run->job;
    sc_slice left = sci_bytes_slice(&chunk->doubts);
    for (size_t i = 0; i < chunk->doubt_count; i++) {
        sci_job_doubt doubt;
        int64_t is_new = 0;
        memcpy(&doubt, left.data, sizeof doubt);
        sc_slice id = sc_bytes(left.data + sizeof doubt, doubt.len);
        const sc_item *answer = chunk->is_first
                                    ? sc_item_at(sc_reply_at(op->view, op->replies - 1), (*at)++)
                                    : sc_reply_at(op->view, (*at)++);
        sc_status status = sc_item_integer(answer, &is_new);
        if (status == SC_OK && !is_new)
            status = sc_fail(SC_ERR_ARGUMENT,
                             "row %lld of the job \"%.*s\" has the id of an earlier one: %.*s",
                             (long long)doubt.row, (int)sci_min_size(job->name.len, 100),
                             job->name.data, (int)sci_min_size(id.len, 120), id.data);
        if (status != SC_OK)
            return status;
        left = sc_bytes(id.data + id.len, left.len - sizeof doubt - id.len);
    }
    return SC_OK;
}

/* What the server has answered for one target. */
static sc_status sci_chunk_check_target(sci_job_chunk *chunk, const sci_op *op, size_t target,
                                        size_t *at)
{
    sci_job_target *shadow = &chunk->run->rows.targets[target];
    int64_t count = 0;
    if (chunk->bodies >> target & 1) {
        const sc_item *answer = chunk->is_first
                                    ? sc_item_at(sc_reply_at(op->view, op->replies - 1), (*at)++)
                                    : sc_reply_at(op->view, (*at)++);
        sc_status status = sc_item_integer(answer, &count);
        if (status != SC_OK)
            return status;
        if (shadow->type == SC_JOB_SET || shadow->type == SC_JOB_SORTED_SET)
            shadow->size += count;
    }
    return shadow->type == SC_JOB_HASH ? sci_chunk_check_doubts(chunk, op, at) : SC_OK;
}

static sc_status sci_chunk_check(sci_job_chunk *chunk, const sci_op *op)
{
    const sc_item *last = sc_reply_at(op->view, op->replies - 1);
    size_t at = 0;
    sc_status status = SC_OK;
    if (chunk->is_first && sc_item_kind(last) != SC_ARRAY) { /* what was refused says why */
        for (uint32_t i = 0; i < op->replies && status == SC_OK; i++)
            status = sc_item_check(sc_reply_at(op->view, i));
        return status != SC_OK ? status : sc_fail(SC_ERR_PROTOCOL, "EXEC was answered by no array");
    }
    for (size_t i = 0; i < chunk->run->rows.target_count && status == SC_OK; i++)
        status = sci_chunk_check_target(chunk, op, i, &at);
    return status;
}

SCI_PRIVATE size_t sci_run_flight_bytes(const sc_job_run *run)
{
    return sci_min_size(SCI_JOB_FLIGHT_BYTES, run->job->client->config.max_output_bytes / 2);
}

SCI_PRIVATE size_t sci_run_chunk_bytes(const sc_job_run *run)
{
    return sci_min_size(SCI_JOB_CHUNK_BYTES, sci_run_flight_bytes(run) / 2);
}

static void sci_chunk_complete(sci_op *op)
{
    sci_job_chunk *chunk = SCI_CONTAINER(op, sci_job_chunk, op);
    sc_job_run *run = chunk->run;
    sc_status status = sci_op_result(op);
    if (status == SC_OK && !sci_run_is_over(run))
        status = sci_chunk_check(chunk, op);
    if (status != SC_OK)
        sci_run_over(run, status);
    run->is_kept = true;
    run->ops--;
    run->flight_bytes -= chunk->bytes;
    chunk->is_busy = false;
    if (run->flight_bytes <= sci_run_flight_bytes(run) / 2)
        sci_run_make_room(run);
    sci_run_settle(run);
}

/* One that is not under way. NULL: no memory. */
static sci_job_chunk *sci_run_chunk(sc_job_run *run)
{
    const sc_memory *memory = &run->job->client->memory;
    for (sci_link *link = run->chunks.next; link != &run->chunks; link = link->next) {
        sci_job_chunk *chunk = SCI_CONTAINER(link, sci_job_chunk, link);
        if (!chunk->is_busy)
            return chunk;
    }
    sci_job_chunk *chunk = (sci_job_chunk *)sci_alloc_zeroed(memory, sizeof *chunk);
    if (!chunk)
        return NULL;
    chunk->run = run;
    sci_bytes_init(&chunk->doubts, memory);
    sci_list_init(&chunk->link);
    sci_list_append(&run->chunks, &chunk->link);
    return chunk;
}

static void sci_chunk_fill(sci_job_chunk *chunk)
{
    sci_job_rows *rows = &chunk->run->rows;
    memset(&chunk->op, 0, sizeof chunk->op);
    chunk->op.encode = sci_chunk_encode;
    chunk->op.complete = sci_chunk_complete;
    chunk->is_first = !chunk->run->has_shadows;
    chunk->op.replies = sci_job_rows_commands(rows) + (uint32_t)rows->target_count;
    if (chunk->is_first)
        chunk->op.replies += 2; /* MULTI, EXEC */
    chunk->rows = rows->row - rows->first_row;
    chunk->bytes = 0;
    chunk->bodies = 0;
    for (size_t i = 0; i < rows->target_count; i++) {
        size_t body_bytes = sci_bytes_len(&rows->targets[i].body);
        chunk->bytes += body_bytes + sci_bytes_len(&rows->targets[i].singles);
        chunk->bodies |= (uint32_t)(body_bytes > 0) << i;
    }
    chunk->doubt_count = rows->doubt_count;
    sci_bytes_swap(&chunk->doubts, &rows->doubts);
}

SCI_PRIVATE void sci_run_send(sc_job_run *run)
{
    sci_job_rows *rows = &run->rows;
    if (sci_run_is_over(run) || sci_job_rows_commands(rows) == 0)
        return;
    sci_job_chunk *chunk = sci_run_chunk(run);
    if (!chunk) {
        sci_run_over(run, SC_ERR_MEMORY);
        return;
    }
    sci_chunk_fill(chunk);
    chunk->is_busy = true;
    run->has_shadows = true;
    run->flight_bytes += chunk->bytes;
    run->sent_rows += chunk->rows;
    run->ops++; /* sending ends no run */
    sci_run_submit(run, run->conn, &chunk->op);
    run->ops--;
    sci_job_rows_next(rows);
}
