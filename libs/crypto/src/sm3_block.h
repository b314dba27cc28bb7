/* SM3's compression function by itself (GB/T 32905-2016, 5.3). libgcrypt shows none, and a digest in which
 * the place of the end is a secret needs it. No branch or address depends on data. */
#ifndef RIDGE_CRYPTO_SM3_BLOCK_H
#define RIDGE_CRYPTO_SM3_BLOCK_H
#include <stddef.h>
#include <stdint.h>

#define RDG_SM3_BLOCK_BYTES 64

typedef struct rdg_sm3_block {
    uint32_t word[8];
} rdg_sm3_block_t;

void rdg_sm3_block_init(rdg_sm3_block_t *s);
void rdg_sm3_block_mix(rdg_sm3_block_t *s, const uint8_t block[RDG_SM3_BLOCK_BYTES]);
void rdg_sm3_blocks_mix(rdg_sm3_block_t *s, const uint8_t *blocks, size_t count); /* one after the other */
void rdg_sm3_block_store(const rdg_sm3_block_t *s, uint8_t out[32]);

#endif
