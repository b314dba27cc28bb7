#include "keyfile.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include "pbes2.h"
#include "ridge/base/alloc.h"
#include "ridge/base/random.h"
#include "ridge/crypto/hmac.h"
#include "ridge/crypto/pkcs8.h"
#include "ridge/crypto/sm4.h"
#include "sm2_key.h"

#define SALT 16
#define SEALED (32 + RDG_SM4_TAG_BYTES)
#define BASE64 (SEALED / 3 * 4)
#define DERIVED (RDG_SM4_KEY_BYTES + RDG_SM4_NONCE_BYTES)
#define BEGIN "-----BEGIN RIDGE SEALED SM2 KEY-----\n"
#define END "\n-----END RIDGE SEALED SM2 KEY-----\n"

typedef struct sealed {
    rdg_keyfile_info_t info;
    uint8_t salt[SALT], body[SEALED];
    rdg_bytes_t head; /* borrowed: what is authenticated */
} sealed_t;

static rdg_err_t malformed(const char *what) {
    return rdg_fail(RDG_E_MALFORMED, "sealed key file: %s: restore it from a backup", what);
}

static bool literal(rdg_reader_t *r, const char *text) {
    size_t len = strlen(text);
    return rdg_bytes_equal(rdg_read_bytes(r, len), rdg_bytes(text, len));
}

static int digit(uint8_t c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(rdg_reader_t *r, uint8_t *out, size_t len) {
    rdg_bytes_t text = rdg_read_bytes(r, 2 * len);
    if (!rdg_reader_ok(r)) return false;
    for (size_t i = 0; i < len; i++) {
        int high = digit(text.data[2 * i]), low = digit(text.data[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void put_hex(char *out, const uint8_t *data, size_t len) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) out[2 * i] = digits[data[i] >> 4], out[2 * i + 1] = digits[data[i] & 15];
    out[2 * len] = 0;
}

bool rdg_keyfile_credential_name_ok(const char *name) {
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)name[i]) && !(i && strchr("._-", name[i]))) return false;
    return len > 0 && len <= RDG_KEYFILE_CREDENTIAL_NAME_MAX;
}

/* Up to the next space, which is consumed. */
static bool read_word(rdg_reader_t *r, char *out, size_t size) {
    size_t len = 0;
    for (uint8_t c = rdg_read_u8(r); rdg_reader_ok(r) && c != ' '; c = rdg_read_u8(r)) {
        if (c <= ' ' || c > '~' || len + 1 >= size) return false;
        out[len++] = (char)c;
    }
    out[len] = 0;
    return rdg_reader_ok(r);
}

static rdg_err_t read_lock(rdg_reader_t *r, sealed_t *out) {
    char how[16], what[RDG_KEYFILE_CREDENTIAL_NAME_MAX + 1];
    if (!read_word(r, how, sizeof how) || !read_word(r, what, sizeof what))
        return malformed("the line 'Lock' cannot be read");
    if (strcmp(how, "credential") == 0) {
        if (!rdg_keyfile_credential_name_ok(what)) return malformed("the credential's name is none");
        out->info.kind = RDG_KEYFILE_CREDENTIAL;
        memcpy(out->info.credential, what, sizeof what);
        return RDG_OK;
    }
    if (strcmp(how, "scrypt") != 0)
        return rdg_fail(RDG_E_UNSUPPORTED,
                        "sealed key file: a lock that this version of Ridge does not know");
    size_t len = strlen(what);
    if (len < 1 || len > 2 || !isdigit((unsigned char)what[0]) || what[0] == '0' ||
        (len == 2 && !isdigit((unsigned char)what[1])))
        return malformed("the line 'Lock' cannot be read");
    unsigned log2 = 0;
    for (size_t i = 0; i < len; i++) log2 = log2 * 10 + (unsigned)(what[i] - '0');
    if (log2 < RDG_KEYFILE_SCRYPT_LOG2_MIN || log2 > RDG_KEYFILE_SCRYPT_LOG2_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "sealed key file: scrypt with N = 2^%u, not 2^%d to 2^%d", log2,
                        RDG_KEYFILE_SCRYPT_LOG2_MIN, RDG_KEYFILE_SCRYPT_LOG2_MAX);
    out->info.kind = RDG_KEYFILE_PASSPHRASE;
    out->info.scrypt_log2 = log2;
    return RDG_OK;
}

static bool read_body(rdg_reader_t *r, uint8_t out[SEALED]) {
    rdg_bytes_t text = rdg_read_bytes(r, BASE64);
    if (!rdg_reader_ok(r)) return false;
    for (size_t i = 0; i < text.len; i++)
        if (!isalnum(text.data[i]) && text.data[i] != '+' && text.data[i] != '/') return false;
    return EVP_DecodeBlock(out, text.data, BASE64) == SEALED;
}

static bool is_sealed(rdg_bytes_t text) {
    return text.len >= sizeof BEGIN - 1 && memcmp(text.data, BEGIN, sizeof BEGIN - 1) == 0;
}

