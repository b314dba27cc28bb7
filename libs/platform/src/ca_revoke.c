#include <stdio.h>
#include <string.h>
#include "ca_internal.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"

/* --- revoking ------------------------------------------------------------------------------------------- */

typedef struct found {
    bool there, valid;
    char device[65], chain[65], use[16];
    int64_t number, newest;
} found_t;

static rdg_err_t found_row(void *ctx, const rdg_sql_row_t *r) {
    found_t *f = ctx;
    f->there = true;
    snprintf(f->device, sizeof f->device, "%s", rdg_sql_row_text(r, 0));
    snprintf(f->chain, sizeof f->chain, "%s", rdg_sql_row_text(r, 1));
    snprintf(f->use, sizeof f->use, "%s", rdg_sql_row_text(r, 2));
    f->number = rdg_sql_row_int(r, 3);
    f->valid = strcmp(rdg_sql_row_text(r, 4), "valid") == 0;
    return RDG_OK;
}

static rdg_err_t newest_row(void *ctx, const rdg_sql_row_t *r) {
    found_t *f = ctx;
    f->newest = rdg_sql_row_int(r, 0);
    return RDG_OK;
}

static rdg_err_t absent(const char *serial) {
    return rdg_fail(RDG_E_NOT_FOUND, "certificate '%.64s' was not issued here: see ridge cert list", serial);
}

static rdg_err_t count_row(void *ctx, const rdg_sql_row_t *r) {
    *(int64_t *)ctx = rdg_sql_row_int(r, 0);
    return RDG_OK;
}

