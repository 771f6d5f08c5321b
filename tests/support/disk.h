#pragma once
/* A disk in memory, for what writes files: it fails when asked, runs out of room, loses with a crash
   of the host what was not synced, and can stop in the middle of a write. Any thread. */

#include "smartcache.h"

#include <pthread.h>

typedef enum disk_op {
    DISK_OPEN,
    DISK_SIZE,
    DISK_FETCH,
    DISK_APPEND,
    DISK_RESERVE,
    DISK_CUT,
    DISK_SYNC,
    DISK_HOLD,
    DISK_RENAME,
    DISK_REMOVE,
    DISK_SYNC_FOLDER,
    DISK_OPS
} disk_op;

#define DISK_ALL ((1u << DISK_OPS) - 1)
#define DISK_NAMES 16
#define DISK_NAME_BYTES 64

typedef struct disk_node {
    char *bytes;
    size_t size;
    size_t cap;
    size_t durable;   /* so much survives a crash of the host */
    size_t forgotten; /* from here on, to forgotten_end, a sync failed: the system takes it for
                         written, and it is not */
    size_t forgotten_end;
    size_t allocated; /* of the disk's room, what was reserved included */
    size_t links;     /* names and handles */
    void *holder;
} disk_node;

typedef struct disk_name {
    char text[DISK_NAME_BYTES];
    disk_node *node;
    disk_node *durable;
} disk_name;

/* sc_fail, of the library that the test has in it. */
typedef sc_status (*disk_fails)(sc_status status, const char *format, ...);

typedef struct disk {
    sc_files table; /* for sc_server_config.files */
    disk_fails fail;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    disk_name names[DISK_NAMES];
    size_t room;            /* bytes that are left */
    size_t count[DISK_OPS]; /* calls so far */
    size_t handles;
    size_t calls;   /* of those in `fail_mask` */
    size_t fail_at; /* the call that fails, counted from 1; 0: none */
    bool fails_for_good;
    unsigned fail_mask;
    uint64_t life; /* bytes that are still written; then nothing works any more */
    bool is_dead;
    bool has_no_reserve;
    bool is_sync_stopped; /* syncs wait */
    size_t syncs_waiting;
    uint64_t random;
} disk;

void disk_init(disk *self, size_t room, disk_fails fail);
/* Frees all; false, with words on stderr, when files are still open. */
bool disk_free(disk *self);

/* The `call`-th call from now (1: the next) of those in `mask` (bits 1u << DISK_...) fails, once or
   it and all after it; 0: none any more. An append that fails has written half. */
void disk_fail(disk *self, unsigned mask, size_t call, bool for_good);
/* Write so many bytes more, and then stop, in the middle of a write: nothing works any more. */
void disk_die_after(disk *self, uint64_t bytes);
/* The process that used it is gone, its files are shut. All works again, and what syncs could not
   write has been written after all. */
void disk_restart(disk *self);
/* The host is: what was not synced is lost; or, with `seed` not 0, some blocks of it and some names
   are, by chance. */
void disk_crash(disk *self, uint64_t seed);
void disk_set_room(disk *self, size_t room);
size_t disk_room(disk *self);
/* Let syncs wait until they may go on. */
void disk_stop_syncs(disk *self, bool stopped);
size_t disk_syncs_waiting(disk *self);
size_t disk_calls(disk *self, disk_op op);

/* A file's content; NULL: there is none. Valid until something changes. */
const char *disk_look(disk *self, const char *name, size_t *size);
/* Make a file, or put another content into it, on the disk at once. */
void disk_put(disk *self, const char *name, const char *bytes, size_t size);
void disk_flip(disk *self, const char *name, size_t at, int bits);
