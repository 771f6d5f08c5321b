/* Names that belong to a key and share its hash slot. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fault_memory.h"

#define SLOTS 16384

/* A C string literal with its length, so that it may hold NUL. */
#define BYTES(literal) sc_bytes(literal, sizeof(literal) - 1)

static void the_checksum_is_crc16_xmodem(void **state)
{
    (void)state;
    assert_int_equal(sci_crc16(sc_text("123456789")), 0x31C3); /* the cluster specification's */
    assert_int_equal(sci_crc16(sc_text("")), 0);
}

static void slots_are_those_of_the_cluster(void **state)
{
    (void)state;
    /* Answers of CLUSTER KEYSLOT. */
    assert_int_equal(sci_hash_slot(sc_text("foo")), 12182);
    assert_int_equal(sci_hash_slot(sc_text("bar")), 5061);
    assert_int_equal(sci_hash_slot(sc_text("hello")), 866);
    assert_int_equal(sci_hash_slot(sc_text("somekey")), 11058);
    assert_int_equal(sci_hash_slot(sc_text("123456789")), 0x31C3 % SLOTS);
    assert_int_equal(sci_hash_slot(sc_text("")), 0);
}

static void only_the_first_tag_counts_and_an_empty_one_is_none(void **state)
{
    (void)state;
    /* The specification's examples, and what follows from its rule. */
    unsigned user1000 = sci_crc16(sc_text("user1000")) % SLOTS;
    assert_int_equal(sci_hash_slot(sc_text("{user1000}.following")), user1000);
    assert_int_equal(sci_hash_slot(sc_text("{user1000}.followers")), user1000);
    assert_int_equal(sci_hash_slot(sc_text("foo{}{bar}")),
                     sci_crc16(sc_text("foo{}{bar}")) % SLOTS);
    assert_int_equal(sci_hash_slot(sc_text("foo{{bar}}zap")), sci_crc16(sc_text("{bar")) % SLOTS);
    assert_int_equal(sci_hash_slot(sc_text("foo{bar}{zap}")), sci_crc16(sc_text("bar")) % SLOTS);
    assert_int_equal(sci_hash_slot(sc_text("a{b")), sci_crc16(sc_text("a{b")) % SLOTS);
    assert_int_equal(sci_hash_slot(sc_text("a}b{")), sci_crc16(sc_text("a}b{")) % SLOTS);
    assert_int_equal(sci_hash_slot(sc_text("a}b{c}")), sci_crc16(sc_text("c")) % SLOTS);
}

static sc_slice keys_of_every_kind(size_t index)
{
    static const char long_key[] =
        "a long key: 0123456789012345678901234567890123456789012345678901234567890123456789";
    const sc_slice keys[] = {
        BYTES("foo"),    BYTES(""),           BYTES("{"),          BYTES("}"),
        BYTES("{}"),     BYTES("}{"),         BYTES("{}x"),        BYTES("x{}"),
        BYTES("{a}"),    BYTES("x{a}y"),      BYTES("a{b"),        BYTES("a}b"),
        BYTES("a}b{"),   BYTES("a}b{c}"),     BYTES("foo{}{bar}"), BYTES("foo{{bar}}zap"),
        BYTES("{{"),     BYTES("}}"),         BYTES("{{}}"),       BYTES("{}}"),
        BYTES("{{}"),    BYTES("\0"),         BYTES("a\0b"),       BYTES("\0{\0}\0"),
        BYTES("\r\n"),   BYTES("\xff\xfe{}"), BYTES("{\xff}"),     BYTES("sc:lease{foo}"),
        BYTES(long_key), BYTES("#{1}foo"),    BYTES(":foo"),       BYTES("{foo}"),
    };
    return index < sizeof keys / sizeof keys[0] ? keys[index] : sc_bytes(NULL, SIZE_MAX);
}

static fault_memory memory;

static int setup(void **state)
{
    (void)state;
    fault_memory_init(&memory);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bool is_clean = fault_memory_is_clean(&memory);
    fault_memory_free(&memory);
    return is_clean ? 0 : -1;
}

static void expect_one_slot(sc_slice key)
{
    sci_names names;
    sci_names_init(&names, &memory.table);
    assert_int_equal(sci_names_derive(&names, key), SC_OK);
    assert_true(sci_slice_equal(names.value, key));
    assert_int_equal(sci_hash_slot(names.lease), sci_hash_slot(key));
    assert_int_equal(sci_hash_slot(names.result), sci_hash_slot(key));
    assert_int_equal(sci_hash_slot(names.channel), sci_hash_slot(key));
    assert_int_equal(names.raw_channel.len, 0);
    sci_names_free(&names);
}

static void every_name_shares_the_slot_of_its_key(void **state)
{
    (void)state;
    for (size_t i = 0; keys_of_every_kind(i).len != SIZE_MAX; i++)
        expect_one_slot(keys_of_every_kind(i));
}

/* Clients of every version must agree on the names. */
static void the_number_in_a_tag_is_the_smallest_of_its_slot(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 30; i++) {
        char key[8];
        char expected[48];
        sci_names names;
        unsigned number = 0;
        char digits[SCI_I64_TEXT_BYTES];
        snprintf(key, sizeof key, "%u}", i);
        while (sci_crc16(sc_bytes(digits, sci_i64_to_text(number, digits))) % SLOTS !=
               sci_hash_slot(sc_text(key)))
            number++;
        snprintf(expected, sizeof expected, "sc:lease#{%u}%s", number, key);
        sci_names_init(&names, &memory.table);
        assert_int_equal(sci_names_derive(&names, sc_text(key)), SC_OK);
        assert_true(sci_slice_equal(names.lease, sc_text(expected)));
        sci_names_free(&names);
    }
}

