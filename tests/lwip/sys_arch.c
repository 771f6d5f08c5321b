/* lwIP's system layer over POSIX threads. Mailboxes are rings under a mutex; a protected section is
   one recursive mutex for all. */

#include "lwip/opt.h"

#include "lwip/sys.h"

#include <pthread.h>
#include <time.h>

#define NS_PER_MS 1000000L
#define NS_PER_S 1000000000L

struct rig_semaphore {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned count;
};

struct rig_mutex {
    pthread_mutex_t lock;
};

struct rig_mailbox {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    void **messages; /* owned; a ring of `cap` */
    int cap;
    int first;
    int count;
};

static pthread_mutex_t protection;
static pthread_mutex_t random_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long long random_state = 88172645463325252ull;

/* A fixed sequence: what the network does is to be the same in every run. */
unsigned long rig_random(void)
{
    unsigned long long value;
    pthread_mutex_lock(&random_lock);
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    value = random_state;
    pthread_mutex_unlock(&random_lock);
    return (unsigned long)value;
}

void sys_init(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&protection, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

sys_prot_t sys_arch_protect(void)
{
    pthread_mutex_lock(&protection);
    return 0;
}

void sys_arch_unprotect(sys_prot_t level)
{
    (void)level;
    pthread_mutex_unlock(&protection);
}

u32_t sys_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (u32_t)((unsigned long long)now.tv_sec * 1000u +
                   (unsigned long long)(now.tv_nsec / NS_PER_MS));
}

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

static struct timespec after_ms(u32_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * NS_PER_MS;
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_sec++;
        until.tv_nsec -= NS_PER_S;
    }
    return until;
}

/* Sleep until `*count` is not 0; false when `timeout_ms` (0: none) passed before. Locked. */
static int wait_for(pthread_cond_t *changed, pthread_mutex_t *lock, const void *count,
                    u32_t timeout_ms)
{
    const struct timespec until = after_ms(timeout_ms);
    while (*(const volatile int *)count == 0) {
        if (timeout_ms == 0)
            pthread_cond_wait(changed, lock);
        else if (pthread_cond_timedwait(changed, lock, &until) != 0)
            return *(const volatile int *)count != 0;
    }
    return 1;
}

err_t sys_sem_new(sys_sem_t *sem, u8_t count)
{
    struct rig_semaphore *self = (struct rig_semaphore *)malloc(sizeof(*self));
    *sem = self;
    if (!self)
        return ERR_MEM;
    pthread_mutex_init(&self->lock, NULL);
    init_condition(&self->changed);
    self->count = count;
    return ERR_OK;
}

