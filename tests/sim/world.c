/* Time, chance, and processes. */

#define _GNU_SOURCE
#undef _FORTIFY_SOURCE /* it takes a jump to another stack for a mistake */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIM_ADDRESS_SANITIZER 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SIM_ADDRESS_SANITIZER 1
#endif
#ifdef SIM_ADDRESS_SANITIZER
#include <sanitizer/common_interface_defs.h>
#endif

#define WORLD_BEGIN_MS INT64_C(1750000000000) /* the wall clock when a run begins */
#define HASH_PRIME UINT64_C(1099511628211)

sim_world sim;

/* A process's stack and place. The scheduler is `home`. */
typedef struct coroutine {
    ucontext_t context; /* where it begins */
    jmp_buf place;      /* where it goes on */
    bool has_begun;
    char *stack;
    char error_text[SC_ERROR_TEXT_BYTES]; /* each process has its own */
    void *fake_stack;
} coroutine;

static coroutine home = {.has_begun = true};
static const void *home_stack;
static size_t home_stack_bytes;

static const char *const fault_names[SIM_FAULTS] = {
    "split",         "delay",        "black-hole",  "cut",          "server-slow",
    "server-pause",  "server-kill",  "host-crash",  "server-empty", "server-old",
    "server-clock",  "client-pause", "client-kill", "client-clock", "publish-drop",
    "publish-twice", "noscript",     "readonly",    "oom",          "allocation",
};

const char *sim_fault_name(sim_fault fault)
{
    return fault_names[fault];
}

/* --- chance: splitmix64 (Steele, Lea, Flood, 2014) */

