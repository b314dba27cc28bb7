#include "enrolment.h"
#include "command.h"
#include "groups.h"
#include "image_trust.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/cert_request.h"

#define PASSWORD_RANDOM_BYTES 24
#define ASK_AGAIN_MS 5000
#define ASK_AGAIN_EACH_MS 20 /* for each that waits, so that all of them together ask rarely enough */

/* --- what the device says ---------------------------------------------------------------------- */

static void digest_hex(const char *text, char out[65]) {
    rdg_hash_t digest;
    rdg_sm3(text, strlen(text), &digest);
    rdg_hex_encode(digest.b, sizeof digest.b, out);
}

/* The signature binds both requests to this token: neither can be taken from another enrolment. */
static rdg_err_t check_signature(enrolment_t *e) {
    rdg_cert_request_t request;
    char sign_hex[65], enc_hex[65], text[1024];
    RDG_TRY(
        rdg_fail_in(rdg_cert_request_parse_pem(rdg_bytes_str(e->sign_request), &request), "sign_request"));
    e->key = request.public_key;
    rdg_hex_encode(e->key.b, sizeof e->key.b, e->public_key);
    enrolment_fingerprint(e->public_key, e->fingerprint);
    digest_hex(e->sign_request, sign_hex);
    digest_hex(e->enc_request, enc_hex);
    int n =
        snprintf(text, sizeof text, "ridge-enrol-v2\n%s\n%s\n%s\n%s", e->token, e->name, sign_hex, enc_hex);
    if (n >= (int)sizeof text) return rdg_fail(RDG_E_TOO_LARGE, "token and name are too long");
    if (rdg_sm2_verify(&e->key, text, (size_t)n, &e->signature) != RDG_OK)
        return rdg_fail(
            RDG_E_UNAUTHENTICATED,
            "the enrolment's signature does not verify with the key of its sign_request: the request was "
            "changed on its way, or the device's key file is damaged");
    return RDG_OK;
}

static rdg_err_t read_drivers(const json_t *body, enrolment_t *e) {
    const json_t *drivers = json_object_get(body, "drivers"), *name;
    size_t i;
    bool fine = !drivers || (json_is_array(drivers) && json_array_size(drivers) <= 16);
    json_array_foreach(drivers, i, name) fine =
        fine && json_string_length(name) <= 32 && json_is_string(name);
    if (!fine) return rdg_fail(RDG_E_INVALID, "drivers: want an array of at most 16 names");
    e->drivers = drivers ? rdg_json_text(drivers) : rdg_strdup("[]");
    return e->drivers ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for an enrolment");
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
    if (!rdg_name_valid(e->name) || strcmp(e->name, "cloud") == 0)
        return rdg_fail(
            RDG_E_INVALID,
            "'%.64s' cannot be a device's name: want 1 to 64 of [a-z0-9._-], first a letter or digit, and "
            "not 'cloud'",
            e->name);
    RDG_TRY(rdg_json_opt_str(body, "group", &e->group));
    RDG_TRY(read_drivers(body, e));
    if ((e->arch && strlen(e->arch) > 64) || (e->version && strlen(e->version) > 64))
        return rdg_fail(RDG_E_TOO_LARGE, "arch and agent_version have at most 64 bytes");
    token_digest(e->token, &e->digest);
    return rdg_json_get_hex(body, "signature", e->signature.b, sizeof e->signature.b);
}

/* That the device has the keys that it asks certificates for. */
static rdg_err_t check_proof(enrolment_t *e) {
    RDG_TRY(check_signature(e));
    const ca_subject_t subject = {e->name, "", &e->key};
    return ca_check_pair(&subject, e->sign_request, e->enc_request);
}

/* Before anything is computed for the request. A token that has ended is no guess, and is told so: many devices behind one
 * address may come with it. */
static rdg_err_t judge_guess(rdg_platform_t *p, const rdg_service_call_t *call, const enrolment_t *e,
                             rdg_service_answer_t *answer) {
    admission_token_t token;
    char who[32];
    RDG_TRY(admission_token(p, &e->digest, &token));
    if (token == ADMISSION_ENDED) return RDG_OK;
    snprintf(who, sizeof who, "token ");
    rdg_hex_encode(e->digest.b, 8, who + strlen(who));
    rdg_err_t err = rdg_service_judge(call->service, e->remote, token == ADMISSION_IN_FORCE ? who : NULL);
    answer->quiet = err != RDG_OK;
    if (err != RDG_OK || token == ADMISSION_UNKNOWN)
        rdg_metric_add(err == RDG_OK ? p->m_guessed : p->m_barred, 1);
    return err;
}

/* --- the decision -------------------------------------------------------------------------------- */

static rdg_err_t store_device(rdg_platform_t *p, const enrolment_t *e) {
    int64_t now = (int64_t)platform_now();
    RDG_TRY(
        rdg_sql_exec(p->db,
                     "INSERT INTO devices (name, public_key, arch, agent_version, drivers, enrolled_ms, "
                     "last_seen_ms, tenant)"
                     " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET arch = excluded.arch,"
                     " agent_version = excluded.agent_version, drivers = excluded.drivers, public_key = "
                     "excluded.public_key,"
                     " revoked_ms = NULL",
                     RDG_SQL_PARAMS(rdg_sql_text(e->name), rdg_sql_text(e->public_key), rdg_sql_text(e->arch),
                                    rdg_sql_text(e->version), rdg_sql_text(e->drivers), rdg_sql_int(now),
                                    rdg_sql_int(now), rdg_sql_text(e->tenant)),
                     NULL));
    RDG_TRY(rdg_sql_exec(
        p->db, "INSERT INTO device_tenants (device, tenant) VALUES (?, ?) ON CONFLICT (device) DO NOTHING",
        RDG_SQL_PARAMS(rdg_sql_text(e->name), rdg_sql_text(e->tenant)), NULL));
    /* What an operator has said of a device since stays. */
    return e->about && !e->name_taken ? groups_store(p, e->name, e->about) : RDG_OK;
}

