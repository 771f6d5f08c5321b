/* Time for tests. */
#include "wait.h"

#include <time.h>

#define NS_PER_MS 1000000
#define NS_PER_S 1000000000

int64_t wait_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t wait_now_ms(void)
{
    return wait_now_ns() / NS_PER_MS;
}

void wait_a_moment(void)
{
    struct timespec moment;
    moment.tv_sec = 0;
    moment.tv_nsec = NS_PER_MS;
    nanosleep(&moment, NULL);
}
