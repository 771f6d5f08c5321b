/* The tester finds planted differences: a second redis-server gets some commands changed. Each must
   be found, and shrunk to few steps. */
#include "differential.h"

#include <string.h>

#define MOST_COMMANDS 200000

static word changed_words[MAKER_WORDS];
static step changed;

/* A copy that a plant may change. */
static step *copy_step(const step *one)
{
    memcpy(changed_words, one->argv, one->argc * sizeof *changed_words);
    changed = *one;
    changed.argv = changed_words;
    return &changed;
}

static word text_word(const char *text)
{
    word made;
    made.at = text;
    made.len = strlen(text);
    return made;
}

static bool is_command(const step *one, const char *name, size_t least_argc)
{
    return !one->is_raw && one->argc >= least_argc && word_is(one->argv[0], name);
}

/* A reply's number is wrong, and so is the state. */
static const step *plant_wrong_sum(const step *one)
{
    if (!is_command(one, "INCRBY", 3) || !word_is(one->argv[2], "7"))
        return NULL;
    copy_step(one);
    changed_words[2] = text_word("8");
    return &changed;
}

/* An error has other words. */
static const step *plant_wrong_words(const step *one)
{
    if (!is_command(one, "LSET", 4))
        return NULL;
    copy_step(one);
    changed_words[0] = text_word("LSE");
    return &changed;
}

/* Seen in the state alone: the time that a key has left. */
static const step *plant_wrong_expiry(const step *one)
{
    if (!is_command(one, "SET", 5) || !word_is(one->argv[3], "EX") || one->argv[4].len < 6)
        return NULL;
    copy_step(one);
    changed_words[4].len--;
    return &changed;
}

/* Seen in notifications alone: with one source both do the same. */
static const step *plant_wrong_event(const step *one)
{
    if (!is_command(one, "SUNIONSTORE", 3) || one->argc != 3)
        return NULL;
    copy_step(one);
    changed_words[0] = text_word("SINTERSTORE");
    return &changed;
}

/* Who is served first. */
static const step *plant_wrong_turn(const step *one)
{
    if (!is_command(one, "BLPOP", 4))
        return NULL;
    copy_step(one);
    changed_words[1] = one->argv[2];
    changed_words[2] = one->argv[1];
    return &changed;
}

/* WATCH is forgotten. */
static const step *plant_lost_watch(const step *one)
{
    if (!is_command(one, "WATCH", 2))
        return NULL;
    copy_step(one);
    changed_words[1] = text_word("another");
    changed.argc = 2;
    return &changed;
}

/* A message does not come. */
static const step *plant_lost_message(const step *one)
{
    if (!is_command(one, "CLIENT", 5) || !word_is(one->argv[1], "TRACKING"))
        return NULL;
    copy_step(one);
    changed_words[changed.argc++] = text_word("NOLOOP");
    return &changed;
}

static bool is_found(const char *name, const char *group_name,
                     const step *(*plant)(const step *one), size_t most_steps)
{
    options wanted;
    outcome result;
    options_init(&wanted);
    wanted.ours = "redis";
    wanted.commands = MOST_COMMANDS;
    wanted.differences = 1;
    wanted.only = group_find(group_name);
    wanted.plant = plant;
    printf("--- %s, seed %llu\n", name, (unsigned long long)wanted.seed);
    differential(&wanted, &result);
    if (result.differences == 0)
        printf("NOT FOUND in %llu commands\n", (unsigned long long)result.commands);
    else if (result.shortest > most_steps)
        printf("NOT SHRUNK: %zu steps\n", result.shortest);
    fflush(stdout);
    return result.differences > 0 && result.shortest <= most_steps;
}

int main(void)
{
    bool is_right = is_found("a wrong sum", "strings", plant_wrong_sum, 3);
    is_right &= is_found("wrong words", "lists", plant_wrong_words, 2);
    is_right &= is_found("a wrong expiry", "strings", plant_wrong_expiry, 2);
    is_right &= is_found("a wrong event", "sets", plant_wrong_event, 3);
    is_right &= is_found("a wrong turn", "blocking", plant_wrong_turn, 6);
    is_right &= is_found("a lost watch", "transactions", plant_lost_watch, 6);
    is_right &= is_found("a lost message", "tracking", plant_lost_message, 6);
    return !is_right;
}
