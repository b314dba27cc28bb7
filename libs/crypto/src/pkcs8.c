#include "ridge/crypto/pkcs8.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include "der.h"
#include "pbes2.h"
#include "key_pem.h"
#include "pkcs8.h"
#include "ridge/base/alloc.h"
#include "ridge/base/random.h"
#include "sm2_key.h"

#define ITERATIONS 200000 /* of what is written: some 0.1 s */
#define SALT_BYTES 16

static const uint8_t ec_oid[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
static const uint8_t sm2_oid[] = {0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d};

static rdg_err_t malformed(void) {
    return rdg_fail(RDG_E_MALFORMED, "private key: not the DER of PKCS#8 or of an ECPrivateKey");
}

static rdg_err_t not_sm2(void) {
    return rdg_fail(RDG_E_UNSUPPORTED, "private key: of another kind than SM2");
}

static bool is_sm2_curve(rdg_bytes_t oid) {
    return rdg_bytes_equal(oid, rdg_bytes(sm2_oid, sizeof sm2_oid));
}

/* What a structure says of the key: borrowed from it. */
typedef struct parts {
    rdg_bytes_t scalar, point;
} parts_t;

static rdg_err_t read_ec_private(rdg_reader_t *r, bool curve_known, parts_t *out) {
    rdg_reader_t key, inner;
    uint32_t version;
    rdg_bytes_t curve;
    if (!rdg_der_enter(r, RDG_DER_SEQUENCE, &key) || !rdg_reader_done(r) || !rdg_der_u32(&key, &version) ||
        version != 1 || !rdg_der_content(&key, RDG_DER_OCTETS, &out->scalar))
        return malformed();
    if (rdg_der_peek(&key) == RDG_DER_CONTEXT_0) {
        if (!rdg_der_enter(&key, RDG_DER_CONTEXT_0, &inner)) return malformed();
        if (!rdg_der_content(&inner, RDG_DER_OID, &curve) || !rdg_reader_done(&inner) || !is_sm2_curve(curve))
            return not_sm2();
        curve_known = true;
    }
    if (!curve_known) return not_sm2();
    if (rdg_der_peek(&key) == RDG_DER_CONTEXT_1 &&
        (!rdg_der_enter(&key, RDG_DER_CONTEXT_1, &inner) || !rdg_der_bits(&inner, &out->point) ||
         !rdg_reader_done(&inner)))
        return malformed();
    return rdg_reader_done(&key) && out->scalar.len == 32 ? RDG_OK : malformed();
}

static rdg_err_t read_algorithm(rdg_reader_t *r) {
    rdg_reader_t algorithm;
    rdg_bytes_t oid, curve;
    if (!rdg_der_enter(r, RDG_DER_SEQUENCE, &algorithm) || !rdg_der_content(&algorithm, RDG_DER_OID, &oid))
        return malformed();
    if (!rdg_bytes_equal(oid, rdg_bytes(ec_oid, sizeof ec_oid)) ||
        !rdg_der_content(&algorithm, RDG_DER_OID, &curve) || !rdg_reader_done(&algorithm) ||
        !is_sm2_curve(curve))
        return not_sm2();
    return RDG_OK;
}

/* PrivateKeyInfo, or the ECPrivateKey by itself: what follows the version tells them apart. */
static rdg_err_t read_private(rdg_bytes_t der, parts_t *out) {
    rdg_reader_t outer, info, key;
    uint32_t version;
    rdg_bytes_t attributes;
    rdg_reader_init(&outer, der);
    if (!rdg_der_enter(&outer, RDG_DER_SEQUENCE, &info) || !rdg_reader_done(&outer) ||
        !rdg_der_u32(&info, &version))
        return malformed();
    if (rdg_der_peek(&info) == RDG_DER_OCTETS) {
        rdg_reader_init(&outer, der);
        return read_ec_private(&outer, false, out);
    }
    RDG_TRY(read_algorithm(&info));
    if (version > 1 || !rdg_der_enter(&info, RDG_DER_OCTETS, &key)) return malformed();
    RDG_TRY(read_ec_private(&key, true, out));
    if (rdg_der_peek(&info) == RDG_DER_CONTEXT_0 && !rdg_der_content(&info, RDG_DER_CONTEXT_0, &attributes))
        return malformed();
    return rdg_reader_done(&info) ? RDG_OK : malformed();
}

rdg_err_t rdg_pkcs8_read(rdg_bytes_t der, rdg_sm2_key_t **out) {
    parts_t parts = {{0}, {0}};
    rdg_sm2_public_t stated, real;
    *out = NULL;
    RDG_TRY(read_private(der, &parts));
    if (parts.point.len) RDG_TRY(rdg_fail_in(rdg_sm2_public_decode(parts.point, &stated), "private key"));
    RDG_TRY(rdg_fail_in(rdg_sm2_key_from_scalar(parts.scalar.data, out), "private key"));
    rdg_sm2_key_public(*out, &real);
    if (!parts.point.len || memcmp(stated.b, real.b, sizeof real.b) == 0) return RDG_OK;
    rdg_sm2_key_free(*out);
    *out = NULL;
    return rdg_fail(RDG_E_INVALID, "private key: the public key stated with it is another's");
}

static bool read_encrypted(rdg_bytes_t der, rdg_reader_t *info) {
    rdg_reader_t outer;
    rdg_reader_init(&outer, der);
    return rdg_der_enter(&outer, RDG_DER_SEQUENCE, info) && rdg_reader_done(&outer) &&
           rdg_der_peek(info) == RDG_DER_SEQUENCE;
}

static rdg_err_t open_encrypted(rdg_reader_t *info, rdg_bytes_t passphrase, rdg_sm2_key_t **out) {
    rdg_pbes2_t pbes2;
    rdg_bytes_t sealed;
    uint8_t der[RDG_PKCS8_DER_MAX];
    size_t len;
    RDG_TRY(rdg_pbes2_read(info, &pbes2));
    if (!rdg_der_content(info, RDG_DER_OCTETS, &sealed) || !rdg_reader_done(info) || sealed.len == 0 ||
        sealed.len > sizeof der || sealed.len % pbes2.iv_len)
        return malformed();
    if (passphrase.len == 0)
        return rdg_fail(RDG_E_UNAUTHENTICATED, "encrypted key: its passphrase is needed");
    rdg_err_t err = rdg_pbes2_run(&pbes2, false, passphrase, der, &len, sealed);
    if (err == RDG_OK) {
        err = rdg_pkcs8_read(rdg_bytes(der, len), out);
        /* What a wrong passphrase made by chance is not to be told from damage. */
        if (err == RDG_E_MALFORMED)
            err = rdg_fail(RDG_E_UNAUTHENTICATED, "encrypted key: wrong passphrase, or damaged");
    }
    rdg_secure_zero(der, sizeof der);
    return err;
}

static rdg_err_t import_der(rdg_bytes_t der, rdg_bytes_t passphrase, rdg_sm2_key_t **out) {
    rdg_reader_t info;
    if (der.len > RDG_PKCS8_DER_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "private key: %zu bytes, at most %d", der.len, RDG_PKCS8_DER_MAX);
    return read_encrypted(der, &info) ? open_encrypted(&info, passphrase, out) : rdg_pkcs8_read(der, out);
}

static const char *const labels[] = {"PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "EC PRIVATE KEY",
                                     "SM2 PRIVATE KEY", NULL};

rdg_err_t rdg_pkcs8_import(rdg_bytes_t data, rdg_bytes_t passphrase, rdg_sm2_key_t **out) {
    *out = NULL;
    if (data.len && data.data[0] == RDG_DER_SEQUENCE) return import_der(data, passphrase, out);
    rdg_key_pem_t pem;
    RDG_TRY(rdg_fail_in(rdg_key_pem_find(data, labels, &pem), "private key"));
    rdg_err_t err = import_der(rdg_bytes(pem.der, pem.len), passphrase, out);
    rdg_key_pem_clear(&pem);
    return err;
}

bool rdg_pkcs8_is_encrypted(rdg_bytes_t data) {
    rdg_key_pem_t pem;
    rdg_reader_t info;
    if (data.len && data.data[0] == RDG_DER_SEQUENCE) return read_encrypted(data, &info);
    if (rdg_key_pem_find(data, labels, &pem) != RDG_OK) return false;
    bool is = read_encrypted(rdg_bytes(pem.der, pem.len), &info);
    rdg_key_pem_clear(&pem);
    return is;
}

static void put_curve(rdg_writer_t *w, uint8_t tag) {
    size_t start = rdg_der_open(w);
    if (tag == RDG_DER_SEQUENCE) rdg_der_put(w, RDG_DER_OID, rdg_bytes(ec_oid, sizeof ec_oid));
    rdg_der_put(w, RDG_DER_OID, rdg_bytes(sm2_oid, sizeof sm2_oid));
    rdg_der_close(w, start, tag);
}

static void put_point(rdg_writer_t *w, const rdg_sm2_public_t *pub) {
    uint8_t point[65] = {0x04};
    memcpy(point + 1, pub->b, sizeof pub->b);
    rdg_der_put_bits(w, rdg_bytes(point, sizeof point));
}

/* With the curve inside of ECPrivateKey too: GmSSL asks for it. */
rdg_err_t rdg_pkcs8_write(const rdg_sm2_key_t *key, uint8_t der[RDG_PKCS8_DER_MAX], size_t *len) {
    rdg_writer_t w;
    uint8_t scalar[32];
    rdg_writer_init(&w, der, RDG_PKCS8_DER_MAX);
    RDG_TRY(rdg_sm2_key_scalar(key, scalar));
    size_t info = rdg_der_open(&w);
    rdg_der_put_u32(&w, 0);
    put_curve(&w, RDG_DER_SEQUENCE);
    size_t octets = rdg_der_open(&w), ec = rdg_der_open(&w);
    rdg_der_put_u32(&w, 1);
    rdg_der_put(&w, RDG_DER_OCTETS, rdg_bytes(scalar, sizeof scalar));
    put_curve(&w, RDG_DER_CONTEXT_0);
    size_t context = rdg_der_open(&w);
    put_point(&w, &key->public_key);
    rdg_der_close(&w, context, RDG_DER_CONTEXT_1);
    rdg_der_close(&w, ec, RDG_DER_SEQUENCE);
    rdg_der_close(&w, octets, RDG_DER_OCTETS);
    rdg_der_close(&w, info, RDG_DER_SEQUENCE);
    rdg_secure_zero(scalar, sizeof scalar);
    *len = rdg_writer_len(&w);
    return RDG_OK;
}

rdg_err_t rdg_pkcs8_export(const rdg_sm2_key_t *key, char pem[RDG_PKCS8_PEM_MAX], size_t *len) {
    uint8_t der[RDG_PKCS8_DER_MAX];
    size_t der_len;
    rdg_err_t err = rdg_pkcs8_write(key, der, &der_len);
    if (err == RDG_OK)
        err = rdg_key_pem_write("PRIVATE KEY", rdg_bytes(der, der_len), pem, RDG_PKCS8_PEM_MAX, len);
    rdg_secure_zero(der, sizeof der);
    return err;
}

rdg_err_t rdg_pkcs8_export_encrypted(const rdg_sm2_key_t *key, rdg_bytes_t passphrase,
                                     rdg_pkcs8_cipher_t cipher, char pem[RDG_PKCS8_PEM_MAX], size_t *len) {
    uint8_t plain[RDG_PKCS8_DER_MAX], sealed[RDG_PKCS8_DER_MAX], der[RDG_PKCS8_DER_MAX];
    uint8_t salt[SALT_BYTES], iv[16];
    size_t plain_len, sealed_len = 0;
    rdg_writer_t w;
    if (passphrase.len == 0) return rdg_fail(RDG_E_INVALID, "encrypted key: the passphrase is empty");
    bool sm4 = cipher == RDG_PKCS8_SM4;
    rdg_pbes2_t p = {.cipher = sm4 ? "SM4-CBC" : "AES-256-CBC",
                     .key_len = sm4 ? 16 : 32,
                     .iv_len = sizeof iv,
                     .digest = sm4 ? "SM3" : "SHA256",
                     .iterations = ITERATIONS,
                     .salt = {salt, sizeof salt},
                     .iv = {iv, sizeof iv}};
    rdg_random_fill(rdg_random_system(), salt, sizeof salt);
    rdg_random_fill(rdg_random_system(), iv, sizeof iv);
    RDG_TRY(rdg_pkcs8_write(key, plain, &plain_len));
    rdg_err_t err = rdg_pbes2_run(&p, true, passphrase, sealed, &sealed_len, rdg_bytes(plain, plain_len));
    rdg_secure_zero(plain, sizeof plain);
    RDG_TRY(err);
    rdg_writer_init(&w, der, sizeof der);
    size_t info = rdg_der_open(&w);
    rdg_pbes2_write(&w, &p);
    rdg_der_put(&w, RDG_DER_OCTETS, rdg_bytes(sealed, sealed_len));
    rdg_der_close(&w, info, RDG_DER_SEQUENCE);
    return rdg_key_pem_write("ENCRYPTED PRIVATE KEY", rdg_bytes(der, rdg_writer_len(&w)), pem,
                             RDG_PKCS8_PEM_MAX, len);
}

rdg_err_t rdg_pkcs8_export_public(const rdg_sm2_public_t *pub, char pem[RDG_PKCS8_PEM_MAX], size_t *len) {
    uint8_t der[RDG_PKCS8_DER_MAX];
    rdg_writer_t w;
    rdg_writer_init(&w, der, sizeof der);
    size_t info = rdg_der_open(&w);
    put_curve(&w, RDG_DER_SEQUENCE);
    put_point(&w, pub);
    rdg_der_close(&w, info, RDG_DER_SEQUENCE);
    return rdg_key_pem_write("PUBLIC KEY", rdg_bytes(der, rdg_writer_len(&w)), pem, RDG_PKCS8_PEM_MAX, len);
}

rdg_err_t rdg_pkcs8_import_public(rdg_bytes_t text, rdg_sm2_public_t *out) {
    static const char *const wanted[] = {"PUBLIC KEY", NULL};
    rdg_key_pem_t pem;
    rdg_reader_t outer, info;
    rdg_bytes_t point = {0};
    RDG_TRY(rdg_fail_in(rdg_key_pem_find(text, wanted, &pem), "public key"));
    rdg_reader_init(&outer, rdg_bytes(pem.der, pem.len));
    rdg_err_t err = RDG_OK;
    if (!rdg_der_enter(&outer, RDG_DER_SEQUENCE, &info) || !rdg_reader_done(&outer))
        err = rdg_fail(RDG_E_MALFORMED, "public key: not DER");
    if (err == RDG_OK && read_algorithm(&info) != RDG_OK)
        err = rdg_fail(RDG_E_UNSUPPORTED, "public key: of another kind than SM2");
    if (err == RDG_OK && (!rdg_der_bits(&info, &point) || !rdg_reader_done(&info)))
        err = rdg_fail(RDG_E_MALFORMED, "public key: not DER");
    if (err == RDG_OK) err = rdg_sm2_public_decode(point, out);
    rdg_key_pem_clear(&pem);
    return err;
}
