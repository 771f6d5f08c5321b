/* The whole state of both sides: every key of every database, its type, its time and its contents.
 */
#include "run.h"

#include <stdlib.h>
#include <string.h>

#define DATABASES 16

typedef struct keys {
    word *all; /* owned; the bytes are in the run's arena */
    size_t count;
} keys;

static void write_text_words(run *runner, const char *name, word key, const char *more)
{
    step one;
    word words[4];
    size_t count = 0;
    size_t i;
    memset(&one, 0, sizeof one);
    words[count].at = name;
    words[count++].len = strlen(name);
    words[count++] = key;
    if (more && strcmp(more, "range") == 0) {
        words[count].at = "0";
        words[count++].len = 1;
        words[count].at = "-1";
        words[count++].len = 2;
    } else if (more && strcmp(more, "ids") == 0) {
        words[count].at = "-";
        words[count++].len = 1;
        words[count].at = "+";
        words[count++].len = 1;
    }
    one.line = LINE_CONTROL;
    one.argv = words;
    one.argc = (unsigned short)count;
    for (i = 0; i < 2; i++)
        side_write_step(&runner->sides[i], &one);
}

static void flush_both(run *runner)
{
    side_flush(&runner->sides[0], LINE_CONTROL);
    side_flush(&runner->sides[1], LINE_CONTROL);
}

/* The next reply of both: must match. `kept`: redis's, copied. */
static bool compare_next(run *runner, mode how, const char *where, word key, reply *kept)
{
    reply replies[2];
    char text[120];
    replies[0] = side_wait(&runner->sides[0], LINE_CONTROL);
    replies[1] = side_wait(&runner->sides[1], LINE_CONTROL);
    runner->compared++;
    if (!reply_matches(how, replies[0], replies[1])) {
        snprintf(text, sizeof text, "%s %.*s", where, (int)(key.len < 60 ? key.len : 60), key.at);
        return run_differs(runner, text, NULL, replies[0], replies[1]);
    }
    if (kept) {
        word copy = arena_word(&runner->memory, replies[0].at, replies[0].len);
        kept->at = copy.at;
        kept->len = copy.len;
    }
    return true;
}

typedef struct reader {
    const char *type; /* as TYPE answers */
    const char *command;
    const char *more;
    mode how;
} reader;

static const reader readers[] = {
    {"string", "GET", NULL, MODE_EXACT},       {"list", "LRANGE", "range", MODE_EXACT},
    {"set", "SMEMBERS", NULL, MODE_UNORDERED}, {"hash", "HGETALL", NULL, MODE_PAIRS},
    {"zset", "ZRANGE", "range", MODE_EXACT},   {"stream", "XRANGE", "ids", MODE_EXACT},
};

static const reader *reader_of(reply type)
{
    size_t i;
    for (i = 0; i < sizeof readers / sizeof readers[0]; i++)
        if (word_is(reply_text(type), readers[i].type))
            return &readers[i];
    return NULL;
}

/* Members are compared with their scores by ZRANGE ... WITHSCORES, which write_text_words cannot. */
static void write_scores(run *runner, word key)
{
    word words[5];
    step one;
    size_t i;
    static const char *const texts[] = {"ZRANGE", NULL, "0", "-1", "WITHSCORES"};
    memset(&one, 0, sizeof one);
    for (i = 0; i < 5; i++) {
        words[i].at = texts[i] ? texts[i] : key.at;
        words[i].len = texts[i] ? strlen(texts[i]) : key.len;
    }
    one.line = LINE_CONTROL;
    one.argv = words;
    one.argc = 5;
    for (i = 0; i < 2; i++)
        side_write_step(&runner->sides[i], &one);
}

