/* The file of known answers, line by line, and a second implementation (libcrypto) on random input. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

#include "pkcs8.h"
#include "ridge/crypto/hmac.h"
#include "ridge/crypto/sm2_cipher.h"
#include "ridge/crypto/sm2_message.h"
#include "ridge/crypto/sm4.h"
#include "ridge/test.h"
#include "support.h"

#define FIELDS 6
#define FIELD_MAX 1024

typedef struct vector {
    char what[16];
    uint8_t field[FIELDS][FIELD_MAX];
    size_t len[FIELDS], count;
} vector_t;

static bool parse(char *line, vector_t *v) {
    char *rest = line, *word = strtok_r(line, " \n", &rest);
    if (!word || *word == '#') return false;
    snprintf(v->what, sizeof v->what, "%s", word);
    for (v->count = 0; (word = strtok_r(NULL, " \n", &rest)) != NULL; v->count++) {
        CHECK(v->count < FIELDS && strlen(word) <= 2 * FIELD_MAX);
        v->len[v->count] = strcmp(word, "-") == 0 ? 0 : test_unhex(word, v->field[v->count]);
    }
    return true;
}

static rdg_bytes_t field(const vector_t *v, size_t i) {
    CHECK(i < v->count);
    return rdg_bytes(v->field[i], v->len[i]);
}

/* Calls fn for each line of this kind; there must be `count`. */
static void each(const char *what, int count, void (*fn)(const vector_t *v)) {
    static vector_t v;
    char path[512], *line = NULL;
    size_t size = 0;
    const char *slash = strrchr(__FILE__, '/');
    snprintf(path, sizeof path, "%.*s/vectors/openssl.txt", (int)(slash - __FILE__), __FILE__);
    FILE *f = fopen(path, "r");
    CHECK(f);
    while (getline(&line, &size, f) > 0)
        if (parse(line, &v) && strcmp(v.what, what) == 0) fn(&v), count--;
    free(line);
    fclose(f);
    CHECK_EQ(count, 0);
}

static void check_cbc(const vector_t *v) {
    uint8_t out[FIELD_MAX];
    rdg_sm4_t *s;
    CHECK_OK(rdg_sm4_new(RDG_SM4_CBC, v->field[0], &s));
    rdg_sm4_cbc_encrypt(s, out, v->field[1], v->field[2], v->len[2]);
    CHECK_MEM(out, v->field[3], v->len[3]);
    rdg_sm4_cbc_decrypt(s, out, v->field[1], out, v->len[2]);
    CHECK(rdg_bytes_equal(rdg_bytes(out, v->len[3]), field(v, 2)));
    rdg_sm4_free(s);
}

static void check_ctr(const vector_t *v) {
    uint8_t out[FIELD_MAX];
    rdg_sm4_t *s;
    CHECK_OK(rdg_sm4_new(RDG_SM4_CTR, v->field[0], &s));
    rdg_sm4_ctr(s, out, v->field[1], v->field[2], v->len[2]);
    CHECK(rdg_bytes_equal(rdg_bytes(out, v->len[2]), field(v, 3)));
    rdg_sm4_free(s);
}

static void check_gcm(const vector_t *v) {
    uint8_t out[FIELD_MAX], tag[RDG_SM4_TAG_BYTES];
    rdg_sm4_t *s;
    CHECK_OK(rdg_sm4_new(RDG_SM4_GCM, v->field[0], &s));
    rdg_sm4_gcm_seal(s, out, tag, v->field[1], field(v, 2), v->field[4], v->len[4]);
    CHECK(rdg_bytes_equal(rdg_bytes(out, v->len[4]), field(v, 5)));
    CHECK(rdg_bytes_equal(rdg_bytes(tag, sizeof tag), field(v, 3)));
    CHECK_OK(rdg_sm4_gcm_open(s, out, v->field[1], field(v, 2), out, v->len[4], tag));
    CHECK(rdg_bytes_equal(rdg_bytes(out, v->len[4]), field(v, 4)));
    rdg_sm4_free(s);
}

TEST(vectors_of_sm4) {
    each("sm4-cbc", 4, check_cbc);
    each("sm4-ctr", 1, check_ctr);
    each("sm4-gcm", 1, check_gcm);
}

