/* Transactions of one sender, signed at some hundred thousand a second, for ledgers of a million of them.
 *
 * Their SM2 signatures are valid and tell the private key: each uses the random number of one of a few real signatures
 * again, so that no point is multiplied. For keys that everybody knows, which benchmarks have. */
#ifndef RIDGE_BENCH_QUICK_SIGN_H
#define RIDGE_BENCH_QUICK_SIGN_H
#include "ridge/ledger/tx.h"
#include "sm2_scalar.h"

enum { QUICK_SEEDS = 64 };

typedef struct quick_signer {
    rdg_sm2_public_t key;
    rdg_hash_t z;
    rdg_sm2_scalar_t powers[256]; /* 2^i d / (1 + d), with the private key d */
    struct {
        rdg_sm2_scalar_t r, s, x; /* of a real signature; x of its random point */
    } seeds[QUICK_SEEDS];
    unsigned next;
} quick_signer_t;

/* The key is `first`, then 31 zeros. */
void quick_signer_init(quick_signer_t *q, uint8_t first);
void quick_sign(quick_signer_t *q, const rdg_hash_t *message, rdg_sm2_signature_t *out);
/* Returns owned. */
rdg_tx_t *quick_tx(quick_signer_t *q, const rdg_tx_fields_t *fields);

#endif
