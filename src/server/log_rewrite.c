/* Rewriting: a new file with the commands that make what there is, in place of all that was done.

   It is done in slices between commands, without a fork. The new file gets two kinds of commands,
   in the order of their happening: dumps, which make an entry as it is at that moment, and every
   command that the log gets, from the rewriting's beginning on. An entry is "written" once it has
   been dumped, or when it came to be during the rewriting. What holds at every moment:

       to execute the new file up to here gives exactly the written entries, as they are now.

   - At the beginning nothing is written, and the file is empty.
   - A dump adds an entry to those that are written, with the state that it has.
   - A command keeps it, because whatever it looks at or changes is written before
     (sci_log_before_use, called for each entry that a command for the log reads, changes, moves or
     deletes), or does not exist, and then does not exist in the new file's execution either. So it
     does there what it did here. That it must not only be so for what changes, but also for what is
     read, is for SINTERSTORE, COPY and their like: they are in the log as they came.
   - A dump that comes in the middle of a command, or of MULTI and EXEC, stands before that command:
     what it changes was dumped before, and it is added to the file once it is done.
   - What has expired but not gone counts as existing, here as when a log is loaded; it goes by a
     command of its own, DEL.
   - Flushing a database empties the written entries of it, and the others; there is nothing left to
     be dumped.
   - Exchanging two databases exchanges the written entries, and how far each has been walked.

   When all has been walked, all is written, and the new file is worth as much as the old. It is
   synced, in rounds that get shorter, takes the old one's name, and then its place; only then is
   anything said to be done that the old file does not hold. Until then the old one goes on as if
   nothing were, so that a rewriting that fails has done no harm.

   sci_db_walk visits each entry that is there from beginning to end at least once; entry->epoch
   tells those that are written already. Epochs are numbers up to 255; then all entries are reset to
   0 before the next rewriting.

   An entry is dumped in one go, since it may be changed right after; that bounds a slice. */

#include "server/log_state.h"

#include "base/error.h"

/* A slice ends after so many bytes, or so many steps of the walk. */
#define SCI_REWRITING_SLICE_BYTES ((size_t)64 << 10)
#define SCI_REWRITING_SLICE_STEPS 128
/* What is gathered before it is written. */
#define SCI_REWRITING_BATCH_BYTES ((size_t)256 << 10)
/* Another round of syncing is worth its while when there is more than this to be synced. */
#define SCI_REWRITING_REST_BYTES ((uint64_t)1 << 20)
#define SCI_REWRITING_ROUNDS 8
#define SCI_REWRITING_LOOK_NS (10 * SCI_LOG_NS_PER_MS)
#define SCI_REWRITING_FIRST_PAUSE_NS SCI_LOG_NS_PER_S
#define SCI_REWRITING_MOST_PAUSE_NS (60 * SCI_LOG_NS_PER_S)

SCI_PRIVATE void sci_rewriting_init(sci_log *log)
{
    sci_rewriting *rewriting = &log->rewriting;
    sci_log_file_init(&rewriting->file, &log->memory, &log->files);
    sci_log_syncer_init(&rewriting->syncer, &log->files, &log->server->clock, 0);
    rewriting->retry_pause_ns = SCI_REWRITING_FIRST_PAUSE_NS;
}

static size_t sci_rewriting_walks_size(const sci_log *log)
{
    return (size_t)log->server->db_count * sizeof(sci_log_walk);
}

/* The phase is over, whichever way; the file is somebody else's, or gone. */
static void sci_rewriting_end(sci_log *log)
{
    sci_rewriting *rewriting = &log->rewriting;
    rewriting->file.handle = NULL;
    sci_log_file_free(&rewriting->file);
    sci_log_file_init(&rewriting->file, &log->memory, &log->files);
    sci_free(&log->memory, rewriting->walks, sci_rewriting_walks_size(log));
    rewriting->walks = NULL;
    rewriting->phase = SCI_REWRITING_NOT;
    rewriting->is_failed = false;
}

SCI_PRIVATE void sci_rewriting_give_up(sci_log *log, const char *why)
{
    sci_rewriting *rewriting = &log->rewriting;
    sci_server_log(log->server, SC_LOG_WARNING, "rewriting the log %s was given up: %s", log->path,
                   why);
    if (rewriting->file.handle)
        sci_log_syncer_shut(&rewriting->syncer, rewriting->file.handle);
    (void)sci_log_syncer_run(&rewriting->syncer);
    (void)log->files.remove(log->files.user, log->rewrite_path);
    rewriting->retry_ns = sci_log_now(log) + rewriting->retry_pause_ns;
    rewriting->retry_pause_ns =
        sci_min_i64(2 * rewriting->retry_pause_ns, SCI_REWRITING_MOST_PAUSE_NS);
    sci_rewriting_end(log);
}

