/* Who may do what with the contracts of a chain: the deploy policy, deployers, administrators with their approvals; names
 * for contracts that exist; owners. The chain's own account in the cloud is one of the administrators. */
#include <stdio.h>
#include <string.h>
#include "contract.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"
#include "ridge/ledger/governance.h"

#define OUTPUT_MAX (1u << 20)
#define LIST_PAGE 100 /* what a view of the registry gives at once */
#define DEPLOYERS_MAX 1000

/* --- what can be changed, and what a proposal says ------------------------------------------------------------------------ */

typedef struct change {
    const char *name; /* as the client says it; NULL: not through here */
    bool of_governance;
    const char *method, *inputs;
} change_t;

static const change_t changes[] = {
    {"deploy", false, "setDeployPolicy", "uint8 policy"},
    {"add_deployer", false, "addDeployer", "address account"},
    {"remove_deployer", false, "removeDeployer", "address account"},
    {"approve_code", false, "approveCode", "bytes32 initCodeDigest"},
    {"disapprove_code", false, "disapproveCode", "bytes32 initCodeDigest"},
    {"approvals", true, "setThreshold", "uint32 threshold"},
    {"add_administrator", true, "addAdministrator", "address account"},
    {"remove_administrator", true, "removeAdministrator", "address account"},
    {"approve", true, "approve", "uint64 id"},
    {"withdraw", true, "withdraw", "uint64 id"},
    {NULL, false, "registerFor", "string name,address contractAddress,address owner,bytes32 abiDigest"},
    {NULL, false, "freeze", "string name,uint32 version"},
    {NULL, false, "unfreeze", "string name,uint32 version"},
    {NULL, false, "revoke", "string name,uint32 version"},
    {NULL, false, "transferOwnership", "string name,address newOwner"},
    {NULL, false, "freezeContract", "address contractAddress"},
    {NULL, false, "unfreezeContract", "address contractAddress"},
    {NULL, false, "revokeContract", "address contractAddress"},
    {NULL, true, "addValidator", "bytes key,string name,uint32 weight,uint64 height,bytes32 blockHash"},
    {NULL, true, "removeValidator", "bytes key"},
    {NULL, true, "setWeight", "bytes key,uint32 weight"},
    {NULL, true, "addObserver", "bytes key,string name"},
    {NULL, true, "removeObserver", "bytes key"},
    {NULL, true, "promoteObserver", "bytes key,uint32 weight,uint64 height,bytes32 blockHash"},
    {NULL, true, "demoteValidator", "bytes key"},
    {NULL, true, "setParameter", "string name,uint64 value"},
};
static const char *const policies[] = {"anybody", "deployers", "administrators", "approved-code"};
enum { CHANGES = sizeof changes / sizeof changes[0], POLICIES = sizeof policies / sizeof policies[0] };

static bool is_method(const char *method, const char *inputs, const uint8_t *selector) {
    uint8_t digest[32];
    char text[256];
    size_t len = (size_t)snprintf(text, sizeof text, "%s(", method);
    for (const char *at = inputs; *at;) { /* the types of "type name,type name" */
        size_t type = strcspn(at, " "), all = strcspn(at, ",");
        len += (size_t)snprintf(text + len, sizeof text - len, "%.*s,", (int)type, at);
        at += all + (at[all] == ',');
    }
    text[len - 1] = ')';
    rdg_keccak256(text, len, digest);
    return memcmp(digest, selector, 4) == 0;
}

static json_t *decode_as(const char *inputs, rdg_bytes_t data) {
    json_t *params = registry_params(inputs), *args = NULL;
    if (params && rdg_abi_decode(params, data, &args) != RDG_OK) args = NULL;
    json_decref(params);
    return args;
}

