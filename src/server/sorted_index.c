/* Extendible hashing: pages of members, each with a byte of its hash. */

#include "server/sorted_index.h"

/* A page that holds so many is split. */
#define SCI_SORTED_PAGE_FULL 64
SCI_STATIC_ASSERT(SCI_SORTED_PAGE_FULL == 64, a_word_has_a_bit_for_each_member_of_a_page);
/* Pages grow and shrink by so many, so that what is not used of them stays small. */
#define SCI_SORTED_PAGE_STEP 8
/* Two pages are joined when they hold no more: far enough from both splitting and joining again. */
#define SCI_SORTED_PAGE_JOINED (SCI_SORTED_PAGE_FULL / 2)
/* Where hashes begin with the same so many bits, pages grow instead of being split; the directory's
   size fits 32 bits. */
#define SCI_SORTED_INDEX_MAX_DEPTH 28

/* `cap` pointers to members follow, then as many bytes: the last of their hashes. */
struct sci_sorted_page {
    uint32_t count;
    uint32_t cap;
    unsigned depth; /* bits of the hash that all of its members share */
    unsigned spare; /* keeps what follows aligned */
};

static inline sci_sorted_member **sci_sorted_page_members(const sci_sorted_page *page)
{
    return (sci_sorted_member **)(void *)(page + 1);
}

static inline unsigned char *sci_sorted_page_tags(const sci_sorted_page *page)
{
    return (unsigned char *)(sci_sorted_page_members(page) + page->cap);
}

static inline size_t sci_sorted_page_size(uint32_t cap)
{
    return sizeof(sci_sorted_page) + cap * (sizeof(sci_sorted_member *) + 1);
}

static inline unsigned char sci_sorted_page_tag(uint64_t hash)
{
    return (unsigned char)(hash & 0xff);
}

static inline uint64_t sci_sorted_index_hash(const sci_sorted_index *index, sc_slice bytes)
{
    return sci_hash(index->seed, bytes);
}

/* The first `depth` bits. */
static inline size_t sci_sorted_index_prefix(uint64_t hash, unsigned depth)
{
    return depth ? (size_t)(hash >> (64 - depth)) : 0;
}

static inline sci_sorted_page *sci_sorted_index_page(const sci_sorted_index *index, uint64_t hash)
{
    return index->pages[sci_sorted_index_prefix(hash, index->depth)];
}

static inline size_t sci_sorted_index_directory_size(const sci_sorted_index *index)
{
    return ((size_t)1 << index->depth) * sizeof *index->pages;
}

static sci_sorted_page *sci_sorted_page_new(sci_sorted_index *index, size_t count, unsigned depth)
{
    uint32_t cap =
        (uint32_t)((sci_max_size(count, 1) + SCI_SORTED_PAGE_STEP - 1) / SCI_SORTED_PAGE_STEP) *
        SCI_SORTED_PAGE_STEP;
    sci_sorted_page *page =
        (sci_sorted_page *)sci_resize(&index->memory, NULL, 0, sci_sorted_page_size(cap));
    if (!page)
        return NULL;
    page->count = 0;
    page->cap = cap;
    page->depth = depth;
    page->spare = 0;
    index->bytes += sci_counted_block(sci_sorted_page_size(cap));
    return page;
}

static void sci_sorted_page_free(sci_sorted_index *index, sci_sorted_page *page)
{
    index->bytes -= sci_counted_block(sci_sorted_page_size(page->cap));
    sci_free(&index->memory, page, sci_sorted_page_size(page->cap));
}

static inline void sci_sorted_page_add(sci_sorted_page *page, sci_sorted_member *member,
                                       unsigned char tag)
{
    sci_assert(page->count < page->cap);
    sci_sorted_page_members(page)[page->count] = member;
    sci_sorted_page_tags(page)[page->count] = tag;
    page->count++;
}

static void sci_sorted_page_add_all(sci_sorted_page *to, const sci_sorted_page *from)
{
    for (size_t i = 0; i < from->count; i++)
        sci_sorted_page_add(to, sci_sorted_page_members(from)[i], sci_sorted_page_tags(from)[i]);
}

/* Where bytes are in a page; its count when they are not there. */
static size_t sci_sorted_page_find(const sci_sorted_page *page, sc_slice bytes, unsigned char tag)
{
    const unsigned char *tags = sci_sorted_page_tags(page);
    const unsigned char *end = tags + page->count;
    for (const unsigned char *at = tags; at < end; at++) {
        at = (const unsigned char *)memchr(at, tag, (size_t)(end - at));
        if (!at)
            break;
        size_t i = (size_t)(at - tags);
        if (sci_slice_equal(sci_sorted_member_bytes(sci_sorted_page_members(page)[i]), bytes))
            return i;
    }
    return page->count;
}

