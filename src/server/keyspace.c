/* A database: entries in a hash table that changes its size in small steps.

   While it does there are two arrays of buckets. The buckets of both whose numbers agree in the bits
   of the smaller array's mask form a group: entries of a group stay in it, whichever array they are
   in. A step moves the next group as a whole, so that each entry is in exactly one place that its
   hash tells, and a new array needs no zeroing as a whole, which would take milliseconds. */

#include "server/keyspace.h"

#include "base/number.h"
#include "server/cursor.h"
#include "server/entry.h"

SCI_STATIC_ASSERT(sizeof(void *) != 8 || sizeof(sci_entry) == 40, entries_are_small);

#define SCI_TABLE_LEAST_BUCKETS 16
/* As many as hashes can tell apart, or as a machine with 32 bits has place for. */
#define SCI_TABLE_MOST_BUCKETS ((size_t)1 << (sizeof(size_t) > 4 ? 31 : 28))
/* Grows when there are as many entries as buckets, shrinks at an eighth of that, to a quarter: both
   are far from changing again. */
#define SCI_TABLE_GROWTH 2
#define SCI_TABLE_SHRINKS_BELOW 8
#define SCI_TABLE_SHRINKING 4

SCI_PRIVATE void sci_db_init(sci_db *db, const sc_memory *memory, sci_hash_seed seed, int index)
{
    memset(db, 0, sizeof *db);
    db->memory = *memory;
    db->seed = seed;
    db->index = index;
}

/* MARK: The table */

static inline bool sci_db_is_resizing(const sci_db *db)
{
    return db->tables[1].buckets != NULL;
}

static inline size_t sci_db_group_count(const sci_db *db)
{
    size_t count = db->tables[0].bucket_count;
    return sci_db_is_resizing(db) ? sci_min_size(count, db->tables[1].bucket_count) : count;
}

/* The array where that group is. */
static inline const sci_table *sci_db_table_of(const sci_db *db, size_t group)
{
    return &db->tables[sci_db_is_resizing(db) && group < db->moved];
}

static inline sci_entry **sci_db_bucket(const sci_db *db, uint32_t hash)
{
    const sci_table *table = sci_db_table_of(db, hash & (sci_db_group_count(db) - 1));
    return &table->buckets[hash & (table->bucket_count - 1)];
}

static void sci_table_free(const sci_db *db, sci_table *table)
{
    sci_free(&db->memory, table->buckets, table->bucket_count * sizeof *table->buckets);
    table->buckets = NULL;
    table->bucket_count = 0;
}

/* Move the next group. */
static void sci_db_step(sci_db *db)
{
    sci_table *from = &db->tables[0], *to = &db->tables[1];
    size_t groups = sci_db_group_count(db);
    for (size_t i = db->moved; i < to->bucket_count; i += groups)
        to->buckets[i] = NULL;
    for (size_t i = db->moved; i < from->bucket_count; i += groups) {
        for (sci_entry *entry = from->buckets[i], *next; entry; entry = next) {
            next = entry->next;
            sci_entry **bucket = &to->buckets[entry->hash & (to->bucket_count - 1)];
            entry->next = *bucket;
            *bucket = entry;
        }
    }
    if (++db->moved < groups)
        return;
    sci_table_free(db, from);
    *from = *to;
    to->buckets = NULL;
    to->bucket_count = 0;
    db->moved = 0;
}

/* Without memory for it the table stays as it is, and that is no failure, so the memory is asked
   without setting the detail text. */
static void sci_db_begin_resizing(sci_db *db, size_t bucket_count)
{
    sci_table *to = &db->tables[1];
    void *buckets = db->memory.resize(db->memory.user, NULL, 0, bucket_count * sizeof *to->buckets);
    if (!buckets)
        return;
    to->buckets = (sci_entry **)buckets;
    to->bucket_count = bucket_count;
    db->moved = 0;
}

