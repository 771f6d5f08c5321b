/* The temporary folder of a test process. A small shell waits for the process to end and then
   removes the folder, so that nothing is left behind after a crash either. */
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Short, since a Unix socket's path has 107 bytes. */
static char folder_path[64];
static pid_t folder_owner;
static pid_t folder_remover;
static int folder_pipe_end = -1;

static void folder_remove(void)
{
    if (getpid() != folder_owner)
        return; /* a forked worker that ended by exit */
    if (write(folder_pipe_end, "\n", 1) != 1)
        perror("telling the remover");
    close(folder_pipe_end);
    while (waitpid(folder_remover, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/* The remover reads one line, or the end when this process has died. */
static void folder_start_remover(void)
{
    int ends[2];
    if (pipe(ends) != 0) {
        perror("pipe");
        exit(1);
    }
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    folder_remover = fork();
    if (folder_remover == 0) {
        dup2(ends[0], 0); /* without close-on-exec */
        execl("/bin/sh", "sh", "-c", "trap '' HUP INT TERM PIPE; read -r line; rm -rf \"$0\"",
              folder_path, (char *)NULL);
        _exit(127);
    }
    if (folder_remover < 0) {
        perror("fork");
        exit(1);
    }
    close(ends[0]);
    folder_pipe_end = ends[1];
}

const char *test_folder(void)
{
    const char *parent = getenv("TMPDIR");
    if (folder_path[0])
        return folder_path;
    if (!parent || !parent[0])
        parent = "/tmp";
    if (snprintf(folder_path, sizeof folder_path, "%s/sc-test-XXXXXX", parent) >=
        (int)sizeof folder_path)
        snprintf(folder_path, sizeof folder_path, "/tmp/sc-test-XXXXXX");
    if (!mkdtemp(folder_path)) {
        perror(folder_path);
        exit(1);
    }
    folder_owner = getpid();
    folder_start_remover();
    atexit(folder_remove);
    return folder_path;
}
