#include "x509_sm2.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include "sm2_der.h"
#include "sm2_key.h"

#define TAG_SEQUENCE 0x30
#define TAG_BIT_STRING 0x03
#define COMMON_NAME_MAX 64

rdg_err_t rdg_x509_public(X509_PUBKEY *key, int signature_nid, rdg_sm2_public_t *out) {
    const ASN1_OBJECT *object = NULL;
    const void *parameter = NULL;
    const uint8_t *point = NULL;
    X509_ALGOR *algorithm = NULL;
    int type = V_ASN1_UNDEF, len = 0, curve = NID_undef;
    X509_PUBKEY_get0_param(NULL, &point, &len, &algorithm, key);
    X509_ALGOR_get0(&object, &type, &parameter, algorithm);
    if (OBJ_obj2nid(object) == NID_X9_62_id_ecPublicKey && type == V_ASN1_OBJECT)
        curve = OBJ_obj2nid((const ASN1_OBJECT *)parameter);
    if (curve != NID_sm2 || signature_nid != NID_SM2_with_SM3)
        return rdg_fail(RDG_E_UNSUPPORTED, "not of an SM2 key signed by SM2 with SM3");
    if (!point || len != 65 || point[0] != 0x04)
        return rdg_fail(RDG_E_MALFORMED, "the public key is not the 65 bytes 04, X, Y");
    return rdg_sm2_public_decode(rdg_bytes(point, 65), out);
}

/* Tag and length; the length in at most three bytes, as long as the rest allows. */
static bool open_sequence(rdg_reader_t *r, size_t *len) {
    if (rdg_read_u8(r) != TAG_SEQUENCE) return false;
    size_t first = rdg_read_u8(r);
    *len = first;
    if (first > 0x83 || first == 0x80) return false;
    if (first > 0x80)
        for (*len = 0; first > 0x80; --first) *len = *len << 8 | rdg_read_u8(r);
    return rdg_reader_ok(r) && *len <= rdg_reader_left(r);
}

static bool is_sm2_with_sm3(rdg_bytes_t algorithm) {
    static const uint8_t oid[] = {0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x75};
    static const uint8_t oid_null[] = {0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf,
                                       0x55, 0x01, 0x83, 0x75, 0x05, 0x00};
    return rdg_bytes_equal(algorithm, rdg_bytes(oid, sizeof oid)) ||
           rdg_bytes_equal(algorithm, rdg_bytes(oid_null, sizeof oid_null));
}

/* What is outside of the signed part has one form only, so that a signed object has one. */
static bool take_apart(rdg_bytes_t der, rdg_bytes_t *tbs, rdg_bytes_t *signature) {
    rdg_reader_t r;
    rdg_bytes_t algorithm, bits;
    size_t len;
    rdg_reader_init(&r, der);
    if (!open_sequence(&r, &len) || len != rdg_reader_left(&r)) return false;
    const uint8_t *start = r.pos;
    if (!open_sequence(&r, &len)) return false;
    (void)rdg_read_bytes(&r, len);
    *tbs = rdg_bytes(start, (size_t)(r.pos - start));
    if (!rdg_sm2_der_content(&r, TAG_SEQUENCE, &algorithm) || !is_sm2_with_sm3(algorithm)) return false;
    if (!rdg_sm2_der_content(&r, TAG_BIT_STRING, &bits) || !rdg_reader_done(&r)) return false;
    if (bits.len < 1 || bits.data[0] != 0) return false;
    *signature = rdg_bytes(bits.data + 1, bits.len - 1);
    return true;
}

rdg_err_t rdg_x509_verify(rdg_bytes_t der, const rdg_sm2_public_t *key) {
    rdg_bytes_t tbs, signature;
    rdg_sm2_signature_t sig;
    if (!take_apart(der, &tbs, &signature))
        return rdg_fail(RDG_E_MALFORMED, "not the DER of an object signed by SM2 with SM3");
    RDG_TRY(rdg_sm2_signature_from_der(signature, &sig));
    return rdg_sm2_verify_standard(key, tbs.data, tbs.len, &sig);
}

EVP_MD_CTX *rdg_x509_signer(const rdg_sm2_key_t *key) {
    static const char id[] = "1234567812345678";
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *ctx = NULL;
    if (md && EVP_DigestSignInit(md, &ctx, EVP_sm3(), NULL, key->pkey) == 1 &&
        EVP_PKEY_CTX_set1_id(ctx, id, (int)strlen(id)) == 1)
        return md;
    EVP_MD_CTX_free(md);
    return NULL;
}

bool rdg_x509_put_common_name(X509_NAME *name, const char *text) {
    int len = (int)strnlen(text, COMMON_NAME_MAX);
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)text, len, -1, 0) == 1;
}

rdg_err_t rdg_pem_next(BIO *bio, const char *label, const char *label2, uint8_t **der, size_t *len) {
    char *name = NULL, *header = NULL;
    long der_len = 0;
    rdg_err_t err = RDG_E_NOT_FOUND;
    *der = NULL;
    if (PEM_read_bio(bio, &name, &header, der, &der_len) == 1) {
        bool due = strcmp(name, label) == 0 || (label2 && strcmp(name, label2) == 0);
        err = due ? RDG_OK : rdg_fail(RDG_E_MALFORMED, "PEM: a %s is due, not a %.40s", label, name);
    } else if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
        err = rdg_fail(RDG_E_MALFORMED, "PEM: cannot be read");
    }
    OPENSSL_free(name);
    OPENSSL_free(header);
    if (err != RDG_OK) {
        OPENSSL_free(*der);
        *der = NULL;
    }
    *len = err == RDG_OK ? (size_t)der_len : 0;
    ERR_clear_error();
    return err;
}

rdg_err_t rdg_pem_write(const char *label, rdg_bytes_t der, rdg_buf_t *out) {
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    rdg_err_t err;
    if (bio && PEM_write_bio(bio, label, "", der.data, (long)der.len) > 0) {
        long len = BIO_get_mem_data(bio, &text);
        err = rdg_buf_append(out, text, (size_t)len);
    } else {
        err = rdg_crypto_fail(label);
    }
    BIO_free(bio);
    return err;
}

rdg_err_t rdg_pem_only(rdg_bytes_t pem, size_t pem_max, const char *label, const char *label2,
                       rdg_err_t (*parse)(void *ctx, rdg_bytes_t der), void *ctx) {
    uint8_t *der = NULL, *second = NULL;
    size_t len = 0, second_len = 0;
    if (pem.len > pem_max)
        return rdg_fail(RDG_E_TOO_LARGE, "PEM: %zu bytes, at most %zu for a %s", pem.len, pem_max, label);
    BIO *bio = BIO_new_mem_buf(pem.len ? (const void *)pem.data : "", (int)pem.len);
    if (!bio) return rdg_fail(RDG_E_NO_MEMORY, "PEM: out of memory");
    rdg_err_t err = rdg_pem_next(bio, label, label2, &der, &len);
    if (err == RDG_E_NOT_FOUND) err = rdg_fail(RDG_E_MALFORMED, "PEM: holds no %s", label);
    if (err == RDG_OK && rdg_pem_next(bio, label, label2, &second, &second_len) != RDG_E_NOT_FOUND)
        err = rdg_fail(RDG_E_MALFORMED, "PEM: more than one block where one %s is due", label);
    if (err == RDG_OK) err = parse(ctx, rdg_bytes(der, len));
    OPENSSL_free(der);
    OPENSSL_free(second);
    BIO_free(bio);
    return err;
}
