/* lwIP's semaphores, mutexes and mailboxes, over POSIX threads (sys_arch.c). */

#ifndef TESTS_LWIP_ARCH_SYS_ARCH_H
#define TESTS_LWIP_ARCH_SYS_ARCH_H

typedef struct rig_semaphore *sys_sem_t;
typedef struct rig_mutex *sys_mutex_t;
typedef struct rig_mailbox *sys_mbox_t;
typedef void *sys_thread_t;
typedef int sys_prot_t;

#define sys_sem_valid(sem) (*(sem) != NULL)
#define sys_sem_set_invalid(sem) (*(sem) = NULL)
#define sys_mutex_valid(mutex) (*(mutex) != NULL)
#define sys_mutex_set_invalid(mutex) (*(mutex) = NULL)
#define sys_mbox_valid(mbox) (*(mbox) != NULL)
#define sys_mbox_set_invalid(mbox) (*(mbox) = NULL)

#endif
