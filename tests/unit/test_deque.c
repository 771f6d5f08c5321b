/* Lists in chunks: against an array of strings, with failing allocations, and in memory and time. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "fault_memory.h"
#include "resp_test.h"

/* --- the model: an array of texts */

#define MODEL_CAP 200000

typedef struct model {
    sc_slice *elements; /* owned, as their bytes are */
    size_t count;
} model;

static sc_slice model_copy(sc_slice element)
{
    char *copy = (char *)malloc(element.len + 1);
    assert_non_null(copy);
    if (element.len > 0)
        memcpy(copy, element.data, element.len);
    return sc_bytes(copy, element.len);
}

static void model_insert(model *model, size_t index, sc_slice element)
{
    assert_true(model->count < MODEL_CAP && index <= model->count);
    memmove(model->elements + index + 1, model->elements + index,
            (model->count - index) * sizeof *model->elements);
    model->elements[index] = model_copy(element);
    model->count++;
}

static void model_remove(model *model, size_t index)
{
    free((char *)(uintptr_t)model->elements[index].data);
    model->count--;
    memmove(model->elements + index, model->elements + index + 1,
            (model->count - index) * sizeof *model->elements);
}

static void model_free(model *model)
{
    while (model->count > 0)
        model_remove(model, model->count - 1);
    free(model->elements);
}

/* --- both side by side */

typedef struct pair {
    fault_memory memory;
    sci_deque *deque;
    model model;
    uint64_t seed;
    size_t failures;
} pair;

static void pair_init(pair *pair, uint64_t seed)
{
    memset(pair, 0, sizeof *pair);
    fault_memory_init(&pair->memory);
    pair->deque = sci_deque_new(&pair->memory.table);
    assert_non_null(pair->deque);
    pair->model.elements = (sc_slice *)malloc(MODEL_CAP * sizeof(sc_slice));
    assert_non_null(pair->model.elements);
    pair->seed = seed;
}

static void check_invariants(const sci_deque *deque)
{
    const sci_deque_chunk *row = sci_deque_chunks(deque);
    size_t count = 0;
    for (uint32_t i = 0; i < deque->chunk_count; i++) {
        assert_true(row[i].count > 0 && row[i].start < row[i].end && row[i].end <= row[i].cap);
        assert_true(row[i].count == 1 || row[i].end - row[i].start <= SCI_DEQUE_CHUNK_BYTES);
        count += row[i].count;
    }
    assert_int_equal(count, deque->count);
    assert_true(deque->chunk_cap == 0
                    ? deque->chunk_count <= 1
                    : deque->chunk_first + deque->chunk_count <= deque->chunk_cap);
}

static void check_deque(const sci_deque *deque, const model *model)
{
    sc_slice element;
    assert_int_equal(deque->count, model->count);
    check_invariants(deque);
    sci_deque_at at = sci_deque_seek(deque, 0);
    for (size_t i = 0; i < model->count; i++) {
        assert_true(sci_deque_next(deque, &at, &element));
        assert_true(sci_slice_equal(element, model->elements[i]));
    }
    assert_false(sci_deque_next(deque, &at, &element));
    for (size_t i = model->count; i > 0; i--) {
        assert_true(sci_deque_previous(deque, &at, &element));
        assert_true(sci_slice_equal(element, model->elements[i - 1]));
    }
    assert_false(sci_deque_previous(deque, &at, &element));
}

static void pair_free(pair *pair)
{
    check_deque(pair->deque, &pair->model);
    sci_deque_release(&pair->memory.table, pair->deque);
    model_free(&pair->model);
    assert_true(fault_memory_is_clean(&pair->memory));
    fault_memory_free(&pair->memory);
}

static size_t pair_random(pair *pair, size_t bound)
{
    return (size_t)(next_random(&pair->seed) % bound);
}

static sc_slice random_element(pair *pair)
{
    static char bytes[20000];
    static const size_t bounds[] = {4, 12, 12, 140, 300, 5000};
    size_t bound = bounds[pair_random(pair, SCI_COUNT(bounds))];
    if (pair_random(pair, 100) == 0)
        bound = sizeof bytes;
    size_t len = pair_random(pair, bound);
    for (size_t i = 0; i < len; i += 8)
        bytes[i] = (char)next_random(&pair->seed);
    return sc_bytes(bytes, len);
}