static rdg_err_t read_sealed(rdg_bytes_t text, sealed_t *out) {
    rdg_reader_t r;
    memset(out, 0, sizeof *out);
    rdg_reader_init(&r, text);
    if (!literal(&r, BEGIN)) return malformed("it does not begin as one");
    if (!literal(&r, "Version: 1\n"))
        return rdg_fail(RDG_E_UNSUPPORTED, "sealed key file: not of version 1: a later Ridge made it");
    if (!literal(&r, "Public: ") || !read_hex(&r, out->info.public_key.b, 64) || !literal(&r, "\nLock: "))
        return malformed("the line 'Public' cannot be read");
    RDG_TRY(read_lock(&r, out));
    if (!read_hex(&r, out->salt, SALT) || !literal(&r, "\n\n")) return malformed("the salt cannot be read");
    out->head = rdg_bytes(text.data, (size_t)(r.pos - text.data));
    if (!read_body(&r, out->body) || !literal(&r, END) || !rdg_reader_done(&r))
        return malformed("it does not end as one");
    return rdg_fail_in(rdg_sm2_public_decode(rdg_bytes(out->info.public_key.b, 64), &out->info.public_key),
                       "sealed key file");
}

rdg_err_t rdg_keyfile_inspect(rdg_bytes_t text, rdg_keyfile_info_t *out) {
    sealed_t sealed;
    memset(out, 0, sizeof *out);
    if (text.len > RDG_KEYFILE_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "key file: %zu bytes, at most %d", text.len, RDG_KEYFILE_MAX);
    if (is_sealed(text)) {
        RDG_TRY(read_sealed(text, &sealed));
        *out = sealed.info;
        return RDG_OK;
    }
    if (rdg_pkcs8_is_encrypted(text)) {
        out->kind = RDG_KEYFILE_PKCS8;
        return RDG_OK;
    }
    rdg_sm2_key_t *key;
    RDG_TRY(rdg_pkcs8_import(text, rdg_bytes(NULL, 0), &key));
    rdg_sm2_key_public(key, &out->public_key);
    rdg_sm2_key_free(key);
    return RDG_OK;
}

static rdg_err_t derive(const sealed_t *s, rdg_bytes_t secret, uint8_t out[DERIVED]) {
    static const char label[] = "ridge sealed key 1";
    uint8_t mac[RDG_HMAC_SM3_BYTES];
    const rdg_bytes_t parts[] = {{(const uint8_t *)label, sizeof label - 1}, {s->salt, SALT}};
    if (s->info.kind == RDG_KEYFILE_PASSPHRASE)
        return rdg_scrypt(out, DERIVED, secret, parts[1], UINT64_C(1) << s->info.scrypt_log2, 8, 1);
    rdg_hmac_sm3(mac, secret, parts, 2);
    memcpy(out, mac, DERIVED);
    rdg_secure_zero(mac, sizeof mac);
    return RDG_OK;
}

static rdg_err_t open_with(const sealed_t *s, const uint8_t derived[DERIVED], rdg_sm2_key_t **out) {
    rdg_sm4_t *cipher;
    uint8_t scalar[32];
    rdg_sm2_public_t real;
    RDG_TRY(rdg_sm4_new(RDG_SM4_GCM, derived, &cipher));
    rdg_err_t err =
        rdg_sm4_gcm_open(cipher, scalar, derived + RDG_SM4_KEY_BYTES, s->head, s->body, 32, s->body + 32);
    rdg_sm4_free(cipher);
    if (err == RDG_OK) err = rdg_sm2_key_from_scalar(scalar, out);
    rdg_secure_zero(scalar, sizeof scalar);
    if (err == RDG_OK) {
        rdg_sm2_key_public(*out, &real);
        if (memcmp(real.b, s->info.public_key.b, sizeof real.b) == 0) return RDG_OK;
        rdg_sm2_key_free(*out);
        *out = NULL;
    } else if (err == RDG_E_NO_MEMORY || err == RDG_E_CRYPTO) {
        return err;
    }
    return rdg_fail(RDG_E_UNAUTHENTICATED, "sealed key file: %s, or the file is damaged",
                    s->info.kind == RDG_KEYFILE_CREDENTIAL ? "another credential sealed it"
                                                           : "wrong passphrase");
}

rdg_err_t rdg_keyfile_open(rdg_bytes_t text, rdg_bytes_t secret, rdg_sm2_key_t **out) {
    sealed_t sealed;
    uint8_t derived[DERIVED];
    *out = NULL;
    if (text.len > RDG_KEYFILE_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "key file: %zu bytes, at most %d", text.len, RDG_KEYFILE_MAX);
    if (!is_sealed(text)) return rdg_pkcs8_import(text, secret, out);
    RDG_TRY(read_sealed(text, &sealed));
    if (secret.len == 0)
        return rdg_fail(RDG_E_UNAUTHENTICATED, "sealed key file: its %s is needed",
                        sealed.info.kind == RDG_KEYFILE_CREDENTIAL ? "credential" : "passphrase");
    rdg_err_t err = derive(&sealed, secret, derived);
    if (err == RDG_OK) err = open_with(&sealed, derived, out);
    rdg_secure_zero(derived, sizeof derived);
    return err;
}

