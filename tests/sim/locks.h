#pragma once
/* Contenders for locks: what they do, and what must hold of the locks of all processes. */

#include "hold.h"

/* For inside.c. */
void sim_lock_look(const sc_lock *lock, sim_hold_view *view);

void sim_locks_begin(void);
/* Between any two steps of any process. */
void sim_locks_step(void);

/* A process's contenders; NULL when the run has none. */
typedef struct sim_contenders sim_contenders;
sim_contenders *sim_contenders_open(sim_process *process, sc_client *client, int64_t timeout_ms);
void sim_contenders_act(sim_contenders *all);
/* Locks whose time is over are given back: when the next one is, or -1. */
int64_t sim_contenders_due(sim_contenders *all);
size_t sim_contenders_under_way(const sim_contenders *all);
/* When all is calm: does each of them get its lock? */
bool sim_contenders_check(sim_contenders *all);
/* All of them come to rest: what they hold is given back. */
void sim_contenders_retire(sim_contenders *all);
void sim_contenders_close(sim_contenders *all);
void sim_contenders_free(sim_contenders *all);
