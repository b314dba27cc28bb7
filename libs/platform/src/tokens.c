#include "enrolment.h"
#include "groups.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include "ridge/codec/hex.h"

#define TOKENS_AT_ONCE 1000
#define TOKEN_RANDOM_BYTES 24
#define TOKEN_PREFIX "rdt_"
#define TOKEN_ID_BYTES 8
#define KEEP_MS (30ll * 86400000)

void token_digest(const char *token, rdg_hash_t *out) {
    rdg_bytes_t part = rdg_bytes_str(token);
    rdg_sm3_tagged(RDG_DOMAIN_ENROL, &part, 1, out);
}

static rdg_err_t int_row(void *ctx, const rdg_sql_row_t *r) {
    *(int64_t *)ctx = rdg_sql_row_int(r, 0);
    return RDG_OK;
}

/* Tokens that can no longer be used go; used ones stay a while for a device that has to ask again. */
static rdg_err_t forget_old(rdg_platform_t *p) {
    RDG_TRY(rdg_sql_exec(p->db, "DELETE FROM device_tokens WHERE expires_ms < ?",
                         RDG_SQL_PARAMS(rdg_sql_int((int64_t)platform_now() - KEEP_MS)), NULL));
    return rdg_sql_exec(p->db,
                        "DELETE FROM enrolments WHERE NOT EXISTS"
                        " (SELECT 1 FROM device_tokens t WHERE t.digest = enrolments.token)",
                        NULL, 0, NULL);
}

static rdg_err_t insert(rdg_platform_t *p, const token_order_t *o, const rdg_hash_t *digest, const char *id,
                        const char *about) {
    return rdg_sql_exec(p->db,
                        "INSERT INTO device_tokens (digest, id, created_ms, expires_ms, uses, about, bound, "
                        "approve, replaces, made_by, tenant)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        RDG_SQL_PARAMS(rdg_sql_blob(rdg_bytes(digest->b, sizeof digest->b)), rdg_sql_text(id),
                                       rdg_sql_int((int64_t)platform_now()),
                                       rdg_sql_int((int64_t)o->expires_ms), rdg_sql_int((int64_t)o->uses),
                                       rdg_sql_text(about), rdg_sql_text(o->bound), rdg_sql_int(o->approve),
                                       rdg_sql_int(o->replaces), rdg_sql_text(o->by),
                                       rdg_sql_text(o->tenant)),
                        NULL);
}

rdg_err_t token_make(rdg_platform_t *p, const token_order_t *order, char shown[ENROLMENT_TOKEN_MAX],
                     char id[17]) {
    char token[sizeof TOKEN_PREFIX + 2 * TOKEN_RANDOM_BYTES];
    rdg_hash_t digest;
    memcpy(token, TOKEN_PREFIX, sizeof TOKEN_PREFIX);
    rdg_random_hex(rdg_random_system(), token + strlen(TOKEN_PREFIX), TOKEN_RANDOM_BYTES);
    token_digest(token, &digest);
    rdg_hex_encode(digest.b, TOKEN_ID_BYTES, id);
    char *about = order->about ? rdg_json_text(order->about) : NULL;
    rdg_err_t err = order->about && !about ? rdg_fail(RDG_E_NO_MEMORY, "no memory for a token")
                                           : insert(p, order, &digest, id, about);
    rdg_free(about);
    /* The device trusts the root that the token names, and none that an answer may bring. */
    snprintf(shown, ENROLMENT_TOKEN_MAX, "%s.%s", token, ca_fingerprint(p->ca));
    rdg_secure_zero(token, sizeof token);
    return err;
}

/* --- REST: making them ------------------------------------------------------------------------- */

typedef struct wish {
    token_order_t order;
    uint64_t count, ttl_s;
    char tenant[RDG_TENANT_MAX + 1];
    json_t *about; /* owned */
} wish_t;

static rdg_err_t take_about(const json_t *body, wish_t *w) {
    static const char *const names[] = {"group", "site", "location", "labels"};
    w->about = json_object();
    if (!w->about) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a token");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        json_t *v = json_object_get(body, names[i]);
        if (v && !json_is_null(v)) json_object_set(w->about, names[i], v);
    }
    RDG_TRY(groups_check(w->about));
    w->order.about = json_object_size(w->about) ? w->about : NULL;
    return RDG_OK;
}

