#include "contract.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"

#define NODE_TIMEOUT_MS 5000
#define OUTPUT_MAX (4u << 20)
#define CALLDATA_MAX (100u << 10)

/* A running chain with a way to its nodes. */
typedef struct open_chain {
    chain_t chain;
    relay_t relay;
} open_chain_t;

static rdg_err_t open_chain(rdg_baas_t *b, const char *name, open_chain_t *o) {
    RDG_TRY(chain_load_running(b, name, &o->chain));
    rdg_err_t err = relay_init(&o->relay, b, &o->chain, NODE_TIMEOUT_MS);
    if (err != RDG_OK) {
        relay_fini(&o->relay);
        chain_fini(&o->chain);
    }
    return err;
}

static void close_chain(open_chain_t *o) {
    relay_fini(&o->relay);
    chain_fini(&o->chain);
}

/* --- deploy ------------------------------------------------------------------------------------- */

typedef struct deployment {
    const char *name, *bytecode;
    json_t *abi, *args;
} deployment_t;

static rdg_err_t read_deployment(const rdg_service_call_t *call, deployment_t *d) {
    const json_t *body;
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(rdg_json_get_str(body, "name", &d->name));
    RDG_TRY(rdg_json_get_array(body, "abi", &d->abi));
    RDG_TRY(rdg_json_get_str(body, "bytecode", &d->bytecode));
    d->args = json_object_get(body, "args");
    /* Solidity's names have capitals; a name is one path segment. */
    size_t len = strlen(d->name);
    if (len == 0 || len > 64 ||
        strspn(d->name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != len ||
        d->name[0] == '.')
        return rdg_fail(RDG_E_INVALID,
                        "'%.64s' cannot be a contract's name: want 1 to 64 letters, digits or ._-", d->name);
    return RDG_OK;
}

static rdg_err_t decode_bytecode(const deployment_t *d, rdg_buf_t *out) {
    size_t digits = strlen(d->bytecode);
    if (digits >= 2 && d->bytecode[0] == '0' && (d->bytecode[1] | 32) == 'x') digits -= 2;
    if (digits == 0)
        return rdg_fail(RDG_E_INVALID, "bytecode is empty: an interface or abstract contract has none");
    if (digits > 2 * INITCODE_MAX)
        return rdg_fail(
            RDG_E_TOO_LARGE,
            "bytecode has %zu bytes: at most %u (EIP-3860); split the contract, or compile it with "
            "the optimizer",
            digits / 2, INITCODE_MAX);
    if (strstr(d->bytecode, "__"))
        return rdg_fail(RDG_E_INVALID,
                        "bytecode has places for libraries that are not linked (__$…$__): link them first");
    rdg_err_t err = rdg_hex_decode_buf(d->bytecode, strlen(d->bytecode), out);
    if (err == RDG_OK) return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "bytecode is no hexadecimal: %s: give what solc printed as \"object\"",
                    rdg_err_message(err));
}

static size_t arg_count(const json_t *args) {
    return json_is_object(args) ? json_object_size(args) : json_array_size(args);
}

static rdg_err_t check_args(const json_t *args) {
    if (!args || json_is_null(args) || json_is_array(args) || json_is_object(args)) return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "args: want an array, or an object by parameter name");
}

static rdg_err_t encode_creation(const deployment_t *d, rdg_buf_t *out) {
    const json_t *entry = NULL;
    RDG_TRY(check_args(d->args));
    json_t *none = json_array();
    const json_t *args = d->args && !json_is_null(d->args) ? d->args : none;
    rdg_err_t err = decode_bytecode(d, out);
    if (err == RDG_OK) err = rdg_abi_find(d->abi, "constructor", NULL, arg_count(args), &entry);
    if (err == RDG_OK) err = rdg_fail_in(rdg_abi_encode_call(entry, args, rdg_keccak256, out), "constructor");
    json_decref(none);
    return err;
}

static rdg_err_t created_address(const json_t *receipt, rdg_address_t *out) {
    return rdg_fail_in(rdg_json_get_hex(receipt, "contractAddress", out->b, sizeof out->b),
                       "the deployment's receipt");
}