/* {"method", "args"} of a proposed call; one that is not known is its bytes. */
static json_t *describe_call(rdg_bytes_t call, int depth) {
    if (call.len >= 4 && depth == 0 && is_method("callRegistry", "bytes data", call.data)) {
        json_t *args = decode_as("bytes data", rdg_bytes(call.data + 4, call.len - 4)), *inner = NULL;
        const char *hex = json_string_value(json_object_get(args, "data"));
        rdg_buf_t data;
        rdg_buf_init(&data, OUTPUT_MAX);
        if (hex && rdg_hex_decode_buf(hex, strlen(hex), &data) == RDG_OK)
            inner = describe_call(rdg_buf_view(&data), depth + 1);
        rdg_buf_fini(&data);
        json_decref(args);
        if (inner) return inner;
    }
    for (size_t i = 0; call.len >= 4 && i < CHANGES; ++i) {
        if (!is_method(changes[i].method, changes[i].inputs, call.data)) continue;
        json_t *args = decode_as(changes[i].inputs, rdg_bytes(call.data + 4, call.len - 4));
        if (args) return json_pack("{s:s, s:o}", "method", changes[i].method, "args", args);
    }
    return json_pack("{s:n, s:o}", "method", "data", rdg_json_hex(call.data, call.len));
}

/* --- reading ---------------------------------------------------------------------------------------------------------------- */

static rdg_err_t view(open_chain_t *o, bool of_governance, const char *method, const char *inputs,
                      json_t *args, const char *outputs, json_t **result) {
    contract_t k = {.address = of_governance ? RDG_GOVERNANCE_ADDRESS : RDG_REGISTRY_ADDRESS};
    rdg_buf_t data;
    snprintf(k.name, sizeof k.name, "%s", of_governance ? "governance" : "registry");
    json_t *entry = json_pack("{s:s, s:s, s:o, s:o}", "type", "function", "name", method, "inputs",
                              registry_params(inputs), "outputs", registry_params(outputs));
    rdg_buf_init(&data, 4096);
    rdg_err_t err = registry_encode(method, inputs, args, &data);
    if (err == RDG_OK && !entry) err = rdg_fail(RDG_E_NO_MEMORY, "no memory for a call");
    if (err == RDG_OK)
        err = contract_read(&o->relay, &o->chain, &k, entry, rdg_buf_view(&data), false, result);
    rdg_buf_fini(&data);
    json_decref(entry);
    return err;
}

static rdg_err_t put_policy(open_chain_t *o, json_t *out) {
    json_t *got = NULL;
    RDG_TRY(view(o, false, "deployPolicy", "", json_array(), "uint8 policy", &got));
    json_int_t policy = json_integer_value(json_object_get(got, "policy"));
    json_decref(got);
    if (policy < 0 || policy >= POLICIES)
        return rdg_fail(RDG_E_PROTOCOL, "the registry says a deploy policy that this cloud does not know");
    return json_object_set_new(out, "deploy", json_string(policies[policy])) == 0 ? RDG_OK : RDG_E_NO_MEMORY;
}

static rdg_err_t put_deployers(open_chain_t *o, json_t *out) {
    json_t *list = json_array();
    json_object_set_new(out, "deployers", list);
    for (json_int_t from = 0; from < DEPLOYERS_MAX; from += LIST_PAGE) {
        json_t *got = NULL;
        RDG_TRY(view(o, false, "deployers", "uint32 from,uint32 limit", json_pack("[I, i]", from, LIST_PAGE),
                     "address[] list", &got));
        size_t count = json_array_size(json_object_get(got, "list"));
        json_array_extend(list, json_object_get(got, "list"));
        json_decref(got);
        if (count < LIST_PAGE) break;
    }
    return RDG_OK;
}

static rdg_err_t put_proposal(open_chain_t *o, const json_t *id, json_t *list) {
    json_t *p = NULL;
    rdg_buf_t call;
    RDG_TRY(view(o, true, "proposal", "uint64 id", json_pack("[O]", id),
                 "address proposer,uint64 lastHeight,address[] approvals,bytes call", &p));
    const char *hex = json_string_value(json_object_get(p, "call"));
    rdg_buf_init(&call, OUTPUT_MAX);
    rdg_err_t err = hex ? rdg_hex_decode_buf(hex, strlen(hex), &call) : RDG_E_PROTOCOL;
    if (err == RDG_OK)
        json_array_append_new(list, json_pack("{s:O, s:O?, s:O?, s:O?, s:o}", "id", id, "proposer",
                                              json_object_get(p, "proposer"), "approvals",
                                              json_object_get(p, "approvals"), "last_height",
                                              json_object_get(p, "lastHeight"), "call",
                                              describe_call(rdg_buf_view(&call), 0)));
    rdg_buf_fini(&call);
    json_decref(p);
    return err;
}

