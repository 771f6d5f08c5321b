/* Many threads on one client. */
#include "support/client_test.h"

#include <pthread.h>
#include <stdio.h>

#define THREADS 64
#define CALLS 200
#define LARGE_VALUE_BYTES 40000

/* What a worker does; NULL words mean that all went well. */
typedef struct worker {
    pthread_t thread;
    int number;
    char problem[SC_ERROR_TEXT_BYTES];
} worker;

static void start_all(worker *workers, size_t count, void *(*run)(void *))
{
    size_t i;
    memset(workers, 0, count * sizeof *workers);
    for (i = 0; i < count; i++) {
        workers[i].number = (int)i;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, run, &workers[i]), 0);
    }
}

static void join_all(worker *workers, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
    for (i = 0; i < count; i++)
        if (workers[i].problem[0])
            fail_msg("thread %d: %s", workers[i].number, workers[i].problem);
}

static bool note(worker *self, const char *what, sc_status status)
{
    snprintf(self->problem, sizeof self->problem, "%s: %s: %.300s", what, sc_status_name(status),
             sc_error_text());
    return false;
}

/* Make this call's value: its length differs from call to call, sometimes beyond all buffers. */
static size_t make_value(char *value, int thread, int call)
{
    size_t len = call % 50 == 49 ? LARGE_VALUE_BYTES : (size_t)(call * 7 % 300);
    size_t i;
    for (i = 0; i < len; i++)
        value[i] = (char)(thread * 31 + call * 17 + (int)i);
    return len;
}

static bool set_and_get(worker *self, int call)
{
    char value[LARGE_VALUE_BYTES];
    char key[32];
    sc_slice words[3];
    sc_slice bytes;
    sc_reply *reply = NULL;
    sc_status status;
    bool is_mine;
    snprintf(key, sizeof key, "k%d", self->number);
    words[0] = sc_text("SET");
    words[1] = sc_text(key);
    words[2] = sc_bytes(value, make_value(value, self->number, call));
    status = sc_command(test.client, words, 3, NULL, NULL);
    if (status != SC_OK)
        return note(self, "SET", status);
    words[0] = sc_text("GET");
    status = sc_command(test.client, words, 2, NULL, &reply);
    if (status != SC_OK)
        return note(self, "GET", status);
    bytes = sc_item_slice(sc_reply_item(reply));
    is_mine =
        bytes.len == words[2].len && (bytes.len == 0 || memcmp(bytes.data, value, bytes.len) == 0);
    sc_reply_release(reply);
    return is_mine || note(self, "another's value", SC_OK);
}

static void *set_and_get_run(void *argument)
{
    worker *self = (worker *)argument;
    int call;
    for (call = 0; call < CALLS && set_and_get(self, call); call++)
        continue;
    return NULL;
}

static void each_of_64_threads_sees_its_own_values(void **state)
{
    static worker workers[THREADS];
    sc_stats before;
    sc_stats stats;
    (void)state;
    sc_stats_get(test.client, &before);
    start_all(workers, THREADS, set_and_get_run);
    join_all(workers, THREADS);
    sc_stats_get(test.client, &stats);
    assert_int_equal(stats.commands - before.commands, THREADS * CALLS * 2);
    assert_int_equal(stats.unanswered, 0);
    assert_int_equal(stats.connects, 1);
}

static void threads_get_their_own_values_beside_the_clients_thread(void **state)
{
    static worker workers[THREADS];
    (void)state;
    assert_status(SC_OK, sc_start(test.client));
    assert_status(SC_OK, sc_start(test.client));
    start_all(workers, THREADS, set_and_get_run);
    join_all(workers, THREADS);
}

static void *start_in_the_middle_run(void *argument)
{
    worker *self = (worker *)argument;
    int call;
    for (call = 0; call < CALLS; call++) {
        if (self->number == 0 && call == CALLS / 2)
            (void)sc_start(test.client);
        if (!set_and_get(self, call))
            break;
    }
    return NULL;
}

