#include "ridge/crypto/sm4.h"

#include <stdio.h>
#include "ridge/crypto/hash.h"
#include "ridge/crypto/hmac.h"
#include "ridge/test.h"
#include "sm3_block.h"

static size_t unhex(const char *hex, uint8_t *out) {
    size_t len = strlen(hex) / 2;
    for (size_t i = 0; i < len; i++) {
        unsigned v = 0;
        sscanf(hex + 2 * i, "%2x", &v);
        out[i] = (uint8_t)v;
    }
    return len;
}

/* GB/T 32907-2016 appendix A.1: one block; CBC with a zero IV over one block is the bare cipher. */
TEST(sm4_standard_example) {
    uint8_t key[16], got[16], want[16], back[16], zero[16] = {0};
    rdg_sm4_t *s;
    unhex("0123456789abcdeffedcba9876543210", key);
    unhex("681edf34d206965e86b3e94f536e4246", want);
    CHECK_OK(rdg_sm4_new(RDG_SM4_CBC, key, &s));
    rdg_sm4_cbc_encrypt(s, got, zero, key, 16);
    CHECK_MEM(got, want, 16);
    rdg_sm4_cbc_decrypt(s, back, zero, got, 16);
    CHECK_MEM(back, key, 16);
    rdg_sm4_free(s);
}

/* Appendix A.2: the block encrypted a million times. A CBC over zeros with IV as start does the same. */
TEST(sm4_standard_example_of_a_million_rounds) {
    enum { ROUNDS = 1000000, STEP = 8000 };
    static uint8_t block[16 * STEP];
    uint8_t key[16], iv[16], want[16];
    static const uint8_t zeros[16 * STEP];
    rdg_sm4_t *s;
    unhex("0123456789abcdeffedcba9876543210", key);
    unhex("595298c7c6fd271f0402f804c33d3f66", want);
    memcpy(iv, key, 16);
    CHECK_OK(rdg_sm4_new(RDG_SM4_CBC, key, &s));
    for (int i = 0; i < ROUNDS / STEP; i++) {
        rdg_sm4_cbc_encrypt(s, block, iv, zeros, sizeof block);
        memcpy(iv, block + sizeof block - 16, 16);
    }
    CHECK_MEM(iv, want, 16);
    rdg_sm4_free(s);
}

/* RFC 8998 appendix A.1. */
TEST(sm4_gcm_rfc_8998) {
    uint8_t key[16], nonce[12], aad[20], plain[64], sealed[64], tag[16], want[64], want_tag[16];
    unhex("0123456789ABCDEFFEDCBA9876543210", key);
    unhex("00001234567800000000ABCD", nonce);
    unhex("FEEDFACEDEADBEEFFEEDFACEDEADBEEFABADDAD2", aad);
    CHECK_EQ(unhex("AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBCCCCCCCCCCCCCCCCDDDDDDDDDDDDDDDD"
                   "EEEEEEEEEEEEEEEEFFFFFFFFFFFFFFFFEEEEEEEEEEEEEEEEAAAAAAAAAAAAAAAA",
                   plain),
             64);
    unhex("17F399F08C67D5EE19D0DC9969C4BB7D5FD46FD3756489069157B282BB200735"
          "D82710CA5C22F0CCFA7CBF93D496AC15A56834CBCF98C397B4024A2691233B8D",
          want);
    unhex("83DE3541E4C2B58177E065A9BF7B62EC", want_tag);
    rdg_sm4_t *s;
    CHECK_OK(rdg_sm4_new(RDG_SM4_GCM, key, &s));
    rdg_sm4_gcm_seal(s, sealed, tag, nonce, rdg_bytes(aad, 20), plain, 64);
    CHECK_MEM(sealed, want, 64);
    CHECK_MEM(tag, want_tag, 16);
    CHECK_OK(rdg_sm4_gcm_open(s, sealed, nonce, rdg_bytes(aad, 20), sealed, 64, tag));
    CHECK_MEM(sealed, plain, 64);

    static const uint8_t nothing[64];
    tag[15] ^= 1;
    CHECK_ERR(rdg_sm4_gcm_open(s, sealed, nonce, rdg_bytes(aad, 20), want, 64, tag), RDG_E_BAD_SIGNATURE);
    CHECK_MEM(sealed, nothing, 64);
    tag[15] ^= 1, aad[0] ^= 1;
    CHECK_ERR(rdg_sm4_gcm_open(s, sealed, nonce, rdg_bytes(aad, 20), want, 64, tag), RDG_E_BAD_SIGNATURE);
    rdg_sm4_free(s);
}