static void check_sm3(const vector_t *v) {
    rdg_hash_t got;
    rdg_sm3(v->field[0], v->len[0], &got);
    CHECK(rdg_bytes_equal(rdg_bytes(got.b, sizeof got.b), field(v, 1)));
}

static void check_hmac(const vector_t *v) {
    uint8_t got[RDG_HMAC_SM3_BYTES];
    const rdg_bytes_t parts[] = {field(v, 1)};
    rdg_hmac_sm3(got, field(v, 0), parts, 1);
    CHECK(rdg_bytes_equal(rdg_bytes(got, sizeof got), field(v, 2)));
}

TEST(vectors_of_sm3_and_hmac) {
    each("sm3", 7, check_sm3);
    each("hmac-sm3", 4, check_hmac);
}

static void check_verify(const vector_t *v) {
    rdg_sm2_key_t *key;
    rdg_sm2_public_t pub;
    rdg_sm2_signature_t sig;
    rdg_hash_t e;
    CHECK_OK(rdg_pkcs8_read(field(v, 0), &key));
    rdg_sm2_key_public(key, &pub);
    rdg_sm2_key_free(key);
    CHECK_OK(rdg_sm2_signature_from_der(field(v, 2), &sig));
    memcpy(e.b, v->field[1], sizeof e.b);
    CHECK_OK(rdg_sm2_verify_e(&pub, &e, &sig));
    e.b[31] ^= 1;
    CHECK_ERR(rdg_sm2_verify_e(&pub, &e, &sig), RDG_E_BAD_SIGNATURE);
}

static void check_decrypt(const vector_t *v) {
    rdg_sm2_key_t *key;
    uint8_t out[RDG_SM2_PLAINTEXT_MAX];
    size_t len;
    CHECK_OK(rdg_pkcs8_read(field(v, 0), &key));
    CHECK_OK(rdg_sm2_decrypt(key, out, &len, field(v, 1)));
    CHECK(rdg_bytes_equal(rdg_bytes(out, len), field(v, 2)));
    rdg_sm2_key_free(key);
}

TEST(vectors_of_sm2) {
    each("sm2-verify", 2, check_verify);
    each("sm2-decrypt", 1, check_decrypt);
}

/* libcrypto's SM4, by name; in place of padding, whole blocks. */
static void by_libcrypto(const char *name, uint8_t *out, const uint8_t *key, const uint8_t *iv,
                         const uint8_t *in, size_t len) {
    int first = 0, rest = 0;
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    CHECK(cipher && ctx && EVP_EncryptInit_ex2(ctx, cipher, key, iv, NULL) == 1);
    CHECK(EVP_CIPHER_CTX_set_padding(ctx, 0) == 1);
    CHECK(EVP_EncryptUpdate(ctx, out, &first, in, (int)len) == 1);
    CHECK(EVP_EncryptFinal_ex(ctx, out + first, &rest) == 1 && (size_t)(first + rest) == len);
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(cipher);
}

TEST(sm4_agrees_with_libcrypto) {
    static uint8_t in[5000], mine[5000], theirs[5000];
    for (int round = 0; round < 300; round++) {
        uint8_t key[16], iv[16];
        rdg_sm4_t *s;
        size_t len = 1 + (size_t)rdg_random_below(rdg_test_random(), round % 10 ? 300 : sizeof in - 16);
        rdg_random_fill(rdg_test_random(), key, sizeof key);
        rdg_random_fill(rdg_test_random(), iv, sizeof iv);
        rdg_random_fill(rdg_test_random(), in, sizeof in);
        if (round % 7 == 0) memset(iv + 8, 0xff, 8); /* the counter carries */
        CHECK_OK(rdg_sm4_new(RDG_SM4_CTR, key, &s));
        rdg_sm4_ctr(s, mine, iv, in, len);
        by_libcrypto("SM4-CTR", theirs, key, iv, in, len);
        CHECK_MEM(mine, theirs, len);
        rdg_sm4_free(s);
        len = (len + 15) / 16 * 16;
        CHECK_OK(rdg_sm4_new(RDG_SM4_CBC, key, &s));
        rdg_sm4_cbc_encrypt(s, mine, iv, in, len);
        by_libcrypto("SM4-CBC", theirs, key, iv, in, len);
        CHECK_MEM(mine, theirs, len);
        rdg_sm4_cbc_decrypt(s, mine, iv, mine, len);
        CHECK_MEM(mine, in, len);
        rdg_sm4_free(s);
    }
}