static void the_clients_thread_may_start_while_others_call(void **state)
{
    worker workers[8];
    (void)state;
    start_all(workers, COUNT_OF(workers), start_in_the_middle_run);
    join_all(workers, COUNT_OF(workers));
}

/* --- pipelines, scripts, dedicated calls, scans: all at once */

static bool run_pipeline(worker *self, int call)
{
    sc_pipeline *pipeline = NULL;
    sc_reply *replies = NULL;
    char key[32];
    sc_status status = sc_pipeline_open(test.client, &pipeline);
    int64_t number = 0;
    size_t i;
    if (status != SC_OK)
        return note(self, "sc_pipeline_open", status);
    snprintf(key, sizeof key, "p%d.%d", self->number, call);
    for (i = 0; i < 16; i++)
        (void)sc_pipeline_add_strings(pipeline, "INCR", key, (const char *)NULL);
    status = call % 2 ? sc_pipeline_exec(pipeline, NULL, &replies)
                      : sc_pipeline_run(pipeline, NULL, &replies);
    sc_pipeline_close(pipeline);
    if (status != SC_OK)
        return note(self, "a pipeline", status);
    for (i = 0; i < 16; i++) {
        const sc_item *item =
            call % 2 ? sc_item_at(sc_reply_item(replies), i) : sc_reply_at(replies, i);
        if (sc_item_integer(item, &number) != SC_OK || number != (int64_t)i + 1)
            break;
    }
    sc_reply_release(replies);
    return i == 16 || note(self, "a pipeline's replies", SC_OK);
}

static bool run_dedicated(worker *self, int call)
{
    sc_call_options options;
    sc_reply *reply = NULL;
    char text[32];
    sc_slice words[2];
    sc_status status;
    bool is_mine;
    memset(&options, 0, sizeof options);
    options.dedicated = true;
    snprintf(text, sizeof text, "d%d.%d", self->number, call);
    words[0] = sc_text("ECHO");
    words[1] = sc_text(text);
    status = sc_command(test.client, words, 2, &options, &reply);
    if (status != SC_OK)
        return note(self, "a dedicated call", status);
    is_mine = sc_item_expect(sc_reply_item(reply), text) == SC_OK;
    sc_reply_release(reply);
    return is_mine || note(self, "a dedicated call's reply", SC_OK);
}

static bool run_wrong(worker *self)
{
    sc_reply *reply = NULL;
    char name[32];
    sc_slice words[1];
    sc_status status;
    snprintf(name, sizeof name, "WRONG%d", self->number);
    words[0] = sc_text(name);
    status = sc_command(test.client, words, 1, NULL, &reply);
    if (status != SC_ERR_REPLY)
        return note(self, "a wrong command", status);
    /* The words are this thread's own. */
    return strstr(sc_error_text(), name) != NULL || note(self, "another's words", SC_OK);
}

static void *mixture_run(void *argument)
{
    worker *self = (worker *)argument;
    bool is_good = true;
    int call;
    for (call = 0; call < 40 && is_good; call++) {
        switch ((self->number + call) % 4) {
        case 0:
            is_good = run_pipeline(self, call);
            break;
        case 1:
            is_good = call % 8 != 1 || run_dedicated(self, call);
            break;
        case 2:
            is_good = run_wrong(self);
            break;
        default:
            is_good = set_and_get(self, call);
            break;
        }
    }
    return NULL;
}

static void calls_of_every_kind_go_side_by_side(void **state)
{
    static worker workers[32];
    (void)state;
    start_all(workers, COUNT_OF(workers), mixture_run);
    join_all(workers, COUNT_OF(workers));
}

/* --- asynchronous */

#define ASYNC_THREADS 8
#define ASYNC_CALLS 500

typedef struct async_sum {
    uint32_t ended; /* atomic */
    uint32_t wrong; /* atomic */
} async_sum;

typedef struct async_call {
    async_sum *sum;
    char text[32];
} async_call;

static async_sum sum;
static async_call async_calls[ASYNC_THREADS][ASYNC_CALLS];

