/* The local lock map: single flight and a lock per key, between threads. */

#include "api/flight.h"

#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "base/platform.h"
#include "base/thread.h"

#define SCI_LOCKMAP_NS_PER_MS 1000000

/* What a key is held for: by one thread, while others wait. The key's bytes follow the struct. */
typedef struct sci_holding {
    sci_map_node node;
    sci_link waiters;  /* first come, first served */
    size_t references; /* the holder's and the waiters' */
    size_t block_bytes;
    uintptr_t holder; /* thread */
    /* single flight: what came out */
    bool is_done;
    sc_status status;
    sc_value *value;
    sc_value *error_text;
} sci_holding;

/* A thread that waits; on its stack. */
typedef struct sci_local_waiter {
    sci_link link;     /* in holding->waiters */
    sci_link all_link; /* in map->waiters */
    sci_holding *holding;
    uintptr_t thread;
    sci_gate gate;
    bool is_granted;
} sci_local_waiter;

struct sc_lockmap {
    sc_memory memory;
    sc_clock clock;
    sci_mutex mutex;
    sci_map flights;
    sci_map locks;
    sci_link waiters; /* all of them: to find who waits for whom */
};

struct sc_keylock {
    sc_lockmap *map;
    sci_holding *holding;
};

SC_API sc_status sc_lockmap_open(const sc_memory *memory, const sc_clock *clock, sc_lockmap **map)
{
    sc_memory own_memory;
    sc_clock own_clock;
    sc_random random;
    sci_hash_seed seed;
    *map = NULL;
    memset(&seed, 0, sizeof seed);
    if (!memory && !sci_platform_memory(&own_memory))
        return sc_fail(SC_ERR_ARGUMENT, "this build has no allocator of its own: pass one");
    if (!clock && !sci_platform_clock(&own_clock))
        return sc_fail(SC_ERR_ARGUMENT, "this build has no clock of its own: pass one");
    memory = memory ? memory : &own_memory;
    clock = clock ? clock : &own_clock;
    sc_status status = sci_platform_random(&random)
                           ? random.fill(random.user, &seed, sizeof seed)
                           : SC_OK; /* without one, chosen keys can be made to collide */
    if (status != SC_OK)
        return status;
    sc_lockmap *opened = (sc_lockmap *)sci_alloc_zeroed(memory, sizeof *opened);
    if (!opened)
        return SC_ERR_MEMORY;
    opened->memory = *memory;
    opened->clock = *clock;
    sci_mutex_init(&opened->mutex);
    sci_map_init(&opened->flights, memory, seed);
    sci_map_init(&opened->locks, memory, seed);
    sci_list_init(&opened->waiters);
    *map = opened;
    return SC_OK;
}

SC_API void sc_lockmap_close(sc_lockmap *map)
{
    if (!map)
        return;
    sc_memory memory = map->memory;
    sci_assert(map->flights.count == 0 && map->locks.count == 0);
    sci_map_free(&map->flights);
    sci_map_free(&map->locks);
    sci_mutex_free(&map->mutex);
    sci_free(&memory, map, sizeof *map);
}

/* All below with the mutex held, unless said otherwise. */

static sci_holding *sci_holding_find(const sci_map *map, sc_slice key)
{
    sci_map_node *node = sci_map_find(map, key, sci_map_hash(map, key));
    return node ? SCI_CONTAINER(node, sci_holding, node) : NULL;
}

static sci_holding *sci_holding_create(const sc_memory *memory, sci_map *map, sc_slice key)
{
    size_t block_bytes = sizeof(sci_holding) + key.len;
    sci_holding *holding = (sci_holding *)sci_alloc_zeroed(memory, block_bytes);
    if (!holding)
        return NULL;
    char *own_key = (char *)(holding + 1);
    if (key.len)
        memcpy(own_key, key.data, key.len);
    holding->block_bytes = block_bytes;
    holding->references = 1;
    holding->holder = sci_thread_self();
    sci_list_init(&holding->waiters);
    sci_map_put(map, &holding->node, sc_bytes(own_key, key.len), sci_map_hash(map, key));
    return holding;
}

