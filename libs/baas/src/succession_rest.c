/* A rebuild on other devices, as administrators see it: what they are to sign, their signatures, and giving it up. */
#include "succession.h"
#include "ridge/base/alloc.h"

/* What the act says, and its bytes, from which whoever signs learns the same. JSON null: there is none yet. */
static rdg_err_t describe_act(const succession_t *s, json_t **out) {
    *out = json_null();
    if (s->act.len == 0) return RDG_OK;
    rdg_succession_report_t *r = rdg_alloc(sizeof *r);
    if (!r) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a succession");
    rdg_err_t err = rdg_succession_check(rdg_buf_view(&s->act), NULL, r);
    if (err == RDG_OK) *out = rdg_succession_json(r);
    rdg_free(r);
    RDG_TRY(err);
    if (!*out || json_object_set_new(*out, "bytes", rdg_json_hex(s->act.data, s->act.len)) != 0)
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for an act");
    return RDG_OK;
}

static rdg_err_t describe(const chain_t *c, const succession_t *s, json_t **out) {
    json_t *act = NULL;
    RDG_TRY(describe_act(s, &act));
    *out = succession_describe(s);
    json_object_set_new(*out, "chain", json_string(c->name));
    json_object_set_new(*out, "act", act);
    return *out ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a rebuild");
}

static rdg_err_t load(rdg_baas_t *b, const rdg_service_call_t *call, chain_t *c, succession_t *s) {
    const char *name = rdg_service_arg(call, "name");
    RDG_TRY(chain_load(b, name, c));
    rdg_err_t err = succession_load(b, c, s);
    if (err == RDG_OK && s->number == 0) {
        err = rdg_fail(RDG_E_NOT_FOUND,
                       "chain '%s' was never rebuilt on other devices: see ridge chain rebuild --help", name);
        succession_fini(s);
    }
    if (err != RDG_OK) chain_fini(c);
    return err;
}

static rdg_err_t show(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    chain_t c;
    succession_t s;
    json_t *o = NULL;
    RDG_TRY(load(ctx, call, &c, &s));
    rdg_err_t err = describe(&c, &s, &o);
    succession_fini(&s);
    chain_fini(&c);
    return err == RDG_OK ? rdg_service_reply(answer, 200, o) : err;
}

static rdg_err_t take(rdg_baas_t *b, const rdg_service_call_t *call, const json_t *body, json_t **out) {
    chain_t c;
    succession_t s;
    RDG_TRY(load(b, call, &c, &s));
    rdg_err_t err = succession_sign(b, &c, &s, body, call->caller);
    if (err == RDG_OK) err = describe(&c, &s, out);
    succession_fini(&s);
    chain_fini(&c);
    return err;
}

static rdg_err_t sign(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const char *name = rdg_service_arg(call, "name");
    const json_t *body;
    json_t *o = NULL;
    RDG_TRY(rdg_service_body(call, &body));
    work_enter(ctx, name);
    rdg_err_t err = take(ctx, call, body, &o);
    work_leave(ctx, name);
    return err == RDG_OK ? rdg_service_reply(answer, 200, o) : err;
}

static rdg_err_t do_cancel(rdg_baas_t *b, chain_t *c, const rdg_service_call_t *call) {
    (void)call;
    return succession_cancel(b, c);
}

static rdg_err_t cancel(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    return chain_change(ctx, call, answer, true, do_cancel);
}

const rdg_service_route_t succession_routes[] = {
    {"GET", "/api/v1/chains/{name}/rebuild", RDG_ROUTE_OWNED, show},
    {"DELETE", "/api/v1/chains/{name}/rebuild", RDG_ROUTE_OWNED, cancel},
    {"POST", "/api/v1/chains/{name}/rebuild/signatures", RDG_ROUTE_OWNED, sign},
};
const size_t succession_route_count = sizeof succession_routes / sizeof succession_routes[0];
