#pragma once
/* A server with a log on a disk in memory, for tests of the log. */

#include "disk.h"
#include "log_digest.h"
#include "server_test.h"

#define LOG_TEST_ROOM ((size_t)64 << 20)
#define LOG_TEST_NOTES 4096

typedef struct log_test {
    disk disk;
    sc_logger logger;
    sc_random chance;
    uint64_t random;
    sc_sync sync;
    bool repair;
    bool has_thread;        /* for syncs */
    uint64_t rewrite_bytes; /* 0: no rewriting by itself */
    char notes[LOG_TEST_NOTES];
    sci_session *session;
} log_test;

static log_test on;

static void log_test_note(void *user, sc_log_level level, const char *text)
{
    log_test *self = (log_test *)user;
    size_t len = strlen(self->notes);
    (void)level;
    (void)snprintf(self->notes + len, sizeof self->notes - len, "%s\n", text);
}

/* The same numbers in every run. */
static sc_status log_test_fill(void *user, void *buffer, size_t len)
{
    log_test *self = (log_test *)user;
    for (size_t i = 0; i < len; i++) {
        self->random = self->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        ((unsigned char *)buffer)[i] = (unsigned char)(self->random >> 56);
    }
    return SC_OK;
}

/* The thread that syncs looks at the clock, too. */
static int64_t log_test_monotonic_ns(void *user)
{
    (void)user;
    return __atomic_load_n(&test.now_ms, __ATOMIC_RELAXED) * 1000000;
}

static inline void log_advance(int64_t ms)
{
    __atomic_store_n(&test.now_ms, test.now_ms + ms, __ATOMIC_RELAXED);
}

/* Nothing is open yet; a test may set things first. */
static inline int log_test_setup(void **state)
{
    (void)state;
    memset(&test, 0, sizeof test);
    memset(&on, 0, sizeof on);
    test.now_ms = 1700000000000;
    fault_memory_init(&test.memory);
    disk_init(&on.disk, LOG_TEST_ROOM, sc_fail);
    on.logger.user = &on;
    on.logger.level = SC_LOG_INFO;
    on.logger.write_line = log_test_note;
    on.chance.user = &on;
    on.chance.fill = log_test_fill;
    on.sync = SC_SYNC_ALWAYS;
    return 0;
}

static inline int log_test_teardown(void **state)
{
    int failed = server_test_teardown(state);
    return disk_free(&on.disk) ? failed : -1;
}

/* Open the server and its log, as the settings say. On an error there is no server. */
static sc_status log_try_open(void)
{
    sc_server_config config = server_test_config();
    sci_log_config log;
    test.clock.monotonic_ns = log_test_monotonic_ns;
    config.random = &on.chance;
    config.logger = &on.logger;
    config.polled = !on.has_thread;
    config.sync = on.sync;
    log.path = "log";
    log.sync = on.sync;
    log.repair = on.repair;
    log.rewrite_min_bytes = on.rewrite_bytes ? on.rewrite_bytes : UINT64_MAX;
    log.files = &on.disk.table;
    on.session = NULL;
    sc_status status = sci_server_create(&config, &test.server);
    if (status != SC_OK)
        return status;
    status = sci_log_open(test.server, &log, &test.server->log);
    if (status == SC_OK)
        return status;
    char words[SC_ERROR_TEXT_BYTES];
    (void)snprintf(words, sizeof words, "%s", sc_error_text());
    sci_server_free(test.server);
    test.server = NULL;
    return sc_fail(status, "%s", words);
}

static inline void log_open(void)
{
    if (log_try_open() != SC_OK)
        fail_msg("%s", sc_error_text());
}

static inline void log_close(void)
{
    sci_server_free(test.server);
    test.server = NULL;
}

/* The process dies, without another byte written; the disk is there again. */
static inline void log_kill(void)
{
    disk_die_after(&on.disk, 0);
    on.disk.is_dead = true;
    log_close();
    disk_restart(&on.disk);
}

/* Execute a line, and commit. What is answered, NULL: the session was cut off unanswered. */
static inline const char *log_ask(const char *line)
{
    if (!on.session) {
        on.session = session_new();
        on.session->is_internal = true;
    }
    const char *reply = session_ask(on.session, line);
    if (!on.session->is_broken)
        return reply;
    sci_session_close(on.session);
    on.session = NULL;
    return NULL;
}

static inline void log_do(const char *line)
{
    const char *reply = log_ask(line);
    if (!reply || reply[0] == '-')
        fail_msg("%s: %s", line, reply ? reply : "no answer");
}

#define assert_log_reply(line, expected) assert_string_equal(log_ask(line), expected)

/* Let time pass, and the server do what is due, until it has nothing to do before. */
static inline void log_pass(int64_t ms)
{
    int64_t end_ms = test.now_ms + ms;
    for (;;) {
        int64_t due_ns = sci_server_tick(test.server);
        sci_server_commit(test.server);
        if (due_ns / 1000000 > test.now_ms)
            log_advance(sci_min_i64(due_ns / 1000000, end_ms) - test.now_ms);
        if (test.now_ms >= end_ms && due_ns / 1000000 > end_ms)
            return;
    }
}

static inline void assert_noted(const char *words)
{
    if (!strstr(on.notes, words))
        fail_msg("no note says \"%s\":\n%s", words, on.notes);
}

static inline void assert_refused(sc_status status, sc_status expected, const char *words)
{
    assert_int_equal(status, expected);
    if (!strstr(sc_error_text(), words))
        fail_msg("\"%s\" does not say \"%s\"", sc_error_text(), words);
}

static inline uint64_t log_state(void)
{
    size_t fail_at = test.memory.fail_at;
    size_t requests = test.memory.requests;
    test.memory.fail_at = 0; /* dumping may need memory */
    uint64_t state = log_digest_of(test.server);
    test.memory.fail_at = fail_at;
    test.memory.requests = requests;
    return state;
}

#define log_unit_test(function)                                                                    \
    cmocka_unit_test_setup_teardown(function, log_test_setup, log_test_teardown)
