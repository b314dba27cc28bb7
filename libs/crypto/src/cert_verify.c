#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "cert.h"

static rdg_err_t code_of(int reason) {
    switch (reason) {
    case X509_V_ERR_CERT_NOT_YET_VALID:
    case X509_V_ERR_CERT_HAS_EXPIRED: return RDG_E_EXPIRED;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_CHAIN_TOO_LONG:
    case X509_V_ERR_CERT_UNTRUSTED: return RDG_E_NOT_FOUND;
    case X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE: return RDG_E_BAD_SIGNATURE;
    case X509_V_ERR_INVALID_CA:
    case X509_V_ERR_INVALID_PURPOSE:
    case X509_V_ERR_PATH_LENGTH_EXCEEDED:
    case X509_V_ERR_KEYUSAGE_NO_CERTSIGN: return RDG_E_FORBIDDEN;
    case X509_V_ERR_OUT_OF_MEM: return RDG_E_NO_MEMORY;
    default: return RDG_E_MALFORMED;
    }
}

static rdg_err_t run(X509_STORE_CTX *ctx, X509_STORE *store, const rdg_cert_t *leaf, STACK_OF(X509) * others,
                     int64_t now_s) {
    if (!X509_STORE_CTX_init(ctx, store, leaf->x509, others))
        return rdg_fail(RDG_E_NO_MEMORY, "certificate chain: out of memory");
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(param, (time_t)now_s);
    X509_VERIFY_PARAM_set_depth(param, RDG_CERT_CHAIN_MAX - 2);
    if (X509_verify_cert(ctx) == 1) return RDG_OK;
    int reason = X509_STORE_CTX_get_error(ctx);
    char name[RDG_CERT_NAME_MAX] = "";
    X509 *at = X509_STORE_CTX_get_current_cert(ctx);
    if (at) rdg_cert_common_name_of(X509_get_subject_name(at), name, sizeof name);
    return rdg_fail(code_of(reason), "certificate '%s': %s", name, X509_verify_cert_error_string(reason));
}

static rdg_err_t verify_chain(const rdg_cert_t *leaf, const rdg_cert_t *const *others, size_t other_count,
                              const rdg_cert_t *const *roots, size_t root_count, int64_t now_s) {
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    STACK_OF(X509) *stack = sk_X509_new_null();
    bool ok = store && ctx && stack;
    for (size_t i = 0; ok && i < root_count; i++) ok = X509_STORE_add_cert(store, roots[i]->x509) == 1;
    for (size_t i = 0; ok && i < other_count; i++) ok = sk_X509_push(stack, others[i]->x509) > 0;
    rdg_err_t err = ok ? run(ctx, store, leaf, stack, now_s)
                       : rdg_fail(RDG_E_NO_MEMORY, "certificate chain: out of memory");
    sk_X509_free(stack);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    ERR_clear_error();
    return err;
}

rdg_err_t rdg_cert_verify(const rdg_cert_t *leaf, rdg_cert_use_t use, const rdg_cert_t *const *others,
                          size_t other_count, const rdg_cert_t *const *roots, size_t root_count,
                          int64_t now_s) {
    RDG_TRY(verify_chain(leaf, others, other_count, roots, root_count, now_s));
    if (rdg_cert_allows(leaf, use)) return RDG_OK;
    char name[RDG_CERT_NAME_MAX];
    rdg_cert_common_name(leaf, name, sizeof name);
    return rdg_fail(RDG_E_FORBIDDEN, "certificate '%s': its key usage does not allow %s", name,
                    use == RDG_CERT_SIGN ? "signing" : "encryption");
}

rdg_err_t rdg_cert_verify_ca(const rdg_cert_t *ca, const rdg_cert_t *const *others, size_t other_count,
                             const rdg_cert_t *const *roots, size_t root_count, int64_t now_s) {
    RDG_TRY(verify_chain(ca, others, other_count, roots, root_count, now_s));
    if (rdg_cert_may_issue(ca)) return RDG_OK;
    char name[RDG_CERT_NAME_MAX];
    rdg_cert_common_name(ca, name, sizeof name);
    return rdg_fail(RDG_E_FORBIDDEN,
                    "certificate '%s' is no CA, or its key usage does not allow to sign certificates and "
                    "revocation lists",
                    name);
}
