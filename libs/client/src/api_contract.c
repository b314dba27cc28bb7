/* Contracts: encode, sign, send, wait, decode. */
#include <string.h>
#include "api_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/abi.h"
#include "ridge/codec/hex.h"

#define RESULT_MAX (8u << 20)

/* data is taken. A revert is told with the ABI's own errors, also one that the estimate finds. */
static rdg_err_t transact(ridge_node_t *node, const ridge_key_t *key, const ridge_abi_t *abi, const char *to,
                          ridge_bytes_t data, uint64_t timeout_ms, ridge_receipt_t *out) {
    ridge_tx_request_t request = {.to = to, .data = data.data, .data_len = data.len};
    ridge_tx_t *tx = NULL;
    ridge_receipt_t receipt = {0};
    rdg_err_t err = api_sign(node, key, abi, &request, &tx);
    if (err == RDG_OK) err = ridge_tx_send(node, tx);
    if (err == RDG_OK) err = ridge_tx_wait(node, tx, timeout_ms, &receipt);
    if (err == RDG_OK && !receipt.success)
        err = api_reverted(abi, rdg_bytes(receipt.revert.data, receipt.revert.len));
    ridge_tx_free(tx);
    rdg_free(data.data);
    if (out)
        *out = receipt;
    else
        ridge_receipt_fini(&receipt);
    return err;
}

static rdg_err_t view(ridge_node_t *node, const ridge_abi_t *abi, const char *from, const char *to,
                      const ridge_bytes_t *data, rdg_buf_t *output) {
    json_t *call = json_object(), *answer = NULL;
    if (from) json_object_set_new(call, "from", json_string(from));
    json_object_set_new(call, "to", json_string(to));
    json_object_set_new(call, "data", rdg_json_hex(data->data, data->len));
    rdg_err_t err = rdg_rpc_call(node->rpc, "eth_call", json_pack("[o, s]", call, "latest"), &answer);
    if (err == RDG_OK || err == RDG_E_REVERTED) {
        const char *hex = json_string_value(answer);
        rdg_err_t read = hex ? rdg_hex_decode_buf(hex, strlen(hex), output) : RDG_OK;
        if (read != RDG_OK)
            err = rdg_fail(RDG_E_PROTOCOL, "the node's answer to eth_call is not hexadecimal");
        if (err == RDG_E_REVERTED && output->len) err = api_reverted(abi, rdg_buf_view(output));
    }
    json_decref(answer);
    return err;
}

ridge_status_t ridge_contract_deploy(ridge_node_t *node, const ridge_key_t *key, const ridge_abi_t *abi,
                                     const char *args, uint64_t timeout_ms, ridge_receipt_t *out) {
    ridge_bytes_t data;
    if (out) memset(out, 0, sizeof *out);
    RDG_TRY(ridge_abi_encode_deploy(abi, args, &data));
    return transact(node, key, abi, NULL, data, timeout_ms, out);
}

ridge_status_t ridge_contract_send(ridge_node_t *node, const ridge_key_t *key, const ridge_abi_t *abi,
                                   const char *address, const char *method, const char *args,
                                   uint64_t timeout_ms, ridge_receipt_t *out) {
    ridge_bytes_t data;
    rdg_address_t to;
    if (out) memset(out, 0, sizeof *out);
    RDG_TRY(api_address("contract", address, &to));
    RDG_TRY(ridge_abi_encode_call(abi, method, args, &data));
    return transact(node, key, abi, address, data, timeout_ms, out);
}

ridge_status_t ridge_contract_call(ridge_node_t *node, const ridge_abi_t *abi, const char *address,
                                   const char *from, const char *method, const char *args, char **json) {
    ridge_bytes_t data;
    rdg_address_t checked;
    rdg_buf_t output;
    *json = NULL;
    RDG_TRY(api_address("contract", address, &checked));
    if (from) RDG_TRY(api_address("from", from, &checked));
    RDG_TRY(ridge_abi_encode_call(abi, method, args, &data));
    rdg_buf_init(&output, RESULT_MAX);
    rdg_err_t err = view(node, abi, from, address, &data, &output);
    if (err == RDG_OK) err = ridge_abi_decode_result(abi, method, output.data, output.len, json);
    rdg_buf_fini(&output);
    rdg_free(data.data);
    return err;
}

