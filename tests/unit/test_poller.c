/* The POSIX poller on real descriptors. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "net_test.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static sc_poller poller_table;

#define EVENTS 64

static void *poller_open(void)
{
    void *poller;
    assert_int_equal(poller_table.create(NULL, &memory.table, &poller), SC_OK);
    return poller;
}

/* Look without waiting. */
static size_t look(void *poller, sc_event *events, size_t cap)
{
    size_t count = 1;
    assert_int_equal(poller_table.wait(poller, 0, events, cap, &count), SC_OK);
    return count;
}

static void readiness_is_told_as_it_is(void **state)
{
    void *poller = poller_open();
    sc_event events[EVENTS];
    int ends[2];
    char byte;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(poller_table.watch(poller, ends[0], SC_READABLE, ends), SC_OK);
    assert_int_equal(look(poller, events, EVENTS), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(look(poller, events, EVENTS), 1);
    assert_ptr_equal(events[0].tag, ends);
    assert_int_equal(events[0].ready, SC_READABLE);

    assert_int_equal(poller_table.watch(poller, ends[0], SC_READABLE | SC_WRITABLE, &byte), SC_OK);
    assert_int_equal(look(poller, events, EVENTS), 1);
    assert_ptr_equal(events[0].tag, &byte);
    assert_int_equal(events[0].ready, SC_READABLE | SC_WRITABLE);

    assert_int_equal(poller_table.watch(poller, ends[0], SC_WRITABLE, ends), SC_OK);
    assert_int_equal(look(poller, events, EVENTS), 1);
    assert_int_equal(events[0].ready, SC_WRITABLE);

    close(ends[1]);
    assert_int_equal(look(poller, events, EVENTS), 1);
    assert_true(events[0].ready & SC_HANGUP);

    assert_int_equal(poller_table.watch(poller, ends[0], 0, NULL), SC_OK);
    assert_int_equal(look(poller, events, EVENTS), 0);
    assert_int_equal(poller_table.watch(poller, ends[0], 0, NULL), SC_OK); /* once more is fine */
    close(ends[0]);
    poller_table.destroy(poller);
}

static void a_closed_descriptor_is_a_hangup(void **state)
{
    void *poller = poller_open();
    sc_event events[EVENTS];
    int fd = dup(0);
    (void)state;
    assert_int_equal(poller_table.watch(poller, fd, SC_READABLE, &fd), SC_OK);
    close(fd);
    assert_int_equal(look(poller, events, EVENTS), 1);
    assert_int_equal(events[0].ready, SC_HANGUP);
    assert_int_equal(poller_table.watch(poller, fd, 0, NULL), SC_OK);
    assert_int_equal(look(poller, events, EVENTS), 0);
    poller_table.destroy(poller);
}

static void what_is_no_descriptor_is_refused(void **state)
{
    void *poller = poller_open();
    (void)state;
    assert_int_equal(poller_table.watch(poller, -1, SC_READABLE, NULL), SC_ERR_ARGUMENT);
#if INTPTR_MAX > INT_MAX
    assert_int_equal(poller_table.watch(poller, (sc_descriptor)INT_MAX + 1, SC_READABLE, NULL),
                     SC_ERR_ARGUMENT);
#endif
    poller_table.destroy(poller);
}

#define CROWD 1000

/* Room for the crowd; false when this system has none. */
static bool raise_descriptor_limit(rlim_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    if (limit.rlim_cur >= wanted)
        return true;
    limit.rlim_cur = wanted;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static void a_thousand_descriptors_each_have_their_turn(void **state)
{
    void *poller;
    sc_event events[7]; /* no divisor of 1000 */
    static int fds[CROWD];
    static int seen[CROWD];
    int ends[2];
    (void)state;
    if (!raise_descriptor_limit(CROWD + 200))
        skip();
    poller = poller_open();
    memset(seen, 0, sizeof(seen));
    assert_int_equal(pipe(ends), 0);
    for (int i = 0; i < CROWD; i++) {
        fds[i] = dup(ends[0]);
        assert_true(fds[i] >= 0);
        assert_int_equal(poller_table.watch(poller, fds[i], SC_READABLE, &seen[i]), SC_OK);
    }
    assert_int_equal(look(poller, events, SCI_COUNT(events)), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    /* All stay ready: after one round of full arrays everybody was told at least once. */
    for (int round = 0; round < CROWD / 7 + 1; round++) {
        size_t count = look(poller, events, SCI_COUNT(events));
        assert_int_equal(count, SCI_COUNT(events));
        for (size_t i = 0; i < count; i++)
            ++*(int *)events[i].tag;
    }
    for (int i = 0; i < CROWD; i++)
        assert_in_range(seen[i], 1, 2);
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(poller_table.watch(poller, fds[i], 0, NULL), SC_OK);
        close(fds[i]);
    }
    assert_int_equal(look(poller, events, SCI_COUNT(events)), 0);
    poller_table.destroy(poller);
    close(ends[0]);
    close(ends[1]);
}

/* Adding and forgetting in any order, against an array that knows. */
static void the_index_agrees_with_a_plain_list(void **state)
{
    void *poller = poller_open();
    static bool is_watched[CROWD];
    static sc_event events[CROWD];
    static int fds[CROWD];
    int ends[2];
    uint32_t random = 12345;
    size_t watched = 0;
    int crowd = 100;
    (void)state;
    memset(is_watched, 0, sizeof(is_watched));
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    /* Numbers with gaps and with equal low bits, so that they collide in the index. */
    for (int i = 0; i < crowd; i++) {
        fds[i] = fcntl(ends[0], F_DUPFD, i % 3 == 0 ? 32 * (i / 3 % 20) + 100 : 100);
        assert_true(fds[i] >= 0);
    }
    for (int step = 0; step < 5000; step++) {
        int i;
        random = random * 1664525u + 1013904223u;
        i = (int)(random >> 8) % crowd;
        is_watched[i] = !is_watched[i];
        watched = is_watched[i] ? watched + 1 : watched - 1;
        assert_int_equal(
            poller_table.watch(poller, fds[i], is_watched[i] ? SC_READABLE : 0, &fds[i]), SC_OK);
        if (step % 50 == 0) {
            bool was_told[CROWD] = {false};
            assert_int_equal(look(poller, events, CROWD), watched);
            for (size_t k = 0; k < watched; k++) {
                size_t at = (size_t)((int *)events[k].tag - fds);
                assert_true(is_watched[at]);
                assert_false(was_told[at]);
                was_told[at] = true;
            }
        }
    }
    poller_table.destroy(poller);
    for (int i = 0; i < crowd; i++)
        close(fds[i]);
    close(ends[0]);
    close(ends[1]);
}

static void wakes_before_a_wait_end_it_once(void **state)
{
    void *poller = poller_open();
    sc_event events[EVENTS];
    size_t count = 1;
    (void)state;
    for (int i = 0; i < 1000; i++)
        poller_table.wake(poller);
    assert_int_equal(poller_table.wait(poller, INT64_MAX, events, EVENTS, &count), SC_OK);
    assert_int_equal(count, 0);
    /* The wakes are used up: only a new one is seen. */
    assert_int_equal(poll(((sci_poll_set *)poller)->fds, 1, 0), 0);
    poller_table.wake(poller);
    assert_int_equal(poller_table.wait(poller, -1, events, EVENTS, &count), SC_OK);
    poller_table.destroy(poller);
}

static void a_wake_does_not_hide_what_is_ready(void **state)
{
    void *poller = poller_open();
    sc_event events[EVENTS];
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(poller_table.watch(poller, ends[1], SC_WRITABLE, ends), SC_OK);
    poller_table.wake(poller);
    assert_int_equal(look(poller, events, EVENTS), 1);
    assert_ptr_equal(events[0].tag, ends);
    poller_table.destroy(poller);
    close(ends[0]);
    close(ends[1]);
}

typedef struct waker {
    void *poller;
    sci_atomic_u32 asked;
} waker;

#define WAKES 500

static void *wake_when_asked(void *argument)
{
    waker *w = (waker *)argument;
    for (uint32_t i = 1; i <= WAKES; i++) {
        while (sci_atomic_load_acquire(&w->asked) < i)
            sched_yield();
        poller_table.wake(w->poller);
    }
    return NULL;
}

static void another_thread_wakes_the_waiter(void **state)
{
    waker w;
    pthread_t thread;
    sc_event events[EVENTS];
    (void)state;
    memset(&w, 0, sizeof(w));
    w.poller = poller_open();
    assert_int_equal(pthread_create(&thread, NULL, wake_when_asked, &w), 0);
    for (uint32_t i = 1; i <= WAKES; i++) {
        size_t count = 1;
        sci_atomic_store_release(&w.asked, i);
        assert_int_equal(poller_table.wait(w.poller, -1, events, EVENTS, &count), SC_OK);
        assert_int_equal(count, 0);
    }
    pthread_join(thread, NULL);
    poller_table.destroy(w.poller);
}

static void *write_after_a_moment(void *argument)
{
    wait_a_moment();
    assert_int_equal(write(*(int *)argument, "x", 1), 1);
    return NULL;
}

/* 2^32 ms is 0 to who keeps 32 bits of it. */
static void a_very_long_timeout_waits(void **state)
{
    void *poller = poller_open();
    sc_event events[EVENTS];
    size_t count = 0;
    pthread_t thread;
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(poller_table.watch(poller, ends[0], SC_READABLE, ends), SC_OK);
    assert_int_equal(pthread_create(&thread, NULL, write_after_a_moment, &ends[1]), 0);
    assert_int_equal(poller_table.wait(poller, INT64_C(1) << 32, events, EVENTS, &count), SC_OK);
    assert_int_equal(count, 1);
    pthread_join(thread, NULL);
    poller_table.destroy(poller);
    close(ends[0]);
    close(ends[1]);
}

static void a_signal_ends_a_wait_without_an_error(void **state)
{
    void *poller = poller_open();
    sc_event events[EVENTS];
    size_t count = 1;
    (void)state;
    disturb(true);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(poller_table.wait(poller, -1, events, EVENTS, &count), SC_OK);
        assert_int_equal(count, 0);
    }
    disturb(false);
    poller_table.destroy(poller);
}

static void a_poller_without_memory_leaves_nothing(void **state)
{
    void *poller = NULL;
    int ends[2];
    int fds[SCI_POLL_FIRST_CAP];
    sc_event events[EVENTS];
    (void)state;
    for (size_t request = 1; request <= 2; request++) {
        fault_memory_fail(&memory, request, false);
        assert_int_equal(poller_table.create(NULL, &memory.table, &poller), SC_ERR_MEMORY);
        assert_null(poller);
    }
    fault_memory_fail(&memory, 0, false);
    poller = poller_open();
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    for (size_t i = 0; i < SCI_COUNT(fds); i++) {
        fds[i] = dup(ends[0]);
        fault_memory_fail(&memory, 1, true);
        /* The wake-up descriptor has a place too, so the last one needs more room. */
        assert_int_equal(poller_table.watch(poller, fds[i], SC_READABLE, &fds[i]),
                         i < SCI_COUNT(fds) - 1 ? SC_OK : SC_ERR_MEMORY);
        fault_memory_fail(&memory, 0, false);
    }
    assert_int_equal(look(poller, events, EVENTS), SCI_COUNT(fds) - 1);
    assert_int_equal(poller_table.watch(poller, fds[SCI_COUNT(fds) - 1], SC_READABLE, fds), SC_OK);
    assert_int_equal(look(poller, events, EVENTS), SCI_COUNT(fds));
    poller_table.destroy(poller);
    for (size_t i = 0; i < SCI_COUNT(fds); i++)
        close(fds[i]);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(readiness_is_told_as_it_is),
        TEST(a_closed_descriptor_is_a_hangup),
        TEST(what_is_no_descriptor_is_refused),
        TEST(a_thousand_descriptors_each_have_their_turn),
        TEST(the_index_agrees_with_a_plain_list),
        TEST(wakes_before_a_wait_end_it_once),
        TEST(a_wake_does_not_hide_what_is_ready),
        TEST(another_thread_wakes_the_waiter),
        TEST(a_very_long_timeout_waits),
        TEST(a_signal_ends_a_wait_without_an_error),
        TEST(a_poller_without_memory_leaves_nothing),
    };
    if (!sc_platform_poller(&poller_table))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
