#include <string.h>

#include "ctime.h"
#include "pkcs8.h"
#include "ridge/base/alloc.h"
#include "ridge/crypto/enveloped.h"
#include "ridge/crypto/hmac.h"
#include "ridge/crypto/keyfile.h"
#include "ridge/crypto/sm2_cipher.h"
#include "ridge/crypto/sm4.h"

/* GB/T 32918.5's example. */
static const uint8_t number[32] = {0x39, 0x45, 0x20, 0x8f, 0x7b, 0x21, 0x44, 0xb1, 0x3f, 0x36, 0xe3,
                                   0x8a, 0xc6, 0xd3, 0x9f, 0x95, 0x88, 0x93, 0x93, 0x69, 0x28, 0x60,
                                   0xb5, 0x1a, 0x42, 0xfb, 0x81, 0xef, 0x4d, 0xf7, 0xc5, 0xb8};

static rdg_sm2_key_t *secret_key(void) {
    uint8_t scalar[32];
    rdg_sm2_key_t *key;
    memcpy(scalar, number, sizeof scalar);
    RDG_SECRET(scalar, sizeof scalar);
    MUST(rdg_sm2_key_from_scalar(scalar, &key) == RDG_OK);
    return key;
}

static rdg_sm2_key_t *public_key(rdg_sm2_public_t *pub) {
    rdg_sm2_key_t *key;
    MUST(rdg_sm2_key_from_scalar(number, &key) == RDG_OK);
    rdg_sm2_key_public(key, pub);
    return key;
}

static void sign(void) {
    rdg_sm2_key_t *key = secret_key();
    rdg_sm2_public_t pub;
    rdg_sm2_signature_t sig;
    MUST(rdg_sm2_sign(key, "abc", 3, &sig) == RDG_OK);
    rdg_sm2_key_public(key, &pub);
    MUST(rdg_sm2_verify(&pub, "abc", 3, &sig) == RDG_OK);
    rdg_sm2_key_free(key);
}

static void decrypt(void) {
    rdg_sm2_public_t pub;
    uint8_t sealed[RDG_SM2_CIPHERTEXT_MAX], plain[RDG_SM2_PLAINTEXT_MAX];
    size_t sealed_len, len;
    rdg_sm2_key_free(public_key(&pub));
    MUST(rdg_sm2_encrypt(&pub, sealed, &sealed_len, "a secret of the peer", 20) == RDG_OK);
    rdg_sm2_key_t *key = secret_key();
    MUST(rdg_sm2_decrypt(key, plain, &len, rdg_bytes(sealed, sealed_len)) == RDG_OK && len == 20);
    RDG_PUBLIC(plain, len);
    MUST(memcmp(plain, "a secret of the peer", len) == 0);
    sealed[sealed_len - 1] ^= 1;
    MUST(rdg_sm2_decrypt(key, plain, &len, rdg_bytes(sealed, sealed_len)) == RDG_E_BAD_SIGNATURE);
    rdg_sm2_key_free(key);
}

static void hmac(void) {
    uint8_t key[32] = {1}, data[300] = {2}, a[32], b[32];
    RDG_SECRET(key, sizeof key);
    RDG_SECRET(data, sizeof data);
    const rdg_bytes_t parts[] = {{data, sizeof data}};
    rdg_hmac_sm3(a, rdg_bytes(key, sizeof key), parts, 1);
    size_t hidden = 190;
    RDG_SECRET(&hidden, sizeof hidden);
    rdg_hmac_sm3_hidden(b, key, rdg_bytes("head", 4), parts[0], hidden);
    int equal = rdg_ct_equal(a, b, sizeof a);
    RDG_PUBLIC(&equal, sizeof equal);
    MUST(!equal);
}

