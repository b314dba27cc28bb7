#include "cert.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>
#include "ridge/base/alloc.h"
#include "x509_sm2.h"

ASN1_OCTET_STRING *rdg_cert_default_id(void) {
    static const uint8_t id[] = "1234567812345678";
    ASN1_OCTET_STRING *s = ASN1_OCTET_STRING_new();
    if (s && ASN1_OCTET_STRING_set(s, id, sizeof id - 1)) return s;
    ASN1_OCTET_STRING_free(s);
    return NULL;
}

static rdg_err_t check_algorithms(rdg_cert_t *cert) {
    int algorithm = X509_get_signature_nid(cert->x509);
    const X509_ALGOR *outer = NULL;
    X509_get0_signature(NULL, &outer, cert->x509);
    if (X509_ALGOR_cmp(outer, X509_get0_tbs_sigalg(cert->x509)) != 0)
        return rdg_fail(RDG_E_MALFORMED, "certificate: two algorithms are named for its signature");
    RDG_TRY(rdg_fail_in(rdg_x509_public(X509_get_X509_PUBKEY(cert->x509), algorithm, &cert->public_key),
                        "certificate"));
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert->x509);
    int len = ASN1_STRING_length(serial);
    bool positive = ASN1_STRING_type(serial) == V_ASN1_INTEGER;
    if (positive && len >= 1 && len <= (RDG_CERT_SERIAL_MAX - 1) / 2) return RDG_OK;
    return rdg_fail(RDG_E_MALFORMED, "certificate: the serial number is negative or longer than 20 bytes");
}

rdg_err_t rdg_cert_parse(rdg_bytes_t der, rdg_cert_t **out) {
    *out = NULL;
    if (der.len > RDG_CERT_DER_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "certificate: %zu bytes, at most %d", der.len, RDG_CERT_DER_MAX);
    rdg_cert_t *cert = rdg_calloc(1, sizeof *cert);
    if (!cert) return rdg_fail(RDG_E_NO_MEMORY, "certificate: out of memory");
    rdg_ref_init(&cert->ref);
    const uint8_t *at = der.data;
    if (der.len) cert->x509 = d2i_X509(NULL, &at, (long)der.len);
    if (!cert->x509 || at != der.data + der.len) {
        rdg_cert_free(cert);
        ERR_clear_error();
        return rdg_fail(RDG_E_MALFORMED, "certificate: not the DER of exactly one certificate");
    }
    rdg_err_t err = check_algorithms(cert);
    ASN1_OCTET_STRING *id = err == RDG_OK ? rdg_cert_default_id() : NULL;
    cert->der = rdg_memdup(der.data, der.len);
    cert->der_len = der.len;
    if (err == RDG_OK && (!id || !cert->der)) err = rdg_fail(RDG_E_NO_MEMORY, "certificate: out of memory");
    if (id) X509_set0_distinguishing_id(cert->x509, id);
    /* Fills libcrypto's cache of extensions and finds those that it cannot read. */
    if (err == RDG_OK && (X509_get_extension_flags(cert->x509) & EXFLAG_INVALID))
        err = rdg_fail(RDG_E_MALFORMED, "certificate: an extension cannot be read");
    ERR_clear_error();
    if (err != RDG_OK) {
        rdg_cert_free(cert);
        return err;
    }
    *out = cert;
    return RDG_OK;
}

static rdg_err_t next_of_pem(BIO *bio, rdg_cert_t **out) {
    uint8_t *der = NULL;
    size_t len = 0;
    rdg_err_t err = rdg_pem_next(bio, PEM_STRING_X509, NULL, &der, &len);
    if (err == RDG_OK) err = rdg_cert_parse(rdg_bytes(der, len), out);
    OPENSSL_free(der);
    return err;
}

rdg_err_t rdg_cert_parse_pem(rdg_bytes_t pem, rdg_cert_t **out, size_t max, size_t *count) {
    *count = 0;
    if (pem.len > RDG_CERT_DER_MAX * 2 * RDG_CERT_CHAIN_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "PEM: %zu bytes of certificates are too many", pem.len);
    BIO *bio = BIO_new_mem_buf(pem.len ? (const void *)pem.data : "", (int)pem.len);
    if (!bio) return rdg_fail(RDG_E_NO_MEMORY, "PEM: out of memory");
    rdg_err_t err = RDG_OK;
    while (err == RDG_OK) {
        rdg_cert_t *cert = NULL;
        err = next_of_pem(bio, &cert);
        if (err == RDG_OK && *count == max) {
            rdg_cert_free(cert);
            err = rdg_fail(RDG_E_FULL, "PEM: more than %zu certificates", max);
        } else if (err == RDG_OK) {
            out[(*count)++] = cert;
        }
    }
    BIO_free(bio);
    if (err == RDG_E_NOT_FOUND && *count) return RDG_OK;
    if (err == RDG_E_NOT_FOUND) err = rdg_fail(RDG_E_MALFORMED, "PEM: holds no certificate");
    while (*count) rdg_cert_free(out[--*count]);
    return err;
}

