#pragma once
/* A job that the leader builds: what its programs do, and what readers may see of it. */

#include "hold.h"

/* What is at the server under the job's keys, after any command. */
typedef struct sim_rows_view {
    bool has_list;
    bool has_table;
    bool is_whole;      /* both have all rows of one build, and in their order */
    int64_t generation; /* of the first row */
} sim_rows_view;

extern const char *const sim_job_name;
extern const char *const sim_job_list;
extern const char *const sim_job_table;
/* A row, as text: of the `index`-th of `count`. */
void sim_row_make(char *text, size_t cap, int64_t generation, size_t index, size_t count);

void sim_refreshes_begin(void);
/* For inside.c. Between any two polls of the server. */
void sim_refresh_seen(const sim_rows_view *view);
/* A shadow ends in so many milliseconds; -1: by itself never. */
void sim_refresh_shadow(int64_t left_ms);
/* A script that compares the term has run, and the last swap is this build's, made in that term. */
void sim_refresh_swapped(sc_slice build, int64_t term);

/* A process's job; NULL when the run has none. */
typedef struct sim_refresh sim_refresh;
sim_refresh *sim_refresh_open(sim_process *process, int64_t timeout_ms);
void sim_refresh_act(sim_refresh *refresh, sc_election *election);
/* Rows that are ready are given: when the next ones are, or -1. */
int64_t sim_refresh_due(sim_refresh *refresh);
void sim_refresh_retire(sim_refresh *refresh);
/* When all is calm: has the leader built it? */
bool sim_refresh_check(sim_refresh *refresh, const sc_election *election);
void sim_refresh_close(sim_refresh *refresh);
void sim_refresh_free(sim_refresh *refresh);
