/* Slots and buckets in segments. A bucket is split or merged whenever the count of items has moved
   on, always the next in line; a hash whose bucket is not there yet is in the one that will be
   split. */

#include "server/slots.h"

#include "server/cursor.h"
#include "server/memory.h"

#define SCI_SLOTS_FIRST_CAPACITY 8u
#define SCI_SLOTS_FIRST_MANY 4u
#define SCI_SLOTS_MOST (UINT32_C(1) << 31)

static inline size_t sci_slots_segment_bytes(uint32_t capacity)
{
    return capacity * (sizeof(sci_slots_slot) + sizeof(uint32_t));
}

static inline uint32_t sci_slots_segment_capacity(const sci_slots *slots)
{
    return slots->capacity < SCI_SLOTS_SEGMENT ? slots->capacity : SCI_SLOTS_SEGMENT;
}

/* A segment's buckets come after its slots. */
static inline uint32_t *sci_slots_bucket(const sci_slots *slots, uint32_t number)
{
    sci_slots_slot *segment = (sci_slots_slot *)(void *)sci_slots_segment(slots, number);
    return (uint32_t *)(void *)(segment + sci_slots_segment_capacity(slots)) +
           number % SCI_SLOTS_SEGMENT;
}

static inline uint32_t sci_slots_bucket_of(const sci_slots *slots, uint32_t hash)
{
    uint32_t bucket = hash & slots->mask;
    return bucket < slots->buckets ? bucket : bucket & (slots->mask >> 1);
}

SCI_PRIVATE uint32_t *sci_slots_chain(const sci_slots *slots, uint32_t hash)
{
    sci_assert(slots->buckets > 0);
    return sci_slots_bucket(slots, sci_slots_bucket_of(slots, hash));
}

SCI_PRIVATE uint32_t *sci_slots_link(const sci_slots *slots, uint32_t number)
{
    uint32_t *link = sci_slots_chain(slots, sci_slots_at(slots, number)->hash);
    while (*link != number + 1) {
        sci_assert(*link);
        link = &sci_slots_at(slots, *link - 1)->next;
    }
    return link;
}

/* --- Room */

/* A small table has a segment that doubles until it is a whole one. */
static sc_status sci_slots_grow_first(sci_slots *slots, const sc_memory *memory, size_t needed)
{
    uint32_t capacity = slots->capacity ? slots->capacity : SCI_SLOTS_FIRST_CAPACITY;
    while (capacity < needed && capacity < SCI_SLOTS_SEGMENT)
        capacity *= 2;
    char *segment = (char *)sci_alloc_zeroed(memory, sci_slots_segment_bytes(capacity));
    if (!segment)
        return SC_ERR_MEMORY;
    if (slots->capacity > 0) {
        const sci_slots_slot *old = (const sci_slots_slot *)(void *)slots->segments.only;
        memcpy(segment, old, slots->count * sizeof *old);
        memcpy(segment + capacity * sizeof *old, old + slots->capacity,
               slots->buckets * sizeof(uint32_t));
        sci_free(memory, slots->segments.only, sci_slots_segment_bytes(slots->capacity));
    } else {
        slots->buckets = 1;
        slots->mask = 0;
    }
    slots->segments.only = segment;
    slots->capacity = capacity;
    return SC_OK;
}

/* Room for one more in the row of segments. */
static sc_status sci_slots_widen(sci_slots *slots, const sc_memory *memory)
{
    const uint32_t used = slots->capacity / SCI_SLOTS_SEGMENT;
    char *only = slots->segments.only;
    if (used == 1) {
        char **many = (char **)sci_resize(memory, NULL, 0, SCI_SLOTS_FIRST_MANY * sizeof(char *));
        if (!many)
            return SC_ERR_MEMORY;
        many[0] = only;
        slots->segments.many = many;
        slots->many_cap = SCI_SLOTS_FIRST_MANY;
    } else if (used == slots->many_cap) {
        const size_t size = slots->many_cap * sizeof(char *);
        char **many = (char **)sci_resize(memory, slots->segments.many, size, size * 2);
        if (!many)
            return SC_ERR_MEMORY;
        slots->segments.many = many;
        slots->many_cap *= 2;
    }
    return SC_OK;
}

