#include "ridge/crypto/cert_request.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include "ridge/test.h"

static rdg_buf_t make(const char *name, rdg_sm2_key_t **key) {
    rdg_buf_t pem;
    rdg_buf_init(&pem, RDG_CERT_REQUEST_MAX);
    CHECK_OK(rdg_sm2_key_generate(key));
    CHECK_OK(rdg_cert_request_make(*key, name, &pem));
    return pem;
}

static X509_REQ *read_req(const rdg_buf_t *pem) {
    BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->len);
    X509_REQ *x = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
    BIO_free(bio);
    CHECK(x);
    return x;
}

static uint8_t *der_of(const rdg_buf_t *pem, size_t *len) {
    X509_REQ *x = read_req(pem);
    uint8_t *der = NULL;
    int n = i2d_X509_REQ(x, &der);
    CHECK(n > 0);
    X509_REQ_free(x);
    *len = (size_t)n;
    return der;
}

TEST(request_proves_its_key_and_tells_its_name) {
    rdg_sm2_key_t *key;
    rdg_cert_request_t r;
    rdg_sm2_public_t pub;
    rdg_buf_t pem = make("dev-1", &key);
    CHECK_OK(rdg_cert_request_parse_pem(rdg_buf_view(&pem), &r));
    rdg_sm2_key_public(key, &pub);
    CHECK_MEM(r.public_key.b, pub.b, sizeof pub.b);
    CHECK_STR(r.common_name, "dev-1");
    CHECK(rdg_cert_request_is_for(&r, "dev-1") && !rdg_cert_request_is_for(&r, "dev-10"));
    /* libcrypto agrees that the signature is one with the standard's user id. */
    X509_REQ *x = read_req(&pem);
    ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
    CHECK(ASN1_OCTET_STRING_set(id, (const uint8_t *)"1234567812345678", 16));
    X509_REQ_set0_distinguishing_id(x, id);
    CHECK_EQ(X509_REQ_verify(x, X509_REQ_get0_pubkey(x)), 1);
    X509_REQ_free(x);
    rdg_buf_fini(&pem);
    rdg_sm2_key_free(key);
}

TEST(request_of_a_long_name_is_cut_and_still_for_it) {
    char name[131];
    rdg_sm2_key_t *key;
    rdg_cert_request_t r;
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = 0;
    rdg_buf_t pem = make(name, &key);
    CHECK_OK(rdg_cert_request_parse_pem(rdg_buf_view(&pem), &r));
    CHECK_EQ(strlen(r.common_name), RDG_CERT_NAME_MAX - 1);
    CHECK(rdg_cert_request_is_for(&r, name) && !rdg_cert_request_is_for(&r, "aaa"));
    rdg_buf_fini(&pem);
    rdg_sm2_key_free(key);
}

/* Truncated anywhere, or with any bit changed, it is no request: it proves nothing any more. */
TEST(request_damaged_is_refused) {
    rdg_sm2_key_t *key;
    rdg_cert_request_t r;
    rdg_buf_t pem = make("dev-1", &key);
    size_t len;
    uint8_t *der = der_of(&pem, &len);
    CHECK_OK(rdg_cert_request_parse(rdg_bytes(der, len), &r));
    for (size_t i = 0; i < len; i++) CHECK(rdg_cert_request_parse(rdg_bytes(der, i), &r) != RDG_OK);
    for (size_t i = 0; i < len * 8; i++) {
        der[i / 8] ^= (uint8_t)(1 << i % 8);
        CHECK(rdg_cert_request_parse(rdg_bytes(der, len), &r) != RDG_OK);
        CHECK_STR(r.common_name, "");
        der[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    der[len - 1] ^= 1;
    CHECK_ERR(rdg_cert_request_parse(rdg_bytes(der, len), &r), RDG_E_BAD_SIGNATURE);
    OPENSSL_free(der);
    rdg_buf_fini(&pem);
    rdg_sm2_key_free(key);
}

static rdg_buf_t foreign(EVP_PKEY *key, const EVP_MD *md, const char *first, const char *second) {
    X509_REQ *x = X509_REQ_new();
    rdg_buf_t pem;
    char *text;
    CHECK(x && key && X509_REQ_set_pubkey(x, key));
    X509_NAME *name = X509_REQ_get_subject_name(x);
    CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)first, -1, -1, 0));
    if (second)
        CHECK(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const uint8_t *)second, -1, -1, 0));
    CHECK(X509_REQ_sign(x, key, md) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_X509_REQ(bio, x));
    long len = BIO_get_mem_data(bio, &text);
    rdg_buf_init(&pem, 65536);
    CHECK_OK(rdg_buf_append(&pem, text, (size_t)len));
    BIO_free(bio);
    X509_REQ_free(x);
    EVP_PKEY_free(key);
    return pem;
}

