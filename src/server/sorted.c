/* The sorted set: packed while it is small, else a tree by order and an index by bytes. */

#include "server/sorted.h"
#include "server/command.h"
#include "server/sorted_pack.h"

struct sci_sorted {
    const sci_hash_seed *seed;
    sci_sorted_full *full; /* owned; NULL: all is in `packed` */
    sci_sorted_pack packed;
};

SCI_PRIVATE sci_sorted *sci_sorted_new(const sc_memory *memory, const sci_hash_seed *seed)
{
    sci_sorted *set = (sci_sorted *)sci_alloc_zeroed(memory, sizeof *set);
    if (set)
        set->seed = seed;
    return set;
}

SCI_PRIVATE void sci_sorted_keep_signs(sci_sorted *set, bool keeps)
{
    set->packed.has_negative_zeros = keeps;
    if (!keeps && !set->full)
        sci_sorted_pack_drop_signs(&set->packed);
}

SCI_PRIVATE void sci_sorted_expect(sci_sorted *set, size_t count)
{
    set->packed.has_negative_zeros = count > SCI_SORTED_PACK_MEMBERS;
}

SCI_PRIVATE size_t sci_sorted_count(const sci_sorted *set)
{
    return set->full ? set->full->tree.count : set->packed.count;
}

SCI_PRIVATE bool sci_sorted_is_packed(const sci_sorted *set)
{
    return !set->full;
}

/* Add the members of another set. */
static sc_status sci_sorted_full_fill(sci_sorted_full *full, const sci_sorted *from)
{
    sci_sorted_walk walk;
    sc_slice member;
    double score;
    sci_sorted_walk_begin(&walk, from, 0, false);
    while (sci_sorted_walk_next(&walk, &member, &score))
        if (sci_sorted_full_put(full, member, score) != SC_OK)
            return SC_ERR_MEMORY;
    return SC_OK;
}

/* A full set with the members of another; NULL: no memory. */
static sci_sorted_full *sci_sorted_full_of(const sc_memory *memory, const sci_sorted *from)
{
    sci_sorted_full *full = sci_sorted_full_new(memory, from->seed);
    if (full && sci_sorted_full_fill(full, from) != SC_OK) {
        sci_sorted_full_free(full);
        return NULL;
    }
    return full;
}

/* --- One by one */

SCI_PRIVATE bool sci_sorted_find(const sci_sorted *set, sc_slice member, double *score)
{
    if (!set->full) {
        size_t offset = sci_sorted_pack_find(&set->packed, member);
        return sci_sorted_pack_next(&set->packed, &offset, &member, score);
    }
    const sci_sorted_member *found = sci_sorted_full_find(set->full, member);
    if (found)
        *score = found->score;
    return found != NULL;
}

SCI_PRIVATE bool sci_sorted_rank(const sci_sorted *set, sc_slice member, size_t *rank)
{
    if (!set->full) {
        size_t offset = sci_sorted_pack_find(&set->packed, member);
        *rank = sci_sorted_pack_rank_of(&set->packed, offset);
        return offset < set->packed.len;
    }
    sci_sorted_member *found = sci_sorted_full_find(set->full, member);
    if (!found)
        return false;
    sci_rank_key key = sci_sorted_member_key(found);
    *rank = sci_sorted_tree_rank_of(&set->full->tree, &key);
    return true;
}

SCI_PRIVATE sc_status sci_sorted_put(const sc_memory *memory, sci_sorted *set, sc_slice member,
                                     double score)
{
    if (!set->full) {
        size_t offset = sci_sorted_pack_find(&set->packed, member);
        if (offset < set->packed.len) {
            sci_sorted_pack_set_score(&set->packed, offset, score);
            return SC_OK;
        }
        if (member.len <= SCI_SORTED_PACK_MEMBER_BYTES &&
            set->packed.count < SCI_SORTED_PACK_MEMBERS)
            return sci_sorted_pack_insert(memory, &set->packed, member, score);
        sci_sorted_full *full = sci_sorted_full_of(memory, set);
        if (!full)
            return SC_ERR_MEMORY;
        sci_sorted_pack_free(memory, &set->packed);
        set->full = full;
    }
    return sci_sorted_full_put(set->full, member, score);
}

/* --- Several at once */

SCI_PRIVATE sc_status sci_sorted_put_all(sci_sorted *set, const sci_sorted *changes)
{
    sci_sorted_walk walk;
    sc_slice member;
    double score;
    size_t prepared = 0;
    sc_status status = SC_OK;
    sci_assert(set->full);
    sci_sorted_walk_begin(&walk, changes, 0, false);
    while (status == SC_OK && sci_sorted_walk_next(&walk, &member, &score)) {
        status = sci_sorted_full_prepare(set->full, member, score);
        prepared += status == SC_OK;
    }
    sci_sorted_walk_begin(&walk, changes, 0, false);
    for (; prepared > 0 && sci_sorted_walk_next(&walk, &member, &score); prepared--) {
        if (status == SC_OK)
            sci_sorted_full_finish(set->full, member, score);
        else
            sci_sorted_full_undo(set->full, member, score);
    }
    return status;
}

