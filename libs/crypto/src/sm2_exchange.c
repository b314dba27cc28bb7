#include "ridge/crypto/sm2_exchange.h"

#include <openssl/err.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "sm2_curve.h"
#include "sm2_digest.h"
#include "sm2_key.h"

#define HALF_BYTES 16 /* w = 127: the half of x that counts is its last 127 bits, with bit 127 set */

static bool half_of_x(BIGNUM *out, const rdg_sm2_public_t *pub) {
    uint8_t half[HALF_BYTES];
    memcpy(half, pub->b + 32 - HALF_BYTES, sizeof half);
    half[0] |= 0x80;
    return BN_bin2bn(half, sizeof half, out) != NULL;
}

/* t = d + x̄·r mod n, a secret. libcrypto's modular product is not free of timing; r is new in each exchange,
 * so that what one run tells does not add up over many. */
static BIGNUM *secret_factor(const rdg_sm2_exchange_t *x, const BIGNUM *half, BN_CTX *ctx) {
    const BIGNUM *n = EC_GROUP_get0_order(rdg_sm2_group());
    BIGNUM *d = rdg_sm2_key_number(x->own_static), *r = rdg_sm2_key_number(x->own_ephemeral);
    BIGNUM *t = BN_secure_new();
    bool ok = d && r && t && BN_mod_mul(t, half, r, n, ctx) && BN_mod_add(t, t, d, n, ctx);
    BN_clear_free(d);
    BN_clear_free(r);
    if (!ok) {
        BN_clear_free(t);
        return NULL;
    }
    BN_set_flags(t, BN_FLG_CONSTTIME);
    return t;
}

/* U = t·(P + x̄·R) of the peer's keys; the factor h is 1 on this curve. */
static rdg_err_t shared_point(const rdg_sm2_exchange_t *x, uint8_t xy[64], BN_CTX *ctx) {
    const EC_GROUP *group = rdg_sm2_group();
    rdg_sm2_public_t own;
    rdg_sm2_key_public(x->own_ephemeral, &own);
    EC_POINT *p = rdg_sm2_curve_point(x->peer_static, ctx), *r = rdg_sm2_curve_point(x->peer_ephemeral, ctx);
    BIGNUM *own_half = BN_new(), *peer_half = BN_new(), *t = NULL;
    rdg_err_t err = RDG_OK;
    if (!p || !r)
        err = rdg_fail(RDG_E_INVALID, "SM2 key exchange: a key of the peer is not on the curve");
    else if (own_half && peer_half && half_of_x(own_half, &own) && half_of_x(peer_half, x->peer_ephemeral))
        t = secret_factor(x, own_half, ctx);
    if (err == RDG_OK && !(t && EC_POINT_mul(group, r, NULL, r, peer_half, ctx) &&
                           EC_POINT_add(group, p, p, r, ctx) && EC_POINT_mul(group, r, NULL, p, t, ctx)))
        err = rdg_crypto_fail("SM2 key exchange");
    if (err == RDG_OK && !rdg_sm2_curve_store(r, xy, ctx))
        err = rdg_fail(RDG_E_INVALID, "SM2 key exchange: the peer's keys cancel each other out");
    BN_clear_free(t);
    BN_free(own_half);
    BN_free(peer_half);
    EC_POINT_free(p);
    EC_POINT_clear_free(r);
    return err;
}

/* GB/T 32918.3, 5.4.3: SM3 of the input with a counter behind it, block after block. */
static void derive(uint8_t *out, size_t len, const rdg_bytes_t input[3]) {
    uint8_t counter[4];
    const rdg_bytes_t parts[] = {input[0], input[1], input[2], {counter, sizeof counter}};
    rdg_hash_t block;
    for (uint32_t i = 1; len > 0; i++) {
        rdg_store_be32(counter, i);
        rdg_sm3_parts(parts, 4, &block);
        size_t n = len < sizeof block.b ? len : sizeof block.b;
        memcpy(out, block.b, n);
        out += n, len -= n;
    }
    rdg_secure_zero(&block, sizeof block);
}

static void confirm(const uint8_t xy[64], const rdg_hash_t z[2], const rdg_sm2_public_t r[2],
                    rdg_sm2_confirmation_t *out) {
    rdg_hash_t inner;
    const rdg_bytes_t common[] = {{xy, 32},
                                  {z[0].b, sizeof z[0].b},
                                  {z[1].b, sizeof z[1].b},
                                  {r[0].b, sizeof r[0].b},
                                  {r[1].b, sizeof r[1].b}};
    rdg_sm3_parts(common, 5, &inner);
    for (uint8_t tag = 2; tag <= 3; tag++) {
        const rdg_bytes_t parts[] = {{&tag, 1}, {xy + 32, 32}, {inner.b, sizeof inner.b}};
        rdg_sm3_parts(parts, 3, tag == 2 ? &out->of_responder : &out->of_initiator);
    }
}

rdg_err_t rdg_sm2_exchange(const rdg_sm2_exchange_t *x, uint8_t *out, size_t len,
                           rdg_sm2_confirmation_t *confirmation) {
    RDG_ASSERT(len <= RDG_SM2_EXCHANGE_MAX);
    uint8_t xy[64];
    memset(out, 0, len);
    BN_CTX *ctx = BN_CTX_secure_new();
    rdg_err_t err = ctx && rdg_sm2_group() ? shared_point(x, xy, ctx)
                                           : rdg_fail(RDG_E_NO_MEMORY, "SM2 key exchange: out of memory");
    BN_CTX_free(ctx);
    ERR_clear_error();
    if (err != RDG_OK) return err;
    /* Everything is hashed in the order A, B. */
    rdg_hash_t z[2];
    rdg_sm2_public_t r[2];
    size_t own = x->initiator ? 0 : 1, peer = 1 - own;
    z[own] = x->own_static->z;
    rdg_sm2_z(x->peer_static, &z[peer]);
    rdg_sm2_key_public(x->own_ephemeral, &r[own]);
    r[peer] = *x->peer_ephemeral;
    const rdg_bytes_t input[] = {{xy, sizeof xy}, {z[0].b, sizeof z[0].b}, {z[1].b, sizeof z[1].b}};
    derive(out, len, input);
    if (confirmation) confirm(xy, z, r, confirmation);
    rdg_secure_zero(xy, sizeof xy);
    return RDG_OK;
}
