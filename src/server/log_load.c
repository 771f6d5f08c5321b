/* Loading a log: batch by batch, each checked as a whole before anything of it is executed, in
   pieces of bounded size.

   What a file may be: commands that somebody else wrote (Redis's append-only file, a person), then
   the record that begins a log, then batches; each part may be missing. Files may also be put
   behind one another, where a record begins a log anew. Commands that somebody else wrote bear no
   check: they are executed as they come, a transaction when all of it is there, and the log is
   rewritten soon.

   Where a batch is not right, at `at`, what follows tells what has happened:

   - No good batch follows: the last write was torn, by a crash. It is cut off.
   - A good batch follows that says that what lies at `at` had been synced before it was written:
     the file was damaged later. That is refused, since what is lost may matter; sc_server_config
     .repair cuts it there, and keeps the rest in a file of its own.
   - Only good batches follow that do not say so: under SC_SYNC_EVERY_SECOND, a crash of the host
     that came before all of the last second's blocks were on the disk, whose order is the system's.
     It is cut, and the rest kept.

   Commands of somebody else's are cut where the file ends in the middle of one; anything else that
   is wrong with them is damage, and so is any command that cannot be executed. */

#include "server/log_state.h"

#include "base/error.h"

#define SCI_LOAD_PIECE_BYTES ((size_t)SCI_LOG_RECORD_PIECE_BYTES)
/* A buffer that had to grow for a large command is given back. */
#define SCI_LOAD_KEPT_BYTES (8 * SCI_LOAD_PIECE_BYTES)
#define SCI_LOAD_LINE_BYTES ((size_t)64 << 10)
#define SCI_LOAD_NOTE_BYTES ((uint64_t)1 << 20)
#define SCI_LOAD_NOTE_NS SCI_LOG_NS_PER_S

typedef enum sci_load_end {
    SCI_LOAD_WHOLE,
    SCI_LOAD_TORN, /* what follows `at` is cut off */
    SCI_LOAD_KEPT  /* and kept */
} sci_load_end;

typedef struct sci_load {
    sci_log *log;
    uint64_t size;    /* of the file */
    sci_bytes window; /* a part of it */
    uint64_t at;      /* the window's first byte */
    sci_request request;
    sci_hash_seed seed;
    uint64_t first_at; /* where the record that begins the log stands */
    bool is_checked;   /* the record that begins a log has come */
    bool is_foreign;   /* commands without a check have come */
    bool is_damaged;   /* at `damage_at`: a cut there helps */
    uint64_t damage_at;
    sci_load_end end;
    int db;
    uint64_t noted_at;
    int64_t noted_ns;
} sci_load;

/* --- The window */

/* Have at least `want` bytes in it, or all to the end. */
static sc_status sci_load_fill(sci_load *load, size_t want)
{
    const sci_log *log = load->log;
    uint64_t rest = load->size - load->at;
    if (want > rest)
        want = (size_t)rest;
    while (sci_bytes_len(&load->window) < want) {
        size_t have = sci_bytes_len(&load->window);
        size_t count = 0;
        size_t ask = sci_max_size(want - have, SCI_LOAD_PIECE_BYTES);
        if (ask > rest - have)
            ask = (size_t)(rest - have);
        sc_status status = sci_bytes_reserve(&load->window, ask);
        if (status == SC_OK)
            status = log->files.fetch(log->live.handle, load->at + have,
                                      load->window.data + load->window.end, ask, &count);
        if (status != SC_OK)
            return status;
        if (count == 0)
            return sc_fail(SC_ERR_IO, "the log %s became shorter while it was loaded", log->path);
        load->window.end += count;
    }
    return SC_OK;
}

/* Move its beginning forward. */
static void sci_load_pass(sci_load *load, uint64_t count)
{
    size_t have = sci_bytes_len(&load->window);
    load->at += count;
    if (count < have) {
        sci_bytes_consume(&load->window, (size_t)count);
        return;
    }
    sci_bytes_reset(&load->window, SCI_LOAD_KEPT_BYTES);
}

