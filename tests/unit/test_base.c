/* Memory, bytes, hash, map, heap, and the words for errors. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "fault_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static fault_memory memory;

static int with_fault_memory(void **state)
{
    (void)state;
    fault_memory_init(&memory);
    return 0;
}

static int nothing_leaked(void **state)
{
    (void)state;
    bool is_clean = fault_memory_is_clean(&memory);
    fault_memory_free(&memory);
    return is_clean ? 0 : -1;
}

/* xorshift64* (S. Vigna, 2016): the same numbers in every run. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

/* --- memory */

static void allocation_failure_says_how_many_bytes(void **state)
{
    (void)state;
    fault_memory_fail(&memory, 1, true);
    assert_null(sci_alloc_zeroed(&memory.table, 123));
    assert_string_equal(sc_error_text(), "out of memory: 123 bytes could not be allocated");
    assert_null(sci_resize(&memory.table, NULL, 0, 77));
    assert_string_equal(sc_error_text(), "out of memory: 77 bytes could not be allocated");
    assert_null(sci_copy_text(&memory.table, sc_text("abc")));
}

static void a_failed_resize_keeps_the_block(void **state)
{
    (void)state;
    char *block = (char *)sci_alloc_zeroed(&memory.table, 4);
    assert_non_null(block);
    assert_memory_equal(block, "\0\0\0\0", 4);
    memcpy(block, "abcd", 4);
    fault_memory_fail(&memory, 1, false);
    assert_null(sci_resize(&memory.table, block, 4, 4000));
    assert_memory_equal(block, "abcd", 4);
    block = (char *)sci_resize(&memory.table, block, 4, 4000);
    assert_non_null(block);
    assert_memory_equal(block, "abcd", 4);
    sci_free(&memory.table, block, 4000);
    sci_free(&memory.table, NULL, 0);
}

static void copied_text_is_terminated_and_freed_with_its_size(void **state)
{
    (void)state;
    char *text = sci_copy_text(&memory.table, sc_bytes("abcdef", 3));
    assert_string_equal(text, "abc");
    sci_free_text(&memory.table, text);
    text = sci_copy_text(&memory.table, sc_bytes(NULL, 0));
    assert_string_equal(text, "");
    sci_free_text(&memory.table, text);
    sci_free_text(&memory.table, NULL);
}

/* Keeps what it is told to free, to look at it. */
static char freed_secret[16];

static void *spying_resize(void *user, void *block, size_t old_size, size_t new_size)
{
    (void)user;
    if (new_size == 0) {
        memcpy(freed_secret, block,
               old_size < sizeof freed_secret ? old_size : sizeof freed_secret);
        free(block);
        return NULL;
    }
    return realloc(block, new_size);
}

static void a_secret_is_overwritten_before_it_is_freed(void **state)
{
    (void)state;
    sc_memory spy = {NULL, spying_resize};
    memset(freed_secret, 'x', sizeof freed_secret);
    sci_free_secret_text(&spy, sci_copy_text(&spy, sc_text("password")));
    assert_memory_equal(freed_secret, "\0\0\0\0\0\0\0\0\0", sizeof "password");
    sci_free_secret_text(&spy, NULL);
}

static void the_platform_has_memory_time_and_random_bytes(void **state)
{
    (void)state;
    sc_memory platform_memory;
    sc_clock clock;
    sc_random random;
    assert_true(sci_platform_memory(&platform_memory));
    assert_true(sci_platform_clock(&clock));
    assert_true(sci_platform_random(&random));

    void *block = sci_resize(&platform_memory, NULL, 0, 10);
    block = sci_resize(&platform_memory, block, 10, 100000);
    assert_non_null(block);
    sci_free(&platform_memory, block, 100000);

    int64_t before = clock.monotonic_ns(clock.user);
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock.monotonic_ns(clock.user);
        assert_true(now >= before);
        before = now;
    }
    /* 2020 to 2100 */
    int64_t wall_ms = clock.wall_ms(clock.user);
    assert_true(wall_ms > INT64_C(1577836800000) && wall_ms < INT64_C(4102444800000));

    /* More than one system call gives; each part must have been filled. */
    enum { PART = 100, PARTS = 10 };
    unsigned char bytes[PART * PARTS] = {0};
    static const unsigned char zeros[PART];
    assert_int_equal(random.fill(random.user, bytes, sizeof bytes), SC_OK);
    for (int part = 0; part < PARTS; part++)
        assert_memory_not_equal(bytes + part * PART, zeros, PART);
    assert_int_equal(random.fill(random.user, NULL, 0), SC_OK);
}

