#include "ridge/crypto/sm2_message.h"

#include "ridge/crypto/sm2_cipher.h"
#include "ridge/test.h"
#include "support.h"

TEST(sm2_message_with_the_default_id_is_the_ordinary_signature) {
    rdg_sm2_key_t *key = test_key();
    rdg_sm2_public_t pub;
    rdg_hash_t z, e;
    rdg_sm2_signature_t sig;
    rdg_sm2_key_public(key, &pub);
    CHECK_OK(rdg_sm2_user_z(&pub, rdg_bytes_str(RDG_SM2_USER_ID), &z));
    const rdg_bytes_t parts[] = {{z.b, 32}, rdg_bytes_str("hello")};
    rdg_sm3_parts(parts, 2, &e);
    CHECK_OK(rdg_sm2_sign_e(key, &e, &sig));
    CHECK_OK(rdg_sm2_verify(&pub, "hello", 5, &sig));
    CHECK_OK(rdg_sm2_verify_e(&pub, &e, &sig));
    CHECK_OK(rdg_sm2_sign(key, "hello", 5, &sig));
    CHECK_OK(rdg_sm2_verify_e(&pub, &e, &sig));
    e.b[0] ^= 1;
    CHECK_ERR(rdg_sm2_verify_e(&pub, &e, &sig), RDG_E_BAD_SIGNATURE);
    memset(pub.b, 1, 64);
    CHECK_ERR(rdg_sm2_verify_e(&pub, &e, &sig), RDG_E_BAD_SIGNATURE);
    static uint8_t id[RDG_SM2_USER_ID_MAX + 1];
    CHECK_OK(rdg_sm2_user_z(&pub, rdg_bytes(id, sizeof id - 1), &z));
    CHECK_ERR(rdg_sm2_user_z(&pub, rdg_bytes(id, sizeof id), &z), RDG_E_INVALID);
    CHECK_OK(rdg_sm2_user_z(&pub, rdg_bytes(NULL, 0), &z));
    rdg_sm2_key_free(key);
}
