#pragma once
/* Values over bytes that have another owner. */

#include "api/value.h"
#include "base/prelude.h"

/* A value over `bytes`, which are followed by a NUL; `let_go(owner)` is called when nobody needs
   them any more, on any thread. NULL when there is no memory: then they are still the caller's. */
SCI_PRIVATE sc_value *sci_value_over(const sc_memory *memory, sc_slice bytes,
                                     void (*let_go)(void *owner), void *owner);
