/* The field of sm2_field.h in x86-64 instructions, because compilers lose the carry flag between 64-bit
 * words: half as fast again as the portable code, against which every test run checks it.
 * Multiplication needs BMI2 (mulx); without it the portable code runs. */
#ifndef RIDGE_CRYPTO_SM2_FIELD_X86_64_H
#define RIDGE_CRYPTO_SM2_FIELD_X86_64_H

/* clang-format tears the instructions apart. */
/* clang-format off */

/* (c, r0..r3) - p into (x0..x3), and back to r0..r3 unless that is negative. p has the limbs -1,
 * 2^64 - 2^32, -1, 2^64 - 2^32 - 1. u is free. */
#define RDG_FE_SUBTRACT_P(r0, r1, r2, r3, c, x0, x1, x2, x3, u)                                              \
    "mov " r0 ", " x0 "\n\t mov " r1 ", " x1 "\n\t mov " r2 ", " x2 "\n\t mov " r3 ", " x3 "\n\t"            \
    "movabs $0xffffffff00000000, " u "\n\t"                                                                  \
    "sub $-1, " x0 "\n\t sbb " u ", " x1 "\n\t sbb $-1, " x2 "\n\t"                                          \
    "movabs $0xfffffffeffffffff, " u "\n\t"                                                                  \
    "sbb " u ", " x3 "\n\t sbb $0, " c "\n\t"                                                                \
    "cmovnc " x0 ", " r0 "\n\t cmovnc " x1 ", " r1 "\n\t cmovnc " x2 ", " r2 "\n\t cmovnc " x3 ", " r3 "\n\t"

/* m = t0; (t1, t2, t3, t0) becomes (t0..t3 + m·p) / 2^64, without what t4 and above hold: m times
 * 2^192 - 2^160 - 2^32 + 1 is added from t1 up. The last addition, of the carry into t0, is the caller's. */
#define RDG_FE_MONTGOMERY(t0, t1, t2, t3)                                                                    \
    "mov " t0 ", %[x0]\n\t shl $32, %[x0]\n\t mov " t0 ", %[x1]\n\t shr $32, %[x1]\n\t"                      \
    "mov " t0 ", %[x2]\n\t sub %[x0], %[x2]\n\t mov $0, %[x3]\n\t sbb %[x1], %[x3]\n\t"                      \
    "mov $0, %%rdx\n\t sbb %[x0], %%rdx\n\t sbb %[x1], " t0 "\n\t"                                          \
    "add %[x2], " t1 "\n\t adc %[x3], " t2 "\n\t adc %%rdx, " t3 "\n\t"

/* (t0..t4) += a * b[i], then one step; the sum stays below 2^320. The limbs are then t1, t2, t3, t4, t0. */
#define RDG_FE_ROW(offset, t0, t1, t2, t3, t4)                                                               \
    "mov " offset "(%[b]), %%rdx\n\t"                                                                        \
    "mulx (%[a]), %[x0], %[x1]\n\t"                                                                          \
    "mulx 8(%[a]), %[x2], %[x3]\n\t add %[x2], %[x1]\n\t"                                                    \
    "mulx 16(%[a]), %[x2], %[x4]\n\t adc %[x2], %[x3]\n\t"                                                   \
    "mulx 24(%[a]), %[x2], %[x5]\n\t adc %[x2], %[x4]\n\t adc $0, %[x5]\n\t"                                 \
    "add %[x0], " t0 "\n\t adc %[x1], " t1 "\n\t adc %[x3], " t2 "\n\t adc %[x4], " t3 "\n\t"                \
    "adc %[x5], " t4 "\n\t"                                                                                  \
    RDG_FE_MONTGOMERY(t0, t1, t2, t3)                                                                        \
    "adc " t0 ", " t4 "\n\t mov $0, " t0 "\n\t adc $0, " t0 "\n\t"

