/* The port for lwIP, on stock lwIP inside of this program, against a real redis-server that is
   reached over lwIP's loopback and a relay, over libslirp, and over a tap device. */

#include "lwip_host.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- connecting */

static void a_command_gets_its_reply(void **state)
{
    sc_client *client = lwip_open();
    (void)state;
    test_expect_text(client, "OK", "SET", "k", "v", (const char *)NULL);
    test_expect_text(client, "v", "GET", "k", (const char *)NULL);
    assert_status(SC_OK, sc_close(client));
    server_expect("k", "v");
}

static void a_refused_connection_says_so(void **state)
{
    sc_config config = lwip_config(url_of(lwip.by->host, endpoint_free_port()));
    sc_client *client = NULL;
    (void)state;
    assert_status(SC_ERR_CONNECT, sc_open(&config, &client));
    assert_error_text_has("refused");
    assert_null(client);
}

static void an_address_without_a_route_says_so(void **state)
{
    sc_config config = lwip_config("redis://[2001:db8::1]:6379");
    sc_client *client = NULL;
    (void)state;
    assert_status(SC_ERR_CONNECT, sc_open(&config, &client));
    assert_error_text_has("no route");
    assert_error_text_has("2001:db8::1");
}

static void a_unix_socket_is_refused_with_words(void **state)
{
    sc_config config = lwip_config("unix:///nowhere");
    sc_client *client = NULL;
    (void)state;
    assert_status(SC_ERR_CONNECT, sc_open(&config, &client));
    assert_error_text_has("no Unix sockets");
}

static void a_network_that_is_silent_ends_the_attempt_at_its_time_out(void **state)
{
    sc_config config = lwip_config(url_of(lwip.by->host, server_port()));
    sc_client *client = NULL;
    (void)state;
    config.connect_timeout_ms = 100;
    rig_cut(true);
    assert_status(SC_ERR_CONNECT, sc_open(&config, &client));
    rig_cut(false);
}

static void an_lwip_without_sockets_left_says_which_option_to_raise(void **state)
{
    sc_config config = lwip_config(url_of(lwip.by->host, server_port()));
    sc_client *client = NULL;
    int sockets[256];
    size_t count = 0;
    (void)state;
    while (count < COUNT_OF(sockets) && (sockets[count] = rig_socket()) >= 0)
        count++;
    for (size_t spare = 0; spare < 2; spare++) {
        assert_true(sc_open(&config, &client) < 0);
        assert_error_text_has("MEMP_NUM_NETCONN");
        if (count > 0)
            rig_close(sockets[--count]); /* now there is one for the poller, and none to connect */
    }
    while (count > 0)
        rig_close(sockets[--count]);
}

static void an_allocation_that_fails_is_told_and_leaks_nothing(void **state)
{
    sc_config config = lwip_config(url_of(lwip.by->host, server_port()));
    size_t request = 1;
    sc_status status = SC_ERR_MEMORY;
    (void)state;
    for (; status != SC_OK; request++) {
        sc_client *client = NULL;
        fault_memory_fail(test.memory, request, false);
        status = sc_open(&config, &client);
        if (status == SC_OK && fault_memory_failures(test.memory) > 0)
            status = sc_command_strings(client, NULL, "PING", (const char *)NULL);
        if (fault_memory_failures(test.memory) == 0 && status != SC_OK)
            fail_msg("%s: %s", sc_status_name(status), sc_error_text());
        if (fault_memory_failures(test.memory) > 0 && status == SC_OK)
            status = SC_ERR_MEMORY; /* it could do without */
        fault_memory_fail(test.memory, 0, false);
        fault_memory_restart_counts(test.memory);
        (void)sc_close(client);
        assert_true(request < 1000);
    }
    assert_true(request > 3);
}

#define BEYOND_ALL_SOCKETS 1000000

static void a_descriptor_that_is_no_socket_of_lwip_is_refused(void **state)
{
    const sc_poller *table = &lwip.poller;
    void *poller = NULL;
    (void)state;
    assert_status(SC_OK, table->create(table->user, &test.memory->table, &poller));
    assert_status(SC_ERR_ARGUMENT, table->watch(poller, -1, SC_READABLE, NULL));
    assert_status(SC_ERR_ARGUMENT, table->watch(poller, BEYOND_ALL_SOCKETS, SC_READABLE, NULL));
    assert_error_text_has("no socket of lwIP");
    table->destroy(poller);
}

