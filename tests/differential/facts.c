/* What is known of commands: how replies are compared, and which must be sent with care. */
#include "commands.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Expiries are either further away than a run takes, or past. */
#define NEAR_SECONDS 99999
#define FARTHEST_SECONDS INT64_C(2000000000) /* of those that are drawn (draw.c) */
#define NEAR_AT_FIRST 1600000000
#define NEAR_AT_LAST 3900000000
/* Waits are for ever, or as short as this. */
#define SHORT_WAIT_S 0.02
#define LONG_WAIT_S 10000.0

static void lower_word(char out[NAME_BYTES], const char *at, size_t len)
{
    size_t i;
    if (len >= NAME_BYTES)
        len = NAME_BYTES - 1;
    for (i = 0; i < len; i++)
        out[i] = (char)tolower((unsigned char)at[i]);
    out[len] = '\0';
}

static bool is_container(const char *name)
{
    static const char *const containers[] = {"client", "object",  "config",  "script",
                                             "memory", "pubsub",  "command", "acl",
                                             "xinfo",  "slowlog", "latency"};
    size_t i;
    for (i = 0; i < COUNT_OF(containers); i++)
        if (strcmp(name, containers[i]) == 0)
            return true;
    return false;
}

command_name name_of_rule(const char *text)
{
    command_name name;
    size_t len = strcspn(text, " ");
    memset(&name, 0, sizeof name);
    lower_word(name.name, text, len);
    if (is_container(name.name) && text[len] && isupper((unsigned char)text[len + 1]))
        lower_word(name.sub, text + len + 1, strcspn(text + len + 1, " "));
    return name;
}

command_name name_of_step(const step *one)
{
    command_name name;
    memset(&name, 0, sizeof name);
    if (one->is_raw)
        return name;
    lower_word(name.name, one->argv[0].at, one->argv[0].len);
    if (one->argc > 1 && is_container(name.name))
        lower_word(name.sub, one->argv[1].at, one->argv[1].len);
    return name;
}

typedef struct fact {
    const char *name;
    const char *sub; /* NULL: any */
    mode how;
    kind what;
} fact;

