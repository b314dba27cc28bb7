#include "ridge/crypto/enveloped.h"

#include <string.h>
#include "der.h"
#include "ridge/base/alloc.h"
#include "ridge/base/random.h"
#include "ridge/crypto/sm2_cipher.h"
#include "ridge/crypto/sm4.h"
#include "sm2_key.h"

#define POINT 64
#define C3 32
#define SCALAR 32
#define BARE (POINT + C3 + SCALAR)

static const uint8_t sm4_oid[] = {0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x68};
static const uint8_t sm4_ecb_oid[] = {0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x68, 0x01};

typedef struct envelope {
    rdg_bytes_t wrapped_key, private_key; /* borrowed */
    rdg_sm2_public_t public_key;
} envelope_t;

static rdg_err_t malformed(void) {
    return rdg_fail(RDG_E_MALFORMED,
                    "enveloped key: neither the DER of an SM2EnvelopedKey nor C1, C3, C2 of a "
                    "private key (128 bytes, or 129 with 04 in front)");
}

static rdg_err_t undecryptable(void) {
    return rdg_fail(RDG_E_BAD_SIGNATURE,
                    "enveloped key: it does not decrypt to the private key of its public "
                    "key: was it made for another sign key?");
}

static rdg_err_t read_algorithm(rdg_reader_t *r) {
    rdg_reader_t algorithm;
    rdg_bytes_t oid, nothing;
    if (!rdg_der_enter(r, RDG_DER_SEQUENCE, &algorithm) || !rdg_der_content(&algorithm, RDG_DER_OID, &oid))
        return malformed();
    if (!rdg_bytes_equal(oid, rdg_bytes(sm4_oid, sizeof sm4_oid)) &&
        !rdg_bytes_equal(oid, rdg_bytes(sm4_ecb_oid, sizeof sm4_ecb_oid)))
        return rdg_fail(RDG_E_UNSUPPORTED, "enveloped key: its cipher is not SM4 in ECB: ask the CA for SM4");
    if (rdg_reader_left(&algorithm) && (!rdg_der_content(&algorithm, RDG_DER_NULL, &nothing) || nothing.len))
        return malformed();
    return rdg_reader_done(&algorithm) ? RDG_OK : malformed();
}

static rdg_err_t read_envelope(rdg_bytes_t der, envelope_t *out) {
    rdg_reader_t outer, r;
    rdg_bytes_t content, point;
    rdg_reader_init(&outer, der);
    if (!rdg_der_enter(&outer, RDG_DER_SEQUENCE, &r) || !rdg_reader_done(&outer)) return malformed();
    RDG_TRY(read_algorithm(&r));
    const uint8_t *start = r.pos;
    if (!rdg_der_content(&r, RDG_DER_SEQUENCE, &content)) return malformed();
    out->wrapped_key = rdg_bytes(start, (size_t)(r.pos - start));
    if (!rdg_der_bits(&r, &point) || !rdg_der_bits(&r, &out->private_key) || !rdg_reader_done(&r) ||
        out->private_key.len != SCALAR)
        return malformed();
    return rdg_fail_in(rdg_sm2_public_decode(point, &out->public_key), "enveloped key");
}

/* Failures that say nothing of the ciphertext. */
static bool is_ours(rdg_err_t err) {
    return err == RDG_E_NO_MEMORY || err == RDG_E_CRYPTO;
}

/* SM4-ECB, of which libgcrypt's CBC over one block under a zero IV is all that is needed. */
static rdg_err_t ecb(bool encrypt, const uint8_t key[RDG_SM4_KEY_BYTES], uint8_t out[SCALAR],
                     const uint8_t in[SCALAR]) {
    static const uint8_t zero[RDG_SM4_BLOCK_BYTES];
    rdg_sm4_t *cipher;
    RDG_TRY(rdg_sm4_new(RDG_SM4_CBC, key, &cipher));
    for (size_t at = 0; at < SCALAR; at += RDG_SM4_BLOCK_BYTES) {
        if (encrypt)
            rdg_sm4_cbc_encrypt(cipher, out + at, zero, in + at, RDG_SM4_BLOCK_BYTES);
        else
            rdg_sm4_cbc_decrypt(cipher, out + at, zero, in + at, RDG_SM4_BLOCK_BYTES);
    }
    rdg_sm4_free(cipher);
    return RDG_OK;
}

/* The SM2 ciphertext's content; random bytes in its place when it does not decrypt to `len` bytes, so that
 * what follows is the same. MALFORMED is public: no key is needed to see it. */
static rdg_err_t unwrap(const rdg_sm2_key_t *sign_key, rdg_bytes_t ciphertext, uint8_t *out, size_t len) {
    uint8_t plain[RDG_SM2_PLAINTEXT_MAX];
    size_t got;
    rdg_random_fill(rdg_random_system(), out, len);
    rdg_err_t err = rdg_sm2_decrypt(sign_key, plain, &got, ciphertext);
    if (err == RDG_OK && got == len) memcpy(out, plain, len);
    rdg_secure_zero(plain, sizeof plain);
    return err == RDG_E_MALFORMED || is_ours(err) ? rdg_fail_in(err, "enveloped key") : RDG_OK;
}

