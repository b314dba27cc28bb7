#include "enrolment.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/codec/hex.h"

/* --- what the store knows ------------------------------------------------------------------------ */

static void copy(char *out, size_t size, const char *text) {
    snprintf(out, size, "%s", text ? text : "");
}

/* Columns: expires_ms, uses, used, about, bound, revoked_ms, approve, replaces, tenant. */
static rdg_err_t token_row(void *ctx, const rdg_sql_row_t *r) {
    enrolment_t *e = ctx;
    const char *about = rdg_sql_row_text(r, 3);
    e->found = true;
    e->expires_ms = (uint64_t)rdg_sql_row_int(r, 0);
    e->uses = rdg_sql_row_int(r, 1);
    e->used = rdg_sql_row_int(r, 2);
    copy(e->bound, sizeof e->bound, rdg_sql_row_text(r, 4));
    e->revoked = rdg_sql_row_int(r, 5) != 0;
    e->approve = rdg_sql_row_int(r, 6) != 0;
    e->replaces = rdg_sql_row_int(r, 7) != 0;
    copy(e->tenant, sizeof e->tenant, rdg_sql_row_text(r, 8));
    if (!about) return RDG_OK;
    RDG_TRY(rdg_json_parse(rdg_bytes_str(about), &e->about));
    copy(e->token_group, sizeof e->token_group, json_string_value(json_object_get(e->about, "group")));
    return RDG_OK;
}

static rdg_err_t asked_row(void *ctx, const rdg_sql_row_t *r) {
    enrolment_t *e = ctx;
    copy(e->state, sizeof e->state, rdg_sql_row_text(r, 0));
    copy(e->asked_name, sizeof e->asked_name, rdg_sql_row_text(r, 1));
    copy(e->reason, sizeof e->reason, rdg_sql_row_text(r, 2));
    e->decided_ms = rdg_sql_row_int(r, 3);
    return RDG_OK;
}

static rdg_err_t device_row(void *ctx, const rdg_sql_row_t *r) {
    enrolment_t *e = ctx;
    e->name_taken = true;
    e->name_same_key = strcmp(rdg_sql_row_text(r, 0), e->public_key) == 0;
    copy(e->device_group, sizeof e->device_group, rdg_sql_row_text(r, 1));
    e->device_revoked_ms = rdg_sql_row_int(r, 2);
    return RDG_OK;
}

static rdg_err_t tenant_row(void *ctx, const rdg_sql_row_t *r) {
    enrolment_t *e = ctx;
    copy(e->name_tenant, sizeof e->name_tenant, rdg_sql_row_text(r, 0));
    return RDG_OK;
}

static rdg_err_t retired_row(void *ctx, const rdg_sql_row_t *r) {
    enrolment_t *e = ctx;
    copy(e->retired_for, sizeof e->retired_for, rdg_sql_row_text(r, 0));
    return RDG_OK;
}

