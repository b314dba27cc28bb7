/* The body of sm3_lanes.h. The including file defines LANES (8 or 16) and MIX, the function's name, and is
 * compiled for the processor it is meant for. GB/T 32905-2016, 5.3. */
#include <string.h>
#include "sm3_lanes.h"

typedef uint32_t vec_t __attribute__((vector_size(4 * LANES)));

#define ROTATE(x, n) ((x) << (n) | (x) >> (32 - (n)))

/* Interleaves the elements of two vectors: the lower halves, the upper halves. */
#if LANES == 8
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define HIGH(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#endif

/* w[0 … LANES - 1] = the words of the blocks from `offset` on, one vector for each word of all lanes: log2
 * LANES perfect shuffles of the rows are their transpose. */
static inline void load_words(vec_t *w, const uint8_t *const *blocks, size_t offset) {
    vec_t a[LANES], b[LANES];
    for (int i = 0; i < LANES; i++) memcpy(&a[i], blocks[i] + offset, sizeof a[i]);
    for (int width = 1; width < LANES; width *= 2) {
        for (int i = 0; i < LANES / 2; i++) {
            b[2 * i] = LOW(a[i], a[i + LANES / 2]);
            b[2 * i + 1] = HIGH(a[i], a[i + LANES / 2]);
        }
        memcpy(a, b, sizeof a);
    }
    for (int i = 0; i < LANES; i++) /* big-endian words */
        w[i] = (ROTATE(a[i], 8) & 0x00ff00ffu) | (ROTATE(a[i], 24) & 0xff00ff00u);
}

/* Round j with the state's words renamed instead of moved; t is its constant, already rotated. */
#define ROUND(a, b, c, d, e, f, g, h, j, t, FF, GG)                                                          \
    do {                                                                                                     \
        vec_t a12_ = ROTATE(a, 12), ss1_ = a12_ + e + (t);                                                   \
        ss1_ = ROTATE(ss1_, 7);                                                                              \
        d += FF(a, b, c) + (ss1_ ^ a12_) + (w[j] ^ w[(j) + 4]);                                              \
        h += GG(e, f, g) + ss1_ + w[j];                                                                      \
        b = ROTATE(b, 9);                                                                                    \
        f = ROTATE(f, 19);                                                                                   \
        h = h ^ ROTATE(h, 9) ^ ROTATE(h, 17);                                                                \
    } while (0)
#define PARITY(x, y, z) ((x) ^ (y) ^ (z))
#define MAJORITY(x, y, z) (((x) & (y)) | (((x) | (y)) & (z)))
#define CHOICE(x, y, z) ((((y) ^ (z)) & (x)) ^ (z))
#define FOUR_ROUNDS(j, FF, GG)                                                                               \
    do {                                                                                                     \
        ROUND(a, b, c, d, e, f, g, h, j, constant[j], FF, GG);                                               \
        ROUND(d, a, b, c, h, e, f, g, (j) + 1, constant[(j) + 1], FF, GG);                                   \
        ROUND(c, d, a, b, g, h, e, f, (j) + 2, constant[(j) + 2], FF, GG);                                   \
        ROUND(b, c, d, a, f, g, h, e, (j) + 3, constant[(j) + 3], FF, GG);                                   \
    } while (0)

/* T_j rotated left by j mod 32. */
static const uint32_t constant[64] = {
    0x79cc4519, 0xf3988a32, 0xe7311465, 0xce6228cb, 0x9cc45197, 0x3988a32f, 0x7311465e, 0xe6228cbc,
    0xcc451979, 0x988a32f3, 0x311465e7, 0x6228cbce, 0xc451979c, 0x88a32f39, 0x11465e73, 0x228cbce6,
    0x9d8a7a87, 0x3b14f50f, 0x7629ea1e, 0xec53d43c, 0xd8a7a879, 0xb14f50f3, 0x629ea1e7, 0xc53d43ce,
    0x8a7a879d, 0x14f50f3b, 0x29ea1e76, 0x53d43cec, 0xa7a879d8, 0x4f50f3b1, 0x9ea1e762, 0x3d43cec5,
    0x7a879d8a, 0xf50f3b14, 0xea1e7629, 0xd43cec53, 0xa879d8a7, 0x50f3b14f, 0xa1e7629e, 0x43cec53d,
    0x879d8a7a, 0x0f3b14f5, 0x1e7629ea, 0x3cec53d4, 0x79d8a7a8, 0xf3b14f50, 0xe7629ea1, 0xcec53d43,
    0x9d8a7a87, 0x3b14f50f, 0x7629ea1e, 0xec53d43c, 0xd8a7a879, 0xb14f50f3, 0x629ea1e7, 0xc53d43ce,
    0x8a7a879d, 0x14f50f3b, 0x29ea1e76, 0x53d43cec, 0xa7a879d8, 0x4f50f3b1, 0x9ea1e762, 0x3d43cec5,
};

void MIX(uint32_t *state, const uint8_t *const *blocks) {
    vec_t w[68], s[8];
    for (size_t from = 0; from < 16; from += LANES) load_words(w + from, blocks, 4 * from);
    for (int j = 16; j < 68; j++) {
        vec_t x = w[j - 16] ^ w[j - 9] ^ ROTATE(w[j - 3], 15);
        w[j] = x ^ ROTATE(x, 15) ^ ROTATE(x, 23) ^ ROTATE(w[j - 13], 7) ^ w[j - 6];
    }
    memcpy(s, state, sizeof s);
    vec_t a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
    for (int j = 0; j < 16; j += 4) FOUR_ROUNDS(j, PARITY, PARITY);
    for (int j = 16; j < 64; j += 4) FOUR_ROUNDS(j, MAJORITY, CHOICE);
    s[0] ^= a, s[1] ^= b, s[2] ^= c, s[3] ^= d, s[4] ^= e, s[5] ^= f, s[6] ^= g, s[7] ^= h;
    memcpy(state, s, sizeof s);
}
