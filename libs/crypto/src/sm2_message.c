#include "ridge/crypto/sm2_message.h"

#include "sm2_check.h"
#include "sm2_digest.h"

rdg_err_t rdg_sm2_user_z(const rdg_sm2_public_t *pub, rdg_bytes_t user_id, rdg_hash_t *z) {
    if (user_id.len > RDG_SM2_USER_ID_MAX)
        return rdg_fail(RDG_E_INVALID, "user id of %zu bytes: at most %d", user_id.len, RDG_SM2_USER_ID_MAX);
    size_t bits = 8 * user_id.len;
    const uint8_t length[] = {(uint8_t)(bits >> 8), (uint8_t)bits};
    const rdg_bytes_t parts[] = {{length, 2}, user_id, rdg_sm2_curve, {pub->b, sizeof pub->b}};
    rdg_sm3_parts(parts, sizeof parts / sizeof parts[0], z);
    return RDG_OK;
}

rdg_err_t rdg_sm2_verify_e(const rdg_sm2_public_t *pub, const rdg_hash_t *e, const rdg_sm2_signature_t *sig) {
    rdg_sm2_decoded_t decoded;
    rdg_sm2_affine_t key;
    rdg_sm2_point_t sum;
    if (!rdg_sm2_signature_decode(sig, &decoded) || !rdg_sm2_affine_decode(pub->b, &key))
        return RDG_E_BAD_SIGNATURE;
    rdg_sm2_sum_unknown(&sum, &decoded.s, &decoded.t, &key);
    return rdg_sm2_x_matches(&sum, &decoded.r, e) ? RDG_OK : RDG_E_BAD_SIGNATURE;
}
