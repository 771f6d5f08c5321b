#pragma once
/* Worker processes that begin together and count in shared memory. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESSES_MAX 64
#define PROCESSES_COUNTERS 64
#define PROCESSES_LOG 65536

typedef struct processes processes;

/* What a worker runs; its result is the exit status, 0 for success. It must not use cmocka's
   asserts: they belong to the process that runs the test. */
typedef int (*processes_run)(processes *shared, size_t index, void *user);

typedef struct processes_entry {
    size_t process;
    int64_t what;
    int64_t value;
    int64_t at_ns; /* CLOCK_MONOTONIC, the same for all processes */
} processes_entry;

/* Fork `count` workers. Each ends when this process does. Ends the process when that fails. */
processes *processes_start(size_t count, processes_run run, void *user);
/* Wait for all. True when each ended with status 0, or was killed by processes_kill; else it says
   on stderr which did not. Workers that are still there after the watchdog's time are killed and
   fail. */
bool processes_join(processes *shared);
/* After the join: also what the workers left in shared memory. NULL is fine. */
void processes_free(processes *shared);

/* SIGKILL a worker and wait until it is gone. */
void processes_kill(processes *shared, size_t index);
void processes_pause(processes *shared, size_t index);    /* SIGSTOP, until it stands still */
void processes_continue(processes *shared, size_t index); /* SIGCONT */
pid_t processes_pid(const processes *shared, size_t index);

/* Workers, their threads and the starting process: */

/* Wait until `count` have come to barrier number `barrier` (below PROCESSES_COUNTERS), each number
   for one use. All go on together. */
void processes_barrier(processes *shared, size_t barrier, size_t count);
/* Add to a counter; returns the value before. */
int64_t processes_add(processes *shared, size_t counter, int64_t amount);
int64_t processes_read(processes *shared, size_t counter);
void processes_set(processes *shared, size_t counter, int64_t value);
/* Wait until a counter is at least `value`; false when the watchdog ended it. */
bool processes_wait_for(processes *shared, size_t counter, int64_t value);
/* Append to the shared log, with the time; entries beyond PROCESSES_LOG are only counted. */
void processes_note(processes *shared, size_t process, int64_t what, int64_t value);
size_t processes_notes(processes *shared);
/* Entry `index`, in the order of noting. */
processes_entry processes_note_at(processes *shared, size_t index);
