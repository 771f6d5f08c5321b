#pragma once
/* Making values without a second copy. */

#include "api/value.h"
#include "base/prelude.h"

/* A value of `len` bytes to be filled in by its one owner before anybody else sees it; NULL when
   there is no memory. */
SCI_PRIVATE sc_value *sci_value_reserve(const sc_memory *memory, size_t len);
SCI_PRIVATE char *sci_value_writable(sc_value *value);
/* Keep the first `len` bytes. */
SCI_PRIVATE void sci_value_shorten(sc_value *value, size_t len);
