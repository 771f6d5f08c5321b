/* The sorted set: order, ranks, ranges, cursors, and the memory it takes. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fault_memory.h"

#define MEMBERS 3000
#define MEMBER_BYTES 400

/* What a set should hold: a score for each member that is there. */
typedef struct model_member {
    bool is_there;
    double score;
    size_t len;
    char bytes[MEMBER_BYTES];
} model_member;

static struct {
    fault_memory memory;
    sci_counted counted;
    sci_sorted *set;
    uint64_t random;
    model_member *model;
    const model_member **order; /* those that are there, in order */
    size_t count;
} test;

static const sci_hash_seed test_seed = {UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210)};

static uint64_t chance(void)
{
    test.random = test.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return test.random >> 33;
}

static size_t chance_below(size_t bound)
{
    return (size_t)chance() % bound;
}

/* Members have any bytes and lengths, the empty one and some very long ones included, and are all
   different. */
static void model_fill(void)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        model_member *member = &test.model[i];
        member->len = i % 50 == 49 ? 200 + i % 200 : i % 20;
        memset(member->bytes, (int)(i % 3 * 100), member->len);
        if (i > 0) {
            char number[16];
            int digits = snprintf(number, sizeof number, "%zu", i);
            memcpy(member->bytes + member->len / 2, number, (size_t)digits);
            if (member->len < member->len / 2 + (size_t)digits)
                member->len = member->len / 2 + (size_t)digits;
        }
    }
}

static int setup(void **state)
{
    (void)state;
    memset(&test, 0, sizeof test);
    fault_memory_init(&test.memory);
    sci_counted_init(&test.counted, &test.memory.table);
    test.random = 1;
    test.model = (model_member *)calloc(MEMBERS, sizeof *test.model);
    test.order = (const model_member **)calloc(MEMBERS, sizeof *test.order);
    test.set = sci_sorted_new(&test.counted.table, &test_seed);
    if (!test.model || !test.order || !test.set)
        return -1;
    model_fill();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fault_memory_fail(&test.memory, 0, false);
    sci_sorted_release(&test.counted.table, test.set);
    bool is_clean = fault_memory_is_clean(&test.memory) && test.counted.used == 0;
    fault_memory_free(&test.memory);
    free(test.model);
    free((void *)test.order);
    return is_clean ? 0 : -1;
}

/* --- The model */

static sc_slice bytes_of(const model_member *member)
{
    return sc_bytes(member->bytes, member->len);
}

static int compare_members(const void *a, const void *b)
{
    const model_member *left = *(const model_member *const *)a;
    const model_member *right = *(const model_member *const *)b;
    if (left->score < right->score)
        return -1;
    if (left->score > right->score)
        return 1;
    return sci_slice_compare(bytes_of(left), bytes_of(right));
}

static void model_sort(void)
{
    test.count = 0;
    for (size_t i = 0; i < MEMBERS; i++)
        if (test.model[i].is_there)
            test.order[test.count++] = &test.model[i];
    qsort((void *)test.order, test.count, sizeof *test.order, compare_members);
}

static void assert_is(sc_slice member, double score, const model_member *expected)
{
    assert_true(sci_slice_equal(member, bytes_of(expected)));
    assert_memory_equal(&score, &expected->score, sizeof score);
}

/* A node's keys are those below it: how many, and the first. */
static size_t assert_node_is_sound(const sci_sorted_tree_node *node, unsigned level)
{
    assert_true(node->count > 0 && node->count <= SCI_SORTED_TREE_KEYS);
    if (level == 0)
        return node->count;
    const sci_sorted_tree_inner *inner = (const sci_sorted_tree_inner *)(const void *)node;
    size_t sum = 0;
    for (size_t i = 0; i < node->count; i++) {
        const sci_sorted_tree_node *child = inner->children[i];
        assert_int_equal(inner->sizes[i], assert_node_is_sound(child, level - 1));
        assert_ptr_equal(node->keys[i].member, child->keys[0].member);
        assert_true(node->keys[i].score <= child->keys[0].score);
        assert_true(node->keys[i].score >= child->keys[0].score);
        if (i > 0)
            assert_true(child->count + inner->children[i - 1]->count > SCI_SORTED_TREE_JOINED);
        sum += inner->sizes[i];
    }
    return sum;
}