#if !defined(SMARTCACHE_NO_POSIX)
static void the_random_device_serves_old_kernels(void **state)
{
    (void)state;
    char bytes[64] = {0};
    static const char zeros[64];
    assert_int_equal(sci_platform_random_device(bytes, sizeof bytes), SC_OK);
    assert_memory_not_equal(bytes, zeros, sizeof bytes);
}
#endif

/* --- bytes */

static void bytes_are_appended_and_consumed_in_order(void **state)
{
    (void)state;
    sci_bytes bytes;
    uint64_t seed = 3;
    unsigned char written = 0, read_back = 0;
    sci_bytes_init(&bytes, &memory.table);
    assert_int_equal(sci_bytes_slice(&bytes).len, 0);
    for (int round = 0; round < 20000; round++) {
        unsigned char piece[700];
        size_t len = (size_t)(next_random(&seed) % sizeof piece);
        for (size_t i = 0; i < len; i++)
            piece[i] = written++;
        assert_int_equal(sci_bytes_append(&bytes, sc_bytes(piece, len)), SC_OK);
        /* Now and then nearly all goes. */
        size_t most = sci_bytes_len(&bytes);
        size_t count = round % 50 == 49 ? most : (size_t)(next_random(&seed) % 700);
        count = count < most ? count : most;
        for (size_t i = 0; i < count; i++)
            assert_int_equal((unsigned char)sci_bytes_slice(&bytes).data[i],
                             (unsigned char)(read_back + i));
        read_back = (unsigned char)(read_back + count);
        sci_bytes_consume(&bytes, count);
        assert_true(bytes.end <= bytes.cap);
    }
    sci_bytes_free(&bytes);
    sci_bytes_free(&bytes);
}

static void emptied_bytes_start_at_the_front_again(void **state)
{
    (void)state;
    sci_bytes bytes;
    sci_bytes_init(&bytes, &memory.table);
    assert_int_equal(sci_bytes_append_text(&bytes, "abc"), SC_OK);
    sci_bytes_consume(&bytes, 3);
    assert_int_equal(bytes.start, 0);
    assert_int_equal(bytes.end, 0);
    sci_bytes_free(&bytes);
}

/* A queue that is never empty and stays the same length needs no more room than a small multiple.
 */
static void a_queue_of_constant_length_stops_growing(void **state)
{
    (void)state;
    enum { LEN = 10000 };
    static const char piece[100];
    sci_bytes bytes;
    sci_bytes_init(&bytes, &memory.table);
    while (sci_bytes_len(&bytes) < LEN)
        assert_int_equal(sci_bytes_append(&bytes, sc_bytes(piece, sizeof piece)), SC_OK);
    for (int i = 0; i < 10000; i++) {
        sci_bytes_consume(&bytes, sizeof piece);
        assert_int_equal(sci_bytes_append(&bytes, sc_bytes(piece, sizeof piece)), SC_OK);
    }
    assert_true(bytes.cap <= 3 * LEN);
    sci_bytes_free(&bytes);
}

static void a_cut_closes_the_gap(void **state)
{
    (void)state;
    sci_bytes bytes;
    sci_bytes_init(&bytes, &memory.table);
    assert_int_equal(sci_bytes_append_text(&bytes, "0123456789"), SC_OK);
    sci_bytes_consume(&bytes, 1);
    sci_bytes_cut(&bytes, 2, 3); /* 345 */
    assert_true(sci_slice_equal(sci_bytes_slice(&bytes), sc_text("126789")));
    sci_bytes_cut(&bytes, 4, 2); /* the end */
    assert_true(sci_slice_equal(sci_bytes_slice(&bytes), sc_text("1267")));
    sci_bytes_cut(&bytes, 0, 1); /* the front */
    assert_true(sci_slice_equal(sci_bytes_slice(&bytes), sc_text("267")));
    sci_bytes_cut(&bytes, 1, 0);
    assert_true(sci_slice_equal(sci_bytes_slice(&bytes), sc_text("267")));
    sci_bytes_cut(&bytes, 0, 3);
    assert_int_equal(sci_bytes_len(&bytes), 0);
    sci_bytes_free(&bytes);
}

