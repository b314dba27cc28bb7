#include "ridge/crypto/cert_issue.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include "cert.h"
#include "ridge/base/random.h"
#include "sm2_key.h"
#include "x509_sm2.h"

/* A leaf has no basicConstraints: that it is no CA is the default, whose DER is an empty sequence, and stacks of the
 * field take an empty one for damage. */
static const struct {
    const char *constraints, *usage;
} kinds[] = {
    [RDG_CERT_KIND_ROOT] = {"critical,CA:TRUE", "critical,keyCertSign,cRLSign"},
    [RDG_CERT_KIND_CA] = {"critical,CA:TRUE,pathlen:0", "critical,keyCertSign,cRLSign"},
    [RDG_CERT_KIND_SIGN] = {NULL, "critical,digitalSignature,nonRepudiation"},
    [RDG_CERT_KIND_ENCRYPT] = {NULL, "critical,keyEncipherment,dataEncipherment,keyAgreement"},
};

static bool name_is_plain(const char *name) {
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++)
        if (name[i] < 0x20 || name[i] > 0x7e || name[i] == ',') return false;
    return len > 0 && len < RDG_CERT_DNS_MAX;
}

static rdg_err_t check(const rdg_cert_order_t *o) {
    rdg_sm2_public_t signer;
    rdg_sm2_key_public(o->issuer_key, &signer);
    bool root = o->kind == RDG_CERT_KIND_ROOT;
    const char *wrong = NULL;
    if (root != !o->issuer)
        wrong = "a root has no issuer, all others have one";
    else if (o->issuer && !rdg_cert_is_ca(o->issuer))
        wrong = "the issuer is no CA";
    else if (memcmp(signer.b, root ? o->subject_key->b : rdg_cert_public(o->issuer)->b, sizeof signer.b) != 0)
        wrong = "the key is not the issuer's";
    else if (!name_is_plain(o->common_name))
        wrong = "the common name is empty, too long or not plain ASCII";
    else if (o->not_after_s <= o->not_before_s)
        wrong = "it ends before it starts";
    return wrong ? rdg_fail(RDG_E_INVALID, "certificate order '%.64s': %s", o->common_name, wrong) : RDG_OK;
}

static bool put_serial(X509 *x) {
    uint8_t bytes[16];
    rdg_random_fill(rdg_random_system(), bytes, sizeof bytes);
    bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40); /* positive, and of one length */
    BIGNUM *n = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
    BN_free(n);
    return ok;
}

static bool put_extension(X509 *x, X509V3_CTX *ctx, int nid, const char *value) {
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
    bool ok = e && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

typedef struct names {
    const char *const *list;
    size_t count;
} names_t;

static bool put_names(X509 *x, X509V3_CTX *ctx, const char *own, const names_t *more) {
    char text[(RDG_CERT_DNS_MAX + 5) * (RDG_CERT_DNS_COUNT + 1)];
    int len = snprintf(text, sizeof text, "DNS:%s", own);
    for (size_t i = 0; i < more->count; i++)
        len += snprintf(text + len, sizeof text - (size_t)len, ",DNS:%s", more->list[i]);
    return put_extension(x, ctx, NID_subject_alt_name, text);
}

static bool put_extensions(X509 *x, const rdg_cert_order_t *o, const names_t *more) {
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, o->issuer ? o->issuer->x509 : x, x, NULL, NULL, 0);
    const char *constraints = kinds[o->kind].constraints;
    return (!constraints || put_extension(x, &ctx, NID_basic_constraints, constraints)) &&
           put_extension(x, &ctx, NID_key_usage, kinds[o->kind].usage) &&
           put_extension(x, &ctx, NID_subject_key_identifier, "hash") &&
           put_extension(x, &ctx, NID_authority_key_identifier, "keyid:always") &&
           (constraints || put_names(x, &ctx, o->common_name, more));
}

static bool fill(X509 *x, const rdg_cert_order_t *o, const names_t *more) {
    EVP_PKEY *subject = rdg_sm2_public_pkey(o->subject_key);
    bool ok = subject && X509_set_version(x, X509_VERSION_3) && put_serial(x) &&
              X509_set_pubkey(x, subject) && ASN1_TIME_set(X509_getm_notBefore(x), (time_t)o->not_before_s) &&
              ASN1_TIME_set(X509_getm_notAfter(x), (time_t)o->not_after_s) &&
              rdg_x509_put_common_name(X509_get_subject_name(x), o->common_name) &&
              X509_set_issuer_name(x, X509_get_subject_name(o->issuer ? o->issuer->x509 : x)) &&
              put_extensions(x, o, more);
    EVP_PKEY_free(subject);
    return ok;
}

static bool sign(X509 *x, const rdg_sm2_key_t *key) {
    EVP_MD_CTX *md = rdg_x509_signer(key);
    bool ok = md && X509_sign_ctx(x, md) > 0;
    EVP_MD_CTX_free(md);
    return ok;
}

rdg_err_t rdg_cert_issue_named(const rdg_cert_order_t *order, const char *const *dns_names, size_t dns_count,
                               rdg_cert_t **out) {
    const names_t more = {dns_names, dns_count};
    *out = NULL;
    RDG_TRY(check(order));
    if (dns_count > RDG_CERT_DNS_COUNT)
        return rdg_fail(RDG_E_INVALID, "certificate order '%.64s': %zu DNS names, at most %d",
                        order->common_name, dns_count, RDG_CERT_DNS_COUNT);
    for (size_t i = 0; i < dns_count; i++)
        if (!name_is_plain(dns_names[i]))
            return rdg_fail(RDG_E_INVALID, "certificate order: '%.64s' is no DNS name", dns_names[i]);
    X509 *x = X509_new();
    uint8_t *der = NULL;
    int len = -1;
    if (x && fill(x, order, &more) && sign(x, order->issuer_key)) len = i2d_X509(x, &der);
    X509_free(x);
    if (len < 0) return rdg_crypto_fail("issuing a certificate");
    rdg_err_t err = rdg_cert_parse(rdg_bytes(der, (size_t)len), out);
    OPENSSL_free(der);
    return err;
}

rdg_err_t rdg_cert_issue(const rdg_cert_order_t *order, rdg_cert_t **out) {
    return rdg_cert_issue_named(order, NULL, 0, out);
}