static void assert_index_is_sound(const sci_sorted_index *index, size_t members)
{
    size_t directory = (size_t)1 << index->depth, deepest = 0, count = 0;
    for (size_t i = 0, next; i < directory; i = next) {
        const sci_sorted_page *page = index->pages[i];
        next = i + ((size_t)1 << (index->depth - page->depth));
        for (size_t j = i; j < next; j++)
            assert_ptr_equal(index->pages[j], page);
        deepest += page->depth == index->depth;
        count += page->count;
    }
    assert_int_equal(deepest, index->deepest);
    assert_int_equal(count, members);
    assert_true(deepest > 0);
}

static void assert_set_is_sound(const sci_sorted *set)
{
    if (!set->full)
        return;
    size_t count = set->full->tree.count;
    if (count > 0)
        assert_int_equal(assert_node_is_sound(set->full->tree.root, set->full->tree.height), count);
    assert_index_is_sound(&set->full->index, count);
}

/* Both ways through. */
static void assert_set_is_as_modelled(const sci_sorted *set)
{
    sci_sorted_walk walk;
    sc_slice member;
    double score;
    model_sort();
    assert_set_is_sound(set);
    assert_int_equal(sci_sorted_count(set), test.count);
    sci_sorted_walk_begin(&walk, set, 0, false);
    for (size_t i = 0; i < test.count; i++) {
        assert_true(sci_sorted_walk_next(&walk, &member, &score));
        assert_is(member, score, test.order[i]);
    }
    assert_false(sci_sorted_walk_next(&walk, &member, &score));
    if (test.count == 0)
        return;
    sci_sorted_walk_begin(&walk, set, test.count - 1, true);
    for (size_t i = test.count; i-- > 0;) {
        assert_true(sci_sorted_walk_next(&walk, &member, &score));
        assert_is(member, score, test.order[i]);
    }
    assert_false(sci_sorted_walk_next(&walk, &member, &score));
}

static void assert_members_are_as_modelled(size_t limit)
{
    double score = 0;
    size_t rank = 0;
    model_sort();
    for (size_t i = 0; i < limit; i++) {
        model_member *member = &test.model[i];
        assert_true(sci_sorted_find(test.set, bytes_of(member), &score) == member->is_there);
        assert_true(sci_sorted_rank(test.set, bytes_of(member), &rank) == member->is_there);
        if (member->is_there) {
            assert_is(bytes_of(member), score, member);
            assert_ptr_equal(test.order[rank], member);
        }
    }
}

/* --- Changes to both */

static sc_status put(size_t number, double score)
{
    model_member *member = &test.model[number];
    sc_status status = sci_sorted_put(&test.counted.table, test.set, bytes_of(member), score);
    if (status == SC_OK) {
        member->is_there = true;
        member->score = score;
    }
    return status;
}

static void drop(size_t number)
{
    model_member *member = &test.model[number];
    assert_true(sci_sorted_remove(&test.counted.table, test.set, bytes_of(member)) ==
                member->is_there);
    member->is_there = false;
}

static void drop_ranks(size_t start, size_t end)
{
    model_sort();
    sci_sorted_remove_range(&test.counted.table, test.set, start, end);
    for (size_t i = start; i < end; i++)
        test.model[test.order[i] - test.model].is_there = false;
}

static void put_many(size_t limit)
{
    for (size_t i = 0; i < limit; i++)
        assert_int_equal(put(i, (double)chance_below(100)), SC_OK);
}

/* Few scores for many members now, many scores then; sometimes a zero that is negative. */
static double any_score(size_t spread)
{
    double score = (double)chance_below(spread) - (double)(spread / 2);
    return test.set->full && score >= 0 && score <= 0 && chance_below(2) ? -0.0 : score;
}

/* --- Tests */

static void change_by_chance(size_t limit, size_t spread, size_t steps, size_t removed_of_ten)
{
    for (size_t step = 0; step < steps; step++) {
        size_t number = chance_below(limit);
        if (chance_below(10) >= removed_of_ten)
            assert_int_equal(put(number, any_score(spread)), SC_OK);
        else
            drop(number);
    }
}

