/* What goes when memory is full, and what goes when its time is over.

   entry->access is, for policies by frequency, the minute of the last decay and below it a counter
   that grows with the logarithm of accesses and loses one a minute (as Redis's LFU); for the others
   a time: of the last access, or of the beginning, first in first out. */

#include "server/evict.h"

#include "server/dispatch.h"

/* Of each database, for each eviction. With the candidates of earlier ones that comes near to the
   true order; five, as Redis has it, are visibly worse. */
#define SCI_EVICT_SAMPLES 10
/* In a table that is nearly empty fewer are found. */
#define SCI_EVICT_BUCKETS 100
/* What one command may take for it; looked at once in so many evictions. */
#define SCI_EVICT_BUDGET_NS 10000000
#define SCI_EVICT_CLOCK_PERIOD 64
/* Half of 32 bits of these are more than a year. */
#define SCI_ACCESS_MS 16
#define SCI_ACCESS_MS_PER_MINUTE 60000

#define SCI_FREQUENCY_BITS 8
#define SCI_FREQUENCY_MOST 255u
/* New entries are not the first to go. */
#define SCI_FREQUENCY_FIRST 5u
/* An access counts with a chance of 1 in (counter - first) * this + 1. */
#define SCI_FREQUENCY_FACTOR 10u

typedef enum sci_evict_order { /* as SC_EVICTION_ALLKEYS_* and SC_EVICTION_VOLATILE_* follow */
                               SCI_EVICT_LRU,
                               SCI_EVICT_LFU,
                               SCI_EVICT_FIFO,
                               SCI_EVICT_RANDOM,
                               SCI_EVICT_TTL
} sci_evict_order;

static bool sci_evict_is_volatile(const sc_server *server)
{
    return server->config.eviction >= SC_EVICTION_VOLATILE_LRU;
}

static sci_evict_order sci_evict_order_of(const sc_server *server)
{
    int policy = (int)server->config.eviction;
    if (policy == (int)SC_EVICTION_NONE)
        return SCI_EVICT_LRU; /* for OBJECT IDLETIME */
    return (sci_evict_order)(policy - (int)(sci_evict_is_volatile(server)
                                                ? SC_EVICTION_VOLATILE_LRU
                                                : SC_EVICTION_ALLKEYS_LRU));
}

/* MARK: What is noted of accesses */

static uint32_t sci_access_time(const sc_server *server)
{
    return (uint32_t)(server->now_ms / SCI_ACCESS_MS);
}

/* Above the counter. */
static uint32_t sci_access_minute(const sc_server *server)
{
    return (uint32_t)(server->now_ms / SCI_ACCESS_MS_PER_MINUTE) << SCI_FREQUENCY_BITS;
}

static int64_t sci_access_idle_ms(const sc_server *server, uint32_t access)
{
    int32_t idle = (int32_t)(sci_access_time(server) - access);
    return idle < 0 ? 0 : (int64_t)idle * SCI_ACCESS_MS; /* the clock may have been set back */
}

static unsigned sci_access_frequency(const sc_server *server, uint32_t access)
{
    uint32_t counter = access & SCI_FREQUENCY_MOST;
    int32_t since = (int32_t)(sci_access_minute(server) - (access - counter));
    uint32_t minutes = since < 0 ? 0 : (uint32_t)since >> SCI_FREQUENCY_BITS;
    return counter - (minutes < counter ? minutes : counter);
}

SCI_PRIVATE int64_t sci_evict_idle_ms(const sc_server *server, const sci_entry *entry)
{
    return sci_access_idle_ms(server, entry->access);
}

SCI_PRIVATE unsigned sci_evict_frequency(const sc_server *server, const sci_entry *entry)
{
    return sci_access_frequency(server, entry->access);
}

SCI_PRIVATE void sci_evict_note_access(sc_server *server, sci_entry *entry)
{
    sci_evict_order order = sci_evict_order_of(server);
    if (order == SCI_EVICT_FIFO)
        return;
    if (order != SCI_EVICT_LFU) {
        entry->access = sci_access_time(server);
        return;
    }
    unsigned counter = sci_evict_frequency(server, entry);
    unsigned above = counter > SCI_FREQUENCY_FIRST ? counter - SCI_FREQUENCY_FIRST : 0;
    if (counter < SCI_FREQUENCY_MOST &&
        sci_random_below(server, above * SCI_FREQUENCY_FACTOR + 1) == 0)
        counter++;
    entry->access = sci_access_minute(server) | counter;
}

SCI_PRIVATE void sci_evict_note_new(sc_server *server, sci_entry *entry)
{
    entry->access = sci_evict_order_of(server) == SCI_EVICT_LFU
                        ? sci_access_minute(server) | SCI_FREQUENCY_FIRST
                        : sci_access_time(server);
}

