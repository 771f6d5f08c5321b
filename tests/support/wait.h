#pragma once
/* Time for tests: waiting for a condition, and the watchdog behind every wait. */

#include <stdbool.h>
#include <stdint.h>

/* A condition that takes longer is a failure: far beyond what any test needs, so that a busy
   machine does not fail one. */
#define WAIT_WATCHDOG_MS 60000

/* Monotonic time. */
int64_t wait_now_ns(void);
int64_t wait_now_ms(void);

/* Let others run for a millisecond: between two looks at a condition, nowhere else. */
void wait_a_moment(void);

/* Look until the condition holds; false when the watchdog ended it. */
#define WAIT_REACHED(result, condition)                                                            \
    do {                                                                                           \
        int64_t wait_end_ms_ = wait_now_ms() + WAIT_WATCHDOG_MS;                                   \
        (result) = true;                                                                           \
        while (!(condition)) {                                                                     \
            if (wait_now_ms() > wait_end_ms_) {                                                    \
                (result) = false;                                                                  \
                break;                                                                             \
            }                                                                                      \
            wait_a_moment();                                                                       \
        }                                                                                          \
    } while (0)

/* The same inside of a cmocka test, which fails with the condition's text. */
#define WAIT_UNTIL(condition)                                                                      \
    do {                                                                                           \
        bool wait_reached_;                                                                        \
        WAIT_REACHED(wait_reached_, condition);                                                    \
        if (!wait_reached_)                                                                        \
            fail_msg("after %d s still not: %s", WAIT_WATCHDOG_MS / 1000, #condition);             \
    } while (0)
