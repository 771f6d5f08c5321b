/* Servers that stay silent: idle checks, time-outs, replies that come late. */
#include "connection_test.h"
#include "support/fake_server.h"

#include <pthread.h>
#include <stdio.h>

/* --- silence */

static fake_server *silent_server(const fake_step *steps, size_t count)
{
    fake_script script;
    script.steps = steps;
    script.count = count;
    script.is_literal = true;
    return fake_server_start(test.kind, &script, 1);
}

static void a_peer_that_is_silent_from_the_start_costs_the_connect_timeout(void **state)
{
    fake_step step = fake_silence();
    fake_server *server = silent_server(&step, 1);
    sc_config config = test_config(fake_server_url(server));
    sc_client *client = NULL;
    (void)state;
    config.connect_timeout_ms = 50;
    assert_status(SC_ERR_CONNECT, sc_open(&config, &client));
    assert_null(client);
    assert_error_text_has("connect_timeout_ms");
    fake_server_stop(server);
}

static void a_server_that_never_accepts_costs_the_connect_timeout(void **state)
{
    fake_server *server = fake_server_start_deaf(test.kind);
    sc_config config = test_config(fake_server_url(server));
    sc_client *client = NULL;
    (void)state;
    config.connect_timeout_ms = 50;
    assert_status(SC_ERR_CONNECT, sc_open(&config, &client));
    assert_null(client);
    fake_server_stop(server);
}

static void an_idle_connection_that_does_not_answer_is_given_up(void **state)
{
    fake_step steps[6];
    fake_server *server;
    sc_config config;
    sc_client *client;
    (void)state;
    steps[0] = fake_exactly("PING"); /* the prelude's */
    steps[1] = fake_reply("+PONG\r\n");
    steps[2] = fake_expect("GET");
    steps[3] = fake_reply("$-1\r\n");
    steps[4] = fake_exactly("PING"); /* the check's */
    steps[5] = fake_expect("NEVER");
    server = silent_server(steps, 6);
    config = test_config(fake_server_url(server));
    config.idle_check_ms = 20;
    config.timeout_ms = 50;
    config.connect_timeout_ms = WAIT_WATCHDOG_MS;
    config.lazy = true; /* else opening may ask more */
    client = test_open(&config);
    assert_status(SC_OK, sc_start(client));
    (void)get(client, NULL, NULL);
    WAIT_UNTIL(fake_server_commands(server) == 3);
    WAIT_UNTIL(fake_server_open_connections(server) == 0);
    assert_status(SC_OK, sc_close(client));
    fake_server_stop(server);
}

static void an_idle_connection_that_answers_is_kept(void **state)
{
    fake_step step = fake_serve();
    fake_server *server = silent_server(&step, 1);
    sc_config config = test_config(fake_server_url(server));
    sc_client *client;
    (void)state;
    config.idle_check_ms = 5;
    client = test_open(&config);
    assert_status(SC_OK, sc_start(client));
    WAIT_UNTIL(fake_server_commands_of(server, "PING") >= 10);
    assert_int_equal(fake_server_connections(server), 1);
    assert_status(SC_OK, sc_close(client));
    fake_server_stop(server);
}

static void no_idle_check_is_made_when_it_is_off(void **state)
{
    fake_step step = fake_serve();
    fake_server *server = silent_server(&step, 1);
    sc_config config = test_config(fake_server_url(server));
    sc_client *checking;
    sc_client *quiet;
    (void)state;
    config.idle_check_ms = -1;
    quiet = test_open(&config);
    assert_status(SC_OK, sc_start(quiet));
    config.idle_check_ms = 5;
    checking = test_open(&config);
    assert_status(SC_OK, sc_start(checking));
    assert_status(SC_OK, sc_close(quiet));
    WAIT_UNTIL(fake_server_commands_of(server, "PING") >= 10);
    assert_status(SC_OK, sc_close(checking));
    fake_server_stop(server);
}

/* --- time-outs */

#define BOUND_MS 20 /* of lateness; the project's promise */
#define BOUND_TRIES 20

typedef sc_status (*timed_call)(const char *url, int64_t timeout_ms);

static sc_client *timed_client; /* on a paused server */

static sc_status timed_blocking(const char *url, int64_t timeout_ms)
{
    sc_call_options options;
    (void)url;
    memset(&options, 0, sizeof options);
    options.timeout_ms = timeout_ms;
    return get(timed_client, &options, NULL);
}