static void numbers_and_characters_are_appended(void **state)
{
    (void)state;
    sci_bytes bytes;
    sci_bytes_init(&bytes, &memory.table);
    assert_int_equal(sci_bytes_append_i64(&bytes, INT64_MIN), SC_OK);
    assert_int_equal(sci_bytes_append_char(&bytes, ' '), SC_OK);
    assert_int_equal(sci_bytes_append_i64(&bytes, 0), SC_OK);
    assert_true(sci_slice_equal(sci_bytes_slice(&bytes), sc_text("-9223372036854775808 0")));
    sci_bytes_free(&bytes);
}

static void bytes_without_memory_keep_what_they_have(void **state)
{
    (void)state;
    sci_bytes bytes;
    char big[600];
    memset(big, 'b', sizeof big);
    sci_bytes_init(&bytes, &memory.table);
    fault_memory_fail(&memory, 1, true);
    assert_int_equal(sci_bytes_append_char(&bytes, 'a'), SC_ERR_MEMORY);
    assert_int_equal(sci_bytes_len(&bytes), 0);
    fault_memory_fail(&memory, 0, false);
    assert_int_equal(sci_bytes_append_text(&bytes, "xabc"), SC_OK);
    sci_bytes_consume(&bytes, 1);
    fault_memory_fail(&memory, 1, true);
    assert_int_equal(sci_bytes_append(&bytes, sc_bytes(big, sizeof big)), SC_ERR_MEMORY);
    assert_true(sci_slice_equal(sci_bytes_slice(&bytes), sc_text("abc")));
    assert_int_equal(bytes.start, 1);
    /* What fits once the rest is at the front needs no memory. */
    assert_int_equal(sci_bytes_append(&bytes, sc_bytes(big, bytes.cap - 3)), SC_OK);
    assert_memory_equal(sci_bytes_slice(&bytes).data, "abcbb", 5);
    /* Even where moving so much for so little is not the first choice. */
    sci_bytes_consume(&bytes, 10);
    assert_int_equal(sci_bytes_append_text(&bytes, "0123456789"), SC_OK);
    assert_int_equal(bytes.start, 0);
    assert_int_equal(sci_bytes_reserve(&bytes, SIZE_MAX), SC_ERR_MEMORY);
    assert_int_equal(sci_bytes_reserve(&bytes, SIZE_MAX / 2), SC_ERR_MEMORY);
    sci_bytes_free(&bytes);
}

static void a_reset_frees_only_large_blocks(void **state)
{
    (void)state;
    sci_bytes bytes;
    sci_bytes_init(&bytes, &memory.table);
    assert_int_equal(sci_bytes_append_text(&bytes, "abc"), SC_OK);
    size_t cap = bytes.cap;
    sci_bytes_reset(&bytes, cap);
    assert_int_equal(sci_bytes_len(&bytes), 0);
    assert_int_equal(bytes.cap, cap);
    sci_bytes_reset(&bytes, cap - 1);
    assert_int_equal(bytes.cap, 0);
    assert_int_equal(fault_memory_live_blocks(&memory), 0);
}

/* --- hash */

