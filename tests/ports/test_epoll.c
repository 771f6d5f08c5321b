/* The poller on epoll: the contract, and a client in another event loop that starts commands. */

#define SMARTCACHE_EPOLL_IMPLEMENTATION
#include "epoll_host.h"

#include "port_conformance.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define COMMANDS 1000u
#define THREADS 4
#define BIG_BYTES (32u * 1024u * 1024u)

/* --- a transport whose prompt receiver can be held */

typedef struct held_transport {
    sc_transport table;
    uint32_t is_armed;  /* atomic: the next receive_soon is held */
    uint32_t is_inside; /* atomic: it is */
    uint32_t may_go;    /* atomic */
    size_t most;        /* bytes that it receives then; 0: as many as it may */
} held_transport;

static held_transport held;
static sc_transport platform_transport;

static sc_status held_receive_soon(void *stream, void *buffer, size_t cap, size_t *received)
{
    if (!__atomic_exchange_n(&held.is_armed, 0, __ATOMIC_ACQ_REL))
        return platform_transport.receive_soon(stream, buffer, cap, received);
    __atomic_store_n(&held.is_inside, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&held.may_go, __ATOMIC_ACQUIRE))
        wait_a_moment();
    if (held.most && held.most < cap)
        cap = held.most;
    for (;;) {
        sc_status status = platform_transport.receive_soon(stream, buffer, cap, received);
        if (status != SC_AGAIN)
            return status;
    }
}

static const sc_transport *held_begin(size_t most)
{
    memset(&held, 0, sizeof held);
    assert_true(sc_platform_transport(&platform_transport));
    held.table = platform_transport;
    held.table.receive_soon = held_receive_soon;
    held.most = most;
    return &held.table;
}

/* A thread with one blocking call, held while it receives. */
typedef struct blocked {
    pthread_t thread;
    sc_client *client;
    sc_status status;
} blocked;

static void *blocked_run(void *argument)
{
    blocked *self = (blocked *)argument;
    self->status = sc_command_strings(self->client, NULL, "GET", "missing", (const char *)NULL);
    return NULL;
}

static void blocked_start(blocked *self, sc_client *client)
{
    self->client = client;
    __atomic_store_n(&held.is_armed, 1, __ATOMIC_RELEASE);
    assert_int_equal(pthread_create(&self->thread, NULL, blocked_run, self), 0);
    WAIT_UNTIL(__atomic_load_n(&held.is_inside, __ATOMIC_ACQUIRE));
}

static void blocked_go(void)
{
    __atomic_store_n(&held.may_go, 1, __ATOMIC_RELEASE);
}

static void blocked_join(blocked *self)
{
    pthread_join(self->thread, NULL);
    assert_status(SC_OK, self->status);
}

/* The command that made this key was executed, and its reply sent: the server answers what comes in
   together before it looks for more. */
static void server_has_answered(const char *key)
{
    WAIT_UNTIL(strcmp(fixture_command(test.server, "EXISTS", key, (const char *)NULL), ":1\r\n") ==
               0);
    (void)fixture_command(test.server, "PING", (const char *)NULL);
}

/* --- who receives */

/* The thread has its reply and leaves; the next reply is the host's again. */
static void the_host_takes_over_from_a_thread_that_stops_receiving(void **state)
{
    sc_poller poller;
    sc_config config = host_config(&poller);
    config.transport = held_begin(strlen("$-1\r\n"));
    host loop = host_start(&config);
    tally rest = tally_of(&loop, "INCR", "other");
    blocked thread;
    (void)state;
    host_until_quiet(&loop);
    blocked_start(&thread, loop.client);
    tally_start(&rest, NULL, tally_take);
    server_has_answered("other");
    host_until_quiet(&loop); /* the replies are not the host's to receive */
    blocked_go();
    blocked_join(&thread);
    HOST_UNTIL(&loop, tally_ended(&rest) == 1);
    assert_int_equal(rest.status, SC_OK);
    host_until_quiet(&loop);
    host_close(&loop);
}

static uint32_t callback_is_in;
static uint32_t callback_may_end;

