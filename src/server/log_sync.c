/* The log's syncs: one thread, one file, and at most one sync at a time. */

#include "server/log_sync.h"

#include "base/error.h"

SCI_PRIVATE void sci_log_syncer_init(sci_log_syncer *syncer, const sc_files *files,
                                     const sc_clock *clock, int64_t pause_ns)
{
    memset(syncer, 0, sizeof *syncer);
    syncer->files = files;
    syncer->clock = *clock;
    syncer->pause_ns = pause_ns;
    sci_mutex_init(&syncer->lock);
    sci_gate_init(&syncer->gate);
}

static int64_t sci_log_syncer_now(const sci_log_syncer *syncer)
{
    return syncer->clock.monotonic_ns(syncer->clock.user);
}

/* Locked. When the next thing is due, INT64_MAX: nothing is to be done. */
static int64_t sci_log_syncer_due(const sci_log_syncer *syncer)
{
    if (syncer->trash)
        return INT64_MIN;
    if (!syncer->file || syncer->is_held || syncer->status != SC_OK ||
        (syncer->wanted <= syncer->synced && !syncer->folder))
        return INT64_MAX;
    return syncer->due_ns;
}

/* Locked, but not while it syncs. */
static void sci_log_syncer_sync(sci_log_syncer *syncer)
{
    void *file = syncer->wanted > syncer->synced ? syncer->file : NULL;
    const char *folder = syncer->folder;
    uint64_t bytes = syncer->wanted;
    syncer->due_ns = syncer->began_ns + syncer->pause_ns;
    sci_mutex_unlock(&syncer->lock);
    sc_status status = file ? syncer->files->sync(file) : SC_OK;
    if (status == SC_OK && folder)
        status = syncer->files->sync_folder(syncer->files->user, folder);
    sci_mutex_lock(&syncer->lock);
    if (status == SC_OK) {
        syncer->synced = bytes;
        if (folder)
            syncer->folder = NULL;
    } else {
        syncer->status = status;
        (void)sci_format(syncer->words, sizeof syncer->words, "%s", sc_error_text());
    }
}

/* Locked, but not while it shuts. */
static void sci_log_syncer_empty_trash(sci_log_syncer *syncer)
{
    void *trash = syncer->trash;
    if (syncer->file == trash)
        syncer->file = NULL;
    sci_mutex_unlock(&syncer->lock);
    syncer->files->shut(trash);
    sci_mutex_lock(&syncer->lock);
    syncer->trash = NULL;
}

/* Locked. */
static void sci_log_syncer_step(sci_log_syncer *syncer, int64_t now_ns)
{
    syncer->is_busy = true;
    syncer->began_ns = now_ns;
    if (syncer->trash)
        sci_log_syncer_empty_trash(syncer);
    else
        sci_log_syncer_sync(syncer);
    syncer->is_busy = false;
}

static void *sci_log_syncer_thread(void *user)
{
    sci_log_syncer *syncer = (sci_log_syncer *)user;
    sci_mutex_lock(&syncer->lock);
    while (!syncer->is_stopping) {
        uint32_t ticket = sci_gate_ticket(&syncer->gate);
        int64_t due_ns = sci_log_syncer_due(syncer);
        int64_t now_ns = sci_log_syncer_now(syncer);
        if (due_ns <= now_ns) {
            sci_log_syncer_step(syncer, now_ns);
            sci_gate_wake_all(&syncer->gate);
            continue;
        }
        sci_mutex_unlock(&syncer->lock);
        sci_gate_wait(&syncer->gate, ticket, due_ns == INT64_MAX ? -1 : due_ns - now_ns);
        sci_mutex_lock(&syncer->lock);
    }
    sci_mutex_unlock(&syncer->lock);
    return NULL;
}

SCI_PRIVATE void sci_log_syncer_start(sci_log_syncer *syncer)
{
    if (!syncer->has_thread)
        syncer->has_thread =
            sci_thread_start(&syncer->thread, sci_log_syncer_thread, syncer) == SC_OK;
}

SCI_PRIVATE void sci_log_syncer_stop(sci_log_syncer *syncer)
{
    if (!syncer->has_thread)
        return;
    sci_mutex_lock(&syncer->lock);
    syncer->is_stopping = true;
    sci_mutex_unlock(&syncer->lock);
    sci_gate_wake_all(&syncer->gate);
    sci_thread_join(&syncer->thread);
    syncer->has_thread = false;
    syncer->is_stopping = false;
}

SCI_PRIVATE void sci_log_syncer_free(sci_log_syncer *syncer, bool is_child)
{
    if (!is_child) {
        sci_log_syncer_stop(syncer);
        sci_gate_free(&syncer->gate);
        sci_mutex_free(&syncer->lock);
    }
    if (syncer->trash)
        syncer->files->shut(syncer->trash);
}