/* Reference: hash() of bytes in CPython 3.11, which is SipHash-1-3, with PYTHONHASHSEED 0 and 1. */
static void the_hash_is_siphash_1_3(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        uint64_t under_zeros, under_key;
    } cases[] = {{1, UINT64_C(0x486b06067755d7c9), UINT64_C(0x9243a0bed771da38)},
                 {7, UINT64_C(0x8a715eaaf55549aa), UINT64_C(0xa43f46106d9ee69e)},
                 {8, UINT64_C(0x36c186f0aa4cdbeb), UINT64_C(0x6c51eb30d2c47d84)},
                 {9, UINT64_C(0x5176191e3d24cbff), UINT64_C(0x929e7bc2d914a9f1)},
                 {15, UINT64_C(0x19ed3f1b38f7e4e2), UINT64_C(0xedd0edafe288ba9b)},
                 {16, UINT64_C(0xd1c94d62751d7b7b), UINT64_C(0xdc0e2d5ecce30f8d)},
                 {63, UINT64_C(0x42ed5c087e0bfe5d), UINT64_C(0x825679fab67db983)},
                 {200, UINT64_C(0x63c7d95ac2efcfda), UINT64_C(0x4eaeb27ad36b34a)}};
    static const sci_hash_seed zeros = {0, 0};
    static const sci_hash_seed key = {UINT64_C(0xaed66ce184be2329), UINT64_C(0xebe9bbf1f1499052)};
    unsigned char bytes[201];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        /* At two alignments. */
        for (size_t shift = 0; shift < 2; shift++) {
            for (size_t at = 0; at < cases[i].len; at++)
                bytes[at + shift] = (unsigned char)(at * 7 + 3);
            sc_slice slice = sc_bytes(bytes + shift, cases[i].len);
            assert_true(sci_hash(&zeros, slice) == cases[i].under_zeros);
            assert_true(sci_hash(&key, slice) == cases[i].under_key);
        }
    }
    assert_true(sci_hash(&key, sc_bytes(NULL, 0)) == sci_hash(&key, sc_text("")));
    assert_true(sci_hash(&key, sc_text("")) != sci_hash(&zeros, sc_text("")));
}

/* --- map */

#define ENTRIES 5000

typedef struct entry {
    sci_map_node node;
    bool is_in_map;
    char key[24];
} entry;

static entry *new_entries(void)
{
    entry *entries = (entry *)calloc(ENTRIES, sizeof *entries);
    assert_non_null(entries);
    for (int i = 0; i < ENTRIES; i++)
        (void)snprintf(entries[i].key, sizeof entries[i].key, "key:%d", i);
    return entries;
}

/* `use_hash` false: all keys get one hash, as an attacker would like it. */
static void exercise_map(sci_map *map, bool use_hash, int count, int steps)
{
    entry *entries = new_entries();
    uint64_t seed = 5;
    size_t in_map = 0;
    for (int step = 0; step < steps; step++) {
        entry *e = &entries[next_random(&seed) % (unsigned)count];
        sc_slice key = sc_text(e->key);
        uint64_t hash = use_hash ? sci_map_hash(map, key) : 42;
        sci_map_node *found = sci_map_find(map, key, hash);
        assert_ptr_equal(found, e->is_in_map ? &e->node : NULL);
        /* The balance tips: mostly in, then mostly out. */
        bool wanted = next_random(&seed) % 4 < (step < steps / 2 ? 3u : 1u);
        if (wanted && !e->is_in_map) {
            sci_map_put(map, &e->node, key, hash);
            in_map++;
        } else if (!wanted && e->is_in_map) {
            sci_map_remove(map, &e->node);
            in_map--;
        }
        e->is_in_map = wanted;
        assert_int_equal(map->count, in_map);
    }
    for (int i = 0; i < count; i++) {
        if (!entries[i].is_in_map)
            continue;
        sci_map_remove(map, &entries[i].node);
        in_map--;
    }
    assert_int_equal(in_map, 0);
    assert_int_equal(map->count, 0);
    free(entries);
}

static const sci_hash_seed map_seed = {1, 2};

static void a_map_finds_what_is_in_it_and_nothing_else(void **state)
{
    (void)state;
    sci_map map;
    sci_map_init(&map, &memory.table, map_seed);
    exercise_map(&map, true, ENTRIES, 200000);
    sci_map_free(&map);
}

static void a_map_works_when_all_hashes_collide(void **state)
{
    (void)state;
    sci_map map;
    sci_map_init(&map, &memory.table, map_seed);
    exercise_map(&map, false, 200, 20000);
    sci_map_free(&map);
}

static void puts_never_fail_without_memory(void **state)
{
    (void)state;
    sci_map map;
    sci_map_init(&map, &memory.table, map_seed);
    fault_memory_fail(&memory, 1, true);
    exercise_map(&map, true, 500, 20000);
    assert_true(fault_memory_failures(&memory) > 0);
    assert_int_equal(map.bucket_count, SCI_MAP_INLINE_BUCKETS);
    /* Memory comes and goes. */
    for (size_t at = 1; at < 12; at++) {
        fault_memory_fail(&memory, at, false);
        exercise_map(&map, true, 1000, 5000);
    }
    sci_map_free(&map);
}