static void async_take(void *user, sc_status status, sc_reply *reply)
{
    async_call *call = (async_call *)user;
    if (status != SC_OK || sc_item_expect(sc_reply_item(reply), call->text) != SC_OK)
        __atomic_add_fetch(&call->sum->wrong, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&call->sum->ended, 1, __ATOMIC_RELEASE);
}

static void *async_run(void *argument)
{
    worker *self = (worker *)argument;
    int i;
    for (i = 0; i < ASYNC_CALLS; i++) {
        async_call *call = &async_calls[self->number][i];
        sc_slice words[2];
        sc_status status;
        snprintf(call->text, sizeof call->text, "%d.%d", self->number, i);
        call->sum = &sum;
        words[0] = sc_text("ECHO");
        words[1] = sc_text(call->text);
        status = sc_command_async(test.client, words, 2, NULL, async_take, call);
        if (status != SC_OK) {
            note(self, "sc_command_async", status);
            break;
        }
    }
    return NULL;
}

static uint32_t sum_ended(void)
{
    return __atomic_load_n(&sum.ended, __ATOMIC_ACQUIRE);
}

static void asynchronous_calls_of_many_threads_all_end_on_the_clients_thread(void **state)
{
    worker workers[ASYNC_THREADS];
    (void)state;
    memset(&sum, 0, sizeof sum);
    assert_status(SC_OK, sc_start(test.client));
    start_all(workers, ASYNC_THREADS, async_run);
    join_all(workers, ASYNC_THREADS);
    WAIT_UNTIL(sum_ended() == ASYNC_THREADS * ASYNC_CALLS);
    assert_int_equal(sum.wrong, 0);
}

static void asynchronous_calls_end_inside_sc_poll_of_a_program_that_polls(void **state)
{
    sc_config config = test_config(test_url());
    sc_client *own = test.client;
    worker workers[ASYNC_THREADS];
    int64_t end_ms = wait_now_ms() + WAIT_WATCHDOG_MS;
    (void)state;
    config.polled = true;
    test.client = test_open(&config);
    memset(&sum, 0, sizeof sum);
    start_all(workers, ASYNC_THREADS, async_run);
    while (sum_ended() < ASYNC_THREADS * ASYNC_CALLS && wait_now_ms() < end_ms)
        assert_status(SC_OK, sc_poll(test.client, 100));
    join_all(workers, ASYNC_THREADS);
    assert_int_equal(sum_ended(), ASYNC_THREADS * ASYNC_CALLS);
    assert_int_equal(sum.wrong, 0);
    assert_status(SC_OK, sc_close(test.client));
    test.client = own;
}

typedef struct polled_here {
    pthread_t self;
    uint32_t calls;
    uint32_t elsewhere;
} polled_here;

static void polled_take(void *user, sc_status status, sc_reply *reply)
{
    polled_here *here = (polled_here *)user;
    (void)reply;
    if (status != SC_OK || !pthread_equal(here->self, pthread_self()))
        here->elsewhere++;
    here->calls++;
}

static void a_program_that_only_polls_needs_no_thread(void **state)
{
    sc_config config = test_config(test_url());
    polled_here here;
    sc_client *client;
    sc_slice words[2];
    int i;
    (void)state;
    config.polled = true;
    config.lazy = true;
    client = test_open(&config);
    memset(&here, 0, sizeof here);
    here.self = pthread_self();
    words[0] = sc_text("INCR");
    words[1] = sc_text("n");
    for (i = 0; i < 100; i++)
        assert_status(SC_OK, sc_command_async(client, words, 2, NULL, polled_take, &here));
    assert_int_equal(here.calls, 0); /* not before the program polls */
    while (here.calls < 100)
        assert_status(SC_OK, sc_poll(client, WAIT_WATCHDOG_MS));
    assert_int_equal(here.elsewhere, 0);
    assert_status(SC_OK, sc_poll(client, 0));
    /* Blocking calls work as well; a callback that is due runs inside of one. */
    assert_status(SC_OK, sc_command_async(client, words, 2, NULL, polled_take, &here));
    test_expect_integer(client, 102, "INCR", "n", (const char *)NULL);
    while (here.calls < 101)
        assert_status(SC_OK, sc_poll(client, WAIT_WATCHDOG_MS));
    assert_int_equal(here.elsewhere, 0);
    assert_status(SC_OK, sc_close(client));
}