/* Lead to a page whose hashes begin with `prefix`. */
static void sci_sorted_index_place(sci_sorted_index *index, sci_sorted_page *page, size_t prefix)
{
    unsigned span = index->depth - page->depth;
    size_t first = prefix << span;
    for (size_t i = 0; i < (size_t)1 << span; i++)
        index->pages[first + i] = page;
}

SCI_PRIVATE sc_status sci_sorted_index_init(sci_sorted_index *index, const sc_memory *memory,
                                            const sci_hash_seed *seed)
{
    memset(index, 0, sizeof *index);
    index->memory = *memory;
    index->seed = seed;
    index->pages = (sci_sorted_page **)sci_resize(memory, NULL, 0, sizeof *index->pages);
    if (!index->pages)
        return SC_ERR_MEMORY;
    index->pages[0] = sci_sorted_page_new(index, 0, 0);
    if (!index->pages[0]) {
        sci_free(memory, index->pages, sizeof *index->pages);
        return SC_ERR_MEMORY;
    }
    index->deepest = 1;
    index->bytes += sci_counted_block(sizeof *index->pages);
    return SC_OK;
}

SCI_PRIVATE void sci_sorted_index_free(sci_sorted_index *index)
{
    size_t count = (size_t)1 << index->depth;
    for (size_t i = 0, next; i < count; i = next) {
        next = i + ((size_t)1 << (index->depth - index->pages[i]->depth));
        sci_sorted_page_free(index, index->pages[i]);
    }
    sci_free(&index->memory, index->pages, sci_sorted_index_directory_size(index));
}

SCI_PRIVATE sci_sorted_member *sci_sorted_index_find(const sci_sorted_index *index, sc_slice bytes)
{
    uint64_t hash = sci_sorted_index_hash(index, bytes);
    const sci_sorted_page *page = sci_sorted_index_page(index, hash);
    size_t at = sci_sorted_page_find(page, bytes, sci_sorted_page_tag(hash));
    return at < page->count ? sci_sorted_page_members(page)[at] : NULL;
}

static bool sci_sorted_index_resize_directory(sci_sorted_index *index, unsigned depth)
{
    size_t old_size = sci_sorted_index_directory_size(index);
    size_t new_size = ((size_t)1 << depth) * sizeof *index->pages;
    sci_sorted_page **pages = (sci_sorted_page **)index->memory.resize(
        index->memory.user, index->pages, old_size, new_size);
    if (!pages)
        return false;
    index->bytes += sci_counted_block(new_size) - sci_counted_block(old_size);
    index->pages = pages;
    index->depth = depth;
    return true;
}

/* Each entry becomes two, from the last to the first, in place. */
static bool sci_sorted_index_double(sci_sorted_index *index)
{
    if (!sci_sorted_index_resize_directory(index, index->depth + 1))
        return false;
    for (size_t i = (size_t)1 << index->depth; i-- > 0;)
        index->pages[i] = index->pages[i / 2];
    index->deepest = 0;
    return true;
}

/* While no page needs the directory's last bit. */
static void sci_sorted_index_halve(sci_sorted_index *index)
{
    while (index->depth > 0 && index->deepest == 0) {
        size_t count = (size_t)1 << (index->depth - 1);
        for (size_t i = 0; i < count; i++)
            index->pages[i] = index->pages[2 * i];
        if (!sci_sorted_index_resize_directory(index, index->depth - 1)) {
            for (size_t i = 2 * count; i-- > 0;)
                index->pages[i] = index->pages[i / 2];
            return;
        }
        for (size_t i = 0; i < count; i++)
            index->deepest += index->pages[i]->depth == index->depth;
    }
}

/* The same members in a page that fits `count`. */
static bool sci_sorted_index_resize_page(sci_sorted_index *index, uint64_t hash, size_t count)
{
    sci_sorted_page *page = sci_sorted_index_page(index, hash);
    sci_sorted_page *resized = sci_sorted_page_new(index, count, page->depth);
    if (!resized)
        return false;
    sci_sorted_page_add_all(resized, page);
    sci_sorted_index_place(index, resized, sci_sorted_index_prefix(hash, page->depth));
    sci_sorted_page_free(index, page);
    return true;
}

/* Which members of a full page go to the upper half, a bit each. */
static uint64_t sci_sorted_index_upper(const sci_sorted_index *index, const sci_sorted_page *page,
                                       size_t *count)
{
    uint64_t upper = 0;
    *count = 0;
    for (size_t i = 0; i < page->count; i++) {
        uint64_t hash =
            sci_sorted_index_hash(index, sci_sorted_member_bytes(sci_sorted_page_members(page)[i]));
        if (sci_sorted_index_prefix(hash, page->depth + 1) & 1) {
            upper |= (uint64_t)1 << i;
            ++*count;
        }
    }
    return upper;
}

