/* The field of the SM2 curve, p = 2^256 - 2^224 - 2^96 + 2^64 - 1, in Montgomery form (R = 2^256).
 *
 * For public data only: functions may take time that depends on their arguments.
 * Invariants: an element has four 64-bit limbs, least significant first, and is always below p, so equal
 * elements have equal limbs. Outputs may be the same objects as inputs.
 * p = -1 mod 2^64, so the Montgomery factor of each step is the lowest limb itself. */
#ifndef RIDGE_CRYPTO_SM2_FIELD_H
#define RIDGE_CRYPTO_SM2_FIELD_H
#include <stdbool.h>
#include <stdint.h>

__extension__ typedef unsigned __int128 rdg_u128_t;

typedef struct rdg_sm2_fe {
    uint64_t l[4];
} rdg_sm2_fe_t;

#define RDG_SM2_P0 0xffffffffffffffffu
#define RDG_SM2_P1 0xffffffff00000000u
#define RDG_SM2_P2 0xffffffffffffffffu
#define RDG_SM2_P3 0xfffffffeffffffffu

extern const rdg_sm2_fe_t rdg_sm2_fe_one; /* R mod p */

bool rdg_sm2_fe_from_bytes(rdg_sm2_fe_t *out, const uint8_t be[32]);    /* false if not below p */
void rdg_sm2_fe_from_limbs(rdg_sm2_fe_t *out, const uint64_t limbs[4]); /* a plain value below p */
void rdg_sm2_fe_to_bytes(const rdg_sm2_fe_t *a, uint8_t be[32]);
/* The portable forms, which the tests compare with those that this CPU gets. */
void rdg_sm2_fe_mul_portable(rdg_sm2_fe_t *out, const rdg_sm2_fe_t *a, const rdg_sm2_fe_t *b);
void rdg_sm2_fe_sqr_portable(rdg_sm2_fe_t *out, const rdg_sm2_fe_t *a);
void rdg_sm2_fe_mul(rdg_sm2_fe_t *out, const rdg_sm2_fe_t *a, const rdg_sm2_fe_t *b);
void rdg_sm2_fe_sqr(rdg_sm2_fe_t *out, const rdg_sm2_fe_t *a);
void rdg_sm2_fe_inv(rdg_sm2_fe_t *out, const rdg_sm2_fe_t *a); /* 0 gives 0 */

/* a + b + *carry; *carry is and becomes 0 or 1. */
static inline uint64_t rdg_add_carry(uint64_t a, uint64_t b, uint64_t *carry) {
    rdg_u128_t v = (rdg_u128_t)a + b + *carry;
    *carry = (uint64_t)(v >> 64);
    return (uint64_t)v;
}

static inline uint64_t rdg_sub_borrow(uint64_t a, uint64_t b, uint64_t *borrow) {
    rdg_u128_t v = (rdg_u128_t)a - b - *borrow;
    *borrow = (uint64_t)(v >> 64) & 1;
    return (uint64_t)v;
}

/* out = (carry, a) - p if that is not negative, else a; the argument is below 2p. Subtracts by adding
 * 2^256 - p: compilers do better with carries than with borrows. */
static inline void rdg_sm2_fe_reduce_once(rdg_sm2_fe_t *out, const uint64_t a[4], uint64_t carry) {
    uint64_t c = 0, d[4];
    d[0] = rdg_add_carry(a[0], 1, &c);
    d[1] = rdg_add_carry(a[1], 0xffffffffu, &c);
    d[2] = rdg_add_carry(a[2], 0, &c);
    d[3] = rdg_add_carry(a[3], 0x100000000u, &c);
    uint64_t keep = (c | carry) - 1;
    out->l[0] = d[0] ^ ((a[0] ^ d[0]) & keep);
    out->l[1] = d[1] ^ ((a[1] ^ d[1]) & keep);
    out->l[2] = d[2] ^ ((a[2] ^ d[2]) & keep);
    out->l[3] = d[3] ^ ((a[3] ^ d[3]) & keep);
}

