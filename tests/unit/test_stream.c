/* The server's streams: entries by id, packed in chunks. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fault_memory.h"

#define MOST_ENTRIES 4000
#define MOST_WORDS 12
#define LONGEST_WORD 3000
#define STEPS 20000

typedef struct model_word {
    char *bytes;
    size_t len;
} model_word;

typedef struct model_entry {
    sci_stream_id id;
    size_t word_count;
    model_word words[MOST_WORDS];
} model_entry;

static struct {
    fault_memory memory;
    sci_counted counted;
    sci_stream *stream;
    uint64_t random;
    model_entry *model;
    size_t count;
    sci_stream_id max_deleted_id;
    uint64_t added;
} test;

static int setup(void **state)
{
    (void)state;
    memset(&test, 0, sizeof test);
    fault_memory_init(&test.memory);
    sci_counted_init(&test.counted, &test.memory.table);
    test.stream = sci_stream_create(&test.counted.table);
    test.random = 1;
    test.model = (model_entry *)calloc(MOST_ENTRIES, sizeof *test.model);
    return test.stream && test.model ? 0 : -1;
}

static void model_remove(size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++)
        for (size_t k = 0; k < test.model[i].word_count; k++)
            free(test.model[i].words[k].bytes);
    memmove(test.model + first, test.model + first + count,
            (test.count - first - count) * sizeof *test.model);
    test.count -= count;
}

static int teardown(void **state)
{
    (void)state;
    fault_memory_fail(&test.memory, 0, false);
    sci_stream_free(test.stream);
    bool is_clean = fault_memory_is_clean(&test.memory) && test.counted.used == 0;
    fault_memory_free(&test.memory);
    model_remove(0, test.count);
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

/* --- Words and ids of all kinds */

static sc_slice integer_like(char *buffer)
{
    static const char *const odd[] = {"-0",
                                      "007",
                                      "+1",
                                      "-",
                                      "",
                                      "9223372036854775807",
                                      "-9223372036854775808",
                                      "9223372036854775808",
                                      "2305843009213693951",
                                      "2305843009213693952",
                                      "-2305843009213693951",
                                      "-2305843009213693952",
                                      "18446744073709551615",
                                      "1.5"};
    if (chance_below(4) == 0)
        return sc_text(odd[chance_below(SCI_COUNT(odd))]);
    int64_t number = (int64_t)(((chance() << 33) ^ chance()) >> chance_below(64));
    return sc_bytes(buffer, sci_i64_to_text(chance_below(2) ? number : -number, buffer));
}

static sc_slice any_word(char *buffer)
{
    static const size_t bounds[] = {8, 30, 70, LONGEST_WORD};
    if (chance_below(2))
        return integer_like(buffer);
    size_t which = chance_below(40);
    size_t len = chance_below(bounds[which < 37 ? which % 3 : 3]);
    for (size_t i = 0; i < len; i++)
        buffer[i] = (char)chance();
    return sc_bytes(buffer, len);
}

static sci_stream_id id_after(sci_stream_id id)
{
    switch (chance_below(4)) {
    case 0:
        return sci_stream_id_of(id.ms, id.seq + 1 + chance_below(3));
    case 1:
        return sci_stream_id_of(id.ms + 1 + chance_below(300), chance_below(1000));
    default:
        return sci_stream_id_of(id.ms + 1 + chance_below(3), 0);
    }
}

static sci_stream_id any_id(void)
{
    if (test.count == 0 || chance_below(8) == 0)
        return sci_stream_id_of(chance_below(1000), chance_below(3));
    sci_stream_id id = test.model[chance_below(test.count)].id;
    if (chance_below(3) == 0)
        id.seq += chance_below(3) - 1;
    return id;
}

/* --- Comparing */

static void assert_same_id(sci_stream_id a, sci_stream_id b)
{
    assert_int_equal(sci_stream_id_compare(a, b), 0);
}

static void assert_entry_is(sci_stream_cursor *cursor, const model_entry *entry)
{
    char text[SCI_I64_TEXT_BYTES];
    assert_same_id(cursor->place.id, entry->id);
    assert_int_equal(2 * cursor->place.fields, entry->word_count);
    for (size_t i = 0; i < entry->word_count; i++) {
        sc_slice word = sci_stream_word(cursor, text);
        assert_true(sci_slice_equal(word, sc_bytes(entry->words[i].bytes, entry->words[i].len)));
    }
}

