/* Commands in: what is read and refused, at every split, at the edge of memory, within limits and
   with failing allocations. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <sys/mman.h>
#include <unistd.h>

#include "fault_memory.h"
#include "resp_test.h"

#define MAX_WORDS 1000
#define MAX_BULK 100000
#define MAX_LINE 200

static sci_request_limits usual_limits(void)
{
    sci_request_limits limits;
    limits.max_words = MAX_WORDS;
    limits.max_bulk_bytes = MAX_BULK;
    limits.max_line_bytes = MAX_LINE;
    return limits;
}

/* --- reading in pieces */

/* The bytes a request sees stand before a page that cannot be read, and move from call to call. */
typedef struct guarded {
    char *pages;
    size_t bytes;
    char *guard;
} guarded;

static void guarded_init(guarded *memory, size_t cap)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = (cap / page + 2) * page;
    memory->bytes = room + page;
    memory->pages = (char *)mmap(NULL, memory->bytes, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory->pages != MAP_FAILED);
    memory->guard = memory->pages + room;
    assert_int_equal(mprotect(memory->guard, page, PROT_NONE), 0);
}

static void guarded_free(guarded *memory)
{
    munmap(memory->pages, memory->bytes);
}

typedef struct run {
    guarded *memory;
    sci_request request;
    const char *input;
    size_t consumed;
    sc_status status;
    transcript out;
} run;

static void run_init(run *run, guarded *memory, const sci_request_limits *limits, const char *input)
{
    sc_memory table;
    assert_true(sci_platform_memory(&table));
    memset(run, 0, sizeof *run);
    run->memory = memory;
    run->input = input;
    run->status = SC_AGAIN;
    sci_request_init(&run->request, &table, limits);
}

static void put_command(transcript *out, const sci_request *request)
{
    put(out, "[");
    for (size_t i = 0; i < request->word_count; i++) {
        put(out, i ? " " : "");
        put_bytes(out, request->words[i].data, request->words[i].len);
    }
    put(out, "]");
}

/* Show the input up to `end`. */
static void run_show(run *run, size_t end)
{
    while (run->status == SC_OK || run->status == SC_AGAIN) {
        size_t len = end - run->consumed;
        char *at = run->memory->guard - len;
        size_t used = 0;
        memcpy(at, run->input + run->consumed, len);
        run->status = sci_request_read(&run->request, at, len, &used);
        if (run->status == SC_AGAIN)
            return;
        if (run->status == SC_OK) {
            assert_true(used > 0 && used <= len);
            put_command(&run->out, &run->request);
            run->consumed += used;
        } else {
            put(&run->out, "!");
            put_bytes(&run->out, sc_error_text(), strlen(sc_error_text()));
        }
    }
}

static void check_same(const run *whole, run *pieces, size_t first, size_t second)
{
    if (strcmp(whole->out.text, pieces->out.text) != 0)
        fail_msg("split at %zu and %zu of \"%.60s\"\nwhole: %s\npieces: %s", first, second,
                 whole->input, whole->out.text, pieces->out.text);
    assert_int_equal(whole->status, pieces->status);
    assert_int_equal(whole->consumed, pieces->consumed);
    sci_request_free(&pieces->request);
}

static void check_every_split(guarded *memory, const sci_request_limits *limits, const char *input,
                              size_t len, const char *expected)
{
    run whole;
    run pieces;
    run_init(&whole, memory, limits, input);
    run_show(&whole, len);
    if (strcmp(whole.out.text, expected) != 0)
        fail_msg("\"%s\" gave %s, not %s", input, whole.out.text, expected);
    for (size_t first = 0; first <= len; first++) {
        for (size_t second = first; second <= len; second++) {
            run_init(&pieces, memory, limits, input);
            run_show(&pieces, first);
            run_show(&pieces, second);
            run_show(&pieces, len);
            check_same(&whole, &pieces, first, second);
        }
    }
    run_init(&pieces, memory, limits, input);
    for (size_t end = 0; end <= len; end++)
        run_show(&pieces, end);
    check_same(&whole, &pieces, 1, 1);
    sci_request_free(&whole.request);
}

/* --- inputs; what Redis 7.0 says to each */

typedef struct example {
    const char *input;
    size_t len;
    const char *expected;
} example;

#define REFUSED "!Protocol error: "

