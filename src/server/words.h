#pragma once
/* The words of a server's configuration, the same in URLs, in CONFIG and on a command line. */

#include "api/server.h"
#include "base/prelude.h"

/* "64mb", as Redis reads it: b, k, m, g count by thousands, kb, mb, gb by 1,024; any case. */
SCI_PRIVATE bool sci_bytes_from_text(sc_slice text, uint64_t *bytes);
/* "allkeys-lru"; from text in any case. */
SCI_PRIVATE const char *sci_eviction_to_text(sc_eviction eviction);
SCI_PRIVATE bool sci_eviction_from_text(sc_slice text, sc_eviction *eviction);
/* "always", "everysec", "no"; "never" is read as "no". */
SCI_PRIVATE const char *sci_sync_to_text(sc_sync when);
SCI_PRIVATE bool sci_sync_from_text(sc_slice text, sc_sync *when);
