/* The files of an embedded server's log over POSIX. */

#include "net/posix.h"

#ifndef SMARTCACHE_NO_POSIX

#include "base/error.h"
#include "base/memory.h"
#include "base/platform_system.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#if defined(__linux__)
#include <sys/statfs.h>
#endif

/* Some systems refuse more than INT_MAX bytes in one call. */
#define SCI_FILE_CALL_MAX ((size_t)1 << 30)
#define SCI_FILE_PATH_BYTES 4096
/* Of a long path, so that the reason behind it has room. */
#define SCI_FILE_SHOWN_BYTES 256

typedef struct sci_posix_file {
    sc_memory memory;
    char *path; /* owned; for messages */
    int fd;
} sci_posix_file;

/* Some errors mean something else here than on a socket. */
static const char *sci_posix_file_error_text(int error, char unlisted[SCI_POSIX_ERROR_BYTES])
{
    switch (error) {
    case EPERM:
        return "operation not permitted (is it marked as immutable?)";
    case EINVAL:
        return "this kind of file cannot do that";
    default:
        return sci_posix_error_text(error, unlisted);
    }
}

/* Fail with "doing path: words", by errno. */
static sc_status sci_posix_file_fail(const char *doing, const char *path)
{
    char unlisted[SCI_POSIX_ERROR_BYTES];
    return sc_fail(SC_ERR_IO, "%s %.*s: %s", doing, SCI_FILE_SHOWN_BYTES, path,
                   sci_posix_file_error_text(errno, unlisted));
}

/* Repeats what a signal interrupts. */
static int sci_posix_file_open_fd(const char *path, int flags)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, S_IRUSR | S_IWUSR);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static void sci_posix_file_close_fd(int fd)
{
    /* Parentheses, here and below: programs may have macros of these names. */
    (void)(close)(fd);
}

/* Offsets are as wide as the program has them compiled. */
static bool sci_posix_file_can_seek(uint64_t offset)
{
    const uint64_t most = sizeof(off_t) > 4 ? (uint64_t)INT64_MAX : (uint64_t)INT32_MAX;
    if (offset <= most)
        return true;
    errno = EOVERFLOW;
    return false;
}

/* --- One file */

static void sci_posix_file_shut(void *user)
{
    sci_posix_file *file = (sci_posix_file *)user;
    sc_memory memory = file->memory;
    if (file->fd >= 0)
        sci_posix_file_close_fd(file->fd);
    sci_free_text(&memory, file->path);
    sci_free(&memory, file, sizeof(*file));
}

/* Only a regular file has a size and can be cut; anything else is a mistake of the path. */
static sc_status sci_posix_file_check_kind(const sci_posix_file *file)
{
    struct stat about;
    if (fstat(file->fd, &about) != 0)
        return sci_posix_file_fail("looking at", file->path);
    if (S_ISDIR(about.st_mode)) {
        errno = EISDIR;
        return sci_posix_file_fail("opening", file->path);
    }
    if (!S_ISREG(about.st_mode))
        return sc_fail(SC_ERR_IO, "opening %s: it is not a regular file", file->path);
    return SC_OK;
}

static sc_status sci_posix_file_begin(sci_posix_file *file, sc_file_mode mode)
{
    static const int flags[] = {0, O_RDONLY, O_RDWR | O_APPEND | O_CREAT,
                                O_RDWR | O_APPEND | O_CREAT | O_TRUNC};
    if ((size_t)mode == 0 || (size_t)mode >= SCI_COUNT(flags))
        return sc_fail(SC_ERR_ARGUMENT, "opening %s: %d is no sc_file_mode", file->path, (int)mode);
    file->fd = sci_posix_file_open_fd(file->path, flags[mode]);
    if (file->fd < 0 && errno == ENOENT && mode == SC_FILE_READ)
        return sc_fail(SC_MISS, "opening %s: no such file", file->path);
    if (file->fd < 0 && errno == ENOENT)
        return sc_fail(SC_ERR_IO, "opening %s: there is no such folder", file->path);
    if (file->fd < 0)
        return sci_posix_file_fail("opening", file->path);
    return sci_posix_file_check_kind(file);
}

static sc_status sci_posix_file_open(void *user, const sc_memory *memory, const char *path,
                                     sc_file_mode mode, void **file)
{
    sci_posix_file *self = (sci_posix_file *)sci_alloc_zeroed(memory, sizeof(*self));
    (void)user;
    *file = NULL;
    if (!self)
        return SC_ERR_MEMORY;
    self->memory = *memory;
    self->fd = -1;
    self->path = sci_copy_text(memory, sc_text(path));
    sc_status status = self->path ? sci_posix_file_begin(self, mode) : SC_ERR_MEMORY;
    if (status != SC_OK) {
        sci_posix_file_shut(self);
        return status;
    }
    *file = self;
    return SC_OK;
}

