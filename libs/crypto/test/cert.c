#include "ridge/crypto/cert.h"

#include "ridge/crypto/cert_issue.h"
#include "ridge/crypto/sm2_cipher.h"
#include "ridge/test.h"

#define NOW 1800000000
#define YEAR (365 * 86400)

typedef struct tree {
    rdg_sm2_key_t *root_key, *ca_key, *sign_key, *enc_key;
    rdg_cert_t *root, *ca, *sign, *enc;
} tree_t;

static rdg_cert_t *issue(rdg_cert_kind_t kind, const char *name, const rdg_sm2_key_t *subject,
                         const rdg_cert_t *issuer, const rdg_sm2_key_t *issuer_key) {
    rdg_sm2_public_t pub;
    rdg_cert_t *cert = NULL;
    rdg_sm2_key_public(subject, &pub);
    rdg_cert_order_t order = {kind, name, &pub, issuer, issuer_key, NOW - 10, NOW + YEAR};
    CHECK_OK(rdg_cert_issue(&order, &cert));
    return cert;
}

static void tree_make(tree_t *t) {
    CHECK_OK(rdg_sm2_key_generate(&t->root_key));
    CHECK_OK(rdg_sm2_key_generate(&t->ca_key));
    CHECK_OK(rdg_sm2_key_generate(&t->sign_key));
    CHECK_OK(rdg_sm2_key_generate(&t->enc_key));
    t->root = issue(RDG_CERT_KIND_ROOT, "root", t->root_key, NULL, t->root_key);
    t->ca = issue(RDG_CERT_KIND_CA, "ca", t->ca_key, t->root, t->root_key);
    t->sign = issue(RDG_CERT_KIND_SIGN, "node-1", t->sign_key, t->ca, t->ca_key);
    t->enc = issue(RDG_CERT_KIND_ENCRYPT, "node-1", t->enc_key, t->ca, t->ca_key);
}

static void tree_free(tree_t *t) {
    rdg_cert_free(t->root), rdg_cert_free(t->ca), rdg_cert_free(t->sign), rdg_cert_free(t->enc);
    rdg_sm2_key_free(t->root_key), rdg_sm2_key_free(t->ca_key);
    rdg_sm2_key_free(t->sign_key), rdg_sm2_key_free(t->enc_key);
}

static rdg_err_t verify(const rdg_cert_t *leaf, rdg_cert_use_t use, const rdg_cert_t *ca,
                        const rdg_cert_t *root, int64_t now_s) {
    return rdg_cert_verify(leaf, use, &ca, ca ? 1 : 0, &root, 1, now_s);
}

TEST(cert_chain_verifies_for_its_use_and_time) {
    tree_t t, foreign;
    tree_make(&t), tree_make(&foreign);
    CHECK_OK(verify(t.sign, RDG_CERT_SIGN, t.ca, t.root, NOW));
    CHECK_OK(verify(t.enc, RDG_CERT_ENCRYPT, t.ca, t.root, NOW));
    CHECK_ERR(verify(t.enc, RDG_CERT_SIGN, t.ca, t.root, NOW), RDG_E_FORBIDDEN);
    CHECK_ERR(verify(t.sign, RDG_CERT_ENCRYPT, t.ca, t.root, NOW), RDG_E_FORBIDDEN);
    CHECK_ERR(verify(t.ca, RDG_CERT_SIGN, NULL, t.root, NOW), RDG_E_FORBIDDEN);
    CHECK_ERR(verify(t.sign, RDG_CERT_SIGN, NULL, t.root, NOW), RDG_E_NOT_FOUND);
    CHECK_ERR(verify(t.sign, RDG_CERT_SIGN, t.ca, t.root, NOW + YEAR + 1), RDG_E_EXPIRED);
    CHECK_ERR(verify(t.sign, RDG_CERT_SIGN, t.ca, t.root, NOW - 11), RDG_E_EXPIRED);
    CHECK(verify(t.sign, RDG_CERT_SIGN, t.ca, foreign.root, NOW) != RDG_OK);
    CHECK(verify(t.sign, RDG_CERT_SIGN, foreign.ca, t.root, NOW) != RDG_OK);
    CHECK_ERR(verify(t.sign, RDG_CERT_SIGN, t.ca, t.ca, NOW), RDG_E_NOT_FOUND); /* no self-signed root */
    tree_free(&t), tree_free(&foreign);
}

