/* Name look-up: by a thread, or by a helper process. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "folder.h"
#include "net_test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static sc_resolver resolver;

static void count_notify(void *user)
{
    sci_atomic_add((sci_atomic_u32 *)user, 1);
}

/* See a look-up through, as the loop does. */
static void finish(sc_lookup *lookup)
{
    if (lookup->descriptor >= 0) {
        while (!sci_lookup_is_done(lookup)) {
            struct pollfd fd;
            fd.fd = (int)lookup->descriptor;
            fd.events = POLLIN;
            assert_true(poll(&fd, 1, WAIT_WATCHDOG_MS) == 1 || errno == EINTR);
            sci_lookup_advance(lookup);
        }
    }
    WAIT_UNTIL(sci_lookup_is_done(lookup));
}

static void localhost_is_a_loopback_address(void **state)
{
    sc_lookup *lookup;
    sci_atomic_u32 notified = {0};
    (void)state;
    assert_int_equal(sci_lookup_start(&memory.table, &resolver, "localhost", 6379, count_notify,
                                      &notified, &lookup),
                     SC_OK);
    finish(lookup);
    assert_int_equal(lookup->status, SC_OK);
    assert_in_range(lookup->count, 1, SCI_LOOKUP_ADDRESSES);
    for (size_t i = 0; i < lookup->count; i++) {
        char text[SCI_ADDRESS_TEXT_BYTES];
        sci_address_to_text(&lookup->addresses[i], text);
        assert_true(strcmp(text, "127.0.0.1:6379") == 0 || strcmp(text, "[::1]:6379") == 0);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(&lookup->addresses[i], &lookup->addresses[k],
                                    sizeof(lookup->addresses[0]));
    }
    WAIT_UNTIL(sci_atomic_load_acquire(&notified) == 1);
    sci_lookup_advance(lookup); /* too late, and no harm */
    sci_lookup_abandon(lookup);
    assert_int_equal(notified.value, 1);
}

/* An owner's memory may be gone as soon as it has left. */
static void a_resolver_that_has_answered_uses_nothing_any_more(void **state)
{
    sci_atomic_u32 notified = {0};
    (void)state;
    for (int i = 0; i < 500; i++) {
        sc_lookup *lookup;
        assert_int_equal(sci_lookup_start(&memory.table, &resolver, "localhost", 6379, count_notify,
                                          &notified, &lookup),
                         SC_OK);
        if (lookup->descriptor >= 0)
            finish(lookup);
        while (!sci_lookup_is_done(lookup))
            continue;
        sci_lookup_abandon(lookup);
        assert_int_equal(fault_memory_live_blocks(&memory), 0);
    }
}

static void a_name_that_cannot_exist_fails_with_words(void **state)
{
    sc_lookup *lookup;
    sci_atomic_u32 notified = {0};
    (void)state;
    assert_int_equal(sci_lookup_start(&memory.table, &resolver, "no-such-host.invalid", 6379,
                                      count_notify, &notified, &lookup),
                     SC_OK);
    finish(lookup);
    assert_int_equal(lookup->status, SC_ERR_RESOLVE);
    assert_int_equal(lookup->count, 0);
    assert_ptr_equal(strstr(lookup->error_text, "host \"no-such-host.invalid\": "),
                     lookup->error_text);
    sci_lookup_abandon(lookup);
}

static void an_address_is_listed_once(void **state)
{
    sc_address addresses[2];
    sc_address other;
    (void)state;
    assert_true(sci_address_parse("10.0.0.1", 1, &addresses[0]));
    assert_true(sci_address_parse("::1", 1, &addresses[1]));
    assert_true(sci_address_parse("fe80::1%2", 1, &other));
    assert_true(sci_resolve_is_listed(addresses, 2, &addresses[1]));
    assert_false(sci_resolve_is_listed(addresses, 1, &addresses[1]));
    assert_false(sci_resolve_is_listed(addresses, 2, &other));
}

/* A resolver of the test's: does what `play` says. */
typedef struct play {
    sc_status resolve_status; /* what resolve returns; not SC_OK: it does not finish */
    sc_status status;
    size_t count;
    size_t calls;
    sc_lookup *kept; /* not finished at once */
    bool keeps;
} play;

static void play_addresses(sc_address *addresses, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_true(sci_address_parse("10.0.0.0", 1, &addresses[i]));
        addresses[i].ip[3] = (uint8_t)i;
    }
}

