/* RESP2 in: what is read and refused, at every split, at the edge of memory, within limits, with
   failing allocations and into a sink. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <sys/mman.h>
#include <unistd.h>

#include "fault_memory.h"
#include "resp_test.h"

static void read_whole(piecewise *run, const char *input, size_t len, const sc_limits *limits)
{
    piecewise_init(run, input, len, limits);
    piecewise_show(run, len);
}

static void check_same(const piecewise *whole, const piecewise *pieces, const char *how, size_t at)
{
    if (strcmp(whole->out.text, pieces->out.text) != 0)
        fail_msg("%s at %zu of \"%.60s\"\nwhole: %spieces: %s", how, at, whole->input,
                 whole->out.text, pieces->out.text);
    if (whole->status != pieces->status ||
        (whole->status == SC_AGAIN && whole->consumed != pieces->consumed))
        fail_msg("%s at %zu of \"%.60s\": another end", how, at, whole->input);
}

static void check_every_split(const char *input, size_t len, const sc_limits *limits)
{
    piecewise whole;
    read_whole(&whole, input, len, limits);
    for (size_t first = 0; first <= len; first++) {
        piecewise pieces;
        for (size_t second = first; second <= (len < 64 ? len : first); second++) {
            piecewise_init(&pieces, input, len, limits);
            piecewise_show(&pieces, first);
            piecewise_show(&pieces, second);
            piecewise_show(&pieces, len);
            check_same(&whole, &pieces, "split", first);
            piecewise_free(&pieces);
        }
    }
    for (size_t step = 1; step < 8; step++) {
        for (int spoil = 0; spoil < 2; spoil++) {
            piecewise pieces;
            piecewise_init(&pieces, input, len, limits);
            for (size_t end = 0; end < len;) {
                end = sci_min_size(end + step, len);
                if (spoil)
                    spoil_seen(&pieces);
                piecewise_show(&pieces, end);
            }
            check_same(&whole, &pieces, spoil ? "spoilt steps" : "steps", step);
            piecewise_free(&pieces);
        }
    }
    piecewise_free(&whole);
}

/* --- inputs */

typedef struct example {
    const char *input;
    size_t len;
    const char *expected; /* transcript, or a part of the words */
} example;

static const example valid[] = {
    {BYTES("+OK\r\n"), "+OK\n"},
    {BYTES("+\r\n"), "+\n"},
    {BYTES("+with spaces and \0 and \xff\r\n"), "+with spaces and \\00 and \\ff\n"},
    {BYTES("+a simple string that is longer than what is looked at byte by byte\r\n+x\r\n"),
     "+a simple string that is longer than what is looked at byte by byte\n+x\n"},
    {BYTES("-ERR no\r\n"), "-ERR no\n"},
    {BYTES("-\r\n"), "-\n"},
    {BYTES(":0\r\n:1\r\n:-1\r\n:10\r\n:-10\r\n"), ":0\n:1\n:-1\n:10\n:-10\n"},
    {BYTES(":123\r\n:1234\r\n:12345\r\n:1234567\r\n:12345678\r\n:123456789\r\n"),
     ":123\n:1234\n:12345\n:1234567\n:12345678\n:123456789\n"},
    {BYTES(":999999999999999999\r\n:1000000000000000000\r\n:-999999999999999999\r\n"),
     ":999999999999999999\n:1000000000000000000\n:-999999999999999999\n"},
    {BYTES(":9223372036854775807\r\n:-9223372036854775808\r\n"),
     ":9223372036854775807\n:-9223372036854775808\n"},
    {BYTES("$0\r\n\r\n"), "$\n"},
    {BYTES("$3\r\nabc\r\n$-1\r\n$2\r\n\r\n\r\n"), "$abc\nnil\n$\\0d\\0a\n"},
    {BYTES("$11\r\n\0\r\n$3\r\nxx\r\n\r\n"), "$\\00\\0d\\0a$3\\0d\\0axx\\0d\\0a\n"},
    {BYTES("*-1\r\n*0\r\n"), "nil\n[]\n"},
    {BYTES("*2\r\n$1\r\na\r\n$1\r\nb\r\n+OK\r\n"), "[$a $b]\n+OK\n"},
    {BYTES("*5\r\n:1\r\n-ERR inside\r\n$-1\r\n*-1\r\n+x\r\n"), "[:1 -ERR inside nil nil +x]\n"},
    {BYTES("*3\r\n*0\r\n*1\r\n*0\r\n*2\r\n*1\r\n:7\r\n$0\r\n\r\n"), "[[] [[]] [[:7] $]]\n"},
    {BYTES("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n:2\r\n"), "[[[[[:1]]]]]\n:2\n"},
    {BYTES("*2\r\n*2\r\n:1\r\n:2\r\n*2\r\n:3\r\n*1\r\n:4\r\n"), "[[:1 :2] [:3 [:4]]]\n"},
};

