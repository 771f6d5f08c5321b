/* The server that the processes of a host share: who serves, and what stays when it is gone. No
   redis-server is needed. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "folder.h"
#include "processes.h"
#include "wait.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WRITERS 4
#define CHANGES 60 /* of who serves */
#define EVERY_THIRD 3
#define CROWD 12
#define PATH_BYTES 108
#define URL_BYTES 200
/* Somebody else; tests that need another user are for root. */
#define STRANGER 54321

/* A folder of the test's own, where one server is shared. */
static char folder[PATH_BYTES];
static char url[URL_BYTES];

static void path_of(const char *name, char path[URL_BYTES])
{
    snprintf(path, URL_BYTES, "%s/%s", folder, name);
}

static int begin(void **state)
{
    static int number;
    (void)state;
    snprintf(folder, sizeof(folder), "%s/%d", test_folder(), ++number);
    snprintf(url, sizeof(url), "embedded:%s/cache?sync=never&timeout=%dms", folder,
             WAIT_WATCHDOG_MS);
    return mkdir(folder, 0700);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

static sc_status open_status(const char *place, bool polled, sc_client **client)
{
    sc_config config;
    memset(&config, 0, sizeof(config));
    config.url = place;
    config.polled = polled;
    *client = NULL;
    return sc_open(&config, client);
}

static sc_client *open_client(bool polled)
{
    sc_client *client;
    if (open_status(url, polled, &client) != SC_OK)
        fail_msg("%s", sc_error_text());
    return client;
}

static void refused(const char *place, sc_status expected, const char *part)
{
    sc_client *client;
    sc_status status = open_status(place, false, &client);
    if (status != expected || !strstr(sc_error_text(), part))
        fail_msg("%s: %s, \"%s\"", place, sc_status_name(status), sc_error_text());
}

static bool serves(const sc_client *client)
{
    return client->embedded->share->server != NULL;
}

static sc_status set_number(sc_client *client, const char *key, int64_t number, bool again)
{
    char text[SCI_I64_TEXT_BYTES];
    sc_slice words[3];
    sc_call_options options;
    memset(&options, 0, sizeof(options));
    options.idempotent = again;
    words[0] = sc_text("SET");
    words[1] = sc_text(key);
    words[2] = sc_bytes(text, sci_i64_to_text(number, text));
    return sc_command(client, words, 3, &options, NULL);
}

/* -1: it is not there, or not to be had. */
static int64_t get_number(sc_client *client, const char *key)
{
    sc_slice words[2];
    sc_call_options options;
    sc_reply *reply = NULL;
    int64_t number = -1;
    memset(&options, 0, sizeof(options));
    options.idempotent = true;
    words[0] = sc_text("GET");
    words[1] = sc_text(key);
    if (sc_command(client, words, 2, &options, &reply) != SC_OK ||
        sc_item_integer(sc_reply_item(reply), &number) != SC_OK)
        number = -1;
    sc_reply_release(reply);
    return number;
}

/* --- Workers: one process each */

enum { ACKNOWLEDGED, SERVES, STOPS, UNKNOWN, IS_OPEN };

typedef struct worker {
    processes *process;
    char key[16];
    int64_t first;
} worker;

static void start(worker *self, processes_run run)
{
    self->process = processes_start(1, run, self);
}

/* Write one number after the other until told to stop. */
static int write_on(processes *shared, size_t index, void *user)
{
    const worker *self = (const worker *)user;
    sc_client *client;
    (void)index;
    if (open_status(url, false, &client) != SC_OK) {
        fprintf(stderr, "%s: %s\n", self->key, sc_error_text());
        return 2;
    }
    for (int64_t n = self->first; !processes_read(shared, STOPS); n++) {
        sc_status status = set_number(client, self->key, n, false);
        if (status == SC_OK) {
            processes_set(shared, ACKNOWLEDGED, n);
        } else if (status == SC_ERR_DISCONNECTED || status == SC_ERR_TIMEOUT) {
            processes_add(shared, UNKNOWN, 1);
        } else {
            fprintf(stderr, "%s: %s\n", self->key, sc_error_text());
            return 3;
        }
        processes_set(shared, SERVES, serves(client));
    }
    return sc_close(client) == SC_OK ? 0 : 4;
}

static bool all_have_written_more(const worker *workers, const int64_t *before)
{
    for (size_t i = 0; i < WRITERS; i++)
        if (processes_read(workers[i].process, ACKNOWLEDGED) <= before[i])
            return false;
    return true;
}

/* The one who serves now; WRITERS: nobody says so. */
static size_t who_serves(const worker *workers)
{
    size_t i = 0;
    while (i < WRITERS && !processes_read(workers[i].process, SERVES))
        i++;
    return i;
}

/* It is killed or leaves, and another process takes its place among the writers. */
static void replace(worker *self, bool in_order)
{
    if (in_order)
        processes_set(self->process, STOPS, 1);
    else
        processes_kill(self->process, 0);
    assert_true(processes_join(self->process));
    self->first = processes_read(self->process, ACKNOWLEDGED) + 1;
    processes_free(self->process);
    start(self, write_on);
    processes_set(self->process, ACKNOWLEDGED, self->first - 1);
}

static void no_acknowledged_write_is_lost_however_the_server_goes(void **state)
{
    worker workers[WRITERS];
    int64_t before[WRITERS];
    sc_client *client;
    (void)state;
    memset(workers, 0, sizeof(workers));
    for (size_t i = 0; i < WRITERS; i++) {
        snprintf(workers[i].key, sizeof(workers[i].key), "w%zu", i);
        workers[i].first = 1;
        start(&workers[i], write_on);
    }
    for (size_t change = 0; change < CHANGES; change++) {
        size_t serving;
        for (size_t i = 0; i < WRITERS; i++)
            before[i] = processes_read(workers[i].process, ACKNOWLEDGED) + (int64_t)(change % 7);
        WAIT_UNTIL(all_have_written_more(workers, before));
        WAIT_UNTIL(who_serves(workers) < WRITERS);
        serving = who_serves(workers);
        replace(&workers[serving], change % EVERY_THIRD == 0);
    }
    for (size_t i = 0; i < WRITERS; i++) {
        processes_set(workers[i].process, STOPS, 1);
        assert_true(processes_join(workers[i].process));
    }
    client = open_client(false);
    assert_true(serves(client));
    for (size_t i = 0; i < WRITERS; i++) {
        assert_true(get_number(client, workers[i].key) >=
                    processes_read(workers[i].process, ACKNOWLEDGED));
        processes_free(workers[i].process);
    }
    sc_close(client);
}

/* Open, write once, and wait to be told to stop. */
static int stay(processes *shared, size_t index, void *user)
{
    const worker *self = (const worker *)user;
    sc_client *client;
    (void)index;
    if (open_status(url, false, &client) != SC_OK ||
        set_number(client, self->key, self->first, true) != SC_OK) {
        fprintf(stderr, "%s: %s\n", self->key, sc_error_text());
        return 2;
    }
    processes_set(shared, SERVES, serves(client));
    processes_set(shared, IS_OPEN, 1);
    if (!processes_wait_for(shared, STOPS, 1))
        return 3;
    return sc_close(client) == SC_OK ? 0 : 4;
}

static void stop(worker *self)
{
    processes_set(self->process, STOPS, 1);
    assert_true(processes_join(self->process));
    processes_free(self->process);
}

static void of_many_who_come_at_once_one_serves(void **state)
{
    worker workers[CROWD];
    int64_t serving = 0;
    sc_client *client;
    (void)state;
    memset(workers, 0, sizeof(workers));
    for (size_t i = 0; i < CROWD; i++) {
        snprintf(workers[i].key, sizeof(workers[i].key), "w%zu", i);
        workers[i].first = (int64_t)i;
        start(&workers[i], stay);
    }
    for (size_t i = 0; i < CROWD; i++) {
        assert_true(processes_wait_for(workers[i].process, IS_OPEN, 1));
        serving += processes_read(workers[i].process, SERVES);
    }
    assert_int_equal(serving, 1);
    client = open_client(false);
    assert_false(serves(client));
    for (size_t i = 0; i < CROWD; i++)
        assert_int_equal(get_number(client, workers[i].key), i);
    for (size_t i = 0; i < CROWD; i++)
        stop(&workers[i]);
    assert_int_equal(get_number(client, "w0"), 0);
    assert_true(serves(client));
    sc_close(client);
}

static void a_stale_socket_keeps_nobody_out(void **state)
{
    worker first;
    char path[URL_BYTES];
    sc_client *client;
    struct stat there;
    (void)state;
    memset(&first, 0, sizeof(first));
    snprintf(first.key, sizeof(first.key), "key");
    first.first = 7;
    start(&first, stay);
    assert_true(processes_wait_for(first.process, IS_OPEN, 1));
    processes_kill(first.process, 0);
    assert_true(processes_join(first.process));
    processes_free(first.process);
    path_of("cache.sock", path);
    assert_int_equal(lstat(path, &there), 0);
    client = open_client(false);
    assert_true(serves(client));
    assert_int_equal(get_number(client, "key"), 7);
    assert_int_equal(lstat(path, &there), 0);
    assert_int_equal(there.st_mode & 0777, 0600);
    sc_close(client);
    assert_int_not_equal(lstat(path, &there), 0);
}

static void clients_of_one_process_share_it_too(void **state)
{
    sc_client *one = open_client(false);
    sc_client *two = open_client(false);
    (void)state;
    assert_true(serves(one));
    assert_false(serves(two));
    assert_int_equal(set_number(one, "key", 1, false), SC_OK);
    assert_int_equal(get_number(two, "key"), 1);
    sc_close(one);
    assert_int_equal(set_number(two, "key", 2, true), SC_OK);
    assert_true(serves(two));
    assert_int_equal(get_number(two, "key"), 2);
    sc_close(two);
}

/* A server without a thread serves while its program is in a call. */
static void a_program_that_polls_serves_when_it_polls(void **state)
{
    sc_client *client = open_client(true);
    worker other;
    (void)state;
    assert_true(serves(client));
    assert_false(client->has_thread);
    memset(&other, 0, sizeof(other));
    snprintf(other.key, sizeof(other.key), "key");
    other.first = 3;
    start(&other, stay);
    while (!processes_read(other.process, IS_OPEN))
        assert_int_equal(sc_poll(client, 1), SC_OK);
    assert_int_equal(get_number(client, "key"), 3);
    stop(&other);
    sc_close(client);
}

/* --- A load in flight */

enum { LOADING = 10, GO_ON, LOADS, GOT };

static sc_status make(sc_load *load, void *user)
{
    processes *shared = (processes *)user;
    processes_add(shared, LOADS, 1);
    processes_set(shared, LOADING, 1);
    if (!processes_wait_for(shared, GO_ON, 1))
        return SC_ERR_TIMEOUT;
    return sc_load_write_text(load, "made");
}

/* Worker 0 serves, worker 1 loads, the others wait for what it makes. */
static int take_part(processes *shared, size_t index, void *user)
{
    sc_client *client;
    sc_cache *cache = NULL;
    sc_value *value = NULL;
    sc_load_options options;
    int result = 2;
    (void)user;
    if (index > 0 && !processes_wait_for(shared, IS_OPEN, 1))
        return 5;
    if (index > 1 && !processes_wait_for(shared, LOADING, 1))
        return 5;
    if (open_status(url, false, &client) != SC_OK)
        return 6;
    processes_add(shared, IS_OPEN, 1);
    if (index == 0)
        return processes_wait_for(shared, STOPS, 1) ? 0 : 5; /* it is killed before */
    memset(&options, 0, sizeof(options));
    options.poll_ms = 50;
    sc_status status = sc_cache_open(client, NULL, &cache);
    if (status == SC_OK)
        status = sc_get_or_load(cache, sc_text("key"), make, shared, &options, &value);
    if (status == SC_OK && strcmp(sc_value_bytes(value).data, "made") == 0)
        result = 0;
    else
        fprintf(stderr, "%zu: %s: %s\n", index, sc_status_name(status), sc_error_text());
    sc_value_release(value);
    processes_add(shared, GOT, 1);
    (void)processes_wait_for(shared, GOT, 3); /* who serves now goes last */
    sc_cache_close(cache);
    sc_close(client);
    return result;
}

static void a_load_in_flight_survives_the_server(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        processes *shared;
        assert_int_equal(begin(state), 0);
        shared = processes_start(4, take_part, NULL);
        assert_true(processes_wait_for(shared, IS_OPEN, 4));
        processes_kill(shared, 0);
        processes_set(shared, GO_ON, 1);
        assert_true(processes_join(shared));
        assert_int_equal(processes_read(shared, LOADS), 1);
        processes_free(shared);
    }
}