static sci_deque_side random_side(pair *pair)
{
    return pair_random(pair, 2) ? SCI_DEQUE_FRONT : SCI_DEQUE_BACK;
}

static size_t edge_index(const pair *pair, sci_deque_side side)
{
    return side == SCI_DEQUE_FRONT ? 0 : pair->model.count;
}

static void pair_push(pair *pair, sci_deque_side side, sc_slice element)
{
    if (sci_deque_push(pair->deque, side, element) == SC_OK)
        model_insert(&pair->model, edge_index(pair, side), element);
    else
        pair->failures++;
}

static void pair_rotate(pair *pair, sci_deque_side side)
{
    sci_deque_side other = side == SCI_DEQUE_FRONT ? SCI_DEQUE_BACK : SCI_DEQUE_FRONT;
    size_t len = sci_deque_peek(pair->deque, side).len;
    if (sci_deque_reserve(pair->deque, other, len) != SC_OK) {
        pair->failures++;
        return;
    }
    fault_memory_restart_counts(&pair->memory);
    assert_int_equal(sci_deque_push(pair->deque, other, sci_deque_peek(pair->deque, side)), SC_OK);
    assert_int_equal(fault_memory_requests(&pair->memory), 0);
    sci_deque_drop(pair->deque, side, 1);
    size_t from = side == SCI_DEQUE_FRONT ? 0 : pair->model.count - 1;
    sc_slice element = model_copy(pair->model.elements[from]);
    model_remove(&pair->model, from);
    model_insert(&pair->model, edge_index(pair, other), element);
    free((char *)(uintptr_t)element.data);
}

static void pair_drop(pair *pair, sci_deque_side side, size_t count)
{
    count = sci_min_size(count, pair->model.count);
    sci_deque_drop(pair->deque, side, count);
    for (size_t i = 0; i < count; i++)
        model_remove(&pair->model, side == SCI_DEQUE_FRONT ? 0 : pair->model.count - 1);
}

static void pair_insert(pair *pair)
{
    size_t index = pair_random(pair, pair->model.count + 1);
    sc_slice element = random_element(pair);
    sc_slice found;
    sci_deque_at at = sci_deque_seek(pair->deque, index);
    if (sci_deque_insert(pair->deque, &at, element) != SC_OK) {
        pair->failures++;
        return;
    }
    model_insert(&pair->model, index, element);
    assert_true(sci_deque_next(pair->deque, &at, &found));
    assert_true(sci_slice_equal(found, element));
    assert_int_equal(sci_deque_next(pair->deque, &at, &found), index + 1 < pair->model.count);
    if (index + 1 < pair->model.count)
        assert_true(sci_slice_equal(found, pair->model.elements[index + 1]));
}

static void pair_set(pair *pair)
{
    size_t index = pair_random(pair, pair->model.count);
    sc_slice element = random_element(pair);
    if (pair_random(pair, 3) == 0)
        element.len = sci_min_size(pair->model.elements[index].len, 20000);
    if (sci_deque_set(pair->deque, sci_deque_seek(pair->deque, index), element) != SC_OK) {
        pair->failures++;
        return;
    }
    model_remove(&pair->model, index);
    model_insert(&pair->model, index, element);
}

/* Some elements in a row, forwards or backwards. */
static void pair_remove(pair *pair)
{
    size_t index = pair_random(pair, pair->model.count);
    size_t count = 1 + pair_random(pair, 40);
    bool is_forwards = pair_random(pair, 2) == 0;
    sci_deque_at at = sci_deque_seek(pair->deque, index);
    sc_slice element;
    for (; count > 0 && index < pair->model.count; count--) {
        sci_deque_remove(pair->deque, &at);
        model_remove(&pair->model, index);
        if (is_forwards && count % 3 == 0 && index < pair->model.count) {
            assert_true(sci_deque_next(pair->deque, &at, &element));
            assert_true(sci_slice_equal(element, pair->model.elements[index]));
            index++;
        }
        if (!is_forwards) {
            if (index == 0)
                break;
            index--;
            assert_true(sci_deque_previous(pair->deque, &at, &element));
            assert_true(sci_slice_equal(element, pair->model.elements[index]));
        }
    }
    if (pair_random(pair, 2))
        sci_deque_tidy(pair->deque);
}

