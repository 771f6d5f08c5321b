/* When entries expire: a 4-ary heap, the earliest at the front. Entries know their places. */

#include "server/keyspace.h"

#define SCI_EXPIRY_CHILDREN 4
#define SCI_EXPIRY_LEAST_CAP 16

static inline void sci_expiry_put(sci_db *db, size_t at, sci_expiry expiry)
{
    db->expiries[at] = expiry;
    expiry.entry->expiry = (uint32_t)(at + 1);
}

/* Move `expiry` from the free place `at` to the front until its parent is not later. */
static size_t sci_expiry_rise(sci_db *db, size_t at, sci_expiry expiry)
{
    while (at > 0) {
        size_t parent = (at - 1) / SCI_EXPIRY_CHILDREN;
        if (db->expiries[parent].at_ms <= expiry.at_ms)
            break;
        sci_expiry_put(db, at, db->expiries[parent]);
        at = parent;
    }
    return at;
}

/* Move it to the back until no child is earlier. */
static size_t sci_expiry_sink(sci_db *db, size_t at, sci_expiry expiry)
{
    for (;;) {
        size_t first = at * SCI_EXPIRY_CHILDREN + 1;
        if (first >= db->expiry_count)
            return at;
        size_t end = sci_min_size(first + SCI_EXPIRY_CHILDREN, db->expiry_count);
        size_t earliest = first;
        for (size_t child = first + 1; child < end; child++) {
            if (db->expiries[child].at_ms < db->expiries[earliest].at_ms)
                earliest = child;
        }
        if (db->expiries[earliest].at_ms >= expiry.at_ms)
            return at;
        sci_expiry_put(db, at, db->expiries[earliest]);
        at = earliest;
    }
}

static void sci_expiry_settle(sci_db *db, size_t at, sci_expiry expiry)
{
    at = sci_expiry_rise(db, at, expiry);
    at = sci_expiry_sink(db, at, expiry);
    sci_expiry_put(db, at, expiry);
}

SCI_PRIVATE sc_status sci_db_reserve_expiry(sci_db *db)
{
    if (db->expiry_count < db->expiry_cap)
        return SC_OK;
    size_t cap = sci_max_size(db->expiry_cap + db->expiry_cap / 2, SCI_EXPIRY_LEAST_CAP);
    sci_expiry *expiries = (sci_expiry *)sci_resize(
        &db->memory, db->expiries, db->expiry_cap * sizeof *expiries, cap * sizeof *expiries);
    if (!expiries)
        return SC_ERR_MEMORY;
    db->expiries = expiries;
    db->expiry_cap = cap;
    return SC_OK;
}

/* Without memory for the smaller array the larger one stays, and that is no failure. */
static void sci_expiry_shrink(sci_db *db)
{
    size_t cap = db->expiry_cap / 2;
    if (db->expiry_count >= db->expiry_cap / 4 || cap < SCI_EXPIRY_LEAST_CAP)
        return;
    void *expiries =
        db->memory.resize(db->memory.user, db->expiries, db->expiry_cap * sizeof *db->expiries,
                          cap * sizeof *db->expiries);
    if (!expiries)
        return;
    db->expiries = (sci_expiry *)expiries;
    db->expiry_cap = cap;
}

SCI_PRIVATE sci_entry *sci_db_due(const sci_db *db, int64_t now_ms)
{
    size_t at = 0;
    if (db->expiry_count == 0 || db->expiries[0].at_ms > now_ms)
        return NULL;
    for (;;) {
        size_t child = at * SCI_EXPIRY_CHILDREN + 1;
        size_t end = sci_min_size(child + SCI_EXPIRY_CHILDREN, db->expiry_count);
        while (child < end && db->expiries[child].at_ms > now_ms)
            child++;
        if (child >= end)
            return db->expiries[at].entry;
        at = child;
    }
}

SCI_PRIVATE sc_status sci_db_expire_at(sci_db *db, sci_entry *entry, int64_t at_ms)
{
    sci_expiry expiry;
    expiry.at_ms = at_ms;
    expiry.entry = entry;
    size_t at = entry->expiry - 1;
    if (!entry->expiry) {
        if (sci_db_reserve_expiry(db) != SC_OK)
            return SC_ERR_MEMORY;
        at = db->expiry_count++;
    }
    sci_expiry_settle(db, at, expiry);
    return SC_OK;
}

SCI_PRIVATE void sci_db_persist(sci_db *db, sci_entry *entry)
{
    if (!entry->expiry)
        return;
    size_t at = entry->expiry - 1;
    entry->expiry = 0;
    sci_expiry last = db->expiries[--db->expiry_count];
    if (last.entry != entry)
        sci_expiry_settle(db, at, last);
    sci_expiry_shrink(db);
}
