/* Proofs: of state values under a state root, of receipts by a quorum's certificate. */
#include "ridge/base/alloc.h"
#include "ridge/codec/rlp.h"
#include "ridge/crypto/hash.h"
#include "ridge/ledger/evidence.h"
#include "rpc_internal.h"
#include <string.h>

enum { TRIES = 8 };

typedef struct proven {
    uint64_t height;
    rdg_hash_t root;
    bool present;
    rdg_bytes_t value; /* in proof */
    rdg_buf_t proof;
} proven_t;

static rdg_err_t prove(rdg_node_rpc_t *rpc, const rdg_address_t *a, const rdg_word_t *slot, proven_t *out) {
    rdg_ledger_t *l = rpc->options.ledger;
    rdg_executed_t executed;
    rdg_hash_t path;
    rdg_buf_clear(&out->proof);
    RDG_TRY(rdg_ledger_prove(l, a, slot, &out->proof, &out->height));
    RDG_TRY(rdg_ledger_header(l, out->height, NULL, NULL, &executed));
    out->root = executed.state_root;
    if (slot)
        rdg_state_slot_path(a, slot, &path);
    else
        rdg_state_account_path(a, &path);
    return rdg_proof_verify(rdg_buf_view(&out->proof), &out->root, &path, &out->present, &out->value);
}

static json_t *proof_list(const proven_t *p) {
    return json_pack("[o]", rdg_json_hex(p->proof.data, p->proof.len));
}

static rdg_err_t put_account(const proven_t *p, const rdg_address_t *a, json_t *o) {
    rdg_rlp_t outer, c;
    rdg_word_t balance = {{0}};
    rdg_hash_t code;
    uint64_t nonce = 0;
    rdg_keccak256(NULL, 0, code.b);
    if (p->present) {
        rdg_rlp_init(&outer, p->value);
        rdg_rlp_list(&outer, &c);
        nonce = rdg_rlp_u64(&c);
        rdg_rlp_uint256(&c, balance.b);
        rdg_bytes_t hash = rdg_rlp_bytes_max(&c, sizeof code.b);
        if (rdg_rlp_done(&c) != RDG_OK) return rdg_fail(RDG_E_CORRUPT, "a stored account cannot be read");
        if (hash.len == sizeof code.b) memcpy(code.b, hash.data, sizeof code.b);
    }
    json_object_set_new(o, "address", rdg_eth_address_json(a));
    json_object_set_new(o, "accountProof", proof_list(p));
    json_object_set_new(o, "balance", rdg_eth_quantity_json(&balance));
    json_object_set_new(o, "nonce", rdg_json_quantity(nonce));
    json_object_set_new(o, "codeHash", rdg_eth_hash_json(&code));
    json_object_set_new(o, "storageHash", rdg_eth_hash_json(&p->root));
    json_object_set_new(o, "stateRoot", rdg_eth_hash_json(&p->root));
    json_object_set_new(o, "blockNumber", rdg_json_quantity(p->height));
    return RDG_OK;
}

static rdg_err_t put_slot(const proven_t *p, const json_t *key, json_t *list) {
    rdg_word_t value = {{0}};
    if (p->present && p->value.len <= sizeof value.b)
        memcpy(value.b + sizeof value.b - p->value.len, p->value.data, p->value.len);
    json_t *one = json_pack("{s:O, s:o, s:o}", "key", key, "value", rdg_eth_quantity_json(&value), "proof",
                            proof_list(p));
    return json_array_append_new(list, one) == 0 ? RDG_OK
                                                 : rdg_fail(RDG_E_NO_MEMORY, "no memory for a proof");
}

/* STALE: a block came between two proofs. */
static rdg_err_t prove_all(rdg_node_rpc_t *rpc, const rdg_address_t *a, const json_t *slots, proven_t *p,
                           json_t *o) {
    const json_t *key;
    size_t i;
    json_t *list = json_array();
    json_object_set_new(o, "storageProof", list);
    RDG_TRY(prove(rpc, a, NULL, p));
    RDG_TRY(put_account(p, a, o));
    uint64_t height = p->height;
    json_array_foreach(slots, i, key) {
        rdg_word_t slot;
        RDG_TRY(param_word(key, "storage key", &slot));
        RDG_TRY(prove(rpc, a, &slot, p));
        if (p->height != height)
            return rdg_fail(RDG_E_STALE, "blocks come faster than proofs: ask for fewer slots");
        RDG_TRY(put_slot(p, key, list));
    }
    return RDG_OK;
}

