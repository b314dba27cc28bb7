#include "kit.h"
#include <stdio.h>
#include <string.h>
#include "ridge/codec/hex.h"

/* The chain id stands in the genesis that chain.start carried. */
static uint64_t chain_id(const fake_platform_t *p) {
    for (size_t i = 0; i < p->count; ++i) {
        const json_t *genesis = json_object_get(p->commands[i].params, "genesis");
        if (genesis) return (uint64_t)json_integer_value(json_object_get(genesis, "chain_id"));
    }
    return 1;
}

static json_t *error_json(const char *code, const char *message) {
    return json_pack("{s:i, s:s, s:{s:s}}", "code", -32000, "message", message, "data", "code", code);
}

/* Takes a transaction as a node does: what is signed wrongly is refused. */
static rdg_err_t take_tx(fake_platform_t *p, const json_t *params, json_t **result, json_t **error) {
    const char *hex = json_string_value(json_array_get(params, 0));
    rdg_buf_t wire;
    rdg_tx_t *tx = NULL;
    rdg_buf_init(&wire, RDG_TX_BYTES_MAX);
    rdg_err_t err = rdg_hex_decode_buf(hex, strlen(hex), &wire);
    if (err == RDG_OK) err = rdg_tx_decode(rdg_buf_view(&wire), &tx);
    if (err == RDG_OK) err = rdg_tx_verify(tx);
    if (err == RDG_OK && tx->chain_id != chain_id(p)) err = RDG_E_WRONG_CHAIN;
    if (err == RDG_OK) {
        *result = rdg_json_hex(tx->id.b, 32);
        json_decref(p->tx);
        p->tx = json_pack("{s:O, s:o, s:b}", "id", *result, "data", rdg_json_hex(tx->data.data, tx->data.len),
                          "create", (int)tx->is_create);
    } else {
        *error = error_json(rdg_err_name(err), "refused");
    }
    rdg_tx_unref(tx);
    rdg_buf_fini(&wire);
    return RDG_OK;
}

static json_t *receipt(const fake_platform_t *p) {
    json_t *r = json_pack("{s:s, s:s, s:s, s:s, s:[]}", "status", "0x1", "blockNumber", "0x2", "gasUsed",
                          "0x5208", "contractAddress", "0x00112233445566778899aabbccddeeff00112233", "logs");
    if (p->receipt) json_object_update(r, p->receipt);
    return r;
}

static json_t *block(uint64_t height) {
    char hash[67];
    snprintf(hash, sizeof hash, "0x%064llx", (unsigned long long)height);
    return json_pack("{s:o, s:s, s:s, s:s, s:[s], s:s, s:s, s:s}", "number", rdg_json_quantity(height),
                     "hash", hash, "parentHash", hash, "timestampMs", "0x10", "transactions", hash, "gasUsed",
                     "0x1", "proposer", "0x0", "size", "0x20");
}

rdg_err_t fake_node(fake_platform_t *p, const char *method, const json_t *params, json_t **result,
                    json_t **error) {
    const json_t *first = json_array_get(params, 0);
    if (strcmp(method, "ridge_status") == 0) {
        char hash[67];
        snprintf(hash, sizeof hash, "0x%064d", 7);
        *result = json_pack("{s:I, s:I, s:s}", "height", (json_int_t)p->height, "chain_id",
                            (json_int_t)chain_id(p), "hash", hash);
    } else if (strcmp(method, "ridge_sendTransaction") == 0) {
        return take_tx(p, params, result, error);
    } else if (strcmp(method, "eth_getTransactionReceipt") == 0) {
        *result = receipt(p);
    } else if (strcmp(method, "eth_getTransactionByHash") == 0) {
        *result = p->tx ? json_incref(p->tx) : json_null();
    } else if (strcmp(method, "eth_call") == 0 && p->call_result) {
        *result = json_string(p->call_result);
    } else if (strcmp(method, "eth_call") == 0) {
        *error =
            json_pack("{s:i, s:s, s:s}", "code", 3, "message", "execution reverted", "data", p->call_revert);
    } else if (strcmp(method, "eth_getBlockByNumber") == 0) {
        uint64_t height = p->height;
        (void)rdg_json_quantity_parse(first, &height);
        *result = height <= p->height ? block(height) : json_null();
    } else {
        *error = error_json("UNSUPPORTED", "the method does not exist");
    }
    return RDG_OK;
}
