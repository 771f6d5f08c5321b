/* The log on disk: what it holds, torn and damaged files, somebody else's files, locks. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "log_test.h"

#define FIRST_RECORD_BYTES 79 /* the record that begins a log */

/* One write of each type, and of each kind of change. */
static const char *const every_type[] = {
    "SET string value",
    "APPEND string more",
    "SET gone x",
    "DEL gone",
    "SET expiring x PX 100000",
    "RPUSH list a b c",
    "LPOP list",
    "HSET hash f 1 g 2",
    "HINCRBY hash f 5",
    "PEXPIRE hash 200000",
    "SADD set a b c d",
    "SPOP set",
    "ZADD zset 1 a 2.5 b inf c",
    "ZINCRBY zset 0.1 a",
    "XADD stream * f v",
    "XADD stream * f w g x",
    "XTRIM stream MAXLEN 1",
    "SELECT 3",
    "SET other database",
    "INCRBYFLOAT number 0.1",
    "RENAME other another",
    "SELECT 0",
    "COPY list list2",
    "MOVE list2 3",
};

static void do_every_type(void)
{
    for (size_t i = 0; i < SCI_COUNT(every_type); i++)
        log_do(every_type[i]);
}

static const char *file_of(const char *name, size_t *size)
{
    const char *bytes = disk_look(&on.disk, name, size);
    assert_non_null(bytes);
    return bytes;
}

static size_t size_of(const char *name)
{
    size_t size;
    (void)file_of(name, &size);
    return size;
}

/* The file's commands, a line each, but for the digits of records. */
static void show_commands(const char *name, char *text, size_t cap)
{
    sci_request_limits limits = {INT32_MAX, INT32_MAX, 65536};
    sci_request request;
    size_t size;
    size_t len = 0;
    const char *bytes = file_of(name, &size);
    sci_request_init(&request, &test.memory.table, &limits);
    for (size_t at = 0, used = 0; at < size; at += used) {
        assert_int_equal(sci_request_read(&request, bytes + at, size - at, &used), SC_OK);
        for (size_t i = 0; i < request.word_count; i++) {
            sc_slice word = request.words[i];
            bool is_record = word.len > 11 && memcmp(word.data, "smartcache:", 11) == 0;
            size_t shown = is_record ? strcspn(word.data + 11, ":") + 11 : word.len;
            len += (size_t)snprintf(text + len, cap - len, "%s%.*s", i ? " " : "", (int)shown,
                                    word.data);
        }
        len += (size_t)snprintf(text + len, cap - len, "\n");
    }
    sci_request_free(&request);
}

static void assert_commands(const char *expected)
{
    char text[4096];
    show_commands("log", text, sizeof text);
    assert_string_equal(text, expected);
}

/* --- what it holds */

static void a_log_is_commands_with_records_between(void **state)
{
    (void)state;
    log_open();
    log_do("SET a 1");
    log_do("GET a");
    log_do("SET a 1 NX");
    log_do("SELECT 2");
    log_do("SET b 2");
    log_do("DEL a");
    log_do("DEL b");
    assert_commands("ECHO smartcache:log\n"
                    "ECHO smartcache:batch\nSELECT 0\nSET a 1\n"
                    "ECHO smartcache:batch\nSELECT 2\nSET b 2\n"
                    "ECHO smartcache:batch\nDEL b\n");
    assert_int_equal(sci_log_bytes(test.server->log), size_of("log"));
}

static void what_is_committed_together_is_one_batch(void **state)
{
    sci_session *session;
    (void)state;
    log_open();
    session = session_new();
    sci_session_feed(session, sc_text("SET a 1\r\nSET b 2\r\nSELECT 1\r\nSET c 3\r\n"));
    assert_string_equal(session_take(session), "+OK\r\n+OK\r\n+OK\r\n+OK\r\n");
    assert_commands("ECHO smartcache:log\n"
                    "ECHO smartcache:batch\nSELECT 0\nSET a 1\nSET b 2\nSELECT 1\nSET c 3\n");
}

static void transactions_that_write_are_wrapped(void **state)
{
    (void)state;
    log_open();
    log_do("MULTI");
    log_do("GET a");
    log_do("EXEC");
    log_do("MULTI");
    log_do("SET a 1");
    log_do("GET a");
    log_do("INCR a");
    log_do("EXEC");
    log_do("SET b 1");
    assert_commands("ECHO smartcache:log\n"
                    "ECHO smartcache:batch\nMULTI\nSELECT 0\nSET a 1\nINCR a\nEXEC\n"
                    "ECHO smartcache:batch\nSET b 1\n");
}

