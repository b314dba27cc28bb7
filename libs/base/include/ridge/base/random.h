/* Randomness as a vtable: the system's (getrandom) for real use, a seeded one (xoshiro256**) for tests
 * and the simulator. The seeded one is predictable and never for keys, nonces of signatures or tokens. */
#ifndef RIDGE_BASE_RANDOM_H
#define RIDGE_BASE_RANDOM_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_random {
    void (*fill)(void *ctx, void *dst,
                 size_t len); /* cannot fail: aborts if the kernel has no entropy call */
    void *ctx;
} rdg_random_t;

const rdg_random_t *rdg_random_system(void); /* borrowed, static, thread-safe */
static inline void rdg_random_fill(const rdg_random_t *r, void *dst, size_t len) {
    r->fill(r->ctx, dst, len);
}
uint64_t rdg_random_u64(const rdg_random_t *r);
uint64_t rdg_random_below(const rdg_random_t *r, uint64_t limit); /* uniform in [0, limit); limit > 0 */
/* 2*bytes lower-case hex digits and a NUL from random bytes; bytes <= 64. */
void rdg_random_hex(const rdg_random_t *r, char *out, size_t bytes);

typedef struct rdg_random_seeded {
    rdg_random_t random; /* use &seeded.random */
    uint64_t s[4];
} rdg_random_seeded_t;
void rdg_random_seeded_init(rdg_random_seeded_t *r, uint64_t seed);

#ifdef __cplusplus
}
#endif
#endif
