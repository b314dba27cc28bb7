/* ecrecover and alt_bn128: published vectors, the laws of groups and pairing, and what must be refused. */
#include "bn254_pairing.h"
#include "ridge/codec/hex.h"
#include "world.h"

#define GAS 1000000u

typedef struct bytes {
    uint8_t b[1024];
    size_t len;
} bytes_t;

static void append(bytes_t *to, const char *hex) {
    size_t len = strlen(hex) / 2;
    CHECK(to->len + len <= sizeof to->b);
    CHECK_OK(rdg_hex_decode(hex, 2 * len, to->b + to->len, len));
    to->len += len;
}

static rdg_evm_status_t call(world_t *w, uint64_t number, const bytes_t *in) {
    return world_call(w, world_sender(), address_of(number), rdg_bytes(in->b, in->len), GAS);
}

#define HASH "18c547e4f7b0f325ad1e56f57e26c745b09a3e503d86e00e5255ff7f715d3d1c"
#define R "73b1693892219d736caba55bdb67216e485557ea6b6af75f37096c9aa6a5a75f"
#define S "eeb940b1d03b21e36b0e47e79769f095fe2ab855bd91e3a38756b7d75a9c4549"
#define ZERO "0000000000000000000000000000000000000000000000000000000000000000"
#define V28 "000000000000000000000000000000000000000000000000000000000000001c"

TEST(ecrecover_finds_the_signer_or_gives_nothing) {
    static const char *const useless[] = {
        HASH ZERO R S,     /* v = 0 */
        HASH "01" V28 R S, /* shifted: v is huge */
        HASH V28 ZERO S,   /* r = 0 */
        HASH V28 R ZERO,   /* s = 0 */
        HASH V28 R "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", /* s = n */
        HASH V28, /* short: r and s read as zero */
    };
    static const uint8_t signer[20] = {0xa9, 0x4f, 0x53, 0x74, 0xfc, 0xe5, 0xed, 0xbc, 0x8e, 0x2a,
                                       0x86, 0x97, 0xc1, 0x53, 0x31, 0x67, 0x7e, 0x6e, 0xbf, 0x0b};
    world_t *w = world_new();
    bytes_t good = {0};
    append(&good, HASH V28 R S); /* s is high, which the precompile takes */
    CHECK_EQ(call(w, 1, &good), RDG_EVM_SUCCESS);
    CHECK_EQ(w->result.output.len, 32);
    CHECK_MEM(w->result.output.data + 12, signer, 20);
    CHECK_EQ(world_gas_used(w, GAS), 3000);
    for (size_t i = 0; i < sizeof useless / sizeof *useless; ++i) {
        bytes_t in = {0};
        append(&in, useless[i]);
        CHECK_EQ(call(w, 1, &in), RDG_EVM_SUCCESS);
        CHECK_EQ(w->result.output.len, 0);
    }
    world_free(w);
}

#define PRIME "30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47"
#define ORDER_LESS_1 "30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000000"
#define ORDER "30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001"
#define ONE "0000000000000000000000000000000000000000000000000000000000000001"
#define TWO "0000000000000000000000000000000000000000000000000000000000000002"
#define NEGATED_Y "30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd45"
#define G1 ONE TWO
#define INFINITY_1 ZERO ZERO
#define INFINITY_2 ZERO ZERO ZERO ZERO
#define G2                                                                                                   \
    "198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2"                                       \
    "1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed"                                       \
    "090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b"                                       \
    "12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa"
/* On the twist with x = 1, but of another order. */
#define STRAY                                                                                                \
    ZERO ONE "0d1271953ed9ea0836846e70a1934187998c7f790cb4d7511b7f8da82de048a4"                              \
             "2869111d5381f072f8e2728fdb825a51aadd70e52c9830e9ab4b871c0531f1bb"

