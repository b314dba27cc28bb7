/* The 256-bit arithmetic against GMP. RIDGE_U256_ROUNDS: how many random operands (20,000). */
#include <gmp.h>
#include <stdlib.h>
#include "ridge/test.h"
#include "u256.h"

typedef struct operands {
    u256_t a, b, c;
    mpz_t za, zb, zc, modulus, half; /* modulus: 2^256 */
} operands_t;

/* Limbs near the borders are where carries and quotient digits go wrong. */
static uint64_t limb(void) {
    uint64_t v[2];
    rdg_random_fill(rdg_test_random(), v, sizeof v);
    unsigned bits = v[0] % 64;
    switch ((v[0] >> 8) % 8) {
    case 0: return 0;
    case 1: return UINT64_MAX;
    case 2: return UINT64_C(1) << bits;
    case 3: return (UINT64_C(1) << bits) - 1;
    case 4: return ~(UINT64_C(1) << bits);
    case 5: return v[1] >> bits;
    default: return v[1];
    }
}

static void draw(u256_t *out, mpz_t z) {
    uint8_t shape;
    rdg_random_fill(rdg_test_random(), &shape, sizeof shape);
    *out = (u256_t){{0}};
    for (unsigned i = 0; i <= shape % 4u; ++i) out->w[i] = limb();
    mpz_import(z, 4, -1, sizeof(uint64_t), 0, 0, out->w);
}

static void check(const char *what, const operands_t *o, u256_t got, const mpz_t want) {
    u256_t w = {{0}};
    mpz_t reduced;
    mpz_init(reduced);
    mpz_fdiv_r(reduced, want, o->modulus);
    mpz_export(w.w, NULL, -1, sizeof(uint64_t), 0, 0, reduced);
    mpz_clear(reduced);
    if (!u256_equal(&got, &w))
        rdg_test_fail(__FILE__, __LINE__, "%s of %016llx... and %016llx...", what,
                      (unsigned long long)o->a.w[3], (unsigned long long)o->b.w[3]);
}

static void to_signed(mpz_t out, const operands_t *o, const mpz_t z) {
    mpz_set(out, z);
    if (mpz_cmp(z, o->half) >= 0) mpz_sub(out, out, o->modulus);
}

static void check_sums(const operands_t *o, mpz_t t) {
    mpz_add(t, o->za, o->zb), check("sum", o, u256_add(&o->a, &o->b), t);
    mpz_sub(t, o->za, o->zb), check("difference", o, u256_sub(&o->a, &o->b), t);
    mpz_mul(t, o->za, o->zb), check("product", o, u256_mul(&o->a, &o->b), t);
    CHECK_EQ(u256_less(&o->a, &o->b), mpz_cmp(o->za, o->zb) < 0);
}

static void check_quotients(const operands_t *o, mpz_t t, mpz_t x, mpz_t y) {
    if (mpz_sgn(o->zb) == 0) return;
    mpz_tdiv_q(t, o->za, o->zb), check("quotient", o, u256_div(&o->a, &o->b), t);
    mpz_tdiv_r(t, o->za, o->zb), check("remainder", o, u256_mod(&o->a, &o->b), t);
    to_signed(x, o, o->za), to_signed(y, o, o->zb);
    mpz_tdiv_q(t, x, y), check("signed quotient", o, u256_sdiv(&o->a, &o->b), t);
    mpz_tdiv_r(t, x, y), check("signed remainder", o, u256_smod(&o->a, &o->b), t);
    CHECK_EQ(u256_signed_less(&o->a, &o->b), mpz_cmp(x, y) < 0);
}

static void check_modular(const operands_t *o, mpz_t t) {
    if (mpz_sgn(o->zc) == 0) return;
    mpz_add(t, o->za, o->zb), mpz_tdiv_r(t, t, o->zc),
        check("addmod", o, u256_addmod(&o->a, &o->b, &o->c), t);
    mpz_mul(t, o->za, o->zb), mpz_tdiv_r(t, t, o->zc),
        check("mulmod", o, u256_mulmod(&o->a, &o->b, &o->c), t);
}

static void check_shifts(const operands_t *o, mpz_t t, mpz_t x) {
    unsigned n = (unsigned)(o->b.w[0] % 300);
    u256_t shift = u256_from_u64(n);
    mpz_mul_2exp(t, o->za, n), check("shift left", o, u256_shl(&o->a, &shift), t);
    mpz_fdiv_q_2exp(t, o->za, n), check("shift right", o, u256_shr(&o->a, &shift), t);
    to_signed(x, o, o->za), mpz_fdiv_q_2exp(t, x, n), check("signed shift", o, u256_sar(&o->a, &shift), t);
    unsigned bits = 8 * (unsigned)(o->b.w[0] % 32) + 8;
    u256_t bytes = u256_from_u64(bits / 8 - 1);
    mpz_fdiv_r_2exp(t, o->za, bits);
    if (mpz_tstbit(t, bits - 1)) mpz_set_ui(x, 1), mpz_mul_2exp(x, x, bits), mpz_sub(t, t, x);
    check("sign extension", o, u256_sign_extend(&o->a, &bytes), t);
}

TEST(u256_computes_as_gmp_does) {
    const char *text = getenv("RIDGE_U256_ROUNDS");
    unsigned long rounds = text ? strtoul(text, NULL, 10) : 20000;
    operands_t o;
    mpz_t t, x, y;
    mpz_inits(o.za, o.zb, o.zc, o.modulus, o.half, t, x, y, NULL);
    mpz_ui_pow_ui(o.modulus, 2, 256), mpz_ui_pow_ui(o.half, 2, 255);
    for (unsigned long i = 0; i < rounds; ++i) {
        draw(&o.a, o.za), draw(&o.b, o.zb), draw(&o.c, o.zc);
        check_sums(&o, t);
        check_quotients(&o, t, x, y);
        check_modular(&o, t);
        check_shifts(&o, t, x);
        if (i % 16 == 0) mpz_powm(t, o.za, o.zb, o.modulus), check("power", &o, u256_exp(&o.a, &o.b), t);
    }
    mpz_clears(o.za, o.zb, o.zc, o.modulus, o.half, t, x, y, NULL);
}
