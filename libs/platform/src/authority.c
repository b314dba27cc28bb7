#include "authority.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"

#define YEAR_S (365ll * 86400)
#define ROOT_LIFE_S (10 * YEAR_S)
#define ISSUING_LIFE_S (5 * YEAR_S)
#define SKEW_S 3600 /* devices whose clocks are behind by less accept what is made now */

void authority_fini(authority_t *a) {
    rdg_sm2_key_free(a->key);
    for (size_t i = 0; i < a->chain_count; ++i) rdg_cert_free(a->chain[i]);
    rdg_cert_free(a->root);
    memset(a, 0, sizeof *a);
}

static rdg_err_t load_cert(const char *path, rdg_cert_t **out) {
    rdg_buf_t text;
    size_t count;
    rdg_buf_init(&text, 2 * RDG_CERT_DER_MAX);
    rdg_err_t err = rdg_file_read(path, &text);
    if (err == RDG_OK) err = rdg_cert_parse_pem(rdg_buf_view(&text), out, 1, &count);
    rdg_buf_fini(&text);
    return rdg_fail_in(err, "%s", path);
}

static rdg_err_t save_cert(const char *path, const rdg_cert_t *cert) {
    rdg_buf_t text;
    rdg_buf_init(&text, 2 * RDG_CERT_DER_MAX);
    rdg_err_t err = rdg_cert_to_pem(cert, &text);
    if (err == RDG_OK) err = rdg_file_replace(path, rdg_buf_view(&text), 0644);
    rdg_buf_fini(&text);
    return err;
}

static bool is_key_of(const rdg_sm2_key_t *key, const rdg_cert_t *cert) {
    rdg_sm2_public_t pub;
    rdg_sm2_key_public(key, &pub);
    return memcmp(pub.b, rdg_cert_public(cert)->b, sizeof pub.b) == 0;
}

/* --- our own --------------------------------------------------------------------------------------- */

typedef struct paths {
    char root_key[PATH_MAX], root[PATH_MAX], key[PATH_MAX], issuing[PATH_MAX];
} paths_t;

static rdg_err_t find_paths(const char *dir, paths_t *p) {
    RDG_TRY(rdg_path_join(p->root_key, sizeof p->root_key, dir, "root.key"));
    RDG_TRY(rdg_path_join(p->root, sizeof p->root, dir, "root.crt"));
    RDG_TRY(rdg_path_join(p->key, sizeof p->key, dir, "issuing.key"));
    return rdg_path_join(p->issuing, sizeof p->issuing, dir, "issuing.crt");
}

/* Eight digits of the root's key tell the CAs of two clouds apart where only names are shown. */
static void name_of(const char *what, const rdg_sm2_public_t *root, char out[RDG_CERT_NAME_MAX]) {
    char hex[129];
    rdg_hex_encode(root->b, sizeof root->b, hex);
    snprintf(out, RDG_CERT_NAME_MAX, "Ridge %s CA %.8s", what, hex);
}

static rdg_err_t make_root(const paths_t *p, int64_t now_s, rdg_cert_t **out) {
    char name[RDG_CERT_NAME_MAX];
    rdg_sm2_key_t *key = NULL;
    rdg_sm2_public_t pub;
    if (rdg_file_exists(p->issuing))
        return rdg_fail(RDG_E_CORRUPT, "%s is there, but not %s: restore it from your backup", p->issuing,
                        p->root);
    RDG_TRY(rdg_sm2_key_load_or_generate(p->root_key, &key));
    rdg_sm2_key_public(key, &pub);
    name_of("root", &pub, name);
    rdg_cert_order_t order = {RDG_CERT_KIND_ROOT, name, &pub, NULL, key, now_s - SKEW_S, now_s + ROOT_LIFE_S};
    rdg_err_t err = rdg_cert_issue(&order, out);
    if (err == RDG_OK) err = save_cert(p->root, *out);
    rdg_sm2_key_free(key);
    if (err == RDG_OK) rdg_log(RDG_LOG_INFO, "ca.root_made", RDG_STR("file", p->root));
    return err;
}

