/* What the ledger's tests share: a chain of four validators whose keys the test holds. */
#ifndef RIDGE_LEDGER_TEST_SUPPORT_H
#define RIDGE_LEDGER_TEST_SUPPORT_H
#include "ridge/ledger/ledger.h"
#include "ridge/test.h"

enum { SUPPORT_VALIDATORS = 4, SUPPORT_CHAIN_ID = 7312, SUPPORT_KEYS = 9 };

rdg_sm2_key_t *support_key(uint8_t n); /* 1 to SUPPORT_KEYS; borrowed */
rdg_address_t support_address(uint8_t n);
void support_genesis(rdg_genesis_t *g); /* keys 1 to 4 validate; key 9 has 10^18 */
rdg_ledger_t *support_open(const char *name, const rdg_genesis_t *g);

typedef struct tx_spec {
    uint8_t from;            /* number of the key; 0: 9 */
    const rdg_address_t *to; /* NULL: an address that nobody has */
    bool create;
    uint64_t nonce, value, gas, valid_until, chain_id;
    rdg_bytes_t data;
} tx_spec_t;
rdg_tx_t *support_tx(tx_spec_t spec); /* what is zero takes a valid value */

/* The proposal after l's head with these transactions; its seal by a quorum. */
void support_proposal(rdg_ledger_t *l, rdg_tx_t **txs, uint32_t count, rdg_buf_t *out);
void support_encode(rdg_header_t *h, rdg_tx_t **txs, uint32_t count,
                    rdg_buf_t *out); /* sets count and root */
void support_seal(rdg_bytes_t proposal, rdg_buf_t *out);
void support_certificate(rdg_phase_t phase, uint64_t height, const rdg_hash_t *digest, rdg_buf_t *out);
/* Proposal, seal, apply as a synced block; the references of txs are taken. */
rdg_err_t support_apply(rdg_ledger_t *l, rdg_tx_t **txs, uint32_t count, rdg_executed_t *out);
/* The same by the epoch of the next height, sealed by all of its validators, whose keys are among the test's. */
rdg_err_t support_apply_epoch(rdg_ledger_t *l, rdg_tx_t **txs, uint32_t count);
/* Statement signed by all of e; appended. */
void support_certify(const rdg_epoch_t *e, rdg_phase_t phase, uint64_t height, const rdg_hash_t *digest,
                     rdg_buf_t *out);
rdg_pool_t *support_pool(void);

#endif
