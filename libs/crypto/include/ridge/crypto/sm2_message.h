/* Signatures with another user id than the default one, or over a digest that somebody else computed: for
 * documents and other tools' files. What the ledger signs goes through sm2.h. Thread-safe. */
#ifndef RIDGE_CRYPTO_SM2_MESSAGE_H
#define RIDGE_CRYPTO_SM2_MESSAGE_H
#include "ridge/crypto/sm2.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_SM2_USER_ID "1234567812345678" /* what sm2.h uses */
#define RDG_SM2_USER_ID_MAX 8191           /* bytes: their number in bits fits 16 */

/* Z of GB/T 32918.2, section 5.5; e = SM3(Z ‖ M) is what is signed. INVALID: an id that is too long. */
rdg_err_t rdg_sm2_user_z(const rdg_sm2_public_t *pub, rdg_bytes_t user_id, rdg_hash_t *z);
/* e as it is; the signature has a low s, so that everyone takes it. */
rdg_err_t rdg_sm2_sign_e(const rdg_sm2_key_t *key, const rdg_hash_t *e, rdg_sm2_signature_t *out);
/* Any s that the standard allows. RDG_OK or BAD_SIGNATURE. */
rdg_err_t rdg_sm2_verify_e(const rdg_sm2_public_t *pub, const rdg_hash_t *e, const rdg_sm2_signature_t *sig);

#ifdef __cplusplus
}
#endif
#endif