static void a_set_holds_what_a_naive_model_of_it_holds(void **state)
{
    static const struct {
        size_t limit, spread, steps;
    } phases[] = {{20, 5, 300}, {100, 1000, 1000}, {MEMBERS, 3, 8000}, {MEMBERS, 100000, 8000}};
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(phases); i++) {
        /* Growing, staying, and shrinking until little is left. */
        for (size_t removed = 2; removed < 10; removed += 3) {
            change_by_chance(phases[i].limit, phases[i].spread, phases[i].steps, removed);
            assert_set_is_as_modelled(test.set);
            assert_members_are_as_modelled(phases[i].limit);
        }
    }
}

static void a_set_can_be_emptied_and_filled_again(void **state)
{
    (void)state;
    for (size_t round = 0; round < 2; round++) {
        put_many(MEMBERS);
        for (size_t i = 0; i < MEMBERS; i++)
            drop(i);
        assert_set_is_as_modelled(test.set);
        assert_true(sci_sorted_bytes(test.set) < 4000);
    }
}

static void zero_can_become_negative(void **state)
{
    (void)state;
    put_many(MEMBERS);
    assert_int_equal(put(5, 0), SC_OK);
    assert_int_equal(put(5, -0.0), SC_OK);
    assert_set_is_as_modelled(test.set);
}

/* As in redis-server, which keeps whole numbers there as integers. */
static void zero_is_not_negative_in_a_small_set(void **state)
{
    (void)state;
    put_many(10);
    assert_int_equal(put(5, -0.0), SC_OK);
    test.model[5].score = 0;
    assert_set_is_as_modelled(test.set);
    sci_sorted_keep_signs(test.set, true);
    assert_int_equal(put(5, -0.0), SC_OK);
    assert_set_is_as_modelled(test.set);
    sci_sorted_keep_signs(test.set, false);
    test.model[5].score = 0;
    assert_set_is_as_modelled(test.set);
}

static void a_score_that_counts_up_moves_its_member(void **state)
{
    (void)state;
    put_many(MEMBERS);
    for (size_t step = 0; step < 3000; step++)
        assert_int_equal(put(step % 7, test.model[step % 7].score + 0.37), SC_OK);
    assert_set_is_as_modelled(test.set);
    assert_members_are_as_modelled(MEMBERS);
}

static void infinite_scores_are_at_the_ends(void **state)
{
    const double infinity = 1e308 * 10;
    (void)state;
    put_many(200);
    assert_int_equal(put(1, infinity), SC_OK);
    assert_int_equal(put(2, -infinity), SC_OK);
    size_t rank = 0;
    assert_true(sci_sorted_rank(test.set, bytes_of(&test.model[1]), &rank));
    assert_int_equal(rank, 199);
    assert_true(sci_sorted_rank(test.set, bytes_of(&test.model[2]), &rank));
    assert_int_equal(rank, 0);
}

static void ranks_are_removed_alone(void **state)
{
    (void)state;
    for (size_t limit = 100; limit <= MEMBERS; limit += MEMBERS - 100) {
        put_many(limit);
        model_sort();
        while (test.count > 0) {
            size_t start = chance_below(test.count + 1);
            size_t end = start + chance_below(test.count - start + 1);
            drop_ranks(start, start + (end - start) / 3 + (start < test.count));
            assert_set_is_as_modelled(test.set);
        }
    }
}

/* --- Ranges */

static bool is_in_range(const sci_sorted_range *range, const model_member *member)
{
    return !sci_sorted_is_below(range, member->score, bytes_of(member)) &&
           !sci_sorted_is_above(range, member->score, bytes_of(member));
}

static void assert_range_is_as_modelled(const sci_sorted_range *range)
{
    size_t start, end, first = 0, count = 0;
    sci_sorted_find_range(test.set, range, chance_below(2), &start, &end);
    for (size_t i = 0; i < test.count; i++) {
        if (is_in_range(range, test.order[i]))
            count++;
        else if (count == 0)
            first++;
    }
    assert_int_equal(end - start, count);
    if (count > 0)
        assert_int_equal(start, first);
}

static void a_range_of_scores_has_the_members_between(void **state)
{
    (void)state;
    for (size_t limit = 100; limit <= MEMBERS; limit += MEMBERS - 100) {
        put_many(limit);
        model_sort();
        for (size_t i = 0; i < 500; i++) {
            sci_sorted_range range;
            memset(&range, 0, sizeof range);
            range.least.score = (double)chance_below(110) - 5;
            range.most.score = (double)chance_below(110) - 5;
            range.least.is_exclusive = chance_below(2);
            range.most.is_exclusive = chance_below(2);
            assert_range_is_as_modelled(&range);
        }
    }
}

