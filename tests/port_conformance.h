/* port_conformance.h - public domain or MIT-0 - does your transport or poller keep smartcache's
   contract?

   Do this in a test program of your own, in one file:
       #include "smartcache.h"           // and your port's header
       #include "port_conformance.h"

       int main(void)
       {
           port_transport_subject subject;
           memset(&subject, 0, sizeof(subject));
           subject.name = "my transport";
           my_transport(&subject.transport);     // the table under test
           sc_platform_poller(&subject.poller);  // one that can wait on its descriptors
           port_posix_peers(&subject);           // the other end: TCP over the loopback
           return port_conformance_transport(&subject);
       }
   Build: cc -std=gnu99 test.c -lcmocka -pthread, with what implements smartcache.h.

   It needs C99 and cmocka, and nothing else of the tree that it comes from. Each check is a cmocka
   test; port_conformance_transport and port_conformance_poller return how many failed. What a
   subject leaves out (a NULL function, a false flag) skips its checks, and the test says which.

   Nothing is judged by time: a check that gets stuck fails after PORT_CONFORMANCE_PATIENCE_S
   seconds, and one whose call never returns ends the program after twice as long (SIGALRM); that is
   all that a clock is used for.

   A transport is judged against a peer: the other end of the connection, which the subject's peer_
   functions play. None of them may block: the checks run the transport and its peer by turns, on
   one thread. A peer of TLS therefore goes on with its handshake whenever peer_accept is called. A
   peer need not be of the same kind as the transport: that of a stack of its own can be a socket of
   the host.

   A poller is judged on pairs: two connected ends, of which the poller watches one and the test
   moves the other by the pair_ functions.

   Switches:
       PORT_CONFORMANCE_NO_POSIX     no threads, fork, signals and ready-made peers: only C
       PORT_CONFORMANCE_NO_SOCKETS   no ready-made peers: where <sys/socket.h> is in the way

   SPDX-License-Identifier: Unlicense OR MIT-0 */

#ifndef PORT_CONFORMANCE_H
#define PORT_CONFORMANCE_H

#ifdef PORT_CONFORMANCE_NO_POSIX
#define PORT_CONFORMANCE_NO_SOCKETS
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#ifndef PORT_CONFORMANCE_NO_POSIX
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#endif
#ifndef PORT_CONFORMANCE_NO_SOCKETS
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#endif

/* How long a check may stand still before it fails: far beyond what a busy machine needs. */
#ifndef PORT_CONFORMANCE_PATIENCE_S
#define PORT_CONFORMANCE_PATIENCE_S 60
#endif

/* MARK: - The subjects (Public) */

/* What peer_send and peer_receive return instead of a number of bytes. */
#define PORT_PEER_NOT_NOW 0
#define PORT_PEER_END (-1)    /* the transport under test has closed the connection */
#define PORT_PEER_FAILED (-2) /* the connection is lost */

/* A transport, and the means to judge it. Zeros but for what is set. */
typedef struct port_transport_subject {
    const char *name;        /* of the group of tests */
    sc_transport transport;  /* under test */
    sc_poller poller;        /* waits on the transport's descriptors; taken to be right */
    const char *host;        /* the name given to dial: "localhost" */
    size_t bulk_bytes;       /* how much goes both ways in the check of bulk; 0: 1 MiB */
    bool has_threads;        /* the stream may send on one thread while it receives on another */
    bool can_fork;           /* hangup works in a forked child */
    bool counts_descriptors; /* streams use descriptors of this process: none may stay open */
    void *user;              /* for peer_listen and idle */

    /* Listen at a fresh place, and fill in the address by which the transport reaches it. With
       `is_refusing`, a place that refuses connections. Returns the listener, NULL when it cannot.
     */
    void *(*peer_listen)(void *user, bool is_refusing, sc_address *address);
    /* The next connection, ready for use; NULL when there is none yet: it is asked again. */
    void *(*peer_accept)(void *listener);
    /* Stop listening and free; drops connections that were not taken. */
    void (*peer_unlisten)(void *listener);
    /* How many bytes were sent, or PORT_PEER_... */
    long (*peer_send)(void *peer, const void *data, size_t len);
    /* How many bytes were received, or PORT_PEER_... */
    long (*peer_receive)(void *peer, void *buffer, size_t cap);
    /* Close both ways, as a server does that has ended a conversation, and free. */
    void (*peer_close)(void *peer);
    /* Optional: close so that the transport sees a reset, and free. */
    void (*peer_reset)(void *peer);
    /* Optional: called again and again while a check waits: let others run, or drive a stack that
       has no thread of its own. NULL: sleeps for a millisecond where POSIX is there. */
    void (*idle)(void *user);
} port_transport_subject;

/* Two connected ends. */
typedef struct port_pair {
    sc_descriptor watched; /* given to the poller */
    intptr_t other;        /* the subject's own from here */
    void *own;
} port_pair;

/* A poller, and the means to judge it. Zeros but for what is set. */
typedef struct port_poller_subject {
    const char *name;        /* of the group of tests */
    sc_poller poller;        /* under test */
    size_t max_pairs;        /* how many pairs may be open at once; 0: 64, which is the most */
    bool has_threads;        /* `wake` may be called on another thread than `wait` */
    bool counts_descriptors; /* the poller uses descriptors of this process: none may stay open */
    void *user;              /* for pair_open and idle */

    /* Make a pair whose watched end is writable and not readable. False when it cannot. */
    bool (*pair_open)(void *user, port_pair *pair);
    /* The other end sends a byte: the watched one becomes readable, at once or soon. Also called on
       another thread than the one that waits, if has_threads. */
    void (*pair_fill)(port_pair *pair);
    /* Receive all that is there at the watched end: it is not readable until the next pair_fill. */
    void (*pair_drain)(port_pair *pair);
    /* Optional, both or none: send at the watched end until it is not writable and stays so; the
       other end receives all of it. */
    void (*pair_choke)(port_pair *pair);
    void (*pair_relieve)(port_pair *pair);
    /* Close the other end. */
    void (*pair_finish)(port_pair *pair);
    /* Close what is still open of the watched end, and of the other one. */
    void (*pair_close_watched)(port_pair *pair);
    void (*pair_close_other)(port_pair *pair);
    /* Optional: as in port_transport_subject. */
    void (*idle)(void *user);
} port_poller_subject;

/* Run the checks; return the number of those that failed. The subject must live meanwhile. */
static inline int port_conformance_transport(const port_transport_subject *subject);
static inline int port_conformance_poller(const port_poller_subject *subject);

#ifndef PORT_CONFORMANCE_NO_SOCKETS
/* Fill in the peer_ functions by TCP over the host's IPv4 loopback. */
static inline void port_posix_peers(port_transport_subject *subject);
/* Fill in the pair_ functions by socketpair. */
static inline void port_posix_pairs(port_poller_subject *subject);
#endif

/* MARK: - Memory that counts and fails (Private) */

#define PCF_BLOCK_HEAD 32u /* in front of each block; keeps it aligned for any type */

typedef struct pcf_memory {
    sc_memory table;
#ifndef PORT_CONFORMANCE_NO_POSIX
    pthread_mutex_t lock;
#endif
    size_t requests;
    size_t fail_at; /* this request fails, counted from 1; 0: none */
    size_t failures;
    size_t live_blocks;
    size_t wrong_sizes; /* blocks whose old size was told wrong */
} pcf_memory;

static inline void pcf_memory_lock(pcf_memory *memory)
{
#ifndef PORT_CONFORMANCE_NO_POSIX
    pthread_mutex_lock(&memory->lock);
#else
    (void)memory;
#endif
}

static inline void pcf_memory_unlock(pcf_memory *memory)
{
#ifndef PORT_CONFORMANCE_NO_POSIX
    pthread_mutex_unlock(&memory->lock);
#else
    (void)memory;
#endif
}

static inline void *pcf_memory_make(pcf_memory *memory, size_t size)
{
    char *head;
    memory->requests++;
    if (memory->requests == memory->fail_at) {
        memory->failures++;
        return NULL;
    }
    head = (char *)malloc(PCF_BLOCK_HEAD + size);
    if (!head)
        return NULL;
    memcpy(head, &size, sizeof(size));
    memset(head + PCF_BLOCK_HEAD, 0xa5, size);
    memory->live_blocks++;
    return head + PCF_BLOCK_HEAD;
}

static inline void *pcf_memory_resize(void *user, void *block, size_t old_size, size_t new_size)
{
    pcf_memory *memory = (pcf_memory *)user;
    char *head = block ? (char *)block - PCF_BLOCK_HEAD : NULL;
    size_t size = 0;
    void *made = NULL;
    pcf_memory_lock(memory);
    if (head)
        memcpy(&size, head, sizeof(size));
    if (size != old_size)
        memory->wrong_sizes++;
    if (new_size > 0)
        made = pcf_memory_make(memory, new_size);
    if (made && head)
        memcpy(made, block, size < new_size ? size : new_size);
    if (head && (made || new_size == 0)) {
        memset(block, 0xdd, size);
        memory->live_blocks--;
        free(head);
    }
    pcf_memory_unlock(memory);
    return made;
}

static inline void pcf_memory_init(pcf_memory *memory)
{
    memset(memory, 0, sizeof(*memory));
#ifndef PORT_CONFORMANCE_NO_POSIX
    pthread_mutex_init(&memory->lock, NULL);
#endif
    memory->table.user = memory;
    memory->table.resize = pcf_memory_resize;
}

/* False, with words, when something is left. */
static inline bool pcf_memory_end(pcf_memory *memory, const char *whose)
{
    bool is_clean = memory->live_blocks == 0 && memory->wrong_sizes == 0;
    if (!is_clean)
        print_error("%s: %lu blocks of memory leaked, %lu were told a wrong old size\n", whose,
                    (unsigned long)memory->live_blocks, (unsigned long)memory->wrong_sizes);
#ifndef PORT_CONFORMANCE_NO_POSIX
    pthread_mutex_destroy(&memory->lock);
#endif
    return is_clean;
}

/* MARK: - What all checks share (Private) */

#define PCF_MAX_PAIRS 64
#define PCF_CHUNK ((size_t)64 << 10)
#define PCF_PERIOD 251 /* of the pattern; prime, so that a shift cannot hide */
/* A transport that takes this much from a peer that does not read will take anything. */
#define PCF_ENDLESS ((size_t)256 << 20)
#define PCF_LOOK_MS 1 /* how long one look at the poller may wait */