static void chains_stay_short_under_keys_that_look_alike(void **state)
{
    (void)state;
    entry *entries = new_entries();
    sci_map map;
    sci_map_init(&map, &memory.table, map_seed);
    for (int i = 0; i < ENTRIES; i++) {
        sc_slice key = sc_text(entries[i].key);
        sci_map_put(&map, &entries[i].node, key, sci_map_hash(&map, key));
    }
    /* The longest of 8192 chains with 5000 keys is 6 or so when a hash is any good. */
    for (size_t bucket = 0; bucket < map.bucket_count; bucket++) {
        int chain = 0;
        for (sci_map_node *node = map.buckets[bucket]; node; node = node->next)
            chain++;
        assert_true(chain <= 12);
    }
    assert_true(map.bucket_count >= ENTRIES && map.bucket_count < 4 * ENTRIES);
    sci_map_free(&map);
    assert_int_equal(map.count, 0);
    free(entries);
}

static void a_map_shrinks_when_it_empties(void **state)
{
    (void)state;
    entry *entries = new_entries();
    sci_map map;
    sci_map_init(&map, &memory.table, map_seed);
    for (int i = 0; i < ENTRIES; i++) {
        sc_slice key = sc_text(entries[i].key);
        sci_map_put(&map, &entries[i].node, key, sci_map_hash(&map, key));
    }
    for (int i = 0; i < ENTRIES; i++)
        sci_map_remove(&map, &entries[i].node);
    assert_int_equal(map.bucket_count, SCI_MAP_INLINE_BUCKETS);
    assert_int_equal(fault_memory_live_blocks(&memory), 0);
    sci_map_free(&map);
    free(entries);
}

/* --- heap */

#define TIMERS 600

static int64_t least_key(const sci_heap_node *nodes)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < TIMERS; i++)
        if (nodes[i].is_in_heap && nodes[i].key < least)
            least = nodes[i].key;
    return least;
}

static void the_first_of_a_heap_is_always_the_smallest(void **state)
{
    (void)state;
    static sci_heap_node nodes[TIMERS];
    sci_heap heap = {NULL};
    uint64_t seed = 9;
    size_t count = 0;
    memset(nodes, 0, sizeof nodes);
    for (int step = 0; step < 60000; step++) {
        /* First it fills, then random ones and the first ones go in turn, keys repeat often. */
        sci_heap_node *node = &nodes[next_random(&seed) % TIMERS];
        uint64_t dice = next_random(&seed) % 8;
        if (dice < (step / 10000 % 2 ? 3u : 5u)) {
            if (!node->is_in_heap) {
                sci_heap_insert(&heap, node, (int64_t)(next_random(&seed) % 200) - 100);
                count++;
            }
        } else {
            if (dice == 7 && heap.root)
                node = sci_heap_first(&heap);
            count -= node->is_in_heap;
            sci_heap_remove(&heap, node);
            assert_false(node->is_in_heap);
        }
        assert_int_equal(sci_heap_first(&heap) != NULL, count > 0);
        if (count > 0)
            assert_true(sci_heap_first(&heap)->key == least_key(nodes));
    }
    int64_t last = INT64_MIN;
    for (; count > 0; count--) {
        sci_heap_node *first = sci_heap_first(&heap);
        assert_true(first->key >= last);
        last = first->key;
        sci_heap_remove(&heap, first);
    }
    assert_null(sci_heap_first(&heap));
}

static void a_large_heap_sorts_without_recursion(void **state)
{
    (void)state;
    enum { MANY = 300000 };
    sci_heap_node *nodes = (sci_heap_node *)calloc(MANY, sizeof *nodes);
    sci_heap heap = {NULL};
    assert_non_null(nodes);
    /* Ascending, so that the root gets all the others as its children at once. */
    for (int i = 0; i < MANY; i++)
        sci_heap_insert(&heap, &nodes[i], i);
    for (int i = 0; i < MANY; i++) {
        assert_ptr_equal(sci_heap_first(&heap), &nodes[i]);
        sci_heap_remove(&heap, &nodes[i]);
    }
    free(nodes);
}

