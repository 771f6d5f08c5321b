#pragma once
/* A node program of tests/interop that is driven by JSON lines. */

#include "support/client_test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_BYTES 4096

typedef struct node {
    pid_t pid;
    FILE *to;
    FILE *from;
    char line[LINE_BYTES]; /* the last answer */
} node;

static inline bool node_is_there(void)
{
    return access("build/interop/node_modules", R_OK) == 0 &&
           system("node --version >/dev/null 2>&1") == 0;
}

#define NEEDS_NODE()                                                                               \
    do {                                                                                           \
        if (!node_is_there()) {                                                                    \
            print_message("skipped: needs node and build/interop/node_modules "                    \
                          "(tests/setup.sh test)\n");                                              \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static inline const char *node_read(node *program)
{
    if (!fgets(program->line, sizeof program->line, program->from))
        fail_msg("the node program ended");
    program->line[strcspn(program->line, "\n")] = '\0';
    return program->line;
}

static inline void node_tell(node *program, const char *line)
{
    fprintf(program->to, "%s\n", line);
    fflush(program->to);
}

static inline const char *node_ask(node *program, const char *line)
{
    node_tell(program, line);
    return node_read(program);
}

static inline void node_start(node *program, const char *script, const char *options)
{
    char address[128];
    int in[2];
    int out[2];
    const endpoint *where = fixture_endpoint(test.server, test.kind);
    if (test.kind == WIRE_TCP)
        snprintf(address, sizeof address, "%u", (unsigned)where->port);
    else
        snprintf(address, sizeof address, "%s", where->path);
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    fflush(stdout);
    program->pid = fork();
    if (program->pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[0]);
        close(in[1]);
        close(out[0]);
        close(out[1]);
        execlp("node", "node", script, address, options, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    program->to = fdopen(in[1], "w");
    program->from = fdopen(out[0], "r");
    assert_string_equal(node_read(program), "{\"ready\":true}");
}

static inline void node_end(node *program)
{
    fclose(program->to);
    fclose(program->from);
    waitpid(program->pid, NULL, 0);
}

static inline void node_kill(node *program)
{
    kill(program->pid, SIGKILL);
    node_end(program);
}