static rdg_err_t make_issuing(const paths_t *p, int64_t now_s, const authority_t *a, rdg_cert_t **out) {
    char name[RDG_CERT_NAME_MAX];
    rdg_sm2_key_t *root_key = NULL;
    rdg_sm2_public_t pub;
    rdg_err_t err = rdg_sm2_key_load(p->root_key, &root_key);
    if (err == RDG_E_NOT_FOUND)
        return rdg_fail(RDG_E_NOT_FOUND,
                        "the issuing CA has to be certified and %s is not there: put the root's key back for "
                        "one start of the cloud",
                        p->root_key);
    RDG_TRY(err);
    if (!is_key_of(root_key, a->root)) {
        rdg_sm2_key_free(root_key);
        return rdg_fail(RDG_E_CONFLICT, "%s is not the key of %s: restore the pair from your backup",
                        p->root_key, p->root);
    }
    rdg_sm2_key_public(a->key, &pub);
    name_of("issuing", rdg_cert_public(a->root), name);
    int64_t end = now_s + ISSUING_LIFE_S, root_end = rdg_cert_not_after_s(a->root);
    rdg_cert_order_t order = {
        RDG_CERT_KIND_CA, name, &pub, a->root, root_key, now_s - SKEW_S, end < root_end ? end : root_end};
    err = rdg_cert_issue(&order, out);
    if (err == RDG_OK) err = save_cert(p->issuing, *out);
    rdg_sm2_key_free(root_key);
    if (err == RDG_OK) rdg_log(RDG_LOG_INFO, "ca.issuing_made", RDG_STR("file", p->issuing));
    return err;
}

static rdg_err_t own_root(const paths_t *p, int64_t now_s, authority_t *a) {
    rdg_err_t err = load_cert(p->root, &a->root);
    return err == RDG_E_NOT_FOUND ? make_root(p, now_s, &a->root) : err;
}

static rdg_err_t own_key(const paths_t *p, authority_t *a) {
    if (rdg_file_exists(p->issuing) && !rdg_file_exists(p->key))
        return rdg_fail(RDG_E_CORRUPT, "%s is there, but not %s: restore it from your backup", p->issuing,
                        p->key);
    return rdg_sm2_key_load_or_generate(p->key, &a->key);
}

/* Replaces a certificate that ends too soon for what it signs; without the root's key it serves on. */
static rdg_err_t refresh_issuing(const paths_t *p, int64_t now_s, int64_t life_s, authority_t *a) {
    int64_t end = rdg_cert_not_after_s(a->issuing), root_end = rdg_cert_not_after_s(a->root);
    if (end - now_s >= life_s || end >= root_end) return RDG_OK;
    if (!rdg_file_exists(p->root_key)) {
        rdg_log(RDG_LOG_WARN, "ca.issuing_ends", RDG_STR("file", p->issuing),
                RDG_I64("days_left", (end - now_s) / 86400), RDG_STR("needs", p->root_key));
        return RDG_OK;
    }
    rdg_cert_t *made = NULL;
    RDG_TRY(make_issuing(p, now_s, a, &made));
    rdg_cert_free(a->issuing);
    a->issuing = a->chain[0] = made;
    return RDG_OK;
}

static rdg_err_t check_own(const paths_t *p, int64_t now_s, const authority_t *a) {
    const rdg_cert_t *root = a->root;
    if (!is_key_of(a->key, a->issuing))
        return rdg_fail(RDG_E_CONFLICT, "%s is not the key of %s: restore the pair from your backup", p->key,
                        p->issuing);
    rdg_err_t err = rdg_cert_verify_ca(a->issuing, NULL, 0, &root, 1, now_s);
    return rdg_fail_in(err, "%s under %s (restore the pair from your backup, or look at the clock)",
                       p->issuing, p->root);
}

static rdg_err_t open_own(const char *dir, int64_t now_s, int64_t life_s, authority_t *a) {
    paths_t p;
    RDG_TRY(rdg_dir_make(dir, 0700));
    RDG_TRY(find_paths(dir, &p));
    RDG_TRY(own_root(&p, now_s, a));
    RDG_TRY(own_key(&p, a));
    rdg_err_t err = load_cert(p.issuing, &a->issuing);
    if (err == RDG_E_NOT_FOUND) err = make_issuing(&p, now_s, a, &a->issuing);
    RDG_TRY(err);
    a->chain[a->chain_count++] = a->issuing;
    RDG_TRY(refresh_issuing(&p, now_s, life_s, a));
    return check_own(&p, now_s, a);
}

