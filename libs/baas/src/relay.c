#include "internal.h"
#include <stdio.h>
#include <string.h>

static const step_t *device_at(const relay_t *r, size_t i) {
    return &r->steps.list[i % r->steps.count];
}

/* error.data is the node's own JSON-RPC error; without it the agent could not reach the node. */
static rdg_err_t device_error(relay_t *r, const char *device, const json_t *error, json_t **result) {
    const char *code = NULL, *message = "the device gave no reason";
    json_t *node = json_object_get(error, "data");
    if (json_is_object(node)) {
        json_t *answer = json_pack("{s:O}", "error", node);
        rdg_err_t err =
            answer ? rdg_rpc_decode(answer, result) : rdg_fail(RDG_E_NO_MEMORY, "no memory for an answer");
        json_decref(answer);
        r->error = json_incref(node);
        return err;
    }
    (void)rdg_json_opt_str(error, "code", &code);
    (void)rdg_json_opt_str(error, "message", &message);
    rdg_err_t err = code ? rdg_err_from_name(code) : RDG_E_INTERNAL;
    return rdg_fail(err == RDG_OK ? RDG_E_INTERNAL : err, "device '%s': %s", device, message);
}

rdg_err_t relay_ask(relay_t *r, const char *device, const char *method, const json_t *params,
                    json_t **result) {
    json_t *answer = NULL;
    json_t *body = json_pack("{s:s, s:{s:s, s:s, s:O}}", "method", "node.rpc", "params", "chain", r->chain,
                             "method", method, "params", params);
    if (!body) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a request");
    json_decref(r->error);
    r->error = NULL;
    RDG_TRY(remote_request(r->b, device, body, r->timeout_ms, &answer));
    const json_t *error = json_object_get(answer, "error");
    rdg_err_t err = RDG_OK;
    json_t *value = json_object_get(answer, "result");
    if (json_is_object(error))
        err = device_error(r, device, error, result);
    else if (value)
        *result = json_incref(value);
    else
        err = rdg_fail(RDG_E_PROTOCOL, "device '%s' answered with neither result nor error", device);
    json_decref(answer);
    return err;
}

/* Trouble on the way to the node, and not the node's own answer: another node may do. */
static bool elsewhere(const relay_t *r, rdg_err_t err) {
    return !r->error && (err == RDG_E_UNAVAILABLE || err == RDG_E_TIMEOUT || err == RDG_E_NOT_FOUND ||
                         err == RDG_E_CLOSED || err == RDG_E_PROTOCOL);
}

static rdg_err_t relay_call(void *ctx, const char *method, const json_t *params, json_t **result) {
    relay_t *r = ctx;
    rdg_err_t err = RDG_OK;
    for (size_t i = 0; i < r->steps.count; ++i) {
        size_t at = (r->at + i) % r->steps.count;
        if (device_at(r, at)->kind != STEP_PREPARE) continue;
        /* One that is leaving, or has not been started yet, knows nothing of the chain's present. */
        if (steps_find(&r->steps, device_at(r, at)->device, STEP_REMOVE)) continue;
        err = relay_ask(r, device_at(r, at)->device, method, params, result);
        if (err != RDG_OK && elsewhere(r, err)) continue;
        r->at = at;
        return err;
    }
    char why[RDG_ERROR_TEXT_MAX];
    snprintf(why, sizeof why, "%s", rdg_err_message(err));
    return rdg_fail(RDG_E_UNAVAILABLE, "no node of chain '%s' can be reached: %s", r->chain, why);
}

rdg_err_t relay_init(relay_t *r, rdg_baas_t *b, const chain_t *c, uint64_t timeout_ms) {
    memset(r, 0, sizeof *r);
    r->rpc = (rdg_rpc_t){.call = relay_call, .ctx = r};
    r->b = b;
    r->chain = c->name;
    r->timeout_ms = timeout_ms;
    RDG_TRY(steps_load(b, c, &r->steps));
    if (r->steps.count > 0) return RDG_OK;
    return rdg_fail(RDG_E_INTERNAL, "chain '%s' has no devices", c->name);
}

void relay_fini(relay_t *r) {
    steps_fini(&r->steps);
    json_decref(r->error);
}