/* --- Forks */

/* A child of the serving process lives longer than it: the lock is free as soon as the child has
   used the library. */
enum { CHILD_WROTE = 20, CHILD_STOPS };

static int serve_and_fork(processes *shared, size_t index, void *user)
{
    sc_client *client;
    pid_t child;
    (void)index;
    (void)user;
    if (open_status(url, false, &client) != SC_OK || !serves(client))
        return 2;
    child = fork();
    if (child == 0) {
        bool is_right = set_number(client, "child", 1, false) == SC_OK && !serves(client);
        processes_set(shared, CHILD_WROTE, is_right ? 1 : 2);
        (void)processes_wait_for(shared, CHILD_STOPS, 1);
        is_right &= get_number(client, "parent") == 5; /* from who serves by then */
        processes_set(shared, CHILD_WROTE, is_right ? 3 : 4);
        sc_close(client);
        _exit(0);
    }
    processes_set(shared, IS_OPEN, 1);
    return processes_wait_for(shared, STOPS, 1) ? 0 : 5; /* it is killed before */
}

static void a_forked_child_is_a_client_of_its_parent(void **state)
{
    processes *shared = processes_start(1, serve_and_fork, NULL);
    sc_client *client;
    (void)state;
    assert_true(processes_wait_for(shared, CHILD_WROTE, 1));
    assert_int_equal(processes_read(shared, CHILD_WROTE), 1);
    processes_kill(shared, 0);
    client = open_client(false);
    assert_true(serves(client));
    assert_int_equal(get_number(client, "child"), 1);
    assert_int_equal(set_number(client, "parent", 5, false), SC_OK);
    processes_set(shared, CHILD_STOPS, 1);
    assert_true(processes_wait_for(shared, CHILD_WROTE, 3));
    assert_int_equal(processes_read(shared, CHILD_WROTE), 3);
    assert_true(processes_join(shared));
    processes_free(shared);
    sc_close(client);
}