/* --- words */

static void every_status_has_a_name_and_a_message(void **state)
{
    (void)state;
    assert_string_equal(sc_status_name(SC_OK), "SC_OK");
    assert_string_equal(sc_status_name(SC_ERR_UNSUPPORTED), "SC_ERR_UNSUPPORTED");
    assert_string_equal(sc_status_message(SC_ERR_TIMEOUT),
                        "the deadline passed; what was sent may still be executed");
    assert_string_equal(sc_status_name((sc_status)99), "?");
    assert_non_null(sc_status_message((sc_status)99));
}

/* The messages promise it, so the function must say the same. */
static void what_says_nothing_was_executed_was_not_executed(void **state)
{
    (void)state;
#define CHECK_STATUS(name, code, message)                                                          \
    if (strstr(message, "nothing was executed"))                                                   \
        assert_true(sc_not_executed(name));                                                        \
    if (strstr(message, "executed") && !strstr(message, "nothing"))                                \
        assert_false(sc_not_executed(name));
    SC_STATUS_LIST(CHECK_STATUS)
#undef CHECK_STATUS
    static const sc_status before_sending[] = {SC_ERR_ARGUMENT, SC_ERR_URL, SC_ERR_CLOSED};
    for (size_t i = 0; i < sizeof before_sending / sizeof before_sending[0]; i++)
        assert_true(sc_not_executed(before_sending[i]));
    static const sc_status uncertain[] = {SC_OK,           SC_ERR_MEMORY,   SC_ERR_LIMIT,
                                          SC_ERR_IO,       SC_ERR_PROTOCOL, SC_ERR_REPLY,
                                          SC_ERR_CANCELLED};
    for (size_t i = 0; i < sizeof uncertain / sizeof uncertain[0]; i++)
        assert_false(sc_not_executed(uncertain[i]));
}

static void formats_are_those_of_printf(void **state)
{
    (void)state;
    char ours[256], theirs[256];
#define CHECK_FORMAT(...)                                                                          \
    do {                                                                                           \
        int expected = snprintf(theirs, sizeof theirs, __VA_ARGS__);                               \
        assert_int_equal(sci_format(ours, sizeof ours, __VA_ARGS__), expected);                    \
        assert_string_equal(ours, theirs);                                                         \
    } while (0)
    CHECK_FORMAT("plain");
    CHECK_FORMAT("%s|%s|", "abc", "");
    CHECK_FORMAT("%.*s|%.*s|%.*s|", 2, "abc", 0, "abc", 10, "abc");
    CHECK_FORMAT("%.*s|", -1, "abc");
    CHECK_FORMAT("%c%c", 'a', 'b');
    CHECK_FORMAT("%d %d %d", 0, INT32_MAX, INT32_MIN);
    CHECK_FORMAT("%u %u %x %x", 0u, UINT32_MAX, 0u, 0xdeadbeefu);
    CHECK_FORMAT("%ld %ld %lu", -1L, 123456789L, 4000000000uL);
    CHECK_FORMAT("%lld %lld %llu", INT64_MIN + 0LL, INT64_MAX + 0LL, UINT64_MAX + 0ULL);
    CHECK_FORMAT("%zu %zu", (size_t)0, SIZE_MAX);
    CHECK_FORMAT("100%% of %s%%", "it");
#undef CHECK_FORMAT
    /* A slice has no NUL. */
    char unterminated[3] = {'x', 'y', 'z'};
    assert_int_equal(sci_format(ours, sizeof ours, "%.*s", 3, unterminated), 3);
    assert_string_equal(ours, "xyz");
    const char *volatile none = NULL;
    (void)sci_format(ours, sizeof ours, "%s", none);
    assert_string_equal(ours, "(null)");
}

