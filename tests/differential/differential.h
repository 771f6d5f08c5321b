#pragma once
/* Random commands to a redis-server and to the embedded server, until replies differ. */

#include "run.h"
#include "stream.h"

typedef struct options {
    const char *redis; /* URL; NULL: one is started */
    const char *ours;  /* URL; NULL: `program` is started; "redis": a second redis-server */
    const char *program;
    const char *script; /* a file of steps to run instead of random ones */
    const group *only;
    uint64_t seed;
    uint64_t commands;
    double seconds;     /* 0: no bound */
    size_t differences; /* stop after so many */
    bool is_partial;    /* commands that are not served are no failure */
    bool is_verbose;
    const step *(*plant)(const step *one);
} options;

typedef struct outcome {
    uint64_t commands;
    uint64_t compared;
    size_t differences; /* of different kinds */
    size_t lists_differ;
    size_t shortest; /* steps of the last difference, shrunk */
    size_t absent;
} outcome;

void options_init(options *wanted);
/* Prints what it finds. */
void differential(const options *wanted, outcome *result);
