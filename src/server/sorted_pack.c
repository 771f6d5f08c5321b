/* A member's layout: a byte for its length, 8 for its score, its bytes, a byte for the size of all
   of this. */

#include "server/sorted_pack.h"
#include "server/memory.h"
#include "server/sorted_tree.h"

#define SCI_SORTED_PACK_HEAD (1 + sizeof(double))
#define SCI_SORTED_PACK_OVERHEAD (SCI_SORTED_PACK_HEAD + 1)

SCI_STATIC_ASSERT(SCI_SORTED_PACK_MEMBER_BYTES + SCI_SORTED_PACK_OVERHEAD <= 255,
                  a_packed_size_fits_a_byte);

static inline size_t sci_sorted_pack_size_at(const sci_sorted_pack *packed, size_t offset)
{
    return packed->data[offset] + SCI_SORTED_PACK_OVERHEAD;
}

SCI_PRIVATE void sci_sorted_pack_free(const sc_memory *memory, sci_sorted_pack *packed)
{
    sci_free(memory, packed->data, packed->cap);
    packed->data = NULL;
    packed->len = 0;
    packed->cap = 0;
    packed->count = 0;
}

SCI_PRIVATE sc_status sci_sorted_pack_copy(const sc_memory *memory, sci_sorted_pack *copy,
                                           const sci_sorted_pack *packed)
{
    *copy = *packed;
    copy->cap = packed->len;
    copy->data = NULL;
    if (packed->len == 0)
        return SC_OK;
    copy->data = (unsigned char *)sci_resize(memory, NULL, 0, copy->cap);
    if (!copy->data)
        return SC_ERR_MEMORY;
    memcpy(copy->data, packed->data, packed->len);
    return SC_OK;
}

static void sci_sorted_pack_read(const sci_sorted_pack *packed, size_t offset, sc_slice *member,
                                 double *score)
{
    const unsigned char *at = packed->data + offset;
    *member = sc_bytes(at + SCI_SORTED_PACK_HEAD, *at);
    memcpy(score, at + 1, sizeof *score);
}

SCI_PRIVATE bool sci_sorted_pack_next(const sci_sorted_pack *packed, size_t *offset,
                                      sc_slice *member, double *score)
{
    if (*offset == packed->len)
        return false;
    sci_sorted_pack_read(packed, *offset, member, score);
    *offset += sci_sorted_pack_size_at(packed, *offset);
    return true;
}

SCI_PRIVATE bool sci_sorted_pack_previous(const sci_sorted_pack *packed, size_t *offset,
                                          sc_slice *member, double *score)
{
    if (*offset == 0)
        return false;
    *offset -= packed->data[*offset - 1];
    sci_sorted_pack_read(packed, *offset, member, score);
    return true;
}

SCI_PRIVATE size_t sci_sorted_pack_find(const sci_sorted_pack *packed, sc_slice member)
{
    size_t offset = 0;
    for (; offset < packed->len; offset += sci_sorted_pack_size_at(packed, offset)) {
        const unsigned char *at = packed->data + offset;
        if (sci_slice_equal(sc_bytes(at + SCI_SORTED_PACK_HEAD, *at), member))
            break;
    }
    return offset;
}

SCI_PRIVATE size_t sci_sorted_pack_offset_of(const sci_sorted_pack *packed, size_t rank)
{
    size_t offset = 0;
    for (; rank > 0; rank--)
        offset += sci_sorted_pack_size_at(packed, offset);
    return offset;
}

SCI_PRIVATE size_t sci_sorted_pack_rank_of(const sci_sorted_pack *packed, size_t offset)
{
    size_t rank = 0;
    for (size_t at = 0; at < offset; at += sci_sorted_pack_size_at(packed, at))
        rank++;
    return rank;
}

