#include "ridge/test_ca.h"
#include <limits.h>
#include <stdio.h>
#include "ridge/base/file.h"
#include "ridge/test.h"

#define DAY 86400
#define REVOKED_MAX 64

static rdg_cert_t *issue(const rdg_test_ca_t *ca, rdg_cert_kind_t kind, const char *name,
                         const rdg_sm2_public_t *key, const rdg_cert_t *issuer,
                         const rdg_sm2_key_t *issuer_key) {
    rdg_cert_t *cert = NULL;
    rdg_cert_order_t order = {kind, name, key, issuer, issuer_key, ca->now_s - DAY, ca->now_s + 365 * DAY};
    CHECK_OK(rdg_cert_issue(&order, &cert));
    return cert;
}

void rdg_test_ca_init(rdg_test_ca_t *ca, int64_t now_s) {
    rdg_sm2_public_t root, issuing;
    memset(ca, 0, sizeof *ca);
    ca->now_s = now_s;
    CHECK_OK(rdg_sm2_key_generate(&ca->root_key));
    CHECK_OK(rdg_sm2_key_generate(&ca->issuing_key));
    rdg_sm2_key_public(ca->root_key, &root);
    rdg_sm2_key_public(ca->issuing_key, &issuing);
    ca->root = issue(ca, RDG_CERT_KIND_ROOT, "test root", &root, NULL, ca->root_key);
    ca->issuing = issue(ca, RDG_CERT_KIND_CA, "test issuing CA", &issuing, ca->root, ca->root_key);
}

void rdg_test_ca_fini(rdg_test_ca_t *ca) {
    rdg_cert_free(ca->root);
    rdg_cert_free(ca->issuing);
    rdg_sm2_key_free(ca->root_key);
    rdg_sm2_key_free(ca->issuing_key);
}

rdg_cert_t *rdg_test_ca_issue(const rdg_test_ca_t *ca, rdg_cert_kind_t use, const char *name,
                              const rdg_sm2_public_t *key) {
    return issue(ca, use, name, key, ca->issuing, ca->issuing_key);
}

rdg_credentials_t *rdg_test_ca_credentials(const rdg_test_ca_t *ca, const char *name,
                                           rdg_sm2_key_t *sign_key) {
    rdg_credentials_t *c = NULL;
    rdg_sm2_public_t sign, enc;
    CHECK_OK(rdg_credentials_new(&c));
    if (!sign_key) CHECK_OK(rdg_sm2_key_generate(&sign_key));
    c->sign_key = sign_key;
    CHECK_OK(rdg_sm2_key_generate(&c->enc_key));
    rdg_sm2_key_public(c->sign_key, &sign);
    rdg_sm2_key_public(c->enc_key, &enc);
    c->sign_cert = rdg_test_ca_issue(ca, RDG_CERT_KIND_SIGN, name, &sign);
    c->enc_cert = rdg_test_ca_issue(ca, RDG_CERT_KIND_ENCRYPT, name, &enc);
    c->chain[c->chain_count++] = rdg_cert_ref(ca->issuing);
    c->roots[c->root_count++] = rdg_cert_ref(ca->root);
    CHECK_OK(rdg_credentials_check(c));
    return c;
}

static const char *pem(rdg_buf_t *b, const rdg_cert_t *cert) {
    rdg_buf_init(b, RDG_CREDENTIALS_TEXT_MAX);
    CHECK_OK(rdg_cert_to_pem(cert, b));
    return rdg_buf_cstr(b);
}

void rdg_test_ca_write(const rdg_test_ca_t *ca, const char *dir, const char *prefix, const char *name) {
    char file[NAME_MAX], path[PATH_MAX];
    rdg_sm2_key_t *sign_key = NULL, *enc_key = NULL;
    rdg_sm2_public_t sign, enc;
    rdg_buf_t text[4];
    CHECK_OK(rdg_dir_make(dir, 0700));
    CHECK(snprintf(file, sizeof file, "%s.key", prefix) < (int)sizeof file);
    CHECK_OK(rdg_path_join(path, sizeof path, dir, file));
    CHECK_OK(rdg_sm2_key_load_or_generate(path, &sign_key));
    CHECK_OK(rdg_credentials_next_key(dir, prefix, &enc_key));
    rdg_sm2_key_public(sign_key, &sign);
    rdg_sm2_key_public(enc_key, &enc);
    rdg_cert_t *sign_cert = rdg_test_ca_issue(ca, RDG_CERT_KIND_SIGN, name, &sign);
    rdg_cert_t *enc_cert = rdg_test_ca_issue(ca, RDG_CERT_KIND_ENCRYPT, name, &enc);
    rdg_credentials_texts_t texts = {pem(&text[0], sign_cert), pem(&text[1], enc_cert),
                                     pem(&text[2], ca->issuing), pem(&text[3], ca->root)};
    CHECK_OK(rdg_credentials_install(dir, prefix, &texts, ca->now_s));
    for (size_t i = 0; i < 4; i++) rdg_buf_fini(&text[i]);
    rdg_cert_free(sign_cert);
    rdg_cert_free(enc_cert);
    rdg_sm2_key_free(sign_key);
    rdg_sm2_key_free(enc_key);
}

rdg_crl_t *rdg_test_ca_crl(const rdg_test_ca_t *ca, uint64_t number, const rdg_cert_t *const *revoked,
                           size_t count) {
    rdg_crl_entry_t entries[REVOKED_MAX];
    rdg_crl_t *crl = NULL;
    CHECK(count <= REVOKED_MAX);
    for (size_t i = 0; i < count; i++) {
        rdg_cert_serial(revoked[i], entries[i].serial);
        entries[i].revoked_s = ca->now_s;
        entries[i].reason = RDG_CRL_CESSATION;
    }
    rdg_crl_order_t order = {ca->issuing,         ca->issuing_key, number, ca->now_s,
                             ca->now_s + 7 * DAY, entries,         count};
    CHECK_OK(rdg_crl_issue(&order, &crl));
    return crl;
}