/* MARK: Candidates

   Each eviction samples a few entries and takes the best of these and of those that earlier ones have
   left. A candidate is no pointer, since its entry may move and go: it is an entry with that hash
   which has not been looked up since. */

typedef struct sci_evict_sampling {
    sc_server *server;
    const sci_db *db; /* that is looked at */
    size_t samples;
} sci_evict_sampling;

/* The greatest goes. */
static int64_t sci_candidate_score(const sc_server *server, const sci_evict_candidate *candidate)
{
    if (sci_evict_order_of(server) == SCI_EVICT_LFU)
        return -(int64_t)sci_access_frequency(server, candidate->access);
    return sci_access_idle_ms(server, candidate->access);
}

/* Where the best or the worst of them is. */
static size_t sci_candidate_find(const sc_server *server, bool wants_worst)
{
    size_t found = 0;
    int64_t found_score = 0;
    for (size_t i = 0; i < server->candidate_count; i++) {
        int64_t score = sci_candidate_score(server, &server->candidates[i]);
        if (i > 0 && (wants_worst ? score >= found_score : score <= found_score))
            continue;
        found = i;
        found_score = score;
    }
    return found;
}

static bool sci_candidate_is_known(const sc_server *server, const sci_evict_candidate *candidate)
{
    for (size_t i = 0; i < server->candidate_count; i++) {
        if (server->candidates[i].hash == candidate->hash &&
            server->candidates[i].db == candidate->db)
            return true;
    }
    return false;
}

/* Keep a sample when it is better than others. */
static void sci_evict_consider(sci_evict_sampling *sampling, const sci_entry *entry)
{
    sc_server *server = sampling->server;
    sci_evict_candidate candidate;
    sampling->samples++;
    candidate.db = sampling->db->index;
    candidate.hash = entry->hash;
    candidate.access = entry->access;
    if (sci_candidate_is_known(server, &candidate))
        return;
    size_t at = server->candidate_count;
    if (at == SCI_EVICT_CANDIDATES) {
        at = sci_candidate_find(server, true);
        if (sci_candidate_score(server, &candidate) <=
            sci_candidate_score(server, &server->candidates[at]))
            return;
    } else {
        server->candidate_count++;
    }
    server->candidates[at] = candidate;
}

/* The candidate's entry, NULL when it is gone, was looked up, or does not expire any more. */
static sci_entry *sci_candidate_entry(const sc_server *server, const sci_evict_candidate *candidate)
{
    sci_entry *entry = sci_db_bucket_of(&server->dbs[candidate->db], candidate->hash);
    while (entry && !(entry->hash == candidate->hash && entry->access == candidate->access))
        entry = entry->next;
    return entry && sci_evict_is_volatile(server) && !entry->expiry ? NULL : entry;
}

/* Sample the entries of some buckets in a row, which are anywhere in the order of keys. */
static void sci_evict_sample_all(sci_db *db, sci_evict_sampling *sampling)
{
    uint64_t random = sci_random_u64(sampling->server);
    uint32_t hash = (uint32_t)random;
    for (size_t i = 0; i < SCI_EVICT_BUCKETS && sampling->samples < SCI_EVICT_SAMPLES; i++) {
        sci_entry *entry = sci_db_bucket_of(db, hash++);
        for (; entry; entry = entry->next)
            sci_evict_consider(sampling, entry);
    }
    if (sampling->samples == 0)
        sci_evict_consider(sampling, sci_db_random(db, random));
}

static size_t sci_evict_count(const sci_db *db, bool is_volatile)
{
    return is_volatile ? db->expiry_count : sci_db_count(db);
}

static void sci_evict_sample(sc_server *server, sci_db *db)
{
    bool is_volatile = sci_evict_is_volatile(server);
    sci_evict_sampling sampling;
    sampling.server = server;
    sampling.db = db;
    sampling.samples = 0;
    if (sci_evict_count(db, is_volatile) == 0)
        return;
    if (!is_volatile)
        sci_evict_sample_all(db, &sampling);
    while (sampling.samples < SCI_EVICT_SAMPLES && is_volatile)
        sci_evict_consider(&sampling,
                           db->expiries[sci_random_below(server, db->expiry_count)].entry);
}

/* MARK: Eviction */

static sci_entry *sci_evict_choose_sampled(sc_server *server, sci_db **db)
{
    for (int i = 0; i < server->db_count; i++)
        sci_evict_sample(server, &server->dbs[i]);
    while (server->candidate_count > 0) {
        size_t best = sci_candidate_find(server, false);
        sci_evict_candidate candidate = server->candidates[best];
        server->candidates[best] = server->candidates[--server->candidate_count];
        sci_entry *entry = sci_candidate_entry(server, &candidate);
        *db = &server->dbs[candidate.db];
        if (entry)
            return entry;
    }
    return NULL;
}

