#pragma once
/* Values: immutable bytes, reference-counted, shared without copying. */

#include "api/platform.h"

typedef struct sc_value sc_value;

/* Make a value with a copy of `bytes`. `memory` NULL: the platform's. The caller owns one
   reference. SC_ERR_MEMORY. Any thread. */
SC_API sc_status sc_value_create(const sc_memory *memory, sc_slice bytes, sc_value **value);

/* The bytes, followed by a NUL that is not counted, so text may be printed with %s. Valid as long
   as the caller holds a reference. NULL gives the empty slice. */
SC_API sc_slice sc_value_bytes(const sc_value *value);

/* Another reference to the same value; returns `value`. Any thread. */
SC_API sc_value *sc_value_retain(sc_value *value);

/* Give one reference back; the last frees. NULL is fine. Any thread, also after sc_close. */
SC_API void sc_value_release(sc_value *value);
