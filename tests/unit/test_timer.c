/* Timers: once, at intervals, by cron expressions; on a clock that stands until the test moves it. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "fault_memory.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CALLS 64
#define SECOND ((int64_t)1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define BOOT 5000000 /* the monotonic clock when a test begins */
#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"

typedef struct call {
    sc_timer timer;
    int64_t due_ms;
    int64_t now_ms; /* monotonic */
    int64_t wall_ms;
} call;

/* What callbacks leave behind, and what they are to do. */
typedef struct log {
    call calls[CALLS];
    size_t count;
    int64_t lasts_ms; /* the clocks go on meanwhile */
    sc_timer cancels; /* with this status: */
    sc_status status;
    bool cancels_itself;
    bool adds;
} log;

static fault_memory memory;
static sc_clock test_clock;
static int64_t now_ms;
static int64_t wall_ms;
static sc_client *client;
static log seen;

static int64_t clock_monotonic_ns(void *user)
{
    (void)user;
    return now_ms * 1000000;
}

static int64_t clock_wall_ms(void *user)
{
    (void)user;
    return wall_ms;
}

/* The same in each run. */
static sc_status fill_random(void *user, void *bytes, size_t len)
{
    (void)user;
    memset(bytes, 0x5a, len);
    return SC_OK;
}

static const sc_random test_random = {NULL, fill_random};

/* 2024-01-01 00:00 UTC, a Monday, and days after it. */
static int64_t day_of_2024(int day)
{
    return INT64_C(1704067200000) + day * DAY;
}

static sc_status open_client(void)
{
    sc_config config;
    memset(&config, 0, sizeof config);
    config.url = "embedded:";
    config.lazy = true;
    config.polled = true;
    config.idle_check_ms = -1;
    config.memory = &memory.table;
    config.clock = &test_clock;
    config.random = &test_random;
    return sc_open(&config, &client);
}