static const example invalid[] = {
    {BYTES("x"),
     "byte 0x78 at offset 0 of the server's reply, where one of + - : $ * was expected"},
    {BYTES("\r\n"), "byte 0xd at offset 0"},
    {BYTES("+OK\r\n\n"), "byte 0xa at offset 0"},
    {BYTES("+O\nK\r\n"), "byte 0xa at offset 2"},
    {BYTES("+O\rK\r\n"), "byte 0x4b at offset 3 of the server's reply, where LF after CR"},
    {BYTES("+OK\r\r\n"), "byte 0xd at offset 4"},
    {BYTES("-\n"), "byte 0xa at offset 1"},
    {BYTES("+a simple string that is longer than the short path\n"), "byte 0xa at offset 51"},
    {BYTES("+a simple string that is longer than the short path\rx"), "byte 0x78 at offset 52"},
    {BYTES(":\r\n"), "byte 0xd at offset 1 of the server's reply, where a digit was expected"},
    {BYTES(":-\r\n"), "byte 0xd at offset 2"},
    {BYTES(":--1\r\n"), "byte 0x2d at offset 2"},
    {BYTES(":+1\r\n"), "byte 0x2b at offset 1"},
    {BYTES(": 1\r\n"), "byte 0x20 at offset 1"},
    {BYTES(":1 \r\n"), "byte 0x20 at offset 2"},
    {BYTES(":1-\r\n"), "byte 0x2d at offset 2"},
    {BYTES(":01\r\n"),
     "byte 0x31 at offset 2 of the server's reply, where no digit after a leading"},
    {BYTES(":00\r\n"), "byte 0x30 at offset 2"},
    {BYTES(":00000\r\n"), "byte 0x30 at offset 2"},
    {BYTES(":-0\r\n"), "byte 0x30 at offset 2"},
    {BYTES(":-01\r\n"), "byte 0x30 at offset 2"},
    {BYTES(":12a4\r\n"), "byte 0x61 at offset 3"},
    {BYTES(":1234\n"), "byte 0xa at offset 5"},
    {BYTES(":1\rx"), "byte 0x78 at offset 3"},
    {BYTES(":9223372036854775808\r\n"), "after byte 0x3a at offset 0"},
    {BYTES(":-9223372036854775809\r\n"), "out of range"},
    {BYTES(":18446744073709551617\r\n"), "out of range"},
    {BYTES(":99999999999999999999999999"), "out of range"},
    {BYTES("$\r\n"), "byte 0xd at offset 1"},
    {BYTES("$-2\r\n"), "out of range"},
    {BYTES("$-10\r\n"), "out of range"},
    {BYTES("$-0\r\n"), "byte 0x30 at offset 2"},
    {BYTES("$+1\r\na\r\n"), "byte 0x2b at offset 1"},
    {BYTES("$01\r\na\r\n"), "byte 0x31 at offset 2"},
    {BYTES("$-01\r\n"), "byte 0x30 at offset 2"},
    {BYTES("$1a\r\n"), "byte 0x61 at offset 2"},
    {BYTES("$9223372036854775808\r\n"), "out of range"},
    {BYTES("$18446744073709551616\r\n"), "out of range"},
    {BYTES("$3\r\nabcXX"), "byte 0x58 at offset 7 of the server's reply, where CR after a bulk"},
    {BYTES("$3\r\nabcX"), "byte 0x58 at offset 7"},
    {BYTES("$3\r\nabc\rX"), "byte 0x58 at offset 8"},
    {BYTES("$3\r\nabcd\r\n"), "byte 0x64 at offset 7"},
    {BYTES("$0\r\nX"), "byte 0x58 at offset 4"},
    {BYTES("$4\r\nabc\r\n+"), "byte 0xa at offset 8"},
    {BYTES("*\r\n"), "byte 0xd at offset 1"},
    {BYTES("*-2\r\n"), "out of range"},
    {BYTES("*01\r\n"), "byte 0x31 at offset 2"},
    {BYTES("*2\r\n:1\r\n\r\n"), "byte 0xd at offset 8"},
    {BYTES("*2\r\n:1\r\n$3\r\nabcXX"), "byte 0x58 at offset 15"},
    {BYTES("*1\r\n*1\r\n?"), "byte 0x3f at offset 8"},
    {BYTES("*99999999999999999999\r\n"), "out of range"},
    {BYTES("+OK\r\n*2\r\n+OK\r\n:x"), "byte 0x78 at offset 10"},
};