static void pair_copy(pair *pair)
{
    sci_deque *copy = (sci_deque *)sci_deque_copy(&pair->memory.table, pair->deque);
    if (!copy) {
        pair->failures++;
        return;
    }
    check_deque(copy, &pair->model);
    sci_deque *other = pair->deque;
    pair->deque = copy;
    sci_deque_release(&pair->memory.table, other);
}

static void pair_step(pair *pair)
{
    size_t count = pair->model.count;
    size_t what = pair_random(pair, 64);
    if (what < 32) {
        pair_push(pair, random_side(pair), random_element(pair));
    } else if (what < 44) {
        pair_insert(pair);
    } else if (what < 63 && count > 0) {
        if (what < 50)
            pair_set(pair);
        else if (what < 54)
            pair_rotate(pair, random_side(pair));
        else if (what < 58)
            pair_remove(pair);
        else
            pair_drop(pair, random_side(pair), 1 + pair_random(pair, what == 62 ? 200 : 5));
    } else if (pair_random(pair, 10) == 0) {
        pair_copy(pair);
    }
}

static void what_happens_to_a_list_happens_to_an_array(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        pair pair;
        pair_init(&pair, seed);
        for (int step = 0; step < 2500; step++) {
            pair_step(&pair);
            if (step % 16 == 0)
                check_deque(pair.deque, &pair.model);
            if (step % 700 == 699)
                pair_drop(&pair, random_side(&pair), pair.model.count - pair.model.count / 20);
        }
        assert_int_equal(pair.failures, 0);
        pair_free(&pair);
    }
}

static void without_memory_the_list_is_as_it_was(void **state)
{
    (void)state;
    size_t failures = 0;
    for (uint64_t seed = 100; seed < 108; seed++) {
        pair pair;
        pair_init(&pair, seed);
        for (int step = 0; step < 2500; step++) {
            fault_memory_fail(&pair.memory, 1 + pair_random(&pair, 3), pair_random(&pair, 4) == 0);
            pair_step(&pair);
            fault_memory_fail(&pair.memory, 0, false);
            if (step % 16 == 0)
                check_deque(pair.deque, &pair.model);
        }
        failures += pair.failures;
        pair_free(&pair);
    }
    assert_true(failures > 500);
}

/* --- ends and indexes */

static void numbered_push(pair *pair, sci_deque_side side, size_t number)
{
    char text[32];
    int len = snprintf(text, sizeof text, "element-%zu", number);
    pair_push(pair, side, sc_bytes(text, (size_t)len));
}

static void any_index_is_found(void **state)
{
    (void)state;
    pair pair;
    sc_slice element;
    pair_init(&pair, 1);
    for (size_t i = 0; i < 5000; i++)
        numbered_push(&pair, i % 3 ? SCI_DEQUE_BACK : SCI_DEQUE_FRONT, i);
    assert_true(pair.deque->chunk_count > 10);
    for (size_t i = 0; i < pair.model.count; i++) {
        sci_deque_at at = sci_deque_seek(pair.deque, i);
        assert_true(sci_deque_next(pair.deque, &at, &element));
        assert_true(sci_slice_equal(element, pair.model.elements[i]));
    }
    pair_free(&pair);
}

/* What a queue has let go does not stay. */
static void a_queue_takes_memory_for_what_it_holds(void **state)
{
    (void)state;
    for (int direction = 0; direction < 2; direction++) {
        pair pair;
        pair_init(&pair, 1);
        sci_deque_side in = direction ? SCI_DEQUE_FRONT : SCI_DEQUE_BACK;
        sci_deque_side out = direction ? SCI_DEQUE_BACK : SCI_DEQUE_FRONT;
        for (size_t i = 0; i < 50000; i++) {
            numbered_push(&pair, in, i);
            if (i >= 100)
                pair_drop(&pair, out, 1);
        }
        assert_true(fault_memory_live_bytes(&pair.memory) < 4 * SCI_DEQUE_CHUNK_BYTES);
        assert_int_equal(fault_memory_live_bytes(&pair.memory), sci_deque_bytes(pair.deque));
        pair_free(&pair);
    }
}

static void small_elements_take_two_bytes_more_than_their_own(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        pair pair;
        pair_init(&pair, 1);
        size_t own = 0;
        for (size_t i = 0; i < 20000; i++) {
            numbered_push(&pair, side ? SCI_DEQUE_BACK : SCI_DEQUE_FRONT, i);
            own += pair.model.elements[side ? i : 0].len;
        }
        size_t most = own + 2 * pair.model.count;
        assert_true(sci_deque_bytes(pair.deque) < most + most / 50);
        pair_drop(&pair, SCI_DEQUE_BACK, pair.model.count - 10);
        assert_true(sci_deque_bytes(pair.deque) < 2 * SCI_DEQUE_CHUNK_BYTES);
        pair_free(&pair);
    }
}