static void sci_holding_release(const sc_memory *memory, sci_holding *holding)
{
    if (--holding->references > 0)
        return;
    sc_value_release(holding->value);
    sc_value_release(holding->error_text);
    sci_free(memory, holding, holding->block_bytes);
}

/* Whether waiting for `holding` would close a circle: its holder waits, perhaps through others, for
   what this thread holds. */
static bool sci_holding_is_deadlock(const sc_lockmap *map, const sci_holding *holding)
{
    uintptr_t self = sci_thread_self();
    for (size_t steps = 0; holding; steps++) {
        const sci_holding *next = NULL;
        if (holding->holder == self)
            return true;
        for (sci_link *link = map->waiters.next; link != &map->waiters; link = link->next) {
            const sci_local_waiter *waiter = SCI_CONTAINER(link, sci_local_waiter, all_link);
            if (waiter->thread == holding->holder)
                next = waiter->holding;
        }
        holding = next;
    }
    return false;
}

/* Wait, without the mutex, until granted or the time-out; then hold it again. False: timed out. */
static bool sci_holding_wait(sc_lockmap *map, sci_holding *holding, int64_t timeout_ms)
{
    sci_local_waiter waiter;
    int64_t now_ns = map->clock.monotonic_ns(map->clock.user);
    int64_t deadline_ns =
        timeout_ms < 0 || timeout_ms > (INT64_MAX - now_ns) / SCI_LOCKMAP_NS_PER_MS
            ? INT64_MAX
            : now_ns + timeout_ms * SCI_LOCKMAP_NS_PER_MS;
    memset(&waiter, 0, sizeof waiter);
    sci_list_init(&waiter.link);
    sci_list_init(&waiter.all_link);
    sci_list_append(&holding->waiters, &waiter.link);
    sci_list_append(&map->waiters, &waiter.all_link);
    waiter.holding = holding;
    waiter.thread = sci_thread_self();
    sci_gate_init(&waiter.gate);
    holding->references++;
    while (!waiter.is_granted && now_ns < deadline_ns) {
        uint32_t ticket = sci_gate_ticket(&waiter.gate);
        sci_mutex_unlock(&map->mutex);
        sci_gate_wait(&waiter.gate, ticket, deadline_ns == INT64_MAX ? -1 : deadline_ns - now_ns);
        sci_mutex_lock(&map->mutex);
        now_ns = map->clock.monotonic_ns(map->clock.user);
    }
    sci_list_remove(&waiter.link);
    sci_list_remove(&waiter.all_link);
    sci_gate_free(&waiter.gate);
    return waiter.is_granted;
}

/* Let the first who waits go on. False when nobody does. */
static bool sci_holding_grant_next(sci_holding *holding)
{
    sci_link *link = sci_list_take_first(&holding->waiters);
    if (!link)
        return false;
    sci_local_waiter *waiter = SCI_CONTAINER(link, sci_local_waiter, link);
    waiter->is_granted = true;
    sci_list_remove(&waiter->all_link); /* it waits no more, even if it has yet to wake */
    holding->holder = waiter->thread;
    sci_gate_wake_one(&waiter->gate);
    return true;
}

/* Single flight. */

/* The words of a failure, for the threads that share it. */
static sc_value *sci_local_flight_words(const sc_memory *memory, sc_status status)
{
    sc_value *words = NULL;
    if (status < 0)
        (void)sc_value_create(memory, sc_text(sc_error_text()), &words);
    return words;
}

static sc_status sci_local_flight_lead(sc_lockmap *map, sci_holding *flight, sc_compute compute,
                                       void *user, sc_value **value)
{
    sci_mutex_unlock(&map->mutex);
    sc_value *computed = NULL;
    sc_status status = compute(user, flight->node.key, &computed);
    sc_value *words = sci_local_flight_words(&map->memory, status);
    *value = sc_value_retain(computed);
    sci_mutex_lock(&map->mutex);
    sci_map_remove(&map->flights, &flight->node);
    flight->status = status;
    flight->value = computed;
    flight->error_text = words;
    flight->is_done = true;
    while (sci_holding_grant_next(flight))
        continue;
    return status;
}

