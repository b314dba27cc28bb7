#include "ridge/crypto/pkcs8.h"

#include <stdio.h>
#include <time.h>
#include "der.h"
#include "pbes2.h"
#include "pkcs8.h"
#include "ridge/crypto/keyfile.h"
#include "ridge/test.h"
#include "support.h"

#define PASS "a passphrase of words"
#define NONE rdg_bytes(NULL, 0)

static rdg_err_t import_file(const char *path, rdg_bytes_t pass, rdg_sm2_key_t **out) {
    uint8_t text[RDG_KEYFILE_MAX];
    size_t len = test_read(path, text, sizeof text);
    return rdg_pkcs8_import(rdg_bytes(text, len), pass, out);
}

static void make_by_openssl(const char *path) {
    CHECK_EQ(OPENSSL("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-out", path), 0);
}

/* The public half of a private key file as openssl sees it, against ours. */
static void openssl_agrees(const char *path, const char *pass, const rdg_sm2_key_t *key) {
    const char *pub_path = test_path("pub");
    uint8_t text[RDG_PKCS8_PEM_MAX];
    rdg_sm2_public_t seen, want;
    if (pass)
        CHECK_EQ(OPENSSL("pkey", "-in", path, "-passin", pass, "-pubout", "-out", pub_path), 0);
    else
        CHECK_EQ(OPENSSL("pkey", "-in", path, "-pubout", "-out", pub_path), 0);
    if (!pass) CHECK_EQ(OPENSSL("pkey", "-in", path, "-check", "-noout"), 0);
    size_t len = test_read(pub_path, text, sizeof text);
    CHECK_OK(rdg_pkcs8_import_public(rdg_bytes(text, len), &seen));
    rdg_sm2_key_public(key, &want);
    CHECK_MEM(seen.b, want.b, 64);
    char ours[RDG_PKCS8_PEM_MAX];
    size_t ours_len;
    CHECK_OK(rdg_pkcs8_export_public(&want, ours, &ours_len));
    CHECK(ours_len == len && memcmp(ours, text, len) == 0); /* to the byte */
}

TEST(pkcs8_of_openssl_is_read_in_every_form) {
    const char *plain = test_path("plain.pem"), *other = test_path("other");
    rdg_sm2_key_t *key, *back;
    make_by_openssl(plain);
    CHECK_OK(import_file(plain, NONE, &key));
    openssl_agrees(plain, NULL, key);
    CHECK_EQ(OPENSSL("pkey", "-in", plain, "-outform", "DER", "-out", other), 0);
    CHECK_OK(import_file(other, NONE, &back));
    CHECK(test_same_key(key, back));
    rdg_sm2_key_free(back);
    CHECK_EQ(OPENSSL("ec", "-in", plain, "-out", other), 0); /* EC PRIVATE KEY or SM2 PRIVATE KEY */
    CHECK_OK(import_file(other, NONE, &back));
    CHECK(test_same_key(key, back));
    rdg_sm2_key_free(back);
    CHECK_EQ(OPENSSL("ecparam", "-name", "SM2", "-genkey", "-out", other), 0); /* parameters come first */
    CHECK_OK(import_file(other, NONE, &back));
    rdg_sm2_key_free(back), rdg_sm2_key_free(key);
}

TEST(pkcs8_encrypted_by_openssl_is_read) {
    static const char *const how[][4] = {
        {"-v2", "aes-256-cbc"},
        {"-v2", "aes-192-cbc"},
        {"-v2", "aes-128-cbc"},
        {"-v2", "sm4-cbc"},
        {"-v2", "des3"},
        {"-scrypt"},
        {"-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1"},
        {"-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA224"},
        {"-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA384"},
        {"-v2", "sm4-cbc", "-v2prf", "hmacWithSHA512"},
    };
    const char *plain = test_path("plain.pem"), *sealed = test_path("sealed.pem");
    rdg_sm2_key_t *key, *back;
    make_by_openssl(plain);
    CHECK_OK(import_file(plain, NONE, &key));
    for (size_t i = 0; i < sizeof how / sizeof how[0]; i++) {
        const char *words[20] = {"pkcs8", "-topk8", "-in", plain, "-out", sealed, "-passout", "pass:" PASS};
        for (size_t w = 0; w < 4 && how[i][w]; w++) words[8 + w] = how[i][w];
        CHECK_EQ(test_openssl(words), 0);
        CHECK_OK(import_file(sealed, rdg_bytes_str(PASS), &back));
        CHECK(test_same_key(key, back));
        rdg_sm2_key_free(back);
        CHECK_ERR(import_file(sealed, rdg_bytes_str("another one"), &back), RDG_E_UNAUTHENTICATED);
        CHECK_ERR(import_file(sealed, NONE, &back), RDG_E_UNAUTHENTICATED);
        CHECK(!back);
    }
    rdg_sm2_key_free(key);
}

