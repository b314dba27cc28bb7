/* What this device shows and trusts towards the cloud: <dir>/identity.key, identity-sign.crt, identity-enc.key,
 * identity-enc.crt, ca-chain.crt, roots.crt, ca.crl (ridge/crypto/credentials.h, prefix "identity").
 *
 * An enrolment token is "<secret>.<fingerprint>": the fingerprint (SM3, 64 hex digits) is that of the root that
 * this device is to trust, and the only thing it knows of the cloud before its enrolment. No answer can bring
 * another root; the one that fits becomes the device's only trust anchor, and that of its nodes. */
#ifndef RIDGE_AGENT_CREDENTIALS_H
#define RIDGE_AGENT_CREDENTIALS_H
#include "ridge/codec/json.h"
#include "ridge/net/tlcp_credentials.h"

#define CREDENTIALS_PREFIX "identity"
#define CREDENTIALS_NODE_PREFIX "node"
#define CREDENTIALS_SECRET_MAX 256

/* INVALID: without a fingerprint, with what to do. */
rdg_err_t credentials_split_token(const char *token, char secret[CREDENTIALS_SECRET_MAX],
                                  char fingerprint[65]);
/* The certificate of a PEM text, if it is the root with this fingerprint. UNAUTHENTICATED otherwise. Owned. */
rdg_err_t credentials_root(const char *pem, const char *fingerprint, rdg_cert_t **out);
/* After enrolment. Load again when certificates or the list have changed. */
rdg_err_t credentials_identity(const char *dir, rdg_tlcp_identity_t **out);
uint64_t credentials_stamp(const char *dir); /* rdg_credentials_stamp of the same */

/* {"sign","enc"}: a request for the sign key and one for the next encryption key of dir, both for name. */
rdg_err_t credentials_requests(const char *dir, const char *prefix, const char *name, json_t **out);
/* Installs {"sign","enc","chain"} under the roots of `roots` (PEM), after looking at the name. */
rdg_err_t credentials_install(const char *dir, const char *prefix, const char *name,
                              const json_t *certificates, const char *roots, int64_t now_s);
/* The text of <dir>/roots.crt. Owned (rdg_free). */
rdg_err_t credentials_roots(const char *dir, char **out);

#endif