static void gcm(void) {
    uint8_t key[16] = {1}, nonce[12] = {2}, text[100] = {3}, tag[16];
    rdg_sm4_t *cipher;
    RDG_SECRET(key, sizeof key);
    RDG_SECRET(text, sizeof text);
    MUST(rdg_sm4_new(RDG_SM4_GCM, key, &cipher) == RDG_OK);
    rdg_sm4_gcm_seal(cipher, text, tag, nonce, rdg_bytes("aad", 3), text, sizeof text);
    MUST(rdg_sm4_gcm_open(cipher, text, nonce, rdg_bytes("aad", 3), text, sizeof text, tag) == RDG_OK);
    tag[3] ^= 1;
    MUST(rdg_sm4_gcm_open(cipher, text, nonce, rdg_bytes("aad", 3), text, sizeof text, tag) != RDG_OK);
    rdg_sm4_free(cipher);
}

static void open_file(bool credential) {
    char text[RDG_KEYFILE_SEALED_MAX];
    uint8_t secret[32] = "0123456789abcdef0123456789abcde";
    const rdg_bytes_t view = {secret, sizeof secret};
    rdg_sm2_public_t pub;
    size_t len;
    rdg_sm2_key_t *key = public_key(&pub), *back;
    MUST((credential
              ? rdg_keyfile_seal_credential(key, "x", view, text, &len)
              : rdg_keyfile_seal_passphrase(key, view, RDG_KEYFILE_SCRYPT_LOG2_MIN, text, &len)) == RDG_OK);
    rdg_sm2_key_free(key);
    RDG_SECRET(secret, sizeof secret);
    MUST(rdg_keyfile_open(rdg_bytes(text, len), view, &back) == RDG_OK);
    rdg_sm2_key_free(back);
    secret[0] ^= 1;
    MUST(rdg_keyfile_open(rdg_bytes(text, len), view, &back) == RDG_E_UNAUTHENTICATED);
}

static void keyfile_credential(void) {
    open_file(true);
}

static void keyfile_passphrase(void) {
    open_file(false);
}

static void keyfile_seal(void) {
    rdg_sm2_key_t *key = secret_key();
    uint8_t secret[32] = "0123456789abcdef0123456789abcde";
    char text[RDG_KEYFILE_SEALED_MAX];
    size_t len;
    RDG_SECRET(secret, sizeof secret);
    MUST(rdg_keyfile_seal_credential(key, "x", rdg_bytes(secret, sizeof secret), text, &len) == RDG_OK);
    rdg_sm2_key_free(key);
}

static void pkcs8(void) {
    rdg_sm2_key_t *key = secret_key(), *back;
    uint8_t der[RDG_PKCS8_DER_MAX];
    size_t len;
    MUST(rdg_pkcs8_write(key, der, &len) == RDG_OK);
    MUST(rdg_pkcs8_read(rdg_bytes(der, len), &back) == RDG_OK);
    rdg_sm2_key_free(back);
    rdg_sm2_key_free(key);
}

static void enveloped(void) {
    rdg_sm2_public_t pub;
    uint8_t der[RDG_ENVELOPED_MAX];
    size_t len;
    rdg_sm2_key_t *key = public_key(&pub), *back;
    MUST(rdg_enveloped_seal(key, &pub, der, &len) == RDG_OK);
    rdg_sm2_key_free(key);
    key = secret_key();
    MUST(rdg_enveloped_open(key, NULL, rdg_bytes(der, len), &back) == RDG_OK);
    rdg_sm2_key_free(back);
    der[len - 1] ^= 1; /* the private key's last byte */
    MUST(rdg_enveloped_open(key, NULL, rdg_bytes(der, len), &back) == RDG_E_BAD_SIGNATURE);
    rdg_sm2_key_free(key);
}

const ctime_case_t ctime_crypto[] = {
    {"sm2-sign", sign},
    {"sm2-decrypt", decrypt},
    {"hmac", hmac},
    {"sm4-gcm", gcm},
    {"keyfile-credential", keyfile_credential},
    {"keyfile-passphrase", keyfile_passphrase},
    {"keyfile-seal", keyfile_seal},
    {"pkcs8", pkcs8},
    {"enveloped", enveloped},
    {0},
};
