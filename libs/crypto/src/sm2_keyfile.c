#include <string.h>

#include "ridge/base/alloc.h"
#include "ridge/crypto/keyfile.h"
#include "ridge/crypto/pkcs8.h"
#include "sm2_key.h"

rdg_err_t rdg_sm2_key_save(const rdg_sm2_key_t *key, const char *path) {
    char pem[RDG_PKCS8_PEM_MAX];
    size_t len;
    rdg_err_t err = rdg_pkcs8_export(key, pem, &len);
    if (err == RDG_OK) err = rdg_keyfile_write(path, rdg_bytes(pem, len));
    rdg_secure_zero(pem, sizeof pem);
    return err;
}

/* Nobody is there to type a passphrase: a plain key, or one under a credential. */
static rdg_err_t open_unattended(rdg_bytes_t text, rdg_sm2_key_t **out) {
    rdg_keyfile_info_t info;
    uint8_t secret[RDG_KEYFILE_SECRET_MAX];
    size_t len = 0;
    RDG_TRY(rdg_keyfile_inspect(text, &info));
    if (info.kind == RDG_KEYFILE_PASSPHRASE || info.kind == RDG_KEYFILE_PKCS8)
        return rdg_fail(
            RDG_E_UNAUTHENTICATED,
            "it is under a passphrase, which nobody can type here: seal it with a systemd credential "
            "(ridge key import FILE NEW --new-credential NAME)");
    rdg_err_t err = info.kind == RDG_KEYFILE_CREDENTIAL
                        ? rdg_keyfile_read_credential(info.credential, secret, &len)
                        : RDG_OK;
    if (err != RDG_OK)
        return rdg_fail(RDG_E_UNAUTHENTICATED, "what sealed it is not here: %s", rdg_err_message(err));
    err = rdg_keyfile_open(text, rdg_bytes(secret, len), out);
    rdg_secure_zero(secret, sizeof secret);
    return err;
}

rdg_err_t rdg_sm2_key_load(const char *path, rdg_sm2_key_t **out) {
    uint8_t text[RDG_KEYFILE_MAX];
    size_t len;
    *out = NULL;
    RDG_TRY(rdg_keyfile_read(path, text, &len));
    rdg_err_t err = open_unattended(rdg_bytes(text, len), out);
    rdg_secure_zero(text, sizeof text);
    switch (err) {
    case RDG_E_NOT_FOUND: /* of a PEM block; the file is there */
    case RDG_E_MALFORMED:
    case RDG_E_INVALID:
        return rdg_fail(RDG_E_CORRUPT,
                        "key file %s: no SM2 private key: %s: restore it from a backup or remove it to get a "
                        "new identity",
                        path, rdg_err_message(err));
    default: return rdg_fail_in(err, "key file %s", path);
    }
}

rdg_err_t rdg_sm2_key_load_or_generate(const char *path, rdg_sm2_key_t **out) {
    rdg_err_t err = rdg_sm2_key_load(path, out);
    if (err != RDG_E_NOT_FOUND) return err;
    rdg_sm2_key_t *key;
    RDG_TRY(rdg_sm2_key_generate(&key));
    err = rdg_sm2_key_save(key, path);
    if (err != RDG_OK) {
        rdg_sm2_key_free(key);
        return err;
    }
    *out = key;
    return RDG_OK;
}
