/* Mutexes, gates, threads and the fork guard. Meant for a thread sanitizer as well. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define THREADS 8
#define ROUNDS 2000

static void start(sci_thread *thread, void *(*run)(void *), void *argument)
{
    assert_int_equal(sci_thread_start(thread, run, argument), SC_OK);
}

/* --- mutex */

typedef struct counter {
    sci_mutex mutex;
    int count;
} counter;

static void *count_up(void *argument)
{
    counter *c = (counter *)argument;
    for (int i = 0; i < ROUNDS; i++) {
        sci_mutex_lock(&c->mutex);
        c->count++;
        sci_mutex_unlock(&c->mutex);
    }
    return NULL;
}

static void a_mutex_lets_one_thread_in(void **state)
{
    (void)state;
    counter c = {.count = 0};
    sci_thread threads[THREADS];
    sci_mutex_init(&c.mutex);
    for (int i = 0; i < THREADS; i++)
        start(&threads[i], count_up, &c);
    for (int i = 0; i < THREADS; i++)
        sci_thread_join(&threads[i]);
    assert_int_equal(c.count, THREADS * ROUNDS);
    sci_mutex_free(&c.mutex);
}

/* --- gate */

static void a_wait_ends_with_its_time(void **state)
{
    (void)state;
    sci_gate gate;
    sci_gate_init(&gate);
    uint32_t ticket = sci_gate_ticket(&gate);
    sci_gate_wait(&gate, ticket, 0);
    sci_gate_wait(&gate, ticket, 1000000);
    sci_gate_wait(&gate, ticket, 1);
    assert_int_equal(sci_gate_ticket(&gate), ticket);
    sci_gate_free(&gate);
}

/* Would hang if it slept. */
static void a_raise_after_the_ticket_is_never_slept_through(void **state)
{
    (void)state;
    sci_gate gate;
    sci_gate_init(&gate);
    uint32_t ticket = sci_gate_ticket(&gate);
    sci_gate_wake_all(&gate);
    sci_gate_wait(&gate, ticket, -1);
    ticket = sci_gate_ticket(&gate);
    sci_gate_wake_one(&gate);
    sci_gate_wait(&gate, ticket, -1);
    /* A wait that timed out has left the mark of a sleeper. */
    ticket = sci_gate_ticket(&gate);
    sci_gate_wait(&gate, ticket, 1);
    sci_gate_wake_one(&gate);
    sci_gate_wait(&gate, ticket, -1);
    ticket = sci_gate_ticket(&gate);
    sci_gate_wake_all(&gate);
    sci_gate_wait(&gate, ticket, -1);
    sci_gate_free(&gate);
}

/* `data` is plain: only the gate's order makes reading it in another thread right. */
typedef struct baton {
    sci_gate gate;
    sci_atomic_u32 turn;
    int data;
} baton;

static void wait_for_turn(baton *b, uint32_t turn)
{
    for (;;) {
        uint32_t ticket = sci_gate_ticket(&b->gate);
        if (sci_atomic_load_acquire(&b->turn) == turn)
            return;
        sci_gate_wait(&b->gate, ticket, -1);
    }
}

static void pass_turn(baton *b, uint32_t turn)
{
    b->data++;
    sci_atomic_store_release(&b->turn, turn);
    sci_gate_wake_all(&b->gate);
}

static void *play_odd(void *argument)
{
    baton *b = (baton *)argument;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        wait_for_turn(b, 2 * round + 1);
        pass_turn(b, 2 * round + 2);
    }
    return NULL;
}

static void two_threads_pass_a_baton(void **state)
{
    (void)state;
    baton b = {.data = 0};
    sci_thread thread;
    sci_gate_init(&b.gate);
    start(&thread, play_odd, &b);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        pass_turn(&b, 2 * round + 1);
        wait_for_turn(&b, 2 * round + 2);
    }
    sci_thread_join(&thread);
    assert_int_equal(b.data, 2 * ROUNDS);
    sci_gate_free(&b.gate);
}

/* Tokens that sleepers take; with wake_one for each token, none may be left lying while one sleeps.
 */
typedef struct tokens {
    sci_gate gate;
    sci_mutex mutex;
    int available;
    int taken;
} tokens;

static void *take_tokens(void *argument)
{
    tokens *t = (tokens *)argument;
    for (int mine = 0; mine < ROUNDS;) {
        uint32_t ticket = sci_gate_ticket(&t->gate);
        sci_mutex_lock(&t->mutex);
        bool got = t->available > 0;
        t->available -= got;
        t->taken += got;
        sci_mutex_unlock(&t->mutex);
        mine += got;
        if (!got)
            sci_gate_wait(&t->gate, ticket, -1);
    }
    return NULL;
}

