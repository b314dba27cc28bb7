/* deploy and upgrade: a create that the transaction's sender makes, and the name that it gets.
 *
 * They are transactions to the registry itself, so the executor runs them here and not inside the machine: first the
 * name and the sender are checked, then the machine creates as for an ordinary transaction (same address, same
 * msg.sender), then the version is recorded. What fails at any step undoes all, because it fails the transaction. */
#include <string.h>
#include "registry_call.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"
#include "word.h"

enum { GAS_CREATE = 32000, GAS_INITCODE_WORD = 2, SELECTOR = 4 };

static const char DEPLOY_INPUTS[] = "string name,bytes initCode,bytes32 abiDigest",
                  DEPLOY_OUTPUTS[] = "uint32 version,address contractAddress";

typedef struct deployment {
    registry_run_t run;
    bool is_upgrade;
    json_t *args;
    registry_name_t name;
    rdg_buf_t init_code;
    rdg_evm_result_t *result;
} deployment_t;

static bool is_upgrade(rdg_bytes_t data) {
    return native_is_method("upgrade", DEPLOY_INPUTS, data);
}

bool registry_is_deployment(const rdg_evm_message_t *msg) {
    if (msg->kind != RDG_EVM_CALL || !rdg_address_equal(&msg->recipient, &RDG_REGISTRY_ADDRESS)) return false;
    return is_upgrade(msg->input) || native_is_method("deploy", DEPLOY_INPUTS, msg->input);
}

/* --- before ---------------------------------------------------------------------------------------------------------- */

static const char *check_upgrade(deployment_t *d) {
    registry_run_t *r = &d->run;
    registry_name_t *n = &d->name;
    registry_version_t v;
    const char *why = registry_find_name(r, native_text(d->args, "name"), n);
    if (why) return why;
    if (!rdg_address_equal(&r->sender, &n->owner))
        return registry_refuse(r, "only the owner of '%s' upgrades it", n->text);
    if (n->life & LIFE_REVOKED) return registry_refuse(r, "contract '%s' is revoked for good", n->text);
    if (n->life) return registry_refuse(r, "contract '%s' is frozen: unfreeze it first", n->text);
    if (n->count >= RDG_REGISTRY_VERSIONS_MAX) return "a contract has at most 256 versions";
    registry_load_version(r, n->text, n->active, &v);
    const account_t *account = registry_account(r, &v.address);
    if (account && (account->now.life & LIFE_FROZEN_BY_ADMINS))
        return registry_refuse(r, "contract '%s' was frozen by the administrators: only they unfreeze it",
                               n->text);
    return NULL;
}

static const char *read_arguments(deployment_t *d) {
    registry_run_t *r = &d->run;
    const char *hex;
    rdg_err_t err =
        native_decode(DEPLOY_INPUTS, rdg_bytes(r->data.data + SELECTOR, r->data.len - SELECTOR), &d->args);
    if (err == RDG_OK) err = rdg_json_get_str(d->args, "initCode", &hex);
    if (err == RDG_OK) err = rdg_hex_decode_buf(hex, strlen(hex), &d->init_code);
    if (err == RDG_E_NO_MEMORY) r->err = err;
    if (err == RDG_E_TOO_LARGE || d->init_code.len > RDG_EVM_INITCODE_MAX)
        return "the init code is larger than 49152 bytes";
    return err == RDG_OK ? NULL : "the arguments cannot be read";
}

static const char *prepare(deployment_t *d) {
    registry_run_t *r = &d->run;
    rdg_hash_t digest;
    registry_charge(r, REGISTRY_GAS_BASE);
    const char *why = read_arguments(d);
    if (why) return why;
    registry_charge(r, GAS_CREATE + GAS_INITCODE_WORD * ((d->init_code.len + 31) / 32));
    why = d->is_upgrade ? check_upgrade(d) : registry_check_new(r, native_text(d->args, "name"), &d->name);
    if (why) return why;
    rdg_sm3(d->init_code.data, d->init_code.len, &digest);
    return registry_check_deployer(r, &r->sender, &digest);
}

/* --- after ------------------------------------------------------------------------------------------------------------ */

static void emit_deployed(deployment_t *d, const registry_version_t *v) {
    native_event_t event = {.signature = "Deployed(string,address,string,uint32,address,bytes32)",
                            .indexed_count = 2,
                            .params = "string name,uint32 version,address owner,bytes32 abiDigest"};
    rdg_keccak256(d->name.text, strlen(d->name.text), event.indexed[0].b);
    memcpy(event.indexed[1].b + 12, v->address.b, sizeof v->address.b);
    registry_emit(&d->run, &event,
                  json_pack("[s, I, o, o]", d->name.text, (json_int_t)d->name.count,
                            rdg_json_hex(d->name.owner.b, sizeof d->name.owner.b),
                            rdg_json_hex(v->abi_digest.b, sizeof v->abi_digest.b)));
}

static void supersede(deployment_t *d) {
    registry_run_t *r = &d->run;
    registry_version_t old;
    registry_load_version(r, d->name.text, d->name.active, &old);
    account_t *account = registry_account(r, &old.address);
    if (!account || (account->now.life & LIFE_REVOKED) || !registry_charge(r, REGISTRY_GAS_RESET)) return;
    r->err = registry_set_life(r->host->state, account, account->now.life | LIFE_SUPERSEDED);
    native_event_t event = {.signature = "Superseded(string,address,string,uint32)",
                            .indexed_count = 2,
                            .params = "string name,uint32 version"};
    rdg_keccak256(d->name.text, strlen(d->name.text), event.indexed[0].b);
    memcpy(event.indexed[1].b + 12, old.address.b, sizeof old.address.b);
    registry_emit(r, &event, json_pack("[s, I]", d->name.text, (json_int_t)d->name.active));
}

