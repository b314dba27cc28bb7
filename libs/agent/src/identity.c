#include "identity.h"
#include "credentials.h"
#include "image_trust.h"
#include "state_file.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/client/cloud.h"
#include "ridge/codec/hex.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define ENROL_TIMEOUT_MS 15000

static rdg_err_t copy_str(const json_t *o, const char *field, char *out, size_t size) {
    const char *s = NULL;
    RDG_TRY(rdg_json_get_str(o, field, &s));
    if (strlen(s) >= size) return rdg_fail(RDG_E_TOO_LARGE, "%s is longer than %zu bytes", field, size - 1);
    memcpy(out, s, strlen(s) + 1);
    return RDG_OK;
}

static rdg_err_t take_answer(const json_t *o, identity_t *i) {
    json_t *mqtt = NULL;
    RDG_TRY(copy_str(o, "device_id", i->device_id, sizeof i->device_id));
    if (!rdg_name_valid(i->device_id)) return rdg_fail(RDG_E_INVALID, "device_id is no valid name");
    RDG_TRY(rdg_json_get_object(o, "mqtt", &mqtt));
    RDG_TRY(copy_str(o, "cloud", i->cloud_url, sizeof i->cloud_url));
    RDG_TRY(copy_str(mqtt, "username", i->mqtt_username, sizeof i->mqtt_username));
    RDG_TRY(copy_str(mqtt, "password", i->mqtt_password, sizeof i->mqtt_password));
    i->enrolled = true;
    return RDG_OK;
}

static rdg_err_t look_at_certificate(const char *dir, identity_t *i) {
    rdg_credentials_t *c = NULL;
    RDG_TRY(rdg_credentials_load(dir, CREDENTIALS_PREFIX, &c));
    i->not_after_s = rdg_cert_not_after_s(c->sign_cert);
    rdg_credentials_free(c);
    return RDG_OK;
}

static rdg_err_t take_text(void *ctx, rdg_bytes_t text) {
    json_t *o = NULL;
    rdg_err_t err = rdg_json_parse(text, &o);
    if (err == RDG_OK) err = take_answer(o, ctx);
    json_decref(o);
    return err;
}

rdg_err_t identity_load(const char *dir, identity_t *out) {
    char path[PATH_MAX];
    memset(out, 0, sizeof *out);
    RDG_TRY(rdg_path_join(path, sizeof path, dir, "identity.key"));
    RDG_TRY(rdg_sm2_key_load_or_generate(path, &out->key));
    RDG_TRY(rdg_path_join(path, sizeof path, dir, "enrolment.json"));
    rdg_err_t err = state_file_load(path, 8192, 0600, take_text, out);
    if (err == RDG_E_NOT_FOUND) return RDG_OK;
    if (err == RDG_OK) {
        err = look_at_certificate(dir, out);
        if (err == RDG_OK) return RDG_OK;
        identity_fini(out);
        return rdg_fail_in(err, "the device's certificates (remove %s* to enrol again with a new token)",
                           path);
    }
    identity_fini(out);
    return rdg_fail(
        RDG_E_CORRUPT,
        "%s holds no enrolment: remove it and %s.2 and enrol again with the same token or a new one", path,
        path);
}

void identity_fini(identity_t *i) {
    rdg_sm2_key_free(i->key);
    rdg_secure_zero(i->mqtt_password, sizeof i->mqtt_password);
    i->key = NULL;
}

static void digest_hex(const char *text, char out[65]) {
    rdg_hash_t digest;
    rdg_sm3(text, strlen(text), &digest);
    rdg_hex_encode(digest.b, sizeof digest.b, out);
}

static rdg_err_t sign_request(const identity_t *i, const char *token, const char *name,
                              const json_t *requests, char out[129]) {
    rdg_sm2_signature_t sig;
    char sign_hex[65], enc_hex[65], text[1024];
    digest_hex(json_string_value(json_object_get(requests, "sign")), sign_hex);
    digest_hex(json_string_value(json_object_get(requests, "enc")), enc_hex);
    int n = snprintf(text, sizeof text, "ridge-enrol-v2\n%s\n%s\n%s\n%s", token, name, sign_hex, enc_hex);
    if (n < 0 || n >= (int)sizeof text) return rdg_fail(RDG_E_INVALID, "the enrolment token is too long");
    rdg_err_t err = rdg_sm2_sign(i->key, text, (size_t)n, &sig);
    rdg_secure_zero(text, sizeof text);
    rdg_hex_encode(sig.b, sizeof sig.b, out);
    return err;
}

static rdg_err_t make_request(const identity_t *i, const identity_enrolment_t *how, const char *token,
                              json_t **out) {
    char sig_hex[129];
    struct utsname host;
    json_t *requests = NULL, *list = json_array();
    rdg_err_t err = credentials_requests(how->dir, CREDENTIALS_PREFIX, how->name, &requests);
    if (err == RDG_OK) err = sign_request(i, token, how->name, requests, sig_hex);
    if (err != RDG_OK) {
        json_decref(requests);
        json_decref(list);
        return err;
    }
    for (size_t d = 0; how->drivers[d]; ++d) json_array_append_new(list, json_string(how->drivers[d]));
    uname(&host);
    *out = json_pack("{s:s, s:s, s:O, s:O, s:s, s:s, s:s, s:o}", "token", token, "name", how->name,
                     "sign_request", json_object_get(requests, "sign"), "enc_request",
                     json_object_get(requests, "enc"), "signature", sig_hex, "agent_version", RIDGE_VERSION,
                     "arch", host.machine, "drivers", list);
    json_decref(requests);
    if (*out && how->group) json_object_set_new(*out, "group", json_string(how->group));
    return *out ? RDG_OK : rdg_fail(RDG_E_INVALID, "the token or the name of the device is no text");
}

