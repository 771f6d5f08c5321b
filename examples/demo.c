/* The demonstration behind `make demo`: 8 processes of 16 threads each ask at the same moment for a
   slow report over a large access log, with the library and without.

       cc -O2 -I. examples/demo.c -o demo -pthread
       ./demo [MEGABYTES_OF_LOG]

   No server is needed: the processes share what they know by embedded:/folder/demo, and the one that
   serves the others is killed while the report is being made. With SMARTCACHE_URL=redis://host they
   share it by that Redis, and nobody is killed. The access log is generated, always the same. All is
   removed at the end, also on Ctrl-C. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PROCESSES = 8,
    THREADS = 16,
    CALLERS = PROCESSES * THREADS,
    DEFAULT_LOG_MB = 120,
    ORDERS = 1000,  /* writes that must outlive the process that has taken them */
    PATH_BYTES = 80 /* a Unix socket's path may have 107 bytes */
};

/* The stampede without the library is cut to what these many seconds should do. */
static const double bare_budget_s = 4;

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double cpu_of_children_s(void)
{
    struct rusage used;
    getrusage(RUSAGE_CHILDREN, &used);
    return (double)used.ru_utime.tv_sec + (double)used.ru_utime.tv_usec / 1e6 +
           (double)used.ru_stime.tv_sec + (double)used.ru_stime.tv_usec / 1e6;
}

/* --- what is to be removed, also from the signal handler: only calls that are safe there */

static char folder[PATH_BYTES];
static char log_path[PATH_BYTES + 16];
/* What embedded:/folder/demo leaves there. */
static char store_paths[3][PATH_BYTES + 16];
static volatile pid_t server_pid;
static volatile pid_t worker_pids[PROCESSES];

static void clean_up(void)
{
    for (int i = 0; i < PROCESSES; i++)
        if (worker_pids[i] > 0)
            kill(worker_pids[i], SIGKILL);
    if (server_pid > 0) {
        kill(server_pid, SIGKILL);
        waitpid(server_pid, NULL, 0);
        server_pid = 0;
    }
    if (folder[0]) {
        unlink(log_path);
        for (size_t i = 0; i < sizeof store_paths / sizeof store_paths[0]; i++)
            unlink(store_paths[i]);
        rmdir(folder);
    }
}

static void on_signal(int number)
{
    clean_up();
    _exit(128 + number);
}

static void handle_signals(void (*handler)(int))
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        sigaddset(&action.sa_mask, numbers[i]);
        sigaction(numbers[i], &action, NULL);
    }
}

/* Fork, and note the child at `place` before a signal can come. */
static pid_t fork_child(volatile pid_t *place)
{
    sigset_t all;
    sigset_t before;
    fflush(NULL);
    /* No signal between the fork and the handlers' removal: a child must not clean up. */
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    pid_t child = fork();
    if (child == 0)
        handle_signals(SIG_DFL);
    else
        *place = child > 0 ? child : 0;
    sigprocmask(SIG_SETMASK, &before, NULL);
    return child;
}

/* --- the log */

/* xorshift64* (Vigna, 2016), always from the same seed. */
static uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717u;
}

/* Lines in the combined format that web servers write, with the response time in microseconds. */
static bool write_log(long megabytes)
{
    static const char *const sections[] = {"products", "articles", "users",
                                           "search",   "images",   "cart"};
    static const int statuses[] = {200, 200, 200, 200, 200, 200, 304, 304, 404, 500};
    uint64_t seed = 88172645463325252u;
    long written = 0;
    FILE *file = fopen(log_path, "w");
    if (!file)
        return false;
    for (long second = 0; written < megabytes * 1000000; second++) {
        for (int i = 0; i < 20; i++) {
            uint64_t r = random_next(&seed);
            uint64_t popular =
                (r >> 8) % 1000 * ((r >> 20) % 1000) / 2500; /* some are asked for often */
            written += fprintf(file,
                               "10.%u.%u.%u - - [20/Nov/2026:%02ld:%02ld:%02ld +0000] \"GET /%s/%u "
                               "HTTP/1.1\" %d %u %u\n",
                               (unsigned)(r >> 40) % 4, (unsigned)(r >> 44) % 250,
                               (unsigned)(r >> 52) % 250, second / 3600 % 24, second / 60 % 60,
                               second % 60, sections[r % 6], (unsigned)popular,
                               statuses[r / 6 % 10], 200 + (unsigned)(r >> 30) % 90000,
                               300 + (unsigned)(popular * 40) + (unsigned)(r >> 33) % 20000);
        }
    }
    return fclose(file) == 0;
}

