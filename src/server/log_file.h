#pragma once
/* One file of a log: the commands of its next batch in memory, and how they get to its end as a
   whole or not at all. Knows nothing of servers. */

#include "base/bytes.h"
#include "server/log_record.h"

typedef struct sci_log_file {
    const sc_files *files;
    void *handle; /* owned; NULL: none */
    sci_hash_seed seed;
    sci_bytes pending; /* room for records, then commands that are not in the file yet */
    uint64_t size;     /* of what is there in whole batches */
    uint64_t first_at; /* where the record that begins the log stands */
    uint64_t durable;  /* so much of it has been synced, or will be before the file has its name */
    uint64_t reserved_end; /* up to this size there is room; UINT64_MAX: as far as one can know */
    uint64_t last_bytes;   /* what the last write added, for taking it back */
    int db;                /* that the next command would apply to; -1: none */
    bool is_in_multi;
    bool needs_first; /* the record that begins a log */
    bool needs_cut;   /* there is, or may be, more in the file than `size` */
    bool is_lost;     /* a command is missing for want of memory: no more is taken */
} sci_log_file;

SCI_PRIVATE void sci_log_file_init(sci_log_file *file, const sc_memory *memory,
                                   const sc_files *files);
/* Frees what is in memory, and shuts the file. */
SCI_PRIVATE void sci_log_file_free(sci_log_file *file);

/* Add a command, or MULTI, or EXEC. Without memory the whole batch is dropped, and is_lost. */
SCI_PRIVATE void sci_log_file_add(sci_log_file *file, int db, const sc_slice *argv, size_t argc);
SCI_PRIVATE void sci_log_file_add_multi(sci_log_file *file);
SCI_PRIVATE void sci_log_file_add_exec(sci_log_file *file);
/* Bytes of commands that are not in the file. */
SCI_PRIVATE size_t sci_log_file_pending(const sci_log_file *file);

/* Write the record that a log begins with; else the first batch brings it. */
SCI_PRIVATE sc_status sci_log_file_begin(sci_log_file *file);
/* Append what is pending as one batch, which says that `at_risk` bytes before it are not synced;
   the bytes stay in memory until sci_log_file_forget. An error: the file ends where it did, or
   will, before anything else is written to it. */
SCI_PRIVATE sc_status sci_log_file_write(sci_log_file *file, uint64_t at_risk);
/* What was written is safe; or is not, and is taken back. */
SCI_PRIVATE void sci_log_file_forget(sci_log_file *file);
SCI_PRIVATE void sci_log_file_take_back(sci_log_file *file);

/* Make sure that what is pending and `bytes` more can be written. The error that writing them would
   meet: then nothing has changed. */
SCI_PRIVATE sc_status sci_log_file_reserve(sci_log_file *file, uint64_t bytes);
static inline bool sci_log_file_has_room(const sci_log_file *file, uint64_t bytes)
{
    return file->size + sci_bytes_len(&file->pending) + bytes <= file->reserved_end;
}
