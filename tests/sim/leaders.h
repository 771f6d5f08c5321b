#pragma once
/* Candidates of an election: what they do, and what must hold of all of them. */

#include "hold.h"

/* For inside.c. `until_ns`: until the lease's end. */
void sim_leader_look(const sc_election *election, sim_hold_view *view);
/* The term at the server; 0: none. */
int64_t sim_term_at_server(void);

void sim_leaders_begin(void);
/* Between any two steps of any process. */
void sim_leaders_step(void);

/* A process's candidate; NULL when the run has none. */
typedef struct sim_candidate sim_candidate;
sim_candidate *sim_candidate_open(sim_process *process, sc_client *client, int64_t timeout_ms);
void sim_candidate_act(sim_candidate *candidate);
/* When all is calm: does somebody lead, if any is to, and does this process know it? */
bool sim_candidate_check(sim_candidate *candidate);
/* Rows that are ready are given to its job: when the next ones are, or -1. */
int64_t sim_candidate_due(sim_candidate *candidate);
/* It comes to rest: it goes on leading, campaigning or looking on. */
void sim_candidate_retire(sim_candidate *candidate);
/* Before and after the client is closed. */
void sim_candidate_leave(sim_candidate *candidate);
void sim_candidate_close(sim_candidate *candidate);
void sim_candidate_free(sim_candidate *candidate);