/* Each entry with the same chance, whatever database it is in. */
static sci_entry *sci_evict_choose_by_chance(sc_server *server, sci_db **db)
{
    bool is_volatile = sci_evict_is_volatile(server);
    size_t total = 0;
    *db = NULL;
    for (int i = 0; i < server->db_count; i++) {
        size_t count = sci_evict_count(&server->dbs[i], is_volatile);
        total += count;
        if (count > 0 && sci_random_below(server, total) < count)
            *db = &server->dbs[i];
    }
    if (!*db)
        return NULL;
    if (!is_volatile)
        return sci_db_random(*db, sci_random_u64(server));
    return (*db)->expiries[sci_random_below(server, (*db)->expiry_count)].entry;
}

static sci_entry *sci_evict_choose_soonest(sc_server *server, sci_db **db)
{
    sci_entry *soonest = NULL;
    for (int i = 0; i < server->db_count; i++) {
        sci_db *other = &server->dbs[i];
        sci_entry *entry = sci_db_next_to_expire(other);
        if (!entry || (soonest && sci_db_expiry_ms(other, entry) >= sci_db_expiry_ms(*db, soonest)))
            continue;
        soonest = entry;
        *db = other;
    }
    return soonest;
}

static bool sci_evict_one(sc_server *server)
{
    sci_evict_order order = sci_evict_order_of(server);
    sci_db *db;
    sci_entry *entry;
    if (order == SCI_EVICT_TTL)
        entry = sci_evict_choose_soonest(server, &db);
    else if (order == SCI_EVICT_RANDOM)
        entry = sci_evict_choose_by_chance(server, &db);
    else
        entry = sci_evict_choose_sampled(server, &db);
    if (entry)
        sci_entry_vanish(server, db, entry, SCI_EVENT_EVICTED);
    return entry != NULL;
}

SCI_PRIVATE bool sci_evict_make_room(sc_server *server)
{
    size_t most = server->config.max_memory_bytes;
    if (SCI_LIKELY(most == 0 || server->data.used <= most))
        return true;
    if (server->config.eviction == SC_EVICTION_NONE)
        return false;
    int64_t end_ns = sci_server_now_ns(server) + SCI_EVICT_BUDGET_NS;
    for (size_t count = 1; server->data.used > most; count++) {
        if (!sci_evict_one(server))
            return false;
        if (count % SCI_EVICT_CLOCK_PERIOD == 0 && sci_server_now_ns(server) >= end_ns)
            break; /* the next command goes on */
    }
    return true;
}

/* MARK: Expiry */

/* Entries of one database before the next one's turn, and before the clock is looked at. */
#define SCI_EXPIRE_TURN 32
/* The wall clock may be set forward meanwhile. */
#define SCI_EXPIRE_LONGEST_WAIT_MS 1000

/* False when it had more to delete. */
static bool sci_expire_turn(sc_server *server, sci_db *db)
{
    for (size_t i = 0; i < SCI_EXPIRE_TURN; i++) {
        sci_entry *entry = sci_db_due(db, server->now_ms);
        if (!entry)
            return true;
        sci_entry_vanish(server, db, entry, SCI_EVENT_EXPIRED);
    }
    return false;
}

/* In how many ms the next entry expires; -1: none does. */
static int64_t sci_expire_delay_ms(const sc_server *server)
{
    int64_t delay_ms = -1;
    for (int i = 0; i < server->db_count; i++) {
        const sci_db *db = &server->dbs[i];
        const sci_entry *entry = sci_db_next_to_expire(db);
        if (!entry)
            continue;
        int64_t wait_ms = sci_db_expiry_ms(db, entry) - server->now_ms;
        wait_ms = sci_min_i64(wait_ms, SCI_EXPIRE_LONGEST_WAIT_MS);
        delay_ms = delay_ms < 0 ? wait_ms : sci_min_i64(delay_ms, wait_ms);
    }
    return delay_ms;
}

SCI_PRIVATE int64_t sci_expire_slice(sc_server *server, int64_t budget_ns)
{
    int64_t end_ns = sci_server_now_ns(server) + budget_ns;
    bool is_done;
    do {
        is_done = true;
        for (int i = 0; i < server->db_count; i++)
            is_done &= sci_expire_turn(server, &server->dbs[i]);
    } while (!is_done && sci_server_now_ns(server) < end_ns);
    return is_done ? sci_expire_delay_ms(server) : 0;
}