SCI_PRIVATE void sci_sorted_swap(sci_sorted *a, sci_sorted *b)
{
    sci_sorted held = *a;
    *a = *b;
    *b = held;
}

/* --- Removing */

SCI_PRIVATE bool sci_sorted_remove(const sc_memory *memory, sci_sorted *set, sc_slice member)
{
    if (!set->full) {
        size_t start = sci_sorted_pack_find(&set->packed, member), end = start;
        double score;
        if (!sci_sorted_pack_next(&set->packed, &end, &member, &score))
            return false;
        sci_sorted_pack_cut(memory, &set->packed, start, end);
        return true;
    }
    sci_sorted_member *found = sci_sorted_full_find(set->full, member);
    if (found)
        sci_sorted_full_remove(set->full, found);
    return found != NULL;
}

SCI_PRIVATE void sci_sorted_remove_range(const sc_memory *memory, sci_sorted *set, size_t start,
                                         size_t end)
{
    if (!set->full) {
        size_t start_offset = sci_sorted_pack_offset_of(&set->packed, start);
        size_t end_offset = sci_sorted_pack_offset_of(&set->packed, end);
        sci_sorted_pack_cut(memory, &set->packed, start_offset, end_offset);
        return;
    }
    for (; start < end; end--) {
        sci_sorted_tree_at at = sci_sorted_tree_seek(&set->full->tree, start);
        sci_sorted_full_remove(set->full, sci_sorted_tree_next(&at)->member);
    }
}

/* --- One after the other */

SCI_PRIVATE void sci_sorted_walk_begin(sci_sorted_walk *walk, const sci_sorted *set, size_t rank,
                                       bool is_backward)
{
    size_t place = is_backward ? rank + 1 : rank;
    memset(walk, 0, sizeof *walk);
    walk->set = set;
    walk->is_backward = is_backward;
    if (set->full)
        walk->at = sci_sorted_tree_seek(&set->full->tree, place);
    else
        walk->offset = sci_sorted_pack_offset_of(&set->packed, place);
}

SCI_PRIVATE bool sci_sorted_walk_next(sci_sorted_walk *walk, sc_slice *member, double *score)
{
    const sci_sorted *set = walk->set;
    if (!set->full)
        return walk->is_backward
                   ? sci_sorted_pack_previous(&set->packed, &walk->offset, member, score)
                   : sci_sorted_pack_next(&set->packed, &walk->offset, member, score);
    const sci_rank_key *key =
        walk->is_backward ? sci_sorted_tree_previous(&walk->at) : sci_sorted_tree_next(&walk->at);
    if (!key)
        return false;
    *member = sci_sorted_member_bytes(key->member);
    *score = key->member->score;
    return true;
}

typedef struct sci_sorted_visitor {
    sci_sorted_visit *visit;
    void *user;
} sci_sorted_visitor;

static void sci_sorted_visit_member(void *user, const sci_sorted_member *member)
{
    const sci_sorted_visitor *visitor = (const sci_sorted_visitor *)user;
    visitor->visit(visitor->user, sci_sorted_member_bytes(member), member->score);
}

SCI_PRIVATE uint64_t sci_sorted_scan(const sci_sorted *set, uint64_t cursor,
                                     sci_sorted_visit *visit, void *user)
{
    if (set->full) {
        sci_sorted_visitor visitor;
        visitor.visit = visit;
        visitor.user = user;
        return sci_sorted_index_walk(&set->full->index, cursor, sci_sorted_visit_member, &visitor);
    }
    size_t offset = 0;
    sc_slice member;
    double score;
    while (sci_sorted_pack_next(&set->packed, &offset, &member, &score))
        visit(user, member, score);
    return 0;
}

/* --- Ranges */

typedef bool sci_sorted_outside(const sci_sorted_range *range, double score, sc_slice member);

static bool sci_sorted_is_below(const sci_sorted_range *range, double score, sc_slice member)
{
    const sci_sorted_bound *least = &range->least;
    if (!range->is_by_bytes)
        return score < least->score || (least->is_exclusive && score <= least->score);
    if (least->infinite != 0)
        return least->infinite > 0;
    int order = sci_slice_compare(member, least->bytes);
    return order < 0 || (least->is_exclusive && order == 0);
}

static bool sci_sorted_is_above(const sci_sorted_range *range, double score, sc_slice member)
{
    const sci_sorted_bound *most = &range->most;
    if (!range->is_by_bytes)
        return score > most->score || (most->is_exclusive && score >= most->score);
    if (most->infinite != 0)
        return most->infinite < 0;
    int order = sci_slice_compare(member, most->bytes);
    return order > 0 || (most->is_exclusive && order == 0);
}

