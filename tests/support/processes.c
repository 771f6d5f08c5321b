/* Worker processes with shared counters, barriers and a log. */
#include "processes.h"
#include "wait.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif

struct processes {
    size_t count;
    pid_t pids[PROCESSES_MAX]; /* 0: gone. The starting process's */
    bool is_killed[PROCESSES_MAX];
    int ends[PROCESSES_MAX]; /* as waitpid tells */
    pthread_mutex_t lock;    /* shared; guards the arrivals */
    pthread_cond_t arrival;
    size_t arrived[PROCESSES_COUNTERS];
    int64_t counters[PROCESSES_COUNTERS];
    size_t note_count;
    processes_entry notes[PROCESSES_LOG];
};

static void processes_share(processes *shared)
{
    pthread_mutexattr_t mutex;
    pthread_condattr_t condition;
    pthread_mutexattr_init(&mutex);
    pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&shared->lock, &mutex);
    pthread_mutexattr_destroy(&mutex);
    pthread_condattr_init(&condition);
    pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&shared->arrival, &condition);
    pthread_condattr_destroy(&condition);
}

static void processes_worker(processes *shared, size_t index, processes_run run, void *user,
                             pid_t parent)
{
    int status;
#if defined(__linux__)
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
#else
    (void)parent;
#endif
    status = run(shared, index, user);
    fflush(stdout);
    fflush(stderr);
    _exit(status);
}

processes *processes_start(size_t count, processes_run run, void *user)
{
    size_t i;
    pid_t parent = getpid();
    void *memory =
        mmap(NULL, sizeof(processes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    processes *shared = (processes *)memory;
    if (memory == MAP_FAILED || count > PROCESSES_MAX) {
        perror("shared memory");
        exit(1);
    }
    shared->count = count;
    processes_share(shared);
    fflush(stdout); /* else each worker would print what is buffered */
    fflush(stderr);
    for (i = 0; i < count; i++) {
        pid_t pid = fork();
        if (pid == 0)
            processes_worker(shared, i, run, user, parent);
        if (pid < 0) {
            perror("fork");
            exit(1);
        }
        shared->pids[i] = pid;
    }
    return shared;
}

static void processes_collect(processes *shared, size_t i, int how)
{
    if (shared->pids[i] && waitpid(shared->pids[i], &shared->ends[i], how) == shared->pids[i])
        shared->pids[i] = 0;
}

static bool processes_are_gone(processes *shared)
{
    bool gone = true;
    size_t i;
    for (i = 0; i < shared->count; i++) {
        processes_collect(shared, i, WNOHANG);
        gone = gone && !shared->pids[i];
    }
    return gone;
}

bool processes_join(processes *shared)
{
    bool is_good;
    size_t i;
    WAIT_REACHED(is_good, processes_are_gone(shared));
    for (i = 0; i < shared->count; i++) {
        int end;
        if (shared->pids[i]) {
            fprintf(stderr, "worker %zu did not end\n", i);
            kill(shared->pids[i], SIGKILL);
            processes_collect(shared, i, 0);
        }
        end = shared->ends[i];
        if ((WIFEXITED(end) && WEXITSTATUS(end) == 0) || shared->is_killed[i])
            continue;
        is_good = false;
        if (WIFSIGNALED(end))
            fprintf(stderr, "worker %zu ended by signal %d\n", i, WTERMSIG(end));
        else
            fprintf(stderr, "worker %zu ended with status %d\n", i, WEXITSTATUS(end));
    }
    return is_good;
}

void processes_free(processes *shared)
{
    size_t i;
    if (!shared)
        return;
    for (i = 0; i < shared->count; i++)
        if (shared->pids[i])
            processes_kill(shared, i);
    munmap(shared, sizeof *shared);
}

void processes_kill(processes *shared, size_t index)
{
    if (!shared->pids[index])
        return;
    shared->is_killed[index] = true;
    kill(shared->pids[index], SIGKILL);
    while (shared->pids[index])
        processes_collect(shared, index, 0);
}

void processes_pause(processes *shared, size_t index)
{
    int how;
    kill(shared->pids[index], SIGSTOP);
    while (waitpid(shared->pids[index], &how, WUNTRACED) < 0 && errno == EINTR)
        continue;
}

void processes_continue(processes *shared, size_t index)
{
    kill(shared->pids[index], SIGCONT);
}

pid_t processes_pid(const processes *shared, size_t index)
{
    return shared->pids[index];
}

void processes_barrier(processes *shared, size_t barrier, size_t count)
{
    pthread_mutex_lock(&shared->lock);
    shared->arrived[barrier]++;
    if (shared->arrived[barrier] >= count)
        pthread_cond_broadcast(&shared->arrival);
    while (shared->arrived[barrier] < count)
        pthread_cond_wait(&shared->arrival, &shared->lock);
    pthread_mutex_unlock(&shared->lock);
}

int64_t processes_add(processes *shared, size_t counter, int64_t amount)
{
    return __atomic_fetch_add(&shared->counters[counter], amount, __ATOMIC_ACQ_REL);
}

int64_t processes_read(processes *shared, size_t counter)
{
    return __atomic_load_n(&shared->counters[counter], __ATOMIC_ACQUIRE);
}

void processes_set(processes *shared, size_t counter, int64_t value)
{
    __atomic_store_n(&shared->counters[counter], value, __ATOMIC_RELEASE);
}

bool processes_wait_for(processes *shared, size_t counter, int64_t value)
{
    bool reached;
    WAIT_REACHED(reached, processes_read(shared, counter) >= value);
    return reached;
}

void processes_note(processes *shared, size_t process, int64_t what, int64_t value)
{
    size_t index = __atomic_fetch_add(&shared->note_count, 1, __ATOMIC_ACQ_REL);
    if (index >= PROCESSES_LOG)
        return;
    shared->notes[index].process = process;
    shared->notes[index].what = what;
    shared->notes[index].value = value;
    shared->notes[index].at_ns = wait_now_ns();
}

size_t processes_notes(processes *shared)
{
    return __atomic_load_n(&shared->note_count, __ATOMIC_ACQUIRE);
}

processes_entry processes_note_at(processes *shared, size_t index)
{
    return shared->notes[index];
}
