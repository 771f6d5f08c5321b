/* Tables of members: hash fields and set members. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "fault_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static fault_memory memory;
static sci_hash_seed seed;

static int with_fault_memory(void **state)
{
    (void)state;
    fault_memory_init(&memory);
    seed.k0 = 1;
    seed.k1 = 2;
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

static size_t chance(void *user, size_t bound)
{
    return (size_t)((next_random((uint64_t *)user) >> 16) % bound);
}

#define NAME_BYTES 256

static sc_slice numbered(char text[NAME_BYTES], const char *kind, unsigned number)
{
    int len = snprintf(text, NAME_BYTES, "%s%u", kind, number);
    return sc_bytes(text, (size_t)len);
}

/* Names of many lengths that tell their numbers; that of 0 is empty. */
static sc_slice name_of(char text[NAME_BYTES], unsigned number)
{
    size_t len = sizeof number + (number % 7 == 0 ? number % 200 : number % 9);
    memset(text, (int)(number % 3), len);
    memcpy(text, &number, sizeof number);
    return sc_bytes(text, number ? len : 0);
}

static unsigned number_of(sc_slice name)
{
    unsigned number = 0;
    if (name.len > 0)
        memcpy(&number, name.data, sizeof number);
    return number;
}

/* --- a naive model: what is there, and the number of its value */

#define MODEL_MOST 3000

typedef struct model {
    bool is_there[MODEL_MOST];
    unsigned values[MODEL_MOST];
    unsigned seen[MODEL_MOST];
    unsigned count;
} model;

static model reference;

static void model_clear(void)
{
    memset(&reference, 0, sizeof reference);
}

static bool model_put(unsigned number, unsigned value)
{
    bool is_new = !reference.is_there[number];
    reference.is_there[number] = true;
    reference.values[number] = value;
    reference.count += is_new;
    return is_new;
}

static bool model_remove(unsigned number)
{
    bool is_there = reference.is_there[number];
    reference.is_there[number] = false;
    reference.count -= is_there;
    return is_there;
}

static void see(void *user, sci_member *member)
{
    char text[NAME_BYTES];
    unsigned number = number_of(sci_member_name(member));
    (void)user;
    assert_true(number < MODEL_MOST);
    assert_true(sci_slice_equal(sci_member_name(member), name_of(text, number)));
    reference.seen[number]++;
}

static void forget_seen(void)
{
    memset(reference.seen, 0, sizeof reference.seen);
}

static void expect_each_was_seen_once(void)
{
    for (unsigned i = 0; i < MODEL_MOST; i++)
        assert_int_equal(reference.seen[i], reference.is_there[i] ? 1 : 0);
}

static void expect_model(const sci_members *members)
{
    sci_members_iterator iterator = {0, 0};
    uint64_t cursor = 0;
    assert_int_equal(members->count, reference.count);
    forget_seen();
    for (sci_member *member; (member = sci_members_next(members, &iterator));) {
        char text[NAME_BYTES];
        unsigned value = reference.values[number_of(sci_member_name(member))];
        see(NULL, member);
        if (members->has_values)
            assert_true(sci_slice_equal(sci_member_value(member), name_of(text, value)));
    }
    expect_each_was_seen_once();
    forget_seen();
    do
        cursor = sci_members_walk(members, cursor, see, NULL);
    while (cursor != 0);
    expect_each_was_seen_once();
}

static void put_one(sci_members *members, unsigned number, unsigned value)
{
    char name_text[NAME_BYTES], value_text[NAME_BYTES];
    sc_slice name = name_of(name_text, number);
    bool is_new = false;
    sci_member *member = sci_members_put(members, name, name_of(value_text, value), &is_new);
    assert_non_null(member);
    assert_true(sci_slice_equal(sci_member_name(member), name));
    assert_int_equal(is_new, model_put(number, value));
}

#define WORDS_MOST 64

static void put_several(sci_members *members, uint64_t *random, unsigned range)
{
    static char texts[WORDS_MOST][NAME_BYTES];
    sc_slice words[WORDS_MOST];
    size_t stride = members->has_values ? 2 : 1;
    memset(words, 0, sizeof words);
    size_t count = 1 + chance(random, WORDS_MOST / 2), added = 0, expected = 0;
    for (size_t i = 0; i < count * stride; i++)
        words[i] = name_of(texts[i], (unsigned)chance(random, range));
    assert_int_equal(sci_members_put_all(members, words, count, &added), SC_OK);
    for (size_t i = 0; i < count * stride; i += stride)
        expected += model_put(number_of(words[i]), number_of(words[i + stride - 1]));
    assert_int_equal(added, expected);
}

static void drop(void *user, sci_member *member)
{
    (void)user;
    assert_true(model_remove(number_of(sci_member_name(member))));
}