TEST(cert_leaf_cannot_issue) {
    tree_t t;
    tree_make(&t);
    rdg_sm2_public_t pub;
    rdg_cert_t *cert = NULL;
    rdg_sm2_key_public(t.enc_key, &pub);
    rdg_cert_order_t order = {RDG_CERT_KIND_SIGN, "x", &pub, t.sign, t.sign_key, NOW, NOW + 1};
    CHECK_ERR(rdg_cert_issue(&order, &cert), RDG_E_INVALID);
    order.issuer = t.ca;
    CHECK_ERR(rdg_cert_issue(&order, &cert), RDG_E_INVALID); /* another's key */
    order.issuer_key = t.ca_key, order.common_name = "a,b";
    CHECK_ERR(rdg_cert_issue(&order, &cert), RDG_E_INVALID);
    /* A CA below the issuing CA: its path length is 0. */
    rdg_cert_t *deep = issue(RDG_CERT_KIND_CA, "deep", t.enc_key, t.ca, t.ca_key);
    rdg_cert_t *leaf = issue(RDG_CERT_KIND_SIGN, "leaf", t.sign_key, deep, t.enc_key);
    const rdg_cert_t *others[] = {t.ca, deep}, *roots[] = {t.root};
    CHECK_ERR(rdg_cert_verify(leaf, RDG_CERT_SIGN, others, 2, roots, 1, NOW), RDG_E_FORBIDDEN);
    rdg_cert_free(deep), rdg_cert_free(leaf);
    tree_free(&t);
}

static size_t count_of(const rdg_cert_t *cert, const void *bytes, size_t len) {
    rdg_bytes_t der = rdg_cert_der(cert);
    size_t count = 0;
    for (size_t i = 0; i + len <= der.len; i++) count += memcmp(der.data + i, bytes, len) == 0;
    return count;
}

/* The DER of basicConstraints in a leaf would be an empty sequence, which GmSSL takes for damage. */
TEST(cert_of_a_leaf_has_no_basic_constraints_and_that_of_a_ca_has) {
    static const uint8_t oid[] = {0x06, 0x03, 0x55, 0x1d, 0x13};
    static const uint8_t of_a_root[] = {0x06, 0x03, 0x55, 0x1d, 0x13, 0x01, 0x01, 0xff,
                                        0x04, 0x05, 0x30, 0x03, 0x01, 0x01, 0xff};
    static const uint8_t of_a_ca[] = {0x06, 0x03, 0x55, 0x1d, 0x13, 0x01, 0x01, 0xff, 0x04,
                                      0x08, 0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0x00};
    tree_t t;
    tree_make(&t);
    CHECK_EQ(count_of(t.sign, oid, sizeof oid) + count_of(t.enc, oid, sizeof oid), 0);
    CHECK_EQ(count_of(t.root, of_a_root, sizeof of_a_root), 1);
    CHECK_EQ(count_of(t.ca, of_a_ca, sizeof of_a_ca), 1);
    CHECK(!rdg_cert_is_ca(t.sign) && !rdg_cert_is_ca(t.enc) && rdg_cert_is_ca(t.ca) &&
          rdg_cert_is_ca(t.root));
    tree_free(&t);
}

TEST(cert_is_encrypted_to_by_its_key) {
    static const uint8_t msg[RDG_SM2_PLAINTEXT_MAX + 1] = {1, 2, 3};
    uint8_t sealed[RDG_SM2_CIPHERTEXT_MAX], back[RDG_SM2_PLAINTEXT_MAX];
    size_t sealed_len, len;
    tree_t t;
    tree_make(&t);
    for (size_t n = 1; n <= RDG_SM2_PLAINTEXT_MAX; n += 127) {
        CHECK_OK(rdg_cert_encrypt(t.enc, sealed, &sealed_len, msg, n));
        CHECK_OK(rdg_sm2_decrypt(t.enc_key, back, &len, rdg_bytes(sealed, sealed_len)));
        CHECK_EQ(len, n);
        CHECK_MEM(back, msg, n);
        CHECK_ERR(rdg_sm2_decrypt(t.sign_key, back, &len, rdg_bytes(sealed, sealed_len)),
                  RDG_E_BAD_SIGNATURE);
    }
    CHECK_ERR(rdg_cert_encrypt(t.enc, sealed, &sealed_len, msg, 0), RDG_E_INVALID);
    CHECK_ERR(rdg_cert_encrypt(t.enc, sealed, &sealed_len, msg, sizeof msg), RDG_E_TOO_LARGE);
    CHECK_EQ(sealed_len, 0);
    tree_free(&t);
}

