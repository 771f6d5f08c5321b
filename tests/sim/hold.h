#pragma once
/* Who holds a lock, or leads: as its process sees it, and what must hold of both. And the numbers
   that the server gives them. */

#include "ledger.h"

/* A contender as its process sees it. */
typedef struct sim_hold_view {
    char token[SIM_TOKEN_BYTES];
    bool is_held;
    bool is_idle;      /* nothing is under way, and nothing is to come */
    bool is_waiting;   /* it has been told that another has it */
    int64_t until_ns;  /* by its process's clock */
    int64_t begun_ns;  /* its last question */
    int64_t latest_ns; /* its last question or renewal */
} sim_hold_view;

typedef struct sim_hold {
    const sim_process *process;
    int key;
    int limit;      /* so many may have it at a time, this one included */
    int64_t number; /* that its program was given; 0: none yet */
    int64_t floor;  /* numbers up to this one were out when it began to ask */
    int epoch;      /* of the numbers, then */
    /* as seen between two steps */
    sim_hold_view seen;
    int64_t asked_ns;      /* by the process's clock: what has made the lease last until then */
    int64_t confirmed_ns;  /* when the process heard of it */
    int64_t well_until_ns; /* it was held, until then, and what had kept the process by then */
    int64_t well_stalled_ns;
    int64_t gone_ns; /* since when it is not, by the process's clock; 0: it is */
} sim_hold;

void sim_holds_begin(void);
/* The server has lost what it was told. */
void sim_holds_loss(void);
/* The server has granted something, with this number; again, when a question came twice. */
void sim_hold_granted(int key, int64_t number);
/* The last that was, since a loss; 0: none. */
int64_t sim_hold_last_granted(int key);

/* It begins to ask. */
void sim_hold_asks(sim_hold *hold);
/* Its program has been given this number. */
void sim_hold_numbered(sim_hold *hold, int64_t number);
/* Its program knows from now on that it has it. */
void sim_hold_begins(sim_hold *hold);

void sim_hold_see(sim_hold *hold, const sim_hold_view *view);
/* Those who believe to have something, so far. */
typedef struct sim_holders {
    const sim_hold *last[SIM_HELD];
    int count[SIM_HELD];
    int most[SIM_HELD]; /* that there may be: the least of their limits */
} sim_holders;

/* Between any two steps: who believes to have it has it at the server, and not more believe so than
   any of them lets; nobody whom it excludes was given a later number; who does not use it has left
   nothing behind. */
void sim_hold_check(sim_hold *hold, sim_holders *holders);
/* `is_holding`: as the program knows. It is told of a loss, and in time. */
void sim_hold_check_told(sim_hold *hold, bool is_holding);
/* What is free since `free_ns` does not stay so while it is asked for since `call` began, when all
   programs had been kept for so long; where messages may be lost, `more_ms` longer. */
void sim_hold_check_wait(const sim_hold *hold, int64_t free_ns, const sim_call *call,
                         int64_t all_stalled_ns, int64_t more_ms);
int64_t sim_all_stalled_ns(void);
/* Nothing may go wrong in this run by which messages or connections are lost. */
bool sim_is_quiet(void);
