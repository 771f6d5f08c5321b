#pragma once
/* A world in which programs that use the library run in virtual time: processes (coroutines), a
   network, disks, clocks, memory, all in one thread and all drawn from one seed. */

#include "smartcache.h"

#include "fault_memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SIM_NS_PER_US INT64_C(1000)
#define SIM_NS_PER_MS INT64_C(1000000)
#define SIM_NS_PER_S INT64_C(1000000000)
#define SIM_NEVER INT64_MAX
#define SIM_PROCESSES 10
#define SIM_TIMEOUT_MAX_MS 4000 /* of calls */
#define SIM_CONNECT_MS 1500
#define SIM_BACKOFF_MAX_MS 400
#define SIM_DELAY_MAX_NS SIM_NS_PER_S
#define SIM_STACK_BYTES ((size_t)512 * 1024)

/* What may go wrong. A run has a subset; each has a stream of random numbers of its own, so that
   leaving one out leaves the others as they were. */
typedef enum sim_fault {
    SIM_SPLIT,        /* bytes come in pieces */
    SIM_DELAY,        /* and late, or always late on one connection */
    SIM_BLACK_HOLE,   /* one direction of a link carries nothing for a while */
    SIM_CUT,          /* a connection is reset, with what is under way lost */
    SIM_SERVER_SLOW,  /* the server's process gets little time */
    SIM_SERVER_PAUSE, /* SIGSTOP */
    SIM_SERVER_KILL,  /* SIGKILL; it starts again with its log */
    SIM_HOST_CRASH,   /* the same, and what was not synced is lost */
    SIM_SERVER_EMPTY, /* it starts again without its log */
    SIM_SERVER_OLD,   /* it starts again with an older log */
    SIM_SERVER_CLOCK, /* its wall clock steps */
    SIM_CLIENT_PAUSE, /* between any two steps */
    SIM_CLIENT_KILL,  /* SIGKILL; its peers may never hear of it */
    SIM_CLIENT_CLOCK, /* wall clocks jump, monotonic clocks drift */
    SIM_PUBLISH_DROP, /* a message gets lost in the server */
    SIM_PUBLISH_TWICE,
    SIM_NOSCRIPT,      /* the server has forgotten its scripts */
    SIM_READONLY,      /* the server is a replica for a while */
    SIM_OUT_OF_MEMORY, /* the server's memory is full for a while */
    SIM_ALLOCATION,    /* an allocation of a client fails */
    SIM_FAULTS
} sim_fault;

const char *sim_fault_name(sim_fault fault);
#define SIM_ALL_FAULTS ((1u << SIM_FAULTS) - 1)

typedef struct sim_options {
    uint64_t seed;
    unsigned faults;     /* those that may be drawn */
    int clients;         /* at most; 0: as the seed says */
    int64_t duration_ms; /* virtual; 0: as the seed says */
    bool is_traced;
} sim_options;

/* --- Chance */

typedef struct sim_random {
    uint64_t state;
} sim_random;

sim_random sim_random_of(uint64_t seed, uint64_t stream);
uint64_t sim_u64(sim_random *random);
/* From `low` to `high`, both included. */
int64_t sim_between(sim_random *random, int64_t low, int64_t high);
/* Small ones are likelier: the same number of draws for each order of magnitude. */
int64_t sim_spread(sim_random *random, int64_t low, int64_t high);
bool sim_chance(sim_random *random, double probability);

/* --- Processes */

typedef struct sim_process sim_process;
typedef void (*sim_program)(sim_process *self);

struct sim_process {
    int id; /* a client's or a server's: its place in the world's array */
    bool is_server;
    bool is_alive;
    bool is_done; /* its program has returned */
    bool is_waiting;
    int64_t wake_ns;
    int64_t paused_until_ns;
    int64_t asleep_until_ns; /* in a system call */
    int64_t stalled_ns;      /* that it was kept from running, all together */
    int64_t troubled_ns;     /* the last fault of its own is over then */
    int64_t delayed_ns; /* that its connections carried something later than usual, all together */
    int64_t drift_ppm;
    int64_t clock_offset_ns;
    int64_t wall_offset_ms;
    sim_random random; /* of what its program does */
    sim_random jitter; /* of the scheduler */
    fault_memory memory;
    sc_clock clock;
    sc_random entropy;
    sc_transport transport;
    sc_poller poller;
    sc_listener listener;
    sc_files files;
    sim_program program;
    void *coroutine; /* private to world.c */
    void *actor;     /* the program's own */
};