typedef struct ordered {
    uint32_t next;   /* atomic: the number that the next callback should have */
    uint32_t wrong;  /* atomic */
    uint32_t inside; /* atomic: callbacks running now */
} ordered;

typedef struct ordered_call {
    ordered *all;
    uint32_t number;
} ordered_call;

static void ordered_take(void *user, sc_status status, sc_reply *reply)
{
    ordered_call *call = (ordered_call *)user;
    (void)reply;
    if (__atomic_fetch_add(&call->all->inside, 1, __ATOMIC_ACQ_REL) != 0 || status != SC_OK ||
        call->number != __atomic_load_n(&call->all->next, __ATOMIC_ACQUIRE))
        __atomic_add_fetch(&call->all->wrong, 1, __ATOMIC_RELAXED);
    __atomic_sub_fetch(&call->all->inside, 1, __ATOMIC_ACQ_REL);
    __atomic_add_fetch(&call->all->next, 1, __ATOMIC_RELEASE);
}

static void callbacks_come_in_order_and_one_at_a_time(void **state)
{
    static ordered_call calls[ASYNC_CALLS];
    worker workers[4];
    ordered all;
    uint32_t i;
    int with_thread;
    (void)state;
    for (with_thread = 0; with_thread < 2; with_thread++) {
        memset(&all, 0, sizeof all);
        if (with_thread)
            assert_status(SC_OK, sc_start(test.client));
        start_all(workers, COUNT_OF(workers), set_and_get_run); /* others that drive */
        for (i = 0; i < ASYNC_CALLS; i++) {
            sc_slice words[2];
            calls[i].all = &all;
            calls[i].number = i;
            words[0] = sc_text("PING");
            assert_status(SC_OK,
                          sc_command_async(test.client, words, 1, NULL, ordered_take, &calls[i]));
        }
        while (__atomic_load_n(&all.next, __ATOMIC_ACQUIRE) < ASYNC_CALLS)
            assert_status(SC_OK, sc_poll(test.client, 20));
        join_all(workers, COUNT_OF(workers));
        assert_int_equal(all.wrong, 0);
    }
}

/* --- a callback that computes long */

static void slow_take(void *user, sc_status status, sc_reply *reply)
{
    uint32_t *stage = (uint32_t *)user;
    bool reached;
    (void)status;
    (void)reply;
    __atomic_store_n(stage, 1, __ATOMIC_RELEASE);
    WAIT_REACHED(reached, __atomic_load_n(stage, __ATOMIC_ACQUIRE) == 2);
    __atomic_store_n(stage, reached ? 3 : 4, __ATOMIC_RELEASE);
}

static void a_callback_that_takes_long_does_not_hold_up_blocking_calls(void **state)
{
    uint32_t stage = 0;
    sc_slice words[1];
    (void)state;
    assert_status(SC_OK, sc_start(test.client));
    words[0] = sc_text("PING");
    assert_status(SC_OK, sc_command_async(test.client, words, 1, NULL, slow_take, &stage));
    WAIT_UNTIL(__atomic_load_n(&stage, __ATOMIC_ACQUIRE) == 1);
    test_expect_text(test.client, "PONG", "PING", (const char *)NULL);
    __atomic_store_n(&stage, 2, __ATOMIC_RELEASE);
    WAIT_UNTIL(__atomic_load_n(&stage, __ATOMIC_ACQUIRE) == 3);
}

/* --- closing */

typedef struct hammer {
    pthread_t thread;
    sc_client *client;
    uint32_t *calls; /* atomic: of all hammers */
    sc_status last;
} hammer;

/* Each thread starts one call that does not end by itself, so that closing is what ends it. */
static void *hammer_run(void *argument)
{
    hammer *self = (hammer *)argument;
    sc_slice words[1];
    words[0] = sc_text("PING");
    __atomic_add_fetch(self->calls, 1, __ATOMIC_RELEASE);
    self->last = sc_command(self->client, words, 1, NULL, NULL);
    return NULL;
}