static const example unfinished[] = {
    {BYTES(""), ""},
    {BYTES("+OK\r\n+O"), "+OK\n"},
    {BYTES("+OK\r"), ""},
    {BYTES("$10\r\nabc"), ""},
    {BYTES("$3\r\nabc\r"), ""},
    {BYTES("$-1\r"), ""},
    {BYTES("*3\r\n:1\r\n*1\r\n+x\r\n"), ""},
    {BYTES("*1000000000"), ""},
};

typedef struct limited {
    sc_limits limits;
    example example;
} limited;

/* Depth, elements, bulk bytes, reply bytes. */
static const limited at_limits[] = {
    {{2, 0, 0, 0}, {BYTES("*1\r\n*1\r\n:1\r\n"), "[[:1]]\n"}},
    {{2, 0, 0, 0}, {BYTES("*1\r\n*1\r\n*0\r\n"), "max_depth"}},
    {{2, 0, 0, 0},
     {BYTES("*1\r\n*1\r\n*1\r\n"), "more than 2 nested arrays: raise sc_limits.max_depth"}},
    {{2, 0, 0, 0}, {BYTES("*2\r\n*0\r\n*1\r\n*-1\r\n"), "[[] [nil]]\n"}},
    {{0, 3, 0, 0}, {BYTES("*3\r\n:1\r\n:2\r\n:3\r\n:4\r\n*3\r\n"), "[:1 :2 :3]\n:4\n"}},
    {{0, 3, 0, 0}, {BYTES("*4\r\n"), "more than 3 elements: raise sc_limits.max_elements"}},
    {{0, 3, 0, 0}, {BYTES("*2\r\n*1\r\n:1\r\n:2\r\n"), "[[:1] :2]\n"}},
    {{0, 3, 0, 0}, {BYTES("*2\r\n*1\r\n:1\r\n*1\r\n"), "max_elements"}},
    {{0, 3, 0, 0}, {BYTES("*9223372036854775807\r\n"), "max_elements"}},
    {{0, 0, 4, 0}, {BYTES("$4\r\nabcd\r\n+abcd\r\n-abcd\r\n"), "$abcd\n+abcd\n-abcd\n"}},
    {{0, 0, 4, 0},
     {BYTES("$5\r\n"), "more than 4 bytes in one string: raise sc_limits.max_bulk_bytes"}},
    {{0, 0, 4, 0}, {BYTES("$5\r\nabcde\r\n"), "max_bulk_bytes"}},
    {{0, 0, 4, 0}, {BYTES("+abcde"), "max_bulk_bytes"}},
    {{0, 0, 4, 0}, {BYTES("+abcde\r\n"), "max_bulk_bytes"}},
    {{0, 0, 4, 0}, {BYTES("-abcde\n"), "max_bulk_bytes"}},
    {{0, 0, 4, 0}, {BYTES("+abcd\n"), "byte 0xa at offset 5"}},
    {{0, 0, 4, 0}, {BYTES("$9223372036854775807\r\n"), "max_bulk_bytes"}},
    {{0, 0, 0, 12}, {BYTES("$5\r\nabcde\r\n$6\r\nabcdef\r\n"), "$abcde\n$abcdef\n"}},
    {{0, 0, 0, 12},
     {BYTES("$7\r\n"), "more than 12 bytes in all: raise sc_limits.max_reply_bytes"}},
    {{0, 0, 0, 12}, {BYTES("*2\r\n:1\r\n:2\r\n"), "[:1 :2]\n"}},
    {{0, 0, 0, 12}, {BYTES("*3\r\n:1\r\n:2\r\n"), ""}},
    {{0, 0, 0, 12}, {BYTES("*3\r\n:1\r\n:2\r\n:"), "max_reply_bytes"}},
    {{0, 0, 0, 12}, {BYTES("*2\r\n:1\r\n:22\r\n"), "max_reply_bytes"}},
    {{0, 0, 0, 12}, {BYTES("*2\r\n:1\r\n$1\r\n"), "max_reply_bytes"}},
    {{0, 0, 0, 12}, {BYTES("+abcdefghi\r\n"), "+abcdefghi\n"}},
    {{0, 0, 0, 12}, {BYTES("+abcdefghij\r\n"), "max_reply_bytes"}},
    {{0, 0, 0, 12}, {BYTES("+abcdefghijklmnop"), "max_reply_bytes"}},
    {{0, 0, 0, 2}, {BYTES(":1\r\n"), "max_reply_bytes"}},
    {{0, 0, 0, 1}, {BYTES("*1\r\n"), "max_reply_bytes"}},
    {{0, 0, SIZE_MAX, SIZE_MAX}, {BYTES("$9223372036854775807\r\n"), "max_bulk_bytes"}},
};

