#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "internal.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"

#define LIST_TOPIC "cloud/crl"
#define CLOCKS_APART_MS 3600000ull /* a request that is older is not answered any more */
#define LOOK_EVERY_S 60

/* --- renewals -------------------------------------------------------------------------------------------- */

static void digest_hex(const char *text, char out[65]) {
    rdg_hash_t digest;
    rdg_sm3(text, strlen(text), &digest);
    rdg_hex_encode(digest.b, sizeof digest.b, out);
}

static rdg_err_t check_signature(const char *device, const rdg_sm2_public_t *key, const json_t *request,
                                 const char *chain, const char *sign_request, const char *enc_request) {
    char sign_hex[65], enc_hex[65], text[512];
    uint64_t time_ms, now = platform_now();
    rdg_sm2_signature_t signature;
    RDG_TRY(rdg_json_get_u64(request, "time_ms", &time_ms));
    RDG_TRY(rdg_json_get_hex(request, "signature", signature.b, sizeof signature.b));
    digest_hex(sign_request, sign_hex);
    digest_hex(enc_request, enc_hex);
    int n = snprintf(text, sizeof text, "ridge-renew-v1\n%s\n%s\n%" PRIu64 "\n%s\n%s", device, chain, time_ms,
                     sign_hex, enc_hex);
    if (n < 0 || n >= (int)sizeof text || rdg_sm2_verify(key, text, (size_t)n, &signature) != RDG_OK)
        return rdg_fail(RDG_E_UNAUTHENTICATED, "the request is not signed by the device's present key");
    if (time_ms > now + CLOCKS_APART_MS || now > time_ms + CLOCKS_APART_MS)
        return rdg_fail(RDG_E_STALE, "the request was made at another time than now: look at the clocks");
    return RDG_OK;
}

static rdg_err_t renew(rdg_platform_t *p, const char *device, const json_t *request, json_t **out) {
    const char *chain, *sign_request, *enc_request;
    rdg_sm2_public_t device_key, node_key;
    RDG_TRY(rdg_json_get_str(request, "chain", &chain));
    RDG_TRY(rdg_json_get_str(request, "sign_request", &sign_request));
    RDG_TRY(rdg_json_get_str(request, "enc_request", &enc_request));
    if (strlen(chain) > 64) return rdg_fail(RDG_E_INVALID, "chain: at most 64 bytes");
    RDG_TRY(devices_key(p, device, &device_key));
    RDG_TRY(check_signature(device, &device_key, request, chain, sign_request, enc_request));
    if (chain[0]) RDG_TRY(ca_key_of(p->ca, device, chain, &node_key));
    const ca_subject_t subject = {device, chain, chain[0] ? &node_key : &device_key};
    return ca_issue_pair(p->ca, &subject, sign_request, enc_request, out);
}

/* A failure is the answer, apart from one of our own: the device then asks again later. */
rdg_err_t ca_link_request(rdg_platform_t *p, const char *device, const json_t *request) {
    const char *id;
    char topic[PLATFORM_TOPIC_MAX];
    json_t *pair = NULL, *message;
    rdg_buf_t text;
    RDG_TRY(rdg_json_get_str(request, "id", &id));
    rdg_err_t err = renew(p, device, request, &pair);
    if (err == RDG_OK) {
        message = json_pack("{s:s, s:o}", "id", id, "certificates", pair);
    } else {
        rdg_log(RDG_LOG_WARN, "ca.renewal_refused", RDG_STR("device", device),
                RDG_STR("code", rdg_err_name(err)), RDG_STR("error", rdg_err_message(err)));
        message = json_pack("{s:s, s:{s:s, s:s}}", "id", id, "error", "code", rdg_err_name(err), "message",
                            rdg_err_message(err));
    }
    if (!message) return rdg_fail(RDG_E_NO_MEMORY, "no memory for certificates");
    snprintf(topic, sizeof topic, "devices/%s/certificates", device);
    rdg_buf_init(&text, RDG_MQTT_PAYLOAD_MAX);
    err = rdg_json_dump(message, &text);
    json_decref(message);
    if (err == RDG_OK) (void)rdg_mqtt_publish(p->mqtt, topic, rdg_buf_view(&text), false, NULL);
    rdg_buf_fini(&text);
    return err;
}

