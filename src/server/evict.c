/* What goes when memory is full, and what goes when its time is over.

   entry->access is, for policies by frequency, the minute of the last decay and below it a counter
   that grows with the logarithm of accesses and loses one a minute (as Redis's LFU); for the others
   a time: of the last access, or of the beginning, first in first out. */

#include "server/evict.h"

#include "server/dispatch.h"

/* Of entries, for each eviction: with ten the choice is nearly what a full order would give. */
#define SCI_EVICT_SAMPLES 10
#define SCI_EVICT_STEPS_PER_SAMPLE 10
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

SCI_PRIVATE int64_t sci_evict_idle_ms(const sc_server *server, const sci_entry *entry)
{
    int32_t idle = (int32_t)(sci_access_time(server) - entry->access);
    return idle < 0 ? 0 : (int64_t)idle * SCI_ACCESS_MS; /* the clock may have been set back */
}

SCI_PRIVATE unsigned sci_evict_frequency(const sc_server *server, const sci_entry *entry)
{
    uint32_t counter = entry->access & SCI_FREQUENCY_MOST;
    int32_t since = (int32_t)(sci_access_minute(server) - (entry->access - counter));
    uint32_t minutes = since < 0 ? 0 : (uint32_t)since >> SCI_FREQUENCY_BITS;
    return counter - (minutes < counter ? minutes : counter);
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

/* MARK: Eviction */

typedef struct sci_victim {
    const sc_server *server;
    sci_evict_order order;
    sci_db *db;       /* that is looked at */
    sci_entry *entry; /* the best so far; NULL: none */
    sci_db *entry_db;
    int64_t score; /* of it; the greatest goes */
    size_t samples;
} sci_victim;

static void sci_victim_consider(void *user, sci_entry *entry)
{
    sci_victim *victim = (sci_victim *)user;
    int64_t score = 0;
    if (victim->order == SCI_EVICT_LFU)
        score = -(int64_t)sci_evict_frequency(victim->server, entry);
    else if (victim->order == SCI_EVICT_TTL)
        score = -sci_db_expiry_ms(victim->db, entry);
    else if (victim->order != SCI_EVICT_RANDOM)
        score = sci_evict_idle_ms(victim->server, entry);
    victim->samples++;
    if (victim->entry && score <= victim->score)
        return;
    victim->entry = entry;
    victim->entry_db = victim->db;
    victim->score = score;
}

/* Consider some of all entries: those of some groups that follow one another by chance. */
static void sci_victim_sample_all(sc_server *server, sci_victim *victim)
{
    if (victim->order == SCI_EVICT_RANDOM) {
        sci_victim_consider(victim, sci_db_random(victim->db, sci_random_u64(server)));
        return;
    }
    uint64_t cursor = sci_random_u64(server);
    size_t most = victim->samples + SCI_EVICT_SAMPLES;
    size_t steps = SCI_EVICT_SAMPLES * SCI_EVICT_STEPS_PER_SAMPLE;
    for (; steps > 0 && victim->samples < most; steps--)
        cursor = sci_db_walk(victim->db, cursor, sci_victim_consider, victim);
    if (!victim->entry)
        sci_victim_consider(victim, sci_db_random(victim->db, cursor));
}

static void sci_victim_sample_volatile(sc_server *server, sci_victim *victim)
{
    const sci_db *db = victim->db;
    if (victim->order == SCI_EVICT_TTL) {
        sci_victim_consider(victim, sci_db_next_to_expire(db));
        return;
    }
    size_t samples = victim->order == SCI_EVICT_RANDOM ? 1 : SCI_EVICT_SAMPLES;
    for (; samples > 0; samples--)
        sci_victim_consider(victim, db->expiries[sci_random_below(server, db->expiry_count)].entry);
}

/* Databases that have as many entries as others have as many chances. */
static bool sci_evict_one(sc_server *server)
{
    bool is_volatile = sci_evict_is_volatile(server);
    sci_victim victim;
    memset(&victim, 0, sizeof victim);
    victim.server = server;
    victim.order = sci_evict_order_of(server);
    for (int i = 0; i < server->db_count; i++) {
        victim.db = &server->dbs[i];
        if (is_volatile && victim.db->expiry_count > 0)
            sci_victim_sample_volatile(server, &victim);
        else if (!is_volatile && sci_db_count(victim.db) > 0)
            sci_victim_sample_all(server, &victim);
    }
    if (!victim.entry)
        return false;
    sci_entry_vanish(server, victim.entry_db, victim.entry, SCI_EVENT_EVICTED);
    return true;
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
        sci_entry *entry = sci_db_next_to_expire(db);
        if (!entry || sci_db_expiry_ms(db, entry) > server->now_ms)
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