static sc_status sci_slots_add_segment(sci_slots *slots, const sc_memory *memory)
{
    char *segment = (char *)sci_alloc_zeroed(memory, sci_slots_segment_bytes(SCI_SLOTS_SEGMENT));
    if (!segment)
        return SC_ERR_MEMORY;
    if (sci_slots_widen(slots, memory) != SC_OK) {
        sci_free(memory, segment, sci_slots_segment_bytes(SCI_SLOTS_SEGMENT));
        return SC_ERR_MEMORY;
    }
    slots->segments.many[slots->capacity / SCI_SLOTS_SEGMENT] = segment;
    slots->capacity += SCI_SLOTS_SEGMENT;
    return SC_OK;
}

SCI_PRIVATE sc_status sci_slots_reserve(sci_slots *slots, const sc_memory *memory, size_t extra)
{
    if (extra > SCI_SLOTS_MOST - slots->count)
        return sc_fail(SC_ERR_MEMORY, "out of memory: %zu more members are too many", extra);
    const size_t needed = slots->count + extra;
    sc_status status = SC_OK;
    if (slots->capacity < needed && slots->capacity < SCI_SLOTS_SEGMENT)
        status = sci_slots_grow_first(slots, memory, needed);
    while (status == SC_OK && slots->capacity < needed)
        status = sci_slots_add_segment(slots, memory);
    return status;
}

/* The row of segments halves when a quarter would do; without memory for that it stays. */
static void sci_slots_narrow(sci_slots *slots, const sc_memory *memory)
{
    const uint32_t used = slots->capacity / SCI_SLOTS_SEGMENT;
    const size_t size = slots->many_cap * sizeof(char *);
    char **many = slots->segments.many;
    if (used == 1) {
        slots->segments.only = many[0];
        slots->many_cap = 0;
        sci_free(memory, many, size);
    } else if (slots->many_cap > SCI_SLOTS_FIRST_MANY && used <= slots->many_cap / 4) {
        many = (char **)memory->resize(memory->user, many, size, size / 2);
        if (!many)
            return;
        slots->segments.many = many;
        slots->many_cap /= 2;
    }
}

/* Give back a segment when half another one is free too, so that adding and removing at its border
   costs nothing. */
static void sci_slots_trim(sci_slots *slots, const sc_memory *memory)
{
    const uint32_t used = slots->count > slots->buckets ? slots->count : slots->buckets;
    if (slots->capacity <= SCI_SLOTS_SEGMENT ||
        slots->capacity - used < SCI_SLOTS_SEGMENT + SCI_SLOTS_SEGMENT / 2)
        return;
    const uint32_t last = slots->capacity / SCI_SLOTS_SEGMENT - 1;
    sci_free(memory, slots->segments.many[last], sci_slots_segment_bytes(SCI_SLOTS_SEGMENT));
    slots->capacity -= SCI_SLOTS_SEGMENT;
    sci_slots_narrow(slots, memory);
}

SCI_PRIVATE void sci_slots_free(sci_slots *slots, const sc_memory *memory)
{
    if (slots->capacity > SCI_SLOTS_SEGMENT) {
        for (uint32_t i = 0; i < slots->capacity / SCI_SLOTS_SEGMENT; i++)
            sci_free(memory, slots->segments.many[i], sci_slots_segment_bytes(SCI_SLOTS_SEGMENT));
        sci_free(memory, slots->segments.many, slots->many_cap * sizeof(char *));
    } else {
        sci_free(memory, slots->segments.only, sci_slots_segment_bytes(slots->capacity));
    }
    memset(slots, 0, sizeof *slots);
}

