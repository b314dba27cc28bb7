#include "ridge/crypto/sm2.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ridge/base/file.h"
#include "ridge/test.h"
#include "sm2_der.h"
#include "sm2_digest.h"

static void unhex(const char *hex, uint8_t *out) {
    for (size_t i = 0; hex[2 * i]; i++) {
        unsigned v;
        sscanf(hex + 2 * i, "%2x", &v);
        out[i] = (uint8_t)v;
    }
}

static rdg_sm2_key_t *new_key(void) {
    rdg_sm2_key_t *k = NULL;
    CHECK_OK(rdg_sm2_key_generate(&k));
    return k;
}

/* GB/T 32918.5-2017 appendix A.2: key, message and signature on the recommended curve. */
TEST(sm2_standard_example) {
    uint8_t d[32];
    rdg_sm2_public_t pub, want;
    rdg_sm2_signature_t sig;
    rdg_sm2_key_t *key;
    unhex("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8", d);
    unhex("09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
          "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13",
          want.b);
    CHECK_OK(rdg_sm2_key_from_scalar(d, &key));
    rdg_sm2_key_public(key, &pub);
    CHECK_MEM(pub.b, want.b, 64);
    uint8_t z[32];
    rdg_hash_t got;
    unhex("B2E14C5C79C6DF5B85F4FE7ED8DB7A262B9DA7E07CCB0EA9F4747B8CCDA8A4F3", z);
    rdg_sm2_z(&pub, &got);
    CHECK_MEM(got.b, z, 32);
    unhex("F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3"
          "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA",
          sig.b);
    CHECK_OK(rdg_sm2_verify_standard(&pub, "message digest", 14, &sig));
    CHECK_ERR(rdg_sm2_verify_standard(&pub, "message digesT", 14, &sig), RDG_E_BAD_SIGNATURE);
    /* Its s is high, so it is a valid signature and no canonical one. */
    CHECK_ERR(rdg_sm2_verify(&pub, "message digest", 14, &sig), RDG_E_BAD_SIGNATURE);
    rdg_sm2_key_free(key);
}

TEST(sm2_signatures_are_canonical_and_verify) {
    rdg_sm2_key_t *key = new_key();
    rdg_sm2_public_t pub;
    rdg_sm2_key_public(key, &pub);
    for (int i = 0; i < 20; i++) {
        uint8_t msg[100];
        rdg_random_fill(rdg_test_random(), msg, sizeof msg);
        rdg_sm2_signature_t sig;
        CHECK_OK(rdg_sm2_sign(key, msg, (size_t)i * 5, &sig));
        CHECK(memcmp(sig.b + 32, rdg_sm2_half_n, 32) <= 0);
        CHECK_OK(rdg_sm2_verify(&pub, msg, (size_t)i * 5, &sig));
        msg[0] ^= 1;
        if (i) CHECK_ERR(rdg_sm2_verify(&pub, msg, (size_t)i * 5, &sig), RDG_E_BAD_SIGNATURE);
    }
    rdg_sm2_key_free(key);
}

TEST(sm2_batch_answers_for_each) {
    rdg_sm2_key_t *key = new_key();
    rdg_sm2_public_t pub;
    rdg_sm2_key_public(key, &pub);
    rdg_sm2_signature_t sig[3];
    rdg_sm2_check_t checks[3];
    rdg_err_t results[3];
    for (int i = 0; i < 3; i++) {
        CHECK_OK(rdg_sm2_sign(key, "m", 1, &sig[i]));
        checks[i] = (rdg_sm2_check_t){&pub, rdg_bytes("m", 1), &sig[i], false};
    }
    sig[1].b[40] ^= 1;
    rdg_sm2_verify_batch(checks, 3, results);
    CHECK_EQ(results[0], RDG_OK);
    CHECK_EQ(results[1], RDG_E_BAD_SIGNATURE);
    CHECK_EQ(results[2], RDG_OK);
    rdg_sm2_key_free(key);
}