void sys_sem_free(sys_sem_t *sem)
{
    struct rig_semaphore *self = *sem;
    /* The one who signalled may still be on its way out. */
    pthread_mutex_lock(&self->lock);
    pthread_mutex_unlock(&self->lock);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

void sys_sem_signal(sys_sem_t *sem)
{
    struct rig_semaphore *self = *sem;
    pthread_mutex_lock(&self->lock);
    self->count++;
    pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

u32_t sys_arch_sem_wait(sys_sem_t *sem, u32_t timeout_ms)
{
    struct rig_semaphore *self = *sem;
    u32_t result = SYS_ARCH_TIMEOUT;
    pthread_mutex_lock(&self->lock);
    if (wait_for(&self->changed, &self->lock, &self->count, timeout_ms)) {
        self->count--;
        result = 0;
    }
    pthread_mutex_unlock(&self->lock);
    return result;
}

err_t sys_mutex_new(sys_mutex_t *mutex)
{
    *mutex = (struct rig_mutex *)malloc(sizeof(**mutex));
    if (!*mutex)
        return ERR_MEM;
    pthread_mutex_init(&(*mutex)->lock, NULL);
    return ERR_OK;
}

void sys_mutex_free(sys_mutex_t *mutex)
{
    pthread_mutex_destroy(&(*mutex)->lock);
    free(*mutex);
}

void sys_mutex_lock(sys_mutex_t *mutex)
{
    pthread_mutex_lock(&(*mutex)->lock);
}

void sys_mutex_unlock(sys_mutex_t *mutex)
{
    pthread_mutex_unlock(&(*mutex)->lock);
}

err_t sys_mbox_new(sys_mbox_t *mbox, int size)
{
    struct rig_mailbox *self = (struct rig_mailbox *)calloc(1, sizeof(*self));
    *mbox = NULL;
    if (!self)
        return ERR_MEM;
    self->cap = size;
    self->messages = (void **)calloc((size_t)size, sizeof(self->messages[0]));
    if (!self->messages) {
        free(self);
        return ERR_MEM;
    }
    pthread_mutex_init(&self->lock, NULL);
    init_condition(&self->changed);
    *mbox = self;
    return ERR_OK;
}

void sys_mbox_free(sys_mbox_t *mbox)
{
    struct rig_mailbox *self = *mbox;
    pthread_mutex_lock(&self->lock);
    pthread_mutex_unlock(&self->lock);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->lock);
    free(self->messages);
    free(self);
}

static void put(struct rig_mailbox *self, void *message)
{
    self->messages[(self->first + self->count) % self->cap] = message;
    self->count++;
    pthread_cond_broadcast(&self->changed);
}

static void take(struct rig_mailbox *self, void **message)
{
    if (message)
        *message = self->messages[self->first];
    self->first = (self->first + 1) % self->cap;
    self->count--;
    pthread_cond_broadcast(&self->changed);
}

void sys_mbox_post(sys_mbox_t *mbox, void *message)
{
    struct rig_mailbox *self = *mbox;
    pthread_mutex_lock(&self->lock);
    while (self->count == self->cap)
        pthread_cond_wait(&self->changed, &self->lock);
    put(self, message);
    pthread_mutex_unlock(&self->lock);
}

err_t sys_mbox_trypost(sys_mbox_t *mbox, void *message)
{
    struct rig_mailbox *self = *mbox;
    err_t result = ERR_MEM;
    pthread_mutex_lock(&self->lock);
    if (self->count < self->cap) {
        put(self, message);
        result = ERR_OK;
    }
    pthread_mutex_unlock(&self->lock);
    return result;
}

err_t sys_mbox_trypost_fromisr(sys_mbox_t *mbox, void *message)
{
    return sys_mbox_trypost(mbox, message);
}

u32_t sys_arch_mbox_fetch(sys_mbox_t *mbox, void **message, u32_t timeout_ms)
{
    struct rig_mailbox *self = *mbox;
    u32_t result = SYS_ARCH_TIMEOUT;
    pthread_mutex_lock(&self->lock);
    if (wait_for(&self->changed, &self->lock, &self->count, timeout_ms)) {
        take(self, message);
        result = 0;
    } else if (message) {
        *message = NULL;
    }
    pthread_mutex_unlock(&self->lock);
    return result;
}

u32_t sys_arch_mbox_tryfetch(sys_mbox_t *mbox, void **message)
{
    struct rig_mailbox *self = *mbox;
    u32_t result = SYS_MBOX_EMPTY;
    pthread_mutex_lock(&self->lock);
    if (self->count > 0) {
        take(self, message);
        result = 0;
    }
    pthread_mutex_unlock(&self->lock);
    return result;
}

struct rig_start {
    lwip_thread_fn run;
    void *argument;
};

static void *run_thread(void *argument)
{
    struct rig_start start = *(struct rig_start *)argument;
    free(argument);
    start.run(start.argument);
    return NULL;
}

sys_thread_t sys_thread_new(const char *name, lwip_thread_fn run, void *argument, int stack_bytes,
                            int priority)
{
    pthread_t thread;
    struct rig_start *start = (struct rig_start *)malloc(sizeof(*start));
    (void)name;
    (void)stack_bytes;
    (void)priority;
    if (!start)
        abort();
    start->run = run;
    start->argument = argument;
    if (pthread_create(&thread, NULL, run_thread, start) != 0)
        abort();
    pthread_detach(thread);
    return NULL;
}
