#pragma once
/* Executes steps on both sides and compares. */

#include "side.h"

/* How a difference came. */
typedef struct difference {
    bool is_found;
    char where[160];   /* in words */
    const step *after; /* the last step that was sent, or the one that was answered; may be NULL */
    size_t done;       /* steps sent until then */
    char *replies[2];  /* owned, as they came; NULL: there was none */
    size_t lens[2];
} difference;

void difference_clear(difference *found);

/* One connection, as far as it is the same on both sides. */
typedef struct line_state {
    const step **unanswered; /* owned: from `first` on */
    size_t first;
    size_t count; /* behind the last */
    size_t cap;
    const step **queued; /* owned: commands that MULTI has taken */
    size_t queued_count;
    size_t queued_cap;
    bool is_in_multi;
} line_state;

typedef struct run {
    side sides[2]; /* redis, ours */
    line_state lines[LINE_COUNT];
    difference found;
    arena memory;        /* of this list of steps */
    unsigned batch_line; /* the line whose steps are written and not settled yet */
    bool has_batch;
    size_t sent;       /* steps of this list */
    uint64_t commands; /* of all lists */
    uint64_t compared; /* replies, notifications and keys */
    uint64_t tokens;
    int patience_ms; /* for a reply that one side has given and the other has not */
    FILE *trace;     /* where steps and replies are shown; NULL: nowhere */
    /* For a planted difference: changes a step on its way to ours; NULL: none. Returns what is sent
       instead, or NULL: nothing is changed. */
    const step *(*plant)(const step *one);
} run;

void run_init(run *runner);
void run_free(run *runner);

/* From an empty state: send all, compare all. False when a difference was found: runner->found. */
bool run_steps(run *runner, const step *const *list, size_t count);

/* --- Between run.c, special.c and state.c. Each returns false when a difference was found. */

bool run_differs(run *runner, const char *where, const step *what, reply a, reply b);
/* Wait for all replies of the batch. */
bool run_settle(run *runner);
/* After something that may have let others go on: look at all lines, or those that wait. */
bool run_settle_all(run *runner, bool all_lines);
/* The same reply of both sides to a step, meant differences left out. */
bool run_compare(run *runner, mode how, const step *what, reply a, reply b);
bool run_special(run *runner, kind what, const step *one);
bool run_compare_state(run *runner);
/* What came on a subscriber's line until now. */
bool run_compare_messages(run *runner, unsigned line, const step *last);
/* What came on all of them. */
bool run_compare_all_messages(run *runner, const step *last);
/* The same, after redis has removed what ours has popped. */
bool run_compare_popped(run *runner, const step *last);
/* The line has ended on both sides: make it anew. */
bool run_reopen(run *runner, unsigned line);