TEST(sm2_public_key_must_be_on_the_curve) {
    rdg_sm2_key_t *key = new_key();
    rdg_sm2_public_t pub, out;
    rdg_sm2_key_public(key, &pub);
    uint8_t enc[65] = {4};
    memcpy(enc + 1, pub.b, 64);
    CHECK_OK(rdg_sm2_public_decode(rdg_bytes(enc, 65), &out));
    CHECK_MEM(out.b, pub.b, 64);
    CHECK_OK(rdg_sm2_public_decode(rdg_bytes(pub.b, 64), &out));
    enc[0] = 3;
    CHECK_ERR(rdg_sm2_public_decode(rdg_bytes(enc, 65), &out), RDG_E_MALFORMED);
    CHECK_ERR(rdg_sm2_public_decode(rdg_bytes(enc, 63), &out), RDG_E_MALFORMED);
    CHECK_ERR(rdg_sm2_public_decode(rdg_bytes(NULL, 0), &out), RDG_E_MALFORMED);
    pub.b[63] ^= 1;
    CHECK_ERR(rdg_sm2_public_decode(rdg_bytes(pub.b, 64), &out), RDG_E_MALFORMED);
    memset(pub.b, 0, 64);
    CHECK_ERR(rdg_sm2_public_decode(rdg_bytes(pub.b, 64), &out), RDG_E_MALFORMED);
    memset(pub.b, 0xff, 64);
    CHECK_ERR(rdg_sm2_public_decode(rdg_bytes(pub.b, 64), &out), RDG_E_MALFORMED);
    rdg_sm2_key_free(key);
}

TEST(sm2_scalar_limits) {
    uint8_t d[32] = {0};
    rdg_sm2_key_t *key;
    CHECK_ERR(rdg_sm2_key_from_scalar(d, &key), RDG_E_INVALID);
    d[31] = 1;
    CHECK_OK(rdg_sm2_key_from_scalar(d, &key));
    rdg_sm2_public_t pub;
    rdg_sm2_key_public(key, &pub);
    CHECK_MEM(pub.b, rdg_sm2_gx, 32);
    CHECK_MEM(pub.b + 32, rdg_sm2_gy, 32);
    rdg_sm2_key_free(key);
    memcpy(d, rdg_sm2_n, 32);
    CHECK_ERR(rdg_sm2_key_from_scalar(d, &key), RDG_E_INVALID);
    d[31]--; /* n - 1 */
    CHECK_ERR(rdg_sm2_key_from_scalar(d, &key), RDG_E_INVALID);
    d[31]--;
    CHECK_OK(rdg_sm2_key_from_scalar(d, &key));
    rdg_sm2_key_free(key);
}

TEST(sm2_key_file_round_trip_and_permissions) {
    char path[512];
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "key.pem"));
    rdg_sm2_key_t *a, *b;
    CHECK_ERR(rdg_sm2_key_load(path, &a), RDG_E_NOT_FOUND);
    CHECK_OK(rdg_sm2_key_load_or_generate(path, &a));
    struct stat st;
    CHECK(stat(path, &st) == 0);
    CHECK_EQ(st.st_mode & 07777, 0600);
    CHECK_OK(rdg_sm2_key_load_or_generate(path, &b));
    rdg_sm2_public_t pa, pb;
    rdg_sm2_key_public(a, &pa);
    rdg_sm2_key_public(b, &pb);
    CHECK_MEM(pa.b, pb.b, 64);
    rdg_sm2_signature_t sig;
    CHECK_OK(rdg_sm2_sign(b, "x", 1, &sig));
    CHECK_OK(rdg_sm2_verify(&pa, "x", 1, &sig));
    rdg_sm2_key_free(a);
    rdg_sm2_key_free(b);

    CHECK(chmod(path, 0640) == 0);
    CHECK_ERR(rdg_sm2_key_load(path, &a), RDG_E_FORBIDDEN);
    CHECK(strstr(rdg_err_message(RDG_E_FORBIDDEN), "chmod 600") != NULL);
    CHECK_ERR(rdg_sm2_key_load_or_generate(path, &a), RDG_E_FORBIDDEN);
}

