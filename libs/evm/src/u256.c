#include "u256.h"

static void mul_wide(const u256_t *a, const u256_t *b, uint64_t r[8]) {
    const uint64_t *x = a->w, *y = b->w;
    uint64_t c0 = 0, c1 = 0, c2 = 0;
#define NEXT_COLUMN(i) r[i] = c0, c0 = c1, c1 = c2, c2 = 0
#define ADD(i, j) u256_mul_add(x[i], y[j], &c0, &c1, &c2)
    ADD(0, 0), NEXT_COLUMN(0);
    ADD(0, 1), ADD(1, 0), NEXT_COLUMN(1);
    ADD(0, 2), ADD(1, 1), ADD(2, 0), NEXT_COLUMN(2);
    ADD(0, 3), ADD(1, 2), ADD(2, 1), ADD(3, 0), NEXT_COLUMN(3);
    ADD(1, 3), ADD(2, 2), ADD(3, 1), NEXT_COLUMN(4);
    ADD(2, 3), ADD(3, 2), NEXT_COLUMN(5);
    ADD(3, 3), NEXT_COLUMN(6);
    r[7] = c0;
#undef ADD
#undef NEXT_COLUMN
}

/* Division by multiplication with a reciprocal that is computed once: Möller, Granlund, Improved division by
 * invariant integers (IEEE Trans. Comput. 60, 2011). The divisor's highest bit is set (normalised). */

/* (2^128 - 1) / d - 2^64 */
static inline uint64_t reciprocal(uint64_t d) {
#if defined(__x86_64__)
    uint64_t q, rem;
    /* The compiler calls a library routine for 128/64 bits, several times slower than the instruction. */
    __asm__("divq %4" : "=a"(q), "=d"(rem) : "a"(UINT64_MAX), "d"(~d), "r"(d) : "cc");
    return q;
#else
    return (uint64_t)((((u128_t)~d << 64) | UINT64_MAX) / d);
#endif
}

/* The same for two limbs: (2^192 - 1) / (d1, d0) - 2^64; algorithm 6. */
static inline uint64_t reciprocal_of_two(uint64_t d1, uint64_t d0) {
    uint64_t v = reciprocal(d1), p = d1 * v + d0;
    if (p < d0) {
        --v;
        if (p >= d1) --v, p -= d1;
        p -= d1;
    }
    u128_t t = (u128_t)v * d0;
    uint64_t high = (uint64_t)(t >> 64);
    p += high;
    if (p < high) {
        --v;
        if (p > d1 || (p == d1 && (uint64_t)t >= d0)) --v;
    }
    return v;
}

/* Quotient digit of (u1, u0) / d, u1 < d; algorithm 4. */
static inline uint64_t divide_2by1(uint64_t u1, uint64_t u0, uint64_t d, uint64_t v, uint64_t *rem) {
    u128_t q = (u128_t)v * u1 + (((u128_t)u1 << 64) | u0);
    uint64_t digit = (uint64_t)(q >> 64) + 1, r = u0 - digit * d;
    if (r > (uint64_t)q) --digit, r += d;
    if (r >= d) ++digit, r -= d;
    *rem = r;
    return digit;
}

/* Quotient digit of (u2, u1, u0) / (d1, d0), (u2, u1) < (d1, d0); algorithm 5. */
static inline uint64_t divide_3by2(uint64_t u2, uint64_t u1, uint64_t u0, u128_t d, uint64_t v, u128_t *rem) {
    u128_t q = (u128_t)v * u2 + (((u128_t)u2 << 64) | u1);
    uint64_t digit = (uint64_t)(q >> 64), r1 = u1 - digit * (uint64_t)(d >> 64);
    u128_t r = (((u128_t)r1 << 64) | u0) - (u128_t)(uint64_t)d * digit - d;
    ++digit;
    if ((uint64_t)(r >> 64) >= (uint64_t)q) --digit, r += d;
    if (r >= d) ++digit, r -= d;
    *rem = r;
    return digit;
}

static int limbs(const uint64_t *a, int n) {
    while (n > 0 && a[n - 1] == 0) --n;
    return n;
}

/* u[0..n] / d into q[0..n-1], remainder into u[0]; u[n] < d. */
static void by_one(uint64_t *u, int n, uint64_t d, uint64_t *q) {
    uint64_t v = reciprocal(d), rem = u[n];
    for (int i = n - 1; i >= 0; --i) q[i] = divide_2by1(rem, u[i], d, v, &rem);
    u[0] = rem;
}