static rdg_err_t check_head(rdg_node_rpc_t *rpc, const json_t *v) {
    uint64_t height, head = rpc_head(rpc);
    RDG_TRY(param_height(rpc, v, "block", &height));
    if (height >= head) return RDG_OK;
    return rdg_fail(RDG_E_UNSUPPORTED,
                    "proofs are made of the newest state (block %llu), not of block %llu: use 'latest'",
                    (unsigned long long)head, (unsigned long long)height);
}

static rdg_err_t get_proof(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    const json_t *slots = json_array_get(params, 1);
    rdg_address_t a;
    proven_t p = {.height = 0};
    RDG_TRY(param_address(json_array_get(params, 0), "address", &a));
    if (slots && !json_is_array(slots)) return rdg_fail(RDG_E_INVALID, "storage keys: want an array");
    if (json_array_size(slots) > RDG_EVIDENCE_SLOTS_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "at most %d storage keys", RDG_EVIDENCE_SLOTS_MAX);
    RDG_TRY(check_head(rpc, json_array_get(params, 2)));
    rdg_buf_init(&p.proof, RDG_PROOF_BYTES_MAX);
    rdg_err_t err = RDG_E_STALE;
    json_t *o = NULL;
    for (int i = 0; i < TRIES && err == RDG_E_STALE; ++i) {
        json_decref(o);
        o = json_object();
        err = prove_all(rpc, &a, slots, &p, o);
    }
    rdg_buf_fini(&p.proof);
    if (err == RDG_OK)
        *result = o;
    else
        json_decref(o);
    return err;
}

static rdg_err_t receipt_proof(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    rdg_hash_t id;
    rdg_tx_location_t where;
    rdg_buf_t evidence;
    RDG_TRY(param_hash(params, 0, "transaction hash", &id));
    rdg_err_t err = rdg_ledger_find_tx(rpc->options.ledger, &id, &where);
    if (err == RDG_E_NOT_FOUND) return *result = json_null(), RDG_OK;
    RDG_TRY(err);
    rdg_buf_init(&evidence, RDG_EVIDENCE_BYTES_MAX);
    err = rdg_ledger_prove_receipt(rpc->options.ledger, where.height, where.index, &evidence);
    if (err == RDG_OK) {
        *result = json_object();
        json_object_set_new(*result, "evidence", rdg_json_hex(evidence.data, evidence.len));
        json_object_set_new(*result, "blockNumber", rdg_json_quantity(where.height));
        json_object_set_new(*result, "transactionIndex", rdg_json_quantity(where.index));
    }
    rdg_buf_fini(&evidence);
    return err;
}

static rdg_err_t epoch_proof(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    uint64_t number;
    rdg_buf_t evidence;
    RDG_TRY(rdg_fail_in(rdg_json_quantity_parse(json_array_get(params, 0), &number), "epoch"));
    rdg_buf_init(&evidence, RDG_EVIDENCE_BYTES_MAX);
    rdg_err_t err = rdg_ledger_prove_epoch(rpc->options.ledger, number, &evidence);
    if (err == RDG_OK) {
        *result = json_object();
        json_object_set_new(*result, "evidence", rdg_json_hex(evidence.data, evidence.len));
        json_object_set_new(*result, "epoch", rdg_json_quantity(number));
    }
    rdg_buf_fini(&evidence);
    return err;
}

const rpc_method_t rpc_proof_methods[] = {{"eth_getProof", get_proof, NULL},
                                          {"ridge_getReceiptProof", receipt_proof, NULL},
                                          {"ridge_getEpochProof", epoch_proof, NULL},
                                          {NULL, NULL, NULL}};
