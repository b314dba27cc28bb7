#include "kit.h"
#include <stdio.h>
#include <string.h>
#include "contract.h"
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

/* The registry: a deploy or upgrade leaves its event, so do freeze, unfreeze and revoke. */
static void log_event(fake_platform_t *p, const char *event, json_t *args, const rdg_tx_t *tx) {
    static const char *const plain[][2] = {
        {"Deployed", "string name,uint32 version,address owner,bytes32 abiDigest"},
        {"Superseded", "string name,uint32 version"},
        {"Life", "string name,uint32 version,bool byAdministrators"}};
    static const char *const types[] = {"string,address,string,uint32,address,bytes32",
                                        "string,address,string,uint32", "string,address,string,uint32,bool"};
    size_t kind = !strcmp(event, "Deployed") ? 0 : !strcmp(event, "Superseded") ? 1 : 2;
    char signature[100];
    uint8_t topic[32];
    rdg_buf_t data;
    json_t *params = registry_params(plain[kind][1]);
    rdg_buf_init(&data, 4096);
    snprintf(signature, sizeof signature, "%s(%s)", event, types[kind]);
    rdg_keccak256(signature, strlen(signature), topic);
    CHECK_OK(rdg_abi_encode(params, args, &data));
    if (!p->logs) p->logs = json_array();
    char address[67];
    snprintf(address, sizeof address, "0x%024d%s", 0, "00112233445566778899aabbccddeeff00112233");
    json_array_append_new(
        p->logs, json_pack("{s:o, s:[o, s, s], s:o, s:o, s:o}", "address",
                           rdg_json_hex(RDG_REGISTRY_ADDRESS.b, 20), "topics", rdg_json_hex(topic, 32),
                           address, address, "data", rdg_json_hex(data.data, data.len), "transactionHash",
                           rdg_json_hex(tx->id.b, 32), "blockNumber", rdg_json_quantity(p->height + 1)));
    rdg_buf_fini(&data);
    json_decref(params);
    json_decref(args);
}

static bool is_call(const rdg_tx_t *tx, const char *signature) {
    uint8_t digest[32];
    rdg_keccak256(signature, strlen(signature), digest);
    return tx->data.len > 4 && memcmp(tx->data.data, digest, 4) == 0;
}

static json_t *arguments(const rdg_tx_t *tx, const char *types) {
    json_t *params = registry_params(types), *args = NULL;
    CHECK_OK(rdg_abi_decode(params, rdg_bytes(tx->data.data + 4, tx->data.len - 4), &args));
    json_decref(params);
    return args;
}

static void run_registry(fake_platform_t *p, const rdg_tx_t *tx) {
    static const char *const life[][2] = {{"freeze(string,uint32)", "Frozen"},
                                          {"unfreeze(string,uint32)", "Unfrozen"},
                                          {"revoke(string,uint32)", "Revoked"}};
    bool upgrade = is_call(tx, "upgrade(string,bytes,bytes32)");
    json_array_clear(p->logs);
    if (upgrade || is_call(tx, "deploy(string,bytes,bytes32)")) {
        json_t *a = arguments(tx, "string name,bytes initCode,bytes32 abiDigest");
        const char *name = kit_text(a, "name");
        if (upgrade) log_event(p, "Superseded", json_pack("[s, i]", name, (int)p->versions), tx);
        log_event(p, "Deployed",
                  json_pack("[s, i, s, s]", name, (int)++p->versions,
                            "0x00112233445566778899aabbccddeeff00112233", kit_text(a, "abiDigest")),
                  tx);
        json_decref(a);
    }
    for (size_t i = 0; i < 3; ++i) {
        if (!is_call(tx, life[i][0])) continue;
        json_t *a = arguments(tx, "string name,uint32 version");
        log_event(p, life[i][1],
                  json_pack("[s, O, b]", kit_text(a, "name"), json_object_get(a, "version"), 0), tx);
        json_decref(a);
    }
    if (json_array_size(p->logs) > 0) ++p->height;
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
        ++p->sent;
        if (!tx->is_create && rdg_address_equal(&tx->to, &RDG_REGISTRY_ADDRESS)) run_registry(p, tx);
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
    if (p->logs) json_object_set_new(r, "logs", json_deep_copy(p->logs));
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
        *result = json_pack("{s:I, s:I, s:s, s:n, s:i, s:I}", "height", (json_int_t)p->height, "chain_id",
                            (json_int_t)chain_id(p), "hash", hash, "halted", "pool", 0, "checkpoint_height",
                            (json_int_t)p->height);
    } else if (strcmp(method, "ridge_sendTransaction") == 0) {
        if (!p->no_send && !p->send_error) return take_tx(p, params, result, error);
        *error = error_json(p->send_error ? p->send_error : "UNAVAILABLE", "the node takes nothing");
    } else if (strcmp(method, "eth_getTransactionReceipt") == 0) {
        if (p->receipt_error)
            *error = error_json(p->receipt_error, "the node does not tell");
        else
            *result = p->no_receipt ? json_null() : receipt(p);
    } else if (strcmp(method, "eth_getLogs") == 0) {
        uint64_t to = 0;
        (void)rdg_json_quantity_parse(json_object_get(first, "toBlock"), &to);
        *result = p->logs && to == p->height ? json_deep_copy(p->logs) : json_array();
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
