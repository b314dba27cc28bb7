#include "internal.h"
#include "image_trust.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/cert_request.h"

#define TOKENS_AT_ONCE 1000
#define TOKEN_TTL_MAX_S (365ull * 86400)
#define TOKEN_RANDOM_BYTES 24
#define TOKEN_PREFIX "rdt_"
#define PASSWORD_RANDOM_BYTES 24

/* --- tokens ------------------------------------------------------------------------------------ */

static void token_digest(const char *token, rdg_hash_t *out) {
    rdg_bytes_t part = rdg_bytes_str(token);
    rdg_sm3_tagged(RDG_DOMAIN_ENROL, &part, 1, out);
}

static rdg_err_t make_token(rdg_platform_t *p, uint64_t expires_ms, json_t *list) {
    char token[sizeof TOKEN_PREFIX + 2 * TOKEN_RANDOM_BYTES], shown[sizeof token + 65];
    rdg_hash_t digest;
    memcpy(token, TOKEN_PREFIX, sizeof TOKEN_PREFIX);
    rdg_random_hex(rdg_random_system(), token + strlen(TOKEN_PREFIX), TOKEN_RANDOM_BYTES);
    token_digest(token, &digest);
    RDG_TRY(
        rdg_sql_exec(p->db, "INSERT INTO device_tokens (digest, created_ms, expires_ms) VALUES (?, ?, ?)",
                     RDG_SQL_PARAMS(rdg_sql_blob(rdg_bytes(digest.b, sizeof digest.b)),
                                    rdg_sql_int((int64_t)platform_now()), rdg_sql_int((int64_t)expires_ms)),
                     NULL));
    /* The device trusts the root that the token names, and none that an answer may bring. */
    snprintf(shown, sizeof shown, "%s.%s", token, ca_fingerprint(p->ca));
    json_array_append_new(list,
                          json_pack("{s:s, s:I}", "token", shown, "expires_ms", (json_int_t)expires_ms));
    return RDG_OK;
}

static rdg_err_t make_tokens(rdg_platform_t *p, uint64_t count, uint64_t expires_ms, json_t *list) {
    RDG_TRY(rdg_sql_begin(p->db));
    /* Tokens that can no longer be used go; used ones stay a while for a device that has to ask again. */
    rdg_err_t err =
        rdg_sql_exec(p->db, "DELETE FROM device_tokens WHERE expires_ms < ?",
                     RDG_SQL_PARAMS(rdg_sql_int((int64_t)platform_now() - 30ll * 86400000)), NULL);
    for (uint64_t i = 0; err == RDG_OK && i < count; ++i) err = make_token(p, expires_ms, list);
    if (err == RDG_OK) err = rdg_sql_commit(p->db);
    if (err != RDG_OK) rdg_sql_rollback(p->db);
    return err;
}

static rdg_err_t create_tokens(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    uint64_t count = 1, ttl_s = 86400;
    if (call->body) {
        RDG_TRY(rdg_json_opt_u64(call->body, "count", &count));
        RDG_TRY(rdg_json_opt_u64(call->body, "ttl_s", &ttl_s));
    }
    if (count < 1 || count > TOKENS_AT_ONCE)
        return rdg_fail(RDG_E_INVALID, "count is %llu: 1 to %d tokens at once", (unsigned long long)count,
                        TOKENS_AT_ONCE);
    if (ttl_s < 1 || ttl_s > TOKEN_TTL_MAX_S)
        return rdg_fail(RDG_E_INVALID, "ttl_s is %llu: want 1 to %llu seconds", (unsigned long long)ttl_s,
                        (unsigned long long)TOKEN_TTL_MAX_S);
    json_t *list = json_array();
    rdg_err_t err = make_tokens(p, count, platform_now() + ttl_s * 1000, list);
    if (err != RDG_OK) {
        json_decref(list);
        return err;
    }
    return rdg_service_reply(answer, 201, json_pack("{s:o}", "tokens", list));
}

/* --- enrolment --------------------------------------------------------------------------------- */

typedef struct enrolment {
    const char *token, *name, *sign_request, *enc_request, *arch, *version;
    rdg_sm2_public_t key;
    char public_key[129]; /* the same in hex */
    json_t *drivers;      /* borrowed, may be NULL */
    rdg_hash_t digest;
    bool found, used, same_device; /* what the store knows of the token */
    uint64_t expires_ms;
    bool name_taken, name_same_key; /* and of the name */
} enrolment_t;

static void digest_hex(const char *text, char out[65]) {
    rdg_hash_t digest;
    rdg_sm3(text, strlen(text), &digest);
    rdg_hex_encode(digest.b, sizeof digest.b, out);
}

