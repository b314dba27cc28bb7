#include <stdio.h>
#include <string.h>
#include "member.h"
#include "ridge/codec/hex.h"
#include "ridge/ledger/governance.h"
#include "ridge/ledger/order.h"

static bool holds(const json_t *names, const char *device) {
    size_t i;
    json_t *v;
    json_array_foreach(names, i, v) {
        const char *name = json_string_value(json_is_object(v) ? json_object_get(v, "name") : v);
        if (name && strcmp(name, device) == 0) return true;
    }
    return false;
}

rdg_err_t member_standing(relay_t *r, const char *device, standing_t *out) {
    json_t *answer = NULL;
    memset(out, 0, sizeof *out);
    RDG_TRY(rdg_rpc_call(&r->rpc, "ridge_consensus", json_array(), &answer));
    const json_t *pending = json_object_get(answer, "pending");
    out->decides = holds(json_object_get(answer, "validators"), device);
    out->pending = json_is_object(pending);
    out->scheduled_in = out->pending && holds(json_object_get(pending, "validators"), device);
    out->scheduled_out = out->pending && !out->scheduled_in;
    out->height = (uint64_t)json_integer_value(json_object_get(answer, "height"));
    json_decref(answer);
    return RDG_OK;
}

rdg_err_t member_synced(relay_t *r, const char *device, uint64_t *height, json_t **hash) {
    json_t *own = NULL, *other = NULL, *params = json_array();
    rdg_err_t err = relay_ask(r, device, "ridge_status", params, &own);
    json_decref(params);
    if (err == RDG_OK) err = rdg_rpc_call(&r->rpc, "ridge_status", json_array(), &other);
    if (err == RDG_OK) err = rdg_json_get_u64(own, "height", height);
    uint64_t chain = 0;
    if (err == RDG_OK) err = rdg_json_get_u64(other, "height", &chain);
    if (err == RDG_OK && (*height == 0 || *height + 8 < chain))
        err = rdg_fail(RDG_E_NOT_FOUND, "device '%s' is at block %llu of %llu", device,
                       (unsigned long long)*height, (unsigned long long)chain);
    if (err == RDG_OK) *hash = json_incref(json_object_get(own, "hash"));
    json_decref(own);
    json_decref(other);
    return err;
}

/* types: "bytes key,string name": what the method takes. args is taken. */
static rdg_err_t transact(relay_t *r, const chain_t *c, const char *method, json_t *inputs, json_t *args) {
    rdg_buf_t data;
    sent_tx_t sent;
    json_t *entry = json_pack("{s:s, s:s, s:o}", "type", "function", "name", method, "inputs", inputs);
    rdg_buf_init(&data, 4096);
    rdg_err_t err = entry && args ? rdg_abi_encode_call(entry, args, rdg_keccak256, &data)
                                  : rdg_fail(RDG_E_NO_MEMORY, "no memory for a transaction");
    if (err == RDG_OK) {
        err = contract_transact(r, c, &RDG_GOVERNANCE_ADDRESS, rdg_buf_view(&data), NULL, &sent);
        if (err == RDG_OK) sent_tx_fini(&sent);
    }
    rdg_buf_fini(&data);
    json_decref(entry);
    json_decref(args);
    return err;
}

static json_t *input(const char *type, const char *name) {
    return json_pack("{s:s, s:s}", "type", type, "name", name);
}

rdg_err_t member_vote_in(relay_t *r, const chain_t *c, const member_t *m, const char *key, uint64_t height,
                         const json_t *hash) {
    json_t *inputs =
        json_pack("[o, o, o, o, o]", input("bytes", "key"), input("string", "name"),
                  input("uint32", "weight"), input("uint64", "height"), input("bytes32", "blockHash"));
    json_t *args = json_pack("[o, s, I, I, O]", json_sprintf("0x%s", key), m->device, (json_int_t)m->weight,
                             (json_int_t)height, hash);
    return transact(r, c, "addValidator", inputs, args);
}

rdg_err_t member_vote_out(relay_t *r, const chain_t *c, const char *key) {
    return transact(r, c, "removeValidator", json_pack("[o]", input("bytes", "key")),
                    json_pack("[o]", json_sprintf("0x%s", key)));
}

static rdg_err_t order(relay_t *r, const chain_t *c, const rdg_lead_order_t *o, const char *leader,
                       json_t **out) {
    rdg_buf_t data;
    rdg_tx_t *tx = NULL;
    rdg_buf_init(&data, 256);
    rdg_err_t err = rdg_lead_order_encode(o, &data);
    if (err == RDG_OK) err = contract_sign(r, c, &RDG_GOVERNANCE_ADDRESS, rdg_buf_view(&data), &tx);
    rdg_buf_fini(&data);
    RDG_TRY(err);
    json_t *params = json_pack("[o]", rdg_json_hex(tx->raw.data, tx->raw.len));
    err = params ? relay_ask(r, leader, "ridge_transferLeader", params, out)
                 : rdg_fail(RDG_E_NO_MEMORY, "no memory for an order");
    json_decref(params);
    rdg_tx_unref(tx);
    return err;
}

rdg_err_t member_transfer_lead(relay_t *r, const chain_t *c, const char *to, json_t **out) {
    json_t *seen = NULL;
    rdg_lead_order_t o = {.epoch = 0};
    RDG_TRY(rdg_rpc_call(&r->rpc, "ridge_consensus", json_array(), &seen));
    const char *leader = json_string_value(json_object_get(seen, "leader"));
    const char *protocol = json_string_value(json_object_get(seen, "protocol"));
    o.epoch = (uint64_t)json_integer_value(json_object_get(seen, "epoch"));
    o.view = (uint64_t)json_integer_value(json_object_get(seen, "view"));
    snprintf(o.to, sizeof o.to, "%s", to);
    rdg_err_t err = RDG_OK;
    if (!protocol || strcmp(protocol, "raft") != 0)
        err = rdg_fail(
            RDG_E_UNSUPPORTED,
            "chain '%s' runs pbft: its leaders take turns when the parameter rotate_every is set, and the "
            "validators replace one that is stopped",
            c->name);
    else if (to[0] && !holds(json_object_get(seen, "validators"), to))
        err = rdg_fail(RDG_E_NOT_FOUND,
                       "device '%s' is no validator of chain '%s': see ridge chain validator list %s", to,
                       c->name, c->name);
    else if (!leader || leader[0] == '\0')
        err = rdg_fail(RDG_E_UNAVAILABLE, "chain '%s' has no leader at present: try again", c->name);
    else if (strcmp(leader, to) == 0)
        err = rdg_fail(RDG_E_EXISTS, "device '%s' leads chain '%s' already", to, c->name);
    if (err == RDG_OK) err = order(r, c, &o, leader, out);
    if (err == RDG_OK) json_object_set_new(*out, "from", json_string(leader));
    json_decref(seen);
    return err;
}