static void check_example(const example *example, const sc_limits *limits)
{
    piecewise run;
    bool is_refused = strchr(example->expected, '\n') == NULL && example->expected[0] != '\0';
    read_whole(&run, example->input, example->len, limits);
    if (is_refused ? !strstr(run.out.text, example->expected)
                   : strcmp(run.out.text, example->expected) != 0)
        fail_msg("\"%s\" gave %s, not %s", example->input, run.out.text, example->expected);
    piecewise_free(&run);
    check_every_split(example->input, example->len, limits);
}

/* --- reading */

static void replies_are_read_at_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(valid); i++)
        check_example(&valid[i], NULL);
    for (size_t i = 0; i < SCI_COUNT(unfinished); i++)
        check_example(&unfinished[i], NULL);
}

static void what_is_wrong_is_refused_with_offset_and_byte_at_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(invalid); i++) {
        piecewise run;
        read_whole(&run, invalid[i].input, invalid[i].len, NULL);
        assert_int_equal(run.status, SC_ERR_PROTOCOL);
        piecewise_free(&run);
        check_example(&invalid[i], NULL);
    }
}

static void limits_hold_at_every_split_and_name_their_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(at_limits); i++)
        check_example(&at_limits[i].example, &at_limits[i].limits);
}

static void the_documented_limits_are_the_default(void **state)
{
    (void)state;
    sci_reader reader;
    sc_limits none;
    memset(&none, 0, sizeof none);
    sci_reader_init(&reader, &none);
    assert_int_equal(reader.limits.max_depth, 32);
    assert_int_equal(reader.limits.max_elements, 16777216);
    assert_int_equal(reader.limits.max_bulk_bytes, 536870912);
    /* With 32 bits nothing may be larger than a quarter of the addresses. */
    assert_int_equal(reader.limits.max_reply_bytes,
                     sci_min_size((size_t)1 << 30, SCI_READER_MOST_BYTES));
    none.max_depth = SIZE_MAX;
    sci_reader_init(&reader, &none);
    assert_int_equal(reader.limits.max_depth, SCI_READER_DEPTH_CAP);
}

static void a_refused_reply_ends_the_reading(void **state)
{
    (void)state;
    piecewise run;
    size_t used;
    read_whole(&run, BYTES("+OK\r\n?"), NULL);
    assert_int_equal(run.status, SC_ERR_PROTOCOL);
    assert_false(sci_reader_is_idle(&run.reader));
    assert_int_equal(sci_reader_read(&run.reader, BYTES("+OK\r\n"), &used), SC_ERR_PROTOCOL);
    assert_int_equal(used, 0);
    piecewise_free(&run);
}

/* The last byte shown stands before a page that cannot be read. */
typedef struct guarded {
    char *pages;
    size_t page_bytes;
    char *guard;
} guarded;

static void guarded_init(guarded *memory)
{
    memory->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    memory->pages = (char *)mmap(NULL, 2 * memory->page_bytes, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory->pages != MAP_FAILED);
    memory->guard = memory->pages + memory->page_bytes;
    assert_int_equal(mprotect(memory->guard, memory->page_bytes, PROT_NONE), 0);
}

/* The statuses of a reading whose every piece ends at the guard. */
static void read_at_guard(guarded *memory, const char *input, size_t len, size_t split,
                          const sc_limits *limits)
{
    sc_memory table;
    sc_item inline_items[INLINE_ITEMS];
    sci_items items;
    sci_reader reader;
    size_t consumed = 0;
    sc_status status = SC_AGAIN;
    assert_true(sci_platform_memory(&table));
    sci_items_init(&items, &table, inline_items, INLINE_ITEMS);
    sci_reader_init(&reader, limits);
    sci_reader_target(&reader, &items);
    for (int piece = 0; piece < 2; piece++) {
        size_t end = piece == 0 ? split : len;
        while (status == SC_AGAIN || status == SC_OK) {
            size_t used = 0;
            char *at = memory->guard - (end - consumed);
            memcpy(at, input + consumed, end - consumed);
            status = sci_reader_read(&reader, at, end - consumed, &used);
            consumed += used;
            if (status == SC_AGAIN)
                break;
        }
    }
    assert_true(consumed <= len);
    sci_items_free(&items);
}

static void check_guard(guarded *memory, const example *example, const sc_limits *limits)
{
    for (size_t len = 0; len <= example->len; len++)
        for (size_t split = 0; split <= len; split++)
            read_at_guard(memory, example->input, len, split, limits);
}

