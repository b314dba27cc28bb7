#include "ridge/crypto/credentials.h"

#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/ref.h"

typedef struct holder {
    rdg_credentials_t c; /* first: the public pointer is the holder's */
    rdg_ref_t ref;
} holder_t;

rdg_err_t rdg_credentials_new(rdg_credentials_t **out) {
    holder_t *h = rdg_calloc(1, sizeof *h);
    *out = h ? &h->c : NULL;
    if (!h) return rdg_fail(RDG_E_NO_MEMORY, "credentials: out of memory");
    rdg_ref_init(&h->ref);
    return RDG_OK;
}

rdg_credentials_t *rdg_credentials_ref(rdg_credentials_t *c) {
    rdg_ref_get(&((holder_t *)c)->ref);
    return c;
}

static void free_certs(const rdg_cert_t *const *list, size_t count) {
    for (size_t i = 0; i < count; i++) rdg_cert_free((rdg_cert_t *)(uintptr_t)list[i]);
}

void rdg_credentials_free(rdg_credentials_t *c) {
    if (!c || !rdg_ref_put(&((holder_t *)c)->ref)) return;
    rdg_sm2_key_free(c->sign_key);
    rdg_sm2_key_free(c->enc_key);
    rdg_cert_free(c->sign_cert);
    rdg_cert_free(c->enc_cert);
    free_certs(c->chain, c->chain_count);
    free_certs(c->roots, c->root_count);
    rdg_crl_free(c->crl);
    rdg_free(c);
}

static bool fits(const rdg_sm2_key_t *key, const rdg_cert_t *cert) {
    rdg_sm2_public_t pub;
    rdg_sm2_key_public(key, &pub);
    return memcmp(pub.b, rdg_cert_public(cert)->b, sizeof pub.b) == 0;
}

rdg_err_t rdg_credentials_check(const rdg_credentials_t *c) {
    const char *wrong = NULL;
    if (!c->sign_key || !c->enc_key || !c->sign_cert || !c->enc_cert || !c->root_count)
        wrong = "a key, a certificate or the roots are missing";
    else if (!fits(c->sign_key, c->sign_cert))
        wrong = "the sign certificate is of another key";
    else if (!fits(c->enc_key, c->enc_cert))
        wrong = "the encryption certificate is of another key";
    else if (!rdg_cert_allows(c->sign_cert, RDG_CERT_SIGN))
        wrong = "the sign certificate is not for signing";
    else if (!rdg_cert_allows(c->enc_cert, RDG_CERT_ENCRYPT))
        wrong = "the encryption certificate is not for encryption";
    else if (!rdg_bytes_equal(rdg_cert_subject_der(c->sign_cert), rdg_cert_subject_der(c->enc_cert)))
        wrong = "the two certificates have different names";
    if (wrong) return rdg_fail(RDG_E_CONFLICT, "%s", wrong);
    if (!c->crl) return RDG_OK;
    return rdg_crl_verify(c->crl, c->chain_count ? c->chain[0] : c->roots[0]);
}

rdg_err_t rdg_credentials_accept(const rdg_credentials_t *c, const rdg_cert_t *peer_cert) {
    char serial[RDG_CERT_SERIAL_MAX];
    if (!c->crl || !rdg_crl_contains(c->crl, peer_cert)) return RDG_OK;
    rdg_cert_serial(peer_cert, serial);
    return rdg_fail(RDG_E_FORBIDDEN, "certificate %s is revoked (list %llu)", serial,
                    (unsigned long long)rdg_crl_number(c->crl));
}