static const fact facts[] = {
    {"keys", NULL, MODE_UNORDERED, KIND_PLAIN},
    {"smembers", NULL, MODE_UNORDERED, KIND_PLAIN},
    {"sinter", NULL, MODE_UNORDERED, KIND_PLAIN},
    {"sunion", NULL, MODE_UNORDERED, KIND_PLAIN},
    {"sdiff", NULL, MODE_UNORDERED, KIND_PLAIN},
    {"hkeys", NULL, MODE_UNORDERED, KIND_PLAIN},
    {"hvals", NULL, MODE_UNORDERED, KIND_PLAIN},
    {"hgetall", NULL, MODE_PAIRS, KIND_PLAIN},
    {"ttl", NULL, MODE_SECONDS, KIND_PLAIN},
    {"expiretime", NULL, MODE_SECONDS, KIND_PLAIN},
    {"pttl", NULL, MODE_MILLISECONDS, KIND_PLAIN},
    {"pexpiretime", NULL, MODE_MILLISECONDS, KIND_PLAIN},
    {"time", NULL, MODE_SHAPE, KIND_PLAIN},
    {"lastsave", NULL, MODE_SHAPE, KIND_PLAIN},
    {"info", NULL, MODE_SHAPE, KIND_PLAIN},
    {"memory", NULL, MODE_SHAPE, KIND_PLAIN},
    {"object", "idletime", MODE_SHAPE, KIND_PLAIN},
    {"object", "refcount", MODE_SHAPE, KIND_PLAIN},
    {"object", "help", MODE_SHAPE, KIND_PLAIN},
    {"pubsub", "help", MODE_SHAPE, KIND_PLAIN},
    {"pubsub", "channels", MODE_UNORDERED, KIND_PLAIN},
    {"config", "get", MODE_PAIRS, KIND_PLAIN},
    {"command", "getkeys", MODE_EXACT, KIND_PLAIN},
    {"command", NULL, MODE_SHAPE, KIND_PLAIN},
    {"latency", "reset", MODE_SHAPE, KIND_PLAIN},
    {"latency", "latest", MODE_SHAPE, KIND_PLAIN},
    {"slowlog", "get", MODE_SHAPE, KIND_PLAIN},
    {"slowlog", "len", MODE_SHAPE, KIND_PLAIN},
    {"pubsub", "shardchannels", MODE_UNORDERED, KIND_PLAIN},
    {"hello", NULL, MODE_IDS, KIND_PLAIN},
    {"client", "help", MODE_SHAPE, KIND_PLAIN},
    {"client", "id", MODE_IDS, KIND_PLAIN},
    {"client", "getredir", MODE_IDS, KIND_PLAIN},
    {"client", "trackinginfo", MODE_IDS, KIND_PLAIN},
    {"client", "list", MODE_CLIENTS, KIND_PLAIN},
    {"client", "info", MODE_CLIENTS, KIND_PLAIN},
    {"client", "kill", MODE_EXACT, KIND_BARRIER},
    {"client", "unblock", MODE_EXACT, KIND_BARRIER},
    {"quit", NULL, MODE_EXACT, KIND_BARRIER},
    {"blpop", NULL, MODE_EXACT, KIND_BLOCKING},
    {"brpop", NULL, MODE_EXACT, KIND_BLOCKING},
    {"blmove", NULL, MODE_EXACT, KIND_BLOCKING},
    {"brpoplpush", NULL, MODE_EXACT, KIND_BLOCKING},
    {"blmpop", NULL, MODE_EXACT, KIND_BLOCKING},
    {"bzpopmin", NULL, MODE_EXACT, KIND_BLOCKING},
    {"bzpopmax", NULL, MODE_EXACT, KIND_BLOCKING},
    {"bzmpop", NULL, MODE_EXACT, KIND_BLOCKING},
    {"randomkey", NULL, MODE_EXACT, KIND_RANDOM},
    {"srandmember", NULL, MODE_EXACT, KIND_RANDOM},
    {"hrandfield", NULL, MODE_EXACT, KIND_RANDOM},
    {"zrandmember", NULL, MODE_EXACT, KIND_RANDOM},
    {"spop", NULL, MODE_UNORDERED, KIND_POP},
    {"scan", NULL, MODE_EXACT, KIND_SCAN},
    {"sscan", NULL, MODE_EXACT, KIND_SCAN},
    {"hscan", NULL, MODE_EXACT, KIND_SCAN},
    {"zscan", NULL, MODE_EXACT, KIND_SCAN},
    {"xsetid", NULL, MODE_EXACT, KIND_SET_ID},
};

static const fact *fact_of(const command_name *name)
{
    size_t i;
    for (i = 0; i < COUNT_OF(facts); i++)
        if (strcmp(facts[i].name, name->name) == 0 &&
            (!facts[i].sub || strcmp(facts[i].sub, name->sub) == 0))
            return &facts[i];
    return NULL;
}

mode mode_of(const step *one)
{
    command_name name = name_of_step(one);
    const fact *known = fact_of(&name);
    return known ? known->how : MODE_EXACT;
}

/* --- What must not be sent */

static bool is_between(word text, int64_t least, int64_t most)
{
    int64_t number;
    return word_to_i64(text, &number) && number >= least && number <= most;
}

static bool is_near_ttl(word text, int64_t unit)
{
    return is_between(text, 1, NEAR_SECONDS * unit);
}

static bool is_near_moment(word text, int64_t unit)
{
    return is_between(text, NEAR_AT_FIRST * unit, NEAR_AT_LAST * unit);
}

