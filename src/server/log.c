/* The log: commands are gathered (log_file.h) and, before anybody is answered, written as a batch
   (log_record.h) and synced as configured.

   What can go wrong, and what is done then:

   - There is no room. sci_log_admit reserves it in advance, so that a command is refused before it
     has changed anything; a moment later it asks again.
   - Writing fails all the same, or a sync does under SC_SYNC_ALWAYS. The file is cut to what it was
     before the batch, the batch stays in memory, those who wait for its commands are not answered,
     and from then on commands are refused until it could be written.
   - A sync fails under SC_SYNC_EVERY_SECOND. What was written since the sync before may be lost
     though the system has forgotten about it (a second sync would say that all is well), so the file
     is not to be trusted: all of the data is written to a new one (log_rewrite.c). Commands are
     refused until that is done.
   - There is no memory to gather a command. What follows would build on what is missing, so nothing
     is written to the file any more until it, too, is replaced by a new one.
   - Syncs take long. Those who write wait for one that is under way for more than
     SCI_LOG_SLOW_NS, so that no more than about two seconds are ever at risk; from
     SCI_LOG_STUCK_NS on they are refused, so that readers are not stopped as well. */

#include "server/log.h"

#include "base/error.h"
#include "server/log_state.h"

#define SCI_LOG_SYNC_NS SCI_LOG_NS_PER_S
#define SCI_LOG_SLOW_NS (2 * SCI_LOG_NS_PER_S)
#define SCI_LOG_STUCK_NS (5 * SCI_LOG_NS_PER_S)
/* The disk counts as full when it has no room for a command of this size. */
#define SCI_LOG_LITTLE_BYTES 4096
/* Between two attempts to write what could not be written. */
#define SCI_LOG_RETRY_NS (100 * SCI_LOG_NS_PER_MS)

/* --- Opening */

static char *sci_log_path(const sci_log *log, const char *path, const char *suffix)
{
    size_t len = strlen(path);
    size_t suffix_len = strlen(suffix);
    char *made = (char *)sci_resize(&log->memory, NULL, 0, len + suffix_len + 1);
    if (!made)
        return NULL;
    memcpy(made, path, len);
    memcpy(made + len, suffix, suffix_len + 1);
    return made;
}

static sci_log *sci_log_create(sc_server *server, const sci_log_config *config)
{
    sci_log *log = (sci_log *)sci_alloc_zeroed(&server->memory, sizeof *log);
    if (!log)
        return NULL;
    log->server = server;
    log->memory = server->memory;
    log->files = *config->files;
    log->sync = config->sync;
    log->repair = config->repair;
    log->rewrite_min_bytes = config->rewrite_min_bytes;
    sci_log_file_init(&log->live, &log->memory, &log->files);
    sci_log_syncer_init(&log->syncer, &log->files, &server->clock, SCI_LOG_SYNC_NS);
    sci_rewriting_init(log);
    log->path = sci_log_path(log, config->path, "");
    log->lock_path = sci_log_path(log, config->path, ".lock");
    log->rewrite_path = sci_log_path(log, config->path, ".rewrite");
    log->damaged_path = sci_log_path(log, config->path, ".damaged");
    return log;
}

/* What is left once nothing is to be written any more. */
static void sci_log_free(sci_log *log, bool is_child)
{
    sc_memory memory = log->memory;
    sci_log_syncer_free(&log->syncer, is_child);
    sci_log_file_free(&log->live);
    void *lock_file = log->lock_file;
    log->lock_file = NULL;
    if (lock_file)
        log->files.shut(lock_file);
    sci_free_text(&memory, log->path);
    sci_free_text(&memory, log->lock_path);
    sci_free_text(&memory, log->rewrite_path);
    sci_free_text(&memory, log->damaged_path);
    sci_free(&memory, log, sizeof *log);
}

/* The lock has a file of its own, since the log's is replaced by rewriting. */
static sc_status sci_log_take_lock(sci_log *log)
{
    sc_status status = log->files.open(log->files.user, &log->memory, log->lock_path,
                                       SC_FILE_APPEND, &log->lock_file);
    if (status == SC_OK)
        status = log->files.hold(log->lock_file);
    if (status != SC_OK)
        return status;
    /* What a rewriting left that did not come to its end. */
    status = log->files.remove(log->files.user, log->rewrite_path);
    return status == SC_MISS ? SC_OK : status;
}

