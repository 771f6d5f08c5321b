/* The platform's files: modes, room in advance, limits, locks, folders, words. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "fault_memory.h"
#include "folder.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <cmocka.h>

#if defined(__linux__)
#include <sched.h>
#ifndef CLONE_NEWNS
#define CLONE_NEWNS 0x00020000
#define CLONE_NEWUSER 0x10000000
extern int unshare(int flags);
#endif
#endif

#define PATH_CAP 256
#define BLOCK_BYTES 512 /* of st_blocks */

static fault_memory memory;
static sc_files files;
static char path[PATH_CAP]; /* of a file that is not there when a test begins */

static int with_files(void **state)
{
    static int number;
    (void)state;
    fault_memory_init(&memory);
    snprintf(path, sizeof path, "%s/file-%d", test_folder(), number++);
    return sc_platform_files(&files) ? 0 : -1;
}

static int nothing_leaked(void **state)
{
    (void)state;
    bool is_clean = fault_memory_is_clean(&memory);
    fault_memory_free(&memory);
    return is_clean ? 0 : -1;
}

static void *opened(const char *at, sc_file_mode mode)
{
    void *file = NULL;
    sc_status status = files.open(files.user, &memory.table, at, mode, &file);
    if (status != SC_OK)
        fail_msg("%s", sc_error_text());
    return file;
}

static void append(void *file, const char *text)
{
    size_t count = 0;
    assert_int_equal(files.append(file, text, strlen(text), &count), SC_OK);
    assert_int_equal(count, strlen(text));
}

static uint64_t size_of(void *file)
{
    uint64_t bytes = 0;
    assert_int_equal(files.size(file, &bytes), SC_OK);
    return bytes;
}

static void assert_holds(void *file, const char *text)
{
    char buffer[64];
    size_t count = 0;
    assert_int_equal(files.fetch(file, 0, buffer, sizeof buffer, &count), SC_OK);
    assert_int_equal(count, strlen(text));
    assert_memory_equal(buffer, text, count);
}

static void assert_words(const char *part)
{
    if (!strstr(sc_error_text(), part))
        fail_msg("\"%s\" does not say \"%s\"", sc_error_text(), part);
}

static void refuses_to_open(const char *at, sc_file_mode mode, sc_status expected,
                            const char *words)
{
    void *file = &file;
    assert_int_equal(files.open(files.user, &memory.table, at, mode, &file), expected);
    assert_null(file);
    assert_words(words);
    assert_words(at);
}

static int descriptor_of(void *file)
{
    return ((sci_posix_file *)file)->fd;
}

/* --- one file */

static void what_is_appended_can_be_fetched_from_any_offset(void **state)
{
    char buffer[8];
    size_t count = 1;
    void *file = opened(path, SC_FILE_APPEND);
    (void)state;
    append(file, "one");
    append(file, "two");
    assert_int_equal(size_of(file), 6);
    assert_holds(file, "onetwo");
    assert_int_equal(files.fetch(file, 2, buffer, 3, &count), SC_OK);
    assert_int_equal(count, 3);
    assert_memory_equal(buffer, "etw", 3);
    assert_int_equal(files.fetch(file, 6, buffer, 3, &count), SC_OK);
    assert_int_equal(count, 0);
    files.shut(file);
}