TEST(sm2_key_file_refuses_other_content) {
    char path[512];
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "key.pem"));
    static const char ec_p256[] = "-----BEGIN PRIVATE KEY-----\n"
                                  "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgAQEBAQEBAQEBAQEBAQEBAQEB\n"
                                  "AQEBAQEBAQEBAQEBAQGhRANCAARv8DvU8kFXK9UGW0WX3rajJLnMUD6QBXdp3XQw9JcVzWeG\n"
                                  "JjQyXM/fzbuMMyT7V+KzOmQEqlK6hA13CTxlNKNS\n-----END PRIVATE KEY-----\n";
    const rdg_bytes_t contents[] = {rdg_bytes("", 0), rdg_bytes_str("not a key\n"), rdg_bytes_str(ec_p256)};
    rdg_sm2_key_t *key;
    for (size_t i = 0; i < 3; i++) {
        CHECK_OK(rdg_file_replace(path, contents[i], 0600));
        rdg_err_t want = i == 2 ? RDG_E_UNSUPPORTED : RDG_E_CORRUPT;
        CHECK_ERR(rdg_sm2_key_load(path, &key), want);
        CHECK_ERR(rdg_sm2_key_load_or_generate(path, &key), want);
    }
}

TEST(sm2_der_is_strict) {
    rdg_sm2_signature_t sig, back;
    uint8_t der[RDG_SM2_DER_MAX];
    for (int i = 0; i < 200; i++) {
        rdg_random_fill(rdg_test_random(), sig.b, 64);
        if (i % 3 == 0) memset(sig.b, 0, (size_t)i % 33);
        if (i % 5 == 0) memset(sig.b + 32, 0, (size_t)i % 33);
        size_t len = rdg_sm2_signature_to_der(&sig, der);
        CHECK_OK(rdg_sm2_signature_from_der(rdg_bytes(der, len), &back));
        CHECK_MEM(sig.b, back.b, 64);
        CHECK_ERR(rdg_sm2_signature_from_der(rdg_bytes(der, len - 1), &back), RDG_E_MALFORMED);
    }
    static const struct {
        const char *der;
        size_t len;
    } bad[] = {
        {"\x30\x07\x02\x02\x00\x01\x02\x01\x01", 9}, /* needless zero */
        {"\x30\x06\x02\x01\x81\x02\x01\x01", 8},     /* negative */
        {"\x30\x06\x02\x01\x01\x02\x01\x01\x00", 9}, /* trailing byte */
        {"\x30\x81\x06\x02\x01\x01\x02\x01\x01", 9}, /* long form of a short length */
        {"\x30\x05\x02\x00\x02\x01\x01", 7},         /* empty integer */
        {"\x31\x06\x02\x01\x01\x02\x01\x01", 8},
        {"\x30\x06\x02\x01\x01\x04\x01\x01", 8},
        {"\x30\x09\x02\x01\x01\x02\x01\x01\x02\x01\x01", 11}, /* three integers */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_ERR(rdg_sm2_signature_from_der(rdg_bytes(bad[i].der, bad[i].len), &back), RDG_E_MALFORMED);
}

TEST(address_is_the_end_of_sm3_of_the_key) {
    rdg_sm2_key_t *key = new_key();
    rdg_sm2_public_t pub;
    rdg_sm2_key_public(key, &pub);
    rdg_address_t a, b;
    rdg_hash_t h;
    rdg_sm2_address(&pub, &a);
    rdg_sm3(pub.b, 64, &h);
    CHECK_MEM(a.b, h.b + 12, 20);
    b = a;
    CHECK(rdg_address_equal(&a, &b));
    b.b[19] ^= 1;
    CHECK(!rdg_address_equal(&a, &b));
    rdg_sm2_key_free(key);
}