static void a_short_list_is_two_small_blocks(void **state)
{
    (void)state;
    pair pair;
    pair_init(&pair, 1);
    numbered_push(&pair, SCI_DEQUE_BACK, 1);
    assert_int_equal(fault_memory_live_blocks(&pair.memory), 2);
    assert_true(fault_memory_live_bytes(&pair.memory) <= sizeof(sci_deque) + 24);
    pair_free(&pair);
}

static void what_is_left_after_many_removals_is_joined(void **state)
{
    (void)state;
    pair pair;
    sc_slice element;
    pair_init(&pair, 1);
    for (size_t i = 0; i < 20000; i++)
        numbered_push(&pair, SCI_DEQUE_BACK, i);
    size_t bytes = sci_deque_bytes(pair.deque);
    sci_deque_at at = sci_deque_seek(pair.deque, 0);
    model kept = pair.model;
    size_t kept_count = 0;
    for (size_t i = 0; i < pair.model.count; i++) {
        if (i % 50 == 0) {
            assert_true(sci_deque_next(pair.deque, &at, &element));
            kept.elements[kept_count++] = pair.model.elements[i];
        } else {
            sci_deque_remove(pair.deque, &at);
            free((char *)(uintptr_t)pair.model.elements[i].data);
        }
    }
    pair.model.count = kept_count;
    sci_deque_tidy(pair.deque);
    assert_true(sci_deque_bytes(pair.deque) < bytes / 20);
    pair_free(&pair);
}

/* --- the dump */

typedef struct dumped {
    sci_dump dump;
    sci_deque *deque; /* made anew */
    size_t commands;
    size_t most_bytes;
    size_t fail_at;
} dumped;

static sc_status take_command(sci_dump *dump, const sc_slice *argv, size_t argc)
{
    dumped *to = SCI_CONTAINER(dump, dumped, dump);
    size_t bytes = 0;
    assert_true(argc > 2);
    assert_true(sci_slice_equal(argv[0], sc_text("RPUSH")));
    assert_true(sci_slice_equal(argv[1], sc_text("key")));
    if (++to->commands == to->fail_at)
        return SC_ERR_IO;
    for (size_t i = 2; i < argc; i++) {
        bytes += argv[i].len;
        assert_int_equal(sci_deque_push(to->deque, SCI_DEQUE_BACK, argv[i]), SC_OK);
    }
    to->most_bytes = sci_max_size(to->most_bytes, bytes);
    return SC_OK;
}

static void a_dump_makes_the_list_anew_in_pieces(void **state)
{
    (void)state;
    pair pair;
    dumped to;
    pair_init(&pair, 9);
    for (int i = 0; i < 1000; i++)
        pair_push(&pair, SCI_DEQUE_BACK, random_element(&pair));
    memset(&to, 0, sizeof to);
    to.dump.command = take_command;
    to.deque = sci_deque_new(&pair.memory.table);
    assert_non_null(to.deque);
    assert_int_equal(sci_deque_dump(pair.deque, sc_text("key"), &to.dump), SC_OK);
    check_deque(to.deque, &pair.model);
    assert_true(to.commands > 10 && to.most_bytes < 100000);
    to.fail_at = to.commands + 2;
    assert_int_equal(sci_deque_dump(pair.deque, sc_text("key"), &to.dump), SC_ERR_IO);
    assert_int_equal(to.commands, to.fail_at);
    sci_deque_release(&pair.memory.table, to.deque);
    pair_free(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_happens_to_a_list_happens_to_an_array),
        cmocka_unit_test(without_memory_the_list_is_as_it_was),
        cmocka_unit_test(any_index_is_found),
        cmocka_unit_test(a_queue_takes_memory_for_what_it_holds),
        cmocka_unit_test(small_elements_take_two_bytes_more_than_their_own),
        cmocka_unit_test(a_short_list_is_two_small_blocks),
        cmocka_unit_test(what_is_left_after_many_removals_is_joined),
        cmocka_unit_test(a_dump_makes_the_list_anew_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
