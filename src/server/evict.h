#pragma once
/* What goes when memory is full, and what goes when its time is over. Locked. */

#include "server/server.h"

/* An entry was looked up, or is new: what the policy counts is noted in entry->access. */
SCI_PRIVATE void sci_evict_note_access(sc_server *server, sci_entry *entry);
SCI_PRIVATE void sci_evict_note_new(sc_server *server, sci_entry *entry);
/* Since it was looked up (or came, first in first out), in steps of some ms. Not for policies by
   frequency. */
SCI_PRIVATE int64_t sci_evict_idle_ms(const sc_server *server, const sci_entry *entry);
/* 0 to 255, a logarithm. For policies by frequency. */
SCI_PRIVATE unsigned sci_evict_frequency(const sc_server *server, const sci_entry *entry);
/* Evict until the data fit into max_memory_bytes; false when nothing more can be evicted. Fine,
   and cheap, without a bound. Much of it takes several calls. */
SCI_PRIVATE bool sci_evict_make_room(sc_server *server);
/* Delete what has expired, for about `budget_ns`. Returns in how many milliseconds it wants to be
   called again: 0 while there is more, -1 when nothing expires. */
SCI_PRIVATE int64_t sci_expire_slice(sc_server *server, int64_t budget_ns);
