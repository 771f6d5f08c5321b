/* RESP2 there and back: random replies in random pieces, what is written, and the items that were
   read. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "fault_memory.h"
#include "resp_test.h"

#define INPUT_BYTES 2048
#define RANDOM_REPLIES 10000
#define RANDOM_DEPTH 6

/* --- random trees */

typedef struct tree_writer {
    uint64_t seed;
    char input[INPUT_BYTES * 4];
    size_t len;
    transcript expected;
} tree_writer;

static void tree_put(tree_writer *tree, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(tree->input + tree->len, sizeof tree->input - tree->len, format, arguments);
    va_end(arguments);
    assert_true(len >= 0 && (size_t)len < sizeof tree->input - tree->len);
    tree->len += (size_t)len;
}

static void tree_put_text(tree_writer *tree, char type)
{
    char text[256];
    size_t len = (size_t)(next_random(&tree->seed) % (next_random(&tree->seed) % 8 ? 20 : 120));
    for (size_t i = 0; i < len; i++) {
        text[i] = (char)next_random(&tree->seed);
        if (type != '$' && (text[i] == '\r' || text[i] == '\n'))
            text[i] = ' ';
    }
    if (type == '$')
        tree_put(tree, "$%zu\r\n", len);
    else
        tree_put(tree, "%c", type);
    assert_true(tree->len + len + 2 < sizeof tree->input);
    memcpy(tree->input + tree->len, text, len);
    tree->len += len;
    tree_put(tree, "\r\n");
    put(&tree->expected, "%c", type);
    put_bytes(&tree->expected, text, len);
}

static void tree_put_item(tree_writer *tree, int depth)
{
    uint64_t dice = next_random(&tree->seed) % 20;
    if (dice < 4 && depth < RANDOM_DEPTH) {
        size_t count = (size_t)(next_random(&tree->seed) % 5);
        tree_put(tree, "*%zu\r\n", count);
        put(&tree->expected, "[");
        for (size_t i = 0; i < count; i++) {
            tree_put_item(tree, depth + 1);
            put(&tree->expected, i + 1 < count ? " " : "");
        }
        put(&tree->expected, "]");
    } else if (dice < 6) {
        tree_put(tree, next_random(&tree->seed) % 2 ? "$-1\r\n" : "*-1\r\n");
        put(&tree->expected, "nil");
    } else if (dice < 12) {
        uint64_t bits = next_random(&tree->seed) >> (next_random(&tree->seed) % 64);
        long long number = (long long)(int64_t)bits;
        tree_put(tree, ":%lld\r\n", number);
        put(&tree->expected, ":%lld", number);
    } else {
        tree_put_text(tree, dice < 14 ? '+' : dice < 15 ? '-' : '$');
    }
}

static void random_trees_are_read_back_from_random_pieces(void **state)
{
    (void)state;
    static tree_writer tree;
    uint64_t seed = 20;
    for (int round = 0; round < RANDOM_REPLIES; round++) {
        piecewise run;
        memset(&tree, 0, sizeof tree);
        tree.seed = next_random(&seed) | 1;
        while (tree.len < 300) {
            tree_put_item(&tree, 0);
            put(&tree.expected, "\n");
            if (tree.len > INPUT_BYTES)
                break;
        }
        piecewise_init(&run, tree.input, tree.len, NULL);
        uint64_t most = 1 + next_random(&seed) % 100;
        for (size_t end = 0; end < tree.len;) {
            end = sci_min_size(end + (size_t)(next_random(&seed) % most) + 1, tree.len);
            if (round % 2)
                spoil_seen(&run);
            piecewise_show(&run, end);
        }
        assert_int_equal(run.status, SC_AGAIN);
        assert_true(sci_reader_is_idle(&run.reader));
        assert_string_equal(run.out.text, tree.expected.text);
        piecewise_free(&run);
    }
}

/* --- writing */

static void check_written(const sci_bytes *out, const char *expected, size_t len)
{
    assert_int_equal(sci_bytes_len(out), len);
    assert_memory_equal(sci_bytes_slice(out).data, expected, len);
}