static rdg_err_t deploy_on(rdg_baas_t *b, open_chain_t *o, const deployment_t *d, json_t **out) {
    rdg_buf_t code;
    sent_tx_t sent = {.receipt = NULL};
    rdg_address_t address;
    RDG_TRY(contract_check_new(b, &o->chain, d->name));
    rdg_buf_init(&code, INITCODE_MAX + CALLDATA_MAX);
    rdg_err_t err = encode_creation(d, &code);
    if (err == RDG_OK)
        err = contract_transact(&o->relay, &o->chain, NULL, rdg_buf_view(&code), d->abi, &sent);
    rdg_buf_fini(&code);
    if (err == RDG_OK) err = created_address(sent.receipt, &address);
    if (err == RDG_OK) err = contract_add(b, &o->chain, d->name, d->abi, &address, &sent.id, sent.height);
    if (err == RDG_OK)
        *out = json_pack("{s:s, s:o, s:o, s:I, s:I, s:i}", "name", d->name, "address",
                         rdg_json_hex(address.b, sizeof address.b), "tx",
                         rdg_json_hex(sent.id.b, sizeof sent.id.b), "height", (json_int_t)sent.height,
                         "gas_used", (json_int_t)sent.gas_used, "version", 1);
    sent_tx_fini(&sent);
    return err;
}

static rdg_err_t deploy(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    deployment_t d;
    open_chain_t o;
    json_t *out = NULL;
    RDG_TRY(read_deployment(call, &d));
    RDG_TRY(open_chain(ctx, rdg_service_arg(call, "name"), &o));
    rdg_err_t err = rdg_fail_in(deploy_on(ctx, &o, &d, &out), "contract '%s'", d.name);
    if (err == RDG_OK)
        rdg_log(RDG_LOG_INFO, "contract.deployed", RDG_STR("chain", o.chain.name),
                RDG_STR("contract", d.name));
    close_chain(&o);
    return err == RDG_OK ? rdg_service_reply(answer, 201, out) : err;
}

/* --- list, show ---------------------------------------------------------------------------------- */

static rdg_err_t list(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    chain_t c;
    json_t *contracts;
    RDG_TRY(chain_load(ctx, rdg_service_arg(call, "name"), &c));
    rdg_err_t err = contract_list(ctx, &c, NULL, &contracts);
    chain_fini(&c);
    return err == RDG_OK ? rdg_service_reply(answer, 200, json_pack("{s:o}", "contracts", contracts)) : err;
}

static rdg_err_t show(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    chain_t c;
    json_t *contracts = NULL, *abi = NULL, *o = NULL;
    rdg_address_t address;
    const char *name = rdg_service_arg(call, "contract");
    RDG_TRY(chain_load(ctx, rdg_service_arg(call, "name"), &c));
    rdg_err_t err = contract_find(ctx, &c, name, &address, &abi);
    if (err == RDG_OK) err = contract_list(ctx, &c, name, &contracts);
    if (err == RDG_OK) {
        o = json_incref(json_array_get(contracts, json_array_size(contracts) - 1));
        json_object_set(o, "abi", abi);
    }
    json_decref(contracts);
    json_decref(abi);
    chain_fini(&c);
    return err == RDG_OK ? rdg_service_reply(answer, 200, o) : err;
}

/* --- send, call ---------------------------------------------------------------------------------- */

typedef struct invocation {
    open_chain_t open;
    rdg_address_t address;
    json_t *abi, *none;
    const json_t *entry;
    const char *contract, *method;
    rdg_buf_t data;
} invocation_t;

static rdg_err_t encode_invocation(invocation_t *v, const json_t *body) {
    json_t *args = json_object_get(body, "args");
    RDG_TRY(rdg_json_get_str(body, "method", &v->method));
    RDG_TRY(check_args(args));
    const json_t *given = args && !json_is_null(args) ? args : v->none;
    RDG_TRY(rdg_abi_find(v->abi, "function", v->method, arg_count(given), &v->entry));
    return rdg_fail_in(rdg_abi_encode_call(v->entry, given, rdg_keccak256, &v->data), "%.64s", v->method);
}

