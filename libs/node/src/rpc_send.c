/* Transactions that the node signs with keys of its own, for tools that know no SM2. */
#include "ridge/base/random.h"
#include "rpc_internal.h"
#include <string.h>

#define VALID_BLOCKS 1000

static void address_of(const rdg_sm2_key_t *key, rdg_address_t *out) {
    rdg_sm2_public_t public;
    rdg_sm2_key_public(key, &public);
    rdg_sm2_address(&public, out);
}

static rdg_err_t accounts(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    (void)params;
    *result = json_array();
    for (size_t i = 0; i < rpc->options.key_count; ++i) {
        rdg_address_t a;
        address_of(rpc->options.keys[i], &a);
        json_array_append_new(*result, rdg_eth_address_json(&a));
    }
    return RDG_OK;
}

static rdg_err_t find_key(rdg_node_rpc_t *rpc, const json_t *from, const rdg_sm2_key_t **out) {
    rdg_address_t wanted, have;
    if (rpc->options.key_count == 0)
        return rdg_fail(
            RDG_E_UNSUPPORTED,
            "this node signs for nobody: start it with --rpc-keys, or sign with SM2 yourself and use "
            "ridge_sendTransaction");
    RDG_TRY(param_address(from, "from", &wanted));
    for (size_t i = 0; i < rpc->options.key_count; ++i) {
        address_of(rpc->options.keys[i], &have);
        *out = rpc->options.keys[i];
        if (rdg_address_equal(&have, &wanted)) return RDG_OK;
    }
    return rdg_fail(RDG_E_NOT_FOUND,
                    "from: this node has no key of that account; eth_accounts names those it has");
}

static rdg_err_t optional(const json_t *o, const char *field, uint64_t *value) {
    const json_t *v = json_object_get(o, field);
    if (!v || json_is_null(v)) return RDG_OK;
    return rdg_fail_in(rdg_json_quantity_parse(v, value), "%s", field);
}

static rdg_err_t fill(rdg_node_rpc_t *rpc, const json_t *o, rpc_call_t *c, rdg_tx_fields_t *f,
                      json_t **data) {
    *f = (rdg_tx_fields_t){.chain_id = rdg_ledger_genesis(rpc->options.ledger)->validators.chain_id,
                           .nonce = rdg_tx_random_nonce(rdg_random_system()),
                           .valid_until = rpc_head(rpc) + VALID_BLOCKS,
                           .to = c->call.to,
                           .gas_limit = c->call.gas,
                           .value = c->call.value,
                           .data = c->call.data};
    uint64_t chain_id = f->chain_id;
    RDG_TRY(optional(o, "chainId", &chain_id));
    if (chain_id != f->chain_id)
        return rdg_fail(RDG_E_WRONG_CHAIN, "chainId: this is chain %llu", (unsigned long long)f->chain_id);
    RDG_TRY(optional(o, "nonce", &f->nonce));
    RDG_TRY(optional(o, "validUntil", &f->valid_until));
    return f->gas_limit ? RDG_OK : rpc_estimate(rpc, &c->call, &f->gas_limit, data);
}

static rdg_err_t send(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    const json_t *o = json_array_get(params, 0);
    const rdg_sm2_key_t *key = NULL;
    rdg_tx_fields_t fields;
    rdg_tx_t *tx = NULL;
    rpc_call_t c = {.to = {{0}}};
    RDG_TRY(find_key(rpc, json_object_get(o, "from"), &key));
    rdg_err_t err = rpc_call_read(o, &c);
    if (err == RDG_OK) err = fill(rpc, o, &c, &fields, result);
    if (err == RDG_OK) err = rdg_tx_sign(&fields, key, &tx);
    if (err == RDG_OK) {
        rdg_hash_t id;
        err = rpc->options.submit(rpc->options.ctx, tx->raw, &id);
        if (err == RDG_OK) *result = rdg_eth_hash_json(&id);
    }
    rdg_tx_unref(tx);
    rdg_buf_fini(&c.data);
    return err;
}

static rdg_err_t send_raw(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    (void)rpc, (void)params, (void)result;
    return rdg_fail(
        RDG_E_UNSUPPORTED,
        "transactions signed with secp256k1 are not taken, accounts here are SM2 keys: sign with SM2 and "
        "send by ridge_sendTransaction (npm: sdk/ethers; C: libridge), or let the node sign by "
        "eth_sendTransaction for one of eth_accounts");
}

const rpc_method_t rpc_send_methods[] = {{"eth_accounts", accounts, NULL},
                                         {"eth_sendTransaction", send, NULL},
                                         {"eth_sendRawTransaction", send_raw, NULL},
                                         {NULL, NULL, NULL}};