static rdg_err_t read_wish(const rdg_service_call_t *call, wish_t *w) {
    w->count = 1;
    w->ttl_s = 86400;
    w->order.uses = 1;
    w->order.by = call->caller;
    w->order.tenant = w->tenant;
    RDG_TRY(rdg_service_new_tenant(call, w->tenant));
    if (call->body) {
        RDG_TRY(rdg_json_opt_u64(call->body, "count", &w->count));
        RDG_TRY(rdg_json_opt_u64(call->body, "ttl_s", &w->ttl_s));
        RDG_TRY(rdg_json_opt_u64(call->body, "uses", &w->order.uses));
        RDG_TRY(rdg_json_opt_bool(call->body, "approve", &w->order.approve));
        RDG_TRY(rdg_json_opt_str(call->body, "device", &w->order.bound));
        RDG_TRY(take_about(call->body, w));
    }
    if (w->count < 1 || w->count > TOKENS_AT_ONCE)
        return rdg_fail(RDG_E_INVALID, "count is %llu: 1 to %d tokens at once", (unsigned long long)w->count,
                        TOKENS_AT_ONCE);
    if (w->ttl_s < 1 || w->ttl_s > ENROLMENT_TTL_MAX_S)
        return rdg_fail(RDG_E_INVALID, "ttl_s is %llu: want 1 to %llu seconds", (unsigned long long)w->ttl_s,
                        ENROLMENT_TTL_MAX_S);
    if (w->order.uses < 1 || w->order.uses > ENROLMENT_USES_MAX)
        return rdg_fail(RDG_E_INVALID, "uses is %llu: a token is for 1 to %d devices",
                        (unsigned long long)w->order.uses, ENROLMENT_USES_MAX);
    if (!w->order.bound) return RDG_OK;
    if (!rdg_name_valid(w->order.bound))
        return rdg_fail(RDG_E_INVALID, "'%.64s' cannot be a device's name", w->order.bound);
    if (w->order.uses > 1 || w->count > 1)
        return rdg_fail(RDG_E_INVALID, "device: a token for one name is for one device");
    return RDG_OK;
}

static rdg_err_t make_list(rdg_platform_t *p, const wish_t *w, json_t *list) {
    int64_t there = 0;
    char shown[ENROLMENT_TOKEN_MAX], id[17];
    rdg_err_t err = RDG_OK;
    RDG_TRY(forget_old(p));
    RDG_TRY(rdg_sql_query(p->db, "SELECT COUNT(*) FROM device_tokens", NULL, 0, int_row, &there));
    if ((uint64_t)there + w->count > ENROLMENT_TOKENS_MAX)
        return rdg_fail(RDG_E_FULL, "there are %lld tokens, and at most %d: give one token more --uses",
                        (long long)there, ENROLMENT_TOKENS_MAX);
    for (uint64_t i = 0; err == RDG_OK && i < w->count; ++i) {
        err = token_make(p, &w->order, shown, id);
        if (err == RDG_OK &&
            json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I}", "token", shown, "id", id,
                                                  "expires_ms", (json_int_t)w->order.expires_ms, "uses",
                                                  (json_int_t)w->order.uses)) != 0)
            err = rdg_fail(RDG_E_NO_MEMORY, "no memory for tokens");
    }
    rdg_secure_zero(shown, sizeof shown);
    return err;
}

static rdg_err_t create_tokens(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    wish_t w = {.count = 0};
    json_t *list = json_array();
    rdg_err_t err = read_wish(call, &w);
    w.order.expires_ms = platform_now() + w.ttl_s * 1000;
    if (err == RDG_OK) err = rdg_sql_begin(p->db);
    if (err == RDG_OK) {
        err = make_list(p, &w, list);
        if (err == RDG_OK) err = rdg_sql_commit(p->db);
        if (err != RDG_OK) rdg_sql_rollback(p->db);
    }
    json_decref(w.about);
    if (err != RDG_OK) {
        json_decref(list);
        return err;
    }
    rdg_log(RDG_LOG_INFO, "token.made", RDG_U64("count", w.count), RDG_U64("uses", w.order.uses),
            RDG_STR("by", call->caller ? call->caller : ""));
    return rdg_service_reply(answer, 201, json_pack("{s:o}", "tokens", list));
}

/* --- REST: looking at them, and ending them -------------------------------------------------------- */

static const char *state_of(const rdg_sql_row_t *r, int64_t now) {
    if (rdg_sql_row_int(r, 6)) return "revoked";
    if (rdg_sql_row_int(r, 3) >= rdg_sql_row_int(r, 2)) return "used";
    return rdg_sql_row_int(r, 1) < now ? "expired" : "valid";
}

