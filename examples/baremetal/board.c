/* The board: an Arm Cortex-M3 on an MPS2+ with the AN385 image (Arm DAI 0385), as QEMU's
   `mps2-an385` has it. Registers of the core: ARMv7-M Architecture Reference Manual. Words, the
   command line, the date and random bytes come from the machine that runs the debugger or QEMU
   (Arm's semihosting); what a real board has in their place is said at each. */

#include "board.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define SYSTICK_CONTROL REGISTER(0xe000e010)
#define SYSTICK_RELOAD REGISTER(0xe000e014)
#define SYSTICK_VALUE REGISTER(0xe000e018)
#define SYSTICK_RUN 7u /* the processor's clock, interrupt, enabled */
#define NVIC_ENABLE REGISTER(0xe000e100)
#define NVIC_DISABLE REGISTER(0xe000e180)
#define ETHERNET_INTERRUPT 13 /* its place in `vectors` as well */

/* A counter that nothing stops, and what divides the processor's clock for it. */
#define FPGA_COUNTER REGISTER(0x40028018)
#define FPGA_PRESCALE REGISTER(0x4002801c)

enum { CLOCK_HZ = 25000000, TICKS_PER_S = 1000, COUNTER_HZ = 1000000 };
enum { EXIT_PANIC = 70, COMMAND_LINE_BYTES = 256 };

extern char board_stack_low[], board_stack_high[], board_handler_stack_high[];
extern char board_data_low[], board_data_high[], board_data_image[];
extern char board_bss_low[], board_bss_high[], board_heap_low[], board_heap_high[];

int main(void);

/* --- semihosting: https://github.com/ARM-software/abi-aa, "Semihosting for AArch32 and AArch64" */

enum {
    HOST_OPEN = 0x01,
    HOST_CLOSE = 0x02,
    HOST_WRITE = 0x05,
    HOST_READ = 0x06,
    HOST_TIME = 0x11,
    HOST_COMMAND_LINE = 0x15,
    HOST_EXIT_EXTENDED = 0x20
};
enum { OPEN_TO_READ_BYTES = 1, OPEN_TO_WRITE = 4, APPLICATION_EXIT = 0x20026 };

