/* What one end of a TLCP link shows and trusts: two key pairs with their certificates, the chain that leads
 * to a root, the roots, and the latest revocation list. In memory, and as files of a directory:
 *
 *   <prefix>.key        the sign key (PKCS#8 PEM, 0600); of a node its validator key, of a device its identity
 *   <prefix>-sign.crt   its certificate (PEM, like all that follow)
 *   <prefix>-enc.key    the encryption key (0600), new with each renewal
 *   <prefix>-enc.crt    its certificate
 *   ca-chain.crt        issuing CA first; without the root
 *   roots.crt           whom this end trusts, at least one
 *   ca.crl              the newest revocation list; absent until there is one
 *
 * Invariants
 * 1. Loaded credentials fit together: each certificate is of its key and for its use, both have one name, the
 *    list is of the first certificate of the chain. That they have not expired is for who verifies them: one
 *    that has expired must be loaded to be renewed.
 * 2. Installing a set is atomic. It is made in <prefix>.tmp/, becomes a promise when that is renamed to
 *    <prefix>.new/, and its files are then moved over the old ones. Whoever loads first finishes what was
 *    promised; so a crash, or a reader in the middle, meets the old set or the new one.
 * 3. The sign key never changes. The encryption key of a set is made before it is requested, as
 *    <prefix>-enc.key.new, and stays that until its certificate is installed: asking again asks for the same.
 *
 * Limits: RDG_CERT_CHAIN_MAX certificates in the chain, RDG_CREDENTIALS_ROOTS_MAX roots.
 * Objects are immutable once filled, reference-counted, and may be shared by threads. */
#ifndef RIDGE_CRYPTO_CREDENTIALS_H
#define RIDGE_CRYPTO_CREDENTIALS_H
#include "ridge/crypto/cert_request.h"
#include "ridge/crypto/crl.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_CREDENTIALS_ROOTS_MAX 4
#define RDG_CREDENTIALS_TEXT_MAX (64u << 10) /* PEM of a chain, of roots */

/* Name of the certificate by which nodes know a collector of archives. No device, node or cloud can have it: their names
 * begin with a letter or a digit. */
#define RDG_CREDENTIALS_COLLECTOR "_collector"

/* The fields are as rdg_tlcp_config_t wants them; owned by the object. */
typedef struct rdg_credentials {
    rdg_sm2_key_t *sign_key, *enc_key;
    rdg_cert_t *sign_cert, *enc_cert;
    const rdg_cert_t *chain[RDG_CERT_CHAIN_MAX];
    size_t chain_count;
    const rdg_cert_t *roots[RDG_CREDENTIALS_ROOTS_MAX];
    size_t root_count;
    rdg_crl_t *crl; /* NULL: none yet */
} rdg_credentials_t;

/* An empty one, to be filled and then checked. NO_MEMORY. Returns owned. */
rdg_err_t rdg_credentials_new(rdg_credentials_t **out);
rdg_credentials_t *rdg_credentials_ref(rdg_credentials_t *c);
void rdg_credentials_free(rdg_credentials_t *c); /* drops one reference; NULL is fine */
/* Invariant 1. CONFLICT says what does not fit. */
rdg_err_t rdg_credentials_check(const rdg_credentials_t *c);
/* FORBIDDEN: the list holds it. For rdg_tlcp_config_t.accept_peer, with each certificate of the peer; what verifies is not repeated here. */
rdg_err_t rdg_credentials_accept(const rdg_credentials_t *c, const rdg_cert_t *peer_cert);

/* NOT_FOUND: nothing was installed there. FORBIDDEN (a key file's mode), CORRUPT, MALFORMED, CONFLICT, each
 * naming the file. Returns owned. */
rdg_err_t rdg_credentials_load(const char *dir, const char *prefix, rdg_credentials_t **out);

/* Changes whenever one of the files is replaced, comes or goes: what was loaded is then to be loaded again. Taken
 * before the load that it stands for. */
uint64_t rdg_credentials_stamp(const char *dir, const char *prefix);

/* The encryption key to request a certificate for: made and saved at the first call, the same until a
 * certificate of it is installed. Returns owned. */
rdg_err_t rdg_credentials_next_key(const char *dir, const char *prefix, rdg_sm2_key_t **out);
/* PEM, borrowed. */
typedef struct rdg_credentials_texts {
    const char *sign_cert, *enc_cert, *chain, *roots;
} rdg_credentials_texts_t;
/* Installs a set for <prefix>.key and the next encryption key, or the present one when the certificate is of that; the
 * next one then stays the next. The directory is unchanged unless all of it fits and both certificates verify under `roots` at now_s; then it
 * is durable. MALFORMED, CONFLICT, EXPIRED, FORBIDDEN, BAD_SIGNATURE, NOT_FOUND (no way to a root). */
rdg_err_t rdg_credentials_install(const char *dir, const char *prefix, const rdg_credentials_texts_t *texts,
                                  int64_t now_s);

#ifdef __cplusplus
}
#endif
#endif
