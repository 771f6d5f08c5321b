/* sc_release_on_signal: what processes that are told to end leave behind on the server. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "election_test.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROBLEM 99 /* a child's exit status when something is not as it should be */

/* What a child holds. */
typedef struct holder {
    sc_client *client;
    sc_lock *lock;
    sc_election *election;
} holder;

static void require(bool is_so, const char *what)
{
    if (is_so)
        return;
    fprintf(stderr, "a child: %s: %s\n", what, sc_error_text());
    _exit(PROBLEM);
}

static void hold(holder *self, bool is_polled)
{
    sc_config config = test_config(test_url());
    sc_lock_config lock = lock_config("job");
    sc_election_config election = election_config("child");
    memset(self, 0, sizeof *self);
    config.polled = is_polled;
    require(sc_open(&config, &self->client) == SC_OK, "opens");
    require(sc_lock_open(self->client, &lock, &self->lock) == SC_OK, "has a lock");
    require(sc_lock_try(self->lock) == SC_OK, "holds it");
    require(sc_election_open(self->client, &election, &self->election) == SC_OK, "takes part");
    require(sc_election_campaign(self->election) == SC_OK, "campaigns");
    require(sc_election_await(self->election, -1) == SC_OK, "leads");
    require(sc_release_on_signal(self->client) == SC_OK, "registers");
    require(sc_release_on_signal(self->client) == SC_OK, "registers twice");
}

static int ready[2]; /* a pipe: a child writes when it is ready */

static pid_t start(void (*run)(void))
{
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ready[0]);
        run();
        _exit(PROBLEM);
    }
    close(ready[1]);
    return child;
}

static void be_ready(void)
{
    require(write(ready[1], "!", 1) == 1, "says that it is ready");
}

static void await_ready(void)
{
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
}

static int end_of(pid_t child)
{
    int status = 0;
    waitpid(child, &status, 0);
    close(ready[0]);
    return status;
}

static void expect_all_free(void)
{
    WAIT_UNTIL(fixture_number("EXISTS", "job") == 0);
    WAIT_UNTIL(fixture_number("EXISTS", "head") == 0);
}

static void expect_all_held(void)
{
    assert_int_equal(fixture_number("EXISTS", "job"), 1);
    assert_int_equal(fixture_number("EXISTS", "head"), 1);
}

/* --- the default */

static void holds_and_waits(void)
{
    holder self;
    hold(&self, false);
    be_ready();
    for (;;)
        pause();
}

static void polls_and_waits(void)
{
    holder self;
    hold(&self, true);
    be_ready();
    for (;;)
        pause();
}

static void who_is_told_to_end_gives_all_back_and_ends_by_the_signal(void **state)
{
    static const int signals[] = {SIGTERM, SIGINT};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        pid_t child = start(i < 2 ? holds_and_waits : polls_and_waits);
        await_ready();
        expect_all_held();
        kill(child, signals[i % 2]);
        int status = end_of(child);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), signals[i % 2]);
        expect_all_free();
    }
}

/* --- handlers of the program's */

static volatile sig_atomic_t handled;

static void count(int number)
{
    (void)number;
    handled++;
}

static void handles_itself(void)
{
    holder self;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = count;
    sigaction(SIGTERM, &action, NULL);
    hold(&self, false);
    be_ready();
    while (!handled)
        usleep(1000);
    require(!sc_is_leader(self.election), "leads no longer");
    require(sc_lock_remaining_ms(self.lock) == 0, "holds no longer");
    sigaction(SIGTERM, NULL, &action);
    require(action.sa_handler == count, "has its handler back");
    /* going on */
    require(sc_lock_acquire(self.lock, -1) == SC_OK, "holds again");
    require(sc_election_campaign(self.election) == SC_OK, "campaigns again");
    require(sc_election_await(self.election, -1) == SC_OK, "leads again");
    sc_election_close(self.election);
    sc_lock_close(self.lock);
    require(sc_close(self.client) == SC_OK, "closes");
    _exit(7);
}

static void the_programs_own_handler_acts_afterwards(void **state)
{
    (void)state;
    pid_t child = start(handles_itself);
    await_ready();
    kill(child, SIGTERM);
    int status = end_of(child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    expect_all_free();
}

static void ignores(void)
{
    holder self;
    signal(SIGINT, SIG_IGN);
    hold(&self, false);
    raise(SIGINT);
    require(sc_is_leader(self.election), "leads");
    sc_election_close(self.election);
    sc_lock_close(self.lock);
    sc_close(self.client);
    struct sigaction now;
    sigaction(SIGTERM, NULL, &now);
    require(now.sa_handler == SIG_DFL, "a closed client leaves no handler");
    _exit(7);
}

static void what_is_ignored_stays_so_and_a_closed_client_leaves_no_handler(void **state)
{
    (void)state;
    int status = end_of(start(ignores));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

/* --- exit */

static void exits(void)
{
    holder self;
    hold(&self, false);
    be_ready();
    exit(7);
}

static void who_exits_gives_all_back(void **state)
{
    (void)state;
    int status = end_of(start(exits));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    expect_all_free();
}

/* --- children */

static void has_children(void)
{
    holder self;
    int status = 0;
    hold(&self, false);
    for (int exits_itself = 0; exits_itself < 2; exits_itself++) {
        pid_t child = fork();
        if (child == 0) {
            if (exits_itself)
                exit(7);
            raise(SIGTERM);
            _exit(PROBLEM);
        }
        waitpid(child, &status, 0);
        require(exits_itself ? WIFEXITED(status) && WEXITSTATUS(status) == 7
                             : WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM,
                "its child ends");
        require(sc_is_leader(self.election), "leads after it");
        require(sc_lock_extend(self.lock, 0) == SC_OK, "holds after it");
    }
    be_ready();
    for (;;)
        pause();
}

/* The thread sanitizer knows no threads in a child of a process that has some. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WITHOUT_CHILDREN
#endif
#endif

static void a_child_of_the_holder_gives_nothing_back(void **state)
{
    (void)state;
#if defined(WITHOUT_CHILDREN)
    (void)has_children;
    return;
#endif
    pid_t child = start(has_children);
    await_ready();
    expect_all_held();
    kill(child, SIGTERM);
    assert_true(WIFSIGNALED(end_of(child)));
    expect_all_free();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        bare_unit_test(who_is_told_to_end_gives_all_back_and_ends_by_the_signal),
        bare_unit_test(the_programs_own_handler_acts_afterwards),
        bare_unit_test(what_is_ignored_stays_so_and_a_closed_client_leaves_no_handler),
        bare_unit_test(who_exits_gives_all_back),
        bare_unit_test(a_child_of_the_holder_gives_nothing_back),
    };
    return run_on_both_wires("signals", tests);
}
