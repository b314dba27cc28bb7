#include "ridge/net/tlcp_identity.h"
#include "ridge/base/alloc.h"
#include "ridge/crypto/cert_cache.h"
#include "ridge/tlcp/sessions.h"
#include <stdatomic.h>
#include <string.h>

#define KNOWN_MAX 512 /* certificates of peers, some 8 KiB each, that are not verified again at each link */

struct rdg_tlcp_identity {
    atomic_uint refs;
    rdg_tlcp_identity_t *base; /* whose parts these are, if not our own */
    rdg_tlcp_parts_t parts;
    rdg_tlcp_rule_t rule;
    rdg_hash_t pin;
    rdg_cert_cache_t *known;
    rdg_tlcp_sessions_t *sessions; /* own; config.sessions may be base's */
    rdg_tlcp_config_t config;
};

static void parts_fini(rdg_tlcp_parts_t *p) {
    rdg_sm2_key_free(p->sign_key);
    rdg_sm2_key_free(p->enc_key);
    rdg_cert_free(p->sign_cert);
    rdg_cert_free(p->enc_cert);
    for (size_t i = 0; i < p->chain_count; ++i) rdg_cert_free(p->chain[i]);
    for (size_t i = 0; i < p->root_count; ++i) rdg_cert_free(p->roots[i]);
    memset(p, 0, sizeof *p);
}

/* The engine knows best what a configuration lacks. */
static rdg_err_t try_config(const rdg_tlcp_config_t *config) {
    rdg_tlcp_t *engine = NULL;
    RDG_TRY(rdg_tlcp_new(config, RDG_TLCP_CLIENT, 0, rdg_random_system(), &engine));
    rdg_tlcp_free(engine);
    return RDG_OK;
}

rdg_err_t rdg_tlcp_identity_new(const rdg_tlcp_parts_t *parts, rdg_tlcp_identity_t **out) {
    rdg_tlcp_parts_t taken = *parts;
    rdg_tlcp_identity_t *i = rdg_calloc(1, sizeof *i);
    if (!i) {
        parts_fini(&taken);
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for a TLCP identity");
    }
    atomic_init(&i->refs, 1);
    i->parts = taken;
    i->config = (rdg_tlcp_config_t){.sign_key = taken.sign_key,
                                    .enc_key = taken.enc_key,
                                    .sign_cert = taken.sign_cert,
                                    .enc_cert = taken.enc_cert,
                                    .chain = (const rdg_cert_t *const *)i->parts.chain,
                                    .chain_count = taken.chain_count,
                                    .roots = (const rdg_cert_t *const *)i->parts.roots,
                                    .root_count = taken.root_count};
    rdg_err_t err = try_config(&i->config);
    if (err == RDG_OK) err = rdg_cert_cache_new(i->config.roots, taken.root_count, KNOWN_MAX, &i->known);
    if (err == RDG_OK)
        err = rdg_tlcp_sessions_new(taken.sessions_max ? taken.sessions_max : RDG_TLCP_IDENTITY_SESSIONS,
                                    RDG_TLCP_IDENTITY_SESSION_S, &i->sessions);
    i->config.certs = i->known;
    i->config.sessions = i->sessions;
    if (err != RDG_OK)
        rdg_tlcp_identity_unref(i);
    else
        *out = i;
    return err;
}

rdg_err_t rdg_tlcp_identity_pinned(const rdg_hash_t *root, rdg_tlcp_identity_t **out) {
    rdg_tlcp_identity_t *i = rdg_calloc(1, sizeof *i);
    if (!i) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a TLCP identity");
    atomic_init(&i->refs, 1);
    i->pin = *root;
    i->config.root_pin = &i->pin;
    *out = i;
    return RDG_OK;
}

static rdg_err_t accept_both(void *ctx, const rdg_cert_t *peer_sign, const rdg_cert_t *peer_enc) {
    const rdg_tlcp_identity_t *i = ctx;
    const rdg_tlcp_config_t *base = &i->base->config;
    if (base->accept_peer) RDG_TRY(base->accept_peer(base->accept_ctx, peer_sign, peer_enc));
    return i->rule.accept ? i->rule.accept(i->rule.ctx, peer_sign, peer_enc) : RDG_OK;
}

rdg_err_t rdg_tlcp_identity_with_rule(rdg_tlcp_identity_t *base, const rdg_tlcp_rule_t *rule,
                                      rdg_tlcp_identity_t **out) {
    rdg_tlcp_identity_t *i = rdg_calloc(1, sizeof *i);
    if (!i) {
        if (rule->free_ctx) rule->free_ctx(rule->ctx);
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for a TLCP identity");
    }
    atomic_init(&i->refs, 1);
    i->base = rdg_tlcp_identity_ref(base);
    i->rule = *rule;
    i->config = base->config;
    i->config.accept_peer = accept_both;
    i->config.accept_ctx = i;
    *out = i;
    return RDG_OK;
}

rdg_err_t rdg_tlcp_identity_accept(const rdg_tlcp_identity_t *identity, const rdg_cert_t *peer_sign,
                                   const rdg_cert_t *peer_enc) {
    const rdg_tlcp_config_t *c = &identity->config;
    return c->accept_peer ? c->accept_peer(c->accept_ctx, peer_sign, peer_enc) : RDG_OK;
}

size_t rdg_tlcp_identity_sessions(const rdg_tlcp_identity_t *identity) {
    return identity->config.sessions ? rdg_tlcp_sessions_count(identity->config.sessions) : 0;
}

rdg_tlcp_identity_t *rdg_tlcp_identity_ref(rdg_tlcp_identity_t *identity) {
    atomic_fetch_add(&identity->refs, 1);
    return identity;
}

void rdg_tlcp_identity_unref(rdg_tlcp_identity_t *identity) {
    if (!identity || atomic_fetch_sub(&identity->refs, 1) != 1) return;
    if (identity->rule.free_ctx) identity->rule.free_ctx(identity->rule.ctx);
    rdg_tlcp_sessions_free(identity->sessions);
    rdg_cert_cache_free(identity->known);
    parts_fini(&identity->parts);
    rdg_tlcp_identity_unref(identity->base);
    rdg_free(identity);
}

const rdg_tlcp_config_t *rdg_tlcp_identity_config(const rdg_tlcp_identity_t *identity) {
    return &identity->config;
}
