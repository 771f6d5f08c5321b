/* The server's databases: entries, strings, expiry, walks, and the memory they count. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fault_memory.h"

#define KEYS 300
#define LONGEST 3000
#define STEPS 60000

/* What a database should hold: a string for each key that is there. */
typedef struct model_entry {
    bool is_there;
    size_t len;
    int64_t expiry_ms; /* -1: none */
    char bytes[LONGEST];
} model_entry;

static struct {
    fault_memory memory;
    sci_counted counted;
    sci_db db;
    uint64_t random;
    model_entry *model;
} test;

static const sci_hash_seed test_seed = {UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210)};

static int setup(void **state)
{
    (void)state;
    fault_memory_init(&test.memory);
    sci_counted_init(&test.counted, &test.memory.table);
    sci_db_init(&test.db, &test.counted.table, test_seed, 0);
    test.random = 1;
    test.model = (model_entry *)calloc(KEYS, sizeof *test.model);
    for (size_t i = 0; i < KEYS; i++)
        test.model[i].expiry_ms = -1;
    return test.model ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    fault_memory_fail(&test.memory, 0, false);
    sci_db_clear(&test.db);
    bool is_clean = fault_memory_is_clean(&test.memory) && test.counted.used == 0;
    fault_memory_free(&test.memory);
    free(test.model);
    return is_clean ? 0 : -1;
}

static uint64_t chance(void)
{
    test.random = test.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return test.random >> 33;
}

static size_t chance_below(size_t bound)
{
    return (size_t)chance() % bound;
}

/* Keys have any length from 0 on, and are all different. */
static sc_slice key_of(size_t number, char text[64])
{
    if (number == 0)
        return sc_bytes(text, 0);
    size_t len = (size_t)snprintf(text, 64, "key-%0*zu", (int)(number % 40), number);
    return sc_bytes(text, len);
}

static size_t any_length(void)
{
    static const size_t bounds[] = {4, 70, 520, LONGEST};
    return chance_below(bounds[chance_below(SCI_COUNT(bounds))]);
}

static void assert_entry_is_as_modelled(size_t number)
{
    char text[64];
    sc_slice key = key_of(number, text);
    const model_entry *expected = &test.model[number];
    sci_entry *entry = sci_db_find(&test.db, key);
    assert_true(expected->is_there == (entry != NULL));
    if (!entry)
        return;
    sc_slice value = sci_entry_string(entry);
    assert_true(sci_slice_equal(sci_entry_key(entry), key));
    assert_true(sci_slice_equal(value, sc_bytes(expected->bytes, expected->len)));
    assert_int_equal(sci_db_expiry_ms(&test.db, entry), expected->expiry_ms);
    assert_int_equal(entry->access, number);
    assert_int_equal(entry->type, SCI_STRING);
}

static void assert_all_is_as_modelled(void)
{
    size_t count = 0, expiring = 0;
    int64_t earliest = INT64_MAX;
    for (size_t i = 0; i < KEYS; i++) {
        assert_entry_is_as_modelled(i);
        count += test.model[i].is_there;
        if (test.model[i].is_there && test.model[i].expiry_ms >= 0) {
            expiring++;
            if (test.model[i].expiry_ms < earliest)
                earliest = test.model[i].expiry_ms;
        }
    }
    assert_int_equal(sci_db_count(&test.db), count);
    assert_int_equal(test.db.expiry_count, expiring);
    sci_entry *next = sci_db_next_to_expire(&test.db);
    assert_true((next != NULL) == (expiring > 0));
    if (next)
        assert_int_equal(sci_db_expiry_ms(&test.db, next), earliest);
}

static bool set_by_chance(size_t number)
{
    char text[64], bytes[LONGEST];
    model_entry *expected = &test.model[number];
    sc_slice key = key_of(number, text);
    sci_entry *entry = sci_db_find(&test.db, key);
    size_t len = any_length();
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)chance();
    sci_entry *set = sci_db_set_string(&test.db, entry, key, sc_bytes(bytes, len));
    if (!set)
        return false;
    set->access = (uint32_t)number;
    expected->is_there = true;
    expected->len = len;
    memcpy(expected->bytes, bytes, len);
    return true;
}

