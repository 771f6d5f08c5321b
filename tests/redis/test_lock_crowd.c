/* Crowds of processes and threads on one lock of each kind. The poll bound never comes: a single lost
   wake-up would hang them. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "lock_test.h"
#include "support/processes.h"

#include <sys/mman.h>
#include <sys/resource.h>

#define CROWD_PROCESSES 4
#define CROWD_THREADS 6
#define CROWD_WRITERS 2
#define CROWD_ROUNDS 25
#define PERMITS 2
#define HERD_THREADS 144
#define HERD_ROUNDS 10
/* Sleeps a grant of all threads together: some, but not those of a good part of the herd. */
#define HERD_MOST_SLEEPS 24

typedef enum crowd_kind { EXCLUSIVE, FAIR, SEMAPHORE, READ_WRITE } crowd_kind;

typedef struct crowd {
    crowd_kind kind;
    uint32_t many;  /* inside with others; atomic, as all counts */
    uint32_t alone; /* inside without */
    uint32_t wrong;
    uint32_t entries;
    int64_t last_fence; /* of those who are alone */
    uint32_t backwards;
} crowd;

static bool crowd_is_right(crowd *all)
{
    uint32_t many = __atomic_load_n(&all->many, __ATOMIC_ACQUIRE);
    uint32_t alone = __atomic_load_n(&all->alone, __ATOMIC_ACQUIRE);
    if (alone > 0)
        return alone == 1 && many == 0;
    return all->kind != SEMAPHORE || many <= PERMITS;
}

static void crowd_enter(crowd *all, sc_lock *lock, bool is_alone)
{
    uint32_t *inside = is_alone ? &all->alone : &all->many;
    __atomic_add_fetch(inside, 1, __ATOMIC_ACQ_REL);
    if (!crowd_is_right(all))
        __atomic_add_fetch(&all->wrong, 1, __ATOMIC_ACQ_REL);
    if (is_alone) {
        int64_t fence = sc_lock_fencing_token(lock);
        if (fence <= all->last_fence)
            all->backwards++;
        all->last_fence = fence;
    }
    __atomic_add_fetch(&all->entries, 1, __ATOMIC_ACQ_REL);
    __atomic_sub_fetch(inside, 1, __ATOMIC_ACQ_REL);
}

static void *crowd_thread(void *argument)
{
    contender *self = (contender *)argument;
    crowd *all = (crowd *)self->lock->config.user;
    bool is_alone = all->kind == EXCLUSIVE || all->kind == FAIR || self->lock->is_writer;
    for (int round = 0; round < CROWD_ROUNDS; round++) {
        self->status = sc_lock_acquire(self->lock, -1);
        if (self->status != SC_OK)
            break;
        crowd_enter(all, self->lock, is_alone);
        self->status = sc_lock_release(self->lock);
        if (self->status != SC_OK)
            break;
    }
    return NULL;
}

static sc_status crowd_open(crowd *all, sc_client *client, size_t index, sc_lock **lock)
{
    sc_lock_config config = lock_config("job");
    config.user = all;
    config.fair = all->kind == FAIR;
    switch (all->kind) {
    case SEMAPHORE:
        return sc_semaphore_open(client, &config, PERMITS, lock);
    case READ_WRITE:
        return sc_rwlock_open(client, &config, index < CROWD_WRITERS, lock);
    default:
        return sc_lock_open(client, &config, lock);
    }
}

static int crowd_process(processes *shared, size_t index, void *user)
{
    contender threads[CROWD_THREADS];
    sc_config config = test_config(test_url());
    sc_client *client = NULL;
    bool is_good = true;
    (void)shared;
    (void)index;
    if (sc_open(&config, &client) != SC_OK)
        return 1;
    for (size_t i = 0; i < CROWD_THREADS; i++)
        if (crowd_open((crowd *)user, client, i, &threads[i].lock) != SC_OK ||
            pthread_create(&threads[i].thread, NULL, crowd_thread, &threads[i]) != 0)
            return 2;
    for (size_t i = 0; i < CROWD_THREADS; i++) {
        pthread_join(threads[i].thread, NULL);
        is_good = is_good && threads[i].status == SC_OK;
        sc_lock_close(threads[i].lock);
    }
    return sc_close(client) == SC_OK && is_good ? 0 : 3;
}

static void meet(crowd_kind kind)
{
    crowd *all =
        (crowd *)mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(all, MAP_FAILED);
    memset(all, 0, sizeof *all);
    all->kind = kind;
    processes *shared = processes_start(CROWD_PROCESSES, crowd_process, all);
    bool is_good = processes_join(shared);
    processes_free(shared);
    assert_true(is_good);
    assert_int_equal(all->wrong, 0);
    assert_int_equal(all->backwards, 0);
    assert_int_equal(all->entries, CROWD_PROCESSES * CROWD_THREADS * CROWD_ROUNDS);
    assert_int_equal(fixture_number("EXISTS", "job"), 0);
    assert_int_equal(fixture_number("ZCARD", "sc:queue{job}"), 0);
    munmap(all, sizeof *all);
}

static void of_a_crowd_one_is_inside_at_a_time_and_no_release_goes_unheard(void **state)
{
    (void)state;
    meet(EXCLUSIVE);
}

static void a_fair_crowd_does_the_same(void **state)
{
    (void)state;
    meet(FAIR);
}

static void a_crowd_shares_the_permits_and_no_release_goes_unheard(void **state)
{
    (void)state;
    meet(SEMAPHORE);
}

static void a_crowd_of_readers_and_writers_never_meets(void **state)
{
    (void)state;
    meet(READ_WRITE);
}

static void *herd_thread(void *argument)
{
    contender *self = (contender *)argument;
    self->status = SC_OK;
    for (int round = 0; round < HERD_ROUNDS && self->status == SC_OK; round++) {
        self->status = sc_lock_acquire(self->lock, -1);
        if (self->status == SC_OK)
            self->status = sc_lock_release(self->lock);
    }
    return NULL;
}

static long sleeps_of_this_process(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_nvcsw;
}

/* Threads that share a client also share what they sleep at, unless each is woken alone. */
static void of_many_threads_that_wait_a_release_wakes_few(void **state)
{
    static contender herd[HERD_THREADS];
    sc_lock_config config = lock_config("job");
    (void)state;
    config.fair = true;
    for (size_t i = 0; i < HERD_THREADS; i++)
        contender_open(&herd[i], test.client, &config);
    long before = sleeps_of_this_process();
    for (size_t i = 0; i < HERD_THREADS; i++)
        assert_int_equal(pthread_create(&herd[i].thread, NULL, herd_thread, &herd[i]), 0);
    for (size_t i = 0; i < HERD_THREADS; i++)
        contender_join(&herd[i], SC_OK);
    assert_in_range(sleeps_of_this_process() - before, 1,
                    HERD_MOST_SLEEPS * HERD_THREADS * HERD_ROUNDS);
    for (size_t i = 0; i < HERD_THREADS; i++)
        contender_close(&herd[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        bare_unit_test(of_a_crowd_one_is_inside_at_a_time_and_no_release_goes_unheard),
        bare_unit_test(a_fair_crowd_does_the_same),
        bare_unit_test(a_crowd_shares_the_permits_and_no_release_goes_unheard),
        bare_unit_test(a_crowd_of_readers_and_writers_never_meets),
        client_unit_test(of_many_threads_that_wait_a_release_wakes_few),
    };
    return run_on_both_wires("crowds on a lock", tests);
}