/* To any place; what is in the window is kept when that lies in it. */
static void sci_load_seek(sci_load *load, uint64_t at)
{
    if (at >= load->at) {
        sci_load_pass(load, at - load->at);
        return;
    }
    sci_bytes_reset(&load->window, SCI_LOAD_KEPT_BYTES);
    load->at = at;
}

static sc_slice sci_load_window(const sci_load *load, uint64_t end)
{
    sc_slice window = sci_bytes_slice(&load->window);
    if (window.len > end - load->at)
        window.len = (size_t)(end - load->at);
    return window;
}

/* What the window begins with. */
static void sci_load_record(const sci_load *load, sci_log_record *record)
{
    sci_log_record_parse(sci_bytes_slice(&load->window), &load->seed, load->at - load->first_at,
                         record);
}

static void sci_load_note(sci_load *load)
{
    const sci_log *log = load->log;
    if (load->at - load->noted_at < SCI_LOAD_NOTE_BYTES)
        return;
    load->noted_at = load->at;
    int64_t now_ns = sci_log_now(log);
    if (now_ns - load->noted_ns < SCI_LOAD_NOTE_NS)
        return;
    load->noted_ns = now_ns;
    sci_server_log(log->server, SC_LOG_INFO, "loading the log %s: %llu of %llu MiB", log->path,
                   (unsigned long long)(load->at >> 20), (unsigned long long)(load->size >> 20));
}

/* --- Commands */

static sc_status sci_load_damaged(sci_load *load, uint64_t at)
{
    load->is_damaged = true;
    load->damage_at = at;
    return SC_ERR_PROTOCOL;
}

static void sci_load_restart_request(sci_load *load)
{
    sci_request_limits limits;
    limits.max_words = INT32_MAX;
    limits.max_bulk_bytes = SIZE_MAX / 4;
    limits.max_line_bytes = SCI_LOAD_LINE_BYTES;
    sci_request_free(&load->request);
    sci_request_init(&load->request, &load->log->memory, &limits);
}

/* The next command, which ends before `end`; its words are in load->request until the window moves.
   SC_END: what is left before `end` is no whole command. */
static sc_status sci_load_command(sci_load *load, uint64_t end, size_t *used)
{
    for (;;) {
        sc_slice window = sci_load_window(load, end);
        sc_status status = sci_request_read(&load->request, window.data, window.len, used);
        if (status != SC_AGAIN)
            return status;
        if (window.len == end - load->at)
            return SC_END;
        size_t more =
            sci_max_size(sci_request_missing(&load->request, window.len), SCI_LOAD_PIECE_BYTES);
        status = sci_load_fill(load, window.len + more);
        if (status != SC_OK)
            return status;
    }
}

/* After the command that was read. */
static bool sci_load_is_in_multi(const sci_load *load, bool is_before)
{
    const sci_request *request = &load->request;
    if (request->word_count == 0)
        return is_before;
    return is_before ? !sci_word_is(request->words[0], "exec")
                     : sci_word_is(request->words[0], "multi");
}

/* Nothing to be executed: an empty line, or a note as Redis writes them ("#TS:..."). */
static bool sci_load_is_blank(const sci_load *load)
{
    const sci_request *request = &load->request;
    return request->word_count == 0 ||
           (request->words[0].len > 0 && request->words[0].data[0] == '#');
}

/* Execute all up to `end`, which is whole commands. What cannot be is damage: from `first` on, where
   the batch begins; or, when it is none, from that command or its transaction on. */
static sc_status sci_load_execute(sci_load *load, uint64_t first, uint64_t end, bool is_batch)
{
    bool is_in_multi = false;
    sci_load_restart_request(load);
    while (load->at < end) {
        size_t used = 0;
        if (!is_batch && !is_in_multi)
            first = load->at;
        sc_status status = sci_load_command(load, end, &used);
        if (status == SC_END)
            status = sc_fail(SC_ERR_PROTOCOL, "a command is cut short");
        if (status == SC_OK && !sci_load_is_blank(load))
            status = sci_command_replay(load->log->server, &load->db, load->request.words,
                                        load->request.word_count);
        if (status == SC_ERR_PROTOCOL)
            return sci_load_damaged(load, first);
        if (status != SC_OK)
            return status;
        is_in_multi = sci_load_is_in_multi(load, is_in_multi);
        sci_load_pass(load, used);
        sci_load_note(load);
    }
    return SC_OK;
}

