/* Random commands on a random disk: it fails, is full, dies in the middle of a write; the host
   crashes; memory is short; the log is rewritten meanwhile. What is loaded afterwards must be a
   state that the data have had, and none older than what was promised. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "log_test.h"

#define SEEDS 60
#define ROUNDS 5
#define MOST_STEPS 150
#define KEYS 16 /* of each type and database */
#define DATABASES 3
/* Under SC_SYNC_EVERY_SECOND: a second, the sync, and how seldom this test looks. */
#define PROMISED_MS 1700

/* Kinds of trouble. */
#define DISK_FAILS 1u
#define MEMORY_FAILS 2u
#define DISK_IS_SMALL 4u

typedef struct seen_state {
    uint64_t digest;
    int64_t at_ms;
} seen_state;

typedef struct model {
    uint64_t seed;
    uint64_t random;
    unsigned trouble;
    seen_state states[MOST_STEPS * 4 + 8];
    size_t count;
    size_t promised; /* the last state that somebody was told of */
    int64_t safe_ms; /* what was told by then has been on the disk since */
    int64_t healthy_ms;
    size_t unanswered;
    size_t rewritings;
    int db; /* that the session has selected */
} model;

static model run;

/* xorshift64* (S. Vigna, 2016): the same numbers in every run. */
static uint64_t random_word(void)
{
    run.random ^= run.random >> 12;
    run.random ^= run.random << 25;
    run.random ^= run.random >> 27;
    return run.random * UINT64_C(2685821657736338717);
}

static unsigned below(unsigned bound)
{
    return (unsigned)((random_word() >> 32) % bound);
}

static bool one_in(unsigned bound)
{
    return below(bound) == 0;
}

/* --- commands. %k: a key of the type before; %v: a value; %i: a small number; %t: milliseconds;
   %d: a database. */

static const char *const forms[] = {
    "SET s%k %v",
    "SET s%k %v PX %t",
    "APPEND s%k %v",
    "APPEND s%k %v",
    "INCRBY n%k %i",
    "INCRBYFLOAT n%k 0.5",
    "SETRANGE s%k 3 %v",
    "GETSET s%k %v",
    "SET n%k %i",
    "DEL s%k l%k h%k",
    "UNLINK e%k z%k",
    "PEXPIRE s%k %t",
    "PEXPIRE l%k %t",
    "PEXPIRE h%k %t",
    "PERSIST s%k",
    "RENAME s%k s%k",
    "RENAME l%k l%k",
    "RENAMENX h%k h%k",
    "COPY s%k s%k",
    "COPY l%k l%k REPLACE",
    "COPY z%k z%k REPLACE",
    "COPY h%k h%k DB %d",
    "MOVE s%k %d",
    "MOVE l%k %d",
    "RPUSH l%k %v %v",
    "LPUSH l%k %v",
    "RPUSH l%k %v",
    "LPOP l%k",
    "RPOP l%k 2",
    "LINSERT l%k BEFORE %v %v",
    "LREM l%k 1 %v",
    "LTRIM l%k 1 5",
    "LMOVE l%k l%k LEFT RIGHT",
    "RPOPLPUSH l%k l%k",
    "HSET h%k %v %v",
    "HINCRBY h%k n %i",
    "HDEL h%k %v",
    "SADD e%k %v %v",
    "SREM e%k %v",
    "SPOP e%k",
    "SPOP e%k 2",
    "SMOVE e%k e%k %v",
    "SINTERSTORE e%k e%k e%k",
    "SUNIONSTORE e%k e%k e%k",
    "SDIFFSTORE e%k e%k e%k",
    "ZADD z%k %i %v",
    "ZINCRBY z%k %i %v",
    "ZPOPMIN z%k",
    "ZREM z%k %v",
    "ZUNIONSTORE z%k 2 z%k z%k",
    "ZINTERSTORE z%k 2 z%k e%k",
    "ZRANGESTORE z%k z%k 0 3",
    "XADD x%k * f %v",
    "XADD x%k MAXLEN 3 * f %v",
    "XTRIM x%k MAXLEN 2",
    "SELECT %d",
    "SELECT %d",
    "FLUSHDB",
    "FLUSHALL",
    "SWAPDB %d %d",
};