static rdg_err_t put_governance(open_chain_t *o, json_t *out) {
    json_t *got = NULL, *list = json_array(), *id;
    size_t i;
    json_object_set_new(out, "proposals", list);
    RDG_TRY(view(o, true, "administrators", "", json_array(), "address[] accounts,uint32 threshold", &got));
    json_object_set(out, "administrators", json_object_get(got, "accounts"));
    json_object_set(out, "approvals", json_object_get(got, "threshold"));
    json_decref(got);
    got = NULL;
    RDG_TRY(view(o, true, "proposals", "", json_array(),
                 "uint64[] ids,uint64[] lastHeights,uint32[] approvals", &got));
    rdg_err_t err = RDG_OK;
    json_array_foreach(json_object_get(got, "ids"), i, id) {
        if (err == RDG_OK) err = put_proposal(o, id, list);
        if (err == RDG_E_REVERTED) err = RDG_OK; /* it happened between the two questions */
    }
    json_decref(got);
    return err;
}

static rdg_err_t describe(open_chain_t *o, json_t *out) {
    rdg_address_t self;
    RDG_TRY(contract_account(&o->relay, &o->chain, &self));
    json_object_set_new(out, "account", rdg_json_hex(self.b, sizeof self.b));
    RDG_TRY(put_policy(o, out));
    RDG_TRY(put_deployers(o, out));
    return put_governance(o, out);
}

static rdg_err_t show(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    open_chain_t o;
    json_t *out = json_object();
    rdg_err_t err = contract_open(ctx, call, &o);
    if (err == RDG_OK) {
        err = describe(&o, out);
        contract_close(&o);
    }
    if (err == RDG_OK) return rdg_service_reply(answer, 200, out);
    json_decref(out);
    return err;
}

/* --- changing --------------------------------------------------------------------------------------------------------------- */

static rdg_err_t order_change(open_chain_t *o, const change_t *c, json_t *args, const char *key,
                              rdg_service_answer_t *answer) {
    rdg_buf_t data;
    sent_tx_t sent = {.receipt = NULL};
    rdg_buf_init(&data, CALLDATA_MAX);
    rdg_err_t err = registry_encode(c->method, c->inputs, args, &data);
    order_t order = {.key = key,
                     .to = c->of_governance ? &RDG_GOVERNANCE_ADDRESS : &RDG_REGISTRY_ADDRESS,
                     .data = rdg_buf_view(&data)};
    if (err == RDG_OK) err = contract_order(&o->relay, &o->chain, &order, &sent);
    rdg_fail_in(err, "%s", c->method);
    if (err == RDG_OK) {
        rdg_log(RDG_LOG_INFO, "contract.govern", RDG_STR("chain", o->chain.name), RDG_STR("what", c->method));
        err = contract_reply_change(o, &sent, answer);
    }
    sent_tx_fini(&sent);
    rdg_buf_fini(&data);
    return err;
}

static rdg_err_t find_change(const char *name, const change_t **out) {
    for (size_t i = 0; i < CHANGES; ++i)
        if (changes[i].name && strcmp(changes[i].name, name) == 0) return *out = &changes[i], RDG_OK;
    return rdg_fail(
        RDG_E_INVALID,
        "change '%.40s': want deploy, approvals, add_deployer, remove_deployer, add_administrator, "
        "remove_administrator, approve_code, disapprove_code, approve or withdraw",
        name);
}

/* The deploy policy is given by its name. */
static rdg_err_t policy_value(const json_t *value, json_t **args) {
    const char *name = json_string_value(value);
    for (int i = 0; name && i < POLICIES; ++i)
        if (strcmp(policies[i], name) == 0) return *args = json_pack("[i]", i), RDG_OK;
    return rdg_fail(RDG_E_INVALID, "value: want anybody, deployers, administrators or approved-code");
}

static rdg_err_t change(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    open_chain_t o;
    const json_t *body;
    const char *name, *key;
    const change_t *c;
    json_t *args = NULL;
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(rdg_json_get_str(body, "change", &name));
    RDG_TRY(find_change(name, &c));
    RDG_TRY(contract_key(body, &key));
    json_t *value = json_object_get(body, "value");
    if (!value) return rdg_fail(RDG_E_INVALID, "value is missing: the %s of %s", c->inputs, name);
    if (strcmp(name, "deploy") == 0)
        RDG_TRY(policy_value(value, &args));
    else
        args = json_pack("[O]", value);
    rdg_err_t err = contract_open(ctx, call, &o);
    if (err != RDG_OK) {
        json_decref(args);
        return err;
    }
    err = order_change(&o, c, args, key, answer);
    contract_close(&o);
    return err;
}

