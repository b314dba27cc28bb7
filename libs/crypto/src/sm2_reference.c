#include "ridge/crypto/reference.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "sm2_der.h"
#include "sm2_key.h"

bool rdg_reference_sm2_on_curve(const rdg_sm2_public_t *pub) {
    EVP_PKEY *pkey = rdg_sm2_public_pkey(pub);
    EVP_PKEY_free(pkey);
    return pkey != NULL;
}

bool rdg_reference_sm2_verify(const rdg_sm2_public_t *pub, const void *msg, size_t len,
                              const rdg_sm2_signature_t *sig) {
    static const char id[] = "1234567812345678";
    uint8_t der[RDG_SM2_DER_MAX];
    size_t der_len = rdg_sm2_signature_to_der(sig, der);
    EVP_PKEY *pkey = rdg_sm2_public_pkey(pub);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *ctx = pkey ? EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL) : NULL;
    bool ok = false;
    if (md && ctx && EVP_PKEY_CTX_set1_id(ctx, id, (int)strlen(id)) == 1) {
        EVP_MD_CTX_set_pkey_ctx(md, ctx);
        ok = EVP_DigestVerifyInit(md, NULL, EVP_sm3(), NULL, pkey) == 1 &&
             EVP_DigestVerify(md, der, der_len, len ? msg : "", len) == 1;
    }
    EVP_MD_CTX_free(md);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return ok;
}
