#include "s3.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"
#include "ridge/crypto/hmac.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SIGNED "host;x-amz-content-sha256;x-amz-date"
#define KEYS_FILE_MAX 16384

static void mac(const uint8_t *key, size_t key_len, const char *text, uint8_t out[32]) {
    rdg_hmac_sha256(out, rdg_bytes(key, key_len), rdg_bytes_str(text));
}

static void signing_key(const s3_keys_t *keys, const char *day, const char *region, uint8_t out[32]) {
    char first[sizeof keys->secret + 4];
    int n = snprintf(first, sizeof first, "AWS4%s", keys->secret);
    mac((const uint8_t *)first, (size_t)n, day, out);
    mac(out, 32, region, out);
    mac(out, 32, "s3", out);
    mac(out, 32, "aws4_request", out);
    rdg_secure_zero(first, sizeof first);
}

rdg_err_t s3_sign(const s3_keys_t *keys, const char *region, const char *date, const char *method,
                  const char *host, const char *path, const char *query, const char *payload, char out[700]) {
    char canonical[4096], day[9], scope[128], sum[65], text[400];
    uint8_t digest[32], key[32];
    int n = snprintf(canonical, sizeof canonical,
                     "%s\n%s\n%s\nhost:%s\nx-amz-content-sha256:%s\nx-amz-date:%s\n\n" SIGNED "\n%s", method,
                     path, query ? query : "", host, payload, date, payload);
    if (n < 0 || n >= (int)sizeof canonical)
        return rdg_fail(RDG_E_TOO_LARGE, "a request to the object store is too long to be signed");
    rdg_sha256(canonical, (size_t)n, digest);
    rdg_hex_encode(digest, sizeof digest, sum);
    snprintf(day, sizeof day, "%.8s", date);
    snprintf(scope, sizeof scope, "%s/%.64s/s3/aws4_request", day, region);
    snprintf(text, sizeof text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", date, scope, sum);
    signing_key(keys, day, region, key);
    mac(key, sizeof key, text, digest);
    rdg_secure_zero(key, sizeof key);
    rdg_hex_encode(digest, sizeof digest, sum);
    snprintf(out, 700,
             "Authorization: AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=" SIGNED ", Signature=%s",
             keys->id, scope, sum);
    return RDG_OK;
}

/* --- keys ------------------------------------------------------------------------------------------------------ */

static void take_line(char *line, bool *mine, s3_keys_t *out) {
    char *equals = strchr(line, '='), *name = line + strspn(line, " \t");
    if (*name == '[') *mine = strncmp(name, "[default]", 9) == 0;
    if (!*mine || !equals) return;
    char *value = equals + 1 + strspn(equals + 1, " \t");
    size_t len = strcspn(name, " \t=");
    value[strcspn(value, " \t\r")] = '\0';
    if (len == 17 && strncmp(name, "aws_access_key_id", len) == 0)
        snprintf(out->id, sizeof out->id, "%s", value);
    else if (len == 21 && strncmp(name, "aws_secret_access_key", len) == 0)
        snprintf(out->secret, sizeof out->secret, "%s", value);
}

rdg_err_t s3_keys(const char *path, s3_keys_t *out) {
    struct stat st;
    rdg_buf_t text;
    bool mine = true;
    memset(out, 0, sizeof *out);
    if (stat(path, &st) == 0 && (st.st_mode & 077) != 0)
        return rdg_fail(RDG_E_FORBIDDEN,
                        "%s, the credentials of the object store, can be read by others: chmod 600", path);
    rdg_buf_init(&text, KEYS_FILE_MAX);
    rdg_err_t err = rdg_fail_in(rdg_file_read(path, &text), "the credentials of the object store");
    if (err == RDG_OK && !rdg_buf_cstr(&text)) err = RDG_E_NO_MEMORY;
    char *rest = err == RDG_OK ? (char *)text.data : NULL;
    for (char *line; (line = strsep(&rest, "\n"));) take_line(line, &mine, out);
    if (text.data) rdg_secure_zero(text.data, text.len);
    rdg_buf_fini(&text);
    if (err != RDG_OK || (out->id[0] && out->secret[0] && strspn(out->id, S3_PLAIN) == strlen(out->id)))
        return err;
    return rdg_fail(RDG_E_INVALID,
                    "%s: want lines 'aws_access_key_id = …' and 'aws_secret_access_key = …' under [default]",
                    path);
}
