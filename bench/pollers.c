/* The pollers: poll (the platform's), select and epoll, with 1 and 1,000 idle descriptors beside the
   busy one; and epoll inside of another loop. One GET of 16 bytes at a time, asked without blocking
   and waited for by the poller; client and server on one core. */

#include "bench.h"

#define SMARTCACHE_SELECT_IMPLEMENTATION
#include "ports/smartcache_select.h"
#define SMARTCACHE_EPOLL_IMPLEMENTATION
#include "ports/smartcache_epoll.h"

#include <poll.h>
#include <sys/resource.h>

#define FEW_IDLE 1
#define MANY_IDLE 1000
/* What the program and its clients open beside the idle descriptors. */
#define OTHER_DESCRIPTORS 64

/* --- a poller that also watches what never happens */

typedef struct crowd {
    sc_poller inner;
    size_t count;
    int idle[MANY_IDLE];
} crowd;

static crowd around;

static sc_status create_in_crowd(void *user, const sc_memory *memory, void **poller)
{
    crowd *self = (crowd *)user;
    sc_status status = self->inner.create(self->inner.user, memory, poller);
    for (size_t i = 0; i < self->count && status == SC_OK; i++)
        status = self->inner.watch(*poller, self->idle[i], SC_READABLE, NULL);
    return status;
}

/* Before the clients', so that those have the high numbers, as they would in such a program. select
   needs all below FD_SETSIZE. */
static void gather(size_t count)
{
    struct rlimit limit;
    bench_must(getrlimit(RLIMIT_NOFILE, &limit) == 0, "RLIMIT_NOFILE");
    if (limit.rlim_cur < MANY_IDLE + OTHER_DESCRIPTORS)
        limit.rlim_cur = MANY_IDLE + OTHER_DESCRIPTORS;
    bench_must(setrlimit(RLIMIT_NOFILE, &limit) == 0, "RLIMIT_NOFILE is too low");
    while (around.count < count) {
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        bench_must(fd >= 0, "no idle descriptor");
        around.idle[around.count++] = fd;
    }
}

static sc_client *open_client(const sc_poller *poller)
{
    char url[256];
    sc_config config;
    sc_client *client;
    snprintf(url, sizeof url, "unix://%s", bench_environment("BENCH_UNIX"));
    memset(&config, 0, sizeof config);
    config.url = url;
    config.poller = poller;
    config.polled = true;
    bench_must(sc_open(&config, &client) == SC_OK, "no client");
    return client;
}

static sc_client *open_in_crowd(const sc_poller *poller)
{
    sc_poller crowded = *poller;
    around.inner = *poller;
    crowded.user = &around;
    crowded.create = create_in_crowd;
    return open_client(&crowded);
}

/* --- GET, through the poller */

static void on_reply(void *user, sc_status status, sc_reply *reply)
{
    bench_must(status == SC_OK && sc_item_slice(sc_reply_item(reply)).len == BENCH_VALUE_BYTES,
               "GET");
    *(bool *)user = true;
}

static void ask(sc_client *client, bool *is_done)
{
    const sc_slice argv[2] = {sc_text("GET"), sc_text(BENCH_KEY)};
    *is_done = false;
    bench_must(sc_command_async(client, argv, 2, NULL, on_reply, is_done) == SC_OK, "GET");
}

static void run_polled(void *user, size_t operations)
{
    sc_client *client = (sc_client *)user;
    while (operations--) {
        bool is_done;
        ask(client, &is_done);
        while (!is_done)
            bench_must(sc_poll(client, -1) == SC_OK, "sc_poll");
    }
}

/* As a host does: wait for the one descriptor, make the one call. */
static void run_hosted(void *user, size_t operations)
{
    sc_client *client = (sc_client *)user;
    struct pollfd host = {sc_epoll_fd(client), POLLIN, 0};
    while (operations--) {
        bool is_done;
        ask(client, &is_done);
        while (!is_done) {
            bench_must(poll(&host, 1, -1) == 1, "poll");
            bench_must(sc_epoll_run(client) == SC_OK, "sc_epoll_run");
        }
    }
}

/* --- cases */

typedef struct contest {
    sc_client *clients[3];
    bench_side poll;
    bench_side select;
    bench_side epoll;
} contest;

static void compare(contest *self, size_t idle)
{
    sc_poller tables[3];
    gather(idle);
    bench_must(sc_platform_poller(&tables[0]), "no poller");
    sc_select_poller(&tables[1]);
    sc_epoll_poller(&tables[2]);
    for (size_t i = 0; i < 3; i++)
        self->clients[i] = open_in_crowd(&tables[i]);
    self->poll = bench_side_of("poll", run_polled, self->clients[0]);
    self->select = bench_side_of("select", run_polled, self->clients[1]);
    self->epoll = bench_side_of("epoll", run_polled, self->clients[2]);
    bench_side *sides[] = {&self->poll, &self->select, &self->epoll};
    bench_compare(sides, 3);
    for (size_t i = 0; i < 3; i++)
        sc_close(self->clients[i]);
}

static void line(const char *name, size_t idle, const bench_side *ours, const bench_side *peer,
                 double aim)
{
    char text[64];
    snprintf(text, sizeof text, "get_%s_idle_%zu", name, idle);
    bench_line_latency(text, ours, peer, aim);
    snprintf(text, sizeof text, "get_%s_idle_%zu_cpu", name, idle);
    bench_line_cpu(text, ours, peer, aim);
}

/* The one descriptor in another loop costs that loop's wait, and a look whether all is done. */
static void compare_hosted(void)
{
    sc_poller table;
    sc_epoll_poller(&table);
    sc_client *client = open_client(&table);
    sc_client *alone = open_client(&table);
    bench_side hosted = bench_side_of("hosted", run_hosted, client);
    bench_side epoll = bench_side_of("epoll", run_polled, alone);
    bench_side *sides[] = {&hosted, &epoll};
    bench_compare(sides, 2);
    line("epoll_in_a_loop", 0, &hosted, &epoll, 1.50);
    sc_close(client);
    sc_close(alone);
}

int main(void)
{
    contest few;
    contest many;
    sc_client *client = bench_open(false);
    bench_store_value(client);
    sc_close(client);
    bench_put(BENCH_ONE_CORE);
    compare(&few, FEW_IDLE);
    compare(&many, MANY_IDLE);
    line("select", FEW_IDLE, &few.select, &few.poll, 1.10);
    line("epoll", FEW_IDLE, &few.epoll, &few.poll, 1.10);
    line("select", MANY_IDLE, &many.select, &many.poll, 1.10);
    line("epoll", MANY_IDLE, &many.epoll, &many.poll, 0.50);
    line("epoll_to_few", MANY_IDLE, &many.epoll, &few.epoll, 1.10);
    compare_hosted();
    return 0;
}
