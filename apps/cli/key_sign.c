#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "keys.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/base64.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/sm2_cipher.h"
#include "ridge/crypto/sm2_message.h"

#define SIGNATURE_TEXT_MAX 1024

/* e = SM3(Z ‖ file), however large the file is. */
static rdg_err_t digest_stream(int fd, const char *path, const rdg_hash_t *z, rdg_hash_t *e) {
    uint8_t part[65536];
    rdg_sm3_stream_t *stream = rdg_sm3_stream_new();
    if (!stream) return rdg_fail(RDG_E_NO_MEMORY, "SM3: out of memory");
    rdg_sm3_stream_update(stream, z->b, sizeof z->b);
    rdg_err_t err = RDG_OK;
    for (;;) {
        ssize_t n = read(fd, part, sizeof part);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) err = rdg_fail_errno(errno, "%s", path);
        if (n <= 0) break;
        rdg_sm3_stream_update(stream, part, (size_t)n);
    }
    rdg_sm3_stream_final(stream, e);
    rdg_sm3_stream_free(stream);
    return err;
}

static rdg_err_t digest_file(const char *path, const rdg_hash_t *z, rdg_hash_t *e) {
    if (strcmp(path, "-") == 0) return digest_stream(STDIN_FILENO, "standard input", z, e);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return rdg_fail_errno(errno, "%s", path);
    rdg_err_t err = digest_stream(fd, path, z, e);
    close(fd);
    return err;
}

/* What is signed: the file under Z, or with --digest the digest that the argument is. */
static rdg_err_t what_is_signed(const cli_t *cli, const rdg_sm2_public_t *pub, const char *path,
                                rdg_hash_t *e) {
    const char *id = cli_flag(cli, "id", NULL);
    rdg_hash_t z;
    if (cli_has(cli, "digest")) {
        if (id) return rdg_fail(RDG_E_INVALID, "--digest is made with a user id already: leave --id away");
        return rdg_fail_in(rdg_hex_decode(path, strlen(path), e->b, sizeof e->b),
                           "--digest takes 64 hexadecimal digits in place of a file");
    }
    RDG_TRY(rdg_sm2_user_z(pub, rdg_bytes_str(id ? id : RDG_SM2_USER_ID), &z));
    return digest_file(path, &z, e);
}

static rdg_err_t put_form(rdg_buf_t *out, const char *form, const rdg_sm2_signature_t *sig) {
    uint8_t der[RDG_SM2_DER_MAX];
    size_t len = rdg_sm2_signature_to_der(sig, der);
    if (strcmp(form, "der") == 0) return rdg_buf_append(out, der, len);
    if (strcmp(form, "raw") == 0) return rdg_buf_append(out, sig->b, sizeof sig->b);
    if (strcmp(form, "hex") == 0)
        RDG_TRY(rdg_hex_append(out, sig->b, sizeof sig->b, false));
    else if (strcmp(form, "base64") == 0)
        RDG_TRY(rdg_base64_append(out, der, len));
    else
        return rdg_fail(RDG_E_INVALID, "--form %s: take hex, base64, der or raw", form);
    return rdg_buf_str(out, "\n");
}

static json_t *describe(const rdg_sm2_public_t *pub, const rdg_hash_t *e, const rdg_sm2_signature_t *sig) {
    uint8_t der[RDG_SM2_DER_MAX];
    size_t len = rdg_sm2_signature_to_der(sig, der);
    char hex[2 * RDG_SM2_DER_MAX + 1];
    json_t *about = json_object();
    rdg_hex_encode(sig->b, sizeof sig->b, hex);
    json_object_set_new(about, "signature", json_string(hex));
    rdg_hex_encode(der, len, hex);
    json_object_set_new(about, "der", json_string(hex));
    rdg_hex_encode(e->b, sizeof e->b, hex);
    json_object_set_new(about, "digest", json_string(hex));
    cli_put_public(about, pub);
    return about;
}

static rdg_err_t write_signature(const cli_t *cli, const rdg_sm2_signature_t *sig) {
    const char *path = cli_flag(cli, "out", "-");
    rdg_buf_t text;
    rdg_buf_init(&text, SIGNATURE_TEXT_MAX);
    rdg_err_t err = put_form(&text, cli_flag(cli, "form", "hex"), sig);
    if (err == RDG_OK && strcmp(path, "-") != 0)
        err = rdg_file_replace(path, rdg_buf_view(&text), 0644);
    else if (err == RDG_OK && fwrite(text.data, 1, text.len, stdout) != text.len)
        err = rdg_fail(RDG_E_IO, "standard output cannot be written");
    rdg_buf_fini(&text);
    return err;
}

