/* With d the private key, k a random number and x the abscissa of k G: r = e + x, s = (k - r d) / (1 + d), both modulo n.
 * Of a known signature (r', s') of e' by the same k: x = r' - e', s = s' + (r' - r) d / (1 + d). */
#include "quick_sign.h"
#include <string.h>
#include "block_build.h"
#include "ridge/base/assert.h"
#include "ridge/codec/rlp.h"
#include "sm2_digest.h"

#define MUST(expr) RDG_ASSERT((expr) == RDG_OK)
typedef rdg_sm2_scalar_t scalar_t;

static bool bit(const scalar_t *a, unsigned i) {
    return a->l[i / 64] >> (i % 64) & 1;
}

static scalar_t mul(const scalar_t *a, const scalar_t *b) {
    scalar_t sum = {{0}};
    for (unsigned i = 256; i-- > 0;) {
        rdg_sm2_scalar_add(&sum, &sum, &sum);
        if (bit(b, i)) rdg_sm2_scalar_add(&sum, &sum, a);
    }
    return sum;
}

/* a^(n - 2) */
static scalar_t inverse(const scalar_t *a) {
    scalar_t power = {{1}}, exponent;
    uint8_t bytes[32];
    memcpy(bytes, rdg_sm2_n, sizeof bytes);
    bytes[31] -= 2; /* n ends with 0x23 */
    (void)rdg_sm2_scalar_from_bytes(&exponent, bytes);
    for (unsigned i = 256; i-- > 0;) {
        power = mul(&power, &power);
        if (bit(&exponent, i)) power = mul(&power, a);
    }
    return power;
}

static void to_bytes(const scalar_t *a, uint8_t out[32]) {
    for (unsigned i = 0; i < 4; ++i) rdg_store_be64(out + 8 * i, a->l[3 - i]);
}

static scalar_t hash_of(const quick_signer_t *q, const rdg_hash_t *message) {
    scalar_t e;
    rdg_hash_t hash;
    rdg_sm2_e(&q->z, message->b, sizeof message->b, &hash);
    (void)rdg_sm2_scalar_from_bytes(&e, hash.b);
    return e;
}

static void seed(quick_signer_t *q, const rdg_sm2_key_t *key, unsigned i) {
    rdg_hash_t message = {{(uint8_t)i}};
    rdg_sm2_signature_t signature;
    MUST(rdg_sm2_sign_standard(key, message.b, sizeof message.b, &signature));
    RDG_ASSERT(rdg_sm2_scalar_from_bytes(&q->seeds[i].r, signature.b));
    RDG_ASSERT(rdg_sm2_scalar_from_bytes(&q->seeds[i].s, signature.b + 32));
    scalar_t e = hash_of(q, &message);
    rdg_sm2_scalar_sub(&q->seeds[i].x, &q->seeds[i].r, &e);
}

void quick_signer_init(quick_signer_t *q, uint8_t first) {
    uint8_t bytes[32] = {first};
    rdg_sm2_key_t *key = NULL;
    scalar_t d, above, one = {{1}};
    MUST(rdg_sm2_key_from_scalar(bytes, &key));
    rdg_sm2_key_public(key, &q->key);
    rdg_sm2_z(&q->key, &q->z);
    RDG_ASSERT(rdg_sm2_scalar_from_bytes(&d, bytes));
    rdg_sm2_scalar_add(&above, &d, &one);
    above = inverse(&above);
    q->powers[0] = mul(&d, &above);
    for (unsigned i = 1; i < 256; ++i)
        rdg_sm2_scalar_add(&q->powers[i], &q->powers[i - 1], &q->powers[i - 1]);
    for (unsigned i = 0; i < QUICK_SEEDS; ++i) seed(q, key, i);
    q->next = 0;
    rdg_sm2_key_free(key);
}

void quick_sign(quick_signer_t *q, const rdg_hash_t *message, rdg_sm2_signature_t *out) {
    scalar_t e = hash_of(q, message);
    do {
        unsigned i = q->next++ % QUICK_SEEDS;
        scalar_t r, s = q->seeds[i].s, less;
        rdg_sm2_scalar_add(&r, &e, &q->seeds[i].x);
        rdg_sm2_scalar_sub(&less, &q->seeds[i].r, &r);
        for (unsigned k = 0; k < 256; ++k)
            if (bit(&less, k)) rdg_sm2_scalar_add(&s, &s, &q->powers[k]);
        to_bytes(&r, out->b);
        to_bytes(&s, out->b + 32);
    } while (!rdg_sm2_low_s(out));
}

rdg_tx_t *quick_tx(quick_signer_t *q, const rdg_tx_fields_t *fields) {
    rdg_buf_t payload, wire;
    rdg_hash_t id;
    rdg_sm2_signature_t signature;
    rdg_tx_t *tx = NULL;
    rdg_buf_init(&payload, RDG_TX_BYTES_MAX), rdg_buf_init(&wire, RDG_TX_BYTES_MAX);
    tx_put_payload(fields, &q->key, &payload);
    MUST(rdg_buf_err(&payload));
    rdg_bytes_t view = rdg_buf_view(&payload);
    rdg_sm3_tagged(RDG_DOMAIN_TX, &view, 1, &id);
    quick_sign(q, &id, &signature);
    size_t list = rdg_rlp_list_begin(&wire);
    rdg_rlp_put_raw(&wire, view);
    rdg_rlp_put_bytes(&wire, rdg_bytes(signature.b, sizeof signature.b));
    MUST(rdg_rlp_list_end(&wire, list));
    MUST(rdg_tx_decode(rdg_buf_view(&wire), &tx));
    rdg_buf_fini(&payload), rdg_buf_fini(&wire);
    return tx;
}