/* x·y of GCM's field, bit by bit (NIST SP 800-38D, 6.3). */
static void gcm_multiply(uint8_t x[16], const uint8_t y[16]) {
    uint8_t z[16] = {0}, v[16];
    memcpy(v, y, 16);
    for (int bit = 0; bit < 128; bit++) {
        for (int i = 0; i < 16 && x[bit / 8] >> (7 - bit % 8) & 1; i++) z[i] ^= v[i];
        int low = v[15] & 1;
        for (int i = 15; i > 0; i--) v[i] = (uint8_t)(v[i] >> 1 | v[i - 1] << 7);
        v[0] = (uint8_t)(v[0] >> 1 ^ (low ? 0xe1 : 0));
    }
    memcpy(x, z, 16);
}

static void gcm_absorb(uint8_t y[16], const uint8_t h[16], const uint8_t *data, size_t len) {
    for (size_t at = 0; at < len; at += 16) {
        for (size_t i = 0; i < 16 && at + i < len; i++) y[i] ^= data[at + i];
        gcm_multiply(y, h);
    }
}

/* GCM put together from libcrypto's counter mode and the field above, because libcrypto 3.0 has none for SM4. */
TEST(sm4_gcm_agrees_with_one_from_its_definition) {
    for (int round = 0; round < 200; round++) {
        uint8_t key[16], nonce[12], aad[40], in[200], mine[200], theirs[200], tag[16], zero[16] = {0};
        uint8_t h[16], counter[16] = {0}, first[16], y[16] = {0}, lengths[16];
        rdg_sm4_t *s;
        size_t len = (size_t)rdg_random_below(rdg_test_random(), sizeof in);
        size_t aad_len = (size_t)rdg_random_below(rdg_test_random(), sizeof aad);
        rdg_random_fill(rdg_test_random(), key, sizeof key);
        rdg_random_fill(rdg_test_random(), nonce, sizeof nonce);
        rdg_random_fill(rdg_test_random(), aad, sizeof aad);
        rdg_random_fill(rdg_test_random(), in, sizeof in);
        CHECK_OK(rdg_sm4_new(RDG_SM4_GCM, key, &s));
        rdg_sm4_gcm_seal(s, mine, tag, nonce, rdg_bytes(aad, aad_len), in, len);
        rdg_sm4_free(s);
        by_libcrypto("SM4-CBC", h, key, zero, zero, 16);
        memcpy(counter, nonce, 12);
        counter[15] = 1;
        by_libcrypto("SM4-CTR", first, key, counter, zero, 16);
        counter[15] = 2;
        if (len) by_libcrypto("SM4-CTR", theirs, key, counter, in, len);
        CHECK_MEM(mine, theirs, len);
        gcm_absorb(y, h, aad, aad_len);
        gcm_absorb(y, h, theirs, len);
        rdg_store_be64(lengths, 8 * aad_len);
        rdg_store_be64(lengths + 8, 8 * len);
        gcm_absorb(y, h, lengths, 16);
        for (int i = 0; i < 16; i++) y[i] ^= first[i];
        CHECK_MEM(tag, y, 16);
    }
}

TEST(sm3_and_hmac_agree_with_libcrypto) {
    static uint8_t in[3000], key[200];
    for (int round = 0; round < 500; round++) {
        rdg_hash_t mine;
        uint8_t theirs[32], mac[32];
        unsigned theirs_len = 0;
        size_t len = round < 200 ? (size_t)round : (size_t)rdg_random_below(rdg_test_random(), sizeof in);
        size_t key_len = 1 + (size_t)rdg_random_below(rdg_test_random(), sizeof key);
        rdg_random_fill(rdg_test_random(), in, sizeof in);
        rdg_random_fill(rdg_test_random(), key, sizeof key);
        rdg_sm3(in, len, &mine);
        CHECK(EVP_Digest(in, len, theirs, &theirs_len, EVP_sm3(), NULL) == 1 && theirs_len == 32);
        CHECK_MEM(mine.b, theirs, 32);
        const rdg_bytes_t parts[] = {{in, len}};
        rdg_hmac_sm3(mac, rdg_bytes(key, key_len), parts, 1);
        CHECK(HMAC(EVP_sm3(), key, (int)key_len, in, len, theirs, &theirs_len) && theirs_len == 32);
        CHECK_MEM(mac, theirs, 32);
    }
}