static const example examples[] = {
    {BYTES("*1\r\n$4\r\nPING\r\n"), "[PING]"},
    {BYTES("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nPING\r\n"), "[GET k][PING]"},
    {BYTES("*3\r\n$3\r\nSET\r\n$0\r\n\r\n$12\r\nabcdefghijkl\r\n"), "[SET  abcdefghijkl]"},
    {BYTES("*2\r\n$1\r\na\r\n$4\r\n\r\n\0\xff\r\n"), "[a \\0d\\0a\\00\\ff]"},
    {BYTES("*11\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n$1\r\nf\r\n$1\r\ng\r\n"
           "$1\r\nh\r\n$1\r\ni\r\n$1\r\nj\r\n$1\r\nk\r\n"),
     "[a b c d e f g h i j k]"},
    {BYTES("*0\r\n*1\r\n$1\r\na\r\n*-1\r\n*-77\r\n"), "[][a][][]"},
    /* Line ends are not looked at. */
    {BYTES("*1\rX$4\rYPINGZZ*1\r\n$4\r\nPINGab"), "[PING][PING]"},

    {BYTES("*1001\r\n"), REFUSED "invalid multibulk length"},
    {BYTES("*2147483648\r\n"), REFUSED "invalid multibulk length"},
    {BYTES("*99999999999999999999\r\n"), REFUSED "invalid multibulk length"},
    {BYTES("*\r\n"), REFUSED "invalid multibulk length"},
    {BYTES("*a\r\n"), REFUSED "invalid multibulk length"},
    {BYTES("*-0\r\n"), REFUSED "invalid multibulk length"},
    {BYTES("*01\r\n"), REFUSED "invalid multibulk length"},
    {BYTES("*+1\r\n"), REFUSED "invalid multibulk length"},
    {BYTES("*1 \r\n"), REFUSED "invalid multibulk length"},
    {BYTES("*1\r\n$-1\r\n"), REFUSED "invalid bulk length"},
    {BYTES("*1\r\n$\r\n"), REFUSED "invalid bulk length"},
    {BYTES("*1\r\n$01\r\na\r\n"), REFUSED "invalid bulk length"},
    {BYTES("*1\r\n$1a\r\na\r\n"), REFUSED "invalid bulk length"},
    {BYTES("*1\r\n$100001\r\n"), REFUSED "invalid bulk length"},
    {BYTES("*1\r\n$18446744073709551617\r\n"), REFUSED "invalid bulk length"},
    {BYTES("*1\r\nx\r\n"), REFUSED "expected '$', got 'x'"},
    {BYTES("*1\r\n\r\n"), REFUSED "expected '$', got ' '"},
    {BYTES("*2\r\n$1\r\na\r\n:1\r\n"), REFUSED "expected '$', got ':'"},
    {BYTES("*1\r\n$1\r\na\r\n*1\r\n*1\r\n"), "[a]" REFUSED "expected '$', got '*'"},

    {BYTES("*1\r\n$4\r\nPING\r"), ""},
    {BYTES("*1\r\n$100000\r\nabc"), ""},
    {BYTES("*1\r\nx"), ""},
    {BYTES("*"), ""},

    {BYTES("PING\r\nping\n"), "[PING][ping]"},
    {BYTES("\r\n\n  \t\r\nPING\r\n"), "[][][][PING]"},
    {BYTES("  SET\tk  \"a b\" \r\n"), "[SET k a b]"},
    {BYTES("\"ECHO\" \"a\\x41\\xfF\\n\\r\\t\\b\\a\\q\\\"\\\\\"\r\n"),
     "[ECHO aA\\ff\\0a\\0d\\09\\08\\07q\"\\]"},
    {BYTES("ECHO \"\\x4\" \"\\xg1\" \"\\x4g\"\r\n"), "[ECHO x4 xg1 x4g]"},
    {BYTES("ECHO 'a\\'b\\n' 'it \"is\"'\r\n"), "[ECHO a'b\\n it \"is\"]"},
    {BYTES("ECHO \"\" ''\r\n\"\"\r\n"), "[ECHO  ][]"},
    {BYTES("ECHO a\"b\" c'd'\r\n"), "[ECHO ab cd]"},
    {BYTES("ECHO a\vb \"c\"\v\f'd'\f\r\n\vECHO\f a\r\n"), "[ECHO a\\0bb c d][ECHO\\0c a]"},
    {BYTES("ECHO a\rb \"c\rd\"\r\n"), "[ECHO a b c\\0dd]"},
    {BYTES("ECHO a\0b\r\n"), "[ECHO a\\00b]"},
    {BYTES("$3\r\n"), "[$3]"},
    {BYTES("PING"), ""},
    {BYTES("ECHO \"a\r\n"), REFUSED "unbalanced quotes in request"},
    {BYTES("ECHO \"a\\\"\r\n"), REFUSED "unbalanced quotes in request"},
    {BYTES("ECHO \"a\\\r\n"), REFUSED "unbalanced quotes in request"},
    {BYTES("ECHO \"a\"b\r\n"), REFUSED "unbalanced quotes in request"},
    {BYTES("ECHO 'a\r\n"), REFUSED "unbalanced quotes in request"},
    {BYTES("ECHO 'a'b\r\n"), REFUSED "unbalanced quotes in request"},
    {BYTES("ECHO 'a\\'\r\n"), REFUSED "unbalanced quotes in request"},
    {BYTES("ECHO a\"b\"\"c\"\r\n"), REFUSED "unbalanced quotes in request"},
};

