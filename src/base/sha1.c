/* SHA-1, straight from FIPS 180-4 section 6.1. Names in comments and variables are the standard's.
 */

#include "base/sha1.h"

#define SCI_SHA1_BLOCK_BYTES 64
#define SCI_SHA1_LENGTH_BYTES 8 /* the bit count that ends the last block */
#define SCI_SHA1_WORDS 5

static uint32_t sci_sha1_rotate(uint32_t word, unsigned bits)
{
    return (word << bits) | (word >> (32 - bits));
}

/* The message schedule W (section 6.1.2, step 1). */
static void sci_sha1_schedule(const unsigned char *block, uint32_t w[80])
{
    for (unsigned t = 0; t < 16; t++)
        w[t] = ((uint32_t)block[4 * t] << 24) | ((uint32_t)block[4 * t + 1] << 16) |
               ((uint32_t)block[4 * t + 2] << 8) | (uint32_t)block[4 * t + 3];
    for (unsigned t = 16; t < 80; t++)
        w[t] = sci_sha1_rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
}

static void sci_sha1_block(uint32_t state[SCI_SHA1_WORDS], const unsigned char *block)
{
    uint32_t w[80];
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];

    sci_sha1_schedule(block, w);
    for (unsigned t = 0; t < 80; t++) {
        uint32_t mixed;
        if (t < 20)
            mixed = ((b & c) | (~b & d)) + 0x5a827999u;
        else if (t < 40)
            mixed = (b ^ c ^ d) + 0x6ed9eba1u;
        else if (t < 60)
            mixed = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdcu;
        else
            mixed = (b ^ c ^ d) + 0xca62c1d6u;
        mixed += sci_sha1_rotate(a, 5) + e + w[t];
        e = d;
        d = c;
        c = sci_sha1_rotate(b, 30);
        b = a;
        a = mixed;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

/* The bytes after the last whole block, padded to one block or two (section 5.1.1). */
static void sci_sha1_finish(uint32_t state[SCI_SHA1_WORDS], const char *rest, size_t rest_len,
                            uint64_t total_bytes)
{
    unsigned char tail[2 * SCI_SHA1_BLOCK_BYTES];
    size_t tail_len = rest_len + 1 + SCI_SHA1_LENGTH_BYTES <= SCI_SHA1_BLOCK_BYTES
                          ? SCI_SHA1_BLOCK_BYTES
                          : 2 * SCI_SHA1_BLOCK_BYTES;

    memset(tail, 0, sizeof tail);
    if (rest_len)
        memcpy(tail, rest, rest_len);
    tail[rest_len] = 0x80;
    uint64_t total_bits = total_bytes * 8;
    for (size_t i = 1; i <= SCI_SHA1_LENGTH_BYTES; i++, total_bits >>= 8)
        tail[tail_len - i] = (unsigned char)(total_bits & 0xff);
    for (size_t at = 0; at < tail_len; at += SCI_SHA1_BLOCK_BYTES)
        sci_sha1_block(state, tail + at);
}

SCI_PRIVATE void sci_sha1(sc_slice bytes, char hex[SCI_SHA1_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    uint32_t state[SCI_SHA1_WORDS] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u,
                                      0xc3d2e1f0u};
    size_t whole = bytes.len - bytes.len % SCI_SHA1_BLOCK_BYTES;

    for (size_t at = 0; at < whole; at += SCI_SHA1_BLOCK_BYTES)
        sci_sha1_block(state, (const unsigned char *)bytes.data + at);
    sci_sha1_finish(state, whole < bytes.len ? bytes.data + whole : NULL, bytes.len - whole,
                    (uint64_t)bytes.len);

    for (unsigned i = 0; i < 2 * 4 * SCI_SHA1_WORDS; i++)
        hex[i] = digits[(state[i / 8] >> (28 - 4 * (i % 8))) & 0xf];
    hex[SCI_SHA1_HEX_BYTES - 1] = '\0';
}