static sc_status play_resolve(void *user, sc_lookup *lookup, const char *host, uint16_t port)
{
    play *p = (play *)user;
    sc_address addresses[SCI_LOOKUP_ADDRESSES * 2];
    (void)port;
    p->calls++;
    if (p->resolve_status != SC_OK)
        return sc_fail(p->resolve_status, "the test's resolver refuses %s", host);
    if (p->keeps) {
        p->kept = lookup;
        return SC_OK;
    }
    play_addresses(addresses, p->count);
    sc_lookup_done(lookup,
                   p->status < SC_OK ? sc_fail(p->status, "the test's resolver fails for %s", host)
                                     : p->status,
                   addresses, p->count);
    return SC_OK;
}

static sc_status play_start(play *p, const char *host, sci_atomic_u32 *notified, sc_lookup **lookup)
{
    sc_resolver table;
    table.user = p;
    table.resolve = play_resolve;
    return sci_lookup_start(&memory.table, &table, host, 6379, count_notify, notified, lookup);
}

static void a_numeric_host_needs_no_resolver(void **state)
{
    play p;
    sc_lookup *lookup;
    sci_atomic_u32 notified = {0};
    char text[SCI_ADDRESS_TEXT_BYTES];
    (void)state;
    memset(&p, 0, sizeof(p));
    assert_int_equal(play_start(&p, "::1", &notified, &lookup), SC_OK);
    assert_true(sci_lookup_is_done(lookup));
    assert_int_equal(lookup->count, 1);
    sci_address_to_text(&lookup->addresses[0], text);
    assert_string_equal(text, "[::1]:6379");
    assert_int_equal(notified.value, 1);
    assert_int_equal(p.calls, 0);
    sci_lookup_abandon(lookup);
}

static void the_words_of_a_failing_resolver_reach_the_owner(void **state)
{
    play p;
    sc_lookup *lookup;
    sci_atomic_u32 notified = {0};
    (void)state;
    memset(&p, 0, sizeof(p));
    p.status = SC_ERR_IO;
    assert_int_equal(play_start(&p, "h", &notified, &lookup), SC_OK);
    assert_int_equal(lookup->status, SC_ERR_IO);
    assert_string_equal(lookup->error_text, "the test's resolver fails for h");
    sci_lookup_abandon(lookup);
}

static void a_resolver_that_cannot_begin_leaves_nothing(void **state)
{
    play p;
    sc_lookup *lookup;
    sci_atomic_u32 notified = {0};
    (void)state;
    memset(&p, 0, sizeof(p));
    p.resolve_status = SC_ERR_UNSUPPORTED;
    assert_int_equal(play_start(&p, "h", &notified, &lookup), SC_ERR_UNSUPPORTED);
    assert_null(lookup);
    assert_string_equal(sc_error_text(), "the test's resolver refuses h");
    assert_int_equal(notified.value, 0);
    sci_lookup_abandon(NULL);
}

static void success_needs_an_address_and_takes_sixteen_at_most(void **state)
{
    play p;
    sc_lookup *lookup;
    sci_atomic_u32 notified = {0};
    (void)state;
    memset(&p, 0, sizeof(p));
    assert_int_equal(play_start(&p, "h", &notified, &lookup), SC_OK);
    assert_int_equal(lookup->status, SC_ERR_RESOLVE);
    assert_string_equal(lookup->error_text, "host \"h\": the resolver found no address");
    sci_lookup_abandon(lookup);

    p.status = SC_MISS;
    p.count = 1;
    assert_int_equal(play_start(&p, "h", &notified, &lookup), SC_OK);
    assert_int_equal(lookup->status, SC_ERR_RESOLVE);
    assert_non_null(strstr(lookup->error_text, "SC_MISS"));
    sci_lookup_abandon(lookup);

    p.status = SC_OK;
    p.count = SCI_LOOKUP_ADDRESSES * 2;
    assert_int_equal(play_start(&p, "h", &notified, &lookup), SC_OK);
    assert_int_equal(lookup->status, SC_OK);
    assert_int_equal(lookup->count, SCI_LOOKUP_ADDRESSES);
    assert_int_equal(lookup->addresses[15].ip[3], 15);
    sci_lookup_abandon(lookup);
}

