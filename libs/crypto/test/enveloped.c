#include "ridge/crypto/enveloped.h"

#include <stdio.h>

#include "der.h"
#include "ridge/crypto/sm2_cipher.h"
#include "ridge/test.h"
#include "sm2_key.h"
#include "support.h"

typedef struct envelope {
    rdg_sm2_key_t *sign_key, *enc_key;
    rdg_sm2_public_t sign_pub, enc_pub;
    uint8_t der[RDG_ENVELOPED_MAX];
    size_t len;
} envelope_t;

static void make(envelope_t *e) {
    e->sign_key = test_key(), e->enc_key = test_key();
    rdg_sm2_key_public(e->sign_key, &e->sign_pub);
    rdg_sm2_key_public(e->enc_key, &e->enc_pub);
    CHECK_OK(rdg_enveloped_seal(e->enc_key, &e->sign_pub, e->der, &e->len));
}

static void drop(envelope_t *e) {
    rdg_sm2_key_free(e->sign_key), rdg_sm2_key_free(e->enc_key);
}

TEST(enveloped_key_comes_back_for_its_certificate) {
    envelope_t e;
    rdg_sm2_key_t *back;
    make(&e);
    CHECK_OK(rdg_enveloped_open(e.sign_key, NULL, rdg_bytes(e.der, e.len), &back));
    CHECK(test_same_key(back, e.enc_key));
    rdg_sm2_key_free(back);
    CHECK_OK(rdg_enveloped_open(e.sign_key, &e.enc_pub, rdg_bytes(e.der, e.len), &back));
    rdg_sm2_key_free(back);
    CHECK_ERR(rdg_enveloped_open(e.sign_key, &e.sign_pub, rdg_bytes(e.der, e.len), &back), RDG_E_INVALID);
    CHECK_ERR(rdg_enveloped_open(e.enc_key, NULL, rdg_bytes(e.der, e.len), &back), RDG_E_BAD_SIGNATURE);
    CHECK(!back);
    memset(e.sign_pub.b, 1, 64);
    CHECK_ERR(rdg_enveloped_seal(e.enc_key, &e.sign_pub, e.der, &e.len), RDG_E_INVALID);
    drop(&e);
}

/* The bare form, put together here from an SM2 ciphertext. */
static size_t bare(const envelope_t *e, uint8_t out[129]) {
    uint8_t scalar[32], der[RDG_SM2_CIPHERTEXT_MAX];
    size_t len;
    rdg_reader_t outer, r;
    rdg_bytes_t part;
    CHECK_OK(rdg_sm2_key_scalar(e->enc_key, scalar));
    CHECK_OK(rdg_sm2_encrypt(&e->sign_pub, der, &len, scalar, sizeof scalar));
    rdg_reader_init(&outer, rdg_bytes(der, len));
    CHECK(rdg_der_enter(&outer, RDG_DER_SEQUENCE, &r));
    memset(out, 0, 129);
    out[0] = 0x04;
    for (size_t i = 0; i < 2; i++) {
        CHECK(rdg_der_content(&r, RDG_DER_INTEGER, &part));
        if (part.len == 33) part.data++, part.len--;
        memcpy(out + 33 + 32 * i - part.len, part.data, part.len);
    }
    for (size_t i = 0; i < 2; i++) {
        CHECK(rdg_der_content(&r, RDG_DER_OCTETS, &part) && part.len == 32);
        memcpy(out + 65 + 32 * i, part.data, 32);
    }
    return 129;
}

TEST(enveloped_key_in_bare_form_needs_its_certificate) {
    envelope_t e;
    uint8_t raw[129];
    rdg_sm2_key_t *back;
    make(&e);
    for (int i = 0; i < 8; i++) { /* coordinates of all lengths come by */
        size_t len = bare(&e, raw);
        CHECK_OK(rdg_enveloped_open(e.sign_key, &e.enc_pub, rdg_bytes(raw, len), &back));
        CHECK(test_same_key(back, e.enc_key));
        rdg_sm2_key_free(back);
        CHECK_OK(rdg_enveloped_open(e.sign_key, &e.enc_pub, rdg_bytes(raw + 1, len - 1), &back));
        rdg_sm2_key_free(back);
    }
    CHECK_ERR(rdg_enveloped_open(e.sign_key, NULL, rdg_bytes(raw, 129), &back), RDG_E_INVALID);
    CHECK_ERR(rdg_enveloped_open(e.sign_key, &e.sign_pub, rdg_bytes(raw, 129), &back), RDG_E_BAD_SIGNATURE);
    CHECK_ERR(rdg_enveloped_open(e.enc_key, &e.enc_pub, rdg_bytes(raw, 129), &back), RDG_E_BAD_SIGNATURE);
    raw[0] = 0x02;
    CHECK_ERR(rdg_enveloped_open(e.sign_key, &e.enc_pub, rdg_bytes(raw, 129), &back), RDG_E_MALFORMED);
    raw[40] ^= 1; /* C1 leaves the curve */
    CHECK_ERR(rdg_enveloped_open(e.sign_key, &e.enc_pub, rdg_bytes(raw + 1, 128), &back), RDG_E_MALFORMED);
    raw[40] ^= 1, raw[70] ^= 1;
    CHECK_ERR(rdg_enveloped_open(e.sign_key, &e.enc_pub, rdg_bytes(raw + 1, 128), &back),
              RDG_E_BAD_SIGNATURE);
    CHECK(!back);
    drop(&e);
}

