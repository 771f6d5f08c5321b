#pragma once
/* What the commands of strings share. */

#include "server/server.h"

/* Set the string under `key`, where `entry` is, from sci_entry_for_write, of any type or NULL;
   expiry is kept. Tells of a new key, but not of the change. False after answering that there is no
   memory. */
SCI_PRIVATE bool sci_string_store(sci_call *call, sci_entry **entry, sc_slice key, sc_slice value);
/* Make the string `len` bytes long, and return its bytes to be changed. As above; NULL after
   answering that there is no memory. */
SCI_PRIVATE char *sci_string_open(sci_call *call, sci_entry **entry, sc_slice key, size_t len);
/* False after answering that a string of `len` and `more` bytes is too long. */
SCI_PRIVATE bool sci_string_may_have(sci_call *call, size_t len, size_t more);