static void what_was_written_is_there_again(void **state)
{
    (void)state;
    log_open();
    do_every_type();
    uint64_t before = log_state();
    for (int i = 0; i < 3; i++) {
        log_close();
        log_open();
        assert_true(log_state() == before);
        assert_string_equal(on.notes, "");
    }
    log_kill();
    log_open();
    assert_true(log_state() == before);
    assert_log_reply("GET string", "$9\r\nvaluemore\r\n");
    assert_log_reply("PTTL expiring", ":100000\r\n");
}

static void what_has_expired_meanwhile_is_gone(void **state)
{
    (void)state;
    log_open();
    log_do("SET a 1 PX 1000");
    log_do("SET b 1");
    log_do("PEXPIRE b 1000");
    log_do("SET c 1 PX 9000");
    log_close();
    log_advance(5000);
    log_open();
    assert_log_reply("MGET a b c", "*3\r\n$-1\r\n$-1\r\n$1\r\n1\r\n");
    assert_log_reply("PTTL c", ":4000\r\n");
    assert_log_reply("DBSIZE", ":1\r\n");
}

static void what_expires_goes_by_a_command(void **state)
{
    (void)state;
    log_open();
    log_do("SET a 1 PX 1000");
    log_advance(1001);
    assert_log_reply("GET a", "$-1\r\n");
    assert_commands("ECHO smartcache:log\n"
                    "ECHO smartcache:batch\nSELECT 0\nSET a 1 PXAT 1700000001000\n"
                    "ECHO smartcache:batch\nDEL a\n");
}

/* --- torn */

static const char *const small_steps[] = {
    "SET a 1",      "INCR a",        "RPUSH l x y", "SELECT 1", "APPEND s abcdefghij",
    "APPEND s klm", "HINCRBY h f 7", "LPOP l",      "SELECT 0", "RPUSH l z",
    "INCR a",
};
#define SMALL_STEPS SCI_COUNT(small_steps)

/* The states after 0, 1, 2 ... of the steps. */
static uint64_t small_states[SMALL_STEPS + 1];

/* Returns the log's size. */
static size_t learn_small_states(void)
{
    log_open();
    for (size_t i = 0; i <= SMALL_STEPS; i++) {
        small_states[i] = log_state();
        if (i < SMALL_STEPS)
            log_do(small_steps[i]);
    }
    size_t size = size_of("log");
    log_close();
    return size;
}

/* Do the steps until one is not answered; returns how many were. */
static size_t do_small_steps(void)
{
    for (size_t i = 0; i < SMALL_STEPS; i++) {
        const char *reply = log_ask(small_steps[i]);
        if (!reply || reply[0] == '-')
            return i;
    }
    return SMALL_STEPS;
}

static void a_write_torn_at_any_byte_loses_that_write_alone(void **state)
{
    size_t size = learn_small_states();
    for (size_t bytes = 0; bytes <= size; bytes++) {
        disk_free(&on.disk);
        disk_init(&on.disk, LOG_TEST_ROOM, sc_fail);
        on.notes[0] = '\0';
        disk_die_after(&on.disk, bytes);
        size_t answered = 0;
        if (log_try_open() == SC_OK) {
            answered = do_small_steps();
            log_kill();
        } else {
            disk_restart(&on.disk);
        }
        on.notes[0] = '\0';
        log_open();
        uint64_t found = log_state();
        if (found != small_states[answered] &&
            (answered == SMALL_STEPS || found != small_states[answered + 1]))
            fail_msg("%zu of %zu bytes, %zu answered: a wrong state", bytes, size, answered);
        log_do("INCR again");
        found = log_state();
        log_close();
        log_open();
        assert_true(log_state() == found);
        log_close();
    }
    (void)state;
}

static void a_torn_tail_is_cut_off_and_told(void **state)
{
    (void)state;
    log_open();
    log_do("SET a 1");
    size_t size = size_of("log");
    log_do("SET b 2");
    size_t whole = size_of("log");
    log_close();
    on.notes[0] = '\0';
    char copy[1024];
    memcpy(copy, file_of("log", &whole), whole);
    disk_put(&on.disk, "log", copy, whole - 1);
    log_open();
    char words[128];
    (void)snprintf(words, sizeof words,
                   "the last %zu bytes of the log log are no whole batch, after a crash, and are "
                   "cut off\n",
                   whole - 1 - size);
    assert_string_equal(on.notes, words);
    assert_int_equal(size_of("log"), size);
    assert_log_reply("MGET a b", "*2\r\n$1\r\n1\r\n$-1\r\n");
}

