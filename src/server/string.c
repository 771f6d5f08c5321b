/* Strings in their entries. A short one follows the key in the entry's block; a long one has a block
   of its own, which has room to grow once it has grown. */

#include "server/keyspace.h"

#include "server/entry.h"

/* Above this the second block is little beside what it holds. */
#define SCI_STRING_INLINE_BYTES 512
/* A string that grows gets half of its length more, a large one an eighth. */
#define SCI_STRING_LARGE_BYTES ((size_t)1 << 20)

static inline size_t sci_string_block_size(size_t cap)
{
    return sizeof(size_t) + cap;
}

/* The capacity for `len` bytes, so that the block is what allocators round it up to. */
static size_t sci_string_rounded(size_t len)
{
    return sci_counted_block(sci_string_block_size(len)) - sizeof(size_t) -
           sci_string_block_size(0);
}

static inline size_t *sci_string_header(char *bytes)
{
    return (size_t *)(void *)(bytes - sizeof(size_t));
}

SCI_PRIVATE size_t sci_string_cap(const char *bytes)
{
    return bytes ? *(const size_t *)(const void *)(bytes - sizeof(size_t)) : 0;
}

SCI_PRIVATE size_t sci_string_bytes(const char *bytes)
{
    return bytes ? sci_counted_block(sci_string_block_size(sci_string_cap(bytes))) : 0;
}

/* `bytes` NULL makes a block. As sci_resize. */
static char *sci_string_resize(const sci_db *db, char *bytes, size_t cap)
{
    size_t *header = (size_t *)sci_resize(&db->memory, bytes ? sci_string_header(bytes) : NULL,
                                          bytes ? sci_string_block_size(sci_string_cap(bytes)) : 0,
                                          sci_string_block_size(cap));
    if (!header)
        return NULL;
    *header = cap;
    return (char *)(header + 1);
}

SCI_PRIVATE void sci_string_free(const sci_db *db, char *bytes)
{
    if (bytes)
        sci_free(&db->memory, sci_string_header(bytes),
                 sci_string_block_size(sci_string_cap(bytes)));
}

static bool sci_string_fits_length(size_t len)
{
    if (len <= SCI_ENTRY_MAX_BYTES)
        return true;
    (void)sc_fail(SC_ERR_MEMORY, "out of memory: a string of %zu bytes is too long", len);
    return false;
}

/* A string's entry for `len` bytes, in no database yet; `cap` is that of its block when it is not
   inline. `from` and `key` as for sci_entry_make. */
static sci_entry *sci_string_make(const sci_db *db, const sci_entry *from, sc_slice key, size_t len,
                                  size_t cap)
{
    bool is_inline = len <= SCI_STRING_INLINE_BYTES;
    char *bytes = is_inline ? NULL : sci_string_resize(db, NULL, cap);
    if (!is_inline && !bytes)
        return NULL;
    sci_entry *made = sci_entry_make(db, from, key, len, is_inline);
    if (!made) {
        sci_string_free(db, bytes);
        return NULL;
    }
    made->type = SCI_STRING;
    made->value.bytes = bytes;
    return made;
}

static inline char *sci_string_at(sci_entry *entry)
{
    return entry->is_inline ? sci_entry_inline_bytes(entry) : entry->value.bytes;
}

/* Put a made string's entry in the place of `entry` (NULL: it is a new key). */
static sci_entry *sci_string_put(sci_db *db, sci_entry *entry, sci_entry *made)
{
    if (entry) {
        sci_entry_release(db, entry);
        sci_db_replace(db, entry, made);
        return made;
    }
    if (sci_db_insert(db, made))
        return made;
    sci_db_discard_string(db, made);
    return NULL;
}

