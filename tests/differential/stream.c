/* Random lists of steps. */
#include "stream.h"
#include "meant.h"

#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define SPOILED_PERCENT 10
#define ALIEN_PERCENT 12 /* commands that are not of the group */
#define FREE_LINES 2     /* the first ones do not wait, so that they serve those that do */
#define LOOK_BACK 20
#define RAW_LONG_BYTES 70000

/* Makes values of every type, so that any group meets them. */
static const rule basic_rules[] = {{10, "SET skey val"},
                                   {10, "RPUSH lkey val+"},
                                   {10, "HSET hkey ( mem val )+"},
                                   {10, "SADD ekey mem+"},
                                   {10, "ZADD zkey ( score mem )+"},
                                   {6, "XADD xkey newid mem val"},
                                   {6, "SET key val"},
                                   {3, "RPUSH key val"},
                                   {3, "HSET key mem val"},
                                   {3, "SADD key mem"},
                                   {3, "ZADD key score mem"},
                                   {20, "DEL key+"},
                                   {8, "EXPIREAT key at"},
                                   {4, "RENAME key key"},
                                   {4, "SELECT db"},
                                   {4, "COPY key key REPLACE"},
                                   {2, "SET skey int"},
                                   {2, "FLUSHDB"},
                                   {1, "SET 'str' val"}};

/* --- What is served */

static bool is_harmless(const char *name)
{
    return strcmp(name, "quit") != 0 && strcmp(name, "nosuchcommand") != 0 &&
           strcmp(name, "junk") != 0;
}

static bool is_served(side *server, const command_name *name)
{
    static const char *const discard[] = {"DISCARD", NULL};
    const char *words[3] = {NULL, NULL, NULL};
    reply answer;
    bool knows;
    if (!is_harmless(name->name))
        return true;
    words[0] = name->name;
    words[1] = name->sub[0] ? name->sub : NULL;
    answer = side_ask(server, LINE_CONTROL, words);
    knows = answer.len > 0 && !reply_begins(answer, "-ERR unknown command") &&
            !reply_begins(answer, "-ERR unknown subcommand") &&
            !reply_begins(answer, "-ERR Unknown subcommand");
    if (strcmp(name->name, "multi") == 0 && knows)
        side_ask(server, LINE_CONTROL, discard);
    return knows;
}

/* By a name that COMMAND LIST tells: "get", or "client|list", which is asked for without words. */
static bool is_known(side *server, const char *name)
{
    const char *words[4] = {"COMMAND", "INFO", NULL, NULL};
    const char *bar = strchr(name, '|');
    command_name parts;
    reply answer;
    size_t count;
    reply *elements;
    bool is_nil;
    if (bar) {
        snprintf(parts.name, sizeof parts.name, "%.*s", (int)(bar - name), name);
        snprintf(parts.sub, sizeof parts.sub, "%s", bar + 1);
        return is_served(server, &parts);
    }
    words[2] = name;
    answer = side_ask(server, LINE_CONTROL, words);
    elements = reply_elements(answer, &count);
    is_nil = count != 1 || reply_is_nil(elements[0]);
    free(elements);
    return !is_nil;
}

/* All that redis serves and the other does not must have a reason. */
static size_t count_absent(side *redis, side *server, FILE *report)
{
    static const char *const words[] = {"COMMAND", "LIST", NULL};
    reply list = side_ask(redis, LINE_CONTROL, words);
    size_t count;
    size_t absent = 0;
    size_t i;
    reply *names = reply_elements(list, &count);
    if (!names)
        die("%s does not know COMMAND LIST, which the tester needs", redis->name);
    for (i = 0; i < count; i++) {
        char name[2 * NAME_BYTES];
        word text = reply_text(names[i]);
        snprintf(name, sizeof name, "%.*s", (int)text.len, text.at);
        if (is_known(server, name) || meant_absence(name))
            continue;
        fprintf(report, "not served: %s, and no reason is known\n", name);
        absent++;
    }
    free(names);
    return absent;
}

/* The tester asks by these whether all is there and the same. */
static void check_needs(side *server)
{
    static const char *const needed[] = {"ping", "select", "dbsize",  "keys",
                                         "type", "pttl",   "flushall"};
    size_t i;
    for (i = 0; i < COUNT_OF(needed); i++) {
        command_name name;
        memset(&name, 0, sizeof name);
        snprintf(name.name, sizeof name.name, "%s", needed[i]);
        if (!is_served(server, &name))
            die("%s does not know %s, which the tester needs", server->name, needed[i]);
    }
}