/* The products of different limbs of a once, doubled, with the squares of the limbs: t0..t7 = a^2. */
#define RDG_FE_SQUARE                                                                                        \
    "mov (%[a]), %%rdx\n\t"                                                                                  \
    "mulx 8(%[a]), %[t1], %[t2]\n\t"                                                                         \
    "mulx 16(%[a]), %[x0], %[t3]\n\t add %[x0], %[t2]\n\t"                                                   \
    "mulx 24(%[a]), %[x0], %[t4]\n\t adc %[x0], %[t3]\n\t adc $0, %[t4]\n\t"                                 \
    "mov 8(%[a]), %%rdx\n\t"                                                                                 \
    "mulx 16(%[a]), %[x0], %[x1]\n\t"                                                                        \
    "mulx 24(%[a]), %[x2], %[t5]\n\t add %[x2], %[x1]\n\t adc $0, %[t5]\n\t"                                 \
    "mov 16(%[a]), %%rdx\n\t"                                                                                \
    "mulx 24(%[a]), %[x2], %[t6]\n\t"                                                                        \
    "add %[x0], %[t3]\n\t adc %[x1], %[t4]\n\t adc %[x2], %[t5]\n\t adc $0, %[t6]\n\t"                       \
    "mov $0, %[t7]\n\t"                                                                                      \
    "add %[t1], %[t1]\n\t adc %[t2], %[t2]\n\t adc %[t3], %[t3]\n\t adc %[t4], %[t4]\n\t"                    \
    "adc %[t5], %[t5]\n\t adc %[t6], %[t6]\n\t adc $0, %[t7]\n\t"                                            \
    "mov (%[a]), %%rdx\n\t mulx %%rdx, %[t0], %[x0]\n\t"                                                     \
    "mov 8(%[a]), %%rdx\n\t mulx %%rdx, %[x1], %[x2]\n\t"                                                    \
    "add %[x0], %[t1]\n\t adc %[x1], %[t2]\n\t adc %[x2], %[t3]\n\t"                                         \
    "mov 16(%[a]), %%rdx\n\t mulx %%rdx, %[x0], %[x1]\n\t"                                                   \
    "mov 24(%[a]), %%rdx\n\t mulx %%rdx, %[x2], %[x3]\n\t"                                                   \
    "adc %[x0], %[t4]\n\t adc %[x1], %[t5]\n\t adc %[x2], %[t6]\n\t adc %[x3], %[t7]\n\t"

static inline void rdg_sm2_fe_mul_mulx(rdg_sm2_fe_t *out, const rdg_sm2_fe_t *a, const rdg_sm2_fe_t *b) {
    uint64_t t0 = 0, t1 = 0, t2 = 0, t3 = 0, t4 = 0, x0, x1, x2, x3, x4, x5;
    __asm__(RDG_FE_ROW("", "%[t0]", "%[t1]", "%[t2]", "%[t3]", "%[t4]")
            RDG_FE_ROW("8", "%[t1]", "%[t2]", "%[t3]", "%[t4]", "%[t0]")
            RDG_FE_ROW("16", "%[t2]", "%[t3]", "%[t4]", "%[t0]", "%[t1]")
            RDG_FE_ROW("24", "%[t3]", "%[t4]", "%[t0]", "%[t1]", "%[t2]")
            RDG_FE_SUBTRACT_P("%[t4]", "%[t0]", "%[t1]", "%[t2]", "%[t3]",
                              "%[x0]", "%[x1]", "%[x2]", "%[x3]", "%%rdx")
            : [t0] "+&r"(t0), [t1] "+&r"(t1), [t2] "+&r"(t2), [t3] "+&r"(t3), [t4] "+&r"(t4), [x0] "=&r"(x0),
              [x1] "=&r"(x1), [x2] "=&r"(x2), [x3] "=&r"(x3), [x4] "=&r"(x4), [x5] "=&r"(x5)
            : [a] "r"(a->l), [b] "r"(b->l)
            : "rdx", "cc", "memory");
    out->l[0] = t4, out->l[1] = t0, out->l[2] = t1, out->l[3] = t2;
}