static void a_file_is_there_for_its_user_alone_and_closed_by_exec(void **state)
{
    struct stat about;
    mode_t before = umask(0);
    void *file = opened(path, SC_FILE_APPEND);
    (void)state;
    umask(before);
    assert_int_equal(fstat(descriptor_of(file), &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    assert_true(fcntl(descriptor_of(file), F_GETFD) & FD_CLOEXEC);
    files.shut(file);
}

static void appending_goes_on_where_the_file_ends_and_creating_empties_it(void **state)
{
    void *file = opened(path, SC_FILE_APPEND);
    (void)state;
    append(file, "old");
    files.shut(file);
    file = opened(path, SC_FILE_APPEND);
    append(file, "new");
    assert_holds(file, "oldnew");
    files.shut(file);
    file = opened(path, SC_FILE_READ);
    assert_holds(file, "oldnew");
    files.shut(file);
    file = opened(path, SC_FILE_CREATE);
    assert_int_equal(size_of(file), 0);
    append(file, "x");
    assert_holds(file, "x");
    files.shut(file);
}

static void a_file_that_is_cut_goes_on_at_its_new_end(void **state)
{
    void *file = opened(path, SC_FILE_APPEND);
    (void)state;
    append(file, "whole and half");
    assert_int_equal(files.cut(file, 5), SC_OK);
    append(file, "!");
    assert_holds(file, "whole!");
    assert_int_equal(files.sync(file), SC_OK);
    files.shut(file);
}

static void what_cannot_be_a_log_is_refused_with_words(void **state)
{
    char below[2 * PATH_CAP];
    void *file = opened(path, SC_FILE_APPEND);
    (void)state;
    files.shut(file);
    snprintf(below, sizeof below, "%s/below", path);
    refuses_to_open(below, SC_FILE_APPEND, SC_ERR_IO, "a part of the path is no directory");
    snprintf(below, sizeof below, "%s-missing", path);
    refuses_to_open(below, SC_FILE_READ, SC_MISS, "no such file");
    snprintf(below, sizeof below, "%s-missing/below", path);
    refuses_to_open(below, SC_FILE_APPEND, SC_ERR_IO, "there is no such folder");
    refuses_to_open(test_folder(), SC_FILE_APPEND, SC_ERR_IO, "it is a directory");
    refuses_to_open(test_folder(), SC_FILE_READ, SC_ERR_IO, "it is a directory");
    snprintf(below, sizeof below, "%s-pipe", path);
    assert_int_equal(mkfifo(below, 0600), 0);
    refuses_to_open(below, SC_FILE_READ, SC_ERR_IO, "it is not a regular file");
    refuses_to_open(path, (sc_file_mode)0, SC_ERR_ARGUMENT, "0 is no sc_file_mode");
}

static void words_name_the_path_and_the_reason(void **state)
{
    void *file = opened(path, SC_FILE_APPEND);
    size_t count = 1;
    (void)state;
    files.shut(file);
    file = opened(path, SC_FILE_READ);
    assert_int_equal(files.append(file, "x", 1, &count), SC_ERR_IO);
    assert_int_equal(count, 0);
    assert_words("writing");
    assert_words(path);
    assert_words("bad descriptor");
    assert_int_equal(files.cut(file, 0), SC_ERR_IO);
    assert_words("cutting");
    assert_int_equal(files.fetch(file, UINT64_MAX, &count, 1, &count), SC_ERR_IO);
    assert_words("too large");
    assert_int_equal(files.cut(file, UINT64_MAX), SC_ERR_IO);
    files.shut(file);
}

static void each_failing_allocation_is_told_and_leaves_nothing(void **state)
{
    (void)state;
    for (size_t request = 1;; request++) {
        void *file = &file;
        fault_memory_fail(&memory, request, false);
        sc_status status = files.open(files.user, &memory.table, path, SC_FILE_APPEND, &file);
        if (status == SC_OK) {
            assert_true(request > 1);
            files.shut(file);
            break;
        }
        assert_int_equal(status, SC_ERR_MEMORY);
        assert_null(file);
        assert_int_equal(fault_memory_live_blocks(&memory), 0);
    }
}

/* --- room */

static void reserved_room_leaves_the_size_and_cutting_gives_it_back(void **state)
{
    const uint64_t room = 1024 * 1024;
    struct stat about;
    void *file = opened(path, SC_FILE_APPEND);
    (void)state;
    append(file, "some");
    sc_status status = files.reserve ? files.reserve(file, room) : SC_ERR_UNSUPPORTED;
    if (status == SC_OK) {
        assert_int_equal(size_of(file), 4);
        assert_int_equal(fstat(descriptor_of(file), &about), 0);
        assert_true((uint64_t)about.st_blocks * BLOCK_BYTES >= room);
        append(file, "more");
        assert_holds(file, "somemore");
        assert_int_equal(files.reserve(file, 0), SC_OK);
        assert_int_equal(files.cut(file, size_of(file)), SC_OK);
        assert_int_equal(fstat(descriptor_of(file), &about), 0);
        assert_true((uint64_t)about.st_blocks * BLOCK_BYTES < room);
        assert_holds(file, "somemore");
    }
    files.shut(file);
    assert_true(status == SC_OK || status == SC_ERR_UNSUPPORTED);
}

static void a_limit_on_the_size_is_an_error_and_no_signal(void **state)
{
    struct rlimit before;
    struct rlimit small;
    size_t count = 1;
    void *file = opened(path, SC_FILE_APPEND);
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 8;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    append(file, "1234");
    sc_status beyond = files.append(file, "56789", 5, &count);
    bool says = strstr(sc_error_text(), "ulimit -f") != NULL;
    sc_status reserved = files.reserve ? files.reserve(file, 5) : SC_ERR_IO;
    append(file, "5678");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(beyond, SC_ERR_IO);
    assert_int_equal(count, 0);
    assert_true(says);
    assert_int_equal(reserved, SC_ERR_IO);
    assert_holds(file, "12345678");
    files.shut(file);
}

#if defined(__linux__)
/* In a child: a small file system of its own. Returns false where that is not allowed. */
static bool small_disk(const char *at)
{
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWNS | CLONE_NEWUSER) != 0)
        return false;
    return mkdir(at, 0700) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", at, "tmpfs", 0, "size=64k") == 0;
}