/* --- names and owners ------------------------------------------------------------------------------------------------------- */

static rdg_err_t registration(open_chain_t *o, const json_t *body, const char *name, change_t *c,
                              json_t **args) {
    rdg_hash_t digest = {{0}};
    rdg_address_t self;
    json_t *abi = json_object_get(body, "abi"), *nonce = json_object_get(body, "nonce"),
           *owner = json_object_get(body, "owner"), *address = json_object_get(body, "address");
    if (!address) return rdg_fail(RDG_E_INVALID, "address is missing: of the contract that gets the name");
    if (nonce && owner)
        return rdg_fail(RDG_E_INVALID, "with a nonce the owner is who created it: leave one of them out");
    RDG_TRY(contract_check_new(o->relay.b, &o->chain, name));
    if (abi && !json_is_array(abi)) return rdg_fail(RDG_E_INVALID, "abi: want an array");
    if (abi) RDG_TRY(contract_keep_abi(o->relay.b, &o->chain, abi, &digest));
    RDG_TRY(contract_account(&o->relay, &o->chain, &self));
    json_t *hash = rdg_json_hex(digest.b, sizeof digest.b);
    if (nonce) {
        *c = (change_t){NULL, false, "register",
                        "string name,address contractAddress,uint64 nonce,bytes32 abiDigest"};
        *args = json_pack("[s, O, O, o]", name, address, nonce, hash);
    } else {
        *c = (change_t){NULL, false, "registerFor",
                        "string name,address contractAddress,address owner,bytes32 abiDigest"};
        *args = json_pack("[s, O, o, o]", name, address,
                          owner ? json_incref(owner) : rdg_json_hex(self.b, sizeof self.b), hash);
    }
    return RDG_OK;
}

static rdg_err_t transfer(open_chain_t *o, const json_t *body, const char *name, change_t *c, json_t **args) {
    json_t *owner = json_object_get(body, "owner");
    contract_t k = {.abi = NULL};
    if (!owner) return rdg_fail(RDG_E_INVALID, "owner is missing: the account that the contract goes to");
    RDG_TRY(contract_find(o->relay.b, &o->chain, name, 0, &k));
    contract_fini(&k);
    *c = (change_t){NULL, false, "transferOwnership", "string name,address newOwner"};
    *args = json_pack("[s, O]", name, owner);
    return RDG_OK;
}

static rdg_err_t with_name(rdg_baas_t *b, const rdg_service_call_t *call, rdg_service_answer_t *answer,
                           rdg_err_t (*prepare)(open_chain_t *, const json_t *, const char *, change_t *,
                                                json_t **)) {
    open_chain_t o;
    const json_t *body;
    const char *key, *name = rdg_service_arg(call, "contract");
    change_t c = {NULL, false, "", ""};
    json_t *args = NULL;
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(contract_key(body, &key));
    RDG_TRY(contract_open(b, call, &o));
    rdg_err_t err = prepare(&o, body, name, &c, &args);
    if (err == RDG_OK) err = order_change(&o, &c, args, key, answer);
    contract_close(&o);
    return rdg_fail_in(err, "contract '%s'", name);
}

static rdg_err_t register_name(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    return with_name(ctx, call, answer, registration);
}

static rdg_err_t change_owner(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    return with_name(ctx, call, answer, transfer);
}

const rdg_service_route_t contract_govern_routes[] = {
    {"GET", "/api/v1/chains/{name}/contract-policy", RDG_ROUTE_OWNED, show},
    {"POST", "/api/v1/chains/{name}/contract-policy", RDG_ROUTE_OWNED, change},
    {"POST", "/api/v1/chains/{name}/contracts/{contract}/register", RDG_ROUTE_OWNED, register_name},
    {"POST", "/api/v1/chains/{name}/contracts/{contract}/owner", RDG_ROUTE_OWNED, change_owner},
};
const size_t contract_govern_route_count = sizeof contract_govern_routes / sizeof contract_govern_routes[0];
