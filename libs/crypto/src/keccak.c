/* Keccak-256 as Ethereum uses it: the Keccak team's submission with padding 0x01, before FIPS 202 changed
 * that to 0x06; so neither libcrypto's nor libgcrypt's SHA3-256 can stand in. */
#include "ridge/crypto/hash.h"

#include <string.h>

#define RATE 136
#define LANES 25

static const uint64_t round_constants[24] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000, 0x000000000000808b,
    0x0000000080000001, 0x8000000080008081, 0x8000000000008009, 0x000000000000008a, 0x0000000000000088,
    0x0000000080008009, 0x000000008000000a, 0x000000008000808b, 0x800000000000008b, 0x8000000000008089,
    0x8000000000008003, 0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008};

static inline uint64_t rotl(uint64_t v, unsigned n) {
    return n ? v << n | v >> (64 - n) : v;
}

/* Unrolled by hand: with loops, gcc keeps the lanes in memory and takes twice the time. */
#define THETA_SUM(x) c[x] = a[x] ^ a[(x) + 5] ^ a[(x) + 10] ^ a[(x) + 15] ^ a[(x) + 20]
#define THETA_MIX(x, left, right) d[x] = c[left] ^ rotl(c[right], 1)
/* rho and pi of lane `from` into lane `to`. */
#define MOVE(to, from, rot) b[to] = rotl(a[from] ^ d[(from) % 5], rot)
#define CHI(row)                                                                                             \
    do {                                                                                                     \
        a[(row) + 0] = b[(row) + 0] ^ (~b[(row) + 1] & b[(row) + 2]);                                        \
        a[(row) + 1] = b[(row) + 1] ^ (~b[(row) + 2] & b[(row) + 3]);                                        \
        a[(row) + 2] = b[(row) + 2] ^ (~b[(row) + 3] & b[(row) + 4]);                                        \
        a[(row) + 3] = b[(row) + 3] ^ (~b[(row) + 4] & b[(row) + 0]);                                        \
        a[(row) + 4] = b[(row) + 4] ^ (~b[(row) + 0] & b[(row) + 1]);                                        \
    } while (0)

static void permute(uint64_t a[LANES]) {
    for (int round = 0; round < 24; round++) {
        uint64_t b[LANES], c[5], d[5];
        THETA_SUM(0), THETA_SUM(1), THETA_SUM(2), THETA_SUM(3), THETA_SUM(4);
        THETA_MIX(0, 4, 1), THETA_MIX(1, 0, 2), THETA_MIX(2, 1, 3), THETA_MIX(3, 2, 4), THETA_MIX(4, 3, 0);
        MOVE(0, 0, 0), MOVE(1, 6, 44), MOVE(2, 12, 43), MOVE(3, 18, 21), MOVE(4, 24, 14);
        MOVE(5, 3, 28), MOVE(6, 9, 20), MOVE(7, 10, 3), MOVE(8, 16, 45), MOVE(9, 22, 61);
        MOVE(10, 1, 1), MOVE(11, 7, 6), MOVE(12, 13, 25), MOVE(13, 19, 8), MOVE(14, 20, 18);
        MOVE(15, 4, 27), MOVE(16, 5, 36), MOVE(17, 11, 10), MOVE(18, 17, 15), MOVE(19, 23, 56);
        MOVE(20, 2, 62), MOVE(21, 8, 55), MOVE(22, 14, 39), MOVE(23, 15, 41), MOVE(24, 21, 2);
        CHI(0);
        CHI(5);
        CHI(10);
        CHI(15);
        CHI(20);
        a[0] ^= round_constants[round];
    }
}

static inline uint64_t load_le64(const uint8_t *p) {
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--) v = v << 8 | p[i];
    return v;
}

static void absorb(uint64_t a[LANES], const uint8_t block[RATE]) {
    for (size_t i = 0; i < RATE / 8; i++) a[i] ^= load_le64(block + 8 * i);
    permute(a);
}

void rdg_keccak256(const void *data, size_t len, uint8_t out[32]) {
    uint64_t a[LANES] = {0};
    const uint8_t *p = data;
    for (; len >= RATE; p += RATE, len -= RATE) absorb(a, p);
    uint8_t last[RATE] = {0};
    if (len) memcpy(last, p, len);
    last[len] = 0x01;
    last[RATE - 1] |= 0x80;
    absorb(a, last);
    for (size_t i = 0; i < 32; i++) out[i] = (uint8_t)(a[i / 8] >> (8 * (i % 8)));
}
