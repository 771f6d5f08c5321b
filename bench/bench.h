#pragma once
/* What the benchmarks share: the server's address, placing client and server on cores, rounds that
   alternate between us and peers, medians, and the line that each case prints. Included first. */

#define _GNU_SOURCE

#include <dirent.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <time.h>
#include <unistd.h>

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <hiredis/hiredis.h>

/* Rounds are short and many, so that what else the machine does falls on all sides alike. */
#define BENCH_ROUNDS 31
#define BENCH_ROUND_NS 20e6
#define BENCH_KEY "key:1"
#define BENCH_VALUE_BYTES 16

static inline void bench_must(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "bench: %s (%s)\n", what, sc_error_text());
    exit(1);
}

/* --- time */

static inline double bench_clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static inline double bench_now_ns(void)
{
    return bench_clock_ns(CLOCK_MONOTONIC);
}

/* User and system time of all threads of this process: the client's, since the server is another.
 */
static inline double bench_cpu_ns(void)
{
    return bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static inline int bench_compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static inline double bench_median(const double *numbers, size_t count)
{
    double sorted[BENCH_ROUNDS];
    bench_must(count > 0 && count <= BENCH_ROUNDS, "a wrong number of rounds");
    memcpy(sorted, numbers, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, bench_compare_doubles);
    return sorted[count / 2];
}

/* --- the server that bench/run started */

static inline const char *bench_environment(const char *name)
{
    const char *text = getenv(name);
    if (!text)
        fprintf(stderr, "bench: %s is not set; start this program by bench/run\n", name);
    if (!text)
        exit(2);
    return text;
}

static inline int bench_port(void)
{
    return atoi(bench_environment("BENCH_PORT"));
}

static inline sc_client *bench_open(bool is_tcp)
{
    char url[256];
    sc_config config;
    sc_client *client;
    if (is_tcp)
        snprintf(url, sizeof url, "redis://127.0.0.1:%d", bench_port());
    else
        snprintf(url, sizeof url, "unix://%s", bench_environment("BENCH_UNIX"));
    memset(&config, 0, sizeof config);
    config.url = url;
    bench_must(sc_open(&config, &client) == SC_OK, "no client");
    return client;
}

static inline redisContext *bench_open_hiredis(bool is_tcp)
{
    redisContext *context = is_tcp ? redisConnect("127.0.0.1", bench_port())
                                   : redisConnectUnix(bench_environment("BENCH_UNIX"));
    bench_must(context && !context->err, "hiredis: no connection");
    return context;
}

/* A blocking socket, connected to a port of this host. */
static inline int bench_open_port(int port)
{
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bench_must(fd >= 0, "no socket");
    bench_must(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "raw: connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* A blocking socket, as a program would use it that knows the bytes beforehand. */
static inline int bench_open_raw(bool is_tcp)
{
    int fd;
    struct sockaddr_un address;
    if (is_tcp)
        return bench_open_port(bench_port());
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", bench_environment("BENCH_UNIX"));
    bench_must(fd >= 0, "no socket");
    bench_must(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "raw: connect");
    return fd;
}

/* Send bytes and receive as many as the answer has. */
static inline void bench_raw_exchange(int fd, const char *request, size_t request_len,
                                      size_t reply_len)
{
    static char buffer[16 * 1024];
    while (request_len) {
        ssize_t sent = send(fd, request, request_len, MSG_NOSIGNAL);
        bench_must(sent > 0, "raw: send");
        request += sent;
        request_len -= (size_t)sent;
    }
    while (reply_len) {
        ssize_t got = recv(fd, buffer, sizeof buffer, 0);
        bench_must(got > 0 && (size_t)got <= reply_len, "raw: recv");
        reply_len -= (size_t)got;
    }
}

/* The value that GET finds. */
static inline void bench_store_value(sc_client *client)
{
    bench_must(sc_command_strings(client, NULL, "SET", BENCH_KEY, "0123456789abcdef",
                                  (const char *)NULL) == SC_OK,
               "SET");
}

/* Operations a second that redis-benchmark says of a run against the server on a Unix socket. */
static inline double bench_redis_benchmark(const char *unix_path, size_t operations,
                                           const char *arguments)
{
    char command[512];
    char line[256];
    double rate = 0;
    snprintf(command, sizeof command, "redis-benchmark -s %s -n %zu --csv %s", unix_path,
             operations, arguments);
    FILE *output = popen(command, "r");
    while (output && fgets(line, sizeof line, output)) {
        const char *comma = strstr(line, "\",\"");
        if (comma && atof(comma + 3) > 0)
            rate = atof(comma + 3);
    }
    bench_must(output && pclose(output) == 0 && rate > 0, "redis-benchmark");
    return rate;
}

/* --- cores */

typedef enum bench_place {
    BENCH_ONE_CORE,  /* for latency: no core has to be woken */
    BENCH_TWO_CORES, /* for throughput: the client on one, the server on the other */
    BENCH_ANYWHERE   /* as the system likes */
} bench_place;

/* Threads and processes that are started later inherit it; those that `server` has are moved. */
static inline void bench_put_server(bench_place place, pid_t server)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    cpu_set_t ours;
    cpu_set_t its;
    char folder[64];
    CPU_ZERO(&ours);
    CPU_ZERO(&its);
    for (size_t core = 0; core < (size_t)cores && core < CPU_SETSIZE; core++) {
        if (place == BENCH_ANYWHERE || core == 0)
            CPU_SET(core, &ours);
        if (place == BENCH_ANYWHERE || core == (place == BENCH_ONE_CORE || cores == 1 ? 0u : 1u))
            CPU_SET(core, &its);
    }
    bench_must(sched_setaffinity(0, sizeof ours, &ours) == 0, "cannot pin the client");
    snprintf(folder, sizeof folder, "/proc/%ld/task", (long)server);
    DIR *tasks = opendir(folder);
    bench_must(tasks != NULL, "no such server");
    for (struct dirent *task = readdir(tasks); task; task = readdir(tasks))
        bench_must(atoi(task->d_name) == 0 ||
                       sched_setaffinity((pid_t)atoi(task->d_name), sizeof its, &its) == 0,
                   "cannot pin the server");
    closedir(tasks);
}

static inline void bench_put(bench_place place)
{
    bench_put_server(place, (pid_t)atoi(bench_environment("BENCH_SERVER_PID")));
}

/* --- rounds */

/* One of those who are compared. */
typedef struct bench_side {
    const char *name;
    void (*run)(void *user, size_t operations);
    void *user;
    size_t operations; /* of a round; 0: as many as fill BENCH_ROUND_NS */
    size_t rounds;     /* measured; 0: the peer measures itself, and there are medians only */
    double wall_ns;    /* an operation, median */
    double cpu_ns;     /* of the client, median */
    double round_wall_ns[BENCH_ROUNDS];
    double round_cpu_ns[BENCH_ROUNDS];
} bench_side;

static inline bench_side bench_side_of(const char *name, void (*run)(void *, size_t), void *user)
{
    bench_side side;
    memset(&side, 0, sizeof side);
    side.name = name;
    side.run = run;
    side.user = user;
    return side;
}

static inline void bench_calibrate(bench_side *side)
{
    for (size_t operations = 64; !side->operations; operations *= 2) {
        double begin_ns = bench_now_ns();
        side->run(side->user, operations);
        double took_ns = bench_now_ns() - begin_ns;
        if (took_ns >= BENCH_ROUND_NS / 4)
            side->operations = (size_t)((double)operations * BENCH_ROUND_NS / took_ns) + 1;
    }
}

static inline void bench_round(bench_side *side)
{
    double operations = (double)side->operations;
    double cpu_begin_ns = bench_cpu_ns();
    double begin_ns = bench_now_ns();
    side->run(side->user, side->operations);
    side->round_wall_ns[side->rounds] = (bench_now_ns() - begin_ns) / operations;
    side->round_cpu_ns[side->rounds] = (bench_cpu_ns() - cpu_begin_ns) / operations;
    side->rounds++;
}

/* Run the sides in turn, BENCH_ROUNDS times. */
static inline void bench_compare(bench_side *const *sides, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bench_calibrate(sides[i]);
        sides[i]->rounds = 0;
    }
    for (size_t round = 0; round < BENCH_ROUNDS; round++)
        for (size_t i = 0; i < count; i++)
            bench_round(sides[i]);
    for (size_t i = 0; i < count; i++) {
        sides[i]->wall_ns = bench_median(sides[i]->round_wall_ns, BENCH_ROUNDS);
        sides[i]->cpu_ns = bench_median(sides[i]->round_cpu_ns, BENCH_ROUNDS);
    }
}

/* The median of the rounds' ratios: a load that comes and goes changes both sides of a round. */
static inline double bench_ratio(const double *ours, const double *theirs)
{
    double ratios[BENCH_ROUNDS];
    for (size_t i = 0; i < BENCH_ROUNDS; i++)
        ratios[i] = ours[i] / theirs[i];
    return bench_median(ratios, BENCH_ROUNDS);
}

static inline double bench_wall_ratio(const bench_side *ours, const bench_side *peer)
{
    return peer->rounds ? bench_ratio(ours->round_wall_ns, peer->round_wall_ns)
                        : ours->wall_ns / peer->wall_ns;
}

static inline double bench_cpu_ratio(const bench_side *ours, const bench_side *peer)
{
    return peer->rounds ? bench_ratio(ours->round_cpu_ns, peer->round_cpu_ns)
                        : ours->cpu_ns / peer->cpu_ns;
}

/* --- the line of a case */

/* What is large when it is good has its aim from below, what is small from above. The ratio is ours
   to the peer's. */
static inline void bench_line(const char *name, const char *unit, double ours, const char *peer,
                              double theirs, double ratio, bool is_rate, double aim)
{
    bool is_met = is_rate ? ratio >= aim : ratio <= aim;
    printf("%s ours=%.2f%s peer=%s:%.2f%s ratio=%.2f aim=%s%.2f %s\n", name, ours, unit, peer,
           theirs, unit, ratio, is_rate ? ">=" : "<=", aim, is_met ? "ok" : "short");
    fflush(stdout);
}

static inline void bench_line_latency(const char *name, const bench_side *ours,
                                      const bench_side *peer, double aim)
{
    bench_line(name, "us", ours->wall_ns / 1e3, peer->name, peer->wall_ns / 1e3,
               bench_wall_ratio(ours, peer), false, aim);
}

static inline void bench_line_cpu(const char *name, const bench_side *ours, const bench_side *peer,
                                  double aim)
{
    bench_line(name, "us", ours->cpu_ns / 1e3, peer->name, peer->cpu_ns / 1e3,
               bench_cpu_ratio(ours, peer), false, aim);
}

/* Thousand operations a second. */
static inline void bench_line_rate(const char *name, const bench_side *ours, const bench_side *peer,
                                   double aim)
{
    bench_line(name, "k/s", 1e6 / ours->wall_ns, peer->name, 1e6 / peer->wall_ns,
               1 / bench_wall_ratio(ours, peer), true, aim);
}