/* --- the report: for each URL the requests, the bytes, and the median and 99th percentile of
   the response time */

typedef struct hit {
    uint32_t time_us;
    uint32_t client; /* its IPv4 address */
} hit;

typedef struct page {
    char url[64];
    uint64_t bytes;
    hit *hits;
    size_t requests;
    size_t clients;
    size_t cap;
} page;

typedef struct report {
    page *pages; /* open addressing by the URL's hash */
    size_t count;
} report;

enum { PAGE_SLOTS = 1 << 14, TOP = 10, REPORT_BYTES = TOP * 192 };

static int compare_times(const void *a, const void *b)
{
    const hit *x = (const hit *)a;
    const hit *y = (const hit *)b;
    return (x->time_us > y->time_us) - (x->time_us < y->time_us);
}

static int compare_clients(const void *a, const void *b)
{
    const hit *x = (const hit *)a;
    const hit *y = (const hit *)b;
    return (x->client > y->client) - (x->client < y->client);
}

static int compare_pages(const void *a, const void *b)
{
    const page *x = (const page *)a;
    const page *y = (const page *)b;
    if (x->requests != y->requests)
        return x->requests < y->requests ? 1 : -1;
    return strcmp(x->url, y->url);
}

static page *find_page(report *r, const char *url)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *c = url; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    for (size_t i = hash % PAGE_SLOTS;; i = (i + 1) % PAGE_SLOTS) {
        page *p = &r->pages[i];
        if (p->url[0] && strcmp(p->url, url) != 0)
            continue;
        if (!p->url[0]) {
            if (r->count == PAGE_SLOTS - 1)
                return NULL;
            r->count++;
            snprintf(p->url, sizeof p->url, "%s", url);
        }
        return p;
    }
}

static bool add_line(report *r, const char *line)
{
    char url[64];
    unsigned ip[4];
    unsigned status = 0;
    unsigned bytes = 0;
    unsigned time_us = 0;
    if (sscanf(line, "%u.%u.%u.%u %*s %*s [%*[^]]] \"%*s %63s %*[^\"]\" %u %u %u", &ip[0], &ip[1],
               &ip[2], &ip[3], url, &status, &bytes, &time_us) != 8)
        return false;
    page *p = find_page(r, url);
    if (!p)
        return false;
    if (p->requests == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 64;
        hit *hits = (hit *)realloc(p->hits, cap * sizeof *hits);
        if (!hits)
            return false;
        p->hits = hits;
        p->cap = cap;
    }
    p->hits[p->requests].time_us = time_us;
    p->hits[p->requests].client = ip[0] << 24 | ip[1] << 16 | ip[2] << 8 | ip[3];
    p->requests++;
    p->bytes += bytes;
    return true;
}

static size_t count_clients(page *p)
{
    size_t clients = 0;
    qsort(p->hits, p->requests, sizeof *p->hits, compare_clients);
    for (size_t i = 0; i < p->requests; i++)
        clients += i == 0 || p->hits[i].client != p->hits[i - 1].client;
    return clients;
}

static int print_report(report *r, char *text, size_t cap)
{
    int len = 0;
    for (size_t i = 0; i < PAGE_SLOTS; i++) {
        page *p = &r->pages[i];
        if (p->requests == 0)
            continue;
        p->clients = count_clients(p);
        qsort(p->hits, p->requests, sizeof *p->hits, compare_times);
    }
    qsort(r->pages, PAGE_SLOTS, sizeof *r->pages, compare_pages);
    for (size_t i = 0; i < TOP && r->pages[i].requests > 0; i++) {
        const page *p = &r->pages[i];
        len += snprintf(text + len, cap - (size_t)len,
                        "%s %zu requests, %zu clients, %" PRIu64 " bytes, p50 %u us, p99 %u us\n",
                        p->url, p->requests, p->clients, p->bytes, p->hits[p->requests / 2].time_us,
                        p->hits[p->requests * 99 / 100].time_us);
    }
    return len;
}

/* The slow thing: reads the whole log. Returns the text's length, or -1. */
static int make_report(char *text, size_t cap)
{
    char line[512];
    report r = {NULL, 0};
    int len = -1;
    FILE *file = fopen(log_path, "r");
    r.pages = (page *)calloc(PAGE_SLOTS, sizeof *r.pages);
    if (file && r.pages) {
        bool is_well = true;
        while (is_well && fgets(line, sizeof line, file))
            is_well = add_line(&r, line);
        if (is_well && !ferror(file))
            len = print_report(&r, text, cap);
    }
    for (size_t i = 0; r.pages && i < PAGE_SLOTS; i++)
        free(r.pages[i].hits);
    free(r.pages);
    if (file)
        fclose(file);
    return len;
}

