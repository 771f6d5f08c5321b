/* The local lock map: single flight and a lock per key. Meant for a thread sanitizer as well. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fault_memory.h"
#include "wait.h"

#define THREADS 64
#define SHORT_MS 20

#define assert_status(expected, call)                                                              \
    do {                                                                                           \
        sc_status assert_got_ = (call);                                                            \
        if (assert_got_ != (expected))                                                             \
            fail_msg("%s gave %s (%s), not %s", #call, sc_status_name(assert_got_),                \
                     sc_error_text(), sc_status_name(expected));                                   \
    } while (0)

static struct {
    fault_memory memory;
    sc_lockmap *map;
} test;

static int setup(void **state)
{
    (void)state;
    fault_memory_init(&test.memory);
    return sc_lockmap_open(&test.memory.table, NULL, &test.map) == SC_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    sc_lockmap_close(test.map);
    bool is_clean = fault_memory_is_clean(&test.memory);
    fault_memory_free(&test.memory);
    return is_clean ? 0 : -1;
}

/* Threads that wait in the map now. */
static size_t waiting(void)
{
    size_t count = 0;
    sci_mutex_lock(&test.map->mutex);
    for (sci_link *link = test.map->waiters.next; link != &test.map->waiters; link = link->next)
        count++;
    sci_mutex_unlock(&test.map->mutex);
    return count;
}

/* What a computation does, and what a thread that asked for it got. */
typedef struct job {
    uint32_t runs;    /* atomic */
    uint32_t is_held; /* atomic: computations wait until it is 0 */
    sc_status status;
    const char *words;
} job;

typedef struct asker {
    pthread_t thread;
    const char *key;
    job *work;
    int64_t timeout_ms;
    sc_status status;
    sc_value *value;
    char words[SC_ERROR_TEXT_BYTES];
} asker;

static sc_status job_compute(void *user, sc_slice key, sc_value **value)
{
    job *work = (job *)user;
    bool is_released;
    __atomic_add_fetch(&work->runs, 1, __ATOMIC_ACQ_REL);
    WAIT_REACHED(is_released, !__atomic_load_n(&work->is_held, __ATOMIC_ACQUIRE));
    if (!is_released)
        return sc_fail(SC_ERR_LOADER, "the test did not release the computation");
    if (work->status < 0)
        return sc_fail(work->status, "%s", work->words);
    if (work->status != SC_OK)
        return work->status;
    return sc_value_create(&test.memory.table, key, value);
}

static void *asker_run(void *argument)
{
    asker *self = (asker *)argument;
    self->status = sc_single_flight(test.map, sc_text(self->key), self->timeout_ms, job_compute,
                                    self->work, &self->value);
    snprintf(self->words, sizeof self->words, "%s", self->status < 0 ? sc_error_text() : "");
    return NULL;
}

static void ask(asker *askers, size_t count, const char *key, job *work, int64_t timeout_ms)
{
    memset(askers, 0, count * sizeof *askers);
    for (size_t i = 0; i < count; i++) {
        askers[i].key = key;
        askers[i].work = work;
        askers[i].timeout_ms = timeout_ms;
        assert_int_equal(pthread_create(&askers[i].thread, NULL, asker_run, &askers[i]), 0);
    }
}

static void join(asker *askers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pthread_join(askers[i].thread, NULL);
}

static void hold(job *work, bool is_held)
{
    __atomic_store_n(&work->is_held, is_held, __ATOMIC_RELEASE);
}

static uint32_t runs(const job *work)
{
    return __atomic_load_n(&work->runs, __ATOMIC_ACQUIRE);
}

/* --- single flight */