static void find_basic(catalogue *known, side *server)
{
    size_t i;
    for (i = 0; i < COUNT_OF(basic_rules) && known->basic_count < COUNT_OF(known->basic); i++) {
        command_name name = name_of_rule(basic_rules[i].text);
        if (!is_served(server, &name))
            continue;
        known->basic[known->basic_count++] = &basic_rules[i];
        known->basic_weight += basic_rules[i].weight;
    }
}

void catalogue_init(catalogue *known, side *redis, side *server, FILE *report)
{
    size_t g;
    size_t r;
    memset(known, 0, sizeof *known);
    check_needs(server);
    find_basic(known, server);
    known->absent = count_absent(redis, server, report);
    for (g = 0; g < group_count; g++) {
        known->rules[g] = (const rule **)calloc(groups[g].count, sizeof(rule *));
        if (!known->rules[g])
            die("no memory");
        for (r = 0; r < groups[g].count; r++) {
            const rule *one = &groups[g].rules[r];
            command_name name = name_of_rule(one->text);
            if (!is_served(server, &name))
                continue;
            known->rules[g][known->counts[g]++] = one;
            known->weights[g] += one->weight;
        }
    }
}

void catalogue_free(catalogue *known)
{
    size_t g;
    for (g = 0; g < group_count; g++)
        free((void *)known->rules[g]);
    memset(known, 0, sizeof *known);
}

/* --- Bytes as they are */

static const char *const raw_texts[] = {"PING\r\n",
                                        "PING\n",
                                        "  GET   s1  \r\n",
                                        "SET s1 value\r\n",
                                        "set \"s 1\" 'it\\'s'\r\n",
                                        "SET s1 \"\\x41\\n\\t\\\"\\\\\"\r\n",
                                        "GET \"s1\r\n",
                                        "GET 's1\r\n",
                                        "GET \"s1\"x\r\n",
                                        "\r\n",
                                        "\n",
                                        "   \r\n",
                                        "*0\r\n",
                                        "*-1\r\n",
                                        "*\r\n",
                                        "*abc\r\n",
                                        "*1 \r\n",
                                        "*+1\r\n",
                                        "*1048577\r\n",
                                        "*99999999999999999999\r\n",
                                        "*1\r\n:1\r\n",
                                        "*1\r\n$-1\r\n",
                                        "*1\r\n$-2\r\n",
                                        "*1\r\n$abc\r\n",
                                        "*1\r\n$536870913\r\n",
                                        "*1\r\n$0\r\n\r\n",
                                        "*1\r\n$4\r\nPING\r\n",
                                        "*1\r\n$4\r\nPINGxx",
                                        "*2\r\n$3\r\nGET\r\n$2\r\ns1\r\n",
                                        "*2\r\n$4\r\nECHO\r\n$2\r\nabcd\r\n",
                                        "*2\r\n$4\r\nECHO\r\n",
                                        "$2\r\nab\r\n",
                                        "*2\r\n$4\r\nEC",
                                        "HO\r\n$1\r\nx\r\n",
                                        "*1\r\n",
                                        "$4\r\n",
                                        "PING",
                                        "*3\r\n$3\r\nSET\r\n$2\r\ns1\r\n$5\r\n\0\1\2\3\4\r\n",
                                        "*1\n$4\nPING\n",
                                        "ECHO \"\"\r\n",
                                        "ECHO ''\r\n",
                                        "ECHO \"\\xzz\"\r\n",
                                        "ECHO a\\b\r\n",
                                        "$4\r\nPING\r\n",
                                        "+PING\r\n",
                                        ":1\r\n",
                                        "QUIT\r\n",
                                        "NOSUCHCOMMAND a b\r\n",
                                        "SELECT 1\r\nPING\r\nGET s1\r\n",
                                        "GET s1\r\n*1\r\n$4\r\nPING\r\nPING\r\n"};

static void make_raw(steps *list, maker *made)
{
    made->count = 0;
    if (chance_percent(&made->dice, 2)) {
        char *text = (char *)arena_take(&list->memory, RAW_LONG_BYTES);
        memset(text, 'a', RAW_LONG_BYTES);
        maker_add(made, text, RAW_LONG_BYTES);
    } else {
        maker_add_text(made, raw_texts[chance_below(&made->dice, COUNT_OF(raw_texts))]);
    }
    steps_add(list, LINE_RAW, true, maker_take(made), 1);
}

/* --- Steps */

static const rule *draw_rule(chance *dice, const catalogue *known, size_t g)
{
    size_t at;
    size_t i;
    if (known->weights[g] == 0)
        return NULL;
    at = chance_below(dice, known->weights[g]);
    for (i = 0; at >= known->rules[g][i]->weight; i++)
        at -= known->rules[g][i]->weight;
    return known->rules[g][i];
}

