#include <string.h>
#include "api_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/crypto/keyfile.h"

/* Takes key. */
static rdg_err_t wrap(rdg_sm2_key_t *key, ridge_key_t **out) {
    *out = rdg_alloc(sizeof **out);
    if (*out) {
        (*out)->key = key;
        return RDG_OK;
    }
    rdg_sm2_key_free(key);
    return rdg_fail(RDG_E_NO_MEMORY, "no memory for a key");
}

ridge_status_t ridge_key_new(ridge_key_t **out) {
    rdg_sm2_key_t *key = NULL;
    *out = NULL;
    RDG_TRY(rdg_sm2_key_generate(&key));
    return wrap(key, out);
}

static rdg_err_t open_text(rdg_bytes_t text, const char *passphrase, rdg_sm2_key_t **key) {
    rdg_keyfile_info_t info;
    uint8_t credential[RDG_KEYFILE_SECRET_MAX];
    rdg_bytes_t secret = rdg_bytes_str(passphrase);
    RDG_TRY(rdg_keyfile_inspect(text, &info));
    if (info.kind == RDG_KEYFILE_CREDENTIAL) {
        size_t len;
        RDG_TRY(rdg_keyfile_read_credential(info.credential, credential, &len));
        secret = rdg_bytes(credential, len);
    } else if (info.kind == RDG_KEYFILE_PLAIN) {
        secret = rdg_bytes(NULL, 0);
    } else if (secret.len == 0) {
        return rdg_fail(RDG_E_UNAUTHENTICATED, "the key is under a passphrase, and none was given");
    }
    rdg_err_t err = rdg_keyfile_open(text, secret, key);
    rdg_secure_zero(credential, sizeof credential);
    return err;
}

ridge_status_t ridge_key_load(const char *path, const char *passphrase, ridge_key_t **out) {
    uint8_t text[RDG_KEYFILE_MAX];
    size_t len;
    rdg_sm2_key_t *key = NULL;
    *out = NULL;
    RDG_TRY(rdg_keyfile_read(path, text, &len));
    rdg_err_t err = open_text(rdg_bytes(text, len), passphrase, &key);
    rdg_secure_zero(text, sizeof text);
    return err == RDG_OK ? wrap(key, out) : rdg_fail_in(err, "%s", path);
}

ridge_status_t ridge_key_save(const ridge_key_t *key, const char *path, const char *passphrase) {
    char text[RDG_KEYFILE_SEALED_MAX];
    size_t len = 0;
    RDG_TRY(rdg_keyfile_seal_passphrase(key->key, rdg_bytes_str(passphrase), RDG_KEYFILE_SCRYPT_LOG2, text,
                                        &len));
    return rdg_keyfile_write(path, rdg_bytes(text, len));
}

void ridge_key_free(ridge_key_t *key) {
    if (!key) return;
    rdg_sm2_key_free(key->key);
    rdg_free(key);
}

ridge_status_t ridge_key_public(const ridge_key_t *key, uint8_t out[64]) {
    rdg_sm2_public_t public;
    rdg_sm2_key_public(key->key, &public);
    memcpy(out, public.b, sizeof public.b);
    return RDG_OK;
}

ridge_status_t ridge_key_address(const ridge_key_t *key, char out[RIDGE_ADDRESS_TEXT]) {
    rdg_sm2_public_t public;
    rdg_address_t a;
    rdg_sm2_key_public(key->key, &public);
    rdg_sm2_address(&public, &a);
    api_hex(a.b, sizeof a.b, out);
    return RDG_OK;
}
