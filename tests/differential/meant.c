/* The tables of meant differences. The manual tells them under "What differs from Redis". */
#include "meant.h"

#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* --- Replies

   What is not here, since it is not sent, or compared in a looser way (facts.c), is:
   - HELLO 3, which is refused by NOPROTO: RESP3 is not spoken;
   - an XSETID back before entries that were deleted: redis's XTRIM MINID then stops at those;
   - WAIT for replicas: there are none, so that ours does not wait;
   - SINTERCARD and its like with a count such as "1 ": redis refuses it, and tracks a key all the same;
   - a NUL byte in CONFIG SET: redis does not see what is behind it, ours refuses it;
   - the order of what is in no order: members, SCAN's pages, messages by several patterns, keys
     told to one that tracks a prefix, who waits for different keys that SWAPDB brings;
   - figures: INFO, MEMORY, OBJECT, COMMAND, and sizes in CLIENT LIST. */
typedef struct meant {
    const char *name;
    const char *sub;   /* "": none */
    const char *redis; /* how the replies begin */
    const char *ours;
    const char *reason;
} meant;

static const meant replies[] = {
    {"acl", "cat", "*", "-ERR", "commands are not listed by category"},
};
static uint64_t met[COUNT_OF(replies)];

/* Errors that quote a word are cut at this (SC_ERROR_TEXT_BYTES, with the line's ends), or before a
   line end that would be the last. */
#define LONGEST_ERROR 514
#define LINE_ENDS 8
static uint64_t cut_errors;

static bool is_cut_error(reply redis, reply ours)
{
    return reply_is_error(redis) && reply_is_error(ours) && ours.len <= LONGEST_ERROR &&
           ours.len > LONGEST_ERROR - LINE_ENDS && redis.len > ours.len &&
           memcmp(redis.at, ours.at, ours.len - 2) == 0;
}

/* --- What is not served */

typedef struct absence {
    const char *reason;
    const char *names; /* of commands, or of containers with all that is in them */
} absence;

static const absence absences[] = {
    {"a computation, not a cache's",
     "bitfield bitfield_ro bitop lcs sort sort_ro pfadd pfcount pfdebug pfmerge pfselftest geoadd "
     "geodist geohash geopos georadius georadius_ro georadiusbymember georadiusbymember_ro "
     "geosearch geosearchstore lolwut"},
    {"streams are logs here, without consumer groups",
     "xack xautoclaim xclaim xgroup xpending xreadgroup"},
    {"redis's own bytes of a value: the log has commands", "dump restore restore-asking migrate"},
    {"Lua is not there", "eval_ro evalsha_ro fcall fcall_ro function script|debug script|help"},
    {"no replicas, no cluster",
     "asking cluster failover psync readonly readwrite replconf replicaof slaveof sync"},
    {"one user, who may all",
     "acl|deluser acl|dryrun acl|genpass acl|load acl|log acl|save acl|setuser"},
    {"no modules, nobody listens in, nobody asks for it", "module monitor command|getkeysandflags"},
};

const char *meant_reason(const step *what, reply redis, reply ours)
{
    command_name name;
    size_t i;
    if (!what)
        return NULL;
    if (is_cut_error(redis, ours)) {
        cut_errors++;
        return "errors quote so much of a word, and no more";
    }
    name = name_of_step(what);
    for (i = 0; i < COUNT_OF(replies); i++) {
        if (strcmp(name.name, replies[i].name) == 0 && strcmp(name.sub, replies[i].sub) == 0 &&
            reply_begins(redis, replies[i].redis) && reply_begins(ours, replies[i].ours)) {
            met[i]++;
            return replies[i].reason;
        }
    }
    return NULL;
}

/* Is `name`, or its container, in the list? */
static bool has_name(const char *list, const char *name)
{
    size_t whole = strlen(name);
    size_t container = strcspn(name, "|");
    while (*list) {
        size_t len = strcspn(list, " ");
        if ((len == whole || len == container) && memcmp(list, name, len) == 0)
            return true;
        list += len + (list[len] == ' ');
    }
    return false;
}

const char *meant_absence(const char *name)
{
    size_t i;
    for (i = 0; i < COUNT_OF(absences); i++)
        if (has_name(absences[i].names, name))
            return absences[i].reason;
    return NULL;
}

void meant_print(FILE *file)
{
    size_t i;
    if (cut_errors)
        fprintf(file, "meant: %llu times an error that is cut\n", (unsigned long long)cut_errors);
    for (i = 0; i < COUNT_OF(replies); i++)
        if (met[i])
            fprintf(file, "meant: %llu times %s %s: %s\n", (unsigned long long)met[i],
                    replies[i].name, replies[i].sub, replies[i].reason);
}
