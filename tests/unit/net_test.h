#pragma once
/* What the tests of the network share: counted memory and descriptors, and signals that disturb. */

#include "smartcache.h"

#include "endpoint.h"
#include "fault_memory.h"
#include "wait.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/time.h>

#include <cmocka.h>

static fault_memory memory;
static size_t descriptors_before;

static inline int set_up(void **state)
{
    (void)state;
    fault_memory_init(&memory);
    descriptors_before = endpoint_open_descriptors();
    return 0;
}

/* Nothing is left, of memory as of descriptors. A resolver's thread that was abandoned may still be
   about to free its block. */
static inline int tear_down(void **state)
{
    bool is_idle;
    bool is_clean;
    (void)state;
    WAIT_REACHED(is_idle, fault_memory_live_blocks(&memory) == 0);
    is_clean = is_idle && fault_memory_is_clean(&memory);
    fault_memory_free(&memory);
    if (endpoint_open_descriptors() != descriptors_before) {
        fprintf(stderr, "%zu descriptors are open, %zu were\n", endpoint_open_descriptors(),
                descriptors_before);
        return -1;
    }
    return is_clean ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static inline void on_alarm(int number)
{
    (void)number;
}

/* Signals without SA_RESTART, all the time. */
static inline void disturb(bool is_on)
{
    struct sigaction action;
    struct itimerval often;
    memset(&action, 0, sizeof(action));
    memset(&often, 0, sizeof(often));
    action.sa_handler = on_alarm;
    if (is_on) {
        often.it_interval.tv_usec = often.it_value.tv_usec = 1000;
        sigaction(SIGALRM, &action, NULL);
        setitimer(ITIMER_REAL, &often, NULL);
    } else {
        setitimer(ITIMER_REAL, &often, NULL);
        signal(SIGALRM, SIG_DFL);
    }
}
