/* send and call: a method of a version of a contract, by its ABI. */
#include <stdio.h>
#include <string.h>
#include "contract.h"
#include "ridge/codec/hex.h"

#define OUTPUT_MAX (4u << 20)

typedef struct invocation {
    open_chain_t open;
    contract_t contract;
    json_t *none;
    const json_t *entry;
    const char *name, *method, *key;
    bool audit;
    rdg_buf_t data;
} invocation_t;

static size_t arg_count(const json_t *args) {
    return json_is_object(args) ? json_object_size(args) : json_array_size(args);
}

static rdg_err_t encode_invocation(invocation_t *v, const json_t *body) {
    json_t *args = json_object_get(body, "args");
    RDG_TRY(rdg_json_get_str(body, "method", &v->method));
    if (args && !json_is_null(args) && !json_is_array(args) && !json_is_object(args))
        return rdg_fail(RDG_E_INVALID, "args: want an array, or an object by parameter name");
    const json_t *given = args && !json_is_null(args) ? args : v->none;
    RDG_TRY(rdg_abi_find(v->contract.abi, "function", v->method, arg_count(given), &v->entry));
    return rdg_fail_in(rdg_abi_encode_call(v->entry, given, rdg_keccak256, &v->data), "%.64s", v->method);
}

static void invocation_fini(invocation_t *v) {
    rdg_buf_fini(&v->data);
    contract_fini(&v->contract);
    json_decref(v->none);
    contract_close(&v->open);
}

static rdg_err_t read_body(invocation_t *v, const json_t *body, uint64_t *version) {
    RDG_TRY(contract_key(body, &v->key));
    RDG_TRY(rdg_json_opt_bool(body, "audit", &v->audit));
    RDG_TRY(rdg_json_opt_u64(body, "version", version));
    return *version <= UINT32_MAX ? RDG_OK : rdg_fail(RDG_E_INVALID, "version: want a number from 1 on");
}

static rdg_err_t invocation_init(invocation_t *v, rdg_baas_t *b, const rdg_service_call_t *call) {
    const json_t *body;
    uint64_t version = 0;
    memset(v, 0, sizeof *v);
    v->name = rdg_service_arg(call, "contract");
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(read_body(v, body, &version));
    RDG_TRY(contract_open(b, call, &v->open));
    rdg_buf_init(&v->data, CALLDATA_MAX);
    v->none = json_array();
    rdg_err_t err = contract_find_abi(b, &v->open.chain, v->name, (uint32_t)version, &v->contract);
    if (err == RDG_OK) err = rdg_fail_in(encode_invocation(v, body), "contract '%s'", v->name);
    if (err != RDG_OK) invocation_fini(v);
    return err;
}

static rdg_err_t send(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    invocation_t v;
    sent_tx_t sent;
    json_t *events = NULL;
    RDG_TRY(invocation_init(&v, ctx, call));
    order_t order = {
        .key = v.key, .to = &v.contract.address, .data = rdg_buf_view(&v.data), .abi = v.contract.abi};
    rdg_err_t err = contract_order(&v.open.relay, &v.open.chain, &order, &sent);
    rdg_fail_in(err, "%s.%s", v.name, v.method);
    if (err == RDG_OK) {
        err = contract_events(sent.receipt, v.contract.abi, &events);
        if (err == RDG_OK)
            err = contract_reply_sent(
                answer, 200, &sent,
                json_pack("{s:o, s:I}", "events", events, "version", (json_int_t)v.contract.version));
        sent_tx_fini(&sent);
    }
    invocation_fini(&v);
    return err;
}

rdg_err_t contract_account(relay_t *r, const chain_t *c, rdg_address_t *out) {
    rdg_sm2_key_t *key;
    rdg_sm2_public_t public;
    RDG_TRY(chain_key_load(r->b, c, &key));
    rdg_sm2_key_public(key, &public);
    rdg_sm2_address(&public, out);
    rdg_sm2_key_free(key);
    return RDG_OK;
}

/* An auditor's call: the node also runs what is revoked, and nothing can be changed. */
static rdg_err_t audit_call(relay_t *r, const rdg_address_t *from, const rdg_address_t *to, rdg_bytes_t data,
                            rdg_buf_t *output) {
    json_t *result = NULL;
    rdg_err_t err = rdg_rpc_call(&r->rpc, "eth_call",
                                 json_pack("[{s:o, s:o, s:o, s:b}, s]", "from", rdg_json_hex(from->b, 20),
                                           "to", rdg_json_hex(to->b, 20), "data",
                                           rdg_json_hex(data.data, data.len), "audit", 1, "latest"),
                                 &result);
    const char *hex = json_string_value(result);
    if ((err == RDG_OK || err == RDG_E_REVERTED) && hex) {
        rdg_err_t read = rdg_hex_decode_buf(hex, strlen(hex), output);
        if (err == RDG_OK) err = read;
    }
    json_decref(result);
    return err;
}

rdg_err_t contract_read(relay_t *r, const chain_t *c, const contract_t *k, const json_t *entry,
                        rdg_bytes_t data, bool audit, json_t **result) {
    rdg_address_t from;
    rdg_buf_t output;
    char what[160];
    const char *method = json_string_value(json_object_get(entry, "name"));
    RDG_TRY(contract_account(r, c, &from));
    rdg_buf_init(&output, OUTPUT_MAX);
    rdg_err_t err = audit ? audit_call(r, &from, &k->address, data, &output)
                          : rdg_rpc_eth_call(&r->rpc, &from, &k->address, data, &output);
    snprintf(what, sizeof what, "%s.%.64s", k->name, method ? method : "");
    if (err == RDG_E_REVERTED) err = contract_reverted(k->abi, rdg_buf_view(&output), what);
    if (err == RDG_OK) err = rdg_abi_decode(json_object_get(entry, "outputs"), rdg_buf_view(&output), result);
    rdg_buf_fini(&output);
    return err;
}

static rdg_err_t call_method(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    invocation_t v;
    json_t *result = NULL;
    RDG_TRY(invocation_init(&v, ctx, call));
    rdg_err_t err = contract_read(&v.open.relay, &v.open.chain, &v.contract, v.entry, rdg_buf_view(&v.data),
                                  v.audit, &result);
    invocation_fini(&v);
    return err == RDG_OK ? rdg_service_reply(answer, 200, json_pack("{s:o}", "result", result)) : err;
}

const rdg_service_route_t contract_call_routes[] = {
    {"POST", "/api/v1/chains/{name}/contracts/{contract}/send", RDG_ROUTE_OWNED, send},
    {"POST", "/api/v1/chains/{name}/contracts/{contract}/call", RDG_ROUTE_OWNED | RDG_ROUTE_READ,
     call_method},
};
const size_t contract_call_route_count = sizeof contract_call_routes / sizeof contract_call_routes[0];
