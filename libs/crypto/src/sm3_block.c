#include "sm3_block.h"

#include "ridge/base/alloc.h"
#include "ridge/base/bytes.h"

static uint32_t rotate(uint32_t x, int n) {
    return (x << (n & 31)) | (x >> ((32 - n) & 31));
}

static uint32_t p0(uint32_t x) {
    return x ^ rotate(x, 9) ^ rotate(x, 17);
}

static uint32_t p1(uint32_t x) {
    return x ^ rotate(x, 15) ^ rotate(x, 23);
}

void rdg_sm3_block_init(rdg_sm3_block_t *s) {
    static const rdg_sm3_block_t iv = {
        {0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600, 0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e}};
    *s = iv;
}

void rdg_sm3_block_mix(rdg_sm3_block_t *s, const uint8_t block[RDG_SM3_BLOCK_BYTES]) {
    uint32_t w[68];
    for (int j = 0; j < 16; j++) w[j] = rdg_load_be32(block + 4 * j);
    for (int j = 16; j < 68; j++)
        w[j] = p1(w[j - 16] ^ w[j - 9] ^ rotate(w[j - 3], 15)) ^ rotate(w[j - 13], 7) ^ w[j - 6];
    uint32_t a = s->word[0], b = s->word[1], c = s->word[2], d = s->word[3];
    uint32_t e = s->word[4], f = s->word[5], g = s->word[6], h = s->word[7];
    for (int j = 0; j < 64; j++) {
        uint32_t t = j < 16 ? 0x79cc4519 : 0x7a879d8a;
        uint32_t ss1 = rotate(rotate(a, 12) + e + rotate(t, j), 7);
        uint32_t ff = j < 16 ? a ^ b ^ c : (a & b) | (a & c) | (b & c);
        uint32_t gg = j < 16 ? e ^ f ^ g : (e & f) | (~e & g);
        uint32_t tt1 = ff + d + (ss1 ^ rotate(a, 12)) + (w[j] ^ w[j + 4]);
        uint32_t tt2 = gg + h + ss1 + w[j];
        d = c, c = rotate(b, 9), b = a, a = tt1;
        h = g, g = rotate(f, 19), f = e, e = p0(tt2);
    }
    const uint32_t mixed[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; i++) s->word[i] ^= mixed[i];
    rdg_secure_zero(w, sizeof w);
}

void rdg_sm3_block_store(const rdg_sm3_block_t *s, uint8_t out[32]) {
    for (int i = 0; i < 8; i++) rdg_store_be32(out + 4 * i, s->word[i]);
}