TEST(pkcs8_of_ours_is_read_by_openssl) {
    rdg_sm2_key_t *key = test_key(), *back;
    char pem[RDG_PKCS8_PEM_MAX];
    size_t len;
    const char *path = test_path("key.pem");
    CHECK_OK(rdg_pkcs8_export(key, pem, &len));
    CHECK(!rdg_pkcs8_is_encrypted(rdg_bytes(pem, len)));
    test_write(path, pem, len, 0600);
    openssl_agrees(path, NULL, key);
    CHECK_OK(rdg_pkcs8_export_encrypted(key, rdg_bytes_str(PASS), RDG_PKCS8_AES, pem, &len));
    CHECK(rdg_pkcs8_is_encrypted(rdg_bytes(pem, len)));
    test_write(path, pem, len, 0600);
    openssl_agrees(path, "pass:" PASS, key);
    CHECK(OPENSSL("pkey", "-in", path, "-passin", "pass:wrong", "-noout") != 0);
    /* OpenSSL 3.0 does not know HMAC-SM3 in PBKDF2, so this one is read back by ourselves alone. */
    CHECK_OK(rdg_pkcs8_export_encrypted(key, rdg_bytes_str(PASS), RDG_PKCS8_SM4, pem, &len));
    CHECK_OK(rdg_pkcs8_import(rdg_bytes(pem, len), rdg_bytes_str(PASS), &back));
    CHECK(test_same_key(key, back));
    rdg_sm2_key_free(back);
    CHECK_ERR(rdg_pkcs8_import(rdg_bytes(pem, len), rdg_bytes_str("wrong"), &back), RDG_E_UNAUTHENTICATED);
    CHECK_ERR(rdg_pkcs8_export_encrypted(key, NONE, RDG_PKCS8_SM4, pem, &len), RDG_E_INVALID);
    rdg_sm2_key_free(key);
}