static void no_byte_past_the_end_is_read(void **state)
{
    (void)state;
    guarded memory;
    guarded_init(&memory);
    for (size_t i = 0; i < SCI_COUNT(valid); i++)
        check_guard(&memory, &valid[i], NULL);
    for (size_t i = 0; i < SCI_COUNT(invalid); i++)
        check_guard(&memory, &invalid[i], NULL);
    for (size_t i = 0; i < SCI_COUNT(at_limits); i++)
        check_guard(&memory, &at_limits[i].example, &at_limits[i].limits);
    munmap(memory.pages, 2 * memory.page_bytes);
}

/* Pages that were seen cannot be read any more: going on costs what is new and no more. */
static void a_long_line_in_many_pieces_is_scanned_once(void **state)
{
    (void)state;
    enum { PAGES = 64 };
    guarded unit;
    guarded_init(&unit);
    size_t page = unit.page_bytes;
    munmap(unit.pages, 2 * page);
    for (int is_bulk = 0; is_bulk < 2; is_bulk++) {
        piecewise run;
        size_t used = 0;
        size_t len = PAGES * page;
        char *text =
            (char *)mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(text != MAP_FAILED);
        memset(text, 'x', len);
        int header = is_bulk ? sprintf(text, "$%zu\r\n", len - 100) : sprintf(text, "+");
        assert_true(header > 0);
        size_t total = is_bulk ? (size_t)header + len - 100 + 2 : len;
        memcpy(text + total - 2, "\r\n", 2);
        text[header] = 'x';
        piecewise_init(&run, text, total, NULL);
        sc_status status = SC_AGAIN;
        size_t consumed = 0;
        for (size_t end = page; status == SC_AGAIN && end <= len; end += page) {
            status = sci_reader_read(&run.reader, text + consumed,
                                     sci_min_size(end, total) - consumed, &used);
            consumed += used;
            if (end < len)
                assert_int_equal(mprotect(text, end, PROT_NONE), 0);
        }
        assert_int_equal(status, SC_OK);
        assert_int_equal(consumed, total);
        assert_int_equal(run.items.at[0].len, is_bulk ? len - 100 : len - 3);
        munmap(text, len);
        run.input = NULL;
        piecewise_free(&run);
    }
}

/* --- depth */

/* Each array holds a number, the next array, and a number. */
static void arrays_nest_to_the_deepest_limit(void **state)
{
    (void)state;
    enum { DEPTH = SCI_READER_DEPTH_CAP };
    fault_memory memory;
    sci_reader reader;
    sci_items items;
    sc_limits limits;
    char input[DEPTH * 16];
    size_t len = 0;
    size_t used = 0;
    memset(&limits, 0, sizeof limits);
    limits.max_depth = DEPTH;
    fault_memory_init(&memory);
    sci_items_init(&items, &memory.table, NULL, 0);
    sci_reader_init(&reader, &limits);
    sci_reader_target(&reader, &items);
    for (int i = 1; i < DEPTH; i++)
        len += (size_t)sprintf(input + len, "*3\r\n:1\r\n");
    len += (size_t)sprintf(input + len, "*0\r\n");
    for (int i = 1; i < DEPTH; i++)
        len += (size_t)sprintf(input + len, ":2\r\n");
    assert_true(len < sizeof input);
    size_t at = 0;
    sc_status status = SC_AGAIN;
    for (size_t have = 1; have <= len; have++) { /* byte after byte */
        assert_int_equal(status, SC_AGAIN);
        status = sci_reader_read(&reader, input + at, have - at, &used);
        at += used;
    }
    assert_int_equal(status, SC_OK);
    assert_int_equal(items.count, 3 * DEPTH - 2);
    for (uint32_t i = 0; i < DEPTH; i++) {
        assert_int_equal(items.at[2 * i].kind, SC_ARRAY);
        assert_int_equal(items.at[2 * i].span, 3 * (DEPTH - i) - 2);
    }
    sci_items_free(&items);
    assert_true(fault_memory_is_clean(&memory));
    fault_memory_free(&memory);
}

/* --- memory */

static void memory_follows_the_bytes_that_came(void **state)
{
    (void)state;
    fault_memory memory;
    sci_reader reader;
    sci_items items;
    sc_limits limits;
    char input[256];
    size_t len = 0;
    size_t used;
    memset(&limits, 0, sizeof limits);
    limits.max_elements = 2000000000;
    limits.max_bulk_bytes = 900000000;
    limits.max_reply_bytes = 1000000000;
    fault_memory_init(&memory);
    sci_items_init(&items, &memory.table, NULL, 0);
    sci_reader_init(&reader, &limits);
    sci_reader_target(&reader, &items);
    len = (size_t)sprintf(input, "*1000000000\r\n*500000000\r\n:1\r\n:2\r\n$900000000\r\nabc");
    assert_int_equal(sci_reader_read(&reader, input, len, &used), SC_AGAIN);
    assert_int_equal(used, len - 3);
    assert_int_equal(items.count, 4);
    assert_int_equal(sci_reader_missing(&reader), 900000002);
    assert_true(memory.peak_bytes <= 16 * sizeof(sc_item));
    sci_items_free(&items);
    assert_true(fault_memory_is_clean(&memory));
    fault_memory_free(&memory);
}

