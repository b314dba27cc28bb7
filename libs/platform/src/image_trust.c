#include "image_trust.h"
#include "ridge/base/alloc.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define TRUST_TOPIC "cloud/image-trust"

/* --- the list in the database --------------------------------------------------------------------------- */

static rdg_err_t number_row(void *ctx, const rdg_sql_row_t *r) {
    const char *text = rdg_sql_row_text(r, 0);
    return rdg_parse_u64(text ? text : "", ctx);
}

static rdg_err_t patterns_row(void *ctx, const rdg_sql_row_t *r) {
    const char *text = rdg_sql_row_text(r, 0);
    snprintf(ctx, RDG_IMAGE_PATTERNS_MAX, "%s", text ? text : "");
    return RDG_OK;
}

static rdg_err_t set_policy(rdg_platform_t *p, const char *name, const char *value) {
    return rdg_sql_exec(
        p->db,
        "INSERT INTO image_policy (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET "
        "value = excluded.value",
        RDG_SQL_PARAMS(rdg_sql_text(name), rdg_sql_text(value)), NULL);
}

static rdg_err_t number_of(rdg_platform_t *p, uint64_t *out) {
    *out = 0;
    return rdg_sql_query(p->db, "SELECT value FROM image_policy WHERE name = 'number'", NULL, 0, number_row,
                         out);
}

/* Within the transaction that changes the list. */
static rdg_err_t renumber(rdg_platform_t *p) {
    uint64_t last, now = (uint64_t)ca_now_s(p->ca);
    char text[24];
    RDG_TRY(number_of(p, &last));
    snprintf(text, sizeof text, "%llu", (unsigned long long)(now > last ? now : last + 1));
    return set_policy(p, "number", text);
}

static rdg_err_t finish(rdg_platform_t *p, rdg_err_t err) {
    if (err == RDG_OK) err = renumber(p);
    if (err == RDG_OK) err = rdg_sql_commit(p->db);
    if (err != RDG_OK) {
        rdg_sql_rollback(p->db);
        return err;
    }
    platform_kick(p); /* the list goes out at once */
    return RDG_OK;
}

static rdg_err_t signer_row(void *ctx, const rdg_sql_row_t *r) {
    rdg_image_trust_t *t = ctx;
    rdg_image_signer_t *s = &t->signers[t->signer_count];
    const char *name = rdg_sql_row_text(r, 0), *key = rdg_sql_row_text(r, 1), *fits = rdg_sql_row_text(r, 2);
    if (t->signer_count == RDG_IMAGE_SIGNERS_MAX || !name || !key || !fits || strlen(key) != 128 ||
        rdg_hex_decode(key, 128, s->key.b, sizeof s->key.b) != RDG_OK)
        return rdg_fail(RDG_E_CORRUPT, "the table of image signers is damaged");
    snprintf(s->name, sizeof s->name, "%s", name);
    snprintf(s->repositories, sizeof s->repositories, "%s", fits);
    s->revoked = rdg_sql_row_int(r, 3) != 0;
    ++t->signer_count;
    return RDG_OK;
}

/* Returns owned. One reading of the database: number and signers are of one state. */
static rdg_err_t load(rdg_platform_t *p, rdg_image_trust_t **out) {
    rdg_image_trust_t *t = rdg_calloc(1, sizeof *t);
    if (!t) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the trusted signers");
    rdg_err_t err = rdg_sql_begin(p->db);
    if (err == RDG_OK) {
        err = number_of(p, &t->number);
        if (err == RDG_OK)
            err = rdg_sql_query(p->db, "SELECT value FROM image_policy WHERE name = 'unsigned'", NULL, 0,
                                patterns_row, t->unsigned_ok);
        if (err == RDG_OK)
            err = rdg_sql_query(
                p->db, "SELECT name, public_key, repositories, revoked FROM image_signers ORDER BY name",
                NULL, 0, signer_row, t);
        rdg_sql_rollback(p->db);
    }
    if (err == RDG_OK)
        *out = t;
    else
        rdg_free(t);
    return err;
}

/* --- signers ------------------------------------------------------------------------------------------------ */

typedef struct found {
    bool exists, revoked;
    char key[129], repositories[RDG_IMAGE_PATTERNS_MAX];
    int64_t count;
} found_t;

static rdg_err_t found_row(void *ctx, const rdg_sql_row_t *r) {
    found_t *f = ctx;
    f->exists = true;
    snprintf(f->key, sizeof f->key, "%s", rdg_sql_row_text(r, 0));
    snprintf(f->repositories, sizeof f->repositories, "%s", rdg_sql_row_text(r, 1));
    f->revoked = rdg_sql_row_int(r, 2) != 0;
    return RDG_OK;
}

static rdg_err_t count_row(void *ctx, const rdg_sql_row_t *r) {
    ((found_t *)ctx)->count = rdg_sql_row_int(r, 0);
    return RDG_OK;
}