rdg_err_t ca_own(ca_t *ca, const char *tenant, const char *serial) {
    int64_t found = 0;
    RDG_TRY(rdg_sql_query(ca->db,
                          "SELECT COUNT(*) FROM certificates c JOIN device_tenants t ON t.device = c.device"
                          " WHERE c.serial = ? AND t.tenant = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(serial), rdg_sql_text(tenant)), count_row, &found));
    return found ? RDG_OK : absent(serial);
}

static rdg_err_t find(ca_t *ca, const char *serial, found_t *f) {
    memset(f, 0, sizeof *f);
    RDG_TRY(rdg_sql_query(ca->db,
                          "SELECT device, chain, use, number, state FROM certificates WHERE serial = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(serial)), found_row, f));
    if (!f->there) return absent(serial);
    if (!f->valid)
        return rdg_fail(RDG_E_CONFLICT, "certificate '%.64s' is revoked already, or its node is gone",
                        serial);
    return rdg_sql_query(
        ca->db, "SELECT MAX(number) FROM certificates WHERE device = ? AND chain = ? AND use = ?",
        RDG_SQL_PARAMS(rdg_sql_text(f->device), rdg_sql_text(f->chain), rdg_sql_text(f->use)), newest_row, f);
}

/* One that was replaced goes alone; the one in use takes the other of its pair, and all before, with it. */
static rdg_err_t mark(ca_t *ca, const char *serial, const found_t *f, rdg_crl_reason_t reason) {
    rdg_sql_value_t now = rdg_sql_int(ca_now_ms(ca)), why = rdg_sql_text(rdg_crl_reason_name(reason));
    if (f->number != f->newest)
        return rdg_sql_exec(
            ca->db, "UPDATE certificates SET state = 'revoked', reason = ?, revoked_ms = ? WHERE serial = ?",
            RDG_SQL_PARAMS(why, now, rdg_sql_text(serial)), NULL);
    return rdg_sql_exec(
        ca->db,
        "UPDATE certificates SET state = 'revoked', reason = ?, revoked_ms = ? WHERE device = ? "
        "AND chain = ? AND state = 'valid' AND not_after_ms > ?",
        RDG_SQL_PARAMS(why, now, rdg_sql_text(f->device), rdg_sql_text(f->chain), now), NULL);
}

static rdg_err_t end_transaction(ca_t *ca, rdg_err_t err, rdg_crl_t *crl) {
    if (err == RDG_OK) err = rdg_sql_commit(ca->db);
    if (err == RDG_OK) {
        ca_crl_take(ca, crl);
        return RDG_OK;
    }
    rdg_sql_rollback(ca->db);
    rdg_crl_free(crl);
    return err;
}

rdg_err_t ca_revoke(ca_t *ca, const char *serial, rdg_crl_reason_t reason, ca_revoked_t *out) {
    found_t f;
    rdg_crl_t *crl = NULL;
    RDG_TRY(rdg_sql_begin(ca->db));
    rdg_err_t err = find(ca, serial, &f);
    if (err == RDG_OK && strcmp(f.device, CA_CLOUD) == 0 && !f.chain[0] && f.number == f.newest)
        err = rdg_fail(RDG_E_CONFLICT,
                       "certificate '%.64s' is the cloud's own: remove link/cloud.key and restart "
                       "the cloud to have another made, then revoke this one",
                       serial);
    if (err == RDG_OK) err = mark(ca, serial, &f, reason);
    if (err == RDG_OK) err = ca_crl_make(ca, &crl);
    RDG_TRY(end_transaction(ca, err, crl));
    snprintf(out->device, sizeof out->device, "%s", f.device);
    snprintf(out->chain, sizeof out->chain, "%s", f.chain);
    out->current = f.number == f.newest;
    rdg_log(RDG_LOG_WARN, "ca.revoked", RDG_STR("serial", serial), RDG_STR("device", f.device),
            RDG_STR("chain", f.chain), RDG_STR("reason", rdg_crl_reason_name(reason)));
    return RDG_OK;
}

rdg_err_t ca_revoke_device(ca_t *ca, const char *device, rdg_crl_reason_t reason) {
    rdg_crl_t *crl = NULL;
    size_t changed = 0;
    RDG_TRY(rdg_sql_begin(ca->db));
    rdg_err_t err = rdg_sql_exec(
        ca->db,
        "UPDATE certificates SET state = 'revoked', reason = ?, revoked_ms = ? WHERE device = ? AND state = "
        "'valid' AND not_after_ms > ?",
        RDG_SQL_PARAMS(rdg_sql_text(rdg_crl_reason_name(reason)), rdg_sql_int(ca_now_ms(ca)),
                       rdg_sql_text(device), rdg_sql_int(ca_now_ms(ca))),
        &changed);
    if (err == RDG_OK && changed == 0) {
        rdg_sql_rollback(ca->db);
        return RDG_OK;
    }
    if (err == RDG_OK) err = ca_crl_make(ca, &crl);
    return end_transaction(ca, err, crl);
}

rdg_err_t ca_end_node(ca_t *ca, const char *device, const char *chain) {
    return rdg_sql_exec(
        ca->db, "UPDATE certificates SET state = 'ended' WHERE device = ? AND chain = ? AND state = 'valid'",
        RDG_SQL_PARAMS(rdg_sql_text(device), rdg_sql_text(chain)), NULL);
}

/* --- asking ------------------------------------------------------------------------------------------------ */

static rdg_err_t list_row(void *ctx, const rdg_sql_row_t *r) {
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:s?, s:s}", "serial",
                          rdg_sql_row_text(r, 0), "subject", rdg_sql_row_text(r, 1), "device",
                          rdg_sql_row_text(r, 2), "chain", rdg_sql_row_text(r, 3), "use",
                          rdg_sql_row_text(r, 4), "not_before_ms", (json_int_t)rdg_sql_row_int(r, 5),
                          "not_after_ms", (json_int_t)rdg_sql_row_int(r, 6), "state", rdg_sql_row_text(r, 7),
                          "reason", rdg_sql_row_text(r, 8), "public_key", rdg_sql_row_text(r, 10));
    if (!o) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the list of certificates");
    if (rdg_sql_row_int(r, 9)) json_object_set_new(o, "revoked_ms", json_integer(rdg_sql_row_int(r, 9)));
    json_array_append_new(ctx, o);
    return RDG_OK;
}

rdg_err_t ca_list(ca_t *ca, const ca_filter_t *f, uint64_t limit, json_t **out) {
    json_t *list = json_array();
    rdg_sql_value_t d = rdg_sql_text(f->device ? f->device : ""), s = rdg_sql_text(f->state ? f->state : ""),
                    c = rdg_sql_text(f->chain ? f->chain : ""), u = rdg_sql_text(f->use ? f->use : ""),
                    t = rdg_sql_text(f->tenant);
    rdg_err_t err = rdg_sql_query(
        ca->db,
        "SELECT serial, subject, device, chain, use, not_before_ms, not_after_ms, CASE WHEN state = 'valid' "
        "AND "
        "not_after_ms <= ? THEN 'expired' ELSE state END AS seen, reason, revoked_ms, public_key FROM "
        "certificates WHERE "
        "(? = '' OR device = ?) AND (? = '' OR CASE WHEN state = 'valid' AND not_after_ms <= ? THEN "
        "'expired' "
        "ELSE state END = ?) AND (? = '' OR chain = ?) AND (? = '' OR use = ?) AND (? IS NULL OR device IN"
        " (SELECT device FROM device_tenants WHERE tenant = ?)) ORDER BY number DESC LIMIT ?",
        RDG_SQL_PARAMS(rdg_sql_int(ca_now_ms(ca)), d, d, s, rdg_sql_int(ca_now_ms(ca)), s, c, c, u, u, t, t,
                       rdg_sql_int((int64_t)limit)),
        list_row, list);
    if (err == RDG_OK)
        *out = list;
    else
        json_decref(list);
    return err;
}

/* Issued to a device (not to a node of it) for this use, and not revoked. */
static rdg_err_t accept_one(ca_t *ca, const rdg_cert_t *cert, const char *use, char device[65]) {
    char serial[RDG_CERT_SERIAL_MAX], name[RDG_CERT_NAME_MAX];
    found_t f = {0};
    rdg_cert_serial(cert, serial);
    rdg_cert_common_name(cert, name, sizeof name);
    RDG_TRY(rdg_sql_query(ca->db,
                          "SELECT device, chain, use, number, state FROM certificates WHERE serial = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(serial)), found_row, &f));
    if (!f.there)
        return rdg_fail(RDG_E_UNAUTHENTICATED, "certificate %s of '%s' was not issued by this cloud", serial,
                        name);
    if (!f.valid) return rdg_fail(RDG_E_FORBIDDEN, "certificate %s of '%s' is revoked", serial, name);
    if (f.chain[0] || strcmp(f.use, use) != 0 || strcmp(f.device, CA_CLOUD) == 0)
        return rdg_fail(RDG_E_UNAUTHENTICATED, "certificate %s of '%s' is no device's %s certificate", serial,
                        name, use);
    snprintf(device, 65, "%s", f.device);
    return RDG_OK;
}

rdg_err_t ca_accept_device(ca_t *ca, const rdg_cert_t *sign, const rdg_cert_t *enc, char device[65]) {
    char other[65];
    RDG_TRY(accept_one(ca, sign, "sign", device));
    if (!enc) return RDG_OK;
    RDG_TRY(accept_one(ca, enc, "encrypt", other));
    if (strcmp(device, other) == 0) return RDG_OK;
    return rdg_fail(RDG_E_UNAUTHENTICATED,
                    "the sign certificate is of '%s', the encryption certificate of '%s'", device, other);
}

static rdg_err_t key_row(void *ctx, const rdg_sql_row_t *r) {
    rdg_sm2_public_t *out = ctx;
    const char *hex = rdg_sql_row_text(r, 0);
    RDG_TRY(rdg_hex_decode(hex, strlen(hex), out->b, sizeof out->b));
    return RDG_OK;
}

rdg_err_t ca_key_of(ca_t *ca, const char *device, const char *chain, rdg_sm2_public_t *out) {
    static const rdg_sm2_public_t none;
    *out = none;
    RDG_TRY(
        rdg_sql_query(ca->db,
                      "SELECT public_key FROM certificates WHERE device = ? AND chain = ? AND use = 'sign' "
                      "AND state = 'valid' ORDER BY number DESC LIMIT 1",
                      RDG_SQL_PARAMS(rdg_sql_text(device), rdg_sql_text(chain)), key_row, out));
    if (memcmp(out, &none, sizeof none) != 0) return RDG_OK;
    return rdg_fail(RDG_E_NOT_FOUND, "device '%.64s' has no valid certificate for chain '%.64s'", device,
                    chain);
}