/* What each access to the table does for its size. */
static inline void sci_db_upkeep(sci_db *db)
{
    size_t bucket_count = db->tables[0].bucket_count;
    if (sci_db_is_resizing(db))
        sci_db_step(db);
    else if (SCI_UNLIKELY(db->count >= bucket_count && bucket_count > 0 &&
                          bucket_count < SCI_TABLE_MOST_BUCKETS))
        sci_db_begin_resizing(db, bucket_count * SCI_TABLE_GROWTH);
    else if (SCI_UNLIKELY(db->count < bucket_count / SCI_TABLE_SHRINKS_BELOW &&
                          bucket_count > SCI_TABLE_LEAST_BUCKETS))
        sci_db_begin_resizing(
            db, sci_max_size(bucket_count / SCI_TABLE_SHRINKING, SCI_TABLE_LEAST_BUCKETS));
}

SCI_PRIVATE bool sci_db_tidy(sci_db *db, size_t steps)
{
    for (; steps > 0; steps--) {
        bool was_resizing = sci_db_is_resizing(db);
        sci_db_upkeep(db);
        if (!was_resizing && !sci_db_is_resizing(db))
            return false;
    }
    return true;
}

/* What points to the entry. */
static sci_entry **sci_db_place_of(const sci_db *db, const sci_entry *entry)
{
    sci_entry **place = sci_db_bucket(db, entry->hash);
    while (*place != entry) {
        sci_assert(*place);
        place = &(*place)->next;
    }
    return place;
}

SCI_PRIVATE sci_entry *sci_db_find(sci_db *db, sc_slice key)
{
    if (db->count == 0)
        return NULL;
    sci_db_upkeep(db);
    uint32_t hash = (uint32_t)sci_hash(&db->seed, key);
    sci_entry *entry = *sci_db_bucket(db, hash);
    while (entry && !(entry->hash == hash && sci_slice_equal(sci_entry_key(entry), key)))
        entry = entry->next;
    return entry;
}

SCI_PRIVATE sci_entry *sci_db_bucket_of(const sci_db *db, uint32_t hash)
{
    return db->count > 0 ? *sci_db_bucket(db, hash) : NULL;
}

SCI_PRIVATE bool sci_db_has_table(sci_db *db)
{
    sci_table *table = &db->tables[0];
    if (table->buckets)
        return true;
    size_t size = SCI_TABLE_LEAST_BUCKETS * sizeof *table->buckets;
    table->buckets = (sci_entry **)sci_alloc_zeroed(&db->memory, size);
    table->bucket_count = table->buckets ? SCI_TABLE_LEAST_BUCKETS : 0;
    return table->buckets != NULL;
}

SCI_PRIVATE bool sci_db_insert(sci_db *db, sci_entry *entry)
{
    if (!sci_db_has_table(db))
        return false;
    sci_db_upkeep(db);
    sci_entry **bucket = sci_db_bucket(db, entry->hash);
    entry->next = *bucket;
    *bucket = entry;
    db->count++;
    return true;
}

SCI_PRIVATE void sci_db_replace(sci_db *db, sci_entry *entry, sci_entry *made)
{
    sci_entry **place = sci_db_place_of(db, entry);
    made->next = entry->next;
    *place = made;
    if (made->expiry)
        db->expiries[made->expiry - 1].entry = made;
    sci_entry_free_block(db, entry);
}

/* MARK: Entries */

SCI_PRIVATE sci_entry *sci_entry_make(const sci_db *db, const sci_entry *from, sc_slice key,
                                      size_t len, bool is_inline)
{
    if (key.len > SCI_ENTRY_MAX_BYTES) {
        (void)sc_fail(SC_ERR_MEMORY, "out of memory: a key of %zu bytes is too long", key.len);
        return NULL;
    }
    size_t size = sci_entry_block_bytes(key.len, is_inline ? len : 0);
    sci_entry *entry = (sci_entry *)sci_resize(&db->memory, NULL, 0, size);
    if (!entry)
        return NULL;
    if (from) {
        *entry = *from;
    } else {
        memset(entry, 0, sizeof *entry);
        entry->hash = (uint32_t)sci_hash(&db->seed, key);
    }
    entry->key_len = (uint32_t)key.len;
    entry->len = (uint32_t)len;
    entry->is_inline = is_inline;
    if (key.len > 0)
        memcpy(entry + 1, key.data, key.len);
    return entry;
}