static void commands_are_written_as_arrays_of_bulks(void **state)
{
    (void)state;
    static const char expected[] = "*3\r\n$3\r\nSET\r\n$7\r\nkey:123\r\n$0\r\n\r\n"
                                   "*2\r\n$3\r\na\0b\r\n$12\r\n\r\n0123456789\r\n";
    sc_memory memory;
    sc_slice argv[3];
    sci_bytes out;
    assert_true(sci_platform_memory(&memory));
    sci_bytes_init(&out, &memory);
    argv[0] = sc_text("SET");
    argv[1] = sc_text("key:123");
    argv[2] = sc_bytes(NULL, 0);
    assert_int_equal(sci_write_command(&out, argv, 3), SC_OK);
    assert_int_equal(sci_write_array_header(&out, 2), SC_OK);
    assert_int_equal(sci_write_bulk(&out, sc_bytes("a\0b", 3)), SC_OK);
    assert_int_equal(sci_write_bulk_header(&out, 12), SC_OK);
    assert_int_equal(sci_bytes_append(&out, sc_text("\r\n0123456789\r\n")), SC_OK);
    check_written(&out, expected, sizeof expected - 1);
    sci_bytes_free(&out);
}

static void arguments_of_every_length_are_read_back(void **state)
{
    (void)state;
    static char argument[12000];
    sc_memory memory;
    sci_bytes out;
    uint64_t seed = 5;
    assert_true(sci_platform_memory(&memory));
    sci_bytes_init(&out, &memory);
    for (size_t i = 0; i < sizeof argument; i++)
        argument[i] = (char)next_random(&seed);
    for (size_t len = 0; len <= sizeof argument; len += len < 130 ? 1 : len / 9) {
        sc_slice argv[2];
        piecewise run;
        size_t used;
        argv[0] = sc_bytes(argument, len);
        argv[1] = sc_bytes(argument + sizeof argument - len, len);
        sci_bytes_reset(&out, 0);
        assert_int_equal(sci_write_command(&out, argv, 2), SC_OK);
        sc_slice written = sci_bytes_slice(&out);
        piecewise_init(&run, written.data, written.len, NULL);
        assert_int_equal(sci_reader_read(&run.reader, written.data, written.len, &used), SC_OK);
        assert_int_equal(used, written.len);
        assert_int_equal(run.items.count, 3);
        for (size_t i = 0; i < 2; i++)
            assert_true(sci_slice_equal(sc_item_slice(sc_item_at(run.items.at, i)), argv[i]));
        piecewise_free(&run);
    }
    sci_bytes_free(&out);
}

static void lengths_of_every_size_are_written_in_full(void **state)
{
    (void)state;
    sc_memory memory;
    sci_bytes out;
    assert_true(sci_platform_memory(&memory));
    sci_bytes_init(&out, &memory);
    for (size_t i = 0; i <= 64; i++) {
        size_t number = i == 0 ? 0 : SIZE_MAX >> (i % (8 * sizeof(size_t)));
        char expected[64];
        int len = snprintf(expected, sizeof expected, "$%zu\r\n*%zu\r\n", number, number);
        sci_bytes_reset(&out, 0);
        assert_int_equal(sci_write_bulk_header(&out, number), SC_OK);
        assert_int_equal(sci_write_array_header(&out, number), SC_OK);
        check_written(&out, expected, (size_t)len);
    }
    sci_bytes_free(&out);
}

static void a_command_that_cannot_be_written_leaves_the_buffer_as_it_was(void **state)
{
    (void)state;
    static char large[4096];
    fault_memory memory;
    sc_slice argv[2];
    sci_bytes out;
    fault_memory_init(&memory);
    sci_bytes_init(&out, &memory.table);
    assert_int_equal(sci_write_bulk(&out, sc_text("kept")), SC_OK);
    argv[0] = sc_text("SET");
    argv[1] = sc_bytes(large, sizeof large);
    assert_int_equal(sci_write_command(&out, argv, 0), SC_ERR_ARGUMENT);
    fault_memory_fail(&memory, 1, true);
    assert_int_equal(sci_write_command(&out, argv, 2), SC_ERR_MEMORY);
    assert_int_equal(sci_write_bulk(&out, argv[1]), SC_ERR_MEMORY);
    check_written(&out, BYTES("$4\r\nkept\r\n"));
    argv[1].len = SIZE_MAX - 10;
    assert_int_equal(sci_write_command(&out, argv, 2), SC_ERR_MEMORY);
    assert_int_equal(sci_write_bulk(&out, argv[1]), SC_ERR_MEMORY);
    argv[1].len = 1;
    assert_int_equal(sci_write_command(&out, argv, SIZE_MAX / SCI_WRITER_BULK_BYTES + 2),
                     SC_ERR_MEMORY);
    check_written(&out, BYTES("$4\r\nkept\r\n"));
    sci_bytes_free(&out);
    assert_true(fault_memory_is_clean(&memory));
    fault_memory_free(&memory);
}

