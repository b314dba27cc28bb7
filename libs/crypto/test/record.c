/* Classes of bugs that other implementations have had (docs/crypto.md has the whole table; those not here have
 * their tests beside what they are about). */
#include <sys/wait.h>
#include <unistd.h>

#include "der.h"
#include "ridge/crypto/cert.h"
#include "ridge/crypto/sm2_cipher.h"
#include "ridge/test.h"
#include "support.h"

static bool has_short_c1(rdg_bytes_t sealed) {
    rdg_reader_t outer, r;
    rdg_bytes_t x, y;
    rdg_reader_init(&outer, sealed);
    CHECK(rdg_der_enter(&outer, RDG_DER_SEQUENCE, &r) && rdg_der_content(&r, RDG_DER_INTEGER, &x) &&
          rdg_der_content(&r, RDG_DER_INTEGER, &y));
    return x.len < 32 || y.len < 32;
}

/* CVE-2021-3711: the size asked for depended on the encoding of C1, the size written did not. */
TEST(record_plaintext_never_leaves_its_buffer_however_c1_is_encoded) {
    enum { GUARD = 64 };
    rdg_sm2_key_t *key = test_key();
    rdg_sm2_public_t pub;
    uint8_t msg[RDG_SM2_PLAINTEXT_MAX], sealed[RDG_SM2_CIPHERTEXT_MAX];
    struct {
        uint8_t out[RDG_SM2_PLAINTEXT_MAX], guard[GUARD];
    } room;
    rdg_sm2_key_public(key, &pub);
    rdg_random_fill(rdg_test_random(), msg, sizeof msg);
    bool short_c1 = false;
    for (size_t i = 0; i < 255 || (!short_c1 && i < 6000); i++) {
        size_t n = i % 255 + 1, sealed_len, len;
        CHECK_OK(rdg_sm2_encrypt(&pub, sealed, &sealed_len, msg, n));
        short_c1 = short_c1 || has_short_c1(rdg_bytes(sealed, sealed_len));
        memset(&room, 0xa5, sizeof room);
        CHECK_OK(rdg_sm2_decrypt(key, room.out, &len, rdg_bytes(sealed, sealed_len)));
        CHECK_EQ(len, n);
        CHECK_MEM(room.out, msg, n);
        for (size_t g = n; g < sizeof room; g++) CHECK(((uint8_t *)&room)[g] == 0xa5);
    }
    CHECK(short_c1);
    rdg_sm2_key_free(key);
}

/* SEQUENCE { x, y, C3, C2 } of the parts given. */
static size_t ciphertext(uint8_t out[RDG_SM2_CIPHERTEXT_MAX], const rdg_sm2_public_t *c1, size_t c3_len,
                         size_t c2_len) {
    static const uint8_t bytes[64] = {1};
    rdg_writer_t w;
    rdg_writer_init(&w, out, RDG_SM2_CIPHERTEXT_MAX);
    size_t start = rdg_der_open(&w);
    rdg_der_put_u256(&w, c1->b);
    rdg_der_put_u256(&w, c1->b + 32);
    rdg_der_put(&w, RDG_DER_OCTETS, rdg_bytes(bytes, c3_len));
    rdg_der_put(&w, RDG_DER_OCTETS, rdg_bytes(bytes, c2_len));
    rdg_der_close(&w, start, RDG_DER_SEQUENCE);
    return rdg_writer_len(&w);
}

TEST(record_c3_of_another_length_is_refused_before_any_key_is_used) {
    rdg_sm2_key_t *key = test_key();
    rdg_sm2_public_t pub;
    uint8_t sealed[RDG_SM2_CIPHERTEXT_MAX], out[RDG_SM2_PLAINTEXT_MAX];
    size_t len;
    rdg_sm2_key_public(key, &pub);
    for (size_t c3 = 0; c3 <= 64; c3++) {
        size_t n = ciphertext(sealed, &pub, c3, 16);
        rdg_err_t want = c3 == 32 ? RDG_E_BAD_SIGNATURE : RDG_E_MALFORMED;
        CHECK_ERR(rdg_sm2_decrypt(key, out, &len, rdg_bytes(sealed, n)), want);
    }
    CHECK_ERR(rdg_sm2_decrypt(key, out, &len, rdg_bytes(sealed, ciphertext(sealed, &pub, 32, 0))),
              RDG_E_MALFORMED);
    rdg_sm2_key_free(key);
}

TEST(record_c1_that_is_not_on_the_curve_is_refused) {
    rdg_sm2_key_t *key = test_key();
    rdg_sm2_public_t pub;
    uint8_t sealed[RDG_SM2_CIPHERTEXT_MAX], out[RDG_SM2_PLAINTEXT_MAX];
    size_t len;
    for (int i = 0; i < 64; i++) {
        rdg_sm2_key_public(key, &pub);
        pub.b[i] ^= 1; /* on the curve by chance: one in 2^128 */
        size_t n = ciphertext(sealed, &pub, 32, 16);
        CHECK_ERR(rdg_sm2_decrypt(key, out, &len, rdg_bytes(sealed, n)), RDG_E_MALFORMED);
    }
    memset(&pub, 0, sizeof pub);
    CHECK_ERR(rdg_sm2_decrypt(key, out, &len, rdg_bytes(sealed, ciphertext(sealed, &pub, 32, 16))),
              RDG_E_MALFORMED);
    rdg_sm2_key_free(key);
}