TEST(pkcs8_of_other_curves_and_schemes_is_refused_by_name) {
    const char *p256 = test_path("p256.pem"), *rsa = test_path("rsa.pem"), *old = test_path("old.pem"),
               *plain = test_path("plain.pem");
    rdg_sm2_key_t *key;
    CHECK_EQ(OPENSSL("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", p256), 0);
    CHECK_ERR(import_file(p256, NONE, &key), RDG_E_UNSUPPORTED);
    CHECK_EQ(OPENSSL("genpkey", "-algorithm", "ED25519", "-out", rsa), 0);
    CHECK_ERR(import_file(rsa, NONE, &key), RDG_E_UNSUPPORTED);
    make_by_openssl(plain);
    CHECK_EQ(OPENSSL("pkcs8", "-topk8", "-in", plain, "-out", old, "-v1", "PBE-SHA1-3DES", "-passout",
                     "pass:" PASS),
             0);
    CHECK_ERR(import_file(old, rdg_bytes_str(PASS), &key), RDG_E_UNSUPPORTED);
    CHECK(strstr(rdg_err_message(RDG_E_UNSUPPORTED), "openssl pkcs8"));
    CHECK_EQ(OPENSSL("ec", "-in", plain, "-out", old, "-aes128", "-passout", "pass:" PASS),
             0); /* Proc-Type */
    CHECK_ERR(import_file(old, rdg_bytes_str(PASS), &key), RDG_E_UNSUPPORTED);
    CHECK_EQ(OPENSSL("pkcs8", "-topk8", "-in", plain, "-out", old, "-v2", "camellia-128-cbc", "-passout",
                     "pass:" PASS),
             0);
    CHECK_ERR(import_file(old, rdg_bytes_str(PASS), &key), RDG_E_UNSUPPORTED);
    CHECK_ERR(rdg_pkcs8_import(rdg_bytes_str("nothing"), NONE, &key), RDG_E_NOT_FOUND);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A file that asks for a billion iterations or a terabyte is refused without either. */
TEST(pkcs8_that_would_cost_too_much_is_refused_before_any_work) {
    const char *plain = test_path("plain.pem"), *sealed = test_path("sealed");
    rdg_sm2_key_t *key;
    uint8_t der[RDG_PKCS8_DER_MAX];
    make_by_openssl(plain);
    CHECK_EQ(OPENSSL("pkcs8", "-topk8", "-in", plain, "-outform", "DER", "-out", sealed, "-iter", "70000",
                     "-passout", "pass:x"),
             0);
    size_t len = test_read(sealed, der, sizeof der);
    static const uint8_t count[] = {0x02, 0x03, 0x01, 0x11, 0x70}; /* 70,000 */
    uint8_t *at = memmem(der, len, count, sizeof count);
    CHECK(at);
    at[2] = 0x7f; /* 8 million */
    double start = now();
    CHECK_ERR(rdg_pkcs8_import(rdg_bytes(der, len), rdg_bytes_str("x"), &key), RDG_E_TOO_LARGE);
    at[2] = 0, at[3] = 0x80, at[4] = 0;
    CHECK(rdg_pkcs8_import(rdg_bytes(der, len), rdg_bytes_str("x"), &key) != RDG_OK);
    CHECK_EQ(OPENSSL("pkcs8", "-topk8", "-in", plain, "-outform", "DER", "-out", sealed, "-scrypt",
                     "-passout", "pass:x"),
             0);
    len = test_read(sealed, der, sizeof der);
    static const uint8_t cost[] = {0x02, 0x02, 0x40, 0x00, 0x02, 0x01, 0x08, 0x02, 0x01, 0x01};
    at = memmem(der, len, cost, sizeof cost);
    CHECK(at);
    at[6] = 0x7f; /* r = 127: 254 MiB */
    CHECK_ERR(rdg_pkcs8_import(rdg_bytes(der, len), rdg_bytes_str("x"), &key), RDG_E_TOO_LARGE);
    at[6] = 8, at[9] = 5;
    CHECK_ERR(rdg_pkcs8_import(rdg_bytes(der, len), rdg_bytes_str("x"), &key), RDG_E_TOO_LARGE);
    at[9] = 1, at[2] = 0x41; /* no power of two */
    CHECK_ERR(rdg_pkcs8_import(rdg_bytes(der, len), rdg_bytes_str("x"), &key), RDG_E_MALFORMED);
    CHECK(now() - start < 1);
}

/* The public key beside the private one must be its own, and the number in range. */
TEST(pkcs8_with_a_public_key_of_another_is_refused) {
    rdg_sm2_key_t *key = test_key(), *back;
    uint8_t der[RDG_PKCS8_DER_MAX];
    rdg_sm2_public_t pub;
    size_t len;
    CHECK_OK(rdg_pkcs8_write(key, der, &len));
    CHECK_OK(rdg_pkcs8_read(rdg_bytes(der, len), &back));
    CHECK(test_same_key(key, back));
    rdg_sm2_key_free(back);
    rdg_sm2_key_public(key, &pub);
    uint8_t *point = memmem(der, len, pub.b, 64), *octets = memmem(der, len, "\x04\x20", 2);
    CHECK(point && octets);
    rdg_sm2_key_t *other = test_key();
    rdg_sm2_key_public(other, &pub);
    memcpy(point, pub.b, 64);
    CHECK_ERR(rdg_pkcs8_read(rdg_bytes(der, len), &back), RDG_E_INVALID);
    memset(point, 1, 64);
    CHECK(rdg_pkcs8_read(rdg_bytes(der, len), &back) != RDG_OK);
    rdg_sm2_key_public(key, &pub);
    memcpy(point, pub.b, 64);
    memset(octets + 2, 0, 32);
    CHECK_ERR(rdg_pkcs8_read(rdg_bytes(der, len), &back), RDG_E_INVALID);
    memset(octets + 2, 0xff, 32);
    CHECK(rdg_pkcs8_read(rdg_bytes(der, len), &back) != RDG_OK);
    CHECK(!back);
    rdg_sm2_key_free(key), rdg_sm2_key_free(other);
}

/* EncryptedPrivateKeyInfo by hand, so that each field can be what no tool writes: PBES2 with PBKDF2 (key_len 0: not
 * stated) by HMAC-SM3, and SM4-CBC; `plain` is what is sealed. */
static size_t seal_by_hand(uint8_t *out, size_t size, rdg_bytes_t salt, uint32_t key_len, rdg_bytes_t plain) {
    static const uint8_t pbes2[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d};
    static const uint8_t pbkdf2[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c};
    static const uint8_t hmac_sm3[] = {0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x11, 0x02};
    static const uint8_t sm4_cbc[] = {0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x68, 0x02};
    static const uint8_t iv[16] = {9};
    rdg_pbes2_t how = {.cipher = "SM4-CBC", .key_len = 16, .iv_len = 16, .digest = "SM3", .iterations = 10};
    uint8_t sealed[RDG_PKCS8_DER_MAX];
    size_t sealed_len;
    rdg_writer_t w;
    how.salt = salt, how.iv = rdg_bytes(iv, sizeof iv);
    CHECK_OK(rdg_pbes2_run(&how, true, rdg_bytes_str(PASS), sealed, &sealed_len, plain));
    rdg_writer_init(&w, out, size);
    size_t info = rdg_der_open(&w), algorithm = rdg_der_open(&w);
    rdg_der_put(&w, RDG_DER_OID, rdg_bytes(pbes2, sizeof pbes2));
    size_t params = rdg_der_open(&w), kdf = rdg_der_open(&w);
    rdg_der_put(&w, RDG_DER_OID, rdg_bytes(pbkdf2, sizeof pbkdf2));
    size_t kdf_params = rdg_der_open(&w);
    rdg_der_put(&w, RDG_DER_OCTETS, salt);
    rdg_der_put_u32(&w, how.iterations);
    if (key_len) rdg_der_put_u32(&w, key_len);
    size_t prf = rdg_der_open(&w);
    rdg_der_put(&w, RDG_DER_OID, rdg_bytes(hmac_sm3, sizeof hmac_sm3));
    rdg_der_close(&w, prf, RDG_DER_SEQUENCE);
    rdg_der_close(&w, kdf_params, RDG_DER_SEQUENCE);
    rdg_der_close(&w, kdf, RDG_DER_SEQUENCE);
    size_t scheme = rdg_der_open(&w);
    rdg_der_put(&w, RDG_DER_OID, rdg_bytes(sm4_cbc, sizeof sm4_cbc));
    rdg_der_put(&w, RDG_DER_OCTETS, how.iv);
    rdg_der_close(&w, scheme, RDG_DER_SEQUENCE);
    rdg_der_close(&w, params, RDG_DER_SEQUENCE);
    rdg_der_close(&w, algorithm, RDG_DER_SEQUENCE);
    rdg_der_put(&w, RDG_DER_OCTETS, rdg_bytes(sealed, sealed_len));
    rdg_der_close(&w, info, RDG_DER_SEQUENCE);
    CHECK(rdg_writer_ok(&w));
    return rdg_writer_len(&w);
}

TEST(pkcs8_with_a_key_length_that_is_not_the_cipher_s_is_refused) {
    rdg_sm2_key_t *key = test_key(), *back;
    uint8_t plain[RDG_PKCS8_DER_MAX], der[2 * RDG_PKCS8_DER_MAX];
    size_t plain_len;
    CHECK_OK(rdg_pkcs8_write(key, plain, &plain_len));
    for (uint32_t key_len = 0; key_len <= 33; key_len++) {
        size_t len = seal_by_hand(der, sizeof der, rdg_bytes_str("0123456789abcdef"), key_len,
                                  rdg_bytes(plain, plain_len));
        rdg_err_t err = rdg_pkcs8_import(rdg_bytes(der, len), rdg_bytes_str(PASS), &back);
        if (key_len == 0 || key_len == 16) {
            CHECK_OK(err);
            CHECK(test_same_key(key, back));
            rdg_sm2_key_free(back);
        } else {
            CHECK_ERR(err, RDG_E_MALFORMED);
            CHECK(strstr(rdg_err_message(err), "parameters") && !back);
        }
    }
    rdg_sm2_key_free(key);
}

TEST(pkcs8_with_a_salt_over_its_limit_is_refused) {
    static const uint8_t salt[80] = {1, 2, 3};
    rdg_sm2_key_t *key = test_key(), *back;
    uint8_t plain[RDG_PKCS8_DER_MAX], der[2 * RDG_PKCS8_DER_MAX];
    size_t plain_len;
    CHECK_OK(rdg_pkcs8_write(key, plain, &plain_len));
    for (size_t salt_len = 0; salt_len <= sizeof salt; salt_len++) {
        size_t len = seal_by_hand(der, sizeof der, rdg_bytes(salt, salt_len), 0, rdg_bytes(plain, plain_len));
        rdg_err_t err = rdg_pkcs8_import(rdg_bytes(der, len), rdg_bytes_str(PASS), &back);
        CHECK_EQ(err, salt_len == 0 ? RDG_E_MALFORMED : salt_len <= 64 ? RDG_OK : RDG_E_TOO_LARGE);
        if (err == RDG_E_TOO_LARGE) CHECK(strstr(rdg_err_message(err), "at most 64"));
        rdg_sm2_key_free(back);
    }
    rdg_sm2_key_free(key);
}

/* PrivateKeyInfo is version 0, OneAsymmetricKey 1; what later versions mean is not known. */
TEST(pkcs8_of_a_later_version_is_refused) {
    rdg_sm2_key_t *key = test_key(), *back;
    uint8_t der[RDG_PKCS8_DER_MAX];
    size_t len;
    CHECK_OK(rdg_pkcs8_write(key, der, &len));
    uint8_t *version = memmem(der, len, "\x02\x01\x00", 3);
    CHECK(version && version < der + 6);
    for (unsigned v = 0; v < 128; v++) {
        version[2] = (uint8_t)v;
        rdg_err_t err = rdg_pkcs8_read(rdg_bytes(der, len), &back);
        CHECK_EQ(err, v <= 1 ? RDG_OK : RDG_E_MALFORMED);
        rdg_sm2_key_free(back);
    }
    rdg_sm2_key_free(key);
}

/* A wrong passphrase leaves good padding once in some 256 times: what comes out then is not called damaged, as if the
 * passphrase had been right. */
TEST(pkcs8_that_opens_to_no_key_speaks_of_the_passphrase) {
    uint8_t der[2 * RDG_PKCS8_DER_MAX], chance[100] = {0x31, 7};
    rdg_sm2_key_t *back;
    size_t len =
        seal_by_hand(der, sizeof der, rdg_bytes_str("0123456789abcdef"), 0, rdg_bytes(chance, sizeof chance));
    CHECK_ERR(rdg_pkcs8_import(rdg_bytes(der, len), rdg_bytes_str(PASS), &back), RDG_E_UNAUTHENTICATED);
    CHECK_STR(rdg_err_message(RDG_E_UNAUTHENTICATED), "encrypted key: wrong passphrase, or damaged");
    CHECK(!back);
    CHECK_ERR(rdg_pkcs8_import(rdg_bytes(chance, sizeof chance), NONE, &back), RDG_E_NOT_FOUND);
    chance[0] = 0x30; /* the same in the clear is what it is */
    CHECK_ERR(rdg_pkcs8_import(rdg_bytes(chance, sizeof chance), NONE, &back), RDG_E_MALFORMED);
}

TEST(pkcs8_cut_anywhere_is_refused) {
    rdg_sm2_key_t *key = test_key(), *back;
    char pem[RDG_PKCS8_PEM_MAX];
    uint8_t der[RDG_PKCS8_DER_MAX];
    size_t len;
    CHECK_OK(rdg_pkcs8_write(key, der, &len));
    for (size_t i = 0; i < len; i++) CHECK(rdg_pkcs8_import(rdg_bytes(der, i), NONE, &back) != RDG_OK);
    CHECK_OK(rdg_pkcs8_export(key, pem, &len));
    for (size_t i = 0; i + 1 < len; i++) CHECK(rdg_pkcs8_import(rdg_bytes(pem, i), NONE, &back) != RDG_OK);
    rdg_sm2_key_free(key);
}