/* What a check skips is named. */
#define PCF_NEEDS(condition, words)                                                                \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            print_message("           skipped: %s\n", words);                                      \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

#define PCF_ASSERT_OK(call)                                                                        \
    do {                                                                                           \
        sc_status pcf_status_ = (call);                                                            \
        if (pcf_status_ != SC_OK)                                                                  \
            fail_msg("%s gave %s (%s)", #call, sc_status_name(pcf_status_), sc_error_text());      \
    } while (0)

/* Both kinds of check have one; each test has it anew. */
typedef struct pcf_run {
    const port_transport_subject *transport;
    const port_poller_subject *poller;
    void (*idle)(void *user);
    void *user;
    pcf_memory memory;  /* of what is under test */
    pcf_memory waiting; /* of the poller that a transport's check waits with */
    void *waiter;       /* that poller, or the one under test */
    bool counts_descriptors;
    size_t descriptors; /* open before the test */
    int64_t stuck_at_s; /* when patience ends */
} pcf_run;

static pcf_run pcf_now;

static inline int64_t pcf_clock_s(void)
{
#ifndef PORT_CONFORMANCE_NO_POSIX
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec;
#else
    return (int64_t)time(NULL);
#endif
}

static inline void pcf_nap(void)
{
#ifndef PORT_CONFORMANCE_NO_POSIX
    struct timespec moment;
    moment.tv_sec = 0;
    moment.tv_nsec = 1000000;
    nanosleep(&moment, NULL);
#endif
}

#ifndef PORT_CONFORMANCE_NO_POSIX
/* A wait that never ends cannot fail: it ends the program. */
static inline void pcf_on_alarm(int number)
{
    static const char words[] = "\nport_conformance: a call does not return\n";
    (void)number;
    (void)!write(2, words, sizeof(words) - 1);
    _exit(1);
}
#endif

/* A new wait begins: patience is full again. */
static inline void pcf_begin(void)
{
    pcf_now.stuck_at_s = pcf_clock_s() + PORT_CONFORMANCE_PATIENCE_S;
#ifndef PORT_CONFORMANCE_NO_POSIX
    alarm(2 * PORT_CONFORMANCE_PATIENCE_S);
#endif
}

/* Once in each round of a wait, when nothing moved. */
static inline void pcf_idle(const char *awaited)
{
    if (pcf_now.idle)
        pcf_now.idle(pcf_now.user);
    else
        pcf_nap();
    if (pcf_clock_s() > pcf_now.stuck_at_s)
        fail_msg("after %d s still not: %s", PORT_CONFORMANCE_PATIENCE_S, awaited);
}

/* Descriptors that this process has open. */
static inline size_t pcf_open_descriptors(void)
{
    size_t count = 0;
#ifndef PORT_CONFORMANCE_NO_POSIX
    for (int fd = 0; fd < 4096; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
#endif
    return count;
}

static inline int pcf_set_up(void)
{
    pcf_memory_init(&pcf_now.memory);
    pcf_memory_init(&pcf_now.waiting);
    pcf_now.waiter = NULL;
    pcf_now.descriptors = pcf_now.counts_descriptors ? pcf_open_descriptors() : 0;
#ifndef PORT_CONFORMANCE_NO_POSIX
    signal(SIGALRM, pcf_on_alarm);
#endif
    pcf_begin();
    return 0;
}

static inline int pcf_tear_down(void)
{
    bool is_clean;
#ifndef PORT_CONFORMANCE_NO_POSIX
    alarm(0);
    signal(SIGALRM, SIG_DFL);
#endif
    is_clean = pcf_memory_end(&pcf_now.memory, "the port");
    is_clean = pcf_memory_end(&pcf_now.waiting, "the poller") && is_clean;
    if (pcf_now.counts_descriptors && pcf_open_descriptors() != pcf_now.descriptors) {
        print_error("%lu descriptors are open, %lu were\n", (unsigned long)pcf_open_descriptors(),
                    (unsigned long)pcf_now.descriptors);
        is_clean = false;
    }
    return is_clean ? 0 : -1;
}

/* Before a call that shall fail: words that stand there already do not count. */
static inline void pcf_forget_words(void)
{
    (void)sc_fail(SC_OK, "%s", "");
}

/* An error, and one that says something. */
static inline void pcf_assert_failed(sc_status status, const char *call)
{
    if (status >= SC_OK)
        fail_msg("%s gave %s, not an error", call, sc_status_name(status));
    if (sc_error_text()[0] == '\0')
        fail_msg("%s gave %s without words: call sc_fail", call, sc_status_name(status));
}

/* Run tests of one kind as a group. */
static inline int pcf_run_tests(const char *name, struct CMUnitTest *tests, size_t count,
                                CMFixtureFunction set_up, CMFixtureFunction tear_down)
{
    for (size_t i = 0; i < count; i++) {
        tests[i].setup_func = set_up;
        tests[i].teardown_func = tear_down;
    }
    return _cmocka_run_group_tests(name, tests, count, NULL, NULL);
}

#define PCF_TEST(name) cmocka_unit_test(name)

/* MARK: - Transport (Private) */

typedef struct pcf_link {
    sc_address address;
    void *listener;
    void *peer;
    void *stream;
    char words[SC_ERROR_TEXT_BYTES]; /* of a dial that failed */
} pcf_link;

static inline const sc_transport *pcf_transport(void)
{
    return &pcf_now.transport->transport;
}

static inline const sc_poller *pcf_waiting_poller(void)
{
    return &pcf_now.transport->poller;
}

static inline int pcf_transport_set_up(void **state)
{
    (void)state;
    pcf_set_up();
    return pcf_waiting_poller()->create(pcf_waiting_poller()->user, &pcf_now.waiting.table,
                                        &pcf_now.waiter) == SC_OK
               ? 0
               : -1;
}

static inline int pcf_transport_tear_down(void **state)
{
    (void)state;
    if (pcf_now.waiter)
        pcf_waiting_poller()->destroy(pcf_now.waiter);
    return pcf_tear_down();
}

/* What the poller says of the stream within `timeout_ms`. */
static inline unsigned pcf_look(void *stream, unsigned interest, int64_t timeout_ms)
{
    sc_descriptor descriptor = pcf_transport()->descriptor(stream);
    sc_event events[4];
    size_t count = 0;
    unsigned ready = 0;
    PCF_ASSERT_OK(pcf_waiting_poller()->watch(pcf_now.waiter, descriptor, interest, stream));
    PCF_ASSERT_OK(pcf_waiting_poller()->wait(pcf_now.waiter, timeout_ms, events, 4, &count));
    PCF_ASSERT_OK(pcf_waiting_poller()->watch(pcf_now.waiter, descriptor, 0, stream));
    for (size_t i = 0; i < count; i++)
        ready |= events[i].ready;
    return ready;
}

static inline void pcf_listen(pcf_link *link, bool is_refusing)
{
    memset(link, 0, sizeof(*link));
    link->listener =
        pcf_now.transport->peer_listen(pcf_now.transport->user, is_refusing, &link->address);
    assert_non_null(link->listener);
}

static inline sc_status pcf_dial(pcf_link *link)
{
    const char *host = pcf_now.transport->host ? pcf_now.transport->host : "localhost";
    sc_status status;
    pcf_forget_words();
    status = pcf_transport()->dial(pcf_transport()->user, &pcf_now.memory.table, &link->address,
                                   host, &link->stream);
    snprintf(link->words, sizeof(link->words), "%s", sc_error_text());
    if (status != SC_OK)
        link->stream = NULL;
    return status;
}

static inline sc_status pcf_progress(pcf_link *link, unsigned *interest)
{
    sc_status status;
    *interest = 0;
    pcf_forget_words();
    status = pcf_transport()->progress(link->stream, interest);
    snprintf(link->words, sizeof(link->words), "%s", sc_error_text());
    if (status > SC_OK)
        assert_int_equal(status, SC_AGAIN);
    if (status == SC_AGAIN)
        assert_true(*interest == SC_READABLE || *interest == SC_WRITABLE ||
                    *interest == (SC_READABLE | SC_WRITABLE));
    return status;
}

static inline void pcf_accept(pcf_link *link)
{
    if (!link->peer)
        link->peer = pcf_now.transport->peer_accept(link->listener);
}

/* Dial and see it through, asking again only when the poller says what progress waits for. */
static inline sc_status pcf_connect(pcf_link *link)
{
    sc_descriptor descriptor;
    unsigned interest = 0;
    sc_status status = pcf_dial(link);
    if (status != SC_OK)
        return status;
    pcf_begin();
    descriptor = pcf_transport()->descriptor(link->stream);
    for (status = pcf_progress(link, &interest); status == SC_AGAIN;) {
        pcf_accept(link);
        if (pcf_look(link->stream, interest, PCF_LOOK_MS))
            status = pcf_progress(link, &interest);
        else
            pcf_idle("a dialled connection stands, or fails");
    }
    if (status != SC_OK) {
        pcf_transport()->hangup(link->stream, true);
        link->stream = NULL;
        return status;
    }
    assert_true(pcf_transport()->descriptor(link->stream) == descriptor);
    for (pcf_accept(link); !link->peer; pcf_accept(link))
        pcf_idle("the peer has the connection too");
    return SC_OK;
}

static inline void pcf_open(pcf_link *link)
{
    sc_status status;
    pcf_listen(link, false);
    status = pcf_connect(link);
    if (status != SC_OK)
        fail_msg("the connection failed: %s (%s)", sc_status_name(status), link->words);
}

static inline void pcf_close(pcf_link *link)
{
    if (link->stream)
        pcf_transport()->hangup(link->stream, true);
    if (link->peer)
        pcf_now.transport->peer_close(link->peer);
    pcf_now.transport->peer_unlisten(link->listener);
}

/* Send at the stream until all is taken; waits only for what the poller says. */
static inline sc_status pcf_transmit(void *stream, const char *data, size_t len)
{
    pcf_begin();
    while (len > 0) {
        size_t sent = 0;
        sc_status status = pcf_transport()->transmit(stream, data, len, &sent);
        if (status == SC_AGAIN) {
            do
                pcf_idle("a stream that could take nothing can");
            while (!pcf_look(stream, SC_WRITABLE, PCF_LOOK_MS));
            continue;
        }
        if (status != SC_OK)
            return status;
        assert_in_range(sent, 1, len);
        data += sent;
        len -= sent;
    }
    return SC_OK;
}

/* Whether the stream says that there is something to receive, by itself or by the poller. */
static inline bool pcf_has_bytes(void *stream)
{
    return (pcf_transport()->pending && pcf_transport()->pending(stream)) ||
           pcf_look(stream, SC_READABLE, PCF_LOOK_MS);
}

/* Receive once; asks only when the stream says that there is something. */
static inline sc_status pcf_receive(void *stream, char *buffer, size_t cap, size_t *received)
{
    pcf_begin();
    for (;;) {
        if (pcf_has_bytes(stream)) {
            sc_status status;
            pcf_forget_words();
            *received = 0;
            status = pcf_transport()->receive(stream, buffer, cap, received);
            if (status == SC_OK)
                assert_in_range(*received, 1, cap);
            if (status != SC_AGAIN)
                return status;
        }
        pcf_idle("the stream says that bytes, or the end, have come, and gives them");
    }
}

/* Receive exactly these bytes. */
static inline void pcf_expect(void *stream, const char *data, size_t len)
{
    char buffer[256];
    while (len > 0) {
        size_t received = 0;
        PCF_ASSERT_OK(
            pcf_receive(stream, buffer, len < sizeof(buffer) ? len : sizeof(buffer), &received));
        assert_memory_equal(buffer, data, received);
        data += received;
        len -= received;
    }
}

static inline void pcf_peer_send(void *peer, const char *data, size_t len)
{
    pcf_begin();
    while (len > 0) {
        long sent = pcf_now.transport->peer_send(peer, data, len);
        assert_true(sent >= 0);
        if (sent == PORT_PEER_NOT_NOW)
            pcf_idle("the peer can send");
        data += sent;
        len -= (size_t)sent;
    }
}

/* Anything but "not now". */
static inline long pcf_peer_receive(void *peer, char *buffer, size_t cap)
{
    long received;
    pcf_begin();
    for (;;) {
        received = pcf_now.transport->peer_receive(peer, buffer, cap);
        if (received != PORT_PEER_NOT_NOW)
            return received;
        pcf_idle("bytes, or the end, have come to the peer");
    }
}

static inline void pcf_peer_expect(void *peer, const char *data, size_t len)
{
    char buffer[256];
    while (len > 0) {
        long received = pcf_peer_receive(peer, buffer, len < sizeof(buffer) ? len : sizeof(buffer));
        assert_true(received > 0);
        assert_memory_equal(buffer, data, (size_t)received);
        data += received;
        len -= (size_t)received;
    }
}

/* A conversation, to see that the stream works. */
static inline void pcf_converse(pcf_link *link)
{
    PCF_ASSERT_OK(pcf_transmit(link->stream, "question", 8));
    pcf_peer_expect(link->peer, "question", 8);
    pcf_peer_send(link->peer, "answer", 6);
    pcf_expect(link->stream, "answer", 6);
}

static inline void a_dialled_connection_stands_and_carries_bytes_both_ways(void **state)
{
    pcf_link link;
    (void)state;
    pcf_open(&link);
    pcf_converse(&link);
    pcf_converse(&link);
    pcf_close(&link);
}

static inline void a_refused_connection_is_an_error_with_words(void **state)
{
    pcf_link link;
    sc_status status;
    (void)state;
    pcf_listen(&link, true);
    status = pcf_connect(&link);
    if (status >= SC_OK)
        fail_msg("a refused connection gave %s, not an error", sc_status_name(status));
    if (link.words[0] == '\0')
        fail_msg("a refused connection gave %s without words", sc_status_name(status));
    pcf_close(&link);
}

static inline void an_address_of_no_known_family_is_an_error_with_words(void **state)
{
    pcf_link link;
    sc_status status;
    (void)state;
    pcf_listen(&link, true);
    memset(&link.address, 0, sizeof(link.address));
    status = pcf_connect(&link);
    if (status >= SC_OK)
        fail_msg("family 0 gave %s, not an error", sc_status_name(status));
    if (link.words[0] == '\0')
        fail_msg("family 0 gave %s without words", sc_status_name(status));
    pcf_close(&link);
}

static inline void receiving_says_not_now_then_the_bytes_then_the_end(void **state)
{
    pcf_link link;
    char buffer[16];
    size_t received = 0;
    (void)state;
    pcf_open(&link);
    assert_int_equal(pcf_transport()->receive(link.stream, buffer, sizeof(buffer), &received),
                     SC_AGAIN);
    pcf_peer_send(link.peer, "last words", 10);
    pcf_now.transport->peer_close(link.peer);
    link.peer = NULL;
    pcf_expect(link.stream, "last words", 10);
    assert_int_equal(pcf_receive(link.stream, buffer, sizeof(buffer), &received), SC_END);
    pcf_close(&link);
}

static inline void a_single_byte_is_enough(void **state)
{
    pcf_link link;
    char byte = 0;
    size_t count = 0;
    (void)state;
    pcf_open(&link);
    PCF_ASSERT_OK(pcf_transport()->transmit(link.stream, "x", 1, &count));
    assert_int_equal(count, 1);
    pcf_peer_expect(link.peer, "x", 1);
    pcf_peer_send(link.peer, "y", 1);
    PCF_ASSERT_OK(pcf_receive(link.stream, &byte, 1, &count));
    assert_int_equal(byte, 'y');
    pcf_close(&link);
}

static inline void a_reset_is_an_error_with_words(void **state)
{
    pcf_link link;
    char buffer[8];
    size_t received = 0;
    sc_status status;
    (void)state;
    PCF_NEEDS(pcf_now.transport->peer_reset, "peer_reset is NULL");
    pcf_open(&link);
    pcf_now.transport->peer_reset(link.peer);
    link.peer = NULL;
    status = pcf_receive(link.stream, buffer, sizeof(buffer), &received);
    pcf_assert_failed(status, "receive after a reset");
    pcf_close(&link);
}

/* The default action of SIGPIPE would end the program. */
static inline void sending_to_a_peer_that_has_left_ends_in_an_error_with_words(void **state)
{
    pcf_link link;
    sc_status status = SC_OK;
    (void)state;
    pcf_open(&link);
    pcf_now.transport->peer_close(link.peer);
    link.peer = NULL;
    pcf_begin();
    while (status >= SC_OK) {
        size_t sent = 0;
        pcf_forget_words();
        status = pcf_transport()->transmit(link.stream, "x", 1, &sent);
        if (status >= SC_OK)
            pcf_idle("sending to a peer that has left fails");
    }
    pcf_assert_failed(status, "transmit");
    pcf_close(&link);
}

/* MARK: - Transport: bulk (Private) */

/* A stream of a known pattern, to a peer that sends it back. What is offered again after SC_AGAIN
   lies elsewhere and has more behind it, as the client does it. */
typedef struct pcf_bulk {
    pcf_link link;
    char *pattern[2]; /* the same twice, each a chunk long with room for any phase */
    char *in;
    char *echo;
    size_t echo_len;
    size_t total, sent, echoed, received;
    size_t offer;     /* bytes offered next */
    int copy;         /* the pattern that they are taken from */
    bool may_send;    /* false after SC_AGAIN, until the poller says writable */
    bool may_receive; /* false until the poller, or the stream, says that something is there */
} pcf_bulk;

static inline void pcf_bulk_open(pcf_bulk *bulk, size_t total)
{
    memset(bulk, 0, sizeof(*bulk));
    pcf_open(&bulk->link);
    for (int copy = 0; copy < 2; copy++) {
        bulk->pattern[copy] = (char *)malloc(PCF_CHUNK + PCF_PERIOD);
        assert_non_null(bulk->pattern[copy]);
        for (size_t i = 0; i < PCF_CHUNK + PCF_PERIOD; i++)
            bulk->pattern[copy][i] = (char)(i % PCF_PERIOD);
    }
    bulk->in = (char *)malloc(PCF_CHUNK);
    bulk->echo = (char *)malloc(PCF_CHUNK);
    assert_non_null(bulk->in);
    assert_non_null(bulk->echo);
    bulk->total = total;
    bulk->offer = PCF_CHUNK / 2;
    bulk->may_send = true;
}

static inline void pcf_bulk_close(pcf_bulk *bulk)
{
    free(bulk->pattern[0]);
    free(bulk->pattern[1]);
    free(bulk->in);
    free(bulk->echo);
    pcf_close(&bulk->link);
}

/* One transmit. */
static inline sc_status pcf_bulk_send(pcf_bulk *bulk)
{
    size_t sent = 0;
    size_t left = bulk->total - bulk->sent;
    size_t len = bulk->offer < left ? bulk->offer : left;
    const char *from = bulk->pattern[bulk->copy] + bulk->sent % PCF_PERIOD;
    sc_status status = pcf_transport()->transmit(bulk->link.stream, from, len, &sent);
    if (status == SC_OK) {
        bulk->sent += sent;
        bulk->offer = PCF_CHUNK / 2;
    } else if (status == SC_AGAIN) {
        bulk->may_send = false;
        bulk->copy = !bulk->copy;
        bulk->offer = PCF_CHUNK;
    }
    if (status == SC_OK && (sent == 0 || sent > len))
        return sc_fail(SC_ERR_IO, "transmit took %lu bytes of %lu", (unsigned long)sent,
                       (unsigned long)len);
    return status;
}

/* One receive, and a comparison. */
static inline void pcf_bulk_receive(pcf_bulk *bulk)
{
    size_t received = 0;
    sc_status status = pcf_transport()->receive(bulk->link.stream, bulk->in, PCF_CHUNK, &received);
    bulk->may_receive = pcf_transport()->pending && pcf_transport()->pending(bulk->link.stream);
    if (status == SC_AGAIN)
        return;
    PCF_ASSERT_OK(status);
    assert_in_range(received, 1, PCF_CHUNK);
    assert_memory_equal(bulk->in, bulk->pattern[0] + bulk->received % PCF_PERIOD, received);
    bulk->received += received;
}

/* The peer sends back what it gets. False when it could do nothing. */
static inline bool pcf_bulk_echo(pcf_bulk *bulk)
{
    void *peer = bulk->link.peer;
    bool has_moved = false;
    if (bulk->echo_len == 0) {
        long got = pcf_now.transport->peer_receive(peer, bulk->echo, PCF_CHUNK);
        assert_true(got >= 0);
        bulk->echo_len = (size_t)got;
        has_moved = got > 0;
    }
    if (bulk->echo_len > 0) {
        long put = pcf_now.transport->peer_send(peer, bulk->echo, bulk->echo_len);
        assert_true(put >= 0);
        memmove(bulk->echo, bulk->echo + put, bulk->echo_len - (size_t)put);
        bulk->echo_len -= (size_t)put;
        bulk->echoed += (size_t)put;
        has_moved = has_moved || put > 0;
    }
    return has_moved;
}

/* Ask the poller for what is missing. */
static inline void pcf_bulk_look(pcf_bulk *bulk, bool wants_to_send, int64_t timeout_ms)
{
    unsigned interest = SC_READABLE;
    unsigned ready;
    if (wants_to_send && !bulk->may_send)
        interest |= SC_WRITABLE;
    ready = pcf_look(bulk->link.stream, interest, timeout_ms);
    if (ready & (SC_READABLE | SC_HANGUP))
        bulk->may_receive = true;
    if (ready & (SC_WRITABLE | SC_HANGUP))
        bulk->may_send = true;
}

/* Until everything that was sent has come back. `sends`: this thread sends too. */
static inline void pcf_bulk_exchange(pcf_bulk *bulk, bool sends)
{
    pcf_begin();
    while (bulk->received < bulk->total) {
        size_t before = sends ? bulk->sent + bulk->received : 0; /* else `sent` is the sender's */
        bool has_moved;
        const bool wants_to_send = sends && bulk->sent < bulk->total;
        if (wants_to_send && bulk->may_send) {
            sc_status status = pcf_bulk_send(bulk);
            if (status != SC_AGAIN)
                PCF_ASSERT_OK(status);
        }
        if (bulk->may_receive)
            pcf_bulk_receive(bulk);
        has_moved = pcf_bulk_echo(bulk) || (sends && bulk->sent + bulk->received != before);
        pcf_bulk_look(bulk, wants_to_send, has_moved ? 0 : PCF_LOOK_MS);
        if (has_moved)
            pcf_begin();
        else if (!bulk->may_receive && !(wants_to_send && bulk->may_send))
            pcf_idle("all that was sent comes back");
    }
    assert_int_equal(bulk->received, bulk->total);
    assert_int_equal(bulk->echoed, bulk->total);
}

static inline size_t pcf_bulk_bytes(void)
{
    return pcf_now.transport->bulk_bytes ? pcf_now.transport->bulk_bytes : (size_t)1 << 20;
}

static inline void bulk_goes_both_ways_unharmed(void **state)
{
    pcf_bulk bulk;
    (void)state;
    pcf_bulk_open(&bulk, pcf_bulk_bytes());
    pcf_bulk_exchange(&bulk, true);
    pcf_bulk_close(&bulk);
}

static inline void a_peer_that_does_not_read_stops_the_sender_until_it_reads(void **state)
{
    pcf_bulk bulk;
    (void)state;
    pcf_bulk_open(&bulk, PCF_ENDLESS);
    while (bulk.may_send) {
        sc_status status;
        if (bulk.sent == bulk.total)
            fail_msg("%lu bytes were taken for a peer that reads nothing: transmit must give "
                     "SC_AGAIN instead of storing without end",
                     (unsigned long)bulk.sent);
        status = pcf_bulk_send(&bulk);
        if (status != SC_AGAIN)
            PCF_ASSERT_OK(status);
    }
    /* What was refused, and a little more, is now sent to the end. */
    bulk.total = bulk.sent + 2 * PCF_CHUNK;
    pcf_bulk_exchange(&bulk, true);
    assert_int_equal(bulk.sent, bulk.total);
    pcf_bulk_close(&bulk);
}

#define PCF_SIPPED_BYTES ((size_t)40 << 10) /* more than two TLS records */
#define PCF_SIP_BYTES 7

/* Whoever receives less than has come hears of the rest, from the poller or from pending. */
static inline void nothing_sits_unread(void **state)
{
    pcf_bulk bulk;
    size_t given = 0;
    char sip[PCF_SIP_BYTES];
    (void)state;
    pcf_bulk_open(&bulk, PCF_SIPPED_BYTES);
    while (bulk.received < bulk.total) {
        size_t received = 0;
        long sent = 0;
        if (given < bulk.total)
            sent = pcf_now.transport->peer_send(
                bulk.link.peer, bulk.pattern[0] + given % PCF_PERIOD, bulk.total - given);
        assert_true(sent >= 0);
        given += (size_t)sent;
        PCF_ASSERT_OK(pcf_receive(bulk.link.stream, sip, sizeof(sip), &received));
        assert_memory_equal(sip, bulk.pattern[0] + bulk.received % PCF_PERIOD, received);
        bulk.received += received;
    }
    pcf_bulk_close(&bulk);
}

static inline void pending_is_false_when_nothing_is_there(void **state)
{
    pcf_link link;
    char buffer[16];
    size_t received = 0;
    (void)state;
    PCF_NEEDS(pcf_transport()->pending, "pending is NULL");
    pcf_open(&link);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pcf_transport()->receive(link.stream, buffer, sizeof(buffer), &received),
                         SC_AGAIN);
        assert_false(pcf_transport()->pending(link.stream));
        pcf_converse(&link);
    }
    pcf_close(&link);
}