static void *close_run(void *argument)
{
    hammer *self = (hammer *)argument;
    self->last = sc_close(self->client);
    return NULL;
}

static void another_thread_may_close(void **state)
{
    hammer hammers[16];
    hammer closer;
    uint32_t calls = 0;
    sc_client *client = test_open_url(test_url());
    sc_stats stats;
    size_t i;
    (void)state;
    assert_status(SC_OK, sc_start(client));
    fixture_pause(test.server);
    for (i = 0; i < COUNT_OF(hammers); i++) {
        hammers[i].client = client;
        hammers[i].calls = &calls;
        assert_int_equal(pthread_create(&hammers[i].thread, NULL, hammer_run, &hammers[i]), 0);
    }
    WAIT_UNTIL((sc_stats_get(client, &stats), stats.unanswered == COUNT_OF(hammers)));
    closer.client = client;
    assert_int_equal(pthread_create(&closer.thread, NULL, close_run, &closer), 0);
    pthread_join(closer.thread, NULL);
    fixture_continue(test.server);
    assert_status(SC_OK, closer.last);
    for (i = 0; i < COUNT_OF(hammers); i++) {
        pthread_join(hammers[i].thread, NULL);
        assert_status(SC_ERR_CLOSED, hammers[i].last);
    }
}

typedef struct close_inside {
    sc_client *client;
    uint32_t is_done; /* atomic */
    sc_status status;
} close_inside;

static void close_inside_take(void *user, sc_status status, sc_reply *reply)
{
    close_inside *self = (close_inside *)user;
    (void)status;
    (void)reply;
    self->status = sc_close(self->client);
    __atomic_store_n(&self->is_done, 1, __ATOMIC_RELEASE);
}

static void closing_from_a_callback_of_the_clients_thread_is_refused(void **state)
{
    close_inside self;
    sc_slice words[1];
    (void)state;
    memset(&self, 0, sizeof self);
    self.client = test.client;
    assert_status(SC_OK, sc_start(test.client));
    words[0] = sc_text("PING");
    assert_status(SC_OK, sc_command_async(test.client, words, 1, NULL, close_inside_take, &self));
    WAIT_UNTIL(__atomic_load_n(&self.is_done, __ATOMIC_ACQUIRE));
    assert_status(SC_ERR_DEADLOCK, self.status);
    test_expect_text(test.client, "PONG", "PING", (const char *)NULL);
}

static void two_clients_in_a_process_are_strangers(void **state)
{
    sc_client *other = test_open_url(test_url());
    sc_stats before;
    sc_stats after;
    (void)state;
    sc_stats_get(test.client, &before);
    assert_status(SC_OK, sc_start(other));
    test_expect_text(other, "PONG", "PING", (const char *)NULL);
    sc_stats_get(test.client, &after);
    assert_int_equal(after.commands, before.commands);
    assert_status(SC_OK, sc_close(other));
    test_expect_text(test.client, "PONG", "PING", (const char *)NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        client_unit_test(each_of_64_threads_sees_its_own_values),
        client_unit_test(threads_get_their_own_values_beside_the_clients_thread),
        client_unit_test(the_clients_thread_may_start_while_others_call),
        client_unit_test(calls_of_every_kind_go_side_by_side),
        client_unit_test(asynchronous_calls_of_many_threads_all_end_on_the_clients_thread),
        client_unit_test(asynchronous_calls_end_inside_sc_poll_of_a_program_that_polls),
        client_unit_test(a_program_that_only_polls_needs_no_thread),
        client_unit_test(callbacks_come_in_order_and_one_at_a_time),
        client_unit_test(a_callback_that_takes_long_does_not_hold_up_blocking_calls),
        bare_unit_test(another_thread_may_close),
        client_unit_test(closing_from_a_callback_of_the_clients_thread_is_refused),
        client_unit_test(two_clients_in_a_process_are_strangers),
    };
    return run_on_both_wires("threads", tests);
}
