#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "cert.h"
#include "x509_sm2.h"

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

typedef struct chain {
    const rdg_cert_t *leaf, *const *others, *const *roots;
    size_t other_count, root_count;
    time_t now;
    rdg_cert_way_t *way;
} chain_t;

static const rdg_cert_t *cert_of(const chain_t *c, const X509 *x509) {
    if (c->leaf->x509 == x509) return c->leaf;
    for (size_t i = 0; i < c->other_count; i++)
        if (c->others[i]->x509 == x509) return c->others[i];
    for (size_t i = 0; i < c->root_count; i++)
        if (c->roots[i]->x509 == x509) return c->roots[i];
    return NULL;
}

static int time_wrong(const X509 *x509, time_t now) {
    int begins = X509_cmp_time(X509_get0_notBefore(x509), &now);
    int ends = X509_cmp_time(X509_get0_notAfter(x509), &now);
    if (begins == 0) return X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD;
    if (ends == 0) return X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD;
    if (begins > 0) return X509_V_ERR_CERT_NOT_YET_VALID;
    return ends < 0 ? X509_V_ERR_CERT_HAS_EXPIRED : X509_V_OK;
}

/* at: its place in the chain, from the leaf. */
static void note(rdg_cert_way_t *way, const rdg_cert_t *cert, int at) {
    int64_t from_s = rdg_cert_not_before_s(cert), until_s = rdg_cert_not_after_s(cert);
    if (at < RDG_CERT_CHAIN_MAX) way->cert[at] = cert;
    if (from_s > way->from_s) way->from_s = from_s;
    if (until_s < way->until_s) way->until_s = until_s;
}

/* In the place of libcrypto's own last step, which verifies SM2 signatures a sixth as fast: the chain that it
 * built and whose extensions it checked, from the root (trusted as it is) to the leaf. */
static int verify_links(X509_STORE_CTX *ctx) {
    const chain_t *c = X509_STORE_CTX_get_app_data(ctx);
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    const rdg_cert_t *issuer = NULL;
    c->way->count = (size_t)sk_X509_num(chain);
    if (c->way->count > RDG_CERT_CHAIN_MAX) return 0; /* the depth is limited, so it is not */
    for (int at = sk_X509_num(chain) - 1; at >= 0; at--) {
        X509 *x509 = sk_X509_value(chain, at);
        const rdg_cert_t *cert = cert_of(c, x509);
        int wrong = cert ? time_wrong(x509, c->now) : X509_V_ERR_UNSPECIFIED;
        if (cert && issuer && rdg_x509_verify(rdg_cert_der(cert), &issuer->public_key) != RDG_OK)
            wrong = X509_V_ERR_CERT_SIGNATURE_FAILURE;
        if (wrong != X509_V_OK) {
            X509_STORE_CTX_set_error_depth(ctx, at);
            X509_STORE_CTX_set_current_cert(ctx, x509);
            X509_STORE_CTX_set_error(ctx, wrong);
            return 0;
        }
        note(c->way, cert, at);
        issuer = cert;
    }
    return 1;
}

static rdg_err_t run(X509_STORE_CTX *ctx, X509_STORE *store, chain_t *c, STACK_OF(X509) * others) {
    if (!X509_STORE_CTX_init(ctx, store, c->leaf->x509, others) || !X509_STORE_CTX_set_app_data(ctx, c))
        return rdg_fail(RDG_E_NO_MEMORY, "certificate chain: out of memory");
    X509_STORE_CTX_set_verify(ctx, verify_links);
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(param, c->now);
    X509_VERIFY_PARAM_set_depth(param, RDG_CERT_CHAIN_MAX - 2);
    if (X509_verify_cert(ctx) == 1) return RDG_OK;
    int reason = X509_STORE_CTX_get_error(ctx);
    char name[RDG_CERT_NAME_MAX] = "";
    X509 *at = X509_STORE_CTX_get_current_cert(ctx);
    if (at) rdg_cert_common_name_of(X509_get_subject_name(at), name, sizeof name);
    return rdg_fail(code_of(reason), "certificate '%s': %s", name, X509_verify_cert_error_string(reason));
}

rdg_err_t rdg_cert_find_way(const rdg_cert_t *leaf, const rdg_cert_t *const *others, size_t other_count,
                            const rdg_cert_t *const *roots, size_t root_count, int64_t now_s,
                            rdg_cert_way_t *way) {
    chain_t c = {leaf, others, roots, other_count, root_count, (time_t)now_s, way};
    way->count = 0, way->from_s = INT64_MIN, way->until_s = INT64_MAX;
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    STACK_OF(X509) *stack = sk_X509_new_null();
    bool ok = store && ctx && stack;
    for (size_t i = 0; ok && i < root_count; i++) ok = X509_STORE_add_cert(store, roots[i]->x509) == 1;
    for (size_t i = 0; ok && i < other_count; i++) ok = sk_X509_push(stack, others[i]->x509) > 0;
    rdg_err_t err =
        ok ? run(ctx, store, &c, stack) : rdg_fail(RDG_E_NO_MEMORY, "certificate chain: out of memory");
    sk_X509_free(stack);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    ERR_clear_error();
    return err;
}

rdg_err_t rdg_cert_check_use(const rdg_cert_t *leaf, rdg_cert_use_t use) {
    if (rdg_cert_allows(leaf, use)) return RDG_OK;
    char name[RDG_CERT_NAME_MAX];
    rdg_cert_common_name(leaf, name, sizeof name);
    return rdg_fail(RDG_E_FORBIDDEN, "certificate '%s': its key usage does not allow %s", name,
                    use == RDG_CERT_SIGN ? "signing" : "encryption");
}

rdg_err_t rdg_cert_verify(const rdg_cert_t *leaf, rdg_cert_use_t use, const rdg_cert_t *const *others,
                          size_t other_count, const rdg_cert_t *const *roots, size_t root_count,
                          int64_t now_s) {
    rdg_cert_way_t way;
    RDG_TRY(rdg_cert_find_way(leaf, others, other_count, roots, root_count, now_s, &way));
    return rdg_cert_check_use(leaf, use);
}

rdg_err_t rdg_cert_verify_ca(const rdg_cert_t *ca, const rdg_cert_t *const *others, size_t other_count,
                             const rdg_cert_t *const *roots, size_t root_count, int64_t now_s) {
    rdg_cert_way_t way;
    RDG_TRY(rdg_cert_find_way(ca, others, other_count, roots, root_count, now_s, &way));
    if (rdg_cert_may_issue(ca)) return RDG_OK;
    char name[RDG_CERT_NAME_MAX];
    rdg_cert_common_name(ca, name, sizeof name);
    return rdg_fail(RDG_E_FORBIDDEN,
                    "certificate '%s' is no CA, or its key usage does not allow to sign certificates and "
                    "revocation lists",
                    name);
}