static void sci_log_serve_syncer(sci_log *log)
{
    sci_log_syncer_serve(&log->syncer, log->live.handle, log->live.durable);
    if (log->sync == SC_SYNC_EVERY_SECOND && !log->server->config.polled)
        sci_log_syncer_start(&log->syncer);
}

/* A good start: all that was loaded is on the disk, the file's name too. */
static sc_status sci_log_settle(sci_log *log)
{
    sci_log_file *live = &log->live;
    sc_status status = SC_OK;
    if (live->needs_first) {
        live->seed = sci_log_seed(log);
        status = sci_log_file_begin(live);
        if (live->size > 0)
            status = SC_OK; /* else the first batch brings it */
    }
    if (status == SC_OK)
        status = log->files.sync(live->handle);
    if (status == SC_OK)
        status = log->files.sync_folder(log->files.user, log->path);
    if (status != SC_OK)
        return status;
    live->durable = live->size;
    /* What the data take in memory is near to what they would take in a new file. */
    log->rewriting.base_bytes = live->size;
    if (log->server->data.used < live->size)
        log->rewriting.base_bytes = log->server->data.used;
    sci_log_serve_syncer(log);
    return SC_OK;
}

static sc_status sci_log_begin_open(sci_log *log)
{
    if (!log->path || !log->lock_path || !log->rewrite_path || !log->damaged_path)
        return SC_ERR_MEMORY;
    sc_status status = sci_log_take_lock(log);
    if (status == SC_OK)
        status = log->files.open(log->files.user, &log->memory, log->path, SC_FILE_APPEND,
                                 &log->live.handle);
    if (status == SC_OK)
        status = sci_log_load(log);
    return status == SC_OK ? sci_log_settle(log) : status;
}

SCI_PRIVATE sc_status sci_log_open(sc_server *server, const sci_log_config *config, sci_log **log)
{
    sci_log *self = sci_log_create(server, config);
    *log = NULL;
    if (!self)
        return SC_ERR_MEMORY;
    sc_status status = sci_log_begin_open(self);
    if (status != SC_OK) {
        sci_rewriting_free(self);
        sci_log_free(self, false);
        return status;
    }
    *log = self;
    return SC_OK;
}

SCI_PRIVATE sci_hash_seed sci_log_seed(sci_log *log)
{
    sci_hash_seed seed;
    uint64_t words[2];
    for (size_t i = 0; i < SCI_COUNT(words); i++) {
        uint64_t word = sci_random_u64(log->server);
        words[i] = sci_hash(&log->server->hash_seed, sc_bytes(&word, sizeof word));
    }
    seed.k0 = words[0];
    seed.k1 = words[1];
    return seed;
}

/* --- Failing, and being well again */

/* With sc_error_text as the reason. */
static sc_status sci_log_fail(sci_log *log)
{
    bool is_new = log->failed_ms == 0;
    (void)sci_format(log->words, sizeof log->words, "%s", sc_error_text());
    log->retry_ns = sci_log_now(log) + SCI_LOG_RETRY_NS;
    if (is_new) {
        log->failed_ms = sci_max_i64(sci_server_wall_ms(log->server), 1);
        sci_server_log(log->server, SC_LOG_ERROR,
                       "the log %s cannot be written, writes are refused: %s", log->path,
                       log->words);
    }
    return sc_fail(SC_ERR_IO, "%s", log->words);
}

static void sci_log_recover(sci_log *log)
{
    if (log->failed_ms == 0)
        return;
    log->failed_ms = 0;
    sci_server_log(log->server, SC_LOG_WARNING, "the log %s can be written again", log->path);
}

SCI_PRIVATE void sci_log_is_renewed(sci_log *log)
{
    log->needs_rewriting = false;
    log->is_foreign = false;
    sci_log_recover(log);
}

/* What only a new file mends. */
static sc_status sci_log_distrust(sci_log *log)
{
    if (!log->needs_rewriting) {
        log->needs_rewriting = true;
        log->rewriting.retry_ns = 0;
    }
    return sci_log_fail(log);
}

/* Looks for what the thread has found out. */
static sc_status sci_log_collect(sci_log *log)
{
    if (log->sync != SC_SYNC_EVERY_SECOND)
        return SC_OK;
    sci_log_synced seen = sci_log_syncer_look(&log->syncer);
    log->live.durable = seen.bytes;
    log->is_stuck = seen.busy_ns >= SCI_LOG_STUCK_NS;
    if (seen.status != SC_OK && !log->needs_rewriting)
        return sci_log_distrust(log);
    return SC_OK;
}