static void every_failing_allocation_ends_the_reply_and_leaks_nothing(void **state)
{
    (void)state;
    static char input[32 * 1024];
    size_t len = (size_t)sprintf(input, "+before\r\n*1000\r\n");
    for (int i = 0; i < 1000; i++)
        len += (size_t)sprintf(input + len, i % 10 ? ":%d\r\n" : "*2\r\n+a\r\n$1\r\nb\r\n", i);
    for (int is_inline = 0; is_inline < 2; is_inline++) {
        bool has_failed = true;
        for (size_t fail_at = 1; has_failed; fail_at++) {
            sc_item inline_items[4];
            fault_memory memory;
            sci_reader reader;
            sci_items items;
            size_t start = 0;
            size_t used;
            fault_memory_init(&memory);
            fault_memory_fail(&memory, fail_at, fail_at % 2);
            sci_items_init(&items, &memory.table, is_inline ? inline_items : NULL, 4);
            sci_reader_init(&reader, NULL);
            sci_reader_target(&reader, &items);
            sc_status status = sci_reader_read(&reader, input, len, &used);
            if (status == SC_OK) {
                start += used;
                status = sci_reader_read(&reader, input + start, len - start, &used);
            }
            has_failed = fault_memory_failures(&memory) > 0;
            assert_int_equal(status, has_failed ? SC_ERR_MEMORY : SC_OK);
            assert_int_equal(items.count, !has_failed ? 1202 : start ? 1 : 0);
            if (has_failed)
                assert_non_null(strstr(sc_error_text(), "out of memory"));
            sci_items_free(&items);
            assert_true(fault_memory_is_clean(&memory));
            fault_memory_free(&memory);
            assert_true(fail_at < 20);
        }
    }
}

static void a_node_of_any_kind_may_find_no_memory(void **state)
{
    (void)state;
    static const char *const last[] = {"*1\r\n", "*-1\r\n", "$-1\r\n",    "+a\r\n",
                                       "-a\r\n", ":1\r\n",  "$1\r\na\r\n"};
    for (size_t i = 0; i < SCI_COUNT(last); i++) {
        sc_item inline_items[2];
        char input[64];
        fault_memory memory;
        sci_reader reader;
        sci_items items;
        size_t used;
        size_t len = (size_t)snprintf(input, sizeof input, "*2\r\n:1\r\n%s", last[i]);
        fault_memory_init(&memory);
        fault_memory_fail(&memory, 1, false);
        sci_items_init(&items, &memory.table, inline_items, 2);
        sci_reader_init(&reader, NULL);
        sci_reader_target(&reader, &items);
        assert_int_equal(sci_reader_read(&reader, input, len, &used), SC_ERR_MEMORY);
        assert_int_equal(items.count, 0);
        assert_true(fault_memory_is_clean(&memory));
        fault_memory_free(&memory);
    }
}

/* --- streaming */

typedef struct sink_log {
    transcript out;
    size_t pieces;
    size_t bytes; /* of the current bulk */
    size_t fail_at;
} sink_log;

static sc_status log_piece(void *user, size_t total, sc_slice piece)
{
    sink_log *log = (sink_log *)user;
    log->pieces++;
    if (log->bytes == 0)
        put(&log->out, "%zu(", total);
    put_bytes(&log->out, piece.data, piece.len);
    log->bytes += piece.len;
    assert_true(log->bytes <= total);
    assert_true(piece.len > 0 || total == 0);
    if (log->bytes == total) {
        put(&log->out, ")");
        log->bytes = 0;
    }
    return log->fail_at == log->pieces ? sc_fail(SC_ERR_CANCELLED, "enough") : SC_OK;
}

