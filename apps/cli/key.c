#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "keys.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/base64.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/enveloped.h"
#include "ridge/crypto/pkcs8.h"

#define ENVELOPE_TEXT_MAX 4096

static const char *kind_name(rdg_keyfile_kind_t kind) {
    static const char *const names[] = {[RDG_KEYFILE_PLAIN] = "plain",
                                        [RDG_KEYFILE_PKCS8] = "pkcs8",
                                        [RDG_KEYFILE_PASSPHRASE] = "passphrase",
                                        [RDG_KEYFILE_CREDENTIAL] = "credential"};
    return names[kind];
}

static void print(const cli_t *cli, json_t *about) {
    if (cli->json)
        out_json(about);
    else
        out_fields(about,
                   COLUMNS("File=file", "Sealed by=sealed_by", "Public key=public_key", "Address=address"));
    json_decref(about);
}

/* What was written, read back: what is told is what is there. */
static rdg_err_t tell(const cli_t *cli, const char *path, const rdg_sm2_public_t *pub) {
    uint8_t text[RDG_KEYFILE_MAX];
    size_t len;
    rdg_keyfile_info_t info;
    RDG_TRY(rdg_keyfile_read(path, text, &len));
    rdg_err_t err = rdg_keyfile_inspect(rdg_bytes(text, len), &info);
    rdg_secure_zero(text, sizeof text);
    RDG_TRY(rdg_fail_in(err, "%s", path));
    json_t *about = json_pack("{s:s, s:s}", "file", path, "sealed_by", kind_name(info.kind));
    if (info.kind == RDG_KEYFILE_CREDENTIAL)
        json_object_set_new(about, "credential", json_string(info.credential));
    cli_put_public(about, pub ? pub : &info.public_key);
    print(cli, about);
    return RDG_OK;
}

static rdg_err_t new_key(cli_t *cli) {
    rdg_sm2_key_t *key;
    rdg_sm2_public_t pub;
    RDG_TRY(cli_refuse_existing(cli->args[0]));
    RDG_TRY(rdg_sm2_key_generate(&key));
    rdg_err_t err = cli_key_seal(cli, "", key, cli->args[0]);
    rdg_sm2_key_public(key, &pub);
    rdg_sm2_key_free(key);
    return err == RDG_OK ? tell(cli, cli->args[0], &pub) : err;
}

/* The header of a sealed file tells the public key without a secret; only --check opens it. */
static rdg_err_t show(cli_t *cli) {
    uint8_t text[RDG_KEYFILE_MAX];
    size_t len;
    rdg_keyfile_info_t info;
    rdg_sm2_public_t pub;
    rdg_sm2_key_t *key;
    RDG_TRY(rdg_keyfile_read(cli->args[0], text, &len));
    rdg_err_t err = rdg_keyfile_inspect(rdg_bytes(text, len), &info);
    rdg_secure_zero(text, sizeof text);
    RDG_TRY(rdg_fail_in(err, "%s", cli->args[0]));
    if (info.kind != RDG_KEYFILE_PKCS8 && !cli_has(cli, "check")) return tell(cli, cli->args[0], NULL);
    RDG_TRY(cli_key_open(cli, cli->args[0], &key));
    rdg_sm2_key_public(key, &pub);
    rdg_sm2_key_free(key);
    return tell(cli, cli->args[0], &pub);
}

static bool is_text(rdg_bytes_t bytes) {
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.data[i] >= 0x7f || bytes.data[i] < '\t') return false;
    return true;
}