static int begin(void **state)
{
    (void)state;
    fault_memory_init(&memory);
    memset(&seen, 0, sizeof seen);
    test_clock.monotonic_ns = clock_monotonic_ns;
    test_clock.wall_ms = clock_wall_ms;
    now_ms = BOOT;
    wall_ms = day_of_2024(0);
    return open_client() == SC_OK ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    (void)sc_close(client);
    client = NULL;
    bool is_clean = fault_memory_is_clean(&memory);
    fault_memory_free(&memory);
    return is_clean ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

static void on_due(void *user, sc_timer timer, int64_t due_ms)
{
    log *into = (log *)user;
    call *made = &into->calls[into->count++ % CALLS];
    made->timer = timer;
    made->due_ms = due_ms;
    made->now_ms = now_ms;
    made->wall_ms = wall_ms;
    now_ms += into->lasts_ms;
    wall_ms += into->lasts_ms;
    if (into->cancels)
        into->status = sc_timer_cancel(client, into->cancels);
    if (into->cancels_itself)
        into->status = sc_timer_cancel(client, timer);
    if (into->adds)
        into->status = sc_after(client, 0, on_due, into, NULL);
}

static void poll_once(void)
{
    assert_int_equal(sc_poll(client, 0), SC_OK);
}

/* Both clocks go on, and the loop with them, `step_ms` at a time. */
static void pass_by(int64_t ms, int64_t step_ms)
{
    int64_t until_ms = now_ms + ms;
    while (now_ms < until_ms) {
        int64_t step = until_ms - now_ms < step_ms ? until_ms - now_ms : step_ms;
        now_ms += step;
        wall_ms += step;
        poll_once();
    }
}

static void assert_calls(size_t count)
{
    if (seen.count != count)
        fail_msg("%zu callbacks instead of %zu; the last was due at %lld", seen.count, count,
                 seen.count ? (long long)seen.calls[(seen.count - 1) % CALLS].due_ms : 0);
}

/* --- Once */

static void a_timer_is_due_once_after_its_delay(void **state)
{
    sc_timer timer = 0;
    (void)state;
    assert_int_equal(sc_after(client, 50, on_due, &seen, &timer), SC_OK);
    assert_true(timer != 0);
    pass_by(49, 7);
    assert_calls(0);
    pass_by(1, 1);
    assert_calls(1);
    assert_true(seen.calls[0].timer == timer);
    assert_true(seen.calls[0].due_ms == BOOT + 50);
    pass_by(1000, 100);
    assert_calls(1);
}

static void without_a_delay_it_is_due_at_the_next_poll_and_not_before(void **state)
{
    (void)state;
    assert_int_equal(sc_after(client, 0, on_due, &seen, NULL), SC_OK);
    assert_calls(0);
    poll_once();
    assert_calls(1);
}

static void timers_are_due_in_the_order_of_their_times(void **state)
{
    sc_timer late, early;
    (void)state;
    assert_int_equal(sc_after(client, 20, on_due, &seen, &late), SC_OK);
    assert_int_equal(sc_after(client, 10, on_due, &seen, &early), SC_OK);
    pass_by(100, 100);
    assert_calls(2);
    assert_true(seen.calls[0].timer == early);
    assert_true(seen.calls[1].timer == late);
}

static void a_callback_may_make_timers(void **state)
{
    (void)state;
    seen.adds = true;
    assert_int_equal(sc_after(client, 5, on_due, &seen, NULL), SC_OK);
    pass_by(5, 5);
    assert_calls(1);
    assert_int_equal(seen.status, SC_OK);
    poll_once();
    assert_calls(2);
}

/* --- Again and again */

static sc_every_config every(int64_t interval_ms)
{
    sc_every_config config;
    memset(&config, 0, sizeof config);
    config.interval_ms = interval_ms;
    config.on_due = on_due;
    config.user = &seen;
    return config;
}

static void make_every(const sc_every_config *config)
{
    if (sc_every(client, config, NULL) != SC_OK)
        fail_msg("%s", sc_error_text());
}

static void a_fixed_rate_does_not_drift(void **state)
{
    sc_every_config config = every(100);
    (void)state;
    seen.lasts_ms = 13;
    make_every(&config);
    for (int i = 1; i <= 5; i++) {
        pass_by(BOOT + i * 100 + 30 - now_ms, 3); /* noticed up to 2 ms late */
        assert_calls((size_t)i);
        assert_true(seen.calls[i - 1].due_ms == BOOT + i * 100);
    }
}

static void a_fixed_rate_does_not_make_up_for_what_it_missed(void **state)
{
    sc_every_config config = every(100);
    (void)state;
    make_every(&config);
    pass_by(350, 350); /* as after a sleep */
    assert_calls(1);
    assert_true(seen.calls[0].due_ms == BOOT + 100);
    pass_by(49, 1);
    assert_calls(1);
    pass_by(1, 1);
    assert_calls(2);
    assert_true(seen.calls[1].due_ms == BOOT + 400);
}

static void what_is_due_while_the_callback_runs_is_left_out(void **state)
{
    sc_every_config config = every(100);
    (void)state;
    seen.lasts_ms = 230;
    make_every(&config);
    pass_by(100, 100); /* it returns at 330 */
    assert_calls(1);
    pass_by(69, 1);
    assert_calls(1);
    pass_by(1, 1);
    assert_calls(2);
    assert_true(seen.calls[1].due_ms == BOOT + 400);
}

static void an_interval_may_begin_when_the_callback_has_returned(void **state)
{
    sc_every_config config = every(100);
    (void)state;
    config.after_end = true;
    seen.lasts_ms = 30;
    make_every(&config);
    pass_by(100, 100); /* it returns at 130 */
    pass_by(99, 1);
    assert_calls(1);
    pass_by(1, 1);
    assert_calls(2);
    assert_true(seen.calls[1].now_ms == BOOT + 230);
}

static void the_first_time_may_be_another(void **state)
{
    sc_every_config config = every(100);
    (void)state;
    config.first_ms = -1;
    make_every(&config);
    poll_once();
    assert_calls(1);
    pass_by(100, 1);
    assert_calls(2);
    config.first_ms = 7;
    memset(&seen, 0, sizeof seen);
    make_every(&config);
    pass_by(7, 1);
    assert_calls(1);
    assert_true(seen.calls[0].due_ms == now_ms);
}

static void jitter_delays_and_does_not_add_up(void **state)
{
    sc_every_config config = every(1000);
    bool has_moved = false;
    (void)state;
    config.jitter_ms = 100;
    make_every(&config);
    pass_by(20 * 1000 + 100, 1);
    assert_calls(20);
    for (int i = 0; i < 20; i++) {
        int64_t late_ms = seen.calls[i].now_ms - seen.calls[i].due_ms;
        assert_true(seen.calls[i].due_ms == BOOT + (i + 1) * 1000);
        assert_true(late_ms >= 0 && late_ms <= 101);
        has_moved = has_moved || late_ms > 1;
    }
    assert_true(has_moved);
}

/* --- Cancelling */

static void a_cancelled_timer_is_not_due(void **state)
{
    sc_every_config config = every(10);
    sc_timer once, again;
    (void)state;
    assert_int_equal(sc_after(client, 10, on_due, &seen, &once), SC_OK);
    assert_int_equal(sc_every(client, &config, &again), SC_OK);
    assert_int_equal(sc_timer_cancel(client, once), SC_OK);
    assert_int_equal(sc_timer_cancel(client, again), SC_OK);
    pass_by(100, 10);
    assert_calls(0);
}

static void stale_ids_are_harmless(void **state)
{
    sc_timer done, cancelled, lives;
    (void)state;
    assert_int_equal(sc_timer_cancel(client, 0), SC_MISS); /* none was made yet */
    assert_int_equal(sc_after(client, 0, on_due, &seen, &done), SC_OK);
    poll_once();
    assert_int_equal(sc_after(client, 5, on_due, &seen, &cancelled), SC_OK);
    assert_int_equal(sc_timer_cancel(client, cancelled), SC_OK);
    assert_int_equal(sc_after(client, 5, on_due, &seen, &lives), SC_OK);
    assert_true(lives != cancelled && lives != done);
    assert_int_equal(sc_timer_cancel(client, done), SC_MISS);
    assert_int_equal(sc_timer_cancel(client, cancelled), SC_MISS);
    assert_int_equal(sc_timer_cancel(client, 0), SC_MISS);
    pass_by(5, 5);
    assert_calls(2);
    assert_true(seen.calls[1].timer == lives);
}

static void a_callback_may_end_its_own_timer(void **state)
{
    sc_every_config config = every(10);
    sc_timer timer;
    (void)state;
    seen.cancels_itself = true;
    assert_int_equal(sc_every(client, &config, &timer), SC_OK);
    pass_by(100, 10);
    assert_calls(1);
    assert_int_equal(seen.status, SC_OK);
    assert_int_equal(sc_timer_cancel(client, timer), SC_MISS);
}

static void a_timer_that_is_due_can_still_be_cancelled_by_a_callback_before_it(void **state)
{
    sc_timer second;
    (void)state;
    assert_int_equal(sc_after(client, 5, on_due, &seen, NULL), SC_OK);
    assert_int_equal(sc_after(client, 6, on_due, &seen, &second), SC_OK);
    seen.cancels = second;
    pass_by(10, 10);
    assert_calls(1);
    assert_int_equal(seen.status, SC_OK);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static bool has_returned;

static void on_due_slow(void *user, sc_timer timer, int64_t due_ms)
{
    (void)timer;
    (void)due_ms;
    pthread_mutex_unlock((pthread_mutex_t *)user); /* the other thread may cancel now */
    usleep(20000);
    has_returned = true;
}

static void *cancel_when_it_runs(void *timer)
{
    pthread_mutex_lock(&gate);
    sc_status status = sc_timer_cancel(client, *(const sc_timer *)timer);
    bool was_over = has_returned;
    pthread_mutex_unlock(&gate);
    return status == SC_OK && was_over ? timer : NULL;
}

static void cancelling_waits_for_a_callback_on_another_thread(void **state)
{
    sc_every_config config = every(10);
    sc_timer timer;
    pthread_t other;
    void *result = NULL;
    (void)state;
    config.on_due = on_due_slow;
    config.user = &gate;
    has_returned = false;
    pthread_mutex_lock(&gate);
    assert_int_equal(sc_every(client, &config, &timer), SC_OK);
    assert_int_equal(pthread_create(&other, NULL, cancel_when_it_runs, &timer), 0);
    now_ms += 10;
    poll_once();
    assert_int_equal(pthread_join(other, &result), 0);
    assert_ptr_equal(result, &timer);
}

/* --- Cron */

static sc_cron_config cron(const char *expression, const char *zone)
{
    sc_cron_config config;
    memset(&config, 0, sizeof config);
    config.expression = expression;
    config.zone = zone;
    config.on_due = on_due;
    config.user = &seen;
    return config;
}

static void make_cron(const char *expression, const char *zone)
{
    sc_cron_config config = cron(expression, zone);
    if (sc_cron(client, &config, NULL) != SC_OK)
        fail_msg("%s", sc_error_text());
}

static void a_cron_timer_is_due_by_the_wall_clock(void **state)
{
    (void)state;
    wall_ms += 500;
    make_cron("*/15 * * * *", NULL);
    pass_by(HOUR, SECOND);
    assert_calls(4);
    for (int i = 0; i < 4; i++) {
        assert_true(seen.calls[i].due_ms == day_of_2024(0) + (i + 1) * 15 * MINUTE);
        assert_true(seen.calls[i].wall_ms - seen.calls[i].due_ms < SECOND);
    }
}

static void a_cron_timer_wakes_the_loop_just_in_time(void **state)
{
    (void)state;
    make_cron("1 0 * * *", NULL);
    pass_by(MINUTE - 1, MINUTE - 1);
    assert_calls(0);
    pass_by(1, 1);
    assert_calls(1);
}

/* On 2024-03-31 there is no 02:30 in Berlin; on 2024-10-27 there are two. */
static void a_cron_timer_follows_the_change_of_clocks(void **state)
{
    (void)state;
    wall_ms = day_of_2024(89); /* 30 March */
    make_cron("30 2 * * *", BERLIN);
    pass_by(3 * DAY, MINUTE);
    assert_calls(3);
    assert_true(seen.calls[0].due_ms == day_of_2024(89) + HOUR + 30 * MINUTE);
    assert_true(seen.calls[1].due_ms == day_of_2024(90) + HOUR); /* 03:00, after the leap */
    assert_true(seen.calls[2].due_ms == day_of_2024(91) + 30 * MINUTE);
    int64_t autumn_ms = day_of_2024(299) + 12 * HOUR; /* 26 October */
    now_ms += autumn_ms - wall_ms;
    wall_ms = autumn_ms;
    poll_once();
    memset(&seen, 0, sizeof seen);
    pass_by(2 * DAY, MINUTE);
    assert_calls(2);
    assert_true(seen.calls[0].due_ms == day_of_2024(300) + 30 * MINUTE);
    assert_true(seen.calls[1].due_ms == day_of_2024(301) + HOUR + 30 * MINUTE);
}

static void what_a_clock_set_forward_passes_over_is_due_once(void **state)
{
    (void)state;
    make_cron("0 * * * *", NULL);
    pass_by(10 * MINUTE, SECOND);
    wall_ms += 5 * HOUR;
    pass_by(MINUTE, SECOND); /* it is noticed within a minute */
    assert_calls(1);
    assert_true(seen.calls[0].due_ms == day_of_2024(0) + HOUR);
    pass_by(HOUR, SECOND);
    assert_calls(2);
    assert_true(seen.calls[1].due_ms == day_of_2024(0) + 6 * HOUR);
}

static void after_a_small_step_back_nothing_is_due_twice(void **state)
{
    (void)state;
    make_cron("0 * * * *", NULL);
    pass_by(HOUR + MINUTE, SECOND);
    assert_calls(1);
    wall_ms -= 2 * MINUTE;
    pass_by(HOUR, SECOND); /* past 01:00 for the second time */
    assert_calls(1);
    pass_by(2 * MINUTE, SECOND);
    assert_calls(2);
    assert_true(seen.calls[1].due_ms == day_of_2024(0) + 2 * HOUR);
}

static void after_a_large_step_back_it_goes_by_the_clock(void **state)
{
    (void)state;
    wall_ms = day_of_2024(300); /* wrong, as will be seen */
    make_cron("0 * * * *", NULL);
    pass_by(HOUR, SECOND);
    assert_calls(1);
    wall_ms = day_of_2024(0) + 10 * MINUTE;
    pass_by(HOUR, SECOND);
    assert_calls(2);
    assert_true(seen.calls[1].due_ms == day_of_2024(0) + HOUR);
}

static void what_is_due_while_a_cron_callback_runs_is_due_once_after_it(void **state)
{
    (void)state;
    make_cron("* * * * *", NULL);
    seen.lasts_ms = 3 * MINUTE + 30 * SECOND;
    pass_by(MINUTE, MINUTE); /* until 04:30 */
    assert_calls(1);
    seen.lasts_ms = 0;
    pass_by(1, 1);
    assert_calls(2);
    assert_true(seen.calls[1].due_ms == day_of_2024(0) + 2 * MINUTE);
    pass_by(30 * SECOND, SECOND);
    assert_calls(3);
    assert_true(seen.calls[2].due_ms == day_of_2024(0) + 5 * MINUTE);
}

static int64_t next_of(const char *expression, const char *zone, int64_t after_ms)
{
    sc_cron_config config = cron(expression, zone);
    int64_t next_ms = -1;
    config.on_due = NULL;
    if (sc_cron_next(&config, &memory.table, after_ms, &next_ms) != SC_OK)
        fail_msg("%s", sc_error_text());
    return next_ms;
}

static void the_next_time_of_an_expression(void **state)
{
    (void)state;
    int64_t day_ms = day_of_2024(0);
    assert_true(next_of("0 12 * * *", NULL, day_ms) == day_ms + 12 * HOUR);
    assert_true(next_of("0 12 * * *", "+02:00", day_ms) == day_ms + 10 * HOUR);
    assert_true(next_of("* * * * * *", NULL, day_ms) == day_ms + SECOND);
    assert_true(next_of("* * * * * *", NULL, day_ms - 1) == day_ms);
    assert_true(next_of("* * * * * *", NULL, -1) == 0);
    assert_true(next_of("* * * * * *", NULL, -1000) == 0);
    assert_true(next_of("@daily", NULL, -1500) == 0);
    assert_true(next_of("0 0 29 2 *", NULL, (int64_t)1 << 60) > (int64_t)1 << 60);
}

/* --- What is refused */

static void assert_refused(sc_status status, sc_status expected, const char *words)
{
    assert_int_equal(status, expected);
    if (!strstr(sc_error_text(), words))
        fail_msg("\"%s\" is not in \"%s\"", words, sc_error_text());
}

static void wrong_arguments_are_refused_with_words(void **state)
{
    sc_timer timer = 7;
    int64_t next_ms = 7;
    sc_every_config interval = every(0);
    sc_cron_config when = cron("61 * * * *", NULL);
    (void)state;
    assert_refused(sc_after(client, -1, on_due, NULL, &timer), SC_ERR_ARGUMENT, "delay_ms");
    assert_true(timer == 0);
    assert_refused(sc_after(client, INT64_MAX, on_due, NULL, NULL), SC_ERR_ARGUMENT, "delay_ms");
    assert_refused(sc_after(client, 1, NULL, NULL, NULL), SC_ERR_ARGUMENT, "on_due");
    assert_refused(sc_after(NULL, 1, on_due, NULL, NULL), SC_ERR_ARGUMENT, "client");
    assert_refused(sc_every(client, &interval, NULL), SC_ERR_ARGUMENT, "interval_ms");
    interval.interval_ms = 1;
    interval.first_ms = -2;
    assert_refused(sc_every(client, &interval, NULL), SC_ERR_ARGUMENT, "first_ms");
    interval.first_ms = 0;
    interval.jitter_ms = -1;
    assert_refused(sc_every(client, &interval, NULL), SC_ERR_ARGUMENT, "jitter_ms");
    interval.jitter_ms = 0;
    interval.on_due = NULL;
    assert_refused(sc_every(client, &interval, NULL), SC_ERR_ARGUMENT, "on_due");
    assert_refused(sc_every(client, NULL, NULL), SC_ERR_ARGUMENT, "sc_every_config");
    assert_refused(sc_cron(client, &when, NULL), SC_ERR_ARGUMENT, "byte 0");
    assert_refused(sc_cron_next(&when, NULL, 0, &next_ms), SC_ERR_ARGUMENT, "byte 0");
    when.expression = "* * * * *";
    when.zone = "Europe/Nowhere";
    when.zone_folder = "/nowhere";
    assert_refused(sc_cron(client, &when, NULL), SC_ERR_UNSUPPORTED, "/nowhere");
    when.zone = NULL;
    assert_refused(sc_cron_next(&when, NULL, INT64_MAX, &next_ms), SC_ERR_ARGUMENT, "after_ms");
    when.on_due = NULL;
    assert_refused(sc_cron(client, &when, NULL), SC_ERR_ARGUMENT, "on_due");
    when.expression = NULL;
    assert_refused(sc_cron_next(&when, NULL, 0, &next_ms), SC_ERR_ARGUMENT, "expression");
    assert_refused(sc_cron_next(NULL, NULL, 0, &next_ms), SC_ERR_ARGUMENT, "sc_cron_config");
    assert_true(next_ms == 7);
}

static void local_is_the_environments_zone(void **state)
{
    (void)state;
    char *before = getenv("TZ") ? strdup(getenv("TZ")) : NULL;
    setenv("TZ", "XYZ-5", 1);
    assert_true(next_of("0 12 * * *", "local", day_of_2024(0)) == day_of_2024(0) + 7 * HOUR);
    assert_true(next_of("0 12 * * *", NULL, day_of_2024(0)) == day_of_2024(0) + 12 * HOUR);
    if (before)
        setenv("TZ", before, 1);
    else
        unsetenv("TZ");
    free(before);
}

/* --- Files and memory */

static unsigned char tzif[128];
static size_t tzif_bytes;

/* A slim TZif file without transitions, whose footer is the rule. */
static void make_tzif(void)
{
    static const char head[] = "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                               "\0\0\0\1\0\0\0\4";
    static const char block[] = "\0\0\x0e\x10\0\0CET";
    memset(tzif, 0, sizeof tzif);
    tzif_bytes = 0;
    for (int i = 0; i < 2; i++) {
        memcpy(tzif + tzif_bytes, head, 44);
        tzif_bytes += 44;
        memcpy(tzif + tzif_bytes, block, 10);
        tzif_bytes += 10;
    }
    memcpy(tzif + tzif_bytes, "\nCET-1\n", 7);
    tzif_bytes += 7;
}

static int opened;

static sc_status file_open(void *user, const sc_memory *ours, const char *path, sc_file_mode mode,
                           void **file)
{
    (void)user;
    (void)ours;
    *file = NULL;
    if (mode != SC_FILE_READ || strcmp(path, "/zones/Berlin") != 0)
        return sc_fail(SC_MISS, "%s is not there", path);
    *file = tzif;
    opened++;
    return SC_OK;
}

static sc_status file_size(void *file, uint64_t *bytes)
{
    (void)file;
    *bytes = tzif_bytes;
    return SC_OK;
}

static sc_status file_fetch(void *file, uint64_t offset, void *buffer, size_t cap, size_t *count)
{
    size_t left = tzif_bytes - (size_t)offset;
    *count = cap < left ? cap : left;
    memcpy(buffer, (const unsigned char *)file + offset, *count);
    return SC_OK;
}

static void file_shut(void *file)
{
    (void)file;
    opened--;
}

static sc_files zone_files(void)
{
    sc_files files;
    memset(&files, 0, sizeof files);
    files.open = file_open;
    files.size = file_size;
    files.fetch = file_fetch;
    files.shut = file_shut;
    make_tzif();
    return files;
}

static void zones_are_read_by_the_programs_files(void **state)
{
    sc_files files = zone_files();
    sc_cron_config config = cron("0 12 * * *", "Berlin");
    (void)state;
    config.files = &files;
    config.zone_folder = "/zones";
    if (sc_cron(client, &config, NULL) != SC_OK)
        fail_msg("%s", sc_error_text());
    assert_int_equal(opened, 0);
    pass_by(11 * HOUR, MINUTE);
    assert_calls(1);
}

/* Each kind, from a client that has none yet. */
static sc_status make_all_kinds(void)
{
    sc_every_config interval = every(10);
    sc_files files = zone_files();
    sc_cron_config when = cron("* * * * *", "Berlin");
    when.files = &files;
    when.zone_folder = "/zones";
    sc_status status = sc_cron(client, &when, NULL);
    if (status == SC_OK)
        status = sc_every(client, &interval, NULL);
    if (status == SC_OK)
        status = sc_after(client, 5, on_due, &seen, NULL);
    return status;
}

static void any_allocation_may_fail(void **state)
{
    size_t failures = 0;
    sc_status status;
    (void)state;
    do {
        (void)sc_close(client);
        memset(&seen, 0, sizeof seen);
        fault_memory_fail(&memory, 0, false);
        assert_int_equal(open_client(), SC_OK);
        fault_memory_fail(&memory, failures + 1, false);
        status = make_all_kinds();
        if (status != SC_OK) {
            assert_int_equal(status, SC_ERR_MEMORY);
            failures++;
        }
        fault_memory_fail(&memory, 0, false);
        assert_int_equal(opened, 0);
        assert_int_equal(sc_after(client, 1, on_due, &seen, NULL), SC_OK);
        pass_by(1, 1);
        assert_calls(1);
    } while (status != SC_OK);
    assert_true(failures >= 5); /* three timers, what a client has of them, the zone */
}

/* --- The client's end, and children */

static void timers_end_with_the_client(void **state)
{
    (void)state;
    assert_int_equal(make_all_kinds(), SC_OK);
    pass_by(10, 1);
    assert_calls(2);
    assert_int_equal(sc_close(client), SC_OK);
    assert_calls(2);
    client = NULL;
}

static void a_callback_that_is_due_runs_before_the_client_closes(void **state)
{
    (void)state;
    assert_int_equal(sc_after(client, 5, on_due, &seen, NULL), SC_OK);
    now_ms += 5;
    sci_loop_lock(&client->loop);
    assert_true(sci_loop_drive_begin(&client->loop));
    assert_int_equal(sci_loop_step(&client->loop, 0), SC_OK);
    sci_loop_drive_end(&client->loop);
    sci_loop_unlock(&client->loop);
    assert_calls(0);
    assert_int_equal(sc_close(client), SC_OK);
    assert_calls(1);
    client = NULL;
}

static void exit_child(bool is_right)
{
    _exit(is_right ? 0 : 1);
}

static void assert_child_was_right(pid_t child)
{
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void a_child_has_none_of_its_parents_timers(void **state)
{
    sc_timer timer;
    (void)state;
    assert_int_equal(make_all_kinds(), SC_OK);
    assert_int_equal(sc_after(client, 5, on_due, &seen, &timer), SC_OK);
    pid_t child = fork();
    if (child == 0) {
        now_ms += HOUR;
        wall_ms += HOUR;
        bool is_right = sc_poll(client, 0) == SC_OK && seen.count == 0 &&
                        sc_timer_cancel(client, timer) == SC_MISS &&
                        sc_after(client, 5, on_due, &seen, NULL) == SC_OK;
        now_ms += 5;
        is_right = is_right && sc_poll(client, 0) == SC_OK && seen.count == 1 &&
                   sc_close(client) == SC_OK && fault_memory_live_blocks(&memory) == 0;
        exit_child(is_right);
    }
    assert_child_was_right(child);
    pass_by(5, 5);
    assert_calls(2);
}

static pid_t forked;
static size_t blocks_before_return;

static void on_due_fork(void *user, sc_timer timer, int64_t due_ms)
{
    (void)due_ms;
    forked = fork();
    if (forked == 0)
        *(sc_status *)user = sc_timer_cancel(client, timer);
    blocks_before_return = fault_memory_live_blocks(&memory);
}

static void a_callback_may_fork(void **state)
{
    sc_status status = SC_OK;
    sc_every_config config = every(10);
    (void)state;
    config.on_due = on_due_fork;
    config.user = &status;
    make_every(&config);
    now_ms += 10;
    (void)sc_poll(client, 0);
    if (forked == 0) {
        pid_t child = forked;
        bool is_freed = fault_memory_live_blocks(&memory) == blocks_before_return - 1;
        now_ms += 10;
        bool is_right = status == SC_MISS && is_freed && sc_poll(client, 0) == SC_OK;
        exit_child(is_right && forked == child);
    }
    assert_child_was_right(forked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_timer_is_due_once_after_its_delay),
        TEST(without_a_delay_it_is_due_at_the_next_poll_and_not_before),
        TEST(timers_are_due_in_the_order_of_their_times),
        TEST(a_callback_may_make_timers),
        TEST(a_fixed_rate_does_not_drift),
        TEST(a_fixed_rate_does_not_make_up_for_what_it_missed),
        TEST(what_is_due_while_the_callback_runs_is_left_out),
        TEST(an_interval_may_begin_when_the_callback_has_returned),
        TEST(the_first_time_may_be_another),
        TEST(jitter_delays_and_does_not_add_up),
        TEST(a_cancelled_timer_is_not_due),
        TEST(stale_ids_are_harmless),
        TEST(a_callback_may_end_its_own_timer),
        TEST(a_timer_that_is_due_can_still_be_cancelled_by_a_callback_before_it),
        TEST(cancelling_waits_for_a_callback_on_another_thread),
        TEST(a_cron_timer_is_due_by_the_wall_clock),
        TEST(a_cron_timer_wakes_the_loop_just_in_time),
        TEST(a_cron_timer_follows_the_change_of_clocks),
        TEST(what_a_clock_set_forward_passes_over_is_due_once),
        TEST(after_a_small_step_back_nothing_is_due_twice),
        TEST(after_a_large_step_back_it_goes_by_the_clock),
        TEST(what_is_due_while_a_cron_callback_runs_is_due_once_after_it),
        TEST(the_next_time_of_an_expression),
        TEST(wrong_arguments_are_refused_with_words),
        TEST(local_is_the_environments_zone),
        TEST(zones_are_read_by_the_programs_files),
        TEST(any_allocation_may_fail),
        TEST(timers_end_with_the_client),
        TEST(a_callback_that_is_due_runs_before_the_client_closes),
        TEST(a_child_has_none_of_its_parents_timers),
        TEST(a_callback_may_fork),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
