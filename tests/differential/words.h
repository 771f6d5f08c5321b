#pragma once
/* Chance, words, and steps: what a run of the differential tester is made of. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Ends the process with a message: the tester itself cannot go on. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Numbers from a seed (splitmix64). */
typedef struct chance {
    uint64_t state;
} chance;

uint64_t chance_next(chance *dice);
/* Below `bound`, which is above 0. */
size_t chance_below(chance *dice, size_t bound);
bool chance_percent(chance *dice, unsigned percent);

typedef struct word {
    const char *at;
    size_t len;
} word;

/* The same bytes, whatever the case. */
bool word_is(word text, const char *name);
/* A decimal integer as redis takes it. */
bool word_to_i64(word text, int64_t *number);

/* A connection is chosen by its number, and so is its client id in arguments: these bytes around
   the number are replaced by the id that each side gave. */
#define ID_MARK "\1id"
#define ID_MARK_LEN 4 /* with one digit */

typedef struct step {
    unsigned char line; /* the connection, on both sides */
    bool is_raw;        /* argv[0] is sent as it is */
    unsigned short argc;
    const word *argv;
} step;

/* Memory for steps; all of it is freed at once. */
typedef struct arena_block arena_block;
typedef struct arena {
    arena_block *blocks;
} arena;

void *arena_take(arena *memory, size_t bytes);
word arena_word(arena *memory, const char *bytes, size_t len);
void arena_clear(arena *memory);

/* A list that owns its steps' words. */
typedef struct steps {
    arena memory;
    step *at; /* owned */
    size_t count;
    size_t cap;
} steps;

/* `argv` is kept as it is: it lies in list->memory, or outlives the list. */
void steps_add(steps *list, unsigned line, bool is_raw, const word *argv, size_t argc);
void steps_clear(steps *list);
void steps_free(steps *list);

/* A line that steps_load reads again: "3 SET "a\x00b" 1", raw bytes as "6 raw "PING\r\n"". */
void step_print(FILE *file, const step *one);
/* For people: long words are cut. */
void step_show(FILE *file, const step *one);
/* Read steps from a file. Dies with words when it cannot. */
void steps_load(steps *list, const char *path);
void print_quoted(FILE *file, const char *bytes, size_t len);