/* --- Trouble */

static void what_is_not_safe_is_refused_with_words(void **state)
{
    char place[2 * URL_BYTES];
    (void)state;
    snprintf(place, sizeof(place), "embedded:%s/none/cache", folder);
    refused(place, SC_ERR_IO, "there is no such folder");
    assert_int_equal(chmod(folder, 0770), 0);
    refused(url, SC_ERR_IO, "other users may write in the folder");
    assert_int_equal(chmod(folder, 0707), 0);
    refused(url, SC_ERR_IO, "other users may write in the folder");
    assert_int_equal(chmod(folder, 01777), 0); /* as /tmp is */
    sc_close(open_client(false));
    assert_int_equal(chmod(folder, 0700), 0);
    snprintf(place, sizeof(place), "embedded:%s/", folder);
    memset(place + strlen(place), 'x', 100);
    place[strlen("embedded:") + strlen(folder) + 101] = '\0';
    refused(place, SC_ERR_URL, "too long for a Unix socket");
    if (geteuid() == 0)
        return; /* root may write anywhere */
    assert_int_equal(chmod(folder, 0500), 0);
    refused(url, SC_ERR_CONNECT, "permission denied");
    assert_int_equal(chmod(folder, 0700), 0);
}

static void another_users_things_are_refused_with_words(void **state)
{
    char path[URL_BYTES];
    struct sockaddr_un address;
    int fd;
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(folder, STRANGER, STRANGER), 0);
    refused(url, SC_ERR_IO, "another user's");
    assert_int_equal(chown(folder, 0, 0), 0);
    path_of("cache.sock", path);
    memset(&address, 0, sizeof(address));
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(chown(path, STRANGER, STRANGER), 0);
    refused(url, SC_ERR_IO, "another user's");
    close(fd);
    unlink(path);
    path_of("cache.log", path);
    fclose(fopen(path, "w"));
    assert_int_equal(chown(path, STRANGER, STRANGER), 0);
    refused(url, SC_ERR_IO, "another user's");
}