rdg_err_t admission_look(rdg_platform_t *p, enrolment_t *e) {
    rdg_sql_value_t digest = rdg_sql_blob(rdg_bytes(e->digest.b, sizeof e->digest.b)),
                    key = rdg_sql_text(e->public_key);
    RDG_TRY(rdg_sql_query(p->db,
                          "SELECT expires_ms, uses, used, about, bound, revoked_ms, approve, replaces, "
                          "tenant FROM device_tokens WHERE digest = ?",
                          &digest, 1, token_row, e));
    RDG_TRY(rdg_sql_query(p->db,
                          "SELECT state, device, reason, decided_ms FROM enrolments WHERE token = ?"
                          " AND public_key = ?",
                          RDG_SQL_PARAMS(digest, key), asked_row, e));
    RDG_TRY(rdg_sql_query(p->db, "SELECT public_key, group_name, revoked_ms FROM devices WHERE name = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(e->name)), device_row, e));
    RDG_TRY(rdg_sql_query(p->db, "SELECT tenant FROM device_tenants WHERE device = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(e->name)), tenant_row, e));
    return rdg_sql_query(p->db, "SELECT device FROM retired_keys WHERE public_key = ?", &key, 1, retired_row,
                         e);
}

static rdg_err_t in_force_row(void *ctx, const rdg_sql_row_t *r) {
    *(admission_token_t *)ctx = rdg_sql_row_int(r, 0) ? ADMISSION_IN_FORCE : ADMISSION_ENDED;
    return RDG_OK;
}

rdg_err_t admission_token(rdg_platform_t *p, const rdg_hash_t *digest, admission_token_t *out) {
    *out = ADMISSION_UNKNOWN;
    return rdg_sql_query(p->db,
                         "SELECT CASE WHEN revoked_ms IS NULL AND used < uses AND expires_ms >= ? THEN 1 "
                         "ELSE 0 END FROM device_tokens WHERE digest = ?",
                         RDG_SQL_PARAMS(rdg_sql_int((int64_t)platform_now()),
                                        rdg_sql_blob(rdg_bytes(digest->b, sizeof digest->b))),
                         in_force_row, out);
}

void enrolment_fingerprint(const char *public_key, char out[17]) {
    rdg_hash_t digest;
    rdg_sm3(public_key, strlen(public_key), &digest);
    rdg_hex_encode(digest.b, 8, out);
}

void admission_fini(enrolment_t *e) {
    json_decref(e->about);
    rdg_free(e->drivers);
    e->about = NULL;
    e->drivers = NULL;
}

/* --- the judgement ------------------------------------------------------------------------------------ */

static const char remedy[] = "make a new one with 'ridge device token'";

static rdg_err_t judge_group(const enrolment_t *e) {
    if (e->group && strcmp(e->group, e->token_group) != 0)
        return rdg_fail(
            RDG_E_FORBIDDEN,
            "the enrolment token is for %s%s%s, and this device was prepared for group '%.64s' (--group)",
            e->token_group[0] ? "group '" : "no group", e->token_group, e->token_group[0] ? "'" : "",
            e->group);
    if (e->token_group[0] && e->device_group[0] && strcmp(e->token_group, e->device_group) != 0)
        return rdg_fail(
            RDG_E_FORBIDDEN,
            "the enrolment token is for group '%s', and device '%s' belongs to group '%s': %s for that "
            "group, or move the device with 'ridge device set'",
            e->token_group, e->name, e->device_group, remedy);
    return RDG_OK;
}

static rdg_err_t judge_token(const enrolment_t *e) {
    if (!e->found)
        return rdg_fail(RDG_E_UNAUTHENTICATED, "the enrolment token is not known here: %s", remedy);
    if (e->revoked) return rdg_fail(RDG_E_UNAUTHENTICATED, "the enrolment token was revoked: %s", remedy);
    if (e->bound[0] && strcmp(e->bound, e->name) != 0)
        return rdg_fail(RDG_E_FORBIDDEN, "the enrolment token is for device '%s', not for '%s': %s", e->bound,
                        e->name, remedy);
    if (e->state[0] && strcmp(e->asked_name, e->name) != 0)
        return rdg_fail(RDG_E_UNAUTHENTICATED,
                        "the enrolment token has been used with this key for device '%s': %s", e->asked_name,
                        remedy);
    if (strcmp(e->state, "refused") == 0)
        return rdg_fail(RDG_E_FORBIDDEN, "an operator has refused device '%s'%s%s", e->name,
                        e->reason[0] ? ": " : "", e->reason);
    if (e->state[0]) return RDG_OK;
    if (e->used >= e->uses)
        return rdg_fail(RDG_E_UNAUTHENTICATED, "the enrolment token has been used by %s: %s",
                        e->uses == 1 ? "another device or key" : "as many devices as it is for", remedy);
    if (e->expires_ms < platform_now())
        return rdg_fail(RDG_E_UNAUTHENTICATED, "the enrolment token has expired: %s", remedy);
    return RDG_OK;
}

rdg_err_t admission_judge(const enrolment_t *e) {
    RDG_TRY(judge_token(e));
    if (e->retired_for[0])
        return rdg_fail(
            RDG_E_FORBIDDEN,
            "the key of this device was retired when device '%s' was replaced: remove the agent's "
            "directory, then enrol with a key and a name of its own",
            e->retired_for);
    if (e->name_tenant[0] && strcmp(e->name_tenant, e->tenant) != 0)
        return rdg_fail(
            RDG_E_EXISTS,
            "the name '%s' is taken: names of devices are unique over the whole cloud, choose another "
            "(--name)",
            e->name);
    if (strcmp(e->state, "done") == 0 && (!e->name_taken || e->decided_ms < e->device_revoked_ms))
        return rdg_fail(RDG_E_UNAUTHENTICATED, "device '%s' was %s after it had used this token: %s", e->name,
                        e->name_taken ? "revoked" : "removed", remedy);
    RDG_TRY(judge_group(e));
    if (e->name_taken && !e->name_same_key && !e->replaces)
        return rdg_fail(
            RDG_E_EXISTS,
            "device '%s' is enrolled with another key: choose another name, or replace its hardware with "
            "'ridge device replace %s', or remove it with 'ridge device rm %s'",
            e->name, e->name, e->name);
    return RDG_OK;
}

/* --- the record ------------------------------------------------------------------------------------------ */

static rdg_err_t int_row(void *ctx, const rdg_sql_row_t *r) {
    *(int64_t *)ctx = rdg_sql_row_int(r, 0);
    return RDG_OK;
}

static rdg_err_t count_pending(rdg_platform_t *p, int64_t *out) {
    return rdg_sql_query(p->db, "SELECT COUNT(*) FROM enrolments WHERE state = 'pending'", NULL, 0, int_row,
                         out);
}

int64_t pending_count(rdg_platform_t *p) {
    int64_t n = 0;
    (void)count_pending(p, &n);
    return n;
}

/* Who waits asks every half minute at least: one that has not for so long has gone. */
static rdg_err_t drop_silent(rdg_platform_t *p) {
    RDG_TRY(rdg_sql_exec(p->db, "DELETE FROM enrolments WHERE state = 'pending' AND last_ms < ?",
                         RDG_SQL_PARAMS(rdg_sql_int((int64_t)platform_now() - (int64_t)ENROLMENT_SILENT_MS)),
                         NULL));
    return rdg_sql_exec(p->db,
                        "UPDATE device_tokens SET used = (SELECT COUNT(*) FROM enrolments e WHERE"
                        " e.token = device_tokens.digest AND e.state <> 'refused')",
                        NULL, 0, NULL);
}

static rdg_err_t room_to_wait(rdg_platform_t *p) {
    int64_t n = 0;
    RDG_TRY(count_pending(p, &n));
    if (n < ENROLMENT_PENDING_MAX) return RDG_OK;
    RDG_TRY(drop_silent(p));
    RDG_TRY(count_pending(p, &n));
    if (n < ENROLMENT_PENDING_MAX) return RDG_OK;
    return rdg_fail(RDG_E_FULL,
                    "%d devices wait for an operator already: 'ridge device pending' shows them; this one "
                    "asks again by itself",
                    ENROLMENT_PENDING_MAX);
}

static rdg_err_t take_use(rdg_platform_t *p, const enrolment_t *e) {
    size_t changed = 0;
    RDG_TRY(rdg_sql_exec(p->db, "UPDATE device_tokens SET used = used + 1 WHERE digest = ? AND used < uses",
                         RDG_SQL_PARAMS(rdg_sql_blob(rdg_bytes(e->digest.b, sizeof e->digest.b))), &changed));
    if (changed == 1) return RDG_OK;
    return rdg_fail(RDG_E_UNAUTHENTICATED, "the enrolment token has been used by another device: %s", remedy);
}

static rdg_err_t first_time(rdg_platform_t *p, const enrolment_t *e) {
    rdg_sql_value_t now = rdg_sql_int((int64_t)platform_now());
    if (e->approve) RDG_TRY(room_to_wait(p));
    RDG_TRY(take_use(p, e));
    return rdg_sql_exec(
        p->db,
        "INSERT INTO enrolments (token, device, public_key, state, arch, agent_version, drivers, remote, "
        "asked_ms, last_ms,"
        " decided_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        RDG_SQL_PARAMS(rdg_sql_blob(rdg_bytes(e->digest.b, sizeof e->digest.b)), rdg_sql_text(e->name),
                       rdg_sql_text(e->public_key), rdg_sql_text(e->approve ? "pending" : "done"),
                       rdg_sql_text(e->arch), rdg_sql_text(e->version), rdg_sql_text(e->drivers),
                       rdg_sql_text(e->remote), now, now, e->approve ? rdg_sql_text(NULL) : now),
        NULL);
}

rdg_err_t admission_note(rdg_platform_t *p, const enrolment_t *e, bool *waits) {
    if (!e->state[0]) {
        *waits = e->approve;
        return first_time(p, e);
    }
    *waits = strcmp(e->state, "pending") == 0;
    return rdg_sql_exec(
        p->db,
        "UPDATE enrolments SET last_ms = ?, state = CASE state WHEN 'granted' THEN 'done' ELSE state END"
        " WHERE token = ? AND public_key = ?",
        RDG_SQL_PARAMS(rdg_sql_int((int64_t)platform_now()),
                       rdg_sql_blob(rdg_bytes(e->digest.b, sizeof e->digest.b)), rdg_sql_text(e->public_key)),
        NULL);
}
