/* Validators and consensus of a chain, for the operator. */
#include "member.h"
#include <string.h>
#include "ridge/base/file.h"
#include "ridge/consensus/validators.h"

#define ASK_MS 3000

/* Whatever one node knows. */
static rdg_err_t ask(rdg_baas_t *b, const chain_t *c, json_t **out) {
    relay_t r;
    RDG_TRY(relay_init(&r, b, c, ASK_MS));
    rdg_err_t err = rdg_rpc_call(&r.rpc, "ridge_consensus", json_array(), out);
    relay_fini(&r);
    return err;
}

static rdg_err_t consensus(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    chain_t c;
    json_t *o = NULL;
    RDG_TRY(chain_load_running(ctx, rdg_service_arg(call, "name"), &c));
    rdg_err_t err = ask(ctx, &c, &o);
    chain_fini(&c);
    return err == RDG_OK ? rdg_service_reply(answer, 200, o) : err;
}

static rdg_err_t describe(rdg_baas_t *b, const chain_t *c, json_t **out) {
    member_t m;
    json_t *seen = NULL;
    RDG_TRY(member_load(b, c, &m));
    /* While a change is on its way a node may be away: the change is told all the same. */
    (void)ask(b, c, &seen);
    json_t *validators = json_object_get(seen, "validators"), *pending = json_object_get(seen, "pending");
    *out = json_pack("{s:I, s:I, s:O?, s:O?, s:o}", "epoch",
                     (json_int_t)json_integer_value(json_object_get(seen, "epoch")), "height",
                     (json_int_t)json_integer_value(json_object_get(seen, "height")), "validators",
                     validators, "pending", pending, "change", member_describe(&m));
    json_decref(seen);
    member_fini(&m);
    return *out ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the validators");
}

static rdg_err_t list(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    chain_t c;
    json_t *o = NULL;
    RDG_TRY(chain_load_running(ctx, rdg_service_arg(call, "name"), &c));
    rdg_err_t err = describe(ctx, &c, &o);
    chain_fini(&c);
    return err == RDG_OK ? rdg_service_reply(answer, 200, o) : err;
}

/* An operator is told at once what could never work. */
static rdg_err_t check_add(rdg_baas_t *b, const chain_t *c, const char *device) {
    steps_t steps;
    standing_t st;
    relay_t r;
    RDG_TRY(steps_load(b, c, &steps));
    bool leaving = steps_find(&steps, device, STEP_REMOVE) != NULL;
    steps_fini(&steps);
    if (leaving)
        return rdg_fail(RDG_E_CONFLICT, "device '%s' is still removing its node of chain '%s'", device,
                        c->name);
    /* First of all, so that nothing is told of another tenant's device. */
    if (device_online_of(b, c->tenant, device) == RDG_E_NOT_FOUND) return RDG_E_NOT_FOUND;
    RDG_TRY(relay_init(&r, b, c, ASK_MS));
    rdg_err_t err = member_standing(&r, device, &st);
    relay_fini(&r);
    if (err == RDG_OK && st.decides)
        return rdg_fail(RDG_E_EXISTS, "device '%s' is a validator of chain '%s' already", device, c->name);
    return err == RDG_OK ? device_online_of(b, c->tenant, device) : err;
}

static rdg_err_t check_remove(rdg_baas_t *b, const chain_t *c, const char *device) {
    json_t *seen = NULL, *v;
    size_t i;
    bool found = false;
    RDG_TRY(ask(b, c, &seen));
    json_array_foreach(json_object_get(seen, "validators"), i, v) {
        const char *name = json_string_value(json_object_get(v, "name"));
        found = found || (name && strcmp(name, device) == 0);
    }
    size_t count = json_array_size(json_object_get(seen, "validators"));
    json_decref(seen);
    if (!found)
        return rdg_fail(RDG_E_NOT_FOUND,
                        "device '%s' is no validator of chain '%s': see ridge chain validator list %s",
                        device, c->name, c->name);
    if (count > 1) return RDG_OK;
    return rdg_fail(RDG_E_CONFLICT,
                    "device '%s' is the last validator of chain '%s': destroy the chain instead", device,
                    c->name);
}

static rdg_err_t begin(rdg_baas_t *b, const char *name, const char *device, const char *action,
                       uint64_t weight, rdg_service_answer_t *answer) {
    chain_t c;
    json_t *o = NULL;
    bool adds = strcmp(action, "add") == 0;
    RDG_TRY(chain_load_running(b, name, &c));
    rdg_err_t err = adds ? check_add(b, &c, device) : check_remove(b, &c, device);
    if (err == RDG_OK) {
        work_enter(b, name);
        err = member_begin(b, &c, device, action, weight);
        work_leave(b, name);
    }
    if (err == RDG_OK) err = describe(b, &c, &o);
    chain_fini(&c);
    return err == RDG_OK ? rdg_service_reply(answer, 202, o) : err;
}

static rdg_err_t add(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const json_t *body;
    const char *device;
    uint64_t weight = 1;
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(rdg_json_get_str(body, "device", &device));
    RDG_TRY(rdg_json_opt_u64(body, "weight", &weight));
    if (weight == 0 || weight > RDG_VALIDATOR_WEIGHT_MAX)
        return rdg_fail(RDG_E_INVALID, "weight: want 1 to %u", RDG_VALIDATOR_WEIGHT_MAX);
    if (!rdg_name_valid(device)) return rdg_fail(RDG_E_INVALID, "device '%.64s' is no valid name", device);
    return begin(ctx, rdg_service_arg(call, "name"), device, "add", weight, answer);
}

static rdg_err_t remove_one(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    return begin(ctx, rdg_service_arg(call, "name"), rdg_service_arg(call, "device"), "remove", 1, answer);
}

/* The node answers when another leads, or after two election time-outs. */
#define TRANSFER_MS 15000

static rdg_err_t transfer(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const json_t *body;
    const char *to = "";
    chain_t c;
    relay_t r;
    json_t *o = NULL;
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(rdg_json_opt_str(body, "device", &to));
    if (to[0] && !rdg_name_valid(to)) return rdg_fail(RDG_E_INVALID, "device '%.64s' is no valid name", to);
    RDG_TRY(chain_load_running(ctx, rdg_service_arg(call, "name"), &c));
    rdg_err_t err = relay_init(&r, ctx, &c, TRANSFER_MS);
    if (err == RDG_OK) {
        err = member_transfer_lead(&r, &c, to, &o);
        relay_fini(&r);
    }
    if (err == RDG_OK) {
        const char *leader = json_string_value(json_object_get(o, "leader"));
        err = event_add(ctx, c.number, leader ? leader : "", "leader.transfer", "done", "");
        event_wake(ctx);
    }
    chain_fini(&c);
    if (err == RDG_OK) return rdg_service_reply(answer, 200, o);
    json_decref(o);
    return err;
}

const rdg_service_route_t member_routes[] = {
    {"GET", "/api/v1/chains/{name}/consensus", RDG_ROUTE_OWNED, consensus},
    {"GET", "/api/v1/chains/{name}/validators", RDG_ROUTE_OWNED, list},
    {"POST", "/api/v1/chains/{name}/validators", RDG_ROUTE_OWNED, add},
    {"POST", "/api/v1/chains/{name}/leader", RDG_ROUTE_OWNED, transfer},
    {"DELETE", "/api/v1/chains/{name}/validators/{device}", RDG_ROUTE_OWNED, remove_one},
};
const size_t member_route_count = sizeof member_routes / sizeof member_routes[0];