static sc_status timed_async(const char *url, int64_t timeout_ms)
{
    sc_call_options options;
    sc_slice words[1];
    outcome result;
    (void)url;
    memset(&options, 0, sizeof options);
    memset(&result, 0, sizeof result);
    options.timeout_ms = timeout_ms;
    words[0] = sc_text("PING");
    assert_status(SC_OK, sc_command_async(timed_client, words, 1, &options, outcome_take, &result));
    outcome_wait(timed_client, &result);
    return result.status;
}

static sc_status timed_open(const char *url, int64_t timeout_ms)
{
    sc_config config = test_config(url);
    sc_client *client = NULL;
    config.connect_timeout_ms = timeout_ms;
    return sc_open(&config, &client);
}

/* The best of some tries is on time, so that a busy machine does not matter; none is early. */
static void expect_on_time(timed_call call, const char *url, sc_status expected)
{
    static const int64_t timeouts_ms[] = {30, 100};
    size_t i;
    int try_number;
    for (i = 0; i < COUNT_OF(timeouts_ms); i++) {
        int64_t best_ns = INT64_MAX;
        for (try_number = 0; try_number < BOUND_TRIES && best_ns > BOUND_MS * (int64_t)1000000;
             try_number++) {
            int64_t begin_ns = wait_now_ns();
            int64_t late_ns;
            sc_status status;
            status = call(url, timeouts_ms[i]);
            /* A command may wait for the answer to an earlier one before it is sent. */
            if (status != SC_ERR_NOT_SENT || expected != SC_ERR_TIMEOUT)
                assert_status(expected, status);
            late_ns = wait_now_ns() - begin_ns - timeouts_ms[i] * 1000000;
            assert_true(late_ns >= 0);
            if (late_ns < best_ns)
                best_ns = late_ns;
        }
        if (best_ns > BOUND_MS * (int64_t)1000000)
            fail_msg("a time-out of %d ms came %d ms late at best", (int)timeouts_ms[i],
                     (int)(best_ns / 1000000));
    }
}

static void time_outs_come_when_they_were_asked_for(void **state)
{
    fake_step step = fake_silence();
    fake_server *server = silent_server(&step, 1);
    int with_thread;
    (void)state;
    expect_on_time(timed_open, fake_server_url(server), SC_ERR_CONNECT);
    fake_server_stop(server);
    for (with_thread = 0; with_thread < 2; with_thread++) {
        timed_client = test_open_url(test_url());
        if (with_thread)
            assert_status(SC_OK, sc_start(timed_client));
        test_expect_text(timed_client, "PONG", "PING", (const char *)NULL);
        fixture_pause(test.server);
        expect_on_time(timed_blocking, NULL, SC_ERR_TIMEOUT);
        expect_on_time(timed_async, NULL, SC_ERR_TIMEOUT);
        fixture_continue(test.server);
        test_expect_text(timed_client, "PONG", "PING", (const char *)NULL);
        assert_status(SC_OK, sc_close(timed_client));
    }
}

static void a_reply_that_comes_late_is_dropped(void **state)
{
    sc_call_options options;
    sc_stats stats;
    (void)state;
    memset(&options, 0, sizeof options);
    options.timeout_ms = 30;
    fixture_pause(test.server);
    assert_status(SC_ERR_TIMEOUT,
                  test_call(test.client, &options, NULL, "ECHO", "late", (const char *)NULL));
    sc_stats_get(test.client, &stats);
    assert_int_equal(stats.timeouts, 1);
    fixture_continue(test.server);
    test_expect_text(test.client, "mine", "ECHO", "mine", (const char *)NULL);
    sc_stats_get(test.client, &stats);
    assert_int_equal(stats.late_replies, 1);
    assert_int_equal(stats.connects, 1); /* on the same connection */
    assert_int_equal(stats.unanswered, 0);
}

#define MIXED_THREADS 8
#define MIXED_ROUNDS 60

typedef struct mixed {
    pthread_t threads[MIXED_THREADS];
    uint32_t stops;    /* atomic */
    uint32_t answered; /* atomic */
    uint32_t late;     /* atomic: calls that timed out */
    uint32_t wrong;    /* atomic: replies that were another's */
    uint32_t others;   /* atomic: other statuses */
    uint32_t next;     /* atomic: numbers the threads */
} mixed;