static intptr_t host(int operation, const void *arguments)
{
    register intptr_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

/* A handle, or -1. */
static intptr_t host_open(const char *path, int mode)
{
    uintptr_t arguments[3];
    arguments[0] = (uintptr_t)path;
    arguments[1] = (uintptr_t)mode;
    arguments[2] = strlen(path);
    return host(HOST_OPEN, arguments);
}

/* The number of bytes that were NOT moved. */
static size_t host_move(int operation, intptr_t handle, const void *bytes, size_t len)
{
    uintptr_t arguments[3];
    arguments[0] = (uintptr_t)handle;
    arguments[1] = (uintptr_t)bytes;
    arguments[2] = len;
    return (size_t)host(operation, arguments);
}

static void __attribute__((noreturn)) host_exit(int status)
{
    uintptr_t arguments[2];
    arguments[0] = APPLICATION_EXIT;
    arguments[1] = (uintptr_t)status;
    for (;;)
        (void)host(HOST_EXIT_EXTENDED, arguments);
}

/* A real board writes to its UART. */
static void say(const char *bytes, size_t len)
{
    static intptr_t console = -1;
    if (console < 0)
        console = host_open(":tt", OPEN_TO_WRITE);
    if (console >= 0)
        (void)host_move(HOST_WRITE, console, bytes, len);
}

const char *board_arguments(void)
{
    static char line[COMMAND_LINE_BYTES];
    uintptr_t arguments[2];
    arguments[0] = (uintptr_t)line;
    arguments[1] = sizeof line;
    if (!line[0] && host(HOST_COMMAND_LINE, arguments) != 0)
        return "";
    const char *space = strchr(line, ' ');
    return space ? space + 1 : "";
}

void board_panic(const char *words)
{
    say("panic: ", 7);
    say(words, strlen(words));
    say("\n", 1);
    host_exit(EXIT_PANIC);
}

/* --- what newlib asks of an operating system */

int _write(int file, const char *bytes, int len);
int _read(int file, char *bytes, int len);
int _close(int file);
int _lseek(int file, int offset, int whence);
int _fstat(int file, struct stat *about);
int _isatty(int file);
int _kill(int process, int signal);
int _getpid(void);
void *_sbrk(ptrdiff_t bytes);
void _exit(int status);

int _write(int file, const char *bytes, int len)
{
    (void)file;
    say(bytes, (size_t)len);
    return len;
}

int _read(int file, char *bytes, int len)
{
    (void)file;
    (void)bytes;
    (void)len;
    return 0;
}

int _close(int file)
{
    (void)file;
    errno = EBADF;
    return -1;
}

int _lseek(int file, int offset, int whence)
{
    (void)file;
    (void)offset;
    (void)whence;
    return 0;
}

int _fstat(int file, struct stat *about)
{
    (void)file;
    memset(about, 0, sizeof *about);
    about->st_mode = S_IFCHR;
    return 0;
}

int _isatty(int file)
{
    (void)file;
    return 1;
}

int _kill(int process, int signal)
{
    (void)process;
    (void)signal;
    errno = EINVAL;
    return -1;
}

int _getpid(void)
{
    return 1;
}

void _exit(int status)
{
    host_exit(status);
}

static size_t heap_bytes;

/* More memory for malloc, which never gives any back. */
void *_sbrk(ptrdiff_t bytes)
{
    char *end = board_heap_low + heap_bytes;
    if (bytes < 0 || bytes > board_heap_high - end) {
        errno = ENOMEM;
        return (void *)-1;
    }
    heap_bytes += (size_t)bytes;
    return end;
}

/* --- memory */

static board_usage usage;

/* malloc, counted. Any allocator does that can tell when it has no more. */
static void *resize(void *user, void *block, size_t old_size, size_t new_size)
{
    (void)user;
    if (new_size == 0) {
        free(block);
        usage.blocks -= block != NULL;
        usage.used_bytes -= block ? old_size : 0;
        return NULL;
    }
    void *resized = realloc(block, new_size);
    if (!resized)
        return NULL;
    usage.blocks += block == NULL;
    usage.used_bytes += new_size - (block ? old_size : 0);
    if (usage.most_bytes < usage.used_bytes)
        usage.most_bytes = usage.used_bytes;
    return resized;
}

const sc_memory board_memory = {NULL, resize};

/* The stack was filled with this before main began. */
#define UNUSED_STACK 0x57acc0deu

void board_usage_get(board_usage *now)
{
    const uint32_t *word = (const uint32_t *)(const void *)board_stack_low;
    while (*word == UNUSED_STACK)
        word++;
    *now = usage;
    now->heap_bytes = heap_bytes;
    now->stack_bytes = (size_t)(board_stack_high - (const char *)word);
}

/* --- time */

static uint64_t counted; /* microseconds: FPGA_COUNTER, continued beyond its 32 bits */
static int64_t wall_ms_at_zero;

static uint32_t hold_interrupts(void)
{
    uint32_t were_held;
    __asm__ volatile("mrs %0, primask\n\tcpsid i" : "=r"(were_held) : : "memory");
    return were_held;
}

static void let_interrupts(uint32_t were_held)
{
    __asm__ volatile("msr primask, %0" : : "r"(were_held) : "memory");
}

/* The counter goes round in 71 minutes; the tick asks often enough. A tick that comes late loses
   nothing, as it would if time were counted in ticks: leases depend on this clock. */
static uint64_t count_on(void)
{
    uint32_t were_held = hold_interrupts();
    counted += (uint32_t)(FPGA_COUNTER - (uint32_t)counted);
    uint64_t now = counted;
    let_interrupts(were_held);
    return now;
}

int64_t board_monotonic_ns(void)
{
    return (int64_t)(count_on() * (1000000000u / COUNTER_HZ));
}

static int64_t monotonic_ns(void *user)
{
    (void)user;
    return board_monotonic_ns();
}

/* The host's date, to the second. A real board asks its RTC, or SNTP. */
static int64_t wall_ms(void *user)
{
    (void)user;
    if (!wall_ms_at_zero)
        wall_ms_at_zero =
            (int64_t)(uint32_t)host(HOST_TIME, NULL) * 1000 - board_monotonic_ns() / 1000000;
    return wall_ms_at_zero + board_monotonic_ns() / 1000000;
}

const sc_clock board_clock = {NULL, monotonic_ns, wall_ms};

static bool wakes_on_network;

void board_wake_on_network(void)
{
    wakes_on_network = true;
}

/* An interrupt that is pending ends `wfi` even while interrupts are held back. */
void board_sleep(bool (*is_idle)(void))
{
    uint32_t were_held = hold_interrupts();
    if (wakes_on_network)
        NVIC_ENABLE = 1u << ETHERNET_INTERRUPT;
    if (is_idle())
        __asm__ volatile("dsb\n\twfi" : : : "memory");
    let_interrupts(were_held);
}

/* --- random */

/* Tokens that prove who holds a lock come from here: they must differ on every board and after
   every start, and nobody may guess them. This board has no source of randomness, so it asks the
   machine it is attached to. A real board uses its TRNG; one without a TRNG needs a generator that
   is seeded at every start from a secret of this one device, stored at production, and a counter of
   starts in flash. The time or the serial number will not do. */
static sc_status fill(void *user, void *buffer, size_t len)
{
    static intptr_t source = -1;
    (void)user;
    if (source < 0)
        source = host_open("/dev/urandom", OPEN_TO_READ_BYTES);
    if (source < 0 || host_move(HOST_READ, source, buffer, len) != 0)
        return sc_fail(SC_ERR_IO, "the host's /dev/urandom could not be read by semihosting");
    return SC_OK;
}

const sc_random board_random = {NULL, fill};

uint32_t board_random_u32(void)
{
    uint32_t number;
    if (fill(NULL, &number, sizeof number) != SC_OK)
        board_panic(sc_error_text());
    return number;
}

/* --- start and exceptions */

static void start(void)
{
    memcpy(board_data_low, board_data_image, (size_t)(board_data_high - board_data_low));
    memset(board_bss_low, 0, (size_t)(board_bss_high - board_bss_low));
    FPGA_PRESCALE = CLOCK_HZ / COUNTER_HZ - 1;
    SYSTICK_RELOAD = CLOCK_HZ / TICKS_PER_S - 1;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = SYSTICK_RUN;
    exit(main());
}

/* The program gets a stack of its own, filled with UNUSED_STACK, so that one that overflows leaves
   the exception that tells of it a stack to run on. */
void board_reset(void);
__attribute__((naked, noreturn)) void board_reset(void)
{
    __asm__ volatile("ldr r0, =board_stack_low\n\t"
                     "ldr r1, =board_stack_high\n\t"
                     "ldr r2, =%c0\n\t"
                     "0: str r2, [r0], #4\n\t"
                     "cmp r0, r1\n\t"
                     "blo 0b\n\t"
                     "msr psp, r1\n\t"
                     "movs r0, #2\n\t"
                     "msr control, r0\n\t"
                     "isb\n\t"
                     "b %c1\n\t"
                     ".ltorg"
                     :
                     : "i"(UNUSED_STACK), "i"(start));
}

static void tick(void)
{
    (void)count_on();
}

/* Its only purpose was to end a sleep: network_poll asks the controller for frames, and the next
   sleep enables the interrupt again. */
static void network_interrupt(void)
{
    NVIC_DISABLE = 1u << ETHERNET_INTERRUPT;
}

/* The processor has put eight words on the program's stack, the sixth of them (from 0) where it
   was: look it up by `arm-none-eabi-addr2line -e board.elf`. */
static void fault(void)
{
    enum { PLACE = 6, FRAME_BYTES = 32 };
    char words[64];
    uintptr_t frame;
    __asm__ volatile("mrs %0, psp" : "=r"(frame));
    if (frame < (uintptr_t)board_stack_low || frame > (uintptr_t)board_stack_high - FRAME_BYTES)
        board_panic("the stack is too small: STACK_BYTES in mps2_an385.ld");
    (void)snprintf(words, sizeof words, "the processor faulted at 0x%08lx",
                   (unsigned long)((const uint32_t *)frame)[PLACE]);
    board_panic(words);
}

static void unexpected(void)
{
    board_panic("an interrupt that nobody enabled");
}

/* ARMv7-M, B1.5.2 and B1.5.3: the first stack pointer, then the exceptions by number from 1. */
enum { EXCEPTIONS = 15, INTERRUPTS = 32 };
typedef struct vector_table {
    const void *stack;
    void (*exceptions[EXCEPTIONS])(void);
    void (*interrupts[INTERRUPTS])(void);
} vector_table;

#define UNEXPECTED_4 unexpected, unexpected, unexpected, unexpected
#define UNEXPECTED_16 UNEXPECTED_4, UNEXPECTED_4, UNEXPECTED_4, UNEXPECTED_4

__attribute__((used, section(".vectors"))) static const vector_table vectors = {
    board_handler_stack_high,
    /* Reset, NMI, hard fault and what is promoted to it, reserved, SVCall, debug, reserved, PendSV,
       SysTick. */
    {board_reset, unexpected, fault, fault, fault, fault, NULL, NULL, NULL, NULL, unexpected,
     unexpected, NULL, unexpected, tick},
    /* 0 to 12, Ethernet, 14 to 31. */
    {UNEXPECTED_4, UNEXPECTED_4, UNEXPECTED_4, unexpected, network_interrupt, UNEXPECTED_16,
     unexpected, unexpected},
};