/* --- Writing */

/* How much before the next batch may be lost with the host. */
static uint64_t sci_log_at_risk(const sci_log *log)
{
    return log->sync == SC_SYNC_EVERY_SECOND ? log->live.size - log->live.durable : 0;
}

static sc_status sci_log_put_on_disk(sci_log *log)
{
    sc_status status = log->files.sync(log->live.handle);
    if (status == SC_OK && log->is_folder_due)
        status = log->files.sync_folder(log->files.user, log->path);
    if (status != SC_OK)
        return status;
    log->is_folder_due = false;
    log->live.durable = log->live.size;
    return SC_OK;
}

static sc_status sci_log_write(sci_log *log)
{
    sci_log_file *live = &log->live;
    sc_status status = sci_log_file_write(live, sci_log_at_risk(log));
    if (status != SC_OK)
        return sci_log_fail(log);
    if (log->sync == SC_SYNC_ALWAYS && live->last_bytes && sci_log_put_on_disk(log) != SC_OK) {
        status = sci_log_fail(log);
        sci_log_file_take_back(live);
        return sc_fail(status, "%s", log->words);
    }
    bool is_more = live->last_bytes > 0;
    sci_log_file_forget(live);
    if (is_more && log->sync == SC_SYNC_EVERY_SECOND)
        sci_log_syncer_want(&log->syncer, live->size);
    if (!log->needs_rewriting)
        sci_log_recover(log);
    return SC_OK;
}

/* Those who write share a slow disk's pain, so that what is at risk stays bounded. */
static void sci_log_wait_for_sync(sci_log *log)
{
    if (log->sync != SC_SYNC_EVERY_SECOND || !log->syncer.has_thread)
        return;
    sci_log_synced seen = sci_log_syncer_look(&log->syncer);
    if (seen.busy_ns > SCI_LOG_SLOW_NS && seen.busy_ns < SCI_LOG_STUCK_NS)
        sci_log_syncer_wait(&log->syncer, SCI_LOG_STUCK_NS - seen.busy_ns);
}

static sc_status sci_log_find_lost(sci_log *log)
{
    if (!log->live.is_lost)
        return SC_OK;
    (void)sc_fail(SC_ERR_MEMORY, "out of memory: a command could not be kept for the log");
    return sci_log_distrust(log);
}

SCI_PRIVATE sc_status sci_log_commit(sci_log *log)
{
    sc_status status = sci_log_find_lost(log);
    if (status != SC_OK)
        return status;
    if (sci_log_file_pending(&log->live) == 0)
        return SC_OK;
    if (log->failed_ms && !log->needs_rewriting && sci_log_now(log) < log->retry_ns)
        return sc_fail(SC_ERR_IO, "%s", log->words);
    sci_log_wait_for_sync(log);
    (void)sci_log_collect(log);
    return sci_log_write(log);
}

/* --- Leave to write */

static sc_status sci_log_make_room(sci_log *log, uint64_t bytes)
{
    sc_status status = sci_log_file_reserve(&log->live, bytes);
    if (status == SC_OK || !sci_rewriting_is_on(log))
        return status;
    /* The rewriting's file may be what has taken the room. */
    sci_rewriting_give_up(log, sc_error_text());
    return sci_log_file_reserve(&log->live, bytes);
}

/* While it cannot be written, or there is no room left of what was reserved. */
static sc_status sci_log_admit_slowly(sci_log *log, uint64_t bytes)
{
    if (log->failed_ms) {
        if (log->needs_rewriting || sci_log_now(log) < log->retry_ns)
            return sc_fail(SC_ERR_IO, "%s", log->words);
        sc_status status = sci_log_write(log);
        if (status != SC_OK)
            return status;
    }
    const uint64_t least = SCI_LOG_SLACK_BYTES + SCI_LOG_LITTLE_BYTES;
    uint64_t wanted = bytes + SCI_LOG_SLACK_BYTES;
    if (log->failed_ms && wanted < least)
        wanted = least;
    sc_status status = sci_log_make_room(log, wanted);
    if (status != SC_OK && (wanted <= least || sci_log_file_reserve(&log->live, least) != SC_OK))
        return sci_log_fail(log);
    /* A command that alone is too long stops nobody else. */
    sci_log_recover(log);
    return status;
}