static void assert_range_is_as_modelled(sci_stream_id from, sci_stream_id to, bool is_reverse)
{
    sci_stream_cursor cursor;
    sci_stream_seek(&cursor, test.stream, from, to, is_reverse);
    for (size_t i = 0; i < test.count; i++) {
        const model_entry *entry = &test.model[is_reverse ? test.count - 1 - i : i];
        if (sci_stream_id_compare(entry->id, from) < 0 || sci_stream_id_compare(entry->id, to) > 0)
            continue;
        assert_true(sci_stream_next(&cursor));
        assert_entry_is(&cursor, entry);
    }
    assert_false(sci_stream_next(&cursor));
}

static void assert_stream_is_as_modelled(void)
{
    const sci_stream *stream = test.stream;
    assert_int_equal(stream->length, test.count);
    assert_same_id(stream->first_id, test.count ? test.model[0].id : sci_stream_lowest);
    assert_same_id(sci_stream_top_id(stream),
                   test.count ? test.model[test.count - 1].id : sci_stream_lowest);
    assert_same_id(stream->max_deleted_id, test.max_deleted_id);
    assert_int_equal(stream->entries_added, test.added);
    assert_int_equal(sci_stream_bytes(stream), test.counted.used);
    assert_range_is_as_modelled(sci_stream_lowest, sci_stream_highest, chance_below(2));
}

/* --- Changes, each on the stream and on the model */

static sc_status append(const sci_stream_item *item)
{
    sc_status status = sci_stream_append(test.stream, item);
    if (status != SC_OK)
        return status;
    model_entry *entry = &test.model[test.count++];
    entry->id = item->id;
    entry->word_count = item->count;
    for (size_t i = 0; i < item->count; i++) {
        model_word *word = &entry->words[i];
        word->len = item->words[i].len;
        word->bytes = (char *)malloc(word->len + 1);
        assert_non_null(word->bytes);
        if (word->len)
            memcpy(word->bytes, item->words[i].data, word->len);
    }
    test.added++;
    return SC_OK;
}

/* Mostly with the fields of the entry before. */
static sc_status append_any(void)
{
    static char buffers[MOST_WORDS][LONGEST_WORD];
    sc_slice words[MOST_WORDS];
    sci_stream_item item = {id_after(test.stream->last_id), words, 0};
    const model_entry *last = test.count ? &test.model[test.count - 1] : NULL;
    bool is_sharing = last && chance_below(4);
    item.count = is_sharing ? last->word_count : 2 + 2 * chance_below(MOST_WORDS / 2);
    for (size_t i = 0; i < item.count; i++)
        words[i] = is_sharing && i % 2 == 0 ? sc_bytes(last->words[i].bytes, last->words[i].len)
                                            : any_word(buffers[i]);
    return append(&item);
}

static void append_small(sci_stream_id id)
{
    sc_slice words[] = {sc_text("field"), sc_text("value")};
    sci_stream_item item = {id, words, SCI_COUNT(words)};
    assert_int_equal(append(&item), SC_OK);
}

static void append_some(size_t count)
{
    for (size_t i = 0; i < count; i++)
        append_small(sci_stream_id_of(test.stream->last_id.ms + 1, 0));
}

static void delete_id(sci_stream_id id)
{
    size_t at = 0;
    while (at < test.count && sci_stream_id_compare(test.model[at].id, id) != 0)
        at++;
    assert_true(sci_stream_delete(test.stream, id) == (at < test.count));
    if (at == test.count)
        return;
    model_remove(at, 1);
    if (sci_stream_id_compare(id, test.max_deleted_id) > 0)
        test.max_deleted_id = id;
}

static sci_stream_trim to_length(uint64_t length)
{
    sci_stream_trim trim = {SCI_STREAM_MAXLEN, false, length, {0, 0}, 0};
    return trim;
}

static sci_stream_trim to_id(sci_stream_id id)
{
    sci_stream_trim trim = {SCI_STREAM_MINID, false, 0, id, 0};
    return trim;
}

static void cut(const sci_stream_trim *trim)
{
    size_t over = 0;
    if (trim->by == SCI_STREAM_MAXLEN)
        over = test.count > trim->max_length ? test.count - (size_t)trim->max_length : 0;
    else
        while (over < test.count && sci_stream_id_compare(test.model[over].id, trim->min_id) < 0)
            over++;
    uint64_t removed = sci_stream_cut(test.stream, trim);
    if (trim->is_approximate)
        assert_true(removed <= over);
    else
        assert_int_equal(removed, over);
    model_remove(0, (size_t)removed);
}