/* What is wrong, NULL: nothing. */
static const char *fill_the_disk(const char *disk)
{
    static char block[128 * 1024];
    char at[2 * PATH_CAP];
    void *file = NULL;
    size_t count = 0;
    snprintf(at, sizeof at, "%s/log", disk);
    if (files.open(files.user, &memory.table, at, SC_FILE_APPEND, &file) != SC_OK)
        return "open";
    if (files.reserve(file, sizeof block) != SC_ERR_IO ||
        !strstr(sc_error_text(), "no space left on the disk"))
        return "more room than there is was reserved";
    if (files.reserve(file, 16 * 1024) != SC_OK)
        return "room that is there was not reserved";
    if (files.append(file, block, sizeof block, &count) != SC_ERR_IO ||
        !strstr(sc_error_text(), "no space left on the disk"))
        return "the disk was not full";
    if (count == 0 || count >= sizeof block || size_of(file) != count)
        return "what was written is not what the count says";
    if (files.cut(file, 0) != SC_OK || files.append(file, block, 4096, &count) != SC_OK)
        return "no room again";
    files.shut(file);
    return NULL;
}
#endif

static void a_full_disk_says_how_much_was_written_and_recovers(void **state)
{
    (void)state;
#if defined(__linux__)
    pid_t child = fork();
    int status = 0;
    if (child == 0) {
        if (!small_disk(path))
            _exit(77);
        const char *wrong = fill_the_disk(path);
        if (wrong)
            fprintf(stderr, "%s\n", wrong);
        _exit(wrong ? 1 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
#else
    skip();
#endif
}

/* --- locks */

static void a_lock_excludes_a_second_holder_in_the_same_process(void **state)
{
    void *first = opened(path, SC_FILE_APPEND);
    void *second = opened(path, SC_FILE_APPEND);
    (void)state;
    assert_int_equal(files.hold(first), SC_OK);
    assert_int_equal(files.hold(first), SC_OK);
    assert_int_equal(files.hold(second), SC_HELD);
    assert_words(path);
    files.shut(second);
    second = opened(path, SC_FILE_APPEND);
    assert_int_equal(files.hold(second), SC_HELD);
    files.shut(first);
    assert_int_equal(files.hold(second), SC_OK);
    files.shut(second);
}

static void a_lock_ends_with_the_process_that_is_killed(void **state)
{
    int ends[2];
    char byte = 0;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        void *held = NULL;
        bool is_held =
            files.open(files.user, &memory.table, path, SC_FILE_APPEND, &held) == SC_OK &&
            files.hold(held) == SC_OK;
        if (write(ends[1], is_held ? "y" : "n", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    void *file = opened(path, SC_FILE_APPEND);
    assert_int_equal(files.hold(file), SC_HELD);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(files.hold(file), SC_OK);
    files.shut(file);
    close(ends[0]);
    close(ends[1]);
}

static void a_forked_child_that_lets_go_leaves_the_lock_to_its_parent(void **state)
{
    int status = 0;
    void *file = opened(path, SC_FILE_APPEND);
    (void)state;
    assert_int_equal(files.hold(file), SC_OK);
    pid_t child = fork();
    if (child == 0) {
        files.shut(file);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    void *other = opened(path, SC_FILE_APPEND);
    assert_int_equal(files.hold(other), SC_HELD);
    files.shut(other);
    files.shut(file);
}

/* --- folders */

static void a_renamed_file_takes_the_place_of_another(void **state)
{
    char from[2 * PATH_CAP];
    (void)state;
    snprintf(from, sizeof from, "%s-new", path);
    void *old = opened(path, SC_FILE_APPEND);
    void *fresh = opened(from, SC_FILE_APPEND);
    append(old, "old");
    append(fresh, "new");
    assert_int_equal(files.rename(files.user, from, path), SC_OK);
    assert_int_equal(files.sync_folder(files.user, path), SC_OK);
    append(fresh, "er");
    files.shut(fresh);
    files.shut(old);
    refuses_to_open(from, SC_FILE_READ, SC_MISS, "no such file");
    fresh = opened(path, SC_FILE_READ);
    assert_holds(fresh, "newer");
    files.shut(fresh);
    assert_int_equal(files.rename(files.user, from, path), SC_ERR_IO);
    assert_words("renaming");
}

static void a_removed_file_is_gone_and_once_more_is_a_miss(void **state)
{
    (void)state;
    files.shut(opened(path, SC_FILE_APPEND));
    assert_int_equal(files.remove(files.user, path), SC_OK);
    assert_int_equal(files.remove(files.user, path), SC_MISS);
    assert_int_equal(files.remove(files.user, test_folder()), SC_ERR_IO);
    assert_words("removing");
}

static void the_folder_of_any_path_can_be_synced(void **state)
{
    char long_path[SCI_FILE_PATH_BYTES + 8];
    char below[2 * PATH_CAP];
    (void)state;
    assert_int_equal(files.sync_folder(files.user, path), SC_OK);
    assert_int_equal(files.sync_folder(files.user, "no-folder-named"), SC_OK);
    assert_int_equal(files.sync_folder(files.user, "/at-the-root"), SC_OK);
    snprintf(below, sizeof below, "%s/missing/file", path);
    assert_int_equal(files.sync_folder(files.user, below), SC_ERR_IO);
    assert_words("the folder of");
    memset(long_path, '/', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    assert_int_equal(files.sync_folder(files.user, long_path), SC_ERR_IO);
    assert_words("the path is too long");
}

int main(void)
{
    test_folder();
#define TEST(name) cmocka_unit_test_setup_teardown(name, with_files, nothing_leaked)
    const struct CMUnitTest tests[] = {
        TEST(what_is_appended_can_be_fetched_from_any_offset),
        TEST(a_file_is_there_for_its_user_alone_and_closed_by_exec),
        TEST(appending_goes_on_where_the_file_ends_and_creating_empties_it),
        TEST(a_file_that_is_cut_goes_on_at_its_new_end),
        TEST(what_cannot_be_a_log_is_refused_with_words),
        TEST(words_name_the_path_and_the_reason),
        TEST(each_failing_allocation_is_told_and_leaves_nothing),
        TEST(reserved_room_leaves_the_size_and_cutting_gives_it_back),
        TEST(a_limit_on_the_size_is_an_error_and_no_signal),
        TEST(a_full_disk_says_how_much_was_written_and_recovers),
        TEST(a_lock_excludes_a_second_holder_in_the_same_process),
        TEST(a_lock_ends_with_the_process_that_is_killed),
        TEST(a_forked_child_that_lets_go_leaves_the_lock_to_its_parent),
        TEST(a_renamed_file_takes_the_place_of_another),
        TEST(a_removed_file_is_gone_and_once_more_is_a_miss),
        TEST(the_folder_of_any_path_can_be_synced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