static void invocation_fini(invocation_t *v) {
    rdg_buf_fini(&v->data);
    json_decref(v->abi);
    json_decref(v->none);
    close_chain(&v->open);
}

static rdg_err_t invocation_init(invocation_t *v, rdg_baas_t *b, const rdg_service_call_t *call) {
    const json_t *body;
    memset(v, 0, sizeof *v);
    v->contract = rdg_service_arg(call, "contract");
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(open_chain(b, rdg_service_arg(call, "name"), &v->open));
    rdg_buf_init(&v->data, CALLDATA_MAX);
    v->none = json_array();
    rdg_err_t err = contract_find(b, &v->open.chain, v->contract, &v->address, &v->abi);
    if (err == RDG_OK) err = rdg_fail_in(encode_invocation(v, body), "contract '%s'", v->contract);
    if (err != RDG_OK) invocation_fini(v);
    return err;
}

static rdg_err_t send(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    invocation_t v;
    sent_tx_t sent;
    json_t *events = NULL;
    RDG_TRY(invocation_init(&v, ctx, call));
    rdg_err_t err =
        contract_transact(&v.open.relay, &v.open.chain, &v.address, rdg_buf_view(&v.data), v.abi, &sent);
    rdg_fail_in(err, "%s.%s", v.contract, v.method);
    if (err == RDG_OK) {
        err = contract_events(sent.receipt, v.abi, &events);
        if (err == RDG_OK)
            err = rdg_service_reply(answer, 200,
                                    json_pack("{s:o, s:I, s:s, s:I, s:o}", "tx",
                                              rdg_json_hex(sent.id.b, sizeof sent.id.b), "height",
                                              (json_int_t)sent.height, "status", "success", "gas_used",
                                              (json_int_t)sent.gas_used, "events", events));
        sent_tx_fini(&sent);
    }
    invocation_fini(&v);
    return err;
}

static rdg_err_t run_call(invocation_t *v, json_t **result) {
    rdg_sm2_key_t *key;
    rdg_sm2_public_t public;
    rdg_address_t from;
    char what[140];
    RDG_TRY(chain_key_load(v->open.relay.b, &v->open.chain, &key));
    rdg_sm2_key_public(key, &public);
    rdg_sm2_address(&public, &from);
    rdg_sm2_key_free(key);
    rdg_buf_t output;
    rdg_buf_init(&output, OUTPUT_MAX);
    rdg_err_t err = rdg_rpc_eth_call(&v->open.relay.rpc, &from, &v->address, rdg_buf_view(&v->data), &output);
    snprintf(what, sizeof what, "%s.%.64s", v->contract, v->method);
    if (err == RDG_E_REVERTED) err = contract_reverted(v->abi, rdg_buf_view(&output), what);
    if (err == RDG_OK)
        err = rdg_abi_decode(json_object_get(v->entry, "outputs"), rdg_buf_view(&output), result);
    rdg_buf_fini(&output);
    return err;
}

static rdg_err_t call_method(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    invocation_t v;
    json_t *result = NULL;
    RDG_TRY(invocation_init(&v, ctx, call));
    rdg_err_t err = run_call(&v, &result);
    invocation_fini(&v);
    return err == RDG_OK ? rdg_service_reply(answer, 200, json_pack("{s:o}", "result", result)) : err;
}

const rdg_service_route_t contract_routes[] = {
    {"POST", "/api/v1/chains/{name}/contracts", 0, deploy},
    {"GET", "/api/v1/chains/{name}/contracts", 0, list},
    {"GET", "/api/v1/chains/{name}/contracts/{contract}", 0, show},
    {"POST", "/api/v1/chains/{name}/contracts/{contract}/send", 0, send},
    {"POST", "/api/v1/chains/{name}/contracts/{contract}/call", 0, call_method},
};
const size_t contract_route_count = sizeof contract_routes / sizeof contract_routes[0];