static sci_sorted_bound any_bytes(void)
{
    sci_sorted_bound bound;
    memset(&bound, 0, sizeof bound);
    bound.bytes = bytes_of(&test.model[chance_below(MEMBERS)]);
    bound.is_exclusive = chance_below(2);
    bound.infinite = chance_below(5) ? 0 : (int)chance_below(2) * 2 - 1;
    return bound;
}

static void a_range_of_bytes_has_the_members_between(void **state)
{
    (void)state;
    for (size_t limit = 100; limit <= MEMBERS; limit += MEMBERS - 100) {
        for (size_t i = 0; i < limit; i += 2)
            assert_int_equal(put(i, 7), SC_OK);
        model_sort();
        for (size_t i = 0; i < 500; i++) {
            sci_sorted_range range;
            range.is_by_bytes = true;
            range.least = any_bytes();
            range.most = any_bytes();
            assert_range_is_as_modelled(&range);
        }
    }
}

static void a_range_of_bytes_over_many_scores_is_in_bounds(void **state)
{
    (void)state;
    put_many(MEMBERS);
    for (size_t i = 0; i < 500; i++) {
        sci_sorted_range range;
        size_t start, end;
        range.is_by_bytes = true;
        range.least = any_bytes();
        range.most = any_bytes();
        sci_sorted_find_range(test.set, &range, chance_below(2), &start, &end);
        assert_true(start <= end && end <= MEMBERS);
    }
}

/* --- Cursors */

typedef struct scan_marks {
    bool is_seen[MEMBERS];
    size_t seen;
} scan_marks;

static void mark(void *user, sc_slice member, double score)
{
    scan_marks *marks = (scan_marks *)user;
    for (size_t i = 0; i < MEMBERS; i += 10) {
        if (sci_slice_equal(member, bytes_of(&test.model[i]))) {
            assert_is(member, score, &test.model[i]);
            marks->is_seen[i] = true;
        }
    }
    marks->seen++;
}

/* Every tenth member stays all the time; between the steps the others come, go, and all change
   their scores. */
static void scan_while(void (*change)(size_t step))
{
    scan_marks *marks = (scan_marks *)calloc(1, sizeof *marks);
    uint64_t cursor = 0;
    size_t step = 0;
    assert_non_null(marks);
    do {
        cursor = sci_sorted_scan(test.set, cursor, mark, marks);
        change(step++);
        assert_true(step < MEMBERS);
    } while (cursor != 0);
    for (size_t i = 0; i < MEMBERS; i += 10)
        assert_true(marks->is_seen[i]);
    assert_true(step > 1);
    free(marks);
}

static void add_more(size_t step)
{
    for (size_t i = step * 50; i < step * 50 + 50 && i < MEMBERS; i++)
        assert_int_equal(put(i, (double)chance_below(100)), SC_OK);
}

static void drop_most(size_t step)
{
    for (size_t i = step * 300; i < step * 300 + 300 && i < MEMBERS; i++)
        if (i % 10 != 0)
            drop(i);
}

static void add_and_drop(size_t step)
{
    for (size_t i = 0; i < MEMBERS; i++)
        if (step % 2 == 0)
            assert_int_equal(put(i, (double)chance_below(100)), SC_OK);
        else if (i % 10 != 0)
            drop(i);
}

static void a_scan_sees_all_that_stay_while_the_set_grows(void **state)
{
    (void)state;
    for (size_t i = 0; i < MEMBERS; i += 10)
        assert_int_equal(put(i, 0), SC_OK);
    scan_while(add_more);
}

static void a_scan_sees_all_that_stay_while_the_set_shrinks(void **state)
{
    (void)state;
    put_many(MEMBERS);
    scan_while(drop_most);
}

static void a_scan_sees_all_that_stay_while_the_set_grows_and_shrinks(void **state)
{
    (void)state;
    put_many(MEMBERS);
    scan_while(add_and_drop);
}

static void a_scan_of_a_set_at_rest_sees_each_member_once(void **state)
{
    (void)state;
    for (size_t limit = 50; limit <= MEMBERS; limit += MEMBERS - 50) {
        scan_marks *marks = (scan_marks *)calloc(1, sizeof *marks);
        uint64_t cursor = 0;
        assert_non_null(marks);
        put_many(limit);
        do
            cursor = sci_sorted_scan(test.set, cursor, mark, marks);
        while (cursor != 0);
        assert_int_equal(marks->seen, limit);
        free(marks);
    }
}