static void zeros_at_the_end_are_a_torn_tail(void **state)
{
    char copy[8192];
    size_t size;
    (void)state;
    log_open();
    log_do("SET a 1");
    log_close();
    memset(copy, 0, sizeof copy);
    memcpy(copy, file_of("log", &size), size_of("log"));
    disk_put(&on.disk, "log", copy, sizeof copy);
    log_open();
    assert_log_reply("GET a", "$1\r\n1\r\n");
    assert_noted("cut off");
}

static void a_value_that_looks_like_a_log_is_not_taken_for_one(void **state)
{
    char copy[4096];
    size_t size;
    (void)state;
    log_open();
    log_do("SET a 1");
    log_do("SET b 1");
    memcpy(copy, file_of("log", &size), size_of("log"));
    /* The very log, and one that another server wrote, as the value of the last write. */
    sc_slice words[] = {sc_text("SET"), sc_text("c"), sc_bytes(copy, size)};
    sci_bytes command;
    sci_bytes_init(&command, &test.memory.table);
    assert_int_equal(sci_write_command(&command, words, 3), SC_OK);
    assert_int_equal(sci_bytes_append(&command, sc_text("SET d 1\r\n")), SC_OK);
    sci_session *session = session_new();
    sci_session_feed(session, sci_bytes_slice(&command));
    assert_string_equal(session_take(session), "+OK\r\n+OK\r\n");
    sci_bytes_free(&command);
    log_close();
    char torn[8192];
    size_t whole = size_of("log");
    memcpy(torn, file_of("log", &whole), whole);
    disk_put(&on.disk, "log", torn, whole - 3);
    log_open();
    assert_noted("cut off");
    assert_log_reply("MGET a b c d", "*4\r\n$1\r\n1\r\n$1\r\n1\r\n$-1\r\n$-1\r\n");
}

/* --- damaged */

static void no_flipped_bit_goes_unnoticed(void **state)
{
    size_t size = learn_small_states();
    char copy[4096];
    (void)state;
    memcpy(copy, file_of("log", &size), size_of("log"));
    for (size_t at = 0; at < size; at++) {
        disk_put(&on.disk, "log", copy, size);
        disk_flip(&on.disk, "log", at, 1 << at % 8);
        sc_status status = log_try_open();
        if (status == SC_OK) {
            /* Only the last batch can be taken for torn. */
            assert_true(log_state() == small_states[SMALL_STEPS - 1]);
            assert_noted("cut off");
            log_close();
        } else {
            assert_refused(status, SC_ERR_PROTOCOL,
                           strstr(sc_error_text(), "version") ? "of a later version"
                                                              : "the log log is damaged at byte ");
            assert_int_equal(size_of("log"), size);
        }
        on.notes[0] = '\0';
    }
}

/* A log of three batches whose second is damaged; returns where it begins. */
static size_t damage_the_second_of_three(void)
{
    log_open();
    log_do("SET a 1");
    size_t first = size_of("log");
    log_do("SET b 2");
    log_do("SET c 3");
    log_close();
    disk_flip(&on.disk, "log", first + 90, 4);
    return first;
}

static void damage_in_the_middle_is_refused_with_its_offset(void **state)
{
    size_t at = damage_the_second_of_three();
    char words[64];
    (void)state;
    (void)snprintf(words, sizeof words, "damaged at byte %zu of %zu", at, size_of("log"));
    assert_refused(log_try_open(), SC_ERR_PROTOCOL, words);
    assert_refused(log_try_open(), SC_ERR_PROTOCOL, "With sc_server_config.repair it is cut there");
    assert_refused(log_try_open(), SC_ERR_PROTOCOL, "kept as log.damaged");
    assert_null(disk_look(&on.disk, "log.damaged", &at));
}