static rdg_err_t sign(cli_t *cli) {
    rdg_sm2_key_t *key;
    rdg_sm2_public_t pub;
    rdg_sm2_signature_t sig;
    rdg_hash_t e;
    RDG_TRY(cli_key_open(cli, cli->args[0], &key));
    rdg_sm2_key_public(key, &pub);
    rdg_err_t err = what_is_signed(cli, &pub, cli->args[1], &e);
    if (err == RDG_OK) err = rdg_sm2_sign_e(key, &e, &sig);
    rdg_sm2_key_free(key);
    RDG_TRY(err);
    if (!cli->json) return write_signature(cli, &sig);
    json_t *about = describe(&pub, &e, &sig);
    out_json(about);
    json_decref(about);
    return cli_has(cli, "out") ? write_signature(cli, &sig) : RDG_OK;
}

static bool from_bytes(rdg_bytes_t bytes, rdg_sm2_signature_t *out) {
    if (bytes.len == sizeof out->b) return memcpy(out->b, bytes.data, sizeof out->b), true;
    return rdg_sm2_signature_from_der(bytes, out) == RDG_OK;
}

/* Bytes as they are, or hexadecimal, or base64, each of r‖s or DER. */
static bool parse_signature(rdg_bytes_t text, rdg_sm2_signature_t *out) {
    uint8_t bytes[SIGNATURE_TEXT_MAX];
    size_t len = 0;
    if (from_bytes(text, out)) return true;
    while (text.len && strchr(" \r\n\t", text.data[text.len - 1])) text.len--;
    if (text.len == 0) return false;
    if (rdg_hex_decode((const char *)text.data, text.len, bytes, text.len / 2) == RDG_OK &&
        from_bytes(rdg_bytes(bytes, text.len / 2), out))
        return true;
    return rdg_base64_decode(text, bytes, sizeof bytes, &len) == RDG_OK &&
           from_bytes(rdg_bytes(bytes, len), out);
}

static rdg_err_t read_signature(const char *what, rdg_sm2_signature_t *out) {
    rdg_buf_t text;
    bool is_file = rdg_file_exists(what);
    if (is_file) RDG_TRY(cli_read(what, SIGNATURE_TEXT_MAX, &text));
    bool good = parse_signature(is_file ? rdg_buf_view(&text) : rdg_bytes_str(what), out);
    if (is_file) rdg_buf_fini(&text);
    return good ? RDG_OK
                : rdg_fail(
                      RDG_E_MALFORMED,
                      "'%.80s' is neither a file with a signature nor one in hexadecimal or base64 (r and s, "
                      "64 bytes, or their DER)",
                      what);
}

static rdg_err_t verify(cli_t *cli) {
    rdg_sm2_public_t pub;
    rdg_sm2_signature_t sig;
    rdg_hash_t e;
    RDG_TRY(cli_public(cli, cli->args[0], &pub));
    RDG_TRY(read_signature(cli->args[2], &sig));
    RDG_TRY(what_is_signed(cli, &pub, cli->args[1], &e));
    rdg_err_t err = rdg_sm2_verify_e(&pub, &e, &sig);
    if (err != RDG_OK)
        err = rdg_fail(err, "the signature of %s is not valid: other content, another key or another user id",
                       cli->args[1]);
    if (cli->json) {
        json_t *about = describe(&pub, &e, &sig);
        json_object_set_new(about, "valid", json_boolean(err == RDG_OK));
        out_json(about);
        json_decref(about);
    } else if (err == RDG_OK) {
        printf("the signature of %s is valid\n", cli->args[1]);
    }
    return err;
}

#define MESSAGE_FLAGS                                                                                        \
    {"id", "TEXT", "user id of the signer (default " RDG_SM2_USER_ID ")"}, {                                 \
        "digest", NULL, "FILE is no file but e = SM3(Z and message), 64 hexadecimal digits"                  \
    }

const command_t key_sign_commands[] = {
    {"key",
     "sign",
     "KEY FILE",
     "sign a file (- is standard input) with SM2 and SM3",
     2,
     2,
     sign,
     {MESSAGE_FLAGS,
      {"form", "FORM", "hex (r and s, default), base64 (of DER), der or raw"},
      {"out", "FILE", "write the signature there"},
      KEY_OPEN_FLAGS,
      {0}}},
    {"key",
     "verify",
     "KEY FILE SIGNATURE",
     "verify a signature; KEY is a certificate, a key file or a public key",
     3,
     3,
     verify,
     {MESSAGE_FLAGS, KEY_OPEN_FLAGS, {0}}},
    {0},
};