static inline void receive_soon_returns_with_bytes_and_without(void **state)
{
    pcf_link link;
    char buffer[16];
    size_t received = 0;
    sc_status status;
    (void)state;
    PCF_NEEDS(pcf_transport()->receive_soon, "receive_soon is NULL");
    pcf_open(&link);
    assert_int_equal(pcf_transport()->receive_soon(link.stream, buffer, sizeof(buffer), &received),
                     SC_AGAIN);
    pcf_peer_send(link.peer, "soon", 4);
    pcf_begin();
    for (size_t at = 0; at < 4; at += received) {
        received = 0;
        status = pcf_transport()->receive_soon(link.stream, buffer, 4 - at, &received);
        if (status == SC_AGAIN) {
            received = 0;
            pcf_idle("receive_soon gives what came");
            continue;
        }
        PCF_ASSERT_OK(status);
        assert_in_range(received, 1, 4 - at);
        assert_memory_equal(buffer, &"soon"[at], received);
    }
    pcf_now.transport->peer_close(link.peer);
    link.peer = NULL;
    while ((status = pcf_transport()->receive_soon(link.stream, buffer, 1, &received)) == SC_AGAIN)
        pcf_idle("receive_soon gives the end");
    assert_int_equal(status, SC_END);
    pcf_close(&link);
}