static bool sci_sorted_key_is_below(const void *user, const sci_rank_key *key)
{
    return sci_sorted_is_below((const sci_sorted_range *)user, key->score,
                               sci_sorted_member_bytes(key->member));
}

static bool sci_sorted_key_is_not_above(const void *user, const sci_rank_key *key)
{
    return !sci_sorted_is_above((const sci_sorted_range *)user, key->score,
                                sci_sorted_member_bytes(key->member));
}

/* From one end: pass over those that are outside, then count those that are not. */
static void sci_sorted_pack_find_range(const sci_sorted *set, const sci_sorted_range *range,
                                       bool is_backward, size_t *start, size_t *end)
{
    sci_sorted_outside *before = is_backward ? sci_sorted_is_above : sci_sorted_is_below;
    sci_sorted_outside *after = is_backward ? sci_sorted_is_below : sci_sorted_is_above;
    sci_sorted_walk walk;
    sc_slice member;
    double score;
    size_t count = set->packed.count, passed = 0, taken = 0;
    *start = 0;
    *end = 0;
    sci_sorted_walk_begin(&walk, set, is_backward ? 0 : count - 1, !is_backward);
    if (!sci_sorted_walk_next(&walk, &member, &score) || before(range, score, member))
        return;
    sci_sorted_walk_begin(&walk, set, is_backward ? count - 1 : 0, is_backward);
    while (sci_sorted_walk_next(&walk, &member, &score)) {
        if (taken == 0 && before(range, score, member))
            passed++;
        else if (after(range, score, member))
            break;
        else
            taken++;
    }
    *start = is_backward ? count - passed - taken : passed;
    *end = *start + taken;
}

SCI_PRIVATE void sci_sorted_find_range(const sci_sorted *set, const sci_sorted_range *range,
                                       bool is_backward, size_t *start, size_t *end)
{
    if (!set->full) {
        sci_sorted_pack_find_range(set, range, is_backward, start, end);
        return;
    }
    *start = sci_sorted_tree_rank(&set->full->tree, sci_sorted_key_is_below, range);
    *end = sci_sorted_tree_rank(&set->full->tree, sci_sorted_key_is_not_above, range);
    *end = sci_max_size(*start, *end);
}

/* --- As an object of a database */

SCI_PRIVATE void sci_sorted_release(const sc_memory *memory, void *object)
{
    sci_sorted *set = (sci_sorted *)object;
    if (set->full)
        sci_sorted_full_free(set->full);
    sci_sorted_pack_free(memory, &set->packed);
    sci_free(memory, set, sizeof *set);
}

SCI_PRIVATE void *sci_sorted_copy(const sc_memory *memory, const void *object)
{
    const sci_sorted *set = (const sci_sorted *)object;
    sci_sorted *copy = sci_sorted_new(memory, set->seed);
    if (!copy)
        return NULL;
    if (set->full)
        copy->full = sci_sorted_full_of(memory, set);
    if (set->full ? !copy->full
                  : sci_sorted_pack_copy(memory, &copy->packed, &set->packed) != SC_OK) {
        sci_free(memory, copy, sizeof *copy);
        return NULL;
    }
    return copy;
}

SCI_PRIVATE size_t sci_sorted_bytes(const void *object)
{
    const sci_sorted *set = (const sci_sorted *)object;
    size_t bytes = sci_counted_block(sizeof *set);
    if (set->packed.data)
        bytes += sci_counted_block(set->packed.cap);
    if (set->full)
        bytes += sci_sorted_full_bytes(set->full);
    return bytes;
}

/* A ZADD of the dump brings so many members, fewer where they are long. */
#define SCI_SORTED_DUMP_MEMBERS 64
#define SCI_SORTED_DUMP_BYTES 65536

SCI_PRIVATE sc_status sci_sorted_dump(const void *object, sc_slice key, sci_dump *dump)
{
    char scores[SCI_SORTED_DUMP_MEMBERS][SCI_SCORE_TEXT_BYTES];
    sc_slice argv[2 + 2 * SCI_SORTED_DUMP_MEMBERS];
    size_t argc = 2, bytes = 0;
    argv[0] = sc_text("ZADD");
    argv[1] = key;
    sci_sorted_walk walk;
    sc_slice member;
    double score;
    sci_sorted_walk_begin(&walk, (const sci_sorted *)object, 0, false);
    while (sci_sorted_walk_next(&walk, &member, &score)) {
        char *text = scores[argc / 2 - 1];
        argv[argc++] = sc_bytes(text, sci_score_to_text(score, text));
        argv[argc++] = member;
        bytes += member.len;
        if (argc < SCI_COUNT(argv) && bytes < SCI_SORTED_DUMP_BYTES)
            continue;
        sc_status status = dump->command(dump, argv, argc);
        if (status != SC_OK)
            return status;
        argc = 2;
        bytes = 0;
    }
    return argc > 2 ? dump->command(dump, argv, argc) : SC_OK;
}