static void cut_any(void)
{
    sci_stream_trim trim =
        chance_below(2) ? to_id(any_id()) : to_length(chance_below(test.count + 2));
    trim.is_approximate = chance_below(2);
    cut(&trim);
}

static void change_any(size_t most)
{
    size_t which = chance_below(1000);
    if (which < 4 || test.count == most)
        cut_any();
    else if (which < 300)
        delete_id(any_id());
    else
        assert_int_equal(append_any(), SC_OK);
}

/* --- The tests */

static void a_stream_holds_what_a_naive_model_of_it_holds(void **state)
{
    (void)state;
    for (size_t step = 0; step < STEPS; step++) {
        change_any(step % 3000 < 1000 ? 20 : MOST_ENTRIES);
        if (step % 50 == 0)
            assert_stream_is_as_modelled();
    }
}

static void a_range_in_either_direction_is_as_the_model_says(void **state)
{
    (void)state;
    while (test.count < 800)
        change_any(MOST_ENTRIES);
    for (size_t i = 0; i < 2000; i++)
        assert_range_is_as_modelled(any_id(), any_id(), chance_below(2));
}

static void a_change_without_memory_leaves_all_as_it_was(void **state)
{
    (void)state;
    size_t refused = 0;
    for (size_t step = 0; step < 3000; step++) {
        uint64_t random = test.random;
        fault_memory_fail(&test.memory, 1 + chance_below(2), true);
        size_t count = test.count;
        sc_status status = chance_below(8) ? append_any() : SC_OK;
        if (status != SC_OK) {
            refused++;
            assert_int_equal(status, SC_ERR_MEMORY);
            assert_int_equal(test.count, count);
        } else if (test.count == count) {
            delete_id(any_id());
        }
        fault_memory_fail(&test.memory, 0, false);
        if (step % 20 == 0)
            assert_stream_is_as_modelled();
        test.random = random + step; /* the same step again, now and then */
    }
    assert_true(refused > 100);
    assert_stream_is_as_modelled();
}

static void entries_and_deletions_in_a_stream_without_memory_cut_well(void **state)
{
    (void)state;
    append_some(1000);
    fault_memory_fail(&test.memory, 1, true);
    sci_stream_trim trim = to_length(250);
    cut(&trim);
    while (test.count > 3)
        delete_id(any_id());
    assert_stream_is_as_modelled();
}

static void a_copy_is_the_same_and_stands_alone(void **state)
{
    (void)state;
    while (test.count < 500)
        change_any(MOST_ENTRIES);
    sci_stream *original = test.stream;
    size_t used = test.counted.used;
    for (size_t request = 1;; request++) {
        fault_memory_fail(&test.memory, request, true);
        test.stream = (sci_stream *)sci_stream_copy(&test.counted.table, original);
        fault_memory_fail(&test.memory, 0, false);
        if (test.stream)
            break;
        assert_int_equal(test.counted.used, used);
    }
    sci_stream_free(original);
    assert_stream_is_as_modelled();
    for (size_t step = 0; step < 500; step++)
        change_any(MOST_ENTRIES);
    assert_stream_is_as_modelled();
}

/* --- Dumps */

typedef struct replay {
    sci_dump dump;
    sci_stream *stream; /* into which */
    char text[1000];    /* the commands, a line each */
    size_t len;
} replay;

static sci_stream_id id_of(sc_slice text)
{
    char copy[SCI_STREAM_ID_TEXT_BYTES + 1];
    char *end;
    sci_stream_id id;
    assert_true(text.len < sizeof copy);
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    id.ms = strtoull(copy, &end, 10);
    assert_int_equal(*end, '-');
    id.seq = strtoull(end + 1, &end, 10);
    return id;
}

static sc_status replay_command(sci_dump *dump, const sc_slice *argv, size_t argc)
{
    replay *into = SCI_CONTAINER(dump, replay, dump);
    if (sci_slice_equal(argv[0], sc_text("XADD")) && argc > 3) {
        sci_stream_item item = {id_of(argv[2]), argv + 3, argc - 3};
        return sci_stream_append(into->stream, &item);
    }
    assert_int_equal(argc, 7);
    sci_stream_set_last_id(into->stream, id_of(argv[2]));
    into->stream->entries_added = strtoull(argv[4].data, NULL, 10);
    into->stream->max_deleted_id = id_of(argv[6]);
    return SC_OK;
}