static void who_abandons_first_is_not_notified(void **state)
{
    play p;
    sc_lookup *lookup;
    sc_address address;
    sci_atomic_u32 notified = {0};
    (void)state;
    memset(&p, 0, sizeof(p));
    p.keeps = true;
    play_addresses(&address, 1);
    assert_int_equal(play_start(&p, "h", &notified, &lookup), SC_OK);
    assert_false(sci_lookup_is_done(lookup));
    sci_lookup_abandon(lookup);
    assert_int_equal(fault_memory_live_blocks(&memory), 2); /* the resolver's turn: it may look */
    assert_string_equal(p.kept->host, "h");
    sc_lookup_done(p.kept, SC_OK, &address, 1);
    assert_int_equal(notified.value, 0);
    assert_int_equal(fault_memory_live_blocks(&memory), 0);

    assert_int_equal(play_start(&p, "h", &notified, &lookup), SC_OK);
    sci_lookup_abandon_in_child(lookup);
    sc_lookup_done(p.kept, SC_OK, &address, 1);
    assert_int_equal(notified.value, 0);
}

static void a_look_up_without_memory_leaves_nothing(void **state)
{
    sc_lookup *lookup;
    sc_status status = SC_ERR_MEMORY;
    sci_atomic_u32 notified = {0};
    (void)state;
    for (size_t request = 1; status == SC_ERR_MEMORY; request++) {
        assert_in_range(request, 1, 10);
        fault_memory_fail(&memory, request, false);
        status = sci_lookup_start(&memory.table, &resolver, "localhost", 1, count_notify, &notified,
                                  &lookup);
        fault_memory_fail(&memory, 0, false);
        if (status == SC_ERR_MEMORY)
            assert_int_equal(fault_memory_live_blocks(&memory), 0);
    }
    assert_int_equal(status, SC_OK);
    finish(lookup);
    sci_lookup_abandon(lookup);
}

#ifndef SMARTCACHE_NO_THREADS

/* An owner that may be gone: a notify after that is what must never happen. */
typedef struct owner {
    sci_atomic_u32 notified, is_gone, violations;
} owner;

static void notify_owner(void *user)
{
    owner *o = (owner *)user;
    if (sci_atomic_load_acquire(&o->is_gone))
        sci_atomic_add(&o->violations, 1);
    sci_atomic_add(&o->notified, 1);
    sched_yield(); /* time for the owner to leave in the middle */
    if (sci_atomic_load_acquire(&o->is_gone))
        sci_atomic_add(&o->violations, 1);
}

typedef struct race {
    pthread_barrier_t start;
    sc_lookup *lookup;
    unsigned finisher_spins, owner_spins;
    bool ends;
} race;

static void spin(unsigned turns)
{
    for (volatile unsigned i = 0; i < turns; i++)
        continue;
}

static void *finish_in_a_race(void *argument)
{
    race *r = (race *)argument;
    sc_address address;
    play_addresses(&address, 1);
    for (;;) {
        pthread_barrier_wait(&r->start);
        if (r->ends)
            return NULL;
        spin(r->finisher_spins);
        sc_lookup_done(r->lookup, SC_OK, &address, 1);
        pthread_barrier_wait(&r->start);
    }
}

#define RACES 3000

static void an_owner_may_leave_at_any_moment(void **state)
{
    race r;
    pthread_t thread;
    uint32_t random = 1;
    (void)state;
    memset(&r, 0, sizeof(r));
    pthread_barrier_init(&r.start, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, finish_in_a_race, &r), 0);
    for (int i = 0; i < RACES; i++) {
        play p;
        sc_resolver table;
        owner o;
        sc_lookup *lookup;
        memset(&p, 0, sizeof(p));
        memset(&o, 0, sizeof(o));
        p.keeps = true;
        table.user = &p;
        table.resolve = play_resolve;
        assert_int_equal(sci_lookup_start(&memory.table, &table, "h", 1, notify_owner, &o, &lookup),
                         SC_OK);
        random = random * 1664525u + 1013904223u;
        r.lookup = p.kept;
        r.finisher_spins = random >> 8 & 0x3ff;
        r.owner_spins = random >> 18 & 0x3ff;
        pthread_barrier_wait(&r.start);
        spin(r.owner_spins);
        sci_lookup_abandon(lookup);
        sci_atomic_store_release(&o.is_gone, 1);
        pthread_barrier_wait(&r.start);
        assert_int_equal(o.violations.value, 0);
        assert_in_range(o.notified.value, 0, 1);
        assert_int_equal(fault_memory_live_blocks(&memory), 0);
    }
    r.ends = true;
    pthread_barrier_wait(&r.start);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&r.start);
}

