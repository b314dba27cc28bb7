#include "ridge/crypto/hash.h"

#include <gcrypt.h>
#include <string.h>
#include "gcrypt_init.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"

static void digest_once(int algo, const void *data, size_t len, uint8_t out[32]) {
    rdg_gcrypt_init();
    gcry_md_hash_buffer(algo, out, len ? data : "", len);
}

void rdg_sm3(const void *data, size_t len, rdg_hash_t *out) {
    digest_once(GCRY_MD_SM3, data, len, out->b);
}

void rdg_sha256(const void *data, size_t len, uint8_t out[32]) {
    digest_once(GCRY_MD_SHA256, data, len, out);
}

void rdg_sm3_parts(const rdg_bytes_t *parts, size_t part_count, rdg_hash_t *out) {
    RDG_ASSERT(part_count <= RDG_SM3_PARTS_MAX);
    gcry_buffer_t iov[RDG_SM3_PARTS_MAX];
    memset(iov, 0, sizeof iov[0] * part_count);
    int count = 0;
    for (size_t i = 0; i < part_count; i++) {
        if (parts[i].len == 0) continue;
        iov[count].data = (void *)parts[i].data;
        iov[count++].len = parts[i].len;
    }
    rdg_gcrypt_init();
    gcry_error_t failed = gcry_md_hash_buffers(GCRY_MD_SM3, 0, out->b, iov, count);
    RDG_ASSERT(!failed);
}

void rdg_sm3_tagged(rdg_domain_t tag, const rdg_bytes_t *parts, size_t part_count, rdg_hash_t *out) {
    RDG_ASSERT(part_count < RDG_SM3_PARTS_MAX);
    uint8_t tag_byte = (uint8_t)tag;
    rdg_bytes_t all[RDG_SM3_PARTS_MAX];
    all[0] = rdg_bytes(&tag_byte, 1);
    if (part_count) memcpy(all + 1, parts, part_count * sizeof *parts);
    rdg_sm3_parts(all, part_count + 1, out);
}

/* --- streams: a gcry_md handle with another name, because the header must not show libgcrypt --- */

static gcry_md_hd_t stream_new(int algo) {
    rdg_gcrypt_init();
    gcry_md_hd_t handle = NULL;
    return gcry_md_open(&handle, algo, 0) ? NULL : handle;
}

static void stream_final(gcry_md_hd_t handle, int algo, uint8_t *out) {
    memcpy(out, gcry_md_read(handle, algo), gcry_md_get_algo_dlen(algo));
    gcry_md_reset(handle);
}

rdg_sm3_stream_t *rdg_sm3_stream_new(void) {
    return (rdg_sm3_stream_t *)(void *)stream_new(GCRY_MD_SM3);
}

void rdg_sm3_stream_update(rdg_sm3_stream_t *s, const void *data, size_t len) {
    gcry_md_write((gcry_md_hd_t)(void *)s, data, len);
}

void rdg_sm3_stream_final(rdg_sm3_stream_t *s, rdg_hash_t *out) {
    stream_final((gcry_md_hd_t)(void *)s, GCRY_MD_SM3, out->b);
}

rdg_err_t rdg_sm3_stream_peek(const rdg_sm3_stream_t *s, rdg_hash_t *out) {
    gcry_md_hd_t copy = NULL;
    if (gcry_md_copy(&copy, (gcry_md_hd_t)(void *)s)) return rdg_fail(RDG_E_NO_MEMORY, "SM3: out of memory");
    memcpy(out->b, gcry_md_read(copy, GCRY_MD_SM3), sizeof out->b);
    gcry_md_close(copy);
    return RDG_OK;
}

void rdg_sm3_stream_free(rdg_sm3_stream_t *s) {
    gcry_md_close((gcry_md_hd_t)(void *)s);
}

rdg_sha256_stream_t *rdg_sha256_stream_new(void) {
    return (rdg_sha256_stream_t *)(void *)stream_new(GCRY_MD_SHA256);
}

void rdg_sha256_stream_update(rdg_sha256_stream_t *s, const void *data, size_t len) {
    gcry_md_write((gcry_md_hd_t)(void *)s, data, len);
}

void rdg_sha256_stream_final(rdg_sha256_stream_t *s, uint8_t out[32]) {
    stream_final((gcry_md_hd_t)(void *)s, GCRY_MD_SHA256, out);
}

void rdg_sha256_stream_free(rdg_sha256_stream_t *s) {
    gcry_md_close((gcry_md_hd_t)(void *)s);
}

rdg_sha512_stream_t *rdg_sha512_stream_new(void) {
    return (rdg_sha512_stream_t *)(void *)stream_new(GCRY_MD_SHA512);
}

void rdg_sha512_stream_update(rdg_sha512_stream_t *s, const void *data, size_t len) {
    gcry_md_write((gcry_md_hd_t)(void *)s, data, len);
}

void rdg_sha512_stream_final(rdg_sha512_stream_t *s, uint8_t out[64]) {
    stream_final((gcry_md_hd_t)(void *)s, GCRY_MD_SHA512, out);
}

void rdg_sha512_stream_free(rdg_sha512_stream_t *s) {
    gcry_md_close((gcry_md_hd_t)(void *)s);
}

bool rdg_hash_equal(const rdg_hash_t *a, const rdg_hash_t *b) {
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

bool rdg_hash_is_zero(const rdg_hash_t *h) {
    static const rdg_hash_t zero;
    return rdg_hash_equal(h, &zero);
}
