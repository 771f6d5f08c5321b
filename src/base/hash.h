#pragma once
/* SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012): a keyed hash, so
   that chosen keys cannot be made to collide. */

#include "base/prelude.h"

typedef struct sci_hash_seed {
    uint64_t k0, k1;
} sci_hash_seed;

SCI_PRIVATE uint64_t sci_hash(const sci_hash_seed *seed, sc_slice bytes);
