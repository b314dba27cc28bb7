#include <string.h>
#include "api_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/hex.h"

enum { TIMEOUT_MS = 10000, VALID_FOR = 1000, ASK_AGAIN_MS = 50 };

ridge_status_t ridge_node_open(const char *url, uint64_t timeout_ms, ridge_node_t **out) {
    *out = NULL;
    ridge_node_t *node = rdg_calloc(1, sizeof *node);
    if (!node) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a connection");
    rdg_err_t err = rdg_rpc_http_new(url, timeout_ms ? timeout_ms : TIMEOUT_MS, &node->rpc);
    if (err == RDG_OK)
        *out = node;
    else
        rdg_free(node);
    return err;
}

void ridge_node_close(ridge_node_t *node) {
    if (!node) return;
    rdg_rpc_http_free(node->rpc);
    rdg_free(node);
}

ridge_status_t ridge_node_head(ridge_node_t *node, uint64_t *chain_id, uint64_t *height) {
    rdg_rpc_head_t head;
    RDG_TRY(rdg_rpc_head(node->rpc, &head));
    if (chain_id) *chain_id = head.chain_id;
    if (height) *height = head.height;
    return RDG_OK;
}

ridge_status_t ridge_node_request(ridge_node_t *node, const char *method, const char *params, char **result) {
    json_t *list = NULL, *answer = NULL;
    *result = NULL;
    RDG_TRY(api_parse("parameters", params, "[]", &list));
    if (!json_is_array(list)) {
        json_decref(list);
        return rdg_fail(RDG_E_INVALID, "parameters: want a JSON array");
    }
    rdg_err_t err = rdg_rpc_call(node->rpc, method, list, &answer);
    if (err == RDG_OK) return api_json(answer, result);
    json_decref(answer);
    return err;
}

/* --- transactions -------------------------------------------------------------------------------------------------- */

static rdg_err_t fields_of(const ridge_tx_request_t *r, rdg_tx_fields_t *f, rdg_address_t *to) {
    if (!r->to && r->data_len == 0)
        return rdg_fail(RDG_E_INVALID,
                        "a transaction without `to` creates a contract and needs its code as data");
    if (r->to) {
        RDG_TRY(api_address("to", r->to, to));
        f->to = to;
    }
    RDG_TRY(api_word("value", r->value, &f->value));
    f->data = rdg_bytes(r->data, r->data_len);
    f->gas_limit = r->gas_limit;
    f->nonce = r->nonce_plus ? r->nonce_plus - 1 : rdg_tx_random_nonce(rdg_random_system());
    if (f->nonce >= RDG_TX_NONCE_LIMIT) return rdg_fail(RDG_E_INVALID, "a nonce is below 2^53");
    return RDG_OK;
}

static json_t *call_json(const rdg_address_t *from, const rdg_tx_fields_t *f) {
    json_t *o = json_object();
    json_object_set_new(o, "from", rdg_json_hex(from->b, sizeof from->b));
    if (f->to) json_object_set_new(o, "to", rdg_json_hex(f->to->b, sizeof f->to->b));
    json_object_set_new(o, "value", rdg_json_hex(f->value.b, sizeof f->value.b));
    json_object_set_new(o, "data", rdg_json_hex(f->data.data, f->data.len));
    return o;
}

static rdg_err_t estimate(ridge_node_t *node, const ridge_key_t *key, const ridge_abi_t *abi,
                          rdg_tx_fields_t *f) {
    rdg_sm2_public_t public;
    rdg_address_t from;
    rdg_buf_t revert;
    json_t *answer = NULL;
    rdg_sm2_key_public(key->key, &public);
    rdg_sm2_address(&public, &from);
    rdg_err_t err =
        rdg_rpc_call(node->rpc, "eth_estimateGas", json_pack("[o]", call_json(&from, f)), &answer);
    if (err == RDG_OK) {
        err = rdg_json_quantity_parse(answer, &f->gas_limit);
        f->gas_limit += f->gas_limit / 4;
    } else if (err == RDG_E_REVERTED && json_is_string(answer)) {
        rdg_buf_init(&revert, 1 << 20);
        rdg_err_t read = rdg_hex_decode_buf(json_string_value(answer), json_string_length(answer), &revert);
        if (read == RDG_OK) err = api_reverted(abi, rdg_buf_view(&revert));
        rdg_buf_fini(&revert);
    }
    json_decref(answer);
    return err;
}