static inline void rdg_sm2_fe_add_portable(rdg_sm2_fe_t *out, const rdg_sm2_fe_t *a, const rdg_sm2_fe_t *b) {
    uint64_t carry = 0, s[4];
    s[0] = rdg_add_carry(a->l[0], b->l[0], &carry);
    s[1] = rdg_add_carry(a->l[1], b->l[1], &carry);
    s[2] = rdg_add_carry(a->l[2], b->l[2], &carry);
    s[3] = rdg_add_carry(a->l[3], b->l[3], &carry);
    rdg_sm2_fe_reduce_once(out, s, carry);
}

static inline void rdg_sm2_fe_sub_portable(rdg_sm2_fe_t *out, const rdg_sm2_fe_t *a, const rdg_sm2_fe_t *b) {
    uint64_t no_borrow = 1, d[4]; /* a - b = a + ~b + 1 */
    d[0] = rdg_add_carry(a->l[0], ~b->l[0], &no_borrow);
    d[1] = rdg_add_carry(a->l[1], ~b->l[1], &no_borrow);
    d[2] = rdg_add_carry(a->l[2], ~b->l[2], &no_borrow);
    d[3] = rdg_add_carry(a->l[3], ~b->l[3], &no_borrow);
    uint64_t add = no_borrow - 1, carry = 0;
    out->l[0] = rdg_add_carry(d[0], add & RDG_SM2_P0, &carry);
    out->l[1] = rdg_add_carry(d[1], add & RDG_SM2_P1, &carry);
    out->l[2] = rdg_add_carry(d[2], add & RDG_SM2_P2, &carry);
    out->l[3] = rdg_add_carry(d[3], add & RDG_SM2_P3, &carry);
}

#if defined(__x86_64__)
#include "sm2_field_x86_64.h"
#else
static inline void rdg_sm2_fe_add(rdg_sm2_fe_t *out, const rdg_sm2_fe_t *a, const rdg_sm2_fe_t *b) {
    rdg_sm2_fe_add_portable(out, a, b);
}
static inline void rdg_sm2_fe_sub(rdg_sm2_fe_t *out, const rdg_sm2_fe_t *a, const rdg_sm2_fe_t *b) {
    rdg_sm2_fe_sub_portable(out, a, b);
}
#endif

static inline void rdg_sm2_fe_double(rdg_sm2_fe_t *out, const rdg_sm2_fe_t *a) {
    rdg_sm2_fe_add(out, a, a);
}

static inline void rdg_sm2_fe_halve(rdg_sm2_fe_t *out, const rdg_sm2_fe_t *a) {
    uint64_t odd = 0 - (a->l[0] & 1), carry = 0, s[4];
    s[0] = rdg_add_carry(a->l[0], odd & RDG_SM2_P0, &carry);
    s[1] = rdg_add_carry(a->l[1], odd & RDG_SM2_P1, &carry);
    s[2] = rdg_add_carry(a->l[2], odd & RDG_SM2_P2, &carry);
    s[3] = rdg_add_carry(a->l[3], odd & RDG_SM2_P3, &carry);
    out->l[0] = s[0] >> 1 | s[1] << 63;
    out->l[1] = s[1] >> 1 | s[2] << 63;
    out->l[2] = s[2] >> 1 | s[3] << 63;
    out->l[3] = s[3] >> 1 | carry << 63;
}

static inline bool rdg_sm2_fe_is_zero(const rdg_sm2_fe_t *a) {
    return (a->l[0] | a->l[1] | a->l[2] | a->l[3]) == 0;
}

static inline bool rdg_sm2_fe_equal(const rdg_sm2_fe_t *a, const rdg_sm2_fe_t *b) {
    return ((a->l[0] ^ b->l[0]) | (a->l[1] ^ b->l[1]) | (a->l[2] ^ b->l[2]) | (a->l[3] ^ b->l[3])) == 0;
}

#endif
