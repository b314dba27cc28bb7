/* The methods of governance, each from its arguments to its rule and its events. */
#include <string.h>
#include "governance_call.h"
#include "registry.h"
#include "ridge/codec/hex.h"

static const char bad_key[] = "a key is 64 bytes";

static bool get_key(const json_t *args, rdg_sm2_public_t *out) {
    return rdg_json_get_hex(args, "key", out->b, sizeof out->b) == RDG_OK;
}

static json_t *key_json(const rdg_sm2_public_t *key) {
    return rdg_json_hex(key->b, sizeof key->b);
}

const char *governance_check_sync(call_t *c, const json_t *args) {
    uint64_t height = native_u64(args, "height");
    rdg_word_t given, ours;
    if (rdg_json_get_hex(args, "blockHash", given.b, sizeof given.b) != RDG_OK)
        return "a block hash is 32 bytes";
    if (height >= c->context->block_number || c->context->block_number - height > 256)
        return "the newcomer is not in sync: its height is not among the last 256";
    c->err = c->host->block_hash(c->host->ctx, height, &ours);
    if (c->err != RDG_OK || memcmp(given.b, ours.b, sizeof given.b) == 0) return NULL;
    return "the newcomer is not in sync: it has another block at its height";
}

const char *governance_find_proposal(const call_t *c, const json_t *args, uint32_t *index) {
    uint64_t id = native_u64(args, "id");
    for (*index = 0; *index < c->g->proposal_count; ++*index) {
        const proposal_t *p = &c->g->proposals[*index];
        if (p->id == id) return p->last_height < c->context->block_number ? "the proposal is void" : NULL;
    }
    return "there is no such proposal";
}

static const char *add_validator(call_t *c, const json_t *args) {
    member_t m = {.name = native_text(args, "name"), .weight = native_u32(args, "weight")};
    if (!get_key(args, &m.key)) return bad_key;
    const char *why = governance_add_validator(c->g, c->context->block_number, &m);
    if (why) return why;
    governance_emit(c, "ValidatorAdded(bytes,string,uint32)", NULL, "bytes key,string name,uint32 weight",
                    json_pack("[o, s, I]", key_json(&m.key), m.name, (json_int_t)m.weight));
    return NULL;
}

static void emit_removed(call_t *c, const rdg_sm2_public_t *key) {
    governance_emit(c, "ValidatorRemoved(bytes)", NULL, "bytes key", json_pack("[o]", key_json(key)));
}

static const char *remove_validator(call_t *c, const json_t *args) {
    rdg_sm2_public_t key;
    if (!get_key(args, &key)) return bad_key;
    const char *why = governance_remove_validator(c->g, c->context->block_number, &key);
    if (!why) emit_removed(c, &key);
    return why;
}

static const char *set_weight(call_t *c, const json_t *args) {
    rdg_sm2_public_t key;
    uint32_t weight = native_u32(args, "weight");
    if (!get_key(args, &key)) return bad_key;
    const char *why = governance_set_weight(c->g, c->context->block_number, &key, weight);
    if (why) return why;
    governance_emit(c, "WeightChanged(bytes,uint32)", NULL, "bytes key,uint32 weight",
                    json_pack("[o, I]", key_json(&key), (json_int_t)weight));
    return NULL;
}

static void emit_observer(call_t *c, const rdg_sm2_public_t *key, const char *name) {
    governance_emit(c, "ObserverAdded(bytes,string)", NULL, "bytes key,string name",
                    json_pack("[o, s]", key_json(key), name));
}

static const char *add_observer(call_t *c, const json_t *args) {
    member_t m = {.name = native_text(args, "name")};
    if (!get_key(args, &m.key)) return bad_key;
    const char *why = governance_add_observer(c->g, &m);
    if (!why) emit_observer(c, &m.key, m.name);
    return why;
}

static void emit_observer_removed(call_t *c, const rdg_sm2_public_t *key) {
    governance_emit(c, "ObserverRemoved(bytes)", NULL, "bytes key", json_pack("[o]", key_json(key)));
}

static const char *remove_observer(call_t *c, const json_t *args) {
    rdg_sm2_public_t key;
    if (!get_key(args, &key)) return bad_key;
    const char *why = governance_remove_observer(c->g, &key);
    if (!why) emit_observer_removed(c, &key);
    return why;
}

static const char *promote(call_t *c, const json_t *args) {
    rdg_sm2_public_t key;
    uint32_t weight = native_u32(args, "weight");
    if (!get_key(args, &key)) return bad_key;
    const char *why = governance_promote(c->g, c->context->block_number, &key, weight);
    if (why) return why;
    emit_observer_removed(c, &key);
    governance_emit(c, "ValidatorAdded(bytes,string,uint32)", NULL, "bytes key,string name,uint32 weight",
                    json_pack("[o, s, I]", key_json(&key),
                              c->g->latest.names[c->g->latest.validators.count - 1], (json_int_t)weight));
    return NULL;
}

static const char *demote(call_t *c, const json_t *args) {
    rdg_sm2_public_t key;
    if (!get_key(args, &key)) return bad_key;
    const char *why = governance_demote(c->g, c->context->block_number, &key);
    if (why) return why;
    emit_removed(c, &key);
    emit_observer(c, &key, c->g->observers[c->g->observer_count - 1].name);
    return NULL;
}

static const char *set_parameter(call_t *c, const json_t *args) {
    const char *name = native_text(args, "name");
    uint64_t value = native_u64(args, "value");
    const char *why = governance_set_parameter(c->g, c->context->block_number, name, value);
    if (why) return why;
    governance_emit(c, "ParameterChanged(string,uint64)", NULL, "string name,uint64 value",
                    json_pack("[s, I]", name, (json_int_t)value));
    return NULL;
}