static sc_status write_command(sci_dump *dump, const sc_slice *argv, size_t argc)
{
    replay *into = SCI_CONTAINER(dump, replay, dump);
    for (size_t i = 0; i < argc; i++)
        into->len +=
            (size_t)snprintf(into->text + into->len, sizeof into->text - into->len, "%.*s%c",
                             (int)argv[i].len, argv[i].data, i + 1 < argc ? ' ' : '\n');
    return SC_OK;
}

static void a_dump_makes_the_stream_anew(void **state)
{
    (void)state;
    while (test.count < 500)
        change_any(MOST_ENTRIES);
    delete_id(test.model[test.count - 1].id);
    replay into = {{replay_command}, sci_stream_create(&test.counted.table), "", 0};
    assert_int_equal(sci_stream_dump(test.stream, sc_text("key"), &into.dump), SC_OK);
    assert_same_id(into.stream->last_id, test.stream->last_id);
    sci_stream_free(test.stream);
    test.stream = into.stream;
    assert_stream_is_as_modelled();
}

static void a_dump_without_memory_says_so(void **state)
{
    (void)state;
    replay into = {{write_command}, NULL, "", 0};
    append_some(1);
    fault_memory_fail(&test.memory, 1, true);
    assert_int_equal(sci_stream_dump(test.stream, sc_text("key"), &into.dump), SC_ERR_MEMORY);
}

static void a_stream_is_dumped_as_the_commands_that_make_it(void **state)
{
    replay into = {{write_command}, NULL, "", 0};
    sc_slice words[] = {sc_text("f"), sc_text("1"), sc_text("g"), sc_text("two")};
    sci_stream_item item = {{5, 3}, words, SCI_COUNT(words)};
    (void)state;
    assert_int_equal(append(&item), SC_OK);
    item.id = sci_stream_id_of(6, 0);
    words[1] = sc_text("-3000000000");
    assert_int_equal(append(&item), SC_OK);
    item.id = sci_stream_id_of(7, 0);
    assert_int_equal(append(&item), SC_OK);
    delete_id(item.id);
    assert_int_equal(sci_stream_dump(test.stream, sc_text("key"), &into.dump), SC_OK);
    assert_string_equal(into.text, "XADD key 5-3 f 1 g two\n"
                                   "XADD key 6-0 f -3000000000 g two\n"
                                   "XSETID key 7-0 ENTRIESADDED 3 MAXDELETEDID 7-0\n");
}

static void a_last_id_that_was_set_back_is_dumped_too(void **state)
{
    replay into = {{write_command}, NULL, "", 0};
    (void)state;
    append_some(3);
    delete_id(sci_stream_id_of(3, 0));
    delete_id(sci_stream_id_of(2, 0));
    sci_stream_set_last_id(test.stream, sci_stream_id_of(1, 5));
    assert_int_equal(sci_stream_dump(test.stream, sc_text("key"), &into.dump), SC_OK);
    assert_string_equal(into.text, "XADD key 1-0 field value\n"
                                   "XSETID key 3-0 ENTRIESADDED 3 MAXDELETEDID 3-0\n"
                                   "XSETID key 1-5\n");
}

static void a_stream_without_an_entry_is_dumped_too(void **state)
{
    replay into = {{write_command}, NULL, "", 0};
    (void)state;
    append_some(2);
    sci_stream_trim trim = to_length(0);
    cut(&trim);
    assert_int_equal(sci_stream_dump(test.stream, sc_text("key"), &into.dump), SC_OK);
    assert_string_equal(into.text, "XADD key MAXLEN 0 0-1 x y\n"
                                   "XSETID key 2-0 ENTRIESADDED 2 MAXDELETEDID 0-0\n");
}

/* --- Trimming */

static void approximate_trimming_removes_whole_chunks(void **state)
{
    (void)state;
    append_some(250);
    sci_stream_trim trim = to_length(151);
    trim.is_approximate = true;
    assert_int_equal(sci_stream_cut(test.stream, &trim), 0);
    trim.max_length = 150;
    assert_int_equal(sci_stream_cut(test.stream, &trim), 100);
    trim = to_id(test.model[200].id);
    trim.is_approximate = true;
    assert_int_equal(sci_stream_cut(test.stream, &trim), 100);
    model_remove(0, 200);
    assert_stream_is_as_modelled();
}