static rdg_err_t save_answer(const char *dir, const json_t *answer) {
    char path[PATH_MAX];
    rdg_buf_t text;
    RDG_TRY(rdg_path_join(path, sizeof path, dir, "enrolment.json"));
    rdg_buf_init(&text, 8192);
    rdg_err_t err = rdg_json_dump_pretty(answer, &text);
    if (err == RDG_OK) err = state_file_save(path, rdg_buf_view(&text), 0600);
    if (text.data) rdg_secure_zero(text.data, text.len);
    rdg_buf_fini(&text);
    return err;
}

/* The root of the token decides; what the answer says of itself does not. */
static rdg_err_t take_certificates(const char *dir, const char *name, const json_t *answer,
                                   const char *fingerprint) {
    json_t *certificates = NULL;
    const char *root_pem = NULL;
    rdg_cert_t *root = NULL;
    RDG_TRY(rdg_json_get_object(answer, "certificates", &certificates));
    RDG_TRY(rdg_json_get_str(certificates, "root", &root_pem));
    RDG_TRY(credentials_root(root_pem, fingerprint, &root));
    rdg_cert_free(root);
    int64_t now_s = (int64_t)(rdg_wall_ms(rdg_clock_system()) / 1000);
    rdg_err_t err = credentials_install(dir, CREDENTIALS_PREFIX, name, certificates, root_pem, now_s);
    if (err == RDG_E_EXPIRED) return rdg_fail_in(err, "is this device's clock right?");
    return err;
}

static rdg_err_t take_trust(const char *dir, const json_t *answer) {
    const json_t *message = json_object_get(answer, "image_trust");
    if (!message) return RDG_OK; /* a cloud that knows no signatures: images are refused until it does */
    return image_trust_take(dir, message, (int64_t)(rdg_wall_ms(rdg_clock_system()) / 1000), true);
}

static rdg_err_t take(identity_t *i, const identity_enrolment_t *how, json_t *answer,
                      const char *fingerprint) {
    identity_t got = *i;
    (void)json_object_set_new(answer, "cloud", json_string(how->cloud_url));
    RDG_TRY(take_answer(answer, &got));
    if (strcmp(got.device_id, how->name) != 0)
        return rdg_fail(RDG_E_PROTOCOL, "the cloud answered for another device, '%.64s'", got.device_id);
    RDG_TRY(take_certificates(how->dir, how->name, answer, fingerprint));
    RDG_TRY(look_at_certificate(how->dir, &got));
    RDG_TRY(take_trust(how->dir, answer));
    (void)json_object_del(answer, "certificates");
    (void)json_object_del(answer, "image_trust");
    /* Saved before it is used: the cloud may answer a token only while it is ours. */
    RDG_TRY(save_answer(how->dir, answer));
    *i = got;
    return RDG_OK;
}

static rdg_err_t ask(const identity_enrolment_t *how, json_t *request, json_t **answer) {
    rdg_cloud_client_t *cloud = NULL;
    rdg_err_t err = rdg_cloud_client_new(how->socket, NULL, &cloud);
    if (err == RDG_OK)
        err = rdg_cloud_call(cloud, "POST", "/enrol", request, ENROL_TIMEOUT_MS, answer);
    else
        json_decref(request);
    rdg_cloud_client_free(cloud);
    return err;
}

#define RETRY_MIN_MS 1000u
#define RETRY_MAX_MS 60000u

static rdg_err_t take_waiting(const json_t *answer, identity_wait_t *wait) {
    uint64_t ms = RETRY_MIN_MS;
    RDG_TRY(copy_str(answer, "key", wait->key, sizeof wait->key));
    RDG_TRY(rdg_json_opt_u64(answer, "retry_ms", &ms));
    wait->retry_ms = ms < RETRY_MIN_MS ? RETRY_MIN_MS : ms > RETRY_MAX_MS ? RETRY_MAX_MS : ms;
    return RDG_OK;
}

static bool waits(const json_t *answer) {
    const char *state = json_string_value(json_object_get(answer, "state"));
    return state && strcmp(state, "pending") == 0;
}

rdg_err_t identity_enrol(identity_t *i, const identity_enrolment_t *how, identity_wait_t *wait) {
    char secret[CREDENTIALS_SECRET_MAX], fingerprint[65];
    json_t *request = NULL, *answer = NULL;
    memset(wait, 0, sizeof *wait);
    RDG_TRY(credentials_split_token(how->token, secret, fingerprint));
    rdg_err_t err = make_request(i, how, secret, &request);
    rdg_secure_zero(secret, sizeof secret);
    if (err == RDG_OK) err = ask(how, request, &answer);
    if (err == RDG_OK) err = waits(answer) ? take_waiting(answer, wait) : take(i, how, answer, fingerprint);
    json_decref(answer);
    return rdg_fail_in(err, "cannot enrol %s at %s", how->name, how->cloud_url);
}