static rdg_err_t seal(const rdg_sm2_key_t *key, const char *lock, sealed_t *s, rdg_bytes_t secret,
                      char out[RDG_KEYFILE_SEALED_MAX], size_t *len) {
    char public_hex[129], salt_hex[2 * SALT + 1];
    uint8_t derived[DERIVED], scalar[32], base64[BASE64 + 1];
    rdg_sm4_t *cipher = NULL;
    *len = 0;
    rdg_random_fill(rdg_random_system(), s->salt, SALT);
    put_hex(public_hex, key->public_key.b, 64);
    put_hex(salt_hex, s->salt, SALT);
    int head = snprintf(out, RDG_KEYFILE_SEALED_MAX, BEGIN "Version: 1\nPublic: %s\nLock: %s %s\n\n",
                        public_hex, lock, salt_hex);
    RDG_TRY(derive(s, secret, derived));
    rdg_err_t err = rdg_sm4_new(RDG_SM4_GCM, derived, &cipher);
    if (err == RDG_OK) err = rdg_sm2_key_scalar(key, scalar);
    if (err == RDG_OK) {
        rdg_sm4_gcm_seal(cipher, s->body, s->body + 32, derived + RDG_SM4_KEY_BYTES,
                         rdg_bytes(out, (size_t)head), scalar, 32);
        EVP_EncodeBlock(base64, s->body, SEALED);
        int rest = snprintf(out + head, (size_t)(RDG_KEYFILE_SEALED_MAX - head), "%s" END, (char *)base64);
        *len = (size_t)head + (size_t)rest;
    }
    rdg_sm4_free(cipher);
    rdg_secure_zero(derived, sizeof derived);
    rdg_secure_zero(scalar, sizeof scalar);
    return err;
}

rdg_err_t rdg_keyfile_seal_passphrase(const rdg_sm2_key_t *key, rdg_bytes_t passphrase, unsigned scrypt_log2,
                                      char out[RDG_KEYFILE_SEALED_MAX], size_t *len) {
    sealed_t s = {.info = {.kind = RDG_KEYFILE_PASSPHRASE, .scrypt_log2 = scrypt_log2}};
    char lock[16];
    if (passphrase.len < RDG_KEYFILE_PASSPHRASE_MIN || passphrase.len > RDG_KEYFILE_SECRET_MAX)
        return rdg_fail(RDG_E_INVALID, "passphrase of %zu bytes: take %d to %d, best several words",
                        passphrase.len, RDG_KEYFILE_PASSPHRASE_MIN, RDG_KEYFILE_SECRET_MAX);
    if (scrypt_log2 < RDG_KEYFILE_SCRYPT_LOG2_MIN || scrypt_log2 > RDG_KEYFILE_SCRYPT_LOG2_MAX)
        return rdg_fail(RDG_E_INVALID, "scrypt with N = 2^%u: take 2^%d to 2^%d", scrypt_log2,
                        RDG_KEYFILE_SCRYPT_LOG2_MIN, RDG_KEYFILE_SCRYPT_LOG2_MAX);
    snprintf(lock, sizeof lock, "scrypt %u", scrypt_log2);
    return seal(key, lock, &s, passphrase, out, len);
}

rdg_err_t rdg_keyfile_seal_credential(const rdg_sm2_key_t *key, const char *name, rdg_bytes_t credential,
                                      char out[RDG_KEYFILE_SEALED_MAX], size_t *len) {
    sealed_t s = {.info = {.kind = RDG_KEYFILE_CREDENTIAL}};
    char lock[RDG_KEYFILE_CREDENTIAL_NAME_MAX + 16];
    if (!rdg_keyfile_credential_name_ok(name))
        return rdg_fail(RDG_E_INVALID,
                        "'%.80s' cannot be the name of a credential: 1 to %d of letters, digits, "
                        "'.', '_', '-'",
                        name, RDG_KEYFILE_CREDENTIAL_NAME_MAX);
    if (credential.len < RDG_KEYFILE_CREDENTIAL_MIN || credential.len > RDG_KEYFILE_SECRET_MAX)
        return rdg_fail(RDG_E_INVALID,
                        "credential '%s' has %zu bytes: take %d to %d random ones, as from openssl "
                        "rand -hex 32",
                        name, credential.len, RDG_KEYFILE_CREDENTIAL_MIN, RDG_KEYFILE_SECRET_MAX);
    snprintf(lock, sizeof lock, "credential %s", name);
    return seal(key, lock, &s, credential, out, len);
}