static rdg_err_t find(rdg_platform_t *p, const char *name, found_t *out) {
    memset(out, 0, sizeof *out);
    RDG_TRY(rdg_sql_query(p->db, "SELECT public_key, repositories, revoked FROM image_signers WHERE name = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(name)), found_row, out));
    return rdg_sql_query(p->db, "SELECT COUNT(*) FROM image_signers", NULL, 0, count_row, out);
}

/* A name keeps its key: a device that hears of a revocation must be able to tell whose it was. */
static rdg_err_t put_row(rdg_platform_t *p, const char *name, const char *key, const char *repositories) {
    found_t f;
    RDG_TRY(find(p, name, &f));
    if (f.exists && strcmp(f.key, key) != 0)
        return rdg_fail(RDG_E_CONFLICT,
                        "signer '%s' has another key: revoke it and add the new key under another name",
                        name);
    if (!f.exists && f.count >= RDG_IMAGE_SIGNERS_MAX)
        return rdg_fail(RDG_E_FULL, "there are %d signers of images already", RDG_IMAGE_SIGNERS_MAX);
    rdg_err_t err =
        rdg_sql_exec(p->db,
                     "INSERT INTO image_signers (name, public_key, repositories, revoked, changed_ms) VALUES "
                     "(?, ?, ?, 0, ?)"
                     " ON CONFLICT (name) DO UPDATE SET repositories = excluded.repositories, revoked = 0,"
                     " changed_ms = excluded.changed_ms",
                     RDG_SQL_PARAMS(rdg_sql_text(name), rdg_sql_text(key), rdg_sql_text(repositories),
                                    rdg_sql_int((int64_t)platform_now())),
                     NULL);
    if (err == RDG_E_CONFLICT || err == RDG_E_EXISTS || err == RDG_E_DUPLICATE)
        return rdg_fail(RDG_E_CONFLICT, "another signer has the key of '%s' already", name);
    return err;
}

static rdg_err_t put_signer(rdg_platform_t *p, const char *name, const rdg_sm2_public_t *key,
                            const char *repositories) {
    char hex[129];
    rdg_hex_encode(key->b, sizeof key->b, hex);
    RDG_TRY(rdg_sql_begin(p->db));
    return finish(p, put_row(p, name, hex, repositories));
}

static rdg_err_t revoke_signer(rdg_platform_t *p, const char *name) {
    uint64_t rows = 0;
    RDG_TRY(rdg_sql_begin(p->db));
    rdg_err_t err =
        rdg_sql_exec(p->db, "UPDATE image_signers SET revoked = 1, changed_ms = ? WHERE name = ?",
                     RDG_SQL_PARAMS(rdg_sql_int((int64_t)platform_now()), rdg_sql_text(name)), &rows);
    if (err == RDG_OK && rows == 0)
        err = rdg_fail(RDG_E_NOT_FOUND, "no signer of images is named '%s'", name);
    return finish(p, err);
}

/* --- life --------------------------------------------------------------------------------------------------- */

/* Its key's file may have been replaced: the former key is not trusted any more then. */
static rdg_err_t put_own(rdg_platform_t *p) {
    rdg_sm2_public_t pub;
    char hex[129];
    found_t f;
    uint64_t number;
    rdg_sm2_key_public(p->image_key, &pub);
    rdg_hex_encode(pub.b, sizeof pub.b, hex);
    RDG_TRY(find(p, IMAGE_SIGNER_PLATFORM, &f));
    RDG_TRY(number_of(p, &number));
    if (f.exists && strcmp(f.key, hex) == 0 && number) return RDG_OK;
    if (f.exists && strcmp(f.key, hex) != 0)
        RDG_TRY(rdg_sql_exec(p->db, "DELETE FROM image_signers WHERE name = ?",
                             RDG_SQL_PARAMS(rdg_sql_text(IMAGE_SIGNER_PLATFORM)), NULL));
    return put_signer(p, IMAGE_SIGNER_PLATFORM, &pub, "*");
}

rdg_err_t image_trust_open(rdg_platform_t *p) {
    char path[PATH_MAX];
    RDG_TRY(rdg_path_join(path, sizeof path, p->data_dir, "images.key"));
    RDG_TRY(rdg_fail_in(rdg_sm2_key_load_or_generate(path, &p->image_key), "the platform's key for images"));
    return put_own(p);
}

void image_trust_close(rdg_platform_t *p) {
    rdg_sm2_key_free(p->image_key);
    p->image_key = NULL;
}

static rdg_err_t pack(rdg_platform_t *p, rdg_buf_t *text, json_t **out) {
    rdg_sm2_signature_t sig;
    char hex[129];
    RDG_TRY(rdg_image_trust_sign(ca_authority(p->ca)->key, rdg_buf_view(text), &sig));
    rdg_hex_encode(sig.b, sizeof sig.b, hex);
    *out = json_pack("{s:s, s:s, s:s}", "trust", rdg_buf_cstr(text), "signature", hex, "chain",
                     ca_chain_pem(p->ca));
    return *out ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the trusted signers");
}

static rdg_err_t message(rdg_platform_t *p, uint64_t *number, json_t **out) {
    rdg_image_trust_t *t = NULL;
    rdg_buf_t text;
    RDG_TRY(load(p, &t));
    *number = t->number;
    rdg_buf_init(&text, RDG_IMAGE_TRUST_MAX);
    rdg_err_t err = rdg_image_trust_dump(t, &text);
    rdg_free(t);
    if (err == RDG_OK) err = pack(p, &text, out);
    rdg_buf_fini(&text);
    return err;
}

rdg_err_t image_trust_message(rdg_platform_t *p, json_t **out) {
    uint64_t number;
    return message(p, &number, out);
}

static rdg_err_t publish(rdg_platform_t *p) {
    json_t *m = NULL;
    uint64_t number;
    rdg_buf_t text;
    rdg_buf_init(&text, RDG_MQTT_PAYLOAD_MAX);
    rdg_err_t err = message(p, &number, &m);
    if (err == RDG_OK) err = rdg_json_dump(m, &text);
    if (err == RDG_OK) err = rdg_mqtt_publish(p->mqtt, TRUST_TOPIC, rdg_buf_view(&text), true, NULL);
    json_decref(m);
    rdg_buf_fini(&text);
    if (err == RDG_OK) p->trust_published = number;
    return err;
}

void image_trust_tick(rdg_platform_t *p, bool connected, bool again) {
    uint64_t number;
    if (again) p->trust_published = 0;
    if (!connected) return;
    rdg_err_t err = number_of(p, &number);
    if (err == RDG_OK && number != p->trust_published) err = publish(p);
    if (err != RDG_OK && err != RDG_E_UNAVAILABLE) rdg_log_err("image.trust_not_published", err);
}

/* --- REST --------------------------------------------------------------------------------------------------- */

static rdg_err_t reply(rdg_platform_t *p, rdg_service_answer_t *answer) {
    rdg_image_trust_t *t = NULL;
    rdg_buf_t text;
    json_t *o = NULL;
    RDG_TRY(load(p, &t));
    rdg_buf_init(&text, RDG_IMAGE_TRUST_MAX);
    rdg_err_t err = rdg_image_trust_dump(t, &text);
    rdg_free(t);
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&text), &o);
    rdg_buf_fini(&text);
    return err == RDG_OK ? rdg_service_reply(answer, 200, o) : err;
}