/* MARK: - Transport: life (Private) */

#define PCF_STREAMS 4

static inline void several_streams_are_strangers(void **state)
{
    pcf_link links[PCF_STREAMS];
    char name[2];
    (void)state;
    name[1] = '\0';
    for (int i = 0; i < PCF_STREAMS; i++)
        pcf_open(&links[i]);
    for (int i = 0; i < PCF_STREAMS; i++) {
        name[0] = (char)('a' + i);
        PCF_ASSERT_OK(pcf_transmit(links[i].stream, name, 1));
        pcf_peer_send(links[i].peer, name, 1);
    }
    for (int i = PCF_STREAMS - 1; i >= 0; i--) {
        name[0] = (char)('a' + i);
        pcf_expect(links[i].stream, name, 1);
        pcf_peer_expect(links[i].peer, name, 1);
        pcf_close(&links[i]);
    }
}

static inline void the_peer_hears_of_a_hangup(void **state)
{
    pcf_link link;
    char buffer[8];
    (void)state;
    /* What never lives on in a child need not close anything there. */
    for (int is_orderly = !pcf_now.transport->can_fork; is_orderly <= 1; is_orderly++) {
        pcf_open(&link);
        pcf_transport()->hangup(link.stream, is_orderly != 0);
        link.stream = NULL;
        assert_true(pcf_peer_receive(link.peer, buffer, sizeof(buffer)) < 0);
        pcf_close(&link);
    }
}

/* After the dial, and after 1 to 3 steps, whether the peer answers them or not. */
static inline void a_hangup_in_mid_dial_leaves_nothing(void **state)
{
    (void)state;
    for (int steps = 0; steps <= 3; steps++) {
        for (int answers = 0; answers <= 1; answers++) {
            pcf_link link;
            unsigned interest = 0;
            pcf_listen(&link, false);
            PCF_ASSERT_OK(pcf_dial(&link));
            for (int step = 0; step < steps; step++) {
                if (pcf_progress(&link, &interest) != SC_AGAIN)
                    break;
                if (answers)
                    pcf_accept(&link);
                (void)pcf_look(link.stream, interest, PCF_LOOK_MS);
            }
            pcf_transport()->hangup(link.stream, steps % 2 == 0 || !pcf_now.transport->can_fork);
            link.stream = NULL;
            pcf_close(&link);
        }
    }
}

/* A whole life; returns the status that ended it. */
static inline sc_status pcf_live(void)
{
    pcf_link link;
    char buffer[8];
    size_t received = 0;
    sc_status status;
    pcf_listen(&link, false);
    status = pcf_connect(&link);
    if (status == SC_OK)
        status = pcf_transmit(link.stream, "question", 8);
    if (status == SC_OK) {
        pcf_peer_expect(link.peer, "question", 8);
        pcf_peer_send(link.peer, "!", 1);
        status = pcf_receive(link.stream, buffer, sizeof(buffer), &received);
    }
    pcf_close(&link);
    return status;
}

#define PCF_MOST_ALLOCATIONS 100000

static inline void an_allocation_that_fails_is_said_and_leaks_nothing(void **state)
{
    size_t request;
    (void)state;
    for (request = 1; request < PCF_MOST_ALLOCATIONS; request++) {
        sc_status status;
        pcf_now.memory.requests = 0;
        pcf_now.memory.failures = 0;
        pcf_now.memory.fail_at = request;
        status = pcf_live();
        pcf_now.memory.fail_at = 0;
        if (pcf_now.memory.live_blocks > 0)
            fail_msg("%lu blocks leaked when allocation %lu failed",
                     (unsigned long)pcf_now.memory.live_blocks, (unsigned long)request);
        if (status != SC_OK && (status != SC_ERR_MEMORY || pcf_now.memory.failures == 0))
            fail_msg("%s (%s) when allocation %lu failed, not SC_ERR_MEMORY",
                     sc_status_name(status), sc_error_text(), (unsigned long)request);
        if (pcf_now.memory.failures == 0)
            break;
    }
    PCF_ASSERT_OK(pcf_live());
}

