#include "contract.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"

static rdg_err_t open_running(rdg_baas_t *b, const char *name, open_chain_t *o) {
    RDG_TRY(chain_load_running(b, name, &o->chain));
    rdg_err_t err = relay_init(&o->relay, b, &o->chain, RELAY_TIMEOUT_MS);
    if (err == RDG_OK) err = contract_sync(&o->relay, &o->chain, false);
    if (err != RDG_OK) contract_close(o);
    return err;
}

rdg_err_t contract_open(rdg_baas_t *b, const rdg_service_call_t *call, open_chain_t *o) {
    memset(o, 0, sizeof *o);
    return open_running(b, rdg_service_arg(call, "name"), o);
}

void contract_close(open_chain_t *o) {
    relay_fini(&o->relay);
    chain_fini(&o->chain);
}

rdg_err_t contract_reply_sent(rdg_service_answer_t *answer, unsigned status, const sent_tx_t *t,
                              json_t *more) {
    json_t *body = json_pack("{s:o, s:I, s:s, s:I}", "tx", rdg_json_hex(t->id.b, sizeof t->id.b), "height",
                             (json_int_t)t->height, "status", "success", "gas_used", (json_int_t)t->gas_used);
    if (body && more) json_object_update(body, more);
    json_decref(more);
    return rdg_service_reply(answer, status, body);
}

/* --- deploy ------------------------------------------------------------------------------------- */

typedef struct deployment {
    const char *name, *bytecode, *key;
    bool is_upgrade;
    json_t *abi, *args;
} deployment_t;