static void take_slowly(void *user, sc_status status, sc_reply *reply)
{
    __atomic_store_n(&callback_is_in, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&callback_may_end, __ATOMIC_ACQUIRE))
        wait_a_moment();
    tally_take(user, status, reply);
}

static void the_host_sleeps_while_another_thread_runs_a_slow_callback(void **state)
{
    sc_poller poller;
    sc_config config = host_config(&poller);
    config.transport = held_begin(0);
    host loop = host_start(&config);
    tally slow = tally_of(&loop, "INCR", "slow");
    tally later = tally_of(&loop, "INCR", "later");
    blocked thread;
    (void)state;
    callback_is_in = callback_may_end = 0;
    host_until_quiet(&loop);
    blocked_start(&thread, loop.client);
    tally_start(&slow, NULL, take_slowly);
    server_has_answered("slow");
    blocked_go();
    WAIT_UNTIL(__atomic_load_n(&callback_is_in, __ATOMIC_ACQUIRE));
    tally_start(&later, NULL, tally_take);
    server_has_answered("later");
    host_until_quiet(&loop); /* the callback is that thread's to run */
    __atomic_store_n(&callback_may_end, 1, __ATOMIC_RELEASE);
    HOST_UNTIL(&loop, tally_ended(&slow) == 1 && tally_ended(&later) == 1);
    blocked_join(&thread);
    host_close(&loop);
}

/* --- the contract */

static void conformance_subject(port_poller_subject *subject)
{
    memset(subject, 0, sizeof *subject);
    subject->name = "epoll";
    sc_epoll_poller(&subject->poller);
    subject->has_threads = true;
    subject->counts_descriptors = true;
    port_posix_pairs(subject);
}

/* A poller by itself. */
static void *poller_open(sc_poller *table)
{
    void *poller = NULL;
    sc_epoll_poller(table);
    assert_status(SC_OK, table->create(table->user, &test.memory->table, &poller));
    return poller;
}

static void a_regular_file_is_refused_with_words(void **state)
{
    sc_poller table;
    void *poller = poller_open(&table);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    (void)state;
    assert_true(file >= 0);
    assert_status(SC_ERR_ARGUMENT, table.watch(poller, file, SC_READABLE, &table));
    assert_error_text_has("regular files");
    assert_status(SC_OK, table.watch(poller, file, 0, &table));
    close(file);
    table.destroy(poller);
}

static void descriptor_0_is_one_as_any_other(void **state)
{
    int ends[2];
    int kept = dup(0);
    sc_poller table;
    sc_event event;
    size_t count = 0;
    (void)state;
    assert_true(kept >= 0);
    close(0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(ends[0], 0);
    void *poller = poller_open(&table);
    assert_status(SC_OK, table.watch(poller, 0, SC_WRITABLE, &table));
    assert_status(SC_OK, table.wait(poller, 0, &event, 1, &count));
    assert_int_equal(count, 1);
    assert_int_equal(event.ready, SC_WRITABLE);
    assert_status(SC_OK, table.watch(poller, 0, 0, &table));
    table.destroy(poller);
    close(0);
    poller = poller_open(&table); /* one of its own is 0 */
    table.wake(poller);
    assert_status(SC_OK, table.wait(poller, -1, &event, 1, &count));
    assert_int_equal(count, 0);
    table.destroy(poller);
    close(ends[1]);
    assert_int_equal(dup2(kept, 0), 0);
    close(kept);
}

static void without_descriptors_there_is_no_poller_and_nothing_is_left(void **state)
{
    struct rlimit before;
    struct rlimit little;
    sc_poller table;
    (void)state;
    sc_epoll_poller(&table);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    little = before;
    int first = dup(0); /* the lowest that is free */
    close(first);
    for (int spare = 0; spare < 3; spare++) {
        void *poller = NULL;
        little.rlim_cur = (rlim_t)(first + spare);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &little), 0);
        sc_status status = table.create(table.user, &test.memory->table, &poller);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(status, SC_ERR_IO);
        assert_error_text_has("RLIMIT_NOFILE");
        assert_null(poller);
    }
}