SCI_PRIVATE sc_status sci_log_admit(sci_log *log, size_t bytes)
{
    if (SCI_UNLIKELY(log->is_stuck)) {
        (void)sci_log_collect(log);
        if (log->is_stuck)
            return sc_fail(SC_ERR_IO, "the disk has not finished a sync for %d seconds",
                           (int)(SCI_LOG_STUCK_NS / SCI_LOG_NS_PER_S));
    }
    if (SCI_LIKELY(!log->failed_ms &&
                   sci_log_file_has_room(&log->live, bytes + SCI_LOG_SLACK_BYTES)))
        return SC_OK;
    return sci_log_admit_slowly(log, bytes);
}

/* --- Closing */

SCI_PRIVATE void sci_log_close(sci_log *log)
{
    sci_rewriting_free(log);
    sci_log_syncer_stop(&log->syncer);
    (void)sci_log_collect(log);
    sc_status status = sci_log_file_write(&log->live, sci_log_at_risk(log));
    if (status == SC_OK && log->live.is_lost)
        status = sc_fail(SC_ERR_MEMORY, "%s", log->words);
    if (status == SC_OK)
        status = sci_log_put_on_disk(log);
    if (status != SC_OK)
        sci_server_log(log->server, SC_LOG_ERROR, "the last writes are not in the log %s: %s",
                       log->path, sc_error_text());
    /* Room that was reserved is given back. */
    (void)log->files.cut(log->live.handle, log->live.size);
    sci_log_free(log, false);
}

SCI_PRIVATE void sci_log_abandon(sci_log *log, bool is_intact)
{
    if (is_intact) {
        sci_rewriting_abandon(log);
        sci_log_free(log, true);
    } else if (log->lock_file) {
        log->files.shut(log->lock_file);
    }
}

/* --- Gathering */

static void sci_log_add(sci_log *log, sci_log_file *file, int db, const sc_slice *argv, size_t argc)
{
    if (log->depth > 0 && !file->is_in_multi)
        sci_log_file_add_multi(file);
    sci_log_file_add(file, db, argv, argc);
}

SCI_PRIVATE void sci_log_append(sci_log *log, int db, const sc_slice *argv, size_t argc)
{
    sci_log_add(log, &log->live, db, argv, argc);
    if (sci_rewriting_takes(log))
        sci_log_add(log, &log->rewriting.file, db, argv, argc);
}

SCI_PRIVATE void sci_log_begin(sci_log *log)
{
    log->depth++;
}

SCI_PRIVATE void sci_log_end(sci_log *log)
{
    sci_assert(log->depth > 0);
    if (--log->depth > 0)
        return;
    if (log->live.is_in_multi)
        sci_log_file_add_exec(&log->live);
    if (log->rewriting.file.is_in_multi)
        sci_log_file_add_exec(&log->rewriting.file);
}

/* --- Time, numbers */

SCI_PRIVATE int64_t sci_log_run_syncs(sci_log *log)
{
    return sci_log_syncer_run(&log->syncer);
}

SCI_PRIVATE int64_t sci_log_tick(sci_log *log, int64_t now_ns)
{
    int64_t due_ns = INT64_MAX;
    if (log->failed_ms && !log->needs_rewriting) {
        if (now_ns >= log->retry_ns)
            (void)sci_log_admit_slowly(log, 0);
        if (log->failed_ms)
            due_ns = log->retry_ns;
    }
    due_ns = sci_min_i64(due_ns, sci_log_run_syncs(log));
    (void)sci_log_collect(log);
    (void)sci_log_find_lost(log);
    return sci_min_i64(due_ns, sci_rewriting_tick(log, now_ns));
}

SCI_PRIVATE uint64_t sci_log_bytes(const sci_log *log)
{
    return log->live.size + sci_log_file_pending(&log->live);
}

SCI_PRIVATE int64_t sci_log_failed_ms(const sci_log *log, const char **text)
{
    if (text && log->failed_ms)
        *text = log->words;
    return log->failed_ms;
}

/* The promise changes, so it begins with a file that is on the disk. */
SCI_PRIVATE void sci_log_configure(sci_log *log, sc_sync sync, uint64_t rewrite_min_bytes)
{
    log->rewrite_min_bytes = rewrite_min_bytes;
    if (sync == log->sync)
        return;
    log->is_folder_due |= sci_log_syncer_look(&log->syncer).is_folder_due;
    sci_log_syncer_stop(&log->syncer);
    log->sync = sync;
    if (sci_log_put_on_disk(log) != SC_OK)
        (void)sci_log_distrust(log);
    sci_log_serve_syncer(log);
}