static void a_command_fits_whatever_room_is_left(void **state)
{
    (void)state;
    enum { MOST_WORDS = 40, WORD_BYTES = 100, START_BYTES = 8000 };
    static char word[WORD_BYTES];
    sc_slice argv[MOST_WORDS];
    sc_memory memory;
    assert_true(sci_platform_memory(&memory));
    for (size_t i = 0; i < MOST_WORDS; i++)
        argv[i] = sc_bytes(word, sizeof word);
    for (size_t argc = 1; argc <= MOST_WORDS; argc += MOST_WORDS - 1) {
        for (size_t room = 0; room < argc * (WORD_BYTES + SCI_WRITER_BULK_BYTES); room++) {
            sci_bytes out;
            sci_bytes_init(&out, &memory);
            assert_int_equal(sci_bytes_reserve(&out, START_BYTES), SC_OK);
            out.end = out.cap - room;
            memset(out.data, 'x', out.end);
            assert_int_equal(sci_write_command(&out, argv, argc), SC_OK);
            assert_true(out.end <= out.cap);
            sci_bytes_free(&out);
        }
    }
}

static void headers_need_memory_too(void **state)
{
    (void)state;
    fault_memory memory;
    sci_bytes out;
    fault_memory_init(&memory);
    sci_bytes_init(&out, &memory.table);
    fault_memory_fail(&memory, 1, true);
    assert_int_equal(sci_write_array_header(&out, 1), SC_ERR_MEMORY);
    assert_int_equal(sci_write_bulk_header(&out, 1), SC_ERR_MEMORY);
    assert_int_equal(sci_bytes_len(&out), 0);
    sci_bytes_free(&out);
    fault_memory_free(&memory);
}

/* --- items */

static void nodes_move_from_the_inline_ones_to_a_block_and_back(void **state)
{
    (void)state;
    fault_memory memory;
    sc_item inline_items[2];
    sci_items items;
    fault_memory_init(&memory);
    sci_items_init(&items, &memory.table, inline_items, 2);
    assert_ptr_equal(items.at, inline_items);
    inline_items[0].len = 11;
    inline_items[1].len = 12;
    items.count = 2;
    assert_int_equal(sci_items_grow(&items), SC_OK);
    assert_ptr_not_equal(items.at, inline_items);
    assert_true(items.cap > 2);
    assert_int_equal(items.at[0].len, 11);
    assert_int_equal(items.at[1].len, 12);
    uint32_t cap = items.cap;
    sci_items_reset(&items, cap);
    assert_int_equal(items.cap, cap);
    assert_int_equal(items.count, 0);
    fault_memory_fail(&memory, 1, false);
    assert_int_equal(sci_items_grow(&items), SC_ERR_MEMORY);
    assert_int_equal(items.cap, cap);
    sci_items_reset(&items, cap - 1);
    assert_ptr_equal(items.at, inline_items);
    assert_int_equal(items.cap, 2);
    assert_true(fault_memory_is_clean(&memory));
    sci_items_free(&items);
    items.cap = UINT32_MAX / 2 + 1;
    assert_int_equal(sci_items_grow(&items), SC_ERR_MEMORY);
    fault_memory_free(&memory);
}

