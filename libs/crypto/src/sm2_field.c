#include "sm2_field.h"

#include "ridge/base/bytes.h"

const rdg_sm2_fe_t rdg_sm2_fe_one = {
    {0x0000000000000001u, 0x00000000ffffffffu, 0x0000000000000000u, 0x0000000100000000u}};
/* R^2 mod p, which brings a plain value into Montgomery form. */
static const rdg_sm2_fe_t r_squared = {
    {0x0000000200000003u, 0x00000002ffffffffu, 0x0000000100000001u, 0x0000000400000002u}};

static inline uint64_t mul_add(uint64_t a, uint64_t b, uint64_t add, uint64_t *carry) {
    rdg_u128_t v = (rdg_u128_t)a * b + add + *carry;
    *carry = (uint64_t)(v >> 64);
    return (uint64_t)v;
}

/* One Montgomery step: t += m·p with m = t0, which makes t0 vanish and carries m, because the lowest limb of
 * p is -1. A macro over single variables: gcc keeps an array of limbs in memory. top is t4's carry. */
#define MONTGOMERY_STEP(t0, t1, t2, t3, t4, top)                                                             \
    do {                                                                                                     \
        uint64_t m_ = t0, c_ = m_;                                                                           \
        t1 = mul_add(m_, RDG_SM2_P1, t1, &c_);                                                               \
        t2 = mul_add(m_, RDG_SM2_P2, t2, &c_);                                                               \
        t3 = mul_add(m_, RDG_SM2_P3, t3, &c_);                                                               \
        t4 = rdg_add_carry(t4, c_, &top);                                                                    \
    } while (0)

static inline void reduce(rdg_sm2_fe_t *out, const uint64_t t[8]) {
    uint64_t t0 = t[0], t1 = t[1], t2 = t[2], t3 = t[3], t4 = t[4], t5 = t[5], t6 = t[6], t7 = t[7], top = 0;
    MONTGOMERY_STEP(t0, t1, t2, t3, t4, top);
    MONTGOMERY_STEP(t1, t2, t3, t4, t5, top);
    MONTGOMERY_STEP(t2, t3, t4, t5, t6, top);
    MONTGOMERY_STEP(t3, t4, t5, t6, t7, top);
    const uint64_t r[4] = {t4, t5, t6, t7};
    rdg_sm2_fe_reduce_once(out, r, top);
}

void rdg_sm2_fe_mul_portable(rdg_sm2_fe_t *out, const rdg_sm2_fe_t *a, const rdg_sm2_fe_t *b) {
    uint64_t t[8], c = 0;
    t[0] = mul_add(a->l[0], b->l[0], 0, &c);
    t[1] = mul_add(a->l[1], b->l[0], 0, &c);
    t[2] = mul_add(a->l[2], b->l[0], 0, &c);
    t[3] = mul_add(a->l[3], b->l[0], 0, &c);
    t[4] = c, c = 0;
    t[1] = mul_add(a->l[0], b->l[1], t[1], &c);
    t[2] = mul_add(a->l[1], b->l[1], t[2], &c);
    t[3] = mul_add(a->l[2], b->l[1], t[3], &c);
    t[4] = mul_add(a->l[3], b->l[1], t[4], &c);
    t[5] = c, c = 0;
    t[2] = mul_add(a->l[0], b->l[2], t[2], &c);
    t[3] = mul_add(a->l[1], b->l[2], t[3], &c);
    t[4] = mul_add(a->l[2], b->l[2], t[4], &c);
    t[5] = mul_add(a->l[3], b->l[2], t[5], &c);
    t[6] = c, c = 0;
    t[3] = mul_add(a->l[0], b->l[3], t[3], &c);
    t[4] = mul_add(a->l[1], b->l[3], t[4], &c);
    t[5] = mul_add(a->l[2], b->l[3], t[5], &c);
    t[6] = mul_add(a->l[3], b->l[3], t[6], &c);
    t[7] = c;
    reduce(out, t);
}

