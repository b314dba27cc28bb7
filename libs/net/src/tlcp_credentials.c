#include "ridge/net/tlcp_credentials.h"

static rdg_err_t accept_peer(void *ctx, const rdg_cert_t *peer_sign, const rdg_cert_t *peer_enc) {
    RDG_TRY(rdg_credentials_accept(ctx, peer_sign));
    return peer_enc ? rdg_credentials_accept(ctx, peer_enc) : RDG_OK;
}

static void free_ctx(void *ctx) {
    rdg_credentials_free(ctx);
}

static rdg_cert_t *share(const rdg_cert_t *cert) {
    return rdg_cert_ref((rdg_cert_t *)(uintptr_t)cert);
}

rdg_err_t rdg_tlcp_identity_of(rdg_credentials_t *c, size_t sessions_max, rdg_tlcp_identity_t **out) {
    rdg_tlcp_parts_t parts = {.sign_key = c->sign_key,
                              .enc_key = c->enc_key,
                              .sign_cert = rdg_cert_ref(c->sign_cert),
                              .enc_cert = rdg_cert_ref(c->enc_cert),
                              .chain_count = c->chain_count,
                              .root_count = c->root_count,
                              .sessions_max = sessions_max};
    rdg_tlcp_identity_t *base = NULL;
    c->sign_key = c->enc_key = NULL;
    for (size_t i = 0; i < c->chain_count; ++i) parts.chain[i] = share(c->chain[i]);
    for (size_t i = 0; i < c->root_count; ++i) parts.roots[i] = share(c->roots[i]);
    *out = NULL;
    rdg_err_t err = rdg_tlcp_identity_new(&parts, &base);
    if (err != RDG_OK) {
        rdg_credentials_free(c);
        return err;
    }
    const rdg_tlcp_rule_t rule = {accept_peer, c, free_ctx};
    err = rdg_tlcp_identity_with_rule(base, &rule, out);
    rdg_tlcp_identity_unref(base);
    return err;
}

rdg_err_t rdg_tlcp_identity_load(const char *dir, const char *prefix, rdg_tlcp_identity_t **out) {
    rdg_credentials_t *c = NULL;
    RDG_TRY(rdg_credentials_load(dir, prefix, &c));
    return rdg_fail_in(rdg_tlcp_identity_of(c, 0, out), "the credentials in %s", dir);
}

_Static_assert(RDG_CERT_CHAIN_MAX <= RDG_TLCP_CERTS_MAX - 2, "a chain fits into a Certificate message");
_Static_assert(RDG_CREDENTIALS_ROOTS_MAX <= RDG_TLCP_ROOTS_MAX, "all roots fit into an identity");
