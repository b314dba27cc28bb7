#include "sm3_block.h"

#include "ridge/base/alloc.h"
#include "ridge/base/bytes.h"

static inline uint32_t rotate(uint32_t x, int n) {
    return (x << n) | (x >> (32 - n));
}

static inline uint32_t p0(uint32_t x) {
    return x ^ rotate(x, 9) ^ rotate(x, 17);
}

static inline uint32_t p1(uint32_t x) {
    return x ^ rotate(x, 15) ^ rotate(x, 23);
}

/* T_j of the standard, turned left by j. */
static const uint32_t round_constant[64] = {
    0x79cc4519, 0xf3988a32, 0xe7311465, 0xce6228cb, 0x9cc45197, 0x3988a32f, 0x7311465e, 0xe6228cbc,
    0xcc451979, 0x988a32f3, 0x311465e7, 0x6228cbce, 0xc451979c, 0x88a32f39, 0x11465e73, 0x228cbce6,
    0x9d8a7a87, 0x3b14f50f, 0x7629ea1e, 0xec53d43c, 0xd8a7a879, 0xb14f50f3, 0x629ea1e7, 0xc53d43ce,
    0x8a7a879d, 0x14f50f3b, 0x29ea1e76, 0x53d43cec, 0xa7a879d8, 0x4f50f3b1, 0x9ea1e762, 0x3d43cec5,
    0x7a879d8a, 0xf50f3b14, 0xea1e7629, 0xd43cec53, 0xa879d8a7, 0x50f3b14f, 0xa1e7629e, 0x43cec53d,
    0x879d8a7a, 0x0f3b14f5, 0x1e7629ea, 0x3cec53d4, 0x79d8a7a8, 0xf3b14f50, 0xe7629ea1, 0xcec53d43,
    0x9d8a7a87, 0x3b14f50f, 0x7629ea1e, 0xec53d43c, 0xd8a7a879, 0xb14f50f3, 0x629ea1e7, 0xc53d43ce,
    0x8a7a879d, 0x14f50f3b, 0x29ea1e76, 0x53d43cec, 0xa7a879d8, 0x4f50f3b1, 0x9ea1e762, 0x3d43cec5};

void rdg_sm3_block_init(rdg_sm3_block_t *s) {
    static const rdg_sm3_block_t iv = {
        {0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600, 0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e}};
    *s = iv;
}

/* One round; what the standard moves from word to word is in the order of the arguments here, which comes round
 * again after four. */
#define ROUND(a, b, c, d, e, f, g, h, j, ff, gg)                                                             \
    do {                                                                                                     \
        uint32_t a12 = rotate(a, 12), ss1 = rotate(a12 + (e) + round_constant[j], 7);                        \
        (d) += (ff) + (ss1 ^ a12) + (w[j] ^ w[(j) + 4]);                                                     \
        (h) += (gg) + ss1 + w[j];                                                                            \
        (b) = rotate(b, 9), (f) = rotate(f, 19), (h) = p0(h);                                                \
    } while (0)
#define PARITY(x, y, z) ((x) ^ (y) ^ (z))
#define MAJORITY(x, y, z) (((x) & (y)) | (((x) | (y)) & (z)))
#define CHOICE(x, y, z) ((z) ^ ((x) & ((y) ^ (z))))
#define FOUR_ROUNDS(j, ff, gg)                                                                               \
    do {                                                                                                     \
        ROUND(a, b, c, d, e, f, g, h, j, ff(a, b, c), gg(e, f, g));                                          \
        ROUND(d, a, b, c, h, e, f, g, (j) + 1, ff(d, a, b), gg(h, e, f));                                    \
        ROUND(c, d, a, b, g, h, e, f, (j) + 2, ff(c, d, a), gg(g, h, e));                                    \
        ROUND(b, c, d, a, f, g, h, e, (j) + 3, ff(b, c, d), gg(f, g, h));                                    \
    } while (0)

/* The next four words of the message, a little ahead of the rounds, whose chain of sums leaves the processor
 * time for them. */
#define EXPAND(j) w[j] = p1(w[(j)-16] ^ w[(j)-9] ^ rotate(w[(j)-3], 15)) ^ rotate(w[(j)-13], 7) ^ w[(j)-6]
#define EXPAND_FOUR(j) (EXPAND(j), EXPAND((j) + 1), EXPAND((j) + 2), EXPAND((j) + 3))

static inline void mix(rdg_sm3_block_t *s, const uint8_t block[RDG_SM3_BLOCK_BYTES], uint32_t w[68]) {
    for (int j = 0; j < 16; j++) w[j] = rdg_load_be32(block + 4 * j);
    uint32_t a = s->word[0], b = s->word[1], c = s->word[2], d = s->word[3];
    uint32_t e = s->word[4], f = s->word[5], g = s->word[6], h = s->word[7];
    for (int j = 0; j < 16; j += 4) {
        EXPAND_FOUR(j + 16);
        FOUR_ROUNDS(j, PARITY, PARITY);
    }
    for (int j = 16; j < 52; j += 4) {
        EXPAND_FOUR(j + 16);
        FOUR_ROUNDS(j, MAJORITY, CHOICE);
    }
    for (int j = 52; j < 64; j += 4) FOUR_ROUNDS(j, MAJORITY, CHOICE);
    s->word[0] ^= a, s->word[1] ^= b, s->word[2] ^= c, s->word[3] ^= d;
    s->word[4] ^= e, s->word[5] ^= f, s->word[6] ^= g, s->word[7] ^= h;
}

void rdg_sm3_block_mix(rdg_sm3_block_t *s, const uint8_t block[RDG_SM3_BLOCK_BYTES]) {
    rdg_sm3_blocks_mix(s, block, 1);
}

void rdg_sm3_blocks_mix(rdg_sm3_block_t *s, const uint8_t *blocks, size_t count) {
    uint32_t w[68];
    for (size_t i = 0; i < count; i++) mix(s, blocks + i * RDG_SM3_BLOCK_BYTES, w);
    rdg_secure_zero(w, sizeof w);
}

void rdg_sm3_block_store(const rdg_sm3_block_t *s, uint8_t out[32]) {
    for (int i = 0; i < 8; i++) rdg_store_be32(out + 4 * i, s->word[i]);
}
