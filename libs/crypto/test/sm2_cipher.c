#include "ridge/crypto/sm2_cipher.h"

#include <stdio.h>
#include "ridge/test.h"

static size_t unhex(const char *hex, uint8_t *out) {
    size_t len = strlen(hex) / 2;
    for (size_t i = 0; i < len; i++) {
        unsigned v = 0;
        sscanf(hex + 2 * i, "%2x", &v);
        out[i] = (uint8_t)v;
    }
    return len;
}

/* GB/T 32918.5-2017 appendix C.2, its C1, C3, C2 put into GB/T 35276's DER. */
TEST(sm2_decrypts_the_standard_example) {
    uint8_t d[32], der[200], out[RDG_SM2_PLAINTEXT_MAX];
    size_t len;
    rdg_sm2_key_t *key;
    unhex("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8", d);
    size_t der_len = unhex("307C"
                           "022004EBFC718E8D1798620432268E77FEB6415E2EDE0E073C0F4F640ECD2E149A73"
                           "022100E858F9D81E5430A57B36DAAB8F950A3C64E6EE6A63094D99283AFF767E124DF0"
                           "042059983C18F809E262923C53AEC295D30383B54E39D609D160AFCB1908D0BD8766"
                           "041321886CA989CA9C7D58087307CA93092D651EFA",
                           der);
    CHECK_OK(rdg_sm2_key_from_scalar(d, &key));
    CHECK_OK(rdg_sm2_decrypt(key, out, &len, rdg_bytes(der, der_len)));
    CHECK_EQ(len, 19);
    CHECK_MEM(out, "encryption standard", 19);
    rdg_sm2_key_free(key);
}

TEST(sm2_cipher_round_trips_and_refuses_every_changed_byte) {
    rdg_sm2_key_t *key;
    rdg_sm2_public_t pub;
    uint8_t msg[RDG_SM2_PLAINTEXT_MAX + 1], sealed[RDG_SM2_CIPHERTEXT_MAX], out[RDG_SM2_PLAINTEXT_MAX];
    size_t sealed_len, len;
    CHECK_OK(rdg_sm2_key_generate(&key));
    rdg_sm2_key_public(key, &pub);
    rdg_random_fill(rdg_test_random(), msg, sizeof msg);
    for (size_t n = 1; n <= RDG_SM2_PLAINTEXT_MAX; n += n < 4 ? 1 : 25) {
        CHECK_OK(rdg_sm2_encrypt(&pub, sealed, &sealed_len, msg, n));
        CHECK_OK(rdg_sm2_decrypt(key, out, &len, rdg_bytes(sealed, sealed_len)));
        CHECK_EQ(len, n);
        CHECK_MEM(out, msg, n);
    }
    CHECK_OK(rdg_sm2_encrypt(&pub, sealed, &sealed_len, msg, RDG_SM2_PLAINTEXT_MAX));
    CHECK_ERR(rdg_sm2_encrypt(&pub, sealed, &len, msg, RDG_SM2_PLAINTEXT_MAX + 1), RDG_E_TOO_LARGE);
    CHECK_ERR(rdg_sm2_encrypt(&pub, sealed, &len, msg, 0), RDG_E_INVALID);
    CHECK_OK(rdg_sm2_encrypt(&pub, sealed, &sealed_len, msg, 48));
    for (size_t i = 0; i < sealed_len; i++) {
        sealed[i] ^= 0x10;
        CHECK(rdg_sm2_decrypt(key, out, &len, rdg_bytes(sealed, sealed_len)) != RDG_OK);
        CHECK_EQ(len, 0);
        sealed[i] ^= 0x10;
        CHECK_ERR(rdg_sm2_decrypt(key, out, &len, rdg_bytes(sealed, i)), RDG_E_MALFORMED);
    }
    memset(pub.b, 1, sizeof pub.b);
    CHECK_ERR(rdg_sm2_encrypt(&pub, sealed, &len, msg, 48), RDG_E_INVALID);
    rdg_sm2_key_free(key);
}

TEST(sm2_standard_signatures_verify) {
    rdg_sm2_key_t *key;
    rdg_sm2_public_t pub;
    rdg_sm2_signature_t sig;
    CHECK_OK(rdg_sm2_key_generate(&key));
    rdg_sm2_key_public(key, &pub);
    for (int i = 0; i < 20; i++) {
        CHECK_OK(rdg_sm2_sign_standard(key, &i, sizeof i, &sig));
        CHECK_OK(rdg_sm2_verify_standard(&pub, &i, sizeof i, &sig));
    }
    rdg_sm2_key_free(key);
}