/* --- what the descriptor says */

static void a_client_with_another_poller_has_no_descriptor(void **state)
{
    sc_config config = test_config(test_url());
    (void)state;
    config.polled = true;
    sc_client *client = test_open(&config);
    assert_int_equal(sc_epoll_fd(client), -1);
    assert_error_text_has("sc_config.poller");
    assert_status(SC_ERR_ARGUMENT, sc_epoll_run(client));
    assert_error_text_has("sc_config.poller");
    assert_status(SC_OK, sc_close(client));
    assert_int_equal(sc_epoll_fd(NULL), -1);
    assert_status(SC_ERR_ARGUMENT, sc_epoll_run(NULL));
}

static void an_idle_client_is_quiet_and_its_descriptor_closes_on_exec(void **state)
{
    host loop = host_open();
    (void)state;
    assert_int_equal(fcntl(loop.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(sc_epoll_fd(loop.client), loop.fd);
    host_until_quiet(&loop);
    assert_status(SC_OK, sc_epoll_run(loop.client));
    assert_false(host_is_readable(&loop));
    assert_int_equal(sci_epoll_of(loop.client)->is_due, 0); /* one turn is enough then */
    host_close(&loop);
}

/* Each wish holds until the next. The client is not connected: it wishes nothing itself. */
static void the_descriptor_follows_the_schedule(void **state)
{
    sc_poller table;
    sc_config config = host_config(&table);
    (void)state;
    config.lazy = true;
    host loop = host_start(&config);
    void *poller = sc_client_poller(loop.client, &table);
    const int64_t hour_ns = INT64_C(3600) * 1000000000;
    host_until_quiet(&loop);
    table.schedule(poller, 0);
    assert_true(host_is_readable(&loop));
    host_until_quiet(&loop);
    table.schedule(poller, 1000000);
    host_turn(&loop); /* waits for it */
    host_until_quiet(&loop);
    table.schedule(poller, hour_ns);
    assert_false(host_is_readable(&loop));
    table.schedule(poller, 1); /* earlier */
    host_turn(&loop);
    host_until_quiet(&loop);
    table.schedule(poller, 1);
    table.schedule(poller, -1);
    assert_false(host_is_readable(&loop));
    table.schedule(poller, INT64_MAX);
    table.schedule(poller, 1); /* it fires, and then is put off */
    while (!host_is_readable(&loop))
        wait_a_moment();
    table.schedule(poller, hour_ns);
    assert_false(host_is_readable(&loop));
    table.wake(poller);
    assert_true(host_is_readable(&loop));
    host_until_quiet(&loop);
    host_close(&loop);
}

/* --- commands */

static void take_and_start_more(void *user, sc_status status, sc_reply *reply)
{
    tally *self = (tally *)user;
    tally_take(user, status, reply);
    for (int i = 0; i < 2 && self->started < self->wanted; i++)
        tally_start(self, NULL, take_and_start_more);
}

static void a_thousand_commands_start_within_callbacks(void **state)
{
    host loop = host_open();
    tally counter = tally_of(&loop, "INCR", "counter");
    (void)state;
    counter.wanted = COMMANDS;
    tally_start(&counter, NULL, take_and_start_more);
    HOST_UNTIL(&loop, tally_ended(&counter) == COMMANDS);
    assert_int_equal(counter.status, SC_OK);
    assert_string_equal(fixture_command(test.server, "GET", "counter", (const char *)NULL),
                        "$4\r\n1000\r\n");
    host_until_quiet(&loop);
    host_close(&loop);
}

static void one_run_ends_although_callbacks_always_start_more(void **state)
{
    host loop = host_open();
    tally endless = tally_of(&loop, "INCR", "counter");
    (void)state;
    endless.wanted = UINT32_MAX;
    tally_start(&endless, NULL, take_and_start_another);
    HOST_UNTIL(&loop, tally_ended(&endless) >= COMMANDS);
    assert_true(loop.runs >= COMMANDS / SCI_EPOLL_TURNS);
    endless.wanted = 0;
    HOST_UNTIL(&loop, tally_ended(&endless) == endless.started);
    host_until_quiet(&loop);
    host_close(&loop);
}

static void *producer_run(void *argument)
{
    tally *self = (tally *)argument;
    for (uint32_t i = 0; i < self->wanted; i++)
        tally_start(self, NULL, tally_take);
    return NULL;
}

static void threads_start_commands_while_the_host_sleeps(void **state)
{
    host loop = host_open();
    tally producers[THREADS];
    (void)state;
    for (size_t i = 0; i < THREADS; i++) {
        producers[i] = tally_of(&loop, "INCR", "counter");
        producers[i].wanted = COMMANDS;
    }
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&producers[i].thread, NULL, producer_run, &producers[i]),
                         0);
    for (size_t i = 0; i < THREADS; i++) {
        HOST_UNTIL(&loop, tally_ended(&producers[i]) == COMMANDS);
        pthread_join(producers[i].thread, NULL);
        assert_int_equal(producers[i].status, SC_OK);
    }
    host_until_quiet(&loop);
    host_close(&loop);
}