/* Columns: id, expires_ms, uses, used, about, bound, revoked_ms, approve, replaces, made_by, created_ms, tenant. */
static rdg_err_t shown_row(void *ctx, const rdg_sql_row_t *r) {
    json_t *about = NULL;
    const char *text = rdg_sql_row_text(r, 4);
    json_t *o =
        json_pack("{s:s?, s:s, s:I, s:I, s:I, s:I, s:b, s:b, s:s?, s:s?, s:s}", "id", rdg_sql_row_text(r, 0),
                  "state", state_of(r, (int64_t)platform_now()), "uses", (json_int_t)rdg_sql_row_int(r, 2),
                  "used", (json_int_t)rdg_sql_row_int(r, 3), "expires_ms", (json_int_t)rdg_sql_row_int(r, 1),
                  "created_ms", (json_int_t)rdg_sql_row_int(r, 10), "approve", rdg_sql_row_int(r, 7) != 0,
                  "replaces", rdg_sql_row_int(r, 8) != 0, "device", rdg_sql_row_text(r, 5), "by",
                  rdg_sql_row_text(r, 9), "tenant", rdg_sql_row_text(r, 11));
    if (o && text && rdg_json_parse(rdg_bytes_str(text), &about) == RDG_OK) json_object_update(o, about);
    json_decref(about);
    return o && json_array_append_new(ctx, o) == 0 ? RDG_OK
                                                   : rdg_fail(RDG_E_NO_MEMORY, "no memory for tokens");
}

/* tenant and id NULL: any. */
static rdg_err_t select_tokens(rdg_platform_t *p, const char *tenant, const char *id, const char *after,
                               uint64_t limit, json_t *list) {
    char sql[400];
    rdg_sql_value_t params[4];
    size_t count = 0;
    params[count++] = rdg_sql_text(after);
    if (tenant) params[count++] = rdg_sql_text(tenant);
    if (id) params[count++] = rdg_sql_text(id);
    params[count++] = rdg_sql_int((int64_t)limit);
    snprintf(
        sql, sizeof sql,
        "SELECT id, expires_ms, uses, used, about, bound, revoked_ms, approve, replaces, made_by, created_ms,"
        " tenant FROM device_tokens WHERE id > ?%s%s ORDER BY id LIMIT ?",
        tenant ? " AND tenant = ?" : "", id ? " AND id = ?" : "");
    return rdg_sql_query(p->db, sql, params, count, shown_row, list);
}

static rdg_err_t list_tokens(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    uint64_t limit = 1000;
    const char *after = rdg_http_query(call->http, "after");
    RDG_TRY(rdg_service_query_u64(call, "limit", 1, 1000, &limit));
    json_t *list = json_array();
    rdg_err_t err = select_tokens(ctx, call->tenant, NULL, after ? after : "", limit, list);
    if (err != RDG_OK) {
        json_decref(list);
        return err;
    }
    size_t n = json_array_size(list);
    const char *last =
        n == limit ? json_string_value(json_object_get(json_array_get(list, n - 1), "id")) : NULL;
    return rdg_service_reply(answer, 200, json_pack("{s:o, s:s?}", "tokens", list, "more_after", last));
}

static rdg_err_t absent(const char *id) {
    return rdg_fail(RDG_E_NOT_FOUND, "token '%.32s' does not exist: see ridge device tokens", id);
}

rdg_err_t token_check(void *platform, const char *tenant, const char *id) {
    rdg_platform_t *p = platform;
    int64_t found = 0;
    RDG_TRY(rdg_sql_query(p->db, "SELECT COUNT(*) FROM device_tokens WHERE id = ? AND tenant = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(id), rdg_sql_text(tenant)), int_row, &found));
    return found ? RDG_OK : absent(id);
}

static rdg_err_t revoke_token(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    const char *id = rdg_service_arg(call, "id");
    size_t changed = 0;
    RDG_TRY(rdg_sql_exec(p->db, "UPDATE device_tokens SET revoked_ms = COALESCE(revoked_ms, ?) WHERE id = ?",
                         RDG_SQL_PARAMS(rdg_sql_int((int64_t)platform_now()), rdg_sql_text(id)), &changed));
    if (changed == 0) return absent(id);
    rdg_log(RDG_LOG_WARN, "token.revoked", RDG_STR("token", id),
            RDG_STR("by", call->caller ? call->caller : ""));
    json_t *list = json_array();
    rdg_err_t err = select_tokens(p, NULL, id, "", 1, list);
    json_t *o = json_incref(json_array_get(list, 0));
    json_decref(list);
    return err == RDG_OK ? rdg_service_reply(answer, 200, o) : err;
}

rdg_err_t token_end_replacements(rdg_platform_t *p, const char *device) {
    return rdg_sql_exec(
        p->db,
        "UPDATE device_tokens SET revoked_ms = ? WHERE bound = ? AND replaces = 1 AND used < uses"
        " AND revoked_ms IS NULL",
        RDG_SQL_PARAMS(rdg_sql_int((int64_t)platform_now()), rdg_sql_text(device)), NULL);
}

const rdg_service_route_t token_routes[] = {
    {"POST", "/api/v1/device-tokens", RDG_ROUTE_TENANT, create_tokens},
    {"GET", "/api/v1/device-tokens", RDG_ROUTE_TENANT, list_tokens},
    {"POST", "/api/v1/device-tokens/{id}/revoke", RDG_ROUTE_OWNED, revoke_token},
};
const size_t token_route_count = sizeof token_routes / sizeof token_routes[0];