TEST(cert_says_what_it_holds) {
    tree_t t;
    tree_make(&t);
    char name[RDG_CERT_NAME_MAX];
    rdg_sm2_public_t pub;
    rdg_sm2_key_public(t.sign_key, &pub);
    rdg_cert_common_name(t.sign, name, sizeof name);
    CHECK_STR(name, "node-1");
    CHECK(rdg_cert_has_name(t.sign, "node-1") && !rdg_cert_has_name(t.sign, "node-2"));
    CHECK_MEM(rdg_cert_public(t.sign)->b, pub.b, sizeof pub.b);
    CHECK_EQ(rdg_cert_not_before_s(t.sign), NOW - 10);
    CHECK_EQ(rdg_cert_not_after_s(t.sign), NOW + YEAR);
    CHECK(rdg_cert_is_ca(t.ca) && !rdg_cert_is_ca(t.sign));
    rdg_buf_t pem;
    rdg_buf_init(&pem, 100000);
    CHECK_OK(rdg_cert_to_pem(t.sign, &pem));
    CHECK_OK(rdg_cert_to_pem(t.ca, &pem));
    rdg_cert_t *back[3];
    size_t count;
    CHECK_ERR(rdg_cert_parse_pem(rdg_buf_view(&pem), back, 1, &count), RDG_E_FULL);
    CHECK_OK(rdg_cert_parse_pem(rdg_buf_view(&pem), back, 3, &count));
    CHECK_EQ(count, 2);
    CHECK(rdg_bytes_equal(rdg_cert_der(back[0]), rdg_cert_der(t.sign)));
    rdg_cert_free(back[0]), rdg_cert_free(back[1]);
    CHECK_ERR(rdg_cert_parse_pem(rdg_bytes_str("nothing"), back, 3, &count), RDG_E_MALFORMED);
    CHECK_ERR(rdg_cert_parse_pem(rdg_bytes(pem.data, 200), back, 3, &count), RDG_E_MALFORMED);
    rdg_buf_fini(&pem);
    tree_free(&t);
}

/* Truncated anywhere it is no certificate; with any byte changed it is none, or does not verify. */
TEST(cert_damaged_never_verifies) {
    tree_t t;
    tree_make(&t);
    rdg_bytes_t der = rdg_cert_der(t.sign);
    rdg_cert_t *cert = NULL;
    for (size_t len = 0; len < der.len; len++) {
        CHECK(rdg_cert_parse(rdg_bytes(der.data, len), &cert) != RDG_OK);
        CHECK(!cert);
    }
    uint8_t *copy = rdg_memdup(der.data, der.len);
    for (size_t i = 0; i < der.len; i++) {
        copy[i] ^= (uint8_t)(1 << (i % 8));
        if (rdg_cert_parse(rdg_bytes(copy, der.len), &cert) == RDG_OK) {
            CHECK(verify(cert, RDG_CERT_SIGN, t.ca, t.root, NOW) != RDG_OK);
            rdg_cert_free(cert);
        }
        copy[i] = der.data[i];
    }
    rdg_free(copy);
    tree_free(&t);
}

/* Self-signed by P-256 and SHA-256: made with openssl req -x509. */
TEST(cert_of_other_algorithms_is_refused) {
    static const char p256[] = "-----BEGIN CERTIFICATE-----\n"
                               "MIIBczCCARmgAwIBAgIUCblpsaGEwzoFAvnQGlwABLZGKtYwCgYIKoZIzj0EAwIw\n"
                               "DzENMAsGA1UEAwwEcDI1NjAeFw0yNjExMjEwOTA0MTdaFw0yNjExMjIwOTA0MTda\n"
                               "MA8xDTALBgNVBAMMBHAyNTYwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARe5rxS\n"
                               "OKO3FHb6e85f2/DkmQT2WhzSYLIbtGsK+ClHTsgs6rrB3MU8XzEPuHKcnKCW84Gu\n"
                               "SMsVc5JO9hEfF1hFo1MwUTAdBgNVHQ4EFgQUwxWA5zo4IHcnNMQN8HlqFSL+V1sw\n"
                               "HwYDVR0jBBgwFoAUwxWA5zo4IHcnNMQN8HlqFSL+V1swDwYDVR0TAQH/BAUwAwEB\n"
                               "/zAKBggqhkjOPQQDAgNIADBFAiBTuaDPpYvHbgyJD4QtkxxYfCtdOMXchVPfQgIQ\n"
                               "GhjWSQIhAPX7qYdll2ZUTrPFwrty/zspmmdVDtSe2Pafglw9qbhT\n"
                               "-----END CERTIFICATE-----\n";
    rdg_cert_t *cert[1];
    size_t count;
    CHECK_ERR(rdg_cert_parse_pem(rdg_bytes_str(p256), cert, 1, &count), RDG_E_UNSUPPORTED);
}