/* As soon as nothing of it is on the stack. */
static void sci_rewriting_fail(sci_rewriting *rewriting)
{
    if (rewriting->is_failed)
        return;
    rewriting->is_failed = true;
    rewriting->file.is_lost = true; /* takes no more */
    (void)sci_format(rewriting->words, sizeof rewriting->words, "%s", sc_error_text());
}

SCI_PRIVATE void sci_rewriting_free(sci_log *log)
{
    if (sci_rewriting_is_on(log))
        sci_rewriting_give_up(log, "the server is closed");
    sci_log_syncer_free(&log->rewriting.syncer, false);
}

SCI_PRIVATE void sci_rewriting_abandon(sci_log *log)
{
    sci_rewriting *rewriting = &log->rewriting;
    if (rewriting->file.handle)
        log->files.shut(rewriting->file.handle);
    sci_rewriting_end(log);
    sci_log_syncer_free(&rewriting->syncer, true);
}

/* --- Beginning */

static sc_status sci_rewriting_begin(sci_log *log)
{
    sci_rewriting *rewriting = &log->rewriting;
    sci_log_file *file = &rewriting->file;
    if (!sci_log_syncer_is_idle(&rewriting->syncer))
        return sc_fail(SC_HELD, "the last rewriting's file is not shut yet");
    rewriting->walks =
        (sci_log_walk *)sci_alloc_zeroed(&log->memory, sci_rewriting_walks_size(log));
    if (!rewriting->walks)
        return SC_ERR_MEMORY;
    sc_status status = log->files.open(log->files.user, &log->memory, log->rewrite_path,
                                       SC_FILE_CREATE, &file->handle);
    file->seed = sci_log_seed(log);
    if (status == SC_OK)
        status = sci_log_file_begin(file);
    if (status != SC_OK)
        return status;
    rewriting->rounds = 0;
    rewriting->began_ns = sci_log_now(log);
    if (rewriting->epoch == UINT8_MAX) {
        rewriting->phase = SCI_REWRITING_RESET;
        rewriting->epoch = 0;
    } else {
        rewriting->phase = SCI_REWRITING_WALK;
        rewriting->epoch++;
    }
    return SC_OK;
}

SCI_PRIVATE sc_status sci_log_rewrite(sci_log *log)
{
    if (sci_rewriting_is_on(log))
        return sc_fail(SC_HELD, "a rewriting of the log is under way");
    sc_status status = sci_rewriting_begin(log);
    if (status == SC_OK || status == SC_HELD)
        return status;
    char words[SC_ERROR_TEXT_BYTES];
    (void)sci_format(words, sizeof words, "%s", sc_error_text());
    sci_rewriting_give_up(log, words);
    return sc_fail(status, "%s", words);
}

SCI_PRIVATE bool sci_log_is_rewriting(const sci_log *log)
{
    return sci_rewriting_is_on(log);
}

static bool sci_rewriting_is_wanted(const sci_log *log)
{
    uint64_t bytes = sci_log_bytes(log);
    return log->needs_rewriting || log->is_foreign ||
           (bytes >= log->rewrite_min_bytes && bytes / 2 >= log->rewriting.base_bytes);
}

/* --- Writing what there is */

/* So much of the new file will be on the disk before anybody relies on it. */
static uint64_t sci_rewriting_at_risk(const sci_rewriting *rewriting)
{
    return rewriting->rounds ? rewriting->file.size - rewriting->file.durable : 0;
}

static sc_status sci_rewriting_flush(sci_rewriting *rewriting)
{
    sci_log_file *file = &rewriting->file;
    if (rewriting->is_failed)
        return SC_ERR_IO;
    sc_status status = file->is_lost
                           ? sc_fail(SC_ERR_MEMORY, "out of memory: a command could not be kept")
                           : sci_log_file_write(file, sci_rewriting_at_risk(rewriting));
    if (status == SC_OK)
        sci_log_file_forget(file);
    else
        sci_rewriting_fail(rewriting);
    return status;
}

typedef struct sci_rewriting_dump {
    sci_dump dump; /* first: it is what dumping is given */
    sci_rewriting *rewriting;
    const sci_db *db;
} sci_rewriting_dump;

static sc_status sci_rewriting_dump_command(sci_dump *dump, const sc_slice *argv, size_t argc)
{
    const sci_rewriting_dump *self = (const sci_rewriting_dump *)(const void *)dump;
    sci_log_file *file = &self->rewriting->file;
    sci_log_file_add(file, self->db->index, argv, argc);
    if (sci_log_file_pending(file) < SCI_REWRITING_BATCH_BYTES && !file->is_lost)
        return SC_OK;
    return sci_rewriting_flush(self->rewriting);
}