static void a_repair_cuts_there_and_keeps_the_rest(void **state)
{
    size_t at = damage_the_second_of_three();
    size_t size = size_of("log");
    (void)state;
    on.repair = true;
    log_open();
    assert_noted("is damaged at byte");
    assert_int_equal(size_of("log"), at);
    assert_int_equal(size_of("log.damaged"), size - at);
    assert_log_reply("MGET a b c", "*3\r\n$1\r\n1\r\n$-1\r\n$-1\r\n");
    log_do("SET d 4");
    log_close();
    on.repair = false;
    log_open();
    assert_log_reply("MGET a d", "*2\r\n$1\r\n1\r\n$1\r\n4\r\n");
}

static void a_second_repair_keeps_what_the_first_has_kept(void **state)
{
    size_t at = damage_the_second_of_three();
    size_t kept = size_of("log") - at;
    (void)state;
    on.repair = true;
    log_open();
    log_do("SET b 2");
    log_do("SET c 3");
    size_t size = size_of("log");
    log_close();
    disk_flip(&on.disk, "log", at + 90, 4);
    log_open();
    assert_int_equal(size_of("log.damaged"), kept + size - at);
}

static void a_damaged_beginning_is_refused_and_repaired(void **state)
{
    (void)state;
    (void)damage_the_second_of_three();
    size_t size = size_of("log");
    disk_flip(&on.disk, "log", FIRST_RECORD_BYTES - 10, 1);
    assert_refused(log_try_open(), SC_ERR_PROTOCOL, "damaged at byte 0 of");
    on.repair = true;
    log_open();
    assert_log_reply("DBSIZE", ":0\r\n");
    assert_int_equal(size_of("log.damaged"), size);
}

static void a_command_that_cannot_be_executed_is_damage(void **state)
{
    sc_slice words[] = {sc_text("NONSENSE")};
    (void)state;
    log_open();
    log_do("SET a 1");
    size_t at = size_of("log");
    sci_session *session = session_new();
    sci_session_feed(session, sc_text("SET b 2\r\n"));
    sci_log_append(test.server->log, 0, words, 1);
    (void)session_take(session);
    log_do("SET c 3");
    log_close();
    char place[64];
    (void)snprintf(place, sizeof place, "damaged at byte %zu", at);
    assert_refused(log_try_open(), SC_ERR_PROTOCOL, place);
    assert_refused(log_try_open(), SC_ERR_PROTOCOL, "unknown command \"NONSENSE\"");
    on.repair = true;
    log_open();
    /* What stood before it in its batch has not been executed either. */
    assert_log_reply("MGET a b c", "*3\r\n$1\r\n1\r\n$-1\r\n$-1\r\n");
}

static void a_command_that_answers_an_error_is_damage(void **state)
{
    sc_slice words[] = {sc_text("INCR"), sc_text("a")};
    (void)state;
    log_open();
    log_do("SET a x");
    sci_log_append(test.server->log, 0, words, 2);
    sci_server_commit(test.server);
    log_close();
    assert_refused(log_try_open(), SC_ERR_PROTOCOL, "value is not an integer");
}

static void a_log_of_a_later_version_is_left_alone(void **state)
{
    static const char later[] = "*2\r\n$4\r\nECHO\r\n$22\r\nsmartcache:log:2:abcde\r\n";
    (void)state;
    disk_put(&on.disk, "log", later, sizeof later - 1);
    on.repair = true;
    assert_refused(log_try_open(), SC_ERR_PROTOCOL, "of a later version");
    assert_int_equal(size_of("log"), sizeof later - 1);
}

static void holes_of_a_host_that_crashed_are_cut_and_kept(void **state)
{
    (void)state;
    on.sync = SC_SYNC_EVERY_SECOND;
    log_open();
    log_do("SET a 1");
    log_pass(2000);
    size_t at = size_of("log");
    log_do("SET b 2");
    log_do("SET c 3");
    log_kill();
    disk_flip(&on.disk, "log", at + 90, 4);
    size_t size = size_of("log");
    on.notes[0] = '\0';
    log_open();
    assert_noted("cut off; they are kept as log.damaged");
    assert_int_equal(size_of("log.damaged"), size - at);
    assert_log_reply("MGET a b c", "*3\r\n$1\r\n1\r\n$-1\r\n$-1\r\n");
}

static void what_was_synced_and_is_damaged_is_no_hole(void **state)
{
    (void)state;
    on.sync = SC_SYNC_EVERY_SECOND;
    log_open();
    log_do("SET a 1");
    size_t at = size_of("log");
    log_do("SET b 2");
    log_pass(2000);
    log_do("SET c 3");
    log_kill();
    disk_flip(&on.disk, "log", at + 90, 4);
    assert_refused(log_try_open(), SC_ERR_PROTOCOL, "damaged at byte");
}

