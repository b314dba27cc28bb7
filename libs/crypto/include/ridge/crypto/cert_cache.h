/* Certificates that have verified under a set of roots, for those that come again and again: known bytes are
 * not parsed, and a known chain is not verified, a second time (together some 0.3 ms a certificate).
 *
 * Invariants
 * 1. Only certificates of a chain that verified get in; what is kept of a leaf is that it leads to one of the
 *    roots, and the time in which every certificate of that way is valid. Outside of it, and for every
 *    certificate that is not known, rdg_cert_verify decides.
 * 2. Key usage is looked at each time.
 * 3. Whether a certificate is revoked is no question to this cache, as it is none to rdg_cert_verify.
 *
 * Limits: max certificates, the oldest making room; some 8 KiB each. Thread-safe. Roots are referenced. */
#ifndef RIDGE_CRYPTO_CERT_CACHE_H
#define RIDGE_CRYPTO_CERT_CACHE_H
#include "ridge/crypto/cert.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_CERT_CACHE_ROOTS_MAX 64
#define RDG_CERT_CACHE_MAX 1000000

typedef struct rdg_cert_cache rdg_cert_cache_t;

/* INVALID: no root or too many of them, max out of range. NO_MEMORY. Returns owned. */
rdg_err_t rdg_cert_cache_new(const rdg_cert_t *const *roots, size_t root_count, size_t max,
                             rdg_cert_cache_t **out);
void rdg_cert_cache_free(rdg_cert_cache_t *c); /* NULL is fine */
/* Whether these are its roots, in this order. */
bool rdg_cert_cache_has_roots(const rdg_cert_cache_t *c, const rdg_cert_t *const *roots, size_t root_count);
/* As rdg_cert_parse, with the same object for the same bytes if they are known. */
rdg_err_t rdg_cert_cache_parse(rdg_cert_cache_t *c, rdg_bytes_t der, rdg_cert_t **out);
/* As rdg_cert_verify under the roots. */
rdg_err_t rdg_cert_cache_verify(rdg_cert_cache_t *c, const rdg_cert_t *leaf, rdg_cert_use_t use,
                                const rdg_cert_t *const *others, size_t other_count, int64_t now_s);

#ifdef __cplusplus
}
#endif
#endif
