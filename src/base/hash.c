/* SipHash-1-3: one round a word, three to finish. */

#include "base/hash.h"

typedef struct sci_hash_state {
    uint64_t v0, v1, v2, v3;
} sci_hash_state;

static inline uint64_t sci_hash_rotate(uint64_t word, unsigned bits)
{
    return (word << bits) | (word >> (64 - bits));
}

static inline void sci_hash_round(sci_hash_state *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = sci_hash_rotate(s->v1, 13) ^ s->v0;
    s->v3 = sci_hash_rotate(s->v3, 16) ^ s->v2;
    s->v0 = sci_hash_rotate(s->v0, 32) + s->v3;
    s->v2 += s->v1;
    s->v3 = sci_hash_rotate(s->v3, 21) ^ s->v0;
    s->v1 = sci_hash_rotate(s->v1, 17) ^ s->v2;
    s->v2 = sci_hash_rotate(s->v2, 32);
}

static inline void sci_hash_add(sci_hash_state *s, uint64_t word)
{
    s->v3 ^= word;
    sci_hash_round(s);
    s->v0 ^= word;
}

/* Eight bytes, the lowest first. Compilers make one load of it. */
static inline uint64_t sci_hash_word(const unsigned char *at)
{
    return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24 |
           (uint64_t)at[4] << 32 | (uint64_t)at[5] << 40 | (uint64_t)at[6] << 48 |
           (uint64_t)at[7] << 56;
}

SCI_PRIVATE uint64_t sci_hash(const sci_hash_seed *seed, sc_slice bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.data;
    size_t words = bytes.len / 8;
    size_t rest = bytes.len % 8;
    sci_hash_state s;
    /* The constants spell "somepseudorandomlygeneratedbytes". */
    s.v0 = seed->k0 ^ UINT64_C(0x736f6d6570736575);
    s.v1 = seed->k1 ^ UINT64_C(0x646f72616e646f6d);
    s.v2 = seed->k0 ^ UINT64_C(0x6c7967656e657261);
    s.v3 = seed->k1 ^ UINT64_C(0x7465646279746573);

    for (; words > 0; words--, at += 8)
        sci_hash_add(&s, sci_hash_word(at));

    uint64_t last = (uint64_t)bytes.len << 56;
    for (size_t i = 0; i < rest; i++)
        last |= (uint64_t)at[i] << (8 * i);
    sci_hash_add(&s, last);

    s.v2 ^= 0xff;
    sci_hash_round(&s);
    sci_hash_round(&s);
    sci_hash_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
