/* The poller on select: the contract of pollers, its own limit, and a client that works on it. */

#define SMARTCACHE_SELECT_IMPLEMENTATION
#include "smartcache_select.h"

#include "client_test.h"
#include "port_conformance.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/select.h>

static sc_poller table;

/* --- the limit */

/* Room for descriptors beyond FD_SETSIZE; false when this system gives none. */
static bool raise_descriptor_limit(void)
{
    struct rlimit limit;
    const rlim_t wanted = FD_SETSIZE + 100;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    if (limit.rlim_cur >= wanted)
        return true;
    limit.rlim_cur = wanted;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

#define NEEDS_HIGH_DESCRIPTORS()                                                                   \
    do {                                                                                           \
        if (!raise_descriptor_limit()) {                                                           \
            print_message("           skipped: RLIMIT_NOFILE may not be above FD_SETSIZE here\n"); \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

/* Take every free descriptor below FD_SETSIZE but the `spared` lowest; returns how many. */
static size_t crowd_take(int *taken, size_t spared)
{
    size_t count = 0;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && fd < (int)FD_SETSIZE) {
        taken[count++] = fd;
        fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    }
    assert_true(fd >= 0);
    close(fd);
    assert_true(count > spared);
    for (size_t i = 0; i < spared; i++)
        close(taken[i]);
    memmove(taken, taken + spared, (count - spared) * sizeof(*taken));
    return count - spared;
}

static void crowd_release(const int *taken, size_t count)
{
    for (size_t i = 0; i < count; i++)
        close(taken[i]);
}

static void *poller_open(void)
{
    void *poller = NULL;
    assert_status(SC_OK, table.create(table.user, &test.memory->table, &poller));
    return poller;
}

static int set_up(void **state)
{
    (void)state;
    test.memory = (fault_memory *)malloc(sizeof(*test.memory));
    if (!test.memory)
        return -1;
    fault_memory_init(test.memory);
    test.descriptors = endpoint_open_descriptors();
    return 0;
}

static void the_last_descriptor_below_the_limit_is_watched(void **state)
{
    sc_event events[2];
    size_t count = 0;
    int ends[2];
    int last;
    void *poller;
    (void)state;
    NEEDS_HIGH_DESCRIPTORS();
    poller = poller_open();
    assert_int_equal(pipe(ends), 0);
    last = fcntl(ends[0], F_DUPFD_CLOEXEC, FD_SETSIZE - 1);
    assert_int_equal(last, FD_SETSIZE - 1);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_status(SC_OK, table.watch(poller, last, SC_READABLE, &last));
    assert_status(SC_OK, table.wait(poller, -1, events, 2, &count));
    assert_int_equal(count, 1);
    assert_ptr_equal(events[0].tag, &last);
    assert_status(SC_OK, table.watch(poller, last, 0, NULL));
    table.destroy(poller);
    close(last);
    close(ends[0]);
    close(ends[1]);
}

static void a_descriptor_beyond_the_limit_is_refused_by_number(void **state)
{
    sc_event events[2];
    size_t count = 0;
    int ends[2];
    int high;
    char expected[64];
    void *poller;
    (void)state;
    NEEDS_HIGH_DESCRIPTORS();
    poller = poller_open();
    assert_int_equal(pipe(ends), 0);
    assert_status(SC_OK, table.watch(poller, ends[1], SC_WRITABLE, ends));
    for (int wanted = FD_SETSIZE; wanted < (int)FD_SETSIZE + 70; wanted += 23) {
        high = fcntl(ends[0], F_DUPFD_CLOEXEC, wanted);
        assert_true(high >= (int)FD_SETSIZE);
        assert_status(SC_ERR_LIMIT, table.watch(poller, high, SC_READABLE, &high));
        snprintf(expected, sizeof(expected), "descriptor %d, ", high);
        assert_error_text_has(expected);
        snprintf(expected, sizeof(expected), "FD_SETSIZE, %d,", (int)FD_SETSIZE);
        assert_error_text_has(expected);
        assert_error_text_has("sc_config.poller");
        assert_status(SC_OK, table.watch(poller, high, 0, NULL));
        close(high);
    }
    assert_status(SC_ERR_LIMIT, table.watch(poller, INT32_MAX, SC_READABLE, &high));
    /* What it watched before, it watches still. */
    assert_status(SC_OK, table.wait(poller, -1, events, 2, &count));
    assert_int_equal(count, 1);
    assert_ptr_equal(events[0].tag, ends);
    table.destroy(poller);
    close(ends[0]);
    close(ends[1]);
}

static void a_poller_that_would_get_a_high_descriptor_is_not_made(void **state)
{
    static int taken[FD_SETSIZE];
    size_t count;
    size_t events_count = 1;
    sc_event event;
    void *poller = &poller;
    (void)state;
    NEEDS_HIGH_DESCRIPTORS();
    count = crowd_take(taken, 0);
    assert_status(SC_ERR_LIMIT, table.create(table.user, &test.memory->table, &poller));
    assert_null(poller);
    assert_error_text_has("FD_SETSIZE");
    crowd_release(taken, count);
    /* The end that is written to may lie beyond. */
    count = crowd_take(taken, 1);
    poller = poller_open();
    table.wake(poller);
    assert_status(SC_OK, table.wait(poller, -1, &event, 1, &events_count));
    assert_int_equal(events_count, 0);
    table.destroy(poller);
    crowd_release(taken, count);
}

static void a_poller_without_descriptors_says_so(void **state)
{
    struct rlimit limit;
    struct rlimit none;
    void *poller = &poller;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    sc_status status = table.create(table.user, &test.memory->table, &poller);
    setrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(status, SC_ERR_IO);
    assert_error_text_has("RLIMIT_NOFILE");
    assert_null(poller);
}

static void a_closed_descriptor_is_a_hangup_beside_what_others_tell(void **state)
{
    void *poller = poller_open();
    sc_event events[4];
    size_t count = 0;
    int ends[2];
    int gone;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    gone = dup(ends[0]);
    assert_status(SC_OK, table.watch(poller, gone, SC_READABLE, &gone));
    assert_status(SC_OK, table.watch(poller, ends[1], SC_WRITABLE, ends));
    close(gone);
    assert_status(SC_OK, table.wait(poller, -1, events, 4, &count));
    assert_int_equal(count, 2);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(events[i].ready, events[i].tag == &gone ? SC_HANGUP : SC_WRITABLE);
    assert_ptr_not_equal(events[0].tag, events[1].tag);
    assert_status(SC_OK, table.watch(poller, gone, 0, NULL));
    assert_status(SC_OK, table.wait(poller, -1, events, 4, &count));
    assert_int_equal(count, 1);
    table.destroy(poller);
    close(ends[0]);
    close(ends[1]);
}

static void a_program_that_closes_the_pollers_own_descriptor_is_told(void **state)
{
    void *poller;
    sc_event events[1];
    size_t count = 0;
    int next = dup(0); /* the number that the pipe's reading end is going to have */
    int kept;
    (void)state;
    close(next);
    poller = poller_open();
    kept = dup(next);
    close(next);
    assert_status(SC_ERR_IO, table.wait(poller, -1, events, 1, &count));
    assert_error_text_has("closed by somebody");
    assert_int_equal(dup2(kept, next), next);
    close(kept);
    table.wake(poller);
    assert_status(SC_OK, table.wait(poller, -1, events, 1, &count));
    assert_status(SC_ERR_ARGUMENT, table.watch(poller, next, SC_READABLE, &count));
    table.destroy(poller);
}

/* --- a client on it */

static sc_client *client_open(void)
{
    sc_config config = test_config(test_url());
    config.poller = &table;
    config.backoff_min_ms = 1;
    config.backoff_max_ms = 10;
    return test_open(&config);
}

static void until_it_answers(sc_client *client)
{
    WAIT_UNTIL(sc_command_strings(client, NULL, "PING", (const char *)NULL) == SC_OK);
}

#define THREADS 8
#define CALLS 200

typedef struct worker {
    pthread_t thread;
    sc_client *client;
    bool has_failed;
} worker;

static void *count_up(void *argument)
{
    worker *self = (worker *)argument;
    for (int i = 0; i < CALLS && !self->has_failed; i++)
        self->has_failed =
            sc_command_strings(self->client, NULL, "INCR", "counter", (const char *)NULL) != SC_OK;
    return NULL;
}

static void threads_share_a_client(void **state)
{
    sc_client *client = client_open();
    worker workers[THREADS];
    (void)state;
    memset(workers, 0, sizeof(workers));
    for (size_t i = 0; i < THREADS; i++) {
        workers[i].client = client;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, count_up, &workers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    for (size_t i = 0; i < THREADS; i++)
        assert_false(workers[i].has_failed);
    test_expect_integer(client, THREADS * CALLS + 1, "INCR", "counter", (const char *)NULL);
    assert_status(SC_OK, sc_close(client));
}

#define LARGE_BYTES ((size_t)8 << 20)

static void a_large_value_goes_both_ways(void **state)
{
    sc_client *client = client_open();
    sc_reply *reply = NULL;
    sc_slice words[3];
    char *value = (char *)malloc(LARGE_BYTES);
    (void)state;
    assert_non_null(value);
    for (size_t i = 0; i < LARGE_BYTES; i++)
        value[i] = (char)(i % 251);
    words[0] = sc_text("SET");
    words[1] = sc_text("large");
    words[2] = sc_bytes(value, LARGE_BYTES);
    assert_status(SC_OK, sc_command(client, words, 3, NULL, NULL));
    words[0] = sc_text("GET");
    assert_status(SC_OK, sc_command(client, words, 2, NULL, &reply));
    sc_slice got = sc_item_slice(sc_reply_item(reply));
    assert_int_equal(got.len, LARGE_BYTES);
    assert_memory_equal(got.data, value, LARGE_BYTES);
    sc_reply_release(reply);
    free(value);
    assert_status(SC_OK, sc_close(client));
}

static void asynchronous_calls_end_with_and_without_a_thread(void **state)
{
    (void)state;
    for (int has_thread = 0; has_thread <= 1; has_thread++) {
        sc_client *client = client_open();
        outcome outcomes[50];
        sc_slice words[2];
        memset(outcomes, 0, sizeof(outcomes));
        words[0] = sc_text("INCR");
        words[1] = sc_text(has_thread ? "with" : "without");
        if (has_thread)
            assert_status(SC_OK, sc_start(client));
        for (size_t i = 0; i < COUNT_OF(outcomes); i++)
            assert_status(SC_OK,
                          sc_command_async(client, words, 2, NULL, outcome_take, &outcomes[i]));
        for (size_t i = 0; i < COUNT_OF(outcomes); i++) {
            outcome_wait(client, &outcomes[i]);
            assert_status(SC_OK, outcomes[i].status);
            assert_int_equal(outcomes[i].integer, i + 1);
        }
        assert_status(SC_OK, sc_close(client));
    }
}

typedef struct inbox {
    uint32_t messages; /* atomic */
    uint32_t gaps;     /* atomic */
} inbox;

static void inbox_take(void *user, sc_status status, const sc_message *message)
{
    inbox *box = (inbox *)user;
    (void)message;
    __atomic_add_fetch(status == SC_OK ? &box->messages : &box->gaps, 1, __ATOMIC_ACQ_REL);
}

static uint32_t look(const uint32_t *number)
{
    return __atomic_load_n(number, __ATOMIC_ACQUIRE);
}

static void a_subscription_outlives_its_connection(void **state)
{
    sc_client *client = client_open();
    inbox box = {0, 0};
    sc_subscription subscription = 0;
    (void)state;
    assert_status(SC_OK, sc_subscribe(client, sc_text("news"), inbox_take, &box, &subscription));
    test_expect_integer(client, 1, "PUBLISH", "news", "one", (const char *)NULL);
    WAIT_UNTIL(look(&box.messages) == 1);
    assert_int_equal(fixture_cut_clients(test.server, "pubsub"), 1);
    WAIT_UNTIL(look(&box.gaps) == 1);
    test_expect_integer(client, 1, "PUBLISH", "news", "two", (const char *)NULL);
    WAIT_UNTIL(look(&box.messages) == 2);
    assert_status(SC_OK, sc_unsubscribe(client, subscription));
    assert_status(SC_OK, sc_close(client));
}

static void a_server_that_comes_back_is_used_again(void **state)
{
    sc_client *client = client_open();
    (void)state;
    test_expect_text(client, "OK", "SET", "k", "v", (const char *)NULL);
    fixture_kill(test.server);
    WAIT_UNTIL(test_call(client, NULL, NULL, "GET", "k", (const char *)NULL) == SC_ERR_CONNECT);
    assert_true(fixture_restart(test.server));
    until_it_answers(client);
    test_expect_text(client, "OK", "SET", "k", "v", (const char *)NULL);
    assert_status(SC_OK, sc_close(client));
}

static void a_connection_beyond_the_limit_fails_with_words_and_a_later_one_does_not(void **state)
{
    static int taken[FD_SETSIZE];
    sc_config config = test_config(test_url());
    sc_client *client;
    size_t count;
    (void)state;
    NEEDS_HIGH_DESCRIPTORS();
    config.poller = &table;
    config.lazy = true;
    config.backoff_min_ms = 1;
    config.backoff_max_ms = 10;
    client = test_open(&config);
    count = crowd_take(taken, 0);
    assert_status(SC_ERR_CONNECT, test_call(client, NULL, NULL, "PING", (const char *)NULL));
    assert_error_text_has("FD_SETSIZE");
    crowd_release(taken, count);
    until_it_answers(client);
    assert_status(SC_OK, sc_close(client));
}

/* --- */

static int limit_tests(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, test_teardown_bare)
        TEST(the_last_descriptor_below_the_limit_is_watched),
        TEST(a_descriptor_beyond_the_limit_is_refused_by_number),
        TEST(a_poller_that_would_get_a_high_descriptor_is_not_made),
        TEST(a_poller_without_descriptors_says_so),
        TEST(a_closed_descriptor_is_a_hangup_beside_what_others_tell),
        TEST(a_program_that_closes_the_pollers_own_descriptor_is_told),
    };
    return cmocka_run_group_tests_name("select and its limit", tests, NULL, NULL);
}

static int client_tests(void)
{
    const struct CMUnitTest tests[] = {
        bare_unit_test(threads_share_a_client),
        bare_unit_test(a_large_value_goes_both_ways),
        bare_unit_test(asynchronous_calls_end_with_and_without_a_thread),
        bare_unit_test(a_subscription_outlives_its_connection),
        bare_unit_test(a_server_that_comes_back_is_used_again),
        bare_unit_test(a_connection_beyond_the_limit_fails_with_words_and_a_later_one_does_not),
    };
    return run_on_both_wires("a client on select", tests);
}

int main(void)
{
    port_poller_subject poller;
    port_transport_subject transport;
    int failures;
    sc_select_poller(&table);
    memset(&poller, 0, sizeof(poller));
    poller.name = "the poller on select";
    poller.poller = table;
    poller.has_threads = true;
    poller.counts_descriptors = true;
    port_posix_pairs(&poller);
    memset(&transport, 0, sizeof(transport));
    transport.name = "the platform's transport, waited for by select";
    transport.poller = table;
    transport.has_threads = true;
    transport.can_fork = true;
    transport.counts_descriptors = true;
    port_posix_peers(&transport);
    if (!sc_platform_transport(&transport.transport))
        return 1;
    failures = port_conformance_poller(&poller);
    failures += port_conformance_transport(&transport);
    failures += limit_tests();
    failures += client_tests();
    return failures != 0;
}