static bool resize_by_chance(size_t number)
{
    char text[64];
    model_entry *expected = &test.model[number];
    sc_slice key = key_of(number, text);
    sci_entry *entry = sci_db_find(&test.db, key);
    size_t old_len = expected->is_there ? expected->len : 0;
    size_t len = chance() % 4 ? old_len + chance_below(20) : any_length();
    if (len > LONGEST)
        len = LONGEST;
    char *bytes = sci_db_resize_string(&test.db, &entry, key, len);
    if (!bytes)
        return false;
    entry->access = (uint32_t)number;
    if (len > old_len)
        memset(expected->bytes + old_len, 0, len - old_len);
    expected->is_there = true;
    expected->len = len;
    if (len > 0) {
        size_t at = chance_below(len);
        expected->bytes[at] = bytes[at] = (char)chance();
    }
    return true;
}

static bool rename_by_chance(size_t number)
{
    char text[64], new_text[64];
    size_t to = chance_below(KEYS);
    sci_entry *entry = sci_db_find(&test.db, key_of(number, text));
    if (!entry || to == number)
        return true;
    sc_slice key = key_of(to, new_text);
    entry = sci_db_rename(&test.db, entry, key, sci_db_find(&test.db, key));
    if (!entry)
        return false;
    entry->access = (uint32_t)to;
    test.model[to] = test.model[number];
    test.model[number].is_there = false;
    test.model[number].expiry_ms = -1;
    return true;
}

/* Three strings at once, or none. */
static bool set_several_by_chance(void)
{
    sci_entry *prepared[3];
    size_t numbers[3];
    for (size_t i = 0; i < 3; i++) {
        char text[64];
        numbers[i] = chance_below(KEYS);
        sc_slice key = key_of(numbers[i], text);
        prepared[i] = sci_db_prepare_string(&test.db, key, key);
        if (prepared[i])
            continue;
        while (i > 0)
            sci_db_discard_string(&test.db, prepared[--i]);
        return false;
    }
    for (size_t i = 0; i < 3; i++) {
        model_entry *expected = &test.model[numbers[i]];
        sc_slice key = sci_entry_key(prepared[i]);
        sci_entry *entry = sci_db_find(&test.db, key);
        if (entry)
            sci_db_persist(&test.db, entry);
        sci_db_put_string(&test.db, entry, prepared[i]);
        prepared[i]->access = (uint32_t)numbers[i];
        expected->is_there = true;
        expected->expiry_ms = -1;
        expected->len = key.len;
        memcpy(expected->bytes, key.data, key.len);
    }
    return true;
}

static bool expire_by_chance(size_t number)
{
    char text[64];
    sci_entry *entry = sci_db_find(&test.db, key_of(number, text));
    if (!entry)
        return true;
    int64_t at_ms = (int64_t)chance_below(50);
    if (sci_db_expire_at(&test.db, entry, at_ms) != SC_OK)
        return false;
    test.model[number].expiry_ms = at_ms;
    return true;
}

static void remove_by_chance(size_t number)
{
    char text[64];
    sci_entry *entry = sci_db_find(&test.db, key_of(number, text));
    if (!entry)
        return;
    test.model[number].expiry_ms = -1;
    if (chance() % 4 == 0) {
        sci_db_persist(&test.db, entry);
        return;
    }
    sci_db_delete(&test.db, entry);
    test.model[number].is_there = false;
}

/* False when there was no memory. */
static bool change_by_chance(bool grows)
{
    size_t number = chance_below(KEYS);
    switch (chance_below(grows ? 7 : 10)) {
    case 0:
    case 1:
        return set_by_chance(number);
    case 2:
    case 3:
        return resize_by_chance(number);
    case 4:
        return rename_by_chance(number);
    case 5:
        return expire_by_chance(number);
    case 6:
        return set_several_by_chance();
    default:
        remove_by_chance(number);
        return true;
    }
}