static void a_missing_item_is_harmless_everywhere(void **state)
{
    (void)state;
    sc_slice bytes;
    int64_t integer;
    double number;
    assert_int_equal(sc_item_kind(NULL), SC_NIL);
    assert_true(sc_item_is_nil(NULL));
    assert_int_equal(sc_item_slice(NULL).len, 0);
    assert_int_equal(sc_item_bytes(NULL, &bytes), SC_ERR_TYPE);
    assert_int_equal(sc_item_integer(NULL, &integer), SC_ERR_TYPE);
    assert_int_equal(sc_item_double(NULL, &number), SC_ERR_TYPE);
    assert_int_equal(sc_item_expect(NULL, "OK"), SC_ERR_TYPE);
    assert_int_equal(sc_item_check(NULL), SC_ERR_TYPE);
    assert_non_null(strstr(sc_error_text(), "missing"));
    assert_int_equal(sc_item_count(NULL), 0);
    assert_null(sc_item_at(NULL, 0));
    assert_null(sc_item_first(NULL));
    assert_null(sc_item_next(NULL, NULL));
    assert_null(sc_item_find(NULL, sc_text("x")));
}

/* One reply, as its nodes. */
static const sc_item *read_one(piecewise *run, const char *input)
{
    size_t used;
    piecewise_init(run, input, strlen(input), NULL);
    assert_int_equal(sci_reader_read(&run->reader, input, run->len, &used), SC_OK);
    assert_int_equal(used, run->len);
    return run->items.at;
}

static void accessors_answer_by_kind(void **state)
{
    (void)state;
    static const struct {
        const char *input;
        sc_kind kind;
        sc_status bytes, integer, number, check;
    } cases[] = {
        {"$-1\r\n", SC_NIL, SC_MISS, SC_MISS, SC_MISS, SC_OK},
        {"*-1\r\n", SC_NIL, SC_MISS, SC_MISS, SC_MISS, SC_OK},
        {"-ERR words\r\n", SC_ERROR, SC_ERR_REPLY, SC_ERR_REPLY, SC_ERR_REPLY, SC_ERR_REPLY},
        {"$2\r\n42\r\n", SC_STRING, SC_OK, SC_OK, SC_OK, SC_OK},
        {"+42\r\n", SC_SIMPLE, SC_OK, SC_OK, SC_OK, SC_OK},
        {"$3\r\n1.5\r\n", SC_STRING, SC_OK, SC_ERR_TYPE, SC_OK, SC_OK},
        {"$3\r\n042\r\n", SC_STRING, SC_OK, SC_ERR_TYPE, SC_ERR_TYPE, SC_OK},
        {"$0\r\n\r\n", SC_STRING, SC_OK, SC_ERR_TYPE, SC_ERR_TYPE, SC_OK},
        {"$19\r\n9223372036854775808\r\n", SC_STRING, SC_OK, SC_ERR_TYPE, SC_OK, SC_OK},
        {":42\r\n", SC_INTEGER, SC_ERR_TYPE, SC_OK, SC_OK, SC_OK},
        {"*0\r\n", SC_ARRAY, SC_ERR_TYPE, SC_ERR_TYPE, SC_ERR_TYPE, SC_OK},
    };
    for (size_t i = 0; i < SCI_COUNT(cases); i++) {
        piecewise run;
        sc_slice bytes = sc_text("x");
        int64_t integer = 1;
        double number = 1;
        const sc_item *item = read_one(&run, cases[i].input);
        assert_int_equal(sc_item_kind(item), cases[i].kind);
        assert_int_equal(sc_item_is_nil(item), cases[i].kind == SC_NIL);
        assert_int_equal(sc_item_bytes(item, &bytes), cases[i].bytes);
        assert_int_equal(sc_item_integer(item, &integer), cases[i].integer);
        assert_int_equal(sc_item_double(item, &number), cases[i].number);
        if (cases[i].integer == SC_OK)
            assert_int_equal(integer, 42);
        if (cases[i].integer == SC_OK)
            assert_true(number > 41.9 && number < 42.1);
        assert_int_equal(sc_item_expect(item, "no"),
                         cases[i].bytes == SC_OK ? SC_ERR_TYPE : cases[i].bytes);
        assert_int_equal(sc_item_check(item), cases[i].check);
        if (cases[i].check == SC_ERR_REPLY)
            assert_string_equal(sc_error_text(), "ERR words");
        if (cases[i].check == SC_ERR_REPLY)
            assert_true(sci_slice_equal(sc_item_slice(item), sc_text("ERR words")));
        assert_int_equal(sc_item_slice(item).len > 0,
                         cases[i].kind != SC_NIL && cases[i].kind != SC_INTEGER &&
                             cases[i].kind != SC_ARRAY &&
                             strcmp(cases[i].input, "$0\r\n\r\n") != 0);
        piecewise_free(&run);
    }
}

