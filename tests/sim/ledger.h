#pragma once
/* What is true of a run: who loads, what was changed, what calls are under way; and what must hold. */

#include "world.h"

#define SIM_TOKEN_BYTES 40

/* A lease as its holder sees it: it may load on its own until then. */
typedef struct sim_lease_view {
    char token[SIM_TOKEN_BYTES];
    bool is_held;
    int64_t until_ns; /* by its process's clock */
    int64_t asked_ns; /* the question that gave it, or the last renewal that was answered */
} sim_lease_view;

/* A run of the loader. */
typedef struct sim_load {
    int key;
    const sim_process *process;
    sc_load *handle; /* while it runs */
    int64_t begin_ns;
    int64_t end_ns;
    bool is_leased;
    bool is_running;
    bool is_void; /* an invalidation that came after the lease has taken it away */
    int64_t until_ns;
    int64_t confirmed_ns; /* when the process heard that it has the lease until then */
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

int sim_load_begins(const sim_process *process, int key, sc_load *handle);
void sim_load_ends(int load);
/* Between any two steps of any process: nobody believes to have a lease that it has not. */
void sim_ledger_step(void);

/* For inside.c, which sees the library's structs: a load's lease. */
void sim_lease_look(sc_load *handle, sim_lease_view *view);
/* And whether its commands would be sent at once. */
bool sim_is_connected(const sc_client *client);
/* And the server's side: who has the key's lease, or the lock, and until when by the world's clock. False: there
   is no server at the moment. No holder: "". */
bool sim_lease_at_server(int key, char token[SIM_TOKEN_BYTES], int64_t *until_ns);
/* Of what several may have at a time that says whether it is full, and until when. This says so of
   one of its holders: `token` becomes "" if it is none of them. */
bool sim_share_at_server(int key, char token[SIM_TOKEN_BYTES], int64_t *until_ns);
/* The server has executed a command that may have changed the key's lease. `is_invalidation`: one
   that takes it away from whoever has it, who had `token` ("": nobody). */
void sim_lease_changed(int key);
/* When the last lease of the key ended, or will. */
int64_t sim_lease_end_ns(int key);
void sim_lease_invalidated(int key, const char *token);

/* What the server was told since then is lost, up to now; `is_clock`: what its clock decides, as the
   ends of leases. */
void sim_ledger_loss(int64_t from_ns, bool is_clock);
/* May what happened at some time between the two have been lost? */
bool sim_ledger_is_lost(int64_t begin_ns, int64_t end_ns, bool with_clock);

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
    int64_t server_stalled_ns;
    int64_t delayed_ns;
    int64_t bound_ms;
    bool is_under_way;
} sim_call;

/* From now on. */
void sim_call_restart(sim_call *call, sim_process *process);
void sim_call_begins(sim_call *call, const char *what, int64_t bound_ms);
/* Once, and in time. */
void sim_call_ends(sim_call *call, sc_status status);
/* How much longer than its bound something that the call waits for may take, for all that has kept
   its process, and the servers, from running since the call began. */
int64_t sim_call_grace_ns(const sim_call *call);
/* When the last trouble that the process may have felt is overcome. */
int64_t sim_overcome_ns(const sim_process *process);
/* A get-or-load of the key ends: did it wait on although nobody loads any more? */
void sim_wait_check(const sim_call *call, int key);
