#pragma once
/* The log on disk: every change as the commands that make it, plain RESP, so that
   `redis-cli --pipe < log` loads it into Redis. Batches are followed by an ECHO that carries their
   checksum. Locked by the server's lock throughout. */

#include "server/server.h"

typedef struct sci_log_config {
    const char *path;
    sc_sync sync;
    bool repair;
    uint64_t rewrite_min_bytes;
    const sc_files *files;
} sci_log_config;

/* Open (or create) the log, hold its lock, and load it into the server's databases by
   sci_command_replay. SC_HELD, SC_ERR_IO, SC_ERR_PROTOCOL (damage in the middle: offset and what
   to do in sc_error_text), SC_ERR_MEMORY. A torn tail is cut, with a warning to the logger. */
SCI_PRIVATE sc_status sci_log_open(sc_server *server, const sci_log_config *config, sci_log **log);
/* Writes out, syncs, closes. */
SCI_PRIVATE void sci_log_close(sci_log *log);
/* In a forked child: let go without writing. Not `is_intact`: the fork came in the middle of a change,
   so that nothing but the lock can be let go. */
SCI_PRIVATE void sci_log_abandon(sci_log *log, bool is_intact);

/* May a command that brings `bytes` be executed? SC_OK, or SC_ERR_IO with what is wrong (the disk is
   full): then nothing has changed, and the command is to be refused. Tries again by itself as time
   passes. */
SCI_PRIVATE sc_status sci_log_admit(sci_log *log, size_t bytes);
/* Add one command, applied to database `db`. Without memory for it the batch cannot be kept whole:
   the log fails at the next commit. */
SCI_PRIVATE void sci_log_append(sci_log *log, int db, const sc_slice *argv, size_t argc);
/* MULTI and EXEC around what is appended between. Nested: the outermost counts; nothing between:
   nothing is written. */
SCI_PRIVATE void sci_log_begin(sci_log *log);
SCI_PRIVATE void sci_log_end(sci_log *log);
/* Write what was appended, with its checksum, and sync as configured. SC_ERR_IO: it could not be
   written; nothing of the batch will appear in the log until a later commit manages to write it
   (the bytes are kept in order), and who waits for an answer must not get it. */
SCI_PRIVATE sc_status sci_log_commit(sci_log *log);

/* A command that will be in the log is about to read, change, move or delete the entry: a rewriting
   under way that has not come to it writes its old state first. */
SCI_PRIVATE void sci_log_before_use(sci_log *log, sci_db *db, sci_entry *entry);
/* Marks a new entry as one that a rewriting under way need not visit. */
SCI_PRIVATE void sci_log_entry_is_new(sci_log *log, sci_entry *entry);
/* All of a database (NULL: of all) is about to go. */
SCI_PRIVATE void sci_log_before_flush(sci_log *log, const sci_db *db);
/* Two databases exchange all that they have. */
SCI_PRIVATE void sci_log_before_swap(sci_log *log, const sci_db *a, const sci_db *b);

/* Sync when a second is over, a slice of rewriting. Returns when it wants to be called again,
   monotonic ns, INT64_MAX: after the next append. */
SCI_PRIVATE int64_t sci_log_tick(sci_log *log, int64_t now_ns);
/* The same for syncs alone. */
SCI_PRIVATE int64_t sci_log_run_syncs(sci_log *log);
/* Other than it was opened with. */
SCI_PRIVATE void sci_log_configure(sci_log *log, sc_sync sync, uint64_t rewrite_min_bytes);
/* BGREWRITEAOF. SC_HELD: one is under way. */
SCI_PRIVATE sc_status sci_log_rewrite(sci_log *log);
SCI_PRIVATE bool sci_log_is_rewriting(const sci_log *log);
SCI_PRIVATE uint64_t sci_log_bytes(const sci_log *log);
/* Since when it cannot be written (wall clock), 0: it can; the words of it in `text`, if not NULL. */
SCI_PRIVATE int64_t sci_log_failed_ms(const sci_log *log, const char **text);