void rdg_sm2_fe_sqr_portable(rdg_sm2_fe_t *out, const rdg_sm2_fe_t *a) {
    uint64_t t[8], c = 0;
    /* The products of different limbs once, then doubled, then the squares of the limbs. */
    t[1] = mul_add(a->l[0], a->l[1], 0, &c);
    t[2] = mul_add(a->l[0], a->l[2], 0, &c);
    t[3] = mul_add(a->l[0], a->l[3], 0, &c);
    t[4] = c, c = 0;
    t[3] = mul_add(a->l[1], a->l[2], t[3], &c);
    t[4] = mul_add(a->l[1], a->l[3], t[4], &c);
    t[5] = c, c = 0;
    t[5] = mul_add(a->l[2], a->l[3], t[5], &c);
    t[6] = c;
    t[7] = t[6] >> 63;
    t[6] = t[6] << 1 | t[5] >> 63;
    t[5] = t[5] << 1 | t[4] >> 63;
    t[4] = t[4] << 1 | t[3] >> 63;
    t[3] = t[3] << 1 | t[2] >> 63;
    t[2] = t[2] << 1 | t[1] >> 63;
    t[1] = t[1] << 1;
    c = 0;
    rdg_u128_t s0 = (rdg_u128_t)a->l[0] * a->l[0], s1 = (rdg_u128_t)a->l[1] * a->l[1];
    rdg_u128_t s2 = (rdg_u128_t)a->l[2] * a->l[2], s3 = (rdg_u128_t)a->l[3] * a->l[3];
    t[0] = (uint64_t)s0;
    t[1] = rdg_add_carry(t[1], (uint64_t)(s0 >> 64), &c);
    t[2] = rdg_add_carry(t[2], (uint64_t)s1, &c);
    t[3] = rdg_add_carry(t[3], (uint64_t)(s1 >> 64), &c);
    t[4] = rdg_add_carry(t[4], (uint64_t)s2, &c);
    t[5] = rdg_add_carry(t[5], (uint64_t)(s2 >> 64), &c);
    t[6] = rdg_add_carry(t[6], (uint64_t)s3, &c);
    t[7] = rdg_add_carry(t[7], (uint64_t)(s3 >> 64), &c);
    reduce(out, t);
}

#if defined(__x86_64__)
static bool has_mulx;

__attribute__((constructor)) static void detect(void) {
    has_mulx = __builtin_cpu_supports("bmi2");
}

void rdg_sm2_fe_mul(rdg_sm2_fe_t *out, const rdg_sm2_fe_t *a, const rdg_sm2_fe_t *b) {
    if (has_mulx)
        rdg_sm2_fe_mul_mulx(out, a, b);
    else
        rdg_sm2_fe_mul_portable(out, a, b);
}

void rdg_sm2_fe_sqr(rdg_sm2_fe_t *out, const rdg_sm2_fe_t *a) {
    if (has_mulx)
        rdg_sm2_fe_sqr_mulx(out, a);
    else
        rdg_sm2_fe_sqr_portable(out, a);
}
#else
void rdg_sm2_fe_mul(rdg_sm2_fe_t *out, const rdg_sm2_fe_t *a, const rdg_sm2_fe_t *b) {
    rdg_sm2_fe_mul_portable(out, a, b);
}

void rdg_sm2_fe_sqr(rdg_sm2_fe_t *out, const rdg_sm2_fe_t *a) {
    rdg_sm2_fe_sqr_portable(out, a);
}
#endif

void rdg_sm2_fe_from_limbs(rdg_sm2_fe_t *out, const uint64_t limbs[4]) {
    rdg_sm2_fe_t plain = {{limbs[0], limbs[1], limbs[2], limbs[3]}};
    rdg_sm2_fe_mul(out, &plain, &r_squared);
}

bool rdg_sm2_fe_from_bytes(rdg_sm2_fe_t *out, const uint8_t be[32]) {
    uint64_t limbs[4], borrow = 0;
    for (int i = 0; i < 4; i++) limbs[i] = rdg_load_be64(be + 24 - 8 * i);
    rdg_sub_borrow(limbs[0], RDG_SM2_P0, &borrow);
    rdg_sub_borrow(limbs[1], RDG_SM2_P1, &borrow);
    rdg_sub_borrow(limbs[2], RDG_SM2_P2, &borrow);
    rdg_sub_borrow(limbs[3], RDG_SM2_P3, &borrow);
    if (!borrow) return false;
    rdg_sm2_fe_from_limbs(out, limbs);
    return true;
}

void rdg_sm2_fe_to_bytes(const rdg_sm2_fe_t *a, uint8_t be[32]) {
    static const rdg_sm2_fe_t plain_one = {{1, 0, 0, 0}};
    rdg_sm2_fe_t plain;
    rdg_sm2_fe_mul(&plain, a, &plain_one);
    for (int i = 0; i < 4; i++) rdg_store_be64(be + 24 - 8 * i, plain.l[i]);
}
