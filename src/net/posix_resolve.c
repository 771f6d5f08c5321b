/* The resolver over getaddrinfo, which blocks: for as long as it takes it has a thread of its own,
   or without threads a process of its own that answers through a socket pair. */

#include "net/posix.h"

#ifndef SMARTCACHE_NO_POSIX

#include "base/error.h"
#include "base/platform_system.h"
#include "base/thread.h"
#include "net/lookup.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Words for what getaddrinfo returned; gai_strerror would follow the locale. */
static const char *sci_resolve_error_text(int error)
{
    switch (error) {
    case EAI_NONAME:
#if defined(EAI_NODATA) && EAI_NODATA != EAI_NONAME
    case EAI_NODATA:
#elif defined(__GLIBC__) && !defined(EAI_NODATA)
    case -5: /* EAI_NODATA, which glibc returns but names for GNU sources alone */
#endif
        return "there is no such name, or it has no address";
    case EAI_AGAIN:
        return "the name server does not answer at the moment";
    case EAI_FAIL:
        return "the name server failed";
    case EAI_FAMILY:
        return "the name has no address of a usable family";
    default:
        return "the look-up failed";
    }
}

static sc_status sci_resolve_fail(const char *host, int error, int system_error)
{
    char unlisted[SCI_POSIX_ERROR_BYTES];
    if (error == EAI_MEMORY)
        return sc_fail(SC_ERR_MEMORY, "host \"%s\": no memory for the look-up", host);
    if (error == EAI_SYSTEM)
        return sc_fail(SC_ERR_RESOLVE, "host \"%s\": %s", host,
                       sci_posix_error_text(system_error, unlisted));
    return sc_fail(SC_ERR_RESOLVE, "host \"%s\": %s (getaddrinfo %d)", host,
                   sci_resolve_error_text(error), error);
}

/* One result; false for a family that the transport does not know. */
static bool sci_resolve_convert(const struct addrinfo *info, uint16_t port, sc_address *address)
{
    memset(address, 0, sizeof(*address));
    address->port = port;
    if (info->ai_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, info->ai_addr, sizeof(in));
        address->family = SC_FAMILY_IPV4;
        memcpy(address->ip, &in.sin_addr, sizeof(in.sin_addr));
        return true;
    }
    if (info->ai_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, info->ai_addr, sizeof(in6));
        address->family = SC_FAMILY_IPV6;
        address->scope_id = in6.sin6_scope_id;
        memcpy(address->ip, &in6.sin6_addr, sizeof(in6.sin6_addr));
        return true;
    }
    return false;
}

static bool sci_resolve_is_listed(const sc_address *addresses, size_t count, const sc_address *one)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(&addresses[i], one, sizeof(*one)) == 0)
            return true;
    return false;
}

/* Look up and block. The order is getaddrinfo's (RFC 6724); doubles, which a hosts file may give,
   are left out. */
static sc_status sci_resolve_host(const char *host, uint16_t port, sc_address *addresses,
                                  size_t *count)
{
    struct addrinfo hints;
    struct addrinfo *results = NULL;
    int error;
    *count = 0;
    memset(&hints, 0, sizeof(hints));
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    error = getaddrinfo(host, NULL, &hints, &results);
    if (error != 0)
        return sci_resolve_fail(host, error, errno);
    for (const struct addrinfo *info = results; info && *count < SCI_LOOKUP_ADDRESSES;
         info = info->ai_next) {
        sc_address *next = &addresses[*count];
        if (sci_resolve_convert(info, port, next) &&
            !sci_resolve_is_listed(addresses, *count, next))
            ++*count;
    }
    freeaddrinfo(results);
    if (*count == 0)
        return sc_fail(SC_ERR_RESOLVE, "host \"%s\": it has no IPv4 or IPv6 address", host);
    return SC_OK;
}

#ifndef SMARTCACHE_NO_THREADS

static void *sci_resolve_run(void *argument)
{
    sc_lookup *lookup = (sc_lookup *)argument;
    sc_address addresses[SCI_LOOKUP_ADDRESSES];
    size_t count = 0;
    sc_status status = sci_resolve_host(lookup->host, lookup->port, addresses, &count);
    sc_lookup_done(lookup, status, addresses, count);
    return NULL;
}

static sc_status sci_resolve_begin(void *user, sc_lookup *lookup, const char *host, uint16_t port)
{
    (void)user;
    (void)host;
    (void)port;
    return sci_thread_start_detached(sci_resolve_run, lookup);
}