static void commands_are_read_at_every_split(void **state)
{
    (void)state;
    guarded memory;
    sci_request_limits limits = usual_limits();
    guarded_init(&memory, 4096);
    for (size_t i = 0; i < SCI_COUNT(examples); i++)
        check_every_split(&memory, &limits, examples[i].input, examples[i].len,
                          examples[i].expected);
    guarded_free(&memory);
}

/* --- limits */

typedef struct limited {
    sci_request_limits limits;
    example example;
} limited;

/* Words, bytes of a word, bytes of a line. */
static const limited at_limits[] = {
    {{2, 9, 9},
     {BYTES("*2\r\n$1\r\na\r\n$1\r\nb\r\n*3\r\n"), "[a b]" REFUSED "invalid multibulk length"}},
    {{9, 3, 9}, {BYTES("*1\r\n$3\r\nabc\r\n*1\r\n$4\r\n"), "[abc]" REFUSED "invalid bulk length"}},
    {{9, 9, 4}, {BYTES("*000"), ""}},
    {{9, 9, 4}, {BYTES("*000\r\n"), REFUSED "invalid multibulk length"}},
    {{9, 9, 4}, {BYTES("*0000"), REFUSED "too big mbulk count string"}},
    {{9, 9, 4}, {BYTES("*1\r\n$00\r"), ""}},
    {{9, 9, 4}, {BYTES("*1\r\n$0000\r\n"), REFUSED "too big bulk count string"}},
    {{9, 9, 4}, {BYTES("*1\r\n00000"), REFUSED "too big bulk count string"}},
    {{9, 9, 4}, {BYTES("PING\nabcd\nabcd"), "[PING][abcd]"}},
    {{9, 9, 4}, {BYTES("PING\r\n"), REFUSED "too big inline request"}},
    {{9, 9, 4}, {BYTES("abc\r\nabcde"), "[abc]" REFUSED "too big inline request"}},
};

static void limits_hold_at_every_split(void **state)
{
    (void)state;
    guarded memory;
    guarded_init(&memory, 4096);
    for (size_t i = 0; i < SCI_COUNT(at_limits); i++) {
        const example *example = &at_limits[i].example;
        check_every_split(&memory, &at_limits[i].limits, example->input, example->len,
                          example->expected);
    }
    guarded_free(&memory);
}

static const char *read_as_stranger(const char *input, run *run, guarded *memory)
{
    sci_request_limits limits = usual_limits();
    run_init(run, memory, &limits, input);
    run->request.is_stranger = true;
    run_show(run, strlen(input));
    sci_request_free(&run->request);
    return run->out.text;
}

static void a_stranger_may_say_little(void **state)
{
    (void)state;
    guarded memory;
    run run;
    guarded_init(&memory, 4096);
    assert_string_equal(read_as_stranger("*10\r\n", &run, &memory), "");
    assert_string_equal(read_as_stranger("*11\r\n", &run, &memory),
                        REFUSED "unauthenticated multibulk length");
    assert_string_equal(read_as_stranger("*1\r\n$16384\r\n", &run, &memory), "");
    assert_string_equal(read_as_stranger("*1\r\n$16385\r\n", &run, &memory),
                        REFUSED "unauthenticated bulk length");
    guarded_free(&memory);
}

