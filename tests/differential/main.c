/* The command line of the differential tester; see README.md. */
#include "differential.h"
#include "meant.h"

#include "wait.h"

#include <stdlib.h>
#include <string.h>

static void usage(void)
{
    size_t i;
    puts("differential [--seconds N] [--commands N] [--seed N] [--only GROUP] [--ours URL|redis]\n"
         "             [--redis URL] [--program PATH] [--script FILE] [--differences N] "
         "[--partial]\n"
         "             [--verbose]\n"
         "groups:");
    for (i = 0; i < group_count; i++)
        printf("  %s\n", groups[i].name);
    exit(2);
}

static void read_options(options *wanted, int argc, char **argv)
{
    int i;
    for (i = 1; i < argc; i++) {
        const char *name = argv[i];
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(name, "--partial") == 0) {
            wanted->is_partial = true;
            continue;
        }
        if (strcmp(name, "--verbose") == 0) {
            wanted->is_verbose = true;
            continue;
        }
        i++;
        if (strcmp(name, "--seconds") == 0) {
            wanted->seconds = atof(value);
            wanted->commands = UINT64_MAX;
        } else if (strcmp(name, "--commands") == 0)
            wanted->commands = strtoull(value, NULL, 10);
        else if (strcmp(name, "--seed") == 0)
            wanted->seed = strtoull(value, NULL, 10);
        else if (strcmp(name, "--ours") == 0)
            wanted->ours = value;
        else if (strcmp(name, "--redis") == 0)
            wanted->redis = value;
        else if (strcmp(name, "--program") == 0)
            wanted->program = value;
        else if (strcmp(name, "--script") == 0)
            wanted->script = value;
        else if (strcmp(name, "--differences") == 0)
            wanted->differences = (size_t)strtoull(value, NULL, 10);
        else if (strcmp(name, "--only") != 0 || !(wanted->only = group_find(value)))
            usage();
    }
}

int main(int argc, char **argv)
{
    options wanted;
    outcome result;
    int64_t begin_ms = wait_now_ms();
    options_init(&wanted);
    read_options(&wanted, argc, argv);
    printf("seed %llu\n", (unsigned long long)wanted.seed);
    fflush(stdout);
    differential(&wanted, &result);
    meant_print(stdout);
    printf("%llu commands, %llu comparisons, %zu differences, %.1f s\n",
           (unsigned long long)result.commands, (unsigned long long)result.compared,
           result.differences, (double)(wait_now_ms() - begin_ms) / 1000.0);
    if (result.absent > 0 && !wanted.is_partial)
        printf("%zu commands are not served, and no reason is known\n", result.absent);
    return result.differences > 0 || (result.absent > 0 && !wanted.is_partial);
}