static void a_cursor_that_nobody_gave_ends_the_scan(void **state)
{
    scan_marks *marks = (scan_marks *)calloc(1, sizeof *marks);
    (void)state;
    assert_non_null(marks);
    put_many(MEMBERS);
    assert_int_equal(sci_sorted_scan(test.set, UINT64_MAX, mark, marks), 0);
    assert_int_equal(sci_sorted_scan(test.set, (uint64_t)1 << 40, mark, marks), 0);
    assert_int_equal(marks->seen, 0);
    free(marks);
}

/* --- Memory */

static void a_change_without_memory_leaves_all_as_it_was(void **state)
{
    size_t failures = 0;
    (void)state;
    for (size_t step = 0; step < 6000; step++) {
        fault_memory_fail(&test.memory, 1 + chance_below(6), chance_below(2));
        size_t number = chance_below(MEMBERS);
        if (chance_below(10) < 8)
            failures += put(number, any_score(1000)) == SC_ERR_MEMORY;
        else
            drop(number);
        fault_memory_fail(&test.memory, 0, false);
        if (step % 100 == 0)
            assert_set_is_as_modelled(test.set);
    }
    assert_set_is_as_modelled(test.set);
    assert_true(failures > 100);
}

static void every_allocation_of_a_copy_may_fail(void **state)
{
    (void)state;
    for (size_t limit = 100; limit <= 300; limit += 200) {
        put_many(limit);
        size_t at = 1;
        void *copy = NULL;
        for (; !copy; at++) {
            fault_memory_fail(&test.memory, at, false);
            copy = sci_sorted_copy(&test.counted.table, test.set);
        }
        fault_memory_fail(&test.memory, 0, false);
        assert_set_is_as_modelled((const sci_sorted *)copy);
        sci_sorted_release(&test.counted.table, copy);
        assert_true(at > 2);
    }
}

/* Gather `count` changes, of members that are there and of others. Those whose score would stay are
   left out. */
static sci_sorted *gather(size_t count, size_t limit)
{
    sci_sorted *changes = sci_sorted_new(&test.counted.table, &test_seed);
    assert_non_null(changes);
    sci_sorted_keep_signs(changes, true);
    while (sci_sorted_count(changes) < count) {
        size_t number = chance_below(limit);
        double score = (double)chance_below(1000) / 7;
        if (!test.model[number].is_there || test.model[number].score < score ||
            test.model[number].score > score)
            assert_int_equal(
                sci_sorted_put(&test.counted.table, changes, bytes_of(&test.model[number]), score),
                SC_OK);
    }
    return changes;
}

static void model_take(const sci_sorted *changes)
{
    for (size_t i = 0; i < MEMBERS; i++)
        if (sci_sorted_find(changes, bytes_of(&test.model[i]), &test.model[i].score))
            test.model[i].is_there = true;
}

static void put_all_with_failures(size_t members, size_t count, size_t limit)
{
    put_many(members);
    sci_sorted *changes = gather(count, limit);
    sc_status status = SC_ERR_MEMORY;
    for (size_t at = 1; status != SC_OK; at++) {
        fault_memory_fail(&test.memory, at, chance_below(2));
        status = sci_sorted_put_all(test.set, changes);
        fault_memory_fail(&test.memory, 0, false);
        assert_true(status == SC_OK || status == SC_ERR_MEMORY);
        if (status != SC_OK)
            assert_set_is_as_modelled(test.set);
    }
    model_take(changes);
    sci_sorted_release(&test.counted.table, changes);
    assert_set_is_as_modelled(test.set);
    assert_members_are_as_modelled(MEMBERS);
}

static void several_are_put_all_or_not_at_all(void **state)
{
    (void)state;
    put_all_with_failures(200, 150, 300);
    put_all_with_failures(1000, 50, 2000);
    put_all_with_failures(2000, 100, MEMBERS);
    put_all_with_failures(MEMBERS, 70, MEMBERS);
}

