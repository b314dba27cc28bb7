#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "keys.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/pkcs8.h"

#define CERT_TEXT_MAX (128u << 10)

static rdg_err_t read_stdin(size_t max, rdg_buf_t *out) {
    uint8_t part[16384];
    for (;;) {
        ssize_t n = read(STDIN_FILENO, part, sizeof part);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return rdg_fail_errno(errno, "standard input");
        if (n == 0) return RDG_OK;
        if (out->len + (size_t)n > max)
            return rdg_fail(RDG_E_TOO_LARGE, "standard input: more than %zu bytes", max);
        RDG_TRY(rdg_buf_append(out, part, (size_t)n));
    }
}

rdg_err_t cli_read(const char *path, size_t max, rdg_buf_t *out) {
    rdg_buf_init(out, max);
    rdg_err_t err = strcmp(path, "-") == 0 ? read_stdin(max, out) : rdg_file_read(path, out);
    if (err != RDG_OK) rdg_buf_fini(out);
    return err;
}

static rdg_err_t open_text(const cli_t *cli, const char *path, rdg_bytes_t text, rdg_sm2_key_t **out) {
    rdg_keyfile_info_t info;
    secret_t secret = {.len = 0};
    RDG_TRY(rdg_keyfile_inspect(text, &info));
    rdg_err_t err = RDG_OK;
    if (info.kind == RDG_KEYFILE_CREDENTIAL)
        err = cli_credential(cli, "", info.credential, &secret);
    else if (info.kind != RDG_KEYFILE_PLAIN)
        err = cli_passphrase(cli, "", path, false, &secret);
    if (err == RDG_OK) err = rdg_keyfile_open(text, rdg_bytes(secret.b, secret.len), out);
    rdg_secure_zero(&secret, sizeof secret);
    return err;
}

rdg_err_t cli_key_open(const cli_t *cli, const char *path, rdg_sm2_key_t **out) {
    uint8_t text[RDG_KEYFILE_MAX];
    size_t len;
    *out = NULL;
    RDG_TRY(rdg_keyfile_read(path, text, &len));
    rdg_err_t err = open_text(cli, path, rdg_bytes(text, len), out);
    rdg_secure_zero(text, sizeof text);
    return rdg_fail_in(err, "%s", path);
}

rdg_err_t cli_refuse_existing(const char *path) {
    return rdg_file_exists(path)
               ? rdg_fail(RDG_E_EXISTS, "%s is there already: take another name or remove it", path)
               : RDG_OK;
}

static rdg_err_t seal_text(const cli_t *cli, const char *prefix, const rdg_sm2_key_t *key, const char *path,
                           char out[RDG_KEYFILE_SEALED_MAX], size_t *len) {
    char flag[32];
    secret_t secret;
    rdg_err_t err;
    snprintf(flag, sizeof flag, "%scredential", prefix);
    const char *credential = cli_flag(cli, flag, NULL);
    if (credential) {
        err = cli_credential(cli, prefix, credential, &secret);
        if (err == RDG_OK)
            err = rdg_keyfile_seal_credential(key, credential, rdg_bytes(secret.b, secret.len), out, len);
    } else {
        err = cli_passphrase(cli, prefix, path, true, &secret);
        if (err == RDG_OK)
            err = rdg_keyfile_seal_passphrase(key, rdg_bytes(secret.b, secret.len), RDG_KEYFILE_SCRYPT_LOG2,
                                              out, len);
    }
    rdg_secure_zero(&secret, sizeof secret);
    return err;
}

rdg_err_t cli_key_seal(const cli_t *cli, const char *prefix, const rdg_sm2_key_t *key, const char *path) {
    char text[RDG_KEYFILE_SEALED_MAX], flag[32];
    size_t len = 0;
    RDG_TRY(cli_refuse_existing(path));
    snprintf(flag, sizeof flag, "%splain", prefix);
    if (cli_has(cli, flag)) return rdg_sm2_key_save(key, path);
    RDG_TRY(seal_text(cli, prefix, key, path, text, &len));
    return rdg_keyfile_write(path, rdg_bytes(text, len));
}

rdg_err_t cli_certs(const char *path, rdg_cert_t **out, size_t max, size_t *count) {
    rdg_buf_t text;
    *count = 0;
    RDG_TRY(cli_read(path, CERT_TEXT_MAX, &text));
    rdg_err_t err;
    if (text.len && text.data[0] == 0x30) {
        err = rdg_cert_parse(rdg_buf_view(&text), &out[0]);
        *count = err == RDG_OK;
    } else {
        err = rdg_cert_parse_pem(rdg_buf_view(&text), out, max, count);
    }
    rdg_buf_fini(&text);
    return rdg_fail_in(err, "%s", path);
}

static rdg_err_t public_of_key_file(const cli_t *cli, const char *path, rdg_sm2_public_t *out) {
    rdg_sm2_key_t *key;
    RDG_TRY(cli_key_open(cli, path, &key));
    rdg_sm2_key_public(key, out);
    rdg_sm2_key_free(key);
    return RDG_OK;
}

rdg_err_t cli_public(const cli_t *cli, const char *what, rdg_sm2_public_t *out) {
    uint8_t point[65];
    size_t digits = strlen(what);
    rdg_buf_t text;
    rdg_cert_t *cert = NULL;
    size_t count = 0;
    if (digits == 128 && rdg_hex_decode(what, digits, point, 64) == RDG_OK)
        return rdg_sm2_public_decode(rdg_bytes(point, 64), out);
    if (digits == 130 && rdg_hex_decode(what, digits, point, 65) == RDG_OK)
        return rdg_sm2_public_decode(rdg_bytes(point, 65), out);
    RDG_TRY(cli_read(what, CERT_TEXT_MAX, &text));
    bool is_cert = memmem(text.data, text.len, "BEGIN CERTIFICATE-", 18) != NULL;
    bool is_private =
        memmem(text.data, text.len, "PRIVATE KEY-", 12) || memmem(text.data, text.len, "SM2 KEY-", 8);
    rdg_err_t err = RDG_OK;
    if (is_cert) {
        err = rdg_cert_parse_pem(rdg_buf_view(&text), &cert, 1, &count);
        if (err == RDG_OK) *out = *rdg_cert_public(cert);
        rdg_cert_free(cert);
    } else if (!is_private) {
        err = rdg_pkcs8_import_public(rdg_buf_view(&text), out);
    }
    if (text.data) rdg_secure_zero(text.data, text.len);
    rdg_buf_fini(&text);
    return is_private ? public_of_key_file(cli, what, out) : rdg_fail_in(err, "%s", what);
}

void cli_put_public(json_t *object, const rdg_sm2_public_t *pub) {
    char hex[2 * sizeof pub->b + 1], address_hex[48] = "0x";
    rdg_address_t address;
    rdg_hex_encode(pub->b, sizeof pub->b, hex);
    rdg_sm2_address(pub, &address);
    rdg_hex_encode(address.b, sizeof address.b, address_hex + 2);
    json_object_set_new(object, "public_key", json_string(hex));
    json_object_set_new(object, "address", json_string(address_hex));
}
