#include "ridge/base/random.h"
#include "ridge/base/assert.h"
#include <errno.h>
#include <string.h>
#include <sys/random.h>

static void system_fill(void *ctx, void *dst, size_t len) {
    uint8_t *p = dst;
    (void)ctx;
    while (len > 0) {
        ssize_t got = getrandom(p, len, 0);
        RDG_ASSERT(got > 0 || errno == EINTR);
        if (got > 0) p += got, len -= (size_t)got;
    }
}

const rdg_random_t *rdg_random_system(void) {
    static const rdg_random_t random = {system_fill, NULL};
    return &random;
}

uint64_t rdg_random_u64(const rdg_random_t *r) {
    uint64_t v;
    rdg_random_fill(r, &v, sizeof v);
    return v;
}

uint64_t rdg_random_below(const rdg_random_t *r, uint64_t limit) {
    RDG_ASSERT(limit > 0);
    uint64_t reject = (0 - limit) % limit, v; /* 2^64 mod limit */
    do v = rdg_random_u64(r);
    while (v < reject);
    return v % limit;
}

void rdg_random_hex(const rdg_random_t *r, char *out, size_t bytes) {
    static const char digits[] = "0123456789abcdef";
    uint8_t raw[64];
    RDG_ASSERT(bytes <= sizeof raw);
    rdg_random_fill(r, raw, bytes);
    for (size_t i = 0; i < bytes; ++i) out[2 * i] = digits[raw[i] >> 4], out[2 * i + 1] = digits[raw[i] & 15];
    out[2 * bytes] = '\0';
}

static uint64_t rotl(uint64_t x, int k) {
    return (x << k) | (x >> (64 - k));
}

/* xoshiro256**, Blackman & Vigna 2018. */
static uint64_t seeded_next(uint64_t *s) {
    uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0], s[3] ^= s[1], s[1] ^= s[2], s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

static void seeded_fill(void *ctx, void *dst, size_t len) {
    rdg_random_seeded_t *r = ctx;
    uint8_t *p = dst;
    while (len > 0) {
        uint64_t v = seeded_next(r->s);
        size_t n = len < sizeof v ? len : sizeof v;
        memcpy(p, &v, n);
        p += n, len -= n;
    }
}

void rdg_random_seeded_init(rdg_random_seeded_t *r, uint64_t seed) {
    r->random = (rdg_random_t){seeded_fill, r};
    for (int i = 0; i < 4; ++i) { /* splitmix64 */
        uint64_t z = (seed += 0x9e3779b97f4a7c15ull);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        r->s[i] = z ^ (z >> 31);
    }
}