static void of_64_threads_one_computes_and_all_get_the_value(void **state)
{
    (void)state;
    static asker askers[THREADS];
    job work = {0};
    hold(&work, true);
    ask(askers, THREADS, "key", &work, -1);
    WAIT_UNTIL(waiting() == THREADS - 1);
    hold(&work, false);
    join(askers, THREADS);
    assert_int_equal(runs(&work), 1);
    for (int i = 0; i < THREADS; i++) {
        assert_status(SC_OK, askers[i].status);
        assert_ptr_equal(askers[i].value, askers[0].value);
        assert_memory_equal(sc_value_bytes(askers[i].value).data, "key", 3);
    }
    for (int i = 0; i < THREADS; i++)
        sc_value_release(askers[i].value);
}

static void nothing_is_kept_after_a_flight(void **state)
{
    (void)state;
    job work = {0};
    for (uint32_t round = 1; round <= 3; round++) {
        sc_value *value = NULL;
        assert_status(SC_OK,
                      sc_single_flight(test.map, sc_text("key"), -1, job_compute, &work, &value));
        sc_value_release(value);
        assert_int_equal(runs(&work), round);
    }
}

static void a_failure_is_shared_with_its_words(void **state)
{
    (void)state;
    static asker askers[THREADS];
    job work = {.status = SC_ERR_LOADER, .words = "table users is locked"};
    hold(&work, true);
    ask(askers, THREADS, "key", &work, -1);
    WAIT_UNTIL(waiting() == THREADS - 1);
    hold(&work, false);
    join(askers, THREADS);
    assert_int_equal(runs(&work), 1);
    for (int i = 0; i < THREADS; i++) {
        assert_status(SC_ERR_LOADER, askers[i].status);
        assert_string_equal(askers[i].words, "table users is locked");
        assert_null(askers[i].value);
    }
}

static void an_informative_status_is_shared_without_a_value(void **state)
{
    (void)state;
    asker askers[4];
    job work = {.status = SC_MISS};
    hold(&work, true);
    ask(askers, 4, "key", &work, -1);
    WAIT_UNTIL(waiting() == 3);
    hold(&work, false);
    join(askers, 4);
    assert_int_equal(runs(&work), 1);
    for (int i = 0; i < 4; i++) {
        assert_status(SC_MISS, askers[i].status);
        assert_null(askers[i].value);
    }
}

static void a_waiter_gives_up_at_its_time_out_and_the_others_do_not(void **state)
{
    (void)state;
    asker leader;
    asker patient;
    asker hasty;
    job work = {0};
    hold(&work, true);
    ask(&leader, 1, "key", &work, -1);
    WAIT_UNTIL(runs(&work) == 1);
    ask(&patient, 1, "key", &work, -1);
    ask(&hasty, 1, "key", &work, SHORT_MS);
    join(&hasty, 1);
    assert_status(SC_ERR_NOT_SENT, hasty.status);
    assert_non_null(strstr(hasty.words, "key"));
    hold(&work, false);
    join(&leader, 1);
    join(&patient, 1);
    assert_status(SC_OK, leader.status);
    assert_status(SC_OK, patient.status);
    assert_int_equal(runs(&work), 1);
    sc_value_release(leader.value);
    sc_value_release(patient.value);
}

static void different_keys_do_not_wait_for_each_other(void **state)
{
    (void)state;
    asker held;
    job slow = {0};
    job fast = {0};
    sc_value *value = NULL;
    hold(&slow, true);
    ask(&held, 1, "slow", &slow, -1);
    WAIT_UNTIL(runs(&slow) == 1);
    assert_status(SC_OK,
                  sc_single_flight(test.map, sc_text("fast"), -1, job_compute, &fast, &value));
    sc_value_release(value);
    hold(&slow, false);
    join(&held, 1);
    sc_value_release(held.value);
}

static sc_status compute_the_same_key(void *user, sc_slice key, sc_value **value)
{
    (void)user;
    return sc_single_flight(test.map, key, -1, compute_the_same_key, user, value);
}

