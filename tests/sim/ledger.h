#pragma once
/* What is true of a run: who loads, what was changed, what calls are under way; and what must hold. */

#include "world.h"

/* A run of the loader. `lease_until_ns`: by the process's clock, 0: without a lease. */
typedef struct sim_load {
    int key;
    const sim_process *process;
    int64_t begin_ns;
    int64_t lease_until_ns;
    bool is_leased;
    bool is_running;
    int64_t end_ns;
    bool is_result;
    bool is_superseded; /* its key was changed since it began */
} sim_load;

typedef enum sim_change_kind { SIM_INVALIDATE, SIM_SET } sim_change_kind;

typedef struct sim_change {
    sim_change_kind kind;
    int key;
    int64_t begin_ns;
    int64_t end_ns; /* SIM_NEVER: under way */
    sc_status status;
    bool may_come_again;
} sim_change;

/* `asked_ns`: when the lease was asked for, by the world's clock. */
int sim_load_begins(const sim_process *process, int key, bool is_leased, int64_t asked_ns);
/* The lease was extended until then; called before each check of it. */
void sim_load_lease(int load, int64_t lease_until_ns);
/* `is_result`: with a value, a miss or an error that others are to get. */
void sim_load_ends(int load, bool is_result);
/* A get-or-load of the key ended that had begun at `begin_ns`. Had it waited on although the load
   that it waited for was over? `poll_ms`: how often it looks by itself. */
void sim_wait_check(const sim_process *process, int key, int64_t begin_ns, int64_t poll_ms,
                    int64_t stalled_ns);

/* For inside.c, which sees the library's structs: when a load's lease was asked for, and until when
   it holds, by the process's clock. False: it has none. */
bool sim_load_look(sc_load *load, int64_t *asked_ns, int64_t *lease_until_ns);

int sim_change_begins(sim_change_kind kind, int key);
/* `may_come_again`: it may have been sent twice, and the first is perhaps still on its way. */
void sim_change_ends(int change, sc_status status, bool may_come_again);

/* The text of a value: its key and who made it; what follows is filler. */
size_t sim_value_make(char *text, size_t cap, int key, char maker, int id);
/* A value was read under `key` by a call that began at `begin_ns`: is it the key's, and fresh? What
   was loaded without a lease is for those who asked meanwhile in the same process, however old, and
   stored nowhere. */
void sim_value_check(const char *who, int key, sc_slice value, int64_t begin_ns);

/* A call under way. */
typedef struct sim_call {
    const char *what;
    sim_process *process;
    int64_t begin_ns; /* of the world */
    int64_t local_ns; /* by the process's clock */
    int64_t stalled_ns;
    int64_t bound_ms;
    bool is_under_way;
} sim_call;

void sim_call_begins(sim_call *call, const char *what, int64_t bound_ms);
/* Once, and in time. */
void sim_call_ends(sim_call *call, sc_status status);
