#include "sm2_curve.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <pthread.h>
#include "ridge/base/alloc.h"
#include "sm2_key.h"

static EC_GROUP *sm2_group;

static void make_group(void) {
    sm2_group = EC_GROUP_new_by_curve_name(NID_sm2);
}

const EC_GROUP *rdg_sm2_group(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_group);
    return sm2_group;
}

EC_POINT *rdg_sm2_curve_point(const rdg_sm2_public_t *pub, BN_CTX *ctx) {
    const EC_GROUP *group = rdg_sm2_group();
    EC_POINT *point = group ? EC_POINT_new(group) : NULL;
    uint8_t octets[1 + sizeof pub->b] = {POINT_CONVERSION_UNCOMPRESSED};
    for (size_t i = 0; i < sizeof pub->b; i++) octets[1 + i] = pub->b[i];
    if (point && EC_POINT_oct2point(group, point, octets, sizeof octets, ctx) == 1) return point;
    EC_POINT_free(point);
    return NULL;
}

bool rdg_sm2_curve_store(const EC_POINT *point, uint8_t xy[64], BN_CTX *ctx) {
    uint8_t octets[65];
    bool ok = EC_POINT_point2oct(rdg_sm2_group(), point, POINT_CONVERSION_UNCOMPRESSED, octets, sizeof octets,
                                 ctx) == sizeof octets;
    for (size_t i = 0; ok && i < 64; i++) xy[i] = octets[1 + i];
    rdg_secure_zero(octets, sizeof octets);
    return ok;
}

BIGNUM *rdg_sm2_key_number(const rdg_sm2_key_t *key) {
    BIGNUM *d = BN_secure_new();
    if (!d || EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_PRIV_KEY, &d) != 1) {
        BN_clear_free(d);
        return NULL;
    }
    BN_set_flags(d, BN_FLG_CONSTTIME);
    return d;
}