/* Give the block another size, `cap` not being less than what is there. */
static bool sci_sorted_pack_resize(const sc_memory *memory, sci_sorted_pack *packed, size_t cap)
{
    /* All that the allocator's block has. */
    cap = sci_counted_block(cap) - sizeof(size_t);
    unsigned char *data =
        (unsigned char *)memory->resize(memory->user, packed->data, packed->cap, cap);
    if (!data)
        return false;
    packed->data = data;
    packed->cap = (uint32_t)cap;
    return true;
}

/* Where a member of that score belongs. */
static size_t sci_sorted_pack_place(const sci_sorted_pack *packed, sc_slice member, double score)
{
    size_t offset = 0, next = 0;
    sc_slice other;
    double other_score;
    while (sci_sorted_pack_next(packed, &next, &other, &other_score)) {
        if (other_score > score || (other_score >= score && sci_slice_compare(other, member) > 0))
            break;
        offset = next;
    }
    return offset;
}

static void sci_sorted_pack_write(sci_sorted_pack *packed, sc_slice member, double score)
{
    size_t offset = sci_sorted_pack_place(packed, member, score);
    size_t size = member.len + SCI_SORTED_PACK_OVERHEAD;
    unsigned char *at = packed->data + offset;
    memmove(at + size, at, packed->len - offset);
    if (!packed->has_negative_zeros)
        score += 0; /* makes -0 a 0 */
    at[0] = (unsigned char)member.len;
    memcpy(at + 1, &score, sizeof score);
    if (member.len > 0)
        memcpy(at + SCI_SORTED_PACK_HEAD, member.data, member.len);
    at[size - 1] = (unsigned char)size;
    packed->len += (uint32_t)size;
}

SCI_PRIVATE sc_status sci_sorted_pack_insert(const sc_memory *memory, sci_sorted_pack *packed,
                                             sc_slice member, double score)
{
    sci_assert(member.len <= SCI_SORTED_PACK_MEMBER_BYTES &&
               packed->count < SCI_SORTED_PACK_MEMBERS);
    size_t need = packed->len + member.len + SCI_SORTED_PACK_OVERHEAD;
    if (need > packed->cap && !sci_sorted_pack_resize(memory, packed, need + packed->len / 8))
        return SC_ERR_MEMORY;
    sci_sorted_pack_write(packed, member, score);
    packed->count++;
    return SC_OK;
}

static void sci_sorted_pack_close_gap(sci_sorted_pack *packed, size_t start, size_t end)
{
    memmove(packed->data + start, packed->data + end, packed->len - end);
    packed->len -= (uint32_t)(end - start);
}

SCI_PRIVATE void sci_sorted_pack_set_score(sci_sorted_pack *packed, size_t offset, double score)
{
    /* A copy: its place in the block is about to be taken by others. */
    char bytes[SCI_SORTED_PACK_MEMBER_BYTES];
    sc_slice member;
    double old_score;
    sci_sorted_pack_read(packed, offset, &member, &old_score);
    memcpy(bytes, member.data, member.len);
    sci_sorted_pack_close_gap(packed, offset, offset + member.len + SCI_SORTED_PACK_OVERHEAD);
    sci_sorted_pack_write(packed, sc_bytes(bytes, member.len), score);
}

SCI_PRIVATE void sci_sorted_pack_cut(const sc_memory *memory, sci_sorted_pack *packed, size_t start,
                                     size_t end)
{
    for (size_t at = start; at < end; at += sci_sorted_pack_size_at(packed, at))
        packed->count--;
    sci_sorted_pack_close_gap(packed, start, end);
    if (packed->len > 0 && packed->len < packed->cap / 2)
        (void)sci_sorted_pack_resize(memory, packed, packed->len);
}

SCI_PRIVATE void sci_sorted_pack_drop_signs(sci_sorted_pack *packed)
{
    size_t offset = 0;
    for (; offset < packed->len; offset += sci_sorted_pack_size_at(packed, offset)) {
        double score;
        memcpy(&score, packed->data + offset + 1, sizeof score);
        score += 0;
        memcpy(packed->data + offset + 1, &score, sizeof score);
    }
}
