/* The inverse in the field by division steps (Bernstein and Yang, "Fast constant-time gcd computation and
 * modular inversion", 2019), in their variable-time form: public data only.
 *
 * f and g start as p and a. d and e keep f = d·a and g = e·a (mod p), and g ends as 0, f as ±1, d as the
 * inverse of a, or its negative. 62 steps at a time are found from the lowest limbs alone and then applied as
 * one matrix, so numbers are kept in five signed limbs of 62 bits. */
#include "sm2_field.h"

__extension__ typedef __int128 int128_t;

#define LIMBS 5
#define STEPS 62
#define LIMB_MASK ((int64_t)(UINT64_MAX >> 2))

typedef struct wide {
    int64_t l[LIMBS]; /* the highest carries the sign, the others are in [0, 2^62) */
} wide_t;

typedef struct matrix {
    int64_t u, v, q, r; /* (f, g) becomes (u f + v g, q f + r g) / 2^62; |u| + |v| and |q| + |r| <= 2^62 */
} matrix_t;

static const wide_t p_wide = {
    {0x3fffffffffffffff, 0x3ffffffc00000003, 0x3fffffffffffffff, 0x3fffffbfffffffff, 0xff}};

/* The steps that the lowest 64 bits of f and g lead to. delta is that of the paper. */
static int64_t find_steps(int64_t delta, uint64_t f, uint64_t g, matrix_t *out) {
    uint64_t u = 1, v = 0, q = 0, r = 1;
    int left = STEPS;
    for (;;) {
        /* Even g: halve it as often as it goes. */
        int zeros = __builtin_ctzll(g | UINT64_MAX << left);
        g >>= zeros, u <<= zeros, v <<= zeros;
        delta += zeros;
        left -= zeros;
        if (left == 0) break;
        if (delta > 0) {
            uint64_t f_was = f, u_was = u, v_was = v;
            delta = -delta;
            f = g, u = q, v = r;
            g = 0 - f_was, q = 0 - u_was, r = 0 - v_was;
        }
        /* Until delta is positive again odd g get f added: so many of its bits vanish at once, six at most.
         * f is its own inverse mod 8; one step of Newton's makes that mod 64. */
        int64_t bits = 1 - delta < left ? 1 - delta : left;
        uint64_t mask = 63 & (UINT64_MAX >> (64 - bits));
        uint64_t w = (0 - g * (f * (2 - f * f))) & mask;
        g += f * w, q += u * w, r += v * w;
    }
    *out = (matrix_t){(int64_t)u, (int64_t)v, (int64_t)q, (int64_t)r};
    return delta;
}

/* out = (a x + b y + m p) / 2^62, which the caller has made divisible. */
static void combine(wide_t *out, int64_t a, const wide_t *x, int64_t b, const wide_t *y, int64_t m) {
    wide_t sum;
    int128_t acc = 0;
    for (int i = 0; i < LIMBS; i++) {
        acc += (int128_t)a * x->l[i] + (int128_t)b * y->l[i] + (int128_t)m * p_wide.l[i];
        if (i > 0) sum.l[i - 1] = (int64_t)acc & LIMB_MASK;
        acc >>= STEPS;
    }
    sum.l[LIMBS - 1] = (int64_t)acc;
    *out = sum;
}

/* The same mod p of values in (-2p, p), to which p is added first where they are negative, so that the result
 * is in that range again. As p = -1 mod 2^62, m is what the lowest limb is. */
static void combine_mod_p(wide_t *out, int64_t a, const wide_t *x, int64_t b, const wide_t *y) {
    int64_t m = (x->l[LIMBS - 1] < 0 ? a : 0) + (y->l[LIMBS - 1] < 0 ? b : 0);
    uint64_t lowest = (uint64_t)a * (uint64_t)x->l[0] + (uint64_t)b * (uint64_t)y->l[0];
    m -= (int64_t)(((uint64_t)m - lowest) & (uint64_t)LIMB_MASK);
    combine(out, a, x, b, y, m);
}

static bool is_zero(const wide_t *a) {
    return (a->l[0] | a->l[1] | a->l[2] | a->l[3] | a->l[4]) == 0;
}

static void add_multiple(wide_t *a, int64_t sign, int64_t times_p) {
    int64_t carry = 0;
    for (int i = 0; i < LIMBS; i++) {
        int64_t v = sign * a->l[i] + times_p * p_wide.l[i] + carry;
        a->l[i] = i < LIMBS - 1 ? v & LIMB_MASK : v;
        carry = v >> STEPS;
    }
}

static void from_field(wide_t *out, const rdg_sm2_fe_t *in) {
    const uint64_t *a = in->l;
    const uint64_t l[LIMBS] = {a[0], a[0] >> 62 | a[1] << 2, a[1] >> 60 | a[2] << 4, a[2] >> 58 | a[3] << 6,
                               a[3] >> 56};
    for (int i = 0; i < LIMBS; i++) out->l[i] = (int64_t)l[i] & LIMB_MASK;
}

void rdg_sm2_fe_inv(rdg_sm2_fe_t *out, const rdg_sm2_fe_t *a) {
    static const rdg_sm2_fe_t r_cubed = {{0x1200000016u, 0xefffffff8u, 0xa0000000cu, 0x1b00000009u}};
    wide_t f = p_wide, g, d = {{0}}, e = {{1}}, f_was, d_was;
    int64_t delta = 1;
    matrix_t t;
    from_field(&g, a);
    while (!is_zero(&g)) {
        delta = find_steps(delta, (uint64_t)f.l[0] | (uint64_t)f.l[1] << STEPS,
                           (uint64_t)g.l[0] | (uint64_t)g.l[1] << STEPS, &t);
        f_was = f, d_was = d;
        combine(&f, t.u, &f, t.v, &g, 0);
        combine(&g, t.q, &f_was, t.r, &g, 0);
        combine_mod_p(&d, t.u, &d, t.v, &e);
        combine_mod_p(&e, t.q, &d_was, t.r, &e);
    }
    add_multiple(&d, f.l[LIMBS - 1] < 0 ? -1 : 1, 0);
    while (d.l[LIMBS - 1] < 0) add_multiple(&d, 1, 1);
    const uint64_t l[LIMBS] = {(uint64_t)d.l[0], (uint64_t)d.l[1], (uint64_t)d.l[2], (uint64_t)d.l[3],
                               (uint64_t)d.l[4]};
    const uint64_t plain[4] = {l[0] | l[1] << 62, l[1] >> 2 | l[2] << 60, l[2] >> 4 | l[3] << 58,
                               l[3] >> 6 | l[4] << 56};
    /* The inverse of a R is that of a over R: R^3 brings it back into Montgomery form. The value may be as
     * large as 2p here. */
    rdg_sm2_fe_t inverse;
    rdg_sm2_fe_reduce_once(&inverse, plain, l[4] >> 8);
    rdg_sm2_fe_mul(out, &inverse, &r_cubed);
}
