#include "admin_token.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include "ridge/codec/hex.h"

#define TOKEN_BYTES 32
#define PATH_BYTES 4200

/* The digest is written last: after a crash in between the next start makes both anew. */
static rdg_err_t make(const char *token_path, const char *digest_path, rdg_hash_t *out) {
    char token[2 * TOKEN_BYTES + 2], digest[2 * RDG_HASH_BYTES + 1];
    rdg_random_hex(rdg_random_system(), token, TOKEN_BYTES);
    rdg_sm3(token, 2 * TOKEN_BYTES, out);
    rdg_hex_encode(out->b, sizeof out->b, digest);
    token[2 * TOKEN_BYTES] = '\n';
    rdg_err_t err = rdg_file_replace(token_path, rdg_bytes(token, 2 * TOKEN_BYTES + 1), 0600);
    if (err == RDG_OK) err = rdg_file_replace(digest_path, rdg_bytes_str(digest), 0600);
    rdg_secure_zero(token, sizeof token);
    if (err == RDG_OK) rdg_log(RDG_LOG_INFO, "cloud.token_made", RDG_STR("file", token_path));
    return err;
}

rdg_err_t cloud_token_digest(const char *data_dir, const char *name, rdg_hash_t *out) {
    char token_path[PATH_BYTES], digest_path[PATH_BYTES], file[64];
    snprintf(file, sizeof file, "%s.token", name);
    RDG_TRY(rdg_path_join(token_path, sizeof token_path, data_dir, file));
    snprintf(file, sizeof file, "%s.token.sm3", name);
    RDG_TRY(rdg_path_join(digest_path, sizeof digest_path, data_dir, file));
    if (!rdg_file_exists(digest_path)) return make(token_path, digest_path, out);
    rdg_buf_t text;
    rdg_buf_init(&text, 1024);
    rdg_err_t err = rdg_file_read(digest_path, &text);
    if (err == RDG_OK && rdg_hex_decode((const char *)text.data, text.len, out->b, sizeof out->b) != RDG_OK)
        err = rdg_fail(RDG_E_CORRUPT, "%s is damaged: remove it and %s to have a new token made", digest_path,
                       token_path);
    rdg_buf_fini(&text);
    return err;
}
