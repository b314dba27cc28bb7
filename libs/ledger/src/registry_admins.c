/* What only administrators do: contracts without a name, and who may create. */
#include <string.h>
#include "registry_call.h"
#include "ridge/codec/hex.h"
#include "word.h"

typedef struct change {
    const char *event, *already;
    uint8_t set, clear;
} change_t;

static const char *change_contract(registry_run_t *r, const json_t *args, const change_t *c) {
    rdg_address_t a;
    char name[RDG_NAME_MAX + 1];
    uint32_t version;
    if (rdg_json_get_hex(args, "contractAddress", a.b, sizeof a.b) != RDG_OK) return "an address is 20 bytes";
    if (rdg_address_equal(&a, &RDG_GOVERNANCE_ADDRESS) || rdg_address_equal(&a, &RDG_REGISTRY_ADDRESS))
        return "the contract is built in";
    account_t *account = registry_account(r, &a);
    if (!account) return NULL;
    if (word_is_zero(&account->now.code_hash)) return "there is no contract at that address";
    registry_find_address(r, &a, name, &version);
    if (version) return registry_refuse(r, "the contract is '%s', version %u: use that name", name, version);
    if (account->now.life & LIFE_REVOKED) return "the contract is revoked for good";
    uint8_t life = (uint8_t)((account->now.life | c->set) & ~c->clear);
    if (life == account->now.life) return c->already;
    if (!registry_charge(r, REGISTRY_GAS_RESET)) return NULL;
    r->err = registry_set_life(r->host->state, account, life);
    registry_emit_life(r, c->event, &a, "", 0);
    return NULL;
}

const char *registry_freeze_contract(registry_run_t *r, const json_t *args) {
    change_t c = {"Frozen", "the contract is frozen already", LIFE_FROZEN_BY_ADMINS, 0};
    return change_contract(r, args, &c);
}

const char *registry_unfreeze_contract(registry_run_t *r, const json_t *args) {
    change_t c = {"Unfrozen", "the contract is not frozen", 0, LIFE_FROZEN_BY_ADMINS};
    return change_contract(r, args, &c);
}

const char *registry_revoke_contract(registry_run_t *r, const json_t *args) {
    change_t c = {"Revoked", "the contract is revoked for good", LIFE_REVOKED, 0};
    return change_contract(r, args, &c);
}

const char *registry_set_policy(registry_run_t *r, const json_t *args) {
    uint64_t policy = native_u64(args, "policy");
    if (policy > DEPLOY_APPROVED_CODE)
        return "a deploy policy is 0 (anybody), 1 (deployers), 2 (administrators) or 3 (approved code)";
    rdg_word_t w = word_from_u64(policy);
    registry_set(r, 'P', 0, rdg_bytes(NULL, 0), &w);
    native_event_t event = {.signature = "DeployPolicyChanged(uint8)", .params = "uint8 policy"};
    registry_emit(r, &event, json_pack("[I]", (json_int_t)policy));
    return NULL;
}

static void emit_account(registry_run_t *r, const char *signature, const rdg_address_t *a) {
    native_event_t event = {.signature = signature, .params = "address account"};
    registry_emit(r, &event, json_pack("[o]", rdg_json_hex(a->b, sizeof a->b)));
}

const char *registry_deployer_add(registry_run_t *r, const json_t *args) {
    rdg_address_t a;
    if (rdg_json_get_hex(args, "account", a.b, sizeof a.b) != RDG_OK) return "an account is 20 bytes";
    if (registry_is_deployer(r, &a)) return "the account is a deployer already";
    if (registry_deployer_count(r) >= RDG_REGISTRY_DEPLOYERS_MAX) return "a chain has at most 1024 deployers";
    registry_add_deployer(r, &a);
    emit_account(r, "DeployerAdded(address)", &a);
    return NULL;
}

const char *registry_deployer_remove(registry_run_t *r, const json_t *args) {
    rdg_address_t a;
    if (rdg_json_get_hex(args, "account", a.b, sizeof a.b) != RDG_OK) return "an account is 20 bytes";
    if (!registry_is_deployer(r, &a)) return "the account is no deployer";
    registry_remove_deployer(r, &a);
    emit_account(r, "DeployerRemoved(address)", &a);
    return NULL;
}

static const char *set_code(registry_run_t *r, const json_t *args, bool approved) {
    rdg_word_t digest, before, after = word_from_u64(approved);
    if (rdg_json_get_hex(args, "initCodeDigest", digest.b, sizeof digest.b) != RDG_OK)
        return "a digest is 32 bytes";
    rdg_bytes_t key = rdg_bytes(digest.b, sizeof digest.b);
    before = registry_get(r, 'H', 0, key);
    if (!registry_stopped(r) && word_is_zero(&before) != approved)
        return approved ? "the code is approved already" : "the code is not approved";
    registry_set(r, 'H', 0, key, &after);
    native_event_t event = {.signature = approved ? "CodeApproved(bytes32)" : "CodeDisapproved(bytes32)",
                            .params = "bytes32 initCodeDigest"};
    registry_emit(r, &event, json_pack("[o]", rdg_json_hex(digest.b, sizeof digest.b)));
    return NULL;
}

const char *registry_approve_code(registry_run_t *r, const json_t *args) {
    return set_code(r, args, true);
}

const char *registry_disapprove_code(registry_run_t *r, const json_t *args) {
    return set_code(r, args, false);
}