static void a_database_holds_what_a_naive_model_of_it_holds(void **state)
{
    (void)state;
    for (size_t step = 0; step < STEPS; step++) {
        bool grows = step / 2000 % 2 == 0;
        assert_true(change_by_chance(grows));
        if (step % 500 == 0)
            assert_all_is_as_modelled();
        if (step % 7001 == 0)
            (void)sci_db_tidy(&test.db, 50);
    }
    assert_all_is_as_modelled();
}

static void a_change_without_memory_leaves_all_as_it_was(void **state)
{
    (void)state;
    size_t failures = 0;
    for (size_t step = 0; step < STEPS / 2; step++) {
        fault_memory_fail(&test.memory, 1 + chance_below(3), chance() % 2);
        bool is_changed = change_by_chance(step / 2000 % 2 == 0);
        failures += !is_changed;
        fault_memory_fail(&test.memory, 0, false);
        if (!is_changed)
            assert_non_null(strstr(sc_error_text(), "out of memory"));
        if (step % 200 == 0)
            assert_all_is_as_modelled();
    }
    assert_all_is_as_modelled();
    assert_true(failures > STEPS / 20);
}

/* --- many entries */

static sci_entry *put(size_t number)
{
    char text[64];
    size_t len = (size_t)snprintf(text, sizeof text, "%zu", number);
    sci_entry *entry = sci_db_set_string(&test.db, NULL, sc_bytes(text, len), sc_bytes(text, len));
    assert_non_null(entry);
    entry->access = (uint32_t)number;
    return entry;
}

static void drop(size_t number)
{
    char text[64];
    size_t len = (size_t)snprintf(text, sizeof text, "%zu", number);
    sci_entry *entry = sci_db_find(&test.db, sc_bytes(text, len));
    assert_non_null(entry);
    sci_db_delete(&test.db, entry);
}

static void add_bytes(void *user, sci_entry *entry)
{
    *(size_t *)user += sci_entry_bytes(entry);
}

/* What entries say that they take, and the arrays beside them. */
static size_t bytes_of_all(void)
{
    size_t bytes = 0;
    uint64_t cursor = 0;
    do
        cursor = sci_db_walk(&test.db, cursor, add_bytes, &bytes);
    while (cursor);
    for (size_t i = 0; i < 2; i++) {
        size_t count = test.db.tables[i].bucket_count;
        bytes += count ? sci_counted_block(count * sizeof(void *)) : 0;
    }
    if (test.db.expiry_cap)
        bytes += sci_counted_block(test.db.expiry_cap * sizeof(sci_expiry));
    return bytes;
}

static void what_entries_say_they_take_is_what_was_counted(void **state)
{
    (void)state;
    for (size_t step = 0; step < 5000; step++)
        assert_true(change_by_chance(true));
    while (sci_db_tidy(&test.db, 100))
        ;
    assert_int_equal(test.counted.used, bytes_of_all());
    assert_true(test.counted.peak >= test.counted.used);
}

#define CROWD 20000

static void no_array_is_larger_than_its_entries_need_for_long(void **state)
{
    (void)state;
    for (size_t i = 0; i < CROWD; i++)
        put(i);
    while (sci_db_tidy(&test.db, 100))
        ;
    assert_true(test.db.tables[0].bucket_count < CROWD * 2);
    assert_true(test.db.tables[0].bucket_count >= CROWD);
    for (size_t i = 0; i < CROWD - 10; i++)
        drop(i);
    while (sci_db_tidy(&test.db, 100))
        ;
    assert_true(test.db.tables[0].bucket_count <= 80);
    for (size_t i = CROWD - 10; i < CROWD; i++)
        drop(i);
    assert_int_equal(sci_db_count(&test.db), 0);
}