static void long_text_is_cut_and_terminated(void **state)
{
    (void)state;
    char out[8];
    memset(out, 'x', sizeof out);
    assert_int_equal(sci_format(out, 5, "%s", "abcdefgh"), 4);
    assert_string_equal(out, "abcd");
    assert_int_equal(out[5], 'x');
    assert_int_equal(sci_format(out, 5, "%d%d", 123, 456), 4);
    assert_string_equal(out, "1234");
    assert_int_equal(sci_format(out, 1, "abc"), 0);
    assert_string_equal(out, "");
    out[0] = 'x';
    assert_int_equal(sci_format(out, 0, "abc"), 0);
    assert_int_equal(out[0], 'x');
}

static void the_detail_text_is_set_extended_and_cut(void **state)
{
    (void)state;
    assert_int_equal(sc_fail(SC_ERR_LOADER, "table %s is locked", "t"), SC_ERR_LOADER);
    assert_string_equal(sc_error_text(), "table t is locked");
    sci_error_text_add(" (%d)", 7);
    assert_string_equal(sc_error_text(), "table t is locked (7)");
    /* The text may be its own argument. */
    (void)sc_fail(SC_ERR_IO, "first: %s", sc_error_text());
    assert_string_equal(sc_error_text(), "first: table t is locked (7)");
    sci_error_text_add(", %s", sc_error_text());
    assert_string_equal(sc_error_text(),
                        "first: table t is locked (7), first: table t is locked (7)");
    sci_error_text_set("other", 3);
    assert_string_equal(sc_error_text(), "oth");
    sci_error_text_set(NULL, 0);
    assert_string_equal(sc_error_text(), "");

    char longer[2 * SC_ERROR_TEXT_BYTES];
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    (void)sc_fail(SC_ERR_IO, "%s", longer);
    assert_int_equal(strlen(sc_error_text()), SC_ERROR_TEXT_BYTES - 1);
    sci_error_text_add("more");
    assert_int_equal(strlen(sc_error_text()), SC_ERROR_TEXT_BYTES - 1);
    sci_error_text_set(longer, sizeof longer);
    assert_int_equal(strlen(sc_error_text()), SC_ERROR_TEXT_BYTES - 1);
}

#define TEST_WITH_MEMORY(name)                                                                     \
    cmocka_unit_test_setup_teardown(name, with_fault_memory, nothing_leaked)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_MEMORY(allocation_failure_says_how_many_bytes),
        TEST_WITH_MEMORY(a_failed_resize_keeps_the_block),
        TEST_WITH_MEMORY(copied_text_is_terminated_and_freed_with_its_size),
        cmocka_unit_test(a_secret_is_overwritten_before_it_is_freed),
        cmocka_unit_test(the_platform_has_memory_time_and_random_bytes),
#if !defined(SMARTCACHE_NO_POSIX)
        cmocka_unit_test(the_random_device_serves_old_kernels),
#endif
        TEST_WITH_MEMORY(bytes_are_appended_and_consumed_in_order),
        TEST_WITH_MEMORY(emptied_bytes_start_at_the_front_again),
        TEST_WITH_MEMORY(a_queue_of_constant_length_stops_growing),
        TEST_WITH_MEMORY(a_cut_closes_the_gap),
        TEST_WITH_MEMORY(numbers_and_characters_are_appended),
        TEST_WITH_MEMORY(bytes_without_memory_keep_what_they_have),
        TEST_WITH_MEMORY(a_reset_frees_only_large_blocks),
        cmocka_unit_test(the_hash_is_siphash_1_3),
        TEST_WITH_MEMORY(a_map_finds_what_is_in_it_and_nothing_else),
        TEST_WITH_MEMORY(a_map_works_when_all_hashes_collide),
        TEST_WITH_MEMORY(puts_never_fail_without_memory),
        TEST_WITH_MEMORY(chains_stay_short_under_keys_that_look_alike),
        TEST_WITH_MEMORY(a_map_shrinks_when_it_empties),
        cmocka_unit_test(the_first_of_a_heap_is_always_the_smallest),
        cmocka_unit_test(a_large_heap_sorts_without_recursion),
        cmocka_unit_test(every_status_has_a_name_and_a_message),
        cmocka_unit_test(what_says_nothing_was_executed_was_not_executed),
        cmocka_unit_test(formats_are_those_of_printf),
        cmocka_unit_test(long_text_is_cut_and_terminated),
        cmocka_unit_test(the_detail_text_is_set_extended_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