static void *mixed_run(void *argument)
{
    mixed *self = (mixed *)argument;
    uint32_t thread = __atomic_fetch_add(&self->next, 1, __ATOMIC_RELAXED);
    uint32_t call;
    for (call = 0; !__atomic_load_n(&self->stops, __ATOMIC_ACQUIRE); call++) {
        sc_call_options options;
        sc_slice words[2];
        sc_reply *reply = NULL;
        char text[32];
        sc_status status;
        memset(&options, 0, sizeof options);
        /* A few are patient, so that they outlast every pause. */
        options.timeout_ms =
            (thread + call) % 4 == 0 ? WAIT_WATCHDOG_MS : 1 + (thread * 7 + call) % 40;
        snprintf(text, sizeof text, "%u.%u", thread, call);
        words[0] = sc_text("ECHO");
        words[1] = sc_text(text);
        status = sc_command(test.client, words, 2, &options, &reply);
        if (status == SC_OK && sc_item_expect(sc_reply_item(reply), text) == SC_OK)
            __atomic_add_fetch(&self->answered, 1, __ATOMIC_RELEASE);
        else if (status == SC_OK)
            __atomic_add_fetch(&self->wrong, 1, __ATOMIC_RELEASE);
        else if (status == SC_ERR_TIMEOUT || status == SC_ERR_NOT_SENT)
            __atomic_add_fetch(&self->late, 1, __ATOMIC_RELEASE);
        else
            __atomic_add_fetch(&self->others, 1, __ATOMIC_RELEASE);
        sc_reply_release(reply);
    }
    return NULL;
}

static void a_late_reply_never_reaches_another_call(void **state)
{
    mixed self;
    int i;
    (void)state;
    memset(&self, 0, sizeof self);
    for (i = 0; i < MIXED_THREADS; i++)
        assert_int_equal(pthread_create(&self.threads[i], NULL, mixed_run, &self), 0);
    for (i = 0; i < MIXED_ROUNDS; i++) {
        uint32_t late;
        uint32_t answered;
        fixture_pause(test.server);
        late = __atomic_load_n(&self.late, __ATOMIC_ACQUIRE);
        WAIT_UNTIL(__atomic_load_n(&self.late, __ATOMIC_ACQUIRE) >= late + 2);
        fixture_continue(test.server);
        answered = __atomic_load_n(&self.answered, __ATOMIC_ACQUIRE);
        WAIT_UNTIL(__atomic_load_n(&self.answered, __ATOMIC_ACQUIRE) >= answered + 20);
    }
    __atomic_store_n(&self.stops, 1, __ATOMIC_RELEASE);
    for (i = 0; i < MIXED_THREADS; i++)
        pthread_join(self.threads[i], NULL);
    assert_int_equal(self.wrong, 0);
    assert_int_equal(self.others, 0);
}

static void one_late_call_does_not_end_others(void **state)
{
    sc_call_options options;
    sc_slice words[2];
    outcome patient;
    outcome hasty;
    (void)state;
    memset(&options, 0, sizeof options);
    memset(&patient, 0, sizeof patient);
    memset(&hasty, 0, sizeof hasty);
    words[0] = sc_text("ECHO");
    fixture_pause(test.server);
    options.timeout_ms = 30;
    words[1] = sc_text("hasty");
    assert_status(SC_OK, sc_command_async(test.client, words, 2, &options, outcome_take, &hasty));
    options.timeout_ms = 0;
    words[1] = sc_text("patient");
    assert_status(SC_OK, sc_command_async(test.client, words, 2, &options, outcome_take, &patient));
    outcome_wait(test.client, &hasty);
    assert_status(SC_ERR_TIMEOUT, hasty.status);
    assert_false(outcome_is_in(&patient));
    fixture_continue(test.server);
    outcome_wait(test.client, &patient);
    assert_status(SC_OK, patient.status);
    assert_string_equal(patient.text, "patient");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        bare_unit_test(a_peer_that_is_silent_from_the_start_costs_the_connect_timeout),
        bare_unit_test(a_server_that_never_accepts_costs_the_connect_timeout),
        bare_unit_test(an_idle_connection_that_does_not_answer_is_given_up),
        bare_unit_test(an_idle_connection_that_answers_is_kept),
        bare_unit_test(no_idle_check_is_made_when_it_is_off),
        bare_unit_test(time_outs_come_when_they_were_asked_for),
        client_unit_test(a_reply_that_comes_late_is_dropped),
        client_unit_test(a_late_reply_never_reaches_another_call),
        client_unit_test(one_late_call_does_not_end_others),
    };
    return run_on_both_wires("time-outs", tests);
}
