/* Commands of strings and keys: what they leave behind without memory, and what the log gets. The
   replies themselves are compared with redis-server's by tests/differential. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "disk.h"
#include "server_test.h"

#define DUMP_BYTES 65536

/* --- the data as text */

typedef struct text_dump {
    sci_dump dump;
    char text[DUMP_BYTES];
    size_t len;
} text_dump;

static void add_text(text_dump *into, sc_slice text)
{
    assert_true(into->len + text.len + 1 < sizeof into->text);
    if (text.len)
        memcpy(into->text + into->len, text.data, text.len);
    into->len += text.len;
    into->text[into->len] = '\0';
}

static sc_status add_command(sci_dump *dump, const sc_slice *argv, size_t argc)
{
    text_dump *into = SCI_CONTAINER(dump, text_dump, dump);
    for (size_t i = 0; i < argc; i++) {
        add_text(into, argv[i]);
        add_text(into, sc_text(i + 1 < argc ? " " : "\n"));
    }
    return SC_OK;
}

static int compare_keys(const void *a, const void *b)
{
    sc_slice left = sci_entry_key(*(sci_entry *const *)a);
    sc_slice right = sci_entry_key(*(sci_entry *const *)b);
    int order = memcmp(left.data, right.data, sci_min_size(left.len, right.len));
    return order ? order : left.len < right.len ? -1 : left.len > right.len;
}

typedef struct entry_list {
    sci_entry *at[64];
    size_t count;
} entry_list;

static void add_entry(void *user, sci_entry *entry)
{
    entry_list *list = (entry_list *)user;
    assert_true(list->count < SCI_COUNT(list->at));
    list->at[list->count++] = entry;
}

/* The commands that make the data of two databases, in the order of their keys. */
static void dump_data(text_dump *into)
{
    into->dump.command = add_command;
    into->len = 0;
    into->text[0] = '\0';
    for (int i = 0; i < 2; i++) {
        sci_db *db = &test.server->dbs[i];
        entry_list list = {{NULL}, 0};
        uint64_t cursor = 0;
        do
            cursor = sci_db_walk(db, cursor, add_entry, &list);
        while (cursor);
        assert_int_equal(list.count, sci_db_count(db));
        qsort(list.at, list.count, sizeof *list.at, compare_keys);
        add_text(into, sc_text(i ? "--\n" : ""));
        for (size_t at = 0; at < list.count; at++)
            assert_int_equal(sci_entry_dump(db, list.at[at], &into->dump), SC_OK);
    }
}

/* --- without memory */

#define HUNDRED                                                                                    \
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"  \
    "123456789"
#define THOUSAND HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED

/* As many expire as there is room for in the first array of expiry times. */
static void fill(sci_session *session)
{
    static const char *const lines[] = {
        "SET short a",
        "SET number 9",
        "SET timed b PXAT 1800000000000",
        "SET long " THOUSAND,
        "RPUSH list a b c",
        "SET timed-long " THOUSAND " PXAT 1800000000000",
        "EXPIREAT list 1800000000",
    };
    sci_db_clear(&test.server->dbs[0]);
    sci_db_clear(&test.server->dbs[1]);
    for (size_t i = 0; i < SCI_COUNT(lines); i++)
        assert_true(session_ask(session, lines[i])[0] != '-');
    for (size_t i = test.server->dbs[0].expiry_count; i < 16; i++) {
        char line[64];
        snprintf(line, sizeof line, "SET x%zu 1 PXAT 1800000000000", i);
        assert_true(session_ask(session, line)[0] != '-');
    }
}

/* Each allocation fails in turn. */
static void assert_all_or_nothing(const char *line)
{
    static text_dump before, after;
    bool has_failed = true;
    for (size_t request = 1; has_failed; request++) {
        sci_session *session = session_new();
        fill(session);
        dump_data(&before);
        fault_memory_restart_counts(&test.memory);
        fault_memory_fail(&test.memory, request, request % 2 == 0);
        const char *reply = session_ask(session, line);
        has_failed = fault_memory_failures(&test.memory) > 0;
        fault_memory_fail(&test.memory, 0, false);
        dump_data(&after);
        if (strcmp(reply, "-OOM out of memory\r\n") == 0 && strcmp(before.text, after.text))
            fail_msg("%s without memory: was\n%s, is\n%s", line, before.text, after.text);
        if (!has_failed && reply[0] == '-')
            fail_msg("%s was answered by %s", line, reply);
        sci_session_close(session);
    }
}

static void a_command_without_memory_changes_nothing(void **state)
{
    static const char *const lines[] = {
        "SET new a",
        "SET new a EX 100",
        "SET short " HUNDRED,
        "SET short " HUNDRED " EX 100",
        "SET timed " THOUSAND " KEEPTTL",
        "SET list a",
        "SET long a GET",
        "SET short " THOUSAND " XX GET PX 1000",
        "SETNX new a",
        "SETEX short 100 " HUNDRED,
        "GETSET short " HUNDRED,
        "GETEX short EX 100",
        "GETEX timed PERSIST",
        "GETDEL long",
        "MSET new1 a short " HUNDRED " long b timed " THOUSAND " list c new2 d",
        "MSETNX new1 a new2 " THOUSAND " new3 b",
        "INCR new",
        "INCRBY number 999999999",
        "INCRBYFLOAT number 0.00000000001",
        "APPEND new a",
        "APPEND short " HUNDRED,
        "APPEND short " THOUSAND,
        "APPEND long " THOUSAND,
        "SETRANGE short 2000 a",
        "SETRANGE new 20 a",
        "SETBIT short 10000 1",
        "SETBIT new 7 1",
        "EXPIRE short 100",
        "PEXPIREAT long 1900000000000 NX",
        "RENAME short new",
        "RENAME timed-long list",
        "RENAMENX list new",
        "COPY short new",
        "COPY timed-long new",
        "COPY timed list REPLACE",
        "COPY list short REPLACE",
        "COPY list new DB 1",
        "MOVE list 1",
        "MOVE timed-long 1",
        "DEL short long list",
    };
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(lines); i++)
        assert_all_or_nothing(lines[i]);
}