static sci_rewriting_dump sci_rewriting_dump_of(sci_rewriting *rewriting, const sci_db *db)
{
    sci_rewriting_dump dump;
    dump.dump.command = sci_rewriting_dump_command;
    dump.rewriting = rewriting;
    dump.db = db;
    return dump;
}

static void sci_rewriting_visit(void *user, sci_entry *entry)
{
    sci_rewriting_dump *dump = (sci_rewriting_dump *)user;
    sci_rewriting *rewriting = dump->rewriting;
    if (rewriting->phase == SCI_REWRITING_RESET) {
        entry->epoch = 0;
        return;
    }
    if (entry->epoch == rewriting->epoch || rewriting->is_failed)
        return;
    entry->epoch = rewriting->epoch;
    if (sci_entry_dump(dump->db, entry, &dump->dump) != SC_OK)
        sci_rewriting_fail(rewriting);
}

SCI_PRIVATE void sci_log_before_use(sci_log *log, sci_db *db, sci_entry *entry)
{
    sci_rewriting *rewriting = &log->rewriting;
    if (!sci_rewriting_takes(log) || entry->epoch == rewriting->epoch)
        return;
    sci_rewriting_dump dump = sci_rewriting_dump_of(rewriting, db);
    sci_rewriting_visit(&dump, entry);
}

SCI_PRIVATE void sci_log_entry_is_new(sci_log *log, sci_entry *entry)
{
    entry->epoch = log->rewriting.epoch;
}

SCI_PRIVATE void sci_log_before_flush(sci_log *log, const sci_db *db)
{
    for (int i = 0; log->rewriting.walks && i < log->server->db_count; i++)
        if (!db || db->index == i)
            log->rewriting.walks[i].is_done = true;
}

SCI_PRIVATE void sci_log_before_swap(sci_log *log, const sci_db *a, const sci_db *b)
{
    sci_log_walk *walks = log->rewriting.walks;
    if (!walks)
        return;
    sci_log_walk walk = walks[a->index];
    walks[a->index] = walks[b->index];
    walks[b->index] = walk;
}

/* A slice of the walk through all databases. True: it is done. */
static bool sci_rewriting_walk(sci_log *log)
{
    sci_rewriting *rewriting = &log->rewriting;
    size_t steps = 0;
    uint64_t size = rewriting->file.size;
    for (int i = 0; i < log->server->db_count; i++) {
        sci_log_walk *walk = &rewriting->walks[i];
        sci_db *db = &log->server->dbs[i];
        sci_rewriting_dump dump = sci_rewriting_dump_of(rewriting, db);
        while (!walk->is_done) {
            if (steps++ == SCI_REWRITING_SLICE_STEPS || rewriting->file.size != size ||
                sci_log_file_pending(&rewriting->file) >= SCI_REWRITING_SLICE_BYTES)
                return false;
            walk->cursor = sci_db_walk(db, walk->cursor, sci_rewriting_visit, &dump);
            walk->is_done = walk->cursor == 0;
        }
    }
    return true;
}

/* --- Syncing it, and putting it in the log's place */

static bool sci_rewriting_next_round(sci_rewriting *rewriting)
{
    sci_log_file *file = &rewriting->file;
    if (sci_rewriting_flush(rewriting) != SC_OK)
        return false;
    if (rewriting->rounds++ == 0)
        sci_log_syncer_serve(&rewriting->syncer, file->handle, 0);
    file->durable = file->size;
    sci_log_syncer_want(&rewriting->syncer, file->size);
    return true;
}

/* All that the new file needs before it can be the log. */
static sc_status sci_rewriting_prepare(sci_log *log)
{
    sci_rewriting *rewriting = &log->rewriting;
    sci_log_file *file = &rewriting->file;
    sc_status status = sci_rewriting_flush(rewriting);
    if (status == SC_OK)
        status = sci_log_file_reserve(file, SCI_LOG_SLACK_BYTES);
    if (status == SC_OK && log->sync == SC_SYNC_ALWAYS)
        status = log->files.sync(file->handle);
    if (status == SC_OK)
        status = log->files.rename(log->files.user, log->rewrite_path, log->path);
    return status;
}

static void sci_rewriting_report(sci_log *log, uint64_t before)
{
    sci_server_log(log->server, SC_LOG_INFO, "the log %s was rewritten: %llu bytes, before %llu",
                   log->path, (unsigned long long)log->live.size, (unsigned long long)before);
}