/* --- nodes that are gone ------------------------------------------------------------------------------- */

static rdg_err_t removed_row(void *ctx, const rdg_sql_row_t *r) {
    json_t **params = ctx;
    const char *text = rdg_sql_row_text(r, 0);
    return rdg_json_parse(rdg_bytes_str(text ? text : ""), params);
}

void ca_link_result(rdg_platform_t *p, const char *device, const json_t *result) {
    const char *id = json_string_value(json_object_get(result, "id")), *chain;
    const char *state = json_string_value(json_object_get(result, "state"));
    json_t *params = NULL;
    if (!id || !state || strcmp(state, "done") != 0) return;
    rdg_err_t err = rdg_sql_query(
        p->db, "SELECT params FROM commands WHERE id = ? AND device = ? AND type = 'chain.remove'",
        RDG_SQL_PARAMS(rdg_sql_text(id), rdg_sql_text(device)), removed_row, &params);
    chain = json_string_value(json_object_get(params, "chain"));
    if (err == RDG_OK && chain && chain[0]) err = ca_end_node(p->ca, device, chain);
    if (err != RDG_OK) rdg_log_err("ca.end_failed", err);
    json_decref(params);
}

/* --- the revocation list --------------------------------------------------------------------------------- */

static rdg_err_t publish_list(rdg_platform_t *p, const rdg_crl_t *crl) {
    rdg_buf_t pem, text;
    rdg_buf_init(&pem, RDG_CRL_PEM_MAX);
    rdg_buf_init(&text, RDG_MQTT_PAYLOAD_MAX);
    rdg_err_t err = rdg_crl_to_pem(crl, &pem);
    const char *list = err == RDG_OK ? rdg_buf_cstr(&pem) : NULL;
    json_t *message = list ? json_pack("{s:I, s:s, s:s}", "number", (json_int_t)rdg_crl_number(crl), "chain",
                                       ca_chain_pem(p->ca), "crl", list)
                           : NULL;
    if (err == RDG_OK && !message) err = rdg_fail(RDG_E_NO_MEMORY, "no memory for a revocation list");
    if (err == RDG_OK) err = rdg_json_dump(message, &text);
    if (err == RDG_OK) err = rdg_mqtt_publish(p->mqtt, LIST_TOPIC, rdg_buf_view(&text), true, NULL);
    json_decref(message);
    rdg_buf_fini(&text);
    rdg_buf_fini(&pem);
    return err;
}

static void look(rdg_platform_t *p) {
    const authority_t *a = ca_authority(p->ca);
    rdg_err_t err = ca_crl_refresh(p->ca);
    if (err == RDG_OK) err = identity_refresh(p);
    if (err != RDG_OK) rdg_log_err("ca.upkeep_failed", err);
    rdg_metric_set(p->m_issuing_ends, rdg_cert_not_after_s(a->issuing));
}

void ca_link_tick(rdg_platform_t *p, bool connected, bool again) {
    int64_t now = ca_now_s(p->ca), part = ca_life_s(p->ca) / 50;
    int64_t every = part < LOOK_EVERY_S ? part : LOOK_EVERY_S; /* often within a life, however short */
    if (now < p->looked_s || now - p->looked_s >= every) {
        p->looked_s = now;
        look(p);
    }
    if (again) p->list_published = 0;
    if (!connected) return;
    rdg_crl_t *crl = ca_crl(p->ca);
    if (rdg_crl_number(crl) != p->list_published && publish_list(p, crl) == RDG_OK)
        p->list_published = rdg_crl_number(crl);
    rdg_crl_free(crl);
}
