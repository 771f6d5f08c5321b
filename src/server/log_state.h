#pragma once
/* What the log's files share: the log as a whole. Locked by the server's lock, but for what is in
   its syncers. */

#include "server/log.h"
#include "server/log_file.h"
#include "server/log_sync.h"

#define SCI_LOG_NS_PER_MS INT64_C(1000000)
#define SCI_LOG_NS_PER_S INT64_C(1000000000)

/* How far a database has been walked; it goes with the database when that is swapped. */
typedef struct sci_log_walk {
    uint64_t cursor;
    bool is_done;
} sci_log_walk;

typedef enum sci_rewriting_phase {
    SCI_REWRITING_NOT,
    SCI_REWRITING_RESET, /* marks of the 255 rewritings before are taken off */
    SCI_REWRITING_WALK,  /* what there is gets written */
    SCI_REWRITING_SYNC   /* and synced, before it takes the log's place */
} sci_rewriting_phase;

typedef struct sci_rewriting {
    sci_rewriting_phase phase;
    sci_log_file file;
    sci_log_syncer syncer;
    sci_log_walk *walks; /* owned, one for each database */
    uint8_t epoch;       /* what entry->epoch is once it is written, or new */
    bool is_failed;      /* it is given up at the next step, with sc_error_text then in `words` */
    unsigned rounds;     /* of syncing */
    int64_t began_ns;
    int64_t retry_ns;       /* none begins by itself before */
    int64_t retry_pause_ns; /* doubles with each failure */
    uint64_t base_bytes;    /* the log's size after the last one */
    char words[SC_ERROR_TEXT_BYTES];
} sci_rewriting;

struct sci_log {
    sc_server *server;
    sc_memory memory;
    sc_files files;
    sc_sync sync;
    bool repair;
    uint64_t rewrite_min_bytes;
    char *path; /* owned, as the next three */
    char *lock_path;
    char *rewrite_path;
    char *damaged_path;
    void *lock_file; /* owned: held */
    sci_log_file live;
    sci_log_syncer syncer; /* of the live file, for SC_SYNC_EVERY_SECOND */
    sci_rewriting rewriting;
    unsigned depth;       /* of sci_log_begin */
    bool is_folder_due;   /* a renamed file's name is not on the disk (SC_SYNC_ALWAYS) */
    bool needs_rewriting; /* the file cannot be trusted: a sync failed, or a command is lost */
    bool is_stuck;        /* a sync takes very long; as far as was last looked */
    bool is_foreign;      /* it begins with what somebody else wrote: to be rewritten soon */
    int64_t failed_ms;    /* since when it cannot be written, on the wall clock; 0: it can */
    int64_t retry_ns;     /* when the next attempt is due */
    char words[SC_ERROR_TEXT_BYTES]; /* why */
};

static inline int64_t sci_log_now(const sci_log *log)
{
    return sci_server_now_ns(log->server);
}
/* A seed for a new file. */
SCI_PRIVATE sci_hash_seed sci_log_seed(sci_log *log);
/* Beyond what is asked for, so that what nobody asked leave for (expiry, eviction, a command that
   is longer in the log than it came) has room as well. */
#define SCI_LOG_SLACK_BYTES ((uint64_t)64 << 10)

/* log_load.c: load what is in log->live.handle. */
SCI_PRIVATE sc_status sci_log_load(sci_log *log);

/* log_rewrite.c */
SCI_PRIVATE void sci_rewriting_init(sci_log *log);
/* Frees; gives up what is under way, and removes its file. */
SCI_PRIVATE void sci_rewriting_free(sci_log *log);
/* In a forked child. */
SCI_PRIVATE void sci_rewriting_abandon(sci_log *log);
static inline bool sci_rewriting_is_on(const sci_log *log)
{
    return log->rewriting.phase != SCI_REWRITING_NOT;
}
/* Does it take commands? */
static inline bool sci_rewriting_takes(const sci_log *log)
{
    return log->rewriting.phase > SCI_REWRITING_RESET;
}
SCI_PRIVATE void sci_rewriting_give_up(sci_log *log, const char *why);
/* Begins, goes on, ends. Returns when it wants to be called again. */
SCI_PRIVATE int64_t sci_rewriting_tick(sci_log *log, int64_t now_ns);
/* The rewritten file is the log now: whatever was wrong with the old one is over. */
SCI_PRIVATE void sci_log_is_renewed(sci_log *log);
