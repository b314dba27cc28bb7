#include "pbes2.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <string.h>

#include "der.h"
#include "ridge/base/alloc.h"
#include "sm2_key.h"

#define SALT_MAX 64
#define KEY_MAX 32

typedef struct named {
    const char *name;
    uint8_t oid[12];
    uint8_t oid_len, key_len, iv_len;
} named_t;

static const uint8_t pbes2_oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d};
static const uint8_t pbkdf2_oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c};
static const uint8_t scrypt_oid[] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x04, 0x0b};

/* HMAC-SM3 has two numbers: 1.2.156.10197.1.401.2, which tools write, and GM/T 0091's 401.3.1. */
static const named_t digests[] = {
    {"SHA1", {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x07}, 8, 0, 0},
    {"SHA224", {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x08}, 8, 0, 0},
    {"SHA256", {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x09}, 8, 0, 0},
    {"SHA384", {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x0a}, 8, 0, 0},
    {"SHA512", {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x0b}, 8, 0, 0},
    {"SM3", {0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x11, 0x02}, 9, 0, 0},
    {"SM3", {0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x11, 0x03, 0x01}, 10, 0, 0},
};

static const named_t ciphers[] = {
    {"AES-128-CBC", {0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x02}, 9, 16, 16},
    {"AES-192-CBC", {0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x16}, 9, 24, 16},
    {"AES-256-CBC", {0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a}, 9, 32, 16},
    {"SM4-CBC", {0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x68, 0x02}, 8, 16, 16},
    {"DES-EDE3-CBC", {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x03, 0x07}, 8, 24, 8},
};

static const named_t *by_oid(const named_t *list, size_t count, rdg_bytes_t oid) {
    for (size_t i = 0; i < count; i++)
        if (rdg_bytes_equal(rdg_bytes(list[i].oid, list[i].oid_len), oid)) return &list[i];
    return NULL;
}

static const named_t *by_name(const named_t *list, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0) return &list[i];
    return NULL;
}
#define COUNT(list) (sizeof(list) / sizeof(list)[0])

static rdg_err_t malformed(void) {
    return rdg_fail(RDG_E_MALFORMED, "encrypted key: its parameters are not DER of PBES2");
}

static rdg_err_t read_salt(rdg_reader_t *r, rdg_pbes2_t *out) {
    if (!rdg_der_content(r, RDG_DER_OCTETS, &out->salt) || out->salt.len == 0) return malformed();
    return out->salt.len <= SALT_MAX
               ? RDG_OK
               : rdg_fail(RDG_E_TOO_LARGE, "encrypted key: salt of %zu bytes, at most %d", out->salt.len,
                          SALT_MAX);
}

static rdg_err_t read_digest(rdg_reader_t *r, rdg_pbes2_t *out) {
    rdg_bytes_t oid, nothing;
    rdg_reader_t prf;
    out->digest = "SHA1"; /* RFC 8018's default */
    if (!rdg_reader_left(r)) return RDG_OK;
    if (!rdg_der_enter(r, RDG_DER_SEQUENCE, &prf) || !rdg_der_content(&prf, RDG_DER_OID, &oid) ||
        (rdg_reader_left(&prf) && (!rdg_der_content(&prf, RDG_DER_NULL, &nothing) || nothing.len)) ||
        !rdg_reader_done(&prf) || !rdg_reader_done(r))
        return malformed();
    const named_t *d = by_oid(digests, COUNT(digests), oid);
    if (!d) return rdg_fail(RDG_E_UNSUPPORTED, "encrypted key: PBKDF2 with a digest that is not supported");
    out->digest = d->name;
    return RDG_OK;
}

/* The optional length of the key, which says nothing that the cipher does not. */
static bool skip_key_length(rdg_reader_t *r, uint32_t *key_len) {
    *key_len = 0;
    return rdg_der_peek(r) != RDG_DER_INTEGER || rdg_der_u32(r, key_len);
}

static rdg_err_t read_pbkdf2(rdg_reader_t *r, rdg_pbes2_t *out, uint32_t *key_len) {
    RDG_TRY(read_salt(r, out));
    if (!rdg_der_u32(r, &out->iterations) || out->iterations == 0 || !skip_key_length(r, key_len))
        return malformed();
    if (out->iterations > RDG_PKCS8_ITERATIONS_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "encrypted key: PBKDF2 with %u iterations, at most %d",
                        out->iterations, RDG_PKCS8_ITERATIONS_MAX);
    return read_digest(r, out);
}

