#pragma once
/* Which commands are tried, group by group, and what is known of each. */

#include "grammar.h"

/* A rule that has a "ykey" is never spoiled. */
typedef struct rule {
    unsigned weight;
    const char *text;
} rule;

typedef struct group {
    const char *name;
    const rule *rules;
    size_t count;
} group;

extern const group groups[];
extern const size_t group_count;

/* NULL: there is none. */
const group *group_find(const char *name);

/* How a reply is compared. */
typedef enum mode {
    MODE_EXACT,
    MODE_UNORDERED, /* an array's elements in any order */
    MODE_PAIRS,     /* an array of pairs in any order */
    MODE_SECONDS,   /* an integer that is a time left */
    MODE_MILLISECONDS,
    MODE_SHAPE,   /* the same type; nil or not */
    MODE_CLIENTS, /* CLIENT LIST and INFO */
    MODE_IDS      /* positive integers are ids, which differ */
} mode;

mode mode_of(const step *one);

/* Commands that are not sent and received in the plain way. */
typedef enum kind {
    KIND_PLAIN,
    KIND_BLOCKING, /* may wait for a key */
    KIND_BARRIER,  /* may end a connection, or let waiting ones go on */
    KIND_RANDOM,   /* answers by chance; changes nothing */
    KIND_POP,      /* SPOP */
    KIND_SCAN,
    KIND_ADD_NOW, /* XADD with an id from the clock */
    KIND_SET_ID,  /* XSETID */
    KIND_REFUSED  /* must not be sent: it would be too large, or hang on the clock */
} kind;

kind kind_of(const step *one);
/* A wait that is over by itself in a moment. */
bool step_waits_shortly(const step *one);

/* The command's name and, for a container such as CLIENT, its subcommand, of a rule or a step: both
   in lower case, the second "" when there is none. */
#define NAME_BYTES 32
typedef struct command_name {
    char name[NAME_BYTES];
    char sub[NAME_BYTES];
} command_name;
command_name name_of_rule(const char *text);
command_name name_of_step(const step *one);