static void no_access_moves_more_than_a_few_entries(void **state)
{
    (void)state;
    size_t requests;
    for (size_t i = 0; i < CROWD; i++) {
        size_t moved = test.db.moved;
        bool was_resizing = test.db.tables[1].buckets != NULL;
        put(i);
        if (was_resizing && test.db.tables[1].buckets)
            assert_int_equal(test.db.moved, moved + 1);
    }
    /* An array that cannot grow makes lists longer. */
    requests = fault_memory_requests(&test.memory);
    while (sci_db_tidy(&test.db, 100))
        ;
    assert_int_equal(fault_memory_requests(&test.memory), requests);
}

typedef struct seen_entries {
    uint8_t times[CROWD];
} seen_entries;

static void see(void *user, sci_entry *entry)
{
    ((seen_entries *)user)->times[entry->access]++;
}

/* A walk of the first `kept` entries while others come or go, by `change` after each step. */
static void walk_while(size_t kept, void (*change)(size_t step))
{
    static seen_entries seen;
    uint64_t cursor = 0;
    size_t step = 0;
    memset(&seen, 0, sizeof seen);
    do {
        cursor = sci_db_walk(&test.db, cursor, see, &seen);
        change(step++);
    } while (cursor);
    for (size_t i = 0; i < kept; i++)
        assert_true(seen.times[i] > 0);
}

static void come(size_t step)
{
    for (size_t i = 0; i < 3; i++) {
        size_t number = 1000 + step * 3 + i;
        if (number < CROWD)
            put(number);
    }
}

static void go(size_t step)
{
    for (size_t i = 0; i < 3; i++) {
        size_t number = CROWD - 1 - (step * 3 + i);
        if (step * 3 + i < CROWD && number >= 500)
            drop(number);
    }
    (void)sci_db_tidy(&test.db, 5);
}

static void stay(size_t step)
{
    (void)step;
}

static void a_walk_sees_all_that_stay_while_the_table_grows(void **state)
{
    (void)state;
    for (size_t i = 0; i < 1000; i++)
        put(i);
    walk_while(1000, come);
    assert_true(sci_db_count(&test.db) > 4000);
}

static void a_walk_sees_all_that_stay_while_the_table_shrinks(void **state)
{
    (void)state;
    for (size_t i = 0; i < CROWD; i++)
        put(i);
    walk_while(500, go);
    assert_true(test.db.tables[0].bucket_count < CROWD);
}

static void a_walk_sees_all_in_any_state_of_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < 600; i++) {
        put(i);
        walk_while(i + 1, stay);
    }
}

static void a_walk_that_is_left_in_a_large_table_goes_on_in_a_small_one(void **state)
{
    (void)state;
    static seen_entries seen;
    for (size_t leaves = 1; leaves < 40; leaves += 3) {
        memset(&seen, 0, sizeof seen);
        for (size_t i = 0; i < 4000; i++)
            put(i);
        uint64_t cursor = 0;
        for (size_t i = 0; i < leaves * 100; i++)
            cursor = sci_db_walk(&test.db, cursor, see, &seen);
        for (size_t i = 20; i < 4000; i++)
            drop(i);
        (void)sci_db_tidy(&test.db, leaves * 10);
        while (cursor)
            cursor = sci_db_walk(&test.db, cursor, see, &seen);
        for (size_t i = 0; i < 20; i++)
            assert_true(seen.times[i] > 0);
        sci_db_clear(&test.db);
    }
}

static void every_entry_is_chosen_by_chance_about_as_often(void **state)
{
    (void)state;
    enum { FEW = 100, DRAWS = 100000 };
    size_t times[FEW] = {0};
    for (size_t i = 0; i < FEW; i++)
        put(i);
    for (size_t i = 0; i < DRAWS; i++)
        times[sci_db_random(&test.db, chance() << 32 ^ chance())->access]++;
    /* The standard deviation is 32. */
    for (size_t i = 0; i < FEW; i++)
        assert_in_range(times[i], DRAWS / FEW - 160, DRAWS / FEW + 160);
}

