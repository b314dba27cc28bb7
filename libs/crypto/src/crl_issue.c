#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include "cert.h"
#include "ridge/crypto/crl.h"
#include "sm2_key.h"
#include "x509_sm2.h"

static rdg_err_t check(const rdg_crl_order_t *o) {
    rdg_sm2_public_t signer;
    rdg_sm2_key_public(o->issuer_key, &signer);
    const char *wrong = NULL;
    if (o->entry_count > RDG_CRL_ENTRIES_MAX)
        return rdg_fail(RDG_E_FULL, "revocation list: %zu entries, at most %d", o->entry_count,
                        RDG_CRL_ENTRIES_MAX);
    if (!rdg_cert_may_issue(o->issuer))
        wrong = "the issuer may not sign lists";
    else if (memcmp(signer.b, rdg_cert_public(o->issuer)->b, sizeof signer.b) != 0)
        wrong = "the key is not the issuer's";
    else if (o->next_update_s <= o->this_update_s)
        wrong = "it ends before it starts";
    return wrong ? rdg_fail(RDG_E_INVALID, "revocation list: %s", wrong) : RDG_OK;
}

static bool fill_entry(X509_REVOKED *r, const rdg_crl_entry_t *e) {
    BIGNUM *n = NULL;
    ASN1_TIME *at = ASN1_TIME_set(NULL, (time_t)e->revoked_s);
    size_t digits = strlen(e->serial);
    bool ok = at && digits > 0 && BN_hex2bn(&n, e->serial) == (int)digits;
    ASN1_INTEGER *serial = ok ? BN_to_ASN1_INTEGER(n, NULL) : NULL;
    ok = serial && X509_REVOKED_set_serialNumber(r, serial) && X509_REVOKED_set_revocationDate(r, at);
    /* An absent reason means unspecified; it must not be written (RFC 5280). */
    if (ok && e->reason != RDG_CRL_UNSPECIFIED) {
        ASN1_ENUMERATED *reason = ASN1_ENUMERATED_new();
        ok = reason && ASN1_ENUMERATED_set(reason, e->reason) &&
             X509_REVOKED_add1_ext_i2d(r, NID_crl_reason, reason, 0, 0) == 1;
        ASN1_ENUMERATED_free(reason);
    }
    ASN1_INTEGER_free(serial);
    ASN1_TIME_free(at);
    BN_free(n);
    return ok;
}

static bool put_entry(X509_CRL *x, const rdg_crl_entry_t *e) {
    X509_REVOKED *r = X509_REVOKED_new();
    if (r && fill_entry(r, e) && X509_CRL_add0_revoked(x, r)) return true;
    X509_REVOKED_free(r);
    return false;
}

static bool put_extensions(X509_CRL *x, const rdg_crl_order_t *o) {
    X509V3_CTX ctx;
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    X509V3_set_ctx(&ctx, o->issuer->x509, NULL, NULL, x, 0);
    X509_EXTENSION *authority = X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid:always");
    bool ok = number && ASN1_INTEGER_set_uint64(number, o->number) == 1 &&
              X509_CRL_add1_ext_i2d(x, NID_crl_number, number, 0, 0) == 1 && authority &&
              X509_CRL_add_ext(x, authority, -1) == 1;
    X509_EXTENSION_free(authority);
    ASN1_INTEGER_free(number);
    return ok;
}

static bool fill(X509_CRL *x, const rdg_crl_order_t *o) {
    ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)o->this_update_s);
    ASN1_TIME *to = ASN1_TIME_set(NULL, (time_t)o->next_update_s);
    bool ok = from && to && X509_CRL_set_version(x, 1) &&
              X509_CRL_set_issuer_name(x, X509_get_subject_name(o->issuer->x509)) &&
              X509_CRL_set1_lastUpdate(x, from) && X509_CRL_set1_nextUpdate(x, to);
    for (size_t i = 0; ok && i < o->entry_count; i++) ok = put_entry(x, &o->entries[i]);
    ok = ok && put_extensions(x, o) && X509_CRL_sort(x);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    EVP_MD_CTX *md = ok ? rdg_x509_signer(o->issuer_key) : NULL;
    ok = md && X509_CRL_sign_ctx(x, md) > 0;
    EVP_MD_CTX_free(md);
    return ok;
}

rdg_err_t rdg_crl_issue(const rdg_crl_order_t *order, rdg_crl_t **out) {
    *out = NULL;
    RDG_TRY(check(order));
    X509_CRL *x = X509_CRL_new();
    uint8_t *der = NULL;
    int len = -1;
    if (x && fill(x, order)) len = i2d_X509_CRL(x, &der);
    X509_CRL_free(x);
    if (len < 0) return rdg_crypto_fail("issuing a revocation list");
    rdg_err_t err = rdg_crl_parse(rdg_bytes(der, (size_t)len), out);
    OPENSSL_free(der);
    return err;
}
