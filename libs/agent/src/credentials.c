#include "credentials.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* --- the root that a token names --------------------------------------------------------------------- */

rdg_err_t credentials_split_token(const char *token, char secret[CREDENTIALS_SECRET_MAX],
                                  char fingerprint[65]) {
    uint8_t raw[32];
    const char *dot = strchr(token, '.');
    size_t len = dot ? (size_t)(dot - token) : 0;
    if (!dot || len == 0 || len >= CREDENTIALS_SECRET_MAX || strlen(dot + 1) != 64 ||
        rdg_hex_decode(dot + 1, 64, raw, sizeof raw) != RDG_OK)
        return rdg_fail(RDG_E_INVALID,
                        "the enrolment token does not end with '.' and the 64 digits of the cloud's root "
                        "certificate: copy the whole line that 'ridge device token' prints, from a cloud of "
                        "this version");
    memcpy(secret, token, len);
    secret[len] = '\0';
    rdg_hex_encode(raw, sizeof raw, fingerprint);
    return RDG_OK;
}

rdg_err_t credentials_root(const char *pem, const char *fingerprint, rdg_cert_t **out) {
    rdg_hash_t digest;
    char found[65];
    size_t count;
    RDG_TRY(rdg_fail_in(rdg_cert_parse_pem(rdg_bytes_str(pem), out, 1, &count), "the cloud's root"));
    rdg_cert_fingerprint(*out, &digest);
    rdg_hex_encode(digest.b, sizeof digest.b, found);
    if (strcmp(found, fingerprint) == 0) return RDG_OK;
    rdg_cert_free(*out);
    *out = NULL;
    return rdg_fail(
        RDG_E_UNAUTHENTICATED,
        "the cloud's root certificate is %.16s…, and the token was made for %.16s…: this is not the "
        "cloud that the token is from, or somebody stands in between; look at --cloud, and compare "
        "with 'ridge ca show'",
        found, fingerprint);
}

rdg_err_t credentials_identity(const char *dir, rdg_tlcp_identity_t **out) {
    return rdg_tlcp_identity_load(dir, CREDENTIALS_PREFIX, out);
}

uint64_t credentials_stamp(const char *dir) {
    return rdg_credentials_stamp(dir, CREDENTIALS_PREFIX);
}

rdg_err_t credentials_roots(const char *dir, char **out) {
    char path[PATH_MAX];
    rdg_buf_t text;
    size_t len;
    RDG_TRY(rdg_path_join(path, sizeof path, dir, "roots.crt"));
    rdg_buf_init(&text, RDG_CREDENTIALS_TEXT_MAX);
    rdg_err_t err = rdg_file_read(path, &text);
    *out = err == RDG_OK ? (char *)rdg_buf_take(&text, &len) : NULL;
    rdg_buf_fini(&text);
    if (err == RDG_OK && !*out) err = rdg_fail(RDG_E_NO_MEMORY, "no memory for the roots");
    return rdg_fail_in(err, "%s", path);
}

/* --- requests and certificates ------------------------------------------------------------------------- */

static rdg_err_t load_keys(const char *dir, const char *prefix, rdg_sm2_key_t **sign, rdg_sm2_key_t **enc) {
    char name[NAME_MAX], path[PATH_MAX];
    snprintf(name, sizeof name, "%s.key", prefix);
    RDG_TRY(rdg_path_join(path, sizeof path, dir, name));
    RDG_TRY(rdg_sm2_key_load_or_generate(path, sign));
    rdg_err_t err = rdg_credentials_next_key(dir, prefix, enc);
    if (err != RDG_OK) rdg_sm2_key_free(*sign);
    return err;
}

rdg_err_t credentials_requests(const char *dir, const char *prefix, const char *name, json_t **out) {
    rdg_sm2_key_t *sign_key, *enc_key;
    rdg_buf_t sign, enc;
    RDG_TRY(load_keys(dir, prefix, &sign_key, &enc_key));
    rdg_buf_init(&sign, RDG_CERT_REQUEST_MAX);
    rdg_buf_init(&enc, RDG_CERT_REQUEST_MAX);
    rdg_err_t err = rdg_cert_request_make(sign_key, name, &sign);
    if (err == RDG_OK) err = rdg_cert_request_make(enc_key, name, &enc);
    if (err == RDG_OK) {
        *out = json_pack("{s:s, s:s}", "sign", rdg_buf_cstr(&sign), "enc", rdg_buf_cstr(&enc));
        if (!*out) err = rdg_fail(RDG_E_NO_MEMORY, "no memory for certificate requests");
    }
    rdg_buf_fini(&sign);
    rdg_buf_fini(&enc);
    rdg_sm2_key_free(sign_key);
    rdg_sm2_key_free(enc_key);
    return err;
}

static rdg_err_t check_name(const char *pem, const char *name) {
    rdg_cert_t *cert = NULL;
    size_t count;
    RDG_TRY(rdg_cert_parse_pem(rdg_bytes_str(pem), &cert, 1, &count));
    bool fits = rdg_cert_has_name(cert, name);
    rdg_cert_free(cert);
    if (fits) return RDG_OK;
    return rdg_fail(RDG_E_CONFLICT, "the certificate that came is not for '%.130s'", name);
}

rdg_err_t credentials_install(const char *dir, const char *prefix, const char *name,
                              const json_t *certificates, const char *roots, int64_t now_s) {
    rdg_credentials_texts_t texts = {.roots = roots};
    RDG_TRY(rdg_json_get_str(certificates, "sign", &texts.sign_cert));
    RDG_TRY(rdg_json_get_str(certificates, "enc", &texts.enc_cert));
    RDG_TRY(rdg_json_get_str(certificates, "chain", &texts.chain));
    RDG_TRY(check_name(texts.sign_cert, name));
    return rdg_credentials_install(dir, prefix, &texts, now_s);
}