static void change_by_chance(sci_members *members, uint64_t *random, unsigned range, bool grows)
{
    char text[NAME_BYTES];
    unsigned number = (unsigned)chance(random, range);
    size_t what = chance(random, 100);
    sc_slice name = name_of(text, number);
    assert_int_equal(sci_members_find(members, name) != NULL, reference.is_there[number]);
    if (what < 2)
        put_several(members, random, range);
    else if (what < 4 && !grows)
        sci_members_choose(members, chance(random, 8), true, chance, random, drop, NULL);
    else if (what < (grows ? 70u : 30u))
        put_one(members, number, (unsigned)chance(random, range));
    else
        assert_int_equal(sci_members_remove(members, name), model_remove(number));
}

/* Grows, shrinks and grows again. */
static void run_random_changes(bool has_values, unsigned range, unsigned changes, uint64_t start)
{
    sci_members *members = sci_members_new(&memory.table, &seed, has_values);
    uint64_t random = start;
    assert_non_null(members);
    model_clear();
    for (unsigned i = 0; i < changes; i++) {
        change_by_chance(members, &random, range, i / (changes / 4) % 2 == 0);
        if (i % (changes / 32) == 0)
            expect_model(members);
    }
    expect_model(members);
    sci_members_release(members);
}

static void a_set_does_what_a_naive_one_does(void **state)
{
    (void)state;
    run_random_changes(false, 100, 4000, 11);
    run_random_changes(false, MODEL_MOST, 40000, 12);
}

static void a_hash_does_what_a_naive_one_does(void **state)
{
    (void)state;
    run_random_changes(true, 100, 4000, 13);
    run_random_changes(true, MODEL_MOST, 40000, 14);
}

/* --- shape */

static sci_members *new_numbered(bool has_values, unsigned count)
{
    sci_members *members = sci_members_new(&memory.table, &seed, has_values);
    char name[NAME_BYTES], value[NAME_BYTES];
    bool is_new;
    assert_non_null(members);
    for (unsigned i = 0; i < count; i++)
        assert_non_null(sci_members_put(members, numbered(name, "member:", i),
                                        numbered(value, "value:", i), &is_new));
    return members;
}

static void expect_numbered(const sci_members *members, unsigned count)
{
    char name[NAME_BYTES], value[NAME_BYTES];
    assert_int_equal(members->count, count);
    for (unsigned i = 0; i < count; i++) {
        const sci_member *member = sci_members_find(members, numbered(name, "member:", i));
        assert_non_null(member);
        if (members->has_values)
            assert_true(sci_slice_equal(sci_member_value(member), numbered(value, "value:", i)));
    }
}

static void few_small_members_are_packed(void **state)
{
    (void)state;
    sci_members *members = new_numbered(true, SCI_MEMBERS_PACKED);
    char name[NAME_BYTES];
    bool is_new;
    assert_true(members->is_packed);
    assert_non_null(sci_members_put(members, sc_text("member:3"), sc_text("value:3"), &is_new));
    assert_true(members->is_packed);
    assert_non_null(sci_members_put(members, numbered(name, "member:", SCI_MEMBERS_PACKED),
                                    sc_text("value:128"), &is_new));
    assert_false(members->is_packed);
    expect_numbered(members, SCI_MEMBERS_PACKED + 1);
    sci_members_release(members);
}

static void a_long_name_or_value_unpacks(void **state)
{
    (void)state;
    char text[SCI_MEMBERS_PACKED_BYTES + 1];
    memset(text, 'x', sizeof text);
    for (int is_value = 0; is_value < 2; is_value++) {
        sci_members *members = new_numbered(true, 3);
        sc_slice longest = sc_bytes(text, sizeof text - 1), longer = sc_bytes(text, sizeof text);
        bool is_new;
        assert_non_null(sci_members_put(members, longest, longest, &is_new));
        assert_true(members->is_packed);
        assert_non_null(sci_members_put(members, is_value ? sc_text("a") : longer,
                                        is_value ? longer : sc_text("a"), &is_new));
        assert_false(members->is_packed);
        assert_int_equal(members->count, 5);
        sci_members_release(members);
    }
}

static void packed_members_keep_their_order(void **state)
{
    (void)state;
    sci_members *members = new_numbered(true, 5);
    sci_members_iterator iterator = {0, 0};
    bool is_new;
    assert_non_null(sci_members_put(members, sc_text("member:1"), sc_text("another"), &is_new));
    assert_false(is_new);
    assert_true(sci_members_remove(members, sc_text("member:2")));
    static const char *const expected[] = {"member:0", "member:1", "member:3", "member:4"};
    for (size_t i = 0; i < SCI_COUNT(expected); i++) {
        sc_slice name = sc_text(expected[i]);
        assert_true(sci_slice_equal(sci_member_name(sci_members_next(members, &iterator)), name));
        assert_true(sci_slice_equal(sci_member_name(sci_members_at(members, i)), name));
    }
    assert_null(sci_members_next(members, &iterator));
    sci_members_release(members);
}