static rdg_err_t read_scrypt(rdg_reader_t *r, rdg_pbes2_t *out, uint32_t *key_len) {
    out->digest = NULL;
    RDG_TRY(read_salt(r, out));
    if (!rdg_der_u32(r, &out->n) || !rdg_der_u32(r, &out->r) || !rdg_der_u32(r, &out->p) ||
        !skip_key_length(r, key_len) || !rdg_reader_done(r) || out->n < 2 || (out->n & (out->n - 1)) ||
        out->r == 0 || out->p == 0)
        return malformed();
    if ((uint64_t)out->n * out->r > RDG_PKCS8_SCRYPT_BYTES_MAX / 128 || out->p > RDG_PKCS8_SCRYPT_P_MAX)
        return rdg_fail(RDG_E_TOO_LARGE,
                        "encrypted key: scrypt with N=%u, r=%u, p=%u takes more than %u MiB or "
                        "p > %d",
                        out->n, out->r, out->p, RDG_PKCS8_SCRYPT_BYTES_MAX >> 20, RDG_PKCS8_SCRYPT_P_MAX);
    return RDG_OK;
}

static rdg_err_t read_kdf(rdg_reader_t *r, rdg_pbes2_t *out, uint32_t *key_len) {
    rdg_reader_t kdf, params;
    rdg_bytes_t oid;
    if (!rdg_der_enter(r, RDG_DER_SEQUENCE, &kdf) || !rdg_der_content(&kdf, RDG_DER_OID, &oid) ||
        !rdg_der_enter(&kdf, RDG_DER_SEQUENCE, &params) || !rdg_reader_done(&kdf))
        return malformed();
    if (rdg_bytes_equal(oid, rdg_bytes(pbkdf2_oid, sizeof pbkdf2_oid)))
        return read_pbkdf2(&params, out, key_len);
    if (rdg_bytes_equal(oid, rdg_bytes(scrypt_oid, sizeof scrypt_oid)))
        return read_scrypt(&params, out, key_len);
    return rdg_fail(RDG_E_UNSUPPORTED, "encrypted key: neither PBKDF2 nor scrypt");
}

static rdg_err_t read_cipher(rdg_reader_t *r, rdg_pbes2_t *out) {
    rdg_reader_t scheme;
    rdg_bytes_t oid;
    if (!rdg_der_enter(r, RDG_DER_SEQUENCE, &scheme) || !rdg_der_content(&scheme, RDG_DER_OID, &oid))
        return malformed();
    const named_t *c = by_oid(ciphers, COUNT(ciphers), oid);
    if (!c)
        return rdg_fail(
            RDG_E_UNSUPPORTED,
            "encrypted key: the cipher is not supported; convert it with openssl pkcs8 -topk8 -v2 "
            "aes-256-cbc");
    if (!rdg_der_content(&scheme, RDG_DER_OCTETS, &out->iv) || out->iv.len != c->iv_len ||
        !rdg_reader_done(&scheme))
        return malformed();
    out->cipher = c->name;
    out->key_len = c->key_len;
    out->iv_len = c->iv_len;
    return RDG_OK;
}

rdg_err_t rdg_pbes2_read(rdg_reader_t *r, rdg_pbes2_t *out) {
    rdg_reader_t algorithm, params;
    rdg_bytes_t oid;
    uint32_t key_len = 0;
    memset(out, 0, sizeof *out);
    if (!rdg_der_enter(r, RDG_DER_SEQUENCE, &algorithm) || !rdg_der_content(&algorithm, RDG_DER_OID, &oid))
        return malformed();
    if (!rdg_bytes_equal(oid, rdg_bytes(pbes2_oid, sizeof pbes2_oid)))
        return rdg_fail(RDG_E_UNSUPPORTED,
                        "encrypted key: an old scheme, not PBES2; convert it with openssl pkcs8 -topk8 -v2 "
                        "aes-256-cbc");
    if (!rdg_der_enter(&algorithm, RDG_DER_SEQUENCE, &params) || !rdg_reader_done(&algorithm))
        return malformed();
    RDG_TRY(read_kdf(&params, out, &key_len));
    RDG_TRY(read_cipher(&params, out));
    if (!rdg_reader_done(&params) || (key_len && key_len != out->key_len)) return malformed();
    return RDG_OK;
}

