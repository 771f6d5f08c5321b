#pragma once
/* Random lists of steps. */

#include "side.h"

/* The rules whose commands both sides know. */
typedef struct catalogue {
    const rule **rules[32]; /* owned; a list a group */
    size_t counts[32];
    unsigned weights[32];  /* of a group together */
    const rule *basic[64]; /* what makes values of every type */
    size_t basic_count;
    unsigned basic_weight;
    size_t absent; /* commands that are not served without a known reason */
} catalogue;

/* Ask `server` what it knows of what `redis` does; says in `report` what it does not. Ends the
   process when it lacks what the tester itself needs. */
void catalogue_init(catalogue *known, side *redis, side *server, FILE *report);
void catalogue_free(catalogue *known);

/* `count` steps and a few more. `only` NULL: groups are drawn. */
void stream_make(steps *list, const catalogue *known, uint64_t seed, size_t count,
                 const group *only);