/* --- Commands that somebody else wrote */

/* How far one can go from load->at, in load->damage_at: over whole commands and whole transactions,
   up to a record. SC_OK, SC_END: something is cut short there, SC_ERR_PROTOCOL. */
static sc_status sci_load_scan(sci_load *load)
{
    bool is_in_multi = false;
    sci_load_restart_request(load);
    load->damage_at = load->at;
    while (load->at < load->size) {
        sci_log_record record;
        size_t used = 0;
        sc_status status = sci_load_fill(load, SCI_LOG_RECORD_BYTES);
        if (status != SC_OK)
            return status;
        sci_load_record(load, &record);
        if (record.kind != SCI_LOG_RECORD_NONE)
            return is_in_multi ? sc_fail(SC_ERR_PROTOCOL, "a transaction has no end") : SC_OK;
        status = sci_load_command(load, load->size, &used);
        if (status != SC_OK)
            return status;
        is_in_multi = sci_load_is_in_multi(load, is_in_multi);
        sci_load_pass(load, used);
        if (!is_in_multi)
            load->damage_at = load->at;
    }
    return is_in_multi ? SC_END : SC_OK;
}

/* Redis's tail that was torn begins as a command does; a text that has no line end is something
   else. */
static sc_status sci_load_foreign_tail(sci_load *load)
{
    sci_load_seek(load, load->damage_at);
    sc_status status = sci_load_fill(load, 1);
    if (status != SC_OK)
        return status;
    if (sci_bytes_slice(&load->window).data[0] != '*') {
        (void)sc_fail(SC_ERR_PROTOCOL, "a command is cut short");
        return sci_load_damaged(load, load->damage_at);
    }
    load->end = SCI_LOAD_TORN;
    return SC_OK;
}

static sc_status sci_load_foreign(sci_load *load)
{
    uint64_t start = load->at;
    if (start == 0 && sci_load_window(load, load->size).len >= 5 &&
        memcmp(sci_load_window(load, load->size).data, "REDIS", 5) == 0)
        return sc_fail(SC_ERR_PROTOCOL,
                       "the log %s is a snapshot of Redis's: there, set aof-use-rdb-preamble to no "
                       "and say BGREWRITEAOF; then it is commands, which can be read",
                       load->log->path);
    sc_status scanned = sci_load_scan(load);
    uint64_t end = load->damage_at;
    load->is_foreign = end > start;
    if (scanned == SC_ERR_PROTOCOL)
        return sci_load_damaged(load, end);
    if (scanned != SC_OK && scanned != SC_END)
        return scanned;
    sci_load_seek(load, start);
    sc_status status = sci_load_execute(load, start, end, false);
    if (status != SC_OK || scanned == SC_OK)
        return status;
    load->damage_at = end;
    return sci_load_foreign_tail(load);
}

/* --- Batches */

static bool sci_load_fits(const sci_load *load, const sci_log_record *record)
{
    uint64_t rest = load->size - load->at;
    return record->len <= rest && record->bytes <= rest - record->len;
}

/* Is the batch whose record the window begins with right? SC_OK, SC_MISS: it is not. The window
   moves when the batch is large. */