static sc_status sci_local_flight_join(sc_lockmap *map, sci_holding *flight, int64_t timeout_ms,
                                       sc_value **value)
{
    if (sci_holding_is_deadlock(map, flight)) {
        flight->references++; /* the caller gives one back */
        return sc_fail(SC_ERR_DEADLOCK,
                       "this thread, or one that waits for it, is computing \"%.*s\"",
                       (int)sci_min_size(flight->node.key.len, 100), flight->node.key.data);
    }
    if (!sci_holding_wait(map, flight, timeout_ms))
        return sc_fail(SC_ERR_NOT_SENT, "another thread was still computing \"%.*s\" after %lld ms",
                       (int)sci_min_size(flight->node.key.len, 100), flight->node.key.data,
                       (long long)timeout_ms);
    *value = sc_value_retain(flight->value);
    if (flight->status < 0) {
        sc_slice words = sc_value_bytes(flight->error_text);
        sci_error_text_set(words.data, words.len);
    }
    return flight->status;
}

SC_API sc_status sc_single_flight(sc_lockmap *map, sc_slice key, int64_t timeout_ms,
                                  sc_compute compute, void *user, sc_value **value)
{
    sc_status status;
    *value = NULL;
    sci_mutex_lock(&map->mutex);
    sci_holding *flight = sci_holding_find(&map->flights, key);
    if (flight) {
        status = sci_local_flight_join(map, flight, timeout_ms, value);
    } else {
        flight = sci_holding_create(&map->memory, &map->flights, key);
        status = flight ? sci_local_flight_lead(map, flight, compute, user, value) : SC_ERR_MEMORY;
    }
    if (flight)
        sci_holding_release(&map->memory, flight);
    sci_mutex_unlock(&map->mutex);
    return status;
}

/* A lock per key. */

/* Hold the key; one reference goes with it. */
static sc_status sci_keylock_take(sc_lockmap *map, sc_slice key, int64_t timeout_ms,
                                  sci_holding **holding)
{
    sci_holding *found = sci_holding_find(&map->locks, key);
    if (!found) {
        *holding = sci_holding_create(&map->memory, &map->locks, key);
        return *holding ? SC_OK : SC_ERR_MEMORY;
    }
    if (timeout_ms == 0)
        return SC_HELD;
    if (sci_holding_is_deadlock(map, found))
        return sc_fail(SC_ERR_DEADLOCK, "this thread, or one that waits for it, holds \"%.*s\"",
                       (int)sci_min_size(key.len, 100), key.data);
    if (!sci_holding_wait(map, found, timeout_ms)) {
        sci_holding_release(&map->memory, found);
        return SC_HELD;
    }
    *holding = found;
    return SC_OK;
}

SC_API sc_status sc_keylock_acquire(sc_lockmap *map, sc_slice key, int64_t timeout_ms,
                                    sc_keylock **lock)
{
    *lock = NULL;
    sc_keylock *taken = (sc_keylock *)sci_alloc_zeroed(&map->memory, sizeof *taken);
    if (!taken)
        return SC_ERR_MEMORY;
    taken->map = map;
    sci_mutex_lock(&map->mutex);
    sc_status status = sci_keylock_take(map, key, timeout_ms, &taken->holding);
    sci_mutex_unlock(&map->mutex);
    if (status == SC_OK)
        *lock = taken;
    else
        sci_free(&map->memory, taken, sizeof *taken);
    return status;
}

SC_API void sc_keylock_release(sc_keylock *lock)
{
    if (!lock)
        return;
    sc_lockmap *map = lock->map;
    sci_mutex_lock(&map->mutex);
    if (!sci_holding_grant_next(lock->holding))
        sci_map_remove(&map->locks, &lock->holding->node);
    sci_holding_release(&map->memory, lock->holding);
    sci_mutex_unlock(&map->mutex);
    sci_free(&map->memory, lock, sizeof *lock);
}