/* Token and device change together: a use is spent exactly when its device exists, or waits. */
static rdg_err_t decide(rdg_platform_t *p, enrolment_t *e, bool *waits) {
    RDG_TRY(admission_look(p, e));
    RDG_TRY(admission_judge(e));
    RDG_TRY(ca_name_check(p->ca, e->name, ""));
    /* Also of who is to wait: who approves it should not find only then that it has no place. */
    if (!e->name_taken) RDG_TRY(rdg_access_room(e->access, RDG_SHARE_DEVICES, e->tenant));
    RDG_TRY(admission_note(p, e, waits));
    return *waits ? RDG_OK : store_device(p, e);
}

static rdg_err_t decide_and_store(rdg_platform_t *p, enrolment_t *e, bool *waits) {
    RDG_TRY(rdg_sql_begin(p->db));
    rdg_err_t err = decide(p, e, waits);
    if (err == RDG_OK) err = rdg_sql_commit(p->db);
    if (err != RDG_OK) rdg_sql_rollback(p->db);
    return err;
}

/* New hardware under an old name: whoever has the old certificates is shut out before there are others. One at a time,
 * so that none shuts out the one before it. */
static rdg_err_t make_way(rdg_platform_t *p, const char *token, const char *name, const char *public_key) {
    enrolment_t e = {.token = token, .name = name};
    snprintf(e.public_key, sizeof e.public_key, "%s", public_key);
    token_digest(token, &e.digest);
    rdg_err_t err = admission_look(p, &e);
    if (err == RDG_OK && e.replaces && e.name_taken && !e.name_same_key &&
        (e.state[0] ? strcmp(e.state, "granted") == 0 : !e.approve) && admission_judge(&e) == RDG_OK)
        err = replace_retire(p, name);
    admission_fini(&e);
    return err;
}

static rdg_err_t admit(rdg_platform_t *p, enrolment_t *e, bool *waits) {
    pthread_mutex_lock(&p->enrolling);
    rdg_err_t err = make_way(p, e->token, e->name, e->public_key);
    if (err == RDG_OK) err = decide_and_store(p, e, waits);
    pthread_mutex_unlock(&p->enrolling);
    return err;
}

/* --- the answer ------------------------------------------------------------------------------------ */

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

static rdg_err_t tell_to_wait(rdg_platform_t *p, const enrolment_t *e, rdg_service_answer_t *answer) {
    uint64_t ms = ASK_AGAIN_MS + (uint64_t)pending_count(p) * ASK_AGAIN_EACH_MS;
    if (!e->state[0])
        rdg_log(RDG_LOG_INFO, "device.pending", RDG_STR("device", e->name), RDG_STR("key", e->fingerprint));
    return rdg_service_reply(answer, 202,
                             json_pack("{s:s, s:s, s:s, s:I}", "state", "pending", "device_id", e->name,
                                       "key", e->fingerprint, "retry_ms", (json_int_t)ms));
}

static rdg_err_t show_in_memory(rdg_platform_t *p, const enrolment_t *e) {
    json_t *drivers = NULL;
    RDG_TRY(rdg_json_parse(rdg_bytes_str(e->drivers), &drivers));
    RDG_TRY(devices_put(p, e->name,
                        json_pack("{s:s, s:s?, s:s?, s:o, s:I}", "public_key", e->public_key, "arch", e->arch,
                                  "agent_version", e->version, "drivers", drivers, "enrolled_ms",
                                  (json_int_t)platform_now())));
    devices_set_tenant(p, e->name, e->tenant);
    return groups_show(p, e->name);
}

static rdg_err_t finish(rdg_platform_t *p, const enrolment_t *e, rdg_service_answer_t *answer) {
    json_t *certificates = NULL;
    const ca_subject_t subject = {e->name, "", &e->key};
    RDG_TRY(show_in_memory(p, e));
    rdg_log(RDG_LOG_INFO, "device.enrolled", RDG_STR("device", e->name),
            RDG_BOOL("again", strcmp(e->state, "done") == 0), RDG_BOOL("replaces", e->replaces));
    RDG_TRY(ca_issue_pair(p->ca, &subject, e->sign_request, e->enc_request, &certificates));
    /* A new password cuts off who came with the one before, with what was on its way to it. */
    RDG_TRY(command_requeue(p, e->name));
    return give_access(p, e->name, certificates, answer);
}

static rdg_err_t enrol(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    char from[PEER_ADDRESS_MAX];
    enrolment_t e = {.remote = peer_address(call->http, from) ? from : call->remote, .access = call->access};
    bool waits = false;
    rdg_err_t err = read_enrolment(call, &e);
    if (err == RDG_OK) err = judge_guess(p, call, &e, answer);
    if (err == RDG_OK) err = check_proof(&e);
    if (err == RDG_OK) err = admit(p, &e, &waits);
    if (err == RDG_OK) err = waits ? tell_to_wait(p, &e, answer) : finish(p, &e, answer);
    admission_fini(&e);
    return err;
}

/* Behind the gateway: a token never travels outside TLCP. */
const rdg_service_route_t enrol_routes[] = {{"POST", "/api/v1/enrol", RDG_ROUTE_PUBLIC, enrol}};
const size_t enrol_route_count = sizeof enrol_routes / sizeof enrol_routes[0];