/* --- outages */

static void a_killed_server_is_noticed_and_its_successor_used(void **state)
{
    sc_client *client = lwip_open();
    sc_status status;
    (void)state;
    test_expect_text(client, "OK", "SET", "k", "v", (const char *)NULL);
    fixture_kill(test.server);
    status = test_call(client, NULL, NULL, "GET", "k", (const char *)NULL);
    assert_true(status == SC_ERR_DISCONNECTED || status == SC_ERR_CONNECT);
    assert_true(fixture_restart(test.server));
    until_it_answers(client);
    assert_status(SC_OK, sc_close(client));
}

static void a_call_on_a_stopped_server_times_out_and_its_late_reply_is_dropped(void **state)
{
    sc_client *client = lwip_open();
    sc_call_options quick;
    sc_stats stats;
    (void)state;
    memset(&quick, 0, sizeof quick);
    quick.timeout_ms = 50;
    test_expect_text(client, "OK", "SET", "k", "v", (const char *)NULL);
    fixture_pause(test.server);
    assert_status(SC_ERR_TIMEOUT, test_call(client, &quick, NULL, "GET", "k", (const char *)NULL));
    fixture_continue(test.server);
    test_expect_text(client, "PONG", "PING", (const char *)NULL);
    sc_stats_get(client, &stats);
    assert_int_equal(stats.timeouts, 1);
    assert_int_equal(stats.late_replies, 1);
    assert_int_equal(stats.connects, 1);
    assert_status(SC_OK, sc_close(client));
}

static void a_network_that_comes_back_is_used_again(void **state)
{
    sc_client *client = lwip_open();
    sc_call_options quick;
    (void)state;
    memset(&quick, 0, sizeof quick);
    quick.timeout_ms = 50;
    rig_cut(true);
    assert_status(SC_ERR_TIMEOUT, test_call(client, &quick, NULL, "PING", (const char *)NULL));
    rig_cut(false);
    until_it_answers(client);
    assert_status(SC_OK, sc_close(client));
}

/* --- bulk */

#define LARGE_BYTES ((size_t)64 << 20)
#define LARGE_PERIOD 251

static char pattern_at(size_t at)
{
    return (char)(at % LARGE_PERIOD);
}

static sc_status large_give(void *user, void *buffer, size_t cap, size_t *filled)
{
    size_t *at = (size_t *)user;
    for (size_t i = 0; i < cap; i++)
        ((char *)buffer)[i] = pattern_at(*at + i);
    *at += cap;
    *filled = cap;
    return SC_OK;
}

static sc_status large_check(void *user, size_t total, sc_slice piece)
{
    size_t *at = (size_t *)user;
    if (total != LARGE_BYTES)
        return sc_fail(SC_ERR_ARGUMENT, "%zu bytes", total);
    for (size_t i = 0; i < piece.len; i++)
        if (piece.data[i] != pattern_at(*at + i))
            return sc_fail(SC_ERR_ARGUMENT, "wrong at %zu", *at + i);
    *at += piece.len;
    return SC_OK;
}

static void sixty_four_mebibytes_go_both_ways_in_pieces(void **state)
{
    sc_client *client = lwip_open();
    sc_slice words[2];
    size_t at = 0;
    (void)state;
    test_words(words, 2, "SET", "large", (const char *)NULL);
    assert_status(SC_OK, sc_upload(client, words, 2, LARGE_BYTES, large_give, &at, NULL, NULL));
    assert_int_equal(at, LARGE_BYTES);
    test_words(words, 2, "GET", "large", (const char *)NULL);
    at = 0;
    assert_status(SC_OK, sc_download(client, words, 2, large_check, &at, NULL));
    assert_int_equal(at, LARGE_BYTES);
    assert_status(SC_OK, sc_close(client));
}

#define WHOLE_BYTES ((size_t)4 << 20)