SCI_PRIVATE size_t sci_slots_bytes(const sci_slots *slots)
{
    if (slots->capacity == 0)
        return 0;
    if (slots->capacity <= SCI_SLOTS_SEGMENT)
        return sci_counted_block(sci_slots_segment_bytes(slots->capacity));
    return slots->capacity / SCI_SLOTS_SEGMENT *
               sci_counted_block(sci_slots_segment_bytes(SCI_SLOTS_SEGMENT)) +
           sci_counted_block(slots->many_cap * sizeof(char *));
}

/* --- Buckets */

static void sci_slots_split(sci_slots *slots)
{
    const uint32_t added = slots->buckets++;
    if (added > slots->mask)
        slots->mask = slots->mask * 2 + 1;
    uint32_t *link = sci_slots_bucket(slots, added & (slots->mask >> 1));
    uint32_t *end = sci_slots_bucket(slots, added);
    while (*link) {
        sci_slots_slot *slot = sci_slots_at(slots, *link - 1);
        if ((slot->hash & slots->mask) == added) {
            *end = *link;
            *link = slot->next;
            slot->next = 0;
            end = &slot->next;
        } else {
            link = &slot->next;
        }
    }
}

static void sci_slots_merge(sci_slots *slots)
{
    const uint32_t removed = --slots->buckets;
    uint32_t *from = sci_slots_bucket(slots, removed);
    uint32_t *end = sci_slots_bucket(slots, removed & (slots->mask >> 1));
    while (*end)
        end = &sci_slots_at(slots, *end - 1)->next;
    *end = *from;
    *from = 0;
    if (removed == (slots->mask >> 1) + 1)
        slots->mask >>= 1;
}

SCI_PRIVATE void sci_slots_add(sci_slots *slots, void *item, uint32_t hash)
{
    sci_assert(slots->count < slots->capacity);
    sci_slots_slot *slot = sci_slots_at(slots, slots->count);
    uint32_t *first = sci_slots_chain(slots, hash);
    slot->item = item;
    slot->hash = hash;
    slot->next = *first;
    *first = ++slots->count;
    while (slots->buckets < slots->count)
        sci_slots_split(slots);
}

SCI_PRIVATE void sci_slots_remove(sci_slots *slots, const sc_memory *memory, uint32_t *link)
{
    const uint32_t removed = *link - 1, last = slots->count - 1;
    sci_slots_slot *slot = sci_slots_at(slots, removed);
    *link = slot->next;
    if (removed != last) {
        *sci_slots_link(slots, last) = removed + 1;
        *slot = *sci_slots_at(slots, last);
    }
    slots->count--;
    /* A quarter of the buckets may be too many, so that adding and removing in turn does not split
       and merge each time. */
    while (slots->buckets > 1 && slots->buckets - slots->buckets / 4 > slots->count)
        sci_slots_merge(slots);
    sci_slots_trim(slots, memory);
}

SCI_PRIVATE void sci_slots_swap(sci_slots *slots, uint32_t a, uint32_t b)
{
    if (a == b)
        return;
    uint32_t *to_a = sci_slots_link(slots, a);
    uint32_t *to_b = sci_slots_link(slots, b);
    sci_slots_slot *at_a = sci_slots_at(slots, a), *at_b = sci_slots_at(slots, b);
    *to_a = b + 1;
    *to_b = a + 1;
    const sci_slots_slot slot = *at_a;
    *at_a = *at_b;
    *at_b = slot;
}

SCI_PRIVATE const uint32_t *sci_slots_walk(const sci_slots *slots, uint64_t *cursor)
{
    sci_assert(slots->buckets > 0);
    const uint32_t bucket = sci_slots_bucket_of(slots, (uint32_t)*cursor);
    const uint32_t half = (slots->mask >> 1) + 1;
    const bool is_split = slots->buckets > 1 && (bucket >= half || bucket + half < slots->buckets);
    const uint32_t mask = is_split ? slots->mask : slots->mask >> 1;
    *cursor = sci_cursor_next(*cursor, mask);
    return sci_slots_bucket(slots, bucket);
}
