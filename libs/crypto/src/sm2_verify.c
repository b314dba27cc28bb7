/* Verification after GB/T 32918.2 section 7.1: t = r + s, (x1, y1) = s·G + t·P, accept if e + x1 = r mod n.
 * Nothing here is secret, so time may depend on the data. */
#include <string.h>

#include "ridge/crypto/sm2.h"
#include "sm2_cache.h"
#include "sm2_digest.h"
#include "sm2_verify_e.h"

typedef struct signature {
    rdg_sm2_scalar_t r, s, t;
} signature_t;

static bool decode_signature(const rdg_sm2_signature_t *sig, signature_t *out) {
    if (!rdg_sm2_scalar_from_bytes(&out->r, sig->b) || !rdg_sm2_scalar_from_bytes(&out->s, sig->b + 32))
        return false;
    rdg_sm2_scalar_add(&out->t, &out->r, &out->s);
    return !rdg_sm2_scalar_is_zero(&out->r) && !rdg_sm2_scalar_is_zero(&out->s) &&
           !rdg_sm2_scalar_is_zero(&out->t);
}

/* s·G + t·P with tables for both: 31 doublings, 64 additions. */
static void sum_known(rdg_sm2_point_t *out, const signature_t *sig, const rdg_sm2_comb_t *key_comb) {
    const rdg_sm2_comb_t *base = rdg_sm2_comb_base();
    rdg_sm2_scalar_t s_bits, t_bits;
    rdg_sm2_scalar_signed_bits(&s_bits, &sig->s);
    rdg_sm2_scalar_signed_bits(&t_bits, &sig->t);
    rdg_sm2_point_set_infinity(out);
    for (unsigned column = RDG_SM2_COMB_COLUMNS; column-- > 0;) {
        rdg_sm2_point_double(out, out);
        rdg_sm2_comb_add(out, base, &s_bits, column);
        rdg_sm2_comb_add(out, key_comb, &t_bits, column);
    }
}

static void add_digit(rdg_sm2_point_t *acc, const rdg_sm2_point_t odd[8], int digit) {
    if (digit > 0) {
        rdg_sm2_point_add(acc, acc, &odd[digit / 2]);
    } else if (digit < 0) {
        static const rdg_sm2_fe_t zero;
        rdg_sm2_point_t minus = odd[-digit / 2];
        rdg_sm2_fe_sub(&minus.y, &zero, &minus.y);
        rdg_sm2_point_add(acc, acc, &minus);
    }
}

/* s·G + t·P for a key seen for the first time: wNAF of t over 256 doublings, the last 32 of which carry the
 * columns of G's comb. */
static void sum_unknown(rdg_sm2_point_t *out, const signature_t *sig, const rdg_sm2_affine_t *key) {
    const rdg_sm2_comb_t *base = rdg_sm2_comb_base();
    rdg_sm2_scalar_t s_bits;
    int8_t naf[RDG_SM2_WNAF_DIGITS];
    rdg_sm2_point_t odd[8], twice; /* P, 3P, … 15P */
    rdg_sm2_scalar_signed_bits(&s_bits, &sig->s);
    rdg_sm2_scalar_wnaf5(naf, &sig->t);
    rdg_sm2_point_from_affine(&odd[0], key);
    rdg_sm2_point_double(&twice, &odd[0]);
    for (int i = 1; i < 8; i++) rdg_sm2_point_add(&odd[i], &odd[i - 1], &twice);

    int bit = RDG_SM2_WNAF_DIGITS - 1;
    while (bit >= RDG_SM2_COMB_COLUMNS && naf[bit] == 0) bit--;
    rdg_sm2_point_set_infinity(out);
    for (; bit >= 0; bit--) {
        rdg_sm2_point_double(out, out);
        add_digit(out, odd, naf[bit]);
        if (bit < RDG_SM2_COMB_COLUMNS) rdg_sm2_comb_add(out, base, &s_bits, (unsigned)bit);
    }
}

/* e + x = r mod n for the point's x, without leaving projective coordinates: x is below p, so it is
 * r - e mod n or that plus n. */