/* The same with two limbs, q[0..n-2]. */
static void by_two(uint64_t *u, int n, const uint64_t *d, uint64_t *q) {
    uint64_t v = reciprocal_of_two(d[1], d[0]);
    u128_t divisor = ((u128_t)d[1] << 64) | d[0], rem = ((u128_t)u[n] << 64) | u[n - 1];
    for (int i = n - 2; i >= 0; --i)
        q[i] = divide_3by2((uint64_t)(rem >> 64), (uint64_t)rem, u[i], divisor, v, &rem);
    u[0] = (uint64_t)rem;
    u[1] = (uint64_t)(rem >> 64);
}

/* *u -= a b + carry; what is to be taken from the next limb. */
static inline uint64_t subtract_product(uint64_t *u, uint64_t a, uint64_t b, uint64_t carry) {
    u128_t p = (u128_t)a * b + carry;
    uint64_t low = (uint64_t)p, high = (uint64_t)(p >> 64) + (*u < low);
    *u -= low;
    return high;
}

/* One digit of Knuth's algorithm D with m >= 3 limbs: subtracts digit * d from u[0..m]. The digit of the two
 * highest limbs is right or, seldom, one too large. */
static inline __attribute__((always_inline)) uint64_t step(uint64_t *u, int m, const uint64_t *d,
                                                           uint64_t v) {
    u128_t top = ((u128_t)d[m - 1] << 64) | d[m - 2], rem;
    uint64_t digit = UINT64_MAX, carry = 0;
    if ((((u128_t)u[m] << 64) | u[m - 1]) < top) digit = divide_3by2(u[m], u[m - 1], u[m - 2], top, v, &rem);
#pragma GCC unroll 4
    for (int i = 0; i < m; ++i) carry = subtract_product(&u[i], digit, d[i], carry);
    if (u[m] < carry) {
        --digit;
        carry = 0;
        for (int i = 0; i < m; ++i) u[i] = u256_addc(u[i], d[i], &carry);
    }
    u[m] = 0; /* the remainder is less than d */
    return digit;
}

static inline __attribute__((always_inline)) void by_many(uint64_t *u, int n, int m, const uint64_t *d,
                                                          uint64_t *q) {
    uint64_t v = reciprocal_of_two(d[m - 1], d[m - 2]);
    for (int j = n - m; j >= 0; --j) q[j] = step(u + j, m, d, v);
}

/* Shifts a[0..n-1] left by less than 64 bits into r[0..n]. */
static inline void normalise(uint64_t *r, const uint64_t *a, int n, int s) {
    uint64_t above = 0;
#pragma GCC unroll 4
    for (int i = n; i > 0; --i) {
        uint64_t limb = a[i - 1];
        r[i] = above << s | limb >> 1 >> (63 - s);
        above = limb;
    }
    r[0] = above << s;
}

/* u[n <= 8] / v[4], v not zero: quotient into q[n], remainder into r[4]. */
static void divide(const uint64_t *u, int n, const uint64_t *v, uint64_t *q, uint64_t *r) {
    uint64_t un[9], vn[5] = {0};
    int m = limbs(v, 4), s = __builtin_clzll(v[m - 1]);
    memset(q, 0, (size_t)n * sizeof *q);
    memset(r, 0, 4 * sizeof *r);
    n = limbs(u, n);
    if (n < m) {
        for (int i = 0; i < n; ++i) r[i] = u[i];
        return;
    }
    normalise(un, u, n, s);
    normalise(vn, v, m, s); /* vn[m] = 0 */
    switch (m) {
    case 1: by_one(un, n, vn[0], q); break;
    case 2: by_two(un, n, vn, q); break;
    case 3: by_many(un, n, 3, vn, q); break;
    default: by_many(un, n, 4, vn, q);
    }
    un[m] = 0; /* only the remainder's limbs count */
    for (int i = 0; i < m; ++i) r[i] = un[i] >> s | un[i + 1] << 1 << (63 - s);
}

/* One word by one of m limbs. m is known where it is called and a word has four limbs, so that no loop is left: a
 * third to a half less time than divide() takes. */
static inline __attribute__((always_inline)) void word_by(const u256_t *a, const u256_t *b, int m, u256_t *q,
                                                          u256_t *r) {
    uint64_t u[5], d[5];
    int s = __builtin_clzll(b->w[m - 1]);
    normalise(u, a->w, 4, s);
    normalise(d, b->w, m, s);
    *q = *r = (u256_t){{0}};
    if (m == 1)
        by_one(u, 4, d[0], q->w);
    else if (m == 2)
        by_two(u, 4, d, q->w);
    else
        by_many(u, 4, m, d, q->w);
    u[m] = 0; /* only the remainder's limbs count */
    for (int i = 0; i < m; ++i) r->w[i] = u[i] >> s | u[i + 1] << 1 << (63 - s);
}