static void the_step_from_small_to_large_may_fail_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; sci_sorted_count(test.set) < SCI_SORTED_PACK_MEMBERS; i++)
        if (test.model[i].len <= SCI_SORTED_PACK_MEMBER_BYTES)
            assert_int_equal(put(i, (double)chance_below(100)), SC_OK);
    assert_true(sci_sorted_is_packed(test.set));
    size_t at = 1;
    for (;; at++) {
        fault_memory_fail(&test.memory, at, false);
        sc_status status = put(MEMBERS - 3, 3);
        fault_memory_fail(&test.memory, 0, false);
        assert_set_is_as_modelled(test.set);
        if (status == SC_OK)
            break;
    }
    assert_false(sci_sorted_is_packed(test.set));
    assert_true(at > SCI_SORTED_PACK_MEMBERS);
}

static void a_long_member_is_not_packed(void **state)
{
    (void)state;
    put_many(10);
    assert_true(sci_sorted_is_packed(test.set));
    assert_int_equal(put(49, 1), SC_OK);
    assert_false(sci_sorted_is_packed(test.set));
    assert_set_is_as_modelled(test.set);
}

static void what_a_set_says_it_takes_is_what_was_counted(void **state)
{
    (void)state;
    for (size_t round = 0; round < 6; round++) {
        change_by_chance(round ? MEMBERS : 90, 500, 2000, 2 + round);
        assert_int_equal(sci_sorted_bytes(test.set), test.counted.used);
    }
}

static double bytes_each(sci_sorted *set, size_t count)
{
    double bytes = (double)sci_sorted_bytes(set) / (double)count;
    sci_sorted_release(&test.counted.table, set);
    return bytes;
}

#define CROWD 100000

/* Members of 14 bytes, whose scores `next` gives. */
static double bytes_each_of_crowd(double (*next)(size_t i))
{
    sci_sorted *set = sci_sorted_new(&test.counted.table, &test_seed);
    assert_non_null(set);
    for (size_t i = 0; i < CROWD; i++) {
        char text[32];
        size_t len = (size_t)snprintf(text, sizeof text, "member:%07zu", i);
        assert_int_equal(sci_sorted_put(&test.counted.table, set, sc_bytes(text, len), next(i)),
                         SC_OK);
    }
    assert_set_is_sound(set);
    return bytes_each(set, CROWD);
}

static double score_by_chance(size_t i)
{
    (void)i;
    return (double)chance();
}

static double score_upwards(size_t i)
{
    return (double)i;
}

static double score_downwards(size_t i)
{
    return -(double)i;
}

/* redis-server 7.0 takes 110 bytes for each of a million such members. */
static void a_large_set_takes_little_more_than_its_members(void **state)
{
    (void)state;
    assert_true(bytes_each_of_crowd(score_by_chance) < 72);
    assert_true(bytes_each_of_crowd(score_upwards) < 64);
    assert_true(bytes_each_of_crowd(score_downwards) < 64);
}

static void a_small_set_takes_little_more_than_its_members(void **state)
{
    (void)state;
    sci_sorted *set = sci_sorted_new(&test.counted.table, &test_seed);
    assert_non_null(set);
    for (int i = 0; i < 100; i++) {
        char text[32];
        size_t len = (size_t)snprintf(text, sizeof text, "member:%07d", i);
        assert_int_equal(sci_sorted_put(&test.counted.table, set, sc_bytes(text, len), i), SC_OK);
    }
    assert_true(bytes_each(set, 100) < 30);
}

static void a_set_that_shrinks_gives_its_memory_back(void **state)
{
    (void)state;
    put_many(MEMBERS);
    for (size_t i = 0; i < MEMBERS; i++)
        if (i % 20 != 7)
            drop(i);
    assert_true(sci_sorted_bytes(test.set) / sci_sorted_count(test.set) < 200);
    assert_set_is_as_modelled(test.set);
}

/* --- As an object */

static void a_copy_is_the_same_and_a_set_of_its_own(void **state)
{
    (void)state;
    for (size_t limit = 100; limit <= MEMBERS; limit += MEMBERS - 100) {
        put_many(limit);
        sci_sorted *copy = (sci_sorted *)sci_sorted_copy(&test.counted.table, test.set);
        assert_non_null(copy);
        assert_set_is_as_modelled(copy);
        assert_int_equal(sci_sorted_put(&test.counted.table, copy, sc_text("another"), 1), SC_OK);
        assert_true(sci_sorted_remove(&test.counted.table, copy, bytes_of(&test.model[3])));
        sci_sorted_release(&test.counted.table, copy);
        assert_set_is_as_modelled(test.set);
    }
}

