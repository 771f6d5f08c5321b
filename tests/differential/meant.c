/* The table of meant differences. */
#include "meant.h"

#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

typedef struct meant {
    const char *name;
    const char *redis; /* how the replies begin */
    const char *ours;
    const char *reason;
} meant;

static const meant replies[] = {
    {"-", "", "", ""}, /* none yet */
};
static uint64_t met[COUNT_OF(replies)];

typedef struct absence {
    const char *name;
    const char *sub;
    const char *reason;
} absence;

static const absence absences[] = {
    {"bitop", "", "a computation, not a cache's"},
    {"lcs", "", "a computation, not a cache's"},
    {"xsetid", "", "for replication"},
    {"client", "unblock", "the connection can be killed"},
    {"client", "trackinginfo", "a help in debugging"},
};

const char *meant_reason(const step *what, reply redis, reply ours)
{
    command_name name;
    size_t i;
    if (!what)
        return NULL;
    name = name_of_step(what);
    for (i = 0; i < COUNT_OF(replies); i++) {
        if (strcmp(name.name, replies[i].name) == 0 && reply_begins(redis, replies[i].redis) &&
            reply_begins(ours, replies[i].ours)) {
            met[i]++;
            return replies[i].reason;
        }
    }
    return NULL;
}

const char *meant_absence(const command_name *name)
{
    size_t i;
    for (i = 0; i < COUNT_OF(absences); i++)
        if (strcmp(name->name, absences[i].name) == 0 && strcmp(name->sub, absences[i].sub) == 0)
            return absences[i].reason;
    return NULL;
}

void meant_print(FILE *file)
{
    size_t i;
    for (i = 0; i < COUNT_OF(replies); i++)
        if (met[i])
            fprintf(file, "meant: %llu times %s: %s\n", (unsigned long long)met[i], replies[i].name,
                    replies[i].reason);
}
