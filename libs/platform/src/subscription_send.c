#include "subscription.h"
#include <stdio.h>
#include <string.h>
#include "ridge/codec/hex.h"
#include "ridge/crypto/hmac.h"

rdg_err_t subscription_body(const subscription_spec_t *spec, const char *delivery, const json_t *events,
                            rdg_buf_t *out) {
    json_t *o =
        json_pack("{s:s, s:s, s:O}", "delivery", delivery, "subscription", spec->name, "events", events);
    rdg_err_t err = o ? rdg_json_dump(o, out) : rdg_fail(RDG_E_NO_MEMORY, "no memory for a delivery");
    json_decref(o);
    return err;
}

/* Over "<timestamp>.<body>": who has seen one delivery cannot send it again later as a new one. */
static void sign(const subscription_spec_t *spec, const char *timestamp, rdg_bytes_t body, char hex[65]) {
    uint8_t mac[RDG_HMAC_SM3_BYTES];
    const rdg_bytes_t parts[] = {rdg_bytes_str(timestamp), rdg_bytes_str("."), body};
    rdg_hmac_sm3(mac, rdg_bytes_str(spec->secret), parts, 3);
    rdg_hex_encode(mac, sizeof mac, hex);
}

static bool for_good(unsigned status) {
    return status == 400 || status == 413 || status == 415 || status == 422;
}

rdg_err_t subscription_http(const subscription_spec_t *spec, const subscription_reach_t *reach,
                            rdg_http_client_t **out) {
    RDG_TRY(rdg_http_client_new(out));
    if (spec->tenant[0])
        rdg_http_client_guard_local(*out, &reach->allowed);
    else if (!reach->link_local)
        rdg_http_client_guard(*out);
    rdg_http_client_roots(*out, rdg_bytes_str(spec->ca));
    return RDG_OK;
}

void subscription_post(rdg_http_client_t *http, const subscription_spec_t *spec, const char *delivery,
                       rdg_bytes_t body, subscription_outcome_t *out) {
    char timestamp[24], hex[65], id[160], stamp[64], signature[128];
    memset(out, 0, sizeof *out);
    snprintf(timestamp, sizeof timestamp, "%llu", (unsigned long long)(platform_now() / 1000));
    sign(spec, timestamp, body, hex);
    snprintf(id, sizeof id, "Ridge-Delivery: %s", delivery);
    snprintf(stamp, sizeof stamp, "Ridge-Timestamp: %s", timestamp);
    snprintf(signature, sizeof signature, "Ridge-Signature: hmac-sm3=%s", hex);
    const char *headers[] = {"Content-Type: application/json", id, stamp, signature};
    const rdg_http_call_t call = {.method = "POST",
                                  .url = spec->url,
                                  .headers = headers,
                                  .header_count = sizeof headers / sizeof headers[0],
                                  .body = body,
                                  .timeout_ms = SUBSCRIPTION_TIMEOUT_MS,
                                  .max_body = SUBSCRIPTION_ANSWER_MAX};
    rdg_http_answer_t answer;
    rdg_err_t err = rdg_http_call(http, &call, &answer);
    if (err != RDG_OK) {
        snprintf(out->error, sizeof out->error, "%s", rdg_err_message(err));
        return;
    }
    out->status = answer.status;
    out->retry_after_s = answer.retry_after_s;
    out->taken = answer.status >= 200 && answer.status <= 299;
    out->refused = for_good(answer.status);
    if (!out->taken) snprintf(out->error, sizeof out->error, "HTTP %u", answer.status);
    rdg_http_answer_fini(&answer);
}