rdg_err_t rdg_cert_to_pem(const rdg_cert_t *cert, rdg_buf_t *out) {
    return rdg_pem_write(PEM_STRING_X509, rdg_cert_der(cert), out);
}

rdg_cert_t *rdg_cert_ref(rdg_cert_t *cert) {
    rdg_ref_get(&cert->ref);
    return cert;
}

void rdg_cert_free(rdg_cert_t *cert) {
    if (!cert || !rdg_ref_put(&cert->ref)) return;
    X509_free(cert->x509);
    rdg_free(cert->der);
    rdg_free(cert);
}

rdg_bytes_t rdg_cert_der(const rdg_cert_t *cert) {
    return rdg_bytes(cert->der, cert->der_len);
}

rdg_bytes_t rdg_cert_subject_der(const rdg_cert_t *cert) {
    const uint8_t *der = NULL;
    size_t len = 0;
    if (X509_NAME_get0_der(X509_get_subject_name(cert->x509), &der, &len) != 1) return rdg_bytes(NULL, 0);
    return rdg_bytes(der, len);
}

const rdg_sm2_public_t *rdg_cert_public(const rdg_cert_t *cert) {
    return &cert->public_key;
}

bool rdg_cert_is_ca(const rdg_cert_t *cert) {
    return (X509_get_extension_flags(cert->x509) & EXFLAG_CA) != 0;
}

bool rdg_cert_allows(const rdg_cert_t *cert, rdg_cert_use_t use) {
    if (rdg_cert_is_ca(cert) || !(X509_get_extension_flags(cert->x509) & EXFLAG_KUSAGE)) return false;
    uint32_t usage = X509_get_key_usage(cert->x509);
    uint32_t wanted = use == RDG_CERT_SIGN ? KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION
                                           : KU_KEY_ENCIPHERMENT | KU_DATA_ENCIPHERMENT | KU_KEY_AGREEMENT;
    return (usage & wanted) != 0;
}

bool rdg_cert_has_name(const rdg_cert_t *cert, const char *name) {
    bool has = X509_check_host(cert->x509, name, strlen(name), X509_CHECK_FLAG_NO_WILDCARDS, NULL) == 1;
    ERR_clear_error();
    return has;
}

void rdg_cert_common_name_of(const X509_NAME *name, char *out, size_t size) {
    if (!size) return;
    out[0] = 0;
    X509_NAME_get_text_by_NID(name, NID_commonName, out, (int)size);
    for (char *c = out; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
}

void rdg_cert_common_name(const rdg_cert_t *cert, char *out, size_t size) {
    rdg_cert_common_name_of(X509_get_subject_name(cert->x509), out, size);
}

static int64_t seconds(const ASN1_TIME *time) {
    struct tm tm;
    return time && ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

int64_t rdg_cert_not_before_s(const rdg_cert_t *cert) {
    return seconds(X509_get0_notBefore(cert->x509));
}

int64_t rdg_cert_not_after_s(const rdg_cert_t *cert) {
    return seconds(X509_get0_notAfter(cert->x509));
}

void rdg_cert_serial(const rdg_cert_t *cert, char out[RDG_CERT_SERIAL_MAX]) {
    static const char digits[] = "0123456789abcdef";
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert->x509);
    const uint8_t *bytes = ASN1_STRING_get0_data(serial);
    size_t len = (size_t)ASN1_STRING_length(serial);
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = 0;
}

void rdg_cert_fingerprint(const rdg_cert_t *cert, rdg_hash_t *out) {
    rdg_sm3(cert->der, cert->der_len, out);
}

bool rdg_cert_may_issue(const rdg_cert_t *cert) {
    static const uint32_t wanted = KU_KEY_CERT_SIGN | KU_CRL_SIGN;
    if (!rdg_cert_is_ca(cert) || !(X509_get_extension_flags(cert->x509) & EXFLAG_KUSAGE)) return false;
    return (X509_get_key_usage(cert->x509) & wanted) == wanted;
}

bool rdg_cert_is_self_issued(const rdg_cert_t *cert) {
    return X509_NAME_cmp(X509_get_subject_name(cert->x509), X509_get_issuer_name(cert->x509)) == 0;
}
