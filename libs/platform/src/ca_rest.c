#include <string.h>
#include "internal.h"
#include "ridge/base/file.h"

#define LIST_DEFAULT 1000
#define LIST_MAX 10000

static json_t *about_list(const rdg_crl_t *crl) {
    return json_pack("{s:I, s:I, s:I, s:I}", "number", (json_int_t)rdg_crl_number(crl), "this_update_ms",
                     (json_int_t)rdg_crl_this_update_s(crl) * 1000, "next_update_ms",
                     (json_int_t)rdg_crl_next_update_s(crl) * 1000, "entries",
                     (json_int_t)rdg_crl_count(crl));
}

static rdg_err_t show_ca(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    const authority_t *a = ca_authority(p->ca);
    rdg_crl_t *crl = ca_crl(p->ca);
    char root[RDG_CERT_NAME_MAX], issuing[RDG_CERT_NAME_MAX];
    (void)call;
    rdg_cert_common_name(a->root, root, sizeof root);
    rdg_cert_common_name(a->issuing, issuing, sizeof issuing);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:o}", "fingerprint", ca_fingerprint(p->ca),
                          "root", ca_root_pem(p->ca), "chain", ca_chain_pem(p->ca), "root_name", root,
                          "issuing_name", issuing, "root_not_after_ms",
                          (json_int_t)rdg_cert_not_after_s(a->root) * 1000, "issuing_not_after_ms",
                          (json_int_t)rdg_cert_not_after_s(a->issuing) * 1000, "list", about_list(crl));
    rdg_crl_free(crl);
    return rdg_service_reply(answer, 200, o);
}

static rdg_err_t show_crl(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    rdg_crl_t *crl = ca_crl(p->ca);
    rdg_buf_t pem;
    (void)call;
    rdg_buf_init(&pem, RDG_CRL_PEM_MAX);
    rdg_err_t err = rdg_crl_to_pem(crl, &pem);
    const char *text = err == RDG_OK ? rdg_buf_cstr(&pem) : NULL;
    json_t *o = text ? about_list(crl) : NULL;
    if (o) json_object_set_new(o, "crl", json_string(text));
    rdg_buf_fini(&pem);
    rdg_crl_free(crl);
    return err == RDG_OK ? rdg_service_reply(answer, 200, o) : err;
}

static rdg_err_t list(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    uint64_t limit = LIST_DEFAULT;
    json_t *found = NULL;
    RDG_TRY(rdg_service_query_u64(call, "limit", 1, LIST_MAX, &limit));
    const ca_filter_t filter = {rdg_http_query(call->http, "device"), rdg_http_query(call->http, "chain"),
                                rdg_http_query(call->http, "use"), rdg_http_query(call->http, "state"),
                                call->tenant};
    RDG_TRY(ca_list(p->ca, &filter, limit, &found));
    return rdg_service_reply(answer, 200, json_pack("{s:o}", "certificates", found));
}

static rdg_err_t revoke(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    const char *name = "unspecified";
    rdg_crl_reason_t reason;
    ca_revoked_t r;
    if (call->body) RDG_TRY(rdg_json_opt_str(call->body, "reason", &name));
    RDG_TRY(rdg_crl_reason_parse(name, &reason));
    RDG_TRY(ca_revoke(p->ca, rdg_service_arg(call, "serial"), reason, &r));
    if (r.current && !r.chain[0])
        identity_revoked(p, r.device);
    else if (!r.chain[0])
        identity_ask_again(p, r.device);
    platform_kick(p); /* the list goes out at once */
    return rdg_service_reply(answer, 200,
                             json_pack("{s:s, s:s, s:s, s:s, s:b}", "serial", rdg_service_arg(call, "serial"),
                                       "device", r.device, "chain", r.chain, "reason", name, "current",
                                       r.current));
}

/* For the chain service: a pair for a node whose keys the device has made. */
static rdg_err_t issue_node(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    const char *device = rdg_service_arg(call, "name"), *chain, *sign_request, *enc_request;
    const json_t *body;
    json_t *pair = NULL;
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(rdg_json_get_str(body, "chain", &chain));
    RDG_TRY(rdg_json_get_str(body, "sign_request", &sign_request));
    RDG_TRY(rdg_json_get_str(body, "enc_request", &enc_request));
    if (!devices_known(p, device)) return devices_absent(device);
    if (!rdg_name_valid(chain)) return rdg_fail(RDG_E_INVALID, "'%.64s' is no chain's name", chain);
    const ca_subject_t subject = {device, chain, NULL};
    RDG_TRY(
        rdg_fail_in(ca_issue_node(p->ca, &subject, sign_request, enc_request, &pair), "device '%s'", device));
    return rdg_service_reply(answer, 201, pair);
}

/* For the chain service, which collects archives. */
static rdg_err_t issue_collector(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    const json_t *body;
    const char *request;
    json_t *certificate = NULL;
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(rdg_json_get_str(body, "request", &request));
    RDG_TRY(ca_issue_collector(p->ca, request, &certificate));
    return rdg_service_reply(answer, 201, certificate);
}

const rdg_service_route_t ca_routes[] = {
    {"GET", "/api/v1/ca", RDG_ROUTE_PUBLIC, show_ca},
    {"GET", "/api/v1/ca/crl", RDG_ROUTE_PUBLIC, show_crl},
    {"GET", "/api/v1/certificates", RDG_ROUTE_TENANT, list},
    {"POST", "/api/v1/certificates/{serial}/revoke", RDG_ROUTE_OWNED, revoke},
    {"POST", "/api/v1/devices/{name}/certificates", RDG_ROUTE_CLOUD | RDG_ROUTE_ADMIN, issue_node},
    {"POST", "/api/v1/ca/collector", RDG_ROUTE_CLOUD | RDG_ROUTE_ADMIN, issue_collector},
};
const size_t ca_route_count = sizeof ca_routes / sizeof ca_routes[0];