/* Another user's process that listens where the file looks right. */
static void another_users_server_is_not_talked_to(void **state)
{
    char path[URL_BYTES];
    struct sockaddr_un address;
    int status;
    pid_t child;
    int ready[2];
    char byte;
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(folder, 01777), 0);
    path_of("cache.sock", path);
    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        memset(&address, 0, sizeof(address));
        address.sun_family = AF_UNIX;
        memcpy(address.sun_path, path, strlen(path) + 1);
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || setuid(STRANGER) != 0 ||
            listen(fd, 1) != 0)
            _exit(1);
        (void)!write(ready[1], "x", 1);
        pause();
        _exit(0);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    assert_int_equal(chown(path, 0, 0), 0);
    refused(url, SC_ERR_CONNECT, "another user's process listens there");
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
}

static void a_damaged_log_is_refused_with_words(void **state)
{
    char path[URL_BYTES];
    sc_client *client = open_client(false);
    FILE *log;
    (void)state;
    for (int64_t i = 0; i < 20; i++)
        assert_int_equal(set_number(client, "key", i, false), SC_OK);
    sc_close(client);
    path_of("cache.log", path);
    log = fopen(path, "r+");
    assert_int_equal(fseek(log, 200, SEEK_SET), 0);
    fputs("garbage", log);
    fclose(log);
    refused(url, SC_ERR_CONNECT, "is damaged at byte");
}

