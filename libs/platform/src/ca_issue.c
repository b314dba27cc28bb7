#include <stdio.h>
#include <string.h>
#include "ca_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/credentials.h"

typedef struct order {
    ca_t *ca;
    const char *device, *chain;
    rdg_cert_use_t use;
    const rdg_sm2_public_t *key;
    const char *const *dns_names;
    size_t dns_count;
    char name[RDG_CERT_DNS_MAX], key_hex[129];
} order_t;

static const char *use_name(rdg_cert_use_t use) {
    return use == RDG_CERT_SIGN ? "sign" : "encrypt";
}

static void order_init(order_t *o, ca_t *ca, const char *device, const char *chain, rdg_cert_use_t use,
                       const rdg_sm2_public_t *key) {
    memset(o, 0, sizeof *o);
    *o = (order_t){.ca = ca, .device = device, .chain = chain, .use = use, .key = key};
    ca_name(device, chain, o->name);
    rdg_hex_encode(key->b, sizeof key->b, o->key_hex);
}

/* --- what is there already ----------------------------------------------------------------------------- */

typedef struct known {
    char *pem; /* of a certificate to answer again; owned */
    bool compromised;
    int64_t held;
} known_t;

static rdg_err_t again_row(void *ctx, const rdg_sql_row_t *r) {
    known_t *k = ctx;
    k->pem = rdg_strdup(rdg_sql_row_text(r, 0));
    return k->pem ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a certificate");
}

static rdg_err_t compromised_row(void *ctx, const rdg_sql_row_t *r) {
    known_t *k = ctx;
    k->compromised = rdg_sql_row_int(r, 0) > 0;
    return RDG_OK;
}

static rdg_err_t held_row(void *ctx, const rdg_sql_row_t *r) {
    known_t *k = ctx;
    k->held = rdg_sql_row_int(r, 0);
    return RDG_OK;
}

static rdg_err_t look_up(const order_t *o, known_t *k) {
    const int64_t now = ca_now_ms(o->ca);
    RDG_TRY(rdg_sql_query(o->ca->db,
                          "SELECT COUNT(*) FROM certificates WHERE public_key = ? AND state = 'revoked' AND "
                          "reason IN ('key-compromise', 'ca-compromise')",
                          RDG_SQL_PARAMS(rdg_sql_text(o->key_hex)), compromised_row, k));
    RDG_TRY(rdg_sql_query(
        o->ca->db,
        "SELECT COUNT(*) FROM certificates WHERE device = ? AND chain = ? AND state = 'valid' "
        "AND not_after_ms > ?",
        RDG_SQL_PARAMS(rdg_sql_text(o->device), rdg_sql_text(o->chain), rdg_sql_int(now)), held_row, k));
    return rdg_sql_query(
        o->ca->db,
        "SELECT pem FROM certificates WHERE device = ? AND chain = ? AND use = ? AND "
        "public_key = ? AND state = 'valid' AND issuer = ? AND not_before_ms + not_after_ms > "
        "2 * ? ORDER BY number DESC LIMIT 1",
        RDG_SQL_PARAMS(rdg_sql_text(o->device), rdg_sql_text(o->chain), rdg_sql_text(use_name(o->use)),
                       rdg_sql_text(o->key_hex), rdg_sql_text(o->ca->issuer), rdg_sql_int(now)),
        again_row, k);
}

typedef struct holder {
    char device[65], chain[65];
} holder_t;

static rdg_err_t holder_row(void *ctx, const rdg_sql_row_t *r) {
    holder_t *h = ctx;
    snprintf(h->device, sizeof h->device, "%s", rdg_sql_row_text(r, 0));
    snprintf(h->chain, sizeof h->chain, "%s", rdg_sql_row_text(r, 1));
    return RDG_OK;
}

