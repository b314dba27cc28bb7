#include "ca_internal.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"

#define SKEW_S 3600 /* a device whose clock is behind by less accepts what is issued now */

int64_t ca_now_s(const ca_t *ca) {
    return ca_now_ms(ca) / 1000;
}

int64_t ca_life_s(const ca_t *ca) {
    return ca->life_s;
}

const authority_t *ca_authority(const ca_t *ca) {
    return &ca->authority;
}

const char *ca_fingerprint(const ca_t *ca) {
    return ca->fingerprint;
}

const char *ca_root_pem(const ca_t *ca) {
    return (const char *)ca->root_pem.data;
}

const char *ca_chain_pem(const ca_t *ca) {
    return ca->chain_pem.data ? (const char *)ca->chain_pem.data : "";
}

void ca_name(const char *device, const char *chain, char out[RDG_CERT_DNS_MAX]) {
    snprintf(out, RDG_CERT_DNS_MAX, "%s%s%s", device, chain[0] ? "." : "", chain);
}

/* --- the root that devices have pinned --------------------------------------------------------------- */

typedef struct pinned {
    char fingerprint[65];
    int64_t devices;
} pinned_t;

static rdg_err_t pinned_row(void *ctx, const rdg_sql_row_t *r) {
    pinned_t *p = ctx;
    const char *text = rdg_sql_row_text(r, 0);
    snprintf(p->fingerprint, sizeof p->fingerprint, "%s", text ? text : "");
    return RDG_OK;
}

static rdg_err_t count_row(void *ctx, const rdg_sql_row_t *r) {
    pinned_t *p = ctx;
    p->devices = rdg_sql_row_int(r, 0);
    return RDG_OK;
}

static rdg_err_t check_pinned(ca_t *ca) {
    pinned_t p = {{0}, 0};
    RDG_TRY(rdg_sql_query(ca->db, "SELECT value FROM ca_meta WHERE name = 'root'", NULL, 0, pinned_row, &p));
    RDG_TRY(rdg_sql_query(ca->db, "SELECT COUNT(*) FROM devices", NULL, 0, count_row, &p));
    if (strcmp(p.fingerprint, ca->fingerprint) == 0) return RDG_OK;
    if (p.fingerprint[0] && p.devices > 0)
        return rdg_fail(RDG_E_CONFLICT,
                        "%lld devices trust the root %.16s… and this CA's root is %.16s…: give the former CA "
                        "(ca-chain, ca-key, or the files in ca/) back, or remove these devices first and "
                        "enrol them again",
                        (long long)p.devices, p.fingerprint, ca->fingerprint);
    return rdg_sql_exec(
        ca->db,
        "INSERT INTO ca_meta (name, value) VALUES ('root', ?) ON CONFLICT (name) DO UPDATE SET "
        "value = excluded.value",
        RDG_SQL_PARAMS(rdg_sql_text(ca->fingerprint)), NULL);
}

/* --- life ---------------------------------------------------------------------------------------------- */

static rdg_err_t make_texts(ca_t *ca) {
    rdg_hash_t digest;
    rdg_cert_fingerprint(ca->authority.root, &digest);
    rdg_hex_encode(digest.b, sizeof digest.b, ca->fingerprint);
    const rdg_sm2_public_t *key = rdg_cert_public(ca->authority.issuing);
    rdg_sm3(key->b, sizeof key->b, &digest);
    rdg_hex_encode(digest.b, sizeof digest.b, ca->issuer);
    RDG_TRY(rdg_cert_to_pem(ca->authority.root, &ca->root_pem));
    for (size_t i = 0; i < ca->authority.chain_count; ++i)
        RDG_TRY(rdg_cert_to_pem(ca->authority.chain[i], &ca->chain_pem));
    if (!rdg_buf_cstr(&ca->root_pem) || !rdg_buf_cstr(&ca->chain_pem))
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for the CA");
    return RDG_OK;
}

static rdg_err_t start(ca_t *ca, const ca_options_t *o) {
    char dir[PATH_MAX];
    if (!o->chain_file != !o->key_file)
        return rdg_fail(RDG_E_INVALID, "ca-chain and ca-key belong together: give both or none");
    if (o->chain_file) {
        RDG_TRY(authority_external(o->chain_file, o->key_file, ca_now_s(ca), &ca->authority));
    } else {
        RDG_TRY(rdg_path_join(dir, sizeof dir, o->data_dir, "ca"));
        RDG_TRY(authority_own(dir, ca_now_s(ca), ca->life_s, &ca->authority));
    }
    RDG_TRY(make_texts(ca));
    RDG_TRY(check_pinned(ca));
    RDG_TRY(ca_crl_load(ca));
    return ca_crl_refresh(ca);
}

rdg_err_t ca_open(const ca_options_t *options, ca_t **out) {
    ca_t *ca = rdg_calloc(1, sizeof *ca);
    if (!ca) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the CA");
    ca->db = options->db;
    ca->clock = options->clock;
    ca->life_s = options->life_ms ? (int64_t)(options->life_ms / 1000) : CA_LIFE_S;
    /* Short lives, as tests have them, must not begin in their second half. */
    ca->skew_s = ca->life_s / 24 < SKEW_S ? ca->life_s / 24 : SKEW_S;
    rdg_buf_init(&ca->root_pem, 4 * RDG_CERT_DER_MAX);
    rdg_buf_init(&ca->chain_pem, 4 * RDG_CERT_DER_MAX * RDG_CERT_CHAIN_MAX);
    pthread_mutex_init(&ca->lock, NULL);
    rdg_err_t err = start(ca, options);
    if (err != RDG_OK) {
        ca_close(ca);
        return err;
    }
    rdg_log(RDG_LOG_INFO, "ca.opened", RDG_STR("root", ca->fingerprint));
    *out = ca;
    return RDG_OK;
}

void ca_close(ca_t *ca) {
    if (!ca) return;
    authority_fini(&ca->authority);
    rdg_crl_free(ca->crl);
    rdg_buf_fini(&ca->root_pem);
    rdg_buf_fini(&ca->chain_pem);
    pthread_mutex_destroy(&ca->lock);
    rdg_free(ca);
}
