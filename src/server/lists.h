#pragma once
/* What commands on lists share. Locked. */

#include "server/deque.h"
#include "server/server.h"

/* The list under a key, NULL when there is none; false after answering that it is of another type.
   One that is to be changed comes with its entry. */
SCI_PRIVATE bool sci_lists_for_read(sci_call *call, sc_slice key, sci_deque **list);
SCI_PRIVATE bool sci_lists_for_write(sci_call *call, sc_slice key, sci_entry **entry,
                                     sci_deque **list);
/* argv[i] as a number of at least `least`. False after answering "ERR " and `error`. */
SCI_PRIVATE bool sci_lists_arg(sci_call *call, size_t i, int64_t least, const char *error,
                               int64_t *number);
/* Push all of `elements`, into the entry's list or that of a new entry under `key` where it is
   NULL. `*length` is the list's then. False after answering that there is no memory: all is as it
   was. */
SCI_PRIVATE bool sci_lists_push(sci_call *call, sc_slice key, sci_entry *entry, sci_deque_side side,
                                const sc_slice *elements, size_t count, size_t *length);
/* An array of `count` elements that begin on a side. */
SCI_PRIVATE void sci_lists_answer_some(sci_call *call, const sci_deque *list, sci_deque_side side,
                                       size_t count);
/* Elements have been taken from a side: tells so, and an empty list goes. */
SCI_PRIVATE void sci_lists_popped(sci_call *call, sc_slice key, sci_entry *entry,
                                  sci_deque_side side);
