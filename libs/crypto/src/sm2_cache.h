/* What is remembered of public keys that sign often: Z and a comb table, so that a verification costs a
 * third. Public data only.
 *
 * Limits: the byte budget (rdg_sm2_cache_limit, 8 MiB unless told) in slots of a little over 16 KiB, plus
 * 64 KiB of counters. A key gets a slot at its 2nd sighting while its set has a free one; else at its 8th,
 * in the place of the least recently used, if that was idle for four look-ups a slot: so neither a flood
 * of new keys nor more busy keys than slots makes tables come and go. Memory comes from mmap and not from
 * rdg_alloc: it lives as long as the process and running out of it is no failure of a verification.
 * Thread-safe: a slot in use is pinned and not evicted. */
#ifndef RIDGE_CRYPTO_SM2_CACHE_H
#define RIDGE_CRYPTO_SM2_CACHE_H
#include "ridge/crypto/sm2.h"
#include "sm2_comb.h"

typedef struct rdg_sm2_known {
    rdg_sm2_comb_t comb;
    rdg_sm2_public_t key;
    rdg_hash_t z;
} rdg_sm2_known_t;

/* The key if it is known, pinned until rdg_sm2_cache_put; else NULL, and *admit tells whether the caller
 * should offer it. */
const rdg_sm2_known_t *rdg_sm2_cache_get(const rdg_sm2_public_t *key, bool *admit);
void rdg_sm2_cache_put(const rdg_sm2_known_t *known);
/* point is key's, checked to be on the curve. */
void rdg_sm2_cache_offer(const rdg_sm2_public_t *key, const rdg_hash_t *z, const rdg_sm2_affine_t *point);

#endif