/* b not zero */
static inline __attribute__((always_inline)) void divide_word(const u256_t *a, const u256_t *b, u256_t *q,
                                                              u256_t *r) {
    if (b->w[3])
        word_by(a, b, 4, q, r);
    else if (b->w[2])
        word_by(a, b, 3, q, r);
    else if (b->w[1])
        word_by(a, b, 2, q, r);
    else
        word_by(a, b, 1, q, r);
}

u256_t u256_div_large(const u256_t *a, const u256_t *b) {
    if (u256_is_zero(b)) return (u256_t){{0}};
    if (!u256_less(b, a)) return u256_from_u64(u256_equal(a, b));
    u256_t q, r;
    divide_word(a, b, &q, &r);
    return q;
}

u256_t u256_mod_large(const u256_t *a, const u256_t *b) {
    if (u256_is_zero(b)) return (u256_t){{0}};
    if (!u256_less(b, a)) return u256_equal(a, b) ? (u256_t){{0}} : *a;
    u256_t q, r;
    divide_word(a, b, &q, &r);
    return r;
}

static u256_t magnitude(const u256_t *a) {
    return u256_negative(a) ? u256_negate(a) : *a;
}

u256_t u256_sdiv(const u256_t *a, const u256_t *b) {
    u256_t ma = magnitude(a), mb = magnitude(b);
    u256_t q = u256_div(&ma, &mb);
    return u256_negative(a) != u256_negative(b) ? u256_negate(&q) : q;
}

u256_t u256_smod(const u256_t *a, const u256_t *b) {
    u256_t ma = magnitude(a), mb = magnitude(b);
    u256_t r = u256_mod(&ma, &mb);
    return u256_negative(a) ? u256_negate(&r) : r;
}

/* The remainder of n limbs by a modulus of four, which is what field arithmetic has. n is known where it is called; no
 * quotient is kept, and leading digits that are zero cost no step. */
static inline __attribute__((always_inline)) u256_t wide_mod_four(const uint64_t *a, int n, const u256_t *m) {
    uint64_t u[9], d[5];
    u256_t r;
    int s = __builtin_clzll(m->w[3]), j = n - 4;
    normalise(u, a, n, s);
    normalise(d, m->w, 4, s);
    uint64_t v = reciprocal_of_two(d[3], d[2]);
    while (j > 0 && u[j + 4] == 0 && u[j + 3] < d[3]) --j;
    for (; j >= 0; --j) (void)step(u + j, 4, d, v);
    u[4] = 0; /* only the remainder's limbs count */
    for (int i = 0; i < 4; ++i) r.w[i] = u[i] >> s | u[i + 1] << 1 << (63 - s);
    return r;
}

u256_t u256_addmod(const u256_t *a, const u256_t *b, const u256_t *m) {
    if (u256_is_zero(m)) return (u256_t){{0}};
    uint64_t carry;
    u256_t sum = u256_add_carry(a, b, &carry);
    if (u256_less(a, m) && u256_less(b, m)) return carry || !u256_less(&sum, m) ? u256_sub(&sum, m) : sum;
    uint64_t wide[5] = {sum.w[0], sum.w[1], sum.w[2], sum.w[3], carry};
    if (m->w[3]) return wide_mod_four(wide, 5, m);
    uint64_t q[5];
    u256_t r;
    divide(wide, 5, m->w, q, r.w);
    return r;
}

u256_t u256_mulmod(const u256_t *a, const u256_t *b, const u256_t *m) {
    if (u256_is_zero(m)) return (u256_t){{0}};
    uint64_t wide[8];
    mul_wide(a, b, wide);
    if (m->w[3]) return wide_mod_four(wide, 8, m);
    uint64_t q[8];
    u256_t r;
    divide(wide, 8, m->w, q, r.w);
    return r;
}

static unsigned bit_length(const u256_t *a) {
    for (unsigned i = 4; i-- > 0;)
        if (a->w[i]) return 64 * i + 64 - (unsigned)__builtin_clzll(a->w[i]);
    return 0;
}

unsigned u256_byte_length(const u256_t *a) {
    return (bit_length(a) + 7) / 8;
}

u256_t u256_exp(const u256_t *base, const u256_t *exponent) {
    u256_t r = u256_from_u64(1);
    for (unsigned bit = bit_length(exponent); bit-- > 0;) {
        r = u256_mul(&r, &r);
        if ((exponent->w[bit / 64] >> (bit % 64)) & 1) r = u256_mul(&r, base);
    }
    return r;
}