/* Can a string of `len` bytes stand where the one of `entry` does, without waste? */
static bool sci_string_fits(const sci_entry *entry, size_t len)
{
    if (entry->type != SCI_STRING || (len <= SCI_STRING_INLINE_BYTES) != entry->is_inline)
        return false;
    if (entry->is_inline)
        return sci_entry_block_bytes(entry->key_len, len) ==
               sci_entry_block_bytes(entry->key_len, entry->len);
    size_t cap = sci_string_cap(entry->value.bytes);
    return len <= cap && cap / 2 <= len;
}

SCI_PRIVATE sci_entry *sci_db_set_string(sci_db *db, sci_entry *entry, sc_slice key, sc_slice value)
{
    if (!sci_string_fits_length(value.len))
        return NULL;
    if (entry && sci_string_fits(entry, value.len)) {
        if (value.len > 0)
            memmove(sci_string_at(entry), value.data, value.len);
        entry->len = (uint32_t)value.len;
        return entry;
    }
    sci_entry *made = sci_string_make(db, entry, entry ? sci_entry_key(entry) : key, value.len,
                                      sci_string_rounded(value.len));
    if (!made)
        return NULL;
    if (value.len > 0)
        memcpy(sci_string_at(made), value.data, value.len);
    return sci_string_put(db, entry, made);
}

SCI_PRIVATE sci_entry *sci_db_prepare_string(sci_db *db, sc_slice key, sc_slice value)
{
    if (!sci_string_fits_length(value.len) || !sci_db_has_table(db))
        return NULL;
    sci_entry *made = sci_string_make(db, NULL, key, value.len, sci_string_rounded(value.len));
    if (made && value.len > 0)
        memcpy(sci_string_at(made), value.data, value.len);
    return made;
}

SCI_PRIVATE void sci_db_put_string(sci_db *db, sci_entry *entry, sci_entry *prepared)
{
    sci_assert(!entry || !entry->expiry);
    if (entry) {
        prepared->access = entry->access;
        prepared->epoch = entry->epoch;
    }
    (void)sci_string_put(db, entry, prepared); /* the table is there */
}

SCI_PRIVATE void sci_db_discard_string(sci_db *db, sci_entry *prepared)
{
    sci_entry_release(db, prepared);
    sci_entry_free_block(db, prepared);
}

static size_t sci_string_grown(size_t len)
{
    return sci_string_rounded(len + (len < SCI_STRING_LARGE_BYTES ? len / 2 : len / 8));
}

/* Make a string longer than its place by giving it another. */
static bool sci_string_grow(sci_db *db, sci_entry **entry, size_t len)
{
    sci_entry *old = *entry;
    if (!old->is_inline) {
        char *bytes = sci_string_resize(db, old->value.bytes, sci_string_grown(len));
        if (bytes)
            old->value.bytes = bytes;
        return bytes != NULL;
    }
    sci_entry *made = sci_string_make(db, old, sci_entry_key(old), len, sci_string_grown(len));
    if (!made)
        return false;
    memcpy(sci_string_at(made), sci_string_at(old), sci_min_size(old->len, len));
    *entry = sci_string_put(db, old, made);
    return true;
}

SCI_PRIVATE char *sci_db_resize_string(sci_db *db, sci_entry **entry, sc_slice key, size_t len)
{
    if (!sci_string_fits_length(len))
        return NULL;
    size_t old_len = 0;
    if (!*entry) {
        sci_entry *made = sci_string_make(db, NULL, key, len, sci_string_rounded(len));
        *entry = made ? sci_string_put(db, NULL, made) : NULL;
        if (!*entry)
            return NULL;
    } else {
        old_len = (*entry)->len;
        bool is_room = (*entry)->is_inline ? sci_string_fits(*entry, len)
                                           : len <= sci_string_cap((*entry)->value.bytes);
        if (!is_room && !sci_string_grow(db, entry, len))
            return NULL;
    }
    (*entry)->len = (uint32_t)len;
    char *bytes = sci_string_at(*entry);
    if (len > old_len)
        memset(bytes + old_len, 0, len - old_len);
    return bytes;
}