static void an_owner_that_stays_is_always_notified(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        owner o;
        sc_lookup *lookup;
        memset(&o, 0, sizeof(o));
        assert_int_equal(
            sci_lookup_start(&memory.table, &resolver, "localhost", 1, notify_owner, &o, &lookup),
            SC_OK);
        WAIT_UNTIL(sci_atomic_load_acquire(&o.notified) == 1);
        assert_true(sci_lookup_is_done(lookup));
        sci_lookup_abandon(lookup);
        sci_atomic_store_release(&o.is_gone, 1);
        assert_int_equal(o.violations.value, 0);
    }
}

static void owners_may_leave_the_system_s_resolver(void **state)
{
    static owner owners[200];
    uint32_t random = 1;
    (void)state;
    memset(owners, 0, sizeof(owners));
    for (size_t i = 0; i < SCI_COUNT(owners); i++) {
        sc_lookup *lookup;
        assert_int_equal(sci_lookup_start(&memory.table, &resolver, "localhost", 1, notify_owner,
                                          &owners[i], &lookup),
                         SC_OK);
        random = random * 1664525u + 1013904223u;
        spin(random >> 14 & 0x3ffff);
        sci_lookup_abandon(lookup);
        sci_atomic_store_release(&owners[i].is_gone, 1);
    }
    WAIT_UNTIL(fault_memory_live_blocks(&memory) == 0);
    for (size_t i = 0; i < SCI_COUNT(owners); i++)
        assert_int_equal(owners[i].violations.value, 0);
}

static void look_at_signal_mask(void *user)
{
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    if (sigismember(&now, SIGUSR1) == 1 && sigismember(&now, SIGINT) == 1 &&
        sigismember(&now, SIGCHLD) == 1)
        sci_atomic_add((sci_atomic_u32 *)user, 1);
}

static void the_resolver_s_thread_takes_no_signals(void **state)
{
    sc_lookup *lookup;
    sci_atomic_u32 blocked = {0};
    (void)state;
    assert_int_equal(sci_lookup_start(&memory.table, &resolver, "localhost", 1, look_at_signal_mask,
                                      &blocked, &lookup),
                     SC_OK);
    WAIT_UNTIL(sci_lookup_is_done(lookup));
    sci_lookup_abandon(lookup);
    assert_int_equal(blocked.value, 1);
}

#else /* the helper process */

static volatile sig_atomic_t children_signals;

static void on_child(int number)
{
    (void)number;
    children_signals++;
}

/* Children that ended and were not reaped. */
static bool has_zombies(void)
{
    siginfo_t info;
    memset(&info, 0, sizeof(info));
    assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), 0);
    return info.si_pid != 0; /* the folder's remover is a child that still runs */
}

static void resolve_one(void)
{
    sc_lookup *lookup;
    sci_atomic_u32 notified = {0};
    assert_int_equal(sci_lookup_start(&memory.table, &resolver, "localhost", 1, count_notify,
                                      &notified, &lookup),
                     SC_OK);
    assert_true(lookup->descriptor >= 0);
    assert_true(fcntl((int)lookup->descriptor, F_GETFD) & FD_CLOEXEC);
    finish(lookup);
    assert_int_equal(lookup->status, SC_OK);
    assert_int_equal(notified.value, 1);
    sci_lookup_abandon(lookup);
}

static void the_helper_leaves_neither_zombie_nor_signal(void **state)
{
    sigset_t before;
    sigset_t after;
    (void)state;
    children_signals = 0;
    signal(SIGCHLD, on_child);
    sigprocmask(SIG_SETMASK, NULL, &before);
    for (int i = 0; i < 20; i++)
        resolve_one();
    sigprocmask(SIG_SETMASK, NULL, &after);
    signal(SIGCHLD, SIG_DFL);
    assert_int_equal(sigismember(&after, SIGCHLD), sigismember(&before, SIGCHLD));
    assert_false(has_zombies());
#ifdef __linux__
    assert_int_equal(children_signals, 0);
#endif
}

