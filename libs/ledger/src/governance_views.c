/* What anybody may read of governance. */
#include <string.h>
#include "governance_call.h"
#include "ridge/codec/hex.h"

static void put(call_t *c, json_t *value) {
    if (json_array_append_new(c->results, value) != 0) c->err = RDG_E_NO_MEMORY;
}

static void put_u64(call_t *c, uint64_t v) {
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    put(c, json_string(text));
}

static void put_set(call_t *c, const rdg_epoch_t *e) {
    json_t *keys = json_array(), *names = json_array(), *weights = json_array();
    for (uint32_t i = 0; e && i < e->validators.count; ++i) {
        json_array_append_new(keys, rdg_json_hex(e->validators.keys[i].b, sizeof e->validators.keys[i].b));
        json_array_append_new(names, json_string(e->names[i]));
        json_array_append_new(weights, json_integer(rdg_validators_weight(&e->validators, i)));
    }
    put_u64(c, e ? e->validators.epoch : 0);
    put_u64(c, e ? e->first_height : 0);
    put(c, keys);
    put(c, names);
    put(c, weights);
}

const char *governance_view_validators(call_t *c, const json_t *args) {
    (void)args;
    put_set(c, governance_epoch(c->g, c->context->block_number));
    return NULL;
}

const char *governance_view_pending(call_t *c, const json_t *args) {
    bool scheduled = c->context->block_number < c->g->latest.first_height;
    (void)args;
    put(c, json_boolean(scheduled));
    put_set(c, scheduled ? &c->g->latest : NULL);
    return NULL;
}

const char *governance_view_observers(call_t *c, const json_t *args) {
    json_t *keys = json_array(), *names = json_array();
    (void)args;
    for (uint32_t i = 0; i < c->g->observer_count; ++i) {
        json_array_append_new(keys, rdg_json_hex(c->g->observers[i].key.b, sizeof c->g->observers[i].key.b));
        json_array_append_new(names, json_string(c->g->observers[i].name));
    }
    put(c, keys);
    put(c, names);
    return NULL;
}

static json_t *addresses(const rdg_address_t *list, uint32_t count) {
    json_t *out = json_array();
    for (uint32_t i = 0; i < count; ++i)
        json_array_append_new(out, rdg_json_hex(list[i].b, sizeof list[i].b));
    return out;
}

const char *governance_view_administrators(call_t *c, const json_t *args) {
    (void)args;
    put(c, addresses(c->g->admins, c->g->admin_count));
    put_u64(c, c->g->threshold);
    return NULL;
}

const char *governance_view_parameter(call_t *c, const json_t *args) {
    const char *name = json_string_value(json_object_get(args, "name"));
    uint64_t *slot;
    if (!name || rdg_chain_param(&c->g->params, name, &slot) != RDG_OK)
        return "a chain has no such parameter";
    put_u64(c, *slot);
    return NULL;
}

const char *governance_view_proposals(call_t *c, const json_t *args) {
    json_t *ids = json_array(), *lasts = json_array(), *approvals = json_array();
    (void)args;
    for (uint32_t i = 0; i < c->g->proposal_count; ++i) {
        const proposal_t *p = &c->g->proposals[i];
        if (p->last_height < c->context->block_number) continue;
        json_array_append_new(ids, json_integer((json_int_t)p->id));
        json_array_append_new(lasts, json_integer((json_int_t)p->last_height));
        json_array_append_new(approvals, json_integer(governance_approvals(c->g, p)));
    }
    put(c, ids);
    put(c, lasts);
    put(c, approvals);
    return NULL;
}

const char *governance_view_proposal(call_t *c, const json_t *args) {
    uint32_t i;
    const char *why = governance_find_proposal(c, args, &i);
    if (why) return why;
    const proposal_t *p = &c->g->proposals[i];
    put(c, rdg_json_hex(p->proposer.b, sizeof p->proposer.b));
    put_u64(c, p->last_height);
    put(c, addresses(p->approvals, p->approval_count));
    put(c, rdg_json_hex(p->call, p->call_len));
    return NULL;
}
