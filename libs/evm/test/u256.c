/* The 256-bit arithmetic against a reference that works bit by bit. */
#include "u256.h"
#include "ridge/test.h"

#define ROUNDS 20000
#define WIDE 9

typedef struct wide {
    uint64_t w[WIDE];
} wide_t;

/* Limbs near the borders are where carries and quotient digits go wrong. */
static uint64_t limb(void) {
    static const uint64_t edges[] = {
        0, 1, 2, UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63, (UINT64_C(1) << 63) - 1, 1u << 31};
    uint8_t pick;
    uint64_t v;
    rdg_random_fill(rdg_test_random(), &pick, sizeof pick);
    rdg_random_fill(rdg_test_random(), &v, sizeof v);
    if (pick < 112) return edges[pick % 8];
    return pick < 140 ? v >> (pick % 64) : v;
}

static u256_t random_word(void) {
    uint8_t limbs;
    rdg_random_fill(rdg_test_random(), &limbs, sizeof limbs);
    u256_t a = {{0}};
    for (unsigned i = 0; i <= limbs % 4u; ++i) a.w[i] = limb();
    return a;
}

static wide_t widen(const u256_t *a) {
    wide_t r = {{a->w[0], a->w[1], a->w[2], a->w[3]}};
    return r;
}

static void wide_double(wide_t *a, unsigned in) {
    for (int i = 0; i < WIDE; ++i) {
        unsigned out = (unsigned)(a->w[i] >> 63);
        a->w[i] = (a->w[i] << 1) | in;
        in = out;
    }
}

static void wide_add(wide_t *a, const wide_t *b) {
    uint64_t carry = 0;
    for (int i = 0; i < WIDE; ++i) a->w[i] = u256_addc(a->w[i], b->w[i], &carry);
}

static bool wide_subtract(wide_t *a, const wide_t *b) {
    wide_t r;
    uint64_t borrow = 0;
    for (int i = 0; i < WIDE; ++i) r.w[i] = u256_subb(a->w[i], b->w[i], &borrow);
    if (!borrow) *a = r;
    return !borrow;
}

static wide_t slow_mul(const u256_t *a, const u256_t *b) {
    wide_t r = {{0}}, x = widen(a);
    for (int bit = 255; bit >= 0; --bit) {
        wide_double(&r, 0);
        if ((b->w[bit / 64] >> (bit % 64)) & 1) wide_add(&r, &x);
    }
    return r;
}

static wide_t slow_mod(const wide_t *a, const u256_t *m, wide_t *quotient) {
    wide_t r = {{0}}, x = widen(m);
    *quotient = (wide_t){{0}};
    for (int bit = 64 * WIDE - 1; bit >= 0; --bit) {
        wide_double(&r, (unsigned)(a->w[bit / 64] >> (bit % 64)) & 1);
        wide_double(quotient, wide_subtract(&r, &x));
    }
    return r;
}

static void check_low(const u256_t *got, const wide_t *want) {
    CHECK_MEM(got->w, want->w, sizeof got->w);
}

TEST(u256_multiplies_as_the_reference) {
    for (int i = 0; i < ROUNDS / 4; ++i) {
        u256_t a = random_word(), b = random_word(), got = u256_mul(&a, &b);
        wide_t want = slow_mul(&a, &b);
        check_low(&got, &want);
    }
}

TEST(u256_divides_as_the_reference) {
    for (int i = 0; i < ROUNDS; ++i) {
        u256_t a = random_word(), b = random_word();
        if (u256_is_zero(&b)) continue;
        wide_t quotient, x = widen(&a), rest = slow_mod(&x, &b, &quotient);
        u256_t q = u256_div(&a, &b), r = u256_mod(&a, &b);
        check_low(&q, &quotient);
        check_low(&r, &rest);
    }
}

TEST(u256_reduces_sums_and_products_of_full_width) {
    for (int i = 0; i < ROUNDS / 4; ++i) {
        u256_t a = random_word(), b = random_word(), m = random_word();
        if (u256_is_zero(&m)) continue;
        wide_t quotient, product = slow_mul(&a, &b), sum = widen(&a), y = widen(&b);
        wide_add(&sum, &y);
        wide_t rest = slow_mod(&product, &m, &quotient);
        u256_t got = u256_mulmod(&a, &b, &m);
        check_low(&got, &rest);
        rest = slow_mod(&sum, &m, &quotient);
        got = u256_addmod(&a, &b, &m);
        check_low(&got, &rest);
    }
}

TEST(u256_divides_with_signs) {
    for (int i = 0; i < ROUNDS; ++i) {
        u256_t a = random_word(), b = random_word();
        if (u256_is_zero(&b)) continue;
        u256_t q = u256_sdiv(&a, &b), r = u256_smod(&a, &b), back = u256_mul(&q, &b);
        back = u256_add(&back, &r);
        CHECK(u256_equal(&back, &a)); /* also for -2^255 / -1, modulo 2^256 */
        CHECK(u256_is_zero(&r) || u256_negative(&r) == u256_negative(&a));
    }
    u256_t least = {{0, 0, 0, UINT64_C(1) << 63}},
           minus_one = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    u256_t q = u256_sdiv(&least, &minus_one);
    CHECK(u256_equal(&q, &least));
}