rdg_err_t ca_name_check(ca_t *ca, const char *device, const char *chain) {
    char name[RDG_CERT_DNS_MAX];
    holder_t h = {0};
    ca_name(device, chain, name);
    RDG_TRY(rdg_sql_query(
        ca->db,
        "SELECT device, chain FROM certificates WHERE subject = ? AND NOT (device = ? AND chain = ?)"
        " AND state = 'valid' AND not_after_ms > ? LIMIT 1",
        RDG_SQL_PARAMS(rdg_sql_text(name), rdg_sql_text(device), rdg_sql_text(chain),
                       rdg_sql_int(ca_now_ms(ca))),
        holder_row, &h));
    if (!h.device[0]) return RDG_OK;
    char whose[200];
    snprintf(whose, sizeof whose, h.chain[0] ? "a node of chain '%s' on device '%s'" : "device '%s%s'",
             h.chain[0] ? h.chain : h.device, h.chain[0] ? h.device : "");
    return rdg_fail(RDG_E_CONFLICT,
                    "the certificates would have the name '%.130s', which those of %s have: "
                    "give the %s another name",
                    name, whose, chain[0] ? "chain" : "device");
}

/* --- making one ---------------------------------------------------------------------------------------- */

static rdg_err_t store(const order_t *o, const rdg_cert_t *cert, const char *pem) {
    char serial[RDG_CERT_SERIAL_MAX];
    rdg_cert_serial(cert, serial);
    RDG_TRY(rdg_sql_exec(o->ca->db,
                         "INSERT INTO certificates (number, serial, subject, device, chain, use, public_key, "
                         "issuer, not_before_ms,"
                         " not_after_ms, issued_ms, state, pem) VALUES ((SELECT COALESCE(MAX(number), 0) + 1 "
                         "FROM certificates),"
                         " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'valid', ?)",
                         RDG_SQL_PARAMS(rdg_sql_text(serial), rdg_sql_text(o->name), rdg_sql_text(o->device),
                                        rdg_sql_text(o->chain), rdg_sql_text(use_name(o->use)),
                                        rdg_sql_text(o->key_hex), rdg_sql_text(o->ca->issuer),
                                        rdg_sql_int(rdg_cert_not_before_s(cert) * 1000),
                                        rdg_sql_int(rdg_cert_not_after_s(cert) * 1000),
                                        rdg_sql_int(ca_now_ms(o->ca)), rdg_sql_text(pem)),
                         NULL));
    rdg_log(RDG_LOG_INFO, "ca.issued", RDG_STR("serial", serial), RDG_STR("subject", o->name),
            RDG_STR("use", use_name(o->use)));
    return RDG_OK;
}

static rdg_err_t sign(const order_t *o, rdg_cert_t **out) {
    const ca_t *ca = o->ca;
    int64_t now = ca_now_s(ca), end = now + ca->life_s;
    int64_t issuer_end = rdg_cert_not_after_s(ca->authority.issuing);
    rdg_cert_order_t order = {o->use == RDG_CERT_SIGN ? RDG_CERT_KIND_SIGN : RDG_CERT_KIND_ENCRYPT,
                              o->name,
                              o->key,
                              ca->authority.issuing,
                              ca->authority.key,
                              now - ca->skew_s,
                              end < issuer_end ? end : issuer_end};
    if (issuer_end <= now)
        return rdg_fail(
            RDG_E_EXPIRED,
            "the issuing CA has expired: put the root's key back and restart the cloud, or give a "
            "new ca-chain");
    return rdg_cert_issue_named(&order, o->dns_names, o->dns_count, out);
}

static rdg_err_t make(const order_t *o, rdg_cert_t **out, char **pem) {
    rdg_buf_t text;
    rdg_buf_init(&text, 2 * RDG_CERT_DER_MAX);
    rdg_err_t err = sign(o, out);
    if (err == RDG_OK) err = rdg_cert_to_pem(*out, &text);
    if (err == RDG_OK && !rdg_buf_cstr(&text)) err = rdg_fail(RDG_E_NO_MEMORY, "no memory for a certificate");
    if (err == RDG_OK) err = store(o, *out, (const char *)text.data);
    if (err == RDG_OK && pem) *pem = rdg_strdup((const char *)text.data);
    if (err == RDG_OK && pem && !*pem) err = rdg_fail(RDG_E_NO_MEMORY, "no memory for a certificate");
    rdg_buf_fini(&text);
    return err;
}