/* DER as it is, to its last byte whichever it is; or hexadecimal, or base64 with or without PEM's lines. */
static rdg_err_t decode_envelope(rdg_bytes_t text, uint8_t out[RDG_ENVELOPED_MAX], size_t *len) {
    if (!is_text(text)) {
        if (text.len > RDG_ENVELOPED_MAX)
            return rdg_fail(RDG_E_TOO_LARGE, "%zu bytes, at most %d", text.len, RDG_ENVELOPED_MAX);
        memcpy(out, text.data, *len = text.len);
        return RDG_OK;
    }
    const uint8_t *body = memmem(text.data, text.len, "-----\n", 6);
    if (body) {
        text = rdg_bytes(body + 6, text.len - (size_t)(body + 6 - text.data));
        const uint8_t *end = memmem(text.data, text.len, "-----END", 8);
        if (end) text.len = (size_t)(end - text.data);
    }
    while (text.len && strchr(" \r\n\t", text.data[text.len - 1])) text.len--;
    if (text.len % 2 == 0 && text.len / 2 <= RDG_ENVELOPED_MAX &&
        rdg_hex_decode((const char *)text.data, text.len, out, text.len / 2) == RDG_OK) {
        *len = text.len / 2;
        return RDG_OK;
    }
    return rdg_base64_decode(text, out, RDG_ENVELOPED_MAX, len);
}

static rdg_err_t open_envelope(const cli_t *cli, const char *path, const char *sign_path,
                               rdg_sm2_key_t **out) {
    const char *whose = cli_flag(cli, "for", NULL);
    rdg_sm2_public_t expected;
    rdg_sm2_key_t *sign_key;
    rdg_buf_t text;
    uint8_t der[RDG_ENVELOPED_MAX];
    size_t len = 0;
    if (whose) RDG_TRY(cli_public(cli, whose, &expected));
    RDG_TRY(cli_read(path, ENVELOPE_TEXT_MAX, &text));
    rdg_err_t err = decode_envelope(rdg_buf_view(&text), der, &len);
    rdg_buf_fini(&text);
    RDG_TRY(rdg_fail_in(err, "%s", path));
    RDG_TRY(cli_key_open(cli, sign_path, &sign_key));
    err = rdg_enveloped_open(sign_key, whose ? &expected : NULL, rdg_bytes(der, len), out);
    rdg_sm2_key_free(sign_key);
    return rdg_fail_in(err, "%s", path);
}

static rdg_err_t import(cli_t *cli) {
    const char *enveloped = cli_flag(cli, "enveloped", NULL);
    rdg_sm2_key_t *key;
    rdg_sm2_public_t pub;
    RDG_TRY(cli_refuse_existing(cli->args[1]));
    RDG_TRY(enveloped ? open_envelope(cli, cli->args[0], enveloped, &key)
                      : cli_key_open(cli, cli->args[0], &key));
    rdg_err_t err = cli_key_seal(cli, "new-", key, cli->args[1]);
    rdg_sm2_key_public(key, &pub);
    rdg_sm2_key_free(key);
    return err == RDG_OK ? tell(cli, cli->args[1], &pub) : err;
}

static rdg_err_t write_public_text(const char *path, rdg_bytes_t text) {
    if (strcmp(path, "-") == 0)
        return fwrite(text.data, 1, text.len, stdout) == text.len
                   ? RDG_OK
                   : rdg_fail(RDG_E_IO, "standard output cannot be written");
    RDG_TRY(cli_refuse_existing(path));
    return rdg_file_replace(path, text, 0644);
}

static rdg_err_t export_envelope(const rdg_sm2_key_t *key, const rdg_sm2_public_t *recipient,
                                 const char *path) {
    uint8_t der[RDG_ENVELOPED_MAX];
    size_t len;
    rdg_buf_t text;
    RDG_TRY(rdg_enveloped_seal(key, recipient, der, &len));
    rdg_buf_init(&text, ENVELOPE_TEXT_MAX);
    rdg_err_t err = rdg_base64_append(&text, der, len);
    if (err == RDG_OK) err = rdg_buf_str(&text, "\n");
    if (err == RDG_OK) err = write_public_text(path, rdg_buf_view(&text));
    rdg_buf_fini(&text);
    return err;
}

