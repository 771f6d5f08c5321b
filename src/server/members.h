#pragma once
/* A table of members: byte strings, each once, with a value each where the table has values (a
   hash's fields). Few small ones
   are packed into one block and found by looking at each in turn; more of them have a block each
   and a hash table (slots.h).

   What gives a `sci_member` lends it: it is good until the table is changed.

   Every function that can run out of memory then leaves the table as it was. */

#include "base/hash.h"
#include "server/slots.h"

/* Packed are up to so many members, names and values of at most so many bytes. */
#define SCI_MEMBERS_PACKED 128
#define SCI_MEMBERS_PACKED_BYTES 64

typedef struct sci_member sci_member;

typedef struct sci_members_pack {
    char *data; /* owned; NULL while cap is 0 */
    uint32_t len;
    uint32_t cap;
} sci_members_pack;

typedef struct sci_members {
    const sc_memory *memory; /* it and the seed outlive the table */
    const sci_hash_seed *seed;
    size_t bytes; /* taken of memory, without this struct and the slots */
    uint32_t count;
    bool has_values;
    bool is_packed;
    union {
        sci_members_pack pack;
        sci_slots slots;
    } as;
} sci_members;

/* Chance: a number below `bound`, which is above 0. */
typedef size_t (*sci_members_chance)(void *user, size_t bound);
typedef void (*sci_members_visit)(void *user, sci_member *member);

/* An empty table. NULL when there is no memory. */
SCI_PRIVATE sci_members *sci_members_new(const sc_memory *memory, const sci_hash_seed *seed,
                                         bool has_values);
SCI_PRIVATE void sci_members_release(sci_members *members);
SCI_PRIVATE sci_members *sci_members_copy(const sci_members *from);
/* What was given of memory, this struct included. */
SCI_PRIVATE size_t sci_members_bytes(const sci_members *members);

SCI_PRIVATE sc_slice sci_member_name(const sci_member *member);
/* Empty where the table has no values. */
SCI_PRIVATE sc_slice sci_member_value(const sci_member *member);
/* NULL: it is not there. */
SCI_PRIVATE sci_member *sci_members_find(const sci_members *members, sc_slice name);
/* Add a member, or give the one that is there another value (in a table without values: leave it).
   NULL when there is no memory. `name` and `value` are not of this table. */
SCI_PRIVATE sci_member *sci_members_put(sci_members *members, sc_slice name, sc_slice value,
                                        bool *is_new);
/* The same for `count` members, all or none: `words` are names, in a table with values each
   followed by its value. The same name may come again. `*added`: how many are new. */
SCI_PRIVATE sc_status sci_members_put_all(sci_members *members, const sc_slice *words, size_t count,
                                          size_t *added);
/* False: it was not there. */
SCI_PRIVATE bool sci_members_remove(sci_members *members, sc_slice name);

/* Begins with a zeroed iterator, ends with NULL. The order of packed members is that of their
   coming. */
typedef struct sci_members_iterator {
    uint32_t index;
    uint32_t offset;
} sci_members_iterator;

SCI_PRIVATE sci_member *sci_members_next(const sci_members *members,
                                         sci_members_iterator *iterator);
/* By number, below the count. Packed members are counted through. */
SCI_PRIVATE sci_member *sci_members_at(const sci_members *members, size_t index);
/* Visit `count` different members (at most as many as there are), each choice as likely as any
   other, and then remove them if `removes`. */
SCI_PRIVATE void sci_members_choose(sci_members *members, size_t count, bool removes,
                                    sci_members_chance chance, void *chance_user,
                                    sci_members_visit visit, void *user);
/* One step of a walk: visits some members and returns the next cursor, 0 at the end. Every member
   that is there from the first step (cursor 0) to the last is visited at least once, whatever
   changes between steps. The visitor must not change the table. */
SCI_PRIVATE uint64_t sci_members_walk(const sci_members *members, uint64_t cursor,
                                      sci_members_visit visit, void *user);