rdg_err_t api_sign(ridge_node_t *node, const ridge_key_t *key, const ridge_abi_t *abi,
                   const ridge_tx_request_t *request, ridge_tx_t **out) {
    rdg_rpc_head_t head;
    rdg_tx_fields_t f = {0};
    rdg_address_t to;
    rdg_tx_t *tx = NULL;
    *out = NULL;
    RDG_TRY(fields_of(request, &f, &to));
    RDG_TRY(rdg_rpc_head(node->rpc, &head));
    if (f.gas_limit == 0) RDG_TRY(estimate(node, key, abi, &f));
    f.chain_id = head.chain_id;
    uint64_t valid_for = request->valid_for ? request->valid_for : VALID_FOR;
    if (valid_for > RDG_TX_VALID_MAX)
        return rdg_fail(RDG_E_INVALID, "valid_for is at most %llu blocks", RDG_TX_VALID_MAX);
    f.valid_until = head.height + valid_for;
    RDG_TRY(rdg_tx_sign(&f, key->key, &tx));
    *out = (ridge_tx_t *)tx;
    return RDG_OK;
}

ridge_status_t ridge_tx_sign(ridge_node_t *node, const ridge_key_t *key, const ridge_tx_request_t *request,
                             ridge_tx_t **out) {
    return api_sign(node, key, NULL, request, out);
}

ridge_status_t ridge_tx_sign_offline(uint64_t chain_id, uint64_t valid_until, const ridge_key_t *key,
                                     const ridge_tx_request_t *request, ridge_tx_t **out) {
    rdg_tx_fields_t f = {.chain_id = chain_id, .valid_until = valid_until};
    rdg_address_t to;
    rdg_tx_t *tx = NULL;
    *out = NULL;
    RDG_TRY(fields_of(request, &f, &to));
    if (f.gas_limit == 0) return rdg_fail(RDG_E_INVALID, "without a node, a gas limit must be given");
    RDG_TRY(rdg_tx_sign(&f, key->key, &tx));
    *out = (ridge_tx_t *)tx;
    return RDG_OK;
}

ridge_status_t ridge_tx_read(const uint8_t *bytes, size_t len, ridge_tx_t **out) {
    rdg_tx_t *tx = NULL;
    *out = NULL;
    RDG_TRY(rdg_tx_decode(rdg_bytes(bytes, len), &tx));
    rdg_err_t err = rdg_tx_verify(tx);
    if (err == RDG_OK)
        *out = (ridge_tx_t *)tx;
    else
        rdg_tx_unref(tx);
    return err;
}

void ridge_tx_free(ridge_tx_t *tx) {
    rdg_tx_unref(api_tx(tx));
}

void ridge_tx_id(const ridge_tx_t *tx, char out[RIDGE_HASH_TEXT]) {
    api_hex(api_tx(tx)->id.b, RDG_HASH_BYTES, out);
}

const uint8_t *ridge_tx_bytes(const ridge_tx_t *tx, size_t *len) {
    *len = api_tx(tx)->raw.len;
    return api_tx(tx)->raw.data;
}

ridge_status_t ridge_tx_contract(const ridge_tx_t *tx, char out[RIDGE_ADDRESS_TEXT]) {
    const rdg_tx_t *t = api_tx(tx);
    rdg_address_t a;
    out[0] = 0;
    if (!t->is_create) return rdg_fail(RDG_E_INVALID, "the transaction creates no contract");
    rdg_evm_create_address(&t->from, t->nonce, &a);
    api_hex(a.b, sizeof a.b, out);
    return RDG_OK;
}

ridge_status_t ridge_tx_send(ridge_node_t *node, const ridge_tx_t *tx) {
    return rdg_rpc_send(node->rpc, api_tx(tx));
}

ridge_status_t ridge_tx_wait(ridge_node_t *node, const ridge_tx_t *tx, uint64_t timeout_ms,
                             ridge_receipt_t *out) {
    json_t *receipt = NULL;
    memset(out, 0, sizeof *out);
    RDG_TRY(rdg_rpc_wait(node->rpc, api_tx(tx), timeout_ms, ASK_AGAIN_MS, &receipt));
    rdg_err_t err = api_receipt_read(receipt, out);
    json_decref(receipt);
    return err;
}

ridge_status_t ridge_node_receipt(ridge_node_t *node, const char *id, ridge_receipt_t *out) {
    rdg_hash_t hash;
    json_t *receipt = NULL;
    memset(out, 0, sizeof *out);
    RDG_TRY(api_hash("transaction id", id, &hash));
    RDG_TRY(rdg_rpc_receipt(node->rpc, &hash, &receipt));
    rdg_err_t err = api_receipt_read(receipt, out);
    json_decref(receipt);
    return err;
}
