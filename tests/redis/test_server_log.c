/* The embedded server's log: its process is killed at moments by chance, again and again, while
   others write, and while the log is rewritten. Nothing that was answered is missing, nothing is
   there twice; and a Redis that is given the log has the same.

   SMARTCACHE_LOG_KILLS: how often it is killed, SMARTCACHE_LOG_SEED: by which chance. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smartcache.h"

#include "support/endpoint.h"
#include "support/folder.h"
#include "support/processes.h"
#include "support/redis_fixture.h"
#include "support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KILLS 300 /* of all tests together */
#define TESTS 2
#define WRITERS 3
#define WRITES (1 << 19) /* of a writer at most */
#define LIFE_MS 40       /* of the server at most, while others write */
#define REWRITE_MIN_BYTES 4096
#define STOP 0 /* counter: the writers are to end */
#define COMMAND_BYTES 256

typedef enum outcome {
    NOT_SENT,
    UNCERTAIN, /* sent, unanswered */
    ANSWERED
} outcome;

/* A writer's writes are numbered; what a number writes is its rest by KINDS. */
typedef enum kind { COUNTER, LIST, HASH, SET, ZSET, STREAM, STRING, TRANSACTION, KINDS } kind;

#define STRINGS 50 /* of a writer, which are written over */

typedef struct rig {
    endpoint at;
    char url[128];
    char log[128];
    sc_sync sync;
    uint64_t random;
    size_t rewritings;                 /* that a kill has ended */
    unsigned char (*outcomes)[WRITES]; /* of each writer; shared by the processes */
} rig;

static rig self;

/* xorshift64* (S. Vigna, 2016): the same numbers in every run. */
static uint64_t draw(uint64_t below)
{
    self.random ^= self.random >> 12;
    self.random ^= self.random << 25;
    self.random ^= self.random >> 27;
    return (self.random * UINT64_C(2685821657736338717) >> 33) % below;
}

static uint64_t setting(const char *name, uint64_t standard)
{
    const char *text = getenv(name);
    return text && text[0] ? strtoull(text, NULL, 10) : standard;
}

/* --- A connection, and commands as a person types them */

typedef struct peer {
    int descriptor; /* -1: there is none */
    char *reply;    /* owned, NUL-terminated */
    size_t len;
    size_t cap;
} peer;

static void peer_hang_up(peer *to)
{
    if (to->descriptor >= 0)
        close(to->descriptor);
    to->descriptor = -1;
}

static void peer_free(peer *to)
{
    peer_hang_up(to);
    free(to->reply);
}