static void without_syncs_damage_in_the_middle_is_refused(void **state)
{
    (void)state;
    on.sync = SC_SYNC_NEVER;
    (void)damage_the_second_of_three();
    assert_refused(log_try_open(), SC_ERR_PROTOCOL, "damaged at byte");
}

/* --- what somebody else wrote */

static void put_text(const char *text)
{
    disk_put(&on.disk, "log", text, strlen(text));
}

static void what_redis_wrote_is_loaded_and_rewritten(void **state)
{
    (void)state;
    put_text("*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n#TS:1700000000\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1"
             "\r\n1\r\n*1\r\n$5\r\nMULTI\r\n*3\r\n$5\r\nRPUSH\r\n$1\r\nl\r\n$1\r\nx\r\n*1\r\n$4\r\n"
             "EXEC\r\n");
    log_open();
    assert_log_reply("GET a", "$1\r\n1\r\n");
    assert_log_reply("LRANGE l 0 -1", "*1\r\n$1\r\nx\r\n");
    log_do("SET b 2");
    log_pass(0);
    assert_noted("the log log was rewritten");
    log_kill();
    size_t size;
    assert_memory_equal(file_of("log", &size), "*2\r\n$4\r\nECHO\r\n", 14);
    log_open();
    assert_log_reply("MGET a b", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
    assert_log_reply("LRANGE l 0 -1", "*1\r\n$1\r\nx\r\n");
}

static void lines_as_a_person_types_them_are_loaded(void **state)
{
    (void)state;
    put_text("# a comment\nSET a \"1 2\"\n\nSELECT 3\nSET b 3\n");
    log_open();
    assert_log_reply("GET a", "$3\r\n1 2\r\n");
    log_do("SELECT 3");
    log_do("INCR b");
    log_kill();
    log_open();
    log_do("SELECT 3");
    assert_log_reply("GET b", "$1\r\n4\r\n");
}

static void what_redis_left_unfinished_is_cut_off(void **state)
{
    static const char whole[] = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";
    static const char torn[][64] = {
        "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$5\r\n12",
        "*",
        "*1\r\n$5\r\nMULTI\r\n",
        "*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\n1\r\n*1\r\n$4\r\nEX",
    };
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(torn); i++) {
        char text[512];
        (void)snprintf(text, sizeof text, "%s%s", whole, torn[i]);
        put_text(text);
        on.notes[0] = '\0';
        log_open();
        assert_noted("cut off");
        assert_log_reply("MGET a b", "*2\r\n$1\r\n1\r\n$-1\r\n");
        log_close();
    }
}

static void what_is_no_log_is_refused_and_left_alone(void **state)
{
    static const char foreign_seal[] =
        "*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nECHO\r\n$58\r\nsmartcache:log:1:"
        "5de794b08fe8b2af7197107095c97c12:12345678\r\n";
    static const char *const texts[] = {
        "127.0.0.1 localhost\n", "no line end", "SET a 1\n*3\r\n$3\r\nSET\r\nx\r\n",
        "SET a 1\nNONSENSE\n",   foreign_seal,
    };
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(texts); i++) {
        put_text(texts[i]);
        assert_refused(log_try_open(), SC_ERR_PROTOCOL, "damaged at byte");
        assert_int_equal(size_of("log"), strlen(texts[i]));
    }
}

static void damage_of_somebody_elses_commands_is_where_the_command_begins(void **state)
{
    (void)state;
    put_text("SET a 1\nMULTI\nSET b 2\nNONSENSE\nEXEC\nSET c 3\n");
    assert_refused(log_try_open(), SC_ERR_PROTOCOL, "damaged at byte 8 of");
    on.repair = true;
    log_open();
    assert_log_reply("MGET a b c", "*3\r\n$1\r\n1\r\n$-1\r\n$-1\r\n");
}

static void a_snapshot_of_redis_is_refused_with_what_to_do(void **state)
{
    (void)state;
    static const char snapshot[] = "REDIS0010\372\tredis-ver\0067.0.15";
    put_text(snapshot);
    on.repair = true;
    assert_refused(log_try_open(), SC_ERR_PROTOCOL, "aof-use-rdb-preamble");
    assert_int_equal(size_of("log"), strlen(snapshot));
}

