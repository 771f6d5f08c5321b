#pragma once
/* Databases: a hash table of entries each, which grows and shrinks in small steps, and a heap of
   expiry times. Knows nothing of commands, sessions or clocks: `now` comes from the caller. */

#include "base/hash.h"
#include "base/memory.h"

typedef struct sci_entry sci_entry;
typedef struct sci_db sci_db;

typedef enum sci_type {
    SCI_STRING,
    SCI_LIST,
    SCI_SET,
    SCI_ZSET,
    SCI_HASH,
    SCI_STREAM,
    SCI_TYPES
} sci_type;

/* Takes the commands that make a value anew, for the log's rewriting. */
typedef struct sci_dump {
    sc_status (*command)(struct sci_dump *dump, const sc_slice *argv, size_t argc);
} sci_dump;

/* What each type's room knows to do with its objects. Strings live in their entries; their row has
   no functions. */
typedef struct sci_type_table {
    const char *name; /* as TYPE answers */
    void (*release)(const sc_memory *memory, void *object);
    /* NULL when there is no memory. */
    void *(*copy)(const sc_memory *memory, const void *object);
    /* Commands that make the object under `key`, bounded pieces of a large one each. */
    sc_status (*dump)(const void *object, sc_slice key, sci_dump *dump);
    /* What it was given of memory, for MEMORY USAGE. */
    size_t (*bytes)(const void *object);
} sci_type_table;

SCI_PRIVATE const sci_type_table *sci_type_of(sci_type type);

/* An entry is one block: this, the key's bytes and, for a short string, the value's. */
struct sci_entry {
    sci_entry *next; /* in its bucket */
    union {
        void *object; /* owned; not for strings */
        char *bytes;  /* a string that is not inline: owned; its capacity stands before it */
    } value;
    uint32_t hash;
    uint32_t key_len;
    uint32_t len;    /* of a string */
    uint32_t access; /* what the eviction policy counts */
    uint32_t expiry; /* its place in the heap, counted from 1; 0: it does not expire */
    uint8_t type;    /* sci_type */
    bool is_inline;  /* `len` bytes for a string follow the key */
    uint8_t epoch;   /* private to the log's rewriting: of the last one that has written it */
    uint8_t spare;
};

static inline sc_slice sci_entry_key(const sci_entry *entry)
{
    return sc_bytes((const char *)(entry + 1), entry->key_len);
}

/* Valid until the entry is changed. */
static inline sc_slice sci_entry_string(const sci_entry *entry)
{
    return sc_bytes(entry->is_inline ? (const char *)(entry + 1) + entry->key_len
                                     : entry->value.bytes,
                    entry->len);
}

typedef struct sci_expiry {
    int64_t at_ms; /* since 1970 */
    sci_entry *entry;
} sci_expiry;

typedef struct sci_table {
    sci_entry **buckets; /* owned; NULL while there are none */
    size_t bucket_count; /* a power of two, or 0 */
} sci_table;

struct sci_db {
    sc_memory memory;
    sci_hash_seed seed;
    sci_table tables[2];  /* entries move from the first to the second while it is there */
    size_t moved;         /* groups of buckets (see keyspace.c) that are in the second already */
    size_t count;         /* entries */
    sci_expiry *expiries; /* owned: a 4-ary heap, the earliest first */
    size_t expiry_count;
    size_t expiry_cap;
    int index;
};

SCI_PRIVATE void sci_db_init(sci_db *db, const sc_memory *memory, sci_hash_seed seed, int index);
/* Frees all entries and leaves an empty database. */
SCI_PRIVATE void sci_db_clear(sci_db *db);
static inline size_t sci_db_count(const sci_db *db)
{
    return db->count;
}

/* The entry under `key`, also one that has expired; NULL when there is none. */
SCI_PRIVATE sci_entry *sci_db_find(sci_db *db, sc_slice key);
/* The entries of the bucket where those with that hash are, linked by `next`. NULL: none. */
SCI_PRIVATE sci_entry *sci_db_bucket_of(const sci_db *db, uint32_t hash);
/* A new entry under a key that is not there, with `object` (whose owner it becomes). NULL when
   there is no memory: the object is still the caller's. */
SCI_PRIVATE sci_entry *sci_db_add(sci_db *db, sc_slice key, sci_type type, void *object);
/* Set a string under `key`: `entry` is what sci_db_find gave, of any type, or NULL; it may move or
   be replaced. Expiry and `access` are kept. NULL when there is no memory: all is as it was.
   `value` may lie in that very entry. */
