#pragma once
/* The local lock map: single flight on any key, and a lock per key, between the threads of one
   process. It needs no server. (In Go: golang.org/x/sync/singleflight.) */

#include "api/value.h"

typedef struct sc_lockmap sc_lockmap;

/* `memory`, `clock` NULL: the platform's. SC_ERR_MEMORY. */
SC_API sc_status sc_lockmap_open(const sc_memory *memory, const sc_clock *clock, sc_lockmap **map);
/* NULL is fine. Only when no call with it is under way. */
SC_API void sc_lockmap_close(sc_lockmap *map);

/* Make a value: SC_OK with a value that the caller will own, or another status without one. */
typedef sc_status (*sc_compute)(void *user, sc_slice key, sc_value **value);

/* Run `compute` for `key`, or wait for the thread that is running it: of all that call at the same
   time, one computes and all get its status, its value (each a reference of its own) and its error
   text. Nothing is kept afterwards. SC_ERR_NOT_SENT when `timeout_ms` passed while another computed
   (-1: wait for ever), SC_ERR_DEADLOCK when this thread is already computing this key,
   SC_ERR_MEMORY. Any thread. Blocks as long as `compute` runs, or up to timeout_ms for another's.
 */
SC_API sc_status sc_single_flight(sc_lockmap *map, sc_slice key, int64_t timeout_ms,
                                  sc_compute compute, void *user, sc_value **value);

/* A held lock on one key. */
typedef struct sc_keylock sc_keylock;

/* Lock `key`; other keys are not in the way. Served in the order of arrival. SC_HELD when
   `timeout_ms` passed (0: try only; -1: wait for ever), SC_ERR_DEADLOCK when this thread holds it,
   SC_ERR_MEMORY. The caller owns `*lock` until sc_keylock_release, on any thread. */
SC_API sc_status sc_keylock_acquire(sc_lockmap *map, sc_slice key, int64_t timeout_ms,
                                    sc_keylock **lock);
SC_API void sc_keylock_release(sc_keylock *lock); /* NULL is fine */
