#include "archive_states.h"
#include "succession.h"
#include <stdio.h>
#include <string.h>

#define HEAD_TIMEOUT_MS 1000

/* --- a chain as JSON ---------------------------------------------------------------------------- */

/* What the device's last telemetry says of this chain: height, hash, memory. Borrowed, NULL if nothing. */
static const json_t *telemetry_of(const json_t *devices, const char *device, const char *chain) {
    size_t i, k;
    json_t *d, *entry;
    json_array_foreach(json_object_get(devices, "devices"), i, d) {
        const char *name = json_string_value(json_object_get(d, "name"));
        if (!name || strcmp(name, device) != 0) continue;
        json_array_foreach(json_object_get(d, "chains"), k, entry) {
            const char *c = json_string_value(json_object_get(entry, "chain"));
            if (c && strcmp(c, chain) == 0) return entry;
        }
    }
    return NULL;
}

/* The step that the device is at: the last that was begun. */
static const step_t *current_step(const steps_t *steps, const char *device) {
    const step_t *s = steps_find(steps, device, STEP_REMOVE), *r = steps_find(steps, device, STEP_RECOVER);
    if (!s && r && !step_done(r)) s = r;
    if (!s) s = steps_find(steps, device, STEP_CLOSE);
    if (!s) s = steps_find(steps, device, STEP_START);
    return s ? s : steps_find(steps, device, STEP_PREPARE);
}

static json_t *describe_device(const chain_t *c, const step_t *s, const json_t *devices) {
    static const char *const copied[] = {"height", "hash", "rss_kib", "peers", "pool", "rpc_url", "damaged"};
    json_t *o = json_pack("{s:s, s:s, s:s, s:I}", "device", s->device, "step", step_name(s->kind), "state",
                          s->state, "attempt", (json_int_t)s->attempt);
    if (!o) return NULL;
    json_object_set_new(o, "error", s->error ? json_pack("{s:s}", "message", s->error) : json_null());
    uint64_t freed;
    if (s->kind == STEP_REMOVE && s->result && rdg_json_get_u64(s->result, "freed_bytes", &freed) == RDG_OK)
        json_object_set_new(o, "freed_bytes", json_integer((json_int_t)freed));
    const json_t *t = telemetry_of(devices, s->device, c->name);
    for (size_t i = 0; i < sizeof copied / sizeof copied[0]; ++i) {
        json_t *v = json_object_get(t, copied[i]);
        if (v) json_object_set(o, copied[i], v);
    }
    return o;
}

static uint64_t since(const chain_t *c, uint64_t ms) {
    return ms > c->created_ms ? ms - c->created_ms : 0;
}

static rdg_err_t describe_with(rdg_baas_t *b, const chain_t *c, const json_t *devices, json_t **out) {
    steps_t steps;
    RDG_TRY(steps_load(b, c, &steps));
    json_t *list = json_array();
    for (size_t i = 0; i < steps.count; ++i)
        if (steps.list[i].kind == STEP_PREPARE)
            json_array_append_new(list,
                                  describe_device(c, current_step(&steps, steps.list[i].device), devices));
    json_int_t height = 0;
    const char *hash = NULL;
    size_t i;
    json_t *d;
    json_array_foreach(list, i, d) {
        if (json_integer_value(json_object_get(d, "height")) < height) continue;
        height = json_integer_value(json_object_get(d, "height"));
        hash = json_string_value(json_object_get(d, "hash"));
    }
    *out = json_pack("{s:s, s:s, s:I, s:s, s:s, s:s?, s:o, s:I, s:s?, s:I, s:I, s:I, s:I, s:I, s:s?, s:s}",
                     "name", c->name, "state", c->state, "chain_id", (json_int_t)c->chain_id, "consensus",
                     c->consensus, "driver", c->driver, "image", c->image, "devices", list, "height", height,
                     "hash", hash, "created_ms", (json_int_t)c->created_ms, "started_ms",
                     (json_int_t)since(c, c->started_ms), "running_ms", (json_int_t)since(c, c->running_ms),
                     "first_block_ms", (json_int_t)since(c, c->running_ms), "freed_bytes",
                     (json_int_t)c->freed_bytes, "error", c->error, "tenant", c->tenant);
    steps_fini(&steps);
    return *out ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a chain");
}

rdg_err_t chain_describe(rdg_baas_t *b, const chain_t *c, json_t **out) {
    json_t *devices = NULL;
    if (!chain_gone(c)) (void)remote_devices(b, &devices);
    rdg_err_t err = describe_with(b, c, devices, out);
    json_decref(devices);
    return err;
}

typedef struct listing {
    rdg_baas_t *b;
    json_t *devices, *list;
} listing_t;