#else /* SMARTCACHE_NO_THREADS */

#include <signal.h>
#include <sys/wait.h>

/* A helper ends by itself when the name server takes longer, and when its answer has waited longer
   to be taken: the application may wait for all its children meanwhile. */
#define SCI_RESOLVE_LOOK_UP_S 120
#define SCI_RESOLVE_TAKEN_S 10
/* Where the system has no way to close all descriptors at once, those from here on stay open. */
#define SCI_RESOLVE_CLOSE_MAX 65536

#ifdef MSG_NOSIGNAL
#define SCI_RESOLVE_SEND_FLAGS MSG_NOSIGNAL
#else
#define SCI_RESOLVE_SEND_FLAGS 0 /* the helper has all signals blocked */
#endif

/* What the helper answers; the same program reads it, so it goes as it lies in memory. */
typedef struct sci_resolve_answer {
    sc_status status;
    size_t count;
    sc_address addresses[SCI_LOOKUP_ADDRESSES];
    char error_text[SC_ERROR_TEXT_BYTES];
} sci_resolve_answer;

/* sc_lookup.helper: what has come of the answer so far. */
typedef struct sci_resolve_helper {
    pid_t process;
    size_t received; /* bytes of `answer` */
    sci_resolve_answer answer;
} sci_resolve_helper;

/* The helper has copies of all the application's descriptors; held, they would keep its
   connections and ports open after it has closed them. `keep` becomes descriptor 3. */
static int sci_resolve_close_others(int keep)
{
    int fd = dup2(keep, 3);
    long last = sysconf(_SC_OPEN_MAX);
    for (int i = 0; i < 3; i++)
        close(i);
    if (open("/dev/null", O_RDWR) == 0) { /* output of a name service module goes nowhere */
        dup2(0, 1);
        dup2(0, 2);
    }
#if defined(__linux__) && defined(SYS_close_range)
    if (syscall(SYS_close_range, 4u, ~0u, 0u) == 0)
        return fd;
#endif
    if (last < 0 || last > SCI_RESOLVE_CLOSE_MAX)
        last = SCI_RESOLVE_CLOSE_MAX;
    for (int i = 4; i < last; i++)
        close(i);
    return fd;
}

/* Let SIGALRM end this process after `seconds`. */
static void sci_resolve_end_after(unsigned seconds)
{
    sigset_t alarms;
    signal(SIGALRM, SIG_DFL);
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &alarms, NULL);
    alarm(seconds);
}

/* The helper's whole life. Having answered it waits to be ended, so that its end makes no SIGCHLD
   at a moment when that is not blocked; the parent's end closes the socket. */
static void sci_resolve_help(int fd, const char *host, uint16_t port)
{
    sci_resolve_answer answer;
    const char *next = (const char *)&answer;
    size_t left = sizeof(answer);
    char nothing;
    sci_resolve_end_after(SCI_RESOLVE_LOOK_UP_S);
    fd = sci_resolve_close_others(fd);

    memset(&answer, 0, sizeof(answer));
    answer.status = sci_resolve_host(host, port, answer.addresses, &answer.count);
    if (answer.status != SC_OK) {
        const char *text = sc_error_text();
        memcpy(answer.error_text, text, sci_min_size(strlen(text), sizeof(answer.error_text) - 1));
    }
    while (left > 0) {
        ssize_t count = send(fd, next, left, SCI_RESOLVE_SEND_FLAGS);
        if (count <= 0)
            _exit(1);
        next += count;
        left -= (size_t)count;
    }
    sci_resolve_end_after(SCI_RESOLVE_TAKEN_S);
    (void)recv(fd, &nothing, sizeof(nothing), 0);
    _exit(0);
}

/* Start the helper: its process id, -1 with errno. All signals are blocked from before the fork, so
   no handler of the application ever runs in the helper. It stays a child of this process: where
   there is no init, as in many containers, an orphan would become a zombie for good. */
static pid_t sci_resolve_fork(int fd, const char *host, uint16_t port)
{
    sigset_t all;
    sigset_t before;
    pid_t process;
    int error;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    process = fork();
    if (process == 0)
        sci_resolve_help(fd, host, port);
    error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return process;
}

/* The helper's end made a SIGCHLD that the application did not ask for: while it is blocked, take
   it back. It may have stood for a child of the application too, and then it is put again. */