static sc_status sci_load_check(sci_load *load, const sci_log_record *record)
{
    uint64_t check = 0;
    uint64_t rest = record->bytes;
    if (record->kind != SCI_LOG_RECORD_BATCH || !sci_load_fits(load, record))
        return SC_MISS;
    if (record->bytes <= SCI_LOAD_KEPT_BYTES) {
        size_t bytes = (size_t)record->bytes;
        sc_status status = sci_load_fill(load, record->len + bytes);
        if (status != SC_OK)
            return status;
        const char *batch = sci_bytes_slice(&load->window).data + record->len;
        check = sci_log_record_check(&load->seed, sc_bytes(batch, bytes));
        return check == record->check ? SC_OK : SC_MISS;
    }
    for (sci_load_pass(load, record->len); rest > 0;) {
        size_t piece = SCI_LOAD_PIECE_BYTES;
        if (piece > rest)
            piece = (size_t)rest;
        sc_status status = sci_load_fill(load, piece);
        if (status != SC_OK)
            return status;
        check = sci_log_record_check_piece(&load->seed, check,
                                           sc_bytes(sci_bytes_slice(&load->window).data, piece));
        sci_load_pass(load, piece);
        rest -= piece;
    }
    return check == record->check ? SC_OK : SC_MISS;
}

/* Move on to the next place, from `at` on, where a record may begin; to the end: there is none. */
static sc_status sci_load_find(sci_load *load, uint64_t at)
{
    for (sci_load_seek(load, at); load->at < load->size;) {
        sc_status status = sci_load_fill(load, SCI_LOAD_PIECE_BYTES);
        if (status != SC_OK)
            return status;
        sc_slice window = sci_bytes_slice(&load->window);
        size_t found = sci_log_record_find(window);
        sci_load_pass(load, found);
        if (found < window.len)
            return sci_load_fill(load, SCI_LOG_RECORD_BYTES);
    }
    return SC_OK;
}

/* What is at `at` is no batch that is right: what does that mean? */
static sc_status sci_load_judge(sci_load *load, uint64_t at)
{
    load->end = SCI_LOAD_TORN;
    load->damage_at = at;
    for (uint64_t from = at + 1;;) {
        sci_log_record record;
        sc_status status = sci_load_find(load, from);
        if (status != SC_OK || load->at == load->size)
            return status;
        uint64_t found = load->at;
        from = found + 1;
        sci_load_record(load, &record);
        if (record.kind == SCI_LOG_RECORD_FIRST)
            load->end = SCI_LOAD_KEPT;
        status = sci_load_check(load, &record);
        if (status == SC_MISS)
            continue;
        if (status != SC_OK)
            return status;
        if (found - at > record.at_risk) {
            (void)sc_fail(SC_ERR_PROTOCOL, "a batch is not as it was written, though one that "
                                           "was written later is");
            return sci_load_damaged(load, at);
        }
        load->end = SCI_LOAD_KEPT;
        from = found + record.len + record.bytes;
    }
}

static sc_status sci_load_batch(sci_load *load, const sci_log_record *record)
{
    uint64_t at = load->at;
    sc_status status = sci_load_check(load, record);
    if (status == SC_MISS)
        return sci_load_judge(load, at);
    if (status != SC_OK)
        return status;
    sci_load_seek(load, at + record->len);
    return sci_load_execute(load, at, at + record->len + record->bytes, true);
}

/* --- The whole */

static sc_status sci_load_next(sci_load *load)
{
    sci_log_record record;
    sc_status status = sci_load_fill(load, SCI_LOG_RECORD_BYTES);
    if (status != SC_OK)
        return status;
    sci_load_record(load, &record);
    switch (record.kind) {
    case SCI_LOG_RECORD_FIRST:
        load->seed = record.seed;
        load->first_at = load->at;
        load->is_checked = true;
        sci_load_pass(load, record.len);
        return SC_OK;
    case SCI_LOG_RECORD_UNKNOWN:
        return sc_fail(SC_ERR_PROTOCOL,
                       "the log %s is of a later version, which this program does not know",
                       load->log->path);
    default:
        break;
    }
    if (load->is_checked)
        return sci_load_batch(load, &record);
    if (record.kind == SCI_LOG_RECORD_NONE)
        return sci_load_foreign(load);
    (void)sc_fail(SC_ERR_PROTOCOL, "the record that begins the log is not as it was written");
    return sci_load_damaged(load, load->at);
}