static rdg_err_t list_one(void *ctx, chain_t *c) {
    listing_t *l = ctx;
    json_t *o;
    RDG_TRY(describe_with(l->b, c, l->devices, &o));
    json_array_append_new(l->list, o);
    return RDG_OK;
}

static rdg_err_t list(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    listing_t l = {.b = ctx, .list = json_array()};
    (void)remote_devices(l.b, &l.devices);
    rdg_err_t err = chain_each(l.b, call->tenant, rdg_http_query(call->http, "all") != NULL, list_one, &l);
    json_decref(l.devices);
    if (err == RDG_OK) return rdg_service_reply(answer, 200, json_pack("{s:o}", "chains", l.list));
    json_decref(l.list);
    return err;
}

static rdg_err_t add_rebuild(rdg_baas_t *b, const chain_t *c, json_t *described) {
    succession_t s;
    RDG_TRY(succession_load(b, c, &s));
    if (s.number != 0) json_object_set_new(described, "rebuild", succession_describe(&s));
    succession_fini(&s);
    return RDG_OK;
}

/* Telemetry is some seconds old: for one chain a node is asked. */
static void add_head(rdg_baas_t *b, const chain_t *c, json_t *described) {
    relay_t relay;
    json_t *status = NULL;
    if (!chain_is(c, "running") || relay_init(&relay, b, c, HEAD_TIMEOUT_MS) != RDG_OK) return;
    if (rdg_rpc_call(&relay.rpc, "ridge_status", json_array(), &status) == RDG_OK) {
        json_t *height = json_object_get(status, "height"), *hash = json_object_get(status, "hash");
        if (json_is_integer(height)) json_object_set(described, "height", height);
        if (json_is_string(hash)) json_object_set(described, "hash", hash);
        json_object_set(described, "status", status);
    }
    json_decref(status);
    relay_fini(&relay);
}

static rdg_err_t show(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_baas_t *b = ctx;
    chain_t c;
    json_t *o = NULL;
    RDG_TRY(chain_load(b, rdg_service_arg(call, "name"), &c));
    rdg_err_t err = chain_describe(b, &c, &o);
    if (err == RDG_OK) err = add_rebuild(b, &c, o);
    if (err == RDG_OK) add_head(b, &c, o);
    chain_fini(&c);
    return err == RDG_OK ? rdg_service_reply(answer, 200, o) : err;
}

/* What archives of it are proven against, so also of one that is gone, and of one that had the name before. */
static rdg_err_t genesis(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    uint64_t id = 0;
    chain_t c;
    RDG_TRY(rdg_service_query_u64(call, "chain_id", 0, INT64_MAX, &id));
    RDG_TRY(chain_load_id(ctx, rdg_service_arg(call, "name"), id, &c));
    json_t *o = json_incref(c.genesis);
    rdg_err_t err = o ? RDG_OK
                      : rdg_fail(RDG_E_CONFLICT, "chain '%s' has no genesis, for its devices %s", c.name,
                                 chain_gone(&c) ? "never all prepared it" : "have not all prepared it yet");
    chain_fini(&c);
    return err == RDG_OK ? rdg_service_reply(answer, 200, o) : err;
}

/* --- changes ------------------------------------------------------------------------------------ */

rdg_err_t chain_change(void *baas, const rdg_service_call_t *call, rdg_service_answer_t *answer, bool running,
                       chain_change_fn fn) {
    rdg_baas_t *b = baas;
    const char *name = rdg_service_arg(call, "name");
    chain_t c;
    json_t *o = NULL;
    RDG_TRY(chain_load(b, name, &c));
    chain_fini(&c);
    work_enter(b, name);
    rdg_err_t err = running ? chain_load_running(b, name, &c) : chain_load(b, name, &c);
    if (err == RDG_OK) {
        err = fn(b, &c, call);
        if (err == RDG_OK) err = chain_describe(b, &c, &o);
        chain_fini(&c);
    }
    work_leave(b, name);
    return err == RDG_OK ? rdg_service_reply(answer, 202, o) : err;
}

static rdg_err_t refuse_gone(const chain_t *c) {
    return chain_gone(c)
               ? rdg_fail(RDG_E_NOT_FOUND, "chain '%s' is %s: nothing is left of it", c->name, c->state)
               : RDG_OK;
}

