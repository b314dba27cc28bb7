#include <string.h>

#include "engine.h"
#include "ridge/crypto/cert_cache.h"

/* Whether the certificates that the suite needs can be there. */
static bool suite_possible(const rdg_tlcp_config_t *c, rdg_tlcp_role_t role, rdg_tlcp_suite_t suite) {
    if (!rdg_tlcp_suite_is_ecdhe(suite)) return true;
    return role == RDG_TLCP_CLIENT ? c->enc_key != NULL : c->client_auth != RDG_TLCP_CLIENT_NONE;
}

size_t rdg_tlcp_suites_of(const rdg_tlcp_config_t *c, rdg_tlcp_role_t role,
                          rdg_tlcp_suite_t out[RDG_TLCP_SUITES_MAX]) {
    static const rdg_tlcp_suite_t usual[] = {RDG_TLCP_ECC_SM4_GCM_SM3, RDG_TLCP_ECC_SM4_CBC_SM3};
    const rdg_tlcp_suite_t *named = c->suite_count ? c->suites : usual;
    size_t named_count = c->suite_count ? c->suite_count : sizeof usual / sizeof usual[0], count = 0;
    for (size_t i = 0; i < named_count; i++)
        if (suite_possible(c, role, named[i])) out[count++] = named[i];
    return count;
}

static bool key_is_of(const rdg_sm2_key_t *key, const rdg_cert_t *cert) {
    rdg_sm2_public_t pub;
    rdg_sm2_key_public(key, &pub);
    return memcmp(pub.b, rdg_cert_public(cert)->b, sizeof pub.b) == 0;
}

static const char *keys_wrong(const rdg_tlcp_config_t *c, bool enc_needed) {
    bool no_enc = !c->enc_key && !c->enc_cert;
    if (!c->sign_key || !c->sign_cert || (enc_needed && no_enc) || !c->enc_key != !c->enc_cert)
        return "a sign and an encryption key with a certificate each are needed";
    if (!key_is_of(c->sign_key, c->sign_cert)) return "the sign key is not that of the sign certificate";
    if (!no_enc && !key_is_of(c->enc_key, c->enc_cert))
        return "the encryption key is not that of the encryption certificate";
    if (!rdg_cert_allows(c->sign_cert, RDG_CERT_SIGN)) return "the sign certificate does not allow signing";
    if (!no_enc && !rdg_cert_allows(c->enc_cert, RDG_CERT_ENCRYPT))
        return "the encryption certificate does not allow encryption";
    if (c->chain_count > RDG_TLCP_CERTS_MAX - 2) return "the chain has too many certificates";
    return NULL;
}

static const char *suites_wrong(const rdg_tlcp_config_t *c, rdg_tlcp_role_t role) {
    if (c->suite_count > RDG_TLCP_SUITES_MAX) return "there are too many suites";
    rdg_tlcp_suite_t possible[RDG_TLCP_SUITES_MAX];
    for (size_t i = 0; i < c->suite_count; i++) {
        rdg_tlcp_suite_t suite = c->suites[i];
        if (suite != RDG_TLCP_ECC_SM4_GCM_SM3 && suite != RDG_TLCP_ECC_SM4_CBC_SM3 &&
            !rdg_tlcp_suite_is_ecdhe(suite))
            return "a suite is none of ours";
    }
    if (rdg_tlcp_suites_of(c, role, possible) == 0)
        return "the ECDHE suites need both certificates of the client, and there is no other suite";
    return NULL;
}

static bool name_right(const char *name) {
    size_t len = strnlen(name, RDG_TLCP_SERVER_NAME_MAX + 1);
    if (len == 0 || len > RDG_TLCP_SERVER_NAME_MAX) return false;
    for (size_t i = 0; i < len; i++)
        if (name[i] <= ' ' || name[i] > '~') return false;
    return true;
}

static const char *config_wrong(const rdg_tlcp_config_t *c, rdg_tlcp_role_t role) {
    bool client = role == RDG_TLCP_CLIENT;
    bool verifies = client || c->client_auth != RDG_TLCP_CLIENT_NONE;
    bool bare = !c->sign_key && !c->enc_key && !c->sign_cert && !c->enc_cert;
    bool pinned = client && c->root_pin;
    if (pinned && c->root_count > 0) return "there is a root and the fingerprint of one";
    if (verifies && c->root_count == 0 && !pinned) return "there is no root to trust";
    if (c->certs && !pinned && !rdg_cert_cache_has_roots(c->certs, c->roots, c->root_count))
        return "the cache of certificates was made with other roots";
    if (client && c->server_name && !name_right(c->server_name))
        return "the server's name is not 1 to 253 printable characters";
    const char *wrong = client && bare ? NULL : keys_wrong(c, !client);
    return wrong ? wrong : suites_wrong(c, role);
}

static size_t certificates_len(const rdg_tlcp_config_t *c) {
    if (!c->sign_cert) return 0;
    size_t len = rdg_cert_der(c->sign_cert).len + (c->enc_cert ? rdg_cert_der(c->enc_cert).len : 0);
    for (size_t i = 0; i < c->chain_count; i++) len += rdg_cert_der(c->chain[i]).len;
    return len;
}

rdg_err_t rdg_tlcp_config_check(const rdg_tlcp_config_t *c, rdg_tlcp_role_t role) {
    const char *wrong = config_wrong(c, role);
    if (wrong) return rdg_fail(RDG_E_INVALID, "TLCP configuration: %s", wrong);
    /* 1 KiB for the lengths and all other messages of a flight. */
    if (certificates_len(c) > RDG_TLCP_HANDSHAKE_MAX - 1024)
        return rdg_fail(RDG_E_TOO_LARGE, "TLCP configuration: the certificates are larger than %d bytes",
                        RDG_TLCP_HANDSHAKE_MAX - 1024);
    return RDG_OK;
}