static bool sci_sorted_index_split(sci_sorted_index *index, uint64_t hash)
{
    sci_sorted_page *page = sci_sorted_index_page(index, hash);
    size_t upper_count;
    uint64_t upper = sci_sorted_index_upper(index, page, &upper_count);
    sci_sorted_page *halves[2];
    halves[0] = sci_sorted_page_new(index, page->count - upper_count, page->depth + 1);
    halves[1] = sci_sorted_page_new(index, upper_count, page->depth + 1);
    if (!halves[0] || !halves[1] ||
        (page->depth == index->depth && !sci_sorted_index_double(index))) {
        for (size_t i = 0; i < 2; i++)
            if (halves[i])
                sci_sorted_page_free(index, halves[i]);
        return false;
    }
    for (size_t i = 0; i < page->count; i++)
        sci_sorted_page_add(halves[upper >> i & 1], sci_sorted_page_members(page)[i],
                            sci_sorted_page_tags(page)[i]);
    for (size_t i = 0; i < 2; i++)
        sci_sorted_index_place(index, halves[i],
                               sci_sorted_index_prefix(hash, page->depth) * 2 + i);
    if (page->depth + 1 == index->depth)
        index->deepest += 2;
    sci_sorted_page_free(index, page);
    return true;
}

SCI_PRIVATE sc_status sci_sorted_index_put(sci_sorted_index *index, sci_sorted_member *member)
{
    uint64_t hash = sci_sorted_index_hash(index, sci_sorted_member_bytes(member));
    sci_sorted_page *page = sci_sorted_index_page(index, hash);
    while (page->count == page->cap) {
        bool has_room =
            page->cap < SCI_SORTED_PAGE_FULL || page->depth == SCI_SORTED_INDEX_MAX_DEPTH
                ? sci_sorted_index_resize_page(index, hash, page->count + 1)
                : sci_sorted_index_split(index, hash);
        if (!has_room)
            return SC_ERR_MEMORY;
        page = sci_sorted_index_page(index, hash);
    }
    sci_sorted_page_add(page, member, sci_sorted_page_tag(hash));
    return SC_OK;
}

/* Make one page of the two that differ in the last bit, if they hold little. */
static bool sci_sorted_index_join(sci_sorted_index *index, uint64_t hash)
{
    sci_sorted_page *page = sci_sorted_index_page(index, hash);
    if (page->depth == 0)
        return false;
    size_t prefix = sci_sorted_index_prefix(hash, page->depth);
    sci_sorted_page *other = index->pages[(prefix ^ 1) << (index->depth - page->depth)];
    if (other->depth != page->depth || other->count + page->count > SCI_SORTED_PAGE_JOINED)
        return false;
    sci_sorted_page *joined =
        sci_sorted_page_new(index, other->count + page->count, page->depth - 1);
    if (!joined)
        return false;
    sci_sorted_page_add_all(joined, page);
    sci_sorted_page_add_all(joined, other);
    if (page->depth == index->depth)
        index->deepest -= 2;
    sci_sorted_page_free(index, page);
    sci_sorted_page_free(index, other);
    sci_sorted_index_place(index, joined, prefix / 2);
    return true;
}

SCI_PRIVATE void sci_sorted_index_remove(sci_sorted_index *index, sci_sorted_member *member)
{
    uint64_t hash = sci_sorted_index_hash(index, sci_sorted_member_bytes(member));
    sci_sorted_page *page = sci_sorted_index_page(index, hash);
    size_t at =
        sci_sorted_page_find(page, sci_sorted_member_bytes(member), sci_sorted_page_tag(hash));
    sci_assert(at < page->count && sci_sorted_page_members(page)[at] == member);
    page->count--;
    sci_sorted_page_members(page)[at] = sci_sorted_page_members(page)[page->count];
    sci_sorted_page_tags(page)[at] = sci_sorted_page_tags(page)[page->count];
    if (sci_sorted_index_join(index, hash))
        sci_sorted_index_halve(index);
    else if (page->count + 2 * SCI_SORTED_PAGE_STEP <= page->cap)
        (void)sci_sorted_index_resize_page(index, hash, page->count + 1);
}

SCI_PRIVATE uint64_t sci_sorted_index_walk(const sci_sorted_index *index, uint64_t cursor,
                                           void (*visit)(void *user,
                                                         const sci_sorted_member *member),
                                           void *user)
{
    if (cursor >> SCI_SORTED_INDEX_MAX_DEPTH)
        return 0;
    const sci_sorted_page *page =
        index->pages[cursor >> (SCI_SORTED_INDEX_MAX_DEPTH - index->depth)];
    for (size_t i = 0; i < page->count; i++)
        visit(user, sci_sorted_page_members(page)[i]);
    unsigned below = SCI_SORTED_INDEX_MAX_DEPTH - page->depth;
    uint64_t next = ((cursor >> below) + 1) << below;
    return next >> SCI_SORTED_INDEX_MAX_DEPTH ? 0 : next;
}
