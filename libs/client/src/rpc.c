#include "ridge/client/rpc.h"
#include "api_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/codec/hex.h"
#include <string.h>
#include <time.h>

rdg_err_t rdg_rpc_encode(uint64_t id, const char *method, const json_t *params, rdg_buf_t *out) {
    json_t *call = json_pack("{s:s, s:I, s:s, s:O}", "jsonrpc", "2.0", "id", (json_int_t)id, "method", method,
                             "params", (json_t *)(uintptr_t)params);
    if (!call) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a %s request", method);
    rdg_err_t err = rdg_json_dump(call, out);
    json_decref(call);
    return err;
}

/* Revert data is a string in error.data, as Ethereum's nodes answer; everything else names its code there. */
static rdg_err_t decode_error(json_t *error, json_t **revert) {
    const char *message = "the node answered an error without a message", *name = NULL;
    (void)rdg_json_opt_str(error, "message", &message);
    json_t *data = json_object_get(error, "data");
    if (json_is_string(data)) {
        *revert = json_incref(data);
        return rdg_fail(RDG_E_REVERTED, "%s", message);
    }
    if (json_is_object(data)) (void)rdg_json_opt_str(data, "code", &name);
    rdg_err_t code = name ? rdg_err_from_name(name) : RDG_E_INTERNAL;
    return rdg_fail(code == RDG_OK ? RDG_E_INTERNAL : code, "%s", message);
}

rdg_err_t rdg_rpc_decode(const json_t *answer, json_t **result) {
    if (!json_is_object(answer)) return rdg_fail(RDG_E_PROTOCOL, "the node's answer is no JSON-RPC object");
    json_t *error = json_object_get(answer, "error");
    if (json_is_object(error)) return decode_error(error, result);
    json_t *value = json_object_get(answer, "result");
    if (!value) return rdg_fail(RDG_E_PROTOCOL, "the node's answer has neither result nor error");
    *result = json_incref(value);
    return RDG_OK;
}

rdg_err_t rdg_rpc_call(const rdg_rpc_t *rpc, const char *method, json_t *params, json_t **result) {
    *result = NULL;
    if (!params) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the parameters of %s", method);
    rdg_err_t err = rpc->call(rpc->ctx, method, params, result);
    json_decref(params);
    return rdg_fail_in(err, "%s", method);
}

rdg_err_t rdg_rpc_head(const rdg_rpc_t *rpc, rdg_rpc_head_t *out) {
    json_t *status = NULL;
    RDG_TRY(rdg_rpc_call(rpc, "ridge_status", json_array(), &status));
    rdg_err_t err = rdg_json_get_u64(status, "height", &out->height);
    if (err == RDG_OK) err = rdg_json_get_u64(status, "chain_id", &out->chain_id);
    if (err == RDG_OK) err = rdg_json_get_hex(status, "hash", out->hash.b, sizeof out->hash.b);
    json_decref(status);
    return rdg_fail_in(err, "ridge_status");
}

rdg_err_t rdg_rpc_send(const rdg_rpc_t *rpc, const rdg_tx_t *tx) {
    json_t *result = NULL;
    json_t *raw = rdg_json_hex(tx->raw.data, tx->raw.len);
    RDG_TRY(rdg_rpc_call(rpc, "ridge_sendTransaction", json_pack("[o]", raw), &result));
    rdg_hash_t id;
    const char *text = json_string_value(result);
    rdg_err_t err = text ? rdg_hex_decode(text, strlen(text), id.b, sizeof id.b) : RDG_E_MALFORMED;
    json_decref(result);
    if (err != RDG_OK || !rdg_hash_equal(&id, &tx->id))
        return rdg_fail(RDG_E_PROTOCOL, "the node answered another transaction id than the one sent");
    return RDG_OK;
}

static json_t *receipt_params(const rdg_hash_t *id) {
    return json_pack("[o]", rdg_json_hex(id->b, sizeof id->b));
}

rdg_err_t rdg_rpc_receipt(const rdg_rpc_t *rpc, const rdg_hash_t *id, json_t **out) {
    json_t *result = NULL;
    RDG_TRY(rdg_rpc_call(rpc, "eth_getTransactionReceipt", receipt_params(id), &result));
    if (json_is_null(result)) {
        json_decref(result);
        return rdg_fail(RDG_E_NOT_FOUND, "no receipt yet");
    }
    *out = result;
    return RDG_OK;
}