/* Pages that were seen cannot be read any more: going on costs what is new and no more. */
static void nothing_is_scanned_twice(void **state)
{
    (void)state;
    enum { PAGES = 64 };
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t len = PAGES * page;
    sci_request_limits limits;
    limits.max_words = 1;
    limits.max_bulk_bytes = len;
    limits.max_line_bytes = len;
    for (int is_typed = 0; is_typed < 2; is_typed++) {
        char *text =
            (char *)mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(text != MAP_FAILED);
        memset(text, 'x', len);
        char header[64];
        size_t bulk_len = len - 100;
        int header_len = sprintf(header, "*1\r\n$%zu\r\n", bulk_len);
        if (!is_typed)
            memcpy(text, header, (size_t)header_len);
        size_t total = is_typed ? len : (size_t)header_len + bulk_len + 2;
        text[total - 1] = '\n';
        run run;
        size_t used = 0;
        run_init(&run, NULL, &limits, text);
        /* A typed line is copied at its end, and what kind it is stands in its first page. */
        for (size_t end = 2 * page; end <= len; end += page) {
            run.status = sci_request_read(&run.request, text, sci_min_size(end, total), &used);
            if (end == len)
                break;
            assert_int_equal(run.status, SC_AGAIN);
            assert_int_equal(mprotect(text + page, end - page, PROT_NONE), 0);
            if (end + page == len && is_typed)
                assert_int_equal(mprotect(text, len, PROT_READ), 0);
        }
        assert_int_equal(run.status, SC_OK);
        assert_int_equal(used, total);
        assert_int_equal(run.request.words[0].len, is_typed ? len - 1 : bulk_len);
        sci_request_free(&run.request);
        munmap(text, len);
    }
}

static void what_is_missing_is_known_while_a_word_is_read(void **state)
{
    (void)state;
    static const char input[] = "*2\r\n$3\r\nGET\r\n$10\r\nabcdefghij\r\n";
    sci_request_limits limits = usual_limits();
    run run;
    size_t used = 0;
    run_init(&run, NULL, &limits, input);
    for (size_t len = 0; len < sizeof input - 1; len++) {
        assert_int_equal(sci_request_read(&run.request, input, len, &used), SC_AGAIN);
        size_t missing = 0;
        if (len >= 8 && len < 13)
            missing = 13 - len;
        if (len >= 18)
            missing = 30 - len;
        assert_int_equal(sci_request_missing(&run.request, len), missing);
    }
    sci_request_free(&run.request);
}

/* --- memory */

static void memory_follows_the_bytes_that_came(void **state)
{
    (void)state;
    static const char input[] = "*1000000000\r\n$1\r\na\r\n$1\r\nb\r\n$900000000\r\nabc";
    fault_memory memory;
    sci_request request;
    sci_request_limits limits;
    size_t used;
    limits.max_words = 1000000000;
    limits.max_bulk_bytes = 1000000000;
    limits.max_line_bytes = 65536;
    fault_memory_init(&memory);
    sci_request_init(&request, &memory.table, &limits);
    assert_int_equal(sci_request_read(&request, input, sizeof input - 1, &used), SC_AGAIN);
    assert_int_equal(request.word_count, 2);
    assert_true(memory.peak_bytes <= 16 * sizeof(sc_slice));
    sci_request_free(&request);
    assert_true(fault_memory_is_clean(&memory));
    fault_memory_free(&memory);
}

static size_t put_great_command(char *input)
{
    size_t len = (size_t)sprintf(input, "*3000\r\n");
    for (int i = 0; i < 3000; i++)
        len += (size_t)sprintf(input + len, "$%d\r\n%d\r\n", i < 1000 ? 3 : 4,
                               i < 1000 ? 100 + i % 900 : i);
    return len;
}

static void a_great_command_s_memory_is_given_back(void **state)
{
    (void)state;
    static char input[65536];
    fault_memory memory;
    sci_request request;
    sci_request_limits limits;
    size_t used = 0;
    limits.max_words = 3000;
    limits.max_bulk_bytes = 10;
    limits.max_line_bytes = sizeof input;
    fault_memory_init(&memory);
    sci_request_init(&request, &memory.table, &limits);
    size_t len = put_great_command(input);
    assert_int_equal(sci_request_read(&request, input, len, &used), SC_OK);
    assert_int_equal(used, len);
    assert_int_equal(request.word_count, 3000);
    sci_request_rest(&request);
    assert_int_equal(fault_memory_live_bytes(&memory), 0);
    memset(input, 'x', sizeof input);
    input[60000] = '\n';
    assert_int_equal(sci_request_read(&request, input, sizeof input, &used), SC_OK);
    sci_request_rest(&request);
    assert_true(fault_memory_live_bytes(&memory) <= 1024);
    sci_request_free(&request);
    assert_true(fault_memory_is_clean(&memory));
    fault_memory_free(&memory);
}

