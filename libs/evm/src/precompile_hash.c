#include <gcrypt.h>
#include <string.h>
#include "precompile.h"

#define BLAKE2F_INPUT 213 /* rounds 4, h 64, m 128, t 16, final 1 */

uint64_t evm_ripemd160_gas(rdg_bytes_t in) {
    return 600 + 120 * (uint64_t)((in.len + 31) / 32);
}

bool evm_ripemd160(rdg_bytes_t in, rdg_buf_t *out) {
    uint8_t word[32] = {0};
    gcry_md_hash_buffer(GCRY_MD_RMD160, word + 12, in.len ? (const void *)in.data : "", in.len);
    return rdg_buf_append(out, word, sizeof word) == RDG_OK;
}

uint64_t evm_blake2f_gas(rdg_bytes_t in) {
    return in.len == BLAKE2F_INPUT ? rdg_load_be32(in.data) : 0;
}

static uint64_t load_le64(const uint8_t *p) {
    return __builtin_bswap64(rdg_load_be64(p));
}

static uint64_t rotate_right(uint64_t v, unsigned n) {
    return v >> n | v << (64 - n);
}

/* RFC 7693, section 3.1. */
static void mix(uint64_t v[16], unsigned a, unsigned b, unsigned c, unsigned d, uint64_t x, uint64_t y) {
    v[a] += v[b] + x;
    v[d] = rotate_right(v[d] ^ v[a], 32);
    v[c] += v[d];
    v[b] = rotate_right(v[b] ^ v[c], 24);
    v[a] += v[b] + y;
    v[d] = rotate_right(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = rotate_right(v[b] ^ v[c], 63);
}

static void compress(uint64_t h[8], const uint64_t m[16], const uint64_t t[2], bool final, uint32_t rounds) {
    static const uint64_t iv[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
                                   0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,
                                   0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
    static const uint8_t sigma[10][16] = {
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
        {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
        {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
        {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
        {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
        {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
        {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
        {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
        {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
        {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
    };
    uint64_t v[16];
    memcpy(v, h, 64);
    memcpy(v + 8, iv, 64);
    v[12] ^= t[0];
    v[13] ^= t[1];
    if (final) v[14] = ~v[14];
    for (uint32_t r = 0; r < rounds; ++r) {
        const uint8_t *s = sigma[r % 10];
        for (unsigned i = 0; i < 4; ++i) mix(v, i, 4 + i, 8 + i, 12 + i, m[s[2 * i]], m[s[2 * i + 1]]);
        for (unsigned i = 0; i < 4; ++i)
            mix(v, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, m[s[8 + 2 * i]], m[s[9 + 2 * i]]);
    }
    for (unsigned i = 0; i < 8; ++i) h[i] ^= v[i] ^ v[i + 8];
}

bool evm_blake2f(rdg_bytes_t in, rdg_buf_t *out) {
    if (in.len != BLAKE2F_INPUT || in.data[212] > 1) return false;
    uint64_t words[26]; /* h, m, t */
    for (unsigned i = 0; i < 26; ++i) words[i] = load_le64(in.data + 4 + 8 * i);
    compress(words, words + 8, words + 24, in.data[212] == 1, rdg_load_be32(in.data));
    for (unsigned i = 0; i < 8; ++i) rdg_buf_u64(out, __builtin_bswap64(words[i]));
    return rdg_buf_err(out) == RDG_OK;
}