static rdg_err_t do_destroy(rdg_baas_t *b, chain_t *c, const rdg_service_call_t *call) {
    const char *word = rdg_http_query(call->http, "discard");
    RDG_TRY(refuse_gone(c));
    if (chain_is(c, "cancelling")) return RDG_OK;
    if (chain_is(c, "destroying") && !word) return flow_close_again(b, c);
    if (chain_is(c, "creating"))
        return rdg_fail(RDG_E_CONFLICT,
                        "chain '%s' is still being created: cancel it with 'ridge chain cancel %s'", c->name,
                        c->name);
    bool named = word && strcmp(word, c->name) == 0;
    if (!word && chain_is(c, "closing")) return RDG_OK;
    if (!word && chain_is(c, "running")) return flow_begin_close(b, c);
    if (!named)
        return rdg_fail(
            RDG_E_CONFLICT,
            "destroying chain '%s' deletes its ledger on every device, and not every block is "
            "known to be in a verified archive (see ridge archive list --chain %s): to do so all the "
            "same, say so by its name: ridge chain destroy %s --discard %s",
            c->name, c->name, c->name, c->name);
    RDG_TRY(closing_forget(b, c));
    return flow_begin_remove(b, c, "destroying");
}

static rdg_err_t destroy(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    return chain_change(ctx, call, answer, false, do_destroy);
}

static rdg_err_t do_cancel(rdg_baas_t *b, chain_t *c, const rdg_service_call_t *call) {
    (void)call;
    RDG_TRY(refuse_gone(c));
    if (chain_is(c, "cancelling")) return RDG_OK;
    /* A chain that has sealed blocks has data: only destroy, by name, may delete that. */
    if (!chain_is(c, "creating") && !(chain_is(c, "failed") && c->running_ms == 0))
        return rdg_fail(RDG_E_CONFLICT,
                        "chain '%s' is %s: only a creation can be cancelled; see ridge chain destroy",
                        c->name, c->state);
    return flow_begin_remove(b, c, "cancelling");
}

static rdg_err_t cancel(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    return chain_change(ctx, call, answer, false, do_cancel);
}

static rdg_err_t retry_steps(rdg_baas_t *b, const chain_t *c, const steps_t *steps, const char *device,
                             size_t *count) {
    bool removing = !chain_is(c, "failed");
    for (size_t i = 0; i < steps->count; ++i) {
        const step_t *s = &steps->list[i];
        if (!step_failed(s) || (s->kind == STEP_REMOVE) != removing) continue;
        if (device && strcmp(device, s->device) != 0) continue;
        RDG_TRY(step_again(b, c, s));
        RDG_TRY(event_add(b, c->number, s->device, step_name(s->kind), "retry", ""));
        ++*count;
    }
    return RDG_OK;
}

static rdg_err_t retry_chain(rdg_baas_t *b, chain_t *c, const char *device) {
    steps_t steps;
    size_t count = 0;
    RDG_TRY(steps_load(b, c, &steps));
    rdg_err_t err = rdg_sql_begin(b->db);
    if (err == RDG_OK) {
        err = retry_steps(b, c, &steps, device, &count);
        if (err == RDG_OK && count == 0 && device)
            err = rdg_fail(RDG_E_CONFLICT, "nothing has failed on device '%.64s' of chain '%s'", device,
                           c->name);
        if (err == RDG_OK && chain_is(c, "failed")) {
            c->started_ms = 0; /* the time allowed for the first block starts anew */
            err = chain_set_state(b, c, "creating", NULL);
        }
        if (err == RDG_OK) err = rdg_sql_commit(b->db);
        if (err != RDG_OK) rdg_sql_rollback(b->db);
    }
    steps_fini(&steps);
    event_wake(b);
    return err;
}

static rdg_err_t do_retry(rdg_baas_t *b, chain_t *c, const rdg_service_call_t *call) {
    const char *device = NULL;
    RDG_TRY(refuse_gone(c));
    if (call->body) RDG_TRY(rdg_json_opt_str(call->body, "device", &device));
    if (chain_is(c, "running") || chain_is(c, "creating"))
        return rdg_fail(RDG_E_CONFLICT, "chain '%s' is %s: there is nothing to retry", c->name, c->state);
    return retry_chain(b, c, device);
}

static rdg_err_t retry(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    return chain_change(ctx, call, answer, false, do_retry);
}

const rdg_service_route_t chain_routes[] = {
    {"POST", "/api/v1/chains", RDG_ROUTE_TENANT, chain_create},
    {"GET", "/api/v1/chains", RDG_ROUTE_TENANT, list},
    {"GET", "/api/v1/chains/{name}", RDG_ROUTE_OWNED, show},
    {"GET", "/api/v1/chains/{name}/genesis", RDG_ROUTE_OWNED, genesis},
    {"DELETE", "/api/v1/chains/{name}", RDG_ROUTE_OWNED, destroy},
    {"POST", "/api/v1/chains/{name}/retry", RDG_ROUTE_OWNED, retry},
    {"POST", "/api/v1/chains/{name}/cancel", RDG_ROUTE_OWNED, cancel},
};
const size_t chain_route_count = sizeof chain_routes / sizeof chain_routes[0];