/* --- the callers. What they find out lies in memory that all processes share; each caller writes
   its own place. */

typedef struct outcome {
    bool is_well;
    bool has_loaded;
    double waited_s;
    uint32_t checksum; /* of the report: all must have the same */
} outcome;

typedef struct shared {
    double start_s; /* when all were let go */
    int is_loading; /* somebody makes the report; atomic */
    outcome outcomes[CALLERS];
} shared;

typedef struct caller {
    pthread_t thread;
    sc_cache *cache; /* NULL: without the library */
    const char *key;
    shared *all;
    outcome *mine;
    int ready_fd; /* gets a byte from each caller that is ready */
    int gate_fd;  /* ends when all shall go */
} caller;

static uint32_t checksum_of(const char *data, size_t len)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)data[i]) * 16777619u;
    return hash;
}

static sc_status load_report(sc_load *load, void *user)
{
    char text[REPORT_BYTES];
    caller *me = (caller *)user;
    me->mine->has_loaded = true;
    __atomic_store_n(&me->all->is_loading, 1, __ATOMIC_RELEASE);
    int len = make_report(text, sizeof text);
    if (len < 0)
        return sc_fail(SC_ERR_LOADER, "the report over %s failed", log_path);
    return sc_load_write(load, text, (size_t)len);
}

static bool ask_with_library(caller *me)
{
    sc_value *value = NULL;
    sc_status status = sc_get_or_load(me->cache, sc_text(me->key), load_report, me, NULL, &value);
    if (status != SC_OK)
        fprintf(stderr, "get or load: %s: %s\n", sc_status_name(status), sc_error_text());
    sc_slice bytes = sc_value_bytes(value);
    me->mine->checksum = checksum_of(bytes.data, bytes.len);
    sc_value_release(value);
    return status == SC_OK;
}

static bool ask_without_library(caller *me)
{
    char text[REPORT_BYTES];
    int len = make_report(text, sizeof text);
    me->mine->has_loaded = true;
    me->mine->checksum = len < 0 ? 0 : checksum_of(text, (size_t)len);
    return len >= 0;
}

static void *call(void *user)
{
    caller *me = (caller *)user;
    char byte = 0;
    if (write(me->ready_fd, &byte, 1) != 1)
        return NULL;
    while (read(me->gate_fd, &byte, 1) < 0 && errno == EINTR) {
    }
    me->mine->is_well = me->cache ? ask_with_library(me) : ask_without_library(me);
    me->mine->waited_s = now_s() - me->all->start_s;
    return NULL;
}

/* One of the processes: opens its own client and starts its callers. */
static int be_worker(const char *url, const char *key, shared *all, outcome *mine, int threads,
                     int ready_fd, int gate_fd)
{
    caller callers[THREADS];
    int started = 0;
    sc_config config = {0};
    sc_client *client = NULL;
    sc_cache *cache = NULL;
    config.url = url;
    sc_status status = SC_OK;
    if (key) {
        status = sc_open(&config, &client);
        if (status == SC_OK)
            status = sc_cache_open(client, NULL, &cache);
    }
    if (status != SC_OK)
        fprintf(stderr, "%s: %s: %s\n", url, sc_status_name(status), sc_error_text());
    while (status == SC_OK && started < threads) {
        caller *c = &callers[started];
        c->cache = cache;
        c->key = key;
        c->all = all;
        c->mine = &mine[started];
        c->ready_fd = ready_fd;
        c->gate_fd = gate_fd;
        if (pthread_create(&c->thread, NULL, call, c) != 0)
            break;
        started++;
    }
    /* Nobody waits for those that will not come. */
    for (int i = started; i < threads; i++)
        if (write(ready_fd, "", 1) != 1)
            break;
    for (int i = 0; i < started; i++)
        pthread_join(callers[i].thread, NULL);
    sc_cache_close(cache);
    sc_close(client);
    return started == threads ? 0 : 1;
}

/* Kill the process that serves the others, as soon as one of them makes the report. */
static void kill_server_during_load(const shared *all)
{
    const struct timespec pause = {0, 1000000};
    while (!__atomic_load_n(&all->is_loading, __ATOMIC_ACQUIRE) && now_s() < all->start_s + 10)
        nanosleep(&pause, NULL);
    kill(server_pid, SIGKILL);
    waitpid(server_pid, NULL, 0);
    server_pid = 0;
}