static void a_value_of_mebibytes_goes_both_ways_whole(void **state)
{
    sc_client *client = lwip_open();
    char *value = (char *)malloc(WHOLE_BYTES);
    sc_slice words[3];
    sc_reply *reply = NULL;
    sc_slice bytes;
    (void)state;
    assert_non_null(value);
    for (size_t i = 0; i < WHOLE_BYTES; i++)
        value[i] = pattern_at(i);
    test_words(words, 2, "SET", "whole", (const char *)NULL);
    words[2] = sc_bytes(value, WHOLE_BYTES);
    assert_status(SC_OK, sc_command(client, words, 3, NULL, NULL));
    test_words(words, 2, "GET", "whole", (const char *)NULL);
    assert_status(SC_OK, sc_command(client, words, 2, NULL, &reply));
    bytes = sc_item_slice(sc_reply_item(reply));
    assert_int_equal(bytes.len, WHOLE_BYTES);
    assert_memory_equal(bytes.data, value, WHOLE_BYTES);
    sc_reply_release(reply);
    free(value);
    assert_status(SC_OK, sc_close(client));
}

/* --- messages */

typedef struct inbox {
    uint32_t messages; /* atomic */
    char last[64];
} inbox;

static void inbox_take(void *user, sc_status status, const sc_message *message)
{
    inbox *box = (inbox *)user;
    if (status != SC_OK || !message)
        return;
    snprintf(box->last, sizeof box->last, "%.*s", (int)message->payload.len, message->payload.data);
    __atomic_add_fetch(&box->messages, 1, __ATOMIC_RELEASE);
}

static uint32_t inbox_count(const inbox *box)
{
    return __atomic_load_n(&box->messages, __ATOMIC_ACQUIRE);
}

#define MESSAGES 100

static void messages_arrive_while_the_program_does_something_else(void **state)
{
    sc_client *client = lwip_open();
    sc_subscription subscription;
    inbox box;
    (void)state;
    memset(&box, 0, sizeof box);
    assert_status(SC_OK, sc_subscribe(client, sc_text("news"), inbox_take, &box, &subscription));
    WAIT_UNTIL(strstr(fixture_command(test.server, "PUBSUB", "CHANNELS", (const char *)NULL),
                      "news") != NULL);
    for (int i = 0; i < MESSAGES; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        fixture_command(test.server, "PUBLISH", "news", text, (const char *)NULL);
    }
    WAIT_UNTIL(inbox_count(&box) == MESSAGES);
    assert_string_equal(box.last, "99");
    assert_status(SC_OK, sc_unsubscribe(client, subscription));
    assert_status(SC_OK, sc_close(client));
}

/* --- threads */

#define THREADS 8
#define CALLS 100

typedef struct worker {
    pthread_t thread;
    sc_client *client;
    int number;
    char problem[SC_ERROR_TEXT_BYTES];
} worker;

static void *worker_run(void *argument)
{
    worker *self = (worker *)argument;
    for (int i = 0; i < CALLS && !self->problem[0]; i++) {
        char text[32];
        sc_reply *reply = NULL;
        sc_status status;
        snprintf(text, sizeof text, "%d:%d", self->number, i);
        status = sc_command_strings(self->client, &reply, "ECHO", text, (const char *)NULL);
        if (status != SC_OK || sc_item_slice(sc_reply_item(reply)).len != strlen(text) ||
            memcmp(sc_item_slice(sc_reply_item(reply)).data, text, strlen(text)) != 0)
            snprintf(self->problem, sizeof self->problem, "%s: %s: %.300s", text,
                     sc_status_name(status), sc_error_text());
        sc_reply_release(reply);
    }
    return NULL;
}