TEST(sm4_ctr_of_any_length_is_its_own_inverse) {
    uint8_t key[16], counter[16], text[100], got[100], whole[100];
    rdg_random_fill(rdg_test_random(), key, 16);
    memset(counter, 0xff, 16); /* the counter runs over */
    rdg_random_fill(rdg_test_random(), text, sizeof text);
    rdg_sm4_t *s;
    CHECK_OK(rdg_sm4_new(RDG_SM4_CTR, key, &s));
    rdg_sm4_ctr(s, whole, counter, text, sizeof text);
    for (size_t len = 0; len <= sizeof text; len++) {
        rdg_sm4_ctr(s, got, counter, text, len);
        CHECK_MEM(got, whole, len);
        rdg_sm4_ctr(s, got, counter, got, len);
        CHECK_MEM(got, text, len);
    }
    rdg_sm4_free(s);
}

TEST(sm3_blocks_agree_with_libgcrypt) {
    uint8_t abc[64] = "abc\x80", got[32];
    abc[63] = 24;
    rdg_sm3_block_t state;
    rdg_hash_t want;
    rdg_sm3_block_init(&state);
    rdg_sm3_block_mix(&state, abc);
    rdg_sm3_block_store(&state, got);
    rdg_sm3("abc", 3, &want);
    CHECK_MEM(got, want.b, 32);
}

/* Computed with OpenSSL: key 01 02 .. 14, data 50 times cd. */
TEST(hmac_sm3_known_answers) {
    uint8_t key[100], data[50], got[32], want[32];
    for (int i = 0; i < 20; i++) key[i] = (uint8_t)(i + 1);
    memset(data, 0xcd, sizeof data);
    const rdg_bytes_t parts[] = {{data, 20}, {NULL, 0}, {data + 20, 30}};
    rdg_hmac_sm3(got, rdg_bytes(key, 20), parts, 3);
    unhex("42447547733b862a7b18faa1e88faecfea51568696e58b49c09e3f0e69baaafe", want);
    CHECK_MEM(got, want, 32);
    memset(key, 0xaa, sizeof key); /* longer than a block: hashed first */
    rdg_hmac_sm3(got, rdg_bytes(key, 100), parts, 1);
    unhex("56581ff19f2b68ea537b0f9b8cbdaa64161e963e16437e811209f3738dbe1d44", want);
    CHECK_MEM(got, want, 32);
}

TEST(hmac_of_a_hidden_length_is_the_same) {
    uint8_t key[32], data[700], head[13], got[32], want[32];
    rdg_random_fill(rdg_test_random(), key, sizeof key);
    rdg_random_fill(rdg_test_random(), data, sizeof data);
    rdg_random_fill(rdg_test_random(), head, sizeof head);
    for (size_t whole = 0; whole <= sizeof data; whole += whole < 140 ? 1 : 37) {
        for (size_t len = whole > 256 ? whole - 256 : 0; len <= whole; len++) {
            const rdg_bytes_t parts[] = {{head, sizeof head}, {data, len}};
            rdg_hmac_sm3(want, rdg_bytes(key, 32), parts, 2);
            rdg_hmac_sm3_hidden(got, key, parts[0], rdg_bytes(data, whole), len);
            CHECK_MEM(got, want, 32);
        }
    }
}