typedef struct loading_dump {
    sci_dump dump;
    sci_sorted *set;
    size_t commands;
    size_t most_words;
} loading_dump;

static sc_status load_command(sci_dump *dump, const sc_slice *argv, size_t argc)
{
    loading_dump *into = SCI_CONTAINER(dump, loading_dump, dump);
    assert_true(argc >= 4 && argc % 2 == 0);
    assert_true(sci_slice_equal(argv[0], sc_text("ZADD")));
    assert_true(sci_slice_equal(argv[1], sc_text("key")));
    for (size_t i = 2; i < argc; i += 2) {
        double score = 0;
        assert_true(sci_word_to_double(argv[i], &score));
        assert_int_equal(sci_sorted_put(&test.counted.table, into->set, argv[i + 1], score), SC_OK);
    }
    into->commands++;
    into->most_words = sci_max_size(into->most_words, argc);
    return into->commands == 40 ? SC_ERR_FULL : SC_OK;
}

static sc_status dump_and_load(loading_dump *into)
{
    memset(into, 0, sizeof *into);
    into->dump.command = load_command;
    into->set = sci_sorted_new(&test.counted.table, &test_seed);
    assert_non_null(into->set);
    return sci_sorted_dump(test.set, sc_text("key"), &into->dump);
}

static void a_dump_makes_the_same_set_in_small_pieces(void **state)
{
    (void)state;
    for (size_t limit = 10; limit <= 2000; limit += 1990) {
        loading_dump into;
        for (size_t i = 0; i < limit; i++)
            assert_int_equal(put(i, any_score(50) / 3), SC_OK);
        assert_int_equal(dump_and_load(&into), SC_OK);
        assert_set_is_as_modelled(into.set);
        assert_true(into.most_words <= 130);
        assert_int_equal(into.commands, (limit + 63) / 64);
        sci_sorted_release(&test.counted.table, into.set);
    }
}

static void a_dump_ends_where_its_taker_fails(void **state)
{
    loading_dump into;
    (void)state;
    put_many(MEMBERS);
    assert_int_equal(dump_and_load(&into), SC_ERR_FULL);
    assert_int_equal(into.commands, 40);
    sci_sorted_release(&test.counted.table, into.set);
}

#define sorted_test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        sorted_test(a_set_holds_what_a_naive_model_of_it_holds),
        sorted_test(a_set_can_be_emptied_and_filled_again),
        sorted_test(zero_can_become_negative),
        sorted_test(zero_is_not_negative_in_a_small_set),
        sorted_test(a_score_that_counts_up_moves_its_member),
        sorted_test(infinite_scores_are_at_the_ends),
        sorted_test(ranks_are_removed_alone),
        sorted_test(a_range_of_scores_has_the_members_between),
        sorted_test(a_range_of_bytes_has_the_members_between),
        sorted_test(a_range_of_bytes_over_many_scores_is_in_bounds),
        sorted_test(a_scan_sees_all_that_stay_while_the_set_grows),
        sorted_test(a_scan_sees_all_that_stay_while_the_set_shrinks),
        sorted_test(a_scan_sees_all_that_stay_while_the_set_grows_and_shrinks),
        sorted_test(a_scan_of_a_set_at_rest_sees_each_member_once),
        sorted_test(a_cursor_that_nobody_gave_ends_the_scan),
        sorted_test(a_change_without_memory_leaves_all_as_it_was),
        sorted_test(every_allocation_of_a_copy_may_fail),
        sorted_test(several_are_put_all_or_not_at_all),
        sorted_test(the_step_from_small_to_large_may_fail_anywhere),
        sorted_test(a_long_member_is_not_packed),
        sorted_test(what_a_set_says_it_takes_is_what_was_counted),
        sorted_test(a_large_set_takes_little_more_than_its_members),
        sorted_test(a_small_set_takes_little_more_than_its_members),
        sorted_test(a_set_that_shrinks_gives_its_memory_back),
        sorted_test(a_copy_is_the_same_and_a_set_of_its_own),
        sorted_test(a_dump_makes_the_same_set_in_small_pieces),
        sorted_test(a_dump_ends_where_its_taker_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
