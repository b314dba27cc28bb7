#include "sm2_scalar.h"

#include <string.h>
#include "ridge/base/bytes.h"
#include "sm2_field.h"

static const uint64_t order[4] = {0x53bbf40939d54123u, 0x7203df6b21c6052bu, 0xffffffffffffffffu,
                                  0xfffffffeffffffffu};

static uint64_t sub_limbs(uint64_t out[4], const uint64_t a[4], const uint64_t b[4]) {
    uint64_t borrow = 0;
    for (int i = 0; i < 4; i++) out[i] = rdg_sub_borrow(a[i], b[i], &borrow);
    return borrow;
}

static uint64_t add_limbs(uint64_t out[4], const uint64_t a[4], const uint64_t b[4]) {
    uint64_t carry = 0;
    for (int i = 0; i < 4; i++) out[i] = rdg_add_carry(a[i], b[i], &carry);
    return carry;
}

bool rdg_sm2_scalar_from_bytes(rdg_sm2_scalar_t *out, const uint8_t be[32]) {
    uint64_t reduced[4];
    for (int i = 0; i < 4; i++) out->l[i] = rdg_load_be64(be + 24 - 8 * i);
    if (sub_limbs(reduced, out->l, order)) return true;
    memcpy(out->l, reduced, sizeof reduced);
    return false;
}

bool rdg_sm2_scalar_is_zero(const rdg_sm2_scalar_t *a) {
    return (a->l[0] | a->l[1] | a->l[2] | a->l[3]) == 0;
}

void rdg_sm2_scalar_add(rdg_sm2_scalar_t *out, const rdg_sm2_scalar_t *a, const rdg_sm2_scalar_t *b) {
    uint64_t sum[4], reduced[4];
    uint64_t carry = add_limbs(sum, a->l, b->l);
    uint64_t borrow = sub_limbs(reduced, sum, order);
    memcpy(out->l, carry || !borrow ? reduced : sum, sizeof sum);
}

void rdg_sm2_scalar_sub(rdg_sm2_scalar_t *out, const rdg_sm2_scalar_t *a, const rdg_sm2_scalar_t *b) {
    if (sub_limbs(out->l, a->l, b->l)) add_limbs(out->l, out->l, order);
}

bool rdg_sm2_scalar_plus_n(uint64_t out[4], const rdg_sm2_scalar_t *a) {
    static const uint64_t p[4] = {RDG_SM2_P0, RDG_SM2_P1, RDG_SM2_P2, RDG_SM2_P3};
    uint64_t ignored[4];
    return add_limbs(out, a->l, order) == 0 && sub_limbs(ignored, out, p) == 1;
}

void rdg_sm2_scalar_signed_bits(rdg_sm2_scalar_t *u, const rdg_sm2_scalar_t *a) {
    /* The digits sum to 2u - (2^256 - 1), so u = (a + 2^256 - 1) / 2 mod n. */
    static const rdg_sm2_scalar_t all_ones = {/* 2^256 - 1 - n */
                                              {0xac440bf6c62abedcu, 0x8dfc2094de39fad4u, 0, 0x100000000u}};
    rdg_sm2_scalar_add(u, a, &all_ones);
    uint64_t carry = u->l[0] & 1 ? add_limbs(u->l, u->l, order) : 0;
    for (int i = 0; i < 4; i++) u->l[i] = u->l[i] >> 1 | (i < 3 ? u->l[i + 1] : carry) << 63;
}

void rdg_sm2_scalar_wnaf5(int8_t digits[RDG_SM2_WNAF_DIGITS], const rdg_sm2_scalar_t *a) {
    memset(digits, 0, RDG_SM2_WNAF_DIGITS);
    const uint64_t l[5] = {a->l[0], a->l[1], a->l[2], a->l[3], 0};
    unsigned carry = 0;
    for (unsigned bit = 0; bit < RDG_SM2_WNAF_DIGITS;) {
        if ((l[bit / 64] >> bit % 64 & 1) == carry) { /* the present bit of what is left is 0 */
            bit++;
            continue;
        }
        unsigned shift = bit % 64;
        uint64_t window = l[bit / 64] >> shift;
        if (shift > 59 && bit / 64 < 4) window |= l[bit / 64 + 1] << (64 - shift);
        int digit = (int)(window & 31) + (int)carry;
        carry = digit >= 16;
        digits[bit] = (int8_t)(digit - (carry ? 32 : 0));
        bit += 5;
    }
}