SCI_PRIVATE sci_entry *sci_db_set_string(sci_db *db, sci_entry *entry, sc_slice key,
                                         sc_slice value);
/* For setting several strings all or none: an entry for a string that is in no database yet, whose
   `next` is the caller's. NULL when there is no memory. sci_db_put_string then puts it into the
   place of `entry`, which is what sci_db_find gives for its key (NULL: a new key), and which has no
   expiry; it cannot fail. */
SCI_PRIVATE sci_entry *sci_db_prepare_string(sci_db *db, sc_slice key, sc_slice value);
SCI_PRIVATE void sci_db_put_string(sci_db *db, sci_entry *entry, sci_entry *prepared);
SCI_PRIVATE void sci_db_discard_string(sci_db *db, sci_entry *prepared);
/* Make a string `len` bytes long, room to grow included, and return its bytes to be changed: what
   was there is kept, what is new is zero. `*entry` NULL: a new one is made under `key`. It may
   move. NULL when there is no memory: all is as it was. */
SCI_PRIVATE char *sci_db_resize_string(sci_db *db, sci_entry **entry, sc_slice key, size_t len);
/* Take out and free, with its object. */
SCI_PRIVATE void sci_db_delete(sci_db *db, sci_entry *entry);
/* Give the entry another key; expiry is kept. `replaced` is the entry that has that key, or NULL; it
   is deleted. NULL when there is no memory: all is as it was. */
SCI_PRIVATE sci_entry *sci_db_rename(sci_db *db, sci_entry *entry, sc_slice key,
                                     sci_entry *replaced);
/* Move the entry to another database of the same memory and seed, where its key is not there.
   SC_ERR_MEMORY: all is as it was. */
SCI_PRIVATE sc_status sci_db_move(sci_db *db, sci_entry *entry, sci_db *to);
/* Free the object, and put another in its place, of any type but string. */
SCI_PRIVATE void sci_entry_replace_object(sci_db *db, sci_entry *entry, sci_type type,
                                          void *object);

/* Without memory: SC_ERR_MEMORY, and the expiry is as it was. After sci_db_reserve_expiry there is
   memory for one entry. */
SCI_PRIVATE sc_status sci_db_reserve_expiry(sci_db *db);
SCI_PRIVATE sc_status sci_db_expire_at(sci_db *db, sci_entry *entry, int64_t at_ms);
SCI_PRIVATE void sci_db_persist(sci_db *db, sci_entry *entry);
/* -1: it does not expire. */
static inline int64_t sci_db_expiry_ms(const sci_db *db, const sci_entry *entry)
{
    return entry->expiry ? db->expiries[entry->expiry - 1].at_ms : -1;
}
/* The entry that expires first, or NULL. */
static inline sci_entry *sci_db_next_to_expire(const sci_db *db)
{
    return db->expiry_count ? db->expiries[0].entry : NULL;
}

/* An entry that has expired at `now_ms`, or NULL. Of many, one with none below it in the heap: its
   place is filled without moving others, which would touch as many entries as the heap is deep. */
SCI_PRIVATE sci_entry *sci_db_due(const sci_db *db, int64_t now_ms);

/* Walk: calls `visit` for the entries of one step and returns the next cursor, 0 at the end. Every
   entry that is there from the first call (cursor 0) to the last is visited at least once, however
   the table changes size (the cursor counts with its bits reversed, as SCAN's does). `visit` must
   not change the database. */
SCI_PRIVATE uint64_t sci_db_walk(sci_db *db, uint64_t cursor,
                                 void (*visit)(void *user, sci_entry *entry), void *user);
/* An entry by chance, each as likely as any other; NULL when there is none. */
SCI_PRIVATE sci_entry *sci_db_random(sci_db *db, uint64_t random);
/* Make the table's size fit its count, some steps' worth; called by the server now and then. True
   while there is more to do. */
SCI_PRIVATE bool sci_db_tidy(sci_db *db, size_t steps);
/* As OBJECT ENCODING answers: what Redis would most likely use. */
SCI_PRIVATE const char *sci_entry_encoding(const sci_entry *entry);
/* Bytes that the entry and its value take. */
SCI_PRIVATE size_t sci_entry_bytes(const sci_entry *entry);
/* The commands that make an entry anew, expiry included. */
SCI_PRIVATE sc_status sci_entry_dump(const sci_db *db, const sci_entry *entry, sci_dump *dump);