static rdg_err_t issue(const order_t *o, char **pem) {
    known_t k = {0};
    rdg_cert_t *cert = NULL;
    rdg_err_t err = look_up(o, &k);
    *pem = k.pem;
    if (err != RDG_OK) return err;
    if (k.compromised)
        return rdg_fail(
            RDG_E_FORBIDDEN,
            "the %s key of '%.130s' was revoked as compromised: remove the device's directory and "
            "enrol it anew",
            use_name(o->use), o->name);
    if (*pem) return RDG_OK;
    RDG_TRY(ca_name_check(o->ca, o->device, o->chain));
    if (k.held >= CA_HELD_MAX)
        return rdg_fail(RDG_E_FULL, "'%.130s' holds %d valid certificates: revoke those that it does not use",
                        o->name, CA_HELD_MAX);
    err = make(o, &cert, pem);
    rdg_cert_free(cert);
    return err;
}

/* --- requests --------------------------------------------------------------------------------------------- */

static rdg_err_t check_request(const char *text, const char *name, rdg_cert_request_t *out) {
    RDG_TRY(rdg_cert_request_parse_pem(rdg_bytes_str(text), out));
    if (rdg_cert_request_is_for(out, name)) return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "it asks for the name '%.64s', and '%.130s' is whom it is for",
                    out->common_name, name);
}

static rdg_err_t check_pair(const ca_subject_t *s, const char *sign_request, const char *enc_request,
                            rdg_cert_request_t *sign_req, rdg_cert_request_t *enc_req) {
    char name[RDG_CERT_DNS_MAX];
    ca_name(s->device, s->chain, name);
    RDG_TRY(rdg_fail_in(check_request(sign_request, name, sign_req), "sign_request"));
    RDG_TRY(rdg_fail_in(check_request(enc_request, name, enc_req), "enc_request"));
    if (memcmp(sign_req->public_key.b, enc_req->public_key.b, sizeof sign_req->public_key.b) == 0)
        return rdg_fail(RDG_E_INVALID, "both requests are of one key: want one key to sign and another to "
                                       "encrypt");
    if (s->sign_key && memcmp(sign_req->public_key.b, s->sign_key->b, sizeof sign_req->public_key.b) != 0)
        return rdg_fail(RDG_E_FORBIDDEN, "sign_request: '%.130s' is known by another key", name);
    return RDG_OK;
}

rdg_err_t ca_check_pair(const ca_subject_t *subject, const char *sign_request, const char *enc_request) {
    rdg_cert_request_t sign_req, enc_req;
    return check_pair(subject, sign_request, enc_request, &sign_req, &enc_req);
}

static rdg_err_t issue_pair(ca_t *ca, const ca_subject_t *subject, const rdg_sm2_public_t *sign_key,
                            const rdg_sm2_public_t *enc_key, json_t **out) {
    order_t sign_order, enc_order;
    char *sign_pem = NULL, *enc_pem = NULL;
    order_init(&sign_order, ca, subject->device, subject->chain, RDG_CERT_SIGN, sign_key);
    order_init(&enc_order, ca, subject->device, subject->chain, RDG_CERT_ENCRYPT, enc_key);
    RDG_TRY(rdg_sql_begin(ca->db));
    rdg_err_t err = issue(&sign_order, &sign_pem);
    if (err == RDG_OK) err = issue(&enc_order, &enc_pem);
    if (err == RDG_OK) err = rdg_sql_commit(ca->db);
    if (err != RDG_OK) rdg_sql_rollback(ca->db);
    if (err == RDG_OK) {
        *out = json_pack("{s:s, s:s, s:s, s:s}", "sign", sign_pem, "enc", enc_pem, "chain", ca_chain_pem(ca),
                         "root", ca_root_pem(ca));
        if (!*out) err = rdg_fail(RDG_E_NO_MEMORY, "no memory for certificates");
    }
    rdg_free(sign_pem);
    rdg_free(enc_pem);
    return err;
}

rdg_err_t ca_issue_pair(ca_t *ca, const ca_subject_t *subject, const char *sign_request,
                        const char *enc_request, json_t **out) {
    rdg_cert_request_t sign_req, enc_req;
    RDG_TRY(check_pair(subject, sign_request, enc_request, &sign_req, &enc_req));
    return issue_pair(ca, subject, &sign_req.public_key, &enc_req.public_key, out);
}