static void logs_behind_one_another_are_one(void **state)
{
    char copy[4096];
    size_t size;
    (void)state;
    log_open();
    log_do("SELECT 1");
    log_do("SET a 1");
    log_close();
    size_t first = size_of("log");
    memcpy(copy, file_of("log", &size), first);
    disk_put(&on.disk, "log", "", 0);
    log_open();
    log_do("SET b 2");
    log_close();
    memcpy(copy + first, file_of("log", &size), size_of("log"));
    disk_put(&on.disk, "log", copy, first + size);
    log_open();
    log_do("SET c 3");
    log_kill();
    log_open();
    assert_log_reply("MGET b c", "*2\r\n$1\r\n2\r\n$1\r\n3\r\n");
    log_do("SELECT 1");
    assert_log_reply("GET a", "$1\r\n1\r\n");
}

/* --- large */

static void set_large(const char *key, size_t size)
{
    char *value = (char *)malloc(size);
    sci_bytes command;
    sci_session *session = session_new();
    assert_non_null(value);
    memset(value, 'v', size);
    sc_slice words[] = {sc_text("SET"), sc_text(key), sc_bytes(value, size)};
    sci_bytes_init(&command, &test.memory.table);
    assert_int_equal(sci_write_command(&command, words, 3), SC_OK);
    sci_session_feed(session, sci_bytes_slice(&command));
    assert_string_equal(session_take(session), "+OK\r\n");
    sci_bytes_free(&command);
    sci_session_close(session);
    free(value);
}

static void batches_larger_than_any_buffer_are_loaded(void **state)
{
    (void)state;
    log_open();
    set_large("a", 3000000);
    log_do("SET b 2");
    set_large("c", 700000);
    uint64_t before = log_state();
    log_kill();
    fault_memory_restart_counts(&test.memory);
    log_open();
    assert_true(log_state() == before);
    log_close();
    size_t at = size_of("log") - 500000;
    disk_flip(&on.disk, "log", at, 1);
    log_open();
    assert_noted("cut off");
    assert_log_reply("EXISTS a b c", ":2\r\n");
}

static int64_t hasty_monotonic_ns(void *user)
{
    (void)user;
    log_advance(600);
    return test.now_ms * 1000000;
}

static void loading_for_long_is_told(void **state)
{
    (void)state;
    log_open();
    for (int i = 0; i < 4; i++)
        set_large("a", 1500000);
    log_close();
    on.notes[0] = '\0';
    sc_server_config config = server_test_config();
    test.clock.monotonic_ns = hasty_monotonic_ns;
    config.logger = &on.logger;
    sci_log_config log = {"log", SC_SYNC_NEVER, false, UINT64_MAX, &on.disk.table};
    assert_int_equal(sci_server_create(&config, &test.server), SC_OK);
    assert_int_equal(sci_log_open(test.server, &log, &test.server->log), SC_OK);
    assert_noted("loading the log log: 2 of 5 MiB");
}

/* --- opening */

static void a_log_has_one_server(void **state)
{
    sci_log *second = NULL;
    sci_log_config log = {"log", SC_SYNC_ALWAYS, true, UINT64_MAX, &on.disk.table};
    (void)state;
    log_open();
    log_do("SET a 1");
    size_t size = size_of("log");
    assert_int_equal(sci_log_open(test.server, &log, &second), SC_HELD);
    assert_null(second);
    assert_int_equal(size_of("log"), size);
    log_do("SET b 1");
    log_close();
    log_open();
}

static void a_child_lets_go_without_a_byte(void **state)
{
    (void)state;
    log_open();
    log_do("SET a 1");
    on.rewrite_bytes = 1;
    assert_int_equal(sci_log_rewrite(test.server->log), SC_OK);
    sci_session *session = session_new();
    sci_session_feed(session, sc_text("SET b 1\r\n"));
    size_t size = size_of("log");
    sci_log_abandon(test.server->log, true);
    test.server->log = NULL;
    assert_int_equal(size_of("log"), size);
    assert_non_null(disk_look(&on.disk, "log.rewrite", &size));
}

static void what_a_rewriting_left_is_removed(void **state)
{
    size_t size;
    (void)state;
    disk_put(&on.disk, "log.rewrite", "half", 4);
    log_open();
    assert_null(disk_look(&on.disk, "log.rewrite", &size));
}