static void threads_that_share_the_client_get_their_own_replies(void **state)
{
    worker workers[THREADS];
    sc_client *client = lwip_open();
    (void)state;
    memset(workers, 0, sizeof workers);
    for (int i = 0; i < THREADS; i++) {
        workers[i].client = client;
        workers[i].number = i;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    for (int i = 0; i < THREADS; i++)
        if (workers[i].problem[0])
            fail_msg("thread %d: %s", i, workers[i].problem);
    assert_status(SC_OK, sc_close(client));
}

#define WAKES 5

static void the_clients_thread_is_woken_by_a_call(void **state)
{
    sc_client *client = lwip_open();
    sc_slice words[1];
    (void)state;
    assert_status(SC_OK, sc_start(client));
    words[0] = sc_text("PING");
    for (int i = 0; i < WAKES; i++) {
        outcome result;
        memset(&result, 0, sizeof result);
        assert_status(SC_OK, sc_command_async(client, words, 1, NULL, outcome_take, &result));
        WAIT_UNTIL(outcome_is_in(&result));
        assert_status(SC_OK, result.status);
    }
    assert_status(SC_OK, sc_close(client));
}

/* --- loss */

#define LOSS_PERMILLE 50
#define LOSSES 2u

static void calls_get_through_a_network_that_loses_packets(void **state)
{
    sc_client *client = lwip_open();
    unsigned lost = rig_lost();
    (void)state;
    rig_lose(LOSS_PERMILLE);
    for (int i = 0; rig_lost() - lost < LOSSES; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        test_expect_text(client, "OK", "SET", "k", text, (const char *)NULL);
        test_expect_text(client, text, "GET", "k", (const char *)NULL);
    }
    rig_lose(0);
    test_expect_text(client, "PONG", "PING", (const char *)NULL);
    assert_status(SC_OK, sc_close(client));
}

/* --- get-or-load between this program and one on POSIX sockets */

#define POSIX_KEY "shared"
#define POSIX_VALUE "from the POSIX program"

static sc_status posix_load(sc_load *load, void *user)
{
    sc_client *client = (sc_client *)user;
    sc_status status = sc_command_strings(client, NULL, "SET", "loading", "1", (const char *)NULL);
    while (status == SC_OK) {
        sc_reply *reply = NULL;
        size_t len = 0;
        status = sc_command_strings(client, &reply, "GET", "go", (const char *)NULL);
        len = sc_item_slice(sc_reply_item(reply)).len;
        sc_reply_release(reply);
        if (len > 0)
            break;
        wait_a_moment();
    }
    return status == SC_OK ? sc_load_write_text(load, POSIX_VALUE) : status;
}

static sc_status load_nothing(sc_load *load, void *user)
{
    (void)load;
    (void)user;
    return sc_fail(SC_ERR_LOADER, "this loader should not have been asked");
}

/* `program --posix URL EXPECTED`: loads if the expected value is its own, else waits. */
static int posix_main(const char *url, const char *expected)
{
    sc_config config;
    sc_client *client = NULL;
    sc_cache *cache = NULL;
    sc_value *value = NULL;
    sc_status status;
    bool is_loader = strcmp(expected, POSIX_VALUE) == 0;
    bool is_right = false;
    memset(&config, 0, sizeof config);
    config.url = url;
    config.timeout_ms = WAIT_WATCHDOG_MS;
    status = sc_open(&config, &client);
    if (status == SC_OK)
        status = sc_cache_open(client, NULL, &cache);
    if (status == SC_OK)
        status = sc_get_or_load(cache, sc_text(POSIX_KEY), is_loader ? posix_load : load_nothing,
                                client, NULL, &value);
    is_right = status == SC_OK && sc_value_bytes(value).len == strlen(expected) &&
               memcmp(sc_value_bytes(value).data, expected, strlen(expected)) == 0;
    if (!is_right)
        fprintf(stderr, "the POSIX program: %s: %s\n", sc_status_name(status), sc_error_text());
    sc_value_release(value);
    sc_cache_close(cache);
    (void)sc_close(client);
    return is_right ? 0 : 1;
}

static pid_t posix_start(const char *expected)
{
    const char *url = fixture_url(test.server, WIRE_TCP);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("/proc/self/exe", "posix", "--posix", url, expected, (char *)NULL);
        _exit(127);
    }
    return child;
}