static void an_expected_text_is_found_in_both_kinds_of_string(void **state)
{
    (void)state;
    piecewise run;
    assert_int_equal(sc_item_expect(read_one(&run, "+OK\r\n"), "OK"), SC_OK);
    assert_int_equal(sc_item_expect(run.items.at, "OKAY"), SC_ERR_TYPE);
    assert_string_equal(sc_error_text(), "the reply is \"OK\", not \"OKAY\"");
    piecewise_free(&run);
    assert_int_equal(sc_item_expect(read_one(&run, "$2\r\nOK\r\n"), "OK"), SC_OK);
    piecewise_free(&run);
}

static void elements_are_reached_by_index_and_in_turn(void **state)
{
    (void)state;
    static const char *const inputs[] = {"*4\r\n:0\r\n:1\r\n:2\r\n:3\r\n",
                                         "*4\r\n:0\r\n:1\r\n*2\r\n:8\r\n*1\r\n:9\r\n:3\r\n",
                                         "*4\r\n*0\r\n:1\r\n*1\r\n:5\r\n:3\r\n"};
    for (size_t i = 0; i < SCI_COUNT(inputs); i++) {
        piecewise run;
        const sc_item *array = read_one(&run, inputs[i]);
        const sc_item *element = sc_item_first(array);
        assert_int_equal(sc_item_count(array), 4);
        for (size_t index = 0; index < 4; index++) {
            assert_non_null(element);
            assert_ptr_equal(sc_item_at(array, index), element);
            element = sc_item_next(array, element);
        }
        assert_null(element);
        assert_null(sc_item_at(array, 4));
        assert_null(sc_item_at(array, SIZE_MAX));
        assert_int_equal(sc_item_at(array, 1)->is.integer, 1);
        assert_int_equal(sc_item_at(array, 3)->is.integer, 3);
        assert_null(sc_item_at(sc_item_at(array, 1), 0));
        piecewise_free(&run);
    }
    piecewise run;
    assert_null(sc_item_first(read_one(&run, "*0\r\n")));
    assert_null(sc_item_at(run.items.at, 0));
    piecewise_free(&run);
}

static void a_value_is_found_by_its_name_in_pairs(void **state)
{
    (void)state;
    piecewise run;
    const sc_item *array = read_one(&run, "*9\r\n$1\r\na\r\n$1\r\nb\r\n+b\r\n*2\r\n:1\r\n$"
                                          "1\r\nc\r\n:7\r\n:8\r\n$1\r\nc\r\n:9\r\n$1\r\nd\r\n");
    assert_int_equal(sc_item_count(array), 9);
    assert_true(sci_slice_equal(sc_item_slice(sc_item_find(array, sc_text("a"))), sc_text("b")));
    assert_int_equal(sc_item_count(sc_item_find(array, sc_text("b"))), 2);
    assert_int_equal(sc_item_find(array, sc_text("c"))->is.integer, 9);
    assert_null(sc_item_find(array, sc_text("d")));
    assert_null(sc_item_find(array, sc_text("e")));
    assert_null(sc_item_find(array, sc_bytes(NULL, 0)));
    piecewise_free(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_trees_are_read_back_from_random_pieces),
        cmocka_unit_test(nodes_move_from_the_inline_ones_to_a_block_and_back),
        cmocka_unit_test(commands_are_written_as_arrays_of_bulks),
        cmocka_unit_test(arguments_of_every_length_are_read_back),
        cmocka_unit_test(lengths_of_every_size_are_written_in_full),
        cmocka_unit_test(a_command_that_cannot_be_written_leaves_the_buffer_as_it_was),
        cmocka_unit_test(a_command_fits_whatever_room_is_left),
        cmocka_unit_test(headers_need_memory_too),
        cmocka_unit_test(a_missing_item_is_harmless_everywhere),
        cmocka_unit_test(accessors_answer_by_kind),
        cmocka_unit_test(an_expected_text_is_found_in_both_kinds_of_string),
        cmocka_unit_test(elements_are_reached_by_index_and_in_turn),
        cmocka_unit_test(a_value_is_found_by_its_name_in_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