/* The new file has the log's name: from here on it is the log. */
static void sci_rewriting_take_over(sci_log *log, uint64_t synced)
{
    sci_rewriting *rewriting = &log->rewriting;
    void *old = log->live.handle;
    uint64_t before = log->live.size;
    log->live.handle = NULL;
    sci_log_file_free(&log->live);
    log->live = rewriting->file;
    sci_log_file_init(&rewriting->file, &log->memory, &log->files);
    sci_log_syncer_serve(&log->syncer, log->live.handle, synced);
    if (log->sync == SC_SYNC_EVERY_SECOND) {
        sci_log_syncer_want(&log->syncer, log->live.size);
        sci_log_syncer_want_folder(&log->syncer, log->path);
    } else {
        log->is_folder_due = log->files.sync_folder(log->files.user, log->path) != SC_OK;
    }
    log->live.durable = synced;
    sci_log_syncer_serve(&rewriting->syncer, NULL, 0);
    sci_log_syncer_shut(&rewriting->syncer, old);
    (void)sci_log_syncer_run(&rewriting->syncer);
    rewriting->base_bytes = log->live.size;
    rewriting->retry_pause_ns = SCI_REWRITING_FIRST_PAUSE_NS;
    sci_rewriting_end(log);
    sci_rewriting_report(log, before);
    sci_log_is_renewed(log);
}

/* Waits for the syncs; then the end. */
static int64_t sci_rewriting_finish(sci_log *log, int64_t now_ns)
{
    sci_rewriting *rewriting = &log->rewriting;
    (void)sci_log_syncer_run(&rewriting->syncer);
    sci_log_synced seen = sci_log_syncer_look(&rewriting->syncer);
    if (seen.status != SC_OK) {
        sci_rewriting_fail(rewriting);
        return now_ns;
    }
    if (seen.busy_ns > 0 || seen.bytes < rewriting->file.durable)
        return now_ns + SCI_REWRITING_LOOK_NS;
    uint64_t rest = rewriting->file.size - seen.bytes + sci_log_file_pending(&rewriting->file);
    if (rest > SCI_REWRITING_REST_BYTES && rewriting->syncer.has_thread &&
        rewriting->rounds < SCI_REWRITING_ROUNDS) {
        (void)sci_rewriting_next_round(rewriting);
        return now_ns + SCI_REWRITING_LOOK_NS;
    }
    if (!sci_log_syncer_hold(&log->syncer, true))
        return now_ns + SCI_REWRITING_LOOK_NS;
    if (sci_rewriting_prepare(log) == SC_OK) {
        sci_rewriting_take_over(log, seen.bytes);
    } else {
        sci_rewriting_fail(rewriting);
        (void)sci_log_syncer_hold(&log->syncer, false);
    }
    return now_ns;
}

/* --- Over time */

static int64_t sci_rewriting_idle(sci_log *log, int64_t now_ns)
{
    sci_rewriting *rewriting = &log->rewriting;
    if (rewriting->syncer.has_thread && sci_log_syncer_is_idle(&rewriting->syncer))
        sci_log_syncer_stop(&rewriting->syncer);
    if (!sci_rewriting_is_wanted(log))
        return INT64_MAX;
    if (now_ns < rewriting->retry_ns)
        return rewriting->retry_ns;
    sc_status status = sci_log_rewrite(log);
    return status == SC_HELD ? now_ns + SCI_REWRITING_LOOK_NS : now_ns;
}

SCI_PRIVATE int64_t sci_rewriting_tick(sci_log *log, int64_t now_ns)
{
    sci_rewriting *rewriting = &log->rewriting;
    if (rewriting->is_failed) {
        sci_rewriting_give_up(log, rewriting->words);
        return now_ns;
    }
    switch (rewriting->phase) {
    case SCI_REWRITING_NOT:
        return sci_rewriting_idle(log, now_ns);
    case SCI_REWRITING_RESET:
        if (sci_rewriting_walk(log)) {
            memset(rewriting->walks, 0, sci_rewriting_walks_size(log));
            rewriting->phase = SCI_REWRITING_WALK;
            rewriting->epoch = 1;
        }
        return now_ns;
    case SCI_REWRITING_WALK:
        if (sci_rewriting_walk(log)) {
            rewriting->phase = SCI_REWRITING_SYNC;
            if (!log->server->config.polled)
                sci_log_syncer_start(&rewriting->syncer);
            (void)sci_rewriting_next_round(rewriting);
        } else if (sci_log_file_pending(&rewriting->file) >= SCI_REWRITING_SLICE_BYTES) {
            (void)sci_rewriting_flush(rewriting);
        }
        return now_ns;
    case SCI_REWRITING_SYNC:
        return sci_rewriting_finish(log, now_ns);
    }
    return INT64_MAX;
}