static const char *change_admin(call_t *c, const json_t *args, const char *event,
                                const char *(*change)(governance_t *g, const rdg_address_t *a)) {
    rdg_address_t a;
    if (rdg_json_get_hex(args, "account", a.b, sizeof a.b) != RDG_OK) return "an account is 20 bytes";
    const char *why = change(c->g, &a);
    if (!why)
        governance_emit(c, event, NULL, "address account", json_pack("[o]", rdg_json_hex(a.b, sizeof a.b)));
    return why;
}

static const char *add_admin(call_t *c, const json_t *args) {
    return change_admin(c, args, "AdministratorAdded(address)", governance_add_admin);
}

static const char *remove_admin(call_t *c, const json_t *args) {
    return change_admin(c, args, "AdministratorRemoved(address)", governance_remove_admin);
}

static const char *set_threshold(call_t *c, const json_t *args) {
    uint32_t threshold = native_u32(args, "threshold");
    const char *why = governance_set_threshold(c->g, threshold);
    if (why) return why;
    governance_emit(c, "ThresholdChanged(uint32)", NULL, "uint32 threshold",
                    json_pack("[I]", (json_int_t)threshold));
    return NULL;
}

/* With more than one approval to come, only what can be read waits for them. */
const char *governance_check_order(const json_t *args) {
    rdg_buf_t data;
    const char *hex = json_string_value(json_object_get(args, "data"));
    rdg_buf_init(&data, GOVERNANCE_CALL_MAX);
    bool ok = hex && rdg_hex_decode_buf(hex, strlen(hex), &data) == RDG_OK &&
              registry_is_order(rdg_buf_view(&data));
    rdg_buf_fini(&data);
    return ok ? NULL : "the registry has no such method for administrators, or its arguments cannot be read";
}

static const char *call_registry(call_t *c, const json_t *args) {
    rdg_buf_t data;
    const char *hex = json_string_value(json_object_get(args, "data")), *why = NULL;
    uint64_t gas = 0, left = c->msg->gas > c->gas ? c->msg->gas - c->gas : 0;
    rdg_buf_init(&data, GOVERNANCE_CALL_MAX);
    if (!hex || rdg_hex_decode_buf(hex, strlen(hex), &data) != RDG_OK) why = "the call is too long";
    registry_order_t order = {c->host, c->msg->sender, rdg_buf_view(&data), left};
    if (!why) c->err = registry_run_order(&order, &gas, c->text, &why);
    c->gas = gas == UINT64_MAX ? UINT64_MAX : c->gas + gas;
    rdg_buf_fini(&data);
    return why;
}

#define SET_OUTPUTS "uint64 epoch,uint64 firstHeight,bytes[] keys,string[] names,uint32[] weights"

static const method_t methods[] = {
    {"addValidator", "bytes key,string name,uint32 weight,uint64 height,bytes32 blockHash", "uint64 proposal",
     METHOD_CHANGE, true, add_validator},
    {"removeValidator", "bytes key", "uint64 proposal", METHOD_CHANGE, false, remove_validator},
    {"setWeight", "bytes key,uint32 weight", "uint64 proposal", METHOD_CHANGE, false, set_weight},
    {"addObserver", "bytes key,string name", "uint64 proposal", METHOD_CHANGE, false, add_observer},
    {"removeObserver", "bytes key", "uint64 proposal", METHOD_CHANGE, false, remove_observer},
    {"promoteObserver", "bytes key,uint32 weight,uint64 height,bytes32 blockHash", "uint64 proposal",
     METHOD_CHANGE, true, promote},
    {"demoteValidator", "bytes key", "uint64 proposal", METHOD_CHANGE, false, demote},
    {"setParameter", "string name,uint64 value", "uint64 proposal", METHOD_CHANGE, false, set_parameter},
    {"addAdministrator", "address account", "uint64 proposal", METHOD_CHANGE, false, add_admin},
    {"removeAdministrator", "address account", "uint64 proposal", METHOD_CHANGE, false, remove_admin},
    {"setThreshold", "uint32 threshold", "uint64 proposal", METHOD_CHANGE, false, set_threshold},
    {"callRegistry", "bytes data", "uint64 proposal", METHOD_CHANGE, false, call_registry},
    {"approve", "uint64 id", "bool executed", METHOD_APPROVAL, false, governance_approve},
    {"withdraw", "uint64 id", "", METHOD_APPROVAL, false, governance_withdraw},
    {"validators", "", SET_OUTPUTS, METHOD_VIEW, false, governance_view_validators},
    {"pending", "", "bool scheduled," SET_OUTPUTS, METHOD_VIEW, false, governance_view_pending},
    {"observers", "", "bytes[] keys,string[] names", METHOD_VIEW, false, governance_view_observers},
    {"administrators", "", "address[] accounts,uint32 threshold", METHOD_VIEW, false,
     governance_view_administrators},
    {"parameter", "string name", "uint64 value", METHOD_VIEW, false, governance_view_parameter},
    {"proposals", "", "uint64[] ids,uint64[] lastHeights,uint32[] approvals", METHOD_VIEW, false,
     governance_view_proposals},
    {"proposal", "uint64 id", "address proposer,uint64 lastHeight,address[] approvals,bytes call",
     METHOD_VIEW, false, governance_view_proposal},
};

const method_t *governance_method(rdg_bytes_t data) {
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; ++i)
        if (native_is_method(methods[i].name, methods[i].inputs, data)) return &methods[i];
    return NULL;
}