static void the_last_entry_of_a_large_table_is_found_by_chance(void **state)
{
    (void)state;
    assert_null(sci_db_random(&test.db, 1));
    for (size_t i = 0; i < CROWD; i++)
        put(i);
    while (sci_db_tidy(&test.db, 100))
        ;
    fault_memory_fail(&test.memory, 1, true);
    for (size_t i = 1; i < CROWD; i++)
        drop(i);
    assert_true(test.db.tables[0].bucket_count > CROWD);
    for (uint64_t i = 0; i < 20; i++)
        assert_int_equal(sci_db_random(&test.db, i)->access, 0);
}

static void entries_expire_in_the_order_of_their_times(void **state)
{
    (void)state;
    for (size_t i = 0; i < CROWD; i++)
        assert_int_equal(sci_db_expire_at(&test.db, put(i), (int64_t)chance_below(5000)), SC_OK);
    for (size_t i = 0; i < CROWD; i += 3)
        drop(i);
    int64_t last_ms = 0;
    for (sci_entry *entry; (entry = sci_db_next_to_expire(&test.db)) != NULL;) {
        int64_t at_ms = sci_db_expiry_ms(&test.db, entry);
        assert_true(at_ms >= last_ms);
        last_ms = at_ms;
        sci_db_delete(&test.db, entry);
    }
    assert_int_equal(sci_db_count(&test.db), 0);
    assert_true(test.db.expiry_cap < 100);
}

static void what_is_due_is_found_in_any_number_and_what_is_not_stays(void **state)
{
    (void)state;
    enum { DUE_MS = 2500 };
    size_t due = 0;
    for (size_t i = 0; i < CROWD; i++) {
        int64_t at_ms = (int64_t)chance_below(2 * DUE_MS);
        due += at_ms <= DUE_MS;
        assert_int_equal(sci_db_expire_at(&test.db, put(i), at_ms), SC_OK);
    }
    for (sci_entry *entry; (entry = sci_db_due(&test.db, DUE_MS)) != NULL; due--) {
        assert_true(sci_db_expiry_ms(&test.db, entry) <= DUE_MS);
        sci_db_delete(&test.db, entry);
    }
    assert_int_equal(due, 0);
    assert_true(sci_db_expiry_ms(&test.db, sci_db_next_to_expire(&test.db)) > DUE_MS);
}

/* --- strings */

static void a_value_may_lie_in_the_entry_that_it_is_set_to(void **state)
{
    (void)state;
    static const size_t lengths[] = {10, 200, 512, 513, 600, 3000};
    char bytes[3000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)('a' + i % 26);
    for (size_t i = 0; i < SCI_COUNT(lengths); i++) {
        for (size_t start = 0; start < lengths[i]; start += 7) {
            sc_slice key = sc_text("key");
            sci_entry *entry = sci_db_find(&test.db, key);
            entry = sci_db_set_string(&test.db, entry, key, sc_bytes(bytes, lengths[i]));
            sc_slice part = sci_entry_string(entry);
            part.data += start;
            part.len -= start;
            entry = sci_db_set_string(&test.db, entry, sci_entry_key(entry), part);
            assert_true(sci_slice_equal(sci_entry_string(entry),
                                        sc_bytes(bytes + start, lengths[i] - start)));
        }
    }
}

static void a_string_that_grows_by_small_pieces_is_copied_seldom(void **state)
{
    (void)state;
    sci_entry *entry = NULL;
    for (size_t len = 1; len <= 1000000; len += 10)
        assert_non_null(sci_db_resize_string(&test.db, &entry, sc_text("key"), len));
    assert_true(fault_memory_requests(&test.memory) < 100);
    assert_true(test.counted.used < 1600000);
}