/* Somebody holds the log and does not listen: a program that is stuck, or a forked child that has
   not used the library. */
static void a_lock_that_nobody_gives_back_is_told_of(void **state)
{
    sc_files files;
    void *lock;
    char path[URL_BYTES];
    sc_memory heap;
    char place[URL_BYTES];
    (void)state;
    assert_true(sc_platform_files(&files));
    assert_true(sci_platform_memory(&heap));
    path_of("cache.log.lock", path);
    assert_int_equal(files.open(NULL, &heap, path, SC_FILE_APPEND, &lock), SC_OK);
    assert_int_equal(files.hold(lock), SC_OK);
    snprintf(place, sizeof(place), "embedded:%s/cache?connect_timeout=60ms", folder);
    refused(place, SC_ERR_CONNECT, "another server has it, and does not listen at");
    files.shut(lock);
    sc_close(open_client(false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_acknowledged_write_is_lost_however_the_server_goes),
        TEST(of_many_who_come_at_once_one_serves),
        TEST(a_stale_socket_keeps_nobody_out),
        TEST(clients_of_one_process_share_it_too),
        TEST(a_program_that_polls_serves_when_it_polls),
        TEST(a_load_in_flight_survives_the_server),
        TEST(a_forked_child_is_a_client_of_its_parent),
        TEST(what_is_not_safe_is_refused_with_words),
        TEST(another_users_things_are_refused_with_words),
        TEST(another_users_server_is_not_talked_to),
        TEST(a_damaged_log_is_refused_with_words),
        TEST(a_lock_that_nobody_gives_back_is_told_of),
    };
    test_folder();
    return cmocka_run_group_tests_name("host sharing", tests, NULL, NULL);
}