/* --- the log */

/* Words of what was logged, a command a line; without the log's own. */
static void read_log(disk *files, size_t from, text_dump *into)
{
    size_t size;
    const char *at = disk_look(files, "log", &size);
    const char *end = at + size;
    into->len = 0;
    into->text[0] = '\0';
    at += from;
    while (at < end) {
        char *next;
        assert_int_equal(*at, '*');
        long words = strtol(at + 1, &next, 10);
        size_t line = into->len;
        for (at = next + 2; words > 0; words--) {
            long len = strtol(at + 1, &next, 10);
            add_text(into, sc_bytes(next + 2, (size_t)len));
            add_text(into, sc_text(words > 1 ? " " : "\n"));
            at = next + 2 + len + 2;
        }
        if (strncmp(into->text + line, "ECHO ", 5) == 0)
            into->len = line;
        into->text[into->len] = '\0';
    }
}

static void assert_logged(const char *line, const char *expected)
{
    static text_dump logged;
    disk files;
    sci_log_config config = {"log", SC_SYNC_NEVER, false, (uint64_t)1 << 40, &files.table};
    sci_session *session = session_new();
    size_t from;
    disk_init(&files, 1 << 20, sc_fail);
    assert_int_equal(sci_log_open(test.server, &config, &test.server->log), SC_OK);
    fill(session);
    (void)disk_look(&files, "log", &from);
    (void)session_ask(session, line);
    read_log(&files, from, &logged);
    assert_string_equal(logged.text, expected);
    sci_session_close(session);
    sci_log_close(test.server->log);
    test.server->log = NULL;
    assert_true(disk_free(&files));
}

/* The test's clock stands at 1700000000000 ms. */
static void the_log_gets_what_does_not_depend_on_time_or_chance(void **state)
{
    (void)state;
    assert_logged("set short 1", "set short 1\n");
    assert_logged("SET short 1 EX 10", "SET short 1 PXAT 1700000010000\n");
    assert_logged("SET short 1 XX GET KEEPTTL", "SET short 1 KEEPTTL\n");
    assert_logged("SET short b IFEQ a", "SET short b\n");
    assert_logged("SETEX short 10 1", "SET short 1 PXAT 1700000010000\n");
    assert_logged("PSETEX short 10 1", "SET short 1 PXAT 1700000000010\n");
    assert_logged("GETEX short EX 10", "PEXPIREAT short 1700000010000\n");
    assert_logged("GETEX timed PERSIST", "PERSIST timed\n");
    assert_logged("GETEX short PXAT 1", "DEL short\n");
    assert_logged("GETDEL short", "DEL short\n");
    assert_logged("GETSET short b", "SET short b\n");
    assert_logged("INCRBYFLOAT number 0.1", "SET number 9.1 KEEPTTL\n");
    assert_logged("EXPIRE short 10", "PEXPIREAT short 1700000010000\n");
    assert_logged("EXPIRE short 10 NX", "PEXPIREAT short 1700000010000\n");
    assert_logged("EXPIREAT short 1", "DEL short\n");
    assert_logged("PERSIST timed", "PERSIST timed\n");
}

static void what_changes_nothing_is_not_logged(void **state)
{
    static const char *const lines[] = {
        "SET short b NX",       "SET new b XX",       "SET short b IFEQ b",    "SETNX short b",
        "GETEX short",          "GETEX new EX 10",    "GETEX short PERSIST",   "GETDEL new",
        "INCR short",           "APPEND list a",      "SETRANGE short 5 \"\"", "SETBIT number 2 1",
        "EXPIRE new 10",        "EXPIRE timed 10 GT", "PERSIST short",         "RENAME short short",
        "RENAMENX short long",  "MOVE new 1",         "COPY short long",       "DEL new",
        "MSETNX new a short b", "GET short",
    };
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(lines); i++)
        assert_logged(lines[i], "");
}

/* --- what redis-server 7.0 does not have */

static void a_string_is_set_if_it_equals_another(void **state)
{
    sci_session *session = session_new();
    (void)state;
    fill(session);
    assert_reply(session, "SET short b IFEQ x", "$-1\r\n");
    assert_reply(session, "SET short b IFEQ a", "+OK\r\n");
    assert_reply(session, "SET short c IFEQ b GET", "$1\r\nb\r\n");
    assert_reply(session, "SET short d IFEQ b GET", "$1\r\nc\r\n");
    assert_reply(session, "GET short", "$1\r\nc\r\n");
    assert_reply(session, "SET new b IFEQ a", "$-1\r\n");
    assert_reply(session, "SET list b IFEQ a",
                 "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    assert_reply(session, "SET short b IFEQ", "-ERR syntax error\r\n");
    assert_reply(session, "SET short b IFEQ a NX", "-ERR syntax error\r\n");
    assert_reply(session, "SET short b XX IFEQ a", "-ERR syntax error\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        server_unit_test(a_command_without_memory_changes_nothing),
        server_unit_test(the_log_gets_what_does_not_depend_on_time_or_chance),
        server_unit_test(what_changes_nothing_is_not_logged),
        server_unit_test(a_string_is_set_if_it_equals_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