static void memory_goes_back_as_members_go(void **state)
{
    (void)state;
    sci_members *members = new_numbered(false, 20000);
    char name[NAME_BYTES];
    size_t full = fault_memory_live_bytes(&memory);
    for (unsigned i = 10; i < 20000; i++)
        assert_true(sci_members_remove(members, numbered(name, "member:", i)));
    assert_true(fault_memory_live_bytes(&memory) < full / 50);
    expect_numbered(members, 10);
    sci_members_release(members);
}

static void bytes_are_what_was_taken(void **state)
{
    (void)state;
    static const unsigned counts[] = {0, 5, 128, 200, 1000};
    sci_counted counted;
    sci_counted_init(&counted, &memory.table);
    for (size_t i = 0; i < SCI_COUNT(counts); i++) {
        sci_members *members = sci_members_new(&counted.table, &seed, true);
        char name[NAME_BYTES];
        bool is_new;
        for (unsigned j = 0; j < counts[i]; j++)
            assert_non_null(sci_members_put(members, numbered(name, "", j), sc_text("v"), &is_new));
        for (unsigned j = 0; j < counts[i]; j += 2)
            assert_true(sci_members_remove(members, numbered(name, "", j)));
        assert_int_equal(sci_members_bytes(members), counted.used);
        sci_members_release(members);
        assert_int_equal(counted.used, 0);
    }
}

static void a_copy_has_the_same_and_is_its_own(void **state)
{
    (void)state;
    static const unsigned counts[] = {0, 7, 1000};
    for (size_t i = 0; i < SCI_COUNT(counts); i++) {
        sci_members *members = new_numbered(true, counts[i]);
        sci_members *copy = sci_members_copy(members);
        assert_non_null(copy);
        for (unsigned j = 0; j < counts[i]; j++) {
            char name[NAME_BYTES];
            assert_true(sci_members_remove(members, numbered(name, "member:", j)));
        }
        sci_members_release(members);
        expect_numbered(copy, counts[i]);
        sci_members_release(copy);
    }
}

/* --- walks */

static void a_walk_sees_what_stays_while_the_table_changes(void **state)
{
    (void)state;
    for (uint64_t start = 1; start <= 100; start++) {
        uint64_t random = start, cursor = 0;
        sci_members *members = sci_members_new(&memory.table, &seed, false);
        /* Numbers below `stay` stay, those above come and go. */
        unsigned stay = 150 + (unsigned)chance(&random, 400), next = stay;
        model_clear();
        for (unsigned i = 0; i < stay; i++)
            put_one(members, i, i);
        do {
            bool grows = chance(&random, 2) != 0;
            for (size_t i = chance(&random, 60); i > 0; i--) {
                char text[NAME_BYTES];
                if (grows && next < MODEL_MOST)
                    put_one(members, next++, 0);
                else if (next > stay && model_remove(--next))
                    assert_true(sci_members_remove(members, name_of(text, next)));
            }
            cursor = sci_members_walk(members, cursor, see, NULL);
        } while (cursor != 0);
        for (unsigned i = 0; i < stay; i++)
            assert_true(reference.seen[i] >= 1);
        sci_members_release(members);
    }
}

/* --- chance */

static void tally(void *user, sci_member *member)
{
    unsigned *counts = (unsigned *)user;
    sc_slice name = sci_member_name(member);
    size_t kind = strlen("member:");
    int64_t number = 0;
    assert_true(sci_text_to_i64(sc_bytes(name.data + kind, name.len - kind), &number));
    counts[number]++;
}

/* Each member is drawn about as often as any other, however many are drawn at once. */
static void members_are_drawn_fairly(void **state)
{
    (void)state;
    enum { rounds = 20000 };
    static const unsigned sizes[] = {20, 300};
    static const unsigned draws[] = {1, 7, 19};
    for (size_t s = 0; s < SCI_COUNT(sizes); s++) {
        sci_members *members = new_numbered(false, sizes[s]);
        for (size_t d = 0; d < SCI_COUNT(draws); d++) {
            unsigned counts[300] = {0};
            uint64_t random = 99;
            double expected = (double)rounds * draws[d] / sizes[s], sum = 0;
            for (unsigned i = 0; i < rounds; i++)
                sci_members_choose(members, draws[d], false, chance, &random, tally, counts);
            for (unsigned i = 0; i < sizes[s]; i++) {
                double off = counts[i] - expected;
                sum += off * off / expected;
            }
            /* Chi squared with size - 1 degrees of freedom: six standard deviations. */
            double degrees = sizes[s] - 1.0, bound = degrees * 2 + 40;
            assert_true(sum < bound);
        }
        sci_members_release(members);
    }
}

