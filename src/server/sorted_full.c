/* Members of a sorted set that is not small. */

#include "server/sorted_full.h"

static inline size_t sci_sorted_member_size(size_t len)
{
    return sizeof(sci_sorted_member) + 1 + (len < SCI_SORTED_MEMBER_LONG ? 0 : sizeof(uint32_t)) +
           len;
}

static sci_sorted_member *sci_sorted_member_new(sci_sorted_full *full, sc_slice bytes, double score)
{
    size_t size = sci_sorted_member_size(bytes.len);
    sci_sorted_member *member = (sci_sorted_member *)sci_resize(&full->memory, NULL, 0, size);
    if (!member)
        return NULL;
    member->score = score;
    unsigned char *at = (unsigned char *)(member + 1);
    uint32_t len = (uint32_t)bytes.len;
    *at++ = len < SCI_SORTED_MEMBER_LONG ? (unsigned char)len : SCI_SORTED_MEMBER_LONG;
    if (len >= SCI_SORTED_MEMBER_LONG) {
        memcpy(at, &len, sizeof len);
        at += sizeof len;
    }
    if (len > 0)
        memcpy(at, bytes.data, len);
    full->member_bytes += sci_counted_block(size);
    return member;
}

static void sci_sorted_member_free(sci_sorted_full *full, sci_sorted_member *member)
{
    size_t size = sci_sorted_member_size(sci_sorted_member_bytes(member).len);
    full->member_bytes -= sci_counted_block(size);
    sci_free(&full->memory, member, size);
}

SCI_PRIVATE sci_sorted_full *sci_sorted_full_new(const sc_memory *memory, const sci_hash_seed *seed)
{
    sci_sorted_full *full = (sci_sorted_full *)sci_alloc_zeroed(memory, sizeof *full);
    if (!full)
        return NULL;
    full->memory = *memory;
    if (sci_sorted_tree_init(&full->tree, memory) != SC_OK)
        goto no_tree;
    if (sci_sorted_index_init(&full->index, memory, seed) != SC_OK)
        goto no_index;
    return full;
no_index:
    sci_sorted_tree_free(&full->tree);
no_tree:
    sci_free(memory, full, sizeof *full);
    return NULL;
}

SCI_PRIVATE void sci_sorted_full_free(sci_sorted_full *full)
{
    sc_memory memory = full->memory;
    sci_sorted_tree_at at = sci_sorted_tree_seek(&full->tree, 0);
    for (const sci_rank_key *key; (key = sci_sorted_tree_next(&at)) != NULL;)
        sci_sorted_member_free(full, key->member);
    sci_sorted_tree_free(&full->tree);
    sci_sorted_index_free(&full->index);
    sci_free(&memory, full, sizeof *full);
}

SCI_PRIVATE sci_sorted_member *sci_sorted_full_find(const sci_sorted_full *full, sc_slice bytes)
{
    return sci_sorted_index_find(&full->index, bytes);
}

/* A member that is not there. */
static sc_status sci_sorted_full_add(sci_sorted_full *full, sc_slice bytes, double score)
{
    sci_sorted_member *member = sci_sorted_member_new(full, bytes, score);
    if (!member)
        return SC_ERR_MEMORY;
    sci_rank_key key = sci_sorted_member_key(member);
    if (sci_sorted_tree_insert(&full->tree, &key) != SC_OK)
        goto failed;
    if (sci_sorted_index_put(&full->index, member) == SC_OK)
        return SC_OK;
    sci_sorted_tree_remove(&full->tree, &key);
failed:
    sci_sorted_member_free(full, member);
    return SC_ERR_MEMORY;
}

static inline bool sci_sorted_member_has(const sci_sorted_member *member, double score)
{
    return member->score <= score && member->score >= score;
}

SCI_PRIVATE sc_status sci_sorted_full_put(sci_sorted_full *full, sc_slice bytes, double score)
{
    sci_sorted_member *member = sci_sorted_full_find(full, bytes);
    if (!member)
        return sci_sorted_full_add(full, bytes, score);
    if (!sci_sorted_member_has(member, score)) {
        sci_rank_key key = sci_sorted_member_key(member);
        if (sci_sorted_tree_move(&full->tree, &key, score) != SC_OK)
            return SC_ERR_MEMORY;
    }
    /* Also where 0 becomes -0, which is the same place. */
    member->score = score;
    return SC_OK;
}

SCI_PRIVATE void sci_sorted_full_remove(sci_sorted_full *full, sci_sorted_member *member)
{
    sci_rank_key key = sci_sorted_member_key(member);
    sci_sorted_tree_remove(&full->tree, &key);
    sci_sorted_index_remove(&full->index, member);
    sci_sorted_member_free(full, member);
}

SCI_PRIVATE size_t sci_sorted_full_bytes(const sci_sorted_full *full)
{
    return sci_counted_block(sizeof *full) + full->tree.bytes + full->index.bytes +
           full->member_bytes;
}

/* A member that is there gets a second key in the tree, with its new score; removing the old one
   cannot fail. */
SCI_PRIVATE sc_status sci_sorted_full_prepare(sci_sorted_full *full, sc_slice bytes, double score)
{
    sci_rank_key key;
    key.member = sci_sorted_full_find(full, bytes);
    key.score = score;
    if (!key.member)
        return sci_sorted_full_add(full, bytes, score);
    sci_assert(!sci_sorted_member_has(key.member, score));
    return sci_sorted_tree_insert(&full->tree, &key);
}

SCI_PRIVATE void sci_sorted_full_finish(sci_sorted_full *full, sc_slice bytes, double score)
{
    sci_sorted_member *member = sci_sorted_full_find(full, bytes);
    if (sci_sorted_member_has(member, score))
        return; /* it is new */
    sci_rank_key key = sci_sorted_member_key(member);
    sci_sorted_tree_remove(&full->tree, &key);
    member->score = score;
}

SCI_PRIVATE void sci_sorted_full_undo(sci_sorted_full *full, sc_slice bytes, double score)
{
    sci_rank_key key;
    key.member = sci_sorted_full_find(full, bytes);
    key.score = score;
    if (sci_sorted_member_has(key.member, score))
        sci_sorted_full_remove(full, key.member);
    else
        sci_sorted_tree_remove(&full->tree, &key);
}