static void a_computation_that_asks_for_its_own_key_is_told_so(void **state)
{
    (void)state;
    sc_value *value = NULL;
    assert_status(SC_ERR_DEADLOCK, sc_single_flight(test.map, sc_text("key"), -1,
                                                    compute_the_same_key, NULL, &value));
    assert_null(value);
}

/* Thread 0 computes "a" and then asks for "b"; thread 1 the other way round. */
typedef struct circle {
    uint32_t started; /* atomic */
    uint32_t deadlocks;
} circle;

typedef struct circle_side {
    pthread_t thread;
    circle *shared;
    const char *own;
    const char *other;
    sc_status status;
} circle_side;

static sc_status circle_inner(void *user, sc_slice key, sc_value **value)
{
    (void)user;
    return sc_value_create(&test.memory.table, key, value);
}

static sc_status circle_outer(void *user, sc_slice key, sc_value **value)
{
    circle_side *side = (circle_side *)user;
    bool both;
    (void)key;
    __atomic_add_fetch(&side->shared->started, 1, __ATOMIC_ACQ_REL);
    WAIT_REACHED(both, __atomic_load_n(&side->shared->started, __ATOMIC_ACQUIRE) == 2);
    if (!both)
        return SC_ERR_LOADER;
    sc_status status =
        sc_single_flight(test.map, sc_text(side->other), -1, circle_inner, NULL, value);
    if (status == SC_ERR_DEADLOCK)
        __atomic_add_fetch(&side->shared->deadlocks, 1, __ATOMIC_ACQ_REL);
    return status;
}

static void *circle_run(void *argument)
{
    circle_side *side = (circle_side *)argument;
    sc_value *value = NULL;
    side->status = sc_single_flight(test.map, sc_text(side->own), -1, circle_outer, side, &value);
    sc_value_release(value);
    return NULL;
}

static void a_circle_of_two_computations_is_broken_at_one_place(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        circle shared = {0, 0};
        circle_side sides[2];
        memset(sides, 0, sizeof sides);
        for (int i = 0; i < 2; i++) {
            sides[i].shared = &shared;
            sides[i].own = i ? "b" : "a";
            sides[i].other = i ? "a" : "b";
            assert_int_equal(pthread_create(&sides[i].thread, NULL, circle_run, &sides[i]), 0);
        }
        for (int i = 0; i < 2; i++)
            pthread_join(sides[i].thread, NULL);
        /* The one that closes the circle is refused, or waits for a flight that has ended by then:
           the other shares its failure. */
        assert_in_range(shared.deadlocks, 1, 2);
        assert_true(sides[0].status == SC_ERR_DEADLOCK || sides[1].status == SC_ERR_DEADLOCK);
    }
}

static void every_key_computes_once_for_each_group_that_asks_together(void **state)
{
    (void)state;
    enum { KEYS = 4, ROUNDS = 50, EACH = 8 };
    static asker askers[KEYS][EACH];
    static const char *const keys[KEYS] = {"a", "b", "c", ""};
    for (int round = 0; round < ROUNDS; round++) {
        job work[KEYS];
        memset(work, 0, sizeof work);
        for (int k = 0; k < KEYS; k++)
            ask(askers[k], EACH, keys[k], &work[k], -1);
        for (int k = 0; k < KEYS; k++) {
            join(askers[k], EACH);
            assert_in_range(runs(&work[k]), 1, EACH);
            for (int i = 0; i < EACH; i++) {
                assert_status(SC_OK, askers[k][i].status);
                assert_int_equal(sc_value_bytes(askers[k][i].value).len, strlen(keys[k]));
                sc_value_release(askers[k][i].value);
            }
        }
    }
}

