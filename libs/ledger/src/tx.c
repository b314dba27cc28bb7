#include "ridge/ledger/tx.h"
#include <inttypes.h>
#include <string.h>
#include "block_build.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/rlp.h"

enum { TX_VERSION = 1 };

static rdg_err_t parse_payload(rdg_tx_t *tx) {
    rdg_rlp_t outer, c;
    rdg_rlp_init(&outer, tx->payload);
    rdg_rlp_list(&outer, &c);
    uint64_t version = rdg_rlp_u64(&c);
    if (c.err == RDG_OK && version != TX_VERSION)
        return rdg_fail(RDG_E_UNSUPPORTED, "transaction version %" PRIu64 ": this node knows version %d",
                        version, TX_VERSION);
    tx->chain_id = rdg_rlp_u64(&c);
    tx->nonce = rdg_rlp_u64(&c);
    tx->valid_until = rdg_rlp_u64(&c);
    rdg_bytes_t to = rdg_rlp_bytes_max(&c, sizeof tx->to.b);
    rdg_rlp_uint256(&c, tx->value.b);
    tx->gas_limit = rdg_rlp_u64(&c);
    tx->data = rdg_rlp_bytes(&c);
    rdg_rlp_fixed(&c, tx->key.b, sizeof tx->key.b);
    if (rdg_rlp_done(&c) != RDG_OK || rdg_rlp_done(&outer) != RDG_OK)
        return rdg_fail(
            RDG_E_MALFORMED,
            "transaction payload is not the RLP list of its nine fields: encode and sign it anew");
    if (to.len != 0 && to.len != sizeof tx->to.b)
        return rdg_fail(RDG_E_MALFORMED, "recipient of %zu bytes: want 20, or none for a create", to.len);
    if (tx->nonce >= RDG_TX_NONCE_LIMIT)
        return rdg_fail(RDG_E_MALFORMED, "nonce %" PRIu64 " is not below 2^53", tx->nonce);
    tx->is_create = to.len == 0;
    if (to.len) memcpy(tx->to.b, to.data, to.len);
    return RDG_OK;
}

static rdg_err_t parse(rdg_tx_t *tx) {
    rdg_rlp_t outer, c;
    rdg_rlp_init(&outer, tx->raw);
    rdg_rlp_list(&outer, &c);
    tx->payload = rdg_rlp_raw(&c);
    rdg_rlp_fixed(&c, tx->signature.b, sizeof tx->signature.b);
    if (rdg_rlp_done(&c) != RDG_OK || rdg_rlp_done(&outer) != RDG_OK)
        return rdg_fail(RDG_E_MALFORMED,
                        "transaction is not the RLP list [payload, signature]: send all of its bytes");
    return parse_payload(tx);
}

rdg_err_t tx_parse(rdg_bytes_t wire, rdg_tx_t **out) {
    *out = NULL;
    if (wire.len > RDG_TX_BYTES_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "transaction of %zu bytes: the limit is %u, split it", wire.len,
                        RDG_TX_BYTES_MAX);
    rdg_tx_t *tx = rdg_alloc(sizeof *tx + wire.len);
    if (!tx) return RDG_E_NO_MEMORY;
    memset(tx, 0, sizeof *tx);
    uint8_t *raw = (uint8_t *)(tx + 1);
    if (wire.len) memcpy(raw, wire.data, wire.len);
    rdg_ref_init(&tx->ref);
    tx->raw = rdg_bytes(raw, wire.len);
    rdg_err_t err = parse(tx);
    if (err != RDG_OK) {
        rdg_free(tx);
        return err;
    }
    *out = tx;
    return RDG_OK;
}

void txs_identify(rdg_tx_t *const *txs, size_t count) {
    enum { MANY = 64 };
    rdg_sm3_input_t payloads[MANY];
    const rdg_sm2_public_t *keys[MANY];
    rdg_hash_t ids[MANY];
    rdg_address_t senders[MANY];
    for (size_t from = 0; from < count; from += MANY) {
        size_t n = count - from < MANY ? count - from : MANY;
        for (size_t i = 0; i < n; ++i) {
            payloads[i] = (rdg_sm3_input_t){.body = txs[from + i]->payload};
            keys[i] = &txs[from + i]->key;
        }
        rdg_sm3_tagged_many(RDG_DOMAIN_TX, payloads, n, ids);
        rdg_sm2_address_many(keys, n, senders);
        for (size_t i = 0; i < n; ++i) txs[from + i]->id = ids[i], txs[from + i]->from = senders[i];
    }
}

rdg_err_t rdg_tx_decode(rdg_bytes_t wire, rdg_tx_t **out) {
    RDG_TRY(tx_parse(wire, out));
    txs_identify(out, 1);
    return RDG_OK;
}

void rdg_txs_decode(const rdg_bytes_t *wires, size_t count, rdg_tx_t **out) {
    enum { MANY = 64 };
    rdg_tx_t *good[MANY];
    size_t kept = 0;
    for (size_t i = 0; i < count; ++i) {
        if (tx_parse(wires[i], &out[i]) == RDG_OK) good[kept++] = out[i];
        if (kept < MANY && i + 1 < count) continue;
        txs_identify(good, kept);
        kept = 0;
    }
}

rdg_tx_t *rdg_tx_ref(rdg_tx_t *tx) {
    rdg_ref_get(&tx->ref);
    return tx;
}