#ifndef PORT_CONFORMANCE_NO_POSIX

typedef struct pcf_sender {
    pcf_bulk *bulk;
    sc_status status;
} pcf_sender;

/* No assertion of cmocka works off the test's own thread. */
static inline void *pcf_send_all(void *argument)
{
    pcf_sender *sender = (pcf_sender *)argument;
    pcf_bulk *bulk = sender->bulk;
    int64_t stuck_at_s = pcf_clock_s() + PORT_CONFORMANCE_PATIENCE_S;
    while (bulk->sent < bulk->total) {
        size_t before = bulk->sent;
        sender->status = pcf_bulk_send(bulk);
        if (sender->status != SC_OK && sender->status != SC_AGAIN)
            return NULL;
        if (sender->status == SC_AGAIN)
            pcf_nap();
        if (bulk->sent != before)
            stuck_at_s = pcf_clock_s() + PORT_CONFORMANCE_PATIENCE_S;
        if (pcf_clock_s() > stuck_at_s)
            return NULL;
    }
    sender->status = SC_OK;
    return NULL;
}

#endif

static inline void one_thread_sends_while_another_receives(void **state)
{
#ifndef PORT_CONFORMANCE_NO_POSIX
    pcf_bulk bulk;
    pcf_sender sender;
    pthread_t thread;
    (void)state;
    PCF_NEEDS(pcf_now.transport->has_threads, "has_threads is false");
    pcf_bulk_open(&bulk, pcf_bulk_bytes());
    sender.bulk = &bulk;
    sender.status = SC_AGAIN;
    assert_int_equal(pthread_create(&thread, NULL, pcf_send_all, &sender), 0);
    pcf_bulk_exchange(&bulk, false);
    pthread_join(thread, NULL);
    assert_int_equal(sender.status, SC_OK);
    pcf_bulk_close(&bulk);
#else
    (void)state;
    PCF_NEEDS(false, "PORT_CONFORMANCE_NO_POSIX");
#endif
}

/* As the client does it: what came over a fork is let go by the child, unordered. */
static inline void a_child_that_lets_go_leaves_the_stream_to_its_parent(void **state)
{
#ifndef PORT_CONFORMANCE_NO_POSIX
    pcf_link link;
    pid_t child;
    int outcome = -1;
    (void)state;
    PCF_NEEDS(pcf_now.transport->can_fork, "can_fork is false");
    pcf_open(&link);
    pcf_converse(&link);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        pcf_transport()->hangup(link.stream, false);
        _exit(0);
    }
    while (waitpid(child, &outcome, 0) < 0)
        assert_int_equal(errno, EINTR);
    assert_int_equal(outcome, 0);
    pcf_converse(&link);
    pcf_close(&link);
#else
    (void)state;
    PCF_NEEDS(false, "PORT_CONFORMANCE_NO_POSIX");
#endif
}

static inline int port_conformance_transport(const port_transport_subject *subject)
{
    struct CMUnitTest tests[] = {
        PCF_TEST(a_dialled_connection_stands_and_carries_bytes_both_ways),
        PCF_TEST(a_refused_connection_is_an_error_with_words),
        PCF_TEST(an_address_of_no_known_family_is_an_error_with_words),
        PCF_TEST(receiving_says_not_now_then_the_bytes_then_the_end),
        PCF_TEST(a_single_byte_is_enough),
        PCF_TEST(a_reset_is_an_error_with_words),
        PCF_TEST(sending_to_a_peer_that_has_left_ends_in_an_error_with_words),
        PCF_TEST(bulk_goes_both_ways_unharmed),
        PCF_TEST(a_peer_that_does_not_read_stops_the_sender_until_it_reads),
        PCF_TEST(nothing_sits_unread),
        PCF_TEST(pending_is_false_when_nothing_is_there),
        PCF_TEST(receive_soon_returns_with_bytes_and_without),
        PCF_TEST(several_streams_are_strangers),
        PCF_TEST(the_peer_hears_of_a_hangup),
        PCF_TEST(a_hangup_in_mid_dial_leaves_nothing),
        PCF_TEST(an_allocation_that_fails_is_said_and_leaks_nothing),
        PCF_TEST(one_thread_sends_while_another_receives),
        PCF_TEST(a_child_that_lets_go_leaves_the_stream_to_its_parent),
    };
    memset(&pcf_now, 0, sizeof(pcf_now));
    pcf_now.transport = subject;
    pcf_now.idle = subject->idle;
    pcf_now.user = subject->user;
    pcf_now.counts_descriptors = subject->counts_descriptors;
    return pcf_run_tests(subject->name, tests, sizeof(tests) / sizeof(tests[0]),
                         pcf_transport_set_up, pcf_transport_tear_down);
}

/* MARK: - Poller (Private) */

static inline const sc_poller *pcf_poller(void)
{
    return &pcf_now.poller->poller;
}

static inline void *pcf_poller_open(void)
{
    void *poller = NULL;
    PCF_ASSERT_OK(pcf_poller()->create(pcf_poller()->user, &pcf_now.memory.table, &poller));
    assert_non_null(poller);
    return poller;
}

static inline int pcf_poller_set_up(void **state)
{
    (void)state;
    return pcf_set_up();
}

static inline int pcf_poller_tear_down(void **state)
{
    (void)state;
    return pcf_tear_down();
}

static inline void pcf_pair_open(port_pair *pair)
{
    memset(pair, 0, sizeof(*pair));
    assert_true(pcf_now.poller->pair_open(pcf_now.poller->user, pair));
}

static inline void pcf_pair_close(port_pair *pair)
{
    pcf_now.poller->pair_close_watched(pair);
    pcf_now.poller->pair_close_other(pair);
}

static inline void pcf_watch(void *poller, const port_pair *pair, unsigned interest, void *tag)
{
    PCF_ASSERT_OK(pcf_poller()->watch(poller, pair->watched, interest, tag));
}

/* One wait; every event must be for `tag`. What is ready. */
static inline unsigned pcf_wait(void *poller, int64_t timeout_ms, const void *tag)
{
    sc_event events[8];
    size_t count = 99;
    unsigned ready = 0;
    PCF_ASSERT_OK(pcf_poller()->wait(poller, timeout_ms, events, 8, &count));
    assert_in_range(count, 0, 8);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(events[i].tag, tag);
        assert_true(events[i].ready != 0);
        ready |= events[i].ready;
    }
    return ready;
}

/* Until something is ready. */
static inline unsigned pcf_await(void *poller, const void *tag, const char *awaited)
{
    unsigned ready;
    pcf_begin();
    while ((ready = pcf_wait(poller, PCF_LOOK_MS, tag)) == 0)
        pcf_idle(awaited);
    return ready;
}

static inline void readable_is_told_with_the_tag_until_it_is_forgotten(void **state)
{
    void *poller = pcf_poller_open();
    port_pair pair;
    int tag;
    (void)state;
    pcf_pair_open(&pair);
    pcf_watch(poller, &pair, SC_READABLE, &tag);
    assert_int_equal(pcf_wait(poller, 0, &tag), 0);
    pcf_now.poller->pair_fill(&pair);
    assert_int_equal(pcf_await(poller, &tag, "a filled pair is readable"), SC_READABLE);
    /* It is told as long as it is so. */
    assert_int_equal(pcf_await(poller, &tag, "a filled pair stays readable"), SC_READABLE);
    pcf_now.poller->pair_drain(&pair);
    assert_int_equal(pcf_wait(poller, 0, &tag), 0);
    pcf_now.poller->pair_fill(&pair);
    assert_int_equal(pcf_await(poller, &tag, "a pair filled again is readable"), SC_READABLE);
    pcf_watch(poller, &pair, 0, NULL);
    assert_int_equal(pcf_wait(poller, 0, NULL), 0);
    pcf_watch(poller, &pair, 0, NULL); /* what is forgotten may be forgotten again */
    pcf_pair_close(&pair);
    pcf_poller()->destroy(poller);
}

static inline void only_what_is_wanted_is_told(void **state)
{
    void *poller = pcf_poller_open();
    port_pair pair;
    int tag;
    unsigned ready = 0;
    (void)state;
    pcf_pair_open(&pair);
    pcf_watch(poller, &pair, SC_WRITABLE, &tag);
    assert_int_equal(pcf_await(poller, &tag, "a fresh pair is writable"), SC_WRITABLE);
    pcf_watch(poller, &pair, SC_READABLE, &tag);
    assert_int_equal(pcf_wait(poller, 0, &tag), 0);
    pcf_now.poller->pair_fill(&pair);
    assert_int_equal(pcf_await(poller, &tag, "the pair is readable"), SC_READABLE);
    pcf_watch(poller, &pair, SC_READABLE | SC_WRITABLE, &tag);
    for (pcf_begin(); ready != (SC_READABLE | SC_WRITABLE); pcf_idle("both are told"))
        ready |= pcf_wait(poller, 0, &tag);
    pcf_watch(poller, &pair, SC_WRITABLE, &tag);
    assert_int_equal(pcf_await(poller, &tag, "the pair is writable"), SC_WRITABLE);
    pcf_watch(poller, &pair, 0, &tag);
    assert_int_equal(pcf_wait(poller, 0, &tag), 0);
    pcf_pair_close(&pair);
    pcf_poller()->destroy(poller);
}

static inline void a_full_end_is_writable_again_once_it_is_read_from(void **state)
{
    void *poller;
    port_pair pair;
    int tag;
    (void)state;
    PCF_NEEDS(pcf_now.poller->pair_choke, "pair_choke is NULL");
    poller = pcf_poller_open();
    pcf_pair_open(&pair);
    pcf_now.poller->pair_choke(&pair);
    pcf_watch(poller, &pair, SC_WRITABLE, &tag);
    assert_int_equal(pcf_wait(poller, 0, &tag), 0);
    pcf_now.poller->pair_relieve(&pair);
    assert_int_equal(pcf_await(poller, &tag, "the pair is writable again"), SC_WRITABLE);
    pcf_watch(poller, &pair, 0, &tag);
    pcf_pair_close(&pair);
    pcf_poller()->destroy(poller);
}