/* Let `processes` with `threads` each ask at once; `key` NULL: without the library. `kills`: the
   serving process dies in the middle. */
static bool stampede(const char *url, const char *key, int processes, int threads, bool kills,
                     shared *all)
{
    int ready[2];
    int gate[2];
    char byte;
    bool is_well = true;
    memset(all, 0, sizeof *all);
    if (pipe(ready) != 0 || pipe(gate) != 0)
        return false;
    for (int i = 0; i < processes; i++) {
        pid_t child = fork_child(&worker_pids[i]);
        if (child == 0) {
            close(ready[0]);
            close(gate[1]);
            _exit(
                be_worker(url, key, all, &all->outcomes[i * threads], threads, ready[1], gate[0]));
        }
        is_well = is_well && child > 0;
    }
    close(ready[1]);
    close(gate[0]);
    for (int i = 0; i < processes * threads && is_well; i++)
        is_well = read(ready[0], &byte, 1) == 1;
    all->start_s = now_s();
    close(gate[1]); /* go */
    close(ready[0]);
    if (kills && is_well)
        kill_server_during_load(all);
    for (int i = 0; i < processes; i++) {
        int status = 1;
        if (worker_pids[i] > 0)
            waitpid(worker_pids[i], &status, 0);
        worker_pids[i] = 0;
        is_well = is_well && status == 0;
    }
    for (int i = 0; i < processes * threads; i++)
        is_well = is_well && all->outcomes[i].is_well &&
                  all->outcomes[i].checksum == all->outcomes[0].checksum;
    return is_well;
}

/* --- what is printed */

