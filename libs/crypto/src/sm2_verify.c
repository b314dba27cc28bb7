/* Verification after GB/T 32918.2 section 7.1: t = r + s, (x1, y1) = s·G + t·P, accept if e + x1 = r mod n.
 * Nothing here is secret, so time may depend on the data. */
#include <string.h>

#include "ridge/crypto/sm2.h"
#include "sm2_cache.h"
#include "sm2_check.h"
#include "sm2_digest.h"

bool rdg_sm2_signature_decode(const rdg_sm2_signature_t *sig, rdg_sm2_decoded_t *out) {
    if (!rdg_sm2_scalar_from_bytes(&out->r, sig->b) || !rdg_sm2_scalar_from_bytes(&out->s, sig->b + 32))
        return false;
    rdg_sm2_scalar_add(&out->t, &out->r, &out->s);
    return !rdg_sm2_scalar_is_zero(&out->r) && !rdg_sm2_scalar_is_zero(&out->s) &&
           !rdg_sm2_scalar_is_zero(&out->t);
}

/* e + x = r mod n for the point's x, without leaving projective coordinates: x is below p, so it is
 * r - e mod n or that plus n. */
bool rdg_sm2_x_matches(const rdg_sm2_point_t *point, const rdg_sm2_scalar_t *r, const rdg_hash_t *e) {
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

rdg_err_t rdg_sm2_verify_unknown(const rdg_sm2_public_t *pub, const void *msg, size_t len,
                                 const rdg_sm2_decoded_t *sig, bool admit) {
    rdg_sm2_affine_t key;
    rdg_hash_t z, e;
    rdg_sm2_point_t sum;
    if (!rdg_sm2_affine_decode(pub->b, &key)) return RDG_E_BAD_SIGNATURE;
    rdg_sm2_z(pub, &z);
    rdg_sm2_e(&z, msg, len, &e);
    rdg_sm2_sum_unknown(&sum, &sig->s, &sig->t, &key);
    if (!rdg_sm2_x_matches(&sum, &sig->r, &e)) return RDG_E_BAD_SIGNATURE;
    /* Only who can sign with a key is worth a table. */
    if (admit) rdg_sm2_cache_offer(pub, &z, &key);
    return RDG_OK;
}

rdg_err_t rdg_sm2_verify_standard(const rdg_sm2_public_t *pub, const void *msg, size_t len,
                                  const rdg_sm2_signature_t *sig) {
    rdg_sm2_decoded_t decoded;
    if (!rdg_sm2_signature_decode(sig, &decoded)) return RDG_E_BAD_SIGNATURE;
    bool admit;
    rdg_hash_t e;
    rdg_sm2_point_t sum;
    const rdg_sm2_known_t *known = rdg_sm2_cache_get(pub, &admit);
    if (!known) return rdg_sm2_verify_unknown(pub, msg, len, &decoded, admit);
    rdg_sm2_e(&known->z, msg, len, &e);
    rdg_sm2_sum_known(&sum, &decoded.s, &decoded.t, &known->comb);
    rdg_sm2_cache_put(known);
    return rdg_sm2_x_matches(&sum, &decoded.r, &e) ? RDG_OK : RDG_E_BAD_SIGNATURE;
}

rdg_err_t rdg_sm2_verify(const rdg_sm2_public_t *pub, const void *msg, size_t len,
                         const rdg_sm2_signature_t *sig) {
    return rdg_sm2_low_s(sig) ? rdg_sm2_verify_standard(pub, msg, len, sig) : RDG_E_BAD_SIGNATURE;
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
