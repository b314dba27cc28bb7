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

static const struct {
    const char *constraints, *usage;
} kinds[] = {
    [RDG_CERT_KIND_ROOT] = {"critical,CA:TRUE", "critical,keyCertSign,cRLSign"},
    [RDG_CERT_KIND_CA] = {"critical,CA:TRUE,pathlen:0", "critical,keyCertSign,cRLSign"},
    [RDG_CERT_KIND_SIGN] = {"critical,CA:FALSE", "critical,digitalSignature,nonRepudiation"},
    [RDG_CERT_KIND_ENCRYPT] = {"critical,CA:FALSE", "critical,keyEncipherment,dataEncipherment,keyAgreement"},
};

static bool name_is_plain(const char *name) {
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++)
        if (name[i] < 0x20 || name[i] > 0x7e || name[i] == ',') return false;
    return len > 0 && len < RDG_CERT_NAME_MAX;
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

static bool put_extensions(X509 *x, const rdg_cert_order_t *o) {
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, o->issuer ? o->issuer->x509 : x, x, NULL, NULL, 0);
    bool leaf = o->kind == RDG_CERT_KIND_SIGN || o->kind == RDG_CERT_KIND_ENCRYPT;
    char dns[RDG_CERT_NAME_MAX + 4];
    snprintf(dns, sizeof dns, "DNS:%s", o->common_name);
    return put_extension(x, &ctx, NID_basic_constraints, kinds[o->kind].constraints) &&
           put_extension(x, &ctx, NID_key_usage, kinds[o->kind].usage) &&
           put_extension(x, &ctx, NID_subject_key_identifier, "hash") &&
           put_extension(x, &ctx, NID_authority_key_identifier, "keyid:always") &&
           (!leaf || put_extension(x, &ctx, NID_subject_alt_name, dns));
}

static bool fill(X509 *x, const rdg_cert_order_t *o) {
    EVP_PKEY *subject = rdg_sm2_public_pkey(o->subject_key);
    bool ok = subject && X509_set_version(x, X509_VERSION_3) && put_serial(x) &&
              X509_set_pubkey(x, subject) && ASN1_TIME_set(X509_getm_notBefore(x), (time_t)o->not_before_s) &&
              ASN1_TIME_set(X509_getm_notAfter(x), (time_t)o->not_after_s) &&
              X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                                         (const uint8_t *)o->common_name, -1, -1, 0) &&
              X509_set_issuer_name(x, X509_get_subject_name(o->issuer ? o->issuer->x509 : x)) &&
              put_extensions(x, o);
    EVP_PKEY_free(subject);
    return ok;
}

static bool sign(X509 *x, const rdg_sm2_key_t *key) {
    static const char id[] = "1234567812345678";
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *ctx = NULL;
    bool ok = md && EVP_DigestSignInit(md, &ctx, EVP_sm3(), NULL, key->pkey) == 1 &&
              EVP_PKEY_CTX_set1_id(ctx, id, (int)strlen(id)) == 1 && X509_sign_ctx(x, md) > 0;
    EVP_MD_CTX_free(md);
    return ok;
}

rdg_err_t rdg_cert_issue(const rdg_cert_order_t *order, rdg_cert_t **out) {
    *out = NULL;
    RDG_TRY(check(order));
    X509 *x = X509_new();
    uint8_t *der = NULL;
    int len = -1;
    if (x && fill(x, order) && sign(x, order->issuer_key)) len = i2d_X509(x, &der);
    X509_free(x);
    if (len < 0) return rdg_crypto_fail("issuing a certificate");
    rdg_err_t err = rdg_cert_parse(rdg_bytes(der, (size_t)len), out);
    OPENSSL_free(der);
    return err;
}
