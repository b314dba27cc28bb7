#include "ridge/platform/identity.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/net/tlcp_credentials.h"

#define PREFIX "cloud"
#define SESSIONS_MAX 16384 /* one of each device, about 8 KiB; the oldest goes first */

static rdg_err_t link_dir(const rdg_platform_t *p, char out[PATH_MAX]) {
    return rdg_path_join(out, PATH_MAX, p->data_dir, "link");
}

/* --- the certificates on disk ------------------------------------------------------------------------- */

static bool due(const rdg_platform_t *p, const rdg_cert_t *cert) {
    int64_t start = rdg_cert_not_before_s(cert), end = rdg_cert_not_after_s(cert), now = ca_now_s(p->ca);
    return now < start || now - start >= (end - start) / 3 * 2;
}

static bool serves(const rdg_platform_t *p, const rdg_credentials_t *c) {
    char serial[RDG_CERT_SERIAL_MAX];
    const rdg_cert_t *root = ca_authority(p->ca)->root;
    if (due(p, c->sign_cert) || due(p, c->enc_cert)) return false;
    if (!rdg_bytes_equal(rdg_cert_der(c->roots[0]), rdg_cert_der(root))) return false;
    for (size_t i = 0; i < p->dns_count; ++i)
        if (!rdg_cert_has_name(c->sign_cert, p->dns_names[i])) return false;
    rdg_crl_t *crl = ca_crl(p->ca);
    bool revoked = rdg_crl_contains(crl, c->sign_cert) || rdg_crl_contains(crl, c->enc_cert);
    rdg_crl_free(crl);
    rdg_cert_serial(c->sign_cert, serial);
    return !revoked && rdg_cert_verify(c->sign_cert, RDG_CERT_SIGN, c->chain, c->chain_count, &root, 1,
                                       ca_now_s(p->ca)) == RDG_OK;
}

static rdg_err_t install(rdg_platform_t *p, const char *dir, const rdg_cert_t *sign, const rdg_cert_t *enc) {
    rdg_buf_t sign_pem, enc_pem;
    rdg_buf_init(&sign_pem, 2 * RDG_CERT_DER_MAX);
    rdg_buf_init(&enc_pem, 2 * RDG_CERT_DER_MAX);
    rdg_err_t err = rdg_cert_to_pem(sign, &sign_pem);
    if (err == RDG_OK) err = rdg_cert_to_pem(enc, &enc_pem);
    rdg_credentials_texts_t texts = {rdg_buf_cstr(&sign_pem), rdg_buf_cstr(&enc_pem), ca_chain_pem(p->ca),
                                     ca_root_pem(p->ca)};
    if (err == RDG_OK && (!texts.sign_cert || !texts.enc_cert))
        err = rdg_fail(RDG_E_NO_MEMORY, "no memory for the cloud's certificates");
    if (err == RDG_OK) err = rdg_credentials_install(dir, PREFIX, &texts, ca_now_s(p->ca));
    rdg_buf_fini(&sign_pem);
    rdg_buf_fini(&enc_pem);
    return err;
}

static rdg_err_t make(rdg_platform_t *p, const char *dir) {
    char path[PATH_MAX];
    rdg_sm2_key_t *sign_key = NULL, *enc_key = NULL;
    rdg_cert_t *sign = NULL, *enc = NULL;
    rdg_sm2_public_t sign_pub, enc_pub;
    RDG_TRY(rdg_dir_make(dir, 0700));
    RDG_TRY(rdg_path_join(path, sizeof path, dir, PREFIX ".key"));
    rdg_err_t err = rdg_sm2_key_load_or_generate(path, &sign_key);
    if (err == RDG_OK) err = rdg_credentials_next_key(dir, PREFIX, &enc_key);
    if (err == RDG_OK) {
        rdg_sm2_key_public(sign_key, &sign_pub);
        rdg_sm2_key_public(enc_key, &enc_pub);
        err = ca_issue_cloud(p->ca, &sign_pub, &enc_pub, p->dns_names, p->dns_count, &sign, &enc);
    }
    if (err == RDG_OK) err = install(p, dir, sign, enc);
    rdg_cert_free(sign);
    rdg_cert_free(enc);
    rdg_sm2_key_free(sign_key);
    rdg_sm2_key_free(enc_key);
    return rdg_fail_in(err, "the cloud's own certificates");
}

/* --- the identity -------------------------------------------------------------------------------------- */

static rdg_err_t accept_peer(void *ctx, const rdg_cert_t *sign_cert, const rdg_cert_t *enc_cert) {
    return rdg_platform_accept_peer(ctx, sign_cert, enc_cert, NULL);
}