static void who_is_chosen_is_different_each_time(void **state)
{
    (void)state;
    static const unsigned sizes[] = {20, 300};
    for (size_t s = 0; s < SCI_COUNT(sizes); s++) {
        sci_members *members = new_numbered(false, sizes[s]);
        unsigned counts[300] = {0};
        uint64_t random = 5;
        sci_members_choose(members, sizes[s] + 5, false, chance, &random, tally, counts);
        for (unsigned i = 0; i < sizes[s]; i++)
            assert_int_equal(counts[i], 1);
        sci_members_choose(members, sizes[s] - 3, true, chance, &random, tally, counts);
        assert_int_equal(members->count, 3);
        for (unsigned i = 0; i < sizes[s]; i++) {
            char name[NAME_BYTES];
            bool is_there = sci_members_find(members, numbered(name, "member:", i)) != NULL;
            assert_int_equal(counts[i], is_there ? 1 : 2);
        }
        sci_members_release(members);
    }
}

/* --- no memory */

/* Put `count` pairs into a hash of `size`, each allocation failing in turn. */
static void fail_each_allocation_of_put(unsigned size, unsigned count)
{
    static char texts[600][NAME_BYTES];
    sc_slice words[600];
    for (unsigned i = 0; i < count; i++) {
        words[i * 2] = numbered(texts[i * 2], "member:", size / 2 + i);
        words[i * 2 + 1] = numbered(texts[i * 2 + 1], "another:", i);
    }
    for (size_t request = 1;; request++) {
        sci_members *members = new_numbered(true, size);
        size_t added = 0;
        fault_memory_fail(&memory, request, true);
        sc_status status = sci_members_put_all(members, words, count, &added);
        fault_memory_fail(&memory, 0, false);
        if (status == SC_OK)
            assert_int_equal(added, count - (size - size / 2));
        else
            expect_numbered(members, size);
        sci_members_release(members);
        if (status == SC_OK)
            break;
        assert_int_equal(status, SC_ERR_MEMORY);
    }
}

static void without_memory_all_is_as_it_was(void **state)
{
    (void)state;
    fail_each_allocation_of_put(0, 3);
    fail_each_allocation_of_put(10, 20);
    fail_each_allocation_of_put(120, 100);
    fail_each_allocation_of_put(250, 290);
}

static void a_copy_without_memory_leaves_nothing(void **state)
{
    (void)state;
    static const unsigned counts[] = {5, 300};
    for (size_t i = 0; i < SCI_COUNT(counts); i++) {
        sci_members *members = new_numbered(true, counts[i]), *copy = NULL;
        size_t bytes = fault_memory_live_bytes(&memory);
        for (size_t request = 1; !copy; request++) {
            fault_memory_fail(&memory, request, true);
            copy = sci_members_copy(members);
            fault_memory_fail(&memory, 0, false);
            if (!copy)
                assert_int_equal(fault_memory_live_bytes(&memory), bytes);
        }
        expect_numbered(copy, counts[i]);
        sci_members_release(copy);
        sci_members_release(members);
    }
}

static void removing_needs_no_memory(void **state)
{
    (void)state;
    sci_members *members = new_numbered(false, 3000);
    char name[NAME_BYTES];
    uint64_t random = 3;
    unsigned counts[3000] = {0};
    fault_memory_fail(&memory, 1, true);
    for (unsigned i = 0; i < 2500; i++)
        assert_true(sci_members_remove(members, numbered(name, "member:", i)));
    sci_members_choose(members, 400, true, chance, &random, tally, counts);
    fault_memory_fail(&memory, 0, false);
    assert_int_equal(members->count, 100);
    sci_members_release(members);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, with_fault_memory, nothing_leaked)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_set_does_what_a_naive_one_does),
        TEST(a_hash_does_what_a_naive_one_does),
        TEST(few_small_members_are_packed),
        TEST(a_long_name_or_value_unpacks),
        TEST(packed_members_keep_their_order),
        TEST(memory_goes_back_as_members_go),
        TEST(bytes_are_what_was_taken),
        TEST(a_copy_has_the_same_and_is_its_own),
        TEST(a_walk_sees_what_stays_while_the_table_changes),
        TEST(members_are_drawn_fairly),
        TEST(who_is_chosen_is_different_each_time),
        TEST(without_memory_all_is_as_it_was),
        TEST(a_copy_without_memory_leaves_nothing),
        TEST(removing_needs_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