static void trimming_stops_before_its_limit_is_passed(void **state)
{
    (void)state;
    append_some(450);
    sci_stream_trim trim = to_length(0);
    trim.is_approximate = true;
    trim.limit = 99;
    assert_int_equal(sci_stream_cut(test.stream, &trim), 0);
    trim.limit = 299;
    assert_int_equal(sci_stream_cut(test.stream, &trim), 200);
    model_remove(0, 200);
    assert_stream_is_as_modelled();
}

static void a_chunk_has_at_most_a_hundred_entries_those_deleted_included(void **state)
{
    (void)state;
    append_some(100);
    assert_int_equal(test.stream->count, 1);
    delete_id(test.model[99].id);
    append_some(1);
    assert_int_equal(test.stream->count, 2);
}

static void the_last_id_can_be_set_back_when_nothing_is_left(void **state)
{
    (void)state;
    append_small(sci_stream_id_of(5, 0));
    append_small(sci_stream_id_of(9, 0));
    delete_id(sci_stream_id_of(9, 0));
    sci_stream_trim trim = to_id(sci_stream_id_of(7, 0));
    cut(&trim); /* leaves an empty chunk */
    sci_stream_set_last_id(test.stream, sci_stream_id_of(1, 0));
    append_small(sci_stream_id_of(2, 0));
    delete_id(sci_stream_id_of(3, 0));
    assert_stream_is_as_modelled();
    delete_id(sci_stream_id_of(2, 0));
    assert_stream_is_as_modelled();
}

/* --- Room */

static void a_stream_that_was_emptied_gives_its_memory_back(void **state)
{
    (void)state;
    size_t empty = test.counted.used;
    append_some(3000);
    size_t full = test.counted.used;
    while (test.count > 100)
        delete_id(test.model[chance_below(test.count)].id);
    assert_true(test.counted.used < full / 4);
    while (test.count > 0)
        delete_id(test.model[0].id);
    assert_true(test.counted.used < empty + 200);
}

static void an_entry_with_the_same_fields_takes_a_few_bytes_besides_its_values(void **state)
{
    (void)state;
    append_some(100);
    size_t before = test.counted.used;
    append_some(2000);
    assert_true((test.counted.used - before) / 2000 < sizeof "value" + 6);
}

static void an_entry_that_is_too_large_is_refused(void **state)
{
    char byte = 'x';
    sc_slice words[] = {sc_bytes(&byte, (size_t)1 << 30), sc_bytes(&byte, 1)};
    sci_stream_item item = {{1, 0}, words, SCI_COUNT(words)};
    (void)state;
    assert_int_equal(sci_stream_append(test.stream, &item), SC_ERR_LIMIT);
    assert_stream_is_as_modelled();
}

static void ids_up_to_the_highest_are_kept(void **state)
{
    (void)state;
    append_small(sci_stream_id_of(0, 1));
    append_small(sci_stream_id_of(0, UINT64_MAX));
    append_small(sci_stream_id_of(UINT64_MAX, 0));
    append_small(sci_stream_highest);
    assert_range_is_as_modelled(sci_stream_lowest, sci_stream_highest, false);
    assert_range_is_as_modelled(sci_stream_id_of(0, 2), sci_stream_id_of(UINT64_MAX, 0), true);
}

#define stream_test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        stream_test(a_stream_holds_what_a_naive_model_of_it_holds),
        stream_test(a_range_in_either_direction_is_as_the_model_says),
        stream_test(a_change_without_memory_leaves_all_as_it_was),
        stream_test(entries_and_deletions_in_a_stream_without_memory_cut_well),
        stream_test(a_copy_is_the_same_and_stands_alone),
        stream_test(a_dump_makes_the_stream_anew),
        stream_test(a_dump_without_memory_says_so),
        stream_test(a_stream_is_dumped_as_the_commands_that_make_it),
        stream_test(a_last_id_that_was_set_back_is_dumped_too),
        stream_test(a_stream_without_an_entry_is_dumped_too),
        stream_test(approximate_trimming_removes_whole_chunks),
        stream_test(trimming_stops_before_its_limit_is_passed),
        stream_test(a_chunk_has_at_most_a_hundred_entries_those_deleted_included),
        stream_test(the_last_id_can_be_set_back_when_nothing_is_left),
        stream_test(a_stream_that_was_emptied_gives_its_memory_back),
        stream_test(an_entry_with_the_same_fields_takes_a_few_bytes_besides_its_values),
        stream_test(an_entry_that_is_too_large_is_refused),
        stream_test(ids_up_to_the_highest_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