static const rule *draw_basic(chance *dice, const catalogue *known)
{
    size_t at;
    size_t i;
    if (known->basic_weight == 0)
        return NULL;
    at = chance_below(dice, known->basic_weight);
    for (i = 0; at >= known->basic[i]->weight; i++)
        at -= known->basic[i]->weight;
    return known->basic[i];
}

static size_t index_of(const char *name)
{
    return (size_t)(group_find(name) - groups);
}

static bool is_group(const group *one, const char *name)
{
    return one && strcmp(one->name, name) == 0;
}

/* As far as the last steps tell. */
static bool is_in_multi(const steps *list, unsigned line)
{
    size_t i = list->count;
    size_t looked;
    for (looked = 0; i > 0 && looked < LOOK_BACK; looked++) {
        const step *one = &list->at[--i];
        if (one->line != line || one->is_raw)
            continue;
        if (word_is(one->argv[0], "MULTI"))
            return true;
        if (word_is(one->argv[0], "EXEC") || word_is(one->argv[0], "DISCARD"))
            return false;
    }
    return false;
}

static void make_step(steps *list, maker *made, const rule *from, unsigned line)
{
    step one;
    if (!from)
        return;
    memset(&one, 0, sizeof one);
    do {
        maker_expand(made, from->text);
        if (!strstr(from->text, "ykey") && chance_percent(&made->dice, SPOILED_PERCENT))
            maker_spoil(made);
        one.argv = made->words;
        one.argc = (unsigned short)made->count;
    } while (made->count == 0 || kind_of(&one) == KIND_REFUSED);
    if (kind_of(&one) == KIND_BLOCKING && line < FREE_LINES && !is_in_multi(list, line))
        line += FREE_LINES;
    steps_add(list, line, false, maker_take(made), made->count);
}

/* How a list is mixed. */
typedef struct recipe {
    const group *focus; /* NULL: all */
    unsigned subscriber_percent;
    unsigned raw_percent;
    unsigned switch_percent; /* to go on on another connection */
} recipe;

static recipe recipe_of(chance *dice, const group *only)
{
    recipe how = {NULL, 2, 1, 8};
    how.focus = only;
    if (!only && chance_percent(dice, 60))
        how.focus = &groups[chance_below(dice, group_count)];
    if (is_group(how.focus, "blocking"))
        how.switch_percent = 40;
    if (is_group(how.focus, "transactions") || is_group(how.focus, "tracking"))
        how.switch_percent = 20;
    if (is_group(how.focus, "pubsub") || is_group(how.focus, "subscriber"))
        how.subscriber_percent = 40;
    if (is_group(how.focus, "connection"))
        how.raw_percent = 15;
    return how;
}

static const rule *draw_step(chance *dice, const catalogue *known, const recipe *how)
{
    size_t g;
    if (chance_percent(dice, ALIEN_PERCENT))
        return draw_basic(dice, known);
    do {
        g = how->focus ? (size_t)(how->focus - groups) : chance_below(dice, group_count);
        if (how->focus && is_group(how->focus, "subscriber"))
            g = index_of("pubsub");
    } while (g == index_of("subscriber"));
    return draw_rule(dice, known, g);
}

void stream_make(steps *list, const catalogue *known, uint64_t seed, size_t count,
                 const group *only)
{
    static const rule hear = {1, "SUBSCRIBE '__redis__:invalidate'"};
    maker *made = (maker *)calloc(1, sizeof *made);
    unsigned line = 0;
    recipe how;
    if (!made)
        die("no memory");
    made->dice.state = seed;
    made->memory = &list->memory;
    how = recipe_of(&made->dice, only);
    if (!is_group(how.focus, "pubsub")) {
        make_step(list, made, &hear, LINE_SUBSCRIBER);
        make_step(list, made, &hear, LINE_SUBSCRIBER + 1);
    }
    while (list->count < count) {
        if (chance_percent(&made->dice, how.raw_percent)) {
            make_raw(list, made);
            continue;
        }
        if (chance_percent(&made->dice, how.subscriber_percent)) {
            make_step(list, made, draw_rule(&made->dice, known, index_of("subscriber")),
                      LINE_SUBSCRIBER + (unsigned)chance_below(&made->dice, 2));
            continue;
        }
        if (chance_percent(&made->dice, how.switch_percent))
            line = (unsigned)chance_below(&made->dice, LINE_NORMAL_COUNT);
        make_step(list, made, draw_step(&made->dice, known, &how), line);
    }
    free(made);
}
