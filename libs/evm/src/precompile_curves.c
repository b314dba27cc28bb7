/* ecrecover, and addition, multiplication and pairing check on alt_bn128 (EIP-196, 197, gas of EIP-1108). */
#include <secp256k1.h>
#include <secp256k1_recovery.h>
#include <string.h>
#include "bn254_pairing.h"
#include "precompile.h"
#include "ridge/crypto/hash.h"

#define PAIR_BYTES 192
#define PAIRING_GAS 45000
#define PAIRING_GAS_PAIR 34000

/* The input goes on with zeros for ever. */
static void padded(rdg_bytes_t in, uint8_t *out, size_t len) {
    size_t have = in.len < len ? in.len : len;
    if (have) memcpy(out, in.data, have);
    memset(out + have, 0, len - have);
}

uint64_t evm_ecrecover_gas(rdg_bytes_t in) {
    (void)in;
    return 3000;
}

/* hash, v (27 or 28), r, s. What recovers no key is no error: the output is empty. */
bool evm_ecrecover(rdg_bytes_t in, rdg_buf_t *out) {
    uint8_t b[128], key[65], hash[32], word[32] = {0}, high = 0;
    secp256k1_ecdsa_recoverable_signature signature;
    secp256k1_pubkey point;
    size_t len = sizeof key;
    padded(in, b, sizeof b);
    for (size_t i = 32; i < 63; ++i) high |= b[i];
    if (high || (b[63] != 27 && b[63] != 28)) return true;
    const secp256k1_context *context = secp256k1_context_static;
    if (!secp256k1_ecdsa_recoverable_signature_parse_compact(context, &signature, b + 64, b[63] - 27) ||
        !secp256k1_ecdsa_recover(context, &point, &signature, b))
        return true;
    secp256k1_ec_pubkey_serialize(context, key, &len, &point, SECP256K1_EC_UNCOMPRESSED);
    rdg_keccak256(key + 1, 64, hash);
    memcpy(word + 12, hash + 12, 20);
    return rdg_buf_append(out, word, sizeof word) == RDG_OK;
}

static bool load_g1(const uint8_t b[64], g1_t *out) {
    if (!fp_load(&out->x, b) || !fp_load(&out->y, b + 32)) return false;
    out->infinity = fp_is_zero(&out->x) && fp_is_zero(&out->y);
    return g1_on_curve(out);
}

/* Each coordinate comes with its imaginary part first. */
static bool load_g2(const uint8_t b[128], g2_t *out) {
    if (!fp_load(&out->x.b, b) || !fp_load(&out->x.a, b + 32)) return false;
    if (!fp_load(&out->y.b, b + 64) || !fp_load(&out->y.a, b + 96)) return false;
    out->infinity = fp2_is_zero(&out->x) && fp2_is_zero(&out->y);
    return g2_on_curve(out) && g2_in_group(out);
}

static bool put_g1(rdg_buf_t *out, const g1_t *a) {
    uint8_t b[64] = {0};
    if (!a->infinity) fp_store(b, &a->x), fp_store(b + 32, &a->y);
    return rdg_buf_append(out, b, sizeof b) == RDG_OK;
}

uint64_t evm_bn254_add_gas(rdg_bytes_t in) {
    (void)in;
    return 150;
}

bool evm_bn254_add(rdg_bytes_t in, rdg_buf_t *out) {
    uint8_t bytes[128];
    g1_t a, b;
    padded(in, bytes, sizeof bytes);
    if (!load_g1(bytes, &a) || !load_g1(bytes + 64, &b)) return false;
    g1_add(&a, &a, &b);
    return put_g1(out, &a);
}

uint64_t evm_bn254_mul_gas(rdg_bytes_t in) {
    (void)in;
    return 6000;
}

bool evm_bn254_mul(rdg_bytes_t in, rdg_buf_t *out) {
    uint8_t bytes[96];
    g1_t a;
    padded(in, bytes, sizeof bytes);
    if (!load_g1(bytes, &a)) return false;
    g1_mul(&a, &a, bytes + 64);
    return put_g1(out, &a);
}

uint64_t evm_bn254_pairing_gas(rdg_bytes_t in) {
    return PAIRING_GAS + PAIRING_GAS_PAIR * (uint64_t)(in.len / PAIR_BYTES);
}

bool evm_bn254_pairing(rdg_bytes_t in, rdg_buf_t *out) {
    g1_t p[PAIRING_BATCH];
    g2_t q[PAIRING_BATCH];
    fp12_t f = FP12_ONE;
    size_t count = 0;
    uint8_t word[32] = {0};
    if (in.len % PAIR_BYTES != 0) return false;
    for (size_t at = 0; at < in.len; at += PAIR_BYTES) {
        if (!load_g1(in.data + at, &p[count]) || !load_g2(in.data + at + 64, &q[count])) return false;
        if (!p[count].infinity && !q[count].infinity) ++count; /* else its factor is one */
        if (count < PAIRING_BATCH) continue;
        pairing_miller(&f, p, q, count);
        count = 0;
    }
    if (count > 0) pairing_miller(&f, p, q, count);
    pairing_final(&f);
    word[31] = fp12_is_one(&f);
    return rdg_buf_append(out, word, sizeof word) == RDG_OK;
}