void rdg_tx_unref(rdg_tx_t *tx) {
    if (tx && rdg_ref_put(&tx->ref)) rdg_free(tx);
}

rdg_err_t rdg_tx_verify(const rdg_tx_t *tx) {
    if (rdg_sm2_verify(&tx->key, tx->id.b, sizeof tx->id.b, &tx->signature) == RDG_OK) return RDG_OK;
    char id[2 * RDG_HASH_BYTES + 1];
    rdg_hex_encode(tx->id.b, sizeof tx->id.b, id);
    return rdg_fail(RDG_E_BAD_SIGNATURE,
                    "transaction %s: the signature does not verify under its key: sign its id "
                    "with SM2 in canonical form",
                    id);
}

rdg_err_t rdg_tx_check(const rdg_tx_t *tx, uint64_t chain_id, uint64_t tx_gas_limit, uint64_t height) {
    if (tx->chain_id != chain_id)
        return rdg_fail(RDG_E_WRONG_CHAIN,
                        "transaction is for chain %" PRIu64 ", this is chain %" PRIu64
                        ": sign it for this chain",
                        tx->chain_id, chain_id);
    if (tx->valid_until < height)
        return rdg_fail(RDG_E_EXPIRED,
                        "transaction was valid until block %" PRIu64 ", the next is %" PRIu64
                        ": sign it anew",
                        tx->valid_until, height);
    if (tx->valid_until - height > RDG_TX_VALID_MAX)
        return rdg_fail(RDG_E_INVALID_TX,
                        "valid_until %" PRIu64 " is more than %llu blocks ahead of %" PRIu64
                        ": sign it with an earlier one",
                        tx->valid_until, RDG_TX_VALID_MAX, height);
    if (tx->gas_limit > tx_gas_limit)
        return rdg_fail(RDG_E_GAS_LIMIT,
                        "gas limit %" PRIu64 " is above the chain's %" PRIu64
                        " for one transaction: sign it with less",
                        tx->gas_limit, tx_gas_limit);
    uint64_t intrinsic = rdg_evm_intrinsic_gas(tx->is_create, tx->data);
    if (tx->gas_limit < intrinsic)
        return rdg_fail(RDG_E_GAS_LIMIT,
                        "gas limit %" PRIu64 " is below the %" PRIu64
                        " that its data alone costs: sign it with more",
                        tx->gas_limit, intrinsic);
    if (tx->is_create && tx->data.len > RDG_EVM_INITCODE_MAX)
        return rdg_fail(RDG_E_INVALID_TX, "contract of %zu bytes of init code: the limit is %d", tx->data.len,
                        RDG_EVM_INITCODE_MAX);
    return RDG_OK;
}

void tx_put_payload(const rdg_tx_fields_t *f, const rdg_sm2_public_t *key, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_u64(out, TX_VERSION);
    rdg_rlp_put_u64(out, f->chain_id);
    rdg_rlp_put_u64(out, f->nonce);
    rdg_rlp_put_u64(out, f->valid_until);
    rdg_rlp_put_bytes(out, f->to ? rdg_bytes(f->to->b, sizeof f->to->b) : rdg_bytes(NULL, 0));
    rdg_rlp_put_uint(out, rdg_bytes(f->value.b, sizeof f->value.b));
    rdg_rlp_put_u64(out, f->gas_limit);
    rdg_rlp_put_bytes(out, f->data);
    rdg_rlp_put_bytes(out, rdg_bytes(key->b, sizeof key->b));
    rdg_rlp_list_end(out, list);
}

static rdg_err_t sign_payload(rdg_bytes_t payload, const rdg_sm2_key_t *key, rdg_buf_t *wire) {
    rdg_hash_t id;
    rdg_sm2_signature_t signature;
    rdg_sm3_tagged(RDG_DOMAIN_TX, &payload, 1, &id);
    RDG_TRY(rdg_sm2_sign(key, id.b, sizeof id.b, &signature));
    size_t list = rdg_rlp_list_begin(wire);
    rdg_rlp_put_raw(wire, payload);
    rdg_rlp_put_bytes(wire, rdg_bytes(signature.b, sizeof signature.b));
    return rdg_rlp_list_end(wire, list);
}

rdg_err_t rdg_tx_sign(const rdg_tx_fields_t *fields, const rdg_sm2_key_t *key, rdg_tx_t **out) {
    rdg_sm2_public_t public_key;
    rdg_buf_t payload, wire;
    *out = NULL;
    rdg_sm2_key_public(key, &public_key);
    rdg_buf_init(&payload, RDG_TX_BYTES_MAX);
    rdg_buf_init(&wire, RDG_TX_BYTES_MAX);
    tx_put_payload(fields, &public_key, &payload);
    rdg_err_t err = rdg_buf_err(&payload);
    if (err == RDG_OK) err = sign_payload(rdg_buf_view(&payload), key, &wire);
    if (err == RDG_OK) err = rdg_tx_decode(rdg_buf_view(&wire), out);
    if (err == RDG_E_TOO_LARGE)
        err = rdg_fail(err, "transaction with %zu bytes of data: the limit is %u bytes in all",
                       fields->data.len, RDG_TX_BYTES_MAX);
    rdg_buf_fini(&payload);
    rdg_buf_fini(&wire);
    return err;
}

uint64_t rdg_tx_random_nonce(const rdg_random_t *random) {
    return rdg_random_below(random, RDG_TX_NONCE_LIMIT);
}