static void a_number_that_gets_a_digit_mostly_needs_no_memory(void **state)
{
    (void)state;
    sc_slice key = sc_text("counter");
    sci_entry *entry = sci_db_set_string(&test.db, NULL, key, sc_text("9"));
    size_t requests = fault_memory_requests(&test.memory);
    entry = sci_db_set_string(&test.db, entry, key, sc_text("10"));
    entry = sci_db_set_string(&test.db, entry, key, sc_text("100"));
    assert_int_equal(fault_memory_requests(&test.memory), requests);
    assert_true(sci_slice_equal(sci_entry_string(entry), sc_text("100")));
}

static void a_key_or_string_whose_length_has_no_place_is_refused(void **state)
{
    (void)state;
    sci_entry *entry = NULL;
    size_t too_long = (size_t)1 << 31;
    assert_null(sci_db_resize_string(&test.db, &entry, sc_text("key"), too_long));
    assert_null(sci_db_set_string(&test.db, NULL, sc_text("key"), sc_bytes("", too_long)));
    assert_null(sci_db_set_string(&test.db, NULL, sc_bytes("", too_long), sc_text("value")));
    assert_non_null(strstr(sc_error_text(), "too long"));
    assert_int_equal(sci_db_count(&test.db), 0);
}

/* --- objects */

static sci_deque *list_of(const char *element)
{
    sci_deque *list = sci_deque_new(&test.counted.table);
    assert_non_null(list);
    assert_int_equal(sci_deque_push(list, SCI_DEQUE_BACK, sc_text(element)), SC_OK);
    return list;
}

static void an_object_takes_a_strings_place_and_a_string_an_objects(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 10, 400, 600};
    char bytes[600] = {0};
    sc_slice key = sc_text("key");
    for (size_t i = 0; i < SCI_COUNT(lengths); i++) {
        sc_slice value = sc_bytes(bytes, lengths[i]);
        sci_entry *entry = sci_db_find(&test.db, key);
        entry = sci_db_set_string(&test.db, entry, key, value);
        assert_int_equal(sci_db_expire_at(&test.db, entry, 5), SC_OK);
        sci_entry_replace_object(&test.db, entry, SCI_LIST, list_of("a"));
        assert_ptr_equal(sci_db_find(&test.db, key), entry);
        assert_int_equal(entry->type, SCI_LIST);
        assert_int_equal(sci_db_expiry_ms(&test.db, entry), 5);
        entry = sci_db_rename(&test.db, entry, sc_text("other key"), NULL);
        entry = sci_db_set_string(&test.db, entry, sc_text("other key"), value);
        assert_int_equal(entry->type, SCI_STRING);
        assert_true(sci_slice_equal(sci_entry_string(entry), value));
        assert_int_equal(test.counted.used, bytes_of_all());
    }
    sci_entry *list = sci_db_add(&test.db, key, SCI_LIST, list_of("b"));
    sci_db_delete(&test.db, list);
}

static void without_memory_for_its_entry_an_object_is_its_owners(void **state)
{
    (void)state;
    sci_deque *list = list_of("a");
    for (size_t request = 1; request <= 2; request++) {
        fault_memory_fail(&test.memory, request, true);
        assert_null(sci_db_add(&test.db, sc_text("key"), SCI_LIST, list));
    }
    sci_deque_release(&test.counted.table, list);
}

/* --- several databases */

static void an_entry_moves_to_another_database_with_its_expiry(void **state)
{
    (void)state;
    sci_db other;
    sci_db_init(&other, &test.counted.table, test_seed, 1);
    sci_entry *entry = put(1);
    sci_entry *lasting = put(2);
    assert_int_equal(sci_db_expire_at(&test.db, entry, 77), SC_OK);
    for (size_t request = 1; request <= 2; request++) {
        fault_memory_fail(&test.memory, request, true);
        assert_int_equal(sci_db_move(&test.db, entry, &other), SC_ERR_MEMORY);
        assert_ptr_equal(sci_db_find(&test.db, sc_text("1")), entry);
        assert_int_equal(sci_db_expiry_ms(&test.db, entry), 77);
    }
    fault_memory_fail(&test.memory, 0, false);
    assert_int_equal(sci_db_move(&test.db, entry, &other), SC_OK);
    assert_int_equal(sci_db_move(&test.db, lasting, &other), SC_OK);
    assert_int_equal(sci_db_count(&test.db), 0);
    assert_int_equal(test.db.expiry_count, 0);
    assert_ptr_equal(sci_db_find(&other, sc_text("1")), entry);
    assert_int_equal(sci_db_expiry_ms(&other, entry), 77);
    assert_int_equal(sci_db_expiry_ms(&other, lasting), -1);
    sci_db_clear(&other);
}