static void a_bulk_is_streamed_at_every_split(void **state)
{
    (void)state;
    static const char input[] = "$11\r\nhello\r\nyou!\r\n+OK\r\n$0\r\n\r\n$-1\r\n"
                                "*2\r\n$2\r\nab\r\n$0\r\n\r\n$3\r\nxyz\r\n";
    size_t len = sizeof input - 1;
    for (size_t first = 0; first <= len; first++) {
        for (size_t second = first; second <= len; second++) {
            static sink_log log;
            piecewise run;
            size_t ends[3];
            size_t replies = 0;
            memset(&log, 0, sizeof log);
            piecewise_init(&run, input, len, NULL);
            sci_reader_stream(&run.reader, log_piece, &log);
            ends[0] = first;
            ends[1] = second;
            ends[2] = len;
            for (int i = 0; i < 3; i++) {
                sc_status status;
                do {
                    size_t used;
                    status = sci_reader_read(&run.reader, input + run.consumed,
                                             ends[i] - run.consumed, &used);
                    run.consumed += used;
                    replies += status == SC_OK;
                    assert_int_equal(sci_reader_missing(&run.reader) > 0 && run.reader.depth == 0,
                                     0);
                } while (status == SC_OK);
                assert_int_equal(status, SC_AGAIN);
                /* All that came of a payload is with the sink. */
                if (ends[i] > 5 && ends[i] <= 16)
                    assert_int_equal(run.consumed, ends[i]);
            }
            assert_int_equal(replies, 6);
            assert_string_equal(log.out.text, "11(hello\\0d\\0ayou!)0()3(xyz)");
            assert_int_equal(run.items.count, 8);
            assert_null(run.items.at[0].is.text);
            assert_int_equal(sc_item_slice(&run.items.at[0]).len, 0);
            assert_int_equal(run.items.at[0].kind, SC_STRING);
            assert_int_equal(run.items.at[0].len, 11);
            assert_int_equal(run.items.at[1].kind, SC_SIMPLE);
            assert_null(run.items.at[2].is.text);
            assert_int_equal(run.items.at[2].len, 0);
            assert_int_equal(run.items.at[3].kind, SC_NIL);
            assert_memory_equal(run.items.at[5].is.text, "ab", 2);
            piecewise_free(&run);
        }
    }
}

static void streaming_ends_when_told(void **state)
{
    (void)state;
    static sink_log log;
    static const char input[] = "$1\r\na\r\n$1\r\nb\r\n";
    piecewise run;
    size_t used;
    memset(&log, 0, sizeof log);
    piecewise_init(&run, input, sizeof input - 1, NULL);
    sci_reader_stream(&run.reader, log_piece, &log);
    assert_int_equal(sci_reader_read(&run.reader, input, 14, &used), SC_OK);
    assert_int_equal(used, 7);
    sci_reader_stream(&run.reader, NULL, NULL);
    assert_int_equal(sci_reader_read(&run.reader, input + 7, 7, &used), SC_OK);
    assert_int_equal(log.pieces, 1);
    assert_ptr_equal(run.items.at[1].is.text, input + 11);
    piecewise_free(&run);
}

static void a_sink_that_fails_ends_the_reading_with_its_status(void **state)
{
    (void)state;
    static sink_log log;
    static const char *const inputs[] = {"$5\r\nhello\r\n", "$0\r\n\r\n"};
    for (size_t i = 0; i < SCI_COUNT(inputs); i++) {
        piecewise run;
        size_t used;
        memset(&log, 0, sizeof log);
        log.fail_at = 1;
        piecewise_init(&run, inputs[i], strlen(inputs[i]), NULL);
        sci_reader_stream(&run.reader, log_piece, &log);
        assert_int_equal(sci_reader_read(&run.reader, inputs[i], run.len, &used), SC_ERR_CANCELLED);
        assert_string_equal(sc_error_text(), "enough");
        assert_int_equal(sci_reader_read(&run.reader, inputs[i], run.len, &used), SC_ERR_PROTOCOL);
        piecewise_free(&run);
    }
}

static void a_streamed_bulk_keeps_the_limits_and_its_line_end(void **state)
{
    (void)state;
    static const limited cases[] = {
        {{0, 0, 4, 0}, {BYTES("$5\r\nhello\r\n"), "max_bulk_bytes"}},
        {{0, 0, 0, 8}, {BYTES("$5\r\nhello\r\n"), "max_reply_bytes"}},
        {{0, 0, 0, 0}, {BYTES("$5\r\nhelloX"), "byte 0x58 at offset 9"}},
        {{0, 0, 0, 0}, {BYTES("$5\r\nhello\rX"), "byte 0x58 at offset 10"}},
    };
    for (size_t i = 0; i < SCI_COUNT(cases); i++) {
        const example *example = &cases[i].example;
        for (size_t split = 0; split <= example->len; split++) {
            static sink_log log;
            piecewise run;
            memset(&log, 0, sizeof log);
            piecewise_init(&run, example->input, example->len, &cases[i].limits);
            sci_reader_stream(&run.reader, log_piece, &log);
            piecewise_show(&run, split);
            piecewise_show(&run, example->len);
            if (!strstr(run.out.text, example->expected))
                fail_msg("split %zu of \"%s\" gave %s", split, example->input, run.out.text);
            piecewise_free(&run);
        }
    }
}