void rdg_pbes2_write(rdg_writer_t *w, const rdg_pbes2_t *p) {
    const named_t *digest = by_name(digests, COUNT(digests), p->digest);
    const named_t *cipher = by_name(ciphers, COUNT(ciphers), p->cipher);
    size_t algorithm = rdg_der_open(w);
    rdg_der_put(w, RDG_DER_OID, rdg_bytes(pbes2_oid, sizeof pbes2_oid));
    size_t params = rdg_der_open(w), kdf = rdg_der_open(w);
    rdg_der_put(w, RDG_DER_OID, rdg_bytes(pbkdf2_oid, sizeof pbkdf2_oid));
    size_t kdf_params = rdg_der_open(w);
    rdg_der_put(w, RDG_DER_OCTETS, p->salt);
    rdg_der_put_u32(w, p->iterations);
    size_t prf = rdg_der_open(w);
    rdg_der_put(w, RDG_DER_OID, rdg_bytes(digest->oid, digest->oid_len));
    rdg_der_put(w, RDG_DER_NULL, rdg_bytes(NULL, 0));
    rdg_der_close(w, prf, RDG_DER_SEQUENCE);
    rdg_der_close(w, kdf_params, RDG_DER_SEQUENCE);
    rdg_der_close(w, kdf, RDG_DER_SEQUENCE);
    size_t scheme = rdg_der_open(w);
    rdg_der_put(w, RDG_DER_OID, rdg_bytes(cipher->oid, cipher->oid_len));
    rdg_der_put(w, RDG_DER_OCTETS, p->iv);
    rdg_der_close(w, scheme, RDG_DER_SEQUENCE);
    rdg_der_close(w, params, RDG_DER_SEQUENCE);
    rdg_der_close(w, algorithm, RDG_DER_SEQUENCE);
}

rdg_err_t rdg_scrypt(uint8_t *out, size_t out_len, rdg_bytes_t passphrase, rdg_bytes_t salt, uint64_t n,
                     uint32_t r, uint32_t p) {
    uint64_t most = 128 * n * r + (1u << 20); /* and a little for p blocks */
    uint64_t r64 = r, p64 = p;
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "SCRYPT", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, (void *)(uintptr_t)passphrase.data,
                                          passphrase.len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt.data, salt.len),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_R, &r64),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_P, &p64),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &most),
        OSSL_PARAM_construct_end(),
    };
    bool ok = ctx && EVP_KDF_derive(ctx, out, out_len, params) == 1;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return ok ? RDG_OK : rdg_crypto_fail("scrypt");
}

static rdg_err_t derive(const rdg_pbes2_t *p, rdg_bytes_t passphrase, uint8_t key[KEY_MAX]) {
    if (!p->digest) return rdg_scrypt(key, p->key_len, passphrase, p->salt, p->n, p->r, p->p);
    EVP_MD *md = EVP_MD_fetch(NULL, p->digest, NULL);
    bool ok = md && PKCS5_PBKDF2_HMAC((const char *)passphrase.data, (int)passphrase.len, p->salt.data,
                                      (int)p->salt.len, (int)p->iterations, md, (int)p->key_len, key) == 1;
    EVP_MD_free(md);
    return ok ? RDG_OK : rdg_crypto_fail("PBKDF2");
}

rdg_err_t rdg_pbes2_run(const rdg_pbes2_t *p, bool encrypt, rdg_bytes_t passphrase, uint8_t *out,
                        size_t *out_len, rdg_bytes_t in) {
    uint8_t key[KEY_MAX];
    int first = 0, rest = 0;
    *out_len = 0;
    RDG_TRY(derive(p, passphrase, key));
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, p->cipher, NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ready = cipher && ctx && EVP_CipherInit_ex2(ctx, cipher, key, p->iv.data, encrypt, NULL) == 1;
    bool ok = ready && EVP_CipherUpdate(ctx, out, &first, in.data, (int)in.len) == 1 &&
              EVP_CipherFinal_ex(ctx, out + first, &rest) == 1;
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(cipher);
    rdg_secure_zero(key, sizeof key);
    if (!ready) return rdg_crypto_fail("encrypted key");
    ERR_clear_error();
    if (!ok) return rdg_fail(RDG_E_UNAUTHENTICATED, "encrypted key: wrong passphrase, or damaged");
    *out_len = (size_t)(first + rest);
    return RDG_OK;
}