SCI_PRIVATE void sci_entry_free_block(const sci_db *db, sci_entry *entry)
{
    sci_free(&db->memory, entry,
             sci_entry_block_bytes(entry->key_len, sci_entry_inline_len(entry)));
}

SCI_PRIVATE void sci_entry_release(const sci_db *db, sci_entry *entry)
{
    if (entry->type != SCI_STRING)
        sci_type_of((sci_type)entry->type)->release(&db->memory, entry->value.object);
    else if (!entry->is_inline)
        sci_string_free(db, entry->value.bytes);
}

SCI_PRIVATE sci_entry *sci_db_add(sci_db *db, sc_slice key, sci_type type, void *object)
{
    sci_entry *entry = sci_entry_make(db, NULL, key, 0, false);
    if (!entry)
        return NULL;
    entry->type = (uint8_t)type;
    entry->value.object = object;
    if (sci_db_insert(db, entry))
        return entry;
    sci_entry_free_block(db, entry);
    return NULL;
}

static void sci_db_unlink(sci_db *db, const sci_entry *entry)
{
    *sci_db_place_of(db, entry) = entry->next;
    db->count--;
}

SCI_PRIVATE void sci_db_delete(sci_db *db, sci_entry *entry)
{
    sci_db_unlink(db, entry);
    sci_db_persist(db, entry);
    sci_entry_release(db, entry);
    sci_entry_free_block(db, entry);
    sci_db_upkeep(db);
}

SCI_PRIVATE sci_entry *sci_db_rename(sci_db *db, sci_entry *entry, sc_slice key,
                                     sci_entry *replaced)
{
    sci_entry *made = sci_entry_make(db, entry, key, entry->len, entry->is_inline);
    if (!made)
        return NULL;
    if (made->is_inline)
        memcpy(sci_entry_inline_bytes(made), sci_entry_inline_bytes(entry), made->len);
    made->hash = (uint32_t)sci_hash(&db->seed, key);
    sci_db_unlink(db, entry);
    if (made->expiry)
        db->expiries[made->expiry - 1].entry = made;
    sci_entry_free_block(db, entry);
    if (replaced)
        sci_db_delete(db, replaced);
    (void)sci_db_insert(db, made); /* the table is there */
    return made;
}

SCI_PRIVATE sc_status sci_db_move(sci_db *db, sci_entry *entry, sci_db *to)
{
    int64_t at_ms = sci_db_expiry_ms(db, entry);
    if (!sci_db_has_table(to) || (at_ms >= 0 && sci_db_reserve_expiry(to) != SC_OK))
        return SC_ERR_MEMORY;
    sci_db_unlink(db, entry);
    sci_db_persist(db, entry);
    sci_db_upkeep(db);
    (void)sci_db_insert(to, entry); /* the table is there */
    return at_ms < 0 ? SC_OK : sci_db_expire_at(to, entry, at_ms);
}

SCI_PRIVATE void sci_entry_replace_object(sci_db *db, sci_entry *entry, sci_type type, void *object)
{
    sci_assert(type != SCI_STRING);
    sci_entry_release(db, entry);
    entry->type = (uint8_t)type;
    entry->value.object = object;
}

SCI_PRIVATE size_t sci_entry_bytes(const sci_entry *entry)
{
    size_t own = sci_entry_block_bytes(entry->key_len, sci_entry_inline_len(entry));
    size_t bytes = sci_counted_block(own);
    if (entry->type != SCI_STRING)
        return bytes + sci_type_of((sci_type)entry->type)->bytes(entry->value.object);
    return entry->is_inline ? bytes : bytes + sci_string_bytes(entry->value.bytes);
}

static sc_status sci_entry_dump_string(const sci_entry *entry, int64_t at_ms, sci_dump *dump)
{
    char digits[SCI_I64_TEXT_BYTES];
    sc_slice words[5];
    words[0] = sc_text("SET");
    words[1] = sci_entry_key(entry);
    words[2] = sci_entry_string(entry);
    words[3] = sc_text("PXAT");
    words[4] = sc_bytes(digits, sci_i64_to_text(at_ms, digits));
    return dump->command(dump, words, at_ms < 0 ? 3 : 5);
}

