/* SM3's compression function over many messages at once, a message to a lane of a vector.
 *
 * The same source (sm3_lanes_body.h) is compiled for each width with what the compiler calls generic vectors:
 * with 8 lanes for AVX2, with 16 for AVX-512, and with both for any processor, which the tests run everywhere.
 * So what a test on a machine without AVX-512 checks is the code that runs there, up to the compiler's choice
 * of instructions. */
#ifndef RIDGE_CRYPTO_SM3_LANES_H
#define RIDGE_CRYPTO_SM3_LANES_H
#include <stddef.h>
#include <stdint.h>

#define RDG_SM3_LANES_MAX 16

/* state[word * lanes + lane]; one block of 64 bytes a lane. */
typedef void rdg_sm3_lanes_mix_t(uint32_t *state, const uint8_t *const *blocks);
rdg_sm3_lanes_mix_t rdg_sm3_mix_8_generic, rdg_sm3_mix_16_generic;
#if defined(__x86_64__)
rdg_sm3_lanes_mix_t rdg_sm3_mix_8_avx2, rdg_sm3_mix_16_avx512;
#endif

typedef struct rdg_sm3_path {
    const char *name;
    rdg_sm3_lanes_mix_t *mix; /* NULL: one by one */
    unsigned lanes;
} rdg_sm3_path_t;

extern const rdg_sm3_path_t rdg_sm3_paths[]; /* up to one without a name, the best first */

/* Can this CPU run it, and are its digests right? */
int rdg_sm3_path_usable(const rdg_sm3_path_t *path);
void rdg_sm3_path_force(const rdg_sm3_path_t *path); /* NULL: choose again. For tests. */

#endif