uint64_t sim_u64(sim_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

sim_random sim_random_of(uint64_t seed, uint64_t stream)
{
    sim_random random = {seed * UINT64_C(0x9e3779b97f4a7c15) + stream};
    random.state = sim_u64(&random) ^ stream;
    return random;
}

int64_t sim_between(sim_random *random, int64_t low, int64_t high)
{
    return low + (int64_t)(sim_u64(random) % (uint64_t)(high - low + 1));
}

int64_t sim_spread(sim_random *random, int64_t low, int64_t high)
{
    int64_t bound = low > 0 ? low : 1;
    int doublings = 0;
    while (bound < high / 2) {
        bound *= 2;
        doublings++;
    }
    bound = (low > 0 ? low : 1) << sim_between(random, 0, doublings);
    int64_t top = 2 * bound < high ? 2 * bound : high;
    return sim_between(random, low < bound ? bound : low, top < low ? low : top);
}

bool sim_chance(sim_random *random, double probability)
{
    return (double)(sim_u64(random) >> 11) / 9007199254740992.0 < probability;
}

/* --- what happened */

void sim_mix(uint64_t what, uint64_t value)
{
    sim.hash = (sim.hash ^ what) * HASH_PRIME;
    sim.hash = (sim.hash ^ value) * HASH_PRIME;
    sim.hash = (sim.hash ^ (uint64_t)sim.now_ns) * HASH_PRIME;
    sim.events++;
}

static void print_line(const char *text)
{
    if (sim.current)
        printf("%12.6f %s%d  %s\n", (double)sim.now_ns / 1e9, sim.current->is_server ? "S" : "c",
               sim.current->id, text);
    else
        printf("%12.6f --  %s\n", (double)sim.now_ns / 1e9, text);
}

void sim_trace(const char *format, ...)
{
    char text[512];
    va_list arguments;
    if (!sim.options.is_traced)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    print_line(text);
}

void sim_note(const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (int i = 0; i < len && i < (int)sizeof text - 1; i++)
        sim.hash = (sim.hash ^ (unsigned char)text[i]) * HASH_PRIME;
    sim_mix(1, (uint64_t)len);
    if (sim.options.is_traced)
        print_line(text);
}

void sim_fail(const char *format, ...)
{
    va_list arguments;
    if (sim.has_failed)
        return;
    sim.has_failed = true;
    sim.failure_ns = sim.now_ns;
    va_start(arguments, format);
    vsnprintf(sim.failure, sizeof sim.failure, format, arguments);
    va_end(arguments);
    sim_note("BROKEN: %s", sim.failure);
}

bool sim_has(sim_fault fault)
{
    return (sim.faults >> fault & 1u) != 0 && sim.now_ns < sim.calm_ns;
}

/* --- clocks and entropy of a process */

int64_t sim_local_ns(const sim_process *process)
{
    return process->clock_offset_ns + sim.now_ns + sim.now_ns / 1000000 * process->drift_ppm;
}

int64_t sim_world_delay_ns(const sim_process *process, int64_t local_ns)
{
    int64_t delay = local_ns - local_ns / 1000000 * process->drift_ppm;
    return delay > 0 ? delay + 1000 : 0; /* never early */
}

static int64_t process_monotonic_ns(void *user)
{
    return sim_local_ns((const sim_process *)user);
}

static int64_t process_wall_ms(void *user)
{
    const sim_process *process = (const sim_process *)user;
    return WORLD_BEGIN_MS + sim.now_ns / SIM_NS_PER_MS + process->wall_offset_ms;
}

static sc_status process_fill(void *user, void *buffer, size_t len)
{
    sim_process *process = (sim_process *)user;
    unsigned char *at = (unsigned char *)buffer;
    for (size_t i = 0; i < len; i++)
        at[i] = (unsigned char)sim_u64(&process->jitter);
    return SC_OK;
}

/* --- coroutines */

static void switch_to(coroutine *from, coroutine *to, const void *stack, size_t stack_bytes,
                      bool is_last)
{
#ifdef SIM_ADDRESS_SANITIZER
    __sanitizer_start_switch_fiber(is_last ? NULL : &from->fake_stack, stack, stack_bytes);
    swapcontext(&from->context, &to->context);
    __sanitizer_finish_switch_fiber(from->fake_stack, NULL, NULL);
#else
    (void)stack;
    (void)stack_bytes;
    (void)is_last;
    /* Unlike swapcontext without a system call, but for the first time. */
    if (_setjmp(from->place))
        return;
    if (to->has_begun)
        _longjmp(to->place, 1);
    to->has_begun = true;
    setcontext(&to->context);
#endif
}

static void process_begin(void)
{
    sim_process *self = sim.current;
    coroutine *mine = (coroutine *)self->coroutine;
#ifdef SIM_ADDRESS_SANITIZER
    __sanitizer_finish_switch_fiber(NULL, &home_stack, &home_stack_bytes);
#endif
    self->program(self);
    self->is_done = true;
    self->wake_ns = SIM_NEVER;
    switch_to(mine, &home, home_stack, home_stack_bytes, true);
}

sim_process *sim_process_start(int id, bool is_server, sim_program program)
{
    sim_process *process = (sim_process *)calloc(1, sizeof *process);
    coroutine *mine = (coroutine *)calloc(1, sizeof *mine);
    process->id = id;
    process->is_server = is_server;
    process->is_alive = true;
    process->wake_ns = sim.now_ns;
    process->program = program;
    process->random = sim_random_of(sim.options.seed, 1000 + (uint64_t)id + sim.events);
    process->jitter = sim_random_of(sim.options.seed, 2000 + (uint64_t)id + sim.events);
    if (sim_has(SIM_CLIENT_CLOCK) && !is_server)
        process->drift_ppm = sim_between(&process->jitter, -200, 200);
    process->clock_offset_ns = sim_between(&process->jitter, 1, 1000) * SIM_NS_PER_S;
    fault_memory_init(&process->memory);
    process->clock.user = process;
    process->clock.monotonic_ns = process_monotonic_ns;
    process->clock.wall_ms = process_wall_ms;
    process->entropy.user = process;
    process->entropy.fill = process_fill;
    sim_net_tables(process);
    sim_disk_tables(process);
    process->coroutine = mine;
    mine->stack = (char *)mmap(NULL, SIM_STACK_BYTES, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mine->stack == MAP_FAILED)
        abort();
    getcontext(&mine->context);
    mine->context.uc_stack.ss_sp = mine->stack;
    mine->context.uc_stack.ss_size = SIM_STACK_BYTES;
    mine->context.uc_link = NULL;
    makecontext(&mine->context, process_begin, 0);
    return process;
}

void sim_process_bury(sim_process *process)
{
    coroutine *mine = (coroutine *)process->coroutine;
    (process->is_server ? sim_server_free : sim_client_free)(process);
    munmap(mine->stack, SIM_STACK_BYTES);
    free(mine);
    /* A process that was killed leaves what it had; one that came to its end must not. */
    if (process->is_done && !sim.has_failed && !fault_memory_is_clean(&process->memory))
        sim_fail("%s%d leaks", process->is_server ? "S" : "c", process->id);
    fault_memory_free(&process->memory);
    if (sim.last == process)
        sim.last = NULL;
    free(process);
}

void sim_process_kill(sim_process *process, bool is_silent)
{
    process->is_alive = false;
    process->wake_ns = SIM_NEVER;
    sim_net_process_gone(process, is_silent);
    sim_disk_process_gone(process);
}

void sim_process_pause(sim_process *process, int64_t until_ns)
{
    if (process->paused_until_ns < until_ns)
        process->paused_until_ns = until_ns;
}

static void add_stall(sim_process *process, int64_t ns)
{
    process->stalled_ns += ns;
    if (process->is_server)
        sim.server_stalled_ns += ns;
}

void sim_trouble(sim_process *process, int64_t until_ns)
{
    int64_t *troubled_ns = process ? &process->troubled_ns : &sim.troubled_ns;
    if (*troubled_ns < until_ns)
        *troubled_ns = until_ns;
}

void sim_wake(sim_process *process, int64_t at_ns)
{
    if (process->is_alive && process->is_waiting && at_ns < process->wake_ns)
        process->wake_ns = at_ns > sim.now_ns ? at_ns : sim.now_ns;
}

void sim_yield_until(int64_t wake_ns)
{
    sim_process *self = sim.current;
    coroutine *mine = (coroutine *)self->coroutine;
    strcpy(mine->error_text, sc_error_text());
    self->wake_ns = wake_ns;
    switch_to(mine, &home, home_stack, home_stack_bytes, false);
    self->is_waiting = false;
    if (strcmp(mine->error_text, sc_error_text()) != 0)
        (void)sc_fail(SC_OK, "%s", mine->error_text);
}

void sim_sleep(int64_t ns)
{
    sim_process *self = sim.current;
    int64_t until_ns = sim.now_ns + ns;
    self->asleep_until_ns = until_ns;
    while (sim.now_ns < until_ns)
        sim_yield_until(until_ns);
    add_stall(self, ns); /* now, so that a call which began meanwhile has it too */
}

/* --- the scheduler */

static int64_t process_due_ns(const sim_process *process)
{
    if (!process->is_alive || process->is_done || process->wake_ns == SIM_NEVER)
        return SIM_NEVER;
    return process->wake_ns > process->paused_until_ns ? process->wake_ns
                                                       : process->paused_until_ns;
}

static sim_process *next_process(int64_t *due_ns)
{
    sim_process *next = NULL;
    *due_ns = SIM_NEVER;
    for (int i = 0; i < sim.process_count; i++) {
        int64_t due = process_due_ns(sim.processes[i]);
        if (due < *due_ns) {
            *due_ns = due;
            next = sim.processes[i];
        }
    }
    return next;
}

static void run_process(sim_process *process)
{
    coroutine *its = (coroutine *)process->coroutine;
    int64_t late_ns = 0;
    if (sim.now_ns < sim.calm_ns && sim_chance(&process->jitter, sim.slowness))
        late_ns = sim_spread(&process->jitter, 1, 20 * SIM_NS_PER_MS);
    if (late_ns > 0 && process->paused_until_ns <= process->wake_ns) {
        process->paused_until_ns = sim.now_ns + late_ns;
        return;
    }
    if (process->paused_until_ns > process->wake_ns && process->paused_until_ns > 0) {
        add_stall(process, process->paused_until_ns - process->wake_ns);
        process->paused_until_ns = 0;
    }
    sim.current = process;
    sim.last = process;
    switch_to(&home, its, its->stack, SIM_STACK_BYTES, false);
    sim.current = NULL;
}

static void draw_world(const sim_options *options)
{
    sim_random random = sim_random_of(options->seed, 1);
    memset(&sim, 0, sizeof sim);
    sim.options = *options;
    sim.hash = UINT64_C(14695981039346656037);
    sim.client_count = (int)sim_between(&random, 2, 6);
    sim.pace_ms = sim_spread(&random, 5, 2000);
    int64_t duration_ms = sim.pace_ms * sim_spread(&random, 100, 2000);
    /* A few faults at a time are found out more easily than all of them. */
    double harshness = (double)sim_between(&random, 0, 3) / 3;
    for (int fault = 0; fault < SIM_FAULTS; fault++)
        if (sim_chance(&random, harshness * (fault <= SIM_CUT ? 0.7 : 0.3)))
            sim.faults |= 1u << fault;
    sim.latency_ns = sim_spread(&random, 20 * SIM_NS_PER_US, 20 * SIM_NS_PER_MS);
    sim.slowness = sim_chance(&random, 0.5) ? (double)sim_between(&random, 0, 20) / 1000 : 0;
    sim.sync = (sc_sync)sim_between(&random, SC_SYNC_EVERY_SECOND, SC_SYNC_NEVER);
    sim.lease_ms = sim_spread(&random, 250, 16000);
    sim.poll_ms = sim_spread(&random, 30, 10000);
    sim.server_count = 1;
    if (sim_chance(&random, 0.4))
        sim.locking = (double)sim_spread(&random, 4, 64) / 100;
    sim.lock_ms = sim_spread(&random, 100, 16000);
    sim.fair = (unsigned)sim_between(&random, 0, (1 << SIM_LOCKS) - 1);
    if (sim_chance(&random, 0.4))
        sim.leading = (double)sim_spread(&random, 4, 64) / 100;
    sim.lead_ms = sim_spread(&random, 100, 16000);
    sim.refreshes = sim.leading > 0 && sim_chance(&random, 0.5);
    sim.clears = sim_chance(&random, 0.3);
    sim.shadow_ms = sim_spread(&random, 300, 8000);
    if (sim.locking > 0 && sim_chance(&random, 0.5))
        sim.permits = (int)sim_between(&random, 1, 4);
    sim.fair |= 1u << (SIM_READERS - SIM_KEYS);
    if (sim_chance(&random, 0.5))
        sim.fair |= 1u << (SIM_PERMITS - SIM_KEYS);
    sim.faults &= options->faults;
    if (options->clients > 0 && options->clients < sim.client_count)
        sim.client_count = options->clients;
    if (options->duration_ms > 0)
        duration_ms = options->duration_ms;
    sim.calm_ns = duration_ms * SIM_NS_PER_MS;
    sim.end_ns = sim.calm_ns + 240 * SIM_NS_PER_S;
}

bool sim_run(const sim_options *options)
{
    draw_world(options);
    sim_net_reset();
    sim_disk_reset();
    sim_ledger_begin();
    for (int i = 0; i < sim.server_count; i++)
        sim.processes[sim.process_count++] = sim_process_start(i, true, sim_server_program);
    for (int i = 0; i < sim.client_count; i++)
        sim.processes[sim.process_count++] = sim_process_start(i, false, sim_client_program);
    sim_fate_begin();
    while (!sim.has_failed) {
        int64_t due_ns;
        sim_process *process = next_process(&due_ns);
        int64_t fate_ns = sim_fate_due_ns();
        if (fate_ns < due_ns)
            due_ns = fate_ns;
        if (due_ns >= sim.end_ns)
            break;
        if (due_ns > sim.now_ns)
            sim.now_ns = due_ns;
        if (fate_ns == due_ns)
            sim_fate_act();
        else
            run_process(process);
        sim_ledger_step();
    }
    if (!sim.has_failed)
        sim_ledger_check_end();
    for (int i = 0; i < sim.process_count; i++)
        sim_process_bury(sim.processes[i]);
    sim_net_reset();
    sim_disk_reset();
    return !sim.has_failed;
}
