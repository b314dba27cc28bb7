#include "u256.h"

static void mul_wide(const u256_t *a, const u256_t *b, uint64_t r[8]) {
    memset(r, 0, 8 * sizeof *r);
    for (int i = 0; i < 4; ++i) {
        uint64_t carry = 0;
        for (int j = 0; j < 4; ++j) {
            u128_t t = (u128_t)a->w[i] * b->w[j] + r[i + j] + carry;
            r[i + j] = (uint64_t)t;
            carry = (uint64_t)(t >> 64);
        }
        r[i + 4] = carry;
    }
}

/* high < d, so that the quotient fits. */
static inline uint64_t div_2by1(uint64_t high, uint64_t low, uint64_t d, uint64_t *rem) {
#if defined(__x86_64__)
    uint64_t q;
    /* The compiler calls a library routine for 128/64 bits, several times slower than the instruction. */
    __asm__("divq %4" : "=a"(q), "=d"(*rem) : "a"(low), "d"(high), "r"(d) : "cc");
    return q;
#else
    u128_t n = ((u128_t)high << 64) | low;
    *rem = (uint64_t)(n % d);
    return (uint64_t)(n / d);
#endif
}

static int limbs(const uint64_t *a, int n) {
    while (n > 0 && a[n - 1] == 0) --n;
    return n;
}

static void div_by_limb(const uint64_t *u, int n, uint64_t d, uint64_t *q, uint64_t *r) {
    uint64_t rem = 0;
    for (int i = n - 1; i >= 0; --i) {
        uint64_t digit = div_2by1(rem, u[i], d, &rem);
        if (q) q[i] = digit;
    }
    r[0] = rem;
}

/* One digit of Knuth's algorithm D: subtracts digit * v from u[0..m] and returns the digit. */
static uint64_t div_step(uint64_t *u, const uint64_t *v, int m) {
    uint64_t digit, rem, top = v[m - 1];
    bool small = true; /* rem still fits one limb */
    if (u[m] >= top) {
        digit = UINT64_MAX;
        rem = u[m - 1] + top;
        small = rem >= top;
    } else {
        digit = div_2by1(u[m], u[m - 1], top, &rem);
    }
    while (small && (u128_t)digit * v[m - 2] > (((u128_t)rem << 64) | u[m - 2])) {
        --digit;
        rem += top;
        small = rem >= top;
    }
    uint64_t carry = 0, borrow = 0;
    for (int i = 0; i < m; ++i) {
        u128_t p = (u128_t)digit * v[i] + carry;
        carry = (uint64_t)(p >> 64);
        u[i] = u256_subb(u[i], (uint64_t)p, &borrow);
    }
    u[m] = u256_subb(u[m], carry, &borrow);
    if (borrow) {
        --digit;
        carry = 0;
        for (int i = 0; i < m; ++i) u[i] = u256_addc(u[i], v[i], &carry);
        u[m] += carry;
    }
    return digit;
}

/* u[n <= 8] / v[m <= 4], v not zero: quotient into q[n] if given, remainder into r[4]. */
static void divide(const uint64_t *u, int n, const uint64_t *v, int m, uint64_t *q, uint64_t *r) {
    if (q) memset(q, 0, (size_t)n * sizeof *q);
    memset(r, 0, 4 * sizeof *r);
    n = limbs(u, n);
    m = limbs(v, m);
    if (n < m) {
        memcpy(r, u, (size_t)n * sizeof *r);
        return;
    }
    if (m == 1) {
        div_by_limb(u, n, v[0], q, r);
        return;
    }
    uint64_t un[9], vn[4];
    int s = __builtin_clzll(v[m - 1]);
    for (int i = m - 1; i >= 0; --i) vn[i] = s && i > 0 ? (v[i] << s) | (v[i - 1] >> (64 - s)) : v[i] << s;
    un[n] = s ? u[n - 1] >> (64 - s) : 0;
    for (int i = n - 1; i >= 0; --i) un[i] = s && i > 0 ? (u[i] << s) | (u[i - 1] >> (64 - s)) : u[i] << s;
    for (int j = n - m; j >= 0; --j) {
        uint64_t digit = div_step(un + j, vn, m);
        if (q) q[j] = digit;
    }
    for (int i = 0; i < m; ++i) r[i] = s ? (un[i] >> s) | (un[i + 1] << (64 - s)) : un[i];
}

u256_t u256_div(const u256_t *a, const u256_t *b) {
    if (u256_is_zero(b)) return (u256_t){{0}};
    if (u256_fits_u64(a) && u256_fits_u64(b)) return u256_from_u64(a->w[0] / b->w[0]);
    u256_t q, r;
    divide(a->w, 4, b->w, 4, q.w, r.w);
    return q;
}

u256_t u256_mod(const u256_t *a, const u256_t *b) {
    if (u256_is_zero(b)) return (u256_t){{0}};
    if (u256_fits_u64(a) && u256_fits_u64(b)) return u256_from_u64(a->w[0] % b->w[0]);
    u256_t r;
    divide(a->w, 4, b->w, 4, NULL, r.w);
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

u256_t u256_addmod(const u256_t *a, const u256_t *b, const u256_t *m) {
    if (u256_is_zero(m)) return (u256_t){{0}};
    uint64_t carry;
    u256_t sum = u256_add_carry(a, b, &carry);
    if (u256_less(a, m) && u256_less(b, m)) return carry || !u256_less(&sum, m) ? u256_sub(&sum, m) : sum;
    uint64_t wide[5] = {sum.w[0], sum.w[1], sum.w[2], sum.w[3], carry};
    u256_t r;
    divide(wide, 5, m->w, 4, NULL, r.w);
    return r;
}

u256_t u256_mulmod(const u256_t *a, const u256_t *b, const u256_t *m) {
    if (u256_is_zero(m)) return (u256_t){{0}};
    uint64_t wide[8];
    mul_wide(a, b, wide);
    u256_t r;
    divide(wide, 8, m->w, 4, NULL, r.w);
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