/* The options of SET and GETEX. */
static bool has_near_option(const step *one)
{
    size_t i;
    for (i = 2; i + 1 < one->argc; i++) {
        word value = one->argv[i + 1];
        if ((word_is(one->argv[i], "EX") && is_near_ttl(value, 1)) ||
            (word_is(one->argv[i], "PX") && is_near_ttl(value, 1000)) ||
            (word_is(one->argv[i], "EXAT") && is_near_moment(value, 1)) ||
            (word_is(one->argv[i], "PXAT") && is_near_moment(value, 1000)))
            return true;
    }
    return false;
}

static bool is_near_expiry(const char *name, const step *one)
{
    if (strcmp(name, "set") == 0 || strcmp(name, "getex") == 0)
        return has_near_option(one);
    if (one->argc < 3)
        return false;
    if (strcmp(name, "expire") == 0 || strcmp(name, "setex") == 0)
        return is_near_ttl(one->argv[2], 1);
    if (strcmp(name, "pexpire") == 0 || strcmp(name, "psetex") == 0)
        return is_near_ttl(one->argv[2], 1000);
    if (strcmp(name, "expireat") == 0)
        return is_near_moment(one->argv[2], 1);
    if (strcmp(name, "pexpireat") == 0)
        return is_near_moment(one->argv[2], 1000);
    return false;
}

static bool is_too_large(const char *name, const step *one)
{
    if (one->argc < 3)
        return false;
    if (strcmp(name, "setrange") == 0)
        return is_between(one->argv[2], 100000, 536870911);
    if (strcmp(name, "setbit") == 0)
        return is_between(one->argv[2], 800000, 4294967295);
    if (strstr(name, "randmember") || strcmp(name, "hrandfield") == 0)
        return is_between(one->argv[2], -INT64_MAX, -1000);
    return false;
}

/* A number that may be somebody's id on one side, or all connections, the tester's included. */
static bool has_foreign_id(const command_name *name, const step *one)
{
    size_t i;
    if (strcmp(name->name, "client") != 0)
        return false;
    if (strcmp(name->sub, "list") == 0 && one->argc == 2)
        return true;
    if (one->argc > 1 && one->argv[1].len >= ID_MARK_LEN - 1 &&
        memcmp(one->argv[1].at, ID_MARK, ID_MARK_LEN - 1) == 0)
        return true; /* as a subcommand, it would be in the error */
    for (i = 2; i < one->argc; i++)
        if (is_between(one->argv[i], 1, 1000000000))
            return true;
    return false;
}

/* How long it would wait; 0 where that is no number. */
static double seconds_of(word text, double unit)
{
    char copy[64];
    if (text.len == 0 || text.len >= sizeof copy)
        return 0;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    return strtod(copy, NULL) * unit;
}

static bool is_blocking(const command_name *name)
{
    const fact *known = fact_of(name);
    return (known && known->what == KIND_BLOCKING) || strcmp(name->name, "xread") == 0;
}

/* 0: not at all, or for ever. */
static double wait_of(const command_name *name, const step *one)
{
    size_t i;
    if (!is_blocking(name) || one->argc < 2)
        return 0;
    if (strcmp(name->name, "xread") != 0)
        return seconds_of(one->argv[strstr(name->name, "mpop") ? 1 : one->argc - 1], 1.0);
    for (i = 1; i + 1 < one->argc; i++)
        if (word_is(one->argv[i], "BLOCK"))
            return seconds_of(one->argv[i + 1], 0.001);
    return 0;
}

bool step_waits_shortly(const step *one)
{
    command_name name = name_of_step(one);
    double wait = wait_of(&name, one);
    return wait > 0 && wait <= SHORT_WAIT_S;
}

static bool waits_middling(const command_name *name, const step *one)
{
    double wait = wait_of(name, one);
    return wait > SHORT_WAIT_S && wait < LONG_WAIT_S;
}