static inline void rdg_sm2_fe_sqr_mulx(rdg_sm2_fe_t *out, const rdg_sm2_fe_t *a) {
    uint64_t t0, t1, t2, t3, t4, t5, t6, t7, x0, x1, x2, x3;
    __asm__(RDG_FE_SQUARE
            /* The low half is reduced to p at most, then the high half added. */
            RDG_FE_MONTGOMERY("%[t0]", "%[t1]", "%[t2]", "%[t3]") "adc $0, %[t0]\n\t"
            RDG_FE_MONTGOMERY("%[t1]", "%[t2]", "%[t3]", "%[t0]") "adc $0, %[t1]\n\t"
            RDG_FE_MONTGOMERY("%[t2]", "%[t3]", "%[t0]", "%[t1]") "adc $0, %[t2]\n\t"
            RDG_FE_MONTGOMERY("%[t3]", "%[t0]", "%[t1]", "%[t2]") "adc $0, %[t3]\n\t"
            "mov $0, %[x0]\n\t"
            "add %[t4], %[t0]\n\t adc %[t5], %[t1]\n\t adc %[t6], %[t2]\n\t adc %[t7], %[t3]\n\t adc $0, %[x0]\n\t"
            RDG_FE_SUBTRACT_P("%[t0]", "%[t1]", "%[t2]", "%[t3]", "%[x0]",
                              "%[t4]", "%[t5]", "%[t6]", "%[t7]", "%%rdx")
            : [t0] "=&r"(t0), [t1] "=&r"(t1), [t2] "=&r"(t2), [t3] "=&r"(t3), [t4] "=&r"(t4), [t5] "=&r"(t5),
              [t6] "=&r"(t6), [t7] "=&r"(t7), [x0] "=&r"(x0), [x1] "=&r"(x1), [x2] "=&r"(x2), [x3] "=&r"(x3)
            : [a] "r"(a->l)
            : "rdx", "cc", "memory");
    out->l[0] = t0, out->l[1] = t1, out->l[2] = t2, out->l[3] = t3;
}

static inline void rdg_sm2_fe_add(rdg_sm2_fe_t *out, const rdg_sm2_fe_t *a, const rdg_sm2_fe_t *b) {
    uint64_t r0 = a->l[0], r1 = a->l[1], r2 = a->l[2], r3 = a->l[3], c = 0, x0, x1, x2, x3, u;
    __asm__("add %[b0], %[r0]\n\t adc %[b1], %[r1]\n\t adc %[b2], %[r2]\n\t adc %[b3], %[r3]\n\t adc $0, %[c]\n\t"
            RDG_FE_SUBTRACT_P("%[r0]", "%[r1]", "%[r2]", "%[r3]", "%[c]",
                              "%[x0]", "%[x1]", "%[x2]", "%[x3]", "%[u]")
            : [r0] "+&r"(r0), [r1] "+&r"(r1), [r2] "+&r"(r2), [r3] "+&r"(r3), [c] "+&r"(c), [x0] "=&r"(x0),
              [x1] "=&r"(x1), [x2] "=&r"(x2), [x3] "=&r"(x3), [u] "=&r"(u)
            : [b0] "m"(b->l[0]), [b1] "m"(b->l[1]), [b2] "m"(b->l[2]), [b3] "m"(b->l[3])
            : "cc");
    out->l[0] = r0, out->l[1] = r1, out->l[2] = r2, out->l[3] = r3;
}

static inline void rdg_sm2_fe_sub(rdg_sm2_fe_t *out, const rdg_sm2_fe_t *a, const rdg_sm2_fe_t *b) {
    uint64_t r0 = a->l[0], r1 = a->l[1], r2 = a->l[2], r3 = a->l[3], mask, p1, p3;
    __asm__("sub %[b0], %[r0]\n\t sbb %[b1], %[r1]\n\t sbb %[b2], %[r2]\n\t sbb %[b3], %[r3]\n\t"
            "sbb %[mask], %[mask]\n\t mov %[mask], %[p1]\n\t shl $32, %[p1]\n\t"
            "movabs $0xfffffffeffffffff, %[p3]\n\t and %[mask], %[p3]\n\t"
            "add %[mask], %[r0]\n\t adc %[p1], %[r1]\n\t adc %[mask], %[r2]\n\t adc %[p3], %[r3]\n\t"
            : [r0] "+&r"(r0), [r1] "+&r"(r1), [r2] "+&r"(r2), [r3] "+&r"(r3), [mask] "=&r"(mask),
              [p1] "=&r"(p1), [p3] "=&r"(p3)
            : [b0] "m"(b->l[0]), [b1] "m"(b->l[1]), [b2] "m"(b->l[2]), [b3] "m"(b->l[3])
            : "cc");
    out->l[0] = r0, out->l[1] = r1, out->l[2] = r2, out->l[3] = r3;
}

/* clang-format on */
#endif
