/* Integers modulo n, the order of the SM2 curve: four 64-bit limbs, least significant first, plain (not in
 * Montgomery form), below n. Public data only. Verification needs sums alone, no product and no inverse. */
#ifndef RIDGE_CRYPTO_SM2_SCALAR_H
#define RIDGE_CRYPTO_SM2_SCALAR_H
#include <stdbool.h>
#include <stdint.h>

#define RDG_SM2_WNAF_DIGITS 257

typedef struct rdg_sm2_scalar {
    uint64_t l[4];
} rdg_sm2_scalar_t;

/* False if the value is not below n; then *out is the value minus n (which is below n, as n > 2^255). */
bool rdg_sm2_scalar_from_bytes(rdg_sm2_scalar_t *out, const uint8_t be[32]);
bool rdg_sm2_scalar_is_zero(const rdg_sm2_scalar_t *a);
void rdg_sm2_scalar_add(rdg_sm2_scalar_t *out, const rdg_sm2_scalar_t *a, const rdg_sm2_scalar_t *b);
void rdg_sm2_scalar_sub(rdg_sm2_scalar_t *out, const rdg_sm2_scalar_t *a, const rdg_sm2_scalar_t *b);
/* out = a + n as a plain integer; false if that is not below p. */
bool rdg_sm2_scalar_plus_n(uint64_t out[4], const rdg_sm2_scalar_t *a);
/* u with the sum of (2 u_i - 1) 2^i over i < 256 = a (mod n): every digit is 1 or -1, none is 0. */
void rdg_sm2_scalar_signed_bits(rdg_sm2_scalar_t *u, const rdg_sm2_scalar_t *a);
/* Width-5 non-adjacent form: digits 0 or odd in [-15, 15], least significant first. */
void rdg_sm2_scalar_wnaf5(int8_t digits[RDG_SM2_WNAF_DIGITS], const rdg_sm2_scalar_t *a);

#endif