static bool peer_send(const peer *to, const char *text)
{
    size_t len = strlen(text);
    return send(to->descriptor, text, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool peer_receive(peer *to)
{
    ssize_t count;
    if (to->len + 1 >= to->cap) {
        to->cap = 2 * (to->cap + 4096);
        to->reply = (char *)realloc(to->reply, to->cap);
        if (!to->reply)
            abort();
    }
    count = recv(to->descriptor, to->reply + to->len, to->cap - to->len - 1, 0);
    if (count <= 0)
        return false;
    to->len += (size_t)count;
    to->reply[to->len] = '\0';
    return true;
}

/* How far a walk through replies has come: `pending` are still to come. */
typedef struct walk {
    size_t at;
    size_t pending;
} walk;

/* Go over one item. False: it is not whole. `word`: a bulk's bytes, or a line's. */
static bool walk_on(walk *on, const peer *from, sc_slice *word)
{
    const char *line = from->reply + on->at;
    const char *end = (const char *)memchr(line, '\n', from->len - on->at);
    size_t next;
    if (!end)
        return false;
    next = (size_t)(end - from->reply) + 1;
    *word = sc_bytes(line + 1, (size_t)(end - line) - 2);
    on->pending--;
    if (*line == '*' && line[1] != '-') {
        on->pending += (size_t)strtoul(line + 1, NULL, 10);
    } else if (*line == '$' && line[1] != '-') {
        *word = sc_bytes(from->reply + next, (size_t)strtoul(line + 1, NULL, 10));
        next += word->len + 2;
        if (next > from->len)
            return false;
    }
    on->at = next;
    return true;
}

/* Read `replies`; where it was is remembered, since there may be many items. */
static bool peer_hear(peer *to, size_t replies)
{
    walk on;
    sc_slice word;
    on.at = 0;
    on.pending = replies;
    to->len = 0;
    while (on.pending > 0) {
        walk before = on;
        if (to->len > on.at && walk_on(&on, to, &word))
            continue;
        on = before;
        if (!peer_receive(to))
            return false;
    }
    return true;
}

/* --- The server's process, and the writers' */

static int serve(processes *shared, size_t index, void *user)
{
    sc_server_config config;
    sc_server *server;
    (void)shared;
    (void)index;
    (void)user;
    memset(&config, 0, sizeof config);
    config.listen_on = self.url;
    config.log_path = self.log;
    config.sync = self.sync;
    config.rewrite_min_bytes = REWRITE_MIN_BYTES;
    config.polled = self.sync == SC_SYNC_ALWAYS; /* both ways */
    if (sc_server_open(&config, &server) != SC_OK) {
        fprintf(stderr, "the server: %s\n", sc_error_text());
        return 1;
    }
    while (!config.polled)
        pause();
    while (sc_server_poll(server, -1) == SC_OK)
        continue;
    return 1;
}

/* The command with a number; returns how many replies it has. */
static size_t make_command(char *text, size_t writer, int n)
{
    static const char *const forms[KINDS] = {
        "INCR counter:%zu\r\n",
        "RPUSH list:%zu %d\r\n",
        "HSET hash:%zu f%d v%d\r\n",
        "SADD set:%zu %d\r\n",
        "ZADD zset:%zu %d m%d\r\n",
        "XADD stream:%zu %d-1 n v%d\r\n",
        "SET string:%zu:%d %d PX 1000000000\r\n",
        "MULTI\r\nINCR both:%zu\r\nRPUSH pair:%zu %d\r\nEXEC\r\n",
    };
    kind which = (kind)(n % KINDS);
    if (which == TRANSACTION)
        snprintf(text, COMMAND_BYTES, forms[which], writer, writer, n);
    else if (which == STRING)
        snprintf(text, COMMAND_BYTES, forms[which], writer, n / KINDS % STRINGS, n);
    else
        snprintf(text, COMMAND_BYTES, forms[which], writer, n, n);
    return which == TRANSACTION ? 4 : 1;
}

static int write_on(processes *shared, size_t writer, void *user)
{
    peer to = {-1, NULL, 0, 0};
    char text[COMMAND_BYTES];
    int n = 0;
    (void)user;
    while (!processes_read(shared, STOP) && n < WRITES) {
        size_t replies = make_command(text, writer, n);
        if (to.descriptor < 0)
            to.descriptor = endpoint_dial(&self.at);
        if (to.descriptor < 0) {
            wait_a_moment();
            continue;
        }
        self.outcomes[writer][n] = UNCERTAIN;
        if (!peer_send(&to, text) || !peer_hear(&to, replies)) {
            peer_hang_up(&to);
        } else if (to.reply[0] == '-' || strstr(to.reply, "\n-")) {
            fprintf(stderr, "%s gave %s\n", text, to.reply);
            return 1;
        } else {
            self.outcomes[writer][n] = ANSWERED;
        }
        n++;
    }
    peer_free(&to);
    return 0;
}

/* --- What must be there */

static void ask(peer *to, const char *format, ...)
{
    char text[COMMAND_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (!peer_send(to, text) || !peer_hear(to, 1) || to->reply[0] == '-')
        fail_msg("%s gave %s", text, to->reply ? to->reply : "nothing");
}

static size_t count_outcomes(size_t writer, kind which, outcome least)
{
    size_t count = 0;
    int n;
    for (n = (int)which; n < WRITES; n += KINDS)
        count += self.outcomes[writer][n] >= least;
    return count;
}

static long to_number(sc_slice word)
{
    char text[24];
    size_t skip = word.len > 0 && (word.data[0] < '0' || word.data[0] > '9') ? 1 : 0;
    size_t len = word.len - skip < sizeof text ? word.len - skip : sizeof text - 1;
    memcpy(text, word.data + skip, len);
    text[len] = '\0';
    return strtol(text, NULL, 10);
}

/* The answer's items, of which each `group` belong together and bear one number: each number once,
   none that was never sent, all that were answered. */
static void check_items(const peer *from, size_t writer, kind which, size_t group)
{
    static unsigned char seen[WRITES];
    walk on = {0, 1};
    sc_slice word;
    size_t i;
    int n;
    memset(seen, 0, sizeof seen);
    assert_true(walk_on(&on, from, &word)); /* how many there are */
    while (on.pending > 0) {
        long number = -1;
        for (i = 0; i < group; i++) {
            assert_true(walk_on(&on, from, &word));
            if (i > 0)
                assert_int_equal(to_number(word), number);
            number = to_number(word);
        }
        assert_in_range(number, 0, WRITES - 1);
        assert_int_equal(number % KINDS, which);
        if (self.outcomes[writer][number] == NOT_SENT || seen[number]++)
            fail_msg("writer %zu: %ld is there twice, or was never sent", writer, number);
    }
    for (n = (int)which; n < WRITES; n += KINDS)
        if (self.outcomes[writer][n] == ANSWERED && !seen[n])
            fail_msg("writer %zu: %d was answered and is not there", writer, n);
}

/* The same of a stream's entries: an array each, of an id and an array of a field and its value. */
static void check_stream(peer *from, size_t writer)
{
    walk on = {0, 1};
    sc_slice word;
    size_t entry;
    long last = -1;
    size_t answered = 0;
    assert_true(walk_on(&on, from, &word));
    for (entry = on.pending; entry > 0; entry--) {
        long number;
        assert_true(walk_on(&on, from, &word)); /* the entry */
        assert_true(walk_on(&on, from, &word)); /* its id */
        number = to_number(word);
        assert_true(walk_on(&on, from, &word)); /* what it holds */
        assert_true(walk_on(&on, from, &word));
        assert_true(walk_on(&on, from, &word));
        assert_int_equal(to_number(word), number);
        assert_in_range(number, last + 1, WRITES - 1);
        assert_int_equal(number % KINDS, STREAM);
        assert_int_not_equal(self.outcomes[writer][number], NOT_SENT);
        answered += self.outcomes[writer][number] == ANSWERED;
        last = number;
    }
    assert_int_equal(answered, count_outcomes(writer, STREAM, ANSWERED));
}

static long ask_number(peer *to, const char *command, const char *key, size_t writer)
{
    walk on = {0, 1};
    sc_slice word;
    ask(to, "%s %s:%zu\r\n", command, key, writer);
    assert_true(walk_on(&on, to, &word));
    return word.len > 0 && to->reply[1] != '-' ? to_number(word) : 0;
}

static void check_count(long count, size_t writer, kind which)
{
    assert_in_range(count, count_outcomes(writer, which, ANSWERED),
                    count_outcomes(writer, which, UNCERTAIN));
}

/* Each has the last value that was answered, or one that was sent later. */
static void check_strings(peer *to, size_t writer)
{
    int i;
    for (i = 0; i < STRINGS; i++) {
        walk on = {0, 1};
        sc_slice word;
        long last = -1;
        long value;
        int n;
        for (n = i * KINDS + STRING; n < WRITES; n += STRINGS * KINDS)
            if (self.outcomes[writer][n] == ANSWERED)
                last = n;
        ask(to, "GET string:%zu:%d\r\n", writer, i);
        assert_true(walk_on(&on, to, &word));
        value = to->reply[1] == '-' ? -1 : to_number(word);
        if (value < last || (value >= 0 && (self.outcomes[writer][value] == NOT_SENT ||
                                            value % (STRINGS * KINDS) != i * KINDS + STRING)))
            fail_msg("writer %zu, string %d: %ld was answered, %ld is there", writer, i, last,
                     value);
        ask(to, "PTTL string:%zu:%d\r\n", writer, i);
        assert_true(value < 0 || strtol(to->reply + 1, NULL, 10) > 0);
    }
}

static void check_writer(peer *to, size_t writer)
{
    check_count(ask_number(to, "GET", "counter", writer), writer, COUNTER);
    check_count(ask_number(to, "GET", "both", writer), writer, TRANSACTION);
    assert_int_equal(ask_number(to, "GET", "both", writer), ask_number(to, "LLEN", "pair", writer));
    ask(to, "LRANGE pair:%zu 0 -1\r\n", writer);
    check_items(to, writer, TRANSACTION, 1);
    ask(to, "LRANGE list:%zu 0 -1\r\n", writer);
    check_items(to, writer, LIST, 1);
    ask(to, "HGETALL hash:%zu\r\n", writer);
    check_items(to, writer, HASH, 2);
    ask(to, "SMEMBERS set:%zu\r\n", writer);
    check_items(to, writer, SET, 1);
    ask(to, "ZRANGE zset:%zu 0 -1 WITHSCORES\r\n", writer);
    check_items(to, writer, ZSET, 2);
    ask(to, "XRANGE stream:%zu - +\r\n", writer);
    check_stream(to, writer);
    check_strings(to, writer);
}

/* --- The same in Redis */

typedef struct pair {
    sc_slice words[2];
} pair;

static int compare_words(sc_slice a, sc_slice b)
{
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_pairs(const void *a, const void *b)
{
    const pair *left = (const pair *)a;
    const pair *right = (const pair *)b;
    int order = compare_words(left->words[0], right->words[0]);
    return order != 0 ? order : compare_words(left->words[1], right->words[1]);
}

/* The items of an array, `group` (1 or 2) a pair, in order. Free it. */
static pair *sorted_pairs(const peer *from, size_t group, size_t *count)
{
    walk on = {0, 1};
    sc_slice word;
    pair *pairs;
    size_t i;
    size_t g;
    assert_true(walk_on(&on, from, &word));
    *count = on.pending / group;
    pairs = (pair *)calloc(*count + 1, sizeof *pairs);
    assert_non_null(pairs);
    for (i = 0; i < *count; i++)
        for (g = 0; g < 2; g++)
            if (g < group)
                assert_true(walk_on(&on, from, &pairs[i].words[g]));
            else
                pairs[i].words[g] = sc_text("");
    qsort(pairs, *count, sizeof *pairs, compare_pairs);
    return pairs;
}

static void assert_same(peer *ours, peer *redis, size_t group, const char *command)
{
    ask(ours, "%s\r\n", command);
    ask(redis, "%s\r\n", command);
    if (group == 0) {
        if (ours->len != redis->len || memcmp(ours->reply, redis->reply, ours->len) != 0)
            fail_msg("%s: Redis has something else", command);
        return;
    }
    {
        size_t count;
        size_t redis_count;
        size_t i;
        pair *pairs = sorted_pairs(ours, group, &count);
        pair *redis_pairs = sorted_pairs(redis, group, &redis_count);
        assert_int_equal(count, redis_count);
        for (i = 0; i < count; i++)
            if (compare_pairs(&pairs[i], &redis_pairs[i]) != 0)
                fail_msg("%s: Redis has something else", command);
        free(pairs);
        free(redis_pairs);
    }
}

/* How each kind of key is asked for; `group` 0: the answer is the same byte for byte. */
static const struct {
    const char *form;
    size_t group;
} questions[] = {
    {"GET counter:%zu", 0},
    {"GET both:%zu", 0},
    {"LRANGE list:%zu 0 -1", 0},
    {"LRANGE pair:%zu 0 -1", 0},
    {"HGETALL hash:%zu", 2},
    {"SMEMBERS set:%zu", 1},
    {"ZRANGE zset:%zu 0 -1 WITHSCORES", 0},
    {"XRANGE stream:%zu - +", 0},
    {"XLEN stream:%zu", 0},
};

static void compare_with_redis(peer *ours)
{
    fixture *server = fixture_start(NULL);
    peer redis = {-1, NULL, 0, 0};
    char command[512];
    size_t writer;
    size_t i;
    assert_non_null(server);
    snprintf(command, sizeof command, "redis-cli -s '%s' --pipe <'%s' | grep -q '^errors: 0'",
             fixture_endpoint(server, WIRE_UNIX)->path, self.log);
    assert_int_equal(system(command), 0);
    redis.descriptor = endpoint_dial(fixture_endpoint(server, WIRE_UNIX));
    assert_true(redis.descriptor >= 0);
    assert_same(ours, &redis, 1, "KEYS *");
    for (writer = 0; writer < WRITERS; writer++) {
        for (i = 0; i < sizeof questions / sizeof questions[0]; i++) {
            snprintf(command, sizeof command, questions[i].form, writer);
            assert_same(ours, &redis, questions[i].group, command);
        }
        for (i = 0; i < STRINGS; i++) {
            snprintf(command, sizeof command, "GET string:%zu:%zu", writer, i);
            assert_same(ours, &redis, 0, command);
            snprintf(command, sizeof command, "PEXPIRETIME string:%zu:%zu", writer, i);
            assert_same(ours, &redis, 0, command);
        }
    }
    peer_free(&redis);
    fixture_free(server);
}

/* --- The tests */

static int setup(void **state)
{
    void *memory = mmap(NULL, WRITERS * (size_t)WRITES, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    (void)state;
    if (memory == MAP_FAILED)
        return -1;
    memset(&self, 0, sizeof self);
    self.outcomes = (unsigned char(*)[WRITES])memory;
    self.random = setting("SMARTCACHE_LOG_SEED", 1) * UINT64_C(0x9e3779b97f4a7c15) + 1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    munmap(self.outcomes, WRITERS * (size_t)WRITES);
    return 0;
}

static processes *start_server(peer *to)
{
    processes *server = processes_start(1, serve, NULL);
    WAIT_UNTIL((to->descriptor = endpoint_dial(&self.at)) >= 0);
    return server;
}

static void live_for_a_while(void)
{
    struct timespec span;
    span.tv_sec = 0;
    span.tv_nsec = (long)draw(LIFE_MS * UINT64_C(1000000));
    nanosleep(&span, NULL);
}

/* Let it live, and perhaps rewrite its log, for a while; kill it. */
static void one_life(void)
{
    char path[160];
    peer to = {-1, NULL, 0, 0};
    processes *server = start_server(&to);
    live_for_a_while();
    if (draw(2) == 0) {
        peer_send(&to, "BGREWRITEAOF\r\n");
        if (draw(2) == 0)
            live_for_a_while();
    }
    processes_kill(server, 0);
    processes_free(server);
    peer_free(&to);
    snprintf(path, sizeof path, "%s.rewrite", self.log);
    self.rewritings += access(path, F_OK) == 0;
}

static void kill_and_look(sc_sync sync, const char *name)
{
    uint64_t kills = setting("SMARTCACHE_LOG_KILLS", KILLS) / TESTS + 1;
    char path[108];
    processes *writers;
    processes *server;
    peer to = {-1, NULL, 0, 0};
    size_t writer;
    size_t answered = 0;
    int which;
    endpoint_fresh_path(path);
    endpoint_set_unix(&self.at, path);
    snprintf(self.url, sizeof self.url, "unix://%s", path);
    snprintf(self.log, sizeof self.log, "%s/%s.log", test_folder(), name);
    self.sync = sync;
    writers = processes_start(WRITERS, write_on, NULL);
    while (kills-- > 0)
        one_life();
    processes_set(writers, STOP, 1);
    assert_true(processes_join(writers));
    processes_free(writers);
    server = start_server(&to);
    for (writer = 0; writer < WRITERS; writer++) {
        check_writer(&to, writer);
        for (which = 0; which < KINDS; which++)
            answered += count_outcomes(writer, (kind)which, ANSWERED);
    }
    assert_true(answered > 0);
    if (getenv("SMARTCACHE_LOG_KILLS"))
        print_message("%s: %zu writes were answered, %zu kills ended a rewriting\n", name, answered,
                      self.rewritings);
    compare_with_redis(&to);
    processes_kill(server, 0);
    processes_free(server);
    peer_free(&to);
}

static void what_was_answered_is_there_after_kills_when_each_write_is_synced(void **state)
{
    (void)state;
    kill_and_look(SC_SYNC_ALWAYS, "always");
}

static void what_was_answered_is_there_after_kills_when_it_is_synced_every_second(void **state)
{
    (void)state;
    kill_and_look(SC_SYNC_EVERY_SECOND, "every_second");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            what_was_answered_is_there_after_kills_when_each_write_is_synced, setup, teardown),
        cmocka_unit_test_setup_teardown(
            what_was_answered_is_there_after_kills_when_it_is_synced_every_second, setup,
            teardown)};
    test_folder();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
