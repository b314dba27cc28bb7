/* What a certificate says, as text for people and tools. Names come from whoever asked for the certificate:
 * control characters and what has a meaning in the form (RFC 4514) are escaped, so that a terminal or a log
 * line cannot be changed by them; UTF-8 stays as it is. Thread-safe. */
#ifndef RIDGE_CRYPTO_CERT_TEXT_H
#define RIDGE_CRYPTO_CERT_TEXT_H
#include "ridge/base/buf.h"
#include "ridge/crypto/cert.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_CERT_TEXT_MAX 4096 /* of a name; longer ones are cut with "…" */
#define RDG_CERT_USAGES 9

rdg_err_t rdg_cert_subject_text(const rdg_cert_t *cert, rdg_buf_t *out); /* "CN=node-1,O=Grid,C=CN" */
rdg_err_t rdg_cert_issuer_text(const rdg_cert_t *cert, rdg_buf_t *out);
/* The alternative names, each as "DNS:name", "IP:1.2.3.4" or "other", one after the other. */
rdg_err_t rdg_cert_each_name(const rdg_cert_t *cert, void (*each)(void *ctx, const char *name), void *ctx);
/* The usage of this index (RFC 5280's bit), "digitalSignature" and so on, if the certificate states it, else
 * NULL; index below RDG_CERT_USAGES. */
const char *rdg_cert_usage(const rdg_cert_t *cert, size_t index);
int rdg_cert_version(const rdg_cert_t *cert);     /* 1 to 3 */
int rdg_cert_path_length(const rdg_cert_t *cert); /* of a CA; -1: not limited */

#ifdef __cplusplus
}
#endif
#endif