static sc_status sci_posix_file_size(void *user, uint64_t *bytes)
{
    const sci_posix_file *file = (const sci_posix_file *)user;
    struct stat about;
    *bytes = 0;
    if (fstat(file->fd, &about) != 0)
        return sci_posix_file_fail("looking at", file->path);
    *bytes = (uint64_t)about.st_size;
    return SC_OK;
}

static sc_status sci_posix_file_fetch(void *user, uint64_t offset, void *buffer, size_t cap,
                                      size_t *count)
{
    const sci_posix_file *file = (const sci_posix_file *)user;
    ssize_t got = -1;
    *count = 0;
    if (sci_posix_file_can_seek(offset))
        do
            got = pread(file->fd, buffer, sci_min_size(cap, SCI_FILE_CALL_MAX), (off_t)offset);
        while (got < 0 && errno == EINTR);
    if (got < 0)
        return sci_posix_file_fail("reading", file->path);
    *count = (size_t)got;
    return SC_OK;
}

/* Beyond the limit that the program was given (ulimit -f) a write would bring SIGXFSZ, which ends
   it. False with errno. */
static bool sci_posix_file_may_grow(const sci_posix_file *file, uint64_t bytes)
{
    struct rlimit limit;
    struct stat about;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return true;
    if (fstat(file->fd, &about) != 0)
        return false;
    if ((uint64_t)about.st_size <= limit.rlim_cur &&
        bytes <= limit.rlim_cur - (uint64_t)about.st_size)
        return true;
    errno = EFBIG;
    return false;
}

static sc_status sci_posix_file_append(void *user, const void *data, size_t len, size_t *count)
{
    const sci_posix_file *file = (const sci_posix_file *)user;
    *count = 0;
    if (!sci_posix_file_may_grow(file, len))
        return sci_posix_file_fail("writing", file->path);
    while (*count < len) {
        ssize_t took = (write)(file->fd, (const char *)data + *count,
                               sci_min_size(len - *count, SCI_FILE_CALL_MAX));
        if (took > 0) {
            *count += (size_t)took;
        } else if (took == 0 || errno != EINTR) {
            if (took == 0)
                errno = EIO;
            return sci_posix_file_fail("writing", file->path);
        }
    }
    return SC_OK;
}

static sc_status sci_posix_file_cut(void *user, uint64_t bytes)
{
    const sci_posix_file *file = (const sci_posix_file *)user;
    int result = -1;
    if (sci_posix_file_can_seek(bytes))
        do
            result = ftruncate(file->fd, (off_t)bytes);
        while (result != 0 && errno == EINTR);
    return result == 0 ? SC_OK : sci_posix_file_fail("cutting", file->path);
}

/* On the disk itself where the system tells that from the disk's cache; 0, or -1 with errno. */
static int sci_posix_file_flush(int fd, bool is_folder)
{
    int result;
    do {
#if defined(F_FULLFSYNC)
        result = (fcntl)(fd, F_FULLFSYNC) == -1 ? fsync(fd) : 0;
        (void)is_folder;
#elif defined(_POSIX_SYNCHRONIZED_IO) && _POSIX_SYNCHRONIZED_IO > 0
        result = is_folder ? fsync(fd) : fdatasync(fd);
#else
        result = fsync(fd);
        (void)is_folder;
#endif
    } while (result != 0 && errno == EINTR);
    return result;
}

static sc_status sci_posix_file_sync(void *user)
{
    const sci_posix_file *file = (const sci_posix_file *)user;
    if (sci_posix_file_flush(file->fd, false) != 0)
        return sci_posix_file_fail("syncing", file->path);
    return SC_OK;
}

/* --- Room in advance */

#if defined(__linux__) && defined(SYS_fallocate) && !(defined(__x86_64__) && defined(__ILP32__))
#define SCI_FALLOC_KEEP_SIZE 1 /* <linux/falloc.h> */

/* The system call: libc's function depends on the width of the program's off_t. The size stays, so
   that the file never ends in zeros. 0, or -1 with errno. */
static long sci_posix_file_allocate(int fd, uint64_t offset, uint64_t bytes)
{
#if LONG_MAX > INT32_MAX
    return syscall(SYS_fallocate, fd, SCI_FALLOC_KEEP_SIZE, (long)offset, (long)bytes);
#else
    /* Halves in the order that they have in memory (man 2 syscall). */
    const uint32_t one = 1;
    const bool low_first = *(const unsigned char *)&one == 1;
    const long halves[2][2] = {{(long)(int32_t)(offset & UINT32_MAX), (long)(offset >> 32)},
                               {(long)(int32_t)(bytes & UINT32_MAX), (long)(bytes >> 32)}};
    return syscall(SYS_fallocate, fd, SCI_FALLOC_KEEP_SIZE, halves[0][!low_first],
                   halves[0][low_first], halves[1][!low_first], halves[1][low_first]);
#endif
}

static bool sci_posix_file_cannot_reserve(int error)
{
    return error == EOPNOTSUPP || error == ENOTSUP || error == ENOSYS || error == EPERM ||
           error == EINVAL;
}