static void check_g1(world_t *w, uint64_t number, const char *in, const char *want) {
    bytes_t input = {0}, output = {0};
    append(&input, in);
    append(&output, want);
    CHECK_EQ(call(w, number, &input), RDG_EVM_SUCCESS);
    CHECK_EQ(w->result.output.len, 64);
    CHECK_MEM(w->result.output.data, output.b, 64);
}

TEST(the_group_of_alt_bn128_adds_and_multiplies) {
    world_t *w = world_new();
    const char *two_g1 = "030644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd3"
                         "15ed738c0e0a7c92e7845f96b2ae9c0a68a6a449e3538fc7ff3ebf7a5a18a2c4";
    check_g1(w, 6, G1 G1, two_g1);
    CHECK_EQ(world_gas_used(w, GAS), 150);
    check_g1(w, 6, G1 ONE NEGATED_Y, INFINITY_1);
    check_g1(w, 6, G1 INFINITY_1, G1);
    check_g1(w, 6, INFINITY_1 G1, G1);
    check_g1(w, 6, "", INFINITY_1);
    check_g1(w, 6, G1, G1); /* what is missing is zero */
    check_g1(w, 7, G1 TWO, two_g1);
    CHECK_EQ(world_gas_used(w, GAS), 6000);
    check_g1(w, 7, G1 ZERO, INFINITY_1);
    check_g1(w, 7, G1 ORDER, INFINITY_1);
    check_g1(w, 7, G1 ORDER_LESS_1, ONE NEGATED_Y);
    check_g1(w, 7, INFINITY_1 TWO, INFINITY_1);
    world_free(w);
}

TEST(points_off_the_curve_or_out_of_range_are_refused) {
    static const struct {
        uint64_t number;
        const char *in;
    } bad[] = {
        {6, ONE ONE},          {6, G1 ZERO ONE},
        {6, PRIME ZERO},                                  /* 0 modulo p, but not in range */
        {7, ONE PRIME TWO},    {8, G1 ZERO ONE ZERO ONE}, /* not on the twist */
        {8, ONE ONE G2},       {8, G1 STRAY},
        {8, INFINITY_1 STRAY}, {8, G1 G2 "00"}, /* no whole pair */
        {8, PRIME ZERO G2},
    };
    world_t *w = world_new();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        bytes_t in = {0};
        append(&in, bad[i].in);
        CHECK_EQ(call(w, bad[i].number, &in), RDG_EVM_PRECOMPILE_FAILED);
        CHECK_EQ(w->result.gas_left, 0);
    }
    world_free(w);
}

static uint64_t pairing(world_t *w, const char *in) {
    bytes_t input = {0};
    append(&input, in);
    CHECK_EQ(call(w, 8, &input), RDG_EVM_SUCCESS);
    CHECK_EQ(world_gas_used(w, GAS), 45000 + 34000 * (input.len / 192));
    return world_output_u64(w);
}

TEST(the_pairing_check_holds_for_inverse_pairs_alone) {
    world_t *w = world_new();
    CHECK_EQ(pairing(w, ""), 1);
    CHECK_EQ(pairing(w, G1 INFINITY_2), 1);
    CHECK_EQ(pairing(w, INFINITY_1 G2), 1);
    CHECK_EQ(pairing(w, G1 G2), 0);
    CHECK_EQ(pairing(w, G1 G2 ONE NEGATED_Y G2), 1);
    CHECK_EQ(pairing(w, G1 G2 G1 G2), 0);
    /* A published vector: four different points. */
    CHECK_EQ(pairing(w, "1c76476f4def4bb94541d57ebba1193381ffa7aa76ada664dd31c16024c43f59"
                        "3034dd2920f673e204fee2811c678745fc819b55d3e9d294e45c9b03a76aef41"
                        "209dd15ebff5d46c4bd888e51a93cf99a7329636c63514396b4a452003a35bf7"
                        "04bf11ca01483bfa8b34b43561848d28905960114c8ac04049af4b6315a41678"
                        "2bb8324af6cfc93537a2ad1a445cfd0ca2a71acd7ac41fadbf933c2a51be344d"
                        "120a2a4cf30c1bf9845f20c6fe39e07ea2cce61f0c9bb048165fe5e4de877550"
                        "111e129f1cf1097710d41c4ac70fcdfa5ba2023c6ff1cbeac322de49d1b6df7c"
                        "2032c61a830e3c17286de9462bf242fca2883585b93870a73853face6a6bf411" G2),
             1);
    world_free(w);
}