static rdg_err_t build(rdg_platform_t *p, rdg_credentials_t *c) {
    rdg_tlcp_identity_t *base = NULL, *identity = NULL;
    const rdg_tlcp_rule_t rule = {accept_peer, p, NULL};
    /* A device that is not enrolled knows the root by its fingerprint only: it has to be sent along. */
    if (c->chain_count < RDG_CERT_CHAIN_MAX)
        c->chain[c->chain_count++] = rdg_cert_ref((rdg_cert_t *)(uintptr_t)c->roots[0]);
    RDG_TRY(rdg_tlcp_identity_of(c, SESSIONS_MAX, &base));
    rdg_err_t err = rdg_tlcp_identity_with_rule(base, &rule, &identity);
    rdg_tlcp_identity_unref(base);
    if (err != RDG_OK) return err;
    pthread_mutex_lock(&p->lock);
    rdg_tlcp_identity_t *old = p->identity;
    p->identity = identity;
    pthread_mutex_unlock(&p->lock);
    rdg_tlcp_identity_unref(old);
    return RDG_OK;
}

static rdg_err_t refresh(rdg_platform_t *p) {
    char dir[PATH_MAX];
    rdg_credentials_t *c = NULL;
    RDG_TRY(link_dir(p, dir));
    rdg_err_t err = rdg_credentials_load(dir, PREFIX, &c);
    bool fine = err == RDG_OK && serves(p, c);
    if (fine && p->identity) {
        rdg_credentials_free(c);
        return RDG_OK;
    }
    if (!fine) {
        /* What is missing or does not fit is made anew; a file that cannot be read is the operator's. */
        if (err != RDG_OK && err != RDG_E_NOT_FOUND && err != RDG_E_CONFLICT) return err;
        rdg_credentials_free(c);
        c = NULL;
        RDG_TRY(make(p, dir));
        RDG_TRY(rdg_credentials_load(dir, PREFIX, &c));
    }
    return build(p, c);
}

rdg_err_t identity_refresh(rdg_platform_t *p) {
    pthread_mutex_lock(&p->upkeep);
    rdg_err_t err = refresh(p);
    pthread_mutex_unlock(&p->upkeep);
    return err;
}

rdg_err_t rdg_platform_tlcp_identity(rdg_platform_t *p, rdg_tlcp_identity_t **out) {
    pthread_mutex_lock(&p->lock);
    *out = rdg_tlcp_identity_ref(p->identity);
    pthread_mutex_unlock(&p->lock);
    return RDG_OK;
}

rdg_err_t rdg_platform_accept_peer(rdg_platform_t *p, const rdg_cert_t *sign_cert, const rdg_cert_t *enc_cert,
                                   char device[65]) {
    char name[65];
    RDG_TRY(ca_accept_device(p->ca, sign_cert, enc_cert, name));
    if (!devices_known(p, name))
        return rdg_fail(RDG_E_UNAUTHENTICATED, "device '%s' was removed: enrol it again", name);
    if (device) memcpy(device, name, sizeof name);
    return RDG_OK;
}

void rdg_platform_on_revoked(rdg_platform_t *p, void (*fn)(void *ctx, const char *device), void *ctx) {
    p->revoked = fn;
    p->revoked_ctx = ctx;
}

void identity_ask_again(rdg_platform_t *p, const char *device) {
    if (p->revoked) p->revoked(p->revoked_ctx, device);
}

void identity_revoked(rdg_platform_t *p, const char *device) {
    if (p->broker) (void)rdg_broker_remove_user(p->broker, device);
    /* A broker that cuts a user off itself does not publish the user's will. */
    devices_bar(p, device);
    identity_ask_again(p, device);
}

/* --- the DNS names of the options ------------------------------------------------------------------------ */

rdg_err_t identity_names(rdg_platform_t *p, const char *list) {
    char *rest = p->dns_text = rdg_strdup(list ? list : "");
    if (!rest) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the DNS names");
    for (char *name; (name = strsep(&rest, ","));) {
        if (!name[0]) continue;
        if (p->dns_count == RDG_CERT_DNS_COUNT || strlen(name) >= RDG_CERT_DNS_MAX)
            return rdg_fail(RDG_E_INVALID, "link-names: at most %d names of at most %d bytes",
                            RDG_CERT_DNS_COUNT, RDG_CERT_DNS_MAX - 1);
        p->dns_names[p->dns_count++] = name;
    }
    return RDG_OK;
}