static void sci_resolve_take_back_sigchld(const sigset_t *children)
{
#ifdef __linux__
    siginfo_t info;
    struct timespec at_once;
    memset(&info, 0, sizeof(info));
    memset(&at_once, 0, sizeof(at_once));
    if (sigtimedwait(children, NULL, &at_once) != SIGCHLD)
        return;
    if (waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT) == 0 &&
        info.si_pid != 0)
        kill(getpid(), SIGCHLD);
#else
    (void)children;
#endif
}

/* End the helper and reap it. In a forked child of ours, or when the application has reaped it,
   there is no such child, and the number may be another process's: it gets no signal. */
static void sci_resolve_reap(pid_t process)
{
    sigset_t children;
    sigset_t before;
    sigset_t pending;
    bool was_pending;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, &before);
    was_pending = sigpending(&pending) == 0 && sigismember(&pending, SIGCHLD) == 1;
    if (waitpid(process, NULL, WNOHANG) == 0) {
        kill(process, SIGKILL);
        while (waitpid(process, NULL, 0) < 0 && errno == EINTR)
            continue;
        if (!was_pending)
            sci_resolve_take_back_sigchld(&children);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
}

/* As the socket has it: bytes of the answer, nothing yet, or the helper's end. */
static void sci_resolve_advance(sc_lookup *lookup)
{
    sci_resolve_helper *helper = (sci_resolve_helper *)lookup->helper;
    const sci_resolve_answer *answer = &helper->answer;
    while (helper->received < sizeof(helper->answer)) {
        ssize_t count = recv((int)lookup->descriptor, (char *)&helper->answer + helper->received,
                             sizeof(helper->answer) - helper->received, 0);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (count <= 0) {
            sc_lookup_done(lookup,
                           sc_fail(SC_ERR_RESOLVE,
                                   "host \"%s\": the helper process ended before it "
                                   "answered",
                                   lookup->host),
                           NULL, 0);
            return;
        }
        helper->received += (size_t)count;
    }
    if (answer->status != SC_OK)
        sci_error_text_set(answer->error_text, strlen(answer->error_text));
    sc_lookup_done(lookup, answer->status, answer->addresses, answer->count);
}

static void sci_resolve_release(sc_lookup *lookup)
{
    /* In this order: the helper would end by itself when the socket closes. */
    sci_resolve_reap(((const sci_resolve_helper *)lookup->helper)->process);
    close((int)lookup->descriptor);
    lookup->descriptor = -1;
    sci_free(&lookup->memory, lookup->helper, sizeof(sci_resolve_helper));
    lookup->helper = NULL;
}

/* A non-blocking end for us, a blocking one for the helper: 0, or an errno. */
static int sci_resolve_open_pair(int ends[2])
{
    int type = SOCK_STREAM;
    int error;
#ifdef SOCK_CLOEXEC
    type |= SOCK_CLOEXEC;
#endif
    if (socketpair(AF_UNIX, type, 0, ends) < 0)
        return errno;
    if (sci_posix_descriptor_prepare(ends[0], true) && sci_posix_descriptor_prepare(ends[1], false))
        return 0;
    error = errno;
    close(ends[0]);
    close(ends[1]);
    return error;
}

static sc_status sci_resolve_begin(void *user, sc_lookup *lookup, const char *host, uint16_t port)
{
    char unlisted[SCI_POSIX_ERROR_BYTES];
    sci_resolve_helper *helper;
    int ends[2];
    int error;
    (void)user;
    helper = (sci_resolve_helper *)sci_alloc_zeroed(&lookup->memory, sizeof(*helper));
    if (!helper)
        return SC_ERR_MEMORY;
    error = sci_resolve_open_pair(ends);
    if (error == 0) {
        helper->process = sci_resolve_fork(ends[1], host, port);
        error = helper->process < 0 ? errno : 0;
        close(ends[1]);
        if (error != 0)
            close(ends[0]);
    }
    if (error != 0) {
        sci_free(&lookup->memory, helper, sizeof(*helper));
        return sc_fail(SC_ERR_RESOLVE, "host \"%s\": no helper process for the look-up: %s", host,
                       sci_posix_error_text(error, unlisted));
    }
    lookup->helper = helper;
    lookup->descriptor = ends[0];
    lookup->advance = sci_resolve_advance;
    lookup->release = sci_resolve_release;
    return SC_OK;
}

#endif

SC_API bool sc_platform_resolver(sc_resolver *table)
{
    memset(table, 0, sizeof(*table));
    table->resolve = sci_resolve_begin;
    return true;
}

#else

SC_API bool sc_platform_resolver(sc_resolver *table)
{
    (void)table;
    return false;
}

#endif
