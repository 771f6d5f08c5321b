#pragma once
/* SHA-1 (FIPS 180-4): names for scripts (EVALSHA) and for long texts, the same on every machine.
   Not for secrets: collisions can be made on purpose. */

#include "base/prelude.h"

#define SCI_SHA1_HEX_BYTES 41 /* 40 digits and a NUL */

/* The digest of `bytes` as 40 lower-case hexadecimal digits, NUL-terminated. */
SCI_PRIVATE void sci_sha1(sc_slice bytes, char hex[SCI_SHA1_HEX_BYTES]);
