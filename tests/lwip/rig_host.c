/* The host's side of the rig: libslirp, the tap device, sockets. Nothing of lwIP's. */

#define _GNU_SOURCE

#include "rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <slirp/libslirp.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void rig_die(const char *what)
{
    fprintf(stderr, "the lwIP rig: %s (%s)\n", what, strerror(errno));
    abort();
}

typedef struct start {
    void (*run)(void *);
    void *argument;
} start;

static void *run_thread(void *argument)
{
    start what = *(start *)argument;
    free(argument);
    what.run(what.argument);
    return NULL;
}

void rig_run(void (*run)(void *), void *argument)
{
    pthread_t thread;
    start *what = (start *)malloc(sizeof(*what));
    if (!what)
        rig_die("no memory");
    what->run = run;
    what->argument = argument;
    if (pthread_create(&thread, NULL, run_thread, what) != 0)
        rig_die("no thread");
    pthread_detach(thread);
}

/* --- sockets */

int rig_host_dial(uint16_t port)
{
    const int on = 1;
    struct sockaddr_in to;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        rig_die("no socket");
    memset(&to, 0, sizeof(to));
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, (struct sockaddr *)(void *)&to, sizeof(to)) == 0)
        return fd;
    close(fd);
    return -1;
}

bool rig_host_send(int descriptor, const void *data, size_t len)
{
    const char *at = (const char *)data;
    while (len > 0) {
        ssize_t count = send(descriptor, at, len, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        at += count;
        len -= (size_t)count;
    }
    return true;
}

size_t rig_host_receive(int descriptor, void *buffer, size_t cap)
{
    ssize_t count;
    do
        count = recv(descriptor, buffer, cap, 0);
    while (count < 0 && errno == EINTR);
    return count > 0 ? (size_t)count : 0;
}

void rig_host_finish(int descriptor)
{
    shutdown(descriptor, SHUT_RDWR);
}

void rig_host_close(int descriptor)
{
    close(descriptor);
}

/* --- libslirp */

#define SLIRP_POLLS 256
#define SLIRP_ADDRESS "10.0.2.15"
#define NS_PER_MS 1000000

typedef struct slirp_timer {
    SlirpTimerCb fire;
    void *user;
    int64_t due_ms; /* -1: not armed */
    struct slirp_timer *next;
} slirp_timer;

/* The lock guards libslirp, which knows no threads. Frames for lwIP leave under it: lwIP's input
   never waits. */
typedef struct slirp_world {
    pthread_mutex_t lock;
    Slirp *slirp;
    rig_link *link;
    int wake_fd;
    slirp_timer *timers;
    struct pollfd polls[SLIRP_POLLS];
    int poll_count;
} slirp_world;

static slirp_world world;

static int64_t slirp_now_ns(void *user)
{
    struct timespec now;
    (void)user;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static ssize_t slirp_send_packet(const void *frame, size_t len, void *user)
{
    (void)user;
    rig_link_input(world.link, frame, len);
    return (ssize_t)len;
}

static void slirp_guest_error(const char *words, void *user)
{
    (void)user;
    fprintf(stderr, "libslirp: %s\n", words);
}

static void *slirp_timer_new(SlirpTimerCb fire, void *fire_user, void *user)
{
    slirp_timer *timer = (slirp_timer *)calloc(1, sizeof(*timer));
    (void)user;
    if (!timer)
        rig_die("no memory");
    timer->fire = fire;
    timer->user = fire_user;
    timer->due_ms = -1;
    timer->next = world.timers;
    world.timers = timer;
    return timer;
}

static void slirp_timer_free(void *timer, void *user)
{
    (void)user;
    ((slirp_timer *)timer)->due_ms = -1;
}

static void slirp_timer_mod(void *timer, int64_t due_ms, void *user)
{
    (void)user;
    ((slirp_timer *)timer)->due_ms = due_ms;
}

static void slirp_ignore_fd(int fd, void *user)
{
    (void)fd;
    (void)user;
}

static void slirp_wake(void *user)
{
    const uint64_t one = 1;
    (void)user;
    if (write(world.wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        rig_die("eventfd");
}

static int slirp_add_poll(int fd, int events, void *user)
{
    struct pollfd *one = &world.polls[world.poll_count];
    (void)user;
    if (world.poll_count == SLIRP_POLLS)
        rig_die("too many connections through libslirp");
    one->fd = fd;
    one->events =
        (short)((events & SLIRP_POLL_IN ? POLLIN : 0) | (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
                (events & SLIRP_POLL_PRI ? POLLPRI : 0));
    one->revents = 0;
    return world.poll_count++;
}

static int slirp_get_revents(int place, void *user)
{
    short revents = world.polls[place].revents;
    (void)user;
    return (revents & POLLIN ? SLIRP_POLL_IN : 0) | (revents & POLLOUT ? SLIRP_POLL_OUT : 0) |
           (revents & POLLPRI ? SLIRP_POLL_PRI : 0) | (revents & POLLERR ? SLIRP_POLL_ERR : 0) |
           (revents & POLLHUP ? SLIRP_POLL_HUP : 0);
}

static void slirp_fire_timers(void)
{
    int64_t now_ms = slirp_now_ns(NULL) / NS_PER_MS;
    for (slirp_timer *timer = world.timers; timer; timer = timer->next)
        if (timer->due_ms >= 0 && timer->due_ms <= now_ms) {
            timer->due_ms = -1;
            timer->fire(timer->user);
        }
}

static void slirp_turn(void)
{
    uint32_t timeout_ms = 1000;
    uint64_t wakes;
    int failed;
    world.poll_count = 0;
    slirp_add_poll(world.wake_fd, SLIRP_POLL_IN, NULL);
    slirp_pollfds_fill(world.slirp, &timeout_ms, slirp_add_poll, NULL);
    pthread_mutex_unlock(&world.lock);
    failed = poll(world.polls, (nfds_t)world.poll_count, (int)timeout_ms) < 0;
    if (read(world.wake_fd, &wakes, sizeof(wakes)) < 0 && errno != EAGAIN)
        rig_die("eventfd");
    pthread_mutex_lock(&world.lock);
    slirp_pollfds_poll(world.slirp, failed, slirp_get_revents, NULL);
    slirp_fire_timers();
}

static void slirp_run(void *argument)
{
    (void)argument;
    pthread_mutex_lock(&world.lock);
    for (;;)
        slirp_turn();
}

static void slirp_transmit(void *user, const void *frame, size_t len)
{
    (void)user;
    pthread_mutex_lock(&world.lock);
    slirp_input(world.slirp, (const uint8_t *)frame, (int)len);
    pthread_mutex_unlock(&world.lock);
    slirp_wake(NULL);
}

void rig_slirp(void)
{
    static SlirpCb callbacks; /* libslirp keeps the pointer */
    SlirpConfig config;
    signal(SIGPIPE, SIG_IGN); /* libslirp writes to sockets that may be closed */
    memset(&config, 0, sizeof(config));
    config.version = 1;
    config.in_enabled = true;
    inet_pton(AF_INET, "10.0.2.0", &config.vnetwork);
    inet_pton(AF_INET, "255.255.255.0", &config.vnetmask);
    inet_pton(AF_INET, RIG_SLIRP_HOST, &config.vhost);
    inet_pton(AF_INET, "10.0.2.9", &config.vdhcp_start);
    inet_pton(AF_INET, "10.0.2.3", &config.vnameserver);
    callbacks.send_packet = slirp_send_packet;
    callbacks.guest_error = slirp_guest_error;
    callbacks.clock_get_ns = slirp_now_ns;
    callbacks.timer_new = slirp_timer_new;
    callbacks.timer_free = slirp_timer_free;
    callbacks.timer_mod = slirp_timer_mod;
    callbacks.register_poll_fd = slirp_ignore_fd;
    callbacks.unregister_poll_fd = slirp_ignore_fd;
    callbacks.notify = slirp_wake;
    pthread_mutex_init(&world.lock, NULL);
    world.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    world.slirp = slirp_new(&config, &callbacks, NULL);
    if (world.wake_fd < 0 || !world.slirp)
        rig_die("libslirp does not start");
    world.link = rig_link_open(SLIRP_ADDRESS, RIG_SLIRP_HOST, slirp_transmit, NULL);
    rig_run(slirp_run, NULL);
}

/* --- the tap device */

#define TAP_ADDRESS "10.9.0.2"

typedef struct tap_world {
    int fd;
    rig_link *link;
} tap_world;

static tap_world tap;

static void tap_transmit(void *user, const void *frame, size_t len)
{
    (void)user;
    /* A full queue loses the frame, as a network does. */
    if (write(tap.fd, frame, len) < 0 && errno != EAGAIN && errno != ENOBUFS)
        rig_die("the tap device");
}

static void tap_run(void *argument)
{
    char frame[RIG_FRAME_BYTES];
    (void)argument;
    for (;;) {
        ssize_t len = read(tap.fd, frame, sizeof(frame));
        if (len > 0)
            rig_link_input(tap.link, frame, (size_t)len);
        else if (errno != EINTR)
            rig_die("the tap device");
    }
}

/* Give an interface an address (NULL: it has one) and switch it on. */
static bool interface_up(const char *name, const char *address)
{
    struct ifreq request;
    struct sockaddr_in ip;
    bool is_up = false;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    memset(&request, 0, sizeof(request));
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    memset(&ip, 0, sizeof(ip));
    ip.sin_family = AF_INET;
    if (address) {
        inet_pton(AF_INET, address, &ip.sin_addr);
        memcpy(&request.ifr_addr, &ip, sizeof(ip));
        is_up = ioctl(fd, SIOCSIFADDR, &request) == 0;
        inet_pton(AF_INET, "255.255.255.0", &ip.sin_addr);
        memcpy(&request.ifr_netmask, &ip, sizeof(ip));
        is_up = is_up && ioctl(fd, SIOCSIFNETMASK, &request) == 0;
    }
    if ((is_up || !address) && ioctl(fd, SIOCGIFFLAGS, &request) == 0) {
        request.ifr_flags = (short)(request.ifr_flags | IFF_UP | IFF_RUNNING);
        is_up = ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    }
    close(fd);
    return is_up;
}

static const char *tap_open(void)
{
    struct ifreq request;
    if (unshare(CLONE_NEWNET) != 0)
        return "a network namespace";
    if (!interface_up("lo", NULL))
        return "the namespace's loopback";
    tap.fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (tap.fd < 0)
        return "/dev/net/tun";
    memset(&request, 0, sizeof(request));
    snprintf(request.ifr_name, sizeof(request.ifr_name), "tap0");
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (ioctl(tap.fd, TUNSETIFF, &request) != 0)
        return "a tap device";
    if (!interface_up("tap0", RIG_TAP_HOST))
        return "the tap device's address";
    return NULL;
}

/* Tried in a child first, since there is no way back. */
static bool tap_is_permitted(char *why, size_t cap)
{
    int ends[2];
    ssize_t len;
    pid_t child;
    int status = 0;
    if (pipe(ends) != 0)
        rig_die("pipe");
    child = fork();
    if (child < 0)
        rig_die("fork");
    if (child == 0) {
        const char *what = tap_open();
        char words[160];
        int count =
            what ? snprintf(words, sizeof(words), "%s is not permitted: %s", what, strerror(errno))
                 : 0;
        _exit(write(ends[1], words, (size_t)count) == count && !what ? 0 : 1);
    }
    close(ends[1]);
    len = read(ends[0], why, cap - 1);
    why[len > 0 ? len : 0] = '\0';
    close(ends[0]);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool rig_tap_begin(char *why, size_t cap)
{
    if (!tap_is_permitted(why, cap))
        return false;
    if (tap_open() != NULL)
        rig_die("a tap device that was there a moment ago");
    return true;
}

void rig_tap(void)
{
    tap.link = rig_link_open(TAP_ADDRESS, RIG_TAP_HOST, tap_transmit, NULL);
    rig_run(tap_run, NULL);
}
