#include "sm2_key.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/secret.h"
#include "sm2_digest.h"

#define POINT_BYTES 65 /* 0x04, X, Y */

rdg_err_t rdg_crypto_fail(const char *what) {
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    rdg_err_t err = rdg_fail(RDG_E_CRYPTO, "%s: libcrypto: %s", what, reason ? reason : "unknown reason");
    ERR_clear_error();
    return err;
}

rdg_err_t rdg_sm2_key_wrap(EVP_PKEY *pkey, rdg_sm2_key_t **out) {
    *out = NULL;
    rdg_sm2_key_t *key = rdg_alloc(sizeof *key);
    if (!key) {
        EVP_PKEY_free(pkey);
        return rdg_fail(RDG_E_NO_MEMORY, "SM2 key: out of memory");
    }
    key->pkey = pkey;
    uint8_t point[POINT_BYTES];
    size_t len = 0;
    if (!EVP_PKEY_is_a(pkey, "SM2") ||
        !EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &len) ||
        len != POINT_BYTES || point[0] != 0x04) {
        rdg_sm2_key_free(key);
        ERR_clear_error();
        return rdg_fail(RDG_E_CRYPTO, "not an SM2 private key");
    }
    RDG_PUBLIC(point, sizeof point);
    memcpy(key->public_key.b, point + 1, sizeof key->public_key.b);
    rdg_sm2_z(&key->public_key, &key->z);
    *out = key;
    return RDG_OK;
}

rdg_err_t rdg_sm2_key_generate(rdg_sm2_key_t **out) {
    *out = NULL;
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "SM2");
    if (!pkey) return rdg_crypto_fail("SM2 key generation");
    return rdg_sm2_key_wrap(pkey, out);
}

/* point = d·G; false also when d is out of [1, n-2] (d = n-1 makes 1 + d vanish in signing). */
static bool scalar_point(const BIGNUM *d, uint8_t point[POINT_BYTES]) {
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_sm2);
    EC_POINT *p = group ? EC_POINT_new(group) : NULL;
    BIGNUM *top = group ? BN_dup(EC_GROUP_get0_order(group)) : NULL;
    bool ok =
        p && top && BN_sub_word(top, 2) && !BN_is_zero(d) && BN_cmp(d, top) <= 0 &&
        EC_POINT_mul(group, p, d, NULL, NULL, NULL) &&
        EC_POINT_point2oct(group, p, POINT_CONVERSION_UNCOMPRESSED, point, POINT_BYTES, NULL) == POINT_BYTES;
    BN_free(top);
    EC_POINT_free(p);
    EC_GROUP_free(group);
    return ok;
}

static EVP_PKEY *pkey_from(const BIGNUM *d, const uint8_t point[POINT_BYTES]) {
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *params = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "SM2", NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    if (ctx && build && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "SM2", 0) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, d) &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, POINT_BYTES) &&
        (params = OSSL_PARAM_BLD_to_param(build)) != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEYPAIR, params) != 1)
        pkey = NULL;
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(ctx);
    return pkey;
}

rdg_err_t rdg_sm2_key_from_scalar(const uint8_t scalar[32], rdg_sm2_key_t **out) {
    *out = NULL;
    BIGNUM *d = BN_secure_new();
    uint8_t point[POINT_BYTES];
    if (!d || !BN_bin2bn(scalar, 32, d)) {
        BN_clear_free(d);
        return rdg_fail(RDG_E_NO_MEMORY, "SM2 key: out of memory");
    }
    BN_set_flags(d, BN_FLG_CONSTTIME);
    if (!scalar_point(d, point)) {
        BN_clear_free(d);
        ERR_clear_error();
        return rdg_fail(RDG_E_INVALID, "SM2 key: the scalar is not in [1, n-2]");
    }
    EVP_PKEY *pkey = pkey_from(d, point);
    BN_clear_free(d);
    if (!pkey) return rdg_crypto_fail("SM2 key from a scalar");
    return rdg_sm2_key_wrap(pkey, out);
}

void rdg_sm2_key_free(rdg_sm2_key_t *key) {
    if (!key) return;
    EVP_PKEY_free(key->pkey);
    rdg_free(key);
}

void rdg_sm2_key_public(const rdg_sm2_key_t *key, rdg_sm2_public_t *out) {
    *out = key->public_key;
}

rdg_err_t rdg_sm2_key_scalar(const rdg_sm2_key_t *key, uint8_t out[32]) {
    BIGNUM *d = BN_secure_new();
    bool ok = d && EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_PRIV_KEY, &d) == 1 &&
              BN_bn2binpad(d, out, 32) == 32;
    BN_clear_free(d);
    return ok ? RDG_OK : rdg_crypto_fail("SM2 key");
}

EVP_PKEY *rdg_sm2_public_pkey(const rdg_sm2_public_t *pub) {
    uint8_t point[POINT_BYTES] = {0x04};
    memcpy(point + 1, pub->b, sizeof pub->b);
    char group[] = "SM2";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
                           OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point),
                           OSSL_PARAM_construct_end()};
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "SM2", NULL);
    if (ctx && EVP_PKEY_fromdata_init(ctx) == 1) EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params);
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    return pkey;
}
