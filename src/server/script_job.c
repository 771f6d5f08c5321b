/* The native forms of the scripts of jobs (scripts.h). */

#include "server/script_run.h"

/* Places of keys and arguments. */
#define SCI_JOB_STATE 2
#define SCI_JOB_FIRST_KEY 3
#define SCI_JOB_ARG_LEADER 0
#define SCI_JOB_ARG_TERM 1
#define SCI_JOB_ARG_BUILD 2
#define SCI_SWAP_ARG_ROWS 3
#define SCI_SWAP_ARG_TTL 4
#define SCI_SWAP_ARG_CLEAR 5
#define SCI_SWAP_ARG_SIZES 6
#define SCI_CLAIM_ARG_DUE 3
#define SCI_CLAIM_ARG_SEEN 4

/* `*leads`: the term is the last that was granted, and its lock is held. A fence that has run out is
   that of no later term, since each sets it anew. */
static bool sci_script_has_term(sci_script_run *run, bool *leads)
{
    sc_slice holder, fence;
    *leads = false;
    if (!sci_script_get(run, SCI_SCRIPT_LEASE, &holder))
        return false;
    bool is_ours = holder.data && sci_slice_equal(holder, run->args[SCI_JOB_ARG_LEADER]);
    if (!sci_script_get(run, SCI_SCRIPT_FENCE_KEY, &fence))
        return false;
    *leads = is_ours && (!fence.data || sci_slice_equal(fence, run->args[SCI_JOB_ARG_TERM]));
    return true;
}

/* A field of the job's state; NULL: it has none. */
static bool sci_script_state(sci_script_run *run, const char *field, sc_slice *text)
{
    if (!sci_script_do_on(run, "HGET", SCI_JOB_STATE, sc_text(field), sc_bytes(NULL, 0)))
        return false;
    *text = sci_script_answered(run);
    return true;
}

/* Whether there is something to do. Else it has been answered: 1, since this very build, whose token
   is in `field`, has been here before; 0, since another leads. */
static bool sci_script_is_new(sci_script_run *run, const char *field)
{
    sc_slice build;
    bool leads;
    if (!sci_script_state(run, field, &build))
        return false;
    if (build.data && sci_slice_equal(build, run->args[SCI_JOB_ARG_BUILD])) {
        sci_answer_i64(run->call, 1);
        return false;
    }
    if (!sci_script_has_term(run, &leads))
        return false;
    if (!leads)
        sci_answer_i64(run->call, 0);
    return leads;
}

/* `*lost`: the place of the first shadow that is not what was built; 0: all are. */
static bool sci_script_check_shadows(sci_script_run *run, size_t *lost)
{
    *lost = 0;
    for (size_t i = SCI_JOB_FIRST_KEY; i < run->key_count && *lost == 0; i += 2) {
        size_t size = SCI_SWAP_ARG_SIZES + i - SCI_JOB_FIRST_KEY;
        const sc_slice words[2] = {run->args[size], run->keys[i]};
        if (!sci_script_do(run, words, 2))
            return false;
        int64_t expected = -1;
        (void)sci_text_to_i64(run->args[size + 1], &expected);
        if (sci_script_counted(run) != expected)
            *lost = i + 1;
    }
    return true;
}

static bool sci_script_swap_pair(sci_script_run *run, size_t shadow)
{
    const sc_slice none = sc_bytes(NULL, 0);
    const sc_slice ttl = run->args[SCI_SWAP_ARG_TTL];
    const sc_slice unlink[2] = {sc_text("UNLINK"), run->keys[shadow + 1]};
    const sc_slice persist[2] = {sc_text("PERSIST"), run->keys[shadow + 1]};
    if (!sci_script_do(run, unlink, 2) ||
        !sci_script_do_on(run, "RENAME", shadow, run->keys[shadow + 1], none))
        return false;
    return sci_slice_equal(ttl, sc_text("0"))
               ? sci_script_do(run, persist, 2)
               : sci_script_do_on(run, "PEXPIRE", shadow + 1, ttl, none);
}

static bool sci_script_swap_all(sci_script_run *run, bool has_rows)
{
    bool clears = sci_slice_equal(run->args[SCI_SWAP_ARG_CLEAR], sc_text("1"));
    for (size_t i = SCI_JOB_FIRST_KEY; i < run->key_count; i += 2) {
        const sc_slice unlink[2] = {sc_text("UNLINK"), run->keys[i + 1]};
        if (has_rows ? !sci_script_swap_pair(run, i) : clears && !sci_script_do(run, unlink, 2))
            return false;
    }
    return true;
}

static bool sci_script_note_build(sci_script_run *run)
{
    char now[SCI_I64_TEXT_BYTES];
    const sc_slice *args = run->args;
    const sc_slice words[10] = {
        sc_text("HSET"),  run->keys[SCI_JOB_STATE],
        sc_text("build"), args[SCI_JOB_ARG_BUILD],
        sc_text("term"),  args[SCI_JOB_ARG_TERM],
        sc_text("rows"),  args[SCI_SWAP_ARG_ROWS],
        sc_text("at"),    sc_bytes(now, sci_i64_to_text(run->call->now_ms, now))};
    return sci_script_do(run, words, 10);
}

SCI_PRIVATE void sci_script_swap(sci_script_run *run)
{
    size_t lost = 0;
    if (run->arg_count != SCI_SWAP_ARG_SIZES + run->key_count - SCI_JOB_FIRST_KEY) {
        sci_answer_error(run->call, "ERR a shadow without a key, or without its size");
        return;
    }
    bool has_rows = !sci_slice_equal(run->args[SCI_SWAP_ARG_ROWS], sc_text("0"));
    if (!sci_script_is_new(run, "build") || (has_rows && !sci_script_check_shadows(run, &lost)))
        return;
    if (lost)
        sci_answer_i64(run->call, (int64_t)lost);
    else if (sci_script_swap_all(run, has_rows) && sci_script_note_build(run))
        sci_answer_i64(run->call, 1);
}

SCI_PRIVATE void sci_script_claim(sci_script_run *run)
{
    const sc_slice *args = run->args;
    const sc_slice words[8] = {
        sc_text("HSET"), run->keys[SCI_JOB_STATE], sc_text("claim"), args[SCI_JOB_ARG_BUILD],
        sc_text("seen"), args[SCI_CLAIM_ARG_SEEN], sc_text("term"),  args[SCI_JOB_ARG_TERM]};
    sc_slice seen;
    int64_t seen_ms = 0;
    int64_t due_ms = 0;
    if (!sci_script_is_new(run, "claim") || !sci_script_state(run, "seen", &seen))
        return;
    (void)sci_text_to_i64(seen, &seen_ms);
    (void)sci_text_to_i64(args[SCI_CLAIM_ARG_DUE], &due_ms);
    if (seen_ms >= due_ms)
        sci_answer_i64(run->call, 2);
    else if (sci_script_do(run, words, 8))
        sci_answer_i64(run->call, 1);
}

SCI_PRIVATE void sci_script_drop(sci_script_run *run)
{
    bool leads;
    if (!sci_script_has_term(run, &leads))
        return;
    for (size_t i = SCI_JOB_STATE; leads && i < run->key_count; i++) {
        const sc_slice words[2] = {sc_text("UNLINK"), run->keys[i]};
        if (!sci_script_do(run, words, 2))
            return;
    }
    sci_answer_i64(run->call, leads);
}
