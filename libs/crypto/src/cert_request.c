#include "ridge/crypto/cert_request.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include "sm2_key.h"
#include "x509_sm2.h"

#define LABEL_NEW "NEW CERTIFICATE REQUEST" /* what some tools write */

static bool fill(X509_REQ *x, const rdg_sm2_key_t *key, const char *name) {
    EVP_PKEY *pub = rdg_sm2_public_pkey(&key->public_key);
    EVP_MD_CTX *md = rdg_x509_signer(key);
    bool ok = pub && md && X509_REQ_set_version(x, 0) && X509_REQ_set_pubkey(x, pub) &&
              rdg_x509_put_common_name(X509_REQ_get_subject_name(x), name) && X509_REQ_sign_ctx(x, md) > 0;
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(pub);
    return ok;
}

rdg_err_t rdg_cert_request_make(const rdg_sm2_key_t *key, const char *name, rdg_buf_t *pem) {
    if (!name[0]) return rdg_fail(RDG_E_INVALID, "certificate request: the name is empty");
    X509_REQ *x = X509_REQ_new();
    uint8_t *der = NULL;
    int len = -1;
    if (x && fill(x, key, name)) len = i2d_X509_REQ(x, &der);
    X509_REQ_free(x);
    if (len < 0) return rdg_crypto_fail("making a certificate request");
    rdg_err_t err = rdg_pem_write(PEM_STRING_X509_REQ, rdg_bytes(der, (size_t)len), pem);
    OPENSSL_free(der);
    return err;
}

static rdg_err_t read_name(X509_REQ *x, char out[RDG_CERT_NAME_MAX]) {
    const X509_NAME *subject = X509_REQ_get_subject_name(x);
    X509_NAME_ENTRY *entry = X509_NAME_entry_count(subject) == 1 ? X509_NAME_get_entry(subject, 0) : NULL;
    const ASN1_STRING *value = entry ? X509_NAME_ENTRY_get_data(entry) : NULL;
    if (!value || OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) != NID_commonName)
        return rdg_fail(RDG_E_MALFORMED, "its subject is not one common name");
    int type = ASN1_STRING_type(value), len = ASN1_STRING_length(value);
    const uint8_t *text = ASN1_STRING_get0_data(value);
    bool plain = (type == V_ASN1_UTF8STRING || type == V_ASN1_PRINTABLESTRING || type == V_ASN1_IA5STRING) &&
                 len > 0 && len < RDG_CERT_NAME_MAX;
    for (int i = 0; plain && i < len; i++) plain = text[i] >= 0x20 && text[i] <= 0x7e;
    if (!plain)
        return rdg_fail(RDG_E_MALFORMED, "its common name is not 1 to %d bytes of printable ASCII",
                        RDG_CERT_NAME_MAX - 1);
    memcpy(out, text, (size_t)len);
    out[len] = 0;
    return RDG_OK;
}

static rdg_err_t check(X509_REQ *x, rdg_bytes_t der, rdg_cert_request_t *out) {
    RDG_TRY(rdg_x509_public(X509_REQ_get_X509_PUBKEY(x), X509_REQ_get_signature_nid(x), &out->public_key));
    RDG_TRY(read_name(x, out->common_name));
    if (rdg_x509_verify(der, &out->public_key) == RDG_OK) return RDG_OK;
    return rdg_fail(RDG_E_BAD_SIGNATURE, "its signature does not verify with its own key");
}

rdg_err_t rdg_cert_request_parse(rdg_bytes_t der, rdg_cert_request_t *out) {
    memset(out, 0, sizeof *out);
    if (der.len > RDG_CERT_REQUEST_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "certificate request: %zu bytes, at most %d", der.len,
                        RDG_CERT_REQUEST_MAX);
    const uint8_t *at = der.data;
    X509_REQ *x = der.len ? d2i_X509_REQ(NULL, &at, (long)der.len) : NULL;
    rdg_err_t err =
        x && at == der.data + der.len ? check(x, der, out) : rdg_fail(RDG_E_MALFORMED, "not its DER alone");
    X509_REQ_free(x);
    ERR_clear_error();
    if (err != RDG_OK) memset(out, 0, sizeof *out);
    return rdg_fail_in(err, "certificate request");
}

static rdg_err_t parse(void *out, rdg_bytes_t der) {
    return rdg_cert_request_parse(der, out);
}

rdg_err_t rdg_cert_request_parse_pem(rdg_bytes_t pem, rdg_cert_request_t *out) {
    memset(out, 0, sizeof *out);
    return rdg_pem_only(pem, RDG_CERT_REQUEST_MAX, PEM_STRING_X509_REQ, LABEL_NEW, parse, out);
}

bool rdg_cert_request_is_for(const rdg_cert_request_t *request, const char *name) {
    return strlen(request->common_name) == strnlen(name, RDG_CERT_NAME_MAX - 1) &&
           strncmp(request->common_name, name, RDG_CERT_NAME_MAX - 1) == 0;
}