SCI_PRIVATE sc_status sci_entry_dump(const sci_db *db, const sci_entry *entry, sci_dump *dump)
{
    int64_t at_ms = sci_db_expiry_ms(db, entry);
    if (entry->type == SCI_STRING)
        return sci_entry_dump_string(entry, at_ms, dump);
    sc_slice key = sci_entry_key(entry);
    sc_status status = sci_type_of((sci_type)entry->type)->dump(entry->value.object, key, dump);
    if (status != SC_OK || at_ms < 0)
        return status;
    char digits[SCI_I64_TEXT_BYTES];
    sc_slice words[3];
    words[0] = sc_text("PEXPIREAT");
    words[1] = key;
    words[2] = sc_bytes(digits, sci_i64_to_text(at_ms, digits));
    return dump->command(dump, words, SCI_COUNT(words));
}

/* MARK: All of them */

SCI_PRIVATE uint64_t sci_db_walk(sci_db *db, uint64_t cursor,
                                 void (*visit)(void *user, sci_entry *entry), void *user)
{
    if (db->count == 0)
        return 0;
    size_t groups = sci_db_group_count(db);
    size_t group = (size_t)cursor & (groups - 1);
    const sci_table *table = sci_db_table_of(db, group);
    for (size_t i = group; i < table->bucket_count; i += groups) {
        for (sci_entry *entry = table->buckets[i]; entry; entry = entry->next)
            visit(user, entry);
    }
    /* A group that splits becomes groups that follow one another on the cursor's line; groups that
       join were neighbours on it. */
    return sci_cursor_next(cursor, groups - 1);
}

/* Longer lists are as likely as one of that length. */
#define SCI_RANDOM_LIST 8
/* Then the table is nearly empty, and the next list that is not is taken. */
#define SCI_RANDOM_TRIES 256

/* SplitMix64 (Steele, Lea and Flood, 2014): many random words from one. */
static uint64_t sci_db_next_chance(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t sci_entry_list_len(const sci_entry *entry)
{
    size_t len = 0;
    for (; entry; entry = entry->next)
        len++;
    return len;
}

SCI_PRIVATE sci_entry *sci_db_random(sci_db *db, uint64_t random)
{
    if (db->count == 0)
        return NULL;
    uint64_t state = random;
    size_t groups = sci_db_group_count(db);
    size_t most = sci_max_size(db->tables[0].bucket_count, db->tables[1].bucket_count);
    sci_entry *entry;
    size_t len;
    for (uint32_t tries = 0;; tries++) {
        uint64_t chance = sci_db_next_chance(&state);
        bool takes_next = tries >= SCI_RANDOM_TRIES;
        uint32_t hash = takes_next ? (uint32_t)random + tries : (uint32_t)chance;
        const sci_table *table = sci_db_table_of(db, hash & (groups - 1));
        entry = table->buckets[hash & (table->bucket_count - 1)];
        len = sci_entry_list_len(entry);
        /* A list is taken as often as it is long, and then each of it alike. Lists of a smaller
           array are met more often. */
        size_t bound = SCI_RANDOM_LIST * (most / table->bucket_count);
        if (len > 0 && (takes_next || (size_t)(chance >> 32) % bound < len))
            break;
    }
    for (uint64_t skip = sci_db_next_chance(&state) % len; skip > 0; skip--)
        entry = entry->next;
    return entry;
}

SCI_PRIVATE void sci_db_clear(sci_db *db)
{
    while (sci_db_is_resizing(db))
        sci_db_step(db);
    sci_table *table = &db->tables[0];
    for (size_t i = 0; i < table->bucket_count; i++) {
        for (sci_entry *entry = table->buckets[i], *next; entry; entry = next) {
            next = entry->next;
            sci_entry_release(db, entry);
            sci_entry_free_block(db, entry);
        }
    }
    sci_table_free(db, table);
    sci_free(&db->memory, db->expiries, db->expiry_cap * sizeof *db->expiries);
    db->expiries = NULL;
    db->expiry_count = 0;
    db->expiry_cap = 0;
    db->count = 0;
}