static rdg_err_t export_private(const cli_t *cli, const rdg_sm2_key_t *key, const char *path) {
    const char *how = cli_flag(cli, "pkcs8", "aes");
    char pem[RDG_PKCS8_PEM_MAX];
    size_t len = 0;
    secret_t secret;
    rdg_err_t err;
    bool sm4 = strcmp(how, "sm4") == 0;
    if (strcmp(path, "-") == 0)
        return rdg_fail(RDG_E_INVALID, "a private key goes into a file, not to standard output: name one");
    RDG_TRY(cli_refuse_existing(path));
    if (strcmp(how, "plain") == 0) {
        err = rdg_pkcs8_export(key, pem, &len);
    } else if (sm4 || strcmp(how, "aes") == 0) {
        err = cli_passphrase(cli, "new-", path, true, &secret);
        if (err == RDG_OK)
            err = rdg_pkcs8_export_encrypted(key, rdg_bytes(secret.b, secret.len),
                                             sm4 ? RDG_PKCS8_SM4 : RDG_PKCS8_AES, pem, &len);
        rdg_secure_zero(&secret, sizeof secret);
    } else {
        return rdg_fail(RDG_E_INVALID, "--pkcs8 %s: take aes, sm4 or plain", how);
    }
    if (err == RDG_OK) err = rdg_keyfile_write(path, rdg_bytes(pem, len));
    rdg_secure_zero(pem, sizeof pem);
    return err;
}

static rdg_err_t export(cli_t *cli) {
    const char *recipient = cli_flag(cli, "enveloped-for", NULL);
    rdg_sm2_key_t *key;
    rdg_sm2_public_t pub;
    if (cli_has(cli, "public")) {
        char pem[RDG_PKCS8_PEM_MAX];
        size_t len;
        RDG_TRY(cli_public(cli, cli->args[0], &pub));
        RDG_TRY(rdg_pkcs8_export_public(&pub, pem, &len));
        return write_public_text(cli->args[1], rdg_bytes(pem, len));
    }
    if (recipient) RDG_TRY(cli_public(cli, recipient, &pub));
    RDG_TRY(cli_key_open(cli, cli->args[0], &key));
    rdg_err_t err =
        recipient ? export_envelope(key, &pub, cli->args[1]) : export_private(cli, key, cli->args[1]);
    rdg_sm2_key_free(key);
    return err;
}

const command_t key_commands[] = {
    {"key",
     "new",
     "FILE",
     "make an SM2 key in a file, sealed by a passphrase",
     1,
     1,
     new_key,
     {{"passphrase-file", "FILE", "the passphrase: first line of a file of mode 0600"},
      {"passphrase-fd", "N", "the same from descriptor N"},
      {"credential", "NAME", "seal by this systemd credential instead: services open it unattended"},
      {"credential-file", "FILE", "its content, when it is not in $CREDENTIALS_DIRECTORY"},
      {"plain", NULL, "do not seal: the file's mode alone protects the key"},
      {0}}},
    {"key",
     "show",
     "FILE",
     "public key and address of a key file, and how it is sealed",
     1,
     1,
     show,
     {{"check", NULL, "open it too: asks for what sealed it"}, KEY_OPEN_FLAGS, {0}}},
    {"key",
     "import",
     "FILE NEW",
     "take a key from PKCS#8, a key file or a CA's envelope, and seal it anew",
     2,
     2,
     import,
     {{"enveloped", "SIGN-KEY", "FILE is an encryption key that a CA enveloped for this sign key"},
      {"for", "CERT", "the certificate that came with it (or its public key)"},
      KEY_OPEN_FLAGS,
      {"new-passphrase-file", "FILE", "the passphrase of NEW"},
      {"new-passphrase-fd", "N", "the same from descriptor N"},
      {"new-credential", "NAME", "seal NEW by this systemd credential instead"},
      {"new-credential-file", "FILE", "its content"},
      {"new-plain", NULL, "do not seal NEW"},
      {0}}},
    {"key",
     "export",
     "FILE NEW",
     "write a key as PKCS#8 for other tools, or its public half",
     2,
     2,
     export,
     {{"public", NULL, "the public key only (NEW may be -)"},
      {"pkcs8", "HOW", "aes (default), sm4, or plain"},
      {"enveloped-for", "CERT", "as a CA returns it: for the sign key of this certificate, in base64"},
      KEY_OPEN_FLAGS,
      {"new-passphrase-file", "FILE", "the passphrase of NEW"},
      {"new-passphrase-fd", "N", "the same from descriptor N"},
      {0}}},
    {0},
};
