#pragma once
/* A hash table of items that have another owner: slots in a row, without holes, so that one can be
   drawn by chance, and buckets of chained slots. The table grows and shrinks by one bucket at a time
   (linear hashing; Litwin, 1980) and by one segment of memory at a time, so that no change takes
   long. It knows hashes, of which it uses the lower 31 bits, not what is hashed: who looks for an
   item goes through a chain:

       for (link = sci_slots_chain(slots, hash); *link; link = &sci_slots_at(slots, *link - 1)->next)
 */

#include "base/memory.h"

#define SCI_SLOTS_SEGMENT 256u /* slots, and buckets, of a segment */

/* Links are numbers of slots, counted from 1; 0 ends a chain. */
typedef struct sci_slots_slot {
    void *item;
    uint32_t hash;
    uint32_t next;
} sci_slots_slot;

/* Zeroed: an empty table. */
typedef struct sci_slots {
    union {
        char *only;  /* owned: the segment, as long as there is one; it may be a smaller one */
        char **many; /* owned, as each of them: later */
    } segments;
    uint32_t many_cap;
    uint32_t capacity; /* slots, and buckets, that there is memory for */
    uint32_t count;    /* slots that are filled */
    uint32_t buckets;  /* that are in use: about as many */
    uint32_t mask;     /* the least power of two that is not below `buckets`, minus 1 */
} sci_slots;

static inline char *sci_slots_segment(const sci_slots *slots, uint32_t number)
{
    return slots->capacity <= SCI_SLOTS_SEGMENT ? slots->segments.only
                                                : slots->segments.many[number / SCI_SLOTS_SEGMENT];
}

/* By number, below the count. */
static inline sci_slots_slot *sci_slots_at(const sci_slots *slots, uint32_t number)
{
    return (sci_slots_slot *)(void *)sci_slots_segment(slots, number) + number % SCI_SLOTS_SEGMENT;
}

/* The first link of the chain that holds the items with this hash, and others. The table must not
   be empty. */
SCI_PRIVATE uint32_t *sci_slots_chain(const sci_slots *slots, uint32_t hash);
/* The link that leads to a slot. */
SCI_PRIVATE uint32_t *sci_slots_link(const sci_slots *slots, uint32_t number);

/* Make room for `extra` more items. SC_ERR_MEMORY. */
SCI_PRIVATE sc_status sci_slots_reserve(sci_slots *slots, const sc_memory *memory, size_t extra);
/* There must be room. */
SCI_PRIVATE void sci_slots_add(sci_slots *slots, void *item, uint32_t hash);
/* The last slot takes the place of the one that `link` leads to. */
SCI_PRIVATE void sci_slots_remove(sci_slots *slots, const sc_memory *memory, uint32_t *link);
/* Exchange the places of two items. */
SCI_PRIVATE void sci_slots_swap(sci_slots *slots, uint32_t a, uint32_t b);
/* The table's memory; items belong to others. Leaves an empty table. */
SCI_PRIVATE void sci_slots_free(sci_slots *slots, const sc_memory *memory);
/* What it has taken of memory. */
SCI_PRIVATE size_t sci_slots_bytes(const sci_slots *slots);
/* A chain to go through, and the cursor of the next step, 0 at the end; see sci_db_walk. */
SCI_PRIVATE const uint32_t *sci_slots_walk(const sci_slots *slots, uint64_t *cursor);