static void *caller_run(void *argument)
{
    tally *self = (tally *)argument;
    for (uint32_t i = 0; i < self->wanted && self->status == SC_OK; i++)
        self->status = sc_command_strings(self->loop->client, NULL, self->words[0], self->words[1],
                                          (const char *)NULL);
    __atomic_store_n(&self->ended, self->wanted, __ATOMIC_RELEASE);
    host_ring(self->loop);
    return NULL;
}

/* Threads that block, threads that do not, and callbacks that start more, all on one connection. */
static void everybody_together(const sc_transport *transport)
{
    sc_poller poller;
    sc_config config = host_config(&poller);
    config.transport = transport;
    host loop = host_start(&config);
    tally callers[THREADS];
    tally producer = tally_of(&loop, "INCR", "produced");
    tally callbacks = tally_of(&loop, "INCR", "called-back");
    producer.wanted = callbacks.wanted = COMMANDS;
    for (size_t i = 0; i < THREADS; i++) {
        callers[i] = tally_of(&loop, "INCR", "called");
        callers[i].wanted = COMMANDS / 2;
        assert_int_equal(pthread_create(&callers[i].thread, NULL, caller_run, &callers[i]), 0);
    }
    assert_int_equal(pthread_create(&producer.thread, NULL, producer_run, &producer), 0);
    tally_start(&callbacks, NULL, tally_take);
    while (tally_ended(&callbacks) < COMMANDS) {
        uint32_t started = callbacks.started;
        HOST_UNTIL(&loop, tally_ended(&callbacks) == started);
        while (callbacks.started < COMMANDS && callbacks.started < started + 3)
            tally_start(&callbacks, NULL, tally_take);
    }
    HOST_UNTIL(&loop, tally_ended(&producer) == COMMANDS);
    pthread_join(producer.thread, NULL);
    for (size_t i = 0; i < THREADS; i++) {
        HOST_UNTIL(&loop, tally_ended(&callers[i]) == callers[i].wanted);
        pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].status, SC_OK);
    }
    assert_int_equal(callbacks.status, SC_OK);
    assert_int_equal(producer.status, SC_OK);
    host_until_quiet(&loop);
    host_close(&loop);
}

static void threads_block_on_the_client_while_the_host_serves_it(void **state)
{
    (void)state;
    everybody_together(NULL);
}

static void threads_that_receive_by_the_poller_share_it_with_the_host(void **state)
{
    sc_transport transport;
    (void)state;
    assert_true(sc_platform_transport(&transport));
    transport.receive_soon = NULL;
    everybody_together(&transport);
}

static void a_client_with_a_thread_of_its_own_works_on_epoll(void **state)
{
    sc_poller poller;
    sc_config config = host_config(&poller);
    (void)state;
    config.polled = false;
    host loop = host_start(&config);
    tally counter = tally_of(&loop, "INCR", "counter");
    tally callers[THREADS];
    assert_status(SC_OK, sc_start(loop.client));
    for (size_t i = 0; i < THREADS; i++) {
        callers[i] = tally_of(&loop, "INCR", "called");
        callers[i].wanted = COMMANDS / 2;
        assert_int_equal(pthread_create(&callers[i].thread, NULL, caller_run, &callers[i]), 0);
    }
    for (uint32_t i = 0; i < COMMANDS; i++)
        tally_start(&counter, NULL, tally_take);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].status, SC_OK);
    }
    WAIT_UNTIL(tally_ended(&counter) == COMMANDS);
    host_close(&loop);
}