rdg_err_t authority_own(const char *dir, int64_t now_s, int64_t life_s, authority_t *out) {
    memset(out, 0, sizeof *out);
    rdg_err_t err = open_own(dir, now_s, life_s, out);
    if (err != RDG_OK) authority_fini(out);
    return rdg_fail_in(err, "the cloud's CA");
}

/* --- an external one ---------------------------------------------------------------------------------- */

static rdg_err_t load_chain(const char *file, authority_t *a) {
    rdg_cert_t *list[RDG_CERT_CHAIN_MAX];
    rdg_buf_t text;
    size_t count = 0;
    rdg_buf_init(&text, 2 * RDG_CERT_DER_MAX * RDG_CERT_CHAIN_MAX);
    rdg_err_t err = rdg_file_read(file, &text);
    /* The chain of a leaf is one longer. */
    if (err == RDG_OK) err = rdg_cert_parse_pem(rdg_buf_view(&text), list, RDG_CERT_CHAIN_MAX - 1, &count);
    rdg_buf_fini(&text);
    RDG_TRY(err);
    a->root = list[--count];
    memcpy(a->chain, list, count * sizeof list[0]);
    a->chain_count = count;
    a->issuing = count ? a->chain[0] : a->root;
    if (rdg_cert_is_self_issued(a->root)) return RDG_OK;
    return rdg_fail(RDG_E_INVALID,
                    "its last certificate is no root (issuer and subject differ): append the root's "
                    "certificate, the issuing CA comes first");
}

/* Whether what it issues is accepted by who trusts the root: this also tries lengths of paths. */
static rdg_err_t try_leaf(const authority_t *a, int64_t now_s) {
    rdg_sm2_key_t *key = NULL;
    rdg_sm2_public_t pub;
    rdg_cert_t *leaf = NULL;
    const rdg_cert_t *root = a->root;
    RDG_TRY(rdg_sm2_key_generate(&key));
    rdg_sm2_key_public(key, &pub);
    rdg_cert_order_t order = {RDG_CERT_KIND_SIGN, "probe", &pub, a->issuing, a->key, now_s - 1, now_s + 1};
    rdg_err_t err = rdg_cert_issue(&order, &leaf);
    if (err == RDG_OK)
        err = rdg_cert_verify(leaf, RDG_CERT_SIGN, (const rdg_cert_t *const *)a->chain, a->chain_count, &root,
                              1, now_s);
    rdg_cert_free(leaf);
    rdg_sm2_key_free(key);
    return rdg_fail_in(err, "what it issues would be refused (is a path length of 0 above it?)");
}

static rdg_err_t check_external(const authority_t *a, const char *key_file, int64_t now_s) {
    const rdg_cert_t *root = a->root;
    if (!is_key_of(a->key, a->issuing))
        return rdg_fail(RDG_E_INVALID,
                        "its first certificate is not of the key %s: put the issuing CA first, or give the "
                        "key that belongs to it",
                        key_file);
    if (!rdg_cert_may_issue(a->issuing))
        return rdg_fail(RDG_E_FORBIDDEN,
                        "its first certificate may not issue: it needs basicConstraints CA:TRUE and the key "
                        "usages keyCertSign and cRLSign; have its CA issue it so");
    RDG_TRY(rdg_fail_in(
        rdg_cert_verify_ca(a->issuing, (const rdg_cert_t *const *)a->chain, a->chain_count, &root, 1, now_s),
        "the certificates do not form a valid chain now"));
    return try_leaf(a, now_s);
}

rdg_err_t authority_external(const char *chain_file, const char *key_file, int64_t now_s, authority_t *out) {
    memset(out, 0, sizeof *out);
    rdg_err_t err = load_chain(chain_file, out);
    err = rdg_fail_in(err, "ca-chain %s", chain_file);
    if (err == RDG_OK) err = rdg_sm2_key_load(key_file, &out->key);
    if (err == RDG_OK) err = rdg_fail_in(check_external(out, key_file, now_s), "ca-chain %s", chain_file);
    if (err != RDG_OK) authority_fini(out);
    return err;
}