static rdg_err_t show(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    (void)call;
    return reply(ctx, answer);
}

static rdg_err_t trust(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const char *name = rdg_service_arg(call, "name"), *repositories = "*";
    const json_t *body;
    uint8_t point[64];
    rdg_sm2_public_t key;
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(rdg_json_get_hex(body, "key", point, sizeof point));
    RDG_TRY(rdg_json_opt_str(body, "repositories", &repositories));
    if (!rdg_name_valid(name))
        return rdg_fail(RDG_E_INVALID, "'%.80s' cannot be a signer's name: want 1 to 64 of [a-z0-9._-]",
                        name);
    RDG_TRY(rdg_fail_in(rdg_sm2_public_decode(rdg_bytes(point, sizeof point), &key), "key"));
    RDG_TRY(rdg_image_patterns_check(repositories));
    RDG_TRY(put_signer(ctx, name, &key, repositories));
    rdg_log(RDG_LOG_INFO, "image.signer_trusted", RDG_STR("signer", name),
            RDG_STR("repositories", repositories));
    return reply(ctx, answer);
}

static rdg_err_t distrust(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const char *name = rdg_service_arg(call, "name");
    RDG_TRY(revoke_signer(ctx, name));
    rdg_log(RDG_LOG_INFO, "image.signer_revoked", RDG_STR("signer", name));
    return reply(ctx, answer);
}

static rdg_err_t let_unsigned(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    const char *patterns;
    const json_t *body;
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(rdg_json_get_str(body, "unsigned", &patterns));
    RDG_TRY(rdg_image_patterns_check(patterns));
    RDG_TRY(rdg_sql_begin(p->db));
    RDG_TRY(finish(p, set_policy(p, "unsigned", patterns)));
    rdg_log(RDG_LOG_WARN, "image.unsigned_allowed", RDG_STR("patterns", patterns));
    return reply(p, answer);
}

const rdg_service_route_t image_trust_routes[] = {
    {"GET", "/api/v1/image-trust", RDG_ROUTE_CLOUD, show},
    {"PUT", "/api/v1/image-trust", RDG_ROUTE_CLOUD | RDG_ROUTE_ADMIN, let_unsigned},
    {"PUT", "/api/v1/image-trust/signers/{name}", RDG_ROUTE_CLOUD | RDG_ROUTE_ADMIN, trust},
    {"DELETE", "/api/v1/image-trust/signers/{name}", RDG_ROUTE_CLOUD | RDG_ROUTE_ADMIN, distrust},
};
const size_t image_trust_route_count = sizeof image_trust_routes / sizeof image_trust_routes[0];