static rdg_err_t read_deployment(const rdg_service_call_t *call, deployment_t *d) {
    const json_t *body;
    RDG_TRY(rdg_service_body(call, &body));
    d->name = rdg_service_arg(call, "contract");
    d->is_upgrade = *d->name != 0;
    if (!d->is_upgrade) RDG_TRY(rdg_json_get_str(body, "name", &d->name));
    RDG_TRY(contract_key(body, &d->key));
    RDG_TRY(rdg_json_get_array(body, "abi", &d->abi));
    RDG_TRY(rdg_json_get_str(body, "bytecode", &d->bytecode));
    d->args = json_object_get(body, "args");
    /* Solidity's names have capitals; a name is one path segment. */
    size_t len = strlen(d->name);
    if (len == 0 || len > 64 ||
        strspn(d->name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != len ||
        strchr("._-", d->name[0]))
        return rdg_fail(
            RDG_E_INVALID,
            "'%.64s' cannot be a contract's name: want 1 to 64 letters, digits or ._-, first a letter "
            "or digit",
            d->name);
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

/* The version is in the registry's event of the receipt. */
static rdg_err_t find_deployed(const json_t *receipt, json_t **out) {
    json_t *abi = registry_events(), *events = NULL, *e;
    rdg_err_t err = abi ? contract_events(receipt, abi, &events) : RDG_E_NO_MEMORY;
    size_t i;
    *out = NULL;
    json_array_foreach(events, i, e) {
        const char *name = json_string_value(json_object_get(e, "event"));
        if (name && strcmp(name, "Deployed") == 0) *out = json_incref(json_object_get(e, "args"));
    }
    json_decref(events);
    json_decref(abi);
    if (err == RDG_OK && !*out)
        err = rdg_fail(RDG_E_PROTOCOL, "the deployment's receipt has no event of the registry");
    return err;
}

static rdg_err_t encode_order(open_chain_t *o, const deployment_t *d, rdg_buf_t *data) {
    rdg_hash_t digest;
    rdg_buf_t code;
    rdg_buf_init(&code, INITCODE_MAX + CALLDATA_MAX);
    rdg_err_t err = encode_creation(d, &code);
    if (err == RDG_OK && code.len > INITCODE_MAX)
        err = rdg_fail(RDG_E_TOO_LARGE, "bytecode with its arguments has %zu bytes: at most %u (EIP-3860)",
                       code.len, INITCODE_MAX);
    if (err == RDG_OK) err = contract_keep_abi(o->relay.b, &o->chain, d->abi, &digest);
    if (err == RDG_OK)
        err = registry_encode(d->is_upgrade ? "upgrade" : "deploy",
                              "string name,bytes initCode,bytes32 abiDigest",
                              json_pack("[s, o, o]", d->name, rdg_json_hex(code.data, code.len),
                                        rdg_json_hex(digest.b, sizeof digest.b)),
                              data);
    rdg_buf_fini(&code);
    return err;
}

/* With a key the answer to the first request may have been lost: then the name is its own. */
static rdg_err_t deploy_on(rdg_baas_t *b, open_chain_t *o, const deployment_t *d, sent_tx_t *sent,
                           json_t **out) {
    rdg_buf_t data;
    json_t *event = NULL;
    if (!d->is_upgrade && !d->key) RDG_TRY(contract_check_new(b, &o->chain, d->name));
    rdg_buf_init(&data, 2 * INITCODE_MAX);
    rdg_err_t err = encode_order(o, d, &data);
    order_t order = {.key = d->key, .to = &RDG_REGISTRY_ADDRESS, .data = rdg_buf_view(&data), .abi = d->abi};
    if (err == RDG_OK) err = contract_order(&o->relay, &o->chain, &order, sent);
    rdg_buf_fini(&data);
    if (err == RDG_OK) err = find_deployed(sent->receipt, &event);
    if (err == RDG_OK) (void)contract_sync(&o->relay, &o->chain, true); /* else the next request does it */
    if (err == RDG_OK)
        *out = json_pack("{s:s, s:O?, s:O?}", "name", d->name, "address",
                         json_object_get(event, "contractAddress"), "version",
                         json_object_get(event, "version"));
    json_decref(event);
    return err;
}

static rdg_err_t deploy(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    deployment_t d;
    open_chain_t o;
    sent_tx_t sent = {.receipt = NULL};
    json_t *out = NULL;
    RDG_TRY(read_deployment(call, &d));
    RDG_TRY(contract_open(ctx, call, &o));
    rdg_err_t err = rdg_fail_in(deploy_on(ctx, &o, &d, &sent, &out), "contract '%s'", d.name);
    if (err == RDG_OK)
        rdg_log(RDG_LOG_INFO, "contract.deployed", RDG_STR("chain", o.chain.name),
                RDG_STR("contract", d.name), RDG_U64("height", sent.height));
    contract_close(&o);
    if (err == RDG_OK) err = contract_reply_sent(answer, 201, &sent, out);
    sent_tx_fini(&sent);
    return err;
}

/* --- list, show ---------------------------------------------------------------------------------- */

/* A chain that does not run is answered for from the copy. */
static rdg_err_t refresh(rdg_baas_t *b, const chain_t *c) {
    relay_t r;
    if (!chain_is(c, "running")) return RDG_OK;
    rdg_err_t err = relay_init(&r, b, c, RELAY_TIMEOUT_MS);
    if (err == RDG_OK) err = contract_sync(&r, c, false);
    relay_fini(&r);
    return err == RDG_E_UNAVAILABLE || err == RDG_E_TIMEOUT ? RDG_OK : err;
}

static rdg_err_t list(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    chain_t c;
    json_t *contracts;
    RDG_TRY(chain_load(ctx, rdg_service_arg(call, "name"), &c));
    rdg_err_t err = refresh(ctx, &c);
    if (err == RDG_OK) err = contract_list(ctx, &c, NULL, &contracts);
    chain_fini(&c);
    return err == RDG_OK ? rdg_service_reply(answer, 200, json_pack("{s:o}", "contracts", contracts)) : err;
}

/* The newest version, or the one asked for, with its ABI, and all of them. */
static rdg_err_t describe(rdg_baas_t *b, const chain_t *c, const char *name, uint32_t version, json_t **out) {
    contract_t k;
    json_t *versions = NULL;
    RDG_TRY(contract_find(b, c, name, version, &k));
    rdg_err_t err = contract_list(b, c, name, &versions);
    if (err == RDG_OK) {
        *out = json_deep_copy(json_array_get(versions, k.version - 1));
        json_object_set(*out, "versions", versions);
        if (k.abi) json_object_set(*out, "abi", k.abi);
    }
    json_decref(versions);
    contract_fini(&k);
    return err;
}

static rdg_err_t show(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    chain_t c;
    json_t *out = NULL;
    uint64_t version = 0;
    RDG_TRY(rdg_service_query_u64(call, "version", 0, UINT32_MAX, &version));
    RDG_TRY(chain_load(ctx, rdg_service_arg(call, "name"), &c));
    rdg_err_t err = refresh(ctx, &c);
    if (err == RDG_OK) err = describe(ctx, &c, rdg_service_arg(call, "contract"), (uint32_t)version, &out);
    chain_fini(&c);
    return err == RDG_OK ? rdg_service_reply(answer, 200, out) : err;
}

const rdg_service_route_t contract_routes[] = {
    {"POST", "/api/v1/chains/{name}/contracts", RDG_ROUTE_OWNED, deploy},
    {"POST", "/api/v1/chains/{name}/contracts/{contract}/upgrade", RDG_ROUTE_OWNED, deploy},
    {"GET", "/api/v1/chains/{name}/contracts", RDG_ROUTE_OWNED, list},
    {"GET", "/api/v1/chains/{name}/contracts/{contract}", RDG_ROUTE_OWNED, show},
};
const size_t contract_route_count = sizeof contract_routes / sizeof contract_routes[0];