static inline void a_closed_peer_is_told_whatever_is_wanted(void **state)
{
    static const unsigned interests[] = {SC_READABLE, SC_WRITABLE, SC_READABLE | SC_WRITABLE};
    void *poller = pcf_poller_open();
    int tag;
    (void)state;
    for (size_t i = 0; i < sizeof(interests) / sizeof(interests[0]); i++) {
        port_pair pair;
        unsigned told = 0;
        unsigned end =
            interests[i] == SC_WRITABLE ? SC_WRITABLE | SC_HANGUP : SC_READABLE | SC_HANGUP;
        pcf_pair_open(&pair);
        pcf_watch(poller, &pair, interests[i], &tag);
        pcf_now.poller->pair_finish(&pair);
        for (pcf_begin(); !(told & end); pcf_idle("the end of the pair is told"))
            told |= pcf_wait(poller, PCF_LOOK_MS, &tag);
        assert_int_equal(told & ~(interests[i] | SC_HANGUP), 0);
        pcf_watch(poller, &pair, 0, &tag);
        pcf_pair_close(&pair);
    }
    pcf_poller()->destroy(poller);
}

static inline void a_wait_ends_with_or_without_events(void **state)
{
    void *poller = pcf_poller_open();
    port_pair pair;
    int tag;
    (void)state;
    assert_int_equal(pcf_wait(poller, 0, NULL), 0);
    assert_int_equal(pcf_wait(poller, 1, NULL), 0);
    pcf_pair_open(&pair);
    pcf_watch(poller, &pair, SC_READABLE, &tag);
    assert_int_equal(pcf_wait(poller, 0, &tag), 0);
    assert_int_equal(pcf_wait(poller, 1, &tag), 0);
    pcf_now.poller->pair_fill(&pair);
    for (pcf_begin(); pcf_wait(poller, -1, &tag) != SC_READABLE; pcf_idle("a wait for ever ends"))
        continue;
    /* Longer than 32 bits of milliseconds, or 64 of nanoseconds, can say. */
    assert_int_equal(pcf_wait(poller, ((int64_t)1 << 32) + 1, &tag), SC_READABLE);
    assert_int_equal(pcf_wait(poller, INT64_MAX, &tag), SC_READABLE);
    pcf_watch(poller, &pair, 0, &tag);
    pcf_pair_close(&pair);
    pcf_poller()->destroy(poller);
}

/* Had one of the waits not ended, the test would hang. */
static inline void wakes_before_a_wait_end_it_and_tell_no_event(void **state)
{
    void *poller = pcf_poller_open();
    sc_event events[4];
    size_t count;
    (void)state;
    for (int wakes = 1; wakes <= 1000; wakes *= 10) {
        for (int i = 0; i < wakes; i++)
            pcf_poller()->wake(poller);
        count = 99;
        PCF_ASSERT_OK(pcf_poller()->wait(poller, -1, events, 4, &count));
        assert_int_equal(count, 0);
    }
    pcf_poller()->wake(poller);
    assert_int_equal(pcf_wait(poller, INT64_MAX, NULL), 0);
    pcf_poller()->wake(poller); /* destroyed without a wait */
    pcf_poller()->destroy(poller);
}

static inline void a_wake_hides_nothing_that_is_ready(void **state)
{
    void *poller = pcf_poller_open();
    port_pair pair;
    int tag;
    (void)state;
    pcf_pair_open(&pair);
    pcf_watch(poller, &pair, SC_WRITABLE, &tag);
    (void)pcf_await(poller, &tag, "a fresh pair is writable");
    for (int i = 0; i < 3; i++) {
        unsigned ready = 0;
        pcf_poller()->wake(poller);
        for (pcf_begin(); ready != SC_WRITABLE; pcf_idle("the pair is told beside the wake"))
            ready |= pcf_wait(poller, -1, &tag);
    }
    pcf_watch(poller, &pair, 0, &tag);
    pcf_pair_close(&pair);
    pcf_poller()->destroy(poller);
}

static inline void what_is_no_descriptor_is_refused_with_words(void **state)
{
    void *poller = pcf_poller_open();
    port_pair pair;
    int tag;
    (void)state;
    pcf_forget_words();
    pcf_assert_failed(pcf_poller()->watch(poller, -1, SC_READABLE, &tag), "watching -1");
    /* The poller is as it was. */
    pcf_pair_open(&pair);
    pcf_watch(poller, &pair, SC_WRITABLE, &tag);
    assert_int_equal(pcf_await(poller, &tag, "the pair is writable"), SC_WRITABLE);
    pcf_watch(poller, &pair, 0, &tag);
    pcf_pair_close(&pair);
    pcf_poller()->destroy(poller);
}

/* The client forgets before it closes; a program that closes what is not its own must not be able
   to hurt more than that. */
static inline void a_descriptor_closed_while_watched_harms_no_other(void **state)
{
    void *poller = pcf_poller_open();
    port_pair gone;
    port_pair other;
    sc_event events[8];
    size_t count;
    int tags[2];
    (void)state;
    pcf_pair_open(&gone);
    pcf_pair_open(&other);
    pcf_watch(poller, &gone, SC_READABLE, &tags[0]);
    pcf_watch(poller, &other, SC_READABLE, &tags[1]);
    pcf_now.poller->pair_close_watched(&gone);
    pcf_now.poller->pair_fill(&other);
    for (int i = 0; i < 3; i++) {
        sc_status status;
        pcf_forget_words();
        status = pcf_poller()->wait(poller, 0, events, 8, &count);
        if (status != SC_OK)
            pcf_assert_failed(status, "waiting on a closed descriptor");
    }
    (void)pcf_poller()->watch(poller, gone.watched, 0, &tags[0]);
    assert_int_equal(pcf_await(poller, &tags[1], "the other pair is told"), SC_READABLE);
    pcf_watch(poller, &other, 0, &tags[1]);
    pcf_now.poller->pair_close_other(&gone);
    pcf_pair_close(&other);
    pcf_poller()->destroy(poller);
}

static inline void a_number_used_again_has_its_new_tag(void **state)
{
    void *poller = pcf_poller_open();
    port_pair pair;
    int tags[8];
    (void)state;
    pcf_pair_open(&pair);
    pcf_now.poller->pair_fill(&pair);
    for (int i = 0; i < 4; i++) {
        pcf_watch(poller, &pair, SC_READABLE, &tags[2 * i]);
        assert_int_equal(pcf_await(poller, &tags[2 * i], "the pair is told"), SC_READABLE);
        /* Another tag without forgetting, and then with. */
        pcf_watch(poller, &pair, SC_READABLE, &tags[2 * i + 1]);
        assert_int_equal(pcf_await(poller, &tags[2 * i + 1], "the pair is told"), SC_READABLE);
        pcf_watch(poller, &pair, 0, NULL);
    }
    /* Closed and opened again, the number is the same as a rule. */
    for (int i = 0; i < 4; i++) {
        pcf_pair_close(&pair);
        pcf_pair_open(&pair);
        pcf_watch(poller, &pair, SC_READABLE, &tags[i]);
        assert_int_equal(pcf_wait(poller, 0, &tags[i]), 0);
        pcf_now.poller->pair_fill(&pair);
        assert_int_equal(pcf_await(poller, &tags[i], "the new pair is told"), SC_READABLE);
        pcf_watch(poller, &pair, 0, NULL);
    }
    pcf_pair_close(&pair);
    pcf_poller()->destroy(poller);
}

static inline void two_pollers_are_strangers(void **state)
{
    void *first = pcf_poller_open();
    void *second = pcf_poller_open();
    port_pair pair;
    int tags[2];
    (void)state;
    pcf_pair_open(&pair);
    pcf_now.poller->pair_fill(&pair);
    pcf_watch(first, &pair, SC_READABLE, &tags[0]);
    assert_int_equal(pcf_wait(second, 0, NULL), 0);
    pcf_watch(second, &pair, SC_READABLE | SC_WRITABLE, &tags[1]);
    assert_int_equal(pcf_await(first, &tags[0], "the first tells the pair"), SC_READABLE);
    pcf_poller()->wake(second);
    pcf_watch(first, &pair, 0, NULL);
    pcf_poller()->destroy(first);
    assert_true(pcf_await(second, &tags[1], "the second tells the pair") & SC_READABLE);
    pcf_watch(second, &pair, 0, NULL);
    pcf_pair_close(&pair);
    pcf_poller()->destroy(second);
}

/* MARK: - Poller: many (Private) */

typedef struct pcf_crowd {
    void *poller;
    size_t count;
    port_pair pairs[PCF_MAX_PAIRS];
    bool is_watched[PCF_MAX_PAIRS];
    bool is_seen[PCF_MAX_PAIRS];
} pcf_crowd;

static inline void pcf_crowd_open(pcf_crowd *crowd)
{
    memset(crowd, 0, sizeof(*crowd));
    crowd->poller = pcf_poller_open();
    crowd->count = pcf_now.poller->max_pairs;
    if (crowd->count == 0 || crowd->count > PCF_MAX_PAIRS)
        crowd->count = PCF_MAX_PAIRS;
    for (size_t i = 0; i < crowd->count; i++) {
        pcf_pair_open(&crowd->pairs[i]);
        pcf_now.poller->pair_fill(&crowd->pairs[i]);
    }
}

static inline void pcf_crowd_close(pcf_crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++) {
        pcf_watch(crowd->poller, &crowd->pairs[i], 0, NULL);
        pcf_pair_close(&crowd->pairs[i]);
    }
    assert_int_equal(pcf_wait(crowd->poller, 0, NULL), 0);
    pcf_poller()->destroy(crowd->poller);
}

static inline void pcf_crowd_watch(pcf_crowd *crowd, size_t i, bool is_watched)
{
    crowd->is_watched[i] = is_watched;
    pcf_watch(crowd->poller, &crowd->pairs[i], is_watched ? SC_READABLE : 0, &crowd->is_seen[i]);
}