/* --- between calls */

static void what_is_missing_is_known_while_a_bulk_is_read(void **state)
{
    (void)state;
    static const char input[] = "*2\r\n$10\r\n0123456789\r\n:1\r\n";
    piecewise run;
    piecewise_init(&run, input, sizeof input - 1, NULL);
    assert_int_equal(sci_reader_missing(&run.reader), 0);
    piecewise_show(&run, 7);
    assert_int_equal(run.consumed, 4);
    assert_int_equal(sci_reader_missing(&run.reader), 0);
    for (size_t end = 9; end < 21; end++) {
        piecewise_show(&run, end);
        assert_int_equal(run.consumed, 9);
        assert_int_equal(sci_reader_missing(&run.reader), 12);
    }
    piecewise_show(&run, 21);
    assert_int_equal(sci_reader_missing(&run.reader), 0);
    assert_int_equal(run.consumed, 21);
    piecewise_free(&run);
}

static void a_reader_is_idle_between_replies_only(void **state)
{
    (void)state;
    static const char input[] = "*2\r\n:1\r\n:2\r\n$3\r\nabc\r\n";
    piecewise run;
    piecewise_init(&run, input, sizeof input - 1, NULL);
    for (size_t end = 0; end < sizeof input - 1; end++) {
        piecewise_show(&run, end);
        assert_int_equal(sci_reader_is_idle(&run.reader),
                         run.consumed == 0 || run.consumed == 12 || run.consumed == 21);
    }
    piecewise_free(&run);
}

static void a_target_may_change_until_a_reply_is_begun(void **state)
{
    (void)state;
    static const char input[] = ":1\r\n*1\r\n:2\r\n:3\r\n";
    sci_items other;
    piecewise run;
    size_t used;
    piecewise_init(&run, input, sizeof input - 1, NULL);
    sci_items_init(&other, &run.memory, NULL, 0);
    assert_int_equal(sci_reader_read(&run.reader, input, 6, &used), SC_OK);
    assert_int_equal(used, 4);
    assert_int_equal(sci_reader_read(&run.reader, input + 4, 2, &used), SC_AGAIN);
    assert_int_equal(used, 0);
    assert_true(sci_reader_is_idle(&run.reader));
    sci_reader_target(&run.reader, &other);
    assert_int_equal(sci_reader_read(&run.reader, input + 4, 8, &used), SC_OK);
    assert_int_equal(used, 8);
    assert_int_equal(run.reader.reply_start, 0);
    assert_int_equal(run.items.count, 1);
    assert_int_equal(other.count, 2);
    assert_int_equal(other.at[0].span, 2);
    assert_int_equal(other.at[1].is.integer, 2);
    sci_reader_target(&run.reader, &run.items);
    assert_int_equal(sci_reader_read(&run.reader, input + 12, 4, &used), SC_OK);
    assert_int_equal(run.reader.reply_start, 1);
    assert_int_equal(run.items.count, 2);
    sci_items_free(&other);
    piecewise_free(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_read_at_every_split),
        cmocka_unit_test(what_is_wrong_is_refused_with_offset_and_byte_at_every_split),
        cmocka_unit_test(limits_hold_at_every_split_and_name_their_field),
        cmocka_unit_test(the_documented_limits_are_the_default),
        cmocka_unit_test(a_refused_reply_ends_the_reading),
        cmocka_unit_test(no_byte_past_the_end_is_read),
        cmocka_unit_test(a_long_line_in_many_pieces_is_scanned_once),
        cmocka_unit_test(arrays_nest_to_the_deepest_limit),
        cmocka_unit_test(memory_follows_the_bytes_that_came),
        cmocka_unit_test(every_failing_allocation_ends_the_reply_and_leaks_nothing),
        cmocka_unit_test(a_node_of_any_kind_may_find_no_memory),
        cmocka_unit_test(a_bulk_is_streamed_at_every_split),
        cmocka_unit_test(streaming_ends_when_told),
        cmocka_unit_test(a_sink_that_fails_ends_the_reading_with_its_status),
        cmocka_unit_test(a_streamed_bulk_keeps_the_limits_and_its_line_end),
        cmocka_unit_test(what_is_missing_is_known_while_a_bulk_is_read),
        cmocka_unit_test(a_reader_is_idle_between_replies_only),
        cmocka_unit_test(a_target_may_change_until_a_reply_is_begun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