static void each_wake_of_one_lets_one_sleeper_through(void **state)
{
    (void)state;
    tokens t = {.available = 0};
    sci_thread threads[THREADS];
    sci_gate_init(&t.gate);
    sci_mutex_init(&t.mutex);
    for (int i = 0; i < THREADS; i++)
        start(&threads[i], take_tokens, &t);
    for (int i = 0; i < THREADS * ROUNDS; i++) {
        sci_mutex_lock(&t.mutex);
        t.available++;
        sci_mutex_unlock(&t.mutex);
        sci_gate_wake_one(&t.gate);
    }
    for (int i = 0; i < THREADS; i++)
        sci_thread_join(&threads[i]);
    assert_int_equal(t.taken, THREADS * ROUNDS);
    sci_mutex_free(&t.mutex);
    sci_gate_free(&t.gate);
}

typedef struct crowd {
    sci_gate door;
    sci_atomic_u32 is_open;
    sci_atomic_u32 inside;
} crowd;

static void *wait_at_door(void *argument)
{
    crowd *c = (crowd *)argument;
    for (;;) {
        uint32_t ticket = sci_gate_ticket(&c->door);
        if (sci_atomic_load_acquire(&c->is_open))
            break;
        sci_gate_wait(&c->door, ticket, -1);
    }
    (void)sci_atomic_add(&c->inside, 1);
    return NULL;
}

static void waking_all_lets_everybody_through(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        crowd c;
        sci_thread threads[THREADS];
        memset(&c, 0, sizeof c);
        sci_gate_init(&c.door);
        for (int i = 0; i < THREADS; i++)
            start(&threads[i], wait_at_door, &c);
        sci_atomic_store_release(&c.is_open, 1);
        sci_gate_wake_all(&c.door);
        for (int i = 0; i < THREADS; i++)
            sci_thread_join(&threads[i]);
        assert_int_equal(sci_atomic_load_acquire(&c.inside), THREADS);
        sci_gate_free(&c.door);
    }
}

/* A waiter's gate is gone as soon as the waiter has seen it raised. */
typedef struct postbox {
    sci_mutex mutex;
    sci_gate *waiting; /* of the one that waits, or NULL */
    bool is_over;
} postbox;

static void *wake_whoever_waits(void *argument)
{
    postbox *box = (postbox *)argument;
    for (bool is_over = false; !is_over;) {
        sci_mutex_lock(&box->mutex);
        sci_gate *gate = box->waiting;
        box->waiting = NULL;
        is_over = box->is_over;
        sci_mutex_unlock(&box->mutex);
        if (gate)
            sci_gate_wake_all(gate);
    }
    return NULL;
}

static void a_gate_may_be_freed_once_it_is_seen_raised(void **state)
{
    (void)state;
    postbox box = {.waiting = NULL};
    sci_thread thread;
    sci_mutex_init(&box.mutex);
    start(&thread, wake_whoever_waits, &box);
    for (int round = 0; round < ROUNDS; round++) {
        sci_gate *gate = (sci_gate *)malloc(sizeof *gate);
        assert_non_null(gate);
        sci_gate_init(gate);
        uint32_t ticket = sci_gate_ticket(gate);
        sci_mutex_lock(&box.mutex);
        box.waiting = gate;
        sci_mutex_unlock(&box.mutex);
        while (sci_gate_ticket(gate) == ticket)
            sci_gate_wait(gate, ticket, -1);
        sci_gate_free(gate);
        memset(gate, 0xee, sizeof *gate);
        free(gate);
    }
    sci_mutex_lock(&box.mutex);
    box.is_over = true;
    sci_mutex_unlock(&box.mutex);
    sci_thread_join(&thread);
    sci_mutex_free(&box.mutex);
}

/* --- threads */

static void *tell_self(void *argument)
{
    *(uintptr_t *)argument = sci_thread_self();
    return NULL;
}

static void threads_tell_themselves_apart(void **state)
{
    (void)state;
    uintptr_t other = 0;
    sci_thread thread;
    start(&thread, tell_self, &other);
    sci_thread_join(&thread);
    assert_true(other != 0);
    assert_true(sci_thread_self() == sci_thread_self());
    assert_true(other != sci_thread_self());
}