/* As strtoul would take it, in any range. */
static bool is_number(word text)
{
    size_t i = text.len > 0 && (*text.at == '-' || *text.at == '+');
    for (; i < text.len && isdigit((unsigned char)text.at[i]); i++)
        continue;
    return i == text.len && text.len > 0;
}

static bool has_word(const step *one, const char *text)
{
    size_t i;
    for (i = 1; i < one->argc; i++)
        if (word_is(one->argv[i], text))
            return true;
    return false;
}

/* A time left, compared with another that was said in the same way: which is later hangs on the
   millisecond in which each was said. Drawn ones differ enough, these may come again. */
static bool is_race_of_times(const command_name *name, const step *one)
{
    bool is_ms = strcmp(name->name, "pexpire") == 0;
    if (!is_ms && strcmp(name->name, "expire") != 0)
        return false;
    return one->argc > 3 && (has_word(one, "GT") || has_word(one, "LT")) &&
           is_between(one->argv[2], FARTHEST_SECONDS * (is_ms ? 1000 : 1) + 1, INT64_MAX);
}

static bool has_nul(const step *one)
{
    size_t i;
    for (i = 1; i < one->argc; i++)
        if (memchr(one->argv[i].at, '\0', one->argv[i].len))
            return true;
    return false;
}

/* Keys are counted by a word that is no number but begins with one: redis refuses it, and tracks the
   keys that it would be. */
static bool is_half_number(word text)
{
    char copy[32];
    int64_t number;
    if (text.len == 0 || text.len >= sizeof copy || word_to_i64(text, &number))
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    return strtol(copy, NULL, 10) > 0;
}

static bool has_half_count(const command_name *name, const step *one)
{
    static const char *const counted[] = {"sintercard", "zinter", "zunion", "zdiff", "zintercard"};
    size_t i;
    for (i = 0; i < COUNT_OF(counted); i++)
        if (strcmp(name->name, counted[i]) == 0)
            return one->argc > 1 && is_half_number(one->argv[1]);
    if (strcmp(name->name, "command") == 0)
        for (i = 2; i < one->argc; i++)
            if (is_half_number(one->argv[i]))
                return true;
    return false;
}

/* What means nothing: a range by name where scores differ, a cursor that no scan gave, a parameter
   with a NUL in it, behind which redis does not look; and what only redis has, RESP3 and replicas to
   wait for. */
static bool is_unspecified(const command_name *name, kind what, const step *one)
{
    size_t cursor = strcmp(name->name, "scan") == 0 ? 1 : 2;
    if (strcmp(name->name, "hello") == 0 && one->argc > 1 && is_between(one->argv[1], 3, 3))
        return true;
    if (strcmp(name->name, "config") == 0 && has_nul(one))
        return true;
    if (strcmp(name->name, "wait") == 0 && one->argc > 1 && is_between(one->argv[1], 1, INT64_MAX))
        return true;
    if (what == KIND_SCAN && one->argc > cursor && !word_is(one->argv[cursor], "0") &&
        is_number(one->argv[cursor]))
        return true;
    if (has_half_count(name, one))
        return true;
    return strncmp(name->name, "zrange", 6) == 0 && has_word(one, "BYLEX") &&
           (one->argc < 3 || *one->argv[strcmp(name->name, "zrange") == 0 ? 1 : 2].at != 'y');
}

kind kind_of(const step *one)
{
    command_name name = name_of_step(one);
    const fact *known = fact_of(&name);
    kind what = known ? known->what : KIND_PLAIN;
    if (strcmp(name.name, "xread") == 0 && has_word(one, "BLOCK"))
        what = KIND_BLOCKING;
    if (strcmp(name.name, "xadd") == 0 && has_word(one, "*"))
        what = KIND_ADD_NOW;
    if (is_near_expiry(name.name, one) || is_too_large(name.name, one) ||
        has_foreign_id(&name, one) || is_race_of_times(&name, one) ||
        is_unspecified(&name, what, one) || waits_middling(&name, one))
        return KIND_REFUSED;
    return what;
}