static rdg_err_t receipts_one_by_one(const rdg_rpc_t *rpc, const rdg_hash_t *ids, size_t count,
                                     json_t **out) {
    for (size_t i = 0; i < count; ++i) {
        rdg_err_t err = rdg_rpc_receipt(rpc, &ids[i], &out[i]);
        if (err == RDG_OK || err == RDG_E_NOT_FOUND) continue;
        while (i-- > 0) json_decref(out[i]), out[i] = NULL;
        return err;
    }
    return RDG_OK;
}

rdg_err_t rdg_rpc_receipts(const rdg_rpc_t *rpc, const rdg_hash_t *ids, size_t count, json_t **out) {
    if (count > RDG_RPC_BATCH_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "%zu receipts asked for at once, at most %d", count,
                        RDG_RPC_BATCH_MAX);
    memset(out, 0, count * sizeof *out);
    if (count == 0) return RDG_OK;
    if (!rpc->batch) return receipts_one_by_one(rpc, ids, count, out);
    json_t *params[RDG_RPC_BATCH_MAX];
    rdg_err_t errs[RDG_RPC_BATCH_MAX], err = RDG_OK;
    for (size_t i = 0; i < count; ++i)
        if (!(params[i] = receipt_params(&ids[i]))) err = RDG_E_NO_MEMORY;
    if (err == RDG_OK) err = rpc->batch(rpc->ctx, "eth_getTransactionReceipt", params, count, out, errs);
    for (size_t i = 0; i < count; ++i) json_decref(params[i]);
    if (err != RDG_OK) return rdg_fail_in(err, "eth_getTransactionReceipt");
    for (size_t i = 0; i < count; ++i)
        if (json_is_null(out[i])) json_decref(out[i]), out[i] = NULL;
    return RDG_OK;
}

void rpc_pause_ms(uint64_t ms) {
    struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    while (nanosleep(&t, &t) != 0) {
    }
}

rdg_err_t rdg_rpc_wait(const rdg_rpc_t *rpc, const rdg_tx_t *tx, uint64_t timeout_ms, uint64_t interval_ms,
                       json_t **receipt) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + timeout_ms;
    char id[2 * RDG_HASH_BYTES + 1];
    rdg_hex_encode(tx->id.b, sizeof tx->id.b, id);
    for (;;) {
        rdg_rpc_head_t head;
        /* The head is read before the receipt: a head past valid_until then proves absence. */
        RDG_TRY(rdg_rpc_head(rpc, &head));
        rdg_err_t err = rdg_rpc_receipt(rpc, &tx->id, receipt);
        if (err != RDG_E_NOT_FOUND) return err;
        if (head.height >= tx->valid_until)
            return rdg_fail(RDG_E_EXPIRED,
                            "transaction %s was not included before its last valid height %llu: sign it anew",
                            id, (unsigned long long)tx->valid_until);
        if (rdg_mono_ms(rdg_clock_system()) >= end)
            return rdg_fail(RDG_E_TIMEOUT,
                            "transaction %s has no receipt after %llu ms; it may still be included", id,
                            (unsigned long long)timeout_ms);
        rpc_pause_ms(interval_ms);
    }
}

rdg_err_t rdg_rpc_eth_call(const rdg_rpc_t *rpc, const rdg_address_t *from, const rdg_address_t *to,
                           rdg_bytes_t data, rdg_buf_t *output) {
    json_t *call = json_object(), *result = NULL;
    if (from) json_object_set_new(call, "from", rdg_json_hex(from->b, sizeof from->b));
    json_object_set_new(call, "to", rdg_json_hex(to->b, sizeof to->b));
    json_object_set_new(call, "data", rdg_json_hex(data.data, data.len));
    rdg_err_t err = rdg_rpc_call(rpc, "eth_call", json_pack("[o, s]", call, "latest"), &result);
    if (err != RDG_OK && err != RDG_E_REVERTED) return err;
    const char *text = json_string_value(result);
    rdg_err_t decoded = text ? rdg_hex_decode_buf(text, strlen(text), output)
                             : rdg_fail(RDG_E_PROTOCOL, "the node's answer to eth_call is no string");
    json_decref(result);
    return decoded != RDG_OK ? decoded : err;
}