static void *tell_mask(void *argument)
{
    (void)pthread_sigmask(SIG_SETMASK, NULL, (sigset_t *)argument);
    return NULL;
}

static void a_thread_takes_no_signal_of_the_application(void **state)
{
    (void)state;
    static const int blocked[] = {SIGINT, SIGTERM, SIGHUP, SIGALRM, SIGUSR1, SIGPIPE, SIGCHLD};
    sigset_t before, inside, after;
    sci_thread thread;
    assert_int_equal(sigemptyset(&before), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    start(&thread, tell_mask, &inside);
    sci_thread_join(&thread);
    for (size_t i = 0; i < sizeof blocked / sizeof blocked[0]; i++)
        assert_int_equal(sigismember(&inside, blocked[i]), 1);
    assert_int_equal(sigismember(&inside, SIGSEGV), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    for (size_t i = 0; i < sizeof blocked / sizeof blocked[0]; i++)
        assert_int_equal(sigismember(&after, blocked[i]), 0);
}

static void *fail_elsewhere(void *argument)
{
    (void)sc_fail(SC_ERR_IO, "elsewhere");
    *(bool *)argument = strcmp(sc_error_text(), "elsewhere") == 0;
    return NULL;
}

static void each_thread_has_its_own_detail_text(void **state)
{
    (void)state;
    bool was_set = false;
    sci_thread thread;
    (void)sc_fail(SC_ERR_IO, "here");
    start(&thread, fail_elsewhere, &was_set);
    sci_thread_join(&thread);
    assert_true(was_set);
    assert_string_equal(sc_error_text(), "here");
}

static void *open_door(void *argument)
{
    crowd *c = (crowd *)argument;
    sci_atomic_store_release(&c->is_open, 1);
    sci_gate_wake_all(&c->door);
    return NULL;
}

static void a_detached_thread_runs(void **state)
{
    (void)state;
    crowd c;
    memset(&c, 0, sizeof c);
    sci_gate_init(&c.door);
    assert_int_equal(sci_thread_start_detached(open_door, &c), SC_OK);
    (void)wait_at_door(&c);
    sci_gate_free(&c.door);
}

/* --- fork guard */

/* The exit status of a child: one bit for each thing that is wrong. */
static int run_child(sci_fork_guard *guard, int generations)
{
    int wrong = 0;
    if (!sci_fork_guard_is_child(guard))
        wrong |= 1;
    if (!sci_fork_guard_is_child(guard))
        wrong |= 2; /* asking must not change the answer */
    sci_fork_guard_reset(guard);
    if (sci_fork_guard_is_child(guard))
        wrong |= 4;
    if (generations > 1) {
        int status = 0;
        pid_t child = fork();
        if (child == 0)
            _exit(run_child(guard, generations - 1));
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
            wrong |= 8;
    }
    return wrong;
}

static void check_fork_guard(sci_fork_guard *guard)
{
    int status = 0;
    assert_false(sci_fork_guard_is_child(guard));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(run_child(guard, 2));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_false(sci_fork_guard_is_child(guard));
}

static void a_forked_child_and_its_child_are_told_apart(void **state)
{
    (void)state;
    sci_fork_guard guard;
    sci_fork_guard_init(&guard);
    check_fork_guard(&guard);
    sci_fork_guard_free(&guard);
}

static void a_fork_guard_works_where_pages_cannot_be_wiped(void **state)
{
    (void)state;
    sci_fork_guard guard;
    guard.page = NULL;
    sci_fork_guard_reset(&guard);
    check_fork_guard(&guard);
    sci_fork_guard_free(&guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mutex_lets_one_thread_in),
        cmocka_unit_test(a_wait_ends_with_its_time),
        cmocka_unit_test(a_raise_after_the_ticket_is_never_slept_through),
        cmocka_unit_test(two_threads_pass_a_baton),
        cmocka_unit_test(each_wake_of_one_lets_one_sleeper_through),
        cmocka_unit_test(waking_all_lets_everybody_through),
        cmocka_unit_test(a_gate_may_be_freed_once_it_is_seen_raised),
        cmocka_unit_test(threads_tell_themselves_apart),
        cmocka_unit_test(a_thread_takes_no_signal_of_the_application),
        cmocka_unit_test(each_thread_has_its_own_detail_text),
        cmocka_unit_test(a_detached_thread_runs),
        cmocka_unit_test(a_forked_child_and_its_child_are_told_apart),
        cmocka_unit_test(a_fork_guard_works_where_pages_cannot_be_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