static size_t put_argument(char *out, size_t cap, char what)
{
    switch (what) {
    case 'k':
        return (size_t)snprintf(out, cap, "%u", below(KEYS));
    case 'v':
        /* Seldom a long one. */
        return (size_t)snprintf(out, cap, "%c%.*s", 'a' + (char)below(8), one_in(20) ? 90 : 0,
                                "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv"
                                "vvvvvvvvvvvvvvvvvvvvvvvvvvvvv");
    case 'i':
        return (size_t)snprintf(out, cap, "%u", below(100));
    case 't':
        return (size_t)snprintf(out, cap, "%u", 1 + below(8000));
    default:
        return (size_t)snprintf(out, cap, "%u", below(DATABASES));
    }
}

static size_t random_line(char *line, size_t cap)
{
    const char *form = forms[below((unsigned)SCI_COUNT(forms))];
    size_t len = 0;
    if (strncmp(form, "FLUSH", 5) == 0 && !one_in(8))
        form = "SWAPDB %d %d";
    for (; *form; form++) {
        if (*form == '%')
            len += put_argument(line + len, cap - len, *++form);
        else
            line[len++] = *form;
    }
    line[len++] = '\n';
    return len;
}

/* Commands, perhaps as a transaction, and their commit. */
static void do_some(void)
{
    char lines[4096];
    size_t len = 0;
    bool is_transaction = one_in(4);
    if (!on.session)
        on.session = sci_session_open(test.server, "test", true, NULL, NULL);
    if (!on.session)
        return; /* no memory */
    if (is_transaction)
        len = (size_t)snprintf(lines, sizeof lines, "MULTI\n");
    for (unsigned i = 1 + below(8); i > 0; i--)
        len += random_line(lines + len, sizeof lines - len);
    if (is_transaction)
        len += (size_t)snprintf(lines + len, sizeof lines - len, "EXEC\n");
    sci_session_feed(on.session, sc_bytes(lines, len));
}

/* --- judging */

static void note_state(bool is_told)
{
    assert_true(run.count < SCI_COUNT(run.states));
    run.states[run.count].digest = log_state();
    run.states[run.count].at_ms = test.now_ms;
    if (is_told)
        run.promised = run.count;
    run.count++;
}

static void commit(void)
{
    sci_server_commit(test.server);
    bool is_told = !on.session || !on.session->is_broken;
    note_state(is_told && !sci_log_failed_ms(test.server->log, NULL) && !on.disk.is_dead);
    if (on.session && sci_session_is_over(on.session)) {
        sci_session_close(on.session);
        on.session = NULL;
        run.unanswered++;
    } else if (on.session) {
        sci_session_sent(on.session, sci_session_output(on.session).len);
    }
}

static void let_time_pass(void)
{
    log_advance(below(300));
    for (unsigned i = 1 + below(2); i > 0; i--) {
        bool was_on = sci_log_is_rewriting(test.server->log);
        (void)sci_server_tick(test.server);
        run.rewritings += was_on && !sci_log_is_rewriting(test.server->log);
    }
    if (sci_log_failed_ms(test.server->log, NULL) || on.disk.is_dead)
        run.healthy_ms = test.now_ms + 1;
    else if (test.now_ms - run.healthy_ms > PROMISED_MS)
        run.safe_ms = test.now_ms - PROMISED_MS;
}

static void make_trouble(void)
{
    if ((run.trouble & DISK_FAILS) && one_in(15))
        disk_fail(&on.disk, one_in(2) ? DISK_ALL : 1u << below(DISK_OPS), 1 + below(5), one_in(4));
    else if (one_in(8))
        disk_fail(&on.disk, 0, 0, false);
    if ((run.trouble & MEMORY_FAILS) && one_in(15))
        fault_memory_fail(&test.memory, 1 + below(30), one_in(8));
    else if (one_in(4))
        fault_memory_fail(&test.memory, 0, false);
}

static void live(void)
{
    unsigned steps = below(MOST_STEPS);
    if (one_in(2))
        disk_die_after(&on.disk, below(60000));
    run.safe_ms = 0;
    run.healthy_ms = test.now_ms;
    for (unsigned dead = 0; steps > 0 && dead < 3; steps--, dead += on.disk.is_dead) {
        make_trouble();
        do_some();
        commit();
        if (one_in(5))
            (void)sci_log_rewrite(test.server->log);
        let_time_pass();
        commit();
    }
    disk_fail(&on.disk, 0, 0, false);
    fault_memory_fail(&test.memory, 0, false);
}