/* One look, with room for `cap` events; none may be of what is not watched. */
static inline void pcf_crowd_look(pcf_crowd *crowd, size_t cap)
{
    sc_event events[PCF_MAX_PAIRS];
    size_t count = 0;
    PCF_ASSERT_OK(pcf_poller()->wait(crowd->poller, 0, events, cap, &count));
    assert_in_range(count, 0, cap);
    for (size_t i = 0; i < count; i++) {
        size_t at = (size_t)((bool *)events[i].tag - crowd->is_seen);
        assert_in_range(at, 0, crowd->count - 1);
        assert_true(crowd->is_watched[at]);
        assert_int_equal(events[i].ready, SC_READABLE);
        crowd->is_seen[at] = true;
    }
}

static inline size_t pcf_crowd_missing(const pcf_crowd *crowd)
{
    size_t missing = 0;
    for (size_t i = 0; i < crowd->count; i++)
        missing += crowd->is_watched[i] && !crowd->is_seen[i];
    return missing;
}

/* Until all that are watched have been told. */
static inline void pcf_crowd_await(pcf_crowd *crowd, size_t cap)
{
    memset(crowd->is_seen, 0, sizeof(crowd->is_seen));
    pcf_begin();
    for (pcf_crowd_look(crowd, cap); pcf_crowd_missing(crowd) > 0; pcf_crowd_look(crowd, cap))
        pcf_idle("every pair is told");
}

static inline void more_than_fit_in_one_wait_all_have_their_turn(void **state)
{
    static const size_t caps[] = {1, 3, 7};
    pcf_crowd crowd;
    (void)state;
    pcf_crowd_open(&crowd);
    for (size_t i = 0; i < crowd.count; i++)
        pcf_crowd_watch(&crowd, i, true);
    pcf_crowd_await(&crowd, crowd.count); /* from here on all are ready, always */
    for (size_t k = 0; k < sizeof(caps) / sizeof(caps[0]); k++) {
        /* Taking turns would do in count / cap rounds; nobody may wait for four times as long. */
        size_t rounds = 4 * (crowd.count / caps[k] + 1);
        memset(crowd.is_seen, 0, sizeof(crowd.is_seen));
        for (size_t round = 0; round < rounds; round++)
            pcf_crowd_look(&crowd, caps[k]);
        if (pcf_crowd_missing(&crowd) > 0)
            fail_msg("%lu of %lu ready descriptors were not told in %lu waits for %lu",
                     (unsigned long)pcf_crowd_missing(&crowd), (unsigned long)crowd.count,
                     (unsigned long)rounds, (unsigned long)caps[k]);
    }
    pcf_crowd_close(&crowd);
}

static inline void adding_and_forgetting_in_any_order_keeps_the_list_right(void **state)
{
    pcf_crowd crowd;
    uint32_t random = 12345;
    (void)state;
    pcf_crowd_open(&crowd);
    for (int step = 1; step <= 1000; step++) {
        size_t i;
        random = random * 1664525u + 1013904223u; /* any; the same each time */
        i = (random >> 8) % crowd.count;
        pcf_crowd_watch(&crowd, i, !crowd.is_watched[i]);
        if (step % 25 == 0)
            pcf_crowd_await(&crowd, crowd.count);
    }
    pcf_crowd_close(&crowd);
}

static inline void creating_without_memory_leaves_nothing(void **state)
{
    size_t request;
    (void)state;
    for (request = 1; request < PCF_MOST_ALLOCATIONS; request++) {
        void *poller = NULL;
        sc_status status;
        pcf_now.memory.requests = 0;
        pcf_now.memory.failures = 0;
        pcf_now.memory.fail_at = request;
        status = pcf_poller()->create(pcf_poller()->user, &pcf_now.memory.table, &poller);
        pcf_now.memory.fail_at = 0;
        if (status == SC_OK)
            pcf_poller()->destroy(poller);
        else
            assert_int_equal(status, SC_ERR_MEMORY);
        assert_int_equal(pcf_now.memory.live_blocks, 0);
        if (pcf_now.memory.failures == 0) {
            assert_int_equal(status, SC_OK);
            break;
        }
    }
}

/* Each watch that needs memory is first refused it, and then given it. */
static inline void watching_without_memory_is_said_and_harms_no_other(void **state)
{
    pcf_crowd crowd;
    (void)state;
    pcf_crowd_open(&crowd);
    for (size_t i = 0; i < crowd.count; i++) {
        sc_status status;
        pcf_now.memory.requests = 0;
        pcf_now.memory.fail_at = 1;
        status = pcf_poller()->watch(crowd.poller, crowd.pairs[i].watched, SC_READABLE,
                                     &crowd.is_seen[i]);
        pcf_now.memory.fail_at = 0;
        if (status != SC_OK) {
            assert_int_equal(status, SC_ERR_MEMORY);
            pcf_crowd_await(&crowd, crowd.count);
            status = pcf_poller()->watch(crowd.poller, crowd.pairs[i].watched, SC_READABLE,
                                         &crowd.is_seen[i]);
        }
        PCF_ASSERT_OK(status);
        crowd.is_watched[i] = true;
    }
    pcf_crowd_await(&crowd, crowd.count);
    pcf_crowd_close(&crowd);
}

static inline void schedule_does_no_harm(void **state)
{
    static const int64_t delays_ns[] = {0, -1, 1, 1000000, INT64_MAX};
    void *poller;
    port_pair pair;
    int tag;
    (void)state;
    PCF_NEEDS(pcf_poller()->schedule, "schedule is NULL");
    poller = pcf_poller_open();
    pcf_pair_open(&pair);
    pcf_watch(poller, &pair, SC_READABLE, &tag);
    for (size_t i = 0; i < sizeof(delays_ns) / sizeof(delays_ns[0]); i++) {
        pcf_poller()->schedule(poller, delays_ns[i]);
        assert_int_equal(pcf_wait(poller, 0, &tag), 0);
        pcf_poller()->schedule(poller, delays_ns[i]);
        pcf_poller()->schedule(poller, -1);
    }
    pcf_now.poller->pair_fill(&pair);
    assert_int_equal(pcf_await(poller, &tag, "the pair is told"), SC_READABLE);
    pcf_watch(poller, &pair, 0, &tag);
    pcf_pair_close(&pair);
    pcf_poller()->schedule(poller, 1000000);
    pcf_poller()->destroy(poller);
}

/* MARK: - Poller: threads and signals (Private) */

#ifndef PORT_CONFORMANCE_NO_POSIX

#define PCF_WAKES 200

/* What two threads share. No assertion of cmocka works off the test's own thread. */
typedef struct pcf_helper {
    pthread_t thread;
    pthread_mutex_t lock;
    void *poller;
    port_pair *pair;
    int asked; /* the number of the wake that is wanted; -1: no more */
    bool is_done;
} pcf_helper;

static inline int pcf_helper_asked(pcf_helper *helper)
{
    int asked;
    pthread_mutex_lock(&helper->lock);
    asked = helper->asked;
    pthread_mutex_unlock(&helper->lock);
    return asked;
}

static inline void pcf_helper_ask(pcf_helper *helper, int number)
{
    pthread_mutex_lock(&helper->lock);
    helper->asked = number;
    pthread_mutex_unlock(&helper->lock);
}

static inline bool pcf_helper_is_done(pcf_helper *helper)
{
    bool is_done;
    pthread_mutex_lock(&helper->lock);
    is_done = helper->is_done;
    pthread_mutex_unlock(&helper->lock);
    return is_done;
}

static inline void pcf_helper_start(pcf_helper *helper, void *poller, port_pair *pair,
                                    void *(*run)(void *))
{
    memset(helper, 0, sizeof(*helper));
    helper->poller = poller;
    helper->pair = pair;
    pthread_mutex_init(&helper->lock, NULL);
    assert_int_equal(pthread_create(&helper->thread, NULL, run, helper), 0);
}

static inline void pcf_helper_join(pcf_helper *helper)
{
    pthread_join(helper->thread, NULL);
    pthread_mutex_destroy(&helper->lock);
}

static inline void *pcf_wake_when_asked(void *argument)
{
    pcf_helper *helper = (pcf_helper *)argument;
    for (int number = 1; number <= PCF_WAKES; number++) {
        while (pcf_helper_asked(helper) < number)
            sched_yield();
        pcf_poller()->wake(helper->poller);
    }
    return NULL;
}

static inline void *pcf_wake_often(void *argument)
{
    pcf_helper *helper = (pcf_helper *)argument;
    for (int i = 0; i < 1000; i++)
        pcf_poller()->wake(helper->poller);
    pthread_mutex_lock(&helper->lock);
    helper->is_done = true;
    pthread_mutex_unlock(&helper->lock);
    return NULL;
}

/* After a while in which the other thread waits, most likely; the test holds if it does not. */
static inline void *pcf_fill_later(void *argument)
{
    pcf_helper *helper = (pcf_helper *)argument;
    for (int i = 0; i < 50; i++)
        pcf_nap();
    pcf_now.poller->pair_fill(helper->pair);
    return NULL;
}

static inline void pcf_on_signal(int number)
{
    (void)number;
}

/* Signals without SA_RESTART, one a millisecond; meanwhile nothing guards the waits. */
static inline void pcf_disturb(bool is_on)
{
    struct sigaction action;
    struct itimerval often;
    memset(&action, 0, sizeof(action));
    memset(&often, 0, sizeof(often));
    action.sa_handler = pcf_on_signal;
    if (is_on) {
        often.it_interval.tv_usec = often.it_value.tv_usec = 1000;
        sigaction(SIGALRM, &action, NULL);
        setitimer(ITIMER_REAL, &often, NULL);
    } else {
        setitimer(ITIMER_REAL, &often, NULL);
        signal(SIGALRM, pcf_on_alarm);
        pcf_begin();
    }
}

static inline void another_thread_wakes_the_one_that_waits(void **state)
{
    void *poller;
    pcf_helper helper;
    (void)state;
    PCF_NEEDS(pcf_now.poller->has_threads, "has_threads is false");
    poller = pcf_poller_open();
    pcf_helper_start(&helper, poller, NULL, pcf_wake_when_asked);
    for (int number = 1; number <= PCF_WAKES; number++) {
        pcf_helper_ask(&helper, number);
        assert_int_equal(pcf_wait(poller, -1, NULL), 0);
    }
    pcf_helper_join(&helper);
    pcf_poller()->destroy(poller);
}