static sc_status sci_posix_file_reserve(void *user, uint64_t bytes)
{
    const sci_posix_file *file = (const sci_posix_file *)user;
    uint64_t size = 0;
    long result;
    sc_status status = sci_posix_file_size(user, &size);
    if (status != SC_OK)
        return status;
    if (bytes == 0)
        return SC_OK;
    if (!sci_posix_file_may_grow(file, bytes))
        return sci_posix_file_fail("reserving room for", file->path);
    do
        result = sci_posix_file_allocate(file->fd, size, bytes);
    while (result != 0 && errno == EINTR);
    if (result == 0)
        return SC_OK;
    if (sci_posix_file_cannot_reserve(errno))
        return sc_fail(SC_ERR_UNSUPPORTED, "%s: its file system reserves no room", file->path);
    return sci_posix_file_fail("reserving room for", file->path);
}
#define SCI_FILE_RESERVE sci_posix_file_reserve
#else
#define SCI_FILE_RESERVE NULL
#endif

/* --- The lock */

#if defined(__linux__)
/* Kinds of file system where flock, or a Unix socket beside the file, does not reach from host to
   host (man 2 statfs). */
static bool sci_posix_file_is_remote(int fd)
{
    static const uint32_t remote[] = {
        0x6969u,     /* NFS */
        0x517bu,     /* SMB */
        0xff534d42u, /* CIFS */
        0xfe534d42u, /* SMB2 */
        0x5346414fu, /* AFS */
        0x73757245u, /* Coda */
        0x564cu,     /* NCP */
        0x00c36400u  /* Ceph */
    };
    struct statfs about;
    if (fstatfs(fd, &about) != 0)
        return false;
    for (size_t i = 0; i < SCI_COUNT(remote); i++)
        if ((uint32_t)about.f_type == remote[i])
            return true;
    return false;
}
#endif

/* By flock, whose locks belong to what open made, not to the process: they exclude a second holder
   in this process too, and closing another descriptor of the file does not drop them. */
static sc_status sci_posix_file_hold(void *user)
{
    const sci_posix_file *file = (const sci_posix_file *)user;
    int result;
#if defined(__linux__)
    if (sci_posix_file_is_remote(file->fd))
        return sc_fail(SC_ERR_IO,
                       "locking %s: it lies on a network file system, where locks and Unix sockets "
                       "do not reach from host to host: choose a folder on a local disk",
                       file->path);
#endif
    do
        result = flock(file->fd, LOCK_EX | LOCK_NB);
    while (result != 0 && errno == EINTR);
    if (result == 0)
        return SC_OK;
    if (errno == EWOULDBLOCK)
        return sc_fail(SC_HELD, "locking %s: another server has it", file->path);
    return sci_posix_file_fail("locking", file->path);
}

/* --- Folders */

static sc_status sci_posix_files_rename(void *user, const char *from, const char *to)
{
    (void)user;
    return rename(from, to) == 0 ? SC_OK : sci_posix_file_fail("renaming a file to", to);
}

static sc_status sci_posix_files_remove(void *user, const char *path)
{
    (void)user;
    if (unlink(path) == 0)
        return SC_OK;
    if (errno == ENOENT)
        return sc_fail(SC_MISS, "removing %s: no such file", path);
    return sci_posix_file_fail("removing", path);
}

/* The folder of `path` into `folder`; false with errno. */
static bool sci_posix_files_folder(const char *path, char folder[SCI_FILE_PATH_BYTES])
{
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] != '/')
        len--;
    if (len >= SCI_FILE_PATH_BYTES) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(folder, path, len);
    if (len == 0)
        folder[len++] = '.';
    folder[len] = '\0';
    return true;
}

static sc_status sci_posix_files_sync_folder(void *user, const char *path)
{
    char folder[SCI_FILE_PATH_BYTES];
    (void)user;
    int fd = sci_posix_files_folder(path, folder) ? sci_posix_file_open_fd(folder, O_RDONLY) : -1;
    if (fd < 0)
        return sci_posix_file_fail("opening the folder of", path);
    /* EINVAL: a file system that does not sync folders. */
    sc_status status = sci_posix_file_flush(fd, true) == 0 || errno == EINVAL
                           ? SC_OK
                           : sci_posix_file_fail("syncing the folder of", path);
    sci_posix_file_close_fd(fd);
    return status;
}

SC_API bool sc_platform_files(sc_files *table)
{
    memset(table, 0, sizeof(*table));
    table->open = sci_posix_file_open;
    table->size = sci_posix_file_size;
    table->fetch = sci_posix_file_fetch;
    table->append = sci_posix_file_append;
    table->reserve = SCI_FILE_RESERVE;
    table->cut = sci_posix_file_cut;
    table->sync = sci_posix_file_sync;
    table->hold = sci_posix_file_hold;
    table->shut = sci_posix_file_shut;
    table->rename = sci_posix_files_rename;
    table->remove = sci_posix_files_remove;
    table->sync_folder = sci_posix_files_sync_folder;
    return true;
}

#else

SC_API bool sc_platform_files(sc_files *table)
{
    memset(table, 0, sizeof(*table));
    return false;
}

#endif
