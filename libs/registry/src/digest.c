#include "digest.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define BLOCK (128u << 10)

struct digester {
    rdg_sha256_stream_t *sha256; /* one of the two */
    rdg_sha512_stream_t *sha512;
};

static bool is_sha512(const char *like) {
    return like && strncmp(like, "sha512", 6) == 0;
}

digester_t *digester_new(const char *like) {
    digester_t *d = rdg_calloc(1, sizeof *d);
    if (!d) return NULL;
    if (is_sha512(like))
        d->sha512 = rdg_sha512_stream_new();
    else
        d->sha256 = rdg_sha256_stream_new();
    if (d->sha256 || d->sha512) return d;
    rdg_free(d);
    return NULL;
}

void digester_update(digester_t *d, rdg_bytes_t bytes) {
    if (d->sha512)
        rdg_sha512_stream_update(d->sha512, bytes.data, bytes.len);
    else
        rdg_sha256_stream_update(d->sha256, bytes.data, bytes.len);
}

void digester_final(digester_t *d, char out[DIGEST_TEXT]) {
    uint8_t sum[64];
    memcpy(out, d->sha512 ? "sha512:" : "sha256:", 7);
    if (d->sha512)
        rdg_sha512_stream_final(d->sha512, sum);
    else
        rdg_sha256_stream_final(d->sha256, sum);
    rdg_hex_encode(sum, d->sha512 ? 64 : 32, out + 7);
}

void digester_free(digester_t *d) {
    if (!d) return;
    if (d->sha256) rdg_sha256_stream_free(d->sha256);
    if (d->sha512) rdg_sha512_stream_free(d->sha512);
    rdg_free(d);
}

bool digester_makes(const digester_t *d, const char *digest) {
    return is_sha512(digest) == (d->sha512 != NULL);
}

rdg_err_t digest_of_bytes(const char *like, rdg_bytes_t bytes, char out[DIGEST_TEXT]) {
    digester_t *d = digester_new(like);
    if (!d) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a digest");
    digester_update(d, bytes);
    digester_final(d, out);
    digester_free(d);
    return RDG_OK;
}

rdg_err_t digest_of_file(const char *like, int fd, char out[DIGEST_TEXT]) {
    digester_t *d = digester_new(like);
    uint8_t *block = rdg_alloc(BLOCK);
    rdg_err_t err = RDG_OK;
    off_t at = 0;
    if (!d || !block) err = rdg_fail(RDG_E_NO_MEMORY, "no memory for a digest");
    while (err == RDG_OK) {
        ssize_t n = pread(fd, block, BLOCK, at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) err = rdg_fail_errno(errno, "cannot read a blob back");
        if (n <= 0) break;
        digester_update(d, rdg_bytes(block, (size_t)n));
        at += n;
    }
    if (err == RDG_OK) digester_final(d, out);
    digester_free(d);
    rdg_free(block);
    return err;
}