static void opening_fails_with_words_and_leaves_the_log_alone(void **state)
{
    (void)state;
    log_open();
    log_do("SET a 1");
    log_close();
    size_t size = size_of("log");
    for (size_t call = 1;; call++) {
        disk_fail(&on.disk, DISK_ALL, call, false);
        sc_status status = log_try_open();
        disk_fail(&on.disk, 0, 0, false);
        if (status == SC_OK)
            break;
        assert_refused(status, SC_ERR_IO, "the disk failed as it was asked to");
        assert_int_equal(size_of("log"), size);
        assert_int_equal(on.disk.handles, 0);
    }
    assert_log_reply("GET a", "$1\r\n1\r\n");
}

static void opening_without_memory_harms_nothing(void **state)
{
    (void)state;
    log_open();
    do_every_type();
    uint64_t before = log_state();
    log_close();
    size_t size = size_of("log");
    on.repair = true; /* want of memory is no damage */
    for (size_t request = 1;; request++) {
        fault_memory_fail(&test.memory, request, request % 2 == 0);
        sc_status status = log_try_open();
        fault_memory_fail(&test.memory, 0, false);
        if (status == SC_OK)
            break;
        assert_int_equal(status, SC_ERR_MEMORY);
        assert_int_equal(size_of("log"), size);
        assert_int_equal(fault_memory_live_blocks(&test.memory), 0);
    }
    assert_true(log_state() == before);
}

static void a_new_log_needs_room_and_an_old_one_does_not(void **state)
{
    (void)state;
    disk_set_room(&on.disk, 10);
    assert_refused(log_try_open(), SC_ERR_IO, "no space left on the disk");
    disk_set_room(&on.disk, LOG_TEST_ROOM);
    log_open();
    log_do("SET a 1");
    log_close();
    disk_set_room(&on.disk, 0);
    log_open();
    assert_log_reply("GET a", "$1\r\n1\r\n");
    const char *reply = log_ask("SET a 2");
    assert_int_equal(strncmp(reply, "-MISCONF Errors writing to the log: ", 36), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        log_unit_test(a_log_is_commands_with_records_between),
        log_unit_test(what_is_committed_together_is_one_batch),
        log_unit_test(transactions_that_write_are_wrapped),
        log_unit_test(what_was_written_is_there_again),
        log_unit_test(what_has_expired_meanwhile_is_gone),
        log_unit_test(what_expires_goes_by_a_command),
        log_unit_test(a_write_torn_at_any_byte_loses_that_write_alone),
        log_unit_test(a_torn_tail_is_cut_off_and_told),
        log_unit_test(zeros_at_the_end_are_a_torn_tail),
        log_unit_test(a_value_that_looks_like_a_log_is_not_taken_for_one),
        log_unit_test(no_flipped_bit_goes_unnoticed),
        log_unit_test(damage_in_the_middle_is_refused_with_its_offset),
        log_unit_test(a_repair_cuts_there_and_keeps_the_rest),
        log_unit_test(a_second_repair_keeps_what_the_first_has_kept),
        log_unit_test(a_damaged_beginning_is_refused_and_repaired),
        log_unit_test(a_command_that_cannot_be_executed_is_damage),
        log_unit_test(a_command_that_answers_an_error_is_damage),
        log_unit_test(a_log_of_a_later_version_is_left_alone),
        log_unit_test(holes_of_a_host_that_crashed_are_cut_and_kept),
        log_unit_test(what_was_synced_and_is_damaged_is_no_hole),
        log_unit_test(without_syncs_damage_in_the_middle_is_refused),
        log_unit_test(what_redis_wrote_is_loaded_and_rewritten),
        log_unit_test(lines_as_a_person_types_them_are_loaded),
        log_unit_test(what_redis_left_unfinished_is_cut_off),
        log_unit_test(what_is_no_log_is_refused_and_left_alone),
        log_unit_test(damage_of_somebody_elses_commands_is_where_the_command_begins),
        log_unit_test(a_snapshot_of_redis_is_refused_with_what_to_do),
        log_unit_test(logs_behind_one_another_are_one),
        log_unit_test(batches_larger_than_any_buffer_are_loaded),
        log_unit_test(loading_for_long_is_told),
        log_unit_test(a_log_has_one_server),
        log_unit_test(a_child_lets_go_without_a_byte),
        log_unit_test(what_a_rewriting_left_is_removed),
        log_unit_test(opening_fails_with_words_and_leaves_the_log_alone),
        log_unit_test(opening_without_memory_harms_nothing),
        log_unit_test(a_new_log_needs_room_and_an_old_one_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
