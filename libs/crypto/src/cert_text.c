#include "ridge/crypto/cert_text.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include "cert.h"

#define FLAGS ((XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) | ASN1_STRFLGS_UTF8_CONVERT)

static rdg_err_t name_text(const X509_NAME *name, rdg_buf_t *out) {
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    rdg_err_t err = RDG_E_NO_MEMORY;
    if (bio && X509_NAME_print_ex(bio, name, 0, FLAGS) >= 0) {
        long len = BIO_get_mem_data(bio, &text);
        size_t keep = (size_t)len;
        if (keep > RDG_CERT_TEXT_MAX)
            for (keep = RDG_CERT_TEXT_MAX; keep && ((uint8_t)text[keep] & 0xc0) == 0x80;) keep--;
        rdg_buf_append(out, text, keep);
        if (keep < (size_t)len) rdg_buf_str(out, "…");
        err = rdg_buf_err(out);
    }
    BIO_free(bio);
    ERR_clear_error();
    return err == RDG_E_NO_MEMORY ? rdg_fail(err, "name of a certificate: out of memory") : err;
}

rdg_err_t rdg_cert_subject_text(const rdg_cert_t *cert, rdg_buf_t *out) {
    return name_text(X509_get_subject_name(cert->x509), out);
}

rdg_err_t rdg_cert_issuer_text(const rdg_cert_t *cert, rdg_buf_t *out) {
    return name_text(X509_get_issuer_name(cert->x509), out);
}

static void dns_text(const ASN1_STRING *s, rdg_buf_t *out) {
    const uint8_t *data = ASN1_STRING_get0_data(s);
    int len = ASN1_STRING_length(s);
    rdg_buf_str(out, "DNS:");
    for (int i = 0; i < len; i++) {
        if (data[i] > ' ' && data[i] < 0x7f && data[i] != '\\')
            rdg_buf_u8(out, data[i]);
        else
            rdg_buf_printf(out, "\\%02X", data[i]);
    }
}

static void address_text(const ASN1_STRING *s, rdg_buf_t *out) {
    const uint8_t *a = ASN1_STRING_get0_data(s);
    int len = ASN1_STRING_length(s);
    if (len == 4) rdg_buf_printf(out, "IP:%u.%u.%u.%u", a[0], a[1], a[2], a[3]);
    if (len == 16) rdg_buf_str(out, "IP:");
    for (int i = 0; len == 16 && i < 16; i += 2)
        rdg_buf_printf(out, "%s%x", i ? ":" : "", (unsigned)(a[i] << 8 | a[i + 1]));
    if (len != 4 && len != 16) rdg_buf_str(out, "other");
}

rdg_err_t rdg_cert_each_name(const rdg_cert_t *cert, void (*each)(void *ctx, const char *name), void *ctx) {
    GENERAL_NAMES *names = X509_get_ext_d2i(cert->x509, NID_subject_alt_name, NULL, NULL);
    rdg_err_t err = RDG_OK;
    for (int i = 0; err == RDG_OK && names && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        rdg_buf_t text;
        rdg_buf_init(&text, 4 * RDG_CERT_DER_MAX);
        if (name->type == GEN_DNS)
            dns_text(name->d.dNSName, &text);
        else if (name->type == GEN_IPADD)
            address_text(name->d.iPAddress, &text);
        else
            rdg_buf_str(&text, "other");
        const char *s = rdg_buf_cstr(&text);
        if (s)
            each(ctx, s);
        else
            err = rdg_fail(RDG_E_NO_MEMORY, "name of a certificate: out of memory");
        rdg_buf_fini(&text);
    }
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return err;
}

const char *rdg_cert_usage(const rdg_cert_t *cert, size_t index) {
    static const struct {
        uint32_t bit;
        const char *name;
    } usages[RDG_CERT_USAGES] = {
        {KU_DIGITAL_SIGNATURE, "digitalSignature"},
        {KU_NON_REPUDIATION, "nonRepudiation"},
        {KU_KEY_ENCIPHERMENT, "keyEncipherment"},
        {KU_DATA_ENCIPHERMENT, "dataEncipherment"},
        {KU_KEY_AGREEMENT, "keyAgreement"},
        {KU_KEY_CERT_SIGN, "keyCertSign"},
        {KU_CRL_SIGN, "cRLSign"},
        {KU_ENCIPHER_ONLY, "encipherOnly"},
        {KU_DECIPHER_ONLY, "decipherOnly"},
    };
    if (!(X509_get_extension_flags(cert->x509) & EXFLAG_KUSAGE)) return NULL;
    return X509_get_key_usage(cert->x509) & usages[index].bit ? usages[index].name : NULL;
}

int rdg_cert_version(const rdg_cert_t *cert) {
    return (int)X509_get_version(cert->x509) + 1;
}

int rdg_cert_path_length(const rdg_cert_t *cert) {
    long len = X509_get_pathlen(cert->x509);
    return len < 0 || len > INT32_MAX ? -1 : (int)len;
}
