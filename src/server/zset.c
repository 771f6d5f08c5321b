/* What the commands of sorted sets share. */

#include "server/zset.h"

#include "base/double_c.h"

SCI_PRIVATE bool sci_zset_for_read(sci_call *call, sc_slice key, const sci_sorted **set)
{
    sci_entry *entry;
    *set = NULL;
    if (!sci_typed_for_read(call, key, SCI_ZSET, &entry))
        return false;
    if (entry)
        *set = (const sci_sorted *)entry->value.object;
    return true;
}

SCI_PRIVATE void sci_zset_answer(sci_call *call, sc_slice member, double score, bool with_score)
{
    sci_answer_bulk(call, member);
    if (with_score)
        sci_answer_double(call, score);
}

SCI_PRIVATE void sci_zset_shrunk(sci_call *call, sc_slice key, sci_entry *entry, const char *event)
{
    bool is_empty = sci_sorted_count((const sci_sorted *)entry->value.object) == 0;
    if (is_empty)
        sci_entry_delete(call, entry);
    sci_changed(call, key, SCI_EVENT_ZSET, event);
    if (is_empty)
        sci_notify(call, SCI_EVENT_GENERIC, "del", key);
}

SCI_PRIVATE void sci_zset_store(sci_call *call, sc_slice key, sci_sorted *set, const char *event)
{
    sci_entry *entry = sci_entry_for_write(call, key);
    size_t count = sci_sorted_count(set);
    if (count == 0) {
        sci_sorted_release(&call->db->memory, set);
        if (entry) {
            sci_entry_delete(call, entry);
            sci_changed(call, key, SCI_EVENT_GENERIC, "del");
        }
        sci_answer_i64(call, 0);
        return;
    }
    if (entry) {
        sci_entry_replace_object(call->db, entry, SCI_ZSET, set);
        sci_db_persist(call->db, entry);
    } else if (!sci_entry_add(call, key, SCI_ZSET, set)) {
        sci_sorted_release(&call->db->memory, set);
        sci_answer_no_memory(call);
        return;
    }
    sci_changed(call, key, SCI_EVENT_ZSET, event);
    sci_answer_i64(call, (int64_t)count);
}

/* Ends are read as C's strtod reads them: blanks in front are passed over, nothing at all is 0, and
   a NUL ends the text. */
static bool sci_zset_score_bound(sc_slice word, sci_sorted_bound *bound)
{
    const char *nul = word.len ? (const char *)memchr(word.data, '\0', word.len) : NULL;
    if (nul)
        word.len = (size_t)(nul - word.data);
    bound->is_exclusive = word.len > 0 && word.data[0] == '(';
    if (bound->is_exclusive)
        word = sc_bytes(word.data + 1, word.len - 1);
    bound->score = 0;
    if (word.len == 0)
        return true;
    while (word.len > 0 && (word.data[0] == ' ' || (word.data[0] >= '\t' && word.data[0] <= '\r')))
        word = sc_bytes(word.data + 1, word.len - 1);
    bool is_out_of_range;
    return sci_text_to_double_as_c(word, &bound->score, &is_out_of_range);
}

static bool sci_zset_bytes_bound(sc_slice word, sci_sorted_bound *bound)
{
    char first = word.len ? word.data[0] : '\0';
    if (first == '(' || first == '[') {
        bound->is_exclusive = first == '(';
        bound->bytes = sc_bytes(word.data + 1, word.len - 1);
        return true;
    }
    bound->infinite = first == '-' ? -1 : 1;
    return (first == '-' || first == '+') && (word.len == 1 || word.data[1] == '\0');
}

SCI_PRIVATE bool sci_zset_arg_range(sci_call *call, size_t least, size_t most, bool is_by_bytes,
                                    sci_sorted_range *range)
{
    bool (*parse)(sc_slice word, sci_sorted_bound * bound) =
        is_by_bytes ? sci_zset_bytes_bound : sci_zset_score_bound;
    memset(range, 0, sizeof *range);
    range->is_by_bytes = is_by_bytes;
    if (parse(call->argv[least], &range->least) && parse(call->argv[most], &range->most))
        return true;
    sci_answer_error(call, "%s",
                     is_by_bytes ? "ERR min or max not valid string range item"
                                 : "ERR min or max is not a float");
    return false;
}

SCI_PRIVATE void sci_zset_clamp_ranks(size_t count, int64_t first, int64_t last, size_t *start,
                                      size_t *end)
{
    int64_t size = (int64_t)count;
    if (first < 0)
        first = sci_max_i64(first + size, 0);
    if (last < 0)
        last += size;
    last = sci_min_i64(last, size - 1);
    *start = 0;
    *end = 0;
    if (first > last)
        return;
    *start = (size_t)first;
    *end = (size_t)last + 1;
}