static rdg_err_t accept(const uint8_t scalar[SCALAR], const rdg_sm2_public_t *pub, rdg_sm2_key_t **out) {
    rdg_sm2_public_t real;
    rdg_err_t err = rdg_sm2_key_from_scalar(scalar, out);
    if (is_ours(err)) return err;
    if (err != RDG_OK) return undecryptable();
    rdg_sm2_key_public(*out, &real);
    if (memcmp(real.b, pub->b, sizeof real.b) == 0) return RDG_OK;
    rdg_sm2_key_free(*out);
    *out = NULL;
    return undecryptable();
}

static rdg_err_t open_der(const rdg_sm2_key_t *sign_key, const rdg_sm2_public_t *expected, rdg_bytes_t data,
                          rdg_sm2_key_t **out) {
    envelope_t e;
    uint8_t key[RDG_SM4_KEY_BYTES], scalar[SCALAR];
    RDG_TRY(read_envelope(data, &e));
    if (expected && memcmp(expected->b, e.public_key.b, sizeof e.public_key.b) != 0)
        return rdg_fail(RDG_E_INVALID, "enveloped key: of another public key than the certificate's");
    RDG_TRY(unwrap(sign_key, e.wrapped_key, key, sizeof key));
    rdg_err_t err = ecb(false, key, scalar, e.private_key.data);
    if (err == RDG_OK) err = accept(scalar, &e.public_key, out);
    rdg_secure_zero(key, sizeof key);
    rdg_secure_zero(scalar, sizeof scalar);
    return err;
}

/* data: C1 without 04, C3, C2. */
static rdg_err_t open_bare(const rdg_sm2_key_t *sign_key, const rdg_sm2_public_t *expected,
                           const uint8_t data[BARE], rdg_sm2_key_t **out) {
    uint8_t der[RDG_SM2_CIPHERTEXT_MAX], scalar[SCALAR];
    rdg_writer_t w;
    if (!expected)
        return rdg_fail(RDG_E_INVALID, "enveloped key: this form does not name its public key: give the "
                                       "certificate that came with it");
    rdg_writer_init(&w, der, sizeof der);
    size_t start = rdg_der_open(&w);
    rdg_der_put_u256(&w, data);
    rdg_der_put_u256(&w, data + 32);
    rdg_der_put(&w, RDG_DER_OCTETS, rdg_bytes(data + POINT, C3));
    rdg_der_put(&w, RDG_DER_OCTETS, rdg_bytes(data + POINT + C3, SCALAR));
    rdg_der_close(&w, start, RDG_DER_SEQUENCE);
    RDG_TRY(unwrap(sign_key, rdg_bytes(der, rdg_writer_len(&w)), scalar, sizeof scalar));
    rdg_err_t err = accept(scalar, expected, out);
    rdg_secure_zero(scalar, sizeof scalar);
    return err;
}

rdg_err_t rdg_enveloped_open(const rdg_sm2_key_t *sign_key, const rdg_sm2_public_t *expected,
                             rdg_bytes_t data, rdg_sm2_key_t **out) {
    *out = NULL;
    /* An SM2EnvelopedKey is always longer than the bare form. */
    if (data.len == BARE) return open_bare(sign_key, expected, data.data, out);
    if (data.len == BARE + 1 && data.data[0] == 0x04)
        return open_bare(sign_key, expected, data.data + 1, out);
    if (data.len > RDG_ENVELOPED_MAX) return malformed();
    return open_der(sign_key, expected, data, out);
}

rdg_err_t rdg_enveloped_seal(const rdg_sm2_key_t *key, const rdg_sm2_public_t *recipient,
                             uint8_t out[RDG_ENVELOPED_MAX], size_t *len) {
    uint8_t sm4[RDG_SM4_KEY_BYTES], scalar[SCALAR], sealed[SCALAR], point[1 + POINT] = {0x04};
    uint8_t wrapped[RDG_SM2_CIPHERTEXT_MAX];
    size_t wrapped_len = 0;
    rdg_writer_t w;
    *len = 0;
    rdg_random_fill(rdg_random_system(), sm4, sizeof sm4);
    rdg_err_t err = rdg_sm2_key_scalar(key, scalar);
    if (err == RDG_OK) err = ecb(true, sm4, sealed, scalar);
    if (err == RDG_OK) err = rdg_sm2_encrypt(recipient, wrapped, &wrapped_len, sm4, sizeof sm4);
    rdg_secure_zero(scalar, sizeof scalar);
    rdg_secure_zero(sm4, sizeof sm4);
    RDG_TRY(err);
    memcpy(point + 1, key->public_key.b, POINT);
    rdg_writer_init(&w, out, RDG_ENVELOPED_MAX);
    size_t envelope = rdg_der_open(&w), algorithm = rdg_der_open(&w);
    rdg_der_put(&w, RDG_DER_OID, rdg_bytes(sm4_ecb_oid, sizeof sm4_ecb_oid));
    rdg_der_put(&w, RDG_DER_NULL, rdg_bytes(NULL, 0));
    rdg_der_close(&w, algorithm, RDG_DER_SEQUENCE);
    rdg_write_bytes(&w, wrapped, wrapped_len);
    rdg_der_put_bits(&w, rdg_bytes(point, sizeof point));
    rdg_der_put_bits(&w, rdg_bytes(sealed, sizeof sealed));
    rdg_der_close(&w, envelope, RDG_DER_SEQUENCE);
    *len = rdg_writer_len(&w);
    return RDG_OK;
}