/* Locked before, and not after: wakes the thread if it has more to do than it knew. */
static void sci_log_syncer_told(sci_log_syncer *syncer, int64_t due_before_ns)
{
    bool is_news = sci_log_syncer_due(syncer) < due_before_ns && !syncer->is_busy;
    sci_mutex_unlock(&syncer->lock);
    if (is_news && syncer->has_thread)
        sci_gate_wake_all(&syncer->gate);
}

SCI_PRIVATE bool sci_log_syncer_hold(sci_log_syncer *syncer, bool is_held)
{
    sci_mutex_lock(&syncer->lock);
    int64_t due_ns = sci_log_syncer_due(syncer);
    bool is_done = !is_held || !syncer->is_busy;
    if (is_done)
        syncer->is_held = is_held;
    sci_log_syncer_told(syncer, due_ns);
    return is_done;
}

SCI_PRIVATE void sci_log_syncer_serve(sci_log_syncer *syncer, void *file, uint64_t synced)
{
    sci_mutex_lock(&syncer->lock);
    sci_assert(!syncer->is_busy);
    syncer->file = file;
    syncer->wanted = synced;
    syncer->synced = synced;
    syncer->folder = NULL;
    syncer->due_ns = 0;
    syncer->is_held = false;
    syncer->status = SC_OK;
    sci_mutex_unlock(&syncer->lock);
}

SCI_PRIVATE void sci_log_syncer_want(sci_log_syncer *syncer, uint64_t bytes)
{
    sci_mutex_lock(&syncer->lock);
    int64_t due_ns = sci_log_syncer_due(syncer);
    syncer->wanted = bytes;
    sci_log_syncer_told(syncer, due_ns);
}

SCI_PRIVATE void sci_log_syncer_want_folder(sci_log_syncer *syncer, const char *path)
{
    sci_mutex_lock(&syncer->lock);
    int64_t due_ns = sci_log_syncer_due(syncer);
    syncer->folder = path;
    sci_log_syncer_told(syncer, due_ns);
}

SCI_PRIVATE void sci_log_syncer_shut(sci_log_syncer *syncer, void *file)
{
    sci_mutex_lock(&syncer->lock);
    sci_assert(!syncer->trash);
    int64_t due_ns = sci_log_syncer_due(syncer);
    syncer->trash = file;
    sci_log_syncer_told(syncer, due_ns);
}

SCI_PRIVATE bool sci_log_syncer_is_idle(sci_log_syncer *syncer)
{
    sci_mutex_lock(&syncer->lock);
    bool is_idle = !syncer->is_busy && sci_log_syncer_due(syncer) == INT64_MAX;
    sci_mutex_unlock(&syncer->lock);
    return is_idle;
}

SCI_PRIVATE sci_log_synced sci_log_syncer_look(sci_log_syncer *syncer)
{
    sci_log_synced seen;
    int64_t now_ns = 0;
    sci_mutex_lock(&syncer->lock);
    if (syncer->is_busy)
        now_ns = sci_log_syncer_now(syncer);
    seen.bytes = syncer->synced;
    seen.busy_ns = syncer->is_busy ? sci_max_i64(now_ns - syncer->began_ns, 1) : 0;
    seen.is_folder_due = syncer->folder != NULL;
    seen.status = syncer->status;
    if (seen.status != SC_OK)
        (void)sc_fail(seen.status, "%s", syncer->words);
    sci_mutex_unlock(&syncer->lock);
    return seen;
}

SCI_PRIVATE int64_t sci_log_syncer_run(sci_log_syncer *syncer)
{
    if (syncer->has_thread)
        return INT64_MAX;
    sci_mutex_lock(&syncer->lock);
    int64_t now_ns = sci_log_syncer_now(syncer);
    int64_t due_ns;
    while ((due_ns = sci_log_syncer_due(syncer)) <= now_ns)
        sci_log_syncer_step(syncer, now_ns);
    sci_mutex_unlock(&syncer->lock);
    return due_ns;
}

SCI_PRIVATE void sci_log_syncer_wait(sci_log_syncer *syncer, int64_t timeout_ns)
{
    int64_t end_ns = sci_log_syncer_now(syncer) + timeout_ns;
    while (syncer->has_thread) {
        uint32_t ticket = sci_gate_ticket(&syncer->gate);
        int64_t now_ns = sci_log_syncer_now(syncer);
        if (sci_log_syncer_look(syncer).busy_ns == 0 || now_ns >= end_ns)
            return;
        sci_gate_wait(&syncer->gate, ticket, end_ns - now_ns);
    }
}