static void a_flight_without_memory_says_so_and_the_next_works(void **state)
{
    (void)state;
    sc_value *value = NULL;
    job work = {0};
    fault_memory_fail(&test.memory, 1, false);
    assert_status(SC_ERR_MEMORY,
                  sc_single_flight(test.map, sc_text("key"), -1, job_compute, &work, &value));
    assert_int_equal(runs(&work), 0);
    fault_memory_fail(&test.memory, 2, false); /* within the computation */
    assert_status(SC_ERR_MEMORY,
                  sc_single_flight(test.map, sc_text("key"), -1, job_compute, &work, &value));
    fault_memory_fail(&test.memory, 0, false);
    assert_status(SC_OK,
                  sc_single_flight(test.map, sc_text("key"), -1, job_compute, &work, &value));
    sc_value_release(value);
}

/* --- a lock per key */

typedef struct locker {
    pthread_t thread;
    const char *key;
    uint32_t *turn; /* guarded by the lock */
    uint32_t got;
    sc_status status;
} locker;

static void *locker_run(void *argument)
{
    locker *self = (locker *)argument;
    sc_keylock *lock = NULL;
    self->status = sc_keylock_acquire(test.map, sc_text(self->key), -1, &lock);
    if (self->status == SC_OK)
        self->got = (*self->turn)++;
    sc_keylock_release(lock);
    return NULL;
}

static void a_lock_is_handed_over_in_the_order_of_arrival(void **state)
{
    (void)state;
    enum { LOCKERS = 16 };
    locker lockers[LOCKERS];
    uint32_t turn = 0;
    sc_keylock *lock = NULL;
    memset(lockers, 0, sizeof lockers);
    assert_status(SC_OK, sc_keylock_acquire(test.map, sc_text("key"), -1, &lock));
    for (size_t i = 0; i < LOCKERS; i++) {
        lockers[i].key = "key";
        lockers[i].turn = &turn;
        assert_int_equal(pthread_create(&lockers[i].thread, NULL, locker_run, &lockers[i]), 0);
        WAIT_UNTIL(waiting() == i + 1);
    }
    sc_keylock_release(lock);
    for (int i = 0; i < LOCKERS; i++) {
        pthread_join(lockers[i].thread, NULL);
        assert_status(SC_OK, lockers[i].status);
        assert_int_equal(lockers[i].got, i);
    }
}

static void a_try_answers_at_once_that_the_lock_is_held(void **state)
{
    (void)state;
    sc_keylock *lock = NULL;
    sc_keylock *second = NULL;
    assert_status(SC_OK, sc_keylock_acquire(test.map, sc_text("key"), 0, &lock));
    assert_status(SC_HELD, sc_keylock_acquire(test.map, sc_text("key"), 0, &second));
    assert_null(second);
    assert_status(SC_OK, sc_keylock_acquire(test.map, sc_text("other"), 0, &second));
    sc_keylock_release(second);
    sc_keylock_release(lock);
    assert_status(SC_OK, sc_keylock_acquire(test.map, sc_text("key"), 0, &lock));
    sc_keylock_release(lock);
    sc_keylock_release(NULL);
}

static void *try_for_a_while_run(void *argument)
{
    locker *self = (locker *)argument;
    sc_keylock *lock = NULL;
    self->status = sc_keylock_acquire(test.map, sc_text(self->key), SHORT_MS, &lock);
    sc_keylock_release(lock);
    return NULL;
}

static void a_locker_that_gave_up_is_not_served(void **state)
{
    (void)state;
    locker hasty = {.key = "key"};
    sc_keylock *lock = NULL;
    assert_status(SC_OK, sc_keylock_acquire(test.map, sc_text("key"), -1, &lock));
    assert_int_equal(pthread_create(&hasty.thread, NULL, try_for_a_while_run, &hasty), 0);
    pthread_join(hasty.thread, NULL);
    assert_status(SC_HELD, hasty.status);
    sc_keylock_release(lock);
    assert_status(SC_OK, sc_keylock_acquire(test.map, sc_text("key"), 0, &lock));
    sc_keylock_release(lock);
}