/* --- dumps */

typedef struct text_dump {
    sci_dump dump;
    char text[256];
} text_dump;

static sc_status put_command(sci_dump *dump, const sc_slice *argv, size_t argc)
{
    text_dump *into = SCI_CONTAINER(dump, text_dump, dump);
    for (size_t i = 0; i < argc; i++) {
        strncat(into->text, argv[i].data, argv[i].len);
        strcat(into->text, i + 1 < argc ? " " : "\n");
    }
    return SC_OK;
}

static void an_entry_is_dumped_as_the_commands_that_make_it(void **state)
{
    (void)state;
    text_dump into;
    into.text[0] = '\0';
    into.dump.command = put_command;
    sci_entry *entry = sci_db_set_string(&test.db, NULL, sc_text("k"), sc_text("v"));
    assert_int_equal(sci_entry_dump(&test.db, entry, &into.dump), SC_OK);
    assert_int_equal(sci_db_expire_at(&test.db, entry, 1700000000123), SC_OK);
    assert_int_equal(sci_entry_dump(&test.db, entry, &into.dump), SC_OK);
    entry = sci_db_add(&test.db, sc_text("l"), SCI_LIST, list_of("a"));
    assert_int_equal(sci_db_expire_at(&test.db, entry, 7), SC_OK);
    assert_int_equal(sci_entry_dump(&test.db, entry, &into.dump), SC_OK);
    assert_string_equal(into.text, "SET k v\nSET k v PXAT 1700000000123\nRPUSH l a\n"
                                   "PEXPIREAT l 7\n");
}

#define keyspace_test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        keyspace_test(a_database_holds_what_a_naive_model_of_it_holds),
        keyspace_test(a_change_without_memory_leaves_all_as_it_was),
        keyspace_test(what_entries_say_they_take_is_what_was_counted),
        keyspace_test(no_array_is_larger_than_its_entries_need_for_long),
        keyspace_test(no_access_moves_more_than_a_few_entries),
        keyspace_test(a_walk_sees_all_that_stay_while_the_table_grows),
        keyspace_test(a_walk_sees_all_that_stay_while_the_table_shrinks),
        keyspace_test(a_walk_sees_all_in_any_state_of_the_table),
        keyspace_test(a_walk_that_is_left_in_a_large_table_goes_on_in_a_small_one),
        keyspace_test(every_entry_is_chosen_by_chance_about_as_often),
        keyspace_test(the_last_entry_of_a_large_table_is_found_by_chance),
        keyspace_test(entries_expire_in_the_order_of_their_times),
        keyspace_test(what_is_due_is_found_in_any_number_and_what_is_not_stays),
        keyspace_test(a_value_may_lie_in_the_entry_that_it_is_set_to),
        keyspace_test(a_string_that_grows_by_small_pieces_is_copied_seldom),
        keyspace_test(a_number_that_gets_a_digit_mostly_needs_no_memory),
        keyspace_test(a_key_or_string_whose_length_has_no_place_is_refused),
        keyspace_test(an_object_takes_a_strings_place_and_a_string_an_objects),
        keyspace_test(without_memory_for_its_entry_an_object_is_its_owners),
        keyspace_test(an_entry_moves_to_another_database_with_its_expiry),
        keyspace_test(an_entry_is_dumped_as_the_commands_that_make_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
