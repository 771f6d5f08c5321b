#pragma once
/* lwIP's semaphores, mutexes and mailboxes where nothing runs but one program: plain counters and
   rings. What waits on them runs the network meanwhile (sys_arch.c). */

#include <stdbool.h>

enum { SYS_MBOX_SLOTS = 16 };

typedef struct sys_sem {
    unsigned count;
    bool is_valid;
} sys_sem_t;

typedef struct sys_mutex {
    unsigned depth;
    bool is_valid;
} sys_mutex_t;

/* A ring: `count` messages, the oldest in slot `first`. */
typedef struct sys_mbox {
    void *slots[SYS_MBOX_SLOTS];
    unsigned first;
    unsigned count;
    bool is_valid;
} sys_mbox_t;

typedef int sys_thread_t;