/* Whatever a change breaks inside of the encryption shows as one error with one text. */
TEST(enveloped_key_damaged_is_refused_and_decryption_says_one_thing) {
    envelope_t e;
    rdg_sm2_key_t *back;
    char text[RDG_ERROR_TEXT_MAX] = "";
    int undecryptable = 0;
    make(&e);
    for (size_t i = 0; i < e.len; i++) {
        e.der[i] ^= 0x20;
        rdg_err_t err = rdg_enveloped_open(e.sign_key, NULL, rdg_bytes(e.der, e.len), &back);
        CHECK(err != RDG_OK && !back);
        if (err == RDG_E_BAD_SIGNATURE) {
            if (!*text) snprintf(text, sizeof text, "%s", rdg_err_message(err));
            CHECK_STR(text, rdg_err_message(err));
            undecryptable++;
        }
        e.der[i] ^= 0x20;
        CHECK(rdg_enveloped_open(e.sign_key, NULL, rdg_bytes(e.der, i), &back) != RDG_OK);
    }
    CHECK(undecryptable >= 32 + 16 + 32); /* C3, C2 and the private key's bytes */
    drop(&e);
}

/* Sealed rightly, but an SM4 key of another length, or somebody else's private key inside. */
TEST(enveloped_key_with_wrong_content_says_the_same) {
    envelope_t e;
    rdg_sm2_key_t *back;
    uint8_t der[RDG_ENVELOPED_MAX], wrapped[RDG_SM2_CIPHERTEXT_MAX];
    make(&e);
    rdg_reader_t outer, r;
    rdg_bytes_t algorithm, cipher, point, sealed;
    rdg_reader_init(&outer, rdg_bytes(e.der, e.len));
    CHECK(rdg_der_enter(&outer, RDG_DER_SEQUENCE, &r) && rdg_der_content(&r, RDG_DER_SEQUENCE, &algorithm) &&
          rdg_der_content(&r, RDG_DER_SEQUENCE, &cipher) && rdg_der_bits(&r, &point) &&
          rdg_der_bits(&r, &sealed));
    static const size_t lengths[] = {1, 15, 16, 17, 32};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        size_t wrapped_len;
        uint8_t key[32] = {0};
        rdg_writer_t w;
        CHECK_OK(rdg_sm2_encrypt(&e.sign_pub, wrapped, &wrapped_len, key, lengths[i]));
        rdg_writer_init(&w, der, sizeof der);
        size_t start = rdg_der_open(&w);
        rdg_der_put(&w, RDG_DER_SEQUENCE, algorithm);
        rdg_write_bytes(&w, wrapped, wrapped_len);
        rdg_der_put_bits(&w, point);
        rdg_der_put_bits(&w, sealed);
        rdg_der_close(&w, start, RDG_DER_SEQUENCE);
        CHECK_ERR(rdg_enveloped_open(e.sign_key, NULL, rdg_bytes(der, rdg_writer_len(&w)), &back),
                  RDG_E_BAD_SIGNATURE);
    }
    static const size_t private_lengths[] = {0, 1, 31, 33, 48, 64};
    for (size_t i = 0; i < sizeof private_lengths / sizeof private_lengths[0]; i++) {
        static const uint8_t bytes[64];
        rdg_writer_t w;
        rdg_writer_init(&w, der, sizeof der);
        size_t start = rdg_der_open(&w);
        rdg_der_put(&w, RDG_DER_SEQUENCE, algorithm);
        rdg_der_put(&w, RDG_DER_SEQUENCE, cipher);
        rdg_der_put_bits(&w, point);
        rdg_der_put_bits(&w, rdg_bytes(bytes, private_lengths[i]));
        rdg_der_close(&w, start, RDG_DER_SEQUENCE);
        CHECK_ERR(rdg_enveloped_open(e.sign_key, NULL, rdg_bytes(der, rdg_writer_len(&w)), &back),
                  RDG_E_MALFORMED);
    }
    uint8_t *oid = memmem(e.der, e.len, "\x55\x01\x68\x01", 4);
    CHECK(oid);
    oid[2] = 0x66; /* SM1 */
    CHECK_ERR(rdg_enveloped_open(e.sign_key, NULL, rdg_bytes(e.der, e.len), &back), RDG_E_UNSUPPORTED);
    drop(&e);
}

TEST(enveloped_key_out_of_memory_is_said_and_leaks_nothing) {
    envelope_t e;
    rdg_err_t err;
    make(&e);
    RDG_TEST_ALLOC_LOOP(err) {
        rdg_sm2_key_t *back = NULL;
        err = rdg_enveloped_open(e.sign_key, NULL, rdg_bytes(e.der, e.len), &back);
        rdg_sm2_key_free(back);
    }
    RDG_TEST_ALLOC_LOOP(err) {
        err = rdg_enveloped_seal(e.enc_key, &e.sign_pub, e.der, &e.len);
    }
    drop(&e);
}