/* Every key of up to four bytes out of these: braces in all positions. */
static void every_arrangement_of_braces_shares_the_slot(void **state)
{
    (void)state;
    static const char letters[] = {'{', '}', 'a'};
    char key[4];
    for (unsigned number = 0; number < 81; number++) {
        unsigned left = number;
        for (size_t i = 0; i < sizeof key; i++, left /= 3)
            key[i] = letters[left % 3];
        for (size_t len = 1; len <= sizeof key; len++)
            expect_one_slot(sc_bytes(key, len));
    }
}

static void names_of_different_keys_and_kinds_differ(void **state)
{
    (void)state;
    enum { KEYS_MAX = 64 };
    sci_names names[KEYS_MAX];
    size_t count = 0;
    for (; keys_of_every_kind(count).len != SIZE_MAX; count++) {
        assert_true(count < KEYS_MAX);
        sci_names_init(&names[count], &memory.table);
        assert_int_equal(sci_names_derive(&names[count], keys_of_every_kind(count)), SC_OK);
    }
    for (size_t i = 0; i < count; i++) {
        assert_false(sci_slice_equal(names[i].lease, names[i].result));
        assert_false(sci_slice_equal(names[i].lease, names[i].channel));
        assert_false(sci_slice_equal(names[i].result, names[i].channel));
        for (size_t k = 0; k < i; k++) {
            assert_false(sci_slice_equal(names[i].lease, names[k].lease));
            assert_false(sci_slice_equal(names[i].lease, names[k].result));
            assert_false(sci_slice_equal(names[i].result, names[k].lease));
            assert_false(sci_slice_equal(names[i].result, names[k].result));
            assert_false(sci_slice_equal(names[i].channel, names[k].channel));
        }
    }
    for (size_t i = 0; i < count; i++)
        sci_names_free(&names[i]);
}

static void a_copy_of_names_stands_alone(void **state)
{
    (void)state;
    sci_names names;
    sci_names copy;
    sci_names_init(&names, &memory.table);
    sci_names_init(&copy, &memory.table);
    assert_int_equal(sci_names_derive(&names, sc_text("key")), SC_OK);
    assert_int_equal(sci_names_copy(&copy, &names), SC_OK);
    sci_names_free(&names);
    assert_memory_equal(copy.value.data, "key", 3);
    assert_int_equal(sci_hash_slot(copy.lease), sci_hash_slot(sc_text("key")));
    assert_int_equal(sci_hash_slot(copy.result), sci_hash_slot(sc_text("key")));
    assert_int_equal(sci_hash_slot(copy.channel), sci_hash_slot(sc_text("key")));
    assert_int_equal(copy.raw_channel.len, 0);
    sci_names_free(&copy);
}

static void names_of_any_kinds_follow_their_key_and_keep_the_bound(void **state)
{
    static const char *const kinds[] = {"sc:longest", "sc:b"};
    static const char *const keys[] = {"key", "{tag}key", "a}b", "{}", "{", "a{b}c"};
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(keys); i++) {
        sci_bytes block;
        sc_slice made[3];
        sc_slice key = sc_text(keys[i]);
        sci_bytes_init(&block, &memory.table);
        assert_int_equal(sci_names_build(&block, key, kinds, 2, made), SC_OK);
        assert_true(sci_slice_equal(made[0], key));
        for (size_t k = 1; k < 3; k++) {
            assert_memory_equal(made[k].data, kinds[k - 1], strlen(kinds[k - 1]));
            assert_int_equal(sci_hash_slot(made[k]), sci_hash_slot(key));
            assert_true(made[k].len < key.len + SCI_NAME_BYTES);
        }
        assert_ptr_equal(made[2].data + made[2].len, block.data + block.end);
        sci_bytes_free(&block);
    }
}

static void names_without_memory_say_so(void **state)
{
    (void)state;
    sc_status status = SC_ERR_MEMORY;
    for (size_t request = 1; status != SC_OK; request++) {
        sci_names names;
        sci_names_init(&names, &memory.table);
        fault_memory_fail(&memory, request, false);
        status = sci_names_derive(&names, sc_text("{}"));
        fault_memory_fail(&memory, 0, false);
        assert_true(status == SC_OK || status == SC_ERR_MEMORY);
        sci_names_free(&names);
    }
}

#define names_test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        names_test(the_checksum_is_crc16_xmodem),
        names_test(slots_are_those_of_the_cluster),
        names_test(only_the_first_tag_counts_and_an_empty_one_is_none),
        names_test(every_name_shares_the_slot_of_its_key),
        names_test(the_number_in_a_tag_is_the_smallest_of_its_slot),
        names_test(every_arrangement_of_braces_shares_the_slot),
        names_test(names_of_different_keys_and_kinds_differ),
        names_test(a_copy_of_names_stands_alone),
        names_test(names_of_any_kinds_follow_their_key_and_keep_the_bound),
        names_test(names_without_memory_say_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