/* The signature binds both requests to this token: neither can be taken from another enrolment. */
static rdg_err_t check_signature(enrolment_t *e, const json_t *body) {
    rdg_cert_request_t request;
    rdg_sm2_signature_t signature;
    char sign_hex[65], enc_hex[65], text[1024];
    RDG_TRY(rdg_json_get_hex(body, "signature", signature.b, sizeof signature.b));
    RDG_TRY(
        rdg_fail_in(rdg_cert_request_parse_pem(rdg_bytes_str(e->sign_request), &request), "sign_request"));
    e->key = request.public_key;
    rdg_hex_encode(e->key.b, sizeof e->key.b, e->public_key);
    digest_hex(e->sign_request, sign_hex);
    digest_hex(e->enc_request, enc_hex);
    int n =
        snprintf(text, sizeof text, "ridge-enrol-v2\n%s\n%s\n%s\n%s", e->token, e->name, sign_hex, enc_hex);
    if (n >= (int)sizeof text) return rdg_fail(RDG_E_TOO_LARGE, "token and name are too long");
    if (rdg_sm2_verify(&e->key, text, (size_t)n, &signature) != RDG_OK)
        return rdg_fail(
            RDG_E_UNAUTHENTICATED,
            "the enrolment's signature does not verify with the key of its sign_request: the request was "
            "changed on its way, or the device's key file is damaged");
    return RDG_OK;
}

static rdg_err_t read_enrolment(const rdg_service_call_t *call, enrolment_t *e) {
    const json_t *body;
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(rdg_json_get_str(body, "token", &e->token));
    RDG_TRY(rdg_json_get_str(body, "name", &e->name));
    RDG_TRY(rdg_json_get_str(body, "sign_request", &e->sign_request));
    RDG_TRY(rdg_json_get_str(body, "enc_request", &e->enc_request));
    RDG_TRY(rdg_json_opt_str(body, "arch", &e->arch));
    RDG_TRY(rdg_json_opt_str(body, "agent_version", &e->version));
    e->drivers = json_object_get(body, "drivers");
    if (!rdg_name_valid(e->name) || strcmp(e->name, "cloud") == 0)
        return rdg_fail(
            RDG_E_INVALID,
            "'%.64s' cannot be a device's name: want 1 to 64 of [a-z0-9._-], first a letter or digit, and "
            "not 'cloud'",
            e->name);
    if (e->drivers && (!json_is_array(e->drivers) || json_array_size(e->drivers) > 16))
        return rdg_fail(RDG_E_INVALID, "drivers: want an array of at most 16 names");
    if ((e->arch && strlen(e->arch) > 64) || (e->version && strlen(e->version) > 64))
        return rdg_fail(RDG_E_TOO_LARGE, "arch and agent_version have at most 64 bytes");
    token_digest(e->token, &e->digest);
    RDG_TRY(check_signature(e, body));
    const ca_subject_t subject = {e->name, "", &e->key};
    return ca_check_pair(&subject, e->sign_request, e->enc_request);
}

static rdg_err_t token_row(void *ctx, const rdg_sql_row_t *r) {
    enrolment_t *e = ctx;
    const char *device = rdg_sql_row_text(r, 2), *key = rdg_sql_row_text(r, 3);
    e->found = true;
    e->expires_ms = (uint64_t)rdg_sql_row_int(r, 0);
    e->used = rdg_sql_row_int(r, 1) != 0;
    e->same_device =
        e->used && device && key && strcmp(device, e->name) == 0 && strcmp(key, e->public_key) == 0;
    return RDG_OK;
}

static rdg_err_t device_row(void *ctx, const rdg_sql_row_t *r) {
    enrolment_t *e = ctx;
    e->name_taken = true;
    e->name_same_key = strcmp(rdg_sql_row_text(r, 0), e->public_key) == 0;
    return RDG_OK;
}

static rdg_err_t judge(const enrolment_t *e) {
    static const char remedy[] = "make a new one with 'ridge device token'";
    if (!e->found)
        return rdg_fail(RDG_E_UNAUTHENTICATED, "the enrolment token is not known here: %s", remedy);
    if (e->used && !e->same_device)
        return rdg_fail(RDG_E_UNAUTHENTICATED,
                        "the enrolment token has been used by another device or key: %s", remedy);
    if (!e->used && e->expires_ms < platform_now())
        return rdg_fail(RDG_E_UNAUTHENTICATED, "the enrolment token has expired: %s", remedy);
    if (e->name_taken && !e->name_same_key)
        return rdg_fail(
            RDG_E_EXISTS,
            "device '%s' is enrolled with another key: choose another name, or remove the old device with "
            "'ridge device delete %s'",
            e->name, e->name);
    return RDG_OK;
}