/* A constructor may have destroyed what it made, or given it no code. */
static const char *check_created(deployment_t *d, const rdg_address_t *a) {
    const account_t *account = registry_account(&d->run, a);
    if (account &&
        (word_is_zero(&account->now.code_hash) || account->now.destroyed_tx == d->run.host->state->tx))
        return "the init code left no contract";
    return NULL;
}

static const char *record(deployment_t *d, const rdg_address_t *created) {
    registry_run_t *r = &d->run;
    registry_version_t v = {
        .address = *created, .deployer = r->sender, .height = r->host->context->block_number};
    const char *why = check_created(d, created);
    if (why) return why;
    if (rdg_json_get_hex(d->args, "abiDigest", v.abi_digest.b, sizeof v.abi_digest.b) != RDG_OK)
        return "an ABI digest is 32 bytes";
    if (d->is_upgrade) {
        supersede(d);
    } else {
        d->name.owner = r->sender;
        registry_list_name(r, d->name.text);
    }
    d->name.active = ++d->name.count;
    registry_store_name(r, &d->name);
    registry_store_version(r, d->name.text, d->name.count, &v);
    emit_deployed(d, &v);
    return NULL;
}

/* --- the whole ---------------------------------------------------------------------------------------------------------- */

/* The text lives in the transaction's arena. */
static rdg_err_t finish(registry_run_t *r, const char *why, rdg_buf_t *bytes, rdg_evm_result_t *result) {
    result->gas_left = r->out_of_gas ? 0 : r->gas_left;
    result->status = r->out_of_gas ? RDG_EVM_OUT_OF_GAS : why ? RDG_EVM_REVERT : RDG_EVM_SUCCESS;
    result->output = rdg_bytes(NULL, 0);
    if (r->out_of_gas) return RDG_OK;
    if (why) RDG_TRY(native_reason(why, bytes));
    if (bytes->len == 0) return RDG_OK;
    const void *copy = rdg_arena_copy(&r->host->state->tx_arena, bytes->data, bytes->len);
    if (!copy) return RDG_E_NO_MEMORY;
    result->output = rdg_bytes(copy, bytes->len);
    return RDG_OK;
}

static rdg_err_t encode_result(deployment_t *d, rdg_buf_t *out) {
    json_t *values = json_pack("[I, o]", (json_int_t)d->name.count,
                               rdg_json_hex(d->result->created.b, sizeof d->result->created.b));
    rdg_err_t err = native_encode(DEPLOY_OUTPUTS, values, out);
    json_decref(values);
    return err;
}

/* What the constructor reverts with goes to the caller as it is. */
static rdg_err_t create_and_record(deployment_t *d, rdg_evm_t *evm, const rdg_evm_message_t *msg,
                                   rdg_buf_t *output) {
    rdg_evm_message_t create = *msg;
    create.kind = RDG_EVM_CREATE;
    create.input = rdg_buf_view(&d->init_code);
    create.gas = d->run.gas_left;
    RDG_TRY(rdg_evm_execute(evm, &RDG_STATE_HOST, d->run.host, d->run.host->context, &create, d->result));
    if (d->result->status != RDG_EVM_SUCCESS) return RDG_OK;
    d->run.gas_left = d->result->gas_left;
    const char *why = record(d, &d->result->created);
    RDG_TRY(d->run.err);
    if (!why) RDG_TRY(encode_result(d, output));
    return finish(&d->run, why, output, d->result);
}

rdg_err_t registry_deploy(state_host_t *host, rdg_evm_t *evm, const rdg_evm_message_t *msg,
                          rdg_evm_result_t *result) {
    rdg_buf_t output;
    deployment_t d = {.run = {.host = host, .sender = msg->sender, .data = msg->input, .gas_left = msg->gas},
                      .is_upgrade = is_upgrade(msg->input),
                      .result = result};
    *result = (rdg_evm_result_t){.status = RDG_EVM_REVERT};
    rdg_buf_init(&d.init_code, RDG_EVM_INITCODE_MAX + 1);
    rdg_buf_init(&output, NATIVE_RETURN_MAX);
    const char *why = prepare(&d);
    rdg_err_t err = d.run.err;
    if (err == RDG_OK)
        err = why || d.run.out_of_gas ? finish(&d.run, why, &output, result)
                                      : create_and_record(&d, evm, msg, &output);
    json_decref(d.args);
    rdg_buf_fini(&d.init_code);
    rdg_buf_fini(&output);
    return err;
}

rdg_err_t registry_may_create(state_host_t *host, const rdg_evm_message_t *msg, rdg_evm_result_t *result,
                              bool *may) {
    rdg_hash_t digest;
    rdg_buf_t text;
    registry_run_t r = {.host = host, .sender = msg->sender, .gas_left = UINT64_MAX};
    rdg_sm3(msg->input.data, msg->input.len, &digest);
    const char *why = registry_check_deployer(&r, &msg->sender, &digest);
    *may = why == NULL;
    RDG_TRY(r.err);
    if (*may) return RDG_OK;
    r.gas_left = msg->gas;
    rdg_buf_init(&text, NATIVE_RETURN_MAX);
    rdg_err_t err = finish(&r, why, &text, result);
    rdg_buf_fini(&text);
    return err;
}