static inline void wakes_from_several_threads_at_once_do_no_harm(void **state)
{
    void *poller;
    pcf_helper helpers[2];
    port_pair pair;
    int tag;
    (void)state;
    PCF_NEEDS(pcf_now.poller->has_threads, "has_threads is false");
    poller = pcf_poller_open();
    pcf_pair_open(&pair);
    pcf_watch(poller, &pair, SC_READABLE, &tag);
    pcf_helper_start(&helpers[0], poller, NULL, pcf_wake_often);
    pcf_helper_start(&helpers[1], poller, NULL, pcf_wake_often);
    while (!pcf_helper_is_done(&helpers[0]) || !pcf_helper_is_done(&helpers[1]))
        assert_int_equal(pcf_wait(poller, PCF_LOOK_MS, &tag), 0);
    pcf_helper_join(&helpers[0]);
    pcf_helper_join(&helpers[1]);
    pcf_now.poller->pair_fill(&pair);
    assert_int_equal(pcf_await(poller, &tag, "the pair is told"), SC_READABLE);
    pcf_watch(poller, &pair, 0, &tag);
    pcf_pair_close(&pair);
    pcf_poller()->destroy(poller);
}

/* More returns with nothing than this, in the time of some sleeps, are no waiting. */
#define PCF_MOST_IDLE_RETURNS 20000

static inline void pcf_wait_for_a_late_byte(bool with_signals)
{
    void *poller = pcf_poller_open();
    pcf_helper helper;
    port_pair pair;
    int tag;
    int returns = 0;
    pcf_pair_open(&pair);
    pcf_watch(poller, &pair, SC_READABLE, &tag);
    pcf_poller()->wake(poller); /* is used up by the first wait */
    if (with_signals)
        pcf_disturb(true);
    pcf_helper_start(&helper, poller, &pair, pcf_fill_later);
    while (pcf_wait(poller, -1, &tag) != SC_READABLE)
        if (++returns == PCF_MOST_IDLE_RETURNS)
            print_error("a wait for ever returned %d times for nothing\n", returns);
    pcf_helper_join(&helper);
    if (with_signals)
        pcf_disturb(false);
    assert_in_range(returns, 0, PCF_MOST_IDLE_RETURNS - 1);
    pcf_watch(poller, &pair, 0, &tag);
    pcf_pair_close(&pair);
    pcf_poller()->destroy(poller);
}

static inline void a_wait_for_ever_waits(void **state)
{
    (void)state;
    PCF_NEEDS(pcf_now.poller->has_threads, "has_threads is false");
    pcf_wait_for_a_late_byte(false);
}

static inline void signals_are_no_errors(void **state)
{
    (void)state;
    PCF_NEEDS(pcf_now.poller->has_threads, "has_threads is false");
    pcf_wait_for_a_late_byte(true);
}

#endif

static inline int port_conformance_poller(const port_poller_subject *subject)
{
    struct CMUnitTest tests[] = {
        PCF_TEST(readable_is_told_with_the_tag_until_it_is_forgotten),
        PCF_TEST(only_what_is_wanted_is_told),
        PCF_TEST(a_full_end_is_writable_again_once_it_is_read_from),
        PCF_TEST(a_closed_peer_is_told_whatever_is_wanted),
        PCF_TEST(a_wait_ends_with_or_without_events),
        PCF_TEST(wakes_before_a_wait_end_it_and_tell_no_event),
        PCF_TEST(a_wake_hides_nothing_that_is_ready),
        PCF_TEST(what_is_no_descriptor_is_refused_with_words),
        PCF_TEST(a_descriptor_closed_while_watched_harms_no_other),
        PCF_TEST(a_number_used_again_has_its_new_tag),
        PCF_TEST(two_pollers_are_strangers),
        PCF_TEST(more_than_fit_in_one_wait_all_have_their_turn),
        PCF_TEST(adding_and_forgetting_in_any_order_keeps_the_list_right),
        PCF_TEST(creating_without_memory_leaves_nothing),
        PCF_TEST(watching_without_memory_is_said_and_harms_no_other),
        PCF_TEST(schedule_does_no_harm),
#ifndef PORT_CONFORMANCE_NO_POSIX
        PCF_TEST(another_thread_wakes_the_one_that_waits),
        PCF_TEST(wakes_from_several_threads_at_once_do_no_harm),
        PCF_TEST(a_wait_for_ever_waits),
        PCF_TEST(signals_are_no_errors),
#endif
    };
    memset(&pcf_now, 0, sizeof(pcf_now));
    pcf_now.poller = subject;
    pcf_now.idle = subject->idle;
    pcf_now.user = subject->user;
    pcf_now.counts_descriptors = subject->counts_descriptors;
    return pcf_run_tests(subject->name, tests, sizeof(tests) / sizeof(tests[0]), pcf_poller_set_up,
                         pcf_poller_tear_down);
}

/* MARK: - Ready-made peers and pairs of POSIX (Private) */

#ifndef PORT_CONFORMANCE_NO_SOCKETS

#ifdef MSG_NOSIGNAL
#define PCF_SEND_FLAGS MSG_NOSIGNAL
#else
#define PCF_SEND_FLAGS 0
#endif

/* Listeners and peers are descriptors, plus 1 so that none is NULL. */
static inline void *pcf_posix_handle(int fd)
{
    return (void *)((intptr_t)fd + 1);
}

static inline int pcf_posix_fd(const void *handle)
{
    return (int)((intptr_t)handle - 1);
}

static inline void pcf_posix_prepare(int fd)
{
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, O_NONBLOCK);
#ifdef SO_NOSIGPIPE
    {
        const int on = 1;
        setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
    }
#endif
}

/* A port that is bound but not listened on refuses, and nobody else can come to listen there. */
static inline void *pcf_posix_listen(void *user, bool is_refusing, sc_address *address)
{
    struct sockaddr_in in;
    socklen_t len = (socklen_t)sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    (void)user;
    if (fd < 0)
        return NULL;
    pcf_posix_prepare(fd);
    memset(&in, 0, sizeof(in));
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (const struct sockaddr *)(const void *)&in, len) != 0 ||
        getsockname(fd, (struct sockaddr *)(void *)&in, &len) != 0 ||
        (!is_refusing && listen(fd, 8) != 0)) {
        close(fd);
        return NULL;
    }
    memset(address, 0, sizeof(*address));
    address->family = SC_FAMILY_IPV4;
    address->port = ntohs(in.sin_port);
    memcpy(address->ip, &in.sin_addr, sizeof(in.sin_addr));
    return pcf_posix_handle(fd);
}

static inline void *pcf_posix_accept(void *listener)
{
    const int on = 1;
    int fd = accept(pcf_posix_fd(listener), NULL, NULL);
    if (fd < 0)
        return NULL;
    pcf_posix_prepare(fd);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return pcf_posix_handle(fd);
}

static inline void pcf_posix_close(void *handle)
{
    close(pcf_posix_fd(handle));
}

static inline void pcf_posix_reset(void *peer)
{
    struct linger at_once;
    at_once.l_onoff = 1;
    at_once.l_linger = 0;
    setsockopt(pcf_posix_fd(peer), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(pcf_posix_fd(peer));
}

static inline long pcf_posix_outcome(ssize_t count)
{
    if (count >= 0)
        return (long)count;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? PORT_PEER_NOT_NOW
                                                                     : PORT_PEER_FAILED;
}

static inline long pcf_posix_send(void *peer, const void *data, size_t len)
{
    return pcf_posix_outcome(send(pcf_posix_fd(peer), data, len, PCF_SEND_FLAGS));
}

static inline long pcf_posix_receive(void *peer, void *buffer, size_t cap)
{
    ssize_t count = recv(pcf_posix_fd(peer), buffer, cap, 0);
    return count == 0 ? PORT_PEER_END : pcf_posix_outcome(count);
}

static inline void port_posix_peers(port_transport_subject *subject)
{
    subject->peer_listen = pcf_posix_listen;
    subject->peer_accept = pcf_posix_accept;
    subject->peer_unlisten = pcf_posix_close;
    subject->peer_send = pcf_posix_send;
    subject->peer_receive = pcf_posix_receive;
    subject->peer_close = pcf_posix_close;
    subject->peer_reset = pcf_posix_reset;
}

static inline bool pcf_posix_pair_open(void *user, port_pair *pair)
{
    int ends[2];
    (void)user;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return false;
    pcf_posix_prepare(ends[0]);
    pcf_posix_prepare(ends[1]);
    pair->watched = ends[0];
    pair->other = ends[1];
    return true;
}

static inline void pcf_posix_pair_fill(port_pair *pair)
{
    while (send((int)pair->other, "x", 1, PCF_SEND_FLAGS) < 0 && errno == EINTR)
        continue;
}

static inline void pcf_posix_empty(int fd)
{
    char bytes[4096];
    ssize_t count;
    do
        count = recv(fd, bytes, sizeof(bytes), 0);
    while (count > 0 || (count < 0 && errno == EINTR));
}

static inline void pcf_posix_pair_drain(port_pair *pair)
{
    pcf_posix_empty((int)pair->watched);
}

static inline void pcf_posix_pair_choke(port_pair *pair)
{
    char bytes[4096];
    memset(bytes, 'x', sizeof(bytes));
    while (send((int)pair->watched, bytes, sizeof(bytes), PCF_SEND_FLAGS) > 0)
        continue;
    while (send((int)pair->watched, bytes, 1, PCF_SEND_FLAGS) > 0)
        continue;
}

static inline void pcf_posix_pair_relieve(port_pair *pair)
{
    pcf_posix_empty((int)pair->other);
}

static inline void pcf_posix_pair_close_watched(port_pair *pair)
{
    if (pair->watched >= 0)
        close((int)pair->watched);
}

static inline void pcf_posix_pair_close_other(port_pair *pair)
{
    if (pair->other >= 0)
        close((int)pair->other);
    pair->other = -1;
}

static inline void port_posix_pairs(port_poller_subject *subject)
{
    subject->pair_open = pcf_posix_pair_open;
    subject->pair_fill = pcf_posix_pair_fill;
    subject->pair_drain = pcf_posix_pair_drain;
    subject->pair_choke = pcf_posix_pair_choke;
    subject->pair_relieve = pcf_posix_pair_relieve;
    subject->pair_finish = pcf_posix_pair_close_other;
    subject->pair_close_watched = pcf_posix_pair_close_watched;
    subject->pair_close_other = pcf_posix_pair_close_other;
}

#endif /* PORT_CONFORMANCE_NO_SOCKETS */

#endif /* PORT_CONFORMANCE_H */