static void locking_twice_on_one_thread_is_a_deadlock(void **state)
{
    (void)state;
    sc_keylock *lock = NULL;
    sc_keylock *second = NULL;
    assert_status(SC_OK, sc_keylock_acquire(test.map, sc_text("key"), -1, &lock));
    assert_status(SC_ERR_DEADLOCK, sc_keylock_acquire(test.map, sc_text("key"), -1, &second));
    assert_null(second);
    sc_keylock_release(lock);
}

/* A thread that locks one key and then another. */
typedef struct pair {
    pthread_t thread;
    const char *first;
    const char *second;
    sc_status status;
} pair;

static void *pair_run(void *argument)
{
    pair *self = (pair *)argument;
    sc_keylock *first = NULL;
    sc_keylock *second = NULL;
    self->status = sc_keylock_acquire(test.map, sc_text(self->first), -1, &first);
    if (self->status == SC_OK)
        self->status = sc_keylock_acquire(test.map, sc_text(self->second), -1, &second);
    sc_keylock_release(second);
    sc_keylock_release(first);
    return NULL;
}

static void who_would_close_a_circle_of_locks_is_told_so(void **state)
{
    (void)state;
    sc_keylock *mine = NULL;
    sc_keylock *lock = NULL;
    pair other = {.first = "b", .second = "a"};
    assert_status(SC_OK, sc_keylock_acquire(test.map, sc_text("a"), -1, &mine));
    assert_int_equal(pthread_create(&other.thread, NULL, pair_run, &other), 0);
    WAIT_UNTIL(waiting() == 1);
    assert_status(SC_ERR_DEADLOCK, sc_keylock_acquire(test.map, sc_text("b"), -1, &lock));
    sc_keylock_release(mine);
    pthread_join(other.thread, NULL);
    assert_status(SC_OK, other.status);
}

static void *release_run(void *argument)
{
    sc_keylock_release((sc_keylock *)argument);
    return NULL;
}

static void a_lock_may_be_released_on_another_thread(void **state)
{
    (void)state;
    pthread_t thread;
    sc_keylock *lock = NULL;
    assert_status(SC_OK, sc_keylock_acquire(test.map, sc_text("key"), -1, &lock));
    assert_int_equal(pthread_create(&thread, NULL, release_run, lock), 0);
    pthread_join(thread, NULL);
    assert_status(SC_OK, sc_keylock_acquire(test.map, sc_text("key"), 0, &lock));
    sc_keylock_release(lock);
}

/* Plain counters that only the locks guard. */
#define STRESS_KEYS 3
#define STRESS_ROUNDS 2000
static uint64_t stress_counts[STRESS_KEYS];

static void *stress_run(void *argument)
{
    static const char *const keys[STRESS_KEYS] = {"x", "y", "z"};
    uint32_t *problems = (uint32_t *)argument;
    for (unsigned i = 0; i < STRESS_ROUNDS; i++) {
        unsigned k = i % STRESS_KEYS;
        sc_keylock *lock = NULL;
        if (sc_keylock_acquire(test.map, sc_text(keys[k]), -1, &lock) != SC_OK)
            __atomic_add_fetch(problems, 1, __ATOMIC_ACQ_REL);
        else
            stress_counts[k]++;
        sc_keylock_release(lock);
    }
    return NULL;
}

static void locks_exclude_under_contention(void **state)
{
    (void)state;
    enum { STRESSED = 8 };
    pthread_t threads[STRESSED];
    uint32_t problems = 0;
    uint64_t sum = 0;
    memset(stress_counts, 0, sizeof stress_counts);
    for (int i = 0; i < STRESSED; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, stress_run, &problems), 0);
    for (int i = 0; i < STRESSED; i++)
        pthread_join(threads[i], NULL);
    for (int k = 0; k < STRESS_KEYS; k++)
        sum += stress_counts[k];
    assert_int_equal(problems, 0);
    assert_int_equal(sum, STRESSED * STRESS_ROUNDS);
}