static rdg_err_t store_device(rdg_platform_t *p, const enrolment_t *e, const char *drivers) {
    int64_t now = (int64_t)platform_now();
    RDG_TRY(rdg_sql_exec(p->db,
                         "UPDATE device_tokens SET used_ms = ?, device = ?, public_key = ? WHERE digest = ?",
                         RDG_SQL_PARAMS(rdg_sql_int(now), rdg_sql_text(e->name), rdg_sql_text(e->public_key),
                                        rdg_sql_blob(rdg_bytes(e->digest.b, sizeof e->digest.b))),
                         NULL));
    return rdg_sql_exec(
        p->db,
        "INSERT INTO devices (name, public_key, arch, agent_version, drivers, enrolled_ms, last_seen_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET arch = excluded.arch,"
        " agent_version = excluded.agent_version, drivers = excluded.drivers",
        RDG_SQL_PARAMS(rdg_sql_text(e->name), rdg_sql_text(e->public_key), rdg_sql_text(e->arch),
                       rdg_sql_text(e->version), rdg_sql_text(drivers), rdg_sql_int(now), rdg_sql_int(now)),
        NULL);
}

/* Token and device change together: a token is spent exactly when its device exists. */
static rdg_err_t decide_and_store(rdg_platform_t *p, enrolment_t *e, const char *drivers) {
    RDG_TRY(rdg_sql_begin(p->db));
    rdg_err_t err = rdg_sql_query(
        p->db,
        "SELECT expires_ms, used_ms IS NOT NULL, device, public_key FROM device_tokens WHERE digest = ?",
        RDG_SQL_PARAMS(rdg_sql_blob(rdg_bytes(e->digest.b, sizeof e->digest.b))), token_row, e);
    if (err == RDG_OK)
        err = rdg_sql_query(p->db, "SELECT public_key FROM devices WHERE name = ?",
                            RDG_SQL_PARAMS(rdg_sql_text(e->name)), device_row, e);
    if (err == RDG_OK) err = judge(e);
    if (err == RDG_OK) err = store_device(p, e, drivers);
    if (err == RDG_OK) err = rdg_sql_commit(p->db);
    if (err != RDG_OK) rdg_sql_rollback(p->db);
    return err;
}

/* Takes certificates. */
static rdg_err_t give_access(rdg_platform_t *p, const char *name, json_t *certificates,
                             rdg_service_answer_t *answer) {
    char password[2 * PASSWORD_RANDOM_BYTES + 1];
    rdg_random_hex(rdg_random_system(), password, PASSWORD_RANDOM_BYTES);
    json_t *trust = NULL;
    rdg_err_t err = p->broker ? rdg_broker_set_user(p->broker, name, password) : RDG_OK;
    if (err == RDG_OK) err = image_trust_message(p, &trust);
    if (err == RDG_OK)
        err = rdg_service_reply(answer, 201,
                                json_pack("{s:s, s:{s:s, s:s}, s:O, s:O}", "device_id", name, "mqtt",
                                          "username", name, "password", password, "certificates",
                                          certificates, "image_trust", trust));
    json_decref(trust);
    json_decref(certificates);
    rdg_secure_zero(password, sizeof password);
    return err;
}

static rdg_err_t enrol(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    enrolment_t e = {0};
    RDG_TRY(read_enrolment(call, &e));
    char *drivers = e.drivers ? rdg_json_text(e.drivers) : rdg_strdup("[]");
    if (!drivers) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an enrolment");
    rdg_err_t err = decide_and_store(p, &e, drivers);
    rdg_free(drivers);
    if (err != RDG_OK) return err;
    RDG_TRY(devices_put(p, e.name,
                        json_pack("{s:s, s:s?, s:s?, s:o, s:I}", "public_key", e.public_key, "arch", e.arch,
                                  "agent_version", e.version, "drivers",
                                  e.drivers ? json_deep_copy(e.drivers) : json_array(), "enrolled_ms",
                                  (json_int_t)platform_now())));
    rdg_log(RDG_LOG_INFO, "device.enrolled", RDG_STR("device", e.name), RDG_BOOL("again", e.used));
    json_t *certificates = NULL;
    const ca_subject_t subject = {e.name, "", &e.key};
    RDG_TRY(ca_issue_pair(p->ca, &subject, e.sign_request, e.enc_request, &certificates));
    return give_access(p, e.name, certificates, answer);
}

const rdg_service_route_t token_routes[] = {{"POST", "/api/v1/device-tokens", 0, create_tokens}};
const size_t token_route_count = sizeof token_routes / sizeof token_routes[0];

/* Behind the gateway: a token never travels outside TLCP. */
const rdg_service_route_t enrol_routes[] = {{"POST", "/api/v1/enrol", RDG_ROUTE_PUBLIC, enrol}};
const size_t enrol_route_count = sizeof enrol_routes / sizeof enrol_routes[0];
