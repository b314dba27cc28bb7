#include "cert.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>
#include "ridge/base/alloc.h"
#include "sm2_key.h"

ASN1_OCTET_STRING *rdg_cert_default_id(void) {
    static const uint8_t id[] = "1234567812345678";
    ASN1_OCTET_STRING *s = ASN1_OCTET_STRING_new();
    if (s && ASN1_OCTET_STRING_set(s, id, sizeof id - 1)) return s;
    ASN1_OCTET_STRING_free(s);
    return NULL;
}

static rdg_err_t check_algorithms(rdg_cert_t *cert) {
    int curve = NID_undef, algorithm = NID_undef;
    const ASN1_OBJECT *object = NULL;
    X509_ALGOR *key = NULL;
    const void *parameter = NULL;
    int type = V_ASN1_UNDEF;
    X509_PUBKEY_get0_param(NULL, NULL, NULL, &key, X509_get_X509_PUBKEY(cert->x509));
    X509_ALGOR_get0(&object, &type, &parameter, key);
    if (OBJ_obj2nid(object) == NID_X9_62_id_ecPublicKey && type == V_ASN1_OBJECT)
        curve = OBJ_obj2nid((const ASN1_OBJECT *)parameter);
    algorithm = X509_get_signature_nid(cert->x509);
    const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(cert->x509);
    if (curve != NID_sm2 || algorithm != NID_SM2_with_SM3)
        return rdg_fail(RDG_E_UNSUPPORTED, "certificate: not of an SM2 key signed by SM2 with SM3");
    if (!bits || ASN1_STRING_length(bits) != 65 || ASN1_STRING_get0_data(bits)[0] != 0x04)
        return rdg_fail(RDG_E_MALFORMED, "certificate: the public key is not the 65 bytes 04, X, Y");
    return rdg_fail_in(rdg_sm2_public_decode(rdg_bytes(ASN1_STRING_get0_data(bits), 65), &cert->public_key),
                       "certificate");
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
    char *name = NULL, *header = NULL;
    uint8_t *der = NULL;
    long len = 0;
    rdg_err_t err = RDG_E_NOT_FOUND;
    if (PEM_read_bio(bio, &name, &header, &der, &len) == 1) {
        err = strcmp(name, PEM_STRING_X509) == 0
                  ? rdg_cert_parse(rdg_bytes(der, (size_t)len), out)
                  : rdg_fail(RDG_E_MALFORMED, "PEM: a CERTIFICATE is due, not a %.40s", name);
    } else if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
        err = rdg_fail(RDG_E_MALFORMED, "PEM: cannot be read");
    }
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    ERR_clear_error();
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
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    rdg_err_t err;
    if (bio && PEM_write_bio_X509(bio, cert->x509) == 1) {
        long len = BIO_get_mem_data(bio, &text);
        err = rdg_buf_append(out, text, (size_t)len);
    } else {
        err = rdg_crypto_fail("certificate as PEM");
    }
    BIO_free(bio);
    return err;
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

void rdg_cert_common_name(const rdg_cert_t *cert, char *out, size_t size) {
    if (!size) return;
    out[0] = 0;
    X509_NAME_get_text_by_NID(X509_get_subject_name(cert->x509), NID_commonName, out, (int)size);
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