static size_t certificate_by_openssl(const char *conv_form, uint8_t der[RDG_CERT_DER_MAX]) {
    const char *key = test_path("key"), *form = test_path("form"), *crt = test_path("crt");
    CHECK_EQ(OPENSSL("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-out", key), 0);
    CHECK_EQ(OPENSSL("ec", "-in", key, "-conv_form", conv_form, "-out", form), 0);
    CHECK_EQ(OPENSSL("req", "-x509", "-new", "-key", form, "-sm3", "-sigopt", "distid:1234567812345678",
                     "-subj", "/CN=x", "-addext", "keyUsage=digitalSignature,keyCertSign", "-outform", "DER",
                     "-out", crt),
             0);
    return test_read(crt, der, RDG_CERT_DER_MAX);
}

TEST(record_key_shorter_than_65_bytes_in_a_certificate_is_refused) {
    uint8_t der[RDG_CERT_DER_MAX];
    rdg_cert_t *cert;
    size_t len = certificate_by_openssl("uncompressed", der);
    CHECK_OK(rdg_cert_parse(rdg_bytes(der, len), &cert));
    rdg_cert_free(cert);
    len = certificate_by_openssl("compressed", der);
    CHECK(rdg_cert_parse(rdg_bytes(der, len), &cert) != RDG_OK);
    CHECK(!cert);
}

/* A certificate whose signature is (0, 0), (0, 1), … is what some have taken for valid. */
TEST(record_signature_with_zeros_on_a_certificate_is_refused) {
    static const uint8_t signatures[][8] = {{0x30, 6, 2, 1, 0, 2, 1, 0},
                                            {0x30, 6, 2, 1, 0, 2, 1, 1},
                                            {0x30, 6, 2, 1, 1, 2, 1, 0},
                                            {0x30, 6, 2, 1, 1, 2, 1, 1}};
    uint8_t der[RDG_CERT_DER_MAX], forged[RDG_CERT_DER_MAX];
    size_t len = certificate_by_openssl("uncompressed", der);
    rdg_reader_t outer, r;
    rdg_bytes_t tbs, algorithm;
    rdg_reader_init(&outer, rdg_bytes(der, len));
    CHECK(rdg_der_enter(&outer, RDG_DER_SEQUENCE, &r) && rdg_der_content(&r, RDG_DER_SEQUENCE, &tbs) &&
          rdg_der_content(&r, RDG_DER_SEQUENCE, &algorithm));
    for (size_t i = 0; i < 4; i++) {
        rdg_writer_t w;
        rdg_cert_t *cert = NULL;
        rdg_writer_init(&w, forged, sizeof forged);
        size_t start = rdg_der_open(&w);
        rdg_der_put(&w, RDG_DER_SEQUENCE, tbs);
        rdg_der_put(&w, RDG_DER_SEQUENCE, algorithm);
        rdg_der_put_bits(&w, rdg_bytes(signatures[i], 8));
        rdg_der_close(&w, start, RDG_DER_SEQUENCE);
        CHECK_OK(rdg_cert_parse(rdg_bytes(forged, rdg_writer_len(&w)), &cert));
        rdg_cert_t *root;
        CHECK_OK(rdg_cert_parse(rdg_bytes(der, len), &root));
        const rdg_cert_t *roots[] = {root};
        CHECK(rdg_cert_verify(cert, RDG_CERT_SIGN, NULL, 0, roots, 1, rdg_cert_not_before_s(cert) + 1) !=
              RDG_OK);
        rdg_cert_free(cert), rdg_cert_free(root);
    }
}

/* Two signatures with one nonce give the key away; a forked process that goes on with its parent's generator is
 * how that has happened. */
TEST(record_nonces_differ_also_across_a_fork) {
    enum { COUNT = 200 };
    static rdg_sm2_signature_t sig[2 * COUNT];
    rdg_sm2_key_t *key = test_key();
    int pair[2];
    CHECK_OK(rdg_sm2_sign(key, "m", 1, &sig[0])); /* the generator has run before it is copied */
    CHECK(pipe(pair) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    size_t from = pid == 0 ? COUNT : 0;
    for (size_t i = 0; i < COUNT; i++) CHECK_OK(rdg_sm2_sign(key, "m", 1, &sig[from + i]));
    if (pid == 0) _exit(write(pair[1], sig + COUNT, sizeof sig / 2) == sizeof sig / 2 ? 0 : 1);
    uint8_t *into = (uint8_t *)(sig + COUNT);
    close(pair[1]);
    for (size_t have = 0; have < sizeof sig / 2;) {
        ssize_t n = read(pair[0], into + have, sizeof sig / 2 - have);
        CHECK(n > 0);
        have += (size_t)n;
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
    for (size_t i = 0; i < 2 * COUNT; i++)
        for (size_t j = 0; j < i; j++) CHECK(memcmp(sig[i].b, sig[j].b, 32) != 0);
    rdg_sm2_key_free(key);
}
