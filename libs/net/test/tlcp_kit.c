#include "tlcp_kit.h"
#include <time.h>

static rdg_cert_t *issue(const tlcp_kit_t *k, rdg_cert_kind_t kind, const char *name,
                         const rdg_sm2_key_t *key, int64_t life_s) {
    rdg_sm2_public_t pub;
    rdg_cert_t *cert = NULL;
    int64_t since = (int64_t)time(NULL) - 3600;
    rdg_sm2_key_public(key, &pub);
    rdg_cert_order_t order = {kind,        name,  &pub,          kind == RDG_CERT_KIND_ROOT ? NULL : k->root,
                              k->root_key, since, since + life_s};
    CHECK_OK(rdg_cert_issue(&order, &cert));
    return cert;
}

void tlcp_kit_make(tlcp_kit_t *k) {
    CHECK_OK(rdg_sm2_key_generate(&k->root_key));
    k->root = issue(k, RDG_CERT_KIND_ROOT, "root", k->root_key, 1000000);
}

void tlcp_kit_free(tlcp_kit_t *k) {
    rdg_cert_free(k->root);
    rdg_sm2_key_free(k->root_key);
}

static rdg_tlcp_identity_t *make(const tlcp_kit_t *k, const char *name, int64_t life_s,
                                 rdg_tlcp_parts_t parts) {
    rdg_tlcp_identity_t *identity = NULL;
    parts.root_count = 1, parts.roots[0] = rdg_cert_ref(k->root);
    CHECK_OK(rdg_sm2_key_generate(&parts.sign_key));
    CHECK_OK(rdg_sm2_key_generate(&parts.enc_key));
    parts.sign_cert = issue(k, RDG_CERT_KIND_SIGN, name, parts.sign_key, life_s);
    parts.enc_cert = issue(k, RDG_CERT_KIND_ENCRYPT, name, parts.enc_key, life_s);
    CHECK_OK(rdg_tlcp_identity_new(&parts, &identity));
    return identity;
}

rdg_tlcp_identity_t *tlcp_kit_identity(const tlcp_kit_t *k, const char *name, int64_t life_s) {
    return make(k, name, life_s, (rdg_tlcp_parts_t){0});
}

rdg_tlcp_identity_t *tlcp_kit_identity_keeping(const tlcp_kit_t *k, const char *name, int64_t life_s,
                                               size_t sessions) {
    return make(k, name, life_s, (rdg_tlcp_parts_t){.sessions_max = sessions});
}

rdg_tlcp_identity_t *tlcp_kit_identity_with_root(const tlcp_kit_t *k, const char *name, int64_t life_s) {
    return make(k, name, life_s, (rdg_tlcp_parts_t){.chain_count = 1, .chain = {rdg_cert_ref(k->root)}});
}

rdg_tlcp_identity_t *tlcp_kit_bare(const tlcp_kit_t *k) {
    rdg_tlcp_parts_t parts = {.root_count = 1, .roots = {rdg_cert_ref(k->root)}};
    rdg_tlcp_identity_t *identity = NULL;
    CHECK_OK(rdg_tlcp_identity_new(&parts, &identity));
    return identity;
}

static void stop(void *loop) {
    rdg_loop_stop(loop);
}

void tlcp_kit_turn(rdg_loop_t *l) {
    CHECK_OK(rdg_loop_post(l, stop, l));
    CHECK_OK(rdg_loop_run(l));
}