static bool x_matches(const rdg_sm2_point_t *point, const rdg_sm2_scalar_t *r, const rdg_hash_t *e) {
    if (rdg_sm2_point_is_infinity(point)) return false;
    rdg_sm2_scalar_t e_mod_n, x;
    rdg_sm2_scalar_from_bytes(&e_mod_n, e->b);
    rdg_sm2_scalar_sub(&x, r, &e_mod_n);
    rdg_sm2_fe_t z2, want;
    rdg_sm2_fe_sqr(&z2, &point->z);
    rdg_sm2_fe_from_limbs(&want, x.l);
    rdg_sm2_fe_mul(&want, &want, &z2);
    if (rdg_sm2_fe_equal(&want, &point->x)) return true;
    uint64_t x_plus_n[4];
    if (!rdg_sm2_scalar_plus_n(x_plus_n, &x)) return false;
    rdg_sm2_fe_from_limbs(&want, x_plus_n);
    rdg_sm2_fe_mul(&want, &want, &z2);
    return rdg_sm2_fe_equal(&want, &point->x);
}

bool rdg_sm2_verify_e(const rdg_sm2_public_t *pub, const rdg_hash_t *e, const rdg_sm2_signature_t *sig,
                      bool with_table) {
    signature_t decoded;
    rdg_sm2_affine_t key;
    rdg_sm2_point_t sum;
    if (!decode_signature(sig, &decoded) || !rdg_sm2_affine_decode(pub->b, &key)) return false;
    if (with_table) {
        rdg_sm2_comb_t comb;
        rdg_sm2_comb_build(&comb, &key);
        sum_known(&sum, &decoded, &comb);
    } else {
        sum_unknown(&sum, &decoded, &key);
    }
    return x_matches(&sum, &decoded.r, e);
}

rdg_err_t rdg_sm2_verify_standard(const rdg_sm2_public_t *pub, const void *msg, size_t len,
                                  const rdg_sm2_signature_t *sig) {
    signature_t decoded;
    if (!decode_signature(sig, &decoded)) return RDG_E_BAD_SIGNATURE;
    bool admit;
    rdg_hash_t z, e;
    rdg_sm2_point_t sum;
    const rdg_sm2_known_t *known = rdg_sm2_cache_get(pub, &admit);
    if (known) {
        rdg_sm2_e(&known->z, msg, len, &e);
        sum_known(&sum, &decoded, &known->comb);
        rdg_sm2_cache_put(known);
        return x_matches(&sum, &decoded.r, &e) ? RDG_OK : RDG_E_BAD_SIGNATURE;
    }
    rdg_sm2_affine_t key;
    if (!rdg_sm2_affine_decode(pub->b, &key)) return RDG_E_BAD_SIGNATURE;
    rdg_sm2_z(pub, &z);
    rdg_sm2_e(&z, msg, len, &e);
    sum_unknown(&sum, &decoded, &key);
    if (!x_matches(&sum, &decoded.r, &e)) return RDG_E_BAD_SIGNATURE;
    /* Only who can sign with a key is worth a table. */
    if (admit) rdg_sm2_cache_offer(pub, &z, &key);
    return RDG_OK;
}

rdg_err_t rdg_sm2_verify(const rdg_sm2_public_t *pub, const void *msg, size_t len,
                         const rdg_sm2_signature_t *sig) {
    return rdg_sm2_low_s(sig) ? rdg_sm2_verify_standard(pub, msg, len, sig) : RDG_E_BAD_SIGNATURE;
}

void rdg_sm2_verify_batch(const rdg_sm2_check_t *checks, size_t count, rdg_err_t *results) {
    for (size_t i = 0; i < count; i++)
        results[i] = rdg_sm2_verify(checks[i].pub, checks[i].msg.data, checks[i].msg.len, checks[i].sig);
}

rdg_err_t rdg_sm2_public_decode(rdg_bytes_t encoded, rdg_sm2_public_t *out) {
    if (encoded.len == 65 && encoded.data[0] == 0x04) encoded.data++, encoded.len--;
    if (encoded.len != sizeof out->b)
        return rdg_fail(RDG_E_MALFORMED, "SM2 public key: want X and Y, 64 bytes, or 65 with 04 in front");
    rdg_sm2_affine_t point;
    if (!rdg_sm2_affine_decode(encoded.data, &point))
        return rdg_fail(RDG_E_MALFORMED, "SM2 public key: the point is not on the curve");
    memcpy(out->b, encoded.data, sizeof out->b);
    return RDG_OK;
}