typedef struct sim_world {
    sim_options options;
    int64_t now_ns;
    int64_t end_ns;
    int64_t calm_ns; /* no fault begins, or goes on, after this */
    unsigned faults; /* drawn for this run, of those that options allow */
    uint64_t hash;   /* over all that happened */
    uint64_t events;
    bool has_failed;
    char failure[512];
    int64_t failure_ns;
    sim_process *processes[SIM_PROCESSES];
    int process_count;
    sim_process *current;
    const sim_process *last; /* that runs, or did last; NULL: it is gone */
    int server_count;
    int client_count;
    int64_t pace_ms;    /* that programs think between two steps, about */
    int64_t latency_ns; /* of the network, about */
    double slowness;    /* chance that a process gets its turn late */
    sc_sync sync;       /* how servers keep their logs */
    int64_t lease_ms;
    int64_t poll_ms;
    double locking;            /* the part of what programs do that is about locks; often 0 */
    int64_t lock_ms;           /* lease of locks */
    unsigned fair;             /* locks that go to who comes first: bits */
    int permits;               /* of the semaphore; often 0: nothing is shared */
    double leading;            /* the part that is about elections; often 0 */
    int64_t lead_ms;           /* lease of the leader */
    bool refreshes;            /* the leader builds something */
    bool clears;               /* and nothing built is nothing there */
    int64_t shadow_ms;         /* what a build leaves is gone after this */
    int64_t troubled_ns;       /* the last fault that all may feel is over then */
    int64_t server_stalled_ns; /* that servers were kept from running, all together */
} sim_world;

extern sim_world sim;

/* Run one seed in this process. False: an invariant was broken; sim.failure says which. */
bool sim_run(const sim_options *options);
/* A line of the trace alone. */
void sim_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* One line of the trace, when it is wanted; and into the hash either way. */
void sim_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sim_mix(uint64_t what, uint64_t value);
/* An invariant is broken: the run ends. */
void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

bool sim_has(sim_fault fault);

sim_process *sim_process_start(int id, bool is_server, sim_program program);
/* At once, without a word: memory, descriptors and locks are gone. `is_silent`: its peers do not
   hear of it (the host is gone). */
void sim_process_kill(sim_process *process, bool is_silent);
/* Free a process that was killed. */
void sim_process_bury(sim_process *process);
void sim_process_pause(sim_process *process, int64_t until_ns);
/* A fault that this process may feel, NULL: any process, is over then. */
void sim_trouble(sim_process *process, int64_t until_ns);
/* For the process that runs: give others their turn, until `wake_ns` or until it is woken. */
void sim_yield_until(int64_t wake_ns);
void sim_sleep(int64_t ns); /* without doing anything */
void sim_wake(sim_process *process, int64_t at_ns);
/* A process's own clock, and back. */
int64_t sim_local_ns(const sim_process *process);
int64_t sim_world_delay_ns(const sim_process *process, int64_t local_ns);

/* --- Network (net.c) */

void sim_net_reset(void);
void sim_net_tables(sim_process *process);
void sim_net_process_gone(sim_process *process, bool is_silent);
/* Nothing of what `from` sends arrives at `to` before `until_ns`; SIM_NEVER: ever. */
void sim_net_black_hole(const sim_process *from, const sim_process *to, int64_t until_ns);
/* Reset one connection of a client's, drawn; false: it has none. */
bool sim_net_cut(sim_process *client, sim_random *random);
/* Servers' addresses. */
void sim_net_url(int server, char *url, size_t cap);

/* --- Disk (disk.c) */

void sim_disk_reset(void);
void sim_disk_tables(sim_process *process);
void sim_disk_process_gone(const sim_process *process);
/* The host of this server has crashed: of what was not synced, some is lost. Since when, or
   SIM_NEVER: nothing is. */
int64_t sim_disk_crash(int server, sim_random *random);
void sim_disk_erase(int server);
void sim_disk_keep_old(int server);
/* Since when what was written is gone; SIM_NEVER: nothing is. */
int64_t sim_disk_bring_old(int server);

/* --- Faults (fate.c) */

void sim_fate_begin(void);
/* When it wants to act next, and that. */
int64_t sim_fate_due_ns(void);
void sim_fate_act(void);

/* --- Programs (client.c, inside.c) */

void sim_client_program(sim_process *self);
void sim_server_program(sim_process *self);
void sim_client_free(sim_process *process);
void sim_server_free(sim_process *process);
/* The server answers writes with an error for a while: SIM_READONLY, SIM_OUT_OF_MEMORY. */
void sim_server_refuse(sim_process *process, sim_fault why, int64_t until_ns);
/* The names of the keys that all programs share. */
#define SIM_KEYS 3
/* What has a holder: the keys, as they are loaded, behind them the locks, and an election. And what
   several may have at a time: a semaphore, and a lock for readers and writers. */
#define SIM_LOCKS 2
#define SIM_LEADER (SIM_KEYS + SIM_LOCKS) /* the election's */
#define SIM_PERMITS (SIM_LEADER + 1)
#define SIM_READERS (SIM_LEADER + 2)
#define SIM_HELD (SIM_LEADER + 3)
#define SIM_IS_SHARED(key) ((key) >= SIM_PERMITS)
extern const char *const sim_key_names[SIM_HELD];

/* --- What is true (ledger.c) */

void sim_ledger_begin(void);
void sim_ledger_step(void);
void sim_ledger_loss(int64_t from_ns, bool is_clock);
/* At the end, when all is calm. */
void sim_ledger_check_end(void);