/* --- events -------------------------------------------------------------------------------------------------------- */

/* One log of a node as an event of abi, or NULL if it is none. Returns owned. */
static rdg_err_t decode_log(const ridge_abi_t *abi, const json_t *log, json_t **out) {
    uint8_t topics[4][32];
    const json_t *list = json_object_get(log, "topics");
    const char *hex = json_string_value(json_object_get(log, "data"));
    size_t count = json_array_size(list);
    rdg_buf_t data;
    *out = NULL;
    if (!hex || count > 4) return rdg_fail(RDG_E_PROTOCOL, "a log without data, or with more than 4 topics");
    for (size_t i = 0; i < count; ++i) {
        const json_t *t = json_array_get(list, i);
        if (!json_is_string(t) ||
            rdg_hex_decode(json_string_value(t), json_string_length(t), topics[i], 32) != RDG_OK)
            return rdg_fail(RDG_E_PROTOCOL, "a log's topic is not 32 bytes");
    }
    rdg_buf_init(&data, RESULT_MAX);
    rdg_err_t err = rdg_hex_decode_buf(hex, strlen(hex), &data);
    if (err == RDG_OK)
        err = rdg_abi_decode_log(abi->abi, topics, count, rdg_buf_view(&data), rdg_keccak256, out);
    rdg_buf_fini(&data);
    /* Another contract's event may have the same signature and other indexes: it is none of ours. */
    return err == RDG_E_NOT_FOUND || err == RDG_E_MALFORMED ? RDG_OK : err;
}

static rdg_err_t decode_logs(const ridge_abi_t *abi, const json_t *logs, const char *event,
                             const char *const *copied, json_t *out) {
    const json_t *log;
    size_t i;
    json_array_foreach(logs, i, log) {
        json_t *e = NULL;
        RDG_TRY(decode_log(abi, log, &e));
        const char *name = json_string_value(json_object_get(e, "event"));
        if (e && event && (!name || strcmp(name, event) != 0)) {
            json_decref(e);
            continue;
        }
        if (!e) continue;
        for (size_t k = 0; copied[k]; ++k) json_object_set(e, copied[k], json_object_get(log, copied[k]));
        if (json_array_append_new(out, e) != 0) return rdg_fail(RDG_E_NO_MEMORY, "no memory for events");
    }
    return RDG_OK;
}

static json_t *filter_json(const char *address, uint64_t from, uint64_t to) {
    json_t *o = json_pack("{s:s, s:o}", "address", address, "fromBlock", rdg_json_quantity(from));
    json_object_set_new(o, "toBlock", to == UINT64_MAX ? json_string("latest") : rdg_json_quantity(to));
    return o;
}

ridge_status_t ridge_contract_events(ridge_node_t *node, const ridge_abi_t *abi, const char *address,
                                     const char *event, uint64_t from, uint64_t to, char **json) {
    static const char *const copied[] = {"blockNumber", "transactionHash", "logIndex", NULL};
    rdg_address_t checked;
    const json_t *entry;
    json_t *logs = NULL, *out = NULL;
    *json = NULL;
    RDG_TRY(api_address("contract", address, &checked));
    if (event) {
        rdg_err_t found = rdg_abi_find(abi->abi, "event", event, RDG_ABI_ANY_COUNT, &entry);
        if (found == RDG_E_NOT_FOUND) return found;
    }
    RDG_TRY(rdg_rpc_call(node->rpc, "eth_getLogs", json_pack("[o]", filter_json(address, from, to)), &logs));
    out = json_array();
    rdg_err_t err = out ? decode_logs(abi, logs, event, copied, out) : RDG_E_NO_MEMORY;
    json_decref(logs);
    if (err == RDG_OK) return api_json(out, json);
    json_decref(out);
    return err;
}

ridge_status_t ridge_receipt_events(const ridge_receipt_t *receipt, const ridge_abi_t *abi, char **json) {
    static const char *const copied[] = {"address", NULL};
    json_t *logs = NULL, *out = json_array();
    *json = NULL;
    rdg_err_t err = api_parse("logs", receipt->logs, "[]", &logs);
    if (err == RDG_OK) err = decode_logs(abi, logs, NULL, copied, out);
    json_decref(logs);
    if (err == RDG_OK) return api_json(out, json);
    json_decref(out);
    return err;
}