static void posix_expect_success(pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static bool somebody_listens(void)
{
    return strncmp(fixture_command(test.server, "PUBSUB", "CHANNELS", (const char *)NULL), "*0",
                   2) != 0;
}

static void a_posix_program_waits_for_what_lwip_loads(void **state)
{
    sc_client *client = lwip_open();
    sc_cache *cache = cache_open(client, NULL);
    source from;
    caller asker;
    pid_t child;
    (void)state;
    memset(&from, 0, sizeof from);
    source_hold(&from);
    callers_start(&asker, 1, cache, POSIX_KEY, &from, NULL);
    WAIT_UNTIL(source_running(&from) == 1);
    child = posix_start("load 1");
    WAIT_UNTIL(somebody_listens());
    source_release(&from);
    callers_join(&asker, 1);
    callers_expect(&asker, 1, SC_OK, "load 1");
    posix_expect_success(child);
    assert_int_equal(source_loads(&from), 1);
    sc_cache_close(cache);
    assert_status(SC_OK, sc_close(client));
}

static void lwip_waits_for_what_a_posix_program_loads(void **state)
{
    sc_client *client = lwip_open();
    sc_cache *cache = cache_open(client, NULL);
    pid_t child;
    source from;
    caller asker;
    (void)state;
    memset(&from, 0, sizeof from);
    from.status = SC_ERR_LOADER;
    child = posix_start(POSIX_VALUE);
    WAIT_UNTIL(strcmp(fixture_command(test.server, "EXISTS", "loading", (const char *)NULL),
                      ":1\r\n") == 0);
    callers_start(&asker, 1, cache, POSIX_KEY, &from, NULL);
    WAIT_UNTIL(somebody_listens());
    fixture_command(test.server, "SET", "go", "1", (const char *)NULL);
    callers_join(&asker, 1);
    callers_expect(&asker, 1, SC_OK, POSIX_VALUE);
    posix_expect_success(child);
    assert_int_equal(source_loads(&from), 0);
    sc_cache_close(cache);
    assert_status(SC_OK, sc_close(client));
}

/* --- names */

static void a_name_is_looked_up_by_lwip(void **state)
{
    sc_config config = lwip_config(url_of(RIG_NAME_OF_SLIRP_HOST, server_port()));
    sc_client *client = test_open(&config);
    (void)state;
    test_expect_text(client, "PONG", "PING", (const char *)NULL);
    assert_status(SC_OK, sc_close(client));
}

static void a_name_of_an_ipv6_address_is_looked_up_by_lwip(void **state)
{
    sc_config config = lwip_config(url_of(RIG_NAME_OF_LOOPBACK_6, server_port()));
    sc_client *client;
    (void)state;
    rig_relay(server_port());
    lwip.sockets = rig_sockets_in_use();
    client = test_open(&config);
    test_expect_text(client, "PONG", "PING", (const char *)NULL);
    assert_status(SC_OK, sc_close(client));
}

static void a_name_that_does_not_exist_says_so(void **state)
{
    sc_config config = lwip_config(url_of(RIG_NAME_ABSENT, 6379));
    sc_client *client = NULL;
    (void)state;
    assert_status(SC_ERR_RESOLVE, sc_open(&config, &client));
    assert_error_text_has(RIG_NAME_ABSENT);
    assert_error_text_has("no address");
}

static void a_silent_name_server_ends_the_attempt_at_its_time_out(void **state)
{
    sc_config config = lwip_config(url_of(RIG_NAME_SILENT, 6379));
    sc_client *client = NULL;
    sc_status status;
    (void)state;
    config.connect_timeout_ms = 50;
    status = sc_open(&config, &client);
    assert_true(status == SC_ERR_RESOLVE || status == SC_ERR_CONNECT);
    /* lwIP goes on asking: the answer that never comes must not need the client. */
    WAIT_UNTIL(fault_memory_live_blocks(test.memory) == 0);
}

static void a_name_of_a_small_build_says_what_to_do(void **state)
{
    sc_config config = lwip_config(url_of(RIG_NAME_OF_SLIRP_HOST, 6379));
    sc_client *client = NULL;
    (void)state;
    assert_status(SC_ERR_RESOLVE, sc_open(&config, &client));
    assert_error_text_has("LWIP_DNS");
}

/* --- */

static const struct CMUnitTest all[] = {
    lwip_unit_test(a_command_gets_its_reply),
    lwip_unit_test(a_refused_connection_says_so),
    lwip_unit_test(an_address_without_a_route_says_so),
    lwip_unit_test(a_unix_socket_is_refused_with_words),
    lwip_unit_test(a_network_that_is_silent_ends_the_attempt_at_its_time_out),
    lwip_unit_test(an_lwip_without_sockets_left_says_which_option_to_raise),
    lwip_unit_test(an_allocation_that_fails_is_told_and_leaks_nothing),
    lwip_unit_test(a_descriptor_that_is_no_socket_of_lwip_is_refused),
    lwip_unit_test(a_killed_server_is_noticed_and_its_successor_used),
    lwip_unit_test(a_call_on_a_stopped_server_times_out_and_its_late_reply_is_dropped),
    lwip_unit_test(a_network_that_comes_back_is_used_again),
    lwip_unit_test(sixty_four_mebibytes_go_both_ways_in_pieces),
    lwip_unit_test(a_value_of_mebibytes_goes_both_ways_whole),
    lwip_unit_test(messages_arrive_while_the_program_does_something_else),
    lwip_unit_test(threads_that_share_the_client_get_their_own_replies),
    lwip_unit_test(the_clients_thread_is_woken_by_a_call),
    lwip_unit_test(calls_get_through_a_network_that_loses_packets),
    lwip_unit_test(a_posix_program_waits_for_what_lwip_loads),
    lwip_unit_test(lwip_waits_for_what_a_posix_program_loads),
    lwip_unit_test(a_name_is_looked_up_by_lwip),
    lwip_unit_test(a_name_of_an_ipv6_address_is_looked_up_by_lwip),
    lwip_unit_test(a_name_that_does_not_exist_says_so),
    lwip_unit_test(a_silent_name_server_ends_the_attempt_at_its_time_out),
};

static const struct CMUnitTest some[] = {
    lwip_unit_test(a_command_gets_its_reply),
    lwip_unit_test(a_refused_connection_says_so),
    lwip_unit_test(a_killed_server_is_noticed_and_its_successor_used),
    lwip_unit_test(a_call_on_a_stopped_server_times_out_and_its_late_reply_is_dropped),
    lwip_unit_test(a_value_of_mebibytes_goes_both_ways_whole),
    lwip_unit_test(messages_arrive_while_the_program_does_something_else),
    lwip_unit_test(threads_that_share_the_client_get_their_own_replies),
    lwip_unit_test(the_clients_thread_is_woken_by_a_call),
};

static const struct CMUnitTest of_a_small_build[] = {
    lwip_unit_test(a_descriptor_that_is_no_socket_of_lwip_is_refused),
    lwip_unit_test(a_name_of_a_small_build_says_what_to_do),
};

static void a_tap_device_is_permitted(void **state)
{
    print_message("           skipped: %s\n", (const char *)*state);
    skip();
}

/* Part of a group's name as the program's argument runs those alone. */
#define run_group(title, tests)                                                                    \
    (strstr(title, only)                                                                           \
         ? test_end(cmocka_run_group_tests_name(title, tests, group_setup, test_group_teardown))   \
         : 0)

static void run_groups(char *why_no_tap, const char *only)
{
    const struct CMUnitTest no_tap[] = {
        cmocka_unit_test_prestate(a_tap_device_is_permitted, why_no_tap)};
    choose(&by_slirp, &full);
    run_group("lwIP over libslirp, poll", all);
    choose(&by_slirp, &small);
    run_group("lwIP over libslirp, select, no loopback", some);
    run_group("lwIP over libslirp, a small build", of_a_small_build);
    choose(&by_relay, &full);
    run_group("lwIP over its loopback and a relay", some);
    choose(&by_relay_6, &small);
    run_group("lwIP over its IPv6 loopback and a relay, select", some);
    choose(&by_tap, &full);
    if (why_no_tap) {
        (void)cmocka_run_group_tests_name("lwIP over a tap device", no_tap, NULL, NULL);
    } else {
        rig_tap();
        run_group("lwIP over a tap device", some);
    }
}

int main(int argc, char **argv)
{
    char why[160];
    bool has_tap;
    if (argc == 4 && strcmp(argv[1], "--posix") == 0)
        return posix_main(argv[2], argv[3]);
    has_tap = rig_tap_begin(why, sizeof why);
    rig_start();
    rig_slirp();
    rig_name_server();

    run_groups(has_tap ? NULL : why, argc > 1 ? argv[1] : "");
    return test_end(0) != 0;
}