/* End it in one of many ways; returns the oldest state that may be found. */
static size_t end_it(void)
{
    size_t least = run.promised;
    bool is_well = !sci_log_failed_ms(test.server->log, NULL) && !on.disk.is_dead;
    unsigned way = below(4);
    on.session = NULL;
    if (way == 0 && is_well) {
        log_close();
        return run.count - 1;
    }
    log_kill();
    if (way == 1)
        return least;
    disk_crash(&on.disk, way == 2 ? 0 : random_word() | 1);
    if (on.sync == SC_SYNC_NEVER)
        return 0;
    while (on.sync == SC_SYNC_EVERY_SECOND && least > 0 && run.states[least].at_ms > run.safe_ms)
        least--;
    return least;
}

static void find_state(size_t least)
{
    uint64_t digest = log_state();
    for (size_t i = run.count; i > least; i--)
        if (run.states[i - 1].digest == digest)
            return;
    for (size_t i = 0; i < least; i++)
        if (run.states[i].digest == digest)
            fail_msg("seed %d: state %d of %d was found, %d was promised\n%s", (int)run.seed,
                     (int)i, (int)run.count, (int)least, on.notes);
    fail_msg("seed %d: a state that never was\n%s", (int)run.seed, on.notes);
}

static void live_and_die(uint64_t seed, unsigned trouble)
{
    memset(&run, 0, sizeof run);
    run.seed = seed;
    run.trouble = trouble;
    run.random = seed * UINT64_C(0x9e3779b97f4a7c15);
    (void)random_word();
    on.random = seed;
    on.sync = (sc_sync)below(3);
    on.rewrite_bytes = 2000;
    on.disk.has_no_reserve = one_in(2);
    on.disk.random = random_word() | 1;
    if (trouble & DISK_IS_SMALL)
        disk_set_room(&on.disk, one_in(2) ? 90000 + below(40000) : 5000 + below(150000));
    for (int round = 0; round < ROUNDS; round++) {
        size_t least = 0;
        if (round > 0)
            least = end_it();
        on.notes[0] = '\0';
        sc_status status = log_try_open();
        if (status != SC_OK && round == 0)
            break; /* no room for a log */
        /* Without syncs, a host that crashes may leave what is no torn tail. */
        if (status == SC_ERR_PROTOCOL && on.sync == SC_SYNC_NEVER)
            break;
        if (status != SC_OK)
            fail_msg("seed %d: %s", (int)seed, sc_error_text());
        if (round > 0)
            find_state(least);
        run.count = 0;
        note_state(true);
        live();
    }
    on.session = NULL;
    if (test.server)
        log_close();
}

static void live_and_die_often(unsigned trouble)
{
    size_t rewritings = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        live_and_die(seed, trouble);
        rewritings += run.rewritings;
        /* A disk and memory of its own for each. */
        assert_true(disk_free(&on.disk));
        disk_init(&on.disk, LOG_TEST_ROOM, sc_fail);
        assert_true(fault_memory_is_clean(&test.memory));
        log_advance(100000);
    }
    assert_true(rewritings > SEEDS);
}

static void nothing_promised_is_lost_and_nothing_else_is_found(void **state)
{
    (void)state;
    live_and_die_often(0);
}

static void not_on_a_disk_that_fails(void **state)
{
    (void)state;
    live_and_die_often(DISK_FAILS);
}

static void not_when_memory_is_short(void **state)
{
    (void)state;
    live_and_die_often(MEMORY_FAILS);
}

static void not_on_a_small_disk_with_all_of_it(void **state)
{
    (void)state;
    live_and_die_often(DISK_FAILS | MEMORY_FAILS | DISK_IS_SMALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        log_unit_test(nothing_promised_is_lost_and_nothing_else_is_found),
        log_unit_test(not_on_a_disk_that_fails),
        log_unit_test(not_when_memory_is_short),
        log_unit_test(not_on_a_small_disk_with_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