static void a_command_that_blocks_on_a_connection_of_its_own_ends_by_the_descriptor(void **state)
{
    host loop = host_open();
    tally popped = tally_of(&loop, "BLPOP", "list");
    sc_call_options options;
    (void)state;
    memset(&options, 0, sizeof options);
    options.dedicated = true;
    popped.words[2] = "0";
    for (uint32_t round = 1; round <= 3; round++) {
        tally_start(&popped, &options, tally_take);
        while (fixture_info(test.server, "blocked_clients") == 0) {
            host_until_quiet(&loop);
            wait_a_moment();
        }
        host_until_quiet(&loop);
        fixture_command(test.server, "RPUSH", "list", "item", (const char *)NULL);
        HOST_UNTIL(&loop, tally_ended(&popped) == round);
        assert_int_equal(popped.status, SC_OK);
    }
    host_until_quiet(&loop);
    host_close(&loop);
}

/* Both ways: more than sockets hold, and the connection has to say when it takes more. */
static void big_values_go_both_ways_through_a_server_that_stands_still(void **state)
{
    host loop = host_open();
    char *value = (char *)malloc(BIG_BYTES);
    sc_slice set[3];
    tally stored = tally_of(&loop, "SET", "big");
    tally loaded = tally_of(&loop, "GET", "big");
    (void)state;
    assert_non_null(value);
    memset(value, 'b', BIG_BYTES);
    set[0] = sc_text("SET");
    set[1] = sc_text("big");
    set[2] = sc_bytes(value, BIG_BYTES);
    fixture_pause(test.server);
    assert_status(SC_OK, sc_command_async(loop.client, set, 3, NULL, tally_take, &stored));
    host_until_quiet(&loop); /* no more is taken, and that is no reason to turn round and round */
    fixture_continue(test.server);
    HOST_UNTIL(&loop, tally_ended(&stored) == 1);
    assert_int_equal(stored.status, SC_OK);
    tally_start(&loaded, NULL, tally_take);
    HOST_UNTIL(&loop, tally_ended(&loaded) == 1);
    assert_int_equal(loaded.status, SC_OK);
    host_close(&loop);
    free(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        bare_unit_test(a_regular_file_is_refused_with_words),
        bare_unit_test(descriptor_0_is_one_as_any_other),
        bare_unit_test(without_descriptors_there_is_no_poller_and_nothing_is_left),
        bare_unit_test(a_client_with_another_poller_has_no_descriptor),
        bare_unit_test(an_idle_client_is_quiet_and_its_descriptor_closes_on_exec),
        bare_unit_test(the_descriptor_follows_the_schedule),
        bare_unit_test(the_host_takes_over_from_a_thread_that_stops_receiving),
        bare_unit_test(the_host_sleeps_while_another_thread_runs_a_slow_callback),
        bare_unit_test(a_thousand_commands_start_within_callbacks),
        bare_unit_test(one_run_ends_although_callbacks_always_start_more),
        bare_unit_test(threads_start_commands_while_the_host_sleeps),
        bare_unit_test(threads_block_on_the_client_while_the_host_serves_it),
        bare_unit_test(threads_that_receive_by_the_poller_share_it_with_the_host),
        bare_unit_test(a_client_with_a_thread_of_its_own_works_on_epoll),
        bare_unit_test(a_command_that_blocks_on_a_connection_of_its_own_ends_by_the_descriptor),
        bare_unit_test(big_values_go_both_ways_through_a_server_that_stands_still),
    };
    port_poller_subject subject;
    conformance_subject(&subject);
    return port_conformance_poller(&subject) + run_on_both_wires("epoll", tests) != 0;
}