static sc_status sci_load_run(sci_load *load, sci_log *log)
{
    memset(load, 0, sizeof *load);
    load->log = log;
    load->noted_ns = sci_log_now(log);
    sci_bytes_init(&load->window, &log->memory);
    sc_status status = log->files.size(log->live.handle, &load->size);
    while (status == SC_OK && load->at < load->size && load->end == SCI_LOAD_WHOLE)
        status = sci_load_next(load);
    if (status == SC_OK && load->end == SCI_LOAD_WHOLE)
        load->damage_at = load->at; /* the end */
    sci_request_free(&load->request);
    sci_bytes_free(&load->window);
    return status;
}

/* What is behind `at`, appended to the file of what is kept. */
static sc_status sci_load_keep(sci_log *log, uint64_t at, uint64_t size)
{
    char piece[4096];
    void *kept = NULL;
    sc_status status =
        log->files.open(log->files.user, &log->memory, log->damaged_path, SC_FILE_APPEND, &kept);
    while (status == SC_OK && at < size) {
        size_t count = 0;
        size_t written = 0;
        status = log->files.fetch(log->live.handle, at, piece, sizeof piece, &count);
        if (status == SC_OK && count == 0)
            status = sc_fail(SC_ERR_IO, "the log %s became shorter", log->path);
        if (status == SC_OK)
            status = log->files.append(kept, piece, count, &written);
        at += count;
    }
    if (status == SC_OK)
        status = log->files.sync(kept);
    if (status == SC_OK)
        status = log->files.sync_folder(log->files.user, log->damaged_path);
    if (kept)
        log->files.shut(kept);
    return status;
}

static void sci_load_forget(sci_log *log)
{
    for (int i = 0; i < log->server->db_count; i++)
        sci_db_clear(&log->server->dbs[i]);
}

/* A damaged log: refused or, if that was asked for, cut, to be loaded again. */
static sc_status sci_load_repair(sci_log *log, const sci_load *load)
{
    if (!log->repair)
        return sc_fail(SC_ERR_PROTOCOL,
                       "the log %s is damaged at byte %llu of %llu: %s. With "
                       "sc_server_config.repair it is cut there, and the rest kept as %s",
                       log->path, (unsigned long long)load->damage_at,
                       (unsigned long long)load->size, sc_error_text(), log->damaged_path);
    sci_server_log(log->server, SC_LOG_ERROR,
                   "the log %s is damaged at byte %llu of %llu and cut there, the rest is kept as "
                   "%s: %s",
                   log->path, (unsigned long long)load->damage_at, (unsigned long long)load->size,
                   log->damaged_path, sc_error_text());
    sci_load_forget(log);
    sc_status status = sci_load_keep(log, load->damage_at, load->size);
    return status == SC_OK ? log->files.cut(log->live.handle, load->damage_at) : status;
}

static sc_status sci_load_cut(sci_log *log, const sci_load *load)
{
    bool is_kept = load->end == SCI_LOAD_KEPT;
    if (load->end == SCI_LOAD_WHOLE)
        return SC_OK;
    sci_server_log(log->server, SC_LOG_WARNING,
                   "the last %llu bytes of the log %s are no whole batch, after a crash, and are "
                   "cut off%s%s",
                   (unsigned long long)(load->size - load->damage_at), log->path,
                   is_kept ? "; they are kept as " : "", is_kept ? log->damaged_path : "");
    sc_status status = is_kept ? sci_load_keep(log, load->damage_at, load->size) : SC_OK;
    return status == SC_OK ? log->files.cut(log->live.handle, load->damage_at) : status;
}

SCI_PRIVATE sc_status sci_log_load(sci_log *log)
{
    sci_load load;
    sc_status status = sci_load_run(&load, log);
    while (status == SC_ERR_PROTOCOL && load.is_damaged) {
        status = sci_load_repair(log, &load);
        if (status == SC_OK)
            status = sci_load_run(&load, log);
        else
            load.is_damaged = false;
    }
    if (status == SC_OK)
        status = sci_load_cut(log, &load);
    if (status != SC_OK)
        return status;
    log->live.size = load.damage_at;
    log->live.seed = load.seed;
    log->live.first_at = load.first_at;
    log->live.needs_first = !load.is_checked;
    log->is_foreign = load.is_foreign;
    return SC_OK;
}
