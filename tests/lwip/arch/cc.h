/* What lwIP asks of the compiler and the system: nearly nothing, since its own definitions do. Host
   headers that would clash with lwIP's sockets stay out. */

#ifndef TESTS_LWIP_ARCH_CC_H
#define TESTS_LWIP_ARCH_CC_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

/* The system's, as <sys/time.h> above brings them. */
#define LWIP_TIMEVAL_PRIVATE 0

/* glibc's limit is of its own sockets (lwIP has no <limits.h> of its own and takes what it finds). */
#undef IOV_MAX

#define LWIP_PLATFORM_DIAG(message)                                                                \
    do {                                                                                           \
        printf message;                                                                            \
    } while (0)
#define LWIP_PLATFORM_ASSERT(message)                                                              \
    do {                                                                                           \
        fprintf(stderr, "lwIP: %s (%s:%d)\n", message, __FILE__, __LINE__);                        \
        abort();                                                                                   \
    } while (0)

#define LWIP_RAND() ((u32_t)rig_random())
unsigned long rig_random(void);

#endif
