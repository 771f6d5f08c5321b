#pragma once
/* Get-or-load for any target: caches and wrapped functions. */

#include "cache/flight.h"

/* As sc_get_or_load. `options` are resolved. */
SCI_PRIVATE sc_status sci_get_or_load(sc_cache *cache, const sci_target *target, sc_loader loader,
                                      void *user, const sc_load_options *options, sc_value **value);
/* As sc_get_or_load_async. The target's key and shown key are copied; its owner must outlive the
   call. `finished` (may be NULL) is called once after `on_value`, unlocked, with `user`. */
SCI_PRIVATE sc_status sci_get_or_load_async(sc_cache *cache, const sci_target *target,
                                            sc_loader loader, void *user,
                                            const sc_load_options *options, sc_on_value on_value,
                                            void *on_value_user, void (*finished)(void *user));
/* Drop value, lease and result on the server, and let who waits begin anew. */
SCI_PRIVATE sc_status sci_invalidate(sc_cache *cache, const sci_names *names);
/* Errors that say that the server cannot be asked now; others say that the question is wrong. */
SCI_PRIVATE bool sci_load_is_outage(sc_status status);