/* Each request for memory in turn finds none; the same call again goes on. */
static void a_command_can_be_read_once_there_is_memory_again(void **state)
{
    (void)state;
    static char input[65536];
    size_t array_len = put_great_command(input);
    size_t len = array_len + (size_t)sprintf(input + array_len, "a b c d e f g h i j k l m n o p "
                                                                "q r s t u v \"w x\" 'y'\n");
    sci_request_limits limits;
    limits.max_words = 3000;
    limits.max_bulk_bytes = 10;
    limits.max_line_bytes = MAX_LINE;
    bool has_failed = true;
    for (size_t fail_at = 1; has_failed; fail_at++) {
        fault_memory memory;
        sci_request request;
        size_t used = 0;
        size_t consumed = 0;
        fault_memory_init(&memory);
        fault_memory_fail(&memory, fail_at, false);
        sci_request_init(&request, &memory.table, &limits);
        for (int command = 0; command < 2; command++) {
            sc_status status = sci_request_read(&request, input + consumed, len - consumed, &used);
            if (status == SC_ERR_MEMORY)
                status = sci_request_read(&request, input + consumed, len - consumed, &used);
            assert_int_equal(status, SC_OK);
            assert_int_equal(request.word_count, command == 0 ? 3000 : 24);
            sc_slice last = request.words[request.word_count - 1];
            assert_true(sci_slice_equal(last, sc_text(command == 0 ? "2999" : "y")));
            consumed += used;
        }
        assert_int_equal(consumed, len);
        has_failed = fault_memory_failures(&memory) > 0;
        sci_request_free(&request);
        assert_true(fault_memory_is_clean(&memory));
        fault_memory_free(&memory);
        assert_true(fail_at < 40);
    }
}

/* --- against what was written */

typedef struct written {
    char *data;
    size_t len;
    transcript out;
} written;

static void write_array(written *to, uint64_t *seed)
{
    size_t count = 1 + (size_t)(next_random(seed) % 12);
    to->len += (size_t)sprintf(to->data + to->len, "*%zu\r\n", count);
    put(&to->out, "[");
    for (size_t i = 0; i < count; i++) {
        size_t len = (size_t)(next_random(seed) % (next_random(seed) % 8 ? 16 : 150));
        to->len += (size_t)sprintf(to->data + to->len, "$%zu\r\n", len);
        char *word = to->data + to->len;
        for (size_t j = 0; j < len; j++)
            word[j] = "\r\n$*\0abc019"[next_random(seed) % 11];
        put(&to->out, i ? " " : "");
        put_bytes(&to->out, word, len);
        memcpy(word + len, "\r\n", 2);
        to->len += len + 2;
    }
    put(&to->out, "]");
}

static void write_typed(written *to, uint64_t *seed)
{
    size_t count = 1 + (size_t)(next_random(seed) % 5);
    char *at = to->data + to->len;
    put(&to->out, "[");
    for (size_t i = 0; i < count; i++) {
        char word[8];
        size_t len = (size_t)(next_random(seed) % sizeof word);
        *at++ = '"';
        for (size_t j = 0; j < len; j++) {
            unsigned c = (unsigned)(next_random(seed) & 0xff);
            word[j] = (char)c;
            at += sprintf(at, "\\x%02x", c);
        }
        put(&to->out, i ? " " : "");
        put_bytes(&to->out, word, len);
        *at++ = '"';
        *at++ = ' ';
    }
    *at++ = '\n';
    to->len = (size_t)(at - to->data);
    put(&to->out, "]");
}

static void what_was_written_is_read_in_any_pieces(void **state)
{
    (void)state;
    static char data[65536];
    guarded memory;
    sci_request_limits limits = usual_limits();
    uint64_t seed = 20260101;
    guarded_init(&memory, sizeof data);
    for (int round = 0; round < 3000; round++) {
        written to;
        run run;
        memset(&to, 0, sizeof to);
        to.data = data;
        for (int commands = 0; commands < 3; commands++) {
            if (next_random(&seed) % 4)
                write_array(&to, &seed);
            else
                write_typed(&to, &seed);
        }
        run_init(&run, &memory, &limits, data);
        for (size_t end = 0; end < to.len;) {
            end = sci_min_size(to.len, end + 1 + (size_t)(next_random(&seed) % 64));
            run_show(&run, end);
        }
        assert_string_equal(run.out.text, to.out.text);
        assert_int_equal(run.consumed, to.len);
        sci_request_free(&run.request);
    }
    guarded_free(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_read_at_every_split),
        cmocka_unit_test(limits_hold_at_every_split),
        cmocka_unit_test(a_stranger_may_say_little),
        cmocka_unit_test(nothing_is_scanned_twice),
        cmocka_unit_test(what_is_missing_is_known_while_a_word_is_read),
        cmocka_unit_test(memory_follows_the_bytes_that_came),
        cmocka_unit_test(a_great_command_s_memory_is_given_back),
        cmocka_unit_test(a_command_can_be_read_once_there_is_memory_again),
        cmocka_unit_test(what_was_written_is_read_in_any_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