static rdg_err_t key_row(void *ctx, const rdg_sql_row_t *r) {
    rdg_sm2_public_t *key = ctx;
    const char *hex = rdg_sql_row_text(r, 0);
    return rdg_hex_decode(hex, strlen(hex), key->b, sizeof key->b);
}

/* Of the encryption keys that were certified for the node after this one, the last: it has no other any more. */
static rdg_err_t newest_key(ca_t *ca, const ca_subject_t *s, rdg_sm2_public_t *key) {
    char hex[129];
    rdg_hex_encode(key->b, sizeof key->b, hex);
    return rdg_sql_query(
        ca->db,
        "SELECT public_key FROM certificates WHERE device = ? AND chain = ? AND use = 'encrypt'"
        " AND state = 'valid' AND public_key <> ? AND number > (SELECT MIN(number) FROM"
        " certificates WHERE device = ? AND chain = ? AND use = 'encrypt' AND public_key = ?)"
        " ORDER BY number DESC LIMIT 1",
        RDG_SQL_PARAMS(rdg_sql_text(s->device), rdg_sql_text(s->chain), rdg_sql_text(hex),
                       rdg_sql_text(s->device), rdg_sql_text(s->chain), rdg_sql_text(hex)),
        key_row, key);
}

rdg_err_t ca_issue_node(ca_t *ca, const ca_subject_t *subject, const char *sign_request,
                        const char *enc_request, json_t **out) {
    rdg_cert_request_t sign_req, enc_req;
    RDG_TRY(check_pair(subject, sign_request, enc_request, &sign_req, &enc_req));
    RDG_TRY(newest_key(ca, subject, &enc_req.public_key));
    return issue_pair(ca, subject, &sign_req.public_key, &enc_req.public_key, out);
}

rdg_err_t ca_issue_collector(ca_t *ca, const char *request, json_t **out) {
    rdg_cert_request_t parsed;
    order_t o;
    char *pem = NULL;
    RDG_TRY(rdg_fail_in(check_request(request, RDG_CREDENTIALS_COLLECTOR, &parsed), "request"));
    order_init(&o, ca, CA_CLOUD, RDG_CREDENTIALS_COLLECTOR, RDG_CERT_SIGN, &parsed.public_key);
    snprintf(o.name, sizeof o.name, "%s", RDG_CREDENTIALS_COLLECTOR);
    RDG_TRY(rdg_sql_begin(ca->db));
    rdg_err_t err = issue(&o, &pem);
    if (err == RDG_OK) err = rdg_sql_commit(ca->db);
    if (err != RDG_OK) rdg_sql_rollback(ca->db);
    if (err == RDG_OK) {
        *out = json_pack("{s:s+}", "certificate", pem, ca_chain_pem(ca));
        if (!*out) err = rdg_fail(RDG_E_NO_MEMORY, "no memory for a certificate");
    }
    rdg_free(pem);
    return err;
}

rdg_err_t ca_issue_cloud(ca_t *ca, const rdg_sm2_public_t *sign_key, const rdg_sm2_public_t *enc_key,
                         const char *const *dns_names, size_t dns_count, rdg_cert_t **sign_cert,
                         rdg_cert_t **enc_cert) {
    order_t orders[2];
    *sign_cert = *enc_cert = NULL;
    order_init(&orders[0], ca, CA_CLOUD, "", RDG_CERT_SIGN, sign_key);
    order_init(&orders[1], ca, CA_CLOUD, "", RDG_CERT_ENCRYPT, enc_key);
    for (size_t i = 0; i < 2; ++i) orders[i].dns_names = dns_names, orders[i].dns_count = dns_count;
    RDG_TRY(rdg_sql_begin(ca->db));
    rdg_err_t err = make(&orders[0], sign_cert, NULL);
    if (err == RDG_OK) err = make(&orders[1], enc_cert, NULL);
    if (err == RDG_OK) err = rdg_sql_commit(ca->db);
    if (err == RDG_OK) return RDG_OK;
    rdg_sql_rollback(ca->db);
    rdg_cert_free(*sign_cert);
    rdg_cert_free(*enc_cert);
    *sign_cert = *enc_cert = NULL;
    return err;
}