/* e(aP, Q) e(-P, Q)^a = 1, with more pairs than one batch holds. */
TEST(the_pairing_is_linear) {
    world_t *w = world_new();
    bytes_t in = {0}, multiple = {0};
    rdg_buf_t all;
    rdg_buf_init(&all, 1u << 16);
    append(&in, G2);
    append(&multiple, G1 "000000000000000000000000000000000000000000000000000000000000000b");
    CHECK_EQ(call(w, 7, &multiple), RDG_EVM_SUCCESS);
    rdg_buf_append(&all, w->result.output.data, 64);
    rdg_buf_append(&all, in.b, 128);
    bytes_t negative = {0};
    append(&negative, ONE NEGATED_Y G2);
    for (unsigned i = 1; i <= 11; ++i) {
        rdg_buf_append(&all, negative.b, 192);
        CHECK_EQ(world_call(w, world_sender(), address_of(8), rdg_buf_view(&all), GAS), RDG_EVM_SUCCESS);
        CHECK_EQ(world_output_u64(w), i == 11);
    }
    rdg_buf_fini(&all);
    world_free(w);
}

static void random_fp(fp_t *out) {
    uint8_t b[32];
    do rdg_random_fill(rdg_test_random(), b, sizeof b);
    while (!fp_load(out, b));
}

static void random_fp12(fp12_t *f) {
    fp2_t *parts[] = {&f->a.a, &f->a.b, &f->a.c, &f->b.a, &f->b.b, &f->b.c};
    for (size_t i = 0; i < 6; ++i) random_fp(&parts[i]->a), random_fp(&parts[i]->b);
}

static void power_of_p(fp12_t *r, const fp12_t *f) {
    bytes_t p = {0};
    append(&p, PRIME);
    *r = FP12_ONE;
    for (size_t bit = 0; bit < 256; ++bit) {
        fp12_sqr(r, r);
        if ((p.b[bit / 8] >> (7 - bit % 8)) & 1) fp12_mul(r, r, f);
    }
}

TEST(the_tower_of_fields_keeps_its_laws) {
    for (int round = 0; round < 20; ++round) {
        fp12_t f, g, h, left, right;
        fp2_t x = {.a = FP_ONE}, y = x, z = x;
        random_fp12(&f), random_fp12(&g);
        fp12_mul(&left, &f, &f), fp12_sqr(&right, &f);
        CHECK_MEM(&left, &right, sizeof left);
        fp12_inv(&h, &f), fp12_mul(&h, &h, &f);
        CHECK(fp12_is_one(&h));
        power_of_p(&left, &f), fp12_frobenius(&right, &f);
        CHECK_MEM(&left, &right, sizeof left);
        fp12_frobenius(&left, &right), fp12_frobenius_2(&right, &f);
        CHECK_MEM(&left, &right, sizeof left);
        fp12_frobenius_2(&left, &right), fp12_frobenius_2(&left, &left), fp12_conj(&right, &f);
        CHECK_MEM(&left, &right, sizeof left);
        random_fp(&x.a), random_fp(&x.b), random_fp(&y.a), random_fp(&y.b), random_fp(&z.a), random_fp(&z.b);
        fp12_t line = {.a = {.a = x}, .b = {.a = y, .b = z}};
        fp12_mul(&left, &g, &line), fp12_mul_line(&right, &g, &x, &y, &z);
        CHECK_MEM(&left, &right, sizeof left);
    }
}