static void refused(rdg_buf_t pem, rdg_err_t want) {
    rdg_cert_request_t r;
    CHECK_ERR(rdg_cert_request_parse_pem(rdg_buf_view(&pem), &r), want);
    rdg_buf_fini(&pem);
}

TEST(request_of_other_algorithms_is_refused) {
    refused(foreign(EVP_RSA_gen(2048), EVP_sha256(), "dev-1", NULL), RDG_E_UNSUPPORTED);
    refused(foreign(EVP_EC_gen("P-256"), EVP_sha256(), "dev-1", NULL), RDG_E_UNSUPPORTED);
    /* An SM2 key that signs with another user id than the standard's, as a tool of defaults does. */
    refused(foreign(EVP_PKEY_Q_keygen(NULL, NULL, "SM2"), EVP_sm3(), "dev-1", NULL), RDG_E_BAD_SIGNATURE);
}

TEST(request_of_another_subject_than_one_plain_name_is_refused) {
    refused(foreign(EVP_PKEY_Q_keygen(NULL, NULL, "SM2"), EVP_sm3(), "dev-1", "more"), RDG_E_MALFORMED);
    refused(foreign(EVP_PKEY_Q_keygen(NULL, NULL, "SM2"), EVP_sm3(), "d\xc3\xa9v", NULL), RDG_E_MALFORMED);
    refused(foreign(EVP_PKEY_Q_keygen(NULL, NULL, "SM2"), EVP_sm3(), "dev\n1", NULL), RDG_E_MALFORMED);
}

TEST(request_is_one_and_small) {
    rdg_sm2_key_t *key;
    rdg_cert_request_t r;
    rdg_buf_t pem = make("dev-1", &key), twice;
    rdg_buf_init(&twice, 65536);
    CHECK_OK(rdg_buf_append(&twice, pem.data, pem.len));
    CHECK_OK(rdg_buf_append(&twice, pem.data, pem.len));
    CHECK_ERR(rdg_cert_request_parse_pem(rdg_buf_view(&twice), &r), RDG_E_MALFORMED);
    while (twice.len <= RDG_CERT_REQUEST_MAX) CHECK_OK(rdg_buf_append(&twice, pem.data, pem.len));
    CHECK_ERR(rdg_cert_request_parse_pem(rdg_buf_view(&twice), &r), RDG_E_TOO_LARGE);
    CHECK_ERR(rdg_cert_request_parse_pem(rdg_bytes_str("nothing"), &r), RDG_E_MALFORMED);
    CHECK_ERR(rdg_cert_request_parse_pem(rdg_bytes(NULL, 0), &r), RDG_E_MALFORMED);
    CHECK_ERR(rdg_cert_request_parse(rdg_bytes(twice.data, RDG_CERT_REQUEST_MAX + 1), &r), RDG_E_TOO_LARGE);
    CHECK_ERR(rdg_cert_request_make(key, "", &twice), RDG_E_INVALID);
    rdg_buf_fini(&twice);
    rdg_buf_fini(&pem);
    rdg_sm2_key_free(key);
}