/* Locks and flights at once, with threads that hold a lock while they wait for a flight. */
static sc_status mixed_compute(void *user, sc_slice key, sc_value **value)
{
    (void)user;
    return sc_value_create(&test.memory.table, key, value);
}

static void *mixed_run(void *argument)
{
    uint32_t *problems = (uint32_t *)argument;
    for (unsigned i = 0; i < STRESS_ROUNDS; i++) {
        sc_keylock *lock = NULL;
        sc_value *value = NULL;
        sc_status status = sc_keylock_acquire(test.map, sc_text(i % 2 ? "l" : "m"), -1, &lock);
        if (status == SC_OK)
            status = sc_single_flight(test.map, sc_text("f"), -1, mixed_compute, NULL, &value);
        if (status != SC_OK)
            __atomic_add_fetch(problems, 1, __ATOMIC_ACQ_REL);
        sc_value_release(value);
        sc_keylock_release(lock);
    }
    return NULL;
}

static void holding_a_lock_while_waiting_for_a_flight_is_no_circle(void **state)
{
    (void)state;
    enum { MIXED = 8 };
    pthread_t threads[MIXED];
    uint32_t problems = 0;
    for (int i = 0; i < MIXED; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, mixed_run, &problems), 0);
    for (int i = 0; i < MIXED; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(problems, 0);
}

static void a_lock_without_memory_says_so_and_the_next_works(void **state)
{
    (void)state;
    sc_keylock *lock = NULL;
    for (size_t request = 1; request <= 2; request++) {
        fault_memory_fail(&test.memory, request, false);
        assert_status(SC_ERR_MEMORY, sc_keylock_acquire(test.map, sc_text("key"), -1, &lock));
        assert_null(lock);
    }
    fault_memory_fail(&test.memory, 0, false);
    assert_status(SC_OK, sc_keylock_acquire(test.map, sc_text("key"), -1, &lock));
    sc_keylock_release(lock);
}

static void a_map_without_memory_is_not_opened(void **state)
{
    (void)state;
    sc_lockmap *map = NULL;
    fault_memory_fail(&test.memory, 1, false);
    assert_status(SC_ERR_MEMORY, sc_lockmap_open(&test.memory.table, NULL, &map));
    assert_null(map);
    fault_memory_fail(&test.memory, 0, false);
    sc_lockmap_close(NULL);
}

#define lockmap_test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        lockmap_test(of_64_threads_one_computes_and_all_get_the_value),
        lockmap_test(nothing_is_kept_after_a_flight),
        lockmap_test(a_failure_is_shared_with_its_words),
        lockmap_test(an_informative_status_is_shared_without_a_value),
        lockmap_test(a_waiter_gives_up_at_its_time_out_and_the_others_do_not),
        lockmap_test(different_keys_do_not_wait_for_each_other),
        lockmap_test(a_computation_that_asks_for_its_own_key_is_told_so),
        lockmap_test(a_circle_of_two_computations_is_broken_at_one_place),
        lockmap_test(every_key_computes_once_for_each_group_that_asks_together),
        lockmap_test(a_flight_without_memory_says_so_and_the_next_works),
        lockmap_test(a_lock_is_handed_over_in_the_order_of_arrival),
        lockmap_test(a_try_answers_at_once_that_the_lock_is_held),
        lockmap_test(a_locker_that_gave_up_is_not_served),
        lockmap_test(locking_twice_on_one_thread_is_a_deadlock),
        lockmap_test(who_would_close_a_circle_of_locks_is_told_so),
        lockmap_test(a_lock_may_be_released_on_another_thread),
        lockmap_test(locks_exclude_under_contention),
        lockmap_test(holding_a_lock_while_waiting_for_a_flight_is_no_circle),
        lockmap_test(a_lock_without_memory_says_so_and_the_next_works),
        lockmap_test(a_map_without_memory_is_not_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
