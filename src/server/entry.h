#pragma once
/* What the keyspace's files share: how an entry lies in memory, and in its database. */

#include "server/keyspace.h"
#include "server/memory.h"

/* Longest key and string: lengths and capacities are 32 bits in an entry. */
#define SCI_ENTRY_MAX_BYTES ((size_t)INT32_MAX)

/* Size of an entry's block. All of what allocators round up to is asked for, so that a value can
   change its length a little without a new block. */
static inline size_t sci_entry_block_bytes(size_t key_len, size_t inline_len)
{
    return sci_counted_block(sizeof(sci_entry) + key_len + inline_len) - sizeof(size_t);
}

/* Also an object's entry may have a string's place: what sci_entry_replace_object left. */
static inline size_t sci_entry_inline_len(const sci_entry *entry)
{
    return entry->is_inline ? entry->len : 0;
}

static inline char *sci_entry_inline_bytes(sci_entry *entry)
{
    return (char *)(entry + 1) + entry->key_len;
}

/* A block with this key, and place for `len` bytes after it when they are inline, in no database
   yet. All else is as in `from`, unless that is NULL. NULL when there is no memory. */
SCI_PRIVATE sci_entry *sci_entry_make(const sci_db *db, const sci_entry *from, sc_slice key,
                                      size_t len, bool is_inline);
/* Frees the block alone. */
SCI_PRIVATE void sci_entry_free_block(const sci_db *db, sci_entry *entry);
/* Frees the object, or the string that is not inline. */
SCI_PRIVATE void sci_entry_release(const sci_db *db, sci_entry *entry);

/* Is there a table? Makes one; false when there is no memory. */
SCI_PRIVATE bool sci_db_has_table(sci_db *db);
/* Put a made entry into the table. False when there is no memory for one. */
SCI_PRIVATE bool sci_db_insert(sci_db *db, sci_entry *entry);
/* `made`, with the same key and from sci_entry_make, takes the place of `entry`, whose block is
   freed. What its value was is the caller's. */
SCI_PRIVATE void sci_db_replace(sci_db *db, sci_entry *entry, sci_entry *made);

/* A string that is not inline has a block of its own: its capacity and, where `bytes` points to,
   its bytes. NULL is fine for all of these. */
SCI_PRIVATE size_t sci_string_cap(const char *bytes);
SCI_PRIVATE size_t sci_string_bytes(const char *bytes); /* what the block takes */
SCI_PRIVATE void sci_string_free(const sci_db *db, char *bytes);