/* A child of the application that ends meanwhile is told of, whenever that was. */
static void the_application_s_children_are_still_told_of(void **state)
{
    (void)state;
    signal(SIGCHLD, on_child);
    for (int i = 0; i < 50; i++) {
        pid_t child;
        children_signals = 0;
        child = fork();
        if (child == 0) {
            usleep((useconds_t)(i * 20));
            _exit(7);
        }
        resolve_one();
        WAIT_UNTIL(children_signals > 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
    }
    signal(SIGCHLD, SIG_DFL);
}

static void an_application_that_ignores_its_children_can_resolve(void **state)
{
    (void)state;
    signal(SIGCHLD, SIG_IGN);
    resolve_one();
    signal(SIGCHLD, SIG_DFL);
}

static void a_helper_that_dies_is_an_error(void **state)
{
    sc_lookup *lookup;
    sci_atomic_u32 notified = {0};
    int ends[2];
    (void)state;
    assert_int_equal(sci_lookup_start(&memory.table, &resolver, "localhost", 1, count_notify,
                                      &notified, &lookup),
                     SC_OK);
    /* In the helper's place: an end that closes after half an answer. */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(dup2(ends[0], (int)lookup->descriptor), (int)lookup->descriptor);
    close(ends[0]);
    assert_int_equal(write(ends[1], "half", 4), 4);
    sci_lookup_advance(lookup);
    assert_false(sci_lookup_is_done(lookup));
    close(ends[1]);
    finish(lookup);
    assert_int_equal(lookup->status, SC_ERR_RESOLVE);
    assert_non_null(strstr(lookup->error_text, "the helper process ended before it answered"));
    sci_lookup_abandon(lookup);
}

static void an_owner_may_leave_the_helper(void **state)
{
    sci_atomic_u32 notified = {0};
    (void)state;
    for (int i = 0; i < 20; i++) {
        sc_lookup *lookup;
        assert_int_equal(sci_lookup_start(&memory.table, &resolver, "localhost", 1, count_notify,
                                          &notified, &lookup),
                         SC_OK);
        sci_lookup_abandon(lookup);
    }
    assert_int_equal(notified.value, 0);
    assert_false(has_zombies());
}

/* An application that reaps whatever ends leaves us without a child, and that is all. */
static void an_application_that_reaps_every_child_can_resolve(void **state)
{
    sc_lookup *lookup;
    sci_atomic_u32 notified = {0};
    pid_t helper;
    (void)state;
    assert_int_equal(sci_lookup_start(&memory.table, &resolver, "localhost", 1, count_notify,
                                      &notified, &lookup),
                     SC_OK);
    helper = ((sci_resolve_helper *)lookup->helper)->process;
    assert_int_equal(kill(helper, SIGKILL), 0);
    assert_int_equal(waitpid(helper, NULL, 0), helper);
    finish(lookup);
    assert_true(lookup->status == SC_OK || lookup->status == SC_ERR_RESOLVE);
    sci_lookup_abandon(lookup);
}

/* What a forked child lets go of is still its parent's to use. */
static void a_forked_child_lets_go_without_ending_the_helper(void **state)
{
    sc_lookup *lookup;
    sci_atomic_u32 notified = {0};
    pid_t child;
    (void)state;
    assert_int_equal(sci_lookup_start(&memory.table, &resolver, "localhost", 1, count_notify,
                                      &notified, &lookup),
                     SC_OK);
    child = fork();
    if (child == 0) {
        sci_lookup_abandon_in_child(lookup);
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    finish(lookup);
    assert_int_equal(lookup->status, SC_OK);
    sci_lookup_abandon(lookup);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(localhost_is_a_loopback_address),
        TEST(a_resolver_that_has_answered_uses_nothing_any_more),
        TEST(a_name_that_cannot_exist_fails_with_words),
        TEST(an_address_is_listed_once),
        TEST(a_numeric_host_needs_no_resolver),
        TEST(the_words_of_a_failing_resolver_reach_the_owner),
        TEST(a_resolver_that_cannot_begin_leaves_nothing),
        TEST(success_needs_an_address_and_takes_sixteen_at_most),
        TEST(who_abandons_first_is_not_notified),
        TEST(a_look_up_without_memory_leaves_nothing),
#ifndef SMARTCACHE_NO_THREADS
        TEST(an_owner_may_leave_at_any_moment),
        TEST(an_owner_that_stays_is_always_notified),
        TEST(owners_may_leave_the_system_s_resolver),
        TEST(the_resolver_s_thread_takes_no_signals),
#else
        TEST(the_helper_leaves_neither_zombie_nor_signal),
        TEST(the_application_s_children_are_still_told_of),
        TEST(an_application_that_ignores_its_children_can_resolve),
        TEST(a_helper_that_dies_is_an_error),
        TEST(an_owner_may_leave_the_helper),
        TEST(an_application_that_reaps_every_child_can_resolve),
        TEST(a_forked_child_lets_go_without_ending_the_helper),
#endif
    };
    (void)test_folder();
    if (!sc_platform_resolver(&resolver))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
