/* Transactions.
 *
 * Wire form (RLP):  [ payload, signature(64) ]
 *   payload = [ version=1, chain_id, nonce, valid_until, to(20 or empty), value, gas_limit, data,
 * public_key(64) ] id = SM3(tag TX ‖ rlp(payload)): the signature is excluded, so an id names what was asked,
 * not a way of signing it. The signature is SM2 over the 32 bytes of the id, canonical (crypto/sm2.h).
 *
 * Replay guard: nonce is a random number below 2^53 and valid_until the last height at which the transaction
 * may be in a block; valid_until - height <= RDG_TX_VALID_MAX. A ledger refuses an id that it already holds.
 * Contract addresses follow Ethereum's CREATE with this nonce.
 *
 * A transaction object is immutable, reference-counted, and owns one copy of its wire bytes. */
#ifndef RIDGE_LEDGER_TX_H
#define RIDGE_LEDGER_TX_H
#include "ridge/base/ref.h"
#include "ridge/base/random.h"
#include "ridge/evm/evm.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_TX_BYTES_MAX (128u << 10)
#define RDG_TX_NONCE_LIMIT (1ull << 53)
#define RDG_TX_VALID_MAX 100000ull

typedef struct rdg_tx {
    rdg_ref_t ref;
    rdg_bytes_t raw;     /* wire form */
    rdg_bytes_t payload; /* encoded payload within raw */
    rdg_hash_t id;
    rdg_address_t from, to;
    bool is_create; /* no recipient */
    uint64_t chain_id, nonce, valid_until, gas_limit;
    rdg_word_t value;
    rdg_bytes_t data; /* within raw */
    rdg_sm2_public_t key;
    rdg_sm2_signature_t signature;
} rdg_tx_t;

/* Structure and limits only; the signature is not verified. MALFORMED, TOO_LARGE, UNSUPPORTED (another
 * version). Copies wire. Returns owned. */
rdg_err_t rdg_tx_decode(rdg_bytes_t wire, rdg_tx_t **out);
/* The same of many, whose hashes are computed together. out[i] is NULL for what rdg_tx_decode refuses: it says why. */
void rdg_txs_decode(const rdg_bytes_t *wires, size_t count, rdg_tx_t **out);
rdg_tx_t *rdg_tx_ref(rdg_tx_t *tx);
void rdg_tx_unref(rdg_tx_t *tx);             /* NULL is fine */
rdg_err_t rdg_tx_verify(const rdg_tx_t *tx); /* BAD_SIGNATURE */
/* The rules that need neither state nor index, for a block of that height: WRONG_CHAIN, EXPIRED, GAS_LIMIT
 * (above tx_gas_limit, or below the intrinsic gas), INVALID_TX (valid_until too far away, init code too
 * long). */
rdg_err_t rdg_tx_check(const rdg_tx_t *tx, uint64_t chain_id, uint64_t tx_gas_limit, uint64_t height);

typedef struct rdg_tx_fields {
    uint64_t chain_id, nonce, valid_until, gas_limit;
    const rdg_address_t *to; /* NULL: create */
    rdg_word_t value;
    rdg_bytes_t data;
} rdg_tx_fields_t;
/* Encodes and signs. Returns owned. */
rdg_err_t rdg_tx_sign(const rdg_tx_fields_t *fields, const rdg_sm2_key_t *key, rdg_tx_t **out);
uint64_t rdg_tx_random_nonce(const rdg_random_t *random);

#ifdef __cplusplus
}
#endif
#endif