static bool compare_contents(run *runner, const keys *names, const reply *types)
{
    size_t i;
    for (i = 0; i < names->count; i++) {
        const reader *how = reader_of(types[i]);
        if (how && strcmp(how->type, "zset") == 0)
            write_scores(runner, names->all[i]);
        else if (how)
            write_text_words(runner, how->command, names->all[i], how->more);
    }
    flush_both(runner);
    for (i = 0; i < names->count; i++) {
        const reader *how = reader_of(types[i]);
        if (how && !compare_next(runner, how->how, "the contents of", names->all[i], NULL))
            return false;
    }
    return true;
}

static bool compare_keys(run *runner, const keys *names)
{
    reply *types = (reply *)arena_take(&runner->memory, (names->count + 1) * sizeof *types);
    size_t i;
    for (i = 0; i < names->count; i++) {
        write_text_words(runner, "TYPE", names->all[i], NULL);
        write_text_words(runner, "PTTL", names->all[i], NULL);
    }
    flush_both(runner);
    for (i = 0; i < names->count; i++)
        if (!compare_next(runner, MODE_EXACT, "the type of", names->all[i], &types[i]) ||
            !compare_next(runner, MODE_MILLISECONDS, "the time left of", names->all[i], NULL))
            return false;
    return compare_contents(runner, names, types);
}

static bool compare_database(run *runner, int db)
{
    char number[8];
    const char *select[3] = {"SELECT", NULL, NULL};
    static const char *const all[] = {"KEYS", "*", NULL};
    word no_key = {"", 0};
    reply found;
    reply *elements;
    keys names;
    size_t i;
    bool is_equal;
    snprintf(number, sizeof number, "%d", db);
    no_key.at = number;
    no_key.len = strlen(number);
    select[1] = number;
    for (i = 0; i < 2; i++) {
        side_write_words(&runner->sides[i], LINE_CONTROL, select);
        side_write_words(&runner->sides[i], LINE_CONTROL, all);
    }
    flush_both(runner);
    if (!compare_next(runner, MODE_EXACT, "SELECT", no_key, NULL) ||
        !compare_next(runner, MODE_UNORDERED, "the keys of database", no_key, &found))
        return false;
    elements = reply_elements(found, &names.count);
    names.all = (word *)arena_take(&runner->memory, (names.count + 1) * sizeof *names.all);
    for (i = 0; i < names.count; i++)
        names.all[i] = reply_text(elements[i]);
    free(elements);
    is_equal = names.count == 0 || compare_keys(runner, &names);
    return is_equal;
}

/* How many keys each database has, which also tells those that have none. */
static bool compare_sizes(run *runner, bool has_keys[DATABASES])
{
    static const char *const size[] = {"DBSIZE", NULL};
    int db;
    size_t i;
    for (i = 0; i < 2; i++) {
        for (db = 0; db < DATABASES; db++) {
            char number[8];
            const char *select[3] = {"SELECT", NULL, NULL};
            snprintf(number, sizeof number, "%d", db);
            select[1] = number;
            side_write_words(&runner->sides[i], LINE_CONTROL, select);
            side_write_words(&runner->sides[i], LINE_CONTROL, size);
        }
    }
    flush_both(runner);
    for (db = 0; db < DATABASES; db++) {
        char number[8];
        word name;
        reply count;
        snprintf(number, sizeof number, "%d", db);
        name.at = number;
        name.len = strlen(number);
        if (!compare_next(runner, MODE_EXACT, "SELECT", name, NULL) ||
            !compare_next(runner, MODE_EXACT, "the number of keys of database", name, &count))
            return false;
        has_keys[db] = !reply_is(count, ":0\r\n");
    }
    return true;
}

bool run_compare_state(run *runner)
{
    static const char *const back[] = {"SELECT", "0", NULL};
    bool has_keys[DATABASES];
    int db;
    if (!run_settle(runner) || !compare_sizes(runner, has_keys))
        return false;
    for (db = 0; db < DATABASES; db++)
        if (has_keys[db] && !compare_database(runner, db))
            return false;
    side_ask(&runner->sides[0], LINE_CONTROL, back);
    side_ask(&runner->sides[1], LINE_CONTROL, back);
    return true;
}