TEST(u256_divides_by_itself_and_by_what_is_larger) {
    for (unsigned bit = 1; bit < 256; ++bit) {
        u256_t one = u256_from_u64(1), b = {{0}}, less;
        b.w[bit / 64] = 1ull << bit % 64;
        less = u256_sub(&b, &one);
        u256_t q = u256_div(&b, &b), r = u256_mod(&b, &b), q_less = u256_div(&less, &b),
               r_less = u256_mod(&less, &b);
        CHECK(u256_equal(&q, &one) && u256_is_zero(&r));
        CHECK(u256_is_zero(&q_less) && u256_equal(&r_less, &less));
        q = u256_div(&b, &less), r = u256_mod(&b, &less);
        CHECK(bit == 1 ? q.w[0] == 2 && u256_is_zero(&r) : u256_equal(&q, &one) && u256_equal(&r, &one));
    }
}

TEST(u256_gives_zero_for_a_zero_divisor) {
    u256_t a = {{5, 6, 7, 8}}, zero = {{0}}, r;
    r = u256_div(&a, &zero), CHECK(u256_is_zero(&r));
    r = u256_mod(&a, &zero), CHECK(u256_is_zero(&r));
    r = u256_sdiv(&a, &zero), CHECK(u256_is_zero(&r));
    r = u256_smod(&a, &zero), CHECK(u256_is_zero(&r));
    r = u256_addmod(&a, &a, &zero), CHECK(u256_is_zero(&r));
    r = u256_mulmod(&a, &a, &zero), CHECK(u256_is_zero(&r));
}

TEST(u256_shifts_as_multiplication_and_division_by_powers_of_two) {
    const u256_t one = u256_from_u64(1), zero = {{0}};
    for (unsigned n = 0; n < 300; ++n) {
        u256_t a = random_word(), by = u256_from_u64(n), power = u256_shl(&one, &by);
        u256_t left = u256_shl(&a, &by), right = u256_shr(&a, &by);
        u256_t product = u256_mul(&a, &power), quotient = n < 256 ? u256_div(&a, &power) : zero;
        CHECK(u256_equal(&left, &product));
        CHECK(u256_equal(&right, &quotient));
        /* Arithmetic shift: floor division, which is ~(~a >> n) for negative numbers. */
        u256_t flipped = u256_sub(&zero, &one);
        flipped = u256_sub(&flipped, &a);
        u256_t want = u256_shr(u256_negative(&a) ? &flipped : &a, &by), ones = u256_sub(&zero, &one);
        if (u256_negative(&a)) want = u256_sub(&ones, &want);
        u256_t got = u256_sar(&a, &by);
        CHECK(u256_equal(&got, &want));
    }
    u256_t huge = {{1, 0, 1, 0}}, a = random_word(), r = u256_shl(&a, &huge);
    CHECK(u256_is_zero(&r));
}

TEST(u256_raises_to_powers) {
    u256_t base = u256_from_u64(3), want = u256_from_u64(1);
    for (uint64_t e = 0; e < 400; ++e) {
        u256_t exponent = u256_from_u64(e), got = u256_exp(&base, &exponent);
        CHECK(u256_equal(&got, &want));
        want = u256_mul(&want, &base);
    }
    u256_t big = {{0, 0, 0, 1}}, r = u256_exp(&base, &big), two = u256_from_u64(2),
           square = u256_exp(&big, &two);
    CHECK(r.w[0] % 2 == 1);
    CHECK(u256_is_zero(&square));
}

TEST(u256_extends_signs_and_picks_bytes) {
    for (unsigned size = 0; size < 34; ++size) {
        u256_t a = random_word(), k = u256_from_u64(size), got = u256_sign_extend(&a, &k), want = a;
        if (size < 31) {
            u256_t up = u256_from_u64(8 * (31 - size));
            want = u256_shl(&a, &up);
            want = u256_sar(&want, &up);
        }
        CHECK(u256_equal(&got, &want));
        uint8_t bytes[32];
        u256_store(bytes, &a);
        got = u256_byte(&a, &k);
        CHECK(u256_fits_u64(&got) && got.w[0] == (size < 32 ? bytes[size] : 0));
        u256_t back = u256_load(bytes);
        CHECK(u256_equal(&back, &a));
    }
}

TEST(u256_orders_with_and_without_sign) {
    const u256_t one = u256_from_u64(1), minus_one = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    CHECK(u256_less(&one, &minus_one) && !u256_less(&minus_one, &one) && !u256_less(&one, &one));
    CHECK(u256_signed_less(&minus_one, &one) && !u256_signed_less(&one, &minus_one));
}
