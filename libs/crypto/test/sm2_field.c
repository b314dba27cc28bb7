#include "sm2_field.h"

#include <openssl/bn.h>
#include "ridge/test.h"

static const char p_hex[] = "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF";

/* Random elements, with many limbs at their extremes, where carries go wrong. */
static void random_fe(rdg_sm2_fe_t *out) {
    static const uint64_t edges[] = {0,
                                     1,
                                     UINT64_MAX,
                                     UINT64_MAX - 1,
                                     0xffffffff00000000u,
                                     0xffffffffu,
                                     0xfffffffeffffffffu,
                                     0xfffffffefffffffeu,
                                     1ull << 32,
                                     1ull << 63};
    const rdg_random_t *random = rdg_test_random();
    do {
        for (int i = 0; i < 4; i++) {
            uint64_t pick = rdg_random_below(random, 20);
            out->l[i] = pick < 10 ? edges[pick] : rdg_random_u64(random);
        }
    } while (out->l[3] > RDG_SM2_P3 ||
             (out->l[3] == RDG_SM2_P3 && out->l[2] == RDG_SM2_P2 &&
              (out->l[1] > RDG_SM2_P1 || (out->l[1] == RDG_SM2_P1 && out->l[0] == RDG_SM2_P0))));
}

static BIGNUM *value(const rdg_sm2_fe_t *a) {
    uint8_t be[32];
    rdg_sm2_fe_to_bytes(a, be);
    return BN_bin2bn(be, 32, NULL);
}

static void check_value(const rdg_sm2_fe_t *got, const BIGNUM *want) {
    uint8_t a[32], b[32];
    rdg_sm2_fe_to_bytes(got, a);
    CHECK(BN_bn2binpad(want, b, 32) == 32);
    CHECK_MEM(a, b, 32);
}

TEST(sm2_field_agrees_with_libcrypto) {
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *p = NULL, *want = BN_new();
    BN_hex2bn(&p, p_hex);
    for (int i = 0; i < 5000; i++) {
        rdg_sm2_fe_t a, b, r;
        random_fe(&a);
        random_fe(&b);
        BIGNUM *x = value(&a), *y = value(&b);
        rdg_sm2_fe_mul(&r, &a, &b);
        BN_mod_mul(want, x, y, p, ctx);
        check_value(&r, want);
        rdg_sm2_fe_sqr(&r, &a);
        BN_mod_sqr(want, x, p, ctx);
        check_value(&r, want);
        rdg_sm2_fe_add(&r, &a, &b);
        BN_mod_add(want, x, y, p, ctx);
        check_value(&r, want);
        rdg_sm2_fe_sub(&r, &a, &b);
        BN_mod_sub(want, x, y, p, ctx);
        check_value(&r, want);
        if (i % 50 == 0 && !BN_is_zero(x)) {
            rdg_sm2_fe_inv(&r, &a);
            BN_mod_inverse(want, x, p, ctx);
            check_value(&r, want);
        }
        BN_free(x);
        BN_free(y);
    }
    BN_free(p);
    BN_free(want);
    BN_CTX_free(ctx);
}

TEST(sm2_field_portable_code_agrees_with_that_of_this_cpu) {
    for (int i = 0; i < 20000; i++) {
        rdg_sm2_fe_t a, b, r, s;
        random_fe(&a);
        random_fe(&b);
        if (i % 7 == 0) b = a;
        rdg_sm2_fe_mul(&r, &a, &b);
        rdg_sm2_fe_mul_portable(&s, &a, &b);
        CHECK_MEM(&r, &s, sizeof r);
        rdg_sm2_fe_sqr(&r, &a);
        rdg_sm2_fe_sqr_portable(&s, &a);
        CHECK_MEM(&r, &s, sizeof r);
        rdg_sm2_fe_add(&r, &a, &b);
        rdg_sm2_fe_add_portable(&s, &a, &b);
        CHECK_MEM(&r, &s, sizeof r);
        rdg_sm2_fe_sub(&r, &a, &b);
        rdg_sm2_fe_sub_portable(&s, &a, &b);
        CHECK_MEM(&r, &s, sizeof r);
        rdg_sm2_fe_mul(&a, &a, &a); /* in place */
        rdg_sm2_fe_sub(&b, &b, &b);
        CHECK(rdg_sm2_fe_is_zero(&b));
    }
}

TEST(sm2_field_refuses_values_not_below_p) {
    BIGNUM *p = NULL;
    uint8_t be[32];
    rdg_sm2_fe_t out;
    BN_hex2bn(&p, p_hex);
    BN_bn2binpad(p, be, 32);
    CHECK(!rdg_sm2_fe_from_bytes(&out, be));
    BN_sub_word(p, 1);
    BN_bn2binpad(p, be, 32);
    CHECK(rdg_sm2_fe_from_bytes(&out, be));
    uint8_t back[32];
    rdg_sm2_fe_to_bytes(&out, back);
    CHECK_MEM(be, back, 32);
    memset(be, 0xff, 32);
    CHECK(!rdg_sm2_fe_from_bytes(&out, be));
    BN_free(p);
}