static int compare_waits(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_row(const char *what, const shared *all, int callers, double cpu_s)
{
    double waits[CALLERS];
    int loads = 0;
    for (int i = 0; i < callers; i++) {
        waits[i] = all->outcomes[i].waited_s * 1e3;
        loads += all->outcomes[i].has_loaded;
    }
    qsort(waits, (size_t)callers, sizeof waits[0], compare_waits);
    printf("%-34s %8d %8d %9.1f %9.1f %9.1f %9.2f\n", what, callers, loads,
           waits[(callers - 1) / 2], waits[(callers * 99 + 99) / 100 - 1], waits[callers - 1],
           cpu_s);
    fflush(stdout);
}

/* --- who serves */

/* A process that opens the store first, and so serves it to the others until it is killed. It has
   orders to keep. */
static int be_server(const char *url, int ready_fd)
{
    sc_config config = {0};
    sc_client *client = NULL;
    config.url = url;
    sc_status status = sc_open(&config, &client);
    for (int i = 0; i < ORDERS && status == SC_OK; i++)
        status = sc_command_strings(client, NULL, "INCR", "orders", (const char *)NULL);
    if (status != SC_OK || write(ready_fd, "", 1) != 1) {
        fprintf(stderr, "%s: %s: %s\n", url, sc_status_name(status), sc_error_text());
        return 1;
    }
    for (;;)
        pause();
}

static bool start_server(const char *url)
{
    int ready[2];
    char byte;
    if (pipe(ready) != 0)
        return false;
    pid_t child = fork_child(&server_pid);
    if (child == 0) {
        close(ready[0]);
        _exit(be_server(url, ready[1]));
    }
    close(ready[1]);
    bool is_ready = child > 0 && read(ready[0], &byte, 1) == 1;
    close(ready[0]);
    return is_ready;
}

/* How many orders there are now; -1: nobody knows. */
static long count_orders(const char *url)
{
    sc_config config = {0};
    sc_client *client = NULL;
    sc_reply *reply = NULL;
    int64_t orders = -1;
    config.url = url;
    if (sc_open(&config, &client) == SC_OK &&
        sc_command_strings(client, &reply, "INCRBY", "orders", "0", (const char *)NULL) == SC_OK)
        (void)sc_item_integer(sc_reply_item(reply), &orders);
    sc_reply_release(reply);
    sc_close(client);
    return (long)orders;
}

static void forget(const char *url, const char *key)
{
    sc_config config = {0};
    sc_client *client = NULL;
    sc_cache *cache = NULL;
    config.url = url;
    if (sc_open(&config, &client) == SC_OK && sc_cache_open(client, NULL, &cache) == SC_OK)
        (void)sc_invalidate(cache, sc_text(key));
    sc_cache_close(cache);
    sc_close(client);
}

/* --- the demonstration */

static bool show_orders(const char *url)
{
    long orders = count_orders(url);
    printf("\n(*) While one process made the report, the process that served all the others was "
           "killed, and\n"
           "another took over. Of %d orders that it had taken before, %ld are there.\n",
           (int)ORDERS, orders);
    return orders == ORDERS;
}

static bool show(const char *url, long megabytes, shared *all)
{
    char key[64];
    const bool is_embedded = server_pid > 0;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    snprintf(key, sizeof key, "smartcache-demo:%ld:%ld", (long)getpid(), (long)time(NULL));

    printf("%d processes of %d threads ask at the same moment for a report (requests, bytes, p50 "
           "and p99\n"
           "of each page) over an access log of %ld MB, on %ld cores. How long each of them waits, "
           "in ms:\n\n",
           PROCESSES, THREADS, megabytes, cores);
    printf("%-34s %8s %8s %9s %9s %9s %9s\n", "", "callers", "loads", "median", "p99", "max",
           "CPU s");
    fflush(stdout);

    double cpu_before_s = cpu_of_children_s();
    bool is_well = stampede(url, key, PROCESSES, THREADS, is_embedded, all);
    double cpu_s = cpu_of_children_s() - cpu_before_s;
    if (is_well)
        print_row(is_embedded ? "with smartcache (*)" : "with smartcache", all, CALLERS, cpu_s);
    uint32_t checksum = all->outcomes[0].checksum;
    cpu_before_s = cpu_of_children_s();
    if (is_well && (is_well = stampede(url, key, PROCESSES, THREADS, false, all)))
        print_row("with smartcache, asked again", all, CALLERS, cpu_of_children_s() - cpu_before_s);
    forget(url, key);
    if (!is_well)
        return false;

    /* As many callers as should end in time, by the CPU that the one load took. */
    int callers = (int)(bare_budget_s * (double)(cores > 0 ? cores : 1) / cpu_s);
    callers = callers < 2 ? 2 : callers > CALLERS ? CALLERS : callers;
    int processes = callers < PROCESSES ? callers : PROCESSES;
    int threads = callers / processes;
    callers = processes * threads;
    cpu_before_s = cpu_of_children_s();
    if (!stampede(url, NULL, processes, threads, false, all))
        return false;
    print_row("without it", all, callers, cpu_of_children_s() - cpu_before_s);

    if (is_embedded && !show_orders(url))
        return false;
    if (callers < CALLERS)
        printf("\nWithout it only %d of the %d callers ran, so that this ends within seconds; the "
               "others would\n"
               "each have added one more load. ",
               callers, CALLERS);
    else
        printf("\n");
    printf("All callers of all rows got the same report: %s.\n",
           all->outcomes[0].checksum == checksum ? "yes" : "NO");
    return all->outcomes[0].checksum == checksum;
}

int main(int argc, char **argv)
{
    static const char *const store_files[] = {"log", "log.lock", "sock"};
    const char *parent = getenv("TMPDIR");
    const char *url = getenv("SMARTCACHE_URL");
    char own_url[PATH_BYTES + 32];
    long megabytes = argc > 1 ? strtol(argv[1], NULL, 10) : DEFAULT_LOG_MB;
    shared *all = (shared *)mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bool is_well = all != MAP_FAILED;

    if (megabytes < 1 || megabytes > 2000) {
        fprintf(stderr, "%s [MEGABYTES_OF_LOG]: 1 to 2000\n", argv[0]);
        return 2;
    }
    if (!parent || !*parent || strlen(parent) > PATH_BYTES - 32)
        parent = "/tmp";
    char name[PATH_BYTES];
    snprintf(name, sizeof name, "%s/smartcache-demo.XXXXXX", parent);
    if (!is_well || !mkdtemp(name)) {
        perror(name);
        return 1;
    }
    snprintf(log_path, sizeof log_path, "%s/access.log", name);
    for (size_t i = 0; i < sizeof store_paths / sizeof store_paths[0]; i++)
        snprintf(store_paths[i], sizeof store_paths[i], "%s/demo.%s", name, store_files[i]);
    memcpy(folder, name, sizeof folder);
    handle_signals(on_signal);

    if (!url || !*url) {
        snprintf(own_url, sizeof own_url, "embedded:%s/demo", name);
        url = own_url;
        is_well = start_server(url);
    }
    if (is_well && !(is_well = write_log(megabytes)))
        perror(log_path);
    if (is_well && !(is_well = show(url, megabytes, all)))
        fprintf(stderr, "The demonstration did not come to its end.\n");
    clean_up();
    return is_well ? 0 : 1;
}
