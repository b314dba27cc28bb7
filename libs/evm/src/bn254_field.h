/* The fields of the curve alt_bn128 (BN254), for the precompiles of EIP-196 and EIP-197. All values are public:
 * nothing here takes constant time.
 *
 * Fp has the prime p below; elements are four limbs in Montgomery form, always less than p.
 * Fp2 = Fp[i]/(i^2+1), Fp6 = Fp2[v]/(v^3-xi) with xi = 9+i, Fp12 = Fp6[w]/(w^2-v).
 * A result may be the same object as an operand. */
#ifndef RIDGE_EVM_BN254_FIELD_H
#define RIDGE_EVM_BN254_FIELD_H
#include <stdbool.h>
#include <stdint.h>

typedef struct fp {
    uint64_t w[4];
} fp_t;
typedef struct fp2 {
    fp_t a, b; /* a + b i */
} fp2_t;
typedef struct fp6 {
    fp2_t a, b, c; /* a + b v + c v^2 */
} fp6_t;
typedef struct fp12 {
    fp6_t a, b; /* a + b w */
} fp12_t;

extern const fp_t FP_ONE;

/* From 32 big-endian bytes; false if the number is not less than p. */
bool fp_load(fp_t *r, const uint8_t b[32]);
void fp_store(uint8_t b[32], const fp_t *a);
bool fp_is_zero(const fp_t *a);
bool fp_equal(const fp_t *a, const fp_t *b);
void fp_add(fp_t *r, const fp_t *a, const fp_t *b);
void fp_sub(fp_t *r, const fp_t *a, const fp_t *b);
void fp_neg(fp_t *r, const fp_t *a);
void fp_mul(fp_t *r, const fp_t *a, const fp_t *b);
void fp_inv(fp_t *r, const fp_t *a); /* zero gives zero */

bool fp2_is_zero(const fp2_t *a);
bool fp2_equal(const fp2_t *a, const fp2_t *b);
void fp2_add(fp2_t *r, const fp2_t *a, const fp2_t *b);
void fp2_sub(fp2_t *r, const fp2_t *a, const fp2_t *b);
void fp2_neg(fp2_t *r, const fp2_t *a);
void fp2_conj(fp2_t *r, const fp2_t *a);
void fp2_mul(fp2_t *r, const fp2_t *a, const fp2_t *b);
void fp2_mul_fp(fp2_t *r, const fp2_t *a, const fp_t *b);
void fp2_mul_xi(fp2_t *r, const fp2_t *a);
void fp2_sqr(fp2_t *r, const fp2_t *a);
void fp2_inv(fp2_t *r, const fp2_t *a);

extern const fp12_t FP12_ONE;

bool fp12_is_one(const fp12_t *a);
void fp12_mul(fp12_t *r, const fp12_t *a, const fp12_t *b);
/* By the sparse x + y w + z w^3, as lines are. */
void fp12_mul_line(fp12_t *r, const fp12_t *a, const fp2_t *x, const fp2_t *y, const fp2_t *z);
void fp12_sqr(fp12_t *r, const fp12_t *a);
void fp12_conj(fp12_t *r, const fp12_t *a); /* to the power p^6 */
void fp12_inv(fp12_t *r, const fp12_t *a);
void fp12_frobenius(fp12_t *r, const fp12_t *a);   /* to the power p */
void fp12_frobenius_2(fp12_t *r, const fp12_t *a); /* to the power p^2 */

/* xi^(i (p-1)/6), i = 1..5: what the Frobenius map does to w^i. */
extern const fp2_t FP2_FROBENIUS[5];
extern const fp_t FP_FROBENIUS_2[5]; /* xi^(i (p^2-1)/6) */

#endif
