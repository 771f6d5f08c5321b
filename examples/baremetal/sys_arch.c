/* What lwIP asks of an operating system, where there is none. There is one program and no thread:
   whoever would sleep until another thread does something runs the network instead until it has
   happened. Interrupt handlers never come here. */

#include "lwip/sys.h"
#include "board.h"
#include "network.h"

void sys_init(void)
{
}

u32_t sys_now(void)
{
    return (u32_t)(board_monotonic_ns() / 1000000);
}

/* What a wait is for. */
typedef bool (*sys_condition)(const void *object);

/* Run the network until it is so, or `timeout_ms` passed (0: for ever). */
static bool wait_until(sys_condition holds, const void *object, u32_t timeout_ms)
{
    u32_t began_ms = sys_now();
    for (;;) {
        network_poll();
        if (holds(object))
            return true;
        if (timeout_ms && (u32_t)(sys_now() - began_ms) >= timeout_ms)
            return false;
        network_sleep();
    }
}

/* --- semaphores */

err_t sys_sem_new(sys_sem_t *sem, u8_t count)
{
    sem->count = count;
    sem->is_valid = true;
    return ERR_OK;
}

void sys_sem_free(sys_sem_t *sem)
{
    sem->is_valid = false;
}

int sys_sem_valid(sys_sem_t *sem)
{
    return sem->is_valid;
}

void sys_sem_set_invalid(sys_sem_t *sem)
{
    sem->is_valid = false;
}

void sys_sem_signal(sys_sem_t *sem)
{
    sem->count++;
}

static bool sem_is_signalled(const void *object)
{
    return ((const sys_sem_t *)object)->count > 0;
}

u32_t sys_arch_sem_wait(sys_sem_t *sem, u32_t timeout)
{
    u32_t began_ms = sys_now();
    if (!wait_until(sem_is_signalled, sem, timeout))
        return SYS_ARCH_TIMEOUT;
    sem->count--;
    return sys_now() - began_ms;
}

/* --- mutexes: nobody else is there to hold one; the depth tells network_poll when it is called
   from within lwIP */

err_t sys_mutex_new(sys_mutex_t *mutex)
{
    mutex->depth = 0;
    mutex->is_valid = true;
    return ERR_OK;
}

void sys_mutex_free(sys_mutex_t *mutex)
{
    mutex->is_valid = false;
}

int sys_mutex_valid(sys_mutex_t *mutex)
{
    return mutex->is_valid;
}

void sys_mutex_set_invalid(sys_mutex_t *mutex)
{
    mutex->is_valid = false;
}

void sys_mutex_lock(sys_mutex_t *mutex)
{
    mutex->depth++;
}

void sys_mutex_unlock(sys_mutex_t *mutex)
{
    mutex->depth--;
}

/* --- mailboxes */

err_t sys_mbox_new(sys_mbox_t *mbox, int size)
{
    if (size > SYS_MBOX_SLOTS)
        return ERR_MEM;
    mbox->first = 0;
    mbox->count = 0;
    mbox->is_valid = true;
    return ERR_OK;
}

void sys_mbox_free(sys_mbox_t *mbox)
{
    mbox->is_valid = false;
}

int sys_mbox_valid(sys_mbox_t *mbox)
{
    return mbox->is_valid;
}

void sys_mbox_set_invalid(sys_mbox_t *mbox)
{
    mbox->is_valid = false;
}

err_t sys_mbox_trypost(sys_mbox_t *mbox, void *msg)
{
    if (mbox->count == SYS_MBOX_SLOTS)
        return ERR_MEM;
    mbox->slots[(mbox->first + mbox->count) % SYS_MBOX_SLOTS] = msg;
    mbox->count++;
    return ERR_OK;
}

err_t sys_mbox_trypost_fromisr(sys_mbox_t *mbox, void *msg)
{
    return sys_mbox_trypost(mbox, msg);
}

static bool mbox_has_room(const void *object)
{
    return ((const sys_mbox_t *)object)->count < SYS_MBOX_SLOTS;
}

static bool mbox_has_mail(const void *object)
{
    return ((const sys_mbox_t *)object)->count > 0;
}

void sys_mbox_post(sys_mbox_t *mbox, void *msg)
{
    (void)wait_until(mbox_has_room, mbox, 0);
    (void)sys_mbox_trypost(mbox, msg);
}

static void take(sys_mbox_t *mbox, void **msg)
{
    if (msg)
        *msg = mbox->slots[mbox->first];
    mbox->first = (mbox->first + 1) % SYS_MBOX_SLOTS;
    mbox->count--;
}

u32_t sys_arch_mbox_fetch(sys_mbox_t *mbox, void **msg, u32_t timeout)
{
    u32_t began_ms = sys_now();
    if (!wait_until(mbox_has_mail, mbox, timeout))
        return SYS_ARCH_TIMEOUT;
    take(mbox, msg);
    return sys_now() - began_ms;
}

/* A socket that does not block looks here when it is asked for bytes: a moment to see whether some
   have come. */
u32_t sys_arch_mbox_tryfetch(sys_mbox_t *mbox, void **msg)
{
    if (!mbox_has_mail(mbox))
        network_poll();
    if (!mbox_has_mail(mbox))
        return SYS_MBOX_EMPTY;
    take(mbox, msg);
    return 0;
}

/* lwIP starts one, its own. With LWIP_TCPIP_CORE_LOCKING all it would do is in network_poll. */
sys_thread_t sys_thread_new(const char *name, lwip_thread_fn thread, void *arg, int stacksize,
                            int prio)
{
    (void)name;
    (void)thread;
    (void)arg;
    (void)stacksize;
    (void)prio;
    return 0;
}
