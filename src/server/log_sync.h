#pragma once
/* Syncing a log's file in a thread of its own, so that a slow disk does not stop commands; where
   there is none, by whoever calls sci_log_syncer_run. */

#include "api/platform.h"
#include "base/thread.h"

typedef struct sci_log_syncer {
    const sc_files *files;
    sc_clock clock;
    int64_t pause_ns; /* from the beginning of a sync to that of the next */
    bool has_thread;  /* this and the thread are its owner's alone */
    sci_thread thread;
    sci_mutex lock;     /* guards what follows, for moments; nothing is called while it is held */
    sci_gate gate;      /* raised for the thread, and by it */
    void *file;         /* not owned; NULL: none */
    const char *folder; /* a path in the file's folder, when that is to be synced; borrowed */
    void *trash;        /* owned: to be shut, which takes long for a large file that was removed */
    uint64_t wanted;    /* so much of the file is to be on the disk */
    uint64_t synced;    /* and so much is */
    int64_t due_ns;     /* no sync begins before */
    int64_t began_ns;   /* the one that runs */
    bool is_busy;       /* something runs, outside of the lock */
    bool is_held;       /* the file is not to be touched */
    bool is_stopping;
    sc_status status; /* of the sync that failed: there are no more for this file */
    char words[SC_ERROR_TEXT_BYTES];
} sci_log_syncer;

typedef struct sci_log_synced {
    uint64_t bytes;     /* so much is on the disk */
    int64_t busy_ns;    /* something has been under way for so long; 0: nothing is */
    bool is_folder_due; /* the folder is not synced yet */
    sc_status status;   /* a failure, with its words in sc_error_text */
} sci_log_synced;

SCI_PRIVATE void sci_log_syncer_init(sci_log_syncer *syncer, const sc_files *files,
                                     const sc_clock *clock, int64_t pause_ns);
/* Start the thread, if there is none and the system lets us. */
SCI_PRIVATE void sci_log_syncer_start(sci_log_syncer *syncer);
/* Wait until the thread is done with what it does, and gone. */
SCI_PRIVATE void sci_log_syncer_stop(sci_log_syncer *syncer);
/* Stops, and frees. `is_child`: of a fork, where there is no such thread. */
SCI_PRIVATE void sci_log_syncer_free(sci_log_syncer *syncer, bool is_child);

/* Leave the file alone until told otherwise (and take it up again); false: something is under way. */
SCI_PRIVATE bool sci_log_syncer_hold(sci_log_syncer *syncer, bool is_held);
/* From now on it is this file, whose first `synced` bytes are on the disk; NULL: none. Before, it is
   held, or idle. */
SCI_PRIVATE void sci_log_syncer_serve(sci_log_syncer *syncer, void *file, uint64_t synced);
/* So much of the file is to be on the disk, and soon. */
SCI_PRIVATE void sci_log_syncer_want(sci_log_syncer *syncer, uint64_t bytes);
/* And the folder of `path`, after the file. */
SCI_PRIVATE void sci_log_syncer_want_folder(sci_log_syncer *syncer, const char *path);
/* Shut a file, after what is under way, and then it may be the one that was served. One at a time.
 */
SCI_PRIVATE void sci_log_syncer_shut(sci_log_syncer *syncer, void *file);

/* There is nothing to do, and nothing is being done. */
SCI_PRIVATE bool sci_log_syncer_is_idle(sci_log_syncer *syncer);
SCI_PRIVATE sci_log_synced sci_log_syncer_look(sci_log_syncer *syncer);
/* Without a thread: do what is due. Returns when there is more to do, INT64_MAX: there is not. */
SCI_PRIVATE int64_t sci_log_syncer_run(sci_log_syncer *syncer);
/* Wait until nothing is under way, or `timeout_ns` has passed. */
SCI_PRIVATE void sci_log_syncer_wait(sci_log_syncer *syncer, int64_t timeout_ns);
